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
use crate::partition::StoreError;
use crate::types::Timestamp;

/// The name of a snapshot is this, the time in milliseconds since 1970 in UTC, and the ending.
const PREFIX: &str = "vultus-";
const ENDING: &str = ".tar.zst";

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
        make(&shared)
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
    let name = name(created);
    let path = directory.join(&name);
    let store = state.engine().store();
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
    let entries = match fs::read_dir(check_directory(state)?) {
        Ok(entries) => entries,
        // It is made with the first snapshot.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Some((name, created)) = entry.file_name().to_str().and_then(parse) else {
            continue;
        };
        let bytes = match entry.metadata() {
            Ok(metadata) => metadata.len(),
            // Somebody took it away in between.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        found.push(SnapshotAnswer {
            name,
            bytes,
            created_unix_milliseconds: created.unix_milliseconds,
        });
    }
    found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created_unix_milliseconds));
    Ok(found)
}

fn name(created: Timestamp) -> String {
    format!("{PREFIX}{}{ENDING}", created.unix_milliseconds)
}

/// The name and the time of a file that is a snapshot by its name.
fn parse(file_name: &str) -> Option<(String, Timestamp)> {
    let digits = file_name.strip_prefix(PREFIX)?.strip_suffix(ENDING)?;
    let unix_milliseconds = digits.parse().ok()?;
    let created = Timestamp { unix_milliseconds };
    (name(created) == file_name).then(|| (file_name.to_owned(), created))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_give_are_listed() {
        let created = Timestamp {
            unix_milliseconds: 1_700_000_000_123,
        };
        let own = name(created);
        assert_eq!(own, "vultus-1700000000123.tar.zst");
        assert_eq!(parse(&own), Some((own.clone(), created)));
        for other in [
            "vultus-1700000000123.tar.zst.new",
            "vultus-+1.tar.zst",
            "vultus-.tar.zst",
            "vultus-01.tar.zst",
            "other-1.tar.zst",
            "vultus-1.tar",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
