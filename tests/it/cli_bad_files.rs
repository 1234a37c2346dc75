//! Files and numbers that are no embeddings, thresholds or counts: each is refused by name, by the
//! import and by identification alike, and leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};

use super::cli::{embeddings, failure, json_lines, npy, random_rows, success, text, vultus};

const DIMENSION: usize = 16;
const ROWS: usize = 3_000;

/// Files that must be refused, and what must be said of each.
fn bad_files(directory: &Path) -> Vec<(PathBuf, String)> {
    let rows = random_rows(ROWS, DIMENSION, 4);
    let values = rows.concat();
    let bytes: &[u8] = bytemuck::cast_slice(&values);
    let at = |name: &str| directory.join(format!("{name}.npy"));
    let shape = format!("({ROWS}, {DIMENSION})");
    let mut bad = Vec::new();
    let mut add = |name: &str, said: &str| bad.push((at(name), said.to_owned()));

    fs::write(at("text"), "0.1,0.2,0.3\n".repeat(20)).unwrap();
    add("text", "magic bytes");
    npy(&at("texts"), "<U11", "(300,)", bytes);
    add("texts", "texts (`<U11`)");
    npy(&at("objects"), "|O", &shape, bytes);
    add("objects", "Python objects (`|O`)");
    npy(
        &at("big-endian"),
        ">f4",
        "(1, 16)",
        &[0x7f, 0xc0, 0, 0].repeat(16),
    );
    add("big-endian", "row 0 of");
    npy(
        &at("double"),
        "<f8",
        "(2, 16)",
        bytemuck::cast_slice(&[1e39_f64; 32]),
    );
    add("double", "value 0 is not a finite number");
    npy(&at("short"), "<f4", &shape, &bytes[..bytes.len() - 1]);
    add("short", "it has 19");
    npy(&at("list"), "<f4", &format!("({},)", values.len()), bytes);
    add("list", "rows and values");
    npy(&at("no-rows"), "<f4", "(0, 16)", &[]);
    add("no-rows", "one row or more");
    npy(&at("empty"), "<f4", "(0, 0)", &[]);
    add("empty", "16 to 4096");
    npy(&at("narrow"), "<f4", "(4, 15)", &bytes[..240]);
    add("narrow", "16 to 4096");
    npy(&at("wide"), "<f4", "(1, 4097)", &bytes[..4 * 4097]);
    add("wide", "16 to 4096");
    // In the third batch of rows, so that two would have been done.
    for (name, value) in [("nan", f32::NAN), ("infinite", f32::NEG_INFINITY)] {
        let mut rows = rows.clone();
        rows[2_345][6] = value;
        embeddings(&at(name), &rows);
        let path = at(name);
        let row = format!("row 2345 of `{}` is no embedding", text(&path));
        add(name, &format!("{row}: value 6 is not a finite number\n"));
    }
    let mut rows = rows;
    rows[2_345].fill(0.0);
    embeddings(&at("zeros"), &rows);
    add("zeros", "row 2345 of");
    add("missing", "cannot open");
    bad
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_bad_file_is_named_and_nothing_is_half_done() {
    let directory = tempfile::tempdir().unwrap();
    let bad = bad_files(directory.path());
    let good = directory.path().join("good.npy");
    embeddings(&good, &random_rows(50, DIMENSION, 5));
    let data = directory.path().join("data");
    let common = ["--data-dir", text(&data), "--partition", "bws.1"];
    let import = |file: &Path| {
        let import = [
            "gallery",
            "import",
            "--encoder",
            "test",
            "--all-or-nothing",
            "--embeddings",
            text(file),
        ];
        vultus(&[&import[..], &common].concat())
    };
    success(&import(&good));
    let info = || {
        let info = ["gallery", "info", "--data-dir", text(&data), "--json"];
        json_lines(&success(&vultus(&info)))
    };
    let before = (info(), names(directory.path()));
    for (file, expected) in &bad {
        let output = directory.path().join("answers.jsonl");
        let identify = [&["identify", "--embeddings", text(file)], &common[..]].concat();
        for said in [
            failure(&import(file)),
            // `failure` sees to it that nothing is answered before the bad row.
            failure(&vultus(&[&identify[..], &["--json"]].concat())),
            failure(&vultus(
                &[&identify[..], &["--output", text(&output)]].concat(),
            )),
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
            assert!(said.contains(text(file)), "{said}");
        }
    }
    assert_eq!((info(), names(directory.path())), before);
    // Right in itself, and not for this gallery.
    let other = directory.path().join("other.npy");
    embeddings(&other, &random_rows(5, 24, 6));
    let said = failure(&vultus(
        &[&["identify", "--embeddings", text(&other)], &common[..]].concat(),
    ));
    assert!(
        said.contains("24 values") && said.contains("test@1/16"),
        "{said}"
    );
}

#[test]
fn half_precision_is_no_fault() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("half.npy");
    let row: Vec<half::f16> = (1..=16_u8)
        .map(|value| half::f16::from_f32(value.into()))
        .collect();
    npy(&path, "<f2", "(1, 16)", bytemuck::cast_slice(&row));
    let data = directory.path().join("data");
    let common = [
        "--data-dir",
        text(&data),
        "--partition",
        "bws.1",
        "--embeddings",
        text(&path),
    ];
    success(&vultus(
        &[&["gallery", "import", "--encoder", "test"], &common[..]].concat(),
    ));
    let printed = success(&vultus(&[&["identify", "--json"], &common[..]].concat()));
    assert_eq!(
        printed,
        "{\"probe\":0,\"matches\":[{\"class\":1,\"similarity\":1.0}]}\n"
    );
}

#[test]
fn counts_and_thresholds_outside_their_range_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rows.npy");
    embeddings(&file, &random_rows(30, DIMENSION, 5));
    let data = directory.path().join("data");
    let common = [
        "--data-dir",
        text(&data),
        "--partition",
        "bws.1",
        "--embeddings",
        text(&file),
    ];
    success(&vultus(
        &[&["gallery", "import", "--encoder", "test"], &common[..]].concat(),
    ));
    let identify = |more: &[&str]| vultus(&[&["identify", "--json"], &common[..], more].concat());
    for (flag, value) in [
        ("--top", "0"),
        ("--top", "-1"),
        ("--top", "many"),
        ("--threshold", "2.0"),
        ("--threshold", "-1.5"),
        ("--threshold", "NaN"),
        ("--threshold", "inf"),
    ] {
        let said = failure(&identify(&[flag, value]));
        assert!(said.contains(flag), "{flag} {value}: {said}");
    }
    // More than there are: all.
    for top in ["31", "18446744073709551615"] {
        let answers = json_lines(&success(&identify(&["--top", top])));
        let count = |answer: &serde_json::Value| answer["matches"].as_array().unwrap().len();
        assert!(answers.iter().all(|answer| count(answer) == 30), "{top}");
    }
}

/// Linux has a file that stands for a full disk.
#[cfg(target_os = "linux")]
#[test]
fn answers_that_do_not_reach_stdout_are_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rows.npy");
    embeddings(&file, &random_rows(30, DIMENSION, 5));
    let data = directory.path().join("data");
    let common = ["--data-dir", text(&data), "--partition", "bws.1"];
    let embeddings = ["--embeddings", text(&file)];
    success(&vultus(
        &[
            &["gallery", "import", "--encoder", "test"],
            &common[..],
            &embeddings,
        ]
        .concat(),
    ));
    for verb in [
        [&["identify", "--json"], &embeddings[..]].concat(),
        [&["identify"], &embeddings[..]].concat(),
        vec!["gallery", "duplicates", "--threshold", "-1", "--json"],
        vec!["gallery", "duplicates", "--threshold", "-1"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_vultus"))
            .args([&verb[..], &common].concat())
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{verb:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("No space left"), "{said}");
    }
}
