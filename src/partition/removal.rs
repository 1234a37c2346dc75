//! Removing a whole partition: in one transaction, with all that is known of its people.
//!
//! | step | what a crash just after it leaves |
//! | --- | --- |
//! | 1. one catalog transaction takes the partition out, and retires its segments | a partition that is gone; its key and files, which the next open finds ([`super::remains`]) |
//! | 2. the key is destroyed: the key file is written anew without it, the old one overwritten | the same, and nobody can read its segments |
//! | 3. the catalog is written anew, the old one overwritten | the same |
//! | 4. files go when their last reader is gone; those of a plain partition are overwritten first | nothing |

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::catalog::{PartitionEntry, StateOf};
use super::partition::Partition;
use super::snapshot::{Block, Snapshot, Source};
use super::state_value::StateValue;
use super::store::Store;
use super::{StoreError, remains};
use crate::types::PartitionId;

/// A partition that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedPartition {
    /// How many templates it had.
    pub templates: u64,
    /// Whether what was sealed of it was encrypted with a key that is destroyed now.
    pub was_encrypted: bool,
}

/// What a transaction has taken out.
struct TakenOut {
    number: u64,
    partition: Option<Arc<Partition>>,
    blocks: Arc<Vec<Block>>,
    templates: u64,
}

impl Store {
    /// Removes a partition with all that is known of its people, and the values `with_it` of the layers
    /// above; `note`, which is told how many templates it had and the number of the catalog's change, is kept
    /// in the same write. `None` if there is no such partition.
    ///
    /// When this returns, no answer has anybody of it, and its key is destroyed, durably. What is in files is
    /// overwritten later, or by [`Store::overwrite_partitions`]. Somebody who is enrolled in it later begins a
    /// partition that has nothing of this one.
    ///
    /// # Errors
    ///
    /// If the disk fails. If the partition is in no answer any more then, the rest is done when this is called
    /// again, by the background, or when the data directory is next opened.
    pub fn remove_partition(
        &self,
        id: &PartitionId,
        with_it: Vec<StateOf>,
        note: impl FnOnce(u64, u64) -> StateValue + Send + 'static,
    ) -> Result<Option<RemovedPartition>, StoreError> {
        let Some(taken) = self.take_out(id, with_it, note)? else {
            // An earlier call may not have come to its end.
            remains::clear(self.common(), false)?;
            return Ok(None);
        };
        let common = self.common();
        common.catalog_is_stale.store(true, Ordering::Relaxed);
        common.findings.read_whole(id);
        remains::destroy_key(common, taken.number)?;
        let are_unwritten = taken.partition.is_none();
        if let Some(partition) = &taken.partition {
            // Whoever is making a segment of it gives up at the next run of rows.
            drop(partition.rewriting.lock());
            drop(partition.sealing.lock());
        }
        for block in taken.blocks.iter() {
            if let Source::Segment(segment, reader) = &block.source {
                let path = common.files.path(taken.number, *segment);
                common.files.discard_whole(path, reader.clone());
            }
        }
        let removed = common.commits.catalog();
        let removed = removed.read(|tables| tables.removed_partitions())?;
        let segments = removed.get(&taken.number).cloned().unwrap_or_default();
        // Some may not be yet where `vultus gallery encrypt` is at work.
        let are_sealed = segments.values().all(|entry| entry.seal.is_some());
        drop((taken.blocks, taken.partition));
        let files = &common.files;
        files.discard_partition(taken.number, &segments, are_unwritten)?;
        common.alarm.raise();
        Ok(Some(RemovedPartition {
            templates: taken.templates,
            was_encrypted: files.keys().is_some() && are_sealed,
        }))
    }

    /// Overwrites all that is stored of partitions that were removed until now. Returns whether it is
    /// overwritten; it is not while somebody reads it.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn overwrite_partitions(&self) -> Result<bool, StoreError> {
        let mut erasing = self.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        let change = self.commits().changes()?;
        remains::clear(self.common(), false)?;
        let overwritten = self.renew_catalog()?;
        erasing.renewed = change;
        Ok(overwritten)
    }

    fn take_out(
        &self,
        id: &PartitionId,
        with_it: Vec<StateOf>,
        note: impl FnOnce(u64, u64) -> StateValue + Send + 'static,
    ) -> Result<Option<TakenOut>, StoreError> {
        let name = id.to_string();
        // Held until it is gone: nobody opens it meanwhile, or makes another one of the name.
        let mut opened = self.opened();
        let entry = self.catalog().read(|tables| tables.partition(&name))?;
        let Some(PartitionEntry {
            partition: number, ..
        }) = entry
        else {
            return Ok(None);
        };
        let partition = opened.get(id).cloned();
        let shared = partition
            .as_ref()
            .map(|partition| partition.shared().clone());
        let taken = self.commits().commit(move |group| {
            let now = shared.as_ref().map(|shared| group.snapshot(shared));
            let now = now.transpose()?;
            let Some(templates) = group.remove_partition(&name, number)? else {
                return Ok(None);
            };
            for state in &with_it {
                group.remove_state_of(state)?;
            }
            let note = note(templates, group.number());
            group.put_state(note.area, &note.key, &note.value)?;
            let blocks = now.as_ref().map(|now| now.blocks.clone());
            if let (Some(shared), Some(now)) = (&shared, now) {
                // For those who have it in hand.
                let blocks = Arc::default();
                group.publish(shared, Snapshot { blocks, ..now });
            }
            Ok(Some((templates, blocks.unwrap_or_default())))
        })?;
        opened.remove(id);
        drop(opened);
        Ok(taken.map(|(templates, blocks)| TakenOut {
            number,
            partition,
            blocks,
            templates,
        }))
    }
}
