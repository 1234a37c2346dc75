//! The columns of a Parquet table that say something of people.

use parquet::basic::Type as Physical;
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;

use super::columns::{Unit, flat, integers, scalar_sign, scalars, unit_of};
use super::person::TEXT_BYTES_MAX;
use super::{ExchangeError, Refused, Told};
use crate::types::{Record as PersonRecord, Timestamp};

/// A column, by its number.
type Found<'a> = Option<(usize, &'a ColumnDescriptor)>;

/// Which columns are read: their numbers among all.
#[derive(Clone, Copy, Default)]
pub(super) struct ToldColumns {
    name: Option<usize>,
    /// The column, and whether its numbers have no sign.
    external_id: Option<(usize, bool)>,
    labels: Option<usize>,
    note: Option<usize>,
    expires: Option<(usize, Unit)>,
    threshold: Option<usize>,
    /// Whether there is a column `labels` of something else: many files have the classes of a training
    /// there.
    pub(super) has_other_labels: bool,
}

impl ToldColumns {
    /// Finds the columns. `unexpected` says of one that it must be another.
    pub(super) fn find<'a>(
        find: impl Fn(&str) -> Result<Found<'a>, ExchangeError>,
        unexpected: impl Fn(String, &ColumnDescriptor) -> ExchangeError,
    ) -> Result<ToldColumns, ExchangeError> {
        let wrong = |name: &str, kind: &str, column: &ColumnDescriptor| {
            let pass = "--templates-only passes over what a file says of people";
            unexpected(format!("a column `{name}` of {kind}; {pass}"), column)
        };
        let text = |name: &str| match find(name)? {
            Some((_, column)) if !is_text(column) => Err(wrong(name, "text", column)),
            found => Ok(found.map(|(at, _)| at)),
        };
        let external_id = find("external_id")?.map(|(at, column)| match scalar_sign(column) {
            Some(is_unsigned) => Ok((at, is_unsigned)),
            None => Err(wrong("external_id", "text or whole numbers", column)),
        });
        let expires = find("expires")?.map(|(at, column)| match unit_of(column) {
            Some(unit) => Ok((at, unit)),
            None => Err(wrong(
                "expires",
                "INT64 (milliseconds since 1970) or TIMESTAMP",
                column,
            )),
        });
        let threshold = find("threshold")?.map(|(at, column)| match is_number(column) {
            true => Ok(at),
            false => Err(wrong("threshold", "FLOAT or DOUBLE", column)),
        });
        let labels = find("labels").ok().flatten();
        let has_labels = find("labels").map_or(true, |found| found.is_some());
        let labels = labels
            .filter(|(_, column)| is_text(column))
            .map(|(at, _)| at);
        Ok(ToldColumns {
            name: text("name")?,
            external_id: external_id.transpose()?,
            labels,
            note: text("note")?,
            expires: expires.transpose()?,
            threshold: threshold.transpose()?,
            has_other_labels: has_labels && labels.is_none(),
        })
    }

    /// Readers of those columns.
    pub(super) fn open<E>(
        &self,
        open: impl Fn(usize) -> Result<ColumnReader, E>,
    ) -> Result<ToldReaders, E> {
        Ok(ToldReaders {
            name: self.name.map(&open).transpose()?,
            external_id: self.external_id.map(|(at, _)| open(at)).transpose()?,
            labels: self.labels.map(&open).transpose()?,
            note: self.note.map(&open).transpose()?,
            expires: self.expires.map(|(at, _)| open(at)).transpose()?,
            threshold: self.threshold.map(&open).transpose()?,
            columns: *self,
        })
    }
}

fn is_text(column: &ColumnDescriptor) -> bool {
    column.physical_type() == Physical::BYTE_ARRAY && scalar_sign(column).is_some()
}

fn is_number(column: &ColumnDescriptor) -> bool {
    matches!(column.physical_type(), Physical::FLOAT | Physical::DOUBLE)
        && column.max_rep_level() == 0
}

/// The columns of a group of rows, in the middle of being read.
pub(super) struct ToldReaders {
    name: Option<ColumnReader>,
    external_id: Option<ColumnReader>,
    labels: Option<ColumnReader>,
    note: Option<ColumnReader>,
    expires: Option<ColumnReader>,
    threshold: Option<ColumnReader>,
    columns: ToldColumns,
}

/// Texts as they stand in their page, of which there is one copy however many rows have it.
type Texts = Vec<Option<ByteArray>>;

/// What some rows say of people.
#[derive(Default)]
pub(super) struct ToldRows {
    names: Option<Texts>,
    external_ids: Option<Texts>,
    labels: Option<Texts>,
    notes: Option<Texts>,
    expires: Option<Vec<Option<i64>>>,
    thresholds: Option<Vec<Option<f64>>>,
}

impl ToldReaders {
    /// The next rows.
    pub(super) fn read(&mut self, rows: usize) -> Result<ToldRows, ParquetError> {
        let texts = |reader: &mut Option<ColumnReader>| {
            let reader = reader.as_mut();
            reader.map(|reader| texts(reader, rows, false)).transpose()
        };
        let mut told = ToldRows {
            names: texts(&mut self.name)?,
            labels: texts(&mut self.labels)?,
            notes: texts(&mut self.note)?,
            ..ToldRows::default()
        };
        if let (Some(reader), Some((_, is_unsigned))) =
            (&mut self.external_id, self.columns.external_id)
        {
            told.external_ids = Some(self::texts(reader, rows, is_unsigned)?);
        }
        if let (Some(reader), Some((_, unit))) = (&mut self.expires, self.columns.expires) {
            let times = integers(reader, rows)?.into_iter();
            told.expires = Some(times.map(|time| Some(unit.milliseconds(time?))).collect());
        }
        told.thresholds = match &mut self.threshold {
            Some(ColumnReader::DoubleColumnReader(reader)) => Some(flat(reader, rows)?),
            Some(ColumnReader::FloatColumnReader(reader)) => {
                let numbers = flat(reader, rows)?.into_iter();
                Some(numbers.map(|number| number.map(f64::from)).collect())
            }
            _ => None,
        };
        Ok(told)
    }
}

fn texts(reader: &mut ColumnReader, rows: usize, is_unsigned: bool) -> Result<Texts, ParquetError> {
    if let ColumnReader::ByteArrayColumnReader(reader) = reader {
        return flat(reader, rows);
    }
    let numbers = scalars(reader, rows, is_unsigned)?.into_iter();
    let text = |number: super::columns::Scalar| {
        let text = number.id()?.to_string();
        Some(ByteArray::from(text.into_bytes()))
    };
    Ok(numbers.map(text).collect())
}

impl ToldRows {
    /// What a row says.
    pub(super) fn record(&self, at: usize) -> Result<Option<Box<PersonRecord>>, Refused> {
        let text = |name: &str, texts: &Option<Texts>| match texts.as_ref().map(|it| &it[at]) {
            Some(Some(text)) => checked(name, text).map(Some),
            _ => Ok(None),
        };
        let (name, note) = (text("name", &self.names)?, text("note", &self.notes)?);
        let external_id = text("external_id", &self.external_ids)?;
        let labels = text("labels", &self.labels)?;
        let expires = self.expires.as_ref().and_then(|times| times[at]);
        let threshold = self.thresholds.as_ref().and_then(|list| list[at]);
        let told = Told {
            name: name.as_deref(),
            external_id: external_id.as_deref(),
            labels: labels.as_deref(),
            note: note.as_deref(),
            expires: expires.map(|unix_milliseconds| Timestamp { unix_milliseconds }),
            // What programs write for none.
            threshold: threshold.filter(|threshold| !threshold.is_nan()),
        };
        told.record()
    }
}

fn checked(name: &str, text: &ByteArray) -> Result<String, Refused> {
    let bytes = text.data();
    if bytes.len() > TEXT_BYTES_MAX {
        let found = bytes.len();
        let reason = format!("`{name}` has {found} bytes, and {TEXT_BYTES_MAX} is the most");
        return Err(Refused::new(reason));
    }
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| Refused::new(format!("`{name}` is no text in UTF-8")))?;
    Ok(text.to_owned())
}
