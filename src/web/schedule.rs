//! Snapshots that the service makes by itself, and which of them stay.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time;

use super::state::AppState;
use crate::access::{ServerKey, ServerKeyError};
use crate::partition::{OwnSnapshots, StoreError, remove_drafts, snapshot_name};
use crate::types::Timestamp;

/// How long at most until somebody looks again: the clock may have been set.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// How long a failure is left alone before a snapshot is tried again.
const FAILURE_REST: Duration = Duration::from_secs(10 * 60);

/// How long a snapshot that somebody else is making is left alone.
const TAKEN_REST: Duration = Duration::from_secs(1);

/// Why no snapshot was made.
#[derive(Debug, thiserror::Error)]
enum Missed {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(#[from] ServerKeyError),
}

/// Makes snapshots as often as the options say, for ever.
pub(super) async fn keep(state: &AppState) -> Infallible {
    clear(state).await;
    let Some(every) = state.options().snapshot_every else {
        return std::future::pending().await;
    };
    // What was read is not read again.
    let mut own: Option<OwnSnapshots> = None;
    loop {
        let shared = state.clone();
        let work = move || {
            let wait = make_if_due(&shared, every, &mut own);
            (wait, own)
        };
        let wait = match tokio::task::spawn_blocking(work).await {
            Ok((wait, read)) => {
                own = read;
                wait
            }
            // It panicked, which was told.
            Err(_) => {
                own = None;
                FAILURE_REST
            }
        };
        time::sleep(wait).await;
    }
}

/// Removes what killed snapshots left.
async fn clear(state: &AppState) {
    let Some(folder) = state.options().snapshot_dir.clone() else {
        return;
    };
    match tokio::task::spawn_blocking(move || remove_drafts(&folder)).await {
        Ok(Ok(0)) | Err(_) => {}
        Ok(Ok(files)) => tracing::info!(files, "removed what was left of killed snapshots"),
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot remove what was left of killed snapshots");
        }
    }
}

/// Makes a snapshot if one is due. Returns how long to wait before it is asked again.
fn make_if_due(state: &AppState, every: Duration, own: &mut Option<OwnSnapshots>) -> Duration {
    let Some(folder) = state.options().snapshot_dir.as_deref() else {
        return LOOK_MAX;
    };
    match make_and_remove(state, folder, every, own) {
        Ok(wait) => wait.min(LOOK_MAX),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot make a snapshot: the service goes on");
            // Whoever sees the count finds the line.
            state.snapshot_counts().count(false);
            FAILURE_REST.min(every)
        }
    }
}

fn make_and_remove(
    state: &AppState,
    folder: &Path,
    every: Duration,
    own: &mut Option<OwnSnapshots>,
) -> Result<Duration, Missed> {
    let (now, store) = (state.clock().now(), state.engine().store());
    let own = match own {
        Some(own) => own,
        None => own.insert(store.own_snapshots(folder)?),
    };
    let wait = until_due(own.newest(now)?, every, now);
    if wait > Duration::ZERO {
        return Ok(wait);
    }
    // Whoever is making one makes the one that is due.
    let Ok(_turn) = state.snapshot_turn().clone().try_acquire_owned() else {
        return Ok(TAKEN_REST);
    };
    // Without its key a snapshot is not whole.
    ServerKey::good_for(store)?;
    fs::create_dir_all(folder).map_err(|source| StoreError::Io {
        action: "create",
        path: folder.to_owned(),
        source,
    })?;
    let name = snapshot_name(now);
    store.snapshot_to(&folder.join(&name), false, now, &mut |_, _| {})?;
    state.snapshot_counts().count(true);
    tracing::info!(name, "made a snapshot");
    own.made(name);
    if let Some(keep) = state.options().snapshot_keep {
        let removed = own.remove_oldest(keep, now)?;
        tracing::info!(removed, keep, "removed the oldest snapshots");
    }
    Ok(every)
}

/// How long until a snapshot is due, after the newest that there is.
fn until_due(newest: Option<Timestamp>, every: Duration, now: Timestamp) -> Duration {
    match newest {
        None => Duration::ZERO,
        Some(newest) => after(now, newest.after(every)),
    }
}

/// How long it is from one moment to a later one.
fn after(now: Timestamp, later: Timestamp) -> Duration {
    let milliseconds = later
        .unix_milliseconds
        .saturating_sub(now.unix_milliseconds);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_when_the_newest_is_old_enough() {
        let at = Timestamp::from_unix_seconds;
        let hour = Duration::from_secs(3_600);
        for (newest, now, wait) in [
            (None, 0, 0),
            (Some(0), 0, 3_600),
            (Some(0), 3_599, 1),
            (Some(0), 3_600, 0),
            (Some(0), 9_999, 0),
        ] {
            let found = until_due(newest.map(at), hour, at(now));
            assert_eq!(found, Duration::from_secs(wait), "{newest:?}, {now}");
        }
    }
}
