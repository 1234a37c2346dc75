//! Templates from files of other programs: class, values, time and quality, item by item.
//!
//! A [`Source`] gives its items in [`Piece`]s, one after the other, and reads them no further than
//! it must for that; what an item holds is found out side by side, by [`Piece::read`]. An item that
//! is none is refused with a reason and the next is read; a file that is none is an error.

mod lines;
mod matrix;
#[cfg(feature = "npz")]
mod npz;
#[cfg(feature = "parquet")]
mod pages;
#[cfg(feature = "parquet")]
mod table;

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

pub use self::lines::{Line, LineReader};
use super::npy::whole_number;
use super::{ExchangeError, Job};
use crate::types::{ClassId, DIMENSION_MAX, DIMENSION_MIN, Embedding, Timestamp};

/// Values that are read together: the most that a piece of a file holds.
const VALUES_PER_PIECE: usize = 1 << 20;
/// Items that are read together, however few values they have.
const ITEMS_PER_PIECE: usize = 8192;

/// Items to be imported, from first to last.
pub trait Source: Send {
    /// What it is called in messages, and by whoever resumes an import of it.
    fn name(&self) -> &Path;

    /// How many values its embeddings have; 0 if nothing in it can be one, so that every item will be
    /// refused.
    fn dimension(&self) -> usize;

    /// How long it is.
    fn length(&self) -> Length;

    /// How much of its length is read.
    fn position(&self) -> u64;

    /// What is converted on the way, a sentence for each array or column: for people to know.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Adds to `job` by what this source can be told from others, and from what it was before it
    /// was changed.
    fn describe(&self, job: Job) -> Job;

    /// How many items should be made durable together.
    fn items_per_commit(&self) -> u64;

    /// Passes over `items` items.
    ///
    /// # Errors
    ///
    /// If there are fewer, or the source cannot be read.
    fn skip(&mut self, items: u64) -> Result<(), ExchangeError>;

    /// The next items, or `None` after the last.
    ///
    /// # Errors
    ///
    /// If the source cannot be read, or is not what it announced.
    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError>;
}

/// The length of a source, in whatever is known of it beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many items.
    Items(u64),
    /// So many bytes, in lines: how many, only reading them tells.
    Bytes(u64),
}

/// Some items that follow each other.
pub trait Piece: Send + Sync {
    /// How many there are: one or more.
    fn items(&self) -> usize;

    /// What an item holds, from 0; `scratch` is memory that may be used for it.
    ///
    /// # Errors
    ///
    /// If it is none that can be imported.
    fn read<'a>(&'a self, at: usize, scratch: &'a mut Vec<f32>) -> Result<Record<'a>, Refused>;
}

/// An item that can be imported.
///
/// `Debug` shows no value: embeddings are secrets.
#[derive(Clone, Copy, PartialEq)]
pub struct Record<'a> {
    /// Whom it shows.
    pub class: ClassId,
    /// Its values: an embedding.
    pub values: &'a [f32],
    /// When it was enrolled, if that is known.
    pub enrolled: Option<Timestamp>,
    /// The quality of its sample from 0 to 1, or NaN where it is not known.
    pub quality: f32,
}

/// An item that cannot be imported. As JSON, a line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedItem {
    /// Which item of its source, from 0.
    pub item: u64,
    /// Where, and why.
    #[serde(flatten)]
    pub refused: Refused,
}

/// Why an item is refused, and where it can be found if its number does not say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The number of its line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The picture that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// The bytes of its name as hexadecimal digits, where that is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture_bytes: Option<String>,
    /// What is wrong with it. Never a value of an embedding.
    pub reason: String,
}

impl Refused {
    /// An item that is found by its number.
    pub fn new(reason: impl Into<String>) -> Refused {
        Refused {
            line: None,
            picture: None,
            picture_bytes: None,
            reason: reason.into(),
        }
    }

    /// An item on a line, from 1.
    #[must_use]
    pub fn at_line(self, line: u64) -> Refused {
        Refused {
            line: Some(line),
            ..self
        }
    }

    /// An item that is a picture.
    #[must_use]
    pub fn at_picture(self, picture: &Path) -> Refused {
        let digits = || {
            let bytes = picture.as_os_str().as_encoded_bytes().iter();
            bytes.map(|byte| format!("{byte:02x}")).collect()
        };
        Refused {
            picture: Some(picture.display().to_string()),
            picture_bytes: picture.to_str().is_none().then(digits),
            ..self
        }
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record {
            class,
            values,
            enrolled,
            quality,
        } = self;
        let values = values.len();
        write!(
            f,
            "Record({class:?}, {values} values, {enrolled:?}, {quality:?})"
        )
    }
}

impl Record<'_> {
    /// Checks what every format leaves open: that the values are an embedding of `dimension`, and
    /// that the quality is one.
    fn check(self, dimension: usize) -> Result<Self, Refused> {
        let found = self.values.len();
        if dimension == 0 {
            return Err(Refused::new(format!(
                "it has {found} values, and an embedding has {DIMENSION_MIN} to {DIMENSION_MAX}"
            )));
        }
        if found != dimension {
            return Err(Refused::new(format!(
                "it has {found} values, and {dimension} are needed"
            )));
        }
        Embedding::check(self.values).map_err(|error| Refused::new(error.to_string()))?;
        if !self.quality.is_nan() && !(0.0..=1.0).contains(&self.quality) {
            return Err(Refused::new(format!(
                "quality {} is outside 0 to 1",
                self.quality
            )));
        }
        Ok(self)
    }
}

/// Opens a file of embeddings. The end of its name decides on the format; `docs/exchange.md`
/// describes each.
///
/// `classes` and `times` are `.npy` files that belong to one of embeddings; a matrix without
/// classes has its row numbers from 1. Items without a time have none.
///
/// # Errors
///
/// If the name has no known end, a file cannot be read, is none of its format, holds something else
/// or nothing, or `classes` or `times` are given for a format that holds its own.
pub fn open_source(
    path: &Path,
    classes: Option<&Path>,
    times: Option<&Path>,
) -> Result<Box<dyn Source>, ExchangeError> {
    let extension = path.extension().unwrap_or_default();
    let is = |known: &str| extension.eq_ignore_ascii_case(known);
    if is("npy") {
        return matrix::open_npy(path, classes, times);
    }
    let known = ["npz", "parquet", "jsonl", "ndjson"].into_iter().any(is);
    if let Some(extra) = classes.or(times).filter(|_| known) {
        return Err(ExchangeError::Contents {
            path: path.to_owned(),
            expected: "an `.npy` file".to_owned(),
            found: format!(
                "classes and times of its own, so that `{}` is one too many",
                extra.display()
            ),
        });
    }
    if is("jsonl") || is("ndjson") {
        return lines::open_lines(path);
    }
    if is("npz") {
        #[cfg(feature = "npz")]
        return npz::open_npz(path);
        #[cfg(not(feature = "npz"))]
        return Err(no_feature(path, "npz"));
    }
    if is("parquet") {
        #[cfg(feature = "parquet")]
        return table::open_table(path);
        #[cfg(not(feature = "parquet"))]
        return Err(no_feature(path, "parquet"));
    }
    let path = path.to_owned();
    Err(ExchangeError::SourceFormat { path })
}

#[cfg(not(all(feature = "npz", feature = "parquet")))]
pub(super) fn no_feature(path: &Path, feature: &'static str) -> ExchangeError {
    let path = path.to_owned();
    ExchangeError::NoFeature { path, feature }
}

/// By what a file can be told from others and from its earlier self: its place, length and time of
/// change. A checksum would mean to read all of it twice.
///
/// # Errors
///
/// If the file cannot be read.
pub fn file_facts(path: &Path) -> Result<String, ExchangeError> {
    let metadata = fs::metadata(path).map_err(ExchangeError::io("read", path))?;
    let place = fs::canonicalize(path).map_err(ExchangeError::io("read", path))?;
    let changed = metadata.modified().ok();
    let since = changed.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let changed = since.map_or(0, |since| since.as_nanos());
    let (place, bytes) = (place.display(), metadata.len());
    Ok(format!("{place}, {bytes} bytes, changed {changed}"))
}

/// What is said of a class that is none.
const NO_CLASS: &str = "`class` is no whole number of 64 bits";

/// The class that a text gives: a whole number of 64 bits, also with zeros behind a point, as
/// programs write it that keep numbers in double precision.
pub fn class_of_text(text: &str) -> Option<ClassId> {
    let text = text.trim();
    let whole = text.parse().ok();
    let class = whole.or_else(|| {
        let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | '.');
        let number = text.parse().ok().filter(|_| text.chars().all(is_plain));
        number.and_then(whole_number)
    });
    class.map(ClassId)
}

/// How many items of a dimension are read together.
fn items_per_piece(dimension: usize) -> usize {
    (VALUES_PER_PIECE / dimension.max(1)).clamp(1, ITEMS_PER_PIECE)
}

/// How many items of a dimension should be made durable together: as many as make a segment of some
/// 64 MiB, so that memory stays bounded and segments do not become too many.
fn items_per_commit(dimension: usize) -> u64 {
    (16 * VALUES_PER_PIECE / dimension.max(1)).min(1 << 17) as u64
}
