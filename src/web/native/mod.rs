//! The native API, under `/v1`: whole calls over JSON, for programs that hold an API key.
//!
//! A call proves itself with a key (`key`), names its partition and class in the path (`path`), brings
//! samples as pictures or ready embeddings (`samples`, read from JSON or from a form by `body`, no more of them than `listed` keeps), and is
//! answered by the same methods of the engine as the BWS door uses. Failures are problem details
//! (`problem`, RFC 9457), one stable code for each cause. `docs/native-api.md` is the description for
//! those who call it.

mod answer;
mod body;
mod class;
mod classes;
mod enroll;
mod failures;
mod identify;
mod key;
mod listed;
mod page;
mod partitions;
mod path;
pub(super) mod problem;
mod problems;
mod samples;
mod snapshots;
mod status;
mod verify;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;

use self::failures::Failures;
use self::problem::{Code, Problem, ProblemDetails};
use super::state::AppState;

/// What the native API says of itself. [`Failures`] adds what can go wrong.
#[derive(OpenApi)]
#[openapi(
    paths(
        status::status,
        problems::problems,
        partitions::list,
        partitions::one,
        identify::identify,
        classes::list,
        class::get,
        class::delete,
        enroll::enroll,
        verify::verify,
        snapshots::list,
        snapshots::create,
    ),
    components(schemas(ProblemDetails)),
    modifiers(&Failures),
    tags((
        name = "native",
        description = "Whole calls over JSON, for programs that hold an API key"
    ))
)]
pub(super) struct Description;

/// All routes of the native API, to be nested under `/v1`.
pub(super) fn router() -> Router<AppState> {
    Router::new()
        .route("/status", get(status::status))
        .route("/problems", get(problems::problems))
        .route("/partitions", get(partitions::list))
        .route("/partitions/{partition}", get(partitions::one))
        .route("/partitions/{partition}/identify", post(identify::identify))
        .route("/partitions/{partition}/classes", get(classes::list))
        .route(
            "/partitions/{partition}/classes/{class}",
            get(class::get).delete(class::delete),
        )
        .route(
            "/partitions/{partition}/classes/{class}/enroll",
            post(enroll::enroll),
        )
        .route(
            "/partitions/{partition}/classes/{class}/verify",
            post(verify::verify),
        )
        .route("/snapshots", get(snapshots::list).post(snapshots::create))
        .fallback(async || Problem::new(Code::NotFound, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                Code::MethodNotAllowed,
                "this path does not have that method",
            )
        })
        .layer(CatchPanicLayer::custom(|_payload| {
            Problem::panicked().into_response()
        }))
}
