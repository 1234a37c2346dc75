//! `GET /v1/partitions` and `GET /v1/partitions/{partition}`: the galleries.

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
use super::page::{self, Page, PageQuery};
use super::path::{self, PartitionParameter, PartitionPath};
use super::problem::{Code, Problem};
use super::samples::encoder_name;
use crate::access::Scope;
use crate::types::PartitionId;

/// A part of the list of partitions.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct PartitionsPage {
    /// In order of storage and number.
    partitions: Vec<PartitionName>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
}

/// The name of a partition.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct PartitionName {
    /// Storage and number, as calls name it.
    partition: String,
    /// The storage.
    storage: String,
    /// The number in its storage.
    number: i32,
}

/// What there is of a partition.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct PartitionAnswer {
    /// Storage and number, as calls name it.
    partition: String,
    /// The encoder whose embeddings it holds, and no others.
    encoder: String,
    /// How many values an embedding has.
    dimension: usize,
    /// How many classes are enrolled.
    classes: usize,
    /// How many templates they have.
    templates: usize,
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

/// List partitions
///
/// Those in which somebody was ever enrolled, and which the key reaches. Needs the scope `read`.
#[utoipa::path(
    get,
    path = "/partitions",
    tag = "native",
    operation_id = "list_partitions",
    params(PageQuery),
    responses((status = 200, description = "A page of the list", body = PartitionsPage)),
    security(("api_key" = []))
)]
async fn list(
    State(state): State<AppState>,
    key: Key,
    page: Page<PartitionId>,
) -> Result<Response, Problem> {
    key.may(Scope::Read)?;
    let engine = state.engine().clone();
    let work = move || engine.partitions();
    let mut partitions = state.lanes().small(work).await?;
    partitions.retain(|id| key.0.reach.permits(id) && page.after.as_ref().is_none_or(|at| id > at));
    partitions.sort();
    let next = page.cut(&mut partitions, PartitionId::to_string);
    let name = |id: PartitionId| PartitionName {
        partition: id.to_string(),
        storage: id.storage.to_string(),
        number: id.number,
    };
    let answer = PartitionsPage {
        partitions: partitions.into_iter().map(name).collect(),
        next,
    };
    Ok(answer::json(StatusCode::OK, &answer))
}

pub(super) fn one_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(one),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            &[Code::PartitionNotFound],
            failures::OURS,
        ],
    )
}

/// Describe a partition
///
/// Reads every class number: about eight bytes a template. Needs the scope `read`.
#[utoipa::path(
    get,
    path = "/partitions/{partition}",
    tag = "native",
    operation_id = "get_partition",
    params(PartitionParameter),
    responses((status = 200, description = "What there is", body = PartitionAnswer)),
    security(("api_key" = []))
)]
async fn one(
    State(state): State<AppState>,
    key: Key,
    PartitionPath(partition): PartitionPath,
) -> Result<Response, Problem> {
    key.may_use(Scope::Read, &partition)?;
    let (engine, id) = (state.engine().clone(), partition.clone());
    let work = move || {
        let gallery = engine.enrolled(&id)?;
        gallery.map(|gallery| gallery.contents()).transpose()
    };
    let contents = state.lanes().small(work).await?;
    let contents = contents.ok_or_else(|| missing(&partition))?;
    let answer = PartitionAnswer {
        partition: partition.to_string(),
        encoder: encoder_name(&contents.encoder),
        dimension: contents.encoder.dimension(),
        classes: contents.classes,
        templates: contents.templates,
    };
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Nobody was ever enrolled there.
pub(super) fn missing(partition: &PartitionId) -> Problem {
    let detail = format!("nobody was ever enrolled in `{partition}`");
    Problem::new(Code::PartitionNotFound, detail)
}
