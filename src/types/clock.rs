//! Time as an argument.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat};

/// A moment: milliseconds since the start of 1970 in UTC, negative before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Milliseconds since the start of 1970 in UTC.
    pub unix_milliseconds: i64,
}

impl Timestamp {
    /// The moment `unix_seconds` after the start of 1970 in UTC.
    pub fn from_unix_seconds(unix_seconds: i64) -> Timestamp {
        Timestamp {
            unix_milliseconds: unix_seconds.saturating_mul(1000),
        }
    }

    /// Reads a time as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339#section-5.6) has it:
    /// `2026-11-24T22:04:03.25+01:00`. What is finer than a millisecond is rounded down; a leap
    /// second is the first second of the next minute, as in all Unix times. Years are 0000 to 9999.
    ///
    /// `None` if it is not one. A time without its distance from UTC is none: it may be any of a
    /// day.
    pub fn from_rfc3339(text: &str) -> Option<Timestamp> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Timestamp {
            unix_milliseconds: time.timestamp_millis(),
        })
    }

    /// Whole seconds since the start of 1970, rounded down.
    pub fn unix_seconds(self) -> i64 {
        self.unix_milliseconds.div_euclid(1000)
    }

    /// The moment `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Timestamp {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp {
            unix_milliseconds: self.unix_milliseconds.saturating_add(milliseconds),
        }
    }
}

/// As RFC 3339 has it, in UTC: `2026-11-24T22:04:03.250Z`. A moment that no calendar reaches is
/// told as a number.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.unix_milliseconds) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "{} ms since 1970", self.unix_milliseconds),
        }
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
        let Clock::Manual(now) = self else {
            panic!("only a manual clock can be moved")
        };
        let milliseconds = i64::try_from(by.as_millis()).expect("a test moves less than an aeon");
        now.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down_on_both_sides_of_1970() {
        assert_eq!(
            Timestamp {
                unix_milliseconds: 1999
            }
            .unix_seconds(),
            1
        );
        assert_eq!(
            Timestamp {
                unix_milliseconds: -1
            }
            .unix_seconds(),
            -1
        );
    }

    fn milliseconds(text: &str) -> Option<i64> {
        Timestamp::from_rfc3339(text).map(|time| time.unix_milliseconds)
    }

    #[test]
    fn times_with_a_zone_are_read() {
        // From `date --date=... +%s`.
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31t23:59:59.9999z", -1),
            ("2026-11-24T22:04:03Z", 1_795_557_843_000),
            ("2026-11-24 22:04:03.25+01:00", 1_795_554_243_250),
            ("2026-11-24T22:04:03.123456789-00:30", 1_795_559_643_123),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("9999-12-31T23:59:59+00:00", 253_402_300_799_000),
            ("9999-12-31T23:59:60-23:59", 253_402_387_140_000),
            ("0000-01-01T00:00:00+23:59", -62_167_305_540_000),
            ("2026-11-24T22:04:60.999999999999Z", 1_795_557_900_999),
            ("2026-11-24T22:04:03.1-00:00", 1_795_557_843_100),
            ("1600-02-29T00:00:00.000000000001Z", -11_670_998_400_000),
        ] {
            assert_eq!(milliseconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn moments_are_shown_as_they_are_read() {
        for (unix_milliseconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_795_818_952_978, "2026-11-27T22:35:52.978Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            let time = Timestamp { unix_milliseconds };
            assert_eq!(time.to_string(), expected);
            assert_eq!(Timestamp::from_rfc3339(expected), Some(time));
        }
        let unix_milliseconds = i64::MIN;
        let shown = Timestamp { unix_milliseconds }.to_string();
        assert_eq!(shown, "-9223372036854775808 ms since 1970");
    }

    #[test]
    fn what_is_no_moment_is_not_read() {
        for text in [
            "",
            "2026-11-24",
            "2026-11-24T22:04:03",
            "2026-11-24T22:04Z",
            "2026-11-24T22:04:03.Z",
            "2026-11-24T22:04:03.1e3Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T22:60:00Z",
            "2026-11-24T22:04:61Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "26-11-24T22:04:03Z",
            "+026-11-24T22:04:03Z",
            "2026-11-24T22:04:03+1:00",
            "2026-11-24T22:04:03+24:00",
            "2026-11-24T22:04:03+0100",
            "2026-11-24T22:04:03 Z",
            "2026-11-24T22:04:03Zé",
            "2026-11-24T22:04:03é+01:00",
            "2026-11-24T22:04:03,5Z",
            "2026-11-24T22:04:03.5",
            "2026-11-24T22:04:03.٣Z",
            "2026-11-24T22:04:03+01:60",
            "2026-11-24T22:04:03+01",
            "2026-11-24T22:04:03+01:00[Europe/Berlin]",
            "2026-11-24 22:04:03 UTC",
            "2026-11-24  22:04:03Z",
            "2026-11-24_22:04:03Z",
            " 2026-11-24T22:04:03Z",
            "-026-11-24T22:04:03Z",
            "12026-11-24T22:04:03Z",
            "20261124T220403Z",
        ] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(Timestamp::from_unix_seconds(100));
        let other = clock.clone();
        clock.advance(Duration::from_secs(5));
        assert_eq!(other.now(), Timestamp::from_unix_seconds(105));
    }
}
