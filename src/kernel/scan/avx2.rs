//! AVX2: nibbles times bytes with `vpmaddubsw`, eight sums in 16 bits before they are widened.

use std::arch::x86_64::*;

use super::ScanProbe;
use super::x86::scan_table;
use crate::kernel::avx2::load;
use crate::kernel::rows::Line;

scan_table!("avx2", dot_plane);

/// A line adds two sums to each of two accumulators, and eight sums fit.
const LINES_PER_WIDENING: usize = 4;

#[inline]
#[target_feature(enable = "avx2")]
fn dot_plane(probe: &ScanProbe, lines: &[Line]) -> __m256i {
    let (pairs, _) = probe.codes.as_chunks::<2>();
    let mask = _mm256_set1_epi8(15);
    let ones = _mm256_set1_epi16(1);
    let mut wide = _mm256_setzero_si256();
    let chunks = lines.chunks(LINES_PER_WIDENING);
    for (lines, pairs) in chunks.zip(pairs.chunks(LINES_PER_WIDENING)) {
        let mut sums = [_mm256_setzero_si256(); 2];
        for (line, [front, back]) in lines.iter().zip(pairs) {
            for half in 0..2 {
                let bytes = load(line, half);
                let lower = _mm256_and_si256(bytes, mask);
                let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask);
                let lower = _mm256_maddubs_epi16(lower, load(front, half));
                let upper = _mm256_maddubs_epi16(upper, load(back, half));
                sums[0] = _mm256_add_epi16(sums[0], lower);
                sums[1] = _mm256_add_epi16(sums[1], upper);
            }
        }
        for sums in sums {
            wide = _mm256_add_epi32(wide, _mm256_madd_epi16(sums, ones));
        }
    }
    wide
}
