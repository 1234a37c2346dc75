//! How often scores of strangers reach a similarity, for every similarity.

use serde::{Deserialize, Serialize};

use super::RatesError;
use super::share;
use super::tail::{Fitted, Tail};

/// So few scores say nothing.
pub(super) const SCORES_MIN: usize = 10;
/// The tail begins where at most this share of scores is higher...
const TAIL_SHARE_MAX: f64 = 0.1;
/// ... and at most so many, since more would not make it surer, but less like a tail.
const TAIL_SCORES_MAX: usize = 2_000;
/// A tail of fewer scores is not tried as long as there is one of more; of few scores the upper
/// half is the tail.
const TAIL_SCORES_MIN: usize = 25;
/// The next tail that is tried has so many times the scores of the one before.
const TAIL_STEP: f64 = 0.7;
/// A tail is taken if a fit as bad would come at least this often by chance.
const P_VALUE_MIN: f64 = 0.1;
/// Where so many independent scores are higher they are counted; where there are fewer the tail
/// says what is to be expected.
const COUNTED_MIN: f64 = 10.0;
/// Where fewer scores than this are higher, even none at all would be no surprise.
const RARE: usize = 3;
/// What is at most this share too rare is not: a rate is a little off where scores of a few people
/// were set aside, or were of all people but oneself.
const RARE_TOLERANCE: f64 = 1e-2;
/// What is less than this share of a rate is none.
const NOTHING: f64 = 1e-3;
/// Design effects are measured on at least so many scores.
const DESIGN_SCORES_MIN: usize = 20;
/// The confidence of counted shares is 1 less this: more than the 95 % that are told, since which
/// similarity is asked about depends on the same scores.
const OUTSIDE: f64 = 0.025;
/// The levels of counted scores, each of so many times the scores of the one before.
const LEVEL_STEP: f64 = 0.9;
/// How many levels the tail has for each power of ten.
const LEVELS_PER_DECADE: f64 = 8.0;
/// Where the levels of the tail end.
const RATE_MIN: f64 = 1e-13;

/// How often scores of strangers reach a similarity, with the range in which the true rate lies
/// with 95 % confidence: counted where enough scores are higher, by the tail of their distribution
/// beyond.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// Of how many scores it is.
    scores: usize,
    /// The tail.
    tail: Tail,
    /// Rates, by rising similarity; between two of them their logarithms are interpolated.
    levels: Vec<Level>,
}

/// How often a similarity is reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// The similarity.
    pub similarity: f64,
    /// The share of scores that reach it.
    pub rate: f64,
    /// The lower end of the range in which the true share lies.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How many reach it on the mean of those that one score is the highest of; the rate itself
    /// where each score stands for itself.
    pub mean: f64,
}

/// How scores hang together.
pub(super) trait Dependence {
    /// So many scores, all that reach a similarity, tell no more than one that is independent.
    fn design_effect(&self, similarity: f64, count: usize) -> f64;

    /// How many reach a similarity, on the mean of those that one score is the highest of; `rate`
    /// is that of the highest.
    fn mean(&self, similarity: f64, rate: f64) -> f64;
}

/// Scores that have nothing to do with each other.
struct Independent;

impl Dependence for Independent {
    fn design_effect(&self, _: f64, _: usize) -> f64 {
        1.0
    }

    fn mean(&self, _: f64, rate: f64) -> f64 {
        rate
    }
}

impl Curve {
    /// The curve of scores that are independent of each other, in any order.
    ///
    /// # Errors
    ///
    /// If there are fewer than ten, or one is not finite.
    pub fn of(scores: &[f64]) -> Result<Curve, RatesError> {
        Curve::of_dependent(scores.to_vec(), &Independent)
    }

    /// The curve of scores that hang together.
    ///
    /// # Errors
    ///
    /// As [`Curve::of`].
    pub(super) fn of_dependent(
        scores: Vec<f64>,
        dependence: &dyn Dependence,
    ) -> Result<Curve, RatesError> {
        let mut falling = scores;
        if falling.iter().any(|score| !score.is_finite()) {
            return Err(RatesError::NotFinite);
        }
        if falling.len() < SCORES_MIN {
            let (found, expected) = (falling.len(), SCORES_MIN);
            return Err(RatesError::TooFewScores { found, expected });
        }
        falling.sort_unstable_by(|a, b| b.total_cmp(a));
        let counted = Counted {
            falling: &falling,
            dependence,
        };
        let fitted = counted.tail();
        let mut levels = Vec::new();
        counted.push_counted(fitted.tail.exceedances, &mut levels);
        counted.push_tail(&fitted, &mut levels);
        widen(&mut levels);
        Ok(Curve {
            scores: falling.len(),
            tail: fitted.tail,
            levels,
        })
    }

    /// Of how many scores it is.
    pub fn scores(&self) -> usize {
        self.scores
    }

    /// The tail.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Rates, by rising similarity.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// How often `similarity` is reached. Beyond the last level nothing more is known than there.
    pub fn at(&self, similarity: f64) -> Level {
        let after = self
            .levels
            .partition_point(|level| level.similarity <= similarity);
        let Some(from) = after.checked_sub(1).map(|before| self.levels[before]) else {
            let first = self.levels[0];
            return Level {
                similarity,
                rate: 1.0,
                high: 1.0,
                mean: first.mean.max(1.0),
                ..first
            };
        };
        let Some(to) = self.levels.get(after) else {
            return Level { similarity, ..from };
        };
        let within = (similarity - from.similarity) / (to.similarity - from.similarity);
        let between = |from: f64, to: f64| match from > 0.0 && to > 0.0 {
            true => (from.ln() + within * (to.ln() - from.ln())).exp(),
            false => from + within * (to - from),
        };
        Level {
            similarity,
            rate: between(from.rate, to.rate),
            low: between(from.low, to.low),
            high: between(from.high, to.high),
            mean: between(from.mean, to.mean),
        }
    }

    /// The similarity that is reached with a rate: the lowest at which `rate_at`, which falls with
    /// the similarity, is at most `rate`; the last level where none is.
    pub(super) fn similarity_where(&self, rate: f64, rate_at: impl Fn(&Level) -> f64) -> f64 {
        let after = self.levels.partition_point(|level| rate_at(level) > rate);
        let Some(above) = self.levels.get(after) else {
            return self.levels[self.levels.len() - 1].similarity;
        };
        let Some(below) = after.checked_sub(1).map(|before| self.levels[before]) else {
            return above.similarity;
        };
        let (mut low, mut high) = (below.similarity, above.similarity);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            match rate_at(&self.at(middle)) > rate {
                true => low = middle,
                false => high = middle,
            }
        }
        high
    }

    /// The similarity that is reached with a rate.
    pub fn similarity(&self, rate: f64) -> f64 {
        self.similarity_where(rate, |level| level.rate)
    }

    /// Whether so low a rate is beyond what the scores support: less than three of them are higher.
    pub fn is_beyond(&self, rate: f64) -> bool {
        rate * (self.scores as f64) < RARE as f64 * (1.0 - RARE_TOLERANCE)
    }

    /// What is wrong with a curve that was read.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.levels.is_empty() {
            return Err("a curve without levels".to_owned());
        }
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        for level in &self.levels {
            let ordered = level.low <= level.rate && level.rate <= level.high;
            let right = level.similarity.is_finite() && level.mean.is_finite() && ordered;
            if !right || !is_share(level.low) || !is_share(level.high) || level.rate <= 0.0 {
                return Err(format!("the level at {}", level.similarity));
            }
        }
        let rises = |pair: &[Level]| {
            pair[0].similarity < pair[1].similarity && pair[0].rate >= pair[1].rate
        };
        if !self.levels.windows(2).all(rises) {
            return Err("levels that are out of order".to_owned());
        }
        Ok(())
    }
}

/// Scores by falling similarity.
struct Counted<'a> {
    falling: &'a [f64],
    dependence: &'a dyn Dependence,
}

impl Counted<'_> {
    fn design_effect(&self, count: usize) -> f64 {
        let enough = count.max(DESIGN_SCORES_MIN).min(self.falling.len());
        let similarity = self.falling[enough - 1];
        self.dependence.design_effect(similarity, enough).max(1.0)
    }

    /// The longest tail that fits; the shortest where none does.
    fn tail(&self) -> Fitted {
        let scores = self.falling.len();
        let most =
            ((scores as f64 * TAIL_SHARE_MAX) as usize).clamp(2 * TAIL_SCORES_MIN, TAIL_SCORES_MAX);
        let mut count = most.min(scores / 2);
        let least = TAIL_SCORES_MIN.min(count);
        loop {
            let fitted = Fitted::of(self.falling, count, self.design_effect(count));
            let next = (count as f64 * TAIL_STEP) as usize;
            if fitted.tail.p_value >= P_VALUE_MIN || next < least {
                return fitted;
            }
            count = next;
        }
    }

    /// Levels with at least `last` scores.
    fn push_counted(&self, last: usize, levels: &mut Vec<Level>) {
        let mut count = self.falling.len();
        while count > last {
            let similarity = self.falling[count - 1];
            // Of equal scores all reach it, which is the first level with it.
            let is_new = levels
                .last()
                .is_none_or(|level: &Level| level.similarity < similarity);
            if is_new {
                let rate = count as f64 / self.falling.len() as f64;
                let mean = self.dependence.mean(similarity, rate);
                let (low, high) = self.counted_interval(count);
                levels.push(Level {
                    similarity,
                    rate,
                    low: low.min(rate),
                    high: high.max(rate),
                    mean,
                });
            }
            count = ((count as f64 * LEVEL_STEP) as usize).min(count - 1);
        }
    }

    fn counted_interval(&self, count: usize) -> (f64, f64) {
        let effect = self.design_effect(count);
        let total = self.falling.len() as f64;
        share::interval(count as f64 / effect, total / effect, OUTSIDE)
    }

    /// Levels of the tail.
    fn push_tail(&self, fitted: &Fitted, levels: &mut Vec<Level>) {
        for step in 0.. {
            let rate = fitted.tail.share * 10_f64.powf(-f64::from(step) / LEVELS_PER_DECADE);
            if rate < RATE_MIN {
                return;
            }
            let similarity = fitted.tail.similarity(rate);
            if !similarity.is_finite() {
                return;
            }
            if levels
                .last()
                .is_some_and(|level| level.similarity >= similarity)
            {
                continue;
            }
            let count = self.falling.partition_point(|score| *score >= similarity);
            let independent = count as f64 / self.design_effect(count);
            let (low, high) = match independent >= COUNTED_MIN {
                true => self.counted_interval(count),
                // So few are higher that there may be none: the tail alone does not rule that out.
                false if count < RARE => {
                    let (low, high) = fitted.interval(similarity);
                    let low = low.min(self.counted_interval(count).0);
                    (if low < NOTHING * rate { 0.0 } else { low }, high)
                }
                false => fitted.interval(similarity),
            };
            let mean = self.dependence.mean(similarity, rate);
            levels.push(Level {
                similarity,
                rate,
                low: low.min(rate),
                high: high.max(rate),
                mean,
            });
        }
    }
}

/// Makes ranges fall with the similarity, as rates do: wider where they would not.
fn widen(levels: &mut [Level]) {
    let mut lowest = 1.0_f64;
    for level in levels.iter_mut() {
        lowest = lowest.min(level.low);
        level.low = lowest;
    }
    let mut highest = 0.0_f64;
    for level in levels.iter_mut().rev() {
        highest = highest.max(level.high);
        level.high = highest;
    }
}
