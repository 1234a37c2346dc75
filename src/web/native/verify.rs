//! `POST /v1/partitions/{partition}/classes/{class}/verify`: is this the person of the class?

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
use super::judging::{self, RateReport};
use super::key::Key;
use super::path::{self, ClassParameter, ClassPath, PartitionParameter};
use super::problem::{Code, Problem};
use super::samples::{
    GivenEmbeddings, GivenPictures, GivenSamples, Liveness, SampleReport, encoder_name,
};
use crate::access::Scope;
use crate::audit::Actor;
use crate::budgets::Told;
use crate::engine::fuse;
use crate::intake::{Bar, Disclosure, Samples};
use crate::types::Bcid;

/// Samples of one person, to be compared with a class.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct VerifyRequest {
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
    /// The similarity from which on it is the same person; for keys without the scope `scores` as in
    /// `identify`. Unless given, it is where this service takes two faces for one person; for the embeddings of another encoder it must be given.
    #[schema(minimum = -1, maximum = 1)]
    threshold: Option<f64>,
    /// In place of a threshold: how often a stranger may be taken for this one person, a rate such as 0.001,
    /// or 30 for the same (ten times its negative decimal logarithm).
    #[schema(example = 0.001)]
    target_fmr: Option<f64>,
}

/// The same as a form.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "forms are read field by field; this is their description"
)]
pub(in super::super) struct VerifyForm {
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
    /// The similarity from which on it is the same person, as in JSON.
    #[schema(minimum = -1, maximum = 1)]
    threshold: Option<f64>,
    /// In place of a threshold: how often a stranger may be taken for this one person, as in JSON.
    target_fmr: Option<f64>,
}

/// Whether the samples are of the person of the class.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct VerifyAnswer {
    /// Whether the similarity reaches the threshold.
    accepted: bool,
    /// The cosine between the samples and the most similar template of the class, from -1 to 1; for keys
    /// without the scope `scores` rounded down, and null below the threshold.
    similarity: Option<f64>,
    /// The same as a score from 0 to 1; null for the embeddings of another encoder, too.
    score: Option<f64>,
    /// The threshold that was used.
    threshold: f64,
    /// How often a stranger reaches it with one person; null if that is not known.
    fmr: Option<RateReport>,
    /// How many templates the class has.
    templates: usize,
    /// What made the embeddings.
    encoder: String,
    /// One for each sample.
    samples: Vec<SampleReport>,
}

impl CallBody for VerifyRequest {
    /// The threshold, and the rate in place of one.
    type Options = (Option<f64>, Option<f64>);

    fn split(self) -> (GivenSamples, Self::Options) {
        let samples = GivenSamples {
            pictures: self.pictures.unwrap_or_default(),
            embeddings: self.embeddings.unwrap_or_default(),
            encoder: self.encoder,
            liveness: self.liveness,
            face_box: None,
            is_enrolment: false,
        };
        (samples, (self.threshold, self.target_fmr))
    }
}

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(
        routes!(verify),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            &[Code::ThresholdUnknown, Code::ClassNotFound],
            judging::FAILURES,
            body::FAILURES,
            failures::OURS,
        ],
    )
}

/// Compare samples with a class
///
/// All samples are of one person and are compared together. Needs the scope `verify`. Embeddings need
/// `embeddings`, too, and similarities are told, as in `identify`.
#[utoipa::path(
    post,
    path = "/partitions/{partition}/classes/{class}/verify",
    tag = "native",
    operation_id = "verify",
    params(PartitionParameter, ClassParameter),
    request_body(content(
        (VerifyRequest = "application/json"),
        (VerifyForm = "multipart/form-data"),
    )),
    responses((status = 200, description = "The samples were compared", body = VerifyAnswer)),
    security(("api_key" = []))
)]
async fn verify(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
    request: Request,
) -> Result<Response, Problem> {
    key.may_use(Scope::Verify, &bcid.partition)?;
    let (given, (threshold, target_fmr)) = body::read::<VerifyRequest>(&state, request).await?;
    if given.has_embeddings() {
        judging::check_embeddings(&state, &key, &bcid.partition).await?;
    }
    given.check(&state)?;
    let bar = judging::verification_bar(threshold, target_fmr)?;
    let samples = given.take_in(&state, &key.account()).await?;
    let shared = state.clone();
    let asked = (bar, key.disclosure(state.intake()));
    let work = move || compare(&shared, &key.1, &bcid, &samples, asked);
    let (answer, delay) = state.lanes().small(work).await?;
    time::sleep(delay).await;
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Whether the samples are of the class, and by how much later that is to be told.
fn compare(
    state: &AppState,
    actor: &Actor,
    bcid: &Bcid,
    samples: &Samples,
    (bar, disclosure): (Bar, Disclosure),
) -> Result<(VerifyAnswer, Duration), Problem> {
    let (intake, encoder) = (state.intake(), &samples.encoder);
    let (engine, embeddings) = (state.engine(), samples.embeddings());
    // Samples that are wrong in themselves are refused whoever is enrolled.
    let sample = fuse(&samples.encoder, &embeddings)?;
    let gallery = engine.gallery(&bcid.partition, &samples.encoder)?;
    let gallery = gallery.ok_or_else(|| class::missing(bcid))?;
    let bar = intake.verification_for(engine, &gallery, bar, disclosure)?;
    let threshold = bar.threshold.ok_or_else(|| {
        let detail = format!("there is no threshold for `{encoder}`: give one");
        Problem::new(Code::ThresholdUnknown, detail)
    })?;
    state.ask_whether(actor, bcid, true)?;
    let found = gallery.verify(bcid.class, &[&sample])?;
    let found = found.ok_or_else(|| class::missing(bcid))?;
    let accepted = found.is_accepted(threshold);
    intake.decisions().verified(accepted);
    if accepted {
        gallery.note_match(bcid.class);
    }
    let decided = found.threshold(threshold);
    let bar = intake.verification(engine, &gallery, Bar::Similarity(decided))?;
    state.verified(actor, bcid, (encoder, &embeddings), (decided, accepted))?;
    let similarity = disclosure.similarity(found.similarity, decided);
    let told = Told {
        class: bcid.class,
        similarity: similarity.map(|_told| found.similarity),
    };
    let scored = u64::from(similarity.is_some());
    let delay = state.tell(actor, &bcid.partition, (&[told], scored));
    let answer = VerifyAnswer {
        accepted,
        similarity,
        score: intake.score_for(disclosure, similarity, encoder),
        threshold: decided,
        fmr: judging::fmr(&bar),
        templates: found.templates,
        encoder: encoder_name(&samples.encoder),
        samples: SampleReport::of(samples),
    };
    Ok((answer, delay))
}
