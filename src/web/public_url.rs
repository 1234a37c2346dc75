//! The URL under which clients reach the service.

use std::str::FromStr;

use axum::http::Uri;

/// A URL that can stand in tokens: `http` or `https`, with a host, and without anything that only a
/// single request can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

/// The text is not [`PublicUrl::EXPECTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", PublicUrl::EXPECTED)]
pub struct PublicUrlError;

impl PublicUrl {
    /// What a text must be.
    pub const EXPECTED: &'static str = "an http or https URL with a host, without query, \
        fragment or credentials, such as `https://faces.example.org`";

    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PublicUrl {
    type Err = PublicUrlError;

    fn from_str(text: &str) -> Result<PublicUrl, PublicUrlError> {
        // The parser drops a fragment without a word.
        let is_bare =
            !text.contains(['#', '@', '?']) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let uri: Uri = text.parse().map_err(|_| PublicUrlError)?;
        if is_bare && has_scheme(&uri) && has_host(&uri) {
            Ok(PublicUrl(text.trim_end_matches('/').to_owned()))
        } else {
            Err(PublicUrlError)
        }
    }
}

fn has_scheme(uri: &Uri) -> bool {
    let schemes = ["http", "https"];
    uri.scheme_str().is_some_and(|found| {
        schemes
            .iter()
            .any(|scheme| found.eq_ignore_ascii_case(scheme))
    })
}

/// Whether there is a host, and behind it a port or nothing.
fn has_host(uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else {
        return false;
    };
    let host = authority.host();
    let port = authority.as_str().strip_prefix(host);
    let is_port = |port: &str| port.is_empty() || uri.port_u16().is_some_and(|port| port > 0);
    host.bytes()
        .any(|byte| byte.is_ascii_alphanumeric() || byte == b']')
        && port.is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_anything_of_a_single_request() {
        for (good, kept) in [
            ("http://a.org/", "http://a.org"),
            ("https://faces.example.org", "https://faces.example.org"),
            (
                "https://faces.example.org:8443/bws",
                "https://faces.example.org:8443/bws",
            ),
            ("http://[::1]:8040", "http://[::1]:8040"),
            ("HTTP://LOCALHOST", "HTTP://LOCALHOST"),
        ] {
            assert_eq!(good.parse::<PublicUrl>().unwrap().as_str(), kept);
        }
        for bad in [
            "",
            "nonsense",
            "faces.example.org",
            "faces.example.org:8040",
            "/bws",
            "ftp://a.org",
            "http://",
            "http:///bws",
            "http://:8040",
            "http://a.org:",
            "http://a.org:0",
            "http://a.org:99999",
            "http://a.org?x",
            "http://a.org/#x",
            "http://u:p@a.org",
            "http://a b.org",
            "http://a.org\n",
            "http://a.org/a\r\nb",
            " http://a.org",
            "http://ä.org",
            "http://[::1",
        ] {
            assert!(bad.parse::<PublicUrl>().is_err(), "{bad:?}");
        }
    }
}
