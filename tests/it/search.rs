//! Every answer equals that of the naive search, bit for bit.

use std::sync::Arc;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::code::Probe;
use vultus::kernel::{Isa, Kernel};
use vultus::partition::{NewTemplate, Partition, Store};
use vultus::search::{Options, Plan, Pool, Query, SearchError, search};
use vultus::types::{ClassId, Embedding, EncoderId, Timestamp};

use super::naive::{self, Row};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 0,
};

/// How rows are distributed: each kind attacks the search in its own way.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Directions without preference.
    Random,
    /// Few different rows, so that most scores tie.
    Duplicates,
    /// Rows that differ in their last bits only, so that codes cannot tell them apart.
    NearDuplicates,
    /// One row for all.
    AllEqual,
    /// One value that dwarfs the others, so that the codes of the others are zero.
    Dominant,
    /// Lengths from the smallest to the largest numbers.
    Extreme,
}

const KINDS: [Kind; 6] = [
    Kind::Random,
    Kind::Duplicates,
    Kind::NearDuplicates,
    Kind::AllEqual,
    Kind::Dominant,
    Kind::Extreme,
];

fn row(kind: Kind, dimension: usize, random: &mut StdRng) -> Vec<f32> {
    let normal = |seed: u64| -> Vec<f32> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..dimension)
            .map(|_| random.random_range(-1.0..1.0))
            .collect()
    };
    match kind {
        Kind::Random => normal(random.random()),
        Kind::Duplicates => normal(random.random_range(0..5)),
        Kind::NearDuplicates => {
            let mut row = normal(1);
            let at = random.random_range(0..dimension);
            row[at] = row[at].next_up();
            row
        }
        Kind::AllEqual => normal(1),
        Kind::Dominant => {
            let mut row = normal(random.random());
            row[random.random_range(0..3)] = 1e4;
            row
        }
        Kind::Extreme => {
            let scale = [1e-40, 1e-20, 1.0, 1e20, 3e38][random.random_range(0..5)];
            normal(random.random())
                .iter()
                .map(|value| value * scale)
                .collect()
        }
    }
}

/// Fills a partition by enrolments, an import and removals; returns what must be in it.
fn fill(
    partition: &Partition,
    encoder: &EncoderId,
    kind: Kind,
    count: usize,
    classes: i64,
    random: &mut StdRng,
) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let new = |random: &mut StdRng| {
        let class = random.random_range(-classes..=classes);
        (class, row(kind, encoder.dimension(), random))
    };
    let imported: Vec<Row> = (0..count / 2).map(|_| new(random)).collect();
    if !imported.is_empty() {
        let mut import = partition.import(encoder, imported.len(), NOW).unwrap();
        for (class, row) in &imported {
            import.push(ClassId(*class), row, f32::NAN).unwrap();
        }
        import.finish().unwrap();
        rows.extend(imported);
    }
    while rows.len() < count {
        let (class, row) = new(random);
        let template = NewTemplate {
            embedding: Embedding::new(row.clone()).unwrap(),
            quality: 1.0,
            portrait: None,
        };
        partition
            .enroll(ClassId(class), encoder, &[template], usize::MAX, NOW)
            .unwrap();
        rows.push((class, row));
        if random.random_ratio(1, 40) {
            partition.seal().unwrap();
        }
        if random.random_ratio(1, 20) {
            let removed = rows[random.random_range(0..rows.len())].0;
            assert!(partition.remove(ClassId(removed)).unwrap().was_enrolled());
            rows.retain(|(class, _)| *class != removed);
        }
    }
    rows
}

fn partition(directory: &tempfile::TempDir, encoder: &EncoderId) -> Arc<Partition> {
    let store = Store::open(directory.path()).unwrap();
    store
        .partition_for(&"bws.1".parse().unwrap(), encoder, NOW)
        .unwrap()
}

/// The most classes that a query asks for: none, the first, many, and all there are.
const LIMITS: &[usize] = &[0, 1, 3, 5, 20, 1_000, usize::MAX];

fn thresholds() -> impl Strategy<Value = Option<f64>> {
    let fixed = prop::sample::select(&[None, Some(-1.0), Some(0.3), Some(1.0)]);
    prop_oneof![fixed, (-0.2_f64..0.9).prop_map(Some)]
}

proptest! {
    // Every case opens a data directory and syncs dozens of transactions.
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_equals_the_naive_one(
        seed in any::<u64>(),
        kind in prop::sample::select(&KINDS),
        dimension in prop::sample::select(&[16_usize, 100, 128, 129, 512]),
        count in 0_usize..150,
        classes in prop::sample::select(&[2_i64, 30, 1_000]),
        limits in prop::collection::vec(prop::sample::select(LIMITS), 1..6),
        thresholds in prop::collection::vec(thresholds(), 1..6),
        probe_count in prop::sample::select(&[1_usize, 2, 5, 12]),
        threads in 1_usize..4,
    ) {
        let mut random = StdRng::seed_from_u64(seed);
        let encoder = EncoderId::new("test", "1", dimension).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let partition = partition(&directory, &encoder);
        let rows = fill(&partition, &encoder, kind, count, classes, &mut random);
        let snapshot = partition.snapshot();
        prop_assert_eq!(snapshot.templates(), rows.len());

        // Strangers, and enrolled rows themselves.
        let enrolled = rows.iter().take(probe_count / 2).map(|(_, row)| row.clone());
        let mut probes: Vec<Vec<f32>> = enrolled.collect();
        while probes.len() < probe_count {
            probes.push(row(kind, dimension, &mut random));
        }
        let embeddings: Vec<Embedding> =
            probes.iter().map(|probe| Embedding::new(probe.clone()).unwrap()).collect();
        let prepared: Vec<Probe> = embeddings.iter().map(Probe::new).collect();
        // Limits and thresholds differ from probe to probe.
        let queries: Vec<Query<'_>> = prepared.iter().enumerate().map(|(at, probe)| Query {
            probe,
            limit: limits[at % limits.len()],
            threshold: thresholds[at % thresholds.len()],
        }).collect();
        let kernels = Isa::available().filter_map(Kernel::for_isa);
        for (kernel, plan) in kernels.flat_map(|kernel| Plan::ALL.map(|plan| (kernel, plan))) {
            let options = Options { kernel, plan: Some(plan) };
            let answers = search(&snapshot, &queries, &options, &Pool::new(threads)).unwrap();
            prop_assert_eq!(answers.len(), probes.len());
            for ((answer, probe), query) in answers.iter().zip(&probes).zip(&queries) {
                let expected = naive::search(&rows, probe, query.limit, query.threshold);
                prop_assert_eq!(&answer.matches, &expected);
                let certificate = answer.certificate;
                prop_assert_eq!((certificate.isa, certificate.plan), (kernel.isa(), plan));
                prop_assert_eq!(certificate.rows_scanned, rows.len());
                prop_assert!(certificate.rows_scored <= rows.len());
            }
        }
    }
}

#[test]
fn a_large_gallery_is_scanned_in_many_runs_and_few_rows_are_scored() {
    let mut random = StdRng::seed_from_u64(11);
    let encoder = EncoderId::new("test", "1", 128).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let partition = partition(&directory, &encoder);
    let rows: Vec<Row> = (0..20_000)
        .map(|class| (class, row(Kind::Random, 128, &mut random)))
        .collect();
    let mut import = partition.import(&encoder, rows.len(), NOW).unwrap();
    for (class, row) in &rows {
        import.push(ClassId(*class), row, f32::NAN).unwrap();
    }
    import.finish().unwrap();
    let probe = row(Kind::Random, 128, &mut random);
    let prepared = Probe::new(&Embedding::new(probe.clone()).unwrap());
    for threads in [1, 2, 5] {
        let (query, options) = (Query::best(&prepared, 20), Options::default());
        let pool = Pool::new(threads);
        let answer = search(&partition.snapshot(), &[query], &options, &pool).unwrap();
        assert_eq!(answer[0].matches, naive::search(&rows, &probe, 20, None));
        let scored = answer[0].certificate.rows_scored;
        assert!(scored < 1_000, "{scored} rows were scored");
    }
}

/// Large enough for seeds, several runs, and probes in more than one chunk; with ties by the
/// thousand at the last place, and rows that codes cannot tell apart. Limits and thresholds differ
/// from probe to probe, so that some are seeded and others are not.
#[test]
fn every_plan_is_exact_in_a_large_gallery() {
    for kind in [Kind::Random, Kind::Duplicates, Kind::NearDuplicates] {
        let mut random = StdRng::seed_from_u64(12);
        let encoder = EncoderId::new("test", "1", 32).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let partition = partition(&directory, &encoder);
        let mut rows: Vec<Row> = (0..9_000)
            .map(|row| (row / 2, self::row(kind, 32, &mut random)))
            .collect();
        let mut import = partition.import(&encoder, rows.len(), NOW).unwrap();
        for (class, row) in &rows {
            import.push(ClassId(*class), row, f32::NAN).unwrap();
        }
        import.finish().unwrap();
        for removed in [0, 7, 4_499] {
            assert!(partition.remove(ClassId(removed)).unwrap().was_enrolled());
            rows.retain(|(class, _)| *class != removed);
        }
        let probes: Vec<Vec<f32>> = (0..200).map(|_| row(kind, 32, &mut random)).collect();
        let prepared: Vec<Probe> = probes
            .iter()
            .map(|probe| Probe::new(&Embedding::new(probe.clone()).unwrap()))
            .collect();
        for mixed in [false, true] {
            let query = |at: usize| match mixed {
                false => Query::best(&prepared[at], 20),
                true => Query {
                    probe: &prepared[at],
                    limit: match at {
                        // Few, since each scores most rows exactly.
                        40 | 191 => usize::MAX,
                        80 => 1_000,
                        _ => [20, 1, 5, 0][at / 8 % 4],
                    },
                    threshold: [None, Some(0.4), Some(-1.0), Some(1.0), Some(0.3)][at % 5],
                },
            };
            let queries: Vec<Query<'_>> = (0..200).map(query).collect();
            // Every eighth answer is compared, with those at the borders of chunks among them.
            let compared: Vec<usize> = (0..200).filter(|at| at % 8 == 0 || *at == 191).collect();
            let expected = compared.iter().map(|at| {
                let query = &queries[*at];
                naive::search(&rows, &probes[*at], query.limit, query.threshold)
            });
            let expected: Vec<_> = expected.collect();
            for (kernel, plan) in Isa::available()
                .filter_map(Kernel::for_isa)
                .flat_map(|kernel| Plan::ALL.map(|plan| (kernel, plan)))
            {
                let plan = Some(plan);
                let (options, pool) = (Options { kernel, plan }, Pool::new(2));
                let answers = search(&partition.snapshot(), &queries, &options, &pool).unwrap();
                for (at, expected) in compared.iter().zip(&expected) {
                    assert_eq!(
                        &answers[*at].matches, expected,
                        "{kind:?} {plan:?} {kernel:?} {at}, mixed: {mixed}"
                    );
                }
            }
        }
    }
}

/// A gallery of 3,000 random rows of 512 values.
fn three_thousand(directory: &tempfile::TempDir, random: &mut StdRng) -> Arc<Partition> {
    let encoder = EncoderId::new("test", "1", 512).unwrap();
    let partition = partition(directory, &encoder);
    let mut import = partition.import(&encoder, 3_000, NOW).unwrap();
    for class in 0..3_000 {
        let row = row(Kind::Random, 512, random);
        import.push(ClassId(class), &row, f32::NAN).unwrap();
    }
    import.finish().unwrap();
    partition
}

/// The reason for a coarse pass: hardly any row is looked at twice where a threshold says enough.
#[test]
fn a_threshold_spares_second_looks() {
    let mut random = StdRng::seed_from_u64(13);
    let directory = tempfile::tempdir().unwrap();
    let partition = three_thousand(&directory, &mut random);
    let probe = Probe::new(&Embedding::new(row(Kind::Random, 512, &mut random)).unwrap());
    let query = Query {
        threshold: Some(0.5),
        ..Query::best(&probe, 20)
    };
    let options = Options {
        plan: Some(Plan::Coarse),
        ..Options::default()
    };
    let answers = search(&partition.snapshot(), &[query], &options, &Pool::Here).unwrap();
    let certificate = answers[0].certificate;
    assert_eq!((certificate.rows_refined, certificate.rows_scored), (0, 0));
    // 256 bytes of high nibbles, a scale and a residual.
    assert_eq!(certificate.bytes_read, 3_000 * (256 + 8));
}

/// Six bits leave over a few rows in a hundred; if thresholds did not reach the limits, all would be.
#[test]
fn a_tile_in_six_bits_looks_again_at_few_rows() {
    let Some(kernel) = Kernel::for_isa(Isa::Avx2) else {
        println!("no AVX2 here");
        return;
    };
    let mut random = StdRng::seed_from_u64(14);
    let directory = tempfile::tempdir().unwrap();
    let partition = three_thousand(&directory, &mut random);
    // More than one chunk of them.
    let probe = |_| Probe::new(&Embedding::new(row(Kind::Random, 512, &mut random)).unwrap());
    let probes: Vec<Probe> = (0..200).map(probe).collect();
    let options = Options {
        plan: Some(Plan::Tile),
        kernel,
    };
    let queries: Vec<Query<'_>> = probes.iter().map(|probe| Query::best(probe, 5)).collect();
    let answers = search(&partition.snapshot(), &queries, &options, &Pool::Here).unwrap();
    for answer in answers {
        let refined = answer.certificate.rows_refined;
        assert!(refined < 1_000, "{refined} of 3,000");
    }
}

#[test]
fn the_documented_order_of_operations_is_within_rounding_of_the_plain_one() {
    let mut random = StdRng::seed_from_u64(5);
    for dimension in [16, 128, 4096] {
        let (a, b) = (
            row(Kind::Random, dimension, &mut random),
            row(Kind::Random, dimension, &mut random),
        );
        assert!((naive::cosine(&a, &b) - naive::plain_cosine(&a, &b)).abs() < 1e-14);
    }
}

#[test]
fn an_empty_gallery_has_an_empty_answer() {
    let encoder = EncoderId::new("test", "1", 16).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let partition = partition(&directory, &encoder);
    let probe = Probe::new(&Embedding::new(vec![1.0; 16]).unwrap());
    let (query, options) = (Query::best(&probe, 5), Options::default());
    let answers = search(&partition.snapshot(), &[query], &options, &Pool::Here).unwrap();
    assert_eq!(
        (
            answers[0].matches.len(),
            answers[0].certificate.rows_scanned
        ),
        (0, 0)
    );
    let none = search(&partition.snapshot(), &[], &options, &Pool::Here).unwrap();
    assert!(none.is_empty());
}

#[test]
fn a_probe_of_another_dimension_is_named() {
    let encoder = EncoderId::new("test", "1", 16).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let partition = partition(&directory, &encoder);
    let probes = [16, 17].map(|length| Probe::new(&Embedding::new(vec![1.0; length]).unwrap()));
    let queries = [0, 1].map(|at| Query::best(&probes[at], 5));
    let options = Options::default();
    let error = search(&partition.snapshot(), &queries, &options, &Pool::Here).unwrap_err();
    assert!(
        matches!(
            error,
            SearchError::Dimension {
                at: 1,
                found: 17,
                ..
            }
        ),
        "{error}"
    );
}
