//! The text format of Prometheus, version 0.0.4.

use std::fmt::{self, Write};

use crate::counts::HistogramRead;

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows.
    Counter,
    /// It comes and goes.
    Gauge,
    /// How many there are up to each of several sizes.
    Histogram,
}

/// The lines of one metric.
#[derive(Debug)]
pub(super) struct Samples<'a> {
    name: &'static str,
    labels: &'static [&'static str],
    text: &'a mut String,
}

/// What stands for a number in whole units, such as nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit(pub(super) f64);

impl Unit {
    /// The numbers are nanoseconds, and are told in seconds.
    pub(super) const NANOSECONDS: Unit = Unit(1e9);
    /// The numbers are told as they are.
    pub(super) const ONE: Unit = Unit(1.0);
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        })
    }
}

impl<'a> Samples<'a> {
    /// Begins a metric: what it is, and of which kind.
    pub(super) fn begin(
        text: &'a mut String,
        name: &'static str,
        labels: &'static [&'static str],
        kind: Kind,
        help: &str,
    ) -> Samples<'a> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Samples { name, labels, text }
    }

    /// A number, with a value for each label of the metric.
    pub(super) fn number(&mut self, values: &[&str], number: impl Into<f64>) {
        self.line("", values, None, number.into());
    }

    /// A count.
    pub(super) fn count(&mut self, values: &[&str], count: u64) {
        self.line("", values, None, count as f64);
    }

    /// How many there are of which size.
    pub(super) fn histogram(&mut self, values: &[&str], read: &HistogramRead, unit: Unit) {
        for (end, count) in &read.up_to {
            let end = (*end as f64 / unit.0).to_string();
            self.line("_bucket", values, Some(&end), *count as f64);
        }
        self.line("_bucket", values, Some("+Inf"), read.count as f64);
        self.line("_sum", values, None, read.sum as f64 / unit.0);
        self.line("_count", values, None, read.count as f64);
    }

    fn line(&mut self, suffix: &str, values: &[&str], end: Option<&str>, number: f64) {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.name);
        let labels = self.labels.iter().copied().zip(values.iter().copied());
        let labels: Vec<String> = labels
            .chain(end.map(|end| ("le", end)))
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        if !labels.is_empty() {
            self.text.push_str(&format!("{{{}}}", labels.join(",")));
        }
        // Into memory, which takes everything.
        let _ = writeln!(self.text, " {number}");
    }
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::Histogram;

    #[test]
    fn lines_are_as_prometheus_reads_them() {
        let mut text = String::new();
        let labels = &["route", "odd"];
        let help = "What \\ it\nis";
        let mut samples = Samples::begin(&mut text, "a_total", labels, Kind::Counter, help);
        samples.count(&["/v1/{a}", "q\"\\\n"], 12);
        samples.number(&["", ""], 0.5);
        let expected = "# HELP a_total What \\\\ it\\nis\n# TYPE a_total counter\n\
            a_total{route=\"/v1/{a}\",odd=\"q\\\"\\\\\\n\"} 12\na_total{route=\"\",odd=\"\"} 0.5\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_histogram_counts_up_and_ends_at_infinity() {
        let times = Histogram::of_times();
        times.add(2_000_000);
        times.add(30_000_000_000);
        let mut text = String::new();
        let mut samples = Samples::begin(&mut text, "t_seconds", &[], Kind::Histogram, "Times");
        samples.histogram(&[], &times.read(), Unit::NANOSECONDS);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines[0], "t_seconds_bucket{le=\"0.0001\"} 0");
        assert_eq!(lines[4], "t_seconds_bucket{le=\"0.0025\"} 1");
        assert_eq!(lines[15], "t_seconds_bucket{le=\"10\"} 1");
        assert_eq!(lines[16], "t_seconds_bucket{le=\"+Inf\"} 2");
        assert_eq!(&lines[17..], ["t_seconds_sum 30.002", "t_seconds_count 2"]);
    }
}
