//! `GET /livez` and `GET /readyz`: whether this process is to be restarted, and whether requests are
//! to be sent to it. For platforms and proxies, which have no key.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::readiness::Fault;
use super::state::AppState;

/// A mark on the answers to probes and others who watch, which come every few seconds and say nothing
/// new.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probed;

#[derive(Serialize)]
struct Answer<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    reasons: &'a [Fault],
}

pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
}

async fn live() -> Response {
    let answer = Answer {
        status: "alive",
        reasons: &[],
    };
    json(StatusCode::OK, &answer)
}

async fn ready(State(state): State<AppState>) -> Response {
    let faults = state.readiness().faults().await;
    let (code, status) = match faults.is_empty() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    let answer = Answer {
        status,
        reasons: &faults,
    };
    json(code, &answer)
}

fn json(status: StatusCode, answer: &Answer<'_>) -> Response {
    let text = serde_json::to_string(answer).expect("texts become JSON");
    let kind = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (status, kind, text).into_response();
    response.extensions_mut().insert(Probed);
    response
}
