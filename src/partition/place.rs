//! Whether the place of a data directory can still be written: whoever asks a service whether it is
//! ready wants that in a moment.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;

use super::StoreError;

/// So much room the next change may need: the catalog is written a mebibyte ahead, and a new
/// catalog begins with more than one.
const FREE_BYTES_MIN: u64 = 2 << 20;

/// Why a data directory takes no changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceFault {
    /// There is nothing at its place any more.
    #[error("`{path}` is gone: put it back, then restart")]
    Gone {
        /// The data directory, or the catalog in it.
        path: PathBuf,
    },
    /// Its name leads to something else now than what is open.
    #[error("`{path}` was replaced by another one: put it back, then restart")]
    Replaced {
        /// The catalog.
        path: PathBuf,
    },
    /// It may not be written.
    #[error("`{path}` cannot be written: {cause}")]
    NotWritable {
        /// The data directory, or the catalog in it.
        path: PathBuf,
        /// What the operating system says.
        cause: String,
    },
    /// There is no room on its disk, or a write found none. Changes are taken again once there is.
    #[error("the disk of `{path}` is full: changes are taken again once there is room")]
    Full {
        /// The data directory.
        path: PathBuf,
    },
    /// A write failed, and nothing is written any more until the data directory is opened again.
    #[error("a write failed, and nothing is written until the service is restarted: {cause}")]
    Stopped {
        /// The failure, with all that caused it.
        cause: String,
    },
}

/// What is wrong with the place of a data directory whose catalog has its name, as far as the operating system
/// says without a write.
pub(super) fn look_at(directory: &Path, catalog: &Path) -> Option<PlaceFault> {
    for (path, wanted) in [
        (directory, Access::WRITE_OK | Access::EXEC_OK),
        (catalog, Access::WRITE_OK),
    ] {
        if let Err(error) = access(path, wanted) {
            return Some(PlaceFault::NotWritable {
                path: path.to_owned(),
                cause: std::io::Error::from(error).to_string(),
            });
        }
    }
    has_no_room(directory, 0).then(|| PlaceFault::Full {
        path: directory.to_owned(),
    })
}

/// Whether the disk has no room for so many bytes and the next changes. A disk that does not say
/// how much it has, has room.
pub(super) fn has_no_room(directory: &Path, bytes: u64) -> bool {
    let wanted = bytes.saturating_add(FREE_BYTES_MIN);
    let free = statvfs(directory).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    match free {
        Ok(free) => free < wanted,
        Err(Errno::NOSPC | Errno::DQUOT) => true,
        Err(_) => false,
    }
}

impl PlaceFault {
    /// What a write that failed, or was refused, says of the place.
    pub(super) fn of_failure(directory: &Path, failure: &StoreError) -> PlaceFault {
        match failure {
            StoreError::Replaced { path } => match path.symlink_metadata() {
                Ok(_) => PlaceFault::Replaced { path: path.clone() },
                Err(_) => PlaceFault::Gone { path: path.clone() },
            },
            StoreError::NoRoom { .. } => PlaceFault::Full {
                path: directory.to_owned(),
            },
            StoreError::Stopped {
                source: Some(source),
                ..
            } if matches!(**source, StoreError::Replaced { .. }) => {
                PlaceFault::of_failure(directory, source)
            }
            failure => PlaceFault::Stopped {
                cause: failure.with_causes(),
            },
        }
    }
}
