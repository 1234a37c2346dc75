//! What goes into a snapshot: the files of a data directory as they are at one moment.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ahead::ReadAhead;
use super::write::ArchiveDraft;
use super::{ArchivedFile, Manifest, PartitionContents, beside};
use crate::partition::StoreError;
use crate::partition::catalog::{CATALOG_FILE, Catalog, Tables, copy_to};
use crate::partition::files::Files;
use crate::partition::keys::{KEY_FILE, KeyFile};
use crate::partition::private;
use crate::partition::segment::{SegmentCheck, open_segment_file};
use crate::secrets::KeyError;
use crate::types::Timestamp;

/// So often a copy is made anew that lacks a key, since a partition was removed meanwhile.
const COPIES_TRIED: usize = 5;

/// A file that goes into a snapshot, and does not change meanwhile.
pub(in crate::partition) struct BackupFile {
    /// Its name in the data directory, with `/` between parts.
    pub(in crate::partition) name: String,
    /// Where it is now.
    pub(in crate::partition) path: PathBuf,
    pub(in crate::partition) bytes: u64,
    /// Of a segment, the checksum of its header as the catalog has it: no other file is taken for it.
    pub(in crate::partition) header_checksum: Option<u64>,
}

/// Writes a snapshot of a data directory: its catalog, all segments that this names, and the key of
/// its service. [`crate::partition::Store::snapshot_to`] says what holds.
pub(in crate::partition) fn write_snapshot(
    (catalog, files): (&Catalog, &Files),
    path: &Path,
    overwrite: bool,
    now: Timestamp,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, StoreError> {
    let draft = ArchiveDraft::create(path, overwrite)?;
    // Before the catalog is read: what it names must not go.
    let _all_files_stay = files.keep();
    let mut copies = Copies::of((catalog, files), path)?;
    for _ in 1..COPIES_TRIED {
        // Once there are keys what was copied may be sealed with them; if there are none by now, nothing is.
        let was_encrypted_meanwhile = copies.sealing.is_none() && files.keys().is_some();
        if copies.lacking.is_none() && !was_encrypted_meanwhile {
            break;
        }
        // A partition was removed between the catalog and its keys, or all is being encrypted.
        drop(copies);
        copies = Copies::of((catalog, files), path)?;
    }
    if let Some(gallery) = copies.lacking {
        let path = files.directory().join(KEY_FILE);
        return Err(StoreError::keys(
            &path,
            KeyError::NoKeyOfGallery { gallery },
        ));
    }
    let mut listed = std::mem::take(&mut copies.listed);
    listed.insert(
        0,
        file_of(CATALOG_FILE.to_owned(), copies.catalog.path.clone())?,
    );
    if let Some(keys) = &copies.keys {
        listed.push(file_of(KEY_FILE.to_owned(), keys.path.clone())?);
    }
    let key = files.directory().join("server.key");
    // A directory that was never served has none.
    if key.exists() {
        listed.push(file_of("server.key".to_owned(), key)?);
    }
    let draft = draft.sealed_with(copies.sealing.take());
    let contents = (
        copies.directory.take(),
        std::mem::take(&mut copies.partitions),
    );
    write_archive(draft, now, contents, &listed, progress)
}

/// What is copied before anything is written: the catalog, then the keys that it needs.
struct Copies {
    catalog: DraftCopy,
    keys: Option<DraftCopy>,
    /// What the archive is sealed with.
    sealing: Option<Arc<KeyFile>>,
    /// The identity of the data directory, as snapshots tell it.
    directory: Option<String>,
    partitions: Vec<PartitionContents>,
    /// The segments.
    listed: Vec<BackupFile>,
    /// A partition with encrypted segments whose key is not there.
    lacking: Option<u64>,
}

impl Copies {
    /// Copies them beside the archive `path`. Nobody else uses those names while its draft is ours.
    fn of((catalog, files): (&Catalog, &Files), path: &Path) -> Result<Copies, StoreError> {
        let copy = DraftCopy::create(beside(path, "new.catalog"))?;
        let (disk, sealing) = (&**files.disk(), files.shared_keys());
        let keys = sealing.as_deref();
        // Until they are copied: the catalog may name what only a key before opens.
        let _all_keys_stay = keys.map(KeyFile::hold);
        let ((directory, sealed), (partitions, listed)) = catalog.read(|tables| {
            let from = &tables.transaction;
            drop(copy_to(from, &copy.path, files.directory(), disk, keys)?);
            let directory = tables.identity()?.map(name_of_directory);
            let mut sealed = Vec::new();
            for entry in tables.partitions()?.into_values() {
                let segments = tables.segments_of(entry.partition)?;
                let is_sealed = segments.values().any(|segment| segment.seal.is_some());
                sealed.extend(is_sealed.then_some(entry.partition));
            }
            Ok(((directory, sealed), list(tables, files)?))
        })?;
        let (keys, lacking) = match keys {
            Some(keys) => {
                let (bytes, _) = keys.sealed_again();
                let copy = DraftCopy::of(&bytes, beside(path, "new.keys"))?;
                (Some(copy), keys.lacking(&sealed))
            }
            None => (None, None),
        };
        Ok(Copies {
            catalog: copy,
            keys,
            sealing: sealing.clone(),
            directory,
            partitions,
            listed,
            lacking,
        })
    }
}

/// The identity of a data directory as snapshots tell it.
pub(in crate::partition) fn name_of_directory(identity: NonZeroU64) -> String {
    format!("{identity:016x}")
}

/// What the catalog names, for the manifest.
fn list(
    tables: &Tables<'_>,
    files: &Files,
) -> Result<(Vec<PartitionContents>, Vec<BackupFile>), StoreError> {
    let (mut partitions, mut listed) = (Vec::new(), Vec::new());
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
        for (segment, described) in &contents.segments {
            let name = format!("segments/{}/{segment}.vseg", entry.partition);
            let file = file_of(name, files.path(entry.partition, *segment))?;
            listed.push(BackupFile {
                header_checksum: Some(described.header_checksum),
                ..file
            });
        }
    }
    Ok((partitions, listed))
}

/// Writes an archive of some files.
pub(in crate::partition) fn write_archive(
    draft: ArchiveDraft,
    now: Timestamp,
    (directory, partitions): (Option<String>, Vec<PartitionContents>),
    files: &[BackupFile],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, StoreError> {
    let archived = files.iter().map(|file| ArchivedFile {
        name: file.name.clone(),
        bytes: file.bytes,
    });
    let manifest = Manifest::new(
        now.unix_milliseconds,
        directory,
        partitions,
        archived.collect(),
    );
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
    let file = open_segment_file(&path, private::open_file);
    let metadata = file.and_then(|file| file.metadata());
    let bytes = metadata.map_err(|error| StoreError::io("read", &path, error))?;
    let bytes = bytes.len();
    Ok(BackupFile {
        name,
        path,
        bytes,
        header_checksum: None,
    })
}

/// A copy of a file, for its owner alone, that is deleted when this is dropped.
struct DraftCopy {
    path: PathBuf,
}

impl DraftCopy {
    /// Makes the file, empty. What a crash left of another is replaced.
    fn create(path: PathBuf) -> Result<DraftCopy, StoreError> {
        let failed = |error| StoreError::io("create", &path, error);
        private::create_draft(&path).map_err(failed)?;
        Ok(DraftCopy { path })
    }

    /// Makes the file of these bytes.
    fn of(bytes: &[u8], path: PathBuf) -> Result<DraftCopy, StoreError> {
        let copy = DraftCopy::create(path)?;
        let written = File::options().write(true).open(&copy.path);
        let written = written.and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| StoreError::io("write", &copy.path, error))?;
        Ok(copy)
    }
}

impl Drop for DraftCopy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Compares a segment with its checksums while it is read.
struct CheckedReader {
    file: ReadAhead,
    check: Option<SegmentCheck>,
    /// That of the header that the catalog names.
    header_checksum: Option<u64>,
}

impl CheckedReader {
    fn open(file: &BackupFile) -> Result<CheckedReader, StoreError> {
        let is_segment = file.name.ends_with(".vseg");
        let opened = open_segment_file(&file.path, private::open_file);
        Ok(CheckedReader {
            file: ReadAhead::new(
                opened.map_err(|error| StoreError::io("open", &file.path, error))?,
            ),
            check: is_segment.then(|| SegmentCheck::new(&file.path, file.bytes)),
            header_checksum: file.header_checksum,
        })
    }

    fn finish(self, path: &Path) -> Result<(), StoreError> {
        let Some(report) = self.check.map(SegmentCheck::finish) else {
            return Ok(());
        };
        if let Some(damage) = report.damage.into_iter().next() {
            return Err(damage.into_error(path));
        }
        let found = report.header.map(|header| header.header_checksum);
        let named = self.header_checksum.map(|named| format!("{named:016x}"));
        match (named, found) {
            (Some(expected), Some(found)) if expected != found => Err(StoreError::Damaged {
                path: path.to_owned(),
                offset: 0,
                what: "header that the catalog names",
                expected,
                found,
            }),
            _ => Ok(()),
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

    use super::*;
    use crate::partition::{NewTemplate, Pace, Partition, Store, restore_archive};
    use crate::types::{ClassId, Embedding, EncoderId, PartitionId};

    const NOW: Timestamp = Timestamp {
        unix_milliseconds: 1_000,
    };

    fn encoder() -> EncoderId {
        EncoderId::new("test", "1", 16).unwrap()
    }

    fn id() -> PartitionId {
        "bws.1".parse().unwrap()
    }

    fn enroll(partition: &Partition, class: i64) {
        let mut values = vec![1.0; 16];
        values[0] = class as f32;
        let template = NewTemplate {
            embedding: Embedding::new(values).unwrap(),
            quality: 0.5,
            portrait: None,
        };
        let enrolled = partition.enroll(ClassId(class), &encoder(), &[template], 0, NOW);
        enrolled.unwrap();
    }

    /// Every template as (class, first value), in order.
    fn contents(store: &Store) -> Vec<(i64, f32)> {
        let mut all = Vec::new();
        let snapshot = store.partition(&id()).unwrap().unwrap().snapshot();
        for row in snapshot.live_rows() {
            all.push((row.class().unwrap().0, row.values().unwrap()[0]));
        }
        all.sort_by(|a, b| a.partial_cmp(b).unwrap());
        all
    }

    fn snapshot(store: &Store, path: &Path) -> Manifest {
        let mut last = (0, 0);
        let snapshot = store.snapshot_to(path, true, NOW, &mut |done, total| last = (done, total));
        let manifest = snapshot.unwrap();
        assert_eq!(last, (manifest.bytes(), manifest.bytes()));
        manifest
    }

    fn restore(path: &Path, target: &Path) -> Store {
        restore_archive(path, target, &mut |_, _| {}).unwrap();
        Store::open(target).unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = entries.map(|it| name(it).into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn everything_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data")).unwrap();
        let partition = store.partition_for(&id(), &encoder(), NOW).unwrap();
        (0..10).for_each(|class| enroll(&partition, class));
        partition.seal().unwrap();
        (10..15).for_each(|class| enroll(&partition, class));
        partition.remove(ClassId(3)).unwrap();
        store.state_put("apps", "one", b"hush").unwrap();
        fs::write(directory.path().join("data/server.key"), b"a secret").unwrap();
        let path = directory.path().join("a.tar.zst");
        let manifest = snapshot(&store, &path);
        assert_eq!((manifest.partitions.len(), manifest.templates()), (1, 14));
        let target = directory.path().join("other");
        let restored = restore(&path, &target);
        assert_eq!(contents(&restored), contents(&store));
        assert_eq!(contents(&restored).len(), 14);
        assert_eq!(restored.state_get("apps", "one").unwrap().unwrap(), b"hush");
        assert_eq!(fs::read(target.join("server.key")).unwrap(), b"a secret");
        assert_eq!(names(directory.path()), ["a.tar.zst", "data", "other"]);
        // Both go on by themselves, with numbers of their own.
        enroll(&restored.partition(&id()).unwrap().unwrap(), 99);
        assert_eq!(contents(&store).len(), 14);
    }

    #[test]
    fn an_empty_data_directory_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data")).unwrap();
        let path = directory.path().join("a.tar.zst");
        snapshot(&store, &path);
        let restored = restore(&path, &directory.path().join("other"));
        assert_eq!(restored.partitions().unwrap(), []);
    }

    #[test]
    fn a_snapshot_is_of_one_moment_while_others_enrol_remove_and_compact() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let store = Store::open(&data).unwrap();
        let partition = store.partition_for(&id(), &encoder(), NOW).unwrap();
        enroll(&partition, 0);
        let (enrolled, stop) = (AtomicI64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Class n is enrolled, then class n - 5 removed: at every moment a run of classes.
                for class in 1.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    enroll(&partition, class);
                    partition.remove(ClassId(class - 5)).unwrap();
                    enrolled.store(class, Ordering::SeqCst);
                    if class % 7 == 0 {
                        partition.seal().unwrap();
                    }
                    if class % 20 == 0 {
                        partition.compact(&Pace::unlimited()).unwrap();
                    }
                }
            });
            for round in 0..6 {
                let begun = enrolled.load(Ordering::SeqCst);
                let path = directory.path().join("a.tar.zst");
                // As another process would, too.
                let looking_on = Store::open_read_only(&data).unwrap();
                snapshot(if round % 2 == 0 { &store } else { &looking_on }, &path);
                let target = directory.path().join(format!("restored-{round}"));
                let found = contents(&restore(&path, &target));
                let last = found.last().unwrap().0;
                assert!(
                    last >= begun,
                    "class {begun} was there before, {last} is the last"
                );
                let classes: Vec<i64> = found.iter().map(|it| it.0).collect();
                let expected: Vec<i64> = (classes[0]..=last).collect();
                assert_eq!(classes, expected);
                assert!((5..=6).contains(&classes.len()) || last < 5, "{classes:?}");
            }
            stop.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn an_archive_that_lacks_what_its_catalog_names_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let store = Store::open(&data).unwrap();
        let partition = store.partition_for(&id(), &encoder(), NOW).unwrap();
        enroll(&partition, 1);
        partition.seal().unwrap();
        drop((partition, store));
        let path = directory.path().join("a.tar.zst");
        let catalog = file_of("catalog.redb".to_owned(), data.join("catalog.redb")).unwrap();
        let draft = ArchiveDraft::create(&path, false).unwrap();
        write_archive(draft, NOW, (None, Vec::new()), &[catalog], &mut |_, _| {}).unwrap();
        let target = directory.path().join("other");
        let error = restore_archive(&path, &target, &mut |_, _| {}).unwrap_err();
        assert!(
            error.to_string().contains("vseg") || error.to_string().contains("incomplete"),
            "{error}"
        );
        assert_eq!(names(directory.path()), ["a.tar.zst", "data"]);
    }
}
