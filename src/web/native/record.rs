//! What is known of a person, as calls give it and answers have it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::{Code, Problem};
use crate::intake::Disclosure;
use crate::types::{
    ClassId, ClassThreshold, Label, Labels, LabelsChange, NOT_SAME_MAX, NotSameAs, Record,
    RecordChange, RecordError, Timestamp,
};

/// What is known of a person. Each member may be null or missing: `PUT` takes both for nothing, `PATCH` leaves
/// alone what is missing and takes away what is null (RFC 7396).
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Record)]
pub(in super::super) struct GivenRecord {
    /// What the person is called, in any script: one line of 1 to 200 characters. Several may have one name.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "Ada Lovelace")]
    pub(super) name: Option<Option<String>>,
    /// What another system calls the person, 1 to 200 characters; no two classes of a partition have the same.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(super) external_id: Option<Option<String>>,
    /// By which people are chosen: at most 32 keys of ASCII letters, digits, `-`, `_` or `.`, each with a value of
    /// 1 to 100 characters. `PATCH` leaves other keys alone, and takes away one whose value is null.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub(super) labels: Option<Option<GivenLabels>>,
    /// What was agreed with the person, or why they are here: at most 2,000 characters.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(super) note: Option<Option<String>>,
    /// From this moment on the person is not found, in milliseconds since 1970 in UTC; the service deletes them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(super) expires_unix_milliseconds: Option<Option<i64>>,
    /// The similarity from which on it is this person, in place of any other threshold.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>, minimum = -1, maximum = 1)]
    pub(super) threshold: Option<Option<f64>>,
    /// Classes of other people who look like this one, such as twins: of two of them the more similar one counts.
    /// Each is then said not to be this one, too.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    pub(super) not_same_as: Option<Option<GivenClasses>>,
}

/// Labels as they came: an object, or texts as `site:berlin`. Null takes a label away.
#[derive(Default)]
pub(super) struct GivenLabels(Vec<GivenLabel>);

enum GivenLabel {
    Pair(String, Option<String>),
    Text(String),
}

/// Classes as they came: texts, or numbers that JavaScript has not rounded.
pub(super) struct GivenClasses(Vec<String>);

/// A member that is there, null or not.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl GivenRecord {
    /// What the call changes: what it gives, and nothing else.
    pub(super) fn change(self) -> Result<RecordChange, Problem> {
        let labels = match self.labels {
            None => LabelsChange::Keep,
            Some(None) => LabelsChange::Replace(Labels::default()),
            Some(Some(labels)) => LabelsChange::Merge(labels.changes()?),
        };
        let number = |unix_milliseconds| Timestamp { unix_milliseconds };
        Ok(RecordChange {
            name: parsed(self.name)?,
            external_id: parsed(self.external_id)?,
            labels,
            note: parsed(self.note)?,
            expires: self.expires_unix_milliseconds.map(|it| it.map(number)),
            threshold: self
                .threshold
                .map(|it| it.map(ClassThreshold::new).transpose())
                .transpose()?,
            not_same_as: match self.not_same_as {
                None => None,
                Some(None) => Some(NotSameAs::default()),
                Some(Some(classes)) => Some(classes.classes()?),
            },
        })
    }

    /// The whole record that the call gives.
    pub(super) fn record(self) -> Result<Record, Problem> {
        Ok(self.change()?.apply(&Record::default())?)
    }

    /// What the call says besides what is known: null is as good as nothing.
    pub(super) fn addition(self) -> Result<RecordChange, Problem> {
        Ok(RecordChange::adding(self.record()?))
    }
}

/// The same with a threshold that the caller may set, where `usual` is in use: whoever sets thresholds at
/// will and verifies learns similarities.
pub(super) fn permitted(
    change: RecordChange,
    disclosure: Disclosure,
    usual: Option<f64>,
) -> Result<RecordChange, Problem> {
    let Some(Some(own)) = change.threshold else {
        return Ok(change);
    };
    let own = disclosure.threshold(Some(own.get()), usual)?;
    Ok(RecordChange {
        threshold: Some(own.map(ClassThreshold::new).transpose()?),
        ..change
    })
}

fn parsed<T: std::str::FromStr<Err = RecordError>>(
    text: Option<Option<String>>,
) -> Result<Option<Option<T>>, Problem> {
    let parsed = text.map(|text| text.map(|text| text.parse()).transpose());
    Ok(parsed.transpose()?)
}

impl GivenLabels {
    /// What becomes of the label of each key.
    fn changes(self) -> Result<BTreeMap<String, Option<Label>>, Problem> {
        let mut changes = BTreeMap::new();
        for label in self.0 {
            let (key, label) = match label {
                GivenLabel::Pair(key, None) => (key, None),
                GivenLabel::Pair(key, Some(value)) => {
                    let label = Label::new(&key, &value)?;
                    (label.key().to_owned(), Some(label))
                }
                GivenLabel::Text(text) => {
                    let label: Label = text.parse()?;
                    (label.key().to_owned(), Some(label))
                }
            };
            if changes.insert(key.clone(), label).is_some() {
                return Err(RecordError::LabelTwice { key }.into());
            }
        }
        Ok(changes)
    }

    /// The labels that somebody must have.
    pub(super) fn wanted(self) -> Result<Labels, Problem> {
        let labels = self.changes()?.into_values().flatten();
        Ok(labels.collect::<Result<Labels, RecordError>>()?)
    }

    /// Labels of a query, each as `site:berlin`.
    pub(super) fn of_texts(texts: Vec<String>) -> GivenLabels {
        GivenLabels(texts.into_iter().map(GivenLabel::Text).collect())
    }
}

impl<'de> Deserialize<'de> for GivenLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Given;
        impl<'de> Visitor<'de> for Given {
            type Value = GivenLabels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<GivenLabels, E> {
                Ok(GivenLabels(vec![GivenLabel::Text(text.to_owned())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<GivenLabels, A::Error> {
                let mut labels = Vec::new();
                while let Some(text) = texts.next_element()? {
                    // No more are looked at than make it too many.
                    if labels.len() <= Labels::MAX {
                        labels.push(GivenLabel::Text(text));
                    }
                }
                Ok(GivenLabels(labels))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<GivenLabels, A::Error> {
                let mut labels = Vec::new();
                while let Some((key, value)) = pairs.next_entry()? {
                    if labels.len() <= Labels::MAX {
                        labels.push(GivenLabel::Pair(key, value));
                    }
                }
                Ok(GivenLabels(labels))
            }
        }
        deserializer.deserialize_any(Given)
    }
}

impl GivenClasses {
    fn classes(self) -> Result<NotSameAs, Problem> {
        let classes = self.0.iter().map(|text| class_of(text));
        let classes: Vec<ClassId> = classes.collect::<Result<_, Problem>>()?;
        Ok(NotSameAs::new(classes)?)
    }
}

/// The class that a member of a body names.
pub(super) fn class_of(text: &str) -> Result<ClassId, Problem> {
    text.parse().map_err(|error: crate::types::ParseBcidError| {
        Problem::invalid_parameter(error.to_string())
    })
}

impl<'de> Deserialize<'de> for GivenClasses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Given;
        impl<'de> Visitor<'de> for Given {
            type Value = GivenClasses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of classes, each a text")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<GivenClasses, A::Error> {
                let mut classes = Vec::new();
                while let Some(GivenClass(text)) = texts.next_element()? {
                    if classes.len() <= NOT_SAME_MAX {
                        classes.push(text);
                    }
                }
                Ok(GivenClasses(classes))
            }
        }
        deserializer.deserialize_any(Given)
    }
}

/// A class as it came: a text, or a number.
pub(super) struct GivenClass(pub(super) String);

impl<'de> Deserialize<'de> for GivenClass {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Given;
        impl Visitor<'_> for Given {
            type Value = GivenClass;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<GivenClass, E> {
                Ok(GivenClass(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<GivenClass, E> {
                Ok(GivenClass(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<GivenClass, E> {
                Ok(GivenClass(number.to_string()))
            }
        }
        deserializer.deserialize_any(Given)
    }
}

/// What is known of a person, in an answer.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = RecordAnswer)]
pub(in super::super) struct RecordMembers {
    /// What the person is called; null if that is not known.
    name: Option<String>,
    /// What another system calls the person; null if that is not known.
    external_id: Option<String>,
    /// By which people are chosen.
    labels: BTreeMap<String, String>,
    /// What was agreed with the person, or why they are here; null if that is not known.
    note: Option<String>,
    /// When the time of the person is over, in milliseconds since 1970 in UTC; null if never.
    expires_unix_milliseconds: Option<i64>,
    /// The similarity from which on it is this person; null if it is that of all.
    threshold: Option<f64>,
    /// Classes of other people who look like this one.
    not_same_as: Vec<String>,
}

impl RecordMembers {
    pub(super) fn new(record: &Record) -> RecordMembers {
        let labels = record.labels.iter();
        RecordMembers {
            name: record.name.as_ref().map(|name| name.as_str().to_owned()),
            external_id: record.external_id.as_ref().map(|id| id.as_str().to_owned()),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            note: record.note.as_ref().map(|note| note.as_str().to_owned()),
            expires_unix_milliseconds: record.expires.map(|it| it.unix_milliseconds),
            threshold: record.threshold.map(ClassThreshold::get),
            not_same_as: record
                .not_same_as
                .classes()
                .map(|class| class.to_string())
                .collect(),
        }
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Problem {
        Problem::new(Code::InvalidRecord, error.to_string())
    }
}
