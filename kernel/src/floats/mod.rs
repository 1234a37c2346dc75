//! Rows of single-precision numbers where they lie, against some probes: estimates without coding.
//!
//! Sixteen probes lie side by side in a line, value by value, so that a value of a row is multiplied
//! with all of them at once and sums of different probes lie in different lanes. Rows are read as they
//! are. Several rows share each line of probes, and up to four lines share each value of a row, so
//! that registers and not loads are what limits. One, two or three probes would leave most of a line
//! empty: they are multiplied with rows one after the other, value by value side by side.
//!
//! Sums are in single precision and in no agreed order: they are estimates, and two instruction sets
//! give different ones. However they are added, a sum of n products is within
//! n·2^-24 / (1 - n·2^-24) · Σ|a·b| of the true one, plus n·2^-150 for products that are too small to
//! be told from zero (Higham, *Accuracy and Stability of Numerical Algorithms*, sections 2.2 and 3.1).

mod portable;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use std::fmt;

use bytemuck::Zeroable;

use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::prefetch::ask_for_values;
use super::rows::Line;

/// Probes that share a line.
pub(super) const PROBES_PER_LINE: usize = 16;
/// Lines that are multiplied together at most.
const LINES_MAX: usize = 4;
/// Up to so many probes are multiplied one after the other.
const PROBES_ALONE_MAX: usize = 3;

/// Probes in single precision, side by side.
#[derive(Clone)]
pub struct FloatProbes {
    dimension: usize,
    count: usize,
    /// `[group][value][line of the group]`, for groups of four lines, then two, then one.
    lines: Vec<Line>,
    /// The probes themselves, where they are few.
    alone: Vec<Vec<f32>>,
}

impl FloatProbes {
    /// Puts probes of `dimension` values side by side. Each is asked for once for each value.
    ///
    /// # Panics
    ///
    /// Panics if a probe has another dimension.
    pub fn new(dimension: usize, probes: &[Vec<f32>]) -> FloatProbes {
        assert!(
            probes.iter().all(|probe| probe.len() == dimension),
            "all probes have the same dimension"
        );
        let count = probes.len().div_ceil(PROBES_PER_LINE);
        let mut lines = Vec::with_capacity(count * dimension);
        for (first, width) in groups(count) {
            for value in 0..dimension {
                for line in first..first + width {
                    let probes = &probes[line * PROBES_PER_LINE..];
                    let number = |at: usize| probes.get(at).map_or(0.0, |probe| probe[value]);
                    let numbers: [f32; PROBES_PER_LINE] = std::array::from_fn(number);
                    let mut line = Line::zeroed();
                    bytemuck::cast_slice_mut(&mut line.0).copy_from_slice(&numbers);
                    lines.push(line);
                }
            }
        }
        FloatProbes {
            dimension,
            count: probes.len(),
            lines,
            alone: match probes.len() {
                ..=PROBES_ALONE_MAX => probes.to_vec(),
                _ => Vec::new(),
            },
        }
    }

    /// How many estimates a row has: one for each probe, and what stands behind the last is to be left.
    pub fn columns(&self) -> usize {
        self.count.next_multiple_of(PROBES_PER_LINE)
    }

    /// How many values a probe has.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The groups of lines, each with the column of its first probe and how wide it is.
    fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        groups(self.columns() / PROBES_PER_LINE).map(|(first, width)| Group {
            column: first * PROBES_PER_LINE,
            width,
            lines: &self.lines[first * self.dimension..][..width * self.dimension],
        })
    }
}

impl fmt::Debug for FloatProbes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FloatProbes({} of {})", self.count, self.dimension)
    }
}

/// Lines of probes that are multiplied together.
struct Group<'a> {
    /// Where the estimates of its first probe stand in a row of estimates.
    column: usize,
    /// Lines of each value: 1, 2 or 4.
    width: usize,
    lines: &'a [Line],
}

/// In which groups so many lines are taken: the first line of each, and how many.
fn groups(lines: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let width = match lines - first {
            0 => return None,
            1 => 1,
            2..LINES_MAX => 2,
            _ => LINES_MAX,
        };
        first += width;
        Some((first - width, width))
    })
}

/// Some rows, and what is asked of them.
pub(super) struct Estimated<'a> {
    /// Rows of the dimension of the probes.
    pub(super) rows: &'a [&'a [f32]],
    /// Rows that come next, which memory is asked for meanwhile; as many, or none.
    pub(super) ahead: &'a [&'a [f32]],
    /// Σ r·r for each row.
    pub(super) squares: &'a mut [f32],
    /// Σ q·r, [`FloatProbes::columns`] for each row.
    pub(super) dots: &'a mut [f32],
}

impl<'a> Estimated<'a> {
    /// Memory is safe whatever is given; a mistake of the caller must not go unseen.
    pub(super) fn assert_fits(&self, probes: &FloatProbes) {
        let dimension = probes.dimension;
        assert!(
            self.rows.iter().all(|row| row.len() == dimension),
            "rows have the dimension of the probes"
        );
        let rows = self.rows.len();
        assert_eq!(self.squares.len(), rows, "a square for each row");
        let dots = rows * probes.columns();
        assert_eq!(self.dots.len(), dots, "an estimate for each row and probe");
    }

    /// What comes behind some rows.
    #[cfg(target_arch = "x86_64")]
    fn ahead_of<const ROWS: usize>(&self, first: usize, column: usize) -> [&'a [f32]; ROWS] {
        // Once is enough: the first group asks.
        let ahead = if column == 0 { self.ahead } else { &[] };
        std::array::from_fn(|row| ahead.get(first + row).copied().unwrap_or_default())
    }
}

/// The functions of one instruction set. Calling them is sound where the processor has it.
pub(super) struct FloatTable {
    /// Fills in squares and estimates.
    pub(super) estimate: unsafe fn(&FloatProbes, &mut Estimated<'_>),
    /// Σ a·b of two rows of one length.
    pub(super) dot: unsafe fn(&[f32], &[f32]) -> f32,
    /// Up to how many probes it is faster to look at rows where they lie, as they are or coded some at a
    /// time, than to code all of them and search what was coded.
    pub(super) probes_max: usize,
}

pub(super) fn table(isa: Isa) -> &'static FloatTable {
    match isa {
        Isa::Scalar | Isa::Simsimd => &portable::TABLE,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni if !std::arch::is_x86_feature_detected!("fma") => &portable::TABLE,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &avx2::TABLE,
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni => &avx2::NEVER_CODED,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => &avx512::TABLE,
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("kernels are only made for available instruction sets"),
    }
}

/// Fills in squares, and estimates of probes that are few enough to be multiplied one after the other,
/// with `dot`, which is Σ a·b. Returns whether these are all.
#[inline(always)]
fn squares_and_alone(
    probes: &FloatProbes,
    asked: &mut Estimated<'_>,
    dot: impl Fn(&[f32], &[f32]) -> f32,
) -> bool {
    let columns = probes.columns();
    for (at, row) in asked.rows.iter().enumerate() {
        asked.squares[at] = dot(row, row);
        for (probe, values) in probes.alone.iter().enumerate() {
            asked.dots[at * columns + probe] = dot(row, values);
        }
    }
    !probes.alone.is_empty()
}

/// Defines `estimate` for some features. `$dot` multiplies two rows, and `$products` rows with the lines of a group, as many
/// rows at a time as stand behind the lines of a group, and the last ones alone.
macro_rules! estimate {
    ($features:literal, $dot:ident, $products:ident, $($width:literal => $rows:literal),+) => {
        #[target_feature(enable = $features)]
        fn estimate(probes: &FloatProbes, asked: &mut Estimated<'_>) {
            if super::squares_and_alone(probes, asked, |a, b| $dot(a, b)) {
                return;
            }
            let columns = probes.columns();
            for group in probes.groups() {
                match group.width {
                    $($width => by_rows::<$rows, $width>(&group, columns, asked),)+
                    _ => unreachable!("groups have 1, 2 or 4 lines"),
                }
            }
        }

        /// Multiplies all rows with the lines of a group.
        #[inline]
        #[target_feature(enable = $features)]
        fn by_rows<const ROWS: usize, const LINES: usize>(
            group: &Group<'_>,
            columns: usize,
            asked: &mut Estimated<'_>,
        ) {
            let (lines, _) = group.lines.as_chunks::<LINES>();
            let (whole, rest) = asked.rows.as_chunks::<ROWS>();
            for (at, rows) in whole.iter().enumerate() {
                let first = at * ROWS;
                let ahead = asked.ahead_of::<ROWS>(first, group.column);
                let place = first * columns + group.column;
                $products(rows, lines, ahead, &mut asked.dots[place..], columns);
            }
            for (at, row) in rest.iter().enumerate() {
                let place = (whole.len() * ROWS + at) * columns + group.column;
                $products(&[row], lines, [&[]], &mut asked.dots[place..], columns);
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
use estimate;

#[cfg(test)]
mod tests;
