//! A few seconds of what tasks of a job do: rows that lie in memory are compared, and a block is read
//! and digested. As many tasks as run at a time on a machine do so side by side.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use ndarray::{Array2, ArrayView2, s};

use super::super::calibration::spread;
use super::estimate::{AskedJob, CODED_VALUES, Rate};
use crate::cli::args::JobKind;
use crate::cli::bench::machine::median;
use crate::cli::made_up::direction;
use crate::cli::output;
use crate::config::Settings;
use crate::kernel::Kernel;
use crate::search::{PairOptions, PairsError, Pool, RowSearch, RowsError, pairs_above};

/// Values of the rows that are made up: half of what a task codes at once, to be quick about it.
const VALUES: usize = CODED_VALUES / 2;
/// Probes that are compared in a task of duplicates, in passes of 1,024.
const PROBES: usize = 3 * 1_024;
/// What nearly nobody reaches who is not looked for.
const THRESHOLD: f64 = 0.5;
const ROUNDS: usize = 5;

/// What is compared, and by whom.
struct Bench {
    kind: JobKind,
    /// Of each probe, in a task of identification.
    answers: usize,
    threshold: Option<f64>,
    kernel: Kernel,
    /// The threads of each task.
    pools: Vec<Pool>,
    rows: Array2<f32>,
    probes: Array2<f32>,
    /// Fewer probes, so that what each row costs is told from what each comparison costs; nothing where
    /// rows are compared as they lie, or there are too few.
    fewer: Option<usize>,
}

/// Measures how long tasks take to code, to compare and to read.
pub(super) fn measure(
    asked: &AskedJob,
    calibration_rows: Option<usize>,
    folder: &Path,
    settings: &Settings,
) -> anyhow::Result<Rate> {
    let bench = Bench::new(asked, calibration_rows, settings)?;
    let block = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot create a file in `{}`", folder.display()))?;
    let bytes: Vec<u8> = bench
        .rows
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    fs::write(block.path(), &bytes)
        .with_context(|| format!("cannot write a block into `{}`", folder.display()))?;
    let (mut whole, mut part, mut read) = (Vec::new(), Vec::new(), Vec::new());
    let bar = output::progress(ROUNDS, "calibrating");
    // One more: threads begin, and memory is given.
    for round in 0..=ROUNDS {
        let seconds = [
            bench.seconds(bench.probes.nrows())?,
            bench.fewer.map_or(Ok(0.0), |fewer| bench.seconds(fewer))?,
            side_by_side(&bench.pools, |_| read_block(block.path()))?,
        ];
        if round > 0 {
            for (all, seconds) in [&mut whole, &mut part, &mut read].into_iter().zip(seconds) {
                all.push(seconds);
            }
        }
        bar.set_position(round as u64);
    }
    bar.finish_and_clear();
    let [whole_seconds, part_seconds, read_seconds] = [&whole, &part, &read].map(|all| median(all));
    let (row_seconds, comparison_seconds) = bench.split(whole_seconds, part_seconds);
    Ok(Rate {
        row_seconds,
        comparison_seconds,
        byte_seconds: read_seconds / bytes.len() as f64,
        spread: spread(&whole),
        threads: bench.pools[0].threads(),
        rows: bench.rows.nrows(),
    })
}

impl Bench {
    fn new(
        asked: &AskedJob,
        calibration_rows: Option<usize>,
        settings: &Settings,
    ) -> anyhow::Result<Bench> {
        let kernel = settings.kernel()?;
        let block = asked.block_rows.min(asked.rows);
        let rows = block.min(calibration_rows.unwrap_or(VALUES / asked.dimension));
        let (probes, fewer) = match asked.kind {
            JobKind::Duplicates => (block.min(PROBES), 64),
            JobKind::Identify => (asked.probes_per_call(), kernel.estimate_probes_max() + 1),
        };
        let part = if asked.kind == JobKind::Duplicates {
            probes / 3
        } else {
            probes / 2
        };
        let pool = Pool::new(settings.threads);
        let threads = settings.threads / asked.tasks_at_a_time;
        Ok(Bench {
            kind: asked.kind,
            answers: asked.answers(),
            threshold: asked.threshold,
            kernel,
            pools: (0..asked.tasks_at_a_time)
                .map(|_| Pool::new(threads))
                .collect(),
            rows: made_up(rows, asked.dimension, 1, &pool)?,
            probes: made_up(probes, asked.dimension, 2, &pool)?,
            fewer: (part >= fewer).then_some(part),
        })
    }

    /// How long all tasks take to compare their rows with so many probes, side by side.
    fn seconds(&self, probes: usize) -> anyhow::Result<f64> {
        let probes = self.probes.slice(s![..probes, ..]);
        side_by_side(&self.pools, |pool| self.compare(&probes, pool))
    }

    fn compare(&self, probes: &ArrayView2<'_, f32>, pool: &Pool) -> anyhow::Result<()> {
        let rows = self.rows.view();
        match self.kind {
            JobKind::Duplicates => {
                let options = PairOptions {
                    threshold: THRESHOLD,
                    pairs_max: usize::MAX,
                    kernel: self.kernel,
                };
                let go_on = |_| Ok::<(), PairsError>(());
                black_box(pairs_above(&rows, Some(probes), &options, pool, go_on)?);
            }
            JobKind::Identify => {
                let (answers, least) = (self.answers, self.threshold);
                let mut search = RowSearch::new(probes, answers, least, self.kernel, pool)?;
                search.look(&rows, pool, |_| Ok::<(), RowsError>(()))?;
                black_box(search.into_matches());
            }
        }
        Ok(())
    }

    /// Seconds for each row and for each comparison, of those for all probes and for a part of them.
    fn split(&self, whole_seconds: f64, part_seconds: f64) -> (f64, f64) {
        let (rows, probes) = (self.rows.nrows() as f64, self.probes.nrows() as f64);
        let of_rows = self.fewer.map_or(0.0, |fewer| {
            let each = (whole_seconds - part_seconds) / (probes - fewer as f64);
            // Noise must not have rows cost less than nothing, or everything.
            (whole_seconds - each * probes).clamp(0.0, whole_seconds / 2.0)
        });
        (of_rows / rows, (whole_seconds - of_rows) / (rows * probes))
    }
}

fn made_up(rows: usize, dimension: usize, seed: u64, pool: &Pool) -> anyhow::Result<Array2<f32>> {
    let values = pool.each(rows, |row| direction(dimension, seed, row as u64));
    Ok(Array2::from_shape_vec((rows, dimension), values.concat())?)
}

/// As a task reads a block: all bytes of a file, and their digest.
fn read_block(path: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(path).context("cannot read the block that was written")?;
    black_box(ring::digest::digest(&ring::digest::SHA256, &bytes));
    Ok(())
}

/// How long it takes until all have done their work, each with the threads of one pool.
fn side_by_side(
    pools: &[Pool],
    work: impl Fn(&Pool) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<f64> {
    let (began, work) = (Instant::now(), &work);
    std::thread::scope(|scope| {
        let begun = pools.iter().map(|pool| scope.spawn(move || work(pool)));
        let running: Vec<_> = begun.collect();
        let ended = running.into_iter().map(|one| {
            one.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        ended.collect::<anyhow::Result<Vec<()>>>()
    })?;
    Ok(began.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench(probes: usize, fewer: Option<usize>) -> Bench {
        Bench {
            kind: JobKind::Duplicates,
            answers: 1,
            threshold: None,
            kernel: Kernel::detect(),
            pools: vec![Pool::Here],
            rows: Array2::zeros((100, 16)),
            probes: Array2::zeros((probes, 16)),
            fewer,
        }
    }

    #[test]
    fn rows_and_comparisons_are_told_apart() {
        // 100 rows of 10 ms each, and 1 us for each comparison.
        let seconds = |probes: f64| 1.0 + 100.0 * probes * 1e-6;
        let (row, comparison) =
            bench(30_000, Some(10_000)).split(seconds(30_000.0), seconds(10_000.0));
        assert!(
            (row - 0.01).abs() < 1e-9 && (comparison - 1e-6).abs() < 1e-12,
            "{row} {comparison}"
        );
        let (row, comparison) = bench(1_000, None).split(0.1, 0.0);
        assert!(
            row == 0.0 && (comparison - 1e-6).abs() < 1e-12,
            "{row} {comparison}"
        );
        // Whatever noise does, both together are what was measured.
        for part in [0.0, 0.01, 5.0] {
            let (row, comparison) = bench(1_000, Some(500)).split(0.1, part);
            assert!(row >= 0.0 && comparison > 0.0);
            assert!((row * 100.0 + comparison * 1e5 - 0.1).abs() < 1e-9);
        }
    }

    #[test]
    fn what_fails_side_by_side_is_told() {
        let pools = [Pool::Here, Pool::Here];
        assert!(side_by_side(&pools, |_| anyhow::bail!("no")).is_err());
        assert!(side_by_side(&pools, |_| Ok(())).unwrap() >= 0.0);
    }
}
