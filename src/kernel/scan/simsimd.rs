//! The portable path: nibbles are put together a row at a time, and `simsimd` multiplies.

use super::scalar::{each, reports};
use super::{ScanProbe, ScanTable, walk};
use crate::kernel::rows::{Bounds, Hit, Limit, Line, NibbleRows, VALUES_MAX, VALUES_PER_LINE};
use crate::kernel::tile::unpack_row;

pub(super) static TABLE: ScanTable = ScanTable {
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
    let dot = |row| 16 * dot_plane(probe, rows, rows.row(row).0);
    walk(rows, bounds, hits, each(dot), reports(limit), |_| ());
}

fn fine(
    probe: &ScanProbe,
    rows: &NibbleRows<'_>,
    bounds: &Bounds<'_>,
    limit: Limit,
    hits: &mut Vec<Hit>,
) {
    let dot = |row| dot_row(probe, rows, row);
    walk(rows, bounds, hits, each(dot), reports(limit), |_| ());
}

fn refine(probes: &[ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
    for hit in hits {
        let low = rows.row(hit.row as usize).1;
        hit.dot += dot_plane(&probes[hit.probe as usize], rows, low);
    }
}

fn fine_rows(probes: &[ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
    for hit in hits {
        hit.dot = dot_row(&probes[hit.probe as usize], rows, hit.row as usize);
    }
}

fn dot_plane(probe: &ScanProbe, rows: &NibbleRows<'_>, lines: &[Line]) -> i32 {
    let mut nibbles = [0; VALUES_MAX];
    let nibbles = &mut nibbles[..rows.values_per_row()];
    unpack_plane(lines, nibbles);
    dot_i8(bytemuck::cast_slice(&probe.codes), nibbles)
}

fn dot_row(probe: &ScanProbe, rows: &NibbleRows<'_>, row: usize) -> i32 {
    let mut codes = [0; VALUES_MAX];
    let codes = &mut codes[..rows.values_per_row()];
    unpack_row(rows.row(row), codes);
    dot_i8(bytemuck::cast_slice(&probe.codes), codes)
}

fn unpack_plane(lines: &[Line], codes: &mut [i8]) {
    let (groups, _) = codes.as_chunks_mut::<VALUES_PER_LINE>();
    for (line, group) in lines.iter().zip(groups) {
        let (front, back) = group.split_at_mut(VALUES_PER_LINE / 2);
        for ((&byte, front), back) in line.0.iter().zip(front).zip(back) {
            *front = (byte & 15) as i8 - 8;
            *back = (byte >> 4) as i8 - 8;
        }
    }
}

/// The dot product of two rows of the same length.
pub(in crate::kernel) fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
    let dot = <i8 as simsimd::SpatialSimilarity>::dot(a, b);
    // The library answers in f64, in which every 32-bit integer is exact.
    dot.expect("simsimd refuses only rows of different lengths") as i32
}
