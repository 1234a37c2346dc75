//! By which people are chosen.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::RecordError;
use super::text::{known_line, one_line};

/// A key and a value, `site:berlin`. The key has 1 to [`Label::KEY_MAX`] ASCII letters, digits, `-`, `_`
/// or `.`, the value is one line of at most [`Label::VALUE_MAX`] characters. Both are compared as they
/// are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    key: String,
    value: String,
}

/// The labels of a person: one value for each key, at most [`Labels::MAX`]. Also what is asked of
/// people who are looked for: all of them hold.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(BTreeMap<String, String>);

const WHAT: &str = "the value of a label";

impl Label {
    /// The most characters that a key may have.
    pub const KEY_MAX: usize = 64;
    /// The most characters that a value may have.
    pub const VALUE_MAX: usize = 100;

    /// The label of a key and its value.
    ///
    /// # Errors
    ///
    /// If one of them has another form.
    pub fn new(key: &str, value: &str) -> Result<Label, RecordError> {
        let key = key.trim();
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if key.is_empty() || key.len() > Label::KEY_MAX || !key.chars().all(is_allowed) {
            return Err(RecordError::LabelKey);
        }
        let key = key.to_owned();
        match one_line(WHAT, value, Label::VALUE_MAX) {
            Ok(value) => Ok(Label { key, value }),
            Err(RecordError::Empty { .. } | RecordError::Unseen { .. }) => {
                Err(RecordError::LabelValue { key })
            }
            Err(error) => Err(error),
        }
    }

    /// One that was taken before, and is found under what it was then.
    pub(super) fn known(key: &str, value: &str) -> Result<Label, RecordError> {
        let value = known_line(WHAT, value.to_owned(), Label::VALUE_MAX)?;
        let key = key.to_owned();
        Ok(Label { key, value })
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// `site:berlin`; `site=berlin` is the same.
impl FromStr for Label {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Label, RecordError> {
        let split = text.split_once([':', '=']);
        let (key, value) = split.ok_or(RecordError::NoColon)?;
        Label::new(key, value)
    }
}

impl Labels {
    /// The most labels that somebody has.
    pub const MAX: usize = 32;

    /// Adds a label.
    ///
    /// # Errors
    ///
    /// If there is one with its key, or there are too many.
    pub fn add(&mut self, label: Label) -> Result<(), RecordError> {
        if self.0.contains_key(&label.key) {
            return Err(RecordError::LabelTwice { key: label.key });
        }
        if self.0.len() == Labels::MAX {
            return Err(RecordError::TooManyLabels);
        }
        self.0.insert(label.key, label.value);
        Ok(())
    }

    /// Adds a label in the place of one with its key.
    ///
    /// # Errors
    ///
    /// If there are too many.
    pub fn put(&mut self, label: Label) -> Result<(), RecordError> {
        self.0.remove(&label.key);
        self.add(label)
    }

    /// Takes away the label of a key, if there is one.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of `wanted` are among them.
    pub fn include(&self, wanted: &Labels) -> bool {
        let mut wanted = wanted.iter();
        wanted.all(|(key, value)| self.0.get(key).is_some_and(|it| it == value))
    }

    /// All as one text, `site:berlin;team:a`. A value with a semicolon has it behind a backslash, as a
    /// backslash before one is.
    pub fn to_text(&self) -> String {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace(';', "\\;");
        let labels = self
            .iter()
            .map(|(key, value)| format!("{key}:{}", escaped(value)));
        labels.collect::<Vec<_>>().join(";")
    }

    /// What [`Labels::to_text`] wrote; labels that are empty are passed over.
    ///
    /// # Errors
    ///
    /// If one is no label, one is there twice, or there are too many.
    pub fn from_text(text: &str) -> Result<Labels, RecordError> {
        let (mut labels, mut label) = (Labels::default(), String::new());
        let mut add = |label: &mut String| match label.trim().is_empty() {
            true => {
                label.clear();
                Ok(())
            }
            false => labels.add(std::mem::take(label).parse()?),
        };
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                ';' => add(&mut label)?,
                '\\' => label.push(
                    characters
                        .next_if(|c| matches!(c, ';' | '\\'))
                        .unwrap_or('\\'),
                ),
                character => label.push(character),
            }
        }
        add(&mut label)?;
        Ok(labels)
    }

    /// Each as one text, `key:value`. No key has a colon, so that no two are the same.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> + '_ {
        self.iter().map(|(key, value)| format!("{key}:{value}"))
    }
}

impl FromIterator<Label> for Result<Labels, RecordError> {
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        let mut all = Labels::default();
        labels.into_iter().try_for_each(|label| all.add(label))?;
        Ok(all)
    }
}

/// They are about somebody.
impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Label(hidden)")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Labels({} hidden)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Label>().unwrap_err().to_string()
    }

    #[test]
    fn a_label_is_a_key_and_a_value() {
        for text in ["site:berlin", "site=berlin", " site : berlin "] {
            let label: Label = text.parse().unwrap();
            assert_eq!((label.key(), label.value()), ("site", "berlin"), "{text}");
        }
        let label: Label = "url:https://example.org/a=b".parse().unwrap();
        assert_eq!(label.value(), "https://example.org/a=b");
        assert_eq!(refused("site:"), "the label `site` has no value");
        assert_eq!(refused("site: "), "the label `site` has no value");
        for unseen in ["\u{e0041}", "\u{301}", "\u{2800}\u{200d}"] {
            let error = refused(&format!("site:{unseen}"));
            assert_eq!(error, "the label `site` has no value", "{unseen:?}");
            assert_eq!(Label::known("site", unseen).unwrap().value(), unseen);
        }
        assert!(refused("site").contains("no colon"));
        assert!(refused("").contains("no colon"));
        for key in [":x", "größe:x", "a b:x", &format!("{}:x", "k".repeat(65))] {
            assert!(refused(key).starts_with("the key of a label must"), "{key}");
        }
        assert!(refused(&format!("a:{}", "v".repeat(101))).contains("101 characters"));
        assert!(refused("a:b\u{202e}c").contains("direction"));
    }

    #[test]
    fn a_key_is_there_once_and_not_too_many_are() {
        let mut labels = Labels::default();
        for at in 0..Labels::MAX {
            labels
                .add(Label::new(&format!("k{at}"), "v").unwrap())
                .unwrap();
        }
        let twice = labels.add("k0:w".parse().unwrap()).unwrap_err();
        assert_eq!(twice.to_string(), "the label `k0` is there twice");
        let more = labels.add("other:w".parse().unwrap()).unwrap_err();
        assert_eq!(more, RecordError::TooManyLabels);
        labels.put("k0:w".parse().unwrap()).unwrap();
        let wanted = |text: &str| -> Labels {
            let labels: Result<Labels, _> = [text.parse().unwrap()].into_iter().collect();
            labels.unwrap()
        };
        assert!(labels.include(&wanted("k0:w")) && labels.include(&Labels::default()));
        assert!(!labels.include(&wanted("k0:v")) && !labels.include(&wanted("x:v")));
    }

    #[test]
    fn labels_come_back_from_their_text() {
        for all in [
            vec![],
            vec![("site", "berlin")],
            vec![("a", "x;y"), ("b", "c:\\dir\\"), ("c", "\\;"), ("d", "=:")],
        ] {
            let labels = all
                .iter()
                .map(|(key, value)| Label::new(key, value).unwrap());
            let labels = labels.collect::<Result<Labels, _>>().unwrap();
            assert_eq!(Labels::from_text(&labels.to_text()), Ok(labels));
        }
        let read = Labels::from_text("; site=berlin ;;team:a;").unwrap();
        assert_eq!(read.to_text(), "site:berlin;team:a");
        assert_eq!(
            Labels::from_text("a:1;a:2"),
            Err(RecordError::LabelTwice { key: "a".into() })
        );
        assert_eq!(Labels::from_text("a:1;b"), Err(RecordError::NoColon));
        assert_eq!(
            Labels::from_text("a:"),
            Err(RecordError::LabelValue { key: "a".into() })
        );
    }
}
