//! Two enrolled classes that are alike.

use std::cmp::Ordering;

use super::ClassId;

/// Two classes of one gallery and how alike they are. Not ordered: the smaller number stands first.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    pub fn rank_order(&self, other: &Pair) -> Ordering {
        let classes = |pair: &Pair| (pair.class, pair.other);
        other
            .similarity
            .total_cmp(&self.similarity)
            .then_with(|| classes(self).cmp(&classes(other)))
    }
}
