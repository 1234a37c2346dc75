//! Memory for the pictures that are looked at.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::face::{FaceError, Patience};

/// How often it is asked, while there is no room, whether anybody still wants it.
const ASKED_EVERY: Duration = Duration::from_millis(20);

/// So many bytes, shared by all pictures that are looked at at the same time.
#[derive(Debug)]
pub(super) struct Room {
    bytes_max: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: u64,
    /// Who waits, in order: a large picture is not overtaken for ever by small ones.
    waiting: VecDeque<u64>,
    next_ticket: u64,
}

/// Room that was taken. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "dropping it gives the room back"]
pub(super) struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Room {
    pub(super) fn new(bytes_max: u64) -> Room {
        Room {
            bytes_max,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Waits until there is room for a picture that takes so many bytes, and none that came before
    /// waits. One that takes more than there is at all waits until it is the only one.
    ///
    /// # Errors
    ///
    /// If patience ends before.
    pub(super) fn take(&self, bytes: u64, patience: &Patience) -> Result<Taken<'_>, FaceError> {
        let mut state = self.state();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(ticket);
        let has_room =
            |state: &State| state.taken == 0 || state.taken.saturating_add(bytes) <= self.bytes_max;
        let mut ended = Ok(());
        while ended.is_ok() && !(state.waiting.front() == Some(&ticket) && has_room(&state)) {
            let waited = self.changed.wait_timeout(state, ASKED_EVERY);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            ended = patience.check();
        }
        state.waiting.retain(|other| *other != ticket);
        // Whether or not it came in, the next one may now.
        self.changed.notify_all();
        ended?;
        state.taken = state.taken.saturating_add(bytes);
        Ok(Taken { room: self, bytes })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing of ours panics while it changes the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.room.state();
        state.taken = state.taken.saturating_sub(self.bytes);
        drop(state);
        self.room.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn there_are_never_more_than_fit_and_all_come_in() {
        let room = Room::new(100);
        let (inside, most) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for number in 0..20_u64 {
                let (room, inside, most) = (&room, &inside, &most);
                scope.spawn(move || {
                    let bytes = 10 + number;
                    let _taken = room.take(bytes, &Patience::endless()).unwrap();
                    let now = inside.fetch_add(bytes, Ordering::SeqCst) + bytes;
                    most.fetch_max(now, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(2));
                    inside.fetch_sub(bytes, Ordering::SeqCst);
                });
            }
        });
        assert!(most.into_inner() <= 100);
        assert_eq!(room.state().taken, 0);
    }

    #[test]
    fn one_that_is_larger_than_the_room_comes_in_alone() {
        let room = Room::new(100);
        let large = room.take(u64::MAX, &Patience::endless()).unwrap();
        let second = room.take(1, &Patience::of(Duration::from_millis(30)));
        assert!(matches!(second, Err(FaceError::TooSlow { .. })));
        drop(large);
        assert!(room.take(1, &Patience::endless()).is_ok());
    }

    #[test]
    fn a_large_one_is_not_overtaken_by_small_ones() {
        let room = Room::new(100);
        let small = room.take(60, &Patience::endless()).unwrap();
        thread::scope(|scope| {
            let large = scope.spawn(|| drop(room.take(90, &Patience::endless()).unwrap()));
            while room.state().waiting.is_empty() {
                thread::yield_now();
            }
            let other = room.take(10, &Patience::of(Duration::from_millis(30)));
            assert!(matches!(other, Err(FaceError::TooSlow { .. })));
            drop(small);
            large.join().unwrap();
        });
        assert!(room.state().waiting.is_empty());
        assert!(room.take(10, &Patience::endless()).is_ok());
    }

    #[test]
    fn who_has_left_waits_no_longer() {
        let room = Room::new(100);
        let _large = room.take(100, &Patience::endless()).unwrap();
        let left = Arc::new(AtomicBool::new(true));
        let second = room.take(1, &Patience::endless().until_left(left));
        assert!(matches!(second, Err(FaceError::CallerLeft)));
    }
}
