//! How long a pass over a gallery takes, from those before.

use std::time::Duration;

/// One for passes of each number of probes to the next power of two.
const SIZES: usize = 16;
/// How much the last pass counts against all before.
const NEWEST_WEIGHT: f64 = 0.25;
/// What is done once a pass takes as long as to look at so many rows: it decides how long passes over
/// small galleries take.
const ROWS_OF_OVERHEAD: usize = 4096;

/// What passes took lately, by how many probes they had.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    seconds_per_row: [Option<f64>; SIZES],
}

impl Pace {
    /// A pass over `rows` rows for `probes` probes took so long.
    pub(super) fn learn(&mut self, rows: usize, probes: usize, taken: Duration) {
        let seconds = taken.as_secs_f64() / weight(rows);
        let known = &mut self.seconds_per_row[size(probes)];
        *known = Some(known.map_or(seconds, |before| {
            before + NEWEST_WEIGHT * (seconds - before)
        }));
    }

    /// How long such a pass will probably take. Zero as long as there was none of any kind.
    pub(super) fn of(&self, rows: usize, probes: usize) -> Duration {
        if probes == 0 {
            return Duration::ZERO;
        }
        let at = size(probes);
        let known = |at: &usize| self.seconds_per_row[*at].map(|seconds| (*at, seconds));
        // More probes take longer, and not in proportion, since they share the memory that is read.
        // What is guessed too low is corrected by the first pass; what is guessed too high would
        // keep that pass from ever happening.
        let below = (0..=at).rev().find_map(|at| known(&at));
        let below = below.map(|(known, seconds)| {
            let times_as_many = f64::from(1_u32 << (at - known));
            seconds * times_as_many.sqrt()
        });
        let above = (at..SIZES).find_map(|at| known(&at));
        let above = above.map(|(_, seconds)| seconds);
        let least = match (below, above) {
            (Some(below), Some(above)) => below.min(above),
            (one, other) => one.or(other).unwrap_or(0.0),
        };
        Duration::from_secs_f64((least * weight(rows)).min(1e6))
    }
}

fn weight(rows: usize) -> f64 {
    rows.saturating_add(ROWS_OF_OVERHEAD) as f64
}

/// The number of the class of passes with so many probes.
fn size(probes: usize) -> usize {
    let probes = probes.clamp(1, 1 << (SIZES - 1));
    probes.next_power_of_two().trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_is_known_at_first() {
        assert_eq!(Pace::default().of(1_000_000, 64), Duration::ZERO);
        let mut pace = Pace::default();
        pace.learn(1_000_000, 1, 10 * MILLISECOND);
        assert_eq!(pace.of(1_000_000, 0), Duration::ZERO);
    }

    #[test]
    fn what_was_measured_comes_back_and_what_was_not_is_guessed_from_its_neighbours() {
        let mut pace = Pace::default();
        let rows = 1_000_000 - ROWS_OF_OVERHEAD;
        pace.learn(rows, 1, 10 * MILLISECOND);
        let near = |found: Duration, milliseconds: f64| {
            let found = found.as_secs_f64() * 1e3;
            assert!(
                (found - milliseconds).abs() < 1e-6 * milliseconds,
                "{found}"
            );
        };
        near(pace.of(rows, 1), 10.0);
        near(pace.of(rows, 4), 20.0);
        near(pace.of(2 * rows + ROWS_OF_OVERHEAD, 1), 20.0);
        pace.learn(rows, 64, 80 * MILLISECOND);
        near(pace.of(rows, 64), 80.0);
        near(pace.of(rows, 33), 80.0);
        near(pace.of(rows, 32), 10.0 * 32.0_f64.sqrt());
        near(pace.of(rows, 4), 20.0);
        near(pace.of(rows, 256), 160.0);
    }

    #[test]
    fn it_follows_a_machine_that_becomes_slower() {
        let mut pace = Pace::default();
        pace.learn(1_000_000, 1, MILLISECOND);
        for _ in 0..20 {
            pace.learn(1_000_000, 1, 10 * MILLISECOND);
        }
        assert!(pace.of(1_000_000, 1) > 9 * MILLISECOND);
    }

    #[test]
    fn no_number_is_too_large() {
        let mut pace = Pace::default();
        pace.learn(0, usize::MAX, Duration::MAX);
        pace.learn(usize::MAX, 1, Duration::MAX);
        let _ = pace.of(usize::MAX, usize::MAX);
    }
}
