//! Tries to prove who one is: counted, and slowed where many have failed.

use std::net::IpAddr;
use std::time::Instant;

use axum::http::Extensions;
use tokio::time;

use super::connections::Peer;
use crate::access::{Flood, Login, LoginName, Logins, TooManyFailed};
use crate::counts::Count;

/// What stands before the secret of an API key: `vk_` and its id.
const KEY_NAME_BYTES: usize = 19;

/// All tries since the start.
#[derive(Debug, Default)]
pub(super) struct Gate {
    logins: Logins,
    pub(super) failed: FailedLogins,
    /// Tries that had to wait.
    pub(super) slowed: Count,
    /// Tries that were told to come again.
    pub(super) refused: Count,
}

/// Those that failed, by what was shown.
#[derive(Debug, Default)]
pub(super) struct FailedLogins {
    pub(super) app: Count,
    pub(super) token: Count,
    pub(super) key: Count,
}

/// What somebody shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    /// The App-ID beside a secret.
    App(&'a str),
    /// A token, which nobody can guess.
    Token,
    /// An API key.
    Key(&'a str),
}

/// A try that may be looked at now.
#[derive(Debug)]
#[must_use = "what comes of it is to be told"]
pub(super) struct Try<'a> {
    gate: &'a Gate,
    shown: Shown<'a>,
    /// None if it came by no socket.
    login: Option<Login>,
}

impl Gate {
    /// Lets somebody try. A secret of an app, which people may have made up, is looked at only after
    /// as long as it has to wait, which holds no thread.
    pub(super) async fn admit<'a>(
        &'a self,
        extensions: &Extensions,
        shown: Shown<'a>,
    ) -> Result<Try<'a>, TooManyFailed> {
        let name = match shown {
            // Those of apps have no letter case.
            Shown::App(id) => Some(LoginName::of(&id.to_ascii_lowercase())),
            Shown::Token => None,
            Shown::Key(key) => Some(LoginName::of(key.get(..KEY_NAME_BYTES).unwrap_or(key))),
        };
        let peer = extensions.get::<Peer>();
        let tried = Try {
            gate: self,
            shown,
            login: peer.map(|Peer(address)| Login::new(*address, name)),
        };
        if shown.can_be_guessed() {
            tried.wait().await?;
        }
        Ok(tried)
    }

    /// Forgets what is long over.
    pub(super) fn purge(&self) {
        if let Some(flood) = self.logins.purge(Instant::now()) {
            say(&flood);
        }
    }
}

impl Shown<'_> {
    /// Tokens and keys are signed, or random and long: who shows a right one need never wait, and only
    /// those who show a wrong one do.
    fn can_be_guessed(self) -> bool {
        matches!(self, Shown::App(_))
    }
}

impl Try<'_> {
    /// Who tried is who they say.
    pub(super) fn succeeded(self) {
        let is_of_use = self.shown.can_be_guessed();
        if let Some(login) = self.login.filter(|_| is_of_use) {
            self.gate.logins.succeeded(login, Instant::now());
        }
    }

    /// They are not. Waits before they learn that, if they had not to wait before.
    pub(super) async fn failed(self) -> Result<(), TooManyFailed> {
        let failed = &self.gate.failed;
        match self.shown {
            Shown::App(_) => failed.app.one(),
            Shown::Token => failed.token.one(),
            Shown::Key(_) => failed.key.one(),
        }
        let flood = |login| self.gate.logins.failed(login, Instant::now());
        if let Some(flood) = self.login.and_then(flood) {
            say(&flood);
        }
        if self.shown.can_be_guessed() {
            return Ok(());
        }
        self.wait().await
    }

    async fn wait(&self) -> Result<(), TooManyFailed> {
        let Some(login) = self.login else {
            return Ok(());
        };
        let admitted = self.gate.logins.admit(login, Instant::now());
        let admitted = admitted.inspect_err(|_| self.gate.refused.one())?;
        if !admitted.delay().is_zero() {
            self.gate.slowed.one();
            time::sleep(admitted.delay()).await;
        }
        Ok(())
    }
}

fn say(flood: &Flood) {
    let (failures, address): (u64, IpAddr) = (flood.failures, flood.address);
    if flood.is_beginning {
        tracing::warn!(failures, %address, "many log-ins fail; more are counted, and told once a minute");
    } else {
        tracing::warn!(failures, %address, "log-ins that failed within a minute");
    }
}
