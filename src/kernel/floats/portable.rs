//! Plain Rust, and the reference.

use super::{Estimated, FloatProbes, FloatTable, PROBES_PER_LINE, square};

pub(super) static TABLE: FloatTable = FloatTable {
    estimate,
    probes_max: 96,
};

fn estimate(probes: &FloatProbes, asked: &mut Estimated<'_>) {
    for (square_of, row) in asked.squares.iter_mut().zip(asked.rows) {
        *square_of = square(row);
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
