//! Other keys: all is written anew, whatever comes between, and what was before opens nothing.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::encrypted::{copy, disk, filled, fixture, known_keys, refusal};
use super::faulty::{Fault, FaultyDisk};
use super::files::all_files;
use super::workload::Operation::{
    self, AddBatch, Compact, Count, Describe, Enroll, Erase, Remove, RemoveAll, Seal,
};
use super::workload::{Model, assert_nothing_shows, encoder, encrypt, keys, open, partition};
use crate::partition::disk::Disk;
use crate::partition::{Keys, Pace, Rotated, Store, StoreError, restore_archive_with};
use crate::secrets::{KeyError, KeyRing, MasterKey};
use crate::types::{ClassId, Timestamp};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 5_000,
};
const ALL: usize = usize::MAX;

fn rotate(store: &Store) -> Result<Rotated, StoreError> {
    store.rotate_keys(None, &Pace::unlimited())
}

/// Leaves a data directory as a kill would just after other keys were begun with.
fn begin(store: &Store) {
    let stopped = Pace::unlimited();
    stopped.stop();
    let broken_off = store.rotate_keys(None, &stopped);
    assert!(
        matches!(broken_off, Err(StoreError::Interrupted)),
        "{broken_off:?}"
    );
    assert!(store.is_changing_keys());
}

/// The version that the key file says.
fn version(data: &Path) -> u8 {
    fs::read(data.join("gallery.keys")).unwrap()[8]
}

fn segments(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = all_files(&data.join("segments")).into_iter();
    all.map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect()
}

/// Pieces of what is sealed in the files of a data directory.
fn sealed_pieces(data: &Path) -> HashSet<[u8; 16]> {
    let mut pieces = HashSet::new();
    for path in all_files(data) {
        let bytes = fs::read(&path).unwrap();
        // What is not sealed stands in headers, in the first page; the key file is the same twice.
        let sealed = match path.file_name().unwrap() == "gallery.keys" {
            true => 64..bytes.len() / 2,
            false => 4096..bytes.len(),
        };
        for piece in bytes.get(sealed).unwrap_or_default().chunks_exact(16) {
            let different: HashSet<&u8> = piece.iter().collect();
            if different.len() > 10 {
                pieces.insert(piece.try_into().unwrap());
            }
        }
    }
    assert!(pieces.len() > 1_000, "{} pieces", pieces.len());
    pieces
}

/// Fails if something of what was sealed stands in a file.
fn assert_none_left(pieces: &HashSet<[u8; 16]>, data: &Path) {
    for path in all_files(data) {
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(16).position(|window| {
            let window: &[u8; 16] = window.try_into().unwrap();
            pieces.contains(window)
        });
        assert_eq!(found, None, "`{}`", path.display());
    }
}

fn assert_whole(store: &Store, model: &Model, context: &str) {
    assert!(model.is_held_by(&Model::of(store).unwrap()), "{context}");
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
    let damage = verified.damage;
    assert!(damage.is_empty(), "{context}: {damage:?}");
}

#[test]
fn everything_is_written_anew_and_nothing_of_before_is_left() {
    let (directory, data, model) = filled();
    let old = directory.path().join("old");
    copy(&data, &old);
    let (before, pieces) = (segments(&data), sealed_pieces(&data));
    let store = open(&disk(), &data).unwrap();
    let id = "bws.0".parse().unwrap();
    let reader = store.partition(&id).unwrap().unwrap().snapshot();
    let rotated = rotate(&store).unwrap();
    assert_eq!((rotated.partitions, rotated.segments), (2, before.len()));
    assert!(rotated.catalog && !rotated.overwritten, "{rotated:?}");
    // A search that began before reads what it began with.
    assert!(reader.live_rows().all(|row| row.values().is_ok()));
    drop(reader);
    assert_eq!(store.files().collect_patiently().unwrap(), 0);
    assert_whole(&store, &model, "with other keys");
    assert_eq!((version(&data), store.is_changing_keys()), (1, false));
    drop(store);
    let after = segments(&data);
    assert!(after.keys().all(|path| !before.contains_key(path)));
    assert_nothing_shows(&data);
    assert_none_left(&pieces, &data);
    // The old keys open neither catalog nor segments.
    let newest = fs::read(data.join("gallery.keys")).unwrap();
    fs::copy(old.join("gallery.keys"), data.join("gallery.keys")).unwrap();
    let refused = Store::open_with(&data, &keys()).unwrap_err().to_string();
    assert!(refused.contains("key file is an older one"), "{refused}");
    assert!(Store::open_read_only_with(&data, &keys()).is_err());
    fs::write(data.join("gallery.keys"), &newest).unwrap();
    fs::copy(old.join("catalog.redb"), data.join("catalog.redb")).unwrap();
    assert!(Store::open_with(&data, &keys()).is_err());
}

/// As after a kill between the end of a partition's key and that of its old file.
#[test]
fn what_a_run_before_left_of_old_files_goes_with_the_next() {
    let (_directory, data, model) = filled();
    let before = segments(&data);
    let store = open(&disk(), &data).unwrap();
    begin(&store);
    for id in store.partitions().unwrap() {
        let partition = store.partition(&id).unwrap().unwrap();
        partition.leave_key_before(&Pace::unlimited()).unwrap();
    }
    store.files().collect_patiently().unwrap();
    drop(store);
    let still_there = |path: &&PathBuf| path.exists();
    assert_eq!(before.keys().filter(still_there).count(), 0);
    for (path, bytes) in &before {
        fs::write(path, bytes).unwrap();
    }
    let store = open(&disk(), &data).unwrap();
    let rotated = rotate(&store).unwrap();
    assert!(rotated.catalog && rotated.overwritten, "{rotated:?}");
    assert_eq!(rotated.segments, 0, "nothing is written twice");
    assert_eq!(before.keys().filter(still_there).count(), 0);
    assert_whole(&store, &model, "after both runs");
}

#[test]
fn once_more_of_one_gallery_and_of_what_has_no_keys() {
    let (_directory, data, model) = filled();
    let store = open(&disk(), &data).unwrap();
    rotate(&store).unwrap();
    let second = sealed_pieces(&data);
    let again = rotate(&store).unwrap();
    assert_eq!((again.partitions, again.catalog), (2, true));
    assert_eq!(store.files().collect_patiently().unwrap(), 0);
    assert_none_left(&second, &data);
    let one = "bws.1".parse().unwrap();
    let before = segments(&data);
    let rotated = store.rotate_keys(Some(&one), &Pace::unlimited()).unwrap();
    assert_eq!((rotated.partitions, rotated.segments), (1, 1));
    assert!(!rotated.catalog && rotated.overwritten);
    let after = segments(&data);
    let kept = before.iter().filter(|(path, _)| after.contains_key(*path));
    assert_eq!(kept.count(), before.len() - 1);
    let nobody = "bws.9".parse().unwrap();
    let none = store.rotate_keys(Some(&nobody), &Pace::unlimited());
    assert_eq!(none.unwrap().partitions, 0);
    drop(store);
    let store = open(&disk(), &data).unwrap();
    assert_whole(&store, &model, "after one gallery");
    let plain = tempfile::tempdir().unwrap();
    let plain = Store::open(plain.path()).unwrap();
    match rotate(&plain) {
        Err(StoreError::Keys { cause, .. }) => assert_eq!(cause, KeyError::NothingSealed),
        other => panic!("{other:?}"),
    }
    let keys_before = fs::read(data.join("gallery.keys")).unwrap();
    let looking_on = Store::open_read_only_with(&data, &keys()).unwrap();
    let refused = rotate(&looking_on);
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })));
    assert_eq!(fs::read(data.join("gallery.keys")).unwrap(), keys_before);
}

/// What was broken off: an earlier program refuses it by name, a copy, a snapshot and another master key
/// do it no harm, and whoever goes on does not begin anew.
#[test]
fn what_was_broken_off_is_refused_by_earlier_programs_and_gone_on_with() {
    let (directory, data, model) = filled();
    let store = open(&disk(), &data).unwrap();
    begin(&store);
    assert_eq!(version(&data), 2, "which earlier builds refuse by name");
    assert_whole(&store, &model, "begun");
    let archive = directory.path().join("a.sealed");
    let snapshot = store.snapshot_to(&archive, false, NOW, &mut |_, _| {});
    snapshot.unwrap();
    drop(store);
    let restored = directory.path().join("restored");
    restore_archive_with(&archive, &restored, &keys(), &mut |_, _| {}).unwrap();
    let again = open(&disk(), &restored).unwrap();
    assert!(again.is_changing_keys());
    assert!(again.go_on_rotating(&Pace::unlimited()).unwrap());
    assert!(!again.go_on_rotating(&Pace::unlimited()).unwrap());
    assert_whole(&again, &model, "a snapshot of the middle");
    assert_eq!(version(&restored), 1);
    // Another master key seals them all.
    let new = MasterKey::random().0;
    Store::change_master_key(&data, &keys(), &new).unwrap();
    assert_eq!(version(&data), 2);
    assert_eq!(
        refusal(Store::open_with(&data, &keys())),
        KeyError::WrongMasterKey
    );
    let new = Keys {
        master: Some(new),
        encrypt_new: false,
    };
    let looking_on = Store::open_read_only_with(&data, &new).unwrap();
    assert!(looking_on.is_changing_keys());
    assert_whole(&looking_on, &model, "looked at");
    drop(looking_on);
    let store = Store::open_with(&data, &new).unwrap();
    let keys_begun = store.files().keys().unwrap().written_and_digest();
    let one = "bws.0".parse().unwrap();
    store.rotate_keys(Some(&one), &Pace::unlimited()).unwrap();
    assert!(store.is_changing_keys());
    let rest = rotate(&store).unwrap();
    assert_eq!((rest.partitions, rest.catalog), (1, true));
    let (written, _) = store.files().keys().unwrap().written_and_digest();
    assert_eq!(written, keys_begun.0 + 3, "two galleries and the directory");
    assert_whole(&store, &model, "gone on with");
    assert_eq!(version(&data), 1);
    // Another key file than the last one, with both keys, is an older one.
    drop(store);
    assert!(Store::open_with(&data, &new).is_ok());
}

#[test]
fn other_keys_that_fail_at_any_call_lose_nothing_and_are_gone_on_with() {
    encrypt();
    let whole = FaultyDisk::default();
    let directory = tempfile::tempdir().unwrap();
    // Two segments, and a tail.
    let operations = [
        Enroll(0, 1, 1, ALL),
        Seal(0),
        Enroll(1, 4, 1, ALL),
        Seal(1),
        Enroll(0, 7, 1, ALL),
    ];
    let fill = |disk: &Arc<dyn Disk>, data: &Path| {
        let store = open(disk, data).unwrap();
        let mut model = Model::default();
        for operation in operations {
            operation.run(&store, &mut model).unwrap();
        }
        (store, model)
    };
    let shared: Arc<dyn Disk> = Arc::new(whole.clone());
    let (store, _) = fill(&shared, directory.path());
    let before = whole.calls();
    rotate(&store).unwrap();
    let calls = whole.calls();
    let mut told = 0;
    for at in before..calls {
        let fault = match at % 2 {
            0 => Fault::Once,
            _ => Fault::FromThenOn,
        };
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let failing = FaultyDisk::failing(at, fault);
        let shared: Arc<dyn Disk> = Arc::new(failing.clone());
        let (store, model) = fill(&shared, data);
        let failed = rotate(&store);
        told += usize::from(failed.is_err());
        let context = format!("call {at}, {fault:?}: {failed:?}");
        // There is room again, and whoever has it open goes on with other things, and then with this.
        failing.make_room();
        let _ = store.resume();
        let mut going_on = model.clone();
        let next = Enroll(2, 5, 1, ALL);
        let goes_on = next.run(&store, &mut going_on).is_ok();
        let model = if goes_on { going_on } else { model };
        if goes_on && at % 3 == 0 {
            rotate(&store).unwrap_or_else(|error| panic!("{context}: {error:?}"));
            assert_whole(&store, &model, &context);
        }
        drop(store);
        let store = open(&disk(), data).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        let found = Model::of(&store).unwrap();
        let mut done = model.clone();
        if !goes_on {
            done.apply(next);
        }
        let model = match model.is_held_by(&found) {
            true => model,
            false => done,
        };
        assert_whole(&store, &model, &context);
        let looking_on = Store::open_read_only_with(data, &keys()).unwrap();
        assert!(
            model.is_held_by(&Model::of(&looking_on).unwrap()),
            "{context}"
        );
        drop(looking_on);
        let again = rotate(&store);
        let again = again.unwrap_or_else(|error| panic!("{context}: {error:?}"));
        assert!(again.overwritten && !store.is_changing_keys(), "{context}");
        assert_whole(&store, &model, &context);
        drop(store);
        assert_nothing_shows(data);
    }
    assert!(told * 4 > calls - before, "{told} of {}", calls - before);
}

#[test]
fn what_others_were_writing_is_refused_or_waited_for() {
    let (_directory, data, _) = filled();
    let store = open(&disk(), &data).unwrap();
    let partition = partition(&store, 0).unwrap();
    let templates = || partition.snapshot().templates();
    let before = templates();
    for is_begun_alone in [false, true] {
        let mut import = partition.import(&encoder(), 1, NOW).unwrap();
        import.push(ClassId(77), &[2.0; 16], 0.5).unwrap();
        match is_begun_alone {
            true => begin(&store),
            false => drop(rotate(&store).unwrap()),
        }
        match import.finish() {
            Err(StoreError::Keys { cause, .. }) => assert_eq!(cause, KeyError::Replaced),
            other => panic!("{other:?}"),
        }
        assert_eq!(templates(), before);
    }
    let mut import = partition.import(&encoder(), 1, NOW).unwrap();
    import.push(ClassId(77), &[2.0; 16], 0.5).unwrap();
    import.finish().unwrap();
    assert_eq!(templates(), before + 1);
    drop((partition, store));
    let store = open(&disk(), &data).unwrap();
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
    assert!(verified.damage.is_empty(), "{:?}", verified.damage);
}

/// Who opened it before sees what there was, and makes snapshots of it that can be restored.
#[test]
fn who_looked_on_before_goes_on_with_the_keys_of_then() {
    let (directory, data, model) = filled();
    let store = open(&disk(), &data).unwrap();
    // No partition is opened yet.
    let looking_on = Store::open_read_only_with(&data, &keys()).unwrap();
    let rotated = rotate(&store).unwrap();
    assert!(!rotated.overwritten, "{rotated:?}");
    let mut later = model.clone();
    for operation in [Enroll(2, 1, 1, ALL), Seal(2)] {
        operation.run(&store, &mut later).unwrap();
    }
    assert_whole(&looking_on, &model, "looked at");
    let archive = directory.path().join("a.sealed");
    let snapshot = looking_on.snapshot_to(&archive, false, NOW, &mut |_, _| {});
    snapshot.unwrap();
    drop(looking_on);
    let restored = directory.path().join("restored");
    restore_archive_with(&archive, &restored, &keys(), &mut |_, _| {}).unwrap();
    assert_whole(&open(&disk(), &restored).unwrap(), &model, "restored");
    assert_whole(&store, &later, "with other keys");
}

#[test]
fn in_the_middle_segments_are_mended_and_a_lost_catalog_is_made_again() {
    let (directory, data, model) = filled();
    let store = open(&disk(), &data).unwrap();
    begin(&store);
    let one = "bws.0".parse().unwrap();
    // One has its new key alone, the other one both.
    store.rotate_keys(Some(&one), &Pace::unlimited()).unwrap();
    drop(store);
    for (path, _) in segments(&data) {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[0x55; 4096], 0).unwrap();
    }
    let store = open(&disk(), &data).unwrap();
    assert!(rotate(&store).is_err(), "a damaged one is told");
    let repaired = store.repair(None, None, false).unwrap();
    assert!(repaired.iter().all(|it| it.mended && it.lost == 0));
    assert!(repaired.len() >= 2);
    assert_whole(&store, &model, "mended");
    drop(store);
    let copied = directory.path().join("copy");
    copy(&data, &copied);
    for path in all_files(&copied) {
        if path.to_string_lossy().ends_with(".damaged") {
            fs::remove_file(path).unwrap();
        }
    }
    fs::remove_file(copied.join("catalog.redb")).unwrap();
    let numbers = fs::read_dir(copied.join("segments")).unwrap();
    let mut numbers: Vec<u64> = numbers
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .map(|name| name.parse().unwrap())
        .collect();
    numbers.sort_unstable();
    let names = ["bws.0", "bws.1"].map(|name| name.parse().unwrap());
    let names = numbers.into_iter().zip(names).collect();
    let rebuilt = Store::rebuild(&copied, &names, NOW, &keys()).unwrap();
    assert_eq!(rebuilt.partitions.len(), 2);
    let again = open(&disk(), &copied).unwrap();
    assert!(again.is_changing_keys());
    assert!(again.go_on_rotating(&Pace::unlimited()).unwrap());
    let found = Model::of(&again).unwrap();
    assert_eq!(found.templates[&(1, 4)], model.templates[&(1, 4)]);
    let store = open(&disk(), &data).unwrap();
    rotate(&store).unwrap();
    assert_whole(&store, &model, "gone on with");
}

#[test]
fn people_and_galleries_come_and_go_and_snapshots_are_made_meanwhile() {
    let (directory, data, mut model) = filled();
    let store = Arc::new(open(&disk(), &data).unwrap());
    let is_over = AtomicBool::new(false);
    let others: &[Operation] = &[
        Enroll(0, 11, 2, ALL),
        Describe(0, 11, 4),
        Seal(0),
        AddBatch(1, 7),
        Remove(1, 103),
        Erase(0, 11),
        Enroll(2, 3, 1, ALL),
        Seal(2),
        Compact(1),
        RemoveAll(2),
        Count,
        AddBatch(2, 3),
        Compact(0),
        RemoveAll(1),
        Enroll(1, 5, 1, ALL),
        Seal(1),
    ];
    let snapshots: Vec<PathBuf> = thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            let mut done = 0;
            while !is_over.load(Ordering::Relaxed) || done < 3 {
                rotate(&store).unwrap();
                done += 1;
            }
        });
        let copying = scope.spawn(|| {
            let mut made: Vec<PathBuf> = Vec::new();
            while !is_over.load(Ordering::Relaxed) || made.len() < 3 {
                let path = directory.path().join(format!("{}.sealed", made.len()));
                let snapshot = store.snapshot_to(&path, false, NOW, &mut |_, _| {});
                snapshot.unwrap();
                made.push(path);
            }
            made
        });
        for _ in 0..3 {
            for operation in others {
                operation.run(&store, &mut model).unwrap();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        rotating.join().unwrap();
        copying.join().unwrap()
    });
    assert_whole(&store, &model, "meanwhile");
    assert!(!store.is_changing_keys());
    drop(store);
    let store = open(&disk(), &data).unwrap();
    assert_whole(&store, &model, "opened again");
    // Some of them: those of the beginning, of the middle and of the end.
    for path in snapshots.iter().step_by(snapshots.len() / 3) {
        let restored = path.with_extension("restored");
        restore_archive_with(path, &restored, &keys(), &mut |_, _| {}).unwrap();
        let again = open(&disk(), &restored).unwrap();
        let verified = again.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
        assert!(verified.damage.is_empty(), "{:?}", verified.damage);
        again.go_on_rotating(&Pace::unlimited()).unwrap();
        Model::of(&again).unwrap();
        assert!(!again.is_changing_keys());
        fs::remove_dir_all(restored).unwrap();
    }
}

/// Makes the fixtures of keys that are half-way replaced. Run once for each version, by
/// `cargo test --lib -- --ignored write_fixtures_of_changing_keys`.
#[test]
#[ignore = "the fixtures of a version are written once"]
fn write_fixtures_of_changing_keys() {
    let (file, snapshot) = (
        fixture("gallery-changing.keys"),
        fixture("snapshot-changing.sealed"),
    );
    assert!(!file.exists(), "the fixtures are there");
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open_with(directory.path(), &known_keys()).unwrap();
    let mut model = Model::default();
    for operation in [
        Enroll(0, 1, 1, ALL),
        AddBatch(0, 1),
        Seal(0),
        Enroll(1, 4, 1, ALL),
        Seal(1),
        Enroll(1, 7, 1, ALL),
    ] {
        operation.run(&store, &mut model).unwrap();
    }
    begin(&store);
    let one = "bws.0".parse().unwrap();
    store.rotate_keys(Some(&one), &Pace::unlimited()).unwrap();
    fs::copy(directory.path().join("gallery.keys"), file).unwrap();
    store
        .snapshot_to(&snapshot, false, NOW, &mut |_, _| {})
        .unwrap();
}

/// What is in a key file.
struct Described {
    identity: u64,
    /// Numbers and keys.
    entries: Vec<(u64, Vec<u8>)>,
    directory: Vec<u8>,
}

/// Reads a record of a key file by what `docs/file-format.md` says alone, with the master key of the fixtures.
fn read_as_described(record: &[u8]) -> Described {
    use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use ring::hkdf::{HKDF_SHA256, Salt};
    let number = |at: usize| u64::from_le_bytes(*record[at..].first_chunk().unwrap());
    let short = |at: usize| u32::from_le_bytes(*record[at..].first_chunk().unwrap());
    assert_eq!(&record[..8], b"VULTKEYS");
    let keys = short(12) as usize;
    let sealed = 64..64 + 32 + keys * 40;
    assert_eq!(record.len(), sealed.end + 16 + 8);
    let master: Vec<u8> = [1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(4);
    let salt = Salt::new(HKDF_SHA256, &record[32..48]);
    let secret = salt.extract(&master);
    let key = secret.expand(&[b"vultus key file 1"], &AES_256_GCM);
    let key = LessSafeKey::new(UnboundKey::from(key.unwrap()));
    let nonce = |first: u8| {
        let mut nonce = [0; 12];
        nonce[0] = first;
        Nonce::assume_unique_for_key(nonce)
    };
    let mut proof = record[48..64].to_vec();
    let proven = key.open_in_place(nonce(0), Aad::empty(), &mut proof);
    assert!(proven.unwrap().is_empty());
    let mut rest = record[sealed.start..sealed.end + 16].to_vec();
    let associated = Aad::from(&record[..64]);
    let rest = key.open_in_place(nonce(1), associated, &mut rest).unwrap();
    let (directory, entries) = rest.split_at(32);
    let entries = entries.chunks(40).map(|entry| {
        let number = u64::from_le_bytes(*entry.first_chunk().unwrap());
        (number, entry[8..].to_vec())
    });
    Described {
        identity: number(16),
        entries: entries.collect(),
        directory: directory.to_vec(),
    }
}

#[test]
fn a_key_file_half_way_is_as_it_is_described_and_read_for_good() {
    let bytes = fs::read(fixture("gallery-changing.keys")).unwrap();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    assert!(first == second);
    assert_eq!(first[8..12], 2_u32.to_le_bytes());
    let end = first.len() - 8;
    let checksum = |bytes: &[u8]| {
        let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes);
        checksum.to_le_bytes()
    };
    assert_eq!(first[end..], checksum(&first[..end]));
    let Described {
        identity,
        entries,
        directory,
    } = read_as_described(first);
    let numbers: Vec<u64> = entries.iter().map(|(number, _)| *number).collect();
    let (zero, one) = (numbers[0], numbers[1]);
    // One gallery has its new key alone, the other one both, and so has the directory.
    assert_eq!(numbers, [zero, one, one + (1 << 63), u64::MAX]);
    assert!(zero < one && one < 1 << 62);
    let different: HashSet<&Vec<u8>> = entries.iter().map(|(_, key)| key).collect();
    assert!(different.len() == 4 && !different.contains(&directory));
    let master = known_keys().master.unwrap();
    let ring = KeyRing::open(&bytes, &master).unwrap();
    assert!(ring.is_changing() && ring.identity() == identity);
    // Builds that know one version alone compare the same four bytes, behind the same checksum.
    for version in [0_u32, 3, 255, u32::MAX] {
        let mut other = first[..end].to_vec();
        other[8..12].copy_from_slice(&version.to_le_bytes());
        let sum = checksum(&other);
        other.extend_from_slice(&sum);
        let other = [&other[..], &other].concat();
        let refused = KeyRing::open(&other, &master).unwrap_err();
        assert_eq!(refused, KeyError::Version { found: version });
        assert!(refused.to_string().contains("use a newer build"));
    }
    // Nor is one of version 2 taken that says that it is of version 1: what it says is authenticated.
    let mut other = first[..end].to_vec();
    other[8] = 1;
    let sum = checksum(&other);
    other.extend_from_slice(&sum);
    let refused = KeyRing::open(&[&other[..], &other].concat(), &master);
    assert!(matches!(refused, Err(KeyError::Damaged { .. })));
}

#[test]
fn a_data_directory_half_way_is_read_and_gone_on_with_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let path = fixture("snapshot-changing.sealed");
    restore_archive_with(&path, &data, &known_keys(), &mut |_, _| {}).unwrap();
    assert_eq!(version(&data), 2);
    let rows = |store: &Store| -> Vec<(usize, i64, f32)> {
        let found = Model::of(store).unwrap();
        let rows = found.templates.iter();
        rows.map(|((partition, class), values)| (*partition, *class, values[0]))
            .collect()
    };
    let held = [(0, 1, 0.0), (0, 100, 1.0), (1, 4, 2.0), (1, 7, 3.0)];
    let looking_on = Store::open_read_only_with(&data, &known_keys()).unwrap();
    assert_eq!(rows(&looking_on), held);
    drop(looking_on);
    let store = Store::open_with(&data, &known_keys()).unwrap();
    assert!(store.go_on_rotating(&Pace::unlimited()).unwrap());
    assert_eq!(rows(&store), held);
    drop(store);
    assert_eq!(version(&data), 1);
    let store = Store::open_with(&data, &known_keys()).unwrap();
    assert_eq!(rows(&store), held);
}
