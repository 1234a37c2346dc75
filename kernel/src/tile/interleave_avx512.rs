//! Nibbles put together into bytes, sixteen rows interleaved, with AVX-512.
//!
//! Sixteen rows of 64 values are loaded, their nibbles put together, and the 16 x 16 matrix of
//! groups of four bytes transposed: half the instructions of [`super::interleave`], and whole lines
//! are written.

use std::arch::x86_64::*;

use super::interleave::rows_from;
use super::{PackedRows, ROWS_PER_GROUP};
use crate::avx512::{load, store};
use crate::rows::{Line, NibbleRows, VALUES_PER_LINE};

/// Rows side by side in a line.
pub(super) const ROWS: usize = 16;
/// Lines into which a line of each row is packed, half of them from its lower nibbles.
const LINES: usize = VALUES_PER_LINE / 4;

/// Packs all rows as c + 128.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn interleave(rows: &NibbleRows<'_>, packed: &mut PackedRows) {
    debug_assert_eq!(packed.squares.len() % ROWS_PER_GROUP, 0);
    let last = packed.rows.saturating_sub(1);
    let targets = packed.lines.chunks_exact_mut(rows.values_per_row() / 4);
    for (sixteen, target) in targets.enumerate() {
        let sources = rows_from::<ROWS>(rows, sixteen * ROWS, last);
        let (targets, _) = target.as_chunks_mut::<LINES>();
        for (line, target) in targets.iter_mut().enumerate() {
            let (lower, upper) = target.split_at_mut(LINES / 2);
            pack_half::<false>(&sources, line, lower);
            pack_half::<true>(&sources, line, upper);
        }
    }
}

/// Packs the lower or the upper nibbles of one line of each row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn pack_half<const UPPER: bool>(
    rows: &[(&[Line], &[Line]); ROWS],
    line: usize,
    target: &mut [Line],
) {
    /// Where the bits of the first operand are ones the second, elsewhere the third.
    const CHOOSE: i32 = 0b1100_1010;
    let mask = _mm512_set1_epi8(15);
    let mut values = [_mm512_setzero_si512(); ROWS];
    for (value, row) in values.iter_mut().zip(rows) {
        let (high, low) = (load(&row.0[line]), load(&row.1[line]));
        // Bytes 16·(h + 8) + (l + 8) = c + 136.
        let byte = if UPPER {
            _mm512_ternarylogic_epi32::<CHOOSE>(mask, _mm512_srli_epi16::<4>(low), high)
        } else {
            _mm512_ternarylogic_epi32::<CHOOSE>(mask, low, _mm512_slli_epi16::<4>(high))
        };
        *value = _mm512_sub_epi8(byte, _mm512_set1_epi8(8));
    }
    for (line, group) in target.iter_mut().zip(transpose(values)) {
        store(bytemuck::cast_mut(line), group);
    }
}

/// Transposes a 16 x 16 matrix of 32-bit groups.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(rows: [__m512i; ROWS]) -> [__m512i; ROWS] {
    // Within quarters of vectors: fours[q][c] holds column 4·L + c of rows 4·q to 4·q + 3 in
    // quarter L.
    let mut fours = [[_mm512_setzero_si512(); 4]; 4];
    for (q, four) in fours.iter_mut().enumerate() {
        let [a, b, c, d] = [
            rows[4 * q],
            rows[4 * q + 1],
            rows[4 * q + 2],
            rows[4 * q + 3],
        ];
        let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (later_low, later_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        *four = [
            _mm512_unpacklo_epi64(low, later_low),
            _mm512_unpackhi_epi64(low, later_low),
            _mm512_unpacklo_epi64(high, later_high),
            _mm512_unpackhi_epi64(high, later_high),
        ];
    }
    // Then of whole quarters.
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    let mut columns = [_mm512_setzero_si512(); ROWS];
    for c in 0..4 {
        let [p, q, r, s] = [fours[0][c], fours[1][c], fours[2][c], fours[3][c]];
        let even = _mm512_shuffle_i32x4::<EVEN>(p, q);
        let odd = _mm512_shuffle_i32x4::<ODD>(p, q);
        let later_even = _mm512_shuffle_i32x4::<EVEN>(r, s);
        let later_odd = _mm512_shuffle_i32x4::<ODD>(r, s);
        columns[c] = _mm512_shuffle_i32x4::<EVEN>(even, later_even);
        columns[4 + c] = _mm512_shuffle_i32x4::<EVEN>(odd, later_odd);
        columns[8 + c] = _mm512_shuffle_i32x4::<ODD>(even, later_even);
        columns[12 + c] = _mm512_shuffle_i32x4::<ODD>(odd, later_odd);
    }
    columns
}
