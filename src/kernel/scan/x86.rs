//! What the scans with AVX2, AVX-VNNI and AVX-512 share: everything but the product of one row.

use std::arch::x86_64::*;

use crate::kernel::avx2::{store, sum_eight};
use crate::kernel::rows::{Hit, Line, NibbleRows};

/// How far ahead of the row at hand its planes are asked for. The processor's own prefetching ends
/// at every page, and the pages of a mapped file are small.
pub(super) const PREFETCH_LINES: usize = 64;

/// Makes the [`super::ScanTable`] of an instruction set from its `dot_plane`, a function
/// `(&ScanProbe, &[Line]) -> __m256i` that gives eight sums whose sum is Σ q·n over the nibbles of
/// one row as they are stored.
///
/// A macro and no generic function, since each function has to be compiled for its instructions.
macro_rules! scan_table {
    ($features:literal, $dot_plane:ident) => {
        pub(super) static TABLE: super::ScanTable = super::ScanTable {
            coarse,
            fine,
            refine,
        };

        #[target_feature(enable = $features)]
        fn coarse(
            probe: &super::ScanProbe,
            rows: &NibbleRows<'_>,
            bounds: &Bounds<'_>,
            limit: Limit,
            hits: &mut Vec<Hit>,
        ) {
            let offset = probe.offset_coarse();
            let dots = |first: usize, results: &mut [i32]| {
                each_eight(first, results, |row| {
                    prefetch(rows.high, row, rows.lines_per_row);
                    $dot_plane(probe, rows.row(row).0)
                });
                results
                    .iter_mut()
                    .for_each(|dot| *dot = 16 * (*dot - offset));
            };
            super::walk(rows, bounds, hits, dots, |dots, scales, residuals| {
                reports(limit, dots, scales, residuals)
            });
        }

        #[target_feature(enable = $features)]
        fn fine(
            probe: &super::ScanProbe,
            rows: &NibbleRows<'_>,
            bounds: &Bounds<'_>,
            limit: Limit,
            hits: &mut Vec<Hit>,
        ) {
            let offset = probe.offset_fine();
            let dots = |first: usize, results: &mut [i32]| {
                each_eight(first, results, |row| {
                    prefetch(rows.high, row, rows.lines_per_row);
                    prefetch(rows.low, row, rows.lines_per_row);
                    dot_row(probe, rows.row(row))
                });
                results.iter_mut().for_each(|dot| *dot -= offset);
            };
            super::walk(rows, bounds, hits, dots, |dots, scales, residuals| {
                reports(limit, dots, scales, residuals)
            });
        }

        #[target_feature(enable = $features)]
        fn refine(probes: &[super::ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
            for at in 0..hits.len() {
                prefetch_hit(rows, hits, at);
                let hit = &mut hits[at];
                let probe = &probes[hit.probe as usize];
                let mut dot = [0; 1];
                each_eight(0, &mut dot, |_| dot_row(probe, rows.row(hit.row as usize)));
                hit.dot = dot[0] - probe.offset_fine();
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn dot_row(probe: &super::ScanProbe, (high, low): (&[Line], &[Line])) -> __m256i {
            let high = _mm256_slli_epi32::<4>($dot_plane(probe, high));
            _mm256_add_epi32(high, $dot_plane(probe, low))
        }

        use crate::kernel::avx2::reports;
        use crate::kernel::rows::{Bounds, Hit, Limit, NibbleRows};
        use crate::kernel::scan::x86::{each_eight, prefetch, prefetch_hit};
    };
}
pub(super) use scan_table;

/// Fills in dot products, eight rows at a time while there are eight, from vectors whose lanes are
/// yet to be added.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn each_eight(first: usize, results: &mut [i32], mut row: impl FnMut(usize) -> __m256i) {
    let (eights, rest) = results.as_chunks_mut::<8>();
    let rest_first = first + eights.len() * 8;
    for (at, eight) in eights.iter_mut().enumerate() {
        let sums = std::array::from_fn(|lane| row(first + at * 8 + lane));
        store(eight, sum_eight(sums));
    }
    for (at, result) in rest.iter_mut().enumerate() {
        let mut lanes = [0; 8];
        store(&mut lanes, row(rest_first + at));
        *result = lanes.iter().sum();
    }
}

/// Asks for the lines of a row that will be read soon. Past the end nothing is asked for.
#[inline(always)]
pub(super) fn prefetch(plane: &[Line], row: usize, lines_per_row: usize) {
    let first = row * lines_per_row + PREFETCH_LINES;
    ask_for(plane, first, lines_per_row);
}

/// Asks for the low nibbles of a later hit: hits are far apart, so that each would be a miss.
#[inline(always)]
pub(super) fn prefetch_hit(rows: &NibbleRows<'_>, hits: &[Hit], at: usize) {
    const HITS_AHEAD: usize = 8;
    if let Some(later) = hits.get(at + HITS_AHEAD) {
        let first = later.row as usize * rows.lines_per_row;
        ask_for(rows.low, first, rows.lines_per_row);
    }
}

#[inline(always)]
fn ask_for(plane: &[Line], first: usize, count: usize) {
    for line in plane.get(first..first + count).unwrap_or_default() {
        // SAFETY: The reference is valid, the instruction is part of every x86-64, and prefetching
        // reads nothing that is seen.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.0.as_ptr().cast()) };
    }
}
