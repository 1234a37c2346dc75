//! `GET /v1/partitions/{partition}/classes`: who is enrolled?

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::state::AppState;
use super::answer;
use super::class::ClassAnswer;
use super::failures;
use super::key::Key;
use super::page::{self, Page, PageQuery};
use super::partitions;
use super::path::{self, PartitionParameter, PartitionPath};
use super::problem::{Code, Problem};
use crate::access::Scope;
use crate::types::ClassId;

/// A part of the list of classes.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ClassesPage {
    /// In order of their numbers.
    classes: Vec<ClassAnswer>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
}

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(
        routes!(list),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            page::FAILURES,
            &[Code::PartitionNotFound],
            failures::OURS,
        ],
    )
}

/// List the classes of a partition
///
/// Needs the scope `read`.
#[utoipa::path(
    get,
    path = "/partitions/{partition}/classes",
    tag = "native",
    operation_id = "list_classes",
    params(PartitionParameter, PageQuery),
    responses((status = 200, description = "A page of the list", body = ClassesPage)),
    security(("api_key" = []))
)]
async fn list(
    State(state): State<AppState>,
    key: Key,
    PartitionPath(partition): PartitionPath,
    page: Page<ClassId>,
) -> Result<Response, Problem> {
    key.may_use(Scope::Read, &partition)?;
    let (engine, id) = (state.engine().clone(), partition.clone());
    let (after, limit) = (page.after, page.limit + 1);
    let work = move || {
        let gallery = engine.enrolled(&id)?;
        let classes = gallery.map(|gallery| gallery.classes(after, limit));
        classes.transpose()
    };
    let classes = state.lanes().small(work).await?;
    let mut classes = classes.ok_or_else(|| partitions::missing(&partition))?;
    let next = page.cut(&mut classes, |class| class.class.to_string());
    let answer = ClassesPage {
        classes: classes.iter().map(ClassAnswer::new).collect(),
        next,
    };
    Ok(answer::json(StatusCode::OK, &answer))
}
