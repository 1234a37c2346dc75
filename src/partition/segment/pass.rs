//! Reading a segment once, from front to back.

use std::fs::File;
use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use zeroize::Zeroize;

use super::format::{BLOCK_BYTES, Plane};
use super::read::Segment;
use super::rows::Rows;
use crate::code::RowBlock;
use crate::kernel::Line;
use crate::partition::StoreError;
use crate::partition::disk::Disk;

/// Everything that is stored in a segment, some rows after the other.
///
/// Every block is read from the file and compared anew, also where a search has seen it before: whoever
/// copies rows vouches for them with new checksums, and what came to the file meanwhile would be right for
/// ever. What was read stays only as long as rows at hand are in it: whoever copies a gallery needs no
/// memory for all of it.
pub(in crate::partition) struct Pass<'a> {
    segment: &'a Segment,
    file: File,
    /// By the number of the plane.
    windows: Box<[Window; Plane::ALL.len()]>,
}

impl<'a> Pass<'a> {
    /// # Errors
    ///
    /// If the file cannot be opened once more.
    pub(in crate::partition) fn new(
        segment: &'a Segment,
        disk: &dyn Disk,
    ) -> Result<Pass<'a>, StoreError> {
        Ok(Pass {
            segment,
            file: segment.reopen(disk)?,
            windows: Box::new(std::array::from_fn(|_| Window::default())),
        })
    }

    /// Everything that is stored of some rows. Cheapest in rising order: what the rows before had in
    /// common with these is not read again.
    ///
    /// # Errors
    ///
    /// If the segment is damaged, or cannot be read.
    ///
    /// # Panics
    ///
    /// Panics if a row is past the end.
    pub(in crate::partition) fn stored(
        &mut self,
        rows: Range<usize>,
    ) -> Result<Rows<'_>, StoreError> {
        let segment = self.segment;
        assert!(
            rows.end <= segment.rows(),
            "row {} is past the end",
            rows.end
        );
        for (plane, window) in Plane::ALL.iter().zip(&mut *self.windows) {
            // Rows in the order of their classes are no business of a copy.
            if *plane != Plane::ClassOrder {
                window.slide(segment, &self.file, *plane, &rows)?;
            }
        }
        Ok(stored(segment, &self.windows, &rows))
    }
}

fn stored<'w>(
    segment: &Segment,
    windows: &'w [Window; Plane::ALL.len()],
    rows: &Range<usize>,
) -> Rows<'w> {
    let layout = segment.layout();
    let bytes = |plane: Plane| {
        let row_bytes = plane.row_bytes(layout);
        windows[plane as usize - 1].bytes(rows.start * row_bytes..rows.end * row_bytes)
    };
    fn cast<T: Pod>(bytes: &[u8]) -> &[T] {
        bytemuck::cast_slice(bytes)
    }
    Rows {
        codes: RowBlock {
            layout,
            high: cast(bytes(Plane::High)),
            low: cast(bytes(Plane::Low)),
            scales: cast(bytes(Plane::Scales)),
            residuals_coarse: cast(bytes(Plane::ResidualsCoarse)),
            residuals_fine: cast(bytes(Plane::ResidualsFine)),
        },
        lengths: cast(bytes(Plane::Lengths)),
        classes: cast(bytes(Plane::Classes)),
        infos: cast(bytes(Plane::Infos)),
        values: cast(bytes(Plane::Values)),
    }
}

/// Blocks of a plane that follow each other, whole and decrypted.
#[derive(Default)]
struct Window {
    blocks: Range<usize>,
    /// Lines, so that every row is aligned in here as it is in a file.
    lines: Vec<Line>,
}

const BLOCK_LINES: usize = BLOCK_BYTES / size_of::<Line>();

impl Window {
    /// Moves on to the blocks of some rows, and reads those that were not in sight before.
    fn slide(
        &mut self,
        segment: &Segment,
        file: &File,
        plane: Plane,
        rows: &Range<usize>,
    ) -> Result<(), StoreError> {
        let row_bytes = plane.row_bytes(segment.layout());
        let first = rows.start * row_bytes / BLOCK_BYTES;
        let end = (rows.end * row_bytes).div_ceil(BLOCK_BYTES);
        let (before, now) = (self.blocks.clone(), first..end.max(first));
        let kept = match before.contains(&now.start) {
            true => now.start..before.end.min(now.end),
            false => now.start..now.start,
        };
        if !kept.is_empty() {
            let from = (kept.start - before.start) * BLOCK_LINES;
            self.lines
                .copy_within(from..from + kept.len() * BLOCK_LINES, 0);
        }
        // Until the new blocks are there, the window is known to hold none but those that were kept.
        self.blocks = kept.clone();
        let lines = now.len() * BLOCK_LINES;
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::zeroed());
        }
        for block in kept.end..now.end {
            let at = (block - now.start) * BLOCK_LINES;
            let bytes = bytemuck::cast_slice_mut(&mut self.lines[at..at + BLOCK_LINES]);
            segment.read_block(file, plane, block, bytes)?;
        }
        self.blocks = now;
        Ok(())
    }

    /// Some bytes of the plane, all of which are in the window.
    fn bytes(&self, range: Range<usize>) -> &[u8] {
        let start = self.blocks.start * BLOCK_BYTES;
        let bytes: &[u8] = bytemuck::cast_slice(&self.lines);
        &bytes[range.start - start..range.end - start]
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        bytemuck::cast_slice_mut::<Line, u8>(&mut self.lines).zeroize();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::super::read::tests::{open_with, write_with};
    use super::*;
    use crate::partition::disk::RealDisk;
    use crate::secrets::DataKey;

    /// Rows of several blocks in most planes, of which the last are not whole.
    const ROWS: usize = 3_000;

    fn all_bytes(rows: &Rows<'_>) -> Vec<u8> {
        let RowBlock {
            layout: _,
            high,
            low,
            scales,
            residuals_coarse,
            residuals_fine,
        } = rows.codes;
        let numbers = [scales, residuals_coarse, residuals_fine];
        let mut all = [bytemuck::cast_slice(high), bytemuck::cast_slice(low)].concat();
        all.extend(numbers.map(bytemuck::cast_slice::<f32, u8>).concat());
        all.extend::<&[u8]>(bytemuck::cast_slice(rows.lengths));
        all.extend::<&[u8]>(bytemuck::cast_slice(rows.classes));
        all.extend::<&[u8]>(bytemuck::cast_slice(rows.infos));
        all.extend::<&[u8]>(bytemuck::cast_slice(rows.values));
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn it_gives_what_the_segment_has(
            runs in prop::collection::vec((0..=ROWS, 0..700_usize), 1..12),
            in_order: bool,
            is_sealed: bool,
            empty in 0..=ROWS,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let (path, key) = (directory.path().join("a.vseg"), DataKey::random());
            let classes: Vec<i64> = (0..ROWS as i64).rev().collect();
            let key = is_sealed.then_some(&key);
            let named = write_with(&path, &classes, key);
            let segment = open_with(&path, named, key).unwrap();
            let mut pass = Pass::new(&segment, &RealDisk).unwrap();
            let mut runs = runs;
            // No rows are rows, too: where nothing was read before, and anywhere else.
            runs.insert(0, (empty, 0));
            runs.push((empty, 0));
            if in_order {
                runs.sort_unstable();
            }
            for (start, count) in runs {
                let run = start..(start + count).min(ROWS);
                let found = all_bytes(&pass.stored(run.clone()).unwrap());
                prop_assert!(found == all_bytes(&segment.stored(run.clone()).unwrap()), "{run:?}");
            }
        }
    }

    /// Also when the rows are asked for once more: what could not be read is not taken for read. Nor is what was
    /// whole when somebody searched it.
    #[test]
    fn damage_is_an_error_each_time_and_rows_elsewhere_are_read() {
        let key = DataKey::random();
        for (key, is_searched) in [
            (None, false),
            (None, true),
            (Some(&key), false),
            (Some(&key), true),
        ] {
            damage_is_an_error(key, is_searched);
        }
    }

    fn damage_is_an_error(key: Option<&DataKey>, is_searched: bool) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.vseg");
        let named = write_with(&path, &[7; ROWS], key);
        let segment = open_with(&path, named, key).unwrap();
        if is_searched {
            segment.stored(0..ROWS).unwrap();
        }
        let values = segment.block_range(Plane::Values, 2);
        let mut bytes = fs::read(&path).unwrap();
        bytes[values.start + 5] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let mut pass = Pass::new(&segment, &RealDisk).unwrap();
        let rows_per_block = BLOCK_BYTES / Plane::Values.row_bytes(segment.layout());
        let damaged = 2 * rows_per_block..3 * rows_per_block;
        for _ in 0..2 {
            assert!(pass.stored(0..damaged.start).is_ok());
            for row in [damaged.start, damaged.end - 1] {
                let found = pass.stored(row - 1..row + 1).map(drop);
                assert!(
                    matches!(found, Err(StoreError::Damaged { .. })),
                    "{found:?}"
                );
            }
            assert!(pass.stored(damaged.end..ROWS).is_ok());
        }
    }
}
