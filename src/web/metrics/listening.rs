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

const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers `GET /metrics` on `listener` for ever, with numbers of the service that `state` is of.
/// `dropped_lines` tells how many lines of the log were dropped.
pub async fn serve(listener: TcpListener, state: AppState, dropped_lines: fn() -> u64) {
    let options = ConnectionOptions {
        count_max: Some(CONNECTIONS_MAX),
        per_address_max: Some(CONNECTIONS_MAX),
        idle_wait: IDLE_WAIT,
        ..ConnectionOptions::default()
    };
    let router = router(state, dropped_lines);
    connections::serve(listener, router, &options, Arc::default(), pending()).await;
}

fn router(state: AppState, dropped_lines: fn() -> u64) -> Router {
    Router::new()
        .route("/metrics", get(page))
        .with_state((state, dropped_lines))
}

async fn page(State((state, dropped_lines)): State<(AppState, fn() -> u64)>) -> Response {
    let readings = Readings::take(&state, dropped_lines()).await;
    let kind = [(header::CONTENT_TYPE, KIND)];
    (StatusCode::OK, kind, table::page(&readings)).into_response()
}
