//! `vultus doctor`: what it says of a machine, a data directory and a service, and that it changes
//! nothing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::cli::{json_lines, success, text, vultus};
use crate::harness::{Program, Registered};

fn doctor(data: &Path, more: &[&str]) -> Output {
    let own = ["doctor", "--json", "--data-dir", text(data)];
    // A port of its own, so that nobody else has it.
    let port = ["--listen", "127.0.0.1:0"];
    let has_port = more.contains(&"--listen");
    let all = match has_port {
        true => [&own[..], more].concat(),
        false => [&own[..], &port, more].concat(),
    };
    vultus(&all)
}

/// What it said of one thing.
fn of<'a>(lines: &'a [Value], check: &str) -> &'a Value {
    let found = lines.iter().find(|line| line["check"] == check);
    found.unwrap_or_else(|| panic!("nothing is said of {check}: {lines:?}"))
}

/// Asserts that it finds this one thing wrong; what it says of it.
fn wrong(output: &Output, check: &str) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = json_lines(std::str::from_utf8(&output.stdout).unwrap());
    let wrong: Vec<&Value> = lines.iter().filter(|it| it["verdict"] == "wrong").collect();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!(wrong[0]["check"], check);
    assert!(wrong[0]["advice"].is_string());
    wrong[0].to_string()
}

#[test]
fn a_directory_that_is_not_there_is_well_and_stays_away() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a/b");
    let lines = json_lines(&success(&doctor(&data, &[])));
    assert_eq!(of(&lines, "data directory")["verdict"], "ok");
    assert_eq!(of(&lines, "identification")["verdict"], "ok");
    assert_eq!(of(&lines, "networks")["verdict"], "ok");
    assert_eq!(of(&lines, "port")["verdict"], "ok");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // For people it is as many lines, each with its word.
    let output = vultus(&[
        "doctor",
        "--data-dir",
        text(&data),
        "--listen",
        "127.0.0.1:0",
    ]);
    let table = success(&output);
    assert_eq!(table.lines().count(), lines.len());
    assert!(
        table
            .lines()
            .any(|line| line.starts_with("ok       clock ")),
        "{table}"
    );
}

#[test]
fn a_service_that_runs_is_seen_and_not_disturbed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let registered = Registered::create(&data);
    let metrics = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let metrics = metrics.to_string();
    let flags = ["--metrics-listen", metrics.as_str()];
    let program = Program::start_with(&data, &registered, &flags, Stdio::null());
    let listen = program.url().trim_start_matches("http://").to_owned();
    let flags = [&["--listen", &listen][..], &flags].concat();
    let lines = json_lines(&success(&doctor(&data, &flags)));
    let answering = lines.iter().filter(|line| line["check"] == "port");
    assert_eq!(answering.count(), 2, "{lines:?}");
    for (check, part) in [("port", "Vultus answers"), ("in use", "open to change it")] {
        let found = of(&lines, check);
        assert!(found["found"].as_str().unwrap().contains(part), "{found}");
    }
    assert_eq!(of(&lines, "galleries")["verdict"], "ok");
    assert_eq!(of(&lines, "server key")["verdict"], "ok");
    // Another directory, and the same port.
    let other = folder.path().join("other");
    success(&vultus(&[
        "app",
        "create",
        "--name",
        "a",
        "--storage",
        "bws",
        "--data-dir",
        text(&other),
    ]));
    let said = wrong(&doctor(&other, &["--listen", &listen]), "port");
    assert!(said.contains("another data directory"), "{said}");
    assert_eq!(program.terminate(), Some(0));
}

#[test]
fn what_is_wrong_with_a_data_directory_is_one_line_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Registered::create(&data);
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let key = data.join("server.key");
    mode(&key, 0o644);
    let said = wrong(&doctor(&data, &[]), "permissions");
    assert!(
        said.contains("server.key") && said.contains("chmod -R go-rwx"),
        "{said}"
    );
    mode(&key, 0o600);
    let whole = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let said = wrong(&doctor(&data, &[]), "server key");
    assert!(said.contains("is missing"), "{said}");
    assert!(!key.exists(), "it made one");
    fs::write(&key, whole).unwrap();
    mode(&key, 0o600);
    let catalog = data.join("catalog.redb");
    let whole = fs::read(&catalog).unwrap();
    fs::write(&catalog, &whole[..1000]).unwrap();
    let said = wrong(&doctor(&data, &[]), "galleries");
    assert!(said.contains("catalog.redb"), "{said}");
    fs::remove_file(&catalog).unwrap();
    wrong(&doctor(&data, &[]), "galleries");
    assert!(!catalog.exists(), "it made one");
    // A file where the directory should be.
    wrong_of(&doctor(&key, &[]), &["data directory", "disk sync"]);
}

/// Asserts that it finds exactly these things wrong.
fn wrong_of(output: &Output, checks: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = json_lines(std::str::from_utf8(&output.stdout).unwrap());
    let wrong = lines.iter().filter(|it| it["verdict"] == "wrong");
    let wrong: Vec<&str> = wrong.map(|it| it["check"].as_str().unwrap()).collect();
    assert_eq!(wrong, checks, "{lines:?}");
}

#[test]
fn settings_ports_and_folders_that_cannot_be_used_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let said = wrong(&doctor(&data, &["--threads", "0"]), "settings");
    assert!(said.contains("`--threads` is `0`"), "{said}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    wrong(&doctor(&data, &["--listen", &taken]), "port");
    wrong(&doctor(&data, &["--listen", "192.0.2.1:8040"]), "port");
    let missing = folder.path().join("missing");
    let said = wrong(
        &doctor(&data, &["--snapshot-dir", text(&missing)]),
        "snapshots",
    );
    assert!(said.contains("install -d"), "{said}");
    let net = folder.path().join("net.onnx");
    let embedder = ["--embedder", text(&net), "--embedder-profile", text(&net)];
    wrong(&doctor(&data, &embedder), "networks");
    let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (one, other) = (made(), made());
    let pem = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let cert = pem("cert.pem", one.cert.pem());
    for key in [
        pem("other.pem", other.signing_key.serialize_pem()),
        missing,
        cert.clone(),
    ] {
        let files = ["--tls-cert", text(&cert), "--tls-key", text(&key)];
        wrong(&doctor(&data, &files), "certificate");
    }
    let key = pem("key.pem", one.signing_key.serialize_pem());
    let files = ["--tls-cert", text(&cert), "--tls-key", text(&key)];
    let lines = json_lines(&success(&doctor(&data, &files)));
    assert_eq!(of(&lines, "certificate")["verdict"], "ok");
    // Variables that set nothing are a warning, which only `--strict` minds.
    let with_slip = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_vultus"))
            .args([
                "doctor",
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
                text(&data),
            ])
            .args(more)
            .env("VULTUS_THREAD", "1")
            .output()
            .unwrap()
    };
    let table = success(&with_slip(&[]));
    assert!(table.starts_with("warning  settings"), "{table}");
    assert_eq!(with_slip(&["--strict"]).status.code(), Some(1));
}

#[test]
fn what_may_be_forgotten_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Registered::create(&data);
    let warned = |check: &str, more: &[&str], parts: &[&str]| {
        let lines = json_lines(&success(&doctor(&data, more)));
        let found = of(&lines, check);
        assert_eq!(found["verdict"], "warning", "{found}");
        let said = found.to_string();
        assert!(found["advice"].is_string(), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    };
    // A service that was killed, one that others may reach, and something else.
    let socket = data.join("admin.sock");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    mode(&socket, 0o600);
    warned("admin socket", &[], &["admin.sock", "killed", "next start"]);
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, b"").unwrap();
    mode(&socket, 0o600);
    let said = wrong(&doctor(&data, &[]), "admin socket");
    assert!(said.contains("is no socket"), "{said}");
    fs::remove_file(&socket).unwrap();
    let lines = json_lines(&success(&doctor(&data, &[])));
    assert_eq!(of(&lines, "admin socket")["verdict"], "ok");
    // Snapshots from the future.
    let snapshots = folder.path().join("snapshots");
    fs::create_dir(&snapshots).unwrap();
    let flag = ["--snapshot-dir", text(&snapshots)];
    for name in [
        "vultus-1700000000000",
        "vultus-9700000000000",
        "vultus-9800000000000",
    ] {
        fs::write(snapshots.join(format!("{name}.tar.zst")), b"").unwrap();
    }
    let parts = ["2 later than now", "vultus-9800000000000.tar.zst", "clock"];
    warned("snapshots", &flag, &parts);
    // A key for everybody.
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = ["--tls-cert", text(&cert), "--tls-key", text(&key)];
    mode(&key, 0o644);
    warned("tls key", &files, &["key.pem", "chmod o-rwx"]);
    mode(&key, 0o640);
    let lines = json_lines(&success(&doctor(&data, &files)));
    assert_eq!(of(&lines, "tls key")["verdict"], "ok");
    // What root left to itself in the directory of a service.
    if rustix::process::geteuid().is_root() {
        let chown = |path: &Path, user| std::os::unix::fs::chown(path, Some(user), None).unwrap();
        chown(&data, 4711);
        let said = wrong(&doctor(&data, &[]), "permissions");
        assert!(
            said.contains("belongs to user 0") && said.contains("chown -R 4711"),
            "{said}"
        );
        for entry in fs::read_dir(&data).unwrap() {
            chown(&entry.unwrap().path(), 4711);
        }
        // All of it, with what is in folders: root may look on.
        let lines = doctor(&data, &[]);
        let lines = json_lines(std::str::from_utf8(&lines.stdout).unwrap());
        let found = of(&lines, "permissions");
        assert!(found.to_string().contains("4711"), "{found}");
    }
}
