//! A crash at every point.

use std::path::Path;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::faulty::{Crash, Event, FaultyDisk, World, seed};
use super::workload::Operation::{
    self, AddBatch, AddPerson, Compact, Count, Describe, Enroll, EnrollNew, Erase, EraseEnded,
    Maintain, Merge, Remove, RemoveAll, RotateKeys, Seal,
};
use super::workload::{Model, assert_nothing_shows, encrypt, keys, open, run};
use crate::partition::disk::{Disk, RealDisk};
use crate::partition::{Pace, StoreError};

const ALL: usize = usize::MAX;

/// Enrolments, replacements and removals in the tail and in segments.
const CLIENTS: &[Operation] = &[
    Enroll(0, 1, 1, ALL),
    Enroll(0, 2, 2, ALL),
    Count,
    Enroll(1, 1, 1, ALL),
    Enroll(0, 1, 1, 1),
    Remove(0, 2),
    Seal(0),
    Enroll(0, 1, 1, 0),
    Enroll(0, 3, 2, ALL),
    Remove(0, 3),
    Count,
    Remove(1, 9),
    Seal(1),
    Enroll(1, 1, 1, ALL),
];

/// Batches, merging, erasing.
const OPERATORS: &[Operation] = &[
    AddBatch(0, 5),
    Enroll(0, 1, 2, ALL),
    AddBatch(0, 3),
    Remove(0, 101),
    Seal(0),
    AddBatch(0, 2),
    Maintain,
    Enroll(0, 7, 1, ALL),
    Remove(0, 100),
    Compact(0),
    Remove(0, 102),
    Erase(0, 7),
    AddBatch(1, 1),
    Remove(1, 100),
    Maintain,
    Enroll(0, 1, 1, 0),
];

/// People with names, in the tail and in segments.
const PEOPLE: &[Operation] = &[
    Enroll(0, 1, 1, ALL),
    Describe(0, 1, 1),
    EnrollNew(0, 2, 3),
    Describe(0, 1, 5),
    Seal(0),
    EnrollNew(0, 1, 7),
    Merge(0, 2, 1),
    EnrollNew(1, 1, 2),
    Enroll(1, 9, 1, ALL),
    Merge(1, 9, 1),
    Remove(0, 3),
    EraseEnded(1),
    EnrollNew(0, 1, 9),
    AddPerson(0, 20, 13),
    AddPerson(0, 20, 15),
    Erase(0, 4),
    Seal(0),
    Describe(0, 2, 11),
    Compact(0),
];

/// Whole partitions that come and go.
const GALLERIES: &[Operation] = &[
    Enroll(0, 1, 2, ALL),
    EnrollNew(0, 1, 3),
    Seal(0),
    AddPerson(0, 20, 5),
    Enroll(1, 5, 1, ALL),
    Seal(1),
    RemoveAll(0),
    Count,
    Enroll(0, 3, 1, ALL),
    EnrollNew(0, 1, 7),
    Seal(0),
    Remove(0, 3),
    RemoveAll(0),
    RemoveAll(0),
    Enroll(0, 4, 1, ALL),
    RemoveAll(1),
    RemoveAll(2),
    Enroll(1, 5, 1, ALL),
];

/// Other keys, twice, for galleries with segments and without, and for one that comes and goes.
const ROTATIONS: &[Operation] = &[
    Enroll(0, 1, 2, ALL),
    Describe(0, 1, 1),
    Seal(0),
    AddBatch(1, 3),
    Remove(1, 101),
    Enroll(2, 9, 1, ALL),
    RotateKeys,
    Enroll(0, 2, 1, ALL),
    Seal(0),
    Seal(2),
    RemoveAll(1),
    RotateKeys,
    AddBatch(1, 1),
    Erase(0, 1),
];

/// Runs the operations, and then, for every point at which the machine could have stopped and each
/// way in which it could have, opens what was left. Returns the first thing that is wrong.
fn crash_at_every_point(
    operations: &[Operation],
    crashes: &[Crash],
    is_seen: impl Fn(&Event) -> bool,
) -> Result<(), String> {
    let seed = seed();
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (models, outcome) = run(&disk, directory.path(), operations);
    outcome.unwrap();
    let (mut world, mut acknowledged) = (World::default(), 0);
    let events = disk.events();
    for (point, event) in events.iter().enumerate() {
        if is_seen(event) {
            world.add(event);
        }
        if let Event::Acknowledged(count) = event {
            acknowledged = *count;
        }
        for &crash in crashes {
            let mut random = StdRng::seed_from_u64(seed ^ point as u64);
            let left = tempfile::tempdir().unwrap();
            world.crash(crash, &mut random, directory.path(), left.path());
            check(left.path(), &models, acknowledged).map_err(|what| {
                let of = events.len();
                format!(
                    "VULTUS_SEED={seed}, {crash:?} after event {point} of {of} with {acknowledged} acknowledged: {what}"
                )
            })?;
        }
    }
    Ok(())
}

/// What was acknowledged is there, the next operation is there whole or not at all, and the data
/// directory goes on working.
fn check(directory: &Path, models: &[Model], acknowledged: usize) -> Result<(), String> {
    let failed = |error: StoreError| format!("{error:?}");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let store = open(&disk, directory).map_err(failed)?;
    let found = Model::of(&store).map_err(failed)?;
    let allowed = &models[acknowledged..models.len().min(acknowledged + 2)];
    if !allowed.iter().any(|model| model.is_held_by(&found)) {
        return Err(format!("found {found:?}, expected one of {allowed:?}"));
    }
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {});
    let damage = verified.map_err(failed)?.damage;
    if !damage.is_empty() {
        return Err(format!("{damage:?}"));
    }
    let mut model = found;
    for operation in [Enroll(0, 50, 1, ALL), Compact(0)] {
        operation.run(&store, &mut model).map_err(failed)?;
    }
    if keys().encrypt_new {
        assert_nothing_shows(directory);
    }
    let was_changing = store.is_changing_keys();
    if store.go_on_rotating(&Pace::unlimited()).map_err(failed)? != was_changing
        || store.is_changing_keys()
    {
        return Err(format!("keys of before are left: {was_changing}"));
    }
    let found = Model::of(&store).map_err(failed)?;
    match model.is_held_by(&found) {
        true => Ok(()),
        false => Err(format!("found {found:?} afterwards, expected {model:?}")),
    }
}

fn survives_a_crash_at_every_point(operations: &[Operation], crashes: &[Crash]) {
    crash_at_every_point(operations, crashes, |_| true).unwrap_or_else(|what| panic!("{what}"));
}

/// A disk that only says that it syncs must be found out, or these tests would prove nothing.
#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let syncs_no_files = |event: &Event| !matches!(event, Event::Sync(_));
    let wrong = crash_at_every_point(CLIENTS, &[Crash::Drop], syncs_no_files);
    assert!(wrong.is_err());
    let syncs_no_names = |event: &Event| !matches!(event, Event::SyncDirectory(_));
    let wrong = crash_at_every_point(CLIENTS, &[Crash::Drop], syncs_no_names);
    assert!(wrong.is_err());
}

#[test]
fn clients_lose_nothing_if_unsynced_writes_are_kept_or_dropped() {
    survives_a_crash_at_every_point(CLIENTS, &[Crash::Keep, Crash::Drop]);
}

#[test]
fn clients_lose_nothing_if_unsynced_writes_are_torn_and_reordered() {
    survives_a_crash_at_every_point(CLIENTS, &[Crash::Tear]);
}

#[test]
fn people_are_known_whole_or_not_at_all_if_unsynced_writes_are_kept_or_dropped() {
    survives_a_crash_at_every_point(PEOPLE, &[Crash::Keep, Crash::Drop]);
}

#[test]
fn people_are_known_whole_or_not_at_all_if_unsynced_writes_are_torn_and_reordered() {
    survives_a_crash_at_every_point(PEOPLE, &[Crash::Tear]);
}

#[test]
fn operators_lose_nothing_if_unsynced_writes_are_kept_or_dropped() {
    survives_a_crash_at_every_point(OPERATORS, &[Crash::Keep, Crash::Drop]);
}

#[test]
fn operators_lose_nothing_if_unsynced_writes_are_torn_and_reordered() {
    survives_a_crash_at_every_point(OPERATORS, &[Crash::Tear]);
}

#[test]
fn partitions_are_whole_or_gone_if_unsynced_writes_are_kept_or_dropped() {
    survives_a_crash_at_every_point(GALLERIES, &[Crash::Keep, Crash::Drop]);
}

#[test]
fn partitions_are_whole_or_gone_if_unsynced_writes_are_torn_and_reordered() {
    survives_a_crash_at_every_point(GALLERIES, &[Crash::Tear]);
}

#[test]
fn encrypted_partitions_are_whole_or_gone_and_not_shown() {
    encrypt();
    survives_a_crash_at_every_point(GALLERIES, &[Crash::Tear]);
}

/// Some of all: what an encrypted data directory does differently is its catalog and its keys.
#[test]
fn encrypted_clients_lose_and_show_nothing() {
    encrypt();
    survives_a_crash_at_every_point(CLIENTS, &[Crash::Drop]);
}

#[test]
fn encrypted_operators_lose_and_show_nothing() {
    encrypt();
    survives_a_crash_at_every_point(OPERATORS, &[Crash::Tear]);
}

#[test]
fn encrypted_people_are_known_whole_or_not_at_all_and_not_shown() {
    encrypt();
    survives_a_crash_at_every_point(PEOPLE, &[Crash::Tear]);
}

#[test]
fn other_keys_lose_and_show_nothing_and_are_gone_on_with() {
    encrypt();
    survives_a_crash_at_every_point(ROTATIONS, &[Crash::Drop, Crash::Tear]);
}
