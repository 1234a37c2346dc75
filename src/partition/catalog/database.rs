//! The file of a catalog as redb sees it: opened, made, or copied, and decrypted where there are keys.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, DatabaseError, StorageBackend};

use super::enciphered::{Enciphered, is_enciphered};
use super::failures::{damage, failure, guarded};
use super::fill::FilledAhead;
use crate::partition::disk::{Backend, Disk};
use crate::partition::keys::KeyFile;
use crate::partition::{StoreError, private};
use crate::secrets::KeyError;

/// How often a copy of the catalog is made again if it is torn.
const COPY_ATTEMPTS: usize = 20;

/// What redb may keep of the file in memory. The tail is the bulk of it, and is read once.
const CACHE_BYTES: usize = 64 << 20;

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
pub(super) fn readable(
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
    let lock = private::open_file(&quiet_lock(path)).ok();
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
    let opened = private::open_file(path);
    let mut file = opened.map_err(|error| StoreError::io("open", path, error))?;
    let copy = InMemoryBackend::new();
    fill(&copy, &mut file).map_err(|error| StoreError::io("read", path, error))?;
    open_copy(copy, path, keys).map_err(|error| match error {
        // Memory is all that was read: it ends before what it says.
        StoreError::Io { .. } => damage(path, "it is shorter than it says".to_owned()),
        error => error,
    })
}

fn open_copy(
    copy: InMemoryBackend,
    path: &Path,
    keys: Option<&KeyFile>,
) -> Result<Database, StoreError> {
    let (copy, belief) = readable(Backend(Box::new(copy)), path, keys)?;
    let opened = guarded(path, || {
        let database = builder().create_with_backend(copy);
        database.map_err(|error| failure("open", path, error))
    });
    belief.store(opened.is_ok(), Ordering::Relaxed);
    opened
}

/// Copies a file to its end, wherever that comes to be: it may grow or shrink meanwhile, and a copy of
/// its first pages as they are now needs what they name.
pub(super) fn fill(copy: &InMemoryBackend, file: &mut File) -> io::Result<()> {
    copy.set_len(file.metadata()?.len())?;
    let mut chunk = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        let count = match file.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let end = done + count as u64;
        if count == 0 || end > copy.len()? {
            copy.set_len(end)?;
        }
        if count == 0 {
            return Ok(());
        }
        copy.write(done, &chunk[..count])?;
        done = end;
    }
}

/// What opens a database as a catalog is opened.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .set_cache_size(CACHE_BYTES)
        // A page that was changed behind our back is damage when it is found here, and a wrong
        // answer or a panic when it is found later.
        .set_check_integrity_on_open(true);
    builder
}

/// What is held shared by whoever copies the file.
pub(super) fn quiet_lock(path: &Path) -> PathBuf {
    path.with_extension("lock")
}

fn open_failure(path: &Path, directory: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked {
            path: directory.to_owned(),
        },
        error => failure("open", path, error),
    }
}
