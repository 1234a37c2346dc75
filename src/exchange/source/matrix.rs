//! A matrix of embeddings with lists beside it: `.npy` files, and what an `.npz` file holds.

use std::path::{Path, PathBuf};

#[cfg(feature = "npz")]
use super::ItemId;
use super::{
    ExchangeError, Job, Length, NO_CLASS, Piece, Record, Refused, Source, file_facts,
    items_per_commit, items_per_piece,
};
#[cfg(feature = "npz")]
use crate::exchange::npy::Ids;
use crate::exchange::npy::{self, List, Matrix};
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
        self.lists().try_for_each(|list| list.skip(items))
    }

    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError> {
        let rows = (items_per_piece(self.dimension()) as u64).min(self.rows - self.next_row);
        if rows == 0 {
            self.arrays.embeddings.finish()?;
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
    ids: Option<Vec<Result<i64, String>>>,
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
        let record = Record {
            class: ClassId(class),
            values: &self.values[at * self.dimension..][..self.dimension],
            enrolled: time.map(|unix_milliseconds| Timestamp { unix_milliseconds }),
            quality: self.qualities.as_ref().map_or(f32::NAN, |list| list[at]),
        };
        record.check(self.dimension)
    }
}
