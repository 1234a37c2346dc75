//! What pictures show.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::stand_in::is_stand_in;
use crate::cli::args::Faces;
use crate::cli::{output, parallel};
use crate::face::{Bounds, Face};
use crate::intake::{Care, Cause, Crowd, Intake, IntakeError, Seen};
use crate::types::ClassId;

/// No more of a file is read: more than any picture may have, and a device has no end.
const FILE_BYTES_MAX: u64 = 1 << 28;

/// Why a picture was refused.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum PictureError {
    // No source, since the text has it: a chain of causes would say it twice.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error("it does not look like the person of the other pictures of {}", whose(*.0))]
    OtherPerson(ClassId),
    #[error(
        "the new pictures do not look like those that class {class} was enrolled with before \
         (similarity {similarity:.2})"
    )]
    UnlikeClass { class: ClassId, similarity: f64 },
    #[error(
        "it shows somebody who seems to be enrolled as {other} already (similarity {similarity:.2}): enrol \
         them there"
    )]
    AlreadyEnrolled { other: String, similarity: f64 },
}

/// A class in a sentence.
fn whose(class: ClassId) -> String {
    match is_stand_in(class) {
        true => "that name".to_owned(),
        false => format!("class {class}"),
    }
}

impl From<std::io::Error> for PictureError {
    fn from(error: std::io::Error) -> PictureError {
        PictureError::Unreadable(error)
    }
}

/// Reads every picture, side by side, and finds the only face in each.
pub(in crate::cli) fn only_faces(
    intake: &Intake,
    threads: usize,
    pictures: &[PathBuf],
) -> Vec<Result<Face, PictureError>> {
    let bar = output::progress(pictures.len(), "reading pictures");
    let found = faces(intake, threads, pictures, || bar.inc(1));
    bar.finish_and_clear();
    found
}

/// As [`only_faces`], and tells `done` after each, instead of whoever looks on.
pub(in crate::cli) fn faces(
    intake: &Intake,
    threads: usize,
    pictures: &[PathBuf],
    done: impl Fn() + Sync,
) -> Vec<Result<Face, PictureError>> {
    let read = |path: &PathBuf| {
        let seen = look(intake, path);
        done();
        // The picture goes: of many there is no room for all.
        seen.map(|seen| intake.portrayed(seen).face)
    };
    parallel::map(pictures, threads, read)
}

/// Reads a picture, and finds the only face in it.
pub(in crate::cli) fn look(intake: &Intake, path: &Path) -> Result<Seen, PictureError> {
    Ok(intake.look(&read(path)?, Care::Glance)?)
}

/// Reads a picture, and finds the face in it that overlaps `bounds` most.
pub(in crate::cli) fn look_within(
    intake: &Intake,
    path: &Path,
    bounds: &Bounds,
) -> Result<Seen, PictureError> {
    Ok(intake.look_within_box(&read(path)?, bounds, &intake.patience())?)
}

/// Reads a picture, and finds whom it shows: all faces, or the only one. Unless somebody wants
/// either, it is the only one where it is a picture of one person, whoever passes by behind, and
/// else all.
pub(in crate::cli) fn crowd(
    intake: &Intake,
    path: &Path,
    wanted: Option<Faces>,
) -> Result<Crowd, PictureError> {
    let bytes = read(path)?;
    if wanted != Some(Faces::All) {
        match intake.look(&bytes, Care::Glance) {
            Ok(seen) => return Ok(seen.into()),
            Err(error) if wanted.is_none() && matches!(error.cause, Cause::SeveralFaces(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(intake.look_at_all(&bytes, &intake.patience())?)
}

/// The bytes of a file, or of what comes from stdin.
fn read(path: &Path) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Vec::new();
    if is_stdin(path) {
        let stdin = std::io::stdin().lock();
        stdin.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    } else {
        let file = File::open(path)?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Whether a path that was named means stdin.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Where a face is in a picture, in whole pixels within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct JsonBox {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl JsonBox {
    pub(in crate::cli) fn of(bounds: &Bounds, size: (usize, usize)) -> JsonBox {
        let [left, top, width, height] = bounds.whole_within(size);
        JsonBox {
            left,
            top,
            width,
            height,
        }
    }
}

/// As it is given with --box.
impl std::fmt::Display for JsonBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let JsonBox {
            left,
            top,
            width,
            height,
        } = self;
        write!(f, "{left},{top},{width},{height}")
    }
}
