//! A data directory that somebody has changed behind the program's back: every verb refuses by name
//! what it could only make worse, and loses nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::cli::{embeddings, failure, random_rows, success, text, vultus};

/// A data directory with one gallery of 200 rows in a segment.
struct Data {
    directory: tempfile::TempDir,
}

impl Data {
    fn new() -> Data {
        let data = Data {
            directory: tempfile::tempdir().unwrap(),
        };
        embeddings(&data.at("rows.npy"), &random_rows(200, 32, 1));
        success(&data.import("bws.1"));
        data
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, verb: &[&str]) -> Output {
        vultus(&[verb, &["--data-dir", text(&self.at("data"))]].concat())
    }

    fn import(&self, gallery: &str) -> Output {
        let rows = self.at("rows.npy");
        let import = [
            "gallery",
            "import",
            "--partition",
            gallery,
            "--encoder",
            "test",
        ];
        self.run(&[&import[..], &[text(&rows)]].concat())
    }
}

/// All files below a directory.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

#[test]
fn no_verb_makes_a_catalog_where_one_is_missing() {
    let data = Data::new();
    fs::remove_file(data.at("data/catalog.redb")).unwrap();
    let before = files(&data.at("data"));
    let rows = data.at("rows.npy");
    let answers = data.at("answers.jsonl");
    let snapshot = data.at("snapshot.tar.zst");
    let import = [
        "gallery",
        "import",
        "--partition",
        "bws.2",
        "--encoder",
        "test",
    ];
    let verbs: Vec<Vec<&str>> = vec![
        vec!["serve", "--listen", "127.0.0.1:0"],
        vec!["app", "create", "--storage", "bws", "--name", "a"],
        vec!["app", "list"],
        vec![
            "key",
            "create",
            "--name",
            "k",
            "--scopes",
            "identify",
            "--everything",
        ],
        vec!["key", "list"],
        [&import[..], &[text(&rows)]].concat(),
        [&import[..], &["--dry-run", text(&rows)]].concat(),
        vec!["gallery", "list"],
        vec!["gallery", "info"],
        vec!["gallery", "verify"],
        vec!["gallery", "compact"],
        vec!["gallery", "snapshot", "--to", text(&snapshot)],
        vec![
            "identify",
            "--partition",
            "bws.1",
            "--embeddings",
            text(&rows),
            "--output",
            text(&answers),
        ],
    ];
    for verb in &verbs {
        let said = failure(&data.run(verb));
        assert!(
            said.contains("catalog.redb` is missing"),
            "{verb:?}: {said}"
        );
        assert!(
            said.contains(".vseg` shows that there was one"),
            "{verb:?}: {said}"
        );
        assert!(
            !said.contains("--data-dir"),
            "it is the right directory: {verb:?}: {said}"
        );
    }
    assert_eq!(files(&data.at("data")), before);
    assert!(!answers.exists() && !snapshot.exists());
}
