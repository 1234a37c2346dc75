//! Settings as a user gives them: what is taken, what is refused, and what help says.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::cli::{failure, success, text, vultus};
use crate::harness::Registered;

/// The program with environment variables.
fn vultus_with(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// Asserts that it was refused in one line that has all of `parts`.
fn refused(output: &Output, parts: &[&str]) {
    let said = failure(output);
    assert_eq!(said.lines().count(), 1, "{said:?}");
    for part in parts {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
}

/// Starts the service, and returns where it listens and what it had said by then.
fn served(variables: &[(&str, &str)], arguments: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(["serve", "--data-dir", text(&data)])
        .args(arguments)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    child.kill().unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    child.wait().unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}: {said}"));
    (ready["listening"].as_str().unwrap().to_owned(), said)
}

#[test]
fn a_wrong_setting_is_one_line_with_its_place() {
    let whole = "expected a whole number from 1 to 1,024";
    for (value, found) in [
        ("0", "`0`"),
        ("-1", "`-1`"),
        ("100000", "`100000`"),
        ("many", "`many`"),
        ("", "empty"),
    ] {
        let output = vultus(&["identify", "--partition", "bws.1", "x", "--threads", value]);
        refused(&output, &["`--threads`", found, whole]);
        let output = vultus_with(&[("VULTUS_THREADS", value)], &["gallery", "list"]);
        refused(&output, &["`VULTUS_THREADS`", found, whole]);
    }
    for (flag, value, right) in [
        ("--listen", ":8040", "`127.0.0.1:8040`"),
        ("--listen", "8040", "`0.0.0.0:8040`"),
        ("--public-url", "nonsense", "`https://faces.example.org`"),
        (
            "--public-url",
            "http://a.org\nX: y",
            "`http://a.org\\nX: y`",
        ),
        ("--workers", "100000000", whole),
        (
            "--body-bytes-max",
            "9000000000000000000",
            "to 1,073,741,824",
        ),
        ("--body-bytes-max", "20 MiB", "without a unit"),
        ("--verification-threshold", "NaN", "from -1 to 1"),
        ("--verification-threshold", "-1.5", "from -1 to 1"),
        ("--cors-origins", "example.org", "`https://www.example.org`"),
        ("--log", "json", "`warn,vultus::web=debug`"),
        ("--embedder", "x.onnx", "`embedder-profile`"),
    ] {
        refused(&vultus(&["serve", flag, value]), &[right]);
    }
    refused(
        &vultus_with(&[("VULTUS_LOG", "json")], &["gallery", "list"]),
        &["`VULTUS_LOG` is `json`", "off, error, warn"],
    );
    refused(
        &vultus(&["serve", "--workers", "2", "--workers", "3"]),
        &["`--workers`", "once"],
    );
}

#[test]
fn a_wrong_settings_file_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    let with = |path: &Path| vultus(&["--config", text(path), "gallery", "list"]);
    for (content, parts) in [
        (
            &b"listten = 'x'\n"[..],
            &["`listten`", "line 1", "`listen`"][..],
        ),
        (
            b"\nworkers = '2'\n",
            &["`workers`", "line 2", "is \"2\"", "from 1 to 1,024"],
        ),
        (
            b"threads = 2\nthreads = 3\n",
            &["`threads`", "line 2", "more than once"],
        ),
        (b"threads = \n", &["no TOML at line 1"]),
        (b"log = '\xff'\n", &["UTF-8"]),
    ] {
        fs::write(&path, content).unwrap();
        let output = with(&path);
        refused(&output, &[parts, &[text(&path)]].concat());
        let said = failure(&output);
        assert_eq!(said.matches(text(&path)).count(), 1, "{said}");
    }
    refused(&with(folder.path()), &[text(folder.path()), "a folder"]);
    let missing = folder.path().join("missing.toml");
    refused(&with(&missing), &[text(&missing)]);
    fs::write(&path, "\u{feff}threads = 1\n").unwrap();
    let said = failure(&with(&path));
    assert!(
        said.contains("--data-dir"),
        "the settings were fine: {said}"
    );
}

#[test]
fn variables_of_a_container_platform_are_passed_over_and_slips_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Registered::create(&data);
    let list = ["app", "list", "--json", "--data-dir", text(&data)];
    let platform = [
        ("VULTUS_PORT", "tcp://10.0.0.7:8040"),
        ("VULTUS_SERVICE_HOST", "10.0.0.7"),
        ("VULTUS_SERVICE_PORT", "8040"),
        ("VULTUS_PORT_8040_TCP_ADDR", "10.0.0.7"),
    ];
    let output = vultus_with(&platform, &list);
    assert!(!success(&output).is_empty(), "the apps are listed");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let output = vultus_with(&[("VULTUS_THREAD", "1"), ("VULTUS_LOG", "warn")], &list);
    success(&output);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("VULTUS_THREAD`") && said.contains("VULTUS_THREADS`"),
        "{said}"
    );
}

#[test]
fn a_name_is_looked_up_and_a_url_that_others_cannot_use_is_warned_of() {
    let (url, said) = served(&[], &["--listen", "localhost:0"]);
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert!(!said.contains("public-url"), "{said}");
    let (url, said) = served(&[("VULTUS_LISTEN", "0.0.0.0:0")], &[]);
    assert!(url.starts_with("http://0.0.0.0:"), "{url}");
    assert!(said.contains(&url) && said.contains("public-url"), "{said}");
    let public = ["--listen", "0.0.0.0:0", "--public-url", "https://a.org/"];
    assert!(!served(&[], &public).1.contains("public-url"));
}

#[test]
fn help_shows_the_settings_of_a_verb_with_variables_and_defaults() {
    let help = |verb: &[&str]| {
        let printed = success(&vultus(&[verb, &["--help"]].concat()));
        // Lines are broken anywhere.
        printed.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let keys = help(&["key", "list"]);
    assert!(
        keys.contains("--data-dir") && keys.contains("--config"),
        "{keys}"
    );
    assert!(keys.contains("[env: VULTUS_DATA_DIR]") && keys.contains("[default: vultus-data]"));
    for other in [
        "--embedder",
        "--isa",
        "--onnxruntime",
        "--threads",
        "--listen",
    ] {
        assert!(!keys.contains(other), "{other}: {keys}");
    }
    let identify = help(&["identify"]);
    for shown in [
        "--isa",
        "scalar, simsimd",
        "--embedder",
        "[env: VULTUS_THREADS]",
    ] {
        assert!(identify.contains(shown), "{shown}: {identify}");
    }
    assert!(!identify.contains("--listen"));
    let serve = help(&["serve"]);
    for shown in [
        "--body-bytes-max",
        "[default: 20971520]",
        "--liveness-mirrored",
        "VULTUS_LOG",
    ] {
        assert!(serve.contains(shown), "{shown}: {serve}");
    }
    let root = help(&[]);
    assert!(
        root.contains("--config") && !root.contains("--embedder"),
        "{root}"
    );
}

#[test]
fn flags_that_several_verbs_use_are_taken_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Registered::create(&data);
    let data = text(&data);
    for arguments in [
        &["--data-dir", data, "app", "list"][..],
        &["app", "--data-dir", data, "list"],
        &[
            "app",
            "list",
            "--data-dir",
            data,
            "--threads",
            "1",
            "--isa",
            "scalar",
        ],
        &["--threads=1", "key", "list", "--data-dir", data],
    ] {
        success(&vultus(arguments));
    }
}

#[test]
fn wrong_values_of_other_flags_name_what_is_needed() {
    let app = [
        "app",
        "create",
        "--name",
        "x",
        "--storage",
        "bws",
        "--partition",
    ];
    let key = [
        "key",
        "create",
        "--name",
        "x",
        "--scopes",
        "read",
        "--storage",
        "bws",
    ];
    let rows = ["bench", "--rows"];
    for (arguments, value, needed) in [
        (
            &app[..],
            "x",
            "a whole number from -2147483648 to 2147483647",
        ),
        (
            &app,
            "2147483648",
            "a whole number from -2147483648 to 2147483647",
        ),
        (
            &[&key[..], &["--partition"]].concat(),
            "x",
            "a whole number from",
        ),
        (
            &[&key[..], &["--days"]].concat(),
            "0",
            "a whole number of at least 1",
        ),
        (
            &[&key[..], &["--days"]].concat(),
            "-1",
            "a whole number of at least 1",
        ),
        (&rows, "many", "a whole number of at least 1"),
    ] {
        let output = vultus(&[arguments, &[value]].concat());
        let said = failure(&output);
        assert!(said.contains(needed), "{said}");
        assert!(said.contains(&format!("'{value}'")), "{said}");
    }
}

#[test]
fn what_is_in_force_is_shown_with_where_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vultus.toml");
    fs::write(&path, "queue-max = 7\nlisten = \"0.0.0.0:1\"\n").unwrap();
    let file = text(&path);
    let variables = [("VULTUS_LISTEN", "127.0.0.1:2")];
    let shown = |more: &[&str]| {
        let arguments = [&["config", "show", "--config", file], more].concat();
        vultus_with(&variables, &arguments)
    };
    let lines = success(&shown(&["--json", "--snapshot-dir", "/backups"]));
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |name: &str| lines.iter().find(|line| line["name"] == name).unwrap();
    assert_eq!(of("queue-max")["value"], 7);
    assert_eq!(of("queue-max")["path"], file);
    assert_eq!(of("listen")["value"], "127.0.0.1:2");
    assert_eq!(of("listen")["variable"], "VULTUS_LISTEN");
    assert_eq!(of("snapshot-dir")["flag"], "--snapshot-dir");
    assert_eq!(of("config")["source"], "flag");
    assert_eq!(of("data-dir")["source"], "default");
    let table = success(&shown(&[]));
    for part in [
        "variable `VULTUS_LISTEN`",
        "flag `--config`",
        "line 1",
        "(nowhere, they are refused)",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    // A verb of its own does not let other verbs take the flags of the service.
    let said = failure(&vultus(&["app", "list", "--snapshot-dir", "/backups"]));
    assert!(said.contains("--snapshot-dir"), "{said}");
}

#[test]
fn settings_that_a_service_would_refuse_are_not_shown_either() {
    for (variables, flags) in [
        (vec![("VULTUS_QUEUE_MAX", "many")], vec![]),
        (vec![("VULTUS_CONFIG", "/nowhere/vultus.toml")], vec![]),
        (vec![], vec!["--embedder", "/net.onnx"]),
        (vec![], vec!["--listen", "8040"]),
    ] {
        let said = |verb: &[&str]| {
            let output = vultus_with(&variables, &[verb, &flags].concat());
            failure(&output)
        };
        assert_eq!(said(&["config", "show"]), said(&["serve"]));
    }
}
