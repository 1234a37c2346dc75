//! The data directory: all partitions, and the small state of the layers above.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::archive::{self, Manifest};
use super::catalog::{
    AcceptedCatalog, CATALOG_FILE, Catalog, Commits, PartitionEntry, damage, refuse_if_lost,
    remove_leftover, trace_of_lost,
};
use super::disk::{Disk, RealDisk, wipe};
use super::encryption::Encryption;
use super::error::StoreError;
use super::files::Files;
use super::health::Health;
use super::keys::Keys;
use super::overwritten::Erasing;
use super::pace::{Alarm, Pace};
use super::partition::{Common, Partition};
use super::place::{self, PlaceFault};
use super::remains;
use super::snapshot::Source;
use super::state_value::StateValue;
use super::totals::Totals;
use super::upkeep::{self, RebuiltCatalog, Repair, RepairedSegment, Verified};
use crate::secrets::{KeyError, MasterKey};
use crate::types::{EncoderId, PartitionId, Timestamp};

/// So many partitions stay open when nobody uses them: each keeps its tail in memory and its segments
/// mapped.
const UNUSED_PARTITIONS_MAX: usize = 256;

/// A data directory, open in this process. Other processes are kept from changing it, but may look on.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    common: Common,
    /// Whether something was compacted since the catalog was last written anew.
    compacted: AtomicBool,
    open: Mutex<HashMap<PartitionId, Arc<Partition>>>,
    /// Locked before `open`, by whoever needs both.
    pub(super) erasing: Mutex<Erasing>,
    /// Held by whoever encrypts galleries, or gives them other keys: one at a time.
    pub(super) rotating: Mutex<()>,
    /// What it is to be encrypted with, if it was not when it was opened.
    pub(super) unused_master: Option<MasterKey>,
    /// Whether there may be plain segments beside an encrypted catalog.
    pub(super) may_be_partly: AtomicBool,
}

/// What there is of a partition.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PartitionSummary {
    /// Its name.
    pub partition: String,
    /// The encoder it is bound to.
    pub encoder: String,
    /// Numbers per template.
    pub dimension: usize,
    /// Enrolled people.
    pub classes: usize,
    /// Templates, removed ones not counted.
    pub templates: usize,
    /// Sealed segments.
    pub segments: usize,
    /// Their size on disk.
    pub segment_bytes: u64,
    /// Templates that are not sealed yet.
    pub tail_templates: usize,
    /// Removed templates that still take up room in a segment.
    pub removed_rows: usize,
    /// Whether it is encrypted.
    pub encryption: Encryption,
}

impl Store {
    /// Whether there is a data directory, which [`Store::open`] would open instead of making one.
    ///
    /// Also if its catalog is missing, so that it cannot be opened.
    pub fn is_in(directory: &Path) -> bool {
        directory.join(CATALOG_FILE).exists()
            || trace_of_lost(directory, &RealDisk).is_ok_and(|trace| trace.is_some())
    }

    /// Opens a data directory, or makes one.
    ///
    /// # Errors
    ///
    /// If another process has it open to change it, it cannot be written, is damaged, its catalog is
    /// missing, or it is newer than this build.
    pub fn open(directory: &Path) -> Result<Store, StoreError> {
        Store::open_with(directory, &Keys::default())
    }

    /// As [`Store::open`], of a data directory that is encrypted, or is to be if it is new.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], and if the master key is missing or another one, or there is something wrong
    /// with the keys of the data directory.
    pub fn open_with(directory: &Path, keys: &Keys) -> Result<Store, StoreError> {
        Store::open_on(Arc::new(RealDisk), directory, keys)
    }

    /// Opens a data directory that must already be one.
    ///
    /// # Errors
    ///
    /// As [`Store::open`], and if there is no data directory.
    pub fn open_existing(directory: &Path) -> Result<Store, StoreError> {
        Store::open_existing_with(directory, &Keys::default())
    }

    /// As [`Store::open_existing`], of a data directory that may be encrypted.
    ///
    /// # Errors
    ///
    /// As [`Store::open_with`], and if there is no data directory.
    pub fn open_existing_with(directory: &Path, keys: &Keys) -> Result<Store, StoreError> {
        must_exist(directory)?;
        Store::open_with(directory, keys)
    }

    /// Opens a data directory only to look at it, beside a process that may be changing it. What it
    /// shows is a partition as it was when it was first asked for.
    ///
    /// # Errors
    ///
    /// If there is no data directory, it is damaged, or is newer than this build.
    pub fn open_read_only(directory: &Path) -> Result<Store, StoreError> {
        Store::open_read_only_with(directory, &Keys::default())
    }

    /// As [`Store::open_read_only`], of a data directory that may be encrypted.
    ///
    /// # Errors
    ///
    /// As [`Store::open_read_only`], and as [`Store::open_with`] of keys.
    pub fn open_read_only_with(directory: &Path, keys: &Keys) -> Result<Store, StoreError> {
        must_exist(directory)?;
        // Before the catalog is read: what it names must not go.
        let files = Files::read_only(directory, Arc::new(RealDisk))?;
        let mut catalog = Catalog::open_read_only(directory, &RealDisk, keys)?;
        let look = |catalog: &Catalog| {
            catalog.read(|tables| Ok((tables.identity()?, tables.known_segments()?)))
        };
        let (identity, known) = look(&catalog)?;
        let files = files.of(identity);
        if files.refuse_unknown(&known).is_err() {
            // Somebody may have written it since, who named it first: then it is named now.
            catalog = Catalog::open_read_only(directory, &RealDisk, keys)?;
            let (_, known) = look(&catalog)?;
            files.refuse_unknown(&known)?;
        }
        Store::with(directory, catalog, files, keys)
    }

    /// Makes the catalog of a data directory whose catalog is lost, of what its segments say. All of
    /// it is there at once, or nothing.
    ///
    /// `names` are those of partitions by their numbers, for segments that do not say the name of
    /// theirs.
    ///
    /// What was not in segments stays lost: templates not yet sealed, removals since their segments were
    /// written, and all that the layers above kept.
    ///
    /// # Errors
    ///
    /// If there is a catalog or no segment, a partition has no name or two have the same, segments
    /// belong to other data directories, another process has the directory open, or the disk fails.
    pub fn rebuild(
        directory: &Path,
        names: &BTreeMap<u64, PartitionId>,
        now: Timestamp,
        keys: &Keys,
    ) -> Result<RebuiltCatalog, StoreError> {
        upkeep::rebuild(&RealDisk, directory, names, now, keys)
    }

    /// Seals the keys of a data directory that nobody has open with another master key. It takes no
    /// longer for more templates: they are not written anew.
    ///
    /// # Errors
    ///
    /// If it is not encrypted, another process has it open, the master key in `keys` is missing or
    /// another one, or the disk fails.
    pub fn change_master_key(
        directory: &Path,
        keys: &Keys,
        new: &MasterKey,
    ) -> Result<(), StoreError> {
        let store = Store::open_existing_with(directory, keys)?;
        let disk = &**store.files().disk();
        let Some(sealed) = store.files().keys() else {
            return Err(StoreError::keys(directory, KeyError::NothingSealed));
        };
        sealed.seal_with(disk, new)?;
        drop(store);
        // So that the catalog knows of it, and the file that the old key opens is an older one.
        let keys = Keys {
            master: Some(new.clone()),
            encrypt_new: false,
        };
        drop(Store::open_existing_with(directory, &keys)?);
        Ok(())
    }

    /// Takes the catalog for the last one, though [`Store::open`] refuses it as an older one, or because
    /// the file beside it is another data directory's. What was done since it was the last one is lost.
    ///
    /// # Errors
    ///
    /// If there is no data directory, another process has it open, it cannot be written, or is damaged.
    pub fn accept_catalog(directory: &Path, keys: &Keys) -> Result<AcceptedCatalog, StoreError> {
        must_exist(directory)?;
        Catalog::accept(directory, &RealDisk, keys)
    }

    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        directory: &Path,
        keys: &Keys,
    ) -> Result<Store, StoreError> {
        let created = disk.create_directory(directory);
        created.map_err(|error| StoreError::io("create", directory, error))?;
        let catalog = Catalog::open(directory, &*disk, keys)?;
        let (identity, known) =
            catalog.read(|tables| Ok((tables.identity()?, tables.known_segments()?)))?;
        let files = Files::new(directory, disk, identity)?;
        let highest = files.refuse_unknown(&known)?;
        let leftover = catalog.path().with_extension("redb.new");
        // While somebody reads what it was, it loses its name alone.
        files.unless_read(|| wipe(&**files.disk(), &leftover))?;
        remove_leftover(&leftover, &**files.disk())?;
        let store = Store::with(directory, catalog, files, keys)?;
        store.common.commits.skip(highest)?;
        remains::clear(&store.common, true)?;
        Ok(store)
    }

    fn with(
        directory: &Path,
        catalog: Catalog,
        files: Files,
        keys: &Keys,
    ) -> Result<Store, StoreError> {
        let files = files.sealed_with(catalog.shared_keys().clone());
        let unused_master = match catalog.keys() {
            Some(_) => None,
            None => keys.master.clone(),
        };
        let common = Common {
            commits: Arc::new(Commits::new(catalog)?),
            files: Arc::new(files),
            alarm: Arc::default(),
            // What was removed before is not known.
            catalog_is_stale: Arc::new(AtomicBool::new(true)),
            findings: Arc::default(),
        };
        Ok(Store {
            directory: directory.to_owned(),
            common,
            compacted: AtomicBool::new(false),
            open: Mutex::default(),
            erasing: Mutex::default(),
            rotating: Mutex::default(),
            unused_master,
            may_be_partly: AtomicBool::new(true),
        })
    }

    /// Whether all that is written is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.files().keys().is_some()
    }

    /// What other copies of it are opened with, such as its snapshots.
    #[cfg(feature = "web")]
    pub(crate) fn keys(&self) -> Keys {
        let sealed = self.files().keys().map(|keys| keys.master().clone());
        Keys {
            master: sealed.or_else(|| self.unused_master.clone()),
            encrypt_new: false,
        }
    }

    /// Which data directory it is: 16 hexadecimal digits, which no other one has.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn identity(&self) -> Result<String, StoreError> {
        let identity = self.catalog().read(|tables| tables.identity())?;
        Ok(format!("{:016x}", identity.map_or(0, NonZeroU64::get)))
    }

    /// Whether all of it is encrypted, by what the catalog says of segments: none is opened.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn encryption(&self) -> Result<Encryption, StoreError> {
        if !self.is_encrypted() {
            return Ok(Encryption::Off);
        }
        let plain = self.catalog().read(|tables| tables.plain_segments())?;
        Ok(Encryption::of(true, plain))
    }

    /// What is wrong with one half of its key file, if anything is: its keys are in the other one, too.
    #[cfg(feature = "web")]
    pub(crate) fn damaged_half_of_keys(&self) -> Option<&'static str> {
        self.files().keys()?.damaged_half()
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The partition `id`, or `None` where nobody was ever enrolled, or since it was removed.
    ///
    /// # Errors
    ///
    /// If the partition cannot be opened.
    pub fn partition(&self, id: &PartitionId) -> Result<Option<Arc<Partition>>, StoreError> {
        let name = id.to_string();
        loop {
            if let Some(partition) = self.opened().get(id) {
                return Ok(Some(partition.clone()));
            }
            let entry = self.catalog().read(|tables| tables.partition(&name))?;
            match entry.map(|entry| self.open_partition(id, &entry)) {
                // It was removed in between.
                Some(Err(StoreError::PartitionRemoved { .. })) => {}
                opened => return opened.transpose(),
            }
        }
    }

    /// The partition `id`, which is made for `encoder` if it does not exist.
    ///
    /// # Errors
    ///
    /// If it exists for another encoder, or the disk fails.
    pub fn partition_for(
        &self,
        id: &PartitionId,
        encoder: &EncoderId,
        now: Timestamp,
    ) -> Result<Arc<Partition>, StoreError> {
        let partition = match self.partition(id)? {
            Some(partition) => partition,
            None => {
                let (name, encoder) = (id.to_string(), encoder.clone());
                let entry = self.common.commits.commit(move |group| {
                    group.create_partition(&name, &encoder, now.unix_milliseconds)
                })?;
                self.open_partition(id, &entry)?
            }
        };
        partition.check_encoder(encoder)?;
        Ok(partition)
    }

    /// The names of all partitions, in order.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn partitions(&self) -> Result<Vec<PartitionId>, StoreError> {
        let partitions = self.catalog().read(|tables| tables.partitions())?;
        let parse = |name: String| {
            let what = |error| format!("the name of a partition cannot be read: {error}");
            let id = name.parse::<PartitionId>();
            id.map_err(|error| damage(self.catalog().path(), what(error)))
        };
        partitions.into_keys().map(parse).collect()
    }

    /// What there is of a partition. Reads every class number.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn summary(&self, partition: &Partition) -> Result<PartitionSummary, StoreError> {
        let snapshot = partition.snapshot();
        let mut summary = PartitionSummary {
            partition: partition.id().to_string(),
            encoder: partition.encoder().to_string(),
            dimension: partition.encoder().dimension(),
            classes: snapshot.count_classes()?,
            templates: snapshot.templates(),
            segments: 0,
            segment_bytes: 0,
            tail_templates: 0,
            removed_rows: 0,
            encryption: Encryption::Off,
        };
        let mut plain_segments = 0;
        for block in snapshot.blocks.iter() {
            match &block.source {
                Source::Segment(_, segment) => {
                    summary.segments += 1;
                    summary.segment_bytes += segment.bytes();
                    summary.removed_rows += block.removed_rows();
                    plain_segments += usize::from(!segment.is_encrypted());
                }
                Source::Tail(_) => summary.tail_templates += block.rows() - block.removed_rows(),
            }
        }
        summary.encryption = Encryption::of(self.is_encrypted(), plain_segments);
        Ok(summary)
    }

    /// The value that a layer above keeps under `key` in its `area`.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn state_get(&self, area: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.catalog().read(|tables| tables.state_get(area, key))
    }

    /// All keys and values of an area, in order of the keys.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn state_list(&self, area: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.catalog().read(|tables| tables.state_list(area))
    }

    /// At most `limit` keys and values of an area behind the key `after`, in order of the keys.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn state_page(
        &self,
        area: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.catalog()
            .read(|tables| tables.state_page(area, after, limit))
    }

    /// How many values an area has.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn state_count(&self, area: &str) -> Result<usize, StoreError> {
        self.catalog().read(|tables| tables.state_count(area))
    }

    /// Keeps a value. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be written.
    pub fn state_put(&self, area: &str, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let value = value.to_vec();
        self.state_update(area, key, |_| (Some(value), ()))
    }

    /// Keeps values in one write: all or none. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be written.
    pub fn state_put_all(&self, values: Vec<StateValue>) -> Result<(), StoreError> {
        let commits = &self.common.commits;
        commits.commit(move |group| {
            for StateValue { area, key, value } in &values {
                group.put_state(area, key, value)?;
            }
            Ok(())
        })
    }

    /// Removes a value. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be written.
    pub fn state_remove(&self, area: &str, key: &str) -> Result<bool, StoreError> {
        self.state_update(area, key, |present| (None, present.is_some()))
    }

    /// Removes values in one write. Returns how many there were.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be written.
    pub fn state_remove_all(&self, area: &str, keys: Vec<String>) -> Result<usize, StoreError> {
        if keys.is_empty() {
            return Ok(0);
        }
        let area = area.to_owned();
        let commits = &self.common.commits;
        commits.commit(move |group| group.remove_state(&area, &keys))
    }

    /// Replaces a value by what `change` makes of it, and removes it for `None`. Nobody else changes
    /// it in between. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be written.
    pub fn state_update<T: Send + 'static>(
        &self,
        area: &str,
        key: &str,
        change: impl FnOnce(Option<&[u8]>) -> (Option<Vec<u8>>, T) + Send + 'static,
    ) -> Result<T, StoreError> {
        let (area, key) = (area.to_owned(), key.to_owned());
        let commits = &self.common.commits;
        commits.commit(move |group| group.update_state(&area, &key, change))
    }

    /// As [`Store::state_update`], and keeps another value in the same write: both are kept or neither.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be written.
    pub fn state_update_with<T: Send + 'static>(
        &self,
        area: &str,
        key: &str,
        change: impl FnOnce(Option<&[u8]>) -> (Option<Vec<u8>>, T) + Send + 'static,
        with: StateValue,
    ) -> Result<T, StoreError> {
        let (area, key) = (area.to_owned(), key.to_owned());
        let commits = &self.common.commits;
        commits.commit(move |group| {
            // First, since it can be refused.
            let result = group.update_state(&area, &key, change)?;
            group.put_state(with.area, &with.key, &with.value)?;
            Ok(result)
        })
    }

    /// The partitions with people whose time is over at `now`, by the catalog: none is opened for it.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn partitions_with_ended(&self, now: Timestamp) -> Result<Vec<PartitionId>, StoreError> {
        let entries = self.catalog().read(|tables| tables.partitions())?;
        let mut found = Vec::new();
        for id in self.partitions()? {
            let Some(entry) = entries.get(&id.to_string()) else {
                continue;
            };
            let (number, now) = (entry.partition, now.unix_milliseconds);
            let (ended, _) = self
                .catalog()
                .read(|tables| tables.ending(number, None, now))?;
            if !ended.is_empty() {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// Writes when people of the open partitions were last recognised, as far as that is not written.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn write_matches(&self) -> Result<usize, StoreError> {
        let partitions: Vec<Arc<Partition>> = self.opened().values().cloned().collect();
        let mut written = 0;
        for partition in partitions {
            written += partition.write_matches()?;
        }
        Ok(written)
    }

    /// Writes the catalog anew, and overwrites the old one: free pages of it may still hold templates
    /// that were removed or sealed. Returns whether it is overwritten; it is not while somebody reads
    /// it.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn renew_catalog(&self) -> Result<bool, StoreError> {
        let stale = &self.common.catalog_is_stale;
        // Before the work: what is removed meanwhile is work for the next time.
        stale.store(false, Ordering::Relaxed);
        let files = &self.common.files;
        let discard = |old, file| files.discard_catalog(old, file);
        let commits = &self.common.commits;
        if let Err(error) = commits.renew(&self.directory, &**files.disk(), discard) {
            stale.store(true, Ordering::Relaxed);
            return Err(error);
        }
        Ok(files.collect_patiently()? == 0)
    }

    /// What is known to be wrong. Cheap, so that it can be asked every few seconds; waits for a change
    /// that is being written.
    ///
    /// The texts name files of this machine, and no template: they are for its operator.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn health(&self) -> Result<Health, StoreError> {
        let stopped = self.common.commits.failure();
        let (partitions, findings) = (self.partitions()?, &self.common.findings);
        Ok(Health::of(&partitions, findings, stopped.as_ref()))
    }

    /// Why no change would be taken now, if that is so: the data directory is gone, replaced, not to
    /// be written or on a full disk, or a write has failed. Cheap, and waits for nothing but the file
    /// system's answer, so that it can be asked every second.
    pub fn place_fault(&self) -> Option<PlaceFault> {
        let commits = &self.common.commits;
        let catalog = self.catalog();
        match commits.failure() {
            Some(failure) => Some(PlaceFault::of_failure(&self.directory, &failure)),
            None => place::look_at(&self.directory, catalog.path()),
        }
    }

    /// Takes changes again after the disk was full, once there is room. Returns whether it does so
    /// now and did not before.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read, or not be written after all. It can be tried again.
    pub(super) fn resume(&self) -> Result<bool, StoreError> {
        let commits = &self.common.commits;
        if !commits.is_out_of_room() {
            return Ok(false);
        }
        let length = fs::metadata(self.catalog().path()).map_or(0, |metadata| metadata.len());
        if place::has_no_room(&self.directory, length) {
            return Ok(false);
        }
        let files = &self.common.files;
        let discard = |old, file| files.discard_catalog(old, file);
        commits.resume(&self.directory, &**files.disk(), discard)
    }

    /// Whether the disk is full, so that nothing can be put in order.
    pub(super) fn is_out_of_room(&self) -> bool {
        self.common.commits.is_out_of_room()
    }

    /// How much there is of everything, by the catalog: no segment is opened for it.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        self.catalog().read(|tables| tables.totals())
    }

    /// Opens every segment that the catalog names, without reading a row, so that one that is
    /// missing, cut or another one's is known before somebody searches. [`Store::health`] and the log
    /// tell of partitions that have one; the others are not concerned.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn look_over(&self) -> Result<(), StoreError> {
        let entries = self.catalog().read(|tables| tables.partitions())?;
        for id in self.partitions()? {
            let Some(entry) = entries.get(&id.to_string()) else {
                continue;
            };
            if let Err(error) = self.look_over_one(entry.partition) {
                self.common.findings.not_opened(&id, &error);
                upkeep::report(&id, &error);
            }
        }
        Ok(())
    }

    fn look_over_one(&self, partition: u64) -> Result<(), StoreError> {
        let segments = self
            .catalog()
            .read(|tables| tables.segments_of(partition))?;
        for (segment, entry) in segments {
            self.files().open(partition, segment, &entry)?;
        }
        Ok(())
    }

    /// Reads all that the catalog says of one partition, or of all, and every byte of their segments;
    /// compares them with their checksums and with each other. Tells `progress` how many bytes of
    /// how many are read.
    ///
    /// Sealing and compaction may go on meanwhile; old files are deleted later.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read, or the work is to stop. Damage is no error here.
    pub fn verify(
        &self,
        only: Option<&PartitionId>,
        pace: &Pace,
        progress: impl FnMut(u64, u64),
    ) -> Result<Verified, StoreError> {
        upkeep::verify((self.catalog(), self.files()), only, pace, progress)
    }

    /// Mends the damaged segments of one partition or of all. Those that are whole are left alone.
    /// Others may enrol, remove and search meanwhile: who is removed stays removed.
    ///
    /// `snapshot` is an older state of the same data directory, if there is one. A segment of which
    /// templates are lost is replaced only with `accept_loss`: until then its partition gives no
    /// answers.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read, the snapshot is damaged, or the disk fails.
    pub fn repair(
        &self,
        only: Option<&PartitionId>,
        snapshot: Option<&Store>,
        accept_loss: bool,
    ) -> Result<Vec<RepairedSegment>, StoreError> {
        let spare = |name: &str| match (snapshot, name.parse()) {
            (Some(store), Ok(id)) => {
                let partition = store.partition(&id)?;
                Ok(partition.map(|partition| partition.snapshot()))
            }
            _ => Ok(None),
        };
        let repair = Repair {
            common: &self.common,
            spare: &spare,
            opened: &|id| self.partition(id).ok().flatten(),
        };
        let repaired = repair.mend(only, accept_loss)?;
        for segment in repaired.iter().filter(|it| it.mended && it.lost > 0) {
            // What is known of somebody goes with their last template.
            let id = segment.partition.parse::<PartitionId>();
            if let Ok(Some(partition)) = id.map(|id| self.partition(&id).ok().flatten()) {
                partition.remove_orphans()?;
            }
        }
        Ok(repaired)
    }

    /// Writes a snapshot of everything to the file `path`, as it is at one moment. Others may go on
    /// reading and changing the data directory meanwhile. Segments are compared with their checksums
    /// on the way, so that damage is noticed while there are older snapshots, and is not passed on.
    ///
    /// The snapshot is readable by its owner alone: it holds all templates and the keys of the
    /// service. Tells `progress` how many bytes of how many went by. Returns what the snapshot says
    /// of itself.
    ///
    /// # Errors
    ///
    /// If `path` exists and may not be replaced, another process is writing it, it is in the data
    /// directory itself, something is damaged, or the disk fails. Nothing is left then, and what had the name keeps it.
    pub fn snapshot_to(
        &self,
        path: &Path,
        overwrite: bool,
        now: Timestamp,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Manifest, StoreError> {
        self.refuse_inside(path)?;
        let from = (self.catalog(), self.files());
        archive::write_snapshot(from, path, overwrite, now, progress)
    }

    /// The snapshots of this data directory in a folder, where others may have theirs.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    #[cfg(feature = "web")]
    pub(crate) fn own_snapshots(&self, folder: &Path) -> Result<archive::OwnSnapshots, StoreError> {
        let identity = self.catalog().read(|tables| tables.identity())?;
        Ok(archive::OwnSnapshots::of(identity, folder, self.keys()))
    }

    /// A snapshot beside the catalog could take the place of what it is a copy of.
    fn refuse_inside(&self, path: &Path) -> Result<(), StoreError> {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize();
        let inside = match (folder, self.directory().canonicalize()) {
            (Ok(folder), Ok(own)) => folder == own || folder.starts_with(own.join("segments")),
            // Whoever writes there tells what is wrong with it.
            _ => false,
        };
        if !inside {
            return Ok(());
        }
        let said = "it is among the files of the data directory itself";
        let source = io::Error::new(io::ErrorKind::InvalidInput, said);
        Err(StoreError::io("write a snapshot to", path, source))
    }

    /// Reads every segment of every partition again, at a pace that nobody notices.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read, or the work is to stop.
    pub(super) fn scrub(&self, pace: &Pace) -> Result<(), StoreError> {
        for id in self.partitions()? {
            match self.partition(&id) {
                Ok(Some(partition)) => upkeep::scrub(&partition, pace)?,
                Ok(None) => {}
                Err(error) => upkeep::report(&id, &error),
            }
        }
        Ok(())
    }

    /// Does the one thing that is due next in each partition that is open, and deletes what nobody
    /// reads any more. Returns whether anything was done.
    pub(super) fn compact_once(&self, pace: &Pace) -> Result<bool, StoreError> {
        let partitions: Vec<Arc<Partition>> = self.opened().values().cloned().collect();
        let (mut worked, mut failure) = (false, None);
        for partition in partitions {
            match partition.compact_once(pace) {
                Ok(done) => worked |= done.is_some(),
                Err(StoreError::Interrupted) => return Err(StoreError::Interrupted),
                // There is nothing left to be put in order.
                Err(StoreError::PartitionRemoved { .. }) => {}
                // One damaged partition must not keep the others from being put in order.
                Err(error) => failure = Some(error),
            }
        }
        self.common.files.collect()?;
        if worked {
            self.compacted.store(true, Ordering::Relaxed);
            return Ok(true);
        }
        // Once for all that was compacted in a row: it makes changes wait.
        let stale = self.common.catalog_is_stale.load(Ordering::Relaxed);
        if self.compacted.swap(false, Ordering::Relaxed) && stale {
            self.renew_catalog()?;
        }
        failure.map_or(Ok(false), Err)
    }

    pub(super) fn alarm(&self) -> &Arc<Alarm> {
        &self.common.alarm
    }

    /// How many partitions are open.
    #[cfg(test)]
    pub(super) fn open_partitions(&self) -> usize {
        self.opened().len()
    }

    pub(super) fn common(&self) -> &Common {
        &self.common
    }

    pub(super) fn files(&self) -> &Files {
        &self.common.files
    }

    pub(super) fn commits(&self) -> &Commits {
        &self.common.commits
    }

    pub(super) fn catalog(&self) -> &Catalog {
        self.common.commits.catalog()
    }

    /// A partition, if it is open.
    pub(super) fn opened_one(&self, id: &PartitionId) -> Option<Arc<Partition>> {
        self.opened().get(id).cloned()
    }

    fn open_partition(
        &self,
        id: &PartitionId,
        entry: &PartitionEntry,
    ) -> Result<Arc<Partition>, StoreError> {
        let mut opened = self.opened();
        // Somebody else may have opened it since; two of one partition would not see each other.
        if let Some(partition) = opened.get(id) {
            return Ok(partition.clone());
        }
        // Or have removed it.
        if self.commits().is_gone(entry.partition) {
            let partition = id.clone();
            return Err(StoreError::PartitionRemoved { partition });
        }
        let partition = Arc::new(Partition::open(id.clone(), entry, &self.common)?);
        if opened.len() >= UNUSED_PARTITIONS_MAX {
            // Nobody can begin to use one meanwhile, since all come from this map.
            opened.retain(|_, partition| Arc::strong_count(partition) > 1 || partition.is_read());
        }
        opened.insert(id.clone(), partition.clone());
        Ok(partition)
    }

    /// The partitions that are open.
    pub(super) fn opened(&self) -> MutexGuard<'_, HashMap<PartitionId, Arc<Partition>>> {
        // Insertion and removal are the only changes, so that a panic elsewhere cannot leave it half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the data directory `target` of the archive `path`.
///
/// `target` must not exist, or be an empty directory. Everything is verified and opened once before it
/// gets that name, in one step: a failure, of whatever kind, leaves `target` as it was. A crash leaves
/// `TARGET.restoring` beside it, which the next call replaces. All files are readable by
/// their owner alone.
///
/// Tells `progress` how many bytes of how many went by. Returns what the archive says of itself.
///
/// # Errors
///
/// If `target` is neither missing nor an empty directory, another process is restoring into it, the
/// archive is damaged, cut off, no snapshot, or newer than this build, or the disk fails.
pub fn restore_archive(
    path: &Path,
    target: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, StoreError> {
    restore_archive_with(path, target, &Keys::default(), progress)
}

/// As [`restore_archive`], of an archive of a data directory that may be encrypted.
///
/// # Errors
///
/// As [`restore_archive`], and as [`Store::open_with`] of keys.
pub fn restore_archive_with(
    path: &Path,
    target: &Path,
    keys: &Keys,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, StoreError> {
    let check = |directory: &Path| open_everything(directory, keys);
    archive::extract(path, target, keys, check, progress)
}

/// Whether the catalog can be read and names segments that are there.
fn open_everything(directory: &Path, keys: &Keys) -> Result<(), StoreError> {
    let store = Store::open_existing_with(directory, keys)?;
    for id in store.partitions()? {
        if let Some(partition) = store.partition(&id)? {
            // Templates whose segments are missing must not be missed only later.
            store.summary(&partition)?;
        }
    }
    Ok(())
}

/// Fails if there is no data directory.
pub(super) fn must_exist(directory: &Path) -> Result<(), StoreError> {
    refuse_if_lost(directory, &RealDisk)?;
    let catalog = directory.join(CATALOG_FILE);
    fs::metadata(&catalog).map_err(|error| StoreError::io("open", &catalog, error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::{Enrolled, NewTemplate, Snapshot, TemplateBatch};
    use crate::types::{ClassId, Embedding};

    const NOW: Timestamp = Timestamp {
        unix_milliseconds: 1_000,
    };

    fn encoder() -> EncoderId {
        EncoderId::new("test", "1", 16).unwrap()
    }

    fn template(value: f32) -> NewTemplate {
        let mut values = vec![1.0; 16];
        values[0] = value;
        NewTemplate {
            embedding: Embedding::new(values).unwrap(),
            quality: 0.5,
            portrait: None,
        }
    }

    fn bws_1() -> PartitionId {
        "bws.1".parse().unwrap()
    }

    fn open(store: &Store) -> Arc<Partition> {
        store.partition_for(&bws_1(), &encoder(), NOW).unwrap()
    }

    /// Every template as (class, first value), in order.
    fn contents(snapshot: &Snapshot) -> Vec<(i64, f32)> {
        let mut all = Vec::new();
        for row in snapshot.live_rows() {
            all.push((row.class().unwrap().0, row.values().unwrap()[0]));
        }
        all.sort_by(|a, b| a.partial_cmp(b).unwrap());
        all
    }

    fn enroll(partition: &Partition, class: i64, values: &[f32], keep: usize) -> Enrolled {
        let templates: Vec<NewTemplate> = values.iter().map(|value| template(*value)).collect();
        partition
            .enroll(ClassId(class), &encoder(), &templates, keep, NOW)
            .unwrap()
    }

    #[test]
    fn enrolments_survive_a_restart_sealed_or_not() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..4_i16 {
            let store = Store::open(directory.path()).unwrap();
            let partition = open(&store);
            enroll(&partition, 1, &[f32::from(round)], usize::MAX);
            if round % 2 == 1 {
                partition.seal().unwrap();
            }
            let expected: Vec<(i64, f32)> =
                (0..=round).map(|value| (1, f32::from(value))).collect();
            assert_eq!(contents(&partition.snapshot()), expected);
        }
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(contents(&open(&store).snapshot()).len(), 4);
    }

    #[test]
    fn replacing_and_removing_reach_the_tail_and_segments() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let partition = open(&store);
        enroll(&partition, 1, &[1.0, 2.0], usize::MAX);
        enroll(&partition, 2, &[3.0], usize::MAX);
        partition.seal().unwrap();
        enroll(&partition, 1, &[4.0], usize::MAX);
        let before = partition.snapshot();

        let replaced = enroll(&partition, 1, &[5.0], 0);
        assert_eq!(
            replaced,
            Enrolled {
                added: 1,
                known: 0,
                removed: 3,
                templates: 1
            }
        );
        assert_eq!(contents(&partition.snapshot()), [(1, 5.0), (2, 3.0)]);
        assert!(partition.remove(ClassId(2)).unwrap().was_enrolled());
        assert!(!partition.remove(ClassId(2)).unwrap().was_enrolled());
        assert!(!partition.snapshot().contains(ClassId(2)).unwrap());
        assert_eq!(contents(&before).len(), 4, "a snapshot stays as it was");
        drop((before, partition, store));

        let store = Store::open(directory.path()).unwrap();
        assert_eq!(contents(&open(&store).snapshot()), [(1, 5.0)]);
    }

    #[test]
    fn the_newest_templates_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let partition = open(&store);
        for value in 0..5_i16 {
            let later = Timestamp {
                unix_milliseconds: i64::from(value),
            };
            let new = [template(f32::from(value))];
            partition
                .enroll(ClassId(1), &encoder(), &new, 2, later)
                .unwrap();
        }
        assert_eq!(
            contents(&partition.snapshot()),
            [(1, 2.0), (1, 3.0), (1, 4.0)]
        );
    }

    #[test]
    fn a_removed_template_does_not_come_back_with_sealing() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let partition = open(&store);
        for class in 0..10_i16 {
            enroll(
                &partition,
                i64::from(class),
                &[f32::from(class)],
                usize::MAX,
            );
        }
        partition.remove(ClassId(4)).unwrap();
        partition.seal().unwrap();
        assert_eq!(contents(&partition.snapshot()).len(), 9);
        drop((partition, store));
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(contents(&open(&store).snapshot()).len(), 9);
    }

    #[test]
    fn a_long_tail_is_sealed_by_itself() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let partition = open(&store);
        let values: Vec<f32> = (0..8_200_i16).map(f32::from).collect();
        enroll(&partition, 1, &values, usize::MAX);
        assert_eq!(store.summary(&partition).unwrap().segments, 0);
        enroll(&partition, 2, &values, usize::MAX);
        let summary = store.summary(&partition).unwrap();
        assert_eq!((summary.segments, summary.tail_templates), (1, 0));
        assert_eq!((summary.classes, summary.templates), (2, 16_400));
    }

    #[test]
    fn an_import_is_seen_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let partition = open(&store);
        let row = [1.0; 16];
        let mut import = partition.import(&encoder(), 2, NOW).unwrap();
        import.push(ClassId(1), &row, f32::NAN).unwrap();
        assert_eq!(partition.snapshot().templates(), 0);
        assert!(matches!(
            import.finish(),
            Err(StoreError::RowCount {
                expected: 2,
                found: 1,
                ..
            })
        ));
        let directory_of_segments = directory.path().join("segments/1");
        assert_eq!(fs::read_dir(directory_of_segments).unwrap().count(), 0);

        let mut import = partition.import(&encoder(), 1, NOW).unwrap();
        import.push(ClassId(1), &row, f32::NAN).unwrap();
        assert!(matches!(
            import.push(ClassId(1), &row, 0.0),
            Err(StoreError::RowCount { .. })
        ));
        import.finish().unwrap();
        assert_eq!(partition.snapshot().templates(), 1);

        let error = partition.import(&encoder(), usize::MAX, NOW).unwrap_err();
        assert!(
            error.to_string().contains("2147483648 is the most"),
            "{error}"
        );
    }

    #[test]
    fn an_import_of_batches_and_rows_is_what_one_batch_is() {
        let value = |row: usize| -> [f32; 16] {
            std::array::from_fn(|at| ((row * 31 + at * 17) % 97) as f32 - 40.5)
        };
        let batch_of = |rows: std::ops::Range<usize>| {
            let mut batch = TemplateBatch::new(&encoder());
            for row in rows {
                let class = ClassId(row as i64 * 7 % 100);
                batch.push(class, &value(row), f32::NAN, NOW);
            }
            batch
        };
        let planes_of = |fill: &dyn Fn(&Partition)| {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(directory.path()).unwrap();
            let partition = open(&store);
            fill(&partition);
            assert_eq!(partition.snapshot().templates(), 300);
            let mut files = fs::read_dir(directory.path().join("segments/1")).unwrap();
            let bytes = fs::read(files.next().unwrap().unwrap().path()).unwrap();
            assert!(files.next().is_none());
            // The header has the identity of the data directory.
            bytes[4096..].to_vec()
        };
        let one = planes_of(&|partition| {
            let batch = batch_of(0..300);
            partition.add_batch(&batch, Vec::new(), None, NOW).unwrap();
        });
        let many = planes_of(&|partition| {
            let mut import = partition.import(&encoder(), 300, NOW).unwrap();
            for row in 0..30 {
                let class = ClassId(row as i64 * 7 % 100);
                import.push(class, &value(row), f32::NAN).unwrap();
            }
            for rows in [30..130, 130..130, 130..299] {
                import.append(&batch_of(rows)).unwrap();
            }
            // One too many is refused and changes nothing.
            let refused = import.append(&batch_of(298..300));
            assert!(matches!(
                refused,
                Err(StoreError::RowCount {
                    expected: 300,
                    found: 301,
                    ..
                })
            ));
            import.append(&batch_of(299..300)).unwrap();
            import.finish().unwrap();
        });
        assert!(one == many, "the files differ");
    }

    #[test]
    fn another_encoder_is_refused_and_both_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let partition = open(&store);
        let other = EncoderId::new("test", "2", 16).unwrap();
        let error = partition
            .enroll(ClassId(1), &other, &[template(1.0)], 0, NOW)
            .unwrap_err();
        let expected =
            "partition `bws.1` holds embeddings of encoder `test@1/16`, not of `test@2/16`";
        assert_eq!(error.to_string(), expected);
        assert!(store.partition_for(&bws_1(), &other, NOW).is_err());
        assert!(partition.import(&other, 1, NOW).is_err());
    }

    #[test]
    fn a_draft_that_no_transaction_names_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let partition = open(&store);
        enroll(&partition, 1, &[1.0], 0);
        partition.seal().unwrap();
        drop((partition, store));
        let segments = directory.path().join("segments/1");
        fs::write(segments.join("998.vseg.new"), b"half a segment").unwrap();
        fs::write(segments.join("999.vseg"), b"not one of ours").unwrap();
        fs::write(segments.join("notes.txt"), b"not ours").unwrap();
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(open(&store).snapshot().templates(), 1);
        assert!(!segments.join("998.vseg.new").exists());
        assert!(segments.join("999.vseg").exists());
        assert!(segments.join("notes.txt").exists());
        // Nor does a new segment get such a name, be it the next number.
        drop(store);
        let store = Store::open(directory.path()).unwrap();
        let next = open(&store).commits().take_numbers(1).unwrap();
        drop(store);
        let foreign: Vec<_> = (next..next + 10)
            .map(|it| segments.join(format!("{it}.vseg")))
            .collect();
        foreign
            .iter()
            .for_each(|path| fs::write(path, b"a note").unwrap());
        let store = Store::open(directory.path()).unwrap();
        enroll(&open(&store), 2, &[1.0], 0);
        open(&store).seal().unwrap();
        assert_eq!(store.summary(&open(&store)).unwrap().segments, 2);
        assert!(
            foreign
                .iter()
                .all(|path| fs::read(path).unwrap() == b"a note")
        );
    }

    #[test]
    fn a_missing_or_damaged_segment_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let partition = open(&store);
        enroll(&partition, 1, &[1.0], 0);
        partition.seal().unwrap();
        drop((partition, store));
        let segments = directory.path().join("segments/1");
        let path = fs::read_dir(&segments)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let bytes = fs::read(&path).unwrap();

        let mut damaged = bytes.clone();
        damaged[4096] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let store = Store::open(directory.path()).unwrap();
        let snapshot = open(&store).snapshot();
        let first = snapshot.blocks().next().unwrap();
        let error = first.scan(0..1).unwrap_err();
        let StoreError::Incomplete { source, .. } = &error else {
            panic!("{error}");
        };
        assert!(
            matches!(&**source, StoreError::Damaged { offset: 4096, .. }),
            "{source}"
        );
        drop((snapshot, store));

        fs::remove_file(&path).unwrap();
        let store = Store::open(directory.path()).unwrap();
        let error = store.partition(&bws_1()).unwrap_err();
        let StoreError::Incomplete {
            templates: 1,
            source,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert!(
            matches!(&**source, StoreError::Io { path: named, .. } if *named == path),
            "{source}"
        );
        drop(store);

        fs::write(&path, &bytes).unwrap();
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(open(&store).snapshot().templates(), 1, "nothing was lost");
    }

    #[test]
    fn a_second_opener_is_kept_out() {
        let directory = tempfile::tempdir().unwrap();
        let _store = Store::open(directory.path()).unwrap();
        let error = Store::open(directory.path()).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    }

    #[test]
    fn what_is_no_data_directory_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"text").unwrap();
        assert!(matches!(
            Store::open(&file),
            Err(StoreError::Io {
                action: "create",
                ..
            })
        ));
        let missing = directory.path().join("missing");
        assert!(matches!(
            Store::open_existing(&missing),
            Err(StoreError::Io { .. })
        ));
        assert!(!missing.exists());
        fs::write(directory.path().join("catalog.redb"), vec![7; 10_000]).unwrap();
        let error = Store::open(directory.path()).unwrap_err();
        assert!(matches!(error, StoreError::Catalog { .. }), "{error:?}");
    }

    #[test]
    fn state_is_kept_by_area() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.state_put("a", "x", b"1").unwrap();
        store.state_put("a", "y", b"2").unwrap();
        store.state_put("b", "x", b"3").unwrap();
        drop(store);
        let store = Store::open(directory.path()).unwrap();
        let keys_of = |area, store: &Store| -> Vec<String> {
            let listed = store.state_list(area).unwrap();
            listed.into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys_of("a", &store), ["x", "y"]);
        assert_eq!(keys_of("b", &store), ["x"]);
        assert_eq!(keys_of("c", &store), [""; 0]);
        let with = |area, key: &str| StateValue {
            area,
            key: key.to_owned(),
            value: b"4".to_vec(),
        };
        let before = store.state_update_with(
            "a",
            "y",
            |present| (Some(b"5".to_vec()), present.map(<[u8]>::to_vec)),
            with("c", "z"),
        );
        assert_eq!(before.unwrap(), Some(b"2".to_vec()));
        assert_eq!(store.state_get("a", "y").unwrap(), Some(b"5".to_vec()));
        assert_eq!(store.state_get("c", "z").unwrap(), Some(b"4".to_vec()));
        let keys = ["y", "nothing"].map(str::to_owned).to_vec();
        assert_eq!(store.state_remove_all("a", keys).unwrap(), 1);
        assert_eq!(keys_of("a", &store), ["x"]);
        assert!(store.state_remove("a", "x").unwrap());
        assert!(!store.state_remove("a", "x").unwrap());
        assert_eq!(store.state_get("b", "x").unwrap(), Some(b"3".to_vec()));
    }
}
