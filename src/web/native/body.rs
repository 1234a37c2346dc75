//! What a call brings: one object of JSON, or a form whose fields have the same names.

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::receive;
use super::super::state::AppState;
use super::json;
use super::problem::{Code, Problem};
use super::samples::{GivenEmbeddings, GivenPicture, GivenPictures, GivenSamples, GivenValues};
use crate::types::Rounded;

/// Far more than any field but the samples has.
const FIELD_BYTES_MAX: usize = 4096;
/// More than what is known of a person has, so that whoever says too much learns how much it may be.
const RECORD_BYTES_MAX: usize = 64 << 10;
/// Fields that are texts, whatever they look like.
const TEXTS: [&str; 4] = ["encoder", "external_id", "name", "note"];
/// As often as a field may be repeated.
const TEXTS_MAX: usize = 128;
/// More than any call has, besides its samples.
const SETTINGS_MAX: usize = 16;

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

/// What can go wrong with a body and the picture in it, whomever it shows.
pub(super) const PICTURE_FAILURES: &[Code] = &[
    Code::MalformedBody,
    Code::NoSamples,
    Code::TooManySamples,
    Code::BodyTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidBase64,
    Code::InvalidPicture,
    Code::NoFaceFound,
];

/// A body that samples come in.
pub(super) trait CallBody: DeserializeOwned + Send + 'static {
    /// All that is not a sample.
    type Options: Send + 'static;

    fn split(self) -> (GivenSamples, Self::Options);
}

/// Reads the body of a request, as its content type says.
pub(super) async fn read<T: CallBody>(
    state: &AppState,
    request: Request,
) -> Result<(GivenSamples, T::Options), Problem> {
    match &*bare_content_type(request.headers()) {
        "application/json" => {
            let (_, body) = receive::whole(state, request).await?;
            let body_bytes = body.len();
            let read = async move { json::object::<T>(&body).map(CallBody::split) };
            state.lanes().read_body(body_bytes, read).await
        }
        "multipart/form-data" => {
            let (parts, body) = receive::whole(state, request).await?;
            let body_bytes = body.len();
            let request = Request::from_parts(parts, Body::from(body));
            state
                .lanes()
                .read_body(body_bytes, form::<T>(request))
                .await
        }
        _ => Err(Problem::new(
            Code::UnsupportedMediaType,
            "expected the content type `application/json` or `multipart/form-data`",
        )),
    }
}

/// The content type of a body in lower case, without its parameters.
pub(super) fn bare_content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let bare = kind.split(';').next().unwrap_or_default();
    bare.trim().to_ascii_lowercase()
}

async fn form<T: CallBody>(request: Request) -> Result<(GivenSamples, T::Options), Problem> {
    let (pictures, embeddings, fields) = fields(request).await?;
    let call: T = json::fields(fields)?;
    let (mut samples, options) = call.split();
    samples.pictures = pictures;
    samples.embeddings = embeddings;
    Ok((samples, options))
}

/// Pictures are in fields called `picture`, embeddings in fields called `embedding`, and all else in
/// fields that are called as they are in JSON.
async fn fields(
    request: Request,
) -> Result<(GivenPictures, GivenEmbeddings, Map<String, Value>), Problem> {
    let broken = || Problem::malformed("the body is not well-formed multipart/form-data");
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|_rejection| broken())?;
    let (mut pictures, mut embeddings) = (GivenPictures::default(), GivenEmbeddings::default());
    let mut fields = Map::new();
    while let Some(field) = form.next_field().await.map_err(|_rejection| broken())? {
        let name = field.name().unwrap_or_default().to_owned();
        let value = field.bytes().await.map_err(|_rejection| broken())?;
        match name.as_str() {
            "picture" => pictures.push(GivenPicture::from_field(value)),
            "embedding" => embeddings.push(values(&value, embeddings.count())?),
            "labels" | "not_same_as" => add_text(&mut fields, &name, &value)?,
            _ if fields.len() == SETTINGS_MAX => {
                let detail =
                    format!("the form has more than {SETTINGS_MAX} fields besides samples");
                return Err(Problem::malformed(detail));
            }
            _ => {
                let value = setting(&name, &value)?;
                if fields.insert(name.clone(), value).is_some() {
                    let detail = format!("the field `{}` is there twice", json::shown(&name));
                    return Err(Problem::malformed(detail));
                }
            }
        }
    }
    Ok((pictures, embeddings, fields))
}

/// Adds one of several texts to a field that may be repeated.
fn add_text(fields: &mut Map<String, Value>, name: &str, value: &[u8]) -> Result<(), Problem> {
    let text = str::from_utf8(value).ok();
    let text = text.filter(|text| text.len() <= FIELD_BYTES_MAX);
    let text =
        text.ok_or_else(|| Problem::malformed(format!("the field `{name}` must be a short text")))?;
    let texts = fields
        .entry(name)
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(texts) = texts {
        if texts.len() == TEXTS_MAX {
            let detail = format!("the form has more than {TEXTS_MAX} fields `{name}`");
            return Err(Problem::malformed(detail));
        }
        texts.push(Value::from(text));
    }
    Ok(())
}

/// A field as it would stand in JSON: a number, `true`, `false`, `null`, or else a text.
fn setting(name: &str, value: &[u8]) -> Result<Value, Problem> {
    // They would be refused as texts that are no lists.
    if let Some(right) = ["picture", "embedding"]
        .iter()
        .find(|right| name == format!("{right}s"))
    {
        let detail =
            format!("`{name}` is a member of JSON: in a form it is a field `{right}` for each");
        return Err(Problem::malformed(detail));
    }
    let most = match name {
        "external_id" | "name" | "note" => RECORD_BYTES_MAX,
        _ => FIELD_BYTES_MAX,
    };
    let text = str::from_utf8(value).ok();
    let text = text.filter(|text| text.len() <= most);
    let text = text.ok_or_else(|| {
        Problem::malformed(format!(
            "the field `{}` must be a short text, as all are but `picture` and `embedding`",
            json::shown(name)
        ))
    })?;
    Ok(match serde_json::from_str(text.trim()) {
        // A name of digits is a name.
        Ok(value @ (Value::Bool(_) | Value::Number(_) | Value::Null)) if !TEXTS.contains(&name) => {
            value
        }
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
    let number = |bytes: &[u8; 4]| Rounded(f32::from_le_bytes(*bytes));
    Ok(numbers.iter().map(number).collect())
}
