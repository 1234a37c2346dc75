//! What is refused before anybody asks what it wants, and connections that nobody loses a call on.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::client::{Client, Live, STATUS, post};
use crate::harness::{Bws, pictures};

fn live() -> Live {
    Live::with(|_| {})
}

#[test]
fn two_lengths_of_one_body_are_refused() {
    let live = live();
    for (path, says) in [
        ("/v1/partitions/bws.1/identify", "invalid_parameter"),
        ("/extension/upload", "Message"),
    ] {
        for lengths in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "TRANSFER-ENCODING: chunked\r\nX: y\r\ncontent-length: 5\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\nContent-Length: 5\r\n",
            "Content-Length:\t5\r\nTransfer-Encoding:chunked\r\n",
        ] {
            let mut client = live.connect();
            // The body as chunks is empty, and what is behind it would be another request.
            let request =
                format!("POST {path} HTTP/1.1\r\nHost: x\r\n{lengths}\r\n0\r\n\r\n{STATUS}");
            let seen = client.ask(request);
            assert!(seen.is(400).closes(), "{lengths:?}: {}", seen.head);
            let body = String::from_utf8(seen.body).unwrap();
            assert!(
                body.contains(says) && body.contains("Transfer-Encoding"),
                "{body}"
            );
            let (_, bytes) = client.until_closed();
            assert!(bytes.is_empty(), "{lengths:?}: {bytes:?}");
        }
    }
    // Also on a connection that was used before, behind a body in chunks, and behind another
    // request.
    let twice = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let chunks = "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;a=b\r\n\r\n0\r\n\r\n0\r\nTrailer: Content-Length\r\n\r\n";
    let mut client = live.connect();
    client.send(format!("{STATUS}{chunks}{twice}{STATUS}"));
    client.read().is(401);
    client.read().is(404);
    assert!(client.read().is(400).closes());
    assert!(client.try_read().is_none());
    // One of them alone is fine.
    let mut client = live.connect();
    client.ask(chunks).is(404);
    client
        .ask("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        .is(404);
}

#[test]
fn one_host_is_needed() {
    let live = live();
    for (hosts, status) in [
        ("", 400),
        ("Host: a\r\nHost: a\r\n", 400),
        ("Host:\r\n", 400),
        ("Host: a b\r\n", 400),
        ("Host: a/b\r\n", 400),
        ("Host: user@a\r\n", 400),
        ("Host: a:b\r\n", 400),
        ("Host: [::1\r\n", 400),
        ("Host: a\r\n", 401),
        ("host:a:8040\r\n", 401),
        ("Host: [::1]:8040\r\n", 401),
        ("Host: my_service\r\n", 401),
    ] {
        for path in ["/v1/status", "/extension/status"] {
            let mut client = live.connect();
            let seen = client.ask(format!("GET {path} HTTP/1.1\r\n{hosts}\r\n"));
            seen.is(status);
            if status == 400 {
                let body = String::from_utf8(seen.body).unwrap();
                assert!(body.contains("`Host`"), "{body}");
            }
        }
    }
    let mut client = live.connect();
    client.ask("GET /v1/status HTTP/1.0\r\n\r\n").is(401);
}

/// A head whose body is refused before it was read.
fn refused(length: usize) -> String {
    post("/v1/partitions/bws.1/identify", "Bearer nobody", length)
}

#[test]
fn a_call_behind_a_refused_one_is_never_lost() {
    let live = live();
    let token = live.service.token("bcid=bws.1.1");
    let bearer = format!("Bearer {token}");
    let unreadable = post("/extension/upload?tag=none", &bearer, 4_000);
    for (head, status) in [(refused(4_000), 401), (unreadable, 400)] {
        let mut client = live.connect();
        // At once, in two parts, and before the answer.
        for wait in [0, 50] {
            client.send(&head);
            sleep(Duration::from_millis(wait));
            client.send(vec![b'x'; 4_000]);
            assert!(!client.read().is(status).closes());
            client.ask(STATUS).is(401);
        }
        client.send(format!("{head}{}{STATUS}", "x".repeat(4_000)));
        client.read().is(status);
        client.read().is(401);
    }
    // In chunks.
    let mut client = live.connect();
    let head = "POST /v1/partitions/bws.1/identify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(format!("{head}5\r\nabcde\r\n0\r\n\r\n{STATUS}"));
    client.read().is(401);
    client.read().is(401);
}

#[test]
fn a_long_body_that_nobody_wants_is_not_waited_for_and_the_client_is_told() {
    let live = live();
    for body in [0, 1, 100_000] {
        let mut client = live.connect();
        client.send(refused(10_000_000));
        client.send(vec![b'x'; body]);
        let begin = Instant::now();
        assert!(client.read().is(401).closes());
        assert!(begin.elapsed() < Duration::from_millis(900));
    }
    // A client that reads only when it has sent everything gets its answer, too.
    let mut client = live.connect();
    client.send(refused(3_000_000));
    client.send(vec![b'x'; 3_000_000]);
    sleep(Duration::from_millis(300));
    assert!(client.read().is(401).closes());
    // A short one that does not come is not waited for long.
    let mut client = live.connect();
    client.send(refused(1_000));
    client.send("x");
    let begin = Instant::now();
    assert!(client.read().is(401).closes());
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn who_asks_whether_to_go_on_is_told_so_or_refused() {
    let live = live();
    let expecting = |head: String| head.replacen("Host: x", "Host: x\r\nExpect: 100-continue", 1);
    let mut client = live.connect();
    let seen = client.ask(expecting(refused(10)));
    // Without a word to go on: then the body never comes.
    assert!(seen.is(401).closes(), "{}", seen.head);
    let (token, picture) = (live.service.token("bcid=bws.1.1"), pictures::obama());
    let bearer = format!("Bearer {token}");
    let mut client = live.connect();
    client
        .ask(expecting(post("/extension/upload", &bearer, picture.len())))
        .is(100);
    client.ask(picture).is(200);
    client.ask(STATUS).is(401);
}

#[test]
fn a_request_is_answered_when_the_client_has_closed_its_side() {
    let live = live();
    let token = live.service.token("bcid=bws.1.1");
    let picture = pictures::obama();
    let upload = post(
        "/extension/upload",
        &format!("Bearer {token}"),
        picture.len(),
    );
    for (request, status) in [
        (STATUS.to_owned(), 401),
        (STATUS.replace("1.1", "1.0"), 401),
        (format!("{upload}{picture}"), 200),
    ] {
        let mut client = live.connect();
        client.send(request);
        client.shut();
        let mut seen = client.read();
        if seen.status == 100 {
            // An answer that is none yet, which clients pass over.
            seen = client.read();
        }
        seen.is(status);
        assert!(client.try_read().is_none());
    }
    // All that were sent before are answered.
    let mut client = live.connect();
    client.send(STATUS.repeat(200));
    client.shut();
    for _ in 0..200 {
        client.read().is(401);
    }
    assert!(client.try_read().is_none());
    // Half a request is none.
    for part in [
        "GET /v1/sta",
        "",
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
    ] {
        let mut client = live.connect();
        client.send(part);
        client.shut();
        let (waited, _) = client.until_closed();
        assert!(waited < Duration::from_secs(8), "{part:?}: {waited:?}");
    }
}

#[test]
fn a_client_that_has_left_costs_nothing() {
    let live = live();
    let token = live.service.token("bcid=bws.1.1&task=enroll");
    let picture = pictures::obama();
    let upload = post(
        "/extension/upload",
        &format!("Bearer {token}"),
        picture.len(),
    );
    let send = |count: usize| -> Vec<Client> {
        let begin = |_| {
            let mut client = live.connect();
            client.send(format!("{upload}{picture}"));
            client
        };
        (0..count).map(begin).collect()
    };
    // Enough to be busy with while the others leave, some with a reset and some without.
    let mut staying = send(10);
    let leaving = send(10);
    sleep(Duration::from_millis(20));
    for client in &leaving[..5] {
        set_socket_linger(&client.0, Some(Duration::ZERO)).unwrap();
    }
    drop(leaving);
    for client in &mut staying {
        client.read().is(200);
    }
    // What was not withdrawn would be kept by now, or soon. Some may have been begun before it was
    // seen that their client had left.
    sleep(Duration::from_secs(2));
    let kept = live.service.state.samples().len();
    assert!((10..14).contains(&kept), "{kept} of 20 were kept");
}

#[test]
fn another_protocol_is_not_taken_up_and_the_connection_goes_on() {
    let live = live();
    let mut client = live.connect();
    for offer in ["h2c", "websocket"] {
        let offer = format!("Host: x\r\nConnection: Upgrade\r\nUpgrade: {offer}");
        client.ask(STATUS.replace("Host: x", &offer)).is(401);
        client.ask(STATUS).is(401);
    }
    let mut client = live.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let (waited, _) = client.until_closed();
    assert!(waited < Duration::from_secs(8), "{waited:?}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let live = live();
    let mut client = live.connect();
    let mut all = String::new();
    for at in 0..100 {
        let path = if at % 3 == 0 {
            "/nothing"
        } else {
            "/v1/status"
        };
        all += &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    // HEAD has no body, whatever its length says.
    client.send(all);
    for at in 0..100 {
        client.read().is(if at % 3 == 0 { 404 } else { 401 });
    }
    client.send("HEAD /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut head = [0; 12];
    std::io::Read::read_exact(&mut client.0, &mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 401");
}
