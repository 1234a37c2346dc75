//! `GET /extension/result`: what came of a token, for the app that issued it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::auth::Reader;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::render;
use super::super::state::AppState;
use super::failures::{self, ErrorStatus};
use super::task;
use crate::access::{TaskMatch, TaskResult};

/// What came of the last task of a token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct OperationResult {
    success: bool,
    /// Why not. Absent if a person was just not recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// `enrollment`, `verification`, `identification` or `livenessdetection`.
    action: &'static str,
    /// The class of the token, with slashes.
    #[serde(rename = "BCID")]
    bcid: String,
    /// The people that an identification listed, best first.
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Vec<Match>>,
}

/// One person, by BCID, unlike in the answer of the identification itself.
#[derive(Serialize, ToSchema)]
#[schema(as = ResultMatch)]
pub(in super::super) struct Match {
    #[serde(rename = "BCID")]
    bcid: String,
    #[serde(rename = "Score")]
    score: f64,
}

const FAILURES: &[ErrorStatus] = &[
    ErrorStatus::BadRequest,
    ErrorStatus::Unauthorized,
    ErrorStatus::Forbidden,
    ErrorStatus::Internal,
];

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(routes!(result), FAILURES)
}

/// The outcome of the last task of the token, or 204 if there was none.
#[utoipa::path(
    get,
    path = "/extension/result",
    tag = "bws",
    operation_id = "bws_result",
    summary = "Read what came of a token",
    params(
        ("access_token" = Option<String>, Query, description = "The token; required with Basic credentials"),
    ),
    responses(
        (status = 200, description = "What came of the last task call", body = OperationResult),
        (status = 204, description = "No task call was carried out"),
    ),
    security(("app" = []), ("bws_token" = []))
)]
async fn result(State(state): State<AppState>, Reader(token): Reader) -> Result<Response, Error> {
    let now = state.clock().now();
    let last = state.results().last(token, now);
    let last = last.map_err(|error| Error::internal("to read the result of a task", &error))?;
    Ok(match last {
        Some(outcome) => render::answer(StatusCode::OK, OperationResult::from(outcome)),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

impl From<TaskResult> for OperationResult {
    fn from(outcome: TaskResult) -> OperationResult {
        let listed = outcome.success && outcome.task == crate::access::Task::Identify;
        let matches = outcome.matches.into_iter().map(Match::from).collect();
        OperationResult {
            success: outcome.success,
            error: outcome.error,
            action: task::action(outcome.task),
            bcid: outcome.bcid.with_slashes(),
            matches: listed.then_some(matches),
        }
    }
}

impl From<TaskMatch> for Match {
    fn from(candidate: TaskMatch) -> Match {
        Match {
            bcid: candidate.bcid.with_slashes(),
            score: candidate.score,
        }
    }
}
