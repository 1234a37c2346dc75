//! How long a job over whole galleries takes on some machines, of what a calibration measured:
//! arithmetic alone.

use serde::Serialize;

use crate::cli::args::JobKind;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedJob {
    pub(super) kind: JobKind,
    /// Templates of the gallery.
    pub(super) rows: usize,
    /// Probes; of no matter for duplicates.
    pub(super) probes: usize,
    pub(super) dimension: usize,
    pub(super) machines: usize,
    pub(super) block_rows: usize,
}

/// What was measured of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// Comparisons of a probe with a template a second, by all threads, in passes of many probes.
    pub(super) comparisons_per_second: f64,
    /// How far the rounds lay apart, as a part of their median.
    pub(super) spread: f64,
    pub(super) threads: usize,
    /// Templates that were made up to measure.
    pub(super) rows: usize,
}

/// What is to be expected.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(super) struct JobPlan {
    /// Pairs of blocks: each is a task, and a file of results.
    pub(super) tasks: u64,
    pub(super) comparisons: f64,
    /// A task on one machine like this one, all of its threads at it.
    pub(super) task_seconds: f64,
    /// The whole job, without what Spark takes to start.
    pub(super) seconds: f64,
    /// What all tasks read together, if each reads both of its blocks.
    pub(super) read_bytes: f64,
    /// What each machine has to be sent meanwhile, so that it need not wait.
    pub(super) read_bytes_per_second: f64,
    /// Two blocks, and what is made of them.
    pub(super) task_memory_bytes: u64,
    /// How far off the times may be, as a part of them.
    pub(super) error: f64,
}

/// What rates have been seen to be off by, on a machine that does nothing else.
const ERROR_MIN: f64 = 0.2;
/// Bytes of a value as it is read, in single precision.
const VALUE_BYTES: usize = 4;

impl Rate {
    pub(super) fn plan(&self, asked: AskedJob) -> JobPlan {
        let block = asked.block_rows.min(asked.rows) as f64;
        let blocks = |rows: usize| (rows as f64 / asked.block_rows as f64).ceil();
        let (tasks, comparisons) = match asked.kind {
            JobKind::Duplicates => {
                let (rows, blocks) = (asked.rows as f64, blocks(asked.rows));
                // All pairs on and above the diagonal, of which those on it are compared whole.
                (blocks * (blocks + 1.0) / 2.0, rows * (rows + block) / 2.0)
            }
            JobKind::Identify => (
                blocks(asked.probes) * blocks(asked.rows),
                asked.probes as f64 * asked.rows as f64,
            ),
        };
        // The last round of tasks leaves machines without one.
        let rounds = (tasks / asked.machines as f64).ceil();
        let task_seconds = comparisons / tasks / self.comparisons_per_second;
        let seconds = rounds * task_seconds;
        let block_bytes = block * (asked.dimension * VALUE_BYTES) as f64;
        let read_bytes = tasks * 2.0 * block_bytes;
        JobPlan {
            tasks: tasks as u64,
            comparisons,
            task_seconds,
            seconds,
            read_bytes,
            read_bytes_per_second: 2.0 * block_bytes / task_seconds,
            // Both as they are read, and the codes of one.
            task_memory_bytes: (3.0 * block_bytes) as u64,
            error: ERROR_MIN.max(self.spread),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        comparisons_per_second: 1e8,
        spread: 0.1,
        threads: 2,
        rows: 65_536,
    };

    fn asked(kind: JobKind) -> AskedJob {
        AskedJob {
            kind,
            rows: 1_000_000,
            probes: 250_000,
            dimension: 512,
            machines: 1,
            block_rows: 100_000,
        }
    }

    #[test]
    fn duplicates_are_half_of_all_pairs_and_identification_is_all() {
        let plan = RATE.plan(asked(JobKind::Duplicates));
        assert_eq!(plan.tasks, 55);
        // 45 pairs of blocks beside the diagonal, ten on it: 55 times 10^10.
        assert!((plan.comparisons - 5.5e11).abs() < 1.0, "{plan:?}");
        assert!((plan.seconds - 5_500.0).abs() < 1e-6, "{plan:?}");
        assert!((plan.task_seconds - 100.0).abs() < 1e-9, "{plan:?}");
        let plan = RATE.plan(asked(JobKind::Identify));
        assert_eq!(plan.tasks, 30);
        assert!((plan.seconds - 2_500.0).abs() < 1e-6, "{plan:?}");
    }

    #[test]
    fn machines_share_whole_tasks() {
        let on = |machines| {
            let asked = asked(JobKind::Duplicates);
            RATE.plan(AskedJob { machines, ..asked }).seconds
        };
        assert!((on(5) - 1_100.0).abs() < 1e-6);
        // The fourteenth of four machines' rounds has three tasks.
        assert!((on(4) - 1_400.0).abs() < 1e-6);
        assert!((on(55) - 100.0).abs() < 1e-6);
        assert!((on(1_000) - 100.0).abs() < 1e-6);
    }

    #[test]
    fn a_small_gallery_is_one_block() {
        let plan = RATE.plan(AskedJob {
            rows: 1_000,
            ..asked(JobKind::Duplicates)
        });
        assert_eq!(plan.tasks, 1);
        assert!((plan.comparisons - 1e6).abs() < 1e-6, "{plan:?}");
        assert_eq!(plan.task_memory_bytes, 3 * 1_000 * 2_048);
        assert!(
            (plan.read_bytes - 2.0 * 1_000.0 * 2_048.0).abs() < 1e-6,
            "{plan:?}"
        );
    }

    #[test]
    fn noise_is_told_and_nothing_overflows() {
        let noisy = Rate {
            spread: 0.7,
            ..RATE
        };
        assert!((noisy.plan(asked(JobKind::Identify)).error - 0.7).abs() < 1e-12);
        let plan = RATE.plan(AskedJob {
            rows: usize::MAX,
            probes: usize::MAX,
            machines: 1,
            block_rows: 1,
            ..asked(JobKind::Identify)
        });
        assert_eq!(plan.tasks, u64::MAX);
        assert!(plan.seconds.is_finite());
    }
}
