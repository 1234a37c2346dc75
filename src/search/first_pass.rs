//! The first look at rows: which of them may be among the best for which probe.

use super::Query;
use super::candidates::Best;
use super::certificate::Plan;
use crate::code::{Layout, ProbeCode, RowBlock};
use crate::kernel::{
    Ahead, Form, Hit, Kernel, Limit, Line, PackedProbes, PackedRows, ROWS_PER_GROUP, ScanProbe,
};
use crate::partition::StoreError;

/// Where the coarse pass leaves over too many rows, so many pieces are looked at with the fine pass
/// instead, before it is tried again.
const FINE_PIECES: usize = 16;

/// Probes that are multiplied with a piece of rows before the next ones are: with what is needed to
/// look again at their hits they fill half of a small second-level cache (192 x 2 x 512 bytes).
const PROBES_PER_CHUNK: usize = 192;
/// Rows that many probes pass over together where there are several chunks, so that repacking them
/// for each is not needed. One chunk takes them as they come, a group at a time.
const ROWS_PER_PIECE: usize = 1024;

/// The probes as a plan needs them. Shared by all threads.
pub(super) struct FirstPass<'a> {
    kernel: Kernel,
    plan: Plan,
    layout: Layout,
    queries: &'a [Query<'a>],
    /// In eight bits, to scan for one after the other, and to refine.
    scanned: Vec<ScanProbe>,
    /// To be multiplied with together; none unless the plan is to tile.
    chunks: Vec<Chunk>,
}

/// Probes that are multiplied with all rows of a piece before the next ones are.
struct Chunk {
    /// The number of the first.
    first: usize,
    probes: PackedProbes,
    codes: Vec<ProbeCode>,
}

/// What one thread needs beside: memory to be used again, and what it has read.
pub(super) struct Thread<'a> {
    pass: &'a FirstPass<'a>,
    packed: PackedRows,
    /// One for each chunk.
    limits: Vec<ChunkLimits>,
    /// The limits in eight bits, for what was looked at again where the tile has fewer.
    fine_limits: Vec<Limit>,
    /// For each probe how many rows were looked at again.
    refined: Vec<usize>,
    hits: Vec<Hit>,
    /// For each probe how many more pieces are to be scanned finely.
    fine_pieces: Vec<usize>,
    bytes_read: u64,
}

/// What rows must reach for the probes of a chunk.
struct ChunkLimits {
    /// The thresholds that the limits were made from. They change rarely, and making a limit takes
    /// longer than multiplying a probe with ten rows.
    thresholds: Vec<f64>,
    limits: Vec<Limit>,
}

impl<'a> FirstPass<'a> {
    pub(super) fn new(
        dimension: usize,
        queries: &'a [Query<'a>],
        kernel: Kernel,
        plan: Plan,
    ) -> FirstPass<'a> {
        let layout = Layout::new(dimension);
        let scanned = queries
            .iter()
            .map(|query| ScanProbe::new(query.probe.code().numbers()));
        let tiled = if plan == Plan::Tile { queries } else { &[] };
        let largest = kernel.form().probe_code_max();
        let chunk = |(at, queries): (usize, &[Query<'_>])| {
            let codes = queries.iter().map(|query| query.probe.code_of(largest));
            let codes: Vec<ProbeCode> = codes.collect();
            let numbers: Vec<&[i8]> = codes.iter().map(ProbeCode::numbers).collect();
            Chunk {
                first: at * PROBES_PER_CHUNK,
                probes: kernel.pack_probes(layout.padded_values(), &numbers),
                codes,
            }
        };
        FirstPass {
            kernel,
            plan,
            layout,
            queries,
            scanned: scanned.collect(),
            chunks: tiled
                .chunks(PROBES_PER_CHUNK)
                .enumerate()
                .map(chunk)
                .collect(),
        }
    }

    /// What one thread needs.
    pub(super) fn thread(&self) -> Thread<'_> {
        Thread {
            pass: self,
            packed: self.kernel.packed_rows(),
            limits: self.chunks.iter().map(ChunkLimits::new).collect(),
            fine_limits: self.queries.iter().map(everything).collect(),
            refined: vec![0; self.queries.len()],
            hits: Vec::new(),
            fine_pieces: vec![0; self.queries.len()],
            bytes_read: 0,
        }
    }

    /// How many rows are best looked at together.
    pub(super) fn rows_per_piece(&self) -> usize {
        match self.chunks.len() {
            1 => ROWS_PER_GROUP,
            _ => ROWS_PER_PIECE,
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
    /// Looks at `rows` for all probes, and meanwhile asks memory for those `ahead`. Calls `each`
    /// with a probe, the rows that may reach its threshold, with dot products of eight bits.
    ///
    /// # Errors
    ///
    /// What `each` returns.
    pub(super) fn look(
        &mut self,
        rows: &RowBlock<'_>,
        ahead: &RowBlock<'_>,
        best: &[Best],
        each: impl FnMut(usize, &[Hit]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match self.pass.plan {
            Plan::Tile => self.multiply(rows, ahead, best, each),
            Plan::Coarse | Plan::Fine => self.scan(rows, best, each),
        }
    }

    /// One probe after the other.
    fn scan(
        &mut self,
        rows: &RowBlock<'_>,
        best: &[Best],
        mut each: impl FnMut(usize, &[Hit]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (kernel, nibbles) = (self.pass.kernel, rows.nibbles());
        let mut low_was_read = false;
        for (at, probe) in self.pass.scanned.iter().enumerate() {
            let limit = self.pass.queries[at]
                .probe
                .code()
                .limit(best[at].threshold());
            self.hits.clear();
            if self.pass.plan == Plan::Coarse && self.fine_pieces[at] == 0 {
                kernel.coarse(
                    probe,
                    &nibbles,
                    &rows.bounds_coarse(),
                    limit,
                    &mut self.hits,
                );
                name_probe(&mut self.hits, at);
                let refined = self.hits.len();
                if refined as f64 > kernel.coarse_share_max() * rows.len() as f64 {
                    self.fine_pieces[at] = FINE_PIECES;
                }
                kernel.refine(&self.pass.scanned, &nibbles, &mut self.hits);
                self.bytes_read += (refined * self.pass.nibble_bytes()) as u64;
                self.refined[at] += refined;
                each(at, &self.hits)?;
            } else {
                self.fine_pieces[at] = self.fine_pieces[at].saturating_sub(1);
                kernel.fine(probe, &nibbles, &rows.bounds_fine(), limit, &mut self.hits);
                name_probe(&mut self.hits, at);
                low_was_read = true;
                each(at, &self.hits)?;
            }
        }
        self.count(rows, if low_was_read { 2 } else { 1 });
        Ok(())
    }

    /// All probes of a chunk together.
    fn multiply(
        &mut self,
        rows: &RowBlock<'_>,
        ahead: &RowBlock<'_>,
        best: &[Best],
        mut each: impl FnMut(usize, &[Hit]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (kernel, ahead) = (self.pass.kernel, Ahead::nibbles(&ahead.nibbles()));
        rows.pack(kernel, &mut self.packed);
        self.count(rows, 2);
        for (at, chunk) in self.pass.chunks.iter().enumerate() {
            for group in 0..self.packed.groups() {
                self.refresh_limits(at, chunk, best);
                self.hits.clear();
                let (packed, hits) = (&self.packed, &mut self.hits);
                let limits = &self.limits[at].limits;
                kernel.tile(&chunk.probes, packed, group, limits, ahead, hits);
                hits.iter_mut()
                    .for_each(|hit| hit.probe += chunk.first as u32);
                if kernel.form() == Form::SixBits {
                    self.look_again(rows);
                }
                for hits in self.hits.chunk_by(|a, b| a.probe == b.probe) {
                    each(hits[0].probe as usize, hits)?;
                }
            }
        }
        Ok(())
    }

    /// Brings the limits of a chunk, of which this is the number, up to what is known by now.
    fn refresh_limits(&mut self, number: usize, chunk: &Chunk, best: &[Best]) {
        let known = &mut self.limits[number];
        for (at, code) in chunk.codes.iter().enumerate() {
            let probe = chunk.first + at;
            let least = best[probe].threshold();
            if known.thresholds[at].to_bits() == least.to_bits() {
                continue;
            }
            known.thresholds[at] = least;
            known.limits[at] = code.limit(least);
            if self.pass.kernel.form() == Form::SixBits {
                self.fine_limits[probe] = self.pass.queries[probe].probe.code().limit(least);
            }
        }
    }

    /// Looks at the hits again in eight bits, and keeps those that still reach their limit.
    fn look_again(&mut self, rows: &RowBlock<'_>) {
        let kernel = self.pass.kernel;
        kernel.fine_rows(&self.pass.scanned, &rows.nibbles(), &mut self.hits);
        let (limits, refined) = (&self.fine_limits, &mut self.refined);
        self.hits.retain(|hit| {
            let (probe, row) = (hit.probe as usize, hit.row as usize);
            refined[probe] += 1;
            limits[probe].reports(hit.dot, rows.scales[row], rows.residuals_fine[row])
        });
    }

    /// Counts what a pass over `rows` has read: planes of nibbles, scales and residuals.
    fn count(&mut self, rows: &RowBlock<'_>, planes: usize) {
        let row_bytes = planes * self.pass.nibble_bytes() + 2 * size_of::<f32>();
        self.bytes_read += (rows.len() * row_bytes) as u64;
    }

    /// How many rows were looked at twice, for each probe.
    pub(super) fn into_rows_refined(self) -> Vec<usize> {
        self.refined
    }

    /// The bytes that this thread has read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }
}

impl ChunkLimits {
    /// Limits that report everything, which is what no threshold means.
    fn new(chunk: &Chunk) -> ChunkLimits {
        let mut limits = vec![Limit::NOTHING; chunk.probes.limits()];
        let least = f64::NEG_INFINITY;
        for (limit, code) in limits.iter_mut().zip(&chunk.codes) {
            *limit = code.limit(least);
        }
        ChunkLimits {
            thresholds: vec![least; chunk.codes.len()],
            limits,
        }
    }
}

/// The limit of a probe before anything is known.
fn everything(query: &Query<'_>) -> Limit {
    query.probe.code().limit(f64::NEG_INFINITY)
}

/// Puts the number of the probe into hits of a scan for one.
fn name_probe(hits: &mut [Hit], probe: usize) {
    hits.iter_mut().for_each(|hit| hit.probe = probe as u32);
}
