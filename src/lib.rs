//! Exact 1:N face identification on your own machine.

pub mod types;

pub mod kernel;

pub mod code;

pub mod partition;

pub mod search;

pub mod engine;
