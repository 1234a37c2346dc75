//! What is among the segments and is none of this data directory: it is never touched, and whoever
//! looks after the disk should know of it.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::files::SegmentFile;
use super::private;
use super::segment::read_header;

/// So many are named.
const NAMED_MAX: usize = 10;

/// Files among the segments that the catalog neither names nor has retired. Nobody reads them, and
/// nobody removes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftAlone {
    /// How many there are.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The first ten by name.
    pub first: Vec<String>,
}

/// Looks for such files in the data directory `directory`, of which the catalog names the segments
/// `known`, as (partition, segment). Drafts of this data directory are not among them: they come
/// and go.
pub(super) fn left_alone(
    directory: &Path,
    known: &BTreeSet<(u64, u64)>,
    identity: Option<NonZeroU64>,
) -> LeftAlone {
    let mut found = Vec::new();
    for path in sorted(&directory.join("segments")) {
        let name = path.file_name().and_then(|name| name.to_str());
        let partition = name.and_then(|name| name.parse::<u64>().ok());
        match partition {
            Some(partition) if is_directory(&path) => {
                for path in sorted(&path) {
                    if !is_ours(&path, partition, known, identity) {
                        add(path, &mut found);
                    }
                }
            }
            _ => add(path, &mut found),
        }
    }
    LeftAlone {
        files: found.len(),
        bytes: found.iter().map(|(_, bytes)| bytes).sum(),
        first: found
            .iter()
            .take(NAMED_MAX)
            .map(|(path, _)| path.display().to_string())
            .collect(),
    }
}

fn is_ours(
    path: &Path,
    partition: u64,
    known: &BTreeSet<(u64, u64)>,
    identity: Option<NonZeroU64>,
) -> bool {
    let header = || {
        let file = private::open_file(path).ok()?;
        read_header(path, &file).ok()
    };
    match SegmentFile::of(path) {
        // One of ours that is not known is newer than what is known: a process that runs beside this
        // one has made it. Where none does, the data directory is refused because of it.
        Some(SegmentFile::Named(segment)) => {
            known.contains(&(partition, segment))
                || header().is_some_and(|it| it.identity.is_some() && it.identity == identity)
        }
        Some(SegmentFile::Draft(_)) => {
            header().is_none_or(|it| it.identity.is_none() || it.identity == identity)
        }
        None => false,
    }
}

/// A file, or all that is in a directory.
fn add(path: PathBuf, found: &mut Vec<(PathBuf, u64)>) {
    if is_directory(&path) {
        for inner in sorted(&path) {
            add(inner, found);
        }
        return;
    }
    let bytes = path.symlink_metadata().map_or(0, |metadata| metadata.len());
    found.push((path, bytes));
}

/// Links are not followed: what they lead to is elsewhere.
fn is_directory(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir())
}

/// What is in a directory, by name; nothing where it cannot be read, since others say that.
fn sorted(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    paths
}
