//! What the tiles with AVX2 and AVX-VNNI share: sixteen registers of 256 bits hold the sums of
//! sixteen rows and six probes.

/// Twelve accumulators, two vectors of rows, a probe and a product fill the sixteen registers.
pub(super) const PROBES: usize = 6;

/// Makes the function `tile` of an instruction set from its `sixteen_rows`, a function
/// `(&[Line], &[[i32; PROBES]], &[i32; PROBES], &mut [[i32; ROWS_PER_GROUP]; PROBES], usize)`
/// that multiplies sixteen rows with six probes and puts the dot products into an array, from its
/// n-th eight on.
///
/// A macro and no generic function, since each has to be compiled for its instructions.
macro_rules! tile_of_sixteen {
    ($features:literal, $sixteen_rows:ident) => {
        #[target_feature(enable = $features)]
        fn tile(
            probes: &PackedProbes,
            rows: &PackedRows,
            group: usize,
            limits: &[Limit],
            ahead: Ahead<'_>,
            hits: &mut Vec<Hit>,
        ) {
            let (scales, residuals) = (rows.group_scales(group), rows.group_residuals(group));
            let (front, back) = rows.group_halves(group);
            let steps = probes.limits() / PROBES;
            for (step, words, sums, limits) in probes.steps::<PROBES>(front.len(), limits) {
                prefetch(ahead, step, steps);
                let mut dots = [[0; ROWS_PER_GROUP]; PROBES];
                $sixteen_rows(front, words, sums, &mut dots, 0);
                $sixteen_rows(back, words, sums, &mut dots, 2);
                for (at, dots) in dots.iter().enumerate() {
                    let mask = reports(limits[at], dots, scales, residuals);
                    push(hits, step * PROBES + at, group * ROWS_PER_GROUP, mask, dots);
                }
            }
        }

        use crate::avx2::reports;
        use crate::rows::{Ahead, Hit, Limit, push};
        use crate::tile::x86::PROBES;
        use crate::tile::{PackedProbes, PackedRows, ROWS_PER_GROUP, prefetch};
    };
}
pub(super) use tile_of_sixteen;
