//! `/v1/partitions/{partition}/classes/{class}`: one person.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::erasing::Deleted;
use super::super::receive;
use super::super::state::AppState;
use super::answer;
use super::body;
use super::failures;
use super::json;
use super::key::Key;
use super::path::{self, ClassParameter, ClassPath, PartitionParameter};
use super::problem::{Code, Problem};
use super::query;
use super::record::{GivenRecord, RecordMembers, permitted};
use crate::access::Scope;
use crate::audit::{Event, Receipt};
use crate::engine::{Engine, Gallery, Person};
use crate::types::{Bcid, RecordChange};

/// What there is of a class, without its templates: nobody gets those.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ClassAnswer {
    /// The class.
    class: String,
    #[serde(flatten)]
    record: RecordMembers,
    /// When the person was last recognised, within an hour, in milliseconds since 1970 in UTC; null if never, or
    /// if nothing is known of them but their templates.
    last_match_unix_milliseconds: Option<i64>,
    /// How many templates it has.
    templates: usize,
    /// When the oldest was enrolled, in milliseconds since 1970 in UTC.
    first_enrolled_unix_milliseconds: i64,
    /// When the newest was enrolled.
    last_enrolled_unix_milliseconds: i64,
    /// The best quality of their pictures, from 0 to 1; null if none is known.
    best_quality: Option<f32>,
}

/// What became of a class.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct DeleteAnswer {
    /// Whether there was such a class. There is none now.
    was_enrolled: bool,
    /// How many templates it had.
    templates: usize,
    /// Whether something else was known of the person, such as a name. It is gone with them.
    record: bool,
    /// Whether nothing is stored of them any more. Without `erase=now` it is done later, in the background.
    erased: bool,
    /// What proves it, to be asked for again; null if there was no such class.
    receipt: Option<Receipt>,
}

/// How a class is deleted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "queries are read parameter by parameter; this is their description"
)]
pub(in super::super) struct DeleteQuery {
    /// `now` to be answered when what is stored is overwritten, which may take minutes in large galleries; `later`,
    /// as without it, not to wait.
    #[param(example = "now")]
    erase: Option<String>,
}

/// What can go wrong with what is to be known of a person.
pub(super) const RECORD_FAILURES: &[Code] = &[Code::InvalidRecord, Code::RecordConflict];

/// What can go wrong with a body of JSON.
pub(super) const BODY_FAILURES: &[Code] = &[
    Code::MalformedBody,
    Code::BodyTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
];

impl ClassAnswer {
    pub(super) fn new(person: &Person) -> ClassAnswer {
        let class = &person.class;
        ClassAnswer {
            class: class.class.to_string(),
            record: RecordMembers::new(&person.record),
            last_match_unix_milliseconds: person.last_match.map(|it| it.unix_milliseconds),
            templates: class.templates,
            first_enrolled_unix_milliseconds: class.first_enrolled.unix_milliseconds,
            last_enrolled_unix_milliseconds: class.last_enrolled.unix_milliseconds,
            best_quality: class.best_quality,
        }
    }
}

pub(super) fn get_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(get),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            &[Code::ClassNotFound],
            failures::OURS,
        ],
    )
}

/// Describe a class
///
/// Needs the scope `read`.
#[utoipa::path(
    get,
    path = "/partitions/{partition}/classes/{class}",
    tag = "native",
    operation_id = "get_class",
    params(PartitionParameter, ClassParameter),
    responses((status = 200, description = "What there is", body = ClassAnswer)),
    security(("api_key" = []))
)]
async fn get(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
) -> Result<Response, Problem> {
    key.may_use(Scope::Read, &bcid.partition)?;
    let engine = state.engine().clone();
    let work = move || described(&gallery_of(&engine, &bcid)?, &bcid);
    let answer = state.lanes().small(work).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

/// The gallery that a class is looked for in.
pub(super) fn gallery_of(engine: &Engine, bcid: &Bcid) -> Result<Gallery, Problem> {
    let gallery = engine.enrolled(&bcid.partition)?;
    gallery.ok_or_else(|| missing(bcid))
}

/// What there is of a class.
pub(super) fn described(gallery: &Gallery, bcid: &Bcid) -> Result<ClassAnswer, Problem> {
    let person = gallery.person(bcid.class)?;
    Ok(ClassAnswer::new(&person.ok_or_else(|| missing(bcid))?))
}

pub(super) fn put_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(put),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            BODY_FAILURES,
            RECORD_FAILURES,
            &[Code::ClassNotFound],
            failures::OURS,
            failures::OF_CHANGES,
        ],
    )
}

/// Replace what is known of a class
///
/// What the body does not have is not known any more. Templates stay as they are. It is on disk when the answer
/// comes. Needs the scope `enroll`. A threshold of its own is taken as in `identify`; an end that is past is a
/// deletion, and taken of a key that may delete.
#[utoipa::path(
    put,
    path = "/partitions/{partition}/classes/{class}",
    tag = "native",
    operation_id = "put_class",
    params(PartitionParameter, ClassParameter),
    request_body(content((GivenRecord = "application/json"))),
    responses((status = 200, description = "What there is now", body = ClassAnswer)),
    security(("api_key" = []))
)]
async fn put(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
    request: Request,
) -> Result<Response, Problem> {
    key.may_use(Scope::Enroll, &bcid.partition)?;
    let body = json_body(&state, request, &[]).await?;
    let record = json::object::<GivenRecord>(&body)?.record()?;
    change(&state, &key, bcid, RecordChange::of(record)).await
}

pub(super) fn patch_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(patch),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            BODY_FAILURES,
            RECORD_FAILURES,
            &[Code::ClassNotFound],
            failures::OURS,
            failures::OF_CHANGES,
        ],
    )
}

/// Change what is known of a class
///
/// A merge patch of JSON (RFC 7396): what the body does not have stays, and what is null goes.
/// Needs the scope `enroll`. A threshold of its own is taken as in `identify`; an end that is past is a deletion,
/// and taken of a key that may delete.
#[utoipa::path(
    patch,
    path = "/partitions/{partition}/classes/{class}",
    tag = "native",
    operation_id = "patch_class",
    params(PartitionParameter, ClassParameter),
    request_body(content(
        (GivenRecord = "application/merge-patch+json"),
        (GivenRecord = "application/json"),
    )),
    responses((status = 200, description = "What there is now", body = ClassAnswer)),
    security(("api_key" = []))
)]
async fn patch(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
    request: Request,
) -> Result<Response, Problem> {
    key.may_use(Scope::Enroll, &bcid.partition)?;
    let body = json_body(&state, request, &["application/merge-patch+json"]).await?;
    let record = json::object::<GivenRecord>(&body)?.change()?;
    change(&state, &key, bcid, record).await
}

async fn change(
    state: &AppState,
    key: &Key,
    bcid: Bcid,
    record: RecordChange,
) -> Result<Response, Problem> {
    let (shared, disclosure) = (state.clone(), key.disclosure(state.intake()));
    let (actor, may_delete) = (key.1.clone(), key.may(Scope::Delete));
    let work = move || {
        let gallery = shared.engine().enrolled(&bcid.partition)?;
        let gallery = gallery.ok_or_else(|| missing(&bcid))?;
        let known = gallery.records(&[bcid.class])?;
        let is_news = known.first().map(|known| known.expires) != record.expires;
        let end = record.expires.flatten().filter(|_| is_news);
        if end.is_some_and(|end| end <= shared.clock().now()) {
            // Who is over their time is deleted within a minute.
            may_delete?;
        }
        // Who writes back what was read sets nothing.
        let is_new = known.first().map(|known| known.threshold) != record.threshold;
        let least = shared
            .intake()
            .least_verification(shared.engine(), &gallery)?;
        let record = match is_new {
            true => permitted(record, disclosure, least)?,
            false => record,
        };
        gallery.change_record(bcid.class, record)?;
        shared.changed((&actor, Event::Changed), &bcid, None, None)?;
        described(&gallery, &bcid)
    };
    let answer = state.lanes().write(work).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

/// The body of a call that takes JSON, or what is of the other types.
pub(super) async fn json_body(
    state: &AppState,
    request: Request,
    others: &[&str],
) -> Result<Bytes, Problem> {
    let kind = body::bare_content_type(request.headers());
    if kind != "application/json" && !others.contains(&&*kind) {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "expected the content type `application/json`",
        ));
    }
    let (_, body) = receive::whole(state, request).await?;
    Ok(body)
}

pub(super) fn delete_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(delete),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            failures::OURS,
            failures::OF_CHANGES,
        ],
    )
}

/// Delete a class
///
/// With all that is known of the person. No search finds it any more when the answer comes, which says what was
/// removed. May be repeated. What is stored is overwritten within the time that the operator has set, or before
/// the answer comes.
/// Needs the scope `delete`.
#[utoipa::path(
    delete,
    path = "/partitions/{partition}/classes/{class}",
    tag = "native",
    operation_id = "delete_class",
    params(PartitionParameter, ClassParameter, DeleteQuery),
    responses((status = 200, description = "The class is not enrolled now", body = DeleteAnswer)),
    security(("api_key" = []))
)]
async fn delete(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
    uri: Uri,
) -> Result<Response, Problem> {
    key.may_use(Scope::Delete, &bcid.partition)?;
    let waits = waits_for_erasure(&uri)?;
    let (shared, partition) = (state.clone(), bcid.partition.clone());
    let work = move || -> Result<Deleted, Problem> {
        let deleted = shared.delete(&bcid)?;
        let event = (&key.1, Event::Deleted);
        shared.changed(event, &bcid, Some(deleted.removed.templates), None)?;
        Ok(deleted)
    };
    let Deleted { removed, receipt } = state.lanes().write(work).await?;
    let (erased, receipt) = match waits {
        true => state.overwrite(&partition, receipt).await?,
        false => (false, receipt),
    };
    let receipt = receipt.map(|receipt| state.signed(&receipt));
    let answer = DeleteAnswer {
        was_enrolled: removed.was_enrolled(),
        templates: removed.templates,
        record: removed.record,
        erased,
        receipt: receipt.transpose()?,
    };
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Whether the answer waits until what is stored is overwritten.
pub(super) fn waits_for_erasure(uri: &Uri) -> Result<bool, Problem> {
    match query::value(uri, "erase").as_deref() {
        None | Some("later") => Ok(false),
        Some("now") => Ok(true),
        Some(_) => Err(Problem::invalid_parameter("`erase` is `now` or `later`")),
    }
}

/// It is not enrolled.
pub(super) fn missing(bcid: &Bcid) -> Problem {
    Problem::new(Code::ClassNotFound, format!("`{bcid}` is not enrolled"))
}
