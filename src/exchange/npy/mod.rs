//! NumPy's `.npy` files: a matrix of embeddings, or a list of numbers.
//!
//! The format is described in NumPy's NEP 1 and `numpy.lib.format`: a magic text, a version, the
//! length of a header, the header (a Python dictionary with the keys `descr`, `fortran_order` and
//! `shape`), and the values. We read it ourselves since the well-kept readers parse the header as
//! any Python literal, recursively and with sizes that they do not check; files to be imported come
//! from strangers.
//!
//! Numbers of every width, sign and order of bytes are read, and matrices in both orders: what is
//! not single precision in rows becomes it on the way, and [`Matrix::note`] says so.

mod forward;
mod header;
#[cfg(feature = "npz")]
mod ids;
mod list;
mod matrix;
mod number;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use ndarray::Array2;

use super::ExchangeError;

#[cfg(feature = "npz")]
pub(super) use forward::{Forward, Seekable};
#[cfg(feature = "npz")]
pub(super) use ids::Ids;
pub(super) use list::List;
pub(super) use matrix::Matrix;
pub(super) use number::whole_number;

/// The matrix in `bytes`, which are an `.npy` file that `name` stands for in errors: in single
/// precision, whatever numbers it has, and in rows. They are not checked to be embeddings.
///
/// # Errors
///
/// If it is no such file, or more or less than its header says.
pub fn npy_matrix(name: &str, bytes: Vec<u8>) -> Result<Array2<f32>, ExchangeError> {
    let length = bytes.len() as u64;
    let path = Path::new(name);
    let mut matrix = Matrix::new(path, Box::new(Cursor::new(bytes)), length)?;
    let (rows, dimension) = (matrix.rows, matrix.dimension);
    let values = matrix.read(rows)?;
    matrix.finish()?;
    let values = Array2::from_shape_vec((rows, dimension), values);
    Ok(values.expect("a matrix reads as many values as it has"))
}

/// Opens a file, and says how long it is.
pub(super) fn open(path: &Path) -> Result<(BufReader<File>, u64), ExchangeError> {
    let file = File::open(path).map_err(ExchangeError::io("open", path))?;
    let metadata = file.metadata().map_err(ExchangeError::io("read", path))?;
    Ok((BufReader::with_capacity(1 << 20, file), metadata.len()))
}
