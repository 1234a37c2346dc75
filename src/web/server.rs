//! The service as a value, and on a socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::time::{self, MissedTickBehavior};
use tower::Layer;
use tower::util::MapRequestLayer;
use tower_http::catch_panic::CatchPanicLayer;

use super::accounts::Accounts;
use super::connections;
use super::endpoint::Door;
use super::error::Error;
use super::layers;
use super::metrics::Requests;
use super::native;
use super::openapi;
use super::page;
use super::people;
use super::probes;
use super::render;
use super::room::BodyRoom;
use super::routes;
use super::schedule;
use super::state::{AppState, ServiceOptions};
use super::traces::Traces;

/// How often it is looked whether the key for tokens was replaced. Well below
/// [`crate::access::ServerKey::RENEWED_WITHIN`].
const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// How often samples of expired tokens are looked for when nobody uploads any.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(86_400);
/// Tries and results are read from disk for it, all of them: once a minute.
const SWEEPS_PER_PURGE: u32 = 4;

/// The whole service.
pub fn router(state: AppState) -> Router {
    let options = state.options().clone();
    let (requests, traces) = (state.requests().clone(), state.traces());
    let (calls, description) = doors().split();
    let api = calls
        .merge(openapi::router(description))
        .merge(probes::router())
        .merge(page::router())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(options.body_bytes_max))
        .layer(from_fn_with_state(
            BodyRoom::new(options.body_bytes_total_max),
            layers::bound_bodies,
        ))
        .layer(from_fn(layers::note_route))
        .with_state(state);
    layered(api, &options, requests, traces)
}

/// Both doors.
pub(super) fn doors() -> Door {
    Door::new(openapi::head())
        .nest(native::PREFIX, native::door())
        .merge(routes::door())
}

/// `api` with what happens to every request and answer.
fn layered(
    api: Router,
    options: &ServiceOptions,
    requests: Arc<Requests>,
    traces: Traces,
) -> Router {
    // Wrapped, since a layer of the router itself would come after the match.
    let api = MapRequestLayer::new(layers::collapse_slashes).layer(api);
    let service = Router::new()
        .fallback_service(api)
        .layer(from_fn(layers::refuse_faulty_heads))
        .layer(CatchPanicLayer::custom(|_payload| {
            Error::panicked().into_response()
        }))
        .layer(from_fn(render::write))
        .layer(layers::cors(&options.origins))
        .layer(from_fn(layers::forbid_caching));
    let accounts = Accounts {
        requests,
        proxies: options.connections.trusted_proxies.clone(),
        traces,
    };
    layers::accounted(service, accounts)
}

/// Answers on `listener` until `shutdown` completes and
/// [`ConnectionOptions::stop_delay`](super::ConnectionOptions::stop_delay) is over, and then until the
/// requests at hand are answered, or until
/// [`ConnectionOptions::stop_wait`](super::ConnectionOptions::stop_wait) is over.
///
/// # Errors
///
/// None at present: what goes wrong with single connections, or with accepting them, is waited out.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let options = &state.options().connections;
    let stop = async {
        shutdown.await;
        state.readiness().drain();
        time::sleep(options.stop_delay).await;
    };
    let counts = state.connection_counts().clone();
    let router = router(state.clone());
    let outcome = tokio::select! {
        () = connections::serve(listener, router, options, counts, stop) => Ok(()),
        never = sweep(&state) => match never {},
        never = renew(&state) => match never {},
        never = schedule::keep(&state) => match never {},
        never = people::look_after(&state) => match never {},
        never = watch_certificate(&state) => match never {},
    };
    people::write_matches(&state).await;
    let shared = state.clone();
    state.lanes().write(move || keep_budgets(&shared)).await;
    outcome
}

/// Removes what is left of expired tokens, for ever: samples, tries and results.
async fn sweep(state: &AppState) -> std::convert::Infallible {
    let mut ticks = time::interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for _ in 0..SWEEPS_PER_PURGE {
            ticks.tick().await;
            state.samples().sweep(state.clock().now());
            state.gate().purge();
        }
        let state = state.clone();
        let purge = move || {
            let now = state.clock().now();
            state.attempts().purge(now)?;
            state.results().purge(now)?;
            state.decisions().purge(now)?;
            keep_budgets(&state);
            let receipts = state.settle_receipts();
            if let Err(error) = receipts.and_then(|_| state.engine().forget_receipts(now)) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "cannot complete receipts of removals yet, or forget old ones"
                );
            }
            state.remember_audit()
        };
        // What cannot be removed now can the next time.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(purge).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot remove what is left of expired tokens, or remember how far the audit log is"
            );
        }
    }
}

/// So that a restart gives nobody a new budget: what is not kept now can be the next time.
fn keep_budgets(state: &AppState) {
    if let Err(error) = state.keep_budgets() {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot keep what callers were told today");
    }
}

/// Goes on with the key for tokens that is in the data directory, for ever.
async fn renew(state: &AppState) -> std::convert::Infallible {
    let mut ticks = time::interval(RENEW_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let state = state.clone();
        let renewed = tokio::task::spawn_blocking(move || state.renew_key()).await;
        if let Ok(Err(error)) = renewed {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "goes on with the key for tokens that it has");
        }
    }
}

/// Says each day if clients refuse the certificate, or will soon, for ever.
async fn watch_certificate(state: &AppState) -> std::convert::Infallible {
    let mut ticks = time::interval(CERTIFICATE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(certificates) = &state.options().connections.certificates {
            certificates.validity().warn(state.clock().now());
        }
    }
}

async fn not_found(uri: Uri) -> Response {
    if native::is_meant_by(uri.path()) {
        return native::not_found(uri.path()).into_response();
    }
    Error::new(StatusCode::NOT_FOUND, "there is nothing at this path").into_response()
}

async fn method_not_allowed() -> Error {
    Error::wrong_method()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, header};
    use axum::routing::get;
    use tower::ServiceExt;

    use super::super::lanes::Lanes;
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_answer_that_a_browser_can_read_and_says_nothing_of_it() {
        let options = ServiceOptions::new("http://a.org");
        let lanes = Arc::new(Lanes::new(options.lanes()));
        let api = Router::new()
            .route("/here", get(async || -> &str { panic!("a secret") }))
            .route(
                "/job",
                get(move || {
                    let lanes = lanes.clone();
                    async move { lanes.small(|| -> String { panic!("a secret") }).await }
                }),
            );
        let service = layered(api, &options, Arc::default(), Traces::default());
        for path in ["/here", "/job"] {
            let request = Request::get(path)
                .header(header::ORIGIN, "https://www.example.org")
                .body(Body::empty())
                .unwrap();
            let answer = service.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
            let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
            assert!(kind.starts_with("application/json"));
            let body = to_bytes(answer.into_body(), 1000).await.unwrap();
            let body = str::from_utf8(&body).unwrap();
            assert!(
                body.starts_with("{\"Message\":") && !body.contains("secret"),
                "{body}"
            );
        }
    }
}
