//! An embedding made ready to be searched for.

use std::fmt;

use super::quantize::Codes;
use super::similarity::{length, similarity};
use crate::types::Embedding;

/// Allowance for the double-precision arithmetic on both sides of a comparison: the exact score
/// of 4,096 values is off by less than 1e-12, the estimate (one product of three factors) by less
/// than 1e-15, the bound itself by less than 1e-15.
const ROUNDING: f64 = 1e-11;

/// A probe with what a scan needs of it: the values, their length, and their code.
#[derive(Clone)]
pub struct Probe {
    values: Box<[f32]>,
    length: f64,
    codes: Vec<i8>,
    scale: f64,
    residual: f64,
}

impl Probe {
    /// Prepares `embedding`. Costs a few passes over its values.
    pub fn new(embedding: &Embedding) -> Probe {
        let values: Box<[f32]> = embedding.values().into();
        let length = length(&values);
        let codes = Codes::of_probe(&values, length);
        Probe {
            length,
            scale: f64::from(codes.scale),
            residual: f64::from(codes.residual_fine),
            codes: codes.values,
            values,
        }
    }

    /// How many values the probe has.
    pub fn dimension(&self) -> usize {
        self.values.len()
    }

    /// The probe in whole numbers from -127 to 127, one for each value.
    pub fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// The exact similarity to a row of single-precision numbers.
    pub fn similarity(&self, row: &[f32], row_length: f64) -> f64 {
        similarity(&self.values, self.length, row, row_length)
    }

    /// What the dot product `codes_dot` of the two codes says of the similarity.
    pub fn estimate(&self, codes_dot: i32, row_scale: f32) -> f64 {
        f64::from(codes_dot) * (self.scale * f64::from(row_scale))
    }

    /// The most that [`Probe::estimate`] and [`Probe::similarity`] can differ for a row with this
    /// residual. The derivation stands at the top of this folder.
    pub fn score_error(&self, row_residual: f32) -> f64 {
        let residual = f64::from(row_residual);
        self.residual * (1.0 + residual) + residual + ROUNDING
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe({} values)", self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows that attack the bound: ordinary ones, one value that dwarfs the others, all equal,
    /// denormal, and near the largest number.
    fn row(dimension: usize) -> impl Strategy<Value = Vec<f32>> {
        let ordinary = prop::collection::vec(-1.0_f32..1.0, dimension);
        prop_oneof![
            4 => ordinary.clone(),
            1 => (ordinary.clone(), 0..dimension, 1.0_f32..1e6).prop_map(|(mut row, at, value)| {
                row[at] = value;
                row
            }),
            1 => (1e-3_f32..1e3).prop_map(move |value| vec![value; dimension]),
            1 => ordinary.clone().prop_map(|row| row.iter().map(|v| v * 1e-42).collect()),
            1 => ordinary.prop_map(|row| row.iter().map(|v| v * 3e38).collect()),
        ]
        .prop_filter("an embedding is not all zeros", |row: &Vec<f32>| {
            row.iter().any(|&v| v != 0.0)
        })
    }

    fn assert_bound_holds(probe: Vec<f32>, row: &[f32]) {
        let probe = Probe::new(&Embedding::new(probe).unwrap());
        let row_length = length(row);
        let codes = Codes::of_template(row, row_length);
        let exact = probe.similarity(row, row_length);
        let fine: i32 = dot(&probe.codes, codes.values.iter().copied());
        let coarse: i32 = dot(
            &probe.codes,
            codes
                .values
                .iter()
                .map(|&code| 16 * super::super::quantize::high_nibble(code)),
        );
        for (dot, residual) in [(fine, codes.residual_fine), (coarse, codes.residual_coarse)] {
            let difference = (probe.estimate(dot, codes.scale) - exact).abs();
            let bound = probe.score_error(residual);
            assert!(
                difference <= bound,
                "difference {difference} exceeds the bound {bound}"
            );
        }
    }

    fn dot(a: &[i8], b: impl Iterator<Item = i8>) -> i32 {
        a.iter()
            .zip(b)
            .map(|(&a, b)| i32::from(a) * i32::from(b))
            .sum()
    }

    proptest! {
        #[test]
        fn no_row_breaks_the_bound(pair in (16_usize..300).prop_flat_map(|d| (row(d), row(d)))) {
            assert_bound_holds(pair.0, &pair.1);
        }

        #[test]
        fn a_row_compared_with_itself_does_not_either(row in row(128)) {
            assert_bound_holds(row.clone(), &row);
        }

        /// The worst case of Cauchy-Schwarz: the probe points along the row's own error.
        #[test]
        fn a_probe_along_the_error_does_not_either(row in prop::collection::vec(-1.0_f32..1.0, 64)) {
            prop_assume!(row.iter().any(|&value| value != 0.0));
            let row_length = length(&row);
            let codes = Codes::of_template(&row, row_length);
            let error: Vec<f32> = row
                .iter()
                .zip(&codes.values)
                .map(|(&value, &code)| {
                    (f64::from(value) / row_length - f64::from(codes.scale) * f64::from(code)) as f32
                })
                .collect();
            prop_assume!(error.iter().any(|&value| value != 0.0));
            assert_bound_holds(error, &row);
        }
    }
}
