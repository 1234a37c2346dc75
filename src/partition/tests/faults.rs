//! A call that fails, wherever it is.

use std::sync::Arc;

use super::faulty::{Fault, FaultyDisk};
use super::workload::Operation::{
    self, AddBatch, Compact, Count, Enroll, Erase, Maintain, Remove, Seal,
};
use super::workload::{Model, open, run};
use crate::partition::disk::{Disk, RealDisk};
use crate::partition::{Pace, StoreError};

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
fn a_full_disk_loses_nothing_whenever_it_is_full() {
    survives_a_failure_of_every_call(Fault::FromThenOn);
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
