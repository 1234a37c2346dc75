//! Many probes against rows that were repacked for it: limited by arithmetic.
//!
//! Rows are taken in groups of [`ROWS_PER_GROUP`], which stay in the first-level cache while all
//! probes pass over them. A group is repacked once and multiplied as often as there are probes.
//!
//! # Layouts
//!
//! What an instruction set multiplies best decides how its rows are packed, so that packed rows
//! and probes belong to the [`Isa`] that packed them.
//!
//! * *By row*: numbers of a row side by side. Scalar and simsimd.
//! * *Interleaved*: a line holds four values of each of sixteen rows,
//!   `[value / 4][row][value % 4]`. A product then leaves sums of different rows in different
//!   lanes, and no lanes are ever added. It is also the layout in which AMX wants its second
//!   operand.
//!
//! # Why nothing overflows
//!
//! * AVX-512 and AVX-VNNI multiply c + 128, at most 255, with a probe's -127 to 127 and add four
//!   products to 32 bits: a row has at most 4,096 x 255 x 127 = 132,648,960. AMX multiplies c
//!   itself.
//! * AVX2 has no such instruction. `vpmaddubsw` adds two products in 16 bits, and widening each
//!   costs as much as the product. So the numbers of both sides are cut to six bits: a row's to t =
//!   (c + 2) >> 2, from -30 to 30, stored as t + 32, at most 62, and a probe's to -31 to 31. Two
//!   products are then at most 2 x 62 x 31 = 3,844, and eight such sums, 30,752, fit below 32,767
//!   before they are widened. What t leaves of a row, c - 4·t from -2 to 1, is counted in
//!   [`PackedRows::squares`], so that the caller can bound the error.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
#[cfg(target_arch = "x86_64")]
mod code_avx2;
#[cfg(target_arch = "x86_64")]
mod code_avx512;
#[cfg(target_arch = "x86_64")]
mod interleave;
#[cfg(target_arch = "x86_64")]
mod interleave_avx512;
mod pack;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt;

use bytemuck::Zeroable;

use super::dot_i8::{Scalar, Simsimd};
use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::prefetch::ask_for;
use super::rows::{Ahead, Bounds, Hit, Limit, Line, NibbleRows};

/// The least and the greatest that the largest value of a row may be for it to be coded: what follows
/// from it can be told from zero, and overflows nowhere.
const CODED_MIN: f32 = 1.862_645_1e-9;
const CODED_MAX: f32 = 1.099_511_6e12;
/// Rows that are multiplied with all probes before the next ones.
pub const ROWS_PER_GROUP: usize = 32;

/// Values of a row of this dimension that [`super::Kernel::code`] has packed, the zeros at its end
/// included.
pub fn coded_values(dimension: usize) -> usize {
    dimension.next_multiple_of(size_of::<Line>())
}

/// How many bits of each number an instruction set multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of them: rows as they are, probes from -127 to 127.
    EightBits,
    /// Rows as multiples of four, probes from -31 to 31.
    SixBits,
}

impl Form {
    /// The largest absolute value of a probe's number.
    pub fn probe_code_max(self) -> i8 {
        match self {
            Form::EightBits => 127,
            Form::SixBits => 31,
        }
    }
}

/// Probes in the layout of one instruction set.
#[derive(Clone)]
pub struct PackedProbes {
    isa: Isa,
    count: usize,
    /// `[probe / width][value / 4][probe % width][value % 4]` with as many probes interleaved as
    /// the instruction set wants.
    lines: Vec<Line>,
    /// The sum of each probe's numbers, zeros up to a whole step.
    sums: Vec<i32>,
}

impl PackedProbes {
    /// Packs the numbers of probes, for an instruction set and rows of so many values.
    ///
    /// # Panics
    ///
    /// Panics if a probe is longer than a row or has a number beyond [`Form::probe_code_max`].
    pub(super) fn new(isa: Isa, values_per_row: usize, probes: &[&[i8]]) -> PackedProbes {
        let table = table(isa);
        let (width, largest) = (table.probes_interleaved, table.form.probe_code_max());
        let padded = probes.len().next_multiple_of(table.probes_per_step);
        let mut lines = vec![Line::zeroed(); padded * values_per_row / size_of::<Line>()];
        let bytes: &mut [i8] = bytemuck::cast_slice_mut(&mut lines);
        let mut sums = vec![0; padded];
        for (at, probe) in probes.iter().enumerate() {
            assert!(probe.len() <= values_per_row, "probe {at} fits into a row");
            let first = at / width * width * values_per_row + at % width * 4;
            for (value, &code) in probe.iter().enumerate() {
                assert!(
                    (-largest..=largest).contains(&code),
                    "a probe's numbers are from -{largest} to {largest}"
                );
                bytes[first + value / 4 * 4 * width + value % 4] = code;
                sums[at] += i32::from(code);
            }
        }
        let count = probes.len();
        PackedProbes {
            isa,
            count,
            lines,
            sums,
        }
    }

    /// How many probes there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many limits [`super::Kernel::tile`] wants: one a probe, and some more to fill up the
    /// last step, which must be [`Limit::NOTHING`].
    pub fn limits(&self) -> usize {
        self.sums.len()
    }

    /// What a kernel multiplies at once: the number of the step, the words of its `WIDTH` probes,
    /// their sums, and their limits.
    #[cfg(target_arch = "x86_64")]
    fn steps<'a, const WIDTH: usize>(
        &'a self,
        words_per_probe: usize,
        limits: &'a [Limit],
    ) -> impl Iterator<
        Item = (
            usize,
            &'a [[i32; WIDTH]],
            &'a [i32; WIDTH],
            &'a [Limit; WIDTH],
        ),
    > {
        let words: &[i32] = bytemuck::cast_slice(&self.lines);
        let words = words.as_chunks::<WIDTH>().0.chunks_exact(words_per_probe);
        let sums = self.sums.as_chunks::<WIDTH>().0.iter();
        let limits = limits.as_chunks::<WIDTH>().0.iter();
        let steps = words.zip(sums).zip(limits).enumerate();
        steps.map(|(step, ((words, sums), limits))| (step, words, sums, limits))
    }
}

impl fmt::Debug for PackedProbes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackedProbes({} for {})", self.count, self.isa)
    }
}

/// Rows in the layout of one instruction set, with what decides about reporting them.
///
/// Memory to be used again for the next rows.
pub struct PackedRows {
    isa: Isa,
    rows: usize,
    values_per_row: usize,
    lines: Vec<Line>,
    squares: Vec<u32>,
    scales: Vec<f32>,
    residuals: Vec<f32>,
    /// Rows that are coded, before they are interleaved.
    by_row: Vec<Line>,
}

impl PackedRows {
    pub(super) fn new(isa: Isa) -> PackedRows {
        PackedRows {
            isa,
            rows: 0,
            values_per_row: 0,
            lines: Vec::new(),
            squares: Vec::new(),
            scales: Vec::new(),
            residuals: Vec::new(),
            by_row: Vec::new(),
        }
    }

    /// Makes room for `rows` packed for `isa`; what is beyond the last one is never reported.
    ///
    /// # Panics
    ///
    /// Panics if this is memory for another instruction set.
    pub(super) fn resize(&mut self, isa: Isa, rows: &NibbleRows<'_>) {
        self.resize_to(isa, rows.rows(), rows.values_per_row());
    }

    /// Makes room for so many rows.
    ///
    /// # Panics
    ///
    /// Panics if this is memory for another instruction set.
    pub(super) fn resize_to(&mut self, isa: Isa, rows: usize, values_per_row: usize) {
        assert!(self.isa == isa, "memory for {isa}");
        self.rows = rows;
        self.values_per_row = values_per_row;
        let padded = self.rows.next_multiple_of(ROWS_PER_GROUP);
        self.lines.resize(
            padded * self.values_per_row / size_of::<Line>(),
            Line::zeroed(),
        );
        self.squares.clear();
        self.squares.resize(padded, 0);
        self.scales.clear();
        self.scales.resize(padded, 0.0);
        self.residuals.clear();
        self.residuals.resize(padded, f32::NAN);
    }

    /// How many groups of rows there are.
    pub fn groups(&self) -> usize {
        self.rows.div_ceil(ROWS_PER_GROUP)
    }

    /// For each row Σ (c - 4·t)² over what packing has cut off; zeros for [`Form::EightBits`].
    pub fn squares(&self) -> &[u32] {
        &self.squares[..self.rows]
    }

    /// What decides about reporting each row.
    pub fn bounds(&self) -> Bounds<'_> {
        Bounds {
            scales: &self.scales[..self.rows],
            residuals: &self.residuals[..self.rows],
        }
    }

    /// What decides about reporting each row: the scales, and the residuals, to be filled in.
    pub fn bounds_mut(&mut self) -> (&mut [f32], &mut [f32]) {
        (
            &mut self.scales[..self.rows],
            &mut self.residuals[..self.rows],
        )
    }

    /// # Panics
    ///
    /// Panics if probes, rows and limits do not belong together.
    pub(super) fn assert_fits(&self, isa: Isa, probes: &PackedProbes, limits: &[Limit]) {
        assert!(probes.isa == isa && self.isa == isa, "packed for {isa}");
        assert_eq!(limits.len(), probes.limits(), "one limit for each probe");
        assert_eq!(
            probes.lines.len() * size_of::<Line>(),
            probes.limits() * self.values_per_row,
            "probes and rows have the same dimension"
        );
    }

    /// The lines of a group.
    fn group(&self, group: usize) -> &[Line] {
        let lines = ROWS_PER_GROUP * self.values_per_row / size_of::<Line>();
        &self.lines[group * lines..(group + 1) * lines]
    }

    /// Its first and its second sixteen rows, where they are interleaved.
    #[cfg(target_arch = "x86_64")]
    fn group_halves(&self, group: usize) -> (&[Line], &[Line]) {
        let lines = self.group(group);
        lines.split_at(lines.len() / 2)
    }

    fn group_scales(&self, group: usize) -> &[f32; ROWS_PER_GROUP] {
        &self.scales.as_chunks().0[group]
    }

    fn group_residuals(&self, group: usize) -> &[f32; ROWS_PER_GROUP] {
        &self.residuals.as_chunks().0[group]
    }
}

impl fmt::Debug for PackedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackedRows({} for {})", self.rows, self.isa)
    }
}

/// Asks memory for the part that falls on a step, so that all have been asked for
/// after the last and none waits for another.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch(ahead: Ahead<'_>, step: usize, steps: usize) {
    for part in part_of_step(ahead, step, steps) {
        ask_for(part, 0, part.len());
    }
}

/// What falls on a step of each part.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn part_of_step(ahead: Ahead<'_>, step: usize, steps: usize) -> [&[Line]; 2] {
    ahead.parts.map(|plane| {
        let lines = plane.len().div_ceil(steps);
        let first = (step * lines).min(plane.len());
        &plane[first..][..lines.min(plane.len() - first)]
    })
}

/// Repacks rows.
type Pack = unsafe fn(&NibbleRows<'_>, &mut PackedRows);
/// Codes and packs rows.
#[derive(Clone, Copy)]
pub(super) struct Code {
    /// Wants memory that was resized for the rows, which are all as long.
    pub(super) code: unsafe fn(&[&[f32]], &mut PackedRows),
    /// From so many probes on it is faster than to estimate them in single precision.
    pub(super) probes_min: usize,
}
/// Reports rows of one group for all probes.
pub(super) type Tile =
    unsafe fn(&PackedProbes, &PackedRows, usize, &[Limit], Ahead<'_>, &mut Vec<Hit>);

/// The functions of one instruction set. Calling them is sound where the processor has it.
pub(super) struct TileTable {
    pub(super) form: Form,
    /// Probes whose words lie side by side.
    pub(super) probes_interleaved: usize,
    /// Probes that are multiplied before their sums are compared: a multiple of that.
    pub(super) probes_per_step: usize,
    /// From so many probes on the tile is faster than a scan for each. Measured with
    /// `vultus bench --all-plans`; see `docs/benchmarks.md`.
    pub(super) probes_min: usize,
    /// Wants memory that was resized for the rows.
    pub(super) pack: Pack,
    /// Codes rows of single precision and packs them, where that is faster than to multiply them as
    /// they are.
    pub(super) code: Option<Code>,
    /// Wants probes, rows and limits that belong together.
    pub(super) tile: Tile,
    /// Multiplies in registers alone, so many rounds, and returns how many products that were.
    pub(super) spin: Option<unsafe fn(u64) -> u64>,
}

pub(super) fn table(isa: Isa) -> &'static TileTable {
    static SCALAR: TileTable = portable::table::<Scalar>();
    static SIMSIMD: TileTable = portable::table::<Simsimd>();
    match isa {
        Isa::Scalar => &SCALAR,
        Isa::Simsimd => &SIMSIMD,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &avx2::TABLE,
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni => &avx_vnni::TABLE,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &avx512::TABLE,
        #[cfg(target_arch = "x86_64")]
        Isa::Amx => &amx::TABLE,
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("kernels are only made for available instruction sets"),
    }
}
