//! `GET /extension/enroll`: this is the person of the class.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::auth::Caller;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::render;
use super::super::state::AppState;
use super::done::{Done, Failure};
use super::task;
use crate::access::{Claims, Task};
use crate::audit::Actor;
use crate::budgets::Told;
use crate::intake::{JudgeError, OnDuplicate};
use crate::partition::NewTemplate;
use crate::samples::UploadedSample;
use crate::types::Embedding;

/// Whether the person is enrolled now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct EnrollResult {
    success: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

pub(super) fn endpoint() -> Endpoint {
    task::endpoint(routes!(enroll))
}

/// Makes the token's samples templates of its class.
#[utoipa::path(
    get,
    path = "/extension/enroll",
    tag = "bws",
    operation_id = "bws_enroll",
    summary = "Enrol with the samples of a token",
    params(
        ("livedetection" = Option<bool>, Query, description = "Demand liveness even if the token does not; `false` has no effect"),
    ),
    responses(
        (status = 200, description = "What became of the task", body = EnrollResult),
    ),
    security(("bws_token" = []))
)]
async fn enroll(
    State(state): State<AppState>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Error> {
    caller.may(Task::Enroll)?;
    let live = task::live(&caller, &parameters)?;
    let done = task::run_here(&state, caller, live, add_templates).await?;
    let result = EnrollResult {
        success: done.success,
        error: done.error,
    };
    Ok(render::answer(StatusCode::OK, result))
}

fn add_templates(
    state: &AppState,
    (claims, actor): (&Claims, &Actor),
    samples: Vec<UploadedSample>,
) -> Result<Done, Error> {
    let quality_min = state.intake().policy().enroll_quality_min;
    let mut templates = task::templates(samples);
    templates.retain(|template| template.quality >= quality_min);
    if templates.is_empty() {
        return Ok(Done::failed(Failure::LiveDetectionFailed));
    }
    if is_refused(state, (claims, actor), &templates)? {
        return Ok(Done::failed(Failure::LiveDetectionFailed));
    }
    let encoder = state.intake().encoder();
    let now = state.clock().now();
    let added = state
        .engine()
        .enroll(&claims.bcid, encoder, &templates, now)?
        .added;
    let faces: Vec<&Embedding> = templates.iter().map(|it| &it.embedding).collect();
    state.enrolled(actor, &claims.bcid, (encoder, &faces), added)?;
    Ok(Done::succeeded())
}

/// Whether the person seems to be enrolled under another class, and is not to be. The API has no word for
/// it: the log says who it is.
fn is_refused(
    state: &AppState,
    (claims, actor): (&Claims, &Actor),
    templates: &[NewTemplate],
) -> Result<bool, Error> {
    let (intake, engine, bcid) = (state.intake(), state.engine(), &claims.bcid);
    let Some(gallery) = engine.gallery(&bcid.partition, intake.encoder())? else {
        return Ok(false);
    };
    let embeddings: Vec<&Embedding> = templates.iter().map(|it| &it.embedding).collect();
    let is_told = intake.policy().duplicates.action == OnDuplicate::Refuse;
    if is_told {
        state.ask_who(actor, &bcid.partition, 0)?;
    }
    let whom = (Some(bcid.class), None);
    let found = intake.duplicate(engine, &gallery, whom, &embeddings);
    let found = found.map_err(|error| match error {
        JudgeError::Engine(error) => error.into(),
        error => Error::bad_request(error.to_string()),
    })?;
    let Some(found) = found else {
        return Ok(false);
    };
    if is_told {
        let told = [Told {
            class: found.class,
            similarity: Some(found.similarity),
        }];
        state.tell(actor, &bcid.partition, (&told, 0));
        let place = (&bcid.partition, Some(bcid.class));
        let from = (gallery.encoder(), &embeddings[..]);
        state.not_enrolled(actor, place, from, found.class)?;
    }
    tracing::warn!(
        partition = %bcid.partition,
        class = %bcid.class,
        other = %found.class,
        similarity = found.similarity,
        is_refused = is_told,
        "somebody seems to be enrolled under another class"
    );
    Ok(is_told)
}
