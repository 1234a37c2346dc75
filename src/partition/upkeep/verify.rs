//! Reading everything again once, when somebody asks, and listing all that is not as it was
//! written.

use std::collections::HashSet;

use serde::Serialize;

use crate::partition::StoreError;
use crate::partition::catalog::{Catalog, Contents, PartitionEntry};
use crate::partition::files::Files;
use crate::partition::keys::KeyFile;
use crate::partition::pace::Pace;
use crate::partition::segment::Segment;
use crate::partition::strays::{LeftAlone, left_alone};
use crate::types::{ClassId, PartitionId};

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
    /// Files among the segments that are none of this data directory.
    pub left_alone: LeftAlone,
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

/// Reads all that the catalog says, and every byte of the segments that it names:
/// [`crate::partition::Store::verify`].
pub(in crate::partition) fn verify(
    (catalog, files): (&Catalog, &Files),
    only: Option<&PartitionId>,
    pace: &Pace,
    mut progress: impl FnMut(u64, u64),
) -> Result<Verified, StoreError> {
    let _all_files_stay = files.keep();
    let entries = catalog.read(|tables| tables.partitions())?;
    let wanted = |name: &String| only.is_none_or(|only| *name == only.to_string());
    let known = catalog.read(|tables| tables.known_segments())?;
    let mut found = Verified {
        left_alone: left_alone(files.directory(), &known, files.identity()),
        ..Verified::default()
    };
    found.damage.extend(files.keys().and_then(half_of_keys));
    let mut contents = Vec::new();
    for (name, entry) in entries.into_iter().filter(|(name, _)| wanted(name)) {
        found.partitions += 1;
        let number = entry.partition;
        match catalog.read(|tables| tables.contents(number)) {
            Ok(of) => contents.push((name, entry, of)),
            Err(error) => found.damage.push(Damage::new(&name, &error)),
        }
    }
    let mut opened = Vec::new();
    for (name, entry, contents) in &contents {
        opened.push(open_all(files, name, entry, contents, &mut found));
    }
    let total = opened.iter().flatten().map(|(_, segment)| segment.bytes());
    let total: u64 = total.sum();
    for ((name, entry, contents), segments) in contents.iter().zip(&opened) {
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
        check_records(catalog, (name, entry), contents, segments, &mut found)?;
    }
    // One that was removed meanwhile has no key any more, and nothing else that could be damaged.
    let still_there = catalog.read(|tables| tables.partitions())?;
    let is_gone = |name: &str| {
        let mut verified = contents.iter();
        let entry = verified
            .find(|(of, ..)| of == name)
            .map(|(_, entry, _)| entry);
        entry.is_some() && entry != still_there.get(name)
    };
    found.damage.retain(|damage| !is_gone(&damage.partition));
    Ok(found)
}

/// What is wrong with one half of the key file: all galleries depend on the other one.
fn half_of_keys(keys: &KeyFile) -> Option<Damage> {
    let half = keys.damaged_half()?;
    Some(Damage {
        partition: "all".to_owned(),
        what: format!(
            "the key file: {half}; it is written anew when the data directory is next opened to be changed"
        ),
        file: Some(keys.path().display().to_string()),
        offset_bytes: None,
    })
}

/// Opens the segments of a partition that can be opened; the others are damage.
fn open_all(
    files: &Files,
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
        match files.open(entry.partition, segment, described) {
            Ok(reader) => opened.push((segment, reader)),
            Err(error) => found.damage.push(Damage::new(name, &error)),
        }
    }
    opened
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

/// What is known of people agrees with itself, and with who is enrolled. Takes some 16 bytes of memory a
/// template where there are records.
fn check_records(
    catalog: &Catalog,
    (name, entry): (&str, &PartitionEntry),
    contents: &Contents,
    segments: &[(u64, Segment)],
    found: &mut Verified,
) -> Result<(), StoreError> {
    let records = catalog.read(|tables| tables.classes_with_records(entry.partition));
    // Where a segment cannot be opened nobody knows who is enrolled; that was reported already.
    if !matches!(&records, Ok(classes) if classes.is_empty())
        && segments.len() == contents.segments.len()
    {
        let removed: HashSet<(u64, u64)> = contents.tombstones.iter().copied().collect();
        let tail = contents.tail.iter();
        let mut classes: HashSet<ClassId> = tail.map(|template| template.class).collect();
        for (segment, reader) in segments {
            for row in 0..reader.rows() {
                // A damaged block was reported already, and says nothing here.
                if let (false, Ok(class)) =
                    (removed.contains(&(*segment, row as u64)), reader.class(row))
                {
                    classes.insert(class);
                }
            }
        }
        let has_template = |class| classes.contains(&class);
        let wrong = catalog.read(|tables| tables.wrong_records(entry.partition, &has_template));
        match wrong {
            Ok(wrong) => found.damage.extend(wrong.into_iter().map(|what| Damage {
                partition: name.to_owned(),
                what,
                file: Some(catalog.path().display().to_string()),
                offset_bytes: None,
            })),
            Err(StoreError::Interrupted) => return Err(StoreError::Interrupted),
            Err(error) => found.damage.push(Damage::new(name, &error)),
        }
    }
    Ok(())
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
