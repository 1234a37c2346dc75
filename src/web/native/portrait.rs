//! `GET /v1/partitions/{partition}/classes/{class}/portrait`: what does the person look like?

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::routes;

use super::super::endpoint::Endpoint;
use super::super::state::AppState;
use super::class::gallery_of;
use super::failures;
use super::key::Key;
use super::path::{self, ClassParameter, ClassPath, PartitionParameter};
use super::problem::{Code, Problem};
use crate::access::Scope;

pub(super) fn endpoint() -> Endpoint {
    failures::endpoint(
        routes!(portrait),
        &[
            Key::FAILURES,
            Key::MAY_USE_FAILURES,
            path::FAILURES,
            &[Code::ClassNotFound, Code::PortraitNotFound],
            failures::OURS,
        ],
    )
}

/// Show the portrait of a class
///
/// A JPEG of 144 x 144 pixels, of the best picture of a face that the person was enrolled with, where the
/// operator has portraits stored (`store-portraits`). Nobody on the way may keep it. Needs the scope `portraits`.
#[utoipa::path(
    get,
    path = "/partitions/{partition}/classes/{class}/portrait",
    tag = "native",
    operation_id = "get_portrait",
    params(PartitionParameter, ClassParameter),
    responses((status = 200, description = "The portrait", body = String, content_type = "image/jpeg")),
    security(("api_key" = []))
)]
async fn portrait(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
) -> Result<Response, Problem> {
    key.may_use(Scope::Portraits, &bcid.partition)?;
    if !state.intake().keeps_portraits() {
        let detail = "this service stores no portraits, and shows none that were stored: `store-portraits` is off";
        return Err(Problem::new(Code::PortraitNotFound, detail));
    }
    let engine = state.engine().clone();
    let work = move || -> Result<_, Problem> {
        let gallery = gallery_of(&engine, &bcid)?;
        let found = gallery.portrait(bcid.class)?;
        if found.is_none() && gallery.person(bcid.class)?.is_none() {
            return Err(Problem::new(
                Code::ClassNotFound,
                format!("{bcid} is not enrolled"),
            ));
        }
        found.ok_or_else(|| {
            let detail = format!("no picture of {bcid} was enrolled since portraits are stored");
            Problem::new(Code::PortraitNotFound, detail)
        })
    };
    let portrait = state.lanes().small(work).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    Ok((StatusCode::OK, headers, portrait.jpeg().to_vec()).into_response())
}
