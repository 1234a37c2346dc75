//! Files of a data directory that are older copies, and what says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::lost::{contents, filled, refusals, segments};
use super::workload::Operation::{self, AddBatch, Compact, Count, Enroll, Remove, Seal};
use super::workload::{Model, encrypt, keys};
use crate::partition::catalog::{META, META_CHANGES, META_IDENTITY};
use crate::partition::{Keys, Pace, Store, StoreError};
use crate::types::Timestamp;

const ALL: usize = usize::MAX;
const NOW: Timestamp = Timestamp {
    unix_milliseconds: 0,
};

/// What may be done since an older catalog was put aside; after most of it the segments are as they
/// were.
const LATER: &[&[Operation]] = &[
    &[Enroll(0, 9, 1, ALL)],
    &[Remove(0, 1)],
    &[Remove(0, 2)],
    &[Remove(1, 100)],
    &[Count],
    &[Enroll(2, 1, 1, ALL)],
    &[Enroll(0, 2, 1, 0)],
    &[Enroll(0, 9, 1, ALL), Remove(0, 9)],
    &[Seal(0)],
    &[AddBatch(1, 2), Compact(1)],
];

/// A data directory, its catalog as it was once, and what was done since.
struct Aged {
    directory: tempfile::TempDir,
    older: Vec<u8>,
    newer: Vec<u8>,
    model: Model,
}

impl Aged {
    fn new(later: &[Operation]) -> Aged {
        let directory = tempfile::tempdir().unwrap();
        let mut model = filled(directory.path());
        let catalog = directory.path().join("catalog.redb");
        let older = fs::read(&catalog).unwrap();
        let store = Store::open(directory.path()).unwrap();
        for operation in later {
            operation.run(&store, &mut model).unwrap();
        }
        drop(store);
        let newer = fs::read(&catalog).unwrap();
        Aged {
            directory,
            older,
            newer,
            model,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn put(&self, catalog: &[u8]) {
        fs::write(self.path().join("catalog.redb"), catalog).unwrap();
    }

    fn witness(&self) -> PathBuf {
        self.path().join("writer.lock")
    }

    fn holds(&self, model: &Model) -> bool {
        let store = Store::open(self.path()).unwrap();
        let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
        assert!(verified.damage.is_empty(), "{:?}", verified.damage);
        model.is_held_by(&Model::of(&store).unwrap())
    }
}

fn all_say_older(directory: &Path) -> bool {
    let errors = refusals(directory);
    errors
        .iter()
        .all(|error| matches!(error, StoreError::OlderCatalog { .. }))
}

#[test]
fn a_catalog_that_is_older_than_a_segment_is_refused() {
    // What was done since the older one was put aside.
    for later in [
        &[Seal(0)][..],
        &[AddBatch(0, 2)],
        // In a partition that the older one does not know.
        &[AddBatch(2, 1)],
        &[Remove(0, 1), Compact(0)],
        &[Compact(0), Enroll(1, 5, 1, ALL), Seal(1)],
    ] {
        let Aged {
            directory,
            older,
            newer,
            model,
        } = Aged::new(later);
        let catalog = directory.path().join("catalog.redb");
        let before = segments(directory.path());

        fs::write(&catalog, older).unwrap();
        for error in refusals(directory.path()) {
            assert!(
                matches!(error, StoreError::OlderCatalog { .. }),
                "{later:?}: {error}"
            );
        }
        // Nor where nothing else says so.
        fs::write(directory.path().join("writer.lock"), b"").unwrap();
        for error in refusals(directory.path()) {
            let StoreError::UnknownSegment { path, .. } = &error else {
                panic!("{later:?}: {error}");
            };
            assert!(before.contains(path));
        }
        assert_eq!(segments(directory.path()), before, "{later:?}");

        fs::write(&catalog, newer).unwrap();
        let store = Store::open(directory.path()).unwrap();
        assert!(model.is_held_by(&Model::of(&store).unwrap()), "{later:?}");
    }
}

#[test]
fn an_older_catalog_is_refused_whatever_was_done_since() {
    for later in LATER {
        let aged = Aged::new(later);
        let before = contents(&aged.path().join("segments"));
        let witnessed = fs::read(aged.witness()).unwrap();
        aged.put(&aged.older);
        for error in refusals(aged.path()) {
            let StoreError::OlderCatalog {
                path,
                witness,
                expected,
                found,
            } = &error
            else {
                panic!("{later:?}: {error}");
            };
            assert_eq!(*path, aged.path().join("catalog.redb"));
            assert_eq!(*witness, aged.witness());
            assert!(expected > found, "{later:?}: {error}");
        }
        let error =
            Store::rebuild(aged.path(), &BTreeMap::new(), NOW, &Keys::default()).unwrap_err();
        assert!(
            matches!(error, StoreError::CatalogPresent { .. }),
            "{error}"
        );
        assert_eq!(contents(&aged.path().join("segments")), before, "{later:?}");
        assert_eq!(fs::read(aged.witness()).unwrap(), witnessed);
        aged.put(&aged.newer);
        assert!(aged.holds(&aged.model), "{later:?}");
    }
}

#[test]
fn what_is_newer_than_its_witness_is_taken_and_remembered() {
    let aged = Aged::new(&[]);
    let early = fs::read(aged.witness()).unwrap();
    let mut model = aged.model.clone();
    let store = Store::open(aged.path()).unwrap();
    for class in 20..30 {
        Enroll(0, class, 1, ALL).run(&store, &mut model).unwrap();
    }
    drop(store);
    let late = fs::read(aged.path().join("catalog.redb")).unwrap();
    // As a crash of the machine may leave it, or somebody who knows no better.
    let lesser: [Option<Vec<u8>>; 6] = [
        None,
        Some(Vec::new()),
        Some(early[..20].to_vec()),
        Some(early.iter().map(|byte| !byte).collect()),
        Some(vec![0; 4096]),
        Some(early),
    ];
    for witness in lesser {
        let _ = fs::remove_file(aged.witness());
        if let Some(bytes) = &witness {
            fs::write(aged.witness(), bytes).unwrap();
        }
        drop(Store::open_read_only(aged.path()).unwrap());
        assert!(aged.holds(&model), "{witness:?}");
        // It is known again from the first open on.
        aged.put(&aged.older);
        assert!(all_say_older(aged.path()), "{witness:?}");
        aged.put(&late);
    }
}

#[test]
fn a_catalog_that_is_written_anew_is_as_new_as_before() {
    let aged = Aged::new(&[Remove(0, 2)]);
    let store = Store::open(aged.path()).unwrap();
    store.renew_catalog().unwrap();
    drop(store);
    assert!(aged.holds(&aged.model));
    aged.put(&aged.older);
    assert!(all_say_older(aged.path()));
}

#[test]
fn a_catalog_beside_the_witness_of_another_data_directory_is_refused() {
    let (one, other) = (Aged::new(&[]), Aged::new(&[Count]));
    let own = fs::read(one.witness()).unwrap();
    fs::copy(other.witness(), one.witness()).unwrap();
    let before = contents(one.path());
    for error in refusals(one.path()) {
        assert!(
            matches!(&error, StoreError::ForeignCatalog { path, witness, expected, found }
                if *path == one.path().join("catalog.redb")
                    && *witness == one.witness()
                    && expected != found),
            "{error}"
        );
    }
    assert_eq!(
        contents(&one.path().join("segments")),
        before
            .into_iter()
            .filter(|(path, _)| path.starts_with(one.path().join("segments")))
            .collect()
    );
    fs::write(one.witness(), own).unwrap();
    assert!(one.holds(&one.model));
    // Whoever knows that the catalog is the right one can say so.
    fs::copy(other.witness(), one.witness()).unwrap();
    let accepted = Store::accept_catalog(one.path(), &Keys::default()).unwrap();
    assert!(accepted.was_of_another && accepted.is_news());
    assert_eq!(accepted.changes_expected, None);
    assert!(one.holds(&one.model));
}

/// What a kill leaves of a data directory whose last change is the enrolment of class 9, and what was there
/// before that.
fn killed(is_encrypted: bool) -> (tempfile::TempDir, Keys, Model, Model) {
    if is_encrypted {
        encrypt();
    }
    let directory = tempfile::tempdir().unwrap();
    let (live, left) = (directory.path().join("live"), directory.path().join("left"));
    let store = Store::open_with(&live, &keys()).unwrap();
    assert_eq!(store.is_encrypted(), is_encrypted);
    let mut model = Model::default();
    for operation in [Enroll(0, 1, 2, ALL), Enroll(0, 2, 1, ALL)] {
        operation.run(&store, &mut model).unwrap();
    }
    let before = Model::of(&store).unwrap();
    Enroll(0, 9, 1, ALL).run(&store, &mut model).unwrap();
    // While it is open: closing it would write more.
    copy(&live, &left);
    (directory, keys(), before, model)
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

/// Flips a byte of the catalog that a kill leaves, all over the file, with and without what the witness
/// says. Returns how often the last change was said to be damaged.
fn flipped_bytes_undo_nothing(is_encrypted: bool) -> usize {
    let (directory, keys, before, model) = killed(is_encrypted);
    let [left, tried] = ["left", "tried"].map(|name| directory.path().join(name));
    let bytes = fs::read(left.join("catalog.redb")).unwrap();
    let header = if is_encrypted {
        4096..4096 + 2 * 4136
    } else {
        9..320
    };
    let every = if is_encrypted { 331 } else { 7 };
    let first = header.clone().step_by(every);
    let rest = (header.end..bytes.len()).filter(|at| bytes[*at] != 0);
    let rest: Vec<usize> = rest.collect();
    let rest = rest.iter().copied().step_by(rest.len() / 25 + 1);
    let (mut were_told, mut was_lost) = (0, false);
    for at in first.chain(rest) {
        for witness in ["kept", "emptied", "removed"] {
            copy(&left, &tried);
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            fs::write(tried.join("catalog.redb"), &flipped).unwrap();
            match witness {
                "emptied" => fs::write(tried.join("writer.lock"), b"").unwrap(),
                "removed" => fs::remove_file(tried.join("writer.lock")).unwrap(),
                _ => {}
            }
            let context = format!("byte {at}, witness {witness}");
            let looked_on = Store::open_read_only_with(&tried, &keys).map(drop);
            let opened = Store::open_with(&tried, &keys);
            let is_left_out = matches!(opened, Err(StoreError::LeftOut { .. }));
            if let Err(StoreError::LeftOut { .. }) = looked_on {
                assert!(is_left_out, "{context}");
            }
            match opened {
                Ok(store) => match Model::of(&store) {
                    Ok(found) => assert!(model.is_held_by(&found), "{context}"),
                    Err(StoreError::Catalog { .. }) => {}
                    Err(error) => panic!("{context}: {error}"),
                },
                Err(StoreError::LeftOut { .. }) => {
                    assert_ne!(witness, "kept", "{context}");
                    were_told += 1;
                    let now = fs::read(tried.join("catalog.redb")).unwrap();
                    assert!(now == flipped, "{context}: nothing was changed");
                    if !was_lost {
                        let accepted = Store::accept_catalog(&tried, &keys).unwrap();
                        assert!(accepted.left_out && accepted.is_news(), "{accepted:?}");
                        let store = Store::open_with(&tried, &keys).unwrap();
                        let found = Model::of(&store).unwrap();
                        // It may have been the older one of two first pages.
                        was_lost = before.is_held_by(&found);
                        assert!(was_lost || model.is_held_by(&found), "{context}");
                        drop(store);
                        // The one that was lost is the older one now.
                        fs::write(tried.join("catalog.redb"), &bytes).unwrap();
                        let older = Store::open_with(&tried, &keys).unwrap_err();
                        assert!(matches!(older, StoreError::OlderCatalog { .. }), "{older}");
                    }
                }
                Err(
                    StoreError::OlderCatalog { .. }
                    | StoreError::Catalog { .. }
                    | StoreError::Version { .. }
                    | StoreError::Keys { .. }
                    | StoreError::Io { .. },
                ) => {}
                Err(error) => panic!("{context}: {error}"),
            }
        }
    }
    assert!(was_lost);
    were_told
}

#[test]
fn a_damaged_last_change_is_not_undone_without_a_word() {
    assert!(flipped_bytes_undo_nothing(false) > 10);
}

#[test]
fn a_damaged_last_change_of_an_encrypted_catalog_is_not_undone_without_a_word() {
    assert!(flipped_bytes_undo_nothing(true) > 10);
}

#[test]
fn a_kill_alone_is_no_damage_also_where_the_witness_is_lost() {
    for is_encrypted in [false, true] {
        let (directory, keys, _, model) = killed(is_encrypted);
        let left = directory.path().join("left");
        fs::remove_file(left.join("writer.lock")).unwrap();
        let nothing_new = Store::accept_catalog(&left, &keys).unwrap();
        assert!(!nothing_new.is_news(), "{nothing_new:?}");
        fs::remove_file(left.join("writer.lock")).unwrap();
        let store = Store::open_with(&left, &keys).unwrap();
        assert!(model.is_held_by(&Model::of(&store).unwrap()));
    }
}

#[test]
fn an_older_catalog_that_is_accepted_takes_the_place_of_the_newer_one() {
    let aged = Aged::new(&[Enroll(0, 9, 1, ALL), Remove(0, 2), Count]);
    let mut model = Aged::new(&[]).model;
    let nothing_new = Store::accept_catalog(aged.path(), &Keys::default()).unwrap();
    assert!(!nothing_new.is_news());
    aged.put(&aged.older);
    let accepted = Store::accept_catalog(aged.path(), &Keys::default()).unwrap();
    assert_eq!(accepted.changes_expected, Some(accepted.changes + 3));
    assert!(aged.holds(&model));
    let store = Store::open(aged.path()).unwrap();
    Enroll(1, 5, 1, ALL).run(&store, &mut model).unwrap();
    drop(store);
    let own = fs::read(aged.path().join("catalog.redb")).unwrap();
    // The one that was lost turns up, and would undo what was done since.
    aged.put(&aged.newer);
    assert!(all_say_older(aged.path()));
    aged.put(&own);
    assert!(aged.holds(&model));
}

/// A catalog from before there were identities and counts.
#[test]
fn a_catalog_of_an_older_build_that_is_put_back_is_refused_and_can_be_accepted() {
    let aged = Aged::new(&[]);
    let newer = fs::read(aged.path().join("catalog.redb")).unwrap();
    let database = redb::Database::open(aged.path().join("catalog.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let mut meta = transaction.open_table(META).unwrap();
    for name in [META_IDENTITY, META_CHANGES] {
        assert!(meta.remove(name).unwrap().is_some());
    }
    drop(meta);
    transaction.commit().unwrap();
    drop(database);
    let older = fs::read(aged.path().join("catalog.redb")).unwrap();
    assert!(all_say_older(aged.path()));
    let accepted = Store::accept_catalog(aged.path(), &Keys::default()).unwrap();
    assert_eq!(accepted.changes, 0);
    // Its segments are still its own.
    assert!(aged.holds(&aged.model));
    aged.put(&newer);
    assert!(all_say_older(aged.path()));
    // Where there is no witness it is one that was never opened by this build.
    aged.put(&older);
    fs::remove_file(aged.witness()).unwrap();
    drop(Store::open_read_only(aged.path()).unwrap());
    let store = Store::open(aged.path()).unwrap();
    assert_eq!(store.partitions().unwrap().len(), 2);
}

#[test]
fn a_lost_catalog_that_turns_up_beside_one_made_of_segments_is_the_older_one() {
    for of_another in [false, true] {
        let aged = Aged::new(&[Seal(0)]);
        fs::remove_file(aged.path().join("catalog.redb")).unwrap();
        if of_another {
            let other = Aged::new(&[Count]);
            fs::copy(other.witness(), aged.witness()).unwrap();
        }
        Store::rebuild(aged.path(), &BTreeMap::new(), NOW, &Keys::default()).unwrap();
        let store = Store::open(aged.path()).unwrap();
        let held = Model::of(&store).unwrap();
        assert_eq!(held.templates, aged.model.templates);
        drop(store);
        if !of_another {
            aged.put(&aged.newer);
            assert!(all_say_older(aged.path()));
        }
    }
}

#[test]
fn a_catalog_is_missed_though_only_its_witness_is_left() {
    let aged = Aged::new(&[]);
    fs::remove_dir_all(aged.path().join("segments")).unwrap();
    for name in ["catalog.redb", "catalog.lock", "readers.lock"] {
        fs::remove_file(aged.path().join(name)).unwrap();
    }
    assert!(Store::is_in(aged.path()));
    for error in refusals(aged.path()) {
        assert!(
            matches!(&error, StoreError::CatalogLost { trace, .. } if *trace == aged.witness()),
            "{error}"
        );
    }
}

#[test]
fn a_restored_data_directory_begins_with_the_catalog_of_its_snapshot() {
    let aged = Aged::new(&[]);
    let store = Store::open(aged.path()).unwrap();
    let away = tempfile::tempdir().unwrap();
    let (archive, target) = (away.path().join("a.tar.zst"), away.path().join("data"));
    store
        .snapshot_to(&archive, false, NOW, &mut |_, _| {})
        .unwrap();
    drop(store);
    crate::partition::restore_archive(&archive, &target, &mut |_, _| {}).unwrap();
    let store = Store::open(&target).unwrap();
    let mut model = aged.model.clone();
    Enroll(0, 9, 1, ALL).run(&store, &mut model).unwrap();
    drop(store);
    // It is the same data directory, as it was before.
    fs::copy(
        aged.path().join("catalog.redb"),
        target.join("catalog.redb"),
    )
    .unwrap();
    assert!(all_say_older(&target));
}

#[test]
fn whoever_looks_on_while_it_is_changed_is_not_refused() {
    for _ in 0..5 {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path());
        look_on_while_it_is_changed(directory.path());
    }
}

#[test]
fn whoever_looks_on_while_an_encrypted_one_is_changed_is_not_refused() {
    for _ in 0..5 {
        let (_directory, data, _) = super::encrypted::filled();
        look_on_while_it_is_changed(&data);
    }
}

#[test]
fn a_catalog_that_was_cut_is_damaged_for_whoever_looks_on() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let whole = fs::read(directory.path().join("catalog.redb")).unwrap();
    for kept in [1, 320, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(directory.path().join("catalog.redb"), &whole[..kept]).unwrap();
        let refused = Store::open_read_only(directory.path()).unwrap_err();
        let is_damage = matches!(refused, StoreError::Catalog { .. });
        assert!(is_damage, "{kept} of {} bytes: {refused}", whole.len());
    }
}

/// With the first changes of a process the catalog grows.
fn look_on_while_it_is_changed(data: &Path) {
    let keys = keys();
    let store = Store::open_with(data, &keys).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut model = Model::default();
            for _ in 0..40 {
                Count.run(&store, &mut model).unwrap();
            }
        });
        while !writer.is_finished() {
            Store::open_read_only_with(data, &keys).unwrap();
        }
    });
}

/// Segments and catalog of one moment, with the witness of a later one.
#[test]
fn catalog_and_segments_that_are_both_older_are_refused() {
    for later in LATER {
        let directory = tempfile::tempdir().unwrap();
        let mut model = filled(directory.path());
        let aside = contents(directory.path());
        let store = Store::open(directory.path()).unwrap();
        for operation in *later {
            operation.run(&store, &mut model).unwrap();
        }
        drop(store);
        let newer = contents(directory.path());
        let witness = directory.path().join("writer.lock");
        for (path, bytes) in aside.iter().filter(|(path, _)| **path != witness) {
            fs::write(path, bytes).unwrap();
        }
        for path in segments(directory.path()) {
            if !aside.contains_key(&path) {
                fs::remove_file(path).unwrap();
            }
        }
        assert!(all_say_older(directory.path()), "{later:?}");
        for path in segments(directory.path()) {
            fs::remove_file(path).unwrap();
        }
        for (path, bytes) in &newer {
            fs::write(path, bytes).unwrap();
        }
        let store = Store::open(directory.path()).unwrap();
        assert!(model.is_held_by(&Model::of(&store).unwrap()), "{later:?}");
    }
}

/// A segment of the same number and partition that was written at another time: the same data
/// directory, restored and gone another way.
#[test]
fn an_older_copy_of_a_segment_under_the_same_name_is_refused() {
    let aged = Aged::new(&[]);
    let away = tempfile::tempdir().unwrap();
    let (archive, target) = (away.path().join("a.tar.zst"), away.path().join("data"));
    let store = Store::open(aged.path()).unwrap();
    store
        .snapshot_to(&archive, false, NOW, &mut |_, _| {})
        .unwrap();
    crate::partition::restore_archive(&archive, &target, &mut |_, _| {}).unwrap();
    drop(store);
    // Numbers go on where the catalog says.
    let gone_on = |data: &Path, operations: &[Operation]| {
        let (store, mut model) = (Store::open(data).unwrap(), aged.model.clone());
        for operation in operations {
            operation.run(&store, &mut model).unwrap();
        }
        model
    };
    let model = gone_on(aged.path(), &[Enroll(0, 9, 1, ALL), Seal(0)]);
    gone_on(&target, &[Enroll(0, 8, 1, ALL), Seal(0)]);
    let ours = segments(aged.path());
    let same = ours.iter().filter_map(|path| {
        let theirs = target.join(path.strip_prefix(aged.path()).unwrap());
        let (ours, theirs) = (fs::read(path).unwrap(), fs::read(theirs).ok()?);
        (ours != theirs).then(|| (path.clone(), ours, theirs))
    });
    let swapped: Vec<_> = same.collect();
    assert!(!swapped.is_empty(), "no segment has the same number");
    for (path, own, older) in swapped {
        fs::write(&path, older).unwrap();
        let store = Store::open(aged.path()).unwrap();
        let error = Model::of(&store).unwrap_err();
        assert!(matches!(error, StoreError::Incomplete { .. }), "{error}");
        drop(store);
        fs::write(&path, own).unwrap();
        assert!(aged.holds(&model));
    }
}
