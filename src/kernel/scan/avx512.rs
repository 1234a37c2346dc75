//! AVX-512: a whole line at once, four products added to 32 bits by `vpdpbusd`.

use std::arch::x86_64::*;

use super::x86::scan_table;
use crate::kernel::avx512::load;
use crate::kernel::rows::Line;

scan_table!("avx2,avx512f,avx512bw,avx512vl,avx512vnni", four_rows);

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn four_rows(probe: &[[Line; 2]], rows: [&[Line]; 4]) -> [__m256i; 4] {
    let rows = rows.map(|row| &row[..probe.len()]);
    let mask = _mm512_set1_epi8(15);
    let mut sums = [[_mm512_setzero_si512(); 2]; 4];
    for at in 0..probe.len() {
        let (front, back) = (load(&probe[at][0]), load(&probe[at][1]));
        for row in 0..4 {
            let bytes = load(&rows[row][at]);
            let lower = _mm512_and_si512(bytes, mask);
            let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask);
            sums[row][0] = _mm512_dpbusd_epi32(sums[row][0], lower, front);
            sums[row][1] = _mm512_dpbusd_epi32(sums[row][1], upper, back);
        }
    }
    sums.map(|[lower, upper]| {
        let sum = _mm512_add_epi32(lower, upper);
        let upper = _mm512_extracti64x4_epi64::<1>(sum);
        _mm256_add_epi32(_mm512_castsi512_si256(sum), upper)
    })
}
