//! Snapshots of a data directory in one file, and back.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::archive::{ArchiveWriter, ArchivedFile, Manifest, PartitionContents, extract};
use super::check::SegmentCheck;
use super::{Store, StoreError};
use crate::types::Timestamp;

/// A file that goes into a snapshot, and does not change meanwhile.
pub(super) struct BackupFile {
    /// Its name in the data directory, with `/` between parts.
    pub(super) name: String,
    /// Where it is now.
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// Writes an archive of some files. Segments are compared with their checksums on the way, so that
/// damage is noticed while there are older archives, and is not passed on. Tells `progress` how many
/// bytes went by.
///
/// # Errors
///
/// If `path` exists and may not be replaced, a segment is damaged, or the disk fails. Nothing is left
/// then, and what had the name keeps it.
pub(super) fn write_archive(
    path: &Path,
    overwrite: bool,
    now: Timestamp,
    partitions: Vec<PartitionContents>,
    files: &[BackupFile],
    progress: &mut dyn FnMut(u64),
) -> Result<Manifest, StoreError> {
    let archived = files.iter().map(|file| ArchivedFile {
        name: file.name.clone(),
        bytes: file.bytes,
    });
    let manifest = Manifest::new(now.unix_milliseconds, partitions, archived.collect());
    let mut writer = ArchiveWriter::create(path, overwrite, manifest.clone())?;
    for file in files {
        let source = &file.path;
        let opened = File::open(source);
        let opened = opened.map_err(|error| StoreError::io("open", source, error))?;
        let mut reader = CheckedReader {
            file: opened,
            check: file
                .name
                .ends_with(".vseg")
                .then(|| SegmentCheck::new(source, file.bytes)),
        };
        writer.add(&file.name, source, &mut reader, progress)?;
        reader.finish(source)?;
    }
    writer.finish()?;
    Ok(manifest)
}

/// Makes the data directory `target` of the archive `path`.
///
/// `target` must not exist, or be an empty directory. Everything is verified and opened once before it
/// gets that name, in one step: a failure, of whatever kind, leaves `target` as it was. A crash leaves
/// `TARGET.restoring` beside it, which the next call replaces. All files are readable by
/// their owner alone.
///
/// Tells `progress` how many bytes of files went by. Returns what the archive says of itself.
///
/// # Errors
///
/// If `target` is neither missing nor an empty directory, another process is restoring into it, the
/// archive is damaged, cut off, no snapshot, or newer than this build, or the disk fails.
pub fn restore_archive(
    path: &Path,
    target: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Manifest, StoreError> {
    extract(path, target, open_everything, progress)
}

/// Whether the catalog can be read and names segments that are there.
fn open_everything(directory: &Path) -> Result<(), StoreError> {
    let store = Store::open_existing(directory)?;
    for id in store.partitions()? {
        store.partition(&id)?;
    }
    Ok(())
}

/// Compares a segment with its checksums while it is read.
struct CheckedReader {
    file: File,
    check: Option<SegmentCheck>,
}

impl CheckedReader {
    fn finish(self, path: &Path) -> Result<(), StoreError> {
        let report = self.check.map(SegmentCheck::finish);
        match report.and_then(|report| report.damage.into_iter().next()) {
            Some(damage) => Err(damage.into_error(path)),
            None => Ok(()),
        }
    }
}

impl Read for CheckedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if let Some(check) = &mut self.check {
            check.update(&buffer[..count]).map_err(io::Error::other)?;
        }
        Ok(count)
    }
}
