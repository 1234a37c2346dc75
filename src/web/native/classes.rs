//! `GET /v1/partitions/{partition}/classes`: who is enrolled?

use axum::extract::State;
use axum::http::{StatusCode, Uri};
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
use super::query;
use super::record::GivenLabels;
use crate::access::Scope;
use crate::engine::{PeopleCursor, PeopleFilter};

/// Who is looked for. All that is given must hold.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "queries are read parameter by parameter; this is their description"
)]
pub(in super::super) struct PeopleQuery {
    /// Those of this name, whatever its capitals are.
    name: Option<String>,
    /// Those whose name begins so, in the order of their names.
    name_prefix: Option<String>,
    /// The one of this external id.
    external_id: Option<String>,
    /// Those who have this label, such as `site:berlin`; may be repeated.
    labels: Option<String>,
}

/// A part of the list of classes.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct ClassesPage {
    /// In order of their numbers; of their names, where those are looked for.
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
            &[Code::PartitionNotFound, Code::InvalidRecord],
            failures::OURS,
        ],
    )
}

/// List the classes of a partition
///
/// All of them, or those who are looked for by name, external id or label. Needs the scope `read`.
#[utoipa::path(
    get,
    path = "/partitions/{partition}/classes",
    tag = "native",
    operation_id = "list_classes",
    params(PartitionParameter, PeopleQuery, PageQuery),
    responses((status = 200, description = "A page of the list", body = ClassesPage)),
    security(("api_key" = []))
)]
async fn list(
    State(state): State<AppState>,
    key: Key,
    PartitionPath(partition): PartitionPath,
    uri: Uri,
    page: Page<PeopleCursor>,
) -> Result<Response, Problem> {
    key.may_use(Scope::Read, &partition)?;
    let filter = filter(&uri)?;
    let (engine, id) = (state.engine().clone(), partition.clone());
    let work = move || -> Result<_, Problem> {
        let gallery = engine.enrolled(&id)?;
        let gallery = gallery.ok_or_else(|| partitions::missing(&id))?;
        Ok(gallery.people(&filter, page.after.as_ref(), page.limit)?)
    };
    let found = state.lanes().small(work).await?;
    let answer = ClassesPage {
        classes: found.people.iter().map(ClassAnswer::new).collect(),
        next: found.next.map(|next| page::cursor(&next.to_string())),
    };
    Ok(answer::json(StatusCode::OK, &answer))
}

fn filter(uri: &Uri) -> Result<PeopleFilter, Problem> {
    let external_id = query::value(uri, "external_id");
    let external_id = external_id.map(|id| id.parse()).transpose()?;
    let name = query::value(uri, "name");
    let name_prefix = query::value(uri, "name_prefix");
    if name.is_some() && name_prefix.is_some() {
        let detail = "`name` is a whole name and `name_prefix` its beginning: give one of them";
        return Err(Problem::invalid_parameter(detail));
    }
    Ok(PeopleFilter {
        name,
        name_prefix,
        external_id,
        labels: GivenLabels::of_texts(query::values(uri, "labels")).wanted()?,
    })
}
