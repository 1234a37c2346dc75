//! `POST /extension/upload`: one picture for the task of a token.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Serialize;
use tokio::time;

use super::super::auth::Caller;
use super::super::data_url::{DataUrl, DataUrlError};
use super::super::error::Error;
use super::super::parameters::Parameters;
use super::super::render;
use super::super::state::AppState;
use crate::access::{Claims, Trait, Traits};
use crate::face::FaceError;
use crate::samples::Sample;

/// The words that a tag is made of.
const TAG_WORDS: [&str; 5] = ["any", "up", "down", "left", "right"];

/// What the client learns of its picture.
#[derive(Serialize)]
#[serde(untagged)]
enum UploadResult {
    #[serde(rename_all = "PascalCase")]
    Accepted {
        accepted: bool,
        /// Present even when empty: browsers call a method on it.
        warnings: Vec<&'static str>,
    },
    #[serde(rename_all = "PascalCase")]
    Refused { accepted: bool, error: Refusal },
}

/// Why a picture is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Refusal {
    NoFaceFound,
    MultipleFacesFound,
    SampleNotOfExpectedType,
}

/// What a client says about its picture.
struct Labels {
    tag: Option<String>,
    index: Option<i64>,
    traits: Traits,
}

/// Examines a picture and keeps what is needed of it until the token's task.
pub(in super::super) async fn upload(
    State(state): State<AppState>,
    Caller(claims): Caller,
    parameters: Parameters,
    request: Request,
) -> Result<Response, Error> {
    let labels = Labels::new(&parameters)?;
    let now = state.clock().now();
    state.samples().check(claims.id, claims.expires, now)?;
    let body = body(&state, request).await?;
    let shared = state.clone();
    let examined = state
        .jobs()
        .run(move || examine(&shared, &claims, labels, &body))
        .await??;
    Ok(render::json(StatusCode::OK, &examined))
}

impl Labels {
    fn new(parameters: &Parameters) -> Result<Labels, Error> {
        let tag = parameters.text("tag").map(str::to_ascii_lowercase);
        let known = |tag: &str| {
            tag.split([' ', ','])
                .filter(|word| !word.is_empty())
                .all(|word| TAG_WORDS.contains(&word))
        };
        if tag.as_deref().is_some_and(|tag| !known(tag)) {
            return Err(Error::bad_request(
                "the parameter `tag` must be `any`, or one or more of `up`, `down`, `left`, `right`",
            ));
        }
        Ok(Labels {
            tag,
            index: parameters.integer("index", i64::MIN..=i64::MAX)?,
            traits: parameters.traits("trait")?,
        })
    }
}

impl UploadResult {
    fn refused(error: Refusal) -> UploadResult {
        UploadResult::Refused {
            accepted: false,
            error,
        }
    }
}

fn examine(
    state: &AppState,
    claims: &Claims,
    labels: Labels,
    body: &[u8],
) -> Result<UploadResult, Error> {
    let url = DataUrl::parse(body).map_err(|error| Error::bad_request(error.to_string()))?;
    let for_faces =
        labels.traits.contains(Trait::Face) || labels.traits.contains(Trait::Periocular);
    if !url.media_type.starts_with("image/") || !for_faces {
        return Ok(UploadResult::refused(Refusal::SampleNotOfExpectedType));
    }
    let face = match state.faces().only_face(&url.data) {
        Ok(face) => face,
        Err(error) => return refuse(error).map(UploadResult::refused),
    };
    let sample = Sample {
        embedding: face.embedding,
        quality: face.quality.score(),
        tag: labels.tag,
        index: labels.index,
    };
    let now = state.clock().now();
    state
        .samples()
        .put(claims.id, claims.expires, sample, now)?;
    Ok(UploadResult::Accepted {
        accepted: true,
        warnings: face.warnings.iter().map(|warning| warning.code()).collect(),
    })
}

/// What is wrong with the picture, or the error if it is none.
fn refuse(error: FaceError) -> Result<Refusal, Error> {
    match error {
        // A picture with too few pixels for a face has none; clients know what to do then.
        FaceError::NoFaceFound | FaceError::TooSmall { .. } => Ok(Refusal::NoFaceFound),
        FaceError::MultipleFacesFound { .. } => Ok(Refusal::MultipleFacesFound),
        error => Err(error.into()),
    }
}

/// The text of the sample: the body as it is, or the field of a form.
async fn body(state: &AppState, request: Request) -> Result<Bytes, Error> {
    let (parts, body) = request.into_parts();
    let whole = Request::from_parts(parts.clone(), body);
    let read = time::timeout(state.settings().body_wait, Bytes::from_request(whole, &()));
    let body = read
        .await
        .map_err(|_elapsed| {
            Error::new(
                StatusCode::REQUEST_TIMEOUT,
                "the body took too long to arrive",
            )
        })?
        .map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let max = state.settings().body_bytes_max;
                let message = format!("the body has more than the {max} bytes allowed");
                Error::new(StatusCode::PAYLOAD_TOO_LARGE, message)
            }
            _ => Error::bad_request("the body broke off"),
        })?;
    // Some clients announce a form and then send the bare text.
    if is_multipart(&parts) && !DataUrl::begins(&body) {
        return field(parts, body).await;
    }
    Ok(body)
}

fn is_multipart(parts: &Parts) -> bool {
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start()
        .to_ascii_lowercase()
        .starts_with("multipart/form-data")
}

/// The first field of a form that holds a data-URL, whatever its name.
async fn field(parts: Parts, body: Bytes) -> Result<Bytes, Error> {
    let broken = || Error::bad_request("the body is not well-formed multipart/form-data");
    let request = Request::from_parts(parts, Body::from(body));
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|_rejection| broken())?;
    while let Some(field) = form.next_field().await.map_err(|_rejection| broken())? {
        let value = field.bytes().await.map_err(|_rejection| broken())?;
        if DataUrl::begins(&value) {
            return Ok(value);
        }
    }
    Err(Error::bad_request(DataUrlError::Form.to_string()))
}
