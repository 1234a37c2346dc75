//! What those see who run the service: probes and metrics.

mod metrics;
mod page;
mod probes;
