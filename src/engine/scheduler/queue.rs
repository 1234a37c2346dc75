//! The questions that wait: which may come in, and which are answered next.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pace::{Extent, Lateness, Pace};
use crate::code::Probe;
use crate::counts::Stages;
use crate::engine::{Gallery, IdentifyOptions};
use crate::search::Query;
use crate::turns::{Account, Fit, Place, Waiting};

/// A pass takes so many probes, however long it takes: fewer would waste most of the time on waiting
/// for memory.
const PROBES_PER_PASS_MIN: usize = 64;
/// More would save little: by then a pass computes far longer than it waits for memory.
const PROBES_PER_PASS_MAX: usize = 512;
/// More than the least number of probes share a pass only if it takes no longer than this, since
/// whoever comes meanwhile waits for its end.
const PASS_MAX: Duration = Duration::from_millis(200);
/// What was expected to take less than this share of what an answer may take says little of how late
/// answers are: most of it is the end of the pass that runs.
const TELLING_SHARE: f64 = 0.125;

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

/// The questions that wait, each with what tells its answer.
#[derive(Debug)]
pub(super) struct Queue<A> {
    waiting: Waiting<Waiter<A>>,
    pace: Pace,
    limits: SchedulerLimits,
    /// When the pass that runs will probably be over.
    busy_until: Option<Instant>,
    lateness: Lateness,
}

/// A question, and how its answer is told.
#[derive(Debug)]
pub(super) struct Entry<A> {
    pub(super) question: Question,
    pub(super) answered: A,
    /// Since when it waits.
    pub(super) since: Instant,
    /// How long it was then thought to take, from how long passes take.
    pub(super) expected: Duration,
    /// The steps of what it is asked for.
    pub(super) stages: Stages,
}

/// A question, or the promise that one will be answered.
#[derive(Debug)]
struct Waiter<A> {
    load: Load,
    /// None as long as it is only promised.
    entry: Option<Entry<A>>,
}

/// What a question costs.
#[derive(Clone, Copy, Debug)]
struct Load {
    /// Galleries are the same if they are of the same memory, which is kept as long as one asks, and the
    /// same labels are asked for; of those this is a hash.
    gallery: usize,
    extent: Extent,
    probes: usize,
}

/// Questions of one gallery that are answered together.
#[derive(Debug)]
pub(super) struct Pass<A> {
    pub(super) gallery: Gallery,
    pub(super) extent: Extent,
    pub(super) probes: usize,
    pub(super) entries: Vec<Entry<A>>,
}

/// A question was let in, or promised to be.
pub(super) struct LetIn<A> {
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
}

impl<A> Entry<A> {
    /// Since when it waits, and how long it was then thought to take.
    pub(super) fn expectation(&self) -> (Instant, Duration) {
        (self.since, self.expected)
    }
}

fn key_of(gallery: &Gallery) -> usize {
    let mut hasher = DefaultHasher::new();
    gallery.labels.hash(&mut hasher);
    Arc::as_ptr(&gallery.partition).addr() ^ hasher.finish() as usize
}

impl Load {
    fn of(gallery: &Gallery, probes: usize) -> Load {
        Load {
            gallery: key_of(gallery),
            extent: Extent {
                rows: gallery.templates(),
                dimension: gallery.encoder().dimension(),
            },
            probes,
        }
    }

    fn cost(&self) -> f64 {
        self.extent.values() * self.probes as f64
    }
}

impl<A> Waiter<A> {
    fn is_ready(&self) -> bool {
        self.entry.is_some()
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
            lateness: Lateness::default(),
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
        let load = Load::of(gallery, probes);
        let fits = self.fits(&self.waiting, account, load, now);
        // Others may have to give way; that is seen when it comes.
        if fits == Fit::Fits || self.waiting.gives_way_to(account, load.cost(), fits) {
            return Ok(());
        }
        Err(self.refusal(account, now))
    }

    /// Lets a question in unless its answer would come too late.
    pub(super) fn push(
        &mut self,
        question: Question,
        answered: A,
        now: Instant,
    ) -> Result<LetIn<A>, Refusal> {
        let account = question.account.clone();
        let load = Load::of(&question.gallery, question.probes());
        let entry = Entry {
            question,
            answered,
            since: now,
            expected: self.time_to_answer(&self.waiting, &account, load, now),
            stages: Stages::current(),
        };
        self.let_in(&account, load, Some(entry), now)
    }

    /// Lets a question in that comes later, by [`Queue::keep_promise`]: nobody else gets its place.
    pub(super) fn promise(
        &mut self,
        account: &Account,
        gallery: &Gallery,
        probes: usize,
        now: Instant,
    ) -> Result<LetIn<A>, Refusal> {
        self.let_in(account, Load::of(gallery, probes), None, now)
    }

    /// The question that was promised an answer is there.
    pub(super) fn keep_promise(
        &mut self,
        place: &Place,
        question: Question,
        answered: A,
        now: Instant,
    ) {
        let load = Load::of(&question.gallery, question.probes());
        // Whoever is promised an answer need not know yet for how many people.
        self.waiting.set_cost(place, load.cost());
        let expected = self.time_to_answer(&self.waiting, &question.account, load, now);
        if let Some(waiter) = self.waiting.get_mut(place) {
            waiter.load = load;
            waiter.entry = Some(Entry {
                question,
                answered,
                since: now,
                expected,
                stages: Stages::current(),
            });
        }
    }

    fn let_in(
        &mut self,
        account: &Account,
        load: Load,
        entry: Option<Entry<A>>,
        now: Instant,
    ) -> Result<LetIn<A>, Refusal> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let fits = |waiting: &Waiting<Waiter<A>>| self.fits(waiting, account, load, now);
        let displaced = waiting.make_room(account, load.cost(), fits);
        self.waiting = waiting;
        let Some(displaced) = displaced else {
            return Err(self.refusal(account, now));
        };
        let again_after = self.again_after(now);
        let displaced = displaced.into_iter().filter_map(|waiter| {
            let refusal = Refusal::AboveShare { again_after };
            Some((waiter.entry?, refusal))
        });
        let displaced = displaced.collect();
        let is_promise = entry.is_none();
        let waiter = Waiter { load, entry };
        let place = self.waiting.push(account, load.cost(), is_promise, waiter);
        Ok(LetIn { place, displaced })
    }

    pub(super) fn withdraw(&mut self, place: &Place) -> Option<Entry<A>> {
        self.waiting.withdraw(place)?.entry
    }

    /// Those whose time is over.
    pub(super) fn take_late(&mut self, now: Instant) -> Vec<Entry<A>> {
        let is_late = |waiter: &Waiter<A>| {
            let end = waiter
                .entry
                .as_ref()
                .and_then(|entry| entry.question.not_after);
            end.is_some_and(|end| end <= now)
        };
        if !self.waiting.iter().any(is_late) {
            return Vec::new();
        }
        let late = self.waiting.withdraw_all(is_late).into_iter();
        late.filter_map(|waiter| waiter.entry).collect()
    }

    /// The questions that are answered next, together.
    pub(super) fn take_pass(&mut self, now: Instant) -> Option<Pass<A>> {
        let (_, first) = self.waiting.take_next_of(Waiter::is_ready)?;
        let Load {
            gallery: key,
            extent,
            mut probes,
        } = first.load;
        let mut entries = vec![first.entry?];
        let gallery = entries[0].question.gallery.clone();
        let probes_max = self.probes_per_pass(extent);
        let fits = |waiter: &Waiter<A>, probes: usize| {
            let load = waiter.load;
            let entry = waiter.entry.as_ref();
            load.gallery == key
                && probes + load.probes <= probes_max
                && entry.is_some_and(|entry| entry.question.gallery.labels == gallery.labels)
        };
        while let Some((_, next)) = self.waiting.take_next_of(|next| fits(next, probes)) {
            probes += next.load.probes;
            entries.extend(next.entry);
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

    /// An answer that was `expected` to take so long took `taken`.
    pub(super) fn learn_lateness(&mut self, expected: Duration, taken: Duration) {
        if expected >= self.limits.answer_within.mul_f64(TELLING_SHARE) {
            self.lateness.learn(expected, taken);
        }
    }

    /// A pass is over, and says nothing of how long others take.
    pub(super) fn fail(&mut self) {
        self.busy_until = None;
    }

    /// For how many people questions wait that can be answered.
    pub(super) fn probes(&self) -> usize {
        let ready = self.waiting.iter().filter(|waiter| waiter.is_ready());
        ready.map(|waiter| waiter.load.probes).sum()
    }

    /// How many probes the next pass has if those who have just been answered, with so many, ask again
    /// at once: theirs and those that wait, as far as one pass takes them.
    pub(super) fn probes_of_next_pass(&self, extent: Extent, answered: usize) -> usize {
        let asking = self.probes().saturating_add(answered);
        asking.min(self.probes_per_pass(extent))
    }

    /// How many questions wait, those counted that are only promised.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a question waits that can be answered.
    pub(super) fn is_ready(&self) -> bool {
        self.waiting.iter().any(Waiter::is_ready)
    }

    /// All that waits, in no order.
    pub(super) fn take_all(&mut self) -> Vec<Entry<A>> {
        let all = self.waiting.withdraw_all(|_| true).into_iter();
        all.filter_map(|waiter| waiter.entry).collect()
    }

    /// Whether a question comes to its answer in time, if it came to those that wait now, and what
    /// there is too much of otherwise. One that
    /// comes first does, however long that takes.
    fn fits(
        &self,
        waiting: &Waiting<Waiter<A>>,
        account: &Account,
        load: Load,
        now: Instant,
    ) -> Fit {
        let is_idle = || self.busy_until.is_none() && !waiting.iter().any(Waiter::is_ready);
        if waiting.is_empty() || is_idle() {
            return Fit::Fits;
        }
        if waiting.len() >= self.limits.questions_max {
            return Fit::TooMany;
        }
        let expected = self.time_to_answer(waiting, account, load, now);
        match self.lateness.of(expected) <= self.limits.answer_within {
            true => Fit::Fits,
            false => Fit::TooLong,
        }
    }

    /// How long a question takes if it comes to those that wait, from how long passes take.
    fn time_to_answer(
        &self,
        waiting: &Waiting<Waiter<A>>,
        account: &Account,
        load: Load,
        now: Instant,
    ) -> Duration {
        let before = waiting.before(account, load.cost());
        let before = before.map(|(waiter, share)| (waiter.load, share));
        self.time_for(before.chain([(load, 1.0)]), now)
    }

    /// How long it takes until such shares of questions are answered.
    fn time_for(&self, shares: impl Iterator<Item = (Load, f64)>, now: Instant) -> Duration {
        let mut galleries: BTreeMap<usize, (Extent, f64)> = BTreeMap::new();
        let mut add = |(key, extent, probes)| {
            let (_, sum) = galleries.entry(key).or_insert((extent, 0.0));
            *sum += probes;
        };
        // All that waits is looked at whenever somebody comes, and most of it is of one gallery.
        let mut run: Option<(usize, Extent, f64)> = None;
        for (load, share) in shares {
            let more = load.probes as f64 * share;
            match &mut run {
                Some((key, _, probes)) if *key == load.gallery => *probes += more,
                _ => run
                    .replace((load.gallery, load.extent, more))
                    .into_iter()
                    .for_each(&mut add),
            }
        }
        run.into_iter().for_each(add);
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
        let all = self.waiting.iter().map(|waiter| (waiter.load, 1.0));
        let wait = self.lateness.of(self.time_for(all, now));
        wait.saturating_sub(self.limits.answer_within / 2)
    }
}
