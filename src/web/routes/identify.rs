//! `GET /extension/identify`: who in the partition is this?

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::super::auth::Caller;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::render;
use super::super::state::AppState;
use super::task::{self, Failure};
use crate::access::{Claims, Task};
use crate::engine::IdentifyOptions;
use crate::samples::Sample;
use crate::types::Embedding;

const RESULTS_DEFAULT: usize = 20;
const RESULTS_MAX: usize = 1000;

/// Whether the search could be carried out, not whether somebody was found.
#[derive(Serialize)]
#[serde(untagged)]
enum IdentifyResult {
    #[serde(rename_all = "PascalCase")]
    Done {
        success: bool,
        matches: Vec<ScoredClass>,
    },
    #[serde(rename_all = "PascalCase")]
    Failed { success: bool, error: Failure },
}

/// One person, with the fields in the order that clients have seen.
#[derive(Serialize)]
struct ScoredClass {
    #[serde(rename = "Score")]
    score: f64,
    #[serde(rename = "Storage")]
    storage: String,
    #[serde(rename = "Partition")]
    partition: i32,
    #[serde(rename = "ClassID")]
    class: i64,
}

/// Lists the people most like those in the token's samples, best first.
pub(in super::super) async fn identify(
    State(state): State<AppState>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Error> {
    caller.may(Task::Identify)?;
    let live = parameters.boolean("livedetection")?.unwrap_or(false) || caller.0.live;
    let count = parameters
        .integer("maxResults", 1..=RESULTS_MAX)?
        .unwrap_or(RESULTS_DEFAULT);
    let done = task::run(&state, caller.0, live, move |state, claims, samples| {
        search(state, claims, &samples, count)
    })
    .await?;
    let result = match done.and_then(|found| found) {
        Ok(matches) => IdentifyResult::Done {
            success: true,
            matches,
        },
        Err(error) => IdentifyResult::Failed {
            success: false,
            error,
        },
    };
    Ok(render::json(StatusCode::OK, &result))
}

fn search(
    state: &AppState,
    claims: &Claims,
    samples: &[Sample],
    count: usize,
) -> Result<Result<Vec<ScoredClass>, Failure>, Error> {
    let partition = &claims.bcid.partition;
    let profile = state.faces().profile();
    let samples: Vec<&Embedding> = samples.iter().map(|sample| &sample.embedding).collect();
    // Clients expect weak candidates too: no threshold cuts the list.
    let options = IdentifyOptions {
        count,
        threshold: None,
    };
    let found = state
        .engine()
        .identify(partition, profile.encoder(), &samples, &options)?;
    if found.templates == 0 {
        return Ok(Err(Failure::NoTemplateAvailable));
    }
    let scored = found.matches.iter().map(|found| ScoredClass {
        score: profile.score_map().score(found.similarity),
        storage: partition.storage.to_string(),
        partition: partition.number,
        class: found.class.0,
    });
    Ok(Ok(scored.collect()))
}
