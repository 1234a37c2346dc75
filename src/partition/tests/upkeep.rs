//! Erasing, the background, and many partitions.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::encrypted::copy;
use super::files::files_that_hold;
use super::workload::Operation::{AddBatch, Compact, Enroll, Remove, Seal};
use super::workload::{Model, encoder, open};
use crate::partition::disk::{Disk, RealDisk};
use crate::partition::snapshot::Source;
use crate::partition::{
    Maintenance, MaintenanceOptions, NewTemplate, Pace, Partition, Snapshot, Store, StoreError,
};
use crate::types::{ClassId, Clock, Embedding, PartitionId, Timestamp};

const ALL: usize = usize::MAX;
const NOW: Timestamp = Timestamp {
    unix_milliseconds: 0,
};

fn store(directory: &Path) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    open(&disk, directory).unwrap()
}

fn partition(store: &Store) -> Arc<Partition> {
    let id = "bws.0".parse().unwrap();
    store.partition_for(&id, &encoder(), NOW).unwrap()
}

/// Values that nothing else looks like.
fn secret() -> Vec<f32> {
    (0..16).map(|at| 0.123_456_7 + at as f32 / 7.0).collect()
}

fn enroll_secret(partition: &Partition, class: i64) {
    let template = NewTemplate {
        embedding: Embedding::new(secret()).unwrap(),
        quality: 0.5,
        portrait: None,
    };
    partition
        .enroll(ClassId(class), &encoder(), &[template], ALL, NOW)
        .unwrap();
}

/// Whether any file of a data directory holds the values.
fn holds_secret(directory: &Path) -> bool {
    let values = secret();
    let bytes: &[u8] = bytemuck::cast_slice(&values);
    !files_that_hold(directory, &[bytes]).is_empty()
}

/// A crash while a segment is overwritten leaves any of its sectors, but always the last one of its header.
#[test]
fn what_a_crash_left_half_overwritten_goes_with_the_next_opening() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let first = store(directory.path());
    AddBatch(0, 5).run(&first, &mut model).unwrap();
    enroll_secret(&partition(&first), 7);
    Seal(0).run(&first, &mut model).unwrap();
    let folder = directory.path().join("segments/1");
    let segments = || -> Vec<PathBuf> {
        let listed = fs::read_dir(&folder).unwrap();
        listed.map(|entry| entry.unwrap().path()).collect()
    };
    let old = segments();
    let old: Vec<(PathBuf, Vec<u8>)> = old
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let erased = first.erase(&partition(&first), ClassId(7), &Pace::unlimited());
    assert!(erased.unwrap().overwritten && !holds_secret(directory.path()));
    drop(first);
    let old: Vec<_> = old.into_iter().filter(|(path, _)| !path.exists()).collect();
    assert_eq!(old.len(), 1);
    let mut random = StdRng::seed_from_u64(3);
    for round in 0..16 {
        // The catalog forgets segments that are gone when their partition is opened.
        let copied = tempfile::tempdir().unwrap();
        copy(directory.path(), copied.path());
        let place = |path: &Path| {
            let path = path.strip_prefix(directory.path());
            copied.path().join(path.unwrap())
        };
        for (path, bytes) in &old {
            let mut left = bytes.clone();
            for (at, sector) in left.chunks_mut(512).enumerate() {
                let is_in_header = at < 8;
                let goes = match round {
                    // What is overwritten first, and what is last.
                    0 => at < 7,
                    1 => !is_in_header,
                    _ => random.random_bool(0.5),
                };
                if goes && at != 7 {
                    sector.fill(0);
                }
            }
            fs::write(place(path), left).unwrap();
        }
        let again = store(copied.path());
        assert_eq!(partition(&again).snapshot().templates(), 5, "round {round}");
        assert!(old.iter().all(|(path, _)| !place(path).exists()));
        assert!(!holds_secret(copied.path()), "round {round}");
    }
}

#[test]
fn what_is_erased_is_in_no_file_any_more() {
    for sealed in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let mut model = Model::default();
        AddBatch(0, 5).run(&store, &mut model).unwrap();
        let partition = partition(&store);
        enroll_secret(&partition, 7);
        assert!(holds_secret(directory.path()), "or this test shows nothing");
        if sealed {
            Seal(0).run(&store, &mut model).unwrap();
        }
        let erased = store
            .erase(&partition, ClassId(7), &Pace::unlimited())
            .unwrap();
        assert!(erased.was_enrolled && erased.overwritten);
        assert!(!holds_secret(directory.path()), "sealed: {sealed}");
        assert!(model.is_held_by(&Model::of(&store).unwrap()));
        let again = store
            .erase(&partition, ClassId(7), &Pace::unlimited())
            .unwrap();
        assert!(!again.was_enrolled && again.overwritten);
    }
}

#[test]
fn what_was_removed_is_overwritten_by_the_next_compaction() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let partition = partition(&store);
    enroll_secret(&partition, 7);
    partition.seal().unwrap();
    partition.remove(ClassId(7)).unwrap();
    assert!(holds_secret(directory.path()));
    let pace = Pace::unlimited();
    while store.compact_once(&pace).unwrap() {}
    assert!(!holds_secret(directory.path()));
}

/// A clock that tests move, and options by which the background does nothing by itself.
fn due(store: &Store, clock: &Clock) -> Result<bool, StoreError> {
    store.erase_due(Duration::from_secs(3_600), clock, &Pace::unlimited())
}

#[test]
fn what_was_removed_is_overwritten_within_the_time_also_after_restarts() {
    for sealed in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::from_unix_seconds(1_000_000));
        let minutes = |minutes: u64| clock.advance(Duration::from_secs(60 * minutes));
        let mut model = Model::default();
        let mut opened = store(directory.path());
        AddBatch(0, 100).run(&opened, &mut model).unwrap();
        enroll_secret(&partition(&opened), 7);
        if sealed {
            Seal(0).run(&opened, &mut model).unwrap();
        }
        // A new data directory may be one of an earlier build, of which nothing is known.
        due(&opened, &clock).unwrap();
        minutes(31);
        assert!(due(&opened, &clock).unwrap());
        assert!(
            !due(&opened, &clock).unwrap(),
            "there is nothing left to do"
        );
        partition(&opened).remove(ClassId(7)).unwrap();
        drop(opened);
        opened = store(directory.path());
        assert!(!due(&opened, &clock).unwrap());
        minutes(20);
        drop(opened);
        // Nobody has asked for the partition since.
        opened = store(directory.path());
        assert!(!due(&opened, &clock).unwrap(), "twenty minutes");
        // A free page of the catalog may have been written over by chance.
        assert!(
            !sealed || holds_secret(directory.path()),
            "or this test shows nothing"
        );
        minutes(11);
        assert!(due(&opened, &clock).unwrap());
        assert!(!holds_secret(directory.path()), "sealed: {sealed}");
        assert!(model.is_held_by(&Model::of(&opened).unwrap()));
        drop(opened);
        opened = store(directory.path());
        minutes(600);
        assert!(!due(&opened, &clock).unwrap(), "nothing was removed since");
    }
}

#[test]
fn a_clock_that_is_set_back_does_not_let_what_was_removed_wait_for_years() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    enroll_secret(&partition(&opened), 7);
    partition(&opened).remove(ClassId(7)).unwrap();
    due(
        &opened,
        &Clock::manual(Timestamp::from_unix_seconds(2_000_000_000)),
    )
    .unwrap();
    let clock = Clock::manual(Timestamp::from_unix_seconds(1_000_000));
    due(&opened, &clock).unwrap();
    clock.advance(Duration::from_secs(1_801));
    assert!(due(&opened, &clock).unwrap());
    assert!(!holds_secret(directory.path()));
}

#[test]
fn what_somebody_still_reads_is_overwritten_when_they_are_done() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let clock = Clock::manual(NOW);
    enroll_secret(&partition(&opened), 7);
    partition(&opened).seal().unwrap();
    partition(&opened).remove(ClassId(7)).unwrap();
    due(&opened, &clock).unwrap();
    clock.advance(Duration::from_secs(1_801));
    let reader = Store::open_read_only(directory.path()).unwrap();
    assert!(!due(&opened, &clock).unwrap() && !due(&opened, &clock).unwrap());
    assert!(holds_secret(directory.path()));
    drop(reader);
    assert!(due(&opened, &clock).unwrap());
    assert!(!holds_secret(directory.path()));
}

#[test]
fn a_damaged_partition_does_not_keep_others_from_being_erased() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let clock = Clock::manual(NOW);
    let other: PartitionId = "aaa.1".parse().unwrap();
    let damaged = opened.partition_for(&other, &encoder(), NOW).unwrap();
    for (partition, class) in [(&damaged, 1), (&partition(&opened), 7)] {
        for class in [class, class + 1] {
            enroll_secret(partition, class);
        }
        partition.seal().unwrap();
        partition.remove(ClassId(class)).unwrap();
        partition.remove(ClassId(class + 1)).unwrap();
    }
    enroll_secret(&damaged, 9);
    damaged.seal().unwrap();
    damaged.remove(ClassId(9)).unwrap();
    enroll_secret(&damaged, 10);
    due(&opened, &clock).unwrap();
    let number = damaged.shared().number();
    drop((damaged, opened));
    let folder = directory.path().join(format!("segments/{number}"));
    for file in fs::read_dir(&folder).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let opened = store(directory.path());
    clock.advance(Duration::from_secs(1_801));
    let error = due(&opened, &clock).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { .. }), "{error}");
    let own = directory
        .path()
        .join(format!("segments/{}", partition(&opened).shared().number()));
    assert!(!holds_secret(&own));
    due(&opened, &clock).unwrap_err();
}

#[test]
fn a_segment_that_a_crash_left_behind_is_overwritten_before_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    enroll_secret(&partition(&opened), 7);
    partition(&opened).seal().unwrap();
    let segments = directory
        .path()
        .join(format!("segments/{}", partition(&opened).shared().number()));
    let path = fs::read_dir(&segments)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    // Another name of the same file: what a disk keeps of it.
    let kept = directory.path().join("kept");
    fs::hard_link(&path, &kept).unwrap();
    let bytes = fs::read(&path).unwrap();
    let reader = partition(&opened).snapshot();
    partition(&opened).remove(ClassId(7)).unwrap();
    let pace = Pace::unlimited();
    while opened.compact_once(&pace).unwrap() {}
    // As if the process ended here.
    fs::remove_file(&path).unwrap();
    drop((reader, opened));
    for left in [
        bytes.clone(),
        [vec![0; 4_096], bytes[4_096..].to_vec()].concat(),
    ] {
        fs::write(&kept, &left).unwrap();
        fs::remove_file(&path).ok();
        fs::hard_link(&kept, &path).unwrap();
        let opened = store(directory.path());
        drop(partition(&opened));
        assert!(!path.exists());
        assert!(!holds_secret(directory.path()));
    }
}

#[test]
fn while_others_look_on_old_files_stay_and_the_eraser_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let writer = store(directory.path());
    let partition = partition(&writer);
    enroll_secret(&partition, 7);
    partition.seal().unwrap();
    let reader = Store::open_read_only(directory.path()).unwrap();
    let erased = writer
        .erase(&partition, ClassId(7), &Pace::unlimited())
        .unwrap();
    assert!(erased.was_enrolled && !erased.overwritten);
    // The reader sees the partition as it was when it began to look.
    let seen = reader
        .partition(partition.id())
        .unwrap()
        .unwrap()
        .snapshot();
    assert_eq!(values_of_first(&seen), secret());
    let error = seen_partition(&reader).remove(ClassId(7)).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    drop((seen, reader));
    let erased = writer
        .erase(&partition, ClassId(7), &Pace::unlimited())
        .unwrap();
    assert!(erased.overwritten);
    assert!(!holds_secret(directory.path()));
}

/// The values of the first row of a snapshot.
fn values_of_first(snapshot: &Snapshot) -> &[f32] {
    snapshot.live_rows().next().unwrap().values().unwrap()
}

/// Reads the first five rows as a search does.
fn scan_first(snapshot: &Snapshot) -> Result<(), StoreError> {
    snapshot.blocks().next().unwrap().scan(0..5).map(drop)
}

fn seen_partition(reader: &Store) -> Arc<Partition> {
    reader
        .partition(&"bws.0".parse().unwrap())
        .unwrap()
        .unwrap()
}

#[test]
fn old_segments_stay_while_a_snapshot_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let mut model = Model::default();
    for operation in [AddBatch(0, 5), AddBatch(0, 4), Remove(0, 101)] {
        operation.run(&store, &mut model).unwrap();
    }
    let before = partition(&store).snapshot();
    Compact(0).run(&store, &mut model).unwrap();
    assert_eq!(store.files().collect().unwrap(), 2, "both are being read");
    assert_eq!(before.live_rows().count(), 7);
    drop(before);
    assert_eq!(store.files().collect().unwrap(), 0);
    let files = fs::read_dir(directory.path().join("segments/1")).unwrap();
    assert_eq!(files.count(), 1);
    assert!(model.is_held_by(&Model::of(&store).unwrap()));
}

#[test]
fn a_tail_of_which_all_is_removed_is_sealed_into_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let partition = partition(&store);
    enroll_secret(&partition, 7);
    partition.remove(ClassId(7)).unwrap();
    let compacted = partition.compact(&Pace::unlimited()).unwrap();
    assert_eq!((compacted.segments_written, compacted.rows_removed), (0, 1));
    assert_eq!(partition.snapshot().blocks().count(), 0);
}

#[test]
fn only_many_files_are_merged() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let mut model = Model::default();
    for _ in 0..5 {
        AddBatch(0, 4).run(&store, &mut model).unwrap();
    }
    let partition = partition(&store);
    let segments = || partition.snapshot().blocks().count();
    let few = partition.merge_many(5, &Pace::unlimited()).unwrap();
    assert_eq!((few.segments_written, segments()), (0, 5));
    let many = partition.merge_many(4, &Pace::unlimited()).unwrap();
    assert_eq!((many.segments_written, segments()), (1, 1));
    assert!(model.is_held_by(&Model::of(&store).unwrap()));
}

#[test]
fn a_merge_that_is_stopped_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let mut model = Model::default();
    for operation in [AddBatch(0, 5), AddBatch(0, 4)] {
        operation.run(&store, &mut model).unwrap();
    }
    // So slow that it would take years.
    let pace = Arc::new(Pace::new(Some(1)));
    let (merging, partition) = (pace.clone(), partition(&store));
    let thread = thread::spawn(move || partition.compact(&merging));
    thread::sleep(Duration::from_millis(50));
    pace.stop();
    let stopped = thread.join().unwrap();
    assert!(
        matches!(stopped, Err(StoreError::Interrupted)),
        "{stopped:?}"
    );
    let files = fs::read_dir(directory.path().join("segments/1")).unwrap();
    assert_eq!(files.count(), 2);
    assert!(model.is_held_by(&Model::of(&store).unwrap()));
}

#[test]
fn a_tail_is_sealed_beside_a_merge() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let mut model = Model::default();
    for operation in [AddBatch(0, 5), AddBatch(0, 4), Enroll(0, 1, 2, ALL)] {
        operation.run(&store, &mut model).unwrap();
    }
    // A merge that takes years, once what must be sealed first is sealed.
    Seal(0).run(&store, &mut model).unwrap();
    let pace = Arc::new(Pace::new(Some(1)));
    let (merging, merged) = (pace.clone(), partition(&store));
    let thread = thread::spawn(move || merged.compact(&merging));
    while fs::read_dir(directory.path().join("segments/1"))
        .unwrap()
        .count()
        < 4
    {
        thread::sleep(Duration::from_millis(1));
    }
    Enroll(0, 2, 1, ALL).run(&store, &mut model).unwrap();
    Seal(0).run(&store, &mut model).unwrap();
    let snapshot = partition(&store).snapshot();
    let tails = snapshot
        .blocks
        .iter()
        .filter(|block| matches!(block.source, Source::Tail(_)));
    assert_eq!(tails.count(), 0);
    pace.stop();
    thread.join().unwrap().unwrap_err();
    Compact(0).run(&store, &mut model).unwrap();
    assert!(model.is_held_by(&Model::of(&store).unwrap()));
}

#[test]
fn the_background_seals_a_long_tail_and_ends_when_it_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(store(directory.path()));
    let options = MaintenanceOptions {
        compaction_bytes_per_second: None,
        ..MaintenanceOptions::default()
    };
    let maintenance = Maintenance::start(&store, &options).unwrap();
    let mut model = Model::default();
    for class in 0..2 {
        Enroll(0, class, 10_000, ALL)
            .run(&store, &mut model)
            .unwrap();
    }
    let partition = partition(&store);
    while !matches!(partition.snapshot().blocks[0].source, Source::Segment(..)) {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(model.is_held_by(&Model::of(&store).unwrap()));
    drop(maintenance);
    drop(partition);
    assert!(Arc::try_unwrap(store).is_ok(), "nobody holds it any more");
}

#[test]
fn the_scrub_finds_what_changed_after_it_was_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let mut model = Model::default();
    AddBatch(0, 5).run(&store, &mut model).unwrap();
    let snapshot = partition(&store).snapshot();
    scan_first(&snapshot).unwrap();
    let segments = fs::read_dir(directory.path().join("segments/1")).unwrap();
    let path = segments.map(|entry| entry.unwrap().path()).next().unwrap();
    let file = RealDisk.modify(&path).unwrap();
    file.write_at(&[0xff; 8], 4096).unwrap();
    store.scrub(&Pace::unlimited()).unwrap();
    let error = scan_first(&snapshot).unwrap_err();
    let StoreError::Incomplete { source, .. } = error else {
        panic!("{error}");
    };
    assert!(
        matches!(*source, StoreError::Damaged { offset: 4096, .. }),
        "{source}"
    );
}

#[test]
fn the_scrub_keeps_nobody_from_erasing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(store(directory.path()));
    let mut model = Model::default();
    AddBatch(0, 5).run(&store, &mut model).unwrap();
    // So slow that it takes years for what it has begun.
    let pace = Arc::new(Pace::new(Some(1)));
    let (scrubbed, slow) = (store.clone(), pace.clone());
    let scrub = thread::spawn(move || scrubbed.scrub(&slow));
    thread::sleep(Duration::from_millis(50));
    let partition = partition(&store);
    let erased = store.erase(&partition, ClassId(101), &Pace::unlimited());
    let erased = erased.unwrap();
    assert!(erased.was_enrolled && erased.overwritten);
    pace.stop();
    let stopped = scrub.join().unwrap();
    assert!(
        matches!(stopped, Err(StoreError::Interrupted)),
        "{stopped:?}"
    );
}

/// Changes a byte of the only segment of the first partition.
fn damage_segment(directory: &Path, offset: u64) {
    let segments = fs::read_dir(directory.join("segments/1")).unwrap();
    let path = segments.map(|entry| entry.unwrap().path()).next().unwrap();
    let file = RealDisk.modify(&path).unwrap();
    file.write_at(&[0xff; 8], offset).unwrap();
}

/// The damage that is known of the first partition.
fn known_damage(store: &Store) -> Option<String> {
    let health = store.health().unwrap();
    assert_eq!(health.is_good(), health.partitions[0].damage.is_none());
    health.partitions[0].damage.clone()
}

#[test]
fn the_health_of_a_partition_follows_the_scrub_and_the_next_open() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let first = store(directory.path());
    AddBatch(0, 5).run(&first, &mut model).unwrap();
    let segments = directory.path().join("segments/1");
    let path = fs::read_dir(&segments).unwrap().next().unwrap();
    let path = path.unwrap().path();
    let bytes = fs::read(&path).unwrap();
    damage_segment(directory.path(), 4096);
    first.scrub(&Pace::unlimited()).unwrap();
    let damage = known_damage(&first).unwrap();
    assert!(damage.contains("damaged at byte 4096"), "{damage}");
    fs::write(&path, &bytes).unwrap();
    first.scrub(&Pace::unlimited()).unwrap();
    assert_eq!(known_damage(&first), None);
    drop(first);

    fs::rename(&path, directory.path().join("aside")).unwrap();
    let again = store(directory.path());
    let id: PartitionId = "bws.0".parse().unwrap();
    again.partition(&id).unwrap_err();
    let damage = known_damage(&again).unwrap();
    assert!(damage.contains("cannot open"), "{damage}");
    fs::rename(directory.path().join("aside"), &path).unwrap();
    again.partition(&id).unwrap();
    assert_eq!(known_damage(&again), None);
}

#[test]
fn hundreds_of_partitions_are_opened_on_demand() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let ids = (0..300).map(|number| format!("bws.{number}").parse::<PartitionId>().unwrap());
    let ids: Vec<PartitionId> = ids.collect();
    for id in &ids {
        let partition = store.partition_for(id, &encoder(), NOW).unwrap();
        enroll_secret(&partition, 1);
    }
    let first = store.partition(&ids[0]).unwrap().unwrap();
    first.seal().unwrap();
    let held = first.snapshot();
    drop(first);
    let files = || fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let before = files();
    for id in &ids {
        let partition = store.partition(id).unwrap().unwrap();
        assert_eq!(partition.snapshot().templates(), 1);
    }
    assert!(
        store.open_partitions() <= 257,
        "{} are open",
        store.open_partitions()
    );
    // Other tests of this process open files, too, but not one for each partition here.
    assert!(files() < before + 150);
    // A snapshot keeps what it reads, whatever became of its partition.
    let first = store.partition(&ids[0]).unwrap().unwrap();
    let erased = store.erase(&first, ClassId(1), &Pace::unlimited()).unwrap();
    assert!(erased.was_enrolled && !erased.overwritten);
    assert_eq!(values_of_first(&held), secret());
    drop(held);
    assert_eq!(store.files().collect().unwrap(), 0);
}

#[test]
fn a_changed_byte_of_the_catalog_is_an_error_or_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let writer = store(directory.path());
    for operation in [Enroll(0, 1, 2, ALL), AddBatch(0, 3), Remove(0, 101)] {
        operation.run(&writer, &mut model).unwrap();
    }
    drop(writer);
    let path = directory.path().join("catalog.redb");
    let bytes = fs::read(&path).unwrap();
    let mut refused = 0;
    for at in (0..bytes.len()).step_by(149) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        fs::write(&path, &damaged).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        for found in [
            open(&disk, directory.path()).and_then(|store| Model::of(&store)),
            Store::open_read_only(directory.path()).and_then(|store| Model::of(&store)),
        ] {
            match found {
                Ok(found) => assert!(model.is_held_by(&found), "byte {at}: {found:?}"),
                Err(_) => refused += 1,
            }
            // An open for writing may have mended what a crash could have left.
            fs::write(&path, &damaged).unwrap();
        }
    }
    assert!(refused > 5, "only {refused} changes were noticed");
}
