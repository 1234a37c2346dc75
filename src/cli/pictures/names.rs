//! What names of files and folders mean.

use std::ffi::{OsStr, OsString};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::types::ClassId;

/// Folders and files that systems make for themselves, in small letters. Those that begin with a
/// dot are not listed.
const OF_SYSTEMS: [&str; 24] = [
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "@sharebin",
    "@synoeastream",
    "@syno_eadir",
    "@tmp",
    "__macosx",
    "aquota.group",
    "aquota.user",
    "desktop.ini",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "icon\r",
    "lost+found",
    "network trash folder",
    "recycled",
    "recycler",
    "system volume information",
    "temporary items",
    "thumbs.db",
];

/// Whether something of this name is hidden, or belongs to a system and not to people.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    // Editors and file managers end the names of their copies so.
    if name.starts_with('.') || name.ends_with('~') {
        return true;
    }
    let small = name.to_lowercase();
    OF_SYSTEMS.contains(&&*small)
        || small.starts_with(".trash-")
        || small.starts_with("synofile_thumb")
        || small.ends_with("@synoeastream")
        || small.ends_with("@synoresource")
}

/// A name with letters and their marks in one, as most systems write them: two names that look the
/// same are the same then.
pub(in crate::cli) fn composed(name: &OsStr) -> String {
    name.to_string_lossy().nfc().collect()
}

/// The class that the name of a folder gives: its number, alone or behind letters, which a `_` or a
/// `-` may join. Never a negative one, since nobody knows a hyphen from a minus.
pub(super) fn class_of(folder: &OsStr) -> Option<ClassId> {
    let name: String = folder.to_str()?.nfc().collect();
    let (before, number) = name.split_at(name.find(|c: char| c.is_ascii_digit())?);
    let letters = match before.strip_suffix('-') {
        Some(letters) if letters.contains(char::is_alphabetic) => letters,
        Some(_) => return None,
        None => before,
    };
    let is_letter = |c: char| c.is_alphabetic() || c == '_' || is_combining_mark(c);
    let is_class = letters.chars().all(is_letter) && number.bytes().all(|c| c.is_ascii_digit());
    let number = is_class.then(|| number.parse().ok())?;
    number.map(ClassId)
}

/// A part of a name: digits or none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A number without leading zeros: the longer is the greater, however long.
    Number(usize, String),
    Text(String),
}

/// By this names stand in the order of their numbers, part by part: `2` before `10`, `2024-01-02`
/// before `2024-01-10`. The names themselves come last, so that no two of them are equal.
pub(super) fn natural_order(name: &OsStr) -> impl Ord + use<> {
    let text = composed(name);
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = &*text;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_number);
        let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
        parts.push(if is_number {
            let digits = part.trim_start_matches('0');
            Part::Number(digits.len(), digits.to_owned())
        } else {
            Part::Text(part.to_owned())
        });
        rest = after;
    }
    (parts, OsString::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str) -> Option<i64> {
        class_of(OsStr::new(name)).map(|class| class.0)
    }

    #[test]
    fn a_folder_names_its_class() {
        for (name, number) in [
            ("17", 17),
            ("007", 7),
            ("s17", 17),
            ("person_4", 4),
            ("_4", 4),
            ("id-17", 17),
            ("x-3", 3),
            ("Zoë8", 8),
            // The same with the dots as a mark of their own, and letters that have no other form.
            ("Zoe\u{308}8", 8),
            ("x\u{308}_8", 8),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(class(name), Some(number), "{name}");
        }
        for name in [
            "anna",
            "17b",
            "",
            "1.5",
            "s 1",
            "-17",
            "--17",
            "_-17",
            "+17",
            "a--1",
            "1-7",
            "a1b2",
            "9223372036854775808",
            "\u{ff11}7",
            "\u{308}-7",
            "id\u{2013}17",
        ] {
            assert_eq!(class(name), None, "{name}");
        }
    }

    #[test]
    fn hidden_and_system_names_are_known_in_every_letter_case() {
        for name in [
            ".DS_Store",
            "._a.jpg",
            ".thumbs",
            "@eaDir",
            "__MACOSX",
            "#recycle",
            "$RECYCLE.BIN",
            "$Recycle.Bin",
            "lost+found",
            "Thumbs.db",
            "THUMBS.DB",
            "desktop.ini",
            "a.jpg~",
            "System Volume Information",
        ] {
            assert!(is_hidden(OsStr::new(name)), "{name}");
        }
        for name in [
            "17", "a.jpg", "@anna1", "_a", "#1", "thumbs", "lost", "MACOSX",
        ] {
            assert!(!is_hidden(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn numbers_in_names_are_numbers_each_by_itself() {
        let sorted = [
            "1.jpg",
            "2.jpg",
            "10.jpg",
            "2024-01-02 (3).jpg",
            "2024-01-02 (10).jpg",
            "2024-01-10 (1).jpg",
            "99999999999999999999999.jpg",
            "a",
            "a007",
            "a7",
            "a8b",
            "a10",
            "b1",
        ];
        let mut names: Vec<&str> = sorted.into_iter().rev().collect();
        names.sort_by_key(|name| natural_order(OsStr::new(name)));
        assert_eq!(names, sorted);
    }
}
