//! Reading an archive: nothing is believed before it was compared with the manifest.

use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, Digest};
use serde::Serialize;
use zstd::stream::read::Decoder;

use super::ahead::ReadAhead;
use super::envelope;
use super::{
    ALGORITHM, ArchivedFile, CHECKSUMS, CHUNK_BYTES, Checksums, LIST_BYTES_MAX, MANIFEST, Manifest,
    TAR_BLOCK_BYTES, ZSTD_MAGIC, damaged, header, padding,
};
use crate::partition::StoreError;
use crate::partition::keys::Keys;
use crate::partition::segment::checksum;
use crate::secrets::MasterKey;

/// Frames that need a larger window than this are none of ours, and would take memory.
const WINDOW_LOG_MAX: u32 = 23;

/// An entry that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The checksum that the archive gives for it.
    #[serde(serialize_with = "hexadecimal")]
    pub expected: u64,
    /// The checksum of what was read.
    #[serde(serialize_with = "hexadecimal")]
    pub found: u64,
}

/// Reads all of an archive and compares everything in it with its checksums. Tells `progress` how
/// many bytes of how many went by. Returns what the archive says of itself.
///
/// # Errors
///
/// If the file cannot be read, is damaged, cut off or no snapshot, or newer than this build.
pub fn verify_archive(
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, StoreError> {
    verify_archive_with(path, &Keys::default(), progress)
}

/// As [`verify_archive`], of an archive of a data directory that may be encrypted: then all of it is
/// authenticated, too.
///
/// # Errors
///
/// As [`verify_archive`], and if the master key is missing or another one.
pub fn verify_archive_with(
    path: &Path,
    keys: &Keys,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, StoreError> {
    let reader = ArchiveReader::open(path, keys.master.as_ref())?;
    let manifest = reader.manifest().clone();
    reader.read_verified(&mut Nowhere, progress)?;
    Ok(manifest)
}

/// Where the files of an archive go.
pub(in crate::partition) trait Sink {
    /// A file begins.
    fn begin(&mut self, file: &ArchivedFile) -> Result<(), StoreError>;
    /// Its next bytes, which are not verified yet.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;
    /// It was as long as announced.
    fn end(&mut self) -> Result<(), StoreError>;
}

/// An archive whose manifest is known to be whole.
pub(in crate::partition) struct ArchiveReader<R> {
    path: PathBuf,
    manifest: Manifest,
    /// Of the bytes of the manifest.
    manifest_entry: (u64, u64),
    rest: R,
}

impl ArchiveReader<ReadAhead> {
    pub(in crate::partition) fn open(
        path: &Path,
        master: Option<&MasterKey>,
    ) -> Result<Self, StoreError> {
        ArchiveReader::new(path, envelope::open(path, master)?)
    }
}

impl<R: BufRead> ArchiveReader<R> {
    /// Reads the first frame of an archive. `path` is for messages.
    pub(in crate::partition) fn new(path: &Path, mut reader: R) -> Result<Self, StoreError> {
        let start = reader.fill_buf();
        let start = start.map_err(|error| StoreError::io("read", path, error))?;
        if !start.starts_with(&ZSTD_MAGIC) {
            let found = &start[..start.len().min(ZSTD_MAGIC.len())];
            let expected = "the beginning of a zstd frame";
            let bytes: Vec<String> = found.iter().map(|byte| format!("{byte:02x}")).collect();
            let found = match &bytes[..] {
                [] => "an empty file".to_owned(),
                bytes => format!("the bytes {}", bytes.join(" ")),
            };
            return Err(damaged(path, MANIFEST, "first bytes", expected, found));
        }
        let failed = |error| stream_error(path, MANIFEST, error);
        let mut frame = frame(reader).map_err(failed)?;
        let mut bytes = Vec::new();
        let limit = LIST_BYTES_MAX + 2 * TAR_BLOCK_BYTES as u64;
        let mut limited = (&mut frame).take(limit);
        // Reads to the end of the frame, where its checksum is compared.
        limited.read_to_end(&mut bytes).map_err(failed)?;
        let (manifest, json) = parse_manifest(path, &bytes)?;
        Ok(ArchiveReader {
            path: path.to_owned(),
            manifest,
            manifest_entry: (json.len() as u64, checksum(json)),
            rest: frame.finish(),
        })
    }

    pub(in crate::partition) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads everything, and fails at the first checksum that differs.
    pub(in crate::partition) fn read_verified(
        self,
        sink: &mut dyn Sink,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        let path = self.path.clone();
        let entries = self.read(sink, progress)?;
        match entries.iter().find(|entry| entry.expected != entry.found) {
            Some(entry) => {
                let expected = format!("{:016x}", entry.expected);
                let found = format!("{:016x}", entry.found);
                Err(damaged(&path, &entry.name, "checksum", expected, found))
            }
            None => Ok(()),
        }
    }

    /// Reads everything. Returns all entries, whose checksums may differ.
    pub(in crate::partition) fn read(
        self,
        sink: &mut dyn Sink,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<Entry>, StoreError> {
        let (mut done, total) = (0, self.manifest.bytes());
        let mut progress = |bytes| {
            done += bytes;
            progress(done, total);
        };
        let mut stream = Stream {
            frame: frame(self.rest).map_err(|error| stream_error(&self.path, CHECKSUMS, error))?,
            path: &self.path,
            created: self.manifest.created_unix_milliseconds,
        };
        let mut found = vec![self.manifest_entry];
        for file in &self.manifest.files {
            found.push(stream.file(file, sink, &mut progress)?);
        }
        let checksums = stream.checksums()?;
        stream.end()?;
        let names = self.manifest.files.iter().map(|file| &*file.name);
        let names: Vec<&str> = std::iter::once(MANIFEST).chain(names).collect();
        compare(&self.path, &checksums, &names, &found)
    }
}

/// Checks the only entry of the first frame, and returns the manifest and its bytes.
fn parse_manifest<'a>(path: &Path, bytes: &'a [u8]) -> Result<(Manifest, &'a [u8]), StoreError> {
    let malformed = |found: &str| damaged(path, MANIFEST, "first frame", "one entry", found);
    let Some((head, body)) = bytes.split_first_chunk::<TAR_BLOCK_BYTES>() else {
        return Err(malformed("less than a header"));
    };
    let raw = tar::Header::from_byte_slice(head);
    let length = raw.entry_size().unwrap_or(u64::MAX);
    if length > LIST_BYTES_MAX || body.len() as u64 != length + padding(length) as u64 {
        return Err(malformed("another length"));
    }
    let (json, zeros) = body.split_at(length as usize);
    let manifest = Manifest::parse(path, json)?;
    let expected = header(MANIFEST, length, manifest.created_unix_milliseconds);
    if expected.as_bytes() != head || zeros.iter().any(|zero| *zero != 0) {
        return Err(malformed("another header"));
    }
    Ok((manifest, json))
}

/// The second frame.
struct Stream<'a, R: BufRead> {
    frame: Decoder<'static, R>,
    path: &'a Path,
    created: i64,
}

impl<R: BufRead> Stream<'_, R> {
    /// Hands a file to the sink. Returns its length and checksum.
    fn file(
        &mut self,
        file: &ArchivedFile,
        sink: &mut dyn Sink,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(u64, u64), StoreError> {
        let found = self.block(&file.name)?;
        self.compare_header(&file.name, file.bytes, &found)?;
        sink.begin(file)?;
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(file.bytes).unwrap_or(usize::MAX))];
        let mut left = file.bytes;
        while left > 0 {
            let most = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = self.frame.read(&mut chunk[..most]);
            let count = read.map_err(|error| stream_error(self.path, &file.name, error))?;
            if count == 0 {
                let found = (file.bytes - left).to_string();
                let expected = file.bytes.to_string();
                return Err(self.damaged(&file.name, "length in bytes", expected, found));
            }
            digest.update(&chunk[..count]);
            sink.write(&chunk[..count])?;
            progress(count as u64);
            left -= count as u64;
        }
        self.padding(&file.name, file.bytes)?;
        sink.end()?;
        Ok((file.bytes, digest.finalize()))
    }

    /// Reads the last entry.
    fn checksums(&mut self) -> Result<Checksums, StoreError> {
        let found = self.block(CHECKSUMS)?;
        let length = tar::Header::from_byte_slice(&found).entry_size();
        let length = length.ok().filter(|length| *length <= LIST_BYTES_MAX);
        let length = length.unwrap_or(0);
        self.compare_header(CHECKSUMS, length, &found)?;
        let mut json = Vec::new();
        let read = (&mut self.frame).take(length).read_to_end(&mut json);
        read.map_err(|error| stream_error(self.path, CHECKSUMS, error))?;
        self.padding(CHECKSUMS, length)?;
        serde_json::from_slice(&json)
            .map_err(|error| self.damaged(CHECKSUMS, "contents", "checksums", error.to_string()))
    }

    /// Two blocks of zeros, the end of the frame, and the end of the file.
    fn end(mut self) -> Result<(), StoreError> {
        let mut rest = Vec::new();
        let most = 2 * TAR_BLOCK_BYTES as u64 + 1;
        let read = (&mut self.frame).take(most).read_to_end(&mut rest);
        read.map_err(|error| stream_error(self.path, CHECKSUMS, error))?;
        if rest != [0; 2 * TAR_BLOCK_BYTES] {
            let expected = "two blocks of zeros";
            return Err(self.damaged(CHECKSUMS, "end of the archive", expected, "other bytes"));
        }
        let path = self.path;
        let mut reader = self.frame.finish();
        let after = reader.fill_buf();
        let after = after.map_err(|error| StoreError::io("read", path, error))?;
        if !after.is_empty() {
            let expected = "the end of the file";
            return Err(damaged(
                path,
                CHECKSUMS,
                "end of the archive",
                expected,
                "more bytes",
            ));
        }
        Ok(())
    }

    fn compare_header(
        &self,
        name: &str,
        bytes: u64,
        found: &[u8; TAR_BLOCK_BYTES],
    ) -> Result<(), StoreError> {
        let expected = header(name, bytes, self.created);
        if expected.as_bytes() == found {
            return Ok(());
        }
        let found = tar::Header::from_byte_slice(found);
        let named = String::from_utf8_lossy(&found.path_bytes()).into_owned();
        let length = found
            .entry_size()
            .map_or("unknown".to_owned(), |n| n.to_string());
        let expected = format!("a file of {bytes} bytes of this name");
        let found = format!("{named:?} of {length} bytes, type {:?}", found.entry_type());
        Err(self.damaged(name, "header", expected, found))
    }

    fn block(&mut self, entry: &str) -> Result<[u8; TAR_BLOCK_BYTES], StoreError> {
        let mut block = [0; TAR_BLOCK_BYTES];
        let read = self.frame.read_exact(&mut block);
        read.map_err(|error| stream_error(self.path, entry, error))?;
        Ok(block)
    }

    fn padding(&mut self, entry: &str, bytes: u64) -> Result<(), StoreError> {
        let mut block = [0; TAR_BLOCK_BYTES];
        let zeros = &mut block[..padding(bytes)];
        let read = self.frame.read_exact(zeros);
        read.map_err(|error| stream_error(self.path, entry, error))?;
        if zeros.iter().any(|zero| *zero != 0) {
            return Err(self.damaged(entry, "bytes after it", "zeros", "others"));
        }
        Ok(())
    }

    fn damaged(
        &self,
        entry: &str,
        what: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> StoreError {
        damaged(self.path, entry, what, expected, found)
    }
}

/// Puts the checksums that were written beside those that were found.
fn compare(
    path: &Path,
    checksums: &Checksums,
    names: &[&str],
    found: &[(u64, u64)],
) -> Result<Vec<Entry>, StoreError> {
    let listed = checksums.entries.iter();
    let listed: Vec<(&str, u64)> = listed.map(|entry| (&*entry.name, entry.bytes)).collect();
    let read: Vec<(&str, u64)> = names
        .iter()
        .copied()
        .zip(found.iter().map(|e| e.0))
        .collect();
    if checksums.algorithm != ALGORITHM || listed != read {
        let expected = format!("{ALGORITHM} of all {} entries", read.len());
        return Err(damaged(
            path,
            CHECKSUMS,
            "contents",
            expected,
            "something else",
        ));
    }
    let entries = checksums.entries.iter().zip(found);
    let entry = |(listed, (bytes, found)): (&super::ChecksumOf, &(u64, u64))| {
        let expected = u64::from_str_radix(&listed.checksum, 16).map_err(|_| {
            let found = format!("{:?}", listed.checksum);
            damaged(path, CHECKSUMS, "checksum", "hexadecimal digits", found)
        })?;
        Ok(Entry {
            name: listed.name.clone(),
            bytes: *bytes,
            expected,
            found: *found,
        })
    };
    entries.map(entry).collect()
}

/// Begins to read one frame.
fn frame<R: BufRead>(reader: R) -> io::Result<Decoder<'static, R>> {
    let mut frame = Decoder::with_buffer(reader)?.single_frame();
    frame.window_log_max(WINDOW_LOG_MAX)?;
    Ok(frame)
}

/// Tells a disk that cannot be read from bytes that cannot be understood.
fn stream_error(path: &Path, entry: &str, error: io::Error) -> StoreError {
    if error.raw_os_error().is_some() {
        return StoreError::io("read", path, error);
    }
    let found = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the end of the file".to_owned(),
        _ => error.to_string(),
    };
    damaged(path, entry, "compressed bytes", "what was written", found)
}

fn hexadecimal<S: serde::Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:016x}"))
}

/// A sink that forgets.
struct Nowhere;

impl Sink for Nowhere {
    fn begin(&mut self, _file: &ArchivedFile) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&mut self, _bytes: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn end(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
