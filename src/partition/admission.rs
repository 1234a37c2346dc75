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

/// The highest number that a partition chooses: clients of BWS have 32 bits.
const NUMBER_MAX: i64 = i32::MAX as i64;

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
    let chosen = new_classes(group, shared, snapshot, id, 1)?;
    Ok(chosen[0])
}

/// Classes for `count` people who are enrolled without a number, in the order of the choice. The caller says
/// that the last of them was chosen.
pub(super) fn new_classes(
    group: &Group<'_>,
    shared: &Arc<Shared>,
    snapshot: &Snapshot,
    id: &PartitionId,
    count: usize,
) -> Result<Vec<ClassId>, Halt> {
    let mut last = group.highest_chosen(shared.number())?;
    let mut chosen = Vec::with_capacity(count);
    for _ in 0..count {
        let class = next_class(snapshot, last, &chosen, id)?;
        last = Some(class.0);
        chosen.push(class);
    }
    Ok(chosen)
}

/// The class that is chosen after the last one, or after all that are in use if none was; none of those that
/// were `chosen` and have no template yet.
fn next_class(
    snapshot: &Snapshot,
    last: Option<i64>,
    chosen: &[ClassId],
    id: &PartitionId,
) -> Result<ClassId, StoreError> {
    let first = match last {
        Some(last) => last.saturating_add(1),
        None => highest_of(snapshot)?.saturating_add(1),
    };
    for number in first..first.saturating_add(NUMBERS_TRIED) {
        if is_choosable(number) && !snapshot.contains(ClassId(number))? {
            return Ok(ClassId(number));
        }
    }
    // Somebody has chosen many of the next ones.
    let number = highest_of(snapshot)?
        .max(last.unwrap_or(0))
        .saturating_add(1);
    if is_choosable(number) {
        return Ok(ClassId(number));
    }
    let mut taken: HashSet<i64> = chosen.iter().map(|class| class.0).collect();
    for row in snapshot.live_rows() {
        taken.insert(row.class()?.0);
    }
    // Behind the last one first: whoever got one of those before it may not be enrolled yet.
    let behind = first.max(1)..=NUMBER_MAX;
    let free = behind
        .chain(1..=NUMBER_MAX)
        .find(|number| !taken.contains(number));
    free.map(ClassId).ok_or_else(|| StoreError::NoNumberLeft {
        partition: id.clone(),
    })
}

/// Whether a partition chooses this number.
fn is_choosable(number: i64) -> bool {
    (1..=NUMBER_MAX).contains(&number)
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
