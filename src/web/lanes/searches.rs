//! Identifications, which wait for the scheduler of the engine.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Busy, LaneRead, Unidentified};
use crate::engine::scheduler::{
    Answered, Asked, Promise, Question, QuestionQuery, Scheduler, SchedulerLimits, SearchCounts,
    Unanswered,
};
use crate::engine::{Gallery, Identification};
use crate::turns::Account;

/// The scheduler, for callers who wait without a thread.
#[derive(Debug)]
pub(super) struct Searches {
    scheduler: Scheduler,
    clock: fn() -> Instant,
    /// Answers that come later than this are of no use to anybody.
    useful: Duration,
}

impl Searches {
    pub(super) fn new(limits: SchedulerLimits, clock: fn() -> Instant) -> Searches {
        Searches {
            scheduler: Scheduler::start(limits, clock),
            clock,
            useful: limits.answer_within.saturating_mul(4),
        }
    }

    pub(super) fn counts(&self) -> &SearchCounts {
        self.scheduler.counts()
    }

    pub(super) fn read(&self, name: &'static str) -> LaneRead {
        let (waiting, is_passing) = self.scheduler.waiting();
        LaneRead {
            name,
            waiting: waiting as u64,
            running: u64::from(is_passing),
            wait: self.counts().waits.read(),
        }
    }

    pub(super) async fn identify(
        &self,
        account: &Account,
        gallery: &Gallery,
        queries: Vec<QuestionQuery>,
    ) -> Result<Vec<Identification>, Unidentified> {
        let question = Question {
            account: account.clone(),
            gallery: gallery.clone(),
            queries,
            not_after: (self.clock)().checked_add(self.useful),
        };
        let (told, answer) = channel();
        let asked = self.scheduler.ask(question, told).map_err(Busy::from)?;
        answered(asked, answer).await
    }

    pub(super) fn promise(
        &self,
        account: &Account,
        gallery: &Gallery,
        probes: usize,
    ) -> Result<Promise, Busy> {
        Ok(self.scheduler.promise(account, gallery, probes)?)
    }

    pub(super) async fn identify_promised(
        &self,
        promise: Promise,
        queries: Vec<QuestionQuery>,
    ) -> Result<Vec<Identification>, Unidentified> {
        let (told, answer) = channel();
        answered(promise.ask(queries, told), answer).await
    }

    pub(super) fn check(
        &self,
        account: &Account,
        gallery: &Gallery,
        probes: usize,
    ) -> Result<(), Busy> {
        Ok(self.scheduler.check(account, gallery, probes)?)
    }
}

type Answer = Result<Vec<Identification>, Unanswered>;

fn channel() -> (Answered, oneshot::Receiver<Answer>) {
    let (told, answer) = oneshot::channel();
    // Whoever asked may have left meanwhile.
    (Box::new(move |answer| drop(told.send(answer))), answer)
}

async fn answered(
    _asked: Asked,
    answer: oneshot::Receiver<Answer>,
) -> Result<Vec<Identification>, Unidentified> {
    match answer.await {
        Ok(Ok(identifications)) => Ok(identifications),
        Ok(Err(Unanswered::Refused(refusal))) => Err(Busy::from(refusal).into()),
        Ok(Err(Unanswered::Failed(error))) => Err(Unidentified::Failed(error)),
        Ok(Err(Unanswered::Panicked)) => panic!("a search panicked"),
        Ok(Err(Unanswered::Late)) | Err(_) => Err(Busy::FOR_A_MOMENT.into()),
    }
}
