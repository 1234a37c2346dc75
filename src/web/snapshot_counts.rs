//! What came of the snapshots that the service made by itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// What came of snapshots.
#[derive(Debug, Default)]
pub struct SnapshotCounts {
    made: AtomicU64,
    failed: AtomicU64,
}

impl SnapshotCounts {
    /// How many were made.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// How often one could not be made, or an old one not be removed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, is_made: bool) {
        let counter = if is_made { &self.made } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
