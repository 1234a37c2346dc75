//! Steps that kernels with 512-bit vectors share.

use std::arch::x86_64::*;

use super::rows::{Limit, Line};

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(line: &Line) -> __m512i {
    // SAFETY: A line is 64 readable bytes.
    unsafe { _mm512_loadu_si512(line.0.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store(numbers: &mut [i32; 16], vector: __m512i) {
    // SAFETY: Sixteen numbers are 64 writable bytes.
    unsafe { _mm512_storeu_si512(numbers.as_mut_ptr().cast(), vector) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_f32(numbers: &[f32; 16]) -> __m512 {
    // SAFETY: Sixteen numbers are 64 readable bytes.
    unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
}

/// One bit for each of sixteen rows that reaches the limit.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn reports(
    limit: Limit,
    dots: __m512i,
    scales: &[f32; 16],
    residuals: &[f32; 16],
) -> u32 {
    let estimate = _mm512_mul_ps(_mm512_cvtepi32_ps(dots), load_f32(scales));
    let error = _mm512_mul_ps(load_f32(residuals), _mm512_set1_ps(limit.weight));
    let reached = _mm512_add_ps(estimate, error);
    let least = _mm512_set1_ps(limit.least);
    u32::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(reached, least))
}
