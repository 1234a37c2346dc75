//! What the service does by itself for people: it deletes those whose time is over, and writes when the
//! others were last recognised.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{self, MissedTickBehavior};

use super::state::AppState;
use crate::engine::EngineError;
use crate::partition::Pace;

/// How often it looks. Nobody is found after their time, however long it takes to delete them.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// Looks after people, for ever.
pub(super) async fn look_after(state: &AppState) -> Infallible {
    let mut ticks = time::interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        write_matches(state).await;
        let shared = state.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || expire(&shared)).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "cannot delete people whose time is over: they are not found"
            );
        }
    }
}

/// Writes when people were last recognised.
pub(super) async fn write_matches(state: &AppState) {
    let store = state.engine().store().clone();
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.write_matches()).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot write when people were last recognised");
    }
}

/// Deletes people whose time is over. The log has their numbers, and no name.
fn expire(state: &AppState) -> Result<(), EngineError> {
    let (engine, now) = (state.engine(), state.clock().now());
    for id in engine.store().partitions_with_ended(now)? {
        let Some(gallery) = engine.enrolled(&id)? else {
            continue;
        };
        let (copies, pace) = (state.copies_stay(), Pace::unlimited());
        let expired = engine.expire(&gallery, now, &mut rand::random, copies, &pace)?;
        for (class, receipt) in expired.classes.iter().zip(&expired.receipts) {
            let (overwritten, receipt) = (expired.overwritten, &receipt.id);
            tracing::info!(partition = %id, %class, overwritten, receipt, "deleted somebody whose time was over");
        }
    }
    Ok(())
}
