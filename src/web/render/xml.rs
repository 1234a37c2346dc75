//! Values as XML, in the style of a .NET data contract, as the original's other interfaces wrote
//! it.
//!
//! The root element has the name of the value's type, a member that of its field, an entry of a
//! list that of its own type (`string` for a text). A missing value is an element with
//! `i:nil="true"`. What is left out of JSON is left out here, and the order is the same.
//! quick-xml's own serializer knows neither `i:nil` nor elements that are named by a type, so that
//! only its writer is used.

use std::fmt;

use quick_xml::Writer;
use quick_xml::escape::escape;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use serde::ser::{self, Impossible, Serialize, Serializer};

/// The namespace of `nil`.
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// A value has a form that XML answers do not have: a map, a tuple, an enum with data.
#[derive(Debug, thiserror::Error)]
#[error("cannot write as XML: {0}")]
pub(super) struct XmlError(String);

impl ser::Error for XmlError {
    fn custom<T: fmt::Display>(message: T) -> XmlError {
        XmlError(message.to_string())
    }
}

fn nameless(what: &str) -> XmlError {
    XmlError(format!("the parts of {what} have no names"))
}

/// `value` as a document whose elements are in `namespace`.
pub(super) fn document<T: Serialize + ?Sized>(
    value: &T,
    namespace: &'static str,
) -> Result<String, XmlError> {
    let mut out = Output {
        writer: Writer::new(Vec::new()),
        root: Some(namespace),
    };
    let declaration = BytesDecl::new("1.0", Some("utf-8"), None);
    out.event(Event::Decl(declaration))?;
    value.serialize(Element {
        out: &mut out,
        name: None,
    })?;
    String::from_utf8(out.writer.into_inner()).map_err(ser::Error::custom)
}

struct Output {
    writer: Writer<Vec<u8>>,
    /// The namespace, until the root has been written.
    root: Option<&'static str>,
}

impl Output {
    fn event(&mut self, event: Event<'_>) -> Result<(), XmlError> {
        self.writer.write_event(event).map_err(ser::Error::custom)
    }

    fn start(&mut self, name: &str) -> BytesStart<'static> {
        let mut start = BytesStart::new(name.to_owned());
        if let Some(namespace) = self.root.take() {
            start.push_attribute(("xmlns:i", INSTANCE));
            start.push_attribute(("xmlns", namespace));
        }
        start
    }

    fn open(&mut self, name: &str) -> Result<(), XmlError> {
        let start = self.start(name);
        self.event(Event::Start(start))
    }

    fn close(&mut self, name: &str) -> Result<(), XmlError> {
        self.event(Event::End(BytesEnd::new(name)))
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), XmlError> {
        self.open(name)?;
        self.event(Event::Text(BytesText::from_escaped(escaped(text))))?;
        self.close(name)
    }

    fn nil(&mut self, name: &str) -> Result<(), XmlError> {
        let mut start = self.start(name);
        start.push_attribute(("i:nil", "true"));
        self.event(Event::Empty(start))
    }
}

/// A text with `<`, `&` and the like escaped. A carriage return is, too, or readers would take it
/// for a line feed; characters that XML cannot have in any form become the replacement character.
fn escaped(text: &str) -> String {
    let possible = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let clean: String = text
        .chars()
        .map(|c| if possible(c) { c } else { '\u{fffd}' })
        .collect();
    escape(clean).replace('\r', "&#13;")
}

/// An element that is about to be written. Without a name it takes that of its type.
struct Element<'a> {
    out: &'a mut Output,
    name: Option<&'static str>,
}

impl Element<'_> {
    fn write(self, kind: &'static str, text: &str) -> Result<(), XmlError> {
        self.out.text(self.name.unwrap_or(kind), text)
    }
}

impl<'a> Element<'a> {
    fn open(self, kind: &'static str) -> Result<Open<'a>, XmlError> {
        let name = self.name.unwrap_or(kind);
        self.out.open(name)?;
        Ok(Open {
            out: self.out,
            name,
        })
    }
}

/// An element of which the children are being written.
struct Open<'a> {
    out: &'a mut Output,
    name: &'static str,
}

impl Open<'_> {
    fn child<T: Serialize + ?Sized>(
        &mut self,
        name: Option<&'static str>,
        value: &T,
    ) -> Result<(), XmlError> {
        let out = &mut *self.out;
        value.serialize(Element { out, name })
    }

    fn close(self) -> Result<(), XmlError> {
        self.out.close(self.name)
    }
}

macro_rules! plain {
    ($($method:ident: $type:ty => $kind:literal),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<(), XmlError> {
            self.write($kind, &value.to_string())
        })*
    };
}

impl<'a> Serializer for Element<'a> {
    type Ok = ();
    type Error = XmlError;
    type SerializeSeq = Open<'a>;
    type SerializeTuple = Impossible<(), XmlError>;
    type SerializeTupleStruct = Impossible<(), XmlError>;
    type SerializeTupleVariant = Impossible<(), XmlError>;
    type SerializeMap = Impossible<(), XmlError>;
    type SerializeStruct = Open<'a>;
    type SerializeStructVariant = Impossible<(), XmlError>;

    plain! {
        serialize_bool: bool => "boolean",
        serialize_i8: i8 => "int", serialize_i16: i16 => "int", serialize_i32: i32 => "int",
        serialize_i64: i64 => "long",
        serialize_u8: u8 => "int", serialize_u16: u16 => "int", serialize_u32: u32 => "long",
        serialize_u64: u64 => "long",
        serialize_char: char => "string", serialize_str: &str => "string",
    }

    fn serialize_f32(self, value: f32) -> Result<(), XmlError> {
        self.write("float", &format!("{value:?}"))
    }

    fn serialize_f64(self, value: f64) -> Result<(), XmlError> {
        self.write("double", &format!("{value:?}"))
    }

    fn serialize_bytes(self, _value: &[u8]) -> Result<(), XmlError> {
        Err(nameless("bytes"))
    }

    fn serialize_none(self) -> Result<(), XmlError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), XmlError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), XmlError> {
        self.out.nil(self.name.unwrap_or("nothing"))
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), XmlError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), XmlError> {
        self.write(name, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), XmlError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<(), XmlError> {
        Err(nameless(name))
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Open<'a>, XmlError> {
        self.open("array")
    }

    fn serialize_tuple(self, _length: usize) -> Result<Impossible<(), XmlError>, XmlError> {
        Err(nameless("a tuple"))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _length: usize,
    ) -> Result<Impossible<(), XmlError>, XmlError> {
        Err(nameless(name))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Impossible<(), XmlError>, XmlError> {
        Err(nameless(name))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Impossible<(), XmlError>, XmlError> {
        Err(nameless("a map"))
    }

    fn serialize_struct(self, name: &'static str, _length: usize) -> Result<Open<'a>, XmlError> {
        self.open(name)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Impossible<(), XmlError>, XmlError> {
        Err(nameless(name))
    }
}

impl ser::SerializeSeq for Open<'_> {
    type Ok = ();
    type Error = XmlError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), XmlError> {
        self.child(None, value)
    }

    fn end(self) -> Result<(), XmlError> {
        self.close()
    }
}

impl ser::SerializeStruct for Open<'_> {
    type Ok = ();
    type Error = XmlError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), XmlError> {
        self.child(Some(key), value)
    }

    fn end(self) -> Result<(), XmlError> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    fn written<T: Serialize + ?Sized>(value: &T) -> String {
        let text = document(value, "urn:test").unwrap();
        let rest = text.strip_prefix(r#"<?xml version="1.0" encoding="utf-8"?>"#);
        rest.unwrap().to_owned()
    }

    const ROOT: &str = r#"xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns="urn:test""#;

    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Whole {
        success: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Code>,
        state: Option<&'static str>,
        warnings: Vec<&'static str>,
        parts: Vec<Part>,
    }

    #[derive(Serialize)]
    enum Code {
        NoFaceFound,
    }

    #[derive(Serialize)]
    struct Part {
        #[serde(rename = "ClassID")]
        class: i64,
        #[serde(rename = "Score")]
        score: f64,
    }

    #[test]
    fn names_are_those_of_types_and_fields() {
        let whole = Whole {
            success: true,
            error: None,
            state: None,
            warnings: vec!["a", "b"],
            parts: vec![Part {
                class: -7,
                score: 0.25,
            }],
        };
        let expected = format!(
            "<Whole {ROOT}><Success>true</Success><State i:nil=\"true\"/>\
             <Warnings><string>a</string><string>b</string></Warnings>\
             <Parts><Part><ClassID>-7</ClassID><Score>0.25</Score></Part></Parts></Whole>"
        );
        assert_eq!(written(&whole), expected);
        let failed = Whole {
            error: Some(Code::NoFaceFound),
            ..whole
        };
        assert!(written(&failed).contains("<Error>NoFaceFound</Error>"));
    }

    #[test]
    fn bare_values_are_named_by_their_type() {
        assert_eq!(written(&true), format!("<boolean {ROOT}>true</boolean>"));
        assert_eq!(written("x"), format!("<string {ROOT}>x</string>"));
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced_and_the_rest_is_escaped() {
        assert_eq!(
            escaped("<a b=\"c\">&'</a>\r\n\t"),
            "&lt;a b=&quot;c&quot;&gt;&amp;&apos;&lt;/a&gt;&#13;\n\t"
        );
        assert_eq!(
            escaped("\0\u{1}\u{b}\u{1f}\u{fffe}\u{ffff}"),
            "\u{fffd}".repeat(6)
        );
        assert_eq!(
            escaped("ü\u{85}\u{7f}\u{10ffff}"),
            "ü\u{85}\u{7f}\u{10ffff}"
        );
        assert_eq!(escaped("]]>"), "]]&gt;");
    }

    #[test]
    fn what_has_no_name_in_xml_is_an_error() {
        use std::collections::BTreeMap;
        assert!(document(&BTreeMap::from([("a b", 1)]), "urn:test").is_err());
        assert!(document(&(1, 2), "urn:test").is_err());
    }
}
