//! What cannot be said about rates, and why.

/// Why there is no rate, or no calibration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RatesError {
    /// A text or a number is not a rate that can be asked for.
    #[error(
        "`{found}` is not a rate: a number above 0 and below 1 is one (0.001: one stranger in a thousand), or a whole number from 2 to {ATTENUATION_MAX}, ten times the negative decimal logarithm of one (30 is 0.001){why}"
    )]
    Target {
        /// What was given.
        found: String,
        /// What is wrong with it, after a semicolon; empty where that is plain.
        why: &'static str,
    },
    /// There are too few scores to say anything.
    #[error("{expected} scores of strangers are needed at least, and there are {found}")]
    TooFewScores {
        /// How many there are.
        found: usize,
        /// How many are needed.
        expected: usize,
    },
    /// A score is not a number.
    #[error("a score is not a finite number")]
    NotFinite,
    /// There are too few people to measure what strangers reach.
    #[error(
        "{found} people are enrolled, and at least {expected} are needed to measure what strangers reach"
    )]
    TooFewClasses {
        /// How many there are.
        found: usize,
        /// How many are needed.
        expected: usize,
    },
    /// No similarity tells people apart.
    #[error(
        "of the pairs of strangers {percent:.1} % have the highest similarity, {similarity:.4}: the embeddings of different people are the same, and no threshold tells them apart",
        percent = 100.0 * share
    )]
    AllAlike {
        /// How many of the pairs of strangers have it, 0 to 1.
        share: f64,
        /// The highest similarity.
        similarity: f64,
    },
    /// A stored calibration is not what was written.
    #[error("a stored calibration is damaged or not of this version: {found}")]
    Stored {
        /// What was found.
        found: String,
    },
}

/// The highest of the whole numbers that stand for rates: a rate of 1e-10.
pub(super) const ATTENUATION_MAX: u32 = 100;
