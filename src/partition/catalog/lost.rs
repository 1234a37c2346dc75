//! Whether a data directory without a catalog once had one.
//!
//! A new catalog beside what another one named would call all of that left over. So it is made only
//! where nothing else is. Whoever opens a data directory first makes `writer.lock`, empty, then the
//! whole catalog, durably, and only then anything else: a crash on the way leaves nothing that looks
//! like a loss.

use std::io;
use std::path::{Path, PathBuf};

use super::witness::Witness;
use crate::partition::StoreError;
use crate::partition::disk::Disk;

/// The name of the catalog in the data directory.
pub(in crate::partition) const CATALOG_FILE: &str = "catalog.redb";
/// What is made only once there is a catalog.
const LATER_FILES: [&str; 3] = ["server.key", "catalog.lock", "readers.lock"];

/// Fails if the catalog is not there, and something else says that it was.
pub(in crate::partition) fn refuse_if_lost(
    directory: &Path,
    disk: &dyn Disk,
) -> Result<(), StoreError> {
    match trace_of_lost(directory, disk)? {
        Some(trace) => Err(StoreError::CatalogLost {
            path: directory.join(CATALOG_FILE),
            trace,
        }),
        None => Ok(()),
    }
}

/// What shows that a catalog is lost; `None` if it is there, or never was.
pub(in crate::partition) fn trace_of_lost(
    directory: &Path,
    disk: &dyn Disk,
) -> Result<Option<PathBuf>, StoreError> {
    if is_there(&directory.join(CATALOG_FILE))? {
        return Ok(None);
    }
    let segments = files_below(&directory.join("segments"), disk)?;
    if let Some(segment) = segments.into_iter().next() {
        return Ok(Some(segment));
    }
    for name in LATER_FILES {
        let path = directory.join(name);
        if is_there(&path)? {
            return Ok(Some(path));
        }
    }
    // It says something only once there is a catalog.
    let witness = Witness::read(directory)?;
    Ok(witness.map(|_| Witness::path_in(directory)))
}

/// All that is not a directory, in a directory of directories.
fn files_below(directory: &Path, disk: &dyn Disk) -> Result<Vec<PathBuf>, StoreError> {
    let list = |directory: &Path| {
        let listed = disk.list(directory);
        listed.map_err(|error| StoreError::io("read", directory, error))
    };
    let (mut files, mut inner) = (Vec::new(), Vec::new());
    for path in list(directory)? {
        match path.is_dir() {
            true => inner.extend(list(&path)?),
            false => files.push(path),
        }
    }
    files.extend(inner);
    files.sort();
    Ok(files)
}

/// Whether there is something of this name, be it a link that leads nowhere.
fn is_there(path: &Path) -> Result<bool, StoreError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(StoreError::io("read", path, error)),
    }
}
