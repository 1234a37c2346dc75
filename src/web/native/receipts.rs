//! `/v1/receipts`: who was removed, and since when nothing is stored of them any more.

use std::str::FromStr;

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

/// So many receipts are read at once.
const RECEIPTS_AT_ONCE: usize = 1_000;

/// A part of the list of receipts.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ReceiptsPage {
    /// The oldest first.
    receipts: Vec<Receipt>,
    /// The cursor of the next page; null on the last.
    next: Option<String>,
}

/// The id of the last receipt of a page.
struct ReceiptPlace(String);

impl FromStr for ReceiptPlace {
    type Err = ();

    /// Texts of other lists are none: they would begin a page anywhere.
    fn from_str(text: &str) -> Result<ReceiptPlace, ()> {
        match RemovalReceipt::is_id(text) {
            true => Ok(ReceiptPlace(text.to_owned())),
            false => Err(()),
        }
    }
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
    responses((status = 200, description = "The receipt", body = Receipt)),
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
        Ok(shared.signed(&receipt)?)
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
    page: Page<ReceiptPlace>,
) -> Result<Response, Problem> {
    key.may(Scope::Delete)?;
    let shared = state.clone();
    let work = move || -> Result<_, Problem> {
        shared.settle_receipts()?;
        let mut listed = Vec::new();
        let mut after = page
            .after
            .as_ref()
            .map_or_else(String::new, |it| it.0.clone());
        while listed.len() <= page.limit {
            let some = shared.engine().receipts(&after, RECEIPTS_AT_ONCE)?;
            let Some(last) = some.last() else {
                break;
            };
            after.clone_from(&last.id);
            let reached = some.into_iter();
            let reached = reached.filter(|it| key.0.reach.permits(&it.partition));
            listed.extend(reached.take(page.limit + 1 - listed.len()));
        }
        let next = page.cut(&mut listed, |receipt| receipt.id.clone());
        let told = listed.iter().map(|receipt| shared.signed(receipt));
        Ok(ReceiptsPage {
            receipts: told.collect::<Result<_, _>>()?,
            next,
        })
    };
    let answer = state.lanes().small(work).await?;
    Ok(answer::json(StatusCode::OK, &answer))
}
