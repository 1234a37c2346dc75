//! One partition: enrolling, removing, sealing, and handing out snapshots.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use super::StoreError;
use super::catalog::{Catalog, Change, Contents, PartitionEntry, SegmentEntry};
use super::dead::DeadRows;
use super::format::{ROWS_MAX, TemplateInfo};
use super::segment::Segment;
use super::snapshot::{Block, Snapshot, Source};
use super::tail::{TailBlock, TailTemplate};
use super::writer::{SegmentName, SegmentWriter};
use crate::code::Planes;
use crate::types::{ClassId, Embedding, EncoderId, PartitionId, Timestamp};

/// Template numbers are reserved in runs, so that most enrolments are one transaction and not two.
/// A restart forgets the rest of a run.
const NUMBERS_RESERVED: u64 = 1024;

/// A tail of this many templates is sealed. Each costs memory (five bytes a value) until then.
const TAIL_ROWS_MAX: usize = 16_384;

/// A template to be enrolled.
#[derive(Clone, Debug)]
pub struct NewTemplate {
    /// The face.
    pub embedding: Embedding,
    /// The quality of its sample, from 0 to 1; NaN where it is not known.
    pub quality: f32,
}

/// Templates that are added together. They are coded as they come, so that adding them is writing.
///
/// Each takes about five bytes a value of memory.
#[derive(Debug)]
pub struct TemplateBatch {
    encoder: EncoderId,
    planes: Planes,
    infos: Vec<TemplateInfo>,
}

impl TemplateBatch {
    /// A batch for embeddings of `encoder`, empty.
    pub fn new(encoder: &EncoderId) -> TemplateBatch {
        TemplateBatch {
            encoder: encoder.clone(),
            planes: Planes::new(encoder.dimension()),
            infos: Vec::new(),
        }
    }

    /// Adds a template: its class, its values, the quality of its sample from 0 to 1 or NaN where it
    /// is not known, and when it was enrolled.
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
        self.planes.push(class, values);
        self.infos.push(TemplateInfo {
            template: 0,
            enrolled_unix_milliseconds: enrolled.unix_milliseconds,
            quality,
            reserved: 0,
        });
    }

    /// How many templates there are.
    pub fn len(&self) -> usize {
        self.infos.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.infos.is_empty()
    }

    /// Adds all templates of another batch, after those that are there.
    ///
    /// # Panics
    ///
    /// Panics if they are of another encoder.
    pub fn append(&mut self, other: &TemplateBatch) {
        assert_eq!(self.encoder, other.encoder, "a batch is of one encoder");
        self.planes.append(&other.planes);
        self.infos.extend_from_slice(&other.infos);
    }

    /// Forgets the templates, but keeps the memory for others.
    pub fn clear(&mut self) {
        self.planes.clear();
        self.infos.clear();
    }
}

/// A small value of the layers above, as [`super::Store::state_put`] keeps it, that changes together
/// with templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whose it is.
    pub area: String,
    /// Its name there.
    pub key: String,
    /// What it becomes; `None` removes it.
    pub value: Option<Vec<u8>>,
}

/// What an enrolment did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// How many templates were added.
    pub added: usize,
    /// How many older templates of the class gave way.
    pub removed: usize,
    /// How many templates the class has now.
    pub templates: usize,
}

/// The templates of one gallery, all of one encoder.
#[derive(Debug)]
pub struct Partition {
    id: PartitionId,
    number: u64,
    directory: PathBuf,
    catalog: Arc<Catalog>,
    encoder: Arc<EncoderId>,
    /// Held by whoever changes the partition, from before the transaction until the new snapshot is
    /// published. Inside are template numbers that are reserved and not given away yet.
    writing: Mutex<Range<u64>>,
    current: RwLock<Snapshot>,
}

impl Partition {
    /// Opens what the catalog says of a partition, and removes files that it does not name.
    pub(super) fn open(
        id: PartitionId,
        entry: PartitionEntry,
        segments_directory: &Path,
        catalog: Arc<Catalog>,
    ) -> Result<Partition, StoreError> {
        let number = entry.partition;
        let directory = segments_directory.join(number.to_string());
        let contents = catalog.contents(number)?;
        remove_unnamed_files(&directory, &contents)?;
        let encoder = Arc::new(entry.encoder);
        let blocks = open_blocks(&directory, number, &encoder, &contents)?;
        let snapshot = Snapshot {
            encoder: encoder.clone(),
            blocks: Arc::new(blocks),
        };
        let (writing, current) = (Mutex::new(0..0), RwLock::new(snapshot));
        Ok(Partition {
            id,
            number,
            directory,
            catalog,
            encoder,
            writing,
            current,
        })
    }

    /// The name of the partition.
    pub fn id(&self) -> &PartitionId {
        &self.id
    }

    /// The encoder it is bound to.
    pub fn encoder(&self) -> &EncoderId {
        &self.encoder
    }

    /// The partition as it is now. Cheap, and waits for nobody.
    pub fn snapshot(&self) -> Snapshot {
        // Publishing is one assignment: a panic cannot leave it half done.
        self.current
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }

    /// Adds templates to a class, which begins to exist with its first.
    ///
    /// Of the templates that the class has already, the newest `keep` stay and the others are
    /// removed: `0` replaces the class, `usize::MAX` only adds. One transaction; when this returns,
    /// it is on disk and every later snapshot shows it.
    ///
    /// # Errors
    ///
    /// If the embeddings are of another encoder, or the disk fails. Nothing has changed then.
    pub fn enroll(
        &self,
        class: ClassId,
        encoder: &EncoderId,
        templates: &[NewTemplate],
        keep: usize,
        now: Timestamp,
    ) -> Result<Enrolled, StoreError> {
        self.check_encoder(encoder)?;
        for template in templates {
            let dimension = template.embedding.dimension();
            assert_eq!(
                dimension,
                encoder.dimension(),
                "an encoder's embeddings have its dimension"
            );
        }
        let mut numbers = self.start_writing()?;
        let snapshot = self.snapshot();
        let old = templates_of(&snapshot, class)?;
        let kept = old.len().min(keep);
        let first = self.take_numbers(&mut numbers, templates.len() as u64)?;
        let added: Vec<TailTemplate> = (first..)
            .zip(templates)
            .map(|(template, new)| TailTemplate {
                class,
                info: TemplateInfo {
                    template,
                    enrolled_unix_milliseconds: now.unix_milliseconds,
                    quality: new.quality,
                    reserved: 0,
                },
                embedding: new.embedding.clone(),
            })
            .collect();
        self.change(&snapshot, &added, &old[kept..])?;
        let (added, removed) = (templates.len(), old.len() - kept);
        Ok(Enrolled {
            added,
            removed,
            templates: kept + added,
        })
    }

    /// Removes a class with all its templates. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// If the disk fails or a segment is damaged. Nothing has changed then.
    pub fn remove(&self, class: ClassId) -> Result<bool, StoreError> {
        let _writing = self.start_writing()?;
        let snapshot = self.snapshot();
        let old = templates_of(&snapshot, class)?;
        if old.is_empty() {
            return Ok(false);
        }
        self.change(&snapshot, &[], &old)?;
        Ok(true)
    }

    /// Moves the tail into a segment, whatever its size.
    ///
    /// # Errors
    ///
    /// If the disk fails. All templates are where they were then.
    pub fn seal(&self) -> Result<(), StoreError> {
        let _writing = self.start_writing()?;
        self.seal_tail(&self.snapshot())
    }

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
        let partition = || self.id.clone();
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
        let segment = self.catalog.take_numbers(1 + rows as u64)?;
        let writer = self.new_segment(segment, rows, now)?;
        Ok(Import {
            partition: self,
            segment,
            next_template: segment + 1,
            expected: rows,
            written: 0,
            now,
            writer,
            planes: Planes::new(encoder.dimension()),
            infos: Vec::new(),
        })
    }

    /// Adds a batch of templates, straight into a segment of their own.
    ///
    /// One transaction, which also changes `note`: when this returns, templates and note are on disk
    /// and every later snapshot shows the templates; after a failure or a crash there is neither.
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
            return Ok(());
        }
        let segment = self.catalog.take_numbers(1 + batch.len() as u64)?;
        let mut infos = batch.infos.clone();
        for (template, info) in (segment + 1..).zip(&mut infos) {
            info.template = template;
        }
        let mut writer = self.new_segment(segment, batch.len(), now)?;
        writer.append(&batch.planes, &infos)?;
        let _writing = self.start_writing()?;
        let block = self.install(segment, batch.len(), writer, &[], note)?;
        let mut blocks = self.snapshot().blocks().to_vec();
        blocks.push(block);
        self.publish(blocks);
        Ok(())
    }

    fn check_encoder(&self, encoder: &EncoderId) -> Result<(), StoreError> {
        if *encoder == *self.encoder {
            return Ok(());
        }
        Err(StoreError::Encoder {
            partition: self.id.clone(),
            expected: EncoderId::clone(&self.encoder),
            found: encoder.clone(),
        })
    }

    fn start_writing(&self) -> Result<MutexGuard<'_, Range<u64>>, StoreError> {
        // A panic between a transaction and its snapshot leaves memory behind the disk.
        self.writing.lock().map_err(|_| StoreError::Poisoned {
            partition: self.id.clone(),
        })
    }

    fn take_numbers(&self, reserved: &mut Range<u64>, count: u64) -> Result<u64, StoreError> {
        if reserved.end - reserved.start < count {
            let run = count.max(NUMBERS_RESERVED);
            let first = self.catalog.take_numbers(run)?;
            *reserved = first..first + run;
        }
        let first = reserved.start;
        reserved.start += count;
        Ok(first)
    }

    fn publish(&self, blocks: Vec<Block>) {
        let next = Snapshot {
            encoder: self.encoder.clone(),
            blocks: Arc::new(blocks),
        };
        *self
            .current
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = next;
    }

    /// Adds to the tail and removes rows of `snapshot`, first on disk and then for readers.
    fn change(
        &self,
        snapshot: &Snapshot,
        add: &[TailTemplate],
        remove: &[Location],
    ) -> Result<(), StoreError> {
        let mut remove_from_tail = Vec::new();
        let mut bury = Vec::new();
        let mut blocks = snapshot.blocks().to_vec();
        for location in remove {
            match &blocks[location.block].source {
                Source::Segment(segment, _) => bury.push((*segment, location.row as u64)),
                Source::Tail(_) => remove_from_tail.push(location.info.template),
            }
            blocks[location.block].dead.insert(location.row);
        }
        let change = Change {
            add_to_tail: add,
            remove_from_tail: &remove_from_tail,
            bury: &bury,
            ..Change::default()
        };
        self.catalog.apply(self.number, &change)?;
        if !add.is_empty() {
            add_to_tail(&mut blocks, TailBlock::new(self.encoder.dimension(), add));
        }
        self.publish(blocks);
        let snapshot = self.snapshot();
        if tail_rows(&snapshot) >= TAIL_ROWS_MAX {
            // The enrolment is already durable, so that a failure to seal is not its failure.
            if let Err(error) = self.seal_tail(&snapshot) {
                tracing::error!(partition = %self.id, error = &error as &dyn std::error::Error, "cannot seal the tail");
            }
        }
        Ok(())
    }

    fn seal_tail(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let mut planes = Planes::new(self.encoder.dimension());
        let mut infos = Vec::new();
        let mut blocks = Vec::new();
        for block in snapshot.blocks() {
            match &block.source {
                Source::Segment(..) => blocks.push(block.clone()),
                Source::Tail(tail) => append_live(&mut planes, &mut infos, tail, &block.dead),
            }
        }
        if infos.is_empty() {
            return Ok(());
        }
        let segment = self.catalog.take_numbers(1)?;
        let newest = infos
            .iter()
            .map(|info| info.enrolled_unix_milliseconds)
            .max();
        let created = Timestamp {
            unix_milliseconds: newest.unwrap_or_default(),
        };
        let mut writer = self.new_segment(segment, infos.len(), created)?;
        writer.append(&planes, &infos)?;
        let sealed: Vec<u64> = infos.iter().map(|info| info.template).collect();
        blocks.push(self.install(segment, infos.len(), writer, &sealed, None)?);
        self.publish(blocks);
        Ok(())
    }

    fn new_segment(
        &self,
        segment: u64,
        rows: usize,
        created: Timestamp,
    ) -> Result<SegmentWriter, StoreError> {
        fs::create_dir_all(&self.directory)
            .map_err(|error| StoreError::io("create", &self.directory, error))?;
        super::writer::sync_directory_of(&self.directory)?;
        let encoder = EncoderId::clone(&self.encoder);
        let name = SegmentName {
            segment,
            partition: self.number,
            encoder,
            created,
        };
        SegmentWriter::create(&segment_path(&self.directory, segment), name, rows)
    }

    /// Completes a segment, checks it as a reader would, and names it in the catalog.
    fn install(
        &self,
        segment: u64,
        rows: usize,
        writer: SegmentWriter,
        sealed: &[u64],
        note: Option<&Note>,
    ) -> Result<Block, StoreError> {
        let header_checksum = writer.finish()?;
        let path = segment_path(&self.directory, segment);
        let reader = Segment::open(&path, segment, self.number, header_checksum)?;
        reader.verify()?;
        let entry = SegmentEntry {
            rows: rows as u64,
            header_checksum,
        };
        let change = Change {
            remove_from_tail: sealed,
            add_segment: Some((segment, &entry)),
            note,
            ..Change::default()
        };
        self.catalog.apply(self.number, &change)?;
        let source = Source::Segment(segment, Arc::new(reader));
        Ok(Block {
            source,
            dead: DeadRows::default(),
        })
    }
}

/// Many templates on their way into a partition. Nothing of them is seen, and nothing stays, until
/// [`Import::finish`].
#[derive(Debug)]
pub struct Import<'a> {
    partition: &'a Partition,
    segment: u64,
    next_template: u64,
    expected: usize,
    written: usize,
    now: Timestamp,
    writer: SegmentWriter,
    planes: Planes,
    infos: Vec<TemplateInfo>,
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
        if self.written + self.infos.len() == self.expected {
            return Err(self.wrong_count(self.expected + 1));
        }
        self.planes.push(class, row);
        self.infos.push(TemplateInfo {
            template: self.next_template,
            enrolled_unix_milliseconds: self.now.unix_milliseconds,
            quality,
            reserved: 0,
        });
        self.next_template += 1;
        if self.infos.len() == Self::BATCH_ROWS {
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
        let partition = self.partition;
        let _writing = partition.start_writing()?;
        let block = partition.install(self.segment, self.expected, self.writer, &[], None)?;
        let mut blocks = partition.snapshot().blocks().to_vec();
        blocks.push(block);
        partition.publish(blocks);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.writer.append(&self.planes, &self.infos)?;
        self.written += self.infos.len();
        self.planes.clear();
        self.infos.clear();
        Ok(())
    }

    fn wrong_count(&self, found: usize) -> StoreError {
        StoreError::RowCount {
            partition: self.partition.id.clone(),
            expected: self.expected,
            found,
        }
    }
}

/// Where a template is in a snapshot.
#[derive(Clone, Copy, Debug)]
struct Location {
    block: usize,
    row: usize,
    info: TemplateInfo,
}

/// The templates of a class, the newest first.
fn templates_of(snapshot: &Snapshot, class: ClassId) -> Result<Vec<Location>, StoreError> {
    let mut locations = Vec::new();
    for (at, block) in snapshot.blocks().iter().enumerate() {
        for row in block.rows_of(class)? {
            locations.push(Location {
                block: at,
                row,
                info: block.info(row)?,
            });
        }
    }
    locations.sort_by_key(|location| {
        let info = location.info;
        std::cmp::Reverse((info.enrolled_unix_milliseconds, info.template))
    });
    Ok(locations)
}

/// Appends a block and merges blocks of like size, as a counter in base two carries: n enrolments
/// leave about log n blocks, and copy every row about log n times.
fn add_to_tail(blocks: &mut Vec<Block>, new: TailBlock) {
    let mut planes = new;
    let mut dead = DeadRows::default();
    while let Some(Block {
        source: Source::Tail(last),
        dead: last_dead,
    }) = blocks.last()
    {
        if last.rows() > planes.rows() {
            break;
        }
        let mut merged = TailBlock::new(last.planes.layout().dimension(), &[]);
        append_live(&mut merged.planes, &mut merged.infos, last, last_dead);
        append_live(&mut merged.planes, &mut merged.infos, &planes, &dead);
        (planes, dead) = (merged, DeadRows::default());
        blocks.pop();
    }
    blocks.push(Block {
        source: Source::Tail(Arc::new(planes)),
        dead,
    });
}

fn append_live(
    planes: &mut Planes,
    infos: &mut Vec<TemplateInfo>,
    tail: &TailBlock,
    dead: &DeadRows,
) {
    if dead.count() == 0 {
        planes.append(&tail.planes);
        infos.extend_from_slice(&tail.infos);
        return;
    }
    for row in (0..tail.rows()).filter(|row| !dead.contains(*row)) {
        planes.push(ClassId(tail.planes.classes()[row]), tail.planes.values(row));
        infos.push(tail.infos[row]);
    }
}

fn tail_rows(snapshot: &Snapshot) -> usize {
    let tails = snapshot
        .blocks()
        .iter()
        .filter(|block| matches!(block.source, Source::Tail(_)));
    tails.map(Block::rows).sum()
}

fn open_blocks(
    directory: &Path,
    number: u64,
    encoder: &EncoderId,
    contents: &Contents,
) -> Result<Vec<Block>, StoreError> {
    let mut blocks = Vec::new();
    for (&segment, entry) in &contents.segments {
        let path = segment_path(directory, segment);
        let reader = Segment::open(&path, segment, number, entry.header_checksum)?;
        if reader.encoder() != encoder.to_string() || reader.rows() as u64 != entry.rows {
            return Err(StoreError::Damaged {
                path,
                offset: 0,
                what: "encoder and rows",
                expected: format!("{encoder} and {}", entry.rows),
                found: format!("{} and {}", reader.encoder(), reader.rows()),
            });
        }
        let mut dead = DeadRows::default();
        let buried = contents
            .tombstones
            .iter()
            .filter(|(buried_in, _)| *buried_in == segment);
        for &(_, row) in buried.filter(|(_, row)| *row < entry.rows) {
            dead.insert(usize::try_from(row).expect("less than the rows of a segment"));
        }
        blocks.push(Block {
            source: Source::Segment(segment, Arc::new(reader)),
            dead,
        });
    }
    if !contents.tail.is_empty() {
        let tail = TailBlock::new(encoder.dimension(), &contents.tail);
        blocks.push(Block {
            source: Source::Tail(Arc::new(tail)),
            dead: DeadRows::default(),
        });
    }
    Ok(blocks)
}

/// Deletes what a crash left between writing a segment and naming it.
fn remove_unnamed_files(directory: &Path, contents: &Contents) -> Result<(), StoreError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("read", directory, error)),
    };
    for entry in entries {
        let path = entry
            .map_err(|error| StoreError::io("read", directory, error))?
            .path();
        // Only our own files: what somebody else put here is not ours to delete.
        let is_segment = path
            .extension()
            .is_some_and(|extension| extension == "vseg");
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let (true, Some(number)) = (is_segment, number)
            && !contents.segments.contains_key(&number)
        {
            tracing::info!(path = %path.display(), "removing a segment that was never completed");
            fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
        }
    }
    Ok(())
}

fn segment_path(directory: &Path, segment: u64) -> PathBuf {
    directory.join(format!("{segment}.vseg"))
}
