//! What a call brings: one object of JSON, or a form whose fields have the same names.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value};
use tokio::time;

use super::super::state::AppState;
use super::problem::{Code, Problem};
use super::samples::{GivenEmbeddings, GivenPicture, GivenPictures, GivenSamples, GivenValues};

/// Far more than any field but the samples has.
const FIELD_BYTES_MAX: usize = 4096;
/// More than any call has, besides its samples.
const SETTINGS_MAX: usize = 16;
/// The longest part of what a reader says that is passed on.
const DETAIL_CHARACTERS_MAX: usize = 200;

/// What can go wrong with a body and the samples in it.
pub(super) const FAILURES: &[Code] = &[
    Code::MalformedBody,
    Code::NoSamples,
    Code::TooManySamples,
    Code::BodyTimeout,
    Code::EncoderMismatch,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidBase64,
    Code::InvalidPicture,
    Code::NoFaceFound,
    Code::MultipleFacesFound,
    Code::InvalidEmbedding,
    Code::ContradictingSamples,
    Code::NotLive,
];

/// A body that samples come in.
pub(super) trait CallBody: DeserializeOwned {
    /// All that is not a sample.
    type Options;

    fn split(self) -> (GivenSamples, Self::Options);
}

/// Reads the body of a request, as its content type says.
pub(super) async fn read<T: CallBody>(
    state: &AppState,
    request: Request,
) -> Result<(GivenSamples, T::Options), Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let kind = kind.as_ref().and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    let bare = kind.split(';').next().unwrap_or_default().trim();
    match bare {
        "application/json" => Ok(json::<T>(&whole(state, request).await?)?.split()),
        "multipart/form-data" => form::<T>(state, request).await,
        _ => Err(Problem::new(
            Code::UnsupportedMediaType,
            "expected the content type `application/json` or `multipart/form-data`",
        )),
    }
}

async fn whole(state: &AppState, request: Request) -> Result<Bytes, Problem> {
    let options = state.options();
    let read = time::timeout(options.body_wait, Bytes::from_request(request, &()));
    let read = read
        .await
        .map_err(|_elapsed| Problem::new(Code::BodyTimeout, "the body took too long to arrive"))?;
    read.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let max = options.body_bytes_max;
            let detail = format!("the body has more than the {max} bytes allowed");
            Problem::new(Code::BodyTooLarge, detail)
        }
        _ => Problem::malformed("the body broke off"),
    })
}

fn json<T: CallBody>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("at line {}, column {}", error.line(), error.column());
        Problem::malformed(match error.classify() {
            Category::Data => format!(
                "the body does not have the documented form {place}{}",
                named(&error)
            ),
            _ => format!("the body is not JSON {place}"),
        })
    })
}

/// What a reader says of a field, unless that could repeat a value: values are faces.
fn named(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if !["unknown field", "missing field", "duplicate field"]
        .iter()
        .any(|safe| text.starts_with(safe))
    {
        return String::new();
    }
    let text: String = text.chars().take(DETAIL_CHARACTERS_MAX).collect();
    let text = text.split(" at line ").next().unwrap_or_default();
    format!(": {text}")
}

/// Pictures are in fields called `picture`, embeddings in fields called `embedding`, and all else in
/// fields that are called as they are in JSON.
async fn form<T: CallBody>(
    state: &AppState,
    request: Request,
) -> Result<(GivenSamples, T::Options), Problem> {
    let broken = || Problem::malformed("the body is not well-formed multipart/form-data");
    let (parts, body) = request.into_parts();
    let body = whole(state, Request::from_parts(parts.clone(), body)).await?;
    let request = Request::from_parts(parts, Body::from(body));
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|_rejection| broken())?;
    let (mut pictures, mut embeddings) = (GivenPictures::default(), GivenEmbeddings::default());
    let mut fields = Map::new();
    while let Some(field) = form.next_field().await.map_err(|_rejection| broken())? {
        let name = field.name().unwrap_or_default().to_owned();
        let value = field.bytes().await.map_err(|_rejection| broken())?;
        match name.as_str() {
            "picture" => pictures.push(GivenPicture::Bytes(value)),
            "embedding" => embeddings.push(values(&value, embeddings.count())?),
            _ if fields.len() == SETTINGS_MAX => {
                let detail =
                    format!("the form has more than {SETTINGS_MAX} fields besides samples");
                return Err(Problem::malformed(detail));
            }
            _ => {
                let value = setting(&name, &value)?;
                if fields.insert(name, value).is_some() {
                    return Err(Problem::malformed("a field is there twice"));
                }
            }
        }
    }
    let call: T = serde_json::from_value(Value::Object(fields)).map_err(|error| {
        Problem::malformed(format!("a field of the form is wrong{}", named(&error)))
    })?;
    let (mut samples, options) = call.split();
    samples.pictures = pictures;
    samples.embeddings = embeddings;
    Ok((samples, options))
}

/// A field as it would stand in JSON: a number, `true`, `false`, or else a text.
fn setting(name: &str, value: &[u8]) -> Result<Value, Problem> {
    let text = str::from_utf8(value).ok();
    let text = text.filter(|text| text.len() <= FIELD_BYTES_MAX);
    let text = text.ok_or_else(|| {
        Problem::malformed("a field that is neither `picture` nor `embedding` must be a short text")
    })?;
    Ok(match serde_json::from_str(text.trim()) {
        // A name of digits is a name.
        Ok(value @ (Value::Bool(_) | Value::Number(_))) if name != "encoder" => value,
        _ => Value::from(text),
    })
}

/// Single-precision numbers, the lowest byte first.
fn values(bytes: &[u8], at: usize) -> Result<GivenValues, Problem> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        let detail = format!(
            "embedding {at} has {} bytes, expected four for each value",
            bytes.len()
        );
        return Err(Problem::new(Code::InvalidEmbedding, detail));
    }
    Ok(numbers.iter().copied().map(f32::from_le_bytes).collect())
}
