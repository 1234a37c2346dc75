//! `POST /page/sign-in`: the key for a ticket.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::super::auth::credentials;
use super::super::error::Error;
use super::super::logins::Shown;
use super::super::render;
use super::super::state::AppState;

#[derive(Serialize)]
struct SignedIn {
    key: String,
}

/// Answers with the key, once. A wrong ticket is counted as a wrong key.
pub(super) async fn sign_in(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, Error> {
    let ticket = credentials(request.headers(), &["Bearer"]);
    let ticket = ticket.and_then(|ticket| str::from_utf8(ticket).ok());
    let ticket = ticket.unwrap_or_default();
    let tried = state
        .gate()
        .admit(request.extensions(), Shown::Key(ticket))
        .await?;
    match state.tickets().take(ticket, state.clock().now()) {
        Some(key) => {
            tried.succeeded();
            let key = key.expose().to_owned();
            Ok(render::answer(StatusCode::OK, SignedIn { key }))
        }
        None => {
            tried.failed().await?;
            Err(Error::token_needed(
                "the ticket is wrong, was used already, or its ten minutes are over",
            ))
        }
    }
}
