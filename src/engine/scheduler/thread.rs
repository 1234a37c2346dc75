//! The thread that answers.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::counts::SearchCounts;
use super::pace::Extent;
use super::pass;
use super::queue::{Entry, LetIn, Pass, Question, QuestionQuery, Queue, Refusal, SchedulerLimits};
use super::returns::Returns;
use crate::counts::Stages;
use crate::engine::{EngineError, Gallery, Identification};
use crate::turns::{Account, Place};

/// Where those who are answered ask again at once, the next pass waits for them: at most this share of
/// the time that the last one took, which is less than what a second pass would cost.
const GATHER_SHARE: f64 = 0.2;
/// And no longer than this after the last one came,
const QUIET: Duration = Duration::from_millis(2);
/// and this for each who is still out: the answers of a pass are made one after the other, and nobody
/// comes back who has none. With less, those who came first went on without the others.
const QUIET_FOR_EACH: Duration = Duration::from_micros(100);

/// Told what came of a question: one answer for each of its queries, in order. Called on the thread
/// of the scheduler, so it must not take long.
pub type Answered = Box<dyn FnOnce(Result<Vec<Identification>, Unanswered>) + Send>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Too much is asked.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its time was over before its turn came.
    #[error("the turn of the question did not come in time")]
    Late,
    /// It cannot be answered.
    #[error(transparent)]
    Failed(Arc<EngineError>),
    /// The search panicked.
    #[error("the search panicked")]
    Panicked,
}

/// Answers questions, those that wait together in one pass. Dropping it waits for the pass that runs,
/// and drops the other questions unanswered.
pub struct Scheduler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A question that was asked. Dropping it withdraws the question unless its answer is under way.
#[must_use = "dropping it withdraws the question"]
#[derive(Debug)]
pub struct Asked {
    shared: Arc<Shared>,
    place: Place,
}

/// A question that will be answered when it is asked. Dropping it gives its place to others.
#[must_use = "dropping it breaks the promise"]
#[derive(Debug)]
pub struct Promise {
    asked: Asked,
    account: Account,
    gallery: Gallery,
}

struct Shared {
    state: Mutex<State>,
    /// A question came, or there will be none any more.
    arrived: Condvar,
    clock: fn() -> Instant,
    counts: SearchCounts,
}

struct State {
    queue: Queue<Answered>,
    returns: Returns,
    is_passing: bool,
    is_over: bool,
}

impl Scheduler {
    /// Begins to answer. `clock` is [`Instant::now`] but for tests.
    ///
    /// # Panics
    ///
    /// Panics if the operating system gives no thread.
    pub fn start(limits: SchedulerLimits, clock: fn() -> Instant) -> Scheduler {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: Queue::new(limits),
                returns: Returns::default(),
                is_passing: false,
                is_over: false,
            }),
            arrived: Condvar::new(),
            clock,
            counts: SearchCounts::new(),
        });
        let theirs = shared.clone();
        let thread = Builder::new().name("vultus-passes".to_owned());
        let thread = thread.spawn(move || theirs.work());
        Scheduler {
            shared,
            thread: Some(thread.expect("the operating system gives a thread")),
        }
    }

    /// Asks. `answered` is told the answer; not if the question is withdrawn.
    ///
    /// # Errors
    ///
    /// If too much waits for the answer to come in time.
    pub fn ask(&self, question: Question, answered: Answered) -> Result<Asked, Refusal> {
        let now = (self.shared.clock)();
        let mut state = self.shared.state();
        let let_in = state.queue.push(question, answered, now)?;
        state.returns.came(now);
        drop(state);
        Ok(self.shared.let_in(let_in))
    }

    /// Promises that a question about `gallery` for so many people, which comes later, is answered: for
    /// calls of which much is to be done before. Until then it counts as waiting.
    ///
    /// # Errors
    ///
    /// As [`Scheduler::ask`].
    pub fn promise(
        &self,
        account: &Account,
        gallery: &Gallery,
        probes: usize,
    ) -> Result<Promise, Refusal> {
        let now = (self.shared.clock)();
        let let_in = self
            .shared
            .state()
            .queue
            .promise(account, gallery, probes, now);
        Ok(Promise {
            asked: self.shared.let_in(let_in?),
            account: account.clone(),
            gallery: gallery.clone(),
        })
    }

    /// Whether a question of `account` with so many probes would be let in now.
    ///
    /// # Errors
    ///
    /// If it would not.
    pub fn check(
        &self,
        account: &Account,
        gallery: &Gallery,
        probes: usize,
    ) -> Result<(), Refusal> {
        let now = (self.shared.clock)();
        let state = self.shared.state();
        state.queue.check(account, gallery, probes, now)
    }

    /// What was done since it began.
    pub fn counts(&self) -> &SearchCounts {
        &self.shared.counts
    }

    /// How many questions wait, those counted that are only promised; and whether a pass runs.
    pub fn waiting(&self) -> (usize, bool) {
        let state = self.shared.state();
        (state.queue.len(), state.is_passing)
    }

    /// Answers nothing more.
    pub(super) fn end(&self) {
        self.shared.state().is_over = true;
        self.shared.arrived.notify_all();
    }
}

impl Promise {
    /// Asks what was promised an answer; it is never refused.
    pub fn ask(self, queries: Vec<QuestionQuery>, answered: Answered) -> Asked {
        let Promise {
            asked,
            account,
            gallery,
        } = self;
        let question = Question {
            account,
            gallery,
            queries,
            not_after: None,
        };
        let mut state = asked.shared.state();
        let now = (asked.shared.clock)();
        let queue = &mut state.queue;
        queue.keep_promise(&asked.place, question, answered, now);
        state.returns.came(now);
        drop(state);
        asked.shared.arrived.notify_one();
        asked
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            // It catches the panics of searches; one of its own has been told of by the hook.
            let _ended = thread.join();
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // What it holds is dropped when the lock is given back.
        let _withdrawn = self.shared.state().queue.withdraw(&self.place);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing of ours panics while it changes the queue.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread, and tells those who made room.
    fn let_in(self: &Arc<Self>, let_in: LetIn<Answered>) -> Asked {
        self.arrived.notify_one();
        for (entry, refusal) in let_in.displaced {
            (entry.answered)(Err(refusal.into()));
        }
        Asked {
            shared: self.clone(),
            place: let_in.place,
        }
    }

    /// Answers until it is over.
    fn work(&self) {
        while let Some((late, pass)) = self.next() {
            for entry in late {
                (entry.answered)(Err(Unanswered::Late));
            }
            let Some(pass) = pass else {
                continue;
            };
            let (extent, probes) = (pass.extent, pass.probes);
            let began = (self.clock)();
            let mut traced: Vec<Stages> = Vec::new();
            for entry in &pass.entries {
                let waited = began.saturating_duration_since(entry.since);
                self.counts.waits.took(waited);
                entry.stages.add("wait", entry.since, began);
                traced.push(entry.stages.clone());
            }
            let asked: Vec<(Instant, Duration)> =
                pass.entries.iter().map(Entry::expectation).collect();
            let (told, is_answered) = answered(pass);
            let end = (self.clock)();
            // Of a pass that many share each has all of it: that is how long they waited for it.
            traced
                .iter()
                .for_each(|stages| stages.add("search", began, end));
            let taken = end.saturating_duration_since(began);
            self.count(&told, probes, taken);
            let mut state = self.state();
            state.is_passing = false;
            if is_answered {
                state.queue.learn(extent, probes, taken);
                for (since, expected) in asked {
                    let taken = end.saturating_duration_since(since);
                    state.queue.learn_lateness(expected, taken);
                }
            } else {
                state.queue.fail();
            }
            let gathering = state.after_pass(extent, probes, told.len(), (end, taken));
            drop(state);
            for (answered, answer) in told {
                answered(answer);
            }
            if let Some(gathering) = gathering {
                self.gather(&gathering);
            }
        }
    }

    /// What is to be done next: waits for it. `None` if it is over.
    #[expect(
        clippy::type_complexity,
        reason = "read by its only account, a line above"
    )]
    fn next(&self) -> Option<(Vec<Entry<Answered>>, Option<Pass<Answered>>)> {
        let mut state = self.state();
        loop {
            if state.is_over {
                let left = state.queue.take_all();
                drop(state);
                drop(left);
                return None;
            }
            if state.queue.is_ready() {
                let now = (self.clock)();
                let late = state.queue.take_late(now);
                let pass = state.queue.take_pass(now);
                state.is_passing = pass.is_some();
                state.returns.begin_pass(now);
                return Some((late, pass));
            }
            let waited = self.arrived.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Counts a pass.
    fn count(&self, told: &Told, probes: usize, taken: Duration) {
        let counts = &self.counts;
        counts.probes.add(probes as u64);
        counts.times.took(taken);
        let mut found = told.iter().filter_map(|(_, answer)| answer.as_ref().ok());
        // All of a pass say the same.
        if let Some(one) = found.find_map(|found| found.first()) {
            counts.rows.add(one.certificate.rows_scanned as u64);
            counts.bytes.add(one.certificate.bytes_read);
        }
    }

    /// Waits a moment for the next questions of those who have just been answered, so that they share
    /// the next pass with those who came meanwhile instead of taking turns with them.
    fn gather(&self, gathering: &Gathering) {
        let &Gathering {
            probes,
            with,
            until,
        } = gathering;
        let mut state = self.state();
        let mut before = state.queue.len();
        while state.queue.probes() < probes && before < with && !state.is_over {
            let left = until.saturating_duration_since((self.clock)());
            if left.is_zero() {
                return;
            }
            let quiet = left.min(quiet(with - before));
            let waited = self.arrived.wait_timeout(state, quiet);
            let (again, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = again;
            let found = state.queue.len();
            if found == before && timeout.timed_out() {
                return;
            }
            before = found;
        }
    }
}

/// For whom the next pass waits: until there are so many probes, or so many questions, or it is time.
struct Gathering {
    probes: usize,
    with: usize,
    until: Instant,
}

impl State {
    /// Whether the next pass waits for those who were answered with so many probes by one that is over.
    fn after_pass(
        &mut self,
        extent: Extent,
        probes: usize,
        answered: usize,
        (end, taken): (Instant, Duration),
    ) -> Option<Gathering> {
        if probes < 2 {
            return None;
        }
        let moment = taken.mul_f64(GATHER_SHARE);
        self.returns.end_pass(end, answered, moment);
        self.returns.are_likely().then(|| Gathering {
            probes: self.queue.probes_of_next_pass(extent, probes),
            with: self.queue.len() + answered,
            until: end + moment,
        })
    }
}

/// How long nobody may come while so many are still out.
fn quiet(out: usize) -> Duration {
    let out = u32::try_from(out).unwrap_or(u32::MAX);
    QUIET.saturating_add(QUIET_FOR_EACH.saturating_mul(out))
}

/// Who is to be told what.
type Told = Vec<(Answered, Result<Vec<Identification>, Unanswered>)>;

/// Carries a pass out. Also tells whether it went over the gallery.
fn answered(pass: Pass<Answered>) -> (Told, bool) {
    let (questions, answered): (Vec<Question>, Vec<Answered>) = pass
        .entries
        .into_iter()
        .map(|entry| (entry.question, entry.answered))
        .unzip();
    let asked: Vec<&Question> = questions.iter().collect();
    // A search shares nothing that a panic could leave half-changed: it reads a snapshot.
    let answers = catch_unwind(AssertUnwindSafe(|| pass::answer(&pass.gallery, &asked)));
    let (answers, is_answered): (Vec<Result<Vec<Identification>, Unanswered>>, bool) = match answers
    {
        Ok(Ok(answers)) => {
            let own = |error| Unanswered::Failed(Arc::new(error));
            let answers = answers.into_iter().map(|answer| answer.map_err(own));
            (answers.collect(), true)
        }
        Ok(Err(error)) => {
            let error = Arc::new(error);
            let same = |_: &Question| Err(Unanswered::Failed(error.clone()));
            (questions.iter().map(same).collect(), false)
        }
        Err(_panic) => {
            let same = |_: &Question| Err(Unanswered::Panicked);
            (questions.iter().map(same).collect(), false)
        }
    };
    (answered.into_iter().zip(answers).collect(), is_answered)
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_still_out_is_waited_for() {
        let one = quiet(1);
        assert!(one >= QUIET, "{one:?}");
        // A tenth of a millisecond of work for each answer, on one processor.
        let many = quiet(65) - one;
        assert_eq!(many, Duration::from_micros(6_400));
        assert!(quiet(usize::MAX) > many, "it does not wrap");
    }
}
