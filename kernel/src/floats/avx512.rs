//! AVX-512: 12 rows x 16 probes, 8 x 32 or 6 x 64, fused.

use std::arch::x86_64::*;

use super::{Estimated, FloatProbes, FloatTable, Group, ask_for_values, estimate};
use crate::rows::Line;

pub(super) static TABLE: FloatTable = FloatTable {
    estimate,
    dot,
    probes_max: 1024,
};

estimate!("avx512f", dot, products, 1 => 12, 2 => 8, 4 => 6);

/// Values of a row in one line of memory.
const VALUES_PER_LINE: usize = 16;

#[inline]
#[target_feature(enable = "avx512f")]
fn products<const ROWS: usize, const LINES: usize>(
    rows: &[&[f32]; ROWS],
    lines: &[[Line; LINES]],
    ahead: [&[f32]; ROWS],
    dots: &mut [f32],
    columns: usize,
) {
    let mut sums = [[_mm512_setzero_ps(); LINES]; ROWS];
    let (steps, _) = lines.as_chunks::<VALUES_PER_LINE>();
    let in_steps = rows.map(|row| row.as_chunks::<VALUES_PER_LINE>().0);
    for (step, lines) in steps.iter().enumerate() {
        let values: [&[f32; VALUES_PER_LINE]; ROWS] =
            std::array::from_fn(|row| &in_steps[row][step]);
        for (at, lines) in lines.iter().enumerate() {
            let mut probes = [_mm512_setzero_ps(); LINES];
            for line in 0..LINES {
                probes[line] = load(&lines[line]);
            }
            for row in 0..ROWS {
                let value = _mm512_set1_ps(values[row][at]);
                for line in 0..LINES {
                    sums[row][line] = _mm512_fmadd_ps(value, probes[line], sums[row][line]);
                }
            }
        }
        for ahead in ahead {
            ask_for_values(ahead, step * VALUES_PER_LINE);
        }
    }
    for at in steps.len() * VALUES_PER_LINE..lines.len() {
        for row in 0..ROWS {
            let value = _mm512_set1_ps(rows[row][at]);
            for line in 0..LINES {
                let probes = load(&lines[at][line]);
                sums[row][line] = _mm512_fmadd_ps(value, probes, sums[row][line]);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        let (dots, _) = dots[row * columns..].as_chunks_mut::<16>();
        for (line, &sum) in sums.iter().enumerate() {
            // SAFETY: Sixteen numbers are 64 writable bytes; the instruction asks for no alignment.
            unsafe { _mm512_storeu_ps(dots[line].as_mut_ptr(), sum) };
        }
    }
}

/// Σ a·b of two rows of one length.
#[inline]
#[target_feature(enable = "avx512f")]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const SUMS: usize = 4;
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [_mm512_setzero_ps(); SUMS];
    let ((a, a_last), (b, b_last)) = (a.as_chunks::<SUMS>(), b.as_chunks::<SUMS>());
    for (a, b) in a.iter().zip(b) {
        for at in 0..SUMS {
            sums[at] = _mm512_fmadd_ps(load_values(&a[at]), load_values(&b[at]), sums[at]);
        }
    }
    for (a, b) in a_last.iter().zip(b_last) {
        sums[0] = _mm512_fmadd_ps(load_values(a), load_values(b), sums[0]);
    }
    let pairs = [
        _mm512_add_ps(sums[0], sums[1]),
        _mm512_add_ps(sums[2], sums[3]),
    ];
    let mut sum = _mm512_reduce_add_ps(_mm512_add_ps(pairs[0], pairs[1]));
    for (a, b) in a_rest.iter().zip(b_rest) {
        sum += a * b;
    }
    sum
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_values(values: &[f32; VALUES_PER_LINE]) -> __m512 {
    // SAFETY: Sixteen numbers are 64 readable bytes; the instruction asks for no alignment.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(line: &Line) -> __m512 {
    // SAFETY: A line is 64 readable bytes.
    unsafe { _mm512_loadu_ps(line.0.as_ptr().cast()) }
}
