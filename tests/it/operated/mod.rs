//! What those see who run the service: probes, metrics, the log and failed log-ins.

mod audit;
mod erasing;
mod logins;
mod logs;
mod metrics;
mod page;
mod probes;
mod snapshots;
#[cfg(feature = "opentelemetry")]
mod traces;
