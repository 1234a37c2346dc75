//! From an embedding to whole numbers, with the error kept.

/// The largest absolute value of a row's code: 16 * 7 + 7.
const CODE_MAX: f64 = 119.0;

/// Upper bound of the relative error that computing a residual in double precision can make: sums
/// of up to 4,096 squares, each term with a few roundings, stay below 4,200 * 2^-52 ≈ 1e-12.
const RESIDUAL_RELATIVE_ERROR: f64 = 1e-11;
/// Upper bound of its absolute error: each coordinate of the direction is off by at most about
/// 4,100 * 2^-53 relative (from the length), so the whole vector by as much.
const RESIDUAL_ABSOLUTE_ERROR: f64 = 1e-12;

/// A row as whole numbers from -119 to 119, and how far it is from the truth.
#[derive(Clone, PartialEq)]
pub struct Codes {
    /// One number for each value.
    pub values: Vec<i8>,
    /// What a number is worth: value ≈ scale * number.
    pub scale: f32,
    /// At least ‖u − û‖ when only the numbers rounded to multiples of 16 are used.
    pub residual_coarse: f32,
    /// At least ‖u − û‖ for the numbers as they are.
    pub residual_fine: f32,
}

impl std::fmt::Debug for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Codes({} values)", self.values.len())
    }
}

impl Codes {
    /// Codes a template whose length is `length`.
    pub fn of_template(row: &[f32], length: f64) -> Codes {
        let (values, scale) = quantize(row, length, CODE_MAX);
        let coarse = values.iter().map(|&value| 16 * high_nibble(value));
        let residual_coarse = residual(row, length, scale, coarse);
        let residual_fine = residual(row, length, scale, values.iter().copied());
        Codes {
            values,
            scale,
            residual_coarse,
            residual_fine,
        }
    }

    /// Codes a probe in numbers of at most `largest`, with only the fine residual, which stands in
    /// both fields.
    pub fn of_probe(row: &[f32], length: f64, largest: i8) -> Codes {
        let (values, scale) = quantize(row, length, f64::from(largest));
        let residual = residual(row, length, scale, values.iter().copied());
        Codes {
            values,
            scale,
            residual_coarse: residual,
            residual_fine: residual,
        }
    }
}

/// The multiple of 16 nearest to a code, divided by 16: -7 to 7. Halves round upwards, so that
/// the rest lies in -8..=7.
pub(super) fn high_nibble(code: i8) -> i8 {
    debug_assert!(
        code.unsigned_abs() <= 119,
        "codes of templates keep within ±119"
    );
    (code + 8) >> 4
}

fn quantize(row: &[f32], length: f64, code_max: f64) -> (Vec<i8>, f32) {
    let largest = row.iter().fold(0.0_f64, |largest, &value| {
        largest.max(f64::from(value).abs())
    });
    // At least 1 / 64 / 127 for 4,096 values or fewer, so never zero or denormal.
    let scale = (largest / length / code_max) as f32;
    let factor = 1.0 / (length * f64::from(scale));
    let code = |&value: &f32| {
        (f64::from(value) * factor)
            .round()
            .clamp(-code_max, code_max) as i8
    };
    (row.iter().map(code).collect(), scale)
}

/// ‖u − scale·codes‖, rounded upwards to single precision.
fn residual(row: &[f32], length: f64, scale: f32, codes: impl Iterator<Item = i8>) -> f32 {
    let scale = f64::from(scale);
    let squares = row.iter().zip(codes).map(|(&value, code)| {
        let difference = f64::from(value) / length - scale * f64::from(code);
        difference * difference
    });
    let computed = squares.sum::<f64>().sqrt();
    let bound = computed * (1.0 + RESIDUAL_RELATIVE_ERROR) + RESIDUAL_ABSOLUTE_ERROR;
    round_up(bound)
}

/// The smallest single-precision number that is not below `value`.
pub(super) fn round_up(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) < value {
        nearest.next_up()
    } else {
        nearest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::code::length;

    #[test]
    fn nibbles_put_every_code_together_again() {
        for code in -119..=119_i8 {
            let high = high_nibble(code);
            let low = code - 16 * high;
            assert!(
                (-7..=7).contains(&high) && (-8..=7).contains(&low),
                "{code} = 16 * {high} + {low}"
            );
        }
    }

    #[test]
    fn rounding_up_never_rounds_down() {
        for value in [0.0, 0.1, 1.0, 1.0 + 1e-9, 1e-30] {
            assert!(f64::from(round_up(value)) >= value);
        }
    }

    #[test]
    fn a_row_along_one_axis_has_no_error_to_speak_of() {
        let mut row = vec![0.0_f32; 128];
        row[77] = -5e-20;
        let codes = Codes::of_template(&row, length(&row));
        assert_eq!(codes.values[77], -119);
        assert!(codes.residual_fine < 1e-6, "{}", codes.residual_fine);
    }

    proptest! {
        #[test]
        fn residuals_are_small_for_ordinary_rows_and_coarse_ones_larger(
            row in prop::collection::vec(-1.0_f32..1.0, 128)
        ) {
            let codes = Codes::of_template(&row, length(&row));
            prop_assert!(codes.residual_fine < 0.02);
            prop_assert!(codes.residual_coarse < 0.2);
            prop_assert!(codes.residual_fine < codes.residual_coarse);
        }
    }
}
