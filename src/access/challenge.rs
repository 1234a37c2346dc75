//! Head movements that a token demands.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::types::Direction;

/// One sequence of movements for every try that a token allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge(Vec<Vec<Direction>>);

/// A sequence of movements is too short or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found} movements are outside {min} to {max}",
    min = Challenge::LENGTH_MIN,
    max = Challenge::LENGTH_MAX
)]
pub struct ChallengeError {
    /// How many were asked for.
    pub found: usize,
}

impl Challenge {
    /// The fewest movements in a sequence.
    pub const LENGTH_MIN: usize = 2;
    /// The most movements in a sequence.
    pub const LENGTH_MAX: usize = 7;
    /// How many movements clients expect when nobody says otherwise.
    pub const LENGTH_DEFAULT: usize = 3;

    /// Draws one sequence of `length` movements for each of `tries`.
    ///
    /// No movement follows itself: whoever has turned as far as the head goes cannot turn further.
    ///
    /// # Errors
    ///
    /// If `length` is out of range.
    pub fn random(
        tries: u8,
        length: usize,
        rng: &mut impl Rng,
    ) -> Result<Challenge, ChallengeError> {
        if !(Challenge::LENGTH_MIN..=Challenge::LENGTH_MAX).contains(&length) {
            return Err(ChallengeError { found: length });
        }
        let sequences = (0..tries).map(|_| sequence(length, rng)).collect();
        Ok(Challenge(sequences))
    }

    /// The sequences, one for each try.
    pub fn sequences(&self) -> &[Vec<Direction>] {
        &self.0
    }
}

fn sequence(length: usize, rng: &mut impl Rng) -> Vec<Direction> {
    let mut sequence: Vec<Direction> = Vec::with_capacity(length);
    while sequence.len() < length {
        let direction = Direction::ALL[rng.random_range(0..Direction::ALL.len())];
        if sequence.last() != Some(&direction) {
            sequence.push(direction);
        }
    }
    sequence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_try_has_its_sequence_and_no_movement_follows_itself() {
        for tries in 1..=15 {
            for length in 2..=7 {
                let challenge = Challenge::random(tries, length, &mut rand::rng()).unwrap();
                assert_eq!(challenge.sequences().len(), usize::from(tries));
                for sequence in challenge.sequences() {
                    assert_eq!(sequence.len(), length);
                    assert!(
                        sequence.windows(2).all(|pair| pair[0] != pair[1]),
                        "{sequence:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn all_directions_occur() {
        let challenge = Challenge::random(15, 7, &mut rand::rng()).unwrap();
        let all = challenge.sequences().concat();
        assert!(
            Direction::ALL
                .iter()
                .all(|direction| all.contains(direction))
        );
    }

    #[test]
    fn lengths_out_of_range_are_refused() {
        for length in [0, 1, 8] {
            let refused = Challenge::random(3, length, &mut rand::rng());
            assert_eq!(refused, Err(ChallengeError { found: length }));
        }
    }

    #[test]
    fn words_are_those_that_clients_know() {
        let text = serde_json::to_string(&Challenge(vec![Direction::ALL.to_vec()])).unwrap();
        assert_eq!(text, r#"[["up","down","left","right"]]"#);
    }
}
