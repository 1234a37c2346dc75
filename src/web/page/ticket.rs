//! Lets somebody into the page once, without a key being typed, or shown where others look.
//!
//! What is handed to a browser from outside is seen by other users of the machine, in the list of
//! processes, and stays in the history of the browser. So it is not the key, but a ticket in the
//! fragment of the address, which is never sent with a request. The page changes it for the key, and
//! a second time it is worth nothing.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use rand::{CryptoRng, RngExt};
use sha2::{Digest, Sha256};

use crate::access::ApiKeySecret;
use crate::types::Timestamp;

const RANDOM_BYTES: usize = 24;

/// How long a ticket is good for.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// What lets one browser in, once, within ten minutes.
pub struct Ticket(String);

/// The ticket that is good now, if there is one.
#[derive(Default)]
pub(in super::super) struct Tickets(Mutex<Option<Issued>>);

struct Issued {
    /// Of the ticket: how long it takes to compare says nothing of use.
    hash: [u8; 32],
    key: ApiKeySecret,
    /// The first moment at which it is no longer good.
    until: Timestamp,
}

impl Ticket {
    /// The ticket in plain text, as the fragment of the page's address has it behind `ticket=`.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(hidden)")
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets(hidden)")
    }
}

impl Tickets {
    /// A ticket for `key`. The one before is worth nothing any more.
    pub(in super::super) fn issue(
        &self,
        key: ApiKeySecret,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Ticket {
        let mut random = [0; RANDOM_BYTES];
        rng.fill(&mut random);
        let ticket = BASE64_URL_SAFE_NO_PAD.encode(random);
        let issued = Issued {
            hash: hash(&ticket),
            key,
            until: now.after(LIFETIME),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(issued);
        Ticket(ticket)
    }

    /// The key that `ticket` is for. It is worth nothing after that.
    pub(super) fn take(&self, ticket: &str, now: Timestamp) -> Option<ApiKeySecret> {
        let mut issued = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        issued.take_if(|issued| now >= issued.until);
        let taken = issued.take_if(|issued| issued.hash == hash(ticket));
        taken.map(|issued| issued.key)
    }
}

fn hash(ticket: &str) -> [u8; 32] {
    Sha256::digest(ticket).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::access::{ApiKeys, NewApiKey, Reach, Scope, ServerKey};
    use crate::partition::Store;

    fn secret() -> ApiKeySecret {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path()).unwrap());
        let key = ServerKey::of_store(&store, &mut rand::rng()).unwrap();
        let new = NewApiKey {
            name: "one".to_owned(),
            scopes: [Scope::Read].into_iter().collect(),
            reach: Reach::Everything,
            expires: None,
        };
        let keys = ApiKeys::new(store, &key);
        let made = keys.create(&new, Timestamp::from_unix_seconds(1), &mut rand::rng());
        made.unwrap().1
    }

    #[test]
    fn a_ticket_is_good_once_and_for_ten_minutes() {
        let now = Timestamp::from_unix_seconds(1_000);
        let tickets = Tickets::default();
        let rng = &mut rand::rng();
        let issue = |rng: &mut _| tickets.issue(secret(), now, rng);
        let ticket = issue(rng);
        assert!(tickets.take("", now).is_none());
        assert!(tickets.take(&ticket.0[1..], now).is_none());
        assert!(tickets.take(&ticket.0, now).is_some());
        assert!(tickets.take(&ticket.0, now).is_none(), "twice");

        let (first, second) = (issue(rng), issue(rng));
        assert!(tickets.take(&first.0, now).is_none(), "one at a time");
        let last = now.after(LIFETIME - Duration::from_millis(1));
        assert!(tickets.take(&second.0, last).is_some());

        let late = issue(rng);
        assert!(tickets.take(&late.0, now.after(LIFETIME)).is_none());
        assert!(tickets.take(&late.0, now).is_none(), "over is over");
        assert_eq!(
            format!("{late:?} {tickets:?}"),
            "Ticket(hidden) Tickets(hidden)"
        );
    }
}
