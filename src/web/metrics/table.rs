//! The table: everything that the page tells. `docs/metrics.md` is made from it.

use super::readings::Readings;
use super::text::{Kind, Samples, Unit};

/// One metric: what it is called, what it is, and where its numbers come from.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    /// One sentence without its full stop.
    pub(super) help: &'static str,
    read: fn(&Readings, &mut Samples<'_>),
}

use Kind::{Counter, Gauge, Histogram};

/// All metrics, in the order of the page.
pub(super) static METRICS: &[Metric] = &[
    Metric {
        name: "vultus_build_info",
        kind: Gauge,
        labels: &["version"],
        help: "Always 1; the version of the program is its label",
        read: |_, out| out.count(&[env!("CARGO_PKG_VERSION")], 1),
    },
    Metric {
        name: "vultus_ready",
        kind: Gauge,
        labels: &[],
        help: "Whether `/readyz` answers 200",
        read: |all, out| out.count(&[], u64::from(all.is_ready)),
    },
    Metric {
        name: "vultus_http_requests_total",
        kind: Counter,
        labels: &["route", "method", "status", "caller"],
        help: "Requests that were answered; `route` is the template of the path or `none`, `caller` the \
               app or key that proved itself (`app ID`, `key ID`), `none`, or `others` beyond 1,000 of them",
        read: |all, out| {
            for (by, count) in &all.requests.answered {
                let status = by.status.to_string();
                out.count(&[&by.route, by.method, &status, &by.caller], *count);
            }
        },
    },
    Metric {
        name: "vultus_http_request_seconds",
        kind: Histogram,
        labels: &["route"],
        help: "How long it took from the head of a request to its answer; where that is sent in pieces, \
               to the last of them",
        read: |all, out| {
            for of in &all.requests.routes {
                out.histogram(&[&of.route], &of.times, Unit::NANOSECONDS);
            }
        },
    },
    Metric {
        name: "vultus_http_requests_left_total",
        kind: Counter,
        labels: &["route"],
        help: "Requests whose client left before the answer",
        read: |all, out| {
            for of in &all.requests.routes {
                out.count(&[&of.route], of.left);
            }
        },
    },
    Metric {
        name: "vultus_http_request_bytes_total",
        kind: Counter,
        labels: &["route"],
        help: "Bytes of bodies of requests that were read, as they came",
        read: |all, out| {
            for of in &all.requests.routes {
                out.count(&[&of.route], of.bytes_in);
            }
        },
    },
    Metric {
        name: "vultus_http_response_bytes_total",
        kind: Counter,
        labels: &["route"],
        help: "Bytes of bodies of answers",
        read: |all, out| {
            for of in &all.requests.routes {
                out.count(&[&of.route], of.bytes_out);
            }
        },
    },
    Metric {
        name: "vultus_http_requests_open",
        kind: Gauge,
        labels: &[],
        help: "Requests that are not answered yet",
        read: |all, out| out.count(&[], all.requests.open),
    },
    Metric {
        name: "vultus_refusals_total",
        kind: Counter,
        labels: &["cause"],
        help: "Requests that were refused or failed, by the cause: the codes of `/v1/problems`, and \
               for BWS those or what its status means",
        read: |all, out| {
            for (cause, count) in &all.requests.refusals {
                out.count(&[cause], *count);
            }
        },
    },
    Metric {
        name: "vultus_failed_logins_total",
        kind: Counter,
        labels: &["shown"],
        help: "Log-ins that failed: a wrong secret of an `app`, a `token` that is not ours, a wrong API `key`",
        read: |all, out| {
            for (shown, count) in &all.logins.failed {
                out.count(&[shown], *count);
            }
        },
    },
    Metric {
        name: "vultus_logins_slowed_total",
        kind: Counter,
        labels: &[],
        help: "Log-ins, right ones counted, that were looked at later, since many had failed",
        read: |all, out| out.count(&[], all.logins.slowed),
    },
    Metric {
        name: "vultus_logins_refused_total",
        kind: Counter,
        labels: &[],
        help: "Log-ins that were told 429, since too many of their address waited already",
        read: |all, out| out.count(&[], all.logins.refused),
    },
    Metric {
        name: "vultus_forwarded_total",
        kind: Counter,
        labels: &["outcome"],
        help: "Requests with `X-Forwarded-For` or `Forwarded`: `believed`, `not_trusted` from who may not \
               send it, `unclear` if it contradicts itself or is no address",
        read: |all, out| {
            for (outcome, count) in &all.requests.forwarded {
                out.count(&[outcome], *count);
            }
        },
    },
    Metric {
        name: "vultus_connections_open",
        kind: Gauge,
        labels: &[],
        help: "Connections to the service, idle ones counted",
        read: |all, out| out.count(&[], all.connections.open),
    },
    Metric {
        name: "vultus_connections_accepted_total",
        kind: Counter,
        labels: &[],
        help: "Connections that got a seat",
        read: |all, out| out.count(&[], all.connections.accepted),
    },
    Metric {
        name: "vultus_connections_refused_total",
        kind: Counter,
        labels: &[],
        help: "Connections that were told 503, since all seats, or all of their address, were at work",
        read: |all, out| out.count(&[], all.connections.refused),
    },
    Metric {
        name: "vultus_connections_slow_total",
        kind: Counter,
        labels: &[],
        help: "Connections that were told 408, since the head of a request took too long",
        read: |all, out| out.count(&[], all.connections.slow),
    },
    Metric {
        name: "vultus_lane_waiting",
        kind: Gauge,
        labels: &["lane"],
        help: "Work that waits for its turn; `faces` are pictures and videos, `searches` identifications, \
               `writes` changes, `small` what is looked up in a moment, \
               `bodies` long bodies that are read",
        read: |all, out| {
            for lane in &all.lanes {
                out.count(&[lane.name], lane.waiting);
            }
        },
    },
    Metric {
        name: "vultus_lane_running",
        kind: Gauge,
        labels: &["lane"],
        help: "Work that is being done",
        read: |all, out| {
            for lane in &all.lanes {
                out.count(&[lane.name], lane.running);
            }
        },
    },
    Metric {
        name: "vultus_lane_wait_seconds",
        kind: Histogram,
        labels: &["lane"],
        help: "How long work waited for its turn",
        read: |all, out| {
            for lane in &all.lanes {
                out.histogram(&[lane.name], &lane.wait, Unit::NANOSECONDS);
            }
        },
    },
    Metric {
        name: "vultus_search_pass_probes",
        kind: Histogram,
        labels: &[],
        help: "How many people were looked for in each pass over a gallery",
        read: |all, out| out.histogram(&[], &all.pass_probes, Unit::ONE),
    },
    Metric {
        name: "vultus_search_rows_scanned_total",
        kind: Counter,
        labels: &[],
        help: "Templates that passes went over, each once for all who shared the pass",
        read: |all, out| out.count(&[], all.rows_scanned),
    },
    Metric {
        name: "vultus_search_bytes_read_total",
        kind: Counter,
        labels: &[],
        help: "Bytes of templates that passes read",
        read: |all, out| out.count(&[], all.bytes_read),
    },
    Metric {
        name: "vultus_stage_seconds",
        kind: Histogram,
        labels: &["stage"],
        help: "How long steps took: `decode` a picture or video, `detect` one look for faces, `embed` one \
               face, `liveness` of one face, `search` one pass over a gallery",
        read: |all, out| {
            for (stage, times) in &all.stages {
                out.histogram(&[stage], times, Unit::NANOSECONDS);
            }
        },
    },
    Metric {
        name: "vultus_galleries",
        kind: Gauge,
        labels: &[],
        help: "Galleries (partitions)",
        read: |all, out| storage(all, out, |it| it.totals.galleries),
    },
    Metric {
        name: "vultus_galleries_damaged",
        kind: Gauge,
        labels: &[],
        help: "Galleries in which damage was met since the start; `/v1/status` names them",
        read: |all, out| storage(all, out, |it| it.damaged),
    },
    Metric {
        name: "vultus_rows",
        kind: Gauge,
        labels: &[],
        help: "Templates of all galleries, removed ones counted as long as they take up room",
        read: |all, out| storage(all, out, |it| it.totals.rows),
    },
    Metric {
        name: "vultus_rows_removed",
        kind: Gauge,
        labels: &[],
        help: "Removed templates that still take up room in a segment",
        read: |all, out| storage(all, out, |it| it.totals.removed_rows),
    },
    Metric {
        name: "vultus_segments",
        kind: Gauge,
        labels: &[],
        help: "Segments of all galleries",
        read: |all, out| storage(all, out, |it| it.totals.segments),
    },
    Metric {
        name: "vultus_storage_writable",
        kind: Gauge,
        labels: &[],
        help: "Whether people can be enrolled and removed",
        read: |all, out| storage(all, out, |it| u64::from(it.is_writable)),
    },
    Metric {
        name: "vultus_snapshots_total",
        kind: Counter,
        labels: &["outcome"],
        help: "Snapshots that were due by `snapshot-every`: `made`, or `failed`, where removing an old one \
               may be what failed",
        read: |all, out| {
            out.count(&["made"], all.snapshots_made);
            out.count(&["failed"], all.snapshots_failed);
        },
    },
    Metric {
        name: "vultus_tls_certificate_not_after_seconds",
        kind: Gauge,
        labels: &[],
        help: "Until when the certificate of the service is valid, in seconds since 1970 in UTC; none \
               without TLS",
        read: |all, out| {
            if let Some(seconds) = all.certificate_until {
                out.count(&[], seconds);
            }
        },
    },
    Metric {
        name: "vultus_samples_waiting",
        kind: Gauge,
        labels: &[],
        help: "Uploaded samples that wait for their task",
        read: |all, out| out.count(&[], all.samples_waiting),
    },
    Metric {
        name: "vultus_samples_given_up_total",
        kind: Counter,
        labels: &[],
        help: "Uploaded samples that made room for those of an app that had fewer",
        read: |all, out| out.count(&[], all.samples_given_up),
    },
    Metric {
        name: "vultus_decisions_total",
        kind: Counter,
        labels: &["decision", "outcome"],
        help: "What was decided: `identification` with a threshold `known` or `unknown`, `verification` \
               `accepted` or `rejected`, `liveness` `live` or `not_live`",
        read: |all, out| {
            for (decision, outcome, count) in &all.decisions {
                out.count(&[decision, outcome], *count);
            }
        },
    },
    Metric {
        name: "vultus_log_lines_dropped_total",
        kind: Counter,
        labels: &[],
        help: "Lines of the log that stderr did not take",
        read: |all, out| out.count(&[], all.lines_dropped),
    },
    Metric {
        name: "vultus_climbs_total",
        kind: Counter,
        labels: &["outcome"],
        help: "Series of probes that were `found` to come nearer and nearer to one class, answers that were \
               `slowed`, and questions that were `refused` for that",
        read: |all, out| {
            out.count(&["found"], all.climbs.found);
            out.count(&["slowed"], all.climbs.slowed);
            out.count(&["refused"], all.climbs.refused);
        },
    },
    Metric {
        name: "vultus_budget_refused_total",
        kind: Counter,
        labels: &[],
        help: "Questions that were refused since their key or app had been told as much as it may be in a day",
        read: |all, out| out.count(&[], all.climbs.spent),
    },
    Metric {
        name: "vultus_trace_spans_dropped_total",
        kind: Counter,
        labels: &[],
        help: "Spans of traces that the collector of `otlp-endpoint` did not take; 0 where there is none",
        read: |all, out| out.count(&[], all.spans_dropped),
    },
    Metric {
        name: "vultus_audit_records_total",
        kind: Counter,
        labels: &["outcome"],
        help: "Records of the audit log, which are `written` or `lost`, since they could not be",
        read: |all, out| {
            out.count(&["written"], all.audit.written);
            out.count(&["lost"], all.audit.lost);
        },
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: Gauge,
        labels: &[],
        help: "Memory that the process has, the parts of galleries that are mapped counted",
        read: |all, out| known(out, all.process.resident_bytes),
    },
    Metric {
        name: "process_virtual_memory_bytes",
        kind: Gauge,
        labels: &[],
        help: "Addresses that the process has",
        read: |all, out| known(out, all.process.virtual_bytes),
    },
    Metric {
        name: "process_threads",
        kind: Gauge,
        labels: &[],
        help: "Threads of the process",
        read: |all, out| known(out, all.process.threads),
    },
    Metric {
        name: "process_open_fds",
        kind: Gauge,
        labels: &[],
        help: "Descriptors that are open",
        read: |all, out| known(out, all.process.descriptors),
    },
    Metric {
        name: "process_max_fds",
        kind: Gauge,
        labels: &[],
        help: "Descriptors that may be open; none if there is no limit",
        read: |all, out| known(out, all.process.descriptors_max),
    },
    Metric {
        name: "process_cpu_seconds_total",
        kind: Counter,
        labels: &[],
        help: "How long processors have worked for the process",
        read: |all, out| {
            if let Some(seconds) = all.process.processor_seconds {
                out.number(&[], seconds);
            }
        },
    },
    Metric {
        name: "process_start_time_seconds",
        kind: Gauge,
        labels: &[],
        help: "When the process began, in seconds since 1970 in UTC",
        read: |all, out| {
            if let Some(seconds) = all.process.start_unix_seconds {
                out.number(&[], seconds);
            }
        },
    },
];

fn storage(all: &Readings, out: &mut Samples<'_>, number: fn(&super::readings::Storage) -> u64) {
    known(out, all.storage.as_ref().map(number));
}

fn known(out: &mut Samples<'_>, number: Option<u64>) {
    if let Some(number) = number {
        out.count(&[], number);
    }
}

/// The whole page.
pub(super) fn page(readings: &Readings) -> String {
    let mut text = String::new();
    for metric in METRICS {
        let mut samples = Samples::begin(
            &mut text,
            metric.name,
            metric.labels,
            metric.kind,
            metric.help,
        );
        (metric.read)(readings, &mut samples);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The table of `docs/metrics.md`.
    fn documented() -> String {
        let mut text =
            "| Metric | Kind | Labels | What it is |\n| --- | --- | --- | --- |\n".to_owned();
        for metric in METRICS {
            let Metric {
                name,
                kind,
                labels,
                help,
                ..
            } = metric;
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            text += &format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "));
        }
        text
    }

    #[test]
    fn the_page_for_people_has_this_table() {
        const BEGIN: &str = "<!-- made from the table in src/web/metrics -->\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        let page = fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("the page says where");
        let (found, after) = rest.split_once("\n\n").expect("there is more behind it");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            let page = format!("{before}{BEGIN}{}\n{after}", documented());
            fs::write(path, page).unwrap();
            return;
        }
        let message = "renew it: UPDATE_FIXTURES=1 cargo test --lib web::metrics";
        assert_eq!(format!("{found}\n"), documented(), "{message}");
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let mut names = BTreeSet::new();
        for Metric {
            name,
            kind,
            help,
            labels,
            ..
        } in METRICS
        {
            assert!(names.insert(name), "{name} is there twice");
            let is_ours = name.starts_with("vultus_") || name.starts_with("process_");
            assert!(
                is_ours && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            assert!(
                !help.is_empty() && !help.ends_with('.') && !labels.contains(&"le"),
                "{name}"
            );
        }
    }
}
