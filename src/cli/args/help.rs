//! What help says beside the flags: examples at each verb, and the headings that flags stand under.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// The flag that all verbs have.
const QUIET: &str = "quiet";
/// The heading of the flags below.
const OUTPUT: &str = "Output";
/// Flags of verbs that say what is printed or written, by their ids. The others stand under
/// `Options`, before them, and those of settings under `Settings`, behind them.
const OUTPUT_IDS: [&str; 15] = [
    "annotate",
    "json",
    "explain",
    "output",
    "existing",
    "resume",
    "overwrite",
    "refused",
    "plot",
    "plots",
    "markdown",
    "html",
    "details",
    "answers",
    "interactive",
];

/// What somebody wants, and what they type.
type Example = (&'static str, &'static str);

/// Two examples for each verb. A test parses them.
const EXAMPLES: &[(&str, [Example; 2])] = &[
    (
        "demo",
        [
            ("See the whole way once", "vultus demo"),
            (
                "Go on serving, to try the printed lines",
                "vultus demo --stay",
            ),
        ],
    ),
    (
        "init",
        [
            ("An empty data directory", "vultus init --data-dir people"),
            (
                "An encrypted one, with a key that `openssl rand -hex 32` has made",
                "vultus init --encrypt --data-dir people --master-key file:master.key",
            ),
        ],
    ),
    (
        "serve",
        [
            (
                "Serve this machine alone, and open the page",
                "vultus serve --open",
            ),
            (
                "Serve others, behind a proxy that speaks TLS",
                "vultus serve --listen 0.0.0.0:8040 --public-url https://faces.example.org",
            ),
        ],
    ),
    (
        "app create",
        [
            (
                "For all of a storage",
                "vultus app create --name portal --storage bws",
            ),
            (
                "With the App-ID and the secret that its clients have already",
                "vultus app create --name old --storage bws --id 1234567890.12345.app.bioid.com --secret-stdin < secret.txt",
            ),
        ],
    ),
    (
        "app list",
        [
            ("As a table", "vultus app list"),
            ("As JSON, one app a line", "vultus app list --json"),
        ],
    ),
    (
        "app remove",
        [
            (
                "By its App-ID",
                "vultus app remove 4b1f4bf5-7f7a-4c1e-9a7b-6f0c3f2f8a10",
            ),
            (
                "In another data directory",
                "vultus app remove 4b1f4bf5-7f7a-4c1e-9a7b-6f0c3f2f8a10 --data-dir people",
            ),
        ],
    ),
    (
        "key rotate",
        [
            ("Once in a while", "vultus key rotate"),
            (
                "When somebody else may know the key",
                "vultus key rotate --forget",
            ),
        ],
    ),
    (
        "key create",
        [
            (
                "For a program that asks who people are, in one storage",
                "vultus key create --name desk --scopes identify,verify --storage bws",
            ),
            (
                "For 90 days of snapshots",
                "vultus key create --name backup --scopes snapshot --everything --days 90",
            ),
        ],
    ),
    (
        "key list",
        [
            ("As a table", "vultus key list"),
            ("As JSON, one key a line", "vultus key list --json"),
        ],
    ),
    (
        "key revoke",
        [
            (
                "By its id, which key list shows",
                "vultus key revoke d0078de4554c14c9",
            ),
            (
                "In another data directory",
                "vultus key revoke d0078de4554c14c9 --data-dir people",
            ),
        ],
    ),
    (
        "audit verify",
        [
            (
                "Whether the log is as it was written",
                "vultus audit verify",
            ),
            (
                "Whether it still has what was its end once",
                "vultus audit verify --head 4711:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            ),
        ],
    ),
    (
        "audit verify-receipt",
        [
            (
                "Whether a receipt is what the service of this data directory signed",
                "vultus audit verify-receipt receipt.json",
            ),
            (
                "The same without the data directory",
                "vultus audit verify-receipt receipt.json --public-key 8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
            ),
        ],
    ),
    (
        "audit list",
        [
            (
                "The last ten records of one gallery",
                "vultus audit list --last 10 --partition bws.1",
            ),
            (
                "All about one person, as JSON",
                "vultus audit list --class 4711 --last 1000000 --json",
            ),
        ],
    ),
    (
        "audit export",
        [
            ("As JSON, one record a line", "vultus audit export"),
            (
                "As a table for spreadsheets",
                "vultus audit export --format csv",
            ),
        ],
    ),
    (
        "enroll",
        [
            (
                "Everybody in a folder of class folders: people/17/a.jpg",
                "vultus enroll --partition bws.1 people",
            ),
            (
                "One person anew",
                "vultus enroll --partition bws.1 --class 17 --replace a.jpg b.jpg",
            ),
        ],
    ),
    (
        "identify",
        [
            (
                "Who are they? And draw the names",
                "vultus identify --partition bws.1 --annotate named.jpg group.jpg",
            ),
            (
                "Ready embeddings, with answers in a table",
                "vultus identify --partition bws.1 --embeddings probes.npy --output answers.parquet",
            ),
        ],
    ),
    (
        "detect",
        [
            ("Where are the faces?", "vultus detect group.jpg"),
            ("Of a folder, for a program", "vultus detect --json photos"),
        ],
    ),
    (
        "compare",
        [
            ("Is it one person?", "vultus compare a.jpg b.jpg"),
            (
                "Only if it is quite sure",
                "vultus compare --threshold 0.6 a.jpg b.jpg",
            ),
        ],
    ),
    (
        "embed",
        [
            ("For NumPy", "vultus embed photos --output faces.npy"),
            (
                "As a table with the names of the pictures",
                "vultus embed photos --output faces.parquet",
            ),
        ],
    ),
    (
        "people list",
        [
            ("Everybody", "vultus people list --partition bws.1"),
            (
                "Those of a site whose names begin so",
                "vultus people list --partition bws.1 --label site:berlin --name-prefix Ad",
            ),
        ],
    ),
    (
        "people show",
        [
            (
                "By name",
                "vultus people show --partition bws.1 'Ada Lovelace'",
            ),
            (
                "By the number of the class, as JSON",
                "vultus people show --partition bws.1 17 --json",
            ),
        ],
    ),
    (
        "people rename",
        [
            (
                "Another name",
                "vultus people rename --partition bws.1 'Ada Byron' 'Ada Lovelace'",
            ),
            (
                "A first name",
                "vultus people rename --partition bws.1 17 'Ada Lovelace'",
            ),
        ],
    ),
    (
        "people merge",
        [
            (
                "Somebody who was enrolled twice",
                "vultus people merge --partition bws.1 17 23",
            ),
            (
                "By name",
                "vultus people merge --partition bws.1 'Ada Lovelace' 'A. Lovelace'",
            ),
        ],
    ),
    (
        "people remove",
        [
            (
                "One person",
                "vultus people remove --partition bws.1 'Ada Lovelace'",
            ),
            (
                "Several, as JSON",
                "vultus people remove --partition bws.1 17 23 --json",
            ),
        ],
    ),
    (
        "people remove-portraits",
        [
            ("All that are stored", "vultus people remove-portraits"),
            (
                "Those of one gallery, as JSON",
                "vultus people remove-portraits --partition bws.1 --json",
            ),
        ],
    ),
    (
        "people import",
        [
            (
                "Names from a table",
                "vultus people import --partition bws.1 staff.csv",
            ),
            (
                "From another program",
                "vultus people import --partition bws.1 - < staff.jsonl",
            ),
        ],
    ),
    (
        "people export",
        [
            (
                "As a table",
                "vultus people export --partition bws.1 staff.csv",
            ),
            (
                "As lines of JSON, in the place of a file",
                "vultus people export --partition bws.1 staff.jsonl --overwrite",
            ),
        ],
    ),
    (
        "people expire",
        [
            ("Whose time is over?", "vultus people expire --dry-run"),
            (
                "Delete them from one gallery",
                "vultus people expire --partition bws.1",
            ),
        ],
    ),
    (
        "people suggest",
        [
            (
                "Who is often in these pictures, and not enrolled?",
                "vultus people suggest --partition bws.1 photos",
            ),
            (
                "Sort them, to be named and enrolled",
                "vultus people suggest photos --into found",
            ),
        ],
    ),
    (
        "gallery import",
        [
            (
                "Embeddings of another program",
                "vultus gallery import --partition bws.1 --encoder arcface@r100 people.npz",
            ),
            (
                "Pictures, only to see what would be refused",
                "vultus gallery import --partition bws.1 --dry-run --pictures people",
            ),
        ],
    ),
    (
        "gallery export",
        [
            (
                "For NumPy",
                "vultus gallery export --partition bws.1 --output people.npz",
            ),
            (
                "As a table, in place of an older one",
                "vultus gallery export --partition bws.1 --output people.parquet --overwrite",
            ),
        ],
    ),
    (
        "gallery list",
        [
            ("The names alone", "vultus gallery list"),
            ("As JSON", "vultus gallery list --json"),
        ],
    ),
    (
        "gallery info",
        [
            ("All galleries", "vultus gallery info"),
            (
                "One of them, as JSON",
                "vultus gallery info --partition bws.1 --json",
            ),
        ],
    ),
    (
        "gallery verify",
        [
            ("Everything", "vultus gallery verify"),
            (
                "One gallery, as JSON",
                "vultus gallery verify --partition bws.1 --json",
            ),
        ],
    ),
    (
        "gallery repair",
        [
            (
                "With what a snapshot still has",
                "vultus gallery repair --from monday.tar.zst",
            ),
            (
                "Without what is lost, if nothing else is left",
                "vultus gallery repair --partition bws.1 --accept-loss",
            ),
        ],
    ),
    (
        "gallery compact",
        [
            ("All galleries", "vultus gallery compact"),
            ("One of them", "vultus gallery compact --partition bws.1"),
        ],
    ),
    (
        "gallery encrypt",
        [
            (
                "With a key in a file",
                "vultus gallery encrypt --master-key file:/etc/vultus/master.key",
            ),
            (
                "With what a program says",
                "vultus gallery encrypt --master-key 'command:kms get vultus'",
            ),
        ],
    ),
    (
        "gallery change-master-key",
        [
            (
                "From one file to another",
                "vultus gallery change-master-key --master-key file:old.key --to file:new.key",
            ),
            (
                "To a credential of systemd",
                "vultus gallery change-master-key --master-key file:old.key --to credential:vultus-master",
            ),
        ],
    ),
    (
        "gallery rotate-keys",
        [
            (
                "All galleries, and the catalog",
                "vultus gallery rotate-keys",
            ),
            (
                "One gallery",
                "vultus gallery rotate-keys --partition bws.1",
            ),
        ],
    ),
    (
        "gallery erase",
        [
            (
                "One person",
                "vultus gallery erase --partition bws.1 --class 17",
            ),
            (
                "Several, as JSON",
                "vultus gallery erase --partition bws.1 --class 17 --class 18 --json",
            ),
        ],
    ),
    (
        "gallery remove",
        [
            (
                "A gallery and everybody in it",
                "vultus gallery remove --partition bws.1 --confirm bws.1",
            ),
            (
                "The same, with the signed receipt",
                "vultus gallery remove --partition bws.1 --confirm bws.1 --json",
            ),
        ],
    ),
    (
        "gallery duplicates",
        [
            (
                "Who was perhaps enrolled twice?",
                "vultus gallery duplicates --partition bws.1 --threshold 0.5",
            ),
            (
                "As a table",
                "vultus gallery duplicates --partition bws.1 --threshold 0.5 --output pairs.parquet",
            ),
        ],
    ),
    (
        "gallery snapshot",
        [
            ("Once", "vultus gallery snapshot --to monday.tar.zst"),
            (
                "Every night, in place of the last",
                "vultus gallery snapshot --to nightly.tar.zst --overwrite",
            ),
        ],
    ),
    (
        "gallery restore",
        [
            (
                "Into a new data directory",
                "vultus gallery restore --from monday.tar.zst --data-dir people",
            ),
            (
                "Is the snapshot whole?",
                "vultus gallery restore --from monday.tar.zst --check",
            ),
        ],
    ),
    (
        "inspect",
        [
            ("A snapshot", "vultus inspect monday.tar.zst"),
            (
                "A file of a data directory, as JSON",
                "vultus inspect vultus-data/catalog.redb --json",
            ),
        ],
    ),
    (
        "calibrate",
        [
            (
                "Which threshold lets how many strangers through",
                "vultus calibrate --partition bws.1",
            ),
            (
                "What embeddings of your own embedder say of it",
                "vultus calibrate --encoder-profile mine.json --encoder mine@2 --classes labels.npy faces.npy",
            ),
        ],
    ),
    (
        "evaluate identification",
        [
            (
                "How often would people in these folders be missed, and strangers named?",
                "vultus evaluate identification people",
            ),
            (
                "Of your own embedder, as a page to be passed on",
                "vultus evaluate identification faces.npy --classes labels.npy --splits 20 --html report.html",
            ),
        ],
    ),
    (
        "evaluate verification",
        [
            (
                "How often would one person be taken for two, and two for one?",
                "vultus evaluate verification people --plots figures",
            ),
            (
                "Probes with labels against a gallery, by groups of people",
                "vultus evaluate verification probes.parquet --partition bws.1 --groups groups.csv",
            ),
        ],
    ),
    (
        "evaluate liveness",
        [
            (
                "Errors at the thresholds that are set",
                "vultus evaluate liveness presentations",
            ),
            (
                "Errors at all thresholds, as a plot",
                "vultus evaluate liveness presentations --plot errors.svg",
            ),
        ],
    ),
    (
        "bench",
        [
            ("A million templates that are made up", "vultus bench"),
            (
                "A gallery as large as yours, as JSON",
                "vultus bench --rows 200000 --dim 128 --probes 1 --json",
            ),
        ],
    ),
    (
        "plan",
        [
            (
                "A million people with two pictures each",
                "vultus plan --rows 2000000 --qps 10",
            ),
            (
                "All pairs of a hundred million people, on ten machines, as JSON",
                "vultus plan --job duplicates --rows 100000000 --dim 512 --machines 10 --json",
            ),
        ],
    ),
    (
        "load",
        [
            (
                "How quickly are people found at 100 to 1000 calls a second?",
                "vultus load --rate 100..1000/10 --key vk_1 --partition bws.1 --encoder test",
            ),
            (
                "Sixty-four clients, of which some ask for the status, as JSON",
                "vultus load --clients 64 --calls identify=9,status=1 --key vk_1 --partition bws.1 --encoder test --json",
            ),
        ],
    ),
    (
        "config show",
        [
            (
                "What would a service use here?",
                "vultus config show --config vultus.toml",
            ),
            ("As JSON, one setting a line", "vultus config show --json"),
        ],
    ),
    (
        "doctor",
        [
            (
                "Before the first start, and whenever something is odd",
                "vultus doctor --config vultus.toml",
            ),
            (
                "For a monitor, as JSON",
                "vultus doctor --strict --json --data-dir people",
            ),
        ],
    ),
    (
        "completions",
        [
            (
                "For bash",
                "vultus completions bash > ~/.local/share/bash-completion/completions/vultus",
            ),
            (
                "For fish",
                "vultus completions fish > ~/.config/fish/completions/vultus.fish",
            ),
        ],
    ),
    (
        "man",
        [
            ("Read about a verb", "vultus man gallery import | man -l -"),
            (
                "Install all pages",
                "vultus man --all ~/.local/share/man/man1",
            ),
        ],
    ),
];

/// `root` with examples, headings and the flag [`QUIET`] at all verbs.
pub(super) fn with_help(root: Command) -> Command {
    with_help_below(root.arg(quiet()), "")
}

fn with_help_below(parent: Command, path: &str) -> Command {
    parent.mut_subcommands(|verb| {
        let path = format!("{path} {}", verb.get_name());
        if verb.has_subcommands() {
            return with_help_below(verb, &path);
        }
        let verb = verb.mut_args(|arg| match OUTPUT_IDS.contains(&arg.get_id().as_str()) {
            true => arg.help_heading(OUTPUT),
            false => arg,
        });
        let verb = verb.arg(quiet().help_heading(OUTPUT));
        match examples(path.trim_start()) {
            Some(text) => verb.after_help(text),
            None => verb,
        }
    })
}

fn quiet() -> Arg {
    Arg::new(QUIET)
        .short('q')
        .long(QUIET)
        .global(true)
        .action(ArgAction::SetTrue)
        .help("Say nothing on stderr but errors and what was refused")
}

/// Whether [`QUIET`] was typed, wherever.
pub(in crate::cli) fn is_quiet(matches: &ArgMatches) -> bool {
    let below = matches
        .subcommand()
        .is_some_and(|(_, below)| is_quiet(below));
    below || matches.get_flag(QUIET)
}

fn examples(verb: &str) -> Option<String> {
    let (_, examples) = EXAMPLES.iter().find(|(own, _)| *own == verb)?;
    let lines = examples
        .iter()
        .map(|(what, typed)| format!("  # {what}\n  {typed}"));
    Some(format!(
        "Examples:\n{}",
        lines.collect::<Vec<_>>().join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{command, verbs};
    use super::*;
    use crate::config::SETTINGS;

    /// What a shell hands to the program.
    fn words(typed: &str) -> Vec<String> {
        let (mut words, mut is_quoted, mut is_new) = (Vec::<String>::new(), false, true);
        for letter in typed.chars() {
            match letter {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => is_new = true,
                letter => {
                    if std::mem::take(&mut is_new) {
                        words.push(String::new());
                    }
                    words.last_mut().unwrap().push(letter);
                }
            }
        }
        let end = words
            .iter()
            .position(|word| ["|", ">", "<"].contains(&&**word));
        words.truncate(end.unwrap_or(words.len()));
        words
    }

    #[test]
    fn every_verb_has_examples_that_it_takes() {
        let verbs = verbs(&command());
        for verb in &verbs {
            let examples = EXAMPLES.iter().find(|(own, _)| own == verb);
            let (_, examples) = examples.unwrap_or_else(|| panic!("`{verb}` has no examples"));
            for (what, typed) in examples {
                assert!(!what.is_empty() && !what.ends_with('.'), "{what}");
                let typed_verb = typed.strip_prefix("vultus ").unwrap();
                assert!(typed_verb.starts_with(verb.as_str()), "{typed}");
                let matches = command().try_get_matches_from(words(typed));
                let matches = matches.unwrap_or_else(|error| panic!("{typed}: {error}"));
                assert!(verb.starts_with(matches.subcommand_name().unwrap()));
            }
        }
        assert_eq!(EXAMPLES.len(), verbs.len(), "an example is of no verb");
    }

    #[test]
    fn flags_stand_in_groups_and_settings_at_the_verbs_that_use_them() {
        let mut root = command();
        root.build();
        for path in verbs(&command()) {
            let verb = path
                .split(' ')
                .fold(&root, |verb, name| verb.find_subcommand(name).unwrap());
            let built = verb.clone().render_long_help().to_string();
            assert!(built.contains("Examples:\n"), "{path}");
            assert!(built.contains("-q, --quiet"), "{path}");
            let places: Vec<_> = ["\nOptions:", "\nOutput:", "\nSettings:", "\nExamples:"]
                .iter()
                .filter_map(|heading| built.find(heading))
                .collect();
            assert!(places.is_sorted(), "{path}: {built}");
            for setting in SETTINGS {
                let flag = format!("--{} <", setting.flag());
                let shown = built.contains(&flag);
                assert_eq!(shown, setting.is_used_by(&path), "{path}: {flag}");
                assert!(
                    !shown || built.contains(&setting.variable()),
                    "{path}: {flag}"
                );
            }
        }
    }

    #[test]
    fn quiet_is_taken_before_a_verb_and_behind_it() {
        for (typed, expected) in [
            ("vultus key list", false),
            ("vultus -q key list", true),
            ("vultus key -q list", true),
            ("vultus key list --quiet", true),
            ("vultus gallery info -q", true),
            ("vultus enroll --partition bws.1 a.jpg -q", true),
        ] {
            let matches = command().try_get_matches_from(words(typed)).unwrap();
            assert_eq!(is_quiet(&matches), expected, "{typed}");
        }
    }
}
