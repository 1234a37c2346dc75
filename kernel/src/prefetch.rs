//! Asking memory for lines before they are read.

use std::arch::x86_64::*;

use super::rows::Line;

/// Asks for some lines of a plane, if it has them.
#[inline(always)]
pub(super) fn ask_for(plane: &[Line], first: usize, count: usize) {
    for line in plane.get(first..first + count).unwrap_or_default() {
        // SAFETY: The reference is valid, the instruction is part of every x86-64, and prefetching
        // reads nothing that is seen.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.0.as_ptr().cast()) };
    }
}

/// Asks for the line with value `at` of a row, if the row has it.
#[inline(always)]
pub(super) fn ask_for_values(row: &[f32], at: usize) {
    if let Some(value) = row.get(at) {
        // SAFETY: As above. Into the second level: rows that are being multiplied stay in the first.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(value).cast()) };
    }
}
