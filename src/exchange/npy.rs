//! NumPy's `.npy` files: a matrix of embeddings, or a list of numbers.
//!
//! The format is described in NumPy's NEP 1 and `numpy.lib.format`: a magic text, a version, the
//! length of a header, the header (a Python dictionary with the keys `descr`, `fortran_order` and
//! `shape`), and the values. We read it ourselves since the well-kept readers parse the header as
//! any Python literal, recursively and with sizes that they do not check; files to be imported come
//! from strangers.
//!
//! Numbers of every width, sign and order of bytes are read, and matrices in both orders: what is
//! not single precision in rows becomes it on the way, and [`Matrix::note`] says so.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::f16;
use ndarray::Array2;

use super::ExchangeError;
use crate::types::{DIMENSION_MAX, DIMENSION_MIN};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy writes about 120 bytes; more than this is no header of a plain matrix.
const HEADER_BYTES_MAX: usize = 10_000;

/// Something that is read from front to back, and can leave bytes out.
pub(super) trait Forward: Read + Send {
    /// Passes over bytes.
    fn forward(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes sure that what was read to its end was right.
    fn finish(&mut self) -> io::Result<()>;

    /// The same, to be read in any order from here on, where position 0 is `position` bytes before.
    fn seekable(self: Box<Self>, position: u64) -> io::Result<Box<dyn Seekable>>;
}

/// Something that is read in any order.
pub(super) trait Seekable: Read + Seek + Send {}

impl<T: Read + Seek + Send> Seekable for T {}

impl Forward for BufReader<File> {
    fn forward(&mut self, bytes: u64) -> io::Result<()> {
        let bytes = i64::try_from(bytes).map_err(io::Error::other)?;
        self.seek_relative(bytes)
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn seekable(self: Box<Self>, _: u64) -> io::Result<Box<dyn Seekable>> {
        // Without the buffer, which would be read anew at every place.
        Ok(Box::new(self.into_inner()))
    }
}

impl Forward for Cursor<Vec<u8>> {
    fn forward(&mut self, bytes: u64) -> io::Result<()> {
        self.set_position(self.position().saturating_add(bytes));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn seekable(self: Box<Self>, _: u64) -> io::Result<Box<dyn Seekable>> {
        Ok(self)
    }
}

/// The matrix in `bytes`, which are an `.npy` file that `name` stands for in errors: in single
/// precision, whatever numbers it has, and in rows. They are not checked to be embeddings.
///
/// # Errors
///
/// If it is no such file, or more or less than its header says.
pub fn npy_matrix(name: &str, bytes: Vec<u8>) -> Result<Array2<f32>, ExchangeError> {
    let length = bytes.len() as u64;
    let path = Path::new(name);
    let mut matrix = Matrix::new(path, Box::new(Cursor::new(bytes)), length)?;
    let (rows, dimension) = (matrix.rows, matrix.dimension);
    let values = matrix.read(rows)?;
    matrix.finish()?;
    let values = Array2::from_shape_vec((rows, dimension), values);
    Ok(values.expect("a matrix reads as many values as it has"))
}

/// A matrix as it comes from a file, or from a part of one. Its rows are not checked.
pub(super) struct Matrix {
    path: PathBuf,
    values: Values,
    pub(super) rows: usize,
    pub(super) dimension: usize,
    kind: Kind,
    note: Option<String>,
    bytes: Vec<u8>,
}

/// Where the values come from, in which order.
enum Values {
    /// Row by row.
    Rows(Box<dyn Forward>),
    /// Column by column, as Fortran has it: a row is collected from all of the matrix.
    Columns {
        reader: Box<dyn Seekable>,
        start: u64,
        next_row: usize,
    },
}

impl Matrix {
    /// Reads the header of a matrix that has `bytes` bytes with it; `path` names it in errors.
    pub(super) fn new(
        path: &Path,
        mut reader: Box<dyn Forward>,
        bytes: u64,
    ) -> Result<Matrix, ExchangeError> {
        let header = read_header(path, &mut reader, bytes, "a matrix of numbers")?;
        let &[rows, dimension] = &*header.shape else {
            return Err(header.unexpected(path, "a matrix of rows and values"));
        };
        if !(DIMENSION_MIN..=DIMENSION_MAX).contains(&dimension) {
            let needed = format!("a dimension of {DIMENSION_MIN} to {DIMENSION_MAX}");
            return Err(header.unexpected(path, &needed));
        }
        if rows == 0 {
            return Err(header.unexpected(path, "one row or more"));
        }
        let is_in_columns = header.fortran_order && rows > 1 && dimension > 1;
        let is_wider = header.kind != Kind::SINGLE && header.kind != Kind::HALF;
        let note =
            (is_in_columns || is_wider).then(|| header.converted(path, "rows of single precision"));
        let values = if is_in_columns {
            let reader = reader.seekable(header.bytes);
            Values::Columns {
                reader: reader.map_err(ExchangeError::io("read", path))?,
                start: header.bytes,
                next_row: 0,
            }
        } else {
            Values::Rows(reader)
        };
        Ok(Matrix {
            path: path.to_owned(),
            values,
            rows,
            dimension,
            kind: header.kind,
            note,
            bytes: Vec::new(),
        })
    }

    /// What is converted on the way, if anything is.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The next `rows` rows, one after the other. The caller keeps to those that there are.
    pub(super) fn read(&mut self, rows: usize) -> Result<Vec<f32>, ExchangeError> {
        let mut values = vec![0.0_f32; rows * self.dimension];
        let read = match &mut self.values {
            Values::Rows(reader) if self.kind == Kind::SINGLE => {
                reader.read_exact(bytemuck::cast_slice_mut(&mut values))
            }
            Values::Rows(reader) => {
                self.bytes.resize(values.len() * self.kind.size, 0);
                let read = reader.read_exact(&mut self.bytes);
                let numbers = self.bytes.chunks_exact(self.kind.size);
                for (value, bytes) in values.iter_mut().zip(numbers) {
                    *value = self.kind.number(bytes).single();
                }
                read
            }
            Values::Columns { .. } => self.read_columns(&mut values, rows),
        };
        read.map_err(ExchangeError::io("read", &self.path))?;
        Ok(values)
    }

    fn read_columns(&mut self, values: &mut [f32], rows: usize) -> io::Result<()> {
        let Values::Columns {
            reader,
            start,
            next_row,
        } = &mut self.values
        else {
            return Ok(());
        };
        let size = self.kind.size;
        self.bytes.resize(rows * size, 0);
        for column in 0..self.dimension {
            let before = (column * self.rows + *next_row) as u64 * size as u64;
            reader.seek(SeekFrom::Start(*start + before))?;
            reader.read_exact(&mut self.bytes)?;
            for (row, bytes) in self.bytes.chunks_exact(size).enumerate() {
                values[row * self.dimension + column] = self.kind.number(bytes).single();
            }
        }
        *next_row += rows;
        Ok(())
    }

    /// Passes over rows.
    pub(super) fn skip(&mut self, rows: u64) -> Result<(), ExchangeError> {
        match &mut self.values {
            Values::Rows(reader) => {
                let row_bytes = (self.dimension * self.kind.size) as u64;
                let passed = reader.forward(rows * row_bytes);
                passed.map_err(ExchangeError::io("read", &self.path))
            }
            Values::Columns { next_row, .. } => {
                *next_row += rows as usize;
                Ok(())
            }
        }
    }

    /// Makes sure that what was read to its end was right.
    pub(super) fn finish(&mut self) -> Result<(), ExchangeError> {
        match &mut self.values {
            Values::Rows(reader) => reader
                .finish()
                .map_err(ExchangeError::io("read", &self.path)),
            Values::Columns { .. } => Ok(()),
        }
    }
}

/// A list of numbers as it comes from a file, or from a part of one.
pub(super) struct List {
    path: PathBuf,
    reader: Box<dyn Forward>,
    pub(super) rows: usize,
    kind: Kind,
    note: Option<String>,
}

impl List {
    /// Reads the header of a list of whole numbers, which may be kept in double precision; as
    /// [`Matrix::new`].
    pub(super) fn integers(
        path: &Path,
        reader: Box<dyn Forward>,
        bytes: u64,
    ) -> Result<List, ExchangeError> {
        let is_plain = |kind| kind == Kind::LONG || kind == Kind::INT;
        List::new(path, reader, bytes, is_plain, "whole numbers of 64 bits")
    }

    /// Reads the header of a list of numbers in double precision; as [`Matrix::new`].
    #[cfg(feature = "npz")]
    pub(super) fn doubles(
        path: &Path,
        reader: Box<dyn Forward>,
        bytes: u64,
    ) -> Result<List, ExchangeError> {
        let is_plain = |kind| kind == Kind::SINGLE || kind == Kind::DOUBLE;
        List::new(path, reader, bytes, is_plain, "double precision")
    }

    /// Reads the header of a list of numbers that become single precision; as [`Matrix::new`].
    #[cfg(feature = "npz")]
    pub(super) fn singles(
        path: &Path,
        reader: Box<dyn Forward>,
        bytes: u64,
    ) -> Result<List, ExchangeError> {
        let is_plain = |kind| kind == Kind::SINGLE;
        List::new(path, reader, bytes, is_plain, "single precision")
    }

    fn new(
        path: &Path,
        mut reader: Box<dyn Forward>,
        bytes: u64,
        is_plain: impl Fn(Kind) -> bool,
        target: &str,
    ) -> Result<List, ExchangeError> {
        let header = read_header(path, &mut reader, bytes, "a list of numbers")?;
        List::of(path, reader, &header, is_plain, target)
    }

    fn of(
        path: &Path,
        reader: Box<dyn Forward>,
        header: &Header,
        is_plain: impl Fn(Kind) -> bool,
        target: &str,
    ) -> Result<List, ExchangeError> {
        let (&[rows] | &[rows, 1]) = &*header.shape else {
            return Err(header.unexpected(path, "a list of one number a row"));
        };
        let note = (!is_plain(header.kind)).then(|| header.converted(path, target));
        Ok(List {
            path: path.to_owned(),
            reader,
            rows,
            kind: header.kind,
            note,
        })
    }

    /// What is converted on the way, if anything is.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The next whole numbers, `None` where there is none of 64 bits.
    pub(super) fn read_integers(&mut self, rows: usize) -> Result<Vec<Option<i64>>, ExchangeError> {
        Ok(self.read(rows)?.map(Number::whole).collect())
    }

    /// The next numbers in single precision.
    pub(super) fn read_singles(&mut self, rows: usize) -> Result<Vec<f32>, ExchangeError> {
        Ok(self.read(rows)?.map(Number::single).collect())
    }

    /// The next numbers in double precision.
    #[cfg(feature = "npz")]
    pub(super) fn read_doubles(&mut self, rows: usize) -> Result<Vec<f64>, ExchangeError> {
        Ok(self.read(rows)?.map(Number::double).collect())
    }

    /// Passes over rows.
    pub(super) fn skip(&mut self, rows: u64) -> Result<(), ExchangeError> {
        let passed = self.reader.forward(rows * self.kind.size as u64);
        passed.map_err(ExchangeError::io("read", &self.path))
    }

    /// Makes sure that what was read to its end was right.
    pub(super) fn finish(&mut self) -> Result<(), ExchangeError> {
        let finished = self.reader.finish();
        finished.map_err(ExchangeError::io("read", &self.path))
    }

    fn read(&mut self, rows: usize) -> Result<impl Iterator<Item = Number> + use<>, ExchangeError> {
        let kind = self.kind;
        let mut bytes = vec![0; rows * kind.size];
        let read = self.reader.read_exact(&mut bytes);
        read.map_err(ExchangeError::io("read", &self.path))?;
        let number = move |row| kind.number(&bytes[row * kind.size..][..kind.size]);
        Ok((0..rows).map(number))
    }
}

/// What items are called: a list of whole numbers or of texts.
#[cfg(feature = "npz")]
pub(super) enum Ids {
    Numbers(List),
    Texts(Texts),
}

/// A list of texts of a fixed length.
#[cfg(feature = "npz")]
pub(super) struct Texts {
    path: PathBuf,
    reader: Box<dyn Forward>,
    rows: usize,
    /// Whether a letter takes four bytes, or one.
    is_wide: bool,
    is_big_endian: bool,
    text_bytes: usize,
}

/// The longest text that is read, in bytes.
#[cfg(feature = "npz")]
const TEXT_BYTES_MAX: usize = 1 << 16;

#[cfg(feature = "npz")]
impl Ids {
    /// Reads the header of a list; as [`Matrix::new`].
    pub(super) fn new(
        path: &Path,
        mut reader: Box<dyn Forward>,
        bytes: u64,
    ) -> Result<Ids, ExchangeError> {
        let start = read_start(path, &mut reader, bytes)?;
        let length = start.descr.get(2..).and_then(|length| length.parse().ok());
        let is_wide = match (start.descr.get(1..2), length) {
            (Some("U"), Some(_)) => true,
            (Some("S" | "a"), Some(_)) => false,
            _ => {
                let header = start.numbers(path, bytes, "a list of whole numbers or texts")?;
                let is_plain = |_| true;
                return List::of(path, reader, &header, is_plain, "").map(Ids::Numbers);
            }
        };
        let width = if is_wide { 4 } else { 1 };
        let text_bytes = length.unwrap_or(0_usize).checked_mul(width);
        let text_bytes = text_bytes.filter(|bytes| *bytes <= TEXT_BYTES_MAX);
        let contents = |expected: String| ExchangeError::Contents {
            path: path.to_owned(),
            expected,
            found: format!("`{}` of shape {:?}", start.descr, start.shape),
        };
        let text_bytes = text_bytes
            .ok_or_else(|| contents(format!("texts of at most {TEXT_BYTES_MAX} bytes")))?;
        let (&[rows] | &[rows, 1]) = &*start.shape else {
            return Err(contents("a list of one text a row".to_owned()));
        };
        let needed = (rows as u64).checked_mul(text_bytes as u64);
        let needed = needed.and_then(|needed| needed.checked_add(start.bytes));
        if needed != Some(bytes) {
            let what = format!("{rows} texts of {text_bytes} bytes do not fit into {bytes}");
            return Err(ExchangeError::malformed(path, ".npy", what));
        }
        Ok(Ids::Texts(Texts {
            path: path.to_owned(),
            reader,
            rows,
            is_wide,
            is_big_endian: start.descr.starts_with('>'),
            text_bytes,
        }))
    }

    /// Makes sure that what was read to its end was right.
    pub(super) fn finish(&mut self) -> Result<(), ExchangeError> {
        match self {
            Ids::Numbers(list) => list.finish(),
            Ids::Texts(texts) => {
                let finished = texts.reader.finish();
                finished.map_err(ExchangeError::io("read", &texts.path))
            }
        }
    }

    /// How many there are.
    pub(super) fn rows(&self) -> usize {
        match self {
            Ids::Numbers(list) => list.rows,
            Ids::Texts(texts) => texts.rows,
        }
    }

    /// The next, as numbers where they are numbers.
    pub(super) fn read(&mut self, rows: usize) -> Result<Vec<Result<i64, String>>, ExchangeError> {
        match self {
            Ids::Numbers(list) => {
                let numbers = list.read(rows)?;
                let id = |number: Number| number.whole().ok_or_else(|| number.text());
                Ok(numbers.map(id).collect())
            }
            Ids::Texts(texts) => texts.read(rows),
        }
    }

    /// Passes over rows.
    pub(super) fn skip(&mut self, rows: u64) -> Result<(), ExchangeError> {
        match self {
            Ids::Numbers(list) => list.skip(rows),
            Ids::Texts(texts) => {
                let passed = texts.reader.forward(rows * texts.text_bytes as u64);
                passed.map_err(ExchangeError::io("read", &texts.path))
            }
        }
    }
}

#[cfg(feature = "npz")]
impl Texts {
    fn read(&mut self, rows: usize) -> Result<Vec<Result<i64, String>>, ExchangeError> {
        let mut bytes = vec![0; self.text_bytes];
        let mut texts = Vec::new();
        for _ in 0..rows {
            let read = self.reader.read_exact(&mut bytes);
            read.map_err(ExchangeError::io("read", &self.path))?;
            let text = if self.is_wide {
                let letters = bytes.chunks_exact(4).map(|letter| {
                    let mut little = [0; 4];
                    little.copy_from_slice(letter);
                    if self.is_big_endian {
                        little.reverse();
                    }
                    char::from_u32(u32::from_le_bytes(little)).unwrap_or('\u{fffd}')
                });
                letters.collect::<String>()
            } else {
                String::from_utf8_lossy(&bytes).into_owned()
            };
            texts.push(Err(text.trim_end_matches('\0').to_owned()));
        }
        Ok(texts)
    }
}

/// Opens a file, and says how long it is.
pub(super) fn open(path: &Path) -> Result<(BufReader<File>, u64), ExchangeError> {
    let file = File::open(path).map_err(ExchangeError::io("open", path))?;
    let metadata = file.metadata().map_err(ExchangeError::io("read", path))?;
    Ok((BufReader::with_capacity(1 << 20, file), metadata.len()))
}

/// How a number is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    form: Form,
    size: usize,
    is_big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Float,
    Signed,
    Unsigned,
}

/// A number as it was kept.
#[derive(Clone, Copy, Debug)]
enum Number {
    Half(f16),
    Single(f32),
    Double(f64),
    Signed(i64),
    Unsigned(u64),
}

impl Kind {
    const HALF: Kind = Kind::little(Form::Float, 2);
    const SINGLE: Kind = Kind::little(Form::Float, 4);
    #[cfg(feature = "npz")]
    const DOUBLE: Kind = Kind::little(Form::Float, 8);
    const INT: Kind = Kind::little(Form::Signed, 4);
    const LONG: Kind = Kind::little(Form::Signed, 8);

    const fn little(form: Form, size: usize) -> Kind {
        Kind {
            form,
            size,
            is_big_endian: false,
        }
    }

    /// What a type of NumPy stands for, such as `<f4`; none if it is no number that is read.
    fn of(descr: &str) -> Option<Kind> {
        let mut chars = descr.chars();
        let (order, form) = (chars.next()?, chars.next()?);
        let size = chars.as_str().parse().ok()?;
        let form = match (form, size) {
            ('f', 2 | 4 | 8) => Form::Float,
            ('i', 1 | 2 | 4 | 8) => Form::Signed,
            ('u', 1 | 2 | 4 | 8) => Form::Unsigned,
            _ => return None,
        };
        Some(Kind {
            form,
            size,
            is_big_endian: match order {
                '<' | '|' | '=' => false,
                '>' => true,
                _ => return None,
            },
        })
    }

    /// The number in `size` bytes.
    fn number(self, bytes: &[u8]) -> Number {
        let mut little = [0; 8];
        little[..self.size].copy_from_slice(bytes);
        if self.is_big_endian {
            little[..self.size].reverse();
        }
        let bits = u64::from_le_bytes(little);
        match (self.form, self.size) {
            (Form::Float, 2) => Number::Half(f16::from_bits(bits as u16)),
            (Form::Float, 4) => Number::Single(f32::from_bits(bits as u32)),
            (Form::Float, _) => Number::Double(f64::from_bits(bits)),
            (Form::Signed, size) => {
                // It stands in the lower bytes: moved up and down again, its sign is kept.
                let shift = 64 - 8 * size;
                Number::Signed((bits as i64) << shift >> shift)
            }
            (Form::Unsigned, _) => Number::Unsigned(bits),
        }
    }
}

impl Number {
    /// In single precision, to the nearest; infinite if it is too large for it.
    fn single(self) -> f32 {
        match self {
            Number::Half(number) => number.to_f32(),
            Number::Single(number) => number,
            Number::Double(number) => number as f32,
            Number::Signed(number) => number as f32,
            Number::Unsigned(number) => number as f32,
        }
    }

    /// In double precision, to the nearest.
    #[cfg(feature = "npz")]
    fn double(self) -> f64 {
        match self {
            Number::Half(number) => number.to_f64(),
            Number::Single(number) => number.into(),
            Number::Double(number) => number,
            Number::Signed(number) => number as f64,
            Number::Unsigned(number) => number as f64,
        }
    }

    /// As text.
    #[cfg(feature = "npz")]
    fn text(self) -> String {
        match self {
            Number::Half(number) => number.to_string(),
            Number::Single(number) => number.to_string(),
            Number::Double(number) => number.to_string(),
            Number::Signed(number) => number.to_string(),
            Number::Unsigned(number) => number.to_string(),
        }
    }

    /// As a whole number, if it is one.
    fn whole(self) -> Option<i64> {
        match self {
            Number::Half(number) => whole_number(number.to_f64()),
            Number::Single(number) => whole_number(number.into()),
            Number::Double(number) => whole_number(number),
            Number::Signed(number) => Some(number),
            Number::Unsigned(number) => i64::try_from(number).ok(),
        }
    }
}

/// A number of double precision as a whole one, if it is one and none of its neighbours would have
/// become the same.
pub(super) fn whole_number(number: f64) -> Option<i64> {
    let is_whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    is_whole.then_some(number as i64)
}

struct Header {
    /// How many bytes stand before the first value.
    bytes: u64,
    descr: String,
    kind: Kind,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    fn unexpected(&self, path: &Path, expected: &str) -> ExchangeError {
        ExchangeError::Contents {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: self.description(),
        }
    }

    fn converted(&self, path: &Path, target: &str) -> String {
        let (path, found) = (path.display(), self.description());
        format!("`{path}` holds {found}, which is converted to {target}")
    }

    fn description(&self) -> String {
        let order = if self.fortran_order { "Fortran" } else { "C" };
        format!(
            "`{}` of shape {:?} in {order} order",
            self.descr, self.shape
        )
    }

    /// Bytes of all values, or `None` if they are too many to count.
    fn value_bytes(&self) -> Option<u64> {
        let mut counts = self.shape.iter();
        counts.try_fold(self.kind.size as u64, |bytes, &count| {
            bytes.checked_mul(count as u64)
        })
    }
}

/// What an array holds whose type is no number that is read, for people.
fn named(descr: &str) -> String {
    let form = descr
        .trim_start_matches(['<', '>', '|', '='])
        .chars()
        .next();
    let what = match form {
        Some('U' | 'S' | 'a') => "texts",
        Some('O') => "Python objects",
        Some('b' | '?') => "truth values",
        Some('c') => "complex numbers",
        Some('M') => "dates",
        Some('m') => "spans of time",
        Some('V' | '[' | '(') => "records",
        _ => "values",
    };
    let descr: String = descr.chars().take(60).collect();
    format!("{what} (`{descr}`)")
}

/// What stands in a header, whatever the array holds.
struct Start {
    /// How many bytes stand before the first value.
    bytes: u64,
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

fn read_start(path: &Path, reader: &mut impl Read, bytes: u64) -> Result<Start, ExchangeError> {
    let malformed = |what: String| ExchangeError::malformed(path, ".npy", what);
    let (header_bytes, text) = read_header_text(reader).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed(format!("it ends after {bytes} bytes")),
        io::ErrorKind::InvalidData => malformed(error.to_string()),
        _ => ExchangeError::io("read", path)(error),
    })?;
    let (descr, fortran_order, shape) = parse_header(&text)
        .ok_or_else(|| malformed("its header is not that of a plain matrix or list".to_owned()))?;
    Ok(Start {
        bytes: header_bytes,
        descr,
        fortran_order,
        shape,
    })
}

/// Reads a header, and makes sure that all values are there: that they and it have `bytes` bytes.
fn read_header(
    path: &Path,
    reader: &mut impl Read,
    bytes: u64,
    expected: &str,
) -> Result<Header, ExchangeError> {
    read_start(path, reader, bytes)?.numbers(path, bytes, expected)
}

impl Start {
    /// The header of an array of numbers, all of which are there.
    fn numbers(self, path: &Path, bytes: u64, expected: &str) -> Result<Header, ExchangeError> {
        let kind = Kind::of(&self.descr).ok_or_else(|| ExchangeError::Contents {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: named(&self.descr),
        })?;
        let header = Header {
            bytes: self.bytes,
            descr: self.descr,
            kind,
            fortran_order: self.fortran_order,
            shape: self.shape,
        };
        let needed = header.value_bytes();
        let needed = needed.and_then(|values| values.checked_add(header.bytes));
        if needed == Some(bytes) {
            return Ok(header);
        }
        let needed = needed.map_or("too many".to_owned(), |bytes| bytes.to_string());
        let what = format!(
            "shape {:?} needs {needed} bytes, it has {bytes}",
            header.shape
        );
        Err(ExchangeError::malformed(path, ".npy", what))
    }
}

/// The number of bytes before the first value, and the text of the header.
fn read_header_text(reader: &mut impl Read) -> io::Result<(u64, String)> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut start = [0; 8];
    reader.read_exact(&mut start)?;
    if start[..6] != *MAGIC {
        return Err(invalid(
            "it does not begin with the magic bytes of the format".to_owned(),
        ));
    }
    let (length_bytes, length) = match start[6] {
        1 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length)?;
            (2, usize::from(u16::from_le_bytes(length)))
        }
        2 | 3 => {
            let mut length = [0; 4];
            reader.read_exact(&mut length)?;
            (4, u32::from_le_bytes(length) as usize)
        }
        version => {
            return Err(invalid(format!(
                "it has version {version}, and 1 to 3 are known"
            )));
        }
    };
    if length > HEADER_BYTES_MAX {
        return Err(invalid(format!(
            "its header has {length} bytes, more than {HEADER_BYTES_MAX}"
        )));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text)?;
    let text = String::from_utf8(text).map_err(|_| invalid("its header is no text".to_owned()))?;
    Ok((8 + length_bytes + length as u64, text))
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }` with its keys in any order.
fn parse_header(text: &str) -> Option<(String, bool, Vec<usize>)> {
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    let mut rest = text
        .trim()
        .strip_prefix('{')?
        .strip_suffix('}')?
        .trim_start();
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" if value.starts_with(['[', '(']) => {
                let (text, after) = bracketed(value)?;
                descr = Some(text.to_owned());
                after
            }
            "descr" => {
                let (text, after) = quoted(value)?;
                descr = Some(text.to_owned());
                after
            }
            "fortran_order" => {
                let is_true = value.strip_prefix("True");
                fortran_order = Some(is_true.is_some());
                is_true.or_else(|| value.strip_prefix("False"))?
            }
            "shape" => {
                let (inside, after) = value.strip_prefix('(')?.split_once(')')?;
                let counts = inside
                    .split(',')
                    .map(str::trim)
                    .filter(|count| !count.is_empty());
                shape = Some(
                    counts
                        .map(|count| count.parse().ok())
                        .collect::<Option<_>>()?,
                );
                after
            }
            _ => return None,
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some((descr?, fortran_order?, shape?))
}

/// A list of Python, and what follows it. Brackets within texts are taken for brackets: what comes
/// of that is an error, as the list itself is.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(text.split_at(at + 1));
        }
    }
    None
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::exchange::EmbeddingFile;

    fn npy(header: &str, values: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(values);
        bytes
    }

    fn write(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.npy");
        fs::write(&path, bytes).unwrap();
        (directory, path)
    }

    fn embeddings(bytes: &[u8]) -> Result<Vec<Vec<f32>>, ExchangeError> {
        let (_directory, path) = write(bytes);
        let mut file = EmbeddingFile::open(&path)?;
        file.check()?;
        let mut rows = Vec::new();
        loop {
            let batch = file.read(2)?;
            if batch.nrows() == 0 {
                return Ok(rows);
            }
            rows.extend(batch.outer_iter().map(|row| row.to_vec()));
        }
    }

    fn classes(bytes: &[u8]) -> Result<Vec<Option<i64>>, ExchangeError> {
        let (_directory, path) = write(bytes);
        let (reader, bytes) = open(&path)?;
        let mut list = List::integers(&path, Box::new(reader), bytes)?;
        list.read_integers(list.rows)
    }

    const SINGLE: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 16), }   \n";

    fn three_rows() -> Vec<f32> {
        (1..=48_u8).map(f32::from).collect()
    }

    #[test]
    fn single_precision_comes_back_as_it_was() {
        let values = three_rows();
        let rows = embeddings(&npy(SINGLE, bytemuck::cast_slice(&values))).unwrap();
        assert_eq!(rows.concat(), values);
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn half_precision_is_widened() {
        let values: Vec<f16> = three_rows().into_iter().map(f16::from_f32).collect();
        let header = "{\"shape\":(3,16),'fortran_order':False,'descr':'<f2'}";
        let rows = embeddings(&npy(header, bytemuck::cast_slice(&values))).unwrap();
        assert_eq!(rows.concat(), three_rows());
    }

    fn header(descr: &str, order: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}")
    }

    /// Numbers as an array of a type keeps them.
    fn kept(descr: &str, numbers: &[f64]) -> Vec<u8> {
        let bytes = |number: &f64| {
            let mut bytes = match &descr[1..] {
                "f2" => f16::from_f64(*number).to_le_bytes().to_vec(),
                "f4" => (*number as f32).to_le_bytes().to_vec(),
                "f8" => number.to_le_bytes().to_vec(),
                "i1" => (*number as i8).to_le_bytes().to_vec(),
                "i2" => (*number as i16).to_le_bytes().to_vec(),
                "i4" => (*number as i32).to_le_bytes().to_vec(),
                "i8" => (*number as i64).to_le_bytes().to_vec(),
                "u1" => (*number as u8).to_le_bytes().to_vec(),
                "u2" => (*number as u16).to_le_bytes().to_vec(),
                "u4" => (*number as u32).to_le_bytes().to_vec(),
                _ => (*number as u64).to_le_bytes().to_vec(),
            };
            if descr.starts_with('>') {
                bytes.reverse();
            }
            bytes
        };
        numbers.iter().flat_map(bytes).collect()
    }

    const KINDS: [&str; 21] = [
        "<f2", ">f2", "<f4", ">f4", "=f4", "<f8", ">f8", "|i1", "<i2", ">i2", "<i4", ">i4", "<i8",
        ">i8", "|u1", "<u2", ">u2", "<u4", ">u4", "<u8", ">u8",
    ];

    #[test]
    fn numbers_of_every_kind_are_read_in_both_orders() {
        let rows: Vec<f64> = (1..=48_u8).map(f64::from).collect();
        let columns: Vec<f64> = (0..16)
            .flat_map(|column| (0..3).map(move |row| f64::from(row * 16 + column + 1)))
            .collect();
        for descr in KINDS {
            for (order, numbers) in [("False", &rows), ("True", &columns)] {
                let bytes = npy(&header(descr, order, "(3, 16)"), &kept(descr, numbers));
                let found = embeddings(&bytes).unwrap().concat();
                assert_eq!(found, three_rows(), "{descr} {order}");
                let (_directory, path) = write(&bytes);
                let notes = EmbeddingFile::open(&path).unwrap().notes();
                let is_plain = order == "False" && matches!(descr, "<f2" | "<f4" | "=f4");
                assert_eq!(notes.is_empty(), is_plain, "{descr}: {notes:?}");
                assert!(notes.iter().all(|note| note.contains(descr)), "{notes:?}");
            }
            let list = npy(
                &header(descr, "False", "(3,)"),
                &kept(descr, &[1.0, 0.0, 100.0]),
            );
            assert_eq!(
                classes(&list).unwrap(),
                [Some(1), Some(0), Some(100)],
                "{descr}"
            );
        }
    }

    #[test]
    fn what_is_no_whole_number_of_64_bits_is_none_at_its_place() {
        let wide = [-1_i64, i64::MAX, i64::MIN];
        let bytes = npy(&header("<i8", "False", "(3,)"), bytemuck::cast_slice(&wide));
        assert_eq!(classes(&bytes).unwrap(), wide.map(Some));
        let unsigned = [1, u64::MAX, 1 << 63];
        let bytes = npy(
            &header("<u8", "False", "(3,)"),
            bytemuck::cast_slice(&unsigned),
        );
        assert_eq!(classes(&bytes).unwrap(), [Some(1), None, None]);
        let floats = [-17.0, 1.5, f64::NAN, f64::INFINITY, 1e300];
        let bytes = npy(&header(">f8", "False", "(5, 1)"), &kept(">f8", &floats));
        assert_eq!(
            classes(&bytes).unwrap(),
            [Some(-17), None, None, None, None]
        );
    }

    #[test]
    fn what_single_precision_cannot_hold_is_refused_at_its_place() {
        let mut numbers: Vec<f64> = (1..=48_u8).map(f64::from).collect();
        numbers[20] = 1e39;
        let bytes = npy(&header("<f8", "False", "(3, 16)"), &kept("<f8", &numbers));
        let error = embeddings(&bytes).unwrap_err().to_string();
        assert!(
            error.contains("row 1 of") && error.contains("value 4"),
            "{error}"
        );
    }

    #[test]
    fn arrays_that_hold_no_numbers_are_refused_by_name() {
        for (descr, named) in [
            ("'<U11'", "texts (`<U11`)"),
            ("'|S5'", "texts (`|S5`)"),
            ("'|O'", "Python objects (`|O`)"),
            ("'|b1'", "truth values (`|b1`)"),
            ("'<c16'", "complex numbers (`<c16`)"),
            ("'<M8[ns]'", "dates (`<M8[ns]`)"),
            ("'<f16'", "values (`<f16`)"),
            ("[('a', '<f4'), ('b', '<i8', (2,))]", "records (`[('a', "),
        ] {
            let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (3, 16), }}");
            for error in [
                embeddings(&npy(&text, &[1; 100])).unwrap_err(),
                classes(&npy(&text, &[1; 100])).unwrap_err(),
            ] {
                assert!(matches!(error, ExchangeError::Contents { .. }), "{error}");
                assert!(error.to_string().contains(named), "{named}: {error}");
            }
        }
    }

    #[test]
    fn a_bad_row_is_named() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut values = three_rows();
            values[2 * 16 + 5] = bad;
            let error = embeddings(&npy(SINGLE, bytemuck::cast_slice(&values))).unwrap_err();
            assert!(
                matches!(error, ExchangeError::Item { item: 2, .. }),
                "{error}"
            );
        }
        let mut values = three_rows();
        values[16..32].fill(0.0);
        let error = embeddings(&npy(SINGLE, bytemuck::cast_slice(&values))).unwrap_err();
        assert!(error.to_string().starts_with("row 1 of"), "{error}");
    }

    #[test]
    fn reading_goes_on_at_any_row() {
        let single = three_rows();
        let half: Vec<f16> = single.iter().copied().map(f16::from_f32).collect();
        let halves = SINGLE.replace("<f4", "<f2");
        for bytes in [
            npy(SINGLE, bytemuck::cast_slice(&single)),
            npy(&halves, bytemuck::cast_slice(&half)),
        ] {
            let (_directory, path) = write(&bytes);
            let mut file = EmbeddingFile::open(&path).unwrap();
            for row in [2, 0, 1, 3] {
                file.go_to(row).unwrap();
                let rest = file.read(10).unwrap();
                assert_eq!(rest.as_slice().unwrap(), &single[row * 16..]);
            }
        }
    }

    #[test]
    fn other_values_have_another_checksum_and_the_same_in_half_precision_do_not() {
        let checksum = |header: &str, bytes: &[u8]| {
            let (_directory, path) = write(&npy(header, bytes));
            EmbeddingFile::open(&path).unwrap().check().unwrap().0
        };
        let mut values = three_rows();
        let halves: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
        let first = checksum(SINGLE, bytemuck::cast_slice(&values));
        let header = SINGLE.replace("<f4", "<f2");
        assert_eq!(first, checksum(&header, bytemuck::cast_slice(&halves)));
        values[47] = values[47].next_up();
        assert_ne!(first, checksum(SINGLE, bytemuck::cast_slice(&values)));
    }

    #[test]
    fn what_holds_something_else_is_refused() {
        for (header, bytes) in [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (16,), }",
                64,
            ),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 16), }",
                0,
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 15), }",
                180,
            ),
            (
                "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 4097), }",
                8194,
            ),
        ] {
            let error = embeddings(&npy(header, &vec![1; bytes])).unwrap_err();
            assert!(matches!(error, ExchangeError::Contents { .. }), "{error}");
        }
    }

    #[test]
    fn what_is_no_whole_file_is_refused() {
        let values = three_rows();
        let whole = npy(SINGLE, bytemuck::cast_slice(&values));
        for length in 0..whole.len() {
            let error = embeddings(&whole[..length]).unwrap_err();
            assert!(
                matches!(error, ExchangeError::Malformed { .. }),
                "{length}: {error}"
            );
        }
        assert!(embeddings(&[&whole[..], &[0]].concat()).is_err());
        for header in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551615, 16), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 16), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 16), }",
            "{'descr': [('a', '<f4'], 'fortran_order': False, 'shape': (3, 16), }",
            "{'descr': '<f4', 'fortran_order': False}",
            "((((((((",
            "",
        ] {
            let error = embeddings(&npy(header, bytemuck::cast_slice(&values))).unwrap_err();
            assert!(
                matches!(error, ExchangeError::Malformed { .. }),
                "{header}: {error}"
            );
        }
    }

    /// Every value of a file, however many.
    fn fuzz_file(bytes: &[u8]) {
        if let Ok(rows) = embeddings(bytes) {
            let values: usize = rows.iter().map(Vec::len).sum();
            assert!(rows.iter().flatten().all(|value| value.is_finite()));
            // Each came from a byte that was there, or more.
            assert!(values < bytes.len(), "{values} values");
        }
        if let Ok(classes) = classes(bytes) {
            assert!(classes.len() < bytes.len(), "{} classes", classes.len());
        }
    }

    #[test]
    fn fuzz_headers() {
        // Pieces of headers in any order, and values behind them.
        const PIECES: [&str; 28] = [
            "{",
            "}",
            "'descr'",
            "\"shape\"",
            "'fortran_order'",
            ": ",
            ", ",
            "'<f4'",
            "'<f2'",
            "'<i8'",
            "'<i4'",
            "'<f99999999999999999999'",
            "'|u1'",
            "'>f8'",
            "[(",
            ")]",
            "'\u{e9}'",
            "False",
            "True",
            "(3, 16)",
            "(3,)",
            "(3, 4294967296)",
            "(",
            ")",
            "(18446744073709551615,)",
            "(1, 16)",
            "'",
            "{'descr': '<f4', 'fortran_order': False, 'shape': ",
        ];
        bolero::check!()
            .with_iterations(3_000)
            .with_max_len(300)
            .for_each(|input: &[u8]| {
                let (count, rest) = input.split_first().unwrap_or((&0, &[]));
                let (pieces, values) = rest.split_at(rest.len().min(usize::from(count % 16)));
                let piece = |at: &u8| PIECES[usize::from(*at) % PIECES.len()];
                let header: String = pieces.iter().map(piece).collect();
                fuzz_file(&npy(&header, values));
            });
    }

    #[test]
    fn fuzz_files() {
        let single = npy(SINGLE, bytemuck::cast_slice(&three_rows()));
        let list = "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }";
        let list = npy(list, bytemuck::cast_slice(&[1_i64, 2, 3]));
        let target = |input: &[u8]| {
            for valid in [&single, &list] {
                let mut bytes = valid.clone();
                for edit in input.chunks_exact(2) {
                    // Most of what can be broken stands in the header.
                    let count = bytes.len().min(90);
                    bytes[usize::from(edit[0]) % count] = edit[1];
                }
                fuzz_file(&bytes);
            }
            fuzz_file(input);
            fuzz_file(&[&MAGIC[..], input].concat());
        };
        target(&[]);
        bolero::check!()
            .with_iterations(2_000)
            .with_max_len(40)
            .for_each(target);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), from in 0_usize..80) {
            let mut file = npy(SINGLE, bytemuck::cast_slice(&three_rows()));
            let end = file.len().min(from + bytes.len());
            let count = end - from;
            file[from..end].copy_from_slice(&bytes[..count]);
            let _ = embeddings(&file);
            let _ = classes(&file);
        }
    }
}
