//! What the task calls of a token have in common.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use futures_util::FutureExt;
use tracing::Instrument;

use super::super::auth::Caller;
use super::super::endpoint::{Endpoint, Routed};
use super::super::error::Error;
use super::super::lanes::{Busy, IdentifyPromise, SeePromise};
use super::super::parameters::Parameters;
use super::super::state::AppState;
use super::attempt::{self, Try};
use super::done::{Done, Failure};
use super::failures::{self, ErrorStatus};
use super::liveness;
use crate::access::{Claims, Task};
use crate::audit::Actor;
use crate::partition::NewTemplate;
use crate::samples::UploadedSample;
use crate::turns::Account;
use crate::types::Embedding;

/// What can go wrong with each of them.
const FAILURES: &[ErrorStatus] = &[
    ErrorStatus::BadRequest,
    ErrorStatus::Unauthorized,
    ErrorStatus::Forbidden,
    ErrorStatus::BudgetSpent,
    ErrorStatus::Internal,
    ErrorStatus::Busy,
    ErrorStatus::NoRoom,
];

/// As many pictures are usually looked at where a live person is demanded.
const LIVE_SAMPLES: usize = 2;

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

/// A task that has begun: what its work is done with.
pub(super) struct Begun {
    pub(super) state: AppState,
    pub(super) account: Account,
    pub(super) actor: Actor,
    pub(super) claims: Arc<Claims>,
    pub(super) samples: Vec<UploadedSample>,
    /// The place of an identification, if somebody was enrolled when it was asked for.
    pub(super) promise: Option<IdentifyPromise>,
}

/// What was promised to a task before it begins, since there is no way back afterwards.
struct Promised {
    see: Option<SeePromise>,
    identify: Option<IdentifyPromise>,
}

/// Takes the token's samples, counts the attempt, does `work` with the samples, and keeps what came
/// of it as the result of the token.
///
/// The samples are gone afterwards, whatever comes of it, even if the server was too busy to look
/// at them. The attempt is counted unless there were no samples or no time. Once begun it goes on to
/// its end, also if the client has left.
pub(super) async fn run<F>(
    state: &AppState,
    caller: Caller,
    live: bool,
    work: impl FnOnce(Begun) -> F + Send + 'static,
) -> Result<Done, Error>
where
    F: Future<Output = Result<Done, Error>> + Send + 'static,
{
    let account = caller.account();
    let (claims, actor) = (Arc::new(caller.0), caller.1);
    let shared = state.clone();
    let Ok(promised) = Promised::to(state, &account, &claims, live)? else {
        let late = move || attempt::end_unbegun(&shared, &claims);
        return state.lanes().write(late).await;
    };
    let callers = (account, actor, claims);
    let begun = carry_out(shared, callers, promised, work).in_current_span();
    match tokio::spawn(begun).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down: nobody waits for this answer.
        Err(_cancelled) => Err(Error::busy()),
    }
}

/// As [`run`], for work that is done at once or waits for the disk.
pub(super) async fn run_here(
    state: &AppState,
    caller: Caller,
    live: bool,
    work: impl FnOnce(&AppState, (&Claims, &Actor), Vec<UploadedSample>) -> Result<Done, Error>
    + Send
    + 'static,
) -> Result<Done, Error> {
    run(state, caller, live, move |begun: Begun| async move {
        let shared = begun.state.clone();
        let work = move || work(&shared, (&begun.claims, &begun.actor), begun.samples);
        begun.state.lanes().write(work).await
    })
    .await
}

impl Promised {
    /// What a task takes. The inner error says that there is no time for it.
    fn to(
        state: &AppState,
        account: &Account,
        claims: &Claims,
        live: bool,
    ) -> Result<Result<Promised, Busy>, Error> {
        let gallery = match claims.task {
            Task::Identify => state.engine().enrolled(&claims.bcid.partition)?,
            _ => None,
        };
        let lanes = state.lanes();
        let promised = || {
            let see = live.then(|| lanes.promise_see(account, LIVE_SAMPLES));
            let identify = gallery.map(|gallery| lanes.promise_identify(account, &gallery));
            Ok(Promised {
                see: see.transpose()?,
                identify: identify.transpose()?,
            })
        };
        Ok(promised())
    }
}

async fn carry_out<F>(
    state: AppState,
    (account, actor, claims): (Account, Actor, Arc<Claims>),
    promised: Promised,
    work: impl FnOnce(Begun) -> F,
) -> Result<Done, Error>
where
    F: Future<Output = Result<Done, Error>>,
{
    let lanes = state.lanes();
    let (theirs, of) = (state.clone(), claims.clone());
    let (begun, samples) = lanes.small(move || Try::begin(&theirs, &of)).await?;
    let end = |begun: Try, done| lanes.write(move || begun.end(done));
    // Its try is counted all the same, and what came before is no longer its result.
    let end_panicked = async |begun: Try, panic| {
        let _counted = end(begun, Err(Error::panicked())).await;
        panic::resume_unwind(panic)
    };
    let samples = match promised.see {
        Some(promise) => {
            let (theirs, of, attempt) = (state.clone(), claims.clone(), begun.number());
            let pictures = samples.len();
            let look = move |_left| {
                let failure = liveness::failure(&theirs, &of, attempt, &samples);
                (failure, samples)
            };
            let seen = AssertUnwindSafe(lanes.see_promised(promise, pictures, look));
            match seen.catch_unwind().await {
                Ok(seen) => match seen? {
                    (Ok(None), samples) => samples,
                    (Ok(Some(failure)), _) => return end(begun, Ok(Done::failed(failure))).await,
                    (Err(error), _) => return end(begun, Err(error)).await,
                },
                Err(panic) => return end_panicked(begun, panic).await,
            }
        }
        None => samples,
    };
    let together: Vec<&Embedding> = samples.iter().map(|sample| &sample.embedding).collect();
    let intake = state.intake();
    if intake
        .check_one_person(intake.encoder(), &together)
        .is_err()
    {
        return end(begun, Ok(Done::failed(Failure::LiveDetectionFailed))).await;
    }
    // What changes templates is a try from then on, whatever happens before its result is kept.
    let changes_templates = claims.task == Task::Enroll || claims.auto_enroll;
    let begun = if changes_templates {
        lanes.write(move || begun.count()).await?
    } else {
        begun
    };
    let work = work(Begun {
        state: state.clone(),
        account,
        actor,
        claims,
        samples,
        promise: promised.identify,
    });
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => end(begun, done).await,
        Err(panic) => end_panicked(begun, panic).await,
    }
}

/// Samples as templates.
pub(super) fn templates(samples: Vec<UploadedSample>) -> Vec<NewTemplate> {
    let template = |sample: UploadedSample| NewTemplate {
        embedding: sample.embedding,
        quality: sample.quality,
        portrait: sample.portrait,
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
