//! How probable it is that the first of an answer is right.
//!
//! Let `f` be the density of similarities of people and their own class, `F` its distribution, and
//! let strangers reach similarities as the events of a Poisson process with an intensity `g`, which
//! grows with the number of classes `N`. A probe is of somebody enrolled with probability `p`. With
//! `R = f / g`, of the three ways in which the best similarities can have come about
//!
//! * the first is right: `p R(first)`,
//! * the second is right, and a stranger is above: `p R(second)`,
//! * both are strangers: `p F(second) + 1 - p`,
//!
//! so that the first is right with the share of the first in their sum. All that is known of the
//! margin is in it: a second that is nearly as alike has nearly the same claim.

use serde::{Deserialize, Serialize};

use super::curve::Curve;

/// The probability, before anything is seen, that a probe is of somebody who is enrolled.
const ENROLLED_SHARE: f64 = 0.5;
/// How many similarities a curve of evidence has.
const POINTS: usize = 96;
/// How narrow a density is drawn at least.
const BANDWIDTH_MIN: f64 = 0.01;
/// Evidence for or against is not counted beyond this, as a natural logarithm.
const LOG_RATIO_MAX: f64 = 40.0;
/// Of so many pairs of one person at least is measured how alike they are.
pub(super) const MATED_MIN: usize = 20;

/// Where it is known from how alike pictures of one person are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatedSource {
    /// From classes of the gallery that have several templates.
    Measured,
    /// From the calibration that comes with the encoder.
    Shipped,
    /// It is not: any similarity above that of strangers is taken for equally probable.
    Assumed,
}

/// How much a similarity says for a person, at the number of classes that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    source: MatedSource,
    /// Of how many pairs of one person.
    pairs: usize,
    /// By rising similarity.
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    similarity: f64,
    /// The share of people who are less like their class.
    below: f64,
    /// The density there.
    density: f64,
    /// The logarithm of the density by the intensity of strangers.
    log_ratio: f64,
}

impl Evidence {
    /// Of how alike people are to their own classes, and of the curve of what strangers reach.
    pub(super) fn measured(mated: &[f64], strangers: &Curve) -> Evidence {
        let deviation = deviation(mated);
        let count = mated.len() as f64;
        // Silverman 1986.
        let width = (0.9 * deviation * count.powf(-0.2)).max(BANDWIDTH_MIN);
        let density = |similarity: f64| {
            let kernel = |at: &f64| (-0.5 * ((similarity - at) / width).powi(2)).exp();
            mated.iter().map(kernel).sum::<f64>()
                / (count * width * (2.0 * std::f64::consts::PI).sqrt())
        };
        let lowest = mated.iter().copied().fold(f64::INFINITY, f64::min);
        Evidence::new(
            MatedSource::Measured,
            mated.len(),
            lowest,
            density,
            strangers,
        )
    }

    /// Of how alike people are elsewhere with the same encoder, and of the curve of what strangers
    /// reach here.
    pub(super) fn with_mated_of(other: &Evidence, strangers: &Curve) -> Evidence {
        let lowest = other.points.first().map_or(0.0, |point| point.similarity);
        let density = |similarity| other.at(similarity).density;
        let source = match other.source {
            MatedSource::Assumed => MatedSource::Assumed,
            _ => MatedSource::Shipped,
        };
        Evidence::new(source, other.pairs, lowest, density, strangers)
    }

    /// Of the curve of what strangers reach alone.
    pub(super) fn assumed(strangers: &Curve) -> Evidence {
        let usual = strangers.similarity(0.5).min(0.9);
        let density = |similarity: f64| match similarity >= usual {
            true => 1.0 / (1.0 - usual),
            false => 0.0,
        };
        Evidence::new(MatedSource::Assumed, 0, usual, density, strangers)
    }

    fn new(
        source: MatedSource,
        pairs: usize,
        lowest: f64,
        density: impl Fn(f64) -> f64,
        strangers: &Curve,
    ) -> Evidence {
        let usual = strangers.similarity(0.9);
        let first = strangers
            .levels()
            .first()
            .map_or(-1.0, |level| level.similarity);
        let (from, to) = (first.min(lowest).min(0.99), 1.0);
        let step = (to - from) / (POINTS - 1) as f64;
        let (mut below, mut highest) = (0.0, -LOG_RATIO_MAX);
        let mut points = Vec::with_capacity(POINTS);
        for at in 0..POINTS {
            let similarity = from + step * at as f64;
            let density = density(similarity);
            below += density * step;
            // Below what nearly all strangers reach there is no saying how many do.
            let (left, right) = (
                similarity.max(usual) - 0.5 * step,
                similarity.max(usual) + 0.5 * step,
            );
            let events =
                |similarity: f64| -(-strangers.at(similarity).rate.min(1.0 - 1e-9)).ln_1p();
            let intensity = ((events(left) - events(right)) / step).max(1e-15);
            let log_ratio = (density.max(1e-300) / intensity).ln();
            // More alike is never worse.
            highest = log_ratio.clamp(-LOG_RATIO_MAX, LOG_RATIO_MAX).max(highest);
            points.push(Point {
                similarity,
                below,
                density,
                log_ratio: highest,
            });
        }
        let all = below.max(1e-12);
        points
            .iter_mut()
            .for_each(|point| point.below = (point.below / all).min(1.0));
        Evidence {
            source,
            pairs,
            points,
        }
    }

    /// Where it is known from how alike pictures of one person are.
    pub fn source(&self) -> MatedSource {
        self.source
    }

    /// Of how many pairs of one person that is known.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// The similarity that a share of people is below, compared with their own class; from 0 to 1.
    pub fn mated_quantile(&self, share: f64) -> f64 {
        let at = self.points.partition_point(|point| point.below < share);
        self.points[at.min(self.points.len() - 1)].similarity
    }

    /// The probability that the first of an answer is right, where `times` as many classes were
    /// searched as were measured.
    pub(super) fn confidence(&self, best: f64, second: Option<f64>, times: f64) -> f64 {
        let first = self.at(best);
        let ratio = |point: Point| (point.log_ratio - times.ln()).exp();
        let (of_second, below) = match second {
            Some(second) => {
                let second = self.at(second.min(best));
                (ratio(second), second.below)
            }
            None => (0.0, 0.0),
        };
        let right = ENROLLED_SHARE * ratio(first);
        let wrong = ENROLLED_SHARE * (of_second + below) + 1.0 - ENROLLED_SHARE;
        right / (right + wrong)
    }

    fn at(&self, similarity: f64) -> Point {
        let (first, last) = (self.points[0], self.points[self.points.len() - 1]);
        // NaN comes from nowhere, and is no evidence.
        if similarity.is_nan() || similarity <= first.similarity {
            return Point {
                density: 0.0,
                ..first
            };
        }
        if similarity >= last.similarity {
            return last;
        }
        let after = self
            .points
            .partition_point(|point| point.similarity <= similarity);
        let (from, to) = (self.points[after - 1], self.points[after]);
        let within = (similarity - from.similarity) / (to.similarity - from.similarity);
        let between = |from: f64, to: f64| from + within * (to - from);
        Point {
            similarity,
            below: between(from.below, to.below),
            density: between(from.density, to.density),
            log_ratio: between(from.log_ratio, to.log_ratio),
        }
    }

    /// What is wrong with evidence that was read.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_right = |point: &Point| {
            let shares = (0.0..=1.0).contains(&point.below) && point.density >= 0.0;
            shares && point.similarity.is_finite() && point.log_ratio.is_finite()
        };
        let rises = |pair: &[Point]| {
            pair[0].similarity < pair[1].similarity && pair[0].log_ratio <= pair[1].log_ratio
        };
        match self.points.len() >= 2
            && self.points.iter().all(is_right)
            && self.points.windows(2).all(rises)
        {
            true => Ok(()),
            false => Err("evidence that is out of order".to_owned()),
        }
    }
}

fn deviation(of: &[f64]) -> f64 {
    let count = of.len() as f64;
    let mean = of.iter().sum::<f64>() / count;
    (of.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / count).sqrt()
}
