//! What is wrong with what was typed: in one line, as for all other errors, with what was perhaps
//! meant.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use super::verbs;

/// Verbs that are as alike as this are taken for slips of each other.
const LIKENESS_MIN: f64 = 0.8;
/// More are no help.
const TIPS_MAX: usize = 3;

/// What people call things, and the verbs for them, the likeliest first.
const SYNONYMS: &[(&[&str], &[&str])] = &[
    (
        &[
            "remove", "delete", "erase", "rm", "del", "forget", "unenroll", "drop",
        ],
        &[
            "people remove",
            "gallery erase",
            "gallery remove",
            "app remove",
            "key revoke",
        ],
    ),
    (
        &["info", "status", "stats", "show", "describe", "count"],
        &["gallery info", "inspect"],
    ),
    (
        &[
            "list",
            "ls",
            "persons",
            "classes",
            "galleries",
            "partitions",
        ],
        &["gallery list", "gallery info", "app list", "key list"],
    ),
    (
        &[
            "add",
            "register",
            "enrol",
            "enrollment",
            "insert",
            "train",
            "learn",
        ],
        &["enroll", "app create", "key create"],
    ),
    (
        &["new", "make", "generate", "issue"],
        &["app create", "key create", "enroll"],
    ),
    (
        &[
            "search",
            "find",
            "recognize",
            "recognise",
            "match",
            "query",
            "who",
            "lookup",
            "ask",
        ],
        &["identify"],
    ),
    (
        &[
            "start", "run", "server", "daemon", "web", "listen", "api", "up", "http",
        ],
        &["serve"],
    ),
    (
        &["backup", "dump", "save", "copy", "archive"],
        &["gallery snapshot", "gallery export"],
    ),
    (
        &["upload", "read", "ingest"],
        &["gallery import", "gallery restore"],
    ),
    (
        &["check", "fsck", "validate", "health", "test", "scrub"],
        &["gallery verify", "doctor", "inspect"],
    ),
    (
        &["fix", "mend", "recover"],
        &["gallery repair", "gallery restore"],
    ),
    (
        &[
            "vacuum", "optimize", "optimise", "gc", "clean", "prune", "purge",
        ],
        &["gallery compact", "gallery erase"],
    ),
    (
        &["dedup", "dedupe", "similar", "pairs", "duplicate"],
        &["gallery duplicates"],
    ),
    (
        &["sizing", "capacity", "estimate", "calculate"],
        &["plan", "bench"],
    ),
    (&["benchmark", "perf", "speed", "nist"], &["bench"]),
    (
        &["measure", "accuracy"],
        &["evaluate identification", "evaluate verification", "bench"],
    ),
    (
        &["cmc", "fnir", "fpir", "openset", "open-set", "1:n"],
        &["evaluate identification"],
    ),
    (
        &["det", "roc", "eer", "fmr", "fnmr", "far", "frr", "1:1"],
        &["evaluate verification", "evaluate identification"],
    ),
    (&["example", "try", "tour", "quickstart"], &["demo"]),
    (
        &["settings", "setting", "options", "configuration", "env"],
        &["config show"],
    ),
    (&["complete", "completion", "shell"], &["completions"]),
    (&["manual", "manpage", "docs", "documentation"], &["man"]),
];

/// What is wrong with `typed`, which `command` did not take, without `error: ` before it.
pub(in crate::cli) fn explain(command: &Command, typed: &[OsString], error: &Error) -> String {
    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) => {
            unknown_verb(command, typed, word)
        }
        _ => without_ado(&error.to_string()),
    }
}

/// What clap says in several paragraphs, without how to ask for help in general. Where flags are
/// missing or are none, how the verb is used follows on lines of its own.
fn without_ado(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    if text.contains("\nUsage: ") {
        return text.trim_end().to_owned();
    }
    let mut parts: Vec<String> = Vec::new();
    for paragraph in text.split("\n\n") {
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        let paragraph = words.join(" ");
        if !paragraph.is_empty() && !paragraph.starts_with("For more information") {
            parts.push(paragraph);
        }
    }
    parts.join("; ")
}

fn unknown_verb(command: &Command, typed: &[OsString], word: &str) -> String {
    let (parent, found) = (parent(command, typed, word), word.escape_debug());
    let verbs = verbs(command);
    let tips = tips(&verbs, &parent, word);
    let quoted: Vec<String> = tips.iter().map(|verb| format!("`vultus {verb}`")).collect();
    let place = format!("vultus {parent}");
    let place = place.trim_end();
    match &quoted[..] {
        [] => format!("`{place}` has no verb `{found}`: `{place} --help` lists those that it has"),
        [one] => format!("`{place}` has no verb `{found}`: perhaps {one} was meant"),
        [others @ .., last] => {
            let others = others.join(", ");
            format!("`{place}` has no verb `{found}`: perhaps {others} or {last} was meant")
        }
    }
}

/// The verbs that were typed before `word`.
fn parent(command: &Command, typed: &[OsString], word: &str) -> String {
    let (mut at, mut names) = (command, Vec::new());
    for typed in typed.iter().skip(1).map_while(|typed| typed.to_str()) {
        if typed == word {
            break;
        }
        if let Some(below) = at.find_subcommand(typed) {
            names.push(typed);
            at = below;
        }
    }
    names.join(" ")
}

/// The verbs that were perhaps meant, those below `parent` alone if there are any.
fn tips<'a>(verbs: &'a [String], parent: &str, word: &str) -> Vec<&'a str> {
    let word = word.to_ascii_lowercase();
    let synonyms = SYNONYMS
        .iter()
        .filter(|(words, _)| words.contains(&word.as_str()));
    let mut tips: Vec<&str> = synonyms
        .flat_map(|(_, meant)| meant.iter())
        .filter_map(|meant| verbs.iter().find(|verb| verb == meant))
        .map(String::as_str)
        .collect();
    let last = |verb: &str| verb.rsplit(' ').next().unwrap_or_default().to_owned();
    let mut alike: Vec<(f64, &str)> = verbs
        .iter()
        .map(|verb| (strsim::jaro_winkler(&last(verb), &word), verb.as_str()))
        .filter(|(likeness, verb)| *likeness >= LIKENESS_MIN && !tips.contains(verb))
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    // One that is written the same is meant before any that means the same.
    let same = alike
        .iter()
        .take_while(|(likeness, _)| *likeness == 1.0)
        .count();
    let (same, alike) = alike.split_at(same);
    let names = |part: &[(f64, &'a str)]| part.iter().map(|(_, verb)| *verb).collect::<Vec<_>>();
    tips = [names(same), tips, names(alike)].concat();
    let prefix = format!("{parent} ");
    let below: Vec<&str> = tips
        .iter()
        .copied()
        .filter(|tip| tip.starts_with(&prefix))
        .collect();
    let mut tips = if parent.is_empty() || below.is_empty() {
        tips
    } else {
        below
    };
    tips.truncate(TIPS_MAX);
    tips
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    fn explained(typed: &str) -> String {
        let typed: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
        let error = command().try_get_matches_from(&typed).unwrap_err();
        explain(&command(), &typed, &error)
    }

    #[test]
    fn the_right_verb_is_the_tip_for_a_wrong_one() {
        for (typed, tip) in [
            (
                "vultus remove",
                "perhaps `vultus people remove`, `vultus gallery erase` or `vultus gallery remove`",
            ),
            (
                "vultus delete",
                "perhaps `vultus people remove`, `vultus gallery erase`",
            ),
            ("vultus info", "perhaps `vultus gallery info`"),
            ("vultus list", "`vultus gallery list`"),
            ("vultus import", "`vultus gallery import` was meant"),
            ("vultus export", "`vultus gallery export`"),
            ("vultus verify", "`vultus gallery verify`"),
            (
                "vultus create",
                "`vultus app create` or `vultus key create`",
            ),
            ("vultus rotate", "perhaps `vultus key rotate`"),
            ("vultus search", "perhaps `vultus identify`"),
            ("vultus enrol", "perhaps `vultus enroll`"),
            ("vultus Identify", "perhaps `vultus identify`"),
            ("vultus idenitfy", "perhaps `vultus identify`"),
            ("vultus start", "perhaps `vultus serve`"),
            ("vultus backup", "perhaps `vultus gallery snapshot`"),
            (
                "vultus --data-dir d delete",
                "perhaps `vultus people remove`, `vultus gallery erase`",
            ),
            (
                "vultus gallery delete",
                "perhaps `vultus gallery erase` or `vultus gallery remove` was meant",
            ),
            ("vultus gallery ls", "perhaps `vultus gallery list`"),
            ("vultus gallery backup", "perhaps `vultus gallery snapshot`"),
            ("vultus gallery imprt", "perhaps `vultus gallery import`"),
            ("vultus app delete", "perhaps `vultus app remove` was meant"),
            ("vultus key delete", "perhaps `vultus key revoke` was meant"),
            ("vultus key add", "perhaps `vultus key create` was meant"),
            (
                "vultus key --data-dir d new",
                "perhaps `vultus key create` was meant",
            ),
            (
                "vultus evaluate livenes",
                "perhaps `vultus evaluate liveness` was meant",
            ),
            (
                "vultus evaluate identify",
                "perhaps `vultus evaluate identification` was meant",
            ),
            (
                "vultus evaluate verify",
                "perhaps `vultus evaluate verification` was meant",
            ),
            (
                "vultus accuracy",
                "perhaps `vultus evaluate identification`, `vultus evaluate verification`",
            ),
            ("vultus help delete", "delete"),
            ("vultus xyzzy", "`vultus --help` lists"),
            ("vultus key xyzzy", "`vultus key --help` lists"),
        ] {
            let found = explained(typed);
            assert!(found.contains(tip), "{typed}: {found}");
            assert_eq!(found.lines().count(), 1, "{found}");
        }
    }

    #[test]
    fn every_tip_is_a_verb() {
        let verbs = verbs(&command());
        for (words, meant) in SYNONYMS {
            for tip in *meant {
                assert!(verbs.iter().any(|verb| verb == tip), "{tip}");
            }
            for word in *words {
                assert!(command().find_subcommand(word).is_none(), "{word}");
            }
        }
    }

    #[test]
    fn a_wrong_value_is_one_line() {
        for (typed, words) in [
            (
                "vultus key create --name x --everything --scopes foo",
                "invalid value 'foo' for '--scopes <SCOPE>': ",
            ),
            (
                "vultus enroll --partition bws.1 --class",
                "a value is required for '--class <N>'",
            ),
            ("vultus completions tcsh", "invalid value 'tcsh'"),
        ] {
            let found = explained(typed);
            assert!(found.contains(words), "{typed}: {found}");
            assert_eq!(found.lines().count(), 1, "{found}");
            assert!(!found.contains("For more information"), "{found}");
        }
    }

    #[test]
    fn how_a_verb_is_used_follows_where_flags_are_wrong() {
        for (typed, words) in [
            (
                "vultus identify x",
                "not provided:\n  --partition <STORAGE.PARTITION>\n",
            ),
            (
                "vultus identify --nope",
                "unexpected argument '--nope' found\n",
            ),
            ("vultus serve extra", "unexpected argument 'extra' found\n"),
        ] {
            let found = explained(typed);
            assert!(found.contains(words), "{typed}: {found}");
            assert!(found.contains("\nUsage: vultus "), "{found}");
        }
    }
}
