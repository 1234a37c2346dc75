//! What is found out about a request on its way, for the log and the metrics.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::MatchedPath;
use axum::http::Extensions;

use crate::access::{ApiKeyId, AppId};

/// What is known of one request, in its extensions. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Notes(Arc<Noted>);

#[derive(Debug)]
struct Noted {
    client: Option<IpAddr>,
    route: OnceLock<MatchedPath>,
    caller: OnceLock<Caller>,
    bytes_in: AtomicU64,
}

/// Who has proved to be the sender of a request, by the public name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// An app with its secret, or a device with a token of the app.
    App(AppId),
    /// The holder of an API key.
    Key(ApiKeyId),
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::App(id) => write!(f, "app {id}"),
            Caller::Key(id) => write!(f, "key {id}"),
        }
    }
}

/// What a call was refused for, in one word of a fixed list, in the extensions of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RefusedFor(pub(super) &'static str);

impl Notes {
    /// Those of a request from `client`, if it came by a socket.
    pub(super) fn new(client: Option<IpAddr>) -> Notes {
        Notes(Arc::new(Noted {
            client,
            route: OnceLock::new(),
            caller: OnceLock::new(),
            bytes_in: AtomicU64::new(0),
        }))
    }

    /// Notes who sent a request, if it has notes.
    pub(super) fn caller(extensions: &Extensions, caller: Caller) {
        if let Some(Notes(noted)) = extensions.get::<Notes>() {
            let _first = noted.caller.set(caller);
        }
    }

    /// Notes which route a request is for, if it is for one.
    pub(super) fn route(extensions: &Extensions) {
        let route = extensions.get::<MatchedPath>();
        if let (Some(Notes(noted)), Some(route)) = (extensions.get::<Notes>(), route) {
            let _first = noted.route.set(route.clone());
        }
    }

    /// So many bytes more of its body were read.
    pub(super) fn read(&self, bytes: usize) {
        self.0.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn client(&self) -> Option<IpAddr> {
        self.0.client
    }

    pub(super) fn noted_caller(&self) -> Option<Caller> {
        self.0.caller.get().cloned()
    }

    /// The template of the route, such as `/v1/partitions/{partition}`: never what was sent.
    pub(super) fn noted_route(&self) -> Option<&str> {
        self.0.route.get().map(MatchedPath::as_str)
    }

    pub(super) fn bytes_in(&self) -> u64 {
        self.0.bytes_in.load(Ordering::Relaxed)
    }
}
