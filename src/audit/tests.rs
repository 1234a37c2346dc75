//! The log as a whole: what is written is read again, whatever is changed is found, and every crash is
//! mended without a loss of what was acknowledged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::types::{ClassId, Timestamp};

const NOW: Timestamp = Timestamp {
    unix_milliseconds: 1_700_000_000_123,
};

fn key() -> AuditKey {
    AuditKey::from_seed(&[7; 32])
}

fn record(class: i64) -> Record {
    Record {
        partition: Some("bws.1".parse().unwrap()),
        class: Some(ClassId(class)),
        people: Some(1_000),
        encoder: Some("test@1".to_owned()),
        threshold: Some(0.41),
        decision: Some("match"),
        candidates: vec![ClassId(class), ClassId(-3)],
        probe: Some([9; Record::PROBE_BYTES]),
        ..Record::new(
            NOW,
            Event::Identified,
            Actor {
                caller: Some("key 0123456789abcdef".to_owned()),
                address: Some([127, 0, 0, 1].into()),
                request: Some("id-1".to_owned()),
            },
        )
    }
}

fn open(folder: &Path, file_bytes_max: u64) -> Result<AuditLog, AuditError> {
    let options = AuditOptions {
        is_strict: true,
        file_bytes_max,
        keep: None,
    };
    AuditLog::open(folder, key(), options, None, NOW)
}

/// Writes records one after the other, each acknowledged, and ends the log.
fn write(folder: &Path, classes: std::ops::Range<i64>, file_bytes_max: u64) {
    let log = open(folder, file_bytes_max).unwrap();
    for class in classes {
        let (told, done) = mpsc::channel();
        let acknowledge = move |is_written| told.send(is_written).unwrap();
        log.record(record(class), Some(Box::new(acknowledge)));
        assert!(done.recv().unwrap());
    }
}

/// What is found in a log, and the classes of its records.
fn look(folder: &Path, known: &[Head]) -> (Report, Vec<String>) {
    let mut classes = Vec::new();
    let mut each = |entry: &Entry| classes.extend(entry.class.clone());
    let report = verify(folder, Some(&key().public()), known, &mut each).unwrap();
    (report, classes)
}

fn is_damaged(folder: &Path, known: &[Head]) -> bool {
    let (report, _) = look(folder, known);
    report.findings.iter().any(Finding::is_damage)
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let files = files(folder).unwrap().into_iter();
    files.map(|file| file.path).collect()
}

fn names(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|class| class.to_string()).collect()
}

#[test]
fn what_is_written_is_read_again_over_files_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("audit");
    write(&folder, 0..10, 4_000);
    write(&folder, 10..20, 4_000);
    assert!(paths(&folder).len() > 2);
    let (report, classes) = look(&folder, &[]);
    assert_eq!(report.findings, []);
    assert_eq!((report.records, report.heads), (20, 20));
    assert_eq!(report.end.sequence, 41);
    assert_eq!(classes, names(0..20));
    let text = fs::read_to_string(&paths(&folder)[0]).unwrap();
    let line = text.lines().next().unwrap();
    assert_eq!(
        line,
        concat!(
            r#"{"sequence":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000","#,
            r#""unix_milliseconds":1700000000123,"event":"identified","caller":"key 0123456789abcdef","#,
            r#""address":"127.0.0.1","request":"id-1","partition":"bws.1","class":"0","people":1000,"#,
            r#""encoder":"test@1","threshold":0.41,"decision":"match","candidates":["0","-3"],"#,
            r#""probe":"09090909090909090909090909090909"}"#
        )
    );
    // Only its owner may read it.
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&paths(&folder)[0])), (0o700, 0o600));
}

#[test]
fn records_that_wait_together_share_a_head() {
    let folder = tempfile::tempdir().unwrap();
    let options = AuditOptions::default();
    let log = AuditLog::open(folder.path(), key(), options, None, NOW).unwrap();
    for class in 0..50 {
        log.record(record(class), None);
    }
    log.close();
    assert_eq!(
        log.counts(),
        AuditCounts {
            written: 50,
            lost: 0
        }
    );
    log.record(record(50), None);
    assert_eq!(log.counts().lost, 1, "it is over");
    let (report, classes) = look(folder.path(), &[log.head()]);
    assert_eq!(report.findings, []);
    assert!(report.heads < 5, "{}", report.heads);
    assert_eq!(classes, names(0..50));
}

#[test]
fn every_changed_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 0..4, 900);
    let paths = paths(folder.path());
    assert!(paths.len() > 1);
    for path in &paths {
        let good = fs::read(path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= [1, 2, 16, 32, 128][at % 5];
            fs::write(path, &bad).unwrap();
            assert!(is_damaged(folder.path(), &[]), "{}: {at}", path.display());
        }
        fs::write(path, &good).unwrap();
    }
    assert!(!is_damaged(folder.path(), &[]));
}

/// All lines of a log, to be put together in another way in one file.
fn lines(folder: &Path) -> Vec<String> {
    let texts = paths(folder).into_iter();
    let texts = texts.map(|path| fs::read_to_string(path).unwrap());
    let all: String = texts.collect();
    all.split_inclusive('\n').map(str::to_owned).collect()
}

#[test]
fn lines_that_are_removed_swapped_repeated_or_added_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 0..6, 1 << 20);
    let (report, _) = look(folder.path(), &[]);
    let (path, good) = (&paths(folder.path())[0], lines(folder.path()));
    let found = |lines: &[String]| {
        fs::write(path, lines.concat()).unwrap();
        let (found, _) = look(folder.path(), std::slice::from_ref(&report.end));
        found.findings
    };
    assert_eq!(found(&good), []);
    for at in 0..good.len() {
        let mut removed = good.clone();
        removed.remove(at);
        let number = at as u64 + 1;
        let named = match at + 1 == good.len() {
            true => Finding::RolledBack {
                end: number,
                known: number,
            },
            false => Finding::Missing {
                from: number,
                to: number,
                file: path.clone(),
                line: number,
            },
        };
        assert!(found(&removed).contains(&named), "{at}");
        let mut repeated = good.clone();
        repeated.insert(at, good[at].clone());
        let named = Finding::OutOfPlace {
            sequence: number,
            file: path.clone(),
            line: number + 1,
        };
        assert!(found(&repeated).contains(&named), "{at}");
        if at > 0 {
            let mut swapped = good.clone();
            swapped.swap(at, at - 1);
            assert!(!found(&swapped).is_empty(), "{at}");
        }
    }
    let mut added = good.clone();
    added.insert(3, "{}\n".to_owned());
    let named = Finding::Unreadable {
        file: path.clone(),
        line: 4,
    };
    assert!(found(&added).contains(&named));
    // Edited with care: the digests behind it are right again, and the signatures are not.
    let mut head = Head::beginning();
    let forged: Vec<String> = good
        .iter()
        .map(|line| {
            let line = line.trim_end().replace(r#""class":"2""#, r#""class":"9""#);
            let mut entry: serde_json::Value = serde_json::from_str(&line).unwrap();
            entry["previous"] = head.previous.clone().into();
            let text = Entry::read(entry.to_string().as_bytes()).unwrap();
            let text = serde_json::to_string(&text).unwrap();
            head = head.behind(text.as_bytes());
            text + "\n"
        })
        .collect();
    let wrong = found(&forged);
    let is_signature = |it: &Finding| matches!(it, Finding::WrongSignature { .. });
    assert!(wrong.iter().any(is_signature), "{wrong:?}");
    assert!(
        wrong
            .iter()
            .any(|it| matches!(it, Finding::Replaced { .. }))
    );
}

#[test]
fn files_that_are_missing_and_older_states_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 0..9, 2_000);
    let (before, _) = look(folder.path(), &[]);
    let paths = paths(folder.path());
    assert!(paths.len() > 2);
    for path in &paths {
        let kept = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        let damaged = is_damaged(folder.path(), std::slice::from_ref(&before.end));
        assert!(damaged, "{}", path.display());
        fs::write(path, kept).unwrap();
    }
    // A whole log of before, with the right signatures.
    write(folder.path(), 9..12, 2_000);
    let (after, _) = look(folder.path(), std::slice::from_ref(&before.end));
    assert_eq!(after.findings, [], "it only grew");
    let last = files(folder.path()).unwrap().pop().unwrap();
    fs::remove_file(&last.path).unwrap();
    let (report, _) = look(folder.path(), std::slice::from_ref(&after.end));
    let rolled_back = |it: &Finding| matches!(it, Finding::RolledBack { .. });
    assert!(report.findings.iter().any(rolled_back), "{report:?}");
    // Another key.
    let other = AuditKey::from_seed(&[8; 32]).public();
    let report = verify(folder.path(), Some(&other), &[], &mut |_| ()).unwrap();
    let is_other = |it: &Finding| matches!(it, Finding::OtherKey { .. });
    assert!(report.findings.iter().all(is_other) && !report.findings.is_empty());
}

#[test]
fn a_crash_at_every_byte_is_mended_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 0..2, 1 << 20);
    let path = paths(folder.path()).remove(0);
    let acknowledged = fs::read(&path).unwrap().len();
    write(folder.path(), 2..4, 1 << 20);
    let all = fs::read(&path).unwrap();
    for end in acknowledged..all.len() {
        // What the disk had there before may stand behind it.
        for garbage in [&b""[..], b"\0\0\0\0", b"\0\n\0", b"{}\n"] {
            fs::write(&path, [&all[..end], garbage].concat()).unwrap();
            write(folder.path(), 7..8, 1 << 20);
            let (report, classes) = look(folder.path(), &[]);
            let damage = report.findings.iter().find(|it| it.is_damage());
            assert_eq!(damage, None, "{end}");
            assert_eq!(classes[..2], names(0..2), "{end}");
            assert_eq!(classes.last().unwrap(), "7");
        }
    }
    // Before the first line was whole.
    for end in [0, 1, 100] {
        fs::write(&path, &all[..end]).unwrap();
        write(folder.path(), 7..8, 1 << 20);
        let (report, classes) = look(folder.path(), &[]);
        assert!(
            !report.findings.iter().any(Finding::is_damage),
            "{report:?}"
        );
        assert_eq!(classes, ["7"]);
    }
}

#[test]
fn what_is_damaged_before_several_heads_is_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 0..4, 1 << 20);
    let path = paths(folder.path()).remove(0);
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, good.replace(r#""class":"1""#, r#""class":"8""#)).unwrap();
    let error = open(folder.path(), 1 << 20).unwrap_err().to_string();
    assert!(
        error.contains("line 4") && error.contains("vultus audit verify"),
        "{error}"
    );
    // Of the last batch it cannot be told from a crash, and so it goes whole. Who knows the end sees it.
    fs::write(&path, &good).unwrap();
    let (before, _) = look(folder.path(), &[]);
    fs::write(&path, good.replace(r#""class":"3""#, r#""class":"8""#)).unwrap();
    write(folder.path(), 5..6, 1 << 20);
    let (report, classes) = look(folder.path(), &[before.end]);
    assert_eq!(classes, ["0", "1", "2", "5"]);
    assert!(matches!(
        report.findings[..],
        [Finding::Recovered { .. }, Finding::Replaced { .. }]
    ));
}

#[test]
fn a_log_that_is_shorter_or_another_one_when_it_is_opened_says_so_for_good() {
    let begin = |folder: &Path, known: &Head| {
        let log = AuditLog::open(folder, key(), AuditOptions::default(), Some(known), NOW);
        log.unwrap().head()
    };
    let superseded = |folder: &Path, known: &[Head]| {
        let (report, _) = look(folder, known);
        let mut findings = report.findings.iter();
        findings.any(|it| it.is_damage() && matches!(it, Finding::Superseded { .. }))
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, 0..10, 900);
    let ends: Vec<u64> = files(folder).unwrap().iter().map(|it| it.first).collect();
    assert!(ends.len() > 3, "places in several files");
    let (whole, _) = look(folder, &[]);
    let saved: Vec<_> = paths(folder)
        .iter()
        .map(|it| fs::read(it).unwrap())
        .collect();
    let put_back = || {
        for path in paths(folder) {
            fs::remove_file(path).unwrap();
        }
        for (first, bytes) in ends.iter().zip(&saved) {
            fs::write(folder.join(format!("{first:020}.jsonl")), bytes).unwrap();
        }
    };
    // What is known is there, at the end or before it, also when the log has grown since.
    begin(folder, &whole.end);
    write(folder, 10..12, 900);
    begin(folder, &whole.end);
    assert!(!is_damaged(folder, std::slice::from_ref(&whole.end)));
    // The last file is gone, or all are.
    for kept in [ends.len() - 1, 1, 0] {
        put_back();
        for path in &paths(folder)[kept..] {
            fs::remove_file(path).unwrap();
        }
        let now = begin(folder, &whole.end);
        assert!(superseded(folder, &[]), "{kept}");
        // Whoever remembers only what is there now learns of it all the same, and it is said once.
        begin(folder, &now);
        let (report, _) = look(folder, &[now]);
        assert_eq!(report.findings.len(), 1, "{kept}: {:?}", report.findings);
    }
    // Another log of the same length, and a longer one.
    for count in [10, 20] {
        for path in paths(folder) {
            fs::remove_file(path).unwrap();
        }
        write(folder, 100..100 + count, 900);
        begin(folder, &whole.end);
        assert!(superseded(folder, &[]), "{count}");
    }
}

/// Whether a record comes to disk.
fn is_written(log: &AuditLog, class: i64) -> bool {
    let (told, done) = mpsc::channel();
    let tell = move |is_written| told.send(is_written).unwrap();
    log.record(record(class), Some(Box::new(tell)));
    done.recv().unwrap()
}

#[test]
fn nothing_is_written_where_nobody_finds_it() {
    let directory = tempfile::tempdir().unwrap();
    let (folder, away) = (
        directory.path().join("audit"),
        directory.path().join("away"),
    );
    let log = open(&folder, 1 << 20).unwrap();
    assert!(is_written(&log, 1));
    let file = paths(&folder).remove(0);
    let beside = directory.path().join("beside");
    // The folder is moved away; another takes its place; a file is; a copy takes its place.
    fs::rename(&folder, &away).unwrap();
    assert!(!is_written(&log, 2));
    fs::create_dir(&folder).unwrap();
    assert!(!is_written(&log, 3));
    fs::remove_dir(&folder).unwrap();
    fs::rename(&away, &folder).unwrap();
    assert!(is_written(&log, 4));
    fs::rename(&file, &beside).unwrap();
    assert!(!is_written(&log, 5));
    fs::copy(&beside, &file).unwrap();
    assert!(!is_written(&log, 6));
    fs::rename(&beside, &file).unwrap();
    assert!(is_written(&log, 7));
    log.close();
    let (report, names) = look(&folder, &[]);
    assert_eq!(report.findings, []);
    assert_eq!(names, ["1", "4", "7"]);
    // Before there is a file, too.
    let empty = directory.path().join("empty");
    let log = open(&empty, 1 << 20).unwrap();
    fs::rename(&empty, &away).unwrap();
    fs::create_dir(&empty).unwrap();
    assert!(!is_written(&log, 8));
}

#[test]
fn whoever_does_not_wait_has_records_where_the_log_went() {
    let directory = tempfile::tempdir().unwrap();
    let (folder, away) = (
        directory.path().join("audit"),
        directory.path().join("away"),
    );
    let log = AuditLog::open(&folder, key(), AuditOptions::default(), None, NOW).unwrap();
    log.record(record(1), None);
    while log.counts().written == 0 {
        std::thread::yield_now();
    }
    fs::rename(&folder, &away).unwrap();
    log.record(record(2), None);
    log.close();
    assert_eq!(
        log.counts(),
        AuditCounts {
            written: 2,
            lost: 0
        }
    );
    assert_eq!(look(&away, &[]).1, ["1", "2"]);
}

#[test]
fn whoever_waits_is_told_if_a_record_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 0..1, 10);
    // The name of the next file is taken.
    let taken = folder.path().join(format!("{:020}.jsonl", 3));
    let log = open(folder.path(), 10).unwrap();
    fs::create_dir(&taken).unwrap();
    let write = |class| {
        let (told, done) = mpsc::channel();
        let acknowledge = move |is_written| told.send(is_written).unwrap();
        log.record(record(class), Some(Box::new(acknowledge)));
        done.recv().unwrap()
    };
    assert!(!write(1));
    fs::remove_dir(&taken).unwrap();
    assert!(write(2));
    assert_eq!(
        log.counts(),
        AuditCounts {
            written: 1,
            lost: 1
        }
    );
    let (report, classes) = look(folder.path(), &[log.head()]);
    assert_eq!(report.findings, []);
    assert_eq!(classes, ["0", "2"]);
}

/// Days after [`NOW`].
fn day(days: u64) -> Timestamp {
    NOW.after(Duration::from_secs(days * 86_400))
}

/// Writes a record on each of some days into a log that is kept for 16 days.
fn write_for_days(folder: &Path, days: std::ops::Range<u64>) {
    for at in days {
        let options = AuditOptions {
            is_strict: true,
            keep: Some(Duration::from_secs(16 * 86_400)),
            ..AuditOptions::default()
        };
        let log = AuditLog::open(folder, key(), options, None, day(at)).unwrap();
        let (told, done) = mpsc::channel();
        let acknowledge = move |is_written| told.send(is_written).unwrap();
        let class = i64::try_from(at).unwrap();
        let dated = Record {
            time: day(at),
            ..record(class)
        };
        log.record(dated, Some(Box::new(acknowledge)));
        assert!(done.recv().unwrap());
    }
}

#[test]
fn files_go_when_their_time_is_over_and_the_rest_says_where_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_for_days(folder, 0..16);
    let (report, classes) = look(folder, &[]);
    assert_eq!((report.findings, report.first), (vec![], 1));
    assert_eq!(classes, names(0..16));
    write_for_days(folder, 16..60);
    let (report, classes) = look(folder, &[]);
    let first = report.first;
    assert_eq!(report.findings, [Finding::Pruned { first }]);
    assert_eq!(
        paths(folder)[0].file_name().unwrap().to_str().unwrap()[..20],
        format!("{first:020}")
    );
    // Those of the last 16 days are all there, and none that is an eighth older than that.
    let oldest: i64 = classes[0].parse().unwrap();
    assert!((43..=44).contains(&oldest), "{oldest}");
    assert_eq!(classes, names(oldest..60));
    // Without a time none goes.
    write(folder, 60..61, 4_000_000);
    assert_eq!(look(folder, &[]).1, names(oldest..61));
}

#[test]
fn what_somebody_else_takes_away_is_missing_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_for_days(folder, 0..40);
    let before = look(folder, &[]).0;
    assert!(!is_damaged(folder, &[]));
    let head = before.end.clone();
    assert!(!is_damaged(folder, &[head]));
    // One more than the record says.
    fs::remove_file(&paths(folder)[0]).unwrap();
    let (report, _) = look(folder, &[]);
    let missing = report.findings.iter().any(
        |finding| matches!(finding, Finding::Missing { from: 1, to, .. } if *to >= before.first),
    );
    assert!(missing, "{:?}", report.findings);
    // One of the middle.
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_for_days(folder, 0..40);
    fs::remove_file(&paths(folder)[2]).unwrap();
    assert!(is_damaged(folder, &[]));
}

/// A crash between the record and the last file that goes leaves a log without a gap, and the next file
/// takes the rest along.
#[test]
fn files_that_a_crash_kept_go_later() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_for_days(folder, 0..17);
    let old: Vec<(PathBuf, Vec<u8>)> = paths(folder)
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    write_for_days(folder, 17..22);
    let gone: Vec<_> = old.iter().filter(|(path, _)| !path.exists()).collect();
    assert!(gone.len() > 1, "{}", gone.len());
    // The last of them, then all.
    for kept in [&gone[gone.len() - 1..], &gone[..]] {
        for (path, bytes) in kept {
            fs::write(path, bytes).unwrap();
        }
        assert!(!is_damaged(folder, &[]));
    }
    write_for_days(folder, 22..24);
    assert!(gone.iter().all(|(path, _)| !path.exists()));
    assert!(!is_damaged(folder, &[]));
}

/// A record that says so counts with a signature alone.
#[test]
fn a_forged_record_excuses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, 0..12, 900);
    let removed = paths(folder).remove(0);
    let first = files(folder).unwrap()[1].first;
    fs::remove_file(removed).unwrap();
    let last = paths(folder).pop().unwrap();
    let (report, _) = look(folder, &[]);
    let (mut end, mut text) = (report.end, fs::read(&last).unwrap());
    end.push_pruned(first, NOW, &mut text);
    fs::write(&last, &text).unwrap();
    assert!(is_damaged(folder, &[]), "without a signature");
    end.push_head(&AuditKey::from_seed(&[8; 32]), NOW, &mut text);
    fs::write(&last, &text).unwrap();
    assert!(is_damaged(folder, &[]), "with that of another key");
}
