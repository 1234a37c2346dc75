//! What kernels read and what they report.

use std::fmt;

use bytemuck::{Pod, Zeroable};

/// 64 bytes on a 64-byte boundary: a cache line, and the unit of every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

/// Values that share one line of a nibble plane.
pub const VALUES_PER_LINE: usize = 128;
/// What is added to a nibble so that it is stored without a sign.
pub const NIBBLE_OFFSET: i32 = 8;
/// The most values that a row can have. All arguments that nothing overflows rest on it.
pub const VALUES_MAX: usize = 4096;

/// Rows of numbers from -136 to 119, each number c = 16·h + l split over two planes.
///
/// Nibbles h and l, from -8 to 7, are stored with [`NIBBLE_OFFSET`] added. Byte i of a line holds
/// value i of the line in its lower half, and value i + 64 in its upper half. The line of a row
/// after its last value is filled up with zeros, that is with nibbles of 8.
#[derive(Clone, Copy)]
pub struct NibbleRows<'a> {
    /// Lines of a row, in either plane.
    pub lines_per_row: usize,
    /// The nibbles h.
    pub high: &'a [Line],
    /// The nibbles l.
    pub low: &'a [Line],
}

impl NibbleRows<'_> {
    /// How many rows there are.
    ///
    /// # Panics
    ///
    /// Panics if the planes are not whole rows, equally many, of 1 to [`VALUES_MAX`] values.
    pub fn rows(&self) -> usize {
        let lines_max = VALUES_MAX / VALUES_PER_LINE;
        assert!(
            (1..=lines_max).contains(&self.lines_per_row),
            "a row has 1 to {lines_max} lines"
        );
        assert_eq!(
            self.high.len(),
            self.low.len(),
            "both planes have every row"
        );
        assert_eq!(
            self.high.len() % self.lines_per_row,
            0,
            "planes hold whole rows"
        );
        self.high.len() / self.lines_per_row
    }

    /// How many values a row has, the zeros at its end included.
    pub fn values_per_row(&self) -> usize {
        self.lines_per_row * VALUES_PER_LINE
    }

    /// One row of each plane.
    pub(super) fn row(&self, at: usize) -> (&[Line], &[Line]) {
        let lines = at * self.lines_per_row..(at + 1) * self.lines_per_row;
        (&self.high[lines.clone()], &self.low[lines])
    }
}

impl fmt::Debug for NibbleRows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NibbleRows({} rows)", self.rows())
    }
}

/// What memory is asked for while something else is done.
#[derive(Clone, Copy, Default)]
pub struct Ahead<'a> {
    /// About as long as each other.
    pub(super) parts: [&'a [Line]; 2],
}

impl<'a> Ahead<'a> {
    /// Rows of nibbles.
    pub fn nibbles(rows: &NibbleRows<'a>) -> Ahead<'a> {
        Ahead {
            parts: [rows.high, rows.low],
        }
    }

    /// Values in single precision, but for those that share a line of memory with others.
    pub fn values(values: &'a [f32]) -> Ahead<'a> {
        let (_, lines, _) = bytemuck::pod_align_to::<f32, Line>(values);
        let (front, back) = lines.split_at(lines.len() / 2);
        Ahead {
            parts: [front, back],
        }
    }
}

impl fmt::Debug for Ahead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.parts.map(<[Line]>::len);
        write!(f, "Ahead({lines:?} lines)")
    }
}

/// What decides, beside its dot product, whether a row is reported: one entry a row.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// What a unit of the dot product is worth.
    pub scales: &'a [f32],
    /// How far the row may be from what its numbers say.
    pub residuals: &'a [f32],
}

/// What a row must reach to be reported for a probe:
/// `dot as f32 * scale + residual * weight >= least`.
///
/// Computed in single precision as it is written, without fused operations, so that every kernel
/// reports the same rows. A residual that is NaN is never reported; a `least` of minus infinity
/// reports every other row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// How much the residual of a row counts.
    pub weight: f32,
    /// The least that is reported.
    pub least: f32,
}

impl Limit {
    /// Reports everything.
    pub const EVERYTHING: Limit = Limit {
        weight: 0.0,
        least: f32::NEG_INFINITY,
    };
    /// Reports nothing.
    pub const NOTHING: Limit = Limit {
        weight: 0.0,
        least: f32::INFINITY,
    };

    /// Whether a row is reported.
    #[inline]
    pub fn reports(self, dot: i32, scale: f32, residual: f32) -> bool {
        dot as f32 * scale + residual * self.weight >= self.least
    }
}

/// A row that reached the limit of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Which probe, from 0.
    pub probe: u32,
    /// Which row, from 0.
    pub row: u32,
    /// The dot product of the two.
    pub dot: i32,
}

/// Appends a hit for every bit of `mask`.
#[inline(always)]
pub(super) fn push(hits: &mut Vec<Hit>, probe: usize, first: usize, mut mask: u32, dots: &[i32]) {
    while mask != 0 {
        let at = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        hits.push(Hit {
            probe: probe as u32,
            row: (first + at) as u32,
            dot: dots[at],
        });
    }
}

/// Puts the nibbles of a row together. Numbers that no writer of ours makes (below -128) wrap.
pub(super) fn unpack_row((high, low): (&[Line], &[Line]), codes: &mut [i8]) {
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
