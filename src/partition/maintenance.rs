//! Keeping partitions in order in the background: sealing, compaction, overwriting what was removed,
//! going on with encrypting and with other keys, deleting what nobody reads, and reading everything again from time to time.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use super::StoreError;
use super::pace::{Alarm, Pace};
use super::store::Store;
use crate::types::Clock;

/// How much of the machine the background may use.
#[derive(Clone, Debug)]
pub struct MaintenanceOptions {
    /// Bytes that sealing and compaction write and read a second; `None` for as many as can be.
    pub compaction_bytes_per_second: Option<u64>,
    /// Bytes that are read again and compared with their checksums a second.
    pub scrub_bytes_per_second: u64,
    /// How long the scrub rests when it has read everything.
    pub scrub_rest: Duration,
    /// Within which time what is stored of removed people is overwritten.
    pub erase_within: Duration,
    /// Says when that time is over.
    pub clock: Clock,
}

impl Default for MaintenanceOptions {
    /// 64 MB/s for compaction, 8 MB/s for the scrub, which starts again every day; an hour until removed
    /// people are overwritten.
    fn default() -> MaintenanceOptions {
        MaintenanceOptions {
            compaction_bytes_per_second: Some(64_000_000),
            scrub_bytes_per_second: 8_000_000,
            scrub_rest: Duration::from_secs(24 * 60 * 60),
            erase_within: Duration::from_secs(60 * 60),
            clock: Clock::System,
        }
    }
}

/// How long a failure is left alone before the work is tried again.
const FAILURE_REST: Duration = Duration::from_secs(60);

/// How often somebody looks whether the last reader of an old segment is gone.
const COLLECT_INTERVAL: Duration = Duration::from_secs(5);

/// Threads that keep a data directory in order until this is dropped.
#[derive(Debug)]
pub struct Maintenance {
    alarm: Arc<Alarm>,
    paces: [Arc<Pace>; 2],
    threads: Vec<JoinHandle<()>>,
}

impl Maintenance {
    /// Starts two threads, one that writes and one that reads again what was written.
    ///
    /// # Errors
    ///
    /// If the operating system gives no threads.
    pub fn start(store: &Arc<Store>, options: &MaintenanceOptions) -> io::Result<Maintenance> {
        let compaction = Arc::new(Pace::new(options.compaction_bytes_per_second));
        let scrub = Arc::new(Pace::new(Some(options.scrub_bytes_per_second)));
        let alarm = store.alarm().clone();
        alarm.attend();
        let mut maintenance = Maintenance {
            alarm,
            paces: [compaction.clone(), scrub.clone()],
            threads: Vec::new(),
        };
        let (compacted, scrubbed) = (store.clone(), store.clone());
        let rest = options.scrub_rest;
        let erasing = (options.erase_within, options.clock.clone());
        maintenance.spawn("vultus-compact", move || {
            compact(&compacted, &erasing, &compaction);
        })?;
        maintenance.spawn("vultus-scrub", move || {
            scrub_for_ever(&scrubbed, &scrub, rest);
        })?;
        Ok(maintenance)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.paces.iter().for_each(|pace| pace.stop());
        self.alarm.leave();
        self.alarm.raise();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread in the background panicked");
            }
        }
    }
}

fn compact(store: &Store, erasing: &(Duration, Clock), pace: &Pace) {
    while !pace.is_stopped() {
        resume(store);
        if store.is_out_of_room() {
            // Whatever is due would only fail.
            if pace.rest(COLLECT_INTERVAL).is_err() {
                return;
            }
            continue;
        }
        match erase_and_compact(store, erasing, pace) {
            Ok(true) => {}
            Ok(false) => store.alarm().wait(COLLECT_INTERVAL),
            Err(StoreError::Interrupted) => return,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "cannot put a partition in order");
                // Not to be woken by the next change: it would fail again.
                let rest = match store.is_out_of_room() {
                    true => COLLECT_INTERVAL,
                    false => FAILURE_REST,
                };
                if pace.rest(rest).is_err() {
                    return;
                }
            }
        }
    }
}

/// Does what is due next. Returns whether anything was done.
fn erase_and_compact(
    store: &Store,
    (within, clock): &(Duration, Clock),
    pace: &Pace,
) -> Result<bool, StoreError> {
    let erased = store.erase_due(*within, clock, pace);
    if matches!(erased, Err(StoreError::Interrupted)) {
        return erased;
    }
    let rotated = store.go_on_rotating(pace);
    if matches!(rotated, Err(StoreError::Interrupted)) {
        return rotated;
    }
    let encrypted = store.go_on_encrypting(pace);
    if matches!(encrypted, Err(StoreError::Interrupted)) {
        return encrypted;
    }
    // What cannot be erased, or written anew, does not keep other partitions from being put in order.
    let compacted = store.compact_once(pace)?;
    Ok(erased? | rotated? | encrypted? | compacted)
}

fn resume(store: &Store) {
    match store.resume() {
        Ok(true) => tracing::info!("there is room on the disk again: changes are taken"),
        Ok(false) => {}
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "cannot take changes again after the disk was full");
        }
    }
}

fn scrub_for_ever(store: &Store, pace: &Pace, rest: Duration) {
    while !pace.is_stopped() {
        match store.scrub(pace) {
            Ok(()) => {}
            Err(StoreError::Interrupted) => return,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "cannot read a partition again");
            }
        }
        if pace.rest(rest).is_err() {
            return;
        }
    }
}
