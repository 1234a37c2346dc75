//! Making an encrypted catalog of a plain one.
//!
//! | step | what a crash just after it leaves |
//! | --- | --- |
//! | 1. write an encrypted copy of the catalog | the plain catalog, and a file that the next open overwrites and deletes |
//! | 2. write the key file | the same, and keys beside it, so that nobody opens it but the next try |
//! | 3. exchange the names of both, sync the directory | the encrypted catalog and such a file, or still the same |
//! | 4. overwrite the plain one, and delete it | the encrypted catalog |
//!
//! The copy takes as long as the catalog is large. It comes before the key file, so that there are keys beside
//! a plain catalog for a moment only; while the catalog is open, beside those who read and change it, too
//! ([`Commits::encrypt`]).

use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use redb::Database;

use super::commit::{Commits, Halt};
use super::copy::{copy_to, exchange};
use super::lost::refuse_if_lost;
use super::opened::{Catalog, is_encrypted};
use crate::partition::StoreError;
use crate::partition::disk::{Disk, DiskFile, overwrite, wipe};
use crate::partition::keys::{KeyFile, Keys};
use crate::secrets::KeyError;

/// Encrypts the catalog of a data directory that nobody has open, if it is not. Returns whether it was
/// not.
///
/// # Errors
///
/// If there is no data directory, another process has it open, there is no master key, the keys that
/// are there are another data directory's, or the disk fails. The catalog is as it was then, or
/// encrypted.
pub(in crate::partition) fn encrypt(
    directory: &Path,
    disk: &dyn Disk,
    keys: &Keys,
) -> Result<bool, StoreError> {
    refuse_if_lost(directory, disk)?;
    if is_encrypted(directory, disk)? {
        return Ok(false);
    }
    let catalog = Catalog::open_plain(directory, disk)?;
    let (key_file, is_new) = keys_beside(&catalog, directory, disk, keys)?.parts();
    let path = catalog.path().to_owned();
    let draft = path.with_extension("redb.new");
    wipe(disk, &draft)?;
    let copied = catalog.read(|tables| {
        copy_to(
            &tables.transaction,
            &draft,
            directory,
            disk,
            Some(&key_file),
        )
    });
    drop(copied?);
    let plain = disk.modify(&path);
    let plain = plain.map_err(|error| StoreError::io("open", &path, error))?;
    let written = match is_new {
        true => key_file.write(disk),
        false => Ok(()),
    };
    let named = written.and_then(|()| {
        let replaced = disk.replace(&draft, &path);
        replaced.map_err(|error| StoreError::io("rename", &draft, error))
    });
    if named.is_err() && is_new {
        withdraw(directory, disk);
    }
    let is_named = named?;
    let synced = disk.sync_directory(directory);
    synced.map_err(|error| StoreError::io("sync", directory, error))?;
    // It writes into its file when it is closed.
    drop(catalog);
    match is_named {
        true => wipe(disk, &draft)?,
        false => overwrite(&*plain).map_err(|error| StoreError::io("overwrite", &path, error))?,
    }
    Ok(true)
}

/// The keys for a catalog that is not encrypted.
enum Beside {
    /// A try that was broken off has left them.
    Written(Arc<KeyFile>),
    /// They are in memory alone.
    Unwritten(Arc<KeyFile>),
}

impl Beside {
    /// The keys, and whether they are new.
    fn parts(self) -> (Arc<KeyFile>, bool) {
        match self {
            Beside::Written(found) => (found, false),
            Beside::Unwritten(new) => (new, true),
        }
    }
}

/// # Errors
///
/// If there is no master key or another one, or the keys that are there are another data directory's.
fn keys_beside(
    catalog: &Catalog,
    directory: &Path,
    disk: &dyn Disk,
    keys: &Keys,
) -> Result<Beside, StoreError> {
    let identity = catalog.read(|tables| tables.identity())?;
    let identity = identity.map_or(0, NonZeroU64::get);
    match KeyFile::open(directory, disk, keys)? {
        Some(found) if found.identity() == identity => Ok(Beside::Written(found)),
        Some(found) => {
            let (expected, found_identity) = (identity, found.identity());
            let foreign = KeyError::Foreign {
                expected,
                found: found_identity,
            };
            Err(StoreError::keys(found.path(), foreign))
        }
        None => Ok(Beside::Unwritten(KeyFile::unwritten(
            directory, keys, identity,
        )?)),
    }
}

impl Commits {
    /// Encrypts the catalog while it is open, if it is not encrypted; changes wait meanwhile. From then on there
    /// are keys ([`Catalog::keys`]), and whatever is begun is sealed with them. The old file is given to
    /// `discard`, as by [`Commits::renew`]. Returns whether it was not encrypted.
    ///
    /// What a crash leaves: the plain catalog or the encrypted one, which says the same, and the other one under
    /// the name of a draft, which the next open overwrites and deletes; for the moment between two steps keys
    /// beside the plain catalog, with which [`encrypt`] goes on.
    ///
    /// # Errors
    ///
    /// As [`encrypt`]. The catalog is as it was then, and there are no keys.
    pub(in crate::partition) fn encrypt(
        &self,
        directory: &Path,
        disk: &dyn Disk,
        keys: &Keys,
        discard: impl FnOnce(Arc<Database>, Box<dyn DiskFile>),
    ) -> Result<bool, StoreError> {
        let catalog = self.catalog();
        // They need a change of the catalog before they let go.
        let _nobody_holds = catalog.shared_keys().no_holders();
        self.pause(|| {
            if catalog.keys().is_some() {
                return Ok(false);
            }
            let (key_file, is_new) = keys_beside(catalog, directory, disk, keys)?.parts();
            let ready = || match is_new {
                true => key_file.write(disk),
                false => Ok(()),
            };
            let exchanged = exchange(catalog, directory, disk, Some(&key_file), ready);
            if let (Err(Halt::Refused(_)), true) = (&exchanged, is_new) {
                withdraw(directory, disk);
            }
            let (database, old_file) = exchanged?;
            catalog.shared_keys().begin(key_file);
            if let Some(old) = catalog.replace_database(database) {
                discard(old, old_file);
            }
            Ok(true)
        })
    }
}

/// Takes keys back that nothing is sealed with: beside them the plain catalog would not be opened again.
fn withdraw(directory: &Path, disk: &dyn Disk) {
    if is_encrypted(directory, disk).unwrap_or(true) {
        return;
    }
    let removed = disk.remove(&KeyFile::path_in(directory));
    if let Err(error) = removed.and_then(|()| disk.sync_directory(directory))
        && error.kind() != io::ErrorKind::NotFound
    {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(
            error,
            "cannot remove the keys of an encryption that failed: until `vultus gallery encrypt` comes to its end, \
             the data directory is not opened again"
        );
    }
}
