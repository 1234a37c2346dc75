//! Files of a data directory that are gone, or that somebody changed for others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::workload::Model;
use super::workload::Operation::{AddBatch, Compact, Count, Enroll, Seal};
use crate::partition::{Keys, Pace, PlaceFault, Store, StoreError};
use crate::types::Timestamp;

const ALL: usize = usize::MAX;
const NOW: Timestamp = Timestamp {
    unix_milliseconds: 0,
};

/// A data directory with two partitions: one with a segment and a tail, one with a segment.
pub(super) fn filled(directory: &Path) -> Model {
    let store = Store::open(directory).unwrap();
    let mut model = Model::default();
    for operation in [
        AddBatch(0, 5),
        AddBatch(1, 3),
        Enroll(0, 1, 2, ALL),
        Seal(0),
        Enroll(0, 2, 1, ALL),
    ] {
        operation.run(&store, &mut model).unwrap();
    }
    model
}

/// Everything that is in a directory, but what is empty: locks come and go.
pub(super) fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found.retain(|_, bytes| !bytes.is_empty());
    found
}

#[test]
fn no_catalog_is_made_where_one_is_missing() {
    for left in [
        &["segments/1", "segments/2", "readers.lock", "catalog.lock"][..],
        &["segments/1"],
        &["segments/2"],
        &["catalog.lock"],
        &["readers.lock"],
        &["server.key"],
    ] {
        let directory = tempfile::tempdir().unwrap();
        let model = filled(directory.path());
        let catalog = directory.path().join("catalog.redb");
        let aside = directory.path().join("aside");
        fs::write(directory.path().join("server.key"), b"a secret").unwrap();
        let numbered: Vec<_> = fs::read_dir(directory.path().join("segments"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(numbered.len(), 2);
        fs::create_dir(&aside).unwrap();
        fs::rename(&catalog, aside.join("catalog.redb")).unwrap();
        let all =
            ["readers.lock", "catalog.lock", "server.key"].map(|name| directory.path().join(name));
        for path in numbered.iter().chain(&all) {
            let is_left = |name: &&str| match name.strip_prefix("segments/") {
                Some(which) => numbered.get(which.parse::<usize>().unwrap() - 1) == Some(path),
                None => *path == directory.path().join(name),
            };
            if !left.iter().any(is_left) {
                fs::rename(path, aside.join(path.file_name().unwrap())).unwrap();
            }
        }
        let before = contents(directory.path());
        for open in [Store::open, Store::open_existing, Store::open_read_only] {
            let error = open(directory.path()).unwrap_err();
            assert!(
                matches!(&error, StoreError::CatalogLost { path, .. } if *path == catalog),
                "{left:?}: {error}"
            );
        }
        assert!(Store::is_in(directory.path()), "{left:?}");
        assert_eq!(contents(directory.path()), before, "{left:?}");

        for entry in fs::read_dir(&aside).unwrap() {
            let entry = entry.unwrap();
            let back = numbered
                .iter()
                .find(|path| path.file_name().unwrap() == entry.file_name());
            let back = back.cloned();
            let back = back.unwrap_or_else(|| directory.path().join(entry.file_name()));
            fs::rename(entry.path(), back).unwrap();
        }
        let store = Store::open(directory.path()).unwrap();
        assert!(model.is_held_by(&Model::of(&store).unwrap()), "{left:?}");
    }
}

#[test]
fn a_first_start_that_was_killed_is_begun_again() {
    let made = tempfile::tempdir().unwrap();
    drop(Store::open(made.path()).unwrap());
    let catalog = fs::read(made.path().join("catalog.redb")).unwrap();
    let drafts: [Option<&[u8]>; 4] = [
        None,
        Some(&[]),
        Some(&catalog[..catalog.len() / 2]),
        Some(&catalog),
    ];
    for draft in drafts {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("writer.lock"), b"").unwrap();
        if let Some(bytes) = draft {
            fs::write(directory.path().join("catalog.redb.new"), bytes).unwrap();
        }
        // A directory of segments is made before the first of them.
        fs::create_dir_all(directory.path().join("segments/1")).unwrap();
        assert!(!Store::is_in(directory.path()));
        let store = Store::open(directory.path()).unwrap();
        Enroll(0, 1, 1, ALL)
            .run(&store, &mut Model::default())
            .unwrap();
    }
}

/// Takes a data directory away, and may put it aside.
type TakeAway = fn(&Path, &Path);

/// Ways in which a data directory goes from under a service.
const TAKEN_AWAY: &[(&str, TakeAway)] = &[
    ("the directory is deleted", |data, _| {
        fs::remove_dir_all(data).unwrap();
    }),
    ("the directory is moved", |data, aside| {
        fs::rename(data, aside).unwrap();
    }),
    (
        "the directory is replaced by an empty one",
        |data, aside| {
            fs::rename(data, aside).unwrap();
            fs::create_dir(data).unwrap();
        },
    ),
    ("the directory is replaced by a copy", |data, aside| {
        fs::rename(data, aside).unwrap();
        fs::create_dir(data).unwrap();
        fs::copy(aside.join("catalog.redb"), data.join("catalog.redb")).unwrap();
    }),
    ("the catalog is deleted", |data, _| {
        fs::remove_file(data.join("catalog.redb")).unwrap();
    }),
    ("the catalog is replaced by a copy", |data, aside| {
        let catalog = data.join("catalog.redb");
        fs::copy(&catalog, aside).unwrap();
        fs::rename(aside, catalog).unwrap();
    }),
];

#[test]
fn nothing_is_acknowledged_once_the_data_directory_is_gone() {
    for (what, take_away) in TAKEN_AWAY {
        for is_renewed in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let data = directory.path().join("data");
            filled(&data);
            let store = Store::open(&data).unwrap();
            let mut model = Model::of(&store).unwrap();
            if is_renewed {
                store.renew_catalog().unwrap();
            }
            Enroll(0, 9, 1, ALL).run(&store, &mut model).unwrap();
            assert!(store.health().unwrap().is_good());
            assert_eq!(store.place_fault(), None);
            take_away(&data, &directory.path().join("aside"));
            let is_taken_away = |fault: Option<PlaceFault>| match fault {
                Some(PlaceFault::Gone { .. }) => !data.join("catalog.redb").exists(),
                Some(PlaceFault::Replaced { .. }) => data.join("catalog.redb").exists(),
                _ => false,
            };
            assert!(is_taken_away(store.place_fault()), "{what}");
            let stopped = store.health().unwrap().stopped.expect(what);
            assert!(
                stopped.contains("deleted, moved or replaced"),
                "{what}: {stopped}"
            );
            for operation in [Enroll(0, 10, 1, ALL), Count, AddBatch(0, 2)] {
                let refused = operation.run(&store, &mut model);
                assert!(refused.is_err(), "{what}: {operation:?}");
                // Room is not what it lacks.
                assert!(!store.resume().unwrap(), "{what}");
                assert!(is_taken_away(store.place_fault()), "{what}: after a change");
            }
        }
    }
}

#[test]
fn a_catalog_is_made_again_of_segments_alone() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let store = Store::open(directory.path()).unwrap();
    let mut model = Model::of(&store).unwrap();
    for operation in [Seal(0), AddBatch(1, 2), Seal(1)] {
        operation.run(&store, &mut model).unwrap();
    }
    drop(store);
    let catalog = directory.path().join("catalog.redb");
    let names = BTreeMap::new();
    let error = Store::rebuild(directory.path(), &names, NOW, &Keys::default()).unwrap_err();
    assert!(
        matches!(error, StoreError::CatalogPresent { .. }),
        "{error}"
    );

    fs::remove_file(&catalog).unwrap();
    // A copy of a segment under another number is none; half a one is none, either.
    let segment = segments(directory.path()).remove(0);
    let stray = segment.with_file_name("99999.vseg");
    fs::copy(&segment, &stray).unwrap();
    let rebuilt = Store::rebuild(directory.path(), &names, NOW, &Keys::default()).unwrap();
    assert_eq!(rebuilt.left_alone, [stray.display().to_string()]);
    assert_eq!(rebuilt.in_the_way, rebuilt.left_alone);
    assert!(Store::open(directory.path()).is_err());
    let found: Vec<&str> = rebuilt.partitions.iter().map(|it| &*it.partition).collect();
    assert_eq!(found, ["bws.0", "bws.1"]);
    fs::remove_file(&stray).unwrap();

    let store = Store::open(directory.path()).unwrap();
    assert!(same_templates(&model, &Model::of(&store).unwrap()));
    // No number comes back.
    Enroll(0, 77, 1, ALL).run(&store, &mut model).unwrap();
    Compact(0).run(&store, &mut model).unwrap();
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
    assert!(verified.damage.is_empty(), "{:?}", verified.damage);
}

#[test]
fn a_template_in_two_segments_comes_back_once() {
    let directory = tempfile::tempdir().unwrap();
    let model = filled(directory.path());
    let store = Store::open(directory.path()).unwrap();
    let mut sealed = Model::of(&store).unwrap();
    Seal(0).run(&store, &mut sealed).unwrap();
    let before = directory.path().join("before");
    fs::create_dir(&before).unwrap();
    let olds: Vec<PathBuf> = segments(directory.path());
    for (at, old) in olds.iter().enumerate() {
        fs::copy(old, before.join(at.to_string())).unwrap();
    }
    Compact(0).run(&store, &mut sealed).unwrap();
    drop(store);
    // As if the program had been killed before it deleted what it merged.
    for (at, old) in olds.iter().enumerate() {
        fs::rename(before.join(at.to_string()), old).unwrap();
    }
    fs::remove_file(directory.path().join("catalog.redb")).unwrap();
    let rebuilt =
        Store::rebuild(directory.path(), &BTreeMap::new(), NOW, &Keys::default()).unwrap();
    assert!(rebuilt.partitions[0].duplicates > 0);
    let store = Store::open(directory.path()).unwrap();
    assert!(same_templates(&model, &Model::of(&store).unwrap()));
}

/// Whether two hold the same people: the small values of the layers above are not in segments.
fn same_templates(one: &Model, other: &Model) -> bool {
    one.templates == other.templates
}

/// The files of segments.
pub(super) fn segments(directory: &Path) -> Vec<PathBuf> {
    let all = contents(&directory.join("segments"));
    all.into_keys().collect()
}

/// Opens a data directory in every way, and returns what is said of it.
pub(super) fn refusals(directory: &Path) -> Vec<StoreError> {
    let opens = [Store::open, Store::open_existing, Store::open_read_only];
    opens.map(|open| open(directory).unwrap_err()).into()
}

#[test]
fn what_belongs_to_another_data_directory_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let model = filled(one.path());
    filled(other.path());
    let files = segments(one.path());

    // A segment of the same number in the place of ours.
    let theirs = other
        .path()
        .join(files[0].strip_prefix(one.path()).unwrap());
    let ours = fs::read(&files[0]).unwrap();
    fs::copy(&theirs, &files[0]).unwrap();
    let error = Model::of(&Store::open(one.path()).unwrap()).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { .. }), "{error}");
    fs::write(&files[0], &ours).unwrap();

    // One more segment.
    let more = files[0].with_file_name("777.vseg");
    fs::copy(&theirs, &more).unwrap();
    for error in refusals(one.path()) {
        assert!(
            matches!(&error, StoreError::Foreign { path, .. } if *path == more),
            "{error}"
        );
    }
    assert!(more.exists());
    fs::remove_file(&more).unwrap();

    // Their catalog, with segments of the same numbers, and with none.
    let catalog = one.path().join("catalog.redb");
    let own = fs::read(&catalog).unwrap();
    fs::copy(other.path().join("catalog.redb"), &catalog).unwrap();
    let before = contents(&one.path().join("segments"));
    let witness = one.path().join("writer.lock");
    for error in refusals(one.path()) {
        assert!(
            matches!(&error, StoreError::ForeignCatalog { witness: named, .. } if *named == witness),
            "{error}"
        );
    }
    let witnessed = fs::read(&witness).unwrap();
    fs::write(&witness, b"").unwrap();
    let store = Store::open(one.path()).unwrap();
    let error = Model::of(&store).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { .. }), "{error}");
    drop(store);
    assert_eq!(contents(&one.path().join("segments")), before);
    let empty = tempfile::tempdir().unwrap();
    drop(Store::open(empty.path()).unwrap());
    fs::copy(empty.path().join("catalog.redb"), &catalog).unwrap();
    fs::write(&witness, b"").unwrap();
    for error in refusals(one.path()) {
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        // What was opened to be refused may have said something.
        fs::write(&witness, b"").unwrap();
    }
    assert_eq!(contents(&one.path().join("segments")), before);

    fs::write(&catalog, own).unwrap();
    fs::write(&witness, witnessed).unwrap();
    let store = Store::open(one.path()).unwrap();
    assert!(model.is_held_by(&Model::of(&store).unwrap()));
}
