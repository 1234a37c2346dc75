//! Removing people and galleries for a command, and what proves it.

use anyhow::Context as _;

use super::admin::Context;
use super::output;
use crate::audit::Receipt;
use crate::engine::RemovalReceipt;
use crate::partition::{Erased, Pace};
use crate::types::{Bcid, Clock};

/// What is said after every removal.
pub(super) const COPIES: &str =
    "copies may remain in snapshots, exports and backups, and in blocks put aside by the disk";

impl Context {
    /// Removes a class, and overwrites what is stored of it at this pace. There is no receipt of somebody who
    /// was not enrolled.
    pub(super) fn erase(
        &self,
        bcid: &Bcid,
        pace: &Pace,
    ) -> anyhow::Result<(Erased, Option<Receipt>)> {
        let (engine, now) = (&self.engine, Clock::System.now());
        let (removed, receipt) = engine
            .remove(bcid, now, rand::random())
            .with_context(|| format!("class {} of {} is not erased", bcid.class, bcid.partition))?;
        let overwritten = engine.overwrite(&bcid.partition, receipt, self.copies_stay(), pace);
        let (overwritten, receipt) = overwritten.with_context(|| {
            format!(
                "class {} of {} is in no answer any more, and what is stored of it is not overwritten yet: run this again when the cause is gone",
                bcid.class, bcid.partition
            )
        })?;
        let erased = Erased {
            was_enrolled: removed.was_enrolled(),
            overwritten,
        };
        let receipt = receipt.map(|receipt| self.signed(&receipt)).transpose()?;
        Ok((erased, receipt))
    }

    /// Signs a receipt.
    pub(super) fn signed(&self, receipt: &RemovalReceipt) -> anyhow::Result<Receipt> {
        Ok(self.key.signed(self.engine.store(), receipt)?)
    }

    /// How long a copy stays in snapshots at most, where a service makes and removes them.
    pub(super) fn copies_stay(&self) -> Option<std::time::Duration> {
        self.service.as_ref()?.copies_stay()
    }
}

/// Says by which name a receipt is asked for again.
pub(super) fn say_receipt(receipt: Option<&Receipt>) {
    if let Some(receipt) = receipt {
        output::say!("receipt {}", receipt.id);
    }
}
