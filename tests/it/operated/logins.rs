//! Failed log-ins are counted and slowed, and shut nobody else out.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::process::Stdio;

use super::page::Page;
use crate::harness::{Call, Door, Program, Registered, Who, basic};

/// Enough to be slowed: ten are free.
const TRIES: usize = 14;

#[test]
fn a_flood_of_wrong_secrets_is_one_line_and_shuts_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let path = directory.path().join("log");
    // So that one machine can be several.
    let flags = [
        "--trusted-proxies",
        "127.0.0.1",
        "--metrics-listen",
        "127.0.0.1:0",
    ];
    let log = File::create(&path).unwrap();
    let program = Program::start_with(&data, &registered, &flags, Stdio::from(log));
    let from = |address: &str, call: Call| call.header("X-Forwarded-For", address);
    let app = program.credentials(Who::Main);
    let status = |authorization: String| Call::new("GET", "status").by(authorization);
    let good = || status(basic(&app.id, &app.secret));
    for at in 0..TRIES {
        // The same app, however it is written.
        let id = match at % 2 {
            0 => app.id.clone(),
            _ => app.id.to_uppercase(),
        };
        let wrong = status(basic(&id, "wrong"));
        assert_eq!(program.send(from("203.0.113.1", wrong)).status, 401);
    }
    // Elsewhere, and even there if the secret is right.
    for address in ["203.0.113.2", "2001:db8::2", "203.0.113.1"] {
        assert_eq!(program.send(from(address, good())).status, 200, "{address}");
    }
    let key = Call::new("GET", "/v1/status").by_bearer(&program.key());
    assert_eq!(program.send(from("203.0.113.3", key)).status, 200);
    for wrong in [
        Call::new("GET", "/v1/status").by_bearer("vk_0123456789abcdef_wrong"),
        Call::new("GET", "identify").by_bearer("no.token.atall"),
        // Of nobody: nothing was shown that could be right.
        Call::new("GET", "/v1/status"),
        Call::new("GET", "status"),
    ] {
        assert_eq!(program.send(from("203.0.113.3", wrong)).status, 401);
    }
    let answer = program.send_to_metrics(&Call::new("GET", "/metrics"));
    let page = Page::read(&answer.body);
    let failed = ["app", "key", "token"]
        .map(|shown| page.labelled("vultus_failed_logins_total", &[("shown", shown)]));
    assert_eq!(failed, [TRIES as f64, 1.0, 1.0]);
    // Those behind the tenth, and the right ones, each of which was new at its address.
    let slowed = page.number("vultus_logins_slowed_total");
    assert_eq!(slowed, (TRIES - 10) as f64 + 3.0);
    assert_eq!(page.number("vultus_logins_refused_total"), 0.0);
    assert_eq!(program.terminate(), Some(0));
    let log = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("log-ins"))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("many log-ins fail") && lines[0].contains("203.0.113.1"));
    assert!(!log.contains("wrong"), "{log}");
}

#[test]
fn more_than_may_wait_are_told_to_come_again() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let flags = ["--metrics-listen", "127.0.0.1:0"];
    let program = Program::start_with(&data, &registered, &flags, Stdio::null());
    let app = program.credentials(Who::Main);
    let try_wrong = || program.send(Call::new("GET", "status").by(basic(&app.id, "wrong")));
    let wait = || program.send(Call::new("GET", "/v1/status").by_bearer("vk_0123456789abcdef_x"));
    for _ in 0..16 {
        try_wrong();
    }
    let answers = std::thread::scope(|scope| {
        // Nobody can guess a key: a right one does not wait.
        let good = scope.spawn(|| {
            for _ in 0..20 {
                let call = Call::new("GET", "/v1/status").by_bearer(&program.key());
                assert_eq!(program.send(call).status, 200);
            }
        });
        let tries: Vec<_> = (0..64)
            .map(|at| scope.spawn(move || if at % 2 == 0 { try_wrong() } else { wait() }))
            .collect();
        let answers = tries.into_iter().map(|tried| tried.join().unwrap());
        let answers: Vec<_> = answers.collect();
        good.join().unwrap();
        answers
    });
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    let wrong = answers.iter().filter(|answer| answer.status == 401).count();
    assert_eq!(refused.len() + wrong, answers.len());
    // All 64 come within two seconds, unless the machine is very slow.
    assert!(wrong >= 32, "{wrong}");
    for answer in &refused {
        assert_eq!(answer.headers["retry-after"], "2");
    }
    // Who does not wait for the answer is counted apart, when that is noticed: the wait is too short
    // for that on a machine that is very slow, so it is tried again.
    let address = program.public_url();
    let leave = || {
        let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
        let request = "GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer vk_x\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    let left = || {
        let answer = program.send_to_metrics(&Call::new("GET", "/metrics"));
        let page = Page::read(&answer.body);
        page.labelled(
            "vultus_http_requests_left_total",
            &[("route", "/v1/status")],
        )
    };
    let mut tries = 0;
    while left() == 0.0 {
        leave();
        std::thread::sleep(std::time::Duration::from_millis(500));
        tries += 1;
        assert!(tries < 100, "it is never noticed");
    }
    // What needs no log-in goes on.
    assert_eq!(program.send(Call::new("GET", "/v1/problems")).status, 200);
}
