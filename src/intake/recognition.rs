//! What is decided about one of several faces, and about two.

use crate::code::{length, similarity};
use crate::types::Embedding;

/// Of a face of less quality, which nobody is like, it is not said that it is of a stranger.
pub const IDENTIFY_QUALITY_MIN: f32 = 0.1;

/// What is decided about one of several faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// Somebody who is enrolled is alike enough.
    Known,
    /// Nobody who is enrolled is.
    Unknown,
    /// Nobody is, and the face is too small, too blurred or too little of one to say more.
    Unusable,
}

impl Recognition {
    /// What is decided of a face of this quality, whom somebody is like or not.
    pub fn of(is_found: bool, quality: f32) -> Recognition {
        if is_found {
            Recognition::Known
        } else if quality >= IDENTIFY_QUALITY_MIN {
            Recognition::Unknown
        } else {
            Recognition::Unusable
        }
    }

    /// In answers.
    pub fn name(self) -> &'static str {
        match self {
            Recognition::Known => "known",
            Recognition::Unknown => "unknown",
            Recognition::Unusable => "unusable",
        }
    }
}

/// How alike two faces are: the cosine of their embeddings, from -1 to 1.
///
/// # Panics
///
/// Panics if they are of encoders of different dimensions.
pub fn similarity_of(one: &Embedding, other: &Embedding) -> f64 {
    let (one, other) = (one.values(), other.values());
    similarity(one, length(one), other, length(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_called_a_stranger_by_a_face_of_no_use() {
        for (is_found, quality, expected) in [
            (true, 0.9, Recognition::Known),
            (true, 0.0, Recognition::Known),
            (false, 0.9, Recognition::Unknown),
            (false, IDENTIFY_QUALITY_MIN, Recognition::Unknown),
            (false, 0.09, Recognition::Unusable),
            (false, f32::NAN, Recognition::Unusable),
        ] {
            assert_eq!(Recognition::of(is_found, quality), expected, "{quality}");
        }
    }
}
