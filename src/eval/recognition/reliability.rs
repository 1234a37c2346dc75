//! Whether a confidence means what it says: of all answers with 0.9, nine of ten are right.

use serde::Serialize;

/// Bins of equal width.
const BINS: usize = 10;

/// An answer with somebody in it, whoever it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answered {
    /// How sure the first was said to be, from 0 to 1.
    pub confidence: f64,
    /// Whether the first is who was looked for.
    pub is_right: bool,
    /// Whether somebody was looked for who is enrolled.
    pub is_mated: bool,
}

/// How confidences and the shares of right answers agree, if one in two who are looked for is
/// enrolled, as confidences suppose: answers for people and for strangers weigh alike, however many
/// there are of each.
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
    /// What they weigh, of all.
    pub weight: f64,
    /// What was said, in the mean.
    pub confidence: f64,
    /// The share that was right.
    pub right: f64,
}

/// What is added up for a bin.
#[derive(Clone, Copy, Default)]
struct Sums {
    answers: usize,
    weight: f64,
    confidence: f64,
    right: f64,
}

impl Reliability {
    /// Of answers. `None` without any.
    pub fn of(answers: &[Answered]) -> Option<Reliability> {
        let weight = weights(answers)?;
        let mut sums = [Sums::default(); BINS];
        let mut brier = 0.0;
        for answer in answers {
            let confidence = answer.confidence;
            let at = (confidence * BINS as f64).clamp(0.0, BINS as f64 - 1.0) as usize;
            let (weight, right) = (weight(answer), f64::from(u8::from(answer.is_right)));
            let bin = &mut sums[at];
            bin.answers += 1;
            bin.weight += weight;
            bin.confidence += weight * confidence;
            bin.right += weight * right;
            brier += weight * (confidence - right).powi(2);
        }
        let bin = |(at, sums): (usize, &Sums)| {
            (sums.answers > 0).then(|| ReliabilityBin {
                from: at as f64 / BINS as f64,
                to: (at + 1) as f64 / BINS as f64,
                answers: sums.answers,
                weight: sums.weight,
                confidence: sums.confidence / sums.weight,
                right: sums.right / sums.weight,
            })
        };
        let bins: Vec<ReliabilityBin> = sums.iter().enumerate().filter_map(bin).collect();
        let distance = |bin: &ReliabilityBin| bin.weight * (bin.confidence - bin.right).abs();
        Some(Reliability {
            expected_calibration_error: bins.iter().map(distance).sum(),
            brier,
            answers: answers.len(),
            bins,
        })
    }
}

/// What each answer weighs, of 1 in all; half of it for people and half for strangers if there are
/// both. `None` without answers.
fn weights(answers: &[Answered]) -> Option<impl Fn(&Answered) -> f64> {
    let mated = answers.iter().filter(|answer| answer.is_mated).count();
    let strangers = answers.len() - mated;
    let kinds = usize::from(mated > 0) + usize::from(strangers > 0);
    let of = move |count: usize| 1.0 / (kinds as f64 * count as f64);
    (kinds > 0).then_some(move |answer: &Answered| match answer.is_mated {
        true => of(mated),
        false => of(strangers),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many answers to people, of whom each of `wrong` is another.
    fn answers(confidence: f64, count: usize, wrong: usize) -> Vec<Answered> {
        let answer = |at: usize| Answered {
            confidence,
            is_right: !at.is_multiple_of(wrong),
            is_mated: true,
        };
        (0..count).map(answer).collect()
    }

    #[test]
    fn who_says_what_is_true_has_no_error() {
        let honest = answers(0.75, 100, 4);
        let reliability = Reliability::of(&honest).unwrap();
        assert!(
            reliability.expected_calibration_error < 1e-12,
            "{reliability:?}"
        );
        assert!((reliability.brier - 0.1875).abs() < 1e-12);
        let boastful = answers(0.95, 100, 2);
        let reliability = Reliability::of(&boastful).unwrap();
        assert!((reliability.expected_calibration_error - 0.45).abs() < 1e-12);
        let mixed = Reliability::of(&[honest, boastful].concat()).unwrap();
        assert!((mixed.expected_calibration_error - 0.225).abs() < 1e-12);
        assert_eq!(mixed.bins.len(), 2);
        let sure = |confidence, is_right| Answered {
            confidence,
            is_right,
            is_mated: is_right,
        };
        let right = Reliability::of(&[sure(1.0, true), sure(0.0, false)]).unwrap();
        assert_eq!(right.brier, 0.0);
        assert_eq!(Reliability::of(&[]), None);
    }

    #[test]
    fn people_and_strangers_weigh_alike_however_many_there_are() {
        // Of one confidence are 30 people, all right, and 90 strangers, who never are.
        let people = answers(0.5, 30, 31).into_iter().skip(1);
        let stranger = Answered {
            confidence: 0.5,
            is_right: false,
            is_mated: false,
        };
        let all: Vec<Answered> = people.chain([stranger; 90]).collect();
        let reliability = Reliability::of(&all).unwrap();
        let [bin] = reliability.bins[..] else {
            panic!("{reliability:?}");
        };
        assert_eq!(bin.answers, 119);
        assert!((bin.right - 0.5).abs() < 1e-12 && (bin.weight - 1.0).abs() < 1e-12);
        assert!(reliability.expected_calibration_error < 1e-12);
        assert!((reliability.brier - 0.25).abs() < 1e-12);
    }
}
