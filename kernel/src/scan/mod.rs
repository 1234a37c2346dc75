//! One probe against rows that lie as nibble planes: what a search for one person does, limited by
//! memory. Kernels read the planes as they are.
//!
//! # Why nothing overflows
//!
//! A nibble is stored as 0 to 15 and a probe's number is -127 to 127. AVX2 multiplies bytes in
//! pairs and adds each pair in 16 bits: at most 2 x 15 x 127 = 3,810, and 8 of these sums,
//! 30,480, fit below 32,767. After 8 they are widened to 32 bits, in which a whole row has at most
//! 4,096 x 15 x 127 = 7,802,880. VNNI adds four products at once to 32 bits. The offset of the
//! nibbles is taken out at the end: Σ q·h = Σ q·(h + 8) − 8·Σ q.

pub(super) mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;

use std::fmt;

use super::dot_i8::{Scalar, Simsimd};
use super::isa::Isa;
use super::rows::{Bounds, Hit, Limit, Line, NIBBLE_OFFSET, NibbleRows, VALUES_PER_LINE, push};

/// The largest absolute value of a probe's number.
pub const PROBE_CODE_MAX: i8 = 127;

/// A probe in whole numbers, as [`super::Kernel::coarse`] and its sisters want it.
#[derive(Clone)]
pub struct ScanProbe {
    /// The numbers, with zeros up to the end of the last line: two lines for each line of nibbles.
    codes: Vec<Line>,
    /// The sum of all numbers.
    sum: i32,
}

impl ScanProbe {
    /// Takes numbers from -[`PROBE_CODE_MAX`] to [`PROBE_CODE_MAX`], one for each value.
    ///
    /// # Panics
    ///
    /// Panics if a number is outside this range.
    pub fn new(codes: &[i8]) -> ScanProbe {
        assert!(
            codes.iter().all(|&code| code != i8::MIN),
            "a probe's numbers are from -127 to 127"
        );
        let lines = codes.len().div_ceil(VALUES_PER_LINE) * 2;
        let mut padded = vec![bytemuck::Zeroable::zeroed(); lines];
        bytemuck::cast_slice_mut(&mut padded)[..codes.len()].copy_from_slice(codes);
        ScanProbe {
            codes: padded,
            sum: codes.iter().map(|&code| i32::from(code)).sum(),
        }
    }

    /// How many lines of nibbles a row of the same dimension has.
    pub(super) fn lines_per_row(&self) -> usize {
        self.codes.len() / 2
    }

    /// What the offset of the nibbles adds to a dot product with stored high nibbles.
    fn offset_coarse(&self) -> i32 {
        NIBBLE_OFFSET * self.sum
    }

    /// What it adds to one with stored low nibbles: as much.
    fn offset_low(&self) -> i32 {
        NIBBLE_OFFSET * self.sum
    }

    /// What it adds when both nibbles are put together as stored.
    fn offset_fine(&self) -> i32 {
        (16 + 1) * NIBBLE_OFFSET * self.sum
    }
}

impl fmt::Debug for ScanProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanProbe({} lines)", self.codes.len())
    }
}

/// Reports rows of a plane, or of both, for one probe.
type Scan = unsafe fn(&ScanProbe, &NibbleRows<'_>, &Bounds<'_>, Limit, &mut Vec<Hit>);
/// Changes the dot product of every hit.
type Refine = unsafe fn(&[ScanProbe], &NibbleRows<'_>, &mut [Hit]);

/// The functions of one instruction set. Calling them is sound where the processor has it.
pub(super) struct ScanTable {
    /// Reads the high nibbles: 16·Σ q·h.
    pub(super) coarse: Scan,
    /// Reads both: Σ q·c.
    pub(super) fine: Scan,
    /// Adds Σ q·l to every hit.
    pub(super) refine: Refine,
    /// Puts Σ q·c into every hit.
    pub(super) fine_rows: Refine,
    /// Where `coarse` leaves over more than this share of the rows, `fine` is faster than it with
    /// `refine`.
    pub(super) coarse_share_max: f64,
}

/// Without AVX-512, measured at 512 values on a Zen 3: `fine` takes about 14 ns a row longer than
/// `coarse`, and another look at a single row, whose line of memory nobody expects, about 100 ns.
const COARSE_SHARE_MAX: f64 = 0.13;

pub(super) fn table(isa: Isa) -> &'static ScanTable {
    static SCALAR: ScanTable = portable::table::<Scalar>();
    static SIMSIMD: ScanTable = portable::table::<Simsimd>();
    match isa {
        Isa::Scalar => &SCALAR,
        Isa::Simsimd => &SIMSIMD,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &avx2::TABLE,
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni => &avx_vnni::TABLE,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => &avx512::TABLE,
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("kernels are only made for available instruction sets"),
    }
}

/// Rows whose dot products are computed before they are compared with the limit.
const ROWS_PER_STEP: usize = 32;

/// Walks over all rows in steps: `dots` computes the dot products of up to [`ROWS_PER_STEP`] rows
/// from the first, `reports` says, one bit a row, which of them reach the limit, and `reported` is
/// told of each.
///
/// Inlined into each instruction set's function, so that the closures are compiled for it.
#[inline(always)]
fn walk(
    rows: &NibbleRows<'_>,
    bounds: &Bounds<'_>,
    hits: &mut Vec<Hit>,
    mut dots: impl FnMut(usize, &mut [i32]),
    reports: impl Fn(&[i32; ROWS_PER_STEP], &[f32; ROWS_PER_STEP], &[f32; ROWS_PER_STEP]) -> u32,
    reported: impl Fn(usize),
) {
    let mut results = [0_i32; ROWS_PER_STEP];
    let (scales, scales_rest) = bounds.scales.as_chunks::<ROWS_PER_STEP>();
    let (residuals, residuals_rest) = bounds.residuals.as_chunks::<ROWS_PER_STEP>();
    let mut push = |first: usize, mask: u32, results: &[i32]| {
        let before = hits.len();
        push(hits, 0, first, mask, results);
        for hit in &hits[before..] {
            reported(hit.row as usize);
        }
    };
    for (step, (scales, residuals)) in scales.iter().zip(residuals).enumerate() {
        dots(step * ROWS_PER_STEP, &mut results);
        let mask = reports(&results, scales, residuals);
        push(step * ROWS_PER_STEP, mask, &results);
    }
    let rest = scales_rest.len();
    if rest > 0 {
        let first = rows.rows() - rest;
        dots(first, &mut results[..rest]);
        // NaN is never reported.
        let (mut scales, mut residuals) = ([0.0; ROWS_PER_STEP], [f32::NAN; ROWS_PER_STEP]);
        scales[..rest].copy_from_slice(scales_rest);
        residuals[..rest].copy_from_slice(residuals_rest);
        let mask = reports(&results, &scales, &residuals);
        push(first, mask, &results);
    }
}
