//! `GET /v1/problems`: what the codes of failures mean.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::answer;
use super::failures;
use super::problem::{Code, ProblemDetails};

/// All causes of failures.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Problems {
    /// One for each code.
    problems: Vec<ProblemDetails>,
}

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(routes!(problems), &[])
}

/// List all codes of failures
///
/// With the status and the meaning of each. Needs no key.
#[utoipa::path(
    get,
    path = "/problems",
    tag = "native",
    operation_id = "problems",
    responses((status = 200, description = "All codes", body = Problems)),
    security(())
)]
async fn problems() -> Response {
    let problems = Code::ALL.map(ProblemDetails::of).into();
    answer::json(StatusCode::OK, &Problems { problems })
}
