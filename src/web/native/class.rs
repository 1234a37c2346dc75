//! `/v1/partitions/{partition}/classes/{class}`: one person.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::super::render;
use super::super::state::AppState;
use super::key::Key;
use super::path::ClassPath;
use super::problem::{Code, Problem};
use crate::access::Scope;
use crate::engine::ClassSummary;
use crate::types::Bcid;

/// What there is of a class, without its templates: nobody gets those.
#[derive(Serialize)]
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
#[derive(Serialize)]
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

/// Tells what there is of one class.
pub(in super::super) async fn get(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
) -> Result<Response, Problem> {
    key.may_use(Scope::Read, &bcid.partition)?;
    let (engine, class) = (state.engine().clone(), bcid.clone());
    let summary = state.jobs().run(move || engine.class(&class)).await??;
    let summary = summary.ok_or_else(|| missing(&bcid))?;
    Ok(render::json(StatusCode::OK, &ClassAnswer::new(&summary)))
}

/// Removes a class, so that no search finds it. May be repeated.
pub(in super::super) async fn delete(
    State(state): State<AppState>,
    key: Key,
    ClassPath(bcid): ClassPath,
) -> Result<Response, Problem> {
    key.may_use(Scope::Delete, &bcid.partition)?;
    let engine = state.engine().clone();
    let work = move || engine.delete_class(&bcid);
    let was_enrolled = state.jobs().run(work).await??;
    Ok(render::json(StatusCode::OK, &DeleteAnswer { was_enrolled }))
}

/// It is not enrolled.
pub(super) fn missing(bcid: &Bcid) -> Problem {
    Problem::new(Code::ClassNotFound, format!("`{bcid}` is not enrolled"))
}
