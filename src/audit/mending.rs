//! Where a log goes on that ended in whatever way.
//!
//! Everything that was acknowledged ends with a head. What a crash left behind the last one may be whole
//! lines, half a line, or what the disk had there before.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use super::error::AuditError;
use super::folder::{self, AuditFile};
use super::head::Head;
use super::line::Entry;

/// The end of a log, mended.
#[derive(Debug)]
pub(super) struct End {
    /// What comes next.
    pub(super) head: Head,
    /// The last file, its length, and where it is; none if there is none.
    pub(super) file: Option<(File, u64, PathBuf)>,
    /// How many bytes went, if the log did not end with a head.
    pub(super) dropped: Option<u64>,
}

/// What there is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// What comes behind the last good line; none if there is no good line.
    head: Option<Head>,
    /// Where that ends.
    good: usize,
    is_signed: bool,
}

/// Mends the end of the log in `folder`: what is not whole goes.
///
/// # Errors
///
/// If a file cannot be read or cut, or something is damaged that a head stands behind.
pub(super) fn mend(folder: &Path) -> Result<End, AuditError> {
    let mut dropped = None;
    let mut files = folder::files(folder)?;
    while let Some(AuditFile { path, .. }) = files.pop() {
        let bytes = fs::read(&path).map_err(AuditError::io("reading the audit log", &path))?;
        let found = look(&bytes).map_err(|problem| AuditError::Damaged {
            path: path.clone(),
            problem,
        })?;
        let rest = (bytes.len() - found.good) as u64;
        if rest > 0 || !found.is_signed {
            dropped = Some(dropped.unwrap_or(0) + rest);
        }
        let Some(head) = found.head else {
            // It was begun, and nothing of it was written.
            fs::remove_file(&path).map_err(AuditError::io("removing an empty file", &path))?;
            continue;
        };
        let cut = || {
            let file = OpenOptions::new().append(true).open(&path)?;
            if rest > 0 {
                file.set_len(found.good as u64)?;
                file.sync_all()?;
            }
            Ok(file)
        };
        let file = cut().map_err(AuditError::io("mending the audit log", &path))?;
        return Ok(End {
            head,
            file: Some((file, found.good as u64, path)),
            dropped,
        });
    }
    Ok(End {
        head: Head::beginning(),
        file: None,
        dropped,
    })
}

/// Whether the log in `folder`, which ends at `end`, still has what was before `known`.
///
/// # Errors
///
/// If a file cannot be read.
pub(super) fn has(folder: &Path, end: &Head, known: &Head) -> Result<bool, AuditError> {
    if known.sequence >= end.sequence {
        return Ok(known == end);
    }
    let files = folder::files(folder)?;
    let mut files = files.iter().rev();
    let Some(file) = files.find(|file| file.first <= known.sequence) else {
        return Ok(false);
    };
    let path = &file.path;
    let bytes = fs::read(path).map_err(AuditError::io("reading the audit log", path))?;
    let mut entries = bytes.split(|byte| *byte == b'\n').filter_map(Entry::read);
    Ok(entries.any(|entry| entry.place() == *known))
}

/// What there is in the bytes of a file. A crash damages no more than what was written last, which ends with
/// one head at most: an error if there are more behind what is damaged.
fn look(bytes: &[u8]) -> Result<Found, String> {
    let nothing = Found {
        head: None,
        good: 0,
        is_signed: false,
    };
    let (mut found, mut signed) = (nothing.clone(), nothing);
    let (mut problem, mut heads_behind) = (None, 0);
    for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let Some(text) = line.strip_suffix(b"\n") else {
            break;
        };
        let entry = Entry::read(text);
        let is_head = entry.as_ref().is_some_and(Entry::is_head);
        let follows = |entry: &Entry| found.head.as_ref().is_none_or(|it| *it == entry.place());
        match entry.filter(|entry| problem.is_none() && follows(entry)) {
            Some(entry) => {
                found.head = Some(entry.place().behind(text));
                found.good += line.len();
                found.is_signed = is_head;
                if is_head {
                    signed = found.clone();
                }
            }
            None => {
                problem.get_or_insert(at + 1);
                heads_behind += usize::from(is_head);
            }
        }
    }
    match (problem, heads_behind) {
        (Some(line), 2..) => Err(format!("line {line} does not follow the one before it")),
        // What it signs is not all there.
        (Some(_), 1) => Ok(signed),
        _ => Ok(found),
    }
}
