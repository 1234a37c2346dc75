//! When each call is due.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{Notify, mpsc};
use tokio::task;

use super::calls::Calls;
use super::tally::Tally;
use super::wire::Wire;
use crate::cli::args::{CallKind, Load};

/// How calls follow each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// So many a second, whatever becomes of them.
    Rate(f64),
    /// So many clients, each of which asks when it is answered.
    Clients(usize),
}

/// What makes calls.
pub(super) struct Drive {
    shared: Rc<Shared>,
    seed: u64,
    is_random: bool,
    warm_up: Duration,
    length: Duration,
}

struct Shared {
    calls: Calls,
    wire: Wire,
    timeout: Duration,
    under_way: Cell<usize>,
    ended: Notify,
}

/// What came of one pace.
pub(super) struct Driven {
    pub(super) tally: Tally,
    /// Processor time that the generator took, in seconds a second.
    pub(super) cores: f64,
    pub(super) connections_most: usize,
    /// The calls and their shares, of 1 together.
    pub(super) shares: Vec<(CallKind, f64)>,
}

/// So that the thread of the clock has begun before the first call is due.
const HEAD_START: Duration = Duration::from_millis(20);

impl Drive {
    pub(super) fn new(verb: &Load, calls: Calls, wire: Wire) -> Drive {
        Drive {
            shared: Rc::new(Shared {
                calls,
                wire,
                timeout: verb.timeout,
                under_way: Cell::new(0),
                ended: Notify::new(),
            }),
            seed: verb.seed,
            is_random: verb.poisson,
            warm_up: verb.warm_up,
            length: verb.seconds,
        }
    }

    /// Makes calls at one pace, and waits until all have ended.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub(super) async fn run(&self, pace: Pace) -> anyhow::Result<Driven> {
        let begins = Instant::now() + HEAD_START;
        let tally = Tally::new(begins + self.warm_up, self.length);
        let tally = Rc::new(RefCell::new(tally));
        let (processor, started) = (processor_time(), Instant::now());
        self.shared.wire.take_most_open();
        match pace {
            Pace::Rate(rate) => self.keep_rate(rate, begins, &tally).await?,
            Pace::Clients(clients) => self.keep_clients(clients, begins, &tally).await,
        }
        while self.shared.under_way.get() > 0 {
            self.shared.ended.notified().await;
        }
        let cores = (processor_time() - processor) / started.elapsed().as_secs_f64();
        let now = Instant::now();
        let empty = Tally::new(now, Duration::ZERO);
        Ok(Driven {
            tally: tally.replace(empty),
            cores,
            connections_most: self.shared.wire.take_most_open(),
            shares: self.shared.calls.shares().collect(),
        })
    }

    async fn keep_rate(
        &self,
        rate: f64,
        begins: Instant,
        tally: &Rc<RefCell<Tally>>,
    ) -> anyhow::Result<()> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let arrivals = Arrivals {
            rate,
            random: self.is_random.then(|| StdRng::seed_from_u64(!self.seed)),
            after: 0.0,
            count: 0,
        };
        let length = (self.warm_up + self.length).as_secs_f64();
        let (sender, mut receiver) = mpsc::unbounded_channel();
        // A thread sleeps to within 0.1 ms, the timers of the runtime to within 1 ms.
        let clock = thread::Builder::new().name("clock".to_owned());
        let clock = clock.spawn(move || {
            for after in arrivals.take_while(|after| *after < length) {
                let due = begins + Duration::from_secs_f64(after);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if sender.send(due).is_err() {
                    break;
                }
            }
        });
        let clock = clock.context("starting the clock")?;
        while let Some(due) = receiver.recv().await {
            let kind = self.shared.calls.choose(&mut random);
            tally.borrow_mut().goes_out(due, Instant::now());
            let call = Shared::call(self.shared.clone(), kind, due, tally.clone());
            task::spawn_local(call);
        }
        // It has nothing left to do but to end.
        let _ = clock.join();
        Ok(())
    }

    async fn keep_clients(&self, clients: usize, begins: Instant, tally: &Rc<RefCell<Tally>>) {
        let ends = begins + self.warm_up + self.length;
        let all: Vec<_> = (0..clients as u64)
            .map(|client| {
                let (shared, tally) = (self.shared.clone(), tally.clone());
                let mut random = StdRng::seed_from_u64(self.seed ^ (client << 32));
                task::spawn_local(async move {
                    while Instant::now() < ends {
                        let (kind, due) = (shared.calls.choose(&mut random), Instant::now());
                        tally.borrow_mut().goes_out(due, due);
                        let was_broken =
                            Shared::call(shared.clone(), kind, due, tally.clone()).await;
                        if was_broken {
                            // A service that is gone is not asked a million times.
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                    }
                })
            })
            .collect();
        for client in all {
            // A panic was told already.
            let _ = client.await;
        }
    }
}

impl Shared {
    /// A call that is under way from now on, also while nobody has begun to wait for it. Returns
    /// whether there was no answer.
    fn call(
        shared: Rc<Shared>,
        kind: CallKind,
        due: Instant,
        tally: Rc<RefCell<Tally>>,
    ) -> impl Future<Output = bool> {
        shared.under_way.set(shared.under_way.get() + 1);
        Shared::answered(shared, kind, due, tally)
    }

    async fn answered(
        shared: Rc<Shared>,
        kind: CallKind,
        due: Instant,
        tally: Rc<RefCell<Tally>>,
    ) -> bool {
        let mut was_broken = false;
        let mut tell = |part| {
            let part: super::calls::Part = part;
            was_broken |= part.ended.is_err();
            tally.borrow_mut().note(due, &part);
        };
        let deadline = due + shared.timeout;
        shared
            .calls
            .make(kind, &shared.wire, due, deadline, &mut tell)
            .await;
        shared.under_way.set(shared.under_way.get() - 1);
        shared.ended.notify_one();
        was_broken
    }
}

/// When calls are due, in seconds after the first.
struct Arrivals {
    rate: f64,
    /// For times between them that are exponentially distributed, as between calls of many who know
    /// nothing of each other.
    random: Option<StdRng>,
    after: f64,
    count: u64,
}

impl Iterator for Arrivals {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        let due = match &mut self.random {
            // Not by adding up, which would drift.
            None => self.count as f64 / self.rate,
            Some(random) => {
                self.after -= (1.0 - random.random::<f64>()).ln() / self.rate;
                self.after
            }
        };
        self.count += 1;
        Some(due)
    }
}

/// What all threads of this process took together, in seconds.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(rate: f64, random: Option<u64>) -> Vec<f64> {
        let arrivals = Arrivals {
            rate,
            random: random.map(StdRng::seed_from_u64),
            after: 0.0,
            count: 0,
        };
        arrivals.take_while(|after| *after < 10.0).collect()
    }

    #[test]
    fn a_rate_is_kept_to_the_call() {
        let steady = arrivals(250.0, None);
        assert_eq!(steady.len(), 2500);
        assert_eq!(steady[..3], [0.0, 0.004, 0.008]);
        assert_eq!(arrivals(0.3, None).len(), 3);
    }

    #[test]
    fn random_arrivals_have_the_rate_on_average_and_spread_as_they_should() {
        let random = arrivals(1000.0, Some(7));
        // The deviation of a Poisson count of 10,000 is 100.
        assert!((9_600..10_400).contains(&random.len()), "{}", random.len());
        assert!(random.is_sorted());
        let gaps: Vec<f64> = random.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let long = gaps.iter().filter(|gap| **gap > 0.002).count();
        // exp(-2) of them.
        let share = long as f64 / gaps.len() as f64;
        assert!((0.12..0.15).contains(&share), "{share}");
        assert_eq!(random, arrivals(1000.0, Some(7)));
    }
}
