//! Embeddings to be asked about, from any file that can be imported.

use std::fmt;
use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, Digest};
use ndarray::Array2;

use super::ExchangeError;
use super::source::{
    ItemId, Length, Piece, Refused, RefusedItem, Source, SourceOptions, open_source_with,
};

/// Items that an error names of many.
const NAMED_MAX: usize = 10;

/// What the probes of a file are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdKind {
    /// Nothing: they have their numbers.
    #[default]
    None,
    /// Numbers, each of them.
    Numbers,
    /// Texts, or numbers that some have not.
    Texts,
}

/// A matrix of embeddings, one a row, read from front to back.
pub struct EmbeddingFile {
    path: PathBuf,
    options: SourceOptions,
    /// What the rows are called that were read last.
    ids: Vec<Option<ItemId>>,
    source: Box<dyn Source>,
    rows: usize,
    next_row: usize,
    /// What was read and not given yet, and how much of it was.
    piece: Option<(Box<dyn Piece>, usize)>,
}

impl EmbeddingFile {
    /// Opens a file of embeddings: an `.npy`, `.npz`, `.parquet` or `.jsonl`, as
    /// [`open_source`](super::open_source) reads them.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is none of its format or cut off, or has no row.
    pub fn open(path: &Path) -> Result<EmbeddingFile, ExchangeError> {
        EmbeddingFile::open_with(path, SourceOptions::default())
    }

    /// As [`EmbeddingFile::open`], with other names of columns.
    ///
    /// # Errors
    ///
    /// As [`EmbeddingFile::open`].
    pub fn open_with(path: &Path, options: SourceOptions) -> Result<EmbeddingFile, ExchangeError> {
        let options = SourceOptions {
            are_probes: true,
            ..options
        };
        let mut source = open_source_with(path, &options)?;
        let rows = match source.length() {
            Length::Items(rows) => rows,
            // Only reading them tells how many lines there are.
            Length::Bytes(_) => {
                let mut rows = 0;
                while let Some(piece) = source.next_piece()? {
                    rows += piece.items() as u64;
                }
                source = open_source_with(path, &options)?;
                rows
            }
        };
        Ok(EmbeddingFile {
            path: path.to_owned(),
            options,
            ids: Vec::new(),
            source,
            rows: usize::try_from(rows).unwrap_or(usize::MAX),
            next_row: 0,
            piece: None,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many embeddings there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many values each has; 0 if none is an embedding.
    pub fn dimension(&self) -> usize {
        self.source.dimension()
    }

    /// What is converted on the way, a sentence for each array or column.
    pub fn notes(&self) -> Vec<String> {
        self.source.notes()
    }

    /// What the rows are called that were read last; where they have no names, `None` for each.
    pub fn ids(&self) -> &[Option<ItemId>] {
        &self.ids
    }

    /// Reads all embeddings once, and goes back to the first. What passes here can be identified.
    ///
    /// Returns a checksum of the values (CRC-64/NVME, as single precision) and of what they are
    /// called, by which these embeddings can be told from others, and what they are called by.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or rows are no embeddings: the first of them are named, and how
    /// many there are.
    pub fn check(&mut self) -> Result<(u64, IdKind), ExchangeError> {
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        let (mut first, mut refused, mut scratch) = (Vec::new(), 0, Vec::new());
        self.go_to(0)?;
        let (mut row, mut numbers, mut names) = (0, 0, 0);
        while let Some(piece) = self.source.next_piece()? {
            for at in 0..piece.items() {
                match piece.read(at, &mut scratch) {
                    Ok(record) => {
                        digest.update(bytemuck::cast_slice(record.values));
                        let id = piece.id(at);
                        if let Some(id) = &id {
                            digest.update(id.to_string().as_bytes());
                        }
                        names += u64::from(id.is_some());
                        numbers += u64::from(matches!(id, Some(ItemId::Number(_))));
                    }
                    Err(reason) => {
                        refused += 1;
                        if first.len() < NAMED_MAX {
                            let (item, refused) = (row, reason);
                            first.push(RefusedItem { item, refused });
                        }
                    }
                }
                row += 1;
            }
        }
        if refused > 0 {
            let path = self.path.clone();
            return Err(refused_items(path, refused, self.rows, &first));
        }
        self.go_to(0)?;
        let kind = match names {
            0 => IdKind::None,
            _ if numbers == row => IdKind::Numbers,
            _ => IdKind::Texts,
        };
        Ok((digest.finalize(), kind))
    }

    /// Goes on reading at a row, from 0.
    ///
    /// # Errors
    ///
    /// If the file cannot be read there.
    ///
    /// # Panics
    ///
    /// Panics if `row` is past the end.
    pub fn go_to(&mut self, row: usize) -> Result<(), ExchangeError> {
        assert!(row <= self.rows(), "there are {} rows", self.rows());
        self.source = open_source_with(&self.path, &self.options)?;
        self.source.skip(row as u64)?;
        (self.next_row, self.piece) = (row, None);
        Ok(())
    }

    /// Reads the next `rows_max` embeddings, or as many as are left; none at the end.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or a row is no embedding. The row is named.
    pub fn read(&mut self, rows_max: usize) -> Result<Array2<f32>, ExchangeError> {
        let rows = rows_max.min(self.rows.saturating_sub(self.next_row));
        let mut values = Vec::with_capacity(rows * self.dimension());
        let mut scratch = Vec::new();
        self.ids.clear();
        for _ in 0..rows {
            let (piece, at) = self.next_item()?;
            let item = self.next_row as u64;
            let record = piece.read(at, &mut scratch);
            let record = record.map_err(|refused: Refused| {
                let path = self.path.clone();
                refused_items(path, 1, self.rows, &[RefusedItem { item, refused }])
            })?;
            values.extend_from_slice(record.values);
            self.ids.push(piece.id(at));
            self.piece = Some((piece, at + 1));
            self.next_row += 1;
        }
        let matrix = Array2::from_shape_vec((rows, self.dimension()), values);
        Ok(matrix.expect("there are rows times dimension values"))
    }

    /// The piece with the next row, and where that is in it.
    fn next_item(&mut self) -> Result<(Box<dyn Piece>, usize), ExchangeError> {
        if let Some((piece, at)) = self.piece.take().filter(|(piece, at)| *at < piece.items()) {
            return Ok((piece, at));
        }
        let next = self.source.next_piece()?.filter(|piece| piece.items() > 0);
        let fewer = || ExchangeError::Contents {
            path: self.path.clone(),
            expected: format!("the {} rows that there were", self.rows),
            found: format!("{} rows now", self.next_row),
        };
        Ok((next.ok_or_else(fewer)?, 0))
    }
}

impl fmt::Debug for EmbeddingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, rows) = (&self.path, self.rows);
        write!(f, "EmbeddingFile({path:?}, {rows} rows)")
    }
}

/// That items are no embeddings: so many of so many, the first of which are known.
fn refused_items(
    path: PathBuf,
    refused: usize,
    items: usize,
    first: &[RefusedItem],
) -> ExchangeError {
    if let ([RefusedItem { item, refused }], 1) = (first, refused) {
        return ExchangeError::Item {
            path,
            item: *item,
            reason: refused.reason.clone(),
        };
    }
    let line =
        |RefusedItem { item, refused }: &RefusedItem| format!("\n  row {item}: {}", refused.reason);
    let mut first: Vec<String> = first.iter().map(line).collect();
    if refused > first.len() {
        first.push(format!("\n  and {} more", refused - first.len()));
    }
    ExchangeError::Items {
        path,
        refused,
        items,
        first: first.concat(),
    }
}
