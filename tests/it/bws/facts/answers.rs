//! Answers in both formats, compared with what is expected of them.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

use super::{Format, Reply};

/// The names that hold lists. XML does not tell a list of one from an object.
const LISTS: [&str; 5] = ["Errors", "Features", "Matches", "Samples", "Warnings"];

/// What a service answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) format: Format,
    /// The name of the result in XML.
    pub(super) root: &'static str,
    pub(super) reply: Reply,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.reply.status
    }

    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.reply.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The result in the body, which must be in the format that was asked for. All values in XML
    /// are texts.
    #[track_caller]
    pub(super) fn result(&self) -> Value {
        let body = &self.reply.body;
        let kind = self.header("content-type");
        let expected = match self.format {
            Format::Json => "application/json; charset=utf-8",
            Format::Xml => "application/xml; charset=utf-8",
        };
        assert_eq!(kind, expected, "{body}");
        match self.format {
            Format::Json => serde_json::from_str(body).unwrap(),
            Format::Xml => xml(body, self.root),
        }
    }

    /// Fails unless this is the answer, to the last member.
    #[track_caller]
    pub(super) fn gives(&self, expected: &Value) {
        assert_eq!(self.status(), 200, "{}", self.reply.body);
        let found = self.result();
        match self.format {
            Format::Json => assert_eq!(&found, expected),
            Format::Xml => assert!(agrees(expected, &found), "{expected} is not {found}"),
        }
    }

    /// Fails unless it was refused with this status and a message with these words.
    #[track_caller]
    pub(super) fn refuses(&self, status: u16, words: &str) {
        assert_eq!(self.status(), status, "{}", self.reply.body);
        let found = self.result();
        let members = found.as_object().unwrap();
        assert_eq!(members.len(), 1, "{found}");
        let message = members["Message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }

    /// Fails unless it has this status and no body.
    #[track_caller]
    pub(super) fn is_empty(&self, status: u16) {
        assert_eq!(
            (self.status(), self.reply.body.as_str()),
            (status, ""),
            "{:?}",
            self.reply
        );
    }
}

/// A number in either format.
#[track_caller]
pub(super) fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        value => value.as_f64().unwrap(),
    }
}

/// Whether an XML tree says what is expected. Nothing may be said by an absent element or a nil one.
fn agrees(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Null, found) => found.is_null(),
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len()
                && expected
                    .iter()
                    .zip(found)
                    .all(|(one, other)| agrees(one, other))
        }
        (Value::Object(expected), Value::Object(found)) => {
            let known = found
                .iter()
                .all(|(name, value)| value.is_null() || expected.contains_key(name));
            let said = expected
                .iter()
                .all(|(name, value)| agrees(value, found.get(name).unwrap_or(&Value::Null)));
            known && said
        }
        (Value::String(expected), Value::String(found)) => expected == found,
        (expected, Value::String(found)) => &expected.to_string() == found,
        _ => false,
    }
}

/// The content of a document whose root has this name.
#[track_caller]
fn xml(text: &str, root: &str) -> Value {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                let name = name(&start);
                assert!(
                    name == root || name == "Error",
                    "the root is {name}, not {root}"
                );
                let value = content(&mut reader, &name);
                assert!(
                    matches!(reader.read_event(), Ok(Event::Eof)),
                    "more behind the root"
                );
                return value;
            }
            Event::Decl(_) => {}
            other => panic!("{other:?} before the root of {text}"),
        }
    }
}

fn name(start: &BytesStart) -> String {
    start.local_name().as_ref().to_owned()
}

/// What stands up to the end of the element that was just begun.
fn content(reader: &mut Reader<&[u8]>, parent: &str) -> Value {
    let (mut text, mut members, mut items) = (String::new(), Map::new(), Vec::new());
    let list = LISTS.contains(&parent);
    let mut keep = |name: String, value: Value| {
        if list {
            items.push(value);
        } else {
            let before = members.insert(name, value);
            assert!(before.is_none(), "an element stands there twice");
        }
    };
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                let name = name(&start);
                let value = content(reader, &name);
                keep(name, value);
            }
            Event::Empty(start) => {
                let nil = start.attributes().any(|attribute| {
                    let attribute = attribute.unwrap();
                    attribute.key.local_name().as_ref() == "nil" && &*attribute.value == "true"
                });
                let name = name(&start);
                let value = match (nil, LISTS.contains(&name.as_str())) {
                    (true, _) => Value::Null,
                    (false, true) => Value::Array(Vec::new()),
                    (false, false) => Value::String(String::new()),
                };
                keep(name, value);
            }
            Event::Text(found) => text += &found,
            Event::GeneralRef(found) => {
                let entity = format!("&{};", &*found);
                text += &quick_xml::escape::unescape(&entity).unwrap();
            }
            Event::End(_) => break,
            other => panic!("{other:?} in an answer"),
        }
    }
    if list {
        Value::Array(items)
    } else if members.is_empty() {
        Value::String(text)
    } else {
        Value::Object(members)
    }
}
