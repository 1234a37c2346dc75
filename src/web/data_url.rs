//! The text that a sample travels in: `data:image/png;base64,...` (RFC 2397).
//!
//! Read by hand, since clients send what libraries for such URLs refuse: blanks, line breaks and
//! quotation marks, and no padding.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use percent_encoding::percent_decode;

/// Far more than any media type takes, so that a body without a comma is not searched to its end.
const HEAD_BYTES_MAX: usize = 1024;

/// What a data-URL holds.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct DataUrl {
    /// The media type in lower case, without parameters; empty if none is given.
    pub(super) media_type: String,
    /// The decoded bytes, at least one.
    pub(super) data: Vec<u8>,
}

/// Why a body is not a data-URL. The text never shows the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DataUrlError {
    /// There is nothing.
    #[error("the body is empty; expected a data-URL such as `data:image/png;base64,...`")]
    Empty,
    /// It begins otherwise, or has no comma.
    #[error("the body is not a data-URL such as `data:image/png;base64,...`")]
    Form,
    /// The data is not marked as base64.
    #[error("the data-URL is not marked with `;base64`")]
    NotBase64,
    /// There is no data behind the comma.
    #[error("the data-URL has no data")]
    NoData,
    /// The data is marked as base64 but is not.
    // No source, since the text has it: a chain of causes would say it twice.
    #[error("the data of the data-URL is not base64: {0}")]
    Base64(base64::DecodeError),
}

impl DataUrl {
    /// Reads a body.
    ///
    /// Blanks and quotation marks around it are ignored, as are line breaks and blanks in the
    /// data, and padding may be missing. A `+` is a `+`, whatever the content type of the body was;
    /// `%2B` and the like, which a strict URL has, are understood too.
    pub(super) fn parse(body: &[u8]) -> Result<DataUrl, DataUrlError> {
        let body = unquote(body);
        if body.is_empty() {
            return Err(DataUrlError::Empty);
        }
        let rest = strip_scheme(body).ok_or(DataUrlError::Form)?;
        let comma = rest
            .iter()
            .take(HEAD_BYTES_MAX)
            .position(|&byte| byte == b',');
        let (head, data) = rest.split_at(comma.ok_or(DataUrlError::Form)?);
        let head = str::from_utf8(head).map_err(|_not_utf8| DataUrlError::Form)?;
        let mut parts = head.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        if !parts.any(|part| part.eq_ignore_ascii_case("base64")) {
            return Err(DataUrlError::NotBase64);
        }
        let data = STANDARD_PAD_INDIFFERENT.decode(clean(&data[1..]));
        let data = data.map_err(DataUrlError::Base64)?;
        if data.is_empty() {
            return Err(DataUrlError::NoData);
        }
        Ok(DataUrl { media_type, data })
    }

    /// Whether a body looks like a data-URL, from its first bytes.
    pub(super) fn begins(body: &[u8]) -> bool {
        strip_scheme(unquote(body)).is_some()
    }
}

fn strip_scheme(body: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"data:";
    let (scheme, rest) = body.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// `body` without a byte-order mark, blanks around it, and one pair of quotation marks.
fn unquote(body: &[u8]) -> &[u8] {
    let body = body
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(body)
        .trim_ascii();
    match body {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner.trim_ascii(),
        _ => body,
    }
}

/// `data` without blanks and with percent-escapes decoded. What is left wrong is found by the
/// base64 decoder.
fn clean(data: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(data.len());
    for part in data.split(u8::is_ascii_whitespace) {
        clean.extend(percent_decode(part));
    }
    clean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &str) -> Result<(String, Vec<u8>), DataUrlError> {
        DataUrl::parse(body.as_bytes()).map(|url| (url.media_type, url.data))
    }

    #[test]
    fn the_same_bytes_come_out_of_all_spellings() {
        // Bytes whose base64 needs `+`, `/` and padding.
        let expected = ("image/png".to_owned(), vec![0xfb, 0xff, 0xfe, 0x01]);
        for body in [
            "data:image/png;base64,+//+AQ==",
            "data:image/png;base64,+//+AQ",
            "DATA:Image/PNG;BASE64,+//+AQ==",
            "data:image/png;charset=utf-8;base64,+//+AQ==",
            "data:image/png; base64,+//+AQ==",
            " \r\n\"data:image/png;base64,+//+AQ==\"\n",
            "'data:image/png;base64,+//+AQ=='",
            "\u{feff}data:image/png;base64,+//+AQ==",
            "data:image/png;base64,+//\r\n+ AQ\t==\n",
            "data:image/png;base64,%2B%2f%2F%2bAQ%3D%3d",
        ] {
            assert_eq!(parse(body).as_ref(), Ok(&expected), "{body}");
        }
    }

    #[test]
    fn an_escape_that_is_none_stays_as_it_is() {
        for (given, expected) in [
            ("a%2Bb%2f", "a+b/"),
            ("a%", "a%"),
            ("a%2", "a%2"),
            ("%zz%2x%+1", "%zz%2x%+1"),
            ("%%32%42", "%2B"),
            ("%25 32", "%32"),
            ("%\n2B %2\r\nB", "%2B%2B"),
            ("a%20b%0a", "a b\n"),
        ] {
            assert_eq!(clean(given.as_bytes()), expected.as_bytes(), "{given}");
        }
    }

    #[test]
    fn a_media_type_may_be_missing() {
        assert_eq!(parse("data:;base64,AAAA"), Ok((String::new(), vec![0; 3])));
    }

    #[test]
    fn each_fault_is_named() {
        let long = format!("data:{},AAAA", "x".repeat(HEAD_BYTES_MAX));
        for (body, expected) in [
            ("", DataUrlError::Empty),
            (" \n", DataUrlError::Empty),
            ("\"\"", DataUrlError::Empty),
            ("data", DataUrlError::Form),
            ("data:", DataUrlError::Form),
            ("data:image/png;base64", DataUrlError::Form),
            ("iVBORw0KGgo=", DataUrlError::Form),
            ("image=data:image/png;base64,AAAA", DataUrlError::Form),
            (&long, DataUrlError::Form),
            ("data:,", DataUrlError::NotBase64),
            ("data:image/png,AAAA", DataUrlError::NotBase64),
            ("data:image/png;base64,", DataUrlError::NoData),
            ("data:image/png;base64, \n", DataUrlError::NoData),
        ] {
            assert_eq!(parse(body), Err(expected), "{body}");
        }
        for data in ["A", "AAAAA", "AA*A", "AA-_", "AAAA=AAA", "%4", "%zz", "ä"] {
            let found = parse(&format!("data:image/png;base64,{data}"));
            assert!(
                matches!(found, Err(DataUrlError::Base64(_))),
                "{data}: {found:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_was_encoded_comes_back(data in prop::collection::vec(any::<u8>(), 1..200)) {
            let text = format!("data:image/x;base64,{}", STANDARD_PAD_INDIFFERENT.encode(&data));
            prop_assert_eq!(DataUrl::parse(text.as_bytes()).map(|url| url.data), Ok(data));
        }

        #[test]
        fn no_body_panics(
            head in prop::sample::select(vec!["", "data:", "data:image/png;base64,", "\""]),
            tail in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let _any = DataUrl::parse(&[head.as_bytes(), &tail].concat());
        }
    }
}
