//! What happens to every request and answer.

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower::util::MapRequestLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use super::accounts::{self, Accounts};
use super::connections::HeadFault;
use super::error::Error;
use super::native;
use super::native::problem::Problem;
use super::notes::Notes;
use super::room::{BodyRoom, Place};
use super::state::Origins;

/// Names a request in the log and in its answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a client. Those of proxies and traces have up to 55.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Accounts for each request, with an id that its answer carries, too.
pub(super) fn accounted(service: Router, accounts: Accounts) -> Router {
    service
        .layer(from_fn_with_state(accounts, accounts::account))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(MapRequestLayer::new(without_odd_id))
}

/// Forgets the id that a client gave its request if it is not a single one, short and of letters,
/// digits and `-_.:` only: it is to be logged.
fn without_odd_id(mut request: Request) -> Request {
    let mut ids = request.headers().get_all(&REQUEST_ID).iter();
    let is_fine = |id: &HeaderValue| {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
    };
    if !(ids.next().is_some_and(is_fine) && ids.next().is_none()) {
        request.headers_mut().remove(&REQUEST_ID);
    }
    request
}

/// Lets a request hold room for its body until it is answered, and for longer if something still
/// works on it. As many bodies as there are connections would take more memory than there is.
pub(super) async fn bound_bodies(
    State(room): State<BodyRoom>,
    mut request: Request,
    next: Next,
) -> Response {
    let place = Place::new(room);
    request.extensions_mut().insert(place.clone());
    let response = next.run(request).await;
    drop(place);
    response
}

/// Notes which route a request is for.
pub(super) async fn note_route(request: Request, next: Next) -> Response {
    Notes::route(request.extensions());
    next.run(request).await
}

/// Refuses what is wrong before anybody asks what it wants.
pub(super) async fn refuse_faulty_heads(request: Request, next: Next) -> Response {
    let Some(fault) = request.extensions().get::<HeadFault>().copied() else {
        return next.run(request).await;
    };
    let mut response = if native::is_meant_by(request.uri().path()) {
        Problem::from(fault).into_response()
    } else {
        Error::from(fault).into_response()
    };
    if fault.is_last() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Nothing here may be kept on the way, unless it says that it may: answers are about people, or are
/// tokens.
pub(super) async fn forbid_caching(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let value = HeaderValue::from_static("no-store");
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(value);
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
            header::CACHE_CONTROL,
            header::CONTENT_ENCODING,
            header::CONTENT_TYPE,
            HeaderName::from_static("x-requested-with"),
        ])
        .expose_headers([header::RETRY_AFTER, header::WWW_AUTHENTICATE, REQUEST_ID])
        .max_age(Duration::from_secs(600))
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
    // Its own answer sends browsers to the page without the slash, to which the addresses in it are
    // relative.
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
    use axum::body::Body;
    use axum::routing::get;
    use std::sync::Arc;

    use tower::ServiceExt;

    use super::super::proxies::TrustedProxies;
    use super::super::traces::Traces;
    use super::*;

    #[tokio::test]
    async fn a_request_keeps_a_harmless_id_and_gets_one_in_place_of_any_other() {
        let service = Router::new().route("/", get(async || ""));
        let accounts = Accounts {
            requests: Arc::default(),
            proxies: TrustedProxies::default(),
            traces: Traces::default(),
        };
        let service = accounted(service, accounts);
        let longest = "a".repeat(REQUEST_ID_BYTES_MAX);
        let too_long = "a".repeat(REQUEST_ID_BYTES_MAX + 1);
        for (given, is_kept) in [
            (&["7.a-B_c:0"][..], true),
            (&[&longest], true),
            (&[&too_long], false),
            (&[], false),
            (&[""], false),
            (&["a b"], false),
            (&["a\u{e4}"], false),
            (&["a\tfake=1"], false),
            (&["\"quoted\""], false),
            (&["one", "two"], false),
        ] {
            let request = Request::get("/");
            let request = given.iter().fold(request, |request, id| {
                let id = HeaderValue::from_bytes(id.as_bytes()).unwrap();
                request.header(REQUEST_ID, id)
            });
            let request = request.body(Body::empty()).unwrap();
            let answer = service.clone().oneshot(request).await.unwrap();
            let ids: Vec<_> = answer.headers().get_all(REQUEST_ID).iter().collect();
            assert_eq!(ids.len(), 1, "{given:?}");
            assert_eq!(given == [ids[0].to_str().unwrap()], is_kept, "{given:?}");
            assert!(is_kept || ids[0].len() == 36, "{given:?}");
        }
    }

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
