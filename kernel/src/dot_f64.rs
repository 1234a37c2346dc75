//! The exact score: a dot product in double precision whose order of operations never changes.

/// How many partial sums run side by side.
const LANES: usize = 16;

/// The dot product of two rows of single-precision numbers, in double precision.
///
/// The order of operations is part of the definition, so that a score has the same bits on every
/// machine: sixteen partial sums, of which number `i` adds the products at `i`, `i + 16`,
/// `i + 32`, … in this order; then sums `i` and `i + 8` are added, then `i` and `i + 4`, `i` and
/// `i + 2`, and the last two. A product of two single-precision numbers is exact in double
/// precision (24 + 24 bits fit into 53), so that a fused multiply-add changes nothing.
///
/// The distance to the true value is at most `(n / 16 + 4) * 2^-53 * sum(|a| * |b|)`; see Higham,
/// *Accuracy and Stability of Numerical Algorithms*, section 3.1.
///
/// # Panics
///
/// Panics if the rows differ in length.
pub fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "both rows must have the same length");
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: The processor has AVX2.
        return unsafe { with_avx2(a, b) };
    }
    by_lanes(a, b)
}

/// The same operations in the same order, four at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(a: &[f32], b: &[f32]) -> f64 {
    by_lanes(a, b)
}

#[inline(always)]
fn by_lanes(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += f64::from(a) * f64::from(b);
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, written as differently as possible: one lane at a time, and a recursive
    /// tree.
    fn by_definition(a: &[f32], b: &[f32]) -> f64 {
        fn lane(a: &[f32], b: &[f32], at: usize) -> f64 {
            (at..a.len())
                .step_by(16)
                .fold(0.0, |sum, i| sum + f64::from(a[i]) * f64::from(b[i]))
        }
        fn tree(a: &[f32], b: &[f32], at: usize, stride: usize) -> f64 {
            if stride == 16 {
                return lane(a, b, at);
            }
            tree(a, b, at, stride * 2) + tree(a, b, at + stride, stride * 2)
        }
        tree(a, b, 0, 1)
    }

    proptest! {
        #[test]
        fn every_bit_follows_the_definition(
            rows in prop::collection::vec((-1e3_f32..1e3, -1e3_f32..1e3), 0..200)
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            prop_assert_eq!(dot_f64(&a, &b).to_bits(), by_definition(&a, &b).to_bits());
            prop_assert_eq!(by_lanes(&a, &b).to_bits(), by_definition(&a, &b).to_bits());
        }

        #[test]
        fn it_stays_within_its_bound_of_the_sum_from_left_to_right(
            rows in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 0..4096)
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let products = || a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b));
            let bound = 2.0 * a.len() as f64 * f64::EPSILON * products().map(f64::abs).sum::<f64>();
            prop_assert!((dot_f64(&a, &b) - products().sum::<f64>()).abs() <= bound);
        }
    }

    #[test]
    fn the_largest_and_smallest_numbers_neither_overflow_nor_vanish() {
        let large = [f32::MAX; 4096];
        assert!(dot_f64(&large, &large).is_finite());
        let small = [f32::from_bits(1); 16];
        assert!(dot_f64(&small, &small) > 0.0);
    }
}
