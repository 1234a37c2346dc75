//! Copying the catalog into another file: for a snapshot, and to be rid of what its free pages
//! still hold.

use std::path::Path;
use std::sync::Arc;

use redb::{
    Database, Key, ReadTransaction, ReadableTable, TableDefinition, TableError, Value,
    WriteTransaction,
};

use super::commit::{Commits, Halt};
use super::database::open_database;
use super::failures::failure;
use super::opened::Catalog;
use super::tables::{
    CHOSEN_CLASSES, EXPIRIES, EXTERNAL_IDS, LABELS, LAST_MATCHES, META, NAMES, NOT_SAME,
    PARTITIONS, PORTRAITS, RECORDS, REMOVED, RETIRED, SEGMENTS, STATE, TAIL, THRESHOLDS,
    TOMBSTONES,
};
use crate::partition::StoreError;
use crate::partition::disk::{Disk, DiskFile};
use crate::partition::keys::KeyFile;

/// Writes all that `from` shows into an empty database at `path`, durably, and encrypted where there
/// are keys.
pub(in crate::partition) fn copy_to(
    from: &ReadTransaction,
    path: &Path,
    directory: &Path,
    disk: &dyn Disk,
    keys: Option<&KeyFile>,
) -> Result<Database, StoreError> {
    let failed = |error: redb::Error| failure("write", path, error);
    let database = open_database(path, directory, disk, keys)?;
    let copy = || -> Result<(), redb::Error> {
        let to = database.begin_write()?;
        copy_table(from, &to, META)?;
        copy_table(from, &to, PARTITIONS)?;
        copy_table(from, &to, TAIL)?;
        copy_table(from, &to, SEGMENTS)?;
        copy_table(from, &to, RETIRED)?;
        copy_table(from, &to, TOMBSTONES)?;
        copy_table(from, &to, STATE)?;
        copy_later_table(from, &to, RECORDS)?;
        copy_later_table(from, &to, NAMES)?;
        copy_later_table(from, &to, EXTERNAL_IDS)?;
        copy_later_table(from, &to, LABELS)?;
        copy_later_table(from, &to, EXPIRIES)?;
        copy_later_table(from, &to, THRESHOLDS)?;
        copy_later_table(from, &to, NOT_SAME)?;
        copy_later_table(from, &to, LAST_MATCHES)?;
        copy_later_table(from, &to, CHOSEN_CLASSES)?;
        copy_later_table(from, &to, PORTRAITS)?;
        copy_later_table(from, &to, REMOVED)?;
        Ok(to.commit()?)
    };
    copy().map_err(failed)?;
    Ok(database)
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<(), redb::Error> {
    let mut copy = to.open_table(definition)?;
    let from = match from.open_table(definition) {
        // An older catalog, which is only read here.
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        table => table?,
    };
    for item in from.iter()? {
        let (key, value) = item?;
        copy.insert(key.value(), value.value())?;
    }
    Ok(())
}

/// Copies a table that is made with the first record, if it was.
fn copy_later_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<(), redb::Error> {
    match from.open_table(definition) {
        Err(TableError::TableDoesNotExist(_)) => Ok(()),
        table => {
            drop(table?);
            copy_table(from, to, definition)
        }
    }
}

impl Commits {
    /// Writes the catalog anew, without what was once in it. Changes wait meanwhile; its size is
    /// that of the templates not yet sealed. The old file has lost its name then, and is given to
    /// `discard` before anything else can be changed: it is to be overwritten when nobody reads it
    /// any more.
    ///
    /// What a crash leaves: the old catalog or the new one, which says the same, and the other one under the
    /// name of a draft, which the next open overwrites and deletes.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub(in crate::partition) fn renew(
        &self,
        directory: &Path,
        disk: &dyn Disk,
        discard: impl FnOnce(Arc<Database>, Box<dyn DiskFile>),
    ) -> Result<(), StoreError> {
        self.pause(|| {
            let keys = self.catalog().keys().map(|keys| &**keys);
            let (database, old_file) = exchange(self.catalog(), directory, disk, keys, || Ok(()))?;
            if let Some(old) = self.catalog().replace_database(database) {
                discard(old, old_file);
            }
            Ok(())
        })
    }
}

/// Gives a copy of the catalog, encrypted where there are keys, the name of the catalog, durably. `ready` is
/// called when the copy is whole and has not got its name. Returns the copy, and the file that has lost its
/// name. The caller has seen to it that nothing is changed meanwhile.
pub(super) fn exchange(
    catalog: &Catalog,
    directory: &Path,
    disk: &dyn Disk,
    keys: Option<&KeyFile>,
    ready: impl FnOnce() -> Result<(), StoreError>,
) -> Result<(Database, Box<dyn DiskFile>), Halt> {
    let path = catalog.path();
    let new_path = path.with_extension("redb.new");
    remove_leftover(&new_path, disk)?;
    let database =
        catalog.read(|tables| copy_to(&tables.transaction, &new_path, directory, disk, keys))?;
    let old_file = disk.modify(path);
    let old_file = old_file.map_err(|error| StoreError::io("open", path, error))?;
    ready()?;
    let replaced = disk.replace(&new_path, path);
    replaced.map_err(|error| StoreError::io("rename", &new_path, error))?;
    // From here on the old file must not come back.
    let synced = disk.sync_directory(directory);
    synced.map_err(|error| Halt::Broken(StoreError::io("sync", directory, error)))?;
    Ok((database, old_file))
}

/// Takes its name from what was left of a copy. It may be the catalog that was replaced last, which
/// somebody may be reading, and which is overwritten when nobody does: only an open knows better.
pub(in crate::partition) fn remove_leftover(
    path: &Path,
    disk: &dyn Disk,
) -> Result<(), StoreError> {
    match disk.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}
