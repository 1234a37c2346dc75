//! AVX-512: a whole line at once, four products added to 32 bits by `vpdpbusd`.

use std::arch::x86_64::*;

use super::ScanProbe;
use super::x86::scan_table;
use crate::kernel::avx512::load;
use crate::kernel::rows::Line;

scan_table!("avx2,avx512f,avx512bw,avx512vl,avx512vnni", dot_plane);

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn dot_plane(probe: &ScanProbe, lines: &[Line]) -> __m256i {
    let (pairs, _) = probe.codes.as_chunks::<2>();
    let mask = _mm512_set1_epi8(15);
    let mut sums = [_mm512_setzero_si512(); 2];
    for (line, [front, back]) in lines.iter().zip(pairs) {
        let bytes = load(line);
        let lower = _mm512_and_si512(bytes, mask);
        let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask);
        sums[0] = _mm512_dpbusd_epi32(sums[0], lower, load(front));
        sums[1] = _mm512_dpbusd_epi32(sums[1], upper, load(back));
    }
    let sum = _mm512_add_epi32(sums[0], sums[1]);
    let upper = _mm512_extracti64x4_epi64::<1>(sum);
    _mm256_add_epi32(_mm512_castsi512_si256(sum), upper)
}
