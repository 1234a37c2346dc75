//! Portraits: a small picture of each person, where an operator has them stored.
//!
//! A portrait is of one template, and goes with it, in the same transaction. A person has one: of
//! those that were offered the one of the best quality, as long as its template stays.
//!
//! The first portrait raises the version of the catalog: an earlier build would remove people, and
//! leave their portraits.

use redb::{ReadableTable, ReadableTableMetadata};

use super::commit::{Group, Halt};
use super::failures::damage;
use super::records::key_of_class;
use super::sealed::{sealed, unsealed};
use super::tables::{PORTRAITS, Tables, VERSION_WITH_PORTRAITS};
use crate::partition::StoreError;
use crate::types::{ClassId, Portrait};

/// What stands before the picture: the number of the template, and its quality.
const HEAD_BYTES: usize = 12;

/// The portrait of a class, and of which of its templates it is.
#[derive(Clone, Debug)]
pub(in crate::partition) struct PortraitOf {
    /// The number of the template.
    pub(in crate::partition) template: u64,
    /// The quality of its sample, from 0 to 1; NaN where it is not known.
    pub(in crate::partition) quality: f32,
    pub(in crate::partition) portrait: Portrait,
}

impl PortraitOf {
    /// The better of two; the first of equals. An unknown quality is the least.
    pub(in crate::partition) fn better(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let worth = |it: &Self| it.quality.max(-1.0);
        match (one, other) {
            (Some(one), Some(other)) if worth(&other) > worth(&one) => Some(other),
            (one, other) => one.or(other),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let quality = self.quality.to_bits().to_le_bytes();
        [
            &self.template.to_le_bytes()[..],
            &quality,
            self.portrait.jpeg(),
        ]
        .concat()
    }

    fn of_bytes(bytes: &[u8]) -> Result<PortraitOf, String> {
        let Some((head, jpeg)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Err(format!(
                "a portrait has {} bytes, fewer than its head",
                bytes.len()
            ));
        };
        let (template, quality) = head.split_at(8);
        let template = template.try_into().map(u64::from_le_bytes);
        let quality = quality.try_into().map(u32::from_le_bytes);
        let portrait = Portrait::new(jpeg).map_err(|error| format!("a portrait: {error}"))?;
        Ok(PortraitOf {
            template: template.expect("the head has 12 bytes"),
            quality: f32::from_bits(quality.expect("the head has 12 bytes")),
            portrait,
        })
    }
}

/// All classes of a partition.
fn all(partition: u64) -> std::ops::RangeInclusive<(u64, i64)> {
    (partition, i64::MIN)..=(partition, i64::MAX)
}

impl Tables<'_> {
    /// The portrait of a class, if there is one.
    pub(in crate::partition) fn portrait(
        &self,
        partition: u64,
        class: ClassId,
    ) -> Result<Option<Portrait>, StoreError> {
        let Some(table) = self.later_table(PORTRAITS)? else {
            return Ok(None);
        };
        let key = (partition, class.0);
        let value = table.get(key).map_err(|error| self.failed(error))?;
        let read = value.map(|value| {
            let bytes = self.value(&key_of_class(key), value.value())?;
            let of = PortraitOf::of_bytes(bytes);
            Ok(of.map_err(|what| damage(self.path, what))?.portrait)
        });
        read.transpose()
    }

    /// The classes of a partition that have a portrait, in order. Each is compared with its checksum.
    pub(in crate::partition) fn classes_with_portraits(
        &self,
        partition: u64,
    ) -> Result<Vec<ClassId>, StoreError> {
        let mut classes = Vec::new();
        let Some(table) = self.later_table(PORTRAITS)? else {
            return Ok(classes);
        };
        let range = table.range(all(partition));
        for item in range.map_err(|error| self.failed(error))? {
            let (key, value) = item.map_err(|error| self.failed(error))?;
            self.value(&key_of_class(key.value()), value.value())?;
            classes.push(ClassId(key.value().1));
        }
        Ok(classes)
    }

    /// How many portraits there are, of all partitions.
    pub(super) fn portraits(&self) -> Result<u64, StoreError> {
        match self.later_table(PORTRAITS)? {
            Some(table) => table.len().map_err(|error| self.failed(error)),
            None => Ok(0),
        }
    }
}

impl Group<'_> {
    /// The portrait of a class, as the changes before this one in the group leave it.
    pub(in crate::partition) fn portrait(
        &self,
        partition: u64,
        class: ClassId,
    ) -> Result<Option<PortraitOf>, Halt> {
        if !self.has_portraits()? {
            return Ok(None);
        }
        let key = (partition, class.0);
        let table = self.write(|transaction| Ok(transaction.open_table(PORTRAITS)?))?;
        let value = table.get(key).map_err(|error| self.broken(error))?;
        let Some(value) = value else {
            return Ok(None);
        };
        let read = unsealed(&key_of_class(key), value.value()).and_then(PortraitOf::of_bytes);
        Ok(Some(read.map_err(|what| damage(self.path, what))?))
    }

    /// Has a class show the best of the portrait that it had, unless that was of a template that is
    /// `gone`, and the one that is offered. Returns whether one was removed.
    pub(in crate::partition) fn settle_portrait(
        &mut self,
        (partition, class): (u64, ClassId),
        had: Option<PortraitOf>,
        gone: impl Fn(u64) -> bool,
        offered: Option<PortraitOf>,
    ) -> Result<bool, Halt> {
        let before = had.as_ref().map(|it| it.template);
        let stays = had.filter(|it| !gone(it.template));
        let after = PortraitOf::better(stays, offered);
        if before == after.as_ref().map(|it| it.template) {
            return Ok(false);
        }
        let is_removed = before.is_some() && self.remove_portrait(partition, class)?;
        let Some(after) = after else {
            return Ok(is_removed);
        };
        self.begin_version(VERSION_WITH_PORTRAITS)?;
        let key = (partition, class.0);
        let value = sealed(&key_of_class(key), &after.to_bytes());
        self.write(|transaction| {
            transaction.open_table(PORTRAITS)?.insert(key, &*value)?;
            Ok(is_removed)
        })
    }

    /// Removes the portrait of a class. Returns whether there was one.
    pub(in crate::partition) fn remove_portrait(
        &mut self,
        partition: u64,
        class: ClassId,
    ) -> Result<bool, Halt> {
        if !self.has_portraits()? {
            return Ok(false);
        }
        let removed = self.write(|transaction| {
            let mut table = transaction.open_table(PORTRAITS)?;
            Ok(table.remove((partition, class.0))?.is_some())
        })?;
        if removed {
            self.changed = true;
            self.note_removal();
        }
        Ok(removed)
    }

    /// Removes all portraits of a partition. Returns how many there were.
    pub(in crate::partition) fn remove_portraits(&mut self, partition: u64) -> Result<u64, Halt> {
        if !self.has_portraits()? {
            return Ok(0);
        }
        let removed = self.write(|transaction| {
            let mut table = transaction.open_table(PORTRAITS)?;
            let before = table.len()?;
            table.retain_in(all(partition), |_, _| false)?;
            Ok(before - table.len()?)
        })?;
        if removed > 0 {
            self.changed = true;
            self.note_removal();
        }
        Ok(removed)
    }

    fn has_portraits(&self) -> Result<bool, Halt> {
        Ok(self.version()? >= u64::from(VERSION_WITH_PORTRAITS))
    }
}
