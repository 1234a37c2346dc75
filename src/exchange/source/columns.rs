//! Single columns of Parquet tables: what their values stand for, and the next of them.

use half::f16;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{DataType, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;

use super::{ItemId, NO_CLASS, Refused, class_of_text};
use crate::exchange::npy::whole_number;
use crate::types::ClassId;

/// What a time is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// Whether the numbers of a column have no sign, if it holds what can be a class or an id: whole
/// numbers, numbers that may be whole, or texts.
pub(super) fn scalar_sign(column: &ColumnDescriptor) -> Option<bool> {
    if column.max_rep_level() != 0 {
        return None;
    }
    let unsigned = matches!(
        column.converted_type(),
        ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64
    );
    let is_text = match column.logical_type_ref() {
        Some(LogicalType::String | LogicalType::Enum) => true,
        Some(_) => false,
        None => matches!(
            column.converted_type(),
            ConvertedType::UTF8 | ConvertedType::ENUM
        ),
    };
    match (column.physical_type(), column.logical_type_ref()) {
        (Physical::INT32 | Physical::INT64, Some(LogicalType::Integer(integer))) => {
            Some(!integer.is_signed)
        }
        (Physical::INT32 | Physical::INT64, None) if unsigned => Some(true),
        (Physical::INT32 | Physical::INT64, _) => is_plain_integer(column).then_some(false),
        (Physical::FLOAT | Physical::DOUBLE, None) => Some(false),
        (Physical::FIXED_LEN_BYTE_ARRAY, _) => is_half(column).then_some(false),
        (Physical::BYTE_ARRAY, _) => is_text.then_some(false),
        _ => None,
    }
}

/// Whether a column has numbers of half precision.
pub(super) fn is_half(column: &ColumnDescriptor) -> bool {
    column.physical_type() == Physical::FIXED_LEN_BYTE_ARRAY
        && column.logical_type_ref() == Some(&LogicalType::Float16)
        && column.type_length() == 2
}

/// A number of half precision in a column of those.
pub(super) fn half(number: &FixedLenByteArray) -> Result<f32, ParquetError> {
    let bytes = number.data().try_into();
    let bytes: [u8; 2] = bytes.map_err(|_| not_of_its_type())?;
    Ok(f16::from_le_bytes(bytes).to_f32())
}

/// What the values of a column stand for, for people.
pub(super) fn meaning(column: &ColumnDescriptor) -> String {
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp(_)) => "times".to_owned(),
        Some(LogicalType::Date) => "dates".to_owned(),
        Some(LogicalType::Time(_)) => "times of day".to_owned(),
        Some(LogicalType::Decimal(_)) => "decimal numbers".to_owned(),
        _ => column.converted_type().to_string(),
    }
}

/// Whether a column has signed whole numbers, which stand for nothing else.
pub(super) fn is_plain_integer(column: &ColumnDescriptor) -> bool {
    let signed = match column.logical_type_ref() {
        None => matches!(
            column.converted_type(),
            ConvertedType::NONE
                | ConvertedType::INT_64
                | ConvertedType::INT_32
                | ConvertedType::INT_16
                | ConvertedType::INT_8
        ),
        Some(LogicalType::Integer(integer)) => integer.is_signed,
        Some(_) => false,
    };
    let whole = matches!(column.physical_type(), Physical::INT64 | Physical::INT32);
    signed && whole && column.max_rep_level() == 0
}

pub(super) fn unit_of(column: &ColumnDescriptor) -> Option<Unit> {
    if column.physical_type() != Physical::INT64 || column.max_rep_level() != 0 {
        return None;
    }
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp(time)) => Some(match time.unit {
            TimeUnit::MILLIS => Unit::Milliseconds,
            TimeUnit::MICROS => Unit::Microseconds,
            TimeUnit::NANOS => Unit::Nanoseconds,
        }),
        None if column.converted_type() == ConvertedType::TIMESTAMP_MILLIS => {
            Some(Unit::Milliseconds)
        }
        None if column.converted_type() == ConvertedType::TIMESTAMP_MICROS => {
            Some(Unit::Microseconds)
        }
        _ => is_plain_integer(column).then_some(Unit::Milliseconds),
    }
}

impl Unit {
    /// Rounds down, before 1970 as after.
    pub(super) fn milliseconds(self, time: i64) -> i64 {
        match self {
            Unit::Milliseconds => time,
            Unit::Microseconds => time.div_euclid(1_000),
            Unit::Nanoseconds => time.div_euclid(1_000_000),
        }
    }
}

pub(super) fn not_of_its_type() -> ParquetError {
    ParquetError::General("a column is not of its type".to_owned())
}

/// A value of a column of classes or ids.
#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Null,
    Number(i64),
    /// Text, or a number that is no whole one of 64 bits.
    Text(String),
}

impl Scalar {
    pub(super) fn class(&self) -> Result<ClassId, Refused> {
        let class = match self {
            Scalar::Null => return Err(Refused::new("`class` is null")),
            Scalar::Number(number) => Some(ClassId(*number)),
            Scalar::Text(text) => class_of_text(text),
        };
        class.ok_or_else(|| Refused::new(NO_CLASS))
    }

    pub(super) fn id(&self) -> Option<ItemId> {
        match self {
            Scalar::Null => None,
            Scalar::Number(number) => Some(ItemId::Number(*number)),
            Scalar::Text(text) => Some(ItemId::Text(text.clone())),
        }
    }

    fn of_double(number: f64) -> Scalar {
        let whole = whole_number(number).map(Scalar::Number);
        whole.unwrap_or_else(|| Scalar::Text(number.to_string()))
    }
}

/// The next classes or ids of a column.
pub(super) fn scalars(
    reader: &mut ColumnReader,
    rows: usize,
    is_unsigned: bool,
) -> Result<Vec<Scalar>, ParquetError> {
    fn each<T>(values: Vec<Option<T>>, scalar: impl Fn(T) -> Scalar) -> Vec<Scalar> {
        let values = values.into_iter();
        values
            .map(|value| value.map_or(Scalar::Null, &scalar))
            .collect()
    }
    Ok(match reader {
        ColumnReader::Int64ColumnReader(reader) => each(flat(reader, rows)?, |number| {
            if is_unsigned && number < 0 {
                Scalar::Text((number as u64).to_string())
            } else {
                Scalar::Number(number)
            }
        }),
        ColumnReader::Int32ColumnReader(reader) => each(flat(reader, rows)?, |number| {
            Scalar::Number(if is_unsigned {
                i64::from(number as u32)
            } else {
                i64::from(number)
            })
        }),
        ColumnReader::DoubleColumnReader(reader) => each(flat(reader, rows)?, Scalar::of_double),
        ColumnReader::FloatColumnReader(reader) => each(flat(reader, rows)?, |number| {
            Scalar::of_double(number.into())
        }),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            let numbers = flat(reader, rows)?.into_iter();
            let scalar = |number: Option<FixedLenByteArray>| {
                let number = number.as_ref().map(half).transpose()?;
                Ok(number.map_or(Scalar::Null, |number| Scalar::of_double(number.into())))
            };
            numbers.map(scalar).collect::<Result<_, ParquetError>>()?
        }
        ColumnReader::ByteArrayColumnReader(reader) => each(flat(reader, rows)?, |text| {
            Scalar::Text(String::from_utf8_lossy(text.data()).into_owned())
        }),
        _ => return Err(not_of_its_type()),
    })
}

/// The next whole numbers of a column, `None` where there is a null.
pub(super) fn integers(
    reader: &mut ColumnReader,
    rows: usize,
) -> Result<Vec<Option<i64>>, ParquetError> {
    match reader {
        ColumnReader::Int64ColumnReader(reader) => flat(reader, rows),
        ColumnReader::Int32ColumnReader(reader) => {
            let narrow = flat(reader, rows)?.into_iter();
            Ok(narrow.map(|number| number.map(i64::from)).collect())
        }
        _ => Err(not_of_its_type()),
    }
}

/// The next values of a column without lists, `None` where there is a null.
pub(super) fn flat<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
) -> Result<Vec<Option<T::T>>, ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let (found, ..) = reader.read_records(rows, Some(&mut levels), None, &mut values)?;
    if found != rows {
        return Err(too_few("a column", rows, found));
    }
    if values.len() == rows {
        return Ok(values.into_iter().map(Some).collect());
    }
    // Fewer values than rows: those with the highest level are there.
    let whole = levels.iter().copied().max().unwrap_or(0);
    let whole = if values.is_empty() { whole + 1 } else { whole };
    let mut values = values.into_iter();
    let each = |level: &i16| if *level == whole { values.next() } else { None };
    Ok(levels.iter().map(each).collect())
}

pub(super) fn too_few(column: &str, expected: usize, found: usize) -> ParquetError {
    ParquetError::General(format!(
        "{column} has {found} of the {expected} rows that its group announces"
    ))
}
