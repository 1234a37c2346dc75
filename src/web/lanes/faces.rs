//! Pictures: so many are looked at at once, the others wait for their turn.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::small::on_thread;
use super::{Busy, LaneRead, Left};
use crate::counts::Histogram;
use crate::turns::{Account, Fit, Place, Waiting};

/// How much the last picture counts against all before.
const NEWEST_WEIGHT: f64 = 0.1;

/// The workers that look at pictures.
#[derive(Clone, Debug)]
pub(super) struct Faces(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    workers: usize,
    /// The most that wait.
    queue_max: usize,
    /// How long they may have to.
    wait: Duration,
    /// How long they had to.
    waits: Histogram,
}

#[derive(Debug, Default)]
struct State {
    waiting: Waiting<Waiter>,
    running: usize,
    /// Of each account that has any.
    running_of: HashMap<Account, usize>,
    /// How long one picture took lately; zero before the first.
    seconds_per_picture: f64,
}

/// Work that waits.
#[derive(Debug)]
struct Waiter {
    /// How many it looks at.
    pictures: usize,
    /// Where its turn is sent; none as long as the work is only promised.
    given: Option<oneshot::Sender<Turn>>,
}

/// The right to work. Given back when it is dropped, also by a channel that nobody reads any more.
#[derive(Debug)]
struct Turn {
    /// None if it was taken back.
    faces: Option<Faces>,
    account: Account,
    /// What it was thought to look at, and then what it did.
    pictures: usize,
    /// None if work did not begin.
    began: Option<Instant>,
}

/// Tells work that runs when nobody waits for it any more.
struct Leaving(Left);

/// A place in the queue. Dropping it withdraws the work unless its turn has come.
#[derive(Debug)]
#[must_use = "dropping it gives the place up"]
pub(in super::super) struct Promise {
    faces: Faces,
    place: Place,
}

impl Faces {
    pub(super) fn new(workers: usize, queue_max: usize, wait: Duration) -> Faces {
        Faces(Arc::new(Shared {
            state: Mutex::default(),
            workers: workers.max(1),
            queue_max,
            wait,
            waits: Histogram::of_times(),
        }))
    }

    pub(super) fn read(&self, name: &'static str) -> LaneRead {
        let state = self.state();
        LaneRead {
            name,
            waiting: state.waiting.len() as u64,
            running: state.running as u64,
            wait: self.0.waits.read(),
        }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        account: &Account,
        pictures: usize,
        work: impl FnOnce(Left) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let counted = move |left| (work(left), pictures);
        self.run_counted(account, pictures, counted).await
    }

    /// As [`Faces::run`], for work of which nobody knows before how much it is: it says afterwards
    /// as how many pictures it counts.
    pub(super) async fn run_counted<T: Send + 'static>(
        &self,
        account: &Account,
        pictures: usize,
        work: impl FnOnce(Left) -> (T, usize) + Send + 'static,
    ) -> Result<T, Busy> {
        let (given, turn) = oneshot::channel();
        let given = Some(given);
        let place = self.enter(account, Waiter { pictures, given }, false)?;
        self.when_given(place, turn, work).await
    }

    /// A place for work that comes later, by [`Faces::run_promised`]: it is never refused.
    pub(super) fn promise(&self, account: &Account, pictures: usize) -> Result<Promise, Busy> {
        let given = None;
        self.enter(account, Waiter { pictures, given }, true)
    }

    pub(super) async fn run_promised<T: Send + 'static>(
        promise: Promise,
        pictures: usize,
        work: impl FnOnce(Left) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let faces = promise.faces.clone();
        let (given, turn) = oneshot::channel();
        {
            let mut state = faces.state();
            if let Some(waiter) = state.waiting.get_mut(&promise.place) {
                let given = Some(given);
                *waiter = Waiter { pictures, given };
            }
            faces.give_turns(&mut state);
        }
        let counted = move |left| (work(left), pictures);
        faces.when_given(promise, turn, counted).await
    }

    pub(super) fn check(&self, account: &Account, pictures: usize) -> Result<(), Busy> {
        let state = self.state();
        let fits = self.fits(&state, &state.waiting, account, pictures);
        if fits == Fit::Fits || state.waiting.gives_way_to(account, pictures as f64, fits) {
            return Ok(());
        }
        Err(self.busy(&state, account))
    }

    async fn when_given<T: Send + 'static>(
        &self,
        _place: Promise,
        turn: oneshot::Receiver<Turn>,
        work: impl FnOnce(Left) -> (T, usize) + Send + 'static,
    ) -> Result<T, Busy> {
        let asked = Instant::now();
        // Dropped unsent, it had to give way.
        let mut turn = turn.await.map_err(|_displaced| self.displaced())?;
        self.0.waits.step("wait", asked, Instant::now());
        let leaving = Leaving(Left::default());
        let left = leaving.0.clone();
        let done = on_thread(move || {
            // Given back when the work is done, not when somebody stops waiting for it.
            turn.began = Some(Instant::now());
            let (done, pictures) = work(left);
            turn.count(pictures);
            drop(turn);
            done
        });
        done.await.ok_or(Busy::FOR_A_MOMENT)
    }

    fn enter(&self, account: &Account, waiter: Waiter, is_firm: bool) -> Result<Promise, Busy> {
        let (pictures, mut state) = (waiter.pictures, self.state());
        let cost = pictures as f64;
        let mut waiting = std::mem::take(&mut state.waiting);
        let fits = |waiting: &Waiting<Waiter>| self.fits(&state, waiting, account, pictures);
        // Those that give way learn it by their channels.
        let displaced = waiting.make_room(account, cost, fits);
        state.waiting = waiting;
        if displaced.is_none() {
            return Err(self.busy(&state, account));
        }
        let place = state.waiting.push(account, cost, is_firm, waiter);
        self.give_turns(&mut state);
        let faces = self.clone();
        Ok(Promise { faces, place })
    }

    /// Lets in as many as there are free workers.
    fn give_turns(&self, state: &mut State) {
        while state.running < self.0.workers {
            let next = state.waiting.take_next_of(|waiter| waiter.given.is_some());
            let next = next.and_then(|(account, waiter)| Some((account, waiter.ready()?)));
            let Some((account, (pictures, given))) = next else {
                return;
            };
            *state.running_of.entry(account.clone()).or_default() += 1;
            let turn = Turn {
                faces: Some(self.clone()),
                account: account.clone(),
                pictures,
                began: None,
            };
            state.running += 1;
            if let Err(mut unwanted) = given.send(turn) {
                // Whoever waited has left. It would wait for us to give itself back.
                unwanted.faces = None;
                state.ended(&account);
            }
        }
    }

    fn fits(
        &self,
        state: &State,
        waiting: &Waiting<Waiter>,
        account: &Account,
        pictures: usize,
    ) -> Fit {
        // What is promised an idle worker has it.
        let (count, workers) = (state.running + waiting.len(), self.0.workers);
        if count < workers {
            return Fit::Fits;
        }
        if count >= workers.saturating_add(self.0.queue_max) {
            return Fit::TooMany;
        }
        let before = waiting.before(account, pictures as f64);
        let before = before.map(|(waiter, share)| waiter.pictures as f64 * share);
        let before = before.sum::<f64>();
        // Who has nothing here pays neither for what others have running, however long that takes, nor
        // for what its own is thought to take because theirs did.
        let is_new = waiting.cost_of(account) == 0.0 && !state.running_of.contains_key(account);
        let time = match is_new {
            true => self.time_of(state, before),
            false => self.time(state, pictures as f64 + before),
        };
        match time <= self.0.wait {
            true => Fit::Fits,
            false => Fit::TooLong,
        }
    }

    /// How long work that costs so much will take from now on.
    fn time(&self, state: &State, cost: f64) -> Duration {
        // Those that run are half done on average.
        self.time_of(state, cost + state.running as f64 / 2.0)
    }

    /// How long all workers together take for so much.
    fn time_of(&self, state: &State, cost: f64) -> Duration {
        let seconds = cost * state.seconds_per_picture / self.0.workers as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn busy(&self, state: &State, account: &Account) -> Busy {
        let waiting = &state.waiting;
        // Only who keeps others waiting is above a share.
        let waits_itself = waiting.cost_of(account) > 0.0;
        Busy {
            is_above_share: waits_itself && waiting.has_others_than(account),
            again_after: self.again_after(state),
        }
    }

    fn displaced(&self) -> Busy {
        Busy {
            is_above_share: true,
            again_after: self.again_after(&self.state()),
        }
    }

    fn again_after(&self, state: &State) -> Duration {
        let wait = self.time(state, state.waiting.cost());
        wait.saturating_sub(self.0.wait / 2)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing of ours panics while it changes the state.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    fn ready(self) -> Option<(usize, oneshot::Sender<Turn>)> {
        Some((self.pictures, self.given?))
    }
}

impl State {
    /// Work that ran is over.
    fn ended(&mut self, account: &Account) {
        self.running -= 1;
        if let Some(count) = self.running_of.get_mut(account) {
            *count -= 1;
            if *count == 0 {
                self.running_of.remove(account);
            }
        }
    }

    fn learn(&mut self, seconds: f64) {
        let known = self.seconds_per_picture;
        self.seconds_per_picture = if known == 0.0 {
            seconds
        } else {
            known + NEWEST_WEIGHT * (seconds - known)
        };
    }
}

impl Turn {
    /// It was as much work as so many pictures. What is more than was thought is charged.
    fn count(&mut self, pictures: usize) {
        let more = pictures.saturating_sub(self.pictures);
        self.pictures = pictures;
        if let Some(faces) = &self.faces
            && more > 0
        {
            let mut state = faces.state();
            state.waiting.spend_more(&self.account, more as f64);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(faces) = self.faces.take() else {
            return;
        };
        let mut state = faces.state();
        if let Some(began) = self.began {
            state.learn(began.elapsed().as_secs_f64() / self.pictures.max(1) as f64);
        }
        state.ended(&self.account);
        faces.give_turns(&mut state);
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let _withdrawn = self.faces.state().waiting.withdraw(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use tokio::task::JoinHandle;
    use tokio::time;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn account(name: &str) -> Account {
        Account::new(name)
    }

    /// Work of an account that goes on until its sender is dropped.
    fn held(faces: &Faces, name: &str) -> (mpsc::Sender<()>, JoinHandle<Result<(), Busy>>) {
        let (release, held) = mpsc::channel::<()>();
        let (faces, account) = (faces.clone(), account(name));
        let handle = tokio::spawn(async move {
            let work = move |_| {
                let _released = held.recv();
            };
            faces.run(&account, 1, work).await
        });
        (release, handle)
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn until_waiting(faces: &Faces, count: usize) {
        until(|| faces.state().waiting.len() == count).await;
    }

    async fn until_running(faces: &Faces, count: usize) {
        until(|| faces.state().running == count).await;
    }

    #[tokio::test]
    async fn what_does_not_fit_the_queue_is_refused_at_once() {
        let faces = Faces::new(1, 1, LONG);
        let (release_first, first) = held(&faces, "a");
        until_running(&faces, 1).await;
        let (release_second, second) = held(&faces, "a");
        until_waiting(&faces, 1).await;
        let refused = faces.run(&account("a"), 1, |_| ()).await;
        assert!(!refused.unwrap_err().is_above_share, "nobody else waits");
        assert!(faces.check(&account("a"), 1).is_err());
        drop((release_first, release_second));
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(()));
        assert_eq!(faces.run(&account("a"), 1, |_| 7).await, Ok(7));
        assert!(faces.check(&account("a"), 1).is_ok());
    }

    #[tokio::test]
    async fn what_would_wait_too_long_is_refused_when_it_comes() {
        let faces = Faces::new(2, 100, Duration::from_secs(3));
        let running = [held(&faces, "a"), held(&faces, "a")];
        until_running(&faces, 2).await;
        faces.state().seconds_per_picture = 1.0;
        // Both workers are busy for half a second more; then two pictures take a second.
        let promise = faces.promise(&account("a"), 1).unwrap();
        let mut waiting = Vec::new();
        for count in 2..=5 {
            waiting.push(held(&faces, "a"));
            until_waiting(&faces, count).await;
        }
        let refused = faces.run(&account("a"), 1, |_| ()).await.unwrap_err();
        assert_eq!(refused.again_after_seconds(), 2);
        assert!(faces.check(&account("a"), 1).is_err());
        assert!(faces.promise(&account("a"), 1).is_err());
        let promised = tokio::spawn(Faces::run_promised(promise, 1, |_| ()));
        drop(running);
        drop(waiting);
        assert_eq!(promised.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn who_has_nothing_here_is_not_refused_for_what_others_have_running() {
        let faces = Faces::new(2, 100, Duration::from_secs(1));
        let slow = [held(&faces, "slow"), held(&faces, "slow")];
        until_running(&faces, 2).await;
        faces.state().seconds_per_picture = 3.0;
        assert!(faces.check(&account("slow"), 1).is_err());
        assert!(faces.check(&account("new"), 1).is_ok());
        let new = held(&faces, "new");
        until_waiting(&faces, 1).await;
        assert!(
            faces.check(&account("new"), 1).is_err(),
            "it has something now"
        );
        drop((slow, new.0));
        assert_eq!(new.1.await.unwrap(), Ok(()));
        until_running(&faces, 0).await;
        assert!(faces.state().running_of.is_empty());
    }

    #[tokio::test]
    async fn an_idle_worker_takes_whatever_comes() {
        let faces = Faces::new(1, 0, Duration::from_millis(1));
        faces.state().seconds_per_picture = 100.0;
        assert_eq!(faces.run(&account("a"), 1000, |_| 1).await, Ok(1));
        assert!(faces.state().seconds_per_picture < 100.0, "it has learnt");
    }

    #[tokio::test]
    async fn who_has_more_than_a_share_gives_way_and_is_told_why() {
        let faces = Faces::new(1, 2, LONG);
        let (release, _first) = held(&faces, "much");
        until_running(&faces, 1).await;
        let (second_release, second) = held(&faces, "much");
        until_waiting(&faces, 1).await;
        let (third_release, third) = held(&faces, "much");
        until_waiting(&faces, 2).await;
        let (other_release, other) = held(&faces, "little");
        let displaced = third.await.unwrap().unwrap_err();
        assert!(displaced.is_above_share);
        let more = faces.run(&account("much"), 1, |_| ()).await;
        assert!(more.unwrap_err().is_above_share);
        drop((release, third_release, other_release, second_release));
        assert_eq!(other.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn a_client_that_leaves_withdraws_its_work() {
        let faces = Faces::new(1, 8, LONG);
        let (release, first) = held(&faces, "a");
        until_running(&faces, 1).await;
        let ran = Arc::new(AtomicUsize::new(0));
        let (count, theirs) = (ran.clone(), faces.clone());
        let waiting = tokio::spawn(async move {
            let work = move |_| count.fetch_add(1, Ordering::SeqCst);
            theirs.run(&account("a"), 1, work).await
        });
        until_waiting(&faces, 1).await;
        waiting.abort();
        until_waiting(&faces, 0).await;
        drop(release);
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(faces.run(&account("a"), 1, |_| ()).await, Ok(()));
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn who_leaves_after_work_began_gives_the_turn_back_at_its_end() {
        let faces = Faces::new(1, 8, LONG);
        let (release, first) = held(&faces, "a");
        until_running(&faces, 1).await;
        time::sleep(Duration::from_millis(20)).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(faces.state().running, 1, "it still works");
        drop(release);
        until_running(&faces, 0).await;
    }

    #[tokio::test]
    async fn work_that_runs_learns_that_its_client_has_left() {
        let faces = Faces::new(1, 8, LONG);
        let (tell, told) = mpsc::channel();
        let theirs = faces.clone();
        let client = tokio::spawn(async move {
            let work = move |left: Left| {
                assert!(!left.load(Ordering::Relaxed));
                while !left.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                tell.send(()).unwrap();
            };
            theirs.run(&account("a"), 1, work).await
        });
        until_running(&faces, 1).await;
        time::sleep(Duration::from_millis(10)).await;
        client.abort();
        until_running(&faces, 0).await;
        told.recv().unwrap();
    }

    #[tokio::test]
    async fn a_place_that_is_promised_is_taken_until_it_is_given_up() {
        let faces = Faces::new(1, 1, LONG);
        let promise = faces.promise(&account("a"), 1).unwrap();
        // An idle worker does not wait for what is only promised.
        assert_eq!(faces.run(&account("b"), 1, |_| 1).await, Ok(1));
        let (release, first) = held(&faces, "b");
        until_running(&faces, 1).await;
        assert!(faces.run(&account("b"), 1, |_| ()).await.is_err());
        drop(promise);
        let (second_release, second) = held(&faces, "b");
        until_waiting(&faces, 1).await;
        drop((release, second_release));
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn work_that_was_more_than_it_was_thought_is_charged_for_it() {
        let faces = Faces::new(1, 100, LONG);
        let (release, first) = held(&faces, "crowd");
        until_running(&faces, 1).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let work = |name: &'static str, count: usize| {
            let (faces, order) = (faces.clone(), order.clone());
            tokio::spawn(async move {
                let work = move |_| (order.lock().unwrap().push(name), count);
                faces.run_counted(&account(name), 1, work).await
            })
        };
        let mut waiting = Vec::new();
        for (count, name) in (1..).zip(["crowd", "crowd", "single", "single", "single"]) {
            let weight = if name == "crowd" { 80 } else { 1 };
            waiting.push(work(name, weight));
            until_waiting(&faces, count).await;
        }
        drop(release);
        assert_eq!(first.await.unwrap(), Ok(()));
        for work in waiting {
            assert_eq!(work.await.unwrap(), Ok(()));
        }
        let order = order.lock().unwrap();
        assert_eq!(order.last(), Some(&"crowd"), "{order:?}");
        assert_eq!(order.iter().filter(|name| **name == "single").count(), 3);
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_and_gives_its_place_back() {
        let faces = Faces::new(1, 0, LONG);
        let theirs = faces.clone();
        let handle =
            tokio::spawn(
                async move { theirs.run(&account("a"), 1, |_| panic!("on purpose")).await },
            );
        let result: Result<Result<(), Busy>, _> = handle.await;
        assert!(result.unwrap_err().is_panic());
        assert_eq!(faces.run(&account("a"), 1, |_| ()).await, Ok(()));
    }

    #[test]
    fn again_is_said_in_whole_seconds() {
        for (milliseconds, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (900_000, 60)] {
            let busy = Busy {
                is_above_share: false,
                again_after: Duration::from_millis(milliseconds),
            };
            assert_eq!(busy.again_after_seconds(), seconds);
        }
    }
}
