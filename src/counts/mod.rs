//! Counts: how often something was done, and how long it took or how much it was.
//!
//! Whoever works counts with [`Count`] and [`Histogram`], which cost an addition that waits for
//! nobody; whoever watches reads them. [`Stages`] keep the steps of one piece of work. What a count is called, and who reads it in which form, is no
//! business of this folder.

mod histogram;
mod stages;

pub use histogram::{Histogram, HistogramRead};
pub use stages::{Entered, Stage, Stages};

use std::sync::atomic::{AtomicU64, Ordering};

/// How often something was done, or how much of it.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Nothing yet.
    pub const fn new() -> Count {
        Count(AtomicU64::new(0))
    }

    /// Once more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So much more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How much it is by now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
