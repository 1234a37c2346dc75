//! Rows of numbers where they lie, searched for some probes without being coded.
//!
//! A block of rows at a time is multiplied with all probes in single precision. A row whose estimate
//! plus error does not reach what its probe has found already is out by proof; the others are
//! scored exactly.

use std::ops::Range;

use super::{NumberRows, RowsError, TopK};
use crate::code::{Probe, inverse_length, length, single_least};
use crate::kernel::{FloatProbes, Kernel};
use crate::types::{ClassId, Embedding, Match};

/// Rows that are multiplied with all probes before they are compared: a whole number of steps of each
/// kernel, and few enough that they are in a cache still.
const ROWS_PER_BLOCK: usize = 24;

/// Probes that are made ready for it.
#[derive(Debug)]
pub(super) struct Estimator<'a> {
    probes: &'a [Probe],
    packed: FloatProbes,
    kernel: Kernel,
}

/// What one thread has found, and what it needs to find more.
pub(super) struct Work<'a> {
    of: &'a Estimator<'a>,
    /// The best rows of each probe.
    best: Vec<TopK>,
    /// The similarity that a row must reach for each probe.
    least: Vec<f64>,
    /// The estimate that it has then, and infinity where there is no probe.
    least_estimates: Vec<f32>,
    squares: Vec<f32>,
    dots: Vec<f32>,
    candidates: Vec<Candidate>,
    room: Vec<f32>,
}

/// A row that may be among the best of a probe.
#[derive(Clone, Copy)]
struct Candidate {
    probe: usize,
    /// In its block.
    row: usize,
    estimate: f32,
}

impl<'a> Estimator<'a> {
    /// For these probes, all of one dimension.
    pub(super) fn new(probes: &'a [Probe], dimension: usize, kernel: Kernel) -> Estimator<'a> {
        let units: Vec<Vec<f32>> = probes.iter().map(Probe::unit).collect();
        Estimator {
            packed: FloatProbes::new(dimension, &units),
            probes,
            kernel,
        }
    }

    /// Work for one thread, which goes on from what was found for each probe before; rows below
    /// `threshold` are not asked for.
    pub(super) fn work(&'a self, best: Vec<TopK>, threshold: f64) -> Work<'a> {
        let dimension = self.packed.dimension();
        let reached = best.iter().map(|best| threshold.max(best.threshold()));
        let least: Vec<f64> = reached.collect();
        let mut least_estimates = vec![f32::INFINITY; self.packed.columns()];
        for (estimate, &least) in least_estimates.iter_mut().zip(&least) {
            *estimate = single_least(least, dimension);
        }
        Work {
            of: self,
            best,
            least,
            least_estimates,
            squares: vec![0.0; ROWS_PER_BLOCK],
            dots: vec![0.0; ROWS_PER_BLOCK * self.packed.columns()],
            candidates: Vec::new(),
            room: vec![0.0; ROWS_PER_BLOCK * dimension],
        }
    }
}

impl Work<'_> {
    /// Looks at some rows. Memory is asked for those of `rows` that come behind them.
    ///
    /// # Errors
    ///
    /// If a row is no embedding: the first of them, with its number.
    pub(super) fn look(
        &mut self,
        rows: &impl NumberRows,
        run: Range<usize>,
    ) -> Result<(), (usize, RowsError)> {
        for first in run.clone().step_by(ROWS_PER_BLOCK) {
            let block = first..run.end.min(first + ROWS_PER_BLOCK);
            self.look_at_block(rows, block)?;
        }
        Ok(())
    }

    /// What was found for each probe.
    pub(super) fn into_best(self) -> Vec<TopK> {
        self.best
    }

    fn look_at_block(
        &mut self,
        rows: &impl NumberRows,
        block: Range<usize>,
    ) -> Result<(), (usize, RowsError)> {
        let (first, count) = (block.start, block.len());
        let last = rows.rows().min(block.end + count);
        let ahead: Vec<&[f32]> = (block.end..last).map_while(|at| rows.lying(at)).collect();
        // Borrowed apart from what scoring changes.
        let mut room = std::mem::take(&mut self.room);
        let dimension = rows.dimension();
        let places = block.zip(room.chunks_exact_mut(dimension));
        let read: Vec<&[f32]> = places.map(|(at, room)| rows.read(at, room)).collect();
        let columns = self.of.packed.columns();
        let (squares, dots) = (
            &mut self.squares[..count],
            &mut self.dots[..count * columns],
        );
        let kernel = self.of.kernel;
        kernel.estimate(&self.of.packed, &read, &ahead, squares, dots);
        for (at, row) in read.iter().enumerate() {
            match inverse_length(self.squares[at]) {
                Some(inverse) => self.keep_candidates(at, inverse),
                None => self.score_all(first + at, row)?,
            }
        }
        self.score_candidates(first, &read);
        drop(read);
        self.room = room;
        Ok(())
    }

    /// Keeps the probes of which a row may be among the best.
    fn keep_candidates(&mut self, row: usize, inverse: f32) {
        let columns = self.least_estimates.len();
        let dots = &self.dots[row * columns..][..columns];
        let (dots, _) = dots.as_chunks::<16>();
        let (least, _) = self.least_estimates.as_chunks::<16>();
        for (step, (dots, least)) in dots.iter().zip(least).enumerate() {
            let mut reached = 0_u32;
            for lane in 0..16 {
                reached |= u32::from(dots[lane] * inverse >= least[lane]) << lane;
            }
            while reached != 0 {
                let lane = reached.trailing_zeros() as usize;
                reached &= reached - 1;
                self.candidates.push(Candidate {
                    probe: step * 16 + lane,
                    row,
                    estimate: dots[lane] * inverse,
                });
            }
        }
    }

    /// Scores a row for each probe, if it is an embedding at all.
    fn score_all(&mut self, at: usize, row: &[f32]) -> Result<(), (usize, RowsError)> {
        Embedding::check(row).map_err(|source| (at, RowsError::Row { at, source }))?;
        let length = length(row);
        for probe in 0..self.best.len() {
            self.score(probe, at, row, length);
        }
        Ok(())
    }

    /// Scores what may be among the best, the most promising first.
    fn score_candidates(&mut self, first: usize, rows: &[&[f32]]) {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.sort_unstable_by(|a, b| b.estimate.total_cmp(&a.estimate));
        let mut lengths = [None; ROWS_PER_BLOCK];
        for candidate in candidates.drain(..) {
            // What came before it may have raised what is asked for.
            if candidate.estimate < self.least_estimates[candidate.probe] {
                continue;
            }
            let row = rows[candidate.row];
            let length = *lengths[candidate.row].get_or_insert_with(|| length(row));
            self.score(candidate.probe, first + candidate.row, row, length);
        }
        self.candidates = candidates;
    }

    fn score(&mut self, probe: usize, at: usize, row: &[f32], length: f64) {
        let similarity = self.of.probes[probe].similarity(row, length);
        if similarity < self.least[probe] {
            return;
        }
        let class = ClassId(at as i64);
        self.best[probe].offer(Match { class, similarity });
        let reached = self.best[probe].threshold();
        if reached > self.least[probe] {
            self.least[probe] = reached;
            self.least_estimates[probe] = single_least(reached, row.len());
        }
    }
}
