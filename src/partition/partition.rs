//! One partition: enrolling, removing, and handing out snapshots.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::StoreError;
use super::admission::{check_record, class_of_new};
use super::catalog::{
    CATALOG_FILE, Change, Commits, Contents, Group, Halt, PartitionEntry, PortraitOf, SegmentEntry,
    damage,
};
use super::files::Files;
use super::findings::Findings;
use super::pace::{Alarm, Pace};
use super::recognised::Recognised;
use super::segment::{
    DeadRows, ENCODER_OFFSET, Finished, Segment, SegmentName, SegmentWriter, TemplateInfo,
};
use super::shared::Shared;
use super::snapshot::{Block, BlockReader, Snapshot, Source, TemplatePass};
use super::state_value::StateValue;
use super::tail::{TAIL_ROWS_MAX, TailBlock, TailTemplate};
use crate::secrets::KeyError;
use crate::types::{
    ClassId, Embedding, EncoderId, PartitionId, Portrait, Record, RecordChange, Timestamp,
};

/// A tail this many times as long as one that is due for sealing is sealed by whoever enrols: nobody
/// in the background keeps up, and memory must not grow without end.
const TAIL_PATIENCE: usize = 4;

/// A template to be enrolled.
#[derive(Clone, Debug)]
pub struct NewTemplate {
    /// The face.
    pub embedding: Embedding,
    /// The quality of its sample, from 0 to 1; NaN where it is not known.
    pub quality: f32,
    /// What the face looks like, where that is to be stored: in an encrypted data directory alone.
    pub portrait: Option<Portrait>,
}

/// A template that a class has.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    /// Its values.
    pub values: &'a [f32],
    /// Their length, as [`crate::code::length`] computes it.
    pub length: f64,
    /// The quality of its sample, from 0 to 1; NaN where it is not known.
    pub quality: f32,
}

/// It is somebody's face.
impl fmt::Debug for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held(hidden)")
    }
}

/// What is to become of the templates that a class has and of new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The places of those of the class that stay, rising; the oldest has place 0.
    pub keep: Vec<usize>,
    /// The places of the new ones that are added, rising.
    pub add: Vec<usize>,
    /// How many of the new ones the class has already.
    pub known: usize,
}

/// What an enrolment did. Templates that are neither added nor known are worth less than those that
/// the class keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// How many templates were added.
    pub added: usize,
    /// How many were there already.
    pub known: usize,
    /// How many older templates of the class gave way.
    pub removed: usize,
    /// How many templates the class has now.
    pub templates: usize,
}

/// Whose templates are enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Those of this class.
    Class(ClassId),
    /// Those of the class that has the external id of the record; where there is none, of somebody new,
    /// whose number the partition chooses: from 1 to [`i32::MAX`], and none that it chose before.
    New,
}

/// What was removed with a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many templates it had; 0 if it was not enrolled.
    pub templates: usize,
    /// Whether something was known of the person.
    pub record: bool,
}

impl Removed {
    /// Whether there was such a class.
    pub fn was_enrolled(self) -> bool {
        self.templates > 0
    }
}

/// What an enrolment of a person did.
#[derive(Clone, Debug, PartialEq)]
pub struct EnrolledPerson {
    /// The class.
    pub class: ClassId,
    /// Whether it had no template before.
    pub is_new: bool,
    /// What became of templates.
    pub enrolled: Enrolled,
    /// What is known of the person now.
    pub record: Record,
    /// Whether something else was known before, or shown as a portrait.
    replaces: bool,
}

/// What all partitions of a data directory share.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub(super) commits: Arc<Commits>,
    pub(super) files: Arc<Files>,
    pub(super) alarm: Arc<Alarm>,
    /// Whether free pages of the catalog may hold templates that were removed.
    pub(super) catalog_is_stale: Arc<AtomicBool>,
    pub(super) findings: Arc<Findings>,
}

/// The templates of one partition, all of one encoder.
#[derive(Debug)]
pub struct Partition {
    id: Arc<PartitionId>,
    encoder: Arc<EncoderId>,
    common: Common,
    shared: Arc<Shared>,
    /// When classes were last recognised.
    pub(super) recognised: Recognised,
    /// Held by whoever replaces segments: one at a time, or both would replace the same.
    pub(super) rewriting: Mutex<()>,
    /// Held by whoever seals the tail, for the same reason. Not the same lock: a merge may take minutes,
    /// and enrolments that the tail has no more room for would wait for it. Whoever takes both
    /// takes this one last.
    pub(super) sealing: Mutex<()>,
}

impl Partition {
    /// Opens what the catalog says of a partition, and removes files that it has retired.
    pub(super) fn open(
        id: PartitionId,
        entry: &PartitionEntry,
        common: &Common,
    ) -> Result<Partition, StoreError> {
        let number = entry.partition;
        let catalog = common.commits.catalog();
        let contents = catalog.read(|tables| tables.contents(number))?;
        let blocks = open_blocks(&common.files, number, &entry.encoder, &contents);
        let blocks = blocks.map_err(|source| {
            common.findings.not_opened(&id, &source);
            incomplete(&id, &contents, source)
        })?;
        common.findings.opened(&id);
        // Not before everything that is named was opened: what is not may be all that is left.
        if !catalog.is_read_only() {
            let gone = common.files.tidy(number, &contents)?;
            if !gone.is_empty() {
                let commits = &common.commits;
                commits.commit(move |group| group.forget_retired(number, &gone))?;
            }
        }
        let partition = Partition::without_blocks(id, entry, common);
        let blocks = Arc::new(blocks);
        let snapshot = partition.snapshot();
        partition
            .shared
            .publish(Snapshot { blocks, ..snapshot }, &[]);
        Ok(partition)
    }

    /// The frame of a partition, for whoever mends one that cannot be opened.
    pub(super) fn without_blocks(
        id: PartitionId,
        entry: &PartitionEntry,
        common: &Common,
    ) -> Partition {
        let (id, encoder) = (Arc::new(id), Arc::new(entry.encoder.clone()));
        let snapshot = Snapshot {
            partition: id.clone(),
            encoder: encoder.clone(),
            blocks: Arc::default(),
            findings: common.findings.clone(),
        };
        Partition {
            id,
            encoder,
            common: common.clone(),
            shared: Arc::new(Shared::new(entry.partition, snapshot)),
            recognised: Recognised::default(),
            rewriting: Mutex::new(()),
            sealing: Mutex::new(()),
        }
    }

    /// The name of the partition.
    pub fn id(&self) -> &PartitionId {
        &self.id
    }

    /// The encoder it is bound to.
    pub fn encoder(&self) -> &EncoderId {
        &self.encoder
    }

    /// Begins to read all templates of some rows once, in order.
    ///
    /// # Errors
    ///
    /// If their file cannot be opened once more.
    pub fn pass<'a>(&self, rows: BlockReader<'a>) -> Result<TemplatePass<'a>, StoreError> {
        TemplatePass::new(rows, &**self.files().disk())
    }

    /// The partition as it is now. Cheap, and waits for nobody.
    pub fn snapshot(&self) -> Snapshot {
        let snapshot = self.shared.snapshot();
        #[cfg(test)]
        between_snapshots::happen();
        snapshot
    }

    /// Adds templates to a class, which begins to exist with its first.
    ///
    /// Of the templates that the class has already, the newest `keep` stay and the others are
    /// removed: `0` replaces the class, `usize::MAX` only adds. The rest is as of
    /// [`Partition::enroll_chosen`].
    ///
    /// # Errors
    ///
    /// As [`Partition::enroll_chosen`].
    ///
    /// # Panics
    ///
    /// Panics if an embedding has not the dimension of its encoder.
    pub fn enroll(
        &self,
        class: ClassId,
        encoder: &EncoderId,
        templates: &[NewTemplate],
        keep: usize,
        now: Timestamp,
    ) -> Result<Enrolled, StoreError> {
        let choose = move |held: &[Held<'_>], new: &[NewTemplate]| Choice {
            keep: (held.len().saturating_sub(keep)..held.len()).collect(),
            add: (0..new.len()).collect(),
            known: 0,
        };
        self.enroll_chosen(class, encoder, templates, choose, now)
    }

    /// Adds templates to a class, which begins to exist with its first, and removes some of it, as
    /// `choose` says when it sees those that the class has, oldest first, and the new ones.
    ///
    /// When this returns, all of it is on disk and every later snapshot shows it. Calls that come
    /// at once share one sync, and wait for `choose`.
    ///
    /// # Errors
    ///
    /// If the embeddings are of another encoder, there is a portrait and the data directory is not
    /// encrypted, or the disk fails. Later snapshots do not show anything of it then; after a failed write it may be there when the data directory is opened
    /// again, whole.
    ///
    /// # Panics
    ///
    /// Panics if an embedding has not the dimension of its encoder, or `choose` names a place that
    /// is none.
    pub fn enroll_chosen(
        &self,
        class: ClassId,
        encoder: &EncoderId,
        templates: &[NewTemplate],
        choose: impl Fn(&[Held<'_>], &[NewTemplate]) -> Choice + Send + 'static,
        now: Timestamp,
    ) -> Result<Enrolled, StoreError> {
        let enrolled = self.enroll_person(
            Whom::Class(class),
            encoder,
            templates,
            choose,
            RecordChange::default(),
            now,
        )?;
        Ok(enrolled.enrolled)
    }

    /// As [`Partition::enroll_chosen`], and changes what is known of the person, in the same transaction:
    /// both are there, or neither.
    ///
    /// # Errors
    ///
    /// As [`Partition::enroll_chosen`], and if the record cannot be so, the time of the person is over, or
    /// no number is left for a new one.
    ///
    /// # Panics
    ///
    /// As [`Partition::enroll_chosen`].
    pub fn enroll_person(
        &self,
        whom: Whom,
        encoder: &EncoderId,
        templates: &[NewTemplate],
        choose: impl Fn(&[Held<'_>], &[NewTemplate]) -> Choice + Send + 'static,
        record: RecordChange,
        now: Timestamp,
    ) -> Result<EnrolledPerson, StoreError> {
        self.check_encoder(encoder)?;
        self.check_portraits(templates)?;
        // Whoever leads the group of changes should neither code templates nor wait for a disk.
        let snapshot = self.snapshot();
        let foreseen = match &whom {
            Whom::Class(class) => *class,
            Whom::New => ClassId(0),
        };
        held(&snapshot, &templates_of(&snapshot, foreseen)?)?;
        drop(snapshot);
        let new = templates.to_vec();
        let mut all = tail_templates(foreseen, &new, now);
        let dimension = encoder.dimension();
        let mut coded = TailBlock::of(dimension, &all);
        let (shared, id) = (self.shared.clone(), self.id.clone());
        let enrolled = self.common.commits.commit(move |group| {
            let snapshot = group.snapshot(&shared)?;
            let class = match whom {
                Whom::Class(class) => class,
                Whom::New => class_of_new(group, &shared, &snapshot, &id, &record)?,
            };
            if class != foreseen {
                all.iter_mut().for_each(|template| template.class = class);
                coded = TailBlock::of(dimension, &all);
            }
            let old = templates_of(&snapshot, class)?;
            let choice = choose(&held(&snapshot, &old)?, &new);
            let enrolled = Enrolled {
                added: choice.add.len(),
                known: choice.known,
                removed: old.len() - choice.keep.len(),
                templates: choice.keep.len() + choice.add.len(),
            };
            let before = group.record(shared.number(), class)?;
            let after = record.apply(&before)?;
            check_record(group, &shared, &snapshot, &id, class, &after)?;
            if enrolled.added > 0 && after.expires.is_some_and(|end| end <= now) {
                let partition = PartitionId::clone(&id);
                return Err(StoreError::TimeOver { partition, class }.into());
            }
            let portrait = group.portrait(shared.number(), class)?;
            if whom == Whom::New && old.is_empty() {
                group.put_highest_chosen(shared.number(), class)?;
            }
            let mut replaces = before != Record::default() && !record.is_empty();
            if enrolled.added + enrolled.removed > 0 {
                let (mut added, mut block) = chosen(&all, &coded, &choice.add);
                let first = group.take_numbers(added.len() as u64);
                for ((number, template), info) in (first..).zip(&mut added).zip(&mut block.infos) {
                    template.info.template = number;
                    info.template = number;
                }
                let stays = |place: &usize| choice.keep.binary_search(place).is_ok();
                let gone = (0..old.len()).filter(|place| !stays(place));
                let gone: Vec<Location> = gone.map(|place| old[place]).collect();
                change(group, &shared, snapshot, (&added, block), &gone)?;
                let is_gone = |template| has_template(&gone, template);
                let offered = best_of(&new, &choice.add, first);
                let of = (shared.number(), class);
                replaces |= group.settle_portrait(of, portrait, is_gone, offered)?;
            }
            if enrolled.templates == 0 {
                group.remove_record(&shared, class)?;
            } else {
                group.put_record(&shared, class, &after)?;
            }
            Ok(EnrolledPerson {
                class,
                is_new: old.is_empty(),
                enrolled,
                record: after,
                replaces,
            })
        })?;
        if enrolled.enrolled.removed > 0 || enrolled.replaces {
            self.common.catalog_is_stale.store(true, Ordering::Relaxed);
        }
        self.alert(enrolled.enrolled.removed > 0);
        Ok(enrolled)
    }

    /// Removes a class with all its templates and all that is known of it. Returns what that was. Every
    /// later search is without it; its rows are overwritten later: see [`super::Store::overwrite_removed`].
    ///
    /// # Errors
    ///
    /// If the disk fails or a segment is damaged; as for [`Partition::enroll`].
    pub fn remove(&self, class: ClassId) -> Result<Removed, StoreError> {
        self.remove_and(class, |_, _| Ok(()))
    }

    /// As [`Partition::remove`], and keeps a note of it in the same write, if there was such a class. `note`
    /// is told what it was, and the number of the catalog's change.
    ///
    /// # Errors
    ///
    /// As [`Partition::remove`].
    pub fn remove_noting(
        &self,
        class: ClassId,
        note: impl FnOnce(&Removed, u64) -> StateValue + Send + 'static,
    ) -> Result<Removed, StoreError> {
        self.remove_and(class, |group, removed| {
            let note = note(removed, group.number());
            group.put_state(note.area, &note.key, &note.value)
        })
    }

    fn remove_and(
        &self,
        class: ClassId,
        also: impl FnOnce(&mut Group<'_>, &Removed) -> Result<(), Halt> + Send + 'static,
    ) -> Result<Removed, StoreError> {
        if templates_of(&self.snapshot(), class)?.is_empty() {
            return Ok(Removed::default());
        }
        let (shared, dimension) = (self.shared.clone(), self.encoder.dimension());
        let removed = self.common.commits.commit(move |group| {
            let snapshot = group.snapshot(&shared)?;
            let old = templates_of(&snapshot, class)?;
            if old.is_empty() {
                return Ok(Removed::default());
            }
            let record = group.record(shared.number(), class)?;
            let nothing = (&[][..], TailBlock::new(dimension));
            change(group, &shared, snapshot, nothing, &old)?;
            group.remove_record(&shared, class)?;
            let removed = Removed {
                templates: old.len(),
                record: !record.is_empty(),
            };
            also(group, &removed)?;
            Ok(removed)
        })?;
        self.recognised.forget(class);
        self.common.catalog_is_stale.store(true, Ordering::Relaxed);
        self.alert(true);
        Ok(removed)
    }

    /// Whether somebody holds a snapshot.
    pub(super) fn is_read(&self) -> bool {
        // Every snapshot shares the name; one is ours, and one is that of the current snapshot.
        Arc::strong_count(&self.id) > 2
    }

    pub(super) fn commits(&self) -> &Commits {
        &self.common.commits
    }

    pub(super) fn files(&self) -> &Arc<Files> {
        &self.common.files
    }

    pub(super) fn common(&self) -> &Common {
        &self.common
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Makes sure that templates of an encoder belong here.
    ///
    /// # Errors
    ///
    /// If the partition is bound to another.
    pub fn check_encoder(&self, encoder: &EncoderId) -> Result<(), StoreError> {
        if *encoder == *self.encoder {
            return Ok(());
        }
        Err(StoreError::Encoder {
            partition: self.id().clone(),
            expected: self.encoder().clone(),
            found: encoder.clone(),
        })
    }

    /// Fails if a portrait comes and what is written is not encrypted: anybody who can read the disk
    /// would see faces.
    fn check_portraits(&self, templates: &[NewTemplate]) -> Result<(), StoreError> {
        let is_encrypted = self.commits().catalog().keys().is_some();
        match is_encrypted || templates.iter().all(|it| it.portrait.is_none()) {
            true => Ok(()),
            false => Err(StoreError::PortraitInPlain),
        }
    }

    /// Begins a segment of this partition.
    pub(super) fn new_segment(
        &self,
        segment: u64,
        rows: usize,
        created: Timestamp,
    ) -> Result<SegmentWriter, StoreError> {
        let name = SegmentName {
            segment,
            partition: self.shared.number(),
            name: self.id.to_string(),
            identity: self.common.files.identity().map_or(0, NonZeroU64::get),
            encoder: self.encoder().clone(),
            created,
        };
        self.common.files.create(name, rows)
    }

    /// Completes a segment and reads it back, so that the catalog names only what is whole. It is
    /// under the name of its draft until then: see [`Partition::give_name`].
    pub(super) fn complete(
        &self,
        segment: u64,
        writer: SegmentWriter,
        pace: &Pace,
    ) -> Result<(SegmentEntry, Segment), StoreError> {
        let rows = writer.rows() as u64;
        let Finished {
            header_checksum,
            seal,
        } = writer.finish()?;
        let entry = SegmentEntry {
            rows,
            header_checksum,
            seal,
        };
        let files = &self.common.files;
        let opened = files.open(self.shared.number(), segment, &entry);
        let reader = opened.map_err(|error| match error {
            // It is what was just written: its key was replaced, and destroyed, meanwhile.
            StoreError::Keys {
                path,
                cause: KeyError::Forged { .. },
            } => StoreError::keys(&path, KeyError::Replaced),
            error => error,
        })?;
        let mut damage = None;
        reader.verify(&**files.disk(), pace, |error| damage = Some(error))?;
        match damage {
            Some(error) => Err(error),
            None => Ok((entry, reader)),
        }
    }

    /// Lets a whole segment go that the catalog does not name, since the partition was removed, or its key was
    /// replaced.
    pub(super) fn discard_unnamed(&self, segment: Option<(u64, Arc<Segment>)>, error: &StoreError) {
        let is_refused = match error {
            StoreError::PartitionRemoved { .. } => true,
            StoreError::Keys { cause, .. } => *cause == KeyError::Replaced,
            _ => false,
        };
        if let (Some((number, segment)), true) = (segment, is_refused) {
            let path = self.files().path(self.shared.number(), number);
            self.files().discard_whole(path, segment);
            self.common.alarm.raise();
        }
    }

    /// Gives a segment its name, once the catalog names it.
    pub(super) fn give_name(&self, segment: u64) {
        self.files().give_name(self.shared.number(), segment);
    }

    /// After a change that left something to do, or a longer tail: has somebody put the partition in
    /// order.
    pub(super) fn alert(&self, is_due: bool) {
        let rows = tail_rows(&self.snapshot());
        let alarm = &self.common.alarm;
        if is_due || rows >= TAIL_ROWS_MAX {
            alarm.raise();
        }
        let bearable = match alarm.is_attended() {
            true => TAIL_ROWS_MAX * TAIL_PATIENCE,
            false => TAIL_ROWS_MAX,
        };
        if rows >= bearable
            // The change is already durable, so that a failure to seal is not its failure.
            && let Err(error) = self.seal()
        {
            tracing::error!(partition = %self.id, error = &error as &dyn std::error::Error, "cannot seal the tail");
        }
    }
}

/// Where a template is in a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Location {
    pub(super) block: usize,
    pub(super) row: usize,
    pub(super) info: TemplateInfo,
}

/// The best portrait of templates that were added, of which the first has the number `first`, and
/// the others those that follow.
fn best_of(new: &[NewTemplate], added: &[usize], first: u64) -> Option<PortraitOf> {
    let numbered = (first..).zip(added);
    let portraits = numbered.map(|(template, place)| {
        let NewTemplate {
            quality, portrait, ..
        } = &new[*place];
        Some(PortraitOf {
            template,
            quality: *quality,
            portrait: portrait.clone()?,
        })
    });
    portraits.fold(None, PortraitOf::better)
}

/// Whether one of some templates has this number.
pub(super) fn has_template(some: &[Location], template: u64) -> bool {
    some.iter()
        .any(|location| location.info.template == template)
}

/// New templates as the tail has them, without their numbers.
fn tail_templates(class: ClassId, new: &[NewTemplate], now: Timestamp) -> Vec<TailTemplate> {
    let template = |new: &NewTemplate| TailTemplate {
        class,
        info: TemplateInfo::new(new.quality, now),
        embedding: new.embedding.clone(),
    };
    new.iter().map(template).collect()
}

/// Those of some templates that were chosen, in both their forms.
fn chosen(
    all: &[TailTemplate],
    coded: &TailBlock,
    places: &[usize],
) -> (Vec<TailTemplate>, TailBlock) {
    if places.len() == all.len() {
        return (all.to_vec(), coded.clone());
    }
    let mut block = TailBlock::new(coded.planes.layout().dimension());
    for &place in places {
        block.append(coded, place..place + 1);
    }
    let templates = places.iter().map(|&place| all[place].clone());
    (templates.collect(), block)
}

/// The same templates, to choose from.
pub(super) fn held<'a>(
    snapshot: &'a Snapshot,
    of: &[Location],
) -> Result<Vec<Held<'a>>, StoreError> {
    let blocks: Vec<BlockReader<'a>> = snapshot.blocks().collect();
    let mut held = Vec::with_capacity(of.len());
    for location in of {
        let row = blocks[location.block].row(location.row);
        held.push(Held {
            values: row.values()?,
            length: row.length()?,
            quality: location.info.quality,
        });
    }
    Ok(held)
}

/// The templates of a class, the oldest first.
pub(super) fn templates_of(
    snapshot: &Snapshot,
    class: ClassId,
) -> Result<Vec<Location>, StoreError> {
    let mut locations = Vec::new();
    for (block, of) in snapshot.blocks().enumerate() {
        for found in of.rows_of(class)? {
            let (row, info) = (found.number(), found.info()?);
            locations.push(Location { block, row, info });
        }
    }
    locations.sort_by_key(|location| {
        let info = location.info;
        (info.enrolled_unix_milliseconds, info.template)
    });
    Ok(locations)
}

/// Adds to the tail, once as the catalog and once as searches have it, and removes rows.
pub(super) fn change(
    group: &mut Group<'_>,
    shared: &Arc<Shared>,
    mut snapshot: Snapshot,
    (add_to_tail, block): (&[TailTemplate], TailBlock),
    remove: &[Location],
) -> Result<(), Halt> {
    let mut remove_from_tail = Vec::new();
    let mut bury = Vec::new();
    let blocks = Arc::make_mut(&mut snapshot.blocks);
    for location in remove {
        let block = &mut blocks[location.block];
        match &block.source {
            Source::Segment(segment, _) => bury.push((*segment, location.row as u64)),
            Source::Tail(_) => remove_from_tail.push(location.info.template),
        }
        block.dead.insert(location.row);
    }
    let change = Change {
        add_to_tail,
        remove_from_tail: &remove_from_tail,
        bury: &bury,
        ..Change::default()
    };
    if !remove.is_empty() {
        group.note_removal();
    }
    group.apply(shared.number(), &change)?;
    push_tail(blocks, block);
    group.publish(shared, snapshot);
    Ok(())
}

/// Appends a block and merges blocks of like size, as a counter in base two carries: n enrolments
/// leave about log n blocks, and copy every row about log n times.
pub(super) fn push_tail(blocks: &mut Vec<Block>, new: TailBlock) {
    if new.rows() == 0 {
        return;
    }
    let mut rows = new;
    while let Some(last) = blocks.last()
        && let Source::Tail(tail) = &last.source
        && tail.rows() <= rows.rows()
    {
        let mut merged = TailBlock::new(tail.planes.layout().dimension());
        for run in last.live_runs(usize::MAX) {
            merged.append(tail, run);
        }
        merged.append(&rows, 0..rows.rows());
        rows = merged;
        blocks.pop();
    }
    blocks.push(Block {
        source: Source::Tail(Arc::new(rows)),
        dead: DeadRows::default(),
    });
}

/// Adds a segment. It goes before the tail, whose blocks stay neighbours.
pub(super) fn insert_segment(blocks: &mut Vec<Block>, segment: Block) {
    let is_tail = |block: &Block| matches!(block.source, Source::Tail(_));
    let tail = blocks.iter().position(is_tail).unwrap_or(blocks.len());
    blocks.insert(tail, segment);
}

/// How many rows the tail takes up, removed ones included.
pub(super) fn tail_rows(snapshot: &Snapshot) -> usize {
    let blocks = snapshot.blocks.iter();
    let tails = blocks.filter(|block| matches!(block.source, Source::Tail(_)));
    tails.map(Block::rows).sum()
}

fn open_blocks(
    files: &Files,
    number: u64,
    encoder: &EncoderId,
    contents: &Contents,
) -> Result<Vec<Block>, StoreError> {
    let mut dead: BTreeMap<u64, DeadRows> = BTreeMap::new();
    for &(segment, row) in &contents.tombstones {
        let rows = contents
            .segments
            .get(&segment)
            .map_or(0, |entry| entry.rows);
        if row >= rows {
            let path = files.directory().join(CATALOG_FILE);
            let what = format!("row {row} of segment {segment} is removed, which has {rows} rows");
            return Err(StoreError::Catalog { path, what });
        }
        let row = usize::try_from(row).expect("less than the rows of a segment");
        dead.entry(segment).or_default().insert(row);
    }
    let mut blocks = Vec::new();
    for (&segment, entry) in &contents.segments {
        let reader = files.open(number, segment, entry)?;
        if reader.encoder() != encoder.to_string() {
            return Err(StoreError::Damaged {
                path: files.path(number, segment),
                offset: ENCODER_OFFSET as u64,
                what: "encoder",
                expected: encoder.to_string(),
                found: reader.encoder().to_owned(),
            });
        }
        blocks.push(Block {
            source: Source::Segment(segment, Arc::new(reader)),
            dead: dead.remove(&segment).unwrap_or_default(),
        });
    }
    if let Some(template) = contents
        .tail
        .iter()
        .find(|template| template.embedding.dimension() != encoder.dimension())
    {
        return Err(damage(
            &files.directory().join(CATALOG_FILE),
            format!(
                "template {} has {} values, and encoder `{encoder}` makes {}",
                template.info.template,
                template.embedding.dimension(),
                encoder.dimension()
            ),
        ));
    }
    push_tail(
        &mut blocks,
        TailBlock::of(encoder.dimension(), &contents.tail),
    );
    Ok(blocks)
}

/// Says of a partition that cannot be opened what is missing.
fn incomplete(id: &PartitionId, contents: &Contents, source: StoreError) -> StoreError {
    let sealed: u64 = contents.segments.values().map(|entry| entry.rows).sum();
    let all = sealed + contents.tail.len() as u64 - contents.tombstones.len() as u64;
    StoreError::Incomplete {
        partition: id.clone(),
        templates: all,
        source: Box::new(source),
    }
}

/// What another thread may do just after this one has taken a snapshot, for tests.
#[cfg(test)]
pub(super) mod between_snapshots {
    use std::cell::RefCell;

    type Meanwhile = Box<dyn FnOnce()>;

    thread_local! {
        static MEANWHILE: RefCell<Option<Meanwhile>> = RefCell::default();
    }

    /// Has something happen once, after the next snapshot that this thread takes.
    pub(in crate::partition) fn once(meanwhile: impl FnOnce() + 'static) {
        MEANWHILE.set(Some(Box::new(meanwhile)));
    }

    pub(super) fn happen() {
        // Taken first: what happens takes snapshots, too.
        if let Some(meanwhile) = MEANWHILE.take() {
            meanwhile();
        }
    }
}
