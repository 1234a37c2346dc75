//! Anything that can be done with a gallery, in any order, against a plain map.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::engine::{Engine, IdentifyOptions, TEMPLATES_PER_CLASS_MAX};
use vultus::partition::{
    Maintenance, MaintenanceOptions, NewTemplate, Pace, Partition, Store, TemplateBatch,
    restore_archive,
};
use vultus::search::Pool;
use vultus::types::{Bcid, ClassId, Embedding, EncoderId, PartitionId, Timestamp};

use super::naive::{self, Row};

/// Of every template, so that what stays of a class depends on how alike they are alone.
const QUALITY: f32 = 0.5;

/// Something that is done with a gallery.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Enroll(i64, usize),
    Replace(i64, usize),
    Delete(i64),
    Erase(i64),
    AddBatch(usize),
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
        1 => class.prop_map(Operation::Erase),
        2 => (1_usize..5).prop_map(Operation::AddBatch),
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

/// The values of each class, oldest first.
type Model = BTreeMap<i64, Vec<Vec<f32>>>;

/// A gallery, and what should be in it.
struct Gallery {
    root: tempfile::TempDir,
    data: PathBuf,
    /// `None` only while it is opened again.
    open: Option<(Engine, Option<Maintenance>)>,
    /// Whether somebody puts it in order in the background.
    maintained: bool,
    model: Model,
    saved: Option<Model>,
    random: StdRng,
    now: i64,
}

impl Gallery {
    fn new(seed: u64, maintained: bool) -> Gallery {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data-0");
        let open = Some(open(&data, maintained));
        Gallery {
            root,
            data,
            open,
            maintained,
            model: Model::new(),
            saved: None,
            random: StdRng::seed_from_u64(seed),
            now: 0,
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
                let all = self.model.entry(class).or_default();
                all.extend(rows);
                while all.len() > TEMPLATES_PER_CLASS_MAX {
                    all.remove(most_alike(all));
                }
                assert_eq!(enrolled.unwrap().templates, all.len());
            }
            Operation::Replace(class, count) => {
                let rows = self.rows(count);
                let templates = templates(&rows);
                let replaced = self
                    .engine()
                    .replace(&bcid(class), &encoder(), &templates, now);
                assert_eq!(replaced.unwrap().templates, count);
                self.model.insert(class, rows);
            }
            Operation::Delete(class) => {
                let gallery = self.enrolled();
                let deleted =
                    gallery.is_some_and(|it| it.remove(ClassId(class)).unwrap().templates > 0);
                assert_eq!(deleted, self.model.remove(&class).is_some());
            }
            Operation::Erase(class) => {
                let store = self.engine().store().clone();
                let erased = store.erase(&self.partition(), ClassId(class), &Pace::unlimited());
                assert_eq!(
                    erased.unwrap().was_enrolled,
                    self.model.remove(&class).is_some()
                );
            }
            Operation::AddBatch(count) => {
                let rows = self.rows(count);
                let mut batch = TemplateBatch::new(&encoder());
                for (class, row) in (0..).zip(rows) {
                    batch.push(ClassId(class), &row, QUALITY, now);
                    self.model.entry(class).or_default().push(row);
                }
                self.partition()
                    .add_batch(&batch, Vec::new(), None, now)
                    .unwrap();
            }
            Operation::Search => self.search(),
            Operation::Seal => self.partition().seal().unwrap(),
            Operation::Compact => drop(self.partition().compact(&Pace::unlimited()).unwrap()),
            Operation::RenewCatalog => drop(self.engine().store().renew_catalog().unwrap()),
            Operation::LookOn => {
                let store = Store::open_read_only(&self.data).unwrap();
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
                    restore_archive(&path, &self.data, &mut |_, _| {}).unwrap();
                    self.reopen();
                }
            }
            Operation::Reopen => self.reopen(),
        }
        assert_eq!(contents(self.engine().store()), self.model);
    }

    fn reopen(&mut self) {
        self.open = None;
        self.open = Some(open(&self.data, self.maintained));
    }

    fn search(&mut self) {
        let probe = self.rows(1).remove(0);
        let rows: Vec<Row> = self
            .model
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
        (0..count).map(|_| row()).collect()
    }
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

fn open(data: &Path, maintained: bool) -> (Engine, Option<Maintenance>) {
    let store = Arc::new(Store::open(data).unwrap());
    let options = MaintenanceOptions {
        compaction_bytes_per_second: None,
        ..MaintenanceOptions::default()
    };
    let maintenance = maintained.then(|| Maintenance::start(&store, &options).unwrap());
    (Engine::new(store, Pool::new(2)), maintenance)
}

fn templates(rows: &[Vec<f32>]) -> Vec<NewTemplate> {
    let template = |row: &Vec<f32>| NewTemplate {
        embedding: Embedding::new(row.clone()).unwrap(),
        quality: QUALITY,
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

/// What a data directory holds.
fn contents(store: &Store) -> Model {
    let mut found: BTreeMap<i64, Vec<(u64, Vec<f32>)>> = BTreeMap::new();
    if let Some(partition) = store.partition(&partition_id()).unwrap() {
        for row in partition.snapshot().live_rows() {
            let (class, info) = (row.class().unwrap(), row.info().unwrap());
            let values = row.values().unwrap().to_vec();
            found
                .entry(class.0)
                .or_default()
                .push((info.template, values));
        }
    }
    let in_order = |mut rows: Vec<(u64, Vec<f32>)>| {
        rows.sort_by_key(|(template, _)| *template);
        rows.into_iter().map(|(_, values)| values).collect()
    };
    found
        .into_iter()
        .map(|(class, rows)| (class, in_order(rows)))
        .collect()
}

proptest! {
    // Every operation syncs, and is followed by a comparison of everything.
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_gallery_is_a_map(
        seed in any::<u64>(),
        maintained in any::<bool>(),
        operations in prop::collection::vec(operation(), 1..40),
    ) {
        let mut gallery = Gallery::new(seed, maintained);
        for operation in operations {
            gallery.run(operation);
        }
        let verified = gallery.engine().store().verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
        prop_assert!(verified.damage.is_empty(), "{:?}", verified.damage);
    }
}
