//! A matrix of numbers, row by row, in whichever order it is kept.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use super::forward::{Forward, Seekable};
use super::header::read_header;
use super::number::Kind;
use crate::exchange::ExchangeError;
use crate::types::{DIMENSION_MAX, DIMENSION_MIN};

/// A matrix as it comes from a file, or from a part of one. Its rows are not checked.
pub(in crate::exchange) struct Matrix {
    path: PathBuf,
    values: Values,
    pub(in crate::exchange) rows: usize,
    pub(in crate::exchange) dimension: usize,
    kind: Kind,
    note: Option<String>,
    bytes: Vec<u8>,
}

/// Where the values come from, in which order.
enum Values {
    /// Row by row.
    Rows(Box<dyn Forward>),
    /// Column by column, as Fortran has it: a row is collected from all of the matrix.
    Columns {
        reader: Box<dyn Seekable>,
        start: u64,
        next_row: usize,
    },
}

impl Matrix {
    /// Reads the header of a matrix that has `bytes` bytes with it; `path` names it in errors.
    pub(in crate::exchange) fn new(
        path: &Path,
        mut reader: Box<dyn Forward>,
        bytes: u64,
    ) -> Result<Matrix, ExchangeError> {
        let header = read_header(path, &mut reader, bytes, "a matrix of numbers")?;
        let &[rows, dimension] = &*header.shape else {
            return Err(header.unexpected(path, "a matrix of rows and values"));
        };
        if !(DIMENSION_MIN..=DIMENSION_MAX).contains(&dimension) {
            let needed = format!("a dimension of {DIMENSION_MIN} to {DIMENSION_MAX}");
            return Err(header.unexpected(path, &needed));
        }
        if rows == 0 {
            return Err(header.unexpected(path, "one row or more"));
        }
        let is_in_columns = header.fortran_order && rows > 1 && dimension > 1;
        let is_wider = header.kind != Kind::SINGLE && header.kind != Kind::HALF;
        let note =
            (is_in_columns || is_wider).then(|| header.converted(path, "rows of single precision"));
        let values = if is_in_columns {
            let reader = reader.seekable(header.bytes);
            Values::Columns {
                reader: reader.map_err(ExchangeError::io("read", path))?,
                start: header.bytes,
                next_row: 0,
            }
        } else {
            Values::Rows(reader)
        };
        Ok(Matrix {
            path: path.to_owned(),
            values,
            rows,
            dimension,
            kind: header.kind,
            note,
            bytes: Vec::new(),
        })
    }

    /// What is converted on the way, if anything is.
    pub(in crate::exchange) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The next `rows` rows, one after the other. The caller keeps to those that there are.
    pub(in crate::exchange) fn read(&mut self, rows: usize) -> Result<Vec<f32>, ExchangeError> {
        let mut values = vec![0.0_f32; rows * self.dimension];
        let read = match &mut self.values {
            Values::Rows(reader) if self.kind == Kind::SINGLE => {
                reader.read_exact(bytemuck::cast_slice_mut(&mut values))
            }
            Values::Rows(reader) => {
                self.bytes.resize(values.len() * self.kind.size, 0);
                let read = reader.read_exact(&mut self.bytes);
                let numbers = self.bytes.chunks_exact(self.kind.size);
                for (value, bytes) in values.iter_mut().zip(numbers) {
                    *value = self.kind.number(bytes).single();
                }
                read
            }
            Values::Columns { .. } => self.read_columns(&mut values, rows),
        };
        read.map_err(ExchangeError::io("read", &self.path))?;
        Ok(values)
    }

    fn read_columns(&mut self, values: &mut [f32], rows: usize) -> io::Result<()> {
        let Values::Columns {
            reader,
            start,
            next_row,
        } = &mut self.values
        else {
            return Ok(());
        };
        let size = self.kind.size;
        self.bytes.resize(rows * size, 0);
        for column in 0..self.dimension {
            let before = (column * self.rows + *next_row) as u64 * size as u64;
            reader.seek(SeekFrom::Start(*start + before))?;
            reader.read_exact(&mut self.bytes)?;
            for (row, bytes) in self.bytes.chunks_exact(size).enumerate() {
                values[row * self.dimension + column] = self.kind.number(bytes).single();
            }
        }
        *next_row += rows;
        Ok(())
    }

    /// Passes over rows.
    pub(in crate::exchange) fn skip(&mut self, rows: u64) -> Result<(), ExchangeError> {
        match &mut self.values {
            Values::Rows(reader) => {
                let row_bytes = (self.dimension * self.kind.size) as u64;
                let passed = reader.forward(rows * row_bytes);
                passed.map_err(ExchangeError::io("read", &self.path))
            }
            Values::Columns { next_row, .. } => {
                *next_row += rows as usize;
                Ok(())
            }
        }
    }

    /// Makes sure that what was read to its end was right.
    pub(in crate::exchange) fn finish(&mut self) -> Result<(), ExchangeError> {
        match &mut self.values {
            Values::Rows(reader) => reader
                .finish()
                .map_err(ExchangeError::io("read", &self.path)),
            Values::Columns { .. } => Ok(()),
        }
    }
}
