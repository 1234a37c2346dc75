//! Many ready embeddings at once, from a source.
//!
//! Three things happen at the same time: the calling thread reads pieces of the source, the threads
//! of the pool code them, and a thread of its own writes what was coded before. What is written
//! together is a segment, which one transaction adds together with the record of how far the source
//! is done: that is what makes resuming exact.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use serde::{Deserialize, Serialize};

use super::incoming::Incoming;
use super::{DuplicateBar, Engine, EngineError, Newcomers, PROBES_PER_PASS};
use crate::exchange::{
    Duplicate, ExchangeError, Existing, Job, Piece, Record, Refused, RefusedFile, RefusedItem,
    ReportBegun, Source,
};
use crate::partition::{Note, Partition, StateOf, Store, TemplateBatch};
use crate::search::Pool;
use crate::types::{
    ClassId, EncoderId, Match, PartitionId, Record as PersonRecord, RecordChange, Timestamp,
};

/// What is kept of imports into a gallery: with it, so that a later import of the same files begins anew.
pub(super) fn state_of(id: &PartitionId) -> StateOf {
    StateOf {
        area: AREA,
        key: format!("{id} "),
        is_prefix: true,
    }
}

/// Where records of imports are kept.
const AREA: &str = "import";
/// The only version of a record.
const VERSION: u32 = 1;
/// Parts of a piece that each thread takes, so that none waits long for another.
const PARTS_PER_THREAD: usize = 4;
/// People of whom something becomes known together: others wait for the catalog meanwhile.
const PEOPLE_PER_COMMIT: usize = 4096;

/// What an import does besides reading.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions<'a> {
    /// What to do if an import of this source into this partition stopped early.
    pub existing: Existing,
    /// Where refused items are reported, by the source itself if it does that
    /// ([`Source::begin_report`]). With `None` the first is an error.
    pub refused: Option<&'a Path>,
    /// What is done about items that look like somebody who is there under another class, in the gallery or
    /// before in the source; `None` looks for none.
    pub duplicates: Option<&'a Duplicates>,
}

/// What is done about items that look like somebody else.
#[derive(Clone, Debug)]
pub struct Duplicates {
    /// From when on they do.
    pub bar: DuplicateBar,
    /// Whether they are refused. Else they are imported, and reported all the same.
    pub are_refused: bool,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Items that were read.
    pub items: u64,
    /// Those of them that are templates now.
    pub accepted: u64,
    /// Those that were there already: the same class and the same values.
    #[serde(default)]
    pub known: u64,
    /// The others.
    pub refused: u64,
    /// Those that look like somebody who has another class, whether they are refused for it or not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duplicates: u64,
    /// Items that an earlier run had done.
    #[serde(skip)]
    pub earlier: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Imported {
    /// As whoever reads the source counts: which items are there already shows when they are written.
    fn as_read(self) -> Imported {
        Imported {
            accepted: self.accepted + self.known,
            known: 0,
            ..self
        }
    }

    /// As it is when so many of what a reader counts were there already.
    fn without(self, known: u64) -> Imported {
        Imported {
            accepted: self.accepted - known,
            known,
            ..self
        }
    }
}

/// What is certain of an import. Kept as JSON in the store, and changed together with templates.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    version: u32,
    job: Job,
    done: Imported,
    /// The length of the report of refused items, where it is written here; for earlier builds.
    report_bytes: u64,
    /// Whether nothing is left to do. The record stays, so that resuming once more is known to be
    /// nothing to do.
    finished: bool,
}

impl Engine {
    /// Adds the items of a source to a partition, which is made with the first that is accepted.
    ///
    /// Items are added in pieces of some 64 MiB. Each is on disk, and seen by every later search,
    /// before the next; a run that stops early leaves whole pieces and can be resumed: nothing is
    /// lost or added twice, whenever it stops. An item whose class has a template of the same values
    /// already adds none. Items that look like somebody else are found as if each was enrolled after those
    /// before it. What items say of people is added to what is known, together with their
    /// templates; one that contradicts it is refused. Items without a time get `now`. `progress` is told
    /// after each piece that was read, with the position in the source.
    ///
    /// # Errors
    ///
    /// If the partition belongs to another encoder or dimension, an import of this source stopped
    /// early and `options` does not say what to do, what is to be resumed was another job (the fact
    /// that differs is named), the source is or becomes unreadable, or the disk fails. What was
    /// added before stays.
    pub fn import(
        &self,
        id: &PartitionId,
        encoder: &EncoderId,
        source: &mut dyn Source,
        options: ImportOptions<'_>,
        now: Timestamp,
        mut progress: impl FnMut(&Imported, u64),
    ) -> Result<Imported, EngineError> {
        self.check_encoder(id, encoder, source.dimension())?;
        let mut ledger = Ledger::open(self.store(), id, encoder, source, options, now)?;
        if ledger.progress.finished {
            return Ok(ledger.progress.done);
        }
        source.skip(ledger.progress.done.items)?;
        let sifter = Sifter::new(options.duplicates, |bar| self.newcomers(id, encoder, bar))?;
        let ran = run(self.pool(), sifter, source, &mut ledger, &mut progress);
        if ran.is_err() {
            ledger.forget_beginning();
        }
        ran.map(|()| ledger.progress.done)
    }

    /// Chooses classes for `count` people who are to be imported and have none, as an enrolment of
    /// somebody without a number does. The partition is made if it does not exist.
    ///
    /// # Errors
    ///
    /// If the partition belongs to another encoder, no numbers are left, or the disk fails.
    pub fn choose_classes(
        &self,
        id: &PartitionId,
        encoder: &EncoderId,
        count: usize,
        now: Timestamp,
    ) -> Result<Vec<ClassId>, EngineError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let partition = self.store().partition_for(id, encoder, now)?;
        Ok(partition.choose_classes(count)?)
    }

    /// Makes sure that embeddings of a dimension can be those of an encoder, and that a partition
    /// does not belong to another; it need not exist.
    ///
    /// # Errors
    ///
    /// If not, or if the partition cannot be opened.
    pub fn check_encoder(
        &self,
        id: &PartitionId,
        encoder: &EncoderId,
        dimension: usize,
    ) -> Result<(), EngineError> {
        if dimension != encoder.dimension() {
            let (found, encoder) = (dimension, encoder.clone());
            return Err(EngineError::Dimension { found, encoder });
        }
        self.gallery(id, encoder).map(drop)
    }
}

/// Reads and checks all items of a source as [`Engine::import`] does, and changes nothing.
/// `refused` is told which items cannot be imported, or look like somebody else, in `gallery` if it is known
/// and there.
///
/// Where duplicates are looked for all embeddings that can be imported are kept in memory, about five bytes a
/// value, since later ones are compared with them.
///
/// # Errors
///
/// If the source is or becomes unreadable, the gallery is damaged, or `refused` fails.
pub fn check_source(
    source: &mut dyn Source,
    pool: &Pool,
    gallery: Option<(&Engine, &PartitionId)>,
    duplicates: Option<(&EncoderId, &Duplicates)>,
    now: Timestamp,
    mut refused: impl FnMut(&[RefusedItem]) -> Result<(), ExchangeError>,
    mut progress: impl FnMut(&Imported, u64),
) -> Result<Imported, EngineError> {
    let mut done = Imported::default();
    let mut sifter = match duplicates {
        Some((encoder, duplicates)) => Sifter::new(Some(duplicates), |bar| match gallery {
            Some((engine, id)) => engine.newcomers(id, encoder, bar),
            None => Ok(Newcomers::alone(pool, encoder, bar)),
        })?,
        None => Sifter::default(),
    };
    let gallery = gallery.map(|(engine, id)| (engine.store(), id));
    let mut incoming = Incoming::new(gallery, true, now)?;
    let begin = || duplicates.map(|(encoder, _)| TemplateBatch::new(encoder));
    let add = |batch: &mut Option<TemplateBatch>, record: Record<'_>| {
        if let Some(batch) = batch {
            batch.push(record.class, record.values, record.quality, now);
        }
    };
    while let Some(piece) = source.next_piece()? {
        let first = (done.items, incoming.over());
        let mut parts = on_parts(pool, &*piece, first, begin, add);
        sifter.sift(&mut parts, &*piece, &mut incoming)?;
        for part in parts {
            done.accepted += (part.items.len() - part.left_out.len()) as u64;
            done.refused += part.refusals.len() as u64;
            done.duplicates += part.duplicates;
            refused(&part.lines())?;
        }
        done.items += piece.items() as u64;
        progress(&done, source.position());
    }
    Ok(done)
}

/// Templates and refusals on their way to the disk, and how far the source is done with them.
struct Commit {
    batch: TemplateBatch,
    people: Vec<(ClassId, RecordChange)>,
    refusals: Vec<RefusedItem>,
    /// Of those that may be accepted nobody knows yet which are there already.
    done: Imported,
    finished: bool,
}

fn run(
    pool: &Pool,
    sifter: Sifter,
    source: &mut dyn Source,
    ledger: &mut Ledger<'_>,
    progress: &mut dyn FnMut(&Imported, u64),
) -> Result<(), EngineError> {
    // One batch is filled while the other is written; they go round, so that their memory stays. Where
    // duplicates are looked for all before must be in the gallery.
    let (full, written) = sync_channel::<Commit>(0);
    let (empty, to_fill) = channel();
    for _ in 0..if sifter.newcomers.is_some() { 1 } else { 2 } {
        // The receiver is held by this function.
        let _ = empty.send(TemplateBatch::new(ledger.encoder));
    }
    let incoming = Incoming::new(Some((ledger.store, ledger.id)), false, ledger.now)?;
    thread::scope(|scope| {
        let mut reading = Reading {
            pool,
            encoder: ledger.encoder,
            sifter,
            source,
            strict: ledger.is_strict,
            now: ledger.now,
            done: ledger.progress.done.as_read(),
            incoming,
        };
        let writer = scope.spawn(move || write(ledger, &written, &empty));
        let read = reading.read_all(&full, &to_fill, progress);
        // The writer ends when nothing more can come.
        drop(full);
        let written = writer.join().unwrap_or_else(|panic| {
            std::panic::resume_unwind(panic);
        });
        // The reader stops without an error when the writer does.
        written.and(read)
    })
}

fn write(
    ledger: &mut Ledger<'_>,
    full: &Receiver<Commit>,
    empty: &Sender<TemplateBatch>,
) -> Result<(), EngineError> {
    for mut commit in full {
        ledger.commit(&commit)?;
        commit.batch.clear();
        // Nobody fills it after the last.
        let _ = empty.send(commit.batch);
    }
    Ok(())
}

struct Reading<'a> {
    pool: &'a Pool,
    encoder: &'a EncoderId,
    sifter: Sifter,
    source: &'a mut dyn Source,
    strict: bool,
    now: Timestamp,
    done: Imported,
    incoming: Incoming<'a>,
}

impl Reading<'_> {
    /// Reads and codes pieces, and hands them over when enough have come together. Stops when the
    /// writer has.
    fn read_all(
        &mut self,
        full: &SyncSender<Commit>,
        to_fill: &Receiver<TemplateBatch>,
        progress: &mut dyn FnMut(&Imported, u64),
    ) -> Result<(), EngineError> {
        let most = self.source.items_per_commit();
        let mut next = self.source.next_piece()?;
        loop {
            let Ok(mut batch) = to_fill.recv() else {
                return Ok(());
            };
            self.sifter.begin_round()?;
            let (before, mut refusals) = (self.done.items, Vec::new());
            while let Some(piece) = next.take() {
                self.code(&*piece, &mut batch, &mut refusals)?;
                progress(&self.done, self.source.position());
                next = self.source.next_piece()?;
                let with_next = self.done.items - before
                    + next.as_ref().map_or(0, |piece| piece.items() as u64);
                if with_next > most || self.incoming.people() >= PEOPLE_PER_COMMIT {
                    break;
                }
            }
            let finished = next.is_none();
            let commit = Commit {
                batch,
                people: self.incoming.changes(),
                refusals,
                done: self.done,
                finished,
            };
            if full.send(commit).is_err() || finished {
                return Ok(());
            }
            self.incoming.begin_round()?;
        }
    }

    fn code(
        &mut self,
        piece: &dyn Piece,
        batch: &mut TemplateBatch,
        refusals: &mut Vec<RefusedItem>,
    ) -> Result<(), EngineError> {
        let begin = || TemplateBatch::new(self.encoder);
        let add = |batch: &mut TemplateBatch, record: Record<'_>| {
            let enrolled = record.enrolled.unwrap_or(self.now);
            batch.push(record.class, record.values, record.quality, enrolled);
        };
        let first = (self.done.items, self.incoming.over());
        let mut parts = on_parts(self.pool, piece, first, begin, add);
        let odd = self.sifter.sift(&mut parts, piece, &mut self.incoming)?;
        self.source.contradicted(&odd)?;
        for part in parts {
            if self.strict {
                none_refused(self.source.name(), &part.refusals)?;
            }
            self.done.accepted += (part.sum.len() - part.left_out.len()) as u64;
            self.done.refused += part.refusals.len() as u64;
            self.done.duplicates += part.duplicates;
            batch.append_without(&part.sum, &part.left_out);
            refusals.extend(part.lines());
        }
        self.done.items += piece.items() as u64;
        Ok(())
    }
}

/// What became of some items that follow each other.
struct Part<T> {
    /// The first of them, of its piece and of the source.
    first: (usize, u64),
    /// What was made of those that can be imported.
    sum: T,
    /// Which items of the piece those are.
    items: Vec<usize>,
    /// What those say of people: which of those that can be imported says it, its class, and what is said.
    people: Vec<(usize, ClassId, Box<PersonRecord>)>,
    /// Which of those that can be imported cannot after all.
    left_out: Vec<usize>,
    refusals: Vec<RefusedItem>,
    /// Those that look like somebody else, and are imported all the same.
    odd: Vec<RefusedItem>,
    /// How many look like somebody else, whatever becomes of them.
    duplicates: u64,
}

impl<T> Part<T> {
    /// What is wrong or odd about one of those that can be imported.
    fn located(&self, piece: &dyn Piece, place: usize, refused: Refused) -> RefusedItem {
        let at = self.items[place];
        RefusedItem {
            item: self.first.1 + (at - self.first.0) as u64,
            refused: piece.located(at, refused),
        }
    }

    /// What one of those that can be imported says of its person.
    fn said(&self, place: usize) -> Option<(ClassId, &PersonRecord)> {
        let found = self.people.binary_search_by_key(&place, |(of, ..)| *of);
        let (_, class, said) = &self.people[found.ok()?];
        Some((*class, said))
    }

    /// Does what is decided of one of those that can be imported. Returns what is to be told of it.
    fn settle(
        &mut self,
        piece: &dyn Piece,
        place: usize,
        decided: Decided,
        are_refused: bool,
    ) -> Option<RefusedItem>
    where
        T: Batched,
    {
        if let Some(reason) = decided.contradiction {
            let line = self.located(piece, place, Refused::new(reason));
            self.left_out.push(place);
            self.refusals.push(line.clone());
            return Some(line);
        }
        let class = self.sum.batch()?.class(place);
        let line = self.located(
            piece,
            place,
            looks_like(class, &decided.duplicate?, are_refused),
        );
        self.duplicates += 1;
        if are_refused {
            self.left_out.push(place);
            self.refusals.push(line.clone());
        } else {
            self.odd.push(line.clone());
        }
        Some(line)
    }

    /// What the report says of its items, in order.
    fn lines(self) -> Vec<RefusedItem> {
        let mut lines = self.refusals;
        lines.extend(self.odd);
        lines.sort_by_key(|line| line.item);
        lines
    }
}

/// What is said of an item of `class` that looks like another.
fn looks_like(class: ClassId, other: &Match, is_refused: bool) -> Refused {
    let Match {
        class: other,
        similarity,
    } = *other;
    let kept = match is_refused {
        true => "",
        false => "; it is imported all the same",
    };
    Refused {
        duplicate: Some(Duplicate {
            class: class.0,
            duplicate_of: other.0,
            similarity,
            imported: !is_refused,
        }),
        ..Refused::new(format!(
            "class {class} looks like class {other}, similarity {similarity:.2}{kept}"
        ))
    }
}

/// Reads all items of a piece side by side, and returns in order what became of some that follow
/// each other, with what `add` made of those that can be imported. With the number of the first item come the
/// classes whose time is over: they get nothing, unless they are given another end.
fn on_parts<T: Send>(
    pool: &Pool,
    piece: &dyn Piece,
    (first_item, over): (u64, &HashSet<ClassId>),
    begin: impl Fn() -> T + Sync,
    add: impl Fn(&mut T, Record<'_>) + Sync,
) -> Vec<Part<T>> {
    let (items, next) = (piece.items(), AtomicUsize::new(0));
    let is_over = |record: &Record<'_>| {
        let said = record.person.as_ref();
        over.contains(&record.class) && said.is_none_or(|said| said.expires.is_none())
    };
    let items_per_part = items.div_ceil(pool.threads() * PARTS_PER_THREAD).max(1);
    let parts = pool.on_each_thread(|| {
        let (mut parts, mut scratch) = (Vec::new(), Vec::new());
        loop {
            let first = next.fetch_add(items_per_part, Ordering::Relaxed);
            if first >= items {
                return parts;
            }
            let mut part = Part {
                first: (first, first_item + first as u64),
                sum: begin(),
                items: Vec::new(),
                people: Vec::new(),
                left_out: Vec::new(),
                refusals: Vec::new(),
                odd: Vec::new(),
                duplicates: 0,
            };
            for at in first..items.min(first + items_per_part) {
                let item = first_item + at as u64;
                match piece.read(at, &mut scratch) {
                    Ok(record) if is_over(&record) => {
                        let class = record.class;
                        let reason = format!(
                            "the time of class {class} is over: give it another end, or delete it"
                        );
                        let refused = piece.located(at, Refused::new(reason));
                        part.refusals.push(RefusedItem { item, refused });
                    }
                    Ok(mut record) => {
                        let person = record.person.take();
                        let place = part.items.len();
                        let person = person.map(|person| (place, record.class, person));
                        part.people.extend(person);
                        part.items.push(at);
                        add(&mut part.sum, record);
                    }
                    Err(refused) => part.refusals.push(RefusedItem { item, refused }),
                }
            }
            parts.push(part);
        }
    });
    let mut parts: Vec<Part<T>> = parts.into_iter().flatten().collect();
    parts.sort_by_key(|part| part.first);
    parts
}

/// Makes sure that no item is refused, where none may be.
///
/// # Errors
///
/// If one is: the first is named.
pub fn none_refused(source: &Path, refusals: &[RefusedItem]) -> Result<(), ExchangeError> {
    let is_refused = |it: &&RefusedItem| it.refused.duplicate.is_none_or(|it| !it.imported);
    match refusals.iter().find(is_refused) {
        None => Ok(()),
        Some(RefusedItem { item, refused }) => Err(ExchangeError::Item {
            path: source.to_owned(),
            item: *item,
            reason: refused.reason.clone(),
        }),
    }
}

/// Which of the items that can be read cannot be imported after all, or are odd.
#[derive(Default)]
struct Sifter {
    /// Where duplicates are looked for.
    newcomers: Option<Newcomers>,
    are_refused: bool,
}

/// What many templates of a part are.
trait Batched {
    /// Its templates, where they are kept.
    fn batch(&self) -> Option<&TemplateBatch>;
}

impl Batched for TemplateBatch {
    fn batch(&self) -> Option<&TemplateBatch> {
        Some(self)
    }
}

impl Batched for Option<TemplateBatch> {
    fn batch(&self) -> Option<&TemplateBatch> {
        self.as_ref()
    }
}

/// What is decided of an item that can be read.
#[derive(Default)]
struct Decided {
    contradiction: Option<String>,
    duplicate: Option<Match>,
}

impl Sifter {
    fn new(
        duplicates: Option<&Duplicates>,
        look: impl FnOnce(DuplicateBar) -> Result<Newcomers, EngineError>,
    ) -> Result<Sifter, EngineError> {
        let newcomers = duplicates.map(|it| look(it.bar.clone())).transpose()?;
        Ok(Sifter {
            newcomers,
            are_refused: duplicates.is_some_and(|it| it.are_refused),
        })
    }

    /// Takes the gallery as it is now; whoever was taken is in it.
    fn begin_round(&mut self) -> Result<(), EngineError> {
        let newcomers = self.newcomers.as_mut();
        newcomers.map_or(Ok(()), Newcomers::look_again)
    }

    /// Sorts out what contradicts what is known of people, and what looks like somebody else. Returns what is
    /// refused or odd, in order. Each item is decided as if those before it were enrolled.
    fn sift<T: Batched>(
        &mut self,
        parts: &mut [Part<T>],
        piece: &dyn Piece,
        incoming: &mut Incoming<'_>,
    ) -> Result<Vec<RefusedItem>, EngineError> {
        let mut told = Vec::new();
        if self.newcomers.is_none() {
            for part in &mut *parts {
                for (place, class, said) in std::mem::take(&mut part.people) {
                    let contradiction = incoming.take(class, &said)?.err();
                    let duplicate = None;
                    let decided = Decided {
                        contradiction,
                        duplicate,
                    };
                    told.extend(part.settle(piece, place, decided, false));
                }
                part.refusals.sort_by_key(|refusal| refusal.item);
            }
            return Ok(told);
        }
        let places = |(at, part): (usize, &Part<T>)| (0..part.items.len()).map(move |it| (at, it));
        let rows: Vec<(usize, usize)> = parts.iter().enumerate().flat_map(places).collect();
        for rows in rows.chunks(PROBES_PER_PASS) {
            let decided = self.decide(rows, parts, incoming)?;
            for (&(part, place), decided) in rows.iter().zip(decided) {
                let settled = parts[part].settle(piece, place, decided, self.are_refused);
                told.extend(settled);
            }
        }
        for part in parts {
            part.refusals.sort_by_key(|refusal| refusal.item);
        }
        Ok(told)
    }

    /// Decides of some items that follow each other, and remembers those that are taken.
    fn decide<T: Batched>(
        &mut self,
        rows: &[(usize, usize)],
        parts: &[Part<T>],
        incoming: &mut Incoming<'_>,
    ) -> Result<Vec<Decided>, EngineError> {
        let Some(newcomers) = &mut self.newcomers else {
            return Ok(Vec::new());
        };
        let row = |&(part, place): &(usize, usize)| {
            let batch = parts[part].sum.batch()?;
            Some((batch.class(place), batch.values(place)))
        };
        let values: Vec<(ClassId, &[f32])> = rows.iter().filter_map(row).collect();
        let seen = newcomers.search(&values)?;
        let (mut all, mut taken) = (Vec::with_capacity(rows.len()), vec![false; rows.len()]);
        for (at, &(part, place)) in rows.iter().enumerate() {
            let mut decided = Decided {
                duplicate: newcomers.somebody_else(&seen, at, &taken),
                contradiction: None,
            };
            if decided.duplicate.is_none() || !self.are_refused {
                if let Some((class, said)) = parts[part].said(place) {
                    decided.contradiction = incoming.take(class, said)?.err();
                }
                taken[at] = decided.contradiction.is_none();
            }
            all.push(decided);
        }
        let mut is_taken = taken.iter();
        let kept = |_: &_| is_taken.next().copied().unwrap_or_default();
        let kept: Vec<(ClassId, &[f32])> = values.into_iter().filter(kept).collect();
        newcomers.take(&kept);
        Ok(all)
    }
}

/// Where an import writes to, and what it has written.
struct Ledger<'a> {
    store: &'a Arc<Store>,
    id: &'a PartitionId,
    encoder: &'a EncoderId,
    key: String,
    /// Whether nothing may be refused.
    is_strict: bool,
    /// None also where the source reports by itself.
    report: Option<RefusedFile>,
    progress: Progress,
    /// Since the first templates came into it: where it is removed meanwhile, the import ends.
    partition: Option<Arc<Partition>>,
    now: Timestamp,
}

impl<'a> Ledger<'a> {
    fn open(
        store: &'a Arc<Store>,
        id: &'a PartitionId,
        encoder: &'a EncoderId,
        source: &mut dyn Source,
        options: ImportOptions<'_>,
        now: Timestamp,
    ) -> Result<Ledger<'a>, EngineError> {
        let report = options.refused.map(absolute);
        let report_name = report.as_ref().map(|path| path.display().to_string());
        let job = source
            .describe(Job::new())
            .with("partition", id)
            .with("encoder", encoder)
            .with("refused", report_name.as_deref().unwrap_or("an error"));
        // Of imports that do not look for them nothing is said, as earlier builds did.
        let job = match options.duplicates {
            Some(duplicates) if duplicates.are_refused => job.with("duplicates", "refuse"),
            Some(_) => job.with("duplicates", "warn"),
            None => job,
        };
        let mut ledger = Ledger {
            store,
            id,
            encoder,
            key: format!("{id} {}", absolute(source.name()).display()),
            is_strict: report.is_none(),
            report: None,
            progress: Progress {
                version: VERSION,
                job,
                done: Imported::default(),
                report_bytes: 0,
                finished: false,
            },
            partition: None,
            now,
        };
        match ledger.begun(source.name(), options.existing)? {
            Some(begun) => {
                ledger.progress = begun;
                ledger.progress.done.earlier = ledger.progress.done.items;
                if !ledger.progress.finished {
                    let done = ledger.progress.done;
                    let is_odd = options.duplicates.is_some_and(|it| !it.are_refused);
                    let odd = if is_odd { done.duplicates } else { 0 };
                    // One line for each.
                    let (items, refused) = (done.items, done.refused + odd);
                    let begun = ReportBegun::Resumed { items, refused };
                    ledger.report = open_report(report.as_deref(), begun, source)?;
                }
            }
            None => {
                let overwrite = options.existing == Existing::Overwrite;
                let begun = ReportBegun::Anew { overwrite };
                ledger.report = open_report(report.as_deref(), begun, source)?;
                // Before anything else is written, so that whatever a crash leaves is known to be
                // of this import.
                let value = ledger.value(&ledger.progress)?;
                ledger.store.state_put(AREA, &ledger.key, &value)?;
            }
        }
        Ok(ledger)
    }

    /// The record of an earlier run that is to be gone on with.
    fn begun(&self, name: &Path, existing: Existing) -> Result<Option<Progress>, EngineError> {
        let record = self.store.state_get(AREA, &self.key)?;
        let Some(record) = record.filter(|_| existing != Existing::Overwrite) else {
            return Ok(None);
        };
        let path = name.to_owned();
        let begun = serde_json::from_slice::<Progress>(&record);
        let Some(begun) = begun.ok().filter(|begun| begun.version == VERSION) else {
            return Err(EngineError::ImportRecord { path });
        };
        if existing == Existing::Refuse {
            if begun.finished {
                return Ok(None);
            }
            let (partition, items) = (self.id.clone(), begun.done.items);
            return Err(EngineError::Unfinished {
                path,
                partition,
                items,
            });
        }
        if let Some([name, then, now]) = begun.job.difference(&self.progress.job) {
            return Err(EngineError::Exchange(ExchangeError::OtherJob {
                name: name.to_owned(),
                begun: then.to_owned(),
                now: now.to_owned(),
                path,
            }));
        }
        if begun.done.accepted > 0 && self.store.partition(self.id)?.is_none() {
            let id = self.id.clone();
            return Err(EngineError::NoPartition { partition: id });
        }
        Ok(Some(begun))
    }

    /// Makes templates, report and record durable; the record last, together with the templates.
    fn commit(&mut self, commit: &Commit) -> Result<(), EngineError> {
        let mut progress = self.progress.clone();
        if let Some(report) = &mut self.report {
            progress.report_bytes = report.append(&commit.refusals)?;
        }
        progress.finished = commit.finished;
        let known = progress.done.known;
        progress.done = commit.done.without(known);
        if commit.batch.is_empty() {
            let value = self.value(&progress)?;
            self.store.state_put(AREA, &self.key, &value)?;
            self.progress = progress;
            return Ok(());
        }
        let partition = match &self.partition {
            Some(partition) => partition.clone(),
            None => {
                let partition = self.store.partition_for(self.id, self.encoder, self.now)?;
                self.partition.insert(partition).clone()
            }
        };
        let there = partition.known_rows(&commit.batch)?;
        progress.done = commit.done.without(known + there.len() as u64);
        let note = Note {
            area: AREA.to_owned(),
            key: self.key.clone(),
            value: Some(self.value(&progress)?),
        };
        let mut new = TemplateBatch::new(self.encoder);
        let batch = match there.is_empty() {
            true => &commit.batch,
            false => {
                new.append_without(&commit.batch, &there);
                &new
            }
        };
        partition.add_batch(batch, commit.people.clone(), Some(&note), self.now)?;
        self.progress = progress;
        Ok(())
    }

    /// Takes back the record of an import of which nothing is certain.
    fn forget_beginning(&self) {
        if self.progress.done.items > 0 {
            return;
        }
        if let Err(error) = self.store.state_remove(AREA, &self.key) {
            // The error that ended the import is the one to be told.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot remove the record of an import"
            );
        }
    }

    fn value(&self, progress: &Progress) -> Result<Vec<u8>, EngineError> {
        let io = ExchangeError::Io {
            action: "describe an import into",
            path: self.store.directory().to_owned(),
            source: std::io::ErrorKind::InvalidData.into(),
        };
        serde_json::to_vec(progress).map_err(|_| EngineError::Exchange(io))
    }
}

/// Begins the report, if there is to be one; `None` also where the source writes it.
fn open_report(
    path: Option<&Path>,
    begun: ReportBegun,
    source: &mut dyn Source,
) -> Result<Option<RefusedFile>, ExchangeError> {
    match path {
        Some(path) if !source.begin_report(begun)? => RefusedFile::open(path, begun).map(Some),
        _ => Ok(None),
    }
}

/// A path that means the same wherever it is named from.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.canonicalize().unwrap_or(path)
}
