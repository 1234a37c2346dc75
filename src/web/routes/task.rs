//! What the task calls of a token have in common.

use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::super::auth::Caller;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::state::AppState;
use super::liveness;
use crate::access::{Attempt, Candidate, Claims, Outcome, Task};
use crate::partition::NewTemplate;
use crate::samples::Sample;

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
    pub(super) matches: Vec<Candidate>,
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
        let failure = if live {
            liveness::failure(&shared, &claims, attempt, &samples)
        } else {
            None
        };
        let done = match failure {
            Some(failure) => Done::failed(failure),
            None => work(&shared, &claims, samples)?,
        };
        keep(&shared, &claims, &done)?;
        Ok(done)
    });
    if let Ok(done) = job.await {
        return done;
    }
    let shared = state.clone();
    let kept = spawn_blocking(move || {
        shared.samples().take(late.id, shared.clock().now());
        let done = Done::failed(Failure::ExecutionOfJobTimedOut);
        keep(&shared, &late, &done)?;
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
        return Err(Error::bad_request(
            "no samples have been uploaded with this token",
        ));
    }
    let attempt = state.attempts().take(claims, now)?;
    Ok((samples, attempt))
}

fn keep(state: &AppState, claims: &Claims, done: &Done) -> Result<(), Error> {
    let outcome = Outcome {
        task: claims.task,
        bcid: claims.bcid.clone(),
        success: done.success,
        error: done.error.map(|error| error.code().to_owned()),
        matches: done.matches.clone(),
    };
    let now = state.clock().now();
    state
        .results()
        .put(claims, &outcome, now)
        .map_err(|error| Error::internal("to keep the result of a task", &error))
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
