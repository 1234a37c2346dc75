//! People who are to be enrolled, and seem to be in the gallery under another class.

use std::collections::BTreeMap;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use super::open;
use super::output;
use super::pictures::{self, Named, PictureError};
use crate::config::Settings;
use crate::engine::{DuplicateBar, Duplicates, Engine};
use crate::face::Face;
use crate::intake::{Intake, OnDuplicate};
use crate::rates::{TargetRate, shipped};
use crate::types::{ClassId, Embedding, EncoderId, Match, PartitionId, PersonName};

/// Whom the new pictures of classes look like, who is somebody else.
pub(super) type Others = BTreeMap<ClassId, Match>;

/// Looks for such people, if the operator wants to know: in the gallery, and among those of this call who
/// come before and are taken.
pub(super) fn find(
    intake: &Intake,
    engine: &Engine,
    partition: &PartitionId,
    classes: &[ClassId],
    found: &[Result<Face, PictureError>],
) -> anyhow::Result<Others> {
    let mut others = Others::new();
    let action = intake.policy().duplicates.action;
    if action == OnDuplicate::Off {
        return Ok(others);
    }
    let encoder = intake.encoder();
    let bar = intake.duplicate_bar(engine, partition, encoder)?;
    let mut newcomers = engine.newcomers(partition, encoder, bar)?;
    for (place, pictures) in pictures::of_classes(classes, found) {
        let faces = pictures.iter().filter_map(|&at| found[at].as_ref().ok());
        let embeddings: Vec<&Embedding> = faces.map(|face| &face.embedding).collect();
        let other = newcomers.meet(place, &embeddings)?;
        if other.is_none() || action != OnDuplicate::Refuse {
            let taken = embeddings.iter().map(|it| (place, it.values()));
            newcomers.take(&taken.collect::<Vec<_>>());
        }
        others.extend(other.map(|other| (place, other)));
    }
    Ok(others)
}

/// Says whom new pictures look like, or refuses those pictures.
pub(super) fn tell(
    action: OnDuplicate,
    others: &Others,
    (classes, named): (&[ClassId], &Named),
    found: &mut [Result<Face, PictureError>],
) {
    for (&class, other) in others {
        let Match {
            class: other,
            similarity,
        } = *other;
        let other = whose(other, named);
        if action != OnDuplicate::Refuse {
            let whose = whose(class, named);
            output::tell!(
                "warning: the pictures of {whose} look like {other}, similarity {similarity:.2}: if that \
                 is one person, merge the classes; if not, say so in their records (`not_same_as`)"
            );
            continue;
        }
        for (face, _) in found
            .iter_mut()
            .zip(classes)
            .filter(|(face, of)| face.is_ok() && **of == class)
        {
            let other = other.clone();
            *face = Err(PictureError::AlreadyEnrolled { other, similarity });
        }
    }
}

/// Who that is, in a sentence. New people of a call have no class yet.
fn whose(class: ClassId, named: &Named) -> String {
    match (pictures::is_stand_in(class), named.get(&class)) {
        (false, _) => format!("class {class}"),
        (true, Some(name)) => format!("`{}` (who is new)", PersonName::as_str(name)),
        (true, None) => "somebody new".to_owned(),
    }
}

/// What is asked of an import about such people: also by a service, which has the gallery.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    are_refused: bool,
    threshold: Option<f64>,
    /// Where the encoder takes two faces for one person, as far as this process knows.
    own: Option<f64>,
    target_fpir: f64,
}

impl Asked {
    /// Whether such items are refused.
    pub(super) fn are_refused(&self) -> bool {
        self.are_refused
    }

    /// What the settings say of embeddings of `encoder`; `None` if nobody is looked for.
    ///
    /// # Errors
    ///
    /// If what is known of the encoder cannot be read.
    pub(super) fn of(settings: &Settings, encoder: &EncoderId) -> anyhow::Result<Option<Asked>> {
        let check = settings.service.duplicates;
        if check.action == OnDuplicate::Off {
            return Ok(None);
        }
        let known = open::known_encoder(settings, encoder)?;
        let own = match (check.threshold, known) {
            // It decides nothing.
            (Some(_), _) => None,
            (None, Some(known)) => Some(known.verification_threshold()),
            (None, None) => {
                let faces = open::faces(settings)?;
                let profile = faces.profile();
                (profile.encoder() == encoder).then(|| profile.verification_threshold())
            }
        };
        Ok(Some(Asked {
            are_refused: check.action == OnDuplicate::Refuse,
            threshold: check.threshold,
            own,
            target_fpir: check.target_fpir.get(),
        }))
    }

    /// What that means in a gallery, which need not be there.
    ///
    /// # Errors
    ///
    /// If what is known of the gallery cannot be read.
    pub(super) fn in_gallery(
        &self,
        engine: &Engine,
        id: &PartitionId,
        encoder: &EncoderId,
    ) -> anyhow::Result<Duplicates> {
        let bar = engine.duplicate_bar(id, encoder, self.demanded())?;
        Ok(self.duplicates(bar))
    }

    /// What that means where there is no gallery at all.
    ///
    /// # Errors
    ///
    /// If what is known of the encoder cannot be read.
    pub(super) fn without_gallery(
        &self,
        settings: &Settings,
        encoder: &EncoderId,
    ) -> anyhow::Result<Duplicates> {
        let known = open::known_encoder(settings, encoder)?;
        let known = known.map(|known| known.calibration().clone().into());
        let known = known.or_else(|| shipped(encoder));
        Ok(self.duplicates(DuplicateBar::new(self.demanded(), known)))
    }

    fn demanded(&self) -> (Option<f64>, Option<f64>, TargetRate) {
        let rate = TargetRate::new(self.target_fpir).unwrap_or_default();
        (self.threshold, self.own, rate)
    }

    fn duplicates(&self, bar: DuplicateBar) -> Duplicates {
        Duplicates {
            bar,
            are_refused: self.are_refused,
        }
    }
}

/// What is left of that where nobody knows from which similarity on two are one: nothing, and it is said.
///
/// # Errors
///
/// If such people are to be refused.
pub(super) fn if_known(
    (asked, duplicates): (Asked, Duplicates),
    encoder: &EncoderId,
) -> anyhow::Result<Option<(Asked, Duplicates)>> {
    if duplicates.bar.threshold(1).is_some() {
        return Ok(Some((asked, duplicates)));
    }
    let unknown = format!(
        "people who are enrolled twice are to be looked for (`enroll-duplicates`), and nobody knows from which \
         similarity on two embeddings of `{encoder}` are of one person: say it with \
         --enroll-duplicates-threshold, name a profile of the encoder (`encoder-profiles`), or have \
         `vultus calibrate` measure a gallery of it"
    );
    if asked.are_refused {
        bail!("{unknown}");
    }
    output::tell!("warning: {unknown}; nobody is looked for now");
    Ok(None)
}
