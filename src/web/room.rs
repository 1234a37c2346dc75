//! Room for the bodies of all requests at hand, and for long answers that are on their way, and how
//! much of it one sender may have.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::http::Extensions;
use uuid::Uuid;

use super::connections::Peer;
use crate::access::{ApiKeyId, AppId};

/// Whose bodies are counted together: who is known when a body is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sender {
    /// A device with this token of the app.
    Token(AppId, Uuid),
    /// An app with its secret.
    App(AppId),
    /// The holder of an API key.
    Key(ApiKeyId),
    /// Somebody at this address.
    Address(IpAddr),
    /// Somebody of whom nothing is known: there is no socket.
    Unknown,
}

impl Sender {
    /// In whose name it sends: the room of an app is shared by all who hold a token of it.
    fn patron(&self) -> Option<Sender> {
        match self {
            Sender::Token(app, _) => Some(Sender::App(app.clone())),
            _ => None,
        }
    }

    /// Who sends a request, as far as it was found out.
    pub(super) fn of(extensions: &Extensions) -> Sender {
        if let Some(sender) = extensions.get::<Sender>() {
            return sender.clone();
        }
        let peer = extensions.get::<Peer>();
        peer.map_or(Sender::Unknown, |Peer(address)| Sender::Address(*address))
    }
}

/// What a token may have, as a multiple of what it leaves to the others of its app.
const TOKEN_SHARE: usize = 3;

/// Room for the bodies of all requests at hand.
///
/// It is taken as bytes arrive. A sender may have as much as is free besides: half of all if it is
/// alone, and the more there are who want much, the less each of them gets. So however many bodies
/// some senders bring, whoever comes next finds room. All tokens of an app are one sender, however many
/// it makes; each may have three times of what it leaves of what the app could have: six sevenths of
/// that if it is alone.
#[derive(Clone, Debug)]
pub(super) struct BodyRoom(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    free: usize,
    by_sender: HashMap<Sender, usize>,
}

/// Room for the body of one request, in its extensions.
#[derive(Clone, Debug)]
pub(super) struct Place {
    room: BodyRoom,
    /// What the request holds, until the last clone of the place is dropped.
    held: Arc<OnceLock<Held>>,
}

/// There is no room for more, or not for this sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// The room that one request has, which is given back when the last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct Held(Arc<Holding>);

#[derive(Debug)]
struct Holding {
    room: BodyRoom,
    sender: Sender,
    bytes: Mutex<usize>,
}

impl BodyRoom {
    pub(super) fn new(bytes: usize) -> BodyRoom {
        let by_sender = HashMap::new();
        BodyRoom(Arc::new(Mutex::new(Taken {
            free: bytes,
            by_sender,
        })))
    }

    /// Nothing at first, for a request of `sender`.
    pub(super) fn hold(&self, sender: Sender) -> Held {
        Held(Arc::new(Holding {
            room: self.clone(),
            sender,
            bytes: Mutex::default(),
        }))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn new(room: BodyRoom) -> Place {
        let held = Arc::default();
        Place { room, held }
    }

    /// What a request holds in the name of its sender; `None` if nobody counts.
    pub(super) fn held(extensions: &Extensions) -> Option<Held> {
        let Place { room, held } = extensions.get()?;
        let held = held.get_or_init(|| room.hold(Sender::of(extensions)));
        Some(held.clone())
    }
}

impl Held {
    /// Takes room for so many bytes more.
    pub(super) fn take(&self, more: usize) -> Result<(), NoRoom> {
        let Holding {
            room,
            sender,
            bytes,
        } = &*self.0;
        let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        room.taken().take(sender, more).ok_or(NoRoom)?;
        *bytes += more;
        Ok(())
    }

    /// Holds room for so many bytes from now on: what is there already and turns out to be longer than was
    /// thought is not refused.
    pub(super) fn settle(&self, found: usize) {
        let Holding {
            room,
            sender,
            bytes,
        } = &*self.0;
        let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = room.taken();
        taken.give_back(sender, *bytes);
        *bytes = found.min(taken.free);
        taken.put(sender, *bytes);
    }
}

impl Taken {
    /// Takes so much more for a sender; `None`, and nothing is taken, if it cannot have that.
    fn take(&mut self, sender: &Sender, more: usize) -> Option<()> {
        let free = self.free.checked_sub(more)?;
        let wants = |of: &Sender| self.of(of).checked_add(more);
        match sender.patron() {
            None => free.checked_sub(wants(sender)?)?,
            Some(patron) => {
                let left = free.checked_sub(wants(&patron)?)?;
                // One that is alone may have nearly as much as its app.
                (TOKEN_SHARE * left).checked_sub(wants(sender)?)?
            }
        };
        self.put(sender, more);
        Some(())
    }

    /// Counts so many of the free bytes as taken.
    fn put(&mut self, sender: &Sender, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.free -= bytes;
        for of in sender.patron().into_iter().chain([sender.clone()]) {
            *self.by_sender.entry(of).or_default() += bytes;
        }
    }

    fn give_back(&mut self, sender: &Sender, bytes: usize) {
        self.free += bytes;
        for of in sender.patron().iter().chain([sender]) {
            if let Some(has) = self.by_sender.get_mut(of) {
                *has = has.saturating_sub(bytes);
                if *has == 0 {
                    self.by_sender.remove(of);
                }
            }
        }
    }

    fn of(&self, sender: &Sender) -> usize {
        self.by_sender.get(sender).copied().unwrap_or_default()
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        if bytes == 0 {
            return;
        }
        self.room.taken().give_back(&self.sender, bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn key(number: u128) -> Sender {
        Sender::Address(Ipv6Addr::from_bits(number).into())
    }

    fn token(app: &str, number: u128) -> Sender {
        Sender::Token(app.parse().unwrap(), Uuid::from_u128(number))
    }

    /// Takes as much as there is for a sender.
    fn fill(room: &BodyRoom, sender: Sender) -> (Held, usize) {
        let (held, mut bytes) = (room.hold(sender), 0);
        while held.take(10).is_ok() {
            bytes += 10;
        }
        (held, bytes)
    }

    #[test]
    fn one_sender_has_at_most_half_however_many_bodies_it_sends() {
        let room = BodyRoom::new(1_000);
        let bodies: Vec<Held> = (0..56).map(|_| room.hold(key(1))).collect();
        let taken = bodies.iter().filter(|body| body.take(20).is_ok()).count();
        assert_eq!(taken, 25);
        assert_eq!(room.hold(key(2)).take(250), Ok(()));
        assert_eq!(room.hold(key(2)).take(251), Err(NoRoom));
    }

    #[test]
    fn however_many_take_all_they_can_a_newcomer_finds_room() {
        let room = BodyRoom::new(1_000_000);
        let mut holding = Vec::new();
        for number in 0..20 {
            let body = room.hold(key(number));
            while body.take(100).is_ok() {}
            holding.push(body);
        }
        assert!(room.taken().free > 0);
        assert_eq!(room.hold(Sender::Unknown).take(0), Ok(()));
        let last = room.hold(key(99));
        while last.take(1).is_ok() {}
        assert!(room.taken().free > 0, "nobody takes the last of it");
    }

    #[test]
    fn an_app_has_no_more_room_with_many_tokens_than_with_its_secret() {
        let room = BodyRoom::new(1_000_000);
        let mut crowd: Vec<(Held, usize)> = (0..200)
            .map(|number| fill(&room, token("greedy", number)))
            .collect();
        crowd.push(fill(&room, Sender::App("greedy".parse().unwrap())));
        let taken: usize = crowd.iter().map(|(_, bytes)| bytes).sum();
        assert!((400_000..=500_000).contains(&taken), "{taken}");
        // Each of another app, and one with a key, find as much as if a single sender were there.
        for other in [token("a", 1), token("b", 2), key(3)] {
            assert!(fill(&room, other).1 >= 150_000);
        }
        // Among the tokens of an app the first leaves room for the others, too.
        assert!(crowd[0].1 <= 428_580 && crowd[1].1 >= 61_000);
        drop(crowd);
        assert_eq!(room.taken().free, 1_000_000);
        assert!(room.taken().by_sender.is_empty());
    }

    #[test]
    fn what_is_settled_is_held_and_no_more_than_there_is() {
        let room = BodyRoom::new(1_000);
        let held = room.hold(key(1));
        held.take(400).unwrap();
        held.settle(100);
        assert_eq!(room.taken().free, 900);
        held.settle(700);
        assert_eq!(room.taken().free, 300);
        assert_eq!(room.hold(key(1)).take(1), Err(NoRoom));
        let other = room.hold(key(2));
        other.settle(5_000);
        assert_eq!(room.taken().free, 0);
        drop(held);
        assert_eq!(room.taken().free, 700);
        other.settle(0);
        assert_eq!(room.taken().free, 1_000);
        assert!(room.taken().by_sender.is_empty());
    }

    #[test]
    fn tokens_of_two_apps_are_not_the_same() {
        let room = BodyRoom::new(1_000);
        let one = fill(&room, token("a", 1));
        assert_eq!(one.1, 420);
        // The same number, by another app.
        assert_eq!(fill(&room, token("b", 1)).1, 240);
    }

    #[test]
    fn room_is_given_back_once_when_nobody_needs_it() {
        let room = BodyRoom::new(1_000);
        let body = room.hold(key(1));
        body.take(300).unwrap();
        body.take(100).unwrap();
        let clone = body.clone();
        drop(body);
        assert_eq!(room.taken().free, 600);
        assert_eq!(clone.take(300), Err(NoRoom));
        assert_eq!(room.taken().free, 600, "what was refused takes none");
        drop(clone);
        assert_eq!(room.taken().free, 1_000);
        assert!(room.taken().by_sender.is_empty());
        drop(room.hold(key(1)));
    }
}
