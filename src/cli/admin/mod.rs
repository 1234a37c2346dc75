//! Administration beside a running service: a verb that changes galleries, apps or keys is done by
//! whoever holds the data directory.
//!
//! That is this process, or a service, which then does the same by the same functions and sends back
//! what they say. Files that a verb reads are read by the command, with the rights of whoever gives
//! it, and pictures are looked at there: the service has other work.
//!
//! `socket` is where both meet, `wire` what they say to each other, `pieces` how imports go, `importing` which go at once,
//! `client` is the side of the command and `service` that of the service, and `context` is what verbs
//! need on either.

mod client;
mod context;
mod importing;
mod pieces;
mod service;
mod socket;
mod wire;

pub(super) use self::client::{Holder, holder, service};
pub(super) use self::context::Context;
pub(super) use self::service::Administration;
pub(super) use self::socket::{SocketState, socket_state};
