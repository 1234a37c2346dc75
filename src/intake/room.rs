//! Memory for the pictures that are looked at.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::face::{FaceError, Patience};

/// How often patience is asked while there is no room.
const ASKED_EVERY: Duration = Duration::from_millis(20);

/// So many bytes, shared by all pictures that are looked at at the same time.
#[derive(Debug)]
pub(super) struct Room {
    bytes_max: u64,
    taken: Mutex<u64>,
    given_back: Condvar,
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
            taken: Mutex::new(0),
            given_back: Condvar::new(),
        }
    }

    /// Waits until there is room for a picture that takes so many bytes. One that takes more than there
    /// is at all waits until it is the only one.
    ///
    /// # Errors
    ///
    /// If patience ends before.
    pub(super) fn take(&self, bytes: u64, patience: &Patience) -> Result<Taken<'_>, FaceError> {
        let mut taken = self.taken();
        while *taken > 0 && taken.saturating_add(bytes) > self.bytes_max {
            patience.check()?;
            let waited = self.given_back.wait_timeout(taken, ASKED_EVERY);
            (taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        *taken = taken.saturating_add(bytes);
        Ok(Taken { room: self, bytes })
    }

    fn taken(&self) -> MutexGuard<'_, u64> {
        // It is a number: a panic elsewhere leaves no half of one.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        *taken = taken.saturating_sub(self.bytes);
        drop(taken);
        self.room.given_back.notify_all();
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
        assert_eq!(*room.taken(), 0);
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
    fn who_has_left_waits_no_longer() {
        let room = Room::new(100);
        let _large = room.take(100, &Patience::endless()).unwrap();
        let left = Arc::new(AtomicBool::new(true));
        let second = room.take(1, &Patience::endless().until_left(left));
        assert!(matches!(second, Err(FaceError::CallerLeft)));
    }
}
