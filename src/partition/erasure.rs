//! Deleted means gone: overwriting what is stored of those who were removed, at once or within a time.
//!
//! What was removed is in no answer any more, and is still in files: rows of segments, free pages of the
//! catalog, files that others replaced. Segments are mapped and searched meanwhile, and their blocks have
//! checksums, so that nothing is overwritten in its place: segments and catalog are written anew without
//! it, and the old files are overwritten when their last reader is gone.
//!
//! The catalog knows since when something waits ([`super::catalog::Removals`]), so that a restart does not
//! let it wait longer.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::catalog::{ErasedUntil, Unerased};
use super::overwritten::Erasing;
use super::pace::Pace;
use super::partition::Partition;
use super::state_value::StateValue;
use super::store::Store;
use super::{StoreError, remains};
use crate::types::{ClassId, Clock, PartitionId, Timestamp};

/// So many people whose time is over are removed in one write: others wait for it.
const ENDED_AT_ONCE: usize = 100;

/// Work begins when this part of the time is over: it takes a while, and may have to wait for readers.
const BEGUN_AFTER: u32 = 2;

/// What erasing a class did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Erased {
    /// Whether there was such a class.
    pub was_enrolled: bool,
    /// Whether its bytes are overwritten. If not, somebody is still reading the old files: they are
    /// overwritten when the last reader is gone or, if this process ends before, when the partition is next
    /// opened.
    pub overwritten: bool,
}

impl Store {
    /// Removes a class and overwrites all that is stored of it before it returns: its segments are
    /// written anew without it, and the catalog too.
    ///
    /// Copies may remain where this program has no say: in snapshots and exports, in blocks that a
    /// disk or a file system put aside, and in swapped memory.
    ///
    /// # Errors
    ///
    /// If the disk fails or a segment is damaged. The class is removed from all answers then, if the
    /// failure did not come before that.
    pub fn erase(
        &self,
        partition: &Partition,
        class: ClassId,
        pace: &Pace,
    ) -> Result<Erased, StoreError> {
        let was_enrolled = partition.remove(class)?.was_enrolled();
        // Also if it was not: it may have been removed earlier, and not erased.
        let overwritten = self.overwrite_removed(partition, pace)?;
        Ok(Erased {
            was_enrolled,
            overwritten,
        })
    }

    /// Removes those of some classes of a partition whose time is over at `now`, and overwrites all that is
    /// stored of them before it returns, as [`Store::erase`] does. Returns which classes that were, and whether
    /// they are overwritten. `note` is kept of each in the write that removes it; it is told how many templates
    /// the class had, and the number of the catalog's change.
    ///
    /// # Errors
    ///
    /// As [`Store::erase`].
    pub fn erase_ended(
        &self,
        partition: &Partition,
        classes: &[ClassId],
        now: Timestamp,
        note: impl Fn(ClassId, usize, u64) -> StateValue + Clone + Send + 'static,
        pace: &Pace,
    ) -> Result<(Vec<ClassId>, bool), StoreError> {
        let mut removed = Vec::new();
        for some in classes.chunks(ENDED_AT_ONCE) {
            removed.extend(partition.remove_ended(some, now, note.clone())?);
        }
        if removed.is_empty() {
            return Ok((removed, true));
        }
        let overwritten = self.overwrite_removed(partition, pace)?;
        Ok((removed, overwritten))
    }

    /// Overwrites all that is stored of those who were removed from a partition until now. Those who call
    /// it at once share the work. Returns whether it is overwritten; it is not while somebody reads it.
    ///
    /// # Errors
    ///
    /// If the disk fails, a segment is damaged, or the work is to stop.
    pub fn overwrite_removed(
        &self,
        partition: &Partition,
        pace: &Pace,
    ) -> Result<bool, StoreError> {
        let (commits, number) = (self.commits(), partition.shared().number());
        let asked = commits.changes()?;
        let mut erasing = self.erasing();
        if erasing
            .partitions
            .get(&number)
            .is_some_and(|done| *done >= asked)
        {
            return Ok(true);
        }
        let change = commits.changes()?;
        match partition
            .rewrite_removed(pace)
            .and_then(|()| partition.drop_removed_of_tail())
        {
            // All of it is gone.
            Err(StoreError::PartitionRemoved { .. }) => remains::clear(self.common(), false)?,
            rewritten => rewritten?,
        }
        let overwritten = self.renew_catalog()?;
        erasing.renewed = change;
        if overwritten {
            erasing.partitions.insert(number, change);
        }
        Ok(overwritten)
    }

    /// Until which change of the catalog all that was removed is overwritten, and when that was done; `None`
    /// if it never was.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn erased_until(&self) -> Result<Option<(u64, Timestamp)>, StoreError> {
        self.catalog().read(|tables| tables.erased_until())
    }

    /// Overwrites all that was removed, if something of it waits for long enough that otherwise it might
    /// wait longer than `within`. Returns whether there was something to do and it is done.
    ///
    /// # Errors
    ///
    /// The first failure, after the other partitions were seen to; or if the work is to stop. It can be
    /// tried again.
    pub fn erase_due(
        &self,
        within: Duration,
        clock: &Clock,
        pace: &Pace,
    ) -> Result<bool, StoreError> {
        let now = clock.now();
        let count_from_now = || {
            let commits = self.commits();
            commits.commit(move |group| {
                group.count_unerased_since(now);
                Ok(())
            })
        };
        match self.commits().removals().unerased {
            Unerased::Nothing => Ok(false),
            Unerased::Untold => count_from_now().map(|()| false),
            // The clock was set back: it may be long until then.
            Unerased::Since(since) if since > now => count_from_now().map(|()| false),
            Unerased::Since(since) if since.after(within / BEGUN_AFTER) > now => Ok(false),
            Unerased::Since(_) => self.erase_all(clock, pace),
        }
    }

    /// Overwrites all that was removed. Returns whether it is overwritten; it is not while somebody reads
    /// it.
    fn erase_all(&self, clock: &Clock, pace: &Pace) -> Result<bool, StoreError> {
        let commits = self.commits();
        let mut erasing = self.erasing();
        let (change, began) = match erasing.unread {
            Some(unread) => unread,
            None => {
                let (change, began) = (commits.changes()?, clock.now());
                let rewritten = self.rewrite_all_removed(pace);
                if matches!(rewritten, Err(StoreError::Interrupted)) {
                    return rewritten.map(|()| false);
                }
                remains::clear(self.common(), false)?;
                if erasing.renewed < commits.removals().last {
                    self.renew_catalog()?;
                    erasing.renewed = change;
                }
                if let Err(error) = rewritten {
                    self.files().collect()?;
                    return Err(error);
                }
                erasing.unread = Some((change, began));
                (change, began)
            }
        };
        if self.files().collect()? > 0 {
            return Ok(false);
        }
        erasing.unread = None;
        let done = clock.now();
        commits.commit(move |group| {
            group.note_erased(ErasedUntil {
                change,
                began,
                done,
            });
            Ok(())
        })?;
        tracing::info!("what was removed is overwritten");
        Ok(true)
    }

    /// Writes every segment anew that has a removed row now, in all partitions, and opens those of which a
    /// crash may have left a file that is to go.
    fn rewrite_all_removed(&self, pace: &Pace) -> Result<(), StoreError> {
        let (entries, numbers) = self
            .catalog()
            .read(|tables| Ok((tables.partitions()?, tables.partitions_with_removed()?)))?;
        let mut failure = None;
        for (name, entry) in entries {
            let id = name.parse::<PartitionId>().ok();
            let opened = id.as_ref().and_then(|id| self.opened_one(id));
            let of = match (opened, id) {
                (Some(opened), _) => Ok(Some(opened)),
                (None, Some(id)) if numbers.contains(&entry.partition) => self.partition(&id),
                _ => Ok(None),
            };
            let rewritten = of.and_then(|partition| match partition {
                Some(partition) => {
                    partition.rewrite_removed(pace)?;
                    partition.drop_removed_of_tail()
                }
                None => Ok(()),
            });
            match rewritten {
                Err(StoreError::Interrupted) => return Err(StoreError::Interrupted),
                // All of it is gone.
                Err(StoreError::PartitionRemoved { .. }) => {}
                // One damaged partition must not keep the others from being erased.
                Err(error) => drop(failure.get_or_insert(error)),
                Ok(()) => {}
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn erasing(&self) -> MutexGuard<'_, Erasing> {
        // What it says of was done, whatever came after it.
        self.erasing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
