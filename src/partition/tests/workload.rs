//! What is done to a data directory in these tests, and what it should hold afterwards.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::faulty::FaultyDisk;
use super::files::files_that_hold;
use crate::partition::disk::Disk;
use crate::partition::{
    Choice, Held, Keys, NewTemplate, Note, Pace, Partition, StateValue, Store, StoreError,
    TemplateBatch, Whom,
};
use crate::secrets::MasterKey;
use crate::types::{ClassId, Embedding, EncoderId, PartitionId, Record, RecordChange, Timestamp};

/// One operation of a client.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    /// Enrols so many templates of a class, of which so many older ones stay.
    Enroll(usize, i64, usize, usize),
    Remove(usize, i64),
    Seal(usize),
    Compact(usize),
    /// Does what the background would do next.
    Maintain,
    Erase(usize, i64),
    /// Adds a batch of so many templates, one a class from 100, and notes how many batches there were.
    AddBatch(usize, usize),
    /// Adds a batch of a template of a class, and says that they are person so much.
    AddPerson(usize, i64, u16),
    /// Counts one more try of something.
    Count,
    /// Says who a class is: person so much, in the place of what was known.
    Describe(usize, i64, u16),
    /// Enrols so many templates of person so much, whose class the partition chooses.
    EnrollNew(usize, usize, u16),
    /// Makes one class of two, the second of which is gone then.
    Merge(usize, i64, i64),
    /// Removes all whose time is over: those of even numbers.
    EraseEnded(usize),
    /// Removes a whole partition.
    RemoveAll(usize),
    /// Gives all that is encrypted other keys.
    RotateKeys,
}

/// What a data directory holds: the values of each class of each partition, oldest first, and the
/// small values of the layers above.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) templates: BTreeMap<(usize, i64), Vec<f32>>,
    pub(super) state: BTreeMap<String, Vec<u8>>,
    /// Which person a class is, and whether their time ends.
    pub(super) records: BTreeMap<(usize, i64), (u16, bool)>,
    /// The highest class that each partition has chosen, or that was removed since.
    chosen: BTreeMap<usize, i64>,
    next_value: u16,
}

pub(super) const PARTITIONS: usize = 3;

/// When the time of people of even numbers is over.
const END: Timestamp = Timestamp {
    unix_milliseconds: 1_000_000,
};

fn ends(number: u16) -> bool {
    number.is_multiple_of(2)
}

/// What is known of person so much.
fn person(number: u16) -> Record {
    let mut record = Record {
        name: Some(format!("Person {number}").parse().unwrap()),
        external_id: Some(format!("id-{number}").parse().unwrap()),
        expires: ends(number).then_some(END),
        ..Record::default()
    };
    record
        .labels
        .add(format!("number:{number}").parse().unwrap())
        .unwrap();
    record
}

fn all_of(held: &[Held<'_>], new: &[NewTemplate]) -> Choice {
    Choice {
        keep: (0..held.len()).collect(),
        add: (0..new.len()).collect(),
        known: 0,
    }
}

pub(super) fn encoder() -> EncoderId {
    EncoderId::new("test", "1", 16).unwrap()
}

fn partition_id(partition: usize) -> PartitionId {
    format!("bws.{partition}").parse().unwrap()
}

/// An embedding that can be told from all others by its first value.
fn values(value: f32) -> Vec<f32> {
    let mut values = vec![1.0; 16];
    values[0] = value;
    values
}

fn later(value: f32) -> Timestamp {
    let unix_milliseconds = value as i64;
    Timestamp { unix_milliseconds }
}

thread_local! {
    /// What this test opens data directories with.
    static KEYS: RefCell<Keys> = RefCell::default();
}

/// Has the data directories of this test encrypted from now on.
pub(super) fn encrypt() {
    let keys = Keys {
        master: Some(MasterKey::random().0),
        encrypt_new: true,
    };
    KEYS.set(keys);
}

pub(super) fn keys() -> Keys {
    KEYS.with_borrow(Keys::clone)
}

pub(super) fn open(disk: &Arc<dyn Disk>, directory: &Path) -> Result<Store, StoreError> {
    Store::open_on(disk.clone(), directory, &keys())
}

/// Fails if anything of a template or of a person can be read in a file of an encrypted data directory.
pub(super) fn assert_nothing_shows(directory: &Path) {
    let ones = [1.0_f32.to_le_bytes(); 4].concat();
    let shown: [&[u8]; 4] = [&ones, b"Person ", b"person ", b"number:"];
    assert_eq!(files_that_hold(directory, &shown), [] as [PathBuf; 0]);
}

pub(super) fn partition(store: &Store, number: usize) -> Result<Arc<Partition>, StoreError> {
    store.partition_for(&partition_id(number), &encoder(), later(0.0))
}

impl Operation {
    /// Does it, and says so in `model` if it was acknowledged.
    pub(super) fn run(self, store: &Store, model: &mut Model) -> Result<(), StoreError> {
        let pace = Pace::unlimited();
        let mut after = model.clone();
        after.apply(self);
        match self {
            Operation::Enroll(at, class, count, keep) => {
                let first = model.next_value;
                let new = (first..first + count as u16).map(|value| NewTemplate {
                    embedding: Embedding::new(values(f32::from(value))).unwrap(),
                    quality: 0.5,
                    portrait: None,
                });
                let (new, now): (Vec<_>, _) = (new.collect(), later(f32::from(first)));
                partition(store, at)?.enroll(ClassId(class), &encoder(), &new, keep, now)?;
            }
            Operation::Remove(at, class) => drop(partition(store, at)?.remove(ClassId(class))?),
            Operation::Seal(at) => partition(store, at)?.seal()?,
            Operation::Compact(at) => drop(partition(store, at)?.compact(&pace)?),
            Operation::Maintain => drop(store.compact_once(&pace)?),
            Operation::Erase(at, class) => {
                let _ = store.erase(&*partition(store, at)?, ClassId(class), &pace)?;
            }
            Operation::AddBatch(at, count) => {
                let mut batch = TemplateBatch::new(&encoder());
                let first = model.next_value;
                for (class, value) in (100..).zip(first..first + count as u16) {
                    let value = f32::from(value);
                    batch.push(ClassId(class), &values(value), f32::NAN, later(value));
                }
                let note = Note {
                    area: "batches".to_owned(),
                    key: "done".to_owned(),
                    value: after.state.get("batches/done").cloned(),
                };
                let now = later(f32::from(first));
                partition(store, at)?.add_batch(&batch, Vec::new(), Some(&note), now)?;
            }
            Operation::AddPerson(at, class, number) => {
                let mut batch = TemplateBatch::new(&encoder());
                let value = f32::from(model.next_value);
                batch.push(ClassId(class), &values(value), f32::NAN, later(value));
                let people = vec![(ClassId(class), RecordChange::adding(person(number)))];
                partition(store, at)?.add_batch(&batch, people, None, later(value))?;
            }
            Operation::Count => store.state_update("tries", "token", |value| {
                let before = value.map_or(0, |value| value[0]);
                (Some(vec![before + 1]), ())
            })?,
            Operation::Describe(at, class, number) => {
                let change = RecordChange::of(person(number));
                let known = partition(store, at)?.change_record(ClassId(class), change)?;
                assert_eq!(known, person(number));
            }
            Operation::EnrollNew(at, count, number) => {
                let first = model.next_value;
                let new = (first..first + count as u16).map(|value| NewTemplate {
                    embedding: Embedding::new(values(f32::from(value))).unwrap(),
                    quality: 0.5,
                    portrait: None,
                });
                let (new, now): (Vec<_>, _) = (new.collect(), later(f32::from(first)));
                let record = RecordChange::of(person(number));
                let enrolled = partition(store, at)?.enroll_person(
                    Whom::New,
                    &encoder(),
                    &new,
                    all_of,
                    record,
                    now,
                )?;
                assert_eq!(Some(&enrolled.class.0), after.chosen.get(&at));
            }
            Operation::Merge(at, into, from) => {
                let merged = partition(store, at)?.merge(ClassId(into), ClassId(from), all_of)?;
                assert_eq!(merged.templates, after.templates[&(at, into)].len());
            }
            Operation::RemoveAll(at) => {
                let note = |templates: u64, _| StateValue {
                    area: "removed",
                    key: "last".to_owned(),
                    value: vec![templates as u8],
                };
                store.remove_partition(&partition_id(at), Vec::new(), note)?;
                store.overwrite_partitions()?;
            }
            Operation::RotateKeys => drop(store.rotate_keys(None, &pace)?),
            Operation::EraseEnded(at) => {
                let partition = partition(store, at)?;
                let ended = partition.ended(END)?.into_iter();
                let ended: Vec<ClassId> = ended.map(|(_, class)| class).collect();
                let note = |class: ClassId, templates: usize, _| StateValue {
                    area: "ended",
                    key: class.to_string(),
                    value: vec![templates as u8],
                };
                drop(store.erase_ended(&partition, &ended, END, note, &pace)?);
            }
        }
        *model = after;
        Ok(())
    }
}

impl Model {
    /// What an operation should change.
    pub(super) fn apply(&mut self, operation: Operation) {
        let mut next = || {
            self.next_value += 1;
            f32::from(self.next_value - 1)
        };
        match operation {
            Operation::Enroll(at, class, count, keep) => {
                let new: Vec<f32> = (0..count).map(|_| next()).collect();
                if count == 0 && keep == 0 {
                    self.gone(at, class);
                }
                let templates = self.templates.entry((at, class)).or_default();
                let given_up = templates.len().saturating_sub(keep);
                templates.drain(..given_up);
                templates.extend(new);
            }
            Operation::Remove(at, class) | Operation::Erase(at, class) => {
                if self.templates.remove(&(at, class)).is_some() {
                    self.gone(at, class);
                }
            }
            Operation::Describe(at, class, number) => {
                self.records.insert((at, class), (number, ends(number)));
            }
            Operation::EnrollNew(at, count, number) => {
                let new: Vec<f32> = (0..count).map(|_| next()).collect();
                let used = self.templates.keys().filter(|(of, _)| *of == at);
                let highest = used.map(|(_, class)| *class).max().unwrap_or(0).max(0);
                let class = self.chosen.get(&at).copied().unwrap_or(highest) + 1;
                self.chosen.insert(at, class);
                self.templates.insert((at, class), new);
                self.records.insert((at, class), (number, ends(number)));
            }
            Operation::Merge(at, into, from) => {
                let moved = self.templates.remove(&(at, from)).unwrap_or_default();
                self.templates.entry((at, into)).or_default().extend(moved);
                let [kept, given] =
                    [into, from].map(|class| self.records.get(&(at, class)).copied());
                if let Some((number, _)) = kept.or(given) {
                    // Whoever has no end lacks nothing.
                    let ends = kept.zip(given).is_some_and(|(one, other)| one.1 && other.1);
                    self.records.insert((at, into), (number, ends));
                }
                self.gone(at, from);
            }
            Operation::EraseEnded(at) => {
                let ended = self
                    .records
                    .iter()
                    .filter(|(of, (_, ends))| of.0 == at && *ends);
                let ended: Vec<i64> = ended.map(|((_, class), _)| *class).collect();
                for class in ended {
                    self.templates.remove(&(at, class));
                    self.gone(at, class);
                }
            }
            Operation::AddBatch(at, count) => {
                for class in (100..).take(count) {
                    let value = next();
                    self.templates.entry((at, class)).or_default().push(value);
                }
                self.count("batches/done");
            }
            Operation::RemoveAll(at) => {
                self.templates.retain(|(of, _), _| *of != at);
                self.records.retain(|(of, _), _| *of != at);
                self.chosen.remove(&at);
            }
            Operation::AddPerson(at, class, number) => {
                let value = next();
                self.templates.entry((at, class)).or_default().push(value);
                let known = self.records.get(&(at, class));
                let ends = ends(number) || known.is_some_and(|(_, ends)| *ends);
                self.records.insert((at, class), (number, ends));
            }
            Operation::Count => self.count("tries/token"),
            Operation::Seal(_)
            | Operation::Compact(_)
            | Operation::Maintain
            | Operation::RotateKeys => {}
        }
        self.templates.retain(|_, templates| !templates.is_empty());
    }

    /// What is known of somebody goes with them, and their number does not come back.
    fn gone(&mut self, at: usize, class: i64) {
        self.records.remove(&(at, class));
        if let Some(chosen) = self.chosen.get_mut(&at) {
            *chosen = (*chosen).max(class);
        }
    }

    fn count(&mut self, key: &str) {
        let value = self.state.entry(key.to_owned()).or_insert_with(|| vec![0]);
        value[0] += 1;
    }

    /// What a data directory really holds.
    pub(super) fn of(store: &Store) -> Result<Model, StoreError> {
        let mut found: BTreeMap<(usize, i64), Vec<(u64, f32)>> = BTreeMap::new();
        let mut records = BTreeMap::new();
        for at in 0..PARTITIONS {
            let Some(partition) = store.partition(&partition_id(at))? else {
                continue;
            };
            let snapshot = partition.snapshot();
            for row in snapshot.live_rows() {
                let class = row.class()?;
                let template = row.info()?.template;
                let templates = found.entry((at, class.0)).or_default();
                templates.push((template, row.values()?[0]));
                let mut of_class = snapshot.rows_of(class)?.into_iter();
                assert!(
                    of_class.any(|row| row.info().is_ok_and(|info| info.template == template)),
                    "classes find their rows"
                );
            }
            for (name, class) in partition.named("", false, None, usize::MAX)? {
                let number: u16 = name.strip_prefix("person ").unwrap().parse().unwrap();
                let known = &partition.records(&[class])?[0];
                let ends = known.expires == Some(END);
                let expected = Record {
                    expires: ends.then_some(END),
                    ..person(number)
                };
                assert_eq!(*known, expected);
                let by_id = partition.class_of_external_id(known.external_id.as_ref().unwrap())?;
                assert_eq!(by_id, Some(class));
                assert_eq!(partition.labelled(&known.labels, None, 9)?, [class]);
                records.insert((at, class.0), (number, ends));
            }
        }
        let in_order = |mut templates: Vec<(u64, f32)>| {
            templates.sort_by_key(|(template, _)| *template);
            templates.into_iter().map(|(_, value)| value).collect()
        };
        let templates = found.into_iter().map(|(key, found)| (key, in_order(found)));
        let mut state = BTreeMap::new();
        for area in ["tries", "batches"] {
            let listed = store.state_list(area)?.into_iter();
            state.extend(listed.map(|(key, value)| (format!("{area}/{key}"), value)));
        }
        Ok(Model {
            templates: templates.collect(),
            state,
            records,
            ..Model::default()
        })
    }

    /// Whether a data directory holds this.
    pub(super) fn is_held_by(&self, found: &Model) -> bool {
        (&self.templates, &self.state, &self.records)
            == (&found.templates, &found.state, &found.records)
    }
}

/// Runs operations one after the other until one fails, and returns the models: one for each
/// acknowledged operation and the empty one before.
pub(super) fn run(
    disk: &FaultyDisk,
    directory: &Path,
    operations: &[Operation],
) -> (Vec<Model>, Result<(), StoreError>) {
    let mut models = vec![Model::default()];
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let store = match open(&shared, directory) {
        Ok(store) => store,
        Err(error) => return (models, Err(error)),
    };
    for (at, operation) in operations.iter().enumerate() {
        let mut model = models[at].clone();
        if let Err(error) = operation.run(&store, &mut model) {
            return (models, Err(error));
        }
        disk.acknowledge(at + 1);
        models.push(model);
    }
    (models, Ok(()))
}
