//! The portraits of the people of a partition.

use std::sync::atomic::Ordering;

use super::StoreError;
use super::pace::Pace;
use super::partition::Partition;
use super::store::Store;
use crate::types::{ClassId, Portrait};

impl Partition {
    /// The portrait of a class, if one is stored.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn portrait(&self, class: ClassId) -> Result<Option<Portrait>, StoreError> {
        let number = self.shared().number();
        let catalog = self.commits().catalog();
        catalog.read(|tables| tables.portrait(number, class))
    }
}

impl Store {
    /// Removes all portraits of a partition, and overwrites what is stored of them. Templates and
    /// records stay. Returns how many there were, and whether they are overwritten.
    ///
    /// # Errors
    ///
    /// If the disk fails or a segment is damaged. The portraits are shown to nobody then, if the
    /// failure did not come before that.
    pub fn remove_portraits(
        &self,
        partition: &Partition,
        pace: &Pace,
    ) -> Result<(u64, bool), StoreError> {
        let number = partition.shared().number();
        let commits = self.commits();
        let removed = commits.commit(move |group| group.remove_portraits(number))?;
        let is_stale = &partition.common().catalog_is_stale;
        is_stale.store(true, Ordering::Relaxed);
        // Also if there were none: they may have been removed earlier, and not overwritten.
        let overwritten = self.overwrite_removed(partition, pace)?;
        Ok((removed, overwritten))
    }
}
