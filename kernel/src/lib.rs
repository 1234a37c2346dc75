//! Arithmetic over blocks of rows; the only folder that may know a processor.
//!
//! A [`Kernel`] is the set of operations in one instruction set. Having one proves that this
//! processor runs it.
//!
//! | operation | what it computes | |
//! | --------- | ---------------- | - |
//! | [`Kernel::coarse`] | one int8 probe against the high nibbles of many rows | 4 bits a value |
//! | [`Kernel::fine`] | one int8 probe against both nibbles of many rows | 8 bits a value |
//! | [`Kernel::refine`] | what the low nibbles add, for single rows | 4 bits |
//! | [`Kernel::fine_rows`] | both nibbles of single rows | 8 bits |
//! | [`Kernel::pack`], [`Kernel::tile`] | many probes against many rows, repacked once | 8 or 6 bits |
//! | [`Kernel::code`] | rows of f32 where they lie, coded and packed for [`Kernel::tile`] | 8 bits |
//! | [`Kernel::estimate`] | a few probes against rows of f32 where they lie | 32 bits |
//! | [`dot_f64`] | two f32 rows, in double precision and a fixed order | |
//!
//! Each file and folder uses only what stands on a lower line:
//!
//! ```text
//! scan  tile  floats
//! isa   prefetch  avx2  avx512  dot_i8
//! amx   rows      dot_f64
//! ```
//!
//! Kernels know slices and numbers: no template, no file, no thread. They report the rows that
//! reach a [`Limit`] as [`Hit`]s, and all report the same to the bit; the conformance suite at the
//! foot of this file runs every [`Isa`] that the machine has against the definition.
//! `docs/kernels.md` says which kernel runs where, why nothing overflows, and how to add one.
#![allow(
    unsafe_code,
    reason = "vector loads, and calls of functions compiled for one processor"
)]

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod dot_f64;
mod dot_i8;
mod floats;
mod isa;
#[cfg(target_arch = "x86_64")]
mod prefetch;
mod rows;
mod scan;
mod tile;

use std::fmt;

pub use dot_f64::dot_f64;
pub use floats::FloatProbes;
use floats::{Estimated, FloatTable};
pub use isa::Isa;
pub use rows::{
    Ahead, Bounds, Hit, Limit, Line, NIBBLE_OFFSET, NibbleRows, VALUES_MAX, VALUES_PER_LINE,
};
use scan::ScanTable;
pub use scan::{PROBE_CODE_MAX, ScanProbe};
use tile::TileTable;
pub use tile::{Form, PackedProbes, PackedRows, ROWS_PER_GROUP, coded_values};

/// The operations of one instruction set.
///
/// A value proves that this processor has its instructions: [`Kernel::for_isa`] is the only
/// constructor, and it checks.
#[derive(Clone, Copy)]
pub struct Kernel {
    isa: Isa,
    scan: &'static ScanTable,
    tile: &'static TileTable,
    floats: &'static FloatTable,
}

impl Kernel {
    /// The kernel for `isa`, or `None` where this processor lacks it.
    pub fn for_isa(isa: Isa) -> Option<Kernel> {
        isa.is_available().then(|| Kernel {
            isa,
            scan: scan::table(isa),
            tile: tile::table(isa),
            floats: floats::table(isa),
        })
    }

    /// The fastest kernel that this processor has.
    pub fn detect() -> Kernel {
        let fastest = Isa::ALL.into_iter().rev().find_map(Kernel::for_isa);
        fastest.expect("the scalar kernel runs everywhere")
    }

    /// The instruction set that is used.
    pub fn isa(self) -> Isa {
        self.isa
    }

    /// How many bits of each number [`Kernel::tile`] multiplies.
    pub fn form(self) -> Form {
        self.tile.form
    }

    /// From how many probes on [`Kernel::tile`] is faster than [`Kernel::coarse`] for each.
    pub fn tile_probes_min(self) -> usize {
        self.tile.probes_min
    }

    /// Where [`Kernel::coarse`] leaves over more than this share of the rows, [`Kernel::fine`] is
    /// faster than it with [`Kernel::refine`].
    pub fn coarse_share_max(self) -> f64 {
        self.scan.coarse_share_max
    }

    /// Appends the rows whose high nibbles alone reach `limit`, with `dot` = 16·Σ q·h.
    ///
    /// # Panics
    ///
    /// This and the operations below panic if the dimensions of probe and rows differ, or there is
    /// not one bound for each row.
    pub fn coarse(
        self,
        probe: &ScanProbe,
        rows: &NibbleRows<'_>,
        bounds: &Bounds<'_>,
        limit: Limit,
        hits: &mut Vec<Hit>,
    ) {
        assert_agree(probe, rows, bounds);
        // SAFETY: `for_isa` has made sure of the processor.
        unsafe { (self.scan.coarse)(probe, rows, bounds, limit, hits) };
    }

    /// Appends the rows that reach `limit`, with `dot` = Σ q·c.
    pub fn fine(
        self,
        probe: &ScanProbe,
        rows: &NibbleRows<'_>,
        bounds: &Bounds<'_>,
        limit: Limit,
        hits: &mut Vec<Hit>,
    ) {
        assert_agree(probe, rows, bounds);
        // SAFETY: `for_isa` has made sure of the processor.
        unsafe { (self.scan.fine)(probe, rows, bounds, limit, hits) };
    }

    /// Adds Σ q·l to every hit of [`Kernel::coarse`], for its row and its probe among `probes`, so
    /// that its dot product is that of [`Kernel::fine`].
    pub fn refine(self, probes: &[ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
        assert_all_agree(probes, rows);
        // SAFETY: `for_isa` has made sure of the processor.
        unsafe { (self.scan.refine)(probes, rows, hits) };
    }

    /// Puts Σ q·c into every hit, for its row and its probe among `probes`.
    pub fn fine_rows(self, probes: &[ScanProbe], rows: &NibbleRows<'_>, hits: &mut [Hit]) {
        assert_all_agree(probes, rows);
        // SAFETY: `for_isa` has made sure of the processor.
        unsafe { (self.scan.fine_rows)(probes, rows, hits) };
    }

    /// Packs probes for [`Kernel::tile`] against rows of `values_per_row` values, the zeros at
    /// their end included. The numbers of a probe lie within [`Form::probe_code_max`].
    ///
    /// # Panics
    ///
    /// Panics if a probe is longer than a row or has a larger number.
    pub fn pack_probes(self, values_per_row: usize, probes: &[&[i8]]) -> PackedProbes {
        PackedProbes::new(self.isa, values_per_row, probes)
    }

    /// Memory for packed rows; empty.
    pub fn packed_rows(self) -> PackedRows {
        PackedRows::new(self.isa)
    }

    /// Packs rows. Their bounds are to be filled in afterwards: [`PackedRows::bounds_mut`].
    ///
    /// # Panics
    ///
    /// Panics if `packed` was made by another kernel.
    pub fn pack(self, rows: &NibbleRows<'_>, packed: &mut PackedRows) {
        packed.resize(self.isa, rows);
        // SAFETY: `for_isa` has made sure of the processor.
        unsafe { (self.tile.pack)(rows, packed) };
    }

    /// Appends, for each probe, the rows of a group that reach its limit, with `dot` = Σ q·c or, in
    /// six bits, 4·Σ q·t. Hits of one probe are side by side.
    ///
    /// Asks memory for what is `ahead` meanwhile, such as the rows that are packed next.
    ///
    /// # Panics
    ///
    /// Panics if probes, rows and limits do not belong together, or there is no such group.
    pub fn tile(
        self,
        probes: &PackedProbes,
        rows: &PackedRows,
        group: usize,
        limits: &[Limit],
        ahead: Ahead<'_>,
        hits: &mut Vec<Hit>,
    ) {
        rows.assert_fits(self.isa, probes, limits);
        // SAFETY: `for_isa` has made sure of the processor.
        unsafe { (self.tile.tile)(probes, rows, group, limits, ahead, hits) };
    }

    /// From how many probes on [`Kernel::code`] and [`Kernel::tile`] are faster than
    /// [`Kernel::estimate`], where the kernel can code at all.
    pub fn code_probes_min(self) -> Option<usize> {
        self.tile.code.map(|code| code.probes_min)
    }

    /// Codes rows of single precision in bytes and packs them, with their bounds: a residual is that of
    /// the row's direction, and is not a number where a row is very short, very long, or not finite.
    /// Probes that are multiplied with them are packed for [`coded_values`].
    ///
    /// # Panics
    ///
    /// Panics if the kernel cannot code, `packed` was made by another one, or rows have not all the same
    /// number of values, from 1 to [`VALUES_MAX`].
    pub fn code(self, rows: &[&[f32]], packed: &mut PackedRows) {
        let dimension = rows.first().map_or(1, |row| row.len());
        assert!(
            (1..=VALUES_MAX).contains(&dimension) && rows.iter().all(|row| row.len() == dimension),
            "rows of one length"
        );
        let code = self.tile.code.expect("a kernel that codes");
        packed.resize_to(self.isa, rows.len(), coded_values(dimension));
        // SAFETY: `for_isa` has made sure of the processor.
        unsafe { (code.code)(rows, packed) };
    }

    /// Estimates Σ a·b in single precision, within the bound of [`Kernel::estimate`].
    pub fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: `for_isa` has made sure of the processor.
        unsafe { (self.floats.dot)(a, b) }
    }

    /// Up to how many probes it is faster to look at rows where they lie, with [`Kernel::estimate`] or
    /// [`Kernel::code`], than to code all of them first.
    pub fn estimate_probes_max(self) -> usize {
        self.floats.probes_max
    }

    /// Estimates, in single precision, Σ r·r for each row into `squares`, and Σ q·r for each row and
    /// probe into `dots`, [`FloatProbes::columns`] a row. A sum of n products is off by at most
    /// n·2^-24 / (1 - n·2^-24) · Σ|q·r|, plus n·2^-150, where nothing is beyond single precision.
    ///
    /// Asks memory for the rows `ahead` meanwhile.
    ///
    /// # Panics
    ///
    /// Panics if a row has another dimension than the probes, or there is not one square for each
    /// row and one estimate for each row and column.
    pub fn estimate(
        self,
        probes: &FloatProbes,
        rows: &[&[f32]],
        ahead: &[&[f32]],
        squares: &mut [f32],
        dots: &mut [f32],
    ) {
        let mut asked = Estimated {
            rows,
            ahead,
            squares,
            dots,
        };
        asked.assert_fits(probes);
        // SAFETY: `for_isa` has made sure of the processor.
        unsafe { (self.floats.estimate)(probes, &mut asked) };
    }

    /// Multiplies bytes as [`Kernel::tile`] does, in registers alone, so often as `rounds` says (a
    /// round is a few hundred instructions), and returns how many products of two bytes that were:
    /// the most that this processor can do, for benchmarks to compare with. `None` for kernels that
    /// are not written in instructions.
    pub fn spin(self, rounds: u64) -> Option<u64> {
        // SAFETY: `for_isa` has made sure of the processor.
        self.tile.spin.map(|spin| unsafe { spin(rounds) })
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Kernel) -> bool {
        self.isa == other.isa
    }
}

impl Eq for Kernel {}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({})", self.isa)
    }
}

fn assert_all_agree(probes: &[ScanProbe], rows: &NibbleRows<'_>) {
    for probe in probes {
        assert_eq!(probe.lines_per_row(), rows.lines_per_row, "one dimension");
    }
}

fn assert_agree(probe: &ScanProbe, rows: &NibbleRows<'_>, bounds: &Bounds<'_>) {
    assert_eq!(probe.lines_per_row(), rows.lines_per_row, "one dimension");
    let rows = rows.rows();
    assert_eq!(
        (bounds.scales.len(), bounds.residuals.len()),
        (rows, rows),
        "one bound a row"
    );
}

#[cfg(test)]
mod tests;
