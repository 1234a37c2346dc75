//! From a picture to an embedding, step by step and in one go, on one thread.
//!
//! `cargo bench --bench face`; with `--features onnxruntime` and the path of its library in
//! `VULTUS_ONNXRUNTIME`, faces are found by ONNX Runtime. The goal for the whole, on one core: at
//! most 60 ms. `docs/benchmarks.md` has what was measured.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use vultus::face::{Canvas, FacePipeline, PipelineOptions, Runtime};
use vultus::liveness::{FaceView, LivenessDetector, Thresholds, active};

fn steps(criterion: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/faces");
    let read = |name: &str| std::fs::read(folder.join(name)).expect("the portraits are committed");
    let bytes = read("obama-portrait.jpg");
    let pipeline = FacePipeline::new(&options()).expect("the networks can be loaded");

    let picture = pipeline.decode(&bytes).expect("a portrait is a picture");
    let found = pipeline
        .detect(&picture, Canvas::One)
        .expect("the network runs");
    let landmarks = found[0].landmarks;
    let aligned = pipeline
        .align(&picture, &landmarks)
        .expect("the eyes are apart");

    // A fast wrong answer is worth nothing: the same person is alike, another is not.
    let cosine = |name: &str| {
        let [a, b] =
            [&bytes, &read(name)].map(|bytes| pipeline.only_face(bytes).expect("one face"));
        let pairs = a.embedding.values().iter().zip(b.embedding.values());
        pairs
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum::<f64>()
    };
    assert!(cosine("obama-speech.jpg") > 0.6, "one person, two pictures");
    assert!(cosine("biden-portrait.jpg") < 0.3, "two people");

    let mut group = criterion.benchmark_group("face");
    group
        .sample_size(30)
        .measurement_time(Duration::from_secs(4));
    group.bench_function("decode 720x900 JPEG", |b| {
        b.iter(|| pipeline.decode(black_box(&bytes)));
    });
    group.bench_function("detect on 160", |b| {
        b.iter(|| pipeline.detect(black_box(&picture), Canvas::Glance));
    });
    group.bench_function("detect on 256", |b| {
        b.iter(|| pipeline.detect(black_box(&picture), Canvas::Close));
    });
    group.bench_function("detect on 320", |b| {
        b.iter(|| pipeline.detect(black_box(&picture), Canvas::One));
    });
    group.bench_function("detect on 640", |b| {
        b.iter(|| pipeline.detect(black_box(&picture), Canvas::Many));
    });
    group.bench_function("align", |b| {
        b.iter(|| pipeline.align(black_box(&picture), &landmarks));
    });
    group.bench_function("embed", |b| b.iter(|| pipeline.embed(black_box(&aligned))));
    let detector = LivenessDetector::new(1).expect("the models are built in");
    let face = pipeline.only_face_in(&picture).expect("one face");
    group.bench_function("observe", |b| {
        b.iter(|| detector.observe(&FaceView::new(black_box(&picture), &face)));
    });
    let other = read("obama-speech.jpg");
    let other = pipeline.decode(&other).expect("a portrait is a picture");
    let other_face = pipeline.only_face_in(&other).expect("one face");
    let seen = detector
        .observe(&FaceView::new(&picture, &face))
        .expect("the networks run");
    let other_seen = detector
        .observe(&FaceView::new(&other, &other_face))
        .expect("the networks run");
    group.bench_function("decide about two", |b| {
        b.iter(|| active(black_box(&[&seen, &other_seen]), &Thresholds::default()));
    });
    group.bench_function("whole", |b| {
        b.iter(|| pipeline.only_face(black_box(&bytes)));
    });
    group.finish();
}

/// The built-in runtime, or ONNX Runtime from the library that `VULTUS_ONNXRUNTIME` names.
fn options() -> PipelineOptions {
    PipelineOptions {
        detector: Runtime::with(std::env::var_os("VULTUS_ONNXRUNTIME")),
        ..PipelineOptions::default()
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
