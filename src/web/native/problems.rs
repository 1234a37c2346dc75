//! `GET /v1/problems`: what the codes of failures mean.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::super::render;
use super::problem::{Code, ProblemDetails};

/// All causes of failures.
#[derive(Serialize)]
pub(in super::super) struct Problems {
    /// One for each code.
    problems: Vec<ProblemDetails>,
}

/// Lists all codes of failures with their status and meaning. Needs no key.
pub(in super::super) async fn problems() -> Response {
    let problems = Code::ALL.map(ProblemDetails::of).into();
    render::json(StatusCode::OK, &Problems { problems })
}
