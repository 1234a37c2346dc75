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
    assert_eq!(
        (&told["classes"], &told["people"]),
        (&150.into(), &150.into())
    );
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
    assert_eq!(told["identification"][4]["reached"], true);

    // Among more people strangers reach more; one to one nothing changes, and nothing else is kept.
    let more = calibrate(&data, "bws.1", &["--json", "--people", "100000000"]);
    let more = json_lines(&success(&more)).remove(0);
    assert_eq!(
        (&more["classes"], &more["people"]),
        (&150.into(), &100_000_000.into())
    );
    assert_eq!(more["verification"], told["verification"]);
    for (few, many) in similarities("identification")
        .iter()
        .zip(more["identification"].as_array().unwrap())
    {
        assert!(many["threshold"].as_f64().unwrap() > *few, "{more}");
    }
    assert!(failure(&calibrate(&data, "bws.1", &["--people", "0"])).contains("--people"));

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
fn where_all_are_alike_no_threshold_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let same = vec![random_rows(1, 32, 9).remove(0); 60];
    embeddings(&at("same.npy"), &same);
    let (data, same) = (at("data"), at("same.npy"));
    let of = ["--data-dir", text(&data), "--partition", "bws.1"];
    let import = ["gallery", "import", "--encoder", "test", text(&same)];
    success(&vultus(&[&import[..], &of].concat()));
    let told = calibrate(text(&data), "bws.1", &["--json"]);
    let told = json_lines(&success(&told)).remove(0);
    for of in ["identification", "verification"] {
        for rate in told[of].as_array().unwrap() {
            assert_eq!(rate["reached"], false, "{of}: {rate}");
        }
    }
    let shown = calibrate(text(&data), "bws.1", &[]);
    assert_eq!(success(&shown).matches("none").count(), 10, "{shown:?}");
    let said = String::from_utf8(shown.stderr).unwrap();
    assert!(said.contains("no threshold keeps them"), "{said}");
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
    assert!(error.contains("there is no gallery `bws.2`"), "{error}");
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

/// Labelled embeddings of so many people, three of each.
fn labelled(directory: &Path, people: usize) -> Vec<Vec<f32>> {
    let middles = random_rows(people, 24, 5);
    let offsets = random_rows(3 * people, 24, 6);
    let near = |(at, offset): (usize, &Vec<f32>)| -> Vec<f32> {
        let middle = middles[at / 3].iter();
        middle.zip(offset).map(|(a, b)| a + 0.3 * b).collect()
    };
    let rows: Vec<Vec<f32>> = offsets.iter().enumerate().map(near).collect();
    let classes: Vec<i64> = (0..rows.len()).map(|at| at as i64 / 3).collect();
    embeddings(&directory.join("faces.npy"), &rows);
    let shape = format!("({},)", classes.len());
    let labels = directory.join("labels.npy");
    npy(&labels, "<i8", &shape, bytemuck::cast_slice(&classes));
    rows
}

fn profile(directory: &Path, file: &str, more: &[&str]) -> std::process::Output {
    let at = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let (file, labels, faces) = (at(file), at("labels.npy"), at("faces.npy"));
    let verb = [
        "calibrate",
        "--encoder-profile",
        &file,
        "--classes",
        &labels,
    ];
    vultus(&[&verb[..], more, &[&faces]].concat())
}

#[test]
fn an_embedder_of_ones_own_gets_a_threshold() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let rows = labelled(directory.path(), 80);
    let own = ["--encoder", "mine@2"];
    let told = profile(
        directory.path(),
        "mine.json",
        &[&own[..], &["--json"]].concat(),
    );
    let told = json_lines(&success(&told)).remove(0);
    assert_eq!(
        (&told["classes"], &told["mated"]),
        (&80.into(), &"measured".into())
    );
    assert_eq!(told["partition"], serde_json::Value::Null);

    // A gallery of two people, and a probe of one of them and of a stranger.
    embeddings(
        &directory.path().join("two.npy"),
        &[rows[0].clone(), rows[3].clone()],
    );
    embeddings(
        &directory.path().join("probes.npy"),
        &[rows[1].clone(), rows[60].clone()],
    );
    let data = at("data");
    let gallery = ["--data-dir", &data, "--partition", "bws.1"];
    let two = at("two.npy");
    success(&vultus(
        &[&["gallery", "import", &two], &gallery[..], &own].concat(),
    ));
    let probes = at("probes.npy");
    let ask = |more: &[&str]| {
        vultus(
            &[
                &["identify", "--json", "--embeddings", &probes],
                &gallery[..],
                more,
            ]
            .concat(),
        )
    };
    let without = json_lines(&success(&ask(&[])));
    assert_eq!(without[0]["decision"], serde_json::Value::Null);
    assert_eq!(without[0]["matches"].as_array().unwrap().len(), 2);
    let profile_file = at("mine.json");
    let with = json_lines(&success(&ask(&["--encoder-profiles", &profile_file])));
    let threshold = with[0]["threshold"].as_f64().unwrap();
    assert!((0.2..0.95).contains(&threshold), "{with:?}");
    assert_eq!(
        (&with[0]["decision"], &with[1]["decision"]),
        (&"match".into(), &"unknown".into())
    );
    assert!(with[0]["confidence"].as_f64().unwrap() > 0.9, "{with:?}");

    // What is there is not replaced without a word, and what is no profile is not used.
    let again = failure(&profile(directory.path(), "mine.json", &own));
    assert!(again.contains("--overwrite"), "{again}");
    success(&profile(
        directory.path(),
        "mine.json",
        &["--encoder", "mine@2", "--overwrite"],
    ));
    let twice = format!("{profile_file},{profile_file}");
    let error = failure(&ask(&["--encoder-profiles", &twice]));
    assert!(error.contains("a second profile of `mine@2/24`"), "{error}");
    let missing = at("missing.json");
    let error = failure(&ask(&["--encoder-profiles", &missing]));
    assert!(error.contains("missing.json"), "{error}");
    let whole = std::fs::read_to_string(&profile_file).unwrap();
    for (from, to) in [
        ("\"version\": 1", "\"version\": 2"),
        (
            "\"verification_threshold\": ",
            "\"verification_threshold\": 7",
        ),
        ("\"mine\"", "\"other\""),
        ("{", "["),
    ] {
        std::fs::write(at("bad.json"), whole.replacen(from, to, 1)).unwrap();
        let error = failure(&ask(&["--encoder-profiles", &at("bad.json")]));
        assert!(error.contains("bad.json"), "{from}: {error}");
    }
}

#[test]
fn an_encoder_that_cannot_be_measured_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    labelled(directory.path(), 19);
    let own = ["--encoder", "mine@2"];
    let case = |more: &[&str], words: &str| {
        let error = failure(&profile(directory.path(), "mine.json", more));
        assert!(error.contains(words), "{words}: {error}");
        assert!(!directory.path().join("mine.json").exists());
    };
    case(&own, "19 people are enrolled, and at least 20 are needed");
    case(&[], "which encoder made the embeddings?");
    case(&["--encoder", "a b c"], "encoder");
    case(
        &["--encoder", "mine", "--partition", "bws.1"],
        "--partition",
    );
    let error = failure(&profile(directory.path(), "missing/mine.json", &own));
    assert!(error.contains("there is no folder"), "{error}");
    let mut rows = labelled(directory.path(), 30);
    rows[4][2] = f32::NAN;
    embeddings(&directory.path().join("faces.npy"), &rows);
    case(&own, "value 2 is not a finite number");
    let error = failure(&vultus(&["calibrate"]));
    assert!(error.contains("--partition"), "{error}");
    // What is only for a profile is not passed over for a gallery, and the other way round.
    for more in [
        &["faces.npy"][..],
        &["--encoder", "mine"],
        &["--classes", "labels.npy"],
        &["--overwrite"],
    ] {
        let gallery = ["calibrate", "--partition", "bws.1"];
        let error = failure(&vultus(&[&gallery, more].concat()));
        assert!(error.contains("cannot be used with"), "{error}");
    }
    let error = failure(&vultus(&["calibrate", "faces.npy"]));
    assert!(error.contains("--encoder-profile"), "{error}");
}
