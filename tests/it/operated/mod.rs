//! What those see who run the service: probes.

mod probes;
