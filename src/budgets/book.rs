//! What is remembered of callers and classes, as long as there is room.

use std::collections::HashMap;

use super::series::Series;
use crate::types::{Bcid, ClassId, PartitionId};

/// More callers, and more pairs of a caller and a class, are not remembered: those who were told least go,
/// half of them at once, so that nobody hides many answers about one class behind a few about many.
pub(super) const REMEMBERED_MAX: usize = 65_536;
/// Of whom fewer answers were given is forgotten by the gallery, too.
pub(super) const MANY_ANSWERS: u64 = 10;

/// All callers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Book {
    pub(super) callers: HashMap<String, Account>,
    /// How many pairs of a caller and a class there are.
    pairs: usize,
}

/// What one caller has had.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Account {
    pub(super) identifications: u64,
    pub(super) scores: u64,
    pub(super) galleries: HashMap<PartitionId, About>,
}

/// What one caller was told of one gallery.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct About {
    /// The most answers about one class.
    pub(super) most: u64,
    /// Whether probes climb to one of them.
    pub(super) climbs: bool,
    pub(super) classes: HashMap<ClassId, Answers>,
}

/// What one caller has been told of one class.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answers {
    pub(super) count: u64,
    pub(super) series: Series,
}

impl Answers {
    /// Which of two are forgotten first.
    fn worth(&self) -> (u64, i64) {
        (self.count, self.series.last().unix_milliseconds)
    }
}

impl About {
    /// Takes over what is true of the class with these answers.
    fn heed(&mut self, count: u64, climbs: bool) {
        self.most = self.most.max(count);
        self.climbs |= climbs;
    }
}

impl Book {
    /// What is known of a caller, if anything is.
    pub(super) fn account(&self, caller: &str) -> Option<&Account> {
        self.callers.get(caller)
    }

    /// What is known of a gallery to a caller, if anything is.
    pub(super) fn about(&self, caller: &str, partition: &PartitionId) -> Option<&About> {
        self.account(caller)?.galleries.get(partition)
    }

    /// To write into.
    pub(super) fn account_mut(&mut self, caller: &str) -> &mut Account {
        if !self.callers.contains_key(caller) {
            if self.callers.len() >= REMEMBERED_MAX {
                self.forget_callers();
            }
            self.callers.insert(caller.to_owned(), Account::default());
        }
        self.callers
            .get_mut(caller)
            .expect("it is there since it was inserted")
    }

    /// Changes what is known of a class to a caller, and returns what `change` does.
    pub(super) fn change<T>(
        &mut self,
        caller: &str,
        (partition, class): (&PartitionId, ClassId),
        change: impl FnOnce(&mut Answers) -> T,
    ) -> T {
        let known = self.about(caller, partition);
        let is_new = known.is_none_or(|about| !about.classes.contains_key(&class));
        if is_new && self.pairs >= REMEMBERED_MAX {
            self.forget_pairs();
        }
        let galleries = &mut self.account_mut(caller).galleries;
        if !galleries.contains_key(partition) {
            galleries.insert(partition.clone(), About::default());
        }
        let about = galleries
            .get_mut(partition)
            .expect("it is there since it was inserted");
        let answers = about.classes.entry(class).or_default();
        let changed = change(answers);
        let (count, climbs) = (answers.count, answers.series.climbs());
        about.heed(count, climbs);
        self.pairs += usize::from(is_new);
        changed
    }

    /// All pairs of a caller and a class.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, Bcid, &Answers)> {
        self.callers.iter().flat_map(|(caller, account)| {
            account.galleries.iter().flat_map(move |(id, about)| {
                let pair = move |(class, answers): (&ClassId, _)| {
                    (&caller[..], Bcid::new(id.clone(), *class), answers)
                };
                about.classes.iter().map(pair)
            })
        })
    }

    fn forget_pairs(&mut self) {
        let all = self.callers.values().flat_map(|it| it.galleries.values());
        let worths = all.flat_map(|about| about.classes.values().map(Answers::worth));
        let mut room = Room::of(worths.collect());
        for account in self.callers.values_mut() {
            for about in account.galleries.values_mut() {
                about
                    .classes
                    .retain(|_, answers| room.keeps(answers.worth()));
            }
            account.galleries.retain(|_, about| {
                about.climbs || about.most >= MANY_ANSWERS || !about.classes.is_empty()
            });
        }
        self.pairs = self.pairs().count();
    }

    fn forget_callers(&mut self) {
        let worth = |account: &Account| {
            let most = account.galleries.values().map(|about| about.most).max();
            (
                account.identifications.saturating_add(account.scores),
                most.unwrap_or_default() as i64,
            )
        };
        let mut room = Room::of(self.callers.values().map(worth).collect());
        self.callers.retain(|_, account| room.keeps(worth(account)));
        self.pairs = self.pairs().count();
    }
}

/// Keeps the worthier half of many, also where all are worth the same.
struct Room {
    middle: (u64, i64),
    /// How many that are worth as much as the middle go.
    equal_that_go: usize,
}

impl Room {
    fn of(mut worths: Vec<(u64, i64)>) -> Room {
        let half = worths.len() / 2;
        let (_, middle, _) = worths.select_nth_unstable(half);
        let middle = *middle;
        let less = worths.iter().filter(|worth| **worth < middle).count();
        Room {
            middle,
            equal_that_go: half.saturating_sub(less),
        }
    }

    fn keeps(&mut self, worth: (u64, i64)) -> bool {
        if worth == self.middle && self.equal_that_go > 0 {
            self.equal_that_go -= 1;
            return false;
        }
        worth >= self.middle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> PartitionId {
        "bws.1".parse().unwrap()
    }

    fn count(book: &mut Book, caller: &str, class: i64, by: u64) {
        book.change(caller, (&partition(), ClassId(class)), |it| it.count += by);
    }

    #[test]
    fn memory_is_bounded_and_those_asked_about_most_are_remembered() {
        let mut book = Book::default();
        count(&mut book, "climber", 1, 5);
        for class in 0..200_000 {
            // An eleventh is asked about again and again.
            count(
                &mut book,
                "crowd",
                class,
                if class % 11 == 0 { 3 } else { 1 },
            );
            assert!(book.pairs <= REMEMBERED_MAX);
        }
        assert_eq!(book.pairs().count(), book.pairs);
        assert!(book.pairs >= REMEMBERED_MAX / 2);
        // What was asked about often is not pushed out by many that were not.
        let about = book.about("climber", &partition()).unwrap();
        assert_eq!((about.most, about.classes[&ClassId(1)].count), (5, 5));
        let about = book.about("crowd", &partition()).unwrap();
        assert!(
            (0..200_000)
                .step_by(11)
                .all(|class| about.classes.contains_key(&ClassId(class)))
        );
    }

    #[test]
    fn callers_are_bounded_and_those_who_were_told_most_are_remembered() {
        let mut book = Book::default();
        book.account_mut("busy").scores = 7;
        for caller in 0..100_000 {
            book.account_mut(&format!("key {caller}")).scores += 1;
            count(&mut book, &format!("key {caller}"), 1, 1);
            assert!(book.callers.len() <= REMEMBERED_MAX);
        }
        assert_eq!(book.account("busy").unwrap().scores, 7);
        assert_eq!(book.pairs().count(), book.pairs);
    }
}
