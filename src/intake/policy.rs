//! What an operator decides about people and their samples.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::disclosure::SCORE_DIGITS;
use super::on_duplicate::DuplicateCheck;
use crate::budgets::Limits;
use crate::liveness::Thresholds;
use crate::rates::TargetRate;
use crate::types::PartitionId;

/// What an operator can decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How alike a person must be to be recognised.
    pub verification: VerificationThresholds,
    /// How often a stranger may be taken for somebody who is enrolled.
    pub target_fpir: TargetRates,
    /// How often a stranger may be taken for the one person whom they say they are; where nothing is
    /// set the encoder decides.
    pub verification_target_fmr: Option<TargetRate>,
    /// Where the lists of the BWS door end at the threshold.
    pub bws_lists_cut: Partitions,
    /// Where two people must confirm an identification before it is told.
    pub confirmed: Partitions,
    /// How much a caller may learn in a day.
    pub budgets: Limits,
    /// What is done about people who seem to be enrolled under another class.
    pub duplicates: DuplicateCheck,
    /// What samples must reach to be those of a live person.
    pub liveness: Thresholds,
    /// The most samples that may come together.
    pub samples_max: usize,
    /// The decimal digits of what is told of similarities to whoever may not have them exactly.
    pub score_digits: u8,
    /// The least quality, from 0 to 1, of a picture that somebody is enrolled with.
    pub enroll_quality_min: f32,
    /// How long it may take to look at a picture.
    pub picture_time_max: Duration,
    /// The most memory that all pictures take together while they are decoded and a face is looked for
    /// in them, in bytes. Others wait; a picture that takes more by itself waits until it is the only
    /// one.
    pub picture_bytes_max: u64,
}

/// The most memory that pictures take together, unless something else is set: twenty that a telephone
/// took, or two of the largest that are let in.
pub const PICTURE_BYTES_MAX: u64 = 2 << 30;

/// How long it may take to look at a picture, unless something else is set. The largest progressive
/// JPEG that is let in takes a quarter of it.
pub const PICTURE_TIME_MAX: Duration = Duration::from_secs(10);

/// The least quality of a picture that somebody is enrolled with, unless something else is set.
/// Of 439 natural portraits the poorest has 0.35 (`docs/quality.md`).
pub const ENROLL_QUALITY_MIN: f32 = 0.2;

/// How alike a person must be to be recognised, as the cosine of two embeddings from -1 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerificationThresholds {
    /// In all partitions; the encoder's own value if there is none.
    pub threshold: Option<f64>,
    /// In these partitions instead.
    pub partitions: BTreeMap<PartitionId, f64>,
}

/// How often a stranger may be taken for somebody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetRates {
    /// In all partitions.
    pub all: TargetRate,
    /// In these partitions instead.
    pub partitions: BTreeMap<PartitionId, TargetRate>,
}

/// Some partitions.
#[derive(Clone, Debug, PartialEq)]
pub enum Partitions {
    /// Every one.
    All,
    /// These.
    Only(BTreeSet<PartitionId>),
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            verification: VerificationThresholds::default(),
            target_fpir: TargetRates::default(),
            verification_target_fmr: None,
            bws_lists_cut: Partitions::default(),
            confirmed: Partitions::default(),
            budgets: Limits::default(),
            duplicates: DuplicateCheck::default(),
            liveness: Thresholds::default(),
            samples_max: 32,
            score_digits: SCORE_DIGITS,
            enroll_quality_min: ENROLL_QUALITY_MIN,
            picture_time_max: PICTURE_TIME_MAX,
            picture_bytes_max: PICTURE_BYTES_MAX,
        }
    }
}

impl VerificationThresholds {
    /// The threshold that is set for `partition`, if one is.
    pub fn of(&self, partition: &PartitionId) -> Option<f64> {
        self.partitions.get(partition).copied().or(self.threshold)
    }
}

impl TargetRates {
    /// The rate that holds in `partition`.
    pub fn of(&self, partition: &PartitionId) -> TargetRate {
        self.partitions.get(partition).copied().unwrap_or(self.all)
    }
}

impl Default for Partitions {
    /// None.
    fn default() -> Partitions {
        Partitions::Only(BTreeSet::new())
    }
}

impl Partitions {
    /// Whether `partition` is one of them.
    pub fn contains(&self, partition: &PartitionId) -> bool {
        match self {
            Partitions::All => true,
            Partitions::Only(some) => some.contains(partition),
        }
    }
}
