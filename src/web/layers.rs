//! What happens to every request and answer.

use std::time::Instant;

use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::state::Origins;

/// The longest path that is written to the log.
const LOGGED_PATH_BYTES_MAX: usize = 100;

/// Logs one line for each request: never its query, its headers or its body, any of which may hold
/// a token, a secret or a face.
pub(super) async fn log(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path();
    // A path is ASCII, so it can be cut anywhere.
    let path = path.get(..LOGGED_PATH_BYTES_MAX).unwrap_or(path).to_owned();
    let response = next.run(request).await;
    tracing::info!(
        %method,
        path,
        status = response.status().as_u16(),
        milliseconds = started.elapsed().as_secs_f64() * 1e3,
        "answered"
    );
    response
}

/// Nothing here may be kept on the way: answers are about people, or are tokens.
pub(super) async fn forbid_caching(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let value = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}

/// Lets pages of `origins` call from a browser. `*` in the allowed headers would not cover
/// `Authorization`, so they are named.
pub(super) fn cors(origins: &Origins) -> CorsLayer {
    let origins = match origins {
        Origins::Any => AllowOrigin::any(),
        Origins::Only(list) => AllowOrigin::list(list.iter().cloned()),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::ACCEPT,
            header::CONTENT_TYPE,
            header::HeaderName::from_static("x-requested-with"),
        ])
        .expose_headers([header::RETRY_AFTER, header::WWW_AUTHENTICATE])
        .max_age(std::time::Duration::from_secs(600))
}

/// Makes `//extension//token/` the same as `/extension/token`: some clients double a slash.
pub(super) fn collapse_slashes<B>(mut request: axum::http::Request<B>) -> axum::http::Request<B> {
    if let Some(uri) = collapsed(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// `None` if there is nothing to change.
fn collapsed(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    // Its own answer sends browsers to the page without the slash, to which the addresses in it are relative.
    if path == "/docs/" {
        return None;
    }
    let trailing = path.len() > 1 && path.ends_with('/');
    if !trailing && !path.contains("//") {
        return None;
    }
    let mut clean = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        clean.push('/');
        clean.push_str(part);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    if let Some(query) = uri.query() {
        clean.push('?');
        clean.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(clean).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_and_trailing_slashes_go_and_the_query_stays() {
        for (given, expected) in [
            ("/extension//token?a=b//c", Some("/extension/token?a=b//c")),
            ("//extension///token//", Some("/extension/token")),
            (
                "http://host//extension/token",
                Some("http://host/extension/token"),
            ),
            ("//", Some("/")),
            ("/extension/token?a=//", None),
            ("/", None),
            ("/docs/", None),
        ] {
            let uri: Uri = Uri::builder()
                .path_and_query(given)
                .build()
                .unwrap_or_else(|_| given.parse().unwrap());
            let found = collapsed(&uri).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{given}");
        }
    }
}
