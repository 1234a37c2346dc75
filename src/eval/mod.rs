//! Figures: how often decisions are wrong.
//!
//! [`recognition`] is about who is recognised, in the terms of ISO/IEC 19795-1. The rest is about
//! liveness, in those of ISO/IEC 30107-3.
//!
//! Whoever evaluates shows the service live people and attacks (presentations) and hands what it
//! said ([`Presentation`]) to [`LivenessReport::of`]:
//!
//! * **BPCER**, the share of presentations of live people (bona fide) that were refused.
//! * **APCER**, the share of attacks of one kind (presentation attack instrument species) that
//!   passed. The figure for all is that of the worst kind, not the mean.
//! * **BPNRR, APNRR**, the shares that got no answer at all, because no face was found or the
//!   picture could not be read. They count in neither of the above.
//! * **D-EER**, where both are equal as the threshold moves.
//!
//! Nothing here looks at pictures: the decisions are those of [`crate::liveness`], made by the
//! functions that the service calls.

pub(crate) mod document;
pub(crate) mod plot;
mod rate;
pub mod recognition;
mod report;

pub use plot::plot;
pub use rate::Rate;
pub use report::{AttackKind, Curve, EqualPoint, LivenessReport, Outcome, Presentation, Truth};
