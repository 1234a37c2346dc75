//! Finding pictures in folders, and reading what they show.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{output, parallel};
use crate::face::Face;
use crate::intake::{Care, Intake, IntakeError, Seen};
use crate::types::ClassId;

const EXTENSIONS: [&str; 11] = [
    "jpg", "jpeg", "png", "bmp", "gif", "tif", "tiff", "webp", "pgm", "ppm", "pnm",
];

/// Why a picture was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum PictureError {
    // No source, since the text has it: a chain of causes would say it twice.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl From<std::io::Error> for PictureError {
    fn from(error: std::io::Error) -> PictureError {
        PictureError::Unreadable(error)
    }
}

/// All pictures below the paths, in order of their names.
pub(super) fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for path in paths {
        if is_folder(path)? {
            find_below(path, &mut pictures)?;
        } else {
            pictures.push(path.clone());
        }
    }
    if pictures.is_empty() {
        bail!(
            "there is no picture in the folders named; known are {}",
            EXTENSIONS.join(", ")
        );
    }
    Ok(pictures)
}

/// All pictures in the class folders of the paths, with their class.
pub(super) fn find_classes(paths: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, ClassId)>> {
    let mut pictures = Vec::new();
    for path in paths {
        if !is_folder(path)? {
            bail!(
                "whom does `{}` show? name the person with --class",
                path.display()
            );
        }
        let folders: Vec<PathBuf> = entries(path)?
            .into_iter()
            .filter(|entry| entry.is_dir())
            .collect();
        if folders.is_empty() {
            bail!(
                "`{}` has no class folders: whom do its pictures show? name the person with --class",
                path.display()
            );
        }
        for folder in folders {
            let class = class_of_folder(&folder)?;
            let inside = entries(&folder)?
                .into_iter()
                .filter(|entry| is_picture(entry));
            pictures.extend(inside.map(|picture| (picture, class)));
        }
    }
    Ok(pictures)
}

/// Reads every picture, side by side, and finds the only face in each.
pub(super) fn only_faces(
    intake: &Intake,
    threads: usize,
    pictures: &[PathBuf],
) -> Vec<Result<Face, PictureError>> {
    let bar = output::progress(pictures.len(), "reading pictures");
    let read = |path: &PathBuf| {
        let seen = look(intake, path);
        bar.inc(1);
        // The picture goes: of many there is no room for all.
        seen.map(|seen| seen.face)
    };
    let found = parallel::map(pictures, threads, read);
    bar.finish_and_clear();
    found
}

/// Reads a picture, and finds the only face in it.
pub(super) fn look(intake: &Intake, path: &Path) -> Result<Seen, PictureError> {
    Ok(intake.look(&fs::read(path)?, Care::Glance)?)
}

/// The class that the name of a folder gives: its number, with letters before it or without.
fn class_of_folder(folder: &Path) -> anyhow::Result<ClassId> {
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let number = name.trim_start_matches(|c: char| c.is_alphabetic() || c == '_');
    number.parse().with_context(|| {
        let folder = folder.display();
        format!(
            "which class is folder `{folder}`? its name must be a number, or letters and a number"
        )
    })
}

fn find_below(folder: &Path, pictures: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in entries(folder)? {
        if entry.is_dir() {
            find_below(&entry, pictures)?;
        } else if is_picture(&entry) {
            pictures.push(entry);
        }
    }
    Ok(())
}

fn is_folder(path: &Path) -> anyhow::Result<bool> {
    let metadata =
        fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(metadata.is_dir())
}

pub(super) fn is_picture(path: &Path) -> bool {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    EXTENSIONS.contains(&&*extension.to_ascii_lowercase())
}

/// What a folder holds, numbers in names compared as numbers: `2.jpg` before `10.jpg`.
pub(super) fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let context = || format!("cannot read folder `{}`", folder.display());
    let read = fs::read_dir(folder).with_context(context)?;
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in read {
        entries.push(entry.with_context(context)?.path());
    }
    entries.sort_by_key(|path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        (digits.parse::<u64>().ok(), name)
    });
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_names_its_class() {
        for (name, class) in [("17", 17), ("s17", 17), ("person_4", 4), ("-3", -3)] {
            assert_eq!(
                class_of_folder(Path::new(name)).unwrap(),
                ClassId(class),
                "{name}"
            );
        }
        for name in ["anna", "17b", "", "1.5", "s 1"] {
            assert!(class_of_folder(Path::new(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn pictures_are_found_in_the_order_of_their_numbers() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["s2/10.pgm", "s2/9.PGM", "s10/1.jpg", "s2/README"] {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let root = [directory.path().to_owned()];
        let expected =
            ["s2/9.PGM", "s2/10.pgm", "s10/1.jpg"].map(|name| directory.path().join(name));
        assert_eq!(find(&root).unwrap(), expected);
        let classes: Vec<i64> = find_classes(&root)
            .unwrap()
            .into_iter()
            .map(|(_, class)| class.0)
            .collect();
        assert_eq!(classes, [2, 2, 10]);
        assert!(find_classes(&expected).is_err());
        assert!(find_classes(&[directory.path().join("s2")]).is_err());
        assert!(find(&[directory.path().join("missing")]).is_err());
    }
}
