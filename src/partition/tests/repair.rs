//! Damage, and what can be mended.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::encrypted::copy;
use super::workload::Operation::{AddBatch, Enroll, Remove, Seal};
use super::workload::{Model, encoder, open, partition};
use crate::code::Layout;
use crate::partition::disk::{Disk, RealDisk};
use crate::partition::segment::{Plan, Plane};
use crate::partition::{Pace, RepairedSegment, Store, StoreError};
use crate::types::Timestamp;

const ROWS: usize = 5_000;
const NOW: Timestamp = Timestamp {
    unix_milliseconds: 5_000,
};

/// A data directory with one segment of many blocks of values, of which a row is removed, and a
/// tail.
fn make(directory: &Path) -> (Model, PathBuf) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let store = open(&disk, directory).unwrap();
    let mut model = Model::default();
    for operation in [
        AddBatch(0, ROWS),
        Remove(0, 102),
        Enroll(0, 7, 2, usize::MAX),
    ] {
        operation.run(&store, &mut model).unwrap();
    }
    drop(store);
    let segments = fs::read_dir(directory.join("segments/1")).unwrap();
    let path = segments.map(|entry| entry.unwrap().path()).next().unwrap();
    (model, path)
}

/// Changes one byte of a row in a plane.
fn damage(path: &Path, plane: Plane, row: usize) {
    let layout = Layout::new(encoder().dimension());
    let offset = Plan::new(layout, ROWS).plane(plane).offset + row * plane.row_bytes(layout);
    flip(path, offset);
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn repair(directory: &Path, snapshot: Option<&Path>, accept_loss: bool) -> Vec<RepairedSegment> {
    let store = Store::open(directory).unwrap();
    let snapshot = snapshot.map(|path| Store::open_read_only(path).unwrap());
    store.repair(None, snapshot.as_ref(), accept_loss).unwrap()
}

/// What a data directory holds, if it is whole.
fn contents(directory: &Path) -> Result<Model, StoreError> {
    let store = Store::open(directory)?;
    let found = Model::of(&store)?;
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {})?;
    assert!(verified.damage.is_empty(), "{:?}", verified.damage);
    Ok(found)
}

#[test]
fn what_follows_from_the_values_is_made_again() {
    for what in [
        "header",
        "table",
        "high",
        "low",
        "scales",
        "residuals coarse",
        "residuals fine",
        "lengths",
        "class order",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (model, path) = make(directory.path());
        match what {
            "header" => flip(&path, 20),
            "table" => flip(&path, fs::metadata(&path).unwrap().len() as usize - 1),
            "high" => damage(&path, Plane::High, 17),
            "low" => damage(&path, Plane::Low, 17),
            "scales" => damage(&path, Plane::Scales, 17),
            "residuals coarse" => damage(&path, Plane::ResidualsCoarse, 17),
            "residuals fine" => damage(&path, Plane::ResidualsFine, 17),
            "lengths" => damage(&path, Plane::Lengths, 17),
            _ => damage(&path, Plane::ClassOrder, 17),
        }
        let repaired = repair(directory.path(), None, false);
        // The last block of the table belongs to the values, which are then lost as far as anybody
        // can tell.
        if what == "table" {
            assert!(repaired[0].lost > 0 && !repaired[0].mended);
            continue;
        }
        assert_eq!(repaired.len(), 1, "{what}");
        assert_eq!(
            (repaired[0].from_segment, repaired[0].lost),
            (ROWS - 1, 0),
            "{what}"
        );
        assert!(
            model.is_held_by(&contents(directory.path()).unwrap()),
            "{what}"
        );
        assert!(path.with_extension("vseg.damaged").exists());
        assert!(repair(directory.path(), None, false).is_empty(), "{what}");
    }
}

#[test]
fn lost_values_come_from_a_snapshot_or_are_given_up_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = tempfile::tempdir().unwrap();
    let (model, path) = make(directory.path());
    copy(directory.path(), snapshot.path());
    damage(&path, Plane::Values, 0);
    let before = fs::read(&path).unwrap();

    let store = Store::open(directory.path()).unwrap();
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
    let [found] = &verified.damage[..] else {
        panic!("{:?}", verified.damage);
    };
    let layout = Layout::new(encoder().dimension());
    let offset = Plan::new(layout, ROWS).plane(Plane::Values).offset;
    assert_eq!(found.file.as_deref(), path.to_str());
    assert_eq!(found.offset_bytes, Some(offset as u64));
    assert!(found.what.contains("expected checksum"), "{}", found.what);
    drop(store);

    let [repaired] = &repair(directory.path(), None, false)[..] else {
        panic!("one segment is damaged");
    };
    // A block of 64 KiB holds 1,024 rows of 64 bytes; one of them was removed.
    assert_eq!((repaired.lost, repaired.mended), (1_023, false));
    assert_eq!(repaired.lost_classes[..3], [100, 101, 103]);
    assert_eq!(
        fs::read(&path).unwrap(),
        before,
        "nothing is changed unasked"
    );

    let given_up = tempfile::tempdir().unwrap();
    copy(directory.path(), given_up.path());
    assert!(repair(given_up.path(), None, true)[0].mended);
    let left = contents(given_up.path()).unwrap().templates;
    assert_eq!(left.len(), model.templates.len() - 1_023);
    assert!(
        left.iter()
            .all(|(key, values)| model.templates[key] == *values)
    );

    let [repaired] = &repair(directory.path(), Some(snapshot.path()), false)[..] else {
        panic!("one segment is damaged");
    };
    assert_eq!((repaired.from_snapshot, repaired.lost), (1_023, 0));
    assert!(model.is_held_by(&contents(directory.path()).unwrap()));
}

#[test]
fn a_missing_segment_comes_from_a_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = tempfile::tempdir().unwrap();
    let (model, path) = make(directory.path());
    copy(directory.path(), snapshot.path());
    fs::remove_file(&path).unwrap();
    let error = contents(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { .. }), "{error}");
    assert!(error.to_string().contains("gallery repair"), "{error}");
    assert_eq!(repair(directory.path(), None, false)[0].lost, ROWS - 1);
    let mended = repair(directory.path(), Some(snapshot.path()), false);
    assert!(mended[0].mended && !mended[0].kept);
    assert!(model.is_held_by(&contents(directory.path()).unwrap()));
}

/// It is whole, and says of other people what it should say of these.
#[test]
fn what_another_segment_holds_is_nobody_of_this_one() {
    let other = tempfile::tempdir().unwrap();
    let (_, of_another_directory) = make(other.path());
    let directory = tempfile::tempdir().unwrap();
    let snapshot = tempfile::tempdir().unwrap();
    let (mut model, path) = make(directory.path());
    let store = Store::open(directory.path()).unwrap();
    // The same number of rows as the first, under another number and of another partition.
    for operation in [AddBatch(1, ROWS), Remove(1, 102)] {
        operation.run(&store, &mut model).unwrap();
    }
    drop(store);
    copy(directory.path(), snapshot.path());
    let of_another_partition = fs::read_dir(directory.path().join("segments"))
        .unwrap()
        .map(|folder| folder.unwrap().path())
        .filter(|folder| !path.starts_with(folder))
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|file| file.unwrap().path())
        .next()
        .unwrap();
    for foreign in [of_another_directory, of_another_partition] {
        for is_cut in [false, true] {
            fs::copy(&foreign, &path).unwrap();
            if is_cut {
                let file = fs::File::options().write(true).open(&path).unwrap();
                let length = file.metadata().unwrap().len();
                file.set_len(length - 10_000).unwrap();
            }
            let lost = repair(directory.path(), None, false);
            assert_eq!((lost[0].from_segment, lost[0].lost), (0, ROWS - 1));
            assert!(!lost[0].mended);
        }
        let archive = other.path().join("a.tar.zst");
        let store = Store::open_read_only(directory.path()).unwrap();
        let copied = store.snapshot_to(&archive, true, NOW, &mut |_, _| {});
        let refused = copied.unwrap_err().with_causes();
        assert!(refused.contains(path.to_str().unwrap()), "{refused}");
        assert!(!archive.exists(), "of what cannot be restored");
    }
    let mended = repair(directory.path(), Some(snapshot.path()), false);
    assert_eq!(
        (mended[0].from_segment, mended[0].from_snapshot),
        (0, ROWS - 1)
    );
    assert!(model.is_held_by(&contents(directory.path()).unwrap()));
}

#[test]
fn templates_that_were_sealed_since_the_snapshot_are_found_by_their_number() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = tempfile::tempdir().unwrap();
    let (mut model, _) = make(directory.path());
    copy(directory.path(), snapshot.path());
    let store = Store::open(directory.path()).unwrap();
    Seal(0).run(&store, &mut model).unwrap();
    let newest =
        |path: &PathBuf| -> u64 { path.file_stem().unwrap().to_str().unwrap().parse().unwrap() };
    drop(store);
    let segments = fs::read_dir(directory.path().join("segments/1")).unwrap();
    let sealed = segments
        .map(|entry| entry.unwrap().path())
        .max_by_key(newest)
        .unwrap();
    let layout = Layout::new(encoder().dimension());
    flip(&sealed, Plan::new(layout, 2).plane(Plane::Values).offset);
    let repaired = repair(directory.path(), Some(snapshot.path()), false);
    assert_eq!((repaired[0].from_snapshot, repaired[0].lost), (2, 0));
    assert!(model.is_held_by(&contents(directory.path()).unwrap()));
}

#[test]
fn who_is_removed_while_a_segment_is_mended_stays_removed_and_the_others_are_found_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = tempfile::tempdir().unwrap();
    let (mut model, path) = make(directory.path());
    copy(directory.path(), snapshot.path());
    damage(&path, Plane::Values, 0);
    let store = Store::open(directory.path()).unwrap();
    let spare = Store::open_read_only(snapshot.path()).unwrap();
    let held = partition(&store, 0).unwrap();
    let reader = held.snapshot();
    assert!(Model::of(&store).is_err());
    let is_damaged = || store.health().unwrap().partitions[0].damage.is_some();
    assert!(is_damaged());
    let is_mended = AtomicBool::new(false);
    let removed = thread::scope(|scope| {
        let removing = scope.spawn(|| {
            let mut class = 1_000;
            // From before it begins until after it has ended.
            while !is_mended.load(Ordering::SeqCst) {
                Remove(0, class).run(&store, &mut model).unwrap();
                class += 1;
            }
            Remove(0, 100).run(&store, &mut model).unwrap();
            class - 1_000
        });
        let repaired = store.repair(None, Some(&spare), false).unwrap();
        is_mended.store(true, Ordering::SeqCst);
        assert!(repaired[0].mended && repaired[0].lost == 0);
        removing.join().unwrap()
    });
    assert!(removed > 0 && !is_damaged());
    // Whoever had the partition open finds it whole, and so does whoever comes later.
    assert!(model.is_held_by(&Model::of(&store).unwrap()));
    assert!(Arc::ptr_eq(&held, &partition(&store, 0).unwrap()));
    drop(reader);
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
    assert!(verified.damage.is_empty(), "{:?}", verified.damage);
    held.compact(&Pace::unlimited()).unwrap();
    assert!(model.is_held_by(&Model::of(&store).unwrap()));
    drop((store, spare, held));
    assert!(model.is_held_by(&contents(directory.path()).unwrap()));
}

#[test]
fn a_partition_that_could_not_be_opened_is_open_for_all_when_it_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = tempfile::tempdir().unwrap();
    let (model, path) = make(directory.path());
    copy(directory.path(), snapshot.path());
    fs::remove_file(&path).unwrap();
    let store = Store::open(directory.path()).unwrap();
    let spare = Store::open_read_only(snapshot.path()).unwrap();
    assert!(Model::of(&store).is_err());
    assert!(store.repair(None, Some(&spare), false).unwrap()[0].mended);
    assert!(model.is_held_by(&Model::of(&store).unwrap()));
}
