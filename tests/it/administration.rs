//! Apps, keys and galleries managed beside a running service, over the socket in its data directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Value, json};
use vultus::partition::{Pace, Store};

use crate::cli::{embeddings, face, failure, json_lines, success, text, vultus};
use crate::harness::{Call, Credentials, Native, Program, Registered, axis};

const SOCKET: &str = "admin.sock";

/// Runs a command on a data directory.
fn admin(data: &Path, verb: &[&str]) -> Output {
    vultus(&[verb, &["--data-dir", text(data)]].concat())
}

fn done(data: &Path, verb: &[&str]) -> String {
    success(&admin(data, verb))
}

fn made(data: &Path, verb: &[&str]) -> Value {
    json_lines(&done(data, &[verb, &["--json"]].concat())).remove(0)
}

fn create_key(data: &Path, name: &str) -> (String, String) {
    let scopes = "enroll,identify,verify,read,delete,snapshot";
    let verb = [
        "key",
        "create",
        "--name",
        name,
        "--everything",
        "--scopes",
        scopes,
    ];
    let key = made(data, &verb);
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

fn create_app(data: &Path, name: &str) -> Credentials {
    let app = made(data, &["app", "create", "--name", name, "--storage", "bws"]);
    let text = |name: &str| app[name].as_str().unwrap().to_owned();
    Credentials {
        id: text("id"),
        secret: text("secret"),
    }
}

/// What the service says to an app, and to a key.
fn status_of_app(server: &Program, app: &Credentials) -> u16 {
    let query = format!("token?id={}&bcid=bws.1.1&task=verify", app.id);
    let call = Call::new("GET", query).by_app(app);
    from_anywhere(server, &call)
}

fn status_of_key(server: &Program, key: &str) -> u16 {
    let call = Call::new("GET", "/v1/status").by_bearer(key);
    from_anywhere(server, &call)
}

/// Asks from an address of this machine that nobody has failed to log in from.
fn from_anywhere(server: &Program, call: &Call) -> u16 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let [lowest, low, ..] = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    server
        .send_from(Ipv4Addr::new(127, 1, low, lowest), call)
        .status
}

/// A data directory and what may call.
fn prepared() -> (tempfile::TempDir, PathBuf, Registered) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    (directory, data, registered)
}

/// An `.npy` file of templates of classes, and the file of these classes.
fn import_files(directory: &Path, classes: &[i64]) -> (PathBuf, PathBuf) {
    let (file, labels) = (directory.join("new.npy"), directory.join("classes.npy"));
    let rows: Vec<Vec<f32>> = classes.iter().map(|it| axis(*it as usize % 16)).collect();
    embeddings(&file, &rows);
    let bytes: Vec<u8> = classes.iter().flat_map(|it| it.to_le_bytes()).collect();
    let shape = format!("({},)", classes.len());
    crate::cli::npy(&labels, "<i8", &shape, &bytes);
    (file, labels)
}

fn import(data: &Path, directory: &Path, classes: &[i64], more: &[&str]) -> Output {
    let (file, labels) = import_files(directory, classes);
    let verb = [
        "gallery",
        "import",
        "--encoder",
        "test@1",
        "--partition",
        "bws.7",
        "--classes",
    ];
    let verb = [&verb[..], &[text(&labels), text(&file)], more].concat();
    admin(data, &verb)
}

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
            let out = String::from_utf8(output.stdout).unwrap();
            let err = String::from_utf8(output.stderr).unwrap();
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
    let verb = [
        "gallery",
        "import",
        "--encoder",
        "test@1",
        "--partition",
        "bws.7",
        text(&lines),
    ];
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

#[test]
fn a_socket_that_a_killed_service_left_is_passed_over_and_replaced() {
    let (_directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    server.kill();
    assert!(data.join(SOCKET).exists());
    let app = create_app(&data, "alone");
    let server = Program::start(&data, &registered);
    assert_eq!(status_of_app(&server, &app), 200);
    let other = create_app(&data, "beside");
    assert_eq!(status_of_app(&server, &other), 200);
    assert_eq!(server.terminate(), Some(0));
    assert!(
        !data.join(SOCKET).exists(),
        "a service that ends takes it away"
    );
    done(&data, &["app", "remove", &other.id]);
}

#[test]
fn what_is_no_socket_of_ours_is_left_alone_and_the_service_goes_on() {
    type Occupy = fn(&Path, &Path);
    let occupied: [(&str, Occupy); 4] = [
        ("a directory", |path, _| fs::create_dir(path).unwrap()),
        ("a file", |path, _| fs::write(path, b"mine").unwrap()),
        ("a link", |path, aside| symlink(aside, path).unwrap()),
        ("another program listens", |path, _| {
            // Kept for as long as the test runs.
            std::mem::forget(UnixListener::bind(path).unwrap());
        }),
    ];
    for (what, occupy) in occupied {
        let (directory, data, registered) = prepared();
        let (path, log) = (data.join(SOCKET), directory.path().join("log"));
        let aside = directory.path().join("aside");
        let _other = UnixListener::bind(&aside).unwrap();
        occupy(&path, &aside);
        let stderr = fs::File::create(&log).unwrap();
        let server = Program::start_with_stderr(&data, &registered, stderr);
        assert_eq!(status_of_key(&server, &registered.key()), 200);
        let told = fs::read_to_string(&log).unwrap();
        let lines: Vec<&str> = told
            .lines()
            .filter(|it| it.contains("cannot be managed"))
            .collect();
        assert!(
            matches!(lines[..], [line] if line.contains(what)),
            "{what}: {told}"
        );
        if what != "another program listens" {
            let refused = failure(&admin(&data, &["app", "remove", "x"]));
            assert!(
                refused.contains("in use by another process"),
                "{what}: {refused}"
            );
        }
        assert_eq!(server.terminate(), Some(0));
        assert!(path.symlink_metadata().is_ok(), "{what} is left alone");
    }
}

#[test]
fn a_data_directory_with_a_very_long_path_has_a_socket_too() {
    let directory = tempfile::tempdir().unwrap();
    let long = "a-long-name-".repeat(8);
    let data = directory.path().join(&long).join(&long).join("data");
    let registered = Registered::create(&data);
    let server = Program::start(&data, &registered);
    let app = create_app(&data, "far away");
    assert_eq!(status_of_app(&server, &app), 200);
    server.kill();
    create_app(&data, "alone");
    let server = Program::start(&data, &registered);
    assert_eq!(status_of_app(&server, &create_app(&data, "again")), 200);
}

/// Sends a line to the service and returns all that it answers.
fn talk(data: &Path, line: &[u8]) -> String {
    let mut stream = UnixStream::connect(data.join(SOCKET)).unwrap();
    stream.write_all(line).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn another_version_and_nonsense_are_told_so() {
    let (_directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let own = env!("CARGO_PKG_VERSION");
    let answer = talk(&data, b"{\"version\":\"99.1.0\",\"ask\":{\"fly\":1}}\n");
    assert!(
        answer.starts_with('f') && answer.contains("99.1.0") && answer.contains(own),
        "{answer}"
    );
    let answer = talk(
        &data,
        format!("{{\"version\":\"{own}\",\"ask\":{{\"fly\":1}}}}\n").as_bytes(),
    );
    assert!(
        answer.starts_with('f') && answer.contains("cannot read"),
        "{answer}"
    );
    for nonsense in [
        &b""[..],
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"{\"version\":",
        b"\0\xff\n",
    ] {
        talk(&data, nonsense);
    }
    for verb in [
        &["serve"][..],
        &["identify", "--partition", "bws.1", "x"],
        &["gallery", "restore"],
    ] {
        let run = json!({ "run": { "arguments": verb, "directory": "/", "input": null } });
        let line = format!("{}\n", json!({ "version": own, "ask": run }));
        assert!(talk(&data, line.as_bytes()).starts_with('f'), "{verb:?}");
    }
    create_app(&data, "still here");
    assert_eq!(status_of_key(&server, &registered.key()), 200);
}

/// Stands in for a service: answers the first request that comes with these bytes.
fn pretend(data: &Path, answer: &'static [u8]) -> thread::JoinHandle<()> {
    let listener = UnixListener::bind(data.join(SOCKET)).unwrap();
    thread::spawn(move || {
        // One connection looks whether somebody is here, the next asks.
        let _looked = listener.accept().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        stream.write_all(answer).unwrap();
    })
}

#[test]
fn a_command_says_what_is_not_known() {
    for (answer, expected) in [
        (&b""[..], "ended before it said whether this is done"),
        (b"e\x05\0\0\0half", "in the middle of its answer"),
        (b"z\0\0\0\0", "in the middle of its answer"),
        (b"f\x0a\0\0\0version 99", "error: version 99"),
        (b"n\0\0\0\0", "asks for what there is not"),
    ] {
        let (_directory, data, _registered) = prepared();
        let service = pretend(&data, answer);
        let told = failure(&admin(&data, &["gallery", "compact"]));
        assert!(told.contains(expected), "{expected}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        service.join().unwrap();
    }
}

#[test]
fn a_service_that_ends_while_it_is_sent_something_is_no_success() {
    // How many times it asks for a piece before, and its last word.
    for (pieces, last, expected) in [
        (0, &b""[..], "the service ended"),
        (0, b"f\x0a\0\0\0full disk!", "error: full disk!"),
        (1, b"", "the service ended"),
        (1, b"f\x0a\0\0\0full disk!", "full disk!"),
    ] {
        let (directory, data, _registered) = prepared();
        let listener = UnixListener::bind(data.join(SOCKET)).unwrap();
        let service = thread::spawn(move || {
            let _looked = listener.accept().unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            if pieces > 0 {
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
            }
            // Whatever it is sent from now on meets a broken pipe.
            stream.shutdown(Shutdown::Read).unwrap();
            stream.write_all(&b"n\0\0\0\0".repeat(pieces)).unwrap();
            stream.write_all(last).unwrap();
        });
        let classes: Vec<i64> = (1..=50).collect();
        let told = failure(&import(&data, directory.path(), &classes, &[]));
        assert!(told.contains(expected), "{expected}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        service.join().unwrap();
    }
}

/// Needs root, to be another user.
#[test]
fn another_user_is_refused_on_both_sides() {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        println!("only root can be another user, too");
        return;
    }
    let (directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let open_up = |path: &Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    };
    open_up(directory.path());
    open_up(&data);
    // The program may be where nobody may go. Another process copies it: the children that other
    // tests start at this moment would hold what this one has open for writing, and what is open
    // for writing cannot be run.
    let program = directory.path().join("vultus");
    let copied = Command::new("cp")
        .args([env!("CARGO_BIN_EXE_vultus"), text(&program)])
        .status();
    assert!(copied.unwrap().success());
    open_up(&program);
    let as_nobody = || {
        let mut command = Command::new(&program);
        command
            .args(["app", "remove", "x", "--data-dir", text(&data)])
            .uid(NOBODY);
        failure(&command.output().unwrap())
    };
    let told = as_nobody();
    // By the mode of the socket, or where the system does not look at it, by the service.
    assert!(
        told.contains("65534") && told.contains("administer"),
        "{told}"
    );
    // Even where the mode does not keep them out.
    open_up(&data.join(SOCKET));
    let told = as_nobody();
    assert!(
        told.contains("user 65534 may not administer this service"),
        "{told}"
    );
    assert_eq!(server.terminate(), Some(0));
}

/// A command that runs beside others.
fn start(data: &Path, verb: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(verb)
        .args(["--data-dir", text(data)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
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

/// What a data directory should hold.
#[derive(Default)]
struct Model {
    apps: BTreeMap<String, Credentials>,
    removed_apps: Vec<Credentials>,
    /// Keys by id.
    keys: BTreeMap<String, String>,
    revoked: Vec<String>,
    classes: BTreeSet<i64>,
}

impl Model {
    /// Gives one random command, and compares what the service does then with what it must do.
    fn step(&mut self, random: &mut StdRng, data: &Path, directory: &Path, server: &Program) {
        let pick = |random: &mut StdRng, count: usize| random.random_range(0..count);
        match random.random_range(0..11) {
            0 | 1 => {
                let app = create_app(data, "random");
                assert_eq!(status_of_app(server, &app), 200);
                self.apps.insert(app.id.clone(), app);
            }
            2 if !self.apps.is_empty() => {
                let at = pick(random, self.apps.len());
                let id = self.apps.keys().nth(at).unwrap().clone();
                done(data, &["app", "remove", &id]);
                let app = self.apps.remove(&id).unwrap();
                assert_eq!(status_of_app(server, &app), 401);
                self.removed_apps.push(app);
            }
            3 | 4 => {
                let (id, key) = create_key(data, "random");
                assert_eq!(status_of_key(server, &key), 200);
                self.keys.insert(id, key);
            }
            5 if !self.keys.is_empty() => {
                let at = pick(random, self.keys.len());
                let id = self.keys.keys().nth(at).unwrap().clone();
                done(data, &["key", "revoke", &id]);
                let key = self.keys.remove(&id).unwrap();
                assert_eq!(status_of_key(server, &key), 401);
                self.revoked.push(key);
            }
            6 | 7 => {
                let first = random.random_range(1..5_000);
                let classes: Vec<i64> = (first..first + random.random_range(1..40)).collect();
                success(&import(data, directory, &classes, &["--overwrite"]));
                self.classes.extend(classes);
            }
            8 if !self.classes.is_empty() => {
                let at = pick(random, self.classes.len());
                let class = *self.classes.iter().nth(at).unwrap();
                let number = class.to_string();
                let erase = [
                    "gallery",
                    "erase",
                    "--partition",
                    "bws.7",
                    "--class",
                    &number,
                    "--json",
                ];
                let erased = admin(data, &erase);
                let said = &json_lines(std::str::from_utf8(&erased.stdout).unwrap())[0];
                // Somebody may be reading what was stored.
                assert_eq!(said["was_enrolled"], true, "{said}");
                self.classes.remove(&class);
                let found = server.get(&format!("partitions/bws.7/classes/{class}"));
                assert_eq!(found.status, 404);
            }
            9 => drop(done(data, &["gallery", "compact"])),
            10 => {
                let to = directory.join("snapshot.tar.zst");
                done(
                    data,
                    &["gallery", "snapshot", "--overwrite", "--to", text(&to)],
                );
                done(
                    data,
                    &["gallery", "restore", "--check", "--from", text(&to)],
                );
            }
            _ => {}
        }
    }

    /// Compares all of it.
    fn check(&self, data: &Path, server: &Program) {
        for app in self.removed_apps.iter().rev().take(10) {
            assert_eq!(status_of_app(server, app), 401);
        }
        for key in self.revoked.iter().rev().take(10) {
            assert_eq!(status_of_key(server, key), 401);
        }
        self.apps
            .values()
            .for_each(|app| assert_eq!(status_of_app(server, app), 200));
        self.keys
            .values()
            .for_each(|key| assert_eq!(status_of_key(server, key), 200));
        let listed = json_lines(&done(data, &["app", "list", "--json"]));
        let random: BTreeSet<&str> = listed
            .iter()
            .filter(|app| app["name"] == "random")
            .map(|app| app["id"].as_str().unwrap())
            .collect();
        assert_eq!(random, self.apps.keys().map(String::as_str).collect());
        assert_eq!(enrolled(data), self.classes);
    }
}

/// The classes that a data directory holds, seen from beside.
fn enrolled(data: &Path) -> BTreeSet<i64> {
    let store = Store::open_read_only(data).unwrap();
    let verified = store.verify(None, &Pace::unlimited(), |_, _| {}).unwrap();
    assert!(verified.damage.is_empty(), "{:?}", verified.damage);
    let Some(partition) = store.partition(&"bws.7".parse().unwrap()).unwrap() else {
        return BTreeSet::new();
    };
    let snapshot = partition.snapshot();
    let classes = snapshot.live_rows().map(|row| row.class().unwrap().0);
    classes.collect()
}

/// Gives so many random commands beside a service under load.
fn random_commands(count: usize) {
    let chosen = std::env::var("VULTUS_SEED").ok();
    let seed = chosen.map_or_else(|| rand::rng().next_u64(), |text| text.parse().unwrap());
    println!("VULTUS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let (mut model, stop, calls) = (Model::default(), AtomicBool::new(false), AtomicU64::new(0));
    server.enroll_embedding("bws.6", 1, &axis(1));
    thread::scope(|scope| {
        /// Also if the test fails.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        for load in 0..2 {
            let (server, stop, calls) = (&server, &stop, &calls);
            scope.spawn(move || {
                let mut class = 1;
                while !stop.load(Ordering::Relaxed) {
                    class += 1;
                    server.enroll_embedding("bws.6", class * 2 + load, &axis(class as usize % 16));
                    let asked = json!({ "embeddings": [axis(3)], "encoder": "test", "limit": 3, "threshold": 0.5 });
                    let found = server.post("partitions/bws.6/identify", asked);
                    assert!(matches!(found.status, 200 | 429 | 503), "{}", found.body);
                    calls.fetch_add(2, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
        for at in 1..=count {
            model.step(&mut random, &data, directory.path(), &server);
            if at % 100 == 0 || at == count {
                model.check(&data, &server);
            }
        }
    });
    println!("{count} commands beside {} calls", calls.into_inner());
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(enrolled(&data), model.classes);
}

#[test]
fn random_commands_beside_a_service_do_what_they_say() {
    random_commands(40);
}

#[test]
#[ignore = "takes minutes; CI runs it by name"]
fn a_thousand_random_commands_beside_a_service_do_what_they_say() {
    random_commands(1_000);
}

#[test]
fn a_service_killed_in_the_middle_of_a_command_loses_nothing_that_was_told() {
    let (directory, data, registered) = prepared();
    let mut random = StdRng::seed_from_u64(5);
    let first: Vec<i64> = (1..=3_000).collect();
    success(&import(&data, directory.path(), &first, &[]));
    let mut classes: BTreeSet<i64> = first.into_iter().collect();
    let more = directory.path().join("more");
    fs::create_dir(&more).unwrap();
    let (file, labels) = import_files(&more, &(10_001..=13_000).collect::<Vec<_>>());
    let import = [
        "gallery",
        "import",
        "--encoder",
        "test@1",
        "--partition",
        "bws.7",
        "--resume",
    ];
    let import = [&import[..], &["--classes", text(&labels), text(&file)]].concat();
    let mut apps = BTreeSet::new();
    for round in 0..12 {
        let server = Program::start(&data, &registered);
        let class = (round + 1).to_string();
        let verb: &[&str] = match round % 4 {
            0 => &[
                "gallery",
                "erase",
                "--partition",
                "bws.7",
                "--class",
                &class,
            ],
            1 => &[
                "app",
                "create",
                "--name",
                "killed",
                "--storage",
                "bws",
                "--json",
            ],
            2 => &["gallery", "compact"],
            _ => &import,
        };
        let command = start(&data, verb);
        thread::sleep(Duration::from_millis(random.random_range(0..150)));
        server.kill();
        let output = command.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        let is_done = output.status.success();
        // Where the kill came before the command, it was done alone.
        assert!(
            is_done || matches!(output.status.code(), Some(1 | 2)),
            "{told}"
        );
        if output.status.code() == Some(2) {
            assert!(told.contains("error: ") && told.contains("ended"), "{told}");
        }
        let found = enrolled(&data);
        match round % 4 {
            0 => {
                let is_gone = !found.contains(&(round + 1));
                assert!(is_gone || !is_done, "{round}: {told}");
                if is_gone {
                    classes.remove(&(round + 1));
                }
            }
            1 if is_done => {
                let made = json_lines(std::str::from_utf8(&output.stdout).unwrap());
                apps.insert(made[0]["id"].as_str().unwrap().to_owned());
            }
            3 if is_done => classes.extend(10_001..=13_000),
            _ => {}
        }
        let certain = found
            .iter()
            .copied()
            .filter(|class| *class <= 3_000 || classes.contains(class));
        assert_eq!(certain.collect::<BTreeSet<_>>(), classes, "{round}");
        let listed = done(&data, &["app", "list"]);
        assert!(apps.iter().all(|id| listed.contains(id)), "{round}");
    }
    success(&admin(&data, &import));
    classes.extend(10_001..=13_000);
    assert_eq!(enrolled(&data), classes);
}

#[test]
fn a_command_that_dies_does_no_harm() {
    let (directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let classes: Vec<i64> = (1..=2_000).collect();
    success(&import(&data, directory.path(), &classes, &[]));
    let more = directory.path().join("more");
    fs::create_dir(&more).unwrap();
    let (file, labels) = import_files(&more, &(10_001..=12_000).collect::<Vec<_>>());
    let import = [
        "gallery",
        "import",
        "--encoder",
        "test@1",
        "--partition",
        "bws.7",
        "--resume",
    ];
    let import = [&import[..], &["--classes", text(&labels), text(&file)]].concat();
    for wait in [0, 20, 60] {
        for verb in [&["gallery", "compact"][..], &import] {
            let mut command = start(&data, verb);
            thread::sleep(Duration::from_millis(wait));
            command.kill().unwrap();
            command.wait().unwrap();
        }
    }
    // One that says nothing, and one that says half.
    let _silent = UnixStream::connect(data.join(SOCKET)).unwrap();
    let mut half = UnixStream::connect(data.join(SOCKET)).unwrap();
    half.write_all(b"{\"version\":").unwrap();
    success(&admin(&data, &import));
    assert_eq!(status_of_key(&server, &registered.key()), 200);
    let expected: BTreeSet<i64> = classes.into_iter().chain(10_001..=12_000).collect();
    assert_eq!(enrolled(&data), expected);
    assert!(
        fs::metadata(data.join(SOCKET))
            .unwrap()
            .file_type()
            .is_socket()
    );
}

/// Gives a command something to read.
fn admin_reading(data: &Path, verb: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(verb)
        .args(["--data-dir", text(data)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What is refused at once is not read.
    let _unread = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn deployed_clients_keep_their_credentials() {
    let (_directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let create = |data: &Path, id: &str, input: &[u8]| {
        let verb = [
            "app",
            "create",
            "--name",
            "old",
            "--storage",
            "bws",
            "--id",
            id,
        ];
        admin_reading(data, &[&verb[..], &["--secret-stdin"]].concat(), input)
    };
    let known = [
        ("1234567890.12345.app.bioid.com", "Yd3/8+kQ1w=="),
        (
            "3B241101-E2BB-4255-8CAF-4136C566A962",
            "s/+=s/+=s/+=s/+=s/+=s/+=",
        ),
        ("an_id~with!odd*letters", "with: a colon and \"quotes\""),
    ];
    for (id, secret) in known {
        let created = create(&data, id, format!("{secret}\r\n").as_bytes());
        let told = [&created.stdout[..], &created.stderr].concat();
        assert!(
            created.status.success(),
            "{}",
            String::from_utf8_lossy(&told)
        );
        assert!(!String::from_utf8_lossy(&told).contains(secret), "{id}");
        let app = |secret: &str| Credentials {
            id: id.to_owned(),
            secret: secret.to_owned(),
        };
        assert_eq!(status_of_app(&server, &app(secret)), 200, "{id}");
        assert_eq!(status_of_app(&server, &app("Yd3/8+kQ1w=")), 401, "{id}");
        let again = failure(&create(&data, &id.to_lowercase(), b"another secret"));
        assert!(again.contains("there is an app `"), "{again}");
        assert_eq!(status_of_app(&server, &app(secret)), 200, "{id}");
    }
    for (id, input, expected) in [
        ("a:b", &b"long enough"[..], "no colon"),
        ("a b", b"long enough", "no spaces"),
        ("", b"long enough", "1 to 128 bytes"),
        ("fine", b"", "8 to 256"),
        ("fine", b"short\n", "8 to 256"),
        ("fine", &[b's'; 2_000], "8 to 256"),
        ("fine", b"one line\nand another", "one line"),
        ("fine", b"\xff\xfe long enough", "UTF-8"),
    ] {
        let refused = failure(&create(&data, id, input));
        assert!(refused.contains(expected), "{id:?}: {refused}");
        assert!(!refused.contains("long enough"), "{refused}");
    }
    let id = known[0].0;
    done(&data, &["app", "remove", id]);
    let app = Credentials {
        id: id.to_owned(),
        secret: known[0].1.to_owned(),
    };
    assert_eq!(status_of_app(&server, &app), 401);
    for missing in [&["--id", "x"][..], &["--secret-stdin"]] {
        let verb = ["app", "create", "--name", "old", "--storage", "bws"];
        failure(&admin(&data, &[&verb[..], missing].concat()));
    }
    // Nothing of a secret is in a file.
    assert_eq!(server.terminate(), Some(0));
    let catalog = fs::read(data.join("catalog.redb")).unwrap();
    for (_, secret) in known {
        assert!(
            !catalog
                .windows(secret.len())
                .any(|it| it == secret.as_bytes())
        );
    }
    // And alone.
    assert!(
        create(&data, "alone.example.org", b"12345678")
            .status
            .success()
    );
}
