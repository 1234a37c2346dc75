//! Snapshots that the service makes by itself, and which of them stay.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time;

use super::state::AppState;
use crate::partition::{StoreError, remove_drafts, remove_oldest, snapshot_name, snapshots_in};
use crate::types::Timestamp;

/// How long at most until somebody looks again: the clock may have been set.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// How long a failure is left alone before a snapshot is tried again.
const FAILURE_REST: Duration = Duration::from_secs(10 * 60);

/// How long a snapshot that somebody else is making is left alone.
const TAKEN_REST: Duration = Duration::from_secs(1);

/// Makes snapshots as often as the options say, for ever.
pub(super) async fn keep(state: &AppState) -> Infallible {
    clear(state).await;
    let Some(every) = state.options().snapshot_every else {
        return std::future::pending().await;
    };
    let mut whole = BTreeSet::new();
    loop {
        let shared = state.clone();
        let work = move || {
            let wait = make_if_due(&shared, every, &mut whole);
            (wait, whole)
        };
        let wait = match tokio::task::spawn_blocking(work).await {
            Ok((wait, read)) => {
                whole = read;
                wait
            }
            // It panicked, which was told.
            Err(_) => {
                whole = BTreeSet::new();
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
fn make_if_due(state: &AppState, every: Duration, whole: &mut BTreeSet<String>) -> Duration {
    let Some(folder) = state.options().snapshot_dir.as_deref() else {
        return LOOK_MAX;
    };
    match make_and_remove(state, folder, every, whole) {
        Ok(wait) => wait.min(LOOK_MAX),
        Err(error) => {
            state.snapshot_counts().count(false);
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot make a snapshot: the service goes on");
            FAILURE_REST.min(every)
        }
    }
}

fn make_and_remove(
    state: &AppState,
    folder: &Path,
    every: Duration,
    whole: &mut BTreeSet<String>,
) -> Result<Duration, StoreError> {
    let io = |action| {
        move |source| StoreError::Io {
            action,
            path: folder.to_owned(),
            source,
        }
    };
    let now = state.clock().now();
    let found = snapshots_in(folder).map_err(io("read"))?;
    let wait = until_due(found.first().map(|newest| newest.created), every, now);
    if wait > Duration::ZERO {
        return Ok(wait);
    }
    // Whoever is making one makes the one that is due.
    let Ok(_turn) = state.snapshot_turn().clone().try_acquire_owned() else {
        return Ok(TAKEN_REST);
    };
    fs::create_dir_all(folder).map_err(io("create"))?;
    let name = snapshot_name(now);
    let store = state.engine().store();
    store.snapshot_to(&folder.join(&name), false, now, &mut |_, _| {})?;
    state.snapshot_counts().count(true);
    tracing::info!(name, "made a snapshot");
    // All of it was compared with its checksums on the way.
    whole.insert(name);
    if let Some(keep) = state.options().snapshot_keep {
        let removed = remove_oldest(folder, keep, whole)?;
        tracing::info!(removed, keep, "removed the oldest snapshots");
    }
    Ok(every)
}

/// How long until a snapshot is due, after the newest that there is.
fn until_due(newest: Option<Timestamp>, every: Duration, now: Timestamp) -> Duration {
    match newest {
        None => Duration::ZERO,
        // The clock was set back: one for now will be the newest only when it is that late again.
        Some(newest) if newest > now => every,
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
            (Some(5_000), 4_999, 3_600),
        ] {
            let found = until_due(newest.map(at), hour, at(now));
            assert_eq!(found, Duration::from_secs(wait), "{newest:?}, {now}");
        }
    }
}
