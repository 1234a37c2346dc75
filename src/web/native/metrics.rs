//! `GET /v1/metrics`: what has the service done, and how is it?

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::metrics;
use super::super::probes::Probed;
use super::super::state::AppState;
use super::failures;
use super::key::Key;
use super::problem::{Code, Problem};
use crate::access::{Reach, Scope};

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(
        routes!(read),
        &[Key::FAILURES, Key::MAY_USE_FAILURES, failures::OURS],
    )
}

/// Read the metrics
///
/// The same text as at the address of metrics, in the format of Prometheus, for whoever has a key instead
/// of that address. Needs the scope `read` and a key for everything, since it says who calls how often.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "native",
    operation_id = "metrics",
    responses((status = 200, description = "All numbers", body = String, content_type = "text/plain")),
    security(("api_key" = []))
)]
async fn read(State(state): State<AppState>, key: Key) -> Result<Response, Problem> {
    key.may(Scope::Read)?;
    if key.0.reach != Reach::Everything {
        let detail = "the numbers are of all galleries: they need a key for everything";
        return Err(Problem::new(Code::PartitionNotAllowed, detail));
    }
    let kind = [(header::CONTENT_TYPE, metrics::KIND)];
    let mut response = (StatusCode::OK, kind, metrics::page(&state).await).into_response();
    response.extensions_mut().insert(Probed);
    Ok(response)
}
