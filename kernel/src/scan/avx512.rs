//! AVX-512: a whole line at once, four products added to 32 bits by `vpdpbusd`.

use std::arch::x86_64::*;

use super::x86::{prefetch_share, scan_table};
use crate::avx512::load;
use crate::rows::Line;

scan_table!(
    "avx2,avx512f,avx512bw,avx512vl,avx512vnni",
    four_rows,
    one_row,
    COARSE_SHARE_MAX
);

/// Such a processor (measured on a Zen 5) has more lines of memory on their way at once: with a
/// share of 0.22 `coarse` still gains a sixth.
const COARSE_SHARE_MAX: f64 = 0.3;

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn four_rows(probe: &[[Line; 2]], rows: [&[Line]; 4], later: &[Line]) -> [__m256i; 4] {
    let [a, b, c, d] = rows;
    let count = probe.len();
    let rows = [&a[..count], &b[..count], &c[..count], &d[..count]];
    let mask = _mm512_set1_epi8(15);
    let mut sums = [[_mm512_setzero_si512(); 2]; 4];
    for at in 0..probe.len() {
        prefetch_share(later, at);
        let (front, back) = (load(&probe[at][0]), load(&probe[at][1]));
        for row in 0..4 {
            let bytes = load(&rows[row][at]);
            let lower = _mm512_and_si512(bytes, mask);
            let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask);
            sums[row][0] = _mm512_dpbusd_epi32(sums[row][0], lower, front);
            sums[row][1] = _mm512_dpbusd_epi32(sums[row][1], upper, back);
        }
    }
    [
        halve(sums[0]),
        halve(sums[1]),
        halve(sums[2]),
        halve(sums[3]),
    ]
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn one_row(probe: &[[Line; 2]], row: &[Line]) -> __m256i {
    let row = &row[..probe.len()];
    let mask = _mm512_set1_epi8(15);
    let mut sums = [_mm512_setzero_si512(); 2];
    for at in 0..probe.len() {
        let bytes = load(&row[at]);
        let lower = _mm512_and_si512(bytes, mask);
        let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask);
        sums[0] = _mm512_dpbusd_epi32(sums[0], lower, load(&probe[at][0]));
        sums[1] = _mm512_dpbusd_epi32(sums[1], upper, load(&probe[at][1]));
    }
    halve(sums)
}

/// Two vectors of sixteen sums as one of eight.
#[inline]
#[target_feature(enable = "avx512f")]
fn halve([lower, upper]: [__m512i; 2]) -> __m256i {
    let sum = _mm512_add_epi32(lower, upper);
    let upper = _mm512_extracti64x4_epi64::<1>(sum);
    _mm256_add_epi32(_mm512_castsi512_si256(sum), upper)
}
