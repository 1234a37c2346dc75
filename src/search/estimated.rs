//! Rows of numbers where they lie, searched for some probes and kept nowhere.
//!
//! A block of rows at a time is looked at for all probes. A row whose estimate plus error does not
//! reach what its probe has found already is out by proof; the others are scored exactly.

use std::ops::Range;

use super::first_look::{Candidate, FirstLook, Least, Left, Room};
use super::{NumberRows, RowsError, TopK};
use crate::code::{Probe, length, single_least};
use crate::kernel::Kernel;
use crate::types::{ClassId, Embedding, Match};

/// Probes that are made ready for it.
#[derive(Debug)]
pub(super) struct Estimator<'a> {
    probes: &'a [Probe],
    dimension: usize,
    first_look: FirstLook,
}

/// What one thread has found, and what it needs to find more.
pub(super) struct Work<'a> {
    of: &'a Estimator<'a>,
    found: Found<'a>,
    left: Left,
    room: Room,
    /// For rows that do not lie in single precision.
    singles: Vec<f32>,
}

/// The best rows of each probe, and what a row must reach to be one.
struct Found<'a> {
    probes: &'a [Probe],
    best: Vec<TopK>,
    least: Least,
}

impl<'a> Estimator<'a> {
    /// For these probes, all of one dimension.
    pub(super) fn new(probes: &'a [Probe], dimension: usize, kernel: Kernel) -> Estimator<'a> {
        Estimator {
            probes,
            dimension,
            first_look: FirstLook::new(probes, dimension, kernel),
        }
    }

    /// Work for one thread, which goes on from what was found for each probe before; rows below
    /// `threshold` are not asked for.
    pub(super) fn work(&'a self, best: Vec<TopK>, threshold: f64) -> Work<'a> {
        let reached = best.iter().map(|best| threshold.max(best.threshold()));
        let similarities: Vec<f64> = reached.collect();
        let estimates = similarities.iter();
        let estimates = estimates.map(|&least| single_least(least, self.dimension));
        let least = Least {
            estimates: estimates.collect(),
            similarities,
        };
        Work {
            of: self,
            found: Found {
                probes: self.probes,
                best,
                least,
            },
            left: Left::default(),
            room: self.first_look.room(),
            singles: vec![0.0; self.first_look.rows_per_block() * self.dimension],
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
        let rows_per_block = self.of.first_look.rows_per_block();
        for first in run.clone().step_by(rows_per_block) {
            let block = first..run.end.min(first + rows_per_block);
            self.look_at_block(rows, block)?;
        }
        Ok(())
    }

    /// What was found for each probe.
    pub(super) fn into_best(self) -> Vec<TopK> {
        self.found.best
    }

    fn look_at_block(
        &mut self,
        rows: &impl NumberRows,
        block: Range<usize>,
    ) -> Result<(), (usize, RowsError)> {
        let ahead = block.end..rows.rows().min(block.end + block.len());
        let first = block.start;
        let places = block.zip(self.singles.chunks_exact_mut(self.of.dimension));
        let read: Vec<&[f32]> = places.map(|(at, room)| rows.read(at, room)).collect();
        let (left, room) = (&mut self.left, &mut self.room);
        let (look, least) = (&self.of.first_look, &self.found.least);
        look.look(&read, (rows, ahead), least, room, left);
        for &row in &left.unknown {
            self.found.score_all(first + row, read[row])?;
        }
        self.found
            .score_candidates(first, &read, &mut left.candidates);
        Ok(())
    }
}

impl Found<'_> {
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
    fn score_candidates(&mut self, first: usize, rows: &[&[f32]], candidates: &mut [Candidate]) {
        candidates.sort_unstable_by(|a, b| b.estimate.total_cmp(&a.estimate));
        let mut lengths = vec![None; rows.len()];
        for candidate in candidates {
            // What came before it may have raised what is asked for.
            if candidate.estimate < self.least.estimates[candidate.probe] {
                continue;
            }
            let row = rows[candidate.row];
            let length = *lengths[candidate.row].get_or_insert_with(|| length(row));
            self.score(candidate.probe, first + candidate.row, row, length);
        }
    }

    fn score(&mut self, probe: usize, at: usize, row: &[f32], length: f64) {
        let similarity = self.probes[probe].similarity(row, length);
        if similarity < self.least.similarities[probe] {
            return;
        }
        let class = ClassId(at as i64);
        self.best[probe].offer(Match { class, similarity });
        let reached = self.best[probe].threshold();
        if reached > self.least.similarities[probe] {
            self.least.similarities[probe] = reached;
            self.least.estimates[probe] = single_least(reached, row.len());
        }
    }
}
