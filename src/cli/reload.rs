//! What a running service takes up when it is told to read its settings again.

use super::{log, open};
use crate::config::{Read, Settings, TAKEN_UP};
use crate::web::AppState;

/// Takes up what can be taken up while serving, and says what cannot. Whatever cannot be used, the
/// service goes on with what it has.
pub(super) fn reload(
    state: &AppState,
    before: &Settings,
    reread: &dyn Fn() -> anyhow::Result<Read>,
) {
    renew_key(state);
    match reread() {
        Ok(read) => {
            log::follow(read.settings.log.clone());
            renew_certificates(state, &read.settings);
            state.follow(read.settings.service.policy());
            tell_changes(before, &read.settings);
        }
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(
                error,
                "the settings cannot be used: goes on with those it has"
            );
        }
    }
}

fn renew_key(state: &AppState) {
    match state.renew_key() {
        Ok(true) => tracing::info!("read the key for tokens again"),
        Ok(false) => {
            tracing::warn!("goes on with the key for tokens that it has: there is none to read");
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "goes on with the key for tokens that it has");
        }
    }
}

fn renew_certificates(state: &AppState, settings: &Settings) {
    let ours = &state.options().connections.certificates;
    match (ours, open::certificates(settings)) {
        (Some(ours), Ok(Some(read))) => {
            ours.replace_with(&read);
            let until = read.validity().until;
            tracing::info!(%until, "read the TLS certificate again");
            read.validity().warn(state.clock().now());
        }
        (None, Ok(None)) => {}
        (None, _) => tracing::warn!("goes on with plain HTTP: to speak TLS needs a restart"),
        (Some(_), Ok(None)) => {
            tracing::warn!(
                "goes on with the TLS certificate that it has: plain HTTP needs a restart"
            );
        }
        (Some(_), Err(error)) => {
            let error = format!("{error:#}");
            tracing::error!(error, "goes on with the TLS certificate that it has");
        }
    }
}

/// The settings are compared with those that the service started with: what has changed since and
/// is back needs nothing.
fn tell_changes(before: &Settings, now: &Settings) {
    let changed = before.changed(now);
    let (taken, left): (Vec<&str>, Vec<&str>) =
        changed.iter().partition(|name| TAKEN_UP.contains(name));
    if !taken.is_empty() {
        let changed = taken.join(", ");
        tracing::info!(changed, "goes by the settings as they are now");
    }
    if left.is_empty() {
        tracing::info!("read the settings again: all others are as they were");
        return;
    }
    let changed = left.join(", ");
    tracing::warn!(
        changed,
        "read the settings again: what has changed needs a restart"
    );
}
