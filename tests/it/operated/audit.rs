//! The audit log of a running service: what stands in it, that a kill loses nothing that was answered, and
//! what the commands say of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use vultus::access::ServerKey;
use vultus::audit::{Actor, AuditKey, AuditLog, AuditOptions, Event, Record};
use vultus::types::{Clock, Timestamp};

use crate::cli::{embeddings, failure, json_lines, random_rows, success, text, vultus};
use crate::harness::{Bws, Call, Door, Native, Program, Registered, Who, axis, pictures};

const IDENTIFY: &str = "partitions/bws.1/identify";

fn start(data: &Path, registered: &Registered, mode: &str) -> Program {
    Program::start_with(data, registered, &["--audit", mode], Stdio::null())
}

fn list(data: &Path) -> Vec<Value> {
    let all = [
        "audit",
        "list",
        "--last",
        "100000",
        "--json",
        "--data-dir",
        text(data),
    ];
    json_lines(&success(&vultus(&all)))
}

fn file(data: &Path) -> PathBuf {
    data.join("audit").join(format!("{:020}.jsonl", 1))
}

/// What `vultus audit verify` says, which must end with `code`.
fn verify(data: &Path, more: &[&str], code: i32) -> Value {
    let all = [
        &["audit", "verify", "--json", "--data-dir", text(data)],
        more,
    ]
    .concat();
    let output = vultus(&all);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    json_lines(&String::from_utf8(output.stdout).unwrap()).remove(0)
}

#[test]
fn who_did_what_is_written_and_no_secret_name_or_template() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let program = start(&data, &registered, "on");
    program.enroll_embedding("bws.1", 7, &axis(3));
    let class = "partitions/bws.1/classes/7";
    let name = json!({ "name": "Grace Hopper", "note": "agreed by letter" });
    let changed = program.call_by(&program.key(), "PATCH", class, name);
    assert_eq!(changed.status, 200);
    let body = json!({ "embeddings": [axis(3)], "encoder": "test", "threshold": 0.5 });
    for path in [IDENTIFY.to_owned(), format!("{class}/verify")] {
        program.post(&path, body.clone()).json();
    }
    let many = program.post("partitions/bws.1/identify-many", body);
    assert_eq!(many.status, 200);
    program.delete(class).json();
    let token = program.ready("bcid=bws.2.5&task=enroll");
    program.task(&token, "enroll").result();
    let token = program.ready("bcid=bws.2.0&task=identify");
    program.task(&token, "identify").result();
    let portrait = pictures::base64(&pictures::file("obama-portrait"));
    let picture = json!({ "pictures": [portrait] });
    program
        .post("partitions/bws.2/identify", picture.clone())
        .json();
    program
        .post("partitions/bws.2/identify-faces", picture)
        .json();
    let create = [
        "app",
        "create",
        "--name",
        "Punch cards",
        "--storage",
        "bws",
        "--data-dir",
    ];
    success(&vultus(&[&create[..], &[text(&data)]].concat()));
    assert_eq!(program.terminate(), Some(0));

    let records = list(&data);
    let events: Vec<&str> = records
        .iter()
        .map(|one| one["event"].as_str().unwrap())
        .collect();
    let expected = [
        "started",
        "enrolled",
        "changed",
        "identified",
        "verified",
        "identified",
        "deleted",
        "enrolled",
        "identified",
        "identified",
        "identified",
        "commanded",
        "stopped",
    ];
    assert_eq!(events, expected);
    let identified = &records[3];
    let key = program.key();
    assert_eq!(identified["caller"], format!("key {}", &key[3..19]));
    assert_eq!(identified["address"], "127.0.0.1");
    assert!(identified["request"].as_str().unwrap().len() > 10);
    for (member, value) in [
        ("partition", json!("bws.1")),
        ("people", json!(1)),
        ("encoder", json!("test@1")),
        ("threshold", json!(0.5)),
        ("decision", json!("match")),
        ("candidates", json!(["7"])),
    ] {
        let found = &identified[member];
        let is_right = *found == value || member == "encoder" && found.is_string();
        assert!(is_right, "{member}: {found}");
    }
    assert_eq!(records[4]["decision"], "accepted");
    // The same samples are known again, through whatever door.
    let probes: Vec<&Value> = [1, 3, 4, 5].map(|at| &records[at]["probe"]).into();
    assert!(probes.iter().all(|probe| *probe == probes[0]), "{probes:?}");
    assert_ne!(records[8]["probe"], *probes[0]);
    assert_eq!(records[6]["templates"], 1);
    let app = program.credentials(Who::Main);
    assert_eq!(records[7]["caller"], format!("app {}", app.id));
    assert_eq!(records[8]["candidates"], json!(["5"]));
    assert_eq!(records[11]["object"], "app create");

    let written = fs::read_to_string(file(&data)).unwrap();
    for secret in [
        "Grace",
        "Hopper",
        "letter",
        "Punch",
        &key,
        &app.secret,
        &portrait[..40],
    ] {
        assert!(!written.contains(secret), "{secret}");
    }
    let report = verify(&data, &[], 0);
    assert_eq!(
        (&report["good"], &report["findings"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(report["records"], records.len());
    let export = ["audit", "export", "--data-dir", text(&data)];
    assert_eq!(success(&vultus(&export)), written);
    let csv = success(&vultus(&[&export[..], &["--format", "csv"]].concat()));
    assert_eq!(csv.lines().count(), records.len() + 1);
    assert!(csv.starts_with("sequence,time,event,caller,"));
}

#[test]
fn what_was_answered_is_in_the_log_after_a_kill_and_what_is_changed_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let program = start(&data, &registered, "strict");
    program.enroll_embedding("bws.1", 7, &axis(3));
    let ids: Vec<String> = (0..20).map(|at| format!("request-{at}")).collect();
    for id in &ids {
        let body = json!({ "embeddings": [axis(3)], "encoder": "test" });
        let call = Call::new("POST", format!("/v1/{IDENTIFY}"));
        let call = call
            .by_bearer(&program.key())
            .header("X-Request-Id", &id[..]);
        program.send(call.with(body)).json();
    }
    drop(program);
    let listed = list(&data);
    let found: Vec<&str> = listed
        .iter()
        .filter_map(|one| one["request"].as_str())
        .collect();
    assert!(ids.iter().all(|id| found.contains(&&id[..])), "{found:?}");
    let before = verify(&data, &[], 0);

    // Half a line, as a kill leaves it.
    let good = fs::read_to_string(file(&data)).unwrap();
    fs::write(file(&data), format!("{good}{{\"sequence\":")).unwrap();
    verify(&data, &[], 1);
    let program = start(&data, &registered, "strict");
    assert_eq!(program.terminate(), Some(0));
    let head = before["head"].as_str().unwrap();
    let after = verify(&data, &["--head", head], 0);
    assert_eq!(after["findings"][0]["damage"], false, "{after}");

    let good = fs::read_to_string(file(&data)).unwrap();
    let lines: Vec<&str> = good.split_inclusive('\n').collect();
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat().concat();
    let bad = [
        good.replacen("\"class\":\"7\"", "\"class\":\"8\"", 1),
        without(4),
        // Cut off at a signature: the catalog remembers more.
        lines[..lines.len() - 4].concat(),
        String::new(),
    ];
    for text in bad {
        fs::write(file(&data), &text).unwrap();
        let report = verify(&data, &[], 1);
        assert_eq!(report["good"], false);
        let findings = report["findings"].as_array().unwrap();
        assert!(findings.iter().any(|it| it["damage"] == true), "{report}");
    }
    // Nothing is written behind what is damaged.
    fs::write(file(&data), without(4)).unwrap();
    let refused = vultus(&[
        "serve",
        "--audit",
        "on",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        text(&data),
    ]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("vultus audit verify"), "{said}");
    fs::write(file(&data), good).unwrap();
    verify(&data, &[], 0);
}

#[test]
fn what_cannot_be_compared_is_no_log_that_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let program = start(&data, &registered, "on");
    assert_eq!(program.terminate(), Some(0));
    let good = verify(&data, &[], 0);
    let known = |name: &str| good[name].as_str().unwrap().to_owned();
    let (head, key) = (known("head"), known("public_key"));
    let with_key = ["--public-key", &key[..]];
    let with_head = ["--head", &head[..]];
    let lost = |name: &str, given: &[&str]| {
        let (path, bytes) = (data.join(name), fs::read(data.join(name)).unwrap());
        fs::write(&path, b"nonsense").unwrap();
        let report = verify(&data, &[], 2);
        assert_eq!(report["good"], false, "{name}: {report}");
        assert_eq!(report["findings"], json!([]), "{name}");
        assert_eq!(verify(&data, given, 0)["good"], true, "{name}");
        fs::write(&path, bytes).unwrap();
    };
    lost("server.key", &with_key);
    lost("catalog.redb", &[&with_key[..], &with_head].concat());
    fs::rename(data.join("server.key"), data.join("away")).unwrap();
    verify(&data, &[], 2);
    verify(&data, &with_key, 0);
    // A copy of the log alone has nothing to be compared with.
    let copy = directory.path().join("copy");
    fs::create_dir_all(copy.join("audit")).unwrap();
    fs::copy(file(&data), file(&copy)).unwrap();
    verify(&copy, &with_key, 0);
    verify(&copy, &[], 0);
}

#[test]
fn what_is_printed_of_a_damaged_log_does_not_pass_for_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let program = start(&data, &registered, "on");
    program.enroll_embedding("bws.1", 7, &axis(3));
    assert_eq!(program.terminate(), Some(0));
    let good = fs::read_to_string(file(&data)).unwrap();
    let code = |verb: &[&str]| {
        let all = [&["audit"], verb, &["--data-dir", text(&data)]].concat();
        let output = vultus(&all);
        assert!(!output.stdout.is_empty());
        output.status.code()
    };
    let verbs: [&[&str]; 3] = [&["list"], &["export"], &["export", "--format", "csv"]];
    for (text, expected) in [
        (good.replacen("\"class\":\"7\"", "\"class\":\"8\"", 1), 1),
        (format!("{good}{{\"sequence\":"), 1),
        (good.clone(), 0),
    ] {
        fs::write(file(&data), text).unwrap();
        for verb in verbs {
            assert_eq!(code(verb), Some(expected), "{verb:?}");
        }
    }
}

#[test]
fn nothing_is_answered_while_a_strict_log_is_moved_away() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let program = start(&data, &registered, "strict");
    program.enroll_embedding("bws.1", 7, &axis(3));
    let body = || json!({ "embeddings": [axis(3)], "encoder": "test" });
    program.post(IDENTIFY, body()).json();
    let (folder, away) = (data.join("audit"), directory.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    let refused = program.post(IDENTIFY, body());
    refused.problem(500, "internal");
    assert!(!refused.body.contains("\"class\""), "{refused:?}");
    fs::rename(&away, &folder).unwrap();
    program.post(IDENTIFY, body()).json();
    assert_eq!(program.terminate(), Some(0));
    verify(&data, &[], 0);
}

#[test]
fn a_wrong_head_or_key_and_no_log_at_all_are_said_plainly() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let said = |more: &[&str]| {
        let all = [&["audit", "verify", "--data-dir", text(&data)], more].concat();
        let output = vultus(&all);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&[]).contains("the setting audit"));
    let program = start(&data, &registered, "on");
    assert_eq!(program.terminate(), Some(0));
    for head in ["", "7", "x:ab", ":"] {
        assert!(said(&["--head", head]).contains("NUMBER:DIGEST"), "{head}");
    }
    assert!(said(&["--public-key", "12"]).contains("64 hexadecimal digits"));
    let other = "0".repeat(64);
    let report = verify(&data, &["--public-key", &other], 1);
    assert!(
        report["findings"][0]["text"]
            .as_str()
            .unwrap()
            .contains("another key")
    );
    let report = verify(&data, &["--head", "999:ab"], 1);
    assert!(
        report["findings"][0]["text"]
            .as_str()
            .unwrap()
            .contains("cut off")
    );
}

#[test]
fn commands_without_a_service_are_in_the_log_before_they_begin() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let rows = directory.path().join("rows.npy");
    embeddings(&rows, &random_rows(9, 32, 3));
    let run = |words: &[&str]| vultus(&[words, &["--data-dir", text(&data)]].concat());
    let import = [
        "gallery",
        "import",
        text(&rows),
        "--encoder",
        "test",
        "--partition",
    ];
    // Where no log is kept none is begun.
    success(&run(&[&import[..], &["bws.1"]].concat()));
    assert!(!data.join("audit").exists());
    let registered = Registered::create(&data);
    start(&data, &registered, "on").terminate();
    let before = list(&data).len();
    success(&run(&[&import[..], &["bws.2"]].concat()));
    let erase = ["gallery", "erase", "--partition", "bws.2", "--class"];
    success(&run(&[&erase[..], &["3"]].concat()));
    // Also one that is refused, and one that removes nothing.
    assert_eq!(run(&[&erase[..], &["99"]].concat()).status.code(), Some(1));
    let nobody = ["gallery", "erase", "--partition", "bws.9", "--class", "3"];
    assert_eq!(run(&nobody).status.code(), Some(2));
    let remove = [
        "gallery",
        "remove",
        "--partition",
        "bws.2",
        "--confirm",
        "bws.2",
    ];
    success(&run(&remove));
    // Those that only look on are not.
    success(&run(&["gallery", "info"]));
    let written = list(&data).split_off(before);
    let shown: Vec<_> = written
        .iter()
        .map(|it| (&it["object"], &it["partition"], &it["class"]))
        .collect();
    let (two, nine) = (json!("bws.2"), json!("bws.9"));
    let (import, erase) = (json!("gallery import"), json!("gallery erase"));
    let (remove, three, null) = (json!("gallery remove"), json!("3"), json!(null));
    let expected = [
        (&import, &two, &null),
        (&erase, &two, &three),
        (&erase, &two, &json!("99")),
        (&erase, &nine, &three),
        (&remove, &two, &null),
    ];
    assert_eq!(shown, expected);
    for record in &written {
        assert_eq!(record["event"], "commanded");
        let caller = record["caller"].as_str().unwrap();
        assert!(caller.starts_with("command line of user "), "{caller}");
    }
    assert_eq!(verify(&data, &[], 0)["good"], true);
    // What cannot be accounted for is not begun.
    let log = file(&data);
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replacen("started", "stopped", 1)).unwrap();
    let refused = run(&["gallery", "erase", "--partition", "bws.1", "--class", "1"]);
    let said = failure(&refused);
    assert!(
        said.contains("accounting for this command") && said.contains("nothing was changed"),
        "{said}"
    );
    fs::write(&log, text).unwrap();
    start(&data, &registered, "on").terminate();
    assert_eq!(verify(&data, &[], 0)["good"], true);
}

/// Those that open the data directory in their own way, some of which nobody could open before.
#[test]
fn commands_that_replace_keys_and_catalogs_are_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let rows = directory.path().join("rows.npy");
    embeddings(&rows, &random_rows(9, 32, 3));
    let run = |words: &[&str]| vultus(&[words, &["--data-dir", text(&data)]].concat());
    let import = ["gallery", "import", text(&rows), "--encoder", "test"];
    success(&run(&[&import[..], &["--partition", "bws.1"]].concat()));
    let registered = Registered::create(&data);
    start(&data, &registered, "on").terminate();
    let before = list(&data).len();
    let key = |name: &str| {
        let path = directory.path().join(name);
        fs::write(&path, "0123456789abcdef".repeat(4)).unwrap();
        // Or every command warns of it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        format!("file:{}", path.display())
    };
    let (first, second) = (key("first.key"), key("second.key"));
    success(&run(&["key", "rotate"]));
    // An older catalog, which is taken all the same, and none.
    let catalog = data.join("catalog.redb");
    let older = fs::read(&catalog).unwrap();
    let create = [
        "key",
        "create",
        "--everything",
        "--scopes",
        "read",
        "--name",
    ];
    success(&run(&[&create[..], &["one"]].concat()));
    fs::write(&catalog, &older).unwrap();
    failure(&run(&[&create[..], &["two"]].concat()));
    success(&run(&["gallery", "repair", "--accept-catalog"]));
    success(&run(&["gallery", "repair", "--accept-catalog"]));
    fs::remove_file(&catalog).unwrap();
    success(&run(&["gallery", "repair", "--from-segments"]));
    // What cannot be accounted for is not begun.
    let encrypt = ["gallery", "encrypt", "--master-key", &first];
    let log = file(&data);
    let written = fs::read_to_string(&log).unwrap();
    fs::write(&log, written.replacen("started", "stopped", 1)).unwrap();
    let server_key = fs::read(data.join("server.key")).unwrap();
    for refused in [&encrypt[..], &["key", "rotate"]] {
        let said = failure(&run(refused));
        assert!(said.contains("nothing was changed"), "{said}");
    }
    assert!(!data.join("gallery.keys").exists());
    assert_eq!(fs::read(data.join("server.key")).unwrap(), server_key);
    fs::write(&log, written).unwrap();
    success(&run(&encrypt));
    let change = ["gallery", "change-master-key", "--to", &second];
    success(&run(&[&change[..], &["--master-key", &first]].concat()));
    // One that is there already is left as it is.
    success(&run(&["init", "--master-key", &second]));
    let written = list(&data).split_off(before);
    let shown: Vec<_> = written.iter().map(|it| it["object"].clone()).collect();
    let expected = [
        "key rotate",
        "key create",
        "gallery repair",
        "gallery repair",
        "gallery encrypt",
        "gallery change-master-key",
    ];
    assert_eq!(shown, expected.map(|it| json!(it)));
    assert!(written.iter().all(|it| it["event"] == "commanded"));
    let keyed = ["--master-key", &*second];
    assert_eq!(verify(&data, &keyed, 0)["good"], true);
}

#[test]
fn old_files_go_and_the_rest_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    start(&data, &registered, "on").terminate();
    // As it would be after a year.
    let key = ServerKey::open(&data).unwrap().unwrap();
    let folder = data.join("audit");
    fs::remove_dir_all(&folder).unwrap();
    let year_ago = Timestamp {
        unix_milliseconds: Clock::System.now().unix_milliseconds - 365 * 86_400_000,
    };
    let begin = || {
        let key = AuditKey::from_seed(&key.audit_seed());
        let options = AuditOptions::default();
        let log = AuditLog::open(&folder, key, options, None, year_ago).unwrap();
        log.record(
            Record::new(year_ago, Event::Started, Actor::default()),
            None,
        );
    };
    begin();
    let run = |keep: &str| {
        let flags = ["--audit", "on", "--audit-keep", keep];
        Program::start_with(&data, &registered, &flags, Stdio::null()).terminate();
    };
    run("9000d");
    let said = verify(&data, &[], 1);
    assert_eq!(said["first"], 1, "nothing is old enough: {said}");
    fs::remove_dir_all(&folder).unwrap();
    begin();
    run("90d");
    let said = verify(&data, &[], 1);
    assert_eq!(said["first"], 3, "{said}");
    let texts = said["findings"].to_string();
    assert!(texts.contains("begins with number 3"), "{texts}");
    assert!(!texts.contains("are missing"), "{texts}");
}
