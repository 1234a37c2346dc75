//! People whom `vultus gallery import` and `vultus enroll` bring in a second time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use vultus::secrets::MasterKey;

use super::cli::{embeddings, face, failure, json_lines, npy, random_rows, success, text, vultus};
use super::naive;
use crate::harness::{Program, Registered};

/// A folder with rows of which the last is of the person of class 2, with another class, and a data directory
/// to be.
struct Place {
    folder: tempfile::TempDir,
    alike: f64,
}

const CLASSES: [i64; 5] = [1, 2, 2, 4, 5];
const WARN: [&str; 4] = [
    "--enroll-duplicates",
    "warn",
    "--enroll-duplicates-threshold",
    "0.9",
];
const REFUSE: [&str; 4] = [
    "--enroll-duplicates",
    "refuse",
    "--enroll-duplicates-threshold",
    "0.9",
];

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = random_rows(5, 64, 8);
        rows[4] = rows[1].clone();
        rows[4][0] += 0.1;
        embeddings(&folder.path().join("rows.npy"), &rows);
        let classes = bytemuck::cast_slice(&CLASSES);
        npy(&folder.path().join("classes.npy"), "<i8", "(5,)", classes);
        let alike = naive::cosine(&rows[1], &rows[4]);
        Place { folder, alike }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn import(&self, more: &[&str]) -> Output {
        let [data, rows, classes] = ["data", "rows.npy", "classes.npy"].map(|it| self.at(it));
        let common = [
            "gallery",
            "import",
            text(&rows),
            "--classes",
            text(&classes),
        ];
        let into = [
            "--partition",
            "bws.1",
            "--encoder",
            "test",
            "--data-dir",
            text(&data),
        ];
        vultus(&[&common[..], &into, more].concat())
    }

    fn found(&self, imported: bool) -> Value {
        let kept = if imported {
            "; it is imported all the same"
        } else {
            ""
        };
        json!({
            "item": 4, "class": 5, "duplicate_of": 2, "similarity": self.alike, "imported": imported,
            "reason": format!("class 5 looks like class 2, similarity {:.2}{kept}", self.alike),
        })
    }

    fn report(&self) -> PathBuf {
        self.at("rows.npy.refused.jsonl")
    }
}

/// What was said in JSON, and the exit code.
fn said(output: &Output) -> (Value, i32) {
    let stdout = std::str::from_utf8(&output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!stdout.is_empty(), "{error}");
    (json_lines(stdout).remove(0), output.status.code().unwrap())
}

#[test]
fn an_import_names_those_who_are_there_already_or_refuses_them() {
    for (flags, is_imported) in [(WARN, true), (REFUSE, false)] {
        let place = Place::new();
        let dry = place.import(&[&flags[..], &["--dry-run", "--json"]].concat());
        let (line, code) = said(&dry);
        assert_eq!(line["duplicate_items"], json!([place.found(is_imported)]));
        assert_eq!(code, i32::from(!is_imported));
        assert!(!place.at("data").exists() && !place.report().exists());

        let (line, code) = said(&place.import(&[&flags[..], &["--json"]].concat()));
        assert_eq!(code, i32::from(!is_imported));
        assert_eq!(line["duplicate_items"], json!([place.found(is_imported)]));
        let counts = ["imported", "refused", "duplicates"].map(|it| line[it].as_u64().unwrap());
        assert_eq!(counts, if is_imported { [5, 0, 1] } else { [4, 1, 1] });
        assert_eq!(line["report"], text(&place.report()));
        let report = fs::read_to_string(place.report()).unwrap();
        assert_eq!(json_lines(&report), [place.found(is_imported)]);

        // Once more: nobody is somebody else who has the own class already.
        let again = place.import(&[&flags[..], &["--overwrite"]].concat());
        let told = String::from_utf8(again.stderr).unwrap();
        assert_eq!(
            told.contains("item 4: class 5 looks like class 2"),
            !is_imported,
            "{told}"
        );
        assert_eq!(
            told.contains("1 of 5 items look like people"),
            !is_imported,
            "{told}"
        );
        assert_eq!(again.status.code(), Some(i32::from(!is_imported)));
    }
    // Nobody looks unless it is asked for.
    let place = Place::new();
    let (line, code) = said(&place.import(&["--json"]));
    assert_eq!(
        (&line["imported"], &line["duplicates"], code),
        (&json!(5), &json!(0), 0)
    );
    assert!(!place.report().exists());
}

#[test]
fn all_or_nothing_adds_nothing_if_one_is_refused_and_all_if_they_are_only_named() {
    let place = Place::new();
    let refused = failure(&place.import(&[&REFUSE[..], &["--all-or-nothing"]].concat()));
    assert!(refused.contains("class 5 looks like class 2"), "{refused}");
    assert!(!place.at("data").exists());
    let (line, code) = said(&place.import(&[&WARN[..], &["--all-or-nothing", "--json"]].concat()));
    assert_eq!(
        (&line["imported"], &line["report"], code),
        (&json!(5), &Value::Null, 0)
    );
    assert_eq!(line["duplicate_items"], json!([place.found(true)]));
}

#[test]
fn where_no_threshold_is_known_it_is_said_and_none_is_refused_by_chance() {
    let place = Place::new();
    let refused = failure(&place.import(&REFUSE[..2]));
    for word in [
        "`test@1/64`",
        "--enroll-duplicates-threshold",
        "vultus calibrate",
    ] {
        assert!(refused.contains(word), "{refused}");
    }
    assert!(!place.report().exists());
    let warned = place.import(&[&WARN[..2], &["--json"]].concat());
    let told = String::from_utf8_lossy(&warned.stderr).into_owned();
    assert!(told.contains("nobody is looked for now"), "{told}");
    assert_eq!(said(&warned).0["duplicates"], 0);
    for bad in [
        ["--enroll-duplicates", "yes"],
        ["--enroll-duplicates-threshold", "1.5"],
    ] {
        assert!(failure(&place.import(&bad)).contains("expected"));
    }
}

#[test]
fn an_encrypted_data_directory_and_a_service_find_the_same() {
    let place = Place::new();
    let (key, data) = (place.at("key"), place.at("data"));
    fs::write(&key, MasterKey::random().1.as_bytes()).unwrap();
    let key = format!("file:{}", text(&key));
    let keyed = ["--master-key", &*key, "--encryption", "on"];
    let registered = Registered::create_with(&data, &keyed);
    let server = Program::start_with(&data, &registered, &keyed, std::process::Stdio::null());
    let (line, code) = said(&place.import(&[&REFUSE[..], &keyed, &["--json"]].concat()));
    assert_eq!(
        (&line["imported"], &line["refused"], code),
        (&json!(4), &json!(1), 1)
    );
    assert_eq!(line["duplicate_items"], json!([place.found(false)]));
    let report = fs::read_to_string(place.report()).unwrap();
    assert_eq!(json_lines(&report), [place.found(false)]);
    server.terminate();
    let alone = [&WARN[..], &keyed, &["--json", "--overwrite"]].concat();
    let (line, code) = said(&place.import(&alone));
    assert_eq!(
        (&line["imported"], &line["known"], code),
        (&json!(1), &json!(4), 0)
    );
    assert_eq!(line["duplicate_items"], json!([place.found(true)]));
}

/// Copies a portrait into a folder of its own.
fn portrait(folders: &Path, folder: &str, name: &str) {
    fs::create_dir_all(folders.join(folder)).unwrap();
    fs::copy(face(name), folders.join(folder).join(name)).unwrap();
}

#[test]
fn two_folders_of_one_call_that_show_one_person_are_found() {
    let place = Place::new();
    let folders = place.at("people");
    portrait(&folders, "Anna", "obama-portrait.jpg");
    portrait(&folders, "Bob", "biden-portrait.jpg");
    portrait(&folders, "Carl", "obama-speech.jpg");
    let enroll = |data: &str, flags: &[&str]| {
        let data = place.at(data);
        let common = [
            "enroll",
            "--partition",
            "bws.1",
            "--json",
            "--data-dir",
            text(&data),
        ];
        vultus(&[&common[..], flags, &[text(&folders)]].concat())
    };
    let warned = enroll("warned", &WARN[..2]);
    let told = String::from_utf8(warned.stderr.clone()).unwrap();
    assert!(
        told.contains("pictures of `Carl` (who is new) look like `Anna` (who is new)"),
        "{told}"
    );
    let lines = json_lines(&success(&warned));
    assert_eq!(lines[2]["duplicate_of"], lines[0]["class"], "{lines:?}");
    assert_eq!(
        (&lines[0]["duplicate_of"], &lines[1]["duplicate_of"]),
        (&Value::Null, &Value::Null)
    );

    let refused = enroll("refused", &REFUSE[..2]);
    assert_eq!(refused.status.code(), Some(1));
    let lines = json_lines(std::str::from_utf8(&refused.stdout).unwrap());
    let accepted: Vec<_> = lines
        .iter()
        .map(|line| line["accepted"].as_bool().unwrap())
        .collect();
    assert_eq!(accepted, [true, true, false]);
    assert!(
        lines[2]["error"].as_str().unwrap().contains("`Anna`"),
        "{lines:?}"
    );

    // An import of the same folders, by the threshold of the encoder.
    let data = place.at("imported");
    let import = [
        "gallery",
        "import",
        "--partition",
        "bws.1",
        "--json",
        "--data-dir",
        text(&data),
    ];
    let pictures = ["--pictures", text(&folders)];
    let (line, code) = said(&vultus(&[&import[..], &REFUSE[..2], &pictures].concat()));
    assert_eq!(
        (&line["imported"], &line["refused"], code),
        (&json!(2), &json!(1), 1)
    );
    let found = &line["duplicate_items"][0];
    assert!(
        found["picture"]
            .as_str()
            .unwrap()
            .ends_with("obama-speech.jpg"),
        "{found}"
    );
    assert_eq!(found["duplicate_of"], 1);
}
