//! Where a command and a service meet, and who may.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{SOCKET, admin, create_app, done, prepared, status_of_app, status_of_key};
use crate::cli::{failure, text};
use crate::harness::{Program, Registered};

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
