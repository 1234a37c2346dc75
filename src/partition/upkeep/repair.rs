//! Mending damaged segments from what is left of them, and from a snapshot.
//!
//! A segment says everything twice over: codes, scales, residuals, lengths and the class order follow from
//! the values and classes. So a row is whole as long as its values, its class and its template info
//! are, block by block; where they lie follows from the number of rows in the catalog, so that
//! not even the header is needed. What is lost is taken from a snapshot, by segment and row or by
//! template number.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, PoisonError};

use bytemuck::Pod;
use serde::Serialize;

use super::rewrite::{removed_by_now, replaced};
use crate::code::Layout;
use crate::partition::StoreError;
use crate::partition::catalog::{Change, Contents, PartitionEntry, SegmentEntry};
use crate::partition::files::Files;
use crate::partition::pace::Pace;
use crate::partition::partition::{Common, Partition};
use crate::partition::segment::{
    BLOCK_BYTES, DeadRows, Owner, Plan, Plane, Segment, SegmentCipher, TemplateInfo, checksum,
    is_another_segment, open_segment_file,
};
use crate::partition::snapshot::{Block, Snapshot, Source};
use crate::partition::tail::TailBlock;
use crate::secrets::{TAG_BYTES, Tag};
use crate::types::{ClassId, PartitionId, Timestamp};

/// Rows that are written at once.
const RUN_ROWS: usize = 1024;

/// What became of a damaged segment.
#[derive(Debug, Serialize)]
pub struct RepairedSegment {
    /// Its partition.
    pub partition: String,
    /// Its file. Once mended, it is kept beside the new one under a name that ends in `.damaged`.
    pub file: String,
    /// Templates that were still whole in the damaged file.
    pub from_segment: usize,
    /// Templates that came from the snapshot.
    pub from_snapshot: usize,
    /// Templates that are lost.
    pub lost: usize,
    /// The classes of lost templates, as far as they can still be read, each once.
    pub lost_classes: Vec<i64>,
    /// Whether the segment was replaced. One with lost templates is only if that was asked for.
    pub mended: bool,
    /// Whether there was a file, which is kept then.
    pub kept: bool,
}

/// What a repair works on.
pub(in crate::partition) struct Repair<'a> {
    /// What the partitions of the data directory share.
    pub(in crate::partition) common: &'a Common,
    /// The partition of a name in a snapshot of the same data directory, if there is one.
    pub(in crate::partition) spare: &'a dyn Fn(&str) -> Result<Option<Snapshot>, StoreError>,
    /// A partition, if it can be opened as it is.
    pub(in crate::partition) opened: &'a dyn Fn(&PartitionId) -> Option<Arc<Partition>>,
}

impl Repair<'_> {
    /// Mends the damaged segments of one partition or of all: [`crate::partition::Store::repair`].
    pub(in crate::partition) fn mend(
        &self,
        only: Option<&PartitionId>,
        accept_loss: bool,
    ) -> Result<Vec<RepairedSegment>, StoreError> {
        let catalog = self.common.commits.catalog();
        let entries = catalog.read(|tables| tables.partitions())?;
        let wanted = |name: &String| only.is_none_or(|only| *name == only.to_string());
        let mut repaired = Vec::new();
        for (name, entry) in entries.into_iter().filter(|(name, _)| wanted(name)) {
            let spare = Spare::of((self.spare)(&name)?)?;
            repaired.extend(self.mend_partition(&name, &entry, &spare, accept_loss)?);
        }
        Ok(repaired)
    }

    fn mend_partition(
        &self,
        name: &str,
        entry: &PartitionEntry,
        spare: &Spare,
        accept_loss: bool,
    ) -> Result<Vec<RepairedSegment>, StoreError> {
        let catalog = self.common.commits.catalog();
        let id: PartitionId = name.parse().map_err(|error| StoreError::Catalog {
            path: catalog.path().to_owned(),
            what: format!("the name of a partition cannot be read: {error}"),
        })?;
        // One that cannot be opened is used by nobody, and stays so until its last damaged segment is
        // replaced: then there is nobody who would have to be told.
        let opened = (self.opened)(&id);
        let is_open = opened.is_some();
        let framed = || Arc::new(Partition::without_blocks(id.clone(), entry, self.common));
        let partition = opened.unwrap_or_else(framed);
        let rewriting = partition.rewriting.lock();
        let _alone = rewriting.unwrap_or_else(PoisonError::into_inner);
        // Read when segments stay as they are: nobody else replaces them from here on.
        let contents = catalog.read(|tables| tables.contents(entry.partition))?;
        let mut repaired = Vec::new();
        for (&segment, described) in &contents.segments {
            if is_whole(&self.common.files, entry.partition, segment, described)? {
                continue;
            }
            let damaged = Damaged {
                common: self.common,
                partition: &partition,
                is_open,
                entry,
                segment,
                described,
            };
            repaired.push(damaged.mend(&contents, spare, accept_loss)?);
        }
        if repaired.iter().all(|segment| segment.mended) {
            self.common.findings.read_whole(&id);
        }
        Ok(repaired)
    }
}

fn is_whole(
    files: &Files,
    partition: u64,
    segment: u64,
    described: &SegmentEntry,
) -> Result<bool, StoreError> {
    let Ok(reader) = files.open(partition, segment, described) else {
        return Ok(false);
    };
    let mut is_whole = true;
    let pace = Pace::unlimited();
    let read = reader.verify(&**files.disk(), &pace, |_| is_whole = false);
    // A sector that cannot be read is damage like any other.
    Ok(read.is_ok() && is_whole)
}

/// A segment that is not whole.
struct Damaged<'a> {
    common: &'a Common,
    partition: &'a Partition,
    /// Whether there may be others who enrol, remove and search in the partition meanwhile.
    is_open: bool,
    entry: &'a PartitionEntry,
    segment: u64,
    described: &'a SegmentEntry,
}

impl Damaged<'_> {
    fn mend(
        &self,
        contents: &Contents,
        spare: &Spare,
        accept_loss: bool,
    ) -> Result<RepairedSegment, StoreError> {
        let files = &self.common.files;
        let path = files.path(self.entry.partition, self.segment);
        let rows = usize::try_from(self.described.rows).map_err(|_| StoreError::Catalog {
            path: self.common.commits.catalog().path().to_owned(),
            what: format!("segment {} has {} rows", self.segment, self.described.rows),
        })?;
        let dimension = self.entry.encoder.dimension();
        let left = self.left(&path, (rows, dimension))?;
        let tombstones = contents.tombstones.iter();
        let removed: HashSet<u64> = tombstones
            .filter(|(segment, _)| *segment == self.segment)
            .map(|(_, row)| *row)
            .collect();
        let mut report = RepairedSegment {
            partition: self.partition.id().to_string(),
            file: path.display().to_string(),
            from_segment: 0,
            from_snapshot: 0,
            lost: 0,
            lost_classes: Vec::new(),
            mended: false,
            kept: false,
        };
        let (mut found, mut rows_found) = (Vec::new(), Vec::new());
        for row in (0..rows).filter(|row| !removed.contains(&(*row as u64))) {
            if left.has(row) {
                report.from_segment += 1;
                found.push(Found::Here(row));
            } else if let Some(place) =
                spare.find(self.segment, self.described, row, left.info(row))
            {
                report.from_snapshot += 1;
                found.push(Found::There(place));
            } else {
                report.lost += 1;
                report.lost_classes.extend(left.class(row));
                continue;
            }
            rows_found.push(row);
        }
        report.lost_classes.sort_unstable();
        report.lost_classes.dedup();
        if report.lost == 0 || accept_loss {
            report.kept = self.replace(&left, spare, &found, rows_found)?;
            report.mended = true;
        }
        Ok(report)
    }

    /// What is left of the file: nothing, if it is whole, and another one. Where keys are changed at the moment
    /// it is sealed with either: with the right one more of it is whole.
    fn left(&self, path: &Path, (rows, dimension): (usize, usize)) -> Result<Left, StoreError> {
        let disk = &**self.common.files.disk();
        let file = open_segment_file(path, |path| disk.open(path)).ok();
        let ours = |file: &File| !is_another_segment(path, file, self.described.header_checksum);
        let file = file.filter(ours).map(Rc::new);
        let of = |cipher| Left::of(path, file.clone(), (rows, dimension), cipher);
        let lefts = self.ciphers()?.into_iter().map(|cipher| of(Some(cipher)));
        let most_whole = lefts.max_by_key(Left::whole_blocks);
        Ok(most_whole.unwrap_or_else(|| of(None)))
    }

    /// The ciphers that an encrypted segment may be sealed with. The catalog knows all that they take, so
    /// that the header need not be whole.
    fn ciphers(&self) -> Result<Vec<SegmentCipher>, StoreError> {
        let files = &self.common.files;
        let (Some(seal), Some(keys)) = (self.described.seal, files.keys()) else {
            return Ok(Vec::new());
        };
        let partition = self.entry.partition;
        let key = keys.gallery(partition, &**files.disk())?;
        let owner = || Owner {
            identity: keys.identity(),
            partition,
            segment: self.segment,
        };
        let all = keys.gallery_before(partition).into_iter().chain([key]);
        Ok(all
            .map(|key| SegmentCipher::new(&key, &seal.salt, owner()))
            .collect())
    }

    /// Writes a new segment of what was found, `rows` of the damaged one, and names it in its place. Returns
    /// whether there was a file, which is kept.
    fn replace(
        &self,
        left: &Left,
        spare: &Spare,
        found: &[Found],
        rows: Vec<usize>,
    ) -> Result<bool, StoreError> {
        let number = self.partition.commits().take_numbers(1)?;
        let written = match found.len() {
            0 => None,
            _ => Some(self.write(number, left, spare, found)?),
        };
        let is_written = written.is_some();
        let (damaged, shared) = (self.segment, self.partition.shared().clone());
        let (is_open, files) = (self.is_open, self.common.files.clone());
        self.common.commits.commit(move |group| {
            let now = group.snapshot(&shared)?;
            if let Some((_, segment)) = &written {
                files.refuse_replaced_key(shared.number(), segment)?;
            }
            let dead = match is_open {
                true => removed_among(&rows, &removed_by_now(&now, damaged)),
                false => DeadRows::default(),
            };
            let bury: Vec<(u64, u64)> = dead.rows().map(|row| (number, row as u64)).collect();
            let change = Change {
                add_segment: written.as_ref().map(|(entry, _)| (number, entry)),
                remove_segments: &[damaged],
                bury: &bury,
                ..Change::default()
            };
            group.apply(shared.number(), &change)?;
            if is_open {
                let new = written.map(|(_, segment)| (number, segment));
                let blocks = Arc::new(replaced(&now, &[damaged], &HashSet::new(), new, dead));
                group.publish(&shared, Snapshot { blocks, ..now });
            }
            Ok(())
        })?;
        if is_written {
            self.partition.give_name(number);
        }
        self.keep_aside()
    }

    fn write(
        &self,
        number: u64,
        left: &Left,
        spare: &Spare,
        found: &[Found],
    ) -> Result<(SegmentEntry, Arc<Segment>), StoreError> {
        let created = Timestamp {
            unix_milliseconds: self.entry.created_unix_milliseconds,
        };
        let mut writer = self.partition.new_segment(number, found.len(), created)?;
        for run in found.chunks(RUN_ROWS) {
            let mut rows = TailBlock::new(self.entry.encoder.dimension());
            for place in run {
                let (class, info, values) = match place {
                    Found::Here(row) => left.row(*row)?,
                    Found::There(place) => spare.row(*place)?,
                };
                rows.push(class, info, &values);
            }
            writer.append(&rows.stored(0..run.len()))?;
        }
        let pace = Pace::unlimited();
        let (entry, segment) = self.partition.complete(number, writer, &pace)?;
        Ok((entry, Arc::new(segment)))
    }

    /// The damaged file is no longer named, and is kept for whoever wants to look at it.
    fn keep_aside(&self) -> Result<bool, StoreError> {
        let files = &self.common.files;
        let path = files.path(self.entry.partition, self.segment);
        let aside = path.with_extension("vseg.damaged");
        match files.disk().rename(&path, &aside) {
            Ok(()) => Ok(true),
            // There may have been no file at all: that was the damage.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("rename", &path, error)),
        }
    }
}

/// Which of the `rows` that were found are removed by now, by their places in the new segment.
fn removed_among(rows: &[usize], removed: &DeadRows) -> DeadRows {
    let mut dead = DeadRows::default();
    for row in removed.rows() {
        if let Ok(place) = rows.binary_search(&row) {
            dead.insert(place);
        }
    }
    dead
}

/// Where a row is found.
#[derive(Clone, Copy)]
enum Found {
    /// In this row of the damaged segment.
    Here(usize),
    There(Place),
}

/// What is left of a damaged segment.
struct Left {
    path: PathBuf,
    file: Option<Rc<File>>,
    layout: Layout,
    plan: Plan,
    rows: usize,
    /// Of each plane that is needed, which blocks are as they were written.
    whole: [(Plane, Vec<bool>); 3],
    cipher: Option<SegmentCipher>,
    /// The block of each plane that was read last.
    read: RefCell<HashMap<u32, (usize, Vec<u8>)>>,
}

impl Left {
    fn of(
        path: &Path,
        file: Option<Rc<File>>,
        (rows, dimension): (usize, usize),
        cipher: Option<SegmentCipher>,
    ) -> Left {
        let layout = Layout::new(dimension);
        let plan = Plan::new(layout, rows);
        let plan = if cipher.is_some() {
            plan.sealed()
        } else {
            plan
        };
        let planes = [Plane::Classes, Plane::Infos, Plane::Values];
        let mut left = Left {
            path: path.to_owned(),
            file,
            layout,
            plan,
            rows,
            whole: planes.map(|plane| (plane, Vec::new())),
            cipher,
            read: RefCell::default(),
        };
        left.whole = planes.map(|plane| {
            let blocks = 0..left.plan.plane(plane).length.div_ceil(BLOCK_BYTES);
            let whole = blocks.map(|block| left.block(plane, block).is_some());
            (plane, whole.collect())
        });
        left
    }

    /// How many blocks are as they were written.
    fn whole_blocks(&self) -> usize {
        let planes = self.whole.iter();
        planes
            .map(|(_, whole)| whole.iter().filter(|whole| **whole).count())
            .sum()
    }

    fn has(&self, row: usize) -> bool {
        let mut planes = self.whole.iter();
        planes.all(|(plane, _)| self.is_whole(*plane, row))
    }

    fn is_whole(&self, plane: Plane, row: usize) -> bool {
        let bytes = plane.row_bytes(self.layout);
        let blocks = row * bytes / BLOCK_BYTES..=((row + 1) * bytes - 1) / BLOCK_BYTES;
        let mut planes = self.whole.iter();
        let (_, whole) = planes
            .find(|(of, _)| *of == plane)
            .expect("every plane that is asked for was looked at");
        row < self.rows && whole[blocks].iter().all(|whole| *whole)
    }

    fn info(&self, row: usize) -> Option<TemplateInfo> {
        let is_whole = self.is_whole(Plane::Infos, row);
        is_whole
            .then(|| self.read(Plane::Infos, row).ok()?.first().copied())
            .flatten()
    }

    fn class(&self, row: usize) -> Option<i64> {
        let is_whole = self.is_whole(Plane::Classes, row);
        is_whole
            .then(|| self.read(Plane::Classes, row).ok()?.first().copied())
            .flatten()
    }

    fn row(&self, row: usize) -> Result<(ClassId, TemplateInfo, Vec<f32>), StoreError> {
        let mut values: Vec<f32> = self.read(Plane::Values, row)?;
        values.truncate(self.layout.dimension());
        let class: Vec<i64> = self.read(Plane::Classes, row)?;
        let info: Vec<TemplateInfo> = self.read(Plane::Infos, row)?;
        Ok((ClassId(class[0]), info[0], values))
    }

    fn read<T: Pod>(&self, plane: Plane, row: usize) -> Result<Vec<T>, StoreError> {
        let row_bytes = plane.row_bytes(self.layout);
        let (mut at, end) = (row * row_bytes, (row + 1) * row_bytes);
        let mut bytes = Vec::with_capacity(row_bytes);
        while at < end {
            let (block, start) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
            let count = (end - at).min(BLOCK_BYTES - start);
            let mut read = self.read.borrow_mut();
            let known = read.entry(plane as u32).or_insert((usize::MAX, Vec::new()));
            if known.0 != block {
                let found = self.block(plane, block).ok_or_else(|| self.changed())?;
                *known = (block, found);
            }
            bytes.extend_from_slice(&known.1[start..start + count]);
            at += count;
        }
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// What to say of a block that was whole a moment ago.
    fn changed(&self) -> StoreError {
        let source = std::io::Error::other("it changed while it was read");
        StoreError::io("read", &self.path, source)
    }

    /// A block, if it and its checksum agree, and it is what was sealed, if the segment is encrypted.
    /// That the table as a whole may be damaged does not matter: a block agrees with 64 wrong bits
    /// about never.
    fn block(&self, plane: Plane, block: usize) -> Option<Vec<u8>> {
        let file = self.file.as_ref()?;
        let range = self.plan.block(plane, block);
        let number = self.plan.plane(plane).first_block + block;
        let mut bytes = vec![0; range.len()];
        let mut expected = [0; 8];
        let at = self.plan.table.start + number * expected.len();
        file.read_exact_at(&mut bytes, range.start as u64).ok()?;
        file.read_exact_at(&mut expected, at as u64).ok()?;
        if checksum(&bytes) != u64::from_le_bytes(expected) {
            return None;
        }
        if let Some(cipher) = &self.cipher {
            let mut tag: Tag = [0; TAG_BYTES];
            let at = self.plan.tags.start + number * tag.len();
            file.read_exact_at(&mut tag, at as u64).ok()?;
            let opened = cipher.open(plane as u32, number, &tag, &mut bytes);
            opened.ok()?;
        }
        Some(bytes)
    }
}

/// The same partition in a snapshot.
struct Spare {
    snapshot: Option<Snapshot>,
    /// Where each template is.
    templates: HashMap<u64, Place>,
}

/// A row of a block of a snapshot.
#[derive(Clone, Copy)]
struct Place {
    block: usize,
    row: usize,
}

impl Spare {
    fn of(snapshot: Option<Snapshot>) -> Result<Spare, StoreError> {
        let mut templates = HashMap::new();
        for (at, block) in snapshot.iter().flat_map(Snapshot::blocks).enumerate() {
            let infos = block.stored_infos(0..block.rows());
            let infos = infos.map_err(without_remedy)?;
            let place = |row| Place { block: at, row };
            let infos = infos.iter().enumerate();
            templates.extend(infos.map(|(row, info)| (info.template, place(row))));
        }
        Ok(Spare {
            snapshot,
            templates,
        })
    }

    /// Where the row of a segment is here. Whether it was removed since the snapshot is not asked:
    /// the caller asks for what its catalog says should be there.
    fn find(
        &self,
        segment: u64,
        described: &SegmentEntry,
        row: usize,
        info: Option<TemplateInfo>,
    ) -> Option<Place> {
        let mut blocks = self.blocks().iter();
        let same = blocks.position(|block| match &block.source {
            Source::Segment(number, reader) => {
                *number == segment && reader.header_checksum() == described.header_checksum
            }
            Source::Tail(_) => false,
        });
        let by_template = || self.templates.get(&info?.template).copied();
        same.map(|block| Place { block, row }).or_else(by_template)
    }

    fn row(&self, place: Place) -> Result<(ClassId, TemplateInfo, Vec<f32>), StoreError> {
        let snapshot = self.snapshot.as_ref();
        let snapshot = snapshot.expect("a place is only known of a snapshot");
        let block = snapshot.reader(&snapshot.blocks[place.block]);
        let row = block.row(place.row);
        let read = || Ok((row.class()?, row.info()?, row.values()?.to_vec()));
        read().map_err(without_remedy)
    }

    fn blocks(&self) -> &[Block] {
        let snapshot = self.snapshot.as_ref();
        snapshot.map_or(&[], |snapshot| &snapshot.blocks)
    }
}

/// What is wrong, without the advice to repair: that is under way, and of another directory.
fn without_remedy(error: StoreError) -> StoreError {
    match error {
        StoreError::Incomplete { source, .. } => *source,
        error => error,
    }
}
