//! Plain Rust.

use super::{Form, PackedProbes, PackedRows, ROWS_PER_GROUP, TileTable, pack};
use crate::kernel::rows::{Hit, Limit, NibbleRows};

pub(super) static TABLE: TileTable = TileTable {
    form: Form::EightBits,
    probes_interleaved: 1,
    probes_per_step: 1,
    pack: pack::by_row,
    tile,
    spin: None,
};

fn tile(
    probes: &PackedProbes,
    rows: &PackedRows,
    group: usize,
    limits: &[Limit],
    _ahead: &NibbleRows<'_>,
    hits: &mut Vec<Hit>,
) {
    by_row(probes, rows, group, limits, hits, |a, b| {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| i32::from(a) * i32::from(b))
            .sum()
    });
}

/// Multiplies rows and probes that lie side by side with `dot`.
pub(super) fn by_row(
    probes: &PackedProbes,
    rows: &PackedRows,
    group: usize,
    limits: &[Limit],
    hits: &mut Vec<Hit>,
    dot: impl Fn(&[i8], &[i8]) -> i32,
) {
    let (scales, residuals) = (rows.group_scales(group), rows.group_residuals(group));
    let codes: &[i8] = bytemuck::cast_slice(rows.group(group));
    let probe_codes: &[i8] = bytemuck::cast_slice(&probes.lines);
    let probe_codes = probe_codes.chunks_exact(rows.values_per_row);
    for (probe, (probe_codes, &limit)) in probe_codes.zip(limits).enumerate() {
        for (at, codes) in codes.chunks_exact(rows.values_per_row).enumerate() {
            let dot = dot(probe_codes, codes);
            if limit.reports(dot, scales[at], residuals[at]) {
                let row = (group * ROWS_PER_GROUP + at) as u32;
                hits.push(Hit {
                    probe: probe as u32,
                    row,
                    dot,
                });
            }
        }
    }
}
