//! What somebody is called.

use std::fmt;
use std::str::FromStr;

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;

use super::RecordError;
use super::text::{is_ignorable, known_line, one_line};

/// The name of a person, in any script: one line of at most [`PersonName::LENGTH_MAX`] characters,
/// composed (NFC), with single blanks. HTML is a text like any other.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName {
    text: String,
    folded: String,
}

const WHAT: &str = "the name";

impl PersonName {
    /// The most characters that a name may have.
    pub const LENGTH_MAX: usize = 200;

    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name as it is compared: two that differ in capitals, in width or in how letters are composed
    /// are the same.
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// One that was taken before, and is found under `folded`.
    pub(super) fn known(text: String, folded: Option<String>) -> Result<PersonName, RecordError> {
        let text = known_line(WHAT, text, PersonName::LENGTH_MAX)?;
        let folded = folded.unwrap_or_else(|| self::folded(&text));
        Ok(PersonName { text, folded })
    }
}

/// A text as names are compared: what somebody types to find one, whole or its beginning. Never fails,
/// since whoever looks for nonsense finds nobody.
pub(crate) fn folded(text: &str) -> String {
    // Joiners and selectors of a look do not make another name of one.
    let composed: String = text.nfkc().filter(|c| !is_ignorable(*c)).collect();
    let small = UniCase::new(composed).to_folded_case();
    let folded: String = small.nfkc().collect();
    // Folding may take apart what compatibility had put together.
    let folded: String = UniCase::new(folded).to_folded_case().nfkc().collect();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl FromStr for PersonName {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<PersonName, RecordError> {
        let text = one_line(WHAT, text, PersonName::LENGTH_MAX)?;
        let folded = folded(&text);
        if folded.is_empty() {
            return Err(RecordError::Empty { what: WHAT });
        }
        Ok(PersonName { text, folded })
    }
}

/// It is somebody's name.
impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonName(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PersonName {
        text.parse().unwrap()
    }

    fn refused(text: &str) -> String {
        text.parse::<PersonName>().unwrap_err().to_string()
    }

    #[test]
    fn names_are_kept_in_any_script() {
        for kept in [
            "Ada Lovelace",
            "Björn Müller",
            "山田 太郎",
            "محمد علی",
            "Nguyễn Văn A",
            "می\u{200c}خواهم",
            "O'Brien-Smith, Jr.",
            "<script>alert(1)</script>",
            "1",
        ] {
            assert_eq!(name(kept).as_str(), kept);
        }
        assert_eq!(name("  Ada \u{a0}  Lovelace\n").as_str(), "Ada Lovelace");
        assert_eq!(name("Ada\u{200b}\u{feff}").as_str(), "Ada");
        assert_eq!(name("A\u{e0041}d\u{2061}a\u{3164}").as_str(), "Ada");
        assert_eq!(name("Bjo\u{308}rn").as_str(), "Björn");
    }

    #[test]
    fn names_that_are_written_otherwise_are_the_same() {
        for (one, other) in [
            ("ADA LOVELACE", "ada lovelace"),
            ("Straße", "STRASSE"),
            ("Bjo\u{308}rn", "BJÖRN"),
            ("Ａｄａ", "ada"),
            ("ﬁona", "FIONA"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("می\u{200c}خواهم", "میخواهم"),
            ("葛\u{e0100}城", "葛城"),
            ("Ada \u{e0041}Lovelace", "Ada Lovelace"),
            ("ÅSA", "a\u{30a}sa"),
            ("ᾳ", "ΑΙ"),
        ] {
            assert_eq!(name(one).folded(), name(other).folded(), "{one} {other}");
            assert_eq!(folded(name(one).folded()), name(one).folded(), "{one}");
        }
        assert_ne!(name("Müller").folded(), name("Muller").folded());
    }

    #[test]
    fn what_is_no_name_gets_a_sentence_without_it() {
        let tags = "\u{e0041}\u{e007f}";
        for nothing in [
            "",
            "   ",
            "\u{a0}",
            "\u{200b}\u{feff}",
            "\u{3164}",
            "\u{2063}",
            tags,
        ] {
            assert_eq!(refused(nothing), "the name is empty", "{nothing:?}");
        }
        for unseen in [
            "\u{200d}",
            "\u{301}\u{301}",
            "\u{2800}",
            "\u{115f}",
            "\u{180b}",
        ] {
            let error = refused(unseen);
            assert!(
                error.starts_with("the name has nothing that is seen"),
                "{error}"
            );
        }
        assert_eq!(
            refused(&"é".repeat(10_000)),
            "the name has 10000 characters, and 200 is the most"
        );
        assert!("é".repeat(200).parse::<PersonName>().is_ok());
        assert!("e\u{301}".repeat(101).parse::<PersonName>().is_err());
        for control in [
            "Ada\u{0}",
            "A\nda",
            "Ad\ta",
            "\u{1b}[31mAda",
            "Ada\u{7f}",
            "A\u{85}B",
        ] {
            // At the ends blanks are blanks.
            if control.trim() == control {
                let error = refused(control);
                assert!(error.contains("controls a machine"), "{error}");
                assert!(!error.contains("da"), "{error}");
            }
        }
        for direction in ["Ada\u{202e}ecalevoL", "\u{2066}Ada\u{2069}", "A\u{202b}da"] {
            let error = refused(direction);
            assert!(error.contains("turns the direction of writing"), "{error}");
            assert!(
                error.starts_with("the name has the character U+20"),
                "{error}"
            );
        }
        for none in ["A\u{2028}B", "A\u{ffff}", "A\u{fdd0}", "A\u{1fffe}B"] {
            assert!(none.parse::<PersonName>().is_err(), "{none:?}");
        }
    }
}
