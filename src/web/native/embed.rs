//! `POST /v1/embed`: the embeddings of the caller's own pictures.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::state::AppState;
use super::answer;
use super::body::{self, CallBody};
use super::faces::warning_names;
use super::failures;
use super::key::Key;
use super::problem::{Code, Problem};
use super::samples::{GivenPictures, GivenSamples, encoder_name};
use crate::access::Scope;
use crate::intake::Sample;

/// Pictures of one person each, of the same or of different people.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EmbedRequest {
    /// Pictures, in base64, bare or as data-URLs.
    #[schema(value_type = Option<Vec<String>>)]
    pictures: Option<GivenPictures>,
}

/// The same as a form.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "forms are read field by field; this is their description"
)]
pub(in super::super) struct EmbedForm {
    /// Pictures, as they are; may be repeated.
    #[schema(value_type = Vec<String>, format = Binary)]
    picture: Vec<Vec<u8>>,
}

/// What the encoder says of pictures.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct EmbedAnswer {
    /// One for each picture, in their order.
    embeddings: Vec<EmbeddedPicture>,
    /// What made the embeddings, as `identify` and `enroll` take it.
    encoder: String,
}

/// What the encoder says of a picture.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct EmbeddedPicture {
    /// As many numbers as the encoder makes; a vector of length 1.
    embedding: Vec<f32>,
    /// How suitable the picture is, from 0 to 1.
    quality: Option<f32>,
    /// What could be better about it.
    warnings: Vec<&'static str>,
}

impl CallBody for EmbedRequest {
    type Options = ();

    fn split(self) -> (GivenSamples, ()) {
        let samples = GivenSamples::of_pictures(self.pictures.unwrap_or_default());
        (samples, ())
    }
}

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(
        routes!(embed),
        &[
            Key::FAILURES,
            Key::MAY_FAILURES,
            body::PICTURE_FAILURES,
            &[Code::NoFaceFound, Code::MultipleFacesFound],
            failures::OURS,
        ],
    )
}

/// Make embeddings of pictures
///
/// Each picture shows one person; they need not be the same. Nothing is kept. All of them, or none if one is of no
/// use. Needs the scope `embed`.
#[utoipa::path(
    post,
    path = "/embed",
    tag = "native",
    operation_id = "embed",
    request_body(content(
        (EmbedRequest = "application/json"),
        (EmbedForm = "multipart/form-data"),
    )),
    responses((status = 200, description = "The pictures were looked at", body = EmbedAnswer)),
    security(("api_key" = []))
)]
async fn embed(
    State(state): State<AppState>,
    key: Key,
    request: Request,
) -> Result<Response, Problem> {
    key.may(Scope::Embed)?;
    let (given, ()) = body::read::<EmbedRequest>(&state, request).await?;
    if given.embeddings.count() > 0 {
        return Err(Problem::malformed(
            "embeddings are made of pictures, and there is one already",
        ));
    }
    given.check(&state)?;
    let samples = given.take_in_each(&state, &key.account()).await?;
    let embedded = |sample: Sample| EmbeddedPicture {
        embedding: sample.embedding.values().to_vec(),
        quality: sample.quality,
        warnings: warning_names(&sample.warnings),
    };
    let answer = EmbedAnswer {
        embeddings: samples.into_iter().map(embedded).collect(),
        encoder: encoder_name(state.intake().encoder()),
    };
    Ok(answer::json(StatusCode::OK, &answer))
}
