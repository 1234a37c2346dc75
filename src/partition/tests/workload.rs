//! What is done to a data directory in these tests, and what it should hold afterwards.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::faulty::FaultyDisk;
use crate::partition::disk::Disk;
use crate::partition::{NewTemplate, Note, Pace, Partition, Store, StoreError, TemplateBatch};
use crate::types::{ClassId, Embedding, EncoderId, PartitionId, Timestamp};

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
    /// Counts one more try of something.
    Count,
}

/// What a data directory holds: the values of each class of each partition, oldest first, and the
/// small values of the layers above.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) templates: BTreeMap<(usize, i64), Vec<f32>>,
    pub(super) state: BTreeMap<String, Vec<u8>>,
    next_value: u16,
}

pub(super) const PARTITIONS: usize = 3;

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

pub(super) fn open(disk: &Arc<dyn Disk>, directory: &Path) -> Result<Store, StoreError> {
    Store::open_on(disk.clone(), directory)
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
                partition(store, at)?.add_batch(&batch, Some(&note), now)?;
            }
            Operation::Count => store.state_update("tries", "token", |value| {
                let before = value.map_or(0, |value| value[0]);
                (Some(vec![before + 1]), ())
            })?,
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
                let templates = self.templates.entry((at, class)).or_default();
                let given_up = templates.len().saturating_sub(keep);
                templates.drain(..given_up);
                templates.extend(new);
            }
            Operation::Remove(at, class) | Operation::Erase(at, class) => {
                self.templates.remove(&(at, class));
            }
            Operation::AddBatch(at, count) => {
                for class in (100..).take(count) {
                    let value = next();
                    self.templates.entry((at, class)).or_default().push(value);
                }
                self.count("batches/done");
            }
            Operation::Count => self.count("tries/token"),
            Operation::Seal(_) | Operation::Compact(_) | Operation::Maintain => {}
        }
        self.templates.retain(|_, templates| !templates.is_empty());
    }

    fn count(&mut self, key: &str) {
        let value = self.state.entry(key.to_owned()).or_insert_with(|| vec![0]);
        value[0] += 1;
    }

    /// What a data directory really holds.
    pub(super) fn of(store: &Store) -> Result<Model, StoreError> {
        let mut found: BTreeMap<(usize, i64), Vec<(u64, f32)>> = BTreeMap::new();
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
            next_value: 0,
        })
    }

    /// Whether a data directory holds this.
    pub(super) fn is_held_by(&self, found: &Model) -> bool {
        (&self.templates, &self.state) == (&found.templates, &found.state)
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
