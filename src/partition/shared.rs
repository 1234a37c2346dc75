//! What a partition shares with the changes that are under way: the snapshot that readers get, and what
//! hides people from searches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::StoreError;
use super::filter::{Facts, Filter, RecordEvent, Rules};
use super::snapshot::Snapshot;
use crate::types::{Labels, Timestamp};

/// What a partition shares with the changes that are under way.
#[derive(Debug)]
pub(super) struct Shared {
    number: u64,
    current: RwLock<Snapshot>,
    /// Locked before `current`, by whoever needs both to be of one moment.
    filter: Mutex<Filter>,
}

impl Shared {
    /// What a partition begins with, whose number in the catalog this is.
    pub(super) fn new(number: u64, snapshot: Snapshot) -> Shared {
        Shared {
            number,
            current: RwLock::new(snapshot),
            filter: Mutex::default(),
        }
    }

    /// The number of the partition in the catalog.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        // Publishing is one assignment: a panic cannot leave it half done.
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// The snapshot without those whose time is over at `now`, and with those alone who have all of
    /// `labels`.
    pub(super) fn restricted(
        &self,
        now: Timestamp,
        labels: &Labels,
        facts: &dyn Facts,
    ) -> Result<Snapshot, StoreError> {
        let mut filter = self.filter();
        filter.restrict(self.snapshot(), now, labels, facts)
    }

    /// What decisions about single classes follow.
    pub(super) fn rules(&self, facts: &dyn Facts) -> Result<Arc<Rules>, StoreError> {
        self.filter().rules(facts)
    }

    /// Shows readers another snapshot, and what became of records. Only for what is durable.
    pub(super) fn publish(&self, snapshot: Snapshot, events: &[RecordEvent]) {
        // Nobody sees one without the other: somebody who was removed after their time was over would
        // be found in between.
        let mut filter = (!events.is_empty()).then(|| self.filter());
        if let Some(filter) = &mut filter {
            events.iter().for_each(|event| filter.learn(event));
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    fn filter(&self) -> MutexGuard<'_, Filter> {
        // A panic may have left it half changed: then it begins anew.
        self.filter.lock().unwrap_or_else(|poisoned| {
            let mut filter = poisoned.into_inner();
            *filter = Filter::default();
            self.filter.clear_poison();
            filter
        })
    }
}
