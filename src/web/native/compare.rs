//! `POST /v1/compare`: do these two pictures show one person?

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
use super::faces;
use super::failures;
use super::key::Key;
use super::problem::{Code, Problem};
use super::samples::{GivenPictures, GivenSamples, SampleReport, check_threshold, encoder_name};
use crate::access::Scope;
use crate::intake::similarity_of;

/// Two pictures of one person each.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct CompareRequest {
    /// Two pictures, in base64, bare or as data-URLs.
    #[schema(value_type = Option<Vec<String>>)]
    pictures: Option<GivenPictures>,
    /// The similarity from which on it is the same person; for keys without the scope `scores` as in
    /// `identify`. Unless given, it is where this service takes
    /// two faces for one person.
    #[schema(minimum = -1, maximum = 1)]
    threshold: Option<f64>,
}

/// The same as a form.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "forms are read field by field; this is their description"
)]
pub(in super::super) struct CompareForm {
    /// Two pictures, as they are.
    #[schema(value_type = Vec<String>, format = Binary)]
    picture: Vec<Vec<u8>>,
    /// The similarity from which on it is the same person, as in JSON.
    #[schema(minimum = -1, maximum = 1)]
    threshold: Option<f64>,
}

/// Whether two pictures show one person.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct CompareAnswer {
    /// Whether the similarity reaches the threshold.
    accepted: bool,
    /// The cosine between the two faces, from -1 to 1; for keys without the scope `scores` rounded down,
    /// and null below the threshold.
    similarity: Option<f64>,
    /// The same as a score from 0 to 1; null where the similarity is.
    score: Option<f64>,
    /// The threshold that was used.
    threshold: f64,
    /// What made the embeddings.
    encoder: String,
    /// One for each picture.
    samples: Vec<SampleReport>,
}

impl CallBody for CompareRequest {
    /// The threshold.
    type Options = Option<f64>;

    fn split(self) -> (GivenSamples, Option<f64>) {
        let samples = GivenSamples::of_pictures(self.pictures.unwrap_or_default());
        (samples, self.threshold)
    }
}

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(
        routes!(compare),
        &[
            Key::FAILURES,
            Key::MAY_FAILURES,
            body::PICTURE_FAILURES,
            &[Code::NoFaceFound, Code::MultipleFacesFound],
            failures::OURS,
        ],
    )
}

/// Compare two pictures
///
/// Each shows one person. Nobody who is enrolled has to do with it, and nothing is kept. Needs the scope `verify`.
/// Similarities are told as in `identify`.
#[utoipa::path(
    post,
    path = "/compare",
    tag = "native",
    operation_id = "compare",
    request_body(content(
        (CompareRequest = "application/json"),
        (CompareForm = "multipart/form-data"),
    )),
    responses((status = 200, description = "The pictures were compared", body = CompareAnswer)),
    security(("api_key" = []))
)]
async fn compare(
    State(state): State<AppState>,
    key: Key,
    request: Request,
) -> Result<Response, Problem> {
    key.may(Scope::Verify)?;
    let (given, threshold) = body::read::<CompareRequest>(&state, request).await?;
    check_threshold(threshold)?;
    let given = GivenSamples {
        pictures: faces::pictures(given, 2)?,
        ..GivenSamples::default()
    };
    let samples = given.take_in_each(&state, &key.account()).await?;
    let intake = state.intake();
    let compared = similarity_of(&samples[0].embedding, &samples[1].embedding);
    let usual = intake.comparison_threshold();
    let disclosure = key.disclosure(intake);
    let threshold = disclosure.threshold(threshold, Some(usual))?;
    let threshold = threshold.unwrap_or(usual);
    let similarity = disclosure.similarity(compared, threshold);
    let answer = CompareAnswer {
        accepted: compared >= threshold,
        similarity,
        score: intake.score_for(disclosure, similarity, intake.encoder()),
        threshold,
        encoder: encoder_name(intake.encoder()),
        samples: samples.iter().map(SampleReport::of_one).collect(),
    };
    Ok(answer::json(StatusCode::OK, &answer))
}
