//! `POST /v1/partitions/{partition}/classes/{class}/enroll`: this is the person of the class.

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
use super::failures;
use super::given_box::GivenBox;
use super::key::Key;
use super::path::{self, ClassParameter, ClassPath, PartitionParameter};
use super::problem::{Code, Problem};
use super::samples::{
    GivenEmbeddings, GivenPictures, GivenSamples, Liveness, SampleReport, encoder_name,
};
use crate::access::Scope;
use crate::intake::Samples;
use crate::types::{Bcid, Embedding};

/// Samples of one person, to be recognised by later.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EnrollRequest {
    /// Pictures of the person, in base64, bare or as data-URLs.
    #[schema(value_type = Option<Vec<String>>)]
    pictures: Option<GivenPictures>,
    /// Ready embeddings of the person, 16 to 4096 values each.
    #[schema(value_type = Option<Vec<Vec<f32>>>)]
    embeddings: Option<GivenEmbeddings>,
    /// What made the embeddings, `name` or `name@version`; needed with embeddings.
    #[schema(example = "sface@2021dec")]
    encoder: Option<String>,
    /// Refuse pictures that are not of a live person.
    liveness: Option<Liveness>,
    /// Which face of the picture is meant, where it shows several: `left,top,width,height` in pixels, or an
    /// object as in the answer of `identify-faces`. The face that it overlaps most is enrolled.
    #[serde(rename = "box")]
    #[schema(value_type = Option<String>, example = "412,96,180,240")]
    face_box: Option<GivenBox>,
    /// Replace all templates of the class, instead of adding to them.
    #[schema(default = false)]
    replace: Option<bool>,
}

/// The same as a form.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "forms are read field by field; this is their description"
)]
pub(in super::super) struct EnrollForm {
    /// Pictures of the person, as they are; may be repeated.
    #[schema(value_type = Vec<String>, format = Binary)]
    picture: Vec<Vec<u8>>,
    /// Ready embeddings of the person: single-precision values, the lowest byte first; may be repeated.
    #[schema(value_type = Vec<String>, format = Binary)]
    embedding: Vec<Vec<u8>>,
    /// What made the embeddings, `name` or `name@version`; needed with embeddings.
    encoder: Option<String>,
    /// Refuse pictures that are not of a live person.
    liveness: Option<Liveness>,
    /// Which face of the only picture is meant, where it shows several: `left,top,width,height` in pixels.
    r#box: Option<String>,
    /// Replace all templates of the class, instead of adding to them.
    replace: Option<bool>,
}

/// What an enrolment did. It is on disk, and the next search finds it.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct EnrollAnswer {
    /// The class.
    class: String,
    /// How many templates were added.
    added: usize,
    /// How many of the samples were templates of the class already, and were not added again.
    known: usize,
    /// How many older templates of the class gave way.
    removed: usize,
    /// How many templates the class has now.
    templates: usize,
    /// How alike the samples are to the class as it was before: the highest similarity of a sample to a
    /// template of it, from -1 to 1; null for a new class. Nothing is refused because of it, since people
    /// change; but where it is far below the threshold of the service, the samples may show somebody else.
    similarity_to_class: Option<f64>,
    /// What made the embeddings.
    encoder: String,
    /// One for each sample.
    samples: Vec<SampleReport>,
}

impl CallBody for EnrollRequest {
    /// Whether to replace.
    type Options = bool;

    fn split(self) -> (GivenSamples, bool) {
        let samples = GivenSamples {
            pictures: self.pictures.unwrap_or_default(),
            embeddings: self.embeddings.unwrap_or_default(),
            encoder: self.encoder,
            liveness: self.liveness,
            face_box: self.face_box,
        };
        (samples, self.replace.unwrap_or(false))
    }
}

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(
        routes!(enroll),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            body::FAILURES,
            &[Code::PoorQuality],
            failures::OURS,
            failures::OF_CHANGES,
        ],
    )
}

/// Make samples templates of a class
///
/// All of them, or none if one is of no use. The partition and the class come into being with the first. When
/// the answer comes, the templates are on disk and the next search finds them. A class keeps at most ten
/// templates: good ones that differ from one another. Samples that do not look like one person, and pictures
/// that are not good enough to know somebody by, are refused. Needs the scope `enroll`.
#[utoipa::path(
    post,
    path = "/partitions/{partition}/classes/{class}/enroll",
    tag = "native",
    operation_id = "enroll",
    params(PartitionParameter, ClassParameter),
    request_body(content(
        (EnrollRequest = "application/json"),
        (EnrollForm = "multipart/form-data"),
    )),
    responses((status = 200, description = "The person is enrolled", body = EnrollAnswer)),
    security(("api_key" = []))
)]
async fn enroll(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
    request: Request,
) -> Result<Response, Problem> {
    key.may_use(Scope::Enroll, &bcid.partition)?;
    let (given, replace) = body::read::<EnrollRequest>(&state, request).await?;
    given.check(&state)?;
    let samples = given.take_in(&state, &key.account()).await?;
    let shared = state.clone();
    let work = move || add(&shared, &bcid, &samples, replace);
    let answer = state.lanes().write(work).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

fn add(
    state: &AppState,
    bcid: &Bcid,
    samples: &Samples,
    replace: bool,
) -> Result<EnrollAnswer, Problem> {
    state.intake().check_qualities(samples)?;
    let templates = samples.templates();
    let (engine, now) = (state.engine(), state.clock().now());
    let gallery = engine.gallery(&bcid.partition, &samples.encoder)?;
    let embeddings: Vec<&Embedding> = templates.iter().map(|it| &it.embedding).collect();
    let similarity_to_class = match gallery {
        Some(gallery) => gallery.similarity_to_class(bcid.class, &embeddings)?,
        None => None,
    };
    let enrolled = if replace {
        engine.replace(bcid, &samples.encoder, &templates, now)?
    } else {
        engine.enroll(bcid, &samples.encoder, &templates, now)?
    };
    Ok(EnrollAnswer {
        class: bcid.class.to_string(),
        added: enrolled.added,
        known: enrolled.known,
        removed: enrolled.removed,
        templates: enrolled.templates,
        similarity_to_class,
        encoder: encoder_name(&samples.encoder),
        samples: SampleReport::of(samples),
    })
}
