//! What sums in single precision say of a similarity, and how far that may be off.
//!
//! Let u = 2^-24, n the number of values, r a row, and q a probe whose length is 1. Of the four errors of
//! dot / √square,
//!
//! * rounding the probe's values changes q·r by at most u·‖r‖;
//! * a sum of n products is off by at most g·Σ|q·r| <= g·‖r‖·(1 + u), g = n·u / (1 − n·u), in any order
//!   and fused or not ([`crate::kernel::Kernel::estimate`]);
//! * a square is off by at most g·‖r‖², so that the length is by at most g·‖r‖·0.51;
//! * root, quotient and product round three times, by u each.
//!
//! Together that is below 1.51·g + 5·u and terms of second order, which are below u for n <= 4,096; we
//! allow 2·(n + 16)·u. Products that are too small to be told from zero add n·2^-150 to a sum: with
//! rows no shorter than 2^-30 that is below 2^-107. Rows outside [`SQUARE_MIN`] to [`SQUARE_MAX`], whose
//! sums could be too small or overflow, have no estimate.

/// The square of the shortest row that has an estimate: its length is 2^-30.
const SQUARE_MIN: f32 = 8.673_617_4e-19;
/// That of the longest: its length is 2^50.
const SQUARE_MAX: f32 = 1.267_650_6e30;

/// One divided by the length of a row with this square, or `None` where sums in single precision say
/// nothing of the row: it is very short, very long, or not finite.
pub fn inverse_length(square: f32) -> Option<f32> {
    (SQUARE_MIN..=SQUARE_MAX)
        .contains(&square)
        .then(|| 1.0 / square.sqrt())
}

/// The most by which an estimate, `dot * inverse_length(square)` with the numbers of
/// [`crate::kernel::Kernel::estimate`], and the similarity can differ.
pub fn single_error(dimension: usize) -> f64 {
    2.0 * (dimension as f64 + 16.0) * (f64::from(f32::EPSILON) / 2.0)
}

/// The estimate that a row has at least if its similarity reaches `least`.
pub fn single_least(least: f64, dimension: usize) -> f32 {
    let least = least - single_error(dimension);
    let nearest = least as f32;
    if f64::from(nearest) > least {
        nearest.next_down()
    } else {
        nearest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::code::Probe;
    use crate::kernel::{FloatProbes, Isa, Kernel};
    use crate::types::Embedding;

    /// Ordinary rows, and rows that attack the bound: all of one sign, so that sums grow and round, and
    /// one value that dwarfs the others; of all lengths.
    fn row(dimension: usize) -> impl Strategy<Value = Vec<f32>> {
        let ordinary = prop::collection::vec(-1.0_f32..1.0, dimension);
        let shape = prop_oneof![
            ordinary.clone(),
            ordinary
                .clone()
                .prop_map(|row| row.iter().map(|x| x.abs() + 0.9).collect()),
            (ordinary, 0..dimension).prop_map(|(mut row, at)| {
                row[at] = 1e4;
                row
            }),
        ];
        let scale = prop_oneof![
            Just(1.0_f32),
            Just(1e-9),
            Just(1e-12),
            Just(1e10),
            Just(1e13)
        ];
        (shape, scale).prop_map(|(row, scale): (Vec<f32>, f32)| {
            row.iter().map(|value| value * scale).collect()
        })
    }

    fn pair() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        prop_oneof![Just(16_usize), Just(100), Just(512), Just(4096)]
            .prop_flat_map(|dimension| (row(dimension), row(dimension)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_estimate_is_further_off_than_is_said((probe, row) in pair()) {
            let dimension = row.len();
            for (probe, row) in [(&probe, &row), (&row, &row)] {
                let probe = Probe::new(&Embedding::new(probe.as_slice()).unwrap());
                let similarity = probe.similarity(row, crate::code::length(row));
                let packed = FloatProbes::new(dimension, &[probe.unit()]);
                for kernel in Isa::available().filter_map(Kernel::for_isa) {
                    let (mut square, mut dots) = ([0.0], [0.0; 16]);
                    kernel.estimate(&packed, &[row], &[], &mut square, &mut dots);
                    let Some(inverse) = inverse_length(square[0]) else { continue };
                    let estimate = dots[0] * inverse;
                    let off = (f64::from(estimate) - similarity).abs();
                    prop_assert!(off <= single_error(dimension), "{kernel:?}: {off}");
                    prop_assert!(estimate >= single_least(similarity, dimension));
                }
            }
        }
    }

    #[test]
    fn only_ordinary_lengths_have_an_estimate() {
        for length in [2.0_f32.powi(-30), 1.0, 2.0_f32.powi(50)] {
            assert_eq!(inverse_length(length * length), Some(1.0 / length));
        }
        let below = 2.0_f32.powi(-60).next_down();
        let above = 2.0_f32.powi(100).next_up();
        for square in [below, above, 0.0, -1.0, f32::INFINITY, f32::NAN] {
            assert_eq!(inverse_length(square), None, "{square}");
        }
    }

    #[test]
    fn the_least_is_never_rounded_upwards() {
        for at in 0..1000 {
            let least = f64::from(at) / 999.0 - 0.5;
            assert!(f64::from(single_least(least, 512)) <= least - single_error(512));
        }
        assert_eq!(single_least(f64::NEG_INFINITY, 512), f32::NEG_INFINITY);
        assert_eq!(single_least(f64::INFINITY, 512), f32::INFINITY);
    }
}
