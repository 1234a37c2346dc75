//! Writing an archive: under another name until it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crc_fast::{CrcAlgorithm, Digest};
use zstd::stream::write::Encoder;

use super::envelope::SealedWriter;
use super::stored::StoredFrame;
use super::{
    ALGORITHM, CHECKSUMS, CHUNK_BYTES, ChecksumOf, Checksums, MANIFEST, Manifest, TAR_BLOCK_BYTES,
    beside, header, padding, parent_of, sync_directory,
};
use crate::partition::StoreError;
use crate::partition::keys::KeyFile;
use crate::partition::private;
use crate::partition::segment::checksum;

/// Of the manifest. What comes after it is stored as it is.
const LEVEL: i32 = 1;
/// Written bytes that may wait to be synced: the disk works while the processor does, and a sync at
/// the end has little left to do.
const UNSYNCED_BYTES_MAX: usize = 32 << 20;

/// The place of an archive that nobody else writes to meanwhile.
///
/// Dropped before its archive is finished, it leaves nothing, and whatever had the name keeps it.
pub(in crate::partition) struct ArchiveDraft {
    path: PathBuf,
    overwrite: bool,
    draft: Draft,
    file: File,
    keys: Option<Arc<KeyFile>>,
}

impl ArchiveDraft {
    /// Makes an empty file that will be the archive `path`, readable by its owner alone.
    ///
    /// # Errors
    ///
    /// If the archive exists and may not be replaced, another process is writing it, or the disk
    /// refuses.
    pub(in crate::partition) fn create(
        path: &Path,
        overwrite: bool,
    ) -> Result<ArchiveDraft, StoreError> {
        refuse_existing(path, overwrite)?;
        let (draft, file) = Draft::create(beside(path, "new"))?;
        Ok(ArchiveDraft {
            path: path.to_owned(),
            overwrite,
            draft,
            file,
            keys: None,
        })
    }

    /// The same, to be sealed with these keys.
    pub(super) fn sealed_with(mut self, keys: Option<Arc<KeyFile>>) -> ArchiveDraft {
        self.keys = keys;
        self
    }

    /// Begins the archive.
    pub(in crate::partition) fn begin(
        self,
        manifest: Manifest,
    ) -> Result<ArchiveWriter, StoreError> {
        let file = SteadyFile::new(self.file);
        let out = match &self.keys {
            Some(keys) => Out::Sealed(Box::new(SealedWriter::begin(file, keys, &self.draft.path)?)),
            None => Out::Plain(file),
        };
        let out = BufWriter::with_capacity(CHUNK_BYTES, out);
        let stream = ArchiveStream::begin(out, manifest)
            .map_err(|error| StoreError::io("write", &self.draft.path, error))?;
        Ok(ArchiveWriter {
            path: self.path,
            overwrite: self.overwrite,
            draft: self.draft,
            stream,
        })
    }
}

/// An archive being written.
pub(in crate::partition) struct ArchiveWriter {
    path: PathBuf,
    overwrite: bool,
    draft: Draft,
    stream: ArchiveStream<BufWriter<Out>>,
}

/// Where the bytes of an archive go.
enum Out {
    Plain(SteadyFile),
    Sealed(Box<SealedWriter<SteadyFile>>),
}

impl Out {
    /// Completes and syncs the file.
    fn finish(self) -> io::Result<()> {
        match self {
            Out::Plain(file) => file.finish(),
            Out::Sealed(sealed) => sealed.finish()?.finish(),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::Plain(file) => file.write(bytes),
            Out::Sealed(sealed) => sealed.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::Plain(file) => file.flush(),
            Out::Sealed(sealed) => sealed.flush(),
        }
    }
}

impl ArchiveWriter {
    /// Adds the next file that the manifest lists, from `reader`, which reads `source` and must
    /// give as many bytes as the manifest says. Tells `progress` how many went by.
    ///
    /// # Panics
    ///
    /// Panics if the manifest lists another file next.
    pub(in crate::partition) fn add(
        &mut self,
        name: &str,
        source: &Path,
        reader: &mut dyn Read,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), StoreError> {
        match self.stream.add(name, reader, progress) {
            Ok(()) => Ok(()),
            Err(AddError::Read(error)) => Err(StoreError::io("read", source, error)),
            Err(AddError::Write(error)) => Err(StoreError::io("write", &self.draft.path, error)),
            Err(AddError::Length { expected, found }) => Err(StoreError::Damaged {
                path: source.to_owned(),
                offset: found.min(expected),
                what: "length of the file in bytes",
                expected: expected.to_string(),
                found: found.to_string(),
            }),
        }
    }

    /// Completes and syncs the archive and gives it its name.
    ///
    /// # Panics
    ///
    /// Panics if files are missing.
    pub(in crate::partition) fn finish(self) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("write", &self.draft.path, error);
        let out = self.stream.finish().map_err(failed)?;
        let file = out
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.finish().map_err(failed)?;
        refuse_existing(&self.path, self.overwrite)?;
        self.draft.rename(&self.path)
    }
}

fn refuse_existing(path: &Path, overwrite: bool) -> Result<(), StoreError> {
    if !overwrite && fs::symlink_metadata(path).is_ok() {
        return Err(StoreError::Exists {
            path: path.to_owned(),
        });
    }
    private::refuse_special(path).map_err(|error| StoreError::io("replace", path, error))
}

/// A file under a name that it will not keep. Removed when this is dropped unless it was renamed.
struct Draft {
    path: PathBuf,
    /// Locked until then, so that nobody else takes it for a leftover.
    _lock: File,
    renamed: bool,
}

impl Draft {
    /// Makes the file. What a crash left of another is replaced; whatever else has the name is refused.
    fn create(path: PathBuf) -> Result<(Draft, File), StoreError> {
        let failed = |error| StoreError::io("create", &path, error);
        let busy = || StoreError::Busy { path: path.clone() };
        if fs::symlink_metadata(&path).is_ok_and(|it| it.is_file()) {
            // Another process that is writing it holds the lock.
            let leftover = File::open(&path).map_err(failed)?;
            if leftover.try_lock().is_err() {
                return Err(busy());
            }
        }
        let file = private::create_draft(&path).map_err(failed)?;
        if file.try_lock().is_err() {
            return Err(busy());
        }
        let lock = file.try_clone().map_err(failed)?;
        let draft = Draft {
            path,
            _lock: lock,
            renamed: false,
        };
        Ok((draft, file))
    }

    fn rename(mut self, to: &Path) -> Result<(), StoreError> {
        let renamed = fs::rename(&self.path, to);
        renamed.map_err(|error| StoreError::io("rename", &self.path, error))?;
        self.renamed = true;
        sync_directory(parent_of(to))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Why a file could not be added.
#[derive(Debug)]
pub(super) enum AddError {
    Read(io::Error),
    Write(io::Error),
    Length { expected: u64, found: u64 },
}

/// The bytes of an archive, wherever they go.
pub(super) struct ArchiveStream<W: Write> {
    manifest: Manifest,
    frame: StoredFrame<W>,
    checksums: Vec<ChecksumOf>,
}

impl<W: Write> ArchiveStream<W> {
    pub(super) fn begin(out: W, manifest: Manifest) -> io::Result<ArchiveStream<W>> {
        let json = serde_json::to_vec(&manifest)?;
        let mut first = Encoder::new(out, LEVEL)?;
        first.include_checksum(true)?;
        write_entry(&mut first, &manifest, MANIFEST, &json)?;
        let frame = StoredFrame::begin(first.finish()?)?;
        Ok(ArchiveStream {
            manifest,
            frame,
            checksums: vec![checksum_of(MANIFEST, json.len() as u64, checksum(&json))],
        })
    }

    /// Adds the next file of the manifest.
    ///
    /// # Panics
    ///
    /// Panics if that is another.
    pub(super) fn add(
        &mut self,
        name: &str,
        source: &mut dyn Read,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), AddError> {
        // The first checksum is that of the manifest.
        let file = &self.manifest.files[self.checksums.len() - 1];
        assert_eq!(file.name, name, "files come in the order of the manifest");
        let bytes = file.bytes;
        let header = header(name, bytes, self.manifest.created_unix_milliseconds);
        self.write(header.as_bytes())?;
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut done = 0;
        // One byte more than there should be, so that a file that has grown is noticed.
        let mut source = source.take(bytes.saturating_add(1));
        loop {
            let count = source.read(&mut chunk).map_err(AddError::Read)?;
            done += count as u64;
            if done > bytes || (count == 0 && done < bytes) {
                let expected = bytes;
                return Err(AddError::Length {
                    expected,
                    found: done,
                });
            }
            if count == 0 {
                break;
            }
            digest.update(&chunk[..count]);
            self.write(&chunk[..count])?;
            progress(count as u64);
        }
        self.write(&[0; TAR_BLOCK_BYTES][..padding(bytes)])?;
        self.checksums
            .push(checksum_of(name, bytes, digest.finalize()));
        Ok(())
    }

    /// Writes the checksums and the end of the archive.
    ///
    /// # Panics
    ///
    /// Panics if files are missing.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let files = self.manifest.files.len();
        assert_eq!(self.checksums.len(), files + 1, "all files are there");
        let checksums = Checksums {
            algorithm: ALGORITHM.to_owned(),
            entries: self.checksums,
        };
        let json = serde_json::to_vec(&checksums)?;
        write_entry(&mut self.frame, &self.manifest, CHECKSUMS, &json)?;
        self.frame.write_all(&[0; 2 * TAR_BLOCK_BYTES])?;
        self.frame.finish()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), AddError> {
        self.frame.write_all(bytes).map_err(AddError::Write)
    }
}

fn write_entry(
    out: &mut impl Write,
    manifest: &Manifest,
    name: &str,
    bytes: &[u8],
) -> io::Result<()> {
    let length = bytes.len() as u64;
    let header = header(name, length, manifest.created_unix_milliseconds);
    out.write_all(header.as_bytes())?;
    out.write_all(bytes)?;
    out.write_all(&[0; TAR_BLOCK_BYTES][..padding(length)])
}

fn checksum_of(name: &str, bytes: u64, checksum: u64) -> ChecksumOf {
    ChecksumOf {
        name: name.to_owned(),
        bytes,
        checksum: format!("{checksum:016x}"),
    }
}

/// A file that is synced while it is written, by a thread of its own once it is long.
pub(super) struct SteadyFile {
    file: File,
    unsynced: usize,
    thread: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
}

impl SteadyFile {
    pub(super) fn new(file: File) -> SteadyFile {
        SteadyFile {
            file,
            unsynced: 0,
            thread: None,
        }
    }

    /// Syncs what is left.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // The system reports a failed sync once, so that it must not get lost here.
            thread.join().expect("syncing does not panic")?;
        }
        self.file.sync_all()
    }

    fn sync_beside(&mut self) -> io::Result<()> {
        if self.thread.is_none() {
            let file = self.file.try_clone()?;
            let (sender, receiver) = sync_channel(1);
            let thread =
                std::thread::spawn(move || receiver.iter().try_for_each(|()| file.sync_data()));
            self.thread = Some((sender, thread));
        }
        if let Some((sender, _)) = &self.thread {
            // Full: one is waiting already. Closed: it failed, and `finish` says so.
            let _ = sender.try_send(());
        }
        Ok(())
    }
}

impl Write for SteadyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.unsynced += count;
        if self.unsynced >= UNSYNCED_BYTES_MAX {
            self.unsynced = 0;
            self.sync_beside()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
