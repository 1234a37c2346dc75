//! `vultus key create`, `list` and `revoke`.

use std::path::Path;
use std::process::Output;

use super::cli::{failure, json_lines, success, text, vultus};

fn key(verb: &[&str], data: &Path) -> Output {
    vultus(&[&["key"], verb, &["--data-dir", text(data)]].concat())
}

#[test]
fn a_key_is_shown_once_listed_and_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let create = [
        "create",
        "--name",
        "Gate",
        "--scopes",
        "identify,read",
        "--storage",
        "bws",
        "--partition",
        "-1",
        "--days",
        "2",
        "--json",
    ];
    let made = &json_lines(&success(&key(&create, &data)))[0];
    let (id, secret) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(secret.starts_with(&format!("vk_{id}_")));
    assert_eq!(made["scopes"], serde_json::json!(["identify", "read"]));
    assert_eq!(made["reach"], "bws.-1");
    let days = made["expires_unix_milliseconds"].as_i64().unwrap()
        - made["created_unix_milliseconds"].as_i64().unwrap();
    assert_eq!(days, 2 * 24 * 60 * 60 * 1000);

    let listed = success(&key(&["list", "--json"], &data));
    let mut expected = made.clone();
    expected.as_object_mut().unwrap().remove("key");
    assert_eq!(json_lines(&listed), [expected]);
    let table = success(&key(&["list"], &data));
    assert!(
        table.contains("bws.-1") && table.contains("identify, read"),
        "{table}"
    );
    assert!(!table.contains(&secret[20..]));

    success(&key(&["revoke", id], &data));
    assert_eq!(success(&key(&["list", "--json"], &data)), "");
    let again = failure(&key(&["revoke", id], &data));
    assert!(again.contains(id), "{again}");
}

#[test]
fn a_key_that_makes_no_sense_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let create = |more: &[&str]| {
        let created = key(&[&["create", "--name", "x"], more].concat(), &data);
        failure(&created)
    };
    let said = create(&["--scopes", "read,fly", "--everything"]);
    assert!(said.contains("`fly` is no scope"), "{said}");
    let said = create(&["--scopes", "snapshot", "--storage", "bws"]);
    assert!(said.contains("a key for everything"), "{said}");
    create(&["--scopes", "read"]);
    create(&["--everything"]);
    create(&["--scopes", "read", "--everything", "--storage", "bws"]);
    create(&["--scopes", "read", "--everything", "--partition", "1"]);
    create(&["--scopes", "read", "--everything", "--days", "0"]);
}
