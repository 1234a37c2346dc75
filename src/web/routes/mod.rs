//! One file for each path of the API.

mod delete_class;
mod direct;
mod enroll;
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
