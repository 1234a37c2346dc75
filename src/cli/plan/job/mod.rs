//! How long a job over whole galleries, all pairs or many probes, takes on some machines like this one.

mod calibration;
mod estimate;

use anyhow::bail;
use serde::Serialize;

use self::estimate::{AskedJob, JobPlan, Rate};
use super::duration_text;
use crate::cli::args;
use crate::cli::exit::Exit;
use crate::cli::machine::bytes_text;
use crate::cli::output::{self, say};
use crate::config::Settings;

/// What is printed.
#[derive(Serialize)]
struct Report<'a> {
    version: &'static str,
    job: args::JobKind,
    rows: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    probes: Option<usize>,
    dimension: usize,
    machines: usize,
    tasks_at_a_time: usize,
    block_rows: usize,
    /// Of each task.
    threads: usize,
    isa: String,
    /// Templates that were made up to measure.
    calibrated_rows: usize,
    /// What was measured of each task, while as many as asked for ran at a time. Nothing where rows are
    /// compared as they lie.
    coded_rows_per_second: Option<f64>,
    comparisons_per_second: f64,
    block_bytes_per_second: f64,
    #[serde(flatten)]
    plan: &'a JobPlan,
}

pub(super) fn run(
    verb: &args::Plan,
    kind: args::JobKind,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let asked = asked(verb, kind, settings)?;
    let folder = verb.directory.clone().unwrap_or_else(std::env::temp_dir);
    let rate = calibration::measure(&asked, verb.calibration_rows, &folder, settings)?;
    let plan = rate.plan(&asked);
    if verb.json {
        output::json_line(&Report {
            version: env!("CARGO_PKG_VERSION"),
            job: kind,
            rows: asked.rows,
            probes: verb.probes,
            dimension: asked.dimension,
            machines: asked.machines,
            tasks_at_a_time: asked.tasks_at_a_time,
            block_rows: asked.block_rows,
            threads: rate.threads,
            isa: settings.kernel()?.isa().to_string(),
            calibrated_rows: rate.rows,
            coded_rows_per_second: (rate.row_seconds > 0.0).then(|| 1.0 / rate.row_seconds),
            comparisons_per_second: 1.0 / rate.comparison_seconds,
            block_bytes_per_second: 1.0 / rate.byte_seconds,
            plan: &plan,
        })?;
        return Ok(Exit::Success);
    }
    for line in lines(&asked, &rate, &plan) {
        output::line(line)?;
    }
    say!(
        "measured with {} made-up templates, {} tasks at a time of {} threads each; all else is \
         calculated, for machines like this one that do nothing else. Times may be off by {:.0} %, and by \
         more if others use this machine, or if blocks come slower than tasks read them",
        rate.rows,
        asked.tasks_at_a_time,
        rate.threads,
        plan.error * 100.0
    );
    Ok(Exit::Success)
}

fn asked(verb: &args::Plan, kind: args::JobKind, settings: &Settings) -> anyhow::Result<AskedJob> {
    let probes = match (kind, verb.probes) {
        (args::JobKind::Identify, None) => bail!("how many probes? say it with --probes"),
        (args::JobKind::Duplicates, Some(_)) => {
            bail!("--probes are of --job identify; all templates are those of --job duplicates")
        }
        (_, probes) => probes,
    };
    if verb.tasks > settings.threads {
        bail!(
            "--tasks: expected at most {}, as many as this machine has threads, found {}",
            settings.threads,
            verb.tasks
        );
    }
    if kind == args::JobKind::Duplicates && (verb.k.is_some() || verb.threshold.is_some()) {
        bail!(
            "--k and --threshold are of --job identify; --job duplicates is planned for a threshold that \
             strangers do not reach"
        );
    }
    Ok(AskedJob {
        kind,
        rows: verb.rows,
        probes: probes.unwrap_or(0),
        k: verb.k.unwrap_or(K),
        threshold: verb.threshold,
        dimension: verb.dim,
        block_rows: verb.block_rows,
        machines: verb.machines,
        tasks_at_a_time: verb.tasks,
        start_seconds: verb.start_seconds,
    })
}

/// People in an answer if nothing else is said.
const K: usize = 20;

fn lines(asked: &AskedJob, rate: &Rate, plan: &JobPlan) -> [String; 4] {
    [
        format!(
            "time     {} on {} machines, {} tasks at a time on each: {} to read all once, {} of tasks, \
             {} to merge",
            duration_text(plan.seconds),
            asked.machines,
            asked.tasks_at_a_time,
            duration_text(plan.survey_seconds),
            duration_text(plan.tasks_seconds),
            duration_text(plan.merge_seconds)
        ),
        format!(
            "tasks    {} pairs of blocks of {} templates, {} each with {} threads: {} to compare, at \
             {:.2e} comparisons a second, {} to read",
            plan.tasks,
            asked.block_rows,
            duration_text(plan.task_seconds),
            rate.threads,
            duration_text(plan.task_compare_seconds),
            1.0 / rate.comparison_seconds,
            duration_text(plan.task_read_seconds)
        ),
        format!(
            "memory   {} for each task at a time",
            bytes_text(plan.task_memory_bytes)
        ),
        format!(
            "reads    {} in all, {} a second for each machine",
            bytes_text(plan.read_bytes as u64),
            bytes_text(plan.read_bytes_per_second as u64)
        ),
    ]
}
