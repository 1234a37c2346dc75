//! What pictures show.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::{output, parallel};
use crate::face::Face;
use crate::intake::{Care, Intake, IntakeError, Seen};
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
    #[error("it does not look like the person of the other pictures of class {0}")]
    OtherPerson(ClassId),
    #[error(
        "the new pictures do not look like those that class {class} was enrolled with before \
         (similarity {similarity:.2})"
    )]
    UnlikeClass { class: ClassId, similarity: f64 },
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
        seen.map(|seen| seen.face)
    };
    parallel::map(pictures, threads, read)
}

/// Reads a picture, and finds the only face in it.
pub(in crate::cli) fn look(intake: &Intake, path: &Path) -> Result<Seen, PictureError> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(intake.look(&bytes, Care::Glance)?)
}
