//! Rows that passed a first pass, and what becomes of them.

use std::sync::{Mutex, PoisonError};

use super::Query;
use super::collector::TopK;
use super::threshold::Threshold;
use crate::code::{ProbeCode, RowBlock};
use crate::kernel::Hit;
use crate::partition::{BlockReader, StoreError};
use crate::types::Match;

/// Rows that were looked at together: where they lie, and what was read of them.
pub(super) struct Looked<'a> {
    pub(super) block: BlockReader<'a>,
    /// The number in `block` of the first.
    pub(super) first_row: usize,
    pub(super) rows: RowBlock<'a>,
}

/// The best classes of one probe, and how good a row must be. Shared by all threads: what one finds
/// cuts for all.
pub(super) struct Best {
    top: Mutex<TopK>,
    threshold: Threshold,
}

impl Best {
    /// None yet; rows below the threshold of the query are not asked for.
    pub(super) fn new(query: &Query<'_>) -> Best {
        Best {
            top: Mutex::new(TopK::new(query.limit)),
            threshold: Threshold::new(query.threshold.unwrap_or(f64::NEG_INFINITY)),
        }
    }

    /// The similarity that a row must reach.
    #[inline]
    pub(super) fn threshold(&self) -> f64 {
        self.threshold.get()
    }

    /// Considers one template's score.
    fn offer(&self, candidate: Match) {
        // A thread that panicked while it held the lock has ended the search for all.
        let mut top = self.top.lock().unwrap_or_else(PoisonError::into_inner);
        top.offer(candidate);
        self.threshold.raise(top.threshold());
    }

    /// What was found, best first.
    pub(super) fn into_matches(self) -> Vec<Match> {
        let top = self.top.into_inner();
        top.unwrap_or_else(PoisonError::into_inner).into_matches()
    }
}

/// What a thread needs to score candidates.
#[derive(Default)]
pub(super) struct Scorer {
    /// Rows that were scored, for each probe.
    pub(super) rows_scored: Vec<usize>,
    candidates: Vec<Candidate>,
}

/// A row that may be among the best, with the most that its score can be.
#[derive(Clone, Copy)]
struct Candidate {
    row: usize,
    at_most: f64,
}

impl Scorer {
    pub(super) fn new(probes: usize) -> Scorer {
        Scorer {
            rows_scored: vec![0; probes],
            candidates: Vec::new(),
        }
    }

    /// Scores exactly what may be among the best, the most promising first, so that the threshold
    /// rises quickly and the rest is out. `hits` have the dot products of eight bits.
    pub(super) fn collect(
        &mut self,
        looked: &Looked<'_>,
        query: &Query<'_>,
        hits: &[Hit],
        best: &Best,
    ) -> Result<(), StoreError> {
        let reached = best.threshold();
        self.candidates.clear();
        self.candidates.extend(hits.iter().filter_map(|hit| {
            let (estimate, error) = bounds(query.probe.code(), &looked.rows, hit);
            let row = looked.first_row + hit.row as usize;
            let at_most = estimate + error;
            (at_most >= reached).then_some(Candidate { row, at_most })
        }));
        self.candidates
            .sort_unstable_by(|a, b| b.at_most.total_cmp(&a.at_most));
        for candidate in &self.candidates {
            // Equal is not out: ties are decided by class.
            if candidate.at_most < best.threshold() {
                break;
            }
            let Some(row) = looked.block.live_row(candidate.row) else {
                continue;
            };
            let similarity = query.probe.similarity(row.values()?, row.length()?);
            self.rows_scored[hits[0].probe as usize] += 1;
            // Most are not as good as they might have been: they need no lock, and no class.
            if similarity < best.threshold() {
                continue;
            }
            if query.threshold.is_none_or(|least| similarity >= least) {
                let class = row.class()?;
                best.offer(Match { class, similarity });
            }
        }
        Ok(())
    }
}

/// Raises a threshold from estimates alone: a class is at least as good as the estimate of one of
/// its rows less its error.
pub(super) struct Seeds(Mutex<TopK>);

impl Seeds {
    pub(super) fn new(limit: usize) -> Seeds {
        Seeds(Mutex::new(TopK::new(limit)))
    }

    /// Considers rows; `hits` have the dot products of eight bits.
    pub(super) fn offer(
        &self,
        looked: &Looked<'_>,
        code: &ProbeCode,
        hits: &[Hit],
        best: &Best,
    ) -> Result<(), StoreError> {
        let mut top = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for hit in hits {
            let (estimate, error) = bounds(code, &looked.rows, hit);
            let (row, similarity) = (looked.first_row + hit.row as usize, estimate - error);
            if similarity > top.threshold()
                && let Some(row) = looked.block.live_row(row)
            {
                let class = row.class()?;
                top.offer(Match { class, similarity });
            }
        }
        best.threshold.raise(top.threshold());
        Ok(())
    }
}

/// The estimate of a row's score, and how far it may be off.
fn bounds(code: &ProbeCode, rows: &RowBlock<'_>, hit: &Hit) -> (f64, f64) {
    let row = hit.row as usize;
    let estimate = code.estimate(hit.dot, rows.scales[row]);
    (estimate, code.score_error(rows.residuals_fine[row]))
}
