//! A partition at one moment, for readers.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use super::StoreError;
use super::disk::Disk;
use super::findings::Findings;
use super::segment::{DeadRows, Pass, Plane, Rows, Segment, TemplateInfo};
use super::tail::TailBlock;
use crate::code::{Planes, RowBlock};
use crate::types::{ClassId, EncoderId, PartitionId};

/// All templates of a partition at one moment.
///
/// It stays as it is whatever is enrolled, removed or sealed afterwards, and holds on to the memory
/// and the files it needs. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) partition: Arc<PartitionId>,
    pub(super) encoder: Arc<EncoderId>,
    pub(super) blocks: Arc<Vec<Block>>,
    pub(super) findings: Arc<Findings>,
}

/// A run of rows that lie together, as a snapshot keeps it: a sealed segment, or a part of the
/// tail.
///
/// What is stored is read through a [`BlockReader`], so that no damage goes unreported.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) source: Source,
    pub(super) dead: DeadRows,
}

/// A run of rows that lie together, to be read.
///
/// Whatever of it cannot be read is a [`StoreError::Incomplete`], and the health of the partition
/// tells of it from then on.
#[derive(Clone, Copy, Debug)]
pub struct BlockReader<'a> {
    snapshot: &'a Snapshot,
    block: &'a Block,
}

/// A template to be read, which is not removed. Damage is reported as by its [`BlockReader`].
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    of: BlockReader<'a>,
    number: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    Segment(u64, Arc<Segment>),
    Tail(Arc<TailBlock>),
}

impl Snapshot {
    /// Rows that are in memory alone, of no partition and no file: for whoever searches numbers that are
    /// stored nowhere. Their templates are numbered in order, without quality.
    ///
    /// # Panics
    ///
    /// Panics if a block is of another dimension than the encoder.
    pub fn in_memory(encoder: EncoderId, blocks: Vec<Planes>) -> Snapshot {
        let mut first = 0;
        let block = |planes: Planes| {
            let (found, expected) = (planes.layout().dimension(), encoder.dimension());
            assert_eq!(
                found, expected,
                "all rows have the dimension of the encoder"
            );
            let numbers = first..first + planes.len() as u64;
            first = numbers.end;
            Block {
                source: Source::Tail(Arc::new(TailBlock::of_planes(planes, numbers))),
                dead: DeadRows::default(),
            }
        };
        let blocks: Vec<Block> = blocks.into_iter().map(block).collect();
        let partition: PartitionId = "memory.0".parse().expect("a name and a number");
        Snapshot {
            partition: Arc::new(partition),
            encoder: Arc::new(encoder),
            blocks: Arc::new(blocks),
            findings: Arc::default(),
        }
    }

    /// The same rows, and besides them some that are in memory alone. Their templates are numbered in order.
    ///
    /// # Panics
    ///
    /// Panics if they are of another dimension.
    #[must_use]
    pub fn and(mut self, planes: Planes) -> Snapshot {
        let (found, expected) = (planes.layout().dimension(), self.encoder.dimension());
        assert_eq!(found, expected, "all rows have one dimension");
        let first = self.templates() as u64;
        let numbers = first..first + planes.len() as u64;
        Arc::make_mut(&mut self.blocks).push(Block {
            source: Source::Tail(Arc::new(TailBlock::of_planes(planes, numbers))),
            dead: DeadRows::default(),
        });
        self
    }

    /// The encoder whose embeddings these are.
    pub fn encoder(&self) -> &EncoderId {
        &self.encoder
    }

    /// All templates, in no particular order.
    pub fn live_rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.blocks().flat_map(BlockReader::live_rows)
    }

    /// The templates of a class, found by the order of classes in each segment.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn rows_of(&self, class: ClassId) -> Result<Vec<Row<'_>>, StoreError> {
        let mut rows = Vec::new();
        for block in self.blocks() {
            rows.extend(block.rows_of(class)?);
        }
        Ok(rows)
    }

    /// The runs of rows, in no particular order, for whoever scans.
    pub fn blocks(&self) -> impl Iterator<Item = BlockReader<'_>> {
        self.blocks.iter().map(|block| self.reader(block))
    }

    /// To read a block of this partition, of this snapshot or of an earlier one.
    pub(super) fn reader<'a>(&'a self, block: &'a Block) -> BlockReader<'a> {
        BlockReader {
            snapshot: self,
            block,
        }
    }

    /// A segment of it.
    pub(super) fn segment(&self, number: u64) -> Option<&Segment> {
        self.blocks.iter().find_map(|block| match &block.source {
            Source::Segment(found, segment) if *found == number => Some(&**segment),
            _ => None,
        })
    }

    /// The number of a segment that is not encrypted, if there is one.
    pub(super) fn plain_segment(&self) -> Option<u64> {
        self.blocks.iter().find_map(|block| match &block.source {
            Source::Segment(number, segment) => (!segment.is_encrypted()).then_some(*number),
            Source::Tail(_) => None,
        })
    }

    /// The numbers of its segments.
    pub(super) fn segments(&self) -> Vec<u64> {
        let number = |block: &Block| match &block.source {
            Source::Segment(number, _) => Some(*number),
            Source::Tail(_) => None,
        };
        self.blocks.iter().filter_map(number).collect()
    }

    /// How many templates there are, removed ones not counted.
    pub fn templates(&self) -> usize {
        let live = |block: &Block| block.rows() - block.removed_rows();
        self.blocks.iter().map(live).sum()
    }

    /// How many classes have a template. Reads every class number, and sorts them: about eight bytes a
    /// template, and 5 to 30 ms a million.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn count_classes(&self) -> Result<usize, StoreError> {
        let mut classes = Vec::with_capacity(self.templates());
        for block in self.blocks() {
            for run in block.block.live_runs(usize::MAX) {
                classes.extend_from_slice(block.stored_classes(run)?);
            }
        }
        // People are numbered as they come, so that there are long rising runs, of which this sort makes use.
        classes.sort();
        classes.dedup();
        Ok(classes.len())
    }

    /// Whether `class` has a template.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn contains(&self, class: ClassId) -> Result<bool, StoreError> {
        for block in self.blocks() {
            if !block.rows_of(class)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads a block of checksums of a segment, as [`Segment::verify_block`] does.
    pub(super) fn verify_block(
        &self,
        segment: &Segment,
        file: &File,
        block: usize,
    ) -> Result<(usize, Result<(), StoreError>), StoreError> {
        let (bytes, compared) = segment.verify_block(file, block)?;
        Ok((bytes, compared.map_err(|error| self.incomplete(error))))
    }

    /// What a failure to read a row means for whoever asked: not one row less, but no answer.
    /// Whoever looks at the health of the partition from now on learns of it, too.
    #[cold]
    fn incomplete(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Damaged { .. } => {
                self.findings.met(&self.partition, &error);
                StoreError::Incomplete {
                    partition: PartitionId::clone(&self.partition),
                    templates: self.templates() as u64,
                    source: Box::new(error),
                }
            }
            error => error,
        }
    }
}

impl<'a> BlockReader<'a> {
    /// How many rows there are, removed ones included: row numbers go from 0 to here.
    pub fn rows(&self) -> usize {
        self.block.rows()
    }

    /// The templates in it, in order.
    pub fn live_rows(self) -> impl Iterator<Item = Row<'a>> {
        self.block.live_rows().map(move |number| self.row(number))
    }

    /// The template in a row, or `None` if it is removed.
    ///
    /// # Panics
    ///
    /// Reading it panics if the row is past the end.
    pub fn live_row(self, row: usize) -> Option<Row<'a>> {
        (!self.block.is_removed(row)).then(|| self.row(row))
    }

    /// The templates of a class in it.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    pub fn rows_of(self, class: ClassId) -> Result<Vec<Row<'a>>, StoreError> {
        let rows = match &self.block.source {
            Source::Segment(_, segment) => self.checked(segment.rows_of(class))?,
            Source::Tail(tail) => tail.rows_of(class),
        };
        let live = rows.into_iter().filter_map(|row| self.live_row(row));
        Ok(live.collect())
    }

    /// What a scan reads of some rows, removed ones included: [`BlockReader::live_row`] knows which
    /// of them are templates.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    ///
    /// # Panics
    ///
    /// Panics if a row is past the end.
    pub fn scan(self, rows: Range<usize>) -> Result<RowBlock<'a>, StoreError> {
        match &self.block.source {
            Source::Segment(_, segment) => self.checked(segment.block(rows)),
            Source::Tail(tail) => Ok(tail.planes.block(rows)),
        }
    }

    /// Everything that is stored of some rows, by the pass over this block.
    pub(super) fn stored_by<'p>(
        self,
        pass: &'p mut BlockPass<'_>,
        rows: Range<usize>,
    ) -> Result<Rows<'p>, StoreError> {
        match pass {
            BlockPass::Segment(pass) => self.checked(pass.stored(rows)),
            BlockPass::Tail(tail) => Ok(tail.stored(rows)),
        }
    }

    /// The numbers of the classes of some rows.
    fn stored_classes(self, rows: Range<usize>) -> Result<&'a [i64], StoreError> {
        match &self.block.source {
            Source::Segment(_, segment) => self.checked(segment.classes(rows)),
            Source::Tail(tail) => Ok(&tail.planes.classes()[rows]),
        }
    }

    /// What is known of some rows beside their values.
    pub(super) fn stored_infos(self, rows: Range<usize>) -> Result<&'a [TemplateInfo], StoreError> {
        match &self.block.source {
            Source::Segment(_, segment) => self.checked(segment.infos(rows)),
            Source::Tail(tail) => Ok(&tail.infos[rows]),
        }
    }

    /// Lets the system take back the memory in which a segment is seen, which else grows to its
    /// whole length with reading. Nothing changes for others, but that they read from the file
    /// again.
    pub fn release(self) {
        if let Source::Segment(_, segment) = &self.block.source {
            segment.release();
        }
    }

    /// A row, removed or not.
    pub(super) fn row(self, number: usize) -> Row<'a> {
        Row { of: self, number }
    }

    #[inline]
    fn checked<T>(self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        read.map_err(|error| self.snapshot.incomplete(error))
    }
}

impl<'a> Row<'a> {
    /// Where in its block it is.
    pub(super) fn number(self) -> usize {
        self.number
    }

    /// Its class.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    #[inline]
    pub fn class(self) -> Result<ClassId, StoreError> {
        match &self.of.block.source {
            Source::Segment(_, segment) => self.of.checked(segment.class(self.number)),
            Source::Tail(tail) => Ok(ClassId(tail.planes.classes()[self.number])),
        }
    }

    /// Its full values.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    pub fn values(self) -> Result<&'a [f32], StoreError> {
        match &self.of.block.source {
            Source::Segment(_, segment) => self.of.checked(segment.values(self.number)),
            Source::Tail(tail) => Ok(tail.planes.values(self.number)),
        }
    }

    /// Its length, as [`crate::code::length`] computes it.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    #[inline]
    pub fn length(self) -> Result<f64, StoreError> {
        match &self.of.block.source {
            Source::Segment(_, segment) => self.of.checked(segment.length(self.number)),
            Source::Tail(tail) => Ok(tail.planes.lengths()[self.number]),
        }
    }

    /// When it was enrolled, with what quality.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    pub fn info(self) -> Result<TemplateInfo, StoreError> {
        match &self.of.block.source {
            Source::Segment(_, segment) => self.of.checked(segment.info(self.number)),
            Source::Tail(tail) => Ok(tail.infos[self.number]),
        }
    }
}

/// The templates of a run of rows, some after the other, for whoever wants them all once.
///
/// What is read stays only while it is at hand, so that it takes no memory for all, not even of an
/// encrypted gallery, whose rows stay in memory where they are read by a [`Row`].
pub struct TemplatePass<'a> {
    of: BlockReader<'a>,
    pass: BlockPass<'a>,
    next_row: usize,
}

/// Some templates, in the order of their rows.
pub struct Templates<'a> {
    rows: Rows<'a>,
}

/// It would show templates.
impl fmt::Debug for TemplatePass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemplatePass")
            .field("next_row", &self.next_row)
            .finish_non_exhaustive()
    }
}

/// It would show templates.
impl fmt::Debug for Templates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates")
            .field("count", &self.rows.classes.len())
            .finish_non_exhaustive()
    }
}

impl<'a> TemplatePass<'a> {
    pub(super) fn new(of: BlockReader<'a>, disk: &dyn Disk) -> Result<Self, StoreError> {
        Ok(TemplatePass {
            of,
            pass: of.block.pass(disk)?,
            next_row: 0,
        })
    }

    /// The next ones, `most` at most, or `None` after the last.
    ///
    /// # Errors
    ///
    /// If the segment is damaged, or cannot be read.
    pub fn some(&mut self, most: usize) -> Result<Option<Templates<'_>>, StoreError> {
        let Some(run) = self.of.block.live_run(self.next_row, most) else {
            return Ok(None);
        };
        self.next_row = run.end;
        let rows = self.of.stored_by(&mut self.pass, run)?;
        Ok(Some(Templates { rows }))
    }
}

impl Templates<'_> {
    /// Their classes.
    pub fn classes(&self) -> impl Iterator<Item = ClassId> {
        self.rows.classes.iter().copied().map(ClassId)
    }

    /// Class, what is known beside the values, and the values of each.
    pub fn iter(&self) -> impl Iterator<Item = (ClassId, TemplateInfo, &[f32])> {
        let layout = self.rows.codes.layout;
        let values = self.rows.values.chunks_exact(layout.value_lines());
        let values = values.map(move |lines| {
            let padded: &[f32] = bytemuck::cast_slice(lines);
            &padded[..layout.dimension()]
        });
        let known = self.classes().zip(self.rows.infos.iter().copied());
        known
            .zip(values)
            .map(|((class, info), values)| (class, info, values))
    }
}

/// A block that is read once, from its first row to its last.
pub(super) enum BlockPass<'a> {
    Segment(Pass<'a>),
    Tail(&'a TailBlock),
}

impl Block {
    /// A segment of which no row is removed.
    pub(super) fn whole(number: u64, segment: Arc<Segment>) -> Block {
        Block {
            source: Source::Segment(number, segment),
            dead: DeadRows::default(),
        }
    }

    /// How many rows there are, removed ones included.
    pub(super) fn rows(&self) -> usize {
        match &self.source {
            Source::Segment(_, segment) => segment.rows(),
            Source::Tail(tail) => tail.rows(),
        }
    }

    /// How many of the rows are removed.
    pub(super) fn removed_rows(&self) -> usize {
        self.dead.count()
    }

    /// Whether a row is removed.
    pub(super) fn is_removed(&self, row: usize) -> bool {
        self.dead.contains(row)
    }

    /// The rows that are not removed, in order.
    pub(super) fn live_rows(&self) -> impl Iterator<Item = usize> {
        (0..self.rows()).filter(|row| !self.is_removed(*row))
    }

    /// Begins to read all of it once, by [`BlockReader::stored_by`].
    pub(super) fn pass(&self, disk: &dyn Disk) -> Result<BlockPass<'_>, StoreError> {
        Ok(match &self.source {
            Source::Segment(_, segment) => BlockPass::Segment(Pass::new(segment, disk)?),
            Source::Tail(tail) => BlockPass::Tail(tail),
        })
    }

    /// What a row takes up in a segment, about.
    pub(super) fn row_bytes(&self) -> usize {
        let layout = match &self.source {
            Source::Segment(_, segment) => segment.layout(),
            Source::Tail(tail) => tail.planes.layout(),
        };
        Plane::ALL.map(|plane| plane.row_bytes(layout)).iter().sum()
    }

    /// The longest runs of rows that are not removed, of at most `most` rows each.
    pub(super) fn live_runs(&self, most: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let run = self.live_run(next, most)?;
            next = run.end;
            Some(run)
        })
    }

    /// The first of these runs from a row on.
    fn live_run(&self, from: usize, most: usize) -> Option<Range<usize>> {
        let start = (from..self.rows()).find(|row| !self.is_removed(*row))?;
        let end = self.rows().min(start.saturating_add(most));
        let removed = (start..end).find(|row| self.is_removed(*row));
        Some(start..removed.unwrap_or(end))
    }
}
