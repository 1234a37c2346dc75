//! What was overwritten of late, for those who overwrite.

use std::collections::HashMap;

use crate::types::Timestamp;

/// What was overwritten of late. Whoever overwrites holds it: one at a time, or all would write the same
/// segments anew.
#[derive(Debug, Default)]
pub(super) struct Erasing {
    /// Until which change what was removed is overwritten, in partitions by their numbers.
    pub(super) partitions: HashMap<u64, u64>,
    /// Until which change the catalog in use holds nothing of what was removed.
    pub(super) renewed: u64,
    /// All is written anew, and somebody still reads what it replaces.
    pub(super) unread: Option<(u64, Timestamp)>,
}
