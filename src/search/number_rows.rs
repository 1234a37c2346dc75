//! Rows of numbers that lie somewhere in memory, and how they become templates.

use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;
use ndarray::{ArrayView2, s};

use super::Pool;
use crate::code::{Planes, Probe};
use crate::partition::Snapshot;
use crate::types::{ClassId, DIMENSION_MAX, DIMENSION_MIN, Embedding, EmbeddingError, EncoderId};

/// Rows that are coded together, by one thread.
const ROWS_PER_BLOCK: usize = 4096;
/// Probes that are made ready together, by one thread.
const PROBES_PER_PIECE: usize = 64;

/// A number that is taken as one in single precision.
pub trait Number: Copy + Send + Sync {
    /// The nearest number in single precision.
    fn to_single(self) -> f32;

    /// The same numbers where they lie, if they are in single precision.
    fn as_singles(_numbers: &[Self]) -> Option<&[f32]> {
        None
    }

    /// Writes the nearest numbers of some, as many, in single precision.
    fn to_singles(numbers: &[Self], singles: &mut [f32]) {
        for (single, number) in singles.iter_mut().zip(numbers) {
            *single = number.to_single();
        }
    }
}

impl Number for f32 {
    fn to_single(self) -> f32 {
        self
    }

    fn as_singles(numbers: &[f32]) -> Option<&[f32]> {
        Some(numbers)
    }
}

impl Number for f64 {
    fn to_single(self) -> f32 {
        self as f32
    }
}

impl Number for f16 {
    fn to_single(self) -> f32 {
        self.to_f32()
    }

    /// With the instructions that many processors have for it.
    fn to_singles(numbers: &[f16], singles: &mut [f32]) {
        numbers.convert_to_f32_slice(singles);
    }
}

/// Embeddings as rows of numbers, wherever they lie.
pub trait NumberRows: Sync {
    /// How many there are.
    fn rows(&self) -> usize;

    /// How many numbers a row has.
    fn dimension(&self) -> usize;

    /// Row number `at` in single precision: where it lies, or written into `room`, which is as long.
    ///
    /// # Panics
    ///
    /// May panic if there is no such row.
    fn read<'a>(&'a self, at: usize, room: &'a mut [f32]) -> &'a [f32];

    /// Some rows where they lie, if they lie there in single precision, one after the other.
    ///
    /// # Panics
    ///
    /// May panic if there are no such rows.
    fn lying(&self, rows: Range<usize>) -> Option<&[f32]>;
}

/// In any order in memory, with any stride.
impl<T: Number> NumberRows for ArrayView2<'_, T> {
    fn rows(&self) -> usize {
        self.nrows()
    }

    fn dimension(&self) -> usize {
        self.ncols()
    }

    fn read<'a>(&'a self, at: usize, room: &'a mut [f32]) -> &'a [f32] {
        let row = self.row(at);
        match row.to_slice() {
            Some(numbers) => {
                if let Some(singles) = T::as_singles(numbers) {
                    return singles;
                }
                T::to_singles(numbers, room);
            }
            None => {
                for (room, number) in room.iter_mut().zip(row) {
                    *room = number.to_single();
                }
            }
        }
        room
    }

    fn lying(&self, rows: Range<usize>) -> Option<&[f32]> {
        let rows = self.slice_move(s![rows, ..]);
        rows.to_slice().and_then(T::as_singles)
    }
}

/// Why rows cannot be searched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowsError {
    /// The rows are too short or too long.
    #[error("rows of {found} values, expected {DIMENSION_MIN} to {DIMENSION_MAX}")]
    Dimension {
        /// How many values a row has.
        found: usize,
    },
    /// The probes have another dimension than the rows.
    #[error("probes of {found} values, expected {expected}, as many as the rows have")]
    OtherDimension {
        /// Of the rows.
        expected: usize,
        /// Of the probes.
        found: usize,
    },
    /// A row is no embedding.
    #[error("row {at} is no embedding")]
    Row {
        /// Which row, from 0.
        at: usize,
        /// What is wrong with it.
        source: EmbeddingError,
    },
}

impl RowsError {
    /// Fails unless embeddings can be as long as these rows.
    pub(super) fn check_dimension(rows: &impl NumberRows) -> Result<(), RowsError> {
        let found = rows.dimension();
        match (DIMENSION_MIN..=DIMENSION_MAX).contains(&found) {
            true => Ok(()),
            false => Err(RowsError::Dimension { found }),
        }
    }
}

/// Makes some rows ready to be searched for.
///
/// # Errors
///
/// If a row is no embedding: the first of them is named.
pub(super) fn probes(
    rows: &impl NumberRows,
    range: Range<usize>,
    pool: &Pool,
) -> Result<Vec<Probe>, RowsError> {
    let pieces = pool.each(range.len().div_ceil(PROBES_PER_PIECE), |piece| {
        let mut room = vec![0.0; rows.dimension()];
        let start = range.start + piece * PROBES_PER_PIECE;
        let probe = |at: usize| {
            let embedding = Embedding::new(rows.read(at, &mut room));
            let embedding = embedding.map_err(|source| RowsError::Row { at, source })?;
            Ok(Probe::new(&embedding))
        };
        let piece = start..range.end.min(start + PROBES_PER_PIECE);
        piece.map(probe).collect::<Result<Vec<Probe>, RowsError>>()
    });
    let mut probes = Vec::with_capacity(range.len());
    for piece in pieces {
        probes.extend(piece?);
    }
    Ok(probes)
}

/// Codes some rows, of which the number of each is its class.
///
/// # Errors
///
/// If a row is no embedding: the first of them is named.
pub(super) fn code(
    rows: &impl NumberRows,
    range: Range<usize>,
    pool: &Pool,
) -> Result<Snapshot, RowsError> {
    RowsError::check_dimension(rows)?;
    let dimension = rows.dimension();
    let blocks = pool.each(range.len().div_ceil(ROWS_PER_BLOCK), |block| {
        let start = range.start + block * ROWS_PER_BLOCK;
        let block = start..range.end.min(start + ROWS_PER_BLOCK);
        let mut planes = Planes::with_capacity(dimension, block.len());
        let mut room = vec![0.0; dimension];
        for at in block {
            let row = rows.read(at, &mut room);
            Embedding::check(row).map_err(|source| RowsError::Row { at, source })?;
            planes.push(ClassId(at as i64), row);
        }
        Ok(planes)
    });
    let blocks = blocks.into_iter().collect::<Result<Vec<Planes>, _>>()?;
    let encoder = EncoderId::new("rows", "1", dimension).expect("the dimension was checked");
    Ok(Snapshot::in_memory(encoder, blocks))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// What a reader makes of all rows.
    fn read_all(rows: &impl NumberRows) -> Vec<Vec<f32>> {
        let mut room = vec![0.0; rows.dimension()];
        let rows = (0..rows.rows()).map(|at| rows.read(at, &mut room).to_vec());
        rows.collect()
    }

    #[test]
    fn rows_are_the_same_in_any_order_and_number() {
        let singles = Array2::from_shape_fn((7, 16), |(row, at)| (row * 16 + at) as f32 - 50.0);
        let expected: Vec<Vec<f32>> = singles.outer_iter().map(|row| row.to_vec()).collect();
        assert_eq!(read_all(&singles.view()), expected);
        let turned = singles.t().as_standard_layout().into_owned();
        assert_eq!(read_all(&turned.t()), expected);
        assert_eq!(read_all(&singles.mapv(f64::from).view()), expected);
        assert_eq!(read_all(&singles.mapv(f16::from_f32).view()), expected);
        let backwards: Vec<Vec<f32>> = expected.iter().rev().cloned().collect();
        assert_eq!(read_all(&singles.slice(s![..;-1, ..])), backwards);
        let every_other = read_all(&singles.slice(s![.., ..;2]));
        assert_eq!(every_other[1][..3], [-34.0, -32.0, -30.0]);
    }

    #[test]
    fn the_first_bad_row_is_named_whichever_thread_meets_it() {
        for pool in [Pool::Here, Pool::new(3)] {
            let mut rows = Array2::from_elem((ROWS_PER_BLOCK * 2 + 9, 16), 1.0_f32);
            rows[[ROWS_PER_BLOCK + 1, 3]] = f32::NAN;
            rows.row_mut(ROWS_PER_BLOCK * 2).fill(0.0);
            let expected = RowsError::Row {
                at: ROWS_PER_BLOCK + 1,
                source: EmbeddingError::NotFinite { at: 3 },
            };
            let all = 0..rows.nrows();
            let coded = code(&rows.view(), all.clone(), &pool);
            assert_eq!(coded.unwrap_err(), expected);
            let made = probes(&rows.view(), all, &pool);
            assert_eq!(made.unwrap_err(), expected);
        }
    }

    #[test]
    fn what_is_too_large_for_single_precision_is_no_embedding() {
        let mut rows = Array2::from_elem((2, 16), 1.0_f64);
        rows[[1, 0]] = 1e300;
        let error = code(&rows.view(), 0..2, &Pool::Here).unwrap_err();
        let source = EmbeddingError::NotFinite { at: 0 };
        assert_eq!(error, RowsError::Row { at: 1, source });
    }
}
