//! Spans as a collector reads them: OTLP over HTTP, in JSON (OpenTelemetry Protocol 1.x, "JSON Protobuf
//! Encoding": ids in hexadecimal digits, 64-bit numbers as texts).
//!
//! Written by us: it is one structure, which does not change any more, and the crates for it bring
//! Protocol Buffers and a second HTTP client along.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// Something that took time.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    pub(super) parent: Option<[u8; 8]>,
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
}

/// What it was.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A request that was answered, or whose client left.
    Server {
        method: String,
        route: Option<String>,
        status: Option<u16>,
        request_id: String,
    },
    /// A step of one.
    Internal,
}

/// `SPAN_KIND_INTERNAL`, `SPAN_KIND_SERVER` and `STATUS_CODE_ERROR` of the protocol.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const ERROR: u8 = 2;

/// The body of an export of some spans.
pub(super) fn body(spans: &[Span]) -> Vec<u8> {
    let spans: Vec<Value> = spans.iter().map(span).collect();
    let scope = json!({ "name": "vultus", "version": env!("CARGO_PKG_VERSION") });
    let resource = [
        text("service.name", "vultus"),
        text("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let all = json!({
        "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": scope, "spans": spans }],
        }],
    });
    all.to_string().into_bytes()
}

fn span(span: &Span) -> Value {
    let (kind, attributes, is_ours) = match &span.kind {
        Kind::Internal => (INTERNAL, Vec::new(), false),
        Kind::Server {
            method,
            route,
            status,
            request_id,
        } => {
            let mut attributes = vec![
                text("http.request.method", method),
                text("vultus.request_id", request_id),
            ];
            attributes.extend(route.as_ref().map(|route| text("http.route", route)));
            let status_of = |status: u16| json!({ "key": "http.response.status_code", "value": { "intValue": status.to_string() } });
            attributes.extend(status.map(status_of));
            (
                SERVER,
                attributes,
                status.is_some_and(|status| status >= 500),
            )
        }
    };
    let mut told = json!({
        "traceId": hex(&span.trace),
        "spanId": hex(&span.span),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": nanoseconds(span.began),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": attributes,
    });
    if let Some(parent) = &span.parent {
        told["parentSpanId"] = hex(parent).into();
    }
    if is_ours {
        told["status"] = json!({ "code": ERROR });
    }
    told
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn nanoseconds(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Into a text it cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn spans_are_written_as_collectors_read_them() {
        let began = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_001);
        let request = Span {
            trace: [0xab; 16],
            span: [1; 8],
            parent: None,
            name: "GET /v1/status".into(),
            kind: Kind::Server {
                method: "GET".to_owned(),
                route: Some("/v1/status".to_owned()),
                status: Some(503),
                request_id: "7".to_owned(),
            },
            began,
            ended: began + Duration::from_nanos(5),
        };
        let step = Span {
            span: [2; 8],
            parent: Some([1; 8]),
            name: "decode".into(),
            kind: Kind::Internal,
            ..request
        };
        let told: Value = serde_json::from_slice(&body(&[request, step])).unwrap();
        let spans = &told["resourceSpans"][0]["scopeSpans"][0]["spans"];
        let expected = json!({
            "traceId": "ab".repeat(16),
            "spanId": "01".repeat(8),
            "name": "GET /v1/status",
            "kind": 2,
            "startTimeUnixNano": "1700000000000000001",
            "endTimeUnixNano": "1700000000000000006",
            "attributes": [
                { "key": "http.request.method", "value": { "stringValue": "GET" } },
                { "key": "vultus.request_id", "value": { "stringValue": "7" } },
                { "key": "http.route", "value": { "stringValue": "/v1/status" } },
                { "key": "http.response.status_code", "value": { "intValue": "503" } },
            ],
            "status": { "code": 2 },
        });
        assert_eq!(spans[0], expected);
        assert_eq!(spans[1]["parentSpanId"], "01".repeat(8));
        assert_eq!(
            (&spans[1]["kind"], &spans[1]["name"]),
            (&json!(1), &json!("decode"))
        );
        let service = &told["resourceSpans"][0]["resource"]["attributes"][0];
        assert_eq!(service["value"]["stringValue"], "vultus");
    }
}
