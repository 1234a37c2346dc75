//! What a file says of people, row by row, compared with what its rows said before and with what the
//! gallery knows.
//!
//! Classes are numbers, and two files may number different people alike: a row that gives a class
//! another name or another external id than it has is refused, and so is one that gives an external id
//! to a second class. Everything else is added to what is known.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::EngineError;
use crate::partition::{Partition, Store};
use crate::types::{ClassId, ExternalId, PartitionId, Record, RecordChange, Timestamp};

/// So many rounds may be on their way to the gallery: one is filled, one is written, and one may wait.
const ROUNDS_ON_THEIR_WAY: usize = 3;

/// What was said of people since an import began, as far as the gallery does not know it yet.
pub(super) struct Incoming<'a> {
    store: Option<(&'a Arc<Store>, &'a PartitionId)>,
    now: Timestamp,
    /// Whether nothing comes into the gallery, so that all that was said must be remembered.
    is_trial: bool,
    /// The last is of the templates that are collected now.
    rounds: Vec<Round>,
    gallery: Option<Arc<Partition>>,
    /// Whose time was over when this round began.
    over: HashSet<ClassId>,
}

/// What was said together with templates that become durable together.
#[derive(Default)]
struct Round {
    people: HashMap<ClassId, Spoken>,
    /// Of how many of them something is said that was not known.
    changed: usize,
    ids: HashMap<ExternalId, ClassId>,
}

/// What was said of a person, and what is known then.
#[derive(Clone, Default)]
struct Spoken {
    said: Record,
    known: Record,
}

impl<'a> Incoming<'a> {
    /// For a gallery, which need not be there yet.
    pub(super) fn new(
        store: Option<(&'a Arc<Store>, &'a PartitionId)>,
        is_trial: bool,
        now: Timestamp,
    ) -> Result<Incoming<'a>, EngineError> {
        let mut incoming = Incoming {
            store,
            now,
            is_trial,
            rounds: Vec::new(),
            gallery: None,
            over: HashSet::new(),
        };
        incoming.begin_round()?;
        Ok(incoming)
    }

    /// Begins another round; that before the last is in the gallery now.
    pub(super) fn begin_round(&mut self) -> Result<(), EngineError> {
        if let (Some((store, id)), None) = (self.store, &self.gallery) {
            self.gallery = store.partition(id)?;
        }
        if let Some(gallery) = &self.gallery {
            let over = gallery.ended(self.now)?;
            self.over = over.into_iter().map(|(_, class)| class).collect();
        }
        self.rounds.push(Round::default());
        if !self.is_trial && self.rounds.len() > ROUNDS_ON_THEIR_WAY {
            self.rounds.remove(0);
        }
        Ok(())
    }

    /// Whose time is over: what they were given would go with them.
    pub(super) fn over(&self) -> &HashSet<ClassId> {
        &self.over
    }

    /// Of how many people something was said in this round that was not known.
    pub(super) fn people(&self) -> usize {
        self.rounds.last().map_or(0, |round| round.changed)
    }

    /// What becomes of the people of this round.
    pub(super) fn changes(&self) -> Vec<(ClassId, RecordChange)> {
        let people = self
            .rounds
            .last()
            .into_iter()
            .flat_map(|round| &round.people);
        let changed = people.filter(|(_, spoken)| !spoken.said.is_empty());
        let change = |(class, spoken): (&ClassId, &Spoken)| {
            (*class, RecordChange::adding(spoken.said.clone()))
        };
        changed.map(change).collect()
    }

    /// Takes what a row says of a class, or says why it cannot be so. Names nobody.
    pub(super) fn take(
        &mut self,
        class: ClassId,
        said: &Record,
    ) -> Result<Result<(), String>, EngineError> {
        let before = match self.spoken(class) {
            Some(spoken) => spoken.known.clone(),
            None => self.known(class)?,
        };
        let is_said = |of: fn(&Record) -> bool| self.spoken(class).is_some_and(|it| of(&it.said));
        if let (Some(name), Some(known)) = (&said.name, &before.name)
            && name.folded() != known.folded()
        {
            return Ok(Err(match is_said(|said| said.name.is_some()) {
                true => format!("a row before gives class {class} another name"),
                false => format!(
                    "class {class} has another name in the gallery: if it is the same person, rename \
                     them with `vultus people rename`"
                ),
            }));
        }
        if let Some(id) = &said.external_id {
            if before.external_id.as_ref().is_some_and(|known| known != id) {
                return Ok(Err(match is_said(|said| said.external_id.is_some()) {
                    true => format!("a row before gives class {class} another external id"),
                    false => format!("class {class} has another external id in the gallery"),
                }));
            }
            if before.external_id.is_none()
                && let Some(other) = self.class_of(id)?.filter(|other| *other != class)
            {
                return Ok(Err(format!("its external id is that of class {other}")));
            }
        }
        let mut said = said.clone();
        // Whoever is known keeps the name as it is written.
        said.name = said.name.filter(|_| before.name.is_none());
        let change = RecordChange::adding(said);
        let known = match change.apply(&before) {
            Ok(known) => known,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if known.expires.is_some_and(|end| end <= self.now) {
            return Ok(Err(format!("the time of class {class} is over")));
        }
        let change = (known != before).then_some(change);
        self.remember(class, change.as_ref(), known);
        Ok(Ok(()))
    }

    /// Remembers what is known of a class, so that the next row about it asks nobody else.
    fn remember(&mut self, class: ClassId, change: Option<&RecordChange>, known: Record) {
        let Some(round) = self.rounds.last_mut() else {
            return;
        };
        if let Some(id) = &known.external_id {
            round.ids.insert(id.clone(), class);
        }
        let spoken = round.people.entry(class).or_default();
        // A sum of what was said has no more labels than what is known then, which are not too many.
        if let Some(Ok(said)) = change.map(|change| change.apply(&spoken.said)) {
            round.changed += usize::from(spoken.said.is_empty() && !said.is_empty());
            spoken.said = said;
        }
        spoken.known = known;
    }

    fn spoken(&self, class: ClassId) -> Option<&Spoken> {
        let mut rounds = self.rounds.iter().rev();
        rounds.find_map(|round| round.people.get(&class))
    }

    fn known(&self, class: ClassId) -> Result<Record, EngineError> {
        let Some(gallery) = &self.gallery else {
            return Ok(Record::default());
        };
        Ok(gallery.records(&[class])?.pop().unwrap_or_default())
    }

    fn class_of(&self, id: &ExternalId) -> Result<Option<ClassId>, EngineError> {
        let mut rounds = self.rounds.iter().rev();
        if let Some(class) = rounds.find_map(|round| round.ids.get(id)) {
            return Ok(Some(*class));
        }
        match &self.gallery {
            Some(gallery) => Ok(gallery.class_of_external_id(id)?),
            None => Ok(None),
        }
    }
}
