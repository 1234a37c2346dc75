//! Removing people at either door: what it leaves, and waiting until nothing is left.

use std::time::Duration;

use super::state::AppState;
use crate::audit::Receipt;
use crate::engine::{EngineError, RemovalReceipt};
use crate::partition::{Pace, Removed, RemovedPartition};
use crate::types::{Bcid, PartitionId};

/// What a removal did.
#[derive(Debug)]
pub(super) struct Deleted {
    pub(super) removed: Removed,
    /// None for somebody who was not enrolled.
    pub(super) receipt: Option<RemovalReceipt>,
}

impl AppState {
    /// Removes a class.
    ///
    /// # Errors
    ///
    /// If a segment is damaged, or the disk fails.
    pub(super) fn delete(&self, bcid: &Bcid) -> Result<Deleted, EngineError> {
        let (now, chance) = (self.clock().now(), rand::random());
        let (removed, receipt) = self.engine().remove(bcid, now, chance)?;
        Ok(Deleted { removed, receipt })
    }

    /// Waits until what is stored of somebody who was removed is overwritten. One at a time, beside the jobs:
    /// it may write gigabytes anew, and those who wait meanwhile share the next turn's work. Returns whether it
    /// is overwritten, and the receipt with that.
    ///
    /// # Errors
    ///
    /// If a segment is damaged, or the disk fails. They stay removed, and the background tries again.
    pub(super) async fn overwrite(
        &self,
        partition: &PartitionId,
        receipt: Option<RemovalReceipt>,
    ) -> Result<(bool, Option<RemovalReceipt>), EngineError> {
        let turn = self.erase_turn().clone().acquire_owned().await;
        let (shared, partition) = (self.clone(), partition.clone());
        let work = move || {
            // Given back when it is done, not when the caller leaves.
            let _turn = turn;
            let (copies, pace) = (shared.copies_stay(), Pace::unlimited());
            let engine = shared.engine();
            engine.overwrite(&partition, receipt, copies, &pace)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// How long a copy stays in snapshots at most, where the service makes and removes them by itself.
    pub fn copies_stay(&self) -> Option<Duration> {
        let options = self.options();
        options.snapshot_dir.as_ref()?;
        let (every, keep) = (options.snapshot_every?, options.snapshot_keep?);
        // One that was made just before goes when so many newer ones are there.
        Some(every.saturating_mul(u32::try_from(keep).unwrap_or(u32::MAX)))
    }

    /// Signs a receipt.
    pub(super) fn signed(&self, receipt: &RemovalReceipt) -> Result<Receipt, EngineError> {
        Ok(self.server_key().signed(self.engine().store(), receipt)?)
    }

    /// Removes a gallery, and what waits to be confirmed in it.
    ///
    /// # Errors
    ///
    /// As [`crate::engine::Engine::remove_gallery`].
    pub fn remove_gallery(
        &self,
        id: &PartitionId,
    ) -> Result<Option<(RemovedPartition, RemovalReceipt)>, EngineError> {
        let (now, chance) = (self.clock().now(), rand::random());
        let removed = self.engine().remove_gallery(id, now, chance)?;
        self.decisions().forget(id)?;
        Ok(removed)
    }

    /// Notes in receipts what was overwritten since.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read or written.
    pub(super) fn settle_receipts(&self) -> Result<usize, EngineError> {
        self.engine().settle_receipts(self.copies_stay())
    }
}
