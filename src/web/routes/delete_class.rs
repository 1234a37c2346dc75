//! `DELETE /extension/deleteclass`: forget a person.

use axum::extract::State;
use axum::http::StatusCode;

use super::super::auth::Client;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::state::AppState;

/// Removes all templates of a class. When it answers 200 the class is not enrolled, whether or not
/// it was before.
pub(in super::super) async fn delete_class(
    State(state): State<AppState>,
    client: Client,
    parameters: Parameters,
) -> Result<StatusCode, Error> {
    let bcid = parameters.bcid()?;
    client.may_use(&bcid)?;
    let engine = state.engine().clone();
    state
        .jobs()
        .run(move || engine.delete_class(&bcid))
        .await??;
    Ok(StatusCode::OK)
}
