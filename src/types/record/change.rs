//! What is to become of a record.

use std::collections::BTreeMap;
use std::fmt;

use super::{
    ClassThreshold, ExternalId, Label, Labels, NotSameAs, NoteText, PersonName, Record, RecordError,
};
use crate::types::Timestamp;

/// What is to become of a record: of each part, nothing unless it is given.
#[derive(Clone, Default, PartialEq)]
pub struct RecordChange {
    /// The name that replaces the one there is, or none.
    pub name: Option<Option<PersonName>>,
    /// The same of the external id.
    pub external_id: Option<Option<ExternalId>>,
    /// What becomes of the labels.
    pub labels: LabelsChange,
    /// The note that replaces the one there is, or none.
    pub note: Option<Option<NoteText>>,
    /// The same of the end.
    pub expires: Option<Option<Timestamp>>,
    /// The same of the threshold.
    pub threshold: Option<Option<ClassThreshold>>,
    /// The classes that replace those there are.
    pub not_same_as: Option<NotSameAs>,
}

/// What is to become of labels.
#[derive(Clone, Default, PartialEq)]
pub enum LabelsChange {
    /// They stay.
    #[default]
    Keep,
    /// These are there instead.
    Replace(Labels),
    /// Each key gets this value, or goes; the others stay.
    Merge(BTreeMap<String, Option<Label>>),
}

impl RecordChange {
    /// Puts `record` in the place of all there is.
    pub fn of(record: Record) -> RecordChange {
        RecordChange {
            name: Some(record.name),
            external_id: Some(record.external_id),
            labels: LabelsChange::Replace(record.labels),
            note: Some(record.note),
            expires: Some(record.expires),
            threshold: Some(record.threshold),
            not_same_as: Some(record.not_same_as),
        }
    }

    /// Puts what `record` has beside what there is; labels are added.
    pub fn adding(record: Record) -> RecordChange {
        let labels = record.labels.iter().filter_map(|(key, value)| {
            let label = Label::new(key, value).ok()?;
            Some((key.to_owned(), Some(label)))
        });
        RecordChange {
            labels: LabelsChange::Merge(labels.collect()),
            name: record.name.map(Some),
            external_id: record.external_id.map(Some),
            note: record.note.map(Some),
            expires: record.expires.map(Some),
            threshold: record.threshold.map(Some),
            not_same_as: (record.not_same_as != NotSameAs::default()).then_some(record.not_same_as),
        }
    }

    /// Whether nothing becomes of anything.
    pub fn is_empty(&self) -> bool {
        *self == RecordChange::default()
            || *self
                == RecordChange {
                    labels: LabelsChange::Merge(BTreeMap::new()),
                    ..RecordChange::default()
                }
    }

    /// What becomes of `record`.
    ///
    /// # Errors
    ///
    /// If it would have too many labels.
    pub fn apply(&self, record: &Record) -> Result<Record, RecordError> {
        let change = self.clone();
        let mut labels = record.labels.clone();
        match change.labels {
            LabelsChange::Keep => {}
            LabelsChange::Replace(new) => labels = new,
            LabelsChange::Merge(changes) => {
                for (key, _) in changes.iter().filter(|(_, label)| label.is_none()) {
                    labels.remove(key);
                }
                let new = changes.into_values().flatten();
                new.into_iter().try_for_each(|label| labels.put(label))?;
            }
        }
        Ok(Record {
            name: change.name.unwrap_or_else(|| record.name.clone()),
            external_id: change
                .external_id
                .unwrap_or_else(|| record.external_id.clone()),
            labels,
            note: change.note.unwrap_or_else(|| record.note.clone()),
            expires: change.expires.unwrap_or(record.expires),
            threshold: change.threshold.unwrap_or(record.threshold),
            not_same_as: change
                .not_same_as
                .unwrap_or_else(|| record.not_same_as.clone()),
        })
    }
}

/// It is somebody's name.
impl fmt::Debug for RecordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordChange(hidden)")
    }
}

impl fmt::Debug for LabelsChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LabelsChange(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let mut record = Record {
            name: Some("Ada".parse().unwrap()),
            external_id: Some("1".parse().unwrap()),
            expires: Some(Timestamp::from_unix_seconds(1)),
            ..Record::default()
        };
        record.labels.add("site:berlin".parse().unwrap()).unwrap();
        record.labels.add("team:a".parse().unwrap()).unwrap();
        record
    }

    #[test]
    fn only_what_is_given_changes() {
        let before = record();
        assert_eq!(RecordChange::default().apply(&before).unwrap(), before);
        let change = RecordChange {
            name: Some(Some("Ada King".parse().unwrap())),
            expires: Some(None),
            labels: LabelsChange::Merge(BTreeMap::from([
                ("site".to_owned(), Some("site:paris".parse().unwrap())),
                ("team".to_owned(), None),
                ("none".to_owned(), None),
            ])),
            ..RecordChange::default()
        };
        let after = change.apply(&before).unwrap();
        assert_eq!(
            after.name.as_ref().map(PersonName::as_str),
            Some("Ada King")
        );
        assert_eq!(after.external_id, before.external_id);
        assert_eq!(after.expires, None);
        let labels: Vec<_> = after.labels.iter().collect();
        assert_eq!(labels, [("site", "paris")]);
        let replaced = RecordChange::of(Record::default()).apply(&before).unwrap();
        assert!(replaced.is_empty());
        let added = RecordChange::adding(Record::default());
        assert!(added.is_empty());
        assert_eq!(added.apply(&before).unwrap(), before);
    }

    #[test]
    fn too_many_labels_are_refused() {
        let full = |key: &str| -> Labels {
            let labels = (0..Labels::MAX).map(|at| Label::new(&format!("{key}{at}"), "v").unwrap());
            labels.collect::<Result<Labels, _>>().unwrap()
        };
        let before = Record {
            labels: full("a"),
            ..Record::default()
        };
        let more = RecordChange::adding(Record {
            labels: full("b"),
            ..Record::default()
        });
        assert_eq!(more.apply(&before), Err(RecordError::TooManyLabels));
        let same = RecordChange::adding(before.clone());
        assert_eq!(same.apply(&before).unwrap(), before);
    }
}
