//! `vultus plan`: what a gallery of a size, asked so many questions, needs of machines like this one,
//! and how long a job over all of it takes on some of them.

mod calibration;
mod estimate;
mod job;

use std::time::Instant;

use serde::Serialize;

use self::estimate::{Asked, Calibration, Plan};
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

pub(super) fn run(verb: &args::Plan, settings: &Settings) -> anyhow::Result<Exit> {
    if let Some(kind) = verb.job {
        return job::run(verb, kind, settings);
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
