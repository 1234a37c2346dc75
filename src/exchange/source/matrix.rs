//! A matrix of embeddings with lists beside it: `.npy` files, and what an `.npz` file holds.

use std::path::{Path, PathBuf};

use super::{
    ExchangeError, Job, Length, NO_CLASS, Piece, Record, Refused, Source, file_facts,
    items_per_commit, items_per_piece,
};
#[cfg(feature = "npz")]
use super::{ItemId, Told};
#[cfg(feature = "npz")]
use crate::exchange::npy::Ids;
use crate::exchange::npy::{self, List, Matrix};
#[cfg(feature = "npz")]
use crate::types::Record as PersonRecord;
use crate::types::{ClassId, Timestamp};

/// The arrays of a gallery.
pub(super) struct Arrays {
    pub(super) embeddings: Matrix,
    /// The row numbers from 1 if there are none.
    pub(super) classes: Option<List>,
    pub(super) times: Option<List>,
    pub(super) qualities: Option<List>,
    /// What the items are called.
    #[cfg(feature = "npz")]
    pub(super) ids: Option<Ids>,
    /// What is said of people.
    #[cfg(feature = "npz")]
    pub(super) people: PeopleArrays,
}

/// The arrays of what is known of people, each as long as the matrix.
#[cfg(feature = "npz")]
#[derive(Default)]
pub(super) struct PeopleArrays {
    pub(super) names: Option<Ids>,
    pub(super) external_ids: Option<Ids>,
    pub(super) labels: Option<Ids>,
    pub(super) notes: Option<Ids>,
    /// Milliseconds since 1970; the lowest number there is stands for none.
    pub(super) expires: Option<List>,
    /// NaN stands for none.
    pub(super) thresholds: Option<List>,
    /// What of it is not read.
    pub(super) note: Option<String>,
}

/// The moment that stands for none, as NumPy has it.
#[cfg(feature = "npz")]
pub(in crate::exchange) const NOT_A_TIME: i64 = i64::MIN;

#[cfg(feature = "npz")]
impl PeopleArrays {
    fn texts(&mut self) -> impl Iterator<Item = &mut Ids> {
        let texts = [&mut self.names, &mut self.external_ids];
        let others = [&mut self.labels, &mut self.notes];
        texts.into_iter().chain(others).flatten()
    }

    fn skip(&mut self, rows: u64) -> Result<(), ExchangeError> {
        self.texts().try_for_each(|texts| texts.skip(rows))?;
        let numbers = [&mut self.expires, &mut self.thresholds].into_iter();
        numbers.flatten().try_for_each(|list| list.skip(rows))
    }

    fn finish(&mut self) -> Result<(), ExchangeError> {
        self.texts().try_for_each(Ids::finish)?;
        let numbers = [&mut self.expires, &mut self.thresholds].into_iter();
        numbers.flatten().try_for_each(List::finish)
    }

    fn read(&mut self, rows: usize) -> Result<PeopleColumns, ExchangeError> {
        let texts = |ids: &mut Option<Ids>| ids.as_mut().map(|ids| ids.read(rows)).transpose();
        let (expires, thresholds) = (self.expires.as_mut(), self.thresholds.as_mut());
        Ok(PeopleColumns {
            names: texts(&mut self.names)?,
            external_ids: texts(&mut self.external_ids)?,
            labels: texts(&mut self.labels)?,
            notes: texts(&mut self.notes)?,
            expires: expires.map(|list| list.read_integers(rows)).transpose()?,
            thresholds: thresholds.map(|list| list.read_doubles(rows)).transpose()?,
        })
    }
}

/// Some rows of those arrays.
#[cfg(feature = "npz")]
#[derive(Default)]
struct PeopleColumns {
    names: Option<Vec<Id>>,
    external_ids: Option<Vec<Id>>,
    labels: Option<Vec<Id>>,
    notes: Option<Vec<Id>>,
    expires: Option<Vec<Option<i64>>>,
    thresholds: Option<Vec<f64>>,
}

/// A number, or a text where it is none.
#[cfg(feature = "npz")]
type Id = Result<i64, String>;

#[cfg(feature = "npz")]
impl PeopleColumns {
    fn record(&self, at: usize) -> Result<Option<Box<PersonRecord>>, Refused> {
        let text = |texts: &Option<Vec<Id>>| {
            let text = texts.as_ref().map(|texts| &texts[at]);
            text.map(|text| {
                text.clone()
                    .map_or_else(|text| text, |number| number.to_string())
            })
        };
        let (name, external_id) = (text(&self.names), text(&self.external_ids));
        let (labels, note) = (text(&self.labels), text(&self.notes));
        let expires = self.expires.as_ref().map(|list| {
            let no_time = || Refused::new("`expires` is no whole number of 64 bits");
            list[at].ok_or_else(no_time)
        });
        let expires = expires.transpose()?.filter(|time| *time != NOT_A_TIME);
        let threshold = self.thresholds.as_ref().map(|list| list[at]);
        let told = Told {
            name: name.as_deref(),
            external_id: external_id.as_deref(),
            labels: labels.as_deref(),
            note: note.as_deref(),
            expires: expires.map(|unix_milliseconds| Timestamp { unix_milliseconds }),
            threshold: threshold.filter(|threshold| !threshold.is_nan()),
        };
        told.record()
    }
}

/// Opens an `.npy` file of embeddings, and those of their classes and times.
pub(super) fn open_npy(
    path: &Path,
    classes: Option<&Path>,
    times: Option<&Path>,
) -> Result<Box<dyn Source>, ExchangeError> {
    let list = |path: &Path| {
        let (reader, bytes) = npy::open(path)?;
        List::integers(path, Box::new(reader), bytes)
    };
    let (reader, bytes) = npy::open(path)?;
    let mut files = vec![("file".to_owned(), file_facts(path)?)];
    for (name, path) in [("classes", classes), ("times", times)] {
        if let Some(path) = path {
            files.push((name.to_owned(), file_facts(path)?));
        }
    }
    let arrays = Arrays {
        embeddings: Matrix::new(path, Box::new(reader), bytes)?,
        classes: classes.map(list).transpose()?,
        times: times.map(list).transpose()?,
        qualities: None,
        #[cfg(feature = "npz")]
        ids: None,
        #[cfg(feature = "npz")]
        people: PeopleArrays::default(),
    };
    let rows = arrays.embeddings.rows;
    for (path, list, what) in [
        (classes, &arrays.classes, "class"),
        (times, &arrays.times, "time"),
    ] {
        let (Some(path), Some(list)) = (path, list) else {
            continue;
        };
        if list.rows != rows {
            return Err(ExchangeError::Contents {
                path: path.to_owned(),
                expected: format!("one {what} for each of {rows} rows"),
                found: format!("{} of them", list.rows),
            });
        }
    }
    Ok(MatrixSource::boxed(path, files, arrays))
}

/// A matrix and its lists, all of one length.
pub(super) struct MatrixSource {
    path: PathBuf,
    files: Vec<(String, String)>,
    arrays: Arrays,
    rows: u64,
    next_row: u64,
}

impl MatrixSource {
    /// `files` is what tells the file from others. The lists have as many rows as the matrix.
    pub(super) fn boxed(
        path: &Path,
        files: Vec<(String, String)>,
        arrays: Arrays,
    ) -> Box<dyn Source> {
        Box::new(MatrixSource {
            path: path.to_owned(),
            files,
            rows: arrays.embeddings.rows as u64,
            arrays,
            next_row: 0,
        })
    }

    fn lists(&mut self) -> impl Iterator<Item = &mut List> {
        let Arrays {
            classes,
            times,
            qualities,
            ..
        } = &mut self.arrays;
        [classes, times, qualities].into_iter().flatten()
    }
}

impl Source for MatrixSource {
    fn name(&self) -> &Path {
        &self.path
    }

    fn dimension(&self) -> usize {
        self.arrays.embeddings.dimension
    }

    fn length(&self) -> Length {
        Length::Items(self.rows)
    }

    fn position(&self) -> u64 {
        self.next_row
    }

    fn notes(&self) -> Vec<String> {
        let Arrays {
            embeddings,
            classes,
            times,
            qualities,
            ..
        } = &self.arrays;
        let lists = [classes, times, qualities].into_iter().flatten();
        let notes = lists.map(List::note);
        let notes = [embeddings.note()].into_iter().chain(notes);
        #[cfg(feature = "npz")]
        let notes = notes.chain([self.arrays.people.note.as_deref()]);
        notes.flatten().map(str::to_owned).collect()
    }

    fn describe(&self, job: Job) -> Job {
        let files = self.files.iter();
        files.fold(job, |job, (name, facts)| job.with(name, facts))
    }

    fn items_per_commit(&self) -> u64 {
        items_per_commit(self.dimension())
    }

    fn skip(&mut self, items: u64) -> Result<(), ExchangeError> {
        if items > self.rows - self.next_row {
            let what = format!("{items} rows were imported, it has {}", self.rows);
            return Err(ExchangeError::malformed(&self.path, ".npy", what));
        }
        self.next_row += items;
        self.arrays.embeddings.skip(items)?;
        #[cfg(feature = "npz")]
        if let Some(ids) = &mut self.arrays.ids {
            ids.skip(items)?;
        }
        #[cfg(feature = "npz")]
        self.arrays.people.skip(items)?;
        self.lists().try_for_each(|list| list.skip(items))
    }

    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError> {
        let rows = (items_per_piece(self.dimension()) as u64).min(self.rows - self.next_row);
        if rows == 0 {
            self.arrays.embeddings.finish()?;
            #[cfg(feature = "npz")]
            self.arrays.people.finish()?;
            self.lists().try_for_each(List::finish)?;
            return Ok(None);
        }
        let count = rows as usize;
        let integers = |list: &mut Option<List>| {
            let list = list.as_mut().map(|list| list.read_integers(count));
            list.transpose()
        };
        let arrays = &mut self.arrays;
        let qualities = arrays.qualities.as_mut();
        let piece = MatrixPiece {
            first_row: self.next_row,
            dimension: arrays.embeddings.dimension,
            values: arrays.embeddings.read(count)?,
            classes: integers(&mut arrays.classes)?,
            times: integers(&mut arrays.times)?,
            qualities: qualities.map(|list| list.read_singles(count)).transpose()?,
            #[cfg(feature = "npz")]
            ids: (arrays.ids.as_mut())
                .map(|ids| ids.read(count))
                .transpose()?,
            #[cfg(feature = "npz")]
            people: arrays.people.read(count)?,
        };
        self.next_row += rows;
        Ok(Some(Box::new(piece)))
    }
}

struct MatrixPiece {
    first_row: u64,
    dimension: usize,
    values: Vec<f32>,
    /// `None` where there is no whole number of 64 bits.
    classes: Option<Vec<Option<i64>>>,
    times: Option<Vec<Option<i64>>>,
    qualities: Option<Vec<f32>>,
    /// Numbers, or texts where they are none.
    #[cfg(feature = "npz")]
    ids: Option<Vec<Id>>,
    #[cfg(feature = "npz")]
    people: PeopleColumns,
}

impl Piece for MatrixPiece {
    fn items(&self) -> usize {
        self.values.len() / self.dimension
    }

    #[cfg(feature = "npz")]
    fn id(&self, at: usize) -> Option<ItemId> {
        let id = self.ids.as_ref()?[at].clone();
        Some(id.map_or_else(ItemId::Text, ItemId::Number))
    }

    fn read<'a>(&'a self, at: usize, _: &'a mut Vec<f32>) -> Result<Record<'a>, Refused> {
        let number = self.first_row + at as u64 + 1;
        let class = self.classes.as_ref();
        let class = class.map_or(Some(number as i64), |list| list[at]);
        let class = class.ok_or_else(|| Refused::new(NO_CLASS))?;
        let time = self.times.as_ref().map(|list| {
            let no_time = || Refused::new("`time` is no whole number of 64 bits");
            list[at].ok_or_else(no_time)
        });
        let time = time.transpose()?;
        #[cfg(feature = "npz")]
        let person = self.people.record(at)?;
        #[cfg(not(feature = "npz"))]
        let person = None;
        let record = Record {
            class: ClassId(class),
            values: &self.values[at * self.dimension..][..self.dimension],
            enrolled: time.map(|unix_milliseconds| Timestamp { unix_milliseconds }),
            quality: self.qualities.as_ref().map_or(f32::NAN, |list| list[at]),
            person,
        };
        record.check(self.dimension)
    }
}
