//! How long a pass over a gallery takes, from those before.

use std::time::Duration;

/// One for passes of each number of probes to the next power of two.
const SIZES: usize = 16;
/// How much the last pass counts against all before.
const NEWEST_WEIGHT: f64 = 0.25;
/// What is done once a pass takes as long as to look at so many rows: it decides how long passes over
/// small galleries take.
const ROWS_OF_OVERHEAD: usize = 4096;
/// Answers are never thought to be later than this, as a multiple of what was expected: one that was
/// held up must not keep all others out.
const LATENESS_MAX: f64 = 4.0;
/// How much the newest answer counts against all before: a few passes decide.
const NEWEST_ANSWER_WEIGHT: f64 = 0.01;

/// What a pass goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) rows: usize,
    /// Values of each.
    pub(super) dimension: usize,
}

/// What passes took lately, by how many probes they had.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    seconds_per_value: [Option<f64>; SIZES],
}

impl Pace {
    /// A pass for `probes` probes took so long.
    pub(super) fn learn(&mut self, extent: Extent, probes: usize, taken: Duration) {
        let seconds = taken.as_secs_f64() / extent.values();
        let known = &mut self.seconds_per_value[size(probes)];
        *known = Some(known.map_or(seconds, |before| {
            before + NEWEST_WEIGHT * (seconds - before)
        }));
    }

    /// How long such a pass will probably take. Zero as long as there was none of any kind.
    pub(super) fn of(&self, extent: Extent, probes: usize) -> Duration {
        if probes == 0 {
            return Duration::ZERO;
        }
        let at = size(probes);
        let known = |at: usize| self.seconds_per_value[at];
        // More probes take longer, and not in proportion, since they share the memory that is read.
        // What is guessed too low is corrected by the first pass; what is guessed too high would
        // keep that pass from ever happening.
        let guess = || {
            let below = (0..at).rev().find_map(|below| Some((below, known(below)?)));
            below.map(|(below, seconds)| seconds * f64::from(1_u32 << (at - below)).sqrt())
        };
        let own = known(at).or_else(guess);
        // So is what was measured once on a bad day: it is never more than so many smaller passes, nor
        // than a larger one.
        let smaller = (0..at).filter_map(|below| {
            let times_as_many = f64::from(1_u32 << (at - below));
            Some(known(below)? * times_as_many)
        });
        let larger = (at + 1..SIZES).filter_map(known);
        let all = own.into_iter().chain(smaller).chain(larger);
        let least = all.reduce(f64::min).unwrap_or(0.0);
        Duration::from_secs_f64((least * extent.values()).min(1e6))
    }
}

impl Extent {
    /// The values that a pass takes as long for as it does in all.
    pub(super) fn values(self) -> f64 {
        self.rows.saturating_add(ROWS_OF_OVERHEAD) as f64 * self.dimension as f64
    }
}

/// The number of the class of passes with so many probes.
fn size(probes: usize) -> usize {
    let probes = probes.clamp(1, 1 << (SIZES - 1));
    probes.next_power_of_two().trailing_zeros() as usize
}

/// How much later answers come than passes alone would have it: what is done between passes, who came
/// later and had their turn sooner, and processors that others want.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lateness {
    /// As a multiple of what was expected, 1 at least.
    times: f64,
}

impl Default for Lateness {
    fn default() -> Lateness {
        Lateness { times: 1.0 }
    }
}

impl Lateness {
    /// An answer that was `expected` to take so long, more than nothing, took `taken`.
    pub(super) fn learn(&mut self, expected: Duration, taken: Duration) {
        let expected = expected.as_secs_f64().max(f64::MIN_POSITIVE);
        let times = (taken.as_secs_f64() / expected).clamp(1.0, LATENESS_MAX);
        self.times += NEWEST_ANSWER_WEIGHT * (times - self.times);
    }

    /// How long an answer takes that is `expected` to take so long.
    pub(super) fn of(self, expected: Duration) -> Duration {
        // Times beyond a duration are for ever.
        Duration::try_from_secs_f64(expected.as_secs_f64() * self.times).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(rows: usize) -> Extent {
        Extent {
            rows,
            dimension: 512,
        }
    }

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_is_known_at_first() {
        assert_eq!(Pace::default().of(rows_of(1_000_000), 64), Duration::ZERO);
        let mut pace = Pace::default();
        pace.learn(rows_of(1_000_000), 1, 10 * MILLISECOND);
        assert_eq!(pace.of(rows_of(1_000_000), 0), Duration::ZERO);
    }

    #[test]
    fn what_was_measured_comes_back_and_what_was_not_is_guessed_from_its_neighbours() {
        let mut pace = Pace::default();
        let rows = 1_000_000 - ROWS_OF_OVERHEAD;
        pace.learn(rows_of(rows), 1, 10 * MILLISECOND);
        let near = |found: Duration, milliseconds: f64| {
            let found = found.as_secs_f64() * 1e3;
            assert!(
                (found - milliseconds).abs() < 1e-6 * milliseconds,
                "{found}"
            );
        };
        near(pace.of(rows_of(rows), 1), 10.0);
        near(pace.of(rows_of(rows), 4), 20.0);
        near(pace.of(rows_of(2 * rows + ROWS_OF_OVERHEAD), 1), 20.0);
        pace.learn(rows_of(rows), 64, 80 * MILLISECOND);
        near(pace.of(rows_of(rows), 64), 80.0);
        near(pace.of(rows_of(rows), 33), 80.0);
        near(pace.of(rows_of(rows), 32), 10.0 * 32.0_f64.sqrt());
        near(pace.of(rows_of(rows), 4), 20.0);
        near(pace.of(rows_of(rows), 256), 160.0);
    }

    #[test]
    fn it_follows_a_machine_that_becomes_slower() {
        let mut pace = Pace::default();
        pace.learn(rows_of(1_000_000), 1, MILLISECOND);
        for _ in 0..20 {
            pace.learn(rows_of(1_000_000), 1, 10 * MILLISECOND);
        }
        assert!(pace.of(rows_of(1_000_000), 1) > 9 * MILLISECOND);
    }

    #[test]
    fn one_bad_pass_does_not_keep_others_of_its_kind_away_for_ever() {
        let mut pace = Pace::default();
        pace.learn(rows_of(1_000_000), 64, Duration::from_secs(100));
        pace.learn(rows_of(1_000_000), 32, 50 * MILLISECOND);
        assert!(pace.of(rows_of(1_000_000), 64) <= 101 * MILLISECOND);
        pace.learn(rows_of(1_000_000), 128, 80 * MILLISECOND);
        assert!(pace.of(rows_of(1_000_000), 64) <= 81 * MILLISECOND);
    }

    #[test]
    fn a_gallery_of_long_rows_does_not_make_one_of_short_rows_look_slow() {
        let mut pace = Pace::default();
        let extent = |dimension| Extent {
            rows: 1_000_000,
            dimension,
        };
        pace.learn(extent(4096), 1, 320 * MILLISECOND);
        assert!(pace.of(extent(128), 1) <= 11 * MILLISECOND);
    }

    #[test]
    fn answers_are_late_as_they_were_and_never_early() {
        let mut lateness = Lateness::default();
        let expected = 100 * MILLISECOND;
        assert_eq!(lateness.of(expected), expected);
        lateness.learn(expected, MILLISECOND);
        assert_eq!(lateness.of(expected), expected);
        for _ in 0..10_000 {
            lateness.learn(expected, 3 * expected);
        }
        let late = lateness.of(expected);
        assert!(
            late > 299 * MILLISECOND && late < 301 * MILLISECOND,
            "{late:?}"
        );
        lateness.learn(Duration::ZERO, Duration::MAX);
        lateness.learn(Duration::MAX, Duration::ZERO);
        assert_eq!(lateness.of(Duration::MAX), Duration::MAX);
    }

    #[test]
    fn no_number_is_too_large() {
        let mut pace = Pace::default();
        pace.learn(rows_of(0), usize::MAX, Duration::MAX);
        pace.learn(rows_of(usize::MAX), 1, Duration::MAX);
        let _ = pace.of(rows_of(usize::MAX), usize::MAX);
    }
}
