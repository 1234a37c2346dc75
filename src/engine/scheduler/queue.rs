//! The questions that wait: which may come in, and which are answered next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Pace;
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
/// What a question costs beside the rows: as much as so many more.
const ROWS_OF_OVERHEAD: usize = 4096;

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
    rows: usize,
}

/// Questions of one gallery that are answered together.
#[derive(Debug)]
pub(super) struct Pass<A> {
    pub(super) gallery: Gallery,
    pub(super) rows: usize,
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
        if self.fits(key, gallery.templates(), probes, now) {
            return Ok(());
        }
        // Others may have to give way; that is seen when it comes.
        if self
            .waiting
            .gives_way_to(account, cost(gallery.templates(), probes))
        {
            return Ok(());
        }
        Err(self.refusal(self.waiting.has_others_than(account), now))
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
        let (rows, probes) = (question.gallery.templates(), question.probes());
        let (account, cost) = (question.account.clone(), cost(rows, probes));
        let mut displaced = Vec::new();
        while !is_firm && !self.fits(question.gallery_key(), rows, probes, now) {
            let Some(entry) = self.waiting.make_room(&account, cost) else {
                return Err((
                    answered,
                    self.refusal(self.waiting.has_others_than(&account), now),
                ));
            };
            displaced.push((entry, self.refusal(true, now)));
        }
        let entry = Entry {
            question,
            answered,
            rows,
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
        let (key, rows) = (first.question.gallery_key(), first.rows);
        let probes_max = self.probes_per_pass(rows);
        let gallery = first.question.gallery.clone();
        let (mut probes, mut entries) = (first.question.probes(), vec![first]);
        let fits = |entry: &Entry<A>, probes: usize| {
            entry.question.gallery_key() == key && probes + entry.question.probes() <= probes_max
        };
        while let Some((_, entry)) = self.waiting.take_next_of(|entry| fits(entry, probes)) {
            probes += entry.question.probes();
            entries.push(entry);
        }
        self.busy_until = Some(now + self.pace.of(rows, probes));
        Some(Pass {
            gallery,
            rows,
            probes,
            entries,
        })
    }

    /// A pass is over.
    pub(super) fn learn(&mut self, rows: usize, probes: usize, taken: Duration) {
        self.pace.learn(rows, probes, taken);
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
    fn fits(&self, key: usize, rows: usize, probes: usize, now: Instant) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        self.waiting.len() < self.limits.questions_max
            && self.time_to_answer(Some((key, rows, probes)), now) <= self.limits.answer_within
    }

    /// How long it takes until all that waits is answered, with one more question.
    fn time_to_answer(&self, more: Option<(usize, usize, usize)>, now: Instant) -> Duration {
        let waiting = self.waiting.iter().map(|entry| {
            let question = &entry.question;
            (question.gallery_key(), entry.rows, question.probes())
        });
        let mut galleries: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (key, rows, probes) in waiting.chain(more) {
            let (known, sum) = galleries.entry(key).or_default();
            (*known, *sum) = (rows.max(*known), *sum + probes);
        }
        let passes = galleries.values().map(|&(rows, probes)| {
            let per_pass = self.probes_per_pass(rows);
            let full = u32::try_from(probes / per_pass).unwrap_or(u32::MAX);
            self.pace.of(rows, per_pass).saturating_mul(full)
                + self.pace.of(rows, probes % per_pass)
        });
        let left = self
            .busy_until
            .map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        left + passes.sum::<Duration>()
    }

    /// How many probes share a pass over so many rows.
    fn probes_per_pass(&self, rows: usize) -> usize {
        let mut probes = PROBES_PER_PASS_MIN;
        let is_known = !self.pace.of(rows, probes).is_zero();
        while is_known && probes < PROBES_PER_PASS_MAX && self.pace.of(rows, 2 * probes) <= PASS_MAX
        {
            probes *= 2;
        }
        probes
    }

    fn refusal(&self, is_above_share: bool, now: Instant) -> Refusal {
        let wait = self.time_to_answer(None, now);
        let again_after = wait.saturating_sub(self.limits.answer_within / 2);
        if is_above_share {
            Refusal::AboveShare { again_after }
        } else {
            Refusal::Busy { again_after }
        }
    }
}

fn cost(rows: usize, probes: usize) -> f64 {
    rows.saturating_add(ROWS_OF_OVERHEAD) as f64 * probes as f64
}
