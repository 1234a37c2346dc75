//! A few seconds of what tasks of a job do: rows that lie in memory are compared, and a block is read
//! and digested. As many tasks as run at a time on a machine do so side by side.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use ndarray::{Array2, ArrayView2, s};

use super::super::calibration::spread;
use super::estimate::{AskedJob, CODED_VALUES, Rate, best_so_far};
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
/// Rows of which fewer are searched for the best, so that what those cost is told from what each row
/// costs: a part of all.
const PART: usize = 4;

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
    fewer_probes: Option<usize>,
    /// Fewer rows, where the best of them are asked for.
    fewer_rows: Option<usize>,
}

/// What a comparison of all rows with all probes is made of.
struct Costs {
    /// For each row.
    row_seconds: f64,
    /// For each row and probe.
    comparison_seconds: f64,
    /// For each row that is among the best of a probe when it is come to.
    best_seconds: f64,
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
    let mut rounds = [const { Vec::new() }; 4];
    let (rows, probes) = (bench.rows.nrows(), bench.probes.nrows());
    let bar = output::progress(ROUNDS, "calibrating");
    // One more: threads begin, and memory is given.
    for round in 0..=ROUNDS {
        let seconds = [
            bench.seconds(rows, probes)?,
            bench.seconds(rows, bench.fewer_probes.unwrap_or(0))?,
            bench.seconds(bench.fewer_rows.unwrap_or(0), probes)?,
            side_by_side(&bench.pools, |_| read_block(block.path()))?,
        ];
        if round > 0 {
            for (all, seconds) in rounds.iter_mut().zip(seconds) {
                all.push(seconds);
            }
        }
        bar.set_position(round as u64);
    }
    bar.finish_and_clear();
    let [whole, fewer_probes, fewer_rows, read_seconds] = rounds.each_ref().map(|all| median(all));
    let costs = bench.split(whole, fewer_probes, fewer_rows);
    Ok(Rate {
        row_seconds: costs.row_seconds,
        comparison_seconds: costs.comparison_seconds,
        best_seconds: costs.best_seconds,
        byte_seconds: read_seconds / bytes.len() as f64,
        spread: spread(&rounds[0]),
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
        let asks_for_best = asked.kind == JobKind::Identify
            && asked.threshold.is_none()
            && rows / PART >= asked.answers();
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
            fewer_probes: (part >= fewer).then_some(part),
            fewer_rows: asks_for_best.then_some(rows / PART),
        })
    }

    /// How long all tasks take to compare so many rows with so many probes, side by side.
    fn seconds(&self, rows: usize, probes: usize) -> anyhow::Result<f64> {
        if rows == 0 || probes == 0 {
            return Ok(0.0);
        }
        let rows = self.rows.slice(s![..rows, ..]);
        let probes = self.probes.slice(s![..probes, ..]);
        side_by_side(&self.pools, |pool| self.compare(&rows, &probes, pool))
    }

    fn compare(
        &self,
        rows: &ArrayView2<'_, f32>,
        probes: &ArrayView2<'_, f32>,
        pool: &Pool,
    ) -> anyhow::Result<()> {
        match self.kind {
            JobKind::Duplicates => {
                let options = PairOptions {
                    threshold: THRESHOLD,
                    pairs_max: usize::MAX,
                    kernel: self.kernel,
                };
                let go_on = |_| Ok::<(), PairsError>(());
                black_box(pairs_above(rows, Some(probes), &options, pool, go_on)?);
            }
            JobKind::Identify => {
                let (answers, least) = (self.answers, self.threshold);
                let mut search = RowSearch::new(probes, answers, least, self.kernel, pool)?;
                search.look(rows, pool, |_| Ok::<(), RowsError>(()))?;
                black_box(search.into_matches());
            }
        }
        Ok(())
    }

    /// What comparing costs, of the times for all rows and probes, for fewer probes and for fewer rows.
    fn split(&self, whole: f64, fewer_probes: f64, fewer_rows: f64) -> Costs {
        let (rows, probes) = (self.rows.nrows() as f64, self.probes.nrows() as f64);
        // Noise must not have anything cost less than nothing, or everything.
        let of_rows = self.fewer_probes.map_or(0.0, |fewer| {
            let each = (whole - fewer_probes) / (probes - fewer as f64);
            (whole - each * probes).clamp(0.0, whole / 2.0)
        });
        let of_probes = whole - of_rows;
        let best = probes * best_so_far(self.answers, rows);
        let of_best = self.fewer_rows.map_or(0.0, |fewer| {
            let part = fewer as f64 / rows;
            let of_fewer = probes * best_so_far(self.answers, fewer as f64);
            // Comparisons shrink with the rows, the best hardly do.
            let best_seconds = (fewer_rows - whole * part) / (of_fewer - best * part);
            (best_seconds * best).clamp(0.0, of_probes / 2.0)
        });
        Costs {
            row_seconds: of_rows / rows,
            comparison_seconds: (of_probes - of_best) / (rows * probes),
            best_seconds: of_best / best,
        }
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

    fn bench(probes: usize, fewer_probes: Option<usize>, fewer_rows: Option<usize>) -> Bench {
        Bench {
            kind: JobKind::Identify,
            answers: 10,
            threshold: None,
            kernel: Kernel::detect(),
            pools: vec![Pool::Here],
            rows: Array2::zeros((100, 16)),
            probes: Array2::zeros((probes, 16)),
            fewer_probes,
            fewer_rows,
        }
    }

    fn assert_costs(found: &Costs, row: f64, comparison: f64, best: f64) {
        let pairs = [
            (found.row_seconds, row),
            (found.comparison_seconds, comparison),
            (found.best_seconds, best),
        ];
        for (found, expected) in pairs {
            assert!(
                (found - expected).abs() < 1e-9 * (1.0 + expected),
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn rows_comparisons_and_the_best_are_told_apart() {
        // 10 ms for each row, 1 us for each comparison, 3 us for each of the best.
        let seconds = |rows: f64, probes: f64, best: f64| {
            rows * 0.01 + rows * probes * 1e-6 + probes * best_so_far(10, rows) * best
        };
        let whole = seconds(100.0, 30_000.0, 3e-6);
        let fewer_probes = seconds(100.0, 10_000.0, 3e-6);
        let fewer_rows = seconds(25.0, 30_000.0, 3e-6);
        let costs = bench(30_000, Some(10_000), Some(25)).split(whole, fewer_probes, fewer_rows);
        assert_costs(&costs, 0.01, 1e-6, 3e-6);
        let (whole, part) = (seconds(100.0, 30_000.0, 0.0), seconds(100.0, 10_000.0, 0.0));
        let costs = bench(30_000, Some(10_000), None).split(whole, part, 0.0);
        assert_costs(&costs, 0.01, 1e-6, 0.0);
        assert_costs(
            &bench(1_000, None, None).split(0.1, 0.0, 0.0),
            0.0,
            1e-6,
            0.0,
        );
        // Whatever noise does, all together are what was measured, and nothing is below zero.
        for other in [0.0, 0.01, 0.1, 5.0] {
            for rows in [0.0, 0.02, 0.1, 5.0] {
                let costs = bench(1_000, Some(500), Some(25)).split(0.1, other, rows);
                let best = 1_000.0 * best_so_far(10, 100.0);
                let all = costs.row_seconds * 100.0
                    + costs.comparison_seconds * 1e5
                    + costs.best_seconds * best;
                assert!((all - 0.1).abs() < 1e-9);
                assert!(costs.row_seconds >= 0.0 && costs.best_seconds >= 0.0);
                assert!(costs.comparison_seconds > 0.0);
            }
        }
    }

    #[test]
    fn what_fails_side_by_side_is_told() {
        let pools = [Pool::Here, Pool::Here];
        assert!(side_by_side(&pools, |_| anyhow::bail!("no")).is_err());
        assert!(side_by_side(&pools, |_| Ok(())).unwrap() >= 0.0);
    }
}
