//! What an enrolment tells of people who are enrolled: whom the samples look like.
//!
//! That is a verification and an identification that nobody asked for. So it is told to keys that might ask,
//! and counts as if they had.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::state::AppState;
use super::key::Key;
use super::problem::{Code, Problem};
use crate::access::Scope;
use crate::audit::Actor;
use crate::budgets::Told;
use crate::engine::Gallery;
use crate::intake::{Disclosure, OnDuplicate};
use crate::partition::Whom;
use crate::types::{Bcid, ClassId, Embedding, Match, PartitionId, RecordChange};

/// Somebody else who seems to be the same person. Who that is is told to keys that may identify.
#[derive(Serialize, ToSchema)]
#[schema(as = Duplicate)]
pub(in super::super) struct DuplicateReport {
    /// The class; null for a key that may not identify, with embeddings by those.
    class: Option<String>,
    /// How alike the samples and the most similar template of that class are; null likewise.
    similarity: Option<f64>,
}

/// Who enrols, and what they may be told.
pub(super) struct Teller {
    pub(super) actor: Actor,
    pub(super) disclosure: Disclosure,
    /// Whether they may know how alike the samples are to the class, as by a verification.
    may_verify: bool,
    /// Whether they may know who is enrolled already, as by an identification.
    may_identify: bool,
    /// Whether they may do so with the samples that came, where a threshold is known.
    may_probe: bool,
}

/// Whom samples look like, as far as that is told.
#[derive(Default)]
pub(super) struct Resemblance {
    /// How alike they are to the class.
    pub(super) similarity: Option<f64>,
    /// Whether that reaches the threshold.
    pub(super) looks_like_class: Option<bool>,
    pub(super) duplicate: Option<DuplicateReport>,
    /// By how much later it is to be told.
    pub(super) delay: Duration,
}

/// Where somebody is about to be enrolled, and from which similarity on it is they.
pub(super) struct Place<'a> {
    pub(super) gallery: &'a Gallery,
    pub(super) whom: Whom,
    pub(super) record: &'a RecordChange,
    pub(super) usual: Option<f64>,
    /// The lowest threshold that anybody may ask for; none where no threshold is known.
    pub(super) least: Option<f64>,
}

impl DuplicateReport {
    fn of(found: &Match, is_told: bool) -> DuplicateReport {
        DuplicateReport {
            class: is_told.then(|| found.class.to_string()),
            similarity: is_told.then_some(found.similarity),
        }
    }

    /// Why the person is not enrolled.
    fn refusal(&self) -> Problem {
        let detail = match (&self.class, self.similarity) {
            (Some(class), Some(similarity)) => format!(
                "the samples look like class {class} (similarity {similarity:.4}): enrol them there, or say by \
                 `not_same_as` that these are two people"
            ),
            _ => "the samples look like somebody who is enrolled under another class; a key with the scope \
                  `identify` (with embeddings also `embeddings`) is told which"
                .to_owned(),
        };
        Problem::new(Code::AlreadyEnrolled, detail)
    }
}

impl Teller {
    /// The holder of `key`, who enrols in `partition` with pictures alone or not.
    pub(super) fn new(
        state: &AppState,
        key: &Key,
        partition: &PartitionId,
        has_embeddings: bool,
    ) -> Teller {
        Teller {
            actor: key.1.clone(),
            disclosure: key.disclosure(state.intake()),
            may_verify: key.may(Scope::Verify).is_ok(),
            // It would be an identification that nobody has confirmed.
            may_identify: key.may(Scope::Identify).is_ok() && !state.needs_confirmation(partition),
            may_probe: !has_embeddings || key.may(Scope::Embeddings).is_ok(),
        }
    }

    /// Whom these samples look like.
    ///
    /// # Errors
    ///
    /// If it is somebody else, and the operator does not want them enrolled twice.
    pub(super) fn look(
        &self,
        state: &AppState,
        place: &Place<'_>,
        samples: &[&Embedding],
    ) -> Result<Resemblance, Problem> {
        let mut seen = Resemblance::default();
        let class = foreseen(place)?;
        let may_probe = self.may_probe || place.least.is_none();
        if let Some(class) = class
            && self.may_verify
            && may_probe
        {
            self.compare(state, (place, class), samples, &mut seen)?;
        }
        self.find_duplicate(state, (place, class), (samples, may_probe), &mut seen)?;
        Ok(seen)
    }

    fn compare(
        &self,
        state: &AppState,
        (place, class): (&Place<'_>, ClassId),
        samples: &[&Embedding],
        seen: &mut Resemblance,
    ) -> Result<(), Problem> {
        let (gallery, usual) = (place.gallery, place.usual);
        let bcid = Bcid::new(gallery.id().clone(), class);
        // Whoever was told enough of the class today may enrol all the same.
        if state.ask_whether(&self.actor, &bcid, true).is_err() {
            return Ok(());
        }
        let Some(similarity) = gallery.similarity_to_class(class, samples)? else {
            return Ok(());
        };
        seen.looks_like_class = usual.map(|usual| similarity >= usual);
        seen.similarity = told(self.disclosure, similarity, usual);
        self.note(
            state,
            gallery,
            (class, seen.similarity.map(|_| similarity)),
            seen,
        );
        Ok(())
    }

    /// Somebody else whom the samples show, too, if the operator has it looked for.
    fn find_duplicate(
        &self,
        state: &AppState,
        (place, class): (&Place<'_>, Option<ClassId>),
        (samples, may_probe): (&[&Embedding], bool),
        seen: &mut Resemblance,
    ) -> Result<(), Problem> {
        let (intake, gallery) = (state.intake(), place.gallery);
        let action = intake.policy().duplicates.action;
        if action == OnDuplicate::Off {
            return Ok(());
        }
        let is_refused = action == OnDuplicate::Refuse;
        match state.ask_who(&self.actor, gallery.id(), 0) {
            Ok(()) => {}
            // Else the answer would tell it.
            Err(error) if is_refused => return Err(error.into()),
            Err(_said_nothing) => return Ok(()),
        }
        let whom = (class, place.record.not_same_as.as_ref());
        let Some(found) = intake.duplicate(state.engine(), gallery, whom, samples)? else {
            return Ok(());
        };
        self.note(state, gallery, (found.class, Some(found.similarity)), seen);
        let found = Match {
            similarity: self.disclosure.score(found.similarity),
            ..found
        };
        let report = DuplicateReport::of(&found, self.may_identify && may_probe);
        if is_refused {
            let from = (gallery.encoder(), samples);
            let other = found.class;
            state.not_enrolled(&self.actor, (gallery.id(), class), from, other)?;
            return Err(report.refusal());
        }
        seen.duplicate = Some(report);
        Ok(())
    }

    /// Counts that this is told of a class.
    fn note(
        &self,
        state: &AppState,
        gallery: &Gallery,
        (class, similarity): (ClassId, Option<f64>),
        seen: &mut Resemblance,
    ) {
        let scored = u64::from(similarity.is_some());
        let told = [Told { class, similarity }];
        let delay = state.tell(&self.actor, gallery.id(), (&told, scored));
        seen.delay = seen.delay.max(delay);
    }
}

/// What is told of a similarity to a class. Where no threshold is known it could not end anywhere.
fn told(disclosure: Disclosure, similarity: f64, usual: Option<f64>) -> Option<f64> {
    match (disclosure, usual) {
        (Disclosure::Exact, _) => Some(similarity),
        (_, usual) => disclosure.similarity(similarity, usual?),
    }
}

/// The class that will get the templates, if there is one already.
fn foreseen(place: &Place<'_>) -> Result<Option<ClassId>, Problem> {
    match (place.whom, &place.record.external_id) {
        (Whom::Class(class), _) => Ok(Some(class)),
        (Whom::New, Some(Some(id))) => Ok(place.gallery.class_of(id)?),
        (Whom::New, _) => Ok(None),
    }
}
