//! The program itself, started as a user starts it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::naive;
use crate::harness::{Bws, Door, Program, Registered, Who, pictures};

pub(super) fn vultus(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(arguments)
        .output()
        .unwrap()
}

pub(super) fn success(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Asserts that it could not be done, and returns what was said about it.
pub(super) fn failure(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "data went to stdout");
    assert!(said.starts_with("error: "), "{said}");
    said
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(super) fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub(super) fn npy(path: &Path, descr: &str, shape: &str, values: &[u8]) {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(values);
    std::fs::write(path, bytes).unwrap();
}

pub(super) fn embeddings(path: &Path, rows: &[Vec<f32>]) {
    let shape = format!("({}, {})", rows.len(), rows[0].len());
    npy(path, "<f4", &shape, bytemuck::cast_slice(&rows.concat()));
}

pub(super) fn random_rows(count: usize, dimension: usize, seed: u64) -> Vec<Vec<f32>> {
    use rand::{RngExt, SeedableRng};
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut row = || {
        (0..dimension)
            .map(|_| random.random_range(-1.0..1.0))
            .collect()
    };
    (0..count).map(|_| row()).collect()
}

pub(super) fn face(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/faces")
        .join(name)
}

#[test]
fn imported_embeddings_are_identified_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (rows, probes) = (random_rows(300, 40, 1), random_rows(70, 40, 2));
    let classes: Vec<i64> = (0..300).map(|row| row % 100 - 50).collect();
    embeddings(&at("rows.npy"), &rows);
    embeddings(&at("probes.npy"), &probes);
    npy(
        &at("classes.npy"),
        "<i8",
        "(300,)",
        bytemuck::cast_slice(&classes),
    );
    let data = at("data");
    let data = text(&data);
    success(&vultus(&[
        "gallery",
        "import",
        "--data-dir",
        data,
        "--partition",
        "bws.1",
        "--encoder",
        "test",
        "--embeddings",
        text(&at("rows.npy")),
        "--classes",
        text(&at("classes.npy")),
    ]));
    let printed = success(&vultus(&[
        "identify",
        "--data-dir",
        data,
        "--partition",
        "bws.1",
        "--top",
        "5",
        "--json",
        "--embeddings",
        text(&at("probes.npy")),
    ]));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), probes.len());
    let gallery: Vec<naive::Row> = classes.into_iter().zip(rows).collect();
    for (at, (line, probe)) in lines.iter().zip(&probes).enumerate() {
        // As text: a shortest decimal names one double, and programs rely on the very form.
        let found: Vec<String> = naive::search(&gallery, probe, 5, None)
            .iter()
            .map(|m| {
                let similarity = serde_json::to_string(&m.similarity).unwrap();
                format!("{{\"class\":{},\"similarity\":{similarity}}}", m.class)
            })
            .collect();
        assert_eq!(
            *line,
            format!("{{\"probe\":{at},\"matches\":[{}]}}", found.join(","))
        );
    }
    let info = json_lines(&success(&vultus(&[
        "gallery",
        "info",
        "--data-dir",
        data,
        "--json",
    ])));
    assert_eq!(
        (&info[0]["classes"], &info[0]["templates"]),
        (&100.into(), &300.into())
    );
}

#[test]
fn an_import_of_all_or_nothing_changes_nothing_and_names_the_row() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let data = at("data");
    let import = |file: &Path, partition: &str| {
        vultus(&[
            "gallery",
            "import",
            "--data-dir",
            text(&data),
            "--partition",
            partition,
            "--encoder",
            "test",
            "--all-or-nothing",
            "--embeddings",
            text(file),
        ])
    };
    for (value, name) in [(f32::NAN, "nan"), (f32::INFINITY, "inf")] {
        let mut rows = random_rows(20, 16, 3);
        rows[13][4] = value;
        embeddings(&at("bad.npy"), &rows);
        let said = failure(&import(&at("bad.npy"), "bws.1"));
        assert!(said.contains("row 13"), "{name}: {said}");
    }
    let mut rows = random_rows(20, 16, 3);
    rows[7].fill(0.0);
    embeddings(&at("bad.npy"), &rows);
    assert!(failure(&import(&at("bad.npy"), "bws.1")).contains("row 7"));
    // The partition was not made, and so is not bound to sixteen values.
    embeddings(&at("good.npy"), &random_rows(5, 24, 4));
    success(&import(&at("good.npy"), "bws.1"));
    embeddings(&at("bad.npy"), &random_rows(5, 16, 4));
    let said = failure(&import(&at("bad.npy"), "bws.1"));
    assert!(
        said.contains("test@1/24") && said.contains("test@1/16"),
        "{said}"
    );
    let info = json_lines(&success(&vultus(&[
        "gallery",
        "info",
        "--data-dir",
        text(&data),
        "--json",
    ])));
    assert_eq!(info[0]["templates"], 5);
}

#[test]
fn pictures_are_enrolled_by_folder_and_identified() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (name, to) in [
        ("obama-portrait.jpg", "people/s1"),
        ("biden-portrait.jpg", "people/s2"),
    ] {
        std::fs::create_dir_all(at(to)).unwrap();
        std::fs::copy(face(name), at(to).join(name)).unwrap();
    }
    std::fs::write(at("people/s2/broken.jpg"), b"no picture").unwrap();
    let (data, people) = (at("data"), at("people"));
    let common = ["--data-dir", text(&data), "--partition", "bws.1", "--json"];
    let enrolled = vultus(&[&["enroll"], &common[..], &[text(&people)]].concat());
    assert_eq!(enrolled.status.code(), Some(1), "one picture was refused");
    let outcomes = json_lines(&String::from_utf8(enrolled.stdout).unwrap());
    let accepted: Vec<bool> = outcomes
        .iter()
        .map(|line| line["accepted"] == true)
        .collect();
    assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 2);

    let new = face("obama-speech.jpg");
    let identified = vultus(&[&["identify"], &common[..], &[text(&new)]].concat());
    let answers = json_lines(&success(&identified));
    assert_eq!(answers[0]["matches"][0]["class"], 1);
    assert_eq!(answers[0]["matches"].as_array().unwrap().len(), 1);
    assert_eq!(answers[0]["threshold"], 0.41);
    assert_eq!(answers[0]["decision"], "match");
    assert!(
        answers[0]["confidence"].as_f64().unwrap() > 0.9,
        "{answers:?}"
    );
    assert_eq!(answers[0]["fpir"]["extrapolated"], true);
    assert_eq!(
        answers[0]["faces"][0]["confidence"],
        answers[0]["confidence"]
    );
    let all = vultus(&[&["identify", "--all"], &common[..], &[text(&new)]].concat());
    let answers = json_lines(&success(&all));
    assert!(answers[0]["matches"][0]["score"].as_f64().unwrap() > 0.5);
    assert!(answers[0]["matches"][1]["score"].as_f64().unwrap() < 0.5);
    // What is decided does not depend on who is listed.
    assert_eq!(answers[0]["decision"], "match");
    let one = vultus(&[&["identify", "--top", "1"], &common[..], &[text(&new)]].concat());
    let one = json_lines(&success(&one));
    assert_eq!(one[0]["matches"].as_array().unwrap().len(), 1);
    let fused = vultus(
        &[
            &["identify", "--fuse"],
            &common[..],
            &[text(&new), text(&new)],
        ]
        .concat(),
    );
    let fused = json_lines(&success(&fused));
    assert_eq!(fused[0]["decision"], "match");
    assert_eq!(fused[0]["threshold"], 0.41);
    let strict = [
        &["identify", "--threshold", "0.99"],
        &common[..],
        &[text(&new)],
    ]
    .concat();
    let nobody = vultus(&strict);
    assert_eq!(nobody.status.code(), Some(1), "nobody is that similar");
    let nobody = json_lines(&String::from_utf8(nobody.stdout).unwrap());
    assert_eq!(nobody[0]["decision"], "unknown");
    assert_eq!(nobody[0]["confidence"], Value::Null);
    assert!(nobody[0]["fpir"]["rate"].as_f64().unwrap() < 1e-3);
}

/// Pictures, their embeddings, and those of an encoder that nothing is known of.
#[test]
fn a_stranger_is_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let data = at("data");
    let run = |verb: &[&str], partition: &str, more: &[&str]| {
        let common = ["--data-dir", text(&data), "--partition", partition];
        vultus(&[verb, &common, more].concat())
    };
    let (biden, obama) = (face("biden-portrait.jpg"), face("obama-speech.jpg"));
    let enroll = ["enroll", "--class", "-3"];
    success(&run(&enroll, "bws.1", &[text(&biden)]));
    let stranger = run(&["identify"], "bws.1", &[text(&obama)]);
    assert_eq!(stranger.status.code(), Some(1));
    let said = String::from_utf8(stranger.stdout).unwrap();
    assert!(said.ends_with("obama-speech.jpg: unknown\n"), "{said}");
    let both = ["--json", text(&obama), text(&biden)];
    let answers = json_lines(&success(&run(&["identify"], "bws.1", &both)));
    assert_eq!(answers[0]["matches"].as_array().unwrap().len(), 0);
    assert_eq!(answers[1]["matches"][0]["class"], -3);
    for all in [&["--all"][..], &["--threshold", "-1"]] {
        let answers = run(&["identify", "--json", text(&obama)], "bws.1", all);
        let answers = json_lines(&success(&answers));
        assert_eq!(answers[0]["matches"][0]["class"], -3, "{all:?}");
    }
    // One that is refused among others that are answered.
    let refused = at("text.jpg");
    std::fs::write(&refused, b"no picture").unwrap();
    let some = run(&["identify"], "bws.1", &[text(&biden), text(&refused)]);
    assert_eq!(some.status.code(), Some(1));
    // An operator's threshold, for all partitions and for one.
    let settings = at("settings.toml");
    let config = ["--config", text(&settings), "--json", text(&obama)];
    for (line, code) in [
        ("verification-threshold = -1", 0),
        ("verification-thresholds = { \"bws.1\" = 1.0 }", 1),
    ] {
        std::fs::write(&settings, line).unwrap();
        let answer = run(&["identify"], "bws.1", &config);
        assert_eq!(answer.status.code(), Some(code), "{line}");
    }

    // Ready embeddings of the encoder that is built in, and of another.
    let probes = at("probes.npy");
    embeddings(&probes, &random_rows(4, 128, 1));
    for (partition, encoder) in [("bws.2", "sface@2021dec"), ("bws.3", "other@1")] {
        let rows = at("rows.npy");
        embeddings(&rows, &random_rows(4, 128, 2));
        let import = ["gallery", "import", "--encoder", encoder, text(&rows)];
        success(&run(&import, partition, &[]));
    }
    let ask = ["identify", "--embeddings", text(&probes)];
    let strangers = run(&ask, "bws.2", &[]);
    assert_eq!(strangers.status.code(), Some(1));
    let said = String::from_utf8(strangers.stdout).unwrap();
    assert_eq!(said.matches(": unknown\n").count(), 4, "{said}");
    success(&run(&ask, "bws.2", &["--all"]));
    for (more, listed) in [
        (&["--json"][..], 0),
        (&["--json", "--all", "--top", "1"], 1),
    ] {
        let strangers = run(&ask, "bws.2", more);
        for answer in json_lines(&String::from_utf8(strangers.stdout).unwrap()) {
            assert_eq!(answer["decision"], "unknown", "{answer}");
            assert_eq!(answer["matches"].as_array().unwrap().len(), listed);
            assert_eq!(answer["threshold"], 0.41);
        }
    }
    let listed = run(&ask, "bws.3", &["--json"]);
    let said = String::from_utf8(listed.stderr.clone()).unwrap();
    assert_eq!(json_lines(&success(&listed)).len(), 4);
    let note = "no threshold is known for `other@1/128`";
    assert_eq!(said.matches(note).count(), 1, "{said}");
    let asked = run(&ask, "bws.3", &["--threshold", "0.9"]);
    assert_eq!((asked.status.code(), asked.stderr.len()), (Some(1), 0));
    let both = run(
        &["identify", "--all", "--threshold", "0.5"],
        "bws.3",
        &["a.jpg"],
    );
    failure(&both);
}

#[test]
fn whoever_is_enrolled_as_somebody_else_is_told_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let enroll = |class: &str, picture: &str, more: &[&str]| {
        let common = ["enroll", "--data-dir", text(&data), "--partition", "bws.1"];
        let of = ["--class", class, "--json", text(&face(picture))].map(str::to_owned);
        let of: Vec<&str> = of.iter().map(String::as_str).collect();
        vultus(&[&common, more, &of].concat())
    };
    success(&enroll("1", "obama-portrait.jpg", &[]));
    let refuse = ["--enroll-duplicates", "refuse"];
    let refused = enroll("2", "obama-speech.jpg", &refuse);
    assert_eq!(refused.status.code(), Some(1));
    let line = json_lines(&String::from_utf8(refused.stdout).unwrap()).remove(0);
    assert_eq!(
        (&line["accepted"], &line["duplicate_of"]),
        (&false.into(), &1.into())
    );
    assert!(
        line["error"]
            .as_str()
            .unwrap()
            .contains("enrolled as class 1"),
        "{line}"
    );
    success(&enroll("1", "obama-speech.jpg", &refuse));
    success(&enroll("3", "biden-portrait.jpg", &refuse));
    let warned = enroll(
        "4",
        "obama-white-house.jpg",
        &["--enroll-duplicates", "warn"],
    );
    let said = String::from_utf8(warned.stderr.clone()).unwrap();
    assert!(said.contains("class 4 look like class 1"), "{said}");
    let line = json_lines(&success(&warned)).remove(0);
    assert_eq!(
        (&line["accepted"], &line["duplicate_of"]),
        (&true.into(), &1.into())
    );
    let quiet = enroll("5", "obama-white-house.jpg", &[]);
    assert_eq!(json_lines(&success(&quiet))[0]["duplicate_of"], Value::Null);
    for bad in [
        ["--enroll-duplicates", "maybe"],
        ["--enroll-duplicates-fpir", "0"],
        ["--enroll-duplicates-fpir", "1"],
        ["--enroll-duplicates-fpir", "-3"],
        ["--enroll-duplicates-fpir", "NaN"],
        ["--enroll-duplicates-threshold", "2"],
    ] {
        let error = failure(&enroll("6", "obama-speech.jpg", &bad));
        assert!(
            error.contains(bad[0]) && error.contains("expected"),
            "{error}"
        );
    }
}

#[test]
fn the_demonstration_knows_a_person_and_not_a_stranger() {
    let told = success(&vultus(&["demo"]));
    let row = |picture: &str| {
        let row = told.lines().find(|line| line.contains(picture));
        row.unwrap_or_else(|| panic!("{told}")).to_owned()
    };
    for known in ["obama-speech.jpg", "obama-white-house.jpg"] {
        let row = row(known);
        assert!(row.contains("match") && row.contains("0.9"), "{row}");
    }
    let stranger = row("biden-portrait.jpg");
    assert!(
        stranger.contains("unknown") && stranger.contains("not alike"),
        "{stranger}"
    );
    assert!(told.contains("the stranger is unknown"), "{told}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let said = failure(&vultus(&["gallery", "info", "--data-dir", text(&missing)]));
    assert!(
        said.contains("--data-dir") && said.contains(text(&missing)),
        "{said}"
    );
    assert!(!missing.exists(), "looking makes nothing");
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let create = [
        "app",
        "create",
        "--name",
        "x",
        "--storage",
        "bws",
        "--data-dir",
    ];
    assert!(failure(&vultus(&[&create[..], &[text(&file)]].concat())).contains("cannot create"));
    let output = vultus(&["identify", "--partition", "bws", "x.jpg"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("storage.partition")
    );
}

/// Flag, variable and file all reach the networks, which refuse a library that cannot be loaded
/// whether or not the program was built for one.
#[test]
fn a_library_that_does_not_find_faces_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("missing.so");
    let settings = folder.path().join("settings.toml");
    let line = format!("onnxruntime = {:?}\n", text(&library));
    std::fs::write(&settings, line).unwrap();
    let data = folder.path().join("data");
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/data/faces/obama-portrait.jpg");
    let enroll = |flags: &[&str], variable: Option<&Path>| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_vultus"));
        if let Some(library) = variable {
            program.env("VULTUS_ONNXRUNTIME", library);
        }
        program.args(["--data-dir", text(&data)]).args(flags);
        program.args(["enroll", "--partition", "bws.1", "--class", "1", picture]);
        failure(&program.output().unwrap())
    };
    for said in [
        enroll(&["--onnxruntime", text(&library)], None),
        enroll(&[], Some(&library)),
        enroll(&["--config", text(&settings)], None),
    ] {
        assert!(said.contains("ONNX Runtime"), "{said}");
        assert!(said.contains(text(&library)), "{said}");
    }
}

#[test]
fn help_is_there_for_every_verb() {
    for verb in [
        &["--help"][..],
        &["demo", "--help"],
        &["serve", "--help"],
        &["app", "--help"],
    ] {
        assert!(success(&vultus(verb)).contains("Usage: vultus"));
    }
    for verb in ["enroll", "identify", "gallery"] {
        assert!(success(&vultus(&[verb, "--help"])).contains("Usage: vultus"));
    }
    let duplicates = success(&vultus(&["gallery", "duplicates", "--help"]));
    assert!(duplicates.contains("Usage: vultus gallery duplicates"));
}

#[test]
fn people_survive_a_killed_server_and_there_is_no_second_one() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let task = |server: &Program, task: &str, picture: &str| -> Value {
        let token = server.token(&format!("bcid=bws.1.7&task={task}"));
        server.accepted(&token, picture);
        server.task(&token, task).json()
    };

    let server = Program::start(&data, &registered);
    let enrolled = task(&server, "enroll", pictures::obama());
    assert_eq!(enrolled["Success"], true);
    let beside = |verb: &[&str]| vultus(&[&["--data-dir", text(&data)], verb].concat());
    let info = success(&beside(&["gallery", "info", "--json"]));
    assert_eq!(json_lines(&info)[0]["templates"], 1);
    assert_eq!(success(&beside(&["gallery", "list"])), "bws.1\n");
    success(&beside(&["gallery", "verify"]));
    // What changes something is done by the server, and there is one at a time.
    success(&beside(&["gallery", "compact"]));
    assert!(success(&beside(&["app", "list"])).contains(&server.credentials(Who::Main).id));
    let said = failure(&beside(&["serve", "--listen", "127.0.0.1:0"]));
    assert!(said.contains("in use by another process"), "{said}");
    drop(server);

    let server = Program::start(&data, &registered);
    let identified = task(&server, "identify", pictures::obama_again());
    assert_eq!(identified["Matches"][0]["ClassID"], 7, "{identified}");
}
