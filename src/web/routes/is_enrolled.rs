//! `GET /extension/isenrolled`: is there a template?

use axum::extract::State;
use axum::http::StatusCode;

use super::super::auth::Client;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::state::AppState;
use crate::access::Trait;

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
pub(in super::super) async fn is_enrolled(
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
    let enrolled = state.jobs().run(work).await??;
    // Nobody has a template of a voice here.
    if enrolled && !traits.contains(Trait::Voice) {
        return Ok(StatusCode::OK);
    }
    let message = format!("the class `{bcid}` has no such template");
    Err(Error::new(StatusCode::NOT_FOUND, message))
}
