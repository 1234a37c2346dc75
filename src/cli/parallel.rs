//! Doing the same to many items on several threads.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What `work` makes of every item, in the order of the items. `threads` items are worked on at a
/// time; each thread takes the next item when it has done with one.
///
/// Not rayon's `par_iter`, because `work` may run networks, which have thread pools of their own: a
/// thread of rayon that waits for another pool takes up the next item meanwhile, on top of its
/// stack. With a few hundred pictures that overflowed the stack.
///
/// # Panics
///
/// If `work` does.
pub(super) fn map<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take_turns = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else {
                return done;
            };
            done.push((at, work(item)));
        }
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.clamp(1, items.len().max(1)))
            .map(|_| scope.spawn(take_turns))
            .collect();
        let results = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|cause| panic::resume_unwind(cause))
        });
        results.flatten().collect()
    });
    done.sort_unstable_by_key(|&(at, _)| at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..1000).collect();
        for threads in [0, 1, 2, 7] {
            let squares = map(&items, threads, |item| item * item);
            assert!(squares.iter().zip(&items).all(|(s, i)| *s == i * i));
            assert_eq!(squares.len(), items.len());
        }
        assert!(map(&[] as &[u64], 3, |item| *item).is_empty());
    }

    #[test]
    fn an_item_that_waits_for_another_pool_is_done_before_the_next_begins() {
        thread_local!(static DEPTH: Cell<usize> = const { Cell::new(0) });
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let depths = map(&[(); 200], 2, |()| {
            let depth = DEPTH.get() + 1;
            DEPTH.set(depth);
            pool.install(|| thread::sleep(Duration::from_micros(50)));
            DEPTH.set(depth - 1);
            depth
        });
        assert_eq!(depths.into_iter().max(), Some(1));
    }

    #[test]
    #[should_panic(expected = "the third")]
    fn a_panic_goes_on_in_the_caller() {
        map(&[1, 2, 3], 2, |&item| {
            assert!(item != 3, "the third");
        });
    }
}
