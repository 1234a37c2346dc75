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
        Timestamp {
            unix_milliseconds: unix_seconds.saturating_mul(1000),
        }
    }

    /// Reads a time as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339#section-5.6) has it:
    /// `2026-11-24T22:04:03.25+01:00`. What is finer than a millisecond is rounded down; a leap second
    /// is the first second of the next minute, as in all Unix times. Years are 0000 to 9999.
    ///
    /// `None` if it is not one. A time without its distance from UTC is none: it may be any of a day.
    pub fn from_rfc3339(text: &str) -> Option<Timestamp> {
        let (date, time) = text.split_once(['T', 't', ' '])?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
            return None;
        }
        let (time, offset_minutes) = split_offset(time)?;
        let (whole, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let [hour, minute, second] = numbers(whole, ':', [2, 2, 2])?;
        let is_number = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
        if hour > 23 || minute > 59 || second > 60 || !is_number {
            return None;
        }
        let milliseconds: String = fraction.chars().chain("000".chars()).take(3).collect();
        let milliseconds: i64 = milliseconds.parse().ok()?;
        let minutes = days_since_1970(year, month, day) * 24 * 60 + hour * 60 + minute;
        let seconds = (minutes - offset_minutes) * 60 + second;
        Some(Timestamp {
            unix_milliseconds: seconds * 1000 + milliseconds,
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

/// Numbers of so many digits each, with a sign between them.
fn numbers<const N: usize>(text: &str, sign: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(sign);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Splits a time of day from what follows it: `Z`, or how many minutes it is ahead of UTC.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let at = time.rfind(['+', '-'])?;
    let (time, offset) = time.split_at(at);
    let [hours, minutes] = numbers(&offset[1..], ':', [2, 2])?;
    if hours > 23 || minutes > 59 {
        return None;
    }
    let minutes = hours * 60 + minutes;
    Some((
        time,
        if offset.starts_with('-') {
            -minutes
        } else {
            minutes
        },
    ))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the start of 1970 to a day of the Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Leap days before the year, counted from the year 0, which had one.
    let leaps = |year: i64| match year {
        0 => 0,
        year => (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1,
    };
    let years = year * 365 + leaps(year) - (1970 * 365 + leaps(1970));
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>() + day - 1
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
        ] {
            assert_eq!(milliseconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn days_follow_each_other() {
        let mut expected = milliseconds("0000-01-01T00:00:00Z").unwrap();
        for year in 0..=2400 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    let text = format!("{year:04}-{month:02}-{day:02}T00:00:00Z");
                    assert_eq!(milliseconds(&text), Some(expected), "{text}");
                    expected += 86_400_000;
                }
            }
        }
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
