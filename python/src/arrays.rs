//! Two-dimensional arrays of Python as rows of numbers.

use std::ops::Range;

use half::f16;
use ndarray::ArrayView2;
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;
use vultus::search::NumberRows;

/// An array of floats of any width, which stays as it is while this lives.
#[derive(FromPyObject)]
pub(crate) enum FloatArray<'py> {
    Half(PyReadonlyArray2<'py, f16>),
    Single(PyReadonlyArray2<'py, f32>),
    Double(PyReadonlyArray2<'py, f64>),
}

/// The same without the interpreter.
pub(crate) enum FloatRows<'a> {
    Half(ArrayView2<'a, f16>),
    Single(ArrayView2<'a, f32>),
    Double(ArrayView2<'a, f64>),
}

impl FloatArray<'_> {
    /// Where the numbers lie: nothing is copied.
    pub(crate) fn rows(&self) -> FloatRows<'_> {
        match self {
            FloatArray::Half(array) => FloatRows::Half(array.as_array()),
            FloatArray::Single(array) => FloatRows::Single(array.as_array()),
            FloatArray::Double(array) => FloatRows::Double(array.as_array()),
        }
    }
}

impl NumberRows for FloatRows<'_> {
    fn rows(&self) -> usize {
        match self {
            FloatRows::Half(rows) => rows.nrows(),
            FloatRows::Single(rows) => rows.nrows(),
            FloatRows::Double(rows) => rows.nrows(),
        }
    }

    fn dimension(&self) -> usize {
        match self {
            FloatRows::Half(rows) => rows.ncols(),
            FloatRows::Single(rows) => rows.ncols(),
            FloatRows::Double(rows) => rows.ncols(),
        }
    }

    fn read<'a>(&'a self, at: usize, room: &'a mut [f32]) -> &'a [f32] {
        match self {
            FloatRows::Half(rows) => rows.read(at, room),
            FloatRows::Single(rows) => rows.read(at, room),
            FloatRows::Double(rows) => rows.read(at, room),
        }
    }

    fn lying(&self, range: Range<usize>) -> Option<&[f32]> {
        match self {
            FloatRows::Half(rows) => rows.lying(range),
            FloatRows::Single(rows) => rows.lying(range),
            FloatRows::Double(rows) => rows.lying(range),
        }
    }
}
