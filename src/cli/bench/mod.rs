//! `vultus bench`: how fast this machine searches, beside what it could do at most.

mod cases;
pub(super) mod gallery;
pub(super) mod machine;
mod nist;

use std::io::BufRead;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;

use self::cases::{Case, Measurement};
use self::gallery::Gallery;
use self::machine::{Limits, Machine};
use super::args::Bench;
use super::exit::Exit;
use super::output;
use crate::config::Settings;
use crate::search::{Options, Plan, Pool, search};

/// What is printed.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    machine: Machine,
    rows: usize,
    dimension: usize,
    threads: usize,
    top: usize,
    rounds: usize,
    read_bandwidth_gb_per_s: f64,
    tile_peak_products_per_s: Option<f64>,
    /// The plan that the engine chooses.
    cases: Vec<Case>,
    /// The other plans, if they were asked for.
    other_plans: Vec<Case>,
    /// Probes whose answers were compared with a full sort of all scores.
    probes_checked: usize,
}

pub(super) fn run(verb: &Bench, settings: &Settings) -> anyhow::Result<Exit> {
    if verb.nist {
        return nist::run(verb, settings);
    }
    let most = *verb
        .probes
        .iter()
        .max()
        .context("no number of probes was given")?;
    if verb.probes.contains(&0) || verb.rounds == 0 || verb.limit == 0 {
        bail!("--probes, --rounds and --top are at least 1");
    }
    let pool = Pool::new(settings.threads);
    let kernel = settings.kernel()?;
    let gallery = Gallery::prepare(verb, settings, most)?;
    let options = Options::with(kernel);
    if verb.interactive {
        return answer_requests(&gallery, &options, &pool);
    }
    if let Some(path) = &verb.answers {
        gallery.write_answers(path, most, &options, &pool)?;
    }
    let mut measured: Vec<Measurement> = plans(verb, &options)
        .map(|(probes, plan)| Measurement::new(probes, plan))
        .collect();
    let mut limits = Limits::default();
    let bar = output::progress(verb.rounds, "measuring");
    // Round by round, so that a noisy neighbour slows everything alike.
    for _ in 0..verb.rounds {
        limits.measure(kernel, &pool);
        for measurement in &mut measured {
            measurement.measure(&gallery, &options, &pool)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let was_measured = |plan: &Plan| measured.iter().any(|one| one.plan == *plan);
    let measured_plans = Plan::ALL.into_iter().filter(was_measured);
    let probes_checked = gallery.check(verb.check, measured_plans, &options, &pool)?;
    let case = |measurement: &Measurement| measurement.case(&gallery, &limits);
    let (chosen, others): (Vec<_>, Vec<_>) = measured
        .iter()
        .partition(|measurement| measurement.plan == options.plan_for(measurement.probes));
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::describe(kernel),
        rows: gallery.snapshot.templates(),
        dimension: gallery.snapshot.encoder().dimension(),
        threads: pool.threads(),
        top: verb.limit,
        rounds: verb.rounds,
        read_bandwidth_gb_per_s: limits.read_bytes_per_second() / 1e9,
        tile_peak_products_per_s: limits.products_per_second(),
        cases: chosen.into_iter().map(case).collect(),
        other_plans: others.into_iter().map(case).collect(),
        probes_checked,
    };
    print(&report, verb.json)?;
    Ok(Exit::Success)
}

/// Every number of probes with the plan that the engine chooses, or with all.
fn plans(verb: &Bench, options: &Options) -> impl Iterator<Item = (usize, Plan)> {
    let chosen = verb
        .probes
        .iter()
        .map(|&probes| (probes, options.plan_for(probes)));
    let others = verb
        .probes
        .iter()
        .flat_map(|&probes| Plan::ALL.map(|plan| (probes, plan)));
    let others = others.filter(|&(probes, plan)| {
        verb.all_plans && plan != options.plan_for(probes) && (plan == Plan::Tile || probes <= 64)
    });
    chosen.chain(others)
}

/// Runs one case for each line on stdin, so that another program can compare without starting this
/// one again: a line is a number of probes.
fn answer_requests(gallery: &Gallery, options: &Options, pool: &Pool) -> anyhow::Result<Exit> {
    output::json_line(&serde_json::json!({ "ready": true }))?;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("reading stdin")?;
        let asked = line.trim().parse().ok().filter(|&count| count > 0);
        let Some(probes) = asked.and_then(|count: usize| gallery.probes.get(..count)) else {
            bail!(
                "`{line}` is not a number of probes from 1 to {}",
                gallery.probes.len()
            );
        };
        let queries = gallery.queries(probes);
        let start = Instant::now();
        let answers = search(&gallery.snapshot, &queries, options, pool)?;
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        let plan = options.plan_for(answers.len()).to_string();
        output::json_line(
            &serde_json::json!({ "probes": answers.len(), "ms": milliseconds, "plan": plan }),
        )?;
    }
    Ok(Exit::Success)
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(output::json_line(report)?);
    }
    let columns = [
        "probes",
        "plan",
        "median",
        "M pairs/s",
        "GB/s",
        "limit",
        "of it",
        "refined",
        "scored",
    ];
    let mut table = output::table(&columns);
    for case in report.cases.iter().chain(&report.other_plans) {
        table.add_row([
            case.probes.to_string(),
            case.plan.clone(),
            format!("{:.2} ms", case.median_ms),
            format!("{:.0}", case.pairs_per_s / 1e6),
            format!("{:.1}", case.gb_per_s),
            case.limit.to_owned(),
            format!("{:.0} %", case.fraction_of_limit * 100.0),
            format!("{:.0}", case.rows_refined),
            format!("{:.0}", case.rows_scored),
        ]);
    }
    output::line(table.to_string())?;
    let peak = report.tile_peak_products_per_s;
    let peak = peak.map_or("unknown".to_owned(), |peak| {
        format!("{:.0} G products/s", peak / 1e9)
    });
    output::say!(
        "{} rows of {} values, {} threads with {} on {}; memory is read at {:.1} GB/s, the tile's \
         peak is {peak}; {} answers compared with a full sort",
        report.rows,
        report.dimension,
        report.threads,
        report.machine.isa,
        report.machine.processor,
        report.read_bandwidth_gb_per_s,
        report.probes_checked,
    );
    Ok(())
}
