//! Encrypting a data directory that is open: nothing is lost, whatever comes between, and nothing shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::encrypted::{disk, plain, refusal};
use super::faulty::{Crash, Event, Fault, FaultyDisk, World, seed};
use super::workload::Operation::{
    AddBatch, Compact, Count, Describe, Enroll, Erase, Remove, RemoveAll, RotateKeys, Seal,
};
use super::workload::{Model, assert_nothing_shows, encoder, encrypt, keys, open, partition};
use crate::partition::disk::Disk;
use crate::partition::{
    Encrypted, Encryption, Keys, Pace, Store, StoreError, restore_archive, restore_archive_with,
};
use crate::secrets::KeyError;
use crate::types::{ClassId, Timestamp};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 5_000,
};
const ALL: usize = usize::MAX;

/// A data directory that is not encrypted, open with what it can be encrypted with, and what it holds.
fn open_plain(disk: &Arc<dyn Disk>, data: &Path) -> (Store, Model) {
    let model = plain(disk, data);
    encrypt();
    let store = open(disk, data).unwrap();
    assert!(!store.is_encrypted());
    (store, model)
}

fn encrypt_open(store: &Store) -> Result<Encrypted, StoreError> {
    store.encrypt_open(&Pace::unlimited())
}

fn assert_whole(store: &Store, model: &Model, context: &str) {
    assert!(model.is_held_by(&Model::of(store).unwrap()), "{context}");
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
    let damage = verified.damage;
    assert!(damage.is_empty(), "{context}: {damage:?}");
}

#[test]
fn all_of_it_is_encrypted_and_what_is_written_afterwards_too() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (store, mut model) = open_plain(&disk(), &data);
    let segments = store.totals().unwrap().segments;
    let reader = partition(&store, 0).unwrap().snapshot();
    let looking_on = Store::open_read_only_with(&data, &keys()).unwrap();
    let done = encrypt_open(&store).unwrap();
    assert_eq!((done.catalog, done.segments as u64), (true, segments));
    assert!(!done.overwritten, "two are reading it");
    assert_eq!(store.encryption().unwrap(), Encryption::On);
    // Who began before reads what there was.
    assert!(reader.live_rows().all(|row| row.values().is_ok()));
    assert!(model.is_held_by(&Model::of(&looking_on).unwrap()));
    drop((reader, looking_on));
    for operation in [
        Enroll(2, 3, 1, ALL),
        Describe(2, 3, 7),
        Seal(2),
        AddBatch(0, 3),
        Remove(0, 102),
        Compact(0),
        RotateKeys,
    ] {
        operation.run(&store, &mut model).unwrap();
    }
    assert_eq!(store.files().collect_patiently().unwrap(), 0);
    assert_nothing_shows(&data);
    let again = encrypt_open(&store).unwrap();
    assert_eq!((again.catalog, again.segments), (false, 0));
    drop(store);
    assert_eq!(refusal(Store::open(&data)), KeyError::NoMasterKey);
    let store = open(&disk(), &data).unwrap();
    assert_whole(&store, &model, "opened again");
    assert!(!store.go_on_encrypting(&Pace::unlimited()).unwrap());
}

#[test]
fn without_a_key_or_the_right_to_change_it_nothing_is_begun() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let model = plain(&disk(), &data);
    let store = Store::open(&data).unwrap();
    match encrypt_open(&store) {
        Err(StoreError::Keys { cause, .. }) => assert_eq!(cause, KeyError::NothingToEncryptWith),
        other => panic!("{other:?}"),
    }
    encrypt();
    let looking_on = Store::open_read_only_with(&data, &keys()).unwrap();
    let refused = encrypt_open(&looking_on);
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })));
    // Keys of another data directory in the place where its own would be.
    drop((looking_on, store));
    let store = open(&disk(), &data).unwrap();
    let elsewhere = directory.path().join("elsewhere");
    drop(Store::open_with(&elsewhere, &keys()).unwrap());
    let path = data.join("gallery.keys");
    fs::copy(elsewhere.join("gallery.keys"), &path).unwrap();
    match encrypt_open(&store) {
        Err(StoreError::Keys { cause, .. }) => {
            assert!(matches!(cause, KeyError::Foreign { .. }), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    fs::remove_file(path).unwrap();
    assert!(!store.is_encrypted());
    drop(store);
    assert_whole(&Store::open(&data).unwrap(), &model, "as it was");
}

#[test]
fn what_was_broken_off_is_known_and_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (store, model) = open_plain(&disk(), &data);
    let stopped = Pace::unlimited();
    stopped.stop();
    let broken_off = store.encrypt_open(&stopped);
    assert!(
        matches!(broken_off, Err(StoreError::Interrupted)),
        "{broken_off:?}"
    );
    assert_eq!(store.encryption().unwrap(), Encryption::Partly);
    assert_whole(&store, &model, "partly");
    drop(store);
    let store = open(&disk(), &data).unwrap();
    assert_eq!(store.encryption().unwrap(), Encryption::Partly);
    assert!(store.go_on_encrypting(&Pace::unlimited()).unwrap());
    assert_eq!(store.encryption().unwrap(), Encryption::On);
    assert!(!store.go_on_encrypting(&Pace::unlimited()).unwrap());
    assert_whole(&store, &model, "gone on with");
    drop(store);
    assert_nothing_shows(&data);
}

#[test]
fn what_others_were_writing_is_refused_or_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (store, model) = open_plain(&disk(), &data);
    let gallery = partition(&store, 0).unwrap();
    let mut import = gallery.import(&encoder(), 1, NOW).unwrap();
    import.push(ClassId(77), &[2.0; 16], 0.5).unwrap();
    encrypt_open(&store).unwrap();
    match import.finish() {
        Err(StoreError::Keys { cause, .. }) => assert_eq!(cause, KeyError::Replaced),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.encryption().unwrap(), Encryption::On);
    let mut import = gallery.import(&encoder(), 1, NOW).unwrap();
    import.push(ClassId(77), &[2.0; 16], 0.5).unwrap();
    import.finish().unwrap();
    assert_eq!(store.encryption().unwrap(), Encryption::On);
    drop((gallery, store));
    assert_nothing_shows(&data);
    let found = Model::of(&open(&disk(), &data).unwrap()).unwrap();
    assert_eq!(found.templates.len(), model.templates.len() + 1);
}

/// Fails unless a snapshot that was made meanwhile is whole, encrypted or not.
fn assert_restored(path: &Path) {
    let restored = path.with_extension("restored");
    let is_plain = restore_archive(path, &restored, &mut |_, _| {}).is_ok();
    if !is_plain {
        restore_archive_with(path, &restored, &keys(), &mut |_, _| {}).unwrap();
    }
    let store = open(&disk(), &restored).unwrap();
    assert_eq!(store.is_encrypted(), !is_plain);
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
    assert!(verified.damage.is_empty(), "{:?}", verified.damage);
    Model::of(&store).unwrap();
    drop(store);
    fs::remove_dir_all(restored).unwrap();
}

#[test]
fn people_and_galleries_come_and_go_and_snapshots_are_made_meanwhile() {
    let others = [
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
    ];
    for _ in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let (store, mut model) = open_plain(&disk(), &data);
        let store = &store;
        let keys = keys();
        let snapshots: Vec<PathBuf> = thread::scope(|scope| {
            let encrypting = scope.spawn(|| encrypt_open(store).unwrap());
            let copying = scope.spawn(|| {
                let made = (0..4).map(|at| directory.path().join(format!("{at}.snapshot")));
                made.inspect(|path| {
                    let snapshot = store.snapshot_to(path, false, NOW, &mut |_, _| {});
                    snapshot.unwrap();
                    // Whoever opens it meanwhile is not told that somebody has forged it.
                    Store::open_read_only_with(&data, &keys).unwrap();
                })
                .collect()
            });
            for operation in others {
                operation.run(store, &mut model).unwrap();
            }
            encrypting.join().unwrap();
            copying.join().unwrap()
        });
        assert_eq!(store.encryption().unwrap(), Encryption::On);
        assert_whole(store, &model, "meanwhile");
        snapshots.iter().for_each(|path| assert_restored(path));
        let _ = store.files().collect_patiently().unwrap();
        assert_nothing_shows(&data);
    }
}

/// Opens what is left of an encryption that did not come to its end.
fn open_what_is_left(data: &Path) -> Result<Store, StoreError> {
    match open(&disk(), data) {
        Err(StoreError::Keys {
            cause: KeyError::NotEncrypted,
            ..
        }) => {
            Store::encrypt(data, &keys(), &Pace::unlimited())?;
            open(&disk(), data)
        }
        opened => opened,
    }
}

#[test]
fn encrypting_that_fails_at_any_call_loses_nothing_and_goes_on() {
    let whole = FaultyDisk::default();
    let directory = tempfile::tempdir().unwrap();
    let shared: Arc<dyn Disk> = Arc::new(whole.clone());
    let (store, _) = open_plain(&shared, directory.path());
    let before = whole.calls();
    encrypt_open(&store).unwrap();
    let calls = whole.calls();
    let mut told = 0;
    // Every other: what comes between is of the same kinds.
    for at in (before..calls).step_by(2) {
        let fault = match at % 4 < 2 {
            true => Fault::Once,
            false => Fault::FromThenOn,
        };
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let failing = FaultyDisk::failing(at, fault);
        let shared: Arc<dyn Disk> = Arc::new(failing.clone());
        let (store, model) = open_plain(&shared, data);
        let failed = encrypt_open(&store);
        told += usize::from(failed.is_err());
        let context = format!("call {at}, {fault:?}: {failed:?}");
        failing.make_room();
        let _ = store.resume();
        let mut going_on = model.clone();
        let next = Enroll(2, 5, 1, ALL);
        let goes_on = next.run(&store, &mut going_on).is_ok();
        let model = if goes_on { going_on } else { model };
        if goes_on && !store.is_encrypted() && matches!(fault, Fault::Once) {
            assert!(!data.join("gallery.keys").exists(), "{context}");
        }
        if goes_on && at % 3 == 0 {
            encrypt_open(&store).unwrap_or_else(|error| panic!("{context}: {error:?}"));
            assert_whole(&store, &model, &context);
        }
        drop(store);
        let store = open_what_is_left(data);
        let store = store.unwrap_or_else(|error| panic!("{context}: {error:?}"));
        let found = Model::of(&store).unwrap();
        let mut done = model.clone();
        if !goes_on {
            done.apply(next);
        }
        let model = match model.is_held_by(&found) {
            true => model,
            false => done,
        };
        let again = encrypt_open(&store);
        let again = again.unwrap_or_else(|error| panic!("{context}: {error:?}"));
        assert!(again.overwritten, "{context}");
        assert_eq!(store.encryption().unwrap(), Encryption::On, "{context}");
        assert_whole(&store, &model, &context);
        drop(store);
        assert_nothing_shows(data);
    }
    assert!(told * 8 > calls - before, "{told} of {}", calls - before);
}

#[test]
fn a_crash_at_any_point_loses_nothing_and_shows_nothing_in_the_end() {
    const BEGUN: usize = 1;
    const DONE: usize = 2;
    let seed = seed();
    let directory = tempfile::tempdir().unwrap();
    let whole = FaultyDisk::default();
    let shared: Arc<dyn Disk> = Arc::new(whole.clone());
    let (store, model) = open_plain(&shared, directory.path());
    whole.acknowledge(BEGUN);
    encrypt_open(&store).unwrap();
    whole.acknowledge(DONE);
    let mut after = model.clone();
    Enroll(2, 5, 1, ALL).run(&store, &mut after).unwrap();
    let (mut world, mut acknowledged) = (World::default(), 0);
    for (point, event) in whole.events().iter().enumerate() {
        world.add(event);
        if let Event::Acknowledged(count) = event {
            acknowledged = *count;
        }
        if acknowledged < BEGUN {
            continue;
        }
        // One of them each: the points beside it have the others.
        let crashes = [Crash::Keep, Crash::Drop, Crash::Tear];
        let crash = crashes[point % 3];
        let context = format!("VULTUS_SEED={seed}, {crash:?} after event {point}: {event:?}");
        let mut random = StdRng::seed_from_u64(seed ^ point as u64);
        let left = tempfile::tempdir().unwrap();
        world.crash(crash, &mut random, directory.path(), left.path());
        let is_done = acknowledged == DONE;
        let opened = match is_done {
            true => open(&disk(), left.path()),
            false => open_what_is_left(left.path()),
        };
        let store = opened.unwrap_or_else(|error| panic!("{context}: {error:?}"));
        let found = Model::of(&store).unwrap();
        assert!(
            model.is_held_by(&found) || (is_done && after.is_held_by(&found)),
            "{context}"
        );
        assert!(!is_done || store.encryption().unwrap() == Encryption::On);
        // What was begun the background goes on with; what was not begins with the command.
        if store.is_encrypted() {
            store.go_on_encrypting(&Pace::unlimited()).unwrap();
            assert_eq!(store.encryption().unwrap(), Encryption::On, "{context}");
        }
        encrypt_open(&store).unwrap();
        let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
        assert!(verified.damage.is_empty(), "{context}");
        drop(store);
        assert_nothing_shows(left.path());
    }
    // Nothing was left behind by the one that went well.
    drop(store);
    assert_nothing_shows(directory.path());
    let plain = Keys::default();
    assert!(Store::open_with(directory.path(), &plain).is_err());
}

/// Nobody has it open: what a crash leaves is opened as before, or nobody opens it until the command is given
/// again; that is so for a moment only, however large the catalog is.
#[test]
fn a_crash_while_nobody_has_it_open_leaves_what_opens_or_goes_on() {
    const BEGUN: usize = 1;
    let seed = seed();
    let directory = tempfile::tempdir().unwrap();
    let whole = FaultyDisk::default();
    let shared: Arc<dyn Disk> = Arc::new(whole.clone());
    let model = plain(&shared, directory.path());
    encrypt();
    whole.acknowledge(BEGUN);
    Store::encrypt_on(shared, directory.path(), &keys(), &Pace::unlimited()).unwrap();
    let (mut world, mut has_begun) = (World::default(), false);
    let (mut plainly, mut broken_off, mut encrypted) = (0, 0, 0);
    for (point, event) in whole.events().iter().enumerate() {
        world.add(event);
        has_begun |= matches!(event, Event::Acknowledged(BEGUN));
        if !has_begun {
            continue;
        }
        let crashes = [Crash::Keep, Crash::Drop, Crash::Tear];
        let crash = crashes[point % 3];
        let context = format!("VULTUS_SEED={seed}, {crash:?} after event {point}: {event:?}");
        let mut random = StdRng::seed_from_u64(seed ^ point as u64);
        let left = tempfile::tempdir().unwrap();
        world.crash(crash, &mut random, directory.path(), left.path());
        match Store::open(left.path()) {
            Ok(store) => {
                plainly += 1;
                assert!(!left.path().join("gallery.keys").exists(), "{context}");
                assert!(!left.path().join("catalog.redb.new").exists(), "{context}");
                assert_whole(&store, &model, &context);
            }
            Err(StoreError::Keys {
                cause: KeyError::NoMasterKey,
                ..
            }) => match open(&disk(), left.path()) {
                Ok(store) => {
                    encrypted += 1;
                    assert_whole(&store, &model, &context);
                }
                Err(StoreError::Keys { cause, .. }) => {
                    broken_off += 1;
                    assert_eq!(cause, KeyError::NotEncrypted, "{context}");
                    assert!(cause.to_string().contains("gallery encrypt"), "{cause}");
                }
                Err(error) => panic!("{context}: {error:?}"),
            },
            Err(error) => panic!("{context}: {error:?}"),
        }
        let again = Store::encrypt(left.path(), &keys(), &Pace::unlimited());
        again.unwrap_or_else(|error| panic!("{context}: {error:?}"));
        assert_whole(&open(&disk(), left.path()).unwrap(), &model, &context);
        assert_nothing_shows(left.path());
    }
    assert!(
        plainly > 5 && encrypted > 5,
        "{plainly} plain, {encrypted} encrypted"
    );
    // Writing the keys and exchanging two names are some calls each.
    assert!(broken_off < plainly, "{broken_off} of {plainly}");
}

#[test]
fn how_much_there_is_to_do_is_known_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open_plain(&disk(), directory.path());
    let (bytes, pace) = (store.bytes_to_encrypt().unwrap(), Pace::unlimited());
    store.encrypt_open(&pace).unwrap();
    let spent = pace.spent_bytes();
    assert!(0 < spent && spent <= bytes, "{spent} of {bytes}");
    assert_eq!(store.bytes_to_encrypt().unwrap(), 0);
    store.encrypt_open(&pace).unwrap();
    assert_eq!(pace.spent_bytes(), spent, "there was nothing left to do");
}
