//! A folder of snapshots that are named after the moments that they are of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::backup::name_of_directory;
use super::verify_archive_with;
use crate::partition::StoreError;
use crate::partition::disk::FILE_MODE;
use crate::partition::keys::Keys;
use crate::types::Timestamp;

const PREFIX: &str = "vultus-";
const ENDING: &str = ".tar.zst";
/// What a snapshot that is not whole yet has behind its name, and its copies of the catalog and keys.
const DRAFTS: [&str; 3] = [".new", ".new.catalog", ".new.keys"];

/// A snapshot in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptSnapshot {
    /// Its name in the folder.
    pub(crate) name: String,
    /// The moment that it is of.
    pub(crate) created: Timestamp,
    /// Its size.
    pub(crate) bytes: u64,
}

/// What a snapshot of this moment is called.
pub(crate) fn snapshot_name(created: Timestamp) -> String {
    format!("{PREFIX}{}{ENDING}", created.unix_milliseconds)
}

/// The moment of a file that is a snapshot by its name.
fn moment(file_name: &str) -> Option<Timestamp> {
    let digits = file_name.strip_prefix(PREFIX)?.strip_suffix(ENDING)?;
    let unix_milliseconds = digits.parse().ok()?;
    let created = Timestamp { unix_milliseconds };
    (snapshot_name(created) == file_name).then_some(created)
}

/// The snapshots in a folder by their names, the newest first. There are none where there is no
/// folder: it is made with the first snapshot.
///
/// # Errors
///
/// If it cannot be read.
pub(crate) fn snapshots_in(folder: &Path) -> io::Result<Vec<KeptSnapshot>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some((name, created)) = file_name.to_str().and_then(|it| Some((it, moment(it)?)))
        else {
            continue;
        };
        match entry.metadata() {
            // Neither a link, which leads anywhere, nor a folder.
            Ok(metadata) if metadata.is_file() => found.push(KeptSnapshot {
                name: name.to_owned(),
                created,
                bytes: metadata.len(),
            }),
            Ok(_) => {}
            // Somebody took it away in between.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created.unix_milliseconds));
    Ok(found)
}

/// The snapshots of one data directory in a folder.
#[derive(Debug)]
pub(crate) struct OwnSnapshots {
    folder: PathBuf,
    /// As manifests tell it; `None` for a data directory that has no identity yet.
    directory: Option<String>,
    /// What opens snapshots that are encrypted.
    keys: Keys,
    /// What was read, and whether it is whole and of this data directory.
    read: BTreeMap<String, bool>,
}

impl OwnSnapshots {
    /// Those of the data directory that has this identity, and these keys if it is encrypted.
    pub(in crate::partition) fn of(
        directory: Option<NonZeroU64>,
        folder: &Path,
        keys: Keys,
    ) -> OwnSnapshots {
        OwnSnapshots {
            folder: folder.to_owned(),
            directory: directory.map(name_of_directory),
            keys,
            read: BTreeMap::new(),
        }
    }

    /// One was made: all of it was compared with its checksums on the way.
    pub(crate) fn made(&mut self, name: String) {
        self.read.insert(name, true);
    }

    /// The moment of the newest that counts.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub(crate) fn newest(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        for snapshot in self.listed()? {
            if self.counts(&snapshot, now) {
                return Ok(Some(snapshot.created));
            }
        }
        Ok(None)
    }

    /// Removes the oldest, so that `keep` are left that count, but never the last one. One that is
    /// damaged or cut off, of another data directory, or later than `now`, since a clock was wrong,
    /// counts as none, and is left alone: somebody should look at it. Each file is read once. Returns
    /// how many were removed.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read, or a file not be removed.
    pub(crate) fn remove_oldest(
        &mut self,
        keep: usize,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let (mut whole, mut removed) = (0, 0);
        for snapshot in self.listed()? {
            if !self.counts(&snapshot, now) {
                continue;
            }
            whole += 1;
            if whole > keep.max(1) {
                let path = self.folder.join(&snapshot.name);
                fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn listed(&mut self) -> Result<Vec<KeptSnapshot>, StoreError> {
        let listed = snapshots_in(&self.folder);
        let listed = listed.map_err(|error| StoreError::io("read", &self.folder, error))?;
        let names: BTreeSet<&str> = listed.iter().map(|it| it.name.as_str()).collect();
        self.read.retain(|name, _| names.contains(name.as_str()));
        Ok(listed)
    }

    fn counts(&mut self, snapshot: &KeptSnapshot, now: Timestamp) -> bool {
        let file = snapshot.name.as_str();
        if let Some(counts) = self.read.get(file) {
            return *counts && snapshot.created <= now;
        }
        let read = verify_archive_with(&self.folder.join(file), &self.keys, &mut |_, _| {});
        let counts = match read {
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a snapshot is not whole, and is left alone");
                false
            }
            // Those of earlier builds do not tell whose they are.
            Ok(manifest) => {
                let of = manifest.data_directory;
                let is_own = of.is_none() || of == self.directory;
                if !is_own {
                    tracing::warn!(
                        file,
                        "a snapshot is of another data directory, and is left alone"
                    );
                }
                is_own
            }
        };
        self.read.insert(file.to_owned(), counts);
        if counts && snapshot.created > now {
            tracing::warn!(
                file,
                "a snapshot is later than now, and is left alone: was a clock wrong?"
            );
        }
        counts && snapshot.created <= now
    }
}

/// Removes what killed processes left of snapshots in a folder. Returns how many files that were.
///
/// # Errors
///
/// If the folder cannot be read, or a file not be removed.
pub(crate) fn remove_drafts(folder: &Path) -> Result<usize, StoreError> {
    let failed = |error| StoreError::io("read", folder, error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(failed)?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| {
            let mut endings = DRAFTS.iter();
            let of = endings.find_map(|ending| name.strip_suffix(ending))?;
            moment(of).map(|_| of.to_owned())
        });
        let Some(of) = of else {
            continue;
        };
        let path = entry.path();
        if is_left(&path) && !is_being_written(&folder.join(of + DRAFTS[0])) {
            fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether a file was left by this program: its own, and for nobody else.
fn is_left(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|it| {
        it.is_file() && it.uid() == own && it.nlink() == 1 && it.mode() & 0o777 == FILE_MODE
    })
}

/// Whether a process is writing a draft: it holds a lock on it.
fn is_being_written(draft: &PathBuf) -> bool {
    File::open(draft).is_ok_and(|file| file.try_lock().is_err())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::partition::{Store, private};

    fn at(unix_milliseconds: i64) -> Timestamp {
        Timestamp { unix_milliseconds }
    }

    fn names(folder: &Path) -> Vec<String> {
        let snapshots = snapshots_in(folder).unwrap();
        snapshots.into_iter().map(|it| it.name).collect()
    }

    #[test]
    fn only_names_that_we_give_are_listed() {
        let created = at(1_700_000_000_123);
        let own = snapshot_name(created);
        assert_eq!(own, "vultus-1700000000123.tar.zst");
        assert_eq!(moment(&own), Some(created));
        for other in [
            "vultus-1700000000123.tar.zst.new",
            "vultus-+1.tar.zst",
            "vultus-.tar.zst",
            "vultus-01.tar.zst",
            "other-1.tar.zst",
            "vultus-1.tar",
        ] {
            assert_eq!(moment(other), None, "{other}");
        }
    }

    /// Removes as a process that has just begun.
    fn remove_oldest(store: &Store, folder: &Path, keep: usize) -> usize {
        let mut own = store.own_snapshots(folder).unwrap();
        own.remove_oldest(keep, at(100)).unwrap()
    }

    fn make(store: &Store, path: &Path, moment: i64) {
        let made = store.snapshot_to(path, false, at(moment), &mut |_, _| {});
        made.unwrap();
    }

    #[test]
    fn the_oldest_whole_ones_go_and_what_is_none_of_ours_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data")).unwrap();
        let folder = directory.path().join("snapshots");
        assert_eq!(remove_oldest(&store, &folder, 1), 0, "no folder");
        fs::create_dir(&folder).unwrap();
        let of = |moment| folder.join(snapshot_name(at(moment)));
        for moment in [10, 20, 30, 40] {
            make(&store, &of(moment), moment);
        }
        // Cut off, empty, a link, a folder, and what somebody made.
        let bytes = fs::read(of(30)).unwrap();
        fs::write(of(30), &bytes[..bytes.len() / 2]).unwrap();
        fs::write(of(5), b"").unwrap();
        symlink(of(10), of(1)).unwrap();
        fs::create_dir(of(2)).unwrap();
        fs::copy(of(10), folder.join("before-upgrade.tar.zst")).unwrap();
        let count = || fs::read_dir(&folder).unwrap().count();
        assert_eq!(remove_oldest(&store, &folder, 3), 0);
        assert_eq!(count(), 8);
        assert_eq!(remove_oldest(&store, &folder, 2), 1);
        assert!(!of(10).exists() && of(20).exists() && of(30).exists() && of(40).exists());
        assert_eq!(count(), 7);
        // What was read once, or made, is not read again.
        let mut own = store.own_snapshots(&folder).unwrap();
        own.made(snapshot_name(at(5)));
        assert_eq!(own.remove_oldest(3, at(100)).unwrap(), 0);
        fs::write(of(40), b"").unwrap();
        assert_eq!(own.newest(at(100)).unwrap(), Some(at(40)));
        fs::remove_file(of(40)).unwrap();
        // Not even for nothing does the last one go.
        make(&store, &of(40), 40);
        assert_eq!(remove_oldest(&store, &folder, 0), 1);
        assert_eq!(remove_oldest(&store, &folder, 0), 0);
        assert_eq!(names(&folder), [40, 30, 5].map(|it| snapshot_name(at(it))));
        verify_archive_with(&of(40), &Keys::default(), &mut |_, _| {}).unwrap();
    }

    #[test]
    fn neither_a_wrong_clock_nor_another_data_directory_costs_a_snapshot() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("snapshots");
        fs::create_dir(&folder).unwrap();
        let of = |moment| folder.join(snapshot_name(at(moment)));
        let [ours, theirs] = ["ours", "theirs"].map(|name| {
            let store = Store::open(&directory.path().join(name)).unwrap();
            store.state_put("area", name, b"value").unwrap();
            store
        });
        make(&ours, &of(10), 10);
        make(&theirs, &of(20), 20);
        make(&theirs, &of(30), 30);
        make(&ours, &of(4_000), 4_000);
        fs::write(of(50), b"").unwrap();
        let mut own = ours.own_snapshots(&folder).unwrap();
        assert_eq!(own.newest(at(100)).unwrap(), Some(at(10)));
        assert_eq!(own.newest(at(4_000)).unwrap(), Some(at(4_000)));
        assert_eq!(own.newest(at(9)).unwrap(), None);
        make(&ours, &of(60), 60);
        own.made(snapshot_name(at(60)));
        assert_eq!(own.remove_oldest(1, at(100)).unwrap(), 1);
        assert!(!of(10).exists() && of(60).exists() && of(4_000).exists());
        assert_eq!(remove_oldest(&theirs, &folder, 1), 1);
        assert_eq!(
            names(&folder),
            [4_000, 60, 50, 30].map(|it| snapshot_name(at(it)))
        );
    }

    #[test]
    fn drafts_of_killed_snapshots_go_and_those_under_way_stay() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path();
        assert_eq!(remove_drafts(&folder.join("none")).unwrap(), 0);
        let left = |name: &str| {
            let path = folder.join(name);
            drop(private::create(&path).unwrap());
            path
        };
        let dead = [
            left("vultus-1.tar.zst.new"),
            left("vultus-1.tar.zst.new.catalog"),
            left("vultus-3.tar.zst.new.catalog"),
        ];
        let draft = left("vultus-2.tar.zst.new");
        let writing = File::open(&draft).unwrap();
        writing.try_lock().unwrap();
        let stays = [
            draft,
            left("vultus-2.tar.zst.new.catalog"),
            left("vultus-4.tar.zst"),
            left("mine.tar.zst.new"),
            left("vultus-x.tar.zst.new"),
        ];
        let public = left("vultus-5.tar.zst.new");
        fs::set_permissions(&public, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&public, folder.join("vultus-6.tar.zst.new")).unwrap();
        assert_eq!(remove_drafts(folder).unwrap(), 3);
        assert!(dead.iter().all(|path| !path.exists()));
        assert!(stays.iter().all(|path| path.exists()) && public.exists());
        assert_eq!(remove_drafts(folder).unwrap(), 0);
    }
}
