//! Removing people at either door: what it leaves, and waiting until nothing is left.

use std::time::Duration;

use super::state::AppState;
use crate::audit::{AuditKey, Receipt, Removal};
use crate::engine::{EngineError, RemovalReceipt};
use crate::partition::{Pace, Removed};
use crate::types::{Bcid, PartitionId};

/// What a removal did.
#[derive(Debug)]
pub(super) struct Deleted {
    pub(super) removed: Removed,
    /// Whether it is known that nothing is stored any more.
    pub(super) erased: bool,
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
        Ok(Deleted {
            removed,
            erased: false,
            receipt,
        })
    }

    /// Waits until what is stored of somebody who was removed is overwritten. One at a time, beside the jobs:
    /// it may write gigabytes anew, and those who wait meanwhile share the next turn's work.
    ///
    /// # Errors
    ///
    /// If a segment is damaged, or the disk fails. They stay removed, and the background tries again.
    pub(super) async fn overwrite(
        &self,
        partition: &PartitionId,
        deleted: Deleted,
    ) -> Result<Deleted, EngineError> {
        let turn = self.erase_turn().clone().acquire_owned().await;
        let (shared, partition) = (self.clone(), partition.clone());
        let work = move || {
            // Given back when it is done, not when the caller leaves.
            let _turn = turn;
            let (copies, engine) = (shared.copies_stay(), shared.engine());
            let (receipt, pace) = (deleted.receipt, Pace::unlimited());
            let (erased, receipt) = engine.overwrite(&partition, receipt, copies, &pace)?;
            Ok(Deleted {
                erased,
                receipt,
                ..deleted
            })
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// How long a copy stays in snapshots at most, where the service makes and removes them by itself.
    pub(super) fn copies_stay(&self) -> Option<Duration> {
        let options = self.options();
        options.snapshot_dir.as_ref()?;
        let (every, keep) = (options.snapshot_every?, options.snapshot_keep?);
        // One that was made just before goes when so many newer ones are there.
        Some(every.saturating_mul(u32::try_from(keep).unwrap_or(u32::MAX)))
    }

    /// Signs a receipt.
    pub(super) fn signed(&self, receipt: &RemovalReceipt) -> Result<Receipt, EngineError> {
        let removal = Removal {
            id: receipt.id.clone(),
            data_directory: self.engine().store().identity()?,
            partition: receipt.partition.to_string(),
            class: receipt.class.to_string(),
            templates: receipt.templates as u64,
            asked_unix_milliseconds: receipt.asked.unix_milliseconds,
            erased_unix_milliseconds: receipt.erased.map(|it| it.unix_milliseconds),
            snapshots_until_unix_milliseconds: receipt
                .snapshots_until
                .map(|it| it.unix_milliseconds),
        };
        let key = AuditKey::from_seed(&self.server_key().audit_seed());
        Ok(Receipt::sign(removal, &key))
    }

    /// Notes in receipts what was overwritten since.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read or written.
    pub(super) fn settle_receipts(&self) -> Result<usize, EngineError> {
        let now = self.clock().now();
        self.engine().settle_receipts(self.copies_stay(), now)
    }
}
