//! Pairs of classes, as lines on any stream or in a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ExchangeError;
use super::draft::{Draft, refuse_existing};
use super::format::Format;
use crate::types::Pair;

/// Writes a pair as a line of JSON: `{"class":1,"other":17,"similarity":0.93}`.
/// Written in small pieces: give it a stream with a buffer.
///
/// # Errors
///
/// If the stream takes no more.
pub fn write_json_pair(stream: &mut impl Write, pair: &Pair) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line {
        class: i64,
        other: i64,
        similarity: f64,
    }
    let line = Line {
        class: pair.class.0,
        other: pair.other.0,
        similarity: pair.similarity,
    };
    serde_json::to_writer(&mut *stream, &line)?;
    stream.write_all(b"\n")
}

/// A file of pairs to be, made when they are known; that it can be made is known before.
///
/// The end of the name decides on the format: `.jsonl` for one line a pair, as [`write_json_pair`]
/// writes it, `.csv` for the fields class, other and similarity, `.npz` (feature `npz`) for arrays of
/// these names, `.parquet` (feature `parquet`) for a table with the columns `class` and `other`
/// (INT64) and `similarity` (DOUBLE).
#[derive(Debug)]
pub struct PairFile {
    path: PathBuf,
    format: Format,
}

impl PairFile {
    /// Looks whether the file can be made. Nothing stays of the attempt.
    ///
    /// # Errors
    ///
    /// If the end of the name is not known, the file is there and is not to be overwritten, or its
    /// directory cannot be written.
    pub fn new(path: &Path, overwrite: bool) -> Result<PairFile, ExchangeError> {
        let format = Format::of(path)?;
        refuse_existing(path, overwrite)?;
        let path = path.to_owned();
        drop(Draft::create(&path)?);
        Ok(PairFile { path, format })
    }

    /// Writes the pairs. The file appears when it is whole.
    ///
    /// # Errors
    ///
    /// If the disk fails; then whatever had the name keeps it.
    pub fn write(self, pairs: &[Pair]) -> Result<(), ExchangeError> {
        match self.format {
            Format::JsonLines => write_lines(&self.path, "", pairs, write_object),
            Format::Csv => write_lines(&self.path, "class,other,similarity\n", pairs, write_fields),
            #[cfg(feature = "npz")]
            Format::Npz => write_arrays(&self.path, pairs),
            #[cfg(feature = "parquet")]
            Format::Parquet => write_table(&self.path, pairs),
        }
    }
}

fn write_lines(
    path: &Path,
    head: &str,
    pairs: &[Pair],
    write: fn(&mut BufWriter<&File>, &Pair) -> io::Result<()>,
) -> Result<(), ExchangeError> {
    let draft = Draft::create(path)?;
    let mut lines = BufWriter::new(draft.file());
    let written = lines
        .write_all(head.as_bytes())
        .and_then(|()| pairs.iter().try_for_each(|pair| write(&mut lines, pair)))
        .and_then(|()| lines.flush());
    written.map_err(|error| draft.error(error))?;
    drop(lines);
    draft.finish()
}

fn write_object(stream: &mut BufWriter<&File>, pair: &Pair) -> io::Result<()> {
    write_json_pair(stream, pair)
}

fn write_fields(stream: &mut BufWriter<&File>, pair: &Pair) -> io::Result<()> {
    let (class, other) = (pair.class, pair.other);
    writeln!(stream, "{class},{other},{:?}", pair.similarity)
}

/// The arrays `class`, `other` and `similarity`, a number for each pair.
#[cfg(feature = "npz")]
fn write_arrays(path: &Path, pairs: &[Pair]) -> Result<(), ExchangeError> {
    use super::export::{begin_archive, begin_array};

    type Bytes = fn(&Pair) -> [u8; 8];

    let draft = Draft::create(path)?;
    let mut archive = begin_archive(draft.file());
    let list = format!("({},)", pairs.len());
    let bits: [(&str, &str, Bytes); 3] = [
        ("class", "<i8", |pair| pair.class.0.to_le_bytes()),
        ("other", "<i8", |pair| pair.other.0.to_le_bytes()),
        ("similarity", "<f8", |pair| pair.similarity.to_le_bytes()),
    ];
    for (name, descr, bytes) in bits {
        begin_array(&mut archive, name, descr, &list)
            .and_then(|()| {
                let mut pairs = pairs.iter();
                pairs.try_for_each(|pair| archive.write_all(&bytes(pair)))
            })
            .map_err(|error| draft.error(error))?;
    }
    let finished = archive.finish().map_err(io::Error::from);
    let mut file = finished.map_err(|error| draft.error(error))?;
    file.flush().map_err(|error| draft.error(error))?;
    drop(file);
    draft.finish()
}

#[cfg(feature = "parquet")]
fn write_table(path: &Path, pairs: &[Pair]) -> Result<(), ExchangeError> {
    use super::table::{self, Kind, ROWS_PER_GROUP, Values};

    let columns = [
        ("class", Kind::Int64),
        ("other", Kind::Int64),
        ("similarity", Kind::Double),
    ];
    let mut groups = pairs.chunks(ROWS_PER_GROUP);
    table::write(path, columns, [], || {
        Ok(groups.next().map(|pairs| {
            [
                Values::Int64(pairs.iter().map(|pair| pair.class.0).collect()),
                Values::Int64(pairs.iter().map(|pair| pair.other.0).collect()),
                Values::Double(pairs.iter().map(|pair| pair.similarity).collect()),
            ]
        }))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::types::ClassId;

    fn pairs() -> [Pair; 2] {
        [(1, 17, 0.93), (-5, 2, 0.5)].map(|(class, other, similarity)| Pair {
            class: ClassId(class),
            other: ClassId(other),
            similarity,
        })
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        let file = PairFile::new(&path, false).unwrap();
        assert!(!path.exists());
        file.write(&pairs()).unwrap();
        let expected = "{\"class\":1,\"other\":17,\"similarity\":0.93}\n\
                        {\"class\":-5,\"other\":2,\"similarity\":0.5}\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        let error = PairFile::new(&path, false).unwrap_err();
        assert!(matches!(error, ExchangeError::Exists { .. }), "{error}");
        PairFile::new(&path, true).unwrap().write(&[]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        let nowhere = directory.path().join("missing/a.jsonl");
        let error = PairFile::new(&nowhere, false).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }

    #[test]
    fn fields_stand_below_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.csv");
        PairFile::new(&path, false)
            .unwrap()
            .write(&pairs())
            .unwrap();
        let expected = "class,other,similarity\n1,17,0.93\n-5,2,0.5\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn a_table_has_a_row_for_each_pair() {
        use parquet::file::reader::{FileReader, SerializedFileReader};
        use parquet::record::Field;

        let directory = tempfile::tempdir().unwrap();
        for pairs in [&pairs()[..], &[]] {
            let path = directory.path().join("a.parquet");
            PairFile::new(&path, true).unwrap().write(pairs).unwrap();
            let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
            let rows = reader.get_row_iter(None).unwrap();
            let rows: Vec<_> = rows.map(|row| row.unwrap().into_columns()).collect();
            let expected: Vec<_> = pairs
                .iter()
                .map(|pair| {
                    vec![
                        ("class".to_owned(), Field::Long(pair.class.0)),
                        ("other".to_owned(), Field::Long(pair.other.0)),
                        ("similarity".to_owned(), Field::Double(pair.similarity)),
                    ]
                })
                .collect();
            assert_eq!(rows, expected);
        }
    }
}
