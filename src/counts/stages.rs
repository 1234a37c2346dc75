//! What the steps of one piece of work took, in the order in which they ended, for whoever traces it.
//!
//! Nothing is kept, and nothing costs anything, in a program that was built without the feature
//! `opentelemetry`. With it, whoever has a piece of work says so ([`Stages::enter`], [`Stages::within`]), and
//! whoever does a step of it adds that to [`Stages::current`], whatever thread it is on.

use std::time::Instant;

/// The steps of one piece of work. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    #[cfg(feature = "opentelemetry")]
    kept: Option<std::sync::Arc<kept::Kept>>,
}

/// A step: what it is called, when it began and when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// A word of a fixed list.
    pub name: &'static str,
    /// When it began.
    pub began: Instant,
    /// When it was over.
    pub ended: Instant,
}

/// While this is there, the stages are those of this thread.
#[derive(Debug)]
pub struct Entered {
    #[cfg(feature = "opentelemetry")]
    before: Stages,
}

impl Stages {
    /// Those of the work that this thread does at the moment; of none unless it was told of some.
    pub fn current() -> Stages {
        #[cfg(feature = "opentelemetry")]
        {
            kept::CURRENT.with_borrow(Stages::clone)
        }
        #[cfg(not(feature = "opentelemetry"))]
        {
            Stages {}
        }
    }

    /// Has them be those of this thread until what is returned is dropped.
    #[must_use = "dropping it ends it"]
    pub fn enter(&self) -> Entered {
        Entered {
            #[cfg(feature = "opentelemetry")]
            before: kept::CURRENT.replace(self.clone()),
        }
    }

    /// Has them be those of each step of a future.
    pub fn within<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        #[cfg(feature = "opentelemetry")]
        {
            kept::Within::new(self, future)
        }
        #[cfg(not(feature = "opentelemetry"))]
        {
            future
        }
    }

    /// A step has ended. Of very many those that came first are kept.
    pub fn add(&self, name: &'static str, began: Instant, ended: Instant) {
        #[cfg(feature = "opentelemetry")]
        if let Some(kept) = &self.kept {
            kept.add(Stage { name, began, ended });
        }
        #[cfg(not(feature = "opentelemetry"))]
        let _ = (name, began, ended);
    }
}

#[cfg(feature = "opentelemetry")]
mod kept {
    use std::cell::RefCell;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::task::{Context, Poll};

    use super::{Entered, Stage, Stages};

    /// More steps of one piece of work are not kept: a call with thousands of probes has thousands.
    const STAGES_MAX: usize = 128;

    thread_local! {
        pub(super) static CURRENT: RefCell<Stages> = RefCell::default();
    }

    #[derive(Debug, Default)]
    pub(super) struct Kept(Mutex<Vec<Stage>>);

    impl Kept {
        pub(super) fn add(&self, stage: Stage) {
            let mut stages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if stages.len() < STAGES_MAX {
                stages.push(stage);
            }
        }
    }

    /// A future of which each step belongs to some stages.
    pub(super) struct Within<F> {
        stages: Stages,
        future: Pin<Box<F>>,
    }

    impl<F: Future> Within<F> {
        pub(super) fn new(stages: Stages, future: F) -> Within<F> {
            let future = Box::pin(future);
            Within { stages, future }
        }
    }

    impl<F: Future> Future for Within<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
            let _entered = self.stages.enter();
            self.future.as_mut().poll(context)
        }
    }

    impl Stages {
        /// Of a piece of work that begins, whose steps are kept.
        pub fn kept() -> Stages {
            Stages {
                kept: Some(Arc::default()),
            }
        }

        /// The steps that have ended so far. There are none afterwards.
        pub fn take(&self) -> Vec<Stage> {
            let Some(kept) = &self.kept else {
                return Vec::new();
            };
            let mut stages = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut stages)
        }
    }

    impl Drop for Entered {
        fn drop(&mut self) {
            CURRENT.set(std::mem::take(&mut self.before));
        }
    }

    #[cfg(test)]
    mod tests {
        use std::time::Instant;

        use super::*;

        #[test]
        fn steps_are_those_of_whoever_has_entered_last_and_not_without_end() {
            let (one, other, now) = (Stages::kept(), Stages::kept(), Instant::now());
            let add = |name| Stages::current().add(name, now, now);
            add("nobody's");
            let outer = one.enter();
            add("first");
            {
                let _inner = other.enter();
                add("second");
            }
            add("third");
            drop(outer);
            add("nobody's");
            let names = |stages: &Stages| -> Vec<&str> {
                stages.take().iter().map(|stage| stage.name).collect()
            };
            assert_eq!(names(&one), ["first", "third"]);
            assert_eq!(names(&other), ["second"]);
            (0..STAGES_MAX + 9).for_each(|_| one.add("more", now, now));
            assert_eq!(names(&one).len(), STAGES_MAX);
        }
    }
}
