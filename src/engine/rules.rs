//! Decisions about single classes: some have a threshold of their own, and some are said not to be the
//! same person as another who looks like them.
//!
//! A class is recognised if its similarity reaches the threshold, its own where it has one, and no class
//! that it is said not to be is more similar. Where no threshold is given nothing is decided, and nobody
//! is left out.

use std::cmp::Ordering;

use super::EngineError;
use crate::code::Probe;
use crate::partition::{Rules, Snapshot, StoreError};
use crate::search::{Answer, Options, Pool, Query, search};
use crate::types::{ClassId, Match};

/// By so many times more is asked for where too many of those that were found are left out.
const WIDER: usize = 4;
/// So many more are asked for at first, of those that the rules may leave out.
const SPARE_MAX: usize = 32;

/// Answers queries as the rules say.
///
/// # Errors
///
/// As [`search`].
pub(super) fn search_by(
    rules: &Rules,
    snapshot: &Snapshot,
    queries: &[Query<'_>],
    options: &Options,
    pool: &Pool,
) -> Result<Vec<Answer>, EngineError> {
    let spare = (rules.thresholds.len() + rules.not_same.len()).min(SPARE_MAX);
    let mut limits: Vec<usize> = queries
        .iter()
        .map(|query| match query.threshold {
            Some(_) => query.limit.saturating_add(spare),
            None => query.limit,
        })
        .collect();
    let mut answers: Vec<Option<Answer>> = vec![None; queries.len()];
    loop {
        let open: Vec<usize> = (0..queries.len())
            .filter(|&at| answers[at].is_none())
            .collect();
        if open.is_empty() {
            return Ok(answers.into_iter().flatten().collect());
        }
        let wider = |&at: &usize| Query {
            limit: limits[at],
            ..queries[at]
        };
        let asked: Vec<Query<'_>> = open.iter().map(wider).collect();
        let found = search(snapshot, &asked, options, pool)?;
        for (at, mut answer) in open.into_iter().zip(found) {
            let is_all = answer.matches.len() < limits[at];
            if let Some(threshold) = queries[at].threshold {
                let probe = queries[at].probe;
                let decision = Decision {
                    rules,
                    snapshot,
                    probe,
                    threshold,
                };
                let (matches, is_enough) =
                    decision.of(answer.matches, is_all, queries[at].limit)?;
                answer.matches = matches;
                if !is_enough {
                    limits[at] = limits[at].saturating_mul(WIDER);
                    continue;
                }
            }
            answers[at] = Some(answer);
        }
    }
}

/// What is decided of the classes that are most like one probe.
struct Decision<'a> {
    rules: &'a Rules,
    snapshot: &'a Snapshot,
    probe: &'a Probe,
    threshold: f64,
}

impl Decision<'_> {
    /// Those of `found`, which are all that reach the threshold if it `is_all`, who are recognised; at most
    /// `limit`. Also tells whether nobody can be missing.
    fn of(
        &self,
        found: Vec<Match>,
        is_all: bool,
        limit: usize,
    ) -> Result<(Vec<Match>, bool), StoreError> {
        let mut all = found;
        if is_all {
            all.extend(self.below()?);
            all.sort_unstable_by(Match::rank_order);
        }
        let mut recognised = Vec::new();
        for candidate in &all {
            if recognised.len() == limit {
                break;
            }
            if self.reaches(candidate) && !self.is_rather_another(candidate, &all)? {
                recognised.push(*candidate);
            }
        }
        let is_enough = is_all || recognised.len() == limit;
        Ok((recognised, is_enough))
    }

    /// Classes that do not reach the threshold, and have a lower one of their own which they reach.
    fn below(&self) -> Result<Vec<Match>, StoreError> {
        let mut below = Vec::new();
        for (&class, &own) in &self.rules.thresholds {
            if own < self.threshold
                && let Some(similarity) = similarity(self.snapshot, class, self.probe)?
                && (own..self.threshold).contains(&similarity)
            {
                below.push(Match { class, similarity });
            }
        }
        Ok(below)
    }

    fn reaches(&self, candidate: &Match) -> bool {
        let own = self.rules.thresholds.get(&candidate.class);
        candidate.similarity >= own.copied().unwrap_or(self.threshold)
    }

    /// Whether somebody whom the candidate is said not to be is more similar.
    fn is_rather_another(&self, candidate: &Match, all: &[Match]) -> Result<bool, StoreError> {
        let Some(others) = self.rules.not_same.get(&candidate.class) else {
            return Ok(false);
        };
        for &other in others {
            let known = all.iter().find(|found| found.class == other);
            let similar = match known {
                Some(found) => Some(found.similarity),
                // Whoever reaches the threshold and is more similar is among those found.
                None if candidate.similarity >= self.threshold => None,
                None => similarity(self.snapshot, other, self.probe)?,
            };
            if similar.is_some_and(|it| it.total_cmp(&candidate.similarity) == Ordering::Greater) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// How alike a probe and a class are; `None` if the class has no template.
pub(super) fn similarity(
    snapshot: &Snapshot,
    class: ClassId,
    probe: &Probe,
) -> Result<Option<f64>, StoreError> {
    let mut best: Option<f64> = None;
    for row in snapshot.rows_of(class)? {
        let similarity = probe.similarity(row.values()?, row.length()?);
        best = Some(best.map_or(similarity, |best| best.max(similarity)));
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::engine::{Engine, Gallery, IdentifyOptions};
    use crate::partition::{NewTemplate, Store};
    use crate::types::{
        Bcid, ClassThreshold, Embedding, EncoderId, NotSameAs, RecordChange, Timestamp,
    };

    const CLASSES: i64 = 12;

    fn gallery(seed: u64) -> (tempfile::TempDir, Gallery, Embedding) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let engine = Engine::new(Arc::new(store), Pool::Here);
        let encoder = EncoderId::new("e", "1", 16).unwrap();
        let mut random = rand::rngs::StdRng::seed_from_u64(seed);
        let mut embedding = || {
            let values: Vec<f32> = (0..16).map(|_| random.random_range(-0.2..1.0)).collect();
            Embedding::new(values).unwrap()
        };
        for class in 0..CLASSES {
            let template = NewTemplate {
                embedding: embedding(),
                quality: 1.0,
                portrait: None,
            };
            let bcid: Bcid = format!("a.1.{class}").parse().unwrap();
            let now = Timestamp::from_unix_seconds(1);
            engine.enroll(&bcid, &encoder, &[template], now).unwrap();
        }
        let gallery = engine.enrolled(&"a.1".parse().unwrap()).unwrap().unwrap();
        (directory, gallery, embedding())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// What is recognised is what a plain reading of the rules recognises, and a verification says
        /// the same.
        #[test]
        fn rules_are_followed(
            seed in 0_u64..1000,
            thresholds in prop::collection::btree_map(0..CLASSES, -1.0_f64..1.0, 0..6),
            pairs in prop::collection::vec((0..CLASSES, 0..CLASSES), 0..8),
            limit in 1_usize..14,
            threshold in prop::option::of(-0.5_f64..0.95),
        ) {
            let (_directory, gallery, sample) = gallery(seed);
            let mut not_same: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
            for (one, other) in pairs.into_iter().filter(|(one, other)| one != other) {
                not_same.entry(one).or_default().push(other);
                not_same.entry(other).or_default().push(one);
            }
            for class in 0..CLASSES {
                let others = not_same.get(&class).cloned().unwrap_or_default();
                let own = thresholds.get(&class).map(|own| ClassThreshold::new(*own).unwrap());
                let change = RecordChange {
                    threshold: Some(own),
                    not_same_as: Some(NotSameAs::new(others.into_iter().map(ClassId)).unwrap()),
                    ..RecordChange::default()
                };
                gallery.change_record(ClassId(class), change).unwrap();
            }
            let everybody = IdentifyOptions { limit: 99, threshold: None };
            let all = gallery.identify(&[&sample], &everybody).unwrap().matches;
            prop_assert_eq!(all.len() as i64, CLASSES, "nothing is decided without a threshold");
            let of = |class: i64| all.iter().find(|it| it.class.0 == class).unwrap().similarity;
            let is_recognised = |found: &Match, general: f64| {
                let own = thresholds.get(&found.class.0).copied().unwrap_or(general);
                let others = not_same.get(&found.class.0).into_iter().flatten();
                found.similarity >= own && others.copied().all(|other| of(other) <= found.similarity)
            };
            let options = IdentifyOptions { limit, threshold };
            let found = gallery.identify(&[&sample], &options).unwrap().matches;
            let expected = all.iter().filter(|it| threshold.is_none_or(|least| is_recognised(it, least)));
            let expected: Vec<Match> = expected.take(limit).copied().collect();
            prop_assert_eq!(found, expected);
            if let Some(least) = threshold {
                for it in &all {
                    let verified = gallery.verify(it.class, &[&sample]).unwrap().unwrap();
                    prop_assert_eq!(verified.is_accepted(least), is_recognised(it, least));
                }
            }
        }
    }
}
