//! Exact 1:N face identification on your own machine.

#[cfg(feature = "face")]
pub mod face;
pub mod types;
