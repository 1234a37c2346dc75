//! A Parquet table with the columns `class`, `embedding` (a list of FLOAT), `time` and `quality`.

use std::fs::File;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{DataType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::{Draft, ExchangeError, Visit};
use crate::exchange::Record;
use crate::exchange::table::io_error;

/// Values of a group of rows: the most that is held in memory.
const VALUES_PER_GROUP: usize = 1 << 22;
/// Rows of a group, however few values they have.
const ROWS_PER_GROUP: usize = 1 << 16;

pub(super) fn write<E: From<ExchangeError>>(
    draft: &Draft,
    dimension: usize,
    mut each: impl FnMut(Visit<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |error| draft.error(io_error(error));
    let rows = (VALUES_PER_GROUP / dimension).clamp(1, ROWS_PER_GROUP);
    let mut writer = open(draft.file()).map_err(failed)?;
    let mut group = GroupColumns::default();
    each(&mut |record| {
        group.push(record);
        if group.classes.len() == rows {
            group.write(&mut writer).map_err(failed)?;
        }
        Ok(())
    })?;
    if !group.classes.is_empty() {
        group.write(&mut writer).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(())
}

fn open(file: &File) -> Result<SerializedFileWriter<&File>, ParquetError> {
    let values = ColumnPath::from(["embedding", "list", "element"].map(str::to_owned).to_vec());
    let properties = WriterProperties::builder()
        .set_created_by(format!("vultus version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::SNAPPY)
        // Hardly a value comes twice, nor do its bytes become fewer; and the smallest and largest
        // of some embeddings help nobody to find one.
        .set_column_compression(values.clone(), Compression::UNCOMPRESSED)
        .set_column_dictionary_enabled(values.clone(), false)
        .set_column_statistics_enabled(values, EnabledStatistics::None);
    SerializedFileWriter::new(file, schema()?, Arc::new(properties.build()))
}

fn schema() -> Result<TypePtr, ParquetError> {
    let plain = |name, physical, repetition, logical| {
        Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    };
    let element = plain("element", Physical::FLOAT, Repetition::REQUIRED, None)?;
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![element])
        .build()?;
    let embedding = Type::group_type_builder("embedding")
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(list)])
        .build()?;
    let moment = LogicalType::timestamp(true, TimeUnit::MILLIS);
    let fields = vec![
        plain("class", Physical::INT64, Repetition::REQUIRED, None)?,
        Arc::new(embedding),
        plain("time", Physical::INT64, Repetition::OPTIONAL, Some(moment))?,
        plain("quality", Physical::FLOAT, Repetition::OPTIONAL, None)?,
    ];
    let schema = Type::group_type_builder("schema").with_fields(fields);
    Ok(Arc::new(schema.build()?))
}

/// Rows of a group, column by column. Levels say of each entry whether it is there (1), and of a
/// value whether it goes on with the list of the one before (1).
#[derive(Default)]
struct GroupColumns {
    classes: Vec<i64>,
    values: Vec<f32>,
    continued: Vec<i16>,
    times: Vec<i64>,
    timed: Vec<i16>,
    qualities: Vec<f32>,
    rated: Vec<i16>,
}

impl GroupColumns {
    fn push(&mut self, record: &Record<'_>) {
        self.classes.push(record.class.0);
        self.values.extend_from_slice(record.values);
        self.continued
            .extend((0..record.values.len()).map(|at| i16::from(at > 0)));
        let time = record.enrolled.map(|time| time.unix_milliseconds);
        self.times.extend(time);
        self.timed.push(i16::from(time.is_some()));
        let quality = Some(record.quality).filter(|quality| !quality.is_nan());
        self.qualities.extend(quality);
        self.rated.push(i16::from(quality.is_some()));
    }

    /// Writes the rows as a group, and forgets them.
    fn write(&mut self, writer: &mut SerializedFileWriter<&File>) -> Result<(), ParquetError> {
        let there = vec![1; self.values.len()];
        let mut group = writer.next_row_group()?;
        column::<Int64Type>(&mut group, &self.classes, None, None)?;
        let continued = Some(&self.continued[..]);
        column::<FloatType>(&mut group, &self.values, Some(&there), continued)?;
        column::<Int64Type>(&mut group, &self.times, Some(&self.timed), None)?;
        column::<FloatType>(&mut group, &self.qualities, Some(&self.rated), None)?;
        group.close()?;
        *self = GroupColumns::default();
        Ok(())
    }
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &File>,
    values: &[T::T],
    there: Option<&[i16]>,
    continued: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let column = group.next_column()?;
    let mut column = column.expect("the schema has as many columns as are written");
    column.typed::<T>().write_batch(values, there, continued)?;
    column.close()
}
