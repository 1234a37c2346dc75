//! What tells an older catalog that was put back from the one that was there last.
//!
//! Every commit counts itself in the catalog, and once it is durable the count is written beside
//! it, into `writer.lock`. So the witness is never ahead of what is durable, whatever a crash
//! leaves: it need not be synced but once, and costs no time. A catalog that counts less than its witness
//! is an older one, and what was done since would be undone without a word.
//!
//! A witness that is missing or damaged says nothing: older data directories and restored ones have
//! none. Then a catalog is not opened without its last change ([`super::undone`]).

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::partition::disk::{Disk, DiskFile};
use crate::partition::segment::checksum;
use crate::partition::{StoreError, private};

/// The file that has it, and that whoever changes the data directory holds a lock on.
const WITNESS_FILE: &str = "writer.lock";
const MAGIC: [u8; 8] = *b"VULTLAST";
const VERSION: u64 = 1;
const BYTES: usize = 40;

/// How often what makes no sense is read again if it was another thing before.
const READ_ATTEMPTS: usize = 100;

/// What was last known of the catalog of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    /// The data directory.
    pub(super) identity: NonZeroU64,
    /// How many commits its catalog had.
    pub(super) changes: u64,
}

impl Witness {
    /// Where it is in a data directory.
    pub(super) fn path_in(directory: &Path) -> PathBuf {
        directory.join(WITNESS_FILE)
    }

    /// The witness of a data directory, if it has one.
    ///
    /// # Errors
    ///
    /// If the file is there and cannot be read.
    pub(super) fn read(directory: &Path) -> Result<Option<Witness>, StoreError> {
        let path = Witness::path_in(directory);
        match private::open_file(&path).and_then(|file| settled(&file)) {
            Ok(bytes) => Ok(Witness::parse(&bytes)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(StoreError::io("read", &path, error)),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Witness> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        let (said, sum) = bytes.split_last_chunk::<8>()?;
        if u64::from_le_bytes(*sum) != checksum(said) || !said.starts_with(&MAGIC) {
            return None;
        }
        let number = |at: usize| {
            let bytes = said[at..].first_chunk::<8>();
            bytes.map(|bytes| u64::from_le_bytes(*bytes))
        };
        // A later version may mean something else by it.
        (number(8)? == VERSION).then_some(())?;
        Some(Witness {
            identity: NonZeroU64::new(number(16)?)?,
            changes: number(24)?,
        })
    }

    fn to_bytes(self) -> Vec<u8> {
        let numbers = [VERSION, self.identity.get(), self.changes];
        let mut bytes = MAGIC.to_vec();
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(checksum(&bytes).to_le_bytes());
        bytes
    }

    /// Fails if a catalog of `identity` with so many `changes` is not the one that was there last,
    /// or a later one.
    pub(super) fn refuse_older(
        self,
        catalog: &Path,
        identity: Option<NonZeroU64>,
        changes: u64,
    ) -> Result<(), StoreError> {
        let witness = catalog.with_file_name(WITNESS_FILE);
        if let Some(found) = identity.filter(|found| *found != self.identity) {
            return Err(StoreError::ForeignCatalog {
                path: catalog.to_owned(),
                witness,
                expected: self.identity.get(),
                found: found.get(),
            });
        }
        if changes < self.changes {
            return Err(StoreError::OlderCatalog {
                path: catalog.to_owned(),
                witness,
                expected: self.changes,
                found: changes,
            });
        }
        Ok(())
    }
}

/// The bytes of a witness, which may be written meanwhile.
///
/// They are read in one call, so that they are of one moment on most file systems, and until they make
/// sense or were found twice the same: half of one witness and half of the next is damage that is gone
/// by then.
fn settled(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = read_once(file)?;
    for _ in 0..READ_ATTEMPTS {
        if Witness::parse(&bytes).is_some() {
            break;
        }
        let before = std::mem::replace(&mut bytes, read_once(file)?);
        if bytes == before {
            break;
        }
    }
    Ok(bytes)
}

fn read_once(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; BYTES];
    let read = loop {
        match file.read_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes the witness of a catalog that this process changes.
#[derive(Debug)]
pub(super) struct WitnessWriter {
    path: PathBuf,
    file: Mutex<Box<dyn DiskFile>>,
}

impl WitnessWriter {
    /// Opens the file, which whoever holds the lock has made.
    pub(super) fn new(directory: &Path, disk: &dyn Disk) -> Result<WitnessWriter, StoreError> {
        let path = Witness::path_in(directory);
        let file = disk.modify(&path);
        let file = file.map_err(|error| StoreError::io("open", &path, error))?;
        Ok(WitnessWriter {
            path,
            file: Mutex::new(file),
        })
    }

    /// Says what is durable. Not synced: after a crash of the machine an earlier one may be there,
    /// which is true as well.
    pub(super) fn write(&self, witness: Witness) -> Result<(), StoreError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.write_at(&witness.to_bytes(), 0);
        written.map_err(|error| StoreError::io("write", &self.path, error))
    }

    /// Sees to it that what is said stays, whatever crash comes: that something was said once.
    pub(super) fn keep(&self, directory: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let synced = file.sync().and_then(|()| disk.sync_directory(directory));
        synced.map_err(|error| StoreError::io("sync", &self.path, error))
    }

    /// Says nothing any more, durably: what it said is not of the catalog that is to come.
    pub(super) fn forget(&self) -> Result<(), StoreError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = file.set_length(0).and_then(|()| file.sync());
        forgotten.map_err(|error| StoreError::io("empty", &self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::disk::RealDisk;

    #[test]
    fn a_witness_says_what_was_written_or_nothing() {
        let witness = Witness {
            identity: NonZeroU64::new(0x1234_5678_9abc).unwrap(),
            changes: 77,
        };
        let bytes = witness.to_bytes();
        assert_eq!(bytes.len(), BYTES);
        assert_eq!(Witness::parse(&bytes), Some(witness));
        for at in 0..BYTES {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Witness::parse(&damaged), None, "byte {at}");
            assert_eq!(Witness::parse(&bytes[..at]), None, "length {at}");
        }
        // What a later version says is not understood.
        let mut later = bytes[..BYTES - 8].to_vec();
        later[8] = 2;
        later.extend(checksum(&later).to_le_bytes());
        assert_eq!(Witness::parse(&later), None);
    }

    #[test]
    fn a_witness_that_is_being_written_is_one_that_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let witness = |changes| Witness {
            identity: NonZeroU64::new(0x1234_5678_9abc).unwrap(),
            changes,
        };
        std::fs::write(Witness::path_in(directory.path()), b"").unwrap();
        let file = WitnessWriter::new(directory.path(), &RealDisk).unwrap();
        file.write(witness(1)).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for changes in 2..50_000 {
                    file.write(witness(changes)).unwrap();
                }
            });
            let mut last = 1;
            while !writer.is_finished() {
                let read = Witness::read(directory.path()).unwrap();
                let changes = read.expect("it was always there").changes;
                assert!(changes >= last, "{changes} after {last}");
                last = changes;
            }
        });
    }

    #[test]
    fn what_is_damaged_or_cut_is_read_as_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = Witness::path_in(directory.path());
        let witness = Witness {
            identity: NonZeroU64::new(5).unwrap(),
            changes: 6,
        };
        let bytes = witness.to_bytes();
        for length in 0..BYTES {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert_eq!(Witness::read(directory.path()).unwrap(), None, "{length}");
        }
        std::fs::write(&path, [0; BYTES]).unwrap();
        assert_eq!(Witness::read(directory.path()).unwrap(), None);
        std::fs::write(&path, [&bytes[..], b"and more"].concat()).unwrap();
        assert_eq!(Witness::read(directory.path()).unwrap(), Some(witness));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Witness::read(directory.path()).unwrap(), None);
        std::fs::create_dir(&path).unwrap();
        assert!(Witness::read(directory.path()).is_err());
    }

    #[test]
    fn only_a_catalog_as_new_as_its_witness_is_taken() {
        let [one, other] = [1, 2].map(|it| NonZeroU64::new(it).unwrap());
        let witness = Witness {
            identity: one,
            changes: 5,
        };
        let refuse = |identity, changes| {
            let path = Path::new("data/catalog.redb");
            witness.refuse_older(path, identity, changes)
        };
        refuse(Some(one), 5).unwrap();
        refuse(Some(one), 6).unwrap();
        let older = refuse(Some(one), 4).unwrap_err().to_string();
        for part in ["data/catalog.redb", "data/writer.lock", "5", "4"] {
            assert!(older.contains(part), "{older}");
        }
        assert!(matches!(
            refuse(None, 0),
            Err(StoreError::OlderCatalog { .. })
        ));
        assert!(matches!(
            refuse(Some(other), 9),
            Err(StoreError::ForeignCatalog { .. })
        ));
    }
}
