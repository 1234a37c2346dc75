//! Every operation of every instruction set that this machine has, beside what its registers allow.
//!
//! ```sh
//! cargo bench --bench kernels --no-default-features
//! cargo bench --bench kernels --no-default-features -- '512 values/tile of 64 avx2'   # some of it
//! ```
//!
//! *Warm* rows fit into the second-level cache: 128 KiB in each plane of nibbles. *Cold* rows come
//! from memory: 256 MiB in each plane, walked round from wherever the walk before has stopped. One
//! thread. Before a kernel is timed, its hits are compared with those of the scalar one; while it
//! is timed, each call must find the row that was planted and no other.
//!
//! Bytes are those that a scan reads, pairs those of a probe and a row: pairs times values are the
//! products that `spin` makes in registers alone. `docs/benchmarks.md` says how to read the
//! figures.

use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::kernel::{
    Ahead, Bounds, Hit, Isa, Kernel, Limit, Line, NibbleRows, ROWS_PER_GROUP, ScanProbe,
    VALUES_PER_LINE, dot_f64,
};

/// Multiples of a line, so that no value of a row is padding.
const DIMENSIONS: [usize; 3] = [128, 512, 4096];
const PROBES: [usize; 2] = [64, 512];
/// Either plane of a block, the part of the rows that is scanned at once.
const BLOCK_LINES: usize = (128 << 10) / size_of::<Line>();
/// All rows are copies of one block: 256 MiB in either plane.
const BLOCKS: usize = 2048;
/// Rows at the end of the block in which kernels are compared.
const ROWS_COMPARED: usize = 2 * ROWS_PER_GROUP;
/// The largest number of a probe in every [`vultus::kernel::Form`].
const PROBE_MAX: i8 = 31;

/// Where rows come from.
#[derive(Clone, Copy)]
enum Heat {
    Warm,
    Cold,
}

impl Heat {
    const BOTH: [Heat; 2] = [Heat::Warm, Heat::Cold];
}

impl fmt::Display for Heat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Heat::Warm => "warm",
            Heat::Cold => "cold",
        })
    }
}

/// Random rows and probes. The last row of every block points where the first probe does.
///
/// The rows' numbers are multiples of four, of which kernels in six bits cut nothing off, so that
/// all kernels have the same hits.
struct Rows {
    dimension: usize,
    probes: Vec<Vec<i8>>,
    high: Vec<Line>,
    low: Vec<Line>,
    scales: Vec<f32>,
    residuals: Vec<f32>,
    /// Where the next call goes on.
    next: Cell<usize>,
}

impl Rows {
    fn new(dimension: usize) -> Rows {
        let mut random = StdRng::seed_from_u64(dimension as u64);
        let mut probe = || {
            (0..dimension)
                .map(|_| random.random_range(-PROBE_MAX..=PROBE_MAX))
                .collect()
        };
        let probes: Vec<Vec<i8>> = (0..PROBES[1]).map(|_| probe()).collect();
        let mut plane = |mask: u8, offset: u8| -> Vec<Line> {
            let mut line = || {
                Line(std::array::from_fn(|_| {
                    (random.random::<u8>() & mask) + offset
                }))
            };
            (0..BLOCK_LINES).map(|_| line()).collect()
        };
        // High nibbles from 4 to 11, low ones 0, 4, 8 or 12.
        let (mut high, mut low) = (plane(0x77, 0x44), plane(0xcc, 0));
        let planted = BLOCK_LINES - dimension / VALUES_PER_LINE;
        for (at, values) in probes[0].chunks(VALUES_PER_LINE).enumerate() {
            let nibble = |at: usize| if values[at] < 0 { 1 } else { 15 };
            high[planted + at] = Line(std::array::from_fn(|at| nibble(at) | nibble(at + 64) << 4));
            low[planted + at] = Line([0x88; 64]);
        }
        let (high, low) = (high.repeat(BLOCKS), low.repeat(BLOCKS));
        let rows = high.len() * VALUES_PER_LINE / dimension;
        Rows {
            dimension,
            probes,
            high,
            low,
            scales: vec![1.0; rows],
            residuals: vec![0.0; rows],
            next: Cell::new(0),
        }
    }

    fn lines_per_row(&self) -> usize {
        self.dimension / VALUES_PER_LINE
    }

    fn rows_per_block(&self) -> usize {
        BLOCK_LINES / self.lines_per_row()
    }

    /// The bytes of some rows in one plane.
    fn plane_bytes(&self, rows: usize) -> usize {
        rows * self.lines_per_row() * size_of::<Line>()
    }

    fn nibbles(&self, rows: Range<usize>) -> NibbleRows<'_> {
        let lines_per_row = self.lines_per_row();
        let lines = rows.start * lines_per_row..rows.end * lines_per_row;
        NibbleRows {
            lines_per_row,
            high: &self.high[lines.clone()],
            low: &self.low[lines],
        }
    }

    fn bounds(&self, rows: Range<usize>) -> Bounds<'_> {
        Bounds {
            scales: &self.scales[rows.clone()],
            residuals: &self.residuals[rows],
        }
    }

    /// The next `step` rows, and those that follow them.
    fn walk(&self, heat: Heat, step: usize) -> (Range<usize>, Range<usize>) {
        let round = match heat {
            Heat::Warm => self.rows_per_block(),
            Heat::Cold => self.scales.len(),
        };
        let at = |step_number: usize| {
            let start = step_number * step % round;
            start..start + step
        };
        let step_number = self.next.get() / step;
        self.next.set((step_number + 1) * step);
        (at(step_number), at(step_number + 1))
    }

    fn compared(&self) -> Range<usize> {
        self.rows_per_block() - ROWS_COMPARED..self.rows_per_block()
    }
}

/// [`Kernel::coarse`] or [`Kernel::fine`].
type Scan = fn(Kernel, &ScanProbe, &NibbleRows<'_>, &Bounds<'_>, Limit, &mut Vec<Hit>);

fn scan(kernel: Kernel, scan: Scan, rows: &Rows, range: Range<usize>, limit: Limit) -> Vec<Hit> {
    let probe = ScanProbe::new(&rows.probes[0]);
    let mut hits = Vec::new();
    let (nibbles, bounds) = (rows.nibbles(range.clone()), rows.bounds(range));
    scan(kernel, &probe, &nibbles, &bounds, limit, &mut hits);
    hits
}

fn scalar() -> Kernel {
    Kernel::for_isa(Isa::Scalar).expect("the scalar kernel runs everywhere")
}

/// A limit that the planted row alone reaches: half-way between the best row and the second.
fn limit(rows: &Rows, operation: Scan) -> Limit {
    let block = 0..rows.rows_per_block();
    let mut hits = scan(scalar(), operation, rows, block.clone(), Limit::EVERYTHING);
    hits.sort_by_key(|hit| -hit.dot);
    assert_eq!(
        hits[0].row as usize + 1,
        block.end,
        "the planted row is best"
    );
    Limit {
        weight: 1.0,
        least: (hits[0].dot + hits[1].dot) as f32 / 2.0,
    }
}

fn scans(group: &mut BenchmarkGroup<'_, WallTime>, kernel: Kernel, rows: &Rows) {
    let step = rows.rows_per_block();
    let operations = [
        ("coarse", Kernel::coarse as Scan, 1),
        ("fine", Kernel::fine, 2),
    ];
    for (name, operation, planes) in operations {
        let hits = |kernel, limit| scan(kernel, operation, rows, rows.compared(), limit);
        assert_eq!(
            hits(kernel, Limit::EVERYTHING),
            hits(scalar(), Limit::EVERYTHING),
            "{name} of {kernel:?}"
        );
        let probe = ScanProbe::new(&rows.probes[0]);
        let limit = limit(rows, operation);
        let bytes = planes * rows.plane_bytes(step) + step * 2 * size_of::<f32>();
        group.throughput(Throughput::Bytes(bytes as u64));
        for heat in Heat::BOTH {
            let mut hits: Vec<Hit> = Vec::new();
            let id = BenchmarkId::new(format!("{name} {}", kernel.isa()), heat);
            group.bench_function(id, |b| {
                b.iter(|| {
                    let (range, _) = rows.walk(heat, step);
                    let (nibbles, bounds) = (rows.nibbles(range.clone()), rows.bounds(range));
                    hits.clear();
                    operation(
                        kernel,
                        black_box(&probe),
                        &nibbles,
                        &bounds,
                        limit,
                        &mut hits,
                    );
                    assert!(
                        hits.len() == 1 && hits[0].row as usize + 1 == step,
                        "the planted row"
                    );
                });
            });
        }
    }
}

/// The first `count` probes against groups of rows, each packed before.
struct Tile<'a> {
    kernel: Kernel,
    rows: &'a Rows,
    probes: vultus::kernel::PackedProbes,
    packed: vultus::kernel::PackedRows,
    limits: Vec<Limit>,
    hits: Vec<Hit>,
}

impl<'a> Tile<'a> {
    fn new(kernel: Kernel, rows: &'a Rows, count: usize, limit: Limit) -> Tile<'a> {
        let numbers: Vec<&[i8]> = rows.probes[..count].iter().map(Vec::as_slice).collect();
        let probes = kernel.pack_probes(rows.dimension, &numbers);
        let mut limits = vec![limit; count];
        limits.resize(probes.limits(), Limit::NOTHING);
        Tile {
            kernel,
            rows,
            probes,
            packed: kernel.packed_rows(),
            limits,
            hits: Vec::new(),
        }
    }

    /// Appends the hits of one group.
    fn multiply(&mut self, group: Range<usize>, ahead: Range<usize>) {
        self.kernel
            .pack(&self.rows.nibbles(group.clone()), &mut self.packed);
        let bounds = self.rows.bounds(group);
        let (scales, residuals) = self.packed.bounds_mut();
        scales.copy_from_slice(bounds.scales);
        residuals.copy_from_slice(bounds.residuals);
        self.kernel.tile(
            &self.probes,
            &self.packed,
            0,
            &self.limits,
            Ahead::nibbles(&self.rows.nibbles(ahead)),
            &mut self.hits,
        );
    }
}

/// Compares a tile with scalar scans for one probe after the other.
fn assert_tile_agrees(kernel: Kernel, rows: &Rows, count: usize) {
    let mut expected = Vec::new();
    for (at, probe) in rows.probes[..count].iter().enumerate() {
        let (nibbles, bounds) = (rows.nibbles(rows.compared()), rows.bounds(rows.compared()));
        let first = expected.len();
        scalar().fine(
            &ScanProbe::new(probe),
            &nibbles,
            &bounds,
            Limit::EVERYTHING,
            &mut expected,
        );
        expected[first..]
            .iter_mut()
            .for_each(|hit| hit.probe = at as u32);
    }
    let mut tile = Tile::new(kernel, rows, count, Limit::EVERYTHING);
    let mut found = Vec::new();
    for first in rows.compared().step_by(ROWS_PER_GROUP) {
        let group = first..first + ROWS_PER_GROUP;
        tile.multiply(group.clone(), group);
        let before = first - rows.compared().start;
        let shifted = tile.hits.drain(..).map(|hit| Hit {
            row: hit.row + before as u32,
            ..hit
        });
        found.extend(shifted);
    }
    found.sort_by_key(|hit| (hit.probe, hit.row));
    assert!(found == expected, "tile of {count} of {kernel:?}");
}

fn tiles(group: &mut BenchmarkGroup<'_, WallTime>, kernel: Kernel, rows: &Rows) {
    let isa = kernel.isa();
    let limit = limit(rows, Kernel::fine);
    for count in PROBES {
        assert_tile_agrees(kernel, rows, count);
        let mut tile = Tile::new(kernel, rows, count, limit);
        group.throughput(Throughput::Elements((count * ROWS_PER_GROUP) as u64));
        for heat in Heat::BOTH {
            group.bench_function(
                BenchmarkId::new(format!("tile of {count} {isa}"), heat),
                |b| {
                    b.iter(|| {
                        let (range, ahead) = rows.walk(heat, ROWS_PER_GROUP);
                        let has_planted = range.end % rows.rows_per_block() == 0;
                        tile.hits.clear();
                        tile.multiply(black_box(range), ahead);
                        assert_eq!(tile.hits.len(), usize::from(has_planted), "the planted row");
                    });
                },
            );
        }
    }
    let bytes = 2 * rows.plane_bytes(ROWS_PER_GROUP);
    group.throughput(Throughput::Bytes(bytes as u64));
    let mut packed = kernel.packed_rows();
    for heat in Heat::BOTH {
        group.bench_function(BenchmarkId::new(format!("pack {isa}"), heat), |b| {
            b.iter(|| {
                let (range, _) = rows.walk(heat, ROWS_PER_GROUP);
                kernel.pack(&rows.nibbles(range), &mut packed);
                assert!(
                    black_box(packed.squares())
                        .iter()
                        .all(|&square| square == 0),
                    "nothing is cut off"
                );
            });
        });
    }
}

/// The exact score, which is the same for every instruction set. Rows of whole numbers, whose
/// products any order of additions sums up exactly.
fn scores(group: &mut BenchmarkGroup<'_, WallTime>, dimension: usize) {
    const VALUES: usize = (128 << 10) / size_of::<f32>();
    let mut random = StdRng::seed_from_u64(dimension as u64);
    let block: Vec<f32> = (0..VALUES)
        .map(|_| f32::from(random.random_range(-99_i8..=99)))
        .collect();
    let (probe, mut expected) = (block[..dimension].to_vec(), 0);
    for row in block.chunks_exact(dimension) {
        let products = row.iter().zip(&probe);
        expected += products.map(|(&a, &b)| a as i64 * b as i64).sum::<i64>();
    }
    let memory = block.repeat(BLOCKS);
    group.throughput(Throughput::Bytes((VALUES * size_of::<f32>()) as u64));
    let mut next = 0;
    for heat in Heat::BOTH {
        group.bench_function(BenchmarkId::new("dot_f64", heat), |b| {
            b.iter(|| {
                next = match heat {
                    Heat::Warm => 0,
                    Heat::Cold => (next + 1) % BLOCKS,
                };
                let rows = memory[next * VALUES..][..VALUES].chunks_exact(dimension);
                let sum: f64 = rows.map(|row| dot_f64(black_box(&probe), row)).sum();
                assert!(sum == expected as f64, "the sum of all scores");
            });
        });
    }
}

fn operations(criterion: &mut Criterion) {
    for dimension in DIMENSIONS {
        let mut group = criterion.benchmark_group(format!("{dimension} values"));
        group
            .sample_size(20)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_secs(1));
        let rows = Rows::new(dimension);
        for kernel in Isa::available().filter_map(Kernel::for_isa) {
            scans(&mut group, kernel, &rows);
            tiles(&mut group, kernel, &rows);
        }
        drop(rows);
        scores(&mut group, dimension);
        group.finish();
    }
}

/// The ceiling of tiles: their products, in registers alone.
fn spin(criterion: &mut Criterion) {
    const ROUNDS: u64 = 1000;
    let mut group = criterion.benchmark_group("spin");
    for kernel in Isa::available().filter_map(Kernel::for_isa) {
        // Kernels that are not written in instructions have none.
        let Some(products) = kernel.spin(ROUNDS) else {
            continue;
        };
        assert!(products > 0 && kernel.spin(2 * ROUNDS) == Some(2 * products));
        group.throughput(Throughput::Elements(products));
        group.bench_function(kernel.isa().to_string(), |b| {
            b.iter(|| assert_eq!(kernel.spin(black_box(ROUNDS)), Some(products)));
        });
    }
    group.finish();
}

criterion_group!(benches, operations, spin);
criterion_main!(benches);
