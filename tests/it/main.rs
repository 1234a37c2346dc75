//! The integration tests: one binary, linked once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[cfg(feature = "web")]
mod bws;
mod naive;
mod search;
