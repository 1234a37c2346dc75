//! `GET /extension/isenrolled`: is there a template?

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::routes;

use super::super::auth::Client;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::state::AppState;
use super::failures::{self, ErrorStatus};
use crate::access::Trait;

const FAILURES: &[ErrorStatus] = &[
    ErrorStatus::BadRequest,
    ErrorStatus::Unauthorized,
    ErrorStatus::Forbidden,
    ErrorStatus::NoTemplate,
    ErrorStatus::Internal,
    ErrorStatus::Busy,
];

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(routes!(is_enrolled), FAILURES)
}

/// 200 without a body if the class has a template of all the traits asked for, 404 if not.
#[utoipa::path(
    get,
    path = "/extension/isenrolled",
    tag = "bws",
    operation_id = "bws_isenrolled",
    summary = "Ask whether a class has a template",
    params(
        ("bcid" = String, Query, description = "Storage, partition and class; partition and class are signed 32-bit numbers", example = "bws.112.4711"),
        ("trait" = Option<String>, Query, description = "List of `face`, `periocular` and `voice`; `face` unless given"),
    ),
    responses(
        (status = 200, description = "It has"),
    ),
    security(("app" = []))
)]
async fn is_enrolled(
    State(state): State<AppState>,
    client: Client,
    parameters: Parameters,
) -> Result<StatusCode, Error> {
    let bcid = parameters.bcid()?;
    let traits = parameters.traits("trait")?;
    client.may_use(&bcid)?;
    let engine = state.engine().clone();
    let class = bcid.clone();
    let work = move || match engine.enrolled(&class.partition)? {
        Some(gallery) => gallery.is_enrolled(class.class),
        None => Ok(false),
    };
    let enrolled = state.lanes().small(work).await?;
    // Nobody has a template of a voice here.
    if enrolled && !traits.contains(Trait::Voice) {
        return Ok(StatusCode::OK);
    }
    let message = format!("the class `{bcid}` has no such template");
    Err(Error::new(StatusCode::NOT_FOUND, message))
}
