//! One file for each path of the API: its route, its description and what can go wrong with it.

mod attempt;
mod delete_class;
mod direct;
mod done;
mod enroll;
mod failures;
mod identify;
mod is_enrolled;
mod judging;
mod live_detection;
mod liveness;
mod liveness_detection;
mod photo_verify;
mod quality_check;
mod result;
mod status;
mod task;
mod token;
mod upload;
mod verify;

use utoipa::OpenApi;

use super::endpoint::Door;
use super::error;

/// What is true of all calls of the BWS API.
#[derive(OpenApi)]
#[openapi(
    components(schemas(error::Body)),
    tags((
        name = "bws",
        description = "The classic BWS Web API. Answers are JSON, or XML for a client that prefers it, with the \
                       same names in the same order. Names of parameters and booleans have no letter case, and \
                       unknown parameters are ignored"
    ))
)]
struct Description;

/// The BWS API, with calls in the order of its own page.
pub(super) fn door() -> Door {
    Door::new(Description::openapi())
        .with(token::endpoint())
        .with(upload::endpoint())
        .with(enroll::endpoint())
        .with(verify::endpoint())
        .with(identify::endpoint())
        .with(liveness_detection::endpoint())
        .with(result::endpoint())
        .with(is_enrolled::endpoint())
        .with(delete_class::endpoint())
        .with(status::endpoint())
        .with(quality_check::endpoint())
        .with(live_detection::endpoint())
        .with(live_detection::passive_endpoint())
        .with(live_detection::video_endpoint())
        .with(photo_verify::endpoint())
        .with(photo_verify::endpoint_2())
}
