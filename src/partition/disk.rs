//! What a data directory asks of a disk. The real one is here; tests put another in its place that
//! records every write, fails when told, and shows what a crash would leave.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand::Rng;
use redb::StorageBackend;
use redb::backends::FileBackend;
use rustix::fs::OFlags;

use super::{StoreError, private};

/// What is in a data directory is for its owner alone, whatever the umask of the process.
pub(super) const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Everything that changes a data directory goes through here, and every first look at a file.
/// Segments are read through memory maps once they are open.
pub(super) trait Disk: Debug + Send + Sync {
    /// Makes a directory and those above it, durably, for their owner alone. It may be there already.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// What is in a directory: nothing if there is none.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    /// Begins a file for its owner alone, where nothing has the name: neither a file nor a link.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to be changed in place.
    fn modify(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to be read or mapped.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// Removes the name of a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory that is empty. Returns whether it is gone; where something is in it, it stays.
    fn remove_directory(&self, path: &Path) -> io::Result<bool>;
    /// Gives a file another name in the same directory, over whatever has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a new file the name of an old one in the same directory. Where the system can do so in one step
    /// the old one gets the name of the new one, so that what a kill leaves of it is found again; otherwise,
    /// and where there is no old one, nothing has that name. Returns whether something has.
    fn replace(&self, new: &Path, old: &Path) -> io::Result<bool>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Opens a database file, which is made for its owner alone if there is none.
    fn database(&self, path: &Path) -> io::Result<Backend>;
    /// A number for a new data directory that no other has; not 0.
    fn new_identity(&self) -> u64;
}

/// A file being written.
pub(super) trait DiskFile: Debug + Send {
    /// Writes all bytes at a place; a gap before them reads as zeros.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file, or fills it up with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// How long it is.
    fn length(&self) -> io::Result<u64>;
    /// Makes the contents durable.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's disk.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_directory(parent)?;
        }
        match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            Ok(()) => private::leave_to_owner_of_folder(path, File::open(path)?)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !path.is_dir() => {
                return Err(io::Error::new(
                    io::ErrorKind::NotADirectory,
                    "there is a file of this name",
                ));
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.sync_directory(parent.unwrap_or(Path::new(".")))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(directory) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(private::create(path)?))
    }

    fn modify(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::options().write(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        private::open_file(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<bool> {
        match fs::remove_dir(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn replace(&self, new: &Path, old: &Path) -> io::Result<bool> {
        match exchange(new, old) {
            Ok(()) => Ok(true),
            // No such file, or a file system that cannot.
            Err(_) => fs::rename(new, old).map(|()| false),
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn database(&self, path: &Path) -> io::Result<Backend> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path)?;
        private::leave_to_owner_of_folder(path, &file)?;
        let backend = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Backend(Box::new(backend)))
    }

    fn new_identity(&self) -> u64 {
        rand::rng().next_u64().max(1)
    }
}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

/// The file beneath a database, whatever it is: redb wants to know its type, and we do not.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Box<dyn StorageBackend>);

/// Of a [`StorageBackend`] around another one, which is a field of it: what it leaves to that one, which is
/// how it is closed and locked.
macro_rules! closed_and_locked_as {
    ($inner:tt) => {
        fn close(&self) -> std::io::Result<()> {
            self.$inner.close()
        }

        fn try_lock_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<bool, redb::BackendError> {
            self.$inner.try_lock_range(start, end)
        }

        fn try_lock_shared_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<bool, redb::BackendError> {
            self.$inner.try_lock_shared_range(start, end)
        }

        fn lock_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<(), redb::BackendError> {
            self.$inner.lock_range(start, end)
        }

        fn lock_shared_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<(), redb::BackendError> {
            self.$inner.lock_shared_range(start, end)
        }

        fn unlock_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<(), redb::BackendError> {
            self.$inner.unlock_range(start, end)
        }

        fn query_lock_range(
            &self,
            start: std::ops::Bound<u64>,
            end: std::ops::Bound<u64>,
        ) -> Result<bool, redb::BackendError> {
            self.$inner.query_lock_range(start, end)
        }
    };
}
pub(super) use closed_and_locked_as;

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    closed_and_locked_as!(0);
}

/// Exchanges the names of two files.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Writes zeros over what an earlier process left at the name of a draft, which may be the file that a newer
/// one has replaced, and removes it.
///
/// # Errors
///
/// If the disk fails. What is there has its name still then, and the next open tries again.
pub(super) fn wipe(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    let Ok(found) = path.symlink_metadata() else {
        return Ok(());
    };
    // First: as long as names are not durable, a crash may give this one's bytes the name of the newer one.
    sync_directory_of(disk, path)?;
    // Behind a link, or under another name of the same file, is what this program did not leave.
    let overwritten = match found.is_file() && found.nlink() == 1 {
        true => disk.modify(path).and_then(|file| overwrite(&*file)),
        false => Ok(()),
    };
    match overwritten.and_then(|()| disk.remove(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("overwrite", path, error))
        }
        _ => Ok(()),
    }
}

/// Writes zeros over a whole file.
pub(super) fn overwrite(file: &dyn DiskFile) -> io::Result<()> {
    overwrite_but(file, 0..0)
}

/// The same, but for some bytes.
pub(super) fn overwrite_but(file: &dyn DiskFile, kept: Range<u64>) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let length = file.length()?;
    let before = 0..kept.start.min(length);
    let after = kept.end.min(length)..length;
    for part in [before, after] {
        for start in part.clone().step_by(zeros.len()) {
            let count = zeros.len().min((part.end - start) as usize);
            file.write_at(&zeros[..count], start)?;
        }
    }
    file.sync()
}

/// Opens a lock file, which is made for its owner alone if there is none.
pub(super) fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).read(true).append(true).mode(FILE_MODE);
    // A link would lead what is written here to another file, and a pipe would be waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(flags.bits().cast_signed());
    let file = options.open(path)?;
    private::expect_file(&file)?;
    private::leave_to_owner_of_folder(path, &file)?;
    Ok(file)
}

/// Makes the entry of a file in its directory durable.
pub(super) fn sync_directory_of(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    let directory = path
        .parent()
        .expect("a file in a data directory has a parent");
    let synced = disk.sync_directory(directory);
    synced.map_err(|error| StoreError::io("sync", directory, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_old_file_keeps_a_name_until_it_is_wiped() {
        let folder = tempfile::tempdir().unwrap();
        let [new, old] = ["new", "old"].map(|name| folder.path().join(name));
        fs::write(&new, "after").unwrap();
        // Where there is no old one.
        assert!(!RealDisk.replace(&new, &old).unwrap());
        assert!(!new.exists() && fs::read(&old).unwrap() == b"after");
        fs::write(&new, "later").unwrap();
        let mut kept = File::open(&old).unwrap();
        let has_name = RealDisk.replace(&new, &old).unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"later");
        assert_eq!(new.exists(), has_name);
        if has_name {
            wipe(&RealDisk, &new).unwrap();
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut kept, &mut bytes).unwrap();
            assert_eq!((bytes, new.exists()), (vec![0; 5], false));
        }
        wipe(&RealDisk, &new).unwrap();
    }

    #[test]
    fn what_has_another_name_is_not_wiped_by_the_one_of_a_draft() {
        let folder = tempfile::tempdir().unwrap();
        let [draft, other] = ["draft", "other"].map(|name| folder.path().join(name));
        fs::write(&other, "somebody's own").unwrap();
        symlink(&other, &draft).unwrap();
        wipe(&RealDisk, &draft).unwrap();
        assert!(draft.symlink_metadata().is_err());
        fs::hard_link(&other, &draft).unwrap();
        wipe(&RealDisk, &draft).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"somebody's own");
        fs::create_dir(&draft).unwrap();
        assert!(wipe(&RealDisk, &draft).is_err());
    }
}
