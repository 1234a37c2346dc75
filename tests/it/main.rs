//! Integration tests: one binary, a module for each subject.

#[cfg(feature = "face")]
mod face;
