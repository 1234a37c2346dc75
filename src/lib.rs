//! Exact 1:N face identification on your own machine.

#[cfg(feature = "face")]
pub mod face;
pub mod types;

pub mod kernel;

pub mod code;

pub mod partition;

pub mod search;

pub mod exchange;

pub mod engine;

#[cfg(feature = "web")]
pub mod access;

#[cfg(feature = "web")]
pub mod samples;

#[cfg(feature = "web")]
pub mod web;
