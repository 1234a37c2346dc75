//! NumPy's `.npz` files: `.npy` files in a ZIP archive, as `numpy.savez` and
//! `numpy.savez_compressed` write them.
//!
//! The arrays are read side by side, each from its own place, so that nothing has to be kept. What a
//! member is said to hold is believed no further than its header, which is compared with it; a
//! member that inflates to more or to something else is found out at its end.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};
use std::path::Path;

use crc_fast::{CrcAlgorithm, Digest};
use flate2::bufread::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::matrix::{Arrays, Forward, MatrixSource};
use super::{ExchangeError, Source, file_facts};
use crate::exchange::npy::{List, Matrix};

const FORMAT: &str = ".npz";

/// Opens an archive with the arrays `embeddings` and `classes`, and `times` and `qualities` if they
/// are there.
pub(super) fn open_npz(path: &Path) -> Result<Box<dyn Source>, ExchangeError> {
    let file = File::open(path).map_err(ExchangeError::io("open", path))?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|error| ExchangeError::malformed(path, FORMAT, error.to_string()))?;
    let member = |archive: &mut _, name| open_member(path, archive, name);
    let needed = |archive: &mut _, name| {
        let names = "arrays `embeddings` and `classes`";
        member(archive, name)?.ok_or_else(|| ExchangeError::Contents {
            path: path.to_owned(),
            expected: names.to_owned(),
            found: format!("no array `{name}`"),
        })
    };
    let label = |name: &str| path.join(format!("{name}.npy"));
    let (reader, bytes) = needed(&mut archive, "embeddings")?;
    let embeddings = Matrix::new(&label("embeddings"), reader, bytes)?;
    let (reader, bytes) = needed(&mut archive, "classes")?;
    let classes = List::integers(&label("classes"), reader, bytes)?;
    let times = member(&mut archive, "times")?
        .map(|(reader, bytes)| List::integers(&label("times"), reader, bytes))
        .transpose()?;
    let qualities = member(&mut archive, "qualities")?
        .map(|(reader, bytes)| List::singles(&label("qualities"), reader, bytes))
        .transpose()?;
    let rows = embeddings.rows;
    let lists = [
        ("classes", Some(&classes)),
        ("times", times.as_ref()),
        ("qualities", qualities.as_ref()),
    ];
    for (name, list) in lists {
        if let Some(list) = list.filter(|list| list.rows != rows) {
            return Err(ExchangeError::Contents {
                path: label(name),
                expected: format!("one number for each of {rows} rows"),
                found: format!("{} of them", list.rows),
            });
        }
    }
    let arrays = Arrays {
        embeddings,
        classes: Some(classes),
        times,
        qualities,
    };
    let files = vec![("file".to_owned(), file_facts(path)?)];
    Ok(MatrixSource::boxed(path, files, arrays))
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
