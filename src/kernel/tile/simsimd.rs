//! The portable path: `simsimd` multiplies a row at a time.

use super::{Form, PackedProbes, PackedRows, TileTable, pack, scalar};
use crate::kernel::rows::{Hit, Limit, NibbleRows};
use crate::kernel::scan::dot_i8;

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
    scalar::by_row(probes, rows, group, limits, hits, dot_i8);
}
