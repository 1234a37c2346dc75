//! How exactly it is told how alike somebody is, and below which similarity nobody may ask.
//!
//! Exact similarities give templates away: as many answers as an embedding has values are enough to
//! compute it. A threshold of the caller's choice is as good as a similarity, by halving. So both come
//! in the same steps, and end at the threshold in use: what is told of a similarity then depends on the
//! step that it is in, and on nothing else.

/// The decimal digits that scores have unless something else is set.
pub const SCORE_DIGITS: u8 = 2;
/// More digits are never told to whoever may not have the exact value: as many as clients of the classic
/// API have always seen of a score.
pub const SCORE_DIGITS_MAX: u8 = 4;

/// How exactly similarities are told to a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disclosure {
    /// As they are, and from any similarity on.
    #[default]
    Exact,
    /// In steps, and from the threshold on that is in use.
    Coarse {
        /// The decimal digits of a step.
        digits: u8,
    },
}

/// Something is asked for that only whoever is told exact similarities may ask for.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Undisclosed {
    /// A threshold is too low.
    #[error("the threshold {asked} is lower than {least}, which is in use here")]
    TooLow {
        /// The threshold that was asked for.
        asked: f64,
        /// The lowest that may be asked for.
        least: f64,
    },
}

impl Disclosure {
    /// What is told of a similarity where `threshold` decides; `None` if it does not reach that.
    pub fn similarity(self, similarity: f64, threshold: f64) -> Option<f64> {
        match self {
            Disclosure::Exact => Some(similarity),
            Disclosure::Coarse { .. } if similarity < threshold => None,
            Disclosure::Coarse { .. } => Some(self.recognised(similarity, Some(threshold))),
        }
    }

    /// What is told of the similarity of somebody who was recognised: never less than the threshold where
    /// it reaches that, so that who compares the two decides alike.
    pub(super) fn recognised(self, similarity: f64, threshold: Option<f64>) -> f64 {
        let Disclosure::Coarse { digits } = self else {
            return similarity;
        };
        let told = step_down(similarity, digits);
        let reached = threshold.filter(|threshold| similarity >= *threshold);
        reached.map_or(told, |threshold| told.max(threshold))
    }

    /// What is told of a score, or of a probability, that follows from similarities as they are told.
    pub fn score(self, score: f64) -> f64 {
        match self {
            Disclosure::Exact => score,
            Disclosure::Coarse { digits } => step_down(score, digits),
        }
    }

    /// The threshold that decides where `asked` is asked for, if anything is, and `usual` is in use. One
    /// that may be asked for is raised to the next step, so that no two of them part what is told alike.
    /// Where none is in use there is nothing that another could be below.
    ///
    /// # Errors
    ///
    /// If it is lower than that in use, and similarities are not told exactly.
    pub fn threshold(
        self,
        asked: Option<f64>,
        usual: Option<f64>,
    ) -> Result<Option<f64>, Undisclosed> {
        let Disclosure::Coarse { digits } = self else {
            return Ok(asked.or(usual));
        };
        match (asked, usual) {
            (Some(asked), Some(least)) if asked < least => {
                Err(Undisclosed::TooLow { asked, least })
            }
            (Some(asked), Some(least)) if asked == least => Ok(Some(least)),
            (Some(asked), _) => Ok(Some(step_up(asked, digits))),
            (None, least) => Ok(least),
        }
    }
}

/// The highest number with so many decimal digits that is not above `value`.
pub fn step_down(value: f64, digits: u8) -> f64 {
    let steps = 10_f64.powi(digits.into());
    let step = (value * steps).floor();
    // What is a step itself may come out as a little less.
    let next = (step + 1.0) / steps;
    if next <= value { next } else { step / steps }
}

/// The lowest number with so many decimal digits that is not below `value`.
fn step_up(value: f64, digits: u8) -> f64 {
    // Zero has no sign.
    0.0 - step_down(-value, digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COARSE: Disclosure = Disclosure::Coarse { digits: 2 };

    #[test]
    fn what_is_told_ends_at_the_threshold_and_reaches_it() {
        for (similarity, threshold, told) in [
            (0.7753249, 0.41, Some(0.77)),
            (0.41, 0.41, Some(0.41)),
            (0.409_999_9, 0.41, None),
            (-1.0, 0.41, None),
            // A threshold between two steps is reached all the same.
            (0.3678, 0.3635, Some(0.3635)),
            (0.3634, 0.3635, None),
            (1.0, 0.41, Some(1.0)),
            (-0.005, -0.5, Some(-0.01)),
            (0.0, -0.5, Some(0.0)),
            // Which are a little less than their digits in binary.
            (0.57, 0.1, Some(0.57)),
            (0.29, 0.1, Some(0.29)),
        ] {
            let found = COARSE.similarity(similarity, threshold);
            assert_eq!(found, told, "{similarity}");
            let exact = Disclosure::Exact.similarity(similarity, threshold);
            assert_eq!(exact, Some(similarity));
        }
    }

    #[test]
    fn a_threshold_is_raised_to_a_step_and_never_below_that_in_use() {
        for (asked, usual, expected) in [
            (None, Some(0.3635), Ok(Some(0.3635))),
            (Some(0.3635), Some(0.3635), Ok(Some(0.3635))),
            (Some(0.4211), Some(0.3635), Ok(Some(0.43))),
            (Some(0.57), Some(0.3635), Ok(Some(0.57))),
            (Some(1.0), Some(0.3635), Ok(Some(1.0))),
            (
                Some(0.3634),
                Some(0.3635),
                Err(Undisclosed::TooLow {
                    asked: 0.3634,
                    least: 0.3635,
                }),
            ),
            // Where none is in use.
            (Some(0.9001), None, Ok(Some(0.91))),
            (Some(-1.0), None, Ok(Some(-1.0))),
            (Some(-0.0), None, Ok(Some(0.0))),
            (None, None, Ok(None)),
        ] {
            assert_eq!(COARSE.threshold(asked, usual), expected, "{asked:?}");
        }
        assert_eq!(
            Disclosure::Exact.threshold(Some(-1.0), None),
            Ok(Some(-1.0))
        );
        assert_eq!(Disclosure::Exact.threshold(None, Some(0.4)), Ok(Some(0.4)));
    }

    proptest! {
        /// Whatever thresholds a caller tries, two similarities of one step are told alike.
        #[test]
        fn no_threshold_parts_what_is_in_one_step(
            step in 42_i32..99,
            places in prop::array::uniform2(0.0_f64..0.999),
            asked in prop::option::of(0.41_f64..1.0),
        ) {
            let [one, other] = places.map(|place| (f64::from(step) + place) / 100.0);
            let threshold = COARSE.threshold(asked, Some(0.41)).unwrap().unwrap();
            let (one, other) = (COARSE.similarity(one, threshold), COARSE.similarity(other, threshold));
            prop_assert_eq!(one, other);
        }

        #[test]
        fn steps_are_below_and_near(value in -1.0_f64..1.0, digits in 1_u8..=SCORE_DIGITS_MAX) {
            let width = 10_f64.powi(-i32::from(digits));
            let (down, up) = (step_down(value, digits), step_up(value, digits));
            prop_assert!(down <= value && value - down < width * 1.000_001, "{}", down);
            prop_assert!(up >= value && up - value < width * 1.000_001, "{}", up);
            prop_assert_eq!(step_down(down, digits), down);
            prop_assert_eq!(step_up(up, digits), up);
        }
    }
}
