//! Who is not searched: people whose time is over, and people without a label that is asked for.
//!
//! A restricted snapshot is the same one with more rows that count as removed, so that a search knows
//! nothing of it and stays exact. Which rows that are is kept for each block and each label, and follows
//! every change of a record; what is not kept is made of the catalog when it is first asked for. Nothing
//! is read when a partition is opened.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Weak};

use super::StoreError;
use super::segment::{DeadRows, Segment};
use super::snapshot::{Block, Snapshot, Source};
use super::tail::TailBlock;
use crate::types::{ClassId, Labels, Timestamp};

/// So many labels are kept, those that were last asked for: each takes a bit for every row.
const LABELS_MAX: usize = 64;

/// Of a block with fewer rows than this the classes are looked up one by one.
const LOOKED_UP_ROWS_MAX: usize = 2048;

/// What a change of a record means for searches.
#[derive(Debug)]
pub(super) struct RecordEvent {
    pub(super) class: ClassId,
    pub(super) labels_before: Labels,
    pub(super) labels_after: Labels,
    pub(super) expires_before: Option<Timestamp>,
    pub(super) expires_after: Option<Timestamp>,
    /// Whether decisions about the class, or about another one, may be others now.
    pub(super) changes_rules: bool,
}

/// Some whose time ends, by when; and when the next one's does.
pub(super) type Ending = (Vec<(i64, ClassId)>, Option<i64>);

/// What the catalog says of the records of a partition.
pub(super) trait Facts {
    /// All classes that have a label, `key:value`.
    fn labelled(&self, label: &str) -> Result<HashSet<i64>, StoreError>;
    /// Which of some classes have it.
    fn labelled_of(&self, label: &str, classes: &[ClassId]) -> Result<HashSet<i64>, StoreError>;
    /// Those whose time ends after `after`, and at `until` or before; and when the next one ends.
    fn ending(&self, after: Option<i64>, until: i64) -> Result<Ending, StoreError>;
    /// The rules for decisions.
    fn rules(&self) -> Result<Rules, StoreError>;
}

/// What decisions about single classes follow.
#[derive(Debug, Default)]
pub struct Rules {
    /// The similarity from which on it is this class, in place of the one that holds for all.
    pub thresholds: BTreeMap<ClassId, f64>,
    /// For each class those that it is said not to be.
    pub not_same: BTreeMap<ClassId, Vec<ClassId>>,
}

impl Rules {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.thresholds.is_empty() && self.not_same.is_empty()
    }
}

/// What is known of a partition's records in memory.
#[derive(Default)]
pub(super) struct Filter {
    labels: HashMap<String, Hidden>,
    /// Counts the questions, to know which label was asked for last.
    asked: u64,
    ended: Option<Ended>,
    rules: Option<Arc<Rules>>,
}

/// Whose time is over.
struct Ended {
    /// Up to which moment they are known.
    until: i64,
    /// Those whose time was over then.
    classes: BTreeSet<(i64, ClassId)>,
    /// When the next one ends; none does where it is missing.
    next: Option<i64>,
    hidden: Hidden,
}

/// Rows that are hidden, by block.
#[derive(Default)]
struct Hidden {
    blocks: HashMap<BlockKey, (Kept, DeadRows)>,
    asked: u64,
}

/// What tells a block from all others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum BlockKey {
    Segment(u64),
    /// Where it is in memory.
    Tail(usize),
}

/// Where the rows of a block are found, as long as somebody else needs them: what is removed must go. It
/// also keeps the place in memory from being given to another block.
enum Kept {
    Segment(Weak<Segment>),
    Tail(Weak<TailBlock>),
}

impl Filter {
    /// A snapshot without those whose time is over at `now`, and with those alone who have all of
    /// `labels`.
    pub(super) fn restrict(
        &mut self,
        snapshot: Snapshot,
        now: Timestamp,
        labels: &Labels,
        facts: &dyn Facts,
    ) -> Result<Snapshot, StoreError> {
        let ended = self.ended_at(now.unix_milliseconds, facts)?;
        if labels.is_empty() && ended.classes.is_empty() {
            return Ok(snapshot);
        }
        let mut blocks: Vec<Block> = snapshot.blocks.to_vec();
        if !ended.classes.is_empty() {
            for block in &mut blocks {
                let hidden = ended.hidden.of(block, |dead| {
                    let classes = ended.classes.iter().map(|(_, class)| *class);
                    hide_classes(&snapshot, block, classes, dead)
                })?;
                block.dead = block.dead.union(hidden);
            }
            ended.hidden.forget_all_but(&snapshot);
        }
        for label in labels.texts() {
            self.hide_others(&snapshot, &mut blocks, &label, facts)?;
        }
        let blocks = Arc::new(blocks);
        Ok(Snapshot { blocks, ..snapshot })
    }

    /// What decisions follow.
    pub(super) fn rules(&mut self, facts: &dyn Facts) -> Result<Arc<Rules>, StoreError> {
        if let Some(rules) = &self.rules {
            return Ok(rules.clone());
        }
        let rules = Arc::new(facts.rules()?);
        self.rules = Some(rules.clone());
        Ok(rules)
    }

    /// Follows a change that is durable.
    pub(super) fn learn(&mut self, event: &RecordEvent) {
        if event.changes_rules {
            self.rules = None;
        }
        if let Some(ended) = &mut self.ended {
            ended.learn(event);
        }
        let before: BTreeSet<String> = event.labels_before.texts().collect();
        let after: BTreeSet<String> = event.labels_after.texts().collect();
        for label in before.symmetric_difference(&after) {
            let Some(hidden) = self.labels.get_mut(label) else {
                continue;
            };
            if hidden.put(event.class, !after.contains(label)).is_err() {
                // Whoever asks next reads it again, and is told what is damaged.
                self.labels.remove(label);
            }
        }
    }

    fn ended_at(&mut self, now: i64, facts: &dyn Facts) -> Result<&mut Ended, StoreError> {
        let known = match self.ended.take() {
            // A clock may be set back: then nobody comes back before the next one ends.
            Some(ended) if ended.until >= now && ended.classes.is_empty() => ended,
            Some(ended) if ended.until < now => {
                if ended.next.is_none_or(|next| next > now) {
                    ended
                } else {
                    let (more, next) = facts.ending(Some(ended.until), now)?;
                    let mut classes = ended.classes;
                    classes.extend(more);
                    Ended::of(now, classes, next)
                }
            }
            Some(ended) if ended.until == now => ended,
            _ => {
                let (classes, next) = facts.ending(None, now)?;
                Ended::of(now, classes.into_iter().collect(), next)
            }
        };
        Ok(self.ended.insert(known))
    }

    /// Hides the rows of a snapshot's blocks whose classes do not have a label.
    fn hide_others(
        &mut self,
        snapshot: &Snapshot,
        blocks: &mut [Block],
        label: &str,
        facts: &dyn Facts,
    ) -> Result<(), StoreError> {
        self.asked += 1;
        if !self.labels.contains_key(label) && self.labels.len() == LABELS_MAX {
            let oldest = self.labels.iter().min_by_key(|(_, hidden)| hidden.asked);
            let oldest = oldest.map(|(label, _)| label.clone());
            oldest.map(|oldest| self.labels.remove(&oldest));
        }
        let hidden = self.labels.entry(label.to_owned()).or_default();
        hidden.asked = self.asked;
        let mut all: Option<HashSet<i64>> = None;
        for block in blocks {
            let rows = hidden.of(block, |dead| {
                let few;
                let labelled = if block.rows() > LOOKED_UP_ROWS_MAX {
                    match &all {
                        Some(all) => all,
                        None => all.insert(facts.labelled(label)?),
                    }
                } else {
                    let mut classes = Vec::with_capacity(block.rows());
                    for row in 0..block.rows() {
                        classes.push(snapshot.reader(block).row(row).class()?);
                    }
                    few = facts.labelled_of(label, &classes)?;
                    &few
                };
                for row in 0..block.rows() {
                    let class = snapshot.reader(block).row(row).class()?;
                    if !labelled.contains(&class.0) {
                        dead.insert(row);
                    }
                }
                Ok(())
            })?;
            block.dead = block.dead.union(rows);
        }
        hidden.forget_all_but(snapshot);
        Ok(())
    }
}

impl Ended {
    fn of(until: i64, classes: BTreeSet<(i64, ClassId)>, next: Option<i64>) -> Ended {
        Ended {
            until,
            classes,
            next,
            hidden: Hidden::default(),
        }
    }

    fn learn(&mut self, event: &RecordEvent) {
        let (before, after) = (event.expires_before, event.expires_after);
        if before == after {
            return;
        }
        if let Some(before) = before
            && self
                .classes
                .remove(&(before.unix_milliseconds, event.class))
        {
            self.hidden = Hidden::default();
        }
        if let Some(after) = after.map(|after| after.unix_milliseconds) {
            if after <= self.until {
                self.classes.insert((after, event.class));
                self.hidden = Hidden::default();
            } else {
                self.next = Some(self.next.map_or(after, |next| next.min(after)));
            }
        }
    }
}

impl Hidden {
    /// The hidden rows of a block, which `find` finds if they are not known.
    fn of(
        &mut self,
        block: &Block,
        find: impl FnOnce(&mut DeadRows) -> Result<(), StoreError>,
    ) -> Result<&DeadRows, StoreError> {
        match self.blocks.entry(BlockKey::of(block)) {
            Entry::Occupied(known) => Ok(&known.into_mut().1),
            Entry::Vacant(free) => {
                let mut dead = DeadRows::default();
                find(&mut dead)?;
                Ok(&free.insert((Kept::of(block), dead)).1)
            }
        }
    }

    /// Hides the rows of a class, or shows them.
    fn put(&mut self, class: ClassId, is_hidden: bool) -> Result<(), StoreError> {
        self.blocks.retain(|_, (kept, _)| match kept {
            Kept::Segment(segment) => segment.strong_count() > 0,
            Kept::Tail(tail) => tail.strong_count() > 0,
        });
        for (kept, dead) in self.blocks.values_mut() {
            let rows = match kept {
                Kept::Segment(segment) => {
                    segment.upgrade().map(|it| it.rows_of(class)).transpose()?
                }
                Kept::Tail(tail) => tail.upgrade().map(|it| it.rows_of(class)),
            };
            for row in rows.into_iter().flatten() {
                match is_hidden {
                    true => dead.insert(row),
                    false => dead.remove(row),
                }
            }
        }
        Ok(())
    }

    /// Lets go of blocks that are no more.
    fn forget_all_but(&mut self, snapshot: &Snapshot) {
        if self.blocks.len() > snapshot.blocks.len() {
            let used: HashSet<BlockKey> = snapshot.blocks.iter().map(BlockKey::of).collect();
            self.blocks.retain(|key, _| used.contains(key));
        }
    }
}

impl Kept {
    fn of(block: &Block) -> Kept {
        match &block.source {
            Source::Segment(_, segment) => Kept::Segment(Arc::downgrade(segment)),
            Source::Tail(tail) => Kept::Tail(Arc::downgrade(tail)),
        }
    }
}

impl BlockKey {
    fn of(block: &Block) -> BlockKey {
        match &block.source {
            Source::Segment(number, _) => BlockKey::Segment(*number),
            Source::Tail(tail) => BlockKey::Tail(Arc::as_ptr(tail).addr()),
        }
    }
}

/// Hides the rows of some classes.
fn hide_classes(
    snapshot: &Snapshot,
    block: &Block,
    classes: impl Iterator<Item = ClassId>,
    dead: &mut DeadRows,
) -> Result<(), StoreError> {
    for class in classes {
        for row in snapshot.reader(block).rows_of(class)? {
            dead.insert(row.number());
        }
    }
    Ok(())
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({} labels)", self.labels.len())
    }
}
