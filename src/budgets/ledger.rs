//! What each caller has been told today, and whether another question is answered.

use std::time::Duration;

use super::book::{About, Answers, Book};
use super::limits::{Limits, Reaction, Spent};
use crate::types::{ClassId, PartitionId, Timestamp};

const DAY: i64 = 24 * 3_600_000;
/// Whose probes are those of all callers together. No caller has this name.
const EVERYBODY: &str = "*";

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// About people of this gallery.
    pub partition: &'a PartitionId,
    /// About this one alone; `None` if it is who of all of them somebody is.
    pub class: Option<ClassId>,
    /// How many probes are looked for, for the budget of those.
    pub probes: u64,
    /// Whether the answer may tell a similarity or a score.
    pub is_scored: bool,
}

/// What an answer tells of a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// Of whom.
    pub class: ClassId,
    /// How alike the probe is, if that or that it is enough is told; `None` if the answer is no.
    pub similarity: Option<f64>,
}

/// What comes of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// By how much later it is to be sent.
    pub delay: Duration,
    /// To whom probes climb, which was found by this answer.
    pub found: Vec<Found>,
}

/// Probes climb to a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// To which.
    pub class: ClassId,
    /// Whether they are of several callers. Nothing is done about that, since it cannot be told which of
    /// them climbs.
    pub is_of_several: bool,
}

/// What callers have been told on one day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Which day, counted from 1970.
    pub(super) day: i64,
    pub(super) book: Book,
}

impl Ledger {
    /// `caller` asks. What it asks is answered or not whatever the answer is: else a refusal would be an
    /// answer. So nobody is looked for any more in a gallery of which one class is closed to the caller.
    ///
    /// # Errors
    ///
    /// If a budget is spent. Nothing is counted then.
    pub fn ask(
        &mut self,
        caller: &str,
        asked: Asked<'_>,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<(), Spent> {
        self.turn_day(now);
        let account = self.book.account(caller);
        let (looked_for, scores) =
            account.map_or((0, 0), |account| (account.identifications, account.scores));
        if asked.is_scored && limits.scores.is_some_and(|most| scores >= most) {
            return Err(Spent::Scores);
        }
        if let Some(about) = self.book.about(caller, asked.partition) {
            check(about, asked.class, limits)?;
        }
        let after = looked_for.saturating_add(asked.probes);
        if let (1.., Some(most)) = (asked.probes, limits.identifications) {
            if after > most {
                return Err(Spent::Identifications);
            }
            self.book.account_mut(caller).identifications = after;
        }
        Ok(())
    }

    /// So many of the probes that `caller` asked about were not answered.
    pub fn give_back(&mut self, caller: &str, probes: u64) {
        if self.book.account(caller).is_some() {
            let count = &mut self.book.account_mut(caller).identifications;
            *count = count.saturating_sub(probes);
        }
    }

    /// `caller` is about to be told this of people of a gallery, in so many answers that tell similarities.
    pub fn tell(
        &mut self,
        caller: &str,
        partition: &PartitionId,
        (told, scored): (&[Told], u64),
        now: Timestamp,
        limits: &Limits,
    ) -> Noted {
        self.turn_day(now);
        if limits.scores.is_some() && scored > 0 {
            let account = self.book.account_mut(caller);
            account.scores = account.scores.saturating_add(scored);
        }
        let mut noted = Noted::default();
        if limits.of_class.is_none() && limits.climb == Reaction::Off {
            return noted;
        }
        for told in told {
            self.note(caller, (partition, *told), now, limits, &mut noted);
        }
        noted
    }

    fn note(
        &mut self,
        caller: &str,
        (partition, told): (&PartitionId, Told),
        now: Timestamp,
        limits: &Limits,
        noted: &mut Noted,
    ) {
        let place = (partition, told.class);
        let similarity = told.similarity.filter(|_| limits.climb != Reaction::Off);
        let (is_found, climbs) = self.book.change(caller, place, |answers| {
            answers.count += 1;
            let series = &mut answers.series;
            let is_found = similarity.is_some_and(|similarity| series.add(similarity, now));
            (is_found, series.climbs())
        });
        if climbs && limits.climb == Reaction::Slow {
            noted.delay = Reaction::DELAY;
        }
        let is_of_several = similarity.is_some_and(|similarity| {
            let add = |answers: &mut Answers| {
                answers.count += 1;
                answers.series.add(similarity, now)
            };
            self.book.change(EVERYBODY, place, add) && !climbs
        });
        if is_found || is_of_several {
            let class = told.class;
            noted.found.push(Found {
                class,
                is_of_several,
            });
        }
    }

    /// A new day has new budgets, and series begin anew. A clock that is put back gives nothing back
    /// before its next midnight, and keeps nobody out for longer than that.
    fn turn_day(&mut self, now: Timestamp) {
        let day = now.unix_milliseconds.div_euclid(DAY);
        if day > self.day {
            self.book = Book::default();
        }
        self.day = day;
    }
}

/// Whether a question about a class, or about all, is answered to a caller who was told this.
fn check(about: &About, class: Option<ClassId>, limits: &Limits) -> Result<(), Spent> {
    let (count, climbs) = match class {
        None => (about.most, about.climbs),
        Some(class) => about.classes.get(&class).map_or((0, false), |answers| {
            (answers.count, answers.series.climbs())
        }),
    };
    if limits.of_class.is_some_and(|most| count >= most) {
        return Err(Spent::OfClass);
    }
    match climbs && limits.climb == Reaction::Refuse {
        true => Err(Spent::Climb),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp {
        unix_milliseconds: 20_000 * DAY + DAY / 2,
    };

    fn partition() -> PartitionId {
        "bws.1".parse().unwrap()
    }

    /// A verification of a class that is told with a score, if it is answered at all.
    fn verify(
        ledger: &mut Ledger,
        (caller, class): (&str, i64),
        similarity: f64,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<Noted, Spent> {
        let (partition, class) = (&partition(), ClassId(class));
        let asked = Asked {
            partition,
            class: Some(class),
            probes: 0,
            is_scored: true,
        };
        ledger.ask(caller, asked, now, limits)?;
        let told = [Told {
            class,
            similarity: Some(similarity),
        }];
        Ok(ledger.tell(caller, partition, (&told, 1), now, limits))
    }

    fn identify(
        ledger: &mut Ledger,
        caller: &str,
        probes: u64,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<(), Spent> {
        let asked = Asked {
            partition: &partition(),
            class: None,
            probes,
            is_scored: true,
        };
        ledger.ask(caller, asked, now, limits)
    }

    #[test]
    fn each_budget_ends_for_its_caller_and_class_until_the_day_does() {
        let limits = Limits {
            identifications: Some(3),
            scores: Some(4),
            of_class: Some(2),
            climb: Reaction::Off,
        };
        let mut ledger = Ledger::default();
        for (caller, probes, expected) in [
            ("a", 2, Ok(())),
            ("a", 2, Err(Spent::Identifications)),
            ("a", u64::MAX, Err(Spent::Identifications)),
            ("a", 1, Ok(())),
            ("b", 3, Ok(())),
        ] {
            let asked = identify(&mut ledger, caller, probes, NOON, &limits);
            assert_eq!(asked, expected, "{caller} {probes}");
        }
        // What was not answered is not spent.
        ledger.give_back("a", 1);
        ledger.give_back("nobody", 1);
        assert_eq!(identify(&mut ledger, "a", 1, NOON, &limits), Ok(()));
        for (caller, class, expected) in [
            ("a", 1, Ok(Noted::default())),
            ("a", 1, Ok(Noted::default())),
            // Refusals count nowhere: two more scores are left.
            ("a", 1, Err(Spent::OfClass)),
            ("a", 1, Err(Spent::OfClass)),
            ("a", 2, Ok(Noted::default())),
            ("a", 3, Ok(Noted::default())),
            ("a", 4, Err(Spent::Scores)),
            ("b", 1, Ok(Noted::default())),
        ] {
            let told = verify(&mut ledger, (caller, class), 0.5, NOON, &limits);
            assert_eq!(told, expected, "{caller} {class}");
        }
        // Nobody is told by an identification what a verification no longer tells.
        let lax = Limits {
            identifications: None,
            scores: None,
            ..limits
        };
        assert_eq!(
            identify(&mut ledger, "a", 1, NOON, &lax),
            Err(Spent::OfClass)
        );
        let tomorrow = NOON.after(Duration::from_millis(DAY.unsigned_abs() / 2));
        let before = Timestamp {
            unix_milliseconds: tomorrow.unix_milliseconds - 1,
        };
        let refused = verify(&mut ledger, ("a", 1), 0.5, before, &limits);
        assert_eq!(refused, Err(Spent::Scores));
        assert!(verify(&mut ledger, ("a", 1), 0.5, tomorrow, &limits).is_ok());
    }

    #[test]
    fn a_clock_that_is_put_back_gives_nothing_back_and_keeps_nobody_out_for_years() {
        let limits = Limits {
            of_class: Some(1),
            ..Limits::default()
        };
        let years = Duration::from_secs(10 * 365 * 24 * 3600);
        let mut ledger = Ledger::default();
        let mut ask = |now| verify(&mut ledger, ("a", 1), 0.5, now, &limits).is_ok();
        assert!(ask(NOON.after(years)));
        assert!(!ask(NOON));
        assert!(ask(NOON.after(Duration::from_secs(24 * 3600))));
    }

    #[test]
    fn what_is_done_about_probes_that_climb_is_as_it_is_set() {
        for (climb, delay, is_refused) in [
            (Reaction::Off, Duration::ZERO, false),
            (Reaction::Report, Duration::ZERO, false),
            (Reaction::Slow, Reaction::DELAY, false),
            (Reaction::Refuse, Duration::ZERO, true),
        ] {
            let limits = Limits {
                climb,
                ..Limits::default()
            };
            let (mut ledger, mut found, mut last) = (Ledger::default(), Vec::new(), None);
            for n in 0..60_u32 {
                let now = NOON.after(Duration::from_secs(10) * n);
                let similarity = 0.5 + f64::from(n) / 200.0;
                let noted = verify(&mut ledger, ("a", 1), similarity, now, &limits);
                found.extend(noted.iter().flat_map(|noted| noted.found.clone()));
                last = Some(noted);
            }
            let once = [Found {
                class: ClassId(1),
                is_of_several: false,
            }];
            assert_eq!(
                found,
                once[usize::from(climb == Reaction::Off)..],
                "{climb}"
            );
            match last.unwrap() {
                Ok(noted) => assert!(!is_refused && noted.delay == delay, "{climb}"),
                Err(spent) => assert!(is_refused && spent == Spent::Climb, "{climb}"),
            }
            let asked = identify(&mut ledger, "a", 1, NOON, &limits);
            assert_eq!(asked.is_err(), is_refused, "{climb}");
            // Neither another class nor another caller is meant.
            for (caller, class) in [("a", 2), ("b", 1)] {
                let noted = verify(&mut ledger, (caller, class), 0.1, NOON, &limits);
                assert_eq!(noted, Ok(Noted::default()), "{climb}");
            }
            assert_eq!(identify(&mut ledger, "b", 1, NOON, &limits), Ok(()));
        }
    }

    #[test]
    fn a_series_that_is_shared_out_among_keys_is_found_and_nobody_is_refused_for_it() {
        let limits = Limits {
            climb: Reaction::Refuse,
            ..Limits::default()
        };
        let (mut ledger, mut found) = (Ledger::default(), Vec::new());
        for n in 0..100_u32 {
            let now = NOON.after(Duration::from_secs(10) * n);
            let caller = format!("key {}", n % 20);
            let similarity = 0.5 + f64::from(n) / 300.0;
            let noted = verify(&mut ledger, (&caller, 1), similarity, now, &limits);
            found.extend(noted.unwrap().found);
        }
        let expected = Found {
            class: ClassId(1),
            is_of_several: true,
        };
        assert_eq!(found, [expected]);
    }

    /// A hundred identifications an hour of known people for sixty days.
    #[test]
    fn whoever_identifies_known_people_is_never_refused() {
        use rand::rngs::StdRng;
        use rand::{RngExt, SeedableRng};
        let mut random = StdRng::seed_from_u64(9);
        let limits = Limits {
            climb: Reaction::Refuse,
            ..Limits::default()
        };
        let mut ledger = Ledger::default();
        for n in 0..60 * 24 * 100_u32 {
            let now = NOON.after(Duration::from_secs(36) * n);
            // Some are there more often than others.
            let class = (20.0 * random.random::<f64>().powi(3)) as i64;
            let similarity = 0.7 + 0.15 * (random.random::<f64>() - random.random::<f64>());
            assert_eq!(identify(&mut ledger, "gate", 1, now, &limits), Ok(()));
            let told = [Told {
                class: ClassId(class),
                similarity: Some(similarity),
            }];
            let noted = ledger.tell("gate", &partition(), (&told, 1), now, &limits);
            assert_eq!(noted, Noted::default(), "{n}");
        }
    }
}
