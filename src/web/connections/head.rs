//! What is wrong with the head of a request before anybody asks what it wants.

use std::net::Ipv6Addr;

use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, StatusCode, Version};

/// Why a request is refused whatever it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::web) enum HeadFault {
    /// Two who read it, such as a proxy and this service, could disagree on where it ends.
    #[error("`Content-Length` and `Transfer-Encoding` exclude each other")]
    TwoLengths,
    /// How the body is packed on the way is not known here, so that nobody can read it.
    #[error("of all `Transfer-Encoding` only `chunked` is understood")]
    UnknownCoding,
    /// Where the body ends is not known.
    #[error("`Transfer-Encoding` must end with `chunked`, and have it once")]
    NoEnd,
    #[error("the header `Host` is missing")]
    NoHost,
    #[error("the header `Host` is there more than once")]
    SeveralHosts,
    #[error("the header `Host` is no host with or without a port")]
    WrongHost,
    /// It has begun, and does not come to its end.
    #[error("the head of the request took too long to arrive")]
    Slow,
    #[error("the head of the request is not that of HTTP/1.1")]
    Unreadable,
    #[error("the address that the request is for is too long")]
    LongTarget,
    #[error("the head of the request is too long, or has too many headers")]
    TooLarge,
    /// Nobody reads it: there are as many connections as there may be.
    #[error("as many requests are at hand as there may be connections; try again in a moment")]
    NoSeat,
}

impl HeadFault {
    /// The first fault of a head.
    pub(super) fn of(
        version: Version,
        headers: &HeaderMap,
        has_two_lengths: bool,
    ) -> Option<HeadFault> {
        if has_two_lengths {
            return Some(HeadFault::TwoLengths);
        }
        if let Some(fault) = fault_of_coding(headers) {
            return Some(fault);
        }
        let mut hosts = headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (None, _) => (version >= Version::HTTP_11).then_some(HeadFault::NoHost),
            (Some(_), Some(_)) => Some(HeadFault::SeveralHosts),
            (Some(host), None) => (!is_host(host.as_bytes())).then_some(HeadFault::WrongHost),
        }
    }

    /// What is wrong where hyper refuses a head by itself, with this status.
    pub(super) fn of_status(status: StatusCode) -> HeadFault {
        match status {
            StatusCode::URI_TOO_LONG => HeadFault::LongTarget,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => HeadFault::TooLarge,
            _ => HeadFault::Unreadable,
        }
    }

    /// Whether nothing can be read behind such a request.
    pub(in crate::web) fn is_last(self) -> bool {
        !matches!(
            self,
            HeadFault::NoHost | HeadFault::SeveralHosts | HeadFault::WrongHost
        )
    }
}

/// What is wrong with how the body is packed on the way (RFC 9112, 6.1). Of several codings the last
/// tells where the body ends, and all must be undone to read it.
fn fault_of_coding(headers: &HeaderMap) -> Option<HeadFault> {
    let values = headers.get_all(TRANSFER_ENCODING).iter();
    let codings: Vec<&[u8]> = values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty())
        .collect();
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let chunked = codings.iter().filter(|coding| is_chunked(coding)).count();
    let (last, others) = codings.split_last()?;
    match chunked {
        1 if is_chunked(last) && others.is_empty() => None,
        1 if is_chunked(last) => Some(HeadFault::UnknownCoding),
        _ => Some(HeadFault::NoEnd),
    }
}

/// Whether it is a name or an address, with or without a port (RFC 3986).
fn is_host(text: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(text) else {
        return false;
    };
    let (is_good, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            (is_ipv6(address), port)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (name, port) = text.split_at(end);
            (!name.is_empty() && name.bytes().all(is_of_name), port)
        }
    };
    is_good && is_port(port)
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte)
}

/// An address, with or without the name of an interface.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.bytes().all(is_of_name)
}

/// A port with its colon, or nothing; the number may be missing.
fn is_port(text: &str) -> bool {
    let digits = match text.strip_prefix(':') {
        Some(digits) => digits,
        None if text.is_empty() => return true,
        None => return false,
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && (digits.is_empty() || digits.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn fault(version: Version, hosts: &[&[u8]]) -> Option<HeadFault> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_bytes(host).unwrap());
        }
        HeadFault::of(version, &headers, false)
    }

    #[test]
    fn one_host_is_needed_and_none_by_the_oldest() {
        let new = Version::HTTP_11;
        assert_eq!(fault(new, &[]), Some(HeadFault::NoHost));
        assert_eq!(fault(Version::HTTP_10, &[]), None);
        for version in [new, Version::HTTP_10] {
            let several = Some(HeadFault::SeveralHosts);
            assert_eq!(fault(version, &[b"a", b"a"]), several);
        }
        let both = HeadFault::of(new, &HeaderMap::new(), true);
        assert_eq!(both, Some(HeadFault::TwoLengths));
    }

    #[test]
    fn a_body_is_in_chunks_and_in_nothing_else() {
        let (none, unknown, no_end) =
            (None, Some(HeadFault::UnknownCoding), Some(HeadFault::NoEnd));
        for (values, expected) in [
            (&[][..], none),
            (&["chunked"], none),
            (&["Chunked"], none),
            (&[" chunked\t"], none),
            (&[", chunked"], none),
            (&["chunked,"], none),
            (&["", "chunked"], none),
            (&["gzip, chunked"], unknown),
            (&["gzip", "chunked"], unknown),
            (&["identity, chunked"], unknown),
            (&["gzip;q=1,deflate,chunked"], unknown),
            (&["chunked, chunked"], no_end),
            (&["chunked", "CHUNKED"], no_end),
            (&["chunked, gzip"], no_end),
            (&["chunked", "identity"], no_end),
            (&["identity"], no_end),
            (&["gzip"], no_end),
            (&["chunked;q=1"], no_end),
            (&["\"chunked\""], no_end),
            (&["xchunked"], no_end),
            (&["chunked x"], no_end),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("a"));
            for value in values {
                headers.append(TRANSFER_ENCODING, HeaderValue::from_static(value));
            }
            let found = HeadFault::of(Version::HTTP_11, &headers, false);
            assert_eq!(found, expected, "{values:?}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for good in [
            "a",
            "faces.example.org",
            "faces.example.org:8040",
            "faces.example.org:",
            "my_service:80",
            "127.0.0.1:8040",
            "[::1]",
            "[::1]:8040",
            "[fe80::1%25eth0]:8040",
            "[::ffff:127.0.0.1]",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(fault(Version::HTTP_11, &[good.as_bytes()]), None, "{good}");
        }
        for bad in [
            &b""[..],
            b":8040",
            b"a b",
            b"a/b",
            b"http://a",
            b"user@a",
            b"a:b",
            b"a:65536",
            b"a:80:80",
            b"::1",
            b"[::1",
            b"[::1]x",
            b"[::1]:x",
            b"[a]",
            b"[]",
            b"a,b/c",
            b"a\tb",
            b"\xc3\xa4.org",
            b"\xff",
            b"a\"",
            b"<a>",
        ] {
            let wrong = Some(HeadFault::WrongHost);
            assert_eq!(fault(Version::HTTP_11, &[bad]), wrong, "{bad:?}");
        }
    }
}
