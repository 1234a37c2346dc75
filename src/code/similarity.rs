//! The exact score of two embeddings.

use crate::kernel::dot_f64;

/// The length of a row, in double precision: the square root of [`dot_f64`] of the row with itself.
///
/// Never zero, NaN or infinite for the values of an embedding: the square of the smallest
/// single-precision number is far above the smallest double, and 4,096 squares of the largest one
/// far below the largest.
pub fn length(row: &[f32]) -> f64 {
    dot_f64(row, row).sqrt()
}

/// The similarity of two embeddings: the cosine of the angle between them, from -1 to 1.
///
/// Computed as `dot_f64(a, b) / (a_length * b_length)` and cut to the range, so that every machine
/// gives the same bits and the order of the arguments does not matter.
pub fn similarity(a: &[f32], a_length: f64, b: &[f32], b_length: f64) -> f64 {
    let cosine = dot_f64(a, b) / (a_length * b_length);
    // Adding zero turns -0 into 0: they are one similarity, but two places in a total order.
    cosine.clamp(-1.0, 1.0) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_does_not_matter_and_direction_does() {
        let mut a = vec![0.0_f32; 16];
        let mut b = a.clone();
        a[0] = 3.0;
        (b[0], b[1]) = (1e-30, 1e-30);
        let cosine = similarity(&a, length(&a), &b, length(&b));
        assert!((cosine - 0.5_f64.sqrt()).abs() < 1e-15);
        let opposite: Vec<f32> = a.iter().map(|value| -value).collect();
        assert_eq!(similarity(&a, 3.0, &opposite, 3.0), -1.0);
    }

    #[test]
    fn right_angles_give_plain_zero() {
        let mut a = [0.0_f32; 16];
        let mut b = [0.0_f32; 16];
        a[0] = 1.0;
        b[1] = -1.0;
        assert_eq!(similarity(&a, 1.0, &b, 1.0).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn the_extremes_of_single_precision_are_compared_without_overflow() {
        let small = [f32::from_bits(1); 16];
        let large = [f32::MAX; 16];
        let cosine = similarity(&small, length(&small), &large, length(&large));
        assert!((cosine - 1.0).abs() < 1e-15);
    }
}
