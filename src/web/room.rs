//! Room for the bodies of all requests at hand, and how much of it one sender may have.

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
    /// A device with this token.
    Token(Uuid),
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
    /// Who sends a request, as far as it was found out.
    pub(super) fn of(extensions: &Extensions) -> Sender {
        if let Some(sender) = extensions.get::<Sender>() {
            return sender.clone();
        }
        let peer = extensions.get::<Peer>();
        peer.map_or(Sender::Unknown, |Peer(address)| Sender::Address(*address))
    }
}

/// Room for the bodies of all requests at hand.
///
/// It is taken as bytes arrive. A sender may have as much as is free besides: half of all if it is
/// alone, and the more there are who want much, the less each of them gets. So however many bodies
/// some senders bring, whoever comes next finds room.
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
        let mut taken = room.taken();
        let has = taken.by_sender.get(sender).copied().unwrap_or_default();
        let wants = has.saturating_add(more);
        match taken.free.checked_sub(more) {
            Some(free) if wants <= free => taken.free = free,
            _ => return Err(NoRoom),
        }
        if more > 0 {
            taken.by_sender.insert(sender.clone(), wants);
            *bytes += more;
        }
        Ok(())
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        if bytes == 0 {
            return;
        }
        let mut taken = self.room.taken();
        taken.free += bytes;
        if let Some(has) = taken.by_sender.get_mut(&self.sender) {
            *has -= bytes;
            if *has == 0 {
                taken.by_sender.remove(&self.sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u128) -> Sender {
        Sender::Token(Uuid::from_u128(number))
    }

    #[test]
    fn one_sender_has_at_most_half_however_many_bodies_it_sends() {
        let room = BodyRoom::new(1_000);
        let bodies: Vec<Held> = (0..56).map(|_| room.hold(token(1))).collect();
        let taken = bodies.iter().filter(|body| body.take(20).is_ok()).count();
        assert_eq!(taken, 25);
        assert_eq!(room.hold(token(2)).take(250), Ok(()));
        assert_eq!(room.hold(token(2)).take(251), Err(NoRoom));
    }

    #[test]
    fn however_many_take_all_they_can_a_newcomer_finds_room() {
        let room = BodyRoom::new(1_000_000);
        let mut holding = Vec::new();
        for number in 0..20 {
            let body = room.hold(token(number));
            while body.take(100).is_ok() {}
            holding.push(body);
        }
        assert!(room.taken().free > 0);
        assert_eq!(room.hold(Sender::Unknown).take(0), Ok(()));
        let last = room.hold(token(99));
        while last.take(1).is_ok() {}
        assert!(room.taken().free > 0, "nobody takes the last of it");
    }

    #[test]
    fn room_is_given_back_once_when_nobody_needs_it() {
        let room = BodyRoom::new(1_000);
        let body = room.hold(token(1));
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
        drop(room.hold(token(1)));
    }
}
