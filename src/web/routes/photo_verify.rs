//! `POST /extension/photoverify` and `photoverify2`: is the live person the one on the identity
//! photo?

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::auth::Client;
use super::super::body::Named;
use super::super::endpoint::Endpoint;
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::state::AppState;
use super::direct::{
    self, Explained, JudgedSample, LivenessDetails, Look, PictureFault, SampleError,
};
use super::live_detection::{decide_active, decide_passive};
use crate::engine::photo_similarity;
use crate::liveness::Decision;
use crate::types::Embedding;

const LEVEL_DEFAULT: u8 = 4;
const LEVEL_MAX: u8 = 5;
const NAMES: [&str; 3] = ["liveimage1", "liveimage2", "idphoto"];

/// The decision, with what it came from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct PhotoVerifyResult {
    success: bool,
    #[serde(rename = "JobID")]
    job: String,
    /// The strictest level that the photo meets, 0 if it meets none or the person is not live.
    accuracy_level: u8,
    /// What the caller wrote there.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// The live pictures, and then the photo.
    samples: Vec<JudgedSample>,
    /// Why the live pictures are not live.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<SampleError>>,
    /// What the decision came from, if `state` is `details`.
    #[serde(skip_serializing_if = "Option::is_none")]
    liveness: Option<LivenessDetails>,
}

pub(super) fn endpoint() -> Endpoint {
    direct::endpoint(routes!(photo_verify))
}

/// What came of looking at the pictures.
struct Pictures {
    live: Vec<Look>,
    photo: Look,
}

/// Two live pictures and a photo; the answer is `true` or `false`.
#[utoipa::path(
    post,
    path = "/extension/photoverify",
    tag = "bws",
    operation_id = "bws_photoverify",
    summary = "Compare live pictures with an identity photo",
    params(
        ("accuracy" = Option<u8>, Query, minimum = 1, maximum = 5, description = "The level that the photo must reach; 4 unless given"),
    ),
    request_body(
        content(
            (direct::PhotoImages = "application/json"),
            (direct::PhotoImages = "application/x-www-form-urlencoded"),
            (direct::PhotoImages = "multipart/form-data"),
        ),
        description = "The pictures, as data-URLs"
    ),
    responses(
        (status = 200, description = "Whether it is the same person", body = bool),
    ),
    security(("app" = []))
)]
async fn photo_verify(
    State(state): State<AppState>,
    client: Client,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let accuracy = accuracy(&parameters)?;
    let named = direct::receive(&state, &client, 3, request)
        .await?
        .named(&state, NAMES)
        .await?;
    direct::answer(&state, &client, 3, move |state| {
        let Named([first, second, photo]) = named;
        let pictures = Pictures::look_at(state, [first, second], photo)?;
        if let Some(fault) = pictures.all().find_map(|look| look.as_ref().err()) {
            return Err(Error::from(*fault));
        }
        let result = PhotoVerifyResult::new(state, accuracy, &pictures, None)?;
        // Not to be live is no answer to the question whether the photo is of this person.
        if result.errors.is_some() {
            return Err(Error::bad_request("LiveDetectionFailed"));
        }
        Ok(result.success)
    })
    .await
}

pub(super) fn endpoint_2() -> Endpoint {
    direct::endpoint(routes!(photo_verify_2))
}

/// One or two live pictures and a photo; the answer is an object.
#[utoipa::path(
    post,
    path = "/extension/photoverify2",
    tag = "bws",
    operation_id = "bws_photoverify2",
    summary = "Compare live pictures with an identity photo, with details",
    params(
        ("accuracy" = Option<u8>, Query, minimum = 1, maximum = 5, description = "The level that the photo must reach; 4 unless given"),
        ("state" = Option<String>, Query, description = "Any text, which is in the answer. With `details` it has the numbers that the decision came from"),
    ),
    request_body(
        content(
            (direct::PhotoImages = "application/json"),
            (direct::PhotoImages = "application/x-www-form-urlencoded"),
            (direct::PhotoImages = "multipart/form-data"),
        ),
        description = "The pictures, as data-URLs"
    ),
    responses(
        (status = 200, description = "The decision", body = PhotoVerifyResult),
    ),
    security(("app" = []))
)]
async fn photo_verify_2(
    State(state): State<AppState>,
    client: Client,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let accuracy = accuracy(&parameters)?;
    let echo = parameters.echo("state");
    let named = direct::receive(&state, &client, 2, request)
        .await?
        .named(&state, NAMES)
        .await?;
    // One live picture is enough, whichever of the two it is.
    let missing = |text: &Option<Vec<u8>>| text.as_deref().is_none_or(direct::is_missing);
    let [first_missing, second_missing, _] = named.0.each_ref().map(missing);
    direct::answer(&state, &client, 2, move |state| {
        let [first, second, photo] = named.0;
        let pictures = match (first_missing, second_missing) {
            (false, false) => Pictures::look_at(state, [first, second], photo)?,
            (true, false) => Pictures::look_at(state, [second], photo)?,
            (_, true) => Pictures::look_at(state, [first], photo)?,
        };
        PhotoVerifyResult::new(state, accuracy, &pictures, echo)
    })
    .await
}

/// The level asked for. One client leaves the braces of a template around it.
fn accuracy(parameters: &Parameters) -> Result<u8, Error> {
    let Some(text) = parameters.text("accuracy") else {
        return Ok(LEVEL_DEFAULT);
    };
    let bare = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .unwrap_or(text);
    let level = bare
        .parse()
        .ok()
        .filter(|level| (1..=LEVEL_MAX).contains(level));
    level.ok_or_else(|| {
        Error::bad_request(format!(
            "the parameter `accuracy` must be a whole number from 1 to {LEVEL_MAX}"
        ))
    })
}

impl Pictures {
    fn look_at<const N: usize>(
        state: &AppState,
        live: [Option<Vec<u8>>; N],
        photo: Option<Vec<u8>>,
    ) -> Result<Pictures, Error> {
        // All must be there before the first is looked at.
        for text in live.iter().chain([&photo]) {
            if text.as_deref().is_none_or(direct::is_missing) {
                return Err(PictureFault::MissingData.into());
            }
        }
        let look_at = |text: Option<Vec<u8>>| direct::look_at(state, text.as_deref());
        Ok(Pictures {
            live: live.into_iter().map(look_at).collect::<Result<_, _>>()?,
            photo: look_at(photo)?,
        })
    }

    /// The live ones, and then the photo.
    fn all(&self) -> impl Iterator<Item = &Look> {
        self.live.iter().chain([&self.photo])
    }

    /// By the motion of the live ones if there are several, by its texture if there is one.
    fn decide(&self, state: &AppState) -> Result<Option<Decision>, Error> {
        match &*self.live {
            [only] => decide_passive(state, only),
            several => decide_active(state, several),
        }
    }
}

impl PhotoVerifyResult {
    /// Decides about live pictures and the photo behind them.
    fn new(
        service: &AppState,
        accuracy: u8,
        pictures: &Pictures,
        state: Option<String>,
    ) -> Result<PhotoVerifyResult, Error> {
        let decision = pictures.decide(service)?;
        let is_live = decision.as_ref().is_some_and(|decision| decision.live);
        let accuracy_level = match &pictures.photo {
            Ok(photo) if is_live => level(service, &pictures.live, &photo.face.embedding)?,
            _ => 0,
        };
        let looks = pictures.all();
        let explained = Explained::new(service, looks, decision.as_ref(), state.as_deref());
        Ok(PhotoVerifyResult {
            success: accuracy_level >= accuracy,
            job: direct::job(),
            accuracy_level,
            samples: explained.samples,
            errors: explained.errors,
            liveness: explained.liveness,
            state,
        })
    }
}

/// How many of the levels the photo reaches.
fn level(state: &AppState, live: &[Look], photo: &Embedding) -> Result<u8, Error> {
    let profile = state.intake().profile();
    let live: Vec<&Embedding> = live
        .iter()
        .flatten()
        .map(|seen| &seen.face.embedding)
        .collect();
    let similarity = photo_similarity(profile.encoder(), &live, photo)?;
    let thresholds = profile.photo_thresholds().iter();
    let reached = thresholds.take_while(|&&threshold| similarity >= threshold);
    Ok(reached.count() as u8)
}
