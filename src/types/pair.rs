//! Two enrolled classes that are alike.

use std::cmp::Ordering;

use super::ClassId;

/// Two classes of one gallery and how alike they are. Not ordered: the smaller number stands first.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Pair {
    /// The smaller of the two classes.
    pub class: ClassId,
    /// The larger.
    pub other: ClassId,
    /// The cosine of the angle between their two most similar templates, one of each, from -1 to
    /// 1, in double precision.
    pub similarity: f64,
}

impl Pair {
    /// The order of a list: falling similarity, and among equals rising class, then rising other.
    #[inline]
    pub fn rank_order(&self, other: &Pair) -> Ordering {
        let classes = |pair: &Pair| (pair.class, pair.other);
        other
            .similarity
            .total_cmp(&self.similarity)
            .then_with(|| classes(self).cmp(&classes(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_alike_first_and_ties_by_both_classes() {
        let new = |class, other, similarity| Pair {
            class: ClassId(class),
            other: ClassId(other),
            similarity,
        };
        let mut list = [
            new(2, 9, 0.5),
            new(1, 9, 0.5),
            new(1, 3, 0.5),
            new(8, 9, 0.75),
            new(-1, 2, -0.5),
        ];
        list.sort_by(Pair::rank_order);
        let classes: Vec<(i64, i64)> = list
            .iter()
            .map(|pair| (pair.class.0, pair.other.0))
            .collect();
        assert_eq!(classes, [(8, 9), (1, 3), (1, 9), (2, 9), (-1, 2)]);
    }
}
