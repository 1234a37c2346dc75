//! One file for each path of the API.

mod delete_class;
mod enroll;
mod identify;
mod is_enrolled;
mod status;
mod task;
mod token;
mod upload;

pub(super) use delete_class::delete_class;
pub(super) use enroll::enroll;
pub(super) use identify::identify;
pub(super) use is_enrolled::is_enrolled;
pub(super) use status::status;
pub(super) use token::token;
pub(super) use upload::upload;
