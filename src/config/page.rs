//! `docs/configuration.md`, which is made of the table.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use super::{SETTINGS, Setting, Settings, Standard, TAKEN_UP};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");

const HEAD: &str = "\
# Configuration

Everything that can be set, made of the table in `src/config/table.rs`.

A setting can be given in three ways; the first of these that gives it wins:

1. a flag of a verb that uses it: `vultus serve --data-dir data`;
2. an environment variable: `VULTUS_DATA_DIR=data`;
3. a key of a TOML file that `--config` or `VULTUS_CONFIG` names: `data-dir = \"data\"`.

Flags that several verbs use can also be typed before the verb and at other verbs, which do not use
them. `vultus config show` takes all of them, and says what is in force and where it comes from;
`vultus doctor` takes all, too. A settings file looks like this:

```toml
data-dir = \"/var/lib/vultus\"
listen = \"127.0.0.1:8040\"
public-url = \"https://faces.example.org\"
cors-origins = [\"https://www.example.org\"]

[verification-thresholds]
\"bws.112\" = 0.5

[liveness]
active-score-min = 0.6
```

A wrong value is refused in one line that names its place, with exit code 2, and so is a key of the
file that sets nothing. A variable that begins with `VULTUS_` and sets nothing is warned of.
Variables that Kubernetes and Docker set beside a service called `vultus`, such as
`VULTUS_PORT=tcp://...` and `VULTUS_SERVICE_HOST`, are passed over.
";

/// The whole page.
fn page() -> String {
    let mut page = HEAD.to_owned();
    for setting in SETTINGS {
        section(&mut page, setting).unwrap();
    }
    page
}

fn section(page: &mut String, setting: &Setting) -> std::fmt::Result {
    let (flag, variable) = (setting.flag(), setting.variable());
    let standard = match setting.standard {
        Standard::Field(_) => format!("`{}`", setting.standard()),
        Standard::Machine(words, _) | Standard::Words(words) => words.to_owned(),
    };
    let not_in_file = if setting.is_in_file() {
        ""
    } else {
        "; no key of the file itself"
    };
    writeln!(page, "\n## `{}`\n", setting.name)?;
    writeln!(page, "{}\n", wrapped(&format!("{}.", setting.text), ""))?;
    for line in [
        format!("* Value: {}", setting.value.expected()),
        format!("* Default: {standard}"),
        format!("* Variable: `{variable}`{not_in_file}"),
        format!(
            "* Flag: `--{flag} {}` of {}",
            setting.value_name,
            verbs(setting)
        ),
    ] {
        writeln!(page, "{}", wrapped(&line, "  "))?;
    }
    if TAKEN_UP.contains(&setting.name) {
        writeln!(page, "* Taken up by a running service on SIGHUP")?;
    }
    Ok(())
}

fn verbs(setting: &Setting) -> String {
    let verbs = setting.verbs.iter().map(|verb| format!("`{verb}`"));
    let verbs: Vec<String> = verbs.collect();
    verbs.join(", ")
}

/// The line in lines of at most 100 columns, all but the first of them indented.
fn wrapped(line: &str, indent: &str) -> String {
    let (mut text, mut columns) = (String::new(), 0);
    for word in line.split(' ') {
        if columns + 1 + word.chars().count() > 100 {
            text.push('\n');
            text.push_str(indent);
            columns = indent.len();
        } else if columns > 0 {
            text.push(' ');
            columns += 1;
        }
        text.push_str(word);
        columns += word.chars().count();
    }
    text
}

#[test]
fn the_page_is_that_of_the_table() {
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(PATH, page()).unwrap();
    }
    let found = fs::read_to_string(PATH).unwrap();
    assert!(
        found == page(),
        "docs/configuration.md is not that of the table: run this test with UPDATE_FIXTURES=1"
    );
}

#[test]
fn every_row_has_what_makes_a_setting() {
    let page = page();
    let sections: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let names: Vec<String> = SETTINGS
        .iter()
        .map(|row| format!("`{}`", row.name))
        .collect();
    assert_eq!(sections, names);
    let mut taken = BTreeSet::new();
    for row in SETTINGS {
        assert!(
            !row.text.is_empty() && !row.text.ends_with('.'),
            "{}",
            row.name
        );
        assert!(
            !row.verbs.is_empty() && !row.standard().is_empty(),
            "{}",
            row.name
        );
        assert!(
            taken.insert(row.flag()),
            "two settings are `--{}`",
            row.flag()
        );
        assert!(
            taken.insert(row.variable()),
            "two settings are {}",
            row.variable()
        );
        let name = row.name.bytes();
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || b"-.".contains(&byte);
        assert!(name.clone().all(is_plain), "{}", row.name);
    }
}

#[test]
fn the_example_of_the_page_is_right() {
    let example = HEAD.split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vultus.toml");
    fs::write(&path, example).unwrap();
    let variables = [("VULTUS_CONFIG".into(), path.into_os_string())];
    let settings = Settings::read(vec![], variables, 2).unwrap().settings;
    assert_eq!(settings.service.liveness.active_score_min, 0.6);
}
