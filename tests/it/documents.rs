//! The documents: links that lead somewhere, and lines that fit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where documents are; folders below are looked at, too, but for what is fetched and built.
const FOLDERS: [&str; 4] = ["docs", "benches", "data", "scripts"];
/// Tables, links and what stands in fences may be longer.
const COLUMNS_MAX: usize = 100;

/// A document, without what stands in fences.
struct Document {
    /// Each line with its number, from 1.
    prose: Vec<(usize, String)>,
    anchors: BTreeSet<String>,
}

fn documents() -> BTreeMap<PathBuf, Document> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    look_in(root, Path::new(""), false, &mut found);
    for folder in FOLDERS {
        look_in(root, Path::new(folder), true, &mut found);
    }
    found
}

fn look_in(root: &Path, folder: &Path, deeper: bool, found: &mut BTreeMap<PathBuf, Document>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if deeper && entry.file_name() != "cache" {
                look_in(root, &path, deeper, found);
            }
        } else if path.extension().is_some_and(|end| end == "md") {
            let text = fs::read_to_string(root.join(&path)).unwrap();
            found.insert(path, Document::read(&text));
        }
    }
}

impl Document {
    fn read(text: &str) -> Document {
        let mut fenced = false;
        let mut prose = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                prose.push((at + 1, line.to_owned()));
            }
        }
        let headings = prose.iter().filter(|(_, line)| line.starts_with('#'));
        let anchors = headings.map(|(_, line)| anchor(line)).collect();
        Document { prose, anchors }
    }

    /// What stands in `](...)`, with its line.
    fn links(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose.iter().flat_map(|(at, line)| {
            let targets = line.split("](").skip(1);
            targets.filter_map(move |rest| Some((*at, rest.split_once(')')?.0)))
        })
    }
}

/// What the heading is called in a link.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = documents();
    let mut checked = 0;
    let mut broken = Vec::new();
    for (path, document) in &documents {
        for (at, link) in document.links().filter(|(_, link)| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => plain(&path.parent().unwrap().join(file)),
            };
            let there = match documents.get(&target) {
                Some(target) => heading.is_empty() || target.anchors.contains(heading),
                None => heading.is_empty() && root.join(&target).exists(),
            };
            if !there {
                broken.push(format!("{}:{at}: {link}", path.display()));
            }
            checked += 1;
        }
    }
    assert!(checked > 80, "only {checked} links were found");
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn lines_of_prose_fit() {
    for (path, document) in documents() {
        for (at, line) in document.prose {
            let columns = line.chars().count();
            let may_be_long = line.starts_with('|') || !line.trim_start().contains(' ');
            assert!(
                may_be_long || columns <= COLUMNS_MAX,
                "{}:{at} has {columns} columns",
                path.display()
            );
        }
    }
}

#[test]
fn headings_are_found_by_the_names_that_links_use() {
    assert_eq!(anchor("### POST /extension/upload"), "post-extensionupload");
    assert_eq!(anchor("## The native API, `/v1`"), "the-native-api-v1");
    let document = Document::read("# A b\n```\n# no\n[x](gone)\n```\n[y](#a-b) and [z](c.md#d)\n");
    assert_eq!(document.anchors, BTreeSet::from(["a-b".to_owned()]));
    let links: Vec<_> = document.links().collect();
    assert_eq!(links, [(6, "#a-b"), (6, "c.md#d")]);
}
