//! Many pictures on several threads, while the interpreter is asked whether to go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;

use crate::failure::Failure;

/// How often it is asked whether Ctrl-C was pressed.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// What `work` makes of the numbers below `count`, each by one of `threads` threads, in order.
/// `progress` is told how many are done. A panic is a failure of that one.
///
/// # Errors
///
/// The exception of Ctrl-C, or of `progress`. `left` is set then, and `work` is to end soon.
pub(crate) fn each<T: Send>(
    count: usize,
    threads: usize,
    left: &Arc<AtomicBool>,
    work: impl Fn(usize) -> Result<T, Failure> + Sync,
    progress: Option<&Py<PyAny>>,
) -> PyResult<Vec<Result<T, Failure>>> {
    let next = AtomicUsize::new(0);
    let (done, results) = mpsc::channel();
    let take_turns = |done: mpsc::Sender<(usize, Result<T, Failure>)>| {
        while !left.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(|| work(at)));
            let result = result.unwrap_or_else(|panic| Err(Failure::of_panic(&*panic)));
            if done.send((at, result)).is_err() {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            let done = done.clone();
            let take_turns = &take_turns;
            scope.spawn(move || take_turns(done));
        }
        drop(done);
        let mut all: Vec<Option<Result<T, Failure>>> = (0..count).map(|_| None).collect();
        let mut finished = 0;
        loop {
            match results.recv_timeout(ASKED_EVERY) {
                Ok((at, result)) => {
                    all[at] = Some(result);
                    finished += 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                // All threads are done.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Err(stop) = go_on(progress, finished) {
                left.store(true, Ordering::Relaxed);
                return Err(stop);
            }
        }
        let missing = || Err(Failure::new("InternalError", "a picture was not looked at"));
        Ok(all
            .into_iter()
            .map(|it| it.unwrap_or_else(missing))
            .collect())
    })
}

/// Fails if Ctrl-C was pressed, and tells `progress`, if there is one, how many are done.
fn go_on(progress: Option<&Py<PyAny>>, done: u64) -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()?;
        if let Some(progress) = progress {
            progress.call1(py, (done,))?;
        }
        Ok(())
    })
}
