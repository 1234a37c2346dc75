//! `vultus plan`: what a gallery of a size, asked so many questions, needs of machines like this one,
//! and how long a job over all of it takes on some of them.

mod calibration;
mod estimate;
mod job;

use std::time::Instant;

use anyhow::bail;
use serde::Serialize;

use self::estimate::{Asked, Calibration, Plan};
use self::job::{AskedJob, JobPlan, Rate};
use super::args;
use super::exit::Exit;
use super::machine::bytes_text;
use super::output::{self, say};
use crate::config::Settings;

/// What is printed.
#[derive(Serialize)]
struct Report<'a> {
    version: &'static str,
    rows: usize,
    dimension: usize,
    qps: f64,
    threads: usize,
    isa: String,
    /// Templates that were made up to measure.
    calibrated_rows: usize,
    calibration_seconds: f64,
    #[serde(flatten)]
    plan: &'a Plan,
}

/// What is printed of a job.
#[derive(Serialize)]
struct JobReport<'a> {
    version: &'static str,
    job: args::JobKind,
    rows: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    probes: Option<usize>,
    dimension: usize,
    machines: usize,
    block_rows: usize,
    threads: usize,
    isa: String,
    /// Templates that were made up to measure.
    calibrated_rows: usize,
    comparisons_per_second: f64,
    #[serde(flatten)]
    plan: &'a JobPlan,
}

pub(super) fn run(verb: &args::Plan, settings: &Settings) -> anyhow::Result<Exit> {
    if let Some(kind) = verb.job {
        return run_job(verb, kind, settings);
    }
    let asked = Asked {
        rows: verb.rows,
        dimension: verb.dim,
        qps: verb.qps,
    };
    let folder = verb.directory.clone().unwrap_or_else(std::env::temp_dir);
    let began = Instant::now();
    let calibration = calibration::measure(asked, verb.calibration_rows, &folder, settings)?;
    let seconds = began.elapsed().as_secs_f64();
    let plan = calibration.plan(asked, settings.service.picture_bytes_max);
    if verb.json {
        output::json_line(&Report {
            version: env!("CARGO_PKG_VERSION"),
            rows: asked.rows,
            dimension: asked.dimension,
            qps: asked.qps,
            threads: calibration.threads,
            isa: settings.kernel()?.isa().to_string(),
            calibrated_rows: calibration.large.rows,
            calibration_seconds: seconds,
            plan: &plan,
        })?;
        return Ok(Exit::Success);
    }
    for line in lines(asked, &calibration, &plan) {
        output::line(line)?;
    }
    say!(
        "measured with {} made-up templates and {} threads in {seconds:.1} s; times may be off by {:.0} %, \
         and by more if others use this machine or it is another one",
        calibration.large.rows,
        calibration.threads,
        plan.latency.error * 100.0
    );
    Ok(Exit::Success)
}

fn run_job(verb: &args::Plan, kind: args::JobKind, settings: &Settings) -> anyhow::Result<Exit> {
    let probes = match (kind, verb.probes) {
        (args::JobKind::Identify, None) => bail!("how many probes? say it with --probes"),
        (args::JobKind::Duplicates, Some(_)) => {
            bail!("--probes are of --job identify; all templates are those of --job duplicates")
        }
        (_, probes) => probes,
    };
    let asked = AskedJob {
        kind,
        rows: verb.rows,
        probes: probes.unwrap_or(0),
        dimension: verb.dim,
        machines: verb.machines,
        block_rows: verb.block_rows,
    };
    let folder = verb.directory.clone().unwrap_or_else(std::env::temp_dir);
    let rate = calibration::rate(asked, verb.calibration_rows, &folder, settings)?;
    let plan = rate.plan(asked);
    if verb.json {
        output::json_line(&JobReport {
            version: env!("CARGO_PKG_VERSION"),
            job: kind,
            rows: asked.rows,
            probes,
            dimension: asked.dimension,
            machines: asked.machines,
            block_rows: asked.block_rows,
            threads: rate.threads,
            isa: settings.kernel()?.isa().to_string(),
            calibrated_rows: rate.rows,
            comparisons_per_second: rate.comparisons_per_second,
            plan: &plan,
        })?;
        return Ok(Exit::Success);
    }
    for line in job_lines(asked, &rate, &plan) {
        output::line(line)?;
    }
    say!(
        "measured with {} made-up templates and {} threads; all else is calculated, for machines like \
         this one that do nothing else. Times may be off by {:.0} %, and by more if others use this \
         machine",
        rate.rows,
        rate.threads,
        plan.error * 100.0
    );
    Ok(Exit::Success)
}

fn job_lines(asked: AskedJob, rate: &Rate, plan: &JobPlan) -> [String; 4] {
    [
        format!(
            "time     {} on {} machines, {} on one: {:.2e} comparisons, {:.2e} a second here",
            duration_text(plan.seconds),
            asked.machines,
            duration_text(plan.task_seconds * plan.tasks as f64),
            plan.comparisons,
            rate.comparisons_per_second
        ),
        format!(
            "tasks    {} pairs of blocks of {} templates, {} each with the {} threads here",
            plan.tasks,
            asked.block_rows,
            duration_text(plan.task_seconds),
            rate.threads
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

/// A time as people say it.
fn duration_text(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{seconds:.1} s"),
        ..6_000.0 => format!("{:.0} min", seconds / 60.0),
        ..360_000.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

fn lines(asked: Asked, calibration: &Calibration, plan: &Plan) -> [String; 5] {
    let Plan {
        memory,
        disk,
        cores,
        latency,
    } = plan;
    let expected = match (latency.expected_ms, latency.probes_per_pass) {
        (Some(ms), Some(probes)) => format!(
            "{ms:.1} ms at {} a second, {probes} sharing a pass",
            asked.qps
        ),
        _ => format!("{} a second are too many for this machine", asked.qps),
    };
    [
        format!(
            "memory   {}: {} that searches read, {} for the program, {} for pictures",
            bytes_text(memory.bytes),
            bytes_text(memory.galleries_bytes),
            bytes_text(memory.program_bytes),
            bytes_text(memory.pictures_bytes)
        ),
        format!(
            "disk     {}: {} of templates, and as much again while they are merged; {} for each snapshot",
            bytes_text(disk.bytes),
            bytes_text(disk.galleries_bytes),
            bytes_text(disk.snapshot_bytes)
        ),
        format!(
            "cores    {} for ready embeddings, {} for pictures ({:.0} ms of a core each)",
            cores.with_embeddings, cores.with_pictures, latency.picture_ms
        ),
        format!(
            "latency  {:.1} ms for one search alone; {expected}",
            latency.alone_ms
        ),
        format!(
            "at most  {:.0} searches a second with the {} threads here",
            latency.capacity_qps, calibration.threads
        ),
    ]
}
