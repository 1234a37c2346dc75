//! A whole data directory in one file: a tar stream in zstd frames.
//!
//! ```text
//! frame 1   manifest.json             what follows: every name and length
//! frame 2   catalog.redb, segments/<partition>/<id>.vseg ..., server.key
//!           checksums.json            CRC-64/NVME of every entry before it
//! ```
//!
//! [`super::Store::snapshot_to`] writes one of a data directory in use, [`super::restore_archive`]
//! makes a data directory of it, and [`verify_archive`] only reads it. `tar --zstd -tf` lists it.
//! The manifest has a frame of its own, which ends with a checksum, so that it is known to be whole
//! before a word of it is believed: a damaged version is damage, and a newer one is newer.
//! Everything after it is compared with it byte for byte, headers included, so that a hostile
//! archive has no names, links or lengths to choose. The archive of an encrypted data directory is sealed
//! as a whole (`envelope`). `docs/file-format.md` has the bytes.

mod ahead;
mod backup;
mod envelope;
#[cfg(feature = "web")]
mod folder;
mod read;
mod restore;
mod stored;
mod write;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(super) use self::backup::write_snapshot;
#[cfg(test)]
pub(super) use self::backup::{BackupFile, write_archive};
pub(super) use self::envelope::SEALED_MAGIC;
pub use self::envelope::is_sealed_archive;
pub(super) use self::read::{ArchiveReader, Sink};
pub use self::read::{Entry, verify_archive, verify_archive_with};
pub(super) use self::restore::extract;
#[cfg(test)]
pub(super) use self::write::ArchiveDraft;
#[cfg(test)]
use self::write::ArchiveWriter;
use super::StoreError;
use super::catalog::CATALOG_FILE;
use super::keys::KEY_FILE;
#[cfg(feature = "web")]
pub(crate) use folder::{OwnSnapshots, remove_drafts, snapshot_name, snapshots_in};

/// The version that is written.
const VERSION: u32 = 1;
/// The oldest version that is read.
const VERSION_OLDEST: u32 = 1;
/// The first bytes of every zstd frame.
pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const MANIFEST: &str = "manifest.json";
const CHECKSUMS: &str = "checksums.json";
/// A tar stream consists of blocks of so many bytes, and ends with two of zeros.
const TAR_BLOCK_BYTES: usize = 512;
/// Far more than a manifest or a list of checksums of 100,000 segments has.
const LIST_BYTES_MAX: u64 = 32 << 20;
/// What is read, checked and written at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What an archive says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the archive.
    pub version: u32,
    /// When the snapshot was taken, in milliseconds since 1970 in UTC.
    pub created_unix_milliseconds: i64,
    /// The program that wrote it, with its version.
    pub program: String,
    /// Which data directory it is of, as 16 hexadecimal digits; `None` if that was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_directory: Option<String>,
    /// The partitions, for people; what counts is the catalog.
    pub partitions: Vec<PartitionContents>,
    /// What follows, in order.
    pub files: Vec<ArchivedFile>,
}

/// What an archive says of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionContents {
    /// Its name.
    pub partition: String,
    /// The encoder it is bound to.
    pub encoder: String,
    /// Templates, removed ones not counted.
    pub templates: u64,
    /// Sealed segments.
    pub segments: u64,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedFile {
    /// Its path in the data directory, with `/` between parts.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// The last entry of an archive.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Checksums {
    algorithm: String,
    entries: Vec<ChecksumOf>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ChecksumOf {
    name: String,
    bytes: u64,
    /// 16 hexadecimal digits.
    checksum: String,
}

const ALGORITHM: &str = "CRC-64/NVME";

impl Manifest {
    /// A manifest of the version that this build writes.
    pub(super) fn new(
        created_unix_milliseconds: i64,
        data_directory: Option<String>,
        partitions: Vec<PartitionContents>,
        files: Vec<ArchivedFile>,
    ) -> Manifest {
        Manifest {
            version: VERSION,
            created_unix_milliseconds,
            program: format!("vultus {}", env!("CARGO_PKG_VERSION")),
            data_directory,
            partitions,
            files,
        }
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files
            .iter()
            .fold(0, |bytes, file| bytes.saturating_add(file.bytes))
    }

    /// Templates of all partitions, removed ones not counted.
    pub fn templates(&self) -> u64 {
        let counts = self.partitions.iter().map(|partition| partition.templates);
        counts.fold(0, u64::saturating_add)
    }

    /// Reads the manifest of an archive, whose bytes are those that were written.
    fn parse(path: &Path, json: &[u8]) -> Result<Manifest, StoreError> {
        /// What every version has.
        #[derive(Deserialize)]
        struct AnyVersion {
            version: u32,
        }
        let malformed = |error: serde_json::Error| {
            damaged(path, MANIFEST, "contents", "a manifest", error.to_string())
        };
        let AnyVersion { version } = serde_json::from_slice(json).map_err(malformed)?;
        if !(VERSION_OLDEST..=VERSION).contains(&version) {
            return Err(StoreError::ArchiveVersion {
                path: path.to_owned(),
                found: version,
                oldest: VERSION_OLDEST,
                newest: VERSION,
            });
        }
        let manifest: Manifest = serde_json::from_slice(json).map_err(malformed)?;
        manifest.check(path)?;
        Ok(manifest)
    }

    /// Whether its files are those of a data directory, each once.
    fn check(&self, path: &Path) -> Result<(), StoreError> {
        let mut names = BTreeSet::new();
        for file in &self.files {
            if !is_allowed(&file.name) {
                let found = format!("{:?}", file.name);
                let expected = "a file of a data directory";
                return Err(damaged(path, MANIFEST, "name of a file", expected, found));
            }
            if !names.insert(&*file.name) {
                let found = format!("{:?} twice", file.name);
                return Err(damaged(
                    path,
                    MANIFEST,
                    "name of a file",
                    "each once",
                    found,
                ));
            }
        }
        if !names.contains(CATALOG_FILE) {
            let expected = format!("`{CATALOG_FILE}` among them");
            return Err(damaged(
                path,
                MANIFEST,
                "files",
                expected,
                "none".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Whether a data directory has a file of this name. Nothing else is taken from an archive, so that
/// no name can lead out of the directory.
fn is_allowed(name: &str) -> bool {
    let is_number = |text: &str| {
        text.parse::<u64>()
            .is_ok_and(|number| number.to_string() == text)
    };
    match name.split('/').collect::<Vec<_>>()[..] {
        [CATALOG_FILE | KEY_FILE | "server.key"] => true,
        ["segments", partition, file] => {
            is_number(partition) && file.strip_suffix(".vseg").is_some_and(is_number)
        }
        _ => false,
    }
}

/// The one header that an entry may have.
fn header(name: &str, bytes: u64, created_unix_milliseconds: i64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header
        .set_path(name)
        .expect("names of a data directory fit a header");
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(created_unix_milliseconds / 1000).unwrap_or(0));
    header.set_size(bytes);
    header.set_cksum();
    header
}

/// Zeros that fill the last block of an entry.
fn padding(bytes: u64) -> usize {
    let rest = (bytes % TAR_BLOCK_BYTES as u64) as usize;
    (TAR_BLOCK_BYTES - rest) % TAR_BLOCK_BYTES
}

fn damaged(
    path: &Path,
    entry: &str,
    what: &'static str,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> StoreError {
    StoreError::Archive {
        path: path.to_owned(),
        entry: entry.to_owned(),
        what,
        expected: expected.into(),
        found: found.into(),
    }
}

/// The name of a file or directory that belongs to `path`: `data` has `data.restoring`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// The directory in which `path` lies.
fn parent_of(path: &Path) -> &Path {
    let parent = path.parent();
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Makes the entries of a directory durable. Only Unix lets a directory be synced.
fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        let synced = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| StoreError::io("sync", directory, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
