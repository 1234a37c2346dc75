//! `POST /v1/partitions/{partition}/classes/{class}/enroll`: this is the person of the class.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::time;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::state::AppState;
use super::answer;
use super::body::{self, CallBody};
use super::class;
use super::failures;
use super::given_box::GivenBox;
use super::key::Key;
use super::partitions;
use super::path::{self, ClassParameter, ClassPath, PartitionParameter, PartitionPath};
use super::problem::{Code, Problem};
use super::record::{GivenClasses, GivenLabels, GivenRecord, RecordMembers, permitted};
use super::resemblance::{DuplicateReport, Place, Resemblance, Teller};
use super::samples::{
    GivenEmbeddings, GivenPictures, GivenSamples, Liveness, SampleReport, encoder_name,
};
use crate::access::Scope;
use crate::intake::Samples;
use crate::partition::Whom;
use crate::types::{Bcid, Embedding, PartitionId, RecordChange};

/// So many others of the same name are listed.
const SAME_NAME_MAX: usize = 100;

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
    /// What the person is called. This and what follows is added to what is known of them.
    #[schema(example = "Ada Lovelace")]
    name: Option<String>,
    /// What another system calls the person.
    external_id: Option<String>,
    /// By which people are chosen, each key with a value.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    labels: Option<GivenLabels>,
    /// What was agreed with the person, or why they are here.
    note: Option<String>,
    /// From this moment on the person is not found, in milliseconds since 1970 in UTC.
    expires_unix_milliseconds: Option<i64>,
    /// The similarity from which on it is this person, in place of any other threshold.
    #[schema(minimum = -1, maximum = 1)]
    threshold: Option<f64>,
    /// Classes of other people who look like this one.
    #[schema(value_type = Option<Vec<String>>)]
    not_same_as: Option<GivenClasses>,
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
    /// What the person is called. This and what follows is added to what is known of them.
    name: Option<String>,
    /// What another system calls the person.
    external_id: Option<String>,
    /// By which people are chosen, such as `site:berlin`; may be repeated.
    labels: Vec<String>,
    /// What was agreed with the person, or why they are here.
    note: Option<String>,
    /// From this moment on the person is not found, in milliseconds since 1970 in UTC.
    expires_unix_milliseconds: Option<i64>,
    /// The similarity from which on it is this person, in place of any other threshold.
    threshold: Option<f64>,
    /// Classes of other people who look like this one; may be repeated.
    not_same_as: Vec<String>,
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
    /// template of it, from -1 to 1; null for a new class, and for keys that may not verify. For keys without
    /// the scope `scores` it is rounded down, and null below the threshold.
    similarity_to_class: Option<f64>,
    /// Whether that reaches the threshold; null likewise, and where no threshold is known. Nothing is
    /// refused because of it, since people change; but where it is false the samples may show somebody else.
    looks_like_class: Option<bool>,
    /// Somebody else who is enrolled and seems to be the same person, as long as the operator has such people
    /// looked for (`enroll-duplicates`); null if there is nobody.
    duplicate: Option<DuplicateReport>,
    #[serde(flatten)]
    record: RecordMembers,
    /// Other classes of the same name, in order; at most 100. Nothing is refused because of them.
    same_name: Vec<String>,
    /// What made the embeddings.
    encoder: String,
    /// One for each sample.
    samples: Vec<SampleReport>,
}

impl CallBody for EnrollRequest {
    /// Whether to replace, and what is to be known of the person.
    type Options = (bool, GivenRecord);

    fn split(self) -> (GivenSamples, (bool, GivenRecord)) {
        let record = GivenRecord {
            name: Some(self.name),
            external_id: Some(self.external_id),
            labels: Some(self.labels),
            note: Some(self.note),
            expires_unix_milliseconds: Some(self.expires_unix_milliseconds),
            threshold: Some(self.threshold),
            not_same_as: Some(self.not_same_as),
        };
        let samples = GivenSamples {
            pictures: self.pictures.unwrap_or_default(),
            embeddings: self.embeddings.unwrap_or_default(),
            encoder: self.encoder,
            liveness: self.liveness,
            face_box: self.face_box,
            is_enrolment: true,
        };
        (samples, (self.replace.unwrap_or(false), record))
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
            &[
                Code::PoorQuality,
                Code::ClassNotFound,
                Code::AlreadyEnrolled,
                Code::BudgetSpent,
            ],
            class::RECORD_FAILURES,
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
/// that are not good enough to know somebody by, are refused. Needs the scope `enroll`. Whom the samples look like
/// is told to keys that have `verify`, too, and with embeddings also `embeddings` where a threshold is known.
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
    let Bcid { partition, class } = bcid;
    carry_out(&state, &key, (partition, Whom::Class(class)), request).await
}

pub(super) fn new_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(enroll_new),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            body::FAILURES,
            &[
                Code::PoorQuality,
                Code::ClassNotFound,
                Code::AlreadyEnrolled,
                Code::BudgetSpent,
            ],
            class::RECORD_FAILURES,
            failures::OURS,
            failures::OF_CHANGES,
        ],
    )
}

/// Enrol a person whose class the service chooses
///
/// As `enroll` of a class. The class is a number from 1 on that nobody had before. Where the external id is known it
/// is the class of that person, who gets more templates. Needs the scope `enroll`.
#[utoipa::path(
    post,
    path = "/partitions/{partition}/enroll",
    tag = "native",
    operation_id = "enroll_new",
    params(PartitionParameter),
    request_body(content(
        (EnrollRequest = "application/json"),
        (EnrollForm = "multipart/form-data"),
    )),
    responses((status = 200, description = "The person is enrolled", body = EnrollAnswer)),
    security(("api_key" = []))
)]
async fn enroll_new(
    State(state): State<AppState>,
    key: Key,
    PartitionPath(partition): PartitionPath,
    request: Request,
) -> Result<Response, Problem> {
    carry_out(&state, &key, (partition, Whom::New), request).await
}

async fn carry_out(
    state: &AppState,
    key: &Key,
    (partition, whom): (PartitionId, Whom),
    request: Request,
) -> Result<Response, Problem> {
    key.may_use(Scope::Enroll, &partition)?;
    let (given, (replaces, record)) = body::read::<EnrollRequest>(state, request).await?;
    given.check(state)?;
    let record = record.addition()?;
    let told = Teller::new(state, key, &partition, given.has_embeddings());
    let samples = given.take_in(state, &key.account()).await?;
    let shared = state.clone();
    let place = (partition, whom);
    let work = move || add(&shared, &place, &samples, (replaces, record), &told);
    let (answer, delay) = state.lanes().write(work).await?;
    time::sleep(delay).await;
    Ok(answer::json(StatusCode::OK, &answer))
}

fn add(
    state: &AppState,
    (partition, whom): &(PartitionId, Whom),
    samples: &Samples,
    (replaces, record): (bool, RecordChange),
    teller: &Teller,
) -> Result<(EnrollAnswer, Duration), Problem> {
    let (whom, intake) = (*whom, state.intake());
    intake.check_qualities(samples)?;
    let templates = samples.templates();
    let (engine, now) = (state.engine(), state.clock().now());
    let gallery = engine.gallery(partition, &samples.encoder)?;
    let (usual, least) = match &gallery {
        Some(gallery) => (
            intake.usual_verification(engine, gallery)?,
            intake.least_verification(engine, gallery)?,
        ),
        // Nobody is there yet.
        None => (
            None,
            intake.least_of_new(engine, partition, &samples.encoder),
        ),
    };
    let record = permitted(record, teller.disclosure, least)?;
    let embeddings: Vec<&Embedding> = templates.iter().map(|it| &it.embedding).collect();
    let seen = match &gallery {
        Some(gallery) => {
            let place = Place {
                gallery,
                whom,
                record: &record,
                usual,
                least,
            };
            teller.look(state, &place, &embeddings)?
        }
        None => Resemblance::default(),
    };
    let place = (partition, whom);
    let person =
        engine.enroll_person(place, &samples.encoder, &templates, replaces, record, now)?;
    let bcid = Bcid::new(partition.clone(), person.class);
    let from = (&samples.encoder, &embeddings[..]);
    state.enrolled(&teller.actor, &bcid, from, person.enrolled.added)?;
    let gallery = match gallery {
        Some(gallery) => gallery,
        None => engine
            .enrolled(partition)?
            .ok_or_else(|| partitions::missing(partition))?,
    };
    let same_name = match &person.record.name {
        Some(name) => gallery.named(name.as_str(), SAME_NAME_MAX)?,
        None => Vec::new(),
    };
    let others = same_name.into_iter().filter(|class| *class != person.class);
    let enrolled = person.enrolled;
    let answer = EnrollAnswer {
        class: person.class.to_string(),
        added: enrolled.added,
        known: enrolled.known,
        removed: enrolled.removed,
        templates: enrolled.templates,
        looks_like_class: seen.looks_like_class,
        similarity_to_class: seen.similarity,
        duplicate: seen.duplicate,
        record: RecordMembers::new(&person.record),
        same_name: others.map(|class| class.to_string()).collect(),
        encoder: encoder_name(&samples.encoder),
        samples: SampleReport::of(samples),
    };
    Ok((answer, seen.delay))
}
