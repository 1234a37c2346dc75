//! The page for people, at `/`: who is in a picture, who is enrolled, what two people must confirm, and
//! how the service is.
//!
//! It is plain HTML, CSS and modules of JavaScript, part of the program, and asks nobody but the service
//! that it came from, over `/v1` and with the key that somebody typed. So it can do what any other
//! holder of that key can, and nothing here knows who is enrolled. `ticket` lets whoever started the
//! service in without typing.
//!
//! Programs that ask `/` for JSON get the addresses of what there is.

mod files;
mod sign_in;
mod ticket;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;

use self::files::INDEX;
use super::probes::Probed;
use super::render::Accept;
use super::state::AppState;

pub use self::ticket::Ticket;
pub(super) use self::ticket::Tickets;

/// What there is at a service, for a program that begins at its root.
#[derive(Serialize)]
struct Addresses {
    name: &'static str,
    version: &'static str,
    /// Another text as soon as the page is another.
    page: &'static str,
    native: &'static str,
    bws: &'static str,
    description: &'static str,
    documentation: &'static str,
    alive: &'static str,
    ready: &'static str,
}

/// The page, its files, and the addresses.
pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route("/", get(root))
        .route("/page/{file}", get(named))
        .route("/page/sign-in", post(sign_in::sign_in))
}

async fn root(headers: HeaderMap) -> Response {
    let mut response = match Accept::of(&headers).prefers_html() {
        true => files::answer(&INDEX, &headers),
        false => addresses(),
    };
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().append(header::VARY, vary);
    response
}

async fn named(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match files::named(&name) {
        Some(file) => files::answer(file, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// JSON, whatever a program would rather have.
fn addresses() -> Response {
    let addresses = Addresses {
        name: "Vultus",
        version: env!("CARGO_PKG_VERSION"),
        page: files::fingerprint(),
        native: "/v1",
        bws: "/extension",
        description: "/openapi.json",
        documentation: "/docs",
        alive: "/livez",
        ready: "/readyz",
    };
    let text = serde_json::to_string(&addresses).expect("texts become JSON");
    let kind = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (StatusCode::OK, kind, text).into_response();
    // Open pages ask again and again whether it is still their service.
    response.extensions_mut().insert(Probed);
    response
}
