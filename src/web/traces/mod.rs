//! Traces of requests for an OpenTelemetry collector: of each request a span, and one of each of its steps.
//!
//! They say which route it was, how it ended and when; never a name, the number of a person, a path as it
//! was sent, a picture or a template. A collector that is slow or gone holds nothing up: what does not
//! reach it is dropped and counted.
//!
//! Without the feature `opentelemetry` nothing is traced, and [`Traces`] is nothing.

#[cfg(feature = "opentelemetry")]
mod context;
mod endpoint;
#[cfg(feature = "opentelemetry")]
mod otlp;
#[cfg(feature = "opentelemetry")]
mod request;
#[cfg(feature = "opentelemetry")]
mod sender;
#[cfg(not(feature = "opentelemetry"))]
mod without;

pub use self::endpoint::{OtlpEndpoint, OtlpEndpointError};
#[cfg(feature = "opentelemetry")]
pub(super) use self::request::Trace;
#[cfg(feature = "opentelemetry")]
pub use self::sender::Traces;
#[cfg(not(feature = "opentelemetry"))]
pub(super) use self::without::Trace;
#[cfg(not(feature = "opentelemetry"))]
pub use self::without::Traces;

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct TraceEnd<'a> {
    /// The template of its route.
    pub(super) route: Option<&'a str>,
    pub(super) method: &'a axum::http::Method,
    /// None if the client left before.
    pub(super) status: Option<u16>,
}
