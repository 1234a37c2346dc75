//! The portable path, and the reference: rows and probes lie side by side and are multiplied a pair
//! at a time.

use super::{Form, PackedProbes, PackedRows, ROWS_PER_GROUP, TileTable, pack};
use crate::dot_i8::DotI8;
use crate::rows::{Ahead, Hit, Limit};

/// The functions that multiply with `D`.
pub(super) const fn table<D: DotI8>() -> TileTable {
    TileTable {
        form: Form::EightBits,
        probes_interleaved: 1,
        probes_per_step: 1,
        probes_min: 6,
        pack: pack::by_row,
        code: None,
        tile: tile::<D>,
        spin: None,
    }
}

fn tile<D: DotI8>(
    probes: &PackedProbes,
    rows: &PackedRows,
    group: usize,
    limits: &[Limit],
    _ahead: Ahead<'_>,
    hits: &mut Vec<Hit>,
) {
    let (scales, residuals) = (rows.group_scales(group), rows.group_residuals(group));
    let codes: &[i8] = bytemuck::cast_slice(rows.group(group));
    let probe_codes: &[i8] = bytemuck::cast_slice(&probes.lines);
    let probe_codes = probe_codes.chunks_exact(rows.values_per_row);
    for (probe, (probe_codes, &limit)) in probe_codes.zip(limits).enumerate() {
        for (at, codes) in codes.chunks_exact(rows.values_per_row).enumerate() {
            let dot = D::dot(probe_codes, codes);
            if limit.reports(dot, scales[at], residuals[at]) {
                hits.push(Hit {
                    probe: probe as u32,
                    row: (group * ROWS_PER_GROUP + at) as u32,
                    dot,
                });
            }
        }
    }
}
