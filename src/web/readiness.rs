//! Whether the service can do its work, and what keeps it from it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::{task, time};

use crate::access::ServerKey;
use crate::engine::Engine;
use crate::partition::PlaceFault;

/// A disk that does not answer within this time is at fault itself. Platforms wait for a second or
/// more.
const LOOK_WAIT: Duration = Duration::from_millis(900);

/// What is looked at, in the order of the answer: each says what is wrong, if something is.
const LOOKS: [fn(&Parts) -> Option<Fault>; 3] = [place, galleries, server_key];

/// Whether requests should be sent here.
#[derive(Debug)]
pub(super) struct Readiness {
    parts: Arc<Parts>,
    is_draining: AtomicBool,
    /// Held by whoever looks, so that any number of callers keep one thread busy at most.
    last: Arc<Mutex<Option<Look>>>,
    /// What the log was told last.
    said: BlockingMutex<Vec<Fault>>,
}

#[derive(Debug)]
struct Parts {
    engine: Arc<Engine>,
    key: ServerKey,
}

/// What was found, and since when it is true.
#[derive(Debug)]
struct Look {
    began: Instant,
    faults: Vec<Fault>,
}

/// Something that keeps the service from its work. Whoever reads it has shown no key: it names no
/// file and no gallery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    /// For programs.
    pub(super) code: &'static str,
    /// For people: what it is and where to read on.
    pub(super) text: String,
}

impl Fault {
    fn new(code: &'static str, text: impl Into<String>) -> Fault {
        let text = text.into();
        Fault { code, text }
    }
}

impl Readiness {
    /// That of a service which keeps people in `engine` and signs with `key`.
    pub(super) fn new(engine: Arc<Engine>, key: ServerKey) -> Readiness {
        Readiness {
            parts: Arc::new(Parts { engine, key }),
            is_draining: AtomicBool::new(false),
            last: Arc::default(),
            said: BlockingMutex::default(),
        }
    }

    /// From now on requests should go elsewhere.
    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// What is wrong; nothing if requests should be sent here. What is found out was true after the
    /// call.
    pub(super) async fn faults(&self) -> Vec<Fault> {
        if self.is_draining.load(Ordering::Acquire) {
            return vec![Fault::new("draining", "the service was told to stop")];
        }
        let looking = self.look(Instant::now());
        let faults = time::timeout(LOOK_WAIT, looking).await;
        let faults = faults.unwrap_or_else(|_elapsed| {
            let text = "the disk of the data directory does not answer";
            vec![Fault::new("storage_stalled", text)]
        });
        self.say(&faults);
        faults
    }

    /// Looks, or takes what somebody found who began to look after `asked`.
    async fn look(&self, asked: Instant) -> Vec<Fault> {
        let mut last = self.last.clone().lock_owned().await;
        if let Some(look) = last.as_ref().filter(|look| look.began >= asked) {
            return look.faults.clone();
        }
        let parts = self.parts.clone();
        // The turn goes along: if the disk stalls, it is kept although nobody waits any more.
        let looking = task::spawn_blocking(move || {
            let began = Instant::now();
            let faults: Vec<Fault> = LOOKS.iter().filter_map(|look| look(&parts)).collect();
            *last = Some(Look {
                began,
                faults: faults.clone(),
            });
            faults
        });
        looking.await.unwrap_or_else(|_panic| {
            let text = "the state of the service cannot be found out; its log says why";
            vec![Fault::new("internal", text)]
        })
    }

    /// Says in the log what has changed: a probe that comes every second says nothing new.
    fn say(&self, faults: &[Fault]) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said == faults {
            return;
        }
        if faults.is_empty() {
            tracing::info!("ready again");
        } else {
            let reasons: Vec<&str> = faults.iter().map(|fault| &*fault.text).collect();
            tracing::warn!(reasons = reasons.join("; "), "not ready");
        }
        *said = faults.to_vec();
    }
}

/// Why nothing can be enrolled or removed.
fn place(parts: &Parts) -> Option<Fault> {
    let (code, text) = match parts.engine.store().place_fault()? {
        PlaceFault::Gone { .. } => ("storage_gone", "the data directory is gone"),
        PlaceFault::Replaced { .. } => ("storage_gone", "the data directory was replaced"),
        PlaceFault::NotWritable { .. } => (
            "storage_not_writable",
            "the data directory cannot be written",
        ),
        PlaceFault::Full { .. } => (
            "storage_full",
            "the disk is full; once there is room all goes on by itself",
        ),
        PlaceFault::Stopped { .. } => (
            "storage_not_writable",
            "a write failed, and nothing is written until a restart",
        ),
    };
    Some(Fault::new(code, text))
}

fn galleries(parts: &Parts) -> Option<Fault> {
    let Ok(health) = parts.engine.health() else {
        return Some(Fault::new(
            "storage_not_readable",
            "the catalog cannot be read",
        ));
    };
    let partitions = health.partitions.iter();
    let damaged = partitions.filter(|one| one.damage.is_some()).count();
    let text = match damaged {
        0 => return None,
        1 => "1 gallery is damaged".to_owned(),
        _ => format!("{damaged} galleries are damaged"),
    };
    let text = format!("{text}; the log and `/v1/status` say more");
    Some(Fault::new("gallery_damaged", text))
}

/// The key may be replaced at any time, but not be gone: a restart would need it.
fn server_key(parts: &Parts) -> Option<Fault> {
    let text = match ServerKey::open(parts.engine.store().directory()) {
        Ok(Some(key)) if key.knows_secrets_of(&parts.key) => return None,
        Ok(Some(_other)) => "the server key in the data directory is that of another installation",
        Ok(None) => "the server key is gone from the data directory",
        Err(_) => "the server key in the data directory cannot be read",
    };
    Some(Fault::new("server_key", text))
}
