//! How long a connection may take for what.

use std::io::Read;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::client::{Client, Live, STATUS, post, until};
use crate::harness::Door;

const SECOND: Duration = Duration::from_secs(1);

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn who_says_nothing_is_sent_away() {
    let live = Live::with(|options| options.connections.header_wait = milliseconds(300));
    for silence in ["", "\r\n", "\n\r\n"] {
        let mut client = live.connect();
        client.send(silence);
        let (waited, bytes) = client.until_closed();
        assert!(
            waited >= milliseconds(200) && waited < 10 * SECOND,
            "{waited:?}"
        );
        assert!(bytes.is_empty(), "{silence:?}");
    }
}

#[test]
fn a_head_that_comes_slowly_is_cut_off_and_one_that_comes_in_time_is_not() {
    let live = Live::with(|options| options.connections.header_wait = 2 * SECOND);
    let slow = |pause: Duration| {
        let mut client = live.connect();
        let begin = Instant::now();
        for byte in STATUS.bytes() {
            if !client.try_send([byte]) || begin.elapsed() > 20 * SECOND {
                break;
            }
            sleep(pause);
        }
        (client, begin)
    };
    // Some fifty bytes: one second of the two.
    let (mut client, _) = slow(milliseconds(20));
    client.read().is(401);
    // Every byte is as good as the one before it, and all together take too long.
    let (mut client, begin) = slow(milliseconds(500));
    let waited = begin.elapsed();
    assert!(waited >= 2 * SECOND && waited < 15 * SECOND, "{waited:?}");
    if let Some(seen) = client.try_read() {
        assert!(seen.is(408).closes());
    }
}

#[test]
fn the_head_of_a_later_request_has_the_same_time() {
    let live = Live::with(|options| {
        options.connections.header_wait = milliseconds(500);
        options.connections.idle_wait = 60 * SECOND;
    });
    let mut client = live.connect();
    for _ in 0..3 {
        client.ask(STATUS).is(401);
        sleep(milliseconds(700));
    }
    client.send("GET /v1/st");
    let (waited, bytes) = client.until_closed();
    assert!(waited < 10 * SECOND, "{waited:?}");
    assert!(bytes.starts_with(b"HTTP/1.1 408 "), "{bytes:?}");
    // Also when it lay behind another one.
    let mut client = live.connect();
    client.ask(format!("{STATUS}GET /v1/st")).is(401);
    let (waited, bytes) = client.until_closed();
    assert!(waited < 10 * SECOND, "{waited:?}");
    assert!(bytes.starts_with(b"HTTP/1.1 408 "), "{bytes:?}");
}

#[test]
fn an_idle_connection_is_kept_for_a_while_and_then_closed() {
    let live = Live::with(|options| {
        options.connections.header_wait = 60 * SECOND;
        options.connections.idle_wait = SECOND;
    });
    let mut client = live.connect();
    for _ in 0..4 {
        client.ask(STATUS).is(401);
        sleep(milliseconds(500));
    }
    let (waited, bytes) = client.until_closed();
    assert!(waited < 10 * SECOND && bytes.is_empty(), "{waited:?}");
}

/// Requests whose answers fill all buffers on the way.
fn greedy(client: &mut Client, key: &str) {
    let request = format!("GET /openapi.json HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n");
    client.0.set_nonblocking(true).unwrap();
    let all = request.repeat(500);
    let _taken = std::io::Write::write(&mut client.0, all.as_bytes());
    client.0.set_nonblocking(false).unwrap();
}

#[test]
fn who_does_not_read_is_cut_off_and_who_reads_slowly_is_not() {
    let live = Live::with(|options| options.connections.write_wait = 2 * SECOND);
    let mut unread = live.connect();
    greedy(&mut unread, "");
    let mut slow = live.connect();
    greedy(&mut slow, "");
    let (begin, mut read) = (Instant::now(), 0);
    let mut piece = vec![0; 100 << 10];
    while begin.elapsed() < 5 * SECOND {
        let bytes = slow.0.read(&mut piece).unwrap();
        assert!(
            bytes > 0,
            "cut off after {read} bytes and {:?}",
            begin.elapsed()
        );
        read += bytes;
        sleep(milliseconds(50));
    }
    // What lay on the way arrives; then the connection is at its end.
    let (_, bytes) = unread.until_closed();
    let answer = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    assert!(bytes.len() < 450 * answer.max(100_000), "{}", bytes.len());
    live.connect().ask(STATUS).is(401);
}

#[test]
fn work_has_all_the_time_it_needs() {
    let live = Live::with(|options| {
        options.connections.header_wait = milliseconds(200);
        options.connections.idle_wait = milliseconds(200);
        options.connections.write_wait = milliseconds(200);
    });
    let key = live.service.key();
    let body = r#"{"embeddings":[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]],"encoder":"a"}"#;
    let mut client = live.connect();
    let path = "/v1/partitions/bws.1/identify";
    client.send(post(path, &format!("Bearer {key}"), body.len()));
    // A body has a time of its own.
    for byte in body.bytes() {
        client.send([byte]);
        sleep(milliseconds(10));
    }
    client.read().is(404);
    until(|| !client.is_open());
}

#[test]
fn addresses_of_ipv6_are_served_alike() {
    let live = Live::on("[::1]:0", |options| {
        options.connections.header_wait = milliseconds(300);
    });
    assert!(live.address.is_ipv6());
    let mut client = live.connect();
    let host = format!("GET /v1/status HTTP/1.1\r\nHost: {}\r\n\r\n", live.address);
    client.ask(host).is(401);
    let (waited, _) = live.connect().until_closed();
    assert!(waited < 10 * SECOND, "{waited:?}");
}
