//! From which similarity on somebody is recognised, and how sure that is.

use std::sync::Arc;

use super::disclosure::{Disclosure, Undisclosed};
use super::{Intake, Policy};
use crate::engine::{Engine, EngineError, Gallery};
use crate::rates::{
    Calibration, CalibrationSource, KnownEncoder, RateEstimate, RateThreshold, TargetRate,
};
use crate::types::{EncoderId, Match, PartitionId};

/// Who is left out of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Bar {
    /// Whoever the operator, the encoder and what was measured of the gallery leave out.
    #[default]
    Usual,
    /// Whoever has a lower similarity.
    Similarity(f64),
    /// Whoever has a similarity that strangers reach more often than this.
    Rate(TargetRate),
}

/// What is decided of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The first is who it is.
    Match,
    /// Nobody who is enrolled is alike enough.
    Unknown,
    /// Several are, and it cannot be told which of them it is.
    Ambiguous,
}

/// Decides of those who were found in one search.
#[derive(Clone, Debug)]
pub struct Judge {
    threshold: Option<f64>,
    classes: usize,
    calibration: Option<Arc<Calibration>>,
    disclosure: Disclosure,
}

/// There is nobody to judge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// A rate is asked for where nothing is known of strangers.
    #[error(
        "how often a stranger is taken for somebody was not measured in `{partition}`: \
         `vultus calibrate` measures it once at least 20 people are enrolled, and `threshold` needs no rate"
    )]
    NotCalibrated {
        /// The gallery.
        partition: PartitionId,
    },
    /// A rate is asked for that no similarity is known to keep.
    #[error(
        "in `{partition}` no similarity is known that so few strangers reach as {target}: what was measured \
         ends at {lowest:.1e}; `vultus calibrate` measures more once more people are enrolled"
    )]
    RateTooLow {
        /// The gallery.
        partition: PartitionId,
        /// What was asked for.
        target: TargetRate,
        /// The lowest rate that is known.
        lowest: f64,
    },
    /// More is asked for than the caller may be told.
    #[error(transparent)]
    Undisclosed(#[from] Undisclosed),
    /// The gallery cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What is known besides of what was measured of a gallery.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usual {
    /// The threshold that the operator has set for whoever is looked for.
    pub set: Option<f64>,
    /// The threshold that the operator has set for whoever says who they are.
    pub set_verification: Option<f64>,
    /// Where the encoder takes two faces for one person; `None` if nothing is known of it.
    pub own: Option<f64>,
    /// How often a stranger may be taken for somebody.
    pub target_fpir: TargetRate,
    /// How often a stranger may be taken for the one person whom they say they are, if the operator
    /// has said so.
    pub target_fmr: Option<TargetRate>,
}

impl Policy {
    /// What holds in a partition, where the encoder of its templates takes two faces for one person
    /// from the similarity `own` on; `None` if nothing is known of it. What is set for the partition
    /// counts more than what is set for all, and a similarity more than a rate. A similarity for all
    /// is meant for the encoder of the service (`is_service`).
    pub fn usual(&self, partition: &PartitionId, own: Option<f64>, is_service: bool) -> Usual {
        let verification = &self.verification;
        let of_partition = verification.partitions.get(partition).copied();
        let has_rate = self.target_fpir.partitions.contains_key(partition);
        let of_partition = of_partition.filter(|_| own.is_some());
        let of_all = verification.threshold.filter(|_| is_service);
        Usual {
            set: of_partition.or(of_all.filter(|_| !has_rate)),
            set_verification: of_partition.or(of_all),
            own,
            target_fpir: self.target_fpir.of(partition),
            target_fmr: self.verification_target_fmr,
        }
    }
}

impl Intake {
    /// Whoever decides in `gallery`, as it is now and as the operator wants it.
    ///
    /// # Errors
    ///
    /// As [`Judge::of`].
    pub fn judge(&self, engine: &Engine, gallery: &Gallery, bar: Bar) -> Result<Judge, JudgeError> {
        Judge::of(engine, gallery, bar, &self.usual(engine, gallery))
    }

    /// From which similarity on somebody is who they say, in `gallery` as the operator wants it.
    ///
    /// # Errors
    ///
    /// As [`VerificationBar::of`].
    pub fn verification(
        &self,
        engine: &Engine,
        gallery: &Gallery,
        bar: Bar,
    ) -> Result<VerificationBar, JudgeError> {
        VerificationBar::of(engine, gallery, bar, &self.usual(engine, gallery))
    }

    pub(super) fn usual(&self, engine: &Engine, gallery: &Gallery) -> Usual {
        self.usual_of(engine, gallery.id(), gallery.encoder())
    }

    /// The same of a partition in which embeddings of `encoder` are, or will be.
    pub(super) fn usual_of(
        &self,
        engine: &Engine,
        partition: &PartitionId,
        encoder: &EncoderId,
    ) -> Usual {
        let is_service = encoder == self.encoder();
        let own = match is_service {
            true => Some(self.profile().verification_threshold()),
            false => engine
                .known_encoder(encoder)
                .map(KnownEncoder::verification_threshold),
        };
        self.policy().usual(partition, own, is_service)
    }
}

/// From which similarity on somebody is who they say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VerificationBar {
    /// The similarity; `None` for an encoder of which nothing is known.
    pub threshold: Option<f64>,
    /// How often a stranger reaches it with one person: FMR. `None` without a threshold, and if
    /// nothing was measured.
    pub fmr: Option<RateEstimate>,
}

impl VerificationBar {
    /// The similarity that decides in `gallery`.
    ///
    /// The usual one is the operator's, if one is set. Else it is where the encoder takes two faces for
    /// one person, or higher where the operator wants a rate that demands more.
    ///
    /// # Errors
    ///
    /// If a rate is asked for and the gallery is not calibrated or no similarity is known to keep it,
    /// or the gallery cannot be read.
    pub fn of(
        engine: &Engine,
        gallery: &Gallery,
        bar: Bar,
        usual: &Usual,
    ) -> Result<VerificationBar, JudgeError> {
        let calibration = engine.calibration(gallery.id())?;
        let known = calibration.as_deref();
        let threshold = match bar {
            Bar::Similarity(similarity) => Some(similarity),
            Bar::Rate(target) => Some(similarity_of_fmr(known, target, gallery.id())?),
            Bar::Usual => usual.set_verification.or_else(|| {
                let rate = usual.target_fmr;
                // What cannot be kept is not a reason to let nobody in.
                let rate = rate.and_then(|it| similarity_of_fmr(known, it, gallery.id()).ok());
                higher(usual.own, rate)
            }),
        };
        let fmr = known.zip(threshold);
        let fmr = fmr.map(|(known, threshold)| known.fmr(threshold));
        Ok(VerificationBar { threshold, fmr })
    }
}

/// The similarity that a stranger reaches with one person as often as `target`.
fn similarity_of_fmr(
    calibration: Option<&Calibration>,
    target: TargetRate,
    partition: &PartitionId,
) -> Result<f64, JudgeError> {
    let Some(calibration) = calibration else {
        let partition = partition.clone();
        return Err(JudgeError::NotCalibrated { partition });
    };
    kept(
        calibration.verification_threshold(target),
        target,
        partition,
    )
}

/// The similarity that was found for a rate, if it keeps it.
fn kept(
    found: RateThreshold,
    target: TargetRate,
    partition: &PartitionId,
) -> Result<f64, JudgeError> {
    match found.keeps(target) {
        true => Ok(found.similarity),
        false => Err(JudgeError::RateTooLow {
            partition: partition.clone(),
            target,
            lowest: found.fpir,
        }),
    }
}

fn higher(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}

impl Judge {
    /// Whoever decides in `gallery`, as it is now.
    ///
    /// The usual threshold is the operator's, if one is set. Else it is the lowest that keeps the
    /// rate of false positives at the present number of people, if strangers were measured in the
    /// gallery itself: what comes with the encoder rests on too few people to refuse anybody by it.
    /// It is never lower than where the encoder takes two faces for one person: in a gallery of a few
    /// people the rate alone would let much through. There is none for an encoder of which nothing is
    /// known, until the gallery is calibrated.
    ///
    /// # Errors
    ///
    /// If a rate is asked for and the gallery is not calibrated, or no similarity is known to keep it, or it
    /// cannot be read.
    pub fn of(
        engine: &Engine,
        gallery: &Gallery,
        bar: Bar,
        usual: &Usual,
    ) -> Result<Judge, JudgeError> {
        let calibration = engine.calibration(gallery.id())?;
        let classes = gallery.population()?;
        let by_rate = |target: TargetRate| {
            let calibration = calibration.as_ref()?;
            Some(calibration.threshold(target, classes).similarity)
        };
        let threshold = match bar {
            Bar::Similarity(similarity) => Some(similarity),
            Bar::Rate(target) => {
                let partition = gallery.id();
                let Some(calibration) = &calibration else {
                    let partition = partition.clone();
                    return Err(JudgeError::NotCalibrated { partition });
                };
                Some(kept(
                    calibration.threshold(target, classes),
                    target,
                    partition,
                )?)
            }
            Bar::Usual => usual.set.or_else(|| {
                let is_measured = calibration
                    .as_ref()
                    .is_some_and(|it| it.source() == CalibrationSource::Measured);
                let rate = by_rate(usual.target_fpir).filter(|_| is_measured);
                higher(usual.own, rate)
            }),
        };
        Ok(Judge {
            threshold,
            classes,
            calibration,
            disclosure: Disclosure::Exact,
        })
    }

    /// The same with this threshold, for a caller who is told no more than this.
    pub(super) fn telling(self, threshold: Option<f64>, disclosure: Disclosure) -> Judge {
        Judge {
            threshold,
            disclosure,
            ..self
        }
    }

    /// How exactly the caller is told similarities.
    pub fn disclosure(&self) -> Disclosure {
        self.disclosure
    }

    /// The similarity from which on somebody is recognised; `None` if nobody is left out.
    pub fn threshold(&self) -> Option<f64> {
        self.threshold
    }

    /// How many people are searched.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How often a stranger reaches the threshold with one of them; `None` without a threshold, and
    /// if that was not measured.
    pub fn fpir(&self) -> Option<RateEstimate> {
        let calibration = self.calibration.as_ref()?;
        Some(calibration.fpir(self.threshold?, self.classes))
    }

    /// What is decided of a probe for which these were found, the best first; `None` if nothing is,
    /// since nobody is left out.
    ///
    /// It is ambiguous if it cannot be told apart which of the first two is rarer among strangers:
    /// if the ranges of the rates at which strangers reach their similarities have a value in common.
    pub fn verdict(&self, found: &[Match]) -> Option<Verdict> {
        self.threshold?;
        Some(match found {
            [] => Verdict::Unknown,
            [first, second, ..] if self.are_alike(first, second) => Verdict::Ambiguous,
            _ => Verdict::Match,
        })
    }

    /// The probability that the first of these is right, from 0 to 1; `None` if there is nobody, and
    /// if nothing was measured. It is never higher than the people who were measured can show. With one
    /// alone who was looked for with a threshold it is at least that: somebody else may be nearly alike
    /// enough.
    pub fn confidence(&self, found: &[Match]) -> Option<f64> {
        let calibration = self.calibration.as_ref()?;
        let best = found.first()?.similarity;
        let second = match found.get(1) {
            Some(second) => Some(second.similarity),
            None if self.classes > 1 => self.threshold.map(|threshold| threshold.min(best)),
            None => None,
        };
        let confidence = calibration.confidence(best, second, self.classes);
        Some(confidence.min(surest(calibration.probes())))
    }

    fn are_alike(&self, first: &Match, second: &Match) -> bool {
        let Some(calibration) = &self.calibration else {
            return first.similarity == second.similarity;
        };
        let rate = |found: &Match| calibration.fpir(found.similarity, self.classes);
        rate(first).high >= rate(second).low
    }
}

/// How sure one can be by so many probes, none of which was taken for another: what is to be expected of
/// the next one by the prior of Jeffreys, Beta(1/2, 1/2).
fn surest(probes: usize) -> f64 {
    let probes = probes as f64;
    (probes + 0.5) / (probes + 1.0)
}

impl Verdict {
    /// In answers.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Match => "match",
            Verdict::Unknown => "unknown",
            Verdict::Ambiguous => "ambiguous",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_people_allow_more_confidence_and_none_allow_certainty() {
        assert_eq!(surest(0), 0.5);
        assert!((surest(20) - 20.5 / 21.0).abs() < 1e-12);
        for probes in [0, 1, 20, 42, 10_000, 1_000_000] {
            assert!(surest(probes) < surest(probes + 1) && surest(probes + 1) < 1.0);
        }
    }
}
