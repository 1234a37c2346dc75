//! The text that a sample travels in: base64, bare or as `data:image/png;base64,...` (RFC 2397).
//!
//! Read by hand, since clients send what libraries for such texts refuse: blanks, line breaks and
//! quotation marks, the escapes of JSON, and no padding.

use std::borrow::Cow;

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
    /// Blanks and quotation marks around it are ignored, and the data is that of [`base64`]. A `+`
    /// is a `+`, whatever the content type of the body was; `%2B` and the like, which a strict URL
    /// has, are understood too. So is a text of JSON (`"data:image\/png;base64,..."`).
    pub(super) fn parse(body: &[u8]) -> Result<DataUrl, DataUrlError> {
        let body = unescape(body);
        if body.is_empty() {
            return Err(DataUrlError::Empty);
        }
        let rest = strip_scheme(&body).ok_or(DataUrlError::Form)?;
        let comma = rest
            .iter()
            .take(HEAD_BYTES_MAX)
            .position(|&byte| byte == b',');
        let (head, data) = rest.split_at(comma.ok_or(DataUrlError::Form)?);
        let head = str::from_utf8(head).map_err(|_not_utf8| DataUrlError::Form)?;
        // PHP writes it so, and its text may have lost its quotation marks on the way.
        let head = head.replace("\\/", "/");
        let mut parts = head.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        if !parts.any(|part| part.eq_ignore_ascii_case("base64")) {
            return Err(DataUrlError::NotBase64);
        }
        let data: Cow<[u8]> = percent_decode(&data[1..]).into();
        let data = base64(&data).map_err(DataUrlError::Base64)?;
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

/// What a text of base64 stands for.
///
/// Line breaks and blanks are ignored, padding may be missing, `-` and `_` are the same as `+` and
/// `/`, and the latter may have the escape `\/`.
pub(super) fn base64(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    let mut clean = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'-' => clean.push(b'+'),
            b'_' => clean.push(b'/'),
            b'\\' if rest.peek() == Some(&b'/') => {}
            byte if byte.is_ascii_whitespace() => {}
            byte => clean.push(byte),
        }
    }
    STANDARD_PAD_INDIFFERENT.decode(clean)
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

/// `body` as [`unquote`] has it, or what it stands for if it is a text of JSON.
fn unescape(body: &[u8]) -> Cow<'_, [u8]> {
    let inner = unquote(body);
    if inner.contains(&b'\\') && inner.len() < body.len() {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        if let Ok(text) = serde_json::from_slice::<String>(body) {
            return Cow::Owned(text.trim_ascii().as_bytes().to_vec());
        }
    }
    Cow::Borrowed(inner)
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
    fn a_text_of_json_is_what_it_stands_for() {
        let expected = ("image/png".to_owned(), vec![0xfb, 0xff, 0xfe, 0x01]);
        for body in [
            r#""data:image\/png;base64,+\/\/+AQ==""#,
            r#" "data:image/png;base64,\u002b//\u002BAQ==" "#,
            r#""data:image/png;base64,+//\r\n+AQ\n==\n""#,
            r#""\u0064ata:image\/png;base64,+\/\/+AQ""#,
            "\u{feff}\"data:image\\/png;base64,+\\/\\/+AQ==\"\n",
            // Without its quotation marks, or with line breaks that JSON does not have.
            r"data:image\/png;base64,+\/\/+AQ==",
            "\"data:image\\/png;base64,+\\/\\/\n+AQ==\"",
            r"'data:image\/png;base64,+\/\/+AQ=='",
        ] {
            assert_eq!(parse(body).as_ref(), Ok(&expected), "{body}");
        }
        assert!(parse(r#""data:image\/png;base64,\x""#).is_err());
        assert!(parse(r#""data:image\/png;base64,AAAA\""#).is_err());
    }

    #[test]
    fn base64_is_taken_as_people_write_it() {
        for text in [
            "+//+AQ==",
            "+//+AQ",
            "-__-AQ==",
            "-__-AQ",
            "+/_-AQ=",
            "+//+\nAQ==",
            "+//+\r\nAQ==\r\n",
            " + / / + A Q = = ",
            "\n+//+AQ\n==\n",
            "+\\/\\/+AQ==",
            "\t+//+AQ==\u{c}",
        ] {
            let found = base64(text.as_bytes());
            assert_eq!(found, Ok(vec![0xfb, 0xff, 0xfe, 0x01]), "{text}");
        }
        assert_eq!(base64(b""), Ok(Vec::new()));
        for text in [
            "A",
            "+//+AQ===",
            "+//+A=Q=",
            "+//+AR==",
            "+//+\\AQ==",
            "+//+AQ==\0",
            "\u{a0}AQ==",
        ] {
            assert!(base64(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn an_escape_that_is_none_stays_as_it_is() {
        for data in [
            "AAA%", "AAA%2", "%zz", "%%32%42", "%25 32", "%\n2B", "A%C3%BC",
        ] {
            let found = parse(&format!("data:image/png;base64,{data}"));
            assert!(
                matches!(found, Err(DataUrlError::Base64(_))),
                "{data}: {found:?}"
            );
        }
        let escaped = parse("data:image/png;base64,%2B%2f%20%2F%0D%0a%2bAQ%3d%3D");
        assert_eq!(escaped.unwrap().1, [0xfb, 0xff, 0xfe, 0x01]);
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
        for data in ["A", "AAAAA", "AA*A", "AAAA=AAA", "%4", "%zz", "ä"] {
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
