//! `POST /v1/partitions/{partition}/identify-many`: who are all these?
//!
//! Many probes in one call, each of a person of its own. They are searched for some at a time, so that
//! one such call does not keep others waiting, and answered line by line as they are found.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::budgets;
use super::super::endpoint::Endpoint;
use super::super::receive::{self, BodyFault};
use super::super::room::{Held, Place, Sender};
use super::super::state::AppState;
use super::body;
use super::failures;
use super::identify::{IdentifiedClass, LIMIT_DEFAULT, check_limit, known_of};
use super::json;
use super::judging::{self, Audited, Decided, Decision};
use super::key::Key;
use super::listed::Listed;
use super::partitions;
use super::path::{self, PartitionParameter, PartitionPath};
use super::problem::{Code, Problem};
use super::query;
use super::record::GivenLabels;
use super::samples::GivenValues;
use crate::access::Scope;
use crate::audit::Actor;
use crate::code::Probe;
use crate::engine::scheduler::QuestionQuery;
use crate::engine::{Gallery, Identification};
use crate::exchange::npy_matrix;
use crate::intake::{Bar, Judge};
use crate::turns::Account;
use crate::types::{
    DIMENSION_MAX, Embedding, EmbeddingError, EncoderId, Labels, Match, Record, Rounded,
};

/// The most probes of a call.
const PROBES_MAX: usize = 10_000;
/// So many are searched for at a time: by then a pass over memory is well shared.
const PROBES_PER_QUESTION: usize = 64;
/// Fewer probes where so many people could be in their answers, which wait in memory for whoever reads
/// slowly.
const MATCHES_PER_QUESTION: usize = 8 * 1024;
/// While so many pieces are searched for, the next ones are made ready or sent.
const QUESTIONS_AT_ONCE: usize = 2;
/// What one person in an answer takes, about: with a name, half as much again.
const MATCH_BYTES: usize = 160;
/// How soon it is looked again whether others have read their answers.
const ROOM_WAIT: Duration = Duration::from_millis(20);
/// A body that is longer is not read on the threads that serve sockets.
const BODY_BYTES_AT_ONCE: usize = 64 << 10;

/// The content type of an `.npy` file. There is no registered one.
const NPY: [&str; 2] = ["application/x-npy", "application/octet-stream"];
/// One answer a line.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Probes, each of a person of its own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct IdentifyManyRequest {
    /// Ready embeddings, 1 to 10,000, of 16 to 4096 values each.
    #[schema(value_type = Option<Vec<Vec<f32>>>)]
    embeddings: Option<Listed<GivenValues, PROBES_MAX>>,
    /// What made the embeddings, `name` or `name@version`.
    #[schema(example = "sface@2021dec")]
    encoder: Option<String>,
    /// The most people in each answer.
    #[schema(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<usize>,
    /// People with a lower similarity are left out, as in `identify`.
    #[schema(minimum = -1, maximum = 1)]
    threshold: Option<f64>,
    /// In place of a threshold: how often a stranger may be taken for somebody, as in `identify`.
    target_fpir: Option<f64>,
    /// Look for those alone who have all of these labels, as if nobody else were enrolled.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    labels: Option<GivenLabels>,
}

/// What is asked of an `.npy` file.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "queries are read parameter by parameter; this is their description"
)]
pub(in super::super) struct NpyQuery {
    /// What made the embeddings of an `.npy` body, `name` or `name@version`; with JSON it stands in the body.
    encoder: Option<String>,
    /// The most people in each answer, for an `.npy` body.
    #[param(minimum = 1, maximum = 1000, default = 20)]
    limit: Option<usize>,
    /// People with a lower similarity are left out, for an `.npy` body.
    #[param(minimum = -1, maximum = 1)]
    threshold: Option<f64>,
    /// In place of a threshold: how often a stranger may be taken for somebody, for an `.npy` body.
    target_fpir: Option<f64>,
    /// Look for those alone who have this label, such as `site:berlin`, for an `.npy` body; may be repeated.
    labels: Option<String>,
}

/// The answer for one probe: a line.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ProbeAnswer {
    /// Which probe of the call, from 0.
    probe: usize,
    /// The best classes, best first; nobody here means that the person is not known.
    matches: Vec<IdentifiedClass>,
    /// Whether it is the first of the matches; null if nobody was left out.
    decision: Option<Decision>,
    /// The probability that the first of the matches is right, as in `identify`.
    confidence: Option<f64>,
}

/// What a call asks.
struct Asked {
    /// For the probes, which stay until the last line is made.
    room: Option<Held>,
    sender: Sender,
    probes: Vec<Embedding>,
    encoder: EncoderId,
    limit: usize,
    bar: Bar,
    labels: Labels,
}

/// What can go wrong with a body of embeddings.
const FAILURES: &[Code] = &[
    Code::MalformedBody,
    Code::NoSamples,
    Code::TooManySamples,
    Code::BodyTimeout,
    Code::EncoderMismatch,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidEmbedding,
];

impl Asked {
    /// Takes room for what the probes have more than the body had, which stays taken. They stay for
    /// as long as the client takes to read the answer.
    fn take_room(&self, body_bytes: usize) -> Result<(), BodyFault> {
        let values = self.probes.iter().map(Embedding::dimension).sum::<usize>();
        let more = (size_of::<f32>() * values).saturating_sub(body_bytes);
        let taken = self.room.as_ref().map_or(Ok(()), |room| room.take(more));
        taken.map_err(|_no_room| BodyFault::NoRoom)
    }
}

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(
        routes!(identify_many),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            FAILURES,
            &[
                Code::PartitionNotFound,
                Code::InvalidRecord,
                Code::ConfirmationNeeded,
            ],
            judging::FAILURES,
            failures::OURS,
        ],
    )
}

/// Find many people in a partition
///
/// Each embedding is of a person of its own. The answer has a line of JSON for each, in their order, and is sent
/// while the others are searched for: an answer that breaks off has fewer lines, and ends without the end that
/// HTTP demands. All probes are checked before the first line. Needs the scope `identify`.
/// Embeddings need `embeddings`, too, and similarities are told, as in `identify`. Refused where two people must confirm each of them.
#[utoipa::path(
    post,
    path = "/partitions/{partition}/identify-many",
    tag = "native",
    operation_id = "identify_many",
    params(PartitionParameter, NpyQuery),
    request_body(
        content(
            (IdentifyManyRequest = "application/json"),
            (Vec<u8> = "application/x-npy"),
        ),
        description = "Embeddings as JSON, or a matrix of them, one a row, as NumPy saves it"
    ),
    responses((
        status = 200,
        description = "A line for each probe",
        body = ProbeAnswer,
        content_type = "application/x-ndjson",
    )),
    security(("api_key" = []))
)]
async fn identify_many(
    State(state): State<AppState>,
    key: Key,
    PartitionPath(partition): PartitionPath,
    request: Request,
) -> Result<Response, Problem> {
    key.may_use(Scope::Identify, &partition)?;
    judging::check_embeddings(&state, &key, &partition).await?;
    if state.needs_confirmation(&partition) {
        let detail =
            "two people must confirm each identification in this partition: use `identify`";
        return Err(Problem::new(Code::ConfirmationNeeded, detail));
    }
    let asked = read(&state, request).await?;
    let account = key.account();
    let gallery = state.engine().gallery(&partition, &asked.encoder)?;
    let gallery = gallery.ok_or_else(|| partitions::missing(&partition))?;
    let gallery = gallery.among(asked.labels);
    let probes = asked.probes.len().min(PROBES_PER_QUESTION);
    state.lanes().check_identify(&account, &gallery, probes)?;
    let disclosure = key.disclosure(state.intake());
    let judge = judging::judge(&state, &gallery, asked.bar, disclosure).await?;
    state.ask_who(&key.1, &partition, asked.probes.len())?;
    let lines = Lines {
        state,
        account,
        gallery,
        judge,
        limit: asked.limit,
        sender: asked.sender,
        actor: key.1,
        _room: asked.room,
    };
    let pieces = pieces(asked.probes, asked.limit);
    // Room is taken in the order of the pieces: what has some can be sent, and gives it back.
    let lines = stream::iter(pieces)
        .then(move |(first, probes)| lines.clone().begin(first, probes))
        .map(Begun::lines)
        .buffered(QUESTIONS_AT_ONCE);
    Ok(([(header::CONTENT_TYPE, LINES)], Body::from_stream(lines)).into_response())
}

/// Probes some at a time, with the number of the first.
fn pieces(probes: Vec<Embedding>, limit: usize) -> impl Iterator<Item = (usize, Vec<Embedding>)> {
    let mut probes = probes.into_iter();
    let each = (MATCHES_PER_QUESTION / limit.max(1)).clamp(1, PROBES_PER_QUESTION);
    let firsts = (0..).step_by(each);
    let piece = move |first| (first, probes.by_ref().take(each).collect());
    firsts
        .map(piece)
        .take_while(|(_, piece): &(usize, Vec<Embedding>)| !piece.is_empty())
}

/// What makes lines of probes.
#[derive(Clone)]
struct Lines {
    state: AppState,
    account: Account,
    gallery: Gallery,
    judge: Judge,
    limit: usize,
    sender: Sender,
    actor: Actor,
    /// For the probes, until the last of them is answered.
    _room: Option<Held>,
}

/// Some probes for whose lines there is room.
struct Begun {
    lines: Lines,
    first: usize,
    probes: Vec<Embedding>,
    room: Held,
}

/// Lines with the room that they take until they are sent.
struct Sent {
    text: Vec<u8>,
    _room: Held,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Begun {
    /// The lines. An error ends the answer before its end.
    async fn lines(self) -> Result<Bytes, BrokenOff> {
        let text = self.lines.of(self.first, self.probes).await?;
        self.room.settle(text.capacity());
        Ok(Bytes::from_owner(Sent {
            text,
            _room: self.room,
        }))
    }
}

impl Lines {
    /// Waits until there is room for the lines of some probes.
    async fn begin(self, first: usize, probes: Vec<Embedding>) -> Begun {
        let room = self.state.answer_room().hold(self.sender.clone());
        let bytes = probes.len() * self.limit * MATCH_BYTES;
        while room.take(bytes).is_err() {
            time::sleep(ROOM_WAIT).await;
        }
        Begun {
            lines: self,
            first,
            probes,
            room,
        }
    }

    async fn of(&self, first: usize, probes: Vec<Embedding>) -> Result<Vec<u8>, BrokenOff> {
        let query = |probe: &Embedding| QuestionQuery {
            probe: Probe::new(probe),
            options: judging::options(&self.judge, self.limit),
        };
        let queries = probes.iter().map(query).collect();
        // What one piece tells may be the last that is told today.
        let asked = self.state.ask_who(&self.actor, self.gallery.id(), 0);
        asked.map_err(|error| {
            drop(Problem::from(error));
            BrokenOff
        })?;
        let lanes = self.state.lanes();
        let found = lanes.identify_patiently(&self.account, &self.gallery, queries);
        let mut found = found.await.map_err(|error| {
            // Logs it; who calls sees that the answer breaks off.
            drop(Problem::from(&*error));
            BrokenOff
        })?;
        let told = budgets::told_of(found.iter().map(|it| &it.matches[..]), self.limit);
        let decided: Vec<Decided> = found
            .iter_mut()
            .map(|found| judging::decide(&self.judge, &mut found.matches, self.limit))
            .collect();
        let audited = Audited {
            state: &self.state,
            actor: &self.actor,
            gallery: &self.gallery,
            judge: &self.judge,
        };
        let records = probes.iter().zip(&found).zip(&decided);
        let records = records.filter_map(|((probe, found), (decision, _))| {
            audited.record(&[probe], *decision, &found.matches, None)
        });
        let accounted = self.state.account(records.collect()).await;
        accounted.map_err(|error| {
            drop(Problem::from(error));
            BrokenOff
        })?;
        let scored = found.iter().filter(|it| !it.matches.is_empty()).count() as u64;
        let delay = self
            .state
            .tell(&self.actor, self.gallery.id(), (&told, scored));
        time::sleep(delay).await;
        let all: Vec<Match> = found.iter().flat_map(|it| it.matches.clone()).collect();
        let known = known_of(&self.state, &self.gallery, &all).await;
        let known = known.map_err(|error| {
            drop(Problem::from(error));
            BrokenOff
        })?;
        let (mut text, mut known) = (Vec::new(), &known[..]);
        for (at, (found, decided)) in found.iter().zip(decided).enumerate() {
            let own = known.split_off(..found.matches.len()).unwrap_or_default();
            let answer = self.answer(first + at, (found, decided), own);
            let line = serde_json::to_writer(&mut text, &answer);
            line.expect("answers have texts and numbers only");
            text.push(b'\n');
        }
        text.shrink_to_fit();
        Ok(text)
    }

    fn answer(
        &self,
        probe: usize,
        (found, (decision, confidence)): (&Identification, Decided),
        known: &[Record],
    ) -> ProbeAnswer {
        let (intake, encoder) = (self.state.intake(), self.gallery.encoder());
        let matches = found.matches.iter().zip(known);
        let matches = matches.map(|(found, record)| {
            let score = intake.score_for(self.judge.disclosure(), Some(found.similarity), encoder);
            IdentifiedClass::new(found, record, score)
        });
        ProbeAnswer {
            probe,
            decision,
            confidence,
            matches: matches.collect(),
        }
    }
}

/// The answer ends here, since a piece of it failed.
#[derive(Debug, thiserror::Error)]
#[error("the answer breaks off")]
struct BrokenOff;

async fn read(state: &AppState, request: Request) -> Result<Asked, Problem> {
    let kind = body::bare_content_type(request.headers());
    let is_npy = NPY.contains(&&*kind);
    if !is_npy && kind != "application/json" {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "expected the content type `application/json`, or `application/x-npy` for an .npy file",
        ));
    }
    let (parts, body) = receive::whole(state, request).await?;
    let (room, sender) = (
        Place::held(&parts.extensions),
        Sender::of(&parts.extensions),
    );
    let is_long = body.len() > BODY_BYTES_AT_ONCE;
    let read = move || {
        let mut asked = if is_npy {
            from_npy(&parts.uri, &body)?
        } else {
            from_json(&parts.uri, &body)?
        };
        (asked.room, asked.sender) = (room, sender);
        asked.take_room(body.len())?;
        check_limit(asked.limit)?;
        Ok(asked)
    };
    if is_long {
        state.lanes().small(read).await
    } else {
        read()
    }
}

fn from_json(uri: &Uri, body: &[u8]) -> Result<Asked, Problem> {
    if let Some(name) = ["encoder", "limit", "threshold", "target_fpir", "labels"]
        .into_iter()
        .find(|name| query::value(uri, name).is_some())
    {
        let detail =
            format!("`{name}` belongs into the body, not into the query, where that is JSON");
        return Err(Problem::invalid_parameter(detail));
    }
    let call: IdentifyManyRequest = json::object(body)?;
    let given = call.embeddings.unwrap_or_default();
    check_count(given.count())?;
    let name = call.encoder.ok_or_else(|| encoder_missing("the body"))?;
    let probes = given.into_kept().into_iter().enumerate();
    let probes = probes.map(|(at, values)| {
        let found = values.count();
        if found > DIMENSION_MAX {
            return Err(no_embedding(at, &EmbeddingError::Dimension { found }));
        }
        let values = Rounded::all(values.into_kept());
        Embedding::new(values).map_err(|error| no_embedding(at, &error))
    });
    let probes: Vec<Embedding> = probes.collect::<Result<_, Problem>>()?;
    Ok(Asked {
        room: None,
        sender: Sender::Unknown,
        encoder: encoder(&name, &probes)?,
        probes,
        limit: call.limit.unwrap_or(LIMIT_DEFAULT),
        bar: judging::bar(call.threshold, call.target_fpir)?,
        labels: call.labels.unwrap_or_default().wanted()?,
    })
}

fn from_npy(uri: &Uri, body: &[u8]) -> Result<Asked, Problem> {
    let name = query::value(uri, "encoder");
    let name = name.ok_or_else(|| encoder_missing("the query"))?;
    let number = |name: &str, expected: &str| {
        let detail = format!("`{name}` must be {expected}");
        Problem::invalid_parameter(detail)
    };
    let limit = query::value(uri, "limit").map(|text| text.parse());
    let limit = limit.transpose();
    let limit = limit.map_err(|_| number("limit", "a whole number from 1 to 1000"))?;
    let threshold = query::value(uri, "threshold").map(|text| text.parse());
    let threshold = threshold.transpose();
    let threshold = threshold.map_err(|_| number("threshold", "a number from -1 to 1"))?;
    let target_fpir = query::value(uri, "target_fpir").map(|text| text.parse());
    let target_fpir = target_fpir.transpose();
    let target_fpir = target_fpir.map_err(|_| number("target_fpir", "a rate such as 0.001"))?;
    let bar = judging::bar(threshold, target_fpir)?;
    let matrix = npy_matrix("the body", body.to_vec());
    let matrix = matrix.map_err(|error| Problem::malformed(error.to_string()))?;
    check_count(matrix.nrows())?;
    let rows = matrix.outer_iter().enumerate();
    let probes = rows
        .map(|(at, row)| Embedding::new(row.to_vec()).map_err(|error| no_embedding(at, &error)));
    let probes: Vec<Embedding> = probes.collect::<Result<_, Problem>>()?;
    Ok(Asked {
        room: None,
        sender: Sender::Unknown,
        encoder: encoder(&name, &probes)?,
        probes,
        limit: limit.unwrap_or(LIMIT_DEFAULT),
        bar,
        labels: GivenLabels::of_texts(query::values(uri, "labels")).wanted()?,
    })
}

fn check_count(found: usize) -> Result<(), Problem> {
    match found {
        0 => Err(Problem::new(
            Code::NoSamples,
            "there is no embedding in the call",
        )),
        1..=PROBES_MAX => Ok(()),
        _ => {
            let detail =
                format!("there are {found} embeddings, and at most {PROBES_MAX} are taken");
            Err(Problem::new(Code::TooManySamples, detail))
        }
    }
}

/// What made all probes, which must then have as many values as the first.
fn encoder(name: &str, probes: &[Embedding]) -> Result<EncoderId, Problem> {
    let dimension = probes.first().map_or(0, Embedding::dimension);
    let encoder = EncoderId::parse(name, dimension);
    let encoder = encoder.map_err(|error| Problem::invalid_parameter(error.to_string()))?;
    let other = probes
        .iter()
        .position(|probe| probe.dimension() != dimension);
    if let Some(at) = other {
        let found = probes[at].dimension();
        let detail = format!("it has {found} values, and the first embedding has {dimension}");
        return Err(Problem::new(Code::InvalidEmbedding, detail).of_sample(at));
    }
    Ok(encoder)
}

fn encoder_missing(place: &str) -> Problem {
    Problem::invalid_parameter(format!(
        "{place} must have `encoder`: what made the embeddings"
    ))
}

fn no_embedding(at: usize, error: &EmbeddingError) -> Problem {
    Problem::new(Code::InvalidEmbedding, error.to_string()).of_sample(at)
}
