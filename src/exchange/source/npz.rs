//! NumPy's `.npz` files: `.npy` files in a ZIP archive, as `numpy.savez` and
//! `numpy.savez_compressed` write them.
//!
//! The arrays are read side by side, each from its own place, so that nothing has to be kept. What
//! a member is said to hold is compared with the header of the array; no more of it is read,
//! whatever it inflates to, and what it inflates to is compared with its checksum at the end. The
//! library for ZIP finds the members; its own readers of them borrow the archive, of which several
//! would be needed.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Take};
use std::path::Path;

use crc_fast::{CrcAlgorithm, Digest};
use flate2::bufread::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::matrix::{Arrays, MatrixSource, PeopleArrays};
use super::{ExchangeError, Source, SourceOptions, no_column};
use crate::exchange::npy::{Forward, Ids, List, Matrix, Seekable};

const FORMAT: &str = ".npz";
/// The most bytes of an array that are kept in memory, which is done only to turn columns into rows.
const BYTES_KEPT_MAX: u64 = 1 << 32;

/// Opens an archive with the arrays `embeddings` and `classes`, and `times` and `qualities` if they
/// are there, and what is said of people; of probes, with `ids` instead of classes.
pub(super) fn open_npz(
    path: &Path,
    options: &SourceOptions,
) -> Result<Box<dyn Source>, ExchangeError> {
    let file = File::open(path).map_err(ExchangeError::io("open", path))?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|error| ExchangeError::malformed(path, FORMAT, error.to_string()))?;
    let there: Vec<String> = archive
        .file_names()
        .filter_map(|name| name.ok().map(Cow::into_owned))
        .collect();
    let mut member = |name: &str| open_member(path, &mut archive, name);
    let missing = |name: &str| {
        let there = there.iter().filter_map(|name| name.strip_suffix(".npy"));
        no_column(path, "array", name, there)
    };
    let label = |name: &str| path.join(format!("{name}.npy"));
    let name = options.embedding_name.as_deref().unwrap_or("embeddings");
    let (reader, bytes) = member(name)?.ok_or_else(|| missing(name))?;
    let embeddings = Matrix::new(&label(name), reader, bytes)?;
    let rows = embeddings.rows;
    let (mut classes, mut ids) = (None, None);
    let class_name = options.class_name.as_deref().unwrap_or("classes");
    if options.are_probes {
        let own = options.id_name.as_deref();
        // Whoever names an array means that one.
        let names = own.map_or_else(|| vec!["ids", class_name], |own| vec![own]);
        for name in names {
            if ids.is_none()
                && let Some((reader, bytes)) = member(name)?
            {
                let list = Ids::new(&label(name), reader, bytes)?;
                same_rows(&label(name), rows, list.rows())?;
                ids = Some(list);
            }
        }
        if let Some(name) = own.filter(|_| ids.is_none()) {
            return Err(missing(name));
        }
    } else {
        let (reader, bytes) = member(class_name)?.ok_or_else(|| missing(class_name))?;
        let list = List::integers(&label(class_name), reader, bytes)?;
        same_rows(&label(class_name), rows, list.rows)?;
        classes = Some(list);
    }
    let mut list = |name: &str, open: OpenList| {
        let list = member(name)?.map(|(reader, bytes)| open(&label(name), reader, bytes));
        let list = list.transpose()?;
        if let Some(list) = &list {
            same_rows(&label(name), rows, list.rows)?;
        }
        Ok::<_, ExchangeError>(list)
    };
    let (times, qualities) = if options.are_probes {
        (None, None)
    } else {
        (
            list("times", List::integers)?,
            list("qualities", List::singles)?,
        )
    };
    let mut member = |name: &str| match options.is_of_person(name) {
        true => open_member(path, &mut archive, name),
        false => Ok(None),
    };
    let people = people_arrays(path, rows, &mut member)?;
    let arrays = Arrays {
        embeddings,
        classes,
        times,
        qualities,
        ids,
        people,
    };
    let files = vec![("file".to_owned(), options.facts(path)?)];
    Ok(MatrixSource::boxed(path, files, arrays))
}

/// The arrays of what is known of people, if they are there.
fn people_arrays(
    path: &Path,
    rows: usize,
    member: &mut dyn FnMut(&str) -> Result<Option<Opened>, ExchangeError>,
) -> Result<PeopleArrays, ExchangeError> {
    let label = |name: &str| path.join(format!("{name}.npy"));
    let mut texts = |name: &str| {
        let Some((reader, bytes)) = member(name)? else {
            return Ok(None);
        };
        let ids = Ids::new(&label(name), reader, bytes)?;
        same_rows(&label(name), rows, ids.rows())?;
        Ok::<_, ExchangeError>(Some(ids))
    };
    let no_numbers = |name: &str, ids: Option<Ids>| match ids {
        Some(Ids::Numbers(_)) => Err(ExchangeError::Contents {
            path: label(name),
            expected: "a list of texts; --templates-only passes over what a file says of people"
                .to_owned(),
            found: "numbers".to_owned(),
        }),
        ids => Ok(ids),
    };
    let (names, notes) = (texts("names")?, texts("notes")?);
    let external_ids = texts("external_ids")?;
    let (labels, note) = match texts("labels")? {
        // Many files have the classes of a training there.
        Some(Ids::Numbers(_)) => {
            let array = label("labels");
            let said = "holds numbers, and no labels of people such as `site:berlin`: passed over";
            (None, Some(format!("`{}` {said}", array.display())))
        }
        labels => (labels, None),
    };
    let mut list = |name: &str, open: OpenList| {
        let list = member(name)?.map(|(reader, bytes)| open(&label(name), reader, bytes));
        let list = list.transpose()?;
        if let Some(list) = &list {
            same_rows(&label(name), rows, list.rows)?;
        }
        Ok::<_, ExchangeError>(list)
    };
    Ok(PeopleArrays {
        names: no_numbers("names", names)?,
        external_ids,
        labels,
        notes: no_numbers("notes", notes)?,
        expires: list("expires", List::integers)?,
        thresholds: list("thresholds", List::doubles)?,
        note,
    })
}

type OpenList = fn(&Path, Box<dyn Forward>, u64) -> Result<List, ExchangeError>;

fn same_rows(path: &Path, rows: usize, found: usize) -> Result<(), ExchangeError> {
    if found == rows {
        return Ok(());
    }
    Err(ExchangeError::Contents {
        path: path.to_owned(),
        expected: format!("one entry for each of {rows} rows"),
        found: format!("{found} of them"),
    })
}

type Opened = (Box<dyn Forward>, u64);

/// A reader of its own for an array, and how many bytes it is said to give.
fn open_member(
    path: &Path,
    archive: &mut ZipArchive<BufReader<File>>,
    name: &str,
) -> Result<Option<Opened>, ExchangeError> {
    let malformed = |what: String| ExchangeError::malformed(path, FORMAT, what);
    let Some(index) = archive.index_for_name(&format!("{name}.npy")) else {
        return Ok(None);
    };
    let entry = archive
        .by_index_raw(index)
        .map_err(|error| malformed(error.to_string()))?;
    if entry.encrypted() {
        return Err(malformed(format!("array `{name}` is encrypted")));
    }
    let (method, bytes, crc) = (entry.compression(), entry.size(), entry.crc32());
    let start = entry
        .data_start()
        .ok_or_else(|| malformed(format!("array `{name}` has no place")))?;
    let stored = entry.compressed_size();
    let mut file = File::open(path).map_err(ExchangeError::io("open", path))?;
    file.seek(SeekFrom::Start(start))
        .map_err(ExchangeError::io("read", path))?;
    let file = BufReader::with_capacity(1 << 18, file.take(stored));
    let content = match method {
        CompressionMethod::Stored => Content::Stored(file),
        CompressionMethod::DEFLATE => Content::Deflated(DeflateDecoder::new(file)),
        other => {
            return Err(malformed(format!(
                "array `{name}` is stored in a way that is not known ({other:?}): use `numpy.savez` or `numpy.savez_compressed`"
            )));
        }
    };
    let member = Member {
        content,
        left: bytes,
        digest: Digest::new(CrcAlgorithm::Crc32IsoHdlc),
        crc,
    };
    Ok(Some((Box::new(member), bytes)))
}

enum Content {
    Stored(BufReader<Take<File>>),
    Deflated(DeflateDecoder<BufReader<Take<File>>>),
}

/// The bytes of an array, as many as it is said to have, with a checksum over all.
struct Member {
    content: Content,
    left: u64,
    digest: Digest,
    crc: u32,
}

impl Read for Member {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let buffer = &mut buffer[..most];
        let read = match &mut self.content {
            Content::Stored(file) => file.read(buffer)?,
            Content::Deflated(inflated) => inflated.read(buffer)?,
        };
        self.digest.update(&buffer[..read]);
        self.left -= read as u64;
        Ok(read)
    }
}

impl Forward for Member {
    fn forward(&mut self, bytes: u64) -> io::Result<()> {
        // All bytes are read for the checksum, and a deflated member has no other way.
        let passed = io::copy(&mut self.take(bytes), &mut io::sink())?;
        if passed == bytes {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn seekable(mut self: Box<Self>, position: u64) -> io::Result<Box<dyn Seekable>> {
        if self.left > BYTES_KEPT_MAX {
            return Err(io::Error::other(format!(
                "it has {} bytes in columns, and no more than {BYTES_KEPT_MAX} are turned into rows: \
                 use `numpy.ascontiguousarray`",
                self.left
            )));
        }
        // Those before have been read, and nobody goes back to them.
        let mut bytes = vec![0; usize::try_from(position).map_err(io::Error::other)?];
        self.read_to_end(&mut bytes)?;
        self.finish()?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn finish(&mut self) -> io::Result<()> {
        let found = self.digest.finalize();
        if self.left == 0 && found == u64::from(self.crc) {
            return Ok(());
        }
        let (expected, left) = (self.crc, self.left);
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "an array has checksum {found:08x} and {left} bytes too few, and {expected:08x} and none are expected"
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    struct Array {
        name: &'static str,
        bytes: Vec<u8>,
        deflated: bool,
        crc_off: u32,
    }

    fn array(name: &'static str, descr: &str, shape: &str, values: &[u8]) -> Array {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(values);
        Array {
            name,
            bytes,
            deflated: false,
            crc_off: 0,
        }
    }

    fn gallery(rows: usize) -> Vec<Array> {
        let values: Vec<f32> = (0..rows * 16).map(|at| at as f32 + 0.5).collect();
        let classes: Vec<i64> = (0..rows as i64).map(|row| -row).collect();
        let list = format!("({rows},)");
        vec![
            array(
                "embeddings.npy",
                "<f4",
                &format!("({rows}, 16)"),
                bytemuck::cast_slice(&values),
            ),
            array("classes.npy", "<i8", &list, bytemuck::cast_slice(&classes)),
        ]
    }

    /// An archive as PKWARE's description of the format says, without anything optional.
    fn archive(arrays: &[Array]) -> Vec<u8> {
        let (mut file, mut directory) = (Vec::new(), Vec::new());
        for array in arrays {
            let mut stored = array.bytes.clone();
            if array.deflated {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&array.bytes).unwrap();
                stored = encoder.finish().unwrap();
            }
            let crc = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, &array.bytes) as u32;
            let mut common = Vec::new();
            for number in [20_u16, 0, if array.deflated { 8 } else { 0 }, 0, 33] {
                common.extend_from_slice(&number.to_le_bytes());
            }
            for number in [
                crc ^ array.crc_off,
                stored.len() as u32,
                array.bytes.len() as u32,
            ] {
                common.extend_from_slice(&number.to_le_bytes());
            }
            common.extend_from_slice(&(array.name.len() as u16).to_le_bytes());
            common.extend_from_slice(&[0, 0]);
            directory.extend_from_slice(b"PK\x01\x02\x14\x00");
            directory.extend_from_slice(&common);
            directory.extend_from_slice(&[0; 10]);
            directory.extend_from_slice(&(file.len() as u32).to_le_bytes());
            directory.extend_from_slice(array.name.as_bytes());
            file.extend_from_slice(b"PK\x03\x04");
            file.extend_from_slice(&common);
            file.extend_from_slice(array.name.as_bytes());
            file.extend_from_slice(&stored);
        }
        let start = file.len() as u32;
        file.extend_from_slice(&directory);
        file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        for _ in 0..2 {
            file.extend_from_slice(&(arrays.len() as u16).to_le_bytes());
        }
        file.extend_from_slice(&(directory.len() as u32).to_le_bytes());
        file.extend_from_slice(&start.to_le_bytes());
        file.extend_from_slice(&[0, 0]);
        file
    }

    /// The classes, after `skipped` rows.
    fn read(bytes: &[u8], skipped: u64) -> Result<Vec<i64>, ExchangeError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.npz");
        fs::write(&path, bytes).unwrap();
        let mut source = open_npz(&path, &SourceOptions::default())?;
        source.skip(skipped)?;
        let (mut classes, mut scratch) = (Vec::new(), Vec::new());
        while let Some(piece) = source.next_piece()? {
            for at in 0..piece.items() {
                // Damaged values may be none, before the damage is found.
                let record = piece.read(at, &mut scratch);
                classes.push(record.map_or(0, |record| record.class.0));
            }
        }
        Ok(classes)
    }

    /// Texts as NumPy keeps them.
    fn texts(name: &'static str, texts: &[&str]) -> Array {
        let width = texts
            .iter()
            .map(|text| text.chars().count())
            .max()
            .unwrap_or(1);
        let mut values = Vec::new();
        for text in texts {
            let letters = text.chars().map(u32::from).chain(std::iter::repeat(0));
            values.extend(letters.take(width).flat_map(u32::to_le_bytes));
        }
        array(
            name,
            &format!("<U{width}"),
            &format!("({},)", texts.len()),
            &values,
        )
    }

    fn numbers(name: &'static str, numbers: &[i64]) -> Array {
        let shape = format!("({},)", numbers.len());
        array(name, "<i8", &shape, bytemuck::cast_slice(numbers))
    }

    /// Who the rows are, or why they are refused, and what is said of the file.
    fn who(arrays: &[Array]) -> Result<(Vec<String>, Vec<String>), ExchangeError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.npz");
        fs::write(&path, archive(arrays)).unwrap();
        let mut source = open_npz(&path, &SourceOptions::default())?;
        let (mut said, mut scratch) = (Vec::new(), Vec::new());
        while let Some(piece) = source.next_piece()? {
            for at in 0..piece.items() {
                said.push(
                    match piece.read(at, &mut scratch).map(|record| record.person) {
                        Err(refused) => format!("refused: {}", refused.reason),
                        Ok(None) => "nobody".to_owned(),
                        Ok(Some(person)) => {
                            let name = person.name.as_ref().map_or("", |name| name.as_str());
                            let id = person.external_id.as_ref().map_or("", |id| id.as_str());
                            format!("{name}/{id}/{}", person.labels.to_text())
                        }
                    },
                );
            }
        }
        Ok((said, source.notes()))
    }

    #[test]
    fn people_are_read_beside_their_templates() {
        let mut arrays = gallery(4);
        let long = "x".repeat(10_000);
        arrays.push(texts("names.npy", &["Zoë 山田", "", "  ", &long]));
        arrays.push(numbers("external_ids.npy", &[17, -1, 3, 4]));
        arrays.push(texts("labels.npy", &["site:berlin;team:a", "", "site", ""]));
        let (said, notes) = who(&arrays).unwrap();
        assert_eq!(said[..2], ["Zoë 山田/17/site:berlin;team:a", "/-1/"]);
        assert!(said[2].contains("no colon"), "{said:?}");
        assert!(said[3].contains("10000 characters"), "{said:?}");
        assert!(notes.is_empty());
    }

    #[test]
    fn arrays_of_people_of_another_length_or_kind_are_refused_by_name() {
        for (wrong, named) in [
            (texts("names.npy", &["a", "b", "c"]), "names.npy"),
            (texts("labels.npy", &["a:b"; 5]), "labels.npy"),
            (numbers("names.npy", &[1; 4]), "names.npy"),
            (numbers("notes.npy", &[1; 4]), "notes.npy"),
            (numbers("external_ids.npy", &[1; 3]), "external_ids.npy"),
            (texts("expires.npy", &["2030"; 4]), "expires.npy"),
            (array("names.npy", "|O", "(4,)", &[0; 32]), "names.npy"),
        ] {
            let mut arrays = gallery(4);
            arrays.push(wrong);
            let error = who(&arrays).unwrap_err().to_string();
            assert!(error.contains(named), "{named}: {error}");
        }
    }

    #[test]
    fn labels_of_a_training_are_none_of_people() {
        let mut arrays = gallery(4);
        arrays.push(numbers("labels.npy", &[0, 1, 1, 0]));
        let (said, notes) = who(&arrays).unwrap();
        assert_eq!(said, ["nobody"; 4]);
        assert!(notes[0].contains("labels.npy") && notes[0].contains("passed over"));
    }

    #[test]
    fn arrays_are_read_side_by_side_from_any_row() {
        for deflated in [false, true] {
            let mut arrays = gallery(20_000);
            arrays
                .iter_mut()
                .for_each(|array| array.deflated = deflated);
            let bytes = archive(&arrays);
            for skipped in [0, 1, 19_999, 20_000] {
                let expected: Vec<i64> = (skipped..20_000).map(|row| -row).collect();
                assert_eq!(read(&bytes, skipped as u64).unwrap(), expected);
            }
            assert!(read(&bytes, 20_001).is_err());
        }
    }

    #[test]
    fn what_is_missing_too_much_or_damaged_is_said() {
        let with = |change: fn(&mut Vec<Array>)| {
            let mut arrays = gallery(5);
            change(&mut arrays);
            let error = read(&archive(&arrays), 0).unwrap_err();
            format!(
                "{error}: {:?}",
                std::error::Error::source(&error).map(ToString::to_string)
            )
        };
        for (said, change) in [
            (
                "no array `embeddings`",
                (|arrays| drop(arrays.remove(0))) as fn(&mut Vec<Array>),
            ),
            ("no array `classes`", |arrays| drop(arrays.pop())),
            ("one entry for each of 5 rows", |arrays| {
                arrays.push(array("times.npy", "<i8", "(4,)", &[0; 32]));
            }),
            ("texts (`<U2`)", |arrays| {
                arrays.push(array("qualities.npy", "<U2", "(5,)", &[0; 40]));
            }),
            ("needs", |arrays| arrays[0].bytes.truncate(100)),
            ("checksum", |arrays| arrays[1].crc_off = 1),
            ("checksum", |arrays| {
                arrays[0].deflated = true;
                arrays[0].crc_off = 0x0800_0000;
            }),
        ] {
            let error = with(change);
            assert!(error.contains(said), "{said}: {error}");
        }
    }

    #[test]
    fn deflated_garbage_is_an_error() {
        let mut arrays = gallery(2_000);
        arrays[0].deflated = true;
        let whole = archive(&arrays);
        let start = whole
            .windows(14)
            .position(|bytes| bytes == b"embeddings.npy")
            .unwrap()
            + 14;
        // Beyond the header, so that the file opens.
        for at in (start + 200..start + 4_000).step_by(97) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            assert!(read(&damaged, 0).is_err(), "{at}");
        }
    }
}
