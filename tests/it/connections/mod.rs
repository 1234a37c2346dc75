//! Clients that send little, late or nothing, and a service that is told to stop.

mod bodies;
mod client;
mod crowds;
mod process;
mod refused;
mod signals;
mod strict;
mod times;
mod tls;
