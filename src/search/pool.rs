//! The threads that scan.

use std::fmt;
use std::sync::Arc;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

/// A scan gets a quarter of a processor that small work wants, too, for the moments which that takes.
/// More would make refusals quicker, and take from those who are answered: docs/benchmarks.md.
const SCAN_NICENESS: i32 = 5;

/// Where scans run: on the calling thread, or on threads of their own.
///
/// Clones share the threads. Tests use [`Pool::Here`], so that stacks stay short and nothing
/// depends on timing; a process should have one pool of threads, as many as physical cores.
#[derive(Clone)]
pub enum Pool {
    /// The calling thread.
    Here,
    /// Named threads of their own.
    Threads(Arc<rayon::ThreadPool>),
}

impl Pool {
    /// A pool of `threads` threads; none or one is [`Pool::Here`].
    ///
    /// # Panics
    ///
    /// Panics if the operating system gives no threads.
    pub fn new(threads: usize) -> Pool {
        if threads <= 1 {
            return Pool::Here;
        }
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = builder
            .thread_name(|at| format!("vultus-scan-{at}"))
            .build();
        Pool::Threads(Arc::new(
            pool.expect("the operating system gives a few threads"),
        ))
    }

    /// How many threads scan side by side.
    pub fn threads(&self) -> usize {
        match self {
            Pool::Here => 1,
            Pool::Threads(pool) => pool.current_num_threads(),
        }
    }

    /// Has the threads come after all others of the process that want a processor, and after those of
    /// other programs: who refuses a call, or answers a small one, must not wait for a scan. Where the
    /// system has no such thing for single threads, and for [`Pool::Here`], nothing happens.
    pub fn give_way(&self) {
        if let Pool::Threads(pool) = self {
            pool.broadcast(|_| give_way(SCAN_NICENESS));
        }
    }

    /// Runs `work` once on every thread and returns all results.
    pub fn on_each_thread<T: Send>(&self, work: impl Fn() -> T + Sync) -> Vec<T> {
        match self {
            Pool::Here => vec![work()],
            Pool::Threads(pool) => pool.broadcast(|_| work()),
        }
    }

    /// Does so many pieces of work, shared among the threads, and returns their results in order.
    pub fn each<T: Send>(&self, pieces: usize, work: impl Fn(usize) -> T + Send + Sync) -> Vec<T> {
        match self {
            Pool::Here => (0..pieces).map(work).collect(),
            Pool::Threads(pool) => pool.install(|| (0..pieces).into_par_iter().map(work).collect()),
        }
    }
}

/// Has the calling thread, and what it starts, come after others that want the processor, the more so
/// the higher the niceness, up to 19. Where the system has no such thing for single threads, nothing
/// happens.
pub fn give_way(niceness: i32) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(niceness) {
        tracing::debug!(%error, "cannot give way to other threads");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} threads)", self.threads())
    }
}
