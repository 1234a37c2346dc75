//! What is known of people: records, the tables by which they are found, and pairs of classes that are not
//! the same person. All of it changes in the transaction that changes the templates.
//!
//! The first record raises the version of the catalog: an earlier build would pass records over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::commit::{Group, Halt};
use super::failures::damage;
use super::sealed::{key_of_numbers, number_of, sealed, unsealed};
use super::tables::{
    CHOSEN_CLASSES, EXPIRIES, EXTERNAL_IDS, LABELS, LAST_MATCHES, META, META_VERSION, NAMES,
    NOT_SAME, RECORDS, THRESHOLDS, Tables, VERSION_WITH_RECORDS, put_number,
};
use crate::partition::StoreError;
use crate::partition::filter::{Ending, RecordEvent};
use crate::partition::shared::Shared;
use crate::types::{
    ClassId, ClassThreshold, ExternalId, NotSameAs, Record, StoredRecord, Timestamp,
};

/// The bytes of a key that is a partition and a class, for its checksum.
pub(in crate::partition) fn key_of_class((partition, class): (u64, i64)) -> Vec<u8> {
    [partition.to_le_bytes(), class.to_le_bytes()].concat()
}

/// The bytes of a key that is a partition and two numbers that may be negative.
pub(in crate::partition) fn key_of_classes((partition, one, other): (u64, i64, i64)) -> Vec<u8> {
    [
        partition.to_le_bytes(),
        one.to_le_bytes(),
        other.to_le_bytes(),
    ]
    .concat()
}

/// The bytes of a key that is a partition, a text and a class.
pub(in crate::partition) fn key_of_text((partition, text, class): (u64, &str, i64)) -> Vec<u8> {
    [&key_of_class((partition, class))[..], text.as_bytes()].concat()
}

/// The bytes of a key that is a partition and a text.
pub(in crate::partition) fn key_of_id((partition, text): (u64, &str)) -> Vec<u8> {
    [&partition.to_le_bytes()[..], text.as_bytes()].concat()
}

/// All classes of a partition.
fn all(partition: u64) -> std::ops::RangeInclusive<(u64, i64)> {
    (partition, i64::MIN)..=(partition, i64::MAX)
}

/// All second classes that a first one has.
fn all_of(partition: u64, class: i64) -> std::ops::RangeInclusive<(u64, i64, i64)> {
    (partition, class, i64::MIN)..=(partition, class, i64::MAX)
}

/// A stored record; a damaged one is told of without its texts.
fn stored(bytes: &[u8]) -> Result<StoredRecord, String> {
    serde_json::from_slice(bytes).map_err(|_| "a record cannot be read".to_owned())
}

fn number(bytes: &[u8]) -> Result<i64, String> {
    let bytes = bytes.try_into().map(i64::from_le_bytes);
    bytes.map_err(|_| "a number of a record has not 8 bytes".to_owned())
}

impl Tables<'_> {
    /// What is known of some classes, in order; nothing of one of which nothing is.
    pub(in crate::partition) fn records(
        &self,
        partition: u64,
        classes: &[ClassId],
    ) -> Result<Vec<Record>, StoreError> {
        let nothing = || classes.iter().map(|_| Record::default()).collect();
        let Some(table) = self.later_table(RECORDS)? else {
            return Ok(nothing());
        };
        let pairs = self.later_table(NOT_SAME)?;
        let mut records = Vec::with_capacity(classes.len());
        for &class in classes {
            let key = (partition, class.0);
            let value = table.get(key).map_err(|error| self.failed(error))?;
            let mut record = match value {
                Some(value) => self.read(self.value(&key_of_class(key), value.value())?, stored)?,
                None => StoredRecord::new(&Record::default()),
            }
            .into_record()
            .map_err(|_| damage(self.path, "a record cannot be read".to_owned()))?;
            if let Some(pairs) = &pairs {
                let mut others = Vec::new();
                for item in pairs
                    .range(all_of(partition, class.0))
                    .map_err(|e| self.failed(e))?
                {
                    let (key, value) = item.map_err(|error| self.failed(error))?;
                    self.value(&key_of_classes(key.value()), value.value())?;
                    others.push(ClassId(key.value().2));
                }
                record.not_same_as = NotSameAs::all(others);
            }
            records.push(record);
        }
        Ok(records)
    }

    /// Whether a class has a record.
    pub(in crate::partition) fn has_records_of(&self, partition: u64) -> Result<bool, StoreError> {
        let Some(table) = self.later_table(RECORDS)? else {
            return Ok(false);
        };
        let mut records = table
            .range(all(partition))
            .map_err(|error| self.failed(error))?;
        Ok(records
            .next()
            .transpose()
            .map_err(|error| self.failed(error))?
            .is_some())
    }

    /// The classes that have a record or a portrait, or are said not to be another one.
    pub(in crate::partition) fn classes_with_records(
        &self,
        partition: u64,
    ) -> Result<BTreeSet<ClassId>, StoreError> {
        let mut classes = BTreeSet::new();
        if let Some(table) = self.later_table(RECORDS)? {
            for item in table
                .range(all(partition))
                .map_err(|error| self.failed(error))?
            {
                let (key, _) = item.map_err(|error| self.failed(error))?;
                classes.insert(ClassId(key.value().1));
            }
        }
        classes.extend(self.pairs(partition)?.into_keys());
        classes.extend(self.classes_with_portraits(partition)?);
        Ok(classes)
    }

    /// The classes whose name begins with `prefix`, or is it, by name and class, `limit` from the first
    /// after `after` on. Both are names as they are compared.
    pub(in crate::partition) fn named(
        &self,
        partition: u64,
        prefix: &str,
        is_whole: bool,
        after: Option<(&str, ClassId)>,
        limit: usize,
    ) -> Result<Vec<(String, ClassId)>, StoreError> {
        let Some(table) = self.later_table(NAMES)? else {
            return Ok(Vec::new());
        };
        let from = after.map_or((partition, prefix, i64::MIN), |(name, class)| {
            (partition, name, class.0)
        });
        let mut found = Vec::new();
        for item in table.range(from..).map_err(|error| self.failed(error))? {
            let (key, value) = item.map_err(|error| self.failed(error))?;
            let (of, name, class) = key.value();
            let fits = match is_whole {
                true => name == prefix,
                false => name.starts_with(prefix),
            };
            if of != partition || !fits || found.len() == limit {
                break;
            }
            self.value(&key_of_text(key.value()), value.value())?;
            if after.is_none_or(|(last, of)| (last, of.0) < (name, class)) {
                found.push((name.to_owned(), ClassId(class)));
            }
        }
        Ok(found)
    }

    /// The class of an external id.
    pub(in crate::partition) fn class_of_external_id(
        &self,
        partition: u64,
        id: &ExternalId,
    ) -> Result<Option<ClassId>, StoreError> {
        let Some(table) = self.later_table(EXTERNAL_IDS)? else {
            return Ok(None);
        };
        let key = (partition, id.as_str());
        let value = table.get(key).map_err(|error| self.failed(error))?;
        value
            .map(|value| self.read(self.value(&key_of_id(key), value.value())?, number))
            .transpose()
            .map(|class| class.map(ClassId))
    }

    /// Shows the classes that have a label, in order, from the first after `after` on, until `take` says
    /// that it has enough.
    pub(in crate::partition) fn labelled(
        &self,
        partition: u64,
        label: &str,
        after: Option<ClassId>,
        mut take: impl FnMut(ClassId) -> bool,
    ) -> Result<(), StoreError> {
        let Some(table) = self.later_table(LABELS)? else {
            return Ok(());
        };
        let first = after.map_or(i64::MIN, |after| after.0);
        let all = (partition, label, first)..=(partition, label, i64::MAX);
        for item in table.range(all).map_err(|error| self.failed(error))? {
            let (key, value) = item.map_err(|error| self.failed(error))?;
            self.value(&key_of_text(key.value()), value.value())?;
            let class = ClassId(key.value().2);
            if after != Some(class) && !take(class) {
                break;
            }
        }
        Ok(())
    }

    /// Whether a class has a label.
    pub(in crate::partition) fn has_label(
        &self,
        partition: u64,
        label: &str,
        class: ClassId,
    ) -> Result<bool, StoreError> {
        let Some(table) = self.later_table(LABELS)? else {
            return Ok(false);
        };
        let key = (partition, label, class.0);
        let value = table.get(key).map_err(|error| self.failed(error))?;
        Ok(value.is_some())
    }

    /// The classes whose time ends after `after`, and at `until` or before, by that time; and when the
    /// next one after those ends.
    pub(in crate::partition) fn ending(
        &self,
        partition: u64,
        after: Option<i64>,
        until: i64,
    ) -> Result<Ending, StoreError> {
        let Some(table) = self.later_table(EXPIRIES)? else {
            return Ok((Vec::new(), None));
        };
        let first = match after {
            Some(i64::MAX) => return Ok((Vec::new(), None)),
            Some(after) => after + 1,
            None => i64::MIN,
        };
        let mut found = Vec::new();
        let all = (partition, first, i64::MIN)..=(partition, i64::MAX, i64::MAX);
        for item in table.range(all).map_err(|error| self.failed(error))? {
            let (key, value) = item.map_err(|error| self.failed(error))?;
            self.value(&key_of_classes(key.value()), value.value())?;
            let (_, ends, class) = key.value();
            if ends > until {
                return Ok((found, Some(ends)));
            }
            found.push((ends, ClassId(class)));
        }
        Ok((found, None))
    }

    /// The thresholds of single classes.
    pub(in crate::partition) fn thresholds(
        &self,
        partition: u64,
    ) -> Result<BTreeMap<ClassId, f64>, StoreError> {
        let mut thresholds = BTreeMap::new();
        let Some(table) = self.later_table(THRESHOLDS)? else {
            return Ok(thresholds);
        };
        for item in table
            .range(all(partition))
            .map_err(|error| self.failed(error))?
        {
            let (key, value) = item.map_err(|error| self.failed(error))?;
            let bytes = self.value(&key_of_class(key.value()), value.value())?;
            let read = |bytes: &[u8]| {
                let bytes = bytes.try_into().map(f64::from_le_bytes);
                bytes.map_err(|_| "a threshold has not 8 bytes".to_owned())
            };
            thresholds.insert(ClassId(key.value().1), self.read(bytes, read)?);
        }
        Ok(thresholds)
    }

    /// For each class those that it is said not to be.
    pub(in crate::partition) fn pairs(
        &self,
        partition: u64,
    ) -> Result<BTreeMap<ClassId, Vec<ClassId>>, StoreError> {
        let mut pairs: BTreeMap<ClassId, Vec<ClassId>> = BTreeMap::new();
        let Some(table) = self.later_table(NOT_SAME)? else {
            return Ok(pairs);
        };
        let all = (partition, i64::MIN, i64::MIN)..=(partition, i64::MAX, i64::MAX);
        for item in table.range(all).map_err(|error| self.failed(error))? {
            let (key, value) = item.map_err(|error| self.failed(error))?;
            self.value(&key_of_classes(key.value()), value.value())?;
            let (_, one, other) = key.value();
            pairs.entry(ClassId(one)).or_default().push(ClassId(other));
        }
        Ok(pairs)
    }

    /// When classes were last recognised, as far as it was written.
    pub(in crate::partition) fn last_matches(
        &self,
        partition: u64,
        classes: &[ClassId],
    ) -> Result<Vec<Option<Timestamp>>, StoreError> {
        let Some(table) = self.later_table(LAST_MATCHES)? else {
            return Ok(vec![None; classes.len()]);
        };
        let mut matches = Vec::with_capacity(classes.len());
        for class in classes {
            let key = (partition, class.0);
            let value = table.get(key).map_err(|error| self.failed(error))?;
            let moment = value
                .map(|value| self.read(self.value(&key_of_class(key), value.value())?, number))
                .transpose()?;
            matches.push(moment.map(|unix_milliseconds| Timestamp { unix_milliseconds }));
        }
        Ok(matches)
    }

    /// What is wrong with the records of a partition: tables that do not say the same, and records of
    /// classes of which there is no template.
    pub(in crate::partition) fn wrong_records(
        &self,
        partition: u64,
        has_template: &dyn Fn(ClassId) -> bool,
    ) -> Result<Vec<String>, StoreError> {
        let mut wrong = Vec::new();
        let classes: Vec<ClassId> = self.classes_with_records(partition)?.into_iter().collect();
        let (mut names, mut ids, mut labels, mut ends) = (0, 0, 0, 0);
        for some in classes.chunks(1024) {
            for (class, record) in some.iter().zip(self.records(partition, some)?) {
                if !has_template(*class) {
                    wrong.push(format!(
                        "class {class} has a record or a portrait, and no template"
                    ));
                }
                names += u64::from(record.name.is_some());
                if let Some(id) = &record.external_id {
                    ids += 1;
                    if self.class_of_external_id(partition, id)? != Some(*class) {
                        wrong.push(format!("the external id of class {class} leads elsewhere"));
                    }
                }
                for label in record.labels.texts() {
                    labels += 1;
                    if !self.has_label(partition, &label, *class)? {
                        wrong.push(format!("class {class} is not found by one of its labels"));
                    }
                }
                ends += u64::from(record.expires.is_some());
            }
        }
        let (ended, next) = self.ending(partition, None, i64::MAX)?;
        let found = [
            (
                "names",
                names,
                self.count(NAMES, |(of, ..)| of == partition)?,
            ),
            (
                "external ids",
                ids,
                self.count(EXTERNAL_IDS, |(of, _)| of == partition)?,
            ),
            (
                "labels",
                labels,
                self.count(LABELS, |(of, ..)| of == partition)?,
            ),
            ("ends", ends, ended.len() as u64 + u64::from(next.is_some())),
        ];
        for (what, expected, found) in found {
            if expected != found {
                wrong.push(format!(
                    "records have {expected} {what}, and {found} are found by them"
                ));
            }
        }
        for (one, others) in self.pairs(partition)? {
            let back = |other: &ClassId| self.has_pair(partition, *other, one);
            for other in &others {
                if !back(other)? {
                    wrong.push(format!(
                        "class {one} is said not to be {other}, and not the other way"
                    ));
                }
            }
        }
        Ok(wrong)
    }

    fn has_pair(&self, partition: u64, one: ClassId, other: ClassId) -> Result<bool, StoreError> {
        let Some(table) = self.later_table(NOT_SAME)? else {
            return Ok(false);
        };
        let value = table.get((partition, one.0, other.0));
        Ok(value.map_err(|error| self.failed(error))?.is_some())
    }

    /// How many keys of a table are of a partition.
    fn count<K: redb::Key + 'static>(
        &self,
        table: TableDefinition<'static, K, &'static [u8]>,
        is_of: impl Fn(K::SelfType<'_>) -> bool,
    ) -> Result<u64, StoreError> {
        let Some(table) = self.later_table(table)? else {
            return Ok(0);
        };
        let mut count = 0;
        for item in table.iter().map_err(|error| self.failed(error))? {
            let (key, _) = item.map_err(|error| self.failed(error))?;
            count += u64::from(is_of(key.value()));
        }
        Ok(count)
    }

    fn read<T>(
        &self,
        bytes: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<T, StoreError> {
        read(bytes).map_err(|what| damage(self.path, what))
    }
}

impl Group<'_> {
    /// What is known of a class, as the changes before this one in the group leave it.
    pub(in crate::partition) fn record(
        &self,
        partition: u64,
        class: ClassId,
    ) -> Result<Record, Halt> {
        Ok(self.stored_record(partition, class)?.0)
    }

    /// The class of an external id.
    pub(in crate::partition) fn class_of_external_id(
        &self,
        partition: u64,
        id: &ExternalId,
    ) -> Result<Option<ClassId>, Halt> {
        if !self.has_records()? {
            return Ok(None);
        }
        let key = (partition, id.as_str());
        let class = self.value_of(EXTERNAL_IDS, key, &key_of_id(key), number)?;
        Ok(class.map(ClassId))
    }

    /// The highest class that the partition has chosen, or that was removed since.
    pub(in crate::partition) fn highest_chosen(&self, partition: u64) -> Result<Option<i64>, Halt> {
        if !self.has_records()? {
            return Ok(None);
        }
        let key = key_of_numbers(&[partition]);
        self.value_of(CHOSEN_CLASSES, partition, &key, number)
    }

    /// Says that the partition has chosen a class.
    pub(in crate::partition) fn put_highest_chosen(
        &mut self,
        partition: u64,
        class: ClassId,
    ) -> Result<(), Halt> {
        self.begin_records()?;
        let value = sealed(&key_of_numbers(&[partition]), &class.0.to_le_bytes());
        self.write(|transaction| {
            let mut table = transaction.open_table(CHOSEN_CLASSES)?;
            table.insert(partition, &*value)?;
            Ok(())
        })
    }

    /// Puts a record in the place of the one that a class has. The caller has seen to it that nobody
    /// else has the external id, and that the classes that it is not are enrolled.
    pub(in crate::partition) fn put_record(
        &mut self,
        shared: &Arc<Shared>,
        class: ClassId,
        record: &Record,
    ) -> Result<(), Halt> {
        let partition = shared.number();
        let (before, folded) = self.stored_record(partition, class)?;
        if before == *record {
            return Ok(());
        }
        self.begin_records()?;
        if before != Record::default() {
            // What was known before is in free pages of the catalog from now on.
            self.note_removal();
        }
        self.write(|transaction| {
            unindex(transaction, partition, class, &before, folded.as_deref())?;
            index(transaction, partition, class, record)
        })?;
        self.tell(shared, class, &before, record)
    }

    /// Removes what is known of a class, its portrait, and what others say of it.
    pub(in crate::partition) fn remove_record(
        &mut self,
        shared: &Arc<Shared>,
        class: ClassId,
    ) -> Result<(), Halt> {
        let partition = shared.number();
        self.remove_portrait(partition, class)?;
        if !self.has_records()? {
            return Ok(());
        }
        // Nobody else gets the number of somebody who was just removed.
        if let Some(highest) = self.highest_chosen(partition)?
            && class.0 > highest
            && i32::try_from(class.0).is_ok()
        {
            self.put_highest_chosen(partition, class)?;
        }
        self.changed = true;
        self.write(|transaction| {
            transaction
                .open_table(LAST_MATCHES)?
                .remove((partition, class.0))?;
            Ok(())
        })?;
        self.put_record(shared, class, &Record::default())
    }

    /// Keeps when some classes were last recognised, of those that have a record.
    pub(in crate::partition) fn put_last_matches(
        &mut self,
        partition: u64,
        matches: &[(ClassId, Timestamp)],
    ) -> Result<(), Halt> {
        if !self.has_records()? {
            return Ok(());
        }
        self.changed |= self.write(|transaction| {
            let records = transaction.open_table(RECORDS)?;
            let mut table = transaction.open_table(LAST_MATCHES)?;
            let mut changed = false;
            for (class, moment) in matches {
                let key = (partition, class.0);
                if records.get(key)?.is_some() {
                    let value = moment.unix_milliseconds.to_le_bytes();
                    table.insert(key, &*sealed(&key_of_class(key), &value))?;
                    changed = true;
                }
            }
            Ok(changed)
        })?;
        Ok(())
    }

    /// Tells searches of a change, once it is durable.
    fn tell(
        &mut self,
        shared: &Arc<Shared>,
        class: ClassId,
        before: &Record,
        after: &Record,
    ) -> Result<(), Halt> {
        let event = RecordEvent {
            class,
            labels_before: before.labels.clone(),
            labels_after: after.labels.clone(),
            expires_before: before.expires,
            expires_after: after.expires,
            changes_rules: before.threshold != after.threshold
                || before.not_same_as != after.not_same_as,
        };
        self.publish(shared, self.snapshot(shared)?);
        self.events.push((shared.clone(), event));
        Ok(())
    }

    pub(super) fn has_records(&self) -> Result<bool, Halt> {
        Ok(self.version()? >= u64::from(VERSION_WITH_RECORDS))
    }

    /// The version that the catalog has, in this group.
    pub(super) fn version(&self) -> Result<u64, Halt> {
        let number = |bytes: &[u8]| number_of(self.path, META_VERSION, bytes);
        let table = self.write(|transaction| Ok(transaction.open_table(META)?))?;
        let value = table
            .get(META_VERSION)
            .map_err(|error| self.broken(error))?;
        let version = value.map(|value| number(value.value())).transpose()?;
        Ok(version.unwrap_or_default())
    }

    /// From now on earlier builds do not open the catalog.
    fn begin_records(&mut self) -> Result<(), Halt> {
        self.begin_version(VERSION_WITH_RECORDS)
    }

    /// From now on builds that do not read a version do not open the catalog.
    pub(super) fn begin_version(&mut self, version: u32) -> Result<(), Halt> {
        let version = u64::from(version);
        if self.version()? < version {
            self.write(|transaction| put_number(transaction, META_VERSION, version))?;
        }
        self.changed = true;
        Ok(())
    }

    /// A record, and under what its name is found.
    fn stored_record(
        &self,
        partition: u64,
        class: ClassId,
    ) -> Result<(Record, Option<String>), Halt> {
        if !self.has_records()? {
            return Ok((Record::default(), None));
        }
        let key = (partition, class.0);
        let found = self.value_of(RECORDS, key, &key_of_class(key), stored)?;
        let stored = found.unwrap_or_else(|| StoredRecord::new(&Record::default()));
        let folded = stored.folded().map(str::to_owned);
        let record = stored.into_record();
        let mut record =
            record.map_err(|_| damage(self.path, "a record cannot be read".to_owned()))?;
        let table = self.write(|transaction| Ok(transaction.open_table(NOT_SAME)?))?;
        let mut others = Vec::new();
        let range = table.range(all_of(partition, class.0));
        for item in range.map_err(|error| self.broken(error))? {
            let (key, _) = item.map_err(|error| self.broken(error))?;
            others.push(ClassId(key.value().2));
        }
        record.not_same_as = NotSameAs::all(others);
        Ok((record, folded))
    }

    fn value_of<'k, K: redb::Key + 'static, T>(
        &self,
        table: TableDefinition<'static, K, &'static [u8]>,
        key: K::SelfType<'k>,
        sealing: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<Option<T>, Halt> {
        let table = self.write(|transaction| Ok(transaction.open_table(table)?))?;
        let value = table.get(key).map_err(|error| self.broken(error))?;
        let Some(value) = value else {
            return Ok(None);
        };
        let read = unsealed(sealing, value.value()).and_then(read);
        Ok(Some(read.map_err(|what| damage(self.path, what))?))
    }
}

/// Adds a record to all tables.
fn index(
    transaction: &WriteTransaction,
    partition: u64,
    class: ClassId,
    record: &Record,
) -> Result<(), redb::Error> {
    let key = (partition, class.0);
    let alone = Record {
        not_same_as: NotSameAs::default(),
        ..record.clone()
    };
    if !alone.is_empty() {
        let json = serde_json::to_vec(&StoredRecord::new(&alone));
        let json = json.expect("texts and numbers are JSON");
        let mut records = transaction.open_table(RECORDS)?;
        records.insert(key, &*sealed(&key_of_class(key), &json))?;
    }
    if let Some(name) = &record.name {
        let key = (partition, name.folded(), class.0);
        let mut names = transaction.open_table(NAMES)?;
        names.insert(key, &*sealed(&key_of_text(key), &[]))?;
    }
    if let Some(id) = &record.external_id {
        let key = (partition, id.as_str());
        let mut ids = transaction.open_table(EXTERNAL_IDS)?;
        ids.insert(key, &*sealed(&key_of_id(key), &class.0.to_le_bytes()))?;
    }
    let mut labels = transaction.open_table(LABELS)?;
    for label in record.labels.texts() {
        let key = (partition, &*label, class.0);
        labels.insert(key, &*sealed(&key_of_text(key), &[]))?;
    }
    if let Some(expires) = record.expires {
        let key = (partition, expires.unix_milliseconds, class.0);
        let mut expiries = transaction.open_table(EXPIRIES)?;
        expiries.insert(key, &*sealed(&key_of_classes(key), &[]))?;
    }
    if let Some(threshold) = record.threshold.map(ClassThreshold::get) {
        let mut thresholds = transaction.open_table(THRESHOLDS)?;
        thresholds.insert(key, &*sealed(&key_of_class(key), &threshold.to_le_bytes()))?;
    }
    let mut pairs = transaction.open_table(NOT_SAME)?;
    for other in record.not_same_as.classes() {
        for key in [(partition, class.0, other.0), (partition, other.0, class.0)] {
            pairs.insert(key, &*sealed(&key_of_classes(key), &[]))?;
        }
    }
    Ok(())
}

/// Takes a record out of all tables.
fn unindex(
    transaction: &WriteTransaction,
    partition: u64,
    class: ClassId,
    record: &Record,
    folded: Option<&str>,
) -> Result<(), redb::Error> {
    let key = (partition, class.0);
    transaction.open_table(RECORDS)?.remove(key)?;
    if let Some(folded) = folded {
        let mut names = transaction.open_table(NAMES)?;
        names.remove((partition, folded, class.0))?;
    }
    if let Some(id) = &record.external_id {
        let mut ids = transaction.open_table(EXTERNAL_IDS)?;
        ids.remove((partition, id.as_str()))?;
    }
    let mut labels = transaction.open_table(LABELS)?;
    for label in record.labels.texts() {
        labels.remove((partition, &*label, class.0))?;
    }
    if let Some(expires) = record.expires {
        let mut expiries = transaction.open_table(EXPIRIES)?;
        expiries.remove((partition, expires.unix_milliseconds, class.0))?;
    }
    transaction.open_table(THRESHOLDS)?.remove(key)?;
    let mut pairs = transaction.open_table(NOT_SAME)?;
    for other in record.not_same_as.classes() {
        pairs.remove((partition, class.0, other.0))?;
        pairs.remove((partition, other.0, class.0))?;
    }
    Ok(())
}
