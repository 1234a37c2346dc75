//! Whether a head moved where it was asked to.

use super::active::describe;
use super::decision::{Decision, LivenessFailure, Movement, Parts, Reason};
use super::observation::Observation;
use super::thresholds::Thresholds;
use crate::types::Direction;

/// The movement asked for must be more than this share of the one across it. A head that looked
/// left and is then to look up comes back to the middle on its way, so that it moves to the right
/// by as much as up.
const DOMINANCE: f64 = 0.5;

/// A sample with what its client says about it.
#[derive(Clone, Copy, Debug)]
pub struct Tagged<'a> {
    /// What was seen.
    pub observation: &'a Observation,
    /// One or several of `up`, `down`, `left` and `right`, of which any will do, or `any`.
    pub tag: Option<&'a str>,
    /// Where the client puts the sample in the order of its samples.
    pub index: Option<i64>,
}

/// Whether the head moved from each sample to the next as the tag of the later one demands, and as
/// `sequence` does, the movements that a token asks for in this try.
///
/// `samples` are in the order in which they came. They are put in the order of their index; of
/// several with one index the newest is taken; those without an index come after the others. The
/// tag of the first is ignored, since browsers leave one of an earlier try there; no tag, `any`,
/// and words that are no direction demand nothing. The movements of `sequence` are demanded of the
/// second sample and those that follow.
///
/// A movement counts if it is at least [`Thresholds::movement_degrees_min`] and more than half of
/// the one across it, and if the later picture is not the earlier one, cut out otherwise. This says
/// nothing about the samples being live: ask [`super::active`] too.
///
/// Refused with [`LivenessFailure::ChallengeResponseFailed`], also if there are fewer samples than
/// movements; with [`LivenessFailure::NotEnoughSamples`] if there are none.
pub fn challenge(
    samples: &[Tagged<'_>],
    sequence: Option<&[Direction]>,
    thresholds: &Thresholds,
) -> Decision {
    let observations: Vec<&Observation> = samples.iter().map(|s| s.observation).collect();
    let mut parts = Parts {
        samples: describe(&observations),
        ..Parts::default()
    };
    if samples.is_empty() {
        return Decision::refused(LivenessFailure::NotEnoughSamples, Reason::NoSamples, parts);
    }
    let order = order(samples);
    let sequence = sequence.unwrap_or_default();
    for (step, pair) in order.windows(2).enumerate() {
        let (before, sample) = (pair[0], pair[1]);
        let tag = directions(samples[sample].tag);
        let token = sequence.get(step).copied();
        let (left, up) = moved(
            observations[before],
            observations[sample],
            thresholds.mirrored,
        );
        let reached = |direction| {
            let (along, across) = match direction {
                Direction::Left => (left, up),
                Direction::Right => (-left, up),
                Direction::Up => (up, left),
                Direction::Down => (-up, left),
            };
            along >= thresholds.movement_degrees_min && along > DOMINANCE * across.abs()
        };
        let (first, second) = (observations[before], observations[sample]);
        let demanded = !tag.is_empty() || token.is_some();
        // The network takes a picture that is cropped otherwise for one of a head that moved.
        let copied = demanded
            && first.thumbnail.correlation(&second.thumbnail)
                >= thresholds.same_picture_correlation;
        let met = !copied
            && (tag.is_empty() || tag.iter().copied().any(reached))
            && token.is_none_or(reached);
        if !met {
            parts.samples[sample].fault = Some(Reason::WrongMovement);
        }
        parts.movements.push(Movement {
            sample,
            tag,
            token,
            left,
            up,
            met,
        });
    }
    let refuse =
        |reason, parts| Decision::refused(LivenessFailure::ChallengeResponseFailed, reason, parts);
    if parts.movements.iter().any(|movement| !movement.met) {
        refuse(Reason::WrongMovement, parts)
    } else if parts.movements.len() < sequence.len() {
        refuse(Reason::MissingMovement, parts)
    } else {
        Decision::live(parts)
    }
}

/// The numbers of the samples in the order in which they are compared.
fn order(samples: &[Tagged<'_>]) -> Vec<usize> {
    let newest = |&at: &usize| {
        let index = samples[at].index;
        index.is_none() || samples[at + 1..].iter().all(|later| later.index != index)
    };
    let mut order: Vec<usize> = (0..samples.len()).filter(newest).collect();
    order.sort_by_key(|&at| (samples[at].index.is_none(), samples[at].index));
    order
}

/// The directions that a tag names.
fn directions(tag: Option<&str>) -> Vec<Direction> {
    let words = tag.unwrap_or_default().split([' ', ',', '\t']);
    let mut directions = Vec::new();
    for word in words {
        if word.eq_ignore_ascii_case("any") {
            return Vec::new();
        }
        if let Ok(direction) = word.parse()
            && !directions.contains(&direction)
        {
            directions.push(direction);
        }
    }
    directions
}

/// Degrees to the left as the user sees it, and up.
fn moved(before: &Observation, after: &Observation, mirrored: bool) -> (f64, f64) {
    let left = f64::from(after.pose.yaw - before.pose.yaw);
    let up = f64::from(after.pose.pitch - before.pose.pitch);
    (if mirrored { left } else { -left }, up)
}

#[cfg(test)]
mod tests {
    use super::super::observation::tests::sample;
    use super::*;

    /// A head that looks so many degrees to the left of the picture, and up.
    fn look(left: f64, up: f64) -> Observation {
        sample(0, 1.0, -left, -up, 0.9)
    }

    fn ask(
        samples: &[(Observation, Option<&str>, Option<i64>)],
        sequence: Option<&[Direction]>,
        mirrored: bool,
    ) -> Decision {
        let tagged: Vec<Tagged<'_>> = samples
            .iter()
            .map(|(observation, tag, index)| Tagged {
                observation,
                tag: *tag,
                index: *index,
            })
            .collect();
        let thresholds = Thresholds {
            mirrored,
            ..Thresholds::default()
        };
        challenge(&tagged, sequence, &thresholds)
    }

    #[test]
    fn each_direction_is_met_by_its_movement_alone() {
        for (left, up, met) in [
            (8.0, 1.0, "left"),
            (-8.0, -1.0, "right"),
            (2.0, 6.0, "up"),
            (-2.0, -6.0, "down"),
        ] {
            for tag in ["up", "down", "left", "right"] {
                let samples = [
                    (look(3.0, -2.0), Some("any"), Some(1)),
                    (look(3.0 + left, up - 2.0), Some(tag), Some(2)),
                ];
                let decision = ask(&samples, None, true);
                assert_eq!(decision.live, tag == met, "{left} {up} {tag}");
                let failure = (tag != met).then_some(LivenessFailure::ChallengeResponseFailed);
                assert_eq!(decision.failure, failure);
            }
        }
    }

    #[test]
    fn without_a_mirror_left_and_right_change_places() {
        for (left, tag) in [(8.0, "right"), (-8.0, "left"), (0.0, "up")] {
            let samples = [
                (look(0.0, 0.0), None, None),
                (
                    look(left, if left == 0.0 { 8.0 } else { 0.0 }),
                    Some(tag),
                    None,
                ),
            ];
            assert!(ask(&samples, None, false).live, "{tag}");
            assert_eq!(ask(&samples, None, true).live, tag == "up", "{tag}");
        }
    }

    #[test]
    fn a_movement_too_small_or_across_is_not_it() {
        for (left, up) in [(2.0, 0.0), (4.0, 8.5), (0.0, 0.0)] {
            let samples = [
                (look(0.0, 0.0), None, None),
                (look(left, up), Some("left"), None),
            ];
            assert!(!ask(&samples, None, true).live, "{left} {up}");
        }
    }

    #[test]
    fn any_of_several_words_will_do_and_any_demands_nothing() {
        let moves = |tag| {
            let samples = [
                (look(0.0, 0.0), Some("up"), Some(0)),
                (look(-9.0, 0.0), tag, Some(1)),
            ];
            ask(&samples, None, true).live
        };
        for tag in ["left right", "Right,Left", "any", "ANY", "", "sideways"] {
            assert!(moves(Some(tag)), "{tag}");
        }
        assert!(moves(None));
        assert!(!moves(Some("up down")));
    }

    #[test]
    fn samples_are_taken_in_the_order_of_their_index_and_the_newest_of_each() {
        let samples = [
            (look(0.0, 9.0), Some("up"), Some(3)),
            // Sent twice; the first time the head had not moved yet.
            (look(0.0, 0.0), Some("left"), Some(2)),
            (look(9.0, 0.0), Some("left"), Some(2)),
            // Tagged with the last word of the try before.
            (look(0.0, 0.0), Some("down"), Some(1)),
        ];
        let decision = ask(&samples, None, true);
        let order: Vec<usize> = decision.parts.movements.iter().map(|m| m.sample).collect();
        assert_eq!(order, [2, 0]);
        // From left to the middle and up: nine degrees each way.
        assert!(decision.live);
        let mut lower = samples.clone();
        lower[0].0 = look(0.0, 4.0);
        let decision = ask(&lower, None, true);
        assert_eq!(decision.parts.reason, Some(Reason::WrongMovement));
        assert_eq!(decision.parts.samples[0].fault, Some(Reason::WrongMovement));
    }

    #[test]
    fn the_sequence_of_the_token_is_demanded_whatever_the_tags_say() {
        use Direction::{Left, Right, Up};
        let samples = [
            (look(0.0, 0.0), Some("any"), Some(1)),
            (look(8.0, 0.0), Some("any"), Some(2)),
            (look(8.0, 8.0), Some("up"), Some(3)),
        ];
        assert!(ask(&samples, Some(&[Left, Up]), true).live);
        assert!(!ask(&samples, Some(&[Right, Up]), true).live);
        let more = ask(&samples, Some(&[Left, Up, Right]), true);
        assert_eq!(more.parts.reason, Some(Reason::MissingMovement));
        assert_eq!(more.failure, Some(LivenessFailure::ChallengeResponseFailed));
        // A sample more than demanded is only asked for what its tag says.
        assert!(ask(&samples, Some(&[Left]), true).live);
    }

    #[test]
    fn no_samples_are_not_enough() {
        let decision = ask(&[], Some(&[Direction::Up]), true);
        assert_eq!(decision.failure, Some(LivenessFailure::NotEnoughSamples));
    }
}
