//! What all handlers share, and what an operator can set.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::HeaderValue;
use rand::CryptoRng;
use tokio::sync::Semaphore;

use super::budgets::Budgets;
use super::connections::{ConnectionCounts, ConnectionOptions};
use super::lanes::{LaneLimits, Lanes};
use super::logins::Gate;
use super::metrics::Requests;
use super::page::{Ticket, Tickets};
use super::readiness::Readiness;
use super::room::BodyRoom;
use super::snapshot_counts::SnapshotCounts;
use super::traces::Traces;
use crate::access::{
    ApiKeySecret, ApiKeys, Apps, Attempts, Decisions, Results, ServerKey, ServerKeyError, Tokens,
};
use crate::audit::AuditLog;
use crate::budgets;
use crate::engine::Engine;
use crate::face::{DecodeLimits, FacePipeline};
use crate::intake::{
    DuplicateCheck, ENROLL_QUALITY_MIN, Intake, PICTURE_BYTES_MAX, PICTURE_TIME_MAX, Partitions,
    Policy, SCORE_DIGITS, TargetRates, VerificationThresholds,
};
use crate::liveness::{LivenessDetector, Thresholds};
use crate::rates::TargetRate;
use crate::samples::{Limits, WaitingRoom};
use crate::types::{Clock, PartitionId};

/// The parts of a running service. Clones share them.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    engine: Arc<Engine>,
    intake: Intake,
    faces: Arc<FacePipeline>,
    liveness: Arc<LivenessDetector>,
    gate: Gate,
    tickets: Tickets,
    answer_room: BodyRoom,
    /// Of what is done, if one is kept.
    audit: OnceLock<AuditLog>,
    traces: OnceLock<Traces>,
    /// How many lines of the log were dropped, if somebody counts them.
    lines_dropped: OnceLock<fn() -> u64>,
    requests: Arc<Requests>,
    connections: Arc<ConnectionCounts>,
    apps: Arc<Apps>,
    api_keys: ApiKeys,
    tokens: Tokens,
    attempts: Attempts,
    results: Results,
    decisions: Decisions,
    budgets: Budgets,
    key: ServerKey,
    samples: Arc<WaitingRoom>,
    lanes: Lanes,
    readiness: Readiness,
    /// One permit: a second snapshot at the same time would only be slower.
    snapshot_turn: Arc<Semaphore>,
    snapshot_counts: SnapshotCounts,
    /// One permit: those who wait share what the one who works does.
    erase_turn: Arc<Semaphore>,
    clock: Clock,
    options: ServiceOptions,
}

/// What an operator can set.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// The URL under which clients reach the service, without `/extension`. It stands in every
    /// token, and a token with another one is refused.
    pub public_url: String,
    /// The most bytes that the body of a request may have.
    pub body_bytes_max: usize,
    /// The most bytes that all bodies at hand may have together. One sender may have as many as are free
    /// besides, so half if it is alone; whoever sends more is told to come again. All who hold tokens of
    /// an app are one sender, and one of them may have three sevenths.
    pub body_bytes_total_max: usize,
    /// The most bytes that long answers take together that are made as they are sent, as those of
    /// `identify-many`: where slow readers leave no room, others wait for theirs. Shared out as that of
    /// bodies.
    pub answer_bytes_total_max: usize,
    /// How long a body may take to arrive.
    pub body_wait: Duration,
    /// How long a body may pause.
    pub body_grace: Duration,
    /// How many bytes of a body must arrive each second, but for pauses; 0 sets no least speed.
    pub body_bytes_per_second_min: usize,
    /// How many connections there may be, and how long each may take.
    pub connections: ConnectionOptions,
    /// From where browsers may call.
    pub origins: Origins,
    /// How many pictures are looked at at once.
    pub workers: usize,
    /// How many pictures, and how many searches, may wait for their turn.
    pub queue_max: usize,
    /// How long pictures may wait: those that would wait longer are refused at once.
    pub queue_wait: Duration,
    /// How long a search may take, with the wait for its turn. Others are refused at once, unless
    /// nothing else waits.
    pub search_wait: Duration,
    /// How many samples may wait for their task.
    pub samples: Limits,
    /// Where the native API makes snapshots; nowhere unless given.
    pub snapshot_dir: Option<PathBuf>,
    /// How often the service makes one there by itself; never unless given.
    pub snapshot_every: Option<Duration>,
    /// How many whole ones stay there after it has made one; all unless given.
    pub snapshot_keep: Option<usize>,
    /// How alike a person must be to be recognised.
    pub verification: VerificationThresholds,
    /// How often a stranger may be taken for somebody who is enrolled.
    pub target_fpir: TargetRates,
    /// How often a stranger may be taken for the one person whom they say they are, if that is set.
    pub verification_target_fmr: Option<TargetRate>,
    /// Where the lists of the BWS door end at the threshold.
    pub bws_lists_cut: Partitions,
    /// Where two people must confirm an identification before it is told.
    pub confirm_partitions: Partitions,
    /// How much a caller may learn in a day.
    pub budgets: budgets::Limits,
    /// Whether `deleteclass` of the BWS door waits until what is stored is overwritten.
    pub bws_delete_erases: bool,
    /// What is done about people who seem to be enrolled under another class.
    pub duplicates: DuplicateCheck,
    /// The decimal digits of similarities and scores for keys without the scope `scores`.
    pub score_digits: u8,
    /// What samples must reach to be those of a live person.
    pub liveness: Thresholds,
    /// The least quality, from 0 to 1, of a picture that somebody is enrolled with.
    pub enroll_quality_min: f32,
    /// How long it may take to look at a picture.
    pub picture_time_max: Duration,
    /// The most memory that all pictures take together while they are looked at, in bytes.
    pub picture_bytes_max: u64,
    /// Whether a small picture of the face of each person who is enrolled is stored.
    pub store_portraits: bool,
}

/// The web origins whose pages may call the service from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// All.
    Any,
    /// These, each in the form that browsers send: `https://www.example.org`.
    Only(Vec<HeaderValue>),
}

/// A text is not a web origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("origin `{found}` is not of the form `https://www.example.org`, without a path")]
pub struct OriginError {
    /// The text that was given.
    pub found: String,
}

impl ServiceOptions {
    /// The most bytes that all bodies at hand have together by default.
    pub const BODY_BYTES_TOTAL_MAX: usize = 1 << 30;

    /// The default options for a service that is reached under `public_url`.
    pub fn new(public_url: &str) -> ServiceOptions {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        ServiceOptions {
            public_url: public_url.trim_end_matches('/').to_owned(),
            // As much as one picture may have.
            body_bytes_max: DecodeLimits::default().bytes_max,
            body_bytes_total_max: ServiceOptions::BODY_BYTES_TOTAL_MAX,
            answer_bytes_total_max: 256 << 20,
            body_wait: Duration::from_secs(60),
            // As long as a phone may be without a network while somebody walks through a door.
            body_grace: Duration::from_secs(10),
            body_bytes_per_second_min: 1_024,
            connections: ConnectionOptions::default(),
            origins: Origins::Any,
            workers,
            // The times are what bounds the queues; this bounds the memory of what waits.
            queue_max: 4096,
            // A picture that is taken is answered within two seconds, a search within one, also when
            // the machine does less than was foreseen.
            queue_wait: Duration::from_millis(1200),
            search_wait: Duration::from_millis(700),
            samples: Limits::default(),
            snapshot_dir: None,
            snapshot_every: None,
            snapshot_keep: None,
            verification: VerificationThresholds::default(),
            target_fpir: TargetRates::default(),
            verification_target_fmr: None,
            bws_lists_cut: Partitions::default(),
            confirm_partitions: Partitions::default(),
            budgets: budgets::Limits::default(),
            bws_delete_erases: false,
            duplicates: DuplicateCheck::default(),
            score_digits: SCORE_DIGITS,
            enroll_quality_min: ENROLL_QUALITY_MIN,
            picture_time_max: PICTURE_TIME_MAX,
            picture_bytes_max: PICTURE_BYTES_MAX,
            store_portraits: false,
            liveness: Thresholds::default(),
        }
    }

    /// The most threads on which the service works at once, besides those that serve sockets and those
    /// that scan.
    pub fn threads_max(&self) -> usize {
        self.lanes().threads_max()
    }

    pub(super) fn lanes(&self) -> LaneLimits {
        LaneLimits {
            workers: self.workers,
            queue_max: self.queue_max,
            queue_wait: self.queue_wait,
            search_wait: self.search_wait,
        }
    }

    /// What of it is about people and their samples.
    pub fn policy(&self) -> Policy {
        Policy {
            verification: self.verification.clone(),
            target_fpir: self.target_fpir.clone(),
            verification_target_fmr: self.verification_target_fmr,
            bws_lists_cut: self.bws_lists_cut.clone(),
            confirmed: self.confirm_partitions.clone(),
            budgets: self.budgets,
            duplicates: self.duplicates,
            score_digits: self.score_digits,
            liveness: self.liveness,
            samples_max: self.samples.per_token,
            enroll_quality_min: self.enroll_quality_min,
            picture_time_max: self.picture_time_max,
            picture_bytes_max: self.picture_bytes_max,
        }
    }
}

impl Origins {
    /// These origins only.
    ///
    /// # Errors
    ///
    /// If a text is not a scheme and a host, with or without a port.
    pub fn only<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Origins, OriginError> {
        let origins: Result<Vec<HeaderValue>, OriginError> = list
            .into_iter()
            .map(|text| {
                let parts = text.split_once("://");
                let good = parts.is_some_and(|(scheme, host)| {
                    let odd = ['/', '?', '#', '@', ' '];
                    !scheme.is_empty() && !host.is_empty() && !host.contains(odd)
                });
                let value = HeaderValue::from_str(text).ok().filter(|_| good);
                value.ok_or_else(|| OriginError {
                    found: text.escape_default().take(80).collect(),
                })
            })
            .collect();
        origins.map(Origins::Only)
    }
}

impl AppState {
    /// A service that keeps people in `engine`, sees with `faces` and `liveness`, and proves things
    /// with `key`.
    pub fn new(
        engine: Arc<Engine>,
        faces: Arc<FacePipeline>,
        liveness: Arc<LivenessDetector>,
        key: &ServerKey,
        options: ServiceOptions,
        clock: Clock,
    ) -> AppState {
        // Whose time is over is seen by the same clock as all else.
        let engine = Arc::new(Arc::unwrap_or_clone(engine).with_clock(clock.clone()));
        let store = engine.store().clone();
        let policy = options.policy();
        AppState(Arc::new(Parts {
            apps: Arc::new(Apps::new(store.clone(), key)),
            api_keys: ApiKeys::new(store.clone(), key),
            tokens: Tokens::new(key, &options.public_url),
            attempts: Attempts::new(store.clone()),
            results: Results::new(store.clone()),
            budgets: Budgets::of(&store),
            decisions: Decisions::new(store),
            key: key.clone(),
            samples: Arc::new(WaitingRoom::new(options.samples)),
            lanes: Lanes::new(options.lanes()),
            readiness: Readiness::new(engine.clone(), key.clone()),
            snapshot_turn: Arc::new(Semaphore::new(1)),
            snapshot_counts: SnapshotCounts::default(),
            erase_turn: Arc::new(Semaphore::new(1)),
            engine,
            intake: Intake::new(faces.clone(), Some(liveness.clone()), policy)
                .with_portraits(options.store_portraits),
            faces,
            liveness,
            gate: Gate::default(),
            tickets: Tickets::default(),
            answer_room: BodyRoom::new(options.answer_bytes_total_max),
            audit: OnceLock::new(),
            traces: OnceLock::new(),
            lines_dropped: OnceLock::new(),
            requests: Arc::default(),
            connections: Arc::default(),
            clock,
            options,
        }))
    }

    /// The people.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// The apps that may call.
    pub fn apps(&self) -> &Arc<Apps> {
        &self.0.apps
    }

    /// The keys of the native API.
    pub fn api_keys(&self) -> &ApiKeys {
        &self.0.api_keys
    }

    /// The samples that wait for their task.
    pub fn samples(&self) -> &Arc<WaitingRoom> {
        &self.0.samples
    }

    /// What an operator set.
    pub fn options(&self) -> &ServiceOptions {
        &self.0.options
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Decides about people and their samples by `policy` from now on.
    pub fn follow(&self, policy: Policy) {
        self.0.intake.follow(policy);
    }

    /// Lets one browser have `key`, once, within ten minutes, by a ticket in the address of the page:
    /// `/#ticket=` and what this returns.
    pub fn let_in(&self, key: ApiKeySecret, rng: &mut impl CryptoRng) -> Ticket {
        self.tickets().issue(key, self.clock().now(), rng)
    }

    /// Lets metrics tell how many lines of the log were dropped, as `read` knows it. Only the first call does
    /// something.
    pub fn count_dropped_lines(&self, read: fn() -> u64) {
        let _ = self.0.lines_dropped.set(read);
    }

    /// Accounts for what is done from now on in `log`. Only the first call does something.
    pub fn keep_audit(&self, log: AuditLog) {
        let _ = self.0.audit.set(log);
    }

    /// Tells what requests took from now on: those of routers that are made afterwards. Only the first call
    /// does something.
    pub fn trace(&self, traces: Traces) {
        let _ = self.0.traces.set(traces);
    }

    /// Who is told what requests take.
    pub fn traces(&self) -> Traces {
        self.0.traces.get().cloned().unwrap_or_default()
    }

    /// Where it is accounted for what is done, if it is.
    pub fn audit(&self) -> Option<&AuditLog> {
        self.0.audit.get()
    }

    pub(super) fn lines_dropped(&self) -> u64 {
        self.0.lines_dropped.get().map_or(0, |read| read())
    }

    /// Room for answers that are made as they are sent.
    pub(super) fn answer_room(&self) -> &BodyRoom {
        &self.0.answer_room
    }

    pub(super) fn tickets(&self) -> &Tickets {
        &self.0.tickets
    }

    /// What makes samples of pictures and embeddings.
    pub(super) fn intake(&self) -> &Intake {
        &self.0.intake
    }

    pub(super) fn faces(&self) -> &FacePipeline {
        &self.0.faces
    }

    pub(super) fn liveness(&self) -> &LivenessDetector {
        &self.0.liveness
    }

    /// What tries to prove something go through.
    pub(super) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// What was asked and answered.
    pub(super) fn requests(&self) -> &Arc<Requests> {
        &self.0.requests
    }

    pub(super) fn connection_counts(&self) -> &Arc<ConnectionCounts> {
        &self.0.connections
    }

    /// The key that the service began with: what secrets are hashed with stays the same.
    pub(crate) fn server_key(&self) -> &ServerKey {
        &self.0.key
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(super) fn attempts(&self) -> &Attempts {
        &self.0.attempts
    }

    /// What came of the snapshots that the service made by itself.
    pub fn snapshot_counts(&self) -> &SnapshotCounts {
        &self.0.snapshot_counts
    }

    pub(super) fn snapshot_turn(&self) -> &Arc<Semaphore> {
        &self.0.snapshot_turn
    }

    /// What callers have been told today.
    pub(super) fn budgets(&self) -> &Budgets {
        &self.0.budgets
    }

    /// The identifications that two people must confirm.
    pub(super) fn decisions(&self) -> &Decisions {
        &self.0.decisions
    }

    /// Whether two people must confirm an identification in this gallery.
    pub(super) fn needs_confirmation(&self, partition: &PartitionId) -> bool {
        self.intake().policy().confirmed.contains(partition)
    }

    pub(super) fn erase_turn(&self) -> &Arc<Semaphore> {
        &self.0.erase_turn
    }

    pub(super) fn results(&self) -> &Results {
        &self.0.results
    }

    /// Goes on with the key for tokens that is in the data directory now. Tells whether there is one. The
    /// key of another installation, with other app secrets, counts as none.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is damaged. The service goes on with the key it has.
    pub fn renew_key(&self) -> Result<bool, ServerKeyError> {
        let Some(key) = ServerKey::open(self.engine().store().directory())? else {
            return Ok(false);
        };
        if !key.knows_secrets_of(&self.0.key) {
            return Ok(false);
        }
        self.tokens().renew(&key);
        Ok(true)
    }

    pub(super) fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    pub(super) fn lanes(&self) -> &Lanes {
        &self.0.lanes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        let good = Origins::only(["https://www.example.org", "http://localhost:3000"]).unwrap();
        assert!(matches!(good, Origins::Only(list) if list.len() == 2));
        for bad in [
            "",
            "www.example.org",
            "https://",
            "https://a.org/",
            "https://a\n.org",
            "https://a.org b",
            "https://u:p@a.org",
            "https://a.org?x",
            "://a.org",
        ] {
            assert!(Origins::only([bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slash_at_the_end_of_the_url_makes_no_difference() {
        assert_eq!(
            ServiceOptions::new("http://a.org/").public_url,
            "http://a.org"
        );
    }
}
