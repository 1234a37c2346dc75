//! Pictures of Python: files, their bytes, or pixels.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ndarray::ArrayView3;
use numpy::PyReadonlyArray3;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use vultus::face::{DecodeLimits, Picture};

use crate::failure::Failure;

/// What Python gives, which stays as it is while this lives.
#[derive(FromPyObject)]
pub(crate) enum Given<'py> {
    Bytes(PyBackedBytes),
    Pixels(PyReadonlyArray3<'py, u8>),
    Path(PathBuf),
}

/// The same without the interpreter.
pub(crate) enum Source<'a> {
    Bytes(&'a [u8]),
    /// Shape (height, width, 3), with any strides.
    Pixels(ArrayView3<'a, u8>),
    Path(&'a Path),
}

impl Given<'_> {
    /// Where it lies: nothing is copied.
    pub(crate) fn source(&self) -> Source<'_> {
        match self {
            Given::Bytes(bytes) => Source::Bytes(bytes),
            Given::Pixels(pixels) => Source::Pixels(pixels.as_array()),
            Given::Path(path) => Source::Path(path),
        }
    }
}

/// The bytes of a file, and no more than a picture may have and one, so that whoever decodes it
/// says that there are too many.
pub(crate) fn read(path: &Path, limits: &DecodeLimits) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = (limits.bytes_max as u64).saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|error| {
            Failure::of_io(
                "PictureFileError",
                format!("cannot be read: {error}"),
                &error,
            )
        })?;
    Ok(bytes)
}

/// Pixels as a picture.
pub(crate) fn of_pixels(
    pixels: &ArrayView3<'_, u8>,
    limits: &DecodeLimits,
) -> Result<Picture, Failure> {
    let (height, width, _) = pixels.dim();
    limits.check(width, height)?;
    let rgb = match pixels.as_slice() {
        Some(rgb) => rgb.to_vec(),
        None => pixels.iter().copied().collect(),
    };
    Ok(Picture::from_rgb(width, height, rgb))
}
