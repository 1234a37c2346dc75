//! Who may be enrolled as whom: what is checked of a record, and which class somebody new gets.

use std::collections::HashSet;
use std::sync::Arc;

use super::StoreError;
use super::catalog::{Group, Halt};
use super::shared::Shared;
use super::snapshot::Snapshot;
use crate::types::{ClassId, PartitionId, Record, RecordChange};

/// So many numbers are tried one after the other, before all that are taken are looked at.
const NUMBERS_TRIED: i64 = 64;

/// Fails if a class has no template.
pub(super) fn must_have(snapshot: &Snapshot, id: &PartitionId, class: ClassId) -> Result<(), Halt> {
    if snapshot.contains(class)? {
        return Ok(());
    }
    let partition = id.clone();
    Err(StoreError::NotEnrolled { partition, class }.into())
}

/// Fails if a record cannot be that of a class.
pub(super) fn check_record(
    group: &Group<'_>,
    shared: &Arc<Shared>,
    snapshot: &Snapshot,
    id: &PartitionId,
    class: ClassId,
    record: &Record,
) -> Result<(), Halt> {
    if let Some(external_id) = &record.external_id
        && let Some(taken) = group.class_of_external_id(shared.number(), external_id)?
        && taken != class
    {
        let (partition, class) = (id.clone(), taken);
        return Err(StoreError::ExternalIdTaken { partition, class }.into());
    }
    for other in record.not_same_as.classes() {
        if other == class {
            let partition = id.clone();
            return Err(StoreError::NotItself { partition, class }.into());
        }
        must_have(snapshot, id, other)?;
    }
    Ok(())
}

/// The class of somebody who is enrolled without a number: the one that has the external id, or a new
/// one.
pub(super) fn class_of_new(
    group: &Group<'_>,
    shared: &Arc<Shared>,
    snapshot: &Snapshot,
    id: &PartitionId,
    record: &RecordChange,
) -> Result<ClassId, Halt> {
    if let Some(Some(external_id)) = &record.external_id
        && let Some(class) = group.class_of_external_id(shared.number(), external_id)?
    {
        return Ok(class);
    }
    let highest = group.highest_chosen(shared.number())?;
    let first = match highest {
        Some(highest) => highest.saturating_add(1),
        None => highest_of(snapshot)?.saturating_add(1),
    };
    for number in first..first.saturating_add(NUMBERS_TRIED) {
        if is_choosable(number) && !snapshot.contains(ClassId(number))? {
            return Ok(ClassId(number));
        }
    }
    // Somebody has chosen many of the next ones.
    let number = highest_of(snapshot)?
        .max(highest.unwrap_or(0))
        .saturating_add(1);
    if is_choosable(number) {
        return Ok(ClassId(number));
    }
    let mut taken = HashSet::new();
    for row in snapshot.live_rows() {
        taken.insert(row.class()?.0);
    }
    let free = (1..=i64::from(i32::MAX)).find(|number| !taken.contains(number));
    free.map(ClassId).ok_or_else(|| {
        let partition = id.clone();
        StoreError::NoNumberLeft { partition }.into()
    })
}

/// Whether a partition chooses this number: clients of BWS have 32 bits.
fn is_choosable(number: i64) -> bool {
    (1..=i64::from(i32::MAX)).contains(&number)
}

/// The highest of the numbers in use that a partition might have chosen; 0 if there is none.
fn highest_of(snapshot: &Snapshot) -> Result<i64, StoreError> {
    let mut highest = 0;
    for row in snapshot.live_rows() {
        let class = row.class()?.0;
        if class > highest && is_choosable(class) {
            highest = class;
        }
    }
    Ok(highest)
}
