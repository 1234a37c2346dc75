//! AVX2: nibbles times bytes with `vpmaddubsw`, eight sums in 16 bits before they are widened.

use std::arch::x86_64::*;

use super::x86::{prefetch_share, scan_table};
use crate::avx2::load;
use crate::rows::Line;

scan_table!("avx2", four_rows, one_row, super::COARSE_SHARE_MAX);

/// A line adds two sums to each of two accumulators, and eight sums fit.
const LINES_PER_WIDENING: usize = 4;

#[inline]
#[target_feature(enable = "avx2")]
fn four_rows(probe: &[[Line; 2]], rows: [&[Line]; 4], later: &[Line]) -> [__m256i; 4] {
    let [a, b, c, d] = rows;
    let count = probe.len();
    let rows = [&a[..count], &b[..count], &c[..count], &d[..count]];
    let mask = _mm256_set1_epi8(15);
    let ones = _mm256_set1_epi16(1);
    let mut wide = [_mm256_setzero_si256(); 4];
    for first in (0..probe.len()).step_by(LINES_PER_WIDENING) {
        let mut sums = [[_mm256_setzero_si256(); 2]; 4];
        for at in first..probe.len().min(first + LINES_PER_WIDENING) {
            prefetch_share(later, at);
            for half in 0..2 {
                let front = load(&probe[at][0], half);
                let back = load(&probe[at][1], half);
                for row in 0..4 {
                    let bytes = load(&rows[row][at], half);
                    let lower = _mm256_and_si256(bytes, mask);
                    let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask);
                    let lower = _mm256_maddubs_epi16(lower, front);
                    let upper = _mm256_maddubs_epi16(upper, back);
                    sums[row][0] = _mm256_add_epi16(sums[row][0], lower);
                    sums[row][1] = _mm256_add_epi16(sums[row][1], upper);
                }
            }
        }
        for row in 0..4 {
            for sum in sums[row] {
                wide[row] = _mm256_add_epi32(wide[row], _mm256_madd_epi16(sum, ones));
            }
        }
    }
    wide
}

#[inline]
#[target_feature(enable = "avx2")]
fn one_row(probe: &[[Line; 2]], row: &[Line]) -> __m256i {
    let row = &row[..probe.len()];
    let mask = _mm256_set1_epi8(15);
    let ones = _mm256_set1_epi16(1);
    let mut wide = _mm256_setzero_si256();
    for first in (0..probe.len()).step_by(LINES_PER_WIDENING) {
        let mut sums = [_mm256_setzero_si256(); 2];
        for at in first..probe.len().min(first + LINES_PER_WIDENING) {
            for half in 0..2 {
                let bytes = load(&row[at], half);
                let lower = _mm256_and_si256(bytes, mask);
                let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask);
                let lower = _mm256_maddubs_epi16(lower, load(&probe[at][0], half));
                let upper = _mm256_maddubs_epi16(upper, load(&probe[at][1], half));
                sums[0] = _mm256_add_epi16(sums[0], lower);
                sums[1] = _mm256_add_epi16(sums[1], upper);
            }
        }
        for sum in sums {
            wide = _mm256_add_epi32(wide, _mm256_madd_epi16(sum, ones));
        }
    }
    wide
}
