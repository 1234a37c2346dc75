//! `vultus evaluate identification` and `verification`: the figures are those of a full evaluation
//! in double precision, and what cannot be evaluated says why and leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use vultus::eval::recognition::{People, Protocol, Sample, SampleName};
use vultus::types::{ClassId, Embedding};

use super::cli::{embeddings, failure, npy, random_rows, success, text, vultus};
use super::naive;

/// People in a file of embeddings: of each some samples around a direction of its own.
struct Faces {
    directory: tempfile::TempDir,
    rows: Vec<(i64, Vec<f32>)>,
}

impl Faces {
    /// So many samples of each person, which lie the farther apart the greater `noise` is.
    fn of(counts: &[usize], noise: f32, seed: u64) -> Faces {
        let middles = random_rows(counts.len(), 24, seed);
        let all = counts.iter().sum();
        let mut offsets = random_rows(all, 24, seed + 1).into_iter();
        let mut rows = Vec::new();
        for (person, (middle, &count)) in middles.iter().zip(counts).enumerate() {
            for _ in 0..count {
                let offset = offsets.next().unwrap();
                let row = middle.iter().zip(offset).map(|(a, b)| a + noise * b);
                rows.push((3 * person as i64 - 7, row.collect()));
            }
        }
        let faces = Faces {
            directory: tempfile::tempdir().unwrap(),
            rows,
        };
        faces.write();
        faces
    }

    fn write(&self) {
        let (classes, rows): (Vec<i64>, Vec<Vec<f32>>) = self.rows.iter().cloned().unzip();
        embeddings(&self.at("faces.npy"), &rows);
        self.labels(&classes);
    }

    fn labels(&self, classes: &[i64]) {
        let shape = format!("({},)", classes.len());
        npy(
            &self.at("labels.npy"),
            "<i8",
            &shape,
            bytemuck::cast_slice(classes),
        );
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn evaluate(&self, what: &str, more: &[&str]) -> Output {
        let (faces, labels) = (self.at("faces.npy"), self.at("labels.npy"));
        let common = ["evaluate", what, text(&faces), "--classes", text(&labels)];
        vultus(&[&common, more].concat())
    }

    fn report(&self, what: &str, more: &[&str]) -> Value {
        let more = [more, &["--json"]].concat();
        serde_json::from_str(&success(&self.evaluate(what, &more))).unwrap()
    }

    fn people(&self) -> People {
        let sample = |(item, (class, row)): (usize, &(i64, Vec<f32>))| Sample {
            class: ClassId(*class),
            embedding: Embedding::new(row.clone()).unwrap(),
            name: SampleName::Item(item as u64),
            may_enroll: true,
        };
        People::of(self.rows.iter().enumerate().map(sample).collect())
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

/// Whether a number of a report is this one. What is written is exact; `serde_json` reads it with an
/// error in the last place.
fn is_same(told: &Value, expected: f64) -> bool {
    let told = told.as_f64().unwrap();
    [expected.next_down(), expected, expected.next_up()].contains(&told)
}

/// What a full evaluation says of searches: those of strangers, and those of enrolled people with
/// the similarity to themselves and the rank.
#[derive(Default)]
struct Naive {
    strangers: Vec<f64>,
    mated: Vec<(f64, usize, f64)>,
}

impl Naive {
    fn search(&mut self, gallery: &[naive::Row], class: i64, probe: &[f32], is_enrolled: bool) {
        let answer = naive::search(gallery, probe, usize::MAX, None);
        let first = answer[0].similarity;
        if !is_enrolled {
            self.strangers.push(first);
            return;
        }
        let place = answer
            .iter()
            .position(|found| found.class.0 == class)
            .unwrap();
        self.mated
            .push((answer[place].similarity, place + 1, first));
    }

    fn threshold(&self, rate: f64) -> f64 {
        let mut scores = self.strangers.clone();
        scores.sort_by(|a, b| b.partial_cmp(a).unwrap());
        scores[(rate * scores.len() as f64 + 1e-9) as usize].next_up()
    }

    /// Compares all figures with those of a report.
    fn compare(&self, report: &Value, rank: usize) {
        let count = |at: &Value, name: &str| at[name]["count"].as_u64().unwrap() as usize;
        let mut told = 0;
        for row in report["at_rates"].as_array().unwrap() {
            if !row["need"].is_null() {
                assert!(row["fnir"].is_null() && row["threshold"].is_null());
                continue;
            }
            told += 1;
            let threshold = self.threshold(row["target_fpir"].as_f64().unwrap());
            assert!(is_same(&row["threshold"], threshold));
            let named = self.strangers.iter().filter(|it| **it >= threshold).count();
            assert_eq!(count(row, "fpir"), named);
            let is_missed = |(own, at, _): &&(f64, usize, f64)| *own < threshold || *at > rank;
            assert_eq!(
                count(row, "fnir"),
                self.mated.iter().filter(is_missed).count()
            );
            let is_misnamed = |(_, at, first): &&(f64, usize, f64)| *at > 1 && *first >= threshold;
            assert_eq!(
                count(row, "misnamed"),
                self.mated.iter().filter(is_misnamed).count()
            );
            let rate = named as f64 / self.strangers.len() as f64;
            assert!(is_same(&row["fpir"]["rate"], rate));
        }
        assert!(told >= 1, "{report}");
        assert_eq!(report["mated_searches"], self.mated.len());
        assert_eq!(report["non_mated_searches"], self.strangers.len());
        for share in report["ranks"].as_array().unwrap() {
            let rank = share["rank"].as_u64().unwrap() as usize;
            let within = self.mated.iter().filter(|(_, at, _)| *at <= rank).count();
            let expected = within as f64 / self.mated.len() as f64;
            assert!((share["share"].as_f64().unwrap() - expected).abs() < 1e-12);
        }
        let bars = |name: &str| -> u64 {
            let counts = report["scores"][name]["counts"].as_array().unwrap();
            counts.iter().map(|count| count.as_u64().unwrap()).sum()
        };
        assert_eq!(bars("mated") as usize, self.mated.len());
        assert_eq!(bars("non_mated") as usize, self.strangers.len());
    }
}

#[test]
fn identification_through_the_engine_equals_a_full_evaluation() {
    for (counts, noise, seed, rank) in [
        (vec![5; 40], 0.9, 1, 1),
        (
            vec![2, 1, 7, 4, 12, 3, 30, 1, 2, 2, 5, 6, 1, 9, 3, 3],
            1.1,
            2,
            3,
        ),
        (vec![3; 70], 1.6, 3, 2),
    ] {
        let faces = Faces::of(&counts, noise, seed);
        let (splits, seed, rank) = (3, seed.to_string(), rank.to_string());
        let more = [
            "--splits",
            "3",
            "--seed",
            &seed,
            "--rank",
            &rank,
            "--fpir",
            "0.1,0.2,0.05",
        ];
        let more = [&more[..], &["--json"]].concat();
        let output = faces.evaluate("identification", &more);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let protocol = Protocol {
            splits,
            strangers: 0.5,
            templates: None,
            seed: seed.parse().unwrap(),
        };
        let (people, mut expected) = (faces.people(), Naive::default());
        for number in 0..splits {
            let split = protocol.split(&people, number);
            let gallery: Vec<naive::Row> = split
                .templates
                .iter()
                .map(|&at| faces.rows[at].clone())
                .collect();
            for (probes, is_enrolled) in [(&split.mated, true), (&split.strangers, false)] {
                for &at in probes {
                    let (class, row) = &faces.rows[at];
                    expected.search(&gallery, *class, row, is_enrolled);
                }
            }
        }
        expected.compare(&report, rank.parse().unwrap());
        assert_eq!(report["people"], counts.len());
    }
}

#[test]
fn a_gallery_and_labelled_probes_equal_a_full_evaluation() {
    let faces = Faces::of(&[6; 30], 1.0, 5);
    // The first two samples of two thirds of the people are enrolled.
    let (mut gallery, mut probes) = (Vec::new(), Vec::new());
    for (at, row) in faces.rows.iter().enumerate() {
        match at % 6 < 2 && at < 120 {
            true => gallery.push(row.clone()),
            false => probes.push(row.clone()),
        }
    }
    let lines = |rows: &[(i64, Vec<f32>)]| -> String {
        let line = |(class, row): &(i64, Vec<f32>)| {
            format!(
                "{{\"class\":{class},\"embedding\":{}}}\n",
                serde_json::to_string(row).unwrap()
            )
        };
        rows.iter().map(line).collect()
    };
    fs::write(faces.at("gallery.jsonl"), lines(&gallery)).unwrap();
    fs::write(faces.at("probes.jsonl"), lines(&probes)).unwrap();
    let (data, file) = (faces.at("data"), faces.at("gallery.jsonl"));
    let place = ["--data-dir", text(&data), "--partition", "bws.1"];
    let import = ["gallery", "import", "--encoder", "test", text(&file)];
    success(&vultus(&[&import[..], &place].concat()));
    let file = faces.at("probes.jsonl");
    let evaluate = |what: &str, more: &[&str]| {
        let evaluate = ["evaluate", what, text(&file), "--json"];
        vultus(&[&evaluate[..], &place, more].concat())
    };
    let report: Value = serde_json::from_str(&success(&evaluate(
        "identification",
        &["--fpir", "0.1,0.2"],
    )))
    .unwrap();
    let mut expected = Naive::default();
    let enrolled: BTreeSet<i64> = gallery.iter().map(|(class, _)| *class).collect();
    for (class, row) in &probes {
        expected.search(&gallery, *class, row, enrolled.contains(class));
    }
    expected.compare(&report, 1);
    assert_eq!(report["partition"], "bws.1");
    // Templates as probes measure nothing: they are left out, and a wrong label is told.
    let mut again = [&probes[..], &gallery[..3]].concat();
    again.push((999, gallery[5].1.clone()));
    fs::write(faces.at("probes.jsonl"), lines(&again)).unwrap();
    let output = evaluate("identification", &["--fpir", "0.1,0.2"]);
    assert_eq!(output.status.code(), Some(1), "a label is wrong");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("of class 999 is a template of class"),
        "{said}"
    );
    assert!(
        said.contains("left out 3 probes that are templates"),
        "{said}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    expected.compare(&report, 1);
    // Verification compares every probe with every class.
    let output = evaluate("verification", &["--fmr", "0.1,0.01"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let comparisons = probes.len() * enrolled.len();
    assert_eq!(report["mated_comparisons"], expected.mated.len());
    assert_eq!(
        report["non_mated_comparisons"],
        comparisons - expected.mated.len()
    );
}

#[test]
fn verification_through_the_engine_equals_a_full_evaluation() {
    let faces = Faces::of(&[4, 1, 6, 3, 5, 2, 2, 9, 3, 3, 1, 4], 1.2, 9);
    let report = faces.report("verification", &["--fmr", "0.1,0.01", "--threshold", "0.4"]);
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for (at, (class, row)) in faces.rows.iter().enumerate() {
        for (other, with) in &faces.rows[at + 1..] {
            let scores = if class == other {
                &mut own
            } else {
                &mut others
            };
            scores.push(naive::cosine(row, with));
        }
    }
    others.sort_by(|a, b| b.partial_cmp(a).unwrap());
    let reach =
        |scores: &[f64], threshold: f64| scores.iter().filter(|it| **it >= threshold).count();
    let rows = report["at_rates"].as_array().unwrap();
    for row in rows.iter().chain([&report["in_use"]]) {
        let threshold = match row["target_fmr"].as_f64() {
            Some(rate) => others[(rate * others.len() as f64 + 1e-9) as usize].next_up(),
            None => 0.4,
        };
        assert!(is_same(&row["threshold"], threshold));
        assert_eq!(row["fmr"]["count"], reach(&others, threshold));
        assert_eq!(row["fnmr"]["count"], own.len() - reach(&own, threshold));
        let (low, high) = (&row["fnmr"]["people_low"], &row["fnmr"]["people_high"]);
        assert!(low.as_f64().unwrap() <= high.as_f64().unwrap());
    }
    assert_eq!(report["mated_comparisons"], own.len());
    assert_eq!(report["non_mated_comparisons"], others.len());
    // Where both errors are equal, found by trying all.
    let total = |scores: &[f64]| scores.len() as f64;
    let errors = |threshold: f64| {
        let positive = reach(&others, threshold) as f64 / total(&others);
        (positive, 1.0 - reach(&own, threshold) as f64 / total(&own))
    };
    let nearest = own.iter().chain(&others).map(|it| errors(*it));
    let least = nearest.map(|(a, b)| (a - b).abs()).fold(1.0, f64::min);
    let (positive, negative) = errors(report["equal"]["threshold"].as_f64().unwrap());
    assert!(
        (positive - negative).abs() <= least + 1.0 / total(&own),
        "{positive} {negative}"
    );
    let worst = &report["worst_pairs"][0];
    assert!(is_same(&worst["similarity"], others[0]));
}

#[test]
fn the_same_seed_gives_the_same_report_and_another_another() {
    let faces = Faces::of(&[4; 24], 1.0, 11);
    let report = |seed: &str| faces.report("identification", &["--seed", seed, "--splits", "4"]);
    assert_eq!(report("5"), report("5"));
    assert_ne!(report("5")["at_rates"], report("6")["at_rates"]);
    let estimate = &report("5")["at_rates"][0]["fnir"];
    let ends = ["low", "rate", "high"].map(|end| estimate[end].as_f64().unwrap());
    assert!(ends.is_sorted(), "{estimate}");
    let threads = |threads: &str| faces.report("identification", &["--threads", threads]);
    assert_eq!(threads("1"), threads("4"), "threads change nothing");
}

#[test]
fn what_cannot_be_evaluated_says_why_and_leaves_nothing() {
    type Change = fn(&mut Faces);
    let cases: [(&[usize], Change, &[&str], &str); 12] = [
        (&[9], |_| (), &[], "all 9 samples are of class -7"),
        (&[1; 9], |_| (), &[], "each of the 9 people has one sample"),
        (
            &[4; 6],
            |_| (),
            &["--fpir", "0.001"],
            "1/1000 needs about 3,000 non-mated probes for such an interval; there are 2",
        ),
        (
            &[4; 6],
            |_| (),
            &["--fpir", "30,0.0001"],
            "1/10000 needs about 30,000 non-mated probes",
        ),
        (&[4; 6], |_| (), &["--fpir", "0"], "is not a rate"),
        (&[4; 6], |_| (), &["--fpir", "1"], "is not a rate"),
        (&[4; 6], |_| (), &["--fpir=-3"], "is not a rate"),
        (&[4; 6], |_| (), &["--fpir", "0.1,nan"], "is not a rate"),
        (
            &[4; 6],
            |_| (),
            &["--strangers", "1"],
            "a share between 0 and 1",
        ),
        (
            &[4; 6],
            |faces| faces.rows[3].1[5] = f32::NAN,
            &[],
            "item 3: value 5 is not a finite number",
        ),
        (
            &[4; 6],
            |faces| faces.rows.iter_mut().for_each(|row| row.1.fill(0.0)),
            &[],
            "24 of 24 rows",
        ),
        (
            &[4; 6],
            |faces| faces.labels(&[1, 2, 3]),
            &[],
            "one class for each of 24 rows",
        ),
    ];
    for (counts, change, more, words) in cases {
        let mut faces = Faces::of(counts, 1.0, 13);
        change(&mut faces);
        if !words.contains("one class for each") {
            faces.write();
        }
        let before = faces.names();
        let (page, plots) = (faces.at("report.html"), faces.at("plots"));
        let told = ["--html", text(&page), "--plots", text(&plots)];
        let more = [more, &told].concat();
        let said = failure(&faces.evaluate("identification", &more));
        assert!(said.contains(words), "{words}: {said}");
        assert_eq!(faces.names(), before, "{words}");
    }
}

#[test]
fn labels_that_are_missing_or_of_nobody_are_told() {
    let faces = Faces::of(&[4; 6], 1.0, 13);
    let npy = faces.at("faces.npy");
    let said = failure(&vultus(&["evaluate", "identification", text(&npy)]));
    assert!(said.contains("--classes FILE.npy"), "{said}");
    let said = failure(&faces.evaluate("identification", &["--html", "/nowhere/at/all.html"]));
    assert!(said.contains("no folder `/nowhere/at`"), "{said}");
    let said = failure(&faces.evaluate("verification", &["--plots", text(&npy)]));
    assert!(said.contains("is a file: name a folder"), "{said}");
    // Folders without pictures, and beside files.
    fs::create_dir_all(faces.at("people/1")).unwrap();
    let said = failure(&vultus(&[
        "evaluate",
        "identification",
        text(&faces.at("people")),
    ]));
    assert!(
        said.contains("no picture that can be read") && said.contains("people/1"),
        "{said}"
    );
    let both = [text(&npy), text(&faces.at("people"))].map(str::to_owned);
    let said = failure(&vultus(&["evaluate", "verification", &both[0], &both[1]]));
    assert!(said.contains("are evaluated apart"), "{said}");
    // Nobody of a gallery.
    let data = faces.at("data");
    let place = ["--data-dir", text(&data), "--partition", "bws.1"];
    let import = ["gallery", "import", "--encoder", "test", text(&npy)];
    success(&vultus(&[&import[..], &place].concat()));
    let said = failure(&faces.evaluate(
        "identification",
        &[&place[..2], &["--partition", "bws.9"]].concat(),
    ));
    assert!(said.contains("there is no gallery `bws.9`"), "{said}");
}

#[test]
fn samples_that_are_there_twice_are_found_and_told() {
    let mut faces = Faces::of(&[4; 8], 1.0, 17);
    let report = faces.report("identification", &[]);
    assert_eq!(report["left_out"]["copies"], 0);
    // Again under its own label, once scaled; and one under the label of another.
    let (own, theirs) = (faces.rows[0].clone(), faces.rows[9].clone());
    let scaled = own.1.iter().map(|value| value * 2.5).collect();
    faces.rows.push((own.0, scaled));
    faces.rows.push(own);
    faces.rows.push((5_000, theirs.1));
    faces.write();
    for what in ["identification", "verification"] {
        let output = faces.evaluate(what, &["--json"]);
        assert_eq!(output.status.code(), Some(1), "a label is wrong");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("item 9 of class -1 and item 34 of class 5000 are the same"),
            "{said}"
        );
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let left_out = &report["left_out"];
        assert_eq!(left_out["copies"], 2);
        assert_eq!(left_out["two_labels"], 2);
        assert_eq!(left_out["two_labels_first"][0]["other_class"], 5_000);
        assert_eq!(report["people"], 8, "nobody is left of class 5000");
    }
}

#[test]
fn a_rate_that_is_asked_for_and_cannot_be_told_is_told_beside_the_others() {
    let faces = Faces::of(&[4; 20], 1.0, 19);
    let output = faces.evaluate("identification", &["--fpir", "0.2,0.001", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("warning: 1/1000 needs about 3,000 non-mated probes"),
        "{said}"
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["at_rates"][0]["need"].is_null());
    assert_eq!(report["at_rates"][1]["need"]["needed"], 3_000);
    // Nobody asked for it: it is only said.
    let output = faces.evaluate("identification", &["--json"]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn groups_have_errors_of_their_own() {
    let faces = Faces::of(&[5; 20], 1.2, 23);
    let mut lines = "Class, group\n".to_owned();
    let mut groups: BTreeMap<i64, &str> = BTreeMap::new();
    for person in 0..18 {
        let (class, group) = (3 * person - 7, if person % 3 == 0 { "few" } else { "many" });
        groups.insert(class, group);
        lines += &format!("{class},{group}\n");
    }
    let csv = faces.at("groups.csv");
    fs::write(&csv, &lines).unwrap();
    let told = ["--groups", text(&csv), "--fpir", "0.2"];
    let report = faces.report("identification", &told);
    let of = &report["groups"];
    assert_eq!(of["people_without"], 2);
    let found = of["groups"].as_array().unwrap();
    let names: Vec<_> = found.iter().map(|group| &group["name"]).collect();
    assert_eq!(names, ["few", "many"]);
    assert_eq!(
        (&found[0]["people"], &found[1]["people"]),
        (&6.into(), &12.into())
    );
    let counts = |name: &str| {
        found
            .iter()
            .map(|group| group[name]["total"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert!(counts("false_negative") <= report["mated_searches"].as_u64().unwrap());
    assert!(of["false_negative"]["gini"].is_number(), "{of}");
    let report = faces.report("verification", &["--groups", text(&csv), "--fmr", "0.1"]);
    assert_eq!(report["groups"]["groups"][0]["false_negative"]["total"], 60);
    for (lines, words) in [
        ("class;group\n1;a\n", "expected the header `class,group`"),
        ("class,group\nAda,a\n", "line 2 of"),
        (
            "class,group\n1,a\n1,b\n",
            "class 1 is of `b`, and an earlier one of `a`",
        ),
        ("class,group\n", "names no group"),
    ] {
        fs::write(&csv, lines).unwrap();
        let said = failure(&faces.evaluate("identification", &told));
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_report_is_a_table_markdown_drawings_and_a_page() {
    let faces = Faces::of(&[4; 24], 1.0, 29);
    let is_png = |path: &Path| fs::read(path).unwrap().starts_with(b"\x89PNG");
    for (what, figures) in [
        ("identification", &["det", "scores", "cmc"][..]),
        ("verification", &["det", "scores"]),
    ] {
        let (page, plots) = (faces.at("report.html"), faces.at(what));
        let told = ["--html", text(&page), "--plots", text(&plots), "--markdown"];
        // Twice: what is there is replaced.
        for _ in 0..2 {
            let markdown = success(&faces.evaluate(what, &told));
            assert!(markdown.starts_with("# "), "{markdown}");
            assert!(markdown.contains("/det.svg)") && markdown.contains("| --- | ---: |"));
            let mut names: Vec<String> = figures
                .iter()
                .flat_map(|name| [format!("{name}.svg"), format!("{name}.png")])
                .collect();
            names.sort();
            let found = fs::read_dir(&plots).unwrap();
            let mut found: Vec<String> = found
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            found.sort();
            assert_eq!(found, names, "and no draft");
            assert!(
                names
                    .iter()
                    .filter(|name| name.ends_with("png"))
                    .all(|name| is_png(&plots.join(name)))
            );
            let page = fs::read_to_string(&page).unwrap();
            assert_eq!(page.matches("<svg").count(), figures.len());
            for outside in ["src=", "href=", "url(", "<script"] {
                assert!(!page.contains(outside), "{outside}");
            }
        }
        let table = success(&faces.evaluate(what, &[]));
        assert!(
            table.contains("95 %, people") && table.contains("Errors at rates"),
            "{table}"
        );
    }
}

#[test]
fn how_reliable_the_confidence_is_is_told_everywhere() {
    // Half of fifty people are enough to be measured.
    let faces = Faces::of(&[4; 50], 0.5, 31);
    let (page, plots) = (faces.at("report.html"), faces.at("plots"));
    let told = ["--html", text(&page), "--plots", text(&plots)];
    let report = faces.report("identification", &told);
    let reliability = &report["reliability"];
    let searches = ["mated_searches", "non_mated_searches"].map(|name| report[name].as_u64());
    let searches: u64 = searches.into_iter().flatten().sum();
    assert_eq!(reliability["answers"], searches);
    let bins = reliability["bins"].as_array().unwrap();
    let sum = |name: &str| {
        bins.iter()
            .map(|bin| bin[name].as_f64().unwrap())
            .sum::<f64>()
    };
    assert_eq!(sum("answers") as u64, searches);
    assert!((sum("weight") - 1.0).abs() < 1e-9, "{reliability}");
    // As many people as strangers, by weight, and all people are found.
    let right = bins.iter().map(|bin| {
        let number = |name: &str| bin[name].as_f64().unwrap();
        number("weight") * number("right")
    });
    let rank_1 = report["rank_1"]["rate"].as_f64().unwrap();
    assert!(
        (right.sum::<f64>() - 0.5 * rank_1).abs() < 1e-9,
        "{reliability}"
    );
    let error = reliability["expected_calibration_error"].as_f64().unwrap();
    assert!(error < 0.1, "{reliability}");
    assert!(plots.join("reliability.svg").exists() && plots.join("reliability.png").exists());
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.contains("Reliability of the confidence"), "{page}");
    for more in [&["--markdown"][..], &[]] {
        let told = success(&faces.evaluate("identification", more));
        assert!(
            told.contains("Expected calibration error") && told.contains("0.9 to 1.0"),
            "{told}"
        );
    }
    // Of so few people, and an encoder that nothing is known of, nobody can say.
    let few = Faces::of(&[4; 12], 0.5, 31).report("identification", &[]);
    assert_eq!(few["reliability"], Value::Null);
}

/// A page is made anew, and nothing else is replaced: it may be what is evaluated.
#[cfg(unix)]
#[test]
fn a_page_does_not_take_the_place_of_anything_else() {
    let faces = Faces::of(&[4; 12], 0.5, 3);
    let (rows, page) = (faces.at("faces.npy"), faces.at("page.html"));
    let before = fs::read(&rows).unwrap();
    // A link, so that a program that replaces it does no harm.
    let device = faces.at("device.html");
    std::os::unix::fs::symlink("/dev/null", &device).unwrap();
    for place in [rows.as_path(), &device] {
        let refused = failure(&faces.evaluate("verification", &["--html", text(place)]));
        assert!(refused.contains("no page"), "{refused}");
    }
    assert_eq!(fs::read(&rows).unwrap(), before);
    for _ in 0..2 {
        success(&faces.evaluate("verification", &["--html", text(&page)]));
    }
    let profile = [
        "calibrate",
        "--encoder",
        "test",
        "--overwrite",
        "--encoder-profile",
        text(&rows),
        text(&rows),
    ];
    let refused = failure(&vultus(&profile));
    assert!(refused.contains("is what is read"), "{refused}");
    assert_eq!(fs::read(&rows).unwrap(), before);
}

#[cfg(target_os = "linux")]
#[test]
fn templates_are_seen_by_their_owner_alone_and_go_when_it_is_ended() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    let faces = Faces::of(&[4; 60], 0.5, 3);
    // Of a shell this process may have some ignored.
    let begun = |place: &Path, ignored: &str| -> Child {
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,TERM,HUP", ignored]);
        command.args([env!("CARGO_BIN_EXE_vultus"), "evaluate", "identification"]);
        let (rows, labels) = (faces.at("faces.npy"), faces.at("labels.npy"));
        command.args([text(&rows), "--classes", text(&labels), "--splits", "1000"]);
        command.env("TMPDIR", place);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    let first = |place: &Path| fs::read_dir(place).unwrap().next();
    let wait_for_templates = |place: &Path| {
        let within = Instant::now() + Duration::from_secs(60);
        loop {
            let catalog = first(place).map(|it| it.unwrap().path().join("catalog.redb"));
            if let Some(catalog) = catalog.filter(|it| it.exists()) {
                return catalog;
            }
            assert!(Instant::now() < within, "nothing was begun");
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let tell = |child: &Child, signal: &str| {
        let mut kill = Command::new("kill");
        kill.args(["-s", signal, &child.id().to_string()]);
        assert!(kill.status().unwrap().success());
    };
    for signal in ["INT", "TERM", "HUP"] {
        let place = tempfile::tempdir().unwrap();
        let mut child = begun(place.path(), "--ignore-signal=USR1");
        let catalog = wait_for_templates(place.path());
        // It may be that of the split before, which is gone.
        if let Ok(folder) = fs::metadata(catalog.parent().unwrap()) {
            assert_eq!(folder.permissions().mode() & 0o777, 0o700);
        }
        tell(&child, signal);
        assert!(!child.wait().unwrap().success());
        let left = first(place.path());
        assert!(left.is_none(), "{signal}: {left:?}");
    }
    // As under `nohup`.
    let place = tempfile::tempdir().unwrap();
    let mut child = begun(place.path(), "--ignore-signal=HUP");
    wait_for_templates(place.path());
    tell(&child, "HUP");
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        child.try_wait().unwrap().is_none(),
        "it was ended by SIGHUP"
    );
    tell(&child, "TERM");
    assert!(!child.wait().unwrap().success());
    assert!(first(place.path()).is_none());
}
