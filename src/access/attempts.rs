//! How often a token has been tried.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::Claims;
use crate::partition::{StateValue, Store, StoreError};
use crate::types::Timestamp;

/// Where attempts are kept in the store.
const AREA: &str = "attempts";
/// How long an entry outlives its token, so that a clock set back does not give tries away.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_secs(600);

/// Counts the tries of every token, durably: a restart gives none back.
///
/// A try is granted in memory and can be written with its result, so that a task waits for the disk
/// once. Whoever is granted one must therefore count it before anybody learns what came of it, and
/// before a task changes anything itself. If the process dies before, the try is as if it had never
/// been.
#[derive(Debug)]
pub struct Attempts {
    store: Arc<Store>,
    granted: Mutex<HashMap<Uuid, Granted>>,
}

/// The tries of a token of which some are not on disk yet.
#[derive(Debug)]
struct Granted {
    entry: CountedTries,
    unwritten: u8,
}

/// A try that has been granted, to be counted by [`Attempts::count`] or [`Attempts::count_with`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a try that nobody counts is lost with the process"]
pub struct Attempt {
    /// Which try of the token it is, from 1.
    pub number: u8,
    /// How many the token allows.
    pub of: u8,
}

/// Why a try is not granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The token has been tried as often as it may.
    #[error("all {of} attempts of this token are used up")]
    UsedUp {
        /// How many tries the token allowed.
        of: u8,
    },
    /// The store failed; no try was counted.
    #[error("the attempts cannot be read or written")]
    Store(#[from] StoreError),
}

/// An entry: how many tries are gone, and when the token expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CountedTries {
    taken: u8,
    expires: Timestamp,
}

impl Attempts {
    /// The attempts counted in `store`.
    pub fn new(store: Arc<Store>) -> Attempts {
        Attempts {
            store,
            granted: Mutex::default(),
        }
    }

    /// Grants one more try of the token with these claims.
    ///
    /// However many calls come at once, no more than the allowed number are granted.
    ///
    /// # Errors
    ///
    /// If the tries are used up or the store fails.
    pub fn take(&self, claims: &Claims) -> Result<Attempt, AttemptError> {
        let of = claims.max_tries;
        // Held while the disk is asked, so that no try is counted on disk and dropped here in
        // between.
        let mut granted = self.granted();
        let (taken, unwritten) = match granted.get(&claims.id) {
            Some(known) => (known.entry.taken, known.unwritten),
            None => (self.taken_on_disk(claims.id)?, 0),
        };
        if taken >= of {
            return Err(AttemptError::UsedUp { of });
        }
        let number = taken + 1;
        let entry = CountedTries {
            taken: number,
            expires: claims.expires,
        };
        let unwritten = unwritten + 1;
        granted.insert(claims.id, Granted { entry, unwritten });
        Ok(Attempt { number, of })
    }

    /// Counts a try. It is on disk when this returns.
    ///
    /// # Errors
    ///
    /// If the store fails. The try stays counted until the process ends.
    pub fn count(&self, claims: &Claims, attempt: Attempt) -> Result<(), StoreError> {
        let id = key(claims.id);
        self.store
            .state_update(AREA, &id, counting(claims, &attempt))?;
        self.mark_written(claims.id, attempt);
        Ok(())
    }

    /// As [`Attempts::count`], and keeps a value in the same write.
    ///
    /// # Errors
    ///
    /// If the store fails; then neither is kept.
    pub fn count_with(
        &self,
        claims: &Claims,
        attempt: Attempt,
        with: StateValue,
    ) -> Result<(), StoreError> {
        let id = key(claims.id);
        self.store
            .state_update_with(AREA, &id, counting(claims, &attempt), with)?;
        self.mark_written(claims.id, attempt);
        Ok(())
    }

    /// Fails if no try is left, and counts nothing.
    ///
    /// # Errors
    ///
    /// If the tries are used up or the store fails.
    pub fn check(&self, claims: &Claims) -> Result<(), AttemptError> {
        let granted = self.granted();
        let taken = match granted.get(&claims.id) {
            Some(known) => known.entry.taken,
            None => self.taken_on_disk(claims.id)?,
        };
        if taken >= claims.max_tries {
            return Err(AttemptError::UsedUp {
                of: claims.max_tries,
            });
        }
        Ok(())
    }

    fn taken_on_disk(&self, token: Uuid) -> Result<u8, StoreError> {
        let value = self.store.state_get(AREA, &key(token))?;
        let entry = value.as_deref().and_then(CountedTries::from_bytes);
        Ok(entry.map_or(0, |entry| entry.taken))
    }

    /// One more try of `token` is on disk. It is taken, so that none is written twice.
    fn mark_written(&self, token: Uuid, _written: Attempt) {
        let mut granted = self.granted();
        if let Some(known) = granted.get_mut(&token) {
            known.unwritten -= 1;
            if known.unwritten == 0 {
                granted.remove(&token);
            }
        }
    }

    fn granted(&self) -> MutexGuard<'_, HashMap<Uuid, Granted>> {
        // Every change of the map is whole: a panic elsewhere leaves no half of one.
        self.granted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the tries of tokens that expired long before `now`. Reads all of them: for once a
    /// minute.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn purge(&self, now: Timestamp) -> Result<(), StoreError> {
        let is_over = |entry: &CountedTries| entry.expires.after(KEPT_AFTER_EXPIRY) <= now;
        self.granted().retain(|_, known| !is_over(&known.entry));
        let mut stale = Vec::new();
        for (key, value) in self.store.state_list(AREA)? {
            let entry = CountedTries::from_bytes(&value);
            if entry.is_none() {
                tracing::warn!(token = key, "removing an unreadable entry of attempts");
            }
            if entry.as_ref().is_none_or(is_over) {
                stale.push(key);
            }
        }
        self.store.state_remove_all(AREA, stale)?;
        Ok(())
    }
}

impl CountedTries {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.taken];
        bytes.extend(self.expires.unix_milliseconds.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<CountedTries> {
        let (&taken, rest) = bytes.split_first()?;
        let unix_milliseconds = i64::from_le_bytes(rest.try_into().ok()?);
        Some(CountedTries {
            taken,
            expires: Timestamp { unix_milliseconds },
        })
    }
}

/// What becomes of an entry on disk when `attempt` is counted. Two of one token may be written in
/// any order.
fn counting(
    claims: &Claims,
    attempt: &Attempt,
) -> impl FnOnce(Option<&[u8]>) -> (Option<Vec<u8>>, ()) + Send + 'static {
    let (number, expires) = (attempt.number, claims.expires);
    move |value| {
        let before = value.and_then(CountedTries::from_bytes);
        let taken = before.map_or(0, |entry| entry.taken).max(number);
        (Some(CountedTries { taken, expires }.to_bytes()), ())
    }
}

fn key(token: Uuid) -> String {
    token.hyphenated().to_string()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::apps::tests::store;
    use super::super::tokens::tests::claims;
    use super::*;

    const NOW: Timestamp = Timestamp {
        unix_milliseconds: 1_000_000,
    };

    #[test]
    fn tries_are_numbered_and_end() {
        let (_directory, store) = store();
        let attempts = Attempts::new(store);
        let claims = claims(NOW, 3);
        for number in 1..=3 {
            attempts.check(&claims).unwrap();
            let attempt = attempts.take(&claims).unwrap();
            assert_eq!(attempt, Attempt { number, of: 3 });
            // The second stays in memory, and counts all the same.
            if number != 2 {
                attempts.count(&claims, attempt).unwrap();
            }
        }
        for _ in 0..2 {
            assert!(attempts.check(&claims).is_err());
            let refused = attempts.take(&claims);
            assert!(matches!(refused, Err(AttemptError::UsedUp { of: 3 })));
        }
    }

    #[test]
    fn a_restart_gives_no_try_back() {
        let (_directory, store) = store();
        let claims = claims(NOW, 3);
        let attempts = Attempts::new(store.clone());
        let [first, second] = [(); 2].map(|()| attempts.take(&claims).unwrap());
        // In the other order: the later number must stand.
        let value = StateValue {
            area: "results",
            key: "one".to_owned(),
            value: b"value".to_vec(),
        };
        attempts.count_with(&claims, second, value).unwrap();
        attempts.count(&claims, first).unwrap();
        let kept = store.state_get("results", "one").unwrap();
        assert_eq!(kept.as_deref(), Some(&b"value"[..]));
        let restarted = Attempts::new(store);
        assert_eq!(restarted.take(&claims).unwrap().number, 3);
        assert!(restarted.take(&claims).is_err());
    }

    #[test]
    fn a_race_is_granted_exactly_the_allowed_tries() {
        let (_directory, store) = store();
        let attempts = Attempts::new(store);
        let claims = claims(NOW, 5);
        let granted: Vec<u8> = thread::scope(|scope| {
            let calls: Vec<_> = (0..32)
                .map(|_| {
                    scope.spawn(|| {
                        let attempt = attempts.take(&claims).ok()?;
                        let number = attempt.number;
                        attempts.count(&claims, attempt).unwrap();
                        Some(number)
                    })
                })
                .collect();
            calls
                .into_iter()
                .filter_map(|call| call.join().unwrap())
                .collect()
        });
        let mut granted = granted;
        granted.sort_unstable();
        assert_eq!(granted, [1, 2, 3, 4, 5]);
        assert!(attempts.granted().is_empty(), "all of them are on disk");
    }

    #[test]
    fn tokens_do_not_share_tries() {
        let (_directory, store) = store();
        let attempts = Attempts::new(store);
        let (one, two) = (claims(NOW, 1), claims(NOW, 1));
        for claims in [&one, &two] {
            assert_eq!(attempts.take(claims).unwrap().number, 1);
        }
    }

    #[test]
    fn entries_are_removed_well_after_their_token_expired_and_not_before() {
        let (_directory, store) = store();
        let attempts = Attempts::new(store.clone());
        let old = claims(NOW, 1);
        let take = |claims: &Claims| {
            let attempt = attempts.take(claims).unwrap();
            attempts.count(claims, attempt).unwrap();
        };
        take(&old);
        attempts.purge(NOW).unwrap();
        let just_expired = old.expires.after(Duration::from_secs(1));
        take(&claims(just_expired, 1));
        attempts.purge(just_expired).unwrap();
        assert!(attempts.take(&old).is_err(), "the entry went too early");
        let later = just_expired.after(KEPT_AFTER_EXPIRY);
        take(&claims(later, 1));
        attempts.purge(later).unwrap();
        let keys: Vec<String> = store
            .state_list(AREA)
            .unwrap()
            .into_iter()
            .map(|e| e.0)
            .collect();
        assert_eq!(keys.len(), 2, "the new entries stay");
        assert!(!keys.contains(&key(old.id)));
    }
}
