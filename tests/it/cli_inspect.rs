//! `vultus inspect`: what it prints is compared with files, so that a change of a format is seen.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::cli::{failure, json_lines, success, text, vultus};
use super::format::fixture;

/// Compares what was printed with a file. `UPDATE_EXPECTED=1` writes the file instead, for somebody
/// to look at the difference.
fn assert_expected(printed: &str, name: &str) {
    let path = fixture(&format!("inspect/{name}"));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, printed).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert_eq!(printed, expected, "differs from {}", path.display());
}

fn inspect(path: &Path, more: &[&str]) -> std::process::Output {
    vultus(&[&["inspect", text(path)], more].concat())
}

/// Asserts that something is damaged, and returns what was printed.
fn damaged(path: &Path, more: &[&str]) -> String {
    let output = inspect(path, more);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_segment_and_a_snapshot_are_described() {
    for (file, name) in [
        ("format/v1/segment.vseg", "segment"),
        ("format/v1/snapshot.tar.zst", "snapshot"),
    ] {
        let path = fixture(file);
        assert_expected(&success(&inspect(&path, &[])), &format!("{name}.txt"));
        let json = success(&inspect(&path, &["--json"]));
        let mut value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["whole"], true);
        let file = value.as_object_mut().unwrap().remove("file").unwrap();
        assert_eq!(file, text(&path));
        let pretty = serde_json::to_string_pretty(&value).unwrap() + "\n";
        assert_expected(&pretty, &format!("{name}.json"));
    }
}

#[test]
fn damage_is_listed_and_has_an_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("segment");
    let mut bytes = fs::read(fixture("format/v1/segment.vseg")).unwrap();
    bytes[4096 + 70] ^= 1;
    bytes[40_960] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_expected(&damaged(&path, &[]), "damaged-segment.txt");
    assert_eq!(json_lines(&damaged(&path, &["--json"]))[0]["whole"], false);
    let path = directory.path().join("snapshot");
    let bytes = fs::read(fixture("format/v1/snapshot.tar.zst")).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    assert_expected(&damaged(&path, &[]), "cut-snapshot.txt");
}

#[test]
fn a_catalog_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let snapshot = fixture("format/v1/snapshot.tar.zst");
    let restore = [
        "gallery",
        "restore",
        "--from",
        text(&snapshot),
        "--data-dir",
        text(&data),
    ];
    success(&vultus(&restore));
    let path = data.join("catalog.redb");
    let mut value = json_lines(&success(&inspect(&path, &["--json"]))).remove(0);
    // How redb lays out its file is its own affair.
    value["bytes"] = Value::Null;
    value.as_object_mut().unwrap().remove("file").unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap() + "\n";
    assert_expected(&pretty, "catalog.json");
    let printed = success(&inspect(&path, &[]));
    assert!(
        printed.contains("bws.1") && printed.ends_with("whole\n"),
        "{printed}"
    );
}

#[test]
fn something_else_is_an_error() {
    let said = failure(&inspect(&fixture("format/v1/missing"), &[]));
    assert!(said.contains("cannot open"), "{said}");
    let said = failure(&inspect(Path::new(env!("CARGO_MANIFEST_PATH")), &[]));
    assert!(said.contains("no segment, snapshot or catalog"), "{said}");
}
