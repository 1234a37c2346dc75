//! Rows of single precision coded in six bits, sixteen of them interleaved, with AVX2.
//!
//! Each row is multiplied by s = 31 / (its largest value), t = s·x, and each product rounded to a whole
//! number c, which stands for 4·c as packed nibbles do. With n = ‖t‖ its direction is t / n, so that a
//! unit of 4·c is worth 1 / (4·n), and what the numbers leave of the direction is ‖t − c‖ / n.
//!
//! # What rounding adds
//!
//! As for eight bits (see `code_avx512`), where n is at least 31 in place of 127: ‖t − c‖ is at most
//! 32, so that ‖c‖ is below 2.1·n, and the residual is at most
//!
//! ```text
//! r·(1 + (d + 10)·u) + u + 2.1·(d / 2 + 6)·u
//! ```
//!
//! and terms of second order, which r + (r + 1)·2·(d + 16)·u is above, too.

use std::arch::x86_64::*;

use super::interleave::transpose;
use super::{CODED_MAX, CODED_MIN, PackedRows};
use crate::avx2::{load, load_f32, store};
use crate::rows::Line;

/// The largest number of a row.
const CODE_MAX: f32 = 31.0;
/// What a row's numbers are stored with.
const ROW_OFFSET: i8 = 32;
/// Rows that are interleaved at once: half of each line.
const ROWS: usize = 8;
/// Values of one vector.
const LANES: usize = 8;
/// Vectors that become one vector of bytes.
const VECTORS: usize = 4;
/// Values that become one vector of bytes.
const VALUES: usize = LANES * VECTORS;

/// Codes all rows, which are as many as there is room for, and as long.
#[target_feature(enable = "avx2")]
pub(super) fn code(rows: &[&[f32]], packed: &mut PackedRows) {
    let lines_per_row = packed.values_per_row / size_of::<Line>();
    packed.by_row.resize(ROWS * lines_per_row, Line([0; 64]));
    let lines_per_sixteen = packed.values_per_row / 4;
    for (eight, rows) in rows.chunks(ROWS).enumerate() {
        let codes = packed.by_row.chunks_exact_mut(lines_per_row);
        for (at, (row, codes)) in rows.iter().zip(codes).enumerate() {
            let first = eight * ROWS + at;
            (packed.scales[first], packed.residuals[first]) = code_row(row, codes);
        }
        let first = eight / 2 * lines_per_sixteen;
        let target = &mut packed.lines[first..][..lines_per_sixteen];
        for (chunk, target) in target.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut values = [_mm256_setzero_si256(); ROWS];
            for (row, value) in values.iter_mut().enumerate() {
                *value = load(&packed.by_row[row * lines_per_row + chunk / 2], chunk % 2);
            }
            for (place, group) in transpose(values).into_iter().enumerate() {
                // Each half of a vector of bytes has four values of each vector: see `code_values`.
                let line = &mut target[place % VECTORS * 2 + place / VECTORS];
                let line: &mut [i32; 16] = bytemuck::cast_mut(line);
                store(&mut line.as_chunks_mut::<8>().0[eight % 2], group);
            }
        }
    }
}

/// Codes a row, and returns what a unit is worth and how far the row is from what the numbers say; not
/// a number for that of a row that is very short, very long, or not finite.
#[inline]
#[target_feature(enable = "avx2")]
fn code_row(row: &[f32], codes: &mut [Line]) -> (f32, f32) {
    let largest = largest(row);
    if !(CODED_MIN..=CODED_MAX).contains(&largest) {
        return (0.0, f32::NAN);
    }
    let factor = _mm256_set1_ps(CODE_MAX / largest);
    let mut sums = Sums::new();
    let mut halves = codes.iter_mut().flat_map(|line| {
        let line: &mut [i32; 16] = bytemuck::cast_mut(line);
        line.as_chunks_mut::<LANES>().0
    });
    let (whole, rest) = row.as_chunks::<VALUES>();
    for (values, codes) in whole.iter().zip(&mut halves) {
        sums.code_values(bytemuck::cast_ref(values), factor, codes);
    }
    let mut last = [[0.0; LANES]; VECTORS];
    last.as_flattened_mut()[..rest.len()].copy_from_slice(rest);
    for codes in halves {
        sums.code_values(&last, factor, codes);
        last = [[0.0; LANES]; VECTORS];
    }
    let inverse = 1.0 / sum(sums.squares).sqrt();
    let residual = sum(sums.errors).sqrt() * inverse;
    let rounding = (row.len() + 16) as f32 * f32::EPSILON;
    (0.25 * inverse, residual + (residual + 1.0) * rounding)
}

/// The largest absolute value; not a number or infinite if one of them is.
#[inline]
#[target_feature(enable = "avx2")]
fn largest(row: &[f32]) -> f32 {
    // Numbers without a sign are in the order of their bits, and those that are none are above all.
    let absolute = _mm256_set1_epi32(i32::MAX);
    let mut largest = [_mm256_setzero_si256(); VECTORS];
    let (vectors, rest) = row.as_chunks::<LANES>();
    for (at, values) in vectors.iter().enumerate() {
        let bits = _mm256_and_si256(_mm256_castps_si256(load_f32(values)), absolute);
        largest[at % VECTORS] = _mm256_max_epi32(largest[at % VECTORS], bits);
    }
    let [a, b, c, d] = largest;
    let mut all = [0; LANES];
    store(
        &mut all,
        _mm256_max_epi32(_mm256_max_epi32(a, b), _mm256_max_epi32(c, d)),
    );
    let rest = rest.iter().map(|value| value.abs().to_bits().cast_signed());
    let largest = rest.chain(all).fold(0, i32::max);
    f32::from_bits(largest.cast_unsigned())
}

/// Σ t² and Σ (t − c)², in two parts each.
struct Sums {
    squares: [__m256; 2],
    errors: [__m256; 2],
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Sums {
        let zero = [_mm256_setzero_ps(); 2];
        Sums {
            squares: zero,
            errors: zero,
        }
    }

    /// Codes values that become one vector, and counts them.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn code_values(
        &mut self,
        values: &[[f32; LANES]; VECTORS],
        factor: __m256,
        codes: &mut [i32; 8],
    ) {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        let mut numbers = [_mm256_setzero_si256(); VECTORS];
        for at in 0..VECTORS {
            let product = _mm256_mul_ps(load_f32(&values[at]), factor);
            let rounded = _mm256_round_ps::<NEAREST>(product);
            numbers[at] = _mm256_cvtps_epi32(rounded);
            let error = _mm256_sub_ps(product, rounded);
            let (squares, errors) = (&mut self.squares[at % 2], &mut self.errors[at % 2]);
            *squares = _mm256_add_ps(*squares, _mm256_mul_ps(product, product));
            *errors = _mm256_add_ps(*errors, _mm256_mul_ps(error, error));
        }
        // Half of the vector has four values of each of the others.
        let [a, b, c, d] = numbers;
        let bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        store(codes, _mm256_add_epi8(bytes, _mm256_set1_epi8(ROW_OFFSET)));
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum([a, b]: [__m256; 2]) -> f32 {
    let mut lanes = [0; LANES];
    store(&mut lanes, _mm256_castps_si256(_mm256_add_ps(a, b)));
    lanes
        .map(|bits| f32::from_bits(bits.cast_unsigned()))
        .iter()
        .sum()
}
