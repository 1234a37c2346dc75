//! Pictures to faces, against numbers from another implementation.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use vultus::face::{
    Canvas, DecodeLimits, Detection, EmbedderSource, FaceError, FacePipeline, FaceSetupError,
    Picture, PipelineOptions, Warning,
};
use vultus::types::Embedding;

static PIPELINE: LazyLock<FacePipeline> =
    LazyLock::new(|| FacePipeline::new(&PipelineOptions::default()).unwrap());

fn portrait(name: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("data/faces")
            .join(name),
    )
    .unwrap()
}

fn cosine(a: &Embedding, b: &Embedding) -> f64 {
    a.values()
        .iter()
        .zip(b.values())
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum()
}

/// Score, box (x, y, width, height) and landmarks of the surest face on the canvas of 640.
struct Golden {
    name: &'static str,
    score: f32,
    bounds: [f32; 4],
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
// network answers is divided by the one scale.
const PORTRAITS: [Golden; 4] = [
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
        bounds: [264.1, 112.8, 109.8, 141.6],
        landmarks: [
            (302.7, 156.5),
            (356.0, 157.6),
            (334.9, 183.7),
            (303.5, 209.9),
            (349.5, 210.7),
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
    let of = PORTRAITS
        .each_ref()
        .map(|golden| embedding(&portrait(golden.name)));
    let [biden, portrait, speech, white_house] = &of;
    for (a, b, expected) in [
        (biden, portrait, 0.1292),
        (biden, speech, 0.2938),
        (portrait, speech, 0.7370),
        (biden, white_house, 0.1822),
        (portrait, white_house, 0.7977),
        (speech, white_house, 0.7389),
    ] {
        let found = cosine(a, b);
        assert!(
            (found - expected).abs() <= 0.002,
            "{found}, expected {expected}"
        );
    }
}
