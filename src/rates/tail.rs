//! The tail of a distribution of scores: what the highest of them say about still higher ones.
//!
//! Above a high threshold the excesses of nearly any distribution are those of a generalised Pareto
//! distribution (Pickands 1975), `P(excess > y) = (1 + shape y / scale)^(-1/shape)`. It is fitted
//! by maximum likelihood. With `t = shape / scale` and `A(t)` the mean of `ln(1 + t y) / t`, the
//! log-likelihood of `n` excesses is
//!
//! ```text
//! n (-ln scale - t A(t) - A(t) / scale),
//! ```
//!
//! whose highest point for a given `t` is at `scale = A(t)` (Grimshaw 1993). So one number is
//! searched for, and a profile of the likelihood costs one pass over the excesses for each `t`.

use serde::{Deserialize, Serialize};

use super::goodness;

/// The shapes that are considered: a distribution that ends soon has a negative one, one with heavy
/// tails a positive one. Below -0.5 the likelihood has no highest point of the usual kind.
const SHAPES: (f64, f64) = (-0.5, 1.0);
/// How far from 0 shapes of scores lie, as the standard deviation of a normal prior. It matters
/// where there are few excesses only (Coles and Dixon 1999 penalise for the same reason).
const SHAPE_DEVIATION: f64 = 0.35;
/// By how much twice the log-likelihood may fall short of the highest within an interval: the
/// quantile of chi-squared with one degree of freedom at 99 %. What is more than 95 % pays for the
/// choice of the threshold, and for tails that are of this form only about.
const DEVIANCE_MAX: f64 = 6.635;
/// How many values of `t` an interval looks at, and in how many ways the deviance is shared.
const STEPS: usize = 41;
const ANGLES: usize = 13;

/// A generalised Pareto distribution above a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// Where it begins, a similarity.
    pub threshold: f64,
    /// The share of scores above the threshold.
    pub share: f64,
    /// How many scores that were.
    pub exceedances: usize,
    /// The shape: 0 falls as an exponential function, below 0 it ends, above 0 it is heavy.
    pub shape: f64,
    /// The scale, a difference of similarities.
    pub scale: f64,
    /// The statistic of Anderson and Darling: how far the fit is from the scores.
    pub anderson_darling: f64,
    /// How probable a statistic at least as high is if the scores are of such a distribution; low
    /// where they are not. Between 0.001 and 1.
    pub p_value: f64,
}

impl Tail {
    /// The similarity that a share of `rate` reaches, which is at most the share above the
    /// threshold.
    pub(super) fn similarity(&self, rate: f64) -> f64 {
        let (t, reach) = (
            self.shape / self.scale,
            self.scale * (self.share / rate).ln(),
        );
        self.threshold
            + match (t * reach).abs() < 1e-9 {
                true => reach,
                false => (t * reach).exp_m1() / t,
            }
    }
}

/// A tail with all that the scores leave open.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    pub(super) tail: Tail,
    /// Excesses are measured in this unit, their mean.
    unit: f64,
    /// The limits of what is likely.
    limits: Vec<Limit>,
}

/// One of the least likely tails within the interval.
#[derive(Clone, Copy, Debug)]
struct Limit {
    t: f64,
    /// `A(t)`.
    mean: f64,
    /// Where the rate is highest: the logarithm of its share by that of the fit, and `A(t)` by the
    /// scale.
    high: (f64, f64),
    /// Where it is lowest.
    low: (f64, f64),
}

impl Fitted {
    /// Fits the tail above the score after the first `count` of `falling`, where as many as
    /// `design_effect` scores tell no more than one that is independent of all others.
    ///
    /// # Panics
    ///
    /// Panics if there are not more scores than `count`, or if that is 0.
    pub(super) fn of(falling: &[f64], count: usize, design_effect: f64) -> Fitted {
        let threshold = falling[count];
        let mut excesses: Vec<f64> = falling[..count]
            .iter()
            .map(|score| score - threshold)
            .collect();
        let mean = excesses.iter().sum::<f64>() / count as f64;
        // Scores that are all alike have a tail, too: hardly any.
        let unit = mean.max(1e-9);
        excesses
            .iter_mut()
            .for_each(|excess| *excess = (*excess / unit).max(0.0));
        let likelihood = Likelihood {
            effective: count as f64 / design_effect,
            excesses,
        };
        let best = likelihood.best();
        let mean = likelihood.mean(best);
        let share = count as f64 / falling.len() as f64;
        let (scale, shape) = (mean * unit, best * mean);
        let statistic =
            goodness::anderson_darling(&likelihood.excesses, shape, mean) / design_effect;
        Fitted {
            tail: Tail {
                threshold,
                share,
                exceedances: count,
                shape,
                scale,
                anderson_darling: statistic,
                p_value: goodness::p_value(statistic, shape),
            },
            unit,
            limits: likelihood.limits(best, share),
        }
    }

    /// The range in which the share of scores lies that reach `similarity`, by profile likelihood.
    pub(super) fn interval(&self, similarity: f64) -> (f64, f64) {
        let excess = (similarity - self.tail.threshold).max(0.0) / self.unit;
        let share = self.tail.share.ln();
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for limit in &self.limits {
            let reach = reach(limit.t, excess) / limit.mean;
            // Beyond the end of the distribution nothing is left, however steep it falls.
            let rate = |(share, steepness): (f64, f64)| share - steepness * reach;
            high = high.max(rate(limit.high));
            low = low.min(rate(limit.low));
        }
        ((share + low).exp(), (share + high).exp().min(1.0))
    }
}

/// `ln(1 + t y) / t`: how far out an excess is, in units of the scale.
fn reach(t: f64, excess: f64) -> f64 {
    if (t * excess).abs() < 1e-9 {
        return excess;
    }
    match 1.0 + t * excess > 0.0 {
        true => (t * excess).ln_1p() / t,
        false => f64::INFINITY,
    }
}

/// Excesses, whose mean is 1, and how much they tell.
struct Likelihood {
    excesses: Vec<f64>,
    effective: f64,
}

impl Likelihood {
    /// `A(t)`.
    fn mean(&self, t: f64) -> f64 {
        let sum: f64 = self.excesses.iter().map(|excess| reach(t, *excess)).sum();
        (sum / self.excesses.len() as f64).max(1e-9)
    }

    /// The highest log-likelihood with this `t`, less what its shape is unlikely beforehand.
    fn at(&self, t: f64) -> f64 {
        let mean = self.mean(t);
        let shape = t * mean;
        if !mean.is_finite() || !(SHAPES.0..=SHAPES.1).contains(&shape) {
            return f64::NEG_INFINITY;
        }
        self.effective * (-mean.ln() - shape) - 0.5 * (shape / SHAPE_DEVIATION).powi(2)
    }

    /// All `t` that are tried at first: closer together near 0.
    fn grid(&self) -> Vec<f64> {
        let longest = self.excesses.iter().copied().fold(0.0, f64::max).max(1e-9);
        let negative = (1..40)
            .rev()
            .map(|step| -0.9995 * (f64::from(step) / 39.0) / longest);
        let positive = (0..60).map(|step| 0.02 * 1.13_f64.powi(step));
        negative.chain([0.0]).chain(positive).collect()
    }

    fn best(&self) -> f64 {
        let grid = self.grid();
        let likelihoods: Vec<f64> = grid.iter().map(|t| self.at(*t)).collect();
        let highest = (0..grid.len()).max_by(|a, b| likelihoods[*a].total_cmp(&likelihoods[*b]));
        let at = highest.unwrap_or(0);
        let (mut low, mut high) = (
            grid[at.saturating_sub(1)],
            grid[(at + 1).min(grid.len() - 1)],
        );
        // Between two that are lower there is one hill.
        for _ in 0..40 {
            let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
            match self.at(left) < self.at(right) {
                true => low = left,
                false => high = right,
            }
        }
        let refined = 0.5 * (low + high);
        match self.at(refined) >= likelihoods[at] {
            true => refined,
            false => grid[at],
        }
    }

    /// The least likely tails that are still likely enough, `best` being the most likely one.
    fn limits(&self, best: f64, share: f64) -> Vec<Limit> {
        let highest = self.at(best);
        let deviance = |t: f64| 2.0 * (highest - self.at(t));
        let grid = self.grid();
        let likely = |t: &&f64| deviance(**t) < DEVIANCE_MAX;
        let first = grid
            .iter()
            .position(|t| likely(&t) || *t > best)
            .unwrap_or(0);
        let last = grid
            .iter()
            .rposition(|t| likely(&t) || *t < best)
            .unwrap_or(grid.len() - 1);
        let edge = |inside: f64, outside: f64| {
            let (mut inside, mut outside) = (inside, outside);
            for _ in 0..20 {
                let middle = 0.5 * (inside + outside);
                match deviance(middle) < DEVIANCE_MAX {
                    true => inside = middle,
                    false => outside = middle,
                }
            }
            inside
        };
        let low = edge(
            grid[first].min(best),
            grid[first.saturating_sub(1)].min(best),
        );
        let high = edge(
            grid[last].max(best),
            grid[(last + 1).min(grid.len() - 1)].max(best),
        );
        let mut limits = Vec::new();
        for step in 0..STEPS {
            let t = low + (high - low) * step as f64 / (STEPS - 1) as f64;
            self.push_limits(t, DEVIANCE_MAX - deviance(t), share, &mut limits);
        }
        self.push_limits(best, DEVIANCE_MAX, share, &mut limits);
        limits
    }

    /// Shares what deviance is left between the share above the threshold and the scale.
    fn push_limits(&self, t: f64, left: f64, share: f64, limits: &mut Vec<Limit>) {
        if left.is_nan() || left < 0.0 {
            return;
        }
        let mean = self.mean(t);
        for step in 0..ANGLES {
            let angle = std::f64::consts::FRAC_PI_2 * step as f64 / (ANGLES - 1) as f64;
            let each = left / (2.0 * self.effective);
            let (of_share, of_scale) = (each * angle.cos().powi(2), each * angle.sin().powi(2));
            let (share_low, share_high) = ratios(of_share);
            let (steep_low, steep_high) = ratios(of_scale);
            limits.push(Limit {
                t,
                mean,
                high: (share_high.min(1.0 / share).ln(), steep_low),
                low: (share_low.ln(), steep_high),
            });
        }
    }
}

/// The two solutions of `r - 1 - ln r = deviance`: how far a mean of counts or of excesses may be
/// from what was seen.
fn ratios(deviance: f64) -> (f64, f64) {
    let deviance = deviance.max(0.0);
    let cost = |ratio: f64| ratio - 1.0 - ratio.ln();
    let solve = |mut inside: f64, mut outside: f64| {
        for _ in 0..50 {
            let middle = 0.5 * (inside + outside);
            match cost(middle) < deviance {
                true => inside = middle,
                false => outside = middle,
            }
        }
        inside
    };
    let lowest = (-1.0 - deviance).exp();
    (
        solve(1.0, lowest),
        solve(1.0, 2.0 + 2.0 * deviance + (2.0 * deviance).sqrt()),
    )
}
