//! What is left of partitions that were removed: a key, and files.
//!
//! The catalog names none of it any more but in two tables ([`super::catalog::Tables::removed_partitions`]),
//! by which it is found again after a crash. The key goes first, durably: what was sealed with it can be
//! read by nobody then, however long its files are there.

use super::StoreError;
use super::partition::Common;

/// Destroys the keys of removed partitions, and lets their files go as soon as nobody reads them. What is
/// on its way there already is left alone. `are_unwritten` says that nobody in this process can be writing
/// a file of theirs.
pub(super) fn clear(common: &Common, are_unwritten: bool) -> Result<(), StoreError> {
    let catalog = common.commits.catalog();
    if catalog.is_read_only() {
        let path = catalog.path().to_owned();
        return Err(StoreError::ReadOnly { path });
    }
    let removed = catalog.read(|tables| tables.removed_partitions())?;
    for (number, segments) in removed {
        destroy_key(common, number)?;
        let left = common
            .files
            .discard_partition(number, &segments, are_unwritten)?;
        if are_unwritten && left == 0 {
            let commits = &common.commits;
            commits.commit(move |group| group.forget_removed(number))?;
        }
    }
    Ok(())
}

/// Destroys the key of a partition, if it has one.
pub(super) fn destroy_key(common: &Common, number: u64) -> Result<(), StoreError> {
    let Some(keys) = common.files.keys() else {
        return Ok(());
    };
    if keys.destroy(number, &**common.files.disk())? {
        // From now on a key file that has it is known as an older one.
        common.commits.commit(|group| {
            group.count_keys();
            Ok(())
        })?;
    }
    Ok(())
}
