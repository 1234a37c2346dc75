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

/// What three roundings, of two lengths and of a quotient, can take from the similarity of an
/// embedding with itself.
const SAME: f64 = 4.0 * f64::EPSILON;

/// The similarity of two embeddings: the cosine of the angle between them, from -1 to 1.
///
/// Computed as `dot_f64(a, b) / (a_length * b_length)` and cut to the range, so that every machine
/// gives the same bits and the order of the arguments does not matter. What is less than
/// [`SAME`] away from an end of the range is that end, so that an embedding compared with itself
/// reaches a threshold of 1.
pub fn similarity(a: &[f32], a_length: f64, b: &[f32], b_length: f64) -> f64 {
    let cosine = dot_f64(a, b) / (a_length * b_length);
    if cosine.abs() > 1.0 - SAME {
        return 1.0_f64.copysign(cosine);
    }
    // Adding zero turns -0 into 0: they are one similarity, but two places in a total order.
    cosine + 0.0
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
    fn an_embedding_compared_with_itself_reaches_one() {
        let mut state = 1_u32;
        for dimension in [16, 128, 512, 4096] {
            for _ in 0..500 {
                let row: Vec<f32> = (0..dimension)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
                    })
                    .collect();
                let (own, opposite) = (
                    length(&row),
                    row.iter().map(|value| -value).collect::<Vec<f32>>(),
                );
                assert_eq!(similarity(&row, own, &row, own), 1.0);
                assert_eq!(similarity(&row, own, &opposite, own), -1.0);
                // One step of one value is another embedding where that shows at all.
                let mut other = row.clone();
                other[0] += 1e-4;
                assert!(similarity(&row, own, &other, length(&other)) < 1.0);
            }
        }
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
