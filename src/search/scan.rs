//! One pass over all rows for all probes.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use super::collector::TopK;
use super::pool::Pool;
use crate::code::{Probe, RowBlock};
use crate::kernel::DotI8;
use crate::partition::{Block, Snapshot, StoreError};
use crate::types::{EncoderId, Match};

/// Rows that a thread takes at once. Their unpacked codes (512 KiB at 512 values) stay in the
/// second-level cache while all probes pass over them.
const ROWS_PER_RUN: usize = 1024;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most classes in an answer.
    pub k: usize,
    /// Leaves out classes with a lower similarity.
    pub threshold: Option<f64>,
    /// The integer kernel.
    pub kernel: DotI8,
}

impl Options {
    /// The best `k`, with the fastest kernel.
    pub fn best(k: usize) -> Options {
        Options {
            k,
            threshold: None,
            kernel: DotI8::detect(),
        }
    }
}

/// The answer for one probe, with its certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The best classes, best first.
    pub matches: Vec<Match>,
    /// How many templates were looked at: all of the snapshot.
    pub rows_scanned: usize,
    /// How many of them were scored from their full values. All others were out by proof. Depends on
    /// the order in which threads find good candidates; the matches do not.
    pub rows_scored: usize,
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A probe has another dimension than the templates.
    #[error("probe {at} has {found} values, and encoder `{encoder}` makes {expected}", expected = encoder.dimension())]
    Dimension {
        /// Which probe, from 0.
        at: usize,
        /// How many values it has.
        found: usize,
        /// The encoder of the partition.
        encoder: EncoderId,
    },
    /// A segment is damaged. There is no partial answer: it would look like a complete one.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Finds the `options.k` best classes of `snapshot` for every probe.
///
/// Returns one answer for each probe, in order. Reads every row once, however many probes there
/// are: cost grows with `rows x probes`, memory traffic with `rows` alone.
///
/// # Errors
///
/// If a probe has the wrong dimension or a segment is damaged.
pub fn search(
    snapshot: &Snapshot,
    probes: &[Probe],
    options: &Options,
    pool: &Pool,
) -> Result<Vec<Answer>, SearchError> {
    for (at, probe) in probes.iter().enumerate() {
        if probe.dimension() != snapshot.encoder().dimension() {
            let (found, encoder) = (probe.dimension(), snapshot.encoder().clone());
            return Err(SearchError::Dimension { at, found, encoder });
        }
    }
    let scan = Scan::new(snapshot, probes, options);
    let mut parts = pool.on_each_thread(|| scan.work()).into_iter();
    let mut whole = parts.next().expect("a pool has a thread")?;
    for part in parts {
        for (whole, part) in whole.iter_mut().zip(part?) {
            whole.top.merge(part.top);
            whole.rows_scored += part.rows_scored;
        }
    }
    let rows_scanned = snapshot.templates();
    let answer = |found: Found| Answer {
        matches: found.top.into_matches(),
        rows_scanned,
        rows_scored: found.rows_scored,
    };
    Ok(whole.into_iter().map(answer).collect())
}

/// What all threads share.
struct Scan<'a> {
    probes: &'a [Probe],
    /// The probes' codes, with zeros up to the length of a stored row.
    padded_codes: Vec<Vec<i8>>,
    options: &'a Options,
    runs: Vec<(&'a Block, Range<usize>)>,
    next_run: AtomicUsize,
    /// For each probe the highest threshold that any thread has reached.
    thresholds: Vec<Threshold>,
}

/// What a thread has found for one probe.
struct Found {
    top: TopK,
    rows_scored: usize,
}

/// Memory that a thread uses again for every run.
#[derive(Default)]
struct Scratch {
    codes: Vec<i8>,
    dots: Vec<i32>,
    candidates: Vec<Candidate>,
}

/// A row that may be among the best, with the most that its score can be.
#[derive(Clone, Copy)]
struct Candidate {
    row: usize,
    at_most: f64,
}

impl<'a> Scan<'a> {
    fn new(snapshot: &'a Snapshot, probes: &'a [Probe], options: &'a Options) -> Scan<'a> {
        let layout = crate::code::Layout::new(snapshot.encoder().dimension());
        let pad = |probe: &Probe| {
            let mut codes = probe.codes().to_vec();
            codes.resize(layout.padded_codes(), 0);
            codes
        };
        let runs = snapshot.blocks().iter().flat_map(|block| {
            let starts = (0..block.rows()).step_by(ROWS_PER_RUN);
            starts.map(move |start| (block, start..block.rows().min(start + ROWS_PER_RUN)))
        });
        let least = options.threshold.unwrap_or(f64::NEG_INFINITY);
        Scan {
            probes,
            padded_codes: probes.iter().map(pad).collect(),
            options,
            runs: runs.collect(),
            next_run: AtomicUsize::new(0),
            thresholds: probes.iter().map(|_| Threshold::new(least)).collect(),
        }
    }

    /// Takes runs until there are none left. Every thread does this.
    fn work(&self) -> Result<Vec<Found>, StoreError> {
        let found = |_| Found {
            top: TopK::new(self.options.k),
            rows_scored: 0,
        };
        let mut found: Vec<Found> = (0..self.probes.len()).map(found).collect();
        let mut scratch = Scratch::default();
        while let Some((block, rows)) = self.runs.get(self.next_run.fetch_add(1, Ordering::Relaxed))
        {
            let codes = block.scan(rows.clone())?;
            scratch
                .codes
                .resize(codes.len() * codes.layout.padded_codes(), 0);
            scratch.dots.resize(codes.len(), 0);
            codes.unpack(&mut scratch.codes);
            for (at, found) in found.iter_mut().enumerate() {
                self.options
                    .kernel
                    .rows(&self.padded_codes[at], &scratch.codes, &mut scratch.dots);
                self.collect(at, block, rows.start, &codes, &mut scratch, found)?;
            }
        }
        Ok(found)
    }

    /// Scores exactly what may be among the best, the most promising first, so that the threshold
    /// rises quickly and the rest is out.
    fn collect(
        &self,
        at: usize,
        block: &Block,
        first_row: usize,
        codes: &RowBlock<'_>,
        scratch: &mut Scratch,
        found: &mut Found,
    ) -> Result<(), StoreError> {
        let probe = &self.probes[at];
        let threshold = &self.thresholds[at];
        let least = threshold.get();
        scratch.candidates.clear();
        let rows = scratch
            .dots
            .iter()
            .zip(codes.scales)
            .zip(codes.residuals_fine)
            .enumerate();
        scratch
            .candidates
            .extend(rows.filter_map(|(row, ((&dot, &scale), &residual))| {
                let at_most = probe.estimate(dot, scale) + probe.score_error(residual);
                (at_most >= least).then_some(Candidate {
                    row: first_row + row,
                    at_most,
                })
            }));
        scratch
            .candidates
            .sort_unstable_by(|a, b| b.at_most.total_cmp(&a.at_most));
        for candidate in &scratch.candidates {
            // Equal is not out: ties are decided by class.
            if candidate.at_most < threshold.get() {
                break;
            }
            if block.is_removed(candidate.row) {
                continue;
            }
            let (row, length) = (block.values(candidate.row)?, block.length(candidate.row)?);
            let similarity = probe.similarity(row, length);
            found.rows_scored += 1;
            if self
                .options
                .threshold
                .is_none_or(|least| similarity >= least)
            {
                found.top.offer(Match {
                    class: block.class(candidate.row)?,
                    similarity,
                });
                threshold.raise(found.top.threshold());
            }
        }
        Ok(())
    }
}

/// A similarity that only rises, shared by all threads.
///
/// Any thread's k-th best class is a lower bound of the k-th best of all, so that the highest of them
/// may cut for everyone.
struct Threshold(AtomicI64);

impl Threshold {
    fn new(similarity: f64) -> Threshold {
        Threshold(AtomicI64::new(ordered(similarity)))
    }

    fn get(&self) -> f64 {
        // Relaxed: an old value cuts less, never wrongly.
        f64::from_bits(unordered(self.0.load(Ordering::Relaxed)))
    }

    fn raise(&self, similarity: f64) {
        self.0.fetch_max(ordered(similarity), Ordering::Relaxed);
    }
}

/// Maps a float to an integer of the same order, as `f64::total_cmp` does.
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// The inverse: the mapping leaves the sign alone and is its own inverse.
fn unordered(value: i64) -> u64 {
    (value ^ ((value >> 63) as u64 >> 1) as i64) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_keep_the_order_of_floats(a in any::<f64>(), b in any::<f64>()) {
            prop_assert_eq!(ordered(a).cmp(&ordered(b)), a.total_cmp(&b));
            prop_assert_eq!(unordered(ordered(a)), a.to_bits());
        }
    }

    #[test]
    fn a_threshold_only_rises() {
        let threshold = Threshold::new(f64::NEG_INFINITY);
        for similarity in [-0.5, 0.25, -1.0, 0.125] {
            threshold.raise(similarity);
        }
        assert_eq!(threshold.get(), 0.25);
    }
}
