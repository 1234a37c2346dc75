//! The source of truth: one redb file for the whole data directory, open to be changed by one process,
//! or copied to be looked at beside it.

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use redb::{Database, ReadableDatabase};
use serde::Serialize;

use super::database::{copy_in_memory, open_database, quiet_lock};
use super::enciphered::ENCIPHERED_MAGIC;
use super::failures::{failure, guarded};
use super::lost::{CATALOG_FILE, refuse_if_lost};
use super::tables::{
    FIRST_CHANGE, META_CHANGES, META_IDENTITY, META_KEYS_DIGEST, META_KEYS_DIGESTED,
    META_KEYS_WRITTEN, META_NEXT, META_VERSION, PARTITIONS, RETIRED, SEGMENTS, STATE, TAIL,
    TOMBSTONES, Tables, VERSION, check_version, put_keys, put_number,
};
use super::undone::leaves_out_a_change;
use super::witness::{Witness, WitnessWriter};
use crate::partition::StoreError;
use crate::partition::disk::{Disk, lock_file};
use crate::partition::keys::{KeyFile, Keys, SharedKeys};
use crate::secrets::KeyError;

/// How often the catalog is copied again if its keys changed meanwhile.
const COPY_ATTEMPTS: usize = 5;

/// How long is waited each time for a catalog that is just being encrypted.
const ENCRYPTING_WAIT: Duration = Duration::from_millis(50);

/// How long a change waits for somebody who is copying the catalog.
const QUIET_MILLISECONDS_MAX: usize = 1_000;

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
    keys: SharedKeys,
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
    /// Whether its last change was damaged or never finished, and is left out.
    pub left_out: bool,
}

impl AcceptedCatalog {
    /// Whether it would not have been opened.
    pub fn is_news(&self) -> bool {
        let missing = self.changes_expected.is_some_and(|it| it > self.changes);
        missing || self.was_of_another || self.left_out
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
        let (mut catalog, left_out) = Catalog::open_any(directory, disk, keys, false)?;
        debug_assert!(!left_out, "it is refused");
        let (identity, changes) = catalog.read(|tables| tables.age())?;
        match Witness::read(directory)? {
            Some(witness) => witness.refuse_older(&catalog.path, identity, changes)?,
            None => {
                if changes > FIRST_CHANGE {
                    let witness = Witness::path_in(directory);
                    tracing::info!(
                        "`{}` says nothing of the catalog: whether it is the last one is not known",
                        witness.display()
                    );
                }
                // Before the first change: without it one that is torn could not be told from one that
                // was acknowledged.
                if identity.is_some() {
                    catalog.begin_witness(directory, disk)?;
                }
            }
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
        let (mut catalog, left_out) = Catalog::open_any(directory, disk, Some(keys), true)?;
        let (identity, found) = catalog.read(|tables| tables.age())?;
        let witness = Witness::read(directory)?;
        let of_this = |witness: &Witness| identity.is_none_or(|it| it == witness.identity);
        let expected = witness.filter(of_this).map(|witness| witness.changes);
        let accepted = AcceptedCatalog {
            changes: found,
            changes_expected: expected,
            was_of_another: witness.is_some() && expected.is_none(),
            left_out,
        };
        if !accepted.is_news() {
            return Ok(accepted);
        }
        // More than any that was lost: if one turns up, it is the older one.
        let lost = found.saturating_add(u64::from(left_out));
        let changes = lost.max(expected.unwrap_or(0)).saturating_add(1);
        let known = witness.map(|witness| witness.identity);
        catalog.complete(disk, known, changes)?;
        catalog.begin_witness(directory, disk)?;
        Ok(accepted)
    }

    /// Opens the catalog, or makes one, whether it is the last or an older one. Without `keys` it is
    /// one that is not encrypted. Returns whether its last change is left out, which `may_leave_out`
    /// allows where nothing says that it was not acknowledged.
    fn open_any(
        directory: &Path,
        disk: &dyn Disk,
        keys: Option<&Keys>,
        may_leave_out: bool,
    ) -> Result<(Catalog, bool), StoreError> {
        let path = path_in(directory);
        let writer = lock_for_writing(directory)?;
        KeyFile::wipe_leftover(directory, disk)?;
        let mut key_file = match keys {
            Some(keys) => KeyFile::open(directory, disk, keys)?,
            None => None,
        };
        let mut left_out = false;
        let database = match disk.open(&path) {
            Ok(_) => {
                let keys = key_file.as_deref();
                left_out = is_left_out(&path, directory, disk, keys, may_leave_out)?;
                open_database(&path, directory, disk, keys)?
            }
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
            keys: SharedKeys::of(key_file),
            _writer: Some(writer),
        };
        catalog.check_version()?;
        let keys_seen = catalog.refuse_older_keys()?;
        if let Some(keys) = catalog.keys() {
            // Before it is said how often it was written.
            keys.mend(disk, keys_seen)?;
        }
        Ok((catalog, left_out))
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
        let mut attempts = 0;
        let copy = loop {
            attempts += 1;
            let copy = is_left_out(&path, directory, disk, key_file.as_deref(), false)
                .and_then(|_| copy_in_memory(&path, key_file.as_deref()));
            // Whoever changes the catalog writes the keys before, and destroys those that it needs no more
            // after it: it agrees with keys that were the same before and after it was copied.
            let now = KeyFile::open(directory, disk, keys)?;
            let written = |file: &Option<Arc<KeyFile>>| file.as_ref().map(|file| file.written());
            let is_of_one_moment = written(&now) == written(&key_file);
            key_file = now;
            let is_plain = matches!(&copy, Err(StoreError::Keys { cause, .. }) if *cause == KeyError::NotEncrypted);
            if (is_of_one_moment && !is_plain) || attempts == COPY_ATTEMPTS {
                break copy?;
            }
            if is_plain {
                // Whoever encrypts it has written its keys, and is about to give the catalog its name.
                thread::sleep(ENCRYPTING_WAIT);
            }
        };
        let backing = Backing::ReadOnly(copy);
        let catalog = Catalog {
            path,
            backing,
            file: Mutex::default(),
            quiet: None,
            witness: None,
            keys: SharedKeys::of(key_file),
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

    /// Fails if the key file was written less often than the catalog has seen, unless it has the same keys
    /// as the last one: those of before a change of the master key alone are as good. Returns how often it
    /// was written by what the catalog has seen.
    fn refuse_older_keys(&self) -> Result<u64, StoreError> {
        let Some(keys) = self.keys() else {
            return Ok(0);
        };
        let (expected, last, identity) = self.read(|tables| {
            let written = tables.number(META_KEYS_WRITTEN)?.unwrap_or(0);
            // An earlier build may have written the file since, and has not told the keys.
            let is_of_last = tables.number(META_KEYS_DIGESTED)? == Some(written);
            let digest = tables.number(META_KEYS_DIGEST)?.filter(|_| is_of_last);
            Ok((written, digest, tables.identity()?))
        })?;
        let refused = |cause| Err(StoreError::keys(keys.path(), cause));
        let found = keys.identity();
        match identity.map(NonZeroU64::get) {
            Some(expected) if expected != found => {
                return refused(KeyError::Foreign { expected, found });
            }
            _ => {}
        }
        let (found, digest) = keys.written_and_digest();
        if found < expected && last != Some(digest) {
            return refused(KeyError::Older { expected, found });
        }
        if found < expected {
            tracing::warn!(
                path = %keys.path().display(),
                "the key file is an older one, sealed with the master key of then: it has the keys of the last \
                 one, and is taken for it"
            );
        }
        Ok(expected)
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
        let keys = self.keys().map(|keys| keys.written_and_digest());
        let seen = self.read(|tables| {
            let numbers = [META_KEYS_WRITTEN, META_KEYS_DIGEST, META_KEYS_DIGESTED];
            let [written, digest, digested] = numbers.map(|name| tables.number(name));
            Ok((written?, digest?, digested?))
        })?;
        let knows_keys = keys
            .is_none_or(|(written, digest)| seen == (Some(written), Some(digest), Some(written)));
        let is_complete = identity.is_some() && has_retired && knows_keys;
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
            if let Some(keys) = keys.filter(|_| !knows_keys) {
                put_keys(&transaction, keys)?;
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
        let said_nothing = Witness::read(directory)?.is_none();
        let writer = WitnessWriter::new(directory, disk)?;
        self.witness = identity.map(|identity| (identity, writer));
        self.bear_witness(changes)?;
        if let (true, Some((_, writer))) = (said_nothing, &self.witness) {
            writer.keep(directory, disk)?;
        }
        Ok(())
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
        self.keys.get()
    }

    /// The same, for whoever must know when there are any.
    pub(in crate::partition) fn shared_keys(&self) -> &SharedKeys {
        &self.keys
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
            let (_database, tables) = self.tables()?;
            look(&tables)
        })
    }

    /// The catalog as it is now, and what must be held as long as it is read.
    fn tables(&self) -> Result<(Option<Arc<Database>>, Tables<'_>), StoreError> {
        let (database, begun) = match &self.backing {
            Backing::Writable(_) => {
                let database = self.database()?;
                let begun = database.begin_read();
                (Some(database), begun)
            }
            Backing::ReadOnly(database) => (None, database.begin_read()),
        };
        let path = &self.path;
        let transaction = begun.map_err(|error| failure("read", path, error))?;
        Ok((database, Tables { path, transaction }))
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

/// Whether the last change of a catalog is left out by whoever opens it, though it may have been
/// acknowledged. Where the witness says something, it says so better.
///
/// # Errors
///
/// If that is so and must not be, or the file cannot be read.
fn is_left_out(
    path: &Path,
    directory: &Path,
    disk: &dyn Disk,
    keys: Option<&KeyFile>,
    may_leave_out: bool,
) -> Result<bool, StoreError> {
    if Witness::read(directory)?.is_some() || !leaves_out_a_change(path, disk, keys)? {
        return Ok(false);
    }
    match may_leave_out {
        true => Ok(true),
        false => Err(StoreError::LeftOut {
            path: path.to_owned(),
            witness: Witness::path_in(directory),
        }),
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

fn file_id(path: &Path) -> io::Result<FileId> {
    let metadata = path.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

fn path_in(directory: &Path) -> PathBuf {
    directory.join(CATALOG_FILE)
}
