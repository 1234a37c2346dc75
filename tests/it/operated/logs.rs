//! The log: what stands in it, from whom it says that requests come, and what it never holds.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::page::Page;
use crate::harness::{
    Bws, Call, Door, NARROW_NAME, Native, Program, Registered, Who, axis, basic, pictures,
};

/// A running service that logs to a file.
struct Logged {
    program: Program,
    directory: TempDir,
}

impl Logged {
    fn start(flags: &[&str]) -> Logged {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let registered = Registered::create(&data);
        let file = File::create(Logged::path(&directory)).unwrap();
        let all = [&["--metrics-listen", "127.0.0.1:0"], flags].concat();
        let program = Program::start_with(&data, &registered, &all, Stdio::from(file));
        Logged { program, directory }
    }

    fn path(directory: &TempDir) -> PathBuf {
        directory.path().join("log")
    }

    fn signal(&self, signal: Signal) {
        let process = i32::try_from(self.program.process()).unwrap();
        kill_process(Pid::from_raw(process).unwrap(), signal).unwrap();
    }

    /// Ends the service. Returns its log.
    fn end(self) -> String {
        assert_eq!(self.program.terminate(), Some(0));
        fs::read_to_string(Logged::path(&self.directory)).unwrap()
    }

    fn page(&self) -> Page {
        let answer = self.program.send_to_metrics(&Call::new("GET", "/metrics"));
        Page::read(&answer.body)
    }
}

/// Many kinds of calls, with what must not be told in all places. Returns all of that.
fn tell_secrets(program: &Program) -> Vec<String> {
    let key = program.key();
    let app = program.credentials(Who::Narrow);
    let (id, secret) = (&app.id, &app.secret);
    program.enroll_embedding("bws.5", 7, &axis(3));
    let body = json!({ "embeddings": [vec![0.123_456_7; 16]], "encoder": "test" });
    assert_eq!(program.post("partitions/bws.5/identify", body).status, 200);
    let path = format!("token?id={id}&bcid=bws.5.7&task=enroll&livedetection=false");
    let token = Call::new("GET", path).by_app(&app);
    let token = program.send(token).body;
    let picture = pictures::nobody();
    program.upload(&token, picture);
    program.task(&token, "enroll");
    for call in [
        Call::new("GET", "/v1/status").by_bearer(&format!("{key}x")),
        Call::new("GET", "/v1/status").by(format!("Bearer  {key} {secret}")),
        Call::new("GET", format!("/v1/nowhere?key={key}")).header("X-Api-Key", key.clone()),
        Call::new("GET", format!("token?id={id}&secret={secret}")).by(basic(secret, &key)),
        Call::new("GET", format!("result?access_token={token}")).by_app(&app),
        Call::new("POST", "upload")
            .by_bearer(&token)
            .body(format!("data:image/png,{secret}")),
        Call::new("POST", "/v1/partitions/bws.5/identify")
            .by_bearer(&key)
            .body(format!(
                "{{\"pictures\": [\"{}\"]}}",
                pictures::base64(secret.as_bytes())
            )),
    ] {
        program.send(call);
    }
    let secret_of_key = key.split('_').skip(2).collect::<Vec<_>>().join("_");
    let credentials = basic(id, secret);
    vec![
        secret_of_key,
        secret.clone(),
        credentials.trim_start_matches("Basic ").to_owned(),
        token.split('.').next_back().unwrap().to_owned(),
        token.split('.').nth(1).unwrap().to_owned(),
        picture[40..100].to_owned(),
        pictures::base64(secret.as_bytes()),
        "0.1234567".to_owned(),
        NARROW_NAME.to_owned(),
        "Stranger".to_owned(),
    ]
}

#[test]
fn nothing_of_anybody_is_in_the_log_at_any_level() {
    for level in ["off", "error", "warn", "info", "debug", "trace"] {
        for format in ["text", "json"] {
            let logged = Logged::start(&["--log", level, "--log-format", format]);
            let secrets = tell_secrets(&logged.program);
            let log = logged.end();
            for secret in secrets {
                assert!(!log.contains(&secret), "{level} {format}: {secret}");
            }
            match level {
                "off" => assert_eq!(log, ""),
                // Nothing need be wrong.
                "error" | "warn" => {}
                _ => assert!(log.contains("answered"), "{log}"),
            }
        }
    }
}

#[test]
fn every_line_of_a_log_of_json_is_an_object() {
    let logged = Logged::start(&["--log-format", "json", "--log", "debug,vultus=trace"]);
    let program = &logged.program;
    tell_secrets(program);
    logged.signal(Signal::HUP);
    let key = program.key();
    let id = "a-request.1";
    let body = json!({ "embeddings": [axis(3)], "encoder": "test" });
    let call = Call::new("POST", "/v1/partitions/bws.5/identify").by_bearer(&key);
    let call = call.with(body).header("X-Request-Id", id);
    let (bytes_in, answer) = (call.body.len(), program.send(call));
    let log = logged.end();
    let mut found = 0;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(
            line["timestamp"].is_string() && line["level"].is_string(),
            "{line}"
        );
        assert!(
            line["message"].is_string() || line["target"] != "vultus",
            "{line}"
        );
        if line["span"]["id"] == id && line["message"] == "answered" {
            found += 1;
            assert_eq!(line["level"], "INFO");
            assert_eq!(line["span"]["method"], "POST");
            assert_eq!(line["span"]["path"], "/v1/partitions/bws.5/identify");
            assert_eq!(line["status"], 200);
            assert_eq!(line["client"], "127.0.0.1");
            let name = format!("key {}", key.split('_').nth(1).unwrap());
            assert_eq!(line["caller"], *name);
            assert_eq!(
                (&line["bytes_in"], &line["bytes_out"]),
                (&json!(bytes_in), &json!(answer.body.len()),)
            );
            assert!(line["milliseconds"].as_f64().unwrap() > 0.0);
        }
    }
    assert_eq!(found, 1, "{log}");
}

#[test]
fn probes_are_not_in_the_log_unless_it_is_asked_for() {
    let logged = Logged::start(&[]);
    for path in ["/livez", "/readyz", "/v1/status"] {
        logged.program.send(Call::new("GET", path));
    }
    let log = logged.end();
    assert!(!log.contains("livez") && !log.contains("readyz"), "{log}");
    assert!(log.contains("status=401"), "{log}");
}

/// The addresses of clients in a log, in order.
fn clients(log: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| line.contains("answered"));
    let client = |line: &str| {
        let (_, rest) = line.split_once("client=")?;
        Some(rest.split(' ').next().unwrap().to_owned())
    };
    lines.filter_map(client).collect()
}

/// Sends a request with each of these headers, and nothing else.
fn send_each(program: &Program, headers: &[(&'static str, &str)]) {
    for (name, value) in headers {
        let call = Call::new("GET", "/v1/problems").header(name, *value);
        assert_eq!(program.send(call).status, 200, "{name}: {value}");
    }
}

const HEADERS: [(&str, &str); 6] = [
    ("X-Forwarded-For", "198.51.100.7"),
    ("x-forwarded-for", "198.51.100.1, 2001:db8::7, 127.0.0.9"),
    ("Forwarded", "for=\"[2001:db8::8]:4711\";proto=https"),
    ("X-Forwarded-For", "198.51.100.7, no address"),
    ("X-Forwarded-For", ", ,"),
    ("Accept", "*/*"),
];

#[test]
fn a_trusted_proxy_says_from_where_requests_come() {
    let logged = Logged::start(&["--trusted-proxies", "127.0.0.0/8, fd00::/8"]);
    send_each(&logged.program, &HEADERS);
    let page = logged.page();
    let outcome = |name| page.labelled("vultus_forwarded_total", &[("outcome", name)]);
    assert_eq!([outcome("believed"), outcome("unclear")], [3.0, 2.0]);
    assert_eq!(
        clients(&logged.end()),
        [
            "198.51.100.7",
            "2001:db8::7",
            "2001:db8::8",
            "127.0.0.1",
            "127.0.0.1",
            "127.0.0.1",
        ]
    );
}

#[test]
fn who_is_not_trusted_says_nothing() {
    for flags in [&[][..], &["--trusted-proxies", "10.0.0.0/8,127.0.0.2"]] {
        let logged = Logged::start(flags);
        send_each(&logged.program, &HEADERS);
        let page = logged.page();
        let outcome = |name| page.labelled("vultus_forwarded_total", &[("outcome", name)]);
        assert_eq!([outcome("believed"), outcome("not_trusted")], [0.0, 5.0]);
        let clients = clients(&logged.end());
        assert!(clients.len() == 6 && clients.iter().all(|client| client == "127.0.0.1"));
    }
}
