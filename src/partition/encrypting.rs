//! Encrypting a data directory that is not: its catalog at once, then one segment after the other.
//!
//! | step | what a crash just after it leaves |
//! | --- | --- |
//! | 1. an encrypted copy of the catalog takes its name ([`super::catalog::encrypt`]) | an encrypted catalog, and plain segments |
//! | 2. one plain segment after the other is written anew, as a merge writes it | the same, of fewer segments |
//!
//! From the first step on whatever is written is encrypted. Until the last one is over, searches see both kinds;
//! whoever begins again goes on with what was begun, and the background does so by itself.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, TryLockError};

use super::StoreError;
use super::catalog::{self, SegmentEntry, Tables};
use super::disk::{Disk, RealDisk};
use super::encryption::Encryption;
use super::keys::Keys;
use super::pace::Pace;
use super::partition::Partition;
use super::store::{Store, must_exist};
use crate::types::PartitionId;

/// What was encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Encrypted {
    /// Whether the catalog was; it is not where it had been before.
    pub catalog: bool,
    /// Segments that were written anew.
    pub segments: usize,
    /// Whether what could be read before is overwritten. If not, somebody is still reading it; nobody can who
    /// begins now.
    pub overwritten: bool,
}

impl Store {
    /// Encrypts a data directory that nobody has open. Where it was broken off it goes on.
    ///
    /// # Errors
    ///
    /// If there is no data directory, another process has it open, there is no master key or another
    /// one, a segment is damaged, or the disk fails. Nothing is lost then.
    pub fn encrypt(directory: &Path, keys: &Keys, pace: &Pace) -> Result<Encrypted, StoreError> {
        Store::encrypt_on(Arc::new(RealDisk), directory, keys, pace)
    }

    pub(super) fn encrypt_on(
        disk: Arc<dyn Disk>,
        directory: &Path,
        keys: &Keys,
        pace: &Pace,
    ) -> Result<Encrypted, StoreError> {
        must_exist(directory)?;
        let catalog = catalog::encrypt(directory, &*disk, keys)?;
        let store = Store::open_on(disk, directory, keys)?;
        let rest = store.encrypt_open(pace)?;
        Ok(Encrypted { catalog, ..rest })
    }

    /// Encrypts this data directory with the master key that it was opened with. Others may search, enrol and
    /// remove meanwhile. Where it was broken off it goes on: no segment is written twice.
    ///
    /// Snapshots of before stay readable. Whoever was writing many templates when it began is told to try again.
    ///
    /// # Errors
    ///
    /// If it was opened to be read only, or without a master key, a segment is damaged, the disk fails, or the work
    /// is to stop: the first failure, after the other partitions were seen to. Nothing is lost then; whether the
    /// catalog is encrypted, [`Store::is_encrypted`] says.
    pub fn encrypt_open(&self, pace: &Pace) -> Result<Encrypted, StoreError> {
        if self.catalog().is_read_only() {
            let path = self.catalog().path().to_owned();
            return Err(StoreError::ReadOnly { path });
        }
        let _alone = self.rotating();
        let keys = Keys {
            master: self.unused_master.clone(),
            encrypt_new: false,
        };
        let (files, commits) = (self.files(), self.commits());
        let discard = |old, file| files.discard_catalog(old, file);
        let catalog = commits.encrypt(self.directory(), &**files.disk(), &keys, discard)?;
        if catalog {
            // From now on another key file is known as an older one.
            self.count_keys()?;
            self.may_be_partly.store(true, Ordering::Relaxed);
        }
        // All of them: whoever opens one also overwrites what a crash has left of it.
        let galleries = self.galleries(|_, _| Ok(true))?;
        let segments = self.encrypt_segments(&galleries, pace)?;
        let overwritten = files.collect_patiently()? == 0;
        Ok(Encrypted {
            catalog,
            segments,
            overwritten,
        })
    }

    /// About how many bytes [`Store::encrypt_open`] spends of its pace: each plain segment is written anew, and
    /// read back.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    pub fn bytes_to_encrypt(&self) -> Result<u64, StoreError> {
        let plain = self.catalog().read(|tables| {
            let mut plain = Vec::new();
            for entry in tables.partitions()?.values() {
                let segments = tables.segments_of(entry.partition)?;
                let segments = segments.iter().filter(|(_, it)| it.seal.is_none());
                plain.extend(segments.map(|(segment, _)| (entry.partition, *segment)));
            }
            Ok(plain)
        })?;
        let length = |(partition, segment)| {
            let path = self.files().path(partition, segment);
            // One that is gone is written by nobody.
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        Ok(plain.into_iter().map(length).sum::<u64>() * 2)
    }

    /// Goes on with what [`Store::encrypt_open`] has begun. Returns whether there was something to do.
    ///
    /// # Errors
    ///
    /// As there.
    pub(super) fn go_on_encrypting(&self, pace: &Pace) -> Result<bool, StoreError> {
        if !self.is_encrypted() || !self.may_be_partly.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let _alone = match self.rotating.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody is at it.
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        let galleries = self.galleries(|tables, number| {
            let plain = |it: &SegmentEntry| it.seal.is_none();
            let named = tables.segments_of(number)?;
            Ok(named.values().any(plain) || tables.retired_of(number)?.values().any(plain))
        })?;
        let segments = self.encrypt_segments(&galleries, pace)?;
        if segments > 0 {
            tracing::info!(segments, "went on with encrypting what was plain");
        }
        Ok(segments > 0)
    }

    fn encrypt_segments(
        &self,
        galleries: &[(PartitionId, u64)],
        pace: &Pace,
    ) -> Result<usize, StoreError> {
        // One that has no segment yet may be about to get one that was begun when there were no keys.
        let open: Vec<Arc<Partition>> = self.opened().values().cloned().collect();
        open.iter()
            .for_each(|partition| partition.wait_for_rewriting());
        drop(open);
        let mut segments = 0;
        let mut failure = None;
        for (id, number) in galleries {
            let opened = self.partition(id);
            let encrypted = opened.and_then(|partition| match partition {
                Some(partition) => partition.encrypt(pace),
                None => Ok(0),
            });
            match encrypted {
                Ok(count) => segments += count,
                Err(_) if self.commits().is_gone(*number) => {}
                Err(StoreError::Interrupted) => return Err(StoreError::Interrupted),
                // One that is damaged must not keep the others plain.
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if self.encryption()? == Encryption::On {
            self.may_be_partly.store(false, Ordering::Relaxed);
        }
        Ok(segments)
    }

    /// Some partitions with their numbers, by the catalog: none is opened for it.
    fn galleries(
        &self,
        is_meant: impl Fn(&Tables<'_>, u64) -> Result<bool, StoreError>,
    ) -> Result<Vec<(PartitionId, u64)>, StoreError> {
        self.catalog().read(|tables| {
            let mut found = Vec::new();
            for (name, entry) in tables.partitions()? {
                if let (Ok(id), true) = (name.parse(), is_meant(tables, entry.partition)?) {
                    found.push((id, entry.partition));
                }
            }
            Ok(found)
        })
    }
}
