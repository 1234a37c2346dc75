//! `vultus bench`, and the choice of an instruction set.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use vultus::kernel::Isa;

use super::cli::{embeddings, failure, json_lines, random_rows, success, text, vultus};

/// A small gallery, measured once.
const SMALL: &[&str] = &["bench", "--rows", "3000", "--dim", "32", "--rounds", "1"];

/// The program with `VULTUS_ISA` set.
fn vultus_with_isa(isa: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(arguments)
        .env("VULTUS_ISA", isa)
        .output()
        .unwrap()
}

/// The program with `input` on its stdin.
fn vultus_with_input(input: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vultus"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// What was said by a command line that clap or we refuse.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty(), "data went to stdout");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The one JSON document that was printed.
fn report(output: &Output) -> Value {
    let mut documents = json_lines(&success(output));
    assert_eq!(documents.len(), 1, "one document");
    documents.remove(0)
}

/// Each case as (probes, plan).
fn plans(cases: &Value) -> Vec<(u64, String)> {
    let cases = cases.as_array().unwrap().iter();
    cases
        .map(|case| {
            let plan = case["plan"].as_str().unwrap().to_owned();
            (case["probes"].as_u64().unwrap(), plan)
        })
        .collect()
}

/// Whether two numbers are equal but for rounding.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs()
}

fn assert_case_is_consistent(case: &Value, report: &Value) {
    let number = |key: &str| {
        let value = case[key].as_f64();
        value.unwrap_or_else(|| panic!("`{key}` is no number in {case}"))
    };
    let seconds = number("median_ms") / 1e3;
    assert!(seconds > 0.0, "{case}");
    assert!(same(number("rows_per_s"), 3000.0 / seconds), "{case}");
    let pairs_per_s = number("rows_per_s") * number("probes");
    assert!(same(number("pairs_per_s"), pairs_per_s), "{case}");
    // Every row was read: 32 values take a line of high nibbles at least.
    let bytes = number("gb_per_s") * 1e9 * seconds;
    assert!(bytes >= 3000.0 * 64.0, "{case}");
    // The limit is what alone would take longer, and the fraction is of that one. Values are
    // multiplied by the line of 128.
    let reading = number("gb_per_s") / report["read_bandwidth_gb_per_s"].as_f64().unwrap();
    let peak = report["tile_peak_products_per_s"].as_f64();
    let multiplying = match (case["plan"].as_str(), peak) {
        (Some("tile"), Some(peak)) => pairs_per_s * 128.0 / peak,
        _ => 0.0,
    };
    let (limit, fraction) = if multiplying > reading {
        ("tile peak", multiplying)
    } else {
        ("read bandwidth", reading)
    };
    assert_eq!(case["limit"], limit, "{case}");
    assert!(same(number("fraction_of_limit"), fraction), "{case}");
}

#[test]
fn a_report_is_one_document_whose_numbers_agree() {
    let asked = ["--probes", "1,3,40", "--threads", "2", "--json"];
    let report = report(&vultus(&[SMALL, &asked].concat()));
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert!(report["machine"]["processor"].is_string(), "{report}");
    let counts = ["rows", "dimension", "threads", "top", "rounds"].map(|key| &report[key]);
    assert_eq!(counts, [3000, 32, 2, 20, 1]);
    assert!(report["read_bandwidth_gb_per_s"].as_f64().unwrap() > 0.0);
    let isa: Isa = report["machine"]["isa"].as_str().unwrap().parse().unwrap();
    assert_eq!(Some(isa), Isa::available().last(), "the fastest");
    let has_peak = report["tile_peak_products_per_s"].is_f64();
    assert_eq!(has_peak, isa != Isa::Scalar && isa != Isa::Simsimd);

    let cases = plans(&report["cases"]);
    let probes: Vec<u64> = cases.iter().map(|(probes, _)| *probes).collect();
    assert_eq!(probes, [1, 3, 40]);
    assert_eq!(
        (&*cases[0].1, &*cases[2].1),
        ("coarse", "tile"),
        "one probe is scanned for, many are multiplied"
    );
    assert_eq!(plans(&report["other_plans"]), [], "nobody asked for them");
    for case in report["cases"].as_array().unwrap() {
        assert_case_is_consistent(case, &report);
    }
    assert_eq!(report["probes_checked"], 3);
}

#[test]
fn all_plans_are_measured_once_each() {
    let asked = ["--probes", "2,5", "--check", "4", "--all-plans", "--json"];
    let asked = [&asked[..], &["--isa", "scalar"]].concat();
    let report = report(&vultus(&[SMALL, &asked].concat()));
    let (cases, others) = (plans(&report["cases"]), plans(&report["other_plans"]));
    assert_eq!((cases.len(), others.len()), (2, 4));
    for case in report["other_plans"].as_array().unwrap() {
        assert_case_is_consistent(case, &report);
    }
    let mut all = [cases, others].concat();
    all.sort_unstable();
    let each = |probes| ["coarse", "fine", "tile"].map(|plan| (probes, plan.to_owned()));
    assert_eq!(all, [each(2), each(5)].concat());
    assert_eq!(report["machine"]["isa"], "scalar");
    assert_eq!(report["tile_peak_products_per_s"], Value::Null);
    assert_eq!(report["probes_checked"], 4);
}

#[test]
fn requests_are_answered_line_by_line_until_one_is_none() {
    let asked = ["--probes", "1,40", "--interactive"];
    let arguments = [SMALL, &asked].concat();
    let good = json_lines(&success(&vultus_with_input("3\n 40 \n", &arguments)));
    assert_eq!(good.len(), 3);
    assert_eq!(good[0], serde_json::json!({ "ready": true }));
    for (line, probes) in good[1..].iter().zip([3, 40]) {
        assert_eq!(line["probes"], probes);
        assert!(line["ms"].as_f64().unwrap() > 0.0 && line["plan"].is_string());
    }
    for bad in ["x", "", "0", "-1", "41", "1.5"] {
        let output = vultus_with_input(&format!("3\n{bad}\n3\n"), &arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let expected = format!("error: `{bad}` is not a number of probes from 1 to 40");
        assert!(said.starts_with(&expected), "{said}");
        let lines = json_lines(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(lines.len(), 2, "what came before is answered");
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    for name in ["--probes", "--rounds", "--top", "--rows"] {
        let said = failure(&vultus(&["bench", "--dim", "32", name, "0"]));
        assert!(said.contains(name) && said.contains("at least 1"), "{said}");
    }
    let said = failure(&vultus(&["bench", "--rows", "3", "--probes", "1,0"]));
    assert!(said.contains("--probes"), "{said}");
    for dimension in ["15", "4097"] {
        let said = failure(&vultus(&["bench", "--rows", "3", "--dim", dimension]));
        assert!(said.contains(dimension) && said.contains("16 to"), "{said}");
    }
    let one = ["--embeddings", "--probe-embeddings"];
    for (given, missing) in [(one[0], one[1]), (one[1], one[0])] {
        let said = refusal(&vultus(&["bench", given, "rows.npy"]));
        let needed = format!("not provided:\n  {missing} <FILE>");
        assert!(said.contains(&needed), "{said}");
    }
}

/// Two files of embeddings, and a gallery with the first.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Files {
        let directory = tempfile::tempdir().unwrap();
        let files = Files { directory };
        embeddings(&files.at("rows.npy"), &random_rows(1500, 40, 1));
        embeddings(&files.at("probes.npy"), &random_rows(30, 40, 2));
        let (data, rows) = (files.at("data"), files.at("rows.npy"));
        let import = ["gallery", "import", "--encoder", "test"];
        let place = ["--partition", "bws.1", "--data-dir", text(&data)];
        let rows = ["--embeddings", text(&rows)];
        success(&vultus(&[&import[..], &place, &rows].concat()));
        files
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The output of `vultus identify` for all probes.
    fn identify(&self, more: &[&str]) -> String {
        let (data, probes) = (self.at("data"), self.at("probes.npy"));
        let place = ["--partition", "bws.1", "--data-dir", text(&data)];
        let probes = ["--embeddings", text(&probes), "--top", "7"];
        success(&vultus(
            &[&["identify"], &place[..], &probes, more].concat(),
        ))
    }
}

#[test]
fn the_answers_to_files_are_those_of_identify() {
    let files = Files::new();
    let (rows, probes) = (files.at("rows.npy"), files.at("probes.npy"));
    let (answers, directory) = (files.at("answers.jsonl"), files.at("here"));
    fs::create_dir(&directory).unwrap();
    let from = [
        "--embeddings",
        text(&rows),
        "--probe-embeddings",
        text(&probes),
        "--directory",
        text(&directory),
    ];
    let bench = |counts: &str| {
        let asked = ["--probes", counts, "--top", "7", "--rounds", "1", "--json"];
        let answers = ["--answers", text(&answers)];
        vultus(&[&["bench"], &from[..], &asked, &answers].concat())
    };
    let measured = report(&bench("1,30"));
    assert_eq!(
        (&measured["rows"], &measured["dimension"]),
        (&1500.into(), &40.into())
    );
    let printed = fs::read_to_string(&answers).unwrap();
    assert_eq!(printed.lines().count(), 30);
    assert_eq!(printed, files.identify(&["--json"]));

    let said = failure(&bench("31"));
    assert!(
        said.contains("probes.npy` has 30 probes, and 31 are needed"),
        "{said}"
    );
    let left = fs::read_dir(&directory).unwrap().count();
    assert_eq!(left, 0, "the gallery is deleted, also after a failure");
}

#[test]
fn an_unknown_instruction_set_is_refused() {
    let said = refusal(&vultus(&[SMALL, &["--isa", "mmx"]].concat()));
    assert!(said.contains("`mmx`"), "{said}");
    let said_of_variable = failure(&vultus_with_isa("mmx", SMALL));
    assert!(
        said_of_variable.contains("`VULTUS_ISA` is `mmx`"),
        "{said_of_variable}"
    );
    for isa in Isa::ALL {
        assert!(
            said.contains(&isa.to_string()),
            "{isa} is not named: {said}"
        );
    }
}

/// Does nothing on a machine that has every instruction set.
#[test]
fn an_instruction_set_that_is_not_here_is_refused_with_what_is() {
    let available: Vec<String> = Isa::available().map(|isa| isa.to_string()).collect();
    let available = available.join(", ");
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
        let isa = isa.to_string();
        let expected = format!("this processor has no `{isa}`: it has {available}");
        for output in [
            vultus(&[SMALL, &["--isa", &isa]].concat()),
            vultus_with_isa(&isa, SMALL),
        ] {
            let said = failure(&output);
            assert!(said.contains(&expected), "{said}");
        }
    }
}

#[test]
fn a_flag_wins_over_a_variable_that_cannot_be_used() {
    // On a machine that has every instruction set the variable could be used, and loses, too.
    let last = Isa::ALL[Isa::ALL.len() - 1].to_string();
    let asked = ["--probes", "1", "--isa", "scalar", "--json"];
    let report = report(&vultus_with_isa(&last, &[SMALL, &asked].concat()));
    assert_eq!(report["machine"]["isa"], "scalar");
}

#[test]
fn every_instruction_set_gives_the_same_bytes() {
    let files = Files::new();
    for form in [&["--json"][..], &[]] {
        let default = files.identify(form);
        assert!(default.lines().count() >= 30, "{default}");
        for isa in Isa::available() {
            let isa = isa.to_string();
            let printed = files.identify(&[form, &["--isa", &isa]].concat());
            assert_eq!(printed, default, "{isa}");
        }
    }
}

/// A report on so many rows, of as few values as there can be.
fn plan(rows: &str, more: &[&str]) -> Value {
    let all = [
        &[
            "plan",
            "--rows",
            rows,
            "--dim",
            "16",
            "--calibration-rows",
            "2000",
            "--json",
        ],
        more,
    ]
    .concat();
    serde_json::from_str(&success(&vultus(&all))).unwrap()
}

#[test]
fn a_plan_grows_with_the_rows_and_says_how_sure_it_is() {
    let (small, large) = (plan("1000", &[]), plan("2000000000", &["--qps", "1000000"]));
    assert_eq!(small["calibrated_rows"], 1000);
    assert_eq!(small["latency"]["probes_per_pass"], 1);
    let number = |report: &Value, group: &str, name: &str| report[group][name].as_f64().unwrap();
    for (group, name) in [
        ("memory", "galleries_bytes"),
        ("disk", "bytes"),
        ("disk", "snapshot_bytes"),
        ("latency", "alone_ms"),
        ("cores", "searching"),
    ] {
        let [small, large] = [&small, &large].map(|report| number(report, group, name));
        assert!(
            small > 0.0 && large > small,
            "{group} {name}: {small} {large}"
        );
    }
    // What no machine can do is said, and is no error.
    assert!(large["latency"]["expected_ms"].is_null());
    assert!(number(&large, "cores", "with_embeddings") > 100.0);
    let table = success(&vultus(&["plan", "--rows", "1000", "--dim", "16"]));
    for word in ["memory ", "disk ", "cores ", "latency ", "at most "] {
        assert!(
            table.lines().any(|line| line.starts_with(word)),
            "{word}: {table}"
        );
    }
}

#[test]
fn a_job_is_planned_for_some_machines() {
    let job = |more: &[&str]| plan("100000000", &[&["--job", "duplicates"], more].concat());
    let (one, ten) = (job(&[]), job(&["--machines", "10", "--start-seconds", "2"]));
    assert_eq!(
        (&one["job"], &one["machines"], &one["tasks_at_a_time"]),
        (&"duplicates".into(), &1.into(), &1.into())
    );
    assert_eq!(one["tasks"], 1_000 * 1_001 / 2);
    assert_eq!(ten["tasks"], one["tasks"]);
    let number = |report: &Value, name: &str| report[name].as_f64().unwrap();
    for (report, start_seconds) in [(&one, 0.0), (&ten, 2.0)] {
        let (tasks, machines) = (number(report, "tasks"), number(report, "machines"));
        let task_seconds = number(report, "task_seconds");
        let parts = ["task_compare_seconds", "task_read_seconds"].map(|part| number(report, part));
        assert!(parts[0] > 0.0 && parts[1] > 0.0, "{report}");
        assert!(
            task_seconds > start_seconds + parts[0] + parts[1],
            "{report}"
        );
        let steps = [
            number(report, "survey_seconds"),
            (tasks / machines).ceil() * task_seconds,
            number(report, "merge_seconds"),
        ];
        let seconds: f64 = steps.iter().sum();
        assert!(
            (number(report, "seconds") / seconds - 1.0).abs() < 1e-9,
            "{report}"
        );
        // A task codes 100,000 rows, if it codes any, and compares them with as many.
        let coding = report["coded_rows_per_second"]
            .as_f64()
            .map_or(0.0, |rate| 1e5 / rate);
        let comparing = 1e10 / number(report, "comparisons_per_second");
        assert!(
            (parts[0] / (coding + comparing) - 1.0).abs() < 1e-9,
            "{report}"
        );
    }
}

#[test]
fn many_probes_are_planned_in_blocks_of_both() {
    let identify = |more: &[&str]| {
        let job = ["--job", "identify", "--probes", "150000"];
        plan("1000000", &[&job[..], more].concat())
    };
    let (twenty, one) = (identify(&[]), identify(&["--k", "1"]));
    let few = identify(&["--threshold", "0.9"]);
    assert_eq!(twenty["tasks"], 2 * 10);
    assert_eq!(identify(&["--block-rows", "50000"])["tasks"], 60);
    // Fewer matches of each probe are merged sooner.
    let merge = |report: &Value| report["merge_seconds"].as_f64().unwrap();
    assert!(merge(&one) * 10.0 < merge(&twenty), "{one} {twenty}");
    assert!(merge(&few) < merge(&one), "{few} {one}");
    let table = success(&vultus(&[
        "plan",
        "--job",
        "duplicates",
        "--rows",
        "1000",
        "--dim",
        "16",
    ]));
    for word in ["time ", "tasks ", "memory ", "reads "] {
        assert!(
            table.lines().any(|line| line.starts_with(word)),
            "{word}: {table}"
        );
    }
}

#[test]
fn what_cannot_be_planned_is_refused_by_name() {
    for (arguments, flag) in [
        (&["--rows", "0"][..], "--rows"),
        (&["--rows", "many"], "--rows"),
        (&["--rows", "-1"], "--rows"),
        (&["--rows", "9", "--dim", "15"], "--dim"),
        (&["--rows", "9", "--dim", "4097"], "--dim"),
        (&["--rows", "9", "--qps", "0"], "--qps"),
        (&["--rows", "9", "--qps", "-1"], "--qps"),
        (&["--rows", "9", "--qps", "NaN"], "--qps"),
        (&["--rows", "9", "--directory", "/nowhere"], "/nowhere"),
        (
            &["--rows", "9", "--calibration-rows", "99"],
            "--calibration-rows",
        ),
        (&["--dim", "16"], "--rows"),
        (&["--rows", "9", "--machines", "2"], "--job"),
        (&["--rows", "9", "--block-rows", "2"], "--job"),
        (&["--rows", "9", "--job", "sort"], "--job"),
        (
            &["--rows", "9", "--job", "duplicates", "--qps", "2"],
            "--qps",
        ),
        (
            &["--rows", "9", "--job", "duplicates", "--machines", "0"],
            "--machines",
        ),
        (
            &["--rows", "9", "--job", "duplicates", "--block-rows", "0"],
            "--block-rows",
        ),
        (
            &["--rows", "9", "--job", "duplicates", "--probes", "2"],
            "--probes",
        ),
        (&["--rows", "9", "--job", "identify"], "--probes"),
        (&["--rows", "9", "--tasks", "2"], "--job"),
        (&["--rows", "9", "--k", "2"], "--job"),
        (&["--rows", "9", "--threshold", "0.5"], "--job"),
        (
            &["--rows", "9", "--job", "identify", "--threshold", "1.5"],
            "--threshold",
        ),
        (
            &["--rows", "9", "--job", "duplicates", "--threshold", "0.5"],
            "--threshold",
        ),
        (&["--rows", "9", "--start-seconds", "2"], "--job"),
        (
            &["--rows", "9", "--job", "duplicates", "--tasks", "0"],
            "--tasks",
        ),
        // More than any machine has threads.
        (
            &["--rows", "9", "--job", "duplicates", "--tasks", "1024"],
            "--tasks",
        ),
        (&["--rows", "9", "--job", "duplicates", "--k", "2"], "--k"),
        (
            &[
                "--rows",
                "9",
                "--job",
                "duplicates",
                "--start-seconds",
                "-1",
            ],
            "--start-seconds",
        ),
        (
            &[
                "--rows",
                "9",
                "--job",
                "duplicates",
                "--directory",
                "/nowhere",
            ],
            "/nowhere",
        ),
    ] {
        let said = failure(&vultus(&[&["plan"], arguments].concat()));
        assert!(said.contains(flag), "{arguments:?}: {said}");
    }
}

#[test]
fn what_nist_measures_is_measured_in_galleries_that_grow() {
    let nist = [
        "bench",
        "--nist",
        "--dim",
        "32",
        "--rounds",
        "1",
        "--rows-max",
        "2000",
    ];
    let found = report(&vultus(&[&nist[..], &["--json"]].concat()));
    assert_eq!(found["template"]["values"], 128);
    assert!(found["template"]["on_disk"].as_f64().unwrap() > 128.0);
    for name in ["picture_ms", "template_ms", "bulk_template_us"] {
        assert!(found["enrolment"][name].as_f64().unwrap() > 0.0, "{name}");
    }
    let searches = found["searches"].as_array().unwrap();
    assert_eq!(searches.len(), 1);
    assert_eq!(searches[0]["rows"], 2_000);
    for threads in ["one_thread_ms", "all_threads_ms"] {
        for list in ["list_1", "list_50"] {
            assert!(searches[0][threads][list].as_f64().unwrap() > 0.0);
        }
    }
    assert_eq!(found["stopped_by"], "--rows-max");
    assert!(found["power_law"].is_null(), "one gallery has no law");
    for more in [
        &["--rows", "9"][..],
        &["--probes", "1"],
        &["--top", "3"],
        &["--interactive"],
    ] {
        let said = refusal(&vultus(&[&nist[..], more].concat()));
        assert!(said.contains("cannot be used with"), "{said}");
    }
    let said = refusal(&vultus(&["bench", "--rows-max", "5000"]));
    assert!(said.contains("--nist"), "{said}");
    let said = refusal(&vultus(&[
        "bench",
        "--nist",
        "--dim",
        "3",
        "--rows-max",
        "2000",
    ]));
    assert!(said.contains("dimension 3"), "{said}");
}
