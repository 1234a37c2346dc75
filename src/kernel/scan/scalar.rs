//! Plain Rust.

use super::{ROWS_PER_STEP, ScanProbe, ScanTable, walk};
use crate::kernel::rows::{Bounds, Hit, Limit, Line, NIBBLE_OFFSET, NibbleRows};

pub(in crate::kernel) static TABLE: ScanTable = ScanTable {
    coarse,
    fine,
    refine,
    fine_rows,
};

fn coarse(
    probe: &ScanProbe,
    rows: &NibbleRows<'_>,
    bounds: &Bounds<'_>,
    limit: Limit,
    hits: &mut Vec<Hit>,
) {
    let dot = |row| 16 * dot_plane(probe, rows.row(row).0);
    walk(rows, bounds, hits, each(dot), reports(limit), |_| ());
}

fn fine(
    probe: &ScanProbe,
    rows: &NibbleRows<'_>,
    bounds: &Bounds<'_>,
    limit: Limit,
    hits: &mut Vec<Hit>,
) {
    let dot = |row| dot_row(probe, rows.row(row));
    walk(rows, bounds, hits, each(dot), reports(limit), |_| ());
}

fn refine(probes: &[ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
    for hit in hits {
        hit.dot += dot_plane(&probes[hit.probe as usize], rows.row(hit.row as usize).1);
    }
}

fn fine_rows(probes: &[ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
    for hit in hits {
        hit.dot = dot_row(&probes[hit.probe as usize], rows.row(hit.row as usize));
    }
}

/// Fills in dot products one row after the other.
pub(super) fn each(dot: impl Fn(usize) -> i32) -> impl FnMut(usize, &mut [i32]) {
    move |first, results| {
        for (at, result) in results.iter_mut().enumerate() {
            *result = dot(first + at);
        }
    }
}

type Results = [i32; ROWS_PER_STEP];
type Numbers = [f32; ROWS_PER_STEP];

/// One bit for each row that reaches the limit.
pub(super) fn reports(limit: Limit) -> impl Fn(&Results, &Numbers, &Numbers) -> u32 {
    move |dots, scales, residuals| {
        let bit = |at| u32::from(limit.reports(dots[at], scales[at], residuals[at])) << at;
        (0..ROWS_PER_STEP).map(bit).sum()
    }
}

fn dot_row(probe: &ScanProbe, (high, low): (&[Line], &[Line])) -> i32 {
    16 * dot_plane(probe, high) + dot_plane(probe, low)
}

fn dot_plane(probe: &ScanProbe, lines: &[Line]) -> i32 {
    let (pairs, _) = probe.codes.as_chunks::<2>();
    let nibble = |byte: u8| i32::from(byte) - NIBBLE_OFFSET;
    let mut sum = 0;
    for (line, [front, back]) in lines.iter().zip(pairs) {
        for (at, &byte) in line.0.iter().enumerate() {
            sum += nibble(byte & 15) * i32::from(front.0[at] as i8);
            sum += nibble(byte >> 4) * i32::from(back.0[at] as i8);
        }
    }
    sum
}
