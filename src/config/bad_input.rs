//! Every setting is tried with good and bad values, in a file, as a variable and as a flag.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use super::*;
use crate::liveness::Thresholds;
use crate::web::Origins;

/// The path of the settings file of a test, with what it holds.
struct File {
    _folder: tempfile::TempDir,
    path: String,
}

fn file(bytes: impl AsRef<[u8]>) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vultus.toml");
    fs::write(&path, bytes).unwrap();
    File {
        path: path.to_str().unwrap().to_owned(),
        _folder: folder,
    }
}

fn setting(name: &str) -> &'static Setting {
    SETTINGS.iter().find(|row| row.name == name).unwrap()
}

fn flag(row: &'static Setting, value: &str) -> Flag {
    (row, vec![value.into()])
}

/// Reads variables and flags; with what `row` cannot do without.
fn read(
    row: &Setting,
    variables: &[(&str, &str)],
    mut flags: Vec<Flag>,
) -> Result<Settings, ConfigError> {
    for (name, needed) in [
        ("embedder", "embedder-profile"),
        ("embedder-profile", "embedder"),
        ("tls-cert", "tls-key"),
        ("tls-key", "tls-cert"),
    ] {
        if row.name == name {
            flags.push(flag(setting(needed), "needed"));
        }
    }
    let variables = variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    let variables: Vec<(OsString, OsString)> = variables.collect();
    Ok(Settings::read(flags, variables, 2)?.settings)
}

fn from_file(row: &Setting, text: &str) -> (String, Result<Settings, ConfigError>) {
    let file = file(text);
    let result = read(row, &[], vec![flag(setting("config"), &file.path)]);
    (file.path, result)
}

/// A value that is good and not the default, as text and in TOML.
fn good(row: &Setting) -> (String, String) {
    let number = |number: f64| (number.to_string(), format!("{number:?}"));
    match &row.value {
        Value::SettingsFile(_) => (file("").path, String::new()),
        Value::File(_) | Value::Folder(_) => ("x".into(), "'x'".into()),
        Value::Whole(range, _) | Value::Bytes(range, _) => {
            let number = (range.start() + 7).min(*range.end());
            (number.to_string(), number.to_string())
        }
        Value::Number(range, _) => number(*range.start() + 0.25),
        Value::Switch(_) if ["bws-delete-erases", "store-portraits"].contains(&row.name) => {
            ("true".into(), "true".into())
        }
        Value::Switch(_) => ("false".into(), "false".into()),
        Value::Isa(_) => ("scalar".into(), "'scalar'".into()),
        Value::List(..) if row.name == "trusted-proxies" => {
            ("10.0.0.0/8, ::1".into(), "['10.0.0.0/8', '::1']".into())
        }
        Value::List(..) if ["bws-lists-cut", "confirm-partitions"].contains(&row.name) => {
            ("bws.1, bws.-2".into(), "['bws.1', 'bws.-2']".into())
        }
        Value::List(..) => (
            "https://a.org, https://b.org".into(),
            "['https://a.org', 'https://b.org']".into(),
        ),
        Value::Table(..) if row.name == "target-fpirs" => (
            "bws.1=0.5,bws.-2 = 1e-6".into(),
            "{ 'bws.1' = 0.5, 'bws.-2' = 1e-6 }".into(),
        ),
        Value::Table(..) => (
            "bws.1=0.5,bws.-2 = -1".into(),
            "{ 'bws.1' = 0.5, 'bws.-2' = -1 }".into(),
        ),
        Value::Text(..) => {
            let text = match row.name {
                "listen" | "metrics-listen" => "localhost:1",
                "public-url" => "https://a.org",
                "log" => "debug",
                "otlp-endpoint" => "http://localhost:4318",
                "log-format" => "json",
                "audit" => "strict",
                "climb" => "refuse",
                "snapshot-every" | "erase-within" | "audit-keep" => "36h",
                "master-key" => "file:x",
                "encryption" => "on",
                "enroll-duplicates" => "refuse",
                name => panic!("the test knows no good value of `{name}`"),
            };
            (text.to_owned(), format!("'{text}'"))
        }
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Values that are bad as text.
fn bad_texts(row: &Setting) -> Vec<String> {
    let mut bad: Vec<String> = match &row.value {
        Value::SettingsFile(_) | Value::File(_) | Value::Folder(_) => vec![],
        Value::Whole(range, _) | Value::Bytes(range, _) => {
            let mut beyond = vec![(range.end() + 1).to_string()];
            beyond.extend(range.start().checked_sub(1).map(|below| below.to_string()));
            beyond.extend(texts(&[
                "x",
                "-1",
                "1.5",
                "1e3",
                "0x10",
                " 7",
                "7 ",
                "7s",
                "20 MiB",
                "NaN",
                "7,7",
                "18446744073709551616",
            ]));
            beyond
        }
        Value::Number(range, _) => {
            let mut beyond = texts(&["x", "NaN", "inf", "-inf", "1e999", "0,5", "50%", "0x1"]);
            beyond.push((range.start() - 0.01).to_string());
            beyond.push((range.end() + 0.01).to_string());
            beyond
        }
        Value::Switch(_) => texts(&["yes", "1", "TRUE", "x"]),
        Value::Isa(_) => texts(&["mmx", "AVX2", "avx2 ", "1"]),
        Value::List(..) if row.name == "encoder-profiles" => texts(&[",", "a.json,"]),
        Value::List(..) => texts(&[
            "x",
            ",",
            "https://a.org,",
            "https://a.org/path",
            "https://a.org b",
        ]),
        Value::Table(..) => texts(&[
            "x",
            "0.5",
            "bws.1",
            "bws.1=",
            "bws.1=x",
            "bws=0.5",
            "bws.1=1.5",
            "bws.1=NaN",
            "bws.1=0.5,",
            "bws.1=0.5,bws.1=0.6",
            "=0.5",
        ]),
        Value::Text(..) => texts(&[" ", "nonsense value", "a\nb", "\u{0}", "8040", ":8040"]),
    };
    bad.push(String::new());
    bad
}

/// Values that are bad in TOML.
fn bad_tomls(row: &Setting) -> Vec<String> {
    let mut bad: Vec<String> = match &row.value {
        Value::SettingsFile(_) => return vec![],
        Value::File(_) | Value::Folder(_) => texts(&["''", "3", "true", "\"a\\u0000b\""]),
        Value::Whole(range, _) | Value::Bytes(range, _) => {
            let mut beyond = vec![(range.end() + 1).to_string()];
            beyond.extend(texts(&[
                "-1",
                "'7'",
                "1.5",
                "7.0",
                "nan",
                "true",
                "99999999999999999999999",
                "'20 MiB'",
            ]));
            beyond
        }
        Value::Number(range, _) => {
            let mut beyond = texts(&["nan", "inf", "-inf", "1e999", "'0.5'", "true", "''"]);
            beyond.push(format!("{:?}", range.start() - 0.01));
            beyond.push(format!("{:?}", range.end() + 0.01));
            beyond
        }
        Value::Switch(_) => texts(&["1", "'true'", "''"]),
        Value::Isa(_) => texts(&["1", "'mmx'", "''", "true"]),
        Value::List(..) if row.name == "encoder-profiles" => {
            texts(&["'a.json'", "[1]", "1", "['']", "[\"a\\u0000b\"]"])
        }
        Value::List(..) => texts(&["'https://a.org'", "['x']", "[1]", "1", "['']"]),
        Value::Table(..) => texts(&[
            "1",
            "'bws.1=0.5'",
            "{ 'bws' = 0.5 }",
            "{ 'bws.1' = 2 }",
            "{ 'bws.1' = nan }",
            "{ 'bws.1' = '0.5' }",
            "{ bws = { 1 = 0.5 } }",
        ]),
        Value::Text(..) => texts(&["1", "true", "''", "'nonsense value'", "\"a\\nb\""]),
    };
    if !matches!(row.value, Value::Table(..)) {
        bad.push("{ a = 1 }".into());
    }
    bad.extend(texts(&["2026-11-28", "[[]]"]));
    bad
}

/// One line that has all of `parts`, and no cause that says it again.
fn assert_said(error: &ConfigError, parts: &[&str]) {
    let said = error.to_string();
    for part in parts {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    assert_eq!(said.lines().count(), 1, "{said:?}");
    assert!(std::error::Error::source(error).is_none(), "{said}");
}

#[test]
fn good_values_mean_the_same_whichever_way_they_come() {
    let standard = format!("{:?}", Settings::new(2));
    for row in SETTINGS.iter().filter(|row| row.is_in_file()) {
        let (text, toml) = good(row);
        let variable = read(row, &[(&row.variable(), &text)], vec![]).unwrap();
        let typed = read(row, &[], vec![flag(row, &text)]).unwrap();
        let (path, filed) = from_file(row, &format!("{} = {toml}\n", row.name));
        let mut filed = filed.unwrap();
        assert_eq!(filed.config.take().unwrap().to_str().unwrap(), path);
        let variable = format!("{variable:?}");
        assert_ne!(variable, standard, "{} sets nothing", row.name);
        assert_eq!(variable, format!("{typed:?}"), "{}", row.name);
        assert_eq!(variable, format!("{filed:?}"), "{}", row.name);
    }
}

#[test]
fn a_bad_value_is_refused_with_its_place_and_what_is_right() {
    for row in SETTINGS {
        let (name, flag_name) = (row.variable(), format!("`--{}`", row.flag()));
        let expected = row.value.expected();
        for text in bad_texts(row) {
            let Err(error) = read(row, &[(&name, &text)], vec![]) else {
                panic!("{name}={text:?} is taken");
            };
            assert_said(&error, &[&format!("`{name}`"), &expected, "expected"]);
            let error = read(row, &[], vec![flag(row, &text)]).unwrap_err();
            assert_said(&error, &[&flag_name, &expected]);
        }
        for toml in bad_tomls(row) {
            let (path, result) = from_file(row, &format!("\n{} = {toml}\n", row.name));
            let Err(error) = result else {
                panic!("{} = {toml} is taken", row.name);
            };
            let key = format!("`{}`", row.name);
            assert_said(&error, &[&key, &path, "line 2", &expected]);
        }
    }
}

#[test]
fn of_several_entries_the_bad_one_is_named() {
    let row = setting("verification-thresholds");
    for (lines, parts) in [
        (
            "'bws.1' = 0.5\n'bws.2' = 1.5\n'bws.3' = 2\n",
            ["line 3", "`bws.2` = `1.5`"],
        ),
        ("'bws.1' = 0.5\n'bws' = 0.5\n", ["line 3", "`bws` = `0.5`"]),
        ("'bws.1' = 'high'\n", ["line 2", "`bws.1` = \"high\""]),
        ("bws.1 = 0.5\n", ["line 2", "`bws` = a table"]),
    ] {
        let (path, result) = from_file(row, &format!("[{}]\n{lines}", row.name));
        assert_said(&result.unwrap_err(), &parts);
        assert!(!path.is_empty());
    }
    let (name, good) = (row.variable(), "bws.1=0.5,".repeat(30));
    for bad in ["bws.2=1.5", "bws=0.5", "bws.2", "bws.2=x"] {
        let text = format!("{good}{bad},bws.3=0.5");
        let error = read(row, &[(&name, &text)], vec![]).unwrap_err();
        assert_said(&error, &[&name, &format!("is `{bad}`: expected")]);
    }
    let row = setting("trusted-proxies");
    let text = "10.0.0.0/8, 10.0.0.0/99, ::1";
    let error = read(row, &[(&row.variable(), text)], vec![]).unwrap_err();
    assert_said(&error, &["is `10.0.0.0/99`"]);
}

#[test]
fn a_setting_given_twice_is_refused() {
    for row in SETTINGS {
        let (text, toml) = good(row);
        let twice = (row, vec![OsString::from(&text), OsString::from(&text)]);
        match row.value {
            // A list may be typed in parts; its parts are judged.
            Value::List(..) => assert!(read(row, &[], vec![twice]).is_ok()),
            Value::Table(..) => assert!(read(row, &[], vec![twice]).is_err()),
            _ => {
                let error = read(row, &[], vec![twice]).unwrap_err();
                assert_said(&error, &[&format!("`--{}`", row.flag()), "once"]);
            }
        }
        if row.is_in_file() {
            let line = format!("{} = {toml}\n", row.name);
            let (path, result) = from_file(row, &line.repeat(2));
            let key = row.name.rsplit('.').next().unwrap();
            assert_said(&result.unwrap_err(), &[key, &path, "line 2", "once"]);
        }
    }
}

#[test]
fn what_is_no_settings_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let named = |path: &str| Settings::read(vec![flag(setting("config"), path)], [], 2);
    let error = named(folder).unwrap_err();
    assert_said(&error, &[folder, "a folder", "expected a TOML file"]);
    let missing = format!("{folder}/missing.toml");
    let error = named(&missing).unwrap_err();
    assert!(matches!(error, ConfigError::Io { .. }) && error.to_string().contains(&missing));
    for (bytes, parts) in [
        (
            &b"threads = 3\nlog = '\xff'\n"[..],
            &["byte 19", "UTF-8"][..],
        ),
        (b"\xff\xfet\x00", &["byte 0", "UTF-8"]),
        (&vec![b'\n'; (1 << 20) + 1], &["more than 1 MiB"]),
        (b"threads = 3\nlog = \n", &["line 2, column 7"]),
        (b"threads 3", &["line 1, column"]),
        (b"[liveness\n", &["line 1, column"]),
        (b"threads = 3\x00", &["line 1, column"]),
        (b"\nlistten = 1", &["`listten`", "line 2", "`listen`"]),
        (b"data_dir = 'x'", &["`data_dir`", "`data-dir`"]),
        (b"config = 'x'", &["`config`", "nearest"]),
        (
            b"liveness = 3",
            &["`liveness`", "expected a table", "found"],
        ),
        (
            b"[liveness]\nscore = 1",
            &["`liveness.score`", "line 2", "is `liveness."],
        ),
        (b"[liveness]\ndata-dir = 'x'", &["`liveness.data-dir`"]),
        (
            b"'liveness.mirrored' = true",
            &["`liveness.mirrored`", "sets nothing"],
        ),
        (b"\"a\\nb\" = 1", &["`a\\nb`"]),
        (
            b"[threads]\nx = 1",
            &["`threads`", "a table", "whole number"],
        ),
    ] {
        let file = file(bytes);
        let error = named(&file.path).unwrap_err();
        let parts: Vec<&str> = parts
            .iter()
            .copied()
            .filter(|part| *part != "found")
            .collect();
        assert_said(&error, &[&parts[..], &[file.path.as_str()]].concat());
    }
}

#[test]
fn a_byte_order_mark_and_no_setting_at_all_are_fine() {
    for text in ["", "\n# nothing\n", "[liveness]\n", "\u{feff}# marked\r\n"] {
        let file = file(text);
        let read = Settings::read(vec![flag(setting("config"), &file.path)], [], 2);
        let mut settings = read.unwrap().settings;
        settings.config = None;
        assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::new(2)));
    }
    let file = file("\u{feff}threads = 7\n");
    let read = Settings::read(vec![flag(setting("config"), &file.path)], [], 2);
    assert_eq!(read.unwrap().settings.threads, 7);
}

#[test]
fn later_layers_win_setting_by_setting() {
    let file = file("data-dir = 'file'\nthreads = 3\nlisten = '[::1]:1'\n");
    let variables = [
        ("VULTUS_DATA_DIR", "variable"),
        ("VULTUS_THREADS", "5"),
        ("VULTUS_CONFIG", &file.path),
    ];
    let row = setting("data-dir");
    let settings = read(row, &variables, vec![flag(row, "flag")]).unwrap();
    assert_eq!(settings.data_dir.to_str(), Some("flag"));
    assert_eq!(settings.threads, 5);
    assert_eq!(settings.listen.to_string(), "[::1]:1");
    assert_eq!(settings.service.workers, 2);
    // The file that a flag names takes the place of that of the variable.
    let other = self::file("threads = 9\n");
    let flags = vec![flag(setting("config"), &other.path)];
    let settings = read(row, &variables[2..], flags).unwrap();
    assert_eq!(settings.threads, 9);
    assert_eq!(settings.listen, ListenAddress::default());
}

#[test]
fn the_default_that_is_shown_is_the_default() {
    for row in SETTINGS {
        if let Standard::Field(_) = row.standard {
            let settings = read(row, &[(&row.variable(), &row.standard())], vec![]).unwrap();
            assert_eq!(
                format!("{settings:?}"),
                format!("{:?}", Settings::new(2)),
                "{}",
                row.name
            );
        }
    }
}

#[test]
fn one_half_of_two_is_refused() {
    for (given, missing) in [
        ("embedder", "embedder-profile"),
        ("embedder-profile", "embedder"),
        ("tls-cert", "tls-key"),
        ("tls-key", "tls-cert"),
    ] {
        let row = setting(given);
        let error = Settings::read(vec![flag(row, "x")], [], 2).unwrap_err();
        let parts = [given, missing].map(|name| format!("`{name}`"));
        assert_said(&error, &[&parts[0], &parts[1], "expected both"]);
    }
}

#[test]
fn an_instruction_set_that_is_not_here_is_refused_by_name_unless_another_wins() {
    use crate::kernel::Isa;
    let missing = Isa::ALL.into_iter().find(|isa| !isa.is_available());
    let Some(isa) = missing.map(|isa| isa.to_string()) else {
        return;
    };
    let row = setting("isa");
    let error = read(row, &[("VULTUS_ISA", &isa)], vec![]).unwrap_err();
    assert_said(&error, &[&isa, "it has scalar, simsimd"]);
    assert!(read(row, &[("VULTUS_ISA", &isa)], vec![flag(row, "scalar")]).is_ok());
}

#[test]
fn tables_of_a_file_set_what_they_name() {
    let text = "verification-threshold = 0.4\n\
        [verification-thresholds]\n\"bws.-7\" = 0.55\n\
        [liveness]\nactive-score-min = 0.7\nmirrored = false\n";
    let service = from_file(setting("threads"), text).1.unwrap().service;
    assert_eq!(service.verification.threshold, Some(0.4));
    let partitions = BTreeMap::from([("bws.-7".parse().unwrap(), 0.55)]);
    assert_eq!(service.verification.partitions, partitions);
    let liveness = Thresholds {
        active_score_min: 0.7,
        mirrored: false,
        ..Thresholds::default()
    };
    assert_eq!(service.liveness, liveness);
    let nobody = from_file(setting("threads"), "cors-origins = []")
        .1
        .unwrap();
    assert_eq!(nobody.service.origins, Origins::Only(vec![]));
}

#[test]
fn no_password_of_a_url_is_shown() {
    for (name, url) in [
        ("public-url", "https://user:secret@a.org"),
        ("cors-origins", "https://user:secret@a.org/"),
    ] {
        let row = setting(name);
        let error = read(row, &[(&row.variable(), url)], vec![]).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        let line = format!("{name} = ['{url}']");
        let error = from_file(row, &line).1.unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_text_and_all_else_must() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(vec![b'a', 0xff]);
    let set = |name: &str| Settings::read(vec![(setting(name), vec![odd.clone()])], [], 2);
    assert_eq!(set("data-dir").unwrap().settings.data_dir.as_os_str(), odd);
    let error = set("threads").unwrap_err();
    assert_said(&error, &["`--threads`", "no UTF-8", "whole number"]);
}
