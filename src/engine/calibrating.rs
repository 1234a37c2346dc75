//! Calibrating galleries in the background, as they grow.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{CalibrationOptions, Engine, EngineError, Fault};
use crate::partition::StoreError;
use crate::search::{Pool, give_way};
use crate::types::PartitionId;

/// How often it is looked for galleries that have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Galleries of fewer templates go by what comes with the encoder: so few people say little.
const TEMPLATES_MIN: usize = 100;
/// A gallery is measured again when it is so many times as large...
const GROWN: f64 = 1.25;
/// ... or as small.
const SHRUNK: f64 = 0.5;
/// Probes of one pass, so that whoever asks meanwhile waits for little.
const PROBES_PER_PASS: usize = 16;
/// After each pass it rests for so many times as long as that took.
const REST: u32 = 3;

/// A thread that calibrates the galleries of a data directory as they grow, until this is dropped.
///
/// It searches with one thread, which gives way to all others where the system lets it, and rests
/// most of the time.
#[derive(Debug)]
pub struct Calibrating {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    is_stopping: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits for so long. Returns whether to go on.
    fn rest(&self, time: Duration) -> bool {
        let stopping = self
            .is_stopping
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(stopping, time, |stopping| !*stopping);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Calibrating {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the operating system gives none.
    pub fn start(engine: &Engine) -> io::Result<Calibrating> {
        let engine = Engine {
            pool: Pool::Here,
            ..engine.clone()
        };
        let stop = Arc::new(Stop::default());
        let stopped = stop.clone();
        let thread = thread::Builder::new().name("vultus-calibrate".to_owned());
        let thread = thread.spawn(move || {
            leave_processor_to_others();
            let mut tried = HashMap::new();
            while stopped.rest(LOOK_INTERVAL) {
                look(&engine, &stopped, &mut tried);
            }
        })?;
        Ok(Calibrating {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Calibrating {
    fn drop(&mut self) {
        *self
            .stop
            .is_stopping
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that calibrates galleries panicked");
        }
    }
}

/// Has the calling thread, and what it starts, wait for all others that want the processor. Where the
/// system has no such thing for single threads, nothing happens.
pub fn leave_processor_to_others() {
    give_way(19);
}

/// Calibrates every gallery that has grown. `tried` knows how large those were that could not be.
fn look(engine: &Engine, stop: &Stop, tried: &mut HashMap<PartitionId, usize>) {
    // Whatever is wrong with the catalog, the log tells it elsewhere.
    for id in engine.partitions().unwrap_or_default() {
        match engine.calibrate_grown(&id, tried.get(&id).copied(), |rest| stop.rest(rest)) {
            Ok(_) => {}
            Err(EngineError::Store(StoreError::Interrupted)) => return,
            Err(error) => {
                if let Ok(Some(gallery)) = engine.enrolled(&id) {
                    tried.insert(id.clone(), gallery.templates());
                }
                // Too few people is no fault of anybody.
                if error.fault() == Fault::Ours {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, partition = %id, "cannot calibrate a gallery");
                }
            }
        }
    }
}

impl Engine {
    /// Calibrates a gallery, slowly, if it has grown or shrunk much since it was last, or since that was
    /// `tried` with so many templates. `rest` is told to do nothing for a while, and says whether to go
    /// on. Returns whether there is a new calibration.
    ///
    /// # Errors
    ///
    /// If it has too few people, a segment is damaged, the disk fails, or it is not to go on.
    pub fn calibrate_grown(
        &self,
        id: &PartitionId,
        tried: Option<usize>,
        mut rest: impl FnMut(Duration) -> bool,
    ) -> Result<bool, EngineError> {
        let Some(gallery) = self.enrolled(id)? else {
            return Ok(false);
        };
        let templates = gallery.templates();
        // One that cannot be read is made anew.
        let kept = self.kept_calibration(id).ok().flatten();
        let kept = kept.filter(|kept| kept.encoder() == gallery.encoder());
        let before = [kept.map(|kept| kept.templates()), tried];
        if templates < TEMPLATES_MIN
            || before
                .into_iter()
                .flatten()
                .any(|it| is_like(templates, it))
        {
            return Ok(false);
        }
        let options = CalibrationOptions {
            probes_per_pass: PROBES_PER_PASS,
            ..CalibrationOptions::default()
        };
        let mut begun = Instant::now();
        let calibration = gallery.calibrate(&options, self.clock.now(), |_, _| {
            let goes_on = rest(begun.elapsed() * REST);
            begun = Instant::now();
            match goes_on {
                true => Ok(()),
                false => Err(StoreError::Interrupted.into()),
            }
        })?;
        self.keep_calibration(id, &calibration)?;
        tracing::info!(
            partition = %id,
            classes = calibration.classes(),
            probes = calibration.probes(),
            "calibrated a gallery"
        );
        Ok(true)
    }
}

/// Whether a gallery is about as large as it was.
fn is_like(templates: usize, before: usize) -> bool {
    let times = templates as f64 / before.max(1) as f64;
    (SHRUNK..GROWN).contains(&times)
}
