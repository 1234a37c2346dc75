//! Many templates at once, past the tail, straight into a segment.

use std::sync::Arc;

use super::StoreError;
use super::catalog::{Change, Group, Halt};
use super::pace::Pace;
use super::partition::{Partition, insert_segment};
use super::segment::{ROWS_MAX, SegmentWriter, TemplateInfo};
use super::snapshot::Block;
use super::tail::TailBlock;
use crate::types::{ClassId, Embedding, EncoderId, Timestamp};

/// Templates that are added together. They are coded as they come, so that adding them is writing.
///
/// Each takes about five bytes a value of memory.
#[derive(Debug)]
pub struct TemplateBatch {
    encoder: EncoderId,
    rows: TailBlock,
}

impl TemplateBatch {
    /// A batch for embeddings of `encoder`, empty.
    pub fn new(encoder: &EncoderId) -> TemplateBatch {
        TemplateBatch {
            encoder: encoder.clone(),
            rows: TailBlock::new(encoder.dimension()),
        }
    }

    /// Adds a template: its class, its values, the quality of its sample from 0 to 1 or NaN where
    /// it is not known, and when it was enrolled.
    ///
    /// # Panics
    ///
    /// Panics if the values are no embedding of the encoder's dimension.
    pub fn push(&mut self, class: ClassId, values: &[f32], quality: f32, enrolled: Timestamp) {
        assert_eq!(
            Embedding::check(values),
            Ok(()),
            "callers check what they add"
        );
        let info = TemplateInfo::new(quality, enrolled);
        self.rows.push(class, info, values);
    }

    /// How many templates there are.
    pub fn len(&self) -> usize {
        self.rows.rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.rows() == 0
    }

    /// Adds all templates of another batch, after those that are there.
    ///
    /// # Panics
    ///
    /// Panics if they are of another encoder.
    pub fn append(&mut self, other: &TemplateBatch) {
        assert_eq!(self.encoder, other.encoder, "a batch is of one encoder");
        self.rows.append(&other.rows, 0..other.len());
    }

    /// Forgets the templates, but keeps the memory for others.
    pub fn clear(&mut self) {
        self.rows.clear();
    }
}

/// A small value of the layers above, as [`super::Store::state_put`] keeps it, that changes
/// together with templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whose it is.
    pub area: String,
    /// Its name there.
    pub key: String,
    /// What it becomes; `None` removes it.
    pub value: Option<Vec<u8>>,
}

/// Many templates on their way into a partition. Nothing of them is seen, and nothing stays, until
/// [`Import::finish`].
#[derive(Debug)]
pub struct Import<'a> {
    partition: &'a Partition,
    segment: u64,
    expected: usize,
    written: usize,
    now: Timestamp,
    writer: SegmentWriter,
    rows: TailBlock,
}

impl Import<'_> {
    /// Rows that are coded before they are written.
    const BATCH_ROWS: usize = 4096;

    /// Adds a template.
    ///
    /// # Errors
    ///
    /// If there are more templates than announced, or the disk fails.
    ///
    /// # Panics
    ///
    /// Panics if the embedding has not the dimension of the partition, or is none.
    pub fn push(&mut self, class: ClassId, row: &[f32], quality: f32) -> Result<(), StoreError> {
        assert_eq!(
            Embedding::check(row),
            Ok(()),
            "callers check what they import"
        );
        if self.written + self.rows.rows() == self.expected {
            return Err(self.wrong_count(self.expected + 1));
        }
        let mut info = TemplateInfo::new(quality, self.now);
        info.template = self.segment + 1 + (self.written + self.rows.rows()) as u64;
        self.rows.push(class, info, row);
        if self.rows.rows() == Self::BATCH_ROWS {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Makes all templates durable and visible at once.
    ///
    /// # Errors
    ///
    /// If templates are missing, or the disk fails. Nothing has changed then.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.flush()?;
        if self.written != self.expected {
            return Err(self.wrong_count(self.written));
        }
        self.partition
            .finish_segment(self.segment, self.writer, None)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let rows = self.rows.rows();
        self.writer.append(&self.rows.stored(0..rows))?;
        self.written += rows;
        self.rows.clear();
        Ok(())
    }

    fn wrong_count(&self, found: usize) -> StoreError {
        StoreError::RowCount {
            partition: self.partition.id().clone(),
            expected: self.expected,
            found,
        }
    }
}

impl Partition {
    /// Begins to add `rows` templates at once, past the tail, straight into a segment.
    ///
    /// # Errors
    ///
    /// If the templates are of another encoder, there are more than a segment holds, or the disk
    /// fails.
    pub fn import(
        &self,
        encoder: &EncoderId,
        rows: usize,
        now: Timestamp,
    ) -> Result<Import<'_>, StoreError> {
        self.check_encoder(encoder)?;
        let partition = || self.id().clone();
        if rows == 0 {
            return Err(StoreError::RowCount {
                partition: partition(),
                expected: rows,
                found: 0,
            });
        }
        if rows > ROWS_MAX {
            return Err(StoreError::TooManyRows {
                partition: partition(),
                found: rows,
                most: ROWS_MAX,
            });
        }
        let segment = self.commits().take_numbers(1 + rows as u64)?;
        let writer = self.new_segment(segment, rows, now)?;
        Ok(Import {
            partition: self,
            segment,
            expected: rows,
            written: 0,
            now,
            writer,
            rows: TailBlock::new(encoder.dimension()),
        })
    }

    /// Adds a batch of templates, straight into a segment of their own.
    ///
    /// One transaction, which also changes `note`: when this returns, templates and note are on
    /// disk and every later snapshot shows the templates; after a failure or a crash there is
    /// neither.
    ///
    /// # Errors
    ///
    /// If the templates are of another encoder, or the disk fails.
    pub fn add_batch(
        &self,
        batch: &TemplateBatch,
        note: Option<&Note>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.check_encoder(&batch.encoder)?;
        if batch.is_empty() {
            let note = note.cloned();
            return self
                .commits()
                .commit(move |group| group.put_note(note.as_ref()));
        }
        let segment = self.commits().take_numbers(1 + batch.len() as u64)?;
        let mut infos = batch.rows.infos.clone();
        for (template, info) in (segment + 1..).zip(&mut infos) {
            info.template = template;
        }
        let mut rows = batch.rows.stored(0..batch.len());
        rows.infos = &infos;
        let mut writer = self.new_segment(segment, batch.len(), now)?;
        writer.append(&rows)?;
        self.finish_segment(segment, writer, note.cloned())
    }

    /// Completes a segment of new templates and shows it.
    fn finish_segment(
        &self,
        segment: u64,
        writer: SegmentWriter,
        note: Option<Note>,
    ) -> Result<(), StoreError> {
        let (entry, reader) = self.complete(segment, writer, &Pace::unlimited())?;
        let reader = Arc::new(reader);
        let shared = self.shared().clone();
        self.commits().commit(move |group| {
            let change = Change {
                add_segment: Some((segment, &entry)),
                ..Change::default()
            };
            // The note may be refused, and then nothing must have been written.
            group.put_note(note.as_ref())?;
            group.apply(shared.number(), &change)?;
            let mut snapshot = group.snapshot(&shared);
            let blocks = Arc::make_mut(&mut snapshot.blocks);
            insert_segment(blocks, Block::whole(segment, reader));
            group.publish(&shared, snapshot);
            Ok(())
        })?;
        self.give_name(segment);
        self.alert(true);
        Ok(())
    }
}

impl Group<'_> {
    fn put_note(&mut self, note: Option<&Note>) -> Result<(), Halt> {
        match note {
            Some(note) => self.update_state(&note.area, &note.key, |_| (note.value.clone(), ())),
            None => Ok(()),
        }
    }
}
