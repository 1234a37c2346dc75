//! One pass over all rows for all probes.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Query;
use super::candidates::{Best, Looked, Scorer, Seeds};
use super::certificate::Plan;
use super::first_pass::FirstPass;
use crate::kernel::Kernel;
use crate::partition::{BlockReader, Snapshot, StoreError};
use crate::types::Match;

/// Rows that a thread takes at once. Their high nibbles (256 KiB at 512 values) stay in the
/// second-level cache while a few probes pass over them.
const ROWS_PER_RUN: usize = 1024;
/// Of so many runs one gives seeds.
const RUNS_PER_SEED: usize = 2;
/// Rows that it gives.
const SEEDS_PER_RUN: usize = 32;
/// The most rows that are looked at for seeds: twice as many would raise the first threshold by a
/// hair.
const SEEDS_MAX: usize = 16_384;

/// What all threads share.
pub(super) struct Scan<'a> {
    queries: &'a [Query<'a>],
    first_pass: FirstPass<'a>,
    runs: Vec<Run<'a>>,
    next_run: AtomicUsize,
    /// Every so many runs one gives seeds; none does where it is zero.
    seed_stride: usize,
    next_seed: AtomicUsize,
    /// One for each probe.
    best: Vec<Best>,
    /// One for each probe; used before the scan. None for a probe that seeds would not help.
    seeds: Vec<Option<Seeds>>,
}

/// Rows that lie together.
struct Run<'a> {
    block: BlockReader<'a>,
    rows: Range<usize>,
}

/// What one thread has done.
pub(super) struct Part {
    /// For each probe.
    pub(super) rows_refined: Vec<usize>,
    /// For each probe.
    pub(super) rows_scored: Vec<usize>,
    pub(super) bytes_read: u64,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        queries: &'a [Query<'a>],
        kernel: Kernel,
        plan: Plan,
    ) -> Scan<'a> {
        let runs = snapshot.blocks().flat_map(|block| {
            let starts = (0..block.rows()).step_by(ROWS_PER_RUN);
            starts.map(move |start| {
                let rows = start..block.rows().min(start + ROWS_PER_RUN);
                Run { block, rows }
            })
        });
        let runs: Vec<Run<'a>> = runs.collect();
        let rows_seen = runs.len() / RUNS_PER_SEED * SEEDS_PER_RUN;
        let seeds =
            |query: &Query<'_>| seeds_help(rows_seen, query.limit).then(|| Seeds::new(query.limit));
        let seeds: Vec<Option<Seeds>> = queries.iter().map(seeds).collect();
        let is_seeded = seeds.iter().any(Option::is_some);
        let dimension = snapshot.encoder().dimension();
        Scan {
            queries,
            first_pass: FirstPass::new(dimension, queries, kernel, plan),
            seed_stride: if is_seeded { seed_stride(rows_seen) } else { 0 },
            runs,
            next_run: AtomicUsize::new(0),
            next_seed: AtomicUsize::new(0),
            best: queries.iter().map(Best::new).collect(),
            seeds,
        }
    }

    /// Takes runs until there are none left. Every thread does this.
    pub(super) fn work(&self) -> Result<Part, StoreError> {
        let mut pass = self.first_pass.thread();
        self.seed(&mut pass)?;
        let mut scorer = Scorer::new(self.queries.len());
        while let Some(run) = self.runs.get(self.next_run.fetch_add(1, Ordering::Relaxed)) {
            for rows in self.pieces(run.rows.clone()) {
                let next = rows.end..run.rows.end.min(rows.end + rows.len());
                let (looked, next) = (Looked::at(run.block, rows)?, run.block.scan(next)?);
                pass.look(&looked.rows, &next, &self.best, |probe, hits| {
                    scorer.collect(&looked, &self.queries[probe], hits, &self.best[probe])
                })?;
            }
        }
        let rows_scored = scorer.rows_scored;
        let scored = rows_scored.iter().sum();
        Ok(Part {
            bytes_read: pass.bytes_read() + self.first_pass.bytes_scored(scored),
            rows_refined: pass.into_rows_refined(),
            rows_scored,
        })
    }

    /// What was found for each probe, best first.
    pub(super) fn into_matches(self) -> impl Iterator<Item = Vec<Match>> {
        self.best.into_iter().map(Best::into_matches)
    }

    /// Raises the thresholds before the scan, so that it does not begin by taking every row for a
    /// candidate: of a sample of rows the last class within the limit is at least as good as its
    /// estimate less its error. Nothing is scored exactly here, and these rows are scanned again.
    fn seed(&self, pass: &mut super::first_pass::Thread<'_>) -> Result<(), StoreError> {
        if self.seed_stride == 0 {
            return Ok(());
        }
        loop {
            let at = self.next_seed.fetch_add(1, Ordering::Relaxed) * self.seed_stride;
            let Some(run) = self.runs.get(at) else {
                return Ok(());
            };
            let last = run.rows.end.min(run.rows.start + SEEDS_PER_RUN);
            let looked = Looked::at(run.block, run.rows.start..last)?;
            pass.look(&looked.rows, &looked.rows, &self.best, |probe, hits| {
                let Some(seeds) = &self.seeds[probe] else {
                    return Ok(());
                };
                let code = self.queries[probe].probe.code();
                seeds.offer(&looked, code, hits, &self.best[probe])
            })?;
        }
    }

    /// A run in the pieces in which the first pass wants it.
    fn pieces(&self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let step = self.first_pass.rows_per_piece();
        let end = rows.end;
        rows.step_by(step)
            .map(move |start| start..end.min(start + step))
    }
}

/// Whether seeds of so many rows say anything about the last class within a limit.
fn seeds_help(rows: usize, limit: usize) -> bool {
    limit.saturating_mul(4) <= rows.min(SEEDS_MAX)
}

/// Every how many runs one gives seeds, where every second one would give them of so many rows.
fn seed_stride(rows: usize) -> usize {
    RUNS_PER_SEED * rows.div_ceil(SEEDS_MAX)
}

impl<'a> Looked<'a> {
    fn at(block: BlockReader<'a>, rows: Range<usize>) -> Result<Looked<'a>, StoreError> {
        let first_row = rows.start;
        let rows = block.scan(rows)?;
        Ok(Looked {
            block,
            first_row,
            rows,
        })
    }
}
