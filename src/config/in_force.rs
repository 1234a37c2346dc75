//! What holds, and where each of it comes from.

use serde_json::{Map, Value as Json, json};

use super::value::readable;
use super::{Place, SETTINGS, Setting, Settings, Standard, Value};

/// A setting with what holds of it. Nothing of it is a secret: of a secret, settings hold the path
/// of a file, and the password of a URL is left out.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The setting.
    pub setting: &'static Setting,
    /// What it is; `None` if nothing is given, and what holds then cannot be said as a value.
    pub value: Option<String>,
    /// Where that was given; `None` if it is the default.
    pub place: Option<Place>,
}

impl Settings {
    /// All settings with what holds, in the order of the table.
    pub fn in_force(&self) -> Vec<InForce> {
        let of = |setting: &'static Setting| {
            let given = self.given.get(setting.name);
            let value = match setting.standard {
                // What became of it, not how it was typed.
                Standard::Field(show) | Standard::Machine(_, show) => Some(show(self)),
                Standard::Words(_) => given.map(|given| given.plain.clone()),
            };
            InForce {
                setting,
                value,
                place: given.map(|given| given.place.clone()),
            }
        };
        SETTINGS.iter().map(of).collect()
    }
}

impl InForce {
    /// The value for people; of one that was not given, what that means.
    pub fn text(&self) -> String {
        match &self.value {
            Some(value) => readable(value),
            None => format!("({})", self.setting.standard()),
        }
    }

    /// Where it comes from, for people.
    pub fn origin(&self) -> String {
        match &self.place {
            None => "default".to_owned(),
            Some(Place::File { path, line, .. }) => {
                format!("file `{}`, line {line}", path.display())
            }
            Some(Place::Variable { name }) => format!("variable `{name}`"),
            Some(Place::Flag { name }) => format!("flag `--{name}`"),
        }
    }

    /// All of it as a JSON object: `name`, `value` (of the type that it has in a settings file, or
    /// null), `source` (`default`, `file`, `variable` or `flag`), and more about the source.
    pub fn json(&self) -> Json {
        let mut object = Map::new();
        let mut put = |name: &str, value: Json| {
            object.insert(name.to_owned(), value);
        };
        put("name", json!(self.setting.name));
        put("value", self.json_value());
        match &self.place {
            None => {
                put("source", json!("default"));
                put("default", json!(self.setting.standard()));
            }
            Some(Place::File { path, line, .. }) => {
                put("source", json!("file"));
                put("path", json!(path.to_string_lossy()));
                put("line", json!(line));
            }
            Some(Place::Variable { name }) => {
                put("source", json!("variable"));
                put("variable", json!(name));
            }
            Some(Place::Flag { name }) => {
                put("source", json!("flag"));
                put("flag", json!(format!("--{name}")));
            }
        }
        Json::Object(object)
    }

    fn json_value(&self) -> Json {
        let Some(text) = &self.value else {
            return Json::Null;
        };
        let number =
            |text: &str| serde_json::from_str::<Json>(text).unwrap_or_else(|_| json!(text));
        match self.setting.value {
            Value::Whole(..) | Value::Bytes(..) | Value::Number(..) | Value::Switch(_) => {
                number(text)
            }
            Value::List(..) => text.split(',').map(str::trim).collect(),
            Value::Table(..) => {
                let entries = text.split(',').filter_map(|entry| entry.split_once('='));
                let entry =
                    |(name, value): (&str, &str)| (name.trim().to_owned(), number(value.trim()));
                Json::Object(entries.map(entry).collect())
            }
            _ => json!(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn named(settings: &Settings, name: &str) -> InForce {
        let all = settings.in_force();
        let one = all.into_iter().find(|one| one.setting.name == name);
        one.unwrap()
    }

    #[test]
    fn each_value_says_where_it_comes_from_and_the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vultus.toml");
        let file = "\nqueue-max = 0x10\nthreads = 3\ncors-origins = [\"https://a.org\", \
            \"https://b.org\"]\nlisten = \"0.0.0.0:1\"\n[verification-thresholds]\n\"bws.1\" = 0.5\n\
            [liveness]\nmirrored = true\n";
        fs::write(&path, file).unwrap();
        let variables = [
            ("VULTUS_CONFIG".into(), path.clone().into_os_string()),
            ("VULTUS_THREADS".into(), "04".into()),
            ("VULTUS_LISTEN".into(), "0.0.0.0:2".into()),
        ];
        let listen = SETTINGS.iter().find(|it| it.name == "listen").unwrap();
        let flags = vec![(listen, vec!["0.0.0.0:3".into()])];
        let settings = Settings::read(flags, variables, 2).unwrap().settings;
        assert_eq!(settings.in_force().len(), SETTINGS.len());
        let path = path.to_str().unwrap();
        for (name, value, source) in [
            (
                "queue-max",
                json!(16),
                json!({"source": "file", "path": path, "line": 2}),
            ),
            (
                "threads",
                json!(4),
                json!({"source": "variable", "variable": "VULTUS_THREADS"}),
            ),
            (
                "listen",
                json!("0.0.0.0:3"),
                json!({"source": "flag", "flag": "--listen"}),
            ),
            (
                "workers",
                json!(2),
                json!({"source": "default", "default": "one for each processor"}),
            ),
            (
                "snapshot-dir",
                Json::Null,
                json!({"source": "default", "default": "nowhere, they are refused"}),
            ),
            (
                "cors-origins",
                json!(["https://a.org", "https://b.org"]),
                json!({"source": "file", "path": path, "line": 4}),
            ),
            (
                "verification-thresholds",
                json!({"bws.1": 0.5}),
                json!({"source": "file", "path": path, "line": 6}),
            ),
            (
                "liveness.mirrored",
                json!(true),
                json!({"source": "file", "path": path, "line": 9}),
            ),
            (
                "config",
                json!(path),
                json!({"source": "variable", "variable": "VULTUS_CONFIG"}),
            ),
            (
                "enroll-quality-min",
                json!(0.2),
                json!({"source": "default", "default": "0.2"}),
            ),
        ] {
            let mut expected = source;
            expected["name"] = json!(name);
            expected["value"] = value;
            assert_eq!(named(&settings, name).json(), expected, "{name}");
        }
        assert_eq!(
            named(&settings, "log").text(),
            "(`warn,vultus=info` of `serve`, else `warn`)"
        );
    }

    #[test]
    fn what_is_in_force_can_be_given_again() {
        // Every default that is a value is one that the setting takes.
        let settings = Settings::new(2);
        for one in settings.in_force() {
            let Some(value) = one.value else { continue };
            let given = [(one.setting.variable().into(), value.clone().into())];
            // The file of settings is the one that has none.
            let read = Settings::read(vec![], given, 2);
            let read = read.unwrap_or_else(|error| panic!("{}: {error}", one.setting.name));
            let again = named(&read.settings, one.setting.name);
            assert_eq!(again.value.as_ref(), Some(&value), "{}", one.setting.name);
        }
    }

    #[test]
    fn no_password_and_no_line_break_is_shown() {
        for (text, shown) in [
            ("a\nb", "a\\nb"),
            ("https://u:secret@a.org/x", "https://…@a.org/x"),
            (
                "https://a.org,https://u:secret@b.org",
                "https://a.org,https://…@b.org",
            ),
        ] {
            let given = super::super::value::Given::Text(std::ffi::OsStr::new(text));
            assert_eq!(given.plain(), shown);
        }
    }
}
