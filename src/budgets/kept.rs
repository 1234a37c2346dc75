//! A ledger as bytes, so that a restart gives nobody a new budget.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::book::{Answers, MANY_ANSWERS};
use super::ledger::Ledger;
use super::series::Series;
use crate::types::{Bcid, ClassId};

/// What is kept. Field names are part of the file format.
#[derive(Serialize, Deserialize)]
struct Kept {
    day: i64,
    /// Caller, identifications, scores.
    callers: Vec<(String, u64, u64)>,
    /// Caller, partition, class, answers, and how their similarities follow each other.
    classes: Vec<(String, String, i64, u64, Series)>,
}

/// Of more pairs of a caller and a class those with the fewest answers are not kept, so that what is written
/// every minute stays about a mebibyte.
const KEPT_PAIRS_MAX: usize = 4_096;

impl Ledger {
    /// What is to be kept of it: what callers have spent, and the classes that they were answered about ten
    /// times or more, of which at most 4,096 are kept. Whoever was told less of a class may be told as much
    /// once more after a restart.
    pub fn to_bytes(&self) -> Vec<u8> {
        let callers = self.book.callers.iter();
        let spent = callers.map(|(name, it)| (name.clone(), it.identifications, it.scores));
        let spent = spent.filter(|(_, identifications, scores)| identifications + scores > 0);
        let pairs = self.book.pairs();
        let pairs = pairs.filter(|(.., answers)| answers.count >= MANY_ANSWERS);
        let pair = |(caller, bcid, answers): (&str, Bcid, &Answers)| {
            let Answers { count, series } = answers.clone();
            let partition = bcid.partition.to_string();
            (caller.to_owned(), partition, bcid.class.0, count, series)
        };
        let mut kept = Kept {
            day: self.day,
            callers: spent.collect(),
            classes: pairs.map(pair).collect(),
        };
        // In order, so that nothing is written anew that did not change.
        kept.callers.sort();
        kept.classes
            .sort_by(|a, b| (Reverse(a.3), &a.0, &a.1, a.2).cmp(&(Reverse(b.3), &b.0, &b.1, b.2)));
        kept.classes.truncate(KEPT_PAIRS_MAX);
        serde_json::to_vec(&kept).expect("texts and finite numbers become JSON")
    }

    /// The ledger of which these bytes were kept; `None` if they are of something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Ledger> {
        let kept: Kept = serde_json::from_slice(bytes).ok()?;
        let mut ledger = Ledger {
            day: kept.day,
            ..Ledger::default()
        };
        for (name, identifications, scores) in kept.callers {
            let account = ledger.book.account_mut(&name);
            (account.identifications, account.scores) = (identifications, scores);
        }
        for (caller, partition, class, count, series) in kept.classes {
            let place = (&partition.parse().ok()?, ClassId(class));
            let answers = Answers { count, series };
            ledger.book.change(&caller, place, |it| *it = answers);
        }
        Some(ledger)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::super::ledger::{Asked, Told};
    use super::super::limits::{Limits, Reaction, Spent};
    use super::*;
    use crate::types::{PartitionId, Timestamp};

    fn all(ledger: &Ledger) -> Vec<(String, Bcid, Answers)> {
        let pairs = ledger.book.pairs();
        let mut pairs: Vec<_> = pairs
            .map(|(caller, bcid, answers)| (caller.to_owned(), bcid, answers.clone()))
            .collect();
        pairs.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        pairs
    }

    #[test]
    fn a_restart_gives_nobody_a_new_budget_and_forgets_no_climb() {
        let limits = Limits {
            identifications: Some(1_000),
            climb: Reaction::Refuse,
            ..Limits::default()
        };
        let partition: PartitionId = "bws.-7".parse().unwrap();
        let (mut ledger, class) = (Ledger::default(), ClassId(i64::MIN));
        let begin = Timestamp {
            unix_milliseconds: 1_700_000_000_000,
        };
        let mut refused = None;
        for n in 0..200_u32 {
            let now = begin.after(Duration::from_secs(10) * n);
            let asked = Asked {
                partition: &partition,
                class: None,
                probes: 1,
                is_scored: true,
            };
            refused = ledger.ask("key a", asked, now, &limits).err();
            if refused.is_some() {
                assert_eq!(ledger.book.callers["key a"].identifications, u64::from(n));
                break;
            }
            let told = [Told {
                class,
                similarity: Some(0.5 + f64::from(n) / 300.0),
            }];
            ledger.tell("key a", &partition, (&told, 1), now, &limits);
            if n % 10 == 9 {
                let again = Ledger::from_bytes(&ledger.to_bytes()).unwrap();
                assert_eq!(all(&again), all(&ledger), "{n}");
                ledger = again;
            }
        }
        assert_eq!(refused, Some(Spent::Climb));
        // Nor does another restart.
        let again = Ledger::from_bytes(&ledger.to_bytes()).unwrap();
        assert!(again.book.about("key a", &partition).unwrap().climbs);
    }

    /// Of a number that is read as one beside it each restart would make a new highest one.
    #[test]
    fn the_same_probes_after_each_of_many_restarts_do_not_climb() {
        let limits = Limits {
            climb: Reaction::Refuse,
            ..Limits::default()
        };
        let partition: PartitionId = "bws.1".parse().unwrap();
        let mut random = StdRng::seed_from_u64(5);
        let told: [Told; 64] = std::array::from_fn(|class| Told {
            class: ClassId(class as i64),
            similarity: Some(random.random()),
        });
        let (mut ledger, mut now) = (
            Ledger::default(),
            Timestamp {
                unix_milliseconds: 20_000 * 86_400_000,
            },
        );
        for _start in 0..60 {
            for _ in 0..12 {
                ledger.tell("key a", &partition, (&told, 1), now, &limits);
                now = now.after(Duration::from_secs(20));
            }
            ledger = Ledger::from_bytes(&ledger.to_bytes()).unwrap();
        }
        let about = ledger.book.about("key a", &partition).unwrap();
        assert_eq!(about.classes.len(), 64);
        assert!(!about.climbs);
    }

    #[test]
    fn what_is_kept_is_bounded_and_those_asked_about_most_are() {
        let (mut ledger, partition) = (Ledger::default(), "bws.1".parse().unwrap());
        let now = Timestamp {
            unix_milliseconds: 1_700_000_000_000,
        };
        let limits = Limits::default();
        for class in 0..6_000 {
            let told = [Told {
                class: ClassId(class),
                similarity: Some(0.123_456_789_012_345_67),
            }];
            for _ in 0..MANY_ANSWERS + u64::from(class >= 5_000) {
                ledger.tell("a", &partition, (&told, 1), now, &limits);
            }
        }
        let bytes = ledger.to_bytes();
        assert!(bytes.len() < 1 << 20, "{}", bytes.len());
        let again = Ledger::from_bytes(&bytes).unwrap();
        let about = again.book.about("a", &partition).unwrap();
        assert!((5_000..6_000).all(|class| about.classes.contains_key(&ClassId(class))));
        assert_eq!(again.book.pairs().count(), KEPT_PAIRS_MAX);
    }

    #[test]
    fn bytes_of_something_else_are_no_ledger() {
        for bad in [
            &b""[..],
            b"{}",
            b"null",
            b"{\"day\":1,\"callers\":[],\"classes\":[[1]]}",
        ] {
            assert_eq!(Ledger::from_bytes(bad), None);
        }
        let partition = br#"{"day":1,"callers":[],"classes":[["a","x",1,10,{"visits":1,"highest":0.5,"bets":[0,0,0,0],"calls":1,"visit_highest":0.5,"last_unix_milliseconds":5,"climbs":false}]]}"#;
        assert_eq!(Ledger::from_bytes(partition), None);
    }
}
