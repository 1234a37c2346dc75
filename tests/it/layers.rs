//! Imports point down the ladders that are drawn in ARCHITECTURE.md and in the folders, and no files
//! know each other in a circle.
//!
//! The checker reads the sources as text: comments, strings and what is compiled for tests alone
//! are left out, and `use` trees and paths that begin with a module are followed through re-exports
//! to the file that defines the name. It knows no types, so that a method of a type that is never
//! named is not seen. A `mod.rs` may choose among the files of its folder, which may know it: that
//! alone is no circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The modules of a crate by path (`partition::store`; the root is empty), with what each says.
struct Crate {
    modules: BTreeMap<String, Module>,
}

#[derive(Default)]
struct Module {
    /// Names that it imports or re-exports, with the path that they stand for.
    names: BTreeMap<String, Vec<String>>,
    /// All other paths that it mentions, and its imports that are no re-exports.
    used: Vec<Vec<String>>,
}

/// Files that are known to import each other. Whoever opens such a circle takes it off.
const KNOWN: [(&str, &str); 0] = [];

#[test]
fn folders_import_only_what_stands_on_a_lower_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (sources, folder, page) in [
        (library(), "", "ARCHITECTURE.md"),
        (library(), "partition", "src/partition/mod.rs"),
        (kernel(), "", "kernel/src/lib.rs"),
    ] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        let wrong = sources.against(folder, &ladder(&text));
        assert!(wrong.is_empty(), "{page}:\n{}", wrong.join("\n"));
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for sources in [library(), kernel()] {
        let circle = sources.circle(&KNOWN);
        assert!(circle.is_empty(), "{}", circle.join(" -> "));
    }
}

/// The library. Its kernel is a package of its own, which can know nothing of the library.
fn library() -> Crate {
    let mut sources = Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    sources
        .modules
        .insert("kernel".to_owned(), Module::default());
    sources
}

fn kernel() -> Crate {
    Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kernel/src"))
}

/// The lines of the ladder on a page: the first fenced block after the rule.
fn ladder(page: &str) -> Vec<Vec<String>> {
    let rule = page.find("a lower line").expect("the page has a ladder");
    let block = page[rule..].split("```").nth(1);
    let lines = block.expect("the ladder is a fenced block").lines().skip(1);
    let words = lines.map(|line| line.trim_start_matches("//!").split_whitespace());
    let words = words.map(|words| words.map(str::to_owned).collect::<Vec<_>>());
    words.filter(|line| !line.is_empty()).collect()
}

impl Crate {
    fn read(directory: &Path) -> Crate {
        let mut files = Vec::new();
        let mut directories = vec![directory.to_owned()];
        while let Some(at) = directories.pop() {
            for entry in fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(directory).unwrap().with_extension("");
                    let name = name.to_str().unwrap().replace('/', "::");
                    files.push((name, fs::read_to_string(&path).unwrap()));
                }
            }
        }
        Crate::new(
            files
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_str())),
        )
    }

    /// Of files, each with its path without `.rs`.
    fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Crate {
        let mut tokens = BTreeMap::new();
        let mut tests = BTreeSet::new();
        for (name, text) in files {
            let name = name.strip_suffix("::mod").unwrap_or(name);
            let name = if name == "lib" { "" } else { name };
            let (kept, test_modules) = without_tests(&tokens_of(text));
            tests.extend(test_modules.iter().map(|module| below(name, module)));
            tokens.insert(name.to_owned(), kept);
        }
        tokens.retain(|name, _| {
            let is_test = |test: &String| name == test || name.starts_with(&format!("{test}::"));
            !tests.iter().any(is_test)
        });
        let modules = tokens.into_iter();
        Crate {
            modules: modules
                .map(|(name, tokens)| (name, Module::of(&tokens)))
                .collect(),
        }
    }

    /// Which modules each module uses, as far as they have a file, and beside its own folder.
    fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let edges = self.modules.iter().map(|(from, module)| {
            let used = module.used.iter();
            let used = used.filter_map(|path| self.definition(from, path, 0));
            let is_within =
                |to: &str| to == from || from.is_empty() || to.starts_with(&format!("{from}::"));
            (from.as_str(), used.filter(|to| !is_within(to)).collect())
        });
        edges.collect()
    }

    /// The module whose file defines what a path in the module `from` leads to; none where it leads
    /// out of the crate or is a module and no more.
    fn definition(&self, from: &str, path: &[String], depth: usize) -> Option<&str> {
        let (mut at, mut rest) = (from.to_owned(), path);
        let mut known = false;
        while let Some((first, others)) = rest.split_first() {
            match first.as_str() {
                "crate" | "vultus" => at = String::new(),
                "super" => {
                    let parent = at.rsplit_once("::").map_or("", |(parent, _)| parent);
                    at = parent.to_owned();
                }
                "self" => {}
                child if self.modules.contains_key(&below(&at, child)) => at = below(&at, child),
                name => {
                    let (key, module) = self.modules.get_key_value(&at)?;
                    return match module.names.get(name) {
                        // Far more than anybody re-exports; an import may bear the name of a crate.
                        Some(path) if depth < 9 => {
                            let path: Vec<String> = path.iter().chain(others).cloned().collect();
                            self.definition(&at, &path, depth + 1)
                        }
                        _ => known.then_some(key.as_str()),
                    };
                }
            }
            (known, rest) = (true, others);
        }
        None
    }

    /// What is wrong with the imports between the children of a folder, by a ladder.
    fn against(&self, folder: &str, ladder: &[Vec<String>]) -> Vec<String> {
        let child = |module: &str| {
            let inner = match folder {
                "" => Some(module),
                _ => module.strip_prefix(folder)?.strip_prefix("::"),
            };
            let name = inner?.split("::").next()?;
            (!name.is_empty()).then(|| name.to_owned())
        };
        let line = |name: &String| ladder.iter().position(|line| line.contains(name));
        let children: BTreeSet<String> =
            self.modules.keys().filter_map(|name| child(name)).collect();
        let mut wrong = Vec::new();
        for name in &children {
            if line(name).is_none() {
                wrong.push(format!("`{name}` does not stand on the ladder"));
            }
        }
        for name in ladder
            .iter()
            .flatten()
            .filter(|name| !children.contains(*name))
        {
            wrong.push(format!(
                "`{name}` stands on the ladder, and there is no such module"
            ));
        }
        for (from, used) in self.edges() {
            for to in used {
                let (Some(above), Some(under)) = (child(from), child(to)) else {
                    continue;
                };
                if above != under && line(&above) >= line(&under) {
                    wrong.push(format!(
                        "`{from}` uses `{to}`, which is not on a lower line"
                    ));
                }
            }
        }
        wrong
    }

    /// The modules of one circle, the first again at the end; empty if there is none.
    fn circle(&self, known: &[(&str, &str)]) -> Vec<String> {
        fn walk<'a>(
            at: &'a str,
            edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
            way: &mut Vec<&'a str>,
            done: &mut BTreeSet<&'a str>,
        ) -> bool {
            if way.contains(&at) {
                way.push(at);
                return true;
            }
            if !done.insert(at) {
                return false;
            }
            way.push(at);
            if edges[at].iter().any(|next| walk(next, edges, way, done)) {
                return true;
            }
            way.pop();
            false
        }
        let mut edges = self.edges();
        for (from, to) in known {
            edges.get_mut(from).map(|used| used.remove(to));
        }
        let (mut way, mut done) = (Vec::new(), BTreeSet::new());
        if !edges
            .keys()
            .any(|from| walk(from, &edges, &mut way, &mut done))
        {
            return Vec::new();
        }
        let first = way.iter().position(|module| Some(module) == way.last());
        way[first.unwrap_or(0)..]
            .iter()
            .map(|module| (*module).to_owned())
            .collect()
    }
}

fn below(module: &str, child: &str) -> String {
    match module {
        "" => child.to_owned(),
        _ => format!("{module}::{child}"),
    }
}

impl Module {
    fn of(tokens: &[String]) -> Module {
        let mut module = Module::default();
        let mut at = 0;
        while at < tokens.len() {
            if tokens[at] == "use" {
                let end = at
                    + tokens[at..]
                        .iter()
                        .position(|token| token == ";")
                        .unwrap_or(0);
                let is_shared = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
                let mut paths = Vec::new();
                leaves(&tokens[at + 1..end], &mut 0, &[], &mut paths);
                for (name, path) in paths {
                    if !is_shared {
                        module.used.push(path.clone());
                    }
                    // `use name;` gives a macro that is defined here to other files.
                    if path.len() > 1 {
                        module.names.insert(name, path);
                    }
                }
                at = end.max(at + 1);
            } else if is_name(&tokens[at]) {
                let mut path = vec![tokens[at].clone()];
                while let [colons, name, ..] = &tokens[at + 1..]
                    && colons == "::"
                    && is_name(name)
                {
                    path.push(name.clone());
                    at += 2;
                }
                if path.len() > 1 {
                    module.used.push(path);
                }
                at += 1;
            } else {
                at += 1;
            }
        }
        module
    }
}

/// The names that a `use` tree gives, each with its path.
fn leaves(
    tokens: &[String],
    at: &mut usize,
    before: &[String],
    found: &mut Vec<(String, Vec<String>)>,
) {
    let mut path = before.to_vec();
    let mut name = None;
    let mut is_group = false;
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token.as_str() {
            "::" => {}
            "{" => {
                leaves(tokens, at, &path, found);
                is_group = true;
            }
            "," | "}" => {
                push_leaf(&path, name.take(), before, is_group, found);
                (path, is_group) = (before.to_vec(), false);
                if token == "}" {
                    return;
                }
            }
            "as" => {
                name = tokens.get(*at).cloned();
                *at += 1;
            }
            "self" if path.len() > before.len() || !before.is_empty() => {}
            part => path.push(part.to_owned()),
        }
    }
    push_leaf(&path, name, before, is_group, found);
}

fn push_leaf(
    path: &[String],
    name: Option<String>,
    before: &[String],
    is_group: bool,
    found: &mut Vec<(String, Vec<String>)>,
) {
    // A group is not a name, and neither is what stands behind its last comma.
    let is_self = path.len() == before.len() && name.is_none() && before.is_empty();
    if !is_group
        && !is_self
        && let Some(last) = path.last()
    {
        found.push((name.unwrap_or_else(|| last.clone()), path.to_vec()));
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Leaves out what is compiled for tests alone, and names the test modules that have a file.
fn without_tests(tokens: &[String]) -> (Vec<String>, Vec<String>) {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].iter().take(7).eq(attribute.iter()) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += attribute.len();
        if let [first, name, end, ..] = &tokens[at..]
            && first == "mod"
            && end == ";"
        {
            modules.push(name.clone());
        }
        // An item ends with a semicolon or with its last brace.
        let mut depth = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 && (token == ";" || token == "," || token == "}") {
                // The braces of a `use` are not its end.
                if token == "}" && tokens.get(at).is_some_and(|next| next == ";") {
                    at += 1;
                }
                break;
            }
        }
    }
    (kept, modules)
}

/// Names, `::` and single marks; comments, strings, characters and lifetimes are left out.
fn tokens_of(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            string_length(rest)
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            let marks = rest[1..].chars().take_while(|mark| *mark == '#').count();
            let end = format!("\"{}", "#".repeat(marks));
            let start = marks + 2;
            rest[start..]
                .find(&end)
                .map_or(rest.len(), |at| start + at + end.len())
        } else if first == '\'' {
            character_length(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let is_part = |part: char| part.is_alphanumeric() || part == '_';
            rest.find(|part| !is_part(part)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let token = &rest[..length];
        let is_mark = !first.is_whitespace() && first != '"' && first != '\'';
        if is_mark && !token.starts_with("//") && !token.starts_with("/*") && !token.contains('"') {
            tokens.push(token.to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

fn string_length(text: &str) -> usize {
    let mut escaped = true;
    for (at, character) in text.char_indices() {
        match character {
            '"' if !escaped => return at + 1,
            '\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Of a character with its quotes, or of the quote before a lifetime.
fn character_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(text.len(), |end| end + 4),
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Vec<String>> {
        ladder(&format!("on a lower line.\n\n```\n{text}\n```\n"))
    }

    fn edges(of: &Crate, from: &str) -> Vec<String> {
        of.edges()[from].iter().map(|to| (*to).to_owned()).collect()
    }

    #[test]
    fn every_way_to_write_an_import_is_understood() {
        let others = ["a", "b", "c::mod", "c::d", "c::e"].map(|name| (name, "pub struct It;"));
        for (text, expected) in [
            ("use crate::a::It;", "a"),
            ("use super::a::It as Other;", "a"),
            (
                "use crate::{a::It, c::{d::It, e::{self, It}}};",
                "a c::d c::e",
            ),
            ("use crate::{\n    b::It,\n};", "b"),
            ("fn f() { crate::c::d::It::new(); }", "c::d"),
            ("use super::c::d; fn f() { d::It::new() }", "c::d"),
            ("use super::c::d;", ""),
            (
                "fn f<'a>(it: &'a super::b::It, c: char) -> bool { c == '\"' && crate::a::f() }",
                "a b",
            ),
            (
                "// use crate::a::It;\n/* crate::b::It */ const TEXT: &str = \"\\\"crate::c::d::It\";",
                "",
            ),
            (
                "const TEXT: &str = r#\"\"crate::a::It\"#; type B = crate::b::It;",
                "b",
            ),
            ("#[cfg(test)]\nuse crate::{a::It};\nuse crate::b::It;", "b"),
            (
                "#[cfg(test)]\nmod tests { use crate::a::It; fn f() {} }\nuse crate::b::It;",
                "b",
            ),
            ("use std::a::It; use b::It;", ""),
        ] {
            let files = others.into_iter().chain([("x", text)]);
            let found = edges(&Crate::new(files), "x").join(" ");
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_re_exported_name_belongs_to_the_file_that_defines_it() {
        let sources = Crate::new([
            (
                "a::mod",
                "mod b; mod c; pub use self::b::Error; use self::c::run; fn f() { run() }",
            ),
            ("a::b", "pub struct Error;"),
            ("a::c", "use super::Error; pub fn run() {}"),
            (
                "d",
                "use crate::a::Error as Failed; use crate::a; type E = a::Error;",
            ),
        ]);
        assert!(edges(&sources, "a").is_empty());
        assert_eq!(edges(&sources, "a::c"), ["a::b"]);
        assert_eq!(edges(&sources, "d"), ["a::b"]);
        assert!(sources.circle(&[]).is_empty());
    }

    #[test]
    fn a_circle_is_found_and_told() {
        let files = [
            ("a", "use crate::b::B;"),
            ("b", "use crate::c::d::D;"),
            ("c::mod", "mod d;"),
            ("c::d", "fn f() -> crate::b::B { b() }"),
        ];
        let sources = Crate::new(files);
        assert_eq!(sources.circle(&[]), ["b", "c::d", "b"]);
        assert!(sources.circle(&[("c::d", "b")]).is_empty());
        let in_tests = [
            ("a", files[0].1),
            ("b", "#[cfg(test)]\nmod t;"),
            ("b::t", "use crate::a::A;"),
        ];
        assert!(Crate::new(in_tests).circle(&[]).is_empty());
    }

    #[test]
    fn what_runs_up_or_along_the_ladder_is_told() {
        let sources = Crate::new([
            ("top::mod", "use crate::middle::M; use crate::bottom::B;"),
            ("middle::mod", "use crate::beside::S;"),
            ("beside", "use crate::bottom::B;"),
            ("bottom::mod", "mod inner;"),
            ("bottom::inner", "use crate::top::T;"),
        ]);
        let wrong = sources.against("", &lines("top\nmiddle  beside\nbottom"));
        let expected = [
            "`bottom::inner` uses `top`, which is not on a lower line",
            "`middle` uses `beside`, which is not on a lower line",
        ];
        assert_eq!(wrong, expected);
        let wrong = sources.against("", &lines("gone\nbottom"));
        assert!(wrong.contains(&"`top` does not stand on the ladder".to_owned()));
        assert!(
            wrong.contains(&"`gone` stands on the ladder, and there is no such module".to_owned())
        );

        let inner = Crate::new([
            ("a::x", "use super::y::Y;"),
            ("a::y", "use crate::b::B;"),
            ("b", "use crate::a::x::X;"),
        ]);
        assert!(inner.against("a", &lines("x\ny")).is_empty());
        assert_eq!(inner.against("a", &lines("y\nx")).len(), 1);
    }
}
