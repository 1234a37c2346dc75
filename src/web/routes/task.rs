//! What the task calls of a token have in common.

use tokio::task::spawn_blocking;

use super::super::auth::Caller;
use super::super::endpoint::{Endpoint, Routed};
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::state::AppState;
use super::attempt::{self, Try};
use super::done::{Done, Failure};
use super::failures::{self, ErrorStatus};
use super::liveness;
use crate::access::{Claims, Task};
use crate::partition::NewTemplate;
use crate::samples::UploadedSample;
use crate::types::Embedding;

/// What can go wrong with each of them.
const FAILURES: &[ErrorStatus] = &[
    ErrorStatus::BadRequest,
    ErrorStatus::Unauthorized,
    ErrorStatus::Forbidden,
    ErrorStatus::Internal,
    ErrorStatus::Busy,
];

/// A task call. A HEAD request must not use up a try, as it would if GET answered it.
pub(super) fn endpoint(routed: Routed) -> Endpoint {
    let endpoint = failures::endpoint(routed, FAILURES);
    endpoint.map(|methods| methods.head(async || Error::only_get()))
}

/// Whether liveness is demanded: by the token, or by the call, which can demand it but not waive
/// it.
pub(super) fn live(caller: &Caller, parameters: &Parameters) -> Result<bool, Error> {
    let asked = parameters.boolean("livedetection")?;
    Ok(caller.0.live || asked.unwrap_or(false))
}

/// Takes the token's samples, counts the attempt, does `work` with the samples, and keeps what came
/// of it as the result of the token.
///
/// The samples are gone afterwards, whatever comes of it, even if the server was too busy to look
/// at them. The attempt is counted unless there were no samples or no time.
pub(super) async fn run(
    state: &AppState,
    claims: Claims,
    live: bool,
    work: impl FnOnce(&AppState, &Claims, Vec<UploadedSample>) -> Result<Done, Error> + Send + 'static,
) -> Result<Done, Error> {
    let (shared, late) = (state.clone(), claims.clone());
    let job = state.jobs().run(move || {
        let (begun, samples) = Try::begin(&shared, &claims)?;
        carry_out(&shared, &claims, begun, live, samples, work)
    });
    if let Ok(done) = job.await {
        return done;
    }
    let shared = state.clone();
    let kept = spawn_blocking(move || attempt::end_unbegun(&shared, &late));
    // The runtime is shutting down: nobody waits for this answer.
    kept.await.unwrap_or_else(|_| Err(Error::busy()))
}

fn carry_out(
    state: &AppState,
    claims: &Claims,
    begun: Try<'_>,
    live: bool,
    samples: Vec<UploadedSample>,
    work: impl FnOnce(&AppState, &Claims, Vec<UploadedSample>) -> Result<Done, Error>,
) -> Result<Done, Error> {
    if live {
        match liveness::failure(state, claims, begun.number(), &samples) {
            Ok(None) => {}
            Ok(Some(failure)) => return begun.end(Ok(Done::failed(failure))),
            Err(error) => return begun.end(Err(error)),
        }
    }
    let together: Vec<&Embedding> = samples.iter().map(|sample| &sample.embedding).collect();
    let intake = state.intake();
    if intake
        .check_one_person(intake.encoder(), &together)
        .is_err()
    {
        return begun.end(Ok(Done::failed(Failure::LiveDetectionFailed)));
    }
    // What changes templates is a try from then on, whatever happens before its result is kept.
    let changes_templates = claims.task == Task::Enroll || claims.auto_enroll;
    let begun = if changes_templates {
        begun.count()?
    } else {
        begun
    };
    begun.end(work(state, claims, samples))
}

/// Samples as templates.
pub(super) fn templates(samples: Vec<UploadedSample>) -> Vec<NewTemplate> {
    let template = |sample: UploadedSample| NewTemplate {
        embedding: sample.embedding,
        quality: sample.quality,
    };
    samples.into_iter().map(template).collect()
}

/// How the API calls a task when it speaks of what was done.
pub(super) fn action(task: Task) -> &'static str {
    match task {
        Task::Verify => "verification",
        Task::Identify => "identification",
        Task::Enroll => "enrollment",
        Task::LivenessDetection => "livenessdetection",
    }
}
