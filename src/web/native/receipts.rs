//! `/v1/receipts`: who was removed, and since when nothing is stored of them any more.

use axum::extract::{Path, State};
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
use super::problem::{Code, Problem};
use crate::access::Scope;
use crate::audit::Receipt;
use crate::engine::RemovalReceipt;

/// Signed words that somebody was removed. `vultus audit verify-receipt` verifies them without the service.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ReceiptAnswer {
    /// The version of the format, 1.
    receipt: u32,
    /// By which it is asked for again.
    id: String,
    /// The identity of the data directory.
    data_directory: String,
    /// From which partition somebody was removed.
    partition: String,
    /// Which class that was.
    class: String,
    /// How many templates it had.
    templates: u64,
    /// When the removal was asked for, in milliseconds since 1970 in UTC. No search finds them since.
    asked_unix_milliseconds: i64,
    /// When all that was stored of them here was overwritten; null if it is not yet.
    erased_unix_milliseconds: Option<i64>,
    /// Until when at most snapshots of the service may have copies, while it runs; null where that is not known,
    /// as when they are made or kept by others.
    snapshots_until_unix_milliseconds: Option<i64>,
    /// The key that signed it, 64 hexadecimal digits: that of the audit log.
    public_key: String,
    /// The signature, 128 hexadecimal digits.
    signature: String,
}

/// A part of the list of receipts.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ReceiptsPage {
    /// The oldest first.
    receipts: Vec<ReceiptAnswer>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
}

/// What stands for `{id}` in a path.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "paths are read by other types; this is their description"
)]
pub(in super::super) struct ReceiptParameter {
    /// The id of a receipt.
    id: String,
}

impl ReceiptAnswer {
    pub(super) fn new(state: &AppState, receipt: &RemovalReceipt) -> Result<Self, Problem> {
        let Receipt {
            receipt,
            id,
            data_directory,
            partition,
            class,
            templates,
            asked_unix_milliseconds,
            erased_unix_milliseconds,
            snapshots_until_unix_milliseconds,
            public_key,
            signature,
        } = state.signed(receipt)?;
        Ok(ReceiptAnswer {
            receipt,
            id,
            data_directory,
            partition,
            class,
            templates,
            asked_unix_milliseconds,
            erased_unix_milliseconds,
            snapshots_until_unix_milliseconds,
            public_key,
            signature,
        })
    }
}

pub(super) fn one_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(one),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            &[Code::InvalidParameter, Code::ReceiptNotFound],
            failures::OURS,
        ],
    )
}

/// Get a receipt
///
/// Of a removal, through either door, for a year. Needs the scope `delete`.
#[utoipa::path(
    get,
    path = "/receipts/{id}",
    tag = "native",
    operation_id = "get_receipt",
    params(ReceiptParameter),
    responses((status = 200, description = "The receipt", body = ReceiptAnswer)),
    security(("api_key" = []))
)]
async fn one(
    State(state): State<AppState>,
    key: Key,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    key.may(Scope::Delete)?;
    let shared = state.clone();
    let work = move || -> Result<_, Problem> {
        shared.settle_receipts()?;
        let receipt = shared.engine().receipt(&id)?;
        let receipt = receipt
            .ok_or_else(|| Problem::new(Code::ReceiptNotFound, "there is no receipt of this id"))?;
        key.may_use(Scope::Delete, &receipt.partition)?;
        ReceiptAnswer::new(&shared, &receipt)
    };
    let answer = state.lanes().small(work).await?;
    Ok(answer::json(StatusCode::OK, &answer))
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

/// List receipts
///
/// Of all removals of the last year from partitions that the key reaches, the oldest first.
/// Needs the scope `delete`.
#[utoipa::path(
    get,
    path = "/receipts",
    tag = "native",
    operation_id = "list_receipts",
    params(PageQuery),
    responses((status = 200, description = "A page of the list", body = ReceiptsPage)),
    security(("api_key" = []))
)]
async fn list(
    State(state): State<AppState>,
    key: Key,
    page: Page<String>,
) -> Result<Response, Problem> {
    key.may(Scope::Delete)?;
    let shared = state.clone();
    let work = move || -> Result<_, Problem> {
        shared.settle_receipts()?;
        let after = page.after.as_deref().unwrap_or_default();
        let all = shared.engine().receipts()?.into_iter();
        let reached = all.filter(|receipt| {
            receipt.id.as_str() > after && key.0.reach.permits(&receipt.partition)
        });
        let mut listed: Vec<_> = reached.take(page.limit + 1).collect();
        let next = page.cut(&mut listed, |receipt| receipt.id.clone());
        let told = listed
            .iter()
            .map(|receipt| ReceiptAnswer::new(&shared, receipt));
        Ok(ReceiptsPage {
            receipts: told.collect::<Result<_, Problem>>()?,
            next,
        })
    };
    let answer = state.lanes().small(work).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}
