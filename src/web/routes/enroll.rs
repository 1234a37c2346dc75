//! `GET /extension/enroll`: this is the person of the class.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::super::auth::Caller;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::render;
use super::super::state::AppState;
use super::task::{self, Failure};
use crate::access::{Claims, Task};
use crate::partition::NewTemplate;
use crate::samples::Sample;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EnrollResult {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

/// Makes the token's samples templates of its class.
pub(in super::super) async fn enroll(
    State(state): State<AppState>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Error> {
    caller.may(Task::Enroll)?;
    let live = parameters.boolean("livedetection")?.unwrap_or(false) || caller.0.live;
    let done = task::run(&state, caller.0, live, add_templates).await?;
    let result = EnrollResult {
        success: done.is_ok(),
        error: done.err(),
    };
    Ok(render::json(StatusCode::OK, &result))
}

fn add_templates(state: &AppState, claims: &Claims, samples: Vec<Sample>) -> Result<(), Error> {
    let templates: Vec<NewTemplate> = samples
        .into_iter()
        .map(|sample| NewTemplate {
            embedding: sample.embedding,
            quality: sample.quality,
        })
        .collect();
    let encoder = state.faces().profile().encoder();
    let now = state.clock().now();
    state
        .engine()
        .enroll(&claims.bcid, encoder, &templates, now)?;
    Ok(())
}
