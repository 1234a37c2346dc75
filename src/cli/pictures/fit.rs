//! Whether the pictures of a class are fit to know its person by.

use std::collections::BTreeMap;

use super::look::PictureError;
use crate::face::Face;
use crate::intake::Intake;
use crate::types::{ClassId, Embedding};

/// Refuses pictures that nobody should be known by, and those of a class that look like another
/// person than the others do. `classes` are those of the pictures, one for each.
pub(in crate::cli) fn refuse_unfit(
    intake: &Intake,
    classes: &[ClassId],
    found: &mut [Result<Face, PictureError>],
) {
    for face in found.iter_mut() {
        if let Ok(seen) = face
            && let Err(error) = intake.check_quality(seen.quality.score(), &seen.warnings)
        {
            *face = Err(error.into());
        }
    }
    for pictures in of_classes(classes, found).into_values() {
        let faces = pictures.iter().filter_map(|&at| found[at].as_ref().ok());
        let embeddings: Vec<&Embedding> = faces.map(|face| &face.embedding).collect();
        let belongs = intake.of_one_person(&embeddings);
        for (at, belongs) in pictures.into_iter().zip(belongs) {
            if !belongs {
                found[at] = Err(PictureError::OtherPerson(classes[at]));
            }
        }
    }
}

/// The places of the pictures of each class that are not refused.
pub(in crate::cli) fn of_classes(
    classes: &[ClassId],
    found: &[Result<Face, PictureError>],
) -> BTreeMap<ClassId, Vec<usize>> {
    let mut of_classes: BTreeMap<ClassId, Vec<usize>> = BTreeMap::new();
    for (at, class) in classes.iter().enumerate() {
        if found[at].is_ok() {
            of_classes.entry(*class).or_default().push(at);
        }
    }
    of_classes
}
