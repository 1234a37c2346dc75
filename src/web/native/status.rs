//! `GET /v1/status`: what is this service, and what may the key do here?

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::state::AppState;
use super::answer;
use super::key::Key;
use super::samples::encoder_name;

/// The service and the calling key.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct StatusAnswer {
    /// The version of the program.
    version: &'static str,
    /// What makes embeddings of pictures here.
    encoder: String,
    /// How many values such an embedding has.
    dimension: usize,
    /// The similarity from which on two faces count as one person, unless the operator or a call says
    /// otherwise.
    threshold: f64,
    /// The key that was shown.
    key: KeyAnswer,
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct KeyAnswer {
    /// Its public name.
    id: String,
    /// What people call it.
    name: String,
    /// What it may be used for.
    scopes: Vec<&'static str>,
    /// What it may be used on: a storage, a partition, or `everything`.
    reach: String,
    /// When it expires, in milliseconds since 1970 in UTC; null if it does not.
    expires_unix_milliseconds: Option<i64>,
}

/// Describe the service and the key
///
/// Any valid key will do.
#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "native",
    operation_id = "status",
    responses((status = 200, description = "The service and the key", body = StatusAnswer)),
    security(("api_key" = []))
)]
pub(in super::super) async fn status(State(state): State<AppState>, Key(key): Key) -> Response {
    let profile = state.faces().profile();
    let answer = StatusAnswer {
        version: env!("CARGO_PKG_VERSION"),
        encoder: encoder_name(profile.encoder()),
        dimension: profile.encoder().dimension(),
        threshold: profile.verification_threshold(),
        key: KeyAnswer {
            id: key.id.to_string(),
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            reach: key.reach.to_string(),
            expires_unix_milliseconds: key.expires.map(|expires| expires.unix_milliseconds),
            name: key.name,
        },
    };
    answer::json(StatusCode::OK, &answer)
}
