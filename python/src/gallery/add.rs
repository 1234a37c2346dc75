//! Adding and removing people.

use std::ops::Range;
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use vultus::partition::{
    Choice, Held, Import, NewTemplate, Pace, Partition, StoreError, TemplateBatch, Whom,
};
use vultus::search::{NumberRows, Pool, RowsError};
use vultus::types::{
    ClassId, Embedding, EncoderId, ExternalId, Label, Labels, LabelsChange, PersonName,
    RecordChange, RecordError, Timestamp,
};

use super::{Handle, now};
use crate::arrays::{FloatArray, FloatRows};
use crate::errors::Failure;
use crate::run::{go_on, run};
use crate::threads::pool;

/// Values of a file, about 320 MB with their codes.
const VALUES_PER_FILE: usize = 1 << 26;
/// Values that are coded before they are written, about 40 MB with their codes.
const VALUES_PER_ROUND: usize = 1 << 23;
/// As much memory as for so many rounds: while one is written others are coded.
const ROUNDS: usize = 3;
/// Rows that are coded together, by one thread: so few that they are in its cache when they are written.
const ROWS_PER_BLOCK: usize = 1024;
/// Rows that are checked together, by one thread.
const ROWS_PER_CHECK: usize = 4096;
/// So many rows are worth a file of their own.
const BATCH_ROWS_MIN: usize = 128;
/// So many templates that were added one by one are put into a file.
const LOOSE_MAX: usize = 8192;
/// With more files than this, those of like size are merged: each costs a search a little.
const SEGMENTS_MAX: usize = 24;

/// What is known of the person of a row: name, external id, metadata.
type Known = (Option<String>, Option<String>, Vec<(String, String)>);

#[pymethods]
impl Handle {
    /// Chooses numbers for so many new people.
    fn choose(&self, py: Python<'_>, count: usize) -> PyResult<Vec<i64>> {
        run(py, || {
            let opened = self.opened(None)?;
            let partition = opened.partition()?;
            let partition = partition.ok_or_else(|| {
                Failure::new(
                    "InternalError",
                    "numbers are chosen before there is a partition",
                )
            })?;
            let classes = partition.choose_classes(count)?;
            Ok(classes.into_iter().map(|class| class.0).collect())
        })
    }

    /// Adds a template for each row, of the class of that place. What is known of people is by
    /// row, too, or nothing at all.
    #[expect(clippy::needless_pass_by_value, reason = "arguments come from Python")]
    fn add(
        &self,
        py: Python<'_>,
        rows: FloatArray<'_>,
        classes: PyReadonlyArray1<'_, i64>,
        known: Option<Vec<Known>>,
        threads: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let (rows, classes) = (rows.rows(), classes.as_array());
        let classes: Vec<ClassId> = classes.iter().map(|class| ClassId(*class)).collect();
        run(py, || {
            let opened = self.opened(None)?;
            let gallery = opened.filled()?;
            let partition = opened.partition()?;
            let partition = partition.expect("a gallery is of a partition");
            let pool = pool(threads);
            check(&rows, &pool)?;
            let changes = match known {
                Some(known) => known
                    .into_iter()
                    .map(change)
                    .collect::<Result<Vec<_>, _>>()?,
                None => Vec::new(),
            };
            let new = New {
                encoder: gallery.encoder().clone(),
                rows: &rows,
                classes: &classes,
                changes,
                enrolled: now(),
            };
            if rows.rows() < BATCH_ROWS_MIN {
                new.one_by_one(&partition)?;
                if self.loose.fetch_add(rows.rows(), Ordering::Relaxed) >= LOOSE_MAX {
                    self.loose.store(0, Ordering::Relaxed);
                    partition.seal()?;
                    partition.merge_many(SEGMENTS_MAX, &Pace::unlimited())?;
                }
                return Ok(());
            }
            new.in_files(&partition, &pool, |done| go_on(progress.as_ref(), done))?;
            partition.merge_many(SEGMENTS_MAX, &Pace::unlimited())?;
            Ok(())
        })
    }

    /// Puts the gallery in the best order there is: as few files as its size allows, without removed rows.
    fn compact(&self, py: Python<'_>) -> PyResult<()> {
        run(py, || {
            if let Some(partition) = self.opened(None)?.partition()? {
                partition.compact(&Pace::unlimited())?;
            }
            Ok(())
        })
    }

    /// Removes classes. Returns how many templates they had.
    fn remove(&self, py: Python<'_>, classes: Vec<i64>) -> PyResult<usize> {
        run(py, || {
            let Some(gallery) = self.opened(None)?.gallery()? else {
                return Ok(0);
            };
            let mut templates = 0;
            for class in classes {
                templates += gallery.remove(ClassId(class))?.templates;
            }
            Ok(templates)
        })
    }
}

/// What is added.
struct New<'a> {
    encoder: EncoderId,
    rows: &'a FloatRows<'a>,
    classes: &'a [ClassId],
    /// By row, or none at all.
    changes: Vec<RecordChange>,
    enrolled: Timestamp,
}

impl New<'_> {
    fn change(&self, row: usize) -> RecordChange {
        self.changes.get(row).cloned().unwrap_or_default()
    }

    /// One transaction for each row, which costs a few milliseconds, and no file.
    fn one_by_one(&self, partition: &Partition) -> Result<(), Failure> {
        let mut room = vec![0.0; self.rows.dimension()];
        for (row, class) in self.classes.iter().enumerate() {
            let embedding = Embedding::new(self.rows.read(row, &mut room));
            let embedding = embedding.map_err(|source| RowsError::Row { at: row, source })?;
            let template = NewTemplate {
                embedding,
                quality: f32::NAN,
                portrait: None,
            };
            let all = |held: &[Held<'_>], new: &[NewTemplate]| Choice {
                keep: (0..held.len()).collect(),
                add: (0..new.len()).collect(),
                known: 0,
            };
            let (whom, change) = (Whom::Class(*class), self.change(row));
            partition.enroll_person(
                whom,
                &self.encoder,
                &[template],
                all,
                change,
                self.enrolled,
            )?;
        }
        Ok(())
    }

    /// Some files, one after the other. Rows are coded, files are written and files are completed beside
    /// each other, each by threads of its own: completing one reads all of it again.
    fn in_files(
        &self,
        partition: &Partition,
        pool: &Pool,
        mut go_on: impl FnMut(u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (coded, to_write) = sync_channel(1);
        let (written, to_fill) = channel();
        for _ in 0..ROUNDS {
            // The receiver is held by this function.
            let _ = written.send(self.room());
        }
        let (whole, to_finish) = sync_channel::<Whole<'_>>(0);
        thread::scope(|scope| {
            scope.spawn(move || self.code(pool, &to_fill, &coded));
            let finish = |(import, people): Whole<'_>| import.finish_with(people, None);
            let finisher = scope.spawn(move || to_finish.into_iter().try_for_each(finish));
            let wrote = self.write(partition, &to_write, &written, &whole, &mut go_on);
            // The others end when nothing more can come.
            drop((to_write, written, whole));
            let finished: Result<(), StoreError> = finisher
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // The writer ends without an error of its own when the finisher has one.
            finished?;
            wrote
        })?;
        go_on(self.rows.rows() as u64)
    }

    /// The rows that are coded before they are written, from the first to the last. None is of two files.
    fn rounds(&self) -> impl Iterator<Item = Range<usize>> {
        let (count, in_file) = (self.rows.rows(), self.rows_per_file());
        let blocks = VALUES_PER_ROUND / (self.rows.dimension() * ROWS_PER_BLOCK);
        let in_round = blocks.max(1) * ROWS_PER_BLOCK;
        let files = (0..count).step_by(in_file);
        files.flat_map(move |start| {
            let end = count.min(start + in_file);
            let firsts = (start..end).step_by(in_round);
            firsts.map(move |first| first..end.min(first + in_round))
        })
    }

    fn rows_per_file(&self) -> usize {
        VALUES_PER_FILE / self.rows.dimension()
    }

    /// Room for the rows of a round.
    fn room(&self) -> Round {
        let rows = self.rounds().next().map_or(0, |rows| rows.len());
        let empty = || Mutex::new(TemplateBatch::new(&self.encoder));
        Round {
            blocks: std::iter::repeat_with(empty)
                .take(rows.div_ceil(ROWS_PER_BLOCK))
                .collect(),
            rows: 0..0,
        }
    }

    /// Codes all rows, until nobody writes them any more.
    fn code(&self, pool: &Pool, to_fill: &Receiver<Round>, coded: &SyncSender<Round>) {
        for rows in self.rounds() {
            let Ok(mut round) = to_fill.recv() else {
                return;
            };
            pool.each(rows.len().div_ceil(ROWS_PER_BLOCK), |at| {
                let mut batch = round.block(at);
                batch.clear();
                let mut room = vec![0.0; self.rows.dimension()];
                let first = rows.start + at * ROWS_PER_BLOCK;
                for row in first..rows.end.min(first + ROWS_PER_BLOCK) {
                    let values = self.rows.read(row, &mut room);
                    batch.push(self.classes[row], values, f32::NAN, self.enrolled);
                }
            });
            round.rows = rows;
            if coded.send(round).is_err() {
                return;
            }
        }
    }

    /// Writes what was coded, and hands each file over that has all of its rows.
    fn write<'a>(
        &self,
        partition: &'a Partition,
        to_write: &Receiver<Round>,
        written: &Sender<Round>,
        whole: &SyncSender<Whole<'a>>,
        go_on: &mut impl FnMut(u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (count, in_file) = (self.rows.rows(), self.rows_per_file());
        for start in (0..count).step_by(in_file) {
            let end = count.min(start + in_file);
            let mut import = partition.import(&self.encoder, end - start, self.enrolled)?;
            let mut at = start;
            while at < end {
                go_on(at as u64)?;
                let Ok(round) = to_write.recv() else {
                    // The thread that codes has panicked, which the scope passes on.
                    return Ok(());
                };
                for block in 0..round.rows.len().div_ceil(ROWS_PER_BLOCK) {
                    import.append(&round.block(block))?;
                }
                at = round.rows.end;
                // Nobody fills it after the last.
                let _ = written.send(round);
            }
            let people = (start..end).map(|row| (self.classes[row], self.change(row)));
            let people = people.filter(|(_, change)| !change.is_empty()).collect();
            if whole.send((import, people)).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// A file with all of its rows, and what becomes known of people with it.
type Whole<'a> = (Import<'a>, Vec<(ClassId, RecordChange)>);

/// Rows that are coded and written together.
struct Round {
    rows: Range<usize>,
    /// More than the rows take, maybe.
    blocks: Vec<Mutex<TemplateBatch>>,
}

impl Round {
    /// A block, which nobody else wants at the time.
    fn block(&self, at: usize) -> std::sync::MutexGuard<'_, TemplateBatch> {
        // It is cleared before it is filled.
        self.blocks[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fails if a row is no embedding, before anything is added.
fn check(rows: &FloatRows<'_>, pool: &Pool) -> Result<(), Failure> {
    let checked = pool.each(rows.rows().div_ceil(ROWS_PER_CHECK), |block| {
        let mut room = vec![0.0; rows.dimension()];
        let first = block * ROWS_PER_CHECK;
        (first..rows.rows().min(first + ROWS_PER_CHECK)).try_for_each(|at| {
            let checked = Embedding::check(rows.read(at, &mut room));
            checked.map_err(|source| RowsError::Row { at, source })
        })
    });
    let first = checked.into_iter().find_map(Result::err);
    first.map_or(Ok(()), |error| Err(Failure::from(error).of_argument("X")))
}

fn change((name, external_id, metadata): Known) -> Result<RecordChange, Failure> {
    let refused = |error: RecordError| Failure::new("InputError", error);
    let text = |name: String| PersonName::from_str(&name).map_err(refused);
    let id = |id: String| ExternalId::from_str(&id).map_err(refused);
    let mut labels = Labels::default();
    for (key, value) in &metadata {
        let label = Label::new(key, value).map_err(refused);
        labels.add(label?).map_err(refused)?;
    }
    Ok(RecordChange {
        name: name.map(text).transpose()?.map(Some),
        external_id: external_id.map(id).transpose()?.map(Some),
        labels: match metadata.is_empty() {
            true => LabelsChange::Keep,
            false => LabelsChange::Replace(labels),
        },
        ..RecordChange::default()
    })
}
