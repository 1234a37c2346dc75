//! Adding and removing people.

use std::str::FromStr;
use std::sync::atomic::Ordering;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use vultus::partition::{Choice, Held, NewTemplate, Pace, Partition, TemplateBatch, Whom};
use vultus::search::{NumberRows, Pool, RowsError};
use vultus::types::{
    ClassId, Embedding, EncoderId, ExternalId, Label, Labels, LabelsChange, PersonName,
    RecordChange, RecordError,
};

use super::{Handle, now};
use crate::arrays::{FloatArray, FloatRows};
use crate::errors::Failure;
use crate::run::{go_on, run};
use crate::threads::pool;

/// Values that are coded and written at once, about 320 MB with their codes.
const VALUES_PER_BATCH: usize = 1 << 26;
/// Rows that are coded together, by one thread.
const ROWS_PER_BLOCK: usize = 4096;
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
            new.in_batches(&partition, &pool, |done| go_on(progress.as_ref(), done))?;
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
            partition.enroll_person(whom, &self.encoder, &[template], all, change, now())?;
        }
        Ok(())
    }

    /// One file for each batch of rows.
    fn in_batches(
        &self,
        partition: &Partition,
        pool: &Pool,
        mut go_on: impl FnMut(u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (count, dimension) = (self.rows.rows(), self.rows.dimension());
        let step = VALUES_PER_BATCH / dimension;
        for start in (0..count).step_by(step) {
            go_on(start as u64)?;
            let end = count.min(start + step);
            let when = now();
            let blocks = pool.each((end - start).div_ceil(ROWS_PER_BLOCK), |block| {
                let mut batch = TemplateBatch::new(&self.encoder);
                let mut room = vec![0.0; dimension];
                let first = start + block * ROWS_PER_BLOCK;
                for row in first..end.min(first + ROWS_PER_BLOCK) {
                    let values = self.rows.read(row, &mut room);
                    batch.push(self.classes[row], values, f32::NAN, when);
                }
                batch
            });
            let mut batch = TemplateBatch::new(&self.encoder);
            blocks.into_iter().for_each(|block| batch.append(&block));
            let people = (start..end).map(|row| (self.classes[row], self.change(row)));
            let people = people.filter(|(_, change)| !change.is_empty()).collect();
            partition.add_batch(&batch, people, None, when)?;
        }
        go_on(count as u64)
    }
}

/// Fails if a row is no embedding, before anything is added.
fn check(rows: &FloatRows<'_>, pool: &Pool) -> Result<(), Failure> {
    let checked = pool.each(rows.rows().div_ceil(ROWS_PER_BLOCK), |block| {
        let mut room = vec![0.0; rows.dimension()];
        let first = block * ROWS_PER_BLOCK;
        (first..rows.rows().min(first + ROWS_PER_BLOCK)).try_for_each(|at| {
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
