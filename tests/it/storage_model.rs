//! Anything that can be done with a gallery, in any order, against a plain map. Of encrypted galleries
//! nothing must show in any file after any operation.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::engine::{Engine, IdentifyOptions, TEMPLATES_PER_CLASS_MAX};
use vultus::partition::{
    Keys, Maintenance, MaintenanceOptions, NewTemplate, Pace, Partition, Store, TemplateBatch,
    Whom, restore_archive_with,
};
use vultus::search::Pool;
use vultus::secrets::MasterKey;
use vultus::types::{
    Bcid, ClassId, Clock, Embedding, EncoderId, Labels, PartitionId, PersonName, Record,
    RecordChange, Timestamp,
};

use super::naive::{self, Row};

/// Of every template, so that what stays of a class depends on how alike they are alone.
const QUALITY: f32 = 0.5;
/// When the time of people whose number can be divided by three is over: nobody's before they expire.
const END: Timestamp = Timestamp {
    unix_milliseconds: 1_000_000,
};

/// Something that is done with a gallery.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Enroll(i64, usize),
    Replace(i64, usize),
    Delete(i64),
    Erase(i64),
    AddBatch(usize),
    /// Says who a class is: person so much, in the place of what was known.
    Describe(i64, u16),
    /// Enrols a template of person so much, whose class the gallery chooses unless it knows them.
    EnrollPerson(u16),
    /// Adds a template of a class past the tail, and what is known of person so much to the record.
    AddPerson(i64, u16),
    /// Makes one class of two, the second of which is gone then.
    Merge(i64, i64),
    /// Gives the oldest template of a class to another.
    Move(i64, i64),
    /// Deletes all whose time ends.
    Expire,
    Search,
    Seal,
    Compact,
    RenewCatalog,
    LookOn,
    Snapshot,
    /// Goes on with the last snapshot, in another directory.
    Restore,
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    let class = 0_i64..6;
    prop_oneof![
        6 => (class.clone(), 1_usize..4).prop_map(|(class, count)| Operation::Enroll(class, count)),
        2 => (7_usize..14).prop_map(|count| Operation::Enroll(2, count)),
        2 => (class.clone(), 1_usize..3).prop_map(|(class, count)| Operation::Replace(class, count)),
        2 => class.clone().prop_map(Operation::Delete),
        1 => class.clone().prop_map(Operation::Erase),
        2 => (1_usize..5).prop_map(Operation::AddBatch),
        3 => (class.clone(), 0_u16..8).prop_map(|(class, person)| Operation::Describe(class, person)),
        2 => (0_u16..8).prop_map(Operation::EnrollPerson),
        2 => (class.clone(), 0_u16..8).prop_map(|(class, person)| Operation::AddPerson(class, person)),
        2 => (class.clone(), class.clone()).prop_map(|(into, from)| Operation::Merge(into, from)),
        2 => (class.clone(), class).prop_map(|(from, to)| Operation::Move(from, to)),
        1 => Just(Operation::Expire),
        4 => Just(Operation::Search),
        2 => Just(Operation::Seal),
        2 => Just(Operation::Compact),
        1 => Just(Operation::RenewCatalog),
        1 => Just(Operation::LookOn),
        1 => Just(Operation::Snapshot),
        1 => Just(Operation::Restore),
        2 => Just(Operation::Reopen),
    ]
}

/// What should be in a gallery.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    /// The values of each class, oldest first.
    templates: BTreeMap<i64, Vec<Vec<f32>>>,
    people: BTreeMap<i64, Record>,
}

impl Model {
    /// The class that has an external id.
    fn class_of(&self, person: &Record) -> Option<i64> {
        let mut people = self.people.iter();
        let class = people.find(|(_, known)| known.external_id == person.external_id);
        class.map(|(class, _)| *class)
    }

    /// Whether somebody else than a class is that person.
    fn is_another(&self, class: i64, person: &Record) -> bool {
        self.class_of(person).is_some_and(|other| other != class)
    }

    fn remove(&mut self, class: i64) -> bool {
        self.people.remove(&class);
        self.templates.remove(&class).is_some()
    }

    /// Adds templates, of which the best stay. Returns how many there are then.
    fn add(&mut self, class: i64, rows: Vec<Vec<f32>>) -> usize {
        let all = self.templates.entry(class).or_default();
        all.extend(rows);
        while all.len() > TEMPLATES_PER_CLASS_MAX {
            all.remove(most_alike(all));
        }
        all.len()
    }
}

/// What is known of person so much.
fn person(number: u16) -> Record {
    let labels = [format!("number:{number}"), format!("odd:{}", number % 2)];
    let labels = labels.iter().map(|label| label.parse().unwrap());
    Record {
        name: Some(format!("Person {number}").parse().unwrap()),
        external_id: Some(format!("id-{number}").parse().unwrap()),
        labels: labels.collect::<Result<Labels, _>>().unwrap(),
        expires: number.is_multiple_of(3).then_some(END),
        ..Record::default()
    }
}

/// A gallery, and what should be in it.
struct Gallery {
    root: tempfile::TempDir,
    data: PathBuf,
    /// What it is opened with: a master key if it is encrypted.
    keys: Keys,
    /// `None` only while it is opened again.
    open: Option<(Engine, Option<Maintenance>)>,
    /// Whether somebody puts it in order in the background.
    maintained: bool,
    model: Model,
    saved: Option<Model>,
    random: StdRng,
    now: i64,
    /// When each template was enrolled, by its values, which no two share.
    enrolled: BTreeMap<Vec<u32>, i64>,
}

impl Gallery {
    fn new(seed: u64, maintained: bool, encrypted: bool) -> Gallery {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data-0");
        let keys = Keys {
            master: encrypted.then(|| MasterKey::random().0),
            encrypt_new: encrypted,
        };
        let open = Some(open(&data, maintained, &keys));
        Gallery {
            root,
            data,
            keys,
            open,
            maintained,
            model: Model::default(),
            saved: None,
            random: StdRng::seed_from_u64(seed),
            now: 0,
            enrolled: BTreeMap::new(),
        }
    }

    fn run(&mut self, operation: Operation) {
        self.now += 1;
        let now = Timestamp {
            unix_milliseconds: self.now,
        };
        match operation {
            Operation::Enroll(class, count) => {
                let rows = self.rows(count);
                let templates = templates(&rows);
                let enrolled = self
                    .engine()
                    .enroll(&bcid(class), &encoder(), &templates, now);
                assert_eq!(enrolled.unwrap().templates, self.model.add(class, rows));
            }
            Operation::Replace(class, count) => {
                let rows = self.rows(count);
                let templates = templates(&rows);
                let replaced = self
                    .engine()
                    .replace(&bcid(class), &encoder(), &templates, now);
                assert_eq!(replaced.unwrap().templates, count);
                self.model.templates.insert(class, rows);
            }
            Operation::Delete(class) => {
                let gallery = self.enrolled();
                let removed = gallery.map(|it| it.remove(ClassId(class)).unwrap());
                let removed = removed.unwrap_or_default();
                let templates = self.model.templates.get(&class).map_or(0, Vec::len);
                assert_eq!(removed.templates, templates);
                assert_eq!(removed.record, self.model.people.contains_key(&class));
                assert_eq!(removed.was_enrolled(), self.model.remove(class));
            }
            Operation::Erase(class) => {
                let store = self.engine().store().clone();
                let erased = store.erase(&self.partition(), ClassId(class), &Pace::unlimited());
                assert_eq!(erased.unwrap().was_enrolled, self.model.remove(class));
            }
            Operation::AddBatch(count) => {
                let rows = self.rows(count);
                let mut batch = TemplateBatch::new(&encoder());
                for (class, row) in (0..).zip(rows) {
                    batch.push(ClassId(class), &row, QUALITY, now);
                    self.model.templates.entry(class).or_default().push(row);
                }
                let added = self.partition().add_batch(&batch, Vec::new(), None, now);
                added.unwrap();
                assert_eq!(self.partition().known_rows(&batch).unwrap().len(), count);
            }
            Operation::Describe(class, number) => self.describe(class, number),
            Operation::EnrollPerson(number) => self.enroll_person(number, now),
            Operation::AddPerson(class, number) => self.add_person(class, number, now),
            Operation::Merge(into, from) => self.merge(into, from),
            Operation::Move(from, to) => self.move_oldest(from, to),
            Operation::Expire => {
                if let Some(gallery) = self.enrolled() {
                    let expired = self.engine();
                    let expired =
                        expired.expire(&gallery, END, &mut || 7, None, &Pace::unlimited());
                    let ended = self.model.people.iter();
                    let ended = ended.filter(|(_, known)| known.expires == Some(END));
                    let ended: Vec<i64> = ended.map(|(class, _)| *class).collect();
                    let mut expired = expired.unwrap().classes;
                    expired.sort();
                    assert!(
                        expired
                            .iter()
                            .map(|class| class.0)
                            .eq(ended.iter().copied())
                    );
                    for class in ended {
                        self.model.remove(class);
                    }
                }
            }
            Operation::Search => self.search(),
            Operation::Seal => self.partition().seal().unwrap(),
            Operation::Compact => drop(self.partition().compact(&Pace::unlimited()).unwrap()),
            Operation::RenewCatalog => drop(self.engine().store().renew_catalog().unwrap()),
            Operation::LookOn => {
                let store = Store::open_read_only_with(&self.data, &self.keys).unwrap();
                assert_eq!(contents(&store), self.model);
            }
            Operation::Snapshot => {
                let path = self.root.path().join("snapshot");
                let store = self.engine().store();
                store.snapshot_to(&path, true, now, &mut |_, _| {}).unwrap();
                self.saved = Some(self.model.clone());
            }
            Operation::Restore => {
                if let Some(saved) = &self.saved {
                    self.model = saved.clone();
                    self.data = self.root.path().join(format!("data-{}", self.now));
                    let path = self.root.path().join("snapshot");
                    let keys = &self.keys;
                    restore_archive_with(&path, &self.data, keys, &mut |_, _| {}).unwrap();
                    self.reopen();
                }
            }
            Operation::Reopen => self.reopen(),
        }
        assert_eq!(contents(self.engine().store()), self.model);
        if self.keys.encrypt_new {
            assert_nothing_shows(self.root.path(), &self.shown());
        }
    }

    /// What must not stand in any file: how each template begins that ever was, and of people what all
    /// have.
    fn shown(&self) -> HashSet<[u8; 8]> {
        let rows = self.enrolled.keys();
        let start = |row: &Vec<u32>| (u64::from(row[1]) << 32 | u64::from(row[0])).to_le_bytes();
        rows.map(start)
            .chain([*b"\"Person ", *b"number:1"])
            .collect()
    }

    fn describe(&mut self, class: i64, number: u16) {
        let Some(gallery) = self.enrolled() else {
            return;
        };
        let change = RecordChange::of(person(number));
        let changed = gallery.change_record(ClassId(class), change);
        let is_there = self.model.templates.contains_key(&class);
        let can_be = is_there && !self.model.is_another(class, &person(number));
        assert_eq!(changed.is_ok(), can_be);
        if can_be {
            self.model.people.insert(class, person(number));
        }
    }

    fn enroll_person(&mut self, number: u16, now: Timestamp) {
        let rows = self.rows(1);
        let (id, record) = (partition_id(), RecordChange::of(person(number)));
        let enrolled = self.engine().enroll_person(
            (&id, Whom::New),
            &encoder(),
            &templates(&rows),
            false,
            record,
            now,
        );
        let enrolled = enrolled.unwrap();
        let class = enrolled.class.0;
        match self.model.class_of(&person(number)) {
            Some(known) => assert_eq!(class, known),
            None => assert!(!self.model.templates.contains_key(&class), "a new number"),
        }
        self.model.people.insert(class, person(number));
        assert_eq!(enrolled.enrolled.templates, self.model.add(class, rows));
    }

    fn add_person(&mut self, class: i64, number: u16, now: Timestamp) {
        let row = self.rows(1).remove(0);
        let mut batch = TemplateBatch::new(&encoder());
        batch.push(ClassId(class), &row, QUALITY, now);
        let people = vec![(ClassId(class), RecordChange::adding(person(number)))];
        let added = self.partition().add_batch(&batch, people, None, now);
        let can_be = !self.model.is_another(class, &person(number));
        assert_eq!(added.is_ok(), can_be);
        if can_be {
            self.model.templates.entry(class).or_default().push(row);
            let known = self.model.people.entry(class).or_default();
            let expires = person(number).expires.or(known.expires);
            *known = Record {
                expires,
                ..person(number)
            };
        }
    }

    fn merge(&mut self, into: i64, from: i64) {
        let Some(gallery) = self.enrolled() else {
            return;
        };
        let merged = gallery.merge(ClassId(into), ClassId(from));
        let is_there = |class: i64| self.model.templates.contains_key(&class);
        let can_be = into != from && is_there(into) && is_there(from);
        assert_eq!(merged.is_ok(), can_be);
        if !can_be {
            return;
        }
        let given = self.model.people.remove(&from);
        let moved = self.model.templates.remove(&from).unwrap();
        let merged = merged.unwrap();
        assert_eq!(merged.templates, self.add_moved(into, moved));
        let known = self.model.people.get(&into);
        let end = |of: Option<&Record>| of.and_then(|record| record.expires);
        // Whoever has no end lacks nothing.
        let expires = end(known)
            .zip(end(given.as_ref()))
            .map(|(one, other)| one.max(other));
        if let Some(record) = known.cloned().or(given) {
            self.model.people.insert(into, Record { expires, ..record });
        }
        assert!(self.model.people.get(&into).cloned().unwrap_or_default() == merged.record);
    }

    fn move_oldest(&mut self, from: i64, to: i64) {
        let Some(gallery) = self.enrolled() else {
            return;
        };
        let there = gallery.templates_of(ClassId(from)).unwrap();
        let oldest: Vec<u64> = there.iter().take(1).map(|it| it.template).collect();
        let moved = gallery.move_templates(ClassId(from), &oldest, ClassId(to));
        assert_eq!(moved.is_ok(), from != to && there.len() > 1);
        if let Ok(moved) = moved {
            let row = self.model.templates.get_mut(&from).unwrap().remove(0);
            assert_eq!(moved.left, there.len() - 1);
            assert_eq!(moved.templates, self.add_moved(to, vec![row]));
        }
    }

    /// Adds templates that keep the time at which they were enrolled.
    fn add_moved(&mut self, class: i64, rows: Vec<Vec<f32>>) -> usize {
        let count = self.model.add(class, rows);
        let all = self.model.templates.entry(class).or_default();
        all.sort_by_key(|row| self.enrolled[&bits(row)]);
        count
    }

    fn reopen(&mut self) {
        self.open = None;
        self.open = Some(open(&self.data, self.maintained, &self.keys));
    }

    fn search(&mut self) {
        let probe = self.rows(1).remove(0);
        let rows: Vec<Row> = self
            .model
            .templates
            .iter()
            .flat_map(|(class, rows)| rows.iter().map(|row| (*class, row.clone())))
            .collect();
        let sample = Embedding::new(probe.clone()).unwrap();
        let options = IdentifyOptions {
            limit: 3,
            threshold: None,
        };
        let expected = naive::search(&rows, &probe, 3, None);
        let found = match self.enrolled() {
            Some(gallery) => gallery.identify(&[&sample], &options).unwrap().matches,
            None => Vec::new(),
        };
        assert_eq!(found, expected);
    }

    fn enrolled(&self) -> Option<vultus::engine::Gallery> {
        self.engine().gallery(&partition_id(), &encoder()).unwrap()
    }

    fn engine(&self) -> &Engine {
        &self.open.as_ref().unwrap().0
    }

    fn partition(&self) -> Arc<Partition> {
        let now = Timestamp {
            unix_milliseconds: 0,
        };
        let store = self.engine().store();
        store
            .partition_for(&partition_id(), &encoder(), now)
            .unwrap()
    }

    fn rows(&mut self, count: usize) -> Vec<Vec<f32>> {
        let mut row = || {
            (0..16)
                .map(|_| self.random.random_range(-1.0..1.0))
                .collect()
        };
        let rows: Vec<Vec<f32>> = (0..count).map(|_| row()).collect();
        for row in &rows {
            self.enrolled.insert(bits(row), self.now);
        }
        rows
    }
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|value| value.to_bits()).collect()
}

/// Which of some rows of one quality tells least: the one that is nearest to another, and of two that
/// are, the older.
fn most_alike(rows: &[Vec<f32>]) -> usize {
    let nearest = |at: usize| {
        let others = (0..rows.len()).filter(|other| *other != at);
        let alike = others.map(|other| naive::cosine(&rows[at], &rows[other]));
        alike.fold(f64::NEG_INFINITY, f64::max)
    };
    let mut least = 0;
    for at in 1..rows.len() {
        if nearest(at) > nearest(least) {
            least = at;
        }
    }
    least
}

/// Fails if one of these stands in a file.
fn assert_nothing_shows(folder: &Path, shown: &HashSet<[u8; 8]>) {
    let mut starts = vec![false; 1 << 16];
    let start = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    shown.iter().for_each(|it| starts[start(it)] = true);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_nothing_shows(&path, shown);
            continue;
        }
        // One that is deleted meanwhile, in the background, shows nothing.
        let bytes = fs::read(&path).unwrap_or_default();
        let found = bytes
            .windows(8)
            .find(|window| starts[start(window)] && shown.contains(*window));
        assert_eq!(found, None, "in `{}`", path.display());
    }
}

fn open(data: &Path, maintained: bool, keys: &Keys) -> (Engine, Option<Maintenance>) {
    let store = Arc::new(Store::open_with(data, keys).unwrap());
    let options = MaintenanceOptions {
        compaction_bytes_per_second: None,
        ..MaintenanceOptions::default()
    };
    let maintenance = maintained.then(|| Maintenance::start(&store, &options).unwrap());
    // Nobody's time is over before it is said so.
    let clock = Clock::manual(Timestamp {
        unix_milliseconds: 0,
    });
    (
        Engine::new(store, Pool::new(2)).with_clock(clock),
        maintenance,
    )
}

fn templates(rows: &[Vec<f32>]) -> Vec<NewTemplate> {
    let template = |row: &Vec<f32>| NewTemplate {
        embedding: Embedding::new(row.clone()).unwrap(),
        quality: QUALITY,
        portrait: None,
    };
    rows.iter().map(template).collect()
}

fn encoder() -> EncoderId {
    EncoderId::new("test", "1", 16).unwrap()
}

fn partition_id() -> PartitionId {
    "bws.1".parse().unwrap()
}

fn bcid(class: i64) -> Bcid {
    Bcid::new(partition_id(), ClassId(class))
}

/// When a template was enrolled, its number, and its values.
type Found = ((i64, u64), Vec<f32>);

/// What a data directory holds.
fn contents(store: &Store) -> Model {
    let mut found: BTreeMap<i64, Vec<Found>> = BTreeMap::new();
    let Some(partition) = store.partition(&partition_id()).unwrap() else {
        return Model::default();
    };
    for row in partition.snapshot().live_rows() {
        let (class, info) = (row.class().unwrap(), row.info().unwrap());
        let values = row.values().unwrap().to_vec();
        found
            .entry(class.0)
            .or_default()
            .push(((info.enrolled_unix_milliseconds, info.template), values));
    }
    let in_order = |mut rows: Vec<Found>| {
        rows.sort_by_key(|(order, _)| *order);
        rows.into_iter().map(|(_, values)| values).collect()
    };
    let templates = found.into_iter();
    let templates = templates.map(|(class, rows)| (class, in_order(rows)));
    Model {
        templates: templates.collect(),
        people: people(&partition),
    }
}

/// What is known of people, who are found by every part of it.
fn people(partition: &Partition) -> BTreeMap<i64, Record> {
    let mut people = BTreeMap::new();
    for (folded, class) in partition.named("", false, None, usize::MAX).unwrap() {
        let known = partition.records(&[class]).unwrap().remove(0);
        assert_eq!(known.name.as_ref().map(PersonName::folded), Some(&*folded));
        let id = known.external_id.as_ref().unwrap();
        assert_eq!(partition.class_of_external_id(id).unwrap(), Some(class));
        let labelled = partition.labelled(&known.labels, None, usize::MAX).unwrap();
        assert!(labelled.contains(&class));
        let ends = partition.ended(END).unwrap().contains(&(END, class));
        assert_eq!(known.expires.is_some(), ends);
        people.insert(class.0, known);
    }
    assert_eq!(partition.ended(END).unwrap().len(), {
        let known = people.values();
        known.filter(|known| known.expires.is_some()).count()
    });
    people
}

proptest! {
    // Every operation syncs, and is followed by a comparison of everything.
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_gallery_is_a_map(
        seed in any::<u64>(),
        maintained in any::<bool>(),
        encrypted in any::<bool>(),
        operations in prop::collection::vec(operation(), 1..40),
    ) {
        let mut gallery = Gallery::new(seed, maintained, encrypted);
        for operation in operations {
            gallery.run(operation);
        }
        let verified = gallery.engine().store().verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
        prop_assert!(verified.damage.is_empty(), "{:?}", verified.damage);
    }
}
