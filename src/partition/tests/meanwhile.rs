//! What others do between two looks of one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::workload::Operation::{Enroll, Remove, Seal};
use super::workload::{Model, Operation, partition};
use crate::partition::Store;
use crate::partition::partition::between_snapshots;

const ALL: usize = usize::MAX;

/// What may happen to a partition, and what it held before: places of templates change with it.
const MEANWHILE: &[(&[Operation], Operation)] = &[
    // Of three blocks one segment is made.
    (&[Enroll(0, 1, 2, ALL), Enroll(0, 1, 1, ALL)], Seal(0)),
    (
        &[
            Enroll(0, 2, 4, ALL),
            Enroll(0, 1, 2, ALL),
            Enroll(0, 1, 1, ALL),
        ],
        Seal(0),
    ),
    (
        &[Enroll(0, 1, 1, ALL), Seal(0), Enroll(0, 1, 1, ALL), Seal(0)],
        Operation::Compact(0),
    ),
    // Blocks of the tail are merged.
    (
        &[Enroll(0, 1, 2, ALL), Enroll(0, 1, 1, ALL)],
        Enroll(0, 3, 5, ALL),
    ),
    (&[Enroll(0, 1, 2, ALL), Enroll(0, 1, 1, ALL)], Remove(0, 1)),
];

#[test]
fn an_enrolment_looks_at_one_snapshot_whatever_others_do_meanwhile() {
    for (before, meanwhile) in MEANWHILE {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(directory.path()).unwrap());
        let mut model = Model::default();
        for operation in *before {
            operation.run(&store, &mut model).unwrap();
        }
        // All of a partition's are found before it is looked at for the first time.
        drop(partition(&store, 0).unwrap());
        let (others, at_that_time) = (store.clone(), model.clone());
        between_snapshots::once(move || {
            meanwhile.run(&others, &mut at_that_time.clone()).unwrap();
        });
        let own = Enroll(0, 1, 1, ALL);
        own.run(&store, &mut model).unwrap();
        let mut expected = Model::default();
        let all = before.iter().chain([meanwhile, &own]);
        all.for_each(|operation| expected.apply(*operation));
        let found = Model::of(&store).unwrap();
        let counts = |model: &Model| -> Vec<_> {
            let templates = model.templates.iter();
            templates
                .map(|(class, values)| (*class, values.len()))
                .collect()
        };
        assert_eq!(counts(&found), counts(&expected), "{meanwhile:?}");
    }
}

#[test]
fn compacting_and_erasing_come_to_an_end_while_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path()).unwrap());
    let mut model = Model::default();
    Enroll(0, 1, 2, ALL).run(&store, &mut model).unwrap();
    Seal(0).run(&store, &mut model).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut model = Model::default();
            while !stop.load(Ordering::Relaxed) {
                for operation in [Enroll(0, 7, 1, ALL), Seal(0), Remove(0, 7)] {
                    operation.run(&store, &mut model).unwrap();
                }
            }
        });
        let mut own = model.clone();
        for operation in [Operation::Compact(0), Operation::Erase(0, 1)] {
            operation.run(&store, &mut own).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let found = Model::of(&store).unwrap();
    assert!(found.templates.keys().all(|(_, class)| *class == 7));
}
