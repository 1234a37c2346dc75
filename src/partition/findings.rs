//! What damage was met, by whoever reads: the places that [`super::health`] tells of.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::StoreError;
use crate::types::PartitionId;

/// The damage that was met in each partition.
#[derive(Debug, Default)]
pub(super) struct Findings(Mutex<HashMap<PartitionId, Finding>>);

#[derive(Debug)]
struct Finding {
    what: String,
    /// Whether it was met before there was anything to search.
    kept_it_closed: bool,
}

impl Findings {
    /// Something cannot be read of a partition that is open.
    pub(super) fn met(&self, id: &PartitionId, error: &StoreError) {
        self.note(id, error, false);
    }

    /// A partition cannot be opened.
    pub(super) fn not_opened(&self, id: &PartitionId, error: &StoreError) {
        self.note(id, error, true);
    }

    /// A partition was opened. What was met in it later, by reading, is not refuted by that.
    pub(super) fn opened(&self, id: &PartitionId) {
        let mut findings = self.lock();
        if findings
            .get(id)
            .is_some_and(|finding| finding.kept_it_closed)
        {
            findings.remove(id);
        }
    }

    /// All of a partition was read, and is whole.
    pub(super) fn read_whole(&self, id: &PartitionId) {
        self.lock().remove(id);
    }

    /// The last damage that was met in a partition, in words.
    pub(super) fn of(&self, id: &PartitionId) -> Option<String> {
        self.lock().get(id).map(|finding| finding.what.clone())
    }

    fn note(&self, id: &PartitionId, error: &StoreError, kept_it_closed: bool) {
        let what = error.with_causes();
        let finding = Finding {
            what,
            kept_it_closed,
        };
        self.lock().insert(id.clone(), finding);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PartitionId, Finding>> {
        // Changed by one insertion or removal at a time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
