//! Integration tests: one binary, a module for each subject.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "face")]
mod face;
