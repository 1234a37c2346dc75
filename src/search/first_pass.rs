//! The first look at rows: which of them may be among the best for which probe.

use super::certificate::Plan;
use super::threshold::Threshold;
use crate::code::{Layout, Probe, ProbeCode, RowBlock};
use crate::kernel::{Form, Hit, Kernel, Limit, Line, PackedProbes, PackedRows, ScanProbe};
use crate::partition::StoreError;

/// Where the coarse pass leaves over more than this share of the rows, it does not pay: a look at a
/// single row costs several times what it costs in a scan.
const COARSE_SHARE_MAX: f64 = 0.4;
/// For so many pieces of rows the fine pass is then used instead, before it is tried again.
const FINE_PIECES: usize = 16;

/// The probes as a plan needs them. Shared by all threads.
pub(super) struct FirstPass<'a> {
    kernel: Kernel,
    plan: Plan,
    layout: Layout,
    probes: &'a [Probe],
    /// In eight bits, to scan for one after the other, and to refine.
    scanned: Vec<ScanProbe>,
    /// Together, with the code of each.
    packed: Option<(PackedProbes, Vec<ProbeCode>)>,
}

/// What one thread needs beside: memory to be used again, and what it has read.
pub(super) struct Thread<'a> {
    pass: &'a FirstPass<'a>,
    packed: PackedRows,
    limits: Vec<Limit>,
    /// The thresholds of which `limits` were made.
    known: Vec<f64>,
    hits: Vec<Hit>,
    /// For each probe how many more pieces are to be scanned finely.
    fine_pieces: Vec<usize>,
    bytes_read: u64,
}

impl<'a> FirstPass<'a> {
    pub(super) fn new(
        dimension: usize,
        probes: &'a [Probe],
        kernel: Kernel,
        plan: Plan,
    ) -> FirstPass<'a> {
        let layout = Layout::new(dimension);
        let scanned = probes
            .iter()
            .map(|probe| ScanProbe::new(probe.code().numbers()));
        let packed = (plan == Plan::Tile).then(|| {
            let largest = kernel.form().probe_code_max();
            let codes: Vec<ProbeCode> = probes.iter().map(|probe| probe.code_of(largest)).collect();
            let numbers: Vec<&[i8]> = codes.iter().map(ProbeCode::numbers).collect();
            (kernel.pack_probes(layout.padded_values(), &numbers), codes)
        });
        FirstPass {
            kernel,
            plan,
            layout,
            probes,
            scanned: scanned.collect(),
            packed,
        }
    }

    /// What one thread needs.
    pub(super) fn thread(&self) -> Thread<'_> {
        let limits = self
            .packed
            .as_ref()
            .map_or(0, |(packed, _)| packed.limits());
        Thread {
            pass: self,
            packed: self.kernel.packed_rows(),
            limits: vec![Limit::NOTHING; limits],
            // Thresholds are never NaN, so that all are new at first.
            known: vec![f64::NAN; self.probes.len()],
            hits: Vec::new(),
            fine_pieces: vec![0; self.probes.len()],
            bytes_read: 0,
        }
    }

    /// The bytes of a row's nibbles in one plane.
    fn nibble_bytes(&self) -> usize {
        self.layout.nibble_lines() * size_of::<Line>()
    }

    /// The bytes that scoring so many rows exactly reads: values, length and class.
    pub(super) fn bytes_scored(&self, rows: usize) -> u64 {
        (rows * (self.layout.value_lines() * size_of::<Line>() + 16)) as u64
    }
}

impl Thread<'_> {
    /// Looks at `rows` for all probes, and meanwhile asks memory for those `ahead`. Calls `each` with a probe, the rows that may reach its
    /// threshold, with dot products of eight bits, and how many of them were looked at twice.
    ///
    /// # Errors
    ///
    /// What `each` returns.
    pub(super) fn look(
        &mut self,
        rows: &RowBlock<'_>,
        ahead: &RowBlock<'_>,
        thresholds: &[Threshold],
        each: impl FnMut(usize, &[Hit], usize) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match &self.pass.packed {
            Some(packed) => self.multiply(rows, ahead, packed, thresholds, each),
            None => self.scan(rows, thresholds, each),
        }
    }

    /// One probe after the other.
    fn scan(
        &mut self,
        rows: &RowBlock<'_>,
        thresholds: &[Threshold],
        mut each: impl FnMut(usize, &[Hit], usize) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (kernel, nibbles) = (self.pass.kernel, rows.nibbles());
        let mut low_was_read = false;
        for (at, probe) in self.pass.scanned.iter().enumerate() {
            let limit = self.pass.probes[at].code().limit(thresholds[at].get());
            self.hits.clear();
            if self.pass.plan == Plan::Coarse && self.fine_pieces[at] == 0 {
                kernel.coarse(
                    probe,
                    &nibbles,
                    &rows.bounds_coarse(),
                    limit,
                    &mut self.hits,
                );
                self.hits.iter_mut().for_each(|hit| hit.probe = at as u32);
                let refined = self.hits.len();
                if refined as f64 > COARSE_SHARE_MAX * rows.len() as f64 {
                    self.fine_pieces[at] = FINE_PIECES;
                }
                kernel.refine(&self.pass.scanned, &nibbles, &mut self.hits);
                self.bytes_read += (refined * self.pass.nibble_bytes()) as u64;
                each(at, &self.hits, refined)?;
            } else {
                self.fine_pieces[at] = self.fine_pieces[at].saturating_sub(1);
                kernel.fine(probe, &nibbles, &rows.bounds_fine(), limit, &mut self.hits);
                low_was_read = true;
                each(at, &self.hits, 0)?;
            }
        }
        self.count(rows, if low_was_read { 2 } else { 1 });
        Ok(())
    }

    /// All probes together.
    fn multiply(
        &mut self,
        rows: &RowBlock<'_>,
        ahead: &RowBlock<'_>,
        (probes, codes): &(PackedProbes, Vec<ProbeCode>),
        thresholds: &[Threshold],
        mut each: impl FnMut(usize, &[Hit], usize) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let kernel = self.pass.kernel;
        for (at, threshold) in thresholds.iter().enumerate() {
            let least = threshold.get();
            if least != self.known[at] {
                self.known[at] = least;
                self.limits[at] = codes[at].limit(least);
            }
        }
        rows.pack(kernel, &mut self.packed);
        self.count(rows, 2);
        self.hits.clear();
        for group in 0..self.packed.groups() {
            let ahead = ahead.nibbles();
            kernel.tile(
                probes,
                &self.packed,
                group,
                &self.limits,
                &ahead,
                &mut self.hits,
            );
        }
        let is_rough = kernel.form() == Form::SixBits;
        if is_rough {
            kernel.fine_rows(&self.pass.scanned, &rows.nibbles(), &mut self.hits);
        }
        for hits in self.hits.chunk_by(|a, b| a.probe == b.probe) {
            let refined = if is_rough { hits.len() } else { 0 };
            each(hits[0].probe as usize, hits, refined)?;
        }
        Ok(())
    }

    /// Counts what a pass over `rows` has read: planes of nibbles, scales and residuals.
    fn count(&mut self, rows: &RowBlock<'_>, planes: usize) {
        let row_bytes = planes * self.pass.nibble_bytes() + 2 * size_of::<f32>();
        self.bytes_read += (rows.len() * row_bytes) as u64;
    }

    /// The bytes that this thread has read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }
}
