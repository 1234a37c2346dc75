//! More connections than there may be.

use std::time::{Duration, Instant};

use std::net::TcpStream;

use vultus::web::raise_descriptor_limit;

use super::client::{Client, Live, STATUS, until};
use super::process::Process;
use crate::harness::Bws;

/// How long a normal client waits for its answer.
#[track_caller]
fn served(live: &Live) {
    let begin = Instant::now();
    live.connect().ask(STATUS).is(401);
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}

fn crowded(count_max: usize, per_address_max: Option<usize>) -> Live {
    Live::with(|options| {
        options.connections.count_max = Some(count_max);
        options.connections.per_address_max = per_address_max;
    })
}

#[test]
fn silent_connections_shut_nobody_out() {
    let live = crowded(20, Some(20));
    for sent in ["", "G", "POST /x HTTP/1.1\r\n"] {
        let mut crowd: Vec<Client> = (0..60)
            .map(|_| {
                let mut client = live.connect();
                client.send(sent);
                client
            })
            .collect();
        for _ in 0..5 {
            served(&live);
        }
        // The oldest went; there are no more than there may be.
        until(|| !crowd[0].is_open());
        let mut open = 0;
        until(|| {
            open = crowd
                .iter_mut()
                .map(|client| usize::from(client.is_open()))
                .sum();
            open <= 20
        });
    }
}

#[test]
fn the_longest_idle_makes_room() {
    let live = crowded(4, Some(4));
    let mut kept: Vec<Client> = (0..4)
        .map(|_| {
            let mut client = live.connect();
            client.ask(STATUS).is(401);
            std::thread::sleep(Duration::from_millis(20));
            client
        })
        .collect();
    kept[0].ask(STATUS).is(401);
    served(&live);
    until(|| !kept[1].is_open());
    kept[0].ask(STATUS).is(401);
    for client in &mut kept[2..] {
        client.ask(STATUS).is(401);
    }
}

#[test]
fn bodies_that_do_not_come_make_room_too() {
    let live = crowded(10, Some(10));
    let head =
        "POST /v1/partitions/bws.1/identify HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n";
    let token = live.service.token("bcid=bws.1.1");
    let upload = format!(
        "POST /extension/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 90000\r\n\r\ndata"
    );
    let mut crowd = Vec::new();
    for at in 0..10 {
        let mut client = live.connect();
        client.send(if at % 2 == 0 { &upload } else { head });
        crowd.push(client);
    }
    std::thread::sleep(Duration::from_millis(1_200));
    for _ in 0..3 {
        served(&live);
    }
}

#[test]
fn when_all_work_a_newcomer_is_told_to_come_again() {
    let live = crowded(20, Some(2));
    let token = live.service.token("bcid=bws.1.1");
    let upload = format!(
        "POST /extension/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 90000\r\n\r\n"
    );
    let mut working: Vec<Client> = (0..2)
        .map(|_| {
            let mut client = live.connect();
            client.send(&upload);
            client
        })
        .collect();
    // They send all the time, so that they are not taken for stalled ones.
    let begin = Instant::now();
    let mut refused = 0;
    while begin.elapsed() < Duration::from_secs(2) {
        for client in &mut working {
            client.send("x");
        }
        let mut newcomer = live.connect();
        if begin.elapsed() > Duration::from_millis(200) {
            let seen = newcomer.read();
            assert!(seen.is(503).closes() && seen.head.contains("\r\nretry-after: 1\r\n"));
            refused += 1;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(refused > 5);
    drop(working);
    until(|| {
        let mut client = live.connect();
        client.try_send(STATUS) && client.try_read().is_some_and(|seen| seen.status == 401)
    });
}

/// How long so many calls took, each on a connection of its own: half of them, and all but one of a
/// hundred.
fn calls(process: &Process, count: usize) -> [Duration; 2] {
    let mut taken: Vec<Duration> = (0..count)
        .map(|_| {
            let begin = Instant::now();
            process.connect().ask(STATUS).is(401);
            begin.elapsed()
        })
        .collect();
    taken.sort_unstable();
    [taken[count / 2], taken[count * 99 / 100]]
}

/// So many connections on which this was sent.
fn crowd(process: &Process, count: usize, sent: &str) -> Vec<TcpStream> {
    let connect = |_| {
        let mut client = process.connect();
        let _closed = client.try_send(sent);
        client.0
    };
    (0..count).map(connect).collect()
}

#[test]
fn more_silent_connections_than_there_are_descriptors_shut_nobody_out() {
    raise_descriptor_limit().unwrap();
    let process = Process::start_with_descriptors(1_024, &[]);
    process.says("connections_max=768");
    for sent in ["", "GET / HTT"] {
        let silent = crowd(&process, 1_200, sent);
        let [median, worst] = calls(&process, 100);
        assert!(worst < Duration::from_secs(2), "{median:?} {worst:?}");
        drop(silent);
    }
    assert!(
        !process.log().contains("cannot accept"),
        "{}",
        process.log()
    );
}

/// The limit is so low that the program needs more for itself than it sets aside.
#[test]
fn where_the_system_gives_no_more_descriptors_idle_connections_are_closed() {
    let process = Process::start_with_descriptors(44, &[]);
    let silent = crowd(&process, 60, "");
    process.says("cannot accept connections");
    let before = process.processor_seconds();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        process.connect().ask(STATUS).is(401);
        std::thread::sleep(Duration::from_millis(100));
    }
    let spent = process.processor_seconds() - before;
    assert!(spent < 1.0, "{spent} s of the processor in 2 s");
    drop(silent);
    calls(&process, 20);
}

/// Says what a client meets beside a crowd, and what the crowd costs.
#[test]
#[ignore = "needs 12,000 descriptors here and as many there"]
fn ten_thousand_idle_and_a_thousand_slow_connections_disturb_nobody() {
    let limit = raise_descriptor_limit().unwrap().now;
    assert!(limit.is_none_or(|limit| limit > 12_000), "{limit:?}");
    let process = Process::start(&[
        "--connections-per-address-max",
        "20000",
        "--idle-wait-seconds",
        "600",
        "--header-wait-seconds",
        "30",
    ]);
    let alone = (calls(&process, 500), process.memory_bytes());
    let mut idle: Vec<Client> = (0..10_000)
        .map(|_| {
            let mut client = process.connect();
            client.ask(STATUS).is(401);
            client
        })
        .collect();
    let mut slow: Vec<Client> = (0..1_000).map(|_| process.connect()).collect();
    for (at, byte) in STATUS.bytes().take(5).enumerate() {
        for client in &mut slow {
            client.send([byte]);
        }
        let beside = (calls(&process, 200), process.memory_bytes());
        println!("{at}: alone {alone:?}, beside them {beside:?}");
        assert!(beside.0[1] < Duration::from_millis(500), "{beside:?}");
    }
    assert!(idle.iter_mut().all(Client::is_open));
    let begin = Instant::now();
    until(|| slow.iter_mut().all(|client| !client.is_waiting()));
    println!("slow ones were cut off after another {:?}", begin.elapsed());
}
