//! Reading everything again and comparing it with its checksums.

use serde::Serialize;

use crate::partition::StoreError;
use crate::partition::catalog::{Contents, PartitionEntry};
use crate::partition::pace::Pace;
use crate::partition::partition::Partition;
use crate::partition::segment::Segment;
use crate::partition::store::Store;
use crate::types::PartitionId;

/// What reading a data directory again showed.
#[derive(Debug, Default, Serialize)]
pub struct Verified {
    /// Partitions that were read.
    pub partitions: usize,
    /// Segments that the catalog names in them.
    pub segments: usize,
    /// Templates that they hold, removed ones included, and those not yet sealed.
    pub templates: u64,
    /// Bytes of segments that were compared.
    pub bytes: u64,
    /// Everything that is not as it was written; empty if all is well.
    pub damage: Vec<Damage>,
}

/// Something that is not as it was written.
#[derive(Debug, Serialize)]
pub struct Damage {
    /// The partition that it belongs to.
    pub partition: String,
    /// Where, what was expected and what was found, in words.
    pub what: String,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Where in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_bytes: Option<u64>,
}

impl Store {
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
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Verified, StoreError> {
        let files = self.files();
        let _all_files_stay = files.keep();
        let entries = self.catalog().read(|tables| tables.partitions())?;
        let wanted = |name: &String| only.is_none_or(|only| *name == only.to_string());
        let mut found = Verified::default();
        let mut contents = Vec::new();
        for (name, entry) in entries.into_iter().filter(|(name, _)| wanted(name)) {
            found.partitions += 1;
            let number = entry.partition;
            match self.catalog().read(|tables| tables.contents(number)) {
                Ok(of) => contents.push((name, entry, of)),
                Err(error) => found.damage.push(Damage::new(&name, &error)),
            }
        }
        let mut opened = Vec::new();
        for (name, entry, contents) in &contents {
            opened.push(self.open_all(name, entry, contents, &mut found));
        }
        let total = opened.iter().flatten().map(|(_, segment)| segment.bytes());
        let total: u64 = total.sum();
        for ((name, _, contents), segments) in contents.iter().zip(&opened) {
            for (_, segment) in segments {
                let damage = &mut found.damage;
                let note = |error| damage.push(Damage::new(name, &error));
                match segment.verify(&**files.disk(), pace, note) {
                    Ok(bytes) => found.bytes += bytes,
                    Err(StoreError::Interrupted) => return Err(StoreError::Interrupted),
                    Err(error) => found.damage.push(Damage::new(name, &error)),
                }
                progress(found.bytes, total);
            }
            check_numbers(name, contents, segments, &mut found);
        }
        Ok(found)
    }

    fn open_all(
        &self,
        name: &str,
        entry: &PartitionEntry,
        contents: &Contents,
        found: &mut Verified,
    ) -> Vec<(u64, Segment)> {
        found.templates += contents.tail.len() as u64;
        let mut opened = Vec::new();
        for (&segment, described) in &contents.segments {
            found.segments += 1;
            found.templates += described.rows;
            match self.files().open(entry.partition, segment, described) {
                Ok(reader) => opened.push((segment, reader)),
                Err(error) => found.damage.push(Damage::new(name, &error)),
            }
        }
        opened
    }

    /// Reads every segment again, at a pace that nobody notices. A segment that is damaged gives no
    /// more answers, and the log says so.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read, or the work is to stop.
    pub(in crate::partition) fn scrub(&self, pace: &Pace) -> Result<(), StoreError> {
        for id in self.partitions()? {
            let partition = match self.partition(&id) {
                Ok(Some(partition)) => partition,
                Ok(None) => continue,
                Err(error) => {
                    report(&id, &error);
                    continue;
                }
            };
            let mut is_whole = true;
            // Not in the head of the loop, where the snapshot would live as long as the loop.
            let segments = partition.snapshot().segments();
            for segment in segments {
                is_whole &= self.scrub_segment(&partition, segment, pace)?;
            }
            if is_whole {
                self.common().findings.read_whole(&id);
            }
        }
        Ok(())
    }

    /// Reads one segment again, and returns whether it is whole as far as it is still in use.
    ///
    /// Holds on to nothing between two blocks. It takes minutes for a gigabyte, and whoever erases
    /// somebody meanwhile waits for the last reader of the old file.
    fn scrub_segment(
        &self,
        partition: &Partition,
        number: u64,
        pace: &Pace,
    ) -> Result<bool, StoreError> {
        let (mut file, mut is_whole) = (None, true);
        for block in 0.. {
            let snapshot = partition.snapshot();
            let Some(segment) = snapshot.segment(number) else {
                // What replaced it was compared when it was written.
                break;
            };
            if block == segment.blocks() {
                break;
            }
            let verified = match &file {
                Some(file) => segment.verify_block(file, block),
                None => segment
                    .reopen(&**self.files().disk())
                    .and_then(|opened| segment.verify_block(file.insert(opened), block)),
            };
            match verified {
                Ok((bytes, compared)) => {
                    if let Err(error) = compared {
                        segment.doubt();
                        report(partition.id(), &snapshot.incomplete(error));
                        is_whole = false;
                    }
                    drop(snapshot);
                    pace.spend(bytes)?;
                }
                Err(error) => {
                    self.common().findings.met(partition.id(), &error);
                    report(partition.id(), &error);
                    return Ok(false);
                }
            }
        }
        Ok(is_whole)
    }
}

fn report(id: &PartitionId, error: &StoreError) {
    let error = error as &dyn std::error::Error;
    tracing::error!(partition = %id, error, "a gallery is damaged");
}

/// No template is there twice: neither in two segments, nor in a segment and in the tail. Takes 16
/// bytes of memory a template.
fn check_numbers(
    name: &str,
    contents: &Contents,
    segments: &[(u64, Segment)],
    found: &mut Verified,
) {
    let tail = contents.tail.iter();
    let mut numbers: Vec<(u64, Option<u64>)> = tail
        .map(|template| (template.info.template, None))
        .collect();
    for (segment, reader) in segments {
        // A damaged block was reported already, and says nothing here.
        let infos = reader.infos(0..reader.rows()).unwrap_or_default();
        numbers.extend(infos.iter().map(|info| (info.template, Some(*segment))));
    }
    numbers.sort_unstable();
    let place = |segment: Option<u64>| match segment {
        None => "the tail".to_owned(),
        Some(number) => format!("segment {number}"),
    };
    for pair in numbers.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let (template, one, other) = (pair[0].0, place(pair[0].1), place(pair[1].1));
        found.damage.push(Damage {
            partition: name.to_owned(),
            what: format!("template {template} is in {one} and in {other}"),
            file: None,
            offset_bytes: None,
        });
    }
}

impl Damage {
    fn new(partition: &str, error: &StoreError) -> Damage {
        let (file, offset_bytes) = match error {
            StoreError::Damaged { path, offset, .. } => (Some(path), Some(*offset)),
            StoreError::Io { path, .. }
            | StoreError::Catalog { path, .. }
            | StoreError::Version { path, .. } => (Some(path), None),
            _ => (None, None),
        };
        Damage {
            partition: partition.to_owned(),
            what: error.with_causes(),
            file: file.map(|path| path.display().to_string()),
            offset_bytes,
        }
    }
}
