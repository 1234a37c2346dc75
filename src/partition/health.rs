//! What is known to be wrong with a data directory, for whoever operates a service and does not read
//! every line of its log.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::StoreError;
use super::store::Store;
use super::verify::with_causes;
use crate::types::PartitionId;

/// The state of a data directory as far as this process has seen it: nothing is read for it but the
/// names of the partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Why nothing can be enrolled or removed until the data directory is opened again: the failed
    /// write, in words. `None` while changes are taken.
    pub stopped: Option<String>,
    /// Every partition, by name.
    pub partitions: Vec<PartitionHealth>,
}

/// The state of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionHealth {
    /// Its name.
    pub partition: String,
    /// The last damage that an open, a search, another read or the scrub met: file, offset,
    /// expected and found. Such a partition gives no answers that could be wrong. `None` if nothing was
    /// met, which does not mean that everything was read.
    pub damage: Option<String>,
}

impl Health {
    /// Whether changes are taken and no partition is known to be damaged.
    pub fn is_good(&self) -> bool {
        let mut partitions = self.partitions.iter();
        self.stopped.is_none() && partitions.all(|partition| partition.damage.is_none())
    }
}

impl Store {
    /// What is known to be wrong. Cheap, so that it can be asked every few seconds; waits for a change
    /// that is being written.
    ///
    /// The texts name files of this machine, and no template: they are for its operator.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn health(&self) -> Result<Health, StoreError> {
        let ids = self.partitions()?;
        let findings = &self.common().findings;
        let partitions = ids.iter().map(|id| PartitionHealth {
            partition: id.to_string(),
            damage: findings.of(id),
        });
        let stopped = self.common().commits.failure();
        Ok(Health {
            stopped: stopped.map(|error| with_causes(&error)),
            partitions: partitions.collect(),
        })
    }
}

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

    fn of(&self, id: &PartitionId) -> Option<String> {
        self.lock().get(id).map(|finding| finding.what.clone())
    }

    fn note(&self, id: &PartitionId, error: &StoreError, kept_it_closed: bool) {
        let what = with_causes(error);
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
