//! Whole searches: rows x probes x limit, with the plan that the engine chooses and with the
//! others.
//!
//! ```sh
//! cargo bench --bench search --no-default-features
//! cargo bench --bench search --no-default-features -- '^100000 x 512/'         # one gallery
//! cargo bench --bench search --no-default-features -- '/[1-8] probes, top 20'  # where plans cross
//! ```
//!
//! A gallery is only made if one of its cases is run; that of a million rows takes 700 MB among the
//! temporary files. Every case asserts its answer: for one probe against a full sort of all scores.
//! `docs/benchmarks.md` says how to read the figures.

use std::cell::LazyCell;
use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::code::{Probe, length, similarity};
use vultus::partition::{Snapshot, Store};
use vultus::search::{Answer, Options, Plan, Pool, Query, search};
use vultus::types::{ClassId, Embedding, EncoderId, Match, Timestamp};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 0,
};
/// Rows and values. A million of 512 would take several gigabytes.
const GALLERIES: [(usize, usize); 5] = [
    (10_000, 128),
    (10_000, 512),
    (100_000, 128),
    (100_000, 512),
    (1_000_000, 128),
];
const PROBES_MAX: usize = 512;
const LIMIT_MAX: usize = 1000;

/// What is asked at once.
struct Case {
    probes: usize,
    limit: usize,
    /// `None` for the plan that the engine chooses.
    plan: Option<Plan>,
    threads: usize,
}

/// Few probes with every plan, for `Kernel::tile_probes_min` to be judged by; then many
/// probes, and small and large limits; one probe on one thread.
fn cases() -> Vec<Case> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let case = |probes, limit| Case {
        probes,
        limit,
        plan: None,
        threads,
    };
    let mut cases = Vec::new();
    for probes in [1, 2, 3, 4, 8] {
        cases.extend(Plan::ALL.map(|plan| Case {
            plan: Some(plan),
            ..case(probes, 20)
        }));
    }
    cases.extend([case(64, 20), case(512, 20)]);
    cases.extend([case(1, 1), case(1, 1000), case(64, 1), case(64, 1000)]);
    cases.push(Case {
        threads: 1,
        ..case(1, 20)
    });
    cases
}

/// A partition of random rows, whose classes are their numbers.
struct Gallery {
    rows: usize,
    snapshot: Snapshot,
    probes: Vec<Probe>,
    /// The best classes for the first probe, of a full sort.
    sorted: Vec<Match>,
    /// Deleted after the snapshot is gone.
    directory: tempfile::TempDir,
}

impl Gallery {
    fn new(rows: usize, dimension: usize) -> Gallery {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        fill(&directory, rows, dimension);
        let embeddings = probes(rows, dimension);
        Gallery {
            rows,
            snapshot: open(&directory),
            sorted: sort(rows, &embeddings[0]),
            probes: embeddings
                .into_iter()
                .map(|values| Probe::new(&Embedding::new(values).expect("values are finite")))
                .collect(),
            directory,
        }
    }

    /// An answer is that of the full sort, and the others have the row they were made of.
    fn assert_right(&self, answers: &[Answer], case: &Case) {
        assert_eq!(answers.len(), case.probes);
        assert!(
            answers[0].matches == self.sorted[..case.limit],
            "a full sort says otherwise"
        );
        for (probe, answer) in answers.iter().enumerate() {
            assert_eq!(answer.matches.len(), case.limit);
            assert_eq!(answer.certificate.rows_scanned, self.rows);
            let best = answer.matches[0].class;
            assert!(
                probe % 2 == 1 || best == ClassId(probe as i64),
                "the row that probe {probe} is a noisy copy of"
            );
        }
    }
}

/// The rows of a gallery, in order, the same each time.
fn random_rows(rows: usize, dimension: usize) -> impl Iterator<Item = Vec<f32>> {
    let mut random = StdRng::seed_from_u64(dimension as u64);
    (0..rows).map(move |_| {
        (0..dimension)
            .map(|_| random.random_range(-1.0..1.0))
            .collect()
    })
}

/// Every other one, from the first on, is the row of its number with as much noise; the rest are
/// strangers.
fn probes(rows: usize, dimension: usize) -> Vec<Vec<f32>> {
    let mut probes: Vec<Vec<f32>> = random_rows(rows + PROBES_MAX, dimension)
        .skip(rows)
        .collect();
    for (at, row) in random_rows(PROBES_MAX, dimension).enumerate() {
        if at % 2 == 0 {
            let values = probes[at].iter_mut().zip(row);
            values.for_each(|(value, row)| *value += row);
        }
    }
    probes
}

fn fill(directory: &tempfile::TempDir, rows: usize, dimension: usize) {
    let store = Store::open(directory.path()).expect("the directory is new");
    let encoder = EncoderId::new("bench", "1", dimension).expect("the name is well-formed");
    let id = "bench.1".parse().expect("the name is well-formed");
    let partition = store
        .partition_for(&id, &encoder, NOW)
        .expect("the disk works");
    let mut import = partition
        .import(&encoder, rows, NOW)
        .expect("the disk works");
    for (class, row) in random_rows(rows, dimension).enumerate() {
        import
            .push(ClassId(class as i64), &row, f32::NAN)
            .expect("the disk works");
    }
    import.finish().expect("the disk works");
}

fn open(directory: &tempfile::TempDir) -> Snapshot {
    let store = Store::open(directory.path()).expect("the directory was just written");
    let id = "bench.1".parse().expect("the name is well-formed");
    let partition = store
        .partition(&id)
        .expect("the disk works")
        .expect("it was just made");
    partition.snapshot()
}

/// The best classes by a full sort of the scores of all rows, which are made once more.
fn sort(rows: usize, probe: &[f32]) -> Vec<Match> {
    let probe_length = length(probe);
    let scored = random_rows(rows, probe.len()).enumerate();
    let scored = scored.map(|(class, row)| Match {
        class: ClassId(class as i64),
        similarity: similarity(probe, probe_length, &row, length(&row)),
    });
    let mut all: Vec<Match> = scored.collect();
    all.sort_unstable_by(Match::rank_order);
    all.truncate(LIMIT_MAX);
    all
}

fn measure<F: FnOnce() -> Gallery>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    gallery: &LazyCell<Gallery, F>,
    case: &Case,
) {
    let options = Options {
        plan: case.plan,
        ..Options::default()
    };
    let plan = options.plan_for(case.probes);
    let chosen = if case.plan.is_some() { "" } else { ", chosen" };
    let Case {
        probes,
        limit,
        threads,
        ..
    } = case;
    let name = format!("{probes} probes, top {limit}, {threads} threads, {plan}{chosen}");
    let pool = Pool::new(*threads);
    group.bench_function(name, |b| {
        let probes = gallery.probes[..case.probes].iter();
        let queries = probes.map(|probe| Query::best(probe, case.limit));
        let queries: Vec<Query<'_>> = queries.collect();
        let ask = || search(&gallery.snapshot, black_box(&queries), &options, &pool);
        // Once before each run of many, which also reads all checksums.
        gallery.assert_right(&ask().expect("the partition is whole"), case);
        b.iter(ask);
    });
}

fn searches(criterion: &mut Criterion) {
    for (rows, dimension) in GALLERIES {
        let gallery = LazyCell::new(|| Gallery::new(rows, dimension));
        let mut group = criterion.benchmark_group(format!("{rows} x {dimension}"));
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(2));
        group.bench_function("open", |b| {
            let directory = &gallery.directory;
            b.iter(|| assert_eq!(open(directory).templates(), rows));
        });
        for case in cases() {
            let pairs = (rows * case.probes) as u64;
            group.throughput(Throughput::Elements(pairs));
            measure(&mut group, &gallery, &case);
        }
        group.finish();
    }
}

criterion_group!(benches, searches);
criterion_main!(benches);
