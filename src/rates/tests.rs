//! What is said holds: of scores whose distribution is known.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::types::{ClassId, EncoderId, Match, Timestamp};

const PEOPLE: usize = 400;

/// Of an exponential distribution, shrunk so that scores stay below 1.
fn exponential(random: &mut StdRng) -> f64 {
    -0.04 * random.random_range(f64::MIN_POSITIVE..1.0_f64).ln()
}

/// What is found in a gallery whose scores are independent, and alike from both sides; `related`
/// changes what two of these people reach.
fn observed(
    seed: u64,
    related: impl Fn(usize, usize) -> Option<f64>,
) -> (Vec<Stranger>, Vec<Comparison>) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut found = vec![Vec::new(); PEOPLE];
    let mut comparisons = Vec::new();
    for one in 0..PEOPLE {
        for other in 0..one {
            let similarity = related(other, one).unwrap_or_else(|| exponential(&mut random));
            for (from, to) in [(one, other), (other, one)] {
                found[from].push(Match {
                    class: ClassId(to as i64),
                    similarity,
                });
            }
            let (probe, other) = (ClassId(one as i64), ClassId(other as i64));
            comparisons.push(Comparison {
                probe,
                other,
                similarity,
            });
        }
    }
    let stranger = |(class, mut best): (usize, Vec<Match>)| {
        best.sort_by(Match::rank_order);
        best.truncate(16);
        Stranger {
            class: ClassId(class as i64),
            best,
        }
    };
    (
        found.into_iter().enumerate().map(stranger).collect(),
        comparisons,
    )
}

fn calibration(strangers: &[Stranger], comparisons: &[Comparison], mated: &[f64]) -> Calibration {
    let observed = Observations {
        encoder: &EncoderId::new("test", "1", 16).unwrap(),
        classes: PEOPLE,
        templates: PEOPLE,
        seed: 1,
        now: Timestamp::from_unix_seconds(1),
        strangers,
        comparisons,
        mated,
        shipped: None,
    };
    Calibration::of(&observed, &|_, _| false).unwrap()
}

fn usual(seed: u64) -> Calibration {
    let (strangers, comparisons) = observed(seed, |_, _| None);
    calibration(&strangers, &comparisons, &[])
}

fn target(rate: f64) -> TargetRate {
    TargetRate::new(rate).unwrap()
}

/// The share of strangers that reach a similarity with one of `people`.
fn truth(similarity: f64, people: usize) -> f64 {
    let single = (-similarity / 0.04).exp();
    1.0 - (1.0 - single).powf(people as f64)
}

#[test]
fn rates_lie_within_what_was_said_nearly_always() {
    const RUNS: u64 = 40;
    const RATES: [f64; 5] = [0.1, 0.03, 0.01, 0.003, 0.001];
    let mut inside = [(0, 0); RATES.len()];
    for seed in 0..RUNS {
        let calibration = usual(seed);
        for (rate, inside) in RATES.iter().zip(&mut inside) {
            let found = calibration.threshold(target(*rate), PEOPLE);
            let highest = truth(found.similarity, PEOPLE - 1);
            inside.0 += u64::from((found.low..=found.high).contains(&highest));
            let found = calibration.verification_threshold(target(*rate));
            let single = truth(found.similarity, 1);
            inside.1 += u64::from((found.low..=found.high).contains(&single));
        }
    }
    // 37 of 40 are 93 of 100, about.
    let is_enough = |(highest, single): &(u64, u64)| *highest >= 37 && *single >= 37;
    assert!(inside.iter().all(is_enough), "{inside:?} of {RUNS}");
}

#[test]
fn three_thousand_people_show_one_stranger_in_a_thousand() {
    let mut random = StdRng::seed_from_u64(2);
    let mut told = |people: usize| {
        let strangers: Vec<Stranger> = (0..people)
            .map(|class| Stranger {
                class: ClassId(class as i64),
                best: vec![Match {
                    class: ClassId((class as i64 + 1) % people as i64),
                    similarity: exponential(&mut random),
                }],
            })
            .collect();
        let comparisons: Vec<Comparison> = (0..20 * people)
            .map(|at| Comparison {
                probe: ClassId((at % people) as i64),
                other: ClassId(((at % people + 1 + at / people) % people) as i64),
                similarity: exponential(&mut random),
            })
            .collect();
        let observed = Observations {
            encoder: &EncoderId::new("test", "1", 16).unwrap(),
            classes: people,
            templates: people,
            seed: 1,
            now: Timestamp::from_unix_seconds(1),
            strangers: &strangers,
            comparisons: &comparisons,
            mated: &[],
            shipped: None,
        };
        let calibration = Calibration::of(&observed, &|_, _| false).unwrap();
        calibration.threshold(target(0.001), people).extrapolated
    };
    assert!(!told(3_000), "which is the number that is asked for");
    assert!(told(2_900));
}

#[test]
fn families_are_not_taken_for_chance() {
    // Every tenth person has a brother among the next ten.
    let brothers = |one: usize, other: usize| {
        (one.is_multiple_of(10) && other == one + 1).then_some(0.35 + 0.001 * (one % 97) as f64)
    };
    let (strangers, comparisons) = observed(1, brothers);
    let calibration = calibration(&strangers, &comparisons, &[]);
    // 80 of 400 have one, and no stranger that is no brother comes near.
    let found = calibration.fpir(0.36, PEOPLE);
    assert!((found.rate - 0.2).abs() < 0.03, "{found:?}");
    let (few, many) = (calibration.fpir(0.4, 40), calibration.fpir(0.4, 4_000));
    let here = calibration.fpir(0.4, PEOPLE);
    assert!(
        few.rate < here.rate && here.rate < many.rate,
        "{few:?} {here:?} {many:?}"
    );
    assert!(
        many.low <= here.rate,
        "who has brothers has no more of them: {many:?}"
    );
}

#[test]
fn a_tail_is_that_of_the_distribution() {
    for shape in [-0.25, 0.0, 0.25] {
        let mut random = StdRng::seed_from_u64(9);
        let scores: Vec<f64> = (0..20_000)
            .map(|_| {
                let step = -random.random_range(f64::MIN_POSITIVE..1.0_f64).ln();
                0.2 + 0.05
                    * if shape == 0.0 {
                        step
                    } else {
                        (shape * step).exp_m1() / shape
                    }
            })
            .collect();
        let curve = Curve::of(&scores).unwrap();
        let tail = curve.tail();
        assert!((tail.shape - shape).abs() < 0.1, "{shape}: {tail:?}");
        assert!(tail.p_value > 0.01, "{tail:?}");
        let expected = |rate: f64| match shape == 0.0 {
            true => 0.2 - 0.05 * rate.ln(),
            false => 0.2 + 0.05 * (rate.powf(-shape) - 1.0) / shape,
        };
        for rate in [0.5, 0.1, 0.01, 0.001] {
            let level = curve.at(expected(rate));
            assert!(
                (level.low..=level.high).contains(&rate),
                "{shape} {rate}: {level:?}"
            );
            assert!(
                (0.5..2.0).contains(&(level.rate / rate)),
                "{shape} {rate}: {level:?}"
            );
        }
    }
}

#[test]
fn what_is_no_pareto_tail_gets_a_low_p_value() {
    // Two kinds of strangers, of whom the second come in the middle of the tail.
    let mut random = StdRng::seed_from_u64(2);
    let mut scores: Vec<f64> = (0..10_000).map(|_| exponential(&mut random)).collect();
    scores.extend((0..400).map(|at| 0.8 + 1e-4 * f64::from(at)));
    let curve = Curve::of(&scores).unwrap();
    let counted = curve.at(0.7);
    assert!((counted.rate - 0.0385).abs() < 0.002, "{counted:?}");
    assert!(curve.tail().exceedances < 1_000, "{:?}", curve.tail());
}

#[test]
fn what_is_no_score_is_refused() {
    let few = Curve::of(&[0.5; 9]).unwrap_err();
    let expected = RatesError::TooFewScores {
        found: 9,
        expected: 10,
    };
    assert_eq!(few, expected);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut scores = vec![0.5; 100];
        scores[7] = bad;
        assert_eq!(Curve::of(&scores).unwrap_err(), RatesError::NotFinite);
    }
    let (strangers, comparisons) = observed(1, |_, _| None);
    let observed = Observations {
        encoder: &EncoderId::new("test", "1", 16).unwrap(),
        classes: 19,
        templates: 19,
        seed: 1,
        now: Timestamp::from_unix_seconds(1),
        strangers: &strangers,
        comparisons: &comparisons,
        mated: &[],
        shipped: None,
    };
    let few = Calibration::of(&observed, &|_, _| false).unwrap_err();
    assert!(
        matches!(few, RatesError::TooFewClasses { found: 19, .. }),
        "{few}"
    );
    let enough = Observations {
        classes: PEOPLE,
        mated: &[0.5, f64::NAN],
        ..observed
    };
    assert!(Calibration::of(&enough, &|_, _| false).is_err());
}

#[test]
fn a_heavy_tail_stays_whole_and_copies_do_not() {
    let copies = |one: usize, other: usize| (other == one + 200 && one < 5).then_some(0.97);
    let (strangers, comparisons) = observed(1, copies);
    let calibration = calibration(&strangers, &comparisons, &[]);
    assert_eq!(calibration.set_aside().len(), 5);
    let usual = usual(1);
    let [with, without] = [&calibration, &usual].map(|it| it.threshold(target(0.01), PEOPLE));
    assert!(
        (with.similarity - without.similarity).abs() < 0.05,
        "{with:?} {without:?}"
    );
    let [with, without] = [&calibration, &usual].map(|it| it.verification_threshold(target(1e-5)));
    assert!(
        (with.similarity - without.similarity).abs() < 0.1,
        "{with:?} {without:?}"
    );
}

#[test]
fn calibrations_come_back_and_hold_no_more_than_numbers() {
    let calibration = usual(3);
    let bytes = calibration.to_bytes();
    let read = Calibration::from_bytes(&bytes).unwrap();
    assert_eq!(
        read.highest().levels().len(),
        calibration.highest().levels().len()
    );
    for rate in [0.5, 0.01, 1e-6] {
        // Text may be off by the last digit.
        let [read, before] = [&read, &calibration].map(|it| it.threshold(target(rate), PEOPLE));
        assert!(
            (read.similarity - before.similarity).abs() < 1e-12,
            "{read:?} {before:?}"
        );
        assert!(
            (read.high / before.high - 1.0).abs() < 1e-9,
            "{read:?} {before:?}"
        );
    }
    assert!(bytes.len() < 100_000, "{}", bytes.len());
    let text = String::from_utf8(bytes).unwrap();
    for bad in [
        text.replacen("\"version\":1", "\"version\":9", 1),
        text.replacen("\"high\":1.0", "\"high\":1.5", 1),
        text[1..].to_owned(),
        format!("{text}x"),
    ] {
        let error = Calibration::from_bytes(bad.as_bytes()).unwrap_err();
        assert!(matches!(error, RatesError::Stored { .. }), "{error}");
    }
}

#[test]
fn strangers_who_are_all_alike_are_kept_to_no_rate() {
    let (strangers, comparisons) = observed(1, |_, _| Some(1.0));
    let alike = calibration(&strangers, &comparisons, &[]);
    for rate in [0.5, 0.1, 0.001] {
        let (one, many) = (
            alike.verification_threshold(target(rate)),
            alike.threshold(target(rate), PEOPLE),
        );
        assert!(!one.keeps(target(rate)) && !many.keeps(target(rate)));
    }
    let refused = KnownEncoder::of(alike).unwrap_err();
    assert!(matches!(refused, RatesError::AllAlike { share, .. } if share == 1.0));
    for rate in [0.5, 0.1, 0.001, 1e-9] {
        let found = usual(1).threshold(target(rate), 1_000);
        assert!(found.keeps(target(rate)), "{found:?}");
    }
    assert!(KnownEncoder::of(usual(1)).is_ok());
}

#[test]
fn an_answer_is_as_sure_as_it_is_right() {
    let mut random = StdRng::seed_from_u64(4);
    let mut own = move || {
        0.55 + 0.12 * (random.random_range(-1.0..1.0_f64) + random.random_range(-1.0..1.0_f64))
    };
    let mated: Vec<f64> = (0..300).map(|_| own()).collect();
    let (strangers, comparisons) = observed(5, |_, _| None);
    let calibration = calibration(&strangers, &comparisons, &mated);
    assert_eq!(calibration.evidence().source(), MatedSource::Measured);
    // As many are enrolled as are not, which is what it takes for granted.
    let mut random = StdRng::seed_from_u64(6);
    let mut bins = [(0.0, 0.0, 0_usize); 10];
    for at in 0..4_000 {
        let mut scores: Vec<(f64, bool)> = (0..PEOPLE - 1)
            .map(|_| (exponential(&mut random), false))
            .collect();
        if at % 2 == 0 {
            scores.push((own(), true));
        }
        scores.sort_by(|a, b| b.0.total_cmp(&a.0));
        let sure = calibration.confidence(scores[0].0, Some(scores[1].0), PEOPLE);
        let bin = &mut bins[((sure * 10.0) as usize).min(9)];
        *bin = (
            bin.0 + sure,
            bin.1 + f64::from(u8::from(scores[0].1)),
            bin.2 + 1,
        );
    }
    let error: f64 = bins
        .iter()
        .map(|(sure, right, _)| (sure - right).abs())
        .sum();
    assert!(error / 4_000.0 <= 0.02, "{} {bins:?}", error / 4_000.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rates_and_confidence_go_the_right_way(
        similarity in -1.0_f64..1.0,
        more in 0.0_f64..0.5,
        second in -1.0_f64..1.0,
        people in 1_usize..5_000_000,
    ) {
        use std::sync::LazyLock;
        static USUAL: LazyLock<Calibration> = LazyLock::new(|| usual(8));
        let (lower, higher) = (USUAL.fpir(similarity, people), USUAL.fpir(similarity + more, people));
        prop_assert!(higher.rate <= lower.rate + 1e-12);
        prop_assert!(USUAL.fpir(similarity, people + 1).rate >= lower.rate - 1e-9);
        for it in [lower, higher, USUAL.fmr(similarity)] {
            prop_assert!(0.0 <= it.low && it.low <= it.rate && it.rate <= it.high && it.high <= 1.0, "{it:?}");
        }
        let second = Some(second.min(similarity));
        let sure = USUAL.confidence(similarity, second, people);
        prop_assert!((0.0..=1.0).contains(&sure));
        prop_assert!(USUAL.confidence(similarity + more, second, people) >= sure - 1e-9);
        prop_assert!(USUAL.confidence(similarity, second, people * 2) <= sure + 1e-9);
        prop_assert!(USUAL.confidence(similarity, None, people) >= sure - 1e-9);
    }

    #[test]
    fn thresholds_keep_their_rate(rate in 1e-9_f64..0.9, people in 1_usize..5_000_000) {
        use std::sync::LazyLock;
        static USUAL: LazyLock<Calibration> = LazyLock::new(|| usual(8));
        let found = USUAL.threshold(target(rate), people);
        prop_assert!(found.similarity <= 1.0);
        prop_assert!(found.fpir <= rate * 1.000_001 || found.similarity == 1.0, "{found:?}");
        let estimate = USUAL.fpir(found.similarity, people);
        prop_assert_eq!((estimate.rate, estimate.low, estimate.high), (found.fpir, found.low, found.high));
    }

    /// Whatever comes, there is an answer, and it is in order.
    #[test]
    fn any_scores_have_a_curve(
        scores in prop::collection::vec(-1.0_f64..1.0, 10..200),
        rounded in any::<bool>(),
    ) {
        let round = |score: &f64| if rounded { (score * 3.0).round() / 3.0 } else { *score };
        let scores: Vec<f64> = scores.iter().map(round).collect();
        let curve = Curve::of(&scores).unwrap();
        prop_assert_eq!(curve.check(), Ok(()));
        for score in &scores {
            let level = curve.at(*score);
            prop_assert!(level.low <= level.rate && level.rate <= level.high);
        }
    }
}
