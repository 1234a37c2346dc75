//! Many rows in memory, each part of a row in a plane of its own.

use std::fmt;
use std::ops::Range;

use bytemuck::Zeroable;

use super::quantize::{Codes, high_nibble, round_up};
use super::similarity::length;
use crate::kernel::{
    Bounds, Form, Kernel, Line, NIBBLE_OFFSET, NibbleRows, PackedRows, VALUES_PER_LINE,
};
use crate::types::ClassId;

/// How wide rows of one dimension are in each plane.
///
/// A row begins on a line in every wide plane, so that no vector load crosses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    dimension: usize,
}

impl Layout {
    /// The layout of rows of `dimension` values.
    pub fn new(dimension: usize) -> Layout {
        Layout { dimension }
    }

    /// How many values a row has.
    pub fn dimension(self) -> usize {
        self.dimension
    }

    /// Lines of a row in either nibble plane.
    pub fn nibble_lines(self) -> usize {
        self.dimension.div_ceil(VALUES_PER_LINE)
    }

    /// How many whole numbers a row has, the zeros at its end included.
    pub fn padded_values(self) -> usize {
        self.nibble_lines() * VALUES_PER_LINE
    }

    /// Lines of a row in the plane of full values.
    pub fn value_lines(self) -> usize {
        (self.dimension * size_of::<f32>()).div_ceil(size_of::<Line>())
    }
}

/// A run of rows, borrowed from wherever they lie: memory or a mapped file.
///
/// Every slice has one entry (or one group of lines) for each row.
#[derive(Clone, Copy)]
pub struct RowBlock<'a> {
    /// How wide the rows are.
    pub layout: Layout,
    /// High nibbles: [`Layout::nibble_lines`] lines a row.
    pub high: &'a [Line],
    /// Low nibbles: as many.
    pub low: &'a [Line],
    /// What a code is worth.
    pub scales: &'a [f32],
    /// Error of the high nibbles alone.
    pub residuals_coarse: &'a [f32],
    /// Error of both nibbles.
    pub residuals_fine: &'a [f32],
}

impl RowBlock<'_> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.scales.is_empty()
    }

    /// What kernels read: the nibbles.
    pub fn nibbles(&self) -> NibbleRows<'_> {
        NibbleRows {
            lines_per_row: self.layout.nibble_lines(),
            high: self.high,
            low: self.low,
        }
    }

    /// What decides about a row when its high nibbles alone were read.
    pub fn bounds_coarse(&self) -> Bounds<'_> {
        Bounds {
            scales: self.scales,
            residuals: self.residuals_coarse,
        }
    }

    /// What decides about a row when both nibbles were read.
    pub fn bounds_fine(&self) -> Bounds<'_> {
        Bounds {
            scales: self.scales,
            residuals: self.residuals_fine,
        }
    }

    /// Packs the rows for many probes. In six bits the residual is that of what is left:
    /// ‖u − s·4·t‖ ≤ ‖u − s·c‖ + s·‖c − 4·t‖.
    pub fn pack(&self, kernel: Kernel, packed: &mut PackedRows) {
        kernel.pack(&self.nibbles(), packed);
        if kernel.form() == Form::EightBits {
            let (scales, residuals) = packed.bounds_mut();
            scales.copy_from_slice(self.scales);
            residuals.copy_from_slice(self.residuals_fine);
            return;
        }
        for row in 0..self.len() {
            let square = f64::from(packed.squares()[row]);
            let cut_off = f64::from(self.scales[row]) * square.sqrt();
            let residual = f64::from(self.residuals_fine[row]) + cut_off;
            let (scales, residuals) = packed.bounds_mut();
            scales[row] = self.scales[row];
            // Three roundings in double precision are far below one part in 10^12.
            residuals[row] = round_up(residual * (1.0 + 1e-12));
        }
    }
}

impl fmt::Debug for RowBlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RowBlock({} rows of {} values)",
            self.len(),
            self.layout.dimension
        )
    }
}

/// Rows in memory, to be searched where they are or written into a segment.
#[derive(Clone)]
pub struct Planes {
    layout: Layout,
    high: Vec<Line>,
    low: Vec<Line>,
    scales: Vec<f32>,
    residuals_coarse: Vec<f32>,
    residuals_fine: Vec<f32>,
    lengths: Vec<f64>,
    classes: Vec<i64>,
    values: Vec<Line>,
}

impl Planes {
    /// No rows yet, of `dimension` values each.
    pub fn new(dimension: usize) -> Planes {
        Planes::with_capacity(dimension, 0)
    }

    /// No rows yet, with memory for so many.
    pub fn with_capacity(dimension: usize, rows: usize) -> Planes {
        let layout = Layout::new(dimension);
        Planes {
            layout,
            high: Vec::with_capacity(rows * layout.nibble_lines()),
            low: Vec::with_capacity(rows * layout.nibble_lines()),
            scales: Vec::with_capacity(rows),
            residuals_coarse: Vec::with_capacity(rows),
            residuals_fine: Vec::with_capacity(rows),
            lengths: Vec::with_capacity(rows),
            classes: Vec::with_capacity(rows),
            values: Vec::with_capacity(rows * layout.value_lines()),
        }
    }

    /// Codes `row` and appends it as a template of `class`.
    ///
    /// # Panics
    ///
    /// Panics if the row has another dimension.
    pub fn push(&mut self, class: ClassId, row: &[f32]) {
        assert_eq!(
            row.len(),
            self.layout.dimension,
            "all rows have the same dimension"
        );
        let length = length(row);
        let codes = Codes::of_template(row, length);
        self.push_nibbles(&codes.values);
        self.scales.push(codes.scale);
        self.residuals_coarse.push(codes.residual_coarse);
        self.residuals_fine.push(codes.residual_fine);
        self.lengths.push(length);
        self.classes.push(class.0);
        let start = self.values.len();
        self.values
            .resize(start + self.layout.value_lines(), Line::zeroed());
        let values: &mut [f32] = bytemuck::cast_slice_mut(&mut self.values[start..]);
        values[..row.len()].copy_from_slice(row);
    }

    /// Appends some rows of `other`, as they are.
    ///
    /// # Panics
    ///
    /// Panics if the dimensions differ or a row is past the end.
    pub fn append(&mut self, other: &Planes, rows: Range<usize>) {
        assert_eq!(
            self.layout, other.layout,
            "all rows have the same dimension"
        );
        let block = other.block(rows.clone());
        let lines = self.layout.value_lines();
        self.high.extend_from_slice(block.high);
        self.low.extend_from_slice(block.low);
        self.scales.extend_from_slice(block.scales);
        self.residuals_coarse
            .extend_from_slice(block.residuals_coarse);
        self.residuals_fine.extend_from_slice(block.residuals_fine);
        self.lengths.extend_from_slice(&other.lengths[rows.clone()]);
        self.classes.extend_from_slice(&other.classes[rows.clone()]);
        self.values
            .extend_from_slice(&other.values[rows.start * lines..rows.end * lines]);
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.high.clear();
        self.low.clear();
        self.scales.clear();
        self.residuals_coarse.clear();
        self.residuals_fine.clear();
        self.lengths.clear();
        self.classes.clear();
        self.values.clear();
    }

    /// How wide the rows are.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// What a scan reads of some rows.
    pub fn block(&self, rows: Range<usize>) -> RowBlock<'_> {
        let lines = self.layout.nibble_lines();
        let nibbles = rows.start * lines..rows.end * lines;
        RowBlock {
            layout: self.layout,
            high: &self.high[nibbles.clone()],
            low: &self.low[nibbles],
            scales: &self.scales[rows.clone()],
            residuals_coarse: &self.residuals_coarse[rows.clone()],
            residuals_fine: &self.residuals_fine[rows],
        }
    }

    /// The lengths of all rows.
    pub fn lengths(&self) -> &[f64] {
        &self.lengths
    }

    /// The classes of all rows.
    pub fn classes(&self) -> &[i64] {
        &self.classes
    }

    /// The full values of all rows, [`Layout::value_lines`] lines a row.
    pub fn value_lines(&self) -> &[Line] {
        &self.values
    }

    /// The full values of one row.
    pub fn values(&self, row: usize) -> &[f32] {
        let lines = self.layout.value_lines();
        let values: &[f32] = bytemuck::cast_slice(&self.values[row * lines..(row + 1) * lines]);
        &values[..self.layout.dimension]
    }

    fn push_nibbles(&mut self, codes: &[i8]) {
        for group in codes.chunks(VALUES_PER_LINE) {
            // Zeros stand where the last line is longer than the row.
            let mut codes = [0; VALUES_PER_LINE];
            codes[..group.len()].copy_from_slice(group);
            let (mut high, mut low) = ([0; VALUES_PER_LINE], [0; VALUES_PER_LINE]);
            for ((high, low), &code) in high.iter_mut().zip(&mut low).zip(&codes) {
                *high = high_nibble(code);
                *low = code - 16 * *high;
            }
            self.high.push(pack(&high));
            self.low.push(pack(&low));
        }
    }
}

impl fmt::Debug for Planes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Planes({} rows of {} values)",
            self.len(),
            self.layout.dimension
        )
    }
}

/// Byte `i` of a line holds value `i` in its lower half and value `i + 64` in its upper half, so
/// that unpacking needs one mask and one shift and no shuffling.
fn pack(nibbles: &[i8; VALUES_PER_LINE]) -> Line {
    let offset = NIBBLE_OFFSET as i8;
    let (front, back) = nibbles.split_at(VALUES_PER_LINE / 2);
    let mut line = Line::zeroed();
    for ((byte, front), back) in line.0.iter_mut().zip(front).zip(back) {
        *byte = (front + offset) as u8 | ((back + offset) as u8) << 4;
    }
    line
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn random_rows(count: usize, dimension: usize) -> Vec<Vec<f32>> {
        let mut random = rand::rngs::StdRng::seed_from_u64(7);
        (0..count)
            .map(|_| {
                (0..dimension)
                    .map(|_| random.random_range(-1.0..1.0))
                    .collect()
            })
            .collect()
    }

    #[test]
    fn what_was_pushed_comes_back() {
        for dimension in [16, 100, 128, 129, 512, 4096] {
            let rows = random_rows(5, dimension);
            let mut planes = Planes::new(dimension);
            for (at, row) in rows.iter().enumerate() {
                planes.push(ClassId(at as i64 * 10), row);
            }
            let (block, layout) = (planes.block(1..4), planes.layout());
            for (at, row) in rows.iter().enumerate() {
                assert_eq!(planes.values(at), &row[..]);
                assert_eq!(planes.classes()[at], at as i64 * 10);
            }
            for (at, row) in rows[1..4].iter().enumerate() {
                let expected = Codes::of_template(row, length(row)).values;
                let lines = layout.nibble_lines();
                for value in 0..lines * VALUES_PER_LINE {
                    let nibble = |plane: &[Line]| {
                        let line = &plane[at * lines + value / VALUES_PER_LINE];
                        let byte = line.0[value % (VALUES_PER_LINE / 2)];
                        i32::from(byte >> (4 * (value / 64 % 2)) & 15) - NIBBLE_OFFSET
                    };
                    let found = 16 * nibble(block.high) + nibble(block.low);
                    let expected = expected.get(value).copied().unwrap_or(0);
                    assert_eq!(
                        found,
                        i32::from(expected),
                        "dimension {dimension}, value {value}"
                    );
                }
            }
        }
    }

    #[test]
    fn appending_is_pushing_one_after_the_other() {
        let rows = random_rows(6, 40);
        let mut whole = Planes::new(40);
        let mut parts = [Planes::new(40), Planes::new(40)];
        for (at, row) in rows.iter().enumerate() {
            whole.push(ClassId(at as i64), row);
            parts[at / 3].push(ClassId(at as i64), row);
        }
        let [mut first, second] = parts;
        first.append(&second, 0..second.len());
        assert_eq!(first.classes(), whole.classes());
        assert_eq!(first.value_lines(), whole.value_lines());
        assert_eq!(first.block(0..6).high, whole.block(0..6).high);
        assert_eq!(first.block(0..6).low, whole.block(0..6).low);
        assert_eq!(first.lengths(), whole.lengths());
    }

    #[test]
    fn rows_begin_on_a_line() {
        let layout = Layout::new(100);
        assert_eq!((layout.nibble_lines(), layout.value_lines()), (1, 7));
        assert_eq!(align_of::<Line>(), 64);
    }
}
