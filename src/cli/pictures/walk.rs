//! Folder by folder.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::content::{Content, HEAD_BYTES, content, is_called_picture};
use super::names::{is_hidden, natural_order};
use super::passed::{Passed, Why};
use crate::types::ClassId;

/// A walk through folders, which takes every file and folder once.
#[derive(Debug, Default)]
pub(in crate::cli) struct Walk {
    passed: Passed,
    /// What was taken, by the place where it really is: under which name, and of whom.
    taken: HashMap<PathBuf, Taken>,
}

#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) path: PathBuf,
    class: Option<ClassId>,
}

/// What a folder holds, in the order of the numbers in their names.
#[derive(Debug, Default)]
pub(in crate::cli) struct Listing {
    pub(in crate::cli) folders: Vec<PathBuf>,
    pub(in crate::cli) pictures: Vec<PathBuf>,
}

impl Walk {
    pub(in crate::cli) fn new() -> Walk {
        Walk::default()
    }

    /// What the walk has passed over.
    pub(in crate::cli) fn passed(self) -> Passed {
        self.passed
    }

    /// Passes over something for a reason of the caller.
    pub(in crate::cli) fn pass(&mut self, why: Why, path: &Path) {
        self.passed.add(why, path);
    }

    /// The folders and pictures in a folder. Everything else is passed over, and so is a folder
    /// that cannot be read.
    pub(in crate::cli) fn list(&mut self, folder: &Path) -> Listing {
        let mut listing = Listing::default();
        for path in self.entries(folder) {
            if is_hidden(path.file_name().unwrap_or_default()) {
                self.pass(Why::Hidden, &path);
                continue;
            }
            match fs::metadata(&path) {
                Ok(about) if about.is_dir() => listing.folders.push(path),
                Ok(about) if about.is_file() => self.judge(path, &mut listing.pictures),
                // To open a pipe would be to wait for somebody who writes to it.
                Ok(_) if is_called_picture(&path) => self.pass(Why::NoFile, &path),
                Ok(_) => self.pass(Why::Special, &path),
                Err(error) => self.pass_unreadable(&path, &error),
            }
        }
        listing
    }

    /// All pictures in a folder and in those below it, as of a class.
    pub(in crate::cli) fn below(&mut self, folder: &Path, class: Option<ClassId>) -> Vec<PathBuf> {
        let Listing { folders, pictures } = self.list(folder);
        let pictures = pictures.into_iter();
        let mut found: Vec<PathBuf> = pictures
            .filter(|picture| self.take(picture, class).is_ok())
            .collect();
        for folder in folders {
            if self.take(&folder, class).is_ok() {
                found.extend(self.below(&folder, class));
            }
        }
        found
    }

    /// Takes a file or folder as of a class, unless it was taken before, under this name or through
    /// a link: then it is passed over.
    pub(in crate::cli) fn take(&mut self, path: &Path, class: Option<ClassId>) -> Result<(), ()> {
        let Err(before) = self.claim(path, class) else {
            return Ok(());
        };
        let why = if before.class == class || before.class.is_none() {
            Why::Twice
        } else {
            Why::OtherClass
        };
        let note = format!("it is `{}`", before.path.display());
        self.passed.add_noted(why, path, note);
        Err(())
    }

    /// Takes a file or folder as of a class, or says as what it was taken before.
    pub(super) fn claim(&mut self, path: &Path, class: Option<ClassId>) -> Result<(), Taken> {
        // Where it cannot be found out, the name has to do.
        let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Some(before) = self.taken.get(&place) {
            return Err(before.clone());
        }
        let path = path.to_owned();
        self.taken.insert(place, Taken { path, class });
        Ok(())
    }

    /// Passes over what the system does not let us look at.
    pub(super) fn pass_unreadable(&mut self, path: &Path, error: &io::Error) {
        let is_link = fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
        let why = match error.kind() {
            io::ErrorKind::PermissionDenied => Why::Unreadable,
            _ if is_link => Why::Dangling,
            _ => Why::Unreadable,
        };
        self.passed.add_noted(why, path, error.to_string());
    }

    fn entries(&mut self, folder: &Path) -> Vec<PathBuf> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.pass_unreadable(folder, &error);
                return Vec::new();
            }
        };
        let mut paths = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(error) => {
                    self.pass_unreadable(folder, &error);
                    break;
                }
            }
        }
        paths.sort_by_cached_key(|path| natural_order(path.file_name().unwrap_or_default()));
        paths
    }

    /// Looks at the first bytes of a file.
    fn judge(&mut self, path: PathBuf, pictures: &mut Vec<PathBuf>) {
        match head(&path) {
            Ok(head) => match content(&path, &head) {
                Content::Picture => pictures.push(path),
                Content::Unreadable(kind) => self.pass(Why::Kind(kind), &path),
                Content::Other => self.pass(Why::NoPicture, &path),
            },
            Err(error) => self.pass_unreadable(&path, &error),
        }
    }
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let file = File::open(path)?;
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}
