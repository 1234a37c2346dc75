//! Where a collector listens.

use std::fmt;
use std::str::FromStr;

use axum::http::Uri;

/// The address of a collector that takes OTLP over plain HTTP, such as `http://127.0.0.1:4318`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint(String);

/// A text is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", OtlpEndpoint::EXPECTED)]
pub struct OtlpEndpointError;

impl OtlpEndpoint {
    /// What a text must be.
    pub const EXPECTED: &'static str = "an address of plain HTTP such as `http://127.0.0.1:4318`, where a \
                                        collector on this machine or beside it takes OTLP";

    /// Where it takes traces.
    pub fn traces(&self) -> String {
        format!("{}/v1/traces", self.0)
    }
}

impl FromStr for OtlpEndpoint {
    type Err = OtlpEndpointError;

    fn from_str(text: &str) -> Result<OtlpEndpoint, OtlpEndpointError> {
        let base = text.trim_end_matches('/');
        let rest = base.strip_prefix("http://").ok_or(OtlpEndpointError)?;
        let host = rest.split('/').next().unwrap_or_default();
        // A name and a password would be told in the log.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"@?#\"<>\\^`{|}".contains(&byte);
        let uri: Uri = base.parse().map_err(|_| OtlpEndpointError)?;
        // What stands behind the last colon, unless that is one of an IPv6 address.
        let port = host
            .rsplit_once(':')
            .filter(|(_, port)| !port.ends_with(']'));
        let is_port = uri.port_u16().is_some_and(|port| port > 0);
        if host.is_empty() || !rest.bytes().all(is_plain) || (port.is_some() && !is_port) {
            return Err(OtlpEndpointError);
        }
        Ok(OtlpEndpoint(base.to_owned()))
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_of_plain_http_without_a_secret() {
        for (text, traces) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://collector/", "http://collector/v1/traces"),
            (
                "http://[::1]:4318/otlp//",
                "http://[::1]:4318/otlp/v1/traces",
            ),
        ] {
            assert_eq!(text.parse::<OtlpEndpoint>().unwrap().traces(), traces);
        }
        for text in [
            "",
            "127.0.0.1:4318",
            "https://collector:4318",
            "http://",
            "http:///v1",
            "http://name:word@host",
            "http://host?key=1",
            "http://a b",
            "http://h\u{e4}st",
            "http://host:99999",
            "http://host:0",
            "http://host:",
            "http://host:port",
            "http://[::1]:65536",
        ] {
            assert_eq!(
                text.parse::<OtlpEndpoint>(),
                Err(OtlpEndpointError),
                "{text}"
            );
        }
    }
}
