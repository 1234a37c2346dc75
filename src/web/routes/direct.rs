//! What the calls have in common that bring their pictures with them.
//!
//! A picture that is missing or cannot be read is answered with 400 and a code as its `Message`, since
//! clients compare that. One that shows no face, or two, is as well where the answer would be a bare
//! `true` or `false`; where it is an object, that says so among the errors of the sample.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::auth::Client;
use super::super::body::Received;
use super::super::data_url::{DataUrl, DataUrlError};
use super::super::endpoint::{Endpoint, Routed};
use super::super::error::Error;
use super::super::render;
use super::super::state::AppState;
use super::failures::{self, ErrorStatus};
use crate::face::Face;
use crate::intake::{Care, Cause, IntakeError, Seen};
use crate::liveness::{Decision, Reason};

/// What can go wrong with each of them.
const FAILURES: &[ErrorStatus] = &[
    ErrorStatus::BadRequest,
    ErrorStatus::Unauthorized,
    ErrorStatus::BodyTimeout,
    ErrorStatus::BodyTooLarge,
    ErrorStatus::UnknownEncoding,
    ErrorStatus::Internal,
    ErrorStatus::Busy,
];

/// A call that brings its pictures with it.
pub(super) fn endpoint(routed: Routed) -> Endpoint {
    failures::endpoint(routed, FAILURES)
}

/// A form with one sample.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "forms are read field by field; this is their description"
)]
pub(super) struct SampleForm {
    /// The sample as a data-URL. The name does not matter, and may be empty.
    sample: String,
}

/// A form with one video.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "forms are read field by field; this is their description"
)]
pub(super) struct VideoForm {
    /// The bytes of the video. The name does not matter.
    #[schema(value_type = String, format = Binary)]
    video: Vec<u8>,
}

/// Two live pictures, as data-URLs.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "bodies are read member by member; this is their description"
)]
pub(super) struct LiveImages {
    /// The head looks straight ahead.
    liveimage1: String,
    /// It has turned or nodded a little.
    liveimage2: String,
}

/// Live pictures and an identity photo, as data-URLs.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "bodies are read member by member; this is their description"
)]
pub(super) struct PhotoImages {
    /// A live picture. `photoverify` needs both, `photoverify2` either of them.
    liveimage1: Option<String>,
    /// A second one.
    liveimage2: Option<String>,
    /// The photo.
    idphoto: String,
}

/// What is wrong with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PictureFault {
    /// It is not there.
    MissingData,
    /// It cannot be read.
    InvalidSampleData,
    /// It is something else than a picture.
    SampleNotOfExpectedType,
    NoFaceFound,
    MultipleFacesFound,
}

impl PictureFault {
    pub(super) fn code(self) -> &'static str {
        match self {
            PictureFault::MissingData => "MissingData",
            PictureFault::InvalidSampleData => "InvalidSampleData",
            PictureFault::SampleNotOfExpectedType => "SampleNotOfExpectedType",
            PictureFault::NoFaceFound => "NoFaceFound",
            PictureFault::MultipleFacesFound => "MultipleFacesFound",
        }
    }

    fn message(self) -> &'static str {
        match self {
            PictureFault::MissingData => "the picture is missing",
            PictureFault::InvalidSampleData => "the picture cannot be read",
            PictureFault::SampleNotOfExpectedType => "the sample is no picture",
            PictureFault::NoFaceFound => "there is no face in the picture",
            PictureFault::MultipleFacesFound => "there are several faces in the picture",
        }
    }

    /// Whether the picture was read, and only what it shows is wrong.
    fn is_of_faces(self) -> bool {
        matches!(
            self,
            PictureFault::NoFaceFound | PictureFault::MultipleFacesFound
        )
    }
}

impl From<PictureFault> for Error {
    fn from(fault: PictureFault) -> Error {
        Error::bad_request(fault.code())
    }
}

/// What came of looking at a picture: a face, or what is wrong with what it shows.
pub(super) type Look = Result<Seen, PictureFault>;

/// The only face in a picture, which is the text of a data-URL, seen as that of an upload is: the same
/// bytes are as live here as there. `data:,` is one that is missing, as is none.
pub(super) fn look_at(state: &AppState, text: Option<&[u8]>) -> Result<Look, Error> {
    look_with(state, text, Care::Glance)
}

/// As [`look_at`], for whoever judges the picture itself and not how live it is.
pub(super) fn look_closely_at(state: &AppState, text: Option<&[u8]>) -> Result<Look, Error> {
    look_with(state, text, Care::Close)
}

fn look_with(state: &AppState, text: Option<&[u8]>, care: Care) -> Result<Look, Error> {
    let text = text.ok_or(PictureFault::MissingData)?;
    let url = DataUrl::parse(text).map_err(|error| match error {
        DataUrlError::Empty | DataUrlError::NoData => PictureFault::MissingData,
        DataUrlError::NotBase64 if is_missing(text) => PictureFault::MissingData,
        _ => PictureFault::InvalidSampleData,
    })?;
    if !url.media_type.is_empty() && !url.media_type.starts_with("image/") {
        return Err(PictureFault::SampleNotOfExpectedType.into());
    }
    look(state.intake().look(&url.data, care))
}

/// Whether a text stands for no picture: nothing, or the empty data-URL that some clients send.
pub(super) fn is_missing(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    text.is_empty() || text.eq_ignore_ascii_case(b"data:,")
}

/// What came of looking at a picture, in the words of this API.
pub(super) fn look(seen: Result<Seen, IntakeError>) -> Result<Look, Error> {
    let error = match seen {
        Ok(seen) => return Ok(Ok(seen)),
        Err(error) => error,
    };
    match error.cause {
        Cause::NoFace(_) => Ok(Err(PictureFault::NoFaceFound)),
        Cause::SeveralFaces(_) => Ok(Err(PictureFault::MultipleFacesFound)),
        Cause::Picture(_) => Err(PictureFault::InvalidSampleData.into()),
        _ => Err(error.into()),
    }
}

/// Waits for the body of a call with so many pictures, unless there is no time to look at them.
pub(super) async fn receive(
    state: &AppState,
    client: &Client,
    pictures: usize,
    request: Request,
) -> Result<Received, Error> {
    state.lanes().check_see(&client.account(), pictures)?;
    Received::whole(state, request).await
}

/// Answers with what `work` makes of so many pictures, when its turn comes.
pub(super) async fn answer<T: Serialize + Send + Sync + 'static>(
    state: &AppState,
    client: &Client,
    pictures: usize,
    work: impl FnOnce(&AppState) -> Result<T, Error> + Send + 'static,
) -> Result<Response, Error> {
    let shared = state.clone();
    let (lanes, account) = (state.lanes(), client.account());
    let result = lanes
        .see(&account, pictures, move |_left| work(&shared))
        .await??;
    Ok(render::answer(StatusCode::OK, result))
}

/// A new GUID for an answer, by which it can be spoken of.
pub(super) fn job() -> String {
    Uuid::from_bytes(rand::random()).hyphenated().to_string()
}

/// What is said of one picture.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename = "Sample", rename_all = "PascalCase")]
#[schema(as = Sample)]
pub(in super::super) struct JudgedSample {
    /// There even when empty: clients go through it.
    errors: Vec<SampleError>,
    eye_centers: Option<EyeCenters>,
}

/// What could be better, or what is wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename = "Error", rename_all = "PascalCase")]
pub(in super::super) struct SampleError {
    code: &'static str,
    message: &'static str,
    details: String,
}

/// What an answer says of a liveness decision, or of why there is none.
pub(super) struct Explained {
    /// One for each picture.
    pub(super) samples: Vec<JudgedSample>,
    /// Why the pictures are not live.
    pub(super) errors: Option<Vec<SampleError>>,
    /// What the decision came from, if `state` asks for it.
    pub(super) liveness: Option<LivenessDetails>,
}

impl Explained {
    /// The decision is about the first of the pictures, as many as it has samples.
    pub(super) fn new<'a>(
        service: &AppState,
        looks: impl IntoIterator<Item = &'a Look>,
        decision: Option<&Decision>,
        state: Option<&str>,
    ) -> Explained {
        let parts = decision.map(|decision| &decision.parts.samples);
        let samples = looks.into_iter().enumerate().map(|(number, look)| {
            let part = parts.and_then(|parts| parts.get(number));
            JudgedSample::new(look, part.and_then(|part| part.fault))
        });
        let error = decision.and_then(SampleError::of_decision);
        Explained {
            samples: samples.collect(),
            errors: error.map(|error| vec![error]),
            liveness: LivenessDetails::asked(service, state, decision),
        }
    }
}

/// Where the eyes are, in pixels. Right and left are those of the person.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct EyeCenters {
    right_eye_x: f64,
    right_eye_y: f64,
    left_eye_x: f64,
    left_eye_y: f64,
}

impl JudgedSample {
    /// A picture with what its quality and the liveness decision say of it.
    fn new(look: &Look, fault: Option<Reason>) -> JudgedSample {
        let errors = match look {
            Err(fault) => vec![SampleError::of_fault(*fault)],
            Ok(seen) => {
                let liveness = fault.map(|reason| SampleError {
                    code: reason.sample_code(),
                    message: reason.message(),
                    details: String::new(),
                });
                liveness
                    .into_iter()
                    .chain(SampleError::of_quality(&seen.face))
                    .collect()
            }
        };
        JudgedSample {
            errors,
            eye_centers: look.as_ref().ok().map(|seen| EyeCenters::of(&seen.face)),
        }
    }
}

impl SampleError {
    pub(super) fn new(code: &'static str, message: &'static str, details: String) -> SampleError {
        SampleError {
            code,
            message,
            details,
        }
    }

    pub(super) fn of_fault(fault: PictureFault) -> SampleError {
        debug_assert!(fault.is_of_faces());
        SampleError::new(fault.code(), fault.message(), String::new())
    }

    /// What could be better about a face.
    pub(super) fn of_quality(face: &Face) -> impl Iterator<Item = SampleError> {
        let warnings = face.warnings.iter();
        warnings.map(|warning| SampleError::new(warning.code(), warning.message(), String::new()))
    }

    /// Why samples are not live; none if they are.
    fn of_decision(decision: &Decision) -> Option<SampleError> {
        let failure = decision.failure?;
        let reason = decision.parts.reason;
        Some(SampleError::new(
            failure.code(),
            reason.map_or("the samples do not show a live person", Reason::message),
            String::new(),
        ))
    }
}

impl EyeCenters {
    pub(super) fn of(face: &Face) -> EyeCenters {
        // The eye on the left of the picture is the person's right one.
        let [right, left, ..] = face.landmarks;
        EyeCenters {
            right_eye_x: rounded(right.x),
            right_eye_y: rounded(right.y),
            left_eye_x: rounded(left.x),
            left_eye_y: rounded(left.y),
        }
    }
}

/// Hundredths of a pixel are more than anybody can tell.
fn rounded(value: f32) -> f64 {
    (f64::from(value) * 100.0).round() / 100.0
}

/// What a decision about liveness came from, for `state=details`. What was not looked at is left
/// out. `docs/liveness.md` explains the numbers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename = "Liveness", rename_all = "PascalCase")]
#[schema(as = LivenessDetails)]
pub(in super::super) struct LivenessDetails {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    score_min: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity: Option<f64>,
    similarity_min: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    motion: Option<LivenessMotion>,
    turn_min: f64,
    /// From here on two samples are one picture.
    same_picture_correlation: f64,
    samples: Vec<LivenessSample>,
}

/// The two samples that show most of a solid head, and how they differ.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct LivenessMotion {
    first: usize,
    second: usize,
    turn: f64,
    parallax: f64,
    correlation: f64,
    passive: f64,
    fringes: f64,
}

/// One sample alone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct LivenessSample {
    passive_score: f32,
    yaw: f32,
    pitch: f32,
}

impl LivenessDetails {
    /// The parts of `decision` if `state` asks for them.
    fn asked(
        service: &AppState,
        state: Option<&str>,
        decision: Option<&Decision>,
    ) -> Option<LivenessDetails> {
        let asked = state.is_some_and(|state| state.eq_ignore_ascii_case("details"));
        decision
            .filter(|_| asked)
            .map(|decision| LivenessDetails::of(service, decision))
    }

    fn of(service: &AppState, decision: &Decision) -> LivenessDetails {
        let parts = &decision.parts;
        let thresholds = service.intake().liveness_thresholds();
        let samples = parts.samples.iter();
        LivenessDetails {
            reason: parts.reason.map(Reason::message),
            score: parts.score,
            score_min: match parts.samples.len() {
                1 => thresholds.passive_score_min,
                _ => thresholds.active_score_min,
            },
            similarity: parts.similarity,
            similarity_min: thresholds.similarity_min,
            motion: parts.motion.map(|motion| LivenessMotion {
                first: motion.first,
                second: motion.second,
                turn: motion.turn,
                parallax: motion.parallax,
                correlation: motion.correlation,
                passive: motion.passive,
                fringes: motion.fringes,
            }),
            turn_min: thresholds.turn_degrees_min,
            same_picture_correlation: thresholds.same_picture_correlation,
            samples: samples
                .map(|sample| LivenessSample {
                    passive_score: sample.passive_score,
                    yaw: sample.yaw,
                    pitch: sample.pitch,
                })
                .collect(),
        }
    }
}
