//! The page on an address of its own.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::super::connections::{self, ConnectionOptions};
use super::super::state::AppState;
use super::readings::Readings;
use super::table;

/// More than a few scrapers need; those of the service are counted apart.
const CONNECTIONS_MAX: usize = 64;
/// Scrapers come every 15 or 60 seconds, and may keep their connection.
const IDLE_WAIT: Duration = Duration::from_secs(90);

/// What the page says it is.
pub(in super::super) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers `GET /metrics` on `listener` for ever, with numbers of the service that `state` is of.
pub async fn serve(listener: TcpListener, state: AppState) {
    let options = ConnectionOptions {
        count_max: Some(CONNECTIONS_MAX),
        per_address_max: Some(CONNECTIONS_MAX),
        idle_wait: IDLE_WAIT,
        ..ConnectionOptions::default()
    };
    let router = router(state);
    connections::serve(listener, router, &options, Arc::default(), pending()).await;
}

fn router(state: AppState) -> Router {
    Router::new().route("/metrics", get(page)).with_state(state)
}

async fn page(State(state): State<AppState>) -> Response {
    let kind = [(header::CONTENT_TYPE, KIND)];
    (StatusCode::OK, kind, text(&state).await).into_response()
}

/// The whole page, as it is now.
pub(in super::super) async fn text(state: &AppState) -> String {
    table::page(&Readings::take(state).await)
}
