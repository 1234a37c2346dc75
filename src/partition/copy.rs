//! Copying the catalog into another file: for a snapshot, and to be rid of what its free pages
//! still hold.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use redb::{
    Database, Key, ReadTransaction, ReadableTable, TableDefinition, Value, WriteTransaction,
};

use super::StoreError;
use super::catalog::{META, PARTITIONS, SEGMENTS, STATE, TAIL, TOMBSTONES, failure, open_database};
use super::commit::{Commits, Halt};
use super::files::Files;

/// Writes all that `from` shows into an empty database at `path`, durably.
pub(super) fn copy_to(
    from: &ReadTransaction,
    path: &Path,
    files: &Files,
) -> Result<Database, StoreError> {
    let failed = |error: redb::Error| failure("write", path, error);
    let database = open_database(path, files.directory(), &**files.disk())?;
    let copy = || -> Result<(), redb::Error> {
        let to = database.begin_write()?;
        copy_table(from, &to, META)?;
        copy_table(from, &to, PARTITIONS)?;
        copy_table(from, &to, TAIL)?;
        copy_table(from, &to, SEGMENTS)?;
        copy_table(from, &to, TOMBSTONES)?;
        copy_table(from, &to, STATE)?;
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
    for item in from.open_table(definition)?.iter()? {
        let (key, value) = item?;
        copy.insert(key.value(), value.value())?;
    }
    Ok(())
}

impl Commits {
    /// Writes the catalog anew, without what was once in it, and overwrites the old file. Changes wait
    /// meanwhile; its size is that of the templates not yet sealed. Returns whether the old file was
    /// overwritten: it is left alone, and only loses its name, if somebody is reading it.
    ///
    /// What a crash leaves: before the rename, the old catalog and a file that the next open
    /// deletes; after it, the new one, which says the same.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub(super) fn renew(&self, files: &Files) -> Result<bool, StoreError> {
        let path = self.catalog().path();
        let new_path = path.with_extension("redb.new");
        self.pause(|| {
            remove_leftover(&new_path, files)?;
            let database = self
                .catalog()
                .read(|tables| copy_to(&tables.transaction, &new_path, files))?;
            let old_file = files.disk().modify(path);
            let old_file = old_file.map_err(|error| StoreError::io("open", path, error))?;
            let renamed = files.disk().rename(&new_path, path);
            renamed.map_err(|error| StoreError::io("rename", &new_path, error))?;
            // From here on the old file must not come back.
            let synced = files.disk().sync_directory(files.directory());
            synced
                .map_err(|error| Halt::Broken(StoreError::io("sync", files.directory(), error)))?;
            let Some(old) = self.catalog().replace_database(database) else {
                return Ok(false);
            };
            if !close(old) {
                return Ok(false);
            }
            let overwritten = files.unless_read(|| {
                let zeros = vec![0; 1 << 20];
                let length = old_file.length();
                let length = length.map_err(|error| StoreError::io("read", path, error))?;
                for start in (0..length).step_by(zeros.len()) {
                    let count = zeros.len().min((length - start) as usize);
                    let written = old_file.write_at(&zeros[..count], start);
                    written.map_err(|error| StoreError::io("overwrite", path, error))?;
                }
                let synced = old_file.sync();
                synced.map_err(|error| StoreError::io("overwrite", path, error))
            })?;
            Ok(overwritten)
        })
    }
}

/// Closes a database as soon as nobody in this process reads it, and gives up after a while.
fn close(mut database: Arc<Database>) -> bool {
    for _ in 0..1000 {
        match Arc::try_unwrap(database) {
            Ok(_closed) => return true,
            Err(still_read) => database = still_read,
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Deletes what a crash left of a copy.
pub(super) fn remove_leftover(path: &Path, files: &Files) -> Result<(), StoreError> {
    match files.disk().remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}
