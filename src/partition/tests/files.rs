//! What stands in the files of a data directory.

use std::fs;
use std::path::{Path, PathBuf};

use memchr::memmem;

/// All files of a folder, in those below it as well, in the order of their paths.
pub(super) fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(all_files(&path)),
            false => all.push(path),
        }
    }
    all.sort();
    all
}

/// The files of a folder that hold at least one of `parts`.
pub(super) fn files_that_hold(folder: &Path, parts: &[&[u8]]) -> Vec<PathBuf> {
    let mut all = all_files(folder);
    all.retain(|path| holds_one(&fs::read(path).unwrap(), parts));
    all
}

/// Whether at least one of `parts` is among some bytes. Tests of crashes look through gigabytes, a
/// file for each point and part, so that what looks must be fast.
pub(super) fn holds_one(bytes: &[u8], parts: &[&[u8]]) -> bool {
    // Most files end in zeros, which no part does.
    let end = bytes.iter().rposition(|byte| *byte != 0);
    let written = &bytes[..end.map_or(0, |end| end + 1)];
    let mut parts = parts.iter();
    parts.any(|part| memmem::find(written, part).is_some())
}

#[test]
fn a_part_is_found_at_both_ends_and_in_folders_below() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    fs::write(folder.path().join("first"), b"one and two\0\0").unwrap();
    fs::write(below.join("second"), b"three").unwrap();
    fs::write(below.join("zeros"), [0; 100]).unwrap();
    let found = |parts: &[&[u8]]| files_that_hold(folder.path(), parts);
    assert_eq!(found(&[b"one"]), [folder.path().join("first")]);
    assert_eq!(found(&[b"none", b"two"]), [folder.path().join("first")]);
    assert_eq!(found(&[b"hre"]), [below.join("second")]);
    assert_eq!(found(&[b"e"]).len(), 2);
    assert_eq!(found(&[b"four"]), [] as [PathBuf; 0]);
}
