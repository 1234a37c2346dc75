//! How long the calls of the BWS Web API take over a socket, one after the other, on an idle service, beside
//! what the engine and the networks alone take.
//!
//! `cargo bench --bench http` measures all; names of sections after `--` choose some: `token`, `upload`,
//! `liveness`, `identify`. `--test` does each once. With `--features onnxruntime` and the
//! path of its library in `VULTUS_ONNXRUNTIME`, faces are found by ONNX Runtime. Under `taskset --cpu-list 0` all of it, with the client, shares one
//! core. Not with criterion: what counts are tails, and most calls use something up that the next one needs.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use image::{DynamicImage, ImageFormat, imageops::FilterType};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use vultus::access::ServerKey;
use vultus::engine::{Engine, IdentifyOptions};
use vultus::face::{self, FacePipeline, PipelineOptions};
use vultus::liveness::{FaceView, LivenessDetector, Thresholds, active};
use vultus::partition::{NewTemplate, Store};
use vultus::search::Pool;
use vultus::types::{Bcid, ClassId, Clock, Embedding};
use vultus::web::{AppState, ServiceOptions, serve};

/// People in the gallery that is searched.
const PEOPLE: usize = 10_000;

type Section = fn(&mut Service, usize);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let small = arguments.iter().any(|argument| argument == "--test");
    let named: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let sections: [(&str, usize, Section); 4] = [
        ("token", 2000, token),
        ("upload", 200, upload),
        ("liveness", 100, liveness),
        ("identify", 200, identify),
    ];
    let mut service = Service::start();
    println!("sync of 4 KiB on this disk: {}", service.sync);
    for (name, rounds, section) in sections {
        if named.is_empty() || named.iter().any(|asked| *asked == name) {
            section(&mut service, if small { 2 } else { rounds });
        }
    }
}

/// A service on a socket, and a client on a connection that stays open.
struct Service {
    state: AppState,
    faces: Arc<FacePipeline>,
    detector: Arc<LivenessDetector>,
    wire: BufReader<TcpStream>,
    id: String,
    basic: String,
    sync: Times,
    _runtime: Runtime,
    _directory: tempfile::TempDir,
}

/// Durations, sorted.
struct Times(Vec<Duration>);

impl Service {
    fn start() -> Service {
        let directory = tempfile::tempdir().unwrap();
        let sync = sync_times(directory.path());
        let store = Arc::new(Store::open(directory.path()).unwrap());
        let key = ServerKey::random(&mut rand::rng());
        let faces = Arc::new(FacePipeline::new(&options()).unwrap());
        let detector = Arc::new(LivenessDetector::new(1).unwrap());
        let settings = ServiceOptions {
            workers: 1,
            ..ServiceOptions::new("http://localhost")
        };
        let engine = Arc::new(Engine::new(store, Pool::Here));
        let state = AppState::new(
            engine,
            faces.clone(),
            detector.clone(),
            &key,
            settings,
            Clock::System,
        );
        let (app, secret) = state
            .apps()
            .create(
                "Benchmark",
                "bws".parse().unwrap(),
                None,
                Clock::System.now(),
                &mut rand::rng(),
            )
            .unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nodelay(true).unwrap();
        runtime.spawn(serve(listener, state.clone(), std::future::pending()));
        let pair = format!("{}:{}", app.id, secret.expose());
        Service {
            state,
            faces,
            detector,
            wire: BufReader::new(stream),
            id: app.id.to_string(),
            basic: format!("Basic {}", BASE64_STANDARD.encode(pair)),
            sync,
            _runtime: runtime,
            _directory: directory,
        }
    }

    /// Sends a request and reads its answer, which must be 200. Returns the body and how long that took.
    fn ask(
        &mut self,
        method: &str,
        path: &str,
        authorization: &str,
        body: &[u8],
    ) -> (String, Duration) {
        let head = format!(
            "{method} /extension/{path} HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: {authorization}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        let started = Instant::now();
        self.wire.get_mut().write_all(&request).unwrap();
        let mut line = String::new();
        self.wire.read_line(&mut line).unwrap();
        let status = line.clone();
        let mut length = 0;
        while line != "\r\n" {
            line.clear();
            self.wire.read_line(&mut line).unwrap();
            if let Some(found) = line.strip_prefix("content-length: ") {
                length = found.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        self.wire.read_exact(&mut answer).unwrap();
        let took = started.elapsed();
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status, "HTTP/1.1 200 OK\r\n", "{answer}");
        (answer, took)
    }

    fn token(&mut self, query: &str) -> (String, Duration) {
        let path = format!("token?id={}&{query}", self.id);
        let basic = self.basic.clone();
        self.ask("GET", &path, &basic, b"")
    }

    fn upload(&mut self, token: &str, picture: &str) -> Duration {
        let bearer = format!("Bearer {token}");
        let (answer, took) = self.ask("POST", "upload", &bearer, picture.as_bytes());
        assert!(answer.starts_with(r#"{"Accepted":true"#), "{answer}");
        took
    }

    fn task(&mut self, token: &str, task: &str) -> (String, Duration) {
        self.ask("GET", task, &format!("Bearer {token}"), b"")
    }
}

fn token(service: &mut Service, rounds: usize) {
    let times = Times::of(rounds, || service.token("bcid=bws.1.1&task=identify").1);
    println!("token: {times}");
}

fn upload(service: &mut Service, rounds: usize) {
    let jpeg = portrait("obama-portrait");
    let canvas = image::load_from_memory(&jpeg).unwrap();
    let canvas = canvas.resize_to_fill(360, 480, FilterType::Triangle);
    let mut png = Cursor::new(Vec::new());
    DynamicImage::ImageRgba8(canvas.to_rgba8())
        .write_to(&mut png, ImageFormat::Png)
        .unwrap();
    for (name, kind, bytes) in [
        ("JPEG, 720 x 900", "image/jpeg", jpeg),
        ("PNG of a canvas, 360 x 480", "image/png", png.into_inner()),
    ] {
        let picture = data_url(kind, &bytes);
        let (mut alone, mut idle) = (Vec::new(), Vec::new());
        let mut token = String::new();
        let mut round = 0;
        // In turns, so that all see the same machine.
        let times = Times::of(rounds, || {
            let started = Instant::now();
            let decoded = service.faces.decode(&bytes).unwrap();
            let face = service.faces.only_face_in(&decoded).unwrap();
            FaceView::new(&decoded, &face);
            alone.push(started.elapsed());
            idle.push(counted());
            if round % 32 == 0 {
                token = service.token("bcid=bws.1.1&task=enroll").0;
            }
            round += 1;
            service.upload(&token, &picture)
        });
        println!("upload: {name}: {times}");
        println!("  decoding and networks alone: {}", Times::new(alone));
        println!("  the machine, counting: {}", Times::new(idle));
    }
}

/// How long this processor takes to count for some 45 ms. On an unloaded machine it is
/// always the same: a tail here is of other programs, or of other machines that share the processor.
fn counted() -> Duration {
    let started = Instant::now();
    let mut sum = 0_u64;
    for number in 0..180_000_000_u64 {
        sum = black_box(sum.wrapping_add(number));
    }
    started.elapsed()
}

fn liveness(service: &mut Service, rounds: usize) {
    let pictures = ["obama-portrait", "obama-white-house"].map(portrait);
    let faces = service.faces.clone();
    let detector = service.detector.clone();
    let mut observed = Vec::new();
    let mut decided = Vec::new();
    let times = Times::of(rounds, || {
        let seen = pictures.each_ref().map(|picture| {
            let decoded = faces.decode(picture).unwrap();
            let face = faces.only_face_in(&decoded).unwrap();
            (decoded, face)
        });
        let started = Instant::now();
        let observations = seen
            .each_ref()
            .map(|(picture, face)| detector.observe(&FaceView::new(picture, face)).unwrap());
        observed.push(started.elapsed());
        let started = Instant::now();
        assert!(active(&observations.each_ref(), &Thresholds::default()).live);
        decided.push(started.elapsed());

        let (token, _) = service.token("task=livenessdetection");
        for picture in &pictures {
            service.upload(&token, &data_url("image/jpeg", picture));
        }
        let (answer, took) = service.task(&token, "livenessdetection");
        assert_eq!(answer, r#"{"Success":true}"#);
        took
    });
    println!("liveness: the task call: {times}");
    println!("  what it added to two uploads: {}", Times::new(observed));
    println!("  the decision alone: {}", Times::new(decided));
}

fn identify(service: &mut Service, rounds: usize) {
    let encoder = service.faces.profile().encoder().clone();
    let mut random = StdRng::seed_from_u64(1);
    let engine = service.state.engine().clone();
    for class in 0..PEOPLE {
        let values: Vec<f32> = (0..encoder.dimension())
            .map(|_| random.random_range(-1.0..1.0))
            .collect();
        let template = NewTemplate {
            embedding: Embedding::new(values).unwrap(),
            quality: 1.0,
            portrait: None,
        };
        let mut bcid: Bcid = "bws.2.0".parse().unwrap();
        bcid.class = ClassId(i64::try_from(class).unwrap());
        engine
            .enroll(&bcid, &encoder, &[template], Clock::System.now())
            .unwrap();
    }
    let picture = portrait("obama-portrait");
    let face = service.faces.only_face(&picture).unwrap();
    let partition = "bws.2".parse().unwrap();
    let gallery = engine.gallery(&partition, &encoder).unwrap().unwrap();
    let options = IdentifyOptions {
        limit: 20,
        threshold: None,
    };
    let mut alone = Vec::new();
    let mut over = Vec::new();
    let times = Times::of(rounds, || {
        let (token, _) = service.token("bcid=bws.2.0&task=identify&livedetection=false");
        service.upload(&token, &data_url("image/jpeg", &picture));
        let started = Instant::now();
        let found = gallery.identify(&[&face.embedding], &options);
        let engine_alone = started.elapsed();
        assert_eq!(found.unwrap().matches.len(), 20);
        let (answer, took) = service.task(&token, "identify");
        assert_eq!(answer.matches("ClassID").count(), 20);
        alone.push(engine_alone);
        over.push(took.saturating_sub(engine_alone));
        took
    });
    println!("identify: one of {PEOPLE}: {times}");
    println!("  the engine alone: {}", Times::new(alone));
    println!("  beyond it: {}", Times::new(over));
}

impl Times {
    fn new(mut times: Vec<Duration>) -> Times {
        times.sort_unstable();
        Times(times)
    }

    /// Of so many rounds, after a few that do not count.
    fn of(rounds: usize, mut round: impl FnMut() -> Duration) -> Times {
        for _ in 0..rounds.min(5) {
            round();
        }
        Times::new((0..rounds).map(|_| round()).collect())
    }

    /// In milliseconds, at or below which this share lies.
    fn at(&self, share: f64) -> f64 {
        let place = (share * self.0.len() as f64).ceil() as usize;
        self.0[place.saturating_sub(1)].as_secs_f64() * 1e3
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [least, half, most] = [0.0, 0.5, 0.99].map(|share| self.at(share));
        write!(
            f,
            "at least {least:.3}, median {half:.3}, 99th percentile {most:.3} ms"
        )
    }
}

/// The built-in runtime, or ONNX Runtime from the library that `VULTUS_ONNXRUNTIME` names.
fn options() -> PipelineOptions {
    PipelineOptions {
        detector: face::Runtime::with(std::env::var_os("VULTUS_ONNXRUNTIME")),
        ..PipelineOptions::default()
    }
}

/// How long one page takes to be written and synced.
fn sync_times(directory: &Path) -> Times {
    let file = File::create(directory.join("sync")).unwrap();
    file.set_len(1 << 20).unwrap();
    file.sync_all().unwrap();
    Times::of(100, || {
        let started = Instant::now();
        file.write_all_at(&[1; 4096], 0).unwrap();
        file.sync_data().unwrap();
        started.elapsed()
    })
}

fn portrait(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/faces");
    std::fs::read(folder.join(format!("{name}.jpg"))).unwrap()
}

fn data_url(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes))
}
