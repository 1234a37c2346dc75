//! Rows packed as bytes side by side.

use super::PackedRows;
use crate::rows::{NibbleRows, unpack_row};

/// Packs all rows, each as signed bytes side by side.
pub(super) fn by_row(rows: &NibbleRows<'_>, packed: &mut PackedRows) {
    let codes: &mut [i8] = bytemuck::cast_slice_mut(&mut packed.lines);
    for (row, codes) in codes
        .chunks_exact_mut(rows.values_per_row())
        .take(packed.rows)
        .enumerate()
    {
        unpack_row(rows.row(row), codes);
    }
}
