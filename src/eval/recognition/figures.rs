//! Scores in order: thresholds for rates, curves and histograms.

use serde::Serialize;

/// Bars of a histogram over similarities from -1 to 1.
const BARS: usize = 80;
/// Points of a curve at most.
const POINTS_MAX: usize = 250;

/// Both errors at one threshold. Of verification these are FMR and FNMR.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DetPoint {
    /// The similarity from which on somebody is named.
    pub threshold: f64,
    /// FPIR, or FMR.
    pub false_positive: f64,
    /// FNIR, or FNMR.
    pub false_negative: f64,
}

/// How many scores lie in each of many equal parts of the range.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// Where the first part begins.
    pub from: f64,
    /// How wide each is.
    pub step: f64,
    /// How many scores each has.
    pub counts: Vec<u64>,
}

/// The scores of probes of enrolled people, and of strangers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Of probes and the people that they show.
    pub mated: Histogram,
    /// Of probes of strangers and whoever is most alike; of verification, of all comparisons of
    /// different people.
    pub non_mated: Histogram,
}

impl Histogram {
    /// The histogram of some similarities.
    pub(super) fn of(similarities: impl Iterator<Item = f64>) -> Histogram {
        let step = 2.0 / BARS as f64;
        let mut counts = vec![0; BARS];
        for similarity in similarities.filter(|it| it.is_finite()) {
            // A part holds its beginning; the last holds its end, too.
            let at = ((similarity + 1.0) / step).floor().max(0.0) as usize;
            counts[at.min(BARS - 1)] += 1;
        }
        Histogram {
            from: -1.0,
            step,
            counts,
        }
    }

    /// How many scores there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Scores that fall, each with the place of the person that it counts for.
pub(super) type Falling = Vec<(f64, u32)>;

pub(super) fn falling(mut scores: Falling) -> Falling {
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    scores
}

/// The lowest threshold that at most a share `rate` of `total` scores reaches; -1 if all may.
pub(super) fn threshold(scores: &[(f64, u32)], total: usize, rate: f64) -> f64 {
    // A share such as 0.003 of 1000 is three of them, whatever single bits say.
    let most = (rate * total as f64 + 1e-9).floor() as usize;
    above(scores.get(most))
}

/// As [`threshold`], where each person counts so often.
pub(super) fn weighted_threshold(scores: &[(f64, u32)], weights: &[u32], rate: f64) -> f64 {
    let total: u64 = scores
        .iter()
        .map(|it| u64::from(weights[it.1 as usize]))
        .sum();
    let most = (rate * total as f64 + 1e-9).floor() as u64;
    let mut sum = 0;
    above(scores.iter().find(|(_, person)| {
        sum += u64::from(weights[*person as usize]);
        sum > most
    }))
}

/// Just above a score that must not reach it.
fn above(score: Option<&(f64, u32)>) -> f64 {
    score.map_or(-1.0, |(score, _)| score.next_up().max(-1.0))
}

/// How many of scores that fall reach a threshold.
pub(super) fn reaching(scores: &[(f64, u32)], threshold: f64) -> usize {
    scores.partition_point(|(score, _)| *score >= threshold)
}

/// The same where each person counts so often, as a share of all. `None` of nothing.
pub(super) fn weighted_share(
    scores: &[(f64, u32)],
    weights: &[u32],
    threshold: f64,
) -> Option<f64> {
    let weight = |part: &[(f64, u32)]| -> u64 {
        part.iter()
            .map(|it| u64::from(weights[it.1 as usize]))
            .sum()
    };
    let (reaching, rest) = scores.split_at(reaching(scores, threshold));
    let (reaching, rest) = (weight(reaching), weight(rest));
    (reaching + rest > 0).then(|| reaching as f64 / (reaching + rest) as f64)
}

/// Both errors as the threshold moves, where these scores of enrolled people and of strangers fall.
/// `mated` are those that find somebody, minus infinity where nothing does.
pub(super) fn det(mated: &[(f64, u32)], strangers: &[(f64, u32)]) -> Vec<DetPoint> {
    if mated.is_empty() || strangers.is_empty() {
        return Vec::new();
    }
    let point = |threshold: f64| DetPoint {
        threshold,
        false_positive: reaching(strangers, threshold) as f64 / strangers.len() as f64,
        false_negative: 1.0 - reaching(mated, threshold) as f64 / mated.len() as f64,
    };
    let mut thresholds: Vec<f64> = Vec::new();
    for scores in [strangers, mated] {
        // Few errors stand far apart on the scale of a DET: more points where there are few.
        let mut at = 0;
        while at < scores.len() {
            let back = scores.len() - 1 - at;
            for place in [at, back] {
                let score = scores[place].0;
                if score.is_finite() {
                    thresholds.extend([score, score.next_up()]);
                }
            }
            at += 1 + at / 24;
            if at > scores.len() / 2 {
                break;
            }
        }
    }
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    let mut points: Vec<DetPoint> = thresholds.into_iter().map(point).collect();
    points.dedup_by_key(|it| (it.false_positive.to_bits(), it.false_negative.to_bits()));
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let last = points.len() - 1;
    let kept = points.into_iter().enumerate();
    kept.filter(|(at, _)| at % step == 0 || *at == last)
        .map(|(_, point)| point)
        .collect()
}

/// Where both errors are equal, or nearest to it: their mean there.
pub(super) fn equal_error(mated: &[(f64, u32)], strangers: &[(f64, u32)]) -> Option<DetPoint> {
    if mated.is_empty() || strangers.is_empty() {
        return None;
    }
    let point = |threshold: f64| {
        let positive = reaching(strangers, threshold) as f64 / strangers.len() as f64;
        let negative = 1.0 - reaching(mated, threshold) as f64 / mated.len() as f64;
        (positive, negative)
    };
    // FMR falls and FNMR rises with the threshold: the first mated score at which they have
    // crossed.
    let crossed = mated.partition_point(|(score, _)| {
        let (positive, negative) = point(*score);
        negative >= positive
    });
    let near = [crossed.checked_sub(1), Some(crossed)]
        .into_iter()
        .flatten();
    let places = near
        .filter_map(|at| mated.get(at))
        .flat_map(|(score, _)| [*score, score.next_up()]);
    let found = places.filter(|it| it.is_finite()).map(|threshold| {
        let (positive, negative) = point(threshold);
        (threshold, positive, negative)
    });
    let (threshold, positive, negative) =
        found.min_by(|a, b| (a.1 - a.2).abs().total_cmp(&(b.1 - b.2).abs()))?;
    let rate = f64::midpoint(positive, negative);
    Some(DetPoint {
        threshold,
        false_positive: rate,
        false_negative: rate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: &[f64]) -> Falling {
        falling(values.iter().map(|&value| (value, 0)).collect())
    }

    #[test]
    fn a_threshold_lets_at_most_so_many_pass_and_ties_stay_out() {
        let scores = scores(&[0.1, 0.2, 0.3, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]);
        for (rate, reach) in [
            (0.1, 1),
            (0.19, 1),
            (0.2, 2),
            (0.6, 6),
            (0.7, 6),
            (0.8, 8),
            (0.95, 9),
        ] {
            let threshold = threshold(&scores, 10, rate);
            assert_eq!(reaching(&scores, threshold), reach, "{rate}");
        }
        assert_eq!(threshold(&scores, 10, 1.0), -1.0);
        assert_eq!(threshold(&[], 0, 0.1), -1.0);
        // Every draw with one for everybody is the same.
        for rate in [0.1, 0.33, 0.7] {
            assert_eq!(
                weighted_threshold(&scores, &[1], rate),
                threshold(&scores, 10, rate)
            );
        }
        assert_eq!(weighted_share(&scores, &[3], 0.5), Some(0.6));
        assert_eq!(weighted_share(&scores, &[0], 0.5), None);
    }

    #[test]
    fn a_curve_goes_from_one_end_to_the_other() {
        let mated = scores(&[0.9, 0.8, 0.4, f64::NEG_INFINITY]);
        let strangers = scores(&[0.5, 0.3, 0.2, 0.1]);
        let points = det(&mated, &strangers);
        let first = points.first().unwrap();
        assert_eq!((first.false_positive, first.false_negative), (1.0, 0.25));
        let last = points.last().unwrap();
        assert_eq!((last.false_positive, last.false_negative), (0.0, 1.0));
        assert!(points.windows(2).all(|two| {
            two[0].threshold < two[1].threshold
                && two[0].false_positive >= two[1].false_positive
                && two[0].false_negative <= two[1].false_negative
        }));
        assert!(
            points
                .iter()
                .any(|it| it.false_positive == 0.25 && it.false_negative == 0.25)
        );
        assert!(det(&[], &strangers).is_empty());
    }

    #[test]
    fn errors_are_equal_where_they_cross() {
        let mated = scores(&[0.9, 0.8, 0.7, 0.4]);
        let strangers = scores(&[0.5, 0.3, 0.2, 0.1]);
        let equal = equal_error(&mated, &strangers).unwrap();
        assert_eq!(equal.false_negative, 0.25, "{equal:?}");
        let apart = equal_error(&scores(&[0.9, 0.8]), &strangers).unwrap();
        assert_eq!(apart.false_positive, 0.0, "{apart:?}");
        assert!(apart.threshold > 0.5 && apart.threshold <= 0.8);
        assert_eq!(equal_error(&[], &strangers), None);
    }

    #[test]
    fn every_score_is_in_one_bar() {
        let histogram =
            Histogram::of([-1.0, -0.999, 0.0, 0.3, 1.0, 1.0, f64::NEG_INFINITY].into_iter());
        assert_eq!(histogram.total(), 6);
        assert_eq!(histogram.counts[0], 2);
        assert_eq!(histogram.counts[40], 1);
        assert_eq!(histogram.counts[79], 2);
    }
}
