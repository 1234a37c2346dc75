//! Biometric class ids: storage, partition, class.

use std::fmt;
use std::str::FromStr;

/// Names one enrolled person: a class in a partition of a storage.
///
/// Its text form is `storage.partition.class`, for example `bws.112.4711`. Reading also accepts
/// `/` and `:` as separators and a leading `urn:bcid:`, the other forms that BWS clients write.
///
/// ```
/// use vultus::types::Bcid;
///
/// let bcid: Bcid = "bws/112/-987".parse().unwrap();
/// assert_eq!(bcid.to_string(), "bws.112.-987");
/// assert_eq!(bcid.class.0, -987);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bcid {
    /// The gallery.
    pub partition: PartitionId,
    /// The person in it.
    pub class: ClassId,
}

/// One person within a partition, chosen by the client.
///
/// 64 bits inside; the BWS door accepts the signed 32-bit numbers of that API. Classes are ordered
/// by number, and equal similarities are listed in that order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ClassId(pub i64);

/// One gallery: a storage and a partition number. Its text form is `storage.partition`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// The storage that the partition belongs to.
    pub storage: StorageName,
    /// The number of the partition in its storage.
    pub number: i32,
}

/// The name of a storage: 1 to 64 ASCII letters, digits, `-` or `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageName(String);

/// Why a text is not the id it was taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseBcidError {
    /// The text has too few or too many parts.
    #[error("`{found}` is not of the form `{expected}`")]
    Form {
        /// The form that was wanted.
        expected: &'static str,
        /// The text that was given.
        found: String,
    },
    /// The storage name is empty, too long, or has a character that is not allowed.
    #[error(
        "storage name `{found}` is not 1 to {LENGTH_MAX} ASCII letters, digits, hyphens or underscores",
        LENGTH_MAX = StorageName::LENGTH_MAX
    )]
    Storage {
        /// The text that was given.
        found: String,
    },
    /// A number is not a number or out of range.
    #[error("{part} `{found}` is not a whole number from {min} to {max}")]
    Number {
        /// Which part of the id.
        part: &'static str,
        /// The text that was given.
        found: String,
        /// The smallest number allowed.
        min: i64,
        /// The largest number allowed.
        max: i64,
    },
}

impl Bcid {
    /// The class `class` of `partition`.
    pub fn new(partition: PartitionId, class: ClassId) -> Bcid {
        Bcid { partition, class }
    }

    /// The form with slashes that BWS writes into tokens and results: `bws/112/4711`.
    pub fn with_slashes(&self) -> String {
        format!(
            "{}/{}/{}",
            self.partition.storage, self.partition.number, self.class
        )
    }
}

impl FromStr for Bcid {
    type Err = ParseBcidError;

    fn from_str(text: &str) -> Result<Bcid, ParseBcidError> {
        let bare = strip_urn(text);
        let parts: Vec<&str> = bare.split(is_separator).collect();
        let [storage, number, class] = parts[..] else {
            return Err(form("storage.partition.class", text));
        };
        Ok(Bcid {
            partition: PartitionId::from_parts(storage, number)?,
            class: class.parse()?,
        })
    }
}

impl fmt::Display for Bcid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.partition, self.class)
    }
}

impl FromStr for ClassId {
    type Err = ParseBcidError;

    fn from_str(text: &str) -> Result<ClassId, ParseBcidError> {
        parse_number("class id", text, i64::MIN, i64::MAX).map(ClassId)
    }
}

impl fmt::Display for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl PartitionId {
    /// The partition `number` of `storage`.
    pub fn new(storage: StorageName, number: i32) -> PartitionId {
        PartitionId { storage, number }
    }

    fn from_parts(storage: &str, number: &str) -> Result<PartitionId, ParseBcidError> {
        let min = i64::from(i32::MIN);
        let max = i64::from(i32::MAX);
        let number = parse_number("partition", number, min, max)?;
        let number = i32::try_from(number).expect("parse_number keeps the range");
        Ok(PartitionId {
            storage: storage.parse()?,
            number,
        })
    }
}

impl FromStr for PartitionId {
    type Err = ParseBcidError;

    fn from_str(text: &str) -> Result<PartitionId, ParseBcidError> {
        let parts: Vec<&str> = text.split(is_separator).collect();
        let [storage, number] = parts[..] else {
            return Err(form("storage.partition", text));
        };
        PartitionId::from_parts(storage, number)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.storage, self.number)
    }
}

impl StorageName {
    /// The most characters that a storage name may have.
    pub const LENGTH_MAX: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StorageName {
    type Err = ParseBcidError;

    fn from_str(text: &str) -> Result<StorageName, ParseBcidError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || text.len() > StorageName::LENGTH_MAX || !text.chars().all(allowed) {
            return Err(ParseBcidError::Storage {
                found: excerpt(text),
            });
        }
        Ok(StorageName(text.to_owned()))
    }
}

impl fmt::Display for StorageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | '/' | ':')
}

fn strip_urn(text: &str) -> &str {
    const URN: &str = "urn:bcid:";
    match text.get(..URN.len()) {
        Some(head) if head.eq_ignore_ascii_case(URN) => &text[URN.len()..],
        _ => text,
    }
}

/// Digits with an optional minus sign; no plus sign and no blanks, so that one number has one
/// spelling in links and logs.
fn parse_number(part: &'static str, text: &str, min: i64, max: i64) -> Result<i64, ParseBcidError> {
    let number = if text.starts_with('+') {
        None
    } else {
        text.parse::<i64>().ok()
    };
    match number {
        Some(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(ParseBcidError::Number {
            part,
            found: excerpt(text),
            min,
            max,
        }),
    }
}

fn form(expected: &'static str, found: &str) -> ParseBcidError {
    ParseBcidError::Form {
        expected,
        found: excerpt(found),
    }
}

/// The first characters of a text from outside, so that an error cannot be made to carry megabytes
/// or control characters.
fn excerpt(text: &str) -> String {
    const LENGTH_MAX: usize = 80;
    let mut excerpt: String = text
        .chars()
        .take(LENGTH_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(LENGTH_MAX).is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bcid(text: &str) -> Result<Bcid, ParseBcidError> {
        text.parse()
    }

    #[test]
    fn all_separators_and_the_urn_mean_the_same() {
        let expected = bcid("bws.112.4711").unwrap();
        for text in [
            "bws/112/4711",
            "bws:112:4711",
            "urn:bcid:bws.112.4711",
            "URN:BCID:bws:112:4711",
        ] {
            assert_eq!(bcid(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_signed() {
        let low = bcid("bws.-2147483648.-9223372036854775808").unwrap();
        assert_eq!(low.partition.number, i32::MIN);
        assert_eq!(low.class, ClassId(i64::MIN));
    }

    #[test]
    fn what_is_no_bcid_is_refused_with_the_part_named() {
        for text in ["", "bws", "bws.1", "bws.1.2.3", "urn:bcid:"] {
            assert!(
                matches!(bcid(text), Err(ParseBcidError::Form { .. })),
                "{text}"
            );
        }
        for text in [".1.2", "b ws.1.2", "bäh.1.2", "../1/2"] {
            assert!(bcid(text).is_err(), "{text}");
        }
        let long = format!("{}.1.2", "a".repeat(65));
        assert!(matches!(bcid(&long), Err(ParseBcidError::Storage { .. })));
        for (text, part) in [
            ("bws.2147483648.1", "partition"),
            ("bws.x.1", "partition"),
            ("bws.1.", "class id"),
            ("bws.1.+5", "class id"),
            ("bws.1. 5", "class id"),
            ("bws.1.9223372036854775808", "class id"),
        ] {
            let error = bcid(text).unwrap_err();
            assert!(
                matches!(error, ParseBcidError::Number { part: p, .. } if p == part),
                "{text}"
            );
        }
    }

    #[test]
    fn an_error_shows_at_most_an_excerpt() {
        let error = bcid(&"\u{7}".repeat(1_000_000)).unwrap_err().to_string();
        assert!(error.len() < 500);
        assert!(!error.contains('\u{7}'));
    }

    #[test]
    fn slashes_are_for_tokens() {
        assert_eq!(bcid("bws.1.-2").unwrap().with_slashes(), "bws/1/-2");
    }
}
