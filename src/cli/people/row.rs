//! A person as files and JSON have them, and as tables show them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::Person;
use crate::types::{
    ClassId, ClassThreshold, ExternalId, Label, Labels, NotSameAs, NoteText, PersonName, Record,
    RecordError, Timestamp,
};

/// What stands for a name that is not known.
const NO_NAME: &str = "-";

/// A person, with members as in `/v1`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonRow {
    /// Missing where the external id says who it is.
    #[serde(default, deserialize_with = "class")]
    pub(super) class: Option<i64>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) external_id: Option<String>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) note: Option<String>,
    #[serde(default)]
    pub(super) expires_unix_milliseconds: Option<i64>,
    #[serde(default)]
    pub(super) threshold: Option<f64>,
    #[serde(default)]
    pub(super) not_same_as: Vec<i64>,
    /// What follows is not read again.
    #[serde(default)]
    pub(super) last_match_unix_milliseconds: Option<i64>,
    #[serde(default)]
    pub(super) templates: Option<usize>,
    #[serde(default)]
    pub(super) first_enrolled_unix_milliseconds: Option<i64>,
    #[serde(default)]
    pub(super) last_enrolled_unix_milliseconds: Option<i64>,
    #[serde(default)]
    pub(super) best_quality: Option<f32>,
}

/// A class as a number, or as the text that `/v1` has.
fn class<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Class {
        Number(i64),
        Text(String),
    }
    match Option::<Class>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Class::Number(number)) => Ok(Some(number)),
        Some(Class::Text(text)) => {
            let number = text.trim().parse();
            number
                .map(Some)
                .map_err(|_| serde::de::Error::custom("the class is no whole number"))
        }
    }
}

impl PersonRow {
    pub(super) fn new(person: &Person) -> PersonRow {
        let (class, record) = (&person.class, &person.record);
        let labels = record.labels.iter();
        PersonRow {
            class: Some(class.class.0),
            name: record.name.as_ref().map(|name| name.as_str().to_owned()),
            external_id: record.external_id.as_ref().map(|id| id.as_str().to_owned()),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            note: record.note.as_ref().map(|note| note.as_str().to_owned()),
            expires_unix_milliseconds: record.expires.map(|it| it.unix_milliseconds),
            threshold: record.threshold.map(ClassThreshold::get),
            not_same_as: record.not_same_as.classes().map(|class| class.0).collect(),
            last_match_unix_milliseconds: person.last_match.map(|it| it.unix_milliseconds),
            templates: Some(class.templates),
            first_enrolled_unix_milliseconds: Some(class.first_enrolled.unix_milliseconds),
            last_enrolled_unix_milliseconds: Some(class.last_enrolled.unix_milliseconds),
            best_quality: class.best_quality,
        }
    }

    /// What it says of the person.
    pub(super) fn record(&self) -> Result<Record, RecordError> {
        let mut labels = Labels::default();
        for (key, value) in &self.labels {
            labels.add(Label::new(key, value)?)?;
        }
        let time = |unix_milliseconds| Timestamp { unix_milliseconds };
        Ok(Record {
            name: self
                .name
                .as_deref()
                .map(str::parse::<PersonName>)
                .transpose()?,
            external_id: self
                .external_id
                .as_deref()
                .map(str::parse::<ExternalId>)
                .transpose()?,
            labels,
            note: self
                .note
                .as_deref()
                .map(str::parse::<NoteText>)
                .transpose()?,
            expires: self.expires_unix_milliseconds.map(time),
            threshold: self.threshold.map(ClassThreshold::new).transpose()?,
            not_same_as: NotSameAs::new(self.not_same_as.iter().copied().map(ClassId))?,
        })
    }
}

/// What a table shows of a name.
pub(in crate::cli) fn shown_name(record: &Record) -> &str {
    record.name.as_ref().map_or(NO_NAME, PersonName::as_str)
}
