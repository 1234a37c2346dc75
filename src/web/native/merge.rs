//! `/v1/partitions/{partition}/classes/{class}/merge` and `/move`, and the list of its templates: what was
//! enrolled as somebody else.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::state::AppState;
use super::answer;
use super::class::{self, BODY_FAILURES, ClassAnswer, RECORD_FAILURES, json_body};
use super::failures;
use super::json;
use super::key::Key;
use super::listed::Listed;
use super::path::{self, ClassParameter, ClassPath, PartitionParameter};
use super::problem::{Code, Problem};
use super::record::{GivenClass, class_of};
use crate::access::Scope;
use crate::audit::{Event, Receipt};
use crate::partition::TemplateInfo;
use crate::types::ClassId;

/// The most templates that are moved at once.
const MOVED_MAX: usize = 1000;

/// The class that goes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct MergeRequest {
    /// The class of which nothing is left.
    #[schema(value_type = Option<String>, example = "12")]
    from: Option<GivenClass>,
}

/// What became of the two.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct MergeAnswer {
    /// How many templates came over.
    moved: usize,
    /// How many of both gave way, or were there twice.
    removed: usize,
    /// That nobody is the other class any more, to be asked for again.
    receipt: Receipt,
    #[serde(flatten)]
    class: ClassAnswer,
}

/// Which templates belong to somebody else.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct MoveRequest {
    /// The numbers of the templates.
    #[schema(value_type = Option<Vec<String>>)]
    templates: Option<Listed<GivenClass, MOVED_MAX>>,
    /// The class that gets them. It begins to exist if it does not.
    #[schema(value_type = Option<String>, example = "5")]
    to: Option<GivenClass>,
}

/// What became of the templates.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct MoveAnswer {
    /// How many templates the other class got. They have new numbers.
    moved: usize,
    /// How many gave way there, or were there already.
    removed: usize,
    /// How many templates the other class has now.
    templates: usize,
    /// How many are left where they came from.
    left: usize,
}

/// The templates of a class, without their values: nobody gets those.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct TemplatesAnswer {
    /// The oldest first.
    templates: Vec<TemplateAnswer>,
}

/// A template.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct TemplateAnswer {
    /// Its number, which no other template of the partition has or had.
    template: String,
    /// When it was enrolled, in milliseconds since 1970 in UTC.
    enrolled_unix_milliseconds: i64,
    /// The quality of its picture, from 0 to 1; null if it is not known.
    quality: Option<f32>,
}

pub(super) fn merge_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(merge),
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

/// Make one class of two
///
/// The class of the path keeps the best ten templates of both, and gets of the record of the other what it lacks,
/// and the later end: it has none if one of them has none. A threshold of its own it has only if it had one.
/// Nothing is left of the other. Two that are said not to be the same person are refused, and one whose time is
/// over.
/// Needs the scope `enroll`, and `delete`, since a class goes.
#[utoipa::path(
    post,
    path = "/partitions/{partition}/classes/{class}/merge",
    tag = "native",
    operation_id = "merge_classes",
    params(PartitionParameter, ClassParameter),
    request_body(content((MergeRequest = "application/json"))),
    responses((status = 200, description = "They are one class now", body = MergeAnswer)),
    security(("api_key" = []))
)]
async fn merge(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
    request: Request,
) -> Result<Response, Problem> {
    key.may_use(Scope::Enroll, &bcid.partition)?;
    key.may(Scope::Delete)?;
    let body = json_body(&state, request, &[]).await?;
    let from = named("from", json::object::<MergeRequest>(&body)?.from)?;
    let shared = state.clone();
    let work = move || -> Result<_, Problem> {
        let gallery = class::gallery_of(shared.engine(), &bcid)?;
        let (now, chance) = (shared.clock().now(), rand::random());
        let classes = (bcid.class, from);
        let (merged, receipt) = shared.engine().merge(&gallery, classes, now, chance)?;
        let event = (&key.1, Event::Merged);
        shared.changed(event, &bcid, Some(merged.moved), Some(from.to_string()))?;
        Ok(MergeAnswer {
            receipt: shared.signed(&receipt)?,
            moved: merged.moved,
            removed: merged.removed,
            class: class::described(&gallery, &bcid)?,
        })
    };
    let answer = state.lanes().write(work).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

/// The class of a member that must be there.
fn named(member: &str, class: Option<GivenClass>) -> Result<ClassId, Problem> {
    let class = class.ok_or_else(|| {
        Problem::malformed(format!(
            "`{member}` is missing: it is the number of a class"
        ))
    })?;
    class_of(&class.0)
}

pub(super) fn move_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(move_templates),
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

/// Move templates to another class
///
/// Where a picture of somebody else was enrolled. Needs the scope `enroll`.
#[utoipa::path(
    post,
    path = "/partitions/{partition}/classes/{class}/move",
    tag = "native",
    operation_id = "move_templates",
    params(PartitionParameter, ClassParameter),
    request_body(content((MoveRequest = "application/json"))),
    responses((status = 200, description = "They are of the other class now", body = MoveAnswer)),
    security(("api_key" = []))
)]
async fn move_templates(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
    request: Request,
) -> Result<Response, Problem> {
    key.may_use(Scope::Enroll, &bcid.partition)?;
    let body = json_body(&state, request, &[]).await?;
    let given = json::object::<MoveRequest>(&body)?;
    let to = named("to", given.to)?;
    let templates = given.templates.unwrap_or_default();
    if templates.count() > MOVED_MAX || templates.count() == 0 {
        let detail = format!("`templates` must have 1 to {MOVED_MAX} numbers of templates");
        return Err(Problem::invalid_parameter(detail));
    }
    let numbers = templates.into_kept().into_iter().map(|number| {
        number.0.parse().map_err(|_not_a_number| {
            Problem::invalid_parameter("`templates` must be numbers that `.../templates` lists")
        })
    });
    let numbers: Vec<u64> = numbers.collect::<Result<_, Problem>>()?;
    let shared = state.clone();
    let work = move || -> Result<_, Problem> {
        let gallery = class::gallery_of(shared.engine(), &bcid)?;
        let moved = gallery.move_templates(bcid.class, &numbers, to)?;
        let event = (&key.1, Event::Moved);
        shared.changed(event, &bcid, Some(moved.moved), Some(to.to_string()))?;
        Ok(MoveAnswer {
            moved: moved.moved,
            removed: moved.removed,
            templates: moved.templates,
            left: moved.left,
        })
    };
    let answer = state.lanes().write(work).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

pub(super) fn templates_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(templates),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            &[Code::ClassNotFound],
            failures::OURS,
        ],
    )
}

/// List the templates of a class
///
/// Without their values. Needs the scope `read`.
#[utoipa::path(
    get,
    path = "/partitions/{partition}/classes/{class}/templates",
    tag = "native",
    operation_id = "list_templates",
    params(PartitionParameter, ClassParameter),
    responses((status = 200, description = "All templates", body = TemplatesAnswer)),
    security(("api_key" = []))
)]
async fn templates(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
) -> Result<Response, Problem> {
    key.may_use(Scope::Read, &bcid.partition)?;
    let engine = state.engine().clone();
    let work = move || -> Result<_, Problem> {
        let gallery = class::gallery_of(&engine, &bcid)?;
        let templates = gallery.templates_of(bcid.class)?;
        if templates.is_empty() {
            return Err(class::missing(&bcid));
        }
        let templates = templates.iter().map(TemplateAnswer::new).collect();
        Ok(TemplatesAnswer { templates })
    };
    let answer = state.lanes().small(work).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}

impl TemplateAnswer {
    fn new(info: &TemplateInfo) -> TemplateAnswer {
        TemplateAnswer {
            template: info.template.to_string(),
            enrolled_unix_milliseconds: info.enrolled_unix_milliseconds,
            quality: Some(info.quality).filter(|quality| !quality.is_nan()),
        }
    }
}
