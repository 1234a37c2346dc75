//! Parquet tables with the columns `class`, `embedding`, and `time`, `quality` and those of people
//! if they are there.
//!
//! By the column readers of a library, without Arrow: a few columns do not need it. What a page may
//! take is bounded by [`Pages`].

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parquet::basic::{Compression, Type as Physical};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::Length as HasLength;
use parquet::schema::types::ColumnDescriptor;

use super::columns::{
    Scalar, Unit, flat, half, integers, is_half, meaning, not_of_its_type, scalar_sign, scalars,
    too_few, unit_of,
};
use super::pages::{Packing, PageFile, Pages};
use super::told_columns::{ToldColumns, ToldReaders, ToldRows};
use super::{
    ExchangeError, ItemId, Job, Length, Piece, Record, Refused, Source, SourceOptions,
    items_per_commit, items_per_piece, no_column,
};
use crate::types::{ClassId, DIMENSION_MAX, DIMENSION_MIN, Timestamp};

const FORMAT: &str = ".parquet";

/// Opens a table. The first embedding that can be one decides on the dimension.
pub(super) fn open_table(
    path: &Path,
    options: &SourceOptions,
) -> Result<Box<dyn Source>, ExchangeError> {
    let facts = options.facts(path)?;
    let file = File::open(path).map_err(ExchangeError::io("open", path))?;
    let table = Table::open(path, file, options)?;
    let rows = table.rows()?;
    if rows == 0 {
        return Err(ExchangeError::Contents {
            path: path.to_owned(),
            expected: "one row or more".to_owned(),
            found: "none".to_owned(),
        });
    }
    let mut source = TableSource {
        path: path.to_owned(),
        facts,
        table,
        rows,
        dimension: DIMENSION_MAX,
        group: 0,
        open: None,
        next_row: 0,
    };
    source.dimension = source.first_dimension()?;
    source.rewind();
    Ok(Box::new(source))
}

/// A table whose columns are known.
struct Table {
    path: PathBuf,
    file: Arc<PageFile>,
    metadata: ParquetMetaData,
    columns: Columns,
}

/// Which columns are read: their numbers among all.
#[derive(Clone, Copy)]
struct Columns {
    embedding: usize,
    /// What stands in the levels of a value that is there; less is a null, or a list without
    /// values.
    embedding_level: i16,
    /// Whether the values are in double precision.
    is_double: bool,
    /// The column, and whether its numbers have no sign.
    class: Option<(usize, bool)>,
    id: Option<(usize, bool)>,
    time: Option<(usize, Unit)>,
    quality: Option<usize>,
    told: ToldColumns,
}

impl Table {
    fn open(path: &Path, file: File, options: &SourceOptions) -> Result<Table, ExchangeError> {
        let malformed =
            |error: ParquetError| ExchangeError::malformed(path, FORMAT, error.to_string());
        let metadata = calm(|| ParquetMetaDataReader::new().parse_and_finish(&file));
        let metadata = metadata.map_err(malformed)?;
        let columns = find_columns(path, &metadata, options)?;
        Ok(Table {
            path: path.to_owned(),
            file: Arc::new(PageFile(file)),
            metadata,
            columns,
        })
    }

    fn rows(&self) -> Result<u64, ExchangeError> {
        let groups = self.metadata.row_groups().iter();
        let counts = groups.map(|group| u64::try_from(group.num_rows()).ok());
        let rows = counts.sum::<Option<u64>>();
        rows.ok_or_else(|| self.malformed("a group has fewer than no rows"))
    }

    fn open_group(&self, group: usize) -> Result<Group, ExchangeError> {
        let group = self.metadata.row_group(group);
        let levels = Arc::new(AtomicUsize::new(0));
        let open = |column| self.open_column(group, column, &levels);
        let Columns {
            time, class, id, ..
        } = self.columns;
        Ok(Group {
            embedding: open(self.columns.embedding)?,
            class: class.map(|(column, _)| open(column)).transpose()?,
            id: id.map(|(column, _)| open(column)).transpose()?,
            time: time.map(|(column, _)| open(column)).transpose()?,
            quality: self.columns.quality.map(open).transpose()?,
            told: self.columns.told.open(open)?,
            left: u64::try_from(group.num_rows()).unwrap_or(0),
            levels,
        })
    }

    fn open_column(
        &self,
        group: &RowGroupMetaData,
        column: usize,
        levels: &Arc<AtomicUsize>,
    ) -> Result<ColumnReader, ExchangeError> {
        let chunk = group.column(column);
        let compression = chunk.compression();
        let packing = Packing::of(compression).ok_or_else(|| ExchangeError::Contents {
            path: self.path.clone(),
            expected: "a table packed with ZSTD, GZIP or SNAPPY, or not at all".to_owned(),
            found: format!("a column packed with {}", name_of(compression)),
        })?;
        let rows = usize::try_from(group.num_rows());
        let rows = rows.map_err(|_| self.malformed("a group has fewer than no rows"))?;
        let start = chunk
            .dictionary_page_offset()
            .unwrap_or(chunk.data_page_offset());
        let end = start.checked_add(chunk.compressed_size());
        let file_bytes = self.file.len();
        if start < 0 || chunk.compressed_size() < 0 || end.is_none_or(|end| end as u64 > file_bytes)
        {
            return Err(self.malformed(format!(
                "a column of {} bytes at {start} is past its end at {file_bytes}",
                chunk.compressed_size()
            )));
        }
        let pages = Pages::open(self.file.clone(), chunk, packing, rows, levels.clone());
        let pages = pages.map_err(|error| self.malformed(error.to_string()))?;
        Ok(get_column_reader(chunk.column_descr_ptr(), Box::new(pages)))
    }

    fn malformed(&self, what: impl Into<String>) -> ExchangeError {
        ExchangeError::malformed(&self.path, FORMAT, what)
    }
}

/// Finds the columns and makes sure that they hold what they must.
fn find_columns(
    path: &Path,
    metadata: &ParquetMetaData,
    options: &SourceOptions,
) -> Result<Columns, ExchangeError> {
    let unexpected = |expected: String, found: String| ExchangeError::Contents {
        path: path.to_owned(),
        expected,
        found,
    };
    let schema = metadata.file_metadata().schema_descr();
    let find = |name: &str| -> Result<Option<(usize, &ColumnDescriptor)>, ExchangeError> {
        let columns = schema.columns().iter().enumerate();
        let mut of_name = columns.filter(|(_, column)| column.path().parts()[0] == name);
        let first = of_name.next().map(|(at, column)| (at, &**column));
        if of_name.next().is_some() {
            let found = format!("several columns below `{name}`");
            return Err(unexpected(format!("one column `{name}`"), found));
        }
        Ok(first)
    };
    let needed = |name: &str| {
        let there = schema.root_schema().get_fields().iter();
        let missing = || no_column(path, "column", name, there.map(|field| field.name()));
        find(name)?.ok_or_else(missing)
    };
    let described = |column: &ColumnDescriptor| {
        format!(
            "a column `{}` of {} ({}, {} levels of lists)",
            column.path().string(),
            column.physical_type(),
            meaning(column),
            column.max_rep_level()
        )
    };
    let names = options.names();
    let (embedding, column) = needed(names.embedding)?;
    let is_double = column.physical_type() == Physical::DOUBLE;
    let is_known = is_double || column.physical_type() == Physical::FLOAT || is_half(column);
    if !is_known || column.max_rep_level() != 1 {
        let expected = format!(
            "a column `{}` of lists of FLOAT, DOUBLE or FLOAT16",
            names.embedding
        );
        return Err(unexpected(expected, described(column)));
    }
    let embedding_level = column.max_def_level();
    let scalar = |name: &str, (at, column): (usize, &ColumnDescriptor)| {
        let expected = format!("a column `{name}` of whole numbers, also as DOUBLE or text");
        let is_unsigned = scalar_sign(column);
        let is_unsigned = is_unsigned.ok_or_else(|| unexpected(expected, described(column)))?;
        Ok::<_, ExchangeError>((at, is_unsigned))
    };
    let (mut class, mut id) = (None, None);
    if options.are_probes {
        let own = match &options.id_name {
            Some(name) => Some((&**name, needed(name)?)),
            None => find(names.id)?.map(|column| (names.id, column)),
        };
        // A class that is none says nothing of a probe.
        let fallback = find(names.class)?.filter(|(_, column)| scalar_sign(column).is_some());
        let fallback = fallback.map(|column| (names.class, column));
        let id_column = own.or(fallback);
        id = id_column
            .map(|(name, column)| scalar(name, column))
            .transpose()?;
    } else {
        class = Some(scalar(names.class, needed(names.class)?)?);
    }
    let time = match find("time")? {
        None => None,
        Some((at, column)) => Some((
            at,
            unit_of(column).ok_or_else(|| {
                let expected = "a column `time` of INT64 (milliseconds since 1970) or TIMESTAMP";
                unexpected(expected.to_owned(), described(column))
            })?,
        )),
    };
    let quality = match find("quality")? {
        None => None,
        Some((at, column))
            if (column.physical_type() == Physical::FLOAT || is_half(column))
                && column.max_rep_level() == 0 =>
        {
            Some(at)
        }
        Some((_, column)) => {
            return Err(unexpected(
                "a column `quality` of FLOAT or FLOAT16".to_owned(),
                described(column),
            ));
        }
    };
    let of_person = |name: &str| match options.is_of_person(name) {
        true => find(name),
        false => Ok(None),
    };
    let told = ToldColumns::find(of_person, |expected, column| {
        unexpected(expected, described(column))
    })?;
    Ok(Columns {
        embedding,
        embedding_level,
        is_double,
        class,
        id,
        time,
        quality,
        told,
    })
}

struct TableSource {
    path: PathBuf,
    facts: String,
    table: Table,
    rows: u64,
    dimension: usize,
    /// The group to be opened next.
    group: usize,
    open: Option<Group>,
    next_row: u64,
}

impl TableSource {
    /// The next rows, unless a group ends before: then those before its end.
    fn next_rows(&mut self) -> Result<Option<TablePiece>, ExchangeError> {
        loop {
            if self.open.as_ref().is_none_or(|group| group.left == 0) {
                if self.group == self.table.metadata.num_row_groups() {
                    return Ok(None);
                }
                self.open = Some(self.table.open_group(self.group)?);
                self.group += 1;
            }
            let most = items_per_piece(self.dimension) as u64;
            let Some(group) = self.open.as_mut().filter(|group| group.left > 0) else {
                continue;
            };
            let rows = most.min(group.left) as usize;
            let read = calm(|| group.read(rows, self.table.columns));
            let mut piece = read.map_err(|error| self.table.malformed(error.to_string()))?;
            piece.dimension = self.dimension;
            self.next_row += rows as u64;
            return Ok(Some(piece));
        }
    }

    fn first_dimension(&mut self) -> Result<usize, ExchangeError> {
        let dimensions = DIMENSION_MIN..=DIMENSION_MAX;
        while let Some(piece) = self.next_rows()? {
            let lengths = piece.ends.iter().scan(0, |start, &end| {
                let length = end - *start;
                *start = end;
                Some(length)
            });
            let rows = lengths.zip(&piece.nulls);
            let mut good = rows.filter(|(length, null)| !**null && dimensions.contains(length));
            if let Some((dimension, _)) = good.next() {
                return Ok(dimension);
            }
        }
        // Then every row is refused.
        Ok(0)
    }

    fn rewind(&mut self) {
        self.group = 0;
        self.open = None;
        self.next_row = 0;
    }
}

impl Source for TableSource {
    fn name(&self) -> &Path {
        &self.path
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn length(&self) -> Length {
        Length::Items(self.rows)
    }

    fn position(&self) -> u64 {
        self.next_row
    }

    fn notes(&self) -> Vec<String> {
        let path = self.path.display();
        let (mut notes, columns) = (Vec::new(), self.table.columns);
        if columns.is_double {
            notes.push(format!(
                "`{path}` holds lists of DOUBLE, which are converted to single precision"
            ));
        }
        if columns.told.has_other_labels {
            notes.push(format!(
                "`labels` of `{path}` are no texts such as `site:berlin`, and passed over"
            ));
        }
        notes
    }

    fn describe(&self, job: Job) -> Job {
        job.with("file", &self.facts)
    }

    fn items_per_commit(&self) -> u64 {
        items_per_commit(self.dimension)
    }

    fn skip(&mut self, items: u64) -> Result<(), ExchangeError> {
        let mut left = items;
        // Whole groups need not be read.
        while self.open.is_none() && self.group < self.table.metadata.num_row_groups() {
            let rows = self.table.metadata.row_group(self.group).num_rows();
            match u64::try_from(rows) {
                Ok(rows) if rows <= left => left -= rows,
                _ => break,
            }
            self.group += 1;
        }
        self.next_row = items - left;
        if left == 0 {
            return Ok(());
        }
        if self.group == self.table.metadata.num_row_groups() {
            let what = format!("{items} rows were imported, it has {}", self.rows);
            return Err(self.table.malformed(what));
        }
        let mut group = self.table.open_group(self.group)?;
        self.group += 1;
        while left > 0 {
            let rows = left.min(items_per_piece(self.dimension) as u64) as usize;
            let read = calm(|| group.read(rows, self.table.columns));
            read.map_err(|error| self.table.malformed(error.to_string()))?;
            left -= rows as u64;
            self.next_row += rows as u64;
        }
        self.open = Some(group);
        Ok(())
    }

    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError> {
        let piece = self.next_rows()?;
        Ok(piece.map(|piece| Box::new(piece) as Box<dyn Piece>))
    }
}

/// The columns of a group of rows, in the middle of being read.
struct Group {
    embedding: ColumnReader,
    class: Option<ColumnReader>,
    id: Option<ColumnReader>,
    time: Option<ColumnReader>,
    quality: Option<ColumnReader>,
    told: ToldReaders,
    left: u64,
    /// Values that were read since this was last put back to zero.
    levels: Arc<AtomicUsize>,
}

impl Group {
    fn read(&mut self, rows: usize, columns: Columns) -> Result<TablePiece, ParquetError> {
        let mut piece = TablePiece {
            dimension: 0,
            values: Vec::new(),
            ends: Vec::new(),
            nulls: Vec::new(),
            classes: None,
            ids: None,
            times: None,
            qualities: None,
            told: ToldRows::default(),
        };
        self.levels.store(0, Ordering::Relaxed);
        self.read_embeddings(rows, columns, &mut piece)?;
        self.levels.store(0, Ordering::Relaxed);
        if let (Some(reader), Some((_, is_unsigned))) = (&mut self.class, columns.class) {
            piece.classes = Some(scalars(reader, rows, is_unsigned)?);
        }
        if let (Some(reader), Some((_, is_unsigned))) = (&mut self.id, columns.id) {
            piece.ids = Some(scalars(reader, rows, is_unsigned)?);
        }
        if let (Some(reader), Some((_, unit))) = (&mut self.time, columns.time) {
            let times = integers(reader, rows)?.into_iter();
            piece.times = Some(times.map(|time| Some(unit.milliseconds(time?))).collect());
        }
        piece.qualities = match &mut self.quality {
            Some(ColumnReader::FloatColumnReader(reader)) => Some(flat(reader, rows)?),
            Some(ColumnReader::FixedLenByteArrayColumnReader(reader)) => {
                let numbers = flat(reader, rows)?.into_iter();
                let numbers = numbers.map(|number| number.as_ref().map(half).transpose());
                Some(numbers.collect::<Result<_, _>>()?)
            }
            _ => None,
        };
        piece.told = self.told.read(rows)?;
        self.left -= rows as u64;
        Ok(piece)
    }

    fn read_embeddings(
        &mut self,
        rows: usize,
        columns: Columns,
        piece: &mut TablePiece,
    ) -> Result<(), ParquetError> {
        let (mut present, mut continued) = (Vec::new(), Vec::new());
        let (present_levels, continued_levels) = (Some(&mut present), Some(&mut continued));
        let (found, ..) = match &mut self.embedding {
            ColumnReader::FloatColumnReader(reader) => {
                reader.read_records(rows, present_levels, continued_levels, &mut piece.values)?
            }
            ColumnReader::DoubleColumnReader(reader) => {
                let mut wide = Vec::new();
                let read =
                    reader.read_records(rows, present_levels, continued_levels, &mut wide)?;
                piece.values = wide.into_iter().map(|value| value as f32).collect();
                read
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                let mut halves = Vec::new();
                let read =
                    reader.read_records(rows, present_levels, continued_levels, &mut halves)?;
                piece.values = halves.iter().map(half).collect::<Result<_, _>>()?;
                read
            }
            _ => return Err(not_of_its_type()),
        };
        if found != rows {
            return Err(too_few("embedding", rows, found));
        }
        let whole = columns.embedding_level;
        let mut values = 0;
        for (&present, &continued) in present.iter().zip(&continued) {
            if continued == 0 {
                if !piece.nulls.is_empty() {
                    piece.ends.push(values);
                }
                piece.nulls.push(false);
            }
            if present == whole {
                values += 1;
            } else if let Some(null) = piece.nulls.last_mut() {
                *null = true;
            }
        }
        piece.ends.push(values);
        if piece.ends.len() != rows || piece.nulls.len() != rows || values != piece.values.len() {
            return Err(too_few("embedding", rows, piece.nulls.len()));
        }
        Ok(())
    }
}

/// Runs the library, and takes a panic of it for what it is: a file that it cannot read.
fn calm<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    // What a panic leaves half done is not used again: the error ends the import.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(ParquetError::General("it is damaged".to_owned())))
}

struct TablePiece {
    dimension: usize,
    values: Vec<f32>,
    /// Where the values of each row end.
    ends: Vec<usize>,
    /// Whether there is a null in the row, or no list.
    nulls: Vec<bool>,
    classes: Option<Vec<Scalar>>,
    ids: Option<Vec<Scalar>>,
    times: Option<Vec<Option<i64>>>,
    qualities: Option<Vec<Option<f32>>>,
    told: ToldRows,
}

impl Piece for TablePiece {
    fn items(&self) -> usize {
        self.ends.len()
    }

    fn id(&self, at: usize) -> Option<ItemId> {
        self.ids.as_ref()?[at].id()
    }

    fn read<'a>(&'a self, at: usize, _: &'a mut Vec<f32>) -> Result<Record<'a>, Refused> {
        if self.nulls[at] {
            return Err(Refused::new("`embedding` is null or empty, or has a null"));
        }
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let class = self.classes.as_ref().map(|classes| classes[at].class());
        let class = class.transpose()?.unwrap_or(ClassId(0));
        let time = self.times.as_ref().and_then(|times| times[at]);
        let quality = self.qualities.as_ref().and_then(|list| list[at]);
        let person = self.told.record(at)?;
        let record = Record {
            class,
            values: &self.values[start..self.ends[at]],
            enrolled: time.map(|unix_milliseconds| Timestamp { unix_milliseconds }),
            quality: quality.unwrap_or(f32::NAN),
            person,
        };
        record.check(self.dimension)
    }
}

/// The name of a way to pack pages, without its level, which a table does not tell.
fn name_of(compression: Compression) -> String {
    let whole = compression.to_string();
    whole.split('(').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use parquet::data_type::{
        ByteArray, ByteArrayType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type,
        Int64Type,
    };
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use half::f16;
    use parquet::data_type::FixedLenByteArray;

    use super::super::NO_CLASS;
    use super::*;

    /// Values of a column, how many levels each has, and where a list goes on.
    enum Column {
        Float(Vec<f32>, Vec<i16>, Vec<i16>),
        Double(Vec<f64>, Vec<i16>, Vec<i16>),
        Int64(Vec<i64>, Vec<i16>),
        Int32(Vec<i32>, Vec<i16>),
        Text(Vec<&'static str>, Vec<i16>),
        /// Of half precision.
        Half(Vec<f32>, Vec<i16>, Vec<i16>),
    }

    fn write(schema: &str, columns: &[Column]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.parquet");
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::builder().build());
        let file = File::create(&path).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for column in columns {
            let mut to = group.next_column().unwrap().unwrap();
            let written = match column {
                Column::Float(values, there, on) => {
                    to.typed::<FloatType>()
                        .write_batch(values, Some(there), Some(on))
                }
                Column::Double(values, there, on) => {
                    to.typed::<DoubleType>()
                        .write_batch(values, Some(there), Some(on))
                }
                Column::Half(values, there, on) => {
                    let values = values.iter().map(|&value| {
                        let bytes = f16::from_f32(value).to_le_bytes();
                        ByteArray::from(bytes.to_vec()).into()
                    });
                    let values: Vec<FixedLenByteArray> = values.collect();
                    to.typed::<FixedLenByteArrayType>()
                        .write_batch(&values, Some(there), Some(on))
                }
                Column::Text(values, there) => {
                    let values: Vec<ByteArray> = values.iter().map(|it| (*it).into()).collect();
                    to.typed::<ByteArrayType>()
                        .write_batch(&values, Some(there), None)
                }
                Column::Int64(values, there) => {
                    to.typed::<Int64Type>()
                        .write_batch(values, Some(there), None)
                }
                Column::Int32(values, there) => {
                    to.typed::<Int32Type>()
                        .write_batch(values, Some(there), None)
                }
            };
            written.unwrap();
            to.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
        (directory, path)
    }

    /// The class and the time of a row, or why it is refused.
    type Row = Result<(i64, Option<i64>), String>;

    fn read(path: &Path) -> Result<Vec<Row>, ExchangeError> {
        let mut source = open_table(path, &SourceOptions::default())?;
        let mut rows = Vec::new();
        while let Some(piece) = source.next_piece()? {
            let mut scratch = Vec::new();
            for at in 0..piece.items() {
                let record = piece.read(at, &mut scratch);
                rows.push(match record {
                    Ok(record) => Ok((
                        record.class.0,
                        record.enrolled.map(|time| time.unix_milliseconds),
                    )),
                    Err(refused) => Err(refused.reason),
                });
            }
        }
        Ok(rows)
    }

    const LISTS: &str =
        "optional group embedding (LIST) { repeated group list { optional float element; } }";

    /// Rows of 16 values, a null list, an empty list, 15 values and a null, and 17 values.
    fn lists() -> Column {
        let (mut values, mut there, mut on) = (Vec::new(), Vec::new(), Vec::new());
        let mut row = |levels: &[i16]| {
            for (at, &level) in levels.iter().enumerate() {
                values.extend((level == 3).then_some(0.5));
                there.push(level);
                on.push(i16::from(at > 0));
            }
        };
        row(&[3; 16]);
        row(&[0]);
        row(&[1]);
        row(&[3, 3, 3, 3, 3, 3, 3, 2, 3, 3, 3, 3, 3, 3, 3, 3]);
        row(&[3; 17]);
        row(&[3; 16]);
        Column::Float(values, there, on)
    }

    #[test]
    fn nulls_and_other_lengths_are_refused_row_by_row() {
        let schema = format!(
            "message a {{ {LISTS} optional int32 class; optional int64 time (TIMESTAMP(MICROS,true)); }}"
        );
        let classes = Column::Int32(vec![7, -8, 9, 10, 11], vec![1, 1, 1, 1, 1, 0]);
        let times = Column::Int64(vec![-1, 2000], vec![1, 1, 0, 0, 0, 0]);
        let (_directory, path) = write(&schema, &[lists(), classes, times]);
        let null = || Err("`embedding` is null or empty, or has a null".to_owned());
        assert_eq!(
            read(&path).unwrap(),
            [
                // Rounded down, before 1970 too.
                Ok((7, Some(-1))),
                null(),
                null(),
                null(),
                Err("it has 17 values, and 16 are needed".to_owned()),
                Err("`class` is null".to_owned()),
            ]
        );
    }

    #[test]
    fn tables_of_another_kind_are_refused_by_name() {
        let classes = || Column::Int64((0..6).collect(), vec![1; 6]);
        let nested = "optional group embedding (LIST) { repeated group list { optional group element (LIST) { repeated group list { optional float element; } } } }";
        for (schema, columns, said) in [
            (
                format!("message a {{ {LISTS} }}"),
                vec![lists()],
                "no column `class`",
            ),
            (
                "message a { optional int64 class; }".to_owned(),
                vec![classes()],
                "no column `embedding`",
            ),
            (
                format!("message a {{ {nested} optional int64 class; }}"),
                vec![
                    Column::Float(vec![0.5; 6], vec![5; 6], vec![0; 6]),
                    classes(),
                ],
                "2 levels of lists",
            ),
            (
                format!("message a {{ {LISTS} optional int64 class; optional int32 time; }}"),
                vec![lists(), classes(), Column::Int32(vec![1; 6], vec![1; 6])],
                "TIMESTAMP",
            ),
            (
                format!("message a {{ {LISTS} optional int64 class; optional int64 quality; }}"),
                vec![lists(), classes(), Column::Int64(vec![1; 6], vec![1; 6])],
                "`quality` of FLOAT",
            ),
        ] {
            let (_directory, path) = write(&schema, &columns);
            let error = read(&path).unwrap_err().to_string();
            assert!(
                error.contains(said) && error.contains("a.parquet"),
                "{said}: {error}"
            );
        }
    }

    #[test]
    fn numbers_of_other_kinds_become_classes_and_values_where_they_can() {
        let doubles = || {
            let goes_on = (0..48).map(|at| i16::from(at % 16 > 0)).collect();
            Column::Double(vec![0.5; 48], vec![3; 48], goes_on)
        };
        let lists = LISTS.replace("float", "double");
        let refused = || Err(NO_CLASS.to_owned());
        let (one, three) = (Ok((1, None)), Ok((3, None)));
        for (class, column, expected) in [
            (
                "int64 class (INTEGER(64,false))",
                Column::Int64(vec![1, -1, 3], vec![1; 3]),
                [one.clone(), refused(), three.clone()],
            ),
            (
                "int32 class (INTEGER(32,false))",
                Column::Int32(vec![1, -1, 3], vec![1; 3]),
                [one.clone(), Ok((4_294_967_295, None)), three.clone()],
            ),
            (
                "double class",
                Column::Double(vec![1.0, 1.5, 3.0], vec![1; 3], vec![0; 3]),
                [one.clone(), refused(), three.clone()],
            ),
            (
                "binary class (STRING)",
                Column::Text(vec!["1", "anna", "3.0"], vec![1; 3]),
                [one, refused(), three],
            ),
        ] {
            let schema = format!("message a {{ {lists} optional {class}; }}");
            let (_directory, path) = write(&schema, &[doubles(), column]);
            assert_eq!(read(&path).unwrap(), expected, "{class}");
            let source = open_table(&path, &SourceOptions::default()).unwrap();
            assert!(source.notes()[0].contains("DOUBLE"));
        }
    }

    #[test]
    fn half_precision_is_read_where_numbers_are() {
        const HALF: &str = "fixed_len_byte_array(2)";
        let goes_on: Vec<i16> = (0..48).map(|at| i16::from(at % 16 > 0)).collect();
        let lists = LISTS.replace("float element", &format!("{HALF} element (FLOAT16)"));
        let schema = format!(
            "message a {{ {lists} optional {HALF} class (FLOAT16); optional {HALF} quality (FLOAT16); }}"
        );
        let values = (0..48).map(|at| at as f32 / 8.0 + 0.125).collect();
        let embedding = Column::Half(values, vec![3; 48], goes_on);
        let class = Column::Half(vec![1.0, 1.5, 3.0], vec![1; 3], vec![0; 3]);
        let quality = Column::Half(vec![0.5, 0.25], vec![1, 1, 0], vec![0; 3]);
        let (_directory, path) = write(&schema, &[embedding, class, quality]);
        let refused = Err(NO_CLASS.to_owned());
        assert_eq!(
            read(&path).unwrap(),
            [Ok((1, None)), refused, Ok((3, None))]
        );
        let mut source = open_table(&path, &SourceOptions::default()).unwrap();
        assert!(source.notes().is_empty(), "nothing is lost");
        let piece = source.next_piece().unwrap().unwrap();
        let mut scratch = Vec::new();
        let first = piece.read(0, &mut scratch).unwrap();
        assert_eq!(
            (first.values[0], first.values[15], first.quality),
            (0.125, 2.0, 0.5)
        );
        let last = piece.read(2, &mut scratch).unwrap();
        assert_eq!(last.values[15], 6.0);
        assert!(last.quality.is_nan());
    }

    #[test]
    fn people_are_read_beside_their_templates() {
        let schema = format!(
            "message a {{ {LISTS} optional int64 class; optional binary name (STRING); optional int64 external_id; optional binary labels (STRING); optional int64 expires (TIMESTAMP(MICROS,true)); optional double threshold; }}"
        );
        let goes_on: Vec<i16> = (0..48).map(|at| i16::from(at % 16 > 0)).collect();
        let (_directory, path) = write(
            &schema,
            &[
                Column::Float(vec![0.5; 48], vec![3; 48], goes_on),
                Column::Int64(vec![1, 2, 3], vec![1; 3]),
                Column::Text(vec!["Zoë", "a\u{7}"], vec![1, 0, 1]),
                Column::Int64(vec![17], vec![1, 0, 0]),
                Column::Text(vec!["site:berlin", " "], vec![1, 1, 0]),
                Column::Int64(vec![2_000_500], vec![1, 0, 0]),
                Column::Double(vec![0.25, f64::NAN], vec![1, 1, 0], vec![0; 3]),
            ],
        );
        let mut source = open_table(&path, &SourceOptions::default()).unwrap();
        let piece = source.next_piece().unwrap().unwrap();
        let mut scratch = Vec::new();
        let known = piece.read(0, &mut scratch).unwrap().person.unwrap();
        assert_eq!(known.name.unwrap().as_str(), "Zoë");
        assert_eq!(known.external_id.unwrap().as_str(), "17");
        assert_eq!(known.labels.to_text(), "site:berlin");
        assert_eq!(known.expires.unwrap().unix_milliseconds, 2_000);
        assert_eq!(known.threshold.unwrap().get(), 0.25);
        assert!(piece.read(1, &mut scratch).unwrap().person.is_none());
        let refused = piece.read(2, &mut scratch).unwrap_err();
        assert!(refused.reason.contains("U+0007"), "{refused:?}");
        let options = SourceOptions {
            templates_only: true,
            ..SourceOptions::default()
        };
        let mut source = open_table(&path, &options).unwrap();
        let piece = source.next_piece().unwrap().unwrap();
        for row in 0..3 {
            assert!(piece.read(row, &mut scratch).unwrap().person.is_none());
        }
    }

    #[test]
    fn columns_of_people_of_another_kind_are_refused_by_name() {
        let numbers = || Column::Int64(vec![1; 6], vec![1; 6]);
        for (column, said) in [
            ("int64 name", "`name` of text"),
            ("int64 note", "`note` of text"),
            (
                "int64 external_id (TIMESTAMP(MILLIS,true))",
                "`external_id` of text or whole",
            ),
            ("int64 threshold", "`threshold` of FLOAT or DOUBLE"),
        ] {
            let schema =
                format!("message a {{ {LISTS} optional int64 class; optional {column}; }}");
            let (_directory, path) = write(&schema, &[lists(), numbers(), numbers()]);
            let error = read(&path).unwrap_err().to_string();
            assert!(
                error.contains(said) && error.contains("--templates-only"),
                "{error}"
            );
        }
        // Many files have the classes of a training there.
        let schema =
            format!("message a {{ {LISTS} optional int64 class; optional int64 labels; }}");
        let (_directory, path) = write(&schema, &[lists(), numbers(), numbers()]);
        let source = open_table(&path, &SourceOptions::default()).unwrap();
        assert!(source.notes()[0].contains("`labels`"));
        assert_eq!(read(&path).unwrap().len(), 6);
    }

    #[test]
    fn times_and_dates_are_no_classes() {
        for (class, column, said) in [
            (
                "int64 class (TIMESTAMP(NANOS,true))",
                Column::Int64(vec![1; 6], vec![1; 6]),
                "times",
            ),
            (
                "int64 class (TIMESTAMP(MILLIS,false))",
                Column::Int64(vec![1; 6], vec![1; 6]),
                "times",
            ),
            (
                "int32 class (DATE)",
                Column::Int32(vec![1; 6], vec![1; 6]),
                "dates",
            ),
            (
                "int32 class (TIME(MILLIS,true))",
                Column::Int32(vec![1; 6], vec![1; 6]),
                "times of day",
            ),
        ] {
            let schema = format!("message a {{ {LISTS} optional {class}; }}");
            let (_directory, path) = write(&schema, &[lists(), column]);
            let error = read(&path).unwrap_err().to_string();
            assert!(
                error.contains("`class` of whole numbers") && error.contains(&format!("({said},")),
                "{class}: {error}"
            );
        }
    }

    #[test]
    fn reading_goes_on_at_any_row() {
        let schema = format!("message a {{ {LISTS} optional int64 class; }}");
        let (_directory, path) = write(
            &schema,
            &[lists(), Column::Int64((0..6).collect(), vec![1; 6])],
        );
        let all = read(&path).unwrap().len() as u64;
        for skipped in 0..=all {
            let mut source = open_table(&path, &SourceOptions::default()).unwrap();
            source.skip(skipped).unwrap();
            assert_eq!(source.position(), skipped);
            let piece = source.next_piece().unwrap();
            assert_eq!(piece.map_or(0, |piece| piece.items() as u64), all - skipped);
        }
        assert!(
            open_table(&path, &SourceOptions::default())
                .unwrap()
                .skip(all + 1)
                .is_err()
        );
    }

    const FIXTURES: [&str; 4] = [
        "checksums.parquet",
        "gzip.parquet",
        "polars.parquet",
        "zstd-v2.parquet",
    ];

    #[test]
    fn a_page_that_is_not_as_its_checksum_says_is_refused() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
        let whole = std::fs::read(fixtures.join("checksums.parquet")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.parquet");
        let values: Vec<u8> = (1..=16)
            .flat_map(|value| (value as f32).to_le_bytes())
            .collect();
        let place = memchr::memmem::find(&whole, &values).unwrap();
        for at in place..place + values.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let refused = read(&path).unwrap_err().to_string();
            assert!(refused.contains("CRC"), "{at}: {refused}");
        }
    }

    #[test]
    fn tables_are_read_as_common_writers_pack_them() {
        // `make.py` beside them says what is in them.
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
        for name in FIXTURES {
            let path = fixtures.join(name);
            let rows = read(&path).unwrap();
            let expected = (0..40).map(|row| Ok((row - 3, Some(1000 * row))));
            assert_eq!(rows, expected.collect::<Vec<Row>>(), "{name}");
            let mut source = open_table(&path, &SourceOptions::default()).unwrap();
            let piece = source.next_piece().unwrap().unwrap();
            for row in 0..40 {
                let mut scratch = Vec::new();
                let values = piece.read(row, &mut scratch).unwrap().values;
                let expected: Vec<f32> = (1..=16).map(|at| (row + at) as f32).collect();
                assert_eq!(values, expected, "{name}");
            }
        }
    }

    #[test]
    fn damaged_tables_of_common_writers_are_refused_or_read_and_do_no_harm() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.parquet");
        for name in FIXTURES {
            let whole = std::fs::read(fixtures.join(name)).unwrap();
            for at in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x55;
                std::fs::write(&path, bytes).unwrap();
                // What matters is that it ends: some bytes are statistics or names of programs.
                let _ = read(&path);
            }
        }
    }
}
