//! Galleries that go out and come in again, and files that are none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use vultus::engine::{Engine, EngineError, ExportOptions, ImportOptions, Imported, check_source};
use vultus::exchange::{
    ExchangeError, Existing, Job, Length, Piece, Record, Refused, Source, SourceOptions,
    open_source, open_source_with,
};
use vultus::partition::Store;
use vultus::search::Pool;
use vultus::types::{
    ClassId, ClassThreshold, EncoderId, Label, Labels, PartitionId, Record as Known, Timestamp,
};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 1_700_000_000_000,
};
const DIMENSION: usize = 16;

/// A template by its bits: class, values, time, quality.
type Bits = (i64, Vec<u32>, i64, u32);

fn engine(directory: &Path) -> Engine {
    let store = Store::open(&directory.join("data")).unwrap();
    Engine::new(Arc::new(store), Pool::new(2))
}

fn partition(number: i32) -> PartitionId {
    format!("bws.{number}").parse().unwrap()
}

fn encoder() -> EncoderId {
    EncoderId::new("test", "1", DIMENSION).unwrap()
}

fn formats() -> Vec<&'static str> {
    let mut formats = vec!["jsonl"];
    if cfg!(feature = "npz") {
        formats.push("npz");
    }
    if cfg!(feature = "parquet") {
        formats.push("parquet");
    }
    formats
}

/// All templates of a partition, in an order of their own.
fn contents(engine: &Engine, id: &PartitionId) -> Vec<Bits> {
    let mut all = Vec::new();
    let Some(partition) = engine.store().partition(id).unwrap() else {
        return all;
    };
    let snapshot = partition.snapshot();
    for row in snapshot.live_rows() {
        let info = row.info().unwrap();
        let values = row.values().unwrap().iter();
        all.push((
            row.class().unwrap().0,
            values.map(|value| value.to_bits()).collect(),
            info.enrolled_unix_milliseconds,
            info.quality.to_bits(),
        ));
    }
    all.sort();
    all
}

/// What is known of the people of a partition.
fn people(engine: &Engine, id: &PartitionId) -> BTreeMap<i64, Known> {
    let Some(partition) = engine.store().partition(id).unwrap() else {
        return BTreeMap::new();
    };
    let named = partition.named("", false, None, usize::MAX).unwrap();
    let classes: Vec<ClassId> = named.into_iter().map(|(_, class)| class).collect();
    let records = partition.records(&classes).unwrap();
    classes.iter().map(|class| class.0).zip(records).collect()
}

/// What a made source says of a class, if it says anything.
fn person_of(class: i64) -> Option<Box<Known>> {
    if class % 3 == 0 {
        return None;
    }
    let labels = [
        Label::new("class", &class.to_string()).unwrap(),
        Label::new("odd", "a;b\\;\\").unwrap(),
    ];
    let is_even = class % 2 == 0;
    Some(Box::new(Known {
        name: Some(format!("Zoë {class} 山田").parse().unwrap()),
        external_id: is_even.then(|| format!("id-{class}").parse().unwrap()),
        labels: labels.into_iter().collect::<Result<Labels, _>>().unwrap(),
        note: is_even.then(|| "agreed,\n\"on\" paper".parse().unwrap()),
        expires: is_even.then_some(Timestamp {
            unix_milliseconds: NOW.unix_milliseconds + 1,
        }),
        threshold: (!is_even).then(|| ClassThreshold::new(0.1 + 0.2).unwrap()),
        ..Known::default()
    }))
}

/// An item as a source gives it, or why it is refused.
type Item = Result<(i64, Vec<f32>, Option<i64>, f32), String>;

/// A source in memory, which may fail before one of its items.
struct Made {
    items: Vec<Item>,
    next: usize,
    fails_at: Option<usize>,
    name: PathBuf,
}

struct MadePiece(Vec<Item>);

impl Made {
    fn new(items: &[Item], fails_at: Option<usize>) -> Made {
        Made {
            items: items.to_vec(),
            next: 0,
            fails_at,
            name: "made".into(),
        }
    }
}

impl Source for Made {
    fn name(&self) -> &Path {
        &self.name
    }
    fn dimension(&self) -> usize {
        DIMENSION
    }
    fn length(&self) -> Length {
        Length::Items(self.items.len() as u64)
    }
    fn position(&self) -> u64 {
        self.next as u64
    }
    fn describe(&self, job: Job) -> Job {
        job.with("items", self.items.len())
    }
    fn items_per_commit(&self) -> u64 {
        10
    }
    fn skip(&mut self, items: u64) -> Result<(), ExchangeError> {
        self.next += items as usize;
        Ok(())
    }
    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError> {
        let end = self.items.len().min(self.next + 3);
        if self.fails_at.is_some_and(|at| at < end) {
            return Err(ExchangeError::SourceFormat {
                path: "unplugged".into(),
            });
        }
        let piece = MadePiece(self.items[self.next..end].to_vec());
        self.next = end;
        Ok((!piece.0.is_empty()).then(|| Box::new(piece) as Box<dyn Piece>))
    }
}

impl Piece for MadePiece {
    fn items(&self) -> usize {
        self.0.len()
    }
    fn read<'a>(&'a self, at: usize, _: &'a mut Vec<f32>) -> Result<Record<'a>, Refused> {
        let (class, values, time, quality) = self.0[at].as_ref().map_err(Refused::new)?;
        Ok(Record {
            class: ClassId(*class),
            values,
            enrolled: time.map(|unix_milliseconds| Timestamp { unix_milliseconds }),
            quality: *quality,
            person: person_of(*class),
        })
    }
}

fn import(
    engine: &Engine,
    id: &PartitionId,
    source: &mut dyn Source,
    existing: Existing,
    refused: Option<&Path>,
) -> Result<Imported, EngineError> {
    let duplicates = None;
    let options = ImportOptions {
        existing,
        refused,
        duplicates,
    };
    engine.import(id, &encoder(), source, options, NOW, |_, _| {})
}

fn good(class: i64) -> Item {
    let mut values = vec![0.5; DIMENSION];
    values[0] = class as f32;
    Ok((class, values, Some(class * 10), 0.25))
}

/// Any embedding, made of bits and not of numbers.
fn any_item() -> impl Strategy<Value = (i64, Vec<f32>, Option<i64>, f32)> {
    let value = any::<u32>().prop_map(f32::from_bits);
    let value = value.prop_filter("finite", |value| value.is_finite());
    let values = prop::collection::vec(value, DIMENSION)
        .prop_filter("no zero", |values| values.iter().any(|value| *value != 0.0));
    let quality = prop_oneof![Just(f32::NAN), 0.0_f32..=1.0];
    (any::<i64>(), values, any::<Option<i64>>(), quality)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_goes_out_comes_in_again_bit_by_bit(items in prop::collection::vec(any_item(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(directory.path());
        let items: Vec<Item> = items.into_iter().map(Ok).collect();
        import(&engine, &partition(0), &mut Made::new(&items, None), Existing::Refuse, None).unwrap();
        // A removed template stays away.
        let gone = ClassId(items[0].as_ref().unwrap().0);
        if items.len() > 1 {
            engine.enrolled(&partition(0)).unwrap().unwrap().remove(gone).unwrap();
        }
        let before = contents(&engine, &partition(0));
        prop_assume!(!before.is_empty());
        let known = people(&engine, &partition(0));
        for (number, format) in (1..).zip(formats()) {
            let path = directory.path().join(format!("gallery.{format}"));
            let gallery = engine.enrolled(&partition(0)).unwrap().unwrap();
            let count = gallery.export(&path, ExportOptions::default(), |_| {}).unwrap();
            prop_assert_eq!(count, before.len() as u64);
            let mut source = open_source(&path, None, None).unwrap();
            let done = import(&engine, &partition(number), &mut *source, Existing::Refuse, None).unwrap();
            prop_assert_eq!((done.items, done.accepted, done.refused), (count, count, 0));
            prop_assert_eq!(&contents(&engine, &partition(number)), &before, "{}", format);
            prop_assert!(people(&engine, &partition(number)) == known, "{}", format);
            // Once more, nothing is added.
            let mut source = open_source(&path, None, None).unwrap();
            let id = partition(number);
            let again = import(&engine, &id, &mut *source, Existing::Refuse, None).unwrap();
            prop_assert_eq!((again.accepted, again.known), (0, count), "{}", format);
            prop_assert_eq!(&contents(&engine, &partition(number)), &before, "{}", format);
        }
    }
}

#[test]
fn an_import_that_stops_anywhere_goes_on_without_loss_or_repetition() {
    let items: Vec<Item> = (0..47)
        .map(|at| {
            if at % 7 == 3 {
                Err(format!("no {at}"))
            } else {
                good(at)
            }
        })
        .collect();
    let whole = tempfile::tempdir().unwrap();
    let reference = engine(whole.path());
    let report = whole.path().join("refused.jsonl");
    let id = partition(1);
    import(
        &reference,
        &id,
        &mut Made::new(&items, None),
        Existing::Refuse,
        Some(&report),
    )
    .unwrap();
    let (expected, expected_report) = (contents(&reference, &id), fs::read(&report).unwrap());
    assert_eq!(expected.len(), 40);

    for stop in 0..47 {
        let directory = tempfile::tempdir().unwrap();
        let report = directory.path().join("refused.jsonl");
        let again = |fails_at, existing| {
            // Each run is a process of its own: it opens the data directory anew.
            let engine = engine(directory.path());
            let mut source = Made::new(&items, fails_at);
            let done = import(&engine, &id, &mut source, existing, Some(&report));
            let there = contents(&engine, &id);
            let classes: BTreeSet<i64> = there.iter().map(|(class, ..)| *class).collect();
            let said = classes
                .into_iter()
                .filter(|class| person_of(*class).is_some());
            assert!(said.eq(people(&engine, &id).into_keys()), "both or neither");
            (done, there)
        };
        let (stopped, part) = again(Some(stop), Existing::Refuse);
        assert!(matches!(stopped, Err(EngineError::Exchange(_))));
        let items_done = if part.is_empty() {
            0
        } else {
            // A crash after the report was written, and before the transaction.
            let torn = [&fs::read(&report).unwrap_or_default()[..], b"{\"item\":4"].concat();
            fs::write(&report, torn).unwrap();
            let (refused, _) = again(None, Existing::Refuse);
            let Err(EngineError::Unfinished { items, .. }) = refused else {
                panic!("{refused:?}");
            };
            items
        };
        assert!(
            items_done as usize <= stop && stop < items_done as usize + 12,
            "{stop}"
        );
        // Stops once more, later.
        let (_, _) = again(Some((stop + 20).min(46)), Existing::Resume);
        let (done, all) = again(None, Existing::Resume);
        let done = done.unwrap();
        assert_eq!(
            (done.items, done.accepted, done.refused),
            (47, 40, 7),
            "{stop}"
        );
        assert_eq!(all, expected, "{stop}");
        assert_eq!(fs::read(&report).unwrap(), expected_report, "{stop}");
        let (done, all) = again(None, Existing::Resume);
        assert_eq!(done.unwrap().earlier, 47);
        assert_eq!(all, expected, "resuming what is finished does nothing");
    }
}

#[test]
fn another_job_is_not_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let items: Vec<Item> = (0..40).map(good).collect();
    let id = partition(1);
    let mut stops = Made::new(&items, Some(25));
    import(&engine, &id, &mut stops, Existing::Refuse, None).unwrap_err();
    let changed = &mut Made::new(&items[..39], None);
    let error = import(&engine, &id, changed, Existing::Resume, None).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("another `items`: then 40, now 39"),
        "{error}"
    );
    // Into another partition it is another import.
    import(
        &engine,
        &partition(2),
        &mut Made::new(&items, None),
        Existing::Refuse,
        None,
    )
    .unwrap();
    assert_eq!(contents(&engine, &partition(2)).len(), 40);
    let before = contents(&engine, &id).len();
    let done = import(&engine, &id, changed, Existing::Overwrite, None).unwrap();
    assert_eq!(done.known, before as u64, "what is there comes in once");
    assert_eq!(contents(&engine, &id).len(), 39);
}

#[test]
fn nothing_is_made_for_a_source_of_which_nothing_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let items: Vec<Item> = (0..30).map(|at| Err(format!("no {at}"))).collect();
    let report = directory.path().join("refused.jsonl");
    let source = &mut Made::new(&items, None);
    let done = import(
        &engine,
        &partition(1),
        source,
        Existing::Refuse,
        Some(&report),
    )
    .unwrap();
    assert_eq!((done.accepted, done.refused), (0, 30));
    assert!(engine.store().partitions().unwrap().is_empty());
    let lines = fs::read_to_string(&report).unwrap();
    assert_eq!(lines.lines().count(), 30);
    assert!(
        lines.starts_with("{\"item\":0,\"reason\":\"no 0\"}\n"),
        "{lines}"
    );
    // Where none may be refused, the first is an error, and nothing is begun.
    let source = &mut Made::new(&items, None);
    let error = import(&engine, &partition(1), source, Existing::Overwrite, None).unwrap_err();
    assert!(error.to_string().contains("row 0 of `made`"), "{error}");
    assert!(engine.store().state_list("import").unwrap().is_empty());
}

/// Lines of templates, each with other values, with what is said of the person.
fn lines(said: &[&str]) -> String {
    let line = |(at, said): (usize, &&str)| {
        let mut values = vec![0.5; DIMENSION];
        values[0] = at as f32;
        format!("{{\"embedding\":{values:?},{said}}}\n")
    };
    said.iter().enumerate().map(line).collect()
}

/// Imports lines and returns what was done, and each refused line with its reason.
fn import_lines(engine: &Engine, directory: &Path, text: &str) -> (Imported, Vec<(u64, String)>) {
    let (path, report) = (directory.join("a.jsonl"), directory.join("refused.jsonl"));
    fs::write(&path, text).unwrap();
    let mut source = open_source(&path, None, None).unwrap();
    let id = partition(1);
    let done = import(
        engine,
        &id,
        &mut *source,
        Existing::Overwrite,
        Some(&report),
    )
    .unwrap();
    let report = fs::read_to_string(&report).unwrap_or_default();
    let refused = report.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let reason = line["reason"].as_str().unwrap().to_owned();
        (line["line"].as_u64().unwrap(), reason)
    });
    (done, refused.collect())
}

#[test]
fn rows_that_contradict_what_is_known_are_refused_by_their_line() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let long = format!(r#""class":5,"name":"{}""#, "x".repeat(10_000));
    let text = lines(&[
        r#""class":1,"name":"Ada","external_id":"E-1","labels":{"site":"berlin"}"#,
        r#""class":1,"name":"ADA","labels":"team:a""#,
        r#""class":1,"name":"Bob""#,
        r#""class":1,"external_id":"E-2""#,
        r#""class":2,"name":"Ada","external_id":"E-1""#,
        &long,
        r#""class":5,"name":"bell\u0007""#,
        r#""class":5,"name":"\u202eada""#,
        r#""class":5,"labels":{"site":""}"#,
        r#""class":5,"labels":"site""#,
        r#""class":5,"name":17"#,
        r#""class":5,"threshold":2"#,
        r#""class":5,"expires":"1999-01-01T00:00:00Z""#,
        r#""class":6,"name":null,"external_id":"","labels":null"#,
        r#""class":7,"external_id":17"#,
    ]);
    let (done, refused) = import_lines(&engine, directory.path(), &text);
    let expected = [
        (3, "a row before gives class 1 another name"),
        (4, "a row before gives class 1 another external id"),
        (5, "its external id is that of class 1"),
        (6, "the name has 10000 characters, and 200 is the most"),
        (7, "the name has the character U+0007"),
        (8, "turns the direction of writing"),
        (9, "the label `site` has no value"),
        (10, "this one has no colon"),
        (11, "not of the kind"),
        (12, "from -1 to 1"),
        (13, "the time of class 5 is over"),
    ];
    assert_eq!(refused.len(), expected.len(), "{refused:?}");
    for ((line, reason), (at, said)) in refused.iter().zip(expected) {
        assert!(*line == at && reason.contains(said), "{line}: {reason}");
        assert!(
            !reason.contains("Ada") && !reason.contains("Bob"),
            "{reason}"
        );
    }
    assert_eq!((done.accepted, done.refused), (4, 11));
    let known = people(&engine, &partition(1));
    let ada = &known[&1];
    assert_eq!(ada.name.as_ref().unwrap().as_str(), "Ada");
    assert_eq!(ada.labels.to_text(), "site:berlin;team:a");
    assert_eq!(known.len(), 1);
    let id = "17".parse().unwrap();
    let there = engine.store().partition(&partition(1)).unwrap().unwrap();
    assert_eq!(there.class_of_external_id(&id).unwrap(), Some(ClassId(7)));
    assert!(there.templates(ClassId(5)).unwrap().is_empty());

    // The same against what the gallery knows by now.
    let text = lines(&[
        r#""class":8,"name":"Ada","external_id":"E-1""#,
        r#""class":1,"name":"Carl""#,
        r#""class":1,"external_id":"E-9""#,
        r#""class":1,"name":"ada","labels":{"site":"paris"},"note":"agreed""#,
        r#""class":8,"name":"Ada""#,
    ]);
    let (done, refused) = import_lines(&engine, directory.path(), &text);
    let expected = [
        (1, "its external id is that of class 1"),
        (2, "class 1 has another name in the gallery"),
        (3, "class 1 has another external id in the gallery"),
    ];
    assert_eq!(refused.len(), expected.len(), "{refused:?}");
    for ((line, reason), (at, said)) in refused.iter().zip(expected) {
        assert!(*line == at && reason.contains(said), "{line}: {reason}");
    }
    assert_eq!((done.accepted, done.refused), (2, 3));
    let known = people(&engine, &partition(1));
    assert_eq!(known[&1].name.as_ref().unwrap().as_str(), "Ada");
    assert_eq!(known[&1].labels.to_text(), "site:paris;team:a");
    assert!(known[&1].note.is_some() && known[&8].name.is_some());
}

#[test]
fn what_is_checked_before_is_what_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let text = lines(&[
        r#""class":1,"name":"Ada","external_id":"E-1""#,
        r#""class":2,"external_id":"E-1""#,
        r#""class":3,"name":"Eve""#,
        r#""class":3,"name":"Eva""#,
    ]);
    let path = directory.path().join("b.jsonl");
    fs::write(&path, &text).unwrap();
    let check = || {
        let mut refused = Vec::new();
        let mut source = open_source(&path, None, None).unwrap();
        let id = partition(1);
        let checked = check_source(
            &mut *source,
            &Pool::new(2),
            Some((&engine, &id)),
            None,
            NOW,
            |refusals| {
                refused.extend(refusals.iter().map(|it| it.refused.line.unwrap()));
                Ok(())
            },
            |_, _| (),
        );
        let checked = checked.unwrap();
        assert_eq!(checked.accepted + checked.refused, 4);
        refused
    };
    assert_eq!(check(), [2, 4]);
    assert!(engine.store().partition(&partition(1)).unwrap().is_none());
    let (_, refused) = import_lines(
        &engine,
        directory.path(),
        &lines(&[r#""class":1,"name":"Someone else""#]),
    );
    assert!(refused.is_empty());
    // Then line 2 is the first that has that id.
    assert_eq!(check(), [1, 4]);
}

#[test]
fn nothing_of_people_goes_out_or_comes_in_where_only_templates_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let items: Vec<Item> = (1..5).map(good).collect();
    let source = &mut Made::new(&items, None);
    import(&engine, &partition(0), source, Existing::Refuse, None).unwrap();
    let gallery = engine.enrolled(&partition(0)).unwrap().unwrap();
    for (number, format) in (1..).zip(formats()) {
        let export = |name: &str, templates_only| {
            let path = directory.path().join(format!("{name}.{format}"));
            let options = ExportOptions {
                templates_only,
                ..ExportOptions::default()
            };
            gallery.export(&path, options, |_| {}).unwrap();
            path
        };
        let bytes = fs::read(export("bare", true)).unwrap();
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(!has(b"Zo") && !has(b"id-") && !has(b"agreed"), "{format}");
        let options = SourceOptions {
            templates_only: true,
            ..SourceOptions::default()
        };
        let mut source = open_source_with(&export("whole", false), &options).unwrap();
        let id = partition(number);
        let done = import(&engine, &id, &mut *source, Existing::Refuse, None).unwrap();
        assert_eq!(done.accepted, 4);
        assert!(people(&engine, &id).is_empty(), "{format}");
        assert_eq!(contents(&engine, &id), contents(&engine, &partition(0)));
    }
}

#[test]
fn the_same_template_of_a_class_comes_in_once() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let mut items: Vec<Item> = [1, 2, 1, 3, 1, 2].map(good).to_vec();
    // The same values of another class are another template, and so are zeros of another sign.
    items.push(good(1).map(|(_, values, time, quality)| (9, values, time, quality)));
    for sign in [0.0, -0.0] {
        let mut values = vec![sign; DIMENSION];
        values[0] = 1.0;
        items.push(Ok((4, values, None, 0.5)));
    }
    let source = &mut Made::new(&items, None);
    let done = import(&engine, &partition(1), source, Existing::Refuse, None).unwrap();
    assert_eq!((done.items, done.accepted, done.known), (9, 6, 3));
    assert_eq!(contents(&engine, &partition(1)).len(), 6);
    // In the tail, in a segment, and with one that was removed meanwhile.
    engine
        .store()
        .partition(&partition(1))
        .unwrap()
        .unwrap()
        .seal()
        .unwrap();
    let gallery = engine.enrolled(&partition(1)).unwrap().unwrap();
    gallery.remove(ClassId(2)).unwrap();
    let source = &mut Made::new(&items, None);
    let done = import(&engine, &partition(1), source, Existing::Refuse, None).unwrap();
    assert_eq!((done.accepted, done.known), (1, 8));
    assert_eq!(contents(&engine, &partition(1)).len(), 6);
}

/// Reads all of a file, whatever it is: the number of items and of refusals.
fn read_all(path: &Path) -> Result<(usize, usize), ExchangeError> {
    let mut source = open_source(path, None, None)?;
    let (mut items, mut refused, mut scratch) = (0, 0, Vec::new());
    while let Some(piece) = source.next_piece()? {
        for at in 0..piece.items() {
            items += 1;
            refused += usize::from(piece.read(at, &mut scratch).is_err());
        }
    }
    Ok((items, refused))
}

/// A small gallery in every format.
fn small_files(directory: &Path) -> Vec<PathBuf> {
    let engine = engine(directory);
    let items: Vec<Item> = (0..5).map(good).collect();
    let source = &mut Made::new(&items, None);
    import(&engine, &partition(1), source, Existing::Refuse, None).unwrap();
    let mut files = Vec::new();
    for format in formats() {
        let path = directory.join(format!("small.{format}"));
        let gallery = engine.enrolled(&partition(1)).unwrap().unwrap();
        gallery
            .export(&path, ExportOptions::default(), |_| {})
            .unwrap();
        assert_eq!(read_all(&path).unwrap(), (5, 0));
        files.push(path);
    }
    files
}

#[test]
fn files_that_are_cut_off_are_refused_or_have_their_last_line_refused() {
    let directory = tempfile::tempdir().unwrap();
    for path in small_files(directory.path()) {
        let whole = fs::read(&path).unwrap();
        let extension = path.extension().unwrap().to_str().unwrap();
        let cut = directory.path().join(format!("cut.{extension}"));
        for length in 0..whole.len() {
            fs::write(&cut, &whole[..length]).unwrap();
            match read_all(&cut) {
                Err(error) => assert!(error.to_string().contains("cut."), "{error}"),
                // A line is a whole of its own, and so are those before it.
                Ok((items, refused)) if extension == "jsonl" => {
                    assert!(items <= 5 && refused <= 1, "{length}: {items} {refused}");
                }
                Ok(found) => panic!("{extension} of {length} bytes: {found:?}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn no_bytes_make_it_panic(
        place in 0.0_f64..1.0,
        bytes in prop::collection::vec(any::<u8>(), 1..6),
        which in 0_usize..3,
    ) {
        use std::sync::OnceLock;
        static FILES: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
        let files = FILES.get_or_init(|| {
            let directory = tempfile::tempdir().unwrap();
            let read = |path: PathBuf| { let bytes = fs::read(&path).unwrap(); (path, bytes) };
            small_files(directory.path()).into_iter().map(read).collect()
        });
        let (path, whole) = &files[which % files.len()];
        let mut damaged = whole.clone();
        let start = (place * whole.len() as f64) as usize;
        for (to, byte) in damaged[start..].iter_mut().zip(bytes) {
            *to = byte;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(path.file_name().unwrap());
        fs::write(&path, damaged).unwrap();
        if let Ok((items, _)) = read_all(&path) {
            prop_assert!(items <= 10);
        }
    }
}

#[test]
fn lines_that_are_none_are_refused_one_by_one_and_show_no_value() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl");
    let numbers = |count: usize| vec!["0.125"; count].join(",");
    let line = |rest: &str| format!("{{\"class\":1,\"embedding\":[{}]{rest}}}", numbers(16));
    let first = line("");
    let cases: Vec<(String, &str)> = vec![
        (line(",\"time\":5,\"quality\":null,\"more\":[{}]"), ""),
        (String::new(), "empty"),
        ("{\"class\":1".to_owned(), "too early"),
        ("nonsense".to_owned(), "column 2 is no JSON"),
        (first.replace("\"class\":1,", ""), "missing field `class`"),
        (first.replace("1,", "1.5,"), "`class` is no whole number"),
        (
            first.replace("1,", "9223372036854775808,"),
            "`class` is no whole number",
        ),
        (first.replace("1,", "1e300,"), "`class` is no whole number"),
        (
            first.replace("1,", "9007199254740994.0,"),
            "`class` is no whole number",
        ),
        (first.replace("1,", "null,"), "`class` is no whole number"),
        (first.replace("1,", "[7],"), "`class` is no whole number"),
        (first.replace("1,", "true,"), "`class` is no whole number"),
        (
            first.replace("1,", "\"anna\","),
            "`class` is no whole number",
        ),
        (
            first.replace("1,", "\"1.5\","),
            "`class` is no whole number",
        ),
        (first.replace("1,", "\"\","), "`class` is no whole number"),
        (first.replace("1,", "\"-17\","), ""),
        (first.replace("1,", "\" 17.0\","), ""),
        (first.replace("1,", "17.0,"), ""),
        (first.replace("1,", "1e3,"), ""),
        (first.replace("1,", "\"9223372036854775807\","), ""),
        (
            format!("{{\"class\":1,\"embedding\":[{}]}}", numbers(15)),
            "it has 15 values, and 16",
        ),
        (
            format!("{{\"class\":1,\"embedding\":[{},null]}}", numbers(15)),
            "not of the kind",
        ),
        (
            format!("{{\"class\":1,\"embedding\":[{},NaN]}}", numbers(15)),
            "no JSON",
        ),
        (
            format!("{{\"class\":1,\"embedding\":[{},1e39]}}", numbers(15)),
            "not a finite number",
        ),
        (
            format!("{{\"class\":1,\"embedding\":[{},1e999]}}", numbers(15)),
            "no JSON",
        ),
        (first.replace("0.125", "0"), "all values are zero"),
        (
            format!("{{\"class\":1,\"embedding\":[[{}]]}}", numbers(16)),
            "not of the kind",
        ),
        (line(",\"quality\":1.5"), "quality 1.5 is outside"),
        (line(",\"time\":\"today\""), "not of the kind"),
        (line(",\"class\":2"), "duplicate field"),
        (format!("{first}{first}"), "no JSON"),
        (
            format!("{}{}", " ".repeat(1 << 20), first),
            "more than 1048576 bytes",
        ),
        ("[".repeat(100_000), "no"),
        (format!("{first}\r"), ""),
    ];
    let mut text = first.into_bytes();
    for (line, _) in &cases {
        text.push(b'\n');
        text.extend_from_slice(line.as_bytes());
    }
    text.extend_from_slice(b"\n\xff\xfe\n");
    fs::write(&path, text).unwrap();
    let mut source = open_source(&path, None, None).unwrap();
    let mut reasons = Vec::new();
    let mut scratch = Vec::new();
    while let Some(piece) = source.next_piece().unwrap() {
        for at in 0..piece.items() {
            let read = piece.read(at, &mut scratch);
            let refused = read.err().map(|refused| {
                assert_eq!(refused.line, Some(reasons.len() as u64 + 1));
                refused.reason
            });
            reasons.push(refused.unwrap_or_default());
        }
    }
    assert_eq!(reasons.len(), cases.len() + 2);
    for ((_, expected), reason) in cases.iter().zip(&reasons[1..]) {
        assert_eq!(
            reason.is_empty(),
            expected.is_empty(),
            "{expected}: {reason}"
        );
        assert!(reason.contains(expected), "{expected}: {reason}");
        assert!(!reason.contains("0.125"), "{reason}");
    }
    assert!(reasons[reasons.len() - 1].contains("no JSON"));
}

/// The classes of a file, or why each item is refused.
fn classes(path: &Path) -> Vec<Result<i64, String>> {
    let mut source = open_source(path, None, None).unwrap();
    let (mut classes, mut scratch) = (Vec::new(), Vec::new());
    while let Some(piece) = source.next_piece().unwrap() {
        for at in 0..piece.items() {
            let read = piece.read(at, &mut scratch);
            classes.push(read.map(|record| record.class.0).map_err(|it| it.reason));
        }
    }
    classes
}

#[test]
fn lines_may_begin_with_a_mark_and_end_in_every_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl");
    let values = ["0.5"; DIMENSION].join(",");
    let line = |class: &str| format!("{{\"class\":{class},\"embedding\":[{values}]}}");
    for end in ["\n", "\r\n", "\r"] {
        for (mark, last) in [("", end), ("\u{feff}", end), ("\u{feff}", "")] {
            let lines = ["1", "\"2\"", "3.0"].map(line).join(end);
            fs::write(&path, format!("{mark}{lines}{last}")).unwrap();
            assert_eq!(classes(&path), [Ok(1), Ok(2), Ok(3)], "{end:?} {mark:?}");
        }
        // A mark elsewhere is none.
        fs::write(&path, format!("{}{end}\u{feff}{}", line("1"), line("2"))).unwrap();
        assert!(classes(&path)[1].is_err());
    }
}

#[test]
fn every_item_has_its_reason_where_all_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl");
    let values = ["0.5"; DIMENSION].join(",");
    let bad_class = format!("{{\"class\":\"anna\",\"embedding\":[{values}]}}");
    for (lines, reasons) in [
        (
            format!("{bad_class}\n{{}}\n"),
            vec!["no whole number", "missing field"],
        ),
        (
            "{}\n\nx\n".to_owned(),
            vec!["missing field", "empty", "no JSON"],
        ),
        (
            "{\"class\":1,\"embedding\":[1,2]}".to_owned(),
            vec!["it has 2 values"],
        ),
    ] {
        fs::write(&path, lines).unwrap();
        let found = classes(&path);
        assert_eq!(found.len(), reasons.len());
        for (found, reason) in found.iter().zip(reasons) {
            assert!(
                found.as_ref().unwrap_err().contains(reason),
                "{reason}: {found:?}"
            );
        }
    }
}

#[test]
fn files_without_an_embedding_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    for (name, contents, said) in [
        (
            "a.jsonl",
            "",
            "holds no line; expected lines with a class and an embedding",
        ),
        ("c.csv", "", "cannot tell the format"),
        ("d", "", "cannot tell the format"),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, contents).unwrap();
        let error = read_all(&path).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains(name), "{error}");
    }
    let line = directory.path().join("e.jsonl");
    fs::write(&line, "{}").unwrap();
    let Err(error) = open_source(&line, Some(&line), None) else {
        panic!("classes of a file that has its own");
    };
    assert!(error.to_string().contains("one too many"), "{error}");
}
