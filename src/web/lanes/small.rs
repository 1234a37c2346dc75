//! Work that is short, or that waits for the disk: so many at once, and nobody is refused.

use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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
        let (work, answer) = boxed(work);
        let turn = self.turn().await;
        let work = Box::new(move || {
            // Given back when the work is done, not when somebody stops waiting for it.
            let _turn = turn;
            work();
        });
        if !done_on_thread(work).await {
            // Nobody waits for the answer of a service that is shutting down.
            return std::future::pending().await;
        }
        taken(&answer)
    }

    async fn turn(&self) -> OwnedSemaphorePermit {
        let (asked, waits) = (Instant::now(), Waits::begin(&self.waiting));
        let turn = self.running.clone().acquire_owned().await;
        drop(waits);
        self.waits.step("wait", asked, Instant::now());
        turn.expect("nobody closes this semaphore")
    }
}

/// Runs `work` on a thread that may block. A panic goes on here. `None` if the runtime is shutting down
/// and did not begin it.
pub(super) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (work, answer) = boxed(work);
    done_on_thread(work).await.then(|| taken(&answer))
}

/// Work that puts its answer somewhere.
type Work = Box<dyn FnOnce() + Send>;

/// Where an answer will be.
type Place<T> = Arc<Mutex<Option<T>>>;

/// Work without the type of its answer, and where the answer will be. All kinds of work run by the same
/// code then: as code of its own for each of some eighty kinds it took seconds to compile.
fn boxed<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> (Work, Place<T>) {
    let answer = Place::default();
    let place = answer.clone();
    let work = move || {
        let answer = work();
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    };
    (Box::new(work), answer)
}

/// The answer of work that is done.
fn taken<T>(answer: &Mutex<Option<T>>) -> T {
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    answer.expect("work that is done has put its answer there")
}

/// Whether `work` was done: not if the runtime is shutting down and did not begin it.
async fn done_on_thread(work: Work) -> bool {
    let (span, stages) = (Span::current(), Stages::current());
    let work = move || {
        let _entered = stages.enter();
        span.in_scope(work);
    };
    match task::spawn_blocking(work).await {
        Ok(()) => true,
        Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
        Err(_cancelled) => false,
    }
}
