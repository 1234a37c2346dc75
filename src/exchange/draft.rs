//! Files that appear under their name when they are whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::ExchangeError;
use crate::partition::private;

/// A file that is written under another name, beside the one that it gets when it is whole.
///
/// Dropped before it is finished, it leaves nothing, and whatever had the name keeps it.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    draft: PathBuf,
    file: File,
}

impl Draft {
    /// Begins a file that will be `path`, for its owner alone. What another run left of an unfinished one
    /// is replaced; whatever else has the name of the draft is refused.
    pub(super) fn create(path: &Path) -> Result<Draft, ExchangeError> {
        let draft = beside(path, "new");
        let file = private::create_draft(&draft).map_err(ExchangeError::io("create", &draft))?;
        let path = path.to_owned();
        Ok(Draft { path, draft, file })
    }

    /// Where to write to.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Turns an error of writing into one that names the file.
    pub(super) fn error(&self, source: io::Error) -> ExchangeError {
        ExchangeError::io("write", &self.draft)(source)
    }

    /// Gives the file its name, durably: at every moment the name stands for the old file or for
    /// the whole new one.
    pub(super) fn finish(self) -> Result<(), ExchangeError> {
        self.file.sync_all().map_err(|source| self.error(source))?;
        rename(&self.draft, &self.path)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A finished draft has another name by now, so that this finds nothing.
        let _ = fs::remove_file(&self.draft);
    }
}

/// Fails if a name is taken, be it by a link to nothing. What may be replaced must be a file.
pub(super) fn refuse_existing(path: &Path, overwrite: bool) -> Result<(), ExchangeError> {
    private::refuse_special(path).map_err(ExchangeError::io("replace", path))?;
    if !overwrite && fs::symlink_metadata(path).is_ok() {
        let path = path.to_owned();
        return Err(ExchangeError::Exists { path });
    }
    Ok(())
}

/// Replaces the whole contents of a small file, durably.
pub(super) fn replace(path: &Path, contents: &[u8]) -> Result<(), ExchangeError> {
    let draft = Draft::create(path)?;
    let written = draft.file().write_all(contents);
    written.map_err(|source| draft.error(source))?;
    draft.finish()
}

/// Renames a file within its directory, over whatever has the name, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), ExchangeError> {
    fs::rename(from, to).map_err(ExchangeError::io("rename", from))?;
    // Only Unix lets a directory be synced.
    if cfg!(unix) {
        let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(ExchangeError::io("sync", directory))?;
    }
    Ok(())
}

/// The name of a file that belongs to `path`: `answers.jsonl` has `answers.jsonl.new`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_name_stands_for_the_old_file_until_the_new_one_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        replace(&path, b"old").unwrap();
        let draft = Draft::create(&path).unwrap();
        draft.file().write_all(b"half").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(draft);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let draft = Draft::create(&path).unwrap();
        draft.file().write_all(b"new").unwrap();
        draft.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(directory.path()), ["a.jsonl"]);
    }
}
