//! AVX2 with fused operations: 4 rows x 16 probes, line by line of a group.

use std::arch::x86_64::*;

use super::{Estimated, FloatProbes, FloatTable, Group, PROBES_PER_LINE, ask_for_values, estimate};
use crate::rows::Line;

pub(super) static TABLE: FloatTable = FloatTable {
    estimate,
    dot,
    probes_max: 1024,
};

/// For a kernel that does not code rows of single precision as it looks at them.
pub(super) static NEVER_CODED: FloatTable = FloatTable {
    estimate,
    dot,
    probes_max: 384,
};

estimate!("avx2,fma", dot, products, 1 => 4, 2 => 4, 4 => 4);

/// Values of a row in one line of memory.
const VALUES_PER_LINE: usize = 16;

#[inline]
#[target_feature(enable = "avx2,fma")]
fn products<const ROWS: usize, const LINES: usize>(
    rows: &[&[f32]; ROWS],
    lines: &[[Line; LINES]],
    ahead: [&[f32]; ROWS],
    dots: &mut [f32],
    columns: usize,
) {
    for line in 0..LINES {
        let ahead = ahead.map(|ahead| if line == 0 { ahead } else { &[] });
        let sums = line_of_probes(rows, lines, line, ahead);
        for (row, sums) in sums.iter().enumerate() {
            let (dots, _) = dots[row * columns + line * PROBES_PER_LINE..].as_chunks_mut::<8>();
            for (half, &sum) in sums.iter().enumerate() {
                // SAFETY: Eight numbers are 32 writable bytes; the instruction asks for no
                // alignment.
                unsafe { _mm256_storeu_ps(dots[half].as_mut_ptr(), sum) };
            }
        }
    }
}

/// Multiplies rows with one line of each value: two halves of eight probes.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn line_of_probes<const ROWS: usize, const LINES: usize>(
    rows: &[&[f32]; ROWS],
    lines: &[[Line; LINES]],
    line: usize,
    ahead: [&[f32]; ROWS],
) -> [[__m256; 2]; ROWS] {
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    let rows = rows.map(|row| &row[..lines.len()]);
    for (at, lines) in lines.iter().enumerate() {
        let probes = [load(&lines[line], 0), load(&lines[line], 1)];
        for row in 0..ROWS {
            let value = _mm256_set1_ps(rows[row][at]);
            for half in 0..2 {
                sums[row][half] = _mm256_fmadd_ps(value, probes[half], sums[row][half]);
            }
        }
        if at % VALUES_PER_LINE == 0 {
            for ahead in ahead {
                ask_for_values(ahead, at);
            }
        }
    }
    sums
}

/// Σ a·b of two rows of one length.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const SUMS: usize = 4;
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [_mm256_setzero_ps(); SUMS];
    let ((a, a_last), (b, b_last)) = (a.as_chunks::<SUMS>(), b.as_chunks::<SUMS>());
    for (a, b) in a.iter().zip(b) {
        for at in 0..SUMS {
            sums[at] = _mm256_fmadd_ps(load_values(&a[at]), load_values(&b[at]), sums[at]);
        }
    }
    for (a, b) in a_last.iter().zip(b_last) {
        sums[0] = _mm256_fmadd_ps(load_values(a), load_values(b), sums[0]);
    }
    let pairs = [
        _mm256_add_ps(sums[0], sums[1]),
        _mm256_add_ps(sums[2], sums[3]),
    ];
    let mut lanes = [0.0; 8];
    // SAFETY: Eight numbers are 32 writable bytes; the instruction asks for no alignment.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(pairs[0], pairs[1])) };
    let mut sum: f32 = lanes.iter().sum();
    for (a, b) in a_rest.iter().zip(b_rest) {
        sum += a * b;
    }
    sum
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load_values(values: &[f32; 8]) -> __m256 {
    // SAFETY: Eight numbers are 32 readable bytes; the instruction asks for no alignment.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load(line: &Line, half: usize) -> __m256 {
    let (halves, _) = line.0.as_chunks::<32>();
    // SAFETY: The half is 32 readable bytes; the instruction asks for no alignment.
    unsafe { _mm256_loadu_ps(halves[half].as_ptr().cast()) }
}
