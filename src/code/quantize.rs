//! From an embedding to whole numbers, with the error kept.

/// The largest absolute value of a row's code: 16 * 7 + 7.
const CODE_MAX: f64 = 119.0;

/// Upper bound of the relative error that computing a residual in double precision can make: sums
/// of up to 4,096 squares, each term with a few roundings, stay below 4,200 * 2^-52 ≈ 1e-12.
const RESIDUAL_RELATIVE_ERROR: f64 = 1e-11;
/// Adding this, one and a half times 2^52, rounds to a whole number, halves to the even one, and
/// leaves it in the lowest bits.
const TO_WHOLE: f64 = 6_755_399_441_055_744.0;
/// Numbers that are worked on side by side.
const LANES: usize = 16;

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
        let (residual_coarse, residual_fine) = residuals(row, length, scale, &values);
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
        let (_, residual) = residuals(row, length, scale, &values);
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
    // Codes of templates keep within ±119. What overflows beyond that is a probe's, whose nibbles
    // nobody reads.
    code.wrapping_add(8) >> 4
}

fn quantize(row: &[f32], length: f64, code_max: f64) -> (Vec<i8>, f32) {
    // Numbers without a sign are in the order of their bits.
    let bits = row.iter().map(|value| value.abs().to_bits().cast_signed());
    let largest = f64::from(f32::from_bits(bits.fold(0, i32::max).cast_unsigned()));
    // At least 1 / 64 / 127 for 4,096 values or fewer, so never zero or denormal.
    let scale = (largest / length / code_max) as f32;
    let factor = 1.0 / (length * f64::from(scale));
    let mut codes = vec![0; row.len()];
    for (code, &value) in codes.iter_mut().zip(row) {
        *code = whole(f64::from(value) * factor, code_max);
    }
    (codes, scale)
}

/// The nearest whole number of at most `most`, halves away from zero. In operations that processors
/// have for several numbers at once, which they have not for [`f64::round`].
fn whole(value: f64, most: f64) -> i8 {
    let absolute = value.abs();
    let even = (absolute + TO_WHOLE) - TO_WHOLE;
    // The difference is exact. It is a half where one was rounded down.
    let nearest = even + if absolute - even == 0.5 { 1.0 } else { 0.0 };
    let nearest = if nearest < most { nearest } else { most };
    (nearest.copysign(value) + TO_WHOLE).to_bits() as i8
}

/// ‖u − scale·codes‖, rounded upwards to single precision: for the multiples of 16 that are nearest to
/// the codes, and for the codes. Squares are added one after the other, so that files have the same bytes
/// everywhere.
fn residuals(row: &[f32], length: f64, scale: f32, codes: &[i8]) -> (f32, f32) {
    let scale = f64::from(scale);
    let (mut coarse, mut fine) = (0.0, 0.0);
    for (values, codes) in row.chunks(LANES).zip(codes.chunks(LANES)) {
        let (mut of_coarse, mut of_fine) = ([0.0; LANES], [0.0; LANES]);
        let squares = of_coarse.iter_mut().zip(&mut of_fine);
        for (((of_coarse, of_fine), &value), &code) in squares.zip(values).zip(codes) {
            let direction = f64::from(value) / length;
            let multiple = 16 * i32::from(high_nibble(code));
            let difference = direction - scale * f64::from(multiple);
            *of_coarse = difference * difference;
            let difference = direction - scale * f64::from(code);
            *of_fine = difference * difference;
        }
        for (of_coarse, of_fine) in of_coarse.iter().zip(&of_fine).take(values.len()) {
            coarse += of_coarse;
            fine += of_fine;
        }
    }
    let bound = |sum: f64| {
        let computed = sum.sqrt();
        round_up(computed * (1.0 + RESIDUAL_RELATIVE_ERROR) + RESIDUAL_ABSOLUTE_ERROR)
    };
    (bound(coarse), bound(fine))
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

    /// The definition: what files had before, and must have.
    fn plainly(row: &[f32], length: f64) -> (Vec<i8>, f32, f32, f32) {
        let largest = row.iter().map(|value| f64::from(value.abs()));
        let scale = (largest.fold(0.0, f64::max) / length / CODE_MAX) as f32;
        let factor = 1.0 / (length * f64::from(scale));
        let code = |value: &f32| {
            let rounded = (f64::from(*value) * factor).round();
            rounded.clamp(-CODE_MAX, CODE_MAX) as i8
        };
        let codes: Vec<i8> = row.iter().map(code).collect();
        let residual = |number: &dyn Fn(i8) -> f64| {
            let difference = |(value, code): (&f32, &i8)| {
                f64::from(*value) / length - f64::from(scale) * number(*code)
            };
            let squares = row.iter().zip(&codes).map(difference);
            let sum = squares.fold(0.0, |sum: f64, it: f64| sum + it * it);
            round_up(sum.sqrt() * (1.0 + RESIDUAL_RELATIVE_ERROR) + RESIDUAL_ABSOLUTE_ERROR)
        };
        let coarse = residual(&|code| f64::from((i32::from(code) + 8).div_euclid(16) * 16));
        let fine = residual(&|code| f64::from(code));
        (codes, scale, coarse, fine)
    }

    #[test]
    fn halves_are_rounded_away_from_zero_and_nothing_else() {
        let mut tried = Vec::new();
        for half in -260..=260 {
            let value = f64::from(half) / 2.0;
            tried.extend([value.next_down(), value, value.next_up()]);
        }
        tried.extend([
            -0.0,
            f64::MIN_POSITIVE,
            0.5_f64.next_down(),
            127.49,
            -1e9,
            1e9,
        ]);
        for value in tried {
            for most in [31.0, CODE_MAX, 127.0] {
                let expected = value.round().clamp(-most, most) as i8;
                assert_eq!(whole(value, most), expected, "{value:?} of at most {most}");
            }
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
        fn templates_are_coded_as_ever_bit_by_bit(
            row in prop::collection::vec(prop_oneof![
                -1.0_f32..1.0, Just(0.0), Just(-0.0), Just(1.0), Just(0.5), Just(f32::MIN_POSITIVE),
                Just(1e-44), -1e30_f32..1e30,
            ], 16..200)
        ) {
            let length = length(&row);
            prop_assume!(length > 0.0);
            let codes = Codes::of_template(&row, length);
            let (values, scale, coarse, fine) = plainly(&row, length);
            prop_assert_eq!(codes.values, values);
            let bits = [codes.scale, codes.residual_coarse, codes.residual_fine].map(f32::to_bits);
            prop_assert_eq!(bits, [scale, coarse, fine].map(f32::to_bits));
        }

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
