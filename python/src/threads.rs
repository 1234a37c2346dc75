//! The threads that search, kept from one call to the next.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use pyo3::prelude::*;
use vultus::search::Pool;

/// The threads of the last call.
static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

struct Kept {
    /// The process that has the threads: a fork has none of them.
    process: u32,
    pool: Pool,
}

/// How many threads search where nobody says how many: as many as processors this process may use.
#[pyfunction]
pub(crate) fn threads_usual() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// So many threads, those of the last call if there were as many.
pub(crate) fn pool(threads: usize) -> Pool {
    if threads <= 1 {
        return Pool::Here;
    }
    // Another thread may have held it when this process was forked: nobody waits for that one.
    let Ok(mut kept) = KEPT.try_lock() else {
        return Pool::new(threads);
    };
    let process = std::process::id();
    if let Some(kept) = &*kept
        && (kept.process, kept.pool.threads()) == (process, threads)
    {
        return kept.pool.clone();
    }
    let pool = Pool::new(threads);
    let new = Kept {
        process,
        pool: pool.clone(),
    };
    if let Some(old) = kept.replace(new)
        && old.process != process
    {
        // Its threads are another process's: ending them would wait for nobody.
        std::mem::forget(old);
    }
    pool
}
