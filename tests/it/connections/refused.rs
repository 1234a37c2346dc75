//! What never becomes a request is refused in the words and with the headers of all other refusals.

use std::time::Duration;

use serde_json::Value;

use super::client::{Live, STATUS, Seen, post, until};
use super::process::Process;

/// Fails unless it is a refusal like all others, of this status, that closes the connection.
#[track_caller]
fn check(seen: &Seen, status: u16) {
    assert!(seen.is(status).closes(), "{}", seen.head);
    for header in [
        "x-request-id: ",
        "date: ",
        "cache-control: no-store",
        "access-control-allow-origin: *",
    ] {
        let line = format!("\r\n{header}");
        assert!(seen.head.contains(&line), "{header}: {}", seen.head);
    }
    for header in ["content-length", "connection", "x-request-id", "date"] {
        let line = format!("\r\n{header}: ");
        assert_eq!(seen.head.matches(&line).count(), 1, "{}", seen.head);
    }
}

/// Also that it is one of the door for BWS.
#[track_caller]
fn is_classic(seen: &Seen, status: u16) {
    check(seen, status);
    let kind = "\r\ncontent-type: application/json; charset=utf-8\r\n";
    assert!(seen.head.contains(kind), "{}", seen.head);
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert!(body["Message"].as_str().is_some_and(|text| text.len() > 10));
    assert_eq!(body.as_object().unwrap().len(), 1);
}

/// Also that it is one of the native door.
#[track_caller]
fn is_native(seen: &Seen, status: u16, code: &str) {
    check(seen, status);
    let kind = "\r\ncontent-type: application/problem+json\r\n";
    assert!(seen.head.contains(kind), "{}", seen.head);
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(body["code"], code);
    assert_eq!(body["status"], status);
}

#[test]
fn a_head_that_is_too_slow_is_refused_like_all_else() {
    let live = Live::with(|options| {
        options.connections.header_wait = Duration::from_millis(300);
    });
    let late = |beginning: &str| live.connect().ask(beginning);
    is_classic(&late("GET /extension/status HTTP/1.1\r\nHost: x\r\n"), 408);
    is_classic(&late("P"), 408);
    is_classic(&late("\r\nGET /v2/x HTTP/1.1\r\n"), 408);
    is_native(&late("POST /v1/partitions/bws.1/iden"), 408, "head_timeout");
    is_native(
        &late("GET /v1 HTTP/1.1\r\nHost: x\r\nA: b"),
        408,
        "head_timeout",
    );
    // What was said is heard: the id, and the format that is wanted.
    let seen = late(
        "GET /extension/status HTTP/1.1\r\nX-Request-Id: mine-1\r\nAccept: application/xml\r\nA",
    );
    check(&seen, 408);
    assert!(
        seen.head.contains("\r\nx-request-id: mine-1\r\n"),
        "{}",
        seen.head
    );
    assert!(
        seen.head.contains("\r\ncontent-type: application/xml"),
        "{}",
        seen.head
    );
    assert!(seen.body.starts_with(b"<?xml"));
    // A later head of a connection, and one that is asked for by HEAD.
    let mut client = live.connect();
    client.ask(STATUS).is(401);
    is_native(
        &client.ask("GET /v1/status HTTP/1.1\r\n"),
        408,
        "head_timeout",
    );
    let mut client = live.connect();
    client.send("HEAD /v1/status HTTP/1.1\r\n");
    let (_, bytes) = client.until_closed();
    assert!(bytes.starts_with(b"HTTP/1.1 408 ") && bytes.ends_with(b"\r\n\r\n"));
}

#[test]
fn a_head_that_cannot_be_read_is_refused_like_all_else() {
    let live = Live::with(|_| {});
    let ask = |request: String| live.connect().ask(request);
    for broken in [
        "GET /extension/status HTTP/1.1\r\nHost x\r\n\r\n",
        "GET /extension/status\u{7f} HTTP/1.1\r\nHost: x\r\n\r\n",
        "G\u{e4}T / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/3.7\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "hello\r\n\r\n",
    ] {
        is_classic(&ask(broken.to_owned()), 400);
    }
    let native = |rest: &str| {
        ask(format!(
            "POST /v1/partitions/bws.1/identify HTTP/1.1\r\n{rest}"
        ))
    };
    is_native(&native("Host x\r\n\r\n"), 400, "invalid_parameter");
    is_native(
        &native("Host: x\r\nContent-Length: x\r\n\r\n"),
        400,
        "invalid_parameter",
    );
    let many = "A: b\r\n".repeat(200);
    is_native(
        &native(&format!("Host: x\r\n{many}\r\n")),
        431,
        "head_too_large",
    );
    let long = "a".repeat(100_000);
    is_native(
        &ask(format!("GET /v1/{long} HTTP/1.1\r\nHost: x\r\n\r\n")),
        414,
        "address_too_long",
    );
    is_classic(
        &ask(format!("GET /extension/{long} HTTP/1.1\r\nHost: x\r\n\r\n")),
        414,
    );
    // Behind one that was answered, and what comes behind it is not.
    let mut client = live.connect();
    client.send(format!("{STATUS}GET / HTTP/1.1\r\nHost x\r\n\r\n{STATUS}"));
    client.read().is(401);
    is_classic(&client.read(), 400);
    assert!(client.try_read().is_none());
}

#[test]
fn a_body_that_is_packed_on_the_way_is_refused() {
    let live = Live::with(|_| {});
    for (codings, status) in [
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
        ("transfer-encoding:deflate,GZIP,Chunked", 501),
        ("Transfer-Encoding: identity, chunked", 501),
        ("Transfer-Encoding: chunked, chunked", 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
        ),
        ("Transfer-Encoding: chunked, gzip", 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            400,
        ),
        ("Transfer-Encoding: identity", 400),
        ("Transfer-Encoding: gzip", 400),
        ("Transfer-Encoding:", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
        ("Transfer-Encoding: gzip, chunked\r\nContent-Length: 5", 400),
    ] {
        let ask = |path: &str| {
            let mut client = live.connect();
            let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{codings}\r\n\r\n");
            let seen = client.ask(format!("{head}5\r\nabcde\r\n0\r\n\r\n{STATUS}"));
            // Nothing behind it is taken for a request.
            let (_, more) = client.until_closed();
            assert!(more.is_empty(), "{codings}: {more:?}");
            seen
        };
        is_classic(&ask("/extension/upload"), status);
        let code = if status == 501 {
            "not_implemented"
        } else {
            "invalid_parameter"
        };
        is_native(&ask("/v1/partitions/bws.1/identify"), status, code);
    }
    // HTTP/1.0 knows of none.
    for coding in ["chunked", "gzip, chunked"] {
        let request = format!("POST /x HTTP/1.0\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n");
        is_classic(&live.connect().ask(request), 400);
    }
    // One alone is what it is for.
    let chunks = "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: , Chunked\r\n\r\n0\r\n\r\n";
    assert!(!live.connect().ask(chunks).is(404).closes());
}

/// The real program, with as many uploads at hand as there may be connections.
#[test]
fn without_a_seat_a_client_is_refused_like_all_else() {
    let process = Process::start(&["--connections-per-address-max", "1"]);
    let key = format!("Bearer {}", process.key);
    let upload = || {
        let mut client = process.connect();
        client.try_send(post("/v1/partitions/bws.1/identify", &key, 900_000));
        client
    };
    let mut busy = upload();
    let mut seen = None;
    until(|| {
        // It sends all the time, so that it is not taken for a stalled one. If it was closed for being
        // idle before it had sent anything, another one takes its place.
        if !busy.try_send("x") {
            busy = upload();
        }
        let mut newcomer = process.connect();
        newcomer.try_send(STATUS);
        seen = newcomer.try_read().filter(|seen| seen.status == 503);
        seen.is_some()
    });
    let seen = seen.unwrap();
    check(&seen, 503);
    assert!(
        seen.head.contains("\r\nretry-after: 1\r\n"),
        "{}",
        seen.head
    );
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    // What it asks for may not have come when it is refused.
    assert!(
        body["code"] == "busy" || body["Message"].is_string(),
        "{body}"
    );
}
