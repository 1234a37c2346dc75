//! The questions that wait: which may come in, and which are answered next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pace::{Extent, Pace};
use crate::code::Probe;
use crate::engine::{Gallery, IdentifyOptions};
use crate::search::Query;
use crate::turns::{Account, Place, Waiting};

/// A pass takes so many probes, however long it takes: fewer would waste most of the time on waiting
/// for memory.
const PROBES_PER_PASS_MIN: usize = 64;
/// More would save little: by then a pass computes far longer than it waits for memory.
const PROBES_PER_PASS_MAX: usize = 512;
/// More than the least number of probes share a pass only if it takes no longer than this, since
/// whoever comes meanwhile waits for its end.
const PASS_MAX: Duration = Duration::from_millis(200);

/// One or several people to be identified in one gallery, for one account.
#[derive(Debug)]
pub struct Question {
    /// Whose share it comes from.
    pub account: Account,
    /// Where to look.
    pub gallery: Gallery,
    /// For whom. Many at once delay others: better ask for 64 at a time.
    pub queries: Vec<QuestionQuery>,
    /// When nobody wants an answer any more.
    pub not_after: Option<Instant>,
}

/// Somebody who is looked for.
#[derive(Clone)]
pub struct QuestionQuery {
    /// The face.
    pub probe: Probe,
    /// What is asked.
    pub options: IdentifyOptions,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct SchedulerLimits {
    /// A question is refused if its answer would probably take longer than this.
    pub answer_within: Duration,
    /// The most questions that wait.
    pub questions_max: usize,
}

/// A question is not answered, since too much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// By all together.
    #[error("too much waits for its turn")]
    Busy {
        /// When there will probably be room.
        again_after: Duration,
    },
    /// By this account, who keeps others waiting.
    #[error("too much of this account waits for its turn")]
    AboveShare {
        /// When there will probably be room.
        again_after: Duration,
    },
}

/// The questions that wait, each with a tag of whoever keeps the queue.
#[derive(Debug)]
pub(super) struct Queue<A> {
    waiting: Waiting<Entry<A>>,
    pace: Pace,
    limits: SchedulerLimits,
    /// When the pass that runs will probably be over.
    busy_until: Option<Instant>,
}

/// A question, and how its answer is told.
#[derive(Debug)]
pub(super) struct Entry<A> {
    pub(super) question: Question,
    pub(super) answered: A,
    extent: Extent,
}

/// Questions of one gallery that are answered together.
#[derive(Debug)]
pub(super) struct Pass<A> {
    pub(super) gallery: Gallery,
    pub(super) extent: Extent,
    pub(super) probes: usize,
    pub(super) entries: Vec<Entry<A>>,
}

/// What came of pushing a question.
pub(super) struct Pushed<A> {
    /// Where it waits.
    pub(super) place: Place,
    /// Questions of others, who had more than their share, that make room for it.
    pub(super) displaced: Vec<(Entry<A>, Refusal)>,
}

impl Question {
    /// How many people are looked for.
    pub fn probes(&self) -> usize {
        self.queries.len()
    }

    /// Each of them.
    pub(super) fn queries(&self) -> impl Iterator<Item = Query<'_>> {
        let queries = self.queries.iter();
        queries.map(|query| query.options.query(&query.probe))
    }

    /// Galleries are the same if they are of the same memory, which is kept as long as one asks.
    fn gallery_key(&self) -> usize {
        Arc::as_ptr(&self.gallery.partition).addr()
    }
}

impl std::fmt::Debug for QuestionQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values = self.probe.dimension();
        write!(f, "QuestionQuery({values} values, {:?})", self.options)
    }
}

impl<A> Queue<A> {
    pub(super) fn new(limits: SchedulerLimits) -> Queue<A> {
        Queue {
            waiting: Waiting::default(),
            pace: Pace::default(),
            limits,
            busy_until: None,
        }
    }

    /// Whether a question would be let in.
    pub(super) fn check(
        &self,
        account: &Account,
        gallery: &Gallery,
        probes: usize,
        now: Instant,
    ) -> Result<(), Refusal> {
        let key = Arc::as_ptr(&gallery.partition).addr();
        let extent = extent(gallery);
        if self.fits(account, key, extent, probes, now) {
            return Ok(());
        }
        // Others may have to give way; that is seen when it comes.
        if self.waiting.gives_way_to(account, cost(extent, probes)) {
            return Ok(());
        }
        Err(self.refusal(account, now))
    }

    /// Lets a question in unless its answer would come too late. One that is firm is let in whatever
    /// waits.
    pub(super) fn push(
        &mut self,
        question: Question,
        answered: A,
        is_firm: bool,
        now: Instant,
    ) -> Result<Pushed<A>, (A, Refusal)> {
        let (extent, probes) = (extent(&question.gallery), question.probes());
        let (account, cost) = (question.account.clone(), cost(extent, probes));
        let mut displaced = Vec::new();
        while !is_firm && !self.fits(&account, question.gallery_key(), extent, probes, now) {
            let Some(given_up) = self.waiting.make_room(&account, cost) else {
                // Nobody gives anything up for one who does not come in.
                for given_up in displaced.into_iter().rev() {
                    self.waiting.put_back(given_up);
                }
                return Err((answered, self.refusal(&account, now)));
            };
            displaced.push(given_up);
        }
        let again_after = self.again_after(now);
        let displaced = displaced.into_iter().map(|given_up| {
            let refusal = Refusal::AboveShare { again_after };
            (given_up.into_work(), refusal)
        });
        let displaced = displaced.collect();
        let entry = Entry {
            question,
            answered,
            extent,
        };
        let place = self.waiting.push(&account, cost, is_firm, entry);
        Ok(Pushed { place, displaced })
    }

    pub(super) fn withdraw(&mut self, place: &Place) -> Option<Entry<A>> {
        self.waiting.withdraw(place)
    }

    /// Those whose time is over.
    pub(super) fn take_late(&mut self, now: Instant) -> Vec<Entry<A>> {
        let is_late = |entry: &Entry<A>| entry.question.not_after.is_some_and(|end| end <= now);
        if self.waiting.iter().any(is_late) {
            self.waiting.withdraw_all(is_late)
        } else {
            Vec::new()
        }
    }

    /// The questions that are answered next, together.
    pub(super) fn take_pass(&mut self, now: Instant) -> Option<Pass<A>> {
        let (_, first) = self.waiting.take_next()?;
        let (key, extent) = (first.question.gallery_key(), first.extent);
        let probes_max = self.probes_per_pass(extent);
        let gallery = first.question.gallery.clone();
        let (mut probes, mut entries) = (first.question.probes(), vec![first]);
        let fits = |entry: &Entry<A>, probes: usize| {
            entry.question.gallery_key() == key && probes + entry.question.probes() <= probes_max
        };
        while let Some((_, entry)) = self.waiting.take_next_of(|entry| fits(entry, probes)) {
            probes += entry.question.probes();
            entries.push(entry);
        }
        self.busy_until = Some(now + self.pace.of(extent, probes));
        Some(Pass {
            gallery,
            extent,
            probes,
            entries,
        })
    }

    /// A pass is over, and answered its questions in this time.
    pub(super) fn learn(&mut self, extent: Extent, probes: usize, taken: Duration) {
        self.pace.learn(extent, probes, taken);
        self.busy_until = None;
    }

    /// A pass is over, and says nothing of how long others take.
    pub(super) fn fail(&mut self) {
        self.busy_until = None;
    }

    pub(super) fn probes(&self) -> usize {
        self.waiting
            .iter()
            .map(|entry| entry.question.probes())
            .sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// All that waits, in no order.
    pub(super) fn take_all(&mut self) -> Vec<Entry<A>> {
        self.waiting.withdraw_all(|_| true)
    }

    /// Whether a question comes to its answer in time, if it came now. One that comes first does, however
    /// long that takes.
    fn fits(
        &self,
        account: &Account,
        key: usize,
        extent: Extent,
        probes: usize,
        now: Instant,
    ) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        let own = self.waiting.cost_of(account) + cost(extent, probes);
        // Of what another account has waiting no more than this comes before the question: the rest
        // is served after it.
        let before = |other: &Account, cost: f64| {
            if other == account {
                1.0
            } else {
                (own / cost).min(1.0)
            }
        };
        let waiting = self.waiting.lines().flat_map(|(other, cost, entries)| {
            let share = before(other, cost);
            entries.map(move |entry| (entry, share))
        });
        self.waiting.len() < self.limits.questions_max
            && self.time_to_answer(waiting, Some((key, extent, probes)), now)
                <= self.limits.answer_within
    }

    /// How long it takes until such shares of what waits are answered, with one more question.
    fn time_to_answer<'a>(
        &'a self,
        waiting: impl Iterator<Item = (&'a Entry<A>, f64)>,
        more: Option<(usize, Extent, usize)>,
        now: Instant,
    ) -> Duration
    where
        A: 'a,
    {
        let waiting = waiting.map(|(entry, share)| {
            let question = &entry.question;
            let probes = question.probes() as f64 * share;
            (question.gallery_key(), entry.extent, probes)
        });
        let more = more.map(|(key, extent, probes)| (key, extent, probes as f64));
        let mut galleries: BTreeMap<usize, (Extent, f64)> = BTreeMap::new();
        for (key, extent, probes) in waiting.chain(more) {
            let (_, sum) = galleries.entry(key).or_insert((extent, 0.0));
            *sum += probes;
        }
        let passes = galleries.values().map(|&(extent, probes)| {
            let probes = probes.ceil() as usize;
            let per_pass = self.probes_per_pass(extent);
            let full = u32::try_from(probes / per_pass).unwrap_or(u32::MAX);
            let rest = self.pace.of(extent, probes % per_pass);
            let full = self.pace.of(extent, per_pass).saturating_mul(full);
            full.saturating_add(rest)
        });
        let left = self
            .busy_until
            .map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        passes.fold(left, Duration::saturating_add)
    }

    /// How many probes share a pass over so much.
    fn probes_per_pass(&self, extent: Extent) -> usize {
        let mut probes = PROBES_PER_PASS_MIN;
        let is_known = !self.pace.of(extent, probes).is_zero();
        while is_known
            && probes < PROBES_PER_PASS_MAX
            && self.pace.of(extent, 2 * probes) <= PASS_MAX
        {
            probes *= 2;
        }
        probes
    }

    /// Only who keeps others waiting is above a share.
    fn refusal(&self, account: &Account, now: Instant) -> Refusal {
        let again_after = self.again_after(now);
        let waits_itself = self.waiting.cost_of(account) > 0.0;
        if waits_itself && self.waiting.has_others_than(account) {
            Refusal::AboveShare { again_after }
        } else {
            Refusal::Busy { again_after }
        }
    }

    fn again_after(&self, now: Instant) -> Duration {
        let all = self.waiting.iter().map(|entry| (entry, 1.0));
        let wait = self.time_to_answer(all, None, now);
        wait.saturating_sub(self.limits.answer_within / 2)
    }
}

fn extent(gallery: &Gallery) -> Extent {
    Extent {
        rows: gallery.templates(),
        dimension: gallery.encoder().dimension(),
    }
}

fn cost(extent: Extent, probes: usize) -> f64 {
    extent.values() * probes as f64
}
