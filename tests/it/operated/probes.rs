//! `/livez` and `/readyz` in every state.

use std::fs;
#[cfg(target_os = "linux")]
use std::io::{ErrorKind, Read, Write};
#[cfg(target_os = "linux")]
use std::net::TcpStream;
#[cfg(target_os = "linux")]
use std::process::{Command, Stdio};

use serde_json::{Value, json};

#[cfg(target_os = "linux")]
use crate::cli::text;
use crate::harness::{Answer, Call, Door, Native, Service, axis};

fn ready(service: &Service) -> Answer {
    service.send(Call::new("GET", "/readyz"))
}

/// The codes of what keeps a service from being ready.
#[track_caller]
fn reasons(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 503, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["status"], "not_ready");
    let reasons = body["reasons"].as_array().unwrap().iter();
    let code = |reason: &Value| reason["code"].as_str().unwrap().to_owned();
    reasons.map(code).collect()
}

/// The data directory names no file, and its galleries are nobody's business.
fn tells_nothing(answer: &Answer, service: &Service) {
    let path = service.directory().to_str().unwrap();
    assert!(!answer.body.contains(path) && !answer.body.contains("bws.1"));
}

#[test]
fn a_service_that_serves_is_alive_and_ready_for_everybody() {
    let service = Service::new();
    for (path, status) in [("/livez", "alive"), ("/readyz", "ready")] {
        let answer = service.send(Call::new("GET", path));
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({ "status": status }))
        );
        assert_eq!(answer.headers["cache-control"], "no-store");
        let head = service.send(Call::new("HEAD", path));
        assert_eq!((head.status, &*head.body), (200, ""));
        assert_eq!(
            head.headers["content-length"],
            answer.body.len().to_string()
        );
        let answer = service.send(Call::new("GET", format!("/{path}/")).by("Basic nonsense"));
        assert_eq!(
            answer.status, 200,
            "slashes and credentials make no difference"
        );
        let other = service.send(Call::new("POST", path));
        assert_eq!(other.status, 405, "{}", other.body);
    }
}

#[test]
fn a_damaged_gallery_is_a_reason_and_the_service_lives_on() {
    let service = Service::new();
    service.enroll_embedding("bws.1", 1, &axis(0));
    service.enroll_embedding("bws.2", 1, &axis(0));
    let id = "bws.1".parse().unwrap();
    let partition = service.store.partition(&id).unwrap().unwrap();
    partition.seal().unwrap();
    drop(partition);
    let segments = service.directory().join("data/segments/1");
    let segment = fs::read_dir(segments).unwrap().next().unwrap().unwrap();
    let mut bytes = fs::read(segment.path()).unwrap();
    for page in 1..=10 {
        bytes[page * 4_096] ^= 0xff;
    }
    fs::write(segment.path(), bytes).unwrap();
    let service = service.reopened();
    assert_eq!(ready(&service).status, 200, "nobody has met it yet");
    let answer = service.get("partitions/bws.1/classes");
    assert_eq!(answer.status, 500, "{}", answer.body);
    let answer = ready(&service);
    assert_eq!(reasons(&answer), ["gallery_damaged"]);
    tells_nothing(&answer, &service);
    assert_eq!(service.send(Call::new("GET", "/livez")).status, 200);
    assert_eq!(service.send(Call::new("HEAD", "/readyz")).status, 503);
    assert_eq!(service.get("partitions/bws.2/classes/1").status, 200);
}

#[test]
fn a_server_key_that_is_gone_damaged_or_another_is_a_reason_until_it_is_back() {
    let service = Service::new();
    let path = service.directory().join("data/server.key");
    let good = fs::read(&path).unwrap();
    let other = tempfile::tempdir().unwrap();
    vultus::access::ServerKey::open_or_create(other.path(), &mut rand::rng()).unwrap();
    let other = fs::read(other.path().join("server.key")).unwrap();
    for bad in [
        None,
        Some(Vec::new()),
        Some(b"no key".to_vec()),
        Some(other),
    ] {
        fs::remove_file(&path).unwrap();
        if let Some(bad) = &bad {
            fs::write(&path, bad).unwrap();
        }
        let answer = ready(&service);
        assert_eq!(reasons(&answer), ["server_key"], "{bad:?}");
        tells_nothing(&answer, &service);
        fs::write(&path, &good).unwrap();
        assert_eq!(ready(&service).status, 200);
    }
}

#[test]
fn a_data_directory_that_is_gone_or_another_is_a_reason() {
    let service = Service::new();
    let data = service.directory().join("data");
    let aside = service.directory().join("aside");
    fs::rename(&data, &aside).unwrap();
    assert_eq!(reasons(&ready(&service)), ["storage_gone", "server_key"]);
    fs::create_dir(&data).unwrap();
    assert_eq!(reasons(&ready(&service)), ["storage_gone", "server_key"]);
    fs::remove_dir(&data).unwrap();
    fs::rename(&aside, &data).unwrap();
    assert_eq!(ready(&service).status, 200);
    fs::remove_dir_all(&data).unwrap();
    let answer = ready(&service);
    assert_eq!(reasons(&answer), ["storage_gone", "server_key"]);
    tells_nothing(&answer, &service);
}

/// Before, nobody can connect; whoever then can is answered that it is ready.
#[cfg(target_os = "linux")]
#[test]
fn the_port_is_bound_when_the_service_is_ready_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    // Nobody else is given the port meanwhile: this process has it at another address.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("127.0.0.2:{}", held.local_addr().unwrap().port());
    let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(["serve", "--data-dir", text(&data), "--listen", &address])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stream = loop {
        assert_eq!(child.try_wait().unwrap(), None, "it has ended");
        match TcpStream::connect(&address) {
            Ok(stream) => break stream,
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        }
    };
    let request = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn many_probes_at_once_are_all_answered() {
    let service = Service::new();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| assert_eq!(ready(&service).status, 200));
        }
    });
}
