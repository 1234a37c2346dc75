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
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

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

/// The keys of a data directory that is open, if it is encrypted: one that is not may become so, and then stays
/// it. All that are cloned of one have the same.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedKeys(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    keys: OnceLock<Arc<KeyFile>>,
    /// Held shared by whoever writes what would be refused if there were keys all at once.
    holding: RwLock<()>,
}

impl SharedKeys {
    /// These keys, or none yet.
    pub(super) fn of(keys: Option<Arc<KeyFile>>) -> SharedKeys {
        let shared = SharedKeys::default();
        if let Some(keys) = keys {
            shared.begin(keys);
        }
        shared
    }

    /// The keys, once there are any.
    pub(super) fn get(&self) -> Option<&Arc<KeyFile>> {
        self.0.keys.get()
    }

    /// Everything is sealed with these from now on. Where there are keys already, those stay.
    pub(super) fn begin(&self, keys: Arc<KeyFile>) {
        self.0.keys.get_or_init(|| keys);
    }

    /// While this is held no keys come where there are none, and none is put in the place of another.
    pub(super) fn hold(&self) -> Holding<'_> {
        // Nothing is in it.
        let none_come = self.0.holding.read();
        let none_come = none_come.unwrap_or_else(PoisonError::into_inner);
        Holding {
            _none_change: self.get().map(|keys| keys.hold()),
            _none_come: none_come,
        }
    }

    /// Waits for those who hold the keys, and lets nobody hold them until this is dropped.
    pub(super) fn no_holders(&self) -> RwLockWriteGuard<'_, ()> {
        // Nothing is in it.
        let holding = self.0.holding.write();
        holding.unwrap_or_else(PoisonError::into_inner)
    }
}

/// What keeps keys as they are.
pub(super) struct Holding<'a> {
    _none_change: Option<RwLockReadGuard<'a, ()>>,
    _none_come: RwLockReadGuard<'a, ()>,
}

/// The keys of a data directory that is open.
pub(super) struct KeyFile {
    path: PathBuf,
    master: MasterKey,
    ring: Mutex<KeyRing>,
    /// What is wrong with one half of the file, until it is written anew.
    damaged_half: Mutex<Option<&'static str>>,
    /// Held shared by whoever wants all keys to stay; locked before `ring`.
    holding: RwLock<()>,
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
            holding: RwLock::default(),
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
        let file = KeyFile::unwritten(directory, keys, identity)?;
        file.write(disk)?;
        Ok(file)
    }

    /// Makes keys for a data directory that are nowhere but in memory yet.
    ///
    /// # Errors
    ///
    /// If there is no master key.
    pub(super) fn unwritten(
        directory: &Path,
        keys: &Keys,
        identity: u64,
    ) -> Result<Arc<KeyFile>, StoreError> {
        let path = KeyFile::path_in(directory);
        let master = keys.master.clone();
        let master =
            master.ok_or_else(|| StoreError::keys(&path, KeyError::NothingToEncryptWith))?;
        Ok(Arc::new(KeyFile {
            path,
            master,
            ring: Mutex::new(KeyRing::new(identity)),
            damaged_half: Mutex::default(),
            holding: RwLock::default(),
        }))
    }

    /// Writes the file, durably.
    ///
    /// # Errors
    ///
    /// If the disk fails. What there was before is there then.
    pub(super) fn write(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        self.change(disk, |_| ())
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

    /// The keys as a file of their own, sealed with a salt of its own, and the key among them of what belongs
    /// to no gallery alone. They are those of this process, which open what it sees, whoever has changed the
    /// file since; the file counts as often written as theirs.
    pub(super) fn sealed_again(&self) -> (Vec<u8>, DataKey) {
        let ring = self.ring();
        (ring.sealed(&self.master), ring.directory().clone())
    }

    /// While this is held no key is put in the place of another, and none that was replaced is destroyed: what
    /// the catalog names is opened by the keys that there are.
    pub(super) fn hold(&self) -> RwLockReadGuard<'_, ()> {
        // Nothing is in it.
        self.holding.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ciphers that a catalog with this salt may be sealed with; new ones are with the first.
    pub(super) fn catalog_ciphers(&self, salt: &Salt) -> (PageCipher, Option<PageCipher>) {
        let ring = self.ring();
        let cipher = |key: &DataKey| key.page_cipher(salt, CATALOG_PURPOSE);
        let before = ring.directory_before().map(cipher);
        (cipher(ring.directory()), before)
    }

    /// The key that a gallery had before, while something may be sealed with it.
    pub(super) fn gallery_before(&self, number: u64) -> Option<DataKey> {
        self.ring().gallery_before(number).cloned()
    }

    /// Gives galleries other keys, and the directory too if that is asked for, durably and at once, and keeps
    /// those before. What was begun earlier, and has a key before still, stays as it is.
    ///
    /// # Errors
    ///
    /// If the disk fails. All keys are those that they were then.
    pub(super) fn begin_anew(
        &self,
        galleries: &[u64],
        with_directory: bool,
        disk: &dyn Disk,
    ) -> Result<(), StoreError> {
        let _nobody_holds = self.no_holders();
        let is_due = {
            let ring = self.ring();
            let has_one = |number: &u64| {
                ring.gallery(*number).is_some() && ring.gallery_before(*number).is_none()
            };
            galleries.iter().any(has_one) || (with_directory && ring.directory_before().is_none())
        };
        if !is_due {
            return Ok(());
        }
        self.change(disk, |ring| {
            for number in galleries {
                ring.begin_anew(*number);
            }
            if with_directory {
                ring.begin_directory_anew();
            }
        })
    }

    /// Destroys the key that a gallery had before, durably. The caller has seen to it that nothing that the
    /// catalog names, durably, is sealed with it, nor anything that is still to be named.
    ///
    /// # Errors
    ///
    /// If the disk fails. The key may be there still then.
    pub(super) fn destroy_before(&self, number: u64, disk: &dyn Disk) -> Result<(), StoreError> {
        let _nobody_holds = self.no_holders();
        // The gallery may have been removed meanwhile, with both its keys.
        let has = self.ring().gallery_before(number).is_some();
        match has {
            true => self.change(disk, |ring| {
                ring.destroy_before(number);
            }),
            false => Ok(()),
        }
    }

    /// Destroys the key that the directory had before, durably.
    ///
    /// # Errors
    ///
    /// If the disk fails. The key may be there still then.
    pub(super) fn destroy_directory_before(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        let _nobody_holds = self.no_holders();
        self.change(disk, KeyRing::destroy_directory_before)
    }

    /// Whether other keys were begun with, and something may be sealed with those before.
    pub(super) fn is_changing(&self) -> bool {
        self.ring().is_changing()
    }

    /// Whether the directory has another key, and the catalog was not written anew with it yet.
    pub(super) fn is_directory_changing(&self) -> bool {
        self.ring().directory_before().is_some()
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
            // That key alone: what this process looks at may be sealed with others that are destroyed since.
            if found.identity() == ring.identity()
                && let Some(key) = found.gallery(number)
            {
                ring.adopt(number, key.clone());
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

    /// One of some galleries that has no key.
    pub(super) fn lacking(&self, galleries: &[u64]) -> Option<u64> {
        let ring = self.ring();
        let mut galleries = galleries.iter().copied();
        galleries.find(|number| ring.gallery(*number).is_none())
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

    fn no_holders(&self) -> RwLockWriteGuard<'_, ()> {
        // Nothing is in it.
        self.holding.write().unwrap_or_else(PoisonError::into_inner)
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
