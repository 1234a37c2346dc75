//! Ways into a service.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// A request.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: &'static str,
    /// With its query.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// The apps that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// May use the storage `bws`.
    Main,
    /// May use partition 5 of the storage `bws`.
    Narrow,
    /// May use the storage `other`.
    Stranger,
}

/// The name of [`Who::Narrow`], with all kinds of characters that a token must not hold as they are.
pub(super) const NARROW_NAME: &str = "Gate ~?> \u{fc}ber \u{5317} \u{1f6aa}";

/// An App-ID and its secret.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: String,
}

/// A way into a service.
pub(super) trait Door {
    /// Sends a request and waits for its answer.
    fn send(&self, call: &Call) -> Reply;

    /// The credentials of an app.
    fn credentials(&self, who: Who) -> Credentials;

    /// The URL that stands in tokens.
    fn public_url(&self) -> String;

    /// Lets time pass.
    ///
    /// # Panics
    ///
    /// If the service goes by the real clock.
    fn advance(&self, seconds: u64);
}

impl Call {
    pub(super) fn new(method: &'static str, path: impl Into<String>) -> Call {
        Call {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Call {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Call {
        self.body = body.into();
        self
    }
}

impl Reply {
    /// An answer from the bytes on a socket, which are all that came until it was closed.
    ///
    /// # Panics
    ///
    /// If they are none, or if the phrase behind the status is not the standard one, which is all
    /// that pages show of an error.
    pub(super) fn from_bytes(bytes: &[u8]) -> Reply {
        const END: &[u8] = b"\r\n\r\n";
        let head = bytes.windows(END.len()).position(|found| found == END);
        let head = head.unwrap_or_else(|| panic!("no answer: {}", bytes.escape_ascii()));
        let (head, body) = (&bytes[..head], &bytes[head + END.len()..]);
        let mut lines = str::from_utf8(head).unwrap().split("\r\n");
        let status_line = lines.next().unwrap();
        let rest = status_line.strip_prefix("HTTP/1.1 ").unwrap();
        let (status, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
        let status = StatusCode::from_bytes(status.as_bytes()).unwrap();
        assert_eq!(status.canonical_reason(), Some(phrase));
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value.trim()).unwrap(),
            );
        }
        Reply {
            status: status.as_u16(),
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}
