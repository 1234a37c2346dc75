//! AVX-VNNI: nibbles times bytes with `vpdpbusd`, four products added to 32 bits at once.

use std::arch::x86_64::*;

use super::x86::{prefetch_share, scan_table};
use crate::avx2::load;
use crate::rows::Line;

scan_table!("avx2,avxvnni", four_rows, one_row, super::COARSE_SHARE_MAX);

#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn four_rows(probe: &[[Line; 2]], rows: [&[Line]; 4], later: &[Line]) -> [__m256i; 4] {
    let [a, b, c, d] = rows;
    let count = probe.len();
    let rows = [&a[..count], &b[..count], &c[..count], &d[..count]];
    let mask = _mm256_set1_epi8(15);
    let mut sums = [[_mm256_setzero_si256(); 2]; 4];
    for at in 0..probe.len() {
        prefetch_share(later, at);
        for half in 0..2 {
            let front = load(&probe[at][0], half);
            let back = load(&probe[at][1], half);
            for row in 0..4 {
                let bytes = load(&rows[row][at], half);
                let lower = _mm256_and_si256(bytes, mask);
                let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask);
                sums[row][0] = _mm256_dpbusd_avx_epi32(sums[row][0], lower, front);
                sums[row][1] = _mm256_dpbusd_avx_epi32(sums[row][1], upper, back);
            }
        }
    }
    let sum = |[lower, upper]: [__m256i; 2]| _mm256_add_epi32(lower, upper);
    [sum(sums[0]), sum(sums[1]), sum(sums[2]), sum(sums[3])]
}

#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn one_row(probe: &[[Line; 2]], row: &[Line]) -> __m256i {
    let row = &row[..probe.len()];
    let mask = _mm256_set1_epi8(15);
    // Four sums side by side hide the latency of the instruction.
    let mut sums = [[_mm256_setzero_si256(); 2]; 2];
    for at in 0..probe.len() {
        for (half, sums) in sums.iter_mut().enumerate() {
            let bytes = load(&row[at], half);
            let lower = _mm256_and_si256(bytes, mask);
            let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask);
            let [front, back] = &probe[at];
            sums[0] = _mm256_dpbusd_avx_epi32(sums[0], lower, load(front, half));
            sums[1] = _mm256_dpbusd_avx_epi32(sums[1], upper, load(back, half));
        }
    }
    let first = _mm256_add_epi32(sums[0][0], sums[0][1]);
    _mm256_add_epi32(first, _mm256_add_epi32(sums[1][0], sums[1][1]))
}
