//! Where an evaluation is told, looked at before anything long begins.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::NamedTempFile;

use crate::cli::args::Told;
use crate::partition::private;

/// What every page of an evaluation begins with.
const PAGE_BEGINS: &[u8] = b"<!doctype html>";

/// Places that can be written to, as far as that can be known beforehand.
pub(super) struct Places {
    pub(super) plots: Option<PathBuf>,
    pub(super) html: Option<PathBuf>,
}

impl Places {
    /// Fails if a folder for a file is not there, or a file is where a folder must be.
    pub(super) fn check(told: &Told) -> anyhow::Result<Places> {
        if let Some(path) = &told.html {
            let folder = folder_of(path);
            ensure!(
                folder.is_dir(),
                "there is no folder `{}` for --html",
                folder.display()
            );
            ensure!(
                !path.is_dir(),
                "`{}` is a folder: name a file for --html",
                path.display()
            );
            ensure!(
                !path.exists() || is_page(path),
                "`{}` is there, and no page that could be made anew: name another file for --html",
                path.display()
            );
        }
        if let Some(path) = &told.plots {
            let is_free = path.is_dir() || !path.exists();
            ensure!(
                is_free,
                "`{}` is a file: name a folder for --plots",
                path.display()
            );
            let folder = folder_of(path);
            ensure!(
                folder.is_dir(),
                "there is no folder `{}` for --plots",
                folder.display()
            );
        }
        Ok(Places {
            plots: told.plots.clone(),
            html: told.html.clone(),
        })
    }
}

/// Whether it is a file that begins like a page of HTML, as an earlier evaluation left it: anything else may
/// be what is to be evaluated.
fn is_page(path: &Path) -> bool {
    let mut first = [0; PAGE_BEGINS.len()];
    let opened = path.is_file().then(|| File::open(path).ok()).flatten();
    let read = opened.is_some_and(|mut file| file.read_exact(&mut first).is_ok());
    read && first.eq_ignore_ascii_case(PAGE_BEGINS)
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes a file that appears under its name when it is whole.
pub(super) fn write(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        private::refuse_special(path)?;
        let mut file = NamedTempFile::new_in(folder_of(path))?;
        file.write_all(contents)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Makes a folder, unless it is there.
pub(super) fn make_folder(path: &Path) -> anyhow::Result<()> {
    match path.is_dir() {
        true => Ok(()),
        false => fs::create_dir(path).with_context(|| format!("cannot make `{}`", path.display())),
    }
}
