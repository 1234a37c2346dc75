//! Making the catalog anew of nothing but segments: what they say of themselves is enough to search
//! them again.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::partition::StoreError;
use crate::partition::catalog::{PartitionEntry, Rebuilt, SegmentEntry, create_rebuilt};
use crate::partition::disk::Disk;
use crate::partition::files::SegmentFile;
use crate::partition::keys::{KeyFile, Keys};
use crate::partition::segment::{Header, Named, Segment, read_header};
use crate::secrets::KeyError;
use crate::types::{EncoderId, PartitionId, Timestamp};

/// What was found in the segments of a data directory.
#[derive(Debug, Default, Serialize)]
pub struct RebuiltCatalog {
    /// The partitions, by their numbers.
    pub partitions: Vec<RebuiltPartition>,
    /// Files that are no whole segment, or not in their place. Nothing was done to them.
    pub left_alone: Vec<String>,
    /// Those of them that are segments of something else: until they are moved away the data directory is not
    /// opened, since the new catalog does not know them.
    pub in_the_way: Vec<String>,
}

/// A partition that was found in segments.
#[derive(Debug, Serialize)]
pub struct RebuiltPartition {
    /// Its name.
    pub partition: String,
    /// Its number, which is the name of its directory.
    pub number: u64,
    /// Its encoder.
    pub encoder: String,
    /// Its segments.
    pub segments: usize,
    /// Templates that it has again.
    pub templates: u64,
    /// Rows of templates that were in more than one segment.
    pub duplicates: u64,
}

/// A segment, as it says itself.
struct Found {
    path: PathBuf,
    header: Header,
}

/// Makes the catalog: [`crate::partition::Store::rebuild`].
pub(in crate::partition) fn rebuild(
    disk: &dyn Disk,
    directory: &Path,
    names: &BTreeMap<u64, PartitionId>,
    now: Timestamp,
    keys: &Keys,
) -> Result<RebuiltCatalog, StoreError> {
    create_rebuilt(directory, disk, keys, |keys| {
        let mut report = RebuiltCatalog::default();
        let mut found = find(disk, &directory.join("segments"), &mut report)?;
        if keys.is_some() {
            // Whoever can write files could have made one that is not encrypted, of anybody's face.
            found.retain(|it| {
                let is_ours = it.header.seal.is_some();
                if !is_ours {
                    report.leave_alone(&it.path, true);
                }
                is_ours
            });
        }
        let is_sealed = found.iter().any(|it| it.header.seal.is_some());
        if keys.is_none() && is_sealed {
            let path = KeyFile::path_in(directory);
            return Err(StoreError::keys(&path, KeyError::Missing));
        }
        if found.is_empty() {
            let path = directory.to_owned();
            return Err(StoreError::NoSegments { path });
        }
        let mut rebuilt = Rebuilt {
            identity: identity_of(&found)?,
            highest: 0,
            partitions: Vec::new(),
            segments: Vec::new(),
            tombstones: Vec::new(),
        };
        for (number, segments) in by_partition(found) {
            let known = rebuilt.partitions.iter().map(|(name, _)| &**name);
            let name = name_of(number, &segments, names, &known.collect())?;
            let entry = PartitionEntry {
                partition: number,
                encoder: encoder_of(&segments)?,
                created_unix_milliseconds: now.unix_milliseconds,
            };
            report
                .partitions
                .push(add((disk, keys), &mut rebuilt, (name, entry), &segments)?);
        }
        Ok((rebuilt, report))
    })
}

impl RebuiltCatalog {
    /// Does nothing to a file; `is_segment` says whether it is one, in a folder of a partition.
    fn leave_alone(&mut self, path: &Path, is_segment: bool) {
        let name = path.display().to_string();
        if is_segment && matches!(SegmentFile::of(path), Some(SegmentFile::Named(_))) {
            self.in_the_way.push(name.clone());
        }
        self.left_alone.push(name);
    }
}

/// All whole segments that are where they belong.
fn find(
    disk: &dyn Disk,
    directory: &Path,
    report: &mut RebuiltCatalog,
) -> Result<Vec<Found>, StoreError> {
    let list = |directory: &Path| {
        let listed = disk.list(directory);
        listed.map_err(|error| StoreError::io("read", directory, error))
    };
    let mut found = Vec::new();
    for directory in list(directory)? {
        if !directory.is_dir() {
            report.leave_alone(&directory, false);
            continue;
        }
        let number = directory
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        for path in list(&directory)? {
            let header = disk
                .open(&path)
                .ok()
                .and_then(|file| read_header(&path, &file).ok());
            let is_whole = header.is_some();
            let header = header.filter(|header| {
                Some(header.partition) == number && is_named_after(&path, header.segment)
            });
            match header {
                Some(header) => found.push(Found { path, header }),
                None => report.leave_alone(&path, is_whole && number.is_some()),
            }
        }
    }
    Ok(found)
}

/// Also a draft that is whole: the catalog may have named it already.
fn is_named_after(path: &Path, segment: u64) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| {
        name == format!("{segment}.vseg") || name == format!("{segment}.vseg.new")
    })
}

/// The data directory that all segments belong to, as far as they say so.
fn identity_of(found: &[Found]) -> Result<Option<NonZeroU64>, StoreError> {
    let mut identity = None;
    for Found { path, header } in found {
        match (identity, header.identity) {
            (Some(expected), Some(found)) if expected != found => {
                return Err(StoreError::Foreign {
                    path: path.clone(),
                    expected: NonZeroU64::get(expected),
                    found: found.get(),
                });
            }
            (None, found) => identity = found,
            _ => {}
        }
    }
    Ok(identity)
}

/// The segments of each partition, the latest first.
fn by_partition(found: Vec<Found>) -> BTreeMap<u64, Vec<Found>> {
    let mut partitions: BTreeMap<u64, Vec<Found>> = BTreeMap::new();
    for segment in found {
        partitions
            .entry(segment.header.partition)
            .or_default()
            .push(segment);
    }
    for segments in partitions.values_mut() {
        let is_draft = |found: &Found| found.path.extension().is_some_and(|it| it == "new");
        segments.sort_by_key(|found| (std::cmp::Reverse(found.header.segment), is_draft(found)));
        segments.dedup_by_key(|found| found.header.segment);
    }
    partitions
}

/// What a partition is called, by whoever asks, or by its segments.
fn name_of(
    number: u64,
    segments: &[Found],
    names: &BTreeMap<u64, PartitionId>,
    taken: &HashSet<&str>,
) -> Result<String, StoreError> {
    let path = &segments[0].path;
    let said = || {
        let mut names = segments
            .iter()
            .filter_map(|found| found.header.name.clone());
        names.find(|name| name.parse::<PartitionId>().is_ok())
    };
    let name = names.get(&number).map(PartitionId::to_string).or_else(said);
    match name {
        Some(name) if taken.contains(&*name) => Err(StoreError::NamedTwice {
            partition: name,
            number,
        }),
        Some(name) => Ok(name),
        None => Err(StoreError::Nameless {
            path: path.clone(),
            number,
        }),
    }
}

/// The encoder that all segments of a partition name.
fn encoder_of(segments: &[Found]) -> Result<EncoderId, StoreError> {
    let Found { path, header } = &segments[0];
    let damaged = |path: &Path, found: &str| StoreError::Damaged {
        path: path.to_owned(),
        offset: crate::partition::segment::ENCODER_OFFSET as u64,
        what: "encoder",
        expected: header.encoder.clone(),
        found: found.to_owned(),
    };
    for found in segments {
        if found.header.encoder != header.encoder {
            return Err(damaged(&found.path, &found.header.encoder));
        }
    }
    let dimension = header.layout.dimension();
    let text = header.encoder.strip_suffix(&format!("/{dimension}"));
    let encoder = text.and_then(|text| EncoderId::parse(text, dimension).ok());
    encoder.ok_or_else(|| damaged(path, &header.encoder))
}

/// Adds a partition. Of a template that is in several segments the latest counts: a segment that
/// was made of others may stand beside them.
fn add(
    (disk, keys): (&dyn Disk, Option<&KeyFile>),
    rebuilt: &mut Rebuilt,
    (name, entry): (String, PartitionEntry),
    segments: &[Found],
) -> Result<RebuiltPartition, StoreError> {
    let number = entry.partition;
    let mut report = RebuiltPartition {
        partition: name.clone(),
        number,
        encoder: entry.encoder.to_string(),
        segments: segments.len(),
        templates: 0,
        duplicates: 0,
    };
    rebuilt.highest = rebuilt.highest.max(number);
    let mut seen = HashSet::new();
    for Found { path, header } in segments {
        let named = path.with_file_name(format!("{}.vseg", header.segment));
        let checksum = header.header_checksum;
        let (key, before) = match (keys, header.seal) {
            (Some(keys), Some(_)) => (
                Some(keys.gallery(number, disk)?),
                keys.gallery_before(number),
            ),
            _ => (None, None),
        };
        let wanted = Named {
            segment: header.segment,
            partition: number,
            header_checksum: checksum,
            seal: header.seal,
            key: key.as_ref(),
        };
        let segment = match (Segment::open(disk, &named, wanted), &before) {
            (Err(StoreError::Keys { .. }), Some(_)) => {
                let key = before.as_ref();
                Segment::open(disk, &named, Named { key, ..wanted })?
            }
            (segment, _) => segment?,
        };
        // Where they are damaged, the repair of the segment sees to them.
        let infos = segment.infos(0..segment.rows()).unwrap_or_default();
        for (row, info) in infos.iter().enumerate() {
            rebuilt.highest = rebuilt.highest.max(info.template);
            if !seen.insert(info.template) {
                rebuilt
                    .tombstones
                    .push((number, header.segment, row as u64));
                report.duplicates += 1;
            }
        }
        report.templates += header.rows as u64;
        rebuilt.highest = rebuilt.highest.max(header.segment);
        let described = SegmentEntry {
            rows: header.rows as u64,
            header_checksum: checksum,
            seal: header.seal,
        };
        rebuilt.segments.push(((number, header.segment), described));
    }
    report.templates -= report.duplicates;
    rebuilt.partitions.push((name, entry));
    Ok(report)
}
