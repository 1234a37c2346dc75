//! How removals, and that they are overwritten, are noted in a change.

use super::commit::Group;
use super::removals::ErasedUntil;
use crate::types::Timestamp;

impl Group<'_> {
    /// Notes that somebody was removed, or that something else was known of them before.
    pub(in crate::partition) fn note_removal(&mut self) {
        self.removals.removes = true;
    }

    /// Says since when it has to be counted that something waits to be overwritten.
    pub(in crate::partition) fn count_unerased_since(&mut self, since: Timestamp) {
        self.removals.since = Some(since);
        self.changed = true;
    }

    /// Notes that what was removed is overwritten.
    pub(in crate::partition) fn note_erased(&mut self, until: ErasedUntil) {
        self.removals.erased = Some(until);
        self.changed = true;
    }
}
