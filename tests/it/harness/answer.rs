//! What comes back, in both formats, compared with what is expected of it.

use axum::http::HeaderMap;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

/// The format that answers are asked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Xml,
}

/// The names that hold lists. XML does not tell a list of one from an object.
const LISTS: [&str; 5] = ["Errors", "Features", "Matches", "Samples", "Warnings"];

/// What a service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// The body of an answer that is a picture.
    pub(crate) picture: Vec<u8>,
    /// That which was asked for.
    pub(crate) format: Format,
    /// The name of the result in XML.
    root: &'static str,
}

impl Answer {
    /// The answer to a call of this path.
    ///
    /// # Panics
    ///
    /// If the body is neither a text nor a picture.
    pub(super) fn new(path: &str, status: u16, headers: HeaderMap, body: Vec<u8>) -> Answer {
        let kind = headers.get("content-type");
        let is_picture = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"image/jpeg"));
        let (picture, body) = match is_picture {
            true => (body, Vec::new()),
            false => (Vec::new(), body),
        };
        Answer {
            status,
            headers,
            body: String::from_utf8(body).unwrap(),
            picture,
            format: Format::Json,
            root: root(path),
        }
    }

    /// A header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The result of a success, in JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        let kind = self.header("content-type");
        // A line of JSON is JSON.
        let is_json = kind.starts_with("application/json") || kind == "application/x-ndjson";
        assert!(is_json, "{kind}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The result in the body, which must be in the format that was asked for. All values in XML
    /// are texts.
    #[track_caller]
    pub(crate) fn result(&self) -> Value {
        let body = &self.body;
        let expected = match self.format {
            Format::Json => "application/json; charset=utf-8",
            Format::Xml => "application/xml; charset=utf-8",
        };
        assert_eq!(self.header("content-type"), expected, "{body}");
        match self.format {
            Format::Json => serde_json::from_str(body).unwrap(),
            Format::Xml => xml(body, self.root),
        }
    }

    /// Fails unless this is the answer, to the last member.
    #[track_caller]
    pub(crate) fn gives(&self, expected: &Value) {
        assert_eq!(self.status, 200, "{}", self.body);
        let found = self.result();
        match self.format {
            Format::Json => assert_eq!(&found, expected),
            Format::Xml => assert!(agrees(expected, &found), "{expected} is not {found}"),
        }
    }

    /// Fails unless this is the answer, to the last byte, and all is well.
    #[track_caller]
    pub(crate) fn is(&self, body: &str) {
        assert_eq!((self.status, &self.body[..]), (200, body));
    }

    /// Fails unless it has this status and no body.
    #[track_caller]
    pub(crate) fn is_empty(&self, status: u16) {
        assert_eq!((self.status, &self.body[..]), (status, ""), "{self:?}");
    }

    /// The cause in an error of BWS, which must have this status.
    #[track_caller]
    pub(crate) fn message(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        let found = self.result();
        let members = found.as_object().unwrap();
        assert_eq!(members.len(), 1, "{found}");
        members["Message"].as_str().unwrap().to_owned()
    }

    /// Fails unless it was refused by BWS with this status and a message with these words.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, words: &str) {
        let message = self.message(status);
        assert!(message.contains(words), "{message}");
    }

    /// Fails unless it was refused by BWS with this code alone as its message.
    #[track_caller]
    pub(crate) fn is_code(&self, code: &str) {
        assert_eq!(self.message(400), code);
    }

    /// The problem of the native API that must have come back.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], format!("/v1/problems#{code}"));
        for text in ["title", "detail"] {
            assert!(!problem[text].as_str().unwrap().is_empty(), "{problem}");
        }
        problem
    }
}

/// What the result of a call is named in XML.
fn root(path: &str) -> &'static str {
    let name = path.trim_start_matches("/extension").trim_matches('/');
    let end = name.find(['?', '/']).unwrap_or(name.len());
    match &name[..end].to_ascii_lowercase()[..] {
        "upload" => "UploadResult",
        "enroll" => "EnrollResult",
        "verify" => "VerifyResult",
        "identify" => "IdentifyResult",
        "livenessdetection" => "LivenessDetectionResult",
        "result" => "OperationResult",
        "status" => "StatusResult",
        "qualitycheck" => "QualityCheckResult",
        "livedetection" | "passivelivedetection" | "videolivedetection" => "LiveDetectionResult",
        "photoverify2" => "PhotoVerifyResult",
        _ => "Error",
    }
}

/// A number in either format.
#[track_caller]
pub(crate) fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        value => value.as_f64().unwrap(),
    }
}

/// Whether an XML tree says what is expected. Nothing may be said by an absent element or a nil
/// one.
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
