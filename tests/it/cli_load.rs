//! `vultus load`: what it counts, and what it says of a service that stalls.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::cli::{embeddings, face, failure, json_lines, random_rows, success, text, vultus};
use crate::harness::{Door, Native, Program, Registered, Who, axis};

/// A service with one person in a gallery of embeddings.
struct Loaded {
    _directory: tempfile::TempDir,
    program: Program,
}

impl Loaded {
    fn new() -> Loaded {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let program = Program::start(&data, &Registered::create(&data));
        program.enroll_embedding("bws.1", 17, &axis(3));
        Loaded {
            _directory: directory,
            program,
        }
    }

    /// Loads it for a moment, and returns the report.
    fn load(&self, more: &[&str]) -> Value {
        report(&self.try_load(more))
    }

    fn try_load(&self, more: &[&str]) -> Output {
        let (url, key) = (self.program.public_url(), self.program.key());
        let usual = ["load", &url, "--key", &key, "--encoder=test", "--dim=16"];
        let moment = ["--seconds=1", "--warm-up=0.2", "--json"];
        vultus(&[&usual[..], &moment, more].concat())
    }
}

fn report(output: &Output) -> Value {
    json_lines(&success(output)).remove(0)
}

/// What came of a call in one step, if anything did.
fn outcome<'a>(step: &'a Value, call: &str, outcome: &str) -> Option<&'a Value> {
    let mut all = step["outcomes"].as_array().unwrap().iter();
    all.find(|found| found["call"] == call && found["outcome"] == outcome)
}

fn count(step: &Value, call: &str, of: &str) -> u64 {
    outcome(step, call, of).map_or(0, |found| found["count"].as_u64().unwrap())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn a_rate_is_kept_and_every_call_is_counted() {
    let service = Loaded::new();
    let directory = tempfile::tempdir().unwrap();
    let plot = directory.path().join("load.svg");
    let paced = ["--partition=bws.1", "--rate=20,50..100/2"];
    let report = service.load(&[&paced[..], &["--plot", text(&plot)]].concat());
    let drawn = std::fs::read_to_string(&plot).unwrap();
    assert!(drawn.contains("<svg") && drawn.contains("identify, 99 %"));
    let steps = report["steps"].as_array().unwrap();
    let rates: Vec<f64> = steps.iter().map(|step| number(&step["rate"])).collect();
    assert_eq!(rates, [20.0, 50.0, 100.0]);
    for (step, rate) in steps.iter().zip(rates) {
        // Of one second, but for the place of the first.
        let due = step["due"].as_u64().unwrap();
        assert!((due as f64 - rate).abs() <= 1.0, "{step}");
        assert_eq!(count(step, "identify", "200"), due, "{step}");
        let times = &outcome(step, "identify", "200").unwrap()["latency_ms"];
        let names = ["p50", "p90", "p95", "p99", "p999", "max"];
        let times = names.map(|name| number(&times[name]));
        assert!(times[0] > 0.0 && times.is_sorted(), "{step}");
        assert!(
            (number(&step["answered_per_s"]) - rate).abs() < 0.2 * rate,
            "{step}"
        );
        assert_eq!(step["clients"], Value::Null);
    }
    assert_eq!(report["calls"], serde_json::json!({ "identify": 1.0 }));
}

#[test]
fn clients_ask_again_when_they_are_answered() {
    let service = Loaded::new();
    let directory = tempfile::tempdir().unwrap();
    let probes = directory.path().join("probes.npy");
    embeddings(&probes, &random_rows(7, 16, 1));
    let (url, key) = (service.program.public_url(), service.program.key());
    let report = report(&vultus(&[
        "load",
        &url,
        "--key",
        &key,
        "--partition=bws.1",
        "--encoder=test",
        "--embeddings",
        text(&probes),
        "--calls=identify=3,status=1",
        "--clients=1,3",
        "--seconds=1",
        "--warm-up=0",
        "--json",
    ]));
    for (step, clients) in report["steps"].as_array().unwrap().iter().zip([1, 3]) {
        assert_eq!(step["clients"], clients);
        let counts = ["identify", "status"].map(|call| count(step, call, "200"));
        assert_eq!(counts.iter().sum::<u64>(), step["due"].as_u64().unwrap());
        assert!(counts[0] > counts[1] && counts[1] > 0, "{step}");
        // Each has a connection, and that is kept.
        assert!(step["connections"].as_u64().unwrap() <= 3, "{step}");
    }
}

#[test]
fn the_whole_way_of_bws_is_one_call_of_three_parts() {
    let service = Loaded::new();
    let app = service.program.credentials(Who::Main);
    let app = format!("{}:{}", app.id, app.secret);
    let picture = face("obama-portrait.jpg");
    // The partition has embeddings of another encoder: another is empty, so that nobody is found.
    let by_app = ["--partition=bws.7", "--app", &app, "--clients=1"];
    let step = &service.load(&[&by_app[..], &["--calls=token"]].concat())["steps"][0];
    assert!(count(step, "token", "200") > 0, "{step}");
    let pictures = ["--picture", text(&picture), "--calls=bws"];
    let step = &service.load(&[&by_app[..], &pictures].concat())["steps"][0];
    let whole = count(step, "bws", "200");
    assert!(whole > 0, "{step}");
    for part in ["bws token", "bws upload", "bws identify"] {
        assert!(count(step, part, "200") >= whole, "{part}: {step}");
    }
    let median = |call: &str| number(&outcome(step, call, "200").unwrap()["latency_ms"]["p50"]);
    assert!(median("bws") >= median("bws upload"), "{step}");
}

/// A service of one connection that answers with these, in turn, each after so many milliseconds; 0
/// closes the connection instead.
fn stub(answers: &'static [(u16, u64)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut answers = answers.iter().cycle();
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            while read_request(&mut stream) {
                let (status, milliseconds) = *answers.next().unwrap();
                thread::sleep(Duration::from_millis(milliseconds));
                if status == 0 {
                    break;
                }
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\n{{}}");
                if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    address
}

fn read_request(stream: &mut BufReader<TcpStream>) -> bool {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return false;
        }
        if line == "\r\n" {
            return stream.read_exact(&mut vec![0; length]).is_ok();
        }
        let lower = line.to_ascii_lowercase();
        if let Some(found) = lower.strip_prefix("content-length:") {
            length = found.trim().parse().unwrap();
        }
    }
}

fn load_stub(address: SocketAddr, more: &[&str]) -> Output {
    let url = format!("http://{address}");
    let usual = ["load", &url, "--key=vk_1", "--calls=status", "--json"];
    let moment = ["--seconds=2", "--warm-up=0", "--connections=1"];
    vultus(&[&usual[..], &moment, more].concat())
}

#[test]
fn calls_that_were_due_while_the_service_stalled_are_as_late_as_they_were() {
    // The first is that which is tried before anything is measured; the next one stalls.
    const ANSWERS: &[(u16, u64)] = &{
        let mut answers = [(200, 0); 4096];
        answers[1] = (200, 1000);
        answers
    };
    let report = report(&load_stub(stub(ANSWERS), &["--rate=50"]));
    let step = &report["steps"][0];
    let found = outcome(step, "status", "200").unwrap();
    assert_eq!(found["count"], 100, "{step}");
    // Fifty were due within the second, the last of them just before its end; whoever counted from when
    // they were sent would see one late one.
    let times = &found["latency_ms"];
    assert!(number(&times["p50"]) < 400.0, "{step}");
    assert!(number(&times["p90"]) > 600.0, "{step}");
    assert!((950.0..1500.0).contains(&number(&times["max"])), "{step}");
}

#[test]
fn every_end_of_a_call_has_a_name() {
    const ANSWERS: &[(u16, u64)] = &[(200, 0), (503, 0), (429, 0), (500, 0), (404, 0), (0, 0)];
    let report = report(&load_stub(stub(ANSWERS), &["--rate=100"]));
    let step = &report["steps"][0];
    let counts = ["200", "503", "429", "other", "broken"].map(|of| count(step, "status", of));
    assert_eq!(counts.iter().sum::<u64>(), step["due"].as_u64().unwrap());
    for (count, expected) in counts.into_iter().zip([33, 33, 33, 66, 33]) {
        assert!(count.abs_diff(expected) <= 2, "{counts:?}");
    }
    let details = &outcome(step, "status", "other").unwrap()["details"];
    assert!(details["404"].as_u64() > Some(0) && details["500"].as_u64() > Some(0));
    let broken = &outcome(step, "status", "broken").unwrap()["details"];
    assert_eq!(broken["closed"].as_u64(), Some(counts[4]), "{broken}");

    // One that takes longer than anybody waits.
    const SLOW: &[(u16, u64)] = &[(200, 0), (200, 30_000)];
    let output = load_stub(stub(SLOW), &["--rate=10", "--timeout=0.5"]);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    let step = &json_lines(&printed)[0]["steps"][0];
    let broken = &outcome(step, "status", "broken").unwrap()["details"];
    assert_eq!(broken["timed out"].as_u64(), Some(20), "{step}");
}

#[test]
fn what_cannot_be_asked_is_refused_by_name() {
    let service = Loaded::new();
    let url = service.program.public_url();
    let key = service.program.key();
    for (arguments, expected) in [
        (&["--rate=10"][..], "--key is needed"),
        (&["--rate=10", "--key=vk_1"], "--encoder is needed"),
        (
            &["--rate=10", "--key=vk_1", "--encoder=test"],
            "--partition is needed",
        ),
        (
            &["--rate=10", "--calls=token", "--partition=bws.1"],
            "--app is needed",
        ),
        (
            &["--rate=10", "--calls=bws", "--partition=bws.1", "--app=1:x"],
            "--picture is needed",
        ),
        (
            &["--rate=10", "--calls=token", "--partition=bws.1", "--app=x"],
            "ID:SECRET",
        ),
        (
            &["--rate=10", "--calls=status,status", "--key=vk_1"],
            "names `status` twice",
        ),
        (
            &["--rate=10", "--calls=status", "--key=a\u{7}b"],
            "has a sign that no header has",
        ),
        (
            &["--rate=10", "--calls=status", "--key=vk_1"],
            "`status` was answered 401",
        ),
        (
            &[
                "--rate=10",
                "--calls=identify",
                "--key",
                &key,
                "--encoder=test",
                "--partition=bws.9",
            ],
            "`identify` was answered 404",
        ),
        (
            &[
                "--rate=10",
                "--calls=picture",
                "--key=vk_1",
                "--partition=bws.1",
                "--picture=/nowhere",
            ],
            "/nowhere",
        ),
    ] {
        let said = failure(&vultus(&[&["load", &url], arguments].concat()));
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(!said.contains("vk_1"), "{said}");
    }
    for (arguments, expected) in [
        (&["load"][..], "--rate"),
        (&["load", "--rate=1", "--clients=1"], "--clients"),
        (&["load", "--rate=0"], "above 0"),
        (&["load", "--clients=0"], "from 1"),
        (
            &["load", "--rate=1", "--calls=nothing"],
            "identify, picture",
        ),
        (&["load", "--rate=1", "--seconds=0"], "seconds"),
        (&["load", "ftp://x", "--rate=1"], "http://"),
    ] {
        let said = failure(&vultus(arguments));
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    // Nobody listens there.
    let unused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let said = failure(&load_stub(unused, &["--rate=1"]));
    assert!(said.contains("no connection could be made"), "{said}");
}
