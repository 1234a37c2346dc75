//! `/v1/partitions/{partition}/classes/{class}`: one person.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::state::AppState;
use super::answer;
use super::failures;
use super::key::Key;
use super::path::{self, ClassParameter, ClassPath, PartitionParameter};
use super::problem::{Code, Problem};
use crate::access::Scope;
use crate::engine::ClassSummary;
use crate::types::Bcid;

/// What there is of a class, without its templates: nobody gets those.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ClassAnswer {
    /// The class.
    class: String,
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
}

impl ClassAnswer {
    pub(super) fn new(class: &ClassSummary) -> ClassAnswer {
        ClassAnswer {
            class: class.class.to_string(),
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
    let (engine, class) = (state.engine().clone(), bcid.clone());
    let work = move || match engine.enrolled(&class.partition)? {
        Some(gallery) => gallery.class(class.class),
        None => Ok(None),
    };
    let summary = state.lanes().small(work).await?;
    let summary = summary.ok_or_else(|| missing(&bcid))?;
    Ok(answer::json(StatusCode::OK, &ClassAnswer::new(&summary)))
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
/// No search finds it any more when the answer comes. May be repeated. Needs the scope `delete`.
#[utoipa::path(
    delete,
    path = "/partitions/{partition}/classes/{class}",
    tag = "native",
    operation_id = "delete_class",
    params(PartitionParameter, ClassParameter),
    responses((status = 200, description = "The class is not enrolled now", body = DeleteAnswer)),
    security(("api_key" = []))
)]
async fn delete(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
) -> Result<Response, Problem> {
    key.may_use(Scope::Delete, &bcid.partition)?;
    let engine = state.engine().clone();
    let work = move || match engine.enrolled(&bcid.partition)? {
        Some(gallery) => gallery.remove(bcid.class),
        None => Ok(false),
    };
    let was_enrolled = state.lanes().write(work).await?;
    Ok(answer::json(StatusCode::OK, &DeleteAnswer { was_enrolled }))
}

/// It is not enrolled.
pub(super) fn missing(bcid: &Bcid) -> Problem {
    Problem::new(Code::ClassNotFound, format!("`{bcid}` is not enrolled"))
}
