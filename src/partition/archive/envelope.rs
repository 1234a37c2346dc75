//! An archive that is sealed as a whole, so that nobody reads it, makes another, cuts it off or mends it
//! without the master key.
//!
//! ```text
//! header    whose it is, a salt, and the key file as it was then, sealed with the master key
//! chunks    of 1 MiB, each with its tag, the last one marked as the last and perhaps shorter
//! ```
//!
//! Chunks are sealed by their numbers under a key that is made for this archive alone. That the last is
//! marked in what is authenticated keeps an archive from being cut between two of them (Hoang et al.,
//! "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", CRYPTO 2015, section 7).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::ahead::ReadAhead;
use super::{CHUNK_BYTES, MANIFEST, damaged};
use crate::partition::keys::KeyFile;
use crate::partition::segment::checksum;
use crate::partition::{StoreError, private};
use crate::secrets::{
    BlockCipher, KeyError, KeyRing, MasterKey, SALT_BYTES, TAG_BYTES, Tag, new_salt,
};

/// The first bytes of a sealed archive.
pub(in crate::partition) const SEALED_MAGIC: [u8; 8] = *b"VULTSNAP";
/// The version that is written and read.
const VERSION: u32 = 1;
/// What comes before the key file.
const HEAD_BYTES: usize = 8 + 4 + 4 + 8 + SALT_BYTES + 8;
/// Far more than the keys of all galleries take.
const KEY_FILE_BYTES_MAX: u64 = 1 << 31;
/// What the key of an archive is made for.
const PURPOSE: &str = "vultus snapshot 1";

/// What the bytes of an archive go through.
pub(super) struct SealedWriter<W> {
    out: W,
    sealing: Sealing,
    /// The next chunk, as far as it is known.
    begun: Vec<u8>,
}

/// The cipher of an archive, and how far it is.
struct Sealing {
    cipher: BlockCipher,
    identity: u64,
    next: u64,
}

impl<W: Write> SealedWriter<W> {
    /// Begins an archive of the data directory that has these keys. `path` is for messages.
    pub(super) fn begin(
        mut out: W,
        keys: &KeyFile,
        path: &Path,
    ) -> Result<SealedWriter<W>, StoreError> {
        let salt = new_salt();
        let (key_file, directory_key) = keys.sealed_again();
        let mut header = Vec::with_capacity(HEAD_BYTES + key_file.len() + 8);
        header.extend_from_slice(&SEALED_MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&(CHUNK_BYTES as u32).to_le_bytes());
        header.extend_from_slice(&keys.identity().to_le_bytes());
        header.extend_from_slice(&salt);
        header.extend_from_slice(&(key_file.len() as u64).to_le_bytes());
        header.extend_from_slice(&key_file);
        header.extend_from_slice(&checksum(&header).to_le_bytes());
        let written = out.write_all(&header);
        written.map_err(|error| StoreError::io("write", path, error))?;
        let cipher = directory_key.block_cipher(&salt, PURPOSE);
        Ok(SealedWriter {
            out,
            sealing: Sealing::new(cipher, keys.identity()),
            begun: Vec::with_capacity(CHUNK_BYTES + TAG_BYTES),
        })
    }

    /// Writes the last chunk, and gives back where it went.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.write_chunk(true)?;
        Ok(self.out)
    }

    fn write_chunk(&mut self, is_last: bool) -> io::Result<()> {
        let tag = self.sealing.seal(is_last, &mut self.begun);
        self.begun.extend_from_slice(&tag);
        self.out.write_all(&self.begun)?;
        self.begun.clear();
        Ok(())
    }
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Not before there is more: the last chunk is not known to be the last until the end.
        if self.begun.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.write_chunk(false)?;
        }
        let room = CHUNK_BYTES - self.begun.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.begun.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sealing {
    fn new(cipher: BlockCipher, identity: u64) -> Sealing {
        Sealing {
            cipher,
            identity,
            next: 0,
        }
    }

    fn seal(&mut self, is_last: bool, chunk: &mut [u8]) -> Tag {
        let associated = self.associated(is_last);
        self.next += 1;
        self.cipher.seal(self.next - 1, &associated, chunk)
    }

    fn open(&mut self, is_last: bool, chunk: &mut Vec<u8>) -> io::Result<()> {
        let number = self.next;
        self.next += 1;
        let tag = chunk.split_off(chunk.len().saturating_sub(TAG_BYTES));
        let tag = Tag::try_from(tag).ok();
        let opened = tag.is_some_and(|tag| {
            let associated = self.associated(is_last);
            self.cipher.open(number, &associated, &tag, chunk).is_ok()
        });
        if opened {
            return Ok(());
        }
        chunk.clear();
        let what = format!("chunk {number} is not what was sealed, or the end is missing");
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }

    /// What a chunk belongs to; its number is the nonce.
    fn associated(&self, is_last: bool) -> Vec<u8> {
        let identity = self.identity.to_le_bytes();
        [PURPOSE.as_bytes(), &identity, &[u8::from(is_last)]].concat()
    }
}

/// The bytes of an archive that was sealed.
struct SealedReader<R> {
    source: R,
    sealing: Sealing,
    /// A chunk that was read and not opened: whether it is the last shows when the next is read.
    ahead: Vec<u8>,
    chunk: Vec<u8>,
    position: usize,
    is_done: bool,
}

impl<R: Read> SealedReader<R> {
    fn next_chunk(&mut self) -> io::Result<()> {
        let mut following = Vec::with_capacity(CHUNK_BYTES + TAG_BYTES);
        let most = (CHUNK_BYTES + TAG_BYTES) as u64;
        (&mut self.source).take(most).read_to_end(&mut following)?;
        self.chunk = std::mem::replace(&mut self.ahead, following);
        self.position = 0;
        self.is_done = self.ahead.is_empty();
        self.sealing.open(self.is_done, &mut self.chunk)
    }
}

impl<R: Read> Read for SealedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.chunk.len() {
            if self.is_done {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let ready = &self.chunk[self.position..];
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.position += count;
        Ok(count)
    }
}

/// Whether an archive begins as one that is encrypted, and so authenticated. Of one that does not, nobody
/// can tell who made it.
///
/// # Errors
///
/// If it cannot be read.
pub fn is_sealed_archive(path: &Path) -> Result<bool, StoreError> {
    let mut magic = Vec::new();
    private::open_file(path)
        .and_then(|file| file.take(SEALED_MAGIC.len() as u64).read_to_end(&mut magic))
        .map_err(|error| StoreError::io("read", path, error))?;
    Ok(magic == SEALED_MAGIC)
}

/// Opens an archive, sealed or not, to be read ahead.
///
/// # Errors
///
/// If it cannot be read, or is sealed and the master key is missing or another one.
pub(super) fn open(path: &Path, master: Option<&MasterKey>) -> Result<ReadAhead, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut file = private::open_file(path).map_err(|error| StoreError::io("open", path, error))?;
    let mut magic = Vec::new();
    let most = SEALED_MAGIC.len() as u64;
    (&mut file)
        .take(most)
        .read_to_end(&mut magic)
        .map_err(failed)?;
    if magic != SEALED_MAGIC {
        return Ok(ReadAhead::new(io::Cursor::new(magic).chain(file)));
    }
    let sealing = read_header(path, &mut file, master)?;
    let mut reader = SealedReader {
        source: file,
        sealing,
        ahead: Vec::new(),
        chunk: Vec::new(),
        position: 0,
        is_done: false,
    };
    let most = (CHUNK_BYTES + TAG_BYTES) as u64;
    let read = (&mut reader.source)
        .take(most)
        .read_to_end(&mut reader.ahead);
    read.map_err(failed)?;
    Ok(ReadAhead::new(reader))
}

/// Reads what comes behind the first bytes of a sealed archive.
fn read_header(
    path: &Path,
    file: &mut File,
    master: Option<&MasterKey>,
) -> Result<Sealing, StoreError> {
    let wrong = |found: &str| damaged(path, MANIFEST, "header", "that of a sealed archive", found);
    let mut read = |count: u64| -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let read = (&mut *file).take(count).read_to_end(&mut bytes);
        read.map_err(|error| StoreError::io("read", path, error))?;
        match bytes.len() as u64 == count {
            true => Ok(bytes),
            false => Err(wrong("the end of the file")),
        }
    };
    let head = read((HEAD_BYTES - SEALED_MAGIC.len()) as u64)?;
    let number = |at: usize| {
        head[at..]
            .first_chunk()
            .copied()
            .map_or(0, u64::from_le_bytes)
    };
    let (versions, identity) = (number(0), number(8));
    let salt: &[u8; SALT_BYTES] = head[16..].first_chunk().expect("the head is longer");
    let key_bytes = number(16 + SALT_BYTES);
    if key_bytes > KEY_FILE_BYTES_MAX {
        return Err(wrong("a key file that is too long"));
    }
    let key_file = read(key_bytes)?;
    let expected = read(8)?;
    let found = checksum(&[&SEALED_MAGIC[..], &head, &key_file].concat());
    if expected != found.to_le_bytes() {
        return Err(wrong("another checksum"));
    }
    if versions != u64::from(VERSION) | (CHUNK_BYTES as u64) << 32 {
        return Err(StoreError::ArchiveVersion {
            path: path.to_owned(),
            found: versions as u32,
            oldest: VERSION,
            newest: VERSION,
        });
    }
    let refused = |error| StoreError::keys(path, error);
    let master = master.ok_or_else(|| refused(KeyError::NoMasterKey))?;
    let ring = KeyRing::open(&key_file, master).map_err(refused)?;
    if ring.identity() != identity {
        let (expected, found) = (identity, ring.identity());
        return Err(refused(KeyError::Foreign { expected, found }));
    }
    let cipher = ring.directory().block_cipher(salt, PURPOSE);
    Ok(Sealing::new(cipher, identity))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::partition::Keys;
    use crate::partition::disk::RealDisk;

    fn keys(directory: &Path) -> (Arc<KeyFile>, MasterKey) {
        let master = MasterKey::random().0;
        let keys = Keys {
            master: Some(master.clone()),
            encrypt_new: true,
        };
        (
            KeyFile::create(directory, &RealDisk, &keys, 9).unwrap(),
            master,
        )
    }

    fn sealed(keys: &KeyFile, bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut writer = SealedWriter::begin(Vec::new(), keys, Path::new("a")).unwrap();
        for piece in bytes.chunks(piece) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    fn opened(path: &Path, master: &MasterKey) -> Result<Vec<u8>, String> {
        let mut reader = open(path, Some(master)).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes);
        read.map_err(|error| error.to_string()).map(|_| bytes)
    }

    #[test]
    fn what_was_sealed_comes_back_whatever_its_length() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, master) = keys(directory.path());
        let path = directory.path().join("archive");
        for length in [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            2 * CHUNK_BYTES,
        ] {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 31 / 1000) as u8).collect();
            fs::write(&path, sealed(&keys, &bytes, 300_000)).unwrap();
            assert!(opened(&path, &master).unwrap() == bytes, "{length}");
        }
        let other = MasterKey::random().0;
        assert!(opened(&path, &other).is_err() && open(&path, None).is_err());
    }

    #[test]
    fn whatever_is_changed_cut_or_added_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let (keys, master) = keys(directory.path());
        let path = directory.path().join("archive");
        let plain = vec![7; CHUNK_BYTES + 100];
        let bytes = sealed(&keys, &plain, 70_000);
        // Half of the key file may be damaged, but the checksum of the header covers it.
        for at in (0..bytes.len()).step_by(bytes.len() / 300) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            assert!(opened(&path, &master).is_err() || at < 8, "byte {at}");
            fs::write(&path, &bytes[..at]).unwrap();
            assert!(opened(&path, &master).is_err() || at < 8, "length {at}");
        }
        let first_chunk_ends = bytes.len() - 100 - TAG_BYTES;
        for wrong in [
            bytes[..first_chunk_ends].to_vec(),
            [&bytes[..], &[0]].concat(),
            [&bytes[..], &bytes[first_chunk_ends..]].concat(),
        ] {
            fs::write(&path, wrong).unwrap();
            assert!(opened(&path, &master).is_err());
        }
    }
}
