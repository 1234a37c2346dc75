//! The files of the log: one after the other, each named by the number of its first line.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::AuditError;

/// The folder of the log in a data directory.
pub const AUDIT_FOLDER: &str = "audit";

const ENDING: &str = ".jsonl";
const DIGITS: usize = 20;

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditFile {
    /// The number of its first line, as its name says.
    pub first: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// The files of the log in `folder`, in order; none if there is no such folder. Others are passed over.
///
/// # Errors
///
/// If the folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<AuditFile>, AuditError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AuditError::io("reading the audit log", folder)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(AuditError::io("reading the audit log", folder))?;
        let first = entry.file_name().to_str().and_then(first_of);
        files.extend(first.map(|first| AuditFile {
            first,
            path: entry.path(),
        }));
    }
    files.sort();
    Ok(files)
}

fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENDING)?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Makes the folder, for its owner alone.
pub(super) fn make(folder: &Path) -> Result<(), AuditError> {
    let made = fs::DirBuilder::new().mode(0o700).create(folder);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(AuditError::io("making the folder", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Which folder or file it is, whatever its name.
pub(super) type Identity = (u64, u64);

/// Which folder or file `path` names now.
///
/// # Errors
///
/// If nothing has that name, or it cannot be looked at.
pub(super) fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Makes the file whose first line will be `first`, for its owner alone.
pub(super) fn create(folder: &Path, first: u64) -> Result<(File, PathBuf), AuditError> {
    let path = folder.join(format!("{first:0DIGITS$}{ENDING}"));
    let made = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(AuditError::io("making the audit log", &path))?;
    // A name that is lost would take acknowledged records along.
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    if let Err(error) = synced {
        // Nothing is in it yet, and it must not stand in the way of the next attempt.
        let _left_behind = fs::remove_file(&path);
        return Err(AuditError::io("syncing the folder", folder)(error));
    }
    Ok((made, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_the_order_of_their_lines_and_others_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for first in [900, 1, 20] {
            create(folder.path(), first).unwrap();
        }
        for other in ["1.jsonl", "notes.txt", "000000000000000000xx.jsonl"] {
            fs::write(folder.path().join(other), "").unwrap();
        }
        let found = files(folder.path()).unwrap();
        let firsts: Vec<u64> = found.iter().map(|file| file.first).collect();
        assert_eq!(firsts, [1, 20, 900]);
        assert!(create(folder.path(), 20).is_err());
        assert_eq!(files(&folder.path().join("none")).unwrap(), []);
    }
}
