//! A list of numbers, one a row.

use std::path::{Path, PathBuf};

use super::forward::Forward;
use super::header::{Header, read_header};
use super::number::{Kind, Number};
use crate::exchange::ExchangeError;

/// A list of numbers as it comes from a file, or from a part of one.
pub(in crate::exchange) struct List {
    path: PathBuf,
    reader: Box<dyn Forward>,
    pub(in crate::exchange) rows: usize,
    kind: Kind,
    note: Option<String>,
}

impl List {
    /// Reads the header of a list of whole numbers, which may be kept in double precision; as
    /// [`Matrix::new`].
    pub(in crate::exchange) fn integers(
        path: &Path,
        reader: Box<dyn Forward>,
        bytes: u64,
    ) -> Result<List, ExchangeError> {
        let is_plain = |kind| kind == Kind::LONG || kind == Kind::INT;
        List::new(path, reader, bytes, is_plain, "whole numbers of 64 bits")
    }

    /// Reads the header of a list of numbers in double precision; as [`Matrix::new`].
    #[cfg(feature = "npz")]
    pub(in crate::exchange) fn doubles(
        path: &Path,
        reader: Box<dyn Forward>,
        bytes: u64,
    ) -> Result<List, ExchangeError> {
        let is_plain = |kind| kind == Kind::SINGLE || kind == Kind::DOUBLE;
        List::new(path, reader, bytes, is_plain, "double precision")
    }

    /// Reads the header of a list of numbers that become single precision; as [`Matrix::new`].
    #[cfg(feature = "npz")]
    pub(in crate::exchange) fn singles(
        path: &Path,
        reader: Box<dyn Forward>,
        bytes: u64,
    ) -> Result<List, ExchangeError> {
        let is_plain = |kind| kind == Kind::SINGLE;
        List::new(path, reader, bytes, is_plain, "single precision")
    }

    fn new(
        path: &Path,
        mut reader: Box<dyn Forward>,
        bytes: u64,
        is_plain: impl Fn(Kind) -> bool,
        target: &str,
    ) -> Result<List, ExchangeError> {
        let header = read_header(path, &mut reader, bytes, "a list of numbers")?;
        List::of(path, reader, &header, is_plain, target)
    }

    pub(super) fn of(
        path: &Path,
        reader: Box<dyn Forward>,
        header: &Header,
        is_plain: impl Fn(Kind) -> bool,
        target: &str,
    ) -> Result<List, ExchangeError> {
        let (&[rows] | &[rows, 1]) = &*header.shape else {
            return Err(header.unexpected(path, "a list of one number a row"));
        };
        let note = (!is_plain(header.kind)).then(|| header.converted(path, target));
        Ok(List {
            path: path.to_owned(),
            reader,
            rows,
            kind: header.kind,
            note,
        })
    }

    /// What is converted on the way, if anything is.
    pub(in crate::exchange) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The next whole numbers, `None` where there is none of 64 bits.
    pub(in crate::exchange) fn read_integers(
        &mut self,
        rows: usize,
    ) -> Result<Vec<Option<i64>>, ExchangeError> {
        Ok(self.read(rows)?.map(Number::whole).collect())
    }

    /// The next numbers in single precision.
    pub(in crate::exchange) fn read_singles(
        &mut self,
        rows: usize,
    ) -> Result<Vec<f32>, ExchangeError> {
        Ok(self.read(rows)?.map(Number::single).collect())
    }

    /// The next numbers in double precision.
    #[cfg(feature = "npz")]
    pub(in crate::exchange) fn read_doubles(
        &mut self,
        rows: usize,
    ) -> Result<Vec<f64>, ExchangeError> {
        Ok(self.read(rows)?.map(Number::double).collect())
    }

    /// Passes over rows.
    pub(in crate::exchange) fn skip(&mut self, rows: u64) -> Result<(), ExchangeError> {
        let passed = self.reader.forward(rows * self.kind.size as u64);
        passed.map_err(ExchangeError::io("read", &self.path))
    }

    /// Makes sure that what was read to its end was right.
    pub(in crate::exchange) fn finish(&mut self) -> Result<(), ExchangeError> {
        let finished = self.reader.finish();
        finished.map_err(ExchangeError::io("read", &self.path))
    }

    pub(super) fn read(
        &mut self,
        rows: usize,
    ) -> Result<impl Iterator<Item = Number> + use<>, ExchangeError> {
        let kind = self.kind;
        let mut bytes = vec![0; rows * kind.size];
        let read = self.reader.read_exact(&mut bytes);
        read.map_err(ExchangeError::io("read", &self.path))?;
        let number = move |row| kind.number(&bytes[row * kind.size..][..kind.size]);
        Ok((0..rows).map(number))
    }
}
