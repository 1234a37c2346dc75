//! `vultus load`: how long a service takes to answer, while it is asked as often as one likes.
//!
//! ```text
//! what was typed -> Calls      requests, ready to be sent
//! pace           -> drive      when each call is due, open loop or closed
//! call           -> Wire       over connections that are kept
//! what came back -> Tally      histograms, from when the call was due to the end of its answer
//! ```
//!
//! All of it but the clock of the open loop runs on one thread, so that it takes little of what it
//! measures.

mod calls;
mod drive;
mod plot;
mod report;
mod tally;
mod wire;

use anyhow::{Context, ensure};
use tokio::task::LocalSet;

use self::calls::Calls;
use self::drive::{Drive, Pace};
use self::report::{Report, Step};
use self::wire::Wire;
use super::args::Load;
use super::exit::Exit;
use super::output;

/// A generator whose calls go out later than this does not keep its rate.
const LATE_MILLISECONDS_MAX: f64 = 20.0;

pub(super) fn run(verb: &Load) -> anyhow::Result<Exit> {
    let calls = Calls::prepare(verb)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the load")?;
    let report = LocalSet::new().block_on(&runtime, measure(verb, calls))?;
    for step in &report.steps {
        if step.late_ms.p99 > LATE_MILLISECONDS_MAX {
            output::say!(
                "{}: calls went out late, by {:.0} ms and more for one in a hundred: this machine makes \
                 no more of them",
                step.pace(),
                step.late_ms.p99
            );
        }
    }
    report.print(verb.json)?;
    if let Some(path) = &verb.plot {
        let written = plot::plot(&report, path);
        written.with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(match report.has_success() {
        true => Exit::Success,
        false => Exit::No,
    })
}

async fn measure(verb: &Load, calls: Calls) -> anyhow::Result<Report> {
    let wire = Wire::to(&verb.url, verb.connections).await?;
    calls.try_once(&wire, verb.timeout).await?;
    let rates = verb.pace.rate.iter().flat_map(|rates| rates.list());
    let clients = verb
        .pace
        .clients
        .iter()
        .map(|&clients| Pace::Clients(clients));
    let paces: Vec<Pace> = rates.map(Pace::Rate).chain(clients).collect();
    ensure!(!paces.is_empty(), "expected --rate or --clients");
    let shares: Vec<_> = calls
        .shares()
        .map(|(kind, share)| (kind.name(), share))
        .collect();
    let drive = Drive::new(verb, calls, wire);
    let bar = output::progress(paces.len(), "loading");
    let mut steps = Vec::new();
    for pace in paces {
        steps.push(Step::new(pace, &drive.run(pace).await?));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Report::new(verb, &shares, steps))
}
