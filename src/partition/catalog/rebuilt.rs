//! Making a catalog of what segments say, where it is lost.

use std::num::NonZeroU64;
use std::path::Path;

use redb::Database;

use super::copy::remove_leftover;
use super::database::open_database;
use super::failures::failure;
use super::lost::CATALOG_FILE;
use super::opened::lock_for_writing;
use super::sealed::{key_of_name, key_of_numbers, sealed};
use super::tables::{
    FIRST_CHANGE, META_CHANGES, META_IDENTITY, META_NEXT, META_VERSION, PARTITIONS, PartitionEntry,
    RETIRED, SEGMENTS, STATE, SegmentEntry, TAIL, TOMBSTONES, VERSION, put_number,
};
use super::witness::{Witness, WitnessWriter};
use crate::partition::StoreError;
use crate::partition::disk::Disk;
use crate::partition::keys::{KeyFile, Keys};
use crate::secrets::KeyError;

/// All that a catalog says which is made of segments.
#[derive(Debug)]
pub(in crate::partition) struct Rebuilt {
    /// Of the data directory, where the segments say it.
    pub(in crate::partition) identity: Option<NonZeroU64>,
    /// The highest number that anything has.
    pub(in crate::partition) highest: u64,
    pub(in crate::partition) partitions: Vec<(String, PartitionEntry)>,
    pub(in crate::partition) segments: Vec<((u64, u64), SegmentEntry)>,
    /// Rows of templates that are in another segment, too.
    pub(in crate::partition) tombstones: Vec<(u64, u64, u64)>,
}

/// Makes the catalog of a data directory that has none, of what `look` finds while nobody else can
/// make one. A crash leaves none, or a file that the next call deletes.
///
/// # Errors
///
/// If there is a catalog, another process has the data directory open, `look` fails, or the disk
/// does.
pub(in crate::partition) fn create_rebuilt<T>(
    directory: &Path,
    disk: &dyn Disk,
    keys: &Keys,
    look: impl FnOnce(Option<&KeyFile>) -> Result<(Rebuilt, T), StoreError>,
) -> Result<T, StoreError> {
    let path = directory.join(CATALOG_FILE);
    let _writer = lock_for_writing(directory)?;
    let keys = KeyFile::open(directory, disk, keys)?;
    let keys = keys.as_deref();
    if path.symlink_metadata().is_ok() {
        return Err(StoreError::CatalogPresent { path });
    }
    let (mut rebuilt, report) = look(keys)?;
    if let Some(keys) = keys {
        refuse_foreign_keys(&mut rebuilt, keys)?;
    }
    let changes = follow_witness(&mut rebuilt, directory, disk)?;
    let draft = directory.join("catalog.redb.rebuilt.new");
    remove_leftover(&draft, disk)?;
    let database = open_database(&draft, directory, disk, keys)?;
    let written = write(&database, &rebuilt, changes, disk);
    written.map_err(|error| failure("write", &draft, error))?;
    drop(database);
    let renamed = disk.rename(&draft, &path);
    renamed.map_err(|error| StoreError::io("rename", &draft, error))?;
    let synced = disk.sync_directory(directory);
    synced.map_err(|error| StoreError::io("sync", directory, error))?;
    Ok(report)
}

/// Fails if the segments belong to another data directory than the keys.
fn refuse_foreign_keys(rebuilt: &mut Rebuilt, keys: &KeyFile) -> Result<(), StoreError> {
    let found = keys.identity();
    match rebuilt.identity.map(NonZeroU64::get) {
        Some(expected) if expected != found => {
            let foreign = KeyError::Foreign { expected, found };
            Err(StoreError::keys(keys.path(), foreign))
        }
        Some(_) => Ok(()),
        None => {
            rebuilt.identity = NonZeroU64::new(found);
            Ok(())
        }
    }
}

/// How many changes the new catalog counts: more than the lost one, so that it is the older one if it
/// turns up. What is known of another data directory's is forgotten.
fn follow_witness(
    rebuilt: &mut Rebuilt,
    directory: &Path,
    disk: &dyn Disk,
) -> Result<u64, StoreError> {
    let Some(witness) = Witness::read(directory)? else {
        return Ok(FIRST_CHANGE);
    };
    if *rebuilt.identity.get_or_insert(witness.identity) == witness.identity {
        return Ok(witness.changes.saturating_add(1));
    }
    WitnessWriter::new(directory, disk)?.forget()?;
    Ok(FIRST_CHANGE)
}

fn write(
    database: &Database,
    rebuilt: &Rebuilt,
    changes: u64,
    disk: &dyn Disk,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let identity = rebuilt
        .identity
        .map_or_else(|| disk.new_identity(), NonZeroU64::get);
    put_number(&transaction, META_VERSION, u64::from(VERSION))?;
    put_number(&transaction, META_NEXT, rebuilt.highest.saturating_add(1))?;
    put_number(&transaction, META_IDENTITY, identity)?;
    put_number(&transaction, META_CHANGES, changes)?;
    let mut partitions = transaction.open_table(PARTITIONS)?;
    for (name, entry) in &rebuilt.partitions {
        partitions.insert(&**name, &*sealed(&key_of_name(name), &json(entry)))?;
    }
    drop(partitions);
    let mut segments = transaction.open_table(SEGMENTS)?;
    for ((partition, segment), entry) in &rebuilt.segments {
        let key = key_of_numbers(&[*partition, *segment]);
        segments.insert((*partition, *segment), &*sealed(&key, &json(entry)))?;
    }
    drop(segments);
    let mut tombstones = transaction.open_table(TOMBSTONES)?;
    for (partition, segment, row) in &rebuilt.tombstones {
        let key = key_of_numbers(&[*partition, *segment, *row]);
        tombstones.insert((*partition, *segment, *row), &*sealed(&key, &[]))?;
    }
    drop(tombstones);
    transaction.open_table(TAIL)?;
    transaction.open_table(RETIRED)?;
    transaction.open_table(STATE)?;
    Ok(transaction.commit()?)
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers and texts are JSON")
}
