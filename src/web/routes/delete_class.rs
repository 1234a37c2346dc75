//! `DELETE /extension/deleteclass`: forget a person.

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::routes;

use super::super::auth::Client;
use super::super::endpoint::Endpoint;
use super::super::erasing::Deleted;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::state::AppState;
use super::failures::{self, ErrorStatus};
use crate::audit::Event;

const FAILURES: &[ErrorStatus] = &[
    ErrorStatus::BadRequest,
    ErrorStatus::Unauthorized,
    ErrorStatus::Forbidden,
    ErrorStatus::Internal,
    ErrorStatus::Busy,
    ErrorStatus::NoRoom,
];

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(routes!(delete_class), FAILURES)
}

/// Removes all templates of a class. When it answers 200 the class is not enrolled, whether or not
/// it was before.
#[utoipa::path(
    delete,
    path = "/extension/deleteclass",
    tag = "bws",
    operation_id = "bws_deleteclass",
    summary = "Delete a class",
    params(
        ("bcid" = String, Query, description = "Storage, partition and class; partition and class are signed 32-bit numbers", example = "bws.112.4711"),
    ),
    responses(
        (status = 200, description = "It is not enrolled now, whether or not it was before"),
    ),
    security(("app" = []))
)]
async fn delete_class(
    State(state): State<AppState>,
    client: Client,
    parameters: Parameters,
) -> Result<StatusCode, Error> {
    let bcid = parameters.bcid()?;
    client.may_use(&bcid)?;
    let shared = state.clone();
    let partition = bcid.partition.clone();
    let work = move || -> Result<Deleted, Error> {
        let deleted = shared.delete(&bcid)?;
        let event = (&client.1, Event::Deleted);
        shared.changed(event, &bcid, Some(deleted.removed.templates), None)?;
        Ok(deleted)
    };
    let deleted = state.lanes().write(work).await?;
    if state.options().bws_delete_erases {
        let (erased, _) = state.overwrite(&partition, deleted.receipt).await?;
        if !erased {
            tracing::warn!(%partition, "somebody was deleted, and another process still reads what was stored");
        }
    }
    Ok(StatusCode::OK)
}
