//! `POST /v1/partitions/{partition}/classes/{class}/enroll`: this is the person of the class.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::super::render;
use super::super::state::AppState;
use super::body::{self, CallBody};
use super::key::Key;
use super::path::ClassPath;
use super::problem::Problem;
use super::samples::{GivenPicture, GivenSamples, SampleReport, Samples};
use crate::access::Scope;
use crate::partition::NewTemplate;
use crate::types::Bcid;

/// Samples of one person, to be recognised by later.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EnrollRequest {
    /// Pictures of the person, in base64, bare or as data-URLs.
    #[serde(default)]
    pictures: Vec<GivenPicture>,
    /// Ready embeddings of the person.
    #[serde(default)]
    embeddings: Vec<Vec<f32>>,
    /// What made the embeddings, `name` or `name@version`; needed with embeddings.
    encoder: Option<String>,
    /// Replace all templates of the class, instead of adding to them.
    #[serde(default)]
    replace: bool,
}

/// What an enrolment did. It is on disk, and the next search finds it.
#[derive(Serialize)]
pub(in super::super) struct EnrollAnswer {
    /// The class.
    class: String,
    /// How many templates were added.
    added: usize,
    /// How many older templates of the class gave way.
    removed: usize,
    /// How many templates the class has now.
    templates: usize,
    /// What made the embeddings.
    encoder: String,
    /// One for each sample.
    samples: Vec<SampleReport>,
}

impl CallBody for EnrollRequest {
    /// Whether to replace.
    type Options = bool;

    fn split(self) -> (GivenSamples, bool) {
        let samples = GivenSamples {
            pictures: self.pictures,
            embeddings: self.embeddings,
            encoder: self.encoder,
        };
        (samples, self.replace)
    }
}

/// Makes the samples templates of the class: all of them, or none if one is of no use.
pub(in super::super) async fn enroll(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
    request: Request,
) -> Result<Response, Problem> {
    key.may_use(Scope::Enroll, &bcid.partition)?;
    let (given, replace) = body::read::<EnrollRequest>(&state, request).await?;
    given.check_count(&state)?;
    let shared = state.clone();
    let work = move || add(&shared, &bcid, &given.prepare(&shared)?, replace);
    let answer = state.jobs().run(work).await??;
    Ok(render::json(StatusCode::OK, &answer))
}

fn add(
    state: &AppState,
    bcid: &Bcid,
    samples: &Samples,
    replace: bool,
) -> Result<EnrollAnswer, Problem> {
    let template = |sample: &super::samples::Sample| NewTemplate {
        embedding: sample.embedding.clone(),
        quality: sample.quality,
    };
    let templates: Vec<NewTemplate> = samples.samples.iter().map(template).collect();
    let (engine, now) = (state.engine(), state.clock().now());
    let enrolled = if replace {
        engine.replace(bcid, &samples.encoder, &templates, now)?
    } else {
        engine.enroll(bcid, &samples.encoder, &templates, now)?
    };
    Ok(EnrollAnswer {
        class: bcid.class.to_string(),
        added: enrolled.added,
        removed: enrolled.removed,
        templates: enrolled.templates,
        encoder: samples.encoder_name(),
        samples: samples.reports(),
    })
}
