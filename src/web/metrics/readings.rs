//! Everything that the page tells, read at one moment.

use std::time::Duration;

use tokio::{task, time};

use super::super::lanes::LaneRead;
use super::super::state::AppState;
use super::process::Process;
use super::requests::RequestsRead;
use crate::audit::{AuditCounts, AuditLog};
use crate::counts::HistogramRead;
use crate::partition::Totals;

/// A disk that stalls must not keep the rest from being told.
const STORAGE_WAIT: Duration = Duration::from_secs(1);

/// All numbers.
#[derive(Debug)]
pub(super) struct Readings {
    pub(super) requests: RequestsRead,
    pub(super) lanes: Vec<LaneRead>,
    /// By stage.
    pub(super) stages: Vec<(&'static str, HistogramRead)>,
    pub(super) pass_probes: HistogramRead,
    pub(super) rows_scanned: u64,
    pub(super) bytes_read: u64,
    /// None if the disk does not answer.
    pub(super) storage: Option<Storage>,
    pub(super) is_ready: bool,
    pub(super) samples_waiting: u64,
    pub(super) samples_given_up: u64,
    pub(super) snapshots_made: u64,
    pub(super) snapshots_failed: u64,
    /// In seconds since 1970.
    pub(super) certificate_until: Option<u64>,
    pub(super) logins: Logins,
    pub(super) connections: Connections,
    pub(super) process: Process,
    pub(super) lines_dropped: u64,
    pub(super) spans_dropped: u64,
    /// Records of the audit log.
    pub(super) audit: AuditCounts,
    /// What came of budgets and of probes that climb.
    pub(super) climbs: Climbs,
    /// By what was decided, and what came of it.
    pub(super) decisions: [(&'static str, &'static str, u64); 6],
}

#[derive(Debug)]
pub(super) struct Storage {
    pub(super) totals: Totals,
    pub(super) damaged: u64,
    pub(super) is_writable: bool,
}

/// How often callers were told less since they asked for too much.
#[derive(Debug)]
pub(super) struct Climbs {
    pub(super) found: u64,
    pub(super) slowed: u64,
    pub(super) refused: u64,
    pub(super) spent: u64,
}

#[derive(Debug)]
pub(super) struct Logins {
    /// By what was shown.
    pub(super) failed: [(&'static str, u64); 3],
    pub(super) slowed: u64,
    pub(super) refused: u64,
}

#[derive(Debug)]
pub(super) struct Connections {
    pub(super) open: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) slow: u64,
}

impl Readings {
    pub(super) async fn take(state: &AppState) -> Readings {
        let counts = state.connection_counts();
        let searches = state.lanes().search_counts();
        let faces = state.faces().stages();
        let stages = vec![
            ("decode", faces.decode.read()),
            ("detect", faces.detect.read()),
            ("embed", faces.embed.read()),
            ("liveness", state.liveness().times().read()),
            ("search", searches.times.read()),
        ];
        Readings {
            requests: state.requests().read(),
            lanes: state.lanes().read(),
            stages,
            pass_probes: searches.probes.read(),
            rows_scanned: searches.rows.get(),
            bytes_read: searches.bytes.get(),
            storage: Storage::read(state).await,
            is_ready: state.readiness().faults().await.is_empty(),
            samples_waiting: state.samples().len() as u64,
            samples_given_up: state.samples().given_up(),
            snapshots_made: state.snapshot_counts().made(),
            snapshots_failed: state.snapshot_counts().failed(),
            certificate_until: certificate_until(state),
            logins: Logins {
                failed: [
                    ("app", state.gate().failed.app.get()),
                    ("token", state.gate().failed.token.get()),
                    ("key", state.gate().failed.key.get()),
                ],
                slowed: state.gate().slowed.get(),
                refused: state.gate().refused.get(),
            },
            connections: Connections {
                open: counts.open(),
                accepted: counts.accepted.get(),
                refused: counts.refused.get(),
                slow: counts.slow.get(),
            },
            process: Process::read(),
            lines_dropped: state.lines_dropped(),
            spans_dropped: state.traces().dropped(),
            audit: state.audit().map(AuditLog::counts).unwrap_or_default(),
            climbs: Climbs {
                found: state.budgets().found.get(),
                slowed: state.budgets().slowed.get(),
                refused: state.budgets().refused.get(),
                spent: state.budgets().spent.get(),
            },
            decisions: decisions(state),
        }
    }
}

fn decisions(state: &AppState) -> [(&'static str, &'static str, u64); 6] {
    let made = state.intake().decisions();
    [
        ("identification", "known", made.known.get()),
        ("identification", "unknown", made.unknown.get()),
        ("verification", "accepted", made.accepted.get()),
        ("verification", "rejected", made.rejected.get()),
        ("liveness", "live", made.live.get()),
        ("liveness", "not_live", made.not_live.get()),
    ]
}

fn certificate_until(state: &AppState) -> Option<u64> {
    let certificates = state.options().connections.certificates.as_ref()?;
    let until = certificates.validity().until.unix_seconds();
    Some(u64::try_from(until).unwrap_or_default())
}

impl Storage {
    async fn read(state: &AppState) -> Option<Storage> {
        let engine = state.engine().clone();
        let read = task::spawn_blocking(move || {
            let health = engine.health().ok()?;
            let damaged = health.partitions.iter().filter(|one| one.damage.is_some());
            Some(Storage {
                totals: engine.store().totals().ok()?,
                damaged: damaged.count() as u64,
                is_writable: engine.store().place_fault().is_none(),
            })
        });
        time::timeout(STORAGE_WAIT, read).await.ok()?.ok()?
    }
}
