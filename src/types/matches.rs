//! One line of an answer.

use std::cmp::Ordering;

use super::ClassId;

/// An enrolled person and how alike the probe is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// The person.
    pub class: ClassId,
    /// The cosine of the angle between the probe and the person's most similar template, from -1
    /// to 1, in double precision.
    pub similarity: f64,
}

impl Match {
    /// The order of an answer: falling similarity, and among equals rising class.
    ///
    /// Total, since a similarity is never NaN: embeddings are finite and not zero.
    #[inline]
    pub fn rank_order(&self, other: &Match) -> Ordering {
        other
            .similarity
            .total_cmp(&self.similarity)
            .then(self.class.cmp(&other.class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_first_and_ties_by_class() {
        let new = |class, similarity| Match {
            class: ClassId(class),
            similarity,
        };
        let mut list = [new(3, 0.5), new(9, 0.7), new(-1, 0.5), new(2, -0.5)];
        list.sort_by(Match::rank_order);
        let classes: Vec<i64> = list.iter().map(|found| found.class.0).collect();
        assert_eq!(classes, [9, -1, 3, 2]);
    }
}
