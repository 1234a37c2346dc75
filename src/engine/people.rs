//! People: who is known by which name, and what becomes of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::list::summary;
use super::{ClassSummary, Engine, EngineError, Gallery, RemovalReceipt, retention};
use crate::partition::{
    EnrolledPerson, Held, Merged, Moved, NewTemplate, Pace, Partition, StoreError, TemplateInfo,
    Whom,
};
use crate::types::{
    ClassId, EncoderId, ExternalId, Labels, PartitionId, Portrait, Record, RecordChange,
    RemovalReason, Timestamp, folded,
};

/// A class, and what is known of its person.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// What there is of the class.
    pub class: ClassSummary,
    /// What is known of the person.
    pub record: Record,
    /// When they were last recognised, within an hour; `None` if never, or if nothing is known of them.
    pub last_match: Option<Timestamp>,
}

/// Which people are listed. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeopleFilter {
    /// Those of this name; compared as names are, whatever their capitals.
    pub name: Option<String>,
    /// Those whose name begins so.
    pub name_prefix: Option<String>,
    /// The one of this external id.
    pub external_id: Option<ExternalId>,
    /// Those who have all of these labels.
    pub labels: Labels,
}

/// Where a list goes on. Its text is for whoever asks for the next page.
#[derive(Clone, PartialEq, Eq)]
pub struct PeopleCursor {
    class: ClassId,
    /// Where the list is in the order of names.
    name: Option<String>,
}

/// A part of a list of people.
#[derive(Clone, Debug, PartialEq)]
pub struct PeoplePage {
    /// The people: by name where they are looked for by name, else by class.
    pub people: Vec<Person>,
    /// Where the list goes on; `None` on the last page.
    pub next: Option<PeopleCursor>,
}

/// What became of people whose time was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The classes that are gone.
    pub classes: Vec<ClassId>,
    /// Whether their bytes are overwritten, as of [`crate::partition::Erased`].
    pub overwritten: bool,
    /// One of each of them, in the same order.
    pub receipts: Vec<RemovalReceipt>,
}

impl Engine {
    /// Adds templates to a class, to that of an external id, or to a new one, and changes what is known
    /// of the person, both or neither. Which templates stay is as of [`Engine::enroll`], or with
    /// `replaces` as of [`Engine::replace`].
    ///
    /// # Errors
    ///
    /// As [`Engine::enroll`], and if the record cannot be so, or the time of the person is over.
    pub fn enroll_person(
        &self,
        (partition, whom): (&PartitionId, Whom),
        encoder: &EncoderId,
        templates: &[NewTemplate],
        replaces: bool,
        record: RecordChange,
        now: Timestamp,
    ) -> Result<EnrolledPerson, EngineError> {
        Engine::check_templates(encoder, templates)?;
        let choose = move |held: &[Held<'_>], new: &[NewTemplate]| {
            retention::best(if replaces { &[] } else { held }, new)
        };
        let enroll = move |into: &Partition| {
            into.enroll_person(whom, encoder, templates, choose, record.clone(), now)
        };
        loop {
            match enroll(&*self.store().partition_for(partition, encoder, now)?) {
                // It was removed in between: this one begins it anew.
                Err(StoreError::PartitionRemoved { .. }) => {}
                enrolled => return Ok(enrolled?),
            }
        }
    }

    /// Deletes the people of a gallery whose time is over at `now`, keeps a receipt of each, and overwrites
    /// what is stored of them before it returns. `chance` and `copies` are as of [`Engine::remove`] and
    /// [`Engine::overwrite`].
    ///
    /// # Errors
    ///
    /// If the disk fails or a segment is damaged. It can be tried again.
    pub fn expire(
        &self,
        gallery: &Gallery,
        now: Timestamp,
        chance: &mut dyn FnMut() -> u64,
        copies: Option<Duration>,
        pace: &Pace,
    ) -> Result<Expired, EngineError> {
        let ended = gallery.ended(now)?;
        let begun = ended.into_iter().map(|(_, class)| {
            let of = (gallery.id(), Some(class));
            let receipt = self.begin_receipt(of, RemovalReason::Expired, now, chance());
            (class, receipt)
        });
        let begun: Arc<BTreeMap<ClassId, RemovalReceipt>> = Arc::new(begun.collect());
        let classes: Vec<ClassId> = begun.keys().copied().collect();
        let noted = begun.clone();
        let note =
            move |class: ClassId, templates, change| noted[&class].of_change(templates, change);
        let (classes, overwritten) =
            self.store()
                .erase_ended(&gallery.partition, &classes, now, note, pace)?;
        let mut receipts = Vec::with_capacity(classes.len());
        for class in &classes {
            receipts.extend(self.receipt(&begun[class].id)?);
        }
        if overwritten {
            receipts = self.settle(receipts, copies)?;
        }
        Ok(Expired {
            classes,
            overwritten,
            receipts,
        })
    }

    /// As [`Gallery::merge`], and keeps a receipt that nobody is `from` any more. `chance` is as of
    /// [`Engine::remove`].
    ///
    /// # Errors
    ///
    /// As [`Gallery::merge`].
    pub fn merge(
        &self,
        gallery: &Gallery,
        (into, from): (ClassId, ClassId),
        now: Timestamp,
        chance: u64,
    ) -> Result<(Merged, RemovalReceipt), EngineError> {
        let of = (gallery.id(), Some(from));
        let mut receipt = self.begin_receipt(of, RemovalReason::Merged, now, chance);
        receipt.into = Some(into);
        let noted = receipt.clone();
        let note = move |templates, change| noted.of_change(templates, change);
        gallery.refuse_over(&[into, from])?;
        let merged = gallery
            .partition
            .merge_noting(into, from, retention::best, note)?;
        let receipt = self.receipt(&receipt.id)?.unwrap_or(receipt);
        Ok((merged, receipt))
    }
}

impl Gallery {
    /// A class and what is known of its person, or `None` if it is not enrolled.
    ///
    /// # Errors
    ///
    /// If the catalog or a segment is damaged.
    pub fn person(&self, class: ClassId) -> Result<Option<Person>, EngineError> {
        Ok(self.people_of(&[class])?.pop())
    }

    /// The portrait of a class, if one is stored.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn portrait(&self, class: ClassId) -> Result<Option<Portrait>, EngineError> {
        Ok(self.partition.portrait(class)?)
    }

    /// What is known of some classes, in order; nothing of one that has no record.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn records(&self, classes: &[ClassId]) -> Result<Vec<Record>, EngineError> {
        Ok(self.partition.records(classes)?)
    }

    /// The classes whose name is `name`, as names are compared, in order; at most `limit`.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn named(&self, name: &str, limit: usize) -> Result<Vec<ClassId>, EngineError> {
        let found = self.partition.named(&folded(name), true, None, limit)?;
        Ok(found.into_iter().map(|(_, class)| class).collect())
    }

    /// The class of an external id.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn class_of(&self, id: &ExternalId) -> Result<Option<ClassId>, EngineError> {
        Ok(self.partition.class_of_external_id(id)?)
    }

    /// A page of those whom a filter lets through, of at most `limit`, from where another page ended. All
    /// people without a filter, in the order of their classes: that reads every class number, about eight
    /// bytes a template. Filters read what they list.
    ///
    /// # Errors
    ///
    /// If the catalog or a segment is damaged.
    pub fn people(
        &self,
        filter: &PeopleFilter,
        after: Option<&PeopleCursor>,
        limit: usize,
    ) -> Result<PeoplePage, EngineError> {
        let (mut cursor, mut people) = (after.cloned(), Vec::new());
        // One more, to know whether there are more.
        while people.len() <= limit {
            let wanted = limit + 1 - people.len();
            let some = self.candidates(filter, cursor.as_ref(), wanted)?;
            let (is_last, last) = (some.len() < wanted, some.last().cloned());
            let classes: Vec<ClassId> = some.iter().map(|place| place.class).collect();
            let found = self.people_of(&classes)?.into_iter();
            for person in found.filter(|person| filter.lets_through(&person.record)) {
                let at = some.iter().find(|place| place.class == person.class.class);
                people.extend(at.cloned().map(|place| (place, person)));
            }
            if is_last {
                break;
            }
            cursor = last;
        }
        let has_more = people.len() > limit;
        people.truncate(limit);
        let next = people
            .last()
            .filter(|_| has_more)
            .map(|(place, _)| place.clone());
        let people = people.into_iter().map(|(_, person)| person).collect();
        Ok(PeoplePage { people, next })
    }

    /// Changes what is known of the person of a class. Returns what is known now. Durable when this
    /// returns.
    ///
    /// # Errors
    ///
    /// If the class is not enrolled, the record cannot be so, or the disk fails.
    pub fn change_record(
        &self,
        class: ClassId,
        change: RecordChange,
    ) -> Result<Record, EngineError> {
        Ok(self.partition.change_record(class, change)?)
    }

    /// Makes one class of two: `into` keeps the best templates of both, as an enrolment would, and gets
    /// of the record of `from` what it lacks. Nothing is left of `from`.
    ///
    /// # Errors
    ///
    /// If they are the same, one is not enrolled, the time of one is over, they are said not to be the same
    /// person, or the disk fails. Nothing has changed then.
    pub fn merge(&self, into: ClassId, from: ClassId) -> Result<Merged, EngineError> {
        self.refuse_over(&[into, from])?;
        Ok(self.partition.merge(into, from, retention::best)?)
    }

    /// Fails if the time of one of these is over: what it was given would go with it.
    fn refuse_over(&self, classes: &[ClassId]) -> Result<(), EngineError> {
        let (records, now) = (self.records(classes)?, self.clock.now());
        let is_over = |record: &Record| record.expires.is_some_and(|end| end <= now);
        match records.iter().position(is_over) {
            Some(at) => Err(StoreError::TimeOver {
                partition: self.id().clone(),
                class: classes[at],
            }
            .into()),
            None => Ok(()),
        }
    }

    /// Gives templates of a class, by their numbers, to another one, which begins to exist if it does
    /// not; it keeps the best, as after an enrolment.
    ///
    /// # Errors
    ///
    /// If there is nothing to move, it would be all templates of the class, or none of it, the time of one of
    /// the classes is over, or the disk fails. Nothing has changed then.
    pub fn move_templates(
        &self,
        from: ClassId,
        templates: &[u64],
        to: ClassId,
    ) -> Result<Moved, EngineError> {
        if templates.is_empty() {
            return Err(EngineError::NoSamples);
        }
        self.refuse_over(&[from, to])?;
        Ok(self
            .partition
            .move_templates(from, templates, to, retention::best)?)
    }

    /// The templates of a class, the oldest first, without their values; none if it is not enrolled.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn templates_of(&self, class: ClassId) -> Result<Vec<TemplateInfo>, EngineError> {
        Ok(self.partition.templates(class)?)
    }

    /// Those whose time is over at `now`, by when it ended.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn ended(&self, now: Timestamp) -> Result<Vec<(Timestamp, ClassId)>, EngineError> {
        Ok(self.partition.ended(now)?)
    }

    /// Remembers that the person of a class was recognised now.
    pub fn note_match(&self, class: ClassId) {
        self.partition.note_match(class, self.clock.now());
    }

    /// Writes when people were last recognised. For whoever has time: it is kept in memory until then.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn write_matches(&self) -> Result<usize, EngineError> {
        Ok(self.partition.write_matches()?)
    }

    /// Those of some classes that are enrolled, with what is known of them.
    fn people_of(&self, classes: &[ClassId]) -> Result<Vec<Person>, EngineError> {
        let snapshot = self.partition.snapshot();
        let records = self.partition.records(classes)?;
        let matches = self.partition.last_matches(classes)?;
        let mut people = Vec::with_capacity(classes.len());
        for ((class, record), last_match) in classes.iter().zip(records).zip(matches) {
            if let Some(class) = summary(&snapshot, *class)? {
                let last_match = last_match.filter(|_| !record.is_empty());
                people.push(Person {
                    class,
                    record,
                    last_match,
                });
            }
        }
        Ok(people)
    }

    /// Those who may be let through, in the order of the list, after a place in it.
    fn candidates(
        &self,
        filter: &PeopleFilter,
        after: Option<&PeopleCursor>,
        limit: usize,
    ) -> Result<Vec<PeopleCursor>, EngineError> {
        let by_class = |class| PeopleCursor { class, name: None };
        if let Some(id) = &filter.external_id {
            let class = self.class_of(id)?;
            let class = class.filter(|class| after.is_none_or(|after| after.class < *class));
            return Ok(class.map(by_class).into_iter().collect());
        }
        let (prefix, is_whole) = match (&filter.name, &filter.name_prefix) {
            (Some(name), _) => (Some(name), true),
            (None, prefix) => (prefix.as_ref(), false),
        };
        if let Some(prefix) = prefix {
            let prefix = folded(prefix);
            let after = after.map(|after| {
                let name = after.name.as_deref().unwrap_or(&prefix);
                (name, after.class)
            });
            let found = self.partition.named(&prefix, is_whole, after, limit)?;
            let place = |(name, class)| PeopleCursor {
                class,
                name: Some(name),
            };
            return Ok(found.into_iter().map(place).collect());
        }
        let after = after.map(|after| after.class);
        if !filter.labels.is_empty() {
            let found = self.partition.labelled(&filter.labels, after, limit)?;
            return Ok(found.into_iter().map(by_class).collect());
        }
        let found = self.classes(after, limit)?;
        Ok(found
            .into_iter()
            .map(|class| by_class(class.class))
            .collect())
    }
}

impl PeopleFilter {
    fn lets_through(&self, record: &Record) -> bool {
        let name = record.name.as_ref().map_or("", |name| name.folded());
        let is_named = self
            .name
            .as_ref()
            .is_none_or(|wanted| folded(wanted) == name);
        let begins = self.name_prefix.as_ref();
        let begins = begins.is_none_or(|prefix| name.starts_with(&folded(prefix)));
        let id = self.external_id.as_ref();
        let has_id = id.is_none_or(|id| record.external_id.as_ref() == Some(id));
        is_named && begins && has_id && record.labels.include(&self.labels)
    }
}

impl fmt::Display for PeopleCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} {name}", self.class),
            None => write!(f, "{}", self.class),
        }
    }
}

impl FromStr for PeopleCursor {
    type Err = crate::types::ParseBcidError;

    fn from_str(text: &str) -> Result<PeopleCursor, Self::Err> {
        let (class, name) = match text.split_once(' ') {
            Some((class, name)) => (class, Some(name.to_owned())),
            None => (text, None),
        };
        Ok(PeopleCursor {
            class: class.parse()?,
            name,
        })
    }
}

/// It may hold somebody's name.
impl fmt::Debug for PeopleCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeopleCursor({})", self.class)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::{IdentifyOptions, TEMPLATES_PER_CLASS_MAX};
    use crate::partition::Store;
    use crate::search::Pool;
    use crate::types::{ClassThreshold, Clock, Embedding, LabelsChange};

    fn encoder() -> EncoderId {
        EncoderId::new("e", "1", 16).unwrap()
    }

    fn engine() -> (tempfile::TempDir, Engine, Clock) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let clock = Clock::manual(Timestamp::from_unix_seconds(100));
        let engine = Engine::new(Arc::new(store), Pool::Here).with_clock(clock.clone());
        (directory, engine, clock)
    }

    fn axis(axis: usize, other: f32) -> NewTemplate {
        let mut values = vec![0.0; 16];
        (values[axis], values[15]) = (1.0, other);
        NewTemplate {
            embedding: Embedding::new(values).unwrap(),
            quality: 1.0,
            portrait: None,
        }
    }

    fn record(name: &str, label: &str) -> RecordChange {
        let mut labels = Labels::default();
        labels.add(label.parse().unwrap()).unwrap();
        RecordChange {
            name: Some(Some(name.parse().unwrap())),
            labels: LabelsChange::Replace(labels),
            ..RecordChange::default()
        }
    }

    fn enroll(engine: &Engine, at: usize, change: RecordChange) -> ClassId {
        let id: PartitionId = "a.1".parse().unwrap();
        let now = Timestamp::from_unix_seconds(1);
        let whom = (&id, Whom::New);
        let enrolled = engine.enroll_person(whom, &encoder(), &[axis(at, 0.0)], false, change, now);
        enrolled.unwrap().class
    }

    fn gallery(engine: &Engine) -> Gallery {
        engine.enrolled(&"a.1".parse().unwrap()).unwrap().unwrap()
    }

    #[test]
    fn pages_of_people_follow_each_other_whatever_is_looked_for() {
        let (_directory, engine, _) = engine();
        let names = ["Zoë", "Ada", "ADA", "Adam", "Bob", "ada", "Eve"];
        for (at, name) in names.into_iter().enumerate() {
            let label = if at % 2 == 0 {
                "site:berlin"
            } else {
                "site:paris"
            };
            enroll(&engine, at, record(name, label));
        }
        let gallery = gallery(&engine);
        let labels = |text: &str| {
            let mut labels = Labels::default();
            labels.add(text.parse().unwrap()).unwrap();
            labels
        };
        let by = PeopleFilter::default;
        for (filter, expected) in [
            (by(), vec![1, 2, 3, 4, 5, 6, 7]),
            (
                PeopleFilter {
                    name: Some("aDa".to_owned()),
                    ..by()
                },
                vec![2, 3, 6],
            ),
            (
                PeopleFilter {
                    name_prefix: Some("AD".to_owned()),
                    ..by()
                },
                vec![2, 3, 6, 4],
            ),
            (
                PeopleFilter {
                    labels: labels("site:berlin"),
                    ..by()
                },
                vec![1, 3, 5, 7],
            ),
            (
                PeopleFilter {
                    name_prefix: Some("ad".to_owned()),
                    labels: labels("site:paris"),
                    ..by()
                },
                vec![2, 6, 4],
            ),
            (
                PeopleFilter {
                    name: Some("nobody".to_owned()),
                    ..by()
                },
                vec![],
            ),
            (
                PeopleFilter {
                    labels: labels("site:rome"),
                    ..by()
                },
                vec![],
            ),
        ] {
            for limit in 1..9 {
                let (mut found, mut after) = (Vec::new(), None);
                loop {
                    let page = gallery.people(&filter, after.as_ref(), limit).unwrap();
                    assert!(page.people.len() <= limit);
                    found.extend(page.people.iter().map(|person| person.class.class.0));
                    let Some(next) = page.next else { break };
                    assert_eq!(page.people.len(), limit);
                    after = Some(next.to_string().parse().unwrap());
                }
                assert_eq!(found, expected, "{filter:?}, {limit} at a time");
            }
        }
    }

    #[test]
    fn people_are_looked_for_among_those_with_a_label_until_their_time_is_over() {
        let (_directory, engine, clock) = engine();
        let berlin = enroll(&engine, 0, record("Ada", "site:berlin"));
        let paris = enroll(&engine, 1, record("Bob", "site:paris"));
        let gallery = gallery(&engine);
        let sample = axis(0, 0.5).embedding;
        let options = IdentifyOptions {
            limit: 9,
            threshold: Some(-1.0),
        };
        let found = |gallery: &Gallery| -> Vec<ClassId> {
            let found = gallery.identify(&[&sample], &options).unwrap();
            assert_eq!(found.templates, found.matches.len());
            found.matches.iter().map(|found| found.class).collect()
        };
        let mut labels = Labels::default();
        labels.add("site:paris".parse().unwrap()).unwrap();
        assert_eq!(found(&gallery), [berlin, paris]);
        assert_eq!(found(&gallery.among(labels.clone())), [paris]);
        let end = RecordChange {
            expires: Some(Some(Timestamp::from_unix_seconds(200))),
            ..RecordChange::default()
        };
        gallery.change_record(berlin, end).unwrap();
        clock.advance(Duration::from_millis(99_999));
        assert_eq!(found(&gallery), [berlin, paris]);
        assert!(gallery.verify(berlin, &[&sample]).unwrap().is_some());
        assert!(gallery.is_enrolled(berlin).unwrap());
        clock.advance(Duration::from_millis(1));
        assert_eq!(found(&gallery), [paris]);
        assert!(gallery.verify(berlin, &[&sample]).unwrap().is_none());
        assert!(!gallery.is_enrolled(berlin).unwrap());
        let person = gallery.person(berlin).unwrap();
        assert!(
            person.is_some(),
            "the operator sees them until they are deleted"
        );
        let expired = engine
            .expire(&gallery, clock.now(), &mut || 7, None, &Pace::unlimited())
            .unwrap();
        assert_eq!(expired.classes, [berlin]);
        assert!(expired.overwritten);
        let receipt = &expired.receipts[0];
        assert_eq!(receipt.class, Some(berlin));
        assert_eq!(
            (receipt.reason, receipt.templates),
            (RemovalReason::Expired, 1)
        );
        assert_eq!(receipt.erased, Some(clock.now()));
        assert_eq!(engine.receipt(&receipt.id).unwrap().as_ref(), Some(receipt));
        assert_eq!(gallery.person(berlin).unwrap(), None);
    }

    #[test]
    fn a_merged_class_keeps_ten_templates() {
        let (_directory, engine, _) = engine();
        let id: PartitionId = "a.1".parse().unwrap();
        let now = Timestamp::from_unix_seconds(1);
        for class in [1, 2] {
            let all: Vec<NewTemplate> = (0..7).map(|at| axis(at * class as usize, 0.1)).collect();
            let whom = (&id, Whom::Class(ClassId(class)));
            let change = RecordChange::default();
            engine
                .enroll_person(whom, &encoder(), &all, false, change, now)
                .unwrap();
        }
        let gallery = gallery(&engine);
        let merged = gallery.merge(ClassId(1), ClassId(2)).unwrap();
        // Axes 0, 2, 4 and 6 are of both.
        assert_eq!(merged.templates, TEMPLATES_PER_CLASS_MAX);
        assert_eq!(gallery.templates_of(ClassId(1)).unwrap().len(), 10);
        assert!(gallery.templates_of(ClassId(2)).unwrap().is_empty());
        let error = gallery
            .move_templates(ClassId(1), &[], ClassId(2))
            .unwrap_err();
        assert_eq!(error.fault(), crate::engine::Fault::Caller);
    }

    #[test]
    fn nobody_goes_sooner_for_a_merge_and_nobody_is_given_to_one_whose_time_is_over() {
        let (_directory, engine, clock) = engine();
        let at = |seconds| Some(Timestamp::from_unix_seconds(seconds));
        let low = || ClassThreshold::new(-1.0).ok();
        let ends = [None, at(200), at(300), at(200), at(300), None];
        let classes: Vec<ClassId> = (0..6)
            .map(|at| enroll(&engine, at, record(&format!("Ada {at}"), "site:berlin")))
            .collect();
        let gallery = gallery(&engine);
        for (class, end) in classes.iter().zip(ends) {
            let change = RecordChange {
                expires: Some(end),
                threshold: Some(end.and_then(|_| low())),
                ..RecordChange::default()
            };
            gallery.change_record(*class, change).unwrap();
        }
        for (into, from, end, threshold) in [
            (0, 1, None, None),
            (2, 3, at(300), low()),
            (4, 5, None, low()),
        ] {
            let merged = gallery.merge(classes[into], classes[from]).unwrap();
            assert_eq!(
                (merged.record.expires, merged.record.threshold),
                (end, threshold)
            );
        }
        clock.advance(Duration::from_secs(1_000));
        let over = |result: Result<(), EngineError>| {
            let error = result.unwrap_err();
            let first: &dyn std::error::Error = &error;
            let causes = std::iter::successors(Some(first), |cause| cause.source());
            let said: Vec<String> = causes.map(ToString::to_string).collect();
            assert!(said.iter().any(|it| it.contains("is over")), "{said:?}");
        };
        let templates = gallery.templates_of(classes[0]).unwrap();
        let numbers: Vec<u64> = templates.iter().map(|it| it.template).take(1).collect();
        over(gallery.merge(classes[0], classes[2]).map(drop));
        over(gallery.merge(classes[2], classes[0]).map(drop));
        over(
            gallery
                .move_templates(classes[0], &numbers, classes[2])
                .map(drop),
        );
        let receipt = engine.merge(&gallery, (classes[0], classes[2]), clock.now(), 7);
        over(receipt.map(drop));
        assert!(gallery.merge(classes[0], classes[4]).is_ok());
    }

    #[test]
    fn a_match_is_remembered_of_people_of_whom_something_is_known() {
        let (_directory, engine, clock) = engine();
        let known = enroll(&engine, 0, record("Ada", "site:berlin"));
        let unknown = enroll(&engine, 1, RecordChange::default());
        let gallery = gallery(&engine);
        for at in [0, 1] {
            let options = IdentifyOptions {
                limit: 1,
                threshold: Some(0.5),
            };
            let sample = axis(at, 0.0).embedding;
            gallery.identify(&[&sample], &options).unwrap();
        }
        let last = |class| gallery.person(class).unwrap().unwrap().last_match;
        assert_eq!((last(known), last(unknown)), (Some(clock.now()), None));
        assert_eq!(gallery.write_matches().unwrap(), 2);
        assert_eq!(last(known), Some(clock.now()));
    }
}
