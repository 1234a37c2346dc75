//! Other data keys: everything that is encrypted is written anew with them, and the old ones are destroyed.
//!
//! | step | what a crash just after it leaves |
//! | --- | --- |
//! | 1. one write of the key file gives partitions other keys, and the directory if all are meant; those before are kept in it | two keys for each; what is sealed with those before is read as it was |
//! | 2. one segment after the other is written anew, as a merge writes it | the same, and segments of either key |
//! | 3. when the catalog names nothing of a partition, durably, that is sealed with the key before: that one is destroyed | the same, of fewer partitions |
//! | 4. the catalog is written anew, the old one overwritten | the key of the directory before, which opens nothing any more |
//! | 5. the key of the directory before is destroyed | nothing |
//!
//! Whoever begins while there is a key before goes on with what was begun; the background does so by itself.

use std::sync::{Arc, MutexGuard, PoisonError, TryLockError};

use super::StoreError;
use super::keys::KeyFile;
use super::pace::Pace;
use super::store::Store;
use crate::secrets::KeyError;
use crate::types::PartitionId;

/// What was written anew with other keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rotated {
    /// Partitions whose key before is destroyed.
    pub partitions: usize,
    /// Segments that were written anew.
    pub segments: usize,
    /// Whether the catalog was, and the key of the directory before is destroyed.
    pub catalog: bool,
    /// Whether the old files are gone. If not, somebody is still reading them; nobody can who begins now.
    pub overwritten: bool,
}

impl Store {
    /// Writes one partition, or all and the catalog, anew with other keys, and destroys those before, durably.
    /// Others may search, enrol and remove meanwhile. Where it was broken off it goes on: no segment is
    /// written twice.
    ///
    /// What is in snapshots stays sealed with the keys of then, which are in them. Templates that are not in
    /// a segment yet, and what is known of people, are in the catalog: they get another key with all.
    ///
    /// # Errors
    ///
    /// If the data directory is not encrypted, a segment is damaged, the disk fails, or the work is to stop:
    /// the first failure, after the other partitions were seen to. Nothing is lost then: what was not written
    /// anew has the key that it had.
    pub fn rotate_keys(
        &self,
        only: Option<&PartitionId>,
        pace: &Pace,
    ) -> Result<Rotated, StoreError> {
        let keys = self.key_file()?;
        let _alone = self.rotating();
        // All were meant, and not all is done.
        let goes_on = only.is_none() && keys.is_directory_changing();
        if !goes_on {
            let ids = match only {
                Some(id) => vec![id.clone()],
                None => self.partitions()?,
            };
            self.begin_anew(&keys, &ids, only.is_none())?;
        }
        let mut rotated = self.leave_keys_before(&keys, only, pace)?;
        // A run before this one may have been ended between the two: whoever opens a partition finds its files
        // that nobody names any more. One that cannot be opened has another key all the same.
        let all = match only {
            Some(id) => vec![id.clone()],
            None => self.partitions()?,
        };
        let unopened = all.iter().filter(|id| self.partition(id).is_err()).count();
        rotated.overwritten = self.files().collect_patiently()? == 0 && unopened == 0;
        Ok(rotated)
    }

    /// Whether other keys were begun with, and those before are needed still.
    pub fn is_changing_keys(&self) -> bool {
        self.files().keys().is_some_and(KeyFile::is_changing)
    }

    /// Goes on with other keys where that was broken off. Returns whether there was something to do.
    ///
    /// # Errors
    ///
    /// As [`Store::rotate_keys`].
    pub(super) fn go_on_rotating(&self, pace: &Pace) -> Result<bool, StoreError> {
        if !self.is_changing_keys() {
            return Ok(false);
        }
        let _alone = match self.rotating.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody is at it.
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        let keys = self.key_file()?;
        let rotated = self.leave_keys_before(&keys, None, pace)?;
        let is_news = rotated.partitions > 0 || rotated.catalog;
        if is_news {
            let (partitions, segments) = (rotated.partitions, rotated.segments);
            tracing::info!(
                partitions,
                segments,
                "went on with other keys, and destroyed those before"
            );
        }
        Ok(is_news)
    }

    fn begin_anew(
        &self,
        keys: &KeyFile,
        ids: &[PartitionId],
        with_directory: bool,
    ) -> Result<(), StoreError> {
        let entries = self.catalog().read(|tables| tables.partitions())?;
        let numbers = ids.iter().filter_map(|id| entries.get(&id.to_string()));
        let numbers: Vec<u64> = numbers.map(|entry| entry.partition).collect();
        keys.begin_anew(&numbers, with_directory, &**self.files().disk())?;
        // From now on a key file of before is known as an older one.
        self.count_keys()
    }

    /// Leaves the keys before behind: of one partition, or of all that have one, and of the directory.
    fn leave_keys_before(
        &self,
        keys: &Arc<KeyFile>,
        only: Option<&PartitionId>,
        pace: &Pace,
    ) -> Result<Rotated, StoreError> {
        let mut rotated = Rotated::default();
        let mut failure = None;
        for (name, entry) in self.catalog().read(|tables| tables.partitions())? {
            let id = name.parse::<PartitionId>().ok();
            let Some(id) = id.filter(|id| only.is_none_or(|only| only == id)) else {
                continue;
            };
            if keys.gallery_before(entry.partition).is_none() {
                continue;
            }
            let opened = self.partition(&id);
            let left = opened.and_then(|partition| match partition {
                Some(partition) => partition.leave_key_before(pace).map(Some),
                None => Ok(None),
            });
            match left {
                Ok(Some(segments)) => {
                    rotated.partitions += 1;
                    rotated.segments += segments;
                }
                // Its keys are gone with it.
                Ok(None) => {}
                Err(_) if self.commits().is_gone(entry.partition) => {}
                Err(StoreError::Interrupted) => return Err(StoreError::Interrupted),
                // One that is damaged must not keep the others' old keys alive.
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if only.is_none() && keys.is_directory_changing() {
            self.renew_catalog()?;
            keys.destroy_directory_before(&**self.files().disk())?;
            self.count_keys()?;
            rotated.catalog = true;
        }
        Ok(rotated)
    }

    pub(super) fn count_keys(&self) -> Result<(), StoreError> {
        self.commits().commit(|group| {
            group.count_keys();
            Ok(())
        })
    }

    fn key_file(&self) -> Result<Arc<KeyFile>, StoreError> {
        if self.catalog().is_read_only() {
            let path = self.catalog().path().to_owned();
            return Err(StoreError::ReadOnly { path });
        }
        let keys = self.files().shared_keys();
        keys.ok_or_else(|| StoreError::keys(self.directory(), KeyError::NothingSealed))
    }

    pub(super) fn rotating(&self) -> MutexGuard<'_, ()> {
        // What was done is in the key file.
        self.rotating.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
