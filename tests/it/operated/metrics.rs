//! After a script every counter is what the script did.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::page::{Labels, Page};
use crate::cli::text;
use crate::harness::{Answer, Body, Call, Door, Program, Registered, Who, axis, basic, pictures};

/// A running service, and all that was done to it.
struct Script {
    program: Program,
    _directory: tempfile::TempDir,
    answered: BTreeMap<Labels, f64>,
    refused: BTreeMap<Labels, f64>,
    bytes_in: BTreeMap<Labels, f64>,
    bytes_out: BTreeMap<Labels, f64>,
    calls: f64,
}

fn labels(all: &[(&str, &str)]) -> Labels {
    let owned = all.iter().map(|&(name, value)| (name.into(), value.into()));
    owned.collect()
}

fn add(counts: &mut BTreeMap<Labels, f64>, to: &[(&str, &str)], more: usize) {
    if more > 0 {
        *counts.entry(labels(to)).or_default() += more as f64;
    }
}

impl Script {
    fn begin() -> Script {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let registered = Registered::create(&data);
        let flags = [
            "--metrics-listen",
            "127.0.0.1:0",
            "--search-wait-seconds",
            "300",
            "--queue-wait-seconds",
            "300",
        ];
        let program = Program::start_with(&data, &registered, &flags, Stdio::null());
        Script {
            program,
            _directory: directory,
            answered: BTreeMap::new(),
            refused: BTreeMap::new(),
            bytes_in: BTreeMap::new(),
            bytes_out: BTreeMap::new(),
            calls: 0.0,
        }
    }

    fn page(&self) -> Page {
        let answer = self.program.send_to_metrics(&Call::new("GET", "/metrics"));
        assert_eq!(answer.status, 200);
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(answer.headers["content-type"], kind);
        Page::read(&answer.body)
    }

    /// Sends a call of which is known what route it is for, who sends it, and why it is refused.
    #[track_caller]
    fn send(&mut self, route: &str, caller: &str, call: Call, refused: Option<&str>) -> Answer {
        let bytes_in = call.body.len();
        let known = ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT"];
        let method = match known.contains(&&*call.method) {
            true => call.method.clone(),
            false => "other".to_owned(),
        };
        let answer = self.program.send(call);
        let status = answer.status.to_string();
        let by = [
            ("route", route),
            ("method", &method),
            ("status", &status),
            ("caller", caller),
        ];
        add(&mut self.answered, &by, 1);
        assert_eq!(refused.is_some(), answer.status >= 400, "{}", answer.body);
        if let Some(cause) = refused {
            add(&mut self.refused, &[("cause", cause)], 1);
            if let Ok(body) = serde_json::from_str::<Value>(&answer.body)
                && let Some(code) = body["code"].as_str()
            {
                assert_eq!(code, cause);
            }
        }
        add(&mut self.bytes_in, &[("route", route)], bytes_in);
        add(&mut self.bytes_out, &[("route", route)], answer.body.len());
        self.calls += 1.0;
        answer
    }

    /// A call of the native API by the key.
    #[track_caller]
    fn key(&mut self, route: &str, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let (key, caller) = (self.program.key(), self.key_name());
        let call = Call::new(method, format!("/v1/{path}")).by_bearer(&key);
        self.send(&format!("/v1/{route}"), &caller, call.with(body), None)
    }

    fn key_name(&self) -> String {
        let key = self.program.key();
        format!("key {}", key.split('_').nth(1).unwrap())
    }
}

fn embedding(at: usize) -> Value {
    json!({ "embeddings": [axis(at)], "encoder": "test" })
}

const ONE: &str = "partitions/{partition}/classes/{class}";
const OF_TOKEN: &str = "/extension/token";

/// Both doors, all kinds of answers.
fn use_both_doors(script: &mut Script) {
    let (key, key_name) = (script.program.key(), script.key_name());
    for class in 1..=5 {
        let path = format!("partitions/bws.1/classes/{class}/enroll");
        script.key(&format!("{ONE}/enroll"), "POST", &path, embedding(class));
    }
    for at in 1..=4 {
        let path = "partitions/bws.1/identify";
        script.key(
            "partitions/{partition}/identify",
            "POST",
            path,
            embedding(at),
        );
    }
    let many: Vec<_> = (0..10).map(axis).collect();
    let body = json!({ "embeddings": many, "encoder": "test" });
    let path = "partitions/bws.1/identify-many";
    script.key("partitions/{partition}/identify-many", "POST", path, body);
    let path = "partitions/bws.1/classes/2/verify";
    script.key(
        &format!("{ONE}/verify"),
        "POST",
        path,
        json!({
            "embeddings": [axis(2)], "encoder": "test", "threshold": 0.5
        }),
    );
    script.key(ONE, "GET", "partitions/bws.1/classes/2", ());
    script.key(ONE, "DELETE", "partitions/bws.1/classes/2", ());
    script.key("status", "GET", "status", ());

    let missing = Call::new("GET", "/v1/partitions/bws.1/classes/77").by_bearer(&key);
    script.send(
        &format!("/v1/{ONE}"),
        &key_name,
        missing,
        Some("class_not_found"),
    );
    let wrong = Call::new("POST", "/v1/status").by_bearer(&key);
    script.send("/v1/status", "none", wrong, Some("method_not_allowed"));
    for _ in 0..3 {
        let call = Call::new("GET", "/v1/status");
        script.send("/v1/status", "none", call.clone(), Some("key_missing"));
        let wrong = call.by_bearer("vk_0000000000000000_nonsense");
        script.send("/v1/status", "none", wrong, Some("key_invalid"));
    }
    let nonsense = Call::new("POST", "/v1/partitions/bws.1/identify").by_bearer(&key);
    let nonsense = nonsense.with(Body::new("application/json", "{\"embeddings\": 7"));
    let route = "/v1/partitions/{partition}/identify";
    script.send(route, &key_name, nonsense, Some("malformed_body"));

    let app = script.program.credentials(Who::Main);
    let name = format!("app {}", app.id);
    let query = format!("{OF_TOKEN}?id={}&bcid=bws.1.9&task=verify", app.id);
    let call = Call::new("GET", &query);
    let token = script
        .send(OF_TOKEN, &name, call.clone().by_app(&app), None)
        .body;
    let wrong = call.clone().by(basic(&app.id, "wrong"));
    script.send(OF_TOKEN, "none", wrong, Some("not_authenticated"));
    let stranger = script.program.credentials(Who::Stranger);
    let theirs = format!("app {}", stranger.id);
    script.send(OF_TOKEN, &theirs, call.by_app(&stranger), Some("forbidden"));
    let upload = Call::new("POST", "upload")
        .by_bearer(&token)
        .body("no picture");
    script.send("/extension/upload", &name, upload, Some("invalid_request"));
    for (picture, refused) in [
        (
            pictures::data_url("image/png", b"no picture"),
            Some("invalid_picture"),
        ),
        (pictures::nobody().to_owned(), None),
    ] {
        let upload = Call::new("POST", "upload").by_bearer(&token).body(picture);
        script.send("/extension/upload", &name, upload, refused);
    }
    let path = "/extension/isenrolled";
    let call = Call::new("GET", format!("{path}?bcid=bws.1.3")).by_app(&app);
    script.send(path, &name, call, None);
    let other = Call::new("GET", format!("{path}?bcid=other.1.3")).by_app(&app);
    script.send(path, &name, other, Some("forbidden"));
}

/// What is no call, or a call of nobody.
fn knock(script: &mut Script) {
    for path in [
        "/page",
        "/nowhere",
        "/v1",
        "/v1/nowhere",
        "/extension/a/%00/b",
    ] {
        let call = Call::new("GET", path);
        script.send("none", "none", call, Some("not_found"));
    }
    script.send("none", "none", Call::new("BREW", "/pot"), Some("not_found"));
    for path in ["/", "/livez", "/readyz", "//readyz/"] {
        let route = path.trim_start_matches("//").trim_matches('/');
        let route = format!("/{route}");
        script.send(&route, "none", Call::new("GET", path), None);
        script.send(&route, "none", Call::new("HEAD", path), None);
    }
    let preflight = Call::new("OPTIONS", "/v1/status")
        .header("Origin", "https://a.org")
        .header("Access-Control-Request-Method", "GET");
    script.send("none", "none", preflight, None);
}

#[test]
fn every_counter_is_what_a_script_did() {
    let mut script = Script::begin();
    let before = script.page();
    assert!(before.all("vultus_http_requests_total").is_empty());
    assert_eq!(before.number("vultus_galleries"), 0.0);
    use_both_doors(&mut script);
    knock(&mut script);
    let page = script.page();
    assert_eq!(page.all("vultus_http_requests_total"), script.answered);
    assert_eq!(page.all("vultus_refusals_total"), script.refused);
    assert_eq!(page.all("vultus_http_request_bytes_total"), script.bytes_in);
    assert_eq!(
        page.all("vultus_http_response_bytes_total"),
        script.bytes_out
    );
    let by_route: f64 = page.all("vultus_http_request_seconds_count").values().sum();
    assert_eq!(by_route, script.calls);
    assert!(page.all("vultus_http_requests_left_total").is_empty());
    assert_eq!(page.number("vultus_http_requests_open"), 0.0);
    // One for each call: the harness closes it.
    assert_eq!(
        page.number("vultus_connections_accepted_total"),
        script.calls
    );
    assert_eq!(page.number("vultus_connections_refused_total"), 0.0);

    // Four identifications one after the other, and one of ten probes, over five people.
    assert_eq!(page.number("vultus_search_pass_probes_count"), 5.0);
    assert_eq!(page.number("vultus_search_pass_probes_sum"), 14.0);
    assert_eq!(page.number("vultus_search_rows_scanned_total"), 25.0);
    assert!(page.number("vultus_search_bytes_read_total") > 25.0 * 16.0);
    let search = [("stage", "search")];
    assert_eq!(page.labelled("vultus_stage_seconds_count", &search), 5.0);
    let searches = [("lane", "searches")];
    assert_eq!(
        page.labelled("vultus_lane_wait_seconds_count", &searches),
        5.0
    );
    // One was refused by its head; one was looked at, and shows nobody.
    let stage = |name| page.labelled("vultus_stage_seconds_count", &[("stage", name)]);
    assert!(stage("decode") == 1.0 && stage("detect") > 1.0 && stage("embed") == 0.0);
    let faces = [("lane", "faces")];
    assert_eq!(page.labelled("vultus_lane_wait_seconds_count", &faces), 3.0);
    assert!(page.all("vultus_lane_waiting").is_empty());
    assert_eq!(page.number("vultus_galleries"), 1.0);
    assert_eq!(page.number("vultus_rows"), 4.0);
    assert_eq!(page.number("vultus_rows_removed"), 0.0);
    assert_eq!(page.number("vultus_segments"), 0.0);
    assert_eq!(page.number("vultus_ready"), 1.0);
    assert_eq!(page.number("vultus_storage_writable"), 1.0);
}

#[test]
fn gauges_are_plausible_and_every_metric_is_there() {
    let script = Script::begin();
    let mut held = connect(&script.program.public_url());
    held.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    held.read_exact(&mut [0; 12]).unwrap();
    let page = script.page();
    assert_eq!(page.number("vultus_connections_open"), 1.0);
    assert!(page.number("process_resident_memory_bytes") > 1e7);
    assert!(page.number("process_threads") > 2.0);
    let descriptors = page.number("process_open_fds");
    assert!(descriptors > 5.0 && descriptors < page.number("process_max_fds"));
    assert!(page.number("process_start_time_seconds") > 1.7e9);
    let documented = std::fs::read_to_string("docs/metrics.md").unwrap();
    for name in page.kinds().keys() {
        assert!(documented.contains(&format!("`{name}`")), "{name}");
    }
    for (path, status) in [
        ("/metrics", 200),
        ("/metrics?x", 200),
        ("/", 404),
        ("/livez", 404),
    ] {
        let answer = script.program.send_to_metrics(&Call::new("GET", path));
        assert_eq!(answer.status, status, "{path}");
    }
    // Nothing of it is at the address of the service.
    assert_eq!(
        script.program.send(Call::new("GET", "/metrics")).status,
        404
    );
}

fn connect(url: &str) -> TcpStream {
    TcpStream::connect(url.trim_start_matches("http://")).unwrap()
}

/// The exit code of a service that cannot begin, and what it says.
fn refused(flags: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let output = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(["serve", "--data-dir", text(&data)])
        .args(flags)
        .env("VULTUS_LOG", "error")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn an_address_that_cannot_be_had_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let (name, other) = (taken.to_string(), format!("localhost:{}", taken.port()));
    for (listen, metrics, expected) in [
        (
            "127.0.0.1:8040",
            "127.0.0.1:8040",
            "`metrics-listen` is `127.0.0.1:8040`, and so is",
        ),
        ("LocalHost:8040", "localhost:8040", "and so is `listen`"),
        ("127.0.0.1:0", &*name, "`metrics-listen`: cannot listen on"),
        ("127.0.0.1:0", &*other, "`metrics-listen`: cannot listen on"),
        (
            "127.0.0.1:0",
            "192.0.2.1:9040",
            "`metrics-listen`: cannot listen on 192.0.2.1:9040",
        ),
        (
            "127.0.0.1:0",
            "9040",
            "`--metrics-listen` is `9040`: expected a host and a port",
        ),
        (&*name, "127.0.0.1:0", "cannot listen on"),
    ] {
        let (code, said) = refused(&["--listen", listen, "--metrics-listen", metrics]);
        assert_eq!(code, Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.starts_with("error: ") && said.contains(expected),
            "{said}"
        );
    }
}
