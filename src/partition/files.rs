//! The segment files of a data directory: where they are, and when one may go.
//!
//! A segment that another replaces is still read by snapshots taken before. In this process they
//! are counted; other processes that look on hold a shared lock on `readers.lock` for as long as
//! they do. When nobody reads it any more, the removed rows of a segment are overwritten, and the
//! file is deleted.
//!
//! Only two kinds of files are ever deleted: drafts of this data directory that the catalog does not name,
//! and segments that the catalog itself has retired. A segment has the name of a draft until the
//! catalog names it, so that a crash leaves a draft, and a whole segment that the catalog does not
//! know can only mean that it is not the catalog of these files.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{File, TryLockError};
use std::io::Read;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use std::{fmt, io, thread};

use redb::Database;

use super::catalog::{CATALOG_FILE, Contents, SegmentEntry};
use super::disk::{Disk, DiskFile, lock_file, overwrite, overwrite_but, sync_directory_of};
use super::keys::{Holding, KeyFile, SharedKeys};
use super::segment::{
    CHECKSUM_SECTOR, DeadRows, Header, Named, PAGE_BYTES, Segment, SegmentName, SegmentWriter,
    draft_of, read_header,
};
use super::{StoreError, private};
use crate::secrets::KeyError;

/// The files of all partitions.
#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    /// The data directory.
    directory: PathBuf,
    /// Which data directory it is; `None` where it is older than that and only read.
    identity: Option<NonZeroU64>,
    /// Of an encrypted data directory.
    keys: SharedKeys,
    /// Shared while this process only looks on; otherwise taken for a moment before files go.
    /// `None` where the directory cannot be written and so never changes.
    readers: Option<File>,
    /// Held shared by whoever in this process wants all files to stay.
    keeping: RwLock<()>,
    obsolete: Mutex<Vec<Obsolete>>,
    old_catalogs: Mutex<Vec<OldCatalog>>,
    /// What a crash or a removed partition left, and somebody still reads.
    leftovers: Mutex<Vec<Leftover>>,
    /// Partitions that were removed and whose folder is there still. Locked also while a segment is begun,
    /// which needs its folder.
    removed: Mutex<BTreeSet<u64>>,
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
    wiped: Wiped,
}

/// What is overwritten of a segment before it is deleted.
#[derive(Debug)]
enum Wiped {
    /// The rows whose people were removed.
    Rows(DeadRows),
    /// All of it.
    Whole,
    /// Nothing: it was sealed with a key that is destroyed.
    Nothing,
}

impl Wiped {
    /// What is overwritten of a segment of a partition that was removed.
    fn of_removed(is_encrypted: bool) -> Wiped {
        match is_encrypted {
            true => Wiped::Nothing,
            false => Wiped::Whole,
        }
    }
}

/// A file that nothing names.
#[derive(Debug)]
struct Leftover {
    path: PathBuf,
    /// Whether somebody could read what is in it.
    is_readable: bool,
}

/// Numbers from here on are nobody's: the counter never comes so far.
const NUMBER_MAX: u64 = 1 << 62;

/// What the name of a file says.
#[derive(Clone, Copy)]
pub(super) enum SegmentFile {
    /// A segment that the catalog names, or named.
    Named(u64),
    /// A segment that the catalog does not name yet.
    Draft(u64),
}

impl SegmentFile {
    /// `None` for what is not ours.
    pub(super) fn of(path: &Path) -> Option<SegmentFile> {
        let name = path.file_name()?.to_str()?;
        let (number, is_draft) = match name.strip_suffix(".new") {
            Some(name) => (name.strip_suffix(".vseg")?, true),
            None => (name.strip_suffix(".vseg")?, false),
        };
        let number = number.parse().ok()?;
        Some(match is_draft {
            true => SegmentFile::Draft(number),
            false => SegmentFile::Named(number),
        })
    }
}

impl Files {
    /// The files of a data directory that this process changes.
    pub(super) fn new(
        directory: &Path,
        disk: Arc<dyn Disk>,
        identity: Option<NonZeroU64>,
    ) -> Result<Files, StoreError> {
        let path = directory.join("readers.lock");
        let readers = lock_file(&path);
        let readers = readers.map_err(|error| StoreError::io("create", &path, error))?;
        Ok(Files::with(directory, disk, Some(readers)).of(identity))
    }

    /// The same files, of the data directory that the catalog says it is.
    pub(super) fn of(mut self, identity: Option<NonZeroU64>) -> Files {
        self.identity = identity;
        self
    }

    /// The same files, encrypted with these keys, from when on there are any.
    pub(super) fn sealed_with(mut self, keys: SharedKeys) -> Files {
        self.keys = keys;
        self
    }

    /// The files of a data directory that this process only reads. Until this is dropped, another
    /// process that changes the directory deletes none of them.
    pub(super) fn read_only(directory: &Path, disk: Arc<dyn Disk>) -> Result<Files, StoreError> {
        let path = directory.join("readers.lock");
        let readers = match private::open_file(&path) {
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
            identity: None,
            keys: SharedKeys::default(),
            readers,
            keeping: RwLock::new(()),
            obsolete: Mutex::default(),
            old_catalogs: Mutex::default(),
            leftovers: Mutex::default(),
            removed: Mutex::default(),
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

    /// Which data directory it is, where that is known.
    pub(super) fn identity(&self) -> Option<NonZeroU64> {
        self.identity
    }

    /// Where a segment is, once it has its name.
    pub(super) fn path(&self, partition: u64, segment: u64) -> PathBuf {
        self.partition(partition).join(format!("{segment}.vseg"))
    }

    /// The keys of an encrypted data directory.
    pub(super) fn keys(&self) -> Option<&KeyFile> {
        self.keys.get().map(|keys| &**keys)
    }

    /// The same, for whoever keeps them longer.
    pub(super) fn shared_keys(&self) -> Option<Arc<KeyFile>> {
        self.keys.get().cloned()
    }

    /// While this is held nothing that is written now is refused for its key.
    pub(super) fn hold_keys(&self) -> Holding<'_> {
        self.keys.hold()
    }

    /// Opens a segment that the catalog names.
    pub(super) fn open(
        &self,
        partition: u64,
        segment: u64,
        entry: &SegmentEntry,
    ) -> Result<Segment, StoreError> {
        let path = self.path(partition, segment);
        let key = match (self.keys(), entry.seal) {
            (Some(keys), Some(_)) => Some(keys.gallery(partition, &*self.disk)?),
            _ => None,
        };
        let named = Named {
            segment,
            partition,
            header_checksum: entry.header_checksum,
            seal: entry.seal,
            key: key.as_ref(),
        };
        let opened = match (Segment::open(&*self.disk, &path, named), self.keys()) {
            // It may not be written anew yet with the key that the gallery has now.
            (Err(StoreError::Keys { path: of, cause }), Some(keys)) => {
                match keys.gallery_before(partition) {
                    Some(before) => {
                        let key = Some(&before);
                        Segment::open(&*self.disk, &path, Named { key, ..named })
                    }
                    None => Err(StoreError::Keys { path: of, cause }),
                }
            }
            (opened, _) => opened,
        };
        let opened = opened.or_else(|error| {
            // Whose it is says more than what is wrong with it.
            let header = self.header_of(&path);
            let identity = header.and_then(|header| header.identity);
            self.refuse_foreign(&path, identity).and(Err(error))
        })?;
        self.refuse_foreign(&path, opened.identity())?;
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

    /// One of some segments that is not sealed with the key that its partition has now.
    pub(super) fn sealed_before<'s>(
        &self,
        partition: u64,
        mut segments: impl Iterator<Item = (u64, &'s Segment)>,
    ) -> Result<Option<u64>, StoreError> {
        let Some(keys) = self.keys() else {
            return Ok(None);
        };
        let key = keys.gallery(partition, &*self.disk)?;
        let found = segments.find(|(_, segment)| !segment.is_sealed_with(&key));
        Ok(found.map(|(number, _)| number))
    }

    /// Fails if a segment that is to be named is sealed with another key than its partition has now, or with
    /// none since it was begun when nothing was encrypted: the key that it had may be about to be destroyed.
    pub(super) fn refuse_replaced_key(
        &self,
        partition: u64,
        segment: &Segment,
    ) -> Result<(), StoreError> {
        let Some(keys) = self.keys() else {
            return Ok(());
        };
        // A partition may have no key yet of which nothing is encrypted.
        let is_sealed = segment.is_encrypted()
            && segment.is_sealed_with(&keys.gallery(partition, &*self.disk)?);
        match is_sealed {
            true => Ok(()),
            false => Err(StoreError::keys(keys.path(), KeyError::Replaced)),
        }
    }

    /// Fails if a segment says that it belongs to another data directory.
    fn refuse_foreign(&self, path: &Path, found: Option<NonZeroU64>) -> Result<(), StoreError> {
        match (self.identity, found) {
            (Some(expected), Some(found)) if expected != found => Err(StoreError::Foreign {
                path: path.to_owned(),
                expected: expected.get(),
                found: found.get(),
            }),
            _ => Ok(()),
        }
    }

    /// Begins a segment, under the name of its draft.
    pub(super) fn create(
        &self,
        name: SegmentName,
        rows: usize,
    ) -> Result<SegmentWriter, StoreError> {
        let directory = self.partition(name.partition);
        let _folder_stays = self.removed();
        let created = self.disk.create_directory(&directory);
        created.map_err(|error| StoreError::io("create", &directory, error))?;
        // Also if it was there: whoever made it may not have come to the sync.
        sync_directory_of(&*self.disk, &directory)?;
        sync_directory_of(&*self.disk, &self.directory.join("segments"))?;
        let path = self.path(name.partition, name.segment);
        if path.symlink_metadata().is_ok() {
            return Err(StoreError::Exists { path });
        }
        let key = match self.keys() {
            Some(keys) => Some(keys.gallery_or_new(name.partition, &*self.disk)?),
            None => None,
        };
        let draft = draft_of(&path);
        SegmentWriter::create(self.disk.clone(), &draft, name, rows, key.as_ref())
    }

    /// Gives a segment its name, once the catalog names it. If that fails, it is found under the name
    /// of its draft, and the next open tries again.
    pub(super) fn give_name(&self, partition: u64, segment: u64) {
        let path = self.path(partition, segment);
        if path.symlink_metadata().is_ok() {
            return;
        }
        if let Err(error) = self.disk.rename(&draft_of(&path), &path) {
            tracing::warn!(%error, path = %path.display(), "cannot give a segment its name yet");
        }
    }

    /// Does what a crash kept from being done: gives segments that are named their names, and deletes
    /// drafts that are not, and segments that are retired. Does so once for each partition.
    ///
    /// Returns the retired segments that have no file any more.
    pub(super) fn tidy(&self, partition: u64, contents: &Contents) -> Result<Vec<u64>, StoreError> {
        let mut tidied = self.tidied.lock().unwrap_or_else(PoisonError::into_inner);
        if !tidied.insert(partition) {
            return Ok(Vec::new());
        }
        let directory = self.partition(partition);
        let listed = self.disk.list(&directory);
        let listed = listed.map_err(|error| StoreError::io("read", &directory, error))?;
        let (mut unnamed, mut gone) = (Vec::new(), contents.retired.clone());
        for path in listed {
            match SegmentFile::of(&path) {
                Some(SegmentFile::Draft(number)) if contents.segments.contains_key(&number) => {
                    self.give_name(partition, number);
                }
                Some(SegmentFile::Draft(_)) if self.is_own_draft(&path) => unnamed.push(path),
                Some(SegmentFile::Named(number)) => {
                    let retired = gone.remove(&number);
                    if retired.is_some_and(|retired| self.is_retired(&path, &retired)) {
                        unnamed.push(path);
                    }
                }
                _ => {}
            }
        }
        let readable = |path| Leftover {
            path,
            is_readable: true,
        };
        self.leftovers().extend(unnamed.into_iter().map(readable));
        self.collect_leftovers()?;
        Ok(gone.into_keys().collect())
    }

    /// Lets all files of a partition go that was removed, with the segments `retired`, as soon as nobody reads
    /// them; drafts only if nobody in this process can be writing one. Returns how many there are still.
    pub(super) fn discard_partition(
        &self,
        partition: u64,
        retired: &BTreeMap<u64, SegmentEntry>,
        are_unwritten: bool,
    ) -> Result<usize, StoreError> {
        let directory = self.partition(partition);
        let mut waiting = HashSet::new();
        let mut obsolete = self.obsolete();
        for obsolete in obsolete
            .iter_mut()
            .filter(|it| it.path.starts_with(&directory))
        {
            obsolete.wiped = Wiped::of_removed(obsolete.segment.is_encrypted());
            waiting.extend([obsolete.path.clone(), draft_of(&obsolete.path)]);
        }
        drop(obsolete);
        let listed = self.disk.list(&directory);
        let listed = listed.map_err(|error| StoreError::io("read", &directory, error))?;
        let is_of_it = |path: &PathBuf| match SegmentFile::of(path) {
            Some(SegmentFile::Draft(number)) => {
                retired.contains_key(&number) || (are_unwritten && self.is_own_draft(path))
            }
            Some(SegmentFile::Named(number)) => {
                let retired = retired.get(&number);
                retired.is_some_and(|retired| self.is_retired(path, retired))
            }
            // What a repair has put aside.
            None => path.to_string_lossy().ends_with(".vseg.damaged") && self.is_own_draft(path),
        };
        let of_it: Vec<PathBuf> = listed.into_iter().filter(is_of_it).collect();
        let mut leftovers = self.leftovers();
        waiting.extend(leftovers.iter().map(|leftover| leftover.path.clone()));
        for path in of_it.iter().filter(|path| !waiting.contains(*path)) {
            let header = self.header_of(path);
            leftovers.push(Leftover {
                path: path.clone(),
                // Without its key nobody reads a sealed one.
                is_readable: header.is_none_or(|header| header.seal.is_none()),
            });
        }
        drop(leftovers);
        self.removed().insert(partition);
        if of_it.is_empty() {
            self.remove_folders()?;
        }
        Ok(of_it.len())
    }

    /// Whether a draft was made here. One that says nothing of itself was not completed.
    fn is_own_draft(&self, path: &Path) -> bool {
        let header = self.header_of(path);
        header.is_none_or(|header| header.identity.is_none() || header.identity == self.identity)
    }

    /// Whether a file is the segment that the catalog has retired.
    fn is_retired(&self, path: &Path, retired: &SegmentEntry) -> bool {
        let header = self.header_of(path);
        let is_it = |header: Header| header.header_checksum == retired.header_checksum;
        header.map_or_else(|| self.was_being_overwritten(path, retired), is_it)
    }

    /// Whether a crash came while a file was overwritten that the catalog has retired: of its header some sectors
    /// are left, and the one with its checksum always. Earlier builds overwrote that, too.
    fn was_being_overwritten(&self, path: &Path, retired: &SegmentEntry) -> bool {
        let mut header = [1; PAGE_BYTES];
        let file = self.disk.open(path);
        let read = file.and_then(|mut file| file.read_exact(&mut header));
        let checksum = header.last_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let is_it = checksum == Some(retired.header_checksum);
        read.is_ok() && (is_it || header.iter().all(|byte| *byte == 0))
    }

    fn header_of(&self, path: &Path) -> Option<Header> {
        read_header(path, &self.disk.open(path).ok()?).ok()
    }

    /// Looks for segments that the catalog neither names nor has retired. Those that are whole are
    /// refused; the others are left alone.
    ///
    /// Returns the highest number of all segments that have a file.
    ///
    /// # Errors
    ///
    /// If there are such segments: the catalog is older than they are, or that of another data directory.
    pub(super) fn refuse_unknown(&self, known: &BTreeSet<(u64, u64)>) -> Result<u64, StoreError> {
        let list = |directory: &Path| {
            let listed = self.disk.list(directory);
            listed.map_err(|error| StoreError::io("read", directory, error))
        };
        let mut highest = 0;
        for directory in list(&self.directory.join("segments"))? {
            let name = directory.file_name().and_then(|name| name.to_str());
            let Some(partition) = name.and_then(|name| name.parse::<u64>().ok()) else {
                continue;
            };
            if !directory.is_dir() {
                continue;
            }
            for path in list(&directory)? {
                let Some(file) = SegmentFile::of(&path) else {
                    continue;
                };
                let (SegmentFile::Named(number) | SegmentFile::Draft(number)) = file;
                if number < NUMBER_MAX {
                    highest = highest.max(number);
                }
                if matches!(file, SegmentFile::Draft(_)) || known.contains(&(partition, number)) {
                    continue;
                }
                match self.header_of(&path) {
                    Some(header) => {
                        self.refuse_foreign(&path, header.identity)?;
                        let partition = header.name.unwrap_or_else(|| partition.to_string());
                        return Err(StoreError::UnknownSegment { path, partition });
                    }
                    None => {
                        tracing::warn!(path = %path.display(), "a file that is no segment is left alone");
                    }
                }
            }
        }
        Ok(highest)
    }

    /// Lets a segment go as soon as nobody reads it.
    pub(super) fn discard(&self, path: PathBuf, segment: Arc<Segment>, dead: DeadRows) {
        let wiped = Wiped::Rows(dead);
        self.obsolete().push(Obsolete {
            path,
            segment,
            wiped,
        });
    }

    /// Lets a segment of a partition that was removed go as soon as nobody reads it.
    pub(super) fn discard_whole(&self, path: PathBuf, segment: Arc<Segment>) {
        let wiped = Wiped::of_removed(segment.is_encrypted());
        self.obsolete().push(Obsolete {
            path,
            segment,
            wiped,
        });
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
        let leftovers = self.collect_leftovers();
        let left = segments? + catalogs? + leftovers?;
        self.remove_folders()?;
        Ok(left)
    }

    /// Removes the folders of removed partitions, durably, that nothing is in. One that has something else
    /// in it is looked at again by the next call.
    fn remove_folders(&self) -> Result<(), StoreError> {
        let mut removed = self.removed();
        let mut was_any = false;
        for partition in removed.clone() {
            let path = self.partition(partition);
            let gone = self.disk.remove_directory(&path);
            if gone.map_err(|error| StoreError::io("remove", &path, error))? {
                removed.remove(&partition);
                was_any = true;
            }
        }
        let segments = self.directory.join("segments");
        if !was_any || !segments.is_dir() {
            return Ok(());
        }
        let synced = self.disk.sync_directory(&segments);
        synced.map_err(|error| StoreError::io("sync", &segments, error))
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

    /// Overwrites and removes what a crash left. It is not known any more which of its rows were removed,
    /// or it is of a time when it was not encrypted.
    fn collect_leftovers(&self) -> Result<usize, StoreError> {
        let mut leftovers = self.leftovers();
        // One at a time: whoever wants to read waits no longer than for one file.
        while let Some(Leftover { path, is_readable }) = leftovers.last() {
            let is_gone = self.unless_read(|| {
                tracing::info!(path = %path.display(), "removing a segment that is not in use");
                if *is_readable {
                    let file = self.disk.modify(path);
                    let overwritten = file.and_then(|file| overwrite_but(&*file, CHECKSUM_SECTOR));
                    overwritten.map_err(|error| StoreError::io("overwrite", path, error))?;
                }
                let removed = self.disk.remove(path);
                removed.map_err(|error| StoreError::io("remove", path, error))
            })?;
            if !is_gone {
                break;
            }
            leftovers.pop();
        }
        Ok(leftovers.len())
    }

    fn removed(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // One is added or removed at a time.
        self.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leftovers(&self) -> MutexGuard<'_, Vec<Leftover>> {
        // One is added or removed at a time.
        self.leftovers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn collect_segments(&self) -> Result<usize, StoreError> {
        let mut obsolete = self.obsolete();
        // The one reference counted is our own; nobody can take another from a segment that no
        // snapshot has.
        let unread = |obsolete: &Obsolete| Arc::strong_count(&obsolete.segment) == 1;
        let mut failure = None;
        let mut at = 0;
        while at < obsolete.len() {
            if !unread(&obsolete[at]) {
                at += 1;
                continue;
            }
            // One at a time: whoever wants to read waits no longer than for one file.
            match self.unless_read(|| self.destroy(&obsolete[at])) {
                Ok(true) => drop(obsolete.swap_remove(at)),
                Ok(false) => break,
                Err(error) => {
                    failure.get_or_insert(error);
                    at += 1;
                }
            }
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
                    // It may have the name of a draft still, where others may make one: it stays, empty.
                    let overwritten = overwrite(&*catalog.file);
                    let overwritten = overwritten.and_then(|()| catalog.file.set_length(0));
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
        // It may not have got its name.
        let path = &match obsolete.path.symlink_metadata() {
            Ok(_) => obsolete.path.clone(),
            Err(_) => draft_of(&obsolete.path),
        };
        // What others could read goes as a whole where nothing is to be read any more.
        let was_plain = self.keys().is_some() && !obsolete.segment.is_encrypted();
        let rows = match &obsolete.wiped {
            Wiped::Rows(rows) if !was_plain => Some(rows),
            Wiped::Nothing => Some(&DeadRows::default()),
            _ => None,
        };
        if rows.is_none_or(|rows| rows.count() > 0) {
            let file = match self.disk.modify(path) {
                // Somebody else deleted it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                file => file,
            };
            let overwritten = file.and_then(|file| match rows {
                None => overwrite_but(&*file, CHECKSUM_SECTOR),
                Some(rows) => {
                    obsolete.segment.overwrite(rows, &*file)?;
                    file.sync()
                }
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

impl Drop for Files {
    fn drop(&mut self) {
        // What cannot be deleted now is deleted when its partition is next opened.
        if let Err(error) = self.collect() {
            tracing::warn!(%error, "cannot delete a segment that is not in use");
        }
    }
}
