//! What comes in: pictures and embeddings of people become samples that the engine takes.
//!
//! ```text
//! picture bytes -> Intake::look -> Seen             the only face, or why there is none
//! picture bytes -> Intake::look_at_all -> Crowd     everybody in it
//! Seen          -> Intake::observe -> Observation   what decides whether the person is live
//! Announced     -> Intake::begin -> Taking          refused before anything is looked at, or begun
//! Taking        -> Taking::finish -> Samples        all samples of a call, live if that was demanded
//! ```
//!
//! Which similarity makes two faces one person, with what score it is told, and how sure it is, is
//! decided here, too ([`Policy`], [`Judge`], [`VerificationBar`]), so that every way in decides alike;
//! and how exactly a caller may know it ([`Disclosure`]). [`IntakeError`] says which sample was at fault,
//! why, and whose fault it is; those who call translate that into their own words.
//!
//! Nothing here knows HTTP, tokens or tasks, nor what a picture was wrapped in.

mod decisions;
mod disclosure;
mod duplicates;
mod error;
mod judging;
mod looking;
mod on_duplicate;
mod one_person;
mod policy;
mod recognition;
mod room;
mod taking;
mod telling;
#[cfg(test)]
mod tests;

pub use decisions::Decisions;
pub use disclosure::{Disclosure, SCORE_DIGITS, SCORE_DIGITS_MAX, Undisclosed, step_down};
pub use error::{Cause, IntakeError};
pub use judging::{Bar, Judge, JudgeError, Usual, Verdict, VerificationBar};
pub use looking::{Care, Crowd, FACES_MAX, Intake, Seen};
pub use on_duplicate::{DuplicateCheck, OnDuplicate, OnDuplicateError};
pub use policy::{
    ENROLL_QUALITY_MIN, PICTURE_BYTES_MAX, PICTURE_TIME_MAX, Partitions, Policy, TargetRates,
    VerificationThresholds,
};
pub use recognition::{IDENTIFY_QUALITY_MIN, Recognition, similarity_of};
pub use taking::{Announced, Demand, SAMPLES_MAX, Sample, Samples, Taking};
