//! What is said to a client whose request never becomes one: in the words, the format and with the
//! headers of all other refusals, since the router says it, too.

use std::net::IpAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use chrono::DateTime;
use futures_util::FutureExt as _;
use tower::Service as _;

use super::answering::Peer;
use super::head::HeadFault;
use crate::types::Clock;

/// Refusals are short.
const BODY_BYTES_MAX: usize = 16 << 10;

/// A whole answer that refuses what begins with these bytes, which may be none. It closes the
/// connection.
pub(super) fn refusal(
    router: &Router,
    peer: IpAddr,
    fault: HeadFault,
    beginning: &[u8],
) -> Vec<u8> {
    let mut request = request(beginning);
    let has_body = request.method() != Method::HEAD;
    let extensions = request.extensions_mut();
    extensions.insert(fault);
    extensions.insert(Peer(peer.to_canonical()));
    // Nothing on the way of a refusal waits: whoever refuses does not, either.
    let answered = router.clone().call(request).now_or_never();
    let (parts, body) = answered
        .map_or_else(busy, |Ok(response)| response)
        .into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).now_or_never();
    let body = body.and_then(Result::ok).unwrap_or_default();
    let mut answer = head_of(parts.status);
    for (name, value) in &parts.headers {
        if ![header::CONNECTION, header::CONTENT_LENGTH].contains(name) {
            answer.extend(name.as_str().as_bytes());
            answer.extend(b": ");
            answer.extend(value.as_bytes());
            answer.extend(b"\r\n");
        }
    }
    answer.extend(format!("content-length: {}\r\n\r\n", body.len()).into_bytes());
    if has_body {
        answer.extend(&body[..]);
    }
    answer
}

/// The first lines of an answer behind which the connection closes.
fn head_of(status: StatusCode) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!(
        "HTTP/1.1 {} {reason}\r\nconnection: close\r\n",
        status.as_u16()
    );
    if let Some(now) = DateTime::from_timestamp_millis(Clock::System.now().unix_milliseconds) {
        let date = now.format("%a, %d %b %Y %H:%M:%S GMT");
        head.push_str(&format!("date: {date}\r\n"));
    }
    head.into_bytes()
}

fn busy() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// The request that begins so, as far as it can be read: what it is for decides how it is refused,
/// and its headers say in which format, and by which name.
fn request(beginning: &[u8]) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    let start = beginning.iter().position(|byte| !b"\r\n".contains(byte));
    let mut lines = beginning[start.unwrap_or_default()..].split_inclusive(|byte| *byte == b'\n');
    let mut words = lines
        .next()
        .unwrap_or_default()
        .split(u8::is_ascii_whitespace);
    if let Some(method) = words.next().and_then(|word| Method::from_bytes(word).ok()) {
        *request.method_mut() = method;
    }
    if let Some(uri) = words.next().and_then(|word| Uri::try_from(word).ok()) {
        *request.uri_mut() = uri;
    }
    // A line without an end may be the beginning of a longer one.
    for line in lines.filter_map(|line| line.strip_suffix(b"\n")) {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let name = halves.next().map(HeaderName::from_bytes);
        let value = halves.next().map(<[u8]>::trim_ascii);
        if let (Some(Ok(name)), Some(Ok(value))) = (name, value.map(HeaderValue::from_bytes)) {
            request.headers_mut().append(name, value);
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_beginning_is_read_what_is_whole() {
        for (beginning, method, path, accept) in [
            (&b""[..], "GET", "/", None),
            (b"\r\n\r", "GET", "/", None),
            (b"PO", "PO", "/", None),
            (b"POST /v1/sta", "POST", "/v1/sta", None),
            (b"\r\nHEAD /a?b HTTP/1.1\r\nAcc", "HEAD", "/a", None),
            (b"GET /a HTTP/1.1\r\nAccept: text/x", "GET", "/a", None),
            (b"GET /a\nAccept:  b \n", "GET", "/a", Some("b")),
            (
                b"GET /a x\r\n : c\r\nno\r\nACCEPT:d\r\n\r\n",
                "GET",
                "/a",
                Some("d"),
            ),
            (b"\xff\x00 \xff\r\n\xff: \xff\r\n", "GET", "/", None),
        ] {
            let request = request(beginning);
            let found = request.headers().get(header::ACCEPT);
            let found = found.map(|value| value.to_str().unwrap());
            assert_eq!(request.method(), method, "{beginning:?}");
            assert_eq!(
                (request.uri().path(), found),
                (path, accept),
                "{beginning:?}"
            );
        }
    }

    #[test]
    fn a_refusal_is_a_whole_answer_and_to_head_it_has_no_body() {
        let router = Router::new().fallback(async |uri: Uri| uri.path().to_owned());
        let peer = IpAddr::from([127, 0, 0, 1]);
        let say = |beginning: &[u8]| {
            let answer = refusal(&router, peer, HeadFault::Slow, beginning);
            String::from_utf8(answer).unwrap()
        };
        let answer = say(b"GET /abc HT");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nconnection: close\r\ndate: "));
        assert!(head.contains(" GMT\r\n") && head.ends_with("\r\ncontent-length: 4"));
        assert_eq!(body, "/abc");
        let answer = say(b"HEAD /abc HT");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert_eq!(answer.matches("content-length").count(), 1);
    }
}
