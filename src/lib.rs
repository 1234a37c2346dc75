//! Who is this? Enrol people, then show a new picture (or a ready embedding), and the enrolled
//! people it most likely shows are listed, best first.
//!
//! Vultus is exact: an answer equals a full sort of all scores in double precision, ties broken by
//! class, whatever the processor and the number of threads. Cheaper passes only ever discard rows
//! by proof.
//!
//! ```
//! use std::sync::Arc;
//! use vultus::engine::{Engine, IdentifyOptions};
//! use vultus::partition::{NewTemplate, Store};
//! use vultus::search::Pool;
//! use vultus::types::{Bcid, Clock, Embedding, EncoderId};
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! let engine = Engine::new(Arc::new(Store::open(directory)?), Pool::new(2));
//! let encoder = EncoderId::new("example", "1", 16)?;
//!
//! // Usually `face` makes embeddings of pictures. Any other encoder will do.
//! let anna = Embedding::new((1..=16).map(|n| n as f32).collect::<Vec<_>>())?;
//! let bcid: Bcid = "bws.1.4711".parse()?;
//! let template = NewTemplate { embedding: anna.clone(), quality: 0.9, portrait: None };
//! engine.enroll(&bcid, &encoder, &[template], Clock::System.now())?;
//!
//! let options = IdentifyOptions { limit: 20, threshold: None };
//! let gallery = engine.gallery(&bcid.partition, &encoder)?.expect("Anna is enrolled");
//! let found = gallery.identify(&[&anna], &options)?;
//! assert_eq!(found.matches[0].class, bcid.class);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How data flows
//!
//! ```text
//! ENROL      bytes -> face -> Embedding -> code -> partition: catalog transaction -> tail -> segment
//! IDENTIFY   bytes -> face -> Embedding -> code -> search(snapshot): kernel over blocks -> best
//!                                           -> exact scores -> engine: one row per person -> web
//! OVER HTTP  token -> access -> intake -> samples -> engine -> render
//! ```
//!
//! Modules stand in the order in which to read them. `ARCHITECTURE.md` says which may use which.

// Both panic where stdout or stderr is full or closed.
#![deny(clippy::print_stderr, clippy::print_stdout)]

pub mod types;

#[doc(inline)]
pub use vultus_kernel as kernel;

pub mod turns;

pub mod counts;

pub mod rates;

pub mod secrets;

pub mod code;

pub mod partition;

pub mod search;

#[cfg(feature = "face")]
pub mod face;

#[cfg(feature = "face")]
pub mod liveness;

pub mod exchange;

pub mod engine;

#[cfg(feature = "web")]
pub mod eval;

#[cfg(feature = "web")]
pub mod audit;

#[cfg(feature = "face")]
pub mod budgets;

#[cfg(feature = "web")]
pub mod access;

#[cfg(feature = "web")]
pub mod samples;

#[cfg(feature = "face")]
pub mod intake;

#[cfg(feature = "web")]
pub mod web;

#[cfg(feature = "web")]
pub mod config;

#[cfg(feature = "web")]
pub mod cli;
