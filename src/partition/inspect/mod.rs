//! Saying what is in a file that the storage wrote, whole or damaged, without changing it.
//!
//! Numbers, names and checksums only: no value of a template ever leaves this folder.

mod catalog;

use std::io::Read;
use std::path::Path;

use serde::Serialize;

pub use self::catalog::{CatalogReport, PartitionReport, StateReport};
use super::StoreError;
use super::archive::{
    ArchiveReader, ArchivedFile, Entry, Manifest, SEALED_MAGIC, Sink, ZSTD_MAGIC,
};
use super::catalog::ENCIPHERED_MAGIC;
use crate::partition::private;
use crate::partition::segment::{
    DamagedBytes, MAGIC as SEGMENT_MAGIC, SegmentCheck, SegmentReport,
};
use crate::secrets::KeyError;

/// The first bytes of a redb file.
const CATALOG_MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// What is read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What a file is found to be.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Inspection {
    /// A segment.
    Segment(SegmentReport),
    /// A snapshot.
    Snapshot(SnapshotReport),
    /// A catalog.
    Catalog(CatalogReport),
}

/// What a snapshot is found to be.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotReport {
    /// Bytes of the file.
    pub bytes: u64,
    /// What it says of itself; none where that is damaged.
    pub manifest: Option<Manifest>,
    /// Its entries with their checksums; none where it cannot be read to its end.
    pub entries: Vec<Entry>,
    /// All that is wrong; offsets are those within the entry.
    pub damage: Vec<EntryDamage>,
}

/// Something wrong with an entry of a snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct EntryDamage {
    /// The entry.
    pub entry: String,
    /// What is wrong with it.
    #[serde(flatten)]
    pub damage: DamagedBytes,
}

impl Inspection {
    /// Whether everything is as it was written.
    pub fn is_whole(&self) -> bool {
        match self {
            Inspection::Segment(report) => report.damage.is_empty(),
            Inspection::Snapshot(report) => report.damage.is_empty(),
            Inspection::Catalog(report) => report.damage.is_empty(),
        }
    }
}

/// Reads all of a file and says what is in it and what is wrong with it. Its first bytes say what
/// it is. Tells `progress` how many bytes of how many went by.
///
/// # Errors
///
/// If the file cannot be read, is none of ours, is newer than this build, or is a catalog that
/// another process has open.
pub fn inspect(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Inspection, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut file = private::open_file(path).map_err(|error| StoreError::io("open", path, error))?;
    let bytes = file.metadata().map_err(failed)?.len();
    let mut start = Vec::new();
    let most = CATALOG_MAGIC.len() as u64;
    (&mut file)
        .take(most)
        .read_to_end(&mut start)
        .map_err(failed)?;
    if start.starts_with(&SEGMENT_MAGIC) {
        segment(path, bytes, progress).map(Inspection::Segment)
    } else if start.starts_with(&ZSTD_MAGIC) {
        snapshot(path, bytes, progress).map(Inspection::Snapshot)
    } else if [ENCIPHERED_MAGIC, SEALED_MAGIC]
        .iter()
        .any(|it| start.starts_with(it))
    {
        Err(StoreError::keys(path, KeyError::Unreadable))
    } else if start == CATALOG_MAGIC {
        catalog::inspect(path, bytes).map(Inspection::Catalog)
    } else {
        Err(StoreError::Unknown {
            path: path.to_owned(),
            found: start.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

fn segment(
    path: &Path,
    bytes: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<SegmentReport, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut file = private::open_file(path).map_err(|error| StoreError::io("open", path, error))?;
    let mut check = SegmentCheck::new(path, bytes);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = 0;
    loop {
        let count = file.read(&mut chunk).map_err(failed)?;
        if count == 0 {
            return Ok(check.finish());
        }
        check.update(&chunk[..count])?;
        done += count as u64;
        progress(done, bytes);
    }
}

fn snapshot(
    path: &Path,
    bytes: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<SnapshotReport, StoreError> {
    let mut report = SnapshotReport {
        bytes,
        manifest: None,
        entries: Vec::new(),
        damage: Vec::new(),
    };
    let reader = match ArchiveReader::open(path, None) {
        Ok(reader) => reader,
        Err(error) => {
            report.damage.push(entry_damage(error)?);
            return Ok(report);
        }
    };
    report.manifest = Some(reader.manifest().clone());
    let mut segments = Segments::default();
    match reader.read(&mut segments, progress) {
        Ok(entries) => report.entries = entries,
        Err(error) => report.damage.push(entry_damage(error)?),
    }
    for entry in report
        .entries
        .iter()
        .filter(|entry| entry.expected != entry.found)
    {
        report.damage.push(EntryDamage {
            entry: entry.name.clone(),
            damage: DamagedBytes {
                offset: 0,
                what: "checksum",
                rows: None,
                expected: format!("{:016x}", entry.expected),
                found: format!("{:016x}", entry.found),
            },
        });
    }
    report.damage.extend(segments.damage);
    Ok(report)
}

/// Turns damage of an archive into what a report has; anything else stays an error.
fn entry_damage(error: StoreError) -> Result<EntryDamage, StoreError> {
    match error {
        StoreError::Archive {
            entry,
            what,
            expected,
            found,
            ..
        } => Ok(EntryDamage {
            entry,
            damage: DamagedBytes {
                offset: 0,
                what,
                rows: None,
                expected,
                found,
            },
        }),
        other => Err(other),
    }
}

/// Looks into the segments of an archive as they go by.
#[derive(Default)]
struct Segments {
    current: Option<(String, SegmentCheck)>,
    damage: Vec<EntryDamage>,
}

impl Sink for Segments {
    fn begin(&mut self, file: &ArchivedFile) -> Result<(), StoreError> {
        self.current = file.name.ends_with(".vseg").then(|| {
            let check = SegmentCheck::new(Path::new(&file.name), file.bytes);
            (file.name.clone(), check)
        });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match &mut self.current {
            Some((_, check)) => check.update(bytes),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), StoreError> {
        if let Some((name, check)) = self.current.take() {
            let damage = check.finish().damage.into_iter();
            self.damage.extend(damage.map(|damage| EntryDamage {
                entry: name.clone(),
                damage,
            }));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
