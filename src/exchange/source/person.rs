//! What a file says of a person: texts and numbers, which are checked here.

use std::fmt;

use super::Refused;
use crate::types::{ClassThreshold, Labels, Record, RecordError, Timestamp};

/// The longest text of a row that is looked at. More is longer than any part of a record.
#[cfg(feature = "parquet")]
pub(super) const TEXT_BYTES_MAX: usize = 1 << 16;

/// What a row says of a person, as it stands there. A text of blanks says nothing.
#[derive(Default)]
pub struct Told<'a> {
    /// What they are called.
    pub name: Option<&'a str>,
    /// What another system calls them.
    pub external_id: Option<&'a str>,
    /// `site:berlin;team:a`.
    pub labels: Option<&'a str>,
    /// What was agreed with them.
    pub note: Option<&'a str>,
    /// From when on they are not found.
    pub expires: Option<Timestamp>,
    /// From which similarity on it is them.
    pub threshold: Option<f64>,
}

/// It is about somebody.
impl fmt::Debug for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told(hidden)")
    }
}

impl Told<'_> {
    /// What is known of the person then; `None` if the row says nothing.
    ///
    /// # Errors
    ///
    /// If a text or a number cannot be of a record. The text is not said again.
    pub fn record(&self) -> Result<Option<Box<Record>>, Refused> {
        let record = self.checked();
        record.map_err(|error| Refused::new(error.to_string()))
    }

    fn checked(&self) -> Result<Option<Box<Record>>, RecordError> {
        let labels = match given(self.labels) {
            Some(text) => Labels::from_text(text)?,
            None => Labels::default(),
        };
        let record = Record {
            name: given(self.name).map(str::parse).transpose()?,
            external_id: given(self.external_id).map(str::parse).transpose()?,
            labels,
            note: given(self.note).map(str::parse).transpose()?,
            expires: self.expires,
            threshold: self.threshold.map(ClassThreshold::new).transpose()?,
            ..Record::default()
        };
        Ok((!record.is_empty()).then(|| Box::new(record)))
    }
}

fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_blank_says_nothing() {
        let blank = Told {
            name: Some("  "),
            external_id: Some(""),
            labels: Some(" \t"),
            note: Some("\u{a0}"),
            ..Told::default()
        };
        assert!(blank.record().unwrap().is_none());
        assert!(Told::default().record().unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_is_refused_without_being_said_again() {
        let long = "Secret".repeat(2_000);
        for (told, said) in [
            (
                Told {
                    name: Some(&long),
                    ..Told::default()
                },
                "12000 characters",
            ),
            (
                Told {
                    name: Some("Secret\u{7}Name"),
                    ..Told::default()
                },
                "controls a machine",
            ),
            (
                Told {
                    name: Some("Secret\u{202e}emaN"),
                    ..Told::default()
                },
                "direction of writing",
            ),
            (
                Told {
                    external_id: Some("Secret\nId"),
                    ..Told::default()
                },
                "external id",
            ),
            (
                Told {
                    labels: Some("secret"),
                    ..Told::default()
                },
                "no colon",
            ),
            (
                Told {
                    labels: Some("site:"),
                    ..Told::default()
                },
                "`site` has no value",
            ),
            (
                Told {
                    labels: Some("site:a;site:b"),
                    ..Told::default()
                },
                "twice",
            ),
            (
                Told {
                    threshold: Some(f64::NAN),
                    ..Told::default()
                },
                "from -1 to 1",
            ),
            (
                Told {
                    note: Some("Secret\u{0}"),
                    ..Told::default()
                },
                "the note",
            ),
        ] {
            let reason = told.record().unwrap_err().reason;
            assert!(reason.contains(said), "{said}: {reason}");
            assert!(!reason.contains("Secret"), "{reason}");
        }
    }
}
