//! The key file of a data directory: what opens it, and how it is written.
//!
//! ```text
//! DIR/gallery.keys       the keys of the data directory and of each gallery, sealed with the master key
//! DIR/gallery.keys.new   the same, before it has its name
//! ```
//!
//! A key is durable before anything is sealed with it. A new file is written and synced beside the old
//! one, and takes its name; then the old one is overwritten, so that a key that was destroyed is gone
//! from the file system, too. A crash leaves the old file or the new one, and the other one under the name
//! of the draft, which the next open overwrites.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StoreError;
use super::disk::{Disk, overwrite, sync_directory_of, wipe};
use crate::secrets::{DataKey, KeyError, KeyRing, MasterKey, PageCipher, Salt};

/// The name of the key file in the data directory.
pub(super) const KEY_FILE: &str = "gallery.keys";
/// What the key of a catalog is made for.
const CATALOG_PURPOSE: &str = "vultus catalog";

/// What a data directory is opened with, beside its place.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The key that its keys are sealed with; none for a data directory that is not encrypted.
    pub master: Option<MasterKey>,
    /// Whether a new data directory is encrypted. One that is there stays what it is.
    pub encrypt_new: bool,
}

/// The keys of a data directory that is open.
pub(super) struct KeyFile {
    path: PathBuf,
    master: MasterKey,
    ring: Mutex<KeyRing>,
    /// What is wrong with one half of the file, until it is written anew.
    damaged_half: Mutex<Option<&'static str>>,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({})", self.path.display())
    }
}

impl KeyFile {
    /// Where the key file of a data directory is.
    pub(super) fn path_in(directory: &Path) -> PathBuf {
        directory.join(KEY_FILE)
    }

    /// Opens the key file of a data directory; `None` if it has none.
    ///
    /// # Errors
    ///
    /// If there is no master key, it is another one, or the file cannot be read or is damaged.
    pub(super) fn open(
        directory: &Path,
        disk: &dyn Disk,
        keys: &Keys,
    ) -> Result<Option<Arc<KeyFile>>, StoreError> {
        let path = KeyFile::path_in(directory);
        let Some(bytes) = read(&path, disk)? else {
            return Ok(None);
        };
        let refused = |error| StoreError::keys(&path, error);
        let master = keys.master.clone();
        let master = master.ok_or_else(|| refused(KeyError::NoMasterKey))?;
        let ring = KeyRing::open(&bytes, &master).map_err(refused)?;
        let damaged_half = KeyRing::damaged_half(&bytes);
        if let Some(what) = damaged_half {
            tracing::warn!(path = %path.display(), "the key file is damaged, and read by its other half: {what}");
        }
        Ok(Some(Arc::new(KeyFile {
            path,
            master,
            ring: Mutex::new(ring),
            damaged_half: Mutex::new(damaged_half),
        })))
    }

    /// Overwrites what a crash left of a key file: a draft, or the one that was replaced. Only for whoever
    /// changes the data directory.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub(super) fn wipe_leftover(directory: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
        wipe(disk, &draft_of(&KeyFile::path_in(directory)))
    }

    /// Makes the key file of a new data directory, durably.
    pub(super) fn create(
        directory: &Path,
        disk: &dyn Disk,
        keys: &Keys,
        identity: u64,
    ) -> Result<Arc<KeyFile>, StoreError> {
        let path = KeyFile::path_in(directory);
        let master = keys.master.clone();
        let master =
            master.ok_or_else(|| StoreError::keys(&path, KeyError::NothingToEncryptWith))?;
        let file = KeyFile {
            path,
            master,
            ring: Mutex::new(KeyRing::new(identity)),
            damaged_half: Mutex::default(),
        };
        file.change(disk, |_| ())?;
        Ok(Arc::new(file))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with one half of the file; `None` where both are whole, or were written anew since it
    /// was opened.
    pub(super) fn damaged_half(&self) -> Option<&'static str> {
        *self.half()
    }

    /// Writes the file anew where one half of it is damaged, or where another one was written more often,
    /// `seen` times, and this one is taken for it: then that one is the older one, if it turns up.
    ///
    /// # Errors
    ///
    /// If the disk fails. The file is as good as it was then.
    pub(super) fn mend(&self, disk: &dyn Disk, seen: u64) -> Result<(), StoreError> {
        if self.damaged_half().is_none() && self.written() >= seen {
            return Ok(());
        }
        self.change(disk, |ring| ring.count_from(seen))
    }

    /// Which data directory it is of.
    pub(super) fn identity(&self) -> u64 {
        self.ring().identity()
    }

    /// How often it was written.
    pub(super) fn written(&self) -> u64 {
        self.ring().written()
    }

    /// How often it was written, and what tells its keys from any others.
    pub(super) fn written_and_digest(&self) -> (u64, u64) {
        let ring = self.ring();
        (ring.written(), ring.digest())
    }

    /// The key that the keys are sealed with.
    #[cfg(feature = "web")]
    pub(super) fn master(&self) -> &MasterKey {
        &self.master
    }

    /// The bytes of the file, sealed as they are.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(super) fn sealed_bytes(&self) -> Result<Vec<u8>, StoreError> {
        let read = std::fs::read(&self.path);
        read.map_err(|error| StoreError::io("read", &self.path, error))
    }

    /// The key of what belongs to no gallery alone.
    pub(super) fn directory_key(&self) -> DataKey {
        self.ring().directory().clone()
    }

    /// The cipher of the catalog with this salt.
    pub(super) fn catalog_cipher(&self, salt: &Salt) -> PageCipher {
        self.ring().directory().page_cipher(salt, CATALOG_PURPOSE)
    }

    /// The key of a gallery, by its number. It may have been made since by the process that changes the
    /// data directory.
    ///
    /// # Errors
    ///
    /// If it has none, or the file cannot be read.
    pub(super) fn gallery(&self, number: u64, disk: &dyn Disk) -> Result<DataKey, StoreError> {
        let mut ring = self.ring();
        if ring.gallery(number).is_none()
            && let Some(bytes) = read(&self.path, disk)?
        {
            let found = KeyRing::open(&bytes, &self.master);
            let found = found.map_err(|error| StoreError::keys(&self.path, error))?;
            if found.identity() == ring.identity() && found.written() > ring.written() {
                *ring = found;
            }
        }
        let missing = KeyError::NoKeyOfGallery { gallery: number };
        let key = ring.gallery(number).cloned();
        key.ok_or_else(|| StoreError::keys(&self.path, missing))
    }

    /// The key of a gallery, which is made, durably, if there is none.
    ///
    /// # Errors
    ///
    /// If the disk fails. No key is made then.
    pub(super) fn gallery_or_new(
        &self,
        number: u64,
        disk: &dyn Disk,
    ) -> Result<DataKey, StoreError> {
        if self.ring().gallery(number).is_none() {
            self.change(disk, |ring| ring.add(number))?;
        }
        self.gallery(number, disk)
    }

    /// Destroys the key of a gallery, durably: without it nobody can read what was sealed with it. Returns
    /// whether there was one.
    ///
    /// # Errors
    ///
    /// If the disk fails. The key may be there still then.
    pub(super) fn destroy(&self, number: u64, disk: &dyn Disk) -> Result<bool, StoreError> {
        let has = self.ring().gallery(number).is_some();
        if has {
            self.change(disk, |ring| {
                ring.destroy(number);
            })?;
        }
        Ok(has)
    }

    /// One of some galleries whose key is not in the bytes of a key file that is sealed with the same
    /// master key.
    ///
    /// # Errors
    ///
    /// If the bytes are no such file.
    pub(super) fn lacking_in(
        &self,
        bytes: &[u8],
        galleries: &[u64],
    ) -> Result<Option<u64>, StoreError> {
        let ring = KeyRing::open(bytes, &self.master);
        let ring = ring.map_err(|error| StoreError::keys(&self.path, error))?;
        let mut galleries = galleries.iter().copied();
        Ok(galleries.find(|number| ring.gallery(*number).is_none()))
    }

    /// Seals the keys with another master key, durably. None of them changes, so that nothing else has
    /// to be written.
    ///
    /// # Errors
    ///
    /// If the disk fails: then either master key may be the one that opens the file.
    pub(super) fn seal_with(&self, disk: &dyn Disk, master: &MasterKey) -> Result<(), StoreError> {
        let mut ring = self.ring();
        let mut changed = ring.clone();
        let bytes = changed.seal(master);
        write(&self.path, disk, &bytes)?;
        *ring = changed;
        *self.half() = None;
        Ok(())
    }

    /// Changes the keys, durably: all of it or nothing.
    fn change(&self, disk: &dyn Disk, change: impl FnOnce(&mut KeyRing)) -> Result<(), StoreError> {
        let mut ring = self.ring();
        let mut changed = ring.clone();
        change(&mut changed);
        let bytes = changed.seal(&self.master);
        write(&self.path, disk, &bytes)?;
        *ring = changed;
        *self.half() = None;
        Ok(())
    }

    fn half(&self) -> MutexGuard<'_, Option<&'static str>> {
        self.damaged_half
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) -> MutexGuard<'_, KeyRing> {
        // It is replaced as a whole.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path, disk: &dyn Disk) -> Result<Option<Vec<u8>>, StoreError> {
    let mut file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("open", path, error)),
    };
    let mut bytes = Vec::new();
    let read = file.read_to_end(&mut bytes);
    read.map_err(|error| StoreError::io("read", path, error))?;
    Ok(Some(bytes))
}

/// Puts a new file in the place of the old one, which is overwritten.
fn write(path: &Path, disk: &dyn Disk, bytes: &[u8]) -> Result<(), StoreError> {
    let draft = draft_of(path);
    let failed = |error| StoreError::io("write", &draft, error);
    wipe(disk, &draft)?;
    let file = disk.create(&draft).map_err(failed)?;
    let written = file.write_at(bytes, 0).and_then(|()| file.sync());
    written.map_err(failed)?;
    let old = match disk.modify(path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(StoreError::io("open", path, error)),
    };
    let replaced = disk.replace(&draft, path);
    let is_named = replaced.map_err(|error| StoreError::io("rename", &draft, error))?;
    sync_directory_of(disk, path)?;
    // The new file is there, and counts. What is left of the old one opens with its master key alone, and is
    // overwritten by the next open.
    let overwritten = match (old, is_named) {
        (_, true) => wipe(disk, &draft),
        (Some(old), false) => {
            overwrite(&*old).map_err(|error| StoreError::io("overwrite", path, error))
        }
        (None, false) => Ok(()),
    };
    if let Err(error) = overwritten {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot overwrite the old key file");
    }
    Ok(())
}

/// The name of a key file before it has its own.
fn draft_of(path: &Path) -> PathBuf {
    path.with_extension("keys.new")
}
