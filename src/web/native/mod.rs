//! The native API, under `/v1`: whole calls over JSON, for programs that hold an API key.
//!
//! A call proves itself with a key (`key`), names its partition and class in the path (`path`), brings
//! samples as pictures or ready embeddings (`samples`, read from JSON or from a form by `body`, no more
//! of them than `listed` keeps), says what is known of a person (`record`), and is answered by the same methods of the engine as the BWS door
//! uses. Nothing that a call says is passed over: not in its query (`query`), nor in its body. Failures are problem details
//! (`problem`, RFC 9457), one stable code for each cause. `docs/native-api.md` is the description for
//! those who call it.

mod answer;
mod body;
mod class;
mod classes;
mod compare;
mod decisions;
mod detect;
mod embed;
mod enroll;
mod faces;
mod failures;
mod given_box;
mod identify;
mod identify_faces;
mod identify_many;
mod json;
mod judging;
mod key;
mod listed;
mod merge;
mod metrics;
mod page;
mod partitions;
mod path;
mod portrait;
pub(super) mod problem;
mod problems;
mod query;
mod receipts;
mod record;
mod resemblance;
mod samples;
mod snapshots;
mod status;
mod verify;

use axum::response::IntoResponse;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;

use self::problem::{Code, Problem, ProblemDetails};
use super::endpoint::Door;

/// What is true of all calls of the native API.
#[derive(OpenApi)]
#[openapi(
    components(schemas(ProblemDetails)),
    tags((
        name = "native",
        description = "Whole calls over JSON, for programs that hold an API key"
    ))
)]
struct Description;

/// What all its paths begin with.
pub(super) const PREFIX: &str = "/v1";

/// Whether a path is meant for this API, so that it answers even where there is nothing.
pub(super) fn is_meant_by(path: &str) -> bool {
    let Some((prefix, rest)) = path.split_at_checked(PREFIX.len()) else {
        return false;
    };
    prefix.eq_ignore_ascii_case(PREFIX) && (rest.is_empty() || rest.starts_with('/'))
}

/// There is nothing at a path that is meant for this API.
pub(super) fn not_found(path: &str) -> Problem {
    let detail = if path.starts_with(PREFIX) {
        "there is nothing at this path; `/openapi.json` lists all that there are"
    } else {
        "there is nothing at this path: those of this API begin with `/v1/`, in lower case"
    };
    Problem::new(Code::NotFound, detail)
}

/// The native API, to be nested under [`PREFIX`].
pub(super) fn door() -> Door {
    Door::new(Description::openapi())
        .guarded(query::strict)
        .with(status::endpoint())
        .with(problems::endpoint())
        .with(metrics::endpoint())
        .with(partitions::list_endpoint())
        .with(partitions::one_endpoint())
        .with(partitions::delete_endpoint())
        .with(identify::endpoint())
        .with(identify_faces::endpoint())
        .with(identify_many::endpoint())
        .with(classes::endpoint())
        .with(class::get_endpoint())
        .with(class::put_endpoint())
        .with(class::patch_endpoint())
        .with(class::delete_endpoint())
        .with(portrait::endpoint())
        .with(merge::merge_endpoint())
        .with(merge::move_endpoint())
        .with(merge::templates_endpoint())
        .with(enroll::new_endpoint())
        .with(enroll::endpoint())
        .with(verify::endpoint())
        .with(detect::endpoint())
        .with(compare::endpoint())
        .with(embed::endpoint())
        .with(decisions::list_endpoint())
        .with(decisions::get_endpoint())
        .with(decisions::confirm_endpoint())
        .with(receipts::list_endpoint())
        .with(receipts::one_endpoint())
        .with(snapshots::list_endpoint())
        .with(snapshots::create_endpoint())
        .around(|router| {
            router
                .fallback(async || not_found(PREFIX))
                .method_not_allowed_fallback(async || {
                    let detail = "this path does not have that method";
                    Problem::new(Code::MethodNotAllowed, detail)
                })
                .layer(CatchPanicLayer::custom(|_payload| {
                    Problem::panicked().into_response()
                }))
        })
}
