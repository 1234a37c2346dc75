//! NumPy's `.npy` files: a matrix of embeddings, or a list of class numbers.
//!
//! The format is described in NumPy's NEP 1 and `numpy.lib.format`: a magic text, a version, the
//! length of a header, the header (a Python dictionary with the keys `descr`, `fortran_order` and
//! `shape`), and the values. We read it ourselves since the well-kept readers parse the header as
//! any Python literal, recursively and with sizes that they do not check; files to be imported come
//! from strangers.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, Digest};
use half::f16;
use half::slice::HalfFloatSliceExt;
use ndarray::Array2;

use super::ExchangeError;
use crate::types::{DIMENSION_MAX, DIMENSION_MIN, Embedding};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy writes about 120 bytes; more than this is no header of a plain matrix.
const HEADER_BYTES_MAX: usize = 10_000;
/// Rows that are checked at once.
const CHECK_ROWS: usize = 1024;

/// A matrix of embeddings, one a row, read from front to back.
///
/// Values are single or half precision; half precision is widened, which loses nothing.
#[derive(Debug)]
pub struct EmbeddingFile {
    path: PathBuf,
    matrix: Matrix<BufReader<File>>,
    next_row: usize,
}

impl EmbeddingFile {
    /// Opens a matrix and reads its header.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no `.npy` file or cut off, or holds no matrix of `float32` or
    /// `float16`, little-endian and in C order, with a row at least and a dimension that embeddings
    /// have. Double precision is refused and not rounded in silence.
    pub fn open(path: &Path) -> Result<EmbeddingFile, ExchangeError> {
        let (reader, file_bytes) = open(path)?;
        Ok(EmbeddingFile {
            path: path.to_owned(),
            matrix: Matrix::new(path, reader, file_bytes)?,
            next_row: 0,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many embeddings there are.
    pub fn rows(&self) -> usize {
        self.matrix.rows
    }

    /// How many values each has.
    pub fn dimension(&self) -> usize {
        self.matrix.dimension
    }

    /// Reads all embeddings once, and goes back to the first. What passes here can be identified.
    ///
    /// Returns a checksum of the values (CRC-64/NVME, as single precision), by which these
    /// embeddings can be told from others.
    ///
    /// # Errors
    ///
    /// As [`EmbeddingFile::read`].
    pub fn check(&mut self) -> Result<u64, ExchangeError> {
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        self.go_to(0)?;
        while self.next_row < self.rows() {
            for row in self.read(CHECK_ROWS)?.outer_iter() {
                let row = row
                    .to_slice()
                    .expect("rows of a matrix in C order lie together");
                digest.update(bytemuck::cast_slice(row));
            }
        }
        self.go_to(0)?;
        Ok(digest.finalize())
    }

    /// Goes on reading at a row, from 0.
    ///
    /// # Errors
    ///
    /// If the file cannot be read there.
    ///
    /// # Panics
    ///
    /// Panics if `row` is past the end.
    pub fn go_to(&mut self, row: usize) -> Result<(), ExchangeError> {
        assert!(row <= self.rows(), "there are {} rows", self.rows());
        let start = self.matrix.values_start + row as u64 * self.matrix.row_bytes() as u64;
        let moved = self.matrix.reader.seek(io::SeekFrom::Start(start));
        moved.map_err(ExchangeError::io("read", &self.path))?;
        self.next_row = row;
        Ok(())
    }

    /// Reads the next `rows_max` embeddings, or as many as are left; none at the end.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or a row has a value that is not finite, or zeros only. The row
    /// is named.
    pub fn read(&mut self, rows_max: usize) -> Result<Array2<f32>, ExchangeError> {
        let rows = rows_max.min(self.rows() - self.next_row);
        let values = self.matrix.read(rows)?;
        for (at, row) in values.chunks_exact(self.dimension()).enumerate() {
            Embedding::check(row).map_err(|source| ExchangeError::Row {
                path: self.path.clone(),
                row: self.next_row + at,
                source,
            })?;
        }
        self.next_row += rows;
        let matrix = Array2::from_shape_vec((rows, self.dimension()), values);
        Ok(matrix.expect("there are rows times dimension values"))
    }
}

/// A matrix as it comes from a file, or from a part of one. Its rows are not checked.
#[derive(Debug)]
pub(super) struct Matrix<R> {
    path: PathBuf,
    reader: R,
    pub(super) rows: usize,
    pub(super) dimension: usize,
    half: bool,
    /// Where the first value lies.
    values_start: u64,
    bytes: Vec<u8>,
}

impl<R: Read> Matrix<R> {
    /// Reads the header of a matrix that has `bytes` bytes with it; `path` names it in errors.
    pub(super) fn new(path: &Path, mut reader: R, bytes: u64) -> Result<Self, ExchangeError> {
        let header = read_header(path, &mut reader, bytes)?;
        let half = match &*header.descr {
            "<f4" => false,
            "<f2" => true,
            _ => {
                let needed = "a matrix of `<f4` or `<f2` (`array.astype('<f4')`)";
                return Err(header.unexpected(path, needed));
            }
        };
        let &[rows, dimension] = &*header.shape else {
            return Err(header.unexpected(path, "a matrix of rows and values"));
        };
        if header.fortran_order && rows > 1 && dimension > 1 {
            return Err(header.unexpected(path, "a matrix in C order (`numpy.ascontiguousarray`)"));
        }
        if !(DIMENSION_MIN..=DIMENSION_MAX).contains(&dimension) {
            let needed = format!("a dimension of {DIMENSION_MIN} to {DIMENSION_MAX}");
            return Err(header.unexpected(path, &needed));
        }
        if rows == 0 {
            return Err(header.unexpected(path, "one row or more"));
        }
        Ok(Matrix {
            path: path.to_owned(),
            reader,
            rows,
            dimension,
            half,
            values_start: header.bytes,
            bytes: Vec::new(),
        })
    }

    /// Bytes of a row in the file.
    pub(super) fn row_bytes(&self) -> usize {
        self.dimension * if self.half { 2 } else { 4 }
    }

    /// The next `rows` rows, one after the other. The caller keeps to those that there are.
    pub(super) fn read(&mut self, rows: usize) -> Result<Vec<f32>, ExchangeError> {
        let mut values = vec![0.0_f32; rows * self.dimension];
        let read = if self.half {
            self.bytes.resize(values.len() * size_of::<f16>(), 0);
            self.reader.read_exact(&mut self.bytes).map(|()| {
                let halves: Vec<f16> = bytemuck::pod_collect_to_vec(&self.bytes);
                halves.convert_to_f32_slice(&mut values);
            })
        } else {
            self.reader
                .read_exact(bytemuck::cast_slice_mut(&mut values))
        };
        read.map_err(ExchangeError::io("read", &self.path))?;
        Ok(values)
    }

    /// What the values are read from.
    pub(super) fn reader(&mut self) -> &mut R {
        &mut self.reader
    }
}

/// A list of numbers as it comes from a file, or from a part of one.
#[derive(Debug)]
pub(super) struct List<R> {
    path: PathBuf,
    reader: R,
    pub(super) rows: usize,
    bytes_per_number: usize,
}

impl<R: Read> List<R> {
    /// Reads the header of a list of whole numbers; as [`Matrix::new`].
    pub(super) fn integers(path: &Path, reader: R, bytes: u64) -> Result<Self, ExchangeError> {
        List::new(path, reader, bytes, &[("<i8", 8), ("<i4", 4)])
    }

    /// Reads the header of a list of single-precision numbers; as [`Matrix::new`].
    #[cfg(feature = "npz")]
    pub(super) fn singles(path: &Path, reader: R, bytes: u64) -> Result<Self, ExchangeError> {
        List::new(path, reader, bytes, &[("<f4", 4)])
    }

    fn new(
        path: &Path,
        mut reader: R,
        bytes: u64,
        known: &[(&str, usize)],
    ) -> Result<Self, ExchangeError> {
        let header = read_header(path, &mut reader, bytes)?;
        let kind = known.iter().find(|(descr, _)| header.descr == *descr);
        let Some(&(_, bytes_per_number)) = kind else {
            let descrs: Vec<String> = known
                .iter()
                .map(|(descr, _)| format!("`{descr}`"))
                .collect();
            return Err(header.unexpected(path, &format!("a list of {}", descrs.join(" or "))));
        };
        let (&[rows] | &[rows, 1]) = &*header.shape else {
            return Err(header.unexpected(path, "a list of one number a row"));
        };
        Ok(List {
            path: path.to_owned(),
            reader,
            rows,
            bytes_per_number,
        })
    }

    /// Bytes of a number in the file.
    pub(super) fn row_bytes(&self) -> usize {
        self.bytes_per_number
    }

    /// The next whole numbers.
    pub(super) fn read_integers(&mut self, rows: usize) -> Result<Vec<i64>, ExchangeError> {
        let bytes = self.read(rows)?;
        let wide = |number: &[u8]| {
            let mut bytes = [0; 8];
            bytes[..number.len()].copy_from_slice(number);
            // Four bytes stand in the lower half: moved up and down again, their sign is kept.
            let shift = 64 - 8 * number.len();
            i64::from_le_bytes(bytes) << shift >> shift
        };
        Ok(bytes
            .chunks_exact(self.bytes_per_number)
            .map(wide)
            .collect())
    }

    /// The next single-precision numbers.
    pub(super) fn read_singles(&mut self, rows: usize) -> Result<Vec<f32>, ExchangeError> {
        Ok(bytemuck::pod_collect_to_vec(&self.read(rows)?))
    }

    /// What the numbers are read from.
    pub(super) fn reader(&mut self) -> &mut R {
        &mut self.reader
    }

    fn read(&mut self, rows: usize) -> Result<Vec<u8>, ExchangeError> {
        let mut bytes = vec![0; rows * self.bytes_per_number];
        let read = self.reader.read_exact(&mut bytes);
        read.map_err(ExchangeError::io("read", &self.path))?;
        Ok(bytes)
    }
}

/// Opens a file, and says how long it is.
pub(super) fn open(path: &Path) -> Result<(BufReader<File>, u64), ExchangeError> {
    let file = File::open(path).map_err(ExchangeError::io("open", path))?;
    let metadata = file.metadata().map_err(ExchangeError::io("read", path))?;
    Ok((BufReader::with_capacity(1 << 20, file), metadata.len()))
}

struct Header {
    /// How many bytes stand before the first value.
    bytes: u64,
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    fn unexpected(&self, path: &Path, expected: &str) -> ExchangeError {
        let order = if self.fortran_order { "Fortran" } else { "C" };
        ExchangeError::Contents {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: format!(
                "`{}` of shape {:?} in {order} order",
                self.descr, self.shape
            ),
        }
    }

    /// Bytes of all values, or `None` if they are too many to count.
    fn value_bytes(&self) -> Option<u64> {
        let size: u64 = self.descr.get(2..)?.parse().ok()?;
        self.shape
            .iter()
            .try_fold(size, |bytes, &count| bytes.checked_mul(count as u64))
    }
}

/// Reads a header, and makes sure that all values are there: that they and it have `bytes` bytes.
fn read_header(path: &Path, reader: &mut impl Read, bytes: u64) -> Result<Header, ExchangeError> {
    let malformed = |what: String| ExchangeError::malformed(path, ".npy", what);
    let (header_bytes, text) = read_header_text(reader).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed(format!("it ends after {bytes} bytes")),
        io::ErrorKind::InvalidData => malformed(error.to_string()),
        _ => ExchangeError::io("read", path)(error),
    })?;
    let header = parse_header(&text, header_bytes)
        .ok_or_else(|| malformed("its header is not that of a plain matrix or list".to_owned()))?;
    let expected = header
        .value_bytes()
        .and_then(|values| values.checked_add(header_bytes));
    if expected != Some(bytes) {
        let expected = expected.map_or("too many".to_owned(), |bytes| bytes.to_string());
        let shape = &header.shape;
        return Err(malformed(format!(
            "shape {shape:?} needs {expected} bytes, it has {bytes}"
        )));
    }
    Ok(header)
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
fn parse_header(text: &str, bytes: u64) -> Option<Header> {
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
    Some(Header {
        bytes,
        descr: descr?,
        fortran_order: fortran_order?,
        shape: shape?,
    })
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

    fn classes(bytes: &[u8]) -> Result<Vec<i64>, ExchangeError> {
        let (_directory, path) = write(bytes);
        let (reader, bytes) = open(&path)?;
        let mut list = List::integers(&path, reader, bytes)?;
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

    #[test]
    fn classes_are_read_in_both_widths() {
        let header =
            |descr| format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (3,), }}");
        let wide = [-1_i64, i64::MAX, 7];
        assert_eq!(
            classes(&npy(&header("<i8"), bytemuck::cast_slice(&wide))).unwrap(),
            wide
        );
        let narrow = [-1_i32, i32::MAX, 7];
        let expected = [-1, i64::from(i32::MAX), 7];
        assert_eq!(
            classes(&npy(&header("<i4"), bytemuck::cast_slice(&narrow))).unwrap(),
            expected
        );
        assert!(classes(&npy(&header("<f8"), bytemuck::cast_slice(&wide))).is_err());
    }

    #[test]
    fn a_bad_row_is_named() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut values = three_rows();
            values[2 * 16 + 5] = bad;
            let error = embeddings(&npy(SINGLE, bytemuck::cast_slice(&values))).unwrap_err();
            assert!(
                matches!(error, ExchangeError::Row { row: 2, .. }),
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
            EmbeddingFile::open(&path).unwrap().check().unwrap()
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
                "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 16), }",
                128,
            ),
            (
                "{'descr': '>f4', 'fortran_order': False, 'shape': (1, 16), }",
                64,
            ),
            (
                "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 16), }",
                128,
            ),
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
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3, 16), }",
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
            // Each came from two or four bytes that were there.
            assert!(values * 2 < bytes.len(), "{values} values");
        }
        if let Ok(classes) = classes(bytes) {
            assert!(classes.len() * 4 < bytes.len(), "{} classes", classes.len());
        }
    }

    #[test]
    fn fuzz_headers() {
        // Pieces of headers in any order, and values behind them.
        const PIECES: [&str; 24] = [
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
