//! A record as it is stored: JSON, whose texts are checked again when it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ClassThreshold, ExternalId, Label, Labels, NoteText, PersonName, Record, RecordError};
use crate::types::Timestamp;

/// A record as it is stored, without the classes that it is not: those are pairs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The name as it was compared when this was written: its entry in the index is under this one,
    /// whatever a later version of Unicode says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folded: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_unix_milliseconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    threshold: Option<f64>,
}

impl StoredRecord {
    pub(crate) fn new(record: &Record) -> StoredRecord {
        let name = record.name.as_ref();
        StoredRecord {
            name: name.map(|name| name.as_str().to_owned()),
            folded: name.map(|name| name.folded().to_owned()),
            external_id: record.external_id.as_ref().map(|id| id.as_str().to_owned()),
            labels: record
                .labels
                .iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            note: record.note.as_ref().map(|note| note.as_str().to_owned()),
            expires_unix_milliseconds: record.expires.map(|it| it.unix_milliseconds),
            threshold: record.threshold.map(ClassThreshold::get),
        }
    }

    /// Under what the name is found.
    pub(crate) fn folded(&self) -> Option<&str> {
        self.folded.as_deref()
    }

    /// The record, checked.
    pub(crate) fn into_record(self) -> Result<Record, RecordError> {
        let mut labels = Labels::default();
        for (key, value) in &self.labels {
            labels.add(Label::known(key, value)?)?;
        }
        let folded = self.folded;
        let name = self.name.map(|name| PersonName::known(name, folded));
        Ok(Record {
            name: name.transpose()?,
            external_id: self.external_id.map(ExternalId::known).transpose()?,
            labels,
            note: self.note.map(NoteText::known).transpose()?,
            expires: self
                .expires_unix_milliseconds
                .map(|unix_milliseconds| Timestamp { unix_milliseconds }),
            threshold: self.threshold.map(ClassThreshold::new).transpose()?,
            ..Record::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let mut record = Record {
            name: Some("Straße \u{1f600}".parse().unwrap()),
            external_id: Some("x".parse().unwrap()),
            note: Some("one\ntwo".parse().unwrap()),
            expires: Some(Timestamp {
                unix_milliseconds: -5,
            }),
            threshold: Some(ClassThreshold::new(0.1 + 0.2).unwrap()),
            ..Record::default()
        };
        record.labels.add("a:b".parse().unwrap()).unwrap();
        for record in [record, Record::default()] {
            let json = serde_json::to_vec(&StoredRecord::new(&record)).unwrap();
            let stored: StoredRecord = serde_json::from_slice(&json).unwrap();
            assert_eq!(stored.into_record().unwrap(), record);
        }
    }
}
