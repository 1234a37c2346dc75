//! The files of the log: one after the other, each named by the number of its first line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::AuditError;
use super::line::Entry;
use crate::types::Timestamp;

/// The folder of the log in a data directory.
pub const AUDIT_FOLDER: &str = "audit";

const ENDING: &str = ".jsonl";
const DIGITS: usize = 20;
/// A longer line is none of ours.
pub(super) const LINE_BYTES_MAX: u64 = 1 << 20;

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
/// If the folder cannot be read, or something has the name of such a file and is none.
pub fn files(folder: &Path) -> Result<Vec<AuditFile>, AuditError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AuditError::io("reading the audit log", folder)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(AuditError::io("reading the audit log", folder))?;
        if let Some(first) = entry.file_name().to_str().and_then(first_of) {
            let path = entry.path();
            refuse_special(&path).map_err(AuditError::io("reading the audit log", &path))?;
            files.push(AuditFile { first, path });
        }
    }
    files.sort();
    Ok(files)
}

/// Whoever opened a pipe would wait for somebody to write into it.
fn refuse_special(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let text = "expected a file, found a folder, a pipe or a device";
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
        _ => Ok(()),
    }
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

/// When the first line of a file was written; `None` if it has none that can be read.
pub(super) fn begun(file: &AuditFile) -> Result<Option<Timestamp>, AuditError> {
    let opened = File::open(&file.path);
    let mut line = Vec::new();
    let read = opened.and_then(|opened| {
        let mut limited = BufReader::new(opened).take(LINE_BYTES_MAX);
        limited.read_until(b'\n', &mut line)
    });
    read.map_err(AuditError::io("reading the audit log", &file.path))?;
    let entry = line.strip_suffix(b"\n").and_then(Entry::read);
    Ok(entry.map(|entry| entry.time()))
}

/// When the last line of a file was written; `None` if it is none that can be read.
pub(super) fn ended(file: &AuditFile) -> Result<Option<Timestamp>, AuditError> {
    let mut end = Vec::new();
    let read = File::open(&file.path).and_then(|mut opened| {
        let length = opened.metadata()?.len();
        opened.seek(SeekFrom::Start(length.saturating_sub(LINE_BYTES_MAX)))?;
        opened.read_to_end(&mut end)
    });
    read.map_err(AuditError::io("reading the audit log", &file.path))?;
    let whole = end.strip_suffix(b"\n").unwrap_or_default();
    let last = whole.rsplit(|byte| *byte == b'\n').next();
    let entry = last.and_then(Entry::read);
    Ok(entry.map(|entry| entry.time()))
}

/// Removes files, the oldest first, so that what a crash leaves has no gap.
pub(super) fn remove(folder: &Path, files: &[AuditFile]) -> Result<(), AuditError> {
    for AuditFile { path, .. } in files {
        fs::remove_file(path).map_err(AuditError::io("removing an old file", path))?;
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(AuditError::io("syncing the folder", folder))?;
    }
    Ok(())
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
