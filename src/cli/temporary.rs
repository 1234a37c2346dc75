//! A data directory for a while.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A directory that is deleted when it is dropped.
pub(super) struct Directory(PathBuf);

impl Directory {
    /// A new one, among the temporary files of the system unless `parent` says where.
    pub(super) fn create(verb: &str, parent: Option<&Path>) -> anyhow::Result<Directory> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = parent.join(format!("vultus-{verb}-{:016x}", rand::random::<u64>()));
        let context = || format!("cannot create `{}`", path.display());
        fs::create_dir(&path).with_context(context)?;
        Ok(Directory(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove `{}`: {error}", self.0.display());
        }
    }
}
