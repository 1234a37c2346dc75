//! Texts of a record, and what every text may have.

use std::fmt;
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::RecordError;

/// What another system calls a person: a UUID, a personnel number. One line of at most
/// [`ExternalId::LENGTH_MAX`] characters; capital and small letters differ.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalId(String);

/// What was agreed with a person, or why they are in a gallery. It may have several lines, at most
/// [`NoteText::LENGTH_MAX`] characters.
#[derive(Clone, PartialEq, Eq)]
pub struct NoteText(String);

impl ExternalId {
    /// The most characters that an external id may have.
    pub const LENGTH_MAX: usize = 200;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One that was taken before, and is found under what it was then.
    pub(super) fn known(text: String) -> Result<ExternalId, RecordError> {
        known_line("the external id", text, ExternalId::LENGTH_MAX).map(ExternalId)
    }
}

impl FromStr for ExternalId {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<ExternalId, RecordError> {
        one_line("the external id", text, ExternalId::LENGTH_MAX).map(ExternalId)
    }
}

/// It tells who somebody is.
impl fmt::Debug for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExternalId(hidden)")
    }
}

impl NoteText {
    /// The most characters that a note may have.
    pub const LENGTH_MAX: usize = 2000;

    /// The note as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One that was taken before.
    pub(super) fn known(text: String) -> Result<NoteText, RecordError> {
        check_length("the note", &text, NoteText::LENGTH_MAX)?;
        check_characters("the note", &text, |c| matches!(c, '\n' | '\t'))?;
        Ok(NoteText(text))
    }
}

impl FromStr for NoteText {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<NoteText, RecordError> {
        let what = "the note";
        check_length(what, text, NoteText::LENGTH_MAX)?;
        let text: String = text.replace("\r\n", "\n").trim().nfc().collect();
        check_characters(what, &text, |c| matches!(c, '\n' | '\t'))?;
        seen(what, not_empty(what, text)?).map(NoteText)
    }
}

/// It is about somebody.
impl fmt::Debug for NoteText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoteText(hidden)")
    }
}

/// A text of one line: composed (NFC), without blanks around it, with one blank where there were several.
pub(super) fn one_line(what: &'static str, text: &str, most: usize) -> Result<String, RecordError> {
    check_length(what, text, most)?;
    let text = text.trim();
    check_characters(what, text, |_| false)?;
    let visible: String = text.chars().filter(|c| !is_invisible(*c)).nfc().collect();
    let words: Vec<&str> = visible.split_whitespace().collect();
    let text = seen(what, not_empty(what, words.join(" "))?)?;
    // Composing may make a text longer, by a little.
    check_length(what, &text, most)?;
    Ok(text)
}

/// A text that [`one_line`] made when it was taken: a later version of that may make another of it, but
/// it is in indexes as it is.
pub(super) fn known_line(
    what: &'static str,
    text: String,
    most: usize,
) -> Result<String, RecordError> {
    check_length(what, &text, most)?;
    check_characters(what, &text, |_| false)?;
    Ok(text)
}

/// Before anything is done with it: somebody may send megabytes.
fn check_length(what: &'static str, text: &str, most: usize) -> Result<(), RecordError> {
    let found = text.trim().chars().count();
    if found > most {
        return Err(RecordError::Long { what, found, most });
    }
    Ok(())
}

fn not_empty(what: &'static str, text: String) -> Result<String, RecordError> {
    if text.is_empty() {
        return Err(RecordError::Empty { what });
    }
    Ok(text)
}

/// A text of which nothing is seen looks like none at all, whatever it is for a machine. A mark without
/// a letter is seen, but stands on whatever is before the text.
fn seen(what: &'static str, text: String) -> Result<String, RecordError> {
    match is_seen(&text) {
        true => Ok(text),
        false => Err(RecordError::Unseen { what }),
    }
}

/// Whether something of a text is seen.
pub(crate) fn is_seen(text: &str) -> bool {
    let is_seen = |c: char| !is_ignorable(c) && !is_blank(c) && !is_combining_mark(c);
    text.chars().any(is_seen)
}

fn check_characters(
    what: &'static str,
    text: &str,
    is_allowed: fn(char) -> bool,
) -> Result<(), RecordError> {
    let is_wrong =
        |c: &char| (c.is_control() && !is_allowed(*c)) || is_direction(*c) || is_none(*c);
    match text.chars().find(is_wrong) {
        Some(c) => Err(RecordError::Character {
            what,
            character: c.into(),
            is_direction: is_direction(c),
        }),
        None => Ok(()),
    }
}

/// Embeddings, overrides and isolates: with them one name can be made to look like another.
pub(crate) fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Ends of lines, notes between lines, and numbers that are no characters.
fn is_none(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{fdd0}'..='\u{fdef}')
        || u32::from(c) & 0xfffe == 0xfffe
}

/// What is not seen, and means nothing in a name. Joiners and what chooses one of several forms of a
/// letter do: Persian, Sinhala, Mongolian and Japanese names are written with them.
fn is_invisible(c: char) -> bool {
    let is_of_writing = matches!(
        c,
        '\u{200c}' | '\u{200d}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
    );
    is_ignorable(c) && !is_of_writing
}

/// What whoever draws a text shows nothing of: the property `Default_Ignorable_Code_Point` of the
/// Unicode Character Database 16.0 (`DerivedCoreProperties.txt`).
pub(crate) fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// What is as wide as a letter and has no ink; the second is Braille without a dot.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{2800}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_other_systems_are_what_they_were_but_for_blanks() {
        for (given, kept) in [
            ("E-4711", "E-4711"),
            (
                " 7f1c9c1e-8f0a-4a4e-9b0e-1d2f3a4b5c6d\n",
                "7f1c9c1e-8f0a-4a4e-9b0e-1d2f3a4b5c6d",
            ),
            ("a  b", "a b"),
            ("Ae\u{301}", "A\u{e9}"),
            ("<b>", "<b>"),
        ] {
            assert_eq!(given.parse::<ExternalId>().unwrap().as_str(), kept);
        }
        assert_ne!("e1".parse::<ExternalId>(), "E1".parse::<ExternalId>());
    }

    #[test]
    fn no_two_ids_differ_by_what_nobody_sees() {
        for hidden in [
            '\u{e0041}',
            '\u{3164}',
            '\u{ffa0}',
            '\u{2062}',
            '\u{206a}',
            '\u{1d173}',
        ] {
            let text = format!("E-{hidden}4711");
            assert_eq!(text.parse::<ExternalId>().unwrap().as_str(), "E-4711");
        }
    }

    #[test]
    fn what_is_seen_by_nobody_is_no_text() {
        for unseen in [
            "\u{200d}",
            "\u{301}\u{308}",
            "\u{2800}",
            "\u{1160}",
            "\u{fe0f} \u{e0101}",
        ] {
            let error = unseen.parse::<ExternalId>().unwrap_err().to_string();
            assert_eq!(
                error,
                "the external id has nothing that is seen: it needs a letter, a digit or a sign"
            );
            assert!(unseen.parse::<NoteText>().is_err(), "{unseen:?}");
            // What was taken before there was this rule is still read.
            assert_eq!(ExternalId::known(unseen.into()).unwrap().as_str(), unseen);
        }
        for seen in ["-", "\u{1f600}", "\u{e000}", "\u{2801}", "\u{915}\u{301}"] {
            assert!(seen.parse::<ExternalId>().is_ok(), "{seen:?}");
        }
    }

    #[test]
    fn notes_have_lines_and_no_other_controls() {
        let note: NoteText = " agreed\r\non paper\t2026 ".parse().unwrap();
        assert_eq!(note.as_str(), "agreed\non paper\t2026");
        for wrong in ["", " \n ", "a\u{0}b", "a\u{1b}[31m", "a\u{202e}b"] {
            assert!(wrong.parse::<NoteText>().is_err(), "{wrong:?}");
        }
        assert!("n".repeat(2000).parse::<NoteText>().is_ok());
        let error = "n".repeat(2001).parse::<NoteText>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the note has 2001 characters, and 2000 is the most"
        );
    }
}
