//! A folder of snapshots that are named after the moments that they are of.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::verify_archive;
use crate::partition::StoreError;
use crate::partition::disk::FILE_MODE;
use crate::types::Timestamp;

const PREFIX: &str = "vultus-";
const ENDING: &str = ".tar.zst";
/// What a snapshot that is not whole yet has behind its name, and its copy of the catalog.
const DRAFTS: [&str; 2] = [".new", ".new.catalog"];

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

/// Removes the oldest snapshots of a folder, so that `keep` whole ones are left, but never the last
/// one. One that is damaged or cut off counts as none, and is left alone: somebody should look at it.
/// Those in `known` were read before, and found to be whole; all others are read, and those that are
/// whole are added. Returns how many were removed.
///
/// # Errors
///
/// If the folder cannot be read, or a file not be removed.
pub(crate) fn remove_oldest(
    folder: &Path,
    keep: usize,
    known: &mut BTreeSet<String>,
) -> Result<usize, StoreError> {
    let snapshots = snapshots_in(folder).map_err(|error| StoreError::io("read", folder, error))?;
    let (mut whole, mut removed) = (0, 0);
    known.retain(|known| snapshots.iter().any(|snapshot| snapshot.name == *known));
    for snapshot in snapshots {
        let path = folder.join(&snapshot.name);
        if !known.contains(&snapshot.name)
            && let Err(error) = verify_archive(&path, &mut |_, _| {})
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "a snapshot is not whole, and is left alone");
            continue;
        }
        known.insert(snapshot.name);
        whole += 1;
        if whole > keep.max(1) {
            fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
            removed += 1;
        }
    }
    Ok(removed)
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

    #[test]
    fn the_oldest_whole_ones_go_and_what_is_none_of_ours_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data")).unwrap();
        let folder = directory.path().join("snapshots");
        assert_eq!(
            remove_oldest(&folder, 1, &mut BTreeSet::new()).unwrap(),
            0,
            "no folder"
        );
        fs::create_dir(&folder).unwrap();
        for moment in [10, 20, 30, 40] {
            let path = folder.join(snapshot_name(at(moment)));
            let made = store.snapshot_to(&path, false, at(moment), &mut |_, _| {});
            made.unwrap();
        }
        let of = |moment| folder.join(snapshot_name(at(moment)));
        // Cut off, empty, a link, a folder, and what somebody made.
        let bytes = fs::read(of(30)).unwrap();
        fs::write(of(30), &bytes[..bytes.len() / 2]).unwrap();
        fs::write(of(5), b"").unwrap();
        symlink(of(10), of(1)).unwrap();
        fs::create_dir(of(2)).unwrap();
        fs::copy(of(10), folder.join("before-upgrade.tar.zst")).unwrap();
        let count = || fs::read_dir(&folder).unwrap().count();
        assert_eq!(remove_oldest(&folder, 3, &mut BTreeSet::new()).unwrap(), 0);
        assert_eq!(count(), 8);
        assert_eq!(remove_oldest(&folder, 2, &mut BTreeSet::new()).unwrap(), 1);
        assert!(!of(10).exists() && of(20).exists() && of(30).exists() && of(40).exists());
        assert_eq!(count(), 7);
        // One that was read before is not read again.
        let mut known = BTreeSet::from([snapshot_name(at(5)), "gone".to_owned()]);
        assert_eq!(remove_oldest(&folder, 3, &mut known).unwrap(), 0);
        assert_eq!(known.len(), 3, "{known:?}");
        // Not even for nothing does the last one go.
        assert_eq!(remove_oldest(&folder, 0, &mut BTreeSet::new()).unwrap(), 1);
        assert_eq!(remove_oldest(&folder, 0, &mut BTreeSet::new()).unwrap(), 0);
        assert_eq!(names(&folder), [40, 30, 5].map(|it| snapshot_name(at(it))));
        verify_archive(&of(40), &mut |_, _| {}).unwrap();
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
