//! `POST /v1/partitions/{partition}/identify-faces`: who are all these people in one picture?

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
use super::faces::{self, BoxReport, Group, warning_names};
use super::failures;
use super::identify::{IdentifiedClass, LIMIT_DEFAULT, check_limit, check_room, known_of};
use super::judging::{self, Audited, Decided, RateReport};
use super::key::Key;
use super::partitions;
use super::path::{self, PartitionParameter, PartitionPath};
use super::problem::{Code, Problem};
use super::record::GivenLabels;
use super::samples::{GivenPictures, GivenSamples, encoder_name};
use crate::access::{DecisionId, Scope};
use crate::code::Probe;
use crate::engine::scheduler::QuestionQuery;
use crate::engine::{Gallery, Identification, IdentifyOptions};
use crate::face::FoundFace;
use crate::intake::{Judge, Recognition};
use crate::types::{Match, PartitionId, Record};

/// A picture of several people.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct IdentifyFacesRequest {
    /// One picture, in base64, bare or as data-URL.
    #[schema(value_type = Option<Vec<String>>)]
    pictures: Option<GivenPictures>,
    /// The most people in the list of each face.
    #[schema(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<usize>,
    /// People with a lower similarity are left out. Unless given, it is as in `identify`.
    #[schema(minimum = -1, maximum = 1)]
    threshold: Option<f64>,
    /// In place of a threshold: how often a stranger may be taken for somebody, as in `identify`.
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
pub(in super::super) struct IdentifyFacesForm {
    /// The picture, as it is.
    #[schema(value_type = String, format = Binary)]
    picture: Vec<u8>,
    /// The most people in the list of each face.
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

/// Everybody in a picture.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct IdentifyFacesAnswer {
    /// The faces, the most prominent first: by their size and how sure it is that they are some. At most
    /// 100; none if there is nobody in the picture.
    faces: Vec<IdentifiedFace>,
    /// How many more faces there are, all less prominent.
    faces_left_out: usize,
    /// Pixels from left to right of the picture as it is shown upright.
    width: usize,
    /// Pixels from top to bottom.
    height: usize,
    /// The threshold that was used.
    threshold: Option<f64>,
    /// How often a stranger reaches it with somebody; null if that is not known.
    fpir: Option<RateReport>,
    /// How many people each face was compared with, as in `identify`.
    classes_searched: usize,
    /// How many templates each face was compared with.
    templates_searched: usize,
    /// What made the embeddings.
    encoder: String,
}

/// A face, and who it is.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct IdentifiedFace {
    /// Where it is.
    r#box: BoxReport,
    /// How suitable it is, from 0 to 1.
    quality: f32,
    /// What could be better about it.
    warnings: Vec<&'static str>,
    /// Whether somebody who is enrolled is alike enough.
    decision: Decision,
    /// Where two people must confirm who it is: the name of the decision, as in `identify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<String>,
    /// The probability that the first of the matches is right, as in `identify`.
    confidence: Option<f64>,
    /// The best classes, best first, as in `identify`.
    matches: Vec<IdentifiedClass>,
}

/// What is decided about a face.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FaceDecision)]
pub(in super::super) enum Decision {
    /// The first of the matches is who it is.
    Known,
    /// Several are alike enough, and it cannot be told which of them it is.
    Ambiguous,
    /// Somebody is alike enough, and it is told who when two people have confirmed it.
    Pending,
    /// Nobody who is enrolled is alike enough.
    Unknown,
    /// Nobody is, and the face is too small, too blurred or too little of one to say more.
    Unusable,
}

/// What is asked, besides of whom.
pub(super) struct Options {
    limit: usize,
    threshold: Option<f64>,
    target_fpir: Option<f64>,
    labels: Option<GivenLabels>,
}

impl CallBody for IdentifyFacesRequest {
    type Options = Options;

    fn split(self) -> (GivenSamples, Options) {
        let samples = GivenSamples::of_pictures(self.pictures.unwrap_or_default());
        let options = Options {
            limit: self.limit.unwrap_or(LIMIT_DEFAULT),
            threshold: self.threshold,
            target_fpir: self.target_fpir,
            labels: self.labels,
        };
        (samples, options)
    }
}

impl From<Recognition> for Decision {
    fn from(recognition: Recognition) -> Decision {
        match recognition {
            Recognition::Known => Decision::Known,
            Recognition::Unknown => Decision::Unknown,
            Recognition::Unusable => Decision::Unusable,
        }
    }
}

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(
        routes!(identify_faces),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            body::PICTURE_FAILURES,
            &[
                Code::PartitionNotFound,
                Code::EncoderMismatch,
                Code::InvalidRecord,
            ],
            judging::FAILURES,
            decisions::PENDING_FAILURES,
            failures::OURS,
        ],
    )
}

/// Find everybody in a picture in a partition
///
/// Looks for all faces of one picture and searches for all of them at once. A picture of nobody is no error: its
/// list of faces is empty. Needs the scope `identify`. Similarities are
/// told as in `identify`.
#[utoipa::path(
    post,
    path = "/partitions/{partition}/identify-faces",
    tag = "native",
    operation_id = "identify_faces",
    params(PartitionParameter),
    request_body(content(
        (IdentifyFacesRequest = "application/json"),
        (IdentifyFacesForm = "multipart/form-data"),
    )),
    responses((status = 200, description = "The picture was looked at", body = IdentifyFacesAnswer)),
    security(("api_key" = []))
)]
async fn identify_faces(
    State(state): State<AppState>,
    key: Key,
    PartitionPath(partition): PartitionPath,
    request: Request,
) -> Result<Response, Problem> {
    key.may_use(Scope::Identify, &partition)?;
    let account = key.account();
    check_room(&state, &account, &partition)?;
    let (given, asked) = body::read::<IdentifyFacesRequest>(&state, request).await?;
    let picture = faces::pictures(given, 1)?;
    let bar = judging::bar(asked.threshold, asked.target_fpir)?;
    check_limit(asked.limit)?;
    let intake = state.intake();
    let encoder = intake.encoder();
    let gallery = state.engine().gallery(&partition, encoder)?;
    let gallery = gallery.ok_or_else(|| partitions::missing(&partition))?;
    let gallery = gallery.among(asked.labels.unwrap_or_default().wanted()?);
    let gallery = gallery.noting_matches(!state.needs_confirmation(&partition));
    // Before the picture is looked at, so that nobody waits for an answer that is refused then.
    let promise = state.lanes().promise_identify_crowd(&account, &gallery)?;
    let group = faces::look(&state, &account, picture).await?;
    let disclosure = key.disclosure(intake);
    let judge = judging::judge(&state, &gallery, bar, disclosure).await?;
    let queries = queries(&group, judging::options(&judge, asked.limit));
    let mut found = searched(&state, (&key, &partition), promise, queries).await?;
    let counted = budgets::told_of(found.iter().map(|it| &it.matches[..]), asked.limit);
    let mut decided: Vec<_> = found
        .iter_mut()
        .map(|found| judging::decide(&judge, &mut found.matches, asked.limit))
        .collect();
    let audited = Audited {
        state: &state,
        actor: &key.1,
        gallery: &gallery,
        judge: &judge,
    };
    let embeddings = group
        .everybody
        .faces
        .iter()
        .filter_map(|it| it.embedding.as_ref());
    let lists = found.iter().zip(&decided);
    let lists: Vec<_> = lists
        .map(|(found, (decision, _))| (*decision, &found.matches[..]))
        .collect();
    let pending = decisions::pend(&state, key.0.id, &gallery, &lists).await?;
    let records = embeddings.zip(lists).zip(&pending);
    let records = records.filter_map(|((probe, (decision, found)), pending)| {
        audited.record(&[probe], decision, found, *pending)
    });
    state.account(records.collect()).await?;
    let scored = found.iter().zip(&pending);
    let scored = scored.filter(|(found, pending)| !found.matches.is_empty() && pending.is_none());
    let delay = state.tell(&key.1, &partition, (&counted, scored.count() as u64));
    time::sleep(delay).await;
    for ((pending, decided), found) in pending.iter().zip(&mut decided).zip(&mut found) {
        *decided = decisions::withheld(*pending, *decided, &mut found.matches);
    }
    let all: Vec<Match> = found.iter().flat_map(|it| it.matches.clone()).collect();
    let known = known_of(&state, &gallery, &all).await?;
    let decided: Vec<_> = decided.into_iter().zip(pending).collect();
    let answer = told(&state, &gallery, &group, &judge, (&found, &decided, &known));
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Who was found for each face, if that may be asked today.
async fn searched(
    state: &AppState,
    (key, partition): (&Key, &PartitionId),
    promise: IdentifyPromise,
    queries: Vec<QuestionQuery>,
) -> Result<Vec<Identification>, Problem> {
    let probes = queries.len();
    state.ask_who(&key.1, partition, probes)?;
    if probes == 0 {
        return Ok(Vec::new());
    }
    let found = state.lanes().identify_crowd(promise, queries).await;
    Ok(found.inspect_err(|_unanswered| state.give_back(&key.1, probes))?)
}

/// One for each face that has an embedding, in their order.
fn queries(group: &Group, options: IdentifyOptions) -> Vec<QuestionQuery> {
    let embeddings = group.everybody.faces.iter();
    let embeddings = embeddings.filter_map(|face| face.embedding.as_ref());
    let query = |embedding| QuestionQuery {
        probe: Probe::new(embedding),
        options,
    };
    embeddings.map(query).collect()
}

/// What was decided of a face, and under which name that waits to be confirmed, if it does.
type Withheld = (Decided, Option<DecisionId>);

fn told(
    state: &AppState,
    gallery: &Gallery,
    group: &Group,
    judge: &Judge,
    (found, decided, mut known): (&[Identification], &[Withheld], &[Record]),
) -> IdentifyFacesAnswer {
    let (intake, encoder) = (state.intake(), gallery.encoder());
    let templates_searched = found
        .first()
        .map_or_else(|| gallery.templates(), |first| first.templates);
    let mut found = found.iter().zip(decided);
    let face = |face: &FoundFace| {
        let found = face.embedding.as_ref().and_then(|_| found.next());
        let nobody = (&[][..], ((None, None), None));
        let (matches, ((verdict, confidence), pending)) =
            found.map_or(nobody, |found| (&found.0.matches[..], *found.1));
        let records = known.split_off(..matches.len()).unwrap_or_default();
        let matches = matches.iter().zip(records);
        let matches: Vec<IdentifiedClass> = matches
            .map(|(found, record)| {
                let score = intake.score_for(judge.disclosure(), Some(found.similarity), encoder);
                IdentifiedClass::new(found, record, score)
            })
            .collect();
        let is_found = !matches.is_empty() || pending.is_some();
        let recognition = Recognition::of(is_found, face.quality);
        if recognition != Recognition::Unusable {
            intake
                .decisions()
                .identified(recognition == Recognition::Known);
        }
        IdentifiedFace {
            r#box: BoxReport::of(&face.bounds, (group.width, group.height)),
            quality: face.quality,
            warnings: warning_names(&face.warnings),
            decision: match verdict {
                Some(judging::Decision::Ambiguous) => Decision::Ambiguous,
                Some(judging::Decision::Pending) => Decision::Pending,
                _ => recognition.into(),
            },
            decision_id: pending.map(|id| id.to_string()),
            confidence,
            matches,
        }
    };
    IdentifyFacesAnswer {
        faces: group.everybody.faces.iter().map(face).collect(),
        faces_left_out: group.everybody.left_out,
        width: group.width,
        height: group.height,
        threshold: judge.threshold(),
        fpir: judge.fpir().map(RateReport::from),
        classes_searched: judge.classes(),
        templates_searched,
        encoder: encoder_name(encoder),
    }
}
