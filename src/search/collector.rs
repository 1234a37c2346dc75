//! The best classes seen so far.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use crate::types::{ClassId, Match};

/// Up to so many classes are kept as a list. It is a few kilobytes then, and to look through it takes
/// less than a look-up by a hash and places in a tree, which longer ones need: with a limit of 250 a
/// search of 100,000 rows for 64 probes took 0.59, 0.77 and 0.93 of the time (three pairs of runs).
const LISTED_MAX: usize = 256;

/// Keeps the best classes within a limit of all that it is offered, each with its best similarity.
///
/// The order is total: falling similarity, then rising class, so that what is kept does not depend
/// on the order of offers. An offer costs a comparison, and what is kept a place among the others.
#[derive(Clone, Debug)]
pub struct TopK {
    limit: usize,
    kept: Kept,
}

#[derive(Clone, Debug)]
enum Kept {
    /// Best first.
    List(Vec<Match>),
    Tree {
        best: HashMap<ClassId, f64>,
        ranked: BTreeSet<Ranked>,
    },
}

impl TopK {
    /// Keeps the best `limit`.
    pub fn new(limit: usize) -> TopK {
        let kept = match limit <= LISTED_MAX {
            true => Kept::List(Vec::new()),
            false => Kept::tree(),
        };
        TopK { limit, kept }
    }

    /// How many are kept.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Considers one template's score.
    #[inline]
    pub fn offer(&mut self, candidate: Match) {
        // Also of a class that is kept: its best similarity is not below the worst then.
        if self.is_full()
            && self
                .worst()
                .is_none_or(|worst| !is_better(&candidate, worst))
        {
            return;
        }
        match &mut self.kept {
            Kept::List(list) => keep_in_list(list, self.limit, candidate),
            Kept::Tree { best, ranked } => keep_in_tree(best, ranked, self.limit, candidate),
        }
    }

    /// The similarity that a class must reach to be kept: that of the last within the limit, or
    /// minus infinity while there are fewer. A class that only equals it may still be kept, by its
    /// number.
    #[inline]
    pub fn threshold(&self) -> f64 {
        match self.worst() {
            _ if !self.is_full() => f64::NEG_INFINITY,
            Some(worst) => worst.similarity,
            // Nothing is ever good enough to be the best none.
            None => f64::INFINITY,
        }
    }

    /// What was kept, best first.
    pub fn into_matches(self) -> Vec<Match> {
        match self.kept {
            Kept::List(list) => list,
            Kept::Tree { ranked, .. } => ranked.into_iter().map(|ranked| ranked.0).collect(),
        }
    }

    #[inline]
    fn is_full(&self) -> bool {
        let kept = match &self.kept {
            Kept::List(list) => list.len(),
            Kept::Tree { ranked, .. } => ranked.len(),
        };
        kept == self.limit
    }

    #[inline]
    fn worst(&self) -> Option<&Match> {
        match &self.kept {
            Kept::List(list) => list.last(),
            Kept::Tree { ranked, .. } => ranked.last().map(|worst| &worst.0),
        }
    }
}

impl Kept {
    fn tree() -> Kept {
        Kept::Tree {
            best: HashMap::new(),
            ranked: BTreeSet::new(),
        }
    }
}

#[inline]
fn is_better(one: &Match, other: &Match) -> bool {
    one.rank_order(other).is_lt()
}

/// Keeps a candidate that is better than the worst, or while there is room.
fn keep_in_list(list: &mut Vec<Match>, limit: usize, candidate: Match) {
    let of_class = |kept: &Match| kept.class == candidate.class;
    if let Some(at) = list.iter().position(of_class) {
        if !is_better(&candidate, &list[at]) {
            return;
        }
        list.remove(at);
    } else if list.len() == limit {
        list.pop();
    }
    let at = list.partition_point(|kept| is_better(kept, &candidate));
    list.insert(at, candidate);
}

/// As [`keep_in_list`].
fn keep_in_tree(
    best: &mut HashMap<ClassId, f64>,
    ranked: &mut BTreeSet<Ranked>,
    limit: usize,
    candidate: Match,
) {
    if let Some(&similarity) = best.get(&candidate.class) {
        let present = Match {
            similarity,
            ..candidate
        };
        if !is_better(&candidate, &present) {
            return;
        }
        ranked.remove(&Ranked(present));
    } else if ranked.len() == limit
        && let Some(worst) = ranked.pop_last()
    {
        best.remove(&worst.0.class);
    }
    ranked.insert(Ranked(candidate));
    best.insert(candidate.class, candidate.similarity);
}

/// A match that sorts by rank: the best is the least.
#[derive(Clone, Copy, Debug)]
struct Ranked(Match);

impl Ord for Ranked {
    #[inline]
    fn cmp(&self, other: &Ranked) -> Ordering {
        self.0.rank_order(&other.0)
    }
}

impl PartialOrd for Ranked {
    #[inline]
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sort everything, keep the first of each class, take `limit`.
    fn by_sorting(offers: &[Match], limit: usize) -> Vec<Match> {
        let mut sorted = offers.to_vec();
        sorted.sort_by(Match::rank_order);
        let mut seen = std::collections::HashSet::new();
        sorted.retain(|offer| seen.insert(offer.class));
        sorted.truncate(limit);
        sorted
    }

    /// None yet, as a list and as a tree.
    fn both(limit: usize) -> [TopK; 2] {
        let tree = TopK {
            limit,
            kept: Kept::tree(),
        };
        [TopK::new(limit), tree]
    }

    /// Few classes and few scores, so that most offers tie with another. Two of the scores are zeros
    /// with different signs, which are not the same to a sort.
    fn offers() -> impl Strategy<Value = Vec<Match>> {
        let offer = (-5_i64..15, -3_i32..5).prop_map(|(class, score)| Match {
            class: ClassId(class),
            similarity: match score {
                4 => -0.0,
                _ => f64::from(score) / 4.0,
            },
        });
        prop::collection::vec(offer, 0..120)
    }

    fn bits(matches: &[Match]) -> Vec<(ClassId, u64)> {
        let bits = |found: &Match| (found.class, found.similarity.to_bits());
        matches.iter().map(bits).collect()
    }

    #[test]
    fn a_limit_beyond_what_is_listed_is_kept_too() {
        let class = |number: usize| ClassId(number as i64);
        for limit in [LISTED_MAX, LISTED_MAX + 1] {
            let mut top = TopK::new(limit);
            // Each twice, the worst first.
            for number in (0..2 * LISTED_MAX).flat_map(|number| [number, number]) {
                top.offer(Match {
                    class: class(number),
                    similarity: number as f64 / 1_024.0,
                });
            }
            let found = top.into_matches().into_iter().map(|found| found.class);
            let expected = (0..2 * LISTED_MAX).rev().take(limit).map(class);
            assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
    }

    proptest! {
        #[test]
        fn it_keeps_what_sorting_keeps(offers in offers(), limit in 0_usize..25) {
            let expected = by_sorting(&offers, limit);
            let threshold = match expected.last() {
                Some(last) if expected.len() == limit => last.similarity,
                _ if limit == 0 => f64::INFINITY,
                _ => f64::NEG_INFINITY,
            };
            for mut top in both(limit) {
                offers.iter().for_each(|offer| top.offer(*offer));
                prop_assert_eq!(top.threshold().to_bits(), threshold.to_bits());
                prop_assert_eq!(bits(&top.into_matches()), bits(&expected));
            }
        }

        /// Threads offer in whatever order they come.
        #[test]
        fn the_order_of_offers_does_not_matter(
            (offers, shuffled) in offers().prop_flat_map(|offers| {
                (Just(offers.clone()), Just(offers).prop_shuffle())
            }),
            limit in 1_usize..25,
        ) {
            for mut top in both(limit) {
                shuffled.iter().for_each(|offer| top.offer(*offer));
                prop_assert_eq!(bits(&top.into_matches()), bits(&by_sorting(&offers, limit)));
            }
        }
    }
}
