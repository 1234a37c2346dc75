//! AVX-VNNI: nibbles times bytes with `vpdpbusd`, four products added to 32 bits at once.

use std::arch::x86_64::*;

use super::x86::scan_table;
use crate::kernel::avx2::load;
use crate::kernel::rows::Line;

scan_table!("avx2,avxvnni", four_rows);

#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn four_rows(probe: &[[Line; 2]], rows: [&[Line]; 4]) -> [__m256i; 4] {
    let rows = rows.map(|row| &row[..probe.len()]);
    let mask = _mm256_set1_epi8(15);
    let mut sums = [[_mm256_setzero_si256(); 2]; 4];
    for at in 0..probe.len() {
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
    sums.map(|[lower, upper]| _mm256_add_epi32(lower, upper))
}
