//! Verbs do beside a service what they do alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use vultus::partition::Store;
use vultus::rates::Calibration;

use super::{
    IMPORT, SOCKET, admin, create_app, create_key, done, enrolled, import, prepared, start,
    status_of_app, status_of_key,
};
use crate::cli::{face, failure, json_lines, success, text};
use crate::harness::{Call, Door, Native, Program, axis};

#[test]
fn apps_and_keys_come_and_go_beside_a_service() {
    let (_directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let mode = fs::metadata(data.join(SOCKET))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    for round in 0..3 {
        let app = create_app(&data, &format!("app {round}"));
        assert_eq!(status_of_app(&server, &app), 200);
        let (id, key) = create_key(&data, &format!("key {round}"));
        assert_eq!(status_of_key(&server, &key), 200);
        assert!(done(&data, &["app", "list"]).contains(&app.id));
        let name = format!("app {round}");
        let twin = admin(
            &data,
            &["app", "create", "--name", &name, "--storage", "bws"],
        );
        let said = String::from_utf8_lossy(&twin.stderr);
        let told = format!("there is another app of this name, {}", app.id);
        assert!(twin.status.success() && said.contains(&told), "{said}");
        assert!(done(&data, &["key", "list"]).contains(&id));

        done(&data, &["app", "remove", &app.id]);
        assert_eq!(status_of_app(&server, &app), 401);
        done(&data, &["key", "revoke", &id]);
        assert_eq!(status_of_key(&server, &key), 401);
        assert!(!done(&data, &["app", "list"]).contains(&app.id));
        assert!(!done(&data, &["key", "list"]).contains(&id));
        // Told as it is told alone, with the same exit code.
        let again = failure(&admin(&data, &["key", "revoke", &id]));
        assert!(
            again.contains(&format!("error: there is no key `{id}`")),
            "{again}"
        );
        let again = failure(&admin(&data, &["app", "remove", &app.id]));
        assert!(again.contains("error: there is no app"), "{again}");
    }
    let quiet = admin(
        &data,
        &[
            "app",
            "create",
            "--name",
            "q",
            "--storage",
            "bws",
            "--quiet",
        ],
    );
    success(&quiet);
    assert_eq!(String::from_utf8_lossy(&quiet.stderr), "");
}

/// A line without what no two receipts have in common: names, times, and who signed them.
fn without_what_a_receipt_has_alone(line: &str) -> String {
    if line.starts_with("receipt ") {
        return "receipt".to_owned();
    }
    let Ok(mut told) = serde_json::from_str::<Value>(line) else {
        return line.to_owned();
    };
    if let Some(receipt) = told.get_mut("receipt").and_then(Value::as_object_mut) {
        let shared = ["partition", "class", "reason", "templates"];
        receipt.retain(|name, _| shared.contains(&name.as_str()));
        assert_eq!(receipt.len(), shared.len(), "{line}");
    }
    told.to_string()
}

#[test]
fn galleries_are_filled_and_emptied_beside_a_service_as_alone() {
    let (directory, data, registered) = prepared();
    let alone = directory.path().join("alone");
    let server = Program::start(&data, &registered);
    let classes: Vec<i64> = (1..=40).collect();
    let verbs: &[&[&str]] = &[
        &[
            "gallery",
            "erase",
            "--partition",
            "bws.7",
            "--class",
            "3",
            "--class",
            "77",
            "--json",
        ],
        &["gallery", "erase", "--partition", "bws.7", "--class", "4"],
        &["gallery", "compact", "--partition", "bws.7", "--json"],
        &["gallery", "compact"],
        &["gallery", "compact", "--partition", "bws.99"],
        &["gallery", "erase", "--partition", "bws.99", "--class", "4"],
        &["gallery", "info", "--json"],
    ];
    let said = |data: &Path| {
        let mut said = Vec::new();
        let mut tell = |output: Output| {
            let lines = |bytes: Vec<u8>| -> Vec<String> {
                let text = String::from_utf8(bytes).unwrap();
                text.lines().map(without_what_a_receipt_has_alone).collect()
            };
            let (out, err) = (lines(output.stdout), lines(output.stderr));
            said.push((output.status.code(), out, err));
        };
        tell(import(data, directory.path(), &classes, &["--json"]));
        tell(import(
            data,
            directory.path(),
            &classes[..9],
            &["--overwrite"],
        ));
        verbs.iter().for_each(|verb| tell(admin(data, verb)));
        said
    };
    let beside = said(&data);
    for (beside, alone) in beside.iter().zip(said(&alone)) {
        assert_eq!(*beside, alone);
    }
    assert_eq!(server.get("partitions/bws.7/classes/3").status, 404);
    assert_eq!(server.get("partitions/bws.7/classes/5").status, 200);
    // Pictures are looked at by the command.
    let people = directory.path().join("people/17");
    fs::create_dir_all(&people).unwrap();
    fs::copy(face("obama-portrait.jpg"), people.join("a.jpg")).unwrap();
    fs::write(people.join("b.jpg"), b"no picture").unwrap();
    let folder = directory.path().join("people");
    let enrolled = admin(&data, &["enroll", "--partition", "bws.8", text(&folder)]);
    let told = String::from_utf8_lossy(&enrolled.stderr).into_owned();
    assert_eq!(enrolled.status.code(), Some(1), "{told}");
    assert!(
        told.contains("enrolled 1 of 2 pictures of 1 person into bws.8"),
        "{told}"
    );
    assert_eq!(server.get("partitions/bws.8/classes/17").status, 200);
}

#[test]
fn an_import_reports_refuses_and_resumes_beside_a_service() {
    let (directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let lines = directory.path().join("new.jsonl");
    let item = |class: i64| json!({ "class": class, "embedding": axis(class as usize) });
    let bad = json!({ "class": 2, "embedding": vec![0.0; 16] });
    fs::write(&lines, format!("{}\n{bad}\n{}\n", item(1), item(3))).unwrap();
    let verb = [&IMPORT[..], &[text(&lines)]].concat();
    let imported = admin(&data, &verb);
    assert_eq!(imported.status.code(), Some(1));
    let report = fs::read_to_string(directory.path().join("new.jsonl.refused.jsonl")).unwrap();
    assert!(report.contains("\"line\":2"), "{report}");
    let refused = failure(&admin(&data, &[&verb[..], &["--all-or-nothing"]].concat()));
    assert!(refused.contains("row 1"), "{refused}");
    let again = admin(&data, &[&verb[..], &["--resume", "--json"]].concat());
    let said = &json_lines(std::str::from_utf8(&again.stdout).unwrap())[0];
    assert_eq!(
        (&said["earlier"], &said["imported"]),
        (&json!(3), &json!(2))
    );
    let other = [
        "gallery",
        "import",
        "--encoder",
        "other",
        "--partition",
        "bws.7",
        text(&lines),
    ];
    let refused = failure(&admin(&data, &[&other[..], &["--overwrite"]].concat()));
    assert!(refused.contains("test@1/16"), "{refused}");
    assert_eq!(server.get("partitions/bws.7/classes/3").status, 200);
}

/// What a path leads to may differ from process to process, as `/tmp` does where each has its own.
#[test]
fn the_report_of_an_import_is_where_the_command_sees_it() {
    let (directory, data, registered) = prepared();
    let _server = Program::start(&data, &registered);
    let lines = directory.path().join("new.jsonl");
    let item = |class: i64| json!({ "class": class, "embedding": axis(class as usize) });
    let bad = json!({ "class": 2, "embedding": vec![0.0; 16] });
    fs::write(&lines, format!("{bad}\n{}\n{bad}\n", item(1))).unwrap();
    let here = directory.path().join("here");
    fs::create_dir(&here).unwrap();
    let import = |more: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_vultus"))
            .args(
                [
                    &IMPORT[..],
                    &[text(&lines), "--data-dir", text(&data)],
                    more,
                ]
                .concat(),
            )
            .args(["--refused", "/proc/self/cwd/report"])
            .current_dir(&here)
            .output()
            .unwrap()
    };
    let imported = import(&[]);
    assert_eq!(imported.status.code(), Some(1), "{imported:?}");
    let report = fs::read_to_string(here.join("report")).unwrap();
    assert_eq!(report.lines().count(), 2, "{report}");
    assert!(report.starts_with("{\"item\":0,\"line\":1,"), "{report}");
    // One that is there is not replaced unasked, and then it is.
    fs::write(here.join("report"), "mine").unwrap();
    let refused = failure(&import(&[]));
    assert!(refused.contains("report"), "{refused}");
    assert_eq!(fs::read(here.join("report")).unwrap(), b"mine");
    assert_eq!(import(&["--overwrite"]).status.code(), Some(1));
    assert_eq!(fs::read_to_string(here.join("report")).unwrap(), report);
    // What is done already is not reported again.
    let again = import(&["--resume"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert_eq!(fs::read_to_string(here.join("report")).unwrap(), report);
}

#[test]
fn people_whom_a_service_refuses_are_in_the_report_of_the_command() {
    let (directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let lines = directory.path().join("new.jsonl");
    let item = |class: i64, name: &str, at: usize| {
        json!({ "class": class, "embedding": axis(at), "name": name }).to_string()
    };
    let text_of = [
        item(1, "Ada", 1),
        item(1, "Eve", 2),
        "no JSON".to_owned(),
        item(2, "Bob", 3),
        item(2, "Rob", 4),
    ];
    fs::write(&lines, text_of.join("\n")).unwrap();
    let verb = [&IMPORT[..], &[text(&lines)]].concat();
    assert_eq!(admin(&data, &verb).status.code(), Some(1));
    let report = fs::read_to_string(directory.path().join("new.jsonl.refused.jsonl")).unwrap();
    let mut refused: Vec<u64> = json_lines(&report)
        .iter()
        .map(|line| line["line"].as_u64().unwrap())
        .collect();
    refused.sort();
    assert_eq!(refused, [2, 3, 5], "{report}");
    assert!(
        !report.contains("Eve") && !report.contains("Rob"),
        "{report}"
    );
    let ada = server.get("partitions/bws.7/classes/1");
    assert_eq!(ada.json()["name"], "Ada");
    // There is nothing left to do, and the report is known to be whole.
    let again = admin(&data, &[&verb[..], &["--resume", "--json"]].concat());
    let said = &json_lines(std::str::from_utf8(&again.stdout).unwrap())[0];
    assert_eq!((&said["earlier"], &said["refused"]), (&json!(5), &json!(3)));
}

#[test]
fn a_data_directory_whose_name_is_no_text_has_a_service_too() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let (directory, data, registered) = prepared();
    let odd = directory.path().join(OsStr::from_bytes(b"d\xffta"));
    fs::rename(&data, &odd).unwrap();
    // The other way to it is for the harness.
    std::os::unix::fs::symlink(&odd, &data).unwrap();
    let server = Program::start(&data, &registered);
    let create = std::process::Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args([
            "app",
            "create",
            "--name",
            "odd",
            "--storage",
            "bws",
            "--data-dir",
        ])
        .arg(&odd)
        .current_dir(&odd)
        .output()
        .unwrap();
    success(&create);
    assert!(done(&data, &["app", "list"]).contains("odd"));
    drop(server);
}

#[test]
fn many_commands_at_once_are_each_done_once() {
    let (directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let classes: Vec<i64> = (1..=60).collect();
    success(&import(&data, directory.path(), &classes, &[]));
    let mut commands = Vec::new();
    for at in 1..=6 {
        let class = at.to_string();
        let name = format!("app {at}");
        commands.push(start(
            &data,
            &["app", "create", "--name", &name, "--storage", "bws"],
        ));
        let erase = [
            "gallery",
            "erase",
            "--partition",
            "bws.7",
            "--class",
            &class,
            "--json",
        ];
        commands.push(start(&data, &erase));
        commands.push(start(&data, &["gallery", "compact"]));
    }
    for command in commands {
        let output = command.wait_with_output().unwrap();
        // An erased class may still be being read by another command.
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{told}");
    }
    let apps = json_lines(&done(&data, &["app", "list", "--json"]));
    let named = apps
        .iter()
        .filter(|app| app["name"].as_str().unwrap().starts_with("app "));
    assert_eq!(named.count(), 6);
    for class in 1..=7 {
        let found = server
            .get(&format!("partitions/bws.7/classes/{class}"))
            .status;
        assert_eq!(found, if class <= 6 { 404 } else { 200 }, "{class}");
    }
}

#[test]
fn what_a_command_measures_is_kept_by_the_service() {
    let (directory, data, registered) = prepared();
    let _server = Program::start(&data, &registered);
    let calibrate = ["calibrate", "--partition", "bws.7", "--json"];
    let error = failure(&admin(&data, &calibrate));
    assert!(error.contains("there is no gallery `bws.7`"), "{error}");
    let few: Vec<i64> = (1..=19).collect();
    success(&import(&data, directory.path(), &few, &[]));
    let error = failure(&admin(&data, &calibrate));
    assert!(error.contains("19 people are enrolled"), "{error}");
    let enough: Vec<i64> = (1..=40).collect();
    success(&import(&data, directory.path(), &enough, &["--overwrite"]));
    let told = json_lines(&done(&data, &calibrate)).remove(0);
    assert_eq!(
        (&told["classes"], &told["probes"]),
        (&json!(40), &json!(40))
    );
    let store = Store::open_read_only(&data).unwrap();
    let kept = store.state_get("calibration", "bws.7").unwrap().unwrap();
    assert_eq!(Calibration::from_bytes(&kept).unwrap().classes(), 40);
}

#[test]
fn a_damaged_gallery_is_mended_beside_the_service_that_has_it() {
    let (directory, data, registered) = prepared();
    let classes: Vec<i64> = (1..=40).collect();
    success(&import(&data, directory.path(), &classes, &[]));
    done(&data, &["gallery", "compact"]);
    let snapshot = directory.path().join("copy.tar.zst");
    done(&data, &["gallery", "snapshot", "--to", text(&snapshot)]);
    let segments = fs::read_dir(data.join("segments/1")).unwrap();
    let [segment] = &segments.map(|it| it.unwrap().path()).collect::<Vec<_>>()[..] else {
        panic!("everything is in one file");
    };
    // The last page is that of the values, behind which only the table comes.
    let mut bytes = fs::read(segment).unwrap();
    let values = bytes.len() - 4096;
    bytes[values] ^= 1;
    fs::write(segment, bytes).unwrap();

    let server = Program::start(&data, &registered);
    let ready = || server.send(Call::new("GET", "/readyz")).status;
    let probe = json!({"embeddings": [axis(3)], "encoder": "test@1"});
    let identify = || server.post("partitions/bws.7/identify", &probe).status;
    assert_eq!((identify(), ready()), (500, 503));
    assert_eq!(server.delete("partitions/bws.7/classes/5").status, 200);
    let repair = ["gallery", "repair"];
    let refused = admin(&data, &repair);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("39 are lost"), "{said}");
    assert_eq!((identify(), ready()), (500, 503));
    for (more, why) in [
        (&["--from-segments"][..], "stop that process"),
        (&["--accept-catalog"], "stop that process"),
        (&["--partition", "bws.99"], "there is no gallery"),
        (&["--from", "missing.tar.zst"], "missing.tar.zst"),
    ] {
        let said = failure(&admin(&data, &[&repair[..], more].concat()));
        assert!(said.contains(why), "{more:?}: {said}");
    }
    let mended = done(&data, &["gallery", "repair", "--from", text(&snapshot)]);
    assert!(
        mended.contains("39 came from the snapshot, 0 are lost"),
        "{mended}"
    );
    assert_eq!((identify(), ready()), (200, 200));
    // Who was removed stays removed, and the service goes on with what was mended.
    assert_eq!(server.get("partitions/bws.7/classes/5").status, 404);
    assert_eq!(server.get("partitions/bws.7/classes/6").status, 200);
    assert_eq!(server.delete("partitions/bws.7/classes/6").status, 200);
    drop(server);
    let left = (1..=40).filter(|class| ![5, 6].contains(class));
    assert_eq!(enrolled(&data), left.collect());
}
