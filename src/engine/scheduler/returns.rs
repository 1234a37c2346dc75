//! Do those who are answered ask again at once?
//!
//! Clients that do so are to share the next pass with those who came meanwhile, and it is worth a moment
//! to wait for them. Where questions come at random nobody returns, and the same moment would be lost for
//! all who wait. So it is watched: how many come in the moment after a pass, beyond as many as come in such
//! a time while one runs, when nobody of it can ask.

use std::time::{Duration, Instant};

/// How much of it the latest pass decides.
const LATEST: f64 = 0.5;

/// How many of those who were answered lately asked again at once.
#[derive(Debug, Default)]
pub(super) struct Returns {
    share: f64,
    watched: Option<Watched>,
    /// Since when others are counted, and how many came.
    others_since: Option<Instant>,
    others: usize,
    others_per_second: f64,
}

/// The moment after a pass.
#[derive(Debug)]
struct Watched {
    from: Instant,
    until: Instant,
    answered: usize,
    came: usize,
}

impl Returns {
    /// A pass begins.
    pub(super) fn begin_pass(&mut self, now: Instant) {
        let watched_until = self.watched.as_ref().map(|watched| watched.until);
        self.others_since = Some(watched_until.map_or(now, |until| until.max(now)));
        self.others = 0;
    }

    /// A question came.
    pub(super) fn came(&mut self, now: Instant) {
        match &mut self.watched {
            Some(watched) if now <= watched.until => watched.came += 1,
            _ => self.others += 1,
        }
    }

    /// A pass has answered so many; watched is who comes within `moment`.
    pub(super) fn end_pass(&mut self, now: Instant, answered: usize, moment: Duration) {
        let counted = self.others_since.take();
        let counted = counted.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        // In less time they cannot be told by their number.
        if counted > moment / 2 {
            self.others_per_second = self.others as f64 / counted.as_secs_f64();
        }
        if let Some(watched) = self.watched.take() {
            let share = watched.share(now, self.others_per_second);
            self.share += LATEST * (share - self.share);
        }
        self.watched = (answered > 0).then(|| Watched {
            from: now,
            until: now + moment,
            answered,
            came: 0,
        });
    }

    /// Whether most of those who are answered will ask again at once.
    pub(super) fn are_likely(&self) -> bool {
        self.share >= 0.5
    }
}

impl Watched {
    /// The share of those who were answered that came back, at the end of the moment or `now`.
    fn share(&self, now: Instant, others_per_second: f64) -> f64 {
        let moment = now.min(self.until).saturating_duration_since(self.from);
        let others = others_per_second * moment.as_secs_f64();
        ((self.came as f64 - others) / self.answered as f64).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASS: Duration = Duration::from_millis(50);
    const MOMENT: Duration = Duration::from_millis(10);

    /// Passes one after the other, of `answered` each; `after` questions come in the moment that follows,
    /// `others` in the rest of the next pass, spread evenly. Tells whether returns are likely at the end.
    fn likely(passes: &[(usize, usize, usize)]) -> bool {
        let (mut returns, begin) = (Returns::default(), Instant::now());
        let spread = |returns: &mut Returns, from, time: Duration, questions: usize| {
            for number in 0..questions {
                let share = (number as f64 + 0.5) / questions as f64;
                returns.came(from + time.mul_f64(share));
            }
        };
        returns.begin_pass(begin);
        let mut now = begin + PASS;
        for &(answered, after, others) in passes {
            returns.end_pass(now, answered, MOMENT);
            // The next pass begins at once, and the moment is its beginning.
            returns.begin_pass(now);
            spread(&mut returns, now, MOMENT, after);
            spread(&mut returns, now + MOMENT, PASS - MOMENT, others);
            now += PASS;
        }
        returns.end_pass(now, 1, MOMENT);
        returns.are_likely()
    }

    #[test]
    fn clients_that_ask_again_return() {
        assert!(likely(&[(64, 64, 0)]), "all in one pass");
        assert!(likely(&[(50, 50, 0), (14, 14, 0)].repeat(3)), "in turns");
        assert!(likely(&[(32, 30, 2)].repeat(3)), "some of them late");
        assert!(likely(&[(60, 65, 20)].repeat(3)), "beside others");
        assert!(likely(&[(1, 1, 0)]), "a single one, with many probes");
    }

    #[test]
    fn questions_at_random_are_nobody_s_return() {
        // As many in a moment of a fifth of a pass as in each other fifth of it.
        for in_a_moment in [1, 4, 13, 60] {
            let pass = (5 * in_a_moment, in_a_moment, 4 * in_a_moment);
            assert!(!likely(&[pass].repeat(20)), "{in_a_moment}");
        }
        assert!(!likely(&[]), "before anybody was answered");
    }

    #[test]
    fn who_has_left_is_not_waited_for_any_more() {
        let mut passes = [(64, 64, 0)].repeat(20);
        passes.extend([(64, 0, 10), (10, 2, 8)]);
        assert!(!likely(&passes));
    }

    #[test]
    fn who_comes_after_the_moment_was_not_at_once() {
        let (mut returns, now) = (Returns::default(), Instant::now());
        returns.end_pass(now, 8, MOMENT);
        returns.begin_pass(now);
        (0..8).for_each(|_| returns.came(now + MOMENT + Duration::from_millis(1)));
        returns.end_pass(now + PASS, 8, MOMENT);
        assert!(!returns.are_likely());
    }

    #[test]
    fn a_pass_within_the_moment_tells_nothing_of_others() {
        let (mut returns, now) = (Returns::default(), Instant::now());
        returns.end_pass(now, 64, MOMENT);
        let short = MOMENT / 4;
        returns.begin_pass(now);
        (0..16).for_each(|_| returns.came(now + short));
        returns.end_pass(now + short, 2, MOMENT);
        // A fourth of them came in a fourth of the moment, and nobody else is known of.
        assert!((returns.share - LATEST / 4.0).abs() < 1e-9, "{returns:?}");
    }
}
