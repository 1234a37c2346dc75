//! How answers are written. The one place that knows a format.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// `body` as JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).expect("answers have texts, numbers and lists only");
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// A bare text, or the same as a JSON string for a client that wants that more.
pub(super) fn text(headers: &HeaderMap, body: &str) -> Response {
    if prefers_json(headers) {
        return json(StatusCode::OK, &body);
    }
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], body.to_owned()).into_response()
}

/// Whether `Accept` names JSON and likes it better than plain text. A client that takes anything
/// gets plain text, as does one without preferences.
fn prefers_json(headers: &HeaderMap) -> bool {
    let mut json = 0.0_f32;
    // How much plain text is liked, by how exactly it is named.
    let mut plain = [None, None, None];
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let (name, weight) = media_range(range);
            match name.as_str() {
                "application/json" | "text/json" => json = json.max(weight),
                "text/plain" => plain[0] = Some(weight),
                "text/*" => plain[1] = Some(weight),
                "*/*" => plain[2] = Some(weight),
                _ => {}
            }
        }
    }
    let plain = plain.into_iter().flatten().next().unwrap_or(0.0);
    json > plain
}

/// The lower-case name of a media range and its weight. A weight that is no number counts as 1.
fn media_range(range: &str) -> (String, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts
        .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
        .and_then(|weight| weight.trim().parse().ok())
        .unwrap_or(1.0);
    (name, weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefers(accept: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, HeaderValue::from_static(value));
        }
        prefers_json(&headers)
    }

    #[test]
    fn json_must_be_wanted_more_than_plain_text() {
        for plain in [
            &[][..],
            &[""],
            &["*/*"],
            &["text/plain"],
            &["text/plain", "application/json"],
            // What axios sends.
            &["application/json, text/plain, */*"],
            &["application/xml"],
            &["application/json;q=0.5, text/*"],
            &["application/json;q=0"],
        ] {
            assert!(!prefers(plain), "{plain:?}");
        }
        for json in [
            &["application/json"][..],
            &["Application/JSON; charset=utf-8"],
            &["text/json"],
            // What jQuery sends for the data type `json`.
            &["application/json, text/javascript, */*; q=0.01"],
            &["text/plain; q=0.2, application/json;q=0.8, */*"],
            &["text/plain;q=0", "application/json;q=0.1"],
        ] {
            assert!(prefers(json), "{json:?}");
        }
    }
}
