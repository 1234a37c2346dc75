//! `POST /extension/livedetection`, `passivelivedetection` and `videolivedetection`: do these
//! pictures show a live person?

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::auth::Client;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::state::AppState;
use super::direct::{
    self, Explained, JudgedSample, LivenessDetails, Look, PictureFault, SampleError,
};
use crate::engine;
use crate::face::FaceError;
use crate::intake::{Care, Cause, IntakeError};
use crate::liveness::{Decision, Observation};

/// The decision, with what it came from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct LiveDetectionResult {
    success: bool,
    /// Only for a video: whether no picture of it shows one face.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_to_acquire: Option<bool>,
    #[serde(rename = "JobID")]
    job: String,
    /// What the caller wrote there.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    samples: Vec<JudgedSample>,
    /// Why the pictures are not live.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<SampleError>>,
    /// What the decision came from, if `state` is `details`.
    #[serde(skip_serializing_if = "Option::is_none")]
    liveness: Option<LivenessDetails>,
}

/// `true` or `false`, or an object if a state was given.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in super::super) enum LiveDetectionAnswer {
    /// Whether the pictures are live.
    Plain(bool),
    /// The same with details.
    Object(Box<LiveDetectionResult>),
}

pub(super) fn endpoint() -> Endpoint {
    direct::endpoint(routes!(live_detection))
}

/// Two pictures of a head that moves. Without `state` the answer is `true` or `false`.
#[utoipa::path(
    post,
    path = "/extension/livedetection",
    tag = "bws",
    operation_id = "bws_livedetection",
    summary = "Decide whether two pictures are live",
    params(
        ("state" = Option<String>, Query, description = "Any text: the answer is an object then. With `details` it has the numbers that the decision came from"),
    ),
    request_body(
        content(
            (direct::LiveImages = "application/json"),
            (direct::LiveImages = "application/x-www-form-urlencoded"),
            (direct::LiveImages = "multipart/form-data"),
        ),
        description = "The pictures, as data-URLs"
    ),
    responses(
        (status = 200, description = "`true` or `false`, or with `state` an object", body = LiveDetectionAnswer),
    ),
    security(("app" = []))
)]
async fn live_detection(
    State(state): State<AppState>,
    client: Client,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let echo = parameters.echo("state");
    let received = direct::receive(&state, &client, 2, request).await?;
    let named = received.named(&state, ["liveimage1", "liveimage2"]).await?;
    direct::answer(&state, &client, 2, move |state| {
        let looks = named.0.map(|text| direct::look_at(state, text.as_deref()));
        let looks = looks.into_iter().collect::<Result<Vec<Look>, Error>>()?;
        let fault = looks.iter().find_map(|look| look.as_ref().err());
        let detailed = echo.is_some();
        if let Some(fault) = fault.filter(|_| !detailed) {
            return Err(Error::from(*fault));
        }
        let decision = decide_active(state, &looks)?;
        let result = LiveDetectionResult::new(state, &looks, decision.as_ref(), echo);
        Ok(if detailed {
            LiveDetectionAnswer::Object(Box::new(result))
        } else {
            LiveDetectionAnswer::Plain(result.success)
        })
    })
    .await
}

pub(super) fn passive_endpoint() -> Endpoint {
    direct::endpoint(routes!(passive_live_detection))
}

/// One picture.
#[utoipa::path(
    post,
    path = "/extension/passivelivedetection",
    tag = "bws",
    operation_id = "bws_passivelivedetection",
    summary = "Decide whether a picture is live",
    params(
        ("state" = Option<String>, Query, description = "Any text, which is in the answer. With `details` it has the numbers that the decision came from"),
    ),
    request_body(
        content(
            (String = "text/plain"),
            (direct::SampleForm = "multipart/form-data"),
        ),
        description = "One data-URL with base64 data, as for upload"
    ),
    responses(
        (status = 200, description = "The decision", body = LiveDetectionResult),
    ),
    security(("app" = []))
)]
async fn passive_live_detection(
    State(state): State<AppState>,
    client: Client,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let echo = parameters.echo("state");
    let text = direct::receive(&state, &client, 1, request)
        .await?
        .sample()
        .await?;
    direct::answer(&state, &client, 1, move |state| {
        let look = direct::look_at(state, Some(&text))?;
        let decision = decide_passive(state, &look)?;
        Ok(LiveDetectionResult::new(
            state,
            &[look],
            decision.as_ref(),
            echo,
        ))
    })
    .await
}

pub(super) fn video_endpoint() -> Endpoint {
    direct::endpoint(routes!(video_live_detection))
}

/// A short video: an animation, or pictures one after the other.
#[utoipa::path(
    post,
    path = "/extension/videolivedetection",
    tag = "bws",
    operation_id = "bws_videolivedetection",
    summary = "Decide whether a short video is live",
    params(
        ("state" = Option<String>, Query, description = "Any text, which is in the answer. With `details` it has the numbers that the decision came from"),
    ),
    request_body(
        content = direct::VideoForm,
        content_type = "multipart/form-data",
        description = "An animated GIF, PNG or WebP, or motion JPEG, in the only field of a form"
    ),
    responses(
        (status = 200, description = "The decision", body = LiveDetectionResult),
    ),
    security(("app" = []))
)]
async fn video_live_detection(
    State(state): State<AppState>,
    client: Client,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let echo = parameters.echo("state");
    let video = direct::receive(&state, &client, FRAMES_MAX, request)
        .await?
        .stream()
        .await?;
    direct::answer(&state, &client, FRAMES_MAX, move |state| {
        // One for the whole video, not for each of its pictures.
        let (intake, patience) = (state.intake(), state.intake().patience());
        let frames = intake
            .frames_within(&video, FRAMES_MAX, &patience)
            .map_err(no_video)?;
        let looks = frames
            .into_iter()
            .map(|frame| direct::look(intake.look_at_within(frame, Care::Glance, &patience)));
        let mut looks = looks.collect::<Result<Vec<Look>, Error>>()?;
        let acquired = looks.iter().any(Result::is_ok);
        // Of a video not every picture need show the face: hands and blinks pass by.
        if acquired {
            looks.retain(Result::is_ok);
        }
        let decision = decide_active(state, &looks)?;
        let mut result = LiveDetectionResult::new(state, &looks, decision.as_ref(), echo);
        result.failed_to_acquire = Some(!acquired);
        Ok(result)
    })
    .await
}

/// Why there are no pictures of a video.
fn no_video(error: IntakeError) -> Error {
    match &error.cause {
        Cause::Picture(
            FaceError::UnsupportedFormat { .. }
            | FaceError::ConvertFirst { .. }
            | FaceError::NotAPicture { .. },
        ) => PictureFault::SampleNotOfExpectedType.into(),
        Cause::Picture(FaceError::Empty) => PictureFault::MissingData.into(),
        Cause::NoFace(_) => PictureFault::NoFaceFound.into(),
        _ if error.fault() == engine::Fault::Caller => PictureFault::InvalidSampleData.into(),
        _ => error.into(),
    }
}

/// How many pictures of a video are looked at, spread over its length.
const FRAMES_MAX: usize = 6;

impl LiveDetectionResult {
    /// What is said of `looks` and of the decision about them, if there is one.
    fn new(
        service: &AppState,
        looks: &[Look],
        decision: Option<&Decision>,
        state: Option<String>,
    ) -> LiveDetectionResult {
        let explained = Explained::new(service, looks, decision, state.as_deref());
        LiveDetectionResult {
            success: decision.is_some_and(|decision| decision.live),
            failed_to_acquire: None,
            job: direct::job(),
            samples: explained.samples,
            errors: explained.errors,
            liveness: explained.liveness,
            state,
        }
    }
}

/// What is decided about one picture, by its texture; `None` if it does not show one face.
pub(super) fn decide_passive(state: &AppState, look: &Look) -> Result<Option<Decision>, Error> {
    let Ok(seen) = look else { return Ok(None) };
    let observation = state.intake().observe(seen)?;
    Ok(Some(state.intake().passive(&observation)))
}

/// What is decided about pictures, by the motion between them; `None` if one does not show one
/// face.
pub(super) fn decide_active(state: &AppState, looks: &[Look]) -> Result<Option<Decision>, Error> {
    let mut observations = Vec::new();
    for look in looks {
        let Ok(seen) = look else { return Ok(None) };
        observations.push(state.intake().observe(seen)?);
    }
    let observations: Vec<&Observation> = observations.iter().collect();
    Ok(Some(state.intake().active(&observations)))
}
