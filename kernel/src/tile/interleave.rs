//! Nibbles put together into bytes, sixteen rows interleaved, with AVX2.
//!
//! Eight rows of 32 values are loaded, their nibbles put together, and the 8 x 8 matrix of groups
//! of four bytes transposed.

use std::arch::x86_64::*;

use super::{PackedRows, ROWS_PER_GROUP};
use crate::avx2::{load, store};
use crate::prefetch::ask_for;
use crate::rows::{Line, NibbleRows, VALUES_PER_LINE};

/// c as a signed byte.
pub(super) const SIGNED: u8 = 0;
/// c + 128.
pub(super) const UNSIGNED: u8 = 1;
/// t + 32 with t = (c + 2) >> 2.
pub(super) const SIX_BITS: u8 = 2;

/// Four-byte groups of 32 values: a 256-bit vector.
const GROUPS_PER_VECTOR: usize = 8;

/// So many rows later memory is asked for.
const ROWS_AHEAD: usize = 16;

/// Packs all rows in the form `FORM`, one of the constants above.
#[target_feature(enable = "avx2")]
pub(super) fn interleave<const FORM: u8>(rows: &NibbleRows<'_>, packed: &mut PackedRows) {
    let lines_per_sixteen = rows.values_per_row() / 4;
    let last = packed.rows.saturating_sub(1);
    for eight in 0..packed.squares.len() / 8 {
        let sources = rows_from::<8>(rows, eight * 8, last);
        let first = eight / 2 * lines_per_sixteen;
        let target = &mut packed.lines[first..first + lines_per_sixteen];
        let squares = eight_rows::<FORM>(&sources, rows.lines_per_row, target, eight % 2);
        packed.squares[eight * 8..][..8].copy_from_slice(&squares);
    }
    debug_assert_eq!(packed.squares.len() % ROWS_PER_GROUP, 0);
}

/// Some rows from `first` on. Rows beyond the last repeat it; their residual says that they are not
/// there.
///
/// Asks memory for later ones: packing alone has too few loads under way to read as fast as it
/// allows.
#[inline(always)]
pub(super) fn rows_from<'a, const ROWS: usize>(
    rows: &'a NibbleRows<'_>,
    first: usize,
    last: usize,
) -> [(&'a [Line], &'a [Line]); ROWS] {
    for plane in [rows.high, rows.low] {
        let lines = ROWS * rows.lines_per_row;
        ask_for(plane, (first + ROWS_AHEAD) * rows.lines_per_row, lines);
    }
    let mut found = [rows.row(last); ROWS];
    for (lane, row) in found.iter_mut().enumerate() {
        *row = rows.row((first + lane).min(last));
    }
    found
}

/// Packs eight rows into the lower or upper half of each line of `target`.
#[inline]
#[target_feature(enable = "avx2")]
fn eight_rows<const FORM: u8>(
    rows: &[(&[Line], &[Line]); 8],
    lines_per_row: usize,
    target: &mut [Line],
    half: usize,
) -> [u32; 8] {
    let mask = _mm256_set1_epi8(15);
    let mut squares = [_mm256_setzero_si256(); 8];
    let (line_targets, _) = target.as_chunks_mut::<{ VALUES_PER_LINE / 4 }>();
    for (line, target) in line_targets.iter_mut().enumerate().take(lines_per_row) {
        // Lower nibbles are values 0 to 63 of the line and upper ones 64 to 127, each in two
        // vectors.
        for quarter in 0..4 {
            let mut values = [_mm256_setzero_si256(); 8];
            for lane in 0..8 {
                let high = load(&rows[lane].0[line], quarter % 2);
                let low = load(&rows[lane].1[line], quarter % 2);
                // Bytes 16·(h + 8) + (l + 8) = c + 136.
                let byte = if quarter < 2 {
                    let high = _mm256_slli_epi16::<4>(_mm256_and_si256(high, mask));
                    _mm256_or_si256(high, _mm256_and_si256(low, mask))
                } else {
                    let low = _mm256_and_si256(_mm256_srli_epi16::<4>(low), mask);
                    _mm256_or_si256(_mm256_andnot_si256(mask, high), low)
                };
                let (value, square) = convert::<FORM>(byte);
                values[lane] = value;
                squares[lane] = _mm256_add_epi64(squares[lane], square);
            }
            let groups = transpose(values);
            for (at, group) in groups.into_iter().enumerate() {
                let line: &mut [i32; 16] =
                    bytemuck::cast_mut(&mut target[quarter * GROUPS_PER_VECTOR + at]);
                store(&mut line.as_chunks_mut::<8>().0[half], group);
            }
        }
    }
    let mut totals = [0; 8];
    for (total, sums) in totals.iter_mut().zip(squares) {
        let mut lanes = [0; 8];
        store(&mut lanes, sums);
        // 64-bit sums far below 2^32: their lower halves are everything.
        *total = lanes.iter().sum::<i32>() as u32;
    }
    totals
}

/// The bytes of a form from c + 136, and sums of squares of what is cut off.
#[inline]
#[target_feature(enable = "avx2")]
fn convert<const FORM: u8>(byte: __m256i) -> (__m256i, __m256i) {
    let zero = _mm256_setzero_si256();
    match FORM {
        SIGNED => (_mm256_add_epi8(byte, _mm256_set1_epi8(120)), zero),
        UNSIGNED => (_mm256_sub_epi8(byte, _mm256_set1_epi8(8)), zero),
        _ => {
            // (c + 130) >> 2 = ((c + 2) >> 2) + 32, and the two bits that fall off are
            // (c - 4·t) + 2.
            let shifted = _mm256_sub_epi8(byte, _mm256_set1_epi8(6));
            let value = _mm256_and_si256(_mm256_srli_epi16::<2>(shifted), _mm256_set1_epi8(63));
            let rest = _mm256_and_si256(shifted, _mm256_set1_epi8(3));
            let squares_of_rest = _mm256_set1_epi32(i32::from_le_bytes([4, 1, 0, 1]));
            let squares = _mm256_shuffle_epi8(squares_of_rest, rest);
            (value, _mm256_sad_epu8(squares, zero))
        }
    }
}

/// Transposes an 8 x 8 matrix of 32-bit groups.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn transpose(rows: [__m256i; 8]) -> [__m256i; 8] {
    let pair = |a: usize, b: usize| {
        (
            _mm256_unpacklo_epi32(rows[a], rows[b]),
            _mm256_unpackhi_epi32(rows[a], rows[b]),
        )
    };
    let four = |(a_low, a_high), (b_low, b_high)| {
        [
            _mm256_unpacklo_epi64(a_low, b_low),
            _mm256_unpackhi_epi64(a_low, b_low),
            _mm256_unpacklo_epi64(a_high, b_high),
            _mm256_unpackhi_epi64(a_high, b_high),
        ]
    };
    let front = four(pair(0, 1), pair(2, 3));
    let back = four(pair(4, 5), pair(6, 7));
    let mut columns = [_mm256_setzero_si256(); 8];
    for at in 0..4 {
        columns[at] = _mm256_permute2x128_si256::<0x20>(front[at], back[at]);
        columns[at + 4] = _mm256_permute2x128_si256::<0x31>(front[at], back[at]);
    }
    columns
}
