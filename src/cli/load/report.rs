//! What is printed.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::drive::{Driven, Pace};
use super::tally::{Entry, Outcome};
use crate::cli::args::Load;
use crate::cli::output;

/// All paces.
#[derive(Serialize)]
pub(super) struct Report {
    version: &'static str,
    url: String,
    seconds: f64,
    warm_up_seconds: f64,
    timeout_seconds: f64,
    connections_max: usize,
    /// Whether calls came at random times instead of at equal distances.
    poisson: bool,
    /// What was asked, and its share of all calls.
    calls: BTreeMap<&'static str, f64>,
    pub(super) steps: Vec<Step>,
}

/// One pace.
#[derive(Serialize)]
pub(super) struct Step {
    /// Calls a second that were due, if it was a rate.
    rate: Option<f64>,
    /// Clients that asked, if it was a number of them.
    clients: Option<usize>,
    /// Calls that were due while it was measured.
    due: u64,
    /// Calls a second that ended with success while it was measured.
    answered_per_s: f64,
    /// How late calls went out, which is the fault of this program.
    pub(super) late_ms: Times,
    /// Processor time of this program, in seconds a second.
    generator_cores: f64,
    /// Connections that were open at most.
    connections: usize,
    /// What came of each kind of call, and of the parts of those that have some.
    outcomes: Vec<OutcomeReport>,
}

/// Calls of a kind that ended alike.
#[derive(Serialize)]
pub(super) struct OutcomeReport {
    pub(super) call: &'static str,
    pub(super) outcome: &'static str,
    /// Of those that were due while it was measured.
    pub(super) count: u64,
    /// A second of those that ended while it was measured.
    pub(super) per_s: f64,
    /// Each status, or each reason why there was none.
    details: BTreeMap<String, u64>,
    /// From when a call was due to the end of its answer.
    pub(super) latency_ms: Times,
}

/// Times in milliseconds.
#[derive(Serialize)]
pub(super) struct Times {
    mean: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    p95: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    max: f64,
}

impl Report {
    pub(super) fn new(verb: &Load, shares: &[(&'static str, f64)], steps: Vec<Step>) -> Report {
        Report {
            version: env!("CARGO_PKG_VERSION"),
            url: verb.url.to_string(),
            seconds: verb.seconds.as_secs_f64(),
            warm_up_seconds: verb.warm_up.as_secs_f64(),
            timeout_seconds: verb.timeout.as_secs_f64(),
            connections_max: verb.connections,
            poisson: verb.poisson,
            calls: shares.iter().copied().collect(),
            steps,
        }
    }

    /// What was asked.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.calls.keys().copied()
    }

    /// Whether any call was answered with success.
    pub(super) fn has_success(&self) -> bool {
        let mut all = self.steps.iter().flat_map(|step| &step.outcomes);
        all.any(|outcome| outcome.outcome == Outcome::Success.name() && outcome.count > 0)
    }

    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return Ok(output::json_line(self)?);
        }
        let columns = [
            "pace", "call", "ended", "calls", "a second", "median", "90 %", "99 %", "99.9 %",
            "most",
        ];
        let mut table = output::table(&columns);
        for step in &self.steps {
            for (at, outcome) in step.outcomes.iter().enumerate() {
                let times = &outcome.latency_ms;
                let pace = if at == 0 { step.pace() } else { String::new() };
                let mut row = vec![
                    pace,
                    outcome.call.to_owned(),
                    outcome.outcome.to_owned(),
                    outcome.count.to_string(),
                    format!("{:.1}", outcome.per_s),
                ];
                let shown = [times.p50, times.p90, times.p99, times.p999, times.max];
                row.extend(shown.map(|time| format!("{time:.1} ms")));
                table.add_row(row);
            }
        }
        output::line(table.to_string())?;
        for step in &self.steps {
            output::say!(
                "{}: {} calls were due, {:.1} a second answered with success; the load took {:.2} cores and \
                 {} connections, and was late by {:.1} ms (99 %)",
                step.pace(),
                step.due,
                step.answered_per_s,
                step.generator_cores,
                step.connections,
                step.late_ms.p99,
            );
        }
        Ok(())
    }
}

impl Step {
    pub(super) fn new(pace: Pace, driven: &Driven) -> Step {
        let tally = &driven.tally;
        let seconds = tally.length().as_secs_f64();
        let outcome = |(call, outcome, entry): (&'static str, Outcome, &Entry)| OutcomeReport {
            call,
            outcome: outcome.name(),
            count: entry.latency.len(),
            per_s: entry.ended_within as f64 / seconds,
            details: entry.details.clone(),
            latency_ms: Times::of(&entry.latency),
        };
        let outcomes: Vec<OutcomeReport> = tally.entries().map(outcome).collect();
        let is_whole = |outcome: &&OutcomeReport| {
            let mut kinds = driven.shares.iter();
            outcome.outcome == Outcome::Success.name()
                && kinds.any(|(kind, _)| kind.name() == outcome.call)
        };
        Step {
            rate: match pace {
                Pace::Rate(rate) => Some(rate),
                Pace::Clients(_) => None,
            },
            clients: match pace {
                Pace::Rate(_) => None,
                Pace::Clients(clients) => Some(clients),
            },
            due: tally.due(),
            answered_per_s: outcomes.iter().filter(is_whole).map(|it| it.per_s).sum(),
            late_ms: Times::of(tally.late()),
            generator_cores: driven.cores,
            connections: driven.connections_most,
            outcomes,
        }
    }

    /// What came of whole calls, without the parts that some have.
    pub(super) fn whole_outcomes(&self, report: &Report) -> impl Iterator<Item = &OutcomeReport> {
        let outcomes = self.outcomes.iter();
        outcomes.filter(|outcome| report.calls.contains_key(outcome.call))
    }

    /// Whether a rate was kept, and not a number of clients.
    pub(super) fn is_rate(&self) -> bool {
        self.rate.is_some()
    }

    /// The rate or the number of clients.
    pub(super) fn number(&self) -> f64 {
        let clients = self.clients.unwrap_or(0) as f64;
        self.rate.unwrap_or(clients)
    }

    /// For people.
    pub(super) fn pace(&self) -> String {
        match (self.rate, self.clients) {
            (Some(rate), _) => format!("{} calls/s", (rate * 100.0).round() / 100.0),
            (None, clients) => output::count(clients.unwrap_or(0), "client", "clients"),
        }
    }
}

impl Times {
    fn of(microseconds: &Histogram<u64>) -> Times {
        let at = |quantile| microseconds.value_at_quantile(quantile) as f64 / 1e3;
        Times {
            mean: microseconds.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: microseconds.max() as f64 / 1e3,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Of a service that passes on so many calls a second, at these rates.
    pub(in super::super) fn report(rates: &[f64], capacity: f64) -> Report {
        let times = |scale: f64| Times {
            mean: 3.0 * scale,
            p50: 2.0 * scale,
            p90: 5.0 * scale,
            p95: 6.0 * scale,
            p99: 9.0 * scale,
            p999: 20.0 * scale,
            max: 31.0 * scale,
        };
        let outcome = |outcome: Outcome, per_s: f64, scale| OutcomeReport {
            call: "identify",
            outcome: outcome.name(),
            count: per_s as u64 * 10,
            per_s,
            details: BTreeMap::new(),
            latency_ms: times(scale),
        };
        let step = |&rate: &f64| Step {
            rate: Some(rate),
            clients: None,
            due: rate as u64 * 10,
            answered_per_s: rate.min(capacity),
            late_ms: times(0.01),
            generator_cores: 0.1,
            connections: 9,
            outcomes: vec![
                outcome(Outcome::Success, rate.min(capacity), rate / 100.0),
                outcome(Outcome::Unavailable, (rate - capacity).max(0.0), 0.5),
            ],
        };
        Report {
            version: "0",
            url: String::new(),
            seconds: 10.0,
            warm_up_seconds: 1.0,
            timeout_seconds: 30.0,
            connections_max: 1000,
            poisson: false,
            calls: BTreeMap::from([("identify", 1.0)]),
            steps: rates.iter().map(step).collect(),
        }
    }
}
