//! `/v1/snapshots`: copies of everything, in a directory that the operator chose.
//!
//! A caller chooses neither place nor name, so that nothing can be written anywhere else, and nothing
//! replaced. What an operator needs beside a running service is a file that a backup program takes away;
//! it never travels through HTTP.

use std::fs;
use std::path::Path;

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
use super::problem::{Code, Problem};
use crate::access::Scope;
use crate::access::ServerKey;
use crate::audit::{Event, Record};
use crate::partition::{StoreError, snapshot_name, snapshots_in};

/// A snapshot in the directory of the service.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct SnapshotAnswer {
    /// The name of the file.
    name: String,
    /// Its length.
    bytes: u64,
    /// The moment that it shows, in milliseconds since 1970 in UTC.
    created_unix_milliseconds: i64,
}

/// The snapshots in the directory of the service.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct SnapshotsAnswer {
    /// The newest first.
    snapshots: Vec<SnapshotAnswer>,
}

pub(super) fn create_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(create),
        &[
            Key::FAILURES,
            Key::MAY_FAILURES,
            &[Code::SnapshotsNotConfigured, Code::SnapshotRunning],
            failures::OURS,
            failures::OF_CHANGES,
        ],
    )
}

/// Make a snapshot of everything
///
/// As it is at one moment, in the directory `snapshot-dir` of the service; others may go on calling. The answer
/// comes when the file is whole. Needs the scope `snapshot`.
#[utoipa::path(
    post,
    path = "/snapshots",
    tag = "native",
    operation_id = "create_snapshot",
    responses((status = 201, description = "The snapshot is whole", body = SnapshotAnswer)),
    security(("api_key" = []))
)]
async fn create(State(state): State<AppState>, key: Key) -> Result<Response, Problem> {
    key.may(Scope::Snapshot)?;
    check_directory(&state)?;
    // Not among the jobs: it takes minutes, of the disk more than of the processor, and who is to be
    // identified should not wait for it.
    let turn = state.snapshot_turn().clone().try_acquire_owned();
    let turn = turn.map_err(|_taken| {
        Problem::new(
            Code::SnapshotRunning,
            "another snapshot is being made; wait for it",
        )
    })?;
    let shared = state.clone();
    let made = tokio::task::spawn_blocking(move || {
        // Given back when the snapshot is made, not when the caller leaves.
        let _turn = turn;
        let made = make(&shared)?;
        let record = shared.to_account(&key.1, Event::Copied);
        shared.account_here(record.map(|record| Record {
            object: Some(made.name.clone()),
            ..record
        }))?;
        Ok::<_, Problem>(made)
    });
    let made = match made.await {
        Ok(made) => made?,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => return Err(Problem::internal("to make a snapshot", &error)),
    };
    Ok(answer::json(StatusCode::CREATED, &made))
}

pub(super) fn list_endpoint() -> Endpoint {
    failures::endpoint(
        routes!(list),
        &[
            Key::FAILURES,
            Key::MAY_FAILURES,
            &[Code::SnapshotsNotConfigured],
            failures::OURS,
        ],
    )
}

/// List the snapshots in the directory of the service
///
/// Needs the scope `snapshot`.
#[utoipa::path(
    get,
    path = "/snapshots",
    tag = "native",
    operation_id = "list_snapshots",
    responses((status = 200, description = "All snapshots", body = SnapshotsAnswer)),
    security(("api_key" = []))
)]
async fn list(State(state): State<AppState>, key: Key) -> Result<Response, Problem> {
    key.may(Scope::Snapshot)?;
    check_directory(&state)?;
    let shared = state.clone();
    let snapshots = state.lanes().small(move || found(&shared)).await?;
    Ok(answer::json(StatusCode::OK, &SnapshotsAnswer { snapshots }))
}

fn check_directory(state: &AppState) -> Result<&Path, Problem> {
    state.options().snapshot_dir.as_deref().ok_or_else(|| {
        let detail = "the service was started without `snapshot-dir`";
        Problem::new(Code::SnapshotsNotConfigured, detail)
    })
}

fn make(state: &AppState) -> Result<SnapshotAnswer, Problem> {
    let directory = check_directory(state)?;
    let failed = |error: std::io::Error| Problem::internal("to make a snapshot", &error);
    fs::create_dir_all(directory).map_err(failed)?;
    let created = state.clock().now();
    let name = snapshot_name(created);
    let path = directory.join(&name);
    let store = state.engine().store();
    // Without its key a snapshot is not whole.
    ServerKey::good_for(store).map_err(|error| Problem::internal("to make a snapshot", &error))?;
    match store.snapshot_to(&path, false, created, &mut |_, _| {}) {
        // Two within a millisecond, or the clock was set back.
        Err(StoreError::Exists { .. }) => {
            let detail = "a snapshot of this moment exists already";
            return Err(Problem::new(Code::SnapshotRunning, detail));
        }
        made => drop(made?),
    }
    Ok(SnapshotAnswer {
        bytes: fs::metadata(&path).map_err(failed)?.len(),
        name,
        created_unix_milliseconds: created.unix_milliseconds,
    })
}

fn found(state: &AppState) -> Result<Vec<SnapshotAnswer>, Problem> {
    let failed = |error: std::io::Error| Problem::internal("to list snapshots", &error);
    let found = snapshots_in(check_directory(state)?).map_err(failed)?;
    let snapshots = found.into_iter().map(|snapshot| SnapshotAnswer {
        name: snapshot.name,
        bytes: snapshot.bytes,
        created_unix_milliseconds: snapshot.created.unix_milliseconds,
    });
    Ok(snapshots.collect())
}
