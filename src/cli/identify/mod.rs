//! `vultus identify`: pictures, or ready embeddings, each a question of its own.
//!
//! From which similarity on somebody is named is decided in one place for both, as the service
//! decides it ([`Known`]).

mod annotate;
mod answer;
mod groups;
mod of_embeddings;
mod of_pictures;

use super::args::Identify;
use super::exit::Exit;
use super::open;
use crate::config::Settings;
use crate::engine::{Gallery, IdentifyOptions};
use crate::face::{FacePipeline, ScoreMap};
use crate::types::{EncoderId, Labels, PartitionId, RecordError};

pub(super) fn run(verb: &Identify, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::reading_engine(settings)?;
    match &verb.embeddings {
        None => of_pictures::run(verb, settings, &engine),
        Some(path) => of_embeddings::run(verb, settings, &engine, path),
    }
}

/// What is known of the encoder of a gallery.
struct Known {
    threshold: f64,
    scores: ScoreMap,
}

impl Known {
    /// What the service would know: something of the encoder that it runs, nothing of others.
    fn of(
        encoder: &EncoderId,
        partition: &PartitionId,
        settings: &Settings,
    ) -> anyhow::Result<Option<Known>> {
        let profile = FacePipeline::profile_in(settings.embedder_profile.as_deref())?;
        let set = settings.service.verification.of(partition);
        Ok((profile.encoder() == encoder).then(|| Known {
            threshold: set.unwrap_or_else(|| profile.verification_threshold()),
            scores: profile.score_map(),
        }))
    }
}

/// Those who are looked for: all, or those with labels.
fn among(verb: &Identify, gallery: &Gallery) -> anyhow::Result<Gallery> {
    let labels = verb.label.iter().cloned();
    Ok(gallery.among(labels.collect::<Result<Labels, RecordError>>()?))
}

/// What is asked: with the threshold that was typed, else with the one that is known.
fn options(verb: &Identify, known: Option<&Known>) -> IdentifyOptions {
    let typed = verb.threshold.filter(|_| !verb.all);
    let known = known.map(|known| known.threshold).filter(|_| !verb.all);
    IdentifyOptions {
        limit: verb.limit,
        threshold: typed.or(known),
    }
}
