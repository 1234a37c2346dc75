//! One of both ends before the other has heard how it went.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{
    IMPORT, SOCKET, admin, done, enrolled, import, import_files, prepared, start, status_of_key,
};
use crate::cli::{failure, json_lines, success, text};
use crate::harness::Program;

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
    let source = ["--resume", "--classes", text(&labels), text(&file)];
    let import = [&IMPORT[..], &source].concat();
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
    let source = ["--resume", "--classes", text(&labels), text(&file)];
    let import = [&IMPORT[..], &source].concat();
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

/// An import that has begun, and of which the service waits for the first piece.
fn stopped_import(data: &Path, source: &str) -> UnixStream {
    let mut stream = UnixStream::connect(data.join(SOCKET)).unwrap();
    let ask = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ask": { "import": {
            "partition": "bws.7",
            "encoder": { "name": "test", "version": "1", "dimension": 16 },
            "name": source,
            "dimension": 16,
            "items_per_commit": 100,
            "facts": [],
            "existing": "refuse",
            "report": null,
        }},
    });
    stream.write_all(format!("{ask}\n").as_bytes()).unwrap();
    let mut asked = [0; 5];
    std::io::Read::read_exact(&mut stream, &mut asked).unwrap();
    assert_eq!(&asked, b"n\0\0\0\0", "{asked:?}");
    stream
}

#[test]
fn an_import_that_is_stopped_keeps_no_other_waiting() {
    let (directory, data, registered) = prepared();
    let server = Program::start(&data, &registered);
    let classes: Vec<i64> = (1..=20).collect();
    let (file, labels) = import_files(directory.path(), &classes);
    let source = file.canonicalize().unwrap();
    let others: Vec<UnixStream> = (0..3)
        .map(|at| stopped_import(&data, &format!("/other/{at}")))
        .collect();
    // Others go on beside them.
    success(&import(&data, directory.path(), &classes, &[]));
    // One of the same source waits, and says for whom.
    let same = stopped_import(&data, text(&source));
    let verb = [&IMPORT[..], &["--classes", text(&labels), text(&file)]].concat();
    let mut waiting = start(&data, &verb);
    let mut said = String::new();
    let mut stderr = BufReader::new(waiting.stderr.take().unwrap());
    stderr.read_line(&mut said).unwrap();
    let of = format!(
        "waiting for another import: that of `{}` into bws.7",
        source.display()
    );
    assert!(said.contains(&of), "{said}");
    assert!(waiting.try_wait().unwrap().is_none());
    // It goes when nobody waits for it any more, and when the other has gone it is done.
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    let waiting = start(&data, &verb);
    drop(same);
    success(&waiting.wait_with_output().unwrap());
    // A fourth of others is the last that finds a place.
    let fourth = stopped_import(&data, "/other/4");
    let mut waiting = start(&data, &verb);
    let mut said = String::new();
    let mut stderr = BufReader::new(waiting.stderr.take().unwrap());
    stderr.read_line(&mut said).unwrap();
    assert!(said.contains("that of `/other/0` into bws.7"), "{said}");
    drop((others, fourth));
    assert!(waiting.wait().unwrap().success());
    drop(server);
}
