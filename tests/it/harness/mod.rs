//! One service for the tests of both APIs: what is sent to it, what comes back, and the ways in.
//!
//! A test sends a [`Call`] through a [`Door`] and judges the [`Answer`]. Behind the door is a
//! [`Service`] with a router in memory and a clock of its own, or a [`Program`], the real one on a
//! socket. What tests do over and over (ask for a token, upload, enrol) is said once for all doors,
//! in [`Bws`] and [`Native`].

mod answer;
mod bws;
mod call;
mod door;
mod native;
mod networks;
mod operations;
pub(crate) mod pictures;
mod program;
mod scene;
mod service;

pub(crate) use answer::{Answer, Format, number};
pub(crate) use bws::Bws;
pub(crate) use call::{Body, Call};
pub(crate) use door::{Credentials, Door, NARROW_NAME, Who, basic};
pub(crate) use native::{Native, axis, bytes_of};
pub(crate) use networks::faces;
pub(crate) use operations::{Operation, operations};
pub(crate) use program::{Program, Registered};
pub(crate) use scene::Scene;
pub(crate) use service::{Service, URL};
