//! What those see who run the service: probes, metrics, the log and failed log-ins.

mod audit;
mod logins;
mod logs;
mod metrics;
mod page;
mod probes;
mod snapshots;
