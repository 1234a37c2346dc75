//! Templates from files of other programs: class, values, time and quality, item by item.
//!
//! A [`Source`] gives its items in [`Piece`]s, one after the other, and reads them no further than
//! it must for that; what an item holds is found out side by side, by [`Piece::read`]. An item that
//! is none is refused with a reason and the next is read; a file that is none is an error.

#[cfg(feature = "parquet")]
mod columns;
mod lines;
mod matrix;
#[cfg(feature = "npz")]
mod npz;
#[cfg(feature = "parquet")]
mod pages;
mod person;
#[cfg(feature = "parquet")]
mod table;
#[cfg(feature = "parquet")]
mod told_columns;
mod utf16;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use self::lines::{Line, LineReader};
#[cfg(feature = "npz")]
pub(super) use self::matrix::NOT_A_TIME;
pub use self::person::Told;
use super::npy::whole_number;
use super::{ExchangeError, Job, ReportBegun};
use crate::types::{
    ClassId, DIMENSION_MAX, DIMENSION_MIN, Embedding, Record as PersonRecord, Timestamp,
};

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

    /// Begins the report of refused items if the source writes that by itself, as one does that another
    /// process reads. Tells whether it does.
    ///
    /// # Errors
    ///
    /// If the report cannot be written.
    fn begin_report(&mut self, _begun: ReportBegun) -> Result<bool, ExchangeError> {
        Ok(false)
    }

    /// Is told which items of the last piece are refused though they could be read, for a report that the
    /// source writes by itself.
    ///
    /// # Errors
    ///
    /// If the report cannot be written.
    fn contradicted(&mut self, _refusals: &[RefusedItem]) -> Result<(), ExchangeError> {
        Ok(())
    }

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

    /// What the item is called in the file, for whoever asks about it; `None` if it has no name.
    fn id(&self, _at: usize) -> Option<ItemId> {
        None
    }

    /// An item that is refused, where it can be found if its number does not say that.
    fn located(&self, _at: usize, refused: Refused) -> Refused {
        refused
    }

    /// What an item holds, from 0; `scratch` is memory that may be used for it.
    ///
    /// # Errors
    ///
    /// If it is none that can be imported.
    fn read<'a>(&'a self, at: usize, scratch: &'a mut Vec<f32>) -> Result<Record<'a>, Refused>;
}

/// What an item of a file is called there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ItemId {
    /// A number.
    Number(i64),
    /// Text.
    Text(String),
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ItemId::Number(number) => number.fmt(f),
            ItemId::Text(text) => text.fmt(f),
        }
    }
}

/// How a file of embeddings is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceOptions {
    /// An `.npy` file of the classes of one of embeddings; without it, they are the row numbers
    /// from 1.
    pub classes: Option<PathBuf>,
    /// An `.npy` file of their times; items without a time have none.
    pub times: Option<PathBuf>,
    /// What the column, array or member is called that has the classes: `class`, and `classes` in
    /// an `.npz`.
    pub class_name: Option<String>,
    /// The same for the embeddings: `embedding`, and `embeddings` in an `.npz`.
    pub embedding_name: Option<String>,
    /// The same for what items are called: `id`, and `ids` in an `.npz`; where there is none, the
    /// class.
    pub id_name: Option<String>,
    /// Whether the items are asked about and not imported. Then they need no class.
    pub are_probes: bool,
    /// Whether what a file says of people is passed over.
    pub templates_only: bool,
}

impl SourceOptions {
    /// As [`file_facts`], with what decides beside the file what is read of it; nothing is said of what is as
    /// usual, as earlier builds did.
    fn facts(&self, path: &Path) -> Result<String, ExchangeError> {
        let mut facts = file_facts(path)?;
        let names = [
            ("classes", &self.class_name),
            ("embeddings", &self.embedding_name),
            ("ids", &self.id_name),
        ];
        for (what, name) in names {
            if let Some(name) = name {
                facts.push_str(&format!(", {what} in `{name}`"));
            }
        }
        if self.templates_only {
            facts.push_str(", templates only");
        }
        Ok(facts)
    }

    /// What the columns or members of a file are called.
    fn names(&self) -> Names<'_> {
        Names {
            class: self.class_name.as_deref().unwrap_or("class"),
            embedding: self.embedding_name.as_deref().unwrap_or("embedding"),
            id: self.id_name.as_deref().unwrap_or("id"),
        }
    }

    /// Whether a column or member says something of a person: it is not said to be something else.
    fn is_of_person(&self, name: &str) -> bool {
        let others = [&self.class_name, &self.embedding_name];
        !self.are_probes
            && !self.templates_only
            && others
                .into_iter()
                .all(|other| other.as_deref() != Some(name))
    }
}

/// What the columns or members are called.
#[derive(Clone, Copy)]
struct Names<'a> {
    class: &'a str,
    embedding: &'a str,
    id: &'a str,
}

/// What is said of a file without a column: what it has instead.
#[cfg(any(feature = "npz", feature = "parquet"))]
fn no_column<'a>(
    path: &Path,
    what: &str,
    name: &str,
    there: impl Iterator<Item = &'a str>,
) -> ExchangeError {
    let there: Vec<String> = there.take(12).map(|name| format!("`{name}`")).collect();
    let there = match &there[..] {
        [] => String::new(),
        there => format!(", but {}", there.join(", ")),
    };
    ExchangeError::Contents {
        path: path.to_owned(),
        expected: format!(
            "{what}s of classes and embeddings; another name is given with --class-column or \
             --embedding-column"
        ),
        found: format!("no {what} `{name}`{there}"),
    }
}

/// An item that can be imported.
///
/// `Debug` shows no value: embeddings are secrets.
#[derive(Clone, PartialEq)]
pub struct Record<'a> {
    /// Whom it shows.
    pub class: ClassId,
    /// Its values: an embedding.
    pub values: &'a [f32],
    /// When it was enrolled, if that is known.
    pub enrolled: Option<Timestamp>,
    /// The quality of its sample from 0 to 1, or NaN where it is not known.
    pub quality: f32,
    /// What is said of the person, if anything is. Of the classes that it is not, nothing.
    pub person: Option<Box<PersonRecord>>,
}

/// An item that cannot be imported, or looks like somebody else. As JSON, a line of the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusedItem {
    /// Which item of its source, from 0.
    pub item: u64,
    /// Where, and why.
    #[serde(flatten)]
    pub refused: Refused,
}

/// Why an item is refused, or what is odd about it, and where it can be found if its number does not say it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Whom it looks like, if that is why.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Duplicate>,
    /// What is wrong with it. Never a value of an embedding.
    pub reason: String,
}

/// An item that looks like somebody who is there under another class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Duplicate {
    /// Its class.
    pub class: i64,
    /// The class that it looks like.
    pub duplicate_of: i64,
    /// How alike it is to that.
    pub similarity: f64,
    /// Whether it is imported all the same.
    pub imported: bool,
}

impl Refused {
    /// An item that is found by its number.
    pub fn new(reason: impl Into<String>) -> Refused {
        Refused {
            line: None,
            picture: None,
            picture_bytes: None,
            duplicate: None,
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
            person: _,
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

/// Opens a file of embeddings with the usual names of columns. As [`open_source_with`].
///
/// # Errors
///
/// As [`open_source_with`].
pub fn open_source(
    path: &Path,
    classes: Option<&Path>,
    times: Option<&Path>,
) -> Result<Box<dyn Source>, ExchangeError> {
    let options = SourceOptions {
        classes: classes.map(Path::to_owned),
        times: times.map(Path::to_owned),
        ..SourceOptions::default()
    };
    open_source_with(path, &options)
}

/// Opens a file of embeddings. The end of its name decides on the format; `docs/exchange.md`
/// describes each.
///
/// # Errors
///
/// If the name has no known end, a file cannot be read, is none of its format, holds something else
/// or nothing, or the options are for another format.
pub fn open_source_with(
    path: &Path,
    options: &SourceOptions,
) -> Result<Box<dyn Source>, ExchangeError> {
    // What comes through a pipe cannot be read twice, and whoever opens one waits for its other end.
    let metadata = fs::metadata(path);
    if let Ok(found) = metadata.map(|it| it.file_type())
        && !found.is_file()
        && !found.is_dir()
    {
        return Err(ExchangeError::Contents {
            path: path.to_owned(),
            expected: "a file".to_owned(),
            found: "a pipe or a device".to_owned(),
        });
    }
    let extension = path.extension().unwrap_or_default();
    let is = |known: &str| extension.eq_ignore_ascii_case(known);
    if is("npy") {
        let names = [
            &options.class_name,
            &options.embedding_name,
            &options.id_name,
        ];
        if let Some(name) = names.into_iter().flatten().next() {
            return Err(ExchangeError::Contents {
                path: path.to_owned(),
                expected: "an `.npz`, `.parquet` or `.jsonl` file".to_owned(),
                found: format!("one array without a name, and none is called `{name}`"),
            });
        }
        return matrix::open_npy(path, options.classes.as_deref(), options.times.as_deref());
    }
    let known = ["npz", "parquet", "jsonl", "ndjson"].into_iter().any(is);
    let extra = options.classes.as_ref().or(options.times.as_ref());
    if let Some(extra) = extra.filter(|_| known) {
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
        return lines::open_lines(path, options);
    }
    if is("npz") {
        #[cfg(feature = "npz")]
        return npz::open_npz(path, options);
        #[cfg(not(feature = "npz"))]
        return Err(no_feature(path, "npz"));
    }
    if is("parquet") {
        #[cfg(feature = "parquet")]
        return table::open_table(path, options);
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
