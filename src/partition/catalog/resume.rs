//! Taking changes again after the disk was full.
//!
//! redb refuses everything once a write has failed, and what it holds in memory is not trusted here,
//! either. The file is read as another process would read it, every page of it verified, and written
//! anew beside it. That is what a restart does, and it is safe for the same reason: nothing that was
//! acknowledged is written over by a change that failed.
//!
//! A file that holds more than was acknowledged is left alone: whoever asked for the last change was
//! told that it was not made, and readers in this process do not see it. Only a restart makes one
//! truth of that. So it is for all failures that say something else than that there is no room.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase};

use super::commit::Commits;
use super::copy::{copy_to, remove_leftover};
use super::database::copy_in_memory;
use super::failures::failure;
use super::sealed::number_of;
use super::tables::{META, META_CHANGES, META_IDENTITY};
use crate::partition::StoreError;
use crate::partition::disk::{Disk, DiskFile};

impl Commits {
    /// Takes changes again, if there was no room and the file holds exactly what was acknowledged.
    /// Returns whether it does so now and did not before. `discard` gets the old file, as in
    /// [`Commits::renew`].
    ///
    /// What a crash leaves is as of [`Commits::renew`].
    ///
    /// # Errors
    ///
    /// If there is still no room, or the disk fails. It can be tried again.
    pub(in crate::partition) fn resume(
        &self,
        directory: &Path,
        disk: &dyn Disk,
        discard: impl FnOnce(Arc<Database>, Box<dyn DiskFile>),
    ) -> Result<bool, StoreError> {
        self.mend(|changes| {
            let path = self.catalog().path();
            self.catalog().still_there()?;
            let keys = self.catalog().keys().map(|keys| &**keys);
            let read = copy_in_memory(path, keys)?;
            if !is_at(&read, path, self.catalog().identity(), changes)? {
                return Ok(false);
            }
            let new_path = path.with_extension("redb.new");
            remove_leftover(&new_path, disk)?;
            let transaction = read.begin_read();
            let transaction = transaction.map_err(|error| failure("read", path, error))?;
            let database = copy_to(&transaction, &new_path, directory, disk, keys)?;
            let old_file = disk.modify(path);
            let old_file = old_file.map_err(|error| StoreError::io("open", path, error))?;
            let replaced = disk.replace(&new_path, path);
            replaced.map_err(|error| StoreError::io("rename", &new_path, error))?;
            let old = self.catalog().replace_database(database);
            // A name that is not durable is the old file's after a crash, which says the same until
            // the next change. That one is not made, nor the old file overwritten, before this has
            // succeeded.
            let synced = disk.sync_directory(directory);
            synced.map_err(|error| StoreError::io("sync", directory, error))?;
            if let Some(old) = old {
                discard(old, old_file);
            }
            Ok(true)
        })
    }
}

/// Whether a catalog is of this data directory and counts exactly so many changes.
fn is_at(
    database: &Database,
    path: &Path,
    identity: Option<u64>,
    changes: u64,
) -> Result<bool, StoreError> {
    let number = |name: &str| -> Result<Option<u64>, StoreError> {
        let failed = |error: redb::Error| failure("read", path, error);
        let transaction = database.begin_read().map_err(|e| failed(e.into()))?;
        let table = transaction.open_table(META).map_err(|e| failed(e.into()))?;
        let value = table.get(name).map_err(|e| failed(e.into()))?;
        value
            .map(|value| number_of(path, name, value.value()))
            .transpose()
    };
    Ok(number(META_IDENTITY)? == identity && number(META_CHANGES)? == Some(changes))
}
