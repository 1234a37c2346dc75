//! Ways into a service, and who may come in.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::{Answer, Call};

/// A way into a service.
pub(crate) trait Door: Sync {
    /// Sends a request and waits for its answer.
    fn send(&self, call: Call) -> Answer;

    /// The credentials of an app.
    fn credentials(&self, who: Who) -> Credentials;

    /// A key of the native API that may do everything.
    fn key(&self) -> String;

    /// The URL that stands in tokens.
    fn public_url(&self) -> String;

    /// Lets time pass.
    ///
    /// # Panics
    ///
    /// If the service goes by the real clock.
    fn advance(&self, seconds: u64);
}

/// The apps that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// May use the storage `bws`.
    Main,
    /// Another that may use the storage `bws`.
    Twin,
    /// May use partition 5 of the storage `bws`.
    Narrow,
    /// May use the storage `other`.
    Stranger,
}

/// The name of [`Who::Narrow`], with all kinds of characters that a token must not hold as they
/// are.
pub(crate) const NARROW_NAME: &str = "Gate ~?> \u{fc}ber \u{5317} \u{1f6aa}";

/// An App-ID and its secret.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Who {
    pub(crate) const ALL: [Who; 4] = [Who::Main, Who::Twin, Who::Narrow, Who::Stranger];

    pub(super) fn name(self) -> &'static str {
        match self {
            Who::Main => "Main",
            Who::Twin => "Twin",
            Who::Narrow => NARROW_NAME,
            Who::Stranger => "Stranger",
        }
    }

    pub(super) fn storage(self) -> &'static str {
        match self {
            Who::Stranger => "other",
            _ => "bws",
        }
    }

    pub(super) fn partition(self) -> Option<i32> {
        (self == Who::Narrow).then_some(5)
    }
}

/// `Authorization` of an app.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}
