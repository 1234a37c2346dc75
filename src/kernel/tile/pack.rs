//! Nibbles put together into bytes, row by row.

use super::PackedRows;
use crate::kernel::rows::{Line, NibbleRows, VALUES_PER_LINE};

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

/// Puts the nibbles of a row together. Numbers that no writer of ours makes (below -128) wrap.
pub(in crate::kernel) fn unpack_row((high, low): (&[Line], &[Line]), codes: &mut [i8]) {
    let (groups, _) = codes.as_chunks_mut::<VALUES_PER_LINE>();
    for ((high, low), group) in high.iter().zip(low).zip(groups) {
        let (front, back) = group.split_at_mut(VALUES_PER_LINE / 2);
        for at in 0..front.len() {
            front[at] = code(high.0[at] & 15, low.0[at] & 15);
            back[at] = code(high.0[at] >> 4, low.0[at] >> 4);
        }
    }
}

/// 16·(h - 8) + (l - 8), modulo 256.
fn code(high: u8, low: u8) -> i8 {
    ((high << 4) | low).wrapping_sub(136) as i8
}
