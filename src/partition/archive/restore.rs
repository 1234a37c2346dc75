//! Making a data directory of an archive: beside the target until it is whole.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::write::SteadyFile;
use super::{ArchiveReader, ArchivedFile, Manifest, Sink, beside, parent_of, sync_directory};
use crate::partition::StoreError;
use crate::partition::keys::Keys;
use crate::partition::private;

/// Makes the data directory `target` of the archive `path`.
///
/// `target` must not exist, or be an empty directory. Everything is written to and verified in
/// `TARGET.restoring`, shown to `check`, and gets its name in one step at the end: a failure, of
/// whatever kind, leaves `target` as it was. Only a crash leaves `TARGET.restoring` behind, and the
/// next call replaces it. Files are readable by their owner alone.
///
/// Tells `progress` how many bytes of how many went by. Returns what the archive says of itself.
///
/// # Errors
///
/// If `target` is neither missing nor an empty directory, another process is restoring into it, the
/// archive is damaged, cut off, no snapshot, or newer than this build, `check` fails, or the disk
/// does.
pub(in crate::partition) fn extract(
    path: &Path,
    target: &Path,
    keys: &Keys,
    check: impl FnOnce(&Path) -> Result<(), StoreError>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, StoreError> {
    let target = resolve(target)?;
    // A damaged beginning, or a newer version, ends here.
    let reader = ArchiveReader::open(path, keys.master.as_ref())?;
    let manifest = reader.manifest().clone();
    let draft = DraftDirectory::create(beside(&target, "restoring"))?;
    let mut sink = IntoDirectory::new(&draft.path);
    reader.read_verified(&mut sink, progress)?;
    sink.finish()?;
    check(&draft.path)?;
    sync_directory(&draft.path)?;
    draft.rename(&target)?;
    Ok(manifest)
}

/// The path of the target without links, if a data directory may be made there.
fn resolve(target: &Path) -> Result<PathBuf, StoreError> {
    let failed = |error| StoreError::io("read", target, error);
    match fs::read_dir(target) {
        Ok(mut entries) => match entries.next() {
            None => fs::canonicalize(target).map_err(failed),
            Some(_) => Err(StoreError::Occupied {
                path: target.to_owned(),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(target.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(StoreError::Occupied {
            path: target.to_owned(),
        }),
        Err(error) => Err(failed(error)),
    }
}

/// A directory under a name that it will not keep. Removed when this is dropped unless it was
/// renamed.
struct DraftDirectory {
    path: PathBuf,
    /// Locked while somebody works in the directory; a crash releases it.
    lock: Option<File>,
    renamed: bool,
}

impl DraftDirectory {
    /// Makes the directory, or empties what a crash left of it. Whatever else has the name, be it a
    /// link to a directory, is refused.
    fn create(path: PathBuf) -> Result<DraftDirectory, StoreError> {
        let failed = |error| StoreError::io("create", &path, error);
        match new_directory(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !is_left_over(&path).map_err(failed)? {
                    return Err(StoreError::NotOurs { path });
                }
            }
            made => made.map_err(failed)?,
        }
        let lock = File::open(&path).map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(StoreError::Busy { path });
        }
        let marker = path.join(MARKER);
        match private::create(&marker) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StoreError::io("create", &marker, error));
            }
            _ => {}
        }
        empty(&path).map_err(|error| StoreError::io("empty", &path, error))?;
        Ok(DraftDirectory {
            path,
            lock: Some(lock),
            renamed: false,
        })
    }

    /// Gives the directory its name. An empty directory of that name gives way.
    fn rename(mut self, target: &Path) -> Result<(), StoreError> {
        fs::rename(&self.path, target).map_err(|error| StoreError::io("replace", target, error))?;
        self.renamed = true;
        // It means nothing any more, and does no harm if it stays.
        let _ = fs::remove_file(target.join(MARKER));
        sync_directory(parent_of(target))
    }
}

impl Drop for DraftDirectory {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_dir_all(&self.path);
        }
        drop(self.lock.take());
    }
}

/// A file in a draft of a directory, that says that it is one. It is the first to come and the last
/// to go, so that a crash leaves it, or an empty directory.
const MARKER: &str = ".vultus-restoring";

/// Whether a directory was left over by a crash: nobody has put anything into it but this program.
fn is_left_over(path: &Path) -> io::Result<bool> {
    if !private::is_own_directory(path)? {
        return Ok(false);
    }
    let is_marked = fs::symlink_metadata(path.join(MARKER)).is_ok_and(|marker| marker.is_file());
    Ok(is_marked || fs::read_dir(path)?.next().is_none())
}

/// Makes a directory that did not exist, for its owner alone.
fn new_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Removes all but the marker.
fn empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() == MARKER {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A sink that writes files, each synced when it is complete.
struct IntoDirectory<'a> {
    directory: &'a Path,
    /// Made on the way, outer ones first.
    made: Vec<PathBuf>,
    file: Option<(PathBuf, SteadyFile)>,
}

impl<'a> IntoDirectory<'a> {
    fn new(directory: &'a Path) -> IntoDirectory<'a> {
        IntoDirectory {
            directory,
            made: Vec::new(),
            file: None,
        }
    }

    /// Makes the names of all files durable.
    fn finish(self) -> Result<(), StoreError> {
        self.made.iter().try_for_each(|made| sync_directory(made))
    }

    /// Makes the directories above a file.
    fn make_parents(&mut self, name: &str) -> Result<(), StoreError> {
        let mut path = self.directory.to_owned();
        let mut parts = name.split('/');
        parts.next_back();
        for part in parts {
            path.push(part);
            if !self.made.contains(&path) {
                let made = new_directory(&path);
                made.map_err(|error| StoreError::io("create", &path, error))?;
                self.made.push(path.clone());
            }
        }
        Ok(())
    }
}

impl Sink for IntoDirectory<'_> {
    fn begin(&mut self, file: &ArchivedFile) -> Result<(), StoreError> {
        self.make_parents(&file.name)?;
        let path = self.directory.join(&file.name);
        let made = private::create(&path);
        let made = made.map_err(|error| StoreError::io("create", &path, error))?;
        self.file = Some((path, SteadyFile::new(made)));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let (path, file) = self.file.as_mut().expect("a file was begun");
        let written = file.write_all(bytes);
        written.map_err(|error| StoreError::io("write", path, error))
    }

    fn end(&mut self) -> Result<(), StoreError> {
        let (path, file) = self.file.take().expect("a file was begun");
        let synced = file.finish();
        synced.map_err(|error| StoreError::io("sync", &path, error))
    }
}
