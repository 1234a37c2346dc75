//! `POST /v1/partitions/{partition}/identify`: who in the partition is this?

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::time;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::budgets;
use super::super::endpoint::Endpoint;
use super::super::lanes::IdentifyPromise;
use super::super::state::AppState;
use super::answer;
use super::body::{self, CallBody};
use super::decisions;
use super::failures;
use super::judging::{self, Audited, Decision, RateReport};
use super::key::Key;
use super::partitions;
use super::path::{self, PartitionParameter, PartitionPath};
use super::problem::{Code, Problem};
use super::record::GivenLabels;
use super::samples::{
    GivenEmbeddings, GivenPictures, GivenSamples, Liveness, SampleReport, encoder_name,
};
use crate::access::{ApiKeyId, Scope};
use crate::audit::Actor;
use crate::code::Probe;
use crate::engine::scheduler::QuestionQuery;
use crate::engine::{EngineError, Gallery, fuse};
use crate::intake::{Bar, Disclosure, Samples};
use crate::turns::Account;
use crate::types::{ClassId, Labels, Match, PartitionId, Record};

pub(super) const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 1000;

/// What is known of so many people is a page or two of the catalog.
const GLANCED_RECORDS: usize = 32;

/// Samples of one person, who is to be found.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct IdentifyRequest {
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
    /// The most people in the answer.
    #[schema(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<usize>,
    /// People with a lower similarity are left out. For keys without the scope `scores` it is rounded up, and
    /// must not be lower than the usual one, if there is one. Unless given, it is where this service takes two faces
    /// for one person, or higher where more strangers than set would be taken for somebody; for the
    /// embeddings of another encoder, nobody is left out until the partition is calibrated.
    #[schema(minimum = -1, maximum = 1)]
    threshold: Option<f64>,
    /// In place of a threshold: how often a stranger may be taken for somebody who is enrolled, a rate such
    /// as 0.001, or 30 for the same (ten times its negative decimal logarithm).
    #[schema(example = 0.001)]
    target_fpir: Option<f64>,
    /// Look for those alone who have all of these labels, as if nobody else were enrolled.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    labels: Option<GivenLabels>,
}

/// The same as a form.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "forms are read field by field; this is their description"
)]
pub(in super::super) struct IdentifyForm {
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
    /// The most people in the answer.
    #[schema(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<usize>,
    /// People with a lower similarity are left out, as in JSON.
    #[schema(minimum = -1, maximum = 1)]
    threshold: Option<f64>,
    /// In place of a threshold: how often a stranger may be taken for somebody, as in JSON.
    target_fpir: Option<f64>,
    /// Look for those alone who have this label, such as `site:berlin`; may be repeated.
    labels: Vec<String>,
}

/// The people that the samples most likely show.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct IdentifyAnswer {
    /// The best classes, best first, equal ones in the order of their numbers. Nobody here means that the
    /// person is not known.
    matches: Vec<IdentifiedClass>,
    /// Whether it is the first of the matches; null if nobody was left out.
    decision: Option<Decision>,
    /// Where two people must confirm it: the name of the decision, for `/v1/decisions`. The matches are empty
    /// then.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<String>,
    /// The probability that the first of the matches is right, from 0 to 1, if one in two who are looked for
    /// is enrolled; null if there is none, or nothing is known of strangers.
    confidence: Option<f64>,
    /// The threshold that was used; null if none was.
    threshold: Option<f64>,
    /// How often a stranger reaches it with somebody; null if there is none, or that is not known.
    fpir: Option<RateReport>,
    /// How many people were compared. In partitions with more than 4,096 templates it is right within a
    /// hundredth.
    classes_searched: usize,
    /// How many templates were compared.
    templates_searched: usize,
    /// What made the embeddings.
    encoder: String,
    /// One for each sample.
    samples: Vec<SampleReport>,
}

/// An enrolled person, and how alike the samples are.
#[derive(Serialize, ToSchema)]
#[schema(as = Candidate)]
pub(in super::super) struct IdentifiedClass {
    /// The class.
    class: String,
    /// What the person is called; null if that is not known.
    name: Option<String>,
    /// What another system calls the person; null if that is not known.
    external_id: Option<String>,
    /// The cosine between the samples and the most similar template, from -1 to 1; rounded down for keys
    /// without the scope `scores`.
    similarity: f64,
    /// The same as a score from 0 to 1; null for the embeddings of another encoder.
    score: Option<f64>,
}

/// What is asked, besides of whom.
pub(super) struct Options {
    limit: usize,
    threshold: Option<f64>,
    target_fpir: Option<f64>,
    labels: Option<GivenLabels>,
}

impl CallBody for IdentifyRequest {
    type Options = Options;

    fn split(self) -> (GivenSamples, Options) {
        let samples = GivenSamples {
            pictures: self.pictures.unwrap_or_default(),
            embeddings: self.embeddings.unwrap_or_default(),
            encoder: self.encoder,
            liveness: self.liveness,
            face_box: None,
            is_enrolment: false,
        };
        let options = Options {
            limit: self.limit.unwrap_or(LIMIT_DEFAULT),
            threshold: self.threshold,
            target_fpir: self.target_fpir,
            labels: self.labels,
        };
        (samples, options)
    }
}

/// For whom is looked, and how exactly whoever asks is told.
struct Asked {
    among: Labels,
    bar: Bar,
    limit: usize,
    disclosure: Disclosure,
    actor: Actor,
    asked_by: ApiKeyId,
}

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(
        routes!(identify),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            body::FAILURES,
            &[Code::PartitionNotFound, Code::InvalidRecord],
            judging::FAILURES,
            decisions::PENDING_FAILURES,
            failures::OURS,
        ],
    )
}

/// Find a person in a partition
///
/// All samples are of one person and are searched for together. The answer lists the people most like them,
/// best first, one entry for each however many templates they have. An empty list means that the person is not
/// known. Needs the scope `identify`. Embeddings need `embeddings`, too, where a threshold is known. Without the
/// scope `scores`, similarities are told in steps, and a threshold below that in use is refused. Where two people must confirm
/// who it is, the list is empty, the decision `pending`, and `/v1/decisions` tells when they have.
#[utoipa::path(
    post,
    path = "/partitions/{partition}/identify",
    tag = "native",
    operation_id = "identify",
    params(PartitionParameter),
    request_body(content(
        (IdentifyRequest = "application/json"),
        (IdentifyForm = "multipart/form-data"),
    )),
    responses((status = 200, description = "The search was carried out", body = IdentifyAnswer)),
    security(("api_key" = []))
)]
async fn identify(
    State(state): State<AppState>,
    key: Key,
    PartitionPath(partition): PartitionPath,
    request: Request,
) -> Result<Response, Problem> {
    key.may_use(Scope::Identify, &partition)?;
    let account = key.account();
    check_room(&state, &account, &partition)?;
    let (given, options) = body::read::<IdentifyRequest>(&state, request).await?;
    if given.has_embeddings() {
        judging::check_embeddings(&state, &key, &partition).await?;
    }
    given.check(&state)?;
    let bar = judging::bar(options.threshold, options.target_fpir)?;
    check_limit(options.limit)?;
    let Options { limit, labels, .. } = options;
    let among = labels.unwrap_or_default().wanted()?;
    let promise = match state.engine().enrolled(&partition)? {
        Some(gallery) if given.has_pictures() => {
            let gallery = gallery.among(among.clone());
            let gallery = gallery.noting_matches(!state.needs_confirmation(&partition));
            Some(state.lanes().promise_identify(&account, &gallery)?)
        }
        _ => None,
    };
    let samples = given.take_in(&state, &account).await?;
    let asked = Asked {
        among,
        bar,
        limit,
        disclosure: key.disclosure(state.intake()),
        actor: key.1,
        asked_by: key.0.id,
    };
    let answer = search(&state, &account, (&partition, asked), &samples, promise).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

/// A list has an entry, and not too many.
pub(super) fn check_limit(limit: usize) -> Result<(), Problem> {
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(());
    }
    Err(Problem::invalid_parameter(format!(
        "`limit` must be a whole number from 1 to {LIMIT_MAX}"
    )))
}

impl IdentifiedClass {
    /// Somebody who was found, of whom `record` is known.
    pub(super) fn new(found: &Match, record: &Record, score: Option<f64>) -> IdentifiedClass {
        IdentifiedClass {
            class: found.class.to_string(),
            name: record.name.as_ref().map(|name| name.as_str().to_owned()),
            external_id: record.external_id.as_ref().map(|id| id.as_str().to_owned()),
            similarity: found.similarity,
            score,
        }
    }
}

/// Fails if there is no room for the search, before a body is read for nothing.
pub(super) fn check_room(
    state: &AppState,
    account: &Account,
    partition: &PartitionId,
) -> Result<(), Problem> {
    match state.engine().enrolled(partition)? {
        Some(gallery) => Ok(state.lanes().check_identify(account, &gallery, 1)?),
        None => Ok(()),
    }
}

/// What is known of those who were found, in order.
pub(super) async fn known_of(
    state: &AppState,
    gallery: &Gallery,
    found: &[Match],
) -> Result<Vec<Record>, EngineError> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let classes: Vec<ClassId> = found.iter().map(|found| found.class).collect();
    let (is_brief, gallery) = (classes.len() <= GLANCED_RECORDS, gallery.clone());
    let records = move || gallery.records(&classes);
    state.lanes().glance(is_brief, records).await
}

async fn search(
    state: &AppState,
    account: &Account,
    (partition, asked): (&PartitionId, Asked),
    samples: &Samples,
    promise: Option<IdentifyPromise>,
) -> Result<IdentifyAnswer, Problem> {
    let intake = state.intake();
    let (engine, embeddings) = (state.engine(), samples.embeddings());
    // Samples that are wrong in themselves are refused whoever is enrolled.
    let sample = fuse(&samples.encoder, &embeddings)?;
    let gallery = engine.gallery(partition, &samples.encoder)?;
    let gallery = gallery.ok_or_else(|| partitions::missing(partition))?;
    let Asked { limit, bar, .. } = asked;
    let gallery = gallery.among(asked.among);
    let gallery = gallery.noting_matches(!state.needs_confirmation(partition));
    let judge = judging::judge(state, &gallery, bar, asked.disclosure).await?;
    let query = QuestionQuery {
        probe: Probe::new(&sample),
        options: judging::options(&judge, limit),
    };
    state.ask_who(&asked.actor, partition, 1)?;
    let lanes = state.lanes();
    let found = lanes.identify_one(account, &gallery, promise, query).await;
    let mut found = found.inspect_err(|_unanswered| state.give_back(&asked.actor, 1))?;
    let told = budgets::told_of([&found.matches[..]], limit);
    let (decision, confidence) = judging::decide(&judge, &mut found.matches, limit);
    if judge.threshold().is_some() {
        intake.decisions().identified(!found.matches.is_empty());
    }
    let audited = Audited {
        state,
        actor: &asked.actor,
        gallery: &gallery,
        judge: &judge,
    };
    let decided = [(decision, &found.matches[..])];
    let pending = decisions::pend(state, asked.asked_by, &gallery, &decided).await?;
    let pending = pending.first().copied().flatten();
    let record = audited.record(&embeddings, decision, &found.matches, pending);
    state.account(record.into_iter().collect()).await?;
    let scored = u64::from(!told.is_empty() && pending.is_none());
    let delay = state.tell(&asked.actor, partition, (&told, scored));
    time::sleep(delay).await;
    let (decision, confidence) =
        decisions::withheld(pending, (decision, confidence), &mut found.matches);
    let _turn = lanes.answering().await;
    let records = known_of(state, &gallery, &found.matches).await?;
    let matches = found.matches.iter().zip(&records);
    let score =
        |similarity| intake.score_for(judge.disclosure(), Some(similarity), &samples.encoder);
    let matches =
        matches.map(|(found, record)| IdentifiedClass::new(found, record, score(found.similarity)));
    Ok(IdentifyAnswer {
        decision,
        decision_id: pending.map(|id| id.to_string()),
        confidence,
        matches: matches.collect(),
        threshold: judge.threshold(),
        fpir: judge.fpir().map(RateReport::from),
        classes_searched: judge.classes(),
        templates_searched: found.templates,
        encoder: encoder_name(&samples.encoder),
        samples: SampleReport::of(samples),
    })
}
