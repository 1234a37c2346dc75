//! Parquet tables: of a gallery, with the columns `class`, `embedding` (a list of FLOAT), `time` and
//! `quality`, and what is known of people; and of faces, with the names of their pictures.

use std::fs::File;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::face_row::FaceRow;
use super::{Draft, ExchangeError, Visit};
use crate::exchange::Record;
use crate::exchange::table::io_error;
use crate::types::{ClassThreshold, ExternalId, NoteText, PersonName, Record as PersonRecord};

/// Values of a group of rows: the most that is held in memory.
const VALUES_PER_GROUP: usize = 1 << 22;
/// Rows of a group, however few values they have.
const ROWS_PER_GROUP: usize = 1 << 16;

pub(super) fn write<E: From<ExchangeError>>(
    draft: &Draft,
    dimension: usize,
    with_people: bool,
    mut each: impl FnMut(bool, Visit<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |error| draft.error(io_error(error));
    let rows = (VALUES_PER_GROUP / dimension).clamp(1, ROWS_PER_GROUP);
    let mut writer = open(draft.file(), with_people).map_err(failed)?;
    let mut group = GroupColumns {
        people: with_people.then(PeopleColumns::default),
        ..GroupColumns::default()
    };
    each(with_people, &mut |record| {
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

/// Writes a table of faces.
pub(super) fn write_faces(draft: &Draft, rows: &[FaceRow]) -> Result<(), ExchangeError> {
    let failed = |error| draft.error(io_error(error));
    let mut writer = open_with(draft.file(), face_schema().map_err(failed)?).map_err(failed)?;
    for rows in rows.chunks(ROWS_PER_GROUP / 16) {
        write_face_group(&mut writer, rows).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(())
}

fn write_face_group(
    writer: &mut SerializedFileWriter<&File>,
    rows: &[FaceRow],
) -> Result<(), ParquetError> {
    let texts = |of: fn(&FaceRow) -> &String| -> Vec<ByteArray> {
        let texts = rows.iter().map(of);
        texts.map(|text| ByteArray::from(text.as_str())).collect()
    };
    let numbers = |of: &dyn Fn(&FaceRow) -> i64| -> Vec<i64> { rows.iter().map(of).collect() };
    let mut group = writer.next_row_group()?;
    column::<ByteArrayType>(&mut group, &texts(|row| &row.id), None, None)?;
    column::<ByteArrayType>(&mut group, &texts(|row| &row.picture), None, None)?;
    column::<Int64Type>(&mut group, &numbers(&|row| row.face), None, None)?;
    for side in 0..4 {
        let sides = numbers(&|row| row.face_box[side]);
        column::<Int64Type>(&mut group, &sides, None, None)?;
    }
    let qualities: Vec<f32> = rows.iter().map(|row| row.quality).collect();
    column::<FloatType>(&mut group, &qualities, None, None)?;
    let values = rows.iter().flat_map(|row| &row.embedding);
    let values: Vec<f32> = values.copied().collect();
    let continued = rows.iter().flat_map(|row| 0..row.embedding.len());
    let continued: Vec<i16> = continued.map(|at| i16::from(at > 0)).collect();
    let there = vec![1; values.len()];
    column::<FloatType>(&mut group, &values, Some(&there), Some(&continued))?;
    group.close()?;
    Ok(())
}

fn open(file: &File, with_people: bool) -> Result<SerializedFileWriter<&File>, ParquetError> {
    open_with(file, schema(with_people)?)
}

fn open_with(file: &File, schema: TypePtr) -> Result<SerializedFileWriter<&File>, ParquetError> {
    let values = ColumnPath::from(["embedding", "list", "element"].map(str::to_owned).to_vec());
    let properties = WriterProperties::builder()
        .set_created_by(format!("vultus version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::SNAPPY)
        // Hardly a value comes twice, nor do its bytes become fewer; and the smallest and largest
        // of some embeddings help nobody to find one.
        .set_column_compression(values.clone(), Compression::UNCOMPRESSED)
        .set_column_dictionary_enabled(values.clone(), false)
        .set_column_statistics_enabled(values, EnabledStatistics::None);
    SerializedFileWriter::new(file, schema, Arc::new(properties.build()))
}

fn plain(
    name: &str,
    physical: Physical,
    repetition: Repetition,
    logical: Option<LogicalType>,
) -> Result<TypePtr, ParquetError> {
    Type::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .build()
        .map(Arc::new)
}

/// A list of FLOAT.
fn embedding() -> Result<TypePtr, ParquetError> {
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
    Ok(Arc::new(embedding))
}

fn schema(with_people: bool) -> Result<TypePtr, ParquetError> {
    let moment = LogicalType::timestamp(true, TimeUnit::MILLIS);
    let optional = Repetition::OPTIONAL;
    let mut fields = vec![
        plain("class", Physical::INT64, Repetition::REQUIRED, None)?,
        embedding()?,
        plain("time", Physical::INT64, optional, Some(moment.clone()))?,
        plain("quality", Physical::FLOAT, optional, None)?,
    ];
    if with_people {
        for name in ["name", "external_id", "labels", "note"] {
            let logical = Some(LogicalType::String);
            fields.push(plain(name, Physical::BYTE_ARRAY, optional, logical)?);
        }
        fields.push(plain("expires", Physical::INT64, optional, Some(moment))?);
        fields.push(plain("threshold", Physical::DOUBLE, optional, None)?);
    }
    let schema = Type::group_type_builder("schema").with_fields(fields);
    Ok(Arc::new(schema.build()?))
}

fn face_schema() -> Result<TypePtr, ParquetError> {
    let required = |name, physical| plain(name, physical, Repetition::REQUIRED, None);
    let text = |name| {
        let logical = Some(LogicalType::String);
        plain(name, Physical::BYTE_ARRAY, Repetition::REQUIRED, logical)
    };
    let mut fields = vec![text("id")?, text("picture")?];
    for name in ["face", "left", "top", "width", "height"] {
        fields.push(required(name, Physical::INT64)?);
    }
    fields.push(required("quality", Physical::FLOAT)?);
    fields.push(embedding()?);
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
    people: Option<PeopleColumns>,
}

/// Values of an optional column, and where they are.
#[derive(Default)]
struct Optional<T> {
    values: Vec<T>,
    there: Vec<i16>,
}

impl<T> Optional<T> {
    fn push(&mut self, value: Option<T>) {
        self.there.push(i16::from(value.is_some()));
        self.values.extend(value);
    }
}

/// What is known of people, column by column.
#[derive(Default)]
struct PeopleColumns {
    /// Name, external id, labels and note.
    texts: [Optional<ByteArray>; 4],
    expires: Optional<i64>,
    thresholds: Optional<f64>,
}

impl PeopleColumns {
    fn push(&mut self, person: Option<&PersonRecord>) {
        let bytes = |text: &str| ByteArray::from(text.as_bytes().to_vec());
        let labels = person.map(|person| person.labels.to_text());
        let given = [
            person
                .and_then(|it| it.name.as_ref())
                .map(PersonName::as_str),
            person
                .and_then(|it| it.external_id.as_ref())
                .map(ExternalId::as_str),
            labels.as_deref().filter(|labels| !labels.is_empty()),
            person.and_then(|it| it.note.as_ref()).map(NoteText::as_str),
        ];
        for (column, text) in self.texts.iter_mut().zip(given) {
            column.push(text.map(bytes));
        }
        let expires = person.and_then(|person| person.expires);
        self.expires
            .push(expires.map(|time| time.unix_milliseconds));
        let threshold = person.and_then(|person| person.threshold);
        self.thresholds.push(threshold.map(ClassThreshold::get));
    }

    fn write(&self, group: &mut SerializedRowGroupWriter<'_, &File>) -> Result<(), ParquetError> {
        for texts in &self.texts {
            column::<ByteArrayType>(group, &texts.values, Some(&texts.there), None)?;
        }
        let Optional { values, there } = &self.expires;
        column::<Int64Type>(group, values, Some(there), None)?;
        let Optional { values, there } = &self.thresholds;
        column::<DoubleType>(group, values, Some(there), None)
    }
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
        if let Some(people) = &mut self.people {
            people.push(record.person.as_deref());
        }
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
        if let Some(people) = &self.people {
            people.write(&mut group)?;
        }
        group.close()?;
        *self = GroupColumns {
            people: self.people.is_some().then(PeopleColumns::default),
            ..GroupColumns::default()
        };
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
