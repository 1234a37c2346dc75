//! Plain Rust, and the reference.

use super::{Estimated, FloatProbes, FloatTable, PROBES_PER_LINE, squares_and_alone};

pub(super) static TABLE: FloatTable = FloatTable {
    estimate,
    dot,
    probes_max: 96,
};

fn estimate(probes: &FloatProbes, asked: &mut Estimated<'_>) {
    if squares_and_alone(probes, asked, dot) {
        return;
    }
    let columns = probes.columns();
    for group in probes.groups() {
        for line in 0..group.width {
            let lines = group.lines.iter().skip(line).step_by(group.width);
            let first = group.column + line * PROBES_PER_LINE;
            for (row, dots) in asked.rows.iter().zip(asked.dots.chunks_exact_mut(columns)) {
                let mut sums = [0.0_f32; PROBES_PER_LINE];
                for (&value, line) in row.iter().zip(lines.clone()) {
                    let numbers: &[f32] = bytemuck::cast_slice(&line.0);
                    for (sum, number) in sums.iter_mut().zip(numbers) {
                        *sum += value * number;
                    }
                }
                dots[first..first + PROBES_PER_LINE].copy_from_slice(&sums);
            }
        }
    }
}

/// Σ a·b of two rows of one length.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; PROBES_PER_LINE];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks(), b.as_chunks());
    for (a, b) in a.iter().zip(b) {
        let a: &[f32; PROBES_PER_LINE] = a;
        let b: &[f32; PROBES_PER_LINE] = b;
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| a * b);
    sums.into_iter().chain(rest).sum()
}
