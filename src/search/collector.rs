//! The best classes seen so far.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use crate::types::{ClassId, Match};

/// Keeps the best classes within a limit of all that it is offered, each with its best similarity.
///
/// The order is total: falling similarity, then rising class, so that what is kept does not depend
/// on the order of offers. An offer costs a look-up, and a place in a tree if it is kept.
#[derive(Clone, Debug)]
pub struct TopK {
    limit: usize,
    best: HashMap<ClassId, f64>,
    ranked: BTreeSet<Ranked>,
}

impl TopK {
    /// Keeps the best `limit`.
    pub fn new(limit: usize) -> TopK {
        TopK {
            limit,
            best: HashMap::new(),
            ranked: BTreeSet::new(),
        }
    }

    /// How many are kept.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Considers one template's score.
    pub fn offer(&mut self, candidate: Match) {
        if let Some(&present) = self.best.get(&candidate.class) {
            if candidate.similarity <= present {
                return;
            }
            self.ranked.remove(&Ranked(Match {
                similarity: present,
                ..candidate
            }));
        } else if self.ranked.len() == self.limit {
            match self.ranked.last() {
                Some(&worst) if Ranked(candidate) < worst => {
                    self.ranked.remove(&worst);
                    self.best.remove(&worst.0.class);
                }
                _ => return,
            }
        }
        self.ranked.insert(Ranked(candidate));
        self.best.insert(candidate.class, candidate.similarity);
    }

    /// The similarity that a class must reach to be kept: that of the last within the limit, or
    /// minus infinity while there are fewer. A class that only equals it may still be kept, by its
    /// number.
    #[inline]
    pub fn threshold(&self) -> f64 {
        match self.ranked.last() {
            _ if self.ranked.len() < self.limit => f64::NEG_INFINITY,
            Some(worst) => worst.0.similarity,
            // Nothing is ever good enough to be the best none.
            None => f64::INFINITY,
        }
    }

    /// What was kept, best first.
    pub fn into_matches(self) -> Vec<Match> {
        self.ranked.into_iter().map(|ranked| ranked.0).collect()
    }
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

    /// Few classes and few scores, so that most offers tie with another.
    fn offers() -> impl Strategy<Value = Vec<Match>> {
        let offer = (-5_i64..15, -3_i32..4).prop_map(|(class, score)| Match {
            class: ClassId(class),
            similarity: f64::from(score) / 4.0,
        });
        prop::collection::vec(offer, 0..120)
    }

    proptest! {
        #[test]
        fn it_keeps_what_sorting_keeps(offers in offers(), limit in 0_usize..25) {
            let mut top = TopK::new(limit);
            offers.iter().for_each(|offer| top.offer(*offer));
            let expected = by_sorting(&offers, limit);
            let threshold = match expected.last() {
                Some(last) if expected.len() == limit => last.similarity,
                _ if limit == 0 => f64::INFINITY,
                _ => f64::NEG_INFINITY,
            };
            prop_assert_eq!(top.threshold(), threshold);
            prop_assert_eq!(top.into_matches(), expected);
        }

        /// Threads offer in whatever order they come.
        #[test]
        fn the_order_of_offers_does_not_matter(
            (offers, shuffled) in offers().prop_flat_map(|offers| {
                (Just(offers.clone()), Just(offers).prop_shuffle())
            }),
            limit in 1_usize..25,
        ) {
            let mut top = TopK::new(limit);
            shuffled.iter().for_each(|offer| top.offer(*offer));
            prop_assert_eq!(top.into_matches(), by_sorting(&offers, limit));
        }
    }
}
