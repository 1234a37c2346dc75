//! A matrix of embeddings with lists beside it: `.npy` files, and what an `.npz` file holds.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{
    ExchangeError, Job, Length, Piece, Record, Refused, Source, file_facts, items_per_commit,
    items_per_piece,
};
use crate::exchange::npy::{self, List, Matrix};
use crate::types::{ClassId, Timestamp};

/// Something that is read from front to back, and can leave bytes out.
pub(super) trait Forward: Read + Send {
    /// Passes over bytes.
    fn forward(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes sure that what was read to its end was right.
    fn finish(&mut self) -> io::Result<()>;
}

impl Forward for BufReader<File> {
    fn forward(&mut self, bytes: u64) -> io::Result<()> {
        let bytes = i64::try_from(bytes).map_err(io::Error::other)?;
        self.seek_relative(bytes)
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The arrays of a gallery.
pub(super) struct Arrays {
    pub(super) embeddings: Matrix<Box<dyn Forward>>,
    /// The row numbers from 1 if there are none.
    pub(super) classes: Option<List<Box<dyn Forward>>>,
    pub(super) times: Option<List<Box<dyn Forward>>>,
    pub(super) qualities: Option<List<Box<dyn Forward>>>,
}

/// Opens an `.npy` file of embeddings, and those of their classes and times.
pub(super) fn open_npy(
    path: &Path,
    classes: Option<&Path>,
    times: Option<&Path>,
) -> Result<Box<dyn Source>, ExchangeError> {
    let list = |path: &Path| {
        let (reader, bytes) = npy::open(path)?;
        List::integers(path, Box::new(reader) as Box<dyn Forward>, bytes)
    };
    let (reader, bytes) = npy::open(path)?;
    let mut files = vec![("file".to_owned(), file_facts(path)?)];
    for (name, path) in [("classes", classes), ("times", times)] {
        if let Some(path) = path {
            files.push((name.to_owned(), file_facts(path)?));
        }
    }
    let arrays = Arrays {
        embeddings: Matrix::new(path, Box::new(reader) as Box<dyn Forward>, bytes)?,
        classes: classes.map(list).transpose()?,
        times: times.map(list).transpose()?,
        qualities: None,
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

    fn lists(&mut self) -> impl Iterator<Item = &mut List<Box<dyn Forward>>> {
        let Arrays {
            classes,
            times,
            qualities,
            ..
        } = &mut self.arrays;
        [classes, times, qualities].into_iter().flatten()
    }

    /// Lets every reader do something, with the number of bytes of a row.
    fn each_reader(
        &mut self,
        mut act: impl FnMut(&mut dyn Forward, usize) -> io::Result<()>,
    ) -> Result<(), ExchangeError> {
        let path = self.path.clone();
        let row_bytes = self.arrays.embeddings.row_bytes();
        act(self.arrays.embeddings.reader().as_mut(), row_bytes)
            .map_err(ExchangeError::io("read", &path))?;
        for list in self.lists() {
            let row_bytes = list.row_bytes();
            act(list.reader().as_mut(), row_bytes).map_err(ExchangeError::io("read", &path))?;
        }
        Ok(())
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
        self.each_reader(|reader, row_bytes| reader.forward(items * row_bytes as u64))
    }

    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError> {
        let rows = (items_per_piece(self.dimension()) as u64).min(self.rows - self.next_row);
        if rows == 0 {
            self.each_reader(|reader, _| reader.finish())?;
            return Ok(None);
        }
        let count = rows as usize;
        let integers = |list: &mut Option<List<_>>| {
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
        };
        self.next_row += rows;
        Ok(Some(Box::new(piece)))
    }
}

struct MatrixPiece {
    first_row: u64,
    dimension: usize,
    values: Vec<f32>,
    classes: Option<Vec<i64>>,
    times: Option<Vec<i64>>,
    qualities: Option<Vec<f32>>,
}

impl Piece for MatrixPiece {
    fn items(&self) -> usize {
        self.values.len() / self.dimension
    }

    fn read<'a>(&'a self, at: usize, _: &'a mut Vec<f32>) -> Result<Record<'a>, Refused> {
        let number = self.first_row + at as u64 + 1;
        let class = self.classes.as_ref().map_or(number as i64, |list| list[at]);
        let time = self.times.as_ref().map(|list| list[at]);
        let record = Record {
            class: ClassId(class),
            values: &self.values[at * self.dimension..][..self.dimension],
            enrolled: time.map(|unix_milliseconds| Timestamp { unix_milliseconds }),
            quality: self.qualities.as_ref().map_or(f32::NAN, |list| list[at]),
        };
        record.check(self.dimension)
    }
}
