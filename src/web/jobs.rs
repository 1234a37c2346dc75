//! Work that takes the processor or the disk for long, off the threads that serve sockets.

use std::panic;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task;
use tokio::time;

/// Runs so many jobs at once, lets so many more wait for so long, and refuses the rest.
#[derive(Debug)]
pub(super) struct Jobs {
    /// One permit for every job that runs.
    running: Arc<Semaphore>,
    /// One permit for every job that runs or waits.
    admitted: Arc<Semaphore>,
    wait: Duration,
}

/// A job was not begun: too many wait, or it waited too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

impl Jobs {
    pub(super) fn new(workers: usize, queue_max: usize, wait: Duration) -> Jobs {
        let workers = workers.clamp(1, Semaphore::MAX_PERMITS);
        let admitted = workers
            .saturating_add(queue_max)
            .min(Semaphore::MAX_PERMITS);
        Jobs {
            running: Arc::new(Semaphore::new(workers)),
            admitted: Arc::new(Semaphore::new(admitted)),
            wait,
        }
    }

    /// Runs `work` when its turn comes.
    ///
    /// Whoever stops waiting for the answer before that moment, such as the handler of a client that
    /// has left, thereby withdraws the job. Once begun it runs to its end, so that nothing is left
    /// half-done. A panic in `work` goes on in the caller.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let admitted = self
            .admitted
            .clone()
            .try_acquire_owned()
            .map_err(|_full| Busy)?;
        let turn = time::timeout(self.wait, self.running.clone().acquire_owned())
            .await
            .map_err(|_elapsed| Busy)?
            .expect("nobody closes this semaphore");
        let job = task::spawn_blocking(move || {
            // Given back when the work is done, not when somebody stops waiting for it.
            let _permits = (admitted, turn);
            work()
        });
        match job.await {
            Ok(answer) => Ok(answer),
            Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down and did not begin the job.
            Err(_cancelled) => Err(Busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// A job that runs until its sender is dropped, and whether it has begun.
    fn held(jobs: &Arc<Jobs>) -> (mpsc::Sender<()>, task::JoinHandle<Result<(), Busy>>) {
        let (release, held) = mpsc::channel::<()>();
        let jobs = jobs.clone();
        let handle = tokio::spawn(async move {
            jobs.run(move || {
                let _released = held.recv();
            })
            .await
        });
        (release, handle)
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_the_queue_is_refused_at_once() {
        let jobs = Arc::new(Jobs::new(1, 1, Duration::from_secs(3600)));
        let (release_first, first) = held(&jobs);
        until(|| jobs.running.available_permits() == 0).await;
        let (release_second, second) = held(&jobs);
        until(|| jobs.admitted.available_permits() == 0).await;
        assert_eq!(jobs.run(|| ()).await, Err(Busy));
        drop((release_first, release_second));
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(()));
        assert_eq!(jobs.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn who_waits_too_long_is_refused_without_having_run() {
        let jobs = Arc::new(Jobs::new(1, 8, Duration::from_millis(20)));
        let (_release, _first) = held(&jobs);
        until(|| jobs.running.available_permits() == 0).await;
        let ran = Arc::new(AtomicUsize::new(0));
        let count = ran.clone();
        let late = jobs.run(move || count.fetch_add(1, Ordering::SeqCst)).await;
        assert_eq!(late, Err(Busy));
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        assert_eq!(
            jobs.admitted.available_permits(),
            8,
            "its place was not given back"
        );
    }

    #[tokio::test]
    async fn a_client_that_leaves_withdraws_its_job() {
        let jobs = Arc::new(Jobs::new(1, 8, Duration::from_secs(3600)));
        let (release, first) = held(&jobs);
        until(|| jobs.running.available_permits() == 0).await;
        let ran = Arc::new(AtomicUsize::new(0));
        let (count, theirs) = (ran.clone(), jobs.clone());
        let waiting = tokio::spawn(async move {
            theirs
                .run(move || count.fetch_add(1, Ordering::SeqCst))
                .await
        });
        until(|| jobs.admitted.available_permits() == 7).await;
        waiting.abort();
        until(|| jobs.admitted.available_permits() == 8).await;
        drop(release);
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(jobs.run(|| ()).await, Ok(()));
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_and_gives_its_place_back() {
        let jobs = Arc::new(Jobs::new(1, 0, Duration::from_secs(1)));
        let theirs = jobs.clone();
        let handle = tokio::spawn(async move { theirs.run(|| panic!("on purpose")).await });
        let result: Result<Result<(), Busy>, _> = handle.await;
        assert!(result.unwrap_err().is_panic());
        assert_eq!(jobs.run(|| ()).await, Ok(()));
    }
}
