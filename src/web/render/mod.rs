//! How answers are written. The one place that knows a format.
//!
//! Handlers and errors give a status and a value; [`write()`], a layer around them all, writes the
//! value in the format that the request's `Accept` prefers. So every answer, whatever it is, comes
//! in JSON and in XML, and no handler knows which.

mod accept;
mod xml;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub(super) use accept::Accept;
use accept::Format;

/// The namespace of XML answers. It is the one in which the vendor's SOAP interface described a
/// class with its score; that of the Web API was never published.
const NAMESPACE: &str = "http://schemas.bioid.com/2011/12/bws";

/// An answer that waits to be written.
#[derive(Clone)]
enum Pending {
    /// A value.
    Value(Arc<dyn Written + Send + Sync>),
    /// A text that is plain unless the client wants otherwise.
    Text(Arc<str>),
}

/// A value that can be written in every format.
trait Written {
    fn json(&self) -> String;
    fn xml(&self) -> String;
}

impl<T: Serialize + ?Sized> Written for T {
    fn json(&self) -> String {
        serde_json::to_string(self).expect("answers have texts, numbers and lists only")
    }

    fn xml(&self) -> String {
        xml::document(self, NAMESPACE).expect("answers have texts, numbers and lists only")
    }
}

/// `body` with a status.
pub(super) fn answer<T: Serialize + Send + Sync + 'static>(
    status: StatusCode,
    body: T,
) -> Response {
    pending(status, Pending::Value(Arc::new(body)))
}

/// A bare text, or the same as JSON or XML for a client that wants that more.
pub(super) fn text(body: &str) -> Response {
    pending(StatusCode::OK, Pending::Text(body.into()))
}

fn pending(status: StatusCode, pending: Pending) -> Response {
    let mut response = status.into_response();
    response.extensions_mut().insert(pending);
    response
}

/// Writes what a handler answered.
pub(super) async fn write(request: Request, next: Next) -> Response {
    let accept = Accept::of(request.headers());
    let mut response = next.run(request).await;
    let Some(pending) = response.extensions_mut().remove::<Pending>() else {
        return response;
    };
    let (kind, body) = match pending {
        Pending::Value(value) => written(accept.of_values(), &*value),
        Pending::Text(text) => match accept.of_texts() {
            None => ("text/plain; charset=utf-8", text.to_string()),
            Some(format) => written(format, &*text),
        },
    };
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    *response.body_mut() = Body::from(body);
    response
}

fn written(format: Format, value: &(impl Written + ?Sized)) -> (&'static str, String) {
    match format {
        Format::Json => ("application/json; charset=utf-8", value.json()),
        Format::Xml => ("application/xml; charset=utf-8", value.xml()),
        Format::TextXml => ("text/xml; charset=utf-8", value.xml()),
    }
}
