//! One file for each path of the API.

mod delete_class;
mod direct;
mod enroll;
mod failures;
mod identify;
mod is_enrolled;
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

use self::failures::Failures;
use super::error;

/// What this API says of itself. [`Failures`] adds what can go wrong.
#[derive(OpenApi)]
#[openapi(
    paths(
        token::token,
        upload::upload,
        enroll::enroll,
        verify::verify,
        identify::identify,
        liveness_detection::liveness_detection,
        result::result,
        is_enrolled::is_enrolled,
        delete_class::delete_class,
        status::status,
        quality_check::quality_check,
        live_detection::live_detection,
        live_detection::passive_live_detection,
        live_detection::video_live_detection,
        photo_verify::photo_verify,
        photo_verify::photo_verify_2,
    ),
    components(schemas(error::Body)),
    modifiers(&Failures),
    tags((
        name = "bws",
        description = "The classic BWS Web API. Answers are JSON, or XML for a client that prefers it, with the \
                       same names in the same order. Names of parameters and booleans have no letter case, and \
                       unknown parameters are ignored"
    ))
)]
pub(super) struct Description;

pub(super) use delete_class::delete_class;
pub(super) use enroll::enroll;
pub(super) use identify::identify;
pub(super) use is_enrolled::is_enrolled;
pub(super) use live_detection::{live_detection, passive_live_detection, video_live_detection};
pub(super) use liveness_detection::liveness_detection;
pub(super) use photo_verify::{photo_verify, photo_verify_2};
pub(super) use quality_check::quality_check;
pub(super) use result::result;
pub(super) use status::status;
pub(super) use token::token;
pub(super) use upload::upload;
pub(super) use verify::verify;
