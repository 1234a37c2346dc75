//! Records that wait to be written, and how many were.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::record::Record;

/// What is done when it is known whether a record is on disk.
pub type Done = Box<dyn FnOnce(bool) + Send>;

/// More records do not wait: as many as a disk that stalls for some seconds keeps waiting, in 50 MB.
pub(super) const WAITING_MAX: usize = 100_000;

/// A record, and who waits for it.
pub(super) struct Waiting {
    pub(super) record: Record,
    pub(super) done: Option<Done>,
}

/// What became of records since the log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditCounts {
    /// Those that are on disk.
    pub written: u64,
    /// Those that are not, and will not be.
    pub lost: u64,
}

/// Records that wait.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    written: AtomicU64,
    lost: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    is_over: bool,
}

/// How many there are.
impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} waiting)", self.state().waiting.len())
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a record wait, if there is room.
    pub(super) fn push(&self, one: Waiting) {
        let mut state = self.state();
        if state.is_over || state.waiting.len() >= WAITING_MAX {
            drop(state);
            self.end(vec![one], false);
            return;
        }
        state.waiting.push(one);
        drop(state);
        self.changed.notify_all();
    }

    /// All that wait, when there are some: at once if `patience` is zero, else when it is over or there are
    /// many. Nothing once the queue is over and empty.
    pub(super) fn take(&self, patience: Duration) -> Vec<Waiting> {
        let is_idle = |state: &mut State| state.waiting.is_empty() && !state.is_over;
        let state = self.changed.wait_while(self.state(), is_idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if !patience.is_zero() {
            let is_short =
                |state: &mut State| state.waiting.len() < WAITING_MAX / 100 && !state.is_over;
            let waited = self.changed.wait_timeout_while(state, patience, is_short);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut state.waiting)
    }

    /// Tells those who wait whether their records are on disk.
    pub(super) fn end(&self, batch: Vec<Waiting>, is_written: bool) {
        let count = match is_written {
            true => &self.written,
            false => &self.lost,
        };
        count.fetch_add(batch.len() as u64, Ordering::Relaxed);
        for done in batch.into_iter().filter_map(|one| one.done) {
            done(is_written);
        }
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.state().is_over = true;
        self.changed.notify_all();
    }

    pub(super) fn counts(&self) -> AuditCounts {
        AuditCounts {
            written: self.written.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }
}
