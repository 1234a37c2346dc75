//! What is known of the people of a partition, and changes that concern two classes.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::StoreError;
use super::admission::{check_record, must_have};
use super::catalog::{Catalog, Group, Halt, PortraitOf, Tables};
use super::filter::{Ending, Facts, Rules};
use super::partition::{
    Choice, Held, Location, NewTemplate, Partition, change, has_template, held, templates_of,
};
use super::segment::TemplateInfo;
use super::shared::Shared;
use super::snapshot::Snapshot;
use super::state_value::StateValue;
use super::tail::{TailBlock, TailTemplate};
use crate::types::{
    ClassId, Embedding, ExternalId, Labels, LabelsChange, NotSameAs, PartitionId, Record,
    RecordChange, Timestamp,
};

/// What became of two classes that are one now.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// How many templates came from the other class.
    pub moved: usize,
    /// How many of both gave way.
    pub removed: usize,
    /// How many templates the class has now.
    pub templates: usize,
    /// What is known of the person now.
    pub record: Record,
}

/// What became of templates that were moved to another class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// How many templates the other class got.
    pub moved: usize,
    /// How many older ones gave way there, or were there already.
    pub removed: usize,
    /// How many templates the other class has now.
    pub templates: usize,
    /// How many are left where they came from.
    pub left: usize,
}

/// What is known of the people of a partition at one moment.
pub struct RecordReader<'a> {
    tables: &'a Tables<'a>,
    number: u64,
}

impl RecordReader<'_> {
    /// What is known of some classes, in order; nothing of one that has no record.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn of(&self, classes: &[ClassId]) -> Result<Vec<Record>, StoreError> {
        self.tables.records(self.number, classes)
    }

    /// Whether anything is known of anybody.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn are_any(&self) -> Result<bool, StoreError> {
        self.tables.has_records_of(self.number)
    }
}

/// It would show somebody's name.
impl fmt::Debug for RecordReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordReader(hidden)")
    }
}

/// Chooses what stays of the templates of a class and new ones.
type Choose = Box<dyn Fn(&[Held<'_>], &[NewTemplate]) -> Choice + Send>;

impl Partition {
    /// The partition at `now`: without those whose time is over, and with those alone who have all of
    /// `labels`. As cheap as [`Partition::snapshot`] where there are neither.
    ///
    /// # Errors
    ///
    /// If the catalog or a segment is damaged.
    pub fn snapshot_of(&self, now: Timestamp, labels: &Labels) -> Result<Snapshot, StoreError> {
        self.shared().restricted(now, labels, &self.facts())
    }

    /// What decisions about single classes follow.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn rules(&self) -> Result<Arc<Rules>, StoreError> {
        self.shared().rules(&self.facts())
    }

    /// What is known of some classes, in order; nothing of one that has no record.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn records(&self, classes: &[ClassId]) -> Result<Vec<Record>, StoreError> {
        let number = self.shared().number();
        self.catalog()
            .read(|tables| tables.records(number, classes))
    }

    /// Shows all templates and all that is known of people, as they are at one moment.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn with_records<T>(
        &self,
        look: impl FnOnce(&Snapshot, &RecordReader<'_>) -> T,
    ) -> Result<T, StoreError> {
        let number = self.shared().number();
        self.catalog().read(|tables| {
            let snapshot = self.snapshot();
            Ok(look(&snapshot, &RecordReader { tables, number }))
        })
    }

    /// When some classes were last recognised, about; `None` for one that never was or has no record.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn last_matches(&self, classes: &[ClassId]) -> Result<Vec<Option<Timestamp>>, StoreError> {
        let number = self.shared().number();
        let written = self
            .catalog()
            .read(|tables| tables.last_matches(number, classes))?;
        let of = |(class, written): (&ClassId, Option<Timestamp>)| {
            self.recognised.of(*class).max(written)
        };
        Ok(classes.iter().zip(written).map(of).collect())
    }

    /// The classes whose name begins with `prefix`, or is it, by name and class, `limit` from the first
    /// after `after` on. All are names as they are compared.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn named(
        &self,
        prefix: &str,
        is_whole: bool,
        after: Option<(&str, ClassId)>,
        limit: usize,
    ) -> Result<Vec<(String, ClassId)>, StoreError> {
        let number = self.shared().number();
        self.catalog()
            .read(|tables| tables.named(number, prefix, is_whole, after, limit))
    }

    /// The class that has an external id.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn class_of_external_id(&self, id: &ExternalId) -> Result<Option<ClassId>, StoreError> {
        let number = self.shared().number();
        self.catalog()
            .read(|tables| tables.class_of_external_id(number, id))
    }

    /// The `limit` classes with the smallest numbers above `after` that have all of `labels`, of which
    /// there must be one, in order.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn labelled(
        &self,
        labels: &Labels,
        after: Option<ClassId>,
        limit: usize,
    ) -> Result<Vec<ClassId>, StoreError> {
        let texts: Vec<String> = labels.texts().collect();
        let Some((first, others)) = texts.split_first() else {
            return Ok(Vec::new());
        };
        let number = self.shared().number();
        self.catalog().read(|tables| {
            let (mut found, mut failure) = (Vec::new(), None);
            tables.labelled(number, first, after, |class| {
                let has = |label: &String| tables.has_label(number, label, class);
                match others.iter().map(has).collect::<Result<Vec<bool>, _>>() {
                    Ok(has) if has.iter().all(|has| *has) => found.push(class),
                    Ok(_) => {}
                    Err(error) => failure = Some(error),
                }
                found.len() < limit && failure.is_none()
            })?;
            failure.map_or(Ok(found), Err)
        })
    }

    /// Those whose time is over at `now`, by when it ended.
    ///
    /// # Errors
    ///
    /// If the catalog is damaged.
    pub fn ended(&self, now: Timestamp) -> Result<Vec<(Timestamp, ClassId)>, StoreError> {
        let (number, now) = (self.shared().number(), now.unix_milliseconds);
        let (ended, _) = self
            .catalog()
            .read(|tables| tables.ending(number, None, now))?;
        let time = |(unix_milliseconds, class)| (Timestamp { unix_milliseconds }, class);
        Ok(ended.into_iter().map(time).collect())
    }

    /// Changes what is known of a class. Returns what is known of it now. Durable when this returns.
    ///
    /// # Errors
    ///
    /// If the class has no template, the record cannot be so, or the disk fails. Nothing has changed
    /// then.
    pub fn change_record(
        &self,
        class: ClassId,
        record: RecordChange,
    ) -> Result<Record, StoreError> {
        let (shared, id) = (self.shared().clone(), self.id().clone());
        let after = self.commits().commit(move |group| {
            let snapshot = group.snapshot(&shared)?;
            must_have(&snapshot, &id, class)?;
            let before = group.record(shared.number(), class)?;
            let after = record.apply(&before)?;
            check_record(group, &shared, &snapshot, &id, class, &after)?;
            group.put_record(&shared, class, &after)?;
            Ok(after)
        })?;
        // What was known before is in free pages of the catalog now.
        self.common()
            .catalog_is_stale
            .store(true, Ordering::Relaxed);
        Ok(after)
    }

    /// Makes one class of two: `into` gets the templates of `from`, of all of which those stay that
    /// `choose` keeps, and of the record what it lacks. Of `from` nothing is left.
    ///
    /// # Errors
    ///
    /// If they are the same, one of them has no template, they are said not to be the same person, the
    /// record would have too many labels, or the disk fails. Nothing has changed then.
    pub fn merge(
        &self,
        into: ClassId,
        from: ClassId,
        choose: impl Fn(&[Held<'_>], &[NewTemplate]) -> Choice + Send + 'static,
    ) -> Result<Merged, StoreError> {
        self.merge_and(into, from, choose, |_, _| Ok(()))
    }

    /// As [`Partition::merge`], and keeps a note of it in the same write. `note` is told how many templates
    /// `from` had, and the number of the catalog's change.
    ///
    /// # Errors
    ///
    /// As [`Partition::merge`].
    pub fn merge_noting(
        &self,
        into: ClassId,
        from: ClassId,
        choose: impl Fn(&[Held<'_>], &[NewTemplate]) -> Choice + Send + 'static,
        note: impl FnOnce(usize, u64) -> StateValue + Send + 'static,
    ) -> Result<Merged, StoreError> {
        self.merge_and(into, from, choose, |group, templates| {
            let note = note(templates, group.number());
            group.put_state(note.area, &note.key, &note.value)
        })
    }

    fn merge_and(
        &self,
        into: ClassId,
        from: ClassId,
        choose: impl Fn(&[Held<'_>], &[NewTemplate]) -> Choice + Send + 'static,
        also: impl FnOnce(&mut Group<'_>, usize) -> Result<(), Halt> + Send + 'static,
    ) -> Result<Merged, StoreError> {
        let (shared, id) = (self.shared().clone(), self.id().clone());
        let merged = self.commits().commit(move |group| {
            let (partition, snapshot) = (PartitionId::clone(&id), group.snapshot(&shared)?);
            if into == from {
                let class = into;
                return Err(StoreError::MergedWithItself { partition, class }.into());
            }
            must_have(&snapshot, &id, into)?;
            must_have(&snapshot, &id, from)?;
            let kept = group.record(shared.number(), into)?;
            let given = group.record(shared.number(), from)?;
            if kept.not_same_as.contains(from) {
                let (one, other) = (into, from);
                return Err(StoreError::SaidNotSame {
                    partition,
                    one,
                    other,
                }
                .into());
            }
            let record = lacking(&kept, given).apply(&kept)?;
            let choose: Choose = Box::new(choose);
            let templates = templates_of(&snapshot, from)?.len();
            let moved = move_rows(group, &shared, &snapshot, (from, None), into, &choose)?;
            // First: an external id may go over.
            group.remove_record(&shared, from)?;
            group.put_record(&shared, into, &record)?;
            also(group, templates)?;
            Ok(Merged {
                moved: moved.moved,
                removed: moved.removed,
                templates: moved.templates,
                record,
            })
        })?;
        self.recognised.forget(from);
        self.common()
            .catalog_is_stale
            .store(true, Ordering::Relaxed);
        self.alert(true);
        Ok(merged)
    }

    /// Gives templates of a class to another one, which begins to exist if it does not; of those that it
    /// has and those that it gets, those stay that `choose` keeps. They get new numbers.
    ///
    /// # Errors
    ///
    /// If the classes are the same, a template is none of the class, nothing would be left there, or the
    /// disk fails. Nothing has changed then.
    pub fn move_templates(
        &self,
        from: ClassId,
        templates: &[u64],
        to: ClassId,
        choose: impl Fn(&[Held<'_>], &[NewTemplate]) -> Choice + Send + 'static,
    ) -> Result<Moved, StoreError> {
        let (shared, id) = (self.shared().clone(), self.id().clone());
        let wanted: HashSet<u64> = templates.iter().copied().collect();
        let moved = self.commits().commit(move |group| {
            let (partition, snapshot) = (PartitionId::clone(&id), group.snapshot(&shared)?);
            let class = from;
            if from == to {
                return Err(StoreError::MergedWithItself { partition, class }.into());
            }
            must_have(&snapshot, &id, from)?;
            let has: HashSet<u64> = templates_of(&snapshot, from)?
                .iter()
                .map(|location| location.info.template)
                .collect();
            if let Some(&template) = wanted.iter().filter(|it| !has.contains(it)).min() {
                return Err(StoreError::NoTemplate {
                    partition,
                    class,
                    template,
                }
                .into());
            }
            if wanted.len() == has.len() {
                return Err(StoreError::AllTemplates { partition, class }.into());
            }
            let choose: Choose = Box::new(choose);
            move_rows(
                group,
                &shared,
                &snapshot,
                (from, Some(&wanted)),
                to,
                &choose,
            )
        })?;
        self.common()
            .catalog_is_stale
            .store(true, Ordering::Relaxed);
        self.alert(true);
        Ok(moved)
    }

    /// The templates of a class, the oldest first, without their values.
    ///
    /// # Errors
    ///
    /// If a segment is damaged.
    pub fn templates(&self, class: ClassId) -> Result<Vec<TemplateInfo>, StoreError> {
        let snapshot = self.snapshot();
        let all = templates_of(&snapshot, class)?;
        Ok(all.iter().map(|location| location.info).collect())
    }

    /// Removes those of some classes whose time is over at `now`, in one write, with a note of each. Returns
    /// which there were.
    ///
    /// # Errors
    ///
    /// If the disk fails or a segment is damaged.
    pub(super) fn remove_ended(
        &self,
        classes: &[ClassId],
        now: Timestamp,
        note: impl Fn(ClassId, usize, u64) -> StateValue + Send + 'static,
    ) -> Result<Vec<ClassId>, StoreError> {
        // So that searches know of them until they are gone.
        self.snapshot_of(now, &Labels::default())?;
        let (shared, dimension) = (self.shared().clone(), self.encoder().dimension());
        let classes = classes.to_vec();
        let removed = self.commits().commit(move |group| {
            let snapshot = group.snapshot(&shared)?;
            let (mut removed, mut rows) = (Vec::new(), Vec::new());
            for class in classes {
                let record = group.record(shared.number(), class)?;
                // Somebody may have given them more time.
                if record.expires.is_some_and(|end| end <= now) {
                    let templates = templates_of(&snapshot, class)?;
                    removed.push((class, templates.len()));
                    rows.extend(templates);
                }
            }
            if !rows.is_empty() {
                let nothing = (&[][..], TailBlock::new(dimension));
                change(group, &shared, snapshot, nothing, &rows)?;
            }
            for (class, templates) in &removed {
                group.remove_record(&shared, *class)?;
                let note = note(*class, *templates, group.number());
                group.put_state(note.area, &note.key, &note.value)?;
            }
            Ok(removed)
        })?;
        let removed: Vec<ClassId> = removed.into_iter().map(|(class, _)| class).collect();
        for class in &removed {
            self.recognised.forget(*class);
        }
        if !removed.is_empty() {
            self.common()
                .catalog_is_stale
                .store(true, Ordering::Relaxed);
            self.alert(true);
        }
        Ok(removed)
    }

    /// Removes the records of classes that have no template: a repair may have lost the last one. Returns
    /// how many there were.
    pub(super) fn remove_orphans(&self) -> Result<usize, StoreError> {
        let number = self.shared().number();
        let classes = self
            .catalog()
            .read(|tables| tables.classes_with_records(number))?;
        let snapshot = self.snapshot();
        let mut orphans = Vec::new();
        for class in classes {
            if !snapshot.contains(class)? {
                orphans.push(class);
            }
        }
        if orphans.is_empty() {
            return Ok(0);
        }
        let shared = self.shared().clone();
        self.commits().commit(move |group| {
            let snapshot = group.snapshot(&shared)?;
            let mut removed = 0;
            for class in orphans {
                if !snapshot.contains(class)? {
                    group.remove_record(&shared, class)?;
                    removed += 1;
                }
            }
            Ok(removed)
        })
    }

    /// Remembers that a class was recognised. Takes a moment; it is written later.
    pub fn note_match(&self, class: ClassId, now: Timestamp) {
        self.recognised.note(class, now);
    }

    /// Writes what is remembered of matches. Returns how many classes that were.
    ///
    /// # Errors
    ///
    /// If the disk fails; the matches are forgotten then, but not by this process.
    pub fn write_matches(&self) -> Result<usize, StoreError> {
        let unwritten = self.recognised.take_unwritten();
        let (number, count) = (self.shared().number(), unwritten.len());
        if count > 0 {
            self.commits()
                .commit(move |group| group.put_last_matches(number, &unwritten))?;
        }
        Ok(count)
    }

    fn catalog(&self) -> &Catalog {
        self.commits().catalog()
    }

    fn facts(&self) -> CatalogFacts<'_> {
        CatalogFacts {
            catalog: self.catalog(),
            number: self.shared().number(),
        }
    }
}

/// What becomes of the record of a class that another one is merged into: it gets what it lacks, and the later
/// end.
fn lacking(kept: &Record, given: Record) -> RecordChange {
    let labels = given.labels.iter().filter_map(|(key, value)| {
        let has = kept.labels.iter().any(|(known, _)| known == key);
        let label = crate::types::Label::new(key, value).ok()?;
        (!has).then(|| (key.to_owned(), Some(label)))
    });
    let labels: BTreeMap<_, _> = labels.collect();
    let both = kept
        .not_same_as
        .classes()
        .chain(given.not_same_as.classes());
    RecordChange {
        labels: LabelsChange::Merge(labels),
        not_same_as: Some(NotSameAs::all(both)),
        name: given.name.filter(|_| kept.name.is_none()).map(Some),
        external_id: given
            .external_id
            .filter(|_| kept.external_id.is_none())
            .map(Some),
        note: given.note.filter(|_| kept.note.is_none()).map(Some),
        // Whoever has no end lacks nothing: nobody goes sooner than either was to.
        expires: Some(
            kept.expires
                .zip(given.expires)
                .map(|(one, other)| one.max(other)),
        ),
        // Whoever has no threshold of their own has the usual one, than which this may be lower.
        threshold: None,
    }
}

/// Gives rows of a class to another: those of some numbers, or all.
fn move_rows(
    group: &mut Group<'_>,
    shared: &Arc<Shared>,
    snapshot: &Snapshot,
    (from, numbers): (ClassId, Option<&HashSet<u64>>),
    to: ClassId,
    choose: &Choose,
) -> Result<Moved, Halt> {
    let of_from = templates_of(snapshot, from)?;
    let is_wanted = |location: &&Location| {
        numbers.is_none_or(|numbers| numbers.contains(&location.info.template))
    };
    let wanted: Vec<Location> = of_from.iter().filter(is_wanted).copied().collect();
    let of_to = templates_of(snapshot, to)?;
    let mut new = Vec::with_capacity(wanted.len());
    for (held, location) in held(snapshot, &wanted)?.iter().zip(&wanted) {
        let embedding = Embedding::new(held.values.to_vec());
        let embedding = embedding.expect("what was enrolled is an embedding");
        let quality = location.info.quality;
        new.push(NewTemplate {
            embedding,
            quality,
            portrait: None,
        });
    }
    let number = shared.number();
    let (portrait, portrait_there) = (group.portrait(number, from)?, group.portrait(number, to)?);
    let choice = choose(&held(snapshot, &of_to)?, &new);
    let mut added = Vec::with_capacity(choice.add.len());
    let first = group.take_numbers(choice.add.len() as u64);
    for (number, &place) in (first..).zip(&choice.add) {
        // They keep their time.
        let info = TemplateInfo {
            template: number,
            ..wanted[place].info
        };
        added.push(TailTemplate {
            class: to,
            info,
            embedding: new[place].embedding.clone(),
        });
    }
    let block = TailBlock::of(snapshot.encoder().dimension(), &added);
    let stays = |place: usize| choice.keep.binary_search(&place).is_ok();
    let gone = (0..of_to.len())
        .filter(|place| !stays(*place))
        .map(|place| of_to[place]);
    let gone: Vec<Location> = gone.chain(wanted.iter().copied()).collect();
    change(group, shared, snapshot.clone(), (&added, block), &gone)?;
    let is_gone = |template| has_template(&gone, template);
    let follows = portrait.as_ref().and_then(|portrait| {
        let at = choice
            .add
            .iter()
            .position(|&place| wanted[place].info.template == portrait.template)?;
        Some(PortraitOf {
            template: first + at as u64,
            ..portrait.clone()
        })
    });
    group.settle_portrait((number, from), portrait, is_gone, None)?;
    group.settle_portrait((number, to), portrait_there, is_gone, follows)?;
    Ok(Moved {
        moved: added.len(),
        removed: gone.len() - added.len(),
        templates: choice.keep.len() + added.len(),
        left: of_from.len() - wanted.len(),
    })
}

/// Records as the catalog has them.
struct CatalogFacts<'a> {
    catalog: &'a Catalog,
    number: u64,
}

impl Facts for CatalogFacts<'_> {
    fn labelled(&self, label: &str) -> Result<HashSet<i64>, StoreError> {
        let mut classes = HashSet::new();
        self.catalog.read(|tables| {
            tables.labelled(self.number, label, None, |class| {
                classes.insert(class.0);
                true
            })
        })?;
        Ok(classes)
    }

    fn labelled_of(&self, label: &str, classes: &[ClassId]) -> Result<HashSet<i64>, StoreError> {
        self.catalog.read(|tables| {
            let mut found = HashSet::new();
            let mut asked = HashSet::new();
            for class in classes {
                if asked.insert(class.0) && tables.has_label(self.number, label, *class)? {
                    found.insert(class.0);
                }
            }
            Ok(found)
        })
    }

    fn ending(&self, after: Option<i64>, until: i64) -> Result<Ending, StoreError> {
        self.catalog
            .read(|tables| tables.ending(self.number, after, until))
    }

    fn rules(&self) -> Result<Rules, StoreError> {
        self.catalog.read(|tables| {
            Ok(Rules {
                thresholds: tables.thresholds(self.number)?,
                not_same: tables.pairs(self.number)?,
            })
        })
    }
}
