//! `vultus calibrate`.

use std::path::Path;

use super::cli::{embeddings, failure, json_lines, npy, random_rows, success, text, vultus};

/// A gallery of so many people.
fn gallery(directory: &Path, people: usize) -> String {
    let at = |name: &str| directory.join(name);
    let mut rows = random_rows(people, 32, 3);
    // Somebody is enrolled twice.
    rows[people - 1] = rows[0].clone();
    let classes: Vec<i64> = (1..=people as i64).collect();
    embeddings(&at("rows.npy"), &rows);
    let shape = format!("({people},)");
    npy(
        &at("classes.npy"),
        "<i8",
        &shape,
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
        "--encoder",
        "test",
    ];
    let files = ["--embeddings", text(&rows), "--classes", text(&classes)];
    success(&vultus(&[&import[..], &files[..]].concat()));
    data
}

fn calibrate(data: &str, partition: &str, more: &[&str]) -> std::process::Output {
    let verb = ["calibrate", "--data-dir", data, "--partition", partition];
    vultus(&[&verb[..], more].concat())
}

#[test]
fn thresholds_are_told_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let data = gallery(directory.path(), 150);
    let told = json_lines(&success(&calibrate(&data, "bws.1", &["--json"]))).remove(0);
    assert_eq!(told["classes"], 150);
    assert_eq!(told["probes"], 150);
    assert_eq!(told["encoder"], "test@1/32");
    assert_eq!(told["mated"], "assumed");
    let twice = serde_json::json!([{"class": 1, "other": 150, "similarity": told["set_aside"][0]["similarity"]}]);
    assert_eq!(told["set_aside"], twice);
    let rates: Vec<f64> = told["identification"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["target_fpir"].as_f64().unwrap())
        .collect();
    assert_eq!(rates, [0.1, 0.03, 0.01, 0.003, 0.001]);
    let similarities = |of: &str| -> Vec<f64> {
        let list = told[of].as_array().unwrap();
        list.iter()
            .map(|it| it["threshold"].as_f64().unwrap())
            .collect()
    };
    for of in ["identification", "verification"] {
        assert!(similarities(of).is_sorted(), "{told}");
    }
    assert!(similarities("identification")[0] > similarities("verification")[0]);
    assert_eq!(told["identification"][4]["extrapolated"], true);

    let shown = calibrate(&data, "bws.1", &["--probes", "100", "--seed", "5"]);
    let table = success(&shown);
    assert!(table.contains("0.001") && table.contains('*'), "{table}");
    let said = String::from_utf8(shown.stderr).unwrap();
    assert!(
        said.contains("about 3000 people who are searched; there are 100"),
        "{said}"
    );

    let all = String::from_utf8(calibrate(&data, "bws.1", &[]).stderr).unwrap();
    assert!(
        all.contains("1 pair looks like one person who is enrolled twice"),
        "{all}"
    );
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let data = gallery(directory.path(), 19);
    let error = failure(&calibrate(&data, "bws.1", &[]));
    assert!(
        error.contains("19 people are enrolled, and at least 20 are needed"),
        "{error}"
    );
    let error = failure(&calibrate(&data, "bws.2", &[]));
    assert!(
        error.contains("nobody was ever enrolled in `bws.2`"),
        "{error}"
    );
    for bad in [
        ["--probes", "0"],
        ["--probes", "-3"],
        ["--probes", "NaN"],
        ["--probes", "19"],
        ["--seed", "-1"],
        ["--seed", "x"],
    ] {
        let error = failure(&calibrate(&data, "bws.1", &bad));
        assert!(
            error.contains("expected a whole number"),
            "{bad:?}: {error}"
        );
    }
}
