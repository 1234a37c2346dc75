//! Snapshots of a data directory in one file, and back.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::archive::{
    ArchiveDraft, ArchivedFile, Manifest, PartitionContents, beside, extract, new_file,
};
use super::catalog::Tables;
use super::check::SegmentCheck;
use super::copy::copy_to;
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

impl Store {
    /// Writes a snapshot of everything to the file `path`, as it is at one moment. Others may go on
    /// reading and changing the data directory meanwhile. Segments are compared with their checksums
    /// on the way, so that damage is noticed while there are older snapshots, and is not passed on.
    ///
    /// The snapshot is readable by its owner alone: it holds all templates and the keys of the
    /// service. Tells `progress` how many bytes of how many went by. Returns what the snapshot says
    /// of itself.
    ///
    /// # Errors
    ///
    /// If `path` exists and may not be replaced, another process is writing it, something is damaged,
    /// or the disk fails. Nothing is left then, and what had the name keeps it.
    pub fn snapshot_to(
        &self,
        path: &Path,
        overwrite: bool,
        now: Timestamp,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Manifest, StoreError> {
        let draft = ArchiveDraft::create(path, overwrite)?;
        // Before the catalog is read: what it names must not go.
        let _all_files_stay = self.files().keep();
        // Nobody else uses that name while the draft is ours.
        let copy = CatalogCopy::create(beside(path, "new.catalog"))?;
        let (partitions, mut files) = self.catalog().read(|tables| {
            drop(copy_to(&tables.transaction, &copy.path, self.files())?);
            self.list(tables)
        })?;
        files.insert(0, file_of("catalog.redb".to_owned(), copy.path.clone())?);
        let key = self.directory().join("server.key");
        // A directory that was never served has none.
        if key.exists() {
            files.push(file_of("server.key".to_owned(), key)?);
        }
        write_archive(draft, now, partitions, &files, progress)
    }

    /// What the catalog names, for the manifest.
    fn list(
        &self,
        tables: &Tables<'_>,
    ) -> Result<(Vec<PartitionContents>, Vec<BackupFile>), StoreError> {
        let (mut partitions, mut files) = (Vec::new(), Vec::new());
        for (name, entry) in tables.partitions()? {
            let contents = tables.contents(entry.partition)?;
            let rows = contents.segments.values().map(|segment| segment.rows);
            let stored = contents.tail.len() as u64 + rows.sum::<u64>();
            partitions.push(PartitionContents {
                partition: name,
                encoder: entry.encoder.to_string(),
                templates: stored.saturating_sub(contents.tombstones.len() as u64),
                segments: contents.segments.len() as u64,
            });
            for segment in contents.segments.keys() {
                let name = format!("segments/{}/{segment}.vseg", entry.partition);
                files.push(file_of(name, self.files().path(entry.partition, *segment))?);
            }
        }
        Ok((partitions, files))
    }
}

/// Makes the data directory `target` of the archive `path`.
///
/// `target` must not exist, or be an empty directory. Everything is verified and opened once before it
/// gets that name, in one step: a failure, of whatever kind, leaves `target` as it was. A crash leaves
/// `TARGET.restoring` beside it, which the next call replaces. All files are readable by
/// their owner alone.
///
/// Tells `progress` how many bytes of how many went by. Returns what the archive says of itself.
///
/// # Errors
///
/// If `target` is neither missing nor an empty directory, another process is restoring into it, the
/// archive is damaged, cut off, no snapshot, or newer than this build, or the disk fails.
pub fn restore_archive(
    path: &Path,
    target: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, StoreError> {
    extract(path, target, open_everything, progress)
}

/// Whether the catalog can be read and names segments that are there.
fn open_everything(directory: &Path) -> Result<(), StoreError> {
    let store = Store::open_existing(directory)?;
    for id in store.partitions()? {
        if let Some(partition) = store.partition(&id)? {
            // Templates whose segments are missing must not be missed only later.
            store.summary(&partition)?;
        }
    }
    Ok(())
}

/// Writes an archive of some files.
pub(super) fn write_archive(
    draft: ArchiveDraft,
    now: Timestamp,
    partitions: Vec<PartitionContents>,
    files: &[BackupFile],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, StoreError> {
    let archived = files.iter().map(|file| ArchivedFile {
        name: file.name.clone(),
        bytes: file.bytes,
    });
    let manifest = Manifest::new(now.unix_milliseconds, partitions, archived.collect());
    let (mut done, total) = (0, manifest.bytes());
    let mut writer = draft.begin(manifest.clone())?;
    for file in files {
        let mut reader = CheckedReader::open(file)?;
        writer.add(&file.name, &file.path, &mut reader, &mut |bytes| {
            done += bytes;
            progress(done, total);
        })?;
        reader.finish(&file.path)?;
    }
    writer.finish()?;
    Ok(manifest)
}

fn file_of(name: String, path: PathBuf) -> Result<BackupFile, StoreError> {
    let metadata = fs::metadata(&path);
    let bytes = metadata.map_err(|error| StoreError::io("read", &path, error))?;
    let bytes = bytes.len();
    Ok(BackupFile { name, path, bytes })
}

/// A copy of the catalog, for its owner alone, that is deleted when this is dropped.
struct CatalogCopy {
    path: PathBuf,
}

impl CatalogCopy {
    /// Makes the file, empty. What a crash left of another is replaced.
    fn create(path: PathBuf) -> Result<CatalogCopy, StoreError> {
        let failed = |error| StoreError::io("create", &path, error);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        new_file(&path).map_err(failed)?;
        Ok(CatalogCopy { path })
    }
}

impl Drop for CatalogCopy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Compares a segment with its checksums while it is read.
struct CheckedReader {
    file: File,
    check: Option<SegmentCheck>,
}

impl CheckedReader {
    fn open(file: &BackupFile) -> Result<CheckedReader, StoreError> {
        let is_segment = file.name.ends_with(".vseg");
        let opened = File::open(&file.path);
        Ok(CheckedReader {
            file: opened.map_err(|error| StoreError::io("open", &file.path, error))?,
            check: is_segment.then(|| SegmentCheck::new(&file.path, file.bytes)),
        })
    }

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
