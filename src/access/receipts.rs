//! Signing receipts of removals, with the key that the server key makes.

use super::ServerKey;
use crate::audit::{AuditKey, Receipt, Removal};
use crate::engine::RemovalReceipt;
use crate::partition::{Store, StoreError};

impl ServerKey {
    /// What `receipt` says, signed as that of the data directory `store`.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn signed(&self, store: &Store, receipt: &RemovalReceipt) -> Result<Receipt, StoreError> {
        let milliseconds = |time: crate::types::Timestamp| time.unix_milliseconds;
        let removal = Removal {
            id: receipt.id.clone(),
            data_directory: store.identity()?,
            partition: receipt.partition.to_string(),
            class: receipt.class.map(|class| class.to_string()),
            reason: receipt.reason,
            into: receipt.into.map(|class| class.to_string()),
            templates: receipt.templates as u64,
            asked_unix_milliseconds: receipt.asked.unix_milliseconds,
            erased_unix_milliseconds: receipt.erased.map(milliseconds),
            snapshots_until_unix_milliseconds: receipt.snapshots_until.map(milliseconds),
        };
        let key = AuditKey::from_seed(&self.audit_seed());
        Ok(Receipt::sign(removal, &key))
    }
}
