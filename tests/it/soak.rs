//! The real program under a mixed load for minutes, with every answer compared with what it must
//! be, killed and started again meanwhile.
//!
//! `SOAK_SECONDS` says for how long (120), `SOAK_KILL_SECONDS` after how long it is
//! killed each time (60; 0 for never).

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Value, json};
use vultus::partition::verify_archive;

use crate::cli::{embeddings, success, text, vultus};
use crate::harness::{Answer, Call, Door, Program, Registered, Who, pictures};

/// Numbers of an embedding: two of different people are never as alike as [`THRESHOLD`].
const DIMENSION: usize = 32;
const THRESHOLD: f64 = 0.95;
const GALLERY: &str = "partitions/soak.1";
const WRITERS: usize = 3;
const READERS: usize = 3;
/// People who come and go, more than a segment of them together with their templates.
const CLASSES: usize = 6_000;
/// Enrolled before, in a segment.
const IMPORTED: usize = 4_000;

/// What is known of a class. Only the writer that owns it changes it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Out,
    /// Enrolled with the templates of this turn.
    In(u64),
    /// Somebody asked for a change, and was not told what became of it: before it or after it.
    Either(Option<u64>, Option<u64>),
}

/// All classes, each with how often what is known of it has changed.
struct Model(Vec<Mutex<(Known, u64)>>);

impl Model {
    fn get(&self, class: usize) -> (Known, u64) {
        *self.0[class].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, class: usize, known: Known) {
        let mut place = self.0[class].lock().unwrap_or_else(PoisonError::into_inner);
        *place = (known, place.1 + 1);
    }
}

/// The templates of a class in one of its turns. They are alike, and each is found by itself.
fn templates(class: usize, turn: u64) -> Vec<Vec<f32>> {
    let mut random = StdRng::seed_from_u64((class as u64) << 32 | turn);
    let first: Vec<f32> = (0..DIMENSION)
        .map(|_| random.random_range(-1.0..1.0))
        .collect();
    let count = if turn == 0 {
        1
    } else {
        1 + (class + turn as usize) % 8
    };
    (0..count)
        .map(|number| {
            let mut values = first.clone();
            values[number] += if number == 0 { 0.0 } else { 0.3 };
            values
        })
        .collect()
}

/// One service after another, and what all clients share.
struct Soak<'a> {
    data: &'a Path,
    model: &'a Model,
    server: &'a Program,
    /// Set just before the process is killed: from then on it may fail to answer.
    is_going: AtomicBool,
    stop: AtomicBool,
    answers: &'a Counts,
}

#[derive(Debug, Default)]
struct Counts {
    identified: AtomicUsize,
    changed: AtomicUsize,
    pictures: AtomicUsize,
    snapshots: AtomicUsize,
    refused: AtomicUsize,
}

fn add(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Soak<'_> {
    /// Sends a call; `None` if it was refused for want of room, or the process is being killed.
    /// Whether it was done is then unknown only in the second case.
    fn ask(&self, call: &Call) -> Result<Option<Answer>, Gone> {
        match self.server.try_send(call) {
            Ok(answer) if is_refusal(&answer) => {
                add(&self.answers.refused);
                thread::sleep(Duration::from_millis(20));
                Ok(None)
            }
            Ok(answer) => Ok(Some(answer)),
            Err(error) => self.gone(&error),
        }
    }

    fn gone<T>(&self, error: &io::Error) -> Result<T, Gone> {
        // The flag is set before the signal is sent.
        assert!(
            self.is_going.load(Ordering::SeqCst),
            "no answer from a service that was not killed: {error}"
        );
        Err(Gone)
    }

    fn native(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Option<Answer>, Gone> {
        let call = Call::new(method, format!("/v1/{path}")).by_bearer(&self.server.key());
        self.ask(&match body {
            Some(body) => call.with(body),
            None => call,
        })
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Enrols, replaces and deletes the classes of one writer.
    fn write(&self, writer: usize, mut random: StdRng) -> Result<(), Gone> {
        let mut turn = random.next_u64() >> 33 | 1;
        while !self.is_over() {
            let class = random.random_range(0..CLASSES / WRITERS) * WRITERS + writer;
            let (known, _) = self.model.get(class);
            let before = match known {
                Known::In(turn) => Some(turn),
                Known::Out => None,
                Known::Either(..) => panic!("class {class} was not looked at after a kill"),
            };
            // More people are there than not.
            let wanted = (before.is_none() || random.random_bool(0.4)).then(|| {
                turn += 2;
                turn
            });
            self.model.set(class, Known::Either(before, wanted));
            let path = format!("{GALLERY}/classes/{class}");
            let done = match wanted {
                Some(turn) => {
                    let body = json!({
                        "embeddings": templates(class, turn), "encoder": "soak", "replace": true,
                    });
                    self.native("POST", &format!("{path}/enroll"), Some(body))?
                }
                None => self.native("DELETE", &path, None)?,
            };
            let Some(answer) = done else {
                // A refusal says that nothing was done.
                self.model.set(class, known);
                continue;
            };
            let told = answer.json();
            match wanted {
                Some(turn) => {
                    assert_eq!(
                        told["templates"],
                        templates(class, turn).len(),
                        "{class}: {told}"
                    );
                    assert_eq!(told["added"], told["templates"], "{class}: {told}");
                }
                None => assert_eq!(told["was_enrolled"], before.is_some(), "{class}: {told}"),
            }
            self.model.set(class, wanted.map_or(Known::Out, Known::In));
            add(&self.answers.changed);
        }
        Ok(())
    }

    /// Asks for people who are there and for people who are not.
    fn read(&self, mut random: StdRng) -> Result<(), Gone> {
        while !self.is_over() {
            let class = random.random_range(0..CLASSES);
            let (known, changes) = self.model.get(class);
            let turns = match known {
                Known::In(turn) => [Some(turn), None],
                Known::Either(before, after) => [before, after],
                Known::Out => [Some(0), None],
            };
            let turn = turns.into_iter().flatten().next().unwrap_or(0);
            let some = templates(class, turn);
            let probe = &some[random.random_range(0..some.len())];
            let body = json!({
                "embeddings": [probe], "encoder": "soak", "limit": 5, "threshold": THRESHOLD,
            });
            let Some(answer) = self.native("POST", &format!("{GALLERY}/identify"), Some(body))?
            else {
                continue;
            };
            let told = answer.json();
            let matches = told["matches"].as_array().unwrap();
            let is_found = match &matches[..] {
                [] => false,
                [one] => {
                    assert_eq!(one["class"], class.to_string(), "{told}");
                    true
                }
                _ => panic!("{class} is found with others: {told}"),
            };
            if is_found && turns.contains(&Some(turn)) && known != Known::Out {
                assert_eq!(
                    matches[0]["similarity"], 1.0,
                    "{class} in turn {turn}: {told}"
                );
            }
            // Whoever was changed meanwhile may be found or not.
            if self.model.get(class) == (known, changes) {
                match known {
                    Known::In(_) => assert!(is_found, "{class} is enrolled: {told}"),
                    Known::Out => assert!(!is_found, "{class} is not enrolled: {told}"),
                    Known::Either(..) => {}
                }
            }
            add(&self.answers.identified);
        }
        Ok(())
    }

    /// Uploads pictures of two people, through both doors.
    fn show(&self) -> Result<(), Gone> {
        let [obama, again, biden] = ["obama-portrait", "obama-white-house", "biden-portrait"]
            .map(|name| pictures::base64(&pictures::file(name)));
        let app = self.server.credentials(Who::Main);
        while !self.is_over() {
            let query = "bcid=bws.1.44&task=enroll&livedetection=false";
            let token = Call::new("GET", format!("token?id={}&{query}", app.id)).by_app(&app);
            let Some(token) = self.ask(&token)? else {
                continue;
            };
            assert_eq!(token.status, 200, "{}", token.body);
            let upload = Call::new("POST", "upload").by_bearer(&token.body);
            let upload = upload.body(format!("data:image/jpeg;base64,{obama}"));
            let Some(uploaded) = self.ask(&upload)? else {
                continue;
            };
            assert_eq!(uploaded.status, 200, "{}", uploaded.body);
            let enroll = Call::new("GET", "enroll").by_bearer(&token.body);
            let Some(enrolled) = self.ask(&enroll)? else {
                continue;
            };
            assert_eq!(enrolled.json()["Success"], true, "{}", enrolled.body);
            for (picture, found) in [(&again, json!("44")), (&biden, Value::Null)] {
                let body = json!({ "pictures": [picture] });
                let asked = self.native("POST", "partitions/bws.1/identify", Some(body))?;
                let Some(answer) = asked else { continue };
                assert_eq!(
                    answer.json()["matches"][0]["class"],
                    found,
                    "{}",
                    answer.body
                );
                add(&self.answers.pictures);
            }
            thread::sleep(Duration::from_secs(1));
        }
        Ok(())
    }

    /// Makes snapshots, and keeps the last.
    fn copy(&self) -> Result<(), Gone> {
        let directory = self.data.with_file_name("snapshots");
        while !self.is_over() {
            let Some(made) = self.native("POST", "snapshots", None)? else {
                continue;
            };
            assert_eq!(made.status, 201, "{}", made.body);
            let path = directory.join(made.json()["name"].as_str().unwrap());
            verify_archive(&path, &mut |_, _| {}).unwrap();
            std::fs::remove_file(path).unwrap();
            add(&self.answers.snapshots);
            for _ in 0..50 {
                if self.is_over() {
                    break;
                }
                thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }
}

/// The process was killed.
struct Gone;

/// Whether there was no room for a call, which was not begun.
fn is_refusal(answer: &Answer) -> bool {
    matches!(answer.status, 429 | 503) || answer.body.contains("ExecutionOfJobTimedOut")
}

/// Looks at everybody while nobody changes anything. What was acknowledged is there; of what was not,
/// it is learned what became of it.
fn compare(server: &Program, model: &Model, context: &str) {
    let mut listed = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/{GALLERY}/classes?limit=1000{cursor}");
        let page = server
            .send(Call::new("GET", path).by_bearer(&server.key()))
            .json();
        for one in page["classes"].as_array().unwrap() {
            listed.insert(one["class"].as_str().unwrap().parse::<usize>().unwrap());
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    for class in 0..CLASSES {
        let is_there = listed.contains(&class);
        let found = |turn: u64| is_found(server, class, turn);
        match model.get(class).0 {
            Known::Out => assert!(!is_there, "{context}: {class} was deleted"),
            Known::In(turn) => {
                assert!(is_there, "{context}: {class} was enrolled");
                // All would take minutes.
                if class % 29 == 0 {
                    assert!(
                        found(turn),
                        "{context}: {class} was enrolled in turn {turn}"
                    );
                }
            }
            Known::Either(before, after) => {
                let mut possible = [before, after].into_iter();
                let now = possible.find(|one| match one {
                    None => !is_there,
                    Some(turn) => is_there && found(*turn),
                });
                let now = now.unwrap_or_else(|| {
                    panic!("{context}: {class} is neither as before nor as asked for")
                });
                model.set(class, now.map_or(Known::Out, Known::In));
            }
        }
    }
}

/// Whether all templates of a turn of a class are there.
fn is_found(server: &Program, class: usize, turn: u64) -> bool {
    templates(class, turn).iter().all(|probe| {
        let body = json!({
            "embeddings": [probe], "encoder": "soak", "limit": 1, "threshold": THRESHOLD,
        });
        let call = Call::new("POST", format!("/v1/{GALLERY}/identify"));
        let told = server.send(call.by_bearer(&server.key()).with(body)).json();
        let best = &told["matches"][0];
        best["class"].as_str() == Some(&*class.to_string()) && best["similarity"] == 1.0
    })
}

/// Memory of a process that no file stands behind, in bytes.
fn memory_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes << 10)
}

/// Fails if memory grows: the last third has no more than the one before it, but for a sixth and what
/// an allocator may need once more.
fn assert_flat(samples: &[u64]) {
    let third = samples.len() / 3;
    if third < 20 {
        return;
    }
    let mean = |some: &[u64]| some.iter().sum::<u64>() / some.len() as u64;
    let (middle, last) = (
        mean(&samples[third..2 * third]),
        mean(&samples[2 * third..]),
    );
    println!("memory: {} MB, then {} MB", middle >> 20, last >> 20);
    assert!(
        last <= middle + middle / 6 + (24 << 20),
        "memory grows: {} MB, then {} MB",
        middle >> 20,
        last >> 20
    );
}

fn seconds(name: &str, default: u64) -> Duration {
    let chosen = std::env::var(name).ok();
    let seconds = chosen.map_or(default, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// A data directory with people in a segment.
fn import(data: &Path) {
    let rows: Vec<Vec<f32>> = (0..IMPORTED)
        .map(|class| templates(class, 0).remove(0))
        .collect();
    let path = data.with_file_name("rows.npy");
    let classes = data.with_file_name("classes.npy");
    embeddings(&path, &rows);
    let numbers: Vec<u8> = (0..IMPORTED as i64).flat_map(i64::to_le_bytes).collect();
    crate::cli::npy(&classes, "<i8", &format!("({IMPORTED},)"), &numbers);
    success(&vultus(&[
        "gallery",
        "import",
        "--partition",
        "soak.1",
        "--encoder",
        "soak",
        "--classes",
        text(&classes),
        "--data-dir",
        text(data),
        text(&path),
    ]));
}

#[test]
#[ignore = "takes minutes; CI runs it by name"]
fn soak() {
    let (length, until_kill) = (
        seconds("SOAK_SECONDS", 120),
        seconds("SOAK_KILL_SECONDS", 60),
    );
    let chosen = std::env::var("VULTUS_SEED").ok();
    let seed = chosen.map_or_else(|| rand::rng().next_u64(), |text| text.parse().unwrap());
    println!("VULTUS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(directory.path().join("snapshots")).unwrap();
    import(&data);
    let registered = Registered::create(&data);
    let of_class = |class| {
        Mutex::new((
            if class < IMPORTED {
                Known::In(0)
            } else {
                Known::Out
            },
            0,
        ))
    };
    let model = Model((0..CLASSES).map(of_class).collect());
    let (answers, end) = (Counts::default(), Instant::now() + length);
    let mut lives = 0;
    while Instant::now() < end {
        let snapshots = directory.path().join("snapshots");
        let flags = ["--snapshot-dir", text(&snapshots)];
        let server = Program::start_with(&data, &registered, &flags, Stdio::null());
        lives += 1;
        compare(
            &server,
            &model,
            &format!("VULTUS_SEED={seed}, life {lives}"),
        );
        let this_life = match until_kill.as_secs() {
            0 => end,
            _ => end.min(Instant::now() + until_kill),
        };
        let soak = Soak {
            data: &data,
            model: &model,
            server: &server,
            is_going: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            answers: &answers,
        };
        let samples = live(&soak, this_life, &mut random);
        assert_flat(&samples);
        println!("life {lives}: {answers:?}");
    }
    let server = Program::start(&data, &registered);
    compare(&server, &model, &format!("VULTUS_SEED={seed}, at the end"));
    drop(server);
    success(&vultus(&["gallery", "verify", "--data-dir", text(&data)]));
    for count in [
        &answers.identified,
        &answers.changed,
        &answers.pictures,
        &answers.snapshots,
    ] {
        assert!(count.load(Ordering::Relaxed) > 0, "{answers:?}");
    }
}

/// Lets all clients work until a moment, and kills the service while they do. Returns what memory it
/// had, twice a second.
fn live(soak: &Soak<'_>, until: Instant, random: &mut StdRng) -> Vec<u64> {
    let mut samples = Vec::new();
    thread::scope(|scope| {
        let mut clients = Vec::new();
        for writer in 0..WRITERS {
            let random = StdRng::seed_from_u64(random.next_u64());
            clients.push(scope.spawn(move || soak.write(writer, random).is_ok()));
        }
        for _ in 0..READERS {
            let random = StdRng::seed_from_u64(random.next_u64());
            clients.push(scope.spawn(move || soak.read(random).is_ok()));
        }
        clients.push(scope.spawn(|| soak.show().is_ok()));
        clients.push(scope.spawn(|| soak.copy().is_ok()));
        // One that ends before it is told to has found something wrong.
        while Instant::now() < until && !clients.iter().any(|client| client.is_finished()) {
            samples.extend(memory_bytes(soak.server.process()));
            thread::sleep(Duration::from_millis(500));
        }
        soak.is_going.store(true, Ordering::SeqCst);
        soak.server.kill();
        soak.stop.store(true, Ordering::Relaxed);
    });
    samples
}
