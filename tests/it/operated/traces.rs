//! Traces, as a collector gets them that is a socket of this test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::page::Page;
use crate::harness::{Call, Door, Native, Program, Registered, pictures};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
/// So long that no random number and no time of a span has it within by chance.
const CLASS: &str = "4711000081500004242";
/// However slow the machine is, it does not take longer.
const LONG: Duration = Duration::from_secs(120);

/// A collector that takes everything, and hands the bodies over.
fn collector() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (told, bodies) = channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let told = told.clone();
            let mut connection = BufReader::new(connection.unwrap());
            thread::spawn(move || {
                while let Some(body) = export(&mut connection) {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
                    connection.get_mut().write_all(answer).unwrap();
                    if told.send(body).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, bodies)
}

/// The body of the next request, of which the head is looked at.
fn export(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut line, mut length, mut head) = (String::new(), 0, String::new());
    while line != "\r\n" {
        line.clear();
        if connection.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        head += &line.to_ascii_lowercase();
        if let Some(found) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = found.trim().parse().unwrap();
        }
    }
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/json\r\n"),
        "{head}"
    );
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    Some(String::from_utf8(body).unwrap())
}

fn spans(body: &str) -> Vec<Value> {
    let told: Value = serde_json::from_str(body).unwrap();
    let spans = &told["resourceSpans"][0]["scopeSpans"][0]["spans"];
    spans.as_array().unwrap().clone()
}

fn started(flags: &[&str]) -> (Program, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let all = [&["--metrics-listen", "127.0.0.1:0"], flags].concat();
    (
        Program::start_with(&data, &registered, &all, Stdio::null()),
        directory,
    )
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let mut all = span["attributes"].as_array().unwrap().iter();
    let found = all.find(|one| one["key"] == key);
    found.map_or(&Value::Null, |one| &one["value"])
}

#[test]
fn a_request_is_a_span_of_its_callers_trace_with_its_steps_and_nothing_else() {
    let (address, bodies) = collector();
    let (program, _directory) = started(&["--otlp-endpoint", &address]);
    let picture = json!({ "pictures": [pictures::obama()], "name": "Ada Lovelace" });
    let enroll = format!("partitions/people.7/classes/{CLASS}/enroll");
    assert_eq!(program.post(&enroll, picture).status, 200);
    let body = json!({ "pictures": [pictures::obama()] }).to_string();
    let identify = Call::new("POST", "/v1/partitions/people.7/identify")
        .by_bearer(&program.key())
        .header("Content-Type", "application/json")
        .header("X-Request-Id", "this-one")
        .header("traceparent", format!("00-{TRACE}-{SPAN}-01"))
        .body(body);
    assert_eq!(program.send(identify).status, 200);
    // One that its caller does not keep, and one of which the route is not known.
    let unkept = Call::new("GET", "/v1/partitions/people.8").by_bearer(&program.key());
    program.send(unkept.header("traceparent", format!("00-{TRACE}-{SPAN}-00")));
    program.send(Call::new("GET", "/nowhere/Ada"));
    let mut found: Vec<Value> = Vec::new();
    while !found.iter().any(|span| span["name"] == "GET none") {
        let body = bodies.recv_timeout(LONG).unwrap();
        for secret in [
            "Ada",
            CLASS,
            "people.7",
            "people.8",
            "nowhere",
            "base64",
            &program.key(),
        ] {
            assert!(!body.contains(secret), "{secret}: {body}");
        }
        found.extend(spans(&body));
    }
    let of_route = |name: &str| found.iter().filter(|span| span["name"] == name).count();
    assert_eq!(of_route("GET /v1/partitions/{partition}"), 0);
    assert_eq!(
        of_route("POST /v1/partitions/{partition}/classes/{class}/enroll"),
        1
    );
    let whole = |span: &&Value| span["name"] == "POST /v1/partitions/{partition}/identify";
    let whole = found.iter().find(whole).unwrap();
    assert_eq!(
        (&whole["traceId"], &whole["parentSpanId"]),
        (&json!(TRACE), &json!(SPAN))
    );
    assert_eq!(
        attribute(whole, "vultus.request_id")["stringValue"],
        "this-one"
    );
    assert_eq!(
        attribute(whole, "http.response.status_code")["intValue"],
        "200"
    );
    let time = |span: &Value, key: &str| -> u128 { span[key].as_str().unwrap().parse().unwrap() };
    let mut steps = std::collections::BTreeSet::new();
    for step in found
        .iter()
        .filter(|span| span["parentSpanId"] == whole["spanId"])
    {
        assert_eq!(step["traceId"], TRACE);
        assert!(time(step, "startTimeUnixNano") >= time(whole, "startTimeUnixNano"));
        assert!(time(step, "endTimeUnixNano") <= time(whole, "endTimeUnixNano"));
        steps.insert(step["name"].as_str().unwrap().to_owned());
    }
    let expected = ["decode", "detect", "embed", "search", "wait"];
    assert_eq!(steps, expected.map(str::to_owned).into());
}

#[test]
fn a_collector_that_is_gone_or_never_answers_holds_nobody_up() {
    // Nobody listens there any more; and somebody who does not even read.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone_address = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_address = format!("http://{}", silent.local_addr().unwrap());
    for address in [gone_address, silent_address] {
        let (program, _directory) = started(&["--otlp-endpoint", &address]);
        let dropped = || {
            let answer = program.send_to_metrics(&Call::new("GET", "/metrics"));
            Page::read(&answer.body).number("vultus_trace_spans_dropped_total")
        };
        while dropped() == 0.0 {
            assert_eq!(program.get("status").status, 200);
        }
        assert_eq!(program.terminate(), Some(0));
    }
}

#[test]
fn an_address_that_is_none_is_refused() {
    for address in ["https://127.0.0.1:4318", "http://name:word@host", "4318"] {
        let refused = crate::cli::vultus(&["serve", "--otlp-endpoint", address]);
        let said = crate::cli::failure(&refused);
        assert!(said.contains("http://127.0.0.1:4318"), "{said}");
    }
}
