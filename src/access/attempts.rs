//! How often a token has been tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::Claims;
use crate::partition::{Store, StoreError};
use crate::types::Timestamp;

/// Where attempts are kept in the store.
const AREA: &str = "attempts";
/// How often entries of expired tokens are looked for.
const PURGE_INTERVAL: Duration = Duration::from_secs(60);
/// How long an entry outlives its token, so that a clock set back does not give tries away.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_secs(600);

/// Counts the tries of every token, durably: a restart gives none back.
#[derive(Debug)]
pub struct Attempts {
    store: Arc<Store>,
    next_purge_unix_milliseconds: AtomicI64,
}

/// A try that has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
struct Entry {
    taken: u8,
    expires: Timestamp,
}

impl Attempts {
    /// The attempts counted in `store`.
    pub fn new(store: Arc<Store>) -> Attempts {
        Attempts {
            store,
            next_purge_unix_milliseconds: AtomicI64::new(i64::MIN),
        }
    }

    /// Counts one more try of the token with these claims.
    ///
    /// However many calls come at once, no more than the allowed number succeed, and a try that was
    /// granted is on disk when this returns. From time to time a call also removes the entries of
    /// tokens that expired long before `now`.
    ///
    /// # Errors
    ///
    /// If the tries are used up or the store fails.
    pub fn take(&self, claims: &Claims, now: Timestamp) -> Result<Attempt, AttemptError> {
        self.purge_when_due(now)?;
        let of = claims.max_tries;
        let expires = claims.expires;
        let taken = self
            .store
            .state_update(AREA, &key(claims.id), move |value| {
                let before = value
                    .and_then(Entry::from_bytes)
                    .map_or(0, |entry| entry.taken);
                if before >= of {
                    return (value.map(<[u8]>::to_vec), None);
                }
                let taken = before + 1;
                (Some(Entry { taken, expires }.to_bytes()), Some(taken))
            })?;
        match taken {
            Some(number) => Ok(Attempt { number, of }),
            None => Err(AttemptError::UsedUp { of }),
        }
    }

    /// Fails if no try is left, and counts nothing.
    ///
    /// # Errors
    ///
    /// If the tries are used up or the store fails.
    pub fn check(&self, claims: &Claims) -> Result<(), AttemptError> {
        let value = self.store.state_get(AREA, &key(claims.id))?;
        let entry = value.as_deref().and_then(Entry::from_bytes);
        match entry {
            Some(entry) if entry.taken >= claims.max_tries => Err(AttemptError::UsedUp {
                of: claims.max_tries,
            }),
            _ => Ok(()),
        }
    }

    fn purge_when_due(&self, now: Timestamp) -> Result<(), StoreError> {
        let due = self.next_purge_unix_milliseconds.load(Ordering::Relaxed);
        let next = now.after(PURGE_INTERVAL).unix_milliseconds;
        let mine = now.unix_milliseconds >= due
            && self
                .next_purge_unix_milliseconds
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !mine {
            return Ok(());
        }
        for (key, value) in self.store.state_list(AREA)? {
            let stale = match Entry::from_bytes(&value) {
                Some(entry) => entry.expires.after(KEPT_AFTER_EXPIRY) <= now,
                None => {
                    tracing::warn!(token = key, "removing an unreadable entry of attempts");
                    true
                }
            };
            if stale {
                self.store.state_remove(AREA, &key)?;
            }
        }
        Ok(())
    }
}

impl Entry {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![self.taken];
        bytes.extend(self.expires.unix_milliseconds.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Entry> {
        let (&taken, rest) = bytes.split_first()?;
        let unix_milliseconds = i64::from_le_bytes(rest.try_into().ok()?);
        Some(Entry {
            taken,
            expires: Timestamp { unix_milliseconds },
        })
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
            let attempt = attempts.take(&claims, NOW).unwrap();
            assert_eq!(attempt, Attempt { number, of: 3 });
        }
        for _ in 0..2 {
            assert!(attempts.check(&claims).is_err());
            let refused = attempts.take(&claims, NOW);
            assert!(matches!(refused, Err(AttemptError::UsedUp { of: 3 })));
        }
    }

    #[test]
    fn a_restart_gives_no_try_back() {
        let (_directory, store) = store();
        let claims = claims(NOW, 1);
        Attempts::new(store.clone()).take(&claims, NOW).unwrap();
        assert!(Attempts::new(store).take(&claims, NOW).is_err());
    }

    #[test]
    fn a_race_is_granted_exactly_the_allowed_tries() {
        let (_directory, store) = store();
        let attempts = Attempts::new(store);
        let claims = claims(NOW, 5);
        let granted: Vec<u8> = thread::scope(|scope| {
            let calls: Vec<_> = (0..32)
                .map(|_| scope.spawn(|| attempts.take(&claims, NOW).ok()))
                .collect();
            calls
                .into_iter()
                .filter_map(|call| call.join().unwrap())
                .map(|attempt| attempt.number)
                .collect()
        });
        let mut granted = granted;
        granted.sort_unstable();
        assert_eq!(granted, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn tokens_do_not_share_tries() {
        let (_directory, store) = store();
        let attempts = Attempts::new(store);
        let (one, two) = (claims(NOW, 1), claims(NOW, 1));
        attempts.take(&one, NOW).unwrap();
        attempts.take(&two, NOW).unwrap();
    }

    #[test]
    fn entries_are_removed_well_after_their_token_expired_and_not_before() {
        let (_directory, store) = store();
        let attempts = Attempts::new(store.clone());
        let old = claims(NOW, 1);
        attempts.take(&old, NOW).unwrap();
        let just_expired = old.expires.after(Duration::from_secs(1));
        attempts
            .take(&claims(just_expired, 1), just_expired)
            .unwrap();
        assert!(
            attempts.take(&old, just_expired).is_err(),
            "the entry went too early"
        );
        let later = just_expired.after(KEPT_AFTER_EXPIRY);
        attempts.take(&claims(later, 1), later).unwrap();
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
