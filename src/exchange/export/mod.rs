//! Galleries in files that [`super::open_source`] and other programs read.

mod face_row;
mod faces;
mod lines;
#[cfg(feature = "npz")]
mod npz;
#[cfg(feature = "parquet")]
mod table;

use std::io;
use std::path::Path;

pub use self::face_row::FaceRow;
pub use self::faces::FaceFile;
#[cfg(feature = "npz")]
pub(super) use self::npz::{begin_archive, begin_array};
use super::draft::{Draft, refuse_existing};
use super::{ExchangeError, Record};

/// How a gallery is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GalleryFormat {
    /// One JSON object a line.
    JsonLines,
    /// NumPy arrays in an archive.
    #[cfg(feature = "npz")]
    Npz,
    /// A Parquet table.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl GalleryFormat {
    /// The format that the end of a name asks for: `.jsonl`, `.npz` or `.parquet`.
    ///
    /// # Errors
    ///
    /// If the name ends otherwise or is that of a folder, or this build leaves the format out.
    pub fn of(path: &Path) -> Result<GalleryFormat, ExchangeError> {
        if path.is_dir() {
            let error = io::ErrorKind::IsADirectory.into();
            return Err(ExchangeError::io("write", path)(error));
        }
        let extension = path.extension().unwrap_or_default();
        let is = |known: &str| extension.eq_ignore_ascii_case(known);
        if is("jsonl") {
            return Ok(GalleryFormat::JsonLines);
        }
        if is("npz") {
            #[cfg(feature = "npz")]
            return Ok(GalleryFormat::Npz);
            #[cfg(not(feature = "npz"))]
            return Err(super::source::no_feature(path, "npz"));
        }
        if is("parquet") {
            #[cfg(feature = "parquet")]
            return Ok(GalleryFormat::Parquet);
            #[cfg(not(feature = "parquet"))]
            return Err(super::source::no_feature(path, "parquet"));
        }
        let path = path.to_owned();
        Err(ExchangeError::GalleryFormat { path })
    }
}

/// Takes a template to be written.
pub type Visit<'a> = &'a mut dyn FnMut(&Record<'_>) -> Result<(), ExchangeError>;

/// Writes a gallery to a file, which appears when it is whole.
///
/// `each` shows all templates to the function that it is given: `rows` of them, with `dimension`
/// values each, and with what is known of the person if it is told `true`. It is called more than once
/// for a format that keeps the parts of a template in different places, and must show the same again.
/// Nothing but a piece is kept in memory. Only `with_people` there is anything of people in the file.
///
/// # Errors
///
/// If the name has no known end, a file of that name is there and is not to be overwritten, the
/// disk fails, or `each` does. Whatever had the name keeps it.
pub fn write_gallery<E: From<ExchangeError>>(
    (path, overwrite): (&Path, bool),
    rows: u64,
    dimension: usize,
    with_people: bool,
    each: impl FnMut(bool, Visit<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let format = GalleryFormat::of(path)?;
    refuse_existing(path, overwrite)?;
    let draft = Draft::create(path)?;
    match format {
        GalleryFormat::JsonLines => lines::write(&draft, with_people, each)?,
        #[cfg(feature = "npz")]
        GalleryFormat::Npz => npz::write(&draft, (rows, dimension), with_people, each)?,
        #[cfg(feature = "parquet")]
        GalleryFormat::Parquet => table::write(&draft, dimension, with_people, each)?,
    }
    #[cfg(not(feature = "npz"))]
    let _ = rows;
    #[cfg(not(any(feature = "npz", feature = "parquet")))]
    let _ = dimension;
    Ok(draft.finish()?)
}
