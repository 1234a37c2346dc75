//! Time as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// A moment: milliseconds since the start of 1970 in UTC, negative before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Milliseconds since the start of 1970 in UTC.
    pub unix_milliseconds: i64,
}

impl Timestamp {
    /// The moment `unix_seconds` after the start of 1970 in UTC.
    pub fn from_unix_seconds(unix_seconds: i64) -> Timestamp {
        Timestamp { unix_milliseconds: unix_seconds.saturating_mul(1000) }
    }

    /// Whole seconds since the start of 1970, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.unix_milliseconds.div_euclid(1000)
    }

    /// The moment `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Timestamp {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp { unix_milliseconds: self.unix_milliseconds.saturating_add(milliseconds) }
    }
}

/// Where the time comes from: the machine, or a test that moves it by hand.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The time of day of this machine.
    System,
    /// A time that only moves when told to. Clones share it.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    pub fn manual(now: Timestamp) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(now.unix_milliseconds)))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        let unix_milliseconds = match self {
            Clock::System => match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
                Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
            },
            Clock::Manual(now) => now.load(Ordering::SeqCst),
        };
        Timestamp { unix_milliseconds }
    }

    /// Moves a manual clock forward.
    ///
    /// # Panics
    ///
    /// Panics on [`Clock::System`], which nobody can move.
    pub fn advance(&self, by: Duration) {
        let Clock::Manual(now) = self else { panic!("only a manual clock can be moved") };
        let milliseconds = i64::try_from(by.as_millis()).expect("a test moves less than an aeon");
        now.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down_on_both_sides_of_1970() {
        assert_eq!(Timestamp { unix_milliseconds: 1999 }.unix_seconds(), 1);
        assert_eq!(Timestamp { unix_milliseconds: -1 }.unix_seconds(), -1);
    }

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(Timestamp::from_unix_seconds(100));
        let other = clock.clone();
        clock.advance(Duration::from_secs(5));
        assert_eq!(other.now(), Timestamp::from_unix_seconds(105));
    }
}
