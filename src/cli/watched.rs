//! Work that takes long, and how far it is.

use std::thread;
use std::time::{Duration, Instant};

use super::away::HowFar;
use super::{away, output};
use crate::partition::Pace;

/// How often it is looked how far the work is.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How often another process is told.
const TELL_INTERVAL: Duration = Duration::from_millis(200);

/// Does work at a pace that others may share, and shows how many of some `total` bytes are done: on a bar here, or
/// by telling the process for which it is done. The work itself says nothing to anybody.
pub(super) fn watched<T: Send>(
    what: &'static str,
    total: u64,
    pace: &Pace,
    work: impl FnOnce() -> T + Send,
) -> T {
    let before = pace.spent_bytes();
    let bar = output::byte_progress(what);
    bar.set_length(total);
    thread::scope(|scope| {
        let working = scope.spawn(work);
        let (mut told, mut nap) = (Instant::now(), Duration::from_millis(1));
        while !working.is_finished() {
            thread::sleep(nap);
            // Of little work nobody waits for the end.
            nap = (nap * 2).min(LOOK_INTERVAL);
            let done = (pace.spent_bytes() - before).min(total);
            bar.set_position(done);
            if told.elapsed() >= TELL_INTERVAL {
                told = Instant::now();
                let what = what.to_owned();
                away::send_how_far(&HowFar { what, done, total });
            }
        }
        bar.finish_and_clear();
        working
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::super::away::{Away, Channel, elsewhere};
    use super::*;

    #[test]
    fn another_process_is_told_how_far_work_is_and_gets_what_it_makes() {
        let told = Rc::new(RefCell::new(Vec::new()));
        let here = told.clone();
        let away = Away {
            is_quiet: false,
            send: Box::new(move |channel, bytes| {
                here.borrow_mut().push((channel, bytes.to_vec()));
                Ok(())
            }),
        };
        let pace = Pace::unlimited();
        let work = || {
            thread::sleep(TELL_INTERVAL * 3);
            17
        };
        assert_eq!(elsewhere(away, || watched("working", 5, &pace, work)), 17);
        let told = told.borrow();
        assert!(!told.is_empty());
        for (channel, bytes) in &*told {
            assert_eq!(*channel, Channel::HowFar);
            let how_far: HowFar = serde_json::from_slice(bytes).unwrap();
            assert_eq!(
                (&*how_far.what, how_far.done, how_far.total),
                ("working", 0, 5)
            );
        }
    }
}
