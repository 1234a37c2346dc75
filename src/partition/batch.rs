//! Many templates at once, past the tail, straight into a segment.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crc_fast::{CrcAlgorithm, checksum};

use super::StoreError;
use super::admission::{check_record, new_classes};
use super::catalog::{Change, Group, Halt};
use super::few::Few;
use super::pace::Pace;
use super::partition::{Partition, insert_segment};
use super::segment::{ROWS_MAX, Segment, SegmentWriter, TemplateInfo};
use super::shared::Shared;
use super::snapshot::{Block, Snapshot};
use super::tail::TailBlock;
use crate::types::{
    ClassId, Embedding, EncoderId, ExternalId, PartitionId, Record, RecordChange, Timestamp,
};

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

    /// Adds the templates of another batch but those in the places `left_out`, which rise.
    ///
    /// # Panics
    ///
    /// Panics if they are of another encoder, or a place is past the end.
    pub fn append_without(&mut self, other: &TemplateBatch, left_out: &[usize]) {
        assert_eq!(self.encoder, other.encoder, "a batch is of one encoder");
        let mut next = 0;
        for &place in left_out {
            self.rows.append(&other.rows, next..place);
            next = place + 1;
        }
        self.rows.append(&other.rows, next..other.len());
    }

    /// The class of a template.
    ///
    /// # Panics
    ///
    /// Panics if there is none in this place.
    pub fn class(&self, place: usize) -> ClassId {
        ClassId(self.classes()[place])
    }

    /// The values of a template.
    ///
    /// # Panics
    ///
    /// Panics if there is none in this place.
    pub fn values(&self, place: usize) -> &[f32] {
        self.rows.planes.values(place)
    }

    fn classes(&self) -> &[i64] {
        self.rows.planes.classes()
    }

    /// The values of a row, to be compared bit by bit.
    fn bits(&self, row: usize) -> &[u32] {
        bytemuck::cast_slice(self.rows.planes.values(row))
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

    /// Adds the templates of a batch, which are coded already, with their times of enrolment.
    ///
    /// # Errors
    ///
    /// If there are more templates than announced, or the disk fails.
    ///
    /// # Panics
    ///
    /// Panics if they are not of the encoder of the partition.
    pub fn append(&mut self, batch: &TemplateBatch) -> Result<(), StoreError> {
        let encoder = self.partition.encoder();
        assert_eq!(*encoder, batch.encoder, "a partition is of one encoder");
        self.flush()?;
        let with_these = self.written + batch.len();
        if with_these > self.expected {
            return Err(self.wrong_count(with_these));
        }
        let mut infos = batch.rows.infos.clone();
        let first = self.segment + 1 + self.written as u64;
        for (template, info) in (first..).zip(&mut infos) {
            info.template = template;
        }
        let mut rows = batch.rows.stored(0..batch.len());
        rows.infos = &infos;
        self.writer.append(&rows)?;
        self.written = with_these;
        Ok(())
    }

    /// Makes all templates durable and visible at once.
    ///
    /// # Errors
    ///
    /// If templates are missing, the disk fails, or the partition has got another key since this was begun
    /// ([`crate::partition::Store::rotate_keys`]): then it is to be begun again. Nothing has changed then.
    pub fn finish(self) -> Result<(), StoreError> {
        self.finish_with(Vec::new(), None)
    }

    /// Makes all templates durable and visible at once, and in the same transaction what becomes known of
    /// people who have a template then, and `note`: see [`Partition::add_batch`].
    ///
    /// # Errors
    ///
    /// As [`Import::finish`], and if a record cannot be so. Nothing has changed then.
    pub fn finish_with(
        mut self,
        people: Vec<(ClassId, RecordChange)>,
        note: Option<&Note>,
    ) -> Result<(), StoreError> {
        self.flush()?;
        if self.written != self.expected {
            return Err(self.wrong_count(self.written));
        }
        let known = Known::of(self.writer.classes(), people);
        self.partition
            .finish_segment(self.segment, self.writer, known, note.cloned())
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

    /// Adds a batch of templates, straight into a segment of their own, and changes what is known of
    /// some people: of those who have a template then.
    ///
    /// One transaction, which also changes `note`: when this returns, templates, records and note are on
    /// disk and every later snapshot shows the templates; after a failure or a crash there is
    /// none of them.
    ///
    /// # Errors
    ///
    /// If the templates are of another encoder, a record cannot be so, or the disk fails.
    pub fn add_batch(
        &self,
        batch: &TemplateBatch,
        people: Vec<(ClassId, RecordChange)>,
        note: Option<&Note>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.check_encoder(&batch.encoder)?;
        if batch.is_empty() {
            return self.finish(None, Known::of(&[], people), note.cloned());
        }
        // Until it is named: what is not sealed, or with a key that was replaced meanwhile, would be refused.
        let _keys_stay = self.files().hold_keys();
        let mut import = self.import(&batch.encoder, batch.len(), now)?;
        import.append(batch)?;
        import.finish_with(people, note)
    }

    /// The places, rising, of those templates of a batch that add nothing: the class has a template of
    /// the same values here, or before in the batch. Reads every class number, about eight bytes a
    /// template, and the values of the classes of the batch.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn known_rows(&self, batch: &TemplateBatch) -> Result<Vec<usize>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows: HashMap<(i64, u64), Vec<usize>> = HashMap::with_capacity(batch.len());
        let mut known = vec![false; batch.len()];
        for (row, class) in batch.classes().iter().enumerate() {
            let of_digest = rows.entry((*class, digest(batch.bits(row)))).or_default();
            known[row] = of_digest
                .iter()
                .any(|other| batch.bits(*other) == batch.bits(row));
            if !known[row] {
                of_digest.push(row);
            }
        }
        let classes = Few::of(batch.classes());
        for row in self.snapshot().live_rows() {
            let class = row.class()?.0;
            if !classes.contains(class) {
                continue;
            }
            let bits: &[u32] = bytemuck::cast_slice(row.values()?);
            for &place in rows.get(&(class, digest(bits))).into_iter().flatten() {
                known[place] |= batch.bits(place) == bits;
            }
        }
        Ok((0..batch.len()).filter(|row| known[*row]).collect())
    }

    /// Chooses classes for `count` people who are new, as an enrolment of somebody without a number
    /// does. Nobody else gets them.
    ///
    /// # Errors
    ///
    /// If no numbers are left, or the disk fails.
    pub fn choose_classes(&self, count: usize) -> Result<Vec<ClassId>, StoreError> {
        let (shared, id) = (self.shared().clone(), self.id().clone());
        self.commits().commit(move |group| {
            let snapshot = group.snapshot(&shared)?;
            let chosen = new_classes(group, &shared, &snapshot, &id, count)?;
            if let Some(last) = chosen.last() {
                group.put_highest_chosen(shared.number(), *last)?;
            }
            Ok(chosen)
        })
    }

    /// Completes a segment of new templates and shows it.
    fn finish_segment(
        &self,
        segment: u64,
        writer: SegmentWriter,
        people: Known,
        note: Option<Note>,
    ) -> Result<(), StoreError> {
        let (entry, reader) = self.complete(segment, writer, &Pace::unlimited())?;
        let reader = Arc::new(reader);
        let written = reader.clone();
        let change = move |group: &mut Group<'_>, shared: &Arc<Shared>| -> Result<(), Halt> {
            let change = Change {
                add_segment: Some((segment, &entry)),
                ..Change::default()
            };
            group.apply(shared.number(), &change)?;
            let mut snapshot = group.snapshot(shared)?;
            let blocks = Arc::make_mut(&mut snapshot.blocks);
            insert_segment(blocks, Block::whole(segment, reader));
            group.publish(shared, snapshot);
            Ok(())
        };
        let add: AddRows = Box::new(change);
        let finished = self.finish(Some((written.clone(), add)), people, note);
        finished.inspect_err(|error| self.discard_unnamed(Some((segment, written)), error))?;
        self.give_name(segment);
        self.alert(true);
        Ok(())
    }

    /// Adds rows, which are in a segment, records and a note in one transaction.
    fn finish(
        &self,
        rows: Option<(Arc<Segment>, AddRows)>,
        people: Known,
        note: Option<Note>,
    ) -> Result<(), StoreError> {
        let (shared, id) = (self.shared().clone(), self.id().clone());
        let files = self.files().clone();
        let replaces = self.commits().commit(move |group| {
            // Whatever may be refused comes before the first that is written.
            let records = records_after(group, &shared, &id, &people)?;
            if let Some((segment, _)) = &rows {
                files.refuse_replaced_key(shared.number(), segment)?;
            }
            group.put_note(note.as_ref())?;
            if let Some((_, add)) = rows {
                add(group, &shared)?;
            }
            let mut replaces = false;
            for (class, record, has_record) in records {
                group.put_record(&shared, class, &record)?;
                replaces |= has_record;
            }
            Ok(replaces)
        })?;
        if replaces {
            // What was known before is in free pages of the catalog now.
            let is_stale = &self.common().catalog_is_stale;
            is_stale.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// What becomes known of people together with templates.
struct Known {
    changes: Vec<(ClassId, RecordChange)>,
    /// The classes that get a template.
    added: HashSet<i64>,
}

impl Known {
    fn of(classes: &[i64], changes: Vec<(ClassId, RecordChange)>) -> Known {
        let added = match changes.is_empty() {
            true => HashSet::new(),
            false => classes.iter().copied().collect(),
        };
        Known { changes, added }
    }
}

/// Adds rows within a transaction.
type AddRows = Box<dyn FnOnce(&mut Group<'_>, &Arc<Shared>) -> Result<(), Halt> + Send>;

/// What will be known of people, and whether something else was before; fails if one cannot be so.
fn records_after(
    group: &Group<'_>,
    shared: &Arc<Shared>,
    id: &PartitionId,
    people: &Known,
) -> Result<Vec<(ClassId, Record, bool)>, Halt> {
    let (snapshot, mut records): (Snapshot, _) = (group.snapshot(shared)?, Vec::new());
    let mut ids: HashMap<ExternalId, ClassId> = HashMap::new();
    for (class, change) in &people.changes {
        // Somebody may have been removed since it was known that they are there.
        if !people.added.contains(&class.0) && !snapshot.contains(*class)? {
            continue;
        }
        let before = group.record(shared.number(), *class)?;
        let after = change.apply(&before)?;
        if after == before {
            continue;
        }
        check_record(group, shared, &snapshot, id, *class, &after)?;
        if let Some(external_id) = &after.external_id
            && let Some(taken) = ids.insert(external_id.clone(), *class)
        {
            let (partition, class) = (id.clone(), taken);
            return Err(StoreError::ExternalIdTaken { partition, class }.into());
        }
        records.push((*class, after, !before.is_empty()));
    }
    Ok(records)
}

/// What tells most rows apart.
fn digest(bits: &[u32]) -> u64 {
    checksum(CrcAlgorithm::Crc64Nvme, bytemuck::cast_slice(bits))
}

impl Group<'_> {
    fn put_note(&mut self, note: Option<&Note>) -> Result<(), Halt> {
        match note {
            Some(note) => self.update_state(&note.area, &note.key, |_| (note.value.clone(), ())),
            None => Ok(()),
        }
    }
}
