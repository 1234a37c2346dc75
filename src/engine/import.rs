//! Many ready embeddings at once, from a source.
//!
//! Three things happen at the same time: the calling thread reads pieces of the source, the threads
//! of the pool code them, and a thread of its own writes what was coded before. What is written
//! together is a segment, which one transaction adds together with the record of how far the source
//! is done: that is what makes resuming exact.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use serde::{Deserialize, Serialize};

use super::{Engine, EngineError};
use crate::exchange::{
    ExchangeError, Existing, Job, Piece, Record, RefusedFile, RefusedItem, ReportBegun, Source,
};
use crate::partition::{Note, Store, TemplateBatch};
use crate::search::Pool;
use crate::types::{EncoderId, PartitionId, Timestamp};

/// Where records of imports are kept.
const AREA: &str = "import";
/// The only version of a record.
const VERSION: u32 = 1;
/// Parts of a piece that each thread takes, so that none waits long for another.
const PARTS_PER_THREAD: usize = 4;

/// What an import does besides reading.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions<'a> {
    /// What to do if an import of this source into this partition stopped early.
    pub existing: Existing,
    /// Where refused items are reported, by the source itself if it does that
    /// ([`Source::begin_report`]). With `None` the first is an error.
    pub refused: Option<&'a Path>,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Items that were read.
    pub items: u64,
    /// Those of them that are templates now.
    pub accepted: u64,
    /// The others.
    pub refused: u64,
    /// Items that an earlier run had done.
    #[serde(skip)]
    pub earlier: u64,
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
    /// lost or added twice, whenever it stops. Items without a time get `now`. `progress` is told
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
        let imported = run(self.pool(), encoder, source, &mut ledger, &mut progress);
        if imported.is_err() {
            ledger.forget_beginning();
        }
        imported
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
/// `refused` is told which items cannot be imported.
///
/// # Errors
///
/// If the source is or becomes unreadable, or `refused` fails.
pub fn check_source(
    source: &mut dyn Source,
    pool: &Pool,
    mut refused: impl FnMut(&[RefusedItem]) -> Result<(), ExchangeError>,
    mut progress: impl FnMut(&Imported, u64),
) -> Result<Imported, EngineError> {
    let mut done = Imported::default();
    while let Some(piece) = source.next_piece()? {
        let parts = on_parts(pool, &*piece, done.items, || 0_u64, |count, _| *count += 1);
        for (accepted, refusals) in parts {
            done.accepted += accepted;
            done.refused += refusals.len() as u64;
            refused(&refusals)?;
        }
        done.items += piece.items() as u64;
        progress(&done, source.position());
    }
    Ok(done)
}

/// Templates and refusals on their way to the disk, and how far the source is done with them.
struct Commit {
    batch: TemplateBatch,
    refusals: Vec<RefusedItem>,
    done: Imported,
    finished: bool,
}

fn run(
    pool: &Pool,
    encoder: &EncoderId,
    source: &mut dyn Source,
    ledger: &mut Ledger<'_>,
    progress: &mut dyn FnMut(&Imported, u64),
) -> Result<Imported, EngineError> {
    // One batch is filled while the other is written; they go round, so that their memory stays.
    let (full, written) = sync_channel::<Commit>(0);
    let (empty, to_fill) = channel();
    for _ in 0..2 {
        // The receiver is held by this function.
        let _ = empty.send(TemplateBatch::new(encoder));
    }
    thread::scope(|scope| {
        let mut reading = Reading {
            pool,
            encoder,
            source,
            strict: ledger.is_strict,
            now: ledger.now,
            done: ledger.progress.done,
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
    source: &'a mut dyn Source,
    strict: bool,
    now: Timestamp,
    done: Imported,
}

impl Reading<'_> {
    /// Reads and codes pieces, and hands them over when enough have come together. Stops when the
    /// writer has.
    fn read_all(
        &mut self,
        full: &SyncSender<Commit>,
        to_fill: &Receiver<TemplateBatch>,
        progress: &mut dyn FnMut(&Imported, u64),
    ) -> Result<Imported, EngineError> {
        let most = self.source.items_per_commit();
        let mut next = self.source.next_piece()?;
        loop {
            let Ok(mut batch) = to_fill.recv() else {
                return Ok(self.done);
            };
            let (before, mut refusals) = (self.done.items, Vec::new());
            while let Some(piece) = next.take() {
                self.code(&*piece, &mut batch, &mut refusals)?;
                progress(&self.done, self.source.position());
                next = self.source.next_piece()?;
                let with_next = self.done.items - before
                    + next.as_ref().map_or(0, |piece| piece.items() as u64);
                if with_next > most {
                    break;
                }
            }
            let finished = next.is_none();
            let commit = Commit {
                batch,
                refusals,
                done: self.done,
                finished,
            };
            if full.send(commit).is_err() || finished {
                return Ok(self.done);
            }
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
        let parts = on_parts(self.pool, piece, self.done.items, begin, add);
        for (coded, refused) in parts {
            if self.strict {
                none_refused(self.source.name(), &refused)?;
            }
            self.done.accepted += coded.len() as u64;
            self.done.refused += refused.len() as u64;
            batch.append(&coded);
            refusals.extend(refused);
        }
        self.done.items += piece.items() as u64;
        Ok(())
    }
}

/// Reads all items of a piece side by side, and returns in order what became of some that follow
/// each other: what `add` made of those that can be imported, and the refusals.
fn on_parts<T: Send>(
    pool: &Pool,
    piece: &dyn Piece,
    first_item: u64,
    begin: impl Fn() -> T + Sync,
    add: impl Fn(&mut T, Record<'_>) + Sync,
) -> Vec<(T, Vec<RefusedItem>)> {
    let (items, next) = (piece.items(), AtomicUsize::new(0));
    let items_per_part = items.div_ceil(pool.threads() * PARTS_PER_THREAD).max(1);
    let parts = pool.on_each_thread(|| {
        let (mut parts, mut scratch) = (Vec::new(), Vec::new());
        loop {
            let first = next.fetch_add(items_per_part, Ordering::Relaxed);
            if first >= items {
                return parts;
            }
            let (mut sum, mut refusals) = (begin(), Vec::new());
            for at in first..items.min(first + items_per_part) {
                let item = first_item + at as u64;
                match piece.read(at, &mut scratch) {
                    Ok(record) => add(&mut sum, record),
                    Err(refused) => refusals.push(RefusedItem { item, refused }),
                }
            }
            parts.push((first, (sum, refusals)));
        }
    });
    let mut parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.sort_by_key(|(first, _)| *first);
    parts.into_iter().map(|(_, part)| part).collect()
}

/// Makes sure that no item is refused, where none may be.
///
/// # Errors
///
/// If one is: the first is named.
pub fn none_refused(source: &Path, refusals: &[RefusedItem]) -> Result<(), ExchangeError> {
    match refusals.first() {
        None => Ok(()),
        Some(RefusedItem { item, refused }) => Err(ExchangeError::Item {
            path: source.to_owned(),
            item: *item,
            reason: refused.reason.clone(),
        }),
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
            now,
        };
        match ledger.begun(source.name(), options.existing)? {
            Some(begun) => {
                ledger.progress = begun;
                ledger.progress.done.earlier = ledger.progress.done.items;
                if !ledger.progress.finished {
                    let Imported { items, refused, .. } = ledger.progress.done;
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
        progress.done = commit.done;
        progress.finished = commit.finished;
        let value = self.value(&progress)?;
        if commit.batch.is_empty() {
            self.store.state_put(AREA, &self.key, &value)?;
        } else {
            let note = Note {
                area: AREA.to_owned(),
                key: self.key.clone(),
                value: Some(value),
            };
            let partition = self.store.partition_for(self.id, self.encoder, self.now)?;
            partition.add_batch(&commit.batch, Some(&note), self.now)?;
        }
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
