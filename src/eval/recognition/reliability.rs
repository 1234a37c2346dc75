//! Whether a confidence means what it says: of all answers with 0.9, nine of ten are right.

use serde::Serialize;

/// Bins of equal width.
const BINS: usize = 10;

/// How confidences and the shares of right answers agree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reliability {
    /// The expected calibration error: the mean distance of both, over all answers (Naeini and
    /// others 2015).
    pub expected_calibration_error: f64,
    /// The mean of the squared distance of each confidence from 1 where the answer was right and
    /// from 0 where it was not (Brier 1950).
    pub brier: f64,
    /// How many answers there are.
    pub answers: usize,
    /// The bins that have answers, by rising confidence.
    pub bins: Vec<ReliabilityBin>,
}

/// Answers of about one confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Where the bin begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// How many answers are in it.
    pub answers: usize,
    /// What was said, in the mean.
    pub confidence: f64,
    /// The share that was right.
    pub right: f64,
}

impl Reliability {
    /// Of answers, each with the confidence from 0 to 1 that its first is right, and whether it
    /// was. `None` without answers.
    pub fn of(answers: &[(f64, bool)]) -> Option<Reliability> {
        if answers.is_empty() {
            return None;
        }
        let mut bins = [(0_usize, 0.0_f64, 0_usize); BINS];
        let mut brier = 0.0;
        for &(confidence, is_right) in answers {
            let at = (confidence * BINS as f64).clamp(0.0, BINS as f64 - 1.0) as usize;
            let (count, sum, right) = &mut bins[at];
            *count += 1;
            *sum += confidence;
            *right += usize::from(is_right);
            brier += (confidence - f64::from(u8::from(is_right))).powi(2);
        }
        let total = answers.len() as f64;
        let bin = |(at, (count, sum, right)): (usize, &(usize, f64, usize))| {
            (*count > 0).then(|| ReliabilityBin {
                from: at as f64 / BINS as f64,
                to: (at + 1) as f64 / BINS as f64,
                answers: *count,
                confidence: sum / *count as f64,
                right: *right as f64 / *count as f64,
            })
        };
        let bins: Vec<ReliabilityBin> = bins.iter().enumerate().filter_map(bin).collect();
        let distance =
            |bin: &ReliabilityBin| bin.answers as f64 * (bin.confidence - bin.right).abs();
        Some(Reliability {
            expected_calibration_error: bins.iter().map(distance).sum::<f64>() / total,
            brier: brier / total,
            answers: answers.len(),
            bins,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_what_is_true_has_no_error() {
        let honest: Vec<(f64, bool)> = (0..100).map(|at| (0.75, at % 4 != 0)).collect();
        let reliability = Reliability::of(&honest).unwrap();
        assert!(
            reliability.expected_calibration_error < 1e-12,
            "{reliability:?}"
        );
        assert!((reliability.brier - 0.1875).abs() < 1e-12);
        let boastful: Vec<(f64, bool)> = (0..100).map(|at| (0.95, at % 2 == 0)).collect();
        let reliability = Reliability::of(&boastful).unwrap();
        assert!((reliability.expected_calibration_error - 0.45).abs() < 1e-12);
        let mixed = Reliability::of(&[honest, boastful].concat()).unwrap();
        assert!((mixed.expected_calibration_error - 0.225).abs() < 1e-12);
        assert_eq!(mixed.bins.len(), 2);
        assert_eq!(
            Reliability::of(&[(1.0, true), (0.0, false)]).unwrap().brier,
            0.0
        );
        assert_eq!(Reliability::of(&[]), None);
    }
}
