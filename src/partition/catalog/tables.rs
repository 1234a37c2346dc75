//! What is in the catalog, and how it is read; [`super::commit`] changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::path::Path;

use redb::{
    ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, TableError,
    WriteTransaction,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::failures::{damage, failure};
use super::sealed::{
    key_of_name, key_of_numbers, key_of_state, number_of, parse, sealed, unsealed,
};
use crate::partition::StoreError;
use crate::partition::segment::{ROWS_MAX, Seal};
use crate::partition::tail::TailTemplate;
use crate::partition::totals::Totals;
use crate::types::{DIMENSION_MAX, DIMENSION_MIN, EncoderId, Timestamp};

/// The version of a new catalog: what has no records is read by earlier builds, too.
pub(super) const VERSION: u32 = 1;

/// The version from the first record on. Earlier builds would pass records over, and lose them when
/// they write the catalog anew.
pub(super) const VERSION_WITH_RECORDS: u32 = 2;

/// The version from the first portrait on. Earlier builds would leave the portraits of people whom they
/// remove.
pub(super) const VERSION_WITH_PORTRAITS: u32 = 3;

/// The newest version that is read.
const VERSION_NEWEST: u32 = VERSION_WITH_PORTRAITS;

/// The oldest version that is read.
const VERSION_OLDEST: u32 = 1;

/// What a new catalog counts: that it was made.
pub(super) const FIRST_CHANGE: u64 = 1;

/// Every value below is what is named, followed by [`sealed`]'s checksum.
pub(in crate::partition) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
pub(in crate::partition) const PARTITIONS: TableDefinition<&str, &[u8]> =
    TableDefinition::new("partitions");
/// (partition, template) to the bytes of [`TailTemplate`].
pub(in crate::partition) const TAIL: TableDefinition<(u64, u64), &[u8]> =
    TableDefinition::new("tail");
/// (partition, segment) to [`SegmentEntry`].
pub(in crate::partition) const SEGMENTS: TableDefinition<(u64, u64), &[u8]> =
    TableDefinition::new("segments");
/// (partition, segment) to [`SegmentEntry`] of segments that others replace, until their files are gone.
pub(in crate::partition) const RETIRED: TableDefinition<(u64, u64), &[u8]> =
    TableDefinition::new("retired");
/// The number of a partition that was removed, and of which something may be in files still, to nothing but
/// the checksum. Made with the first.
pub(in crate::partition) const REMOVED: TableDefinition<u64, &[u8]> =
    TableDefinition::new("removed");
/// (partition, segment, row) of every removed row, to nothing but the checksum.
pub(in crate::partition) const TOMBSTONES: TableDefinition<(u64, u64, u64), &[u8]> =
    TableDefinition::new("tombstones");
/// (area, key) of what the layers above keep.
pub(in crate::partition) const STATE: TableDefinition<(&str, &str), &[u8]> =
    TableDefinition::new("state");

/// (partition, class) to what is known of a person, as [`crate::types::StoredRecord`]. This table and those
/// below are made with the first record.
pub(in crate::partition) const RECORDS: TableDefinition<(u64, i64), &[u8]> =
    TableDefinition::new("records");
/// (partition, name as it is compared, class), to nothing but the checksum.
pub(in crate::partition) const NAMES: TableDefinition<(u64, &str, i64), &[u8]> =
    TableDefinition::new("record_names");
/// (partition, external id) to the class.
pub(in crate::partition) const EXTERNAL_IDS: TableDefinition<(u64, &str), &[u8]> =
    TableDefinition::new("record_external_ids");
/// (partition, `key:value`, class), to nothing but the checksum.
pub(in crate::partition) const LABELS: TableDefinition<(u64, &str, i64), &[u8]> =
    TableDefinition::new("record_labels");
/// (partition, end in milliseconds since 1970, class), to nothing but the checksum.
pub(in crate::partition) const EXPIRIES: TableDefinition<(u64, i64, i64), &[u8]> =
    TableDefinition::new("record_expiries");
/// (partition, class) to the similarity from which on it is this class.
pub(in crate::partition) const THRESHOLDS: TableDefinition<(u64, i64), &[u8]> =
    TableDefinition::new("record_thresholds");
/// (partition, class, class) of two people who look alike, both ways round, to nothing but the checksum.
pub(in crate::partition) const NOT_SAME: TableDefinition<(u64, i64, i64), &[u8]> =
    TableDefinition::new("not_same");
/// (partition, class) to when somebody with a record was last recognised, about.
pub(in crate::partition) const LAST_MATCHES: TableDefinition<(u64, i64), &[u8]> =
    TableDefinition::new("last_matches");
/// Partition to the highest class that it has chosen itself, or that was removed since it chose the first.
pub(in crate::partition) const CHOSEN_CLASSES: TableDefinition<u64, &[u8]> =
    TableDefinition::new("chosen_classes");

/// (partition, class) to the portrait of a person, as [`super::portraits`] has it. Made with the first one.
pub(in crate::partition) const PORTRAITS: TableDefinition<(u64, i64), &[u8]> =
    TableDefinition::new("record_portraits");

pub(in crate::partition) const META_VERSION: &str = "version";
/// The next number for anything that needs one: partitions, segments and templates share it, so
/// that a number never comes back.
pub(in crate::partition) const META_NEXT: &str = "next";

/// How many commits the catalog has seen. Catalogs that were made before they were counted get it when
/// they are next opened to be changed.
pub(in crate::partition) const META_CHANGES: &str = "changes";

/// Tells the data directory from all others. Catalogs that were made before there was one get it when
/// they are next opened to be changed.
pub(in crate::partition) const META_IDENTITY: &str = "identity";

/// How often the key file was written, of an encrypted data directory: an older one is known by it.
pub(in crate::partition) const META_KEYS_WRITTEN: &str = "keys_written";

/// What tells the keys of that file from any others, and how often it was written when they were told: one
/// that was written less often, and has the same keys, is as good as the last.
pub(super) const META_KEYS_DIGEST: &str = "keys_digest";
pub(super) const META_KEYS_DIGESTED: &str = "keys_digested";

/// Since when something that was removed waits to be overwritten: 0 where nothing does, 1 where nobody has
/// said it yet, else milliseconds since 1970 and 2.
pub(in crate::partition) const META_UNERASED: &str = "unerased";

/// Until which change all that was removed is overwritten, and when that was done.
pub(in crate::partition) const META_ERASED_CHANGE: &str = "erased_change";
pub(in crate::partition) const META_ERASED_AT: &str = "erased_at";

/// What the catalog says of a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::partition) struct PartitionEntry {
    pub(in crate::partition) partition: u64,
    pub(in crate::partition) encoder: EncoderId,
    pub(in crate::partition) created_unix_milliseconds: i64,
}

/// What the catalog says of a live segment. Its file is named after its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::partition) struct SegmentEntry {
    pub(in crate::partition) rows: u64,
    pub(in crate::partition) header_checksum: u64,
    /// Of an encrypted segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::partition) seal: Option<Seal>,
}

/// Everything the catalog knows of one partition.
#[derive(Debug)]
pub(in crate::partition) struct Contents {
    pub(in crate::partition) tail: Vec<TailTemplate>,
    pub(in crate::partition) segments: BTreeMap<u64, SegmentEntry>,
    pub(in crate::partition) tombstones: Vec<(u64, u64)>,
    /// Segments that others replace, whose files may be there still.
    pub(in crate::partition) retired: BTreeMap<u64, SegmentEntry>,
}

/// What the catalog says at one moment.
pub(in crate::partition) struct Tables<'a> {
    pub(super) path: &'a Path,
    pub(in crate::partition) transaction: ReadTransaction,
}

impl Tables<'_> {
    pub(in crate::partition) fn partition(
        &self,
        name: &str,
    ) -> Result<Option<PartitionEntry>, StoreError> {
        let table = self.table(PARTITIONS)?;
        let value = table.get(name).map_err(|error| self.failed(error))?;
        let entry = value.map(|value| self.partition_entry(name, value.value()));
        entry.transpose()
    }

    pub(in crate::partition) fn partitions(
        &self,
    ) -> Result<BTreeMap<String, PartitionEntry>, StoreError> {
        let table = self.table(PARTITIONS)?;
        let mut partitions = BTreeMap::new();
        for item in table.iter().map_err(|error| self.failed(error))? {
            let (name, value) = item.map_err(|error| self.failed(error))?;
            let name = name.value();
            let entry = self.partition_entry(name, value.value())?;
            partitions.insert(name.to_owned(), entry);
        }
        Ok(partitions)
    }

    pub(in crate::partition) fn contents(&self, partition: u64) -> Result<Contents, StoreError> {
        let mut contents = Contents {
            tail: Vec::new(),
            segments: BTreeMap::new(),
            tombstones: Vec::new(),
            retired: BTreeMap::new(),
        };
        let all = (partition, 0)..=(partition, u64::MAX);
        let table = self.table(TAIL)?;
        for item in table.range(all).map_err(|e| self.failed(e))? {
            let (key, value) = item.map_err(|error| self.failed(error))?;
            let template = key.value().1;
            let bytes = self.value(&key_of_numbers(&[partition, template]), value.value())?;
            let template = TailTemplate::from_bytes(template, bytes);
            let template = template.map_err(|what| damage(self.path, what))?;
            contents.tail.push(template);
        }
        contents.segments = self.segments_of(partition)?;
        if let Some(table) = self.later_table(RETIRED)? {
            contents.retired = self.segments(&table, partition)?;
        }
        let table = self.table(TOMBSTONES)?;
        let all = (partition, 0, 0)..=(partition, u64::MAX, u64::MAX);
        for item in table.range(all).map_err(|error| self.failed(error))? {
            let (key, value) = item.map_err(|error| self.failed(error))?;
            let (_, segment, row) = key.value();
            self.value(&key_of_numbers(&[partition, segment, row]), value.value())?;
            contents.tombstones.push((segment, row));
        }
        Ok(contents)
    }

    fn segments(
        &self,
        table: &redb::ReadOnlyTable<(u64, u64), &'static [u8]>,
        partition: u64,
    ) -> Result<BTreeMap<u64, SegmentEntry>, StoreError> {
        let mut segments = BTreeMap::new();
        let all = (partition, 0)..=(partition, u64::MAX);
        for item in table.range(all).map_err(|error| self.failed(error))? {
            let (key, value) = item.map_err(|error| self.failed(error))?;
            let segment = key.value().1;
            let entry: SegmentEntry =
                self.parse(&key_of_numbers(&[partition, segment]), value.value())?;
            if entry.rows > ROWS_MAX as u64 {
                let what = format!("segment {segment} has {} rows", entry.rows);
                return Err(damage(self.path, what));
            }
            segments.insert(segment, entry);
        }
        Ok(segments)
    }

    /// The numbers (partition, segment) of all segments that are in use, or were and may have files.
    pub(in crate::partition) fn known_segments(&self) -> Result<BTreeSet<(u64, u64)>, StoreError> {
        let mut known = BTreeSet::new();
        let tables = [Some(self.table(SEGMENTS)?), self.later_table(RETIRED)?];
        for table in tables.into_iter().flatten() {
            for item in table.iter().map_err(|error| self.failed(error))? {
                let (key, _) = item.map_err(|error| self.failed(error))?;
                known.insert(key.value());
            }
        }
        Ok(known)
    }

    /// The partitions that were removed and may have files or a key still, with the segments that they had.
    pub(in crate::partition) fn removed_partitions(
        &self,
    ) -> Result<BTreeMap<u64, BTreeMap<u64, SegmentEntry>>, StoreError> {
        let mut removed = BTreeMap::new();
        let Some(table) = self.later_table(REMOVED)? else {
            return Ok(removed);
        };
        let retired = self.later_table(RETIRED)?;
        for item in table.iter().map_err(|error| self.failed(error))? {
            let (key, value) = item.map_err(|error| self.failed(error))?;
            let partition = key.value();
            self.value(&key_of_numbers(&[partition]), value.value())?;
            let segments = retired.as_ref().map(|it| self.segments(it, partition));
            removed.insert(partition, segments.transpose()?.unwrap_or_default());
        }
        Ok(removed)
    }

    /// The numbers of partitions with removed rows in segments, or with segments that others replaced and
    /// that may have files.
    pub(in crate::partition) fn partitions_with_removed(
        &self,
    ) -> Result<BTreeSet<u64>, StoreError> {
        let (tombstones, retired) = (self.table(TOMBSTONES)?, self.later_table(RETIRED)?);
        let mut found = BTreeSet::new();
        for entry in self.partitions()?.values() {
            let number = entry.partition;
            let rows = (number, 0, 0)..=(number, u64::MAX, u64::MAX);
            let mut rows = tombstones.range(rows).map_err(|error| self.failed(error))?;
            let mut has_any = rows.next().is_some();
            if let Some(retired) = &retired {
                let segments = (number, 0)..=(number, u64::MAX);
                let segments = retired.range(segments);
                let mut segments = segments.map_err(|error| self.failed(error))?;
                has_any |= segments.next().is_some();
            }
            if has_any {
                found.insert(number);
            }
        }
        Ok(found)
    }

    /// The segments of a partition, by number.
    pub(in crate::partition) fn segments_of(
        &self,
        partition: u64,
    ) -> Result<BTreeMap<u64, SegmentEntry>, StoreError> {
        self.segments(&self.table(SEGMENTS)?, partition)
    }

    /// The segments of a partition that others have replaced, and whose files may be there still.
    pub(in crate::partition) fn retired_of(
        &self,
        partition: u64,
    ) -> Result<BTreeMap<u64, SegmentEntry>, StoreError> {
        match self.later_table(RETIRED)? {
            Some(table) => self.segments(&table, partition),
            None => Ok(BTreeMap::new()),
        }
    }

    /// How many segments are in use that are not encrypted.
    pub(in crate::partition) fn plain_segments(&self) -> Result<usize, StoreError> {
        let mut plain = 0;
        for entry in self.partitions()?.values() {
            let segments = self.segments_of(entry.partition)?;
            plain += segments.values().filter(|it| it.seal.is_none()).count();
        }
        Ok(plain)
    }

    /// How much there is of everything.
    pub(in crate::partition) fn totals(&self) -> Result<Totals, StoreError> {
        let count = |counted: Result<u64, _>| counted.map_err(|error| self.failed(error));
        let mut totals = Totals {
            rows: count(self.table(TAIL)?.len())?,
            removed_rows: count(self.table(TOMBSTONES)?.len())?,
            portraits: self.portraits()?,
            ..Totals::default()
        };
        for entry in self.partitions()?.values() {
            totals.galleries += 1;
            for segment in self.segments_of(entry.partition)?.values() {
                totals.segments += 1;
                totals.rows += segment.rows;
            }
        }
        Ok(totals)
    }

    /// Which data directory it is of, and how many changes it has seen.
    pub(super) fn age(&self) -> Result<(Option<NonZeroU64>, u64), StoreError> {
        Ok((self.identity()?, self.number(META_CHANGES)?.unwrap_or(0)))
    }

    /// The identity of the data directory; `None` until one that is older was opened to be changed.
    pub(in crate::partition) fn identity(&self) -> Result<Option<NonZeroU64>, StoreError> {
        Ok(self.number(META_IDENTITY)?.and_then(NonZeroU64::new))
    }

    /// Until which change all that was removed is overwritten, and when that was done; `None` if it never
    /// was.
    pub(in crate::partition) fn erased_until(
        &self,
    ) -> Result<Option<(u64, Timestamp)>, StoreError> {
        let done = self.number(META_ERASED_AT)?.unwrap_or(0);
        let unix_milliseconds = i64::try_from(done).unwrap_or(i64::MAX);
        let change = self.number(META_ERASED_CHANGE)?;
        Ok(change.map(|change| (change, Timestamp { unix_milliseconds })))
    }

    pub(in crate::partition) fn state_get(
        &self,
        area: &str,
        key: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.table(STATE)?;
        let value = table.get((area, key)).map_err(|error| self.failed(error))?;
        let value = value.map(|value| {
            let bytes = self.value(&key_of_state(area, key), value.value())?;
            Ok(bytes.to_vec())
        });
        value.transpose()
    }

    pub(in crate::partition) fn state_list(
        &self,
        area: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.state_page(area, "", usize::MAX)
    }

    /// At most `limit` values behind the key `after`.
    pub(in crate::partition) fn state_page(
        &self,
        area: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let table = self.table(STATE)?;
        let mut list = Vec::new();
        for item in table.range((area, after)..).map_err(|e| self.failed(e))? {
            let (key, value) = item.map_err(|error| self.failed(error))?;
            let (found, key) = key.value();
            if found != area || list.len() == limit {
                break;
            }
            // The empty key is behind nothing.
            if key == after && !after.is_empty() {
                continue;
            }
            let bytes = self.value(&key_of_state(area, key), value.value())?;
            list.push((key.to_owned(), bytes.to_vec()));
        }
        Ok(list)
    }

    /// How many values an area has.
    pub(in crate::partition) fn state_count(&self, area: &str) -> Result<usize, StoreError> {
        let table = self.table(STATE)?;
        let mut count = 0;
        for item in table.range((area, "")..).map_err(|e| self.failed(e))? {
            let (key, _) = item.map_err(|error| self.failed(error))?;
            if key.value().0 != area {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    /// A number of the table `meta`.
    pub(in crate::partition) fn number(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let table = self.table(META)?;
        let value = table.get(name).map_err(|error| self.failed(error))?;
        value
            .map(|value| number_of(self.path, name, value.value()))
            .transpose()
    }

    pub(super) fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        definition: TableDefinition<K, V>,
    ) -> Result<redb::ReadOnlyTable<K, V>, StoreError> {
        let table = self.transaction.open_table(definition);
        table.map_err(|error| self.failed(error))
    }

    /// A table that older catalogs do not have.
    pub(super) fn later_table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        definition: TableDefinition<K, V>,
    ) -> Result<Option<redb::ReadOnlyTable<K, V>>, StoreError> {
        match self.transaction.open_table(definition) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn partition_entry(&self, name: &str, value: &[u8]) -> Result<PartitionEntry, StoreError> {
        let entry: PartitionEntry = self.parse(&key_of_name(name), value)?;
        let dimension = entry.encoder.dimension();
        if !(DIMENSION_MIN..=DIMENSION_MAX).contains(&dimension) {
            let what = format!("the encoder of `{name}` makes {dimension} values");
            return Err(damage(self.path, what));
        }
        Ok(entry)
    }

    pub(super) fn value<'v>(&self, key: &[u8], value: &'v [u8]) -> Result<&'v [u8], StoreError> {
        unsealed(key, value).map_err(|what| damage(self.path, what))
    }

    fn parse<T: DeserializeOwned>(&self, key: &[u8], value: &[u8]) -> Result<T, StoreError> {
        parse(self.path, key, value)
    }

    pub(super) fn failed(&self, error: impl Into<redb::Error>) -> StoreError {
        failure("read", self.path, error)
    }
}

/// Writes of the key file how often it was written, and which keys it has.
pub(super) fn put_keys(
    transaction: &WriteTransaction,
    (written, digest): (u64, u64),
) -> Result<(), redb::Error> {
    put_number(transaction, META_KEYS_WRITTEN, written)?;
    put_number(transaction, META_KEYS_DIGEST, digest)?;
    put_number(transaction, META_KEYS_DIGESTED, written)
}

/// Writes a number of the table `meta`.
pub(super) fn put_number(
    transaction: &WriteTransaction,
    name: &str,
    number: u64,
) -> Result<(), redb::Error> {
    let value = sealed(&key_of_name(name), &number.to_le_bytes());
    transaction.open_table(META)?.insert(name, &*value)?;
    Ok(())
}

/// Fails if this build cannot read a catalog of version `found`.
pub(in crate::partition) fn check_version(
    path: &Path,
    found: Option<u64>,
) -> Result<(), StoreError> {
    let Some(found) = found else {
        return Err(damage(path, "it does not say its version".to_owned()));
    };
    if (u64::from(VERSION_OLDEST)..=u64::from(VERSION_NEWEST)).contains(&found) {
        return Ok(());
    }
    Err(StoreError::Version {
        path: path.to_owned(),
        found: u32::try_from(found).unwrap_or(u32::MAX),
        oldest: VERSION_OLDEST,
        newest: VERSION_NEWEST,
    })
}
