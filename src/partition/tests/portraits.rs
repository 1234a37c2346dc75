//! Portraits: of one template each, gone with it, and never to be read in a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::files::{files_that_hold, holds_one};
use super::workload::{encoder, encrypt, keys, open};
use crate::partition::catalog::deciphered;
use crate::partition::disk::{Disk, RealDisk};
use crate::partition::{
    Choice, Held, NewTemplate, Pace, Partition, Store, StoreError, Whom, restore_archive_with,
};
use crate::types::{ClassId, Embedding, Portrait, Record, RecordChange, Timestamp};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 1_000,
};

fn store(directory: &Path) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    open(&disk, directory).unwrap()
}

fn partition(store: &Store) -> Arc<Partition> {
    let id = "bws.0".parse().unwrap();
    store.partition_for(&id, &encoder(), NOW).unwrap()
}

/// What is looked for in files: of no two portraits the same.
fn mark(number: u16) -> String {
    format!("portrait-{number:05}-of-somebody")
}

fn portrait(number: u16) -> Portrait {
    let jpeg = [
        b"\xff\xd8\xff",
        mark(number).as_bytes(),
        &[7; 3_000],
        b"\xff\xd9",
    ]
    .concat();
    Portrait::new(&jpeg).unwrap()
}

/// A template that can be told from others by its number; every third has no portrait.
fn template(number: u16) -> NewTemplate {
    let mut values = vec![1.0; 16];
    values[0] = f32::from(number);
    NewTemplate {
        embedding: Embedding::new(values).unwrap(),
        quality: quality(number),
        portrait: has_portrait(number).then(|| portrait(number)),
    }
}

fn has_portrait(number: u16) -> bool {
    !number.is_multiple_of(3)
}

/// Unknown, or one of a few that many share.
fn quality(number: u16) -> f32 {
    match number % 5 {
        0 => f32::NAN,
        part => f32::from(part) / 5.0,
    }
}

fn keeping(keep: usize) -> impl Fn(&[Held<'_>], &[NewTemplate]) -> Choice + Send + 'static {
    move |held, new| Choice {
        keep: (held.len().saturating_sub(keep)..held.len()).collect(),
        add: (0..new.len()).collect(),
        known: 0,
    }
}

/// The templates of each class, oldest first, and which of them is shown.
#[derive(Clone, Debug, Default)]
struct Model(BTreeMap<i64, (Vec<u16>, Option<u16>)>);

impl Model {
    /// Adds templates to a class of which some stay, and shows the best of what was shown and what
    /// `offered` says; those that are not are gone.
    fn put(&mut self, class: i64, stay: &[u16], new: &[u16], offered: &[u16]) {
        let shown = self.0.get(&class).and_then(|it| it.1);
        let shown = shown.filter(|it| stay.contains(it));
        let worth = |number: u16| quality(number).max(-1.0);
        let best = offered.iter().copied().filter(|it| has_portrait(*it));
        let shown = best.fold(shown, |shown, other| match shown {
            Some(shown) if worth(shown) >= worth(other) => Some(shown),
            _ => Some(other),
        });
        let all = [stay, new].concat();
        match all.is_empty() {
            true => drop(self.0.remove(&class)),
            false => drop(self.0.insert(class, (all, shown))),
        }
    }

    fn of(&self, class: i64) -> Vec<u16> {
        self.0
            .get(&class)
            .map(|it| it.0.clone())
            .unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    /// So many new templates, of which so many older ones stay.
    Enroll(i64, usize, usize),
    Remove(i64),
    Merge(i64, i64),
    /// The oldest template goes to another class.
    Move(i64, i64),
    /// Time is over for the class.
    Expire(i64),
    Erase(i64),
    RemoveAll,
    Seal,
    Compact,
    Reopen,
    Restore,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let class = || 1_i64..4;
    let operation = prop_oneof![
        6 => (class(), 1_usize..4, prop_oneof![Just(0), Just(1), Just(usize::MAX)])
            .prop_map(|(class, new, keep)| Operation::Enroll(class, new, keep)),
        1 => class().prop_map(Operation::Remove),
        2 => (class(), class()).prop_map(|(into, from)| Operation::Merge(into, from)),
        2 => (class(), class()).prop_map(|(from, to)| Operation::Move(from, to)),
        1 => class().prop_map(Operation::Expire),
        1 => class().prop_map(Operation::Erase),
        1 => Just(Operation::RemoveAll),
        1 => Just(Operation::Seal),
        1 => Just(Operation::Compact),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::Restore),
    ];
    prop::collection::vec(operation, 1..14)
}

/// A data directory, and what it should hold.
struct Place {
    folder: tempfile::TempDir,
    name: u32,
    store: Option<Store>,
    model: Model,
    next: u16,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let store = Some(store(&folder.path().join("0")));
        Place {
            folder,
            name: 0,
            store,
            model: Model::default(),
            next: 1,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join(self.name.to_string())
    }

    fn run(&mut self, operation: Operation) {
        let (pace, partition) = (Pace::unlimited(), partition(self.store()));
        match operation {
            Operation::Enroll(class, count, keep) => {
                let new: Vec<u16> = (self.next..).take(count).collect();
                self.next += count as u16;
                let templates: Vec<NewTemplate> = new.iter().map(|it| template(*it)).collect();
                partition
                    .enroll_chosen(ClassId(class), &encoder(), &templates, keeping(keep), NOW)
                    .unwrap();
                let old = self.model.of(class);
                let stay = old[old.len().saturating_sub(keep)..].to_vec();
                self.model.put(class, &stay, &new, &new);
            }
            Operation::Remove(class) => {
                partition.remove(ClassId(class)).unwrap();
                self.model.0.remove(&class);
            }
            Operation::Merge(into, from) => {
                let merged = partition.merge(ClassId(into), ClassId(from), keeping(usize::MAX));
                let (had, given) = (self.model.of(into), self.model.of(from));
                let can = into != from && !had.is_empty() && !given.is_empty();
                assert_eq!(merged.is_ok(), can);
                if can {
                    let (_, shown) = self.model.0.remove(&from).unwrap();
                    self.model.put(into, &had, &given, shown.as_slice());
                }
            }
            Operation::Move(from, to) => {
                let first = partition.templates(ClassId(from)).unwrap();
                let Some(first) = first.first().map(|it| it.template) else {
                    return;
                };
                let moved = partition.move_templates(
                    ClassId(from),
                    &[first],
                    ClassId(to),
                    keeping(usize::MAX),
                );
                let mut given = self.model.of(from);
                let can = from != to && given.len() > 1;
                assert_eq!(moved.is_ok(), can);
                if can {
                    let gone = given.remove(0);
                    let shown = self.model.0[&from].1.filter(|it| *it == gone);
                    self.model.put(from, &given, &[], &[]);
                    let had = self.model.of(to);
                    self.model.put(to, &had, &[gone], shown.as_slice());
                }
            }
            Operation::Expire(class) => {
                if self.model.0.remove(&class).is_none() {
                    return;
                }
                let record = Record {
                    expires: Some(NOW),
                    ..Record::default()
                };
                partition
                    .change_record(ClassId(class), RecordChange::of(record))
                    .unwrap();
                let ended = partition.ended(NOW).unwrap().into_iter();
                let ended: Vec<ClassId> = ended.map(|(_, class)| class).collect();
                let note = |class: ClassId, _, _| crate::partition::StateValue {
                    area: "ended",
                    key: class.to_string(),
                    value: Vec::new(),
                };
                let store = self.store();
                let erased = store.erase_ended(&partition, &ended, NOW, note, &pace);
                let (ended, overwritten) = erased.unwrap();
                assert_eq!((ended, overwritten), (vec![ClassId(class)], true));
            }
            Operation::Erase(class) => {
                assert!(
                    self.store()
                        .erase(&partition, ClassId(class), &pace)
                        .unwrap()
                        .overwritten
                );
                self.model.0.remove(&class);
            }
            Operation::RemoveAll => {
                let shown = |(_, shown): &mut (Vec<u16>, Option<u16>)| shown.take();
                let expected = self.model.0.values_mut().filter_map(shown).count() as u64;
                let removed = self.store().remove_portraits(&partition, &pace).unwrap();
                assert_eq!(removed, (expected, true));
            }
            Operation::Seal => partition.seal().unwrap(),
            Operation::Compact => drop(self.store().compact_once(&pace).unwrap()),
            Operation::Reopen => {
                drop((partition, self.store.take()));
                self.store = Some(store(&self.directory()));
            }
            Operation::Restore => {
                let path = self.folder.path().join(format!("{}.sealed", self.name));
                self.store()
                    .snapshot_to(&path, false, NOW, &mut |_, _| {})
                    .unwrap();
                drop((partition, self.store.take()));
                self.name += 1;
                let target = self.directory();
                restore_archive_with(&path, &target, &keys(), &mut |_, _| {}).unwrap();
                self.assert_shows_nothing();
                self.store = Some(store(&target));
            }
        }
    }

    /// Everybody is shown as they should be, nobody else is, and no file shows anybody.
    fn check(&self) {
        let partition = partition(self.store());
        let mut shown = 0;
        for class in 0..5 {
            let expected = self.model.0.get(&class).and_then(|it| it.1);
            let found = partition.portrait(ClassId(class)).unwrap();
            assert_eq!(found, expected.map(portrait), "class {class}");
            shown += u64::from(expected.is_some());
        }
        assert_eq!(self.store().totals().unwrap().portraits, shown);
        self.assert_shows_nothing();
        let verified = self
            .store()
            .verify(None, &Pace::unlimited(), |_, _| {})
            .unwrap();
        assert!(verified.damage.is_empty(), "{:?}", verified.damage);
    }

    fn assert_shows_nothing(&self) {
        let found = files_that_hold(self.folder.path(), &[b"-of-somebody"]);
        assert_eq!(found, [] as [PathBuf; 0]);
    }

    /// Once all is overwritten, the pages of the catalog hold no portrait but those that are shown.
    fn check_leftovers(&self) {
        let partition = partition(self.store());
        assert!(
            self.store()
                .overwrite_removed(&partition, &Pace::unlimited())
                .unwrap()
        );
        let keys = self.store().files().keys().unwrap();
        let pages = deciphered(&self.directory().join("catalog.redb"), keys);
        for number in (1..self.next).filter(|it| has_portrait(*it)) {
            let is_shown = self.model.0.values().any(|it| it.1 == Some(number));
            assert_eq!(
                holds_one(&pages, &[mark(number).as_bytes()]),
                is_shown,
                "portrait {number}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_portrait_is_that_of_the_best_template_and_goes_with_it(operations in operations()) {
        encrypt();
        let mut place = Place::new();
        for operation in operations {
            place.run(operation);
            place.check();
        }
        place.check_leftovers();
    }
}

#[test]
fn what_is_removed_is_left_in_free_pages_until_it_is_overwritten() {
    encrypt();
    let mut place = Place::new();
    place.run(Operation::Enroll(1, 1, 0));
    place.run(Operation::Enroll(2, 1, 0));
    place.run(Operation::Remove(1));
    place.check();
    let keys = place.store().files().keys().unwrap();
    let pages = deciphered(&place.directory().join("catalog.redb"), keys);
    // Or the test of leftovers would find nothing, whatever is left.
    assert!(holds_one(&pages, &[mark(1).as_bytes()]) && holds_one(&pages, &[mark(2).as_bytes()]));
    place.check_leftovers();
}

#[test]
fn none_is_taken_where_it_could_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let plain = Store::open(&directory.path().join("data")).unwrap();
    let enrolled = partition(&plain).enroll_person(
        Whom::Class(ClassId(1)),
        &encoder(),
        &[template(2), template(1)],
        keeping(usize::MAX),
        RecordChange::default(),
        NOW,
    );
    assert!(
        matches!(enrolled, Err(StoreError::PortraitInPlain)),
        "{enrolled:?}"
    );
    assert!(!partition(&plain).snapshot().contains(ClassId(1)).unwrap());
    drop(plain);
    let place = directory.path().join("data");
    let version = |store: &Store| {
        store
            .catalog()
            .read(|tables| tables.number(crate::partition::catalog::META_VERSION))
            .unwrap()
    };
    // Without a portrait nothing keeps an earlier build from opening it.
    let plain = Store::open(&place).unwrap();
    let without = NewTemplate {
        portrait: None,
        ..template(1)
    };
    partition(&plain)
        .enroll(ClassId(1), &encoder(), &[without], 0, NOW)
        .unwrap();
    assert_eq!(version(&plain), Some(1));
    encrypt();
    let sealed = store(&directory.path().join("sealed"));
    partition(&sealed)
        .enroll(ClassId(1), &encoder(), &[template(1)], 0, NOW)
        .unwrap();
    assert_eq!(version(&sealed), Some(3));
}
