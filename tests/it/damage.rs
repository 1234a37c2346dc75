//! Every way to read a gallery, with each part of its segment damaged in turn: the answer is right
//! without that part, or there is none and the error says what to do.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vultus::code::Probe;
use vultus::engine::{
    Batch, CalibrationOptions, DuplicateBar, Engine, EngineError, ExportOptions, Gallery,
    IdentifyOptions, ImportOptions, PeopleFilter,
};
use vultus::exchange::{EmbeddingFile, Existing, open_source};
use vultus::partition::{
    Choice, Held, Inspection, NewTemplate, Pace, Partition, Row, Snapshot, StateValue, Store,
    StoreError, TemplateBatch, Whom, inspect,
};
use vultus::rates::{Calibration, Comparison, Observations, Stranger, TargetRate};
use vultus::search::{Pool, SearchError};
use vultus::types::{
    Bcid, ClassId, Embedding, EncoderId, Labels, Match, PartitionId, RecordChange, Timestamp,
};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 0,
};
const DIMENSION: usize = 16;
/// Templates of the damaged partition: five sealed ones of which one is removed, and one that is
/// not sealed.
const TEMPLATES: u64 = 5;

fn encoder() -> EncoderId {
    EncoderId::new("test", "1", DIMENSION).unwrap()
}

fn damaged() -> PartitionId {
    "bws.1".parse().unwrap()
}

fn bcid() -> Bcid {
    Bcid::new(damaged(), ClassId(3))
}

fn values(at: usize) -> Vec<f32> {
    let mut values = vec![0.25; DIMENSION];
    values[at] = 1.0 + at as f32;
    values
}

fn sample() -> NewTemplate {
    NewTemplate {
        embedding: Embedding::new(values(3)).unwrap(),
        quality: 0.75,
        portrait: None,
    }
}

/// What is asked, and beside it a directory for files.
struct Asked {
    engine: Engine,
    beside: PathBuf,
}

impl Asked {
    fn partition(&self) -> Result<Arc<Partition>, EngineError> {
        Ok(self.engine.store().partition(&damaged())?.unwrap())
    }

    fn gallery(&self) -> Result<Gallery, EngineError> {
        Ok(self.engine.gallery(&damaged(), &encoder())?.unwrap())
    }

    /// What the rows of a snapshot say, each in turn.
    fn rows<T: Debug>(&self, read: fn(Row<'_>) -> Result<T, StoreError>) -> Answer {
        let snapshot = self.partition()?.snapshot();
        let read = snapshot.live_rows().map(read);
        said(read.collect::<Result<Vec<_>, _>>())
    }

    fn snapshot<T: Debug>(&self, read: fn(&Snapshot) -> Result<T, StoreError>) -> Answer {
        said(read(&self.partition()?.snapshot()))
    }
}

/// All templates, read once in order.
fn passed(it: &Asked) -> Answer {
    let partition = it.partition()?;
    let (snapshot, mut all) = (partition.snapshot(), Vec::new());
    for block in snapshot.blocks() {
        let mut pass = partition.pass(block)?;
        while let Some(some) = pass.some(2)? {
            let values = some.iter();
            let values = values.map(|(class, info, values)| (class, info, values.to_vec()));
            all.push((
                some.classes().collect::<Vec<_>>(),
                values.collect::<Vec<_>>(),
            ));
        }
    }
    said(Ok::<_, EngineError>(all))
}

type Answer = Result<String, EngineError>;
type Read = fn(&Asked) -> Answer;

fn said<T: Debug, E: Into<EngineError>>(answer: Result<T, E>) -> Answer {
    answer.map(|answer| format!("{answer:?}")).map_err(E::into)
}

/// Every public method by which rows are read. Whoever adds one adds it here, see
/// [`every_public_method_is_known`].
const READS: &[(&str, Read)] = &[
    ("Gallery::identify", |it| {
        let (options, sample) = (best(9), sample().embedding);
        let found = it.gallery()?.identify(&[&sample], &options)?;
        said(Ok::<_, EngineError>(found.matches))
    }),
    ("Gallery::identify_many", |it| {
        let probes: Vec<Probe> = (0..9)
            .map(|at| Probe::new(&Embedding::new(values(at)).unwrap()))
            .collect();
        let queries: Vec<_> = probes.iter().map(|probe| best(9).query(probe)).collect();
        let found = it.gallery()?.identify_many(&queries)?;
        let matches: Vec<_> = found.into_iter().map(|found| found.matches).collect();
        said(Ok::<_, EngineError>(matches))
    }),
    ("Gallery::verify", |it| {
        said(it.gallery()?.verify(ClassId(3), &[&sample().embedding]))
    }),
    ("Gallery::similarity_to_class", |it| {
        said(
            it.gallery()?
                .similarity_to_class(ClassId(3), &[&sample().embedding]),
        )
    }),
    ("Gallery::improving", |it| {
        let samples = [sample()];
        let good = it.gallery()?.improving(ClassId(3), &samples, 0.5)?;
        said(Ok::<_, EngineError>(good.len()))
    }),
    ("Gallery::is_enrolled", |it| {
        said(it.gallery()?.is_enrolled(ClassId(3)))
    }),
    ("Gallery::population", |it| said(it.gallery()?.population())),
    ("Gallery::class", |it| said(it.gallery()?.class(ClassId(3)))),
    ("Gallery::classes", |it| {
        said(it.gallery()?.classes(None, 9))
    }),
    ("Gallery::contents", |it| said(it.gallery()?.contents())),
    ("Gallery::keep_best", |it| {
        said(it.gallery()?.keep_best(NOW))
    }),
    ("Gallery::duplicates", |it| {
        said(it.gallery()?.duplicates(-1.0, |_| ()))
    }),
    ("Gallery::duplicates_while", |it| {
        let go_on = |_| Ok::<(), EngineError>(());
        said(it.gallery()?.duplicates_while(-1.0, go_on))
    }),
    ("Gallery::calibrate", |it| {
        let options = CalibrationOptions::default();
        match it.gallery()?.calibrate(&options, NOW, |_, _| Ok(())) {
            // So few people are counted, and no more.
            Err(EngineError::Rates(error)) => said(Ok::<_, EngineError>(error)),
            calibrated => said(calibrated),
        }
    }),
    ("Gallery::export", |it| {
        let path = it.beside.join("exported.jsonl");
        let options = ExportOptions::default();
        let count = it.gallery()?.export(&path, options, |_| ())?;
        said(Ok::<_, EngineError>((count, fs::read(path).unwrap())))
    }),
    ("Batch::job", |it| said(batch(it)?.job())),
    ("Batch::identify", |it| {
        let mut matches = Vec::new();
        batch(it)?.identify(0, |_, answers| {
            matches.extend(answers.iter().map(|answer| answer.matches.clone()));
            Ok::<_, EngineError>(())
        })?;
        said(Ok::<_, EngineError>(matches))
    }),
    ("Batch::identify_named", |it| {
        let mut matches = Vec::new();
        batch(it)?.identify_named(0, |_, _, answers| {
            matches.extend(answers.iter().map(|answer| answer.matches.clone()));
            Ok::<_, EngineError>(())
        })?;
        said(Ok::<_, EngineError>(matches))
    }),
    ("Engine::enroll", |it| {
        said(it.engine.enroll(&bcid(), &encoder(), &[sample()], NOW))
    }),
    ("Engine::replace", |it| {
        said(it.engine.replace(&bcid(), &encoder(), &[sample()], NOW))
    }),
    ("Engine::remove", |it| {
        said(it.engine.remove(&bcid(), NOW, 7))
    }),
    ("Gallery::remove", |it| {
        said(it.gallery()?.remove(ClassId(3)))
    }),
    ("Partition::enroll", |it| {
        let (partition, samples) = (it.partition()?, [sample()]);
        said(partition.enroll(ClassId(3), &encoder(), &samples, 0, NOW))
    }),
    ("Partition::enroll_chosen", |it| {
        let (partition, samples) = (it.partition()?, [sample()]);
        let replace = |_: &[Held<'_>], _: &[NewTemplate]| Choice {
            keep: Vec::new(),
            add: vec![0],
            known: 0,
        };
        said(partition.enroll_chosen(ClassId(3), &encoder(), &samples, replace, NOW))
    }),
    ("Partition::remove", |it| {
        said(it.partition()?.remove(ClassId(3)))
    }),
    ("Partition::remove_noting", |it| {
        let note = |_: &_, _| StateValue {
            area: "notes",
            key: "removed".to_owned(),
            value: vec![1],
        };
        said(it.partition()?.remove_noting(ClassId(3), note))
    }),
    ("Partition::compact", |it| {
        said(it.partition()?.compact(&Pace::unlimited()))
    }),
    ("Store::summary", |it| {
        said(it.engine.store().summary(&*it.partition()?))
    }),
    ("Store::erase", |it| {
        let (store, partition) = (it.engine.store(), it.partition()?);
        // Nobody: what was removed before is overwritten all the same.
        said(store.erase(&partition, ClassId(77), &Pace::unlimited()))
    }),
    ("Snapshot::live_rows", |it| it.rows(|row| row.class())),
    ("Snapshot::blocks", |it| {
        it.snapshot(|snapshot| {
            let mut rows = snapshot.blocks().flat_map(|block| block.live_rows());
            rows.try_fold(0, |sum, row| Ok(sum + row.class()?.0))
        })
    }),
    ("Snapshot::rows_of", |it| {
        it.snapshot(|snapshot| Ok(snapshot.rows_of(ClassId(3))?.len()))
    }),
    ("Snapshot::contains", |it| {
        it.snapshot(|snapshot| snapshot.contains(ClassId(3)))
    }),
    ("Snapshot::count_classes", |it| {
        it.snapshot(Snapshot::count_classes)
    }),
    ("BlockReader::live_rows", |it| {
        it.snapshot(|snapshot| {
            let mut rows = snapshot.blocks().flat_map(|block| block.live_rows());
            rows.try_fold(0, |sum, row| Ok(sum + row.class()?.0))
        })
    }),
    ("BlockReader::live_row", |it| {
        it.snapshot(|snapshot| {
            let first = snapshot.blocks().next().unwrap();
            first.live_row(0).unwrap().class()
        })
    }),
    ("BlockReader::rows_of", |it| {
        it.snapshot(|snapshot| {
            let first = snapshot.blocks().next().unwrap();
            Ok(first.rows_of(ClassId(3))?.len())
        })
    }),
    ("BlockReader::scan", |it| {
        it.snapshot(|snapshot| {
            let first = snapshot.blocks().next().unwrap();
            Ok(first.scan(0..first.rows())?.scales.to_vec())
        })
    }),
    ("Partition::pass", passed),
    ("TemplatePass::some", passed),
    ("Templates::classes", passed),
    ("Templates::iter", passed),
    ("Partition::enroll_person", |it| {
        let record = RecordChange {
            name: Some(Some("Ada".parse().unwrap())),
            ..RecordChange::default()
        };
        let enrolled = it.partition()?.enroll_person(
            Whom::New,
            &encoder(),
            &[sample()],
            all_of,
            record,
            NOW,
        )?;
        said(Ok::<_, EngineError>((enrolled.class, enrolled.enrolled)))
    }),
    ("Engine::enroll_person", |it| {
        let whom = (&damaged(), Whom::Class(ClassId(3)));
        let record = RecordChange::default();
        let enrolled =
            it.engine
                .enroll_person(whom, &encoder(), &[sample()], false, record, NOW)?;
        said(Ok::<_, EngineError>(enrolled.enrolled))
    }),
    ("Gallery::person", |it| {
        said(it.gallery()?.person(ClassId(3)))
    }),
    ("Gallery::people", |it| {
        let filter = PeopleFilter::default();
        said(it.gallery()?.people(&filter, None, 9))
    }),
    ("Gallery::change_record", |it| {
        let record = RecordChange::default();
        said(it.gallery()?.change_record(ClassId(3), record))
    }),
    ("Engine::merge", |it| {
        let classes = (ClassId(3), ClassId(4));
        said(it.engine.merge(&it.gallery()?, classes, NOW, 7))
    }),
    ("Gallery::merge", |it| {
        said(it.gallery()?.merge(ClassId(3), ClassId(4)))
    }),
    ("Gallery::move_templates", |it| {
        let gallery = it.gallery()?;
        it.partition()?
            .enroll(ClassId(3), &encoder(), &[sample()], 9, NOW)?;
        let first = gallery.templates_of(ClassId(3))?[0].template;
        said(gallery.move_templates(ClassId(3), &[first], ClassId(4)))
    }),
    ("Gallery::templates_of", |it| {
        said(it.gallery()?.templates_of(ClassId(3)))
    }),
    ("Partition::change_record", |it| {
        let record = RecordChange::default();
        said(it.partition()?.change_record(ClassId(3), record))
    }),
    ("Partition::merge", |it| {
        said(it.partition()?.merge(ClassId(3), ClassId(4), all_of))
    }),
    ("Partition::merge_noting", |it| {
        let note = |_, _| StateValue {
            area: "notes",
            key: "merged".to_owned(),
            value: Vec::new(),
        };
        let partition = it.partition()?;
        said(partition.merge_noting(ClassId(3), ClassId(4), all_of, note))
    }),
    ("Partition::move_templates", |it| {
        let partition = it.partition()?;
        partition.enroll(ClassId(3), &encoder(), &[sample()], 9, NOW)?;
        let templates = partition.templates(ClassId(3))?;
        let first = [templates[0].template];
        said(partition.move_templates(ClassId(3), &first, ClassId(4), all_of))
    }),
    ("Partition::templates", |it| {
        said(it.partition()?.templates(ClassId(3)))
    }),
    ("Partition::snapshot_of", |it| {
        let mut labels = Labels::default();
        labels.add("site:berlin".parse().unwrap()).unwrap();
        let snapshot = it.partition()?.snapshot_of(NOW, &labels)?;
        said(Ok::<_, EngineError>(snapshot.templates()))
    }),
    ("Row::class", |it| it.rows(|row| row.class())),
    ("Row::values", |it| {
        it.rows(|row| Ok(row.values()?.to_vec()))
    }),
    ("Row::length", |it| it.rows(|row| row.length())),
    ("Row::info", |it| it.rows(|row| row.info())),
    ("Engine::import", |it| {
        let mut source = open_source(&it.beside.join("source.jsonl"), None, None)?;
        let options = ImportOptions {
            existing: Existing::Resume,
            refused: None,
            duplicates: None,
        };
        said(it.engine.import(
            &damaged(),
            &encoder(),
            &mut *source,
            options,
            NOW,
            |_, _| (),
        ))
    }),
    ("Engine::newcomers", |it| {
        let bar = DuplicateBar::new((Some(-1.0), None, TargetRate::default()), None);
        let newcomers = it.engine.newcomers(&damaged(), &encoder(), bar)?;
        let sample = Embedding::new(values(3)).unwrap();
        said(newcomers.meet(ClassId(3), &[&sample]))
    }),
    ("Partition::known_rows", |it| {
        let mut batch = TemplateBatch::new(&encoder());
        batch.push(ClassId(3), &values(3), 0.5, NOW);
        said(it.partition()?.known_rows(&batch))
    }),
    ("Partition::choose_classes", |it| {
        said(it.partition()?.choose_classes(2))
    }),
    ("Engine::choose_classes", |it| {
        said(it.engine.choose_classes(&damaged(), &encoder(), 2, NOW))
    }),
    // What is left of a segment is written anew.
    ("Engine::overwrite", |it| {
        let pace = Pace::unlimited();
        said(it.engine.overwrite(&damaged(), None, None, &pace))
    }),
];

/// Those that are right whatever is damaged in the rows, since they read none of them.
const READS_NO_ROWS: &[(&str, Read)] = &[
    ("Engine::check_encoder", |it| {
        said(it.engine.check_encoder(&damaged(), &encoder(), DIMENSION))
    }),
    ("Engine::calibration", |it| {
        said(
            it.engine
                .calibration(&damaged())
                .map(|found| found.is_some()),
        )
    }),
    // Of so few people nothing is measured.
    ("Engine::calibrate_grown", |it| {
        said(it.engine.calibrate_grown(&damaged(), None, |_| true))
    }),
    ("Engine::keep_calibration", |it| {
        said(it.engine.keep_calibration(&damaged(), &calibration()))
    }),
    ("Gallery::batch", |it| {
        said(batch(it).map(|batch| batch.probes()))
    }),
    ("Engine::gallery", |it| {
        said(
            it.engine
                .gallery(&damaged(), &encoder())
                .map(|found| found.is_some()),
        )
    }),
    ("Engine::enrolled", |it| {
        said(it.engine.enrolled(&damaged()).map(|found| found.is_some()))
    }),
    ("Gallery::templates", |it| {
        said(it.gallery().map(|it| it.templates()))
    }),
    ("Partition::check_encoder", |it| {
        said(it.partition()?.check_encoder(&encoder()))
    }),
    ("Partition::seal", |it| said(it.partition()?.seal())),
    // Of so few segments none is merged.
    ("Partition::merge_many", |it| {
        said(it.partition()?.merge_many(100, &Pace::unlimited()))
    }),
    ("Partition::import", |it| {
        let partition = it.partition()?;
        let mut import = partition.import(&encoder(), 1, NOW)?;
        import.push(ClassId(8), &values(8), 0.5)?;
        said(import.finish())
    }),
    ("Partition::add_batch", |it| {
        let mut batch = TemplateBatch::new(&encoder());
        batch.push(ClassId(8), &values(8), 0.5, NOW);
        let people = vec![(ClassId(8), RecordChange::default())];
        said(it.partition()?.add_batch(&batch, people, None, NOW))
    }),
    ("Snapshot::templates", |it| {
        it.snapshot(|snapshot| Ok(snapshot.templates()))
    }),
    ("BlockReader::rows", |it| {
        it.snapshot(|snapshot| Ok(snapshot.blocks().map(|block| block.rows()).sum::<usize>()))
    }),
];

/// Those that do not look at a partition's files at all.
const READS_NOTHING: &[&str] = &[
    "Batch::ids",
    "Batch::probes",
    "BlockReader::release",
    "Engine::expire",
    "Engine::forget_calibration",
    "Engine::forget_receipts",
    "Engine::health",
    "Engine::kept_calibration",
    "Engine::duplicate_bar",
    "Engine::kernel",
    "Engine::known_encoder",
    "Engine::partitions",
    "Engine::pool",
    "Engine::receipt",
    "Engine::receipts",
    "Engine::remove_gallery",
    "Engine::settle_receipts",
    "Engine::store",
    "Engine::with_clock",
    "Engine::with_encoders",
    "Engine::with_kernel",
    "Gallery::among",
    "Gallery::noting_matches",
    "Gallery::class_of",
    "Gallery::encoder",
    "Gallery::ended",
    "Gallery::id",
    "Gallery::is_counted",
    "Gallery::named",
    "Gallery::not_same_as",
    "Gallery::note_match",
    "Gallery::portrait",
    "Gallery::records",
    "Gallery::write_matches",
    "Partition::class_of_external_id",
    "Partition::encoder",
    "Partition::ended",
    "Partition::id",
    "Partition::labelled",
    "Partition::last_matches",
    "Partition::named",
    "Partition::note_match",
    "Partition::portrait",
    "Partition::records",
    "Partition::rules",
    "Partition::snapshot",
    "Partition::with_records",
    "Partition::write_matches",
    "Snapshot::encoder",
    "Snapshot::and",
    "Snapshot::in_memory",
];

/// Of a gallery that is not there.
fn calibration() -> Calibration {
    let other = |class: i64, similarity: f64| Stranger {
        class: ClassId(class),
        best: vec![Match {
            class: ClassId(99),
            similarity,
        }],
    };
    let strangers: Vec<Stranger> = (0..30).map(|at| other(at, at as f64 / 40.0)).collect();
    let comparison = |it: &Stranger| Comparison {
        probe: it.class,
        other: ClassId(99),
        similarity: it.best[0].similarity,
    };
    let comparisons: Vec<Comparison> = strangers.iter().map(comparison).collect();
    let observed = Observations {
        encoder: &encoder(),
        classes: 30,
        templates: 30,
        seed: 1,
        now: NOW,
        strangers: &strangers,
        comparisons: &comparisons,
        mated: &[],
        shipped: None,
    };
    Calibration::of(&observed, &|_, _| false).unwrap()
}

fn all_of(held: &[Held<'_>], new: &[NewTemplate]) -> Choice {
    Choice {
        keep: (0..held.len()).collect(),
        add: (0..new.len()).collect(),
        known: 0,
    }
}

fn best(limit: usize) -> IdentifyOptions {
    IdentifyOptions {
        limit,
        threshold: None,
    }
}

fn batch(it: &Asked) -> Result<Batch, EngineError> {
    let probes = EmbeddingFile::open(&it.beside.join("probes.npy"))?;
    it.gallery()?.batch(probes, best(9))
}

/// A data directory with two partitions, and what is asked of them.
fn prepare(directory: &Path) {
    let store = Store::open(&directory.join("data")).unwrap();
    for id in [damaged(), "bws.2".parse().unwrap()] {
        let partition = store.partition_for(&id, &encoder(), NOW).unwrap();
        let mut import = partition.import(&encoder(), 5, NOW).unwrap();
        for class in 1..=5 {
            let row = values(class);
            import.push(ClassId(class as i64), &row, 0.5).unwrap();
        }
        import.finish().unwrap();
        partition.remove(ClassId(2)).unwrap();
        let later = Timestamp::from_unix_seconds(9);
        let enrolled = partition.enroll(ClassId(9), &encoder(), &[sample()], 0, later);
        enrolled.unwrap();
    }
    let engine = Engine::new(Arc::new(store), Pool::Here);
    let source = directory.join("source.jsonl");
    let gallery = engine.enrolled(&damaged()).unwrap().unwrap();
    let options = ExportOptions::default();
    gallery.export(&source, options, |_| ()).unwrap();
    // Two rows in NumPy's format.
    let dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 16), }";
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{dict:<117}\n").bytes());
    for value in [values(1), values(4)].concat() {
        bytes.extend(value.to_le_bytes());
    }
    fs::write(directory.join("probes.npy"), bytes).unwrap();
}

/// Copies a folder, with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn segment(directory: &Path) -> PathBuf {
    let mut files = fs::read_dir(directory.join("data/segments/1")).unwrap();
    files.next().unwrap().unwrap().path()
}

/// The parts of a segment, and where they begin.
fn parts(path: &Path) -> Vec<(&'static str, u64)> {
    let Inspection::Segment(report) = inspect(path, &mut |_, _| ()).unwrap() else {
        panic!("`{}` is no segment", path.display());
    };
    let mut parts = vec![("header", 64), ("table", report.table.unwrap().offset)];
    parts.extend(report.planes.iter().map(|plane| (plane.name, plane.offset)));
    assert_eq!(parts.len(), 12);
    parts
}

/// Asks of a copy of a data directory in which bytes are changed at some places of the segment.
/// Returns the answer and the damage that is known afterwards, of the partition and of the other.
fn ask(original: &Path, offsets: &[u64], read: Read) -> (Answer, [Option<String>; 2]) {
    let directory = tempfile::tempdir().unwrap();
    copy(original, directory.path());
    let path = segment(directory.path());
    let mut bytes = fs::read(&path).unwrap();
    for offset in offsets {
        bytes[*offset as usize] ^= 0xff;
    }
    fs::write(&path, bytes).unwrap();
    let store = Store::open(&directory.path().join("data")).unwrap();
    let asked = Asked {
        engine: Engine::new(Arc::new(store), Pool::Here),
        beside: directory.path().to_owned(),
    };
    assert!(
        asked.engine.health().unwrap().is_good(),
        "nobody has looked yet"
    );
    let answer = read(&asked);
    let health = asked.engine.health().unwrap();
    let [one, other] = &health.partitions[..] else {
        panic!("{health:?}");
    };
    (answer, [one.damage.clone(), other.damage.clone()])
}

/// What must be said where there is no answer.
fn assert_incomplete(error: &EngineError, damage: &Option<String>, what: &str) {
    let (EngineError::Store(error) | EngineError::Search(SearchError::Store(error))) = error else {
        panic!("{what}: {error:?}");
    };
    let StoreError::Incomplete {
        partition,
        templates,
        source,
    } = error
    else {
        panic!("{what}: {error}");
    };
    assert_eq!((partition, *templates), (&damaged(), TEMPLATES), "{what}");
    assert!(
        matches!(**source, StoreError::Damaged { .. }),
        "{what}: {source}"
    );
    let text = error.to_string();
    for part in ["`bws.1` with 5 templates", "`vultus gallery repair`"] {
        assert!(text.contains(part), "{what}: {text}");
    }
    assert_eq!(*damage, Some(source.to_string()), "{what}");
}

#[test]
fn every_read_of_a_damaged_partition_is_right_or_says_so_and_its_health_tells_why() {
    let original = tempfile::tempdir().unwrap();
    prepare(original.path());
    let parts = parts(&segment(original.path()));
    let all: Vec<u64> = parts.iter().skip(2).map(|(_, offset)| *offset).collect();
    let reads = READS.iter().map(|read| (read, true));
    let reads = reads.chain(READS_NO_ROWS.iter().map(|read| (read, false)));
    for ((name, read), reads_rows) in reads {
        let (right, known) = ask(original.path(), &[], *read);
        let right = right.unwrap();
        assert_eq!(known, [None, None], "{name}");
        let places = parts.iter().map(|(part, offset)| (*part, vec![*offset]));
        let places = places.chain([("all planes", all.clone())]);
        for (part, offsets) in places {
            let what = format!("{name} with damage in {part}");
            let (answer, [known, other]) = ask(original.path(), &offsets, *read);
            assert_eq!(other, None, "{what}: the other is well");
            match answer {
                Ok(answer) => {
                    assert_eq!((answer, known), (right.clone(), None), "{what}");
                    assert!(!reads_rows || part != "all planes", "{what} went unnoticed");
                    assert!(!matches!(part, "header" | "table"), "{what} went unnoticed");
                }
                Err(error) => {
                    assert_incomplete(&error, &known, &what);
                    assert!(reads_rows || matches!(part, "header" | "table"), "{what}");
                }
            }
        }
    }
}

/// The methods of the types that hand out rows, as their source has them.
fn public_methods(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            public_methods(&path, found);
            continue;
        }
        let (source, mut of) = (fs::read_to_string(&path).unwrap(), None);
        for line in source.lines() {
            if let Some(rest) = line.strip_prefix("impl") {
                let name = rest.split_once('>').filter(|_| rest.starts_with('<'));
                let name = name.map_or(rest, |(_, name)| name).trim();
                let name = name.trim_end_matches('{').trim();
                let name = name.split('<').next().unwrap();
                let types = [
                    "Batch",
                    "BlockReader",
                    "Engine",
                    "Gallery",
                    "Partition",
                    "Row",
                    "Snapshot",
                    "TemplatePass",
                    "Templates",
                ];
                of = types.into_iter().find(|known| *known == name);
            } else if line == "}" {
                of = None;
            }
            let method = line.strip_prefix("    pub fn ");
            if let (Some(of), Some(method)) = (of, method) {
                let name = method.split(['(', '<']).next().unwrap();
                found.insert(format!("{of}::{name}"));
            }
        }
    }
}

#[test]
fn every_public_method_is_known() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for folder in ["engine", "partition"] {
        public_methods(&source.join(folder), &mut found);
    }
    found.remove("Engine::new");
    let tested = READS.iter().chain(READS_NO_ROWS).map(|(name, _)| *name);
    let known = tested.chain(READS_NOTHING.iter().copied());
    let known: BTreeSet<String> = known
        .filter(|name| !name.starts_with("Store::"))
        .map(str::to_owned)
        .collect();
    let unknown: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(
        unknown.is_empty() && gone.is_empty(),
        "not in the tables of this file: {unknown:?}; only there: {gone:?}"
    );
}
