//! Rows that passed a first pass, and what becomes of them.

use super::collector::TopK;
use super::threshold::Threshold;
use crate::code::{Probe, ProbeCode, RowBlock};
use crate::kernel::Hit;
use crate::partition::{Block, StoreError};
use crate::types::Match;

/// Rows that were looked at together: where they lie, and what was read of them.
pub(super) struct Looked<'a> {
    pub(super) block: &'a Block,
    /// The number in `block` of the first.
    pub(super) first_row: usize,
    pub(super) rows: RowBlock<'a>,
}

/// What a thread has found for one probe.
pub(super) struct Found {
    pub(super) top: TopK,
    pub(super) rows_refined: usize,
    pub(super) rows_scored: usize,
    candidates: Vec<Candidate>,
}

/// A row that may be among the best, with the most that its score can be.
#[derive(Clone, Copy)]
struct Candidate {
    row: usize,
    at_most: f64,
}

impl Found {
    pub(super) fn new(k: usize) -> Found {
        Found {
            top: TopK::new(k),
            rows_refined: 0,
            rows_scored: 0,
            candidates: Vec::new(),
        }
    }

    /// Scores exactly what may be among the best, the most promising first, so that the threshold
    /// rises quickly and the rest is out. `hits` have the dot products of eight bits.
    ///
    /// `least` is the similarity that was asked for, if one was.
    pub(super) fn collect(
        &mut self,
        looked: &Looked<'_>,
        probe: &Probe,
        hits: &[Hit],
        threshold: &Threshold,
        least: Option<f64>,
    ) -> Result<(), StoreError> {
        let reached = threshold.get();
        self.candidates.clear();
        self.candidates.extend(hits.iter().filter_map(|hit| {
            let (estimate, error) = bounds(probe.code(), &looked.rows, hit);
            let row = looked.first_row + hit.row as usize;
            let at_most = estimate + error;
            (at_most >= reached).then_some(Candidate { row, at_most })
        }));
        self.candidates
            .sort_unstable_by(|a, b| b.at_most.total_cmp(&a.at_most));
        for candidate in &self.candidates {
            // Equal is not out: ties are decided by class.
            if candidate.at_most < threshold.get() {
                break;
            }
            let (block, row) = (looked.block, candidate.row);
            if block.is_removed(row) {
                continue;
            }
            let similarity = probe.similarity(block.values(row)?, block.length(row)?);
            self.rows_scored += 1;
            if least.is_none_or(|least| similarity >= least) {
                let class = block.class(row)?;
                self.top.offer(Match { class, similarity });
                threshold.raise(self.top.threshold());
            }
        }
        Ok(())
    }
}

/// Raises a threshold from estimates alone: a class is at least as good as the estimate of one of
/// its rows less its error.
pub(super) struct Seeds(TopK);

impl Seeds {
    pub(super) fn new(k: usize) -> Seeds {
        Seeds(TopK::new(k))
    }

    /// Considers rows; `hits` have the dot products of eight bits.
    pub(super) fn offer(
        &mut self,
        looked: &Looked<'_>,
        code: &ProbeCode,
        hits: &[Hit],
        threshold: &Threshold,
    ) -> Result<(), StoreError> {
        for hit in hits {
            let (estimate, error) = bounds(code, &looked.rows, hit);
            let (row, at_least) = (looked.first_row + hit.row as usize, estimate - error);
            if at_least > self.0.threshold() && !looked.block.is_removed(row) {
                let class = looked.block.class(row)?;
                self.0.offer(Match {
                    class,
                    similarity: at_least,
                });
            }
        }
        threshold.raise(self.0.threshold());
        Ok(())
    }
}

/// The estimate of a row's score, and how far it may be off.
fn bounds(code: &ProbeCode, rows: &RowBlock<'_>, hit: &Hit) -> (f64, f64) {
    let row = hit.row as usize;
    let estimate = code.estimate(hit.dot, rows.scales[row]);
    (estimate, code.score_error(rows.residuals_fine[row]))
}
