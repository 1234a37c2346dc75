//! The decisions about one picture and about several.

use std::cmp::Ordering;

use super::decision::{Decision, LivenessFailure, Motion, Parts, Reason, SamplePart};
use super::observation::Observation;
use super::parallax::parallax;
use super::thresholds::Thresholds;

/// Whether one picture is of a live person, by its texture alone.
///
/// Its score is the lower of the passive score and of how natural its colours are: screens that the
/// network takes for live have coloured fringes. Refused with [`LivenessFailure::LiveDetectionFailed`] if
/// that is below [`Thresholds::passive_score_min`].
pub fn passive(observation: &Observation, thresholds: &Thresholds) -> Decision {
    let score = f64::from(observation.passive_score);
    let natural = natural(observation.fringes, PassiveLogits::of(&[observation]));
    // Not `min`, which would lose NaN.
    let score = if score <= natural { score } else { natural };
    let mut parts = Parts {
        score: Some(score),
        samples: describe(&[observation]),
        ..Parts::default()
    };
    // Written so that NaN is refused.
    if score >= thresholds.passive_score_min {
        return Decision::live(parts);
    }
    parts.samples[0].fault = Some(Reason::Texture);
    Decision::refused(LivenessFailure::LiveDetectionFailed, Reason::Texture, parts)
}

/// Whether several pictures are of one live person whose head moves.
///
/// In this order:
///
/// 1. None is [`LivenessFailure::NotEnoughSamples`]; one can never pass.
/// 2. All must show one person: every two have a similarity of at least
///    [`Thresholds::similarity_min`].
/// 3. Not all may be one picture: two have a correlation below
///    [`Thresholds::same_picture_correlation`]. A head that returns to where it was looks as it
///    did, so pairs beyond that are left out and not held against the others.
/// 4. Two of the others must differ by a turn of at least [`Thresholds::turn_degrees_min`].
/// 5. Of those that do, the pair with the best score must reach [`Thresholds::active_score_min`].
///    The score is the weaker of how solid what moved is, by parallax and the likeness of fine
///    detail, and how natural its texture is, by coloured fringes and the passive scores. It is 0 if
///    any one picture is surely an attack. `docs/liveness.md` has the formula.
///
/// All failures but the first are [`LivenessFailure::LiveDetectionFailed`], with a [`Reason`] of their own.
pub fn active(observations: &[&Observation], thresholds: &Thresholds) -> Decision {
    let mut parts = Parts {
        samples: describe(observations),
        ..Parts::default()
    };
    match observations {
        [] => {
            return Decision::refused(LivenessFailure::NotEnoughSamples, Reason::NoSamples, parts);
        }
        [_] => return refuse(Reason::OneSample, &[0], parts),
        _ => {}
    }
    let pairs: Vec<(usize, usize)> = (1..observations.len())
        .flat_map(|second| (0..second).map(move |first| (first, second)))
        .collect();
    let similarity =
        |&(first, second): &(usize, usize)| observations[first].similarity(observations[second]);
    let similarities: Vec<f64> = pairs.iter().map(similarity).collect();
    parts.similarity = similarities.iter().copied().reduce(f64::min);
    let stranger = similarities
        .iter()
        .position(|&similarity| similarity < thresholds.similarity_min);
    if let Some(at) = stranger {
        let (first, second) = pairs[at];
        return refuse(Reason::DifferentPeople, &[first, second], parts);
    }

    let motions: Vec<Motion> = pairs
        .iter()
        .filter(|&&(_, second)| second < COMPARED_SAMPLES_MAX)
        .map(|&(first, second)| motion(observations, first, second))
        .collect();
    let all: Vec<usize> = (0..observations.len()).collect();
    parts.motion = motions.iter().copied().max_by(shows_more);
    let differing: Vec<Motion> = motions
        .into_iter()
        .filter(|motion| motion.correlation < thresholds.same_picture_correlation)
        .collect();
    let Some(best) = differing.iter().copied().max_by(shows_more) else {
        return refuse(Reason::SamePicture, &all, parts);
    };
    parts.motion = Some(best);
    let moved = differing
        .into_iter()
        .filter(|motion| motion.turn >= thresholds.turn_degrees_min)
        .max_by(shows_more);
    let Some(best) = moved else {
        return refuse(Reason::NoMotion, &all, parts);
    };
    parts.motion = Some(best);
    parts.score = Some(best.score);
    if best.score >= thresholds.active_score_min {
        return Decision::live(parts);
    }
    let attacks: Vec<usize> = all
        .into_iter()
        .filter(|&at| is_surely_an_attack(observations[at]))
        .collect();
    if !attacks.is_empty() {
        return refuse(Reason::Texture, &attacks, parts);
    }
    let both = [best.first, best.second];
    let logits = PassiveLogits::of_pair(observations, best.first, best.second);
    if natural(best.fringes, logits) < thresholds.active_score_min {
        refuse(Reason::Texture, &both, parts)
    } else if best.turn < CLEAR_TURN_DEGREES {
        refuse(Reason::NoMotion, &both, parts)
    } else {
        refuse(Reason::FlatMotion, &both, parts)
    }
}

/// Of so many samples every two are compared, which takes some milliseconds a pair. Known clients
/// send eight at most; whoever sends more must not get more chances for it.
const COMPARED_SAMPLES_MAX: usize = 8;

/// Whoever turned less than this and is not seen to be solid is told to move more, and not to be
/// flat: `fr_pose` errs by some degrees, and it is the likelier cause.
const CLEAR_TURN_DEGREES: f64 = 4.0;

/// By the score, which is that of the fringes for all pairs that are solid enough, and then by the
/// turn.
fn shows_more(a: &Motion, b: &Motion) -> Ordering {
    let turn = a.turn.total_cmp(&b.turn);
    a.score.total_cmp(&b.score).then(turn)
}

fn refuse(reason: Reason, samples: &[usize], mut parts: Parts) -> Decision {
    for &sample in samples {
        parts.samples[sample].fault = Some(reason);
    }
    Decision::refused(LivenessFailure::LiveDetectionFailed, reason, parts)
}

pub(super) fn describe(observations: &[&Observation]) -> Vec<SamplePart> {
    observations
        .iter()
        .map(|observation| SamplePart {
            passive_score: observation.passive_score,
            yaw: observation.pose.yaw,
            pitch: observation.pose.pitch,
            fault: None,
        })
        .collect()
}

fn motion(observations: &[&Observation], first: usize, second: usize) -> Motion {
    let (a, b) = (observations[first], observations[second]);
    let logits = PassiveLogits::of_pair(observations, first, second);
    let likeness = a.thumbnail.likeness(&b.thumbnail);
    let mut motion = Motion {
        first,
        second,
        turn: f64::from(a.pose.turn(&b.pose)),
        parallax: parallax(a.landmarks(), b.landmarks()),
        correlation: likeness.light,
        detail: likeness.detail,
        passive: logistic(logits.mean),
        fringes: a.fringes.max(b.fringes),
        score: 0.0,
    };
    if !observations.iter().any(|seen| is_surely_an_attack(seen)) {
        motion.score = score(&motion, logits);
    }
    motion
}

/// Whether the passive network all but excludes that this picture shows a live person. One picture
/// that looks live must not buy off such a one: of two photos of one print, a network that is
/// unsure of neither may take one for live and not the other.
///
/// Of a picture without colour the network is never sure: it misses what it knows skin by, and gives
/// some of live people less than 0.02. Classic clients send such pictures.
fn is_surely_an_attack(observation: &Observation) -> bool {
    let share = f64::from(observation.passive_score);
    let has_colour = observation.fringes >= COLOUR_MIN;
    share.is_nan() || has_colour && share < PICTURE_PASSIVE_MIN
}

// Fitted by ridge logistic regression, both classes weighing the same, and lowered by 0.7, which
// costs few live pairs; `docs/liveness.md` says on whom. Live pairs, also of heads that turned by
// 3.5 to 6 degrees only, against everything flat. The passive score has no part in it: the fit gives
// it no weight, and by one of its own it refused small movements before poor webcams.
const SOLID_START: f64 = 14.0;
const SOLID_PARALLAX: f64 = 0.84;
const SOLID_DIFFERENCE: f64 = 3.93;
/// Beyond these, measures are noise.
const PARALLAX_MIN: f64 = 0.005;
const DIFFERENCE_MIN: f64 = 0.005;
/// A head that turns may differ by more, and is no more solid for that.
const DIFFERENCE_MAX: f64 = 0.3;

// Live pairs against screens, and against two prints of two frames of a video: what moves as a head
// does. Fitted likewise.
const NATURAL_START: f64 = 3.31;
const NATURAL_FRINGES: f64 = -11.83;
const NATURAL_MEAN: f64 = 0.47;
const NATURAL_LEAST: f64 = 0.34;

/// The least passive score of each picture. `docs/liveness.md` has what of live people and of
/// attacks it refuses.
const PICTURE_PASSIVE_MIN: f64 = 0.05;
/// Fringes of pictures in colour are 0.1 and more, and of others nothing but rounding.
const COLOUR_MIN: f64 = 1e-3;

/// All measures together: the weaker of how solid what moved is, and how natural its texture is. A
/// sum would let a replay on a screen, which moves as a head does, make up for its fringes.
fn score(motion: &Motion, passive: PassiveLogits) -> f64 {
    solid(motion).min(natural(motion.fringes, passive))
}

/// A flat thing that is waved has little parallax, and one look is a map of the other.
fn solid(motion: &Motion) -> f64 {
    let difference = (1.0 - motion.detail).clamp(DIFFERENCE_MIN, DIFFERENCE_MAX);
    logistic(
        SOLID_START
            + SOLID_PARALLAX * motion.parallax.max(PARALLAX_MIN).ln()
            + SOLID_DIFFERENCE * difference.ln(),
    )
}

/// A screen has coloured fringes. So have some cameras, whose pictures the passive network knows
/// for live.
fn natural(fringes: f64, passive: PassiveLogits) -> f64 {
    logistic(
        NATURAL_START
            + NATURAL_FRINGES * fringes
            + NATURAL_MEAN * passive.mean
            + NATURAL_LEAST * passive.least,
    )
}

/// What passive scores say as logits, ln(p / (1 - p)), each between -4.6 and 4.6: one picture that
/// is certain must not outweigh all others.
#[derive(Clone, Copy)]
struct PassiveLogits {
    mean: f64,
    least: f64,
}

impl PassiveLogits {
    fn of(observations: &[&Observation]) -> PassiveLogits {
        let logits = observations.iter().map(|observation| {
            let share = f64::from(observation.passive_score).clamp(0.01, 0.99);
            (share / (1.0 - share)).ln()
        });
        let least = logits.clone().fold(f64::INFINITY, |least, logit| {
            // Not `min`, which would lose NaN.
            if logit >= least { least } else { logit }
        });
        PassiveLogits {
            mean: logits.sum::<f64>() / observations.len() as f64,
            least,
        }
    }

    /// Of a pair. In the mean those of all samples count, so that one of many that looks wrong is
    /// not passed over; but no more than the pair's own, so that more pictures of a photo do not
    /// speak for the pair.
    fn of_pair(observations: &[&Observation], first: usize, second: usize) -> PassiveLogits {
        let pair = PassiveLogits::of(&[observations[first], observations[second]]);
        PassiveLogits {
            mean: PassiveLogits::of(observations).mean.min(pair.mean),
            least: pair.least,
        }
    }
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::super::observation::tests::sample;
    use super::*;

    const USUAL: f32 = 0.97;

    fn decide(samples: &[Observation]) -> Decision {
        let all: Vec<&Observation> = samples.iter().collect();
        active(&all, &Thresholds::default())
    }

    fn assert_refused(decision: &Decision, reason: Reason) {
        assert!(!decision.live);
        assert_eq!(decision.parts.reason, Some(reason), "{decision:?}");
        let failure = match reason {
            Reason::NoSamples => LivenessFailure::NotEnoughSamples,
            _ => LivenessFailure::LiveDetectionFailed,
        };
        assert_eq!(decision.failure, Some(failure));
    }

    #[test]
    fn a_picture_passes_by_its_passive_score() {
        let thresholds = Thresholds {
            passive_score_min: 0.6,
            ..Thresholds::default()
        };
        for (score, live) in [(0.6, true), (0.59, false), (f32::NAN, false)] {
            let decision = passive(&sample(0, 1.0, 0.0, 0.0, score), &thresholds);
            assert_eq!(decision.live, live, "{score}");
            assert_eq!(decision.failure.is_none(), live);
            assert_eq!(decision.parts.samples[0].fault.is_none(), live);
        }
    }

    #[test]
    fn a_picture_with_fringes_does_not_pass_however_live_it_looks() {
        let on_screen = Observation {
            fringes: 0.7,
            ..sample(0, 1.0, 0.0, 0.0, 1.0)
        };
        let decision = passive(&on_screen, &Thresholds::default());
        assert!(decision.parts.score.unwrap() < 0.5);
        assert_refused(&decision, Reason::Texture);
    }

    #[test]
    fn none_are_not_enough_and_one_never_passes() {
        assert_refused(&decide(&[]), Reason::NoSamples);
        assert_refused(&decide(&[sample(0, 1.0, 0.0, 0.0, 1.0)]), Reason::OneSample);
    }

    #[test]
    fn a_head_that_turns_passes() {
        for (yaw, pitch) in [(6.0, 0.0), (-6.0, 0.0), (0.0, 8.0), (20.0, 5.0)] {
            let decision = decide(&[
                sample(0, 1.0, 0.0, 0.0, USUAL),
                sample(0, 1.0, yaw, pitch, USUAL),
            ]);
            assert!(decision.live, "{yaw} {pitch} {decision:?}");
            assert_eq!(decision.failure, None);
        }
    }

    #[test]
    fn a_photo_that_turns_does_not() {
        for (turn, passive, reason) in [
            (10.0, 0.1, Reason::Texture),
            (10.0, 0.97, Reason::FlatMotion),
            (3.0, 0.97, Reason::NoMotion),
        ] {
            // The scene is made to differ a little, so that it is not taken for the same picture.
            let decision = decide(&[
                sample(0, 0.0, 0.0, 0.0, passive),
                Observation {
                    thumbnail: sample(0, 1.0, 2.5, 0.0, USUAL).thumbnail,
                    ..sample(0, 0.0, turn, 0.0, passive)
                },
            ]);
            assert_refused(&decision, reason);
        }
    }

    #[test]
    fn a_replay_on_a_screen_does_not_pass_however_it_moves() {
        let on_screen = |yaw| Observation {
            fringes: 0.7,
            ..sample(0, 1.0, yaw, 0.0, 0.99)
        };
        let decision = decide(&[on_screen(0.0), on_screen(15.0)]);
        assert_refused(&decision, Reason::Texture);
    }

    #[test]
    fn two_people_do_not_pass() {
        let decision = decide(&[
            sample(0, 1.0, 0.0, 0.0, USUAL),
            sample(0, 1.0, 9.0, 0.0, USUAL),
            sample(1, 1.0, 9.0, 4.0, USUAL),
        ]);
        assert_refused(&decision, Reason::DifferentPeople);
    }

    #[test]
    fn one_picture_however_often_does_not_pass() {
        let one = sample(0, 1.0, 0.0, 0.0, 1.0);
        assert_refused(&decide(&[one.clone(), one.clone()]), Reason::SamePicture);
        let thrice = [one.clone(), one.clone(), one];
        let decision = decide(&thrice);
        assert_refused(&decision, Reason::SamePicture);
        let faults = decision.parts.samples.iter();
        assert!(faults.clone().all(|s| s.fault == Some(Reason::SamePicture)));
    }

    #[test]
    fn a_head_that_returns_to_where_it_was_passes_by_its_way() {
        let there = sample(0, 1.0, 0.0, 0.0, USUAL);
        let turned = sample(0, 1.0, 12.0, 0.0, USUAL);
        let decision = decide(&[there.clone(), turned, there]);
        assert!(decision.live, "{decision:?}");
        let motion = decision.parts.motion.unwrap();
        assert!(motion.first == 1 || motion.second == 1);
    }

    #[test]
    fn pictures_that_look_live_do_not_speak_for_a_pair_that_does_not() {
        let screen = |yaw| Observation {
            fringes: 0.43,
            ..sample(0, 1.0, yaw, 0.0, 0.3)
        };
        let still = || Observation {
            fringes: 0.43,
            ..sample(0, 1.0, 0.0, 0.0, 0.999)
        };
        let pair = [screen(0.0), screen(12.0)];
        assert_refused(&decide(&pair), Reason::Texture);
        let [first, second] = pair;
        let alone = decide(&[first.clone(), second.clone()])
            .parts
            .score
            .unwrap();
        let more = [first, second, still(), still(), still()];
        let all: Vec<&Observation> = more.iter().collect();
        let with = motion(&all, 0, 1).score;
        assert!(with <= alone, "{with} {alone}");
    }

    #[test]
    fn no_picture_may_be_surely_an_attack_however_live_the_others_look() {
        let look = |passive, yaw| Observation {
            fringes: 0.1,
            ..sample(0, 1.0, yaw, 0.0, passive)
        };
        // All measures together would do.
        let unsure = decide(&[look(0.06, 0.0), look(0.99, 12.0)]);
        assert!(unsure.live, "{unsure:?}");
        for surely in [0.049, 0.003, 0.0, f32::NAN] {
            let pair = decide(&[look(surely, 0.0), look(0.99, 12.0)]);
            assert_refused(&pair, Reason::Texture);
            assert_eq!(pair.parts.score, Some(0.0));
            let faults: Vec<_> = pair.parts.samples.iter().map(|s| s.fault).collect();
            assert_eq!(faults, [Some(Reason::Texture), None]);
            // Nor does a third that makes a good pair with the second.
            let three = decide(&[look(0.99, 0.0), look(0.99, 12.0), look(surely, -12.0)]);
            assert_refused(&three, Reason::Texture);
        }
        // Without colour the network is not that sure.
        let grey = |passive, yaw| Observation {
            fringes: 1e-7,
            ..look(passive, yaw)
        };
        let live = decide(&[grey(0.02, 0.0), grey(0.85, 12.0)]);
        assert!(live.live, "{live:?}");
        assert_refused(
            &decide(&[grey(f32::NAN, 0.0), grey(0.85, 12.0)]),
            Reason::Texture,
        );
    }

    #[test]
    fn a_head_that_keeps_still_has_no_motion() {
        let still = Thresholds {
            same_picture_correlation: 1.0,
            ..Thresholds::default()
        };
        let samples = [sample(0, 1.0, 0.0, 0.0, 1.0), sample(0, 1.0, 1.0, 0.5, 1.0)];
        let decision = active(&samples.each_ref(), &still);
        assert_refused(&decision, Reason::NoMotion);
        assert!(
            decision
                .parts
                .samples
                .iter()
                .all(|s| s.fault == Some(Reason::NoMotion))
        );
    }

    #[test]
    fn the_pair_that_shows_most_counts() {
        let decision = decide(&[
            sample(0, 1.0, 0.0, 0.0, USUAL),
            sample(0, 1.0, 4.0, 0.0, USUAL),
            sample(0, 1.0, 18.0, 0.0, USUAL),
        ]);
        let motion = decision.parts.motion.unwrap();
        assert!(decision.live);
        assert_eq!((motion.first, motion.second), (0, 2));
        assert_eq!(decision.parts.score, Some(motion.score));
    }
}
