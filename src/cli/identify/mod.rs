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
use crate::engine::{Engine, Gallery, IdentifyOptions};
use crate::face::{FacePipeline, ScoreMap};
use crate::intake::{Bar, Judge};
use crate::rates::KnownEncoder;
use crate::types::{Labels, RecordError};

pub(super) fn run(verb: &Identify, settings: &Settings) -> anyhow::Result<Exit> {
    let engine = open::reading_engine(settings)?;
    match &verb.embeddings {
        None => of_pictures::run(verb, settings, &engine),
        Some(path) => of_embeddings::run(verb, settings, &engine, path),
    }
}

/// What is known of a gallery and its encoder.
struct Known {
    judge: Judge,
    /// How similarities become scores; nothing of encoders that are not the own.
    scores: Option<ScoreMap>,
}

impl Known {
    /// What the service would know, and decide by.
    fn of(
        engine: &Engine,
        gallery: &Gallery,
        settings: &Settings,
        bar: Bar,
    ) -> anyhow::Result<Known> {
        let profile = FacePipeline::profile_in(settings.embedder_profile.as_deref())?;
        let is_own = profile.encoder() == gallery.encoder();
        let own = match is_own {
            true => Some(profile.verification_threshold()),
            false => engine
                .known_encoder(gallery.encoder())
                .map(KnownEncoder::verification_threshold),
        };
        let policy = settings.service.policy();
        let usual = policy.usual(gallery.id(), own, is_own);
        Ok(Known {
            judge: Judge::of(engine, gallery, bar, &usual)?,
            scores: is_own.then(|| profile.score_map()),
        })
    }
}

/// Those who are looked for: all, or those with labels.
fn among(verb: &Identify, gallery: &Gallery) -> anyhow::Result<Gallery> {
    let labels = verb.label.iter().cloned();
    Ok(gallery.among(labels.collect::<Result<Labels, RecordError>>()?))
}

/// Who is left out: whoever is less alike than was typed, else as it is known.
fn bar(verb: &Identify) -> Bar {
    verb.threshold.map_or(Bar::Usual, Bar::Similarity)
}

/// What is asked. Two are looked for at least, since how sure the first is hangs on the second.
fn options(verb: &Identify, known: &Known) -> IdentifyOptions {
    IdentifyOptions {
        limit: verb.limit.max(2),
        threshold: known.judge.threshold().filter(|_| !verb.all),
    }
}
