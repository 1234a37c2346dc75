//! What is known of a person beside their templates: a name, an id of another system, labels, and what was
//! agreed with them.
//!
//! Each part is valid by construction: a text that was refused is not said again, since it may be
//! somebody's name. `Debug` hides all of it.

mod change;
mod label;
mod name;
mod stored;
mod text;

use std::collections::BTreeSet;
use std::fmt;

pub use self::change::{LabelsChange, RecordChange};
pub use self::label::{Label, Labels};
pub use self::name::PersonName;
pub(crate) use self::name::folded;
pub(crate) use self::stored::StoredRecord;
pub use self::text::{ExternalId, NoteText};
#[cfg(feature = "web")]
pub(crate) use self::text::{is_direction, is_ignorable, is_seen};
use super::{ClassId, Timestamp};

/// The most classes that one class can be said not to be.
pub const NOT_SAME_MAX: usize = 100;

/// What is known of a person beside their templates. All of it may be missing.
#[derive(Clone, Default, PartialEq)]
pub struct Record {
    /// What the person is called. Several may have the same name.
    pub name: Option<PersonName>,
    /// What another system calls the person: no two of a partition have the same.
    pub external_id: Option<ExternalId>,
    /// By which people are chosen.
    pub labels: Labels,
    /// What was agreed with the person, or why they are here.
    pub note: Option<NoteText>,
    /// From this moment on the person is not found any more.
    pub expires: Option<Timestamp>,
    /// The similarity from which on it is this person, in place of the one that holds for all.
    pub threshold: Option<ClassThreshold>,
    /// Classes of other people who look like this one: twins.
    pub not_same_as: NotSameAs,
}

/// A similarity from which on two faces are of one person, from -1 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassThreshold(f64);

/// Classes that are known to be of other people, at most [`NOT_SAME_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotSameAs(BTreeSet<ClassId>);

/// Why something cannot be in a record. Says what is wrong, and never what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// There is nothing but blanks.
    #[error("{what} is empty")]
    Empty {
        /// Which part of the record.
        what: &'static str,
    },
    /// There is something, of which nothing is seen.
    #[error("{what} has nothing that is seen: it needs a letter, a digit or a sign")]
    Unseen {
        /// Which part of the record.
        what: &'static str,
    },
    /// There is too much.
    #[error("{what} has {found} characters, and {most} is the most")]
    Long {
        /// Which part of the record.
        what: &'static str,
        /// How many characters it has.
        found: usize,
        /// How many it may have.
        most: usize,
    },
    /// A character that is no letter of anything.
    #[error(
        "{what} has the character U+{character:04X}, which {}; leave it out",
        if *.is_direction { "turns the direction of writing" } else { "controls a machine and is not text" }
    )]
    Character {
        /// Which part of the record.
        what: &'static str,
        /// The number of the character.
        character: u32,
        /// Whether it changes the direction of what follows, so that a text looks like another.
        is_direction: bool,
    },
    /// A label without a colon.
    #[error("a label is a key and a value, as `site:berlin`: this one has no colon")]
    NoColon,
    /// The key of a label has another form.
    #[error("the key of a label must be 1 to {KEY_MAX} ASCII letters, digits, `-`, `_` or `.`", KEY_MAX = Label::KEY_MAX)]
    LabelKey,
    /// A label has a key and nothing else.
    #[error("the label `{key}` has no value")]
    LabelValue {
        /// Its key.
        key: String,
    },
    /// A label is given twice.
    #[error("the label `{key}` is there twice")]
    LabelTwice {
        /// Its key.
        key: String,
    },
    /// There are too many labels.
    #[error("a record has at most {LABELS_MAX} labels", LABELS_MAX = Labels::MAX)]
    TooManyLabels,
    /// A threshold is no cosine.
    #[error("the threshold of a class must be a number from -1 to 1")]
    Threshold,
    /// Too many classes are said to be of others.
    #[error("`not_same_as` has at most {NOT_SAME_MAX} classes")]
    TooManyNotSame,
}

impl Record {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Record::default()
    }
}

/// It is somebody's name.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record(hidden)")
    }
}

impl ClassThreshold {
    /// The threshold `similarity`.
    ///
    /// # Errors
    ///
    /// If it is not from -1 to 1.
    pub fn new(similarity: f64) -> Result<ClassThreshold, RecordError> {
        if (-1.0..=1.0).contains(&similarity) {
            return Ok(ClassThreshold(similarity));
        }
        Err(RecordError::Threshold)
    }

    /// The similarity.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl NotSameAs {
    /// These classes, each once.
    ///
    /// # Errors
    ///
    /// If there are more than [`NOT_SAME_MAX`].
    pub fn new(classes: impl IntoIterator<Item = ClassId>) -> Result<NotSameAs, RecordError> {
        let classes: BTreeSet<ClassId> = classes.into_iter().take(NOT_SAME_MAX * 2).collect();
        if classes.len() > NOT_SAME_MAX {
            return Err(RecordError::TooManyNotSame);
        }
        Ok(NotSameAs(classes))
    }

    /// All of some classes: as many as others have named.
    pub(crate) fn all(classes: impl IntoIterator<Item = ClassId>) -> NotSameAs {
        NotSameAs(classes.into_iter().collect())
    }

    /// The classes, in order.
    pub fn classes(&self) -> impl ExactSizeIterator<Item = ClassId> + '_ {
        self.0.iter().copied()
    }

    /// Whether a class is among them.
    pub fn contains(&self, class: ClassId) -> bool {
        self.0.contains(&class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_record_is_shown() {
        let mut record = Record {
            name: Some("Ada Lovelace".parse().unwrap()),
            external_id: Some("E-4711".parse().unwrap()),
            note: Some("agreed on paper".parse().unwrap()),
            ..Record::default()
        };
        record.labels.add("site:berlin".parse().unwrap()).unwrap();
        let change = RecordChange::of(record.clone());
        let shown = format!(
            "{record:?} {change:?} {:?} {:?} {:?} {:?}",
            record.name, record.external_id, record.note, record.labels
        );
        for part in ["Ada", "4711", "agreed", "berlin"] {
            assert!(!shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn a_threshold_is_a_cosine() {
        for right in [-1.0, 0.0, 0.41, 1.0] {
            assert_eq!(ClassThreshold::new(right).unwrap().get(), right);
        }
        for wrong in [-1.1, 1.000_1, f64::NAN, f64::INFINITY] {
            assert_eq!(ClassThreshold::new(wrong), Err(RecordError::Threshold));
        }
    }

    #[test]
    fn so_many_classes_and_no_more_are_others() {
        let classes = |count: i64| (0..count).map(ClassId);
        assert!(NotSameAs::new(classes(100)).is_ok());
        assert!(NotSameAs::new(classes(100).chain(classes(100))).is_ok());
        for count in [101, 1_000_000] {
            let refused = NotSameAs::new(classes(count));
            assert_eq!(refused, Err(RecordError::TooManyNotSame));
        }
    }
}
