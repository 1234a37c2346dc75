//! What becomes of the service, and of other verbs, if stderr or stdout is full, stalls or is gone.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::json;

use super::cli::{embeddings, random_rows, text};
use crate::harness::{Call, Door, Native, Program, Registered, axis};

/// More than a pipe takes that nobody reads (64 KiB), and than waits in memory (1 MiB).
const MANY_LINES: usize = 9_000;

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A data directory with keys, and a service on it that logs there.
struct Logged {
    directory: tempfile::TempDir,
    registered: Registered,
}

impl Logged {
    fn new() -> Logged {
        let directory = tempfile::tempdir().unwrap();
        let registered = Registered::create(&directory.path().join("data"));
        Logged {
            directory,
            registered,
        }
    }

    fn start(&self, stderr: impl Into<Stdio>) -> Program {
        Program::start_with_stderr(
            &self.directory.path().join("data"),
            &self.registered,
            stderr,
        )
    }
}

/// Enrols somebody and finds them.
fn enrolls_and_identifies(program: &Program, class: i64, at: usize) {
    program.enroll_embedding("bws.1", class, &axis(at));
    let body = json!({ "embeddings": [axis(at)], "encoder": "test", "limit": 1 });
    let answer = program.post("partitions/bws.1/identify", body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["matches"][0]["class"], class.to_string());
}

/// Calls that are cheap and that each log a line; the id makes the lines long.
fn log_lines(program: &Program, count: usize) {
    let id = "x".repeat(60);
    for _ in 0..count {
        let call = Call::new("GET", "/v1/nowhere").header("X-Request-Id", id.as_bytes());
        assert_eq!(program.send(call).status, 404);
    }
}

#[test]
fn a_full_disk_under_the_log_costs_lines_and_no_answer() {
    let logged = Logged::new();
    let program = logged.start(full());
    log_lines(&program, 50);
    enrolls_and_identifies(&program, 17, 3);
    assert_eq!(program.terminate(), Some(0));
    // What was acknowledged is there.
    let program = logged.start(full());
    let answer = program.get("partitions/bws.1/classes/17");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(program.terminate(), Some(0));
}

#[test]
fn a_reader_that_is_gone_ends_nothing() {
    let logged = Logged::new();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let program = logged.start(writer);
    log_lines(&program, 20);
    enrolls_and_identifies(&program, 1, 1);
    assert_eq!(program.terminate(), Some(0));

    // One that has read something before.
    let (reader, writer) = pipe().unwrap();
    let program = logged.start(writer);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert!(line.contains("INFO"), "{line}");
    log_lines(&program, 20);
    enrolls_and_identifies(&program, 2, 2);
    assert_eq!(program.terminate(), Some(0));
}

#[test]
fn a_reader_that_stalls_holds_nobody_up_nor_the_end() {
    let logged = Logged::new();
    let (mut reader, writer) = pipe().unwrap();
    let program = logged.start(writer);
    log_lines(&program, 1_000);
    enrolls_and_identifies(&program, 17, 3);
    assert_eq!(program.terminate(), Some(0));
    let mut log = Vec::new();
    reader.read_to_end(&mut log).unwrap();
    assert!(log.len() >= 1 << 15, "{}", log.len());
}

#[test]
fn whoever_reads_again_is_told_how_many_lines_are_missing() {
    let logged = Logged::new();
    let (mut reader, writer) = pipe().unwrap();
    let program = logged.start(writer);
    log_lines(&program, MANY_LINES);
    let reading = thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).unwrap();
        log
    });
    // So that there is room again for these.
    let mut told = 0;
    while told < 100 {
        log_lines(&program, 1);
        told += 1;
        thread::sleep(std::time::Duration::from_millis(2));
    }
    assert_eq!(program.terminate(), Some(0));
    let log = reading.join().unwrap();
    let is_notice = |line: &&str| line.contains("of the log were dropped");
    let dropped: usize = log
        .lines()
        .filter(is_notice)
        .map(|line| {
            let (_, words) = line.split_once("WARN vultus: ").unwrap();
            words.split(' ').next().unwrap().parse::<usize>().unwrap()
        })
        .sum();
    assert!(dropped > 0, "nothing was dropped");
    let written = log.lines().filter(|line| line.contains("answered")).count();
    assert_eq!(written + dropped, MANY_LINES + told);
    assert!(log.lines().last().unwrap().contains("stopped"), "{log}");
}

#[test]
fn a_service_without_a_stdout_serves() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, closed) = pipe().unwrap();
    drop(reader);
    for stdout in [Stdio::from(closed), Stdio::from(full())] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.path().join("data"))
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // That comes first, whatever is wrong.
        let mut lines = lines
            .map(Result::unwrap)
            .filter(|line| !line.contains("limit of descriptors"));
        let warning = lines.next().unwrap();
        assert!(warning.contains("cannot say on stdout"), "{warning}");
        let serving = lines.next().unwrap();
        let (_, address) = serving.split_once("address=").expect(&serving);
        let address = address.split(' ').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET /v1/nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// The exit code of a command with this stderr.
fn code(arguments: &[&str], stderr: impl Into<Stdio>) -> Option<i32> {
    Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(stderr)
        .status()
        .unwrap()
        .code()
}

#[test]
fn other_verbs_end_as_ever_where_stderr_takes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (data, rows, missing) = (at("data"), at("rows.npy"), at("missing.npy"));
    embeddings(&rows, &random_rows(5, 16, 1));
    let place = ["--partition", "bws.1", "--data-dir", text(&data)];
    let import = |file: &Path| -> Vec<String> {
        let verb = ["gallery", "import", "--encoder", "test", "--embeddings"];
        let all = [&verb[..], &[text(file)], &place].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let probes = [&["identify", "--embeddings", text(&rows)], &place[..]].concat();
    for (arguments, expected) in [
        // Says how many, on stderr.
        (import(&rows), 0),
        (import(&missing), 2),
        // Says that no threshold is known.
        (probes.iter().map(|&word| word.to_owned()).collect(), 0),
        // What is wrong is told by another way than what went wrong.
        (vec!["nonsense".to_owned()], 2),
        (vec!["--help".to_owned()], 0),
        (vec!["serve".to_owned(), "--listen=nowhere".to_owned()], 2),
    ] {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (reader, closed) = pipe().unwrap();
        drop(reader);
        assert_eq!(code(&words, full()), Some(expected), "{words:?}");
        assert_eq!(code(&words, closed), Some(expected), "{words:?}");
    }
}
