//! Steps that kernels with 256-bit vectors share.

use std::arch::x86_64::*;

use super::rows::{Limit, Line};

/// Half of a line: the first or the second 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(line: &Line, half: usize) -> __m256i {
    let (halves, _) = line.0.as_chunks::<32>();
    // SAFETY: The half is 32 readable bytes; the instruction asks for no alignment.
    unsafe { _mm256_loadu_si256(halves[half].as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_i32(numbers: &[i32; 8]) -> __m256i {
    // SAFETY: Eight numbers are 32 readable bytes; the instruction asks for no alignment.
    unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store(numbers: &mut [i32; 8], vector: __m256i) {
    // SAFETY: Eight numbers are 32 writable bytes; the instruction asks for no alignment.
    unsafe { _mm256_storeu_si256(numbers.as_mut_ptr().cast(), vector) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_f32(numbers: &[f32; 8]) -> __m256 {
    // SAFETY: Eight numbers are 32 readable bytes; the instruction asks for no alignment.
    unsafe { _mm256_loadu_ps(numbers.as_ptr()) }
}

/// One number for each vector: the sum of its lanes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn sum_eight(v: [__m256i; 8]) -> __m256i {
    let pairs = |a, b| _mm256_hadd_epi32(a, b);
    let front = pairs(pairs(v[0], v[1]), pairs(v[2], v[3]));
    let back = pairs(pairs(v[4], v[5]), pairs(v[6], v[7]));
    // Both have the sums of the lower lanes in their lower half and of the upper ones in the other.
    let lower = _mm256_permute2x128_si256::<0x20>(front, back);
    let upper = _mm256_permute2x128_si256::<0x31>(front, back);
    _mm256_add_epi32(lower, upper)
}

/// One bit for each of 32 rows that reaches the limit.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn reports(
    limit: Limit,
    dots: &[i32; 32],
    scales: &[f32; 32],
    residuals: &[f32; 32],
) -> u32 {
    let (weight, least) = (_mm256_set1_ps(limit.weight), _mm256_set1_ps(limit.least));
    let (dots, _) = dots.as_chunks::<8>();
    let (scales, _) = scales.as_chunks::<8>();
    let (residuals, _) = residuals.as_chunks::<8>();
    let mut mask = 0;
    for at in 0..4 {
        let estimate = _mm256_cvtepi32_ps(load_i32(&dots[at]));
        let estimate = _mm256_mul_ps(estimate, load_f32(&scales[at]));
        let error = _mm256_mul_ps(load_f32(&residuals[at]), weight);
        let reached = _mm256_cmp_ps::<_CMP_GE_OQ>(_mm256_add_ps(estimate, error), least);
        mask |= (_mm256_movemask_ps(reached) as u32) << (8 * at);
    }
    mask
}
