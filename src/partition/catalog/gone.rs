//! Taking a whole partition out of the catalog.
//!
//! One transaction takes out all that is said of it, so that a crash leaves it whole or gone. What it has
//! in files is named until it is gone, too: its segments are retired, and its number stays in a table of
//! its own until its key is destroyed and none of its files is left.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::commit::{Group, Halt};
use super::sealed::{key_of_numbers, parse, sealed};
use super::tables::{
    CHOSEN_CLASSES, EXPIRIES, EXTERNAL_IDS, LABELS, LAST_MATCHES, NAMES, NOT_SAME, PARTITIONS,
    PORTRAITS, RECORDS, REMOVED, RETIRED, SEGMENTS, STATE, SegmentEntry, TAIL, THRESHOLDS,
    TOMBSTONES, VERSION_WITH_PORTRAITS,
};
use crate::partition::StoreError;

/// Small values of the layers above that go with a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateOf {
    /// Whose they are.
    pub area: &'static str,
    /// Their name there, or what their names begin with.
    pub key: String,
    /// Whether it is the beginning of names.
    pub is_prefix: bool,
}

impl Group<'_> {
    /// Takes a partition out of the catalog, with all that is known of its people. Returns how many
    /// templates it had; `None` if there is none of this name and number any more.
    pub(in crate::partition) fn remove_partition(
        &mut self,
        name: &str,
        partition: u64,
    ) -> Result<Option<u64>, Halt> {
        let is_there =
            self.write(|transaction| Ok(transaction.open_table(PARTITIONS)?.get(name)?.is_some()))?;
        if !is_there || self.gone.contains(&partition) {
            return Ok(None);
        }
        let sealed_rows = self.rows_of(partition)?;
        let has_records = self.has_records()?;
        let has_portraits = self.version()? >= u64::from(VERSION_WITH_PORTRAITS);
        let (tail, tombstones) = self.write(|transaction| {
            transaction.open_table(PARTITIONS)?.remove(name)?;
            let removed = sealed(&key_of_numbers(&[partition]), &[]);
            transaction
                .open_table(REMOVED)?
                .insert(partition, &*removed)?;
            retire_all(transaction, partition)?;
            if has_records {
                remove_records(transaction, partition)?;
            }
            if has_portraits {
                let of = (partition, i64::MIN)..=(partition, i64::MAX);
                take_out(transaction, PORTRAITS, of)?;
            }
            let of = (partition, 0)..=(partition, u64::MAX);
            let tail = take_out(transaction, TAIL, of)?;
            let of = (partition, 0, 0)..=(partition, u64::MAX, u64::MAX);
            Ok((tail, take_out(transaction, TOMBSTONES, of)?))
        })?;
        self.changed = true;
        self.gone.push(partition);
        self.note_removal();
        Ok(Some((sealed_rows + tail).saturating_sub(tombstones)))
    }

    /// Forgets that a partition was removed: nothing is left of it.
    pub(in crate::partition) fn forget_removed(&mut self, partition: u64) -> Result<(), Halt> {
        self.changed = true;
        self.write(|transaction| {
            let of = (partition, 0)..=(partition, u64::MAX);
            take_out(transaction, RETIRED, of)?;
            transaction.open_table(REMOVED)?.remove(partition)?;
            Ok(())
        })
    }

    /// Removes values of the layers above.
    pub(in crate::partition) fn remove_state_of(&mut self, of: &StateOf) -> Result<(), Halt> {
        let StateOf {
            area,
            key,
            is_prefix,
        } = of;
        let is_of = |found: &str| match is_prefix {
            true => found.starts_with(key.as_str()),
            false => found == key,
        };
        self.changed = true;
        self.write(|transaction| {
            let mut table = transaction.open_table(STATE)?;
            let mut found = Vec::new();
            for item in table.range((*area, key.as_str())..)? {
                let (name, _) = item?;
                match name.value() {
                    (of, name) if of == *area && is_of(name) => found.push(name.to_owned()),
                    _ => break,
                }
            }
            for name in found {
                table.remove((*area, &*name))?;
            }
            Ok(())
        })
    }

    /// How many rows the segments of a partition have.
    fn rows_of(&self, partition: u64) -> Result<u64, Halt> {
        let table = self.write(|transaction| Ok(transaction.open_table(SEGMENTS)?))?;
        let all = table.range((partition, 0)..=(partition, u64::MAX));
        let mut rows: u64 = 0;
        for item in all.map_err(|error| self.broken(error))? {
            let (key, value) = item.map_err(|error| self.broken(error))?;
            let key = key_of_numbers(&[partition, key.value().1]);
            // One whose entry cannot be read has to go as the others.
            let entry: Result<SegmentEntry, StoreError> = parse(self.path, &key, value.value());
            rows = rows.saturating_add(entry.map_or(0, |entry| entry.rows));
        }
        Ok(rows)
    }
}

/// Makes all segments of a partition retired ones.
fn retire_all(transaction: &WriteTransaction, partition: u64) -> Result<(), redb::Error> {
    let mut segments = transaction.open_table(SEGMENTS)?;
    let mut retired = transaction.open_table(RETIRED)?;
    let mut numbers = Vec::new();
    for item in segments.range((partition, 0)..=(partition, u64::MAX))? {
        numbers.push(item?.0.value().1);
    }
    for segment in numbers {
        if let Some(entry) = segments.remove((partition, segment))? {
            retired.insert((partition, segment), entry.value())?;
        }
    }
    Ok(())
}

/// Removes all that is known of the people of a partition.
fn remove_records(transaction: &WriteTransaction, partition: u64) -> Result<(), redb::Error> {
    let next = partition + 1;
    let of_one = (partition, i64::MIN)..(next, i64::MIN);
    take_out(transaction, RECORDS, of_one.clone())?;
    take_out(transaction, THRESHOLDS, of_one.clone())?;
    take_out(transaction, LAST_MATCHES, of_one)?;
    let of_two = (partition, i64::MIN, i64::MIN)..(next, i64::MIN, i64::MIN);
    take_out(transaction, EXPIRIES, of_two.clone())?;
    take_out(transaction, NOT_SAME, of_two)?;
    let of_text = (partition, "", i64::MIN)..(next, "", i64::MIN);
    take_out(transaction, NAMES, of_text.clone())?;
    take_out(transaction, LABELS, of_text)?;
    take_out(transaction, EXTERNAL_IDS, (partition, "")..(next, ""))?;
    transaction.open_table(CHOSEN_CLASSES)?.remove(partition)?;
    Ok(())
}

/// Removes a range of a table. Returns how many there were.
fn take_out<'k, K: redb::Key + 'static>(
    transaction: &WriteTransaction,
    table: TableDefinition<'static, K, &'static [u8]>,
    range: impl std::ops::RangeBounds<K::SelfType<'k>> + 'k,
) -> Result<u64, redb::Error> {
    let mut count = 0;
    transaction.open_table(table)?.retain_in(range, |_, _| {
        count += 1;
        false
    })?;
    Ok(count)
}
