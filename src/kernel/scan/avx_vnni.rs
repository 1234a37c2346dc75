//! AVX-VNNI: nibbles times bytes with `vpdpbusd`, four products added to 32 bits at once.

use std::arch::x86_64::*;

use super::ScanProbe;
use super::x86::scan_table;
use crate::kernel::avx2::load;
use crate::kernel::rows::Line;

scan_table!("avx2,avxvnni", dot_plane);

#[inline]
#[target_feature(enable = "avx2,avxvnni")]
fn dot_plane(probe: &ScanProbe, lines: &[Line]) -> __m256i {
    let (pairs, _) = probe.codes.as_chunks::<2>();
    let mask = _mm256_set1_epi8(15);
    // Four sums side by side hide the latency of the instruction.
    let mut sums = [_mm256_setzero_si256(); 4];
    for (line, [front, back]) in lines.iter().zip(pairs) {
        for half in 0..2 {
            let bytes = load(line, half);
            let lower = _mm256_and_si256(bytes, mask);
            let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask);
            sums[half] = _mm256_dpbusd_avx_epi32(sums[half], lower, load(front, half));
            sums[half + 2] = _mm256_dpbusd_avx_epi32(sums[half + 2], upper, load(back, half));
        }
    }
    let front = _mm256_add_epi32(sums[0], sums[1]);
    _mm256_add_epi32(front, _mm256_add_epi32(sums[2], sums[3]))
}
