//! Everything that can come in, without any way in.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use image::{DynamicImage, GenericImage, ImageFormat, RgbImage};

use super::*;
use crate::engine::Fault;
use crate::face::{FaceError, FacePipeline, Patience, PipelineOptions, Warning};
use crate::liveness::{LivenessDetector, Reason, Thresholds};
use crate::rates::TargetRate;
use crate::types::{Embedding, EmbeddingError, EncoderId, PartitionId};

const PORTRAIT: &[u8] = include_bytes!("../../data/faces/obama-portrait.jpg");
const AGAIN: &[u8] = include_bytes!("../../data/faces/obama-speech.jpg");

static FACES: LazyLock<Arc<FacePipeline>> =
    LazyLock::new(|| Arc::new(FacePipeline::new(&PipelineOptions::default()).unwrap()));
static LIVENESS: LazyLock<Arc<LivenessDetector>> =
    LazyLock::new(|| Arc::new(LivenessDetector::new(1).unwrap()));

fn intake(policy: Policy) -> Intake {
    Intake::new(FACES.clone(), Some(LIVENESS.clone()), policy)
}

fn partition(text: &str) -> PartitionId {
    text.parse().unwrap()
}

/// A picture as a file without losses.
fn bmp(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Bmp).unwrap();
    bytes.into_inner()
}

/// The portrait, twice side by side.
fn two_people() -> Vec<u8> {
    let one = image::load_from_memory(PORTRAIT).unwrap();
    let mut both = DynamicImage::new_rgb8(2 * one.width(), one.height());
    both.copy_from(&one, 0, 0).unwrap();
    both.copy_from(&one, one.width(), 0).unwrap();
    bmp(&both.to_rgb8())
}

fn take_in(
    intake: &Intake,
    announced: &Announced<'_>,
    pictures: &[&[u8]],
    embeddings: &[Vec<f32>],
) -> Result<Samples, IntakeError> {
    let mut taking = intake.begin(announced)?;
    for picture in pictures {
        taking.add_picture(picture, &Patience::endless())?;
    }
    for values in embeddings {
        taking.add_embedding(values.clone())?;
    }
    taking.finish()
}

fn pictures_of(pictures: usize, liveness: Option<Demand>) -> Announced<'static> {
    Announced {
        pictures,
        liveness,
        ..Announced::default()
    }
}

fn embeddings_of(embeddings: usize, encoder: Option<&str>) -> Announced<'_> {
    Announced {
        embeddings,
        dimension: Some(16),
        encoder,
        ..Announced::default()
    }
}

#[test]
fn a_picture_becomes_a_sample_of_the_encoder_of_the_intake() {
    let intake = intake(Policy::default());
    let announced = pictures_of(1, None);
    let samples = take_in(&intake, &announced, &[PORTRAIT], &[]).unwrap();
    assert_eq!(samples.encoder, *FACES.profile().encoder());
    let [sample] = &*samples.samples else {
        panic!("one sample")
    };
    let face = FACES.only_face(PORTRAIT).unwrap();
    assert_eq!(sample.embedding, face.embedding);
    assert_eq!(sample.quality, Some(face.quality.score()));
    let [template] = &*samples.templates() else {
        panic!("one template")
    };
    assert_eq!(template.quality, face.quality.score());
}

#[test]
fn what_is_wrong_with_a_picture_is_said_of_that_picture() {
    let intake = intake(Policy::default());
    let nobody = bmp(&RgbImage::new(200, 200));
    let tiny = bmp(&RgbImage::new(3, 3));
    let (two_people, half) = (two_people(), &PORTRAIT[..PORTRAIT.len() / 2]);
    type Expected = fn(&Cause) -> bool;
    let cases: [(&[u8], Expected); 6] = [
        (&nobody, |cause| {
            matches!(cause, Cause::NoFace(FaceError::NoFaceFound))
        }),
        (&tiny, |cause| {
            matches!(cause, Cause::NoFace(FaceError::TooSmall { .. }))
        }),
        (&two_people, |cause| {
            matches!(
                cause,
                Cause::SeveralFaces(FaceError::MultipleFacesFound { count: 2 })
            )
        }),
        (half, |cause| {
            matches!(cause, Cause::Picture(FaceError::Truncated { .. }))
        }),
        (b"GET / HTTP/1.1", |cause| {
            matches!(cause, Cause::Picture(FaceError::NotAPicture { .. }))
        }),
        (b"", |cause| {
            matches!(cause, Cause::Picture(FaceError::Empty))
        }),
    ];
    for (picture, is_expected) in cases {
        let announced = pictures_of(2, None);
        let error = take_in(&intake, &announced, &[PORTRAIT, picture], &[]).unwrap_err();
        assert!(is_expected(&error.cause), "{error:?}");
        assert_eq!((error.sample, error.fault()), (Some(1), Fault::Caller));
        assert!(error.to_string().starts_with("sample 1: "), "{error}");
        for care in [Care::Glance, Care::Close] {
            let alone = intake.look(picture, care).unwrap_err();
            assert!(is_expected(&alone.cause), "{alone:?}");
            assert_eq!(alone.to_string(), error.cause.to_string());
        }
    }
}

#[test]
fn embeddings_are_of_the_encoder_that_is_named() {
    let intake = intake(Policy::default());
    let values = vec![1.0; 16];
    let announced = embeddings_of(1, Some("other@2"));
    let samples = take_in(&intake, &announced, &[], std::slice::from_ref(&values)).unwrap();
    assert_eq!(samples.encoder, EncoderId::new("other", "2", 16).unwrap());
    assert_eq!(samples.samples[0].quality, None);
    assert!(samples.templates()[0].quality.is_nan());

    for (values, expected) in [
        (vec![1.0; 17], None),
        (vec![0.0; 16], Some(EmbeddingError::Zero)),
        (vec![1.0; 5], Some(EmbeddingError::Dimension { found: 5 })),
    ] {
        let announced = embeddings_of(2, Some("other@2"));
        let both = [vec![1.0; 16], values];
        let error = take_in(&intake, &announced, &[], &both).unwrap_err();
        assert_eq!((error.sample, error.fault()), (Some(1), Fault::Caller));
        match (error.cause, expected) {
            (Cause::Dimension { found: 17, .. }, None) => {}
            (Cause::Embedding(found), Some(expected)) => assert_eq!(found, expected),
            (cause, _) => panic!("{cause:?}"),
        }
    }

    let unnamed = take_in(&intake, &embeddings_of(1, None), &[], &[values]).unwrap_err();
    assert!(matches!(unnamed.cause, Cause::EncoderMissing));
    let nameless = intake.begin(&embeddings_of(1, Some("a b"))).unwrap_err();
    assert!(matches!(nameless.cause, Cause::EncoderName(_)));
}

#[test]
fn pictures_and_embeddings_come_together_only_of_one_encoder() {
    let intake = intake(Policy::default());
    let own = intake.encoder().clone();
    let name = format!("{}@{}", own.name(), own.version());
    let with = |encoder, dimension| Announced {
        pictures: 1,
        embeddings: 1,
        dimension: Some(dimension),
        encoder: Some(encoder),
        liveness: None,
    };
    let face = intake.look(PORTRAIT, Care::Glance).unwrap().face;
    let ready = [face.embedding.values().to_vec()];
    let announced = with(&name, own.dimension());
    let samples = take_in(&intake, &announced, &[PORTRAIT], &ready).unwrap();
    assert_eq!(samples.embeddings().len(), 2);
    for (encoder, dimension) in [("other@2", own.dimension()), (&*name, 16)] {
        let error = intake.begin(&with(encoder, dimension)).unwrap_err();
        assert!(matches!(error.cause, Cause::OtherEncoder { .. }), "{error}");
    }
    // Nor a picture that nobody announced.
    let mut taking = intake.begin(&embeddings_of(1, Some("other@2"))).unwrap();
    let error = taking
        .add_picture(PORTRAIT, &Patience::endless())
        .unwrap_err();
    assert!(matches!(error.cause, Cause::OtherEncoder { .. }), "{error}");
}

#[test]
fn samples_that_come_together_look_like_one_person() {
    let intake = intake(Policy::default());
    let own = intake.encoder().clone();
    let name = format!("{}@{}", own.name(), own.version());
    let stranger: Vec<f32> = (0..own.dimension()).map(|at| (at as f32).sin()).collect();
    let announced = Announced {
        pictures: 1,
        embeddings: 1,
        dimension: Some(own.dimension()),
        encoder: Some(&name),
        liveness: None,
    };
    let error = take_in(
        &intake,
        &announced,
        &[PORTRAIT],
        std::slice::from_ref(&stranger),
    )
    .unwrap_err();
    assert!(matches!(error.cause, Cause::Contradicting), "{error}");
    assert_eq!((error.sample, error.fault()), (Some(1), Fault::Caller));
    let both = [stranger.iter().map(|value| -value).collect(), stranger];
    let two = Announced {
        pictures: 0,
        embeddings: 2,
        ..announced
    };
    let error = take_in(&intake, &two, &[], &both).unwrap_err();
    assert!(matches!(error.cause, Cause::Contradicting), "{error}");
    // Of another encoder nobody knows what is alike.
    let far = [[1.0; 16], [-0.5; 16]].map(|mut values| {
        values[0] = 3.0;
        values.to_vec()
    });
    take_in(&intake, &embeddings_of(2, Some("other@2")), &[], &far).unwrap();
    let faces: Vec<Embedding> = [PORTRAIT, AGAIN]
        .map(|picture| intake.look(picture, Care::Glance).unwrap().face.embedding)
        .into();
    let stranger = Embedding::new(both[1].clone()).unwrap();
    assert_eq!(
        intake.of_one_person(&[&faces[0], &stranger]),
        [false, false]
    );
    assert_eq!(
        intake.of_one_person(&[&faces[0], &stranger, &faces[1]]),
        [true, false, true]
    );
    assert_eq!(intake.of_one_person(&[&stranger]), [true]);
}

#[test]
fn pictures_that_tell_little_are_not_fit_to_enrol_with() {
    let intake = intake(Policy::default());
    for (quality, fit) in [
        (0.2, true),
        (0.19, false),
        (0.0, false),
        (1.0, true),
        (f32::NAN, false),
    ] {
        let checked = intake.check_quality(quality, &[Warning::FaceCovered]);
        assert_eq!(checked.is_ok(), fit, "{quality}");
        if let Err(error) = checked {
            assert!(
                error.to_string().contains("part of the face is covered"),
                "{error}"
            );
        }
    }
    let everything = self::intake(Policy {
        enroll_quality_min: 0.0,
        ..Policy::default()
    });
    everything.check_quality(0.0, &[]).unwrap();
}

#[test]
fn no_fewer_and_no_more_samples_than_may_come() {
    let few = intake(Policy {
        samples_max: 2,
        ..Policy::default()
    });
    let none = few.check(&Announced::default()).unwrap_err();
    assert!(matches!(none.cause, Cause::NoSamples));
    let error = few.check(&embeddings_of(3, Some("other@2"))).unwrap_err();
    let Cause::TooManySamples { found, samples_max } = error.cause else {
        panic!("{error:?}")
    };
    assert_eq!((found, samples_max), (3, 2));
    few.check(&embeddings_of(2, Some("other@2"))).unwrap();
    // Whoever announced something else gains nothing.
    let announced = embeddings_of(1, Some("other@2"));
    let more = vec![vec![1.0; 16]; 3];
    let error = take_in(&few, &announced, &[], &more).unwrap_err();
    assert!(matches!(error.cause, Cause::TooManySamples { .. }));
    let error = take_in(&few, &announced, &[], &[]).unwrap_err();
    assert!(matches!(error.cause, Cause::NoSamples));
    let all = intake(Policy {
        samples_max: usize::MAX,
        ..Policy::default()
    });
    let error = all
        .check(&embeddings_of(SAMPLES_MAX + 1, None))
        .unwrap_err();
    assert!(matches!(error.cause, Cause::TooManySamples { .. }));
}

#[test]
fn liveness_is_seen_in_pictures_alone() {
    let intake = intake(Policy::default());
    for demand in [Demand::Passive, Demand::Active] {
        let mut announced = embeddings_of(1, Some("other@2"));
        announced.liveness = Some(demand);
        let error = intake.check(&announced).unwrap_err();
        assert!(matches!(error.cause, Cause::LivenessOfEmbeddings));
        // Nor in one that nobody announced.
        let mut taking = intake.begin(&pictures_of(2, Some(demand))).unwrap();
        let error = taking.add_embedding(vec![1.0; 128]).unwrap_err();
        assert!(matches!(error.cause, Cause::LivenessOfEmbeddings));
    }
    let error = intake
        .begin(&pictures_of(1, Some(Demand::Active)))
        .unwrap_err();
    assert!(matches!(error.cause, Cause::LivenessOfOnePicture));
    intake
        .begin(&pictures_of(1, Some(Demand::Passive)))
        .unwrap();
}

/// By thresholds that everybody passes, or nobody: what the networks see is tested elsewhere.
#[test]
fn a_person_who_is_not_live_is_refused_where_that_is_demanded() {
    let with = |passive_score_min, active_score_min| {
        intake(Policy {
            liveness: Thresholds {
                passive_score_min,
                active_score_min,
                similarity_min: -1.0,
                turn_degrees_min: 0.0,
                ..Thresholds::default()
            },
            ..Policy::default()
        })
    };
    let (lax, strict) = (with(0.0, 0.0), with(2.0, 2.0));
    let both = [PORTRAIT, AGAIN];
    let take = |intake: &Intake, pictures: &[&[u8]], demand| {
        take_in(intake, &pictures_of(pictures.len(), demand), pictures, &[])
    };
    for demand in [None, Some(Demand::Passive), Some(Demand::Active)] {
        take(&lax, &both, demand).unwrap();
    }
    take(&strict, &both, None).unwrap();
    let error = take(&strict, &both, Some(Demand::Passive)).unwrap_err();
    assert!(matches!(error.cause, Cause::NotLive(Some(Reason::Texture))));
    assert_eq!((error.sample, error.fault()), (Some(0), Fault::Caller));
    let error = take(&strict, &both, Some(Demand::Active)).unwrap_err();
    assert!(matches!(error.cause, Cause::NotLive(Some(_))), "{error:?}");
    assert_eq!(error.sample, None, "none of them alone");
    let error = take(&lax, &[PORTRAIT, PORTRAIT], Some(Demand::Active)).unwrap_err();
    assert!(matches!(
        error.cause,
        Cause::NotLive(Some(Reason::SamePicture))
    ));
}

#[test]
fn without_its_networks_liveness_is_not_waived() {
    let blind = Intake::new(FACES.clone(), None, Policy::default());
    let announced = pictures_of(1, Some(Demand::Passive));
    let error = take_in(&blind, &announced, &[PORTRAIT], &[]).unwrap_err();
    assert!(matches!(error.cause, Cause::NoDetector));
    assert_eq!(error.fault(), Fault::Ours);
    take_in(&blind, &pictures_of(1, None), &[PORTRAIT], &[]).unwrap();
}

#[test]
fn a_partition_has_its_own_threshold_that_of_all_or_that_of_the_encoder() {
    let own = FACES.profile().verification_threshold();
    let threshold = |threshold, partitions: &[(&str, f64)]| {
        let partitions = partitions.iter().map(|(name, at)| (partition(name), *at));
        let verification = VerificationThresholds {
            threshold,
            partitions: BTreeMap::from_iter(partitions),
        };
        let intake = intake(Policy {
            verification,
            ..Policy::default()
        });
        intake.verification_threshold(&partition("bws.1"))
    };
    assert_eq!(threshold(None, &[]), own);
    assert_eq!(threshold(Some(0.4), &[]), 0.4);
    assert_eq!(threshold(Some(0.4), &[("bws.2", 0.6)]), 0.4);
    assert_eq!(threshold(Some(0.4), &[("bws.1", 0.6)]), 0.6);
    assert_eq!(threshold(None, &[("bws.1", 0.6)]), 0.6);
    assert_eq!(threshold(None, &[("bws.2", 0.6)]), own);
}

#[test]
fn what_is_set_for_a_partition_counts_more_than_what_is_set_for_all() {
    let (id, rate) = (partition("bws.1"), |rate| TargetRate::new(rate).unwrap());
    let mut policy = Policy::default();
    let usual = |policy: &Policy| policy.usual(&id, Some(0.41), true);
    assert_eq!(usual(&policy).set, None);
    assert_eq!(usual(&policy).target_fpir, TargetRate::DEFAULT);
    policy.verification.threshold = Some(0.5);
    policy.target_fpir.partitions = BTreeMap::from([(partition("bws.2"), rate(0.1))]);
    assert_eq!(usual(&policy).set, Some(0.5));
    // A rate for the partition, and a similarity for all.
    policy.target_fpir.partitions.insert(id.clone(), rate(0.01));
    assert_eq!(usual(&policy).set, None);
    assert_eq!(usual(&policy).target_fpir, rate(0.01));
    assert_eq!(usual(&policy).set_verification, Some(0.5));
    policy.verification.partitions = BTreeMap::from([(id.clone(), 0.6)]);
    assert_eq!(usual(&policy).set, Some(0.6));
    assert_eq!(usual(&policy).set_verification, Some(0.6));
    // Of another encoder a similarity means something else.
    let foreign = policy.usual(&id, None, false);
    assert_eq!((foreign.set, foreign.set_verification), (None, None));
    // One that was measured has what is set for the partition, and not what is set for all.
    let known = policy.usual(&id, Some(0.3), false);
    assert_eq!(known.set_verification, Some(0.6));
    policy.verification.partitions.clear();
    assert_eq!(policy.usual(&id, Some(0.3), false).set_verification, None);
    assert!(Partitions::All.contains(&id) && !Partitions::default().contains(&id));
}

#[test]
fn scores_are_of_the_own_encoder_alone() {
    let intake = intake(Policy::default());
    let map = FACES.profile().score_map();
    let score = intake.score(map.midpoint, intake.encoder()).unwrap();
    assert!((score - 0.5).abs() < 1e-12);
    let other = EncoderId::new("other", "2", 128).unwrap();
    assert_eq!(intake.score(map.midpoint, &other), None);
}

#[test]
fn nothing_that_is_printed_shows_a_face() {
    let intake = intake(Policy::default());
    let seen = intake.look(PORTRAIT, Care::Glance).unwrap();
    assert_eq!(format!("{seen:?}"), "Seen(hidden)");
    let announced = embeddings_of(1, Some("other@2"));
    let samples = take_in(&intake, &announced, &[], &[vec![0.625; 16]]).unwrap();
    assert!(!format!("{samples:?}").contains("0.625"));
}
