//! How fast work in the background may go, whether it is to stop, and what wakes it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::StoreError;

/// The pace of work that nobody waits for. Shared between the one who works and the one who stops
/// it.
#[derive(Debug)]
pub struct Pace {
    bytes_per_second: Option<u64>,
    stopped: AtomicBool,
    spent_bytes: AtomicU64,
    /// When the next byte may be written; also what sleepers wait on.
    next: Mutex<Option<Instant>>,
    wake: Condvar,
}

impl Pace {
    /// As fast as it goes.
    pub fn unlimited() -> Pace {
        Pace::new(None)
    }

    /// So many bytes a second, or as many as can be.
    pub fn new(bytes_per_second: Option<u64>) -> Pace {
        Pace {
            bytes_per_second,
            stopped: AtomicBool::new(false),
            spent_bytes: AtomicU64::new(0),
            next: Mutex::new(None),
            wake: Condvar::new(),
        }
    }

    /// Makes whoever works at this pace give up at the next opportunity; what it was making is
    /// thrown away.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        // With the lock held, nobody is between looking and falling asleep.
        let _sleepers = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        self.wake.notify_all();
    }

    /// Whether [`Pace::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// How many bytes were read and written at this pace, by all who share it: for whoever shows how far
    /// work is.
    pub fn spent_bytes(&self) -> u64 {
        self.spent_bytes.load(Ordering::Relaxed)
    }

    /// Does nothing for so long.
    ///
    /// # Errors
    ///
    /// If the work is to stop; at once then.
    pub(super) fn rest(&self, time: Duration) -> Result<(), StoreError> {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = self
            .wake
            .wait_timeout_while(next, time, |_| !self.is_stopped());
        drop(rested);
        match self.is_stopped() {
            true => Err(StoreError::Interrupted),
            false => Ok(()),
        }
    }

    /// Says that some bytes are done, and waits until the next may follow.
    ///
    /// # Errors
    ///
    /// If the work is to stop.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), StoreError> {
        self.spent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(rate) = self.bytes_per_second {
            let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            // Time in which nothing was done is not saved up.
            let until = next.map_or(now, |next| next.max(now)) + cost;
            *next = Some(until);
            while !self.is_stopped()
                && let Some(left) = until.checked_duration_since(Instant::now())
            {
                let waited = self.wake.wait_timeout(next, left);
                next = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        if self.is_stopped() {
            return Err(StoreError::Interrupted);
        }
        Ok(())
    }
}

/// How changes tell the background that there may be something to do.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    attendants: AtomicUsize,
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    /// Says that there may be something to do.
    pub(super) fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Somebody begins to listen.
    pub(super) fn attend(&self) {
        self.attendants.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody listens no longer.
    pub(super) fn leave(&self) {
        self.attendants.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether anybody listens.
    pub(super) fn is_attended(&self) -> bool {
        self.attendants.load(Ordering::Relaxed) > 0
    }

    /// Waits until something changes, but no longer than `most`.
    pub(super) fn wait(&self, most: Duration) {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(raised, most, |raised| !*raised);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}
