//! What a request carries: one sample, several with names, or a stream.

use std::fmt;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header;
use axum::http::request::Parts;
use percent_encoding::percent_decode;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::data_url::{DataUrl, DataUrlError};
use super::error::Error;
use super::receive;
use super::state::AppState;

/// A body that has arrived whole, with the head of its request.
pub(super) struct Received {
    parts: Parts,
    body: Bytes,
}

/// The samples in a body by their names, each as the text of a data-URL, which may be missing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named<const N: usize>(pub(super) [Option<Vec<u8>>; N]);

impl Received {
    /// Waits for a body.
    pub(super) async fn whole(state: &AppState, request: Request) -> Result<Received, Error> {
        let (parts, body) = receive::whole(state, request).await?;
        Ok(Received { parts, body })
    }

    /// The text of the only sample: the body as it is, or the field of a form.
    pub(super) async fn sample(self) -> Result<Bytes, Error> {
        // Some clients announce a form and then send the bare text.
        if !self.is_multipart() || DataUrl::begins(&self.body) {
            return Ok(self.body);
        }
        for field in self.fields().await? {
            if DataUrl::begins(&field.value) {
                return Ok(field.value);
            }
        }
        Err(Error::bad_request(DataUrlError::Form.to_string()))
    }

    /// The samples called `names`, in any letter case: from JSON or a form of either kind. Which it is, is seen
    /// from the body; content types lie.
    pub(super) async fn named<const N: usize>(
        self,
        state: &AppState,
        names: [&'static str; N],
    ) -> Result<Named<N>, Error> {
        let (lanes, body_bytes) = (state.lanes(), self.body.len());
        lanes.read_body(body_bytes, self.read_named(names)).await
    }

    async fn read_named<const N: usize>(self, names: [&'static str; N]) -> Result<Named<N>, Error> {
        let mut named = Named([const { None }; N]);
        if self.is_multipart() {
            for field in self.fields().await? {
                named.put(names, &field.name, field.value.to_vec());
            }
            return Ok(named);
        }
        let body = self
            .body
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&self.body);
        if body.trim_ascii_start().starts_with(b"{") {
            return from_json(body, names);
        }
        if DataUrl::begins(body) {
            return Err(Error::bad_request(format!(
                "the body is one data-URL; expected JSON or a form with {}",
                listed(names)
            )));
        }
        for pair in body.split(|&byte| byte == b'&') {
            let end = pair.iter().position(|&byte| byte == b'=');
            let (name, value) = pair.split_at(end.unwrap_or(pair.len()));
            let name = percent_decoded(name);
            if let Ok(name) = str::from_utf8(&name) {
                let value = value.strip_prefix(b"=").unwrap_or_default();
                named.put(names, name, percent_decoded(value));
            }
        }
        Ok(named)
    }

    /// The only stream of a multipart form.
    pub(super) async fn stream(self) -> Result<Bytes, Error> {
        if !self.is_multipart() {
            return Err(Error::bad_request(
                "expected multipart/form-data with one stream",
            ));
        }
        let mut fields = self.fields().await?;
        let count = fields.len();
        match fields.pop() {
            Some(field) if count == 1 => Ok(field.value),
            _ => Err(Error::bad_request(format!(
                "the form has {count} streams; expected one"
            ))),
        }
    }

    fn is_multipart(&self) -> bool {
        let kind = self.parts.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("multipart/form-data")
    }

    async fn fields(self) -> Result<Vec<Field>, Error> {
        let broken = || Error::bad_request("the body is not well-formed multipart/form-data");
        let request = Request::from_parts(self.parts, Body::from(self.body));
        let form = Multipart::from_request(request, &()).await;
        let mut form = form.map_err(|_rejection| broken())?;
        let mut fields = Vec::new();
        while let Some(field) = form.next_field().await.map_err(|_rejection| broken())? {
            if fields.len() == FIELDS_MAX {
                return Err(Error::bad_request(format!(
                    "the form has more than {FIELDS_MAX} fields"
                )));
            }
            let name = field.name().unwrap_or_default().to_owned();
            let value = field.bytes().await.map_err(|_rejection| broken())?;
            fields.push(Field { name, value });
        }
        Ok(fields)
    }
}

/// Far more than any call has.
const FIELDS_MAX: usize = 100;

/// A part of a form.
struct Field {
    name: String,
    value: Bytes,
}

impl<const N: usize> Named<N> {
    /// Of several with one name the first counts.
    fn put(&mut self, names: [&'static str; N], name: &str, value: Vec<u8>) {
        let place = names
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name));
        if let Some(place) = place
            && self.0[place].is_none()
        {
            self.0[place] = Some(value);
        }
    }
}

fn listed<const N: usize>(names: [&'static str; N]) -> String {
    names.map(|name| format!("`{name}`")).join(", ")
}

/// Reads an object with texts. What has other names is passed over without being kept, however large or
/// deep it is.
fn from_json<const N: usize>(body: &[u8], names: [&'static str; N]) -> Result<Named<N>, Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let named = json
        .deserialize_map(Members(names))
        .and_then(|named| json.end().map(|()| named));
    named.map_err(|error| {
        // Where, but not what: the text of the error may show the body.
        let problem = match error.classify() {
            serde_json::error::Category::Data => "has a member that is no text",
            serde_json::error::Category::Eof => "breaks off",
            _ => "is no JSON",
        };
        Error::bad_request(format!(
            "the body {problem} at line {} column {}; expected an object with {}",
            error.line(),
            error.column(),
            listed(names)
        ))
    })
}

struct Members<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for Members<N> {
    type Value = Named<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<N>, A::Error> {
        let mut named = Named([const { None }; N]);
        while let Some(name) = map.next_key::<String>()? {
            let known = |known: &&str| known.eq_ignore_ascii_case(&name);
            if self.0.iter().any(known) {
                if let Some(value) = map.next_value::<Option<String>>()? {
                    named.put(self.0, &name, value.into_bytes());
                }
            } else {
                let _: IgnoredAny = map.next_value()?;
            }
        }
        Ok(named)
    }
}

/// `text` with percent-escapes decoded. A `+` stays one: in base64 it is no blank, and nothing else in
/// these forms has blanks. (Hence no `form_urlencoded`.)
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    percent_decode(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["one", "two"];

    async fn named(kind: &str, body: &str) -> Result<[Option<String>; 2], Error> {
        let request = Request::post("/").header(header::CONTENT_TYPE, kind);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let body = Bytes::from(body.to_owned());
        let found = Received { parts, body }.read_named(NAMES).await?;
        let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
        Ok(found.0.map(|value| value.map(text)))
    }

    fn some(one: &str, two: &str) -> [Option<String>; 2] {
        [Some(one.to_owned()), Some(two.to_owned())]
    }

    #[tokio::test]
    async fn all_kinds_of_bodies_say_the_same_and_a_plus_stays_one() {
        let form = "--x\r\nContent-Disposition: form-data; name=\"ONE\"\r\n\r\na+b\r\n\
                    --x\r\nContent-Disposition: form-data; name=\"two\"\r\n\r\nc\r\n--x--\r\n";
        for (kind, body) in [
            ("application/json", r#"{"one":"a+b","two":"c"}"#),
            (
                "text/plain",
                " {\"Two\":\"c\",\"x\":[{}],\"ONE\":\"a\\u002bb\"}",
            ),
            (
                "application/json",
                "\u{feff}{\"one\":\"a+b\",\"two\":\"c\"}",
            ),
            ("application/x-www-form-urlencoded", "one=a%2Bb&two=c"),
            ("application/json", "two=c&one=a+b&x=&&=&one=second"),
            ("multipart/form-data; boundary=x", form),
        ] {
            let found = named(kind, body).await;
            assert_eq!(found.unwrap(), some("a+b", "c"), "{body}");
        }
    }

    #[tokio::test]
    async fn what_is_missing_is_none() {
        let first = [Some("a".to_owned()), None];
        for body in [
            r#"{"one":"a"}"#,
            r#"{"one":"a","two":null}"#,
            "one=a",
            "one=a&two",
        ] {
            let mut expected = first.clone();
            if body.ends_with("two") {
                expected[1] = Some(String::new());
            }
            assert_eq!(named("", body).await.unwrap(), expected, "{body}");
        }
        for body in ["", "{}", "x", "%ff=%ff"] {
            assert_eq!(named("", body).await.unwrap(), [None, None], "{body}");
        }
    }

    #[tokio::test]
    async fn what_nobody_asks_for_is_passed_over_however_deep_it_is() {
        let depth = 100_000;
        let body = format!(
            r#"{{"x":{}1{},"one":"a"}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        );
        let found = named("application/json", &body).await.unwrap();
        assert_eq!(found, [Some("a".to_owned()), None]);
    }

    #[tokio::test]
    async fn bad_bodies_are_refused_and_never_shown() {
        let deep = format!(r#"{{"x":{}"#, "[".repeat(100_000));
        for body in [
            "{",
            r#"{"one":"a"} x"#,
            r#"{"one":5}"#,
            r#"{"one":["secret"]}"#,
            r#"{"one":"secret"#,
            "{\"one\":\"a\u{1}\"}",
            "data:image/png;base64,AAAA",
            &deep,
        ] {
            let error = named("application/json", body).await.unwrap_err();
            let shown = format!("{error:?}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}
