//! Rows of single precision coded in bytes, sixteen of them interleaved, with AVX-512.
//!
//! Each row is multiplied by s = 127 / (its largest value), t = s·x, and each product rounded to a
//! whole number c. With n = ‖t‖ its direction is t / n, so that a unit of c is worth 1 / n, and what
//! the numbers leave of the direction is ‖t − c‖ / n.
//!
//! # What rounding adds
//!
//! Let u = 2^-24 and d the number of values. The products are off by at most u·n together. Sums of d
//! squares are off by a part of (d + 2)·u, so that n and ‖t − c‖, with their roots, are by
//! (d / 2 + 4)·u, and the scale 1 / n by (d / 2 + 6)·u. Since n is at least 127 and ‖t − c‖ at most
//! 32, ‖c‖ is below 1.3·n. With r the quotient as it is computed, the residual is at most
//!
//! ```text
//! r·(1 + (d + 10)·u) + u + 1.3·(d / 2 + 6)·u
//! ```
//!
//! and terms of second order. We say r + (r + 1)·2·(d + 16)·u, which leaves room for its own
//! rounding. Products that are too small to be told from zero are within all of that, since s is at
//! most 2^36.

use std::arch::x86_64::*;

use super::interleave_avx512::{ROWS, transpose};
use super::{CODED_MAX, CODED_MIN, PackedRows};
use crate::avx512::{load, store};
use crate::rows::Line;

/// The largest number of a row.
const CODE_MAX: f32 = 127.0;
/// Values that become one line of bytes.
const VALUES: usize = 64;
/// Values of one vector.
const LANES: usize = 16;
/// Vectors that become one line of bytes.
const VECTORS: usize = VALUES / LANES;

/// Codes all rows, which are as many as there is room for, and as long.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn code(rows: &[&[f32]], packed: &mut PackedRows) {
    let lines_per_row = packed.values_per_row / VALUES;
    packed.by_row.resize(ROWS * lines_per_row, Line([0; 64]));
    let sixteens = rows
        .chunks(ROWS)
        .zip(packed.lines.chunks_exact_mut(lines_per_row * LANES));
    let bounds = packed
        .scales
        .chunks_mut(ROWS)
        .zip(packed.residuals.chunks_mut(ROWS));
    for ((rows, target), (scales, residuals)) in sixteens.zip(bounds) {
        let codes = packed.by_row.chunks_exact_mut(lines_per_row);
        for (at, (row, codes)) in rows.iter().zip(codes).enumerate() {
            (scales[at], residuals[at]) = code_row(row, codes);
        }
        for (line, target) in target.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut values = [_mm512_setzero_si512(); ROWS];
            for (row, value) in values.iter_mut().enumerate() {
                *value = load(&packed.by_row[row * lines_per_row + line]);
            }
            for (column, group) in transpose(values).into_iter().enumerate() {
                // Quarter q of a line has four values of vector v at 4·q + v: see `code_line`.
                let place = column % VECTORS * 4 + column / VECTORS;
                store(bytemuck::cast_mut(&mut target[place]), group);
            }
        }
    }
}

/// Codes a row, and returns what a unit is worth and how far the row is from what the numbers say; not
/// a number for that of a row that is very short, very long, or not finite.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn code_row(row: &[f32], codes: &mut [Line]) -> (f32, f32) {
    let largest = largest(row);
    if !(CODED_MIN..=CODED_MAX).contains(&largest) {
        return (0.0, f32::NAN);
    }
    let factor = _mm512_set1_ps(CODE_MAX / largest);
    let mut sums = Sums::new();
    let (whole, rest) = row.as_chunks::<VALUES>();
    for (values, codes) in whole.iter().zip(&mut *codes) {
        sums.code_line(bytemuck::cast_ref(values), factor, codes);
    }
    if !rest.is_empty() {
        let mut last = [[0.0; LANES]; VECTORS];
        last.as_flattened_mut()[..rest.len()].copy_from_slice(rest);
        sums.code_line(&last, factor, &mut codes[whole.len()]);
    }
    let scale = 1.0 / sum(sums.squares).sqrt();
    let residual = sum(sums.errors).sqrt() * scale;
    let rounding = (row.len() + 16) as f32 * f32::EPSILON;
    (scale, residual + (residual + 1.0) * rounding)
}

/// The largest absolute value; not a number or infinite if one of them is.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn largest(row: &[f32]) -> f32 {
    // Numbers without a sign are in the order of their bits, and those that are none are above all.
    let absolute = _mm512_set1_epi32(i32::MAX);
    let mut largest = [_mm512_setzero_si512(); VECTORS];
    let (vectors, rest) = row.as_chunks::<LANES>();
    let (lines, vectors) = vectors.as_chunks::<VECTORS>();
    for line in lines {
        for (largest, values) in largest.iter_mut().zip(line) {
            let bits = _mm512_castps_si512(load_values(values));
            *largest = _mm512_max_epi32(*largest, _mm512_and_si512(bits, absolute));
        }
    }
    for values in vectors {
        let bits = _mm512_castps_si512(load_values(values));
        largest[0] = _mm512_max_epi32(largest[0], _mm512_and_si512(bits, absolute));
    }
    let [a, b, c, d] = largest;
    let all = _mm512_max_epi32(_mm512_max_epi32(a, b), _mm512_max_epi32(c, d));
    let rest = rest.iter().map(|value| value.abs().to_bits().cast_signed());
    let largest = rest.fold(_mm512_reduce_max_epi32(all), i32::max);
    f32::from_bits(largest.cast_unsigned())
}

/// Σ t² and Σ (t − c)², in two parts each.
struct Sums {
    squares: [__m512; 2],
    errors: [__m512; 2],
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn new() -> Sums {
        let zero = [_mm512_setzero_ps(); 2];
        Sums {
            squares: zero,
            errors: zero,
        }
    }

    /// Codes values that become one line, and counts them.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn code_line(&mut self, values: &[[f32; LANES]; VECTORS], factor: __m512, codes: &mut Line) {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        let mut numbers = [_mm512_setzero_si512(); VECTORS];
        for at in 0..VECTORS {
            let product = _mm512_mul_ps(load_values(&values[at]), factor);
            numbers[at] = _mm512_cvt_roundps_epi32::<NEAREST>(product);
            let error = _mm512_sub_ps(product, _mm512_cvtepi32_ps(numbers[at]));
            let (squares, errors) = (&mut self.squares[at % 2], &mut self.errors[at % 2]);
            *squares = _mm512_fmadd_ps(product, product, *squares);
            *errors = _mm512_fmadd_ps(error, error, *errors);
        }
        // A quarter of the line has four values of each vector.
        let [a, b, c, d] = numbers;
        let bytes = _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
        let unsigned = _mm512_xor_si512(bytes, _mm512_set1_epi8(i8::MIN));
        store(bytemuck::cast_mut(codes), unsigned);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sum([a, b]: [__m512; 2]) -> f32 {
    _mm512_reduce_add_ps(_mm512_add_ps(a, b))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_values(values: &[f32; LANES]) -> __m512 {
    // SAFETY: Sixteen numbers are 64 readable bytes; the instruction asks for no alignment.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}
