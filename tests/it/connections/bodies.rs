//! Bodies that are announced, begun, sent slowly or broken off.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use vultus::access::{Reach, Scope};

use super::client::{Client, Live, STATUS, post, until};
use crate::harness::{Bws, Door, Who, pictures};

const SECOND: Duration = Duration::from_secs(1);
const PATH: &str = "/v1/partitions/bws.1/identify";

/// A question of so many bytes, about a partition that does not exist.
fn question(bytes: usize) -> String {
    let body = r#"{"embeddings":[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]],"encoder":"a"}"#;
    format!("{body}{}", " ".repeat(bytes - body.len()))
}

/// The header with a new key.
fn bearer(live: &Live) -> String {
    let (_, key) = live.service.make_key(&Scope::ALL, Reach::Everything);
    format!("Bearer {key}")
}

fn ask(live: &Live, bearer: &str, bytes: usize) -> u16 {
    let mut client = live.connect();
    client.send(post(PATH, bearer, bytes));
    // Whoever is refused need not be read to the end.
    let _refused = client.try_send(question(bytes));
    client.read().status
}

/// Bodies of which this much is sent and the rest is not.
fn begun(live: &Live, bearer: &str, count: usize, announced: usize, sent: usize) -> Vec<Client> {
    let begin = |_| {
        let mut client = live.connect();
        client.send(post(PATH, bearer, announced));
        client.send(&question(announced.min(1 << 20))[..sent]);
        client
    };
    (0..count).map(begin).collect()
}

#[test]
fn promises_take_no_room() {
    let live = Live::with(|_| {});
    let (main, picture) = (live.service.token("bcid=bws.1.1"), pictures::obama());
    let promising = format!("Bearer {}", live.service.token("bcid=bws.1.2"));
    let mut crowd = Vec::new();
    for length in [vec![20 << 20; 51], vec![4_092 << 10], vec![1 << 10; 4]].concat() {
        let mut client = live.connect();
        client.send(post("/extension/upload", &promising, length));
        client.send("d");
        crowd.push(client);
    }
    sleep(SECOND / 2);
    // The same token, another, and a key.
    for bearer in [&promising, &format!("Bearer {main}")] {
        let mut client = live.connect();
        client.send(post("/extension/upload", bearer, picture.len()));
        client.ask(picture).is(200);
    }
    assert_eq!(ask(&live, &bearer(&live), 1 << 20), 404);
    assert!(crowd.iter_mut().all(Client::is_open));
}

#[test]
fn one_sender_leaves_room_for_others_and_gets_it_back() {
    let live = Live::with(|options| options.body_bytes_total_max = 4_000_000);
    let (greedy, other) = (bearer(&live), bearer(&live));
    let crowd = begun(&live, &greedy, 20, 400_000, 100_000);
    sleep(SECOND);
    assert_eq!(ask(&live, &greedy, 600_000), 503);
    assert_eq!(ask(&live, &other, 600_000), 404);
    // Where it has no more than others, it is served like them.
    drop(crowd);
    until(|| ask(&live, &greedy, 600_000) == 404);
}

#[test]
fn the_tokens_of_one_app_leave_room_for_others_however_many_they_are() {
    let live = Live::with(|options| options.body_bytes_total_max = 4_000_000);
    let picture = pictures::obama();
    let upload = |token: &str, bytes: usize| {
        let mut client = live.connect();
        client.send(post("/extension/upload", &format!("Bearer {token}"), bytes));
        client
    };
    let mut crowd = Vec::new();
    for number in 0..40 {
        let token = live.service.token(&format!("bcid=bws.1.{number}"));
        let mut client = upload(&token, 400_000);
        client.try_send("x".repeat(200_000));
        crowd.push(client);
    }
    sleep(SECOND);
    // Some were refused; what the others hold is half of all, and not more.
    assert_eq!(ask(&live, &bearer(&live), 600_000), 404);
    let twin = live.service.credentials(Who::Twin).id;
    let query = format!("token?id={twin}&bcid=bws.1.1&livedetection=false");
    let other = live.service.ask_as(Who::Twin, "GET", &query).body;
    upload(&other, picture.len()).ask(picture).is(200);
    drop(crowd);
    let token = live.service.token("bcid=bws.1.1");
    until(|| {
        let mut client = upload(&token, picture.len());
        client.try_send(picture) && client.try_read().is_some_and(|seen| seen.status == 200)
    });
}

#[test]
fn a_body_that_is_too_slow_is_408_and_one_that_pauses_is_not() {
    let live = Live::with(|options| {
        options.body_grace = SECOND;
        options.body_bytes_per_second_min = 1_000;
    });
    let bearer = bearer(&live);
    let send = |bytes: usize, piece: usize, pause: Duration| {
        let (body, mut client) = (question(bytes), live.connect());
        client.send(post(PATH, &bearer, bytes));
        let begin = Instant::now();
        for piece in body.as_bytes().chunks(piece) {
            if !client.try_send(piece) || begin.elapsed() > 20 * SECOND {
                break;
            }
            sleep(pause);
            if !client.is_waiting() {
                break;
            }
        }
        (client.read(), begin.elapsed())
    };
    let (seen, waited) = send(10_000, 1, SECOND / 10);
    assert!(seen.is(408).closes(), "{waited:?}");
    assert!(waited < 8 * SECOND, "{waited:?}");
    // Nothing at all.
    let mut client = live.connect();
    let begin = Instant::now();
    assert!(client.ask(post(PATH, &bearer, 100)).is(408).closes());
    assert!(begin.elapsed() < 8 * SECOND);
    let body = String::from_utf8(client.until_closed().1).unwrap();
    assert!(body.is_empty(), "{body}");
    // In time: slowly, and with pauses.
    send(5_000, 500, SECOND / 10).0.is(404);
    send(300, 100, SECOND / 2).0.is(404);
}

#[test]
fn room_is_given_back_in_every_way_out() {
    let live = Live::with(|options| {
        options.body_bytes_total_max = 800_000;
        options.body_bytes_max = 400_000;
        options.body_wait = SECOND;
        options.body_grace = SECOND / 2;
    });
    let bearer = bearer(&live);
    let whole = || assert_eq!(ask(&live, &bearer, 390_000), 404);
    whole();
    for _ in 0..5 {
        // Broken off, half closed, given up by the service.
        drop(begun(&live, &bearer, 2, 300_000, 40_000));
        for mut client in begun(&live, &bearer, 2, 300_000, 40_000) {
            client.shut();
            client.read().is(400);
        }
    }
    for mut client in begun(&live, &bearer, 2, 300_000, 40_000) {
        client.read().is(408);
    }
    for _ in 0..5 {
        // Too large in chunks, no JSON, no gzip, too large when unpacked.
        let chunk = format!("{:x}\r\n{}\r\n", 300_000, " ".repeat(300_000));
        let chunked =
            post(PATH, &bearer, 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
        let mut client = live.connect();
        client.send(&chunked);
        let _refused = client.try_send(chunk.repeat(2));
        client.read().is(413);
        let mut client = live.connect();
        client.send(post(PATH, &bearer, 200_000));
        client.ask(" ".repeat(200_000)).is(400);
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        bomb.write_all(&vec![b' '; 10_000_000]).unwrap();
        let bomb = bomb.finish().unwrap();
        for (packed, status) in [(&bomb[..], 413), (&bomb[..200], 400)] {
            let head = post(PATH, &bearer, packed.len());
            let mut client = live.connect();
            client.send(head.replacen("Host", "Content-Encoding: gzip\r\nHost", 1));
            client.send(packed);
            client.read().is(status);
        }
    }
    until(|| ask(&live, &bearer, 390_000) == 404);
    whole();
}

#[test]
fn a_body_that_is_announced_too_large_is_refused_before_it_comes() {
    let live = Live::with(|_| {});
    let bearer = bearer(&live);
    for bytes in [(20 << 20) + 1, usize::MAX >> 2] {
        let mut client = live.connect();
        let begin = Instant::now();
        assert!(client.ask(post(PATH, &bearer, bytes)).is(413).closes());
        assert!(begin.elapsed() < 5 * SECOND);
    }
}

/// As nginx does, which lets through a little more than the service takes.
#[test]
fn who_sends_all_of_a_body_that_is_too_large_reads_that_it_is() {
    let live = Live::with(|_| {});
    let bearer = bearer(&live);
    for bytes in [(20 << 20) + 1, 21 << 20, 40 << 20] {
        let mut client = live.connect();
        client.send(post(PATH, &bearer, bytes));
        assert!(client.try_send(vec![b' '; bytes]), "closed after a part");
        // Until the connection is closed, if it is with something unread.
        sleep(Duration::from_millis(300));
        client.read().is(413);
    }
}

#[test]
fn chunks_and_trailers_are_a_body_like_any() {
    let live = Live::with(|_| {});
    let bearer = bearer(&live);
    let head = post(PATH, &bearer, 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let body = question(200);
    for trailers in ["", "A: b\r\nContent-Length: 7\r\n"] {
        for size in [1, 7, 200] {
            let mut request = head.clone();
            for chunk in body.as_bytes().chunks(size) {
                let text = str::from_utf8(chunk).unwrap();
                request += &format!("{:X};name=\"value\"\r\n{text}\r\n", chunk.len());
            }
            request += &format!("0\r\n{trailers}\r\n");
            let mut client = live.connect();
            client.ask(&request).is(404);
            client.ask(STATUS).is(401);
            // Byte by byte, and the next request with the last byte.
            for byte in request.bytes() {
                client.send([byte]);
            }
            client.send(STATUS);
            client.read().is(404);
            client.read().is(401);
        }
    }
    for broken in ["x", "5\r\nabcdefg", "-1\r\n", "10000000000000000\r\n"] {
        let mut client = live.connect();
        client.send(format!("{head}{broken}\r\n\r\n{STATUS}"));
        client.read().is(400);
        assert!(client.try_read().is_none(), "{broken}");
    }
}
