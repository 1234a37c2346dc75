//! The samples of all tokens.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::counts::Count;
use crate::liveness::{FaceView, Observation};
use crate::turns::Account;
use crate::types::{Embedding, Portrait, Timestamp};

/// What is kept of one uploaded picture.
#[derive(Clone)]
pub struct UploadedSample {
    /// The face.
    pub embedding: Embedding,
    /// How suitable the picture is, from 0 to 1.
    pub quality: f32,
    /// What tells whether the picture shows a live person.
    pub presence: Option<Presence>,
    /// The head movement that the client says the picture shows, in its own words.
    pub tag: Option<String>,
    /// Where the client puts the sample in the order of its samples.
    pub index: Option<i64>,
    /// When it arrived, among all samples; see [`WaitingRoom::arrival`].
    pub arrival: u64,
    /// What the face looks like, where the task may store that.
    pub portrait: Option<Portrait>,
}

/// What tells whether a picture shows a live person.
#[derive(Clone, Debug)]
pub enum Presence {
    /// Nobody has looked yet: most tasks never ask.
    Unseen(Box<FaceView>),
    /// What was seen. Smaller by a factor of twenty.
    Seen(Box<Observation>),
}

/// Whose samples they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Whose share of the room they take: that of the app.
    pub account: Account,
    /// Whose task uses them.
    pub token: Uuid,
    /// When nobody can use them any more.
    pub expires: Timestamp,
}

/// How many samples may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one token.
    pub per_token: usize,
    /// For all tokens together.
    pub total: usize,
    /// From so many samples on, new ones should be looked at before they are kept; see
    /// [`WaitingRoom::is_crowded`].
    pub unseen: usize,
}

/// How many pictures of a token may be of no use, as a multiple of those that may wait. A page that
/// shows the camera sends pictures before a face is there, about twenty in each of three tries: with the
/// usual limits 256 are let in, which take a service some ten seconds.
const REFUSED_FACTOR: usize = 8;

/// Why a sample is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The token has as many samples as it may.
    #[error("{limit} samples already wait for the task of this token, which is the most allowed")]
    TokenFull {
        /// How many it may have.
        limit: usize,
    },
    /// The token has sent as many pictures that were of no use as it may.
    #[error("{limit} samples of this token were of no use, which is the most allowed")]
    TooManyRefused {
        /// How many it may have sent.
        limit: usize,
    },
    /// There are as many samples as there is room for, and nobody has more of them than this app.
    #[error(
        "the service holds {limit} samples, which is the most allowed, and this app has as many of them as any"
    )]
    AboveShare {
        /// How many there may be.
        limit: usize,
    },
    /// There are as many samples as there is room for.
    #[error("the service holds {limit} samples, which is the most allowed")]
    Full {
        /// How many there may be.
        limit: usize,
    },
    /// The token expired in the meantime.
    #[error("the token has expired")]
    Expired,
}

/// Holds samples until their token's task takes them or the token expires.
///
/// An app that is alone may have all the room. When there is none left, whoever has more than another
/// app would have gives way to it: the token that sent nothing for the longest loses its samples, as
/// it would by a restart. So one app cannot shut the others out, however many tokens it makes.
pub struct WaitingRoom {
    limits: Limits,
    arrivals: AtomicU64,
    given_up: Count,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tokens: HashMap<Uuid, Waiting>,
    /// How many samples there are in `tokens`.
    total: usize,
    /// How many of each account that has any.
    by_account: HashMap<Account, usize>,
    /// How many samples were ever put.
    puts: u64,
    /// No token in `tokens` expires before this.
    next_expiry: Option<Timestamp>,
}

struct Waiting {
    account: Account,
    expires: Timestamp,
    /// In the order of arrival.
    samples: Vec<UploadedSample>,
    /// The number of the last of them among all that were put.
    last_put: u64,
    /// How many pictures were of no use.
    refused: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            per_token: 32,
            // About 5 MB of embeddings with 128 values, and 100 MB of what liveness needs.
            total: 10_000,
            // 110 MB.
            unseen: 500,
        }
    }
}

impl fmt::Debug for UploadedSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sample(hidden)")
    }
}

impl WaitingRoom {
    /// An empty room.
    pub fn new(limits: Limits) -> WaitingRoom {
        WaitingRoom {
            limits,
            arrivals: AtomicU64::new(0),
            given_up: Count::default(),
            state: Mutex::default(),
        }
    }

    /// The next number in the order of arrival. Taken when an upload begins: how long it is then
    /// looked at must not put a picture behind one that came later.
    pub fn arrival(&self) -> u64 {
        self.arrivals.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether another sample of the token would be kept, so that nobody need examine a picture
    /// in vain. Another upload may still take the place.
    ///
    /// # Errors
    ///
    /// As [`WaitingRoom::put`].
    pub fn check(&self, owner: &Owner, now: Timestamp) -> Result<(), SampleError> {
        let mut state = self.state();
        state.admit(self.limits, owner, now)?;
        if state.total < self.limits.total || state.greatest_above(&owner.account).is_some() {
            return Ok(());
        }
        Err(state.full(self.limits, &owner.account))
    }

    /// Keeps a sample for the token's task until the token expires.
    ///
    /// # Errors
    ///
    /// If the token or the room is full, or the token has expired. Nothing is kept or given up then.
    pub fn put(
        &self,
        owner: &Owner,
        sample: UploadedSample,
        now: Timestamp,
    ) -> Result<(), SampleError> {
        let mut state = self.state();
        state.admit(self.limits, owner, now)?;
        let given_up = state.make_room(self.limits, &owner.account)?;
        self.given_up.add(given_up as u64);
        state.keep(owner, sample);
        Ok(())
    }

    /// Counts a picture of the token that was of no use, until the token expires. It took as long to
    /// know that as to look at a good one, so that there is an end to them, too.
    pub fn refuse(&self, owner: &Owner, now: Timestamp) {
        let mut state = self.state();
        state.sweep(now);
        if now < owner.expires {
            state.waiting(owner).refused += 1;
        }
    }

    /// Removes and returns all samples of the token: by index, those without one last, and among
    /// equals in the order of arrival.
    ///
    /// However many callers race for them, one gets them all and the others get none.
    pub fn take(&self, token: Uuid, now: Timestamp) -> Vec<UploadedSample> {
        let mut state = self.state();
        let Some(waiting) = state.tokens.get(&token) else {
            return Vec::new();
        };
        let expires = waiting.expires;
        let mut samples = state.take(token);
        drop(state);
        if now >= expires {
            return Vec::new();
        }
        samples.sort_by_key(|sample| (sample.index.is_none(), sample.index, sample.arrival));
        samples
    }

    /// Forgets the samples of tokens that have expired.
    pub fn sweep(&self, now: Timestamp) {
        self.state().sweep(now);
    }

    /// How many samples wait.
    pub fn len(&self) -> usize {
        self.state().total
    }

    /// How many samples have ever made room for those of another app.
    pub fn given_up(&self) -> u64 {
        self.given_up.get()
    }

    /// Whether so many samples wait that there is no room for what has not been looked at.
    pub fn is_crowded(&self) -> bool {
        self.len() >= self.limits.unseen
    }

    /// Whether no sample waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A thread that panicked here left nothing half-done: every change is made after the last
    /// step that can fail.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for WaitingRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("WaitingRoom")
            .field("limits", &self.limits)
            .field("tokens", &state.tokens.len())
            .field("samples", &state.total)
            .finish()
    }
}

impl State {
    /// Fails if the token may have no more samples, whatever room there is.
    fn admit(&mut self, limits: Limits, owner: &Owner, now: Timestamp) -> Result<(), SampleError> {
        if now >= owner.expires {
            return Err(SampleError::Expired);
        }
        self.sweep(now);
        let waiting = self.tokens.get(&owner.token);
        if waiting.is_some_and(|waiting| waiting.samples.len() >= limits.per_token) {
            return Err(SampleError::TokenFull {
                limit: limits.per_token,
            });
        }
        let limit = limits.per_token.saturating_mul(REFUSED_FACTOR);
        if waiting.is_some_and(|waiting| waiting.refused >= limit) {
            return Err(SampleError::TooManyRefused { limit });
        }
        Ok(())
    }

    /// Makes room for one sample more. Returns how many were given up for it.
    fn make_room(&mut self, limits: Limits, account: &Account) -> Result<usize, SampleError> {
        let mut given_up = 0;
        while self.total >= limits.total {
            let idle = self
                .greatest_above(account)
                .and_then(|greatest| self.idle_longest(greatest));
            let Some(token) = idle else {
                return Err(self.full(limits, account));
            };
            given_up += self.take(token).len();
        }
        Ok(given_up)
    }

    /// The account with the most samples, if that are more than `account` has with one more.
    fn greatest_above(&self, account: &Account) -> Option<&Account> {
        let own = self.by_account.get(account).copied().unwrap_or_default() + 1;
        let others = self
            .by_account
            .iter()
            .filter(|(other, _)| *other != account);
        // Of equal ones always the same.
        let (greatest, count) = others.max_by_key(|(other, count)| (**count, *other))?;
        (*count > own).then_some(greatest)
    }

    /// The token of an account whose last sample came before those of all others of it.
    fn idle_longest(&self, account: &Account) -> Option<Uuid> {
        let own = self.tokens.iter();
        let own =
            own.filter(|(_, waiting)| waiting.account == *account && !waiting.samples.is_empty());
        let (token, _) = own.min_by_key(|(_, waiting)| waiting.last_put)?;
        Some(*token)
    }

    /// Why there is no room: only who shares it with others is above a share.
    fn full(&self, limits: Limits, account: &Account) -> SampleError {
        let limit = limits.total;
        let has_others = self.by_account.keys().any(|other| other != account);
        match has_others && self.by_account.contains_key(account) {
            true => SampleError::AboveShare { limit },
            false => SampleError::Full { limit },
        }
    }

    fn keep(&mut self, owner: &Owner, sample: UploadedSample) {
        self.puts += 1;
        self.total += 1;
        *self.by_account.entry(owner.account.clone()).or_default() += 1;
        let number = self.puts;
        let waiting = self.waiting(owner);
        waiting.samples.push(sample);
        waiting.last_put = number;
    }

    /// Takes all samples of a token. How many of its pictures were of no use stays known.
    fn take(&mut self, token: Uuid) -> Vec<UploadedSample> {
        let Some(waiting) = self.tokens.get_mut(&token) else {
            return Vec::new();
        };
        let samples = mem::take(&mut waiting.samples);
        let account = waiting.account.clone();
        if waiting.refused == 0 {
            self.tokens.remove(&token);
        }
        self.forget(&account, samples.len());
        samples
    }

    /// So many samples of an account are gone.
    fn forget(&mut self, account: &Account, count: usize) {
        self.total -= count;
        if let Some(known) = self.by_account.get_mut(account) {
            *known -= count;
            if *known == 0 {
                self.by_account.remove(account);
            }
        }
    }

    /// What is kept for a token, to which something is added.
    fn waiting(&mut self, owner: &Owner) -> &mut Waiting {
        let expires = owner.expires;
        self.next_expiry = Some(self.next_expiry.map_or(expires, |next| next.min(expires)));
        self.tokens.entry(owner.token).or_insert(Waiting {
            account: owner.account.clone(),
            expires,
            samples: Vec::new(),
            last_put: 0,
            refused: 0,
        })
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.next_expiry.is_none_or(|next| now < next) {
            return;
        }
        let gone = self
            .tokens
            .extract_if(|_, waiting| now >= waiting.expires)
            .map(|(_, waiting)| (waiting.account, waiting.samples.len()));
        let gone: Vec<(Account, usize)> = gone.collect();
        for (account, count) in gone {
            self.forget(&account, count);
        }
        self.next_expiry = self.tokens.values().map(|waiting| waiting.expires).min();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp {
        unix_milliseconds: 5_000,
    };

    fn sample(number: f32, index: Option<i64>) -> UploadedSample {
        UploadedSample {
            embedding: Embedding::new(vec![number; 16]).unwrap(),
            quality: 0.5,
            presence: None,
            tag: None,
            index,
            arrival: 0,
            portrait: None,
        }
    }

    #[test]
    fn of_one_index_the_first_to_arrive_comes_first_whatever_was_done_sooner() {
        let room = WaitingRoom::new(Limits::default());
        let [early, late] = [room.arrival(), room.arrival()];
        for (number, arrival) in [(2.0, late), (1.0, early)] {
            let sample = UploadedSample {
                arrival,
                ..sample(number, Some(1))
            };
            room.put(&owner(1), sample, NOW).unwrap();
        }
        assert_eq!(numbers(&room.take(token(1), NOW)), [1.0, 2.0]);
    }

    fn numbers(samples: &[UploadedSample]) -> Vec<f32> {
        samples
            .iter()
            .map(|sample| sample.embedding.values()[0])
            .collect()
    }

    fn expiry() -> Timestamp {
        NOW.after(Duration::from_secs(600))
    }

    fn token(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// A token of an app, named by a number.
    fn of(app: &str, number: u128) -> Owner {
        Owner {
            account: Account::new(app),
            token: token(number),
            expires: expiry(),
        }
    }

    fn owner(number: u128) -> Owner {
        of("one", number)
    }

    fn until(number: u128, expires: Timestamp) -> Owner {
        Owner {
            expires,
            ..owner(number)
        }
    }

    #[test]
    fn samples_come_by_index_then_by_arrival_and_those_without_last() {
        let room = WaitingRoom::new(Limits::default());
        for (number, index) in [
            (1.0, None),
            (2.0, Some(2)),
            (3.0, Some(-1)),
            (4.0, Some(2)),
            (5.0, None),
            (6.0, Some(0)),
        ] {
            room.put(&owner(1), sample(number, index), NOW).unwrap();
        }
        let taken = room.take(token(1), NOW);
        assert_eq!(numbers(&taken), [3.0, 6.0, 2.0, 4.0, 1.0, 5.0]);
        assert!(room.take(token(1), NOW).is_empty());
        assert!(room.is_empty());
    }

    #[test]
    fn tokens_do_not_see_each_others_samples() {
        let room = WaitingRoom::new(Limits::default());
        room.put(&owner(1), sample(1.0, None), NOW).unwrap();
        room.put(&owner(2), sample(2.0, None), NOW).unwrap();
        assert_eq!(numbers(&room.take(token(2), NOW)), [2.0]);
        assert_eq!(numbers(&room.take(token(1), NOW)), [1.0]);
    }

    #[test]
    fn samples_expire_with_their_token() {
        let room = WaitingRoom::new(Limits::default());
        room.put(&owner(1), sample(1.0, None), NOW).unwrap();
        let later = expiry().after(Duration::from_secs(9));
        room.put(&until(2, later), sample(2.0, None), NOW).unwrap();
        let late = room.put(&owner(1), sample(3.0, None), expiry());
        assert_eq!(late, Err(SampleError::Expired));
        room.sweep(expiry());
        assert_eq!(
            room.len(),
            1,
            "the sweep left an expired sample or took a fresh one"
        );
        assert!(room.take(token(1), expiry()).is_empty());
        assert_eq!(room.take(token(2), expiry()).len(), 1);
    }

    #[test]
    fn expired_samples_are_not_handed_out_even_without_a_sweep() {
        let room = WaitingRoom::new(Limits::default());
        room.put(&owner(1), sample(1.0, None), NOW).unwrap();
        assert!(room.take(token(1), expiry()).is_empty());
    }

    #[test]
    fn both_limits_hold_and_expiry_makes_room() {
        let room = WaitingRoom::new(Limits {
            per_token: 2,
            total: 3,
            unseen: 2,
        });
        let put = |number, now| room.put(&owner(number), sample(0.5, None), now);
        put(1, NOW).unwrap();
        assert!(!room.is_crowded());
        put(1, NOW).unwrap();
        assert!(room.is_crowded());
        assert_eq!(put(1, NOW), Err(SampleError::TokenFull { limit: 2 }));
        put(2, NOW).unwrap();
        assert_eq!(put(2, NOW), Err(SampleError::Full { limit: 3 }));
        assert_eq!(
            room.check(&owner(2), NOW),
            Err(SampleError::Full { limit: 3 })
        );
        let later = expiry().after(Duration::from_secs(600));
        room.put(&until(3, later), sample(1.0, None), expiry())
            .unwrap();
        assert_eq!(room.len(), 1);
    }

    #[test]
    fn pictures_of_no_use_have_an_end_of_their_own_that_no_task_takes_away() {
        let room = WaitingRoom::new(Limits {
            per_token: 2,
            ..Limits::default()
        });
        let put = || room.put(&owner(1), sample(0.5, None), NOW);
        for round in 0..16 {
            assert_eq!(room.check(&owner(1), NOW), Ok(()), "{round}");
            room.refuse(&owner(1), NOW);
            // Good ones have places of their own, and a task that takes them makes no others free.
            if round % 5 == 0 && round < 15 {
                put().unwrap();
                assert_eq!(room.take(token(1), NOW).len(), 1);
            }
        }
        let full = Err(SampleError::TooManyRefused { limit: 16 });
        assert_eq!(room.check(&owner(1), NOW), full);
        assert_eq!(put(), full);
        assert!(room.is_empty());
        // Others are not held to it, nor is anybody when it is over.
        assert_eq!(room.check(&owner(2), NOW), Ok(()));
        room.sweep(expiry());
        assert_eq!(room.state().tokens.len(), 0);
        room.refuse(&owner(3), expiry());
        assert_eq!(
            room.state().tokens.len(),
            0,
            "kept for a token that has expired"
        );
    }

    #[test]
    fn taking_makes_room() {
        let room = WaitingRoom::new(Limits {
            per_token: 1,
            total: 1,
            unseen: 0,
        });
        for _ in 0..3 {
            room.put(&owner(1), sample(1.0, None), NOW).unwrap();
            assert_eq!(room.take(token(1), NOW).len(), 1);
        }
    }

    #[test]
    fn a_race_of_takers_has_one_winner_and_loses_nothing() {
        for _ in 0..50 {
            let room = WaitingRoom::new(Limits::default());
            for number in 1..=8_u8 {
                room.put(&owner(1), sample(f32::from(number), None), NOW)
                    .unwrap();
            }
            let mut counts: Vec<usize> = thread::scope(|scope| {
                let takers: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| room.take(token(1), NOW).len()))
                    .collect();
                takers
                    .into_iter()
                    .map(|taker| taker.join().unwrap())
                    .collect()
            });
            counts.sort_unstable();
            assert_eq!(counts, [0, 0, 0, 0, 0, 0, 0, 8]);
        }
    }

    #[test]
    fn a_race_of_uploads_keeps_exactly_the_limit() {
        let room = WaitingRoom::new(Limits::default());
        let kept: usize = thread::scope(|scope| {
            let uploads: Vec<_> = (0..64)
                .map(|_| scope.spawn(|| room.put(&owner(1), sample(1.0, None), NOW)))
                .collect();
            uploads
                .into_iter()
                .filter_map(|upload| upload.join().unwrap().ok())
                .count()
        });
        assert_eq!(kept, 32);
        assert_eq!(room.take(token(1), NOW).len(), 32);
    }

    fn counts(room: &WaitingRoom, apps: &[&str]) -> Vec<usize> {
        let state = room.state();
        let count = |app: &&str| state.by_account.get(&Account::new(app)).copied();
        apps.iter()
            .map(|app| count(app).unwrap_or_default())
            .collect()
    }

    fn of_twelve() -> WaitingRoom {
        WaitingRoom::new(Limits {
            per_token: 4,
            total: 12,
            unseen: 0,
        })
    }

    #[test]
    fn an_app_alone_has_all_the_room_and_makes_some_for_whoever_comes() {
        let room = of_twelve();
        let put = |app, number| room.put(&of(app, number), sample(0.5, None), NOW);
        // Six tokens with two samples each; the first is the last to send one.
        for number in [1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1] {
            assert_eq!(put("flood", number), Ok(()));
        }
        let full = Err(SampleError::Full { limit: 12 });
        assert_eq!(
            (put("flood", 7), room.check(&of("flood", 7), NOW)),
            (full, full)
        );
        assert_eq!(room.check(&of("other", 100), NOW), Ok(()));
        assert_eq!((put("other", 100), room.given_up()), (Ok(()), 2));
        assert!(room.take(token(6), NOW).is_empty(), "it was idle longest");
        let above = Err(SampleError::AboveShare { limit: 12 });
        assert_eq!(put("flood", 7), Ok(()), "there is room again");
        assert_eq!(
            (put("flood", 7), room.check(&of("flood", 7), NOW)),
            (above, above)
        );
        for number in [101, 101, 102, 102, 103] {
            assert_eq!(put("other", number), Ok(()));
        }
        assert_eq!(counts(&room, &["flood", "other"]), [5, 6]);
        // Both have as much as the other then, and neither gets more.
        assert_eq!(put("flood", 8), Ok(()));
        assert_eq!((put("flood", 8), put("other", 104)), (above, above));
        assert_eq!((room.len(), room.given_up()), (12, 8));
    }

    #[test]
    fn many_small_apps_find_room_beside_one_that_floods() {
        let room = of_twelve();
        let flood = || {
            let put = |number: &u128| {
                room.put(&of("flood", 1000 + number), sample(0.5, None), NOW)
                    .is_ok()
            };
            (0..100).take_while(put).count()
        };
        assert_eq!(flood(), 12);
        let names: Vec<String> = (0..11).map(|app| format!("small {app}")).collect();
        for (number, app) in (0..).zip(&names) {
            let small = of(app, number);
            assert_eq!(room.check(&small, NOW), Ok(()), "{app}");
            assert_eq!(room.put(&small, sample(0.5, None), NOW), Ok(()), "{app}");
            assert_eq!(flood(), 0);
        }
        // There is nobody with more than one, so that one more app finds nothing.
        let late = of("late", 500);
        assert_eq!(room.check(&late, NOW), Err(SampleError::Full { limit: 12 }));
        assert_eq!(room.take(token(3), NOW).len(), 1);
        assert_eq!(room.put(&late, sample(0.5, None), NOW), Ok(()));
    }

    #[test]
    fn what_gives_way_does_not_let_more_pictures_of_no_use_in() {
        let room = of_twelve();
        for number in 1..=12 {
            room.put(&of("flood", number), sample(0.5, None), NOW)
                .unwrap();
        }
        (0..32).for_each(|_| room.refuse(&of("flood", 1), NOW));
        room.put(&of("other", 100), sample(0.5, None), NOW).unwrap();
        assert!(room.take(token(1), NOW).is_empty());
        let refused = Err(SampleError::TooManyRefused { limit: 32 });
        assert_eq!(room.check(&of("flood", 1), NOW), refused);
        room.sweep(expiry());
        assert_eq!(counts(&room, &["flood", "other"]), [0, 0]);
        assert!(room.is_empty() && room.state().by_account.is_empty());
    }

    #[test]
    fn debug_shows_counts_only() {
        let room = WaitingRoom::new(Limits::default());
        room.put(&owner(1), sample(0.123_456, None), NOW).unwrap();
        let shown = format!("{room:?}");
        assert!(
            shown.contains("samples: 1") && !shown.contains("0.12"),
            "{shown}"
        );
        assert_eq!(format!("{:?}", sample(0.123_456, None)), "Sample(hidden)");
    }
}
