//! Looking at the data directory, beside a service that may be changing it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::facts::{Contents, DirectoryFacts, StoreFacts, There};
use crate::access::ServerKey;
use crate::cli::admin;
use crate::cli::machine::{Disk, Mount, nearest_existing, sync_time};
use crate::code::Layout;
use crate::partition::{Keys, Partition, Store, StoreError, private};
use crate::types::Timestamp;

/// Something on disk with its time.
type Dated = (PathBuf, Timestamp);

/// What was seen of a data directory that can be opened.
pub(super) struct Seen {
    pub(super) facts: StoreFacts,
    pub(super) key: Option<Result<bool, String>>,
    /// The template that was enrolled last.
    pub(super) newest: Option<Dated>,
}

/// The directory and the disk that it is or would be on, and the newest file in it.
pub(super) fn directory(path: &Path) -> (DirectoryFacts, Option<Dated>) {
    let looked_at = nearest_existing(path);
    let there = match fs::metadata(path) {
        Ok(found) if !found.is_dir() => There::SomethingElse,
        Ok(_) if Store::is_in(path) => There::DataDirectory,
        Ok(_) => There::Folder,
        // Whoever may not look into the folder above sees nothing.
        Err(_) => There::Nothing,
    };
    let user = rustix::process::geteuid().as_raw();
    let owner = fs::metadata(path).ok().map(|found| found.uid());
    let mut walk = Walk {
        owner: owner.unwrap_or(user),
        bytes: 0,
        newest: None,
        foreign: None,
        unreadable: None,
    };
    let is_ours = matches!(there, There::DataDirectory | There::Folder);
    if is_ours {
        walk.look_at(path);
    }
    // A link to it is no matter: what is behind it is.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let key = ServerKey::open(path).map(|key| key.is_some());
    let facts = DirectoryFacts {
        path: path.to_owned(),
        there,
        mount: Mount::of(&looked_at),
        disk: Disk::of(&looked_at).map_err(|error| error.to_string()),
        sync: match there {
            There::SomethingElse => Err("it is no folder".to_owned()),
            _ => sync_time(&looked_at).map_err(|error| error.to_string()),
        },
        looked_at,
        bytes: walk.bytes,
        open_to_others: is_ours.then(|| private::open_to_others(&real)).flatten(),
        owner: owner.filter(|_| is_ours),
        foreign: walk.foreign,
        unreadable: walk.unreadable,
        user,
        socket: admin::socket_state(path),
        key: match there {
            There::SomethingElse => Ok(false),
            _ => key.map_err(|error| format!("{:#}", anyhow::Error::from(error))),
        },
    };
    (facts, walk.newest)
}

/// What a walk through all files finds.
struct Walk {
    owner: u32,
    bytes: u64,
    newest: Option<Dated>,
    foreign: Option<(PathBuf, u32)>,
    unreadable: Option<(PathBuf, String)>,
}

impl Walk {
    fn look_at(&mut self, path: &Path) {
        let found = match fs::metadata(path) {
            Ok(found) => found,
            Err(error) => return self.failed(path, &error),
        };
        self.note(path, &found);
        if !found.is_dir() {
            if let Err(error) = access(path, Access::READ_OK) {
                self.failed(path, &error.into());
            }
            return;
        }
        let inside = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        match inside {
            Ok(entries) => entries.iter().for_each(|entry| self.look_at(&entry.path())),
            Err(error) => self.failed(path, &error),
        }
    }

    fn note(&mut self, path: &Path, found: &Metadata) {
        if found.is_file() {
            self.bytes += found.len();
        }
        let at = Timestamp::from_unix_seconds(found.mtime());
        if self.newest.as_ref().is_none_or(|(_, newest)| at > *newest) {
            self.newest = Some((path.to_owned(), at));
        }
        if found.uid() != self.owner {
            self.foreign.get_or_insert((path.to_owned(), found.uid()));
        }
    }

    /// A service that runs deletes files at any time.
    fn failed(&mut self, path: &Path, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.unreadable
                .get_or_insert((path.to_owned(), error.to_string()));
        }
    }
}

/// What is in the data directory; nothing if there is none.
pub(super) fn store(directory: &Path, keys: anyhow::Result<Keys>) -> Option<Seen> {
    if !Store::is_in(directory) {
        return None;
    }
    let mut seen = Seen {
        facts: StoreFacts {
            contents: Ok(Contents::default()),
            is_being_written: is_being_written(directory),
        },
        key: None,
        newest: None,
    };
    let looked = keys.and_then(|keys| {
        let found = look_into(directory, &keys, &mut seen.key, &mut seen.newest);
        Ok(found?)
    });
    seen.facts.contents = looked.map_err(|error| format!("{error:#}"));
    Some(seen)
}

fn look_into(
    directory: &Path,
    keys: &Keys,
    key: &mut Option<Result<bool, String>>,
    newest: &mut Option<Dated>,
) -> Result<Contents, StoreError> {
    let store = Store::open_read_only_with(directory, keys)?;
    let found = ServerKey::good_for(&store).map(|key| key.is_some());
    *key = Some(found.map_err(|error| format!("{:#}", anyhow::Error::from(error))));
    let mut contents = Contents {
        encryption: store.encryption()?,
        half_of_keys: store.damaged_half_of_keys(),
        ..Contents::default()
    };
    for id in store.partitions()? {
        contents.galleries += 1;
        let partition = match store.partition(&id) {
            Ok(Some(partition)) => partition,
            // It was removed meanwhile.
            Ok(None) => continue,
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                contents.damaged.push((id.to_string(), error));
                continue;
            }
        };
        let snapshot = partition.snapshot();
        contents.templates += snapshot.templates();
        let layout = Layout::new(partition.encoder().dimension());
        contents.scanned_bytes += (snapshot.templates() * scanned_bytes_per_row(layout)) as u64;
        match newest_template(&partition) {
            Ok(at) if newest.as_ref().is_none_or(|(_, newest)| at > Some(*newest)) => {
                *newest = at
                    .map(|at| (PathBuf::from(id.to_string()), at))
                    .or(newest.take());
            }
            Ok(_) => {}
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                contents.damaged.push((id.to_string(), error));
            }
        }
    }
    Ok(contents)
}

/// What all searches together read of a row: both planes of half bytes, and a few numbers beside
/// them. Full values are read of the best few alone.
pub(in crate::cli) fn scanned_bytes_per_row(layout: Layout) -> usize {
    const LINE_BYTES: usize = 64;
    const NUMBERS_BYTES: usize = 16;
    2 * layout.nibble_lines() * LINE_BYTES + NUMBERS_BYTES
}

/// When the last row of each run of rows was enrolled, the latest of all.
fn newest_template(partition: &Partition) -> Result<Option<Timestamp>, StoreError> {
    let snapshot = partition.snapshot();
    let mut newest = None;
    for block in snapshot.blocks() {
        let Some(row) = block
            .rows()
            .checked_sub(1)
            .and_then(|last| block.live_row(last))
        else {
            continue;
        };
        let unix_milliseconds = row.info()?.enrolled_unix_milliseconds;
        newest = newest.max(Some(Timestamp { unix_milliseconds }));
    }
    Ok(newest)
}

/// Whether somebody holds the lock of those who change it. It is not tried to take it, since a
/// service that starts at that moment would be refused: the system is asked, if it tells.
fn is_being_written(directory: &Path) -> Option<bool> {
    let locked = fs::metadata(directory.join("writer.lock")).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    Some(is_locked(&locks, locked))
}

/// A line is such as `1: FLOCK  ADVISORY  WRITE 1234 fe:00:4711 0 EOF`; one that waits has an arrow.
fn is_locked(locks: &str, file: u64) -> bool {
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_of = |word: &str| word.rsplit(':').next() == Some(&*file.to_string());
        matches!(words[..], [_, "FLOCK", _, "WRITE", _, place, ..] if is_of(place))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_read_as_the_system_writes_them() {
        let locks = "\
1: FLOCK  ADVISORY  WRITE 1234 fe:00:4711 0 EOF
2: POSIX  ADVISORY  WRITE 1234 fe:00:4712 0 EOF
3: FLOCK  ADVISORY  READ  1234 fe:00:4713 0 EOF
4: -> FLOCK  ADVISORY  WRITE 1234 fe:00:4714 0 EOF
";
        assert!(is_locked(locks, 4711));
        for other in [471, 711, 4712, 4713, 4714] {
            assert!(!is_locked(locks, other), "{other}");
        }
    }

    #[test]
    fn a_store_that_is_open_is_seen_to_be_and_is_not_disturbed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        assert!(store(&path, Ok(Keys::default())).is_none());
        assert_eq!(directory(&path).0.there, There::Nothing);
        let open = Store::open(&path).unwrap();
        let seen = store(&path, Ok(Keys::default())).unwrap();
        assert_ne!(seen.facts.is_being_written, Some(false));
        let before = fs::read_dir(&path).unwrap().count();
        let (facts, newest) = directory(&path);
        assert_eq!(facts.there, There::DataDirectory);
        assert!(facts.foreign.is_none() && facts.unreadable.is_none() && newest.is_some());
        assert_eq!(fs::read_dir(&path).unwrap().count(), before);
        drop(open);
        assert_ne!(
            store(&path, Ok(Keys::default()))
                .unwrap()
                .facts
                .is_being_written,
            Some(true)
        );
        let file = path.join("catalog.redb");
        assert_eq!(directory(&file).0.there, There::SomethingElse);
    }
}
