//! What root leaves to the user of a service, and a service that is told something while it starts.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::{done, import, prepared, start};
use crate::cli::{success, text};

const NOBODY: u32 = 65_534;

fn owners(folder: &Path, found: &mut Vec<(String, u32)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        found.push((entry.path().display().to_string(), metadata.uid()));
        if metadata.is_dir() {
            owners(&entry.path(), found);
        }
    }
}

#[test]
fn what_root_makes_belongs_to_the_owner_of_the_data_directory() {
    if !rustix::process::geteuid().is_root() {
        println!("only root can leave something to another user");
        return;
    }
    let (directory, data, _registered) = prepared();
    let given = Command::new("chown")
        .args(["-R", "65534:65534", text(&data)])
        .status();
    assert!(given.unwrap().success());
    let app = ["app", "create", "--name", "new", "--storage", "bws"];
    done(&data, &app);
    success(&import(&data, directory.path(), &[1, 2, 3], &[]));
    done(
        &data,
        &["gallery", "erase", "--partition", "bws.7", "--class", "2"],
    );
    done(&data, &["gallery", "compact"]);
    done(&data, &["key", "rotate"]);
    let mut found = Vec::new();
    owners(&data, &mut found);
    let foreign: Vec<_> = found.iter().filter(|(_, owner)| *owner != NOBODY).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert!(found.len() > 4, "{found:?}");
    // What it makes elsewhere is its own.
    let snapshot = directory.path().join("all.tar.zst");
    done(&data, &["gallery", "snapshot", "--to", text(&snapshot)]);
    assert_eq!(fs::metadata(&snapshot).unwrap().uid(), 0);
}

/// Whether a process has a handler for SIGHUP.
fn hears_hangups(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
    caught & 1 != 0
}

#[test]
fn told_to_read_its_settings_while_it_starts_a_service_goes_on() {
    let (_directory, data, _registered) = prepared();
    let mut service = start(&data, &["serve", "--listen", "127.0.0.1:0"]);
    let process = service.id();
    while !hears_hangups(process) {
        assert!(service.try_wait().unwrap().is_none(), "it is there");
        thread::sleep(Duration::from_millis(1));
    }
    let tell = |signal: &str| {
        let told = Command::new("kill")
            .args([signal, &process.to_string()])
            .status();
        assert!(told.unwrap().success());
    };
    tell("-HUP");
    tell("-HUP");
    let mut line = String::new();
    let mut said = BufReader::new(service.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert!(line.contains("listening"), "{line}");
    tell("-HUP");
    tell("-TERM");
    assert_eq!(service.wait().unwrap().code(), Some(0));
}
