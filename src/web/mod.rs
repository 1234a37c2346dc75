//! The BWS Web API and the native API over HTTP.
//!
//! [`router`] is the whole service as a value, usable without a socket; [`serve`] runs it on one.
//! [`AppState`] is what the handlers share.
//!
//! Connections are accepted, limited and ended in `connections`. A request goes through the layers of
//! `layers` (log, CORS, panics, repeated slashes; `accounts` has what is logged and counted of it), is
//! matched by the router, proves who sends it (`auth`: an app by its secret, or a device by its
//! token; `logins` slows those who fail), and reaches one file of `routes`, which also says what its description and its failures
//! are (`endpoint`). Its body is waited for and unpacked in `receive`, within the room
//! that `room` has for its sender. What takes the processor or the disk for long runs in
//! `lanes`, off the threads that serve sockets. Answers are written in `render` and failures leave
//! by the one door in `error`, where everything that is our fault is logged and replaced by a
//! neutral text.
//!
//! `traces` tells a collector what the steps of each request took, in a program that has the feature for it.
//!
//! `probes` tells platforms whether the service lives and is ready (`readiness`), without a key.
//!
//! The native API, in `native`, is a second door to the same engine, under `/v1`. `page` has the files of
//! the page for people, which calls that door.
//!
//! Only this folder knows HTTP, JSON and the words of the BWS API. `docs/http-api.md` is the
//! description for those who call it.

mod accounts;
mod audited;
mod auth;
mod body;
mod budgeted;
mod budgets;
mod certificates;
mod connections;
mod data_url;
mod endpoint;
mod erasing;
mod error;
mod lanes;
mod layers;
mod logins;
mod metrics;
mod native;
mod notes;
mod openapi;
mod page;
mod parameters;
mod people;
mod probes;
mod proxies;
mod public_url;
mod readiness;
mod receive;
mod render;
mod room;
mod routes;
mod schedule;
mod server;
mod snapshot_counts;
mod state;
mod traces;

pub use audited::{remember_audit, remembered_audit};
pub use certificates::{CertificateError, Certificates, Standing, Validity};
pub use connections::{ConnectionOptions, DescriptorLimit, raise_descriptor_limit};
pub use metrics::serve as serve_metrics;
pub use page::Ticket;
pub use proxies::{ProxyError, TrustedProxies};
pub use public_url::{PublicUrl, PublicUrlError};
pub use server::{router, serve};
pub use snapshot_counts::SnapshotCounts;
pub use state::{AppState, OriginError, Origins, ServiceOptions};
pub use traces::{OtlpEndpoint, OtlpEndpointError, Traces};
