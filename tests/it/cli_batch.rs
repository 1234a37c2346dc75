//! `vultus identify --embeddings --output`: runs that are interrupted, resumed, refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

#[cfg(feature = "parquet")]
use super::cli::json_lines;
use super::cli::{embeddings, failure, random_rows, success, text, vultus};

/// Enough for three passes of the search.
const PROBES: usize = 2_500;

/// A question with which some probes find somebody, and some nobody.
const SOME: &[&str] = &["--threshold", "0.5"];

/// A directory with a gallery of 300 people, and probes.
struct Batch {
    directory: tempfile::TempDir,
    data: String,
}

impl Batch {
    fn new() -> Batch {
        let directory = tempfile::tempdir().unwrap();
        let data = text(&directory.path().join("data")).to_owned();
        let batch = Batch { directory, data };
        embeddings(&batch.at("rows.npy"), &random_rows(300, 24, 1));
        embeddings(&batch.at("probes.npy"), &random_rows(PROBES, 24, 2));
        batch.import("rows.npy");
        batch
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn import(&self, file: &str) {
        let file = self.at(file);
        let import = [
            "gallery",
            "import",
            "--data-dir",
            &self.data,
            "--partition",
            "bws.1",
        ];
        let rows = ["--encoder", "test", "--embeddings", text(&file)];
        success(&vultus(&[&import[..], &rows[..]].concat()));
    }

    fn arguments(&self, probes: &str) -> Vec<String> {
        let probes = self.at(probes);
        let identify = ["identify", "--data-dir", &self.data, "--partition", "bws.1"];
        let all = identify.into_iter().chain(["--embeddings", text(&probes)]);
        all.map(str::to_owned).collect()
    }

    fn identify(&self, more: &[&str]) -> Output {
        let arguments = self.arguments("probes.npy");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        vultus(&[&arguments[..], more].concat())
    }

    /// The answers on stdout.
    fn lines(&self, more: &[&str]) -> String {
        let lines = success(&self.identify(&[more, &["--json"]].concat()));
        assert_eq!(lines.lines().count(), PROBES);
        lines
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Who was found for each probe, without what is decided.
fn listed(lines: &str) -> Vec<(Value, Value)> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["probe"].clone(), line["matches"].clone())
    };
    lines.lines().map(line).collect()
}

#[test]
fn a_file_has_the_answers_of_stdout_and_is_never_replaced_unasked() {
    let batch = Batch::new();
    let path = batch.at("answers.jsonl");
    let to_file = [SOME, &["--output", text(&path)]].concat();
    assert_eq!(success(&batch.identify(&to_file)), "");
    let (lines, file) = (batch.lines(SOME), read(&path));
    assert!(file.contains("\"matches\":[]}") && file.contains("\"matches\":[{"));
    assert_eq!(listed(&file), listed(&lines));
    // A file lists who was found, and decides nothing.
    assert!(!file.contains("decision"), "{file}");
    assert_eq!(
        lines.matches("\"decision\":\"unknown\"").count(),
        lines.matches("\"matches\":[],").count()
    );

    let again = failure(&batch.identify(&to_file));
    assert!(again.contains("answers.jsonl` exists"), "{again}");
    let resumed = batch.identify(&[&to_file[..], &["--resume"]].concat());
    success(&resumed);
    assert!(said(&resumed).contains("is finished"), "{}", said(&resumed));
    let fewer = [&to_file[..], &["--top", "1"]].concat();
    let other = failure(&batch.identify(&[&fewer[..], &["--resume"]].concat()));
    assert!(other.contains("another `top`: then 20, now 1"), "{other}");
    assert_eq!(read(&path), file);
    success(&batch.identify(&[&fewer[..], &["--overwrite"]].concat()));
    let first = batch.lines(&["--threshold", "0.5", "--top", "1"]);
    assert_eq!(listed(&read(&path)), listed(&first));
}

#[test]
fn nobody_found_is_an_answer_and_a_finished_file_is_no_failure() {
    let batch = Batch::new();
    let path = batch.at("nobody.jsonl");
    let resume = ["--threshold", "1", "--output", text(&path), "--resume"];
    assert_eq!(batch.identify(&resume).status.code(), Some(1));
    assert_eq!(read(&path).lines().count(), PROBES);
    assert_eq!(batch.identify(&resume).status.code(), Some(0));
}

#[test]
fn an_output_that_cannot_be_is_refused_before_anything_is_done() {
    let batch = Batch::new();
    for (name, more) in [("answers.xlsx", "--resume"), ("answers", "--overwrite")] {
        let path = batch.at(name);
        let unknown = failure(&batch.identify(&["--output", text(&path), more]));
        assert!(
            unknown.contains(name) && unknown.contains(".parquet"),
            "{unknown}"
        );
    }
    let nowhere = batch.at("missing/answers.jsonl");
    let said = failure(&batch.identify(&["--output", text(&nowhere)]));
    assert!(said.contains("missing/answers.jsonl"), "{said}");
    for wrong in [
        &["--resume"][..],
        &["--overwrite"],
        &["--output", "a.jsonl", "--json"],
        &["--output", "a.jsonl", "--resume", "--overwrite"],
    ] {
        failure(&batch.identify(wrong));
    }
    let left = fs::read_dir(batch.directory.path()).unwrap().count();
    assert_eq!(left, 3, "rows, probes and data, as before");
}

/// What a shell command line sees of a disk on which no file can be larger than this.
#[cfg(target_os = "linux")]
fn identify_on_a_small_disk(batch: &Batch, bytes_max: u64, more: &[&str]) -> Output {
    // The shell counts in blocks of 512 bytes. With the signal ignored, the write fails.
    let blocks = bytes_max / 512;
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_vultus")]);
    command.args(batch.arguments("probes.npy")).args(more);
    command.output().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_a_full_disk_stops_is_resumed_from_its_last_pass() {
    let batch = Batch::new();
    let mut names = vec!["answers.jsonl"];
    if cfg!(feature = "parquet") {
        names.push("answers.parquet");
    }
    for name in names {
        let (path, whole) = (batch.at(name), batch.at(&format!("whole-{name}")));
        success(&batch.identify(&["--output", text(&whole)]));
        // One pass fits, two do not.
        let to_file = ["--output", text(&path)];
        let stopped = failure(&identify_on_a_small_disk(&batch, 1_000_000, &to_file));
        assert!(
            stopped.contains("1024 of 2500") && stopped.contains("--resume"),
            "{stopped}"
        );
        assert!(stopped.contains(&format!("{name}.partial")), "{stopped}");
        assert!(!path.exists(), "an unfinished file has its name");
        let partial = fs::read(batch.at(&format!("{name}.partial"))).unwrap();
        let record: Value =
            serde_json::from_str(&read(&batch.at(&format!("{name}.progress")))).unwrap();
        assert!(
            partial.len() as u64 > record["bytes"].as_u64().unwrap(),
            "an answer is torn"
        );

        let unasked = failure(&batch.identify(&to_file));
        assert!(unasked.contains("did not finish"), "{unasked}");
        let resumed = batch.identify(&[&to_file[..], &["--resume"]].concat());
        success(&resumed);
        assert!(
            said(&resumed).contains("1024 of them in an earlier run"),
            "{}",
            said(&resumed)
        );
        assert_eq!(fs::read(&path).unwrap(), fs::read(&whole).unwrap());
    }
}

#[test]
fn a_killed_run_is_resumed() {
    let batch = Batch::new();
    let (path, whole) = (batch.at("answers.jsonl"), batch.at("whole.jsonl"));
    success(&batch.identify(&["--output", text(&whole)]));
    let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(batch.arguments("probes.npy"))
        .args(["--output", text(&path)])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Whenever the kill strikes, before, within or after the answers, the end is the same.
    while !batch.at("answers.jsonl.partial").exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    success(&batch.identify(&["--output", text(&path), "--resume"]));
    assert_eq!(read(&path), read(&whole));
}

#[test]
fn other_probes_or_people_are_not_mixed_in() {
    let batch = Batch::new();
    let path = batch.at("answers.jsonl");
    let resume = ["--output", text(&path), "--resume"];
    success(&batch.identify(&resume));
    let before = read(&path);

    // One value of the last probe, in its last bit.
    let mut probes = random_rows(PROBES, 24, 2);
    probes[PROBES - 1][23] = probes[PROBES - 1][23].next_up();
    embeddings(&batch.at("other.npy"), &probes);
    let arguments = batch.arguments("other.npy");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let other = failure(&vultus(&[&arguments[..], &resume].concat()));
    assert!(other.contains("another `probes`"), "{other}");

    embeddings(&batch.at("more.npy"), &random_rows(1, 24, 3));
    batch.import("more.npy");
    let other = failure(&batch.identify(&resume));
    assert!(
        other.contains("another `gallery`: then 300 templates"),
        "{other}"
    );
    assert_eq!(read(&path), before);
}

#[cfg(feature = "parquet")]
#[test]
fn a_table_has_the_matches_of_the_lines() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    let batch = Batch::new();
    let path = batch.at("answers.parquet");
    success(&batch.identify(&[SOME, &["--output", text(&path)]].concat()));
    let reader = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let rank = i64::from(row.get_int(1).unwrap());
        let (probe, class) = (row.get_long(0).unwrap(), row.get_long(2).unwrap());
        (probe, rank, class, row.get_double(3).unwrap().to_bits())
    });
    let mut expected = Vec::new();
    for line in json_lines(&batch.lines(SOME)) {
        for (rank, found) in (1_i64..).zip(line["matches"].as_array().unwrap()) {
            let similarity = found["similarity"].as_f64().unwrap();
            let (probe, class) = (line["probe"].as_i64(), found["class"].as_i64());
            expected.push((probe.unwrap(), rank, class.unwrap(), similarity.to_bits()));
        }
    }
    let close = |a: u64, b: u64| a.abs_diff(b) <= 1;
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.len(), expected.len());
    for (row, line) in rows.iter().zip(&expected) {
        assert_eq!((row.0, row.1, row.2), (line.0, line.1, line.2));
        // The reader of JSON in this test rounds the last bit at times.
        assert!(close(row.3, line.3), "{row:?} {line:?}");
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_so() {
    let batch = Batch::new();
    let path = batch.at("answers.parquet");
    let unknown = failure(&batch.identify(&["--output", text(&path)]));
    assert!(
        unknown.contains("answers.parquet") && unknown.contains("feature `parquet`"),
        "{unknown}"
    );
}

#[test]
fn explain_says_what_was_done() {
    let batch = Batch::new();
    let explained = batch.identify(&["--json", "--explain", "--isa", "scalar"]);
    let plain = batch.lines(&["--isa", "scalar"]);
    for (line, plain) in success(&explained).lines().zip(plain.lines()) {
        let line: Value = serde_json::from_str(line).unwrap();
        let plain: Value = serde_json::from_str(plain).unwrap();
        assert_eq!(
            (&line["probe"], &line["matches"]),
            (&plain["probe"], &plain["matches"])
        );
        let certificate = &line["certificate"];
        assert_eq!(
            (&certificate["plan"], &certificate["isa"]),
            (&"tile".into(), &"scalar".into())
        );
        assert_eq!(certificate["rows_scanned"], 300);
        let scored = certificate["rows_scored"].as_u64().unwrap();
        assert!((20..=300).contains(&scored), "{scored}");
        assert!(certificate["bytes_read"].as_u64().unwrap() >= 300 * (64 + 64 + 8));
    }
    let sentence = said(&batch.identify(&["--explain"]));
    let first = sentence.lines().next().unwrap();
    assert!(
        first.starts_with("probe 0: 300 templates scanned (tile plan"),
        "{first}"
    );
    assert!(first.contains("all others out by proof"), "{first}");
}

/// Whoever has the labels by then is another question, too.
#[test]
fn a_run_about_some_labels_is_not_gone_on_with_about_others() {
    let batch = Batch::new();
    let path = batch.at("answers.jsonl");
    let label = |class: &str, label: &str| {
        let at = ["--data-dir", &batch.data, "--partition", "bws.1"];
        let people = batch.at("people.csv");
        fs::write(&people, format!("class,labels\n{class},{label}\n")).unwrap();
        success(&vultus(
            &[&["people", "import", text(&people)], &at[..]].concat(),
        ));
    };
    label("3", "site:berlin");
    label("4", "site:rome");
    let to_file = ["--output", text(&path)];
    let about = |label: &'static str, more: &[&str]| {
        batch.identify(&[&to_file[..], &["--label", label], more].concat())
    };
    success(&about("site:berlin", &[]));
    let berlin = read(&path);
    for (asked, then) in [
        (
            about("site:rome", &["--resume"]),
            "then site:berlin, now site:rome",
        ),
        (
            batch.identify(&[&to_file[..], &["--resume"]].concat()),
            "another `gallery`",
        ),
    ] {
        let refused = failure(&asked);
        assert!(refused.contains("was begun with another"), "{refused}");
        assert!(
            refused.contains(then) || refused.contains("gallery"),
            "{refused}"
        );
    }
    assert!(said(&about("site:berlin", &["--resume"])).contains("is finished"));
    label("5", "site:berlin");
    let refused = failure(&about("site:berlin", &["--resume"]));
    assert!(refused.contains("another `gallery`"), "{refused}");
    assert_eq!(read(&path), berlin);
}

#[cfg(unix)]
#[test]
fn nothing_but_a_file_is_replaced_and_never_the_probes() {
    use std::os::unix::fs::{FileTypeExt, symlink};

    let batch = Batch::new();
    let probes = batch.at("probes.jsonl");
    let row: Vec<f32> = random_rows(1, 24, 7).remove(0);
    fs::write(&probes, format!("{{\"embedding\":{row:?}}}\n")).unwrap();
    let before = read(&probes);
    let of = batch.arguments("probes.jsonl");
    let of: Vec<&str> = of.iter().map(String::as_str).collect();
    symlink(&probes, batch.at("link.jsonl")).unwrap();
    for name in ["probes.jsonl", "link.jsonl"] {
        let over = ["--output", text(&batch.at(name)), "--overwrite"].map(str::to_owned);
        let over: Vec<&str> = over.iter().map(String::as_str).collect();
        let refused = failure(&vultus(&[&of[..], &over[..]].concat()));
        assert!(refused.contains("is what is read"), "{refused}");
    }
    assert_eq!(read(&probes), before);

    symlink(batch.at("nothing"), batch.at("dangling.jsonl")).unwrap();
    let dangling = batch.at("dangling.jsonl");
    let refused = failure(&batch.identify(&["--output", text(&dangling)]));
    assert!(refused.contains("exists"), "{refused}");

    symlink("/dev/null", batch.at("null.jsonl")).unwrap();
    let pipe = batch.at("pipe.jsonl");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for place in [batch.at("null.jsonl"), pipe.clone()] {
        let (at, export) = (text(&place), ["gallery", "export", "--overwrite"]);
        let of = ["--data-dir", &batch.data, "--partition", "bws.1"];
        for refused in [
            batch.identify(&["--output", at, "--overwrite"]),
            vultus(&[&export[..], &of[..], &["--output", at]].concat()),
            vultus(&[&["people", "export", at, "--overwrite"], &of[..]].concat()),
            vultus(&[
                "gallery",
                "snapshot",
                "--data-dir",
                &batch.data,
                "--to",
                at,
                "--overwrite",
            ]),
        ] {
            let refused = failure(&refused);
            assert!(refused.contains("expected a file, found"), "{refused}");
            assert!(refused.contains("null.jsonl") || refused.contains("pipe.jsonl"));
        }
    }
    let null = fs::metadata("/dev/null").unwrap().file_type();
    assert!(null.is_char_device() && fs::metadata(&pipe).unwrap().file_type().is_fifo());
    // Nobody waits for somebody who writes into it.
    let from = failure(&vultus(
        &[
            &batch
                .arguments("pipe.jsonl")
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()[..],
            &["--json"],
        ]
        .concat(),
    ));
    assert!(
        from.contains("pipe.jsonl") && from.contains("a pipe or a device"),
        "{from}"
    );
}

/// The writer of archives would complete by itself what was given up, and print that it cannot.
#[cfg(all(target_os = "linux", feature = "npz"))]
#[test]
fn a_full_disk_is_told_once_also_for_arrays() {
    let batch = Batch::new();
    let path = batch.at("answers.npz");
    // The rows fit, and the arrays do not.
    let to_file = ["--top", "20", "--output", text(&path)];
    let whole = batch.at("whole.npz");
    success(&batch.identify(&["--top", "20", "--output", text(&whole)]));
    let room = fs::metadata(&whole).unwrap().len() - 2_000;
    let stopped = failure(&identify_on_a_small_disk(&batch, room, &to_file));
    assert!(
        !stopped.contains("ZipWriter") && !stopped.contains("Os {"),
        "{stopped}"
    );
    assert!(stopped.contains("answers.npz"), "{stopped}");
    assert!(!path.exists());
}
