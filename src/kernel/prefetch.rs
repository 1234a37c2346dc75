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
