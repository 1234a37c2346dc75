//! Pictures: so many are looked at at once, the others wait for their turn.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::small::on_thread;
use super::{Busy, Left};
use crate::turns::{Account, Place, Waiting};

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
}

#[derive(Debug, Default)]
struct State {
    waiting: Waiting<Waiter>,
    running: usize,
    /// How long one picture took lately; zero before the first.
    seconds_per_picture: f64,
}

/// Work that waits: how many pictures it looks at, and where its turn is sent.
type Waiter = (usize, oneshot::Sender<Turn>);

/// The right to work. Given back when it is dropped, also by a channel that nobody reads any more.
#[derive(Debug)]
struct Turn {
    /// None if it was taken back.
    faces: Option<Faces>,
    pictures: usize,
    /// None if work did not begin.
    began: Option<Instant>,
}

/// Tells work that runs when nobody waits for it any more.
struct Leaving(Left);

/// Withdraws work that waits, unless its turn has come.
#[derive(Debug)]
struct Withdrawal<'a> {
    faces: &'a Faces,
    place: Place,
}

impl Faces {
    pub(super) fn new(workers: usize, queue_max: usize, wait: Duration) -> Faces {
        Faces(Arc::new(Shared {
            state: Mutex::default(),
            workers: workers.max(1),
            queue_max,
            wait,
        }))
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        account: &Account,
        pictures: usize,
        is_firm: bool,
        work: impl FnOnce(Left) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let turn = self.turn(account, pictures, is_firm).await?;
        let leaving = Leaving(Left::default());
        let left = leaving.0.clone();
        let done = on_thread(move || {
            // Given back when the work is done, not when somebody stops waiting for it.
            let mut turn = turn;
            turn.began = Some(Instant::now());
            work(left)
        });
        done.await.ok_or(Busy::FOR_A_MOMENT)
    }

    pub(super) fn check(&self, account: &Account, pictures: usize) -> Result<(), Busy> {
        let state = self.state();
        if self.fits(&state, account, pictures)
            || state.waiting.gives_way_to(account, pictures as f64)
        {
            return Ok(());
        }
        Err(self.busy(&state, is_above_share(&state, account)))
    }

    async fn turn(&self, account: &Account, pictures: usize, is_firm: bool) -> Result<Turn, Busy> {
        let (given, turn) = oneshot::channel();
        let place = self.enter(account, pictures, is_firm, given)?;
        let _withdrawal = Withdrawal { faces: self, place };
        // Dropped unsent, it had to give way.
        turn.await
            .map_err(|_displaced| self.busy(&self.state(), true))
    }

    fn enter(
        &self,
        account: &Account,
        pictures: usize,
        is_firm: bool,
        given: oneshot::Sender<Turn>,
    ) -> Result<Place, Busy> {
        let mut state = self.state();
        let cost = pictures as f64;
        let mut displaced = Vec::new();
        while !is_firm && !self.fits(&state, account, pictures) {
            let Some(given_up) = state.waiting.make_room(account, cost) else {
                // Nobody gives anything up for one who does not come in.
                for given_up in displaced.into_iter().rev() {
                    state.waiting.put_back(given_up);
                }
                return Err(self.busy(&state, is_above_share(&state, account)));
            };
            displaced.push(given_up);
        }
        let place = state
            .waiting
            .push(account, cost, is_firm, (pictures, given));
        self.give_turns(&mut state);
        Ok(place)
    }

    /// Lets in as many as there are free workers.
    fn give_turns(&self, state: &mut State) {
        while state.running < self.0.workers {
            let Some((_, (pictures, given))) = state.waiting.take_next() else {
                return;
            };
            let turn = Turn {
                faces: Some(self.clone()),
                pictures,
                began: None,
            };
            state.running += 1;
            if let Err(mut unwanted) = given.send(turn) {
                // Whoever waited has left. It would wait for us to give itself back.
                unwanted.faces = None;
                state.running -= 1;
            }
        }
    }

    fn fits(&self, state: &State, account: &Account, pictures: usize) -> bool {
        if state.waiting.is_empty() && state.running < self.0.workers {
            return true;
        }
        let own = state.waiting.cost_of(account) + pictures as f64;
        // Of what another account has waiting no more than this comes before: the rest is served after.
        let others = state
            .waiting
            .lines()
            .filter(|(other, ..)| *other != account);
        let cost = own + others.map(|(_, cost, _)| cost.min(own)).sum::<f64>();
        state.waiting.len() < self.0.queue_max && self.time(state, cost) <= self.0.wait
    }

    /// How long work that costs so much will take from now on.
    fn time(&self, state: &State, cost: f64) -> Duration {
        // Those that run are half done on average.
        let ahead = cost + state.running as f64 / 2.0;
        let seconds = ahead * state.seconds_per_picture / self.0.workers as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn busy(&self, state: &State, is_above_share: bool) -> Busy {
        let wait = self.time(state, state.waiting.cost());
        Busy {
            is_above_share,
            again_after: wait.saturating_sub(self.0.wait / 2),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing of ours panics while it changes the state.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Only who keeps others waiting is above a share.
fn is_above_share(state: &State, account: &Account) -> bool {
    state.waiting.cost_of(account) > 0.0 && state.waiting.has_others_than(account)
}

impl State {
    fn learn(&mut self, seconds: f64) {
        let known = self.seconds_per_picture;
        self.seconds_per_picture = if known == 0.0 {
            seconds
        } else {
            known + NEWEST_WEIGHT * (seconds - known)
        };
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
        state.running -= 1;
        faces.give_turns(&mut state);
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Withdrawal<'_> {
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
            faces.run(&account, 1, false, work).await
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
        let refused = faces.run(&account("a"), 1, false, |_| ()).await;
        assert!(!refused.unwrap_err().is_above_share, "nobody else waits");
        assert!(faces.check(&account("a"), 1).is_err());
        drop((release_first, release_second));
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(()));
        assert_eq!(faces.run(&account("a"), 1, false, |_| 7).await, Ok(7));
        assert!(faces.check(&account("a"), 1).is_ok());
    }

    #[tokio::test]
    async fn what_would_wait_too_long_is_refused_when_it_comes() {
        let faces = Faces::new(2, 100, Duration::from_secs(3));
        let running = [held(&faces, "a"), held(&faces, "a")];
        until_running(&faces, 2).await;
        faces.state().seconds_per_picture = 1.0;
        // Both workers are busy for half a second more; then two pictures take a second.
        let mut waiting = Vec::new();
        for count in 1..=5 {
            waiting.push(held(&faces, "a"));
            until_waiting(&faces, count).await;
        }
        let refused = faces
            .run(&account("a"), 1, false, |_| ())
            .await
            .unwrap_err();
        assert_eq!(refused.again_after_seconds(), 2);
        assert!(faces.check(&account("a"), 1).is_err());
        let firm = faces.clone();
        let firm = tokio::spawn(async move { firm.run(&account("a"), 1, true, |_| ()).await });
        until_waiting(&faces, 6).await;
        drop(running);
        drop(waiting);
        assert_eq!(firm.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn an_idle_worker_takes_whatever_comes() {
        let faces = Faces::new(1, 0, Duration::from_millis(1));
        faces.state().seconds_per_picture = 100.0;
        assert_eq!(faces.run(&account("a"), 1000, false, |_| 1).await, Ok(1));
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
        let more = faces.run(&account("much"), 1, false, |_| ()).await;
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
            theirs.run(&account("a"), 1, false, work).await
        });
        until_waiting(&faces, 1).await;
        waiting.abort();
        until_waiting(&faces, 0).await;
        drop(release);
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(faces.run(&account("a"), 1, false, |_| ()).await, Ok(()));
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
            theirs.run(&account("a"), 1, false, work).await
        });
        until_running(&faces, 1).await;
        time::sleep(Duration::from_millis(10)).await;
        client.abort();
        until_running(&faces, 0).await;
        told.recv().unwrap();
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_and_gives_its_place_back() {
        let faces = Faces::new(1, 0, LONG);
        let theirs = faces.clone();
        let handle = tokio::spawn(async move {
            theirs
                .run(&account("a"), 1, false, |_| panic!("on purpose"))
                .await
        });
        let result: Result<Result<(), Busy>, _> = handle.await;
        assert!(result.unwrap_err().is_panic());
        assert_eq!(faces.run(&account("a"), 1, false, |_| ()).await, Ok(()));
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
