//! Identifications that two people must confirm before anybody acts on them.
//!
//! Regulation (EU) 2024/1689, Article 14(5), wants no action on an identification of certain systems
//! unless two natural persons have verified it separately. Who they are is told by their keys. So whoever
//! asked cannot be one of them, since that is mostly a machine, and neither learns what the other said
//! before both have spoken.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::{CryptoRng, RngExt};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::ApiKeyId;
use crate::partition::{StateValue, Store, StoreError};
use crate::types::{ClassId, PartitionId, Timestamp};

/// Where decisions are kept in the store.
const AREA: &str = "decisions";

/// The identifications that wait for two people, and what became of them.
#[derive(Debug)]
pub struct Decisions {
    store: Arc<Store>,
    /// How many are kept, with those that are about to be; none until they were counted.
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    count: usize,
    /// How many of each key are pending.
    pending: HashMap<ApiKeyId, usize>,
}

/// The name of a decision, which nobody guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId(Uuid);

/// A text is not the name of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a decision is a UUID, as `identify` tells it")]
pub struct ParseDecisionIdError;

/// Where a decision stands among all, of which the newest is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DecisionPlace(Reverse<i64>, DecisionId);

/// An identification, and what people said of it. Nothing of it is a picture or a template, nor a name: who a
/// class is is looked up when it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// In which gallery.
    pub partition: PartitionId,
    /// Which key asked.
    pub asked_by: ApiKeyId,
    /// When.
    pub made: Timestamp,
    /// Whether it cannot be told which of the candidates it is.
    pub is_ambiguous: bool,
    /// Who was found, the best first, at most [`Decision::CANDIDATES_MAX`].
    pub candidates: Vec<Candidate>,
    /// What was said, in order.
    pub votes: Vec<Vote>,
}

/// Somebody who was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The class.
    pub class: ClassId,
    /// The numbers of its templates at that time, by which it is known again: a class that is removed may be
    /// enrolled anew with somebody else. `None` in decisions of earlier versions.
    pub templates: Option<Vec<u64>>,
}

/// What somebody said of an identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// By which key.
    pub key: ApiKeyId,
    /// Whether the first candidate is who it is.
    pub agrees: bool,
    /// When.
    pub time: Timestamp,
}

/// What may be done with an identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet: fewer than two have spoken.
    Pending,
    /// Two have spoken, and both agreed.
    Confirmed,
    /// Two have spoken, and not both agreed.
    Rejected,
}

/// Why somebody cannot speak of a decision, or why there is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecisionError {
    /// There is none of this name, or no longer.
    #[error("there is no such decision, or no longer")]
    Missing,
    /// The key has spoken.
    #[error("this key has spoken of the decision: the second person needs a key of their own")]
    Twice,
    /// The key asked.
    #[error("this key asked for the identification, which two others must confirm")]
    Own,
    /// Whoever was found is not there any more.
    #[error(
        "the person who was found was removed since, merged into another class or enrolled anew, or their time is \
         over: nobody can confirm it"
    )]
    Gone,
    /// It is over.
    #[error("the decision is {} already", .0.name())]
    Over(Standing),
    /// The key that asks has as many that are pending as one key may.
    #[error(
        "{} identifications of this key wait for two people to confirm them: no more are made before some are",
        Decisions::OF_KEY_MAX
    )]
    ShareFull,
    /// There is no room for another one.
    #[error(
        "{} identifications wait for two people to confirm them: no more are made before some are",
        Decisions::COUNT_MAX
    )]
    Full,
    /// The store failed.
    #[error("decisions cannot be read or written")]
    Store(#[from] StoreError),
}

/// A decision as it is stored. Field names are part of the file format.
#[derive(Serialize, Deserialize)]
struct Stored {
    partition: String,
    asked_by: String,
    made_unix_milliseconds: i64,
    is_ambiguous: bool,
    candidates: Vec<i64>,
    /// The templates of each candidate; empty in earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    templates: Vec<Option<Vec<u64>>>,
    /// Key, whether it agrees, and when.
    votes: Vec<(String, bool, i64)>,
}

impl Standing {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Pending => "pending",
            Standing::Confirmed => "confirmed",
            Standing::Rejected => "rejected",
        }
    }
}

impl DecisionId {
    fn random(rng: &mut impl CryptoRng) -> DecisionId {
        DecisionId(Builder::from_random_bytes(rng.random()).into_uuid())
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for DecisionId {
    type Err = ParseDecisionIdError;

    fn from_str(text: &str) -> Result<DecisionId, ParseDecisionIdError> {
        let id = text.parse::<Uuid>().map(DecisionId);
        id.map_err(|_not_a_uuid| ParseDecisionIdError)
    }
}

impl fmt::Display for DecisionPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.0, self.1)
    }
}

impl FromStr for DecisionPlace {
    type Err = ParseDecisionIdError;

    fn from_str(text: &str) -> Result<DecisionPlace, ParseDecisionIdError> {
        let (made, id) = text.split_once(' ').ok_or(ParseDecisionIdError)?;
        let made = made.parse().map_err(|_not_a_number| ParseDecisionIdError)?;
        Ok(DecisionPlace(Reverse(made), id.parse()?))
    }
}

impl Decision {
    /// How many must have spoken, and agreed.
    pub const VOTES_NEEDED: usize = 2;
    /// More candidates are not kept: nobody compares so many faces.
    pub const CANDIDATES_MAX: usize = 100;

    /// What may be done with it.
    pub fn standing(&self) -> Standing {
        if self.votes.len() < Decision::VOTES_NEEDED {
            Standing::Pending
        } else if self.votes.iter().all(|vote| vote.agrees) {
            Standing::Confirmed
        } else {
            Standing::Rejected
        }
    }

    /// Where it stands among all if `id` is its name.
    pub fn place(&self, id: DecisionId) -> DecisionPlace {
        DecisionPlace(Reverse(self.made.unix_milliseconds), id)
    }

    fn is_old(&self, now: Timestamp) -> bool {
        now >= self.made.after(Decisions::KEPT)
    }

    fn with(&self, vote: Vote) -> Result<Decision, DecisionError> {
        match self.standing() {
            Standing::Pending => {}
            over => return Err(DecisionError::Over(over)),
        }
        if vote.key == self.asked_by {
            return Err(DecisionError::Own);
        }
        if self.votes.iter().any(|other| other.key == vote.key) {
            return Err(DecisionError::Twice);
        }
        let mut voted = self.clone();
        voted.votes.push(vote);
        Ok(voted)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let votes = self.votes.iter().map(|vote| {
            let time = vote.time.unix_milliseconds;
            (vote.key.to_string(), vote.agrees, time)
        });
        let candidates = || self.candidates.iter().take(Decision::CANDIDATES_MAX);
        let stored = Stored {
            partition: self.partition.to_string(),
            asked_by: self.asked_by.to_string(),
            made_unix_milliseconds: self.made.unix_milliseconds,
            is_ambiguous: self.is_ambiguous,
            candidates: candidates().map(|it| it.class.0).collect(),
            templates: candidates().map(|it| it.templates.clone()).collect(),
            votes: votes.collect(),
        };
        serde_json::to_vec(&stored).expect("texts and numbers become JSON")
    }

    /// `None` if the bytes are damaged.
    fn from_bytes(bytes: &[u8]) -> Option<Decision> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        let time = |unix_milliseconds| Timestamp { unix_milliseconds };
        let votes = stored.votes.iter().map(|(key, agrees, at)| {
            Some(Vote {
                key: key.parse().ok()?,
                agrees: *agrees,
                time: time(*at),
            })
        });
        let mut templates = stored.templates.into_iter();
        let candidates = stored.candidates.iter().map(|class| Candidate {
            class: ClassId(*class),
            templates: templates.next().flatten(),
        });
        Some(Decision {
            partition: stored.partition.parse().ok()?,
            asked_by: stored.asked_by.parse().ok()?,
            made: time(stored.made_unix_milliseconds),
            is_ambiguous: stored.is_ambiguous,
            candidates: candidates.collect(),
            votes: votes.collect::<Option<_>>()?,
        })
    }
}

impl Kept {
    fn of(count: usize, all: &[(DecisionId, Decision)]) -> Kept {
        let mut kept = Kept {
            count,
            ..Kept::default()
        };
        let pending = all.iter().map(|(_, decision)| decision);
        for decision in pending.filter(|it| it.standing() == Standing::Pending) {
            *kept.pending.entry(decision.asked_by).or_default() += 1;
        }
        kept
    }

    /// One of this key is no longer pending.
    fn end(&mut self, key: ApiKeyId) {
        if let Some(pending) = self.pending.get_mut(&key) {
            *pending = pending.saturating_sub(1);
            if *pending == 0 {
                self.pending.remove(&key);
            }
        }
    }
}

impl Decisions {
    /// How long a decision can be looked at and spoken of. The audit log has it for as long as that is kept.
    pub const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
    /// No more are kept. The oldest that are over make room; where none is, no more are made.
    pub const COUNT_MAX: usize = 10_000;
    /// No more of one key are pending, so that it leaves room for others.
    pub const OF_KEY_MAX: usize = Decisions::COUNT_MAX / 4;

    /// The decisions kept in `store`.
    pub fn new(store: Arc<Store>) -> Decisions {
        Decisions {
            store,
            kept: Mutex::default(),
        }
    }

    /// Keeps new decisions, which are pending, and returns their names in order. They are on disk then.
    ///
    /// # Errors
    ///
    /// [`DecisionError::Full`] if too many are pending, [`DecisionError::ShareFull`] if too many of one key
    /// are; if the store fails.
    pub fn put(
        &self,
        decisions: &[Decision],
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<DecisionId>, DecisionError> {
        let ids: Vec<DecisionId> = decisions.iter().map(|_| DecisionId::random(rng)).collect();
        self.take_room(decisions, now)?;
        let values = ids.iter().zip(decisions).map(|(id, decision)| StateValue {
            area: AREA,
            key: id.to_string(),
            value: decision.to_bytes(),
        });
        if let Err(error) = self.store.state_put_all(values.collect()) {
            self.give_back(decisions);
            return Err(error.into());
        }
        Ok(ids)
    }

    /// The decision of this name, unless it is too old.
    ///
    /// # Errors
    ///
    /// If there is none, or the store fails.
    pub fn get(&self, id: DecisionId, now: Timestamp) -> Result<Decision, DecisionError> {
        let bytes = self.store.state_get(AREA, &id.to_string())?;
        let decision = bytes.and_then(|bytes| Decision::from_bytes(&bytes));
        let decision = decision.filter(|decision| !decision.is_old(now));
        decision.ok_or(DecisionError::Missing)
    }

    /// At most `limit` decisions in galleries that `is_wanted`, behind the place `after`, the newest first.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn list(
        &self,
        is_wanted: impl Fn(&PartitionId) -> bool,
        after: Option<DecisionPlace>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(DecisionId, Decision)>, StoreError> {
        let mut found = self.all()?;
        found.retain(|(id, decision)| {
            let is_behind = after.is_none_or(|after| decision.place(*id) > after);
            is_behind && !decision.is_old(now) && is_wanted(&decision.partition)
        });
        found.sort_by_key(|(id, decision)| decision.place(*id));
        found.truncate(limit);
        Ok(found)
    }

    /// Keeps what somebody says of a decision. It is on disk when this returns, once, however many speak at the
    /// same moment.
    ///
    /// # Errors
    ///
    /// If there is none, it is over, the key has spoken or is the one that asked, or the store fails.
    pub fn vote(&self, id: DecisionId, vote: Vote) -> Result<Decision, DecisionError> {
        let now = vote.time;
        let change = move |present: Option<&[u8]>| {
            let found = present.and_then(Decision::from_bytes);
            let found = found.filter(|decision| !decision.is_old(now));
            let voted = found
                .ok_or(DecisionError::Missing)
                .and_then(|decision| decision.with(vote));
            match voted {
                Ok(voted) => (Some(voted.to_bytes()), Ok(voted)),
                Err(error) => (present.map(<[u8]>::to_vec), Err(error)),
            }
        };
        let voted = self.store.state_update(AREA, &id.to_string(), change)?;
        if let Ok(voted) = &voted
            && voted.standing() != Standing::Pending
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(kept) = kept.as_mut() {
                kept.end(voted.asked_by);
            }
        }
        voted
    }

    /// Removes decisions that are too old at `now`. Reads all of them: for once a minute.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn purge(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut locked = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.counted(locked.take())?;
        let mut old = self.all()?;
        old.retain(|(_, decision)| decision.is_old(now));
        let removed = self.remove(&mut kept, &old);
        *locked = Some(kept);
        removed
    }

    /// Removes all decisions in a gallery, which was removed. Reads all of them.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn forget(&self, partition: &PartitionId) -> Result<(), StoreError> {
        let mut locked = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.counted(locked.take())?;
        let mut of_it = self.all()?;
        of_it.retain(|(_, decision)| decision.partition == *partition);
        let removed = self.remove(&mut kept, &of_it);
        *locked = Some(kept);
        removed
    }

    fn take_room(&self, new: &[Decision], now: Timestamp) -> Result<(), DecisionError> {
        let mut locked = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.counted(locked.take())?;
        let taken = self.take(&mut kept, new, now);
        *locked = Some(kept);
        taken
    }

    fn counted(&self, known: Option<Kept>) -> Result<Kept, StoreError> {
        match known {
            Some(kept) => Ok(kept),
            None => Ok(Kept::of(self.store.state_list(AREA)?.len(), &self.all()?)),
        }
    }

    fn take(&self, kept: &mut Kept, new: &[Decision], now: Timestamp) -> Result<(), DecisionError> {
        let more = new.len();
        // All that come together are of one key.
        if let Some(Decision { asked_by, .. }) = new.first()
            && kept.pending.get(asked_by).unwrap_or(&0) + more > Decisions::OF_KEY_MAX
        {
            return Err(DecisionError::ShareFull);
        }
        if kept.count + more > Decisions::COUNT_MAX {
            let mut over = self.all()?;
            over.retain(|(_, it)| it.is_old(now) || it.standing() != Standing::Pending);
            over.sort_by_key(|(id, decision)| Reverse(decision.place(*id)));
            // Some at once, so that not every call has to look for one.
            over.truncate((Decisions::COUNT_MAX / 10).max(more));
            self.remove(kept, &over)?;
        }
        if kept.count + more > Decisions::COUNT_MAX {
            return Err(DecisionError::Full);
        }
        kept.count += more;
        for decision in new {
            *kept.pending.entry(decision.asked_by).or_default() += 1;
        }
        Ok(())
    }

    fn remove(&self, kept: &mut Kept, these: &[(DecisionId, Decision)]) -> Result<(), StoreError> {
        let ids = these.iter().map(|(id, _)| id.to_string()).collect();
        let removed = self.store.state_remove_all(AREA, ids)?;
        kept.count = kept.count.saturating_sub(removed);
        for (_, decision) in these {
            if decision.standing() == Standing::Pending {
                kept.end(decision.asked_by);
            }
        }
        Ok(())
    }

    fn give_back(&self, unused: &[Decision]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = kept.as_mut() else {
            return;
        };
        kept.count = kept.count.saturating_sub(unused.len());
        for decision in unused {
            kept.end(decision.asked_by);
        }
    }

    /// All that can be read. The catalog knows damage by itself; what is of another version is passed over.
    fn all(&self) -> Result<Vec<(DecisionId, Decision)>, StoreError> {
        let listed = self.store.state_list(AREA)?.into_iter();
        let read = |(id, bytes): (String, Vec<u8>)| {
            Some((id.parse().ok()?, Decision::from_bytes(&bytes)?))
        };
        Ok(listed.filter_map(read).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::apps::tests::store;
    use super::*;

    const NOW: Timestamp = Timestamp {
        unix_milliseconds: 1_000_000,
    };

    fn key(digit: char) -> ApiKeyId {
        digit.to_string().repeat(16).parse().unwrap()
    }

    fn decision() -> Decision {
        Decision {
            partition: "bws.-1".parse().unwrap(),
            asked_by: key('a'),
            made: NOW,
            is_ambiguous: true,
            candidates: vec![
                Candidate {
                    class: ClassId(i64::MAX),
                    templates: Some(vec![7, u64::MAX]),
                },
                Candidate {
                    class: ClassId(-3),
                    templates: None,
                },
            ],
            votes: Vec::new(),
        }
    }

    fn vote(digit: char, agrees: bool) -> Vote {
        Vote {
            key: key(digit),
            agrees,
            time: NOW,
        }
    }

    fn put(decisions: &Decisions, decision: Decision) -> DecisionId {
        let ids = decisions.put(&[decision], NOW, &mut rand::rng()).unwrap();
        ids[0]
    }

    #[test]
    fn two_keys_must_agree_and_each_speaks_once() {
        let (_directory, store) = store();
        let decisions = Decisions::new(store.clone());
        let id = put(&decisions, decision());
        assert_eq!(decisions.get(id, NOW).unwrap(), decision());
        let once = decisions.vote(id, vote('1', true)).unwrap();
        assert_eq!(once.standing(), Standing::Pending);
        let again = decisions.vote(id, vote('1', true)).unwrap_err();
        assert!(matches!(again, DecisionError::Twice));
        let own = decisions.vote(id, vote('a', true)).unwrap_err();
        assert!(matches!(own, DecisionError::Own));
        // Also after a restart.
        let decisions = Decisions::new(store);
        let twice = decisions.vote(id, vote('2', true)).unwrap();
        assert_eq!(twice.standing(), Standing::Confirmed);
        assert_eq!(decisions.get(id, NOW).unwrap(), twice);
        let late = decisions.vote(id, vote('3', false)).unwrap_err();
        assert!(matches!(late, DecisionError::Over(Standing::Confirmed)));
    }

    #[test]
    fn one_who_disagrees_is_enough_and_the_second_speaks_all_the_same() {
        let (_directory, store) = store();
        let decisions = Decisions::new(store);
        for (first, second) in [(true, false), (false, true), (false, false)] {
            let id = put(&decisions, decision());
            let pending = decisions.vote(id, vote('1', first)).unwrap();
            assert_eq!(pending.standing(), Standing::Pending);
            let over = decisions.vote(id, vote('2', second)).unwrap();
            assert_eq!(over.standing(), Standing::Rejected);
        }
    }

    #[test]
    fn votes_at_once_are_counted_once_each() {
        let (_directory, store) = store();
        let decisions = Decisions::new(store);
        let id = put(&decisions, decision());
        let counted = std::thread::scope(|scope| {
            let voting: Vec<_> = "12345678"
                .chars()
                .map(|digit| {
                    scope.spawn({
                        let decisions = &decisions;
                        move || decisions.vote(id, vote(digit, true)).is_ok()
                    })
                })
                .collect();
            let counted = voting.into_iter().map(|it| usize::from(it.join().unwrap()));
            counted.sum::<usize>()
        });
        assert_eq!(counted, 2);
        assert_eq!(decisions.get(id, NOW).unwrap().votes.len(), 2);
    }

    #[test]
    fn old_and_unknown_decisions_are_none() {
        let (_directory, store) = store();
        let decisions = Decisions::new(store);
        let id = put(&decisions, decision());
        let end = NOW.after(Decisions::KEPT);
        let is_missing =
            |it: Result<Decision, DecisionError>| matches!(it, Err(DecisionError::Missing));
        assert!(is_missing(decisions.get(id, end)));
        let late = Vote {
            time: end,
            ..vote('1', true)
        };
        assert!(is_missing(decisions.vote(id, late)));
        let other = DecisionId::random(&mut rand::rng());
        assert!(is_missing(decisions.vote(other, vote('1', true))));
        decisions.purge(NOW).unwrap();
        decisions.get(id, NOW).unwrap();
        decisions.purge(end).unwrap();
        assert!(is_missing(decisions.get(id, NOW)));
    }

    #[test]
    fn the_newest_are_listed_first_from_any_place_on_and_no_others() {
        let (_directory, store) = store();
        let decisions = Decisions::new(store);
        let made = |after: u64, partition: &str| Decision {
            made: NOW.after(Duration::from_secs(after)),
            partition: partition.parse().unwrap(),
            ..decision()
        };
        let ids: Vec<DecisionId> = (0..9)
            .map(|at| put(&decisions, made(at / 3, ["a.1", "b.1"][at as usize % 2])))
            .collect();
        let now = NOW.after(Duration::from_secs(5));
        let listed = |after, limit| {
            let listed = decisions.list(|id| id.storage.to_string() == "a", after, limit, now);
            listed.unwrap()
        };
        let all = listed(None, 100);
        assert_eq!(all.len(), 5);
        assert!(
            all.iter()
                .is_sorted_by_key(|(_, it)| Reverse(it.made.unix_milliseconds))
        );
        assert!(
            all.iter()
                .all(|(id, _)| ids.iter().step_by(2).any(|own| own == id))
        );
        let (id, decision) = &all[1];
        let place: DecisionPlace = decision.place(*id).to_string().parse().unwrap();
        assert_eq!(listed(Some(place), 2), all[2..4]);
        for bad in ["", "1", "1 ", &format!("x {id}"), &id.to_string()] {
            assert!(bad.parse::<DecisionPlace>().is_err(), "{bad}");
        }
    }

    #[test]
    fn so_many_are_kept_and_those_that_are_over_make_room() {
        let (_directory, store) = store();
        let decisions = Decisions::new(store.clone());
        let of = |digit: char| Decision {
            asked_by: key(digit),
            ..decision()
        };
        let of_each = |digit| vec![of(digit); Decisions::OF_KEY_MAX];
        let mut ids = Vec::new();
        for digit in ['a', 'b', 'c', 'd'] {
            let of_one = decisions.put(&of_each(digit), NOW, &mut rand::rng());
            ids.extend(of_one.unwrap());
        }
        let decision = || of('e');
        let full = decisions.put(&[decision()], NOW, &mut rand::rng());
        assert!(matches!(full, Err(DecisionError::Full)));
        // Also after a restart.
        let decisions = Decisions::new(store);
        let full = decisions.put(&[decision()], NOW, &mut rand::rng());
        assert!(matches!(full, Err(DecisionError::Full)));
        for digit in ['1', '2'] {
            decisions.vote(ids[7], vote(digit, true)).unwrap();
        }
        let new = put(&decisions, decision());
        decisions.get(new, NOW).unwrap();
        let gone = decisions.get(ids[7], NOW);
        assert!(matches!(gone, Err(DecisionError::Missing)));
        decisions.get(ids[8], NOW).unwrap();
        let full = decisions.put(&[decision()], NOW, &mut rand::rng());
        assert!(matches!(full, Err(DecisionError::Full)));
    }

    #[test]
    fn one_key_leaves_room_for_others() {
        let (_directory, store) = store();
        let decisions = Decisions::new(store.clone());
        let own = vec![decision(); Decisions::OF_KEY_MAX];
        let ids = decisions.put(&own, NOW, &mut rand::rng()).unwrap();
        // Also after a restart.
        for decisions in [&decisions, &Decisions::new(store)] {
            let more = decisions.put(&[decision()], NOW, &mut rand::rng());
            assert!(matches!(more, Err(DecisionError::ShareFull)));
            let other = Decision {
                asked_by: key('b'),
                ..decision()
            };
            put(decisions, other);
        }
        // What is over waits for nobody.
        for digit in ['1', '2'] {
            decisions.vote(ids[3], vote(digit, false)).unwrap();
        }
        put(&decisions, decision());
        let more = decisions.put(&[decision()], NOW, &mut rand::rng());
        assert!(matches!(more, Err(DecisionError::ShareFull)));
        let end = NOW.after(Decisions::KEPT);
        decisions.purge(end).unwrap();
        put(&decisions, decision());
    }
}
