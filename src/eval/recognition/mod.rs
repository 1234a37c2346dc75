//! How often are people missed, and strangers taken for somebody? In the terms of ISO/IEC 19795-1.
//!
//! Whoever evaluates has [`People`]: samples with the classes that they are known to show. A
//! [`Protocol`] parts them, several times, into people who are enrolled and strangers ([`Split`]).
//! The engine itself enrols and searches ([`enroll`], [`search_split`], [`compare_all`]), so that
//! storage and search are part of what is measured; [`IdentificationReport`] and
//! [`VerificationReport`] only count what it answered.
//!
//! * **FPIR(T)**, the share of searches for strangers that are answered with anybody whose
//!   similarity is T or more.
//! * **FNIR(R, T)**, the share of searches for enrolled people in whose answer these are not among
//!   the first R with a similarity of T or more.
//! * **FMR(T)** and **FNMR(T)**, the shares of comparisons of different people that reach T, and of
//!   those of one person that do not.
//!
//! `docs/evaluation.md` has the formulas. Nothing here looks at pictures or reads a file.

mod bootstrap;
mod copies;
mod estimate;
mod figures;
mod groups;
mod identification;
mod reliability;
mod sample;
mod search;
mod split;
mod verification;

pub use copies::{Copies, Copy};
pub use estimate::{Estimate, Need, probes_needed};
pub use figures::{DetPoint, Histogram, Scores};
pub use groups::{Differential, Group, GroupReport, Groups};
pub use identification::{
    AtThreshold, IdentificationReport, Judging, RankShare, TakenFor, WorstPerson,
};
pub use reliability::{Answered, Reliability, ReliabilityBin};
pub use sample::{People, Sample, SampleName};
pub use search::{
    Compared, Enrolled, Mate, Searched, Sure, compare_all, compare_with, enroll, search_probes,
    search_split,
};
pub use split::{Protocol, ProtocolError, Split, draw_people};
pub use verification::{VerificationAt, VerificationReport};
