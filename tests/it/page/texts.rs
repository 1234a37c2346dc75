//! What the page says, and what it asks for, read in its sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

type Texts = BTreeMap<String, BTreeMap<String, String>>;

/// Texts that are named by what a server says.
const FAMILIES: [&str; 5] = [
    "decisions.state.",
    "lane.",
    "language",
    "problem.",
    "warning.",
];

/// The files of the page, by name.
fn sources() -> BTreeMap<String, String> {
    let folder = fs::read_dir("src/web/page").unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end != "rs"));
    let source = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    files.map(source).collect()
}

fn texts() -> Texts {
    serde_json::from_str(&sources()["texts.json"]).unwrap()
}

/// The names in braces.
fn gaps(text: &str) -> BTreeSet<&str> {
    let gaps = text.split('{').skip(1);
    gaps.map(|gap| gap.split('}').next().unwrap()).collect()
}

#[test]
fn every_language_says_everything_with_the_same_gaps() {
    let texts = texts();
    assert!(texts.len() >= 2);
    let english = &texts["en"];
    for (language, own) in &texts {
        let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) =
            (own.keys().collect(), english.keys().collect());
        let differ: Vec<_> = ours.symmetric_difference(&theirs).collect();
        assert!(differ.is_empty(), "{language}: {differ:?}");
        for (key, said) in own {
            assert!(!said.trim().is_empty(), "{language}: {key}");
            assert_eq!(gaps(said), gaps(&english[key]), "{language}: {key}");
        }
    }
}

/// Texts are named by `t('…')`, and those about a number of things, which have two forms, by
/// `tally('…')`.
#[test]
fn what_the_page_says_is_in_the_texts_and_nothing_else_is() {
    let known: BTreeSet<String> = texts()["en"].keys().cloned().collect();
    let mut said = BTreeSet::new();
    for (name, source) in sources() {
        if !name.ends_with(".js") {
            continue;
        }
        for (before, ends) in [("t('", &[""][..]), ("tally('", &[".one", ".other"])] {
            for (at, _) in source.match_indices(before) {
                let is_word = source[..at].ends_with(|letter: char| letter.is_alphanumeric());
                let rest = &source[at + before.len()..];
                let key = rest.split('\'').next().unwrap();
                if !is_word {
                    said.extend(ends.iter().map(|end| format!("{key}{end}")));
                }
            }
        }
    }
    let missing: Vec<_> = said.difference(&known).collect();
    assert!(missing.is_empty(), "no text for {missing:?}");
    let unused = known.difference(&said);
    let unused = unused.filter(|key| !FAMILIES.iter().any(|family| key.starts_with(family)));
    let unused: Vec<_> = unused.collect();
    assert!(unused.is_empty(), "nobody says {unused:?}");
    // Every warning of a picture has words.
    let quality = fs::read_to_string("src/face/quality.rs").unwrap();
    let names = quality
        .split("Warning::")
        .skip(1)
        .filter_map(|rest| rest.split_once(" => \""));
    let names = names.filter(|(name, _)| name.chars().all(char::is_alphanumeric));
    let names: BTreeSet<String> = names
        .map(|(_, rest)| rest.split('"').next().unwrap().to_owned())
        .filter(|name| name.starts_with(char::is_uppercase))
        .collect();
    assert!(names.contains("FaceCovered"));
    let known_not = |name: &&String| !known.contains(&format!("warning.{name}"));
    let silent: Vec<_> = names.iter().filter(known_not).collect();
    let of_bws = ["BadGrayscaleDensity", "FaceAsymmetry"];
    assert!(
        silent.iter().all(|name| of_bws.contains(&name.as_str())),
        "{silent:?}"
    );
}

#[test]
fn the_page_asks_for_nothing_that_is_not_in_the_program() {
    let sources = sources();
    for (name, source) in &sources {
        assert!(!source.contains(" style=\""), "{name} has a style");
        for imported in source.split("from './").skip(1) {
            let imported = imported.split('\'').next().unwrap();
            assert!(sources.contains_key(imported), "{name} imports {imported}");
        }
        // Texts name addresses for people.
        if name == "texts.json" {
            continue;
        }
        let foreign = source.replace("http://www.w3.org/", "");
        for sign in [
            "http://",
            "https://",
            "innerHTML",
            "insertAdjacentHTML",
            "localStorage",
            "sessionStorage",
            "document.cookie",
            "eval(",
        ] {
            assert!(!foreign.contains(sign), "{name} has {sign}");
        }
    }
}
