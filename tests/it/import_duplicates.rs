//! People whom an import brings in a second time, compared with enrolling its items one after the other.

use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::engine::{
    DuplicateBar, Duplicates, Engine, EngineError, ImportOptions, Imported, check_source,
};
use vultus::exchange::{
    ExchangeError, Existing, Job, Length, Piece, Record, Refused, RefusedItem, Source,
};
use vultus::partition::{NewTemplate, Store, Whom};
use vultus::rates::TargetRate;
use vultus::search::Pool;
use vultus::types::{
    ClassId, Embedding, EncoderId, NotSameAs, PartitionId, Record as Known, RecordChange, Timestamp,
};

use super::naive;

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 1_700_000_000_000,
};
const DIMENSION: usize = 16;
const THRESHOLD: f64 = 0.9;

type Row = (i64, Vec<f32>);
/// The number of an item, its class, whom it looks like, and how much.
type Found = (u64, i64, i64, f64);

/// Rows in memory, in pieces of a size, which may fail before one of them.
struct Made {
    rows: Vec<Row>,
    next: usize,
    piece: usize,
    per_commit: u64,
    fails_at: usize,
    told: Vec<RefusedItem>,
}

struct MadePiece(Vec<Row>);

impl Made {
    fn new(rows: &[Row], (piece, per_commit): (usize, u64)) -> Made {
        Made {
            rows: rows.to_vec(),
            next: 0,
            piece,
            per_commit,
            fails_at: usize::MAX,
            told: Vec::new(),
        }
    }

    fn found(&self) -> Vec<Found> {
        self.told.iter().map(found).collect()
    }
}

fn found(told: &RefusedItem) -> Found {
    let it = told.refused.duplicate.unwrap();
    (told.item, it.class, it.duplicate_of, it.similarity)
}

impl Source for Made {
    fn name(&self) -> &Path {
        Path::new("made")
    }
    fn dimension(&self) -> usize {
        DIMENSION
    }
    fn length(&self) -> Length {
        Length::Items(self.rows.len() as u64)
    }
    fn position(&self) -> u64 {
        self.next as u64
    }
    fn describe(&self, job: Job) -> Job {
        job.with("items", self.rows.len())
    }
    fn items_per_commit(&self) -> u64 {
        self.per_commit
    }
    fn contradicted(&mut self, told: &[RefusedItem]) -> Result<(), ExchangeError> {
        self.told.extend_from_slice(told);
        Ok(())
    }
    fn skip(&mut self, items: u64) -> Result<(), ExchangeError> {
        self.next += items as usize;
        Ok(())
    }
    fn next_piece(&mut self) -> Result<Option<Box<dyn Piece>>, ExchangeError> {
        let end = self.rows.len().min(self.next + self.piece);
        if self.fails_at < end {
            let path = "unplugged".into();
            return Err(ExchangeError::SourceFormat { path });
        }
        let piece = MadePiece(self.rows[self.next..end].to_vec());
        self.next = end;
        Ok((!piece.0.is_empty()).then(|| Box::new(piece) as Box<dyn Piece>))
    }
}

impl Piece for MadePiece {
    fn items(&self) -> usize {
        self.0.len()
    }
    fn read<'a>(&'a self, at: usize, _: &'a mut Vec<f32>) -> Result<Record<'a>, Refused> {
        let (class, values) = &self.0[at];
        Ok(Record {
            class: ClassId(*class),
            values,
            enrolled: None,
            quality: f32::NAN,
            person: person_of(*class),
        })
    }
}

/// Class 9,001 takes the external id of class 9,000.
fn person_of(class: i64) -> Option<Box<Known>> {
    (class >= 9_000).then(|| {
        Box::new(Known {
            external_id: Some("E-1".parse().unwrap()),
            ..Known::default()
        })
    })
}

/// Rows of people who have several classes now and then.
fn rows(count: usize, people: usize, seed: u64) -> Vec<Row> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut row = || -> Vec<f32> {
        (0..DIMENSION)
            .map(|_| random.random_range(-1.0..1.0))
            .collect()
    };
    let faces: Vec<Vec<f32>> = (0..people).map(|_| row()).collect();
    let mut random = StdRng::seed_from_u64(seed + 1);
    let mut rows = Vec::new();
    for _ in 0..count {
        let person = random.random_range(0..people);
        let class = person as i64 * 10 + [0, 0, 0, 1, 2][random.random_range(0..5)];
        let mut values = faces[person].clone();
        // Every fourth is the same picture.
        if random.random_range(0..4) > 0 {
            values
                .iter_mut()
                .for_each(|it| *it += random.random_range(-0.2..0.2));
        }
        rows.push((class, values));
    }
    rows
}

/// What is found and who is there then, if the rows are enrolled one after the other.
fn one_by_one(
    there: &[Row],
    rows: &[Row],
    not_same: &[(i64, i64)],
    are_refused: bool,
) -> (Vec<Found>, Vec<Row>) {
    let (mut there, mut all) = (there.to_vec(), Vec::new());
    for (item, (class, values)) in rows.iter().enumerate() {
        let alike = naive::search(&there, values, usize::MAX, Some(THRESHOLD));
        let own = alike.iter().find(|it| it.class.0 == *class);
        let own = own.map_or(-2.0, |it| it.similarity);
        let is_known = |other: i64| {
            let pairs = [(*class, other), (other, *class)];
            pairs.iter().any(|pair| not_same.contains(pair))
        };
        let other = alike
            .iter()
            .find(|it| it.class.0 != *class && !is_known(it.class.0));
        let other = other.filter(|it| it.similarity > own);
        if let Some(other) = other {
            all.push((item as u64, *class, other.class.0, other.similarity));
        }
        if other.is_none() || !are_refused {
            there.push((*class, values.clone()));
        }
    }
    (all, there)
}

fn engine(directory: &Path) -> Engine {
    let store = Store::open(&directory.join("data")).unwrap();
    Engine::new(Arc::new(store), Pool::new(2))
}

fn id() -> PartitionId {
    "bws.1".parse().unwrap()
}

fn encoder() -> EncoderId {
    EncoderId::new("test", "1", DIMENSION).unwrap()
}

fn duplicates(are_refused: bool) -> Duplicates {
    let demanded = (Some(THRESHOLD), None, TargetRate::default());
    Duplicates {
        bar: DuplicateBar::new(demanded, None),
        are_refused,
    }
}

fn import(
    engine: &Engine,
    source: &mut Made,
    existing: Existing,
    (are_refused, report): (bool, Option<&Path>),
) -> Result<Imported, EngineError> {
    let duplicates = duplicates(are_refused);
    let options = ImportOptions {
        existing,
        refused: report,
        duplicates: Some(&duplicates),
    };
    engine.import(&id(), &encoder(), source, options, NOW, |_, _| {})
}

/// Everybody in the gallery, with their values, in an order of their own.
fn there(engine: &Engine) -> Vec<(i64, Vec<u32>)> {
    let partition = engine.store().partition(&id()).unwrap().unwrap();
    let snapshot = partition.snapshot();
    let row = |row: vultus::partition::Row<'_>| {
        let values = row
            .values()
            .unwrap()
            .iter()
            .map(|it| it.to_bits())
            .collect();
        (row.class().unwrap().0, values)
    };
    let mut all: Vec<_> = snapshot.live_rows().map(row).collect();
    all.sort();
    all
}

/// The same of rows, each once.
fn bits(rows: &[Row]) -> Vec<(i64, Vec<u32>)> {
    let bits = |row: &Row| (row.0, row.1.iter().map(|it| it.to_bits()).collect());
    let mut all: Vec<_> = rows.iter().map(bits).collect();
    all.sort();
    all.dedup();
    all
}

/// Some people who are enrolled before, of whom two are said not to be one.
fn enrol_some(engine: &Engine, rows: &[Row], not_same: (i64, i64)) {
    for (class, values) in rows {
        let record = RecordChange {
            not_same_as: (*class == not_same.0)
                .then(|| NotSameAs::new([ClassId(not_same.1)]).unwrap()),
            ..RecordChange::default()
        };
        let template = NewTemplate {
            embedding: Embedding::new(values.clone()).unwrap(),
            quality: 0.5,
            portrait: None,
        };
        let place = (&id(), Whom::Class(ClassId(*class)));
        let enrolled = engine.enroll_person(place, &encoder(), &[template], false, record, NOW);
        enrolled.unwrap();
    }
}

/// One face each of some people, so that none of them is another.
fn enrolled() -> Vec<Row> {
    let mut classes = std::collections::BTreeSet::new();
    let all = rows(200, 60, 5);
    all.into_iter()
        .filter(|(class, _)| class % 10 == 0 && classes.insert(*class))
        .take(25)
        .collect()
}

#[test]
fn an_import_finds_what_enrolling_one_by_one_would() {
    let (mut there_before, coming) = (enrolled(), rows(1_300, 60, 5));
    // Somebody who looks like another, who is said not to be one.
    let (class, values) = there_before[0].clone();
    there_before.insert(0, (class + 1, values));
    let not_same = (class, class + 1);
    for (are_refused, sizes) in [
        (false, (1_300, 10_000)),
        (true, (1_300, 10_000)),
        (false, (70, 300)),
        (true, (70, 300)),
        (true, (1, 1)),
    ] {
        let count = if sizes.0 == 1 { 60 } else { coming.len() };
        let coming = &coming[..count];
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(directory.path());
        enrol_some(&engine, &there_before, not_same);
        let (expected, left) = one_by_one(&there_before, coming, &[not_same], are_refused);
        assert!(
            expected.len() > count / 20,
            "the rows have some: {}",
            expected.len()
        );

        // Looked at alone, it changes nothing.
        let (mut source, mut seen) = (Made::new(coming, sizes), Vec::new());
        let both = (&encoder(), &duplicates(are_refused));
        let checked = check_source(
            &mut source,
            &Pool::new(2),
            Some((&engine, &id())),
            Some(both),
            NOW,
            |told| {
                seen.extend(told.iter().map(found));
                Ok(())
            },
            |_, _| (),
        );
        assert_eq!(seen, expected);
        assert_eq!(checked.unwrap().duplicates, expected.len() as u64);
        assert_eq!(there(&engine).len(), there_before.len());

        let report = directory.path().join("report");
        let mut source = Made::new(coming, sizes);
        let how = (are_refused, Some(&*report));
        let done = import(&engine, &mut source, Existing::Refuse, how).unwrap();
        assert_eq!(source.found(), expected);
        assert_eq!(there(&engine), bits(&left));
        let refused = if are_refused {
            expected.len() as u64
        } else {
            0
        };
        assert_eq!(
            (done.duplicates, done.refused),
            (expected.len() as u64, refused)
        );
        assert_eq!(done.accepted + done.known + done.refused, count as u64);
        assert_eq!(lines(&report), expected);

        // The same again: who is there is not found to be somebody else, and who was refused is again.
        std::fs::remove_file(&report).unwrap();
        let mut again = Made::new(coming, sizes);
        let done = import(&engine, &mut again, Existing::Refuse, how).unwrap();
        let (expected, _) = one_by_one(&left, coming, &[not_same], are_refused);
        assert_eq!(again.found(), expected);
        assert_eq!((done.accepted, there(&engine)), (0, bits(&left)));
        assert_eq!(expected.is_empty(), !are_refused);
    }
}

/// The lines of a report.
fn lines(report: &Path) -> Vec<Found> {
    let text = std::fs::read_to_string(report).unwrap();
    let lines = text.lines().map(|line| {
        let line: RefusedItem = serde_json::from_str(line).unwrap();
        found(&line)
    });
    lines.collect()
}

#[test]
fn an_import_that_is_broken_off_finds_the_same_when_it_goes_on() {
    let coming = rows(900, 40, 8);
    for are_refused in [false, true] {
        let (expected, left) = one_by_one(&[], &coming, &[], are_refused);
        let directory = tempfile::tempdir().unwrap();
        let engine = engine(directory.path());
        let report = directory.path().join("report");
        let how = (are_refused, Some(&*report));
        for (round, fails_at) in [450, 451, 700, usize::MAX].into_iter().enumerate() {
            let mut source = Made::new(&coming, (50, 100));
            source.fails_at = fails_at;
            let existing = if round == 0 {
                Existing::Refuse
            } else {
                Existing::Resume
            };
            let ran = import(&engine, &mut source, existing, how);
            assert_eq!(ran.is_ok(), fails_at == usize::MAX);
        }
        assert_eq!(there(&engine), bits(&left));
        assert_eq!(lines(&report), expected);
        // What is done with them belongs to the job.
        let mut source = Made::new(&coming, (50, 100));
        let other = import(
            &engine,
            &mut source,
            Existing::Resume,
            (!are_refused, Some(&report)),
        );
        let said = other.unwrap_err().to_string();
        assert!(said.contains("duplicates"), "{said}");
    }
}

#[test]
fn nobody_looks_like_an_item_that_was_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let axis = |at: usize, more: f32| {
        let mut values = vec![0.0; DIMENSION];
        (values[at], values[(at + 1) % DIMENSION]) = (1.0, more);
        values
    };
    // 9,001 has the external id of 9,000, and so 3 is alone; 4 is 3.
    let coming = [
        (9_000, axis(0, 0.0)),
        (9_001, axis(4, 0.0)),
        (3, axis(4, 0.1)),
        (4, axis(4, 0.2)),
        // Refused as 3, so that no other external id is taken for it.
        (9_002, axis(4, 0.3)),
    ];
    let report = directory.path().join("report");
    let mut source = Made::new(&coming, (5, 5));
    let done = import(
        &engine,
        &mut source,
        Existing::Refuse,
        (true, Some(&report)),
    )
    .unwrap();
    assert_eq!((done.accepted, done.refused, done.duplicates), (2, 3, 2));
    let reasons: Vec<&str> = source.told.iter().map(|it| &*it.refused.reason).collect();
    assert!(
        reasons[0].contains("external id is that of class 9000"),
        "{reasons:?}"
    );
    assert!(
        reasons[1].starts_with("class 4 looks like class 3, similarity "),
        "{reasons:?}"
    );
    assert!(
        reasons[2].starts_with("class 9002 looks like class 3"),
        "{reasons:?}"
    );
    // Where none may be refused the first is an error, and those that are only told are none.
    let mut source = Made::new(&coming[2..4], (5, 5));
    let said = import(&engine, &mut source, Existing::Overwrite, (true, None)).unwrap_err();
    assert!(said.to_string().contains("looks like class 3"), "{said}");
    let mut source = Made::new(&coming[2..4], (5, 5));
    let done = import(&engine, &mut source, Existing::Overwrite, (false, None)).unwrap();
    assert_eq!((done.accepted, done.known, done.duplicates), (1, 1, 1));
}

#[test]
fn a_rate_rises_with_the_people_and_nothing_is_known_of_some_encoders() {
    let target = TargetRate::ONE_IN_TEN_THOUSAND;
    let unknown = DuplicateBar::new((None, None, target), None);
    assert_eq!(unknown.threshold(5), None);
    let own = DuplicateBar::new((None, Some(0.4), target), None);
    assert_eq!(own.threshold(1_000_000), Some(0.4));
    let built_in = EncoderId::parse("sface@2021dec", 128).unwrap();
    let known = vultus::rates::shipped(&built_in);
    let by_rate = DuplicateBar::new((None, Some(0.41), target), known.clone());
    let few = by_rate.threshold(0).unwrap();
    assert!(few >= 0.41 && by_rate.threshold(100_000).unwrap() > few.max(0.5));
    let set = DuplicateBar::new((Some(0.2), Some(0.41), target), known);
    assert_eq!(set.threshold(1_000_000), Some(0.2));
}
