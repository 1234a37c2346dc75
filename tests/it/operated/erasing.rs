//! The real service erases somebody over a socket, and the command verifies the receipt without it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use vultus::secrets::MasterKey;

use crate::cli::{json_lines, text, vultus};
use crate::harness::{Call, Door, Native, Program, Registered, Who, axis, bytes_of};

fn secret() -> Vec<f32> {
    (0..16).map(|at| 0.37 + at as f32 / 13.0).collect()
}

fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        // A socket is no file.
        let found = fs::read(&path).unwrap_or_default();
        found.windows(bytes.len()).any(|it| it == bytes)
    })
}

/// What `vultus audit verify-receipt` says, which must end with `code`.
fn verify(data: &Path, file: &Path, more: &[&str], code: i32) -> Value {
    let all = [
        "audit",
        "verify-receipt",
        text(file),
        "--json",
        "--data-dir",
        text(data),
    ];
    let output = vultus(&[&all[..], more].concat());
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    json_lines(&String::from_utf8(output.stdout).unwrap()).remove(0)
}

#[test]
fn nothing_is_left_of_somebody_who_was_erased_and_the_receipt_is_good_without_the_service() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let program = Program::start_with(&data, &registered, &[], Stdio::null());
    program.enroll_embedding("bws.1", 1, &secret());
    program.enroll_embedding("bws.1", 2, &[1.0; 16]);
    assert!(
        holds(&data, &bytes_of(&secret())),
        "or this test shows nothing"
    );
    let answer = program
        .delete("partitions/bws.1/classes/1?erase=now")
        .json();
    assert_eq!(answer["erased"], true);
    assert!(!holds(&data, &bytes_of(&secret())));
    assert_eq!(program.terminate(), Some(0));
    assert!(!holds(&data, &bytes_of(&secret())));

    let file = directory.path().join("receipt.json");
    fs::write(&file, answer["receipt"].to_string()).unwrap();
    let said = verify(&data, &file, &[], 0);
    assert_eq!(
        (&said["good"], &said["receipt"]),
        (&true.into(), &answer["receipt"])
    );
    let nowhere = directory.path().join("nowhere");
    let key = answer["receipt"]["public_key"].as_str().unwrap();
    verify(&nowhere, &file, &["--public-key", key], 0);
    verify(&nowhere, &file, &[], 0);
    assert!(!nowhere.exists());
    let other = "0".repeat(64);
    let said = verify(&nowhere, &file, &["--public-key", &other], 1);
    assert!(
        said["text"]
            .as_str()
            .unwrap()
            .contains("is signed with the key"),
        "{said}"
    );
    let whole = fs::read_to_string(&file).unwrap();
    for wrong in [
        &whole.replace("\"class\":\"1\"", "\"class\":\"2\""),
        &whole[..40],
        "",
    ] {
        fs::write(&file, wrong).unwrap();
        assert_eq!(verify(&data, &file, &[], 1)["good"], false);
    }
    let missing = directory.path().join("missing.json");
    let output = vultus(&["audit", "verify-receipt", text(&missing)]);
    assert_ne!(output.status.code(), Some(0));
}

/// Every file of a folder, open, so that its bytes are seen when its name is gone.
fn opened(folder: &Path, files: &mut Vec<(PathBuf, File)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => opened(&path, files),
            false => files.extend(File::open(&path).ok().map(|file| (path, file))),
        }
    }
}

/// What stands behind a name that somebody had opened.
fn bytes_behind((_, file): &(PathBuf, File)) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn an_encrypted_service_shows_nobody_in_any_file_and_leaves_nothing_of_who_was_erased() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let key = directory.path().join("master.key");
    fs::write(&key, MasterKey::random().1.as_bytes()).unwrap();
    let source = format!("file:{}", text(&key));
    let flags = ["--encryption", "on", "--master-key", &*source];
    let registered = Registered::create_with(&data, &flags);
    let program = Program::start_with(&data, &registered, &flags, Stdio::null());
    let app = program.credentials(Who::Main);
    let name = "Zebedee Quagga";
    let others: Vec<Vec<f32>> = (0..6).map(axis).collect();
    let mut parts = vec![
        bytes_of(&secret()),
        name.as_bytes().to_vec(),
        b"E-77-4711".to_vec(),
        b"zebra stripes".to_vec(),
        program.key().into_bytes(),
        app.secret.into_bytes(),
        fs::read(&key).unwrap(),
    ];
    parts.extend(others.iter().map(|values| bytes_of(values)));
    let assert_nothing_shows = |after: &str| {
        for part in &parts {
            assert!(
                !holds(&data, part),
                "{after}: {:?}",
                String::from_utf8_lossy(part)
            );
        }
    };
    // A command beside the service, with what it needs.
    let command = |verb: &[&str]| {
        let more = [
            "--json",
            "--data-dir",
            text(&data),
            "--master-key",
            &*source,
        ];
        let output = vultus(&[verb, &more].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        json_lines(&String::from_utf8(output.stdout).unwrap()).pop()
    };
    for (class, values) in (10..).zip(&others) {
        program.enroll_embedding("bws.1", class, values);
    }
    program.enroll_embedding("bws.1", 1, &secret());
    assert_nothing_shows("enrolled");
    let record = serde_json::json!({
        "name": name, "external_id": "E-77-4711", "note": "zebra stripes"
    });
    let described = program.call_by(
        &program.key(),
        "PATCH",
        "partitions/bws.1/classes/1",
        record,
    );
    assert_eq!(described.status, 200, "{}", described.body);
    assert_nothing_shows("described");
    // Into a segment, and more that is not.
    command(&["gallery", "compact", "--partition", "bws.1"]);
    assert_nothing_shows("compacted");
    program.enroll_embedding("bws.1", 1, &secret());
    let body = serde_json::json!({ "embeddings": [secret()], "encoder": "test" });
    let found = program.post("partitions/bws.1/identify", body);
    assert!(
        found.body.contains(name),
        "or this test shows nothing: {}",
        found.body
    );
    assert_nothing_shows("identified");
    let snapshot = directory.path().join("before.sealed");
    command(&["gallery", "snapshot", "--to", text(&snapshot)]);
    let archive = fs::read(&snapshot).unwrap();
    for part in &parts {
        assert!(!archive.windows(part.len()).any(|it| it == part));
    }

    let mut before = Vec::new();
    opened(&data, &mut before);
    let had: Vec<Vec<u8>> = before.iter().map(bytes_behind).collect();
    let answer = program
        .delete("partitions/bws.1/classes/1?erase=now")
        .json();
    assert_eq!(answer["erased"], true);
    assert_nothing_shows("erased");
    // Nor what was sealed: the old catalog is empty, and so is the row in the old segment.
    let mut were_looked_at = 0;
    for (file, had) in before.iter().zip(&had) {
        let now = bytes_behind(file);
        let kind = file.0.extension().and_then(|it| it.to_str());
        match kind {
            Some("redb") => assert!(now.iter().all(|byte| *byte == 0), "{}", file.0.display()),
            Some("vseg") => assert!(!file.0.exists() || now != *had, "{}", file.0.display()),
            _ => continue,
        }
        were_looked_at += 1;
    }
    assert!(were_looked_at >= 2, "{before:?}");
    let receipt = &answer["receipt"];
    let id = receipt["id"].as_str().unwrap();
    assert_eq!(&program.get(&format!("receipts/{id}")).json(), receipt);
    let file = directory.path().join("receipt.json");
    fs::write(&file, receipt.to_string()).unwrap();
    assert_eq!(verify(&data, &file, &[], 0)["good"], true);
    // Nothing is known of the person who was erased, and all of the others.
    let body = serde_json::json!({ "embeddings": [secret()], "encoder": "test" });
    let found = program.post("partitions/bws.1/identify", body);
    assert!(!found.body.contains(name), "{}", found.body);
    assert_eq!(program.get("partitions/bws.1").json()["templates"], 6);
    let removed = program
        .delete("partitions/bws.1?confirm=bws.1&erase=now")
        .json();
    assert_eq!(removed["erased"], true, "{removed}");
    assert_nothing_shows("removed as a whole");
    let segments: Vec<_> = fs::read_dir(data.join("segments")).unwrap().collect();
    assert!(segments.is_empty(), "{segments:?}");
    assert_eq!(program.terminate(), Some(0));
    assert_nothing_shows("stopped");
    assert_eq!(command(&["gallery", "info"]), None);
}

#[test]
fn deleteclass_waits_where_that_is_set() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let flags = ["--bws-delete-erases=true"];
    let program = Program::start_with(&data, &registered, &flags, Stdio::null());
    program.enroll_embedding("bws.1", 1, &secret());
    let path = "/extension/deleteclass?bcid=bws.1.1";
    let app = program.credentials(Who::Main);
    assert_eq!(
        program.send(Call::new("DELETE", path).by_app(&app)).status,
        200
    );
    assert!(!holds(&data, &bytes_of(&secret())));
    let receipts = program.get("receipts").json();
    let receipt = &receipts["receipts"][0];
    assert!(receipt["erased_unix_milliseconds"].is_i64(), "{receipt}");
}

#[test]
fn a_gallery_is_removed_beside_a_service_while_it_is_asked_and_enrolled_into() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let program = Program::start_with(&data, &registered, &[], Stdio::null());
    program.enroll_embedding("bws.1", 1, &secret());
    program.enroll_embedding("bws.2", 1, &[1.0; 16]);
    assert!(holds(&data, &bytes_of(&secret())));
    let remove = |partition: &str| {
        let output = vultus(&[
            "gallery",
            "remove",
            "--partition",
            partition,
            "--confirm",
            partition,
            "--json",
            "--data-dir",
            text(&data),
        ]);
        let said = String::from_utf8(output.stdout).unwrap();
        (
            output.status.code(),
            json_lines(&said).pop().unwrap_or_default(),
        )
    };
    let (code, said) = remove("bws.1");
    assert_eq!((code, &said["templates"]), (Some(0), &1.into()), "{said}");
    assert!(!holds(&data, &bytes_of(&secret())));
    assert_eq!(program.get("partitions/bws.1").status, 404);
    let id = said["receipt"]["id"].as_str().unwrap();
    assert_eq!(
        program.get(&format!("receipts/{id}")).json(),
        said["receipt"]
    );
    assert_eq!(remove("bws.1").0, Some(1));
    // Others enrol and ask all the time.
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            for round in 0..40 {
                program.enroll_embedding("bws.3", round % 5, &secret());
                let body = serde_json::json!({ "embeddings": [secret()], "encoder": "test" });
                let asked = program.post("partitions/bws.3/identify", body);
                assert!([200, 404].contains(&asked.status), "{asked:?}");
            }
        });
        for _ in 0..10 {
            let (code, said) = remove("bws.3");
            assert!([Some(0), Some(1)].contains(&code), "{said}");
        }
        others.join().unwrap();
    });
    remove("bws.3");
    assert!(!holds(&data, &bytes_of(&secret())));
    assert_eq!(program.get("partitions/bws.2").json()["templates"], 1);
    assert_eq!(program.terminate(), Some(0));
    assert!(!holds(&data, &bytes_of(&secret())));
}
