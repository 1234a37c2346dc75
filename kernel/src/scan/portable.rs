//! The portable path, and the reference: nibbles are put together a row at a time and multiplied.

use super::{ROWS_PER_STEP, ScanProbe, ScanTable, walk};
use crate::dot_i8::DotI8;
use crate::rows::{
    Bounds, Hit, Limit, Line, NIBBLE_OFFSET, NibbleRows, VALUES_MAX, VALUES_PER_LINE, unpack_row,
};

/// The functions that multiply with `D`.
pub(crate) const fn table<D: DotI8>() -> ScanTable {
    ScanTable {
        coarse: coarse::<D>,
        fine: fine::<D>,
        refine: refine::<D>,
        fine_rows: fine_rows::<D>,
        coarse_share_max: super::COARSE_SHARE_MAX,
    }
}

fn coarse<D: DotI8>(
    probe: &ScanProbe,
    rows: &NibbleRows<'_>,
    bounds: &Bounds<'_>,
    limit: Limit,
    hits: &mut Vec<Hit>,
) {
    let dot = |row| 16 * dot_plane::<D>(probe, rows.row(row).0);
    walk(rows, bounds, hits, each(dot), reports(limit), |_| ());
}

fn fine<D: DotI8>(
    probe: &ScanProbe,
    rows: &NibbleRows<'_>,
    bounds: &Bounds<'_>,
    limit: Limit,
    hits: &mut Vec<Hit>,
) {
    let dot = |row| dot_row::<D>(probe, rows.row(row));
    walk(rows, bounds, hits, each(dot), reports(limit), |_| ());
}

fn refine<D: DotI8>(probes: &[ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
    for hit in hits {
        let low = rows.row(hit.row as usize).1;
        hit.dot += dot_plane::<D>(&probes[hit.probe as usize], low);
    }
}

fn fine_rows<D: DotI8>(probes: &[ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
    for hit in hits {
        let row = rows.row(hit.row as usize);
        hit.dot = dot_row::<D>(&probes[hit.probe as usize], row);
    }
}

/// Fills in dot products one row after the other.
fn each(dot: impl Fn(usize) -> i32) -> impl FnMut(usize, &mut [i32]) {
    move |first, results| {
        for (at, result) in results.iter_mut().enumerate() {
            *result = dot(first + at);
        }
    }
}

type Results = [i32; ROWS_PER_STEP];
type Numbers = [f32; ROWS_PER_STEP];

/// One bit for each row that reaches the limit.
fn reports(limit: Limit) -> impl Fn(&Results, &Numbers, &Numbers) -> u32 {
    move |dots, scales, residuals| {
        let bit = |at| u32::from(limit.reports(dots[at], scales[at], residuals[at])) << at;
        (0..ROWS_PER_STEP).map(bit).sum()
    }
}

/// Σ q·(16·h + l) of a row.
fn dot_row<D: DotI8>(probe: &ScanProbe, row: (&[Line], &[Line])) -> i32 {
    let mut codes = [0; VALUES_MAX];
    let codes = &mut codes[..row.0.len() * VALUES_PER_LINE];
    unpack_row(row, codes);
    D::dot(bytemuck::cast_slice(&probe.codes), codes)
}

/// Σ q·n over the nibbles of one plane.
fn dot_plane<D: DotI8>(probe: &ScanProbe, lines: &[Line]) -> i32 {
    let mut nibbles = [0; VALUES_MAX];
    let nibbles = &mut nibbles[..lines.len() * VALUES_PER_LINE];
    let (groups, _) = nibbles.as_chunks_mut::<VALUES_PER_LINE>();
    for (line, group) in lines.iter().zip(groups) {
        let (front, back) = group.split_at_mut(VALUES_PER_LINE / 2);
        for ((&byte, front), back) in line.0.iter().zip(front).zip(back) {
            *front = (byte & 15) as i8 - NIBBLE_OFFSET as i8;
            *back = (byte >> 4) as i8 - NIBBLE_OFFSET as i8;
        }
    }
    D::dot(bytemuck::cast_slice(&probe.codes), nibbles)
}
