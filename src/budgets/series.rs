//! Whether similarities climb.
//!
//! Similarities of probes that have nothing to do with each other come in any order alike. So the n-th of
//! them is the highest so far with a chance of 1/n, whatever came before (Rényi 1962), and whatever their
//! distribution is. Whoever climbs finds new highest ones more often. The test bets on that: it multiplies
//! how much likelier each observation is if highest ones keep coming with some rate. What it has won is
//! above 10^6 with a chance below one in 10^6 for a whole series, however long it becomes (Ville's
//! inequality), if nobody climbs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::Timestamp;

/// With which rates highest ones may keep coming; the stake is shared out among them. Climbers of
/// `scripts/recovery.py` find from one in two to one in a hundred.
const RATES: [f64; 4] = [0.5, 0.1, 0.03, 0.01];
/// What has to be won, as a natural logarithm.
const WON: f64 = 6.0 * std::f64::consts::LN_10;
/// Calls that follow each other faster are of one visit: somebody who comes nearer to a camera is more and
/// more alike, and does not climb. A visit is one observation, the highest of it.
const PAUSE: Duration = Duration::from_secs(5);
/// As many calls are of one visit at most, or climbers who never pause were one visit.
const VISIT_CALLS_MAX: u32 = 30;

/// Similarities of the probes of one caller to one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Visits that are over.
    visits: u32,
    /// The highest similarity of these.
    highest: f64,
    /// What each bet has won, as natural logarithms.
    bets: [f64; RATES.len()],
    /// The visit that goes on: how many calls, their highest similarity, and when the last was, in
    /// milliseconds since 1970.
    calls: u32,
    visit_highest: f64,
    last_unix_milliseconds: i64,
    climbs: bool,
}

impl Series {
    /// Another probe had this similarity, at `now`. Returns whether the series is found to climb by that.
    pub fn add(&mut self, similarity: f64, now: Timestamp) -> bool {
        let last = Timestamp {
            unix_milliseconds: self.last_unix_milliseconds,
        };
        let is_over = self.calls >= VISIT_CALLS_MAX || now > last.after(PAUSE);
        if self.calls > 0 && is_over {
            self.observe(self.visit_highest);
            self.calls = 0;
        }
        self.visit_highest = match self.calls {
            0 => similarity,
            _ => self.visit_highest.max(similarity),
        };
        self.calls += 1;
        self.last_unix_milliseconds = now.unix_milliseconds;
        let climbs = self.won() >= WON;
        climbs && !std::mem::replace(&mut self.climbs, climbs)
    }

    /// Whether it was found to climb.
    pub fn climbs(&self) -> bool {
        self.climbs
    }

    /// When the last probe came.
    pub(super) fn last(&self) -> Timestamp {
        Timestamp {
            unix_milliseconds: self.last_unix_milliseconds,
        }
    }

    fn observe(&mut self, similarity: f64) {
        self.visits = self.visits.saturating_add(1);
        if self.visits == 1 {
            self.highest = similarity;
            return;
        }
        let by_chance = 1.0 / f64::from(self.visits);
        let is_highest = similarity > self.highest;
        for (bet, rate) in self.bets.iter_mut().zip(RATES) {
            // Nobody bets on less than chance.
            let rate = rate.max(by_chance);
            *bet += match is_highest {
                true => (rate / by_chance).ln(),
                false => ((1.0 - rate) / (1.0 - by_chance)).ln(),
            };
        }
        if is_highest {
            self.highest = similarity;
        }
    }

    /// What all bets have won together, each with its share of the stake, as a natural logarithm.
    fn won(&self) -> f64 {
        let most = self.bets.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = self.bets.iter().map(|bet| (bet - most).exp()).sum();
        most + (sum / RATES.len() as f64).ln()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// When the n-th probe comes, of those that come so many seconds apart.
    fn at(n: usize, seconds: u64) -> Timestamp {
        let begin = Timestamp {
            unix_milliseconds: 1_700_000_000_000,
        };
        begin.after(Duration::from_secs(seconds) * u32::try_from(n).unwrap())
    }

    fn found(similarities: impl IntoIterator<Item = f64>, seconds: u64) -> Option<usize> {
        let mut series = Series::default();
        let all = similarities.into_iter().enumerate();
        let mut all = all.map(|(n, similarity)| series.add(similarity, at(n, seconds)));
        all.position(|is_found| is_found)
    }

    #[test]
    fn what_rises_is_found_and_what_does_not_is_not() {
        let rising = || (0..3000).map(|n| 0.5 + f64::from(n) * 1e-4);
        let found_at = found(rising(), 60).unwrap();
        assert!((10..30).contains(&found_at), "{found_at}");
        // Without a pause it takes as many calls as visits have.
        let found_at = found(rising(), 0).unwrap();
        assert!((300..900).contains(&found_at), "{found_at}");
        assert_eq!(found(rising().map(|similarity| -similarity), 60), None);
        assert_eq!(found(std::iter::repeat_n(0.9, 3000), 60), None);
        // One in twenty is better, and the others are not kept.
        let mostly_worse = (0..3000).map(|n| match n % 20 {
            0 => 0.5 + f64::from(n) * 1e-4,
            _ => 0.45,
        });
        assert!(found(mostly_worse, 60).unwrap() < 1000);
    }

    /// A hundred an hour, day and night, of one person: far below the budget, and never found to climb.
    #[test]
    fn a_person_who_is_recognised_a_hundred_times_an_hour_does_not_climb() {
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..200 {
            let day =
                (0..2_400).map(|_| 0.75 + 0.1 * (random.random::<f64>() - random.random::<f64>()));
            let day: Vec<f64> = day.collect();
            assert_eq!(found(day, 36), None);
        }
    }

    /// Frames of a camera, which see somebody better the nearer they come.
    #[test]
    fn a_person_who_comes_nearer_does_not_climb() {
        let mut random = StdRng::seed_from_u64(8);
        for _ in 0..100 {
            let mut series = Series::default();
            let mut now = at(0, 0);
            for _visit in 0..20 {
                let best = 0.7 + 0.1 * random.random::<f64>();
                for frame in 0..40 {
                    let near = best - 0.3 + 0.3 * f64::from(frame) / 40.0;
                    let seen = near + 0.02 * random.random::<f64>();
                    assert!(!series.add(seen, now));
                    now = now.after(Duration::from_millis(400));
                }
                now = now.after(Duration::from_secs(600));
            }
        }
    }

    proptest! {
        /// Whatever similarities are, in a random order they are not found to climb: the chance of all cases
        /// together is below one in a thousand.
        #[test]
        fn an_order_by_chance_is_no_climb(
            mut values in prop::collection::vec(-1.0_f64..1.0, 1..400),
            seed: u64,
        ) {
            values.shuffle(&mut StdRng::seed_from_u64(seed));
            prop_assert_eq!(found(values, 60), None);
        }

        /// Only the order counts: any rising curve of similarities gives the same.
        #[test]
        fn only_the_order_counts(values in prop::collection::vec(-1.0_f64..1.0, 1..200)) {
            let climbing = |values: Vec<f64>| {
                let mut series = Series::default();
                for (n, value) in values.into_iter().enumerate() {
                    series.add(value, at(n, 60));
                }
                series.bets
            };
            let bent = values.iter().map(|value| value.powi(3) / 2.0).collect();
            prop_assert_eq!(climbing(values), climbing(bent));
        }
    }
}
