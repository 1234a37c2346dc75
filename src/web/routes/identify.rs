//! `GET /extension/identify`: who in the partition is this?

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::time;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::audited;
use super::super::auth::Caller;
use super::super::budgets;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::lanes::Unidentified;
use super::super::parameters::Parameters;
use super::super::render;
use super::super::state::AppState;
use super::done::{Done, Failure};
use super::judging;
use super::task::{self, Begun};
use crate::access::{Task, TaskMatch};
use crate::audit::{Event, Record};
use crate::code::Probe;
use crate::engine::scheduler::QuestionQuery;
use crate::engine::{Gallery, IdentifyOptions, fuse};
use crate::intake::{Bar, Disclosure, SCORE_DIGITS_MAX, step_down};
use crate::types::{Bcid, Embedding};

const RESULTS_DEFAULT: usize = 20;
const RESULTS_MAX: usize = 1000;
const TARGET: &str = "targetFPIR";

/// Whether the search could be carried out, not whether somebody was found.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct IdentifyResult {
    success: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
    /// The people, best first.
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Vec<ScoredClass>>,
}

/// One person, with the fields in the order that clients have seen.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ScoredClass {
    /// From 0 to 1, with four decimal digits.
    #[serde(rename = "Score")]
    score: f64,
    #[serde(rename = "Storage")]
    storage: String,
    #[serde(rename = "Partition")]
    partition: i32,
    #[serde(rename = "ClassID")]
    class: i64,
}

pub(super) fn endpoint() -> Endpoint {
    task::endpoint(routes!(identify))
}

/// Lists the people most like those in the token's samples, best first.
#[utoipa::path(
    get,
    path = "/extension/identify",
    tag = "bws",
    operation_id = "bws_identify",
    summary = "Identify with the samples of a token",
    params(
        ("livedetection" = Option<bool>, Query, description = "Demand liveness even if the token does not; `false` has no effect"),
        ("targetFPIR" = Option<String>, Query, description = "Leave out whom a stranger reaches more often than this: a rate such as `0.001`, or `30` for the same. Without it weak candidates are listed, too, unless the operator has them cut (`bws-lists-cut`). Not part of the old service"),
        ("maxResults" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "The most people in the answer; 20 unless given"),
    ),
    responses(
        (status = 200, description = "What became of the task", body = IdentifyResult),
    ),
    security(("bws_token" = []))
)]
async fn identify(
    State(state): State<AppState>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Error> {
    caller.may(Task::Identify)?;
    if state.needs_confirmation(&caller.0.bcid.partition) {
        return Err(Error::forbidden(
            "two people must confirm an identification in this partition, which only `/v1` can do",
        ));
    }
    let live = task::live(&caller, &parameters)?;
    let count = parameters
        .integer("maxResults", 1..=RESULTS_MAX)?
        .unwrap_or(RESULTS_DEFAULT);
    let target = judging::target(&parameters, TARGET)?;
    let bar = target.map(Bar::Rate);
    let work = move |begun| async move { search(begun, count, bar).await };
    let done = task::run(&state, caller, live, work).await?;
    time::sleep(done.delay).await;
    let matches = done.matches.into_iter().map(ScoredClass::from).collect();
    let result = IdentifyResult {
        success: done.success,
        error: done.error,
        matches: done.success.then_some(matches),
    };
    Ok(render::answer(StatusCode::OK, result))
}

impl From<TaskMatch> for ScoredClass {
    fn from(candidate: TaskMatch) -> ScoredClass {
        let TaskMatch { bcid, score } = candidate;
        ScoredClass {
            score,
            storage: bcid.partition.storage.to_string(),
            partition: bcid.partition.number,
            class: bcid.class.0,
        }
    }
}

/// The similarity that whoever is listed reaches: at least the usual one, and in steps, since a rate of the
/// caller's choice would tell more digits than the scores do.
async fn threshold(state: &AppState, gallery: &Gallery, bar: Bar) -> Result<Option<f64>, Error> {
    let (is_brief, shared, gallery) = (gallery.is_counted(), state.clone(), gallery.clone());
    let judge = move || {
        let intake = shared.intake();
        let disclosure = Disclosure::Coarse {
            digits: intake.policy().score_digits,
        };
        intake.judge_for(shared.engine(), &gallery, bar, disclosure)
    };
    let judge = state.lanes().glance(is_brief, judge).await;
    let judge = judge.map_err(|error| judging::undecided(TARGET, error))?;
    Ok(judge.threshold())
}

async fn search(begun: Begun, limit: usize, bar: Option<Bar>) -> Result<Done, Error> {
    let Begun {
        state,
        account,
        actor,
        claims,
        samples,
        promise,
    } = begun;
    let partition = &claims.bcid.partition;
    let profile = state.intake().profile();
    let samples: Vec<&Embedding> = samples.iter().map(|sample| &sample.embedding).collect();
    // Samples that are wrong in themselves are refused whoever is enrolled.
    let sample = fuse(profile.encoder(), &samples)?;
    let Some(gallery) = state.engine().gallery(partition, profile.encoder())? else {
        return Ok(Done::failed(Failure::NoTemplateAvailable));
    };
    // Clients expect weak candidates too: no threshold cuts the list unless a rate is asked for, or the
    // operator wants it.
    let is_cut = || state.intake().policy().bws_lists_cut.contains(partition);
    let threshold = match bar.or_else(|| is_cut().then_some(Bar::Usual)) {
        Some(bar) => threshold(&state, &gallery, bar).await?,
        None => None,
    };
    let query = QuestionQuery {
        probe: Probe::new(&sample),
        options: IdentifyOptions { limit, threshold },
    };
    state.ask_who(&actor, partition, 1)?;
    let lanes = state.lanes();
    let found = match lanes.identify_one(&account, &gallery, promise, query).await {
        Ok(found) => found,
        Err(error) => {
            state.give_back(&actor, 1);
            return match error {
                // Nobody was enrolled yet when a place might have been promised.
                Unidentified::Busy(_) => Ok(Done::failed(Failure::ExecutionOfJobTimedOut)),
                error => Err(error.into()),
            };
        }
    };
    if found.templates == 0 {
        return Ok(Done::failed(Failure::NoTemplateAvailable));
    }
    if threshold.is_some() {
        let is_known = !found.matches.is_empty();
        state.intake().decisions().identified(is_known);
    }
    let people = match state.audit() {
        Some(_) => {
            let (is_brief, gallery) = (gallery.is_counted(), gallery.clone());
            let population = move || gallery.population();
            Some(lanes.glance(is_brief, population).await?)
        }
        None => None,
    };
    let record = state.to_account(&actor, Event::Identified);
    let record = record.map(|record| Record {
        partition: Some(partition.clone()),
        people,
        encoder: Some(audited::encoder_name(gallery.encoder())),
        threshold,
        candidates: found.matches.iter().map(|found| found.class).collect(),
        probe: Some(state.digest_of(&samples)),
        ..record
    });
    state.account(record.into_iter().collect()).await?;
    let told = budgets::told_of([&found.matches[..]], limit);
    let delay = state.tell(&actor, partition, (&told, u64::from(!told.is_empty())));
    let candidates = found.matches.iter().map(|found| TaskMatch {
        bcid: Bcid::new(partition.clone(), found.class),
        score: step_down(
            profile.score_map().score(found.similarity),
            SCORE_DIGITS_MAX,
        ),
    });
    Ok(Done {
        matches: candidates.collect(),
        delay,
        ..Done::succeeded()
    })
}
