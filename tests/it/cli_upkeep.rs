//! Verifying, mending, compacting and erasing with the program.

use std::path::{Path, PathBuf};
use std::process::Output;

use super::cli::{embeddings, failure, json_lines, random_rows, success, text, vultus};

/// A data directory with one gallery of 3,000 rows in one segment.
struct Data {
    directory: tempfile::TempDir,
}

impl Data {
    fn new() -> Data {
        let data = Data {
            directory: tempfile::tempdir().unwrap(),
        };
        let file = data.at("rows.npy");
        embeddings(&file, &random_rows(3_000, 64, 1));
        let import = [
            "gallery",
            "import",
            "--partition",
            "bws.1",
            "--encoder",
            "test",
        ];
        success(&data.run(&[&import[..], &[text(&file)]].concat()));
        data
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, verb: &[&str]) -> Output {
        vultus(&[verb, &["--data-dir", text(&self.at("data"))]].concat())
    }

    fn segment(&self) -> PathBuf {
        let mut entries = std::fs::read_dir(self.at("data/segments/1")).unwrap();
        entries.next().unwrap().unwrap().path()
    }

    fn identify(&self) -> Output {
        let probes = self.at("rows.npy");
        let verb = [
            "identify",
            "--partition",
            "bws.1",
            "--embeddings",
            text(&probes),
        ];
        self.run(&[&verb[..], &["--top", "1", "--json"]].concat())
    }
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn damage_is_named_answers_are_refused_and_a_snapshot_mends_it() {
    let data = Data::new();
    let answers = success(&data.identify());
    let snapshot = data.at("copy.tar.zst");
    success(&data.run(&["gallery", "snapshot", "--to", text(&snapshot)]));
    let whole = json_lines(&success(&data.run(&["gallery", "verify", "--json"])));
    assert_eq!(whole[0]["templates"], 3_000);
    assert_eq!(whole[0]["damage"].as_array().unwrap().len(), 0);

    let segment = data.segment();
    let length = std::fs::metadata(&segment).unwrap().len() as usize;
    // The last plane, of values, ends a page before the table at most.
    flip(&segment, length - 3 * 4096);
    let verify = data.run(&["gallery", "verify"]);
    let said = String::from_utf8_lossy(&verify.stdout).into_owned();
    assert_eq!(code(&verify), Some(1), "{said}");
    for part in [
        "bws.1: `",
        "is damaged at byte",
        "expected checksum",
        "found",
    ] {
        assert!(said.contains(part), "{said}");
    }
    // Answers that have nothing to do with the damaged rows may come before.
    let identify = data.identify();
    assert_eq!(code(&identify), Some(2));
    let said = String::from_utf8_lossy(&identify.stderr).into_owned();
    assert!(
        said.contains("`bws.1` with 3000 templates is incomplete"),
        "{said}"
    );

    let alone = data.run(&["gallery", "repair", "--json"]);
    assert_eq!(code(&alone), Some(1));
    let report = &json_lines(&String::from_utf8(alone.stdout).unwrap())[0];
    assert_eq!(report["mended"], false);
    assert!(report["lost"].as_u64().unwrap() > 0);
    assert_eq!(code(&data.identify()), Some(2));

    success(&data.run(&["gallery", "repair", "--from", text(&snapshot)]));
    success(&data.run(&["gallery", "verify"]));
    assert_eq!(success(&data.identify()), answers);
    assert!(success(&data.run(&["gallery", "repair"])).is_empty());
    // What was unpacked to mend it is gone, and the damaged file is kept.
    let left = std::fs::read_dir(data.directory.path()).unwrap().count();
    assert_eq!(left, 3, "rows.npy, data, copy.tar.zst");
    assert!(segment.with_extension("vseg.damaged").exists());
}

#[test]
fn what_cannot_be_mended_is_given_up_only_when_asked() {
    let data = Data::new();
    std::fs::remove_file(data.segment()).unwrap();
    assert_eq!(code(&data.run(&["gallery", "verify"])), Some(1));
    assert_eq!(code(&data.run(&["gallery", "repair"])), Some(1));
    success(&data.run(&["gallery", "repair", "--accept-loss"]));
    success(&data.run(&["gallery", "verify"]));
    let info = json_lines(&success(&data.run(&["gallery", "info", "--json"])));
    assert_eq!(info[0]["templates"], 0);
    let missing = data.at("missing");
    let said = failure(&data.run(&["gallery", "repair", "--from", text(&missing)]));
    assert!(said.contains("missing"), "{said}");
}

#[test]
fn people_are_erased_and_galleries_compacted() {
    let data = Data::new();
    let erase = ["gallery", "erase", "--partition", "bws.1", "--json"];
    let erased = data.run(&[&erase[..], &["--class", "7", "--class", "8"]].concat());
    for outcome in json_lines(&success(&erased)) {
        assert_eq!(outcome["was_enrolled"], true);
        assert_eq!(outcome["overwritten"], true);
    }
    let said = String::from_utf8_lossy(&erased.stderr).into_owned();
    assert!(said.contains("copies may remain in snapshots"), "{said}");
    let again = data.run(&[&erase[..], &["--class", "7"]].concat());
    assert_eq!(code(&again), Some(1));
    let info = json_lines(&success(&data.run(&["gallery", "info", "--json"])));
    assert_eq!(info[0]["templates"], 2_998);
    assert_eq!(info[0]["removed_rows"], 0);

    let file = data.at("rows.npy");
    let import = [
        "gallery",
        "import",
        "--partition",
        "bws.1",
        "--encoder",
        "test",
        "--overwrite",
    ];
    success(&data.run(&[&import[..], &[text(&file)]].concat()));
    let compacted = json_lines(&success(&data.run(&["gallery", "compact", "--json"])));
    assert_eq!(compacted[0]["segments_written"], 1);
    assert_eq!(compacted[0]["segments_removed"], 2);
    // Those who were left are there already, and are not added again.
    let info = json_lines(&success(&data.run(&["gallery", "info", "--json"])));
    assert_eq!(
        (&info[0]["segments"], &info[0]["templates"]),
        (&1.into(), &3_000.into())
    );

    let nowhere = ["gallery", "erase", "--partition", "bws.9", "--class", "1"];
    assert!(failure(&data.run(&nowhere)).contains("there is no gallery `bws.9`"));
    assert!(failure(&data.run(&["gallery", "verify", "--partition", "bws.9"])).contains("bws.9"));
    assert!(failure(&data.run(&["gallery", "compact", "--partition", "bws.9"])).contains("bws.9"));
}

#[test]
fn a_damaged_gallery_does_not_hide_the_others() {
    let data = Data::new();
    let import = [
        "gallery",
        "import",
        "--partition",
        "bws.2",
        "--encoder",
        "test",
    ];
    success(&data.run(&[&import[..], &[text(&data.at("rows.npy"))]].concat()));
    let segment = data.segment();
    let length = std::fs::metadata(&segment).unwrap().len();
    let file = std::fs::File::options().write(true).open(&segment).unwrap();
    file.set_len(length - 5).unwrap();
    let output = data.run(&["gallery", "info", "--json"]);
    assert_eq!(code(&output), Some(1));
    let listed = json_lines(std::str::from_utf8(&output.stdout).unwrap());
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["partition"], "bws.2");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("partition `bws.1` with 3000 templates is incomplete"),
        "{said}"
    );
}

#[test]
fn a_gallery_that_is_not_there_is_not_called_whole() {
    let data = Data::new();
    for verb in ["verify", "repair", "compact", "info"] {
        let output = data.run(&["gallery", verb, "--partition", "bws.9"]);
        assert_eq!(code(&output), Some(2), "{verb}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("bws.9"),
            "{verb}"
        );
    }
}
