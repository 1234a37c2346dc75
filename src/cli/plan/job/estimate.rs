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
    /// People in an answer; of no matter for duplicates.
    pub(super) k: usize,
    /// From which similarity on people are asked for; of no matter for duplicates.
    pub(super) threshold: Option<f64>,
    pub(super) dimension: usize,
    pub(super) block_rows: usize,
    pub(super) machines: usize,
    /// Tasks that each machine does at a time, which share its threads.
    pub(super) tasks_at_a_time: usize,
    /// What it takes until a task begins its work.
    pub(super) start_seconds: f64,
}

/// What was measured of this machine, while as many tasks as asked for ran at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// For each row that a task codes before it compares it; nothing where rows are compared as they
    /// are.
    pub(super) row_seconds: f64,
    /// For each comparison of a probe with a row.
    pub(super) comparison_seconds: f64,
    /// For each row that is among the best when it is come to ([`best_so_far`]); nothing where no
    /// best are asked for.
    pub(super) best_seconds: f64,
    /// For each byte of a block that is in the memory of the system, read and digested by one thread.
    pub(super) byte_seconds: f64,
    /// How far the rounds lay apart, as a part of their median.
    pub(super) spread: f64,
    /// Threads of a task.
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
    /// The whole job: what follows, one after the other.
    pub(super) seconds: f64,
    /// Every block is read once, and every value looked at, before anything is compared.
    pub(super) survey_seconds: f64,
    /// All tasks, in rounds of as many as run at a time.
    pub(super) tasks_seconds: f64,
    /// Results of all tasks become one file, on one thread of one machine.
    pub(super) merge_seconds: f64,
    /// The mean of a task, of which these are parts.
    pub(super) task_seconds: f64,
    pub(super) task_compare_seconds: f64,
    pub(super) task_read_seconds: f64,
    /// What all tasks and the survey read together.
    pub(super) read_bytes: f64,
    /// What each machine has to be sent while tasks run, so that it need not wait.
    pub(super) read_bytes_per_second: f64,
    /// Two blocks, and the codes of what is compared at once.
    pub(super) task_memory_bytes: u64,
    /// How far off the times may be, as a part of them.
    pub(super) error: f64,
}

/// Values that the engine codes at once (`src/search`).
pub(super) const CODED_VALUES: usize = 1 << 25;
/// Bytes of a value as it is read, in single precision.
pub(super) const VALUE_BYTES: usize = 4;
/// Of a value and its codes.
const CODED_VALUE_BYTES: f64 = 5.0;

/// Probes of one call of the engine, the answers that one may have, and how many rows more than `k`
/// each probe asks for: as `vultus.jobs` has them (`python/vultus/jobs/compare.py`).
const PROBES_PER_CALL: usize = 4_096;
const ANSWERS_PER_CALL: usize = 4_194_304;
const MORE_ANSWERS: usize = 8;

/// What Python does: for each row that the engine answers, each match that is written to a file and each
/// that is merged, and for each task, whose file is written and synced, and read again. Measured with
/// one core of a Zen 5, and not where a plan is made.
const ANSWER_SECONDS: f64 = 5e-7;
const WRITTEN_MATCH_SECONDS: f64 = 1.1e-6;
const MERGED_MATCH_SECONDS: f64 = 5e-7;
const TASK_SECONDS: f64 = 0.003;
const MERGED_TASK_SECONDS: f64 = 0.0015;

/// What plans have been seen to be off by, on a machine that does nothing else.
const ERROR_MIN: f64 = 0.2;

impl AskedJob {
    /// Rows that a task asks the engine for, for each probe.
    pub(super) fn answers(&self) -> usize {
        let block = self.block_rows.min(self.rows);
        self.k.saturating_add(MORE_ANSWERS).min(block)
    }

    /// Probes that a task of identification asks for in one call.
    pub(super) fn probes_per_call(&self) -> usize {
        let most = (ANSWERS_PER_CALL / self.answers()).clamp(1, PROBES_PER_CALL);
        most.min(self.block_rows).min(self.probes)
    }

    /// Whether tasks run in processes of their own, which read both of their blocks. One machine that
    /// does one task after the other keeps what two tasks in a row share.
    fn is_far(&self) -> bool {
        self.machines * self.tasks_at_a_time > 1
    }

    fn row_bytes(&self) -> f64 {
        (self.dimension * VALUE_BYTES) as f64
    }
}

/// Rows in blocks of one size, but for the last.
struct Cut {
    blocks: f64,
    block: f64,
    last: f64,
}

impl Cut {
    fn of(rows: usize, block_rows: usize) -> Cut {
        let blocks = rows.div_ceil(block_rows);
        let last = rows - (blocks - 1) * block_rows;
        Cut {
            blocks: blocks as f64,
            block: block_rows.min(rows) as f64,
            last: last as f64,
        }
    }

    fn sum(&self, of: impl Fn(f64) -> f64) -> f64 {
        (self.blocks - 1.0) * of(self.block) + of(self.last)
    }
}

/// What all tasks of a job do together.
#[derive(Debug, PartialEq)]
struct Work {
    /// Blocks of all inputs.
    blocks: f64,
    tasks: f64,
    /// Rows that are coded, each as often as that happens.
    coded_rows: f64,
    comparisons: f64,
    /// Rows that are among the best of a probe when a task comes to them.
    best_rows: f64,
    /// Rows that tasks read, each as often as that happens.
    read_rows: f64,
    /// Rows of all inputs.
    rows: f64,
    /// What the engine answers, what of it is kept for the merge, and what is left of that.
    answers: f64,
    matches: f64,
    found: f64,
}

impl Work {
    fn of(asked: &AskedJob) -> Work {
        match asked.kind {
            JobKind::Duplicates => Work::of_duplicates(asked),
            JobKind::Identify => Work::of_identification(asked),
        }
    }

    /// All pairs of blocks on and above the diagonal. How many pairs of people that finds nobody knows
    /// before; from a threshold on that is of use they are few.
    fn of_duplicates(asked: &AskedJob) -> Work {
        let (rows, cut) = (asked.rows as f64, Cut::of(asked.rows, asked.block_rows));
        let tasks = cut.blocks * (cut.blocks + 1.0) / 2.0;
        let part = (CODED_VALUES / asked.dimension) as f64;
        let beside = (rows * rows - cut.sum(|block| block * block)) / 2.0;
        Work {
            blocks: cut.blocks,
            tasks,
            // The first block of each pair. The last block is that in one pair alone.
            coded_rows: (tasks - 1.0) * cut.block + cut.last,
            comparisons: beside + cut.sum(|block| on_diagonal(block, part)),
            best_rows: 0.0,
            read_rows: match asked.is_far() {
                true => rows * cut.blocks,
                // The second block of each pair, since the first stays.
                false => (tasks - cut.blocks) * cut.block + cut.blocks * cut.last,
            },
            rows,
            answers: 0.0,
            matches: 0.0,
            found: 0.0,
        }
    }

    fn of_identification(asked: &AskedJob) -> Work {
        let (rows, cut) = (asked.rows as f64, Cut::of(asked.rows, asked.block_rows));
        let (probes, given) = (asked.probes as f64, Cut::of(asked.probes, asked.block_rows));
        let call = asked.probes_per_call() as f64;
        // How many reach a threshold nobody knows before; of one that is of use they are few.
        let answering = match asked.threshold {
            Some(_) => 0.0,
            None => probes,
        };
        Work {
            blocks: cut.blocks + given.blocks,
            tasks: given.blocks * cut.blocks,
            coded_rows: rows * given.sum(|block| (block / call).ceil()),
            comparisons: probes * rows,
            best_rows: answering * cut.sum(|block| best_so_far(asked.answers(), block)),
            read_rows: match asked.is_far() {
                true => probes * cut.blocks + rows * given.blocks,
                false if cut.blocks > 1.0 => probes + rows * given.blocks,
                false => probes + rows,
            },
            rows: rows + probes,
            answers: answering * cut.blocks * asked.answers() as f64,
            matches: answering * cut.blocks * asked.k.min(asked.answers()) as f64,
            found: answering * asked.k.min(asked.rows) as f64,
        }
    }
}

/// Comparisons of a block with itself: each part that is coded at once with all rows up to its end.
fn on_diagonal(rows: f64, part: f64) -> f64 {
    let parts = (rows / part).floor();
    part * part * parts * (parts + 1.0) / 2.0 + (rows - parts * part) * rows
}

/// Of so many rows in no order, how many are among the best `k` of those before them: k of the first k,
/// and then the n-th with a chance of k/n. Each is scored exactly, so that the first thousands of rows
/// cost more than those that follow.
pub(super) fn best_so_far(k: usize, rows: f64) -> f64 {
    let k = k as f64;
    match rows > k {
        true => k * (1.0 + (rows / k).ln()),
        false => rows,
    }
}

impl Rate {
    pub(super) fn plan(&self, asked: &AskedJob) -> JobPlan {
        let work = Work::of(asked);
        let at_a_time = asked.machines as f64 * asked.tasks_at_a_time as f64;
        let read_seconds = |rows: f64| rows * asked.row_bytes() * self.byte_seconds;
        let task_compare_seconds = (work.coded_rows * self.row_seconds
            + work.comparisons * self.comparison_seconds
            + work.best_rows * self.best_seconds
            + work.answers * ANSWER_SECONDS
            + work.matches * WRITTEN_MATCH_SECONDS)
            / work.tasks;
        let task_read_seconds = read_seconds(work.read_rows) / work.tasks;
        let task_seconds =
            asked.start_seconds + TASK_SECONDS + task_read_seconds + task_compare_seconds;
        // The last round leaves some without a task.
        let rounds = |pieces: f64| (pieces / at_a_time).ceil();
        let tasks_seconds = rounds(work.tasks) * task_seconds;
        let survey_seconds =
            rounds(work.blocks) * (asked.start_seconds + read_seconds(work.rows) / work.blocks);
        let merge_seconds = work.tasks * MERGED_TASK_SECONDS
            + work.matches * MERGED_MATCH_SECONDS
            + work.found * WRITTEN_MATCH_SECONDS;
        let task_read_bytes = work.read_rows * asked.row_bytes();
        JobPlan {
            tasks: work.tasks as u64,
            comparisons: work.comparisons,
            seconds: survey_seconds + tasks_seconds + merge_seconds,
            survey_seconds,
            tasks_seconds,
            merge_seconds,
            task_seconds,
            task_compare_seconds,
            task_read_seconds,
            read_bytes: task_read_bytes + work.rows * asked.row_bytes(),
            read_bytes_per_second: task_read_bytes / asked.machines as f64 / tasks_seconds,
            task_memory_bytes: task_memory_bytes(asked) as u64,
            error: ERROR_MIN.max(self.spread),
        }
    }
}

fn task_memory_bytes(asked: &AskedJob) -> f64 {
    let values = asked.block_rows.min(asked.rows) as f64 * asked.dimension as f64;
    2.0 * values * VALUE_BYTES as f64 + values.min(CODED_VALUES as f64) * CODED_VALUE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A comparison takes 10 ns, and all else nothing.
    const RATE: Rate = Rate {
        row_seconds: 0.0,
        comparison_seconds: 1e-8,
        best_seconds: 0.0,
        byte_seconds: 0.0,
        spread: 0.1,
        threads: 2,
        rows: 65_536,
    };

    fn asked(kind: JobKind) -> AskedJob {
        AskedJob {
            kind,
            rows: 1_000_000,
            probes: 250_000,
            k: 20,
            threshold: None,
            dimension: 128,
            block_rows: 100_000,
            machines: 1,
            tasks_at_a_time: 1,
            start_seconds: 0.0,
        }
    }

    fn small(
        kind: JobKind,
        rows: usize,
        probes: usize,
        block_rows: usize,
        is_far: bool,
    ) -> AskedJob {
        AskedJob {
            rows,
            probes,
            block_rows,
            machines: 1 + usize::from(is_far),
            ..asked(kind)
        }
    }

    fn blocks_of(rows: usize, block_rows: usize) -> Vec<usize> {
        let starts = (0..rows).step_by(block_rows);
        starts.map(|start| block_rows.min(rows - start)).collect()
    }

    /// What tasks do, counted one after the other.
    fn counted(asked: &AskedJob) -> Work {
        let gallery = blocks_of(asked.rows, asked.block_rows);
        let is_identify = asked.kind == JobKind::Identify;
        let probes = match is_identify {
            true => blocks_of(asked.probes, asked.block_rows),
            false => gallery.clone(),
        };
        let (mut tasks, mut coded, mut comparisons, mut read, mut answers, mut matches) =
            (0, 0, 0, 0, 0, 0);
        let mut best_rows = 0.0;
        for (left, &a) in probes.iter().enumerate() {
            for (right, &b) in gallery.iter().enumerate() {
                if !is_identify && right < left {
                    continue;
                }
                tasks += 1;
                if is_identify {
                    coded += b * a.div_ceil(asked.probes_per_call());
                    answers += a * asked.answers();
                    matches += a * asked.k.min(asked.answers());
                    best_rows += a as f64 * best_so_far(asked.answers(), b as f64);
                } else {
                    coded += a;
                }
                let is_same = !is_identify && left == right;
                let is_left_read = is_identify || !is_same;
                let is_left_kept = !asked.is_far() && (right > 0 || !is_identify);
                read += if is_left_read && !is_left_kept { a } else { 0 };
                let is_right_kept =
                    !asked.is_far() && is_identify && gallery.len() == 1 && left > 0;
                read += if is_right_kept { 0 } else { b };
                comparisons += a * b;
            }
        }
        let sides = if is_identify { probes.len() } else { 0 };
        let given = if is_identify { asked.probes } else { 0 };
        let numbers = [
            sides + gallery.len(),
            tasks,
            coded,
            comparisons,
            read,
            asked.rows + given,
            answers,
            matches,
            given * asked.k.min(asked.rows),
        ];
        let [
            blocks,
            tasks,
            coded_rows,
            comparisons,
            read_rows,
            rows,
            answers,
            matches,
            found,
        ] = numbers.map(|number| number as f64);
        Work {
            blocks,
            tasks,
            coded_rows,
            comparisons,
            best_rows,
            read_rows,
            rows,
            answers,
            matches,
            found,
        }
    }

    #[test]
    fn what_tasks_do_is_what_is_counted_of_each() {
        for kind in [JobKind::Duplicates, JobKind::Identify] {
            for (rows, probes, block_rows) in [
                (1_000, 1, 1_000),
                (1_000, 350, 100),
                (1_001, 100, 100),
                (999, 12_345, 5_000),
                (7, 9, 1),
                (50_000, 20_000, 9_000),
            ] {
                for is_far in [false, true] {
                    let asked = small(kind, rows, probes, block_rows, is_far);
                    let (mut work, expected) = (Work::of(&asked), counted(&asked));
                    // Fractions, added in another order.
                    let off = (work.best_rows - expected.best_rows).abs();
                    assert!(off <= 1e-9 * expected.best_rows, "{asked:?}");
                    work.best_rows = expected.best_rows;
                    assert_eq!(work, expected, "{asked:?}");
                }
            }
        }
    }

    #[test]
    fn a_block_of_several_parts_is_compared_with_half_of_itself() {
        assert_eq!(on_diagonal(10.0, 100.0), 100.0);
        assert_eq!(on_diagonal(100.0, 100.0), 10_000.0);
        // 100 rows with 100, 100 with 200, and 50 with all 250.
        assert_eq!(on_diagonal(250.0, 100.0), 10_000.0 + 20_000.0 + 12_500.0);
    }

    #[test]
    fn tasks_share_machines_in_whole_rounds() {
        let on = |machines, tasks_at_a_time| {
            let asked = AskedJob {
                machines,
                tasks_at_a_time,
                ..asked(JobKind::Duplicates)
            };
            RATE.plan(&asked)
        };
        // 55 tasks, of which each makes 10^10 comparisons.
        let task_seconds = 100.0 + TASK_SECONDS;
        for (machines, tasks_at_a_time, rounds) in [
            (1, 1, 55.0),
            (5, 1, 11.0),
            (4, 1, 14.0),
            (2, 2, 14.0),
            (1, 4, 14.0),
            (55, 1, 1.0),
            (1_000, 9, 1.0),
        ] {
            let plan = on(machines, tasks_at_a_time);
            let expected = rounds * task_seconds;
            assert!((plan.tasks_seconds - expected).abs() < 1e-6, "{plan:?}");
        }
    }

    #[test]
    fn each_part_of_a_task_has_its_time() {
        let slow = Rate {
            row_seconds: 1e-5,
            byte_seconds: 1e-9,
            ..RATE
        };
        let asked = AskedJob {
            machines: 10,
            start_seconds: 0.5,
            ..asked(JobKind::Duplicates)
        };
        let plan = slow.plan(&asked);
        // Rows of 512 bytes; each of ten blocks is read ten times.
        assert!((plan.task_read_seconds * 55.0 - 1e7 * 512.0 * 1e-9).abs() < 1e-9);
        assert!((plan.task_compare_seconds - 101.0).abs() < 1e-9, "{plan:?}");
        let task_seconds = 0.5 + TASK_SECONDS + plan.task_read_seconds + plan.task_compare_seconds;
        assert!((plan.task_seconds - task_seconds).abs() < 1e-9, "{plan:?}");
        assert!((plan.survey_seconds - (0.5 + 1e5 * 512.0 * 1e-9)).abs() < 1e-9);
        assert!((plan.merge_seconds - 55.0 * MERGED_TASK_SECONDS).abs() < 1e-9);
        let all = plan.survey_seconds + plan.tasks_seconds + plan.merge_seconds;
        assert_eq!(plan.seconds, all);
        assert!(
            (plan.read_bytes - (1e7 + 1e6) * 512.0).abs() < 1e-3,
            "{plan:?}"
        );
        // What comes back is merged by one machine, whatever their number.
        let identify = AskedJob {
            kind: JobKind::Identify,
            machines: 1_000_000,
            ..asked
        };
        let few = AskedJob {
            threshold: Some(0.5),
            ..identify
        };
        let of_files = slow.plan(&few).merge_seconds;
        assert!((of_files - 30.0 * MERGED_TASK_SECONDS).abs() < 1e-9);
        let merged = slow.plan(&identify).merge_seconds;
        let expected = 30.0 * MERGED_TASK_SECONDS
            + 250_000.0 * 10.0 * 20.0 * MERGED_MATCH_SECONDS
            + 250_000.0 * 20.0 * WRITTEN_MATCH_SECONDS;
        assert!((merged - expected).abs() < 1e-6, "{merged} {expected}");
    }

    #[test]
    fn the_best_are_few_and_mostly_among_the_first() {
        assert_eq!(best_so_far(20, 0.0), 0.0);
        assert_eq!(best_so_far(20, 7.0), 7.0);
        assert_eq!(best_so_far(20, 20.0), 20.0);
        // Σ min(1, k/n), plainly.
        let plainly: f64 = (1..=100_000).map(|n| (20.0 / f64::from(n)).min(1.0)).sum();
        assert!((best_so_far(20, 100_000.0) / plainly - 1.0).abs() < 0.01);
    }

    #[test]
    fn a_large_block_costs_less_than_small_ones_where_the_best_are_asked_for() {
        let rate = Rate {
            best_seconds: 1e-6,
            ..RATE
        };
        let plan = |block_rows: usize, threshold: Option<f64>| {
            let asked = AskedJob {
                block_rows,
                threshold,
                ..asked(JobKind::Identify)
            };
            let plan = rate.plan(&asked);
            plan.tasks as f64 * plan.task_compare_seconds
        };
        // 28 rows of each probe are asked for. Beside them every answer costs what Python does.
        let python = 250_000.0 * (28.0 * ANSWER_SECONDS + 20.0 * WRITTEN_MATCH_SECONDS);
        let expected = |blocks: f64, rows: f64| {
            let best = 28.0 * (1.0 + (rows / 28.0).ln());
            2_500.0 + blocks * (python + 250_000.0 * best * 1e-6)
        };
        assert!((plan(1_000_000, None) - expected(1.0, 1e6)).abs() < 1e-6);
        assert!((plan(100_000, None) - expected(10.0, 1e5)).abs() < 1e-6);
        // From a threshold on that strangers do not reach nobody is among the best.
        assert!((plan(100_000, Some(0.5)) - 2_500.0).abs() < 1e-6);
    }

    #[test]
    fn a_small_gallery_is_one_block() {
        let plan = RATE.plan(&AskedJob {
            rows: 1_000,
            ..asked(JobKind::Duplicates)
        });
        assert_eq!((plan.tasks, plan.comparisons), (1, 1e6));
        // As it is read, twice, and its codes.
        assert_eq!(plan.task_memory_bytes, 1_000 * 128 * (8 + 5));
        assert_eq!(plan.read_bytes, 2.0 * 1_000.0 * 512.0);
    }

    #[test]
    fn noise_is_told_and_nothing_overflows() {
        let noisy = Rate {
            spread: 0.7,
            ..RATE
        };
        assert_eq!(noisy.plan(&asked(JobKind::Identify)).error, 0.7);
        let plan = RATE.plan(&AskedJob {
            rows: usize::MAX,
            probes: usize::MAX,
            k: usize::MAX,
            machines: 1,
            block_rows: 1,
            ..asked(JobKind::Identify)
        });
        assert_eq!(plan.tasks, u64::MAX);
        assert!(plan.seconds.is_finite());
    }

    /// The constants of tasks are those of `vultus.jobs`.
    #[test]
    fn tasks_are_those_of_the_python_package() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/python/vultus/jobs/compare.py");
        let text = std::fs::read_to_string(path).unwrap().replace('_', "");
        for line in [
            format!("PROBES = {PROBES_PER_CALL}"),
            format!("ANSWERS = {ANSWERS_PER_CALL}"),
            format!("k * templates + {MORE_ANSWERS})"),
        ] {
            assert!(text.contains(&line), "{line}");
        }
    }
}
