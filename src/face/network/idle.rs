//! Things that one run at a time can use, lent to runs.

use std::sync::{Mutex, PoisonError};

/// What was made for runs and is not in use.
///
/// One thing shared by all would let one request run at a time, whatever the number of processors.
/// So each run borrows one of its own, and there come to be as many as there were runs at once.
#[derive(Debug)]
pub(super) struct Idle<T>(Mutex<Vec<T>>);

impl<T> Idle<T> {
    pub(super) fn new() -> Idle<T> {
        Idle(Mutex::new(Vec::new()))
    }

    /// One that is not in use; `None` if another has to be made.
    pub(super) fn take(&self) -> Option<T> {
        // A panic elsewhere leaves at worst one fewer in the list.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// One that is no longer in use.
    pub(super) fn give_back(&self, thing: T) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thing);
    }
}
