//! What comes of many decisions.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rate::Rate;
use crate::liveness::Decision;

/// What a presentation really is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Truth {
    /// A live person.
    Live,
    /// An attack of this kind.
    Attack(String),
}

/// What was shown, and what was said about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Presentation {
    /// Where it came from.
    pub name: String,
    /// What it is.
    pub truth: Truth,
    /// What was said.
    pub outcome: Outcome,
}

/// What was said about a presentation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing, and why.
    NoResponse(String),
    /// Live or not.
    Decided(Decision),
}

/// How often decisions were wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LivenessReport {
    /// The share of live presentations that were refused.
    pub bpcer: Rate,
    /// The share of live presentations without an answer.
    pub bpnrr: Rate,
    /// Why live presentations were refused, by reason.
    pub live_refused: BTreeMap<String, usize>,
    /// The kinds of attack, by name.
    pub attacks: Vec<AttackKind>,
    /// The largest APCER of a kind; `None` without attacks.
    pub apcer_max: Option<f64>,
    /// Where the threshold makes both errors equal; `None` without live presentations or attacks, and
    /// if one error is greater than the other at every threshold.
    pub equal: Option<EqualPoint>,
    /// Both errors as the threshold moves, for a plot.
    #[serde(skip)]
    pub curves: Vec<Curve>,
}

/// How one kind of attack fared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttackKind {
    /// Its name.
    pub kind: String,
    /// The share that passed.
    pub apcer: Rate,
    /// The share without an answer.
    pub apnrr: Rate,
    /// Why the others were refused, by reason.
    pub refused: BTreeMap<String, usize>,
}

/// The thresholds at which the BPCER and the largest APCER are nearest to each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EqualPoint {
    /// The least of these thresholds.
    pub from: f64,
    /// The greatest; often the same.
    pub to: f64,
    /// The one in the middle.
    pub threshold: f64,
    /// The mean of the two errors there: the detection equal error rate, D-EER.
    pub rate: f64,
}

/// An error rate at every threshold from 0 to 1 in steps of [`Curve::STEP`].
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// `BPCER`, or `APCER` with the kind.
    pub name: String,
    /// The rates, with how sure they are.
    pub rates: Vec<Rate>,
}

impl Curve {
    /// How far the thresholds of a curve are apart.
    pub const STEP: f64 = 0.002;

    /// Whether it is of live people.
    pub fn is_live(&self) -> bool {
        self.name == LIVE
    }

    /// How many presentations were decided.
    pub fn total(&self) -> usize {
        self.rates.first().map_or(0, |rate| rate.total)
    }

    fn of(name: String, scores: &[f64], refused: bool) -> Curve {
        let steps = (1.0 / Curve::STEP).round() as usize;
        let rate = |step: usize| {
            let threshold = step as f64 * Curve::STEP;
            let passed = scores
                .iter()
                .filter(|&&s| s > 0.0 && s >= threshold)
                .count();
            let wrong = if refused {
                scores.len() - passed
            } else {
                passed
            };
            Rate::of(wrong, scores.len())
        };
        Curve {
            name,
            rates: (0..=steps).map(rate).collect(),
        }
    }
}

/// The name of the curve of live people.
const LIVE: &str = "BPCER";

/// The presentations of one truth.
#[derive(Default)]
struct Tally {
    scores: Vec<f64>,
    silent: usize,
    passed: usize,
    refused: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        let Outcome::Decided(decision) = outcome else {
            self.silent += 1;
            return;
        };
        // What is refused whatever the threshold has the lowest score there is.
        self.scores.push(decision.parts.score.unwrap_or(0.0));
        if decision.live {
            self.passed += 1;
        } else if let Some(reason) = decision.parts.reason {
            *self.refused.entry(format!("{reason:?}")).or_default() += 1;
        }
    }

    fn non_response(&self) -> Rate {
        Rate::of(self.silent, self.silent + self.scores.len())
    }
}

impl LivenessReport {
    /// Counts.
    pub fn of(presentations: &[Presentation]) -> LivenessReport {
        let mut tallies: BTreeMap<&Truth, Tally> = BTreeMap::new();
        for presentation in presentations {
            tallies
                .entry(&presentation.truth)
                .or_default()
                .add(&presentation.outcome);
        }
        let live = tallies.remove(&Truth::Live).unwrap_or_default();
        let mut curves = Vec::new();
        if !live.scores.is_empty() {
            curves.push(Curve::of(LIVE.to_owned(), &live.scores, true));
        }
        let mut attacks = Vec::new();
        for (truth, tally) in tallies {
            let Truth::Attack(kind) = truth else { continue };
            if !tally.scores.is_empty() {
                curves.push(Curve::of(format!("APCER {kind}"), &tally.scores, false));
            }
            attacks.push(AttackKind {
                kind: kind.clone(),
                apcer: Rate::of(tally.passed, tally.scores.len()),
                apnrr: tally.non_response(),
                refused: tally.refused,
            });
        }
        LivenessReport {
            bpcer: Rate::of(live.scores.len() - live.passed, live.scores.len()),
            bpnrr: live.non_response(),
            live_refused: live.refused,
            apcer_max: attacks.iter().map(|a| a.apcer.rate).reduce(f64::max),
            attacks,
            equal: equal_point(&curves),
            curves,
        }
    }
}

fn equal_point(curves: &[Curve]) -> Option<EqualPoint> {
    let (live, attacks): (Vec<&Curve>, Vec<&Curve>) =
        curves.iter().partition(|curve| curve.is_live());
    let (live, _) = (live.first()?, attacks.first()?);
    let rates = live.rates.iter().enumerate().map(|(step, bpcer)| {
        let apcers = attacks.iter().map(|attack| attack.rates[step].rate);
        (bpcer.rate, apcers.fold(0.0, f64::max))
    });
    let rates: Vec<(f64, f64)> = rates.collect();
    // As the threshold rises, the BPCER rises and the APCER falls: unless they begin and end on
    // either side of each other, they never meet.
    let ((first_bpcer, first_apcer), (last_bpcer, last_apcer)) = (*rates.first()?, *rates.last()?);
    if first_bpcer > first_apcer || last_bpcer < last_apcer {
        return None;
    }
    // Of thresholds that are equally good those with fewer errors.
    let apart = |(bpcer, apcer): &(f64, f64)| (bpcer - apcer).abs();
    let sum = |(bpcer, apcer): &(f64, f64)| bpcer + apcer;
    let better = |a: &(f64, f64), b: &(f64, f64)| {
        let nearer = apart(a).total_cmp(&apart(b));
        nearer.then(sum(a).total_cmp(&sum(b)))
    };
    let best = rates.iter().copied().min_by(better)?;
    let is_best = |pair: &(f64, f64)| better(pair, &best).is_eq();
    let from = rates.iter().position(is_best)? as f64 * Curve::STEP;
    let to = rates.iter().rposition(is_best)? as f64 * Curve::STEP;
    Some(EqualPoint {
        from,
        to,
        threshold: f64::midpoint(from, to),
        rate: f64::midpoint(best.0, best.1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::liveness::{LivenessFailure, Parts, Reason};

    fn shown(truth: &Truth, score: Option<f64>, live: bool) -> Presentation {
        let outcome = match score {
            None => Outcome::NoResponse("no face".to_owned()),
            Some(score) => Outcome::Decided(Decision {
                live,
                failure: (!live).then_some(LivenessFailure::LiveDetectionFailed),
                parts: Parts {
                    score: Some(score),
                    reason: (!live).then_some(Reason::Texture),
                    ..Parts::default()
                },
            }),
        };
        Presentation {
            name: String::new(),
            truth: truth.clone(),
            outcome,
        }
    }

    #[test]
    fn each_kind_is_counted_apart_and_the_worst_is_the_maximum() {
        let attack = |kind: &str| Truth::Attack(kind.to_owned());
        let mut all = Vec::new();
        for score in [0.9, 0.8, 0.7, 0.3] {
            all.push(shown(&Truth::Live, Some(score), score >= 0.5));
        }
        all.push(shown(&Truth::Live, None, false));
        for score in [0.6, 0.1] {
            all.push(shown(&attack("print"), Some(score), score >= 0.5));
        }
        for score in [0.2, 0.1, 0.1] {
            all.push(shown(&attack("screen"), Some(score), false));
        }
        let report = LivenessReport::of(&all);
        assert_eq!((report.bpcer.count, report.bpcer.total), (1, 4));
        assert_eq!((report.bpnrr.count, report.bpnrr.total), (1, 5));
        assert_eq!(report.live_refused["Texture"], 1);
        let kinds: Vec<_> = report
            .attacks
            .iter()
            .map(|a| (&*a.kind, a.apcer.rate))
            .collect();
        assert_eq!(kinds, [("print", 0.5), ("screen", 0.0)]);
        assert_eq!(report.apcer_max, Some(0.5));
        // Between 0.3 and 0.6 a quarter of the live and half of the prints are wrong; above 0.6 the
        // prints are right.
        let equal = report.equal.unwrap();
        assert!((equal.rate - 0.125).abs() < 1e-9, "{equal:?}");
        assert!((0.6..0.7).contains(&equal.threshold), "{equal:?}");
    }

    #[test]
    fn what_no_threshold_lets_pass_passes_at_none() {
        let curve = Curve::of(String::new(), &[0.0, 1.0], false);
        assert_eq!((curve.rates[0].rate, curve.rates[500].rate), (0.5, 0.5));
        assert_eq!((curve.rates[0].count, curve.total()), (1, 2));
    }

    /// The equal point of live people and attacks with these scores; 0 is refused in any case.
    fn equal(live: &[f64], attacks: &[f64]) -> Option<EqualPoint> {
        let attack = Truth::Attack("print".to_owned());
        let live = live
            .iter()
            .map(|&score| shown(&Truth::Live, Some(score), true));
        let attacks = attacks
            .iter()
            .map(|&score| shown(&attack, Some(score), true));
        LivenessReport::of(&live.chain(attacks).collect::<Vec<_>>()).equal
    }

    #[test]
    fn errors_are_equal_in_a_range_or_never() {
        let near = |found: f64, expected: f64| (found - expected).abs() < 1.5 * Curve::STEP;
        // One attack that no threshold lets pass: nothing is wrong up to the least live score.
        let found = equal(&[0.7, 0.9], &[0.0]).unwrap();
        assert_eq!((found.from, found.rate), (0.0, 0.0));
        assert!(
            near(found.to, 0.7) && near(found.threshold, 0.35),
            "{found:?}"
        );
        // Apart: nothing is wrong between them.
        let found = equal(&[0.7, 0.9], &[0.1, 0.3]).unwrap();
        assert!(
            near(found.from, 0.3) && near(found.to, 0.7) && found.rate == 0.0,
            "{found:?}"
        );
        // The wrong way round: everything is wrong between them.
        let found = equal(&[0.2], &[0.8]).unwrap();
        assert!(
            near(found.from, 0.2) && near(found.to, 0.8) && found.rate == 1.0,
            "{found:?}"
        );
        // Somebody is refused at every threshold, and no attack passes at any.
        assert_eq!(equal(&[0.0, 0.9], &[0.0]), None);
        assert_eq!(equal(&[0.0, 0.0], &[0.0, 0.0]), None);
        // An attack passes at every threshold, and everybody live does.
        assert_eq!(equal(&[1.0], &[1.0]), None);
        assert_eq!(equal(&[0.5], &[]), None);
        assert_eq!(equal(&[], &[0.5]), None);
    }

    #[test]
    fn nothing_shown_gives_no_figures() {
        let report = LivenessReport::of(&[]);
        assert_eq!((report.apcer_max, report.equal), (None, None));
        assert_eq!(report.bpcer.high, 1.0);
    }
}
