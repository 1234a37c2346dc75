//! A partition at one moment, for readers.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use super::StoreError;
use super::findings::Findings;
use super::segment::{DeadRows, Plane, Rows, Segment, TemplateInfo};
use super::tail::TailBlock;
use crate::code::RowBlock;
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

/// A run of rows that lie together: a sealed segment, or a part of the tail.
#[derive(Clone, Debug)]
pub struct Block {
    pub(super) source: Source,
    pub(super) dead: DeadRows,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    Segment(u64, Arc<Segment>),
    Tail(Arc<TailBlock>),
}

/// What a partition shares with the changes that are under way.
#[derive(Debug)]
pub(super) struct Shared {
    number: u64,
    current: RwLock<Snapshot>,
}

impl Snapshot {
    /// The encoder whose embeddings these are.
    pub fn encoder(&self) -> &EncoderId {
        &self.encoder
    }

    /// The runs of rows, in no particular order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// A segment of it.
    pub(super) fn segment(&self, number: u64) -> Option<&Segment> {
        self.blocks.iter().find_map(|block| match &block.source {
            Source::Segment(found, segment) if *found == number => Some(&**segment),
            _ => None,
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
        self.blocks
            .iter()
            .map(|block| block.rows() - block.removed_rows())
            .sum()
    }

    /// What a failure to read a row means for whoever asked: not one row less, but no answer. Whoever
    /// looks at the health of the partition from now on learns of it, too.
    pub fn incomplete(&self, error: StoreError) -> StoreError {
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

    /// How many classes have a template. Reads every class number: about eight bytes a template.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn count_classes(&self) -> Result<usize, StoreError> {
        let count = || {
            let mut classes = HashSet::new();
            for block in self.blocks() {
                for row in (0..block.rows()).filter(|row| !block.is_removed(*row)) {
                    classes.insert(block.class(row)?);
                }
            }
            Ok(classes.len())
        };
        count().map_err(|error| self.incomplete(error))
    }

    /// Whether `class` has a template.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn contains(&self, class: ClassId) -> Result<bool, StoreError> {
        for block in self.blocks() {
            let rows = block.rows_of(class);
            if !rows.map_err(|error| self.incomplete(error))?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Shared {
    /// What a partition begins with, whose number in the catalog this is.
    pub(super) fn new(number: u64, snapshot: Snapshot) -> Shared {
        Shared {
            number,
            current: RwLock::new(snapshot),
        }
    }

    /// The number of the partition in the catalog.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        // Publishing is one assignment: a panic cannot leave it half done.
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Shows readers another snapshot. Only for what is durable.
    pub(super) fn publish(&self, snapshot: Snapshot) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }
}

impl Block {
    /// A segment of which no row is removed.
    pub(super) fn whole(number: u64, segment: Arc<Segment>) -> Block {
        Block {
            source: Source::Segment(number, segment),
            dead: DeadRows::default(),
        }
    }

    /// How many rows there are, removed ones included: row numbers go from 0 to here.
    pub fn rows(&self) -> usize {
        match &self.source {
            Source::Segment(_, segment) => segment.rows(),
            Source::Tail(tail) => tail.rows(),
        }
    }

    /// How many of the rows are removed.
    pub fn removed_rows(&self) -> usize {
        self.dead.count()
    }

    /// Whether a row is removed.
    pub fn is_removed(&self, row: usize) -> bool {
        self.dead.contains(row)
    }

    /// What a scan reads of some rows, removed ones included.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    ///
    /// # Panics
    ///
    /// This and the methods below panic if a row is past the end.
    pub fn scan(&self, rows: Range<usize>) -> Result<RowBlock<'_>, StoreError> {
        match &self.source {
            Source::Segment(_, segment) => segment.block(rows),
            Source::Tail(tail) => Ok(tail.planes.block(rows)),
        }
    }

    /// The full values of a row.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    pub fn values(&self, row: usize) -> Result<&[f32], StoreError> {
        match &self.source {
            Source::Segment(_, segment) => segment.values(row),
            Source::Tail(tail) => Ok(tail.planes.values(row)),
        }
    }

    /// The length of a row, as [`crate::code::length`] computes it.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    pub fn length(&self, row: usize) -> Result<f64, StoreError> {
        match &self.source {
            Source::Segment(_, segment) => segment.length(row),
            Source::Tail(tail) => Ok(tail.planes.lengths()[row]),
        }
    }

    /// The class of a row.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    pub fn class(&self, row: usize) -> Result<ClassId, StoreError> {
        match &self.source {
            Source::Segment(_, segment) => segment.class(row),
            Source::Tail(tail) => Ok(ClassId(tail.planes.classes()[row])),
        }
    }

    /// When a row was enrolled, with what quality.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    pub fn info(&self, row: usize) -> Result<TemplateInfo, StoreError> {
        match &self.source {
            Source::Segment(_, segment) => segment.info(row),
            Source::Tail(tail) => Ok(tail.infos[row]),
        }
    }

    /// Everything that is stored of some rows.
    pub(super) fn stored(&self, rows: Range<usize>) -> Result<Rows<'_>, StoreError> {
        match &self.source {
            Source::Segment(_, segment) => segment.stored(rows),
            Source::Tail(tail) => Ok(tail.stored(rows)),
        }
    }

    /// What is known of some rows beside their values.
    pub(super) fn stored_infos(&self, rows: Range<usize>) -> Result<&[TemplateInfo], StoreError> {
        match &self.source {
            Source::Segment(_, segment) => segment.infos(rows),
            Source::Tail(tail) => Ok(&tail.infos[rows]),
        }
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
            let start = (next..self.rows()).find(|row| !self.is_removed(*row))?;
            let end = self.rows().min(start.saturating_add(most));
            next = (start..end)
                .find(|row| self.is_removed(*row))
                .unwrap_or(end);
            Some(start..next)
        })
    }

    /// Lets the system take back the memory in which a segment is seen, which else grows to its whole
    /// length with reading. Nothing changes for others, but that they read from the file again.
    pub fn release(&self) {
        if let Source::Segment(_, segment) = &self.source {
            segment.release();
        }
    }

    /// The rows of a class that are not removed.
    ///
    /// # Errors
    ///
    /// If the segment is damaged.
    pub fn rows_of(&self, class: ClassId) -> Result<Vec<usize>, StoreError> {
        let mut rows = match &self.source {
            Source::Segment(_, segment) => segment.rows_of(class)?,
            Source::Tail(tail) => tail.rows_of(class),
        };
        rows.retain(|row| !self.is_removed(*row));
        Ok(rows)
    }
}
