//! What is looked up in so little time that no other thread is worth it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Whoever looks something up for longer than this keeps sockets waiting: that much is a page which is read
/// from a disk, or a lock that somebody else holds. A thread that was only put off by others takes as long
/// now and then.
const BRIEF_MAX: Duration = Duration::from_millis(5);
/// For so long nobody glances after one who did not come back at once.
const AVERTED: Duration = Duration::from_millis(250);

/// Looks things up where the caller is, for as long as that is brief.
#[derive(Debug)]
pub(super) struct Glances {
    clock: fn() -> Instant,
    began: Instant,
    /// Since `began`.
    averted_until_microseconds: AtomicU64,
}

impl Glances {
    pub(super) fn new(clock: fn() -> Instant) -> Glances {
        Glances {
            clock,
            began: clock(),
            averted_until_microseconds: AtomicU64::new(0),
        }
    }

    /// Whether the last ones were brief.
    pub(super) fn are_brief(&self) -> bool {
        self.since((self.clock)()) >= self.averted_until_microseconds.load(Ordering::Relaxed)
    }

    /// Runs `work`, and remembers it if that was not brief.
    pub(super) fn look<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = (self.clock)();
        let found = work();
        let ended = (self.clock)();
        if ended.saturating_duration_since(began) > BRIEF_MAX {
            let until = self.since(ended + AVERTED);
            self.averted_until_microseconds
                .fetch_max(until, Ordering::Relaxed);
        }
        found
    }

    fn since(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.began).as_micros();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::OnceLock;

    use super::*;

    thread_local! {
        static NOW_MILLISECONDS: Cell<u64> = const { Cell::new(0) };
    }

    fn now() -> Instant {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        let passed = Duration::from_millis(NOW_MILLISECONDS.get());
        *BEGAN.get_or_init(Instant::now) + passed
    }

    fn pass(milliseconds: u64) {
        NOW_MILLISECONDS.set(NOW_MILLISECONDS.get() + milliseconds);
    }

    #[test]
    fn nobody_glances_for_a_while_after_one_who_took_long() {
        let glances = Glances::new(now);
        assert!(glances.are_brief());
        glances.look(|| pass(5));
        assert!(glances.are_brief());
        let found = glances.look(|| {
            pass(6);
            2
        });
        assert_eq!(found, 2);
        assert!(!glances.are_brief());
        pass(200);
        // One that was under way takes long, too: the time begins anew.
        glances.look(|| pass(40));
        assert!(!glances.are_brief());
        pass(249);
        assert!(!glances.are_brief());
        pass(1);
        assert!(glances.are_brief());
    }
}
