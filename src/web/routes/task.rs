//! What the task calls of a token have in common.

use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::super::auth::Caller;
use super::super::endpoint::{Endpoint, Routed};
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::state::AppState;
use super::failures::{self, ErrorStatus};
use super::liveness;
use crate::access::{Attempt, Claims, Task, TaskMatch, TaskResult};
use crate::partition::NewTemplate;
use crate::samples::Sample;

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

/// Why a task could not be carried out although the call was right. Answered with status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) enum Failure {
    /// The samples do not show a live person.
    LiveDetectionFailed,
    /// The head did not move as was demanded.
    ChallengeResponseFailed,
    /// Nobody is enrolled.
    NoTemplateAvailable,
    /// There are too few samples.
    NotEnoughSamples,
    /// The server is too busy.
    ExecutionOfJobTimedOut,
}

/// What came of a task.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    pub(super) success: bool,
    /// Why it could not be carried out. A verification that did not recognise the person has none.
    pub(super) error: Option<Failure>,
    /// The people that an identification found.
    pub(super) matches: Vec<TaskMatch>,
}

impl Failure {
    /// The code that clients know.
    fn code(self) -> &'static str {
        match self {
            Failure::LiveDetectionFailed => "LiveDetectionFailed",
            Failure::ChallengeResponseFailed => "ChallengeResponseFailed",
            Failure::NoTemplateAvailable => "NoTemplateAvailable",
            Failure::NotEnoughSamples => "NotEnoughSamples",
            Failure::ExecutionOfJobTimedOut => "ExecutionOfJobTimedOut",
        }
    }
}

impl Done {
    pub(super) fn succeeded() -> Done {
        Done {
            success: true,
            ..Done::default()
        }
    }

    pub(super) fn failed(error: Failure) -> Done {
        Done {
            error: Some(error),
            ..Done::default()
        }
    }
}

/// Whether liveness is demanded: by the token, or by the call, which can demand it but not waive it.
pub(super) fn live(caller: &Caller, parameters: &Parameters) -> Result<bool, Error> {
    let asked = parameters.boolean("livedetection")?;
    Ok(caller.0.live || asked.unwrap_or(false))
}

/// Takes the token's samples, counts the attempt, does `work` with the samples, and keeps what came of
/// it as the result of the token.
///
/// The samples are gone afterwards, whatever comes of it, even if the server was too busy to look
/// at them. The attempt is counted unless there were no samples or no time.
pub(super) async fn run(
    state: &AppState,
    claims: Claims,
    live: bool,
    work: impl FnOnce(&AppState, &Claims, Vec<Sample>) -> Result<Done, Error> + Send + 'static,
) -> Result<Done, Error> {
    let (shared, late) = (state.clone(), claims.clone());
    let job = state.jobs().run(move || {
        let (samples, attempt) = begin(&shared, &claims)?;
        let mut attempt = Some(attempt);
        let done = attempted(&shared, &claims, live, &mut attempt, samples, work);
        // Before anybody learns what came of it.
        keep(&shared, &claims, done.as_ref().ok(), attempt)?;
        done
    });
    if let Ok(done) = job.await {
        return done;
    }
    let shared = state.clone();
    let kept = spawn_blocking(move || {
        // Without samples, or tries, it is the same answer as ever, and no result.
        let samples = shared.samples().take(late.id, shared.clock().now());
        shared.attempts().check(&late)?;
        if samples.is_empty() {
            return Err(no_samples());
        }
        let done = Done::failed(Failure::ExecutionOfJobTimedOut);
        keep(&shared, &late, Some(&done), None)?;
        Ok(done)
    });
    // The runtime is shutting down: nobody waits for this answer.
    kept.await.unwrap_or_else(|_| Err(Error::busy()))
}

/// The samples, and which try of the token this is.
fn begin(state: &AppState, claims: &Claims) -> Result<(Vec<Sample>, Attempt), Error> {
    let now = state.clock().now();
    let samples = state.samples().take(claims.id, now);
    if samples.is_empty() {
        // Not counted, but a token that is used up says so rather than asking for samples.
        state.attempts().check(claims)?;
        return Err(no_samples());
    }
    let attempt = state.attempts().take(claims)?;
    Ok((samples, attempt))
}

fn attempted(
    state: &AppState,
    claims: &Claims,
    live: bool,
    attempt: &mut Option<Attempt>,
    samples: Vec<Sample>,
    work: impl FnOnce(&AppState, &Claims, Vec<Sample>) -> Result<Done, Error>,
) -> Result<Done, Error> {
    if live {
        let number = attempt.as_ref().map_or(1, |attempt| attempt.number);
        if let Some(failure) = liveness::failure(state, claims, number, &samples)? {
            return Ok(Done::failed(failure));
        }
    }
    // What changes templates is a try from then on, whatever happens before its result is kept.
    if claims.task == Task::Enroll || claims.auto_enroll {
        count(state, claims, attempt.take())?;
    }
    work(state, claims, samples)
}

fn count(state: &AppState, claims: &Claims, attempt: Option<Attempt>) -> Result<(), Error> {
    let Some(attempt) = attempt else {
        return Ok(());
    };
    let counted = state.attempts().count(claims, attempt);
    counted.map_err(|error| Error::internal("to count an attempt", &error))
}

fn no_samples() -> Error {
    Error::bad_request("no samples have been uploaded with this token")
}

/// Keeps what came of a task, unless it failed for a reason of ours, and counts the attempt, if it is one.
fn keep(
    state: &AppState,
    claims: &Claims,
    done: Option<&Done>,
    attempt: Option<Attempt>,
) -> Result<(), Error> {
    let outcome = done.map(|done| TaskResult {
        task: claims.task,
        bcid: claims.bcid.clone(),
        success: done.success,
        error: done.error.map(|error| error.code().to_owned()),
        matches: done.matches.clone(),
    });
    let (results, attempts) = (state.results(), state.attempts());
    let kept = match (outcome, attempt) {
        (Some(outcome), Some(attempt)) => {
            results.put_and_count(claims, &outcome, attempts, attempt)
        }
        (Some(outcome), None) => results.put(claims, &outcome),
        (None, attempt) => return count(state, claims, attempt),
    };
    kept.map_err(|error| Error::internal("to keep the result of a task", &error))
}

/// Samples as templates.
pub(super) fn templates(samples: Vec<Sample>) -> Vec<NewTemplate> {
    let template = |sample: Sample| NewTemplate {
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
