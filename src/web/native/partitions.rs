//! `GET /v1/partitions`, and `GET` and `DELETE /v1/partitions/{partition}`: the galleries.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::state::AppState;
use super::answer;
use super::class::waits_for_erasure;
use super::failures;
use super::key::Key;
use super::page::{self, Page, PageQuery};
use super::path::{self, PartitionParameter, PartitionPath};
use super::problem::{Code, Problem};
use super::query;
use super::samples::encoder_name;
use crate::access::Scope;
use crate::audit::Receipt;
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
/// Those in which somebody was enrolled, that were not removed, and that the key reaches. Needs the scope `read`.
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

/// What became of a partition.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct RemovalAnswer {
    /// How many templates it had.
    templates: u64,
    /// Whether its templates were encrypted with a key that is destroyed now.
    key_destroyed: bool,
    /// Whether nothing is stored of it any more. Without `erase=now` it is done later, in the background.
    erased: bool,
    /// What proves it, to be asked for again.
    receipt: Receipt,
}

/// How a partition is removed.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "queries are read parameter by parameter; this is their description"
)]
pub(in super::super) struct RemovalQuery {
    /// The partition once more.
    #[param(example = "bws.112")]
    confirm: String,
    /// `now` to be answered when what is stored is overwritten, which may take minutes in large galleries; `later`,
    /// as without it, not to wait.
    #[param(example = "now")]
    erase: Option<String>,
}

pub(super) fn delete_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(delete),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            &[Code::PartitionNotFound],
            failures::OURS,
            failures::OF_CHANGES,
        ],
    )
}

/// Remove a partition
///
/// With everybody in it, all that is known of them, its calibration, and what waits to be confirmed. No answer has
/// anything of it any more when this is answered, and the key of an encrypted one is destroyed. What is stored is
/// overwritten within the time that the operator has set, or before the answer comes. `confirm` has to name the
/// partition again. Needs the scope `delete`.
#[utoipa::path(
    delete,
    path = "/partitions/{partition}",
    tag = "native",
    operation_id = "delete_partition",
    params(PartitionParameter, RemovalQuery),
    responses((status = 200, description = "It is removed", body = RemovalAnswer)),
    security(("api_key" = []))
)]
async fn delete(
    State(state): State<AppState>,
    key: Key,
    PartitionPath(partition): PartitionPath,
    uri: Uri,
) -> Result<Response, Problem> {
    key.may_use(Scope::Delete, &partition)?;
    let confirmed = query::value(&uri, "confirm");
    if confirmed.and_then(|it| it.parse().ok()).as_ref() != Some(&partition) {
        let detail = format!("`confirm` has to name the partition, `{partition}`, once more");
        return Err(Problem::invalid_parameter(detail));
    }
    let waits = waits_for_erasure(&uri)?;
    let (shared, id) = (state.clone(), partition.clone());
    let work = move || -> Result<_, Problem> {
        let removed = shared.remove_gallery(&id)?;
        if let Some((removed, _)) = &removed {
            shared.removed(&key.1, &id, removed.templates)?;
        }
        Ok(removed)
    };
    let removed = state.lanes().write(work).await?;
    let (removed, receipt) = removed.ok_or_else(|| missing(&partition))?;
    let (erased, receipt) = match waits {
        true => state.overwrite(&partition, Some(receipt)).await?,
        false => (false, Some(receipt)),
    };
    let receipt = receipt.ok_or_else(|| missing(&partition))?;
    let answer = RemovalAnswer {
        templates: removed.templates,
        key_destroyed: removed.was_encrypted,
        erased,
        receipt: state.signed(&receipt)?,
    };
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Nobody was ever enrolled there, or it was removed.
pub(super) fn missing(partition: &PartitionId) -> Problem {
    let detail = format!("nobody was ever enrolled in `{partition}`, or it was removed");
    Problem::new(Code::PartitionNotFound, detail)
}
