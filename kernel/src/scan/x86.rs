//! What the scans with AVX2, AVX-VNNI and AVX-512 share: everything but the product of one row.

use std::arch::x86_64::*;

use crate::avx2::{store, sum_eight};
use crate::prefetch::ask_for;
use crate::rows::Line;

/// How far ahead of the row at hand its planes are asked for. The processor's own prefetching ends
/// at every page, and the pages of a mapped file are small.
pub(super) const PREFETCH_LINES: usize = 64;

/// Makes the [`super::ScanTable`] of an instruction set from two functions that give, for rows of a
/// plane which are as long as the probe, eight sums whose sum is Σ q·n over the nibbles as they are
/// stored:
///
/// * `four_rows`, `(&[[Line; 2]], [&[Line]; 4], &[Line]) -> [__m256i; 4]`, asks for the lines of
///   the last argument meanwhile;
/// * `one_row`, `(&[[Line; 2]], &[Line]) -> __m256i`.
///
/// A macro and no generic function, since each function has to be compiled for its instructions.
macro_rules! scan_table {
    ($features:literal, $four_rows:ident, $one_row:ident, $coarse_share_max:expr) => {
        pub(super) static TABLE: super::ScanTable = super::ScanTable {
            coarse,
            fine,
            refine,
            fine_rows,
            coarse_share_max: $coarse_share_max,
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
                each_eight(first, &mut *results, |chosen| {
                    eight_planes(
                        probe,
                        &chosen,
                        |row| rows.row(row).0,
                        |row| four_later(rows.high, row, rows.lines_per_row),
                    )
                });
                for dot in results {
                    *dot = 16 * (*dot - offset);
                }
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
                each_eight(first, &mut *results, |chosen| {
                    eight_rows(probe, &chosen, rows)
                });
                for dot in results {
                    *dot -= offset;
                }
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
                        eight_planes(
                            probe,
                            &chosen,
                            |at| rows.row(hits[at].row as usize).1,
                            |_| &[],
                        )
                    });
                    for (hit, dot) in hits.iter_mut().zip(dots) {
                        hit.dot += dot - probe.offset_low();
                    }
                }
            }
        }

        #[target_feature(enable = $features)]
        fn fine_rows(probes: &[super::ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
            for first in (0..hits.len()).step_by(8) {
                // Rows are far apart, and no longer in the nearest cache.
                for later in hits.iter().skip(first + 8).take(8) {
                    prefetch_row(rows.high, later.row as usize, rows.lines_per_row);
                    prefetch_row(rows.low, later.row as usize, rows.lines_per_row);
                }
                let last = hits.len().min(first + 8);
                let hits = &mut hits[first..last];
                // Neighbours are of different probes, so that nothing is shared but the last step.
                let mut sums = [_mm256_setzero_si256(); 8];
                for (sum, hit) in sums.iter_mut().zip(&*hits) {
                    let (codes, _) = probes[hit.probe as usize].codes.as_chunks::<2>();
                    let (high, low) = rows.row(hit.row as usize);
                    let high = _mm256_slli_epi32::<4>($one_row(codes, high));
                    *sum = _mm256_add_epi32(high, $one_row(codes, low));
                }
                let mut dots = [0; 8];
                store(&mut dots, sum_eight(sums));
                for (hit, dot) in hits.iter_mut().zip(dots) {
                    hit.dot = dot - probes[hit.probe as usize].offset_fine();
                }
            }
        }

        /// Σ q·n of eight rows of a plane, which `plane` gives for what was chosen, while the lines
        /// of `later` are asked for.
        ///
        /// Here and below loops stand where `map` would be shorter: a closure that is compiled for
        /// these instructions is not inlined into a function of the standard library that is not.
        #[inline]
        #[target_feature(enable = $features)]
        fn eight_planes<'a>(
            probe: &super::ScanProbe,
            c: &[usize; 8],
            plane: impl Fn(usize) -> &'a [Line],
            later: impl Fn(usize) -> &'a [Line],
        ) -> [__m256i; 8] {
            let (codes, _) = probe.codes.as_chunks::<2>();
            let front = [plane(c[0]), plane(c[1]), plane(c[2]), plane(c[3])];
            let back = [plane(c[4]), plane(c[5]), plane(c[6]), plane(c[7])];
            let [s, t, u, v] = $four_rows(codes, front, later(c[0]));
            let [w, x, y, z] = $four_rows(codes, back, later(c[4]));
            [s, t, u, v, w, x, y, z]
        }

        /// Σ q·(16·m + n) of eight rows. Four at a time, so that sums stay in registers.
        #[inline]
        #[target_feature(enable = $features)]
        fn eight_rows(
            probe: &super::ScanProbe,
            c: &[usize; 8],
            rows: &NibbleRows<'_>,
        ) -> [__m256i; 8] {
            let (codes, _) = probe.codes.as_chunks::<2>();
            let mut sums = [_mm256_setzero_si256(); 8];
            for first in [0, 4] {
                let (a, b) = (rows.row(c[first]), rows.row(c[first + 1]));
                let (d, e) = (rows.row(c[first + 2]), rows.row(c[first + 3]));
                let later = |plane| four_later(plane, c[first], rows.lines_per_row);
                let high = $four_rows(codes, [a.0, b.0, d.0, e.0], later(rows.high));
                let low = $four_rows(codes, [a.1, b.1, d.1, e.1], later(rows.low));
                for at in 0..4 {
                    let high = _mm256_slli_epi32::<4>(high[at]);
                    sums[first + at] = _mm256_add_epi32(high, low[at]);
                }
            }
            sums
        }

        use crate::avx2::reports;
        use crate::avx2::{store, sum_eight};
        use crate::rows::{Bounds, Hit, Limit, NibbleRows};
        use crate::scan::x86::{each_eight, four_later, prefetch_row};
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
        let mut chosen = [last; 8];
        for (lane, chosen) in chosen.iter_mut().enumerate() {
            *chosen = (first + lane).min(last);
        }
        let sums = sum_eight(dots(chosen));
        let mut eight = [0; 8];
        store(&mut eight, sums);
        results.copy_from_slice(&eight[..results.len()]);
    }
}

/// The lines to ask for while four rows are multiplied; none near the end.
#[inline(always)]
pub(super) fn four_later(plane: &[Line], row: usize, lines_per_row: usize) -> &[Line] {
    let first = row * lines_per_row + PREFETCH_LINES;
    plane
        .get(first..first + 4 * lines_per_row)
        .unwrap_or_default()
}

/// Asks for the share of a step in the lines for four rows: a few at a time, since the processor
/// waits when too many are on their way.
#[inline(always)]
pub(super) fn prefetch_share(later: &[Line], step: usize) {
    if let Some(lines) = later.get(step * 4..step * 4 + 4) {
        ask_for(lines, 0, 4);
    }
}

/// Asks for the lines of a row.
#[inline(always)]
pub(super) fn prefetch_row(plane: &[Line], row: usize, lines_per_row: usize) {
    ask_for(plane, row * lines_per_row, lines_per_row);
}
