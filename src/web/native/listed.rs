//! Lists in a body, of which so many entries are kept and all are counted.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

/// The first `KEPT_MAX` entries of a list, and how many it had.
///
/// A body has room for millions of empty entries, and each would take many times its bytes before
/// anybody could say that they are too many. What comes after the kept ones is passed over: it has to
/// be JSON, and no more is asked of it.
pub(super) struct Listed<T, const KEPT_MAX: usize> {
    kept: Vec<T>,
    count: usize,
}

impl<T, const KEPT_MAX: usize> Listed<T, KEPT_MAX> {
    pub(super) fn push(&mut self, entry: T) {
        self.count += 1;
        if self.kept.len() < KEPT_MAX {
            self.kept.push(entry);
        }
    }

    /// How many entries came, kept or not.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The first entry.
    pub(super) fn first(&self) -> Option<&T> {
        self.kept.first()
    }

    /// The entries that were kept: all, unless [`Listed::count`] is larger than `KEPT_MAX`.
    pub(super) fn into_kept(self) -> Vec<T> {
        self.kept
    }
}

impl<T, const KEPT_MAX: usize> Default for Listed<T, KEPT_MAX> {
    fn default() -> Self {
        Listed {
            kept: Vec::new(),
            count: 0,
        }
    }
}

impl<T, const KEPT_MAX: usize> FromIterator<T> for Listed<T, KEPT_MAX> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let mut listed = Listed::default();
        entries.into_iter().for_each(|entry| listed.push(entry));
        listed
    }
}

impl<'de, T: Deserialize<'de>, const KEPT_MAX: usize> Deserialize<'de> for Listed<T, KEPT_MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

struct Entries<T, const KEPT_MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const KEPT_MAX: usize> Visitor<'de> for Entries<T, KEPT_MAX> {
    type Value = Listed<T, KEPT_MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut listed = Listed::default();
        while listed.kept.len() < KEPT_MAX {
            match entries.next_element()? {
                Some(entry) => listed.push(entry),
                None => return Ok(listed),
            }
        }
        while let Some(IgnoredAny) = entries.next_element()? {
            listed.count += 1;
        }
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_kept_and_all_are_counted() {
        for (text, kept) in [
            ("[]", vec![]),
            ("[1]", vec![1]),
            ("[1,2,3]", vec![1, 2, 3]),
            ("[1,2,3,4,\"x\",[[]]]", vec![1, 2, 3]),
        ] {
            let listed: Listed<u8, 3> = serde_json::from_str(text).unwrap();
            let count = serde_json::from_str::<Vec<serde_json::Value>>(text)
                .unwrap()
                .len();
            assert_eq!(listed.count(), count, "{text}");
            assert_eq!(listed.first(), kept.first(), "{text}");
            assert_eq!(listed.into_kept(), kept, "{text}");
        }
        let pushed: Listed<u8, 3> = (1..=5).collect();
        assert_eq!(pushed.count(), 5);
        assert_eq!(pushed.into_kept(), [1, 2, 3]);
    }

    #[test]
    fn a_kept_entry_has_the_right_type_and_the_others_are_json() {
        for text in [
            "[\"x\"]",
            "[1,-1]",
            "[1,2,3,nothing]",
            "[1,2,3,4",
            "{}",
            "1",
        ] {
            assert!(
                serde_json::from_str::<Listed<u8, 3>>(text).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn room_is_taken_for_the_kept_alone() {
        let text = format!("[{}[]]", "[],".repeat(1_000_000));
        let listed: Listed<Listed<u8, 3>, 16> = serde_json::from_str(&text).unwrap();
        assert_eq!(listed.count(), 1_000_001);
        assert!(listed.into_kept().capacity() <= 32);
    }
}
