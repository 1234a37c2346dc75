//! Help, completions, pages of the manual, and what is said of slips.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use super::cli::{failure, success, text, vultus};
use crate::harness::Registered;

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// All verbs that do something, as the help of the program lists them.
fn verbs() -> BTreeSet<String> {
    let mut open = vec![String::new()];
    let mut verbs = BTreeSet::new();
    while let Some(path) = open.pop() {
        let words: Vec<&str> = path.split_whitespace().chain(["--help"]).collect();
        let help = success(&vultus(&words));
        let Some((_, below)) = help.split_once("\nCommands:\n") else {
            verbs.insert(path.trim().to_owned());
            continue;
        };
        let below = below.split("\n\n").next().unwrap();
        let names = below.lines().filter_map(|line| {
            let name = line.strip_prefix("  ")?.split(' ').next()?;
            (!name.is_empty() && name != "help").then_some(name)
        });
        open.extend(names.map(|name| format!("{path} {name}")));
    }
    assert!(verbs.len() > 25, "{verbs:?}");
    verbs
}

/// A command of each verb that works in a folder with a gallery `bws.1` of one picture, and those
/// that must not be begun, since they go on or take long.
const WORKING: &[(&str, &str)] = &[
    ("demo", ""),
    ("init", ""),
    ("serve", ""),
    ("bench", ""),
    ("plan", "--rows 1000 --dim 16"),
    ("load", ""),
    ("calibrate", ""),
    ("evaluate identification", ""),
    ("evaluate verification", ""),
    ("evaluate liveness", "faces"),
    ("app create", "--name a --storage bws"),
    ("app list", ""),
    ("app remove", ""),
    ("key rotate", ""),
    ("key create", "--name k --scopes read --storage bws"),
    ("key list", ""),
    ("key revoke", ""),
    ("audit verify", "--json"),
    ("audit verify-receipt", "receipt.json"),
    ("audit list", ""),
    ("audit export", "--format csv"),
    ("enroll", "--partition bws.1 --class 1 face.jpg"),
    ("identify", "--partition bws.1 face.jpg"),
    ("detect", "face.jpg"),
    ("compare", "face.jpg other.jpg"),
    ("embed", "face.jpg --output out.npy --overwrite"),
    ("people list", "--partition bws.1"),
    ("people show", "--partition bws.1 1"),
    ("people rename", "--partition bws.1 1 Ada"),
    ("people merge", "--partition bws.1 1 2"),
    ("people remove", "--partition bws.1 99"),
    ("people remove-portraits", ""),
    ("people import", ""),
    ("people export", "--partition bws.1 out.csv --overwrite"),
    ("people expire", "--dry-run"),
    ("people suggest", "--partition bws.1 face.jpg"),
    (
        "gallery import",
        "--partition bws.3 --pictures people --overwrite",
    ),
    (
        "gallery export",
        "--partition bws.1 --output out.npz --overwrite",
    ),
    ("gallery list", ""),
    ("gallery info", ""),
    ("gallery verify", ""),
    ("gallery repair", ""),
    ("gallery compact", ""),
    ("gallery erase", "--partition bws.1 --class 99"),
    ("gallery remove", "--partition bws.9 --confirm bws.9"),
    ("gallery duplicates", "--partition bws.1 --threshold 0.9"),
    ("gallery snapshot", "--to out.tar.zst --overwrite"),
    ("gallery restore", "--from out.tar.zst"),
    ("gallery encrypt", ""),
    ("gallery change-master-key", "--to file:face.jpg"),
    ("gallery rotate-keys", ""),
    ("inspect", "out.tar.zst"),
    ("config show", ""),
    ("doctor", ""),
    ("completions", "bash"),
    ("man", ""),
];

/// The settings of which a wrong value is noticed by whoever uses them.
const NOTICED: [(&str, &str); 3] = [
    ("--data-dir", "face.jpg"),
    ("--embedder-profile", "missing.toml"),
    ("--onnxruntime", "missing.so"),
];

/// Verbs that show the settings of other verbs instead of using them.
const SHOWING: [&str; 2] = ["config show", "doctor"];

#[test]
fn a_verb_offers_the_settings_that_it_uses_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let face = folder.path().join("face.jpg");
    fs::copy(format!("{root}/data/faces/obama-portrait.jpg"), &face).unwrap();
    fs::create_dir_all(folder.path().join("people/1")).unwrap();
    fs::copy(&face, folder.path().join("people/1/face.jpg")).unwrap();
    fs::create_dir_all(folder.path().join("faces/live")).unwrap();
    fs::copy(&face, folder.path().join("faces/live/face.jpg")).unwrap();
    let run = |verb: &str, arguments: &str, more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_vultus"))
            .current_dir(folder.path())
            .env("VULTUS_LOG", "off")
            .args(verb.split(' ').chain(arguments.split_whitespace()))
            .args(more)
            .output()
            .unwrap()
    };
    success(&run("enroll", "--partition bws.1 --class 1 face.jpg", &[]));
    success(&run("gallery snapshot", "--to out.tar.zst", &[]));
    assert_eq!(
        verbs(),
        WORKING.iter().map(|(verb, _)| (*verb).to_owned()).collect()
    );
    for (verb, arguments) in WORKING {
        let help = success(&run(verb, "--help", &[]));
        for (flag, value) in NOTICED {
            let offered = help.contains(&format!("{flag} <"));
            // Whether there is an embedder is looked at before anything is read.
            let more = match flag {
                "--embedder-profile" => &["--embedder", "missing.onnx", flag, value][..],
                _ => &[flag, value],
            };
            if offered && SHOWING.contains(verb) {
                let output = run(verb, arguments, more);
                let shown = String::from_utf8(output.stdout).unwrap();
                assert!(
                    shown.contains(value),
                    "{verb} does not show {flag}: {shown}"
                );
            } else if offered {
                let output = run(verb, arguments, more);
                assert_eq!(output.status.code(), Some(2), "{verb} {more:?}: {output:?}");
                let said = said(&output);
                let known = [value, "feature `onnxruntime`", "required", "not provided"];
                let is_noticed = known.iter().any(|part| said.contains(part));
                assert!(is_noticed, "{verb} does not use {flag}: {said}");
            } else if !arguments.is_empty() || verb.ends_with("list") {
                let output = run(verb, arguments, more);
                let said = said(&output);
                assert!(!said.contains(value), "{verb} uses {flag}: {said}");
            }
        }
    }
}

#[test]
fn a_verb_that_is_none_and_a_wrong_value_are_one_line_with_what_is_right() {
    for (arguments, words) in [
        (&["remove"][..], "`vultus gallery erase`"),
        (&["info"], "`vultus gallery info`"),
        (&["list"], "`vultus gallery list`"),
        (&["delete"], "`vultus gallery erase`"),
        (
            &["gallery", "delete"],
            "perhaps `vultus gallery erase` or `vultus gallery remove` was meant",
        ),
        (&["app", "revoke"], "`vultus app remove`"),
        (&["identfy", "x.jpg"], "perhaps `vultus identify`"),
        (
            &[
                "key",
                "create",
                "--name",
                "x",
                "--scopes",
                "fly",
                "--everything",
            ],
            "`fly` is no scope",
        ),
        (
            &["enroll", "--partition", "bws", "x"],
            "`storage.partition`",
        ),
        (
            &["identify", "--partition", "bws.1", "--threshold", "2", "x"],
            "from -1 to 1",
        ),
        (&["completions", "dos"], "bash"),
        (&["man", "fly"], "no verb `fly`"),
    ] {
        let said = failure(&vultus(arguments));
        assert_eq!(said.lines().count(), 1, "{said:?}");
        assert!(
            said.starts_with("error: ") && said.contains(words),
            "{said}"
        );
        assert_eq!(said.matches("error").count(), 1, "{said}");
    }
}

#[test]
fn a_bad_profile_of_an_embedder_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    let (data, profile, onnx) = (at("data"), at("profile.toml"), at("net.onnx"));
    fs::write(&onnx, "no network").unwrap();
    let picture = at("x.jpg");
    fs::write(&picture, "no picture").unwrap();
    for (content, words) in [
        (
            &b"name = \"x\"\nnmae = \"x\"\n"[..],
            "line 2: unknown field `nmae`",
        ),
        (b"name = \"x\"\n[input\n", "line 2"),
        (b"name = 7\n", "line 1"),
        (b"\xff\n", "UTF-8"),
    ] {
        fs::write(&profile, content).unwrap();
        let output = vultus(&[
            "enroll",
            "--data-dir",
            &data,
            "--partition",
            "bws.1",
            "--class",
            "1",
            &picture,
            "--embedder",
            &onnx,
            "--embedder-profile",
            &profile,
        ]);
        let said = failure(&output);
        assert_eq!(said.lines().count(), 1, "{said:?}");
        assert!(said.contains(words), "{said}");
        assert_eq!(said.matches("profile.toml").count(), 1, "{said}");
        assert_eq!(
            said.matches("TOML").count() + said.matches("toml`").count(),
            1,
            "{said}"
        );
    }
}

#[test]
fn shells_and_the_manual_know_every_verb() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = success(&vultus(&["completions", shell]));
        for word in ["duplicates", "liveness", "completions", "quiet"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let page = success(&vultus(&["man"]));
    assert!(
        page.starts_with(".ie") && page.contains(".SH EXTRA") || page.contains(".TH"),
        "{page}"
    );
    let page = success(&vultus(&["man", "gallery", "import"]));
    assert!(page.contains(".TH vultus-gallery-import"), "{page}");
    assert!(
        page.contains("Examples:") && page.contains("VULTUS_DATA_DIR"),
        "{page}"
    );
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("pages");
    success(&vultus(&["man", "--all", text(&pages)]));
    for verb in verbs() {
        let page = pages.join(format!("vultus-{}.1", verb.replace(' ', "-")));
        let page = fs::read_to_string(&page).unwrap_or_else(|_| panic!("{verb} has no page"));
        assert!(page.contains("Examples:"), "{verb}");
    }
}

#[test]
fn quiet_says_nothing_but_errors_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Registered::create(&data);
    let create = [
        "app",
        "create",
        "--name",
        "x",
        "--storage",
        "bws",
        "--data-dir",
        text(&data),
    ];
    let loud = vultus(&create);
    assert!(success(&loud).contains("App-Secret") && said(&loud).contains("keep the secret"));
    let quiet = vultus(&[&["-q"][..], &create].concat());
    assert!(success(&quiet).contains("App-Secret"));
    assert_eq!(said(&quiet), "");
    let output = vultus(&["gallery", "verify", "--quiet", "--data-dir", text(&data)]);
    success(&output);
    assert_eq!(said(&output), "");
    let missing = vultus(&[
        "gallery",
        "verify",
        "--quiet",
        "--data-dir",
        "/nowhere/at/all",
    ]);
    assert!(failure(&missing).contains("/nowhere/at/all"));
}
