//! The real service is told to stop, to stop at once, and to read its settings again.

use std::io::Read;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::client::{Client, STATUS, post, until};
use super::process::Process;

const SECOND: Duration = Duration::from_secs(1);
const STOPS: [Signal; 2] = [Signal::TERM, Signal::INT];

/// An identification whose body is left for later: all of the request but its end.
fn open_question(process: &Process) -> (String, &'static str) {
    let body = r#"{"embeddings":[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]],"encoder":"a"}"#;
    let key = format!("Bearer {}", process.key);
    (
        post("/v1/partitions/bws.1/identify", &key, body.len()),
        body,
    )
}

#[test]
fn idle_connections_do_not_keep_the_service() {
    for signal in STOPS {
        let mut process = Process::start(&["--stop-wait-seconds", "20"]);
        let mut silent = process.connect();
        let mut kept = process.connect();
        kept.ask(STATUS).is(401);
        process.signal(signal);
        let (status, waited) = process.ended();
        assert_eq!(status.code(), Some(0));
        assert!(waited < 5 * SECOND, "{waited:?}: {}", process.log());
        assert!(silent.try_read().is_none() && kept.try_read().is_none());
        process.says("stopped");
    }
}

#[test]
fn what_is_not_done_in_time_is_ended() {
    let mut process = Process::start(&["--stop-wait-seconds", "2"]);
    let (head, body) = open_question(&process);
    // One byte of a head, half a head, a body of which nothing, one byte and nearly all came, and
    // answers that nobody reads.
    let sent = [
        "G".to_owned(),
        STATUS[..30].to_owned(),
        format!("{STATUS}GET /v1"),
        head.clone(),
        format!("{head}{}", &body[..1]),
        format!("{head}{}", &body[..body.len() - 1]),
    ];
    let mut clients: Vec<Client> = sent
        .iter()
        .map(|sent| {
            let mut client = process.connect();
            client.send(sent);
            client
        })
        .collect();
    let mut unread = process.connect();
    unread.0.set_nonblocking(true).unwrap();
    let all = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    let _taken = std::io::Write::write(&mut unread.0, all.as_bytes());
    sleep(Duration::from_millis(300));
    process.signal(Signal::TERM);
    let (status, waited) = process.ended();
    assert_eq!(status.code(), Some(0), "{}", process.log());
    let right = SECOND..6 * SECOND;
    assert!(right.contains(&waited), "{waited:?}: {}", process.log());
    clients[2].read().is(401);
    for client in &mut clients {
        assert!(client.try_read().is_none());
    }
}

#[test]
fn requests_at_hand_are_answered_before_the_end() {
    let mut process = Process::start(&["--stop-wait-seconds", "20"]);
    let (head, body) = open_question(&process);
    let mut body_under_way = process.connect();
    body_under_way.send(format!("{head}{}", &body[..9]));
    let mut head_under_way = process.connect();
    head_under_way.send(&STATUS[..30]);
    let mut later_head = process.connect();
    later_head.ask(format!("{STATUS}{}", &STATUS[..30])).is(401);
    sleep(Duration::from_millis(200));
    process.signal(Signal::TERM);
    process.says("stopping");
    sleep(Duration::from_millis(200));
    assert!(process.is_running());
    assert!(
        std::net::TcpStream::connect(process.address).is_err(),
        "still accepts"
    );
    body_under_way.send(&body[9..]);
    assert!(body_under_way.read().is(404).closes());
    for client in [&mut head_under_way, &mut later_head] {
        client.send(&STATUS[30..]);
        assert!(client.read().is(401).closes());
        assert!(client.try_read().is_none());
    }
    let (status, waited) = process.ended();
    assert_eq!(status.code(), Some(0));
    assert!(waited < 5 * SECOND, "{waited:?}");
}

#[test]
fn a_second_signal_ends_the_service_at_once() {
    for second in STOPS {
        let mut process = Process::start(&["--stop-wait-seconds", "60"]);
        let mut client = process.connect();
        client.send("G");
        sleep(Duration::from_millis(200));
        process.signal(Signal::TERM);
        process.says("stopping");
        sleep(Duration::from_millis(300));
        assert!(process.is_running());
        process.signal(second);
        let (status, waited) = process.ended();
        assert_eq!(status.code(), Some(1));
        assert!(waited < 2 * SECOND, "{waited:?}");
    }
}

#[test]
fn no_wait_at_all_is_possible() {
    let mut process = Process::start(&["--stop-wait-seconds", "0"]);
    process.connect().ask(STATUS).is(401);
    let mut client = process.connect();
    client.send("G");
    sleep(Duration::from_millis(200));
    process.signal(Signal::TERM);
    let (status, waited) = process.ended();
    assert_eq!(status.code(), Some(0));
    assert!(waited < 3 * SECOND, "{waited:?}");
}

#[test]
fn a_hangup_loses_nothing_and_reads_the_settings_again() {
    let settings = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(settings.path(), text).unwrap();
    write("queue-max = 9\nstop-wait-seconds = 3\ncors-origins = ['https://a.org']\n");
    let path = settings.path().to_str().unwrap();
    let mut process = Process::start(&["--config", path, "--stop-wait-seconds", "4"]);
    let (head, body) = open_question(&process);
    let mut clients: Vec<Client> = (1..9)
        .map(|sent| {
            let mut client = process.connect();
            client.send(format!("{head}{}", &body[..sent]));
            client
        })
        .collect();
    let mut kept = process.connect();
    kept.ask(STATUS).is(401);
    sleep(Duration::from_millis(100));

    process.signal(Signal::HUP);
    process.says("all others are as they were");
    process.says("read the key for tokens again");
    // What a flag gives is given by it still.
    write("# moved\n\ncors-origins = ['https://a.org']\nworkers = 3\nstop-wait-seconds = 7\n");
    process.signal(Signal::HUP);
    process.says("needs a restart");
    let log = process.log();
    assert!(log.contains("queue-max, workers"), "{log}");
    assert!(
        !log.contains("cors-origins") && !log.contains("stop-wait"),
        "{log}"
    );
    write("workers = 'many'\n");
    process.signal(Signal::HUP);
    process.says("`workers`");

    for (sent, client) in (1..9).zip(&mut clients) {
        client.ask(&body[sent..]).is(404);
    }
    kept.ask(STATUS).is(401);
    process.signal(Signal::TERM);
    let (status, _) = process.ended();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_hangup_changes_what_is_decided() {
    let settings = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(settings.path(), text).unwrap();
    write("verification-threshold = 0.25\n");
    let process = Process::start(&["--config", settings.path().to_str().unwrap()]);
    let key = format!("Bearer {}", process.key);
    let numbers: Vec<String> = (0..128).map(|at| at.to_string()).collect();
    let embedding = format!("[{}]", numbers.join(","));
    let ask = |path: &str, body: &str| {
        let request = post(
            &format!("/v1/partitions/bws.7/classes/1/{path}"),
            &key,
            body.len(),
        ) + body;
        process.connect().ask(request)
    };
    let samples = format!(r#""embeddings":[{embedding}],"encoder":"sface@2021dec""#);
    ask("enroll", &format!("{{{samples}}}")).is(200);
    let decides_by = |threshold: &str| {
        let seen = ask("verify", &format!("{{{samples}}}"));
        let body = String::from_utf8_lossy(&seen.is(200).body).into_owned();
        assert!(
            body.contains(&format!(r#""threshold":{threshold}"#)),
            "{body}"
        );
    };
    decides_by("0.25");
    write("verification-threshold = 0.5\n\n[verification-thresholds]\n'bws.8' = 0.75\n");
    decides_by("0.25");
    process.signal(Signal::HUP);
    process.says("goes by the settings as they are now");
    decides_by("0.5");
    write("verification-threshold = 0.5\n\n[verification-thresholds]\n'bws.7' = 0.75\n");
    process.signal(Signal::HUP);
    until(|| process.log().matches("all others are as they were").count() == 2);
    decides_by("0.75");
    // What is wrong changes nothing, not even what stands before it.
    write("verification-threshold = 0.5\nworkers = 0\n");
    process.signal(Signal::HUP);
    process.says("the settings cannot be used");
    decides_by("0.75");
}

#[test]
fn a_hangup_changes_what_is_logged() {
    let settings = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(settings.path(), text).unwrap();
    write("log = 'warn,vultus::cli=info'\n");
    let process = Process::start(&["--config", settings.path().to_str().unwrap()]);
    let answered = || {
        process.connect().ask(STATUS).is(401);
        process.log().matches("/v1/status").count()
    };
    assert_eq!(answered(), 0);
    write("");
    process.signal(Signal::HUP);
    process.says("read the settings again");
    until(|| answered() > 0);
    write("log = 'warn,vultus::cli=info'\n");
    process.signal(Signal::HUP);
    until(|| process.log().matches("read the settings again").count() == 2);
    let lines = || process.log().matches("/v1/status").count();
    // Those of before may still be on their way.
    let mut seen = lines();
    until(|| {
        sleep(Duration::from_millis(200));
        std::mem::replace(&mut seen, lines()) == lines()
    });
    for _ in 0..3 {
        answered();
    }
    sleep(Duration::from_millis(200));
    assert_eq!(lines(), seen);
}

#[test]
fn a_hangup_while_stopping_changes_nothing() {
    let mut process = Process::start(&["--stop-wait-seconds", "2"]);
    let mut client = process.connect();
    client.send("G");
    sleep(Duration::from_millis(200));
    process.signal(Signal::TERM);
    process.says("stopping");
    process.signal(Signal::HUP);
    let begin = Instant::now();
    let (status, _) = process.ended();
    assert_eq!(status.code(), Some(0));
    assert!(begin.elapsed() > SECOND);
    let _ = client.0.read(&mut [0]);
}

#[test]
fn the_limit_of_descriptors_is_raised_and_told() {
    let process = Process::start(&[]);
    process.says("raised the limit of descriptors");
    process.says("connections_max=");
}

#[test]
fn while_it_waits_to_stop_everything_is_answered_and_the_probe_says_so() {
    let flags = ["--stop-delay-seconds", "600", "--stop-wait-seconds", "60"];
    let mut process = Process::start(&flags);
    let probe = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut kept = process.connect();
    kept.ask(probe).is(200);
    process.signal(Signal::TERM);
    process.says("stopping");
    // The log line comes before the service is told.
    until(|| kept.ask(probe).status == 503);
    for client in [&mut kept, &mut process.connect()] {
        let seen = client.ask(probe);
        let body = String::from_utf8(seen.body.clone()).unwrap();
        assert!(body.contains("\"draining\"") && !seen.closes(), "{body}");
        client.ask("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").is(200);
        client.ask(STATUS).is(401);
    }
    process.signal(Signal::TERM);
    let (status, waited) = process.ended();
    assert_eq!(status.code(), Some(1));
    assert!(waited < 5 * SECOND, "{waited:?}");
}

#[test]
fn the_delay_ends_by_itself_and_what_is_at_hand_has_its_time_afterwards() {
    let flags = ["--stop-delay-seconds", "1", "--stop-wait-seconds", "60"];
    let mut process = Process::start(&flags);
    let (head, body) = open_question(&process);
    let mut asking = process.connect();
    asking.send(&head);
    let mut late = process.connect();
    process.signal(Signal::TERM);
    process.says("stopping");
    late.ask(STATUS).is(401);
    // Long after the end of the delay there are no more connections, and the question goes on.
    until(|| std::net::TcpStream::connect(process.address).is_err());
    asking.ask(body).is(404);
    let (status, _) = process.ended();
    assert_eq!(status.code(), Some(0));
}
