//! Making an encrypted catalog of a plain one.
//!
//! | step | what a crash just after it leaves |
//! | --- | --- |
//! | 1. write the key file | keys beside a plain catalog, which nobody opens but the next try |
//! | 2. write an encrypted copy of the catalog | the same, and a file that the next open overwrites and deletes |
//! | 3. exchange the names of both, sync the directory | the encrypted catalog and such a file, or still the same |
//! | 4. overwrite the plain one, and delete it | the encrypted catalog |

use std::num::NonZeroU64;
use std::path::Path;

use super::copy::copy_to;
use super::lost::refuse_if_lost;
use super::opened::{Catalog, is_encrypted};
use crate::partition::StoreError;
use crate::partition::disk::{Disk, overwrite, wipe};
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
    let identity = catalog.read(|tables| tables.identity())?;
    let identity = identity.map_or(0, NonZeroU64::get);
    let key_file = match KeyFile::open(directory, disk, keys)? {
        Some(found) if found.identity() == identity => found,
        Some(found) => {
            let (expected, found_identity) = (identity, found.identity());
            let foreign = KeyError::Foreign {
                expected,
                found: found_identity,
            };
            return Err(StoreError::keys(found.path(), foreign));
        }
        None => KeyFile::create(directory, disk, keys, identity)?,
    };
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
    let replaced = disk.replace(&draft, &path);
    let is_named = replaced.map_err(|error| StoreError::io("rename", &draft, error))?;
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
