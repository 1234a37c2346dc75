//! `POST /extension/upload`: one picture for the task of a token.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::auth::Caller;
use super::super::body::Received;
use super::super::data_url::DataUrl;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::render;
use super::super::state::AppState;
use super::failures::{self, ErrorStatus};
use crate::access::{Task, Trait, Traits};
use crate::engine::Fault;
use crate::face::Patience;
use crate::intake::{Care, Cause, IntakeError};
use crate::samples::{Owner, Presence, UploadedSample};

/// The words that a tag is made of.
const TAG_WORDS: [&str; 5] = ["any", "up", "down", "left", "right"];

/// What the client learns of its picture.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct UploadResult {
    accepted: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Refusal>,
    /// What could be better. There for every accepted sample, even when empty: browsers call a method
    /// on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<&'static str>>,
}

/// Why a picture is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in super::super) enum Refusal {
    NoFaceFound,
    MultipleFacesFound,
    SampleNotOfExpectedType,
}

/// What a client says about its picture.
struct Labels {
    tag: Option<String>,
    index: Option<i64>,
    traits: Traits,
    /// See [`UploadedSample::arrival`].
    arrival: u64,
}

const FAILURES: &[ErrorStatus] = &[
    ErrorStatus::BadRequest,
    ErrorStatus::Unauthorized,
    ErrorStatus::Forbidden,
    ErrorStatus::BodyTimeout,
    ErrorStatus::BodyTooLarge,
    ErrorStatus::UnknownEncoding,
    ErrorStatus::TokenFull,
    ErrorStatus::Internal,
    ErrorStatus::Busy,
];

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(routes!(upload), FAILURES)
}

/// Examines a picture and keeps what is needed of it until the token's task.
#[utoipa::path(
    post,
    path = "/extension/upload",
    tag = "bws",
    operation_id = "bws_upload",
    summary = "Upload a sample for the task of a token",
    params(
        ("index" = Option<i64>, Query, description = "Where the sample stands in the order; samples without come last"),
        ("tag" = Option<String>, Query, description = "`any`, or one or more of `up`, `down`, `left`, `right`: the movement that the picture shows"),
        ("trait" = Option<String>, Query, description = "List of `face`, `periocular` and `voice`; `face` unless given"),
    ),
    request_body(
        content(
            (String = "text/plain"),
            (super::direct::SampleForm = "multipart/form-data"),
        ),
        description = "One data-URL with base64 data, whatever the content type, or a form with one in a field of any name"
    ),
    responses(
        (status = 200, description = "What was made of the picture", body = UploadResult),
    ),
    security(("bws_token" = []))
)]
async fn upload(
    State(state): State<AppState>,
    caller: Caller,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let account = caller.account();
    let Caller(claims, _) = caller;
    let labels = Labels::new(&parameters, state.samples().arrival())?;
    let owner = Owner {
        account: account.clone(),
        token: claims.id,
        expires: claims.expires,
    };
    state.samples().check(&owner, state.clock().now())?;
    // Before megabytes come for nothing.
    state.lanes().check_see(&account, 1)?;
    let body = Received::whole(&state, request).await?.sample().await?;
    let shared = state.clone();
    let work = move |left| {
        let patience = shared.intake().patience().until_left(left);
        examine(&shared, (&owner, claims.task), labels, &body, &patience)
    };
    let examined = state.lanes().see(&account, 1, work).await??;
    Ok(render::answer(StatusCode::OK, examined))
}

impl Labels {
    fn new(parameters: &Parameters, arrival: u64) -> Result<Labels, Error> {
        let tag = parameters
            .text("tag")
            .map(|tag| tag.to_ascii_lowercase().replace(',', " "));
        let known = |tag: &str| tag.split_whitespace().all(|word| TAG_WORDS.contains(&word));
        if tag.as_deref().is_some_and(|tag| !known(tag)) {
            return Err(Error::bad_request(
                "the parameter `tag` must be `any`, or one or more of `up`, `down`, `left`, `right`",
            ));
        }
        Ok(Labels {
            tag,
            index: parameters.integer("index", i64::MIN..=i64::MAX)?,
            traits: parameters.traits("trait")?,
            arrival,
        })
    }
}

impl UploadResult {
    fn refused(error: Refusal) -> UploadResult {
        UploadResult {
            accepted: false,
            error: Some(error),
            warnings: None,
        }
    }
}

fn examine(
    state: &AppState,
    (owner, task): (&Owner, Task),
    labels: Labels,
    body: &[u8],
    patience: &Patience,
) -> Result<UploadResult, Error> {
    let refused = || state.samples().refuse(owner, state.clock().now());
    let url = DataUrl::parse(body).map_err(|error| {
        refused();
        Error::bad_request(error.to_string())
    })?;
    let for_faces =
        labels.traits.contains(Trait::Face) || labels.traits.contains(Trait::Periocular);
    // Without a type it may be a picture; its bytes tell.
    let is_picture = url.media_type.is_empty() || url.media_type.starts_with("image/");
    if !is_picture || !for_faces {
        refused();
        return Ok(UploadResult::refused(Refusal::SampleNotOfExpectedType));
    }
    let seen = match state
        .intake()
        .look_within(&url.data, Care::Glance, patience)
    {
        Ok(seen) => seen,
        Err(error) => {
            if error.fault() == Fault::Caller {
                refused();
            }
            return refuse(error).map(UploadResult::refused);
        }
    };
    // Whether liveness is demanded may be said as late as in the task call: the networks look then, or now if too
    // many pictures would have to wait for that.
    let presence = if state.samples().is_crowded() {
        Presence::Seen(Box::new(state.intake().observe(&seen)?))
    } else {
        Presence::Unseen(Box::new(seen.view()))
    };
    let seen = match task {
        Task::Enroll => state.intake().portrayed(seen),
        _ => seen,
    };
    let face = seen.face;
    let sample = UploadedSample {
        embedding: face.embedding,
        quality: face.quality.score(),
        presence: Some(presence),
        tag: labels.tag,
        index: labels.index,
        arrival: labels.arrival,
        portrait: face.portrait,
    };
    state.samples().put(owner, sample, state.clock().now())?;
    let warnings = face.warnings.iter().map(|warning| warning.code());
    Ok(UploadResult {
        accepted: true,
        error: None,
        warnings: Some(warnings.collect()),
    })
}

/// What is wrong with the picture, or the error if it is none.
fn refuse(error: IntakeError) -> Result<Refusal, Error> {
    match error.cause {
        Cause::NoFace(_) => Ok(Refusal::NoFaceFound),
        Cause::SeveralFaces(_) => Ok(Refusal::MultipleFacesFound),
        _ => Err(error.into()),
    }
}
