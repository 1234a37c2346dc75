//! What came of calls, and how long they took.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use hdrhistogram::Histogram;

use super::calls::Part;
use super::wire::Broken;

/// Times from a microsecond to an hour and a half, to a thousandth of each.
const MICROSECONDS_MAX: u64 = 5_400_000_000;
const DIGITS: u8 = 3;

/// What can come of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// 200, or another of success.
    Success,
    /// 503: the service has too much to do.
    Unavailable,
    /// 429: the caller asks too much.
    TooMany,
    /// Another status.
    Other,
    /// No answer.
    Broken,
}

/// Counts and times of what was due within a window.
pub(super) struct Tally {
    begins: Instant,
    ends: Instant,
    due: u64,
    late: Histogram<u64>,
    entries: BTreeMap<(&'static str, Outcome), Entry>,
}

/// Calls of one kind that ended in one way.
pub(super) struct Entry {
    /// In microseconds, of what was due in the window.
    pub(super) latency: Histogram<u64>,
    /// How many ended in the window, whenever they were due.
    pub(super) ended_within: u64,
    /// How many there are of each status, or of each reason why there was none.
    pub(super) details: BTreeMap<String, u64>,
}

impl Outcome {
    pub(super) const ALL: [Outcome; 5] = [
        Outcome::Success,
        Outcome::Unavailable,
        Outcome::TooMany,
        Outcome::Other,
        Outcome::Broken,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Outcome::Success => "200",
            Outcome::Unavailable => "503",
            Outcome::TooMany => "429",
            Outcome::Other => "other",
            Outcome::Broken => "broken",
        }
    }

    fn of(ended: &Result<StatusCode, Broken>) -> Outcome {
        match ended {
            Ok(status) if status.is_success() => Outcome::Success,
            Ok(StatusCode::SERVICE_UNAVAILABLE) => Outcome::Unavailable,
            Ok(StatusCode::TOO_MANY_REQUESTS) => Outcome::TooMany,
            Ok(_) => Outcome::Other,
            Err(_) => Outcome::Broken,
        }
    }
}

impl Tally {
    /// For what is due from `begins` on for so long.
    pub(super) fn new(begins: Instant, length: Duration) -> Tally {
        Tally {
            begins,
            ends: begins + length,
            due: 0,
            late: histogram(),
            entries: BTreeMap::new(),
        }
    }

    /// A call that was due goes out.
    pub(super) fn goes_out(&mut self, due: Instant, now: Instant) {
        if self.is_within(due) {
            self.due += 1;
            self.late
                .saturating_record(microseconds(now.saturating_duration_since(due)));
        }
    }

    /// A call that was due at `call_due`, or a part of it, has ended. Parts count with their call.
    pub(super) fn note(&mut self, call_due: Instant, part: &Part) {
        let (is_due_within, ended_within) = (self.is_within(call_due), self.is_within(part.at));
        if !is_due_within && !ended_within {
            return;
        }
        let key = (part.name, Outcome::of(&part.ended));
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            latency: histogram(),
            ended_within: 0,
            details: BTreeMap::new(),
        });
        entry.ended_within += u64::from(ended_within);
        if is_due_within {
            let taken = part.at.saturating_duration_since(part.due);
            entry.latency.saturating_record(microseconds(taken));
            let detail = match &part.ended {
                Ok(status) => status.as_u16().to_string(),
                Err(broken) => broken.name().to_owned(),
            };
            *entry.details.entry(detail).or_default() += 1;
        }
    }

    /// How long what it counts was due in.
    pub(super) fn length(&self) -> Duration {
        self.ends - self.begins
    }

    /// How many calls were due.
    pub(super) fn due(&self) -> u64 {
        self.due
    }

    /// How late they went out, in microseconds: that is the fault of the generator.
    pub(super) fn late(&self) -> &Histogram<u64> {
        &self.late
    }

    /// All that came of them, by what it is called.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static str, Outcome, &Entry)> {
        let entries = self.entries.iter();
        entries.map(|(&(name, outcome), entry)| (name, outcome, entry))
    }

    fn is_within(&self, time: Instant) -> bool {
        (self.begins..self.ends).contains(&time)
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MICROSECONDS_MAX, DIGITS).expect("the bounds are in order")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn part(due: Instant, taken: Duration, ended: Result<StatusCode, Broken>) -> Part {
        Part {
            name: "identify",
            due,
            ended,
            at: due + taken,
        }
    }

    #[test]
    fn what_was_due_in_the_window_is_counted_when_it_ends() {
        let begins = Instant::now() + 10 * SECOND;
        let mut tally = Tally::new(begins, 2 * SECOND);
        for (due, taken) in [
            // Before the window: none of its times count, but the second ended within.
            (begins - SECOND, SECOND / 2),
            (begins - SECOND, SECOND * 3 / 2),
            (begins, SECOND),
            // Ends behind it.
            (begins + SECOND, SECOND * 4),
            (begins + 2 * SECOND, SECOND),
        ] {
            tally.goes_out(due, due + SECOND / 1000);
            tally.note(due, &part(due, taken, Ok(StatusCode::OK)));
        }
        assert_eq!(tally.due(), 2);
        assert_eq!(tally.late().len(), 2);
        let entries: Vec<_> = tally.entries().collect();
        let (_, outcome, entry) = entries[0];
        assert_eq!((entries.len(), outcome), (1, Outcome::Success));
        assert_eq!((entry.latency.len(), entry.ended_within), (2, 2));
        let near = |found: u64, expected: f64| (found as f64 / expected - 1.0).abs() < 0.002;
        assert!(near(entry.latency.min(), 1e6) && near(entry.latency.max(), 4e6));
    }

    #[test]
    fn a_part_counts_with_its_call() {
        let begins = Instant::now() + 10 * SECOND;
        let mut tally = Tally::new(begins, SECOND);
        // Of a call before the window, and of one in it.
        tally.note(
            begins - SECOND,
            &part(begins, 3 * SECOND, Ok(StatusCode::OK)),
        );
        assert_eq!(tally.entries().count(), 0);
        tally.note(
            begins,
            &part(begins + 2 * SECOND, SECOND, Ok(StatusCode::OK)),
        );
        let (_, _, entry) = tally.entries().next().unwrap();
        assert_eq!((entry.latency.len(), entry.ended_within), (1, 0));
    }

    #[test]
    fn every_end_has_its_place() {
        let begins = Instant::now();
        let mut tally = Tally::new(begins, SECOND);
        let ends = [
            Ok(StatusCode::OK),
            Ok(StatusCode::NO_CONTENT),
            Ok(StatusCode::SERVICE_UNAVAILABLE),
            Ok(StatusCode::TOO_MANY_REQUESTS),
            Ok(StatusCode::UNAUTHORIZED),
            Ok(StatusCode::INTERNAL_SERVER_ERROR),
            Err(Broken::TimedOut),
            Err(Broken::Closed),
        ];
        for ended in ends {
            tally.note(begins, &part(begins, SECOND / 2, ended));
        }
        let found: Vec<_> = tally
            .entries()
            .map(|(_, outcome, entry)| {
                let details: Vec<_> = entry.details.keys().map(String::as_str).collect();
                (outcome.name(), details.join(" "))
            })
            .collect();
        let expected = [
            ("200", "200 204"),
            ("503", "503"),
            ("429", "429"),
            ("other", "401 500"),
            ("broken", "closed timed out"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, details)| (name, details.to_owned()))
        );
    }
}
