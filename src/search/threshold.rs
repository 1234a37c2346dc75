//! How good a row must be, as far as is known.

use std::sync::atomic::{AtomicI64, Ordering};

/// A similarity that only rises, shared by all threads.
///
/// The last class within the limit that any thread knows is a lower bound of the last one of all,
/// so that the highest of them may cut for everyone.
pub(super) struct Threshold(AtomicI64);

impl Threshold {
    pub(super) fn new(similarity: f64) -> Threshold {
        Threshold(AtomicI64::new(ordered(similarity)))
    }

    #[inline]
    pub(super) fn get(&self) -> f64 {
        // Relaxed: an old value cuts less, never wrongly.
        f64::from_bits(unordered(self.0.load(Ordering::Relaxed)))
    }

    pub(super) fn raise(&self, similarity: f64) {
        self.0.fetch_max(ordered(similarity), Ordering::Relaxed);
    }
}

/// Maps a float to an integer of the same order, as `f64::total_cmp` does.
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// The inverse: the mapping leaves the sign alone and is its own inverse.
fn unordered(value: i64) -> u64 {
    (value ^ ((value >> 63) as u64 >> 1) as i64) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_keep_the_order_of_floats(a in any::<f64>(), b in any::<f64>()) {
            prop_assert_eq!(ordered(a).cmp(&ordered(b)), a.total_cmp(&b));
            prop_assert_eq!(unordered(ordered(a)), a.to_bits());
        }
    }

    #[test]
    fn a_threshold_only_rises() {
        let threshold = Threshold::new(f64::NEG_INFINITY);
        for similarity in [-0.5, 0.25, -1.0, 0.125] {
            threshold.raise(similarity);
        }
        assert_eq!(threshold.get(), 0.25);
    }
}
