//! What was passed over on the way, and why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::cli::output::{self, PathName};

/// So many of a kind are named; all are counted.
const NAMED_MAX: usize = 5;

/// Why something was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Why {
    /// A picture or movie of a kind that is not read.
    Kind(&'static str),
    /// A picture that lies beside the folders that say whom pictures show.
    Loose,
    /// A folder that is deeper than any that has a meaning.
    Deeper,
    /// A class folder in which no picture was found.
    EmptyClass,
    /// A folder of pictures that are shown together, with fewer than two of them.
    TooFew,
    /// Something that was taken as that of another class.
    OtherClass,
    /// A link that leads nowhere, or round in a circle.
    Dangling,
    /// The system does not let us read it.
    Unreadable,
    /// A pipe, a socket or a device that is called like a picture.
    NoFile,
    /// A pipe, a socket or a device.
    Special,
    /// A link to something that was taken already.
    Twice,
    /// A file that is no picture.
    NoPicture,
    /// A hidden file or folder, or one that a system made for itself.
    Hidden,
}

impl Why {
    /// Whether somebody would have expected it to be taken.
    fn is_missed(self) -> bool {
        !matches!(
            self,
            Why::Special | Why::Twice | Why::NoPicture | Why::Hidden
        )
    }

    /// A name for programs.
    fn code(self) -> &'static str {
        match self {
            Why::Kind(_) => "kind_not_read",
            Why::Loose => "beside_folders",
            Why::Deeper => "too_deep",
            Why::EmptyClass => "no_picture_in_class",
            Why::TooFew => "too_few_pictures",
            Why::OtherClass => "of_another_class",
            Why::Dangling => "dangling_link",
            Why::Unreadable => "unreadable",
            Why::NoFile | Why::Special => "no_file",
            Why::Twice => "taken_already",
            Why::NoPicture => "no_picture",
            Why::Hidden => "hidden_or_system",
        }
    }

    /// For people: so many of these.
    fn tell(self, count: usize) -> String {
        let (one, many) = match self {
            Why::Kind("movie") => ("movie", "movies"),
            Why::Kind(kind) => {
                let files = if count == 1 { "file" } else { "files" };
                let how = match kind {
                    "HEIC" => ", as by `heif-convert a.heic a.jpg`",
                    "AVIF" => ", as by `magick a.avif a.jpg`",
                    _ => "",
                };
                return format!("{count} {kind} {files} (not read: convert to JPEG{how})");
            }
            Why::Loose => (
                "picture beside the folders that say whom pictures show",
                "pictures beside the folders that say whom pictures show",
            ),
            Why::Deeper => (
                "folder that is too deep to have a meaning",
                "folders that are too deep to have a meaning",
            ),
            Why::EmptyClass => (
                "class folder without a picture that can be read",
                "class folders without a picture that can be read",
            ),
            Why::TooFew => (
                "folder of fewer than two pictures, and a folder shows two or more together",
                "folders of fewer than two pictures, and a folder shows two or more together",
            ),
            Why::OtherClass => (
                "file or folder that is taken as of another class",
                "files or folders that are taken as of another class",
            ),
            Why::Dangling => ("link that leads nowhere", "links that lead nowhere"),
            Why::Unreadable => (
                "file or folder that cannot be read",
                "files or folders that cannot be read",
            ),
            Why::NoFile | Why::Special => ("pipe, socket or device", "pipes, sockets or devices"),
            Why::Twice => (
                "file or folder that is taken already",
                "files or folders that are taken already",
            ),
            Why::NoPicture => ("file that is no picture", "files that are no pictures"),
            Why::Hidden => (
                "hidden or system file or folder",
                "hidden or system files or folders",
            ),
        };
        output::count(count, one, many)
    }
}

/// Everything that was passed over, by its reason.
///
/// As JSON, a list of groups: `{"why":"kind_not_read","kind":"HEIC","missed":true,"count":1,
/// "first":[{"path":"people/17/b.HEIC"}]}`.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Passed(BTreeMap<Why, Group>);

#[derive(Clone, Debug, Default)]
struct Group {
    count: usize,
    first: Vec<Named>,
}

/// One of a group, and what there is to say of it alone.
#[derive(Clone, Debug)]
struct Named {
    path: PathBuf,
    note: Option<String>,
}

impl Passed {
    /// Counts one.
    pub(in crate::cli) fn add(&mut self, why: Why, path: &Path) {
        self.add_with(why, path, None);
    }

    /// Counts one of which there is more to say.
    pub(super) fn add_noted(&mut self, why: Why, path: &Path, note: String) {
        self.add_with(why, path, Some(note));
    }

    fn add_with(&mut self, why: Why, path: &Path, note: Option<String>) {
        let group = self.0.entry(why).or_default();
        group.count += 1;
        if group.first.len() < NAMED_MAX {
            let path = path.to_owned();
            group.first.push(Named { path, note });
        }
    }

    /// Whether a picture was passed over that somebody would have expected to be taken.
    pub(in crate::cli) fn is_missed(&self) -> bool {
        self.0.keys().any(|why| why.is_missed())
    }

    /// Whether nothing was passed over.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A line for each reason, what was missed first.
    pub(in crate::cli) fn lines(&self) -> Vec<String> {
        let line = |(why, group): (&Why, &Group)| {
            let name = |named: &Named| {
                let path = named.path.display();
                let note = named.note.as_ref();
                note.map_or(format!("`{path}`"), |note| format!("`{path}` ({note})"))
            };
            let names: Vec<String> = group.first.iter().map(name).collect();
            let more = match group.count - group.first.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let what = why.tell(group.count);
            format!("passed over {what}: {}{more}", names.join(", "))
        };
        self.0.iter().map(line).collect()
    }

    /// Tells people on stderr what was missed and not told `before`.
    pub(in crate::cli) fn print_new(&self, before: &mut Vec<String>) {
        if self.is_missed() {
            let lines = self.lines();
            for line in lines.iter().filter(|line| !before.contains(line)) {
                output::tell!("{line}");
            }
            *before = lines;
        }
    }

    /// Tells people on stderr.
    pub(in crate::cli) fn print(&self) {
        for line in self.lines() {
            output::tell!("{line}");
        }
    }
}

impl Serialize for Passed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct JsonGroup<'a> {
            why: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            kind: Option<&'static str>,
            missed: bool,
            count: usize,
            first: Vec<JsonNamed<'a>>,
        }
        #[derive(Serialize)]
        struct JsonNamed<'a> {
            #[serde(flatten)]
            path: PathName<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            note: Option<&'a str>,
        }
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (why, group) in &self.0 {
            let first = group.first.iter().map(|named| JsonNamed {
                path: PathName::new("path", &named.path),
                note: named.note.as_deref(),
            });
            list.serialize_element(&JsonGroup {
                why: why.code(),
                kind: match why {
                    Why::Kind(kind) => Some(kind),
                    _ => None,
                },
                missed: why.is_missed(),
                count: group.count,
                first: first.collect(),
            })?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_are_named() {
        let mut passed = Passed::default();
        for number in 0..7 {
            passed.add(Why::Hidden, Path::new(&format!(".{number}")));
        }
        assert!(!passed.is_missed());
        passed.add(Why::Kind("HEIC"), Path::new("b.HEIC"));
        assert!(passed.is_missed());
        assert_eq!(
            passed.lines(),
            [
                "passed over 1 HEIC file (not read: convert to JPEG, as by `heif-convert a.heic a.jpg`): `b.HEIC`",
                "passed over 7 hidden or system files or folders: `.0`, `.1`, `.2`, `.3`, `.4` and 2 more",
            ]
        );
        let json = serde_json::to_value(&passed).unwrap();
        assert_eq!(json[0]["kind"], "HEIC");
        assert_eq!(json[0]["first"][0]["path"], "b.HEIC");
        assert_eq!(
            (&json[1]["count"], &json[1]["missed"]),
            (&7.into(), &false.into())
        );
    }
}
