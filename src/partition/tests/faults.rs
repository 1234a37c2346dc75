//! A call that fails, wherever it is.

use std::sync::Arc;

use super::faulty::{Fault, FaultyDisk};
use super::workload::Operation::{
    self, AddBatch, Compact, Count, Enroll, Erase, Maintain, Remove, Seal,
};
use super::workload::{Model, encrypt, open, run};
use crate::partition::disk::{Disk, RealDisk};
use crate::partition::{Pace, PlaceFault, StoreError};

const ALL: usize = usize::MAX;

const OPERATIONS: &[Operation] = &[
    Enroll(0, 1, 2, ALL),
    Count,
    AddBatch(0, 3),
    Remove(0, 101),
    Seal(0),
    Enroll(0, 1, 1, 1),
    Compact(0),
    Maintain,
    Enroll(0, 2, 1, ALL),
    Erase(0, 2),
    Enroll(0, 3, 1, ALL),
];

/// Lets each call in turn fail, and opens afterwards what was left on a sound disk.
fn survives_a_failure_of_every_call(fault: Fault) {
    let whole = FaultyDisk::default();
    let directory = tempfile::tempdir().unwrap();
    run(&whole, directory.path(), OPERATIONS).1.unwrap();
    let calls = whole.calls();
    assert!(calls > 100, "the workload makes {calls} calls");
    let mut told = 0;
    for at in 0..calls {
        let directory = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::failing(at, fault);
        let (models, outcome) = run(&disk, directory.path(), OPERATIONS);
        let context = format!("{fault:?} at call {at}: {outcome:?}");
        told += usize::from(outcome.is_err());
        let acknowledged = models.len() - 1;
        let mut allowed = models.clone();
        if let Some(operation) = OPERATIONS.get(acknowledged) {
            let mut next = models[acknowledged].clone();
            next.apply(*operation);
            allowed.push(next);
        }
        let sound: Arc<dyn Disk> = Arc::new(RealDisk);
        let store = open(&sound, directory.path()).unwrap_or_else(|e| panic!("{context}: {e:?}"));
        let found = Model::of(&store).unwrap_or_else(|e| panic!("{context}: {e:?}"));
        assert!(
            allowed[acknowledged..]
                .iter()
                .any(|model| model.is_held_by(&found)),
            "{context}: found {found:?}, expected one of {:?}",
            &allowed[acknowledged..]
        );
        let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
        assert!(
            verified.damage.is_empty(),
            "{context}: {:?}",
            verified.damage
        );
    }
    // Some failures harm nobody: what cannot be deleted now is deleted later.
    assert!(
        told * 10 > calls * 8,
        "only {told} of {calls} failures were told"
    );
}

#[test]
fn an_error_of_any_call_loses_nothing() {
    survives_a_failure_of_every_call(Fault::Once);
}

#[test]
fn an_error_of_any_call_loses_nothing_that_is_encrypted() {
    encrypt();
    survives_a_failure_of_every_call(Fault::Once);
}

#[test]
fn a_full_disk_loses_nothing_that_is_encrypted() {
    encrypt();
    survives_a_failure_of_every_call(Fault::FromThenOn);
}

#[test]
fn a_full_disk_loses_nothing_whenever_it_is_full() {
    survives_a_failure_of_every_call(Fault::FromThenOn);
}

/// Lets the disk be full from each call on, makes room, and goes on with what is open.
#[test]
fn a_full_disk_is_written_again_once_there_is_room() {
    let whole = FaultyDisk::default();
    let directory = tempfile::tempdir().unwrap();
    run(&whole, directory.path(), OPERATIONS).1.unwrap();
    let calls = whole.calls();
    let (mut full, mut resumed) = (0, 0);
    for at in 0..calls {
        let directory = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::failing(at, Fault::FromThenOn);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let Ok(store) = open(&shared, directory.path()) else {
            continue;
        };
        let mut model = Model::default();
        let failed = OPERATIONS
            .iter()
            .position(|operation| operation.run(&store, &mut model).is_err());
        let context = format!("full from call {at} on, operation {failed:?}");
        if store.is_out_of_room() {
            full += 1;
            let refused = Count.run(&store, &mut model).unwrap_err();
            assert!(
                matches!(refused, StoreError::NoRoom { .. }),
                "{context}: {refused:?}"
            );
            let fault = store.place_fault();
            assert!(
                matches!(fault, Some(PlaceFault::Full { .. })),
                "{context}: {fault:?}"
            );
            // It is still full; or the file holds the change that was refused, which is seen now.
            let resumed = store.resume();
            assert!(!matches!(resumed, Ok(true)), "{context}");
        }
        disk.make_room();
        let is_resumed = store.is_out_of_room() && store.resume().unwrap();
        resumed += usize::from(is_resumed);
        if store.place_fault().is_none() {
            // What failed was not made, or was made before the part of it that failed.
            let found = Model::of(&store).unwrap_or_else(|e| panic!("{context}: {e:?}"));
            let mut next = model.clone();
            if let Some(failed) = failed {
                next.apply(OPERATIONS[failed]);
            }
            if !model.is_held_by(&found) {
                assert!(next.is_held_by(&found), "{context}: {found:?}");
                model = next;
            }
            for operation in &OPERATIONS[failed.map_or(OPERATIONS.len(), |it| it + 1)..] {
                let done = operation.run(&store, &mut model);
                done.unwrap_or_else(|e| panic!("{context}: {operation:?}: {e:?}"));
            }
            let found = Model::of(&store).unwrap();
            assert!(model.is_held_by(&found), "{context}: {found:?}");
        } else {
            let fault = store.place_fault();
            assert!(
                matches!(fault, Some(PlaceFault::Stopped { .. })),
                "{context}: {fault:?}"
            );
            let found = Count.run(&store, &mut model.clone());
            assert!(
                matches!(found, Err(StoreError::Stopped { .. })),
                "{context}"
            );
            continue;
        }
        drop(store);
        let sound: Arc<dyn Disk> = Arc::new(RealDisk);
        let store = open(&sound, directory.path()).unwrap_or_else(|e| panic!("{context}: {e:?}"));
        let found = Model::of(&store).unwrap();
        assert!(model.is_held_by(&found), "{context}: {found:?}");
        let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
        assert!(verified.damage.is_empty(), "{context}");
    }
    println!("{calls} calls: {full} ended changes, {resumed} of them until there was room");
    assert!(full * 4 > calls, "{full} of {calls}");
    assert!(resumed * 2 > full, "{resumed} of {full}");
}

#[test]
fn after_a_failed_commit_nothing_is_written_until_it_is_opened_again() {
    let prepared = [Enroll(0, 1, 1, ALL)];
    let whole = FaultyDisk::default();
    let directory = tempfile::tempdir().unwrap();
    run(&whole, directory.path(), &prepared).1.unwrap();
    let mut stopped = 0;
    // Whatever call of the second enrolment fails: it reads nothing that it could do without.
    for at in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::failing(whole_open_calls(&prepared) + at, Fault::Once);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let store = open(&shared, directory.path()).unwrap();
        let mut model = Model::default();
        prepared[0].run(&store, &mut model).unwrap();
        let first = Enroll(0, 1, 1, ALL).run(&store, &mut model);
        if !disk.has_failed() {
            break;
        }
        assert!(first.is_err(), "call {at}");
        let error = Enroll(0, 2, 1, ALL).run(&store, &mut model).unwrap_err();
        assert!(
            matches!(error, StoreError::Stopped { .. }),
            "call {at}: {error:?}"
        );
        assert!(
            error.to_string().contains("restart to reopen it"),
            "{error}"
        );
        stopped += 1;
        drop(store);
        let sound: Arc<dyn Disk> = Arc::new(RealDisk);
        let store = open(&sound, directory.path()).unwrap();
        let mut model = Model::of(&store).unwrap();
        Enroll(0, 2, 1, ALL).run(&store, &mut model).unwrap();
    }
    assert!(
        stopped >= 3,
        "a commit has at least two writes and a sync, and {stopped} calls failed"
    );
}

/// How many calls there are before a second enrolment begins.
fn whole_open_calls(prepared: &[Operation]) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let store = open(&shared, directory.path()).unwrap();
    prepared[0].run(&store, &mut Model::default()).unwrap();
    disk.calls()
}
