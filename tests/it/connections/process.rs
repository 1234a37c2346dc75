//! The real service in a process of its own, which is sent signals.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Client, until};
use crate::cli::text;
use crate::harness::Registered;

/// Somebody who may call, made once.
static PREPARED: LazyLock<(TempDir, Registered)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let registered = Registered::create(&directory.path().join("data"));
    (directory, registered)
});

/// A running service with a data directory of its own.
pub(super) struct Process {
    child: Child,
    pub(super) address: SocketAddr,
    /// What it says that it listens on.
    pub(super) ready: Value,
    pub(super) directory: TempDir,
    pub(super) key: String,
}

impl Process {
    pub(super) fn start(flags: &[&str]) -> Process {
        Process::start_by(Command::new(env!("CARGO_BIN_EXE_vultus")), flags)
    }

    /// One that may have so many descriptors and no more.
    pub(super) fn start_with_descriptors(count: usize, flags: &[&str]) -> Process {
        let mut shell = Command::new("sh");
        let line = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_vultus")]);
        Process::start_by(shell, flags)
    }

    fn start_by(mut program: Command, flags: &[&str]) -> Process {
        let (prepared, registered) = &*PREPARED;
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        copy(&prepared.path().join("data"), &data);
        let log = File::create(directory.path().join("log")).unwrap();
        let mut child = program
            .args([
                "serve",
                "--data-dir",
                text(&data),
                "--listen",
                "127.0.0.1:0",
            ])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        let url = ready["listening"].as_str().unwrap();
        Process {
            child,
            address: url.split_once("://").unwrap().1.parse().unwrap(),
            ready: ready.clone(),
            directory,
            key: registered.key(),
        }
    }

    pub(super) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end, for half a minute at most.
    #[track_caller]
    pub(super) fn ended(&mut self) -> (ExitStatus, Duration) {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, begin.elapsed());
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{}", self.log());
            sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Resident memory, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
        kibibytes.parse::<usize>().unwrap() << 10
    }

    /// How long processors have worked for it.
    pub(super) fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // In hundredths of a second on every Linux.
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }

    pub(super) fn log(&self) -> String {
        let log = std::fs::read(self.directory.path().join("log")).unwrap();
        String::from_utf8(log).unwrap()
    }

    /// Waits until the log says this.
    #[track_caller]
    pub(super) fn says(&self, what: &str) {
        until(|| self.log().contains(what));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
