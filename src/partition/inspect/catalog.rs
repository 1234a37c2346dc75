//! What is in a catalog: counts, and values that are not what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::path::Path;

use redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, TableHandle,
};
use serde::{Deserialize, Serialize};

use super::{DamagedBytes, StoreError};
use crate::partition::catalog::{
    CHOSEN_CLASSES, EXPIRIES, EXTERNAL_IDS, LABELS, LAST_MATCHES, META, META_CHANGES,
    META_IDENTITY, META_NEXT, META_VERSION, NAMES, NOT_SAME, PARTITIONS, PORTRAITS, PartitionEntry,
    RECORDS, REMOVED, RETIRED, SEGMENTS, STATE, SegmentEntry, TAIL, THRESHOLDS, TOMBSTONES,
    check_version, copy_in_memory, failure, guarded, key_of_class, key_of_classes, key_of_id,
    key_of_name, key_of_numbers, key_of_state, key_of_text, unsealed,
};
use crate::partition::strays::{LeftAlone, left_alone};

/// What a catalog is found to be.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CatalogReport {
    /// Bytes of the file.
    pub bytes: u64,
    /// The version of the format.
    pub version: u64,
    /// The next free number.
    pub next: u64,
    /// How many commits it has seen; 0 where they were not counted. Of two copies the one with more is
    /// the newer one.
    pub changes: u64,
    /// The partitions, by name.
    pub partitions: Vec<PartitionReport>,
    /// What the layers above keep, by area.
    pub state: Vec<StateReport>,
    /// Files among the segments beside it that it neither names nor has retired; none where there are
    /// no segments beside it.
    pub left_alone: LeftAlone,
    /// All that is wrong; offsets are unknown, and 0.
    pub damage: Vec<DamagedBytes>,
}

/// What a catalog says of a partition.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PartitionReport {
    /// Its name.
    pub name: String,
    /// Its number.
    pub partition: u64,
    /// The encoder it is bound to.
    pub encoder: String,
    /// When it was made, in milliseconds since 1970 in UTC.
    pub created_unix_milliseconds: i64,
    /// Templates that are not sealed.
    pub tail_templates: u64,
    /// Sealed segments.
    pub segments: u64,
    /// Their rows, removed ones included.
    pub segment_rows: u64,
    /// Removed rows of segments.
    pub tombstones: u64,
    /// People of whom more is known than their templates.
    pub records: u64,
}

/// How much the layers above keep in one area.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StateReport {
    /// The area.
    pub area: String,
    /// Its values.
    pub values: u64,
    /// Their bytes, checksums not counted.
    pub bytes: u64,
}

/// Tables that are made with the first record, beside those whose names say so, or with the first partition
/// that is removed.
const LATER: [&str; 4] = ["not_same", "last_matches", "chosen_classes", "removed"];

/// Reads a catalog, beside a process that may be changing it.
pub(super) fn inspect(path: &Path, bytes: u64) -> Result<CatalogReport, StoreError> {
    guarded(path, || read(path, bytes))
}

fn read(path: &Path, bytes: u64) -> Result<CatalogReport, StoreError> {
    let database = copy_in_memory(path, None)?;
    let transaction = database
        .begin_read()
        .map_err(|e| failure("read", path, e))?;
    let mut reading = Reading {
        path,
        transaction,
        identity: None,
        report: CatalogReport {
            bytes,
            ..CatalogReport::default()
        },
    };
    reading.meta()?;
    reading.partitions()?;
    reading.removed()?;
    reading.state()?;
    if let Some(directory) = path.parent() {
        let known = reading.known_segments()?;
        reading.report.left_alone = left_alone(directory, &known, reading.identity);
    }
    Ok(reading.report)
}

struct Reading<'a> {
    path: &'a Path,
    transaction: ReadTransaction,
    identity: Option<NonZeroU64>,
    report: CatalogReport,
}

impl Reading<'_> {
    fn meta(&mut self) -> Result<(), StoreError> {
        let mut numbers = BTreeMap::new();
        self.each(META, key_of_name, |name, value| {
            let number = value.try_into().map(u64::from_le_bytes);
            let number = number.map_err(|_| format!("{} bytes", value.len()))?;
            numbers.insert(name.to_owned(), number);
            Ok(())
        })?;
        let number = |name: &str| numbers.get(name).copied();
        check_version(self.path, number(META_VERSION))?;
        self.report.version = number(META_VERSION).unwrap_or_default();
        self.report.next = number(META_NEXT).unwrap_or_default();
        self.identity = number(META_IDENTITY).and_then(NonZeroU64::new);
        self.report.changes = number(META_CHANGES).unwrap_or_default();
        Ok(())
    }

    fn partitions(&mut self) -> Result<(), StoreError> {
        let mut counts: BTreeMap<u64, PartitionReport> = BTreeMap::new();
        let pair = |(partition, key)| key_of_numbers(&[partition, key]);
        self.each(TAIL, pair, |(partition, _), _| {
            counts.entry(partition).or_default().tail_templates += 1;
            Ok(())
        })?;
        self.each(SEGMENTS, pair, |(partition, _), value| {
            let entry: SegmentEntry = parse(value)?;
            let count = counts.entry(partition).or_default();
            count.segments += 1;
            count.segment_rows = count.segment_rows.saturating_add(entry.rows);
            Ok(())
        })?;
        let triple = |(partition, segment, row)| key_of_numbers(&[partition, segment, row]);
        self.each(TOMBSTONES, triple, |(partition, ..), _| {
            counts.entry(partition).or_default().tombstones += 1;
            Ok(())
        })?;
        self.records(&mut counts)?;
        let mut partitions = Vec::new();
        self.each(PARTITIONS, key_of_name, |name, value| {
            let entry: PartitionEntry = parse(value)?;
            partitions.push(PartitionReport {
                name: name.to_owned(),
                partition: entry.partition,
                encoder: entry.encoder.to_string(),
                created_unix_milliseconds: entry.created_unix_milliseconds,
                ..counts.remove(&entry.partition).unwrap_or_default()
            });
            Ok(())
        })?;
        self.report.partitions = partitions;
        for partition in counts.into_keys() {
            let found = format!("number {partition}");
            self.push(
                "partition of some entries",
                "one that exists".to_owned(),
                found,
            );
        }
        Ok(())
    }

    /// Counts records, and looks at all by which they are found.
    fn records(&mut self, counts: &mut BTreeMap<u64, PartitionReport>) -> Result<(), StoreError> {
        self.each(RECORDS, key_of_class, |(partition, _), _| {
            counts.entry(partition).or_default().records += 1;
            Ok(())
        })?;
        self.each(NAMES, key_of_text, |_, _| Ok(()))?;
        self.each(EXTERNAL_IDS, key_of_id, |_, _| Ok(()))?;
        self.each(LABELS, key_of_text, |_, _| Ok(()))?;
        self.each(EXPIRIES, key_of_classes, |_, _| Ok(()))?;
        self.each(THRESHOLDS, key_of_class, |_, _| Ok(()))?;
        self.each(NOT_SAME, key_of_classes, |_, _| Ok(()))?;
        self.each(LAST_MATCHES, key_of_class, |_, _| Ok(()))?;
        self.each(
            CHOSEN_CLASSES,
            |partition| key_of_numbers(&[partition]),
            |_, _| Ok(()),
        )?;
        self.each(PORTRAITS, key_of_class, |_, _| Ok(()))
    }

    /// Looks at the numbers of partitions that were removed.
    fn removed(&mut self) -> Result<(), StoreError> {
        let number = |partition| key_of_numbers(&[partition]);
        self.each(REMOVED, number, |_, _| Ok(()))
    }

    /// Segments in use, or retired, as (partition, segment).
    fn known_segments(&self) -> Result<BTreeSet<(u64, u64)>, StoreError> {
        let mut known = BTreeSet::new();
        for definition in [SEGMENTS, RETIRED] {
            let table = match self.transaction.open_table(definition) {
                // Older catalogs do not have it.
                Err(TableError::TableDoesNotExist(_)) => continue,
                table => table.map_err(|error| failure("read", self.path, error))?,
            };
            let keys = table.iter().map_err(|e| failure("read", self.path, e))?;
            for item in keys {
                let (key, _) = item.map_err(|error| failure("read", self.path, error))?;
                known.insert(key.value());
            }
        }
        Ok(known)
    }

    fn state(&mut self) -> Result<(), StoreError> {
        let mut areas: BTreeMap<String, StateReport> = BTreeMap::new();
        let bytes = |(area, key): (&str, &str)| key_of_state(area, key);
        self.each(STATE, bytes, |(area, _), value| {
            let report = areas.entry(area.to_owned()).or_default();
            area.clone_into(&mut report.area);
            report.values += 1;
            report.bytes += value.len() as u64;
            Ok(())
        })?;
        self.report.state = areas.into_values().collect();
        Ok(())
    }

    /// Shows `take` every value of a table that has the checksum behind it, if there is the table. The
    /// others, and what `take` cannot read, are damage. `key_bytes` gives the bytes of a key, which the checksum
    /// covers, too.
    fn each<K: Key + 'static>(
        &mut self,
        table: TableDefinition<'static, K, &[u8]>,
        key_bytes: impl Fn(K::SelfType<'_>) -> Vec<u8>,
        mut take: impl FnMut(K::SelfType<'_>, &[u8]) -> Result<(), String>,
    ) -> Result<(), StoreError> {
        let comes_later = table.name().starts_with("record") || LATER.contains(&table.name());
        let table: ReadOnlyTable<K, &[u8]> = match self.transaction.open_table(table) {
            Err(TableError::TableDoesNotExist(_)) if comes_later => return Ok(()),
            table => table.map_err(|error| failure("read", self.path, error))?,
        };
        for item in table
            .iter()
            .map_err(|error| failure("read", self.path, error))?
        {
            let (key, value) = item.map_err(|error| failure("read", self.path, error))?;
            let key_bytes = key_bytes(key.value());
            let taken =
                unsealed(&key_bytes, value.value()).and_then(|value| take(key.value(), value));
            if let Err(found) = taken {
                self.push("value", "what was written".to_owned(), found);
            }
        }
        Ok(())
    }

    fn push(&mut self, what: &'static str, expected: String, found: String) {
        self.report.damage.push(DamagedBytes {
            offset: 0,
            what,
            rows: None,
            expected,
            found,
        });
    }
}

fn parse<'v, T: Deserialize<'v>>(value: &'v [u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}
