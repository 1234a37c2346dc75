//! How much there is in a data directory.

use serde::Serialize;

/// How much there is in a data directory, over all partitions, for whoever watches it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Partitions.
    pub galleries: u64,
    /// Sealed segments.
    pub segments: u64,
    /// Templates, removed ones counted as long as they take up room.
    pub rows: u64,
    /// Of these the removed ones.
    pub removed_rows: u64,
    /// Portraits of people.
    pub portraits: u64,
}
