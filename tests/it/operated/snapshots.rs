//! The real service makes snapshots by the clock, and keeps as many as it is told to.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use vultus::partition::verify_archive;

use super::page::Page;
use crate::cli::{failure, success, text, vultus};
use crate::harness::{Call, Door, Program, Registered};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Waits, for a minute at most, until it is so.
#[track_caller]
fn until(mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never is");
        sleep(Duration::from_millis(20));
    }
}

fn counts(program: &Program) -> [f64; 2] {
    let page = program.send_to_metrics(&Call::new("GET", "/metrics"));
    let page = Page::read(&page.body);
    ["made", "failed"]
        .map(|outcome| page.labelled("vultus_snapshots_total", &[("outcome", outcome)]))
}

#[test]
fn one_is_made_when_the_newest_is_old_and_the_oldest_go() {
    let directory = tempfile::tempdir().unwrap();
    let (data, folder) = (directory.path().join("data"), directory.path().join("kept"));
    let registered = Registered::create(&data);
    fs::create_dir(&folder).unwrap();
    let copy = |name: &str| {
        let to = folder.join(name);
        success(&vultus(&[
            "gallery",
            "snapshot",
            "--data-dir",
            text(&data),
            "--to",
            text(&to),
        ]));
    };
    // Three of a long time ago, of which one is cut off, one that somebody named, and what a killed
    // snapshot left.
    for name in [
        "vultus-1000.tar.zst",
        "vultus-2000.tar.zst",
        "vultus-3000.tar.zst",
        "mine.tar.zst",
    ] {
        copy(name);
    }
    let cut = folder.join("vultus-3000.tar.zst");
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    fs::copy(
        folder.join("mine.tar.zst"),
        folder.join("vultus-4000.tar.zst.new"),
    )
    .unwrap();
    let flags = [
        "--snapshot-dir",
        text(&folder),
        "--snapshot-every",
        "1h",
        "--snapshot-keep",
        "2",
    ];
    let flags = [&flags[..], &["--metrics-listen", "127.0.0.1:0"]].concat();

    let program = Program::start_with(&data, &registered, &flags, Stdio::null());
    until(|| !names(&folder).contains(&"vultus-1000.tar.zst".to_owned()));
    let found = names(&folder);
    assert_eq!(found.len(), 4, "{found:?}");
    for stays in ["mine.tar.zst", "vultus-2000.tar.zst", "vultus-3000.tar.zst"] {
        assert!(found.contains(&stays.to_owned()), "{stays}: {found:?}");
    }
    let made = found.iter().find(|name| name.len() > 25).unwrap();
    verify_archive(&folder.join(made), &mut |_, _| {}).unwrap();
    assert_eq!(counts(&program), [1.0, 0.0]);
    // Started again, it finds that none is due.
    assert_eq!(program.terminate(), Some(0));
    let program = Program::start_with(&data, &registered, &flags, Stdio::null());
    sleep(Duration::from_millis(500));
    assert_eq!((names(&folder), counts(&program)), (found, [0.0, 0.0]));
}

#[test]
fn a_folder_that_cannot_be_written_does_not_end_the_service() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let registered = Registered::create(&data);
    let file = directory.path().join("file");
    fs::write(&file, "somebody's").unwrap();
    for folder in [file.join("below"), file.clone()] {
        let log = directory.path().join("log");
        let flags = ["--snapshot-dir", text(&folder), "--snapshot-every", "1d"];
        let flags = [&flags[..], &["--metrics-listen", "127.0.0.1:0"]].concat();
        let stderr = fs::File::create(&log).unwrap();
        let program = Program::start_with(&data, &registered, &flags, stderr);
        until(|| counts(&program) == [0.0, 1.0]);
        // Lines of a log are written by a thread of its own.
        let said = || fs::read_to_string(&log).unwrap();
        let failed = "cannot make a snapshot: the service goes on";
        until(|| said().contains(failed));
        assert_eq!(said().matches(failed).count(), 1);
        assert_eq!(program.send(Call::new("GET", "/readyz")).status, 200);
        assert_eq!(program.terminate(), Some(0));
    }
    assert_eq!(fs::read(&file).unwrap(), b"somebody's");
}

#[test]
fn a_schedule_that_is_none_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let serve = |flags: &[&str]| {
        let all = [
            &["serve", "--data-dir", text(&data), "--snapshot-dir", "x"],
            flags,
        ]
        .concat();
        failure(&vultus(&all))
    };
    for wrong in [
        "0h", "-1h", "+1h", "1", "h", "", "1w", "1.5h", "24 h", "01h", "100001d", "1H", "1ü",
    ] {
        let said = serve(&[&format!("--snapshot-every={wrong}")]);
        assert!(
            said.contains("90m") && said.lines().count() == 1,
            "{wrong}: {said}"
        );
    }
    for wrong in ["0", "-1", "all"] {
        let said = serve(&[&format!("--snapshot-keep={wrong}")]);
        assert!(said.contains("from 1 to"), "{wrong}: {said}");
    }
    let alone = ["serve", "--data-dir", text(&data), "--snapshot-every", "1h"];
    let said = failure(&vultus(&alone));
    assert!(said.contains("`snapshot-dir`"), "{said}");
    assert!(!data.exists(), "nothing is begun");
}

#[test]
fn a_command_keeps_as_many_too() {
    let directory = tempfile::tempdir().unwrap();
    let (data, folder) = (directory.path().join("data"), directory.path().join("kept"));
    Registered::create(&data);
    fs::create_dir(&folder).unwrap();
    let snapshot = [
        "gallery",
        "snapshot",
        "--data-dir",
        text(&data),
        "--to",
        text(&folder),
    ];
    for count in [1, 2, 3, 3] {
        success(&vultus(
            &[&snapshot[..], &["--snapshot-keep", "3"]].concat(),
        ));
        assert_eq!(names(&folder).len(), count);
    }
    success(&vultus(&snapshot));
    assert_eq!(names(&folder).len(), 4);
}
