//! Galleries that are measured by themselves: what strangers reach.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::engine::{CalibrationOptions, Engine, EngineError, Fault, Gallery, IdentifyOptions};
use vultus::partition::{NewTemplate, Pace, Store, restore_archive};
use vultus::rates::{Calibration, CalibrationSource, MatedSource, RatesError, TargetRate};
use vultus::search::Pool;
use vultus::types::{
    Bcid, ClassId, Embedding, EncoderId, NotSameAs, PartitionId, RecordChange, Timestamp,
};

const DIMENSION: usize = 16;
const NOW: Timestamp = Timestamp {
    unix_milliseconds: 1_000,
};

fn encoder() -> EncoderId {
    EncoderId::new("test", "1", DIMENSION).unwrap()
}

fn id() -> PartitionId {
    "bws.1".parse().unwrap()
}

fn engine(directory: &Path) -> Engine {
    Engine::new(Arc::new(Store::open(directory).unwrap()), Pool::Here)
}

/// A direction, about the same as another one.
fn like(other: &[f32], spread: f32, random: &mut StdRng) -> Vec<f32> {
    let near = |value: &f32| value + spread * random.random_range(-1.0..1.0_f32);
    other.iter().map(near).collect()
}

fn person(random: &mut StdRng) -> Vec<f32> {
    like(&[0.0; DIMENSION], 1.0, random)
}

fn enroll(engine: &Engine, class: i64, values: &[f32]) {
    let bcid = Bcid::new(id(), ClassId(class));
    let template = NewTemplate {
        embedding: Embedding::new(values.to_vec()).unwrap(),
        quality: 0.9,
        portrait: None,
    };
    engine.enroll(&bcid, &encoder(), &[template], NOW).unwrap();
}

/// So many people, each third with a second template.
fn filled(directory: &Path, people: i64) -> (Engine, StdRng) {
    let (engine, mut random) = (engine(directory), StdRng::seed_from_u64(7));
    for class in 0..people {
        let values = person(&mut random);
        enroll(&engine, class, &values);
        if class % 3 == 0 {
            enroll(&engine, class, &like(&values, 0.15, &mut random));
        }
    }
    (engine, random)
}

fn gallery(engine: &Engine) -> Gallery {
    engine.gallery(&id(), &encoder()).unwrap().unwrap()
}

fn calibrate(engine: &Engine, options: &CalibrationOptions) -> Result<Calibration, EngineError> {
    gallery(engine).calibrate(options, NOW, |_, _| Ok(()))
}

fn standard(engine: &Engine) -> Calibration {
    calibrate(engine, &CalibrationOptions::default()).unwrap()
}

#[test]
fn strangers_are_let_through_as_often_as_was_said() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, mut random) = filled(directory.path(), 300);
    let calibration = standard(&engine);
    assert_eq!(calibration.source(), CalibrationSource::Measured);
    assert_eq!((calibration.classes(), calibration.templates()), (300, 400));
    assert_eq!(
        (calibration.probes(), calibration.encoder()),
        (300, &encoder())
    );
    assert_eq!(calibration.evidence().source(), MatedSource::Measured);
    assert_eq!(calibration.evidence().pairs(), 100);
    assert!(calibration.set_aside().is_empty());

    let gallery = gallery(&engine);
    let best = IdentifyOptions {
        limit: 1,
        threshold: None,
    };
    let mut reached = Vec::new();
    for _ in 0..2_000 {
        let sample = Embedding::new(person(&mut random)).unwrap();
        reached.push(gallery.identify(&[&sample], &best).unwrap().matches[0].similarity);
    }
    for rate in [0.1, 0.03] {
        let threshold = calibration.threshold(TargetRate::new(rate).unwrap(), 300);
        let through = reached
            .iter()
            .filter(|it| **it >= threshold.similarity)
            .count();
        let obtained = through as f64 / reached.len() as f64;
        assert!(
            (threshold.low..=threshold.high).contains(&obtained),
            "{obtained} {threshold:?}"
        );
        assert!(
            !threshold.extrapolated && threshold.fpir <= rate,
            "{threshold:?}"
        );
    }
    let rare = calibration.threshold(TargetRate::DEFAULT, 300);
    assert!(
        rare.extrapolated,
        "three hundred people do not show one in a thousand"
    );
    assert!(
        calibration
            .threshold(TargetRate::new(0.1).unwrap(), 3_000)
            .extrapolated
    );
}

#[test]
fn a_measurement_depends_on_the_seed_and_on_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, _) = filled(directory.path(), 120);
    let options = |seed| CalibrationOptions {
        probes: 50,
        seed,
        ..CalibrationOptions::default()
    };
    let first = calibrate(&engine, &options(1)).unwrap();
    assert_eq!(first.probes(), 50);
    let small_passes = CalibrationOptions {
        probes_per_pass: 3,
        ..options(1)
    };
    assert_eq!(calibrate(&engine, &small_passes).unwrap(), first);
    let partition = engine.store().partition(&id()).unwrap().unwrap();
    partition.compact(&Pace::unlimited()).unwrap();
    assert_eq!(
        calibrate(&engine, &options(1)).unwrap(),
        first,
        "in one segment"
    );
    assert_ne!(
        calibrate(&engine, &options(2)).unwrap().highest(),
        first.highest()
    );
}

#[test]
fn people_enrolled_twice_are_set_aside_unless_they_are_said_to_be_two() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, mut random) = filled(directory.path(), 200);
    let before = standard(&engine);
    for (class, spread) in [(1_000, 0.0), (1_001, 0.01), (1_002, 0.02)] {
        let values = person(&mut random);
        enroll(&engine, class, &values);
        enroll(&engine, class + 100, &like(&values, spread, &mut random));
    }
    let calibration = standard(&engine);
    let mut pairs: Vec<(i64, i64)> = Vec::new();
    pairs.extend(
        calibration
            .set_aside()
            .iter()
            .map(|pair| (pair.class.0, pair.other.0)),
    );
    pairs.sort_unstable();
    assert_eq!(pairs, [(1_000, 1_100), (1_001, 1_101), (1_002, 1_102)]);
    // Six more people, of whom none is more alike to others than anybody else.
    let tenth = TargetRate::new(0.1).unwrap();
    let [one, other] = [&before, &calibration].map(|it| it.threshold(tenth, 200).similarity);
    assert!((one - other).abs() < 0.05, "{one} {other}");

    let change = RecordChange {
        not_same_as: Some(NotSameAs::new([ClassId(1_100)]).unwrap()),
        ..RecordChange::default()
    };
    gallery(&engine)
        .change_record(ClassId(1_000), change)
        .unwrap();
    let calibration = standard(&engine);
    assert!(
        calibration
            .set_aside()
            .iter()
            .all(|pair| pair.class != ClassId(1_000))
    );
    assert_eq!(calibration.set_aside().len(), 2);
}

#[test]
fn too_few_people_are_refused_with_the_number_that_is_needed() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let mut random = StdRng::seed_from_u64(1);
    let expect = |people: usize, engine: &Engine| {
        let error = calibrate(engine, &CalibrationOptions::default()).unwrap_err();
        assert_eq!(error.fault(), Fault::Caller);
        let few = RatesError::TooFewClasses {
            found: people,
            expected: 20,
        };
        assert_eq!(error.to_string(), few.to_string());
    };
    for _ in 0..30 {
        enroll(&engine, 1, &person(&mut random));
    }
    expect(1, &engine);
    for class in 2..20 {
        enroll(&engine, class, &person(&mut random));
    }
    expect(19, &engine);
    for class in 1..20 {
        gallery(&engine).remove(ClassId(class)).unwrap();
    }
    expect(0, &engine);
    for class in 1..=20 {
        enroll(&engine, class, &person(&mut random));
    }
    assert!(calibrate(&engine, &CalibrationOptions::default()).is_ok());
}

#[test]
fn people_who_are_all_alike_are_measured_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let engine = engine(directory.path());
    let values = person(&mut StdRng::seed_from_u64(1));
    for class in 0..25 {
        enroll(&engine, class, &values);
    }
    let calibration = standard(&engine);
    let threshold = calibration.threshold(TargetRate::DEFAULT, 25);
    assert!((0.0..=1.0).contains(&threshold.similarity), "{threshold:?}");
}

/// As text, numbers may be off by the last digit.
fn is_same(one: &Calibration, other: &Calibration) -> bool {
    let facts = |it: &Calibration| (it.classes(), it.templates(), it.probes(), it.measured());
    let threshold = |it: &Calibration| it.threshold(TargetRate::DEFAULT, 50).similarity;
    facts(one) == facts(other) && (threshold(one) - threshold(other)).abs() < 1e-12
}

#[test]
fn what_is_kept_is_there_again_and_travels_in_snapshots() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (engine, _) = filled(&at("data"), 60);
    assert_eq!(engine.calibration(&id()).unwrap(), None);
    let calibration = standard(&engine);
    engine.keep_calibration(&id(), &calibration).unwrap();
    assert!(is_same(
        &engine.calibration(&id()).unwrap().unwrap(),
        &calibration
    ));
    let mut progress = |_, _| ();
    let snapshot = at("snapshot.tar.zst");
    engine
        .store()
        .snapshot_to(&snapshot, false, NOW, &mut progress)
        .unwrap();
    drop(engine);
    restore_archive(&snapshot, &at("restored"), &mut progress).unwrap();
    for data in ["data", "restored"] {
        let engine = self::engine(&at(data));
        let kept = engine.kept_calibration(&id()).unwrap().unwrap();
        assert!(is_same(&kept, &calibration), "{data}");
        assert!(engine.forget_calibration(&id()).unwrap());
        assert_eq!(engine.calibration(&id()).unwrap(), None);
    }
}

#[test]
fn what_is_not_a_calibration_of_the_gallery_is_never_used() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, _) = filled(directory.path(), 40);
    let calibration = standard(&engine);
    let text = String::from_utf8(calibration.to_bytes()).unwrap();
    let damaged = [
        String::new(),
        "{}".to_owned(),
        text[..text.len() / 2].to_owned(),
        text.replacen("\"version\":1", "\"version\":2", 1),
        text.replacen("\"rate\":", "\"rate\":-", 1),
        text.replacen("\"similarity\":", "\"similarity\":9", 1),
        text.replacen("\"seed\"", "\"other\"", 1),
    ];
    for bytes in damaged {
        engine
            .store()
            .state_put("calibration", "bws.1", bytes.as_bytes())
            .unwrap();
        let error = engine.kept_calibration(&id()).unwrap_err();
        assert_eq!(error.fault(), Fault::Ours, "{error}");
        assert_eq!(engine.calibration(&id()).unwrap(), None, "{bytes}");
    }
    // Of another encoder, and of nobody.
    let text = text.replacen("\"name\":\"test\"", "\"name\":\"other\"", 1);
    let foreign = Calibration::from_bytes(text.as_bytes()).unwrap();
    assert!(engine.keep_calibration(&id(), &foreign).is_err());
    engine
        .store()
        .state_put("calibration", "bws.1", text.as_bytes())
        .unwrap();
    assert_eq!(engine.calibration(&id()).unwrap(), None);
    let nobody: PartitionId = "bws.2".parse().unwrap();
    assert!(engine.keep_calibration(&nobody, &calibration).is_err());
    assert_eq!(engine.calibration(&nobody).unwrap(), None);
}

#[test]
fn what_is_ended_half_way_leaves_what_was_kept_before() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, _) = filled(directory.path(), 100);
    let calibration = standard(&engine);
    engine.keep_calibration(&id(), &calibration).unwrap();
    let before = engine.store().state_get("calibration", "bws.1").unwrap();
    let options = CalibrationOptions {
        probes_per_pass: 10,
        ..CalibrationOptions::default()
    };
    let mut passes = 0;
    let ended = gallery(&engine).calibrate(&options, NOW, |_, _| {
        passes += 1;
        match passes < 4 {
            true => Ok(()),
            false => Err(EngineError::NoSamples),
        }
    });
    assert!(matches!(ended, Err(EngineError::NoSamples)));
    assert_eq!(
        engine.store().state_get("calibration", "bws.1").unwrap(),
        before
    );
}

#[test]
fn galleries_are_measured_again_when_they_have_grown() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, mut random) = filled(directory.path(), 60);
    let grown = |engine: &Engine| engine.calibrate_grown(&id(), None, |_| true).unwrap();
    assert!(!grown(&engine), "80 templates are too few");
    for class in 1_000..1_030 {
        enroll(&engine, class, &person(&mut random));
    }
    assert!(grown(&engine));
    assert_eq!(
        engine.kept_calibration(&id()).unwrap().unwrap().classes(),
        90
    );
    assert!(!grown(&engine), "nothing is new");
    for class in 2_000..2_040 {
        enroll(&engine, class, &person(&mut random));
    }
    let tried = engine.calibrate_grown(&id(), Some(150), |_| true).unwrap();
    assert!(!tried, "it was tried with as many");
    let mut rests = 0;
    let stopped = engine.calibrate_grown(&id(), None, |rest: Duration| {
        rests += 1;
        rest < Duration::MAX && rests < 3
    });
    assert!(stopped.is_err());
    assert_eq!(
        engine.kept_calibration(&id()).unwrap().unwrap().classes(),
        90
    );
    assert!(grown(&engine));
    assert_eq!(
        engine.kept_calibration(&id()).unwrap().unwrap().classes(),
        130
    );
}
