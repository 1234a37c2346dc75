//! `/v1/decisions`: identifications that two people must confirm before anybody is told of them.

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::receive;
use super::super::state::AppState;
use super::answer;
use super::class::{self, BODY_FAILURES};
use super::failures;
use super::json;
use super::judging::{self, Decided};
use super::key::Key;
use super::page::{self, Page, PageQuery};
use super::path::DecisionParameter;
use super::problem::{Code, Problem};
use crate::access::{
    ApiKeyId, Candidate, Decision, DecisionError, DecisionId, DecisionPlace, Scope, Standing, Vote,
};
use crate::audit::{Event, Record};
use crate::engine::Gallery;
use crate::types::{self, Match, Timestamp};

/// What can go wrong where identifications wait for two people.
pub(super) const PENDING_FAILURES: &[Code] = &[Code::TooManyPending, Code::StorageFull];

/// What somebody says of an identification.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ConfirmRequest {
    /// Whether the first candidate is who it is. `true` unless given, as if there were no body.
    #[schema(default = true)]
    agrees: Option<bool>,
}

/// What may be done with an identification.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum DecisionState {
    /// Nothing: fewer than two people have spoken.
    Pending,
    /// Two people have spoken, and both agreed.
    Confirmed,
    /// Two people have spoken, and not both agreed.
    Rejected,
}

/// An identification, and what people said of it.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct DecisionAnswer {
    /// Its name.
    decision_id: String,
    /// What may be done with it.
    state: DecisionState,
    /// In which partition somebody was looked for.
    partition: String,
    /// The id of the key that asked.
    asked_by: String,
    /// When, in milliseconds since 1970 in UTC.
    made_unix_milliseconds: i64,
    /// Whether it cannot be told by similarity which of the candidates it is.
    ambiguous: bool,
    /// Who was found, the best first, at most 100; null for the key that asked, unless it was confirmed.
    candidates: Option<Vec<DecisionCandidate>>,
    /// Who has spoken, in order.
    votes: Vec<VoteAnswer>,
}

/// Somebody who may be who it is.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct DecisionCandidate {
    /// The class.
    class: String,
    /// Whether the person is not there any more: removed since, merged into another class, or their time is over.
    /// Who has the class now, if it was enrolled anew, is somebody else, and not told here.
    gone: bool,
    /// What the person is called now; null if that is not known.
    name: Option<String>,
    /// What another system calls the person; null if that is not known.
    external_id: Option<String>,
}

/// What somebody said of an identification.
#[derive(Serialize, ToSchema)]
#[schema(as = Vote)]
pub(in super::super) struct VoteAnswer {
    /// The id of the key.
    key: String,
    /// Whether the first candidate is who it is; null until both have spoken, but for the key itself: nobody is
    /// to follow another.
    agrees: Option<bool>,
    /// When, in milliseconds since 1970 in UTC.
    unix_milliseconds: i64,
}

/// A part of the list of decisions.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct DecisionsPage {
    /// The newest first.
    decisions: Vec<DecisionAnswer>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
}

impl From<Standing> for DecisionState {
    fn from(standing: Standing) -> DecisionState {
        match standing {
            Standing::Pending => DecisionState::Pending,
            Standing::Confirmed => DecisionState::Confirmed,
            Standing::Rejected => DecisionState::Rejected,
        }
    }
}

impl From<DecisionError> for Problem {
    fn from(error: DecisionError) -> Problem {
        let code = match error {
            DecisionError::Store(error) => return error.into(),
            DecisionError::Missing => Code::DecisionNotFound,
            DecisionError::Full | DecisionError::ShareFull => Code::TooManyPending,
            _ => Code::DecisionConflict,
        };
        Problem::new(code, error.to_string())
    }
}

impl DecisionAnswer {
    /// A decision as the key `reader` sees it.
    fn new(
        state: &AppState,
        (id, decision): (DecisionId, &Decision),
        reader: ApiKeyId,
    ) -> Result<DecisionAnswer, Problem> {
        let standing = decision.standing();
        let is_over = standing != Standing::Pending;
        let votes = decision.votes.iter().map(|vote| VoteAnswer {
            key: vote.key.to_string(),
            agrees: (is_over || vote.key == reader).then_some(vote.agrees),
            unix_milliseconds: vote.time.unix_milliseconds,
        });
        let is_hidden = reader == decision.asked_by && standing != Standing::Confirmed;
        let candidates = match is_hidden {
            true => None,
            false => Some(candidates(state, decision)?),
        };
        Ok(DecisionAnswer {
            decision_id: id.to_string(),
            state: standing.into(),
            partition: decision.partition.to_string(),
            asked_by: decision.asked_by.to_string(),
            made_unix_milliseconds: decision.made.unix_milliseconds,
            ambiguous: decision.is_ambiguous,
            candidates,
            votes: votes.collect(),
        })
    }
}

/// Who was found, with what is known of them now.
fn candidates(state: &AppState, decision: &Decision) -> Result<Vec<DecisionCandidate>, Problem> {
    let gallery = state.engine().enrolled(&decision.partition)?;
    let now = state.clock().now();
    let candidate = |candidate: &Candidate| {
        let record = match &gallery {
            Some(gallery) => there(gallery, candidate, now)?,
            None => None,
        };
        let name = record.as_ref().and_then(|record| record.name.as_ref());
        let external_id = record
            .as_ref()
            .and_then(|record| record.external_id.as_ref());
        Ok(DecisionCandidate {
            class: candidate.class.to_string(),
            gone: record.is_none(),
            name: name.map(|name| name.as_str().to_owned()),
            external_id: external_id.map(|id| id.as_str().to_owned()),
        })
    };
    decision.candidates.iter().map(candidate).collect()
}

/// What is known of a candidate, or `None` if it is not the person any more who was found: none of the templates
/// is left that there were then, or the time of the person is over.
fn there(
    gallery: &Gallery,
    candidate: &Candidate,
    now: Timestamp,
) -> Result<Option<types::Record>, Problem> {
    let templates = gallery.templates_of(candidate.class)?;
    let is_same = match &candidate.templates {
        Some(then) => templates.iter().any(|it| then.contains(&it.template)),
        None => !templates.is_empty(),
    };
    let record = gallery
        .records(&[candidate.class])?
        .pop()
        .unwrap_or_default();
    let is_over = record.expires.is_some_and(|end| end <= now);
    Ok((is_same && !is_over).then_some(record))
}

/// Fails if nobody can confirm a decision any more.
fn refuse_gone(state: &AppState, decision: &Decision) -> Result<(), Problem> {
    let gallery = state.engine().enrolled(&decision.partition)?;
    let is_there = match (gallery, decision.candidates.first()) {
        (Some(gallery), Some(first)) => there(&gallery, first, state.clock().now())?.is_some(),
        _ => false,
    };
    match is_there {
        true => Ok(()),
        false => Err(DecisionError::Gone.into()),
    }
}

/// Has two people confirm what was decided of each of several probes, where that is wanted and somebody was
/// found. Returns the names of those that are pending then, in order.
pub(super) async fn pend(
    state: &AppState,
    asked_by: ApiKeyId,
    gallery: &Gallery,
    decided: &[(Option<judging::Decision>, &[Match])],
) -> Result<Vec<Option<DecisionId>>, Problem> {
    let is_found = |found: &[Match]| !found.is_empty();
    if !state.needs_confirmation(gallery.id()) || !decided.iter().any(|(_, it)| is_found(it)) {
        return Ok(vec![None; decided.len()]);
    }
    let now = state.clock().now();
    let pending = decided.iter().filter(|(_, found)| is_found(found));
    let candidate = |found: &Match| Candidate {
        class: found.class,
        templates: None,
    };
    let pending = pending.map(|(decision, found)| Decision {
        partition: gallery.id().clone(),
        asked_by,
        made: now,
        is_ambiguous: matches!(decision, Some(judging::Decision::Ambiguous)),
        candidates: found
            .iter()
            .take(Decision::CANDIDATES_MAX)
            .map(candidate)
            .collect(),
        votes: Vec::new(),
    });
    let mut pending: Vec<Decision> = pending.collect();
    let (shared, gallery) = (state.clone(), gallery.clone());
    let put = move || -> Result<_, Problem> {
        for candidate in pending.iter_mut().flat_map(|it| &mut it.candidates) {
            let templates = gallery.templates_of(candidate.class)?;
            candidate.templates = Some(templates.iter().map(|it| it.template).collect());
        }
        Ok(shared.decisions().put(&pending, now, &mut rand::rng())?)
    };
    let mut ids = state.lanes().write(put).await?.into_iter().peekable();
    let of = |(_, found): &(_, &[Match])| ids.next_if(|_| is_found(found));
    Ok(decided.iter().map(of).collect())
}

/// What is told of an identification: nothing while it is `pending`.
pub(super) fn withheld(
    pending: Option<DecisionId>,
    decided: Decided,
    found: &mut Vec<Match>,
) -> Decided {
    if pending.is_none() {
        return decided;
    }
    found.clear();
    (Some(judging::Decision::Pending), None)
}

/// The decision of a path, if the key reaches it.
fn found(state: &AppState, key: &Key, id: DecisionId) -> Result<Decision, Problem> {
    let decision = state.decisions().get(id, state.clock().now())?;
    match key.0.reach.permits(&decision.partition) {
        true => Ok(decision),
        // Whether there is one elsewhere is not told.
        false => Err(DecisionError::Missing.into()),
    }
}

fn named(text: &str) -> Result<DecisionId, Problem> {
    let id = text.parse::<DecisionId>();
    id.map_err(|error| Problem::new(Code::DecisionNotFound, error.to_string()))
}

pub(super) fn list_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(list),
        &[
            Key::FAILURES,
            Key::MAY_FAILURES,
            page::FAILURES,
            failures::OURS,
        ],
    )
}

/// List the last identifications that two people must confirm
///
/// The newest first, for 30 days, those of the partitions that the key reaches. Needs the scope `audit`.
#[utoipa::path(
    get,
    path = "/decisions",
    tag = "native",
    operation_id = "list_decisions",
    params(PageQuery),
    responses((status = 200, description = "A page of the list", body = DecisionsPage)),
    security(("api_key" = []))
)]
async fn list(
    State(state): State<AppState>,
    key: Key,
    page: Page<DecisionPlace>,
) -> Result<Response, Problem> {
    key.may(Scope::Audit)?;
    let shared = state.clone();
    let list = move || -> Result<_, Problem> {
        let (reach, now) = (&key.0.reach, shared.clock().now());
        let reaches = |partition: &_| reach.permits(partition);
        let decisions = shared.decisions();
        let mut listed = decisions.list(reaches, page.after, page.limit + 1, now)?;
        let next = page.cut(&mut listed, |(id, decision)| {
            decision.place(*id).to_string()
        });
        let told = listed
            .iter()
            .map(|(id, decision)| DecisionAnswer::new(&shared, (*id, decision), key.0.id));
        Ok(DecisionsPage {
            decisions: told.collect::<Result<_, Problem>>()?,
            next,
        })
    };
    let answer = state.lanes().small(list).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

pub(super) fn get_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(get),
        &[
            Key::FAILURES,
            Key::MAY_FAILURES,
            &[Code::DecisionNotFound],
            failures::OURS,
        ],
    )
}

/// Tell whether two people have confirmed an identification
///
/// The key that asked is told who it is once it is confirmed, and needs no other scope.
/// Needs the scope `confirm`.
#[utoipa::path(
    get,
    path = "/decisions/{decision}",
    tag = "native",
    operation_id = "get_decision",
    params(DecisionParameter),
    responses((status = 200, description = "What may be done with it", body = DecisionAnswer)),
    security(("api_key" = []))
)]
async fn get(
    State(state): State<AppState>,
    key: Key,
    Path(text): Path<String>,
) -> Result<Response, Problem> {
    let shared = state.clone();
    let look = move || -> Result<_, Problem> {
        let found = named(&text).and_then(|id| Ok((id, found(&shared, &key, id)?)));
        let is_own = found
            .as_ref()
            .is_ok_and(|(_, decision)| decision.asked_by == key.0.id);
        if !is_own {
            key.may(Scope::Confirm)?;
        }
        let (id, decision) = found?;
        DecisionAnswer::new(&shared, (id, &decision), key.0.id)
    };
    let answer = state.lanes().small(look).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

pub(super) fn confirm_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(confirm),
        &[
            Key::FAILURES,
            Key::MAY_FAILURES,
            BODY_FAILURES,
            &[Code::DecisionNotFound, Code::DecisionConflict],
            failures::OURS,
            failures::OF_CHANGES,
        ],
    )
}

/// Say whether an identification is right
///
/// It is confirmed if two keys have spoken and both agree, and rejected if one of them does not. Each speaks once,
/// and the key that asked does not. Without a body the key agrees. It is on disk when the answer comes.
/// Nobody can agree once the person who was found is gone: removed, merged into another class, or over their time.
/// Needs the scope `confirm`.
#[utoipa::path(
    post,
    path = "/decisions/{decision}/confirm",
    tag = "native",
    operation_id = "confirm_decision",
    params(DecisionParameter),
    request_body(content((Option<ConfirmRequest> = "application/json"))),
    responses((status = 200, description = "What may be done with it now", body = DecisionAnswer)),
    security(("api_key" = []))
)]
async fn confirm(
    State(state): State<AppState>,
    key: Key,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    key.may(Scope::Confirm)?;
    let id = named(&text)?;
    let agrees = agrees(&state, request).await?;
    let shared = state.clone();
    let work = move || -> Result<_, Problem> {
        let decision = found(&shared, &key, id)?;
        if agrees && decision.standing() == Standing::Pending {
            refuse_gone(&shared, &decision)?;
        }
        let vote = Vote {
            key: key.0.id,
            agrees,
            time: shared.clock().now(),
        };
        let decision = shared.decisions().vote(id, vote)?;
        note_confirmed(&shared, &decision)?;
        let record = shared.to_account(&key.1, Event::Reviewed);
        shared.account_here(record.map(|record| Record {
            partition: Some(decision.partition.clone()),
            class: decision.candidates.first().map(|first| first.class),
            decision: Some(match agrees {
                true => "agreed",
                false => "disagreed",
            }),
            object: Some(id.to_string()),
            ..record
        }))?;
        DecisionAnswer::new(&shared, (id, &decision), key.0.id)
    };
    let answer = state.lanes().write(work).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Remembers that somebody was recognised once two people have said so.
fn note_confirmed(state: &AppState, decision: &Decision) -> Result<(), Problem> {
    let gallery = state.engine().enrolled(&decision.partition)?;
    if let (Standing::Confirmed, Some(gallery), Some(first)) =
        (decision.standing(), gallery, decision.candidates.first())
    {
        gallery.note_match(first.class);
    }
    Ok(())
}

/// What a body says; to confirm is what the call is for.
async fn agrees(state: &AppState, request: Request) -> Result<bool, Problem> {
    // Some clients name a content type of nothing.
    let length = request.headers().get(header::CONTENT_LENGTH);
    if length.is_some_and(|length| length == "0") {
        return Ok(true);
    }
    let body = if request.headers().contains_key(header::CONTENT_TYPE) {
        class::json_body(state, request, &[]).await?
    } else {
        let (_, body) = receive::whole(state, request).await?;
        if body.is_empty() {
            return Ok(true);
        }
        let detail = "expected no body, or one of the content type `application/json`";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    };
    Ok(json::object::<ConfirmRequest>(&body)?
        .agrees
        .unwrap_or(true))
}
