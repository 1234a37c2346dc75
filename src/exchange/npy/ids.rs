//! What items are called: a list of numbers or of texts.

use std::path::{Path, PathBuf};

use super::forward::Forward;
use super::header::read_start;
use super::list::List;
use super::number::Number;
use crate::exchange::ExchangeError;

/// What items are called: a list of whole numbers or of texts.
pub(in crate::exchange) enum Ids {
    Numbers(List),
    Texts(Texts),
}

/// A list of texts of a fixed length.
pub(in crate::exchange) struct Texts {
    path: PathBuf,
    reader: Box<dyn Forward>,
    rows: usize,
    /// Whether a letter takes four bytes, or one.
    is_wide: bool,
    is_big_endian: bool,
    text_bytes: usize,
}

/// The longest text that is read, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 16;

impl Ids {
    /// Reads the header of a list; as [`Matrix::new`].
    pub(in crate::exchange) fn new(
        path: &Path,
        mut reader: Box<dyn Forward>,
        bytes: u64,
    ) -> Result<Ids, ExchangeError> {
        let start = read_start(path, &mut reader, bytes)?;
        let length = start.descr.get(2..).and_then(|length| length.parse().ok());
        let is_wide = match (start.descr.get(1..2), length) {
            (Some("U"), Some(_)) => true,
            (Some("S" | "a"), Some(_)) => false,
            _ => {
                let header = start.numbers(path, bytes, "a list of whole numbers or texts")?;
                let is_plain = |_| true;
                return List::of(path, reader, &header, is_plain, "").map(Ids::Numbers);
            }
        };
        let width = if is_wide { 4 } else { 1 };
        let text_bytes = length.unwrap_or(0_usize).checked_mul(width);
        let text_bytes = text_bytes.filter(|bytes| *bytes <= TEXT_BYTES_MAX);
        let contents = |expected: String| ExchangeError::Contents {
            path: path.to_owned(),
            expected,
            found: format!("`{}` of shape {:?}", start.descr, start.shape),
        };
        let text_bytes = text_bytes
            .ok_or_else(|| contents(format!("texts of at most {TEXT_BYTES_MAX} bytes")))?;
        let (&[rows] | &[rows, 1]) = &*start.shape else {
            return Err(contents("a list of one text a row".to_owned()));
        };
        let needed = (rows as u64).checked_mul(text_bytes as u64);
        let needed = needed.and_then(|needed| needed.checked_add(start.bytes));
        if needed != Some(bytes) {
            let what = format!("{rows} texts of {text_bytes} bytes do not fit into {bytes}");
            return Err(ExchangeError::malformed(path, ".npy", what));
        }
        Ok(Ids::Texts(Texts {
            path: path.to_owned(),
            reader,
            rows,
            is_wide,
            is_big_endian: start.descr.starts_with('>'),
            text_bytes,
        }))
    }

    /// Makes sure that what was read to its end was right.
    pub(in crate::exchange) fn finish(&mut self) -> Result<(), ExchangeError> {
        match self {
            Ids::Numbers(list) => list.finish(),
            Ids::Texts(texts) => {
                let finished = texts.reader.finish();
                finished.map_err(ExchangeError::io("read", &texts.path))
            }
        }
    }

    /// How many there are.
    pub(in crate::exchange) fn rows(&self) -> usize {
        match self {
            Ids::Numbers(list) => list.rows,
            Ids::Texts(texts) => texts.rows,
        }
    }

    /// The next, as numbers where they are numbers.
    pub(in crate::exchange) fn read(
        &mut self,
        rows: usize,
    ) -> Result<Vec<Result<i64, String>>, ExchangeError> {
        match self {
            Ids::Numbers(list) => {
                let numbers = list.read(rows)?;
                let id = |number: Number| number.whole().ok_or_else(|| number.text());
                Ok(numbers.map(id).collect())
            }
            Ids::Texts(texts) => texts.read(rows),
        }
    }

    /// Passes over rows.
    pub(in crate::exchange) fn skip(&mut self, rows: u64) -> Result<(), ExchangeError> {
        match self {
            Ids::Numbers(list) => list.skip(rows),
            Ids::Texts(texts) => {
                let passed = texts.reader.forward(rows * texts.text_bytes as u64);
                passed.map_err(ExchangeError::io("read", &texts.path))
            }
        }
    }
}

impl Texts {
    fn read(&mut self, rows: usize) -> Result<Vec<Result<i64, String>>, ExchangeError> {
        let mut bytes = vec![0; self.text_bytes];
        let mut texts = Vec::new();
        for _ in 0..rows {
            let read = self.reader.read_exact(&mut bytes);
            read.map_err(ExchangeError::io("read", &self.path))?;
            let text = if self.is_wide {
                let letters = bytes.chunks_exact(4).map(|letter| {
                    let mut little = [0; 4];
                    little.copy_from_slice(letter);
                    if self.is_big_endian {
                        little.reverse();
                    }
                    char::from_u32(u32::from_le_bytes(little)).unwrap_or('\u{fffd}')
                });
                letters.collect::<String>()
            } else {
                String::from_utf8_lossy(&bytes).into_owned()
            };
            texts.push(Err(text.trim_end_matches('\0').to_owned()));
        }
        Ok(texts)
    }
}
