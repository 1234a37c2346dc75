//! Settings from a TOML file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::value::Given;
use super::variables::nearest;
use super::{ConfigError, Place, SETTINGS, Setting, Settings, Value};

/// No settings file is as large; a device may be without end.
const BYTES_MAX: u64 = 1 << 20;

/// Puts what the file sets into `settings`.
pub(super) fn read(path: &Path, settings: &mut Settings) -> Result<(), ConfigError> {
    let text = text(path)?;
    let file = Lines { path, text: &text };
    let table = DeTable::parse(&text).map_err(|error| file.syntax(&error))?;
    file.keep(settings, "", table.get_ref())
}

fn text(path: &Path) -> Result<String, ConfigError> {
    let io = |source| ConfigError::Io {
        path: path.to_owned(),
        source,
    };
    let other = |found: &str| ConfigError::NoSettingsFile {
        path: path.to_owned(),
        found: found.to_owned(),
    };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.is_dir() {
        return Err(other("a folder"));
    }
    let mut bytes = Vec::new();
    let mut file = file.take(BYTES_MAX + 1);
    file.read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(other("more than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        other(&format!("byte {offset} is no UTF-8"))
    })
}

struct Lines<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Lines<'_> {
    /// Keeps all keys of a table, whose own name, with a dot, is `prefix`.
    fn keep(
        &self,
        settings: &mut Settings,
        prefix: &str,
        table: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        let mut entries: Vec<_> = table.iter().collect();
        // The first slip of the file is told first.
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            self.keep_one(settings, prefix, key, value)?;
        }
        Ok(())
    }

    fn keep_one(
        &self,
        settings: &mut Settings,
        prefix: &str,
        key: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), ConfigError> {
        let name = format!("{prefix}{}", key.get_ref());
        let line = self.position(key.span().start).0;
        let place = Place::File {
            path: self.path.to_owned(),
            line,
            key: name.escape_debug().to_string(),
        };
        // A quoted key with a dot in it names no table.
        let mut known = SETTINGS
            .iter()
            .filter(|setting| setting.is_in_file() && !key.get_ref().contains('.'));
        if let Some(setting) = known.clone().find(|setting| setting.name == name) {
            let kept = setting.keep(settings, Given::Toml(value.get_ref()), &place);
            return kept
                .map_err(|error| self.wrong_line(setting, value.get_ref()).unwrap_or(error));
        }
        let inner = format!("{name}.");
        if !known.any(|setting| setting.name.starts_with(&inner)) {
            return Err(ConfigError::UnknownKey {
                path: self.path.to_owned(),
                line,
                nearest: nearest_key(&name),
                key: name.escape_debug().to_string(),
            });
        }
        match value.get_ref() {
            DeValue::Table(table) => self.keep(settings, &inner, table),
            other => Err(ConfigError::Wrong {
                place,
                found: Given::Toml(other).shown(),
                expected: "a table".to_owned(),
            }),
        }
    }

    /// What is wrong with the first line of a table that cannot be kept; `None` if it is no table, or each
    /// line is right by itself.
    fn wrong_line(&self, setting: &Setting, value: &DeValue<'_>) -> Option<ConfigError> {
        let (Value::Table(..), DeValue::Table(table)) = (&setting.value, value) else {
            return None;
        };
        let is_wrong = |(name, value): &(&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
            !setting.value.takes_line(name.get_ref(), value.get_ref())
        };
        let wrong = table.iter().filter(is_wrong);
        let (name, value) = wrong.min_by_key(|(name, _)| name.span().start)?;
        Some(ConfigError::Wrong {
            place: Place::File {
                path: self.path.to_owned(),
                line: self.position(name.span().start).0,
                key: setting.name.to_owned(),
            },
            found: format!(
                "`{}` = {}",
                name.get_ref().escape_debug(),
                Given::Toml(value.get_ref()).shown()
            ),
            expected: setting.value.expected(),
        })
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or_default();
        let (line, column) = self.position(span.start);
        let near = self.text.get(span).unwrap_or_default();
        if error.message() == "duplicate key" {
            return ConfigError::Twice {
                place: Place::File {
                    path: self.path.to_owned(),
                    line,
                    key: near.escape_debug().to_string(),
                },
            };
        }
        ConfigError::Syntax {
            path: self.path.to_owned(),
            line,
            column,
            what: error.message().replace('\n', ", "),
        }
    }

    /// The line and the byte in it, both from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let start = before.iter().rposition(|byte| *byte == b'\n');
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        let column = before.len() - start.map_or(0, |start| start + 1);
        (lines + 1, column + 1)
    }
}

fn nearest_key(name: &str) -> &'static str {
    let known = SETTINGS
        .iter()
        .filter(|setting| setting.is_in_file())
        .map(|setting| setting.name);
    nearest(&name.replace('_', "-"), known)
}
