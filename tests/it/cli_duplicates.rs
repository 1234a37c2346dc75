//! `vultus gallery duplicates`.

use std::path::Path;

use super::cli::{embeddings, failure, json_lines, npy, random_rows, success, text, vultus};
use super::naive;

/// A gallery in which classes 5 and -3 are one person, and nobody else is like another. Returns the
/// data directory and how alike the two are.
fn gallery(directory: &Path) -> (String, f64) {
    let at = |name: &str| directory.join(name);
    let mut rows = random_rows(6, 64, 8);
    rows[4] = rows[1].clone();
    let alike = naive::cosine(&rows[1], &rows[4]);
    let classes = [10_i64, 5, 5, 7, -3, 8];
    embeddings(&at("rows.npy"), &rows);
    npy(
        &at("classes.npy"),
        "<i8",
        "(6,)",
        bytemuck::cast_slice(&classes),
    );
    let data = text(&at("data")).to_owned();
    let (rows, classes) = (at("rows.npy"), at("classes.npy"));
    let import = [
        "gallery",
        "import",
        "--data-dir",
        &data,
        "--partition",
        "bws.1",
    ];
    let files = [
        "--encoder",
        "test",
        "--embeddings",
        text(&rows),
        "--classes",
        text(&classes),
    ];
    success(&vultus(&[&import[..], &files[..]].concat()));
    (data, alike)
}

#[test]
fn people_enrolled_twice_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let (data, alike) = gallery(directory.path());
    let duplicates = |threshold: &str, more: &[&str]| {
        let common = [
            "gallery",
            "duplicates",
            "--data-dir",
            &data,
            "--partition",
            "bws.1",
        ];
        vultus(&[&common[..], &["--threshold", threshold], more].concat())
    };
    let alike = serde_json::to_string(&alike).unwrap();
    let line = format!("{{\"class\":-3,\"other\":5,\"similarity\":{alike}}}\n");
    assert_eq!(success(&duplicates(&alike, &["--json"])), line);
    let table = success(&duplicates("0.9", &[]));
    assert!(
        table.contains("similarity") && table.contains("1.000000"),
        "{table}"
    );
    // All of ten pairs of five classes, most alike first.
    let all = json_lines(&success(&duplicates("-1", &["--json"])));
    let similarities: Vec<f64> = all
        .iter()
        .map(|pair| pair["similarity"].as_f64().unwrap())
        .collect();
    assert_eq!(similarities.len(), 10);
    assert!(similarities.is_sorted_by(|a, b| a >= b));

    let output = directory.path().join("pairs.jsonl");
    let to_file = ["--output", text(&output)];
    assert_eq!(success(&duplicates("0.9", &to_file)), "");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), line);
    let said = failure(&duplicates("-1", &to_file));
    assert!(said.contains("pairs.jsonl` exists"), "{said}");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), line);
    success(&duplicates(
        "-1",
        &["--output", text(&output), "--overwrite"],
    ));
    assert_eq!(json_lines(&std::fs::read_to_string(&output).unwrap()), all);

    let nobody = vultus(&[
        "gallery",
        "duplicates",
        "--data-dir",
        &data,
        "--partition",
        "bws.2",
        "--threshold",
        "0",
    ]);
    assert!(failure(&nobody).contains("there is no gallery `bws.2`"));
    for threshold in ["2.0", "NaN", "-1.01", "x"] {
        let said = failure(&duplicates(threshold, &[]));
        assert!(
            said.contains("--threshold") && said.contains(threshold.trim_end_matches(".0")),
            "{said}"
        );
    }
}
