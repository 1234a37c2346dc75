//! Pairs of classes equal those that comparing all with all finds, bit for bit.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::engine::{Engine, Gallery};
use vultus::partition::Store;
use vultus::search::Pool;
use vultus::types::{ClassId, EncoderId, Pair, PartitionId, Timestamp};

use super::naive::{self, Row};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 0,
};
const DIMENSION: usize = 16;

/// Compare all templates with all, keep the best of each pair of classes, sort.
fn by_comparing_all(rows: &[Row], threshold: f64) -> Vec<(f64, i64, i64)> {
    let mut best: BTreeMap<(i64, i64), f64> = BTreeMap::new();
    for (class, row) in rows {
        for (other, other_row) in rows.iter().filter(|(other, _)| class < other) {
            let similarity = naive::cosine(row, other_row);
            let entry = best.entry((*class, *other)).or_insert(similarity);
            *entry = entry.max(similarity);
        }
    }
    best.retain(|_, similarity| *similarity >= threshold);
    let pair = |((class, other), similarity)| (similarity, class, other);
    let mut pairs: Vec<_> = best.into_iter().map(pair).collect();
    // Stable, and in the order of classes before.
    pairs.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap());
    pairs
}

/// A gallery of imported rows, of which the classes in `removed` are removed again.
fn gallery(
    directory: &tempfile::TempDir,
    rows: &[Row],
    removed: &[i64],
    threads: usize,
) -> Gallery {
    let engine = Engine::new(
        Arc::new(Store::open(directory.path()).unwrap()),
        Pool::new(threads),
    );
    let id: PartitionId = "bws.1".parse().unwrap();
    let encoder = EncoderId::new("test", "1", DIMENSION).unwrap();
    let partition = engine.store().partition_for(&id, &encoder, NOW).unwrap();
    // In several runs, so that there are several blocks.
    for rows in rows.chunks(rows.len().div_ceil(3).max(1)) {
        let mut import = partition.import(&encoder, rows.len(), NOW).unwrap();
        for (class, row) in rows {
            import.push(ClassId(*class), row, f32::NAN).unwrap();
        }
        import.finish().unwrap();
    }
    for class in removed {
        partition.remove(ClassId(*class)).unwrap();
    }
    engine.enrolled(&id).unwrap().unwrap()
}

fn plain(pairs: &[Pair]) -> Vec<(f64, i64, i64)> {
    let plain = |pair: &Pair| (pair.similarity, pair.class.0, pair.other.0);
    pairs.iter().map(plain).collect()
}

fn random_row(random: &mut StdRng) -> Vec<f32> {
    (0..DIMENSION)
        .map(|_| random.random_range(-1.0..1.0))
        .collect()
}

proptest! {
    // Every case opens a data directory and imports three times.
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn pairs_equal_those_of_comparing_all(
        seed in any::<u64>(),
        count in 1_usize..80,
        classes in prop::sample::select(&[1_i64, 4, 40]),
        different in prop::sample::select(&[1_usize, 5, 1_000]),
        least in prop::sample::select(&[-1.0, 0.0, 0.3, 0.9]),
        exactly in any::<prop::sample::Index>(),
        threads in 1_usize..3,
    ) {
        let mut random = StdRng::seed_from_u64(seed);
        // Few different rows make many ties, and pairs that are as alike as can be.
        let pool: Vec<Vec<f32>> = (0..different.min(count)).map(|_| random_row(&mut random)).collect();
        let mut rows: Vec<Row> = (0..count)
            .map(|_| {
                let row = pool[random.random_range(0..pool.len())].clone();
                (random.random_range(-classes..=classes), row)
            })
            .collect();
        let directory = tempfile::tempdir().unwrap();
        let removed = [rows[0].0, 1];
        let gallery = gallery(&directory, &rows, &removed, threads);
        rows.retain(|(class, _)| !removed.contains(class));
        let mut progress = 0;
        let found = gallery.duplicates(least, |done| progress = done).unwrap();
        let expected = by_comparing_all(&rows, least);
        prop_assert_eq!(&plain(&found), &expected);
        prop_assert_eq!(progress, rows.len());

        // A threshold that a pair just reaches, and just misses.
        if !expected.is_empty() {
            let (similarity, class, other) = expected[exactly.index(expected.len())];
            let found = gallery.duplicates(similarity, |_| ()).unwrap();
            prop_assert_eq!(plain(&found), by_comparing_all(&rows, similarity));
            prop_assert!(plain(&found).contains(&(similarity, class, other)));
            let found = gallery.duplicates(similarity.next_up(), |_| ()).unwrap();
            prop_assert!(!plain(&found).contains(&(similarity, class, other)));
        }
    }
}

#[test]
fn a_pair_is_found_across_passes() {
    let mut random = StdRng::seed_from_u64(3);
    let mut rows: Vec<Row> = (0..2_500)
        .map(|class| (class, random_row(&mut random)))
        .collect();
    // From the first pass to the last, and the other way round.
    rows[2_400].1 = rows[7].1.clone();
    rows[11].0 = 9_000;
    rows[2_300].1 = rows[11].1.clone();
    let directory = tempfile::tempdir().unwrap();
    let gallery = gallery(&directory, &rows, &[], 2);
    let mut steps = Vec::new();
    let found = gallery.duplicates(0.9999, |done| steps.push(done)).unwrap();
    assert_eq!(plain(&found), by_comparing_all(&rows, 0.9999));
    assert!(found.len() >= 2);
    assert_eq!(steps, [1_024, 2_048, 2_500]);
}
