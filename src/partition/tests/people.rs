//! What is known of people: found, hidden, merged, and gone with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::files::files_that_hold;
use super::workload::{encoder, open};
use crate::partition::catalog::{META, META_VERSION, unsealed};
use crate::partition::disk::{Disk, RealDisk};
use crate::partition::{
    Choice, EnrolledPerson, Held, NewTemplate, Pace, Partition, Snapshot, Store, StoreError, Whom,
    restore_archive,
};
use crate::types::{
    ClassId, ClassThreshold, Embedding, Label, Labels, LabelsChange, NotSameAs, Record,
    RecordChange, Timestamp,
};

const NOW: Timestamp = at(1_000);

const fn at(unix_milliseconds: i64) -> Timestamp {
    Timestamp { unix_milliseconds }
}

fn store(directory: &Path) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    open(&disk, directory).unwrap()
}

fn partition(store: &Store) -> Arc<Partition> {
    let id = "bws.0".parse().unwrap();
    store.partition_for(&id, &encoder(), NOW).unwrap()
}

fn template(value: f32) -> NewTemplate {
    let mut values = vec![1.0; 16];
    values[0] = value;
    NewTemplate {
        embedding: Embedding::new(values).unwrap(),
        quality: 0.5,
        portrait: None,
    }
}

fn all_of(held: &[Held<'_>], new: &[NewTemplate]) -> Choice {
    Choice {
        keep: (0..held.len()).collect(),
        add: (0..new.len()).collect(),
        known: 0,
    }
}

fn named(name: &str) -> RecordChange {
    RecordChange {
        name: Some(Some(name.parse().unwrap())),
        ..RecordChange::default()
    }
}

fn with_id(id: &str) -> RecordChange {
    RecordChange {
        external_id: Some(Some(id.parse().unwrap())),
        ..RecordChange::default()
    }
}

fn labels(texts: &[&str]) -> Labels {
    let mut labels = Labels::default();
    texts
        .iter()
        .for_each(|text| labels.add(text.parse().unwrap()).unwrap());
    labels
}

fn labelled(texts: &[&str]) -> RecordChange {
    RecordChange {
        labels: LabelsChange::Replace(labels(texts)),
        ..RecordChange::default()
    }
}

fn ending(end: i64) -> RecordChange {
    RecordChange {
        expires: Some(Some(at(end))),
        ..RecordChange::default()
    }
}

fn put(
    partition: &Partition,
    whom: Whom,
    value: f32,
    record: RecordChange,
) -> Result<EnrolledPerson, StoreError> {
    partition.enroll_person(whom, &encoder(), &[template(value)], all_of, record, NOW)
}

fn enroll(partition: &Partition, class: i64, value: f32, record: RecordChange) {
    put(partition, Whom::Class(ClassId(class)), value, record).unwrap();
}

fn record_of(partition: &Partition, class: i64) -> Record {
    partition.records(&[ClassId(class)]).unwrap().remove(0)
}

fn classes(snapshot: &Snapshot) -> BTreeSet<i64> {
    snapshot
        .live_rows()
        .map(|row| row.class().unwrap().0)
        .collect()
}

fn version(store: Store, directory: &Path) -> u64 {
    drop(store);
    let database = redb::Database::open(directory.join("catalog.redb")).unwrap();
    let transaction = redb::ReadableDatabase::begin_read(&database).unwrap();
    let value = transaction
        .open_table(META)
        .unwrap()
        .get(META_VERSION)
        .unwrap()
        .unwrap();
    let bytes = unsealed(META_VERSION.as_bytes(), value.value()).unwrap();
    u64::from_le_bytes(bytes.try_into().unwrap())
}

/// Whether any file of a data directory holds a text.
fn holds(directory: &Path, text: &str) -> bool {
    !files_that_hold(directory, &[text.as_bytes()]).is_empty()
}

#[test]
fn only_a_catalog_with_records_is_of_the_newer_version() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let without = partition(&opened);
    enroll(&without, 1, 1.0, RecordChange::default());
    without.remove(ClassId(1)).unwrap();
    without.note_match(ClassId(1), NOW);
    without.write_matches().unwrap();
    enroll(&without, 2, 1.0, RecordChange::default());
    drop(without);
    assert_eq!(version(opened, directory.path()), 1);
    let opened = store(directory.path());
    enroll(&partition(&opened), 1, 1.0, named("Ada"));
    opened.renew_catalog().unwrap();
    assert_eq!(version(opened, directory.path()), 2);
    let opened = store(directory.path());
    assert_eq!(
        record_of(&partition(&opened), 1),
        named("Ada").apply(&Record::default()).unwrap()
    );
    assert!(
        opened
            .verify(None, &Pace::unlimited(), |_, _| {})
            .unwrap()
            .damage
            .is_empty()
    );
}

#[test]
fn names_are_found_whole_and_by_their_beginning() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let partition = partition(&opened);
    for (class, name) in [
        (5, "Ada"),
        (-3, "ADA"),
        (7, "Adam"),
        (8, "Ädam"),
        (9, "Zoë"),
        (10, "Ad"),
    ] {
        enroll(&partition, class, class as f32, named(name));
    }
    let found = |prefix: &str, is_whole, after: Option<(&str, i64)>, limit| -> Vec<i64> {
        let after = after.map(|(name, class)| (name, ClassId(class)));
        let found = partition.named(prefix, is_whole, after, limit).unwrap();
        found.into_iter().map(|(_, class)| class.0).collect()
    };
    assert_eq!(found("ada", true, None, 9), [-3, 5]);
    assert_eq!(found("ada", false, None, 9), [-3, 5, 7]);
    assert_eq!(found("ad", false, None, 9), [10, -3, 5, 7]);
    assert_eq!(found("", false, None, 9), [10, -3, 5, 7, 9, 8]);
    assert!(found("x", false, None, 9).is_empty());
    // Page by page.
    for limit in 1..7 {
        let (mut all, mut after) = (Vec::new(), None::<(String, ClassId)>);
        loop {
            let last = after.as_ref().map(|(name, class)| (&**name, *class));
            let page = partition.named("", false, last, limit).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            all.extend(page.into_iter().map(|(_, class)| class.0));
        }
        assert_eq!(all, [10, -3, 5, 7, 9, 8], "{limit} at a time");
    }
    partition.change_record(ClassId(5), named("Grace")).unwrap();
    assert_eq!(found("ada", true, None, 9), [-3]);
    assert_eq!(found("grace", true, None, 9), [5]);
}

#[test]
fn an_external_id_is_of_one_class() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let partition = partition(&opened);
    enroll(&partition, 1, 1.0, with_id("E1"));
    enroll(&partition, 2, 2.0, with_id("e1"));
    enroll(&partition, 1, 3.0, with_id("E1"));
    let before = classes(&partition.snapshot());
    for refused in [
        put(&partition, Whom::Class(ClassId(3)), 4.0, with_id("E1")).map(drop),
        partition.change_record(ClassId(2), with_id("E1")).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(error.is_callers_fault(), "{error}");
        assert!(
            error.to_string().contains("is that of `bws.0.1` already"),
            "{error}"
        );
    }
    assert_eq!(
        classes(&partition.snapshot()),
        before,
        "nothing is half done"
    );
    // Given away, and free again.
    partition.change_record(ClassId(1), with_id("E9")).unwrap();
    partition.change_record(ClassId(2), with_id("E1")).unwrap();
    partition.remove(ClassId(2)).unwrap();
    enroll(&partition, 3, 4.0, with_id("E1"));
    let id = "E1".parse().unwrap();
    assert_eq!(
        partition.class_of_external_id(&id).unwrap(),
        Some(ClassId(3))
    );
    let error = partition
        .change_record(ClassId(2), named("Nobody"))
        .unwrap_err();
    assert_eq!(error.to_string(), "`bws.0.2` is not enrolled");
}

#[test]
fn new_people_get_numbers_that_nobody_had() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let partition = partition(&opened);
    let new = |value, record| put(&partition, Whom::New, value, record).unwrap();
    assert_eq!(new(1.0, named("Ada")).class, ClassId(1));
    assert_eq!(new(2.0, named("Ada")).class, ClassId(2));
    partition.remove(ClassId(2)).unwrap();
    assert_eq!(
        new(3.0, RecordChange::default()).class,
        ClassId(3),
        "nobody's again"
    );
    // Numbers that clients have chosen are passed over, and stay theirs when they are removed.
    enroll(&partition, 4, 4.0, RecordChange::default());
    enroll(&partition, -9, 4.0, RecordChange::default());
    enroll(&partition, i64::MAX, 4.0, RecordChange::default());
    enroll(&partition, 6, 4.0, RecordChange::default());
    assert_eq!(new(5.0, RecordChange::default()).class, ClassId(5));
    partition.remove(ClassId(6)).unwrap();
    assert_eq!(new(6.0, RecordChange::default()).class, ClassId(7));
    // A known external id is the same person.
    let first = new(7.0, with_id("x"));
    assert!(first.is_new);
    let again = new(8.0, with_id("x"));
    assert_eq!(
        (again.class, again.is_new, again.enrolled.templates),
        (first.class, false, 2)
    );
    // From the end of the numbers on, gaps are filled.
    enroll(
        &partition,
        i64::from(i32::MAX),
        9.0,
        RecordChange::default(),
    );
    partition.remove(ClassId(i64::from(i32::MAX))).unwrap();
    let class = new(10.0, RecordChange::default()).class;
    assert!((1..100).contains(&class.0), "{class}");
}

#[test]
fn of_many_numbers_that_are_chosen_none_is_that_of_somebody_else() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let partition = partition(&opened);
    let choose = |count| -> Vec<i64> {
        let chosen = partition.choose_classes(count).unwrap();
        chosen.iter().map(|class| class.0).collect()
    };
    assert!(choose(0).is_empty());
    assert_eq!(choose(3), [1, 2, 3]);
    // Those who were told theirs are not enrolled yet.
    for class in (5..100).chain([102]) {
        enroll(&partition, class, 1.0, RecordChange::default());
    }
    assert_eq!(choose(4), [4, 103, 104, 105]);
    let new = put(&partition, Whom::New, 2.0, RecordChange::default());
    assert_eq!(new.unwrap().class, ClassId(106));
    // From the end of the numbers on, gaps are filled, each once.
    let last = i64::from(i32::MAX);
    enroll(&partition, last, 9.0, RecordChange::default());
    partition.remove(ClassId(last)).unwrap();
    enroll(&partition, last, 9.0, RecordChange::default());
    for class in 106..=200 {
        enroll(&partition, class, 1.0, RecordChange::default());
    }
    partition.remove(ClassId(7)).unwrap();
    assert_eq!(choose(7), [1, 2, 3, 4, 7, 100, 101]);
    assert_eq!(choose(3), [103, 104, 105]);
    assert_eq!(choose(2), [201, 202]);
}

#[test]
fn the_first_number_is_after_those_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let partition = partition(&opened);
    for class in [-5, 3, 200, 7] {
        enroll(&partition, class, class as f32, RecordChange::default());
    }
    let class = put(&partition, Whom::New, 1.0, named("A")).unwrap().class;
    assert_eq!(class, ClassId(201));
}

#[test]
fn two_classes_become_one() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let partition = partition(&opened);
    enroll(&partition, 1, 1.0, labelled(&["site:berlin"]));
    enroll(&partition, 2, 2.0, named("Ada"));
    enroll(&partition, 3, 3.0, named("Twin"));
    partition.seal().unwrap();
    enroll(&partition, 2, 4.0, with_id("E2"));
    let labels_of_2 = labelled(&["site:paris", "team:a"]);
    partition.change_record(ClassId(2), labels_of_2).unwrap();
    let twins = RecordChange {
        not_same_as: Some(NotSameAs::new([ClassId(3)]).unwrap()),
        threshold: Some(Some(ClassThreshold::new(0.7).unwrap())),
        ..RecordChange::default()
    };
    partition.change_record(ClassId(2), twins).unwrap();
    for (into, from, says) in [
        (1, 1, "cannot be merged with itself"),
        (1, 9, "`bws.0.9` is not enrolled"),
        (9, 1, "`bws.0.9` is not enrolled"),
        (2, 3, "are said not to be the same person"),
        (3, 2, "are said not to be the same person"),
    ] {
        let error = partition
            .merge(ClassId(into), ClassId(from), all_of)
            .unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.is_callers_fault());
        assert_eq!(partition.snapshot().templates(), 4);
    }
    let merged = partition.merge(ClassId(1), ClassId(2), all_of).unwrap();
    assert_eq!((merged.moved, merged.removed, merged.templates), (2, 0, 3));
    assert_eq!(classes(&partition.snapshot()), BTreeSet::from([1, 3]));
    let record = record_of(&partition, 1);
    assert_eq!(record, merged.record);
    assert_eq!(record.name.as_ref().map(|name| name.as_str()), Some("Ada"));
    assert_eq!(record.labels, labels(&["site:berlin", "team:a"]));
    assert!(record.not_same_as.contains(ClassId(3)));
    assert!(record_of(&partition, 3).not_same_as.contains(ClassId(1)));
    assert_eq!(record_of(&partition, 2), Record::default());
    let id = "E2".parse().unwrap();
    assert_eq!(
        partition.class_of_external_id(&id).unwrap(),
        Some(ClassId(1))
    );
    let error = partition.merge(ClassId(1), ClassId(3), all_of).unwrap_err();
    assert!(matches!(error, StoreError::SaidNotSame { .. }), "{error}");
    partition.remove(ClassId(3)).unwrap();
    assert_eq!(record_of(&partition, 1).not_same_as, NotSameAs::default());
    assert!(
        opened
            .verify(None, &Pace::unlimited(), |_, _| {})
            .unwrap()
            .damage
            .is_empty()
    );
}

#[test]
fn templates_are_moved_to_another_class() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let partition = partition(&opened);
    for value in [1.0, 2.0, 3.0] {
        enroll(&partition, 1, value, named("Ada"));
        partition.seal().unwrap();
    }
    let numbers = |class: i64| -> Vec<u64> {
        let templates = partition.templates(ClassId(class)).unwrap();
        templates.iter().map(|template| template.template).collect()
    };
    let all = numbers(1);
    for (from, wanted, to, says) in [
        (1, vec![all[0]], 1, "cannot be merged with itself"),
        (
            1,
            vec![all[0], 999_999],
            2,
            "has no template 999999: nothing was moved",
        ),
        (1, all.clone(), 2, "merge the class instead"),
        (7, vec![1], 2, "`bws.0.7` is not enrolled"),
    ] {
        let error = partition
            .move_templates(ClassId(from), &wanted, ClassId(to), all_of)
            .unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(numbers(1), all);
    }
    let moved = partition
        .move_templates(ClassId(1), &all[1..2], ClassId(2), all_of)
        .unwrap();
    assert_eq!(
        (moved.moved, moved.removed, moved.templates, moved.left),
        (1, 0, 1, 2)
    );
    assert_eq!(numbers(1), [all[0], all[2]]);
    let rows = partition.snapshot();
    assert_eq!(
        rows.rows_of(ClassId(2)).unwrap()[0].values().unwrap()[0],
        2.0
    );
    let twice = partition
        .move_templates(ClassId(1), &[all[0], all[0]], ClassId(2), all_of)
        .unwrap();
    assert_eq!((twice.moved, twice.templates, twice.left), (1, 2, 1));
}

#[test]
fn nobody_is_said_not_to_be_themselves_or_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let partition = partition(&opened);
    enroll(&partition, 1, 1.0, RecordChange::default());
    let not_same = |class| RecordChange {
        not_same_as: Some(NotSameAs::new([ClassId(class)]).unwrap()),
        ..named("Ada")
    };
    for (class, says) in [
        (1, "names the class itself"),
        (2, "`bws.0.2` is not enrolled"),
    ] {
        let error = partition
            .change_record(ClassId(1), not_same(class))
            .unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(record_of(&partition, 1), Record::default());
    }
}

#[test]
fn people_are_not_found_from_the_millisecond_on_when_their_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(directory.path());
    let partition = partition(&opened);
    for (class, end) in [(1, 2_000), (2, 3_000), (3, 2_000)] {
        enroll(&partition, class, class as f32, ending(end));
    }
    enroll(&partition, 4, 4.0, RecordChange::default());
    partition.seal().unwrap();
    enroll(&partition, 5, 5.0, ending(2_001));
    let found = |now| classes(&partition.snapshot_of(at(now), &Labels::default()).unwrap());
    assert_eq!(found(1_999), BTreeSet::from([1, 2, 3, 4, 5]));
    assert_eq!(found(2_000), BTreeSet::from([2, 4, 5]));
    assert_eq!(found(2_001), BTreeSet::from([2, 4]));
    assert_eq!(
        found(1_999),
        BTreeSet::from([1, 2, 3, 4, 5]),
        "the clock is set back"
    );
    assert_eq!(found(i64::MAX), BTreeSet::from([4]));
    assert_eq!(found(2_500), BTreeSet::from([2, 4]));
    // More time, and less.
    partition.change_record(ClassId(1), ending(9_000)).unwrap();
    assert_eq!(found(2_500), BTreeSet::from([1, 2, 4]));
    partition.change_record(ClassId(4), ending(2_400)).unwrap();
    assert_eq!(found(2_500), BTreeSet::from([1, 2]));
    enroll(&partition, 6, 6.0, ending(2_600));
    assert_eq!(found(2_500), BTreeSet::from([1, 2, 6]));
    assert_eq!(found(2_600), BTreeSet::from([1, 2]));
    let of_now: Vec<i64> = partition
        .ended(at(2_500))
        .unwrap()
        .iter()
        .map(|it| it.1.0)
        .collect();
    let ended = [3, 5, 4];
    assert_eq!(of_now, ended);
    let (erased, _) = opened
        .erase_ended(
            &partition,
            &ended.map(ClassId),
            at(2_500),
            |class, templates, _| crate::partition::StateValue {
                area: "ended",
                key: class.to_string(),
                value: vec![templates as u8],
            },
            &Pace::unlimited(),
        )
        .unwrap();
    assert_eq!(erased.len(), 3);
    let noted = opened.state_list("ended").unwrap();
    assert!(noted.len() == 3 && noted.iter().all(|(_, templates)| templates == &[1]));
    assert_eq!(classes(&partition.snapshot()), BTreeSet::from([1, 2, 6]));
    assert_eq!(partition.ended(at(2_500)).unwrap(), []);
    let error = put(&partition, Whom::Class(ClassId(7)), 7.0, ending(999)).unwrap_err();
    assert!(
        error.to_string().contains("the time of `bws.0.7` is over"),
        "{error}"
    );
    assert!(!partition.snapshot().contains(ClassId(7)).unwrap());
}

#[test]
fn what_is_known_of_somebody_is_gone_with_them_everywhere() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let opened = store(&data);
    let partition = partition(&opened);
    let secret = "Zaphodine Beeblebrox-Trillian";
    let change = RecordChange {
        note: Some(Some(format!("about {secret}").parse().unwrap())),
        ..named(secret)
    };
    enroll(&partition, 1, 1.0, change.clone());
    enroll(&partition, 2, 2.0, labelled(&["site:berlin"]));
    let change = RecordChange {
        labels: LabelsChange::Replace(labels(&[&format!("who:{secret}")])),
        ..change
    };
    partition.change_record(ClassId(1), change).unwrap();
    partition
        .snapshot_of(NOW, &labels(&["site:berlin"]))
        .unwrap();
    partition.note_match(ClassId(1), NOW);
    partition.write_matches().unwrap();
    assert_eq!(partition.last_matches(&[ClassId(1)]).unwrap(), [Some(NOW)]);
    assert!(holds(&data, secret), "or this test shows nothing");
    let erased = opened
        .erase(&partition, ClassId(1), &Pace::unlimited())
        .unwrap();
    assert!(erased.was_enrolled && erased.overwritten);
    for text in [secret, &secret.to_lowercase()] {
        assert!(!holds(&data, text), "{text}");
    }
    assert_eq!(record_of(&partition, 1), Record::default());
    assert_eq!(partition.last_matches(&[ClassId(1)]).unwrap(), [None]);
    // Enrolled again, it is somebody else.
    enroll(&partition, 1, 1.0, RecordChange::default());
    assert_eq!(record_of(&partition, 1), Record::default());
    // Also where the last template of a class gives way.
    enroll(&partition, 3, 3.0, named(secret));
    let nothing = |_: &[Held<'_>], _: &[NewTemplate]| Choice {
        keep: Vec::new(),
        add: Vec::new(),
        known: 0,
    };
    let gone = partition
        .enroll_chosen(ClassId(3), &encoder(), &[], nothing, NOW)
        .unwrap();
    assert_eq!(gone.templates, 0);
    assert_eq!(record_of(&partition, 3), Record::default());
    assert_eq!(partition.named("", false, None, 9).unwrap(), []);
}

#[test]
fn records_are_in_snapshots_and_seen_by_whoever_looks_on() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let opened = store(&data);
    enroll(&partition(&opened), 1, 1.0, named("Ada"));
    let archive = directory.path().join("a.tar.zst");
    opened
        .snapshot_to(&archive, false, NOW, &mut |_, _| {})
        .unwrap();
    let looking_on = Store::open_read_only(&data).unwrap();
    let target = directory.path().join("restored");
    restore_archive(&archive, &target, &mut |_, _| {}).unwrap();
    let restored = store(&target);
    for store in [&looking_on, &restored] {
        let partition = store.partition(&"bws.0".parse().unwrap()).unwrap().unwrap();
        assert_eq!(
            record_of(&partition, 1),
            record_of(&self::partition(&opened), 1)
        );
        assert_eq!(partition.named("ada", true, None, 9).unwrap().len(), 1);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Enroll(i64),
    Label(i64, u8),
    End(i64, Option<i64>),
    Remove(i64),
    Merge(i64, i64),
    Move(i64, i64),
    Seal,
    Compact,
    Reopen,
    Ask(i64, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let class = 0_i64..8;
    prop_oneof![
        5 => class.clone().prop_map(Step::Enroll),
        4 => (class.clone(), 0_u8..8).prop_map(|(class, labels)| Step::Label(class, labels)),
        3 => (class.clone(), prop::option::of(0_i64..10)).prop_map(|(class, end)| Step::End(class, end)),
        1 => class.clone().prop_map(Step::Remove),
        1 => (class.clone(), class.clone()).prop_map(|(into, from)| Step::Merge(into, from)),
        1 => (class.clone(), class).prop_map(|(from, to)| Step::Move(from, to)),
        1 => Just(Step::Seal),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
        6 => (0_i64..12, 0_u8..8).prop_map(|(now, labels)| Step::Ask(now, labels)),
    ]
}

/// The labels of a set of three, as bits.
fn some_labels(bits: u8) -> Labels {
    let mut labels = Labels::default();
    for (bit, text) in [(1, "a:1"), (2, "b:1"), (4, "c:1")] {
        if bits & bit != 0 {
            labels.add(text.parse::<Label>().unwrap()).unwrap();
        }
    }
    labels
}

/// Of each class how many templates it has, its labels and its end.
type People = BTreeMap<i64, (usize, u8, Option<i64>)>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// A filter shows who it should, whatever was done before, in any order.
    #[test]
    fn a_filter_shows_what_a_naive_one_shows(steps in prop::collection::vec(step(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let mut opened = store(directory.path());
        let mut people = People::new();
        let mut value = 0.0;
        // Time goes on: nobody is enrolled after their end here.
        let early = Timestamp { unix_milliseconds: -1 };
        for step in steps {
            let partition = partition(&opened);
            match step {
                Step::Enroll(class) => {
                    value += 1.0;
                    let record = RecordChange::default();
                    let class_id = Whom::Class(ClassId(class));
                    partition
                        .enroll_person(class_id, &encoder(), &[template(value)], all_of, record, early)
                        .unwrap();
                    people.entry(class).or_default().0 += 1;
                }
                Step::Label(class, bits) => {
                    let change = RecordChange {
                        labels: LabelsChange::Replace(some_labels(bits)),
                        ..RecordChange::default()
                    };
                    let changed = partition.change_record(ClassId(class), change);
                    prop_assert_eq!(changed.is_ok(), people.contains_key(&class));
                    people.entry(class).and_modify(|person| person.1 = bits);
                }
                Step::End(class, end) => {
                    let change = RecordChange {
                        expires: Some(end.map(at)),
                        ..RecordChange::default()
                    };
                    let changed = partition.change_record(ClassId(class), change);
                    prop_assert_eq!(changed.is_ok(), people.contains_key(&class));
                    people.entry(class).and_modify(|person| person.2 = end);
                }
                Step::Remove(class) => {
                    let removed = partition.remove(ClassId(class)).unwrap();
                    let was = people.remove(&class).is_some();
                    prop_assert_eq!(removed.was_enrolled(), was);
                }
                Step::Merge(into, from) => {
                    let merged = partition.merge(ClassId(into), ClassId(from), all_of);
                    let both = into != from && people.contains_key(&into) && people.contains_key(&from);
                    prop_assert_eq!(merged.is_ok(), both);
                    if both {
                        let gone = people.remove(&from).unwrap();
                        let kept = people.get_mut(&into).unwrap();
                        kept.0 += gone.0;
                        kept.1 |= gone.1;
                        kept.2 = kept.2.zip(gone.2).map(|(one, other)| one.max(other));
                    }
                }
                Step::Move(from, to) => {
                    let templates = partition.templates(ClassId(from)).unwrap();
                    let first: Vec<u64> = templates.iter().map(|it| it.template).take(1).collect();
                    let moved = partition.move_templates(ClassId(from), &first, ClassId(to), all_of);
                    prop_assert_eq!(moved.is_ok(), from != to && templates.len() > 1);
                    if moved.is_ok() {
                        people.get_mut(&from).unwrap().0 -= 1;
                        people.entry(to).or_default().0 += 1;
                    }
                }
                Step::Seal => partition.seal().unwrap(),
                Step::Compact => drop(partition.compact(&Pace::unlimited()).unwrap()),
                Step::Reopen => {
                    drop((partition, opened));
                    opened = store(directory.path());
                }
                Step::Ask(now, bits) => {
                    let snapshot = partition.snapshot_of(at(now), &some_labels(bits)).unwrap();
                    let shown = people.iter().filter(|(_, (_, labels, end))| {
                        labels & bits == bits && end.is_none_or(|end| end > now)
                    });
                    let expected: BTreeMap<i64, usize> =
                        shown.map(|(class, (count, ..))| (*class, *count)).collect();
                    let mut found = BTreeMap::new();
                    for row in snapshot.live_rows() {
                        *found.entry(row.class().unwrap().0).or_insert(0) += 1;
                    }
                    prop_assert_eq!(&found, &expected);
                    prop_assert_eq!(snapshot.templates(), expected.values().sum::<usize>());
                }
            }
        }
        let verified = opened.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
        prop_assert!(verified.damage.is_empty(), "{:?}", verified.damage);
    }
}
