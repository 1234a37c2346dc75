//! Work that is short, or that waits for the disk: so many at once, and nobody is refused.

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::task;
use tracing::Span;

use super::LaneRead;
use crate::counts::{Histogram, Stages};

/// Runs so many at once on threads.
#[derive(Debug)]
pub(super) struct Threads {
    running: Arc<Semaphore>,
    count: usize,
    waiting: AtomicU64,
    waits: Histogram,
}

/// Somebody who waits for a turn, and is counted meanwhile.
struct Waits<'a>(&'a AtomicU64);

impl<'a> Waits<'a> {
    fn begin(count: &'a AtomicU64) -> Waits<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Waits(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Threads {
    pub(super) fn new(count: usize) -> Threads {
        Threads {
            running: Arc::new(Semaphore::new(count)),
            count,
            waiting: AtomicU64::new(0),
            waits: Histogram::of_times(),
        }
    }

    pub(super) fn read(&self, name: &'static str) -> LaneRead {
        let free = self.running.available_permits();
        LaneRead {
            name,
            waiting: self.waiting.load(Ordering::Relaxed),
            running: self.count.saturating_sub(free) as u64,
            wait: self.waits.read(),
        }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (asked, waits) = (Instant::now(), Waits::begin(&self.waiting));
        let turn = self.running.clone().acquire_owned().await;
        drop(waits);
        self.waits.step("wait", asked, Instant::now());
        let turn = turn.expect("nobody closes this semaphore");
        let work = move || {
            // Given back when the work is done, not when somebody stops waiting for it.
            let _turn = turn;
            work()
        };
        match on_thread(work).await {
            Some(answer) => answer,
            // Nobody waits for the answer of a service that is shutting down.
            None => std::future::pending().await,
        }
    }
}

/// Runs `work` on a thread that may block. A panic goes on here. `None` if the runtime is shutting down
/// and did not begin it.
pub(super) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (span, stages) = (Span::current(), Stages::current());
    let work = move || {
        let _entered = stages.enter();
        span.in_scope(work)
    };
    match task::spawn_blocking(work).await {
        Ok(answer) => Some(answer),
        Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
        Err(_cancelled) => None,
    }
}
