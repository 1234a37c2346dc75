//! Sealing a file whose pages are written again and again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::aead::{LessSafeKey, NONCE_LEN};
use ring::hkdf::Prk;

use super::blocks::{self, TAG_BYTES, Tag};
use super::derive::{expand, random};
use super::error::Forged;

/// Bytes of a session's number.
const SESSION_BYTES: usize = 12;
/// Bytes that are stored beside every page.
pub const PAGE_SEAL_BYTES: usize = SESSION_BYTES + 4 + TAG_BYTES;
/// So many keys of older sessions are kept. One that is missing is made again.
const SESSIONS_MAX: usize = 256;

type SessionId = [u8; SESSION_BYTES];

/// What stands beside a page: the session (12), the counter in it (4), the tag (16).
pub type PageSeal = [u8; PAGE_SEAL_BYTES];

/// The cipher of one file of pages.
pub struct PageCipher {
    secret: Prk,
    purpose: &'static str,
    sessions: Mutex<Sessions>,
}

struct Sessions {
    /// That of the pages that are written now; `None` until one is.
    own: Option<Own>,
    known: HashMap<SessionId, Arc<LessSafeKey>>,
}

struct Own {
    session: SessionId,
    key: Arc<LessSafeKey>,
    /// `None` when all are used.
    next: Option<u32>,
}

impl PageCipher {
    pub(super) fn new(secret: Prk, purpose: &'static str) -> PageCipher {
        let sessions = Sessions {
            own: None,
            known: HashMap::new(),
        };
        PageCipher {
            secret,
            purpose,
            sessions: Mutex::new(sessions),
        }
    }

    /// Encrypts a page in its place, as often as it is written. Returns what is to stand beside it.
    pub fn seal(&self, associated: &[u8], bytes: &mut [u8]) -> PageSeal {
        let (session, key, counter) = self.next();
        let tag = blocks::seal(&key, nonce(counter), associated, bytes);
        let mut seal = [0; PAGE_SEAL_BYTES];
        seal[..SESSION_BYTES].copy_from_slice(&session);
        seal[SESSION_BYTES..][..4].copy_from_slice(&counter.to_le_bytes());
        seal[SESSION_BYTES + 4..].copy_from_slice(&tag);
        seal
    }

    /// Decrypts a page in its place.
    ///
    /// # Errors
    ///
    /// If it is not what was sealed with what is associated. Nothing that `bytes` holds then means
    /// anything.
    pub fn open(&self, associated: &[u8], seal: &PageSeal, bytes: &mut [u8]) -> Result<(), Forged> {
        let session = seal.first_chunk::<SESSION_BYTES>().expect("it is longer");
        let counter = seal[SESSION_BYTES..].first_chunk().expect("it is longer");
        let tag: &Tag = seal.last_chunk().expect("it is longer");
        let key = self.key_of(session);
        let nonce = nonce(u32::from_le_bytes(*counter));
        blocks::open(&key, nonce, associated, tag, bytes)
    }

    fn next(&self) -> (SessionId, Arc<LessSafeKey>, u32) {
        let mut sessions = self.sessions();
        if let Some(own) = &mut sessions.own
            && let Some(counter) = own.next
        {
            own.next = counter.checked_add(1);
            return (own.session, own.key.clone(), counter);
        }
        let session = random();
        let key = Arc::new(self.make(&session));
        sessions.own = Some(Own {
            session,
            key: key.clone(),
            next: Some(1),
        });
        (session, key, 0)
    }

    fn key_of(&self, session: &SessionId) -> Arc<LessSafeKey> {
        let mut sessions = self.sessions();
        if let Some(own) = sessions.own.as_ref().filter(|own| own.session == *session) {
            return own.key.clone();
        }
        if let Some(key) = sessions.known.get(session) {
            return key.clone();
        }
        if sessions.known.len() >= SESSIONS_MAX {
            sessions.known.clear();
        }
        let key = Arc::new(self.make(session));
        sessions.known.insert(*session, key.clone());
        key
    }

    fn make(&self, session: &SessionId) -> LessSafeKey {
        expand(
            &self.secret,
            &[self.purpose.as_bytes(), b" session ", session],
        )
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // A counter is used up before anything can panic.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PageCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageCipher")
    }
}

fn nonce(counter: u32) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[..4].copy_from_slice(&counter.to_le_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::keys::DataKey;

    #[test]
    fn pages_open_in_any_session_and_no_nonce_comes_twice() {
        let key = DataKey::random();
        let mut nonces = HashSet::new();
        let mut written = Vec::new();
        for _ in 0..3 {
            let cipher = key.page_cipher(&[1; 16], "test");
            for page in 0..5_u8 {
                let mut bytes = [page; 32];
                let seal = cipher.seal(&[page], &mut bytes);
                assert!(nonces.insert(seal[..16].to_vec()));
                written.push((page, seal, bytes));
            }
        }
        let cipher = key.page_cipher(&[1; 16], "test");
        for (page, seal, bytes) in &written {
            let mut copy = *bytes;
            assert_eq!(cipher.open(&[*page], seal, &mut copy), Ok(()));
            assert_eq!(copy, [*page; 32]);
            let mut copy = *bytes;
            assert!(cipher.open(&[*page + 1], seal, &mut copy).is_err());
            for at in 0..seal.len() {
                let (mut copy, mut seal) = (*bytes, *seal);
                seal[at] ^= 0x10;
                assert!(
                    cipher.open(&[*page], &seal, &mut copy).is_err(),
                    "byte {at}"
                );
            }
        }
    }

    #[test]
    fn a_counter_that_is_used_up_begins_another_session() {
        let cipher = DataKey::random().page_cipher(&[1; 16], "test");
        cipher.seal(&[], &mut [0; 4]);
        cipher.sessions().own.as_mut().unwrap().next = Some(u32::MAX);
        let last = cipher.seal(&[], &mut [0; 4]);
        let (mut bytes, expected) = ([7; 4], [7; 4]);
        let first = cipher.seal(&[], &mut bytes);
        assert_eq!(last[12..16], u32::MAX.to_le_bytes());
        assert_eq!(first[12..16], 0_u32.to_le_bytes());
        assert_ne!(last[..12], first[..12]);
        cipher.open(&[], &first, &mut bytes).unwrap();
        assert_eq!(bytes, expected);
    }
}
