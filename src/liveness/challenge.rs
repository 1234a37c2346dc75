//! Whether a head moved where it was asked to.

use super::active::describe;
use super::decision::{Decision, LivenessFailure, Movement, Parts, Reason};
use super::observation::Observation;
use super::thresholds::Thresholds;
use crate::types::Direction;

/// What of a movement only brings the head back counts so much. A head that looked left and is then
/// to look up comes back to the middle on its way, so that it moves to the right by as much as up.
const RETURN_SHARE: f64 = 0.5;

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
/// A movement has one direction at most, that in which the head went farther; what only brought it
/// back to where it was in the first sample counts half. It meets a demand if that is its direction
/// and it is at least [`Thresholds::movement_degrees_min`], and if the later picture is not the
/// earlier one, cut out otherwise. This says nothing about the samples being live: ask
/// [`super::active`] too.
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
        let step = Step {
            from: look(
                observations[order[0]],
                observations[before],
                thresholds.mirrored,
            ),
            to: look(
                observations[order[0]],
                observations[sample],
                thresholds.mirrored,
            ),
        };
        let (left, up) = step.moved();
        let reached =
            |direction| step.direction(thresholds.movement_degrees_min) == Some(direction);
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

/// Degrees to the left as the user sees it, and up, from one look to another.
fn look(first: &Observation, then: &Observation, mirrored: bool) -> (f64, f64) {
    let left = f64::from(then.pose.yaw - first.pose.yaw);
    let up = f64::from(then.pose.pitch - first.pose.pitch);
    (if mirrored { left } else { -left }, up)
}

/// The way from one sample to the next, in degrees to the left and up of the first of all.
struct Step {
    from: (f64, f64),
    to: (f64, f64),
}

impl Step {
    /// Degrees to the left, and up.
    fn moved(&self) -> (f64, f64) {
        (self.to.0 - self.from.0, self.to.1 - self.from.1)
    }

    /// Where the head went, if it went at least so many degrees there: one direction only, so that
    /// a diagonal movement does not meet two words.
    fn direction(&self, degrees_min: f64) -> Option<Direction> {
        let (left, up) = self.moved();
        let (across, along) = (
            weight(self.from.0, self.to.0),
            weight(self.from.1, self.to.1),
        );
        if across > along && left.abs() >= degrees_min {
            Some(if left > 0.0 {
                Direction::Left
            } else {
                Direction::Right
            })
        } else if along > across && up.abs() >= degrees_min {
            Some(if up > 0.0 {
                Direction::Up
            } else {
                Direction::Down
            })
        } else {
            None
        }
    }
}

/// How much a movement along one axis counts: in full where it leads away from 0, less where it
/// only leads back there.
fn weight(from: f64, to: f64) -> f64 {
    let length = (to - from).abs();
    let back = if from * (to - from) < 0.0 {
        length.min(from.abs())
    } else {
        0.0
    };
    length - back + RETURN_SHARE * back
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
    fn a_diagonal_movement_meets_one_word_at_most() {
        for (left, up) in [(8.0, 8.0), (6.0, 8.0), (-9.0, -6.0)] {
            for start in [(0.0, 0.0), (9.0, -3.0)] {
                let met = |word: &&str| {
                    let samples = [
                        (look(0.0, 0.0), None, None),
                        (look(start.0, start.1), None, None),
                        (look(start.0 + left, start.1 + up), Some(*word), None),
                    ];
                    ask(&samples, None, true).live
                };
                let words = ["left", "right", "up", "down"];
                let met: Vec<&str> = words.into_iter().filter(met).collect();
                assert!(met.len() <= 1, "{left} {up} from {start:?}: {met:?}");
            }
        }
        // The longer way is the one that is meant.
        let samples = |word| {
            [
                (look(0.0, 0.0), None, None),
                (look(7.0, 5.0), Some(word), None),
            ]
        };
        assert!(ask(&samples("left"), None, true).live);
        assert!(!ask(&samples("up"), None, true).live);
    }

    #[test]
    fn a_head_that_comes_back_on_its_way_meets_where_it_goes() {
        let ways = |word, to: (f64, f64)| {
            let samples = [
                (look(0.0, 0.0), None, None),
                (look(9.0, 0.0), Some("left"), None),
                (look(to.0, to.1), Some(word), None),
            ];
            ask(&samples, None, true).live
        };
        // To the middle and up, to the middle alone, and to the middle and a little up.
        assert!(ways("up", (0.0, 8.0)) && !ways("right", (0.0, 8.0)));
        assert!(ways("right", (0.0, 0.0)) && !ways("up", (0.0, 0.0)));
        assert!(ways("right", (1.0, 3.0)) && !ways("up", (1.0, 3.0)));
        assert!(ways("right", (-9.0, 3.0)));
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
