//! Folders that are watched: files are taken up when they have come to rest.
//!
//! Folders are read again and again, as that works on every system and for folders of other
//! machines. A file is at rest when two readings find the same size and time of change, so that one
//! that is still being written is left alone. What was taken up is taken up again only if it has
//! changed; not if it was only given another name.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::output;

/// How often folders are read.
const EVERY: Duration = Duration::from_millis(700);

/// What tells that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stamp {
    bytes: u64,
    changed: Option<SystemTime>,
    /// Which file it is, whatever its name.
    number: Option<(u64, u64)>,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Seen {
    last: HashMap<PathBuf, Stamp>,
    done: HashMap<PathBuf, Stamp>,
    /// The same without their names.
    done_files: HashSet<Stamp>,
}

impl Stamp {
    fn of(about: &Metadata) -> Stamp {
        #[cfg(unix)]
        let number = {
            use std::os::unix::fs::MetadataExt as _;
            Some((about.dev(), about.ino()))
        };
        #[cfg(not(unix))]
        let number = None;
        Stamp {
            bytes: about.len(),
            changed: about.modified().ok(),
            number,
        }
    }
}

impl Seen {
    /// Those of the files that are there now which have come to rest and are new or have changed.
    fn at_rest(&mut self, now: Vec<(PathBuf, Stamp)>) -> Vec<PathBuf> {
        let mut at_rest = Vec::new();
        for (path, stamp) in &now {
            let is_done = self.done.get(path) == Some(stamp)
                || stamp.number.is_some() && self.done_files.contains(stamp);
            if !is_done && self.last.get(path) == Some(stamp) {
                self.done.insert(path.clone(), *stamp);
                self.done_files.insert(*stamp);
                at_rest.push(path.clone());
            }
        }
        self.last = now.into_iter().collect();
        // What is gone is forgotten: under its name something else may come.
        let last = &self.last;
        self.done.retain(|path, _| last.contains_key(path));
        let there: HashSet<Stamp> = last.values().copied().collect();
        self.done_files.retain(|stamp| there.contains(stamp));
        at_rest
    }

    /// These are to be taken up again.
    fn forget(&mut self, paths: &[PathBuf]) {
        for path in paths {
            if let Some(stamp) = self.done.remove(path) {
                self.done_files.remove(&stamp);
            }
        }
    }
}

/// Lists files by `list` for ever, and calls `each` with those that have come to rest. What cannot be
/// listed or done at the moment is said once, and tried again. Returns why nothing more can be said.
pub(super) fn watch(
    mut list: impl FnMut() -> anyhow::Result<Vec<PathBuf>>,
    mut each: impl FnMut(&[PathBuf]) -> anyhow::Result<()>,
) -> anyhow::Error {
    let mut seen = Seen::default();
    let mut said = String::new();
    let mut say = |error: anyhow::Error| {
        let text = format!("{error:#}");
        if text != said {
            output::tell!("error: {text}; this is tried again");
            said = text;
        }
    };
    loop {
        let listed = list().unwrap_or_else(|error| {
            say(error);
            Vec::new()
        });
        let at_rest = seen.at_rest(with_stamps(listed));
        if !at_rest.is_empty()
            && let Err(error) = each(&at_rest)
        {
            if output::is_closed_stdout(&error) {
                return error;
            }
            seen.forget(&at_rest);
            say(error);
        }
        thread::sleep(EVERY);
    }
}

/// Files that are gone again are left out.
fn with_stamps(paths: Vec<PathBuf>) -> Vec<(PathBuf, Stamp)> {
    let stamp = |path: &Path| Some(Stamp::of(&path.metadata().ok()?));
    let paths = paths.into_iter();
    paths
        .filter_map(|path| stamp(&path).map(|stamp| (path, stamp)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: u64, number: u64) -> (PathBuf, Stamp) {
        let stamp = Stamp {
            bytes,
            changed: Some(SystemTime::UNIX_EPOCH),
            number: Some((1, number)),
        };
        (PathBuf::from(name), stamp)
    }

    #[test]
    fn a_file_is_taken_up_once_when_it_has_come_to_rest() {
        let mut seen = Seen::default();
        let mut step = |files: &[(PathBuf, Stamp)], expected: &[&str]| {
            let found = seen.at_rest(files.to_vec());
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(found, expected, "{files:?}");
        };
        let old = file("old.jpg", 10, 1);
        step(std::slice::from_ref(&old), &[]);
        // One is being written meanwhile.
        step(&[old.clone(), file("new.jpg", 5, 2)], &["old.jpg"]);
        step(&[old.clone(), file("new.jpg", 50, 2)], &[]);
        step(&[old.clone(), file("new.jpg", 99, 2)], &[]);
        step(&[old.clone(), file("new.jpg", 99, 2)], &["new.jpg"]);
        step(&[old.clone(), file("new.jpg", 99, 2)], &[]);
        // Another name is no other picture.
        step(&[old.clone(), file("renamed.jpg", 99, 2)], &[]);
        step(&[old.clone(), file("renamed.jpg", 99, 2)], &[]);
        // Another content is.
        step(&[old.clone(), file("renamed.jpg", 77, 2)], &[]);
        step(&[old.clone(), file("renamed.jpg", 77, 2)], &["renamed.jpg"]);
        // Deleted, and something else under the same name.
        step(std::slice::from_ref(&old), &[]);
        step(&[old.clone(), file("renamed.jpg", 77, 3)], &[]);
        step(&[old.clone(), file("renamed.jpg", 77, 3)], &["renamed.jpg"]);
        // What could not be done is done again.
        seen.forget(&[PathBuf::from("renamed.jpg")]);
        let mut step = |files: &[(PathBuf, Stamp)], expected: &[&str]| {
            let found = seen.at_rest(files.to_vec());
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(found, expected, "{files:?}");
        };
        step(&[old.clone(), file("renamed.jpg", 77, 3)], &["renamed.jpg"]);
        // A copy is a picture of its own, one that was gone before it rested is none.
        step(&[old.clone(), file("copy.jpg", 10, 9)], &[]);
        step(&[old], &[]);
    }
}
