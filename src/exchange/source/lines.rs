//! JSON lines: `{"class": 7, "embedding": [0.1, -0.2], "time": 1700000000000, "quality": 0.9}`, and
//! what is known of the person.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use super::utf16::Utf16;
use super::{
    ExchangeError, ITEMS_PER_PIECE, ItemId, Job, Length, NO_CLASS, Piece, Record, Refused, Source,
    SourceOptions, Told, class_of_text, items_per_commit,
};
use crate::exchange::npy::{self, whole_number};
use crate::types::{
    ClassId, Embedding, Label, Labels, Record as PersonRecord, RecordError, Rounded, Timestamp,
};

/// The longest line that is read. The largest embedding takes a fifth of it in full digits.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Lines of so many bytes are read together.
const BYTES_PER_PIECE: usize = 1 << 22;

/// A line, which may be none to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its bytes, without those that end it.
    Whole(&'a [u8]),
    /// It is longer than any is that could be of use.
    TooLong,
}

/// The lines of a file, from first to last, however long they are: one that is too long is passed
/// over, and never kept. A file in UTF-16 with its mark in front is read as UTF-8.
#[derive(Debug)]
pub struct LineReader {
    path: PathBuf,
    reader: Text,
    bytes: u64,
    /// In the text as it is read.
    position: u64,
    line_bytes_max: usize,
    buffer: Vec<u8>,
}

impl LineReader {
    /// Opens a file. Lines of more than `line_bytes_max` bytes are too long.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn open(path: &Path, line_bytes_max: usize) -> Result<LineReader, ExchangeError> {
        let (reader, bytes) = npy::open(path)?;
        let reader = Text::of(reader).map_err(ExchangeError::io("read", path))?;
        Ok(LineReader {
            path: path.to_owned(),
            reader,
            bytes,
            position: 0,
            line_bytes_max,
            buffer: Vec::new(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long the file was when it was opened.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How much of it is read, in bytes; nearly, if it is in UTF-16.
    pub fn position(&self) -> u64 {
        match &self.reader {
            Text::Utf8(_) => self.position,
            Text::Utf16(_) => (2 * self.position).min(self.bytes),
            Text::Gone => self.bytes,
        }
    }

    /// The next line, or `None` after the last.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, ExchangeError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let read = self.append(&mut buffer);
        self.buffer = buffer;
        Ok(read?.map(|fits| {
            if fits {
                Line::Whole(&self.buffer)
            } else {
                Line::TooLong
            }
        }))
    }

    /// Appends the next line to `buffer` and says whether it was one to be kept; if not, nothing is
    /// appended. A line ends with a line feed, a carriage return, or both.
    fn append(&mut self, buffer: &mut Vec<u8>) -> Result<Option<bool>, ExchangeError> {
        let start = buffer.len();
        let is_first = self.position == 0;
        let most = self.line_bytes_max + MARK.len();
        let read = match &mut self.reader {
            Text::Utf8(reader) => read_line(reader, buffer, most),
            Text::Utf16(reader) => read_line(reader, buffer, most),
            Text::Gone => Ok(0),
        };
        let read = read.map_err(ExchangeError::io("read", &self.path))?;
        self.position += read;
        if read == 0 {
            return Ok(None);
        }
        if is_first && buffer[start..].starts_with(MARK) {
            buffer.drain(start..start + MARK.len());
        }
        let fits = buffer.len() - start <= self.line_bytes_max;
        if !fits {
            buffer.truncate(start);
        }
        Ok(Some(fits))
    }

    fn rewind(&mut self) -> Result<(), ExchangeError> {
        self.position = 0;
        let moved = self.reader.rewind();
        moved.map_err(ExchangeError::io("read", &self.path))
    }
}

/// A file of text, by its encoding.
#[derive(Debug)]
enum Text {
    Utf8(BufReader<File>),
    Utf16(BufReader<Utf16<BufReader<File>>>),
    /// Going back to its beginning failed.
    Gone,
}

impl Text {
    fn of(file: BufReader<File>) -> io::Result<Text> {
        Ok(match Utf16::new(file)? {
            Ok(text) => Text::Utf16(BufReader::new(text)),
            Err(file) => Text::Utf8(file),
        })
    }

    fn rewind(&mut self) -> io::Result<()> {
        let mut file = match std::mem::replace(self, Text::Gone) {
            Text::Utf8(file) => file,
            Text::Utf16(text) => text.into_inner().into_inner(),
            Text::Gone => return Ok(()),
        };
        file.rewind()?;
        *self = Text::of(file)?;
        Ok(())
    }
}

/// Some programs begin a file with a mark of its encoding, UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Appends a line without what ends it, or of a longer one little more than `most` bytes, and
/// returns how many were read.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>, most: usize) -> io::Result<u64> {
    let (start, mut read) = (line.len(), 0);
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(read);
        }
        let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let content = &buffer[..end.unwrap_or(buffer.len())];
        let room = (most + 1).saturating_sub(line.len() - start);
        line.extend_from_slice(&content[..content.len().min(room)]);
        let Some(end) = end else {
            let count = buffer.len();
            reader.consume(count);
            read += count as u64;
            continue;
        };
        let is_return = buffer[end] == b'\r';
        reader.consume(end + 1);
        read += end as u64 + 1;
        if is_return && reader.fill_buf()?.first() == Some(&b'\n') {
            reader.consume(1);
            read += 1;
        }
        return Ok(read);
    }
}

/// How files of other formats begin that are taken for lines by their name.
const BINARY: [(&[u8], &str); 4] = [
    (b"\x1f\x8b", "what gzip packed"),
    (b"\x28\xb5\x2f\xfd", "what zstd packed"),
    (b"PK\x03\x04", "a zip archive, as an `.npz` is"),
    (b"PAR1", "a Parquet table"),
];

/// Fails if a file begins as one of another format: each line of it would be refused by itself.
fn refuse_binary(path: &Path) -> Result<(), ExchangeError> {
    let (reader, _) = npy::open(path)?;
    let mut first = Vec::new();
    let read = reader.take(4).read_to_end(&mut first);
    read.map_err(ExchangeError::io("read", path))?;
    match BINARY.iter().find(|(begins, _)| first.starts_with(begins)) {
        None => Ok(()),
        Some((_, what)) => Err(ExchangeError::Contents {
            path: path.to_owned(),
            expected: "lines of JSON".to_owned(),
            found: (*what).to_owned(),
        }),
    }
}

/// Opens a file of JSON lines. The first line that can be read decides on the dimension, or else the
/// first that has an embedding. If none has, it is 0: every line will be refused.
pub(super) fn open_lines(
    path: &Path,
    options: &SourceOptions,
) -> Result<Box<dyn Source>, ExchangeError> {
    let facts = options.facts(path)?;
    refuse_binary(path)?;
    let mut lines = LineReader::open(path, LINE_BYTES_MAX)?;
    let mut first_list = 0;
    let is_empty = lines.bytes() == 0;
    let dimension = loop {
        match lines.next_line()? {
            None if is_empty => {
                return Err(ExchangeError::Contents {
                    path: path.to_owned(),
                    expected: "lines with a class and an embedding".to_owned(),
                    found: "no line".to_owned(),
                });
            }
            None => break first_list,
            Some(Line::Whole(line)) => {
                if let Ok(item) = parse(line, options)
                    && Embedding::check(&item.embedding).is_ok()
                {
                    if item.class.is_ok() {
                        break item.embedding.len();
                    }
                    if first_list == 0 {
                        first_list = item.embedding.len();
                    }
                }
            }
            Some(Line::TooLong) => {}
        }
    };
    lines.rewind()?;
    Ok(Box::new(LineSource {
        lines,
        facts,
        options: Arc::new(options.clone()),
        dimension,
        next_line: 0,
    }))
}

struct LineSource {
    lines: LineReader,
    facts: String,
    options: Arc<SourceOptions>,
    dimension: usize,
    next_line: u64,
}

impl Source for LineSource {
    fn name(&self) -> &Path {
        self.lines.path()
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn length(&self) -> Length {
        Length::Bytes(self.lines.bytes())
    }

    fn position(&self) -> u64 {
        self.lines.position()
    }

    fn describe(&self, job: Job) -> Job {
        job.with("file", &self.facts)
    }

    fn items_per_commit(&self) -> u64 {
        items_per_commit(self.dimension)
    }

    fn skip(&mut self, items: u64) -> Result<(), ExchangeError> {
        for passed in 0..items {
            if self.lines.next_line()?.is_none() {
                let what = format!("{items} lines were imported, it has {passed}");
                return Err(ExchangeError::malformed(self.name(), ".jsonl", what));
            }
        }
        self.next_line += items;
        Ok(())
    }

    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError> {
        let mut piece = LinePiece {
            options: self.options.clone(),
            first_line: self.next_line,
            dimension: self.dimension,
            bytes: Vec::new(),
            lines: Vec::new(),
        };
        while piece.lines.len() < ITEMS_PER_PIECE && piece.bytes.len() < BYTES_PER_PIECE {
            let start = piece.bytes.len();
            let Some(fits) = self.lines.append(&mut piece.bytes)? else {
                break;
            };
            let line = start..piece.bytes.len();
            piece.lines.push(fits.then_some(line));
        }
        self.next_line += piece.lines.len() as u64;
        Ok(if piece.lines.is_empty() {
            None
        } else {
            Some(Box::new(piece))
        })
    }
}

/// Lines that nobody has read yet.
struct LinePiece {
    options: Arc<SourceOptions>,
    first_line: u64,
    dimension: usize,
    bytes: Vec<u8>,
    /// Where each lies; `None` if it is too long.
    lines: Vec<Option<Range<usize>>>,
}

impl Piece for LinePiece {
    fn items(&self) -> usize {
        self.lines.len()
    }

    fn id(&self, at: usize) -> Option<ItemId> {
        let line = self.lines[at].clone()?;
        parse(&self.bytes[line], &self.options).ok()?.id
    }

    fn located(&self, at: usize, refused: Refused) -> Refused {
        refused.at_line(self.first_line + at as u64 + 1)
    }

    fn read<'a>(&'a self, at: usize, scratch: &'a mut Vec<f32>) -> Result<Record<'a>, Refused> {
        let record = self.parse(at, scratch);
        let record = record.and_then(|record| record.check(self.dimension));
        record.map_err(|refused| self.located(at, refused))
    }
}

impl LinePiece {
    fn parse<'a>(&self, at: usize, scratch: &'a mut Vec<f32>) -> Result<Record<'a>, Refused> {
        let Some(line) = &self.lines[at] else {
            return Err(Refused::new(format!(
                "the line has more than {LINE_BYTES_MAX} bytes"
            )));
        };
        let item = parse(&self.bytes[line.clone()], &self.options).map_err(Refused::new)?;
        let class = item.class.map_err(Refused::new)?;
        let person = item.person.record()?;
        *scratch = item.embedding;
        Ok(Record {
            class,
            values: scratch,
            enrolled: item.time,
            quality: item.quality.unwrap_or(f32::NAN),
            person,
        })
    }
}

/// A line as it is written.
struct Item {
    class: Result<ClassId, &'static str>,
    embedding: Vec<f32>,
    time: Option<Timestamp>,
    quality: Option<f32>,
    id: Option<ItemId>,
    person: OfPerson,
}

/// The members that say something of a person.
#[derive(Default)]
struct OfPerson {
    name: Option<Option<String>>,
    external_id: Option<Option<Scalar>>,
    labels: Option<Option<GivenLabels>>,
    note: Option<Option<String>>,
    expires: Option<Time>,
    threshold: Option<Option<f64>>,
}

/// Labels, as an object or as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum GivenLabels {
    Text(String),
    Object(BTreeMap<String, String>),
}

impl OfPerson {
    /// Reads the value of a member if it is of a person; says whether it was.
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "name" => once(&mut self.name, name, map.next_value()?)?,
            "external_id" => once(&mut self.external_id, name, map.next_value()?)?,
            "labels" => once(&mut self.labels, name, map.next_value()?)?,
            "note" => once(&mut self.note, name, map.next_value()?)?,
            "expires" => once(&mut self.expires, name, map.next_value()?)?,
            "threshold" => once(&mut self.threshold, name, map.next_value()?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn record(self) -> Result<Option<Box<PersonRecord>>, Refused> {
        let external_id = self.external_id.flatten().and_then(Scalar::id);
        let external_id = external_id.map(|id| id.to_string());
        let (name, note) = (self.name.flatten(), self.note.flatten());
        let mut told = Told {
            name: name.as_deref(),
            external_id: external_id.as_deref(),
            note: note.as_deref(),
            expires: self.expires.and_then(|Time(time)| time),
            threshold: self.threshold.flatten(),
            ..Told::default()
        };
        match self.labels.flatten() {
            None => told.record(),
            Some(GivenLabels::Text(text)) => {
                told.labels = Some(&text);
                told.record()
            }
            Some(GivenLabels::Object(labels)) => {
                let labels = labels.iter().map(|(key, value)| Label::new(key, value));
                let labels = labels.collect::<Result<Vec<Label>, RecordError>>();
                let labels = labels.and_then(|labels| labels.into_iter().collect());
                let labels: Labels = labels.map_err(|error| Refused::new(error.to_string()))?;
                let mut record = told.record()?;
                if !labels.is_empty() {
                    record.get_or_insert_default().labels = labels;
                }
                Ok(record)
            }
        }
    }
}

/// Reads an item whose members are called so. Members of other names are passed over.
struct ItemSeed<'a>(&'a SourceOptions);

impl<'de> DeserializeSeed<'de> for ItemSeed<'_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ItemSeed<'_> {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let names = self.0.names();
        let (mut class, mut embedding, mut id) = (None, None, None);
        let (mut time, mut quality) = (None, None);
        let mut person = OfPerson::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let name = &*name;
            if name == names.class {
                once(&mut class, name, map.next_value::<Scalar>()?)?;
            } else if name == names.embedding {
                once(&mut embedding, name, map.next_value::<Vec<Rounded>>()?)?;
            } else if name == names.id && self.0.are_probes {
                once(&mut id, name, map.next_value::<Scalar>()?)?;
            } else if name == "time" {
                once(&mut time, name, map.next_value::<Time>()?)?;
            } else if name == "quality" {
                once(&mut quality, name, map.next_value::<Option<Rounded>>()?)?;
            } else if !self.0.is_of_person(name) || !person.take(name, &mut map)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let missing = |name: &str| A::Error::custom(format_args!("missing field `{name}`"));
        let id = id.or_else(|| class.clone()).and_then(Scalar::id);
        let class = match class {
            Some(class) => class.class().ok_or(NO_CLASS),
            None if self.0.are_probes => Ok(ClassId(0)),
            None => return Err(missing(names.class)),
        };
        Ok(Item {
            class: class.or_else(|fault| match self.0.are_probes {
                true => Ok(ClassId(0)),
                false => Err(fault),
            }),
            embedding: Rounded::all(embedding.ok_or_else(|| missing(names.embedding))?),
            time: time.and_then(|Time(time)| time),
            quality: quality.flatten().map(|Rounded(quality)| quality),
            id,
            person,
        })
    }
}

/// Keeps a member, which may come once.
fn once<T, E: Error>(kept: &mut Option<T>, name: &str, value: T) -> Result<(), E> {
    match kept.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom(format_args!("duplicate field `{name}`"))),
    }
}

/// A class or an id. What is none is no fault of the line's form, so that all that is wrong with
/// `class` is said in one way.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Whole(i64),
    Number(f64),
    Text(String),
    Other(IgnoredAny),
}

impl Scalar {
    /// A whole number, also as text or with zeros behind a point, as other programs write it.
    fn class(self) -> Option<ClassId> {
        match self {
            Scalar::Whole(class) => Some(ClassId(class)),
            Scalar::Number(number) => whole_number(number).map(ClassId),
            Scalar::Text(text) => class_of_text(&text),
            Scalar::Other(IgnoredAny) => None,
        }
    }

    fn id(self) -> Option<ItemId> {
        match self {
            Scalar::Whole(number) => Some(ItemId::Number(number)),
            Scalar::Number(number) => Some(ItemId::Text(number.to_string())),
            Scalar::Text(text) => Some(ItemId::Text(text)),
            Scalar::Other(IgnoredAny) => None,
        }
    }
}

/// When an item was enrolled.
struct Time(Option<Timestamp>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        time(deserializer).map(Time)
    }
}

/// Milliseconds since 1970, or text as RFC 3339 has it.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Milliseconds(i64),
        Text(String),
    }
    match Option::<Given>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Given::Milliseconds(unix_milliseconds)) => Ok(Some(Timestamp { unix_milliseconds })),
        Some(Given::Text(text)) => {
            let time = Timestamp::from_rfc3339(&text);
            time.map(Some).ok_or_else(|| D::Error::custom("no time"))
        }
    }
}

/// Reads a line, or says what is wrong with it. What the parser says is not passed on where it
/// might show a value.
fn parse(line: &[u8], options: &SourceOptions) -> Result<Item, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let item = ItemSeed(options).deserialize(&mut deserializer);
    let item = item.and_then(|item| deserializer.end().map(|()| item));
    item.map_err(|error| {
        let text = error.to_string();
        let shown = text.split(" at line ").next().unwrap_or_default();
        let column = error.column();
        match error.classify() {
            Category::Data if shown.starts_with("missing field") => shown.to_owned(),
            Category::Data if shown.starts_with("duplicate field") => shown.to_owned(),
            Category::Data => format!(
                "what ends in column {column} is not of the kind that it must be (`time` is whole milliseconds since 1970 or text as in \"2026-11-24T22:04:03Z\", an embedding is a list of numbers, `quality` and `threshold` are numbers, `name`, `external_id` and `note` are texts, `labels` are an object of texts or text as in \"site:berlin;team:a\")"
            ),
            Category::Eof if line.is_empty() => "the line is empty".to_owned(),
            Category::Eof => "the line ends too early".to_owned(),
            Category::Syntax | Category::Io => format!("column {column} is no JSON"),
        }
    })
}
