//! `GET /extension/verify`: is this the person of the class?

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::time;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::auth::Caller;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::render;
use super::super::state::AppState;
use super::done::{Done, Failure};
use super::judging;
use super::task;
use crate::access::{Claims, Task};
use crate::audit::Actor;
use crate::budgets::Told;
use crate::engine::{Gallery, fuse};
use crate::intake::{Bar, Disclosure};
use crate::partition::NewTemplate;
use crate::samples::UploadedSample;
use crate::types::Embedding;

const TARGET: &str = "targetFMR";

/// Whether the person was recognised.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct VerifyResult {
    success: bool,
    /// Why nothing could be said. Absent if the person was just not recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

pub(super) fn endpoint() -> Endpoint {
    task::endpoint(routes!(verify))
}

/// Compares the token's samples with the templates of its class.
#[utoipa::path(
    get,
    path = "/extension/verify",
    tag = "bws",
    operation_id = "bws_verify",
    summary = "Verify with the samples of a token",
    params(
        ("livedetection" = Option<bool>, Query, description = "Demand liveness even if the token does not; `false` has no effect"),
        ("targetFMR" = Option<String>, Query, description = "Recognise from the similarity on that a stranger reaches with one person as often as this: a rate such as `0.001`, or `30` for the same. Not part of the old service"),
    ),
    responses(
        (status = 200, description = "What became of the task", body = VerifyResult),
    ),
    security(("bws_token" = []))
)]
async fn verify(
    State(state): State<AppState>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Error> {
    caller.may(Task::Verify)?;
    let live = task::live(&caller, &parameters)?;
    let target = judging::target(&parameters, TARGET)?;
    let bar = target.map_or(Bar::Usual, Bar::Rate);
    let compare = move |state: &AppState,
                        (claims, actor): (&Claims, &Actor),
                        samples: Vec<UploadedSample>| {
        compare(state, (claims, actor, bar), samples)
    };
    let done = task::run_here(&state, caller, live, compare).await?;
    time::sleep(done.delay).await;
    let result = VerifyResult {
        success: done.success,
        error: done.error,
    };
    Ok(render::answer(StatusCode::OK, result))
}

fn compare(
    state: &AppState,
    (claims, actor, bar): (&Claims, &Actor, Bar),
    samples: Vec<UploadedSample>,
) -> Result<Done, Error> {
    let encoder = state.intake().encoder();
    let templates = task::templates(samples);
    let faces: Vec<&Embedding> = templates
        .iter()
        .map(|template| &template.embedding)
        .collect();
    // Samples that are wrong in themselves are refused whoever is enrolled.
    let sample = fuse(encoder, &faces)?;
    let Some(gallery) = state.engine().gallery(&claims.bcid.partition, encoder)? else {
        return Ok(Done::failed(Failure::NoTemplateAvailable));
    };
    // No score is told of it.
    state.ask_whether(actor, &claims.bcid, false)?;
    let Some(verification) = gallery.verify(claims.bcid.class, &[&sample])? else {
        return Ok(Done::failed(Failure::NoTemplateAvailable));
    };
    let intake = state.intake();
    // In steps, as whoever is told no similarities at `/v1`.
    let disclosure = Disclosure::Coarse {
        digits: intake.policy().score_digits,
    };
    let bar = intake.verification_for(state.engine(), &gallery, bar, disclosure);
    let bar = bar.map_err(|error| judging::undecided(TARGET, error))?;
    // The gallery is of the encoder of the service, of which something is known.
    let own = || intake.profile().verification_threshold();
    let threshold = bar.threshold.unwrap_or_else(own);
    let is_accepted = verification.is_accepted(threshold);
    intake.decisions().verified(is_accepted);
    let decided = (verification.threshold(threshold), is_accepted);
    state.verified(actor, &claims.bcid, (encoder, &faces), decided)?;
    let told = Told {
        class: claims.bcid.class,
        similarity: is_accepted.then_some(verification.similarity),
    };
    let delay = state.tell(actor, &claims.bcid.partition, (&[told], 0));
    if !is_accepted {
        return Ok(Done {
            delay,
            ..Done::default()
        });
    }
    gallery.note_match(claims.bcid.class);
    if claims.auto_enroll {
        improve(state, (claims, actor), &gallery, &templates, threshold)?;
    }
    Ok(Done {
        delay,
        ..Done::succeeded()
    })
}

/// Makes templates of the samples of a recognised person that are good enough.
fn improve(
    state: &AppState,
    (claims, actor): (&Claims, &Actor),
    gallery: &Gallery,
    samples: &[NewTemplate],
    threshold: f64,
) -> Result<(), Error> {
    let good = gallery.improving(claims.bcid.class, samples, threshold)?;
    if good.is_empty() {
        return Ok(());
    }
    let good: Vec<NewTemplate> = good.into_iter().cloned().collect();
    let (engine, now) = (state.engine(), state.clock().now());
    let enrolled = engine.enroll(&claims.bcid, gallery.encoder(), &good, now)?;
    let faces: Vec<&Embedding> = good.iter().map(|it| &it.embedding).collect();
    let from = (gallery.encoder(), &faces[..]);
    Ok(state.enrolled(actor, &claims.bcid, from, enrolled.added)?)
}
