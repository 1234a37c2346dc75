//! `vultus gallery snapshot` and `vultus gallery restore`.

use std::fs;
use std::path::Path;

use vultus::partition::Store;

use super::cli::{embeddings, failure, json_lines, random_rows, success, text, vultus};

fn gallery(verb: &[&str], data: &Path) -> std::process::Output {
    vultus(&[&["gallery"], verb, &["--data-dir", text(data)]].concat())
}

/// A data directory with a gallery in it.
fn filled(directory: &Path) -> std::path::PathBuf {
    let (rows, data) = (directory.join("rows.npy"), directory.join("data"));
    embeddings(&rows, &random_rows(50, 32, 3));
    let import = [
        "import",
        "--partition",
        "bws.1",
        "--encoder",
        "test",
        "--embeddings",
    ];
    success(&gallery(&[&import[..], &[text(&rows)]].concat(), &data));
    data
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_gallery_is_copied_while_it_is_in_use_and_answers_the_same_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let data = filled(directory.path());
    let snapshot = directory.path().join("a.tar.zst");
    let in_use = Store::open(&data).unwrap();
    let said = success(&gallery(
        &["snapshot", "--to", text(&snapshot), "--json"],
        &data,
    ));
    drop(in_use);
    assert_eq!(json_lines(&said)[0]["partitions"][0]["templates"], 50);
    let said = gallery(
        &["restore", "--check", "--from", text(&snapshot), "--json"],
        &data,
    );
    assert_eq!(
        json_lines(&success(&said))[0]["partitions"][0]["templates"],
        50
    );
    let other = directory.path().join("other");
    success(&gallery(&["restore", "--from", text(&snapshot)], &other));
    let rows = directory.path().join("rows.npy");
    let identify = |data: &Path| {
        let partition = [
            "identify",
            "--partition",
            "bws.1",
            "--json",
            "--embeddings",
            text(&rows),
        ];
        success(&vultus(
            &[&partition[..], &["--data-dir", text(data)]].concat(),
        ))
    };
    assert_eq!(identify(&other), identify(&data));
    let expected = ["a.tar.zst", "data", "other", "rows.npy"];
    assert_eq!(names(directory.path()), expected);
}

#[test]
fn nothing_is_replaced_unasked() {
    let directory = tempfile::tempdir().unwrap();
    let data = filled(directory.path());
    let snapshot = directory.path().join("a.tar.zst");
    fs::write(&snapshot, b"precious").unwrap();
    let said = failure(&gallery(&["snapshot", "--to", text(&snapshot)], &data));
    assert!(said.contains("exists"), "{said}");
    assert_eq!(fs::read(&snapshot).unwrap(), b"precious");
    success(&gallery(
        &["snapshot", "--overwrite", "--to", text(&snapshot)],
        &data,
    ));
    let before = names(&data);
    let said = failure(&gallery(&["restore", "--from", text(&snapshot)], &data));
    assert!(said.contains("not an empty directory"), "{said}");
    assert_eq!(names(&data), before);
}

#[test]
fn a_damaged_snapshot_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = filled(directory.path());
    let snapshot = directory.path().join("a.tar.zst");
    success(&gallery(&["snapshot", "--to", text(&snapshot)], &data));
    let mut bytes = fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&snapshot, &bytes).unwrap();
    let other = directory.path().join("other");
    for more in [&[][..], &["--check"]] {
        let restore = [&["restore", "--from", text(&snapshot)], more].concat();
        let said = failure(&gallery(&restore, &other));
        assert!(said.contains("is damaged at"), "{said}");
    }
    assert_eq!(names(directory.path()), ["a.tar.zst", "data", "rows.npy"]);
}

#[test]
fn a_data_directory_that_is_missing_has_no_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = directory.path().join("a.tar.zst");
    let data = directory.path().join("data");
    failure(&gallery(&["snapshot", "--to", text(&snapshot)], &data));
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn what_killed_commands_left_of_snapshots_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let data = filled(directory.path());
    let folder = directory.path().join("backups");
    fs::create_dir(&folder).unwrap();
    let draft = |name: &str| {
        let path = folder.join(name);
        fs::write(&path, b"half").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&path, private).unwrap();
    };
    draft("vultus-1700000000000.tar.zst.new");
    draft("vultus-1700000000000.tar.zst.new.catalog");
    draft("notes.new");
    let said = gallery(&["snapshot", "--to", text(&folder)], &data);
    success(&said);
    let told = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        told.contains("removed 2 files that killed snapshots left"),
        "{told}"
    );
    let names = names(&folder);
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(
        names[0] == "notes.new" && names[1].ends_with(".tar.zst"),
        "{names:?}"
    );
}

#[test]
fn a_file_that_becomes_too_long_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let data = filled(directory.path());
    let (rows, to) = (
        directory.path().join("rows.npy"),
        directory.path().join("s.tar.zst"),
    );
    embeddings(&rows, &random_rows(2_000, 32, 3));
    let fresh = directory.path().join("fresh");
    for verb in [
        vec![
            "gallery",
            "snapshot",
            "--to",
            text(&to),
            "--data-dir",
            text(&data),
        ],
        vec![
            "app",
            "create",
            "--name",
            "a",
            "--storage",
            "bws",
            "--data-dir",
            text(&fresh),
        ],
        vec![
            "gallery",
            "import",
            "--partition",
            "bws.2",
            "--encoder",
            "test",
            "--embeddings",
            text(&rows),
            "--data-dir",
            text(&data),
        ],
    ] {
        let output = std::process::Command::new("sh")
            .args([
                "-c",
                "ulimit -f 8 && exec \"$0\" \"$@\"",
                env!("CARGO_BIN_EXE_vultus"),
            ])
            .args(&verb)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{verb:?}: {:?} {told}",
            output.status
        );
        assert!(told.contains("error: "), "{told}");
    }
}
