//! Parquet tables of plain numbers and texts.
//!
//! Every value is there (no column is optional) and columns are compressed with Snappy, so that
//! every reader of Parquet reads them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type};

use super::ExchangeError;
use super::draft::Draft;

/// Rows that are written, and later read, together: the most that is held in memory.
pub(super) const ROWS_PER_GROUP: usize = 1 << 20;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int32,
    Int64,
    Double,
    Text,
}

/// Some values of a column.
#[derive(Debug)]
pub(super) enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Double(Vec<f64>),
    Text(Vec<String>),
}

/// Writes a table that appears when it is whole.
///
/// `facts` are kept in it, under names that begin with `vultus.`. `next_group` gives the next rows,
/// a vector for each column and all of one length, until there are none.
///
/// # Panics
///
/// Panics if the rows are not what `columns` announces.
pub(super) fn write<const N: usize>(
    path: &Path,
    columns: [(&str, Kind); N],
    facts: impl IntoIterator<Item = (String, String)>,
    mut next_group: impl FnMut() -> Result<Option<[Values; N]>, ExchangeError>,
) -> Result<(), ExchangeError> {
    let draft = Draft::create(path)?;
    let failed = |error| draft.error(io_error(error));
    let mut writer = open(draft.file(), &columns, facts).map_err(failed)?;
    while let Some(group) = next_group()? {
        append(&mut writer, &group).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    drop(writer);
    draft.finish()
}

fn open<'a>(
    file: &'a File,
    columns: &[(&str, Kind)],
    facts: impl IntoIterator<Item = (String, String)>,
) -> Result<SerializedFileWriter<&'a File>, ParquetError> {
    let facts = facts.into_iter();
    let facts = facts.map(|(name, value)| KeyValue::new(format!("vultus.{name}"), value));
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("vultus version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(facts.collect()));
    let mut fields = Vec::new();
    for &(name, kind) in columns {
        let physical = match kind {
            Kind::Int32 => Physical::INT32,
            Kind::Int64 => Physical::INT64,
            Kind::Double => Physical::DOUBLE,
            Kind::Text => Physical::BYTE_ARRAY,
        };
        let field = Type::primitive_type_builder(name, physical);
        let logical = (kind == Kind::Text).then_some(LogicalType::String);
        let field = field.with_repetition(Repetition::REQUIRED);
        let field = field.with_logical_type(logical).build()?;
        fields.push(Arc::new(field));
        // Hardly a similarity comes twice: a dictionary of them would be built in vain.
        let dictionary = kind != Kind::Double;
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), dictionary);
    }
    let schema = Type::group_type_builder("schema").with_fields(fields);
    SerializedFileWriter::new(
        file,
        Arc::new(schema.build()?),
        Arc::new(properties.build()),
    )
}

fn append(
    writer: &mut SerializedFileWriter<&File>,
    columns: &[Values],
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for values in columns {
        let column = group.next_column()?;
        let mut column = column.expect("the schema was made of the same columns");
        match values {
            Values::Int32(values) => column
                .typed::<Int32Type>()
                .write_batch(values, None, None)?,
            Values::Int64(values) => column
                .typed::<Int64Type>()
                .write_batch(values, None, None)?,
            Values::Text(values) => {
                let values: Vec<ByteArray> = values.iter().map(|text| (&**text).into()).collect();
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, None, None)?
            }
            Values::Double(values) => column
                .typed::<DoubleType>()
                .write_batch(values, None, None)?,
        };
        column.close()?;
    }
    group.close()?;
    Ok(())
}

/// What the operating system said, where that was the cause.
pub(super) fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(cause) => io::Error::other(cause),
        },
        error => io::Error::other(error),
    }
}
