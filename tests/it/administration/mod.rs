//! Apps, keys and galleries managed beside a running service, over the socket in its data directory.

mod deployed;
mod ends;
mod foreign;
mod meeting;
mod random;
mod unread;
mod verbs;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use vultus::partition::{Pace, Store};

use crate::cli::{embeddings, json_lines, success, text, vultus};
use crate::harness::{Call, Credentials, Program, Registered, axis};

const SOCKET: &str = "admin.sock";

/// An import into the partition of these tests, but for its source.
const IMPORT: [&str; 6] = [
    "gallery",
    "import",
    "--encoder",
    "test@1",
    "--partition",
    "bws.7",
];

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
    let scopes =
        "enroll,identify,verify,read,delete,snapshot,embed,embeddings,scores,confirm,audit";
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
        &IMPORT[..],
        &["--classes", text(&labels), text(&file)],
        more,
    ]
    .concat();
    admin(data, &verb)
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
