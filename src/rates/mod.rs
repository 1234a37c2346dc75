//! How often would a stranger be taken for somebody?
//!
//! One similarity as a threshold means another rate in every gallery: strangers are more alike with
//! one encoder than with another, and of many people one is more like a stranger than of few. A
//! [`Calibration`] says what similarities mean in one gallery: which threshold keeps a
//! [`TargetRate`], how often strangers reach a similarity, and how probable it is that the first of
//! an answer is right. It is drawn from what people of the gallery reach with everybody else
//! ([`Observations`]), or comes with an encoder.
//!
//! * A [`Curve`] says how often scores reach a similarity. Where enough scores are higher they are
//!   counted; beyond, the [`Tail`] of their distribution says what is to be expected. Every rate
//!   has the range in which the true one lies, and says where it rests on the form of the tail
//!   alone.
//! * Identification is judged by the *highest* score of each probe, not by single comparisons:
//!   scores of one probe hang together, and some people have siblings. Verification is judged by
//!   single ones.
//! * [`Evidence`] weighs what people and strangers reach against each other.
//!
//! Numbers only: nothing here searches, reads a file or knows the time. `docs/rates.md` has the
//! formulas, and what was measured of them.

mod calibration;
mod curve;
mod error;
mod evidence;
mod goodness;
mod known_encoder;
mod share;
mod shipped;
mod strangers;
mod tail;
mod target;
#[cfg(test)]
mod tests;

pub use calibration::{
    CLASSES_MIN, Calibration, CalibrationSource, Observations, RateEstimate, RateThreshold,
};
pub use curve::{Curve, Level};
pub use error::RatesError;
pub use evidence::{Evidence, MatedSource};
pub use known_encoder::KnownEncoder;
pub use shipped::shipped;
pub use strangers::{Comparison, Stranger};
pub use tail::Tail;
pub use target::TargetRate;
