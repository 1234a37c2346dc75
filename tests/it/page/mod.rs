//! The page at `/` as it is sent, and how whoever starts the service comes in. What it does in a browser
//! is tested by `scripts/page.sh`.

mod texts;

use std::collections::BTreeSet;
use std::fs::{self, File};
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use vultus::access::{NewApiKey, Reach, Scope};
use vultus::types::Clock;

use crate::cli::{success, text, vultus};
use crate::harness::{Answer, Call, Door, Program, Registered, Service};

/// What Chromium asks for.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
                       image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";

fn get(door: &impl Door, path: &str, accept: &str) -> Answer {
    door.send(Call::new("GET", path).header("Accept", accept))
}

/// The files that a file of the page refers to.
fn referred(name: &str, source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let marks = match name {
        "index.html" => &["href=\"page/", "src=\"page/"][..],
        _ => &["from './", "fetch('page/", "src: 'page/"],
    };
    for mark in marks {
        for rest in source.split(mark).skip(1) {
            let end = rest.find(['"', '\'']).unwrap();
            found.insert(rest[..end].to_owned());
        }
    }
    found
}

#[test]
fn browsers_get_a_page_that_needs_nothing_from_elsewhere() {
    let service = Service::new();
    let page = get(&service, "/", BROWSER);
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'));
    for part in [
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("cache-control"), "no-cache");
    let vary: Vec<&str> = page
        .headers
        .get_all("vary")
        .iter()
        .map(|it| it.to_str().unwrap())
        .collect();
    assert!(
        vary.join(",").to_ascii_lowercase().contains("accept"),
        "{vary:?}"
    );

    // Everything that it refers to is there, and all that is there is referred to by somebody.
    let mut seen = BTreeSet::new();
    let mut next: Vec<String> = referred("index.html", &page.body).into_iter().collect();
    while let Some(name) = next.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let file = get(&service, &format!("/page/{name}"), "*/*");
        assert_eq!(file.status, 200, "{name}");
        let kind = match Path::new(&name).extension().unwrap().to_str().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "json" => "application/json",
            other => panic!("{other}"),
        };
        assert_eq!(file.header("content-type"), kind, "{name}");
        assert_eq!(file.header("content-security-policy"), policy, "{name}");
        next.extend(referred(&name, &file.body));
    }
    let kept = fs::read_dir("src/web/page").unwrap();
    let kept = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kept: BTreeSet<String> = kept
        .filter(|name| !name.ends_with(".rs") && name != "index.html")
        .collect();
    assert_eq!(seen, kept);
    for name in [
        "mod.rs",
        "index.html",
        "..%2Fmod.rs",
        "%2e%2e/page/mod.rs",
        "style.css.map",
        "",
    ] {
        assert_eq!(
            get(&service, &format!("/page/{name}"), "*/*").status,
            404,
            "{name}"
        );
    }
}

#[test]
fn programs_get_the_addresses_of_the_api() {
    let service = Service::new();
    for accept in [
        "application/json",
        "*/*",
        "application/json, text/plain, */*",
        "application/xml",
        "image/png",
    ] {
        let answer = get(&service, "/", accept);
        assert_eq!(answer.header("cache-control"), "no-store", "{accept}");
        let addresses = answer.json();
        assert_eq!(addresses["version"], env!("CARGO_PKG_VERSION"));
        for name in ["description", "documentation", "alive", "ready"] {
            let path = addresses[name].as_str().unwrap();
            assert_eq!(get(&service, path, "*/*").status, 200, "{path}");
        }
        let status = format!("{}/status", addresses["native"].as_str().unwrap());
        assert_eq!(get(&service, &status, "*/*").status, 401);
        let bws = format!("{}/status", addresses["bws"].as_str().unwrap());
        assert_ne!(get(&service, &bws, "*/*").status, 404);
    }
    let head = service.send(Call::new("HEAD", "/"));
    assert_eq!((head.status, &*head.body), (200, ""));
    let bare = service.send(Call::new("GET", "/"));
    assert_eq!(bare.json()["name"], "Vultus");
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(service.send(Call::new(method, "/")).status, 405, "{method}");
        let file = service.send(Call::new(method, "/page/main.js"));
        assert_eq!(file.status, 405, "{method}");
    }
}

#[test]
fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let service = Service::new();
    for path in ["/", "/page/main.js", "/page/texts.json"] {
        let whole = get(&service, path, BROWSER);
        let tag = whole.header("etag").to_owned();
        assert!(
            tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10,
            "{tag}"
        );
        let head = service.send(Call::new("HEAD", path).header("Accept", BROWSER));
        assert_eq!(
            (head.status, &*head.body, head.header("etag")),
            (200, "", &*tag)
        );
        assert_eq!(head.header("content-length"), whole.body.len().to_string());
        let ask = |known: &str| {
            let call = Call::new("GET", path).header("Accept", BROWSER);
            service.send(call.header("If-None-Match", known.to_owned()))
        };
        for known in [
            &*tag,
            "*",
            &format!("W/{tag}"),
            &format!("\"other\", {tag}"),
        ] {
            let answer = ask(known);
            assert_eq!((answer.status, &*answer.body), (304, ""), "{known}");
            assert_eq!(answer.header("etag"), tag);
            assert!(!answer.header("content-security-policy").is_empty());
        }
        for other in ["\"other\"", "", tag.trim_matches('"'), "\u{e4}"] {
            assert_eq!(ask(other).status, 200, "{other}");
        }
    }
}

fn redeem(door: &impl Door, ticket: &str) -> Answer {
    door.send(Call::new("POST", "/page/sign-in").by_bearer(ticket))
}

#[test]
fn a_ticket_lets_one_browser_in() {
    let service = Service::new();
    let issue = || {
        let new = NewApiKey {
            name: "page".to_owned(),
            scopes: Scope::ALL.into_iter().collect(),
            reach: Reach::Everything,
            expires: None,
        };
        let now = service.state.clock().now();
        let made = service.state.api_keys().create(&new, now, &mut rand::rng());
        service.state.let_in(made.unwrap().1, &mut rand::rng())
    };
    assert_eq!(redeem(&service, "").status, 401);
    let ticket = issue();
    assert_eq!(redeem(&service, &ticket.expose()[1..]).status, 401);
    let answer = redeem(&service, ticket.expose());
    assert_eq!(answer.header("cache-control"), "no-store");
    let key = answer.json()["key"].as_str().unwrap().to_owned();
    let status = service
        .send(Call::new("GET", "/v1/status").by_bearer(&key))
        .json();
    assert_eq!(status["key"]["name"], "page");
    let again = redeem(&service, ticket.expose());
    assert_eq!(again.status, 401);
    assert!(!again.body.contains("vk_"));
    assert_eq!(service.send(Call::new("POST", "/page/sign-in")).status, 401);
    assert_eq!(service.send(Call::new("GET", "/page/sign-in")).status, 405);

    let late = issue();
    service.advance(601);
    assert_eq!(
        redeem(&service, late.expose()).status,
        401,
        "after ten minutes"
    );
}

/// A program of this name in a folder of its own that keeps what it is called with.
#[cfg(unix)]
fn pretend(name: &str, folder: &Path) {
    let path = folder.join(name);
    // Moved to its place when it is whole.
    let text = "#!/bin/sh\nprintf %s \"$1\" > \"$0.part\"\nmv \"$0.part\" \"$0.got\"\n";
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
}

/// Waits for a file that another process makes.
#[cfg(unix)]
fn awaited(path: &Path) -> String {
    for _ in 0..6_000 {
        if let Ok(text) = fs::read_to_string(path) {
            return text;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("`{}` did not come", path.display());
}

#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn serve_open_hands_a_browser_a_ticket_and_tells_no_log_of_it() {
    let directory = tempfile::tempdir().unwrap();
    pretend("xdg-open", directory.path());
    let data = directory.path().join("data");
    let log_path = directory.path().join("log");
    let mut links = Vec::new();
    for start in ["first", "second"] {
        let got = directory.path().join("xdg-open.got");
        let _ = fs::remove_file(&got);
        let log = File::create(&log_path).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vultus"));
        let path = format!("{}:/usr/bin:/bin", text(directory.path()));
        command.env("PATH", path).env("BROWSER", "any");
        let program = Program::started_unregistered(command, &data, &["--open"], log);
        let link = awaited(&got);
        let (page, ticket) = link.split_once("#ticket=").unwrap();
        assert_eq!(page, format!("{}/", program.url()));
        assert!(
            get(&program, "/", BROWSER)
                .body
                .starts_with("<!DOCTYPE html>")
        );
        let key = redeem(&program, ticket).json()["key"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(redeem(&program, ticket).status, 401);
        let status = program
            .send(Call::new("GET", "/v1/status").by_bearer(&key))
            .json();
        assert_eq!(status["key"]["reach"], "everything");
        let expires = status["key"]["expires_unix_milliseconds"].as_i64().unwrap();
        let day = 24 * 60 * 60 * 1000;
        let now = Clock::System.now().unix_milliseconds;
        assert!(
            (now..=now + day).contains(&expires),
            "{start}: a key for a day"
        );
        program.terminate();
        let log = fs::read_to_string(&log_path).unwrap();
        for secret in [ticket, &key, "#ticket"] {
            assert!(!log.contains(secret), "{start}: {log}");
        }
        links.push(link);
    }
    assert_ne!(links[0], links[1]);
    let keys = success(&vultus(&[
        "key",
        "list",
        "--json",
        "--data-dir",
        text(&data),
    ]));
    assert_eq!(
        keys.lines().count(),
        2,
        "none that lasts, since no terminal was there"
    );
    let lasting = |line: &str| {
        let key: Value = serde_json::from_str(line).unwrap();
        key["expires_unix_milliseconds"].is_null()
    };
    assert!(!keys.lines().any(lasting));
}

#[cfg(unix)]
#[test]
fn serve_open_without_a_screen_serves_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let log_path = directory.path().join("log");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vultus"));
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"] {
        command.env_remove(name);
    }
    command.env("PATH", directory.path());
    let log = File::create(&log_path).unwrap();
    let program = Program::started_unregistered(command, &data, &["--open"], log);
    assert_eq!(get(&program, "/livez", "*/*").status, 200);
    program.terminate();
    let log = fs::read_to_string(&log_path).unwrap();
    assert!(
        cfg!(target_os = "macos") || log.contains("no browser could be opened"),
        "{log}"
    );
    assert!(!log.contains("#ticket") && !log.contains("vk_"), "{log}");
}

#[test]
fn metrics_are_for_a_key_that_reaches_everything() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let flags = ["--metrics-listen", "127.0.0.1:0"];
    let program = Program::start_with(&data, &registered, &flags, std::process::Stdio::null());
    let ask = |key: &str| program.send(Call::new("GET", "/v1/metrics").by_bearer(key));
    let page = ask(&registered.key());
    assert_eq!(
        (page.status, page.header("cache-control")),
        (200, "no-store")
    );
    let there = program.send_to_metrics(&Call::new("GET", "/metrics"));
    assert_eq!(page.header("content-type"), there.header("content-type"));
    let names = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("# TYPE"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&page.body), names(&there.body));
    assert!(
        page.body
            .contains("vultus_decisions_total{decision=\"liveness\",outcome=\"live\"} 0\n")
    );
}

#[test]
fn metrics_are_for_no_other_key() {
    let service = Service::new();
    let ask = |scopes: &[Scope], reach| {
        let (_, key) = service.make_key(scopes, reach);
        service.send(Call::new("GET", "/v1/metrics").by_bearer(&key))
    };
    assert_eq!(ask(&[Scope::Read], Reach::Everything).status, 200);
    let storage = ask(&[Scope::Read], Reach::Storage("bws".parse().unwrap()));
    assert_eq!(storage.status, 403, "{storage:?}");
    let partition = ask(&[Scope::Read], Reach::Partition("bws.1".parse().unwrap()));
    assert_eq!(partition.status, 403);
    let other = [Scope::Identify, Scope::Enroll, Scope::Verify, Scope::Delete];
    assert_eq!(ask(&other, Reach::Everything).status, 403);
    assert_eq!(service.send(Call::new("GET", "/v1/metrics")).status, 401);
}

/// An embedding of the encoder of the service.
fn embedding(at: usize) -> Vec<f32> {
    let mut values = vec![0.1; 128];
    values[at] = 5.0;
    values
}

#[test]
fn decisions_are_counted_by_what_came_of_them() {
    let service = Service::new();
    let key = service.key();
    let send = |path: &str, at: usize, more: Value| {
        let mut body = serde_json::json!({
            "encoder": "sface@2021dec",
            "embeddings": [embedding(at)],
        });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let path = format!("/v1/partitions/people.1/{path}");
        service
            .send(Call::new("POST", path).by_bearer(&key).with(body))
            .json();
    };
    let counts = || {
        let page = service.send(Call::new("GET", "/v1/metrics").by_bearer(&key));
        let of = |decision: &str, outcome: &str| {
            let begin =
                format!("vultus_decisions_total{{decision=\"{decision}\",outcome=\"{outcome}\"}} ");
            let mut lines = page.body.lines();
            let number = lines.find_map(|line| line.strip_prefix(&begin));
            number.unwrap().parse::<u64>().unwrap()
        };
        [
            of("identification", "known"),
            of("identification", "unknown"),
            of("verification", "accepted"),
            of("verification", "rejected"),
            of("liveness", "live"),
            of("liveness", "not_live"),
        ]
    };
    let nothing = serde_json::json!({});
    send("classes/1/enroll", 3, nothing.clone());
    assert_eq!(counts(), [0; 6]);
    send("identify", 3, nothing.clone());
    send("identify", 3, nothing.clone());
    send("identify", 40, nothing.clone());
    send("identify", 3, serde_json::json!({ "threshold": 1.0 }));
    send("classes/1/verify", 3, nothing.clone());
    send("classes/1/verify", 40, nothing);
    let [known, unknown, accepted, rejected, live, not_live] = counts();
    assert_eq!(known + unknown, 4);
    assert!(known >= 2 && unknown >= 1);
    assert_eq!([accepted, rejected, live, not_live], [1, 1, 0, 0]);
}
