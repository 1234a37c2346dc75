//! Commands whose answer nobody reads, as where `head` has seen enough.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{enrolled, import, prepared};
use crate::cli::{success, text};
use crate::harness::Program;

fn unread(data: &Path, verb: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    printing_to(writer.into(), data, verb)
}

fn printing_to(stdout: Stdio, data: &Path, verb: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vultus"));
    command.args(verb).args(["--data-dir", text(data)]);
    command
        .stdout(stdout)
        .stderr(Stdio::piped())
        .output()
        .unwrap()
}

const ERASE: [&str; 11] = [
    "gallery",
    "erase",
    "--json",
    "--partition",
    "bws.7",
    "--class",
    "1",
    "--class",
    "2",
    "--class",
    "3",
];

#[test]
fn a_change_is_made_to_its_end_alone_and_beside_a_service() {
    for is_served in [false, true] {
        let (directory, data, registered) = prepared();
        success(&import(&data, directory.path(), &[1, 2, 3, 4], &[]));
        let server = is_served.then(|| Program::start(&data, &registered));
        let erased = unread(&data, &ERASE);
        assert_eq!(erased.status.code(), Some(0), "{erased:?}");
        assert_eq!(enrolled(&data), BTreeSet::from([4]));
        // Its exit code is its own.
        let again = unread(&data, &ERASE);
        assert_eq!(again.status.code(), Some(1), "{again:?}");
        drop(server);
    }
}

#[test]
fn a_secret_that_was_not_shown_is_an_error() {
    let (_directory, data, _registered) = prepared();
    let app = ["app", "create", "--name", "new", "--storage", "bws"];
    let key = [
        "key",
        "create",
        "--name",
        "new",
        "--scopes",
        "read",
        "--everything",
    ];
    for verb in [&app[..], &key[..]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        for created in [unread(&data, verb), printing_to(full.into(), &data, verb)] {
            let said = String::from_utf8(created.stderr).unwrap();
            assert_eq!(created.status.code(), Some(2), "{said}");
            assert!(
                said.contains("was not shown") && said.contains("stdout"),
                "{said}"
            );
        }
    }
    // What only lists ends without a word.
    let listed = unread(&data, &["gallery", "list", "--partition", "bws.7"]);
    assert!(listed.status.code() != Some(101), "{listed:?}");
}
