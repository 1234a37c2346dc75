//! The texts of errors: a cause is told once.

use std::fs;
use std::path::{Path, PathBuf};

/// A chain of causes prints each, so a text that has its cause in it would say it twice.
#[test]
fn no_error_has_its_cause_in_its_text() {
    let mut files = Vec::new();
    find(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut texts = 0;
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        for variant in source.split("#[error(").skip(1) {
            texts += 1;
            let (text, rest) = variant.split_once(")]").unwrap();
            let fields = rest.split("#[error(").next().unwrap();
            let unnamed = fields.lines().take(3).any(|line| line.contains("(#["));
            let tells_cause = text.contains("{source") || (text.contains("{0") && unnamed);
            assert!(!tells_cause, "{}: {text}", file.display());
        }
    }
    assert!(texts > 100, "only {texts} errors were found");
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}
