//! Where is work done that takes the processor or the disk for long? On one of four lanes, off the
//! threads that serve sockets.
//!
//! * Faces ([`Lanes::see`]): pictures and videos, as many at once as there are workers. Work waits for
//!   its turn, that of one app or key behind that of others who have had less.
//! * Searches ([`Lanes::identify`]): those that wait together share a pass over memory.
//! * Changes ([`Lanes::write`]): many at once, since they mostly wait for the disk, and those that wait
//!   together share its sync.
//! * The rest ([`Lanes::small`]): what is looked up in a moment. It never stands behind any of the
//!   others, and is never refused. What takes less time than another thread needs to be woken is looked
//!   up where the caller is ([`Lanes::glance`]).
//!
//! What would wait too long on the first two is refused at once, by [`Busy`].

mod faces;
mod glances;
mod searches;
mod small;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;

use self::faces::Faces;
/// A place among those who look at pictures.
pub(super) use self::faces::Promise as SeePromise;
use self::glances::Glances;
use self::searches::Searches;
use self::small::Threads;
use crate::counts::HistogramRead;
/// A place among those who identify.
pub(super) use crate::engine::scheduler::Promise as IdentifyPromise;
use crate::engine::scheduler::{QuestionQuery, Refusal, SchedulerLimits, SearchCounts};
use crate::engine::{EngineError, Gallery, Identification};
use crate::turns::Account;

/// As many changes wait for the disk at once: each takes a thread.
const WRITES_MAX: usize = 64;
/// How soon it is tried again to let in what waits for room.
const AGAIN_AFTER_MIN: Duration = Duration::from_millis(20);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(1);
/// As how many pictures one of several people counts until its faces are known, and for how many it is
/// promised a search.
const CROWD_PICTURES: usize = 8;
/// As many look something up at once.
const SMALL_MAX: usize = 32;

/// Answers to identifications that are made at once, for each picture that is looked at at once: enough
/// for all threads that serve sockets. What comes meanwhile stands behind no more than so many.
const ANSWERS_PER_WORKER: usize = 2;

/// Long bodies that are read at once. A few kilobytes can be packed so that reading what they unpack to
/// takes a processor for a second; all sockets must be heard meanwhile.
const BODIES_MAX: usize = 2;
/// Shorter ones are read where they arrive.
const LONG_BODY_BYTES: usize = 64 << 10;

/// All lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    faces: Faces,
    searches: Searches,
    writes: Threads,
    small: Threads,
    bodies: Threads,
    /// Answers that are being made of what searches found.
    answers: Arc<Semaphore>,
    glances: Glances,
}

/// How one lane is at this moment, and how long work waited on it.
#[derive(Debug)]
pub(super) struct LaneRead {
    pub(super) name: &'static str,
    pub(super) waiting: u64,
    pub(super) running: u64,
    pub(super) wait: HistogramRead,
}

/// Becomes true when nobody waits any more for what work comes to.
pub(super) type Left = Arc<AtomicBool>;

/// Work was not begun, since it would have waited too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    /// It is refused because of others, whom this caller keeps waiting.
    pub(super) is_above_share: bool,
    /// When there will probably be room.
    pub(super) again_after: Duration,
}

/// Why an identification has no answer.
#[derive(Debug)]
pub(super) enum Unidentified {
    Busy(Busy),
    Failed(Arc<EngineError>),
}

/// How much is done at once, and how long the rest may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneLimits {
    /// Pictures that are looked at at once.
    pub(super) workers: usize,
    /// The most pictures, and the most searches, that wait.
    pub(super) queue_max: usize,
    /// How long a picture may wait.
    pub(super) queue_wait: Duration,
    /// How long a search may take, with the wait.
    pub(super) search_wait: Duration,
}

impl LaneLimits {
    /// The most threads that work on all lanes, but for searches, which have their own.
    pub(super) fn threads_max(self) -> usize {
        self.workers + WRITES_MAX + SMALL_MAX + BODIES_MAX
    }
}

impl Lanes {
    pub(super) fn new(limits: LaneLimits) -> Lanes {
        let searches = SchedulerLimits {
            answer_within: limits.search_wait,
            questions_max: limits.queue_max,
        };
        let answers = ANSWERS_PER_WORKER * limits.workers.max(1);
        Lanes {
            faces: Faces::new(limits.workers, limits.queue_max, limits.queue_wait),
            searches: Searches::new(searches, Instant::now),
            writes: Threads::new(WRITES_MAX),
            small: Threads::new(SMALL_MAX),
            bodies: Threads::new(BODIES_MAX),
            answers: Arc::new(Semaphore::new(answers)),
            glances: Glances::new(Instant::now),
        }
    }

    /// How all lanes are.
    pub(super) fn read(&self) -> Vec<LaneRead> {
        vec![
            self.faces.read("faces"),
            self.searches.read("searches"),
            self.writes.read("writes"),
            self.small.read("small"),
            self.bodies.read("bodies"),
        ]
    }

    /// What searches have done.
    pub(super) fn search_counts(&self) -> &SearchCounts {
        self.searches.counts()
    }

    /// Runs `work`, which looks at so many pictures, when its turn comes.
    ///
    /// Whoever stops waiting for the answer before that moment, such as the handler of a client that
    /// has left, thereby withdraws the work. Once begun it runs to its end, so that nothing is left
    /// half-done, unless it asks whether anybody still waits. A panic in `work` goes on in the
    /// caller; so it is for all lanes.
    pub(super) async fn see<T: Send + 'static>(
        &self,
        account: &Account,
        pictures: usize,
        work: impl FnOnce(Left) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        self.faces.run(account, pictures, work).await
    }

    /// As [`Lanes::see`], for a picture of nobody knows how many people: `work` says afterwards as how
    /// many pictures it counts. Until then it counts as those of a small group.
    pub(super) async fn see_crowd<T: Send + 'static>(
        &self,
        account: &Account,
        work: impl FnOnce(Left) -> (T, usize) + Send + 'static,
    ) -> Result<T, Busy> {
        self.faces.run_counted(account, CROWD_PICTURES, work).await
    }

    /// Whether [`Lanes::see`] would let work in now.
    pub(super) fn check_see(&self, account: &Account, pictures: usize) -> Result<(), Busy> {
        self.faces.check(account, pictures)
    }

    /// A place for work of a call of which something is to be done before that cannot be undone.
    pub(super) fn promise_see(
        &self,
        account: &Account,
        pictures: usize,
    ) -> Result<SeePromise, Busy> {
        self.faces.promise(account, pictures)
    }

    /// As [`Lanes::see`], for what was promised a place: it is never refused.
    pub(super) async fn see_promised<T: Send + 'static>(
        &self,
        promise: SeePromise,
        pictures: usize,
        work: impl FnOnce(Left) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        Faces::run_promised(promise, pictures, work).await
    }

    /// Identifies, together with whoever else waits. A caller who stops waiting withdraws the question.
    pub(super) async fn identify(
        &self,
        account: &Account,
        gallery: &Gallery,
        queries: Vec<QuestionQuery>,
    ) -> Result<Vec<Identification>, Unidentified> {
        self.searches.identify(account, gallery, queries).await
    }

    /// Whether [`Lanes::identify`] would let a question with so many probes in now.
    pub(super) fn check_identify(
        &self,
        account: &Account,
        gallery: &Gallery,
        probes: usize,
    ) -> Result<(), Busy> {
        self.searches.check(account, gallery, probes)
    }

    /// A place for the one probe of a call of which something is to be done before.
    pub(super) fn promise_identify(
        &self,
        account: &Account,
        gallery: &Gallery,
    ) -> Result<IdentifyPromise, Busy> {
        self.searches.promise(account, gallery, 1)
    }

    /// The same for a picture of several people.
    pub(super) fn promise_identify_crowd(
        &self,
        account: &Account,
        gallery: &Gallery,
    ) -> Result<IdentifyPromise, Busy> {
        self.searches.promise(account, gallery, CROWD_PICTURES)
    }

    /// Identifies everybody in a picture, in one pass. It was promised a place and is never refused.
    pub(super) async fn identify_crowd(
        &self,
        promise: IdentifyPromise,
        queries: Vec<QuestionQuery>,
    ) -> Result<Vec<Identification>, Unidentified> {
        self.searches.identify_promised(promise, queries).await
    }

    /// The same for one person. What was promised a place is never refused.
    pub(super) async fn identify_one(
        &self,
        account: &Account,
        gallery: &Gallery,
        promise: Option<IdentifyPromise>,
        query: QuestionQuery,
    ) -> Result<Identification, Unidentified> {
        let queries = vec![query];
        let mut found = match promise {
            Some(promise) => self.searches.identify_promised(promise, queries).await?,
            None => self.identify(account, gallery, queries).await?,
        };
        Ok(found.remove(0))
    }

    /// The same for many people, of a call that is being answered: if there is no room, it waits for it.
    pub(super) async fn identify_patiently(
        &self,
        account: &Account,
        gallery: &Gallery,
        queries: Vec<QuestionQuery>,
    ) -> Result<Vec<Identification>, Arc<EngineError>> {
        loop {
            match self.identify(account, gallery, queries.clone()).await {
                Ok(found) => return Ok(found),
                Err(Unidentified::Failed(error)) => return Err(error),
                Err(Unidentified::Busy(busy)) => {
                    time::sleep(busy.again_after.clamp(AGAIN_AFTER_MIN, AGAIN_AFTER_MAX)).await;
                }
            }
        }
    }

    /// A turn to make an answer of what was found, which is held for as long as that takes the processor: a
    /// pass answers hundreds at one moment, and whoever asks or is refused then must not stand behind
    /// all of them. Nobody is to hold it who waits for a client, or for what others have to say.
    pub(super) async fn answering(&self) -> OwnedSemaphorePermit {
        let turn = self.answers.clone().acquire_owned().await;
        turn.expect("nobody closes this semaphore")
    }

    /// Runs `work`, which changes what is on disk and waits for that.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.writes.run(work).await
    }

    /// Reads a body of so many bytes, which has arrived: a long one elsewhere than where sockets are heard.
    pub(super) async fn read_body<T: Send + 'static>(
        &self,
        bytes: usize,
        read: impl Future<Output = T> + Send + 'static,
    ) -> T {
        if bytes < LONG_BODY_BYTES {
            return read.await;
        }
        // Nothing is waited for in it.
        let work = || Handle::current().block_on(read);
        self.bodies.run(work).await
    }

    /// Runs `work`, which looks something up.
    pub(super) async fn small<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.small.run(work).await
    }

    /// As [`Lanes::small`]; where the caller is if `work` is said to be brief, and what was said to be so before
    /// was. That is what takes less time than another thread needs to be woken: of what a question to a
    /// small gallery cost, a quarter was for threads that looked up its threshold and who was found.
    pub(super) async fn glance<T: Send + 'static>(
        &self,
        is_brief: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        match is_brief && self.glances.are_brief() {
            true => self.glances.look(work),
            false => self.small(work).await,
        }
    }
}

impl Busy {
    /// Nobody knows when there will be room, or the service is stopping.
    pub(super) const FOR_A_MOMENT: Busy = Busy {
        is_above_share: false,
        again_after: Duration::from_secs(1),
    };

    /// For the header `Retry-After`.
    pub(super) fn again_after_seconds(self) -> u64 {
        let whole = self.again_after.as_secs();
        let up = u64::from(self.again_after.subsec_nanos() > 0);
        (whole + up).clamp(1, 60)
    }
}

impl From<Refusal> for Busy {
    fn from(refusal: Refusal) -> Busy {
        let (is_above_share, again_after) = match refusal {
            Refusal::Busy { again_after } => (false, again_after),
            Refusal::AboveShare { again_after } => (true, again_after),
        };
        Busy {
            is_above_share,
            again_after,
        }
    }
}

impl From<Busy> for Unidentified {
    fn from(busy: Busy) -> Unidentified {
        Unidentified::Busy(busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_answers_are_made_at_once_and_the_others_wait_for_a_turn() {
        let second = Duration::from_secs(1);
        let lanes = Lanes::new(LaneLimits {
            workers: 1,
            queue_max: 1,
            queue_wait: second,
            search_wait: second,
        });
        let turns = [lanes.answering().await, lanes.answering().await];
        let third = time::timeout(Duration::ZERO, lanes.answering()).await;
        assert!(third.is_err());
        // Whoever stopped waiting keeps nobody from a turn.
        drop(turns);
        let others = [lanes.answering().await, lanes.answering().await];
        assert!(lanes.answers.try_acquire().is_err());
        drop(others);
    }
}
