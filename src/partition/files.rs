//! The segment files of a data directory: where they are, and when one may go.
//!
//! A segment that another replaces is still read by snapshots taken before. In this process they
//! are counted; other processes that look on hold a shared lock on `readers.lock` for as long as
//! they do. When nobody reads it any more, the removed rows of a segment are overwritten, and the
//! file is deleted.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use std::{fmt, io, thread};

use redb::Database;

use super::StoreError;
use super::catalog::{CATALOG_FILE, SegmentEntry};
use super::disk::{Disk, DiskFile, sync_directory_of};
use super::segment::{DeadRows, Segment, SegmentName, SegmentWriter};

/// The files of all partitions.
#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    /// The data directory.
    directory: PathBuf,
    /// Shared while this process only looks on; otherwise taken for a moment before files go.
    /// `None` where the directory cannot be written and so never changes.
    readers: Option<File>,
    /// Held shared by whoever in this process wants all files to stay.
    keeping: RwLock<()>,
    obsolete: Mutex<Vec<Obsolete>>,
    old_catalogs: Mutex<Vec<OldCatalog>>,
    /// Partitions whose directory was looked through. Only before this process has changed one can
    /// it be told what a crash left from what is on its way.
    tidied: Mutex<HashSet<u64>>,
}

/// A catalog file that has no name any more.
struct OldCatalog {
    /// Until nobody in this process reads it.
    database: Option<Arc<Database>>,
    file: Box<dyn DiskFile>,
}

impl fmt::Debug for OldCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OldCatalog")
    }
}

/// A segment that no later snapshot has.
#[derive(Debug)]
struct Obsolete {
    path: PathBuf,
    segment: Arc<Segment>,
    /// The rows whose people were removed.
    dead: DeadRows,
}

impl Files {
    /// The files of a data directory that this process changes.
    pub(super) fn new(directory: &Path, disk: Arc<dyn Disk>) -> Result<Files, StoreError> {
        let path = directory.join("readers.lock");
        let readers = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path);
        let readers = readers.map_err(|error| StoreError::io("create", &path, error))?;
        Ok(Files::with(directory, disk, Some(readers)))
    }

    /// The files of a data directory that this process only reads. Until this is dropped, another
    /// process that changes the directory deletes none of them.
    pub(super) fn read_only(directory: &Path, disk: Arc<dyn Disk>) -> Result<Files, StoreError> {
        let path = directory.join("readers.lock");
        let readers = match File::open(&path) {
            Ok(file) => {
                let locked = file.lock_shared();
                locked.map_err(|error| StoreError::io("lock", &path, error))?;
                Some(file)
            }
            // Nobody has changed this directory since the file was left out of a copy of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io("open", &path, error)),
        };
        Ok(Files::with(directory, disk, readers))
    }

    fn with(directory: &Path, disk: Arc<dyn Disk>, readers: Option<File>) -> Files {
        Files {
            disk,
            directory: directory.to_owned(),
            readers,
            keeping: RwLock::new(()),
            obsolete: Mutex::default(),
            old_catalogs: Mutex::default(),
            tidied: Mutex::default(),
        }
    }

    /// The disk that they are on.
    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The data directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a segment is.
    pub(super) fn path(&self, partition: u64, segment: u64) -> PathBuf {
        self.partition(partition).join(format!("{segment}.vseg"))
    }

    /// Opens a segment that the catalog names.
    pub(super) fn open(
        &self,
        partition: u64,
        segment: u64,
        entry: &SegmentEntry,
    ) -> Result<Segment, StoreError> {
        let path = self.path(partition, segment);
        let opened = Segment::open(
            &*self.disk,
            &path,
            segment,
            partition,
            entry.header_checksum,
        )?;
        if opened.rows() as u64 != entry.rows {
            return Err(StoreError::Damaged {
                path,
                offset: 16,
                what: "rows",
                expected: entry.rows.to_string(),
                found: opened.rows().to_string(),
            });
        }
        Ok(opened)
    }

    /// Begins a segment.
    pub(super) fn create(
        &self,
        name: SegmentName,
        rows: usize,
    ) -> Result<SegmentWriter, StoreError> {
        let directory = self.partition(name.partition);
        let created = self.disk.create_directory(&directory);
        created.map_err(|error| StoreError::io("create", &directory, error))?;
        // Also if it was there: whoever made it may not have come to the sync.
        sync_directory_of(&*self.disk, &directory)?;
        sync_directory_of(&*self.disk, &self.directory.join("segments"))?;
        let path = self.path(name.partition, name.segment);
        SegmentWriter::create(self.disk.clone(), &path, name, rows)
    }

    /// Deletes what a crash left between writing a segment and naming it, or between naming another
    /// in its place and deleting it. Does so once for each partition.
    pub(super) fn remove_unnamed(
        &self,
        partition: u64,
        named: &BTreeMap<u64, SegmentEntry>,
    ) -> Result<(), StoreError> {
        let mut tidied = self.tidied.lock().unwrap_or_else(PoisonError::into_inner);
        if !tidied.insert(partition) {
            return Ok(());
        }
        let directory = self.partition(partition);
        let listed = self.disk.list(&directory);
        let listed = listed.map_err(|error| StoreError::io("read", &directory, error))?;
        // Only our own files: what somebody else put here is not ours to delete.
        let unnamed = listed.into_iter().filter(|path| {
            let number = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok());
            path.extension()
                .is_some_and(|extension| extension == "vseg")
                && number.is_some_and(|number: u64| !named.contains_key(&number))
        });
        let unnamed: Vec<PathBuf> = unnamed.collect();
        if unnamed.is_empty() {
            return Ok(());
        }
        self.unless_read(|| {
            for path in &unnamed {
                tracing::info!(path = %path.display(), "removing a segment that is not in use");
                let removed = self.disk.remove(path);
                removed.map_err(|error| StoreError::io("remove", path, error))?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Lets a segment go as soon as nobody reads it.
    pub(super) fn discard(&self, path: PathBuf, segment: Arc<Segment>, dead: DeadRows) {
        let obsolete = Obsolete {
            path,
            segment,
            dead,
        };
        self.obsolete().push(obsolete);
    }

    /// Overwrites a catalog file that has lost its name, as soon as nobody reads it.
    pub(super) fn discard_catalog(&self, database: Arc<Database>, file: Box<dyn DiskFile>) {
        let database = Some(database);
        self.old_catalogs().push(OldCatalog { database, file });
    }

    /// Overwrites and deletes the discarded files that nobody reads any more. Returns how many
    /// are still left.
    ///
    /// # Errors
    ///
    /// The first failure, after everything else was tried.
    pub(super) fn collect(&self) -> Result<usize, StoreError> {
        let segments = self.collect_segments();
        let catalogs = self.collect_catalogs();
        Ok(segments? + catalogs?)
    }

    /// As [`Files::collect`], but waits a moment for readers in this process.
    pub(super) fn collect_patiently(&self) -> Result<usize, StoreError> {
        for _ in 0..10 {
            if self.collect()? == 0 {
                return Ok(0);
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.collect()
    }

    fn collect_segments(&self) -> Result<usize, StoreError> {
        let mut obsolete = self.obsolete();
        // The one reference counted is our own; nobody can take another from a segment that no
        // snapshot has.
        let unread = |obsolete: &Obsolete| Arc::strong_count(&obsolete.segment) == 1;
        let mut failure = None;
        if obsolete.iter().any(unread) {
            self.unless_read(|| {
                obsolete.retain(|obsolete| {
                    if !unread(obsolete) {
                        return true;
                    }
                    let destroyed = self.destroy(obsolete);
                    let failed = destroyed.is_err();
                    if let Err(error) = destroyed {
                        failure.get_or_insert(error);
                    }
                    failed
                });
                Ok(())
            })?;
        }
        failure.map_or(Ok(obsolete.len()), Err)
    }

    fn collect_catalogs(&self) -> Result<usize, StoreError> {
        let mut old = self.old_catalogs();
        for catalog in old.iter_mut() {
            // Dropping the last reference closes the database, which writes to the file.
            if catalog
                .database
                .as_ref()
                .is_some_and(|it| Arc::strong_count(it) == 1)
            {
                catalog.database = None;
            }
        }
        let mut failure = None;
        if old.iter().any(|catalog| catalog.database.is_none()) {
            self.unless_read(|| {
                old.retain(|catalog| {
                    if catalog.database.is_some() {
                        return true;
                    }
                    let overwritten = overwrite(&*catalog.file);
                    let failed = overwritten.is_err();
                    if let Err(error) = overwritten {
                        let path = self.directory.join(CATALOG_FILE);
                        failure.get_or_insert(StoreError::io("overwrite", &path, error));
                    }
                    failed
                });
                Ok(())
            })?;
        }
        failure.map_or(Ok(old.len()), Err)
    }

    /// Keeps all files where they are until the guard is dropped.
    pub(super) fn keep(&self) -> RwLockReadGuard<'_, ()> {
        self.keeping.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work`, unless somebody reads files that no catalog may name any more. Returns whether
    /// it ran.
    pub(super) fn unless_read(
        &self,
        work: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let Ok(_alone) = self.keeping.try_write() else {
            return Ok(false);
        };
        let Some(readers) = &self.readers else {
            return Ok(false);
        };
        match readers.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => {
                let path = self.directory.join("readers.lock");
                return Err(StoreError::io("lock", &path, error));
            }
        }
        let done = work();
        let unlocked = readers.unlock();
        unlocked.map_err(|error| {
            StoreError::io("unlock", &self.directory.join("readers.lock"), error)
        })?;
        done.map(|()| true)
    }

    fn destroy(&self, obsolete: &Obsolete) -> Result<(), StoreError> {
        let path = &obsolete.path;
        if obsolete.dead.count() > 0 {
            let file = match self.disk.modify(path) {
                // Somebody else deleted it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                file => file,
            };
            let overwritten = file.and_then(|file| {
                obsolete.segment.overwrite(&obsolete.dead, &*file)?;
                file.sync()
            });
            overwritten.map_err(|error| StoreError::io("overwrite", path, error))?;
        }
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", path, error));
            }
            _ => {}
        }
        sync_directory_of(&*self.disk, path)
    }

    fn old_catalogs(&self) -> MutexGuard<'_, Vec<OldCatalog>> {
        self.old_catalogs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn partition(&self, partition: u64) -> PathBuf {
        self.directory.join("segments").join(partition.to_string())
    }

    fn obsolete(&self) -> MutexGuard<'_, Vec<Obsolete>> {
        // The list is changed by one push or one removal at a time.
        self.obsolete.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes zeros over a whole file.
fn overwrite(file: &dyn DiskFile) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let length = file.length()?;
    for start in (0..length).step_by(zeros.len()) {
        let count = zeros.len().min((length - start) as usize);
        file.write_at(&zeros[..count], start)?;
    }
    file.sync()
}

impl Drop for Files {
    fn drop(&mut self) {
        // What cannot be deleted now is deleted when its partition is next opened.
        if let Err(error) = self.collect() {
            tracing::warn!(%error, "cannot delete a segment that is not in use");
        }
    }
}
