//! What the machine can do at most.

use std::hint::black_box;
use std::time::Instant;

use serde::Serialize;

use crate::cli::machine::processor_name;
use crate::kernel::Kernel;
use crate::search::Pool;

/// Which machine this is.
#[derive(Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    processors: usize,
    pub(super) isa: String,
}

impl Machine {
    pub(super) fn describe(kernel: Kernel) -> Machine {
        Machine {
            processor: processor_name().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            isa: kernel.isa().to_string(),
        }
    }
}

/// Two limits of a search, measured with as many threads as it has.
#[derive(Default)]
pub(super) struct Limits {
    memory: Vec<u64>,
    read_bytes_per_second: Vec<f64>,
    products_per_second: Vec<f64>,
}

/// Memory that is read: far more than any cache.
const READ_BYTES: usize = 1 << 30;
/// Rounds of products: some ten milliseconds.
const SPIN_ROUNDS: u64 = 400_000;

impl Limits {
    /// Measures both once more.
    pub(super) fn measure(&mut self, kernel: Kernel, pool: &Pool) {
        if self.memory.is_empty() {
            // Not zeros, which the operating system would not give memory to.
            self.memory = vec![1; READ_BYTES / size_of::<u64>()];
        }
        let seconds = timed(|| read(&self.memory, pool));
        self.read_bytes_per_second.push(READ_BYTES as f64 / seconds);
        let mut products = 0;
        let seconds = timed(|| {
            let spun = pool.on_each_thread(|| kernel.spin(SPIN_ROUNDS).unwrap_or(0));
            products = spun.iter().sum();
        });
        if products > 0 {
            self.products_per_second.push(products as f64 / seconds);
        }
    }

    /// How fast memory streams: a sum over it, all threads side by side.
    pub(super) fn read_bytes_per_second(&self) -> f64 {
        median(&self.read_bytes_per_second)
    }

    /// How many products of bytes all threads make at most; unknown without instructions of our
    /// own.
    pub(super) fn products_per_second(&self) -> Option<f64> {
        (!self.products_per_second.is_empty()).then(|| median(&self.products_per_second))
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Reads all of `memory`, each thread pieces of 1 MiB in turn.
fn read(memory: &[u64], pool: &Pool) {
    const PIECE: usize = (1 << 20) / size_of::<u64>();
    let next = std::sync::atomic::AtomicUsize::new(0);
    pool.on_each_thread(|| {
        let mut sums = [0_u64; 16];
        loop {
            let piece = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(piece) = memory.chunks(PIECE).nth(piece) else {
                break;
            };
            for group in piece.as_chunks::<16>().0 {
                // By number, so that it becomes a few wide instructions in any build.
                for at in 0..sums.len() {
                    sums[at] ^= group[at];
                }
            }
        }
        black_box(sums);
    });
}

/// The middle one of some numbers; of an even number the upper of the two in the middle.
pub(in crate::cli) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
