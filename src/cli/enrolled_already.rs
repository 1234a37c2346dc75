//! People who are to be enrolled, and seem to be in the gallery under another class.

use std::collections::BTreeMap;

use super::output;
use super::pictures::{self, PictureError};
use crate::engine::Engine;
use crate::face::Face;
use crate::intake::{Intake, OnDuplicate};
use crate::types::{ClassId, Embedding, Match, PartitionId};

/// Whom the new pictures of classes look like, who is somebody else.
pub(super) type Others = BTreeMap<ClassId, Match>;

/// Looks for such people, if the operator wants to know. Those of one call are not compared with each
/// other.
pub(super) fn find(
    intake: &Intake,
    engine: &Engine,
    partition: &PartitionId,
    classes: &[ClassId],
    found: &[Result<Face, PictureError>],
) -> anyhow::Result<Others> {
    let mut others = Others::new();
    if intake.policy().duplicates.action == OnDuplicate::Off {
        return Ok(others);
    }
    let Some(gallery) = engine.gallery(partition, intake.encoder())? else {
        return Ok(others);
    };
    for (place, pictures) in pictures::of_classes(classes, found) {
        let faces = pictures.iter().filter_map(|&at| found[at].as_ref().ok());
        let embeddings: Vec<&Embedding> = faces.map(|face| &face.embedding).collect();
        let class = (!pictures::is_stand_in(place)).then_some(place);
        if let Some(other) = intake.duplicate(engine, &gallery, (class, None), &embeddings)? {
            others.insert(place, other);
        }
    }
    Ok(others)
}

/// Says whom new pictures look like, or refuses those pictures.
pub(super) fn tell(
    action: OnDuplicate,
    others: &Others,
    classes: &[ClassId],
    found: &mut [Result<Face, PictureError>],
) {
    for (&class, other) in others {
        let Match {
            class: other,
            similarity,
        } = *other;
        if action != OnDuplicate::Refuse {
            let whose = match pictures::is_stand_in(class) {
                true => "somebody new".to_owned(),
                false => format!("class {class}"),
            };
            output::tell!(
                "warning: the pictures of {whose} look like class {other}, similarity {similarity:.2}: if that \
                 is one person, merge the classes; if not, say so in their records (`not_same_as`)"
            );
            continue;
        }
        for (face, _) in found
            .iter_mut()
            .zip(classes)
            .filter(|(face, of)| face.is_ok() && **of == class)
        {
            *face = Err(PictureError::AlreadyEnrolled { other, similarity });
        }
    }
}
