//! An embedding made ready to be searched for.

use std::fmt;

use super::quantize::Codes;
use super::similarity::{length, similarity};
use crate::kernel::{Limit, PROBE_CODE_MAX};
use crate::types::Embedding;

/// Allowance for the double-precision arithmetic on both sides of a comparison: the exact score
/// of 4,096 values is off by less than 1e-12, the estimate (one product of three factors) by less
/// than 1e-15, the bound itself by less than 1e-15.
const ROUNDING: f64 = 1e-11;
/// Allowance for the single-precision arithmetic of [`Limit`]: six roundings of at most 2^-24 each,
/// of terms that add up to less than 16 (residuals are at most 3, lengths at most 4).
const LIMIT_ROUNDING: f64 = 1e-5;

/// A probe with what a scan needs of it: the values, their length, and their code.
#[derive(Clone)]
pub struct Probe {
    values: Box<[f32]>,
    length: f64,
    code: ProbeCode,
}

impl Probe {
    /// Prepares `embedding`. Costs a few passes over its values.
    pub fn new(embedding: &Embedding) -> Probe {
        let values: Box<[f32]> = embedding.values().into();
        let length = length(&values);
        let code = ProbeCode::new(&values, length, PROBE_CODE_MAX);
        Probe {
            values,
            length,
            code,
        }
    }

    /// How many values the probe has.
    pub fn dimension(&self) -> usize {
        self.values.len()
    }

    /// The probe in eight bits.
    pub fn code(&self) -> &ProbeCode {
        &self.code
    }

    /// The probe in numbers of at most `largest`.
    pub fn code_of(&self, largest: i8) -> ProbeCode {
        ProbeCode::new(&self.values, self.length, largest)
    }

    /// The probe divided by its length, in single precision.
    pub fn unit(&self) -> Vec<f32> {
        let unit = |&value: &f32| (f64::from(value) / self.length) as f32;
        self.values.iter().map(unit).collect()
    }

    /// The exact similarity to a row of single-precision numbers.
    pub fn similarity(&self, row: &[f32], row_length: f64) -> f64 {
        similarity(&self.values, self.length, row, row_length)
    }
}

/// A probe in whole numbers, and how far they are from the truth.
#[derive(Clone)]
pub struct ProbeCode {
    numbers: Vec<i8>,
    scale: f64,
    residual: f64,
}

impl ProbeCode {
    fn new(values: &[f32], length: f64, largest: i8) -> ProbeCode {
        let codes = Codes::of_probe(values, length, largest);
        ProbeCode {
            scale: f64::from(codes.scale),
            residual: f64::from(codes.residual_fine),
            numbers: codes.values,
        }
    }

    /// The numbers, one for each value.
    pub fn numbers(&self) -> &[i8] {
        &self.numbers
    }

    /// What the dot product `codes_dot` of the two codes says of the similarity.
    pub fn estimate(&self, codes_dot: i32, row_scale: f32) -> f64 {
        f64::from(codes_dot) * (self.scale * f64::from(row_scale))
    }

    /// The most that [`ProbeCode::estimate`] and [`Probe::similarity`] can differ for a row with
    /// this residual. The derivation stands at the top of this folder.
    pub fn score_error(&self, row_residual: f32) -> f64 {
        let residual = f64::from(row_residual);
        self.residual * (1.0 + residual) + residual + ROUNDING
    }

    /// The limit that kernels compare with: it reports every row whose estimate plus error reaches
    /// `least`, and hardly any other.
    ///
    /// From estimate + error >= least, divided by the probe's scale q:
    /// dot·s + r·(1 + e)/q >= (least − e − rounding)/q.
    #[inline]
    pub fn limit(&self, least: f64) -> Limit {
        let height = (least - self.residual - ROUNDING - LIMIT_ROUNDING) / self.scale;
        Limit {
            weight: ((1.0 + self.residual) / self.scale) as f32,
            least: height as f32,
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe({} values)", self.values.len())
    }
}

impl fmt::Debug for ProbeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProbeCode({} values)", self.numbers.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::code::Planes;
    use crate::kernel::{Ahead, Bounds, Hit, Isa, Kernel, ScanProbe, coded_values};
    use crate::types::ClassId;

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

    /// As a search codes rows that lie in single precision.
    fn assert_bound_of_coded_rows_holds(probe: &Probe, row: &[f32], exact: f64) {
        for kernel in Isa::available().filter_map(Kernel::for_isa) {
            if kernel.code_probes_min().is_none() {
                continue;
            }
            let code = probe.code_of(kernel.form().probe_code_max());
            let packed_probes = kernel.pack_probes(coded_values(row.len()), &[code.numbers()]);
            let mut packed = kernel.packed_rows();
            kernel.code(&[row], &mut packed);
            let Bounds { scales, residuals } = packed.bounds();
            if residuals[0].is_nan() {
                continue;
            }
            let mut limits = vec![Limit::NOTHING; packed_probes.limits()];
            limits[0] = code.limit(exact);
            let mut hits = Vec::new();
            kernel.tile(
                &packed_probes,
                &packed,
                0,
                &limits,
                Ahead::default(),
                &mut hits,
            );
            assert_eq!(hits.len(), 1, "{:?} has lost a row", limits[0]);
            let difference = (code.estimate(hits[0].dot, scales[0]) - exact).abs();
            let error = code.score_error(residuals[0]);
            assert!(
                difference <= error,
                "difference {difference} exceeds the bound {error}"
            );
        }
    }

    /// Every way in which a search may look at a row: the bound holds, and a limit just below the
    /// score lets the row pass.
    fn assert_bound_holds(probe: Vec<f32>, row: &[f32]) {
        let probe = Probe::new(&Embedding::new(probe).unwrap());
        let row_length = length(row);
        let exact = probe.similarity(row, row_length);
        assert_bound_of_coded_rows_holds(&probe, row, exact);
        let mut planes = Planes::new(row.len());
        planes.push(ClassId(1), row);
        let rows = planes.block(0..1);
        let kernel = Kernel::for_isa(Isa::Scalar).unwrap();
        let scanned = ScanProbe::new(probe.code().numbers());
        let check = |code: &ProbeCode, limit: Limit, hits: &[Hit], bounds: Bounds<'_>| {
            assert_eq!(hits.len(), 1, "{limit:?} has lost a row");
            let difference = (code.estimate(hits[0].dot, bounds.scales[0]) - exact).abs();
            let error = code.score_error(bounds.residuals[0]);
            assert!(
                difference <= error,
                "difference {difference} exceeds the bound {error}"
            );
        };
        let limit = probe.code().limit(exact);
        let (mut coarse, mut fine) = (Vec::new(), Vec::new());
        kernel.coarse(
            &scanned,
            &rows.nibbles(),
            &rows.bounds_coarse(),
            limit,
            &mut coarse,
        );
        kernel.fine(
            &scanned,
            &rows.nibbles(),
            &rows.bounds_fine(),
            limit,
            &mut fine,
        );
        check(probe.code(), limit, &coarse, rows.bounds_coarse());
        check(probe.code(), limit, &fine, rows.bounds_fine());
        for kernel in Isa::available().filter_map(Kernel::for_isa) {
            let code = probe.code_of(kernel.form().probe_code_max());
            let values_per_row = rows.nibbles().values_per_row();
            let packed_probes = kernel.pack_probes(values_per_row, &[code.numbers()]);
            let mut packed = kernel.packed_rows();
            rows.pack(kernel, &mut packed);
            let mut limits = vec![Limit::NOTHING; packed_probes.limits()];
            limits[0] = code.limit(exact);
            let mut hits = Vec::new();
            kernel.tile(
                &packed_probes,
                &packed,
                0,
                &limits,
                Ahead::default(),
                &mut hits,
            );
            let (scales, residuals) = packed.bounds_mut();
            check(&code, limits[0], &hits, Bounds { scales, residuals });
        }
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
            // Likewise as rows in single precision are coded.
            let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let numbers = row.iter().map(|value| value * (127.0 / largest));
            let error: Vec<f32> = numbers.map(|it| it - it.round_ties_even()).collect();
            prop_assume!(error.iter().any(|&value| value != 0.0));
            for sign in [1.0, -1.0] {
                assert_bound_holds(error.iter().map(|value| value * sign).collect(), &row);
            }
        }
    }
}
