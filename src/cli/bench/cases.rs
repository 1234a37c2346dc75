//! One number of probes with one plan.

use std::time::Instant;

use serde::Serialize;

use super::gallery::Gallery;
use super::machine::{Limits, median};
use crate::code::Layout;
use crate::search::{Certificate, Options, Plan, Pool, search};

/// What was measured so far.
pub(super) struct Measurement {
    pub(super) probes: usize,
    pub(super) plan: Plan,
    seconds: Vec<f64>,
    certificates: Vec<Certificate>,
}

/// What is printed of it. Rows are counted for a probe, in the mean.
#[derive(Serialize)]
pub(super) struct Case {
    pub(super) probes: usize,
    pub(super) plan: String,
    pub(super) median_ms: f64,
    rows_per_s: f64,
    pub(super) pairs_per_s: f64,
    pub(super) gb_per_s: f64,
    /// Which limit of the machine applies: the one that alone would take longer.
    pub(super) limit: &'static str,
    pub(super) fraction_of_limit: f64,
    pub(super) rows_refined: f64,
    pub(super) rows_scored: f64,
}

impl Measurement {
    pub(super) fn new(probes: usize, plan: Plan) -> Measurement {
        Measurement {
            probes,
            plan,
            seconds: Vec::new(),
            certificates: Vec::new(),
        }
    }

    /// Searches once more.
    pub(super) fn measure(
        &mut self,
        gallery: &Gallery,
        options: &Options,
        pool: &Pool,
    ) -> anyhow::Result<()> {
        let options = Options {
            plan: Some(self.plan),
            ..*options
        };
        // Other probes each time where there are more than needed.
        let at = self.seconds.len() * self.probes % (gallery.probes.len() - self.probes + 1);
        let queries = gallery.queries(&gallery.probes[at..at + self.probes]);
        let start = Instant::now();
        let answers = search(&gallery.snapshot, &queries, &options, pool)?;
        self.seconds.push(start.elapsed().as_secs_f64());
        self.certificates = answers
            .into_iter()
            .map(|answer| answer.certificate)
            .collect();
        Ok(())
    }

    pub(super) fn case(&self, gallery: &Gallery, limits: &Limits) -> Case {
        let seconds = median(&self.seconds);
        let rows = gallery.snapshot.templates() as f64;
        let pairs = rows * self.probes as f64;
        let bytes = self
            .certificates
            .first()
            .map_or(0, |first| first.bytes_read) as f64;
        let values = Layout::new(gallery.snapshot.encoder().dimension()).padded_values() as f64;
        let reading = bytes / limits.read_bytes_per_second();
        let multiplying = match (self.plan, limits.products_per_second()) {
            (Plan::Tile, Some(peak)) => pairs * values / peak,
            _ => 0.0,
        };
        let mean = |number: fn(&Certificate) -> usize| {
            let sum: usize = self.certificates.iter().map(number).sum();
            sum as f64 / self.certificates.len().max(1) as f64
        };
        Case {
            probes: self.probes,
            plan: self.plan.to_string(),
            median_ms: seconds * 1e3,
            rows_per_s: rows / seconds,
            pairs_per_s: pairs / seconds,
            gb_per_s: bytes / seconds / 1e9,
            limit: if multiplying > reading {
                "tile peak"
            } else {
                "read bandwidth"
            },
            fraction_of_limit: reading.max(multiplying) / seconds,
            rows_refined: mean(|certificate| certificate.rows_refined),
            rows_scored: mean(|certificate| certificate.rows_scored),
        }
    }
}
