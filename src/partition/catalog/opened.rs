//! The source of truth: one redb file for the whole data directory, open to be changed by one process,
//! or copied to be looked at beside it.

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageBackend};
use serde::Serialize;

use super::enciphered::{ENCIPHERED_MAGIC, Enciphered, is_enciphered};
use super::failures::{failure, guarded};
use super::fill::FilledAhead;
use super::lost::{CATALOG_FILE, refuse_if_lost};
use super::tables::{
    FIRST_CHANGE, META_CHANGES, META_IDENTITY, META_KEYS_WRITTEN, META_NEXT, META_VERSION,
    PARTITIONS, RETIRED, SEGMENTS, STATE, TAIL, TOMBSTONES, Tables, VERSION, check_version,
    put_number,
};
use super::witness::{Witness, WitnessWriter};
use crate::partition::StoreError;
use crate::partition::disk::{Backend, Disk, lock_file};
use crate::partition::keys::{KeyFile, Keys};
use crate::secrets::KeyError;

/// How often a copy of the catalog is made again if it is torn.
const COPY_ATTEMPTS: usize = 20;

/// How long a change waits for somebody who is copying the catalog.
const QUIET_MILLISECONDS_MAX: usize = 1_000;

/// What redb may keep of the file in memory. The tail is the bulk of it, and is read once.
const CACHE_BYTES: usize = 64 << 20;

/// The catalog of a data directory, open in this process.
#[derive(Debug)]
pub(in crate::partition) struct Catalog {
    path: PathBuf,
    backing: Backing,
    /// The file that is open, if it can be changed.
    file: Mutex<Option<FileId>>,
    /// Whoever copies the file holds a lock on it meanwhile.
    quiet: Option<File>,
    /// Which data directory it is of, and where it is said how new the catalog is. `None` until that
    /// is known, and where nothing is changed.
    witness: Option<(NonZeroU64, WitnessWriter)>,
    /// Of an encrypted data directory.
    keys: Option<Arc<KeyFile>>,
    /// Locked for as long as this process may change the catalog.
    _writer: Option<File>,
}

/// A catalog that was taken for the last one because somebody said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AcceptedCatalog {
    /// How many changes it counted.
    pub changes: u64,
    /// How many there were, where that was known. What is missing of them stays lost.
    pub changes_expected: Option<u64>,
    /// Whether the file beside it was of another data directory.
    pub was_of_another: bool,
}

impl AcceptedCatalog {
    /// Whether it would not have been opened.
    pub fn is_news(&self) -> bool {
        let missing = self.changes_expected.is_some_and(|it| it > self.changes);
        missing || self.was_of_another
    }
}

/// By what the system tells files apart, whatever their names.
type FileId = (u64, u64);

enum Backing {
    /// Replaced as a whole when the file is written anew.
    Writable(RwLock<Arc<Database>>),
    /// A copy in memory.
    ReadOnly(Database),
}

impl Catalog {
    /// Opens the catalog in `directory`, or makes one. Holds a lock that keeps other writers out.
    ///
    /// Verifies the checksum of every page.
    pub(in crate::partition) fn open(
        directory: &Path,
        disk: &dyn Disk,
        keys: &Keys,
    ) -> Result<Catalog, StoreError> {
        Catalog::open_last(directory, disk, Some(keys))
    }

    /// As [`Catalog::open`], of a catalog that is not encrypted, whatever keys there are beside it.
    pub(super) fn open_plain(directory: &Path, disk: &dyn Disk) -> Result<Catalog, StoreError> {
        Catalog::open_last(directory, disk, None)
    }

    /// Opens the catalog unless it is known to be an older one.
    fn open_last(
        directory: &Path,
        disk: &dyn Disk,
        keys: Option<&Keys>,
    ) -> Result<Catalog, StoreError> {
        let mut catalog = Catalog::open_any(directory, disk, keys)?;
        let (identity, changes) = catalog.read(|tables| tables.age())?;
        match Witness::read(directory)? {
            Some(witness) => witness.refuse_older(&catalog.path, identity, changes)?,
            None if changes > FIRST_CHANGE => {
                let witness = Witness::path_in(directory);
                tracing::info!(
                    "`{}` says nothing of the catalog: whether it is the last one is not known",
                    witness.display()
                );
            }
            None => {}
        }
        catalog.complete(disk, None, FIRST_CHANGE)?;
        catalog.begin_witness(directory, disk)?;
        Ok(catalog)
    }

    /// Takes the catalog in `directory` for the last one, whatever was known of it: it opens again,
    /// and no other one does that counts as many changes.
    ///
    /// # Errors
    ///
    /// As [`Catalog::open`], if it is missing, damaged, or in use.
    pub(in crate::partition) fn accept(
        directory: &Path,
        disk: &dyn Disk,
        keys: &Keys,
    ) -> Result<AcceptedCatalog, StoreError> {
        let mut catalog = Catalog::open_any(directory, disk, Some(keys))?;
        let (identity, found) = catalog.read(|tables| tables.age())?;
        let witness = Witness::read(directory)?;
        let of_this = |witness: &Witness| identity.is_none_or(|it| it == witness.identity);
        let expected = witness.filter(of_this).map(|witness| witness.changes);
        let accepted = AcceptedCatalog {
            changes: found,
            changes_expected: expected,
            was_of_another: witness.is_some() && expected.is_none(),
        };
        if !accepted.is_news() {
            return Ok(accepted);
        }
        // More than any that was lost: if one turns up, it is the older one.
        let changes = found.max(expected.unwrap_or(0)).saturating_add(1);
        let known = witness.map(|witness| witness.identity);
        catalog.complete(disk, known, changes)?;
        catalog.begin_witness(directory, disk)?;
        Ok(accepted)
    }

    /// Opens the catalog, or makes one, whether it is the last or an older one. Without `keys` it is
    /// one that is not encrypted.
    fn open_any(
        directory: &Path,
        disk: &dyn Disk,
        keys: Option<&Keys>,
    ) -> Result<Catalog, StoreError> {
        let path = path_in(directory);
        let writer = lock_for_writing(directory)?;
        KeyFile::wipe_leftover(directory, disk)?;
        let mut key_file = match keys {
            Some(keys) => KeyFile::open(directory, disk, keys)?,
            None => None,
        };
        let database = match disk.open(&path) {
            Ok(_) => open_database(&path, directory, disk, key_file.as_deref())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refuse_if_lost(directory, disk)?;
                let keys = keys.filter(|keys| keys.encrypt_new && key_file.is_none());
                if let Some(keys) = keys {
                    // First: a crash leaves keys of nothing, which the next open takes.
                    let identity = disk.new_identity();
                    key_file = Some(KeyFile::create(directory, disk, keys, identity)?);
                }
                create_database(&path, directory, disk, key_file.as_deref())?
            }
            Err(error) => return Err(StoreError::io("open", &path, error)),
        };
        // Whoever gave the file its name may not have come to the sync.
        let synced = disk.sync_directory(directory);
        synced.map_err(|error| StoreError::io("sync", directory, error))?;
        let quiet = quiet_lock(&path);
        let created = lock_file(&quiet).map_err(|error| StoreError::io("create", &quiet, error))?;
        let file = file_id(&path).map_err(|error| StoreError::io("read", &path, error))?;
        let catalog = Catalog {
            path,
            backing: Backing::Writable(RwLock::new(Arc::new(database))),
            file: Mutex::new(Some(file)),
            quiet: Some(created),
            witness: None,
            keys: key_file,
            _writer: Some(writer),
        };
        catalog.check_version()?;
        catalog.refuse_older_keys()?;
        if let Some(keys) = &catalog.keys {
            // Before it is said how often it was written.
            keys.mend(disk)?;
        }
        Ok(catalog)
    }

    /// Reads the catalog in `directory` as it is now, beside a process that may be changing it.
    /// Takes as much memory as the file is long.
    pub(in crate::partition) fn open_read_only(
        directory: &Path,
        disk: &dyn Disk,
        keys: &Keys,
    ) -> Result<Catalog, StoreError> {
        let path = path_in(directory);
        // First: whoever changes the catalog meanwhile makes it newer.
        let witness = Witness::read(directory)?;
        let mut key_file = KeyFile::open(directory, disk, keys)?;
        let copy = copy_in_memory(&path, key_file.as_deref())?;
        if key_file.is_some() {
            // Whoever changes the catalog writes the keys before: those that it counts are there now.
            key_file = KeyFile::open(directory, disk, keys)?;
        }
        let backing = Backing::ReadOnly(copy);
        let catalog = Catalog {
            path,
            backing,
            file: Mutex::default(),
            quiet: None,
            witness: None,
            keys: key_file,
            _writer: None,
        };
        catalog.check_version()?;
        catalog.refuse_older_keys()?;
        if let Some(witness) = witness {
            let (identity, changes) = catalog.read(|tables| tables.age())?;
            witness.refuse_older(&catalog.path, identity, changes)?;
        }
        Ok(catalog)
    }

    fn check_version(&self) -> Result<(), StoreError> {
        let found = self.read(|tables| tables.number(META_VERSION))?;
        check_version(&self.path, found)
    }

    /// Fails if the key file was written less often than the catalog has seen.
    fn refuse_older_keys(&self) -> Result<(), StoreError> {
        let Some(keys) = &self.keys else {
            return Ok(());
        };
        let (expected, identity) = self.read(|tables| {
            let written = tables.number(META_KEYS_WRITTEN)?.unwrap_or(0);
            Ok((written, tables.identity()?))
        })?;
        let found = keys.written();
        if found < expected {
            let older = KeyError::Older { expected, found };
            return Err(StoreError::keys(keys.path(), older));
        }
        let found = keys.identity();
        match identity.map(NonZeroU64::get) {
            Some(expected) if expected != found => {
                let foreign = KeyError::Foreign { expected, found };
                Err(StoreError::keys(keys.path(), foreign))
            }
            _ => Ok(()),
        }
    }

    /// Gives a catalog what it lacks, if it is older than that, and counts at least so many changes.
    /// Where it has no identity it gets the one that is known, or a new one.
    fn complete(
        &self,
        disk: &dyn Disk,
        known: Option<NonZeroU64>,
        changes: u64,
    ) -> Result<(), StoreError> {
        let (identity, counted) = self.read(|tables| tables.age())?;
        let has_retired = self.read(|tables| Ok(tables.later_table(RETIRED)?.is_some()))?;
        let keys_written = self.keys.as_ref().map_or(0, |keys| keys.written());
        let keys_seen = self
            .read(|tables| tables.number(META_KEYS_WRITTEN))?
            .unwrap_or(0);
        let is_complete = identity.is_some() && has_retired && keys_seen == keys_written;
        if is_complete && counted >= changes {
            return Ok(());
        }
        let database = self.database()?;
        let write = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            if identity.is_none() {
                let identity = known.map_or_else(|| disk.new_identity(), NonZeroU64::get);
                put_number(&transaction, META_IDENTITY, identity)?;
            }
            put_number(&transaction, META_CHANGES, counted.max(changes))?;
            if keys_seen != keys_written {
                put_number(&transaction, META_KEYS_WRITTEN, keys_written)?;
            }
            transaction.open_table(RETIRED)?;
            Ok(transaction.commit()?)
        };
        write().map_err(|error| failure("write", &self.path, error))
    }

    /// Says from now on how new the catalog is. All that it holds is durable: that was seen to when
    /// it was opened.
    fn begin_witness(&mut self, directory: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
        let (identity, changes) = self.read(|tables| tables.age())?;
        let writer = WitnessWriter::new(directory, disk)?;
        self.witness = identity.map(|identity| (identity, writer));
        self.bear_witness(changes)
    }

    /// Which data directory it is of, where it can be changed.
    pub(super) fn identity(&self) -> Option<u64> {
        let witness = self.witness.as_ref();
        witness.map(|(identity, _)| identity.get())
    }

    /// Says that so many changes are durable.
    pub(super) fn bear_witness(&self, changes: u64) -> Result<(), StoreError> {
        match &self.witness {
            Some((identity, writer)) => writer.write(Witness {
                identity: *identity,
                changes,
            }),
            None => Ok(()),
        }
    }

    /// Gives a process that is copying the file a moment in which it does not change. It is not
    /// waited for long: its copy shows by itself if it is torn.
    pub(super) fn make_way(&self) {
        for _ in 0..QUIET_MILLISECONDS_MAX {
            match self.quiet.as_ref().map(File::try_lock_shared) {
                Some(Ok(())) => {
                    let _ = self.quiet.as_ref().map(File::unlock);
                    return;
                }
                Some(Err(TryLockError::WouldBlock)) => thread::sleep(Duration::from_millis(1)),
                Some(Err(TryLockError::Error(_))) | None => return,
            }
        }
    }

    pub(in crate::partition) fn path(&self) -> &Path {
        &self.path
    }

    /// The keys of an encrypted data directory.
    pub(in crate::partition) fn keys(&self) -> Option<&Arc<KeyFile>> {
        self.keys.as_ref()
    }

    /// The database, for whoever changes it.
    pub(in crate::partition) fn database(&self) -> Result<Arc<Database>, StoreError> {
        match &self.backing {
            Backing::Writable(database) => {
                let database = database.read().unwrap_or_else(PoisonError::into_inner);
                Ok(database.clone())
            }
            Backing::ReadOnly(_) => Err(StoreError::ReadOnly {
                path: self.path.clone(),
            }),
        }
    }

    /// Puts another file's database in the place of this one, which is returned. The caller has
    /// seen to it that both say the same, that the new file has the name, and that nobody is changing
    /// either.
    pub(super) fn replace_database(&self, new: Database) -> Option<Arc<Database>> {
        let Backing::Writable(database) = &self.backing else {
            return None;
        };
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Where the name is gone already, the file that is told from all others is the old one.
        *file = file_id(&self.path).ok().or(*file);
        let mut database = database.write().unwrap_or_else(PoisonError::into_inner);
        Some(std::mem::replace(&mut *database, Arc::new(new)))
    }

    /// Fails if the file that is open no longer has its name: what is written into it would be gone
    /// with this process.
    pub(super) fn still_there(&self) -> Result<(), StoreError> {
        let opened = *self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match (opened, file_id(&self.path)) {
            (None, _) => Ok(()),
            (Some(opened), Ok(found)) if opened == found => Ok(()),
            _ => Err(StoreError::Replaced {
                path: self.path.clone(),
            }),
        }
    }

    pub(in crate::partition) fn is_read_only(&self) -> bool {
        matches!(self.backing, Backing::ReadOnly(_))
    }

    /// Looks at the catalog as it is at one moment.
    pub(in crate::partition) fn read<T>(
        &self,
        look: impl FnOnce(&Tables<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        guarded(&self.path, || {
            // Held until all is read: a database that is dropped breaks off reading.
            let database;
            let begun = match &self.backing {
                Backing::Writable(_) => {
                    database = self.database()?;
                    database.begin_read()
                }
                Backing::ReadOnly(database) => database.begin_read(),
            };
            let transaction = begun.map_err(|error| failure("read", &self.path, error))?;
            let path = &self.path;
            look(&Tables { path, transaction })
        })
    }
}

impl std::fmt::Debug for Backing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Backing::Writable(_) => "Writable",
            Backing::ReadOnly(_) => "ReadOnly",
        })
    }
}

/// Whether the catalog of a data directory is encrypted.
pub(super) fn is_encrypted(directory: &Path, disk: &dyn Disk) -> Result<bool, StoreError> {
    let path = path_in(directory);
    let mut magic = Vec::new();
    let opened = disk.open(&path);
    let file = opened.map_err(|error| StoreError::io("open", &path, error))?;
    let read = file
        .take(ENCIPHERED_MAGIC.len() as u64)
        .read_to_end(&mut magic);
    read.map_err(|error| StoreError::io("read", &path, error))?;
    Ok(magic == ENCIPHERED_MAGIC)
}

/// Opens a database for writing, or makes one, encrypted where there are keys.
pub(super) fn open_database(
    path: &Path,
    directory: &Path,
    disk: &dyn Disk,
    keys: Option<&KeyFile>,
) -> Result<Database, StoreError> {
    let backend = disk.database(path).and_then(FilledAhead::new);
    let backend = backend.map_err(|error| StoreError::io("open", path, error))?;
    let (backend, belief) = readable(Backend(Box::new(backend)), path, keys)?;
    let opened = guarded(path, || {
        let database = builder().create_with_backend(backend);
        database.map_err(|error| open_failure(path, directory, error))
    });
    belief.store(opened.is_ok(), Ordering::Relaxed);
    opened
}

/// What redb reads of a file: its pages, decrypted where there are keys. What comes with it is to be
/// set when redb has opened it.
fn readable(
    backend: Backend,
    path: &Path,
    keys: Option<&KeyFile>,
) -> Result<(Backend, Arc<AtomicBool>), StoreError> {
    if let Some(keys) = keys {
        let enciphered = Enciphered::open(backend, path, keys)?;
        let belief = enciphered.belief();
        return Ok((Backend(Box::new(enciphered)), belief));
    }
    let encrypted = is_enciphered(&backend);
    match encrypted.map_err(|error| StoreError::io("read", path, error))? {
        true => {
            let directory = path.parent().unwrap_or(path);
            let keys = KeyFile::path_in(directory);
            Err(StoreError::keys(&keys, KeyError::Missing))
        }
        false => Ok((backend, Arc::default())),
    }
}

/// Makes an empty catalog, which gets its name when it is whole: a crash leaves none, or another
/// file that is made again.
fn create_database(
    path: &Path,
    directory: &Path,
    disk: &dyn Disk,
    keys: Option<&KeyFile>,
) -> Result<Database, StoreError> {
    let draft = path.with_extension("redb.new");
    let database = match open_database(&draft, directory, disk, keys) {
        Err(StoreError::Catalog { .. }) => {
            let removed = disk.remove(&draft);
            removed.map_err(|error| StoreError::io("remove", &draft, error))?;
            open_database(&draft, directory, disk, keys)?
        }
        // Also if another process is making it.
        opened => opened?,
    };
    // With the lock held: another process may have been faster.
    if disk.open(path).is_ok() {
        drop(database);
        let removed = disk.remove(&draft);
        removed.map_err(|error| StoreError::io("remove", &draft, error))?;
        return open_database(path, directory, disk, keys);
    }
    let identity = keys.map_or_else(|| disk.new_identity(), KeyFile::identity);
    initialize(&database, identity).map_err(|error| failure("write", &draft, error))?;
    let renamed = disk.rename(&draft, path);
    renamed.map_err(|error| StoreError::io("rename", &draft, error))?;
    let synced = disk.sync_directory(directory);
    synced.map_err(|error| StoreError::io("sync", directory, error))?;
    Ok(database)
}

/// Makes all tables of a new catalog.
fn initialize(database: &Database, identity: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    put_number(&transaction, META_VERSION, u64::from(VERSION))?;
    put_number(&transaction, META_NEXT, 1)?;
    put_number(&transaction, META_IDENTITY, identity)?;
    put_number(&transaction, META_CHANGES, FIRST_CHANGE)?;
    transaction.open_table(PARTITIONS)?;
    transaction.open_table(TAIL)?;
    transaction.open_table(SEGMENTS)?;
    transaction.open_table(RETIRED)?;
    transaction.open_table(TOMBSTONES)?;
    transaction.open_table(STATE)?;
    Ok(transaction.commit()?)
}

/// A copy of a database file in memory, at one moment.
///
/// redb could share a file between a writer and readers in other processes, but then every commit
/// takes two syncs instead of one. While the copy is made no commit begins, and one that is under
/// way changes no page of the last; if a writer would not wait, the copy may be torn, does not pass
/// the check of all pages, and is made again.
///
/// An encrypted one stays encrypted in memory, and is decrypted page by page when it is read.
pub(in crate::partition) fn copy_in_memory(
    path: &Path,
    keys: Option<&KeyFile>,
) -> Result<Database, StoreError> {
    let lock = File::open(quiet_lock(path)).ok();
    let mut attempts = 0;
    loop {
        attempts += 1;
        // Where there is no such file or lock, nobody is likely to be writing.
        let locked = lock.as_ref().map(File::lock);
        let copy = copy_once(path, keys);
        if let (Some(lock), Some(Ok(()))) = (&lock, locked) {
            let _ = lock.unlock();
        }
        match copy {
            Err(StoreError::Catalog { .. }) if attempts < COPY_ATTEMPTS => {
                thread::sleep(Duration::from_millis(10));
            }
            copy => return copy,
        }
    }
}

/// All pages of an encrypted catalog in the clear, also those that nothing in it names any more.
#[cfg(test)]
pub(in crate::partition) fn deciphered(path: &Path, keys: &KeyFile) -> Vec<u8> {
    let copy = InMemoryBackend::new();
    fill(&copy, &mut File::open(path).unwrap()).unwrap();
    let copy = Enciphered::open(Backend(Box::new(copy)), path, keys).unwrap();
    let mut bytes = vec![0; usize::try_from(copy.len().unwrap()).unwrap()];
    copy.read(0, &mut bytes).unwrap();
    bytes
}

fn copy_once(path: &Path, keys: Option<&KeyFile>) -> Result<Database, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut file = File::open(path).map_err(|error| StoreError::io("open", path, error))?;
    let copy = InMemoryBackend::new();
    fill(&copy, &mut file).map_err(failed)?;
    let (copy, belief) = readable(Backend(Box::new(copy)), path, keys)?;
    let opened = guarded(path, || {
        let database = builder().create_with_backend(copy);
        database.map_err(|error| failure("open", path, error))
    });
    belief.store(opened.is_ok(), Ordering::Relaxed);
    opened
}

fn fill(copy: &InMemoryBackend, file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    copy.set_len(length)?;
    let mut chunk = vec![0; 1 << 20];
    let mut done = 0;
    while done < length {
        let count = chunk.len().min((length - done) as usize);
        file.read_exact(&mut chunk[..count])?;
        copy.write(done, &chunk[..count])?;
        done += count as u64;
    }
    Ok(())
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE_BYTES)
        // A page that was changed behind our back is damage when it is found here, and a wrong
        // answer or a panic when it is found later.
        .set_check_integrity_on_open(true);
    builder
}

/// Keeps other writers out. redb's own lock is on a file that loses its name when the catalog is
/// written anew, and somebody may have opened that file just before.
pub(super) fn lock_for_writing(directory: &Path) -> Result<File, StoreError> {
    let path = Witness::path_in(directory);
    let file = lock_file(&path).map_err(|error| StoreError::io("create", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            path: directory.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path, error)),
    }
}

fn quiet_lock(path: &Path) -> PathBuf {
    path.with_extension("lock")
}

fn file_id(path: &Path) -> io::Result<FileId> {
    let metadata = path.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

fn path_in(directory: &Path) -> PathBuf {
    directory.join(CATALOG_FILE)
}

fn open_failure(path: &Path, directory: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked {
            path: directory.to_owned(),
        },
        error => failure("open", path, error),
    }
}
