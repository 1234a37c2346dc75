//! The numbers that an encoder makes of a face.

use std::fmt;

/// The fewest dimensions an embedding may have.
pub const DIMENSION_MIN: usize = 16;
/// The most dimensions an embedding may have.
pub const DIMENSION_MAX: usize = 4096;

/// A face as a point: what an encoder says of one sample.
///
/// Every value is finite, at least one is not zero, and there are [`DIMENSION_MIN`] to
/// [`DIMENSION_MAX`] of them. The length of the vector carries no meaning: two embeddings are
/// compared by the cosine of the angle between them, computed in double precision from the values
/// as given, so nothing is lost to a normalisation in single precision.
///
/// An embedding is a secret that its owner cannot change. `Debug` prints its dimension only.
#[derive(Clone, PartialEq)]
pub struct Embedding(Box<[f32]>);

/// Why some numbers are no embedding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddingError {
    /// Too few or too many numbers.
    #[error("dimension {found} is outside {DIMENSION_MIN} to {DIMENSION_MAX}")]
    Dimension {
        /// How many numbers were given.
        found: usize,
    },
    /// A number is NaN or infinite.
    #[error("value {at} is not a finite number")]
    NotFinite {
        /// Its position, from 0.
        at: usize,
    },
    /// All numbers are zero, so there is no direction to compare.
    #[error("all values are zero")]
    Zero,
}

impl Embedding {
    /// Checks `values` and takes them over as they are.
    ///
    /// # Errors
    ///
    /// If the number of values is out of range, one is not finite, or all are zero. The error
    /// never contains a value.
    pub fn new(values: impl Into<Box<[f32]>>) -> Result<Embedding, EmbeddingError> {
        let values = values.into();
        Embedding::check(&values)?;
        Ok(Embedding(values))
    }

    /// What [`Embedding::new`] checks, for values that stay where they are.
    ///
    /// # Errors
    ///
    /// As [`Embedding::new`].
    pub fn check(values: &[f32]) -> Result<(), EmbeddingError> {
        if !(DIMENSION_MIN..=DIMENSION_MAX).contains(&values.len()) {
            return Err(EmbeddingError::Dimension {
                found: values.len(),
            });
        }
        // Numbers without a sign are in the order of their bits, and what is no number comes last. One
        // look that never ends early is done with several values at once.
        let bits = values
            .iter()
            .map(|value| value.abs().to_bits().cast_signed());
        let largest = f32::from_bits(bits.fold(0, i32::max).cast_unsigned());
        if !largest.is_finite() {
            let at = values.iter().position(|value| !value.is_finite());
            let at = at.expect("the largest is one of the values");
            return Err(EmbeddingError::NotFinite { at });
        }
        if largest == 0.0 {
            return Err(EmbeddingError::Zero);
        }
        Ok(())
    }

    /// The values.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// How many values there are.
    pub fn dimension(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding({} values)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_compared_is_refused() {
        assert_eq!(
            Embedding::new(vec![1.0; 15]),
            Err(EmbeddingError::Dimension { found: 15 })
        );
        assert_eq!(
            Embedding::new(vec![1.0; 4097]),
            Err(EmbeddingError::Dimension { found: 4097 })
        );
        assert_eq!(Embedding::new(vec![0.0; 16]), Err(EmbeddingError::Zero));
        assert_eq!(Embedding::new(vec![-0.0; 16]), Err(EmbeddingError::Zero));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 16];
            values[7] = bad;
            assert_eq!(
                Embedding::new(values),
                Err(EmbeddingError::NotFinite { at: 7 })
            );
        }
    }

    #[test]
    fn the_smallest_and_largest_numbers_are_accepted_as_they_are() {
        for value in [f32::from_bits(1), f32::MAX] {
            let embedding = Embedding::new(vec![value; 16]).unwrap();
            assert_eq!(embedding.values(), [value; 16]);
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let embedding = Embedding::new(vec![0.123_456; 16]).unwrap();
        assert_eq!(format!("{embedding:?}"), "Embedding(16 values)");
    }
}
