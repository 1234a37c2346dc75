//! The source of truth: one redb file for the whole data directory.
//!
//! Every change is one transaction, durable when the call returns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::gallery::Note;
use super::tail::TailTemplate;
use crate::types::EncoderId;

/// The version of the catalog that is written.
const VERSION: u32 = 1;
/// The oldest version that is read.
const VERSION_OLDEST: u32 = 1;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const PARTITIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("partitions");
/// (partition, template) to the bytes of [`TailTemplate`].
const TAIL: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("tail");
/// (partition, segment) to [`SegmentEntry`].
const SEGMENTS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("segments");
/// (partition, segment, row) of every removed row.
const TOMBSTONES: TableDefinition<(u64, u64, u64), ()> = TableDefinition::new("tombstones");
/// (area, key) of what the layers above keep.
const STATE: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("state");

const META_VERSION: &str = "version";
/// The next number for anything that needs one: partitions, segments and templates share it, so
/// that a number never comes back.
const META_NEXT: &str = "next";

/// What the catalog says of a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PartitionEntry {
    pub(super) partition: u64,
    pub(super) encoder: EncoderId,
    pub(super) created_unix_milliseconds: i64,
}

/// What the catalog says of a live segment. Its file is named after its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SegmentEntry {
    pub(super) rows: u64,
    pub(super) header_checksum: u64,
}

/// Everything the catalog knows of one partition.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) tail: Vec<TailTemplate>,
    pub(super) segments: BTreeMap<u64, SegmentEntry>,
    pub(super) tombstones: Vec<(u64, u64)>,
}

/// One atomic change of a partition.
#[derive(Debug, Default)]
pub(super) struct Change<'a> {
    pub(super) add_to_tail: &'a [TailTemplate],
    pub(super) remove_from_tail: &'a [u64],
    /// (segment, row) of rows that are removed.
    pub(super) bury: &'a [(u64, u64)],
    pub(super) add_segment: Option<(u64, &'a SegmentEntry)>,
    /// A value of the layers above that changes at the same moment.
    pub(super) note: Option<&'a Note>,
}

#[derive(Debug)]
pub(super) struct Catalog {
    path: PathBuf,
    database: Database,
}

impl Catalog {
    /// Opens the catalog in `directory`, or makes one. Holds a lock that keeps other processes out.
    pub(super) fn open(directory: &Path) -> Result<Catalog, StoreError> {
        let path = directory.join("catalog.redb");
        let database = match Database::create(&path) {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => {
                return Err(StoreError::Locked {
                    path: directory.to_owned(),
                });
            }
            Err(error) => return Err(failure("open", &path, error)),
        };
        let catalog = Catalog { path, database };
        catalog.initialize()?;
        Ok(catalog)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn partitions(&self) -> Result<BTreeMap<String, PartitionEntry>, StoreError> {
        let table = self
            .read()?
            .open_table(PARTITIONS)
            .map_err(|e| self.failed("read", e))?;
        let mut partitions = BTreeMap::new();
        for item in table.iter().map_err(|e| self.failed("read", e))? {
            let (name, entry) = item.map_err(|e| self.failed("read", e))?;
            partitions.insert(
                name.value().to_owned(),
                self.parse("partition", entry.value())?,
            );
        }
        Ok(partitions)
    }

    /// Adds a partition unless it is there, and returns what the catalog now says of it.
    pub(super) fn create_partition(
        &self,
        name: &str,
        encoder: &EncoderId,
        created_unix_milliseconds: i64,
    ) -> Result<PartitionEntry, StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(PARTITIONS)?;
            let present = table
                .get(name)?
                .map(|entry| serde_json::from_slice(entry.value()));
            if let Some(present) = present {
                let parse = |error: serde_json::Error| redb::Error::Corrupted(error.to_string());
                return present.map_err(parse);
            }
            let partition = take_numbers(transaction, 1)?;
            let entry = PartitionEntry {
                partition,
                encoder: encoder.clone(),
                created_unix_milliseconds,
            };
            table.insert(name, &*json(&entry))?;
            Ok(entry)
        })
    }

    /// Takes `count` numbers that nobody has or had, and returns the first.
    pub(super) fn take_numbers(&self, count: u64) -> Result<u64, StoreError> {
        self.write(|transaction| take_numbers(transaction, count))
    }

    pub(super) fn contents(&self, partition: u64) -> Result<Contents, StoreError> {
        let transaction = self.read()?;
        let failed = |error: redb::Error| self.failed("read", error);
        let mut tail = Vec::new();
        let table = transaction.open_table(TAIL).map_err(|e| failed(e.into()))?;
        for item in table
            .range((partition, 0)..=(partition, u64::MAX))
            .map_err(|e| failed(e.into()))?
        {
            let (key, bytes) = item.map_err(|e| failed(e.into()))?;
            let template = TailTemplate::from_bytes(key.value().1, bytes.value());
            tail.push(template.map_err(|what| self.damaged(what))?);
        }
        let mut segments = BTreeMap::new();
        let table = transaction
            .open_table(SEGMENTS)
            .map_err(|e| failed(e.into()))?;
        for item in table
            .range((partition, 0)..=(partition, u64::MAX))
            .map_err(|e| failed(e.into()))?
        {
            let (key, entry) = item.map_err(|e| failed(e.into()))?;
            segments.insert(key.value().1, self.parse("segment", entry.value())?);
        }
        let mut tombstones = Vec::new();
        let table = transaction
            .open_table(TOMBSTONES)
            .map_err(|e| failed(e.into()))?;
        let range = (partition, 0, 0)..=(partition, u64::MAX, u64::MAX);
        for item in table.range(range).map_err(|e| failed(e.into()))? {
            let (_, segment, row) = item.map_err(|e| failed(e.into()))?.0.value();
            tombstones.push((segment, row));
        }
        Ok(Contents {
            tail,
            segments,
            tombstones,
        })
    }

    pub(super) fn apply(&self, partition: u64, change: &Change<'_>) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut tail = transaction.open_table(TAIL)?;
            for template in change.add_to_tail {
                tail.insert((partition, template.info.template), &*template.to_bytes())?;
            }
            for template in change.remove_from_tail {
                tail.remove((partition, *template))?;
            }
            if !change.bury.is_empty() {
                let mut tombstones = transaction.open_table(TOMBSTONES)?;
                for (segment, row) in change.bury {
                    tombstones.insert((partition, *segment, *row), ())?;
                }
            }
            if let Some((segment, entry)) = change.add_segment {
                let mut segments = transaction.open_table(SEGMENTS)?;
                segments.insert((partition, segment), &*json(entry))?;
            }
            if let Some(note) = change.note {
                let mut state = transaction.open_table(STATE)?;
                let key = (&*note.area, &*note.key);
                match &note.value {
                    Some(value) => drop(state.insert(key, &**value)?),
                    None => drop(state.remove(key)?),
                }
            }
            Ok(())
        })
    }

    pub(super) fn state_get(&self, area: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self
            .read()?
            .open_table(STATE)
            .map_err(|e| self.failed("read", e))?;
        let value = table.get((area, key)).map_err(|e| self.failed("read", e))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    pub(super) fn state_list(&self, area: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let table = self
            .read()?
            .open_table(STATE)
            .map_err(|e| self.failed("read", e))?;
        let mut list = Vec::new();
        for item in table
            .range((area, "")..)
            .map_err(|e| self.failed("read", e))?
        {
            let (key, value) = item.map_err(|e| self.failed("read", e))?;
            if key.value().0 != area {
                break;
            }
            list.push((key.value().1.to_owned(), value.value().to_vec()));
        }
        Ok(list)
    }

    pub(super) fn state_update<T>(
        &self,
        area: &str,
        key: &str,
        change: impl FnOnce(Option<&[u8]>) -> (Option<Vec<u8>>, T),
    ) -> Result<T, StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(STATE)?;
            let present = table.get((area, key))?.map(|value| value.value().to_vec());
            let (next, result) = change(present.as_deref());
            match next {
                Some(value) => drop(table.insert((area, key), &*value)?),
                None => drop(table.remove((area, key))?),
            }
            Ok(result)
        })
    }

    /// Makes all tables, or checks that this build can read those that are there.
    fn initialize(&self) -> Result<(), StoreError> {
        let found = self.write(|transaction| {
            let mut meta = transaction.open_table(META)?;
            let found = meta.get(META_VERSION)?.map(|version| version.value());
            if found.is_none() {
                meta.insert(META_VERSION, u64::from(VERSION))?;
                transaction.open_table(PARTITIONS)?;
                transaction.open_table(TAIL)?;
                transaction.open_table(SEGMENTS)?;
                transaction.open_table(TOMBSTONES)?;
                transaction.open_table(STATE)?;
            }
            Ok(found)
        })?;
        match found {
            Some(version)
                if !(u64::from(VERSION_OLDEST)..=u64::from(VERSION)).contains(&version) =>
            {
                Err(StoreError::Version {
                    path: self.path.clone(),
                    found: u32::try_from(version).unwrap_or(u32::MAX),
                    oldest: VERSION_OLDEST,
                    newest: VERSION,
                })
            }
            _ => Ok(()),
        }
    }

    fn read(&self) -> Result<redb::ReadTransaction, StoreError> {
        self.database
            .begin_read()
            .map_err(|e| self.failed("read", e))
    }

    fn write<T>(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let transaction = self
            .database
            .begin_write()
            .map_err(|e| self.failed("write", e))?;
        let result = change(&transaction).map_err(|e| self.failed("write", e))?;
        transaction.commit().map_err(|e| self.failed("write", e))?;
        Ok(result)
    }

    fn parse<T: DeserializeOwned>(&self, what: &str, bytes: &[u8]) -> Result<T, StoreError> {
        let parsed = serde_json::from_slice(bytes);
        parsed
            .map_err(|error| self.damaged(format!("the entry of a {what} cannot be read: {error}")))
    }

    fn damaged(&self, what: String) -> StoreError {
        StoreError::Catalog {
            path: self.path.clone(),
            what,
        }
    }

    fn failed(&self, action: &'static str, error: impl Into<redb::Error>) -> StoreError {
        failure(action, &self.path, error)
    }
}

fn take_numbers(transaction: &redb::WriteTransaction, count: u64) -> Result<u64, redb::Error> {
    let mut meta = transaction.open_table(META)?;
    let first = meta.get(META_NEXT)?.map_or(1, |next| next.value());
    meta.insert(META_NEXT, first + count)?;
    Ok(first)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structures always serialise")
}

/// Sorts what redb reports into damage and refusals of the operating system.
fn failure(action: &'static str, path: &Path, error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            StoreError::Catalog {
                path: path.to_owned(),
                what: source.to_string(),
            }
        }
        redb::Error::Io(source) => StoreError::io(action, path, source),
        other => StoreError::Catalog {
            path: path.to_owned(),
            what: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_of_a_newer_version_is_refused_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(directory.path()).unwrap();
        let newer = |transaction: &redb::WriteTransaction| {
            transaction.open_table(META)?.insert(META_VERSION, 2)?;
            Ok(())
        };
        catalog.write(newer).unwrap();
        drop(catalog);
        for _ in 0..2 {
            let error = Catalog::open(directory.path()).unwrap_err();
            assert!(
                matches!(
                    error,
                    StoreError::Version {
                        found: 2,
                        newest: 1,
                        ..
                    }
                ),
                "{error}"
            );
            assert!(error.to_string().contains("use a newer build"), "{error}");
        }
    }

    #[test]
    fn numbers_never_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(directory.path()).unwrap();
        assert_eq!(catalog.take_numbers(5).unwrap(), 1);
        assert_eq!(catalog.take_numbers(1).unwrap(), 6);
        drop(catalog);
        let catalog = Catalog::open(directory.path()).unwrap();
        assert_eq!(catalog.take_numbers(1).unwrap(), 7);
    }
}
