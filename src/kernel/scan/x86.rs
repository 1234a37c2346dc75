//! What the scans with AVX2, AVX-VNNI and AVX-512 share: everything but the product of one row.

use std::arch::x86_64::*;

use crate::kernel::avx2::{store, sum_eight};
use crate::kernel::rows::Line;

/// How far ahead of the row at hand its planes are asked for. The processor's own prefetching ends
/// at every page, and the pages of a mapped file are small.
pub(super) const PREFETCH_LINES: usize = 128;

/// Makes the [`super::ScanTable`] of an instruction set from its `four_rows`, a function
/// `(&[[Line; 2]], [&[Line]; 4]) -> [__m256i; 4]` that gives for each of four rows of a plane, which are
/// as long as the probe, eight sums whose sum is Σ q·n over the nibbles as they are stored.
///
/// A macro and no generic function, since each function has to be compiled for its instructions.
macro_rules! scan_table {
    ($features:literal, $four_rows:ident) => {
        pub(super) static TABLE: super::ScanTable = super::ScanTable {
            coarse,
            fine,
            refine,
            fine_rows,
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
                each_eight(first, results, |chosen| {
                    prefetch(rows.high, chosen[0], rows.lines_per_row);
                    eight_planes(probe, chosen.map(|row| rows.row(row).0))
                });
                results
                    .iter_mut()
                    .for_each(|dot| *dot = 16 * (*dot - offset));
            };
            let reports =
                |dots: &_, scales: &_, residuals: &_| reports(limit, dots, scales, residuals);
            super::walk(rows, bounds, hits, dots, reports, |row| {
                prefetch_row(rows.low, row, rows.lines_per_row);
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
                each_eight(first, results, |chosen| {
                    prefetch(rows.high, chosen[0], rows.lines_per_row);
                    prefetch(rows.low, chosen[0], rows.lines_per_row);
                    eight_rows(probe, chosen.map(|row| rows.row(row)))
                });
                results.iter_mut().for_each(|dot| *dot -= offset);
            };
            let reports =
                |dots: &_, scales: &_, residuals: &_| reports(limit, dots, scales, residuals);
            super::walk(rows, bounds, hits, dots, reports, |_| ());
        }

        #[target_feature(enable = $features)]
        fn refine(probes: &[super::ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
            for hits in hits.chunk_by_mut(|a, b| a.probe == b.probe) {
                let probe = &probes[hits[0].probe as usize];
                for hits in hits.chunks_mut(8) {
                    let mut dots = [0; 8];
                    each_eight(0, &mut dots[..hits.len()], |chosen| {
                        eight_planes(probe, chosen.map(|at| rows.row(hits[at].row as usize).1))
                    });
                    for (hit, dot) in hits.iter_mut().zip(dots) {
                        hit.dot += dot - probe.offset_low();
                    }
                }
            }
        }

        #[target_feature(enable = $features)]
        fn fine_rows(probes: &[super::ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
            for hits in hits.chunk_by_mut(|a, b| a.probe == b.probe) {
                let probe = &probes[hits[0].probe as usize];
                for hits in hits.chunks_mut(8) {
                    let mut dots = [0; 8];
                    each_eight(0, &mut dots[..hits.len()], |chosen| {
                        eight_rows(probe, chosen.map(|at| rows.row(hits[at].row as usize)))
                    });
                    for (hit, dot) in hits.iter_mut().zip(dots) {
                        hit.dot = dot - probe.offset_fine();
                    }
                }
            }
        }

        /// Σ q·n of eight rows of a plane.
        #[inline]
        #[target_feature(enable = $features)]
        fn eight_planes(
            probe: &super::ScanProbe,
            [a, b, c, d, e, f, g, h]: [&[Line]; 8],
        ) -> [__m256i; 8] {
            let (codes, _) = probe.codes.as_chunks::<2>();
            let [s, t, u, v] = $four_rows(codes, [a, b, c, d]);
            let [w, x, y, z] = $four_rows(codes, [e, f, g, h]);
            [s, t, u, v, w, x, y, z]
        }

        /// Σ q·(16·m + n) of eight rows. Four at a time, so that sums stay in registers.
        #[inline]
        #[target_feature(enable = $features)]
        fn eight_rows(
            probe: &super::ScanProbe,
            [a, b, c, d, e, f, g, h]: [(&[Line], &[Line]); 8],
        ) -> [__m256i; 8] {
            let (codes, _) = probe.codes.as_chunks::<2>();
            let four = |rows: [(&[Line], &[Line]); 4]| {
                let high = $four_rows(codes, rows.map(|(high, _)| high));
                let low = $four_rows(codes, rows.map(|(_, low)| low));
                let sum = |at: usize| _mm256_add_epi32(_mm256_slli_epi32::<4>(high[at]), low[at]);
                [sum(0), sum(1), sum(2), sum(3)]
            };
            let [s, t, u, v] = four([a, b, c, d]);
            let [w, x, y, z] = four([e, f, g, h]);
            [s, t, u, v, w, x, y, z]
        }

        use crate::kernel::avx2::reports;
        use crate::kernel::rows::{Bounds, Hit, Limit, NibbleRows};
        use crate::kernel::scan::x86::{each_eight, prefetch, prefetch_row};
    };
}
pub(super) use scan_table;

/// Fills in dot products eight at a time: `dots` gives them for eight numbers of rows, as vectors
/// whose lanes are yet to be added. At the end numbers repeat.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn each_eight(
    first: usize,
    results: &mut [i32],
    mut dots: impl FnMut([usize; 8]) -> [__m256i; 8],
) {
    let last = first + results.len().saturating_sub(1);
    for (at, results) in results.chunks_mut(8).enumerate() {
        let first = first + at * 8;
        let sums = sum_eight(dots(std::array::from_fn(|lane| (first + lane).min(last))));
        let mut eight = [0; 8];
        store(&mut eight, sums);
        results.copy_from_slice(&eight[..results.len()]);
    }
}

/// Asks for the lines of eight rows that will be read soon. Past the end nothing is asked for.
#[inline(always)]
pub(super) fn prefetch(plane: &[Line], row: usize, lines_per_row: usize) {
    let first = row * lines_per_row + PREFETCH_LINES;
    ask_for(plane, first, 8 * lines_per_row);
}

/// Asks for the lines of a row.
#[inline(always)]
pub(super) fn prefetch_row(plane: &[Line], row: usize, lines_per_row: usize) {
    ask_for(plane, row * lines_per_row, lines_per_row);
}

#[inline(always)]
pub(in crate::kernel) fn ask_for(plane: &[Line], first: usize, count: usize) {
    for line in plane.get(first..first + count).unwrap_or_default() {
        // SAFETY: The reference is valid, the instruction is part of every x86-64, and prefetching
        // reads nothing that is seen.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.0.as_ptr().cast()) };
    }
}
