//! What the task calls of a token have in common.

use axum::http::StatusCode;
use serde::Serialize;

use super::super::error::Error;
use super::super::state::AppState;
use crate::access::Claims;
use crate::samples::Sample;

/// Why a task could not be carried out although the call was right. Answered with status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Failure {
    /// Nobody is enrolled.
    NoTemplateAvailable,
    /// The server is too busy.
    ExecutionOfJobTimedOut,
}

/// Takes the token's samples, counts the attempt, and does `work` with the samples.
///
/// The samples are gone afterwards, whatever comes of it, even if the server was too busy to look
/// at them. The attempt is counted unless there were no samples or no time.
pub(super) async fn run<T: Send + 'static>(
    state: &AppState,
    claims: Claims,
    live: bool,
    work: impl FnOnce(&AppState, &Claims, Vec<Sample>) -> Result<T, Error> + Send + 'static,
) -> Result<Result<T, Failure>, Error> {
    let token = claims.id;
    let shared = state.clone();
    let job = state.jobs().run(move || {
        let samples = begin(&shared, &claims, live)?;
        work(&shared, &claims, samples)
    });
    if let Ok(done) = job.await {
        return done.map(Ok);
    }
    state.samples().take(token, state.clock().now());
    Ok(Err(Failure::ExecutionOfJobTimedOut))
}

fn begin(state: &AppState, claims: &Claims, live: bool) -> Result<Vec<Sample>, Error> {
    let now = state.clock().now();
    let samples = state.samples().take(claims.id, now);
    if samples.is_empty() {
        // Not counted, but a token that is used up says so rather than asking for samples.
        state.attempts().check(claims)?;
        return Err(Error::bad_request(
            "no samples have been uploaded with this token",
        ));
    }
    state.attempts().take(claims, now)?;
    if live {
        return Err(Error::new(
            StatusCode::NOT_IMPLEMENTED,
            "liveness detection is not available in this version; use a token that was asked for \
             with `livedetection=false`, and do not ask for it in the call",
        ));
    }
    Ok(samples)
}
