//! Work that is short, or that waits for the disk: so many at once, and nobody is refused.

use std::panic;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task;
use tracing::Span;

/// Runs so many at once on threads.
#[derive(Debug)]
pub(super) struct Threads {
    running: Arc<Semaphore>,
}

impl Threads {
    pub(super) fn new(count: usize) -> Threads {
        Threads {
            running: Arc::new(Semaphore::new(count)),
        }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let turn = self.running.clone().acquire_owned().await;
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
    let span = Span::current();
    match task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(answer) => Some(answer),
        Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
        Err(_cancelled) => None,
    }
}
