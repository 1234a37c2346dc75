//! Removing whole partitions: what is left in files, and who is in the way.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::faulty::{Fault, FaultyDisk};
use super::files::files_that_hold;
use super::workload::{encoder, encrypt, keys, open};
use crate::partition::disk::{Disk, RealDisk};
use crate::partition::keys::KeyFile;
use crate::partition::partition::between_snapshots;
use crate::partition::{
    NewTemplate, Pace, Partition, RemovedPartition, StateOf, StateValue, Store, StoreError,
    restore_archive_with,
};
use crate::types::{ClassId, Embedding, PartitionId, Record, RecordChange, Timestamp};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 5_000,
};
/// The values of everybody in the partition that goes begin with these.
const MARK: [f32; 4] = [0.123_456_7, -0.765_432_1, 0.314_159_2, -0.271_828_1];
const NAME: &str = "Zebedee";

fn id(number: usize) -> PartitionId {
    format!("quagga.{number}").parse().unwrap()
}

fn partition(store: &Store, number: usize) -> Arc<Partition> {
    store.partition_for(&id(number), &encoder(), NOW).unwrap()
}

fn enroll(partition: &Partition, class: i64) {
    let mut values: Vec<f32> = MARK.to_vec();
    values.extend((0..12).map(|at| (class as f32 + 1.5) / (at as f32 + 3.0)));
    let template = NewTemplate {
        embedding: Embedding::new(values).unwrap(),
        quality: 0.5,
        portrait: None,
    };
    let class = ClassId(class);
    partition
        .enroll(class, &encoder(), &[template], 0, NOW)
        .unwrap();
}

/// A partition with segments, a tail, a record, and values of the layers above.
fn fill(store: &Store, number: usize) -> Arc<Partition> {
    let partition = partition(store, number);
    for class in 0..6 {
        enroll(&partition, class);
        if class % 2 == 1 {
            partition.seal().unwrap();
        }
    }
    enroll(&partition, 6);
    let name = Some(NAME.parse().unwrap());
    let record = RecordChange::of(Record {
        name,
        ..Record::default()
    });
    partition.change_record(ClassId(3), record).unwrap();
    let name = id(number).to_string();
    for (key, value) in [
        (name.clone(), NAME),
        (format!("{name} a"), NAME),
        (format!("{name}0 a"), "somebody else's"),
    ] {
        store.state_put("kept", &key, value.as_bytes()).unwrap();
    }
    partition
}

fn remove(store: &Store, number: usize) -> Result<Option<RemovedPartition>, StoreError> {
    let of = |key: String, is_prefix| StateOf {
        area: "kept",
        key,
        is_prefix,
    };
    let name = id(number).to_string();
    let with_it = vec![of(name.clone(), false), of(format!("{name} "), true)];
    store.remove_partition(&id(number), with_it, |templates, change| StateValue {
        area: "noted",
        key: format!("{templates}"),
        value: change.to_le_bytes().to_vec(),
    })
}

/// What must stand nowhere when the partition is gone.
fn assert_gone(directory: &Path, number: usize) {
    let mark = MARK.map(f32::to_le_bytes).concat();
    let name = format!("\"{}\"", id(number));
    let segment = id(number).to_string() + "\0";
    let parts: [&[u8]; 4] = [&mark, NAME.as_bytes(), name.as_bytes(), segment.as_bytes()];
    assert_eq!(files_that_hold(directory, &parts), [] as [PathBuf; 0]);
}

/// The number of a partition in the catalog.
fn number_of(store: &Store, number: usize) -> u64 {
    partition(store, number).shared().number()
}

fn has_key(directory: &Path, number: u64) -> bool {
    let file = KeyFile::open(directory, &RealDisk, &keys()).unwrap();
    file.is_some_and(|file| file.gallery(number, &RealDisk).is_ok())
}

fn folder_of(directory: &Path, number: u64) -> PathBuf {
    directory.join("segments").join(number.to_string())
}

fn segments_left(directory: &Path, number: u64) -> usize {
    let folder = folder_of(directory, number);
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

fn nothing_is_left_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let store = open(&disk(), data).unwrap();
    let removed = fill(&store, 7);
    let other = partition(&store, 8);
    enroll(&other, 1);
    other.seal().unwrap();
    let (number, others) = (removed.shared().number(), other.shared().number());
    // What a repair has put aside, what nobody has left here, and a merge that somebody still reads.
    let folder = data.join("segments").join(number.to_string());
    let segment = fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    fs::copy(segment.path(), folder.join("1.vseg.damaged")).unwrap();
    fs::write(folder.join("notes.txt"), "somebody's own").unwrap();
    let reader = removed.snapshot();
    removed.compact(&Pace::unlimited()).unwrap();
    enroll(&removed, 9);

    let told = remove(&store, 7).unwrap().unwrap();
    assert_eq!(told.templates, 8);
    assert_eq!(told.was_encrypted, keys().encrypt_new);
    assert!(!has_key(data, number));
    assert_eq!(has_key(data, others), keys().encrypt_new);
    assert_eq!(store.partitions().unwrap(), [id(8)]);
    assert!(store.partition(&id(7)).unwrap().is_none());
    let kept: Vec<String> = store
        .state_list("kept")
        .unwrap()
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(kept, ["quagga.70 a"]);
    assert_eq!(store.state_list("noted").unwrap()[0].0, "8");
    // Whoever had it in hand finds nobody in it, and changes nothing.
    assert_eq!(removed.snapshot().templates(), 0);
    let refused = [
        removed.remove(ClassId(1)).map(drop),
        removed.compact(&Pace::unlimited()).map(drop),
        removed.choose_classes(1).map(drop),
        removed
            .change_record(ClassId(1), RecordChange::default())
            .map(drop),
    ];
    let is_told = |it: &Result<(), StoreError>| {
        matches!(
            it,
            Ok(()) | Err(StoreError::PartitionRemoved { .. } | StoreError::NotEnrolled { .. })
        )
    };
    assert!(refused.iter().all(is_told), "{refused:?}");
    let template = NewTemplate {
        embedding: Embedding::new(vec![1.0; 16]).unwrap(),
        quality: 0.5,
        portrait: None,
    };
    let late = removed.enroll(ClassId(1), &encoder(), &[template], 0, NOW);
    assert!(
        matches!(late, Err(StoreError::PartitionRemoved { .. })),
        "{late:?}"
    );
    // A search that began before goes on, and is waited for.
    assert!(!store.overwrite_partitions().unwrap());
    assert_eq!(
        reader
            .live_rows()
            .filter(|row| row.values().is_ok())
            .count(),
        7
    );
    drop(reader);
    assert!(store.overwrite_partitions().unwrap());
    assert_eq!(segments_left(data, number), 1, "somebody's own notes stay");
    assert_eq!(other.snapshot().templates(), 1);
    other.remove(ClassId(1)).unwrap();
    store.overwrite_removed(&other, &Pace::unlimited()).unwrap();
    assert_gone(data, 7);
    assert!(remove(&store, 7).unwrap().is_none());
    drop((store, removed, other));

    fs::remove_file(folder.join("notes.txt")).unwrap();
    let store = open(&disk(), data).unwrap();
    let left = store.catalog().read(|tables| tables.removed_partitions());
    assert!(left.unwrap().is_empty());
    assert!(!folder.exists());
    // Another one of its name has a number and a key of its own.
    let again = fill(&store, 7);
    assert!(again.shared().number() != number);
    assert_eq!(again.snapshot().templates(), 7);
    assert_eq!(has_key(data, again.shared().number()), keys().encrypt_new);
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
    assert!(verified.damage.is_empty(), "{:?}", verified.damage);
}

#[test]
fn nothing_is_left_of_a_plain_partition() {
    nothing_is_left_of_it();
}

#[test]
fn nothing_is_left_of_an_encrypted_partition_and_its_key_goes_first() {
    encrypt();
    nothing_is_left_of_it();
}

/// Ends the removal at every call, as a kill would, and opens what is left.
fn is_whole_or_gone_wherever_it_ends() {
    let whole = FaultyDisk::default();
    let directory = tempfile::tempdir().unwrap();
    let shared: Arc<dyn Disk> = Arc::new(whole.clone());
    let store = open(&shared, directory.path()).unwrap();
    fill(&store, 7);
    let before = whole.calls();
    remove(&store, 7).unwrap().unwrap();
    store.overwrite_partitions().unwrap();
    let calls = whole.calls();
    let (mut were_whole, mut were_gone, mut were_left) = (0, 0, 0);
    for at in before..calls {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let failing: Arc<dyn Disk> = Arc::new(FaultyDisk::failing(at, Fault::FromThenOn));
        let store = open(&failing, data).unwrap();
        drop(fill(&store, 7));
        let number = number_of(&store, 7);
        let outcome = remove(&store, 7).and_then(|_| store.overwrite_partitions());
        drop(store);
        let context = format!("call {at} of {before} to {calls}: {outcome:?}");
        // What a kill leaves is overwritten, and does not lose its name alone.
        let drafts = ["catalog.redb.new", "gallery.keys.new"].map(|name| data.join(name));
        let drafts = drafts.iter().filter_map(|path| fs::File::open(path).ok());
        let drafts: Vec<fs::File> = drafts.collect();
        were_left += drafts.len();
        let store = open(&disk(), data).unwrap_or_else(|error| panic!("{context}: {error}"));
        for mut draft in drafts {
            let mut bytes = Vec::new();
            draft.read_to_end(&mut bytes).unwrap();
            assert!(bytes.iter().all(|byte| *byte == 0), "{context}");
        }
        let found = store.partition(&id(7)).unwrap();
        if let Some(found) = found {
            let rows = found
                .snapshot()
                .live_rows()
                .filter(|row| row.values().is_ok())
                .count();
            assert_eq!(rows, 7, "{context}");
            assert_eq!(store.state_list("kept").unwrap().len(), 3, "{context}");
            assert_eq!(
                found.named("zebedee", true, None, 9).unwrap().len(),
                1,
                "{context}"
            );
            were_whole += 1;
            continue;
        }
        were_gone += 1;
        assert!(!has_key(data, number), "{context}");
        assert!(store.overwrite_partitions().unwrap(), "{context}");
        drop(store);
        assert_gone(data, 7);
        assert!(!folder_of(data, number).exists(), "{context}");
    }
    assert!(
        were_whole > 5 && were_gone > 5 && were_left > 2,
        "{were_whole}, {were_gone}, {were_left}"
    );
}

#[test]
fn a_plain_partition_is_whole_or_gone_wherever_its_removal_ends() {
    is_whole_or_gone_wherever_it_ends();
}

#[test]
fn an_encrypted_partition_is_whole_or_gone_wherever_its_removal_ends() {
    encrypt();
    is_whole_or_gone_wherever_it_ends();
}

#[test]
fn a_merge_under_way_gives_up_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&disk(), directory.path()).unwrap());
    let of_it = fill(&store, 7);
    let number = of_it.shared().number();
    let (others, mut removing) = (store.clone(), None);
    let (send, receive) = std::sync::mpsc::channel();
    // When the merge has chosen, and has looked at what it is to write.
    between_snapshots::once(move || {
        between_snapshots::once(move || {
            let waited_for = others.clone();
            let thread = thread::spawn(move || remove(&others, 7).unwrap().unwrap());
            while !waited_for.commits().is_gone(number) {
                thread::yield_now();
            }
            send.send(thread).unwrap();
        });
    });
    let merged = of_it.compact(&Pace::unlimited());
    assert!(
        matches!(merged, Err(StoreError::PartitionRemoved { .. })),
        "{merged:?}"
    );
    removing.get_or_insert(receive.recv().unwrap().join().unwrap());
    assert!(store.overwrite_partitions().unwrap());
    assert!(!folder_of(directory.path(), number).exists());
    assert_gone(directory.path(), 7);
}

#[test]
fn a_snapshot_and_a_verification_under_way_are_of_the_moment_before() {
    for encrypted in [false, true] {
        if encrypted {
            encrypt();
        }
        let directory = tempfile::tempdir().unwrap();
        let store = open(&disk(), &directory.path().join("data")).unwrap();
        drop(fill(&store, 7));
        drop(fill(&store, 8));
        let archive = directory.path().join("a.tar.zst");
        let mut left = Some(7);
        let mut meanwhile = |_, _| {
            if let Some(number) = left.take() {
                remove(&store, number).unwrap().unwrap();
                assert!(!store.overwrite_partitions().unwrap(), "somebody reads it");
            }
        };
        store
            .snapshot_to(&archive, false, NOW, &mut meanwhile)
            .unwrap();
        let restored = directory.path().join("restored");
        restore_archive_with(&archive, &restored, &keys(), &mut |_, _| {}).unwrap();
        let restored = open(&disk(), &restored).unwrap();
        assert_eq!(
            restored
                .partition(&id(7))
                .unwrap()
                .unwrap()
                .snapshot()
                .templates(),
            7
        );
        let mut left = Some(8);
        let verified = store.verify(None, &Pace::unlimited(), |_, _| {
            if let Some(number) = left.take() {
                remove(&store, number).unwrap().unwrap();
            }
        });
        assert_eq!(verified.unwrap().damage.len(), 0);
        assert!(store.overwrite_partitions().unwrap());
        assert_gone(&directory.path().join("data"), 7);
        assert_gone(&directory.path().join("data"), 8);
    }
}

#[test]
fn one_that_cannot_be_opened_goes_too_and_one_that_is_only_read_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let store = open(&disk(), data).unwrap();
    let number = fill(&store, 7).shared().number();
    drop(store);
    let looking_on = Store::open_read_only(data).unwrap();
    let refused = remove(&looking_on, 7);
    assert!(
        matches!(refused, Err(StoreError::ReadOnly { .. })),
        "{refused:?}"
    );
    drop(looking_on);
    let folder = data.join("segments").join(number.to_string());
    let segment = fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    fs::remove_file(segment.path()).unwrap();
    let store = open(&disk(), data).unwrap();
    assert!(store.partition(&id(7)).is_err());
    assert!(remove(&store, 9).unwrap().is_none());
    assert_eq!(remove(&store, 7).unwrap().unwrap().templates, 7);
    assert!(store.overwrite_partitions().unwrap());
    assert!(store.health().unwrap().is_good());
    assert_gone(data, 7);
    enroll(&partition(&store, 7), 1);
}

#[test]
fn the_background_comes_to_the_end_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let clock = crate::types::Clock::manual(Timestamp::from_unix_seconds(1_000_000));
    let store = open(&disk(), directory.path()).unwrap();
    drop(fill(&store, 7));
    remove(&store, 7).unwrap().unwrap();
    let within = std::time::Duration::from_secs(3_600);
    let erase = |store: &Store| store.erase_due(within, &clock, &Pace::unlimited()).unwrap();
    while erase(&store) {}
    assert_eq!(store.erased_until().unwrap(), None);
    drop(store);
    // Also if the service is started again meanwhile.
    let store = open(&disk(), directory.path()).unwrap();
    clock.advance(within / 2);
    assert!(erase(&store));
    assert!(store.erased_until().unwrap().is_some());
    assert_gone(directory.path(), 7);
}
