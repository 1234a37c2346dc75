//! One probe against 100,000 templates, and what it takes to open a large partition.
//!
//! `cargo bench --bench search --no-default-features`; every case asserts its answer.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::code::Probe;
use vultus::partition::{Snapshot, Store};
use vultus::search::{Options, Pool, search};
use vultus::types::{ClassId, Embedding, EncoderId, Timestamp};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 0,
};

fn row(dimension: usize, random: &mut StdRng) -> Vec<f32> {
    (0..dimension)
        .map(|_| random.random_range(-1.0..1.0))
        .collect()
}

/// A partition of random rows, whose classes are their numbers; the last row is the probe.
fn fill(directory: &tempfile::TempDir, rows: usize, dimension: usize) -> Probe {
    let store = Store::open(directory.path()).expect("the directory is new");
    let encoder = EncoderId::new("bench", "1", dimension).expect("the name is well-formed");
    let id = "bench.1".parse().expect("the name is well-formed");
    let partition = store
        .partition_for(&id, &encoder, NOW)
        .expect("the disk works");
    let mut import = partition
        .import(&encoder, rows, NOW)
        .expect("the disk works");
    let mut random = StdRng::seed_from_u64(1);
    let mut last = Vec::new();
    for class in 0..rows {
        last = row(dimension, &mut random);
        import
            .push(ClassId(class as i64), &last, f32::NAN)
            .expect("the disk works");
    }
    import.finish().expect("the disk works");
    Probe::new(&Embedding::new(last).expect("values are finite"))
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

fn one_probe(criterion: &mut Criterion) {
    const ROWS: usize = 100_000;
    let mut group = criterion.benchmark_group("one probe, 100,000 rows, top 20");
    group
        .sample_size(30)
        .throughput(Throughput::Elements(ROWS as u64));
    for dimension in [128, 512] {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let probe = [fill(&directory, ROWS, dimension)];
        let snapshot = open(&directory);
        for threads in [1, 2] {
            let pool = Pool::new(threads);
            let ask = || search(&snapshot, black_box(&probe), &Options::best(20), &pool);
            let answer = ask().expect("the partition is whole").remove(0);
            assert_eq!(
                answer.matches[0].class,
                ClassId(ROWS as i64 - 1),
                "the probe itself"
            );
            assert_eq!(
                (answer.matches.len(), answer.certificate.rows_scanned),
                (20, ROWS)
            );
            group.bench_function(format!("{dimension} values, {threads} threads"), |b| {
                b.iter(ask);
            });
        }
    }
    group.finish();
}

fn opening(criterion: &mut Criterion) {
    const ROWS: usize = 1_000_000;
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    fill(&directory, ROWS, 128);
    let mut group = criterion.benchmark_group("open a partition");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(5));
    group.bench_function("1,000,000 rows of 128 values", |b| {
        b.iter(|| assert_eq!(open(&directory).templates(), ROWS));
    });
    group.finish();
}

criterion_group!(benches, one_probe, opening);
criterion_main!(benches);
