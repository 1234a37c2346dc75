//! What a setting can be: how each kind of value is read, and what is said of one that is not.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use indicatif::HumanCount;
use toml::de::{DeTable, DeValue};

use super::Settings;
use crate::kernel::Isa;

/// What a setting can be, with the function that keeps it. A function of an `Option` refuses by
/// `None`.
#[derive(Debug)]
pub enum Value {
    /// The file that settings are read from, which cannot be named in it.
    SettingsFile(fn(&mut Settings, PathBuf)),
    /// The path of a file.
    File(fn(&mut Settings, PathBuf)),
    /// The path of a folder.
    Folder(fn(&mut Settings, PathBuf)),
    /// A whole number.
    Whole(RangeInclusive<usize>, fn(&mut Settings, usize)),
    /// A whole number of bytes.
    Bytes(RangeInclusive<usize>, fn(&mut Settings, usize)),
    /// Any number.
    Number(RangeInclusive<f64>, fn(&mut Settings, f64)),
    /// Yes or no.
    Switch(fn(&mut Settings, bool)),
    /// The name of an instruction set.
    Isa(fn(&mut Settings, Isa)),
    /// A text of the form that the first part describes.
    Text(&'static str, fn(&mut Settings, &str) -> Option<()>),
    /// Texts of the form that the first part describes: an array in a file, else separated by
    /// commas.
    List(&'static str, fn(&mut Settings, &[&str]) -> Option<()>),
    /// A number for each of several names of the form that the first part describes: a table in a
    /// file, else a list such as `name=0.5,other=0.6`.
    Table(&'static str, fn(&mut Settings, Entries<'_>) -> Option<()>),
}

/// The entries of a table: a number for each name.
pub type Entries<'a> = &'a [(&'a str, f64)];

/// A value as it was given.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given<'a> {
    /// As a variable or a flag.
    Text(&'a OsStr),
    /// In a file.
    Toml(&'a DeValue<'a>),
}

/// The most characters of a wrong value that are shown.
const SHOWN_MAX: usize = 80;

impl Value {
    /// Keeps the value; `None` if it is not what [`Value::expected`] describes.
    pub(super) fn keep(&self, settings: &mut Settings, given: Given<'_>) -> Option<()> {
        match self {
            Value::SettingsFile(set) | Value::File(set) | Value::Folder(set) => {
                set(settings, given.path()?);
            }
            Value::Whole(range, set) | Value::Bytes(range, set) => {
                let number = given.whole().filter(|number| range.contains(number));
                set(settings, number?);
            }
            Value::Number(range, set) => {
                // NaN is in no range.
                let number = given.number().filter(|number| range.contains(number));
                set(settings, number?);
            }
            Value::Switch(set) => set(settings, given.switch()?),
            Value::Isa(set) => {
                set(settings, given.text()?.parse().ok()?);
            }
            Value::Text(_, set) => set(settings, given.text()?)?,
            Value::List(_, set) => set(settings, &given.list()?)?,
            Value::Table(_, set) => set(settings, &given.table()?)?,
        }
        Some(())
    }

    /// The first entry of a list in one text that cannot be kept by itself, if there are several.
    pub(super) fn wrong_entry(&self, given: Given<'_>) -> Option<String> {
        let (Value::List(..) | Value::Table(..), Given::Text(text)) = (self, given) else {
            return None;
        };
        let entries: Vec<&str> = text.to_str()?.split(',').collect();
        let is_wrong = |entry: &&&str| {
            let entry = Given::Text(OsStr::new(entry.trim()));
            self.keep(&mut Settings::new(1), entry).is_none()
        };
        let wrong = entries
            .iter()
            .find(is_wrong)
            .filter(|_| entries.len() > 1)?;
        Some(Given::Text(OsStr::new(wrong.trim())).shown())
    }

    /// Whether a line of a table in a file can be kept.
    pub(super) fn takes_line(&self, name: &str, value: &DeValue<'_>) -> bool {
        match (self, toml_number(value)) {
            (Value::Table(_, set), Some(number)) => {
                set(&mut Settings::new(1), &[(name, number)]).is_some()
            }
            _ => false,
        }
    }

    /// What is needed.
    pub fn expected(&self) -> String {
        match self {
            Value::SettingsFile(_) => "the path of a TOML file".to_owned(),
            Value::File(_) => "the path of a file".to_owned(),
            Value::Folder(_) => "the path of a folder".to_owned(),
            Value::Whole(range, _) => {
                let [min, max] = [range.start(), range.end()].map(|number| grouped(*number));
                format!("a whole number from {min} to {max}")
            }
            Value::Bytes(range, _) => {
                let [min, max] = [range.start(), range.end()].map(|number| grouped(*number));
                format!("a whole number of bytes, without a unit, from {min} to {max}")
            }
            Value::Number(range, _) => {
                format!("a number from {} to {}", range.start(), range.end())
            }
            Value::Switch(_) => "true or false".to_owned(),
            Value::Isa(_) => {
                let names = Isa::ALL.map(|isa| isa.to_string());
                format!("one of {}, if the processor has it", names.join(", "))
            }
            Value::Text(expected, _) | Value::List(expected, _) | Value::Table(expected, _) => {
                (*expected).to_owned()
            }
        }
    }
}

impl<'a> Given<'a> {
    fn text(self) -> Option<&'a str> {
        match self {
            Given::Text(text) => text.to_str(),
            Given::Toml(DeValue::String(text)) => Some(text),
            Given::Toml(_) => None,
        }
    }

    fn path(self) -> Option<PathBuf> {
        let path = match self {
            // Paths need not be UTF-8.
            Given::Text(text) => PathBuf::from(text),
            Given::Toml(_) => PathBuf::from(self.text()?),
        };
        // No path has a NUL, and one with it could not even be looked for.
        let has_nul = path.as_os_str().as_encoded_bytes().contains(&0);
        (!path.as_os_str().is_empty() && !has_nul).then_some(path)
    }

    fn whole(self) -> Option<usize> {
        match self {
            Given::Text(text) => text.to_str()?.parse().ok(),
            Given::Toml(DeValue::Integer(number)) => {
                usize::from_str_radix(number.as_str(), number.radix()).ok()
            }
            Given::Toml(_) => None,
        }
    }

    fn number(self) -> Option<f64> {
        match self {
            Given::Text(text) => text.to_str()?.parse().ok(),
            Given::Toml(value) => toml_number(value),
        }
    }

    fn switch(self) -> Option<bool> {
        match self {
            Given::Text(text) => text.to_str()?.parse().ok(),
            Given::Toml(DeValue::Boolean(switch)) => Some(*switch),
            Given::Toml(_) => None,
        }
    }

    fn list(self) -> Option<Vec<&'a str>> {
        match self {
            Given::Text(text) => Some(text.to_str()?.split(',').map(str::trim).collect()),
            Given::Toml(DeValue::Array(items)) => {
                let texts = items.iter().map(|item| Given::Toml(item.get_ref()).text());
                texts.collect()
            }
            Given::Toml(_) => None,
        }
    }

    fn table(self) -> Option<Vec<(&'a str, f64)>> {
        match self {
            Given::Text(text) => {
                let entries = text.to_str()?.split(',').map(|entry| {
                    let (name, number) = entry.split_once('=')?;
                    Some((name.trim(), number.trim().parse().ok()?))
                });
                entries.collect()
            }
            Given::Toml(DeValue::Table(table)) => numbers(table),
            Given::Toml(_) => None,
        }
    }

    /// All of the value, to be compared with another. Not for anybody to read.
    pub(super) fn whole_text(self) -> String {
        match self {
            // Where these stand in the file makes no difference.
            Given::Toml(DeValue::Array(_)) => format!("{:?}", self.list()),
            Given::Toml(DeValue::Table(_)) => format!("{:?}", self.table()),
            given => format!("{given:?}"),
        }
    }

    /// The value as a variable would have it: for people, without the password of a URL.
    pub(super) fn plain(self) -> String {
        let joined = |items: Vec<String>| items.join(",");
        let text = match self {
            Given::Toml(DeValue::Array(_)) => {
                let items = self.list().unwrap_or_default();
                return joined(items.into_iter().map(readable).collect());
            }
            Given::Toml(DeValue::Table(_)) => {
                let entries = self.table().unwrap_or_default().into_iter();
                return joined(
                    entries
                        .map(|(name, number)| format!("{name}={number}"))
                        .collect(),
                );
            }
            Given::Text(text) => text.to_string_lossy().into_owned(),
            Given::Toml(DeValue::String(text)) => text.to_string(),
            Given::Toml(DeValue::Integer(number)) => match self.whole() {
                Some(number) => number.to_string(),
                None => number.to_string(),
            },
            Given::Toml(DeValue::Float(number)) => number.as_str().to_owned(),
            Given::Toml(DeValue::Boolean(switch)) => switch.to_string(),
            Given::Toml(DeValue::Datetime(time)) => time.to_string(),
        };
        // Each of a list may be a URL.
        joined(text.split(',').map(readable).collect())
    }

    /// The value in one line, for an error: no line break, nothing long, no password of a URL.
    pub(super) fn shown(self) -> String {
        match self {
            Given::Text(text) if text.is_empty() => "empty".to_owned(),
            Given::Text(text) => match text.to_str() {
                Some(text) => format!("`{}`", shortened(text)),
                None => "no UTF-8 text".to_owned(),
            },
            Given::Toml(DeValue::String(text)) => format!("\"{}\"", shortened(text)),
            Given::Toml(DeValue::Integer(number)) => {
                format!("`{}`", shortened(&number.to_string()))
            }
            Given::Toml(DeValue::Float(number)) => format!("`{}`", shortened(number.as_str())),
            Given::Toml(DeValue::Boolean(switch)) => format!("`{switch}`"),
            Given::Toml(DeValue::Datetime(time)) => format!("the time `{time}`"),
            Given::Toml(DeValue::Array(items)) => {
                let items: Vec<String> = items
                    .iter()
                    .map(|item| Given::Toml(item.get_ref()).shown())
                    .collect();
                format!("the array [{}]", cut(&items.join(", ")))
            }
            Given::Toml(DeValue::Table(_)) => "a table".to_owned(),
        }
    }
}

fn numbers<'a>(table: &'a DeTable<'a>) -> Option<Vec<(&'a str, f64)>> {
    let entries = table.iter().map(|(name, number)| {
        let number = toml_number(number.get_ref())?;
        Some((name.get_ref().as_ref(), number))
    });
    entries.collect()
}

/// TOML tells 1 from 1.0; here both are numbers.
fn toml_number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        _ => None,
    }
}

/// One line without a password.
pub(super) fn readable(text: &str) -> String {
    let escaped = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    without_password(text).chars().map(escaped).collect()
}

fn shortened(text: &str) -> String {
    let escaped: String = without_password(text).escape_debug().collect();
    cut(&escaped)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `https://…@host` for `https://user:password@host`.
fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}…{}", &text[..scheme + 3], &text[at..])
        }
        _ => text.to_owned(),
    }
}

/// `1,048,576` for 1048576.
fn grouped(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [
            (1, "1"),
            (999, "999"),
            (1_024, "1,024"),
            (20 << 20, "20,971,520"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_wrong_value_is_shown_in_one_line_without_a_password() {
        let shown = |text: &str| Given::Text(OsStr::new(text)).shown();
        assert_eq!(shown(""), "empty");
        assert_eq!(shown("a\nb"), "`a\\nb`");
        assert_eq!(shown("https://u:secret@a.org"), "`https://…@a.org`");
        assert_eq!(shown("https://u:secret@a.org/@b"), "`https://…@b`");
        assert_eq!(shown(&"x".repeat(1000)), format!("`{}…`", "x".repeat(80)));
    }
}
