//! `GET /extension/livenessdetection`: do the token's samples show a live person?

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::auth::Caller;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::render;
use super::super::state::AppState;
use super::done::{Done, Failure};
use super::task;
use crate::access::Task;

/// Whether the samples show a live person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct LivenessDetectionResult {
    success: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

pub(super) fn endpoint() -> Endpoint {
    task::endpoint(routes!(liveness_detection))
}

/// Decides whether the token's samples show a live person.
#[utoipa::path(
    get,
    path = "/extension/livenessdetection",
    tag = "bws",
    operation_id = "bws_livenessdetection",
    summary = "Decide whether the samples of a token are live",
    responses(
        (status = 200, description = "What became of the task", body = LivenessDetectionResult),
    ),
    security(("bws_token" = []))
)]
async fn liveness_detection(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Response, Error> {
    caller.may(Task::LivenessDetection)?;
    // What is asked has been answered before the work begins.
    let done = task::run(&state, caller, true, async |_| Ok(Done::succeeded())).await?;
    let result = LivenessDetectionResult {
        success: done.success,
        error: done.error,
    };
    Ok(render::answer(StatusCode::OK, result))
}
