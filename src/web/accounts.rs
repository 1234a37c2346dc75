//! Of every request one line in the log, with an id that its answer carries, too, and one more in
//! the counts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tower_http::request_id::RequestId;
use tracing::{Instrument, Span};

use super::connections::Peer;
use super::metrics::{End, Requests};
use super::notes::{Notes, RefusedFor};
use super::probes::Probed;
use super::proxies::TrustedProxies;
use super::traces::{Trace, TraceEnd, Traces};

/// The longest path that is written to the log.
const LOGGED_PATH_BYTES_MAX: usize = 100;

/// What is needed to account for requests.
#[derive(Clone, Debug)]
pub(super) struct Accounts {
    pub(super) requests: Arc<Requests>,
    /// Who may say from where a request comes.
    pub(super) proxies: TrustedProxies,
    /// Who is told what requests took.
    pub(super) traces: Traces,
}

/// Accounts for a request: never for its query, its other headers or its body, any of which may hold
/// a token, a secret or a face.
pub(super) async fn account(
    State(Accounts {
        requests,
        proxies,
        traces,
    }): State<Accounts>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>();
    let origin = peer.map(|Peer(address)| proxies.origin(*address, request.headers()));
    if let Some(origin) = origin {
        // For all that is counted by address.
        request.extensions_mut().insert(Peer(origin.client));
    }
    requests.begun(origin.and_then(|origin| origin.told.name()));
    let notes = Notes::new(origin.map(|origin| origin.client));
    request.extensions_mut().insert(notes.clone());
    let span = span(&request);
    let trace = traces.begin(&request);
    let stages = trace.stages();
    let open = Open::new(requests, &request, notes.clone(), span.clone(), trace);
    let request = request.map(|body| Body::new(Arriving { body, notes }));
    let answered = stages.within(next.run(request));
    let response = answered.instrument(span).await;
    open.answered(response)
}

/// What every line says that is logged while a request is answered.
fn span(request: &Request) -> Span {
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok());
    let path = logged(request.uri().path());
    // Of the level of errors, so that it is there if nothing but errors is logged.
    tracing::error_span!("request", id, method = %request.method(), path)
}

/// The beginning of a path, as the log shows it: what is no ASCII is escaped as it should have been on
/// the way, so that it can neither steer a terminal nor turn a line around.
fn logged(path: &str) -> String {
    let mut shown = String::new();
    for byte in path.bytes().take(LOGGED_PATH_BYTES_MAX) {
        match byte {
            b' '..=b'~' => shown.push(char::from(byte)),
            _ => shown.push_str(&format!("%{byte:02X}")),
        }
    }
    shown
}

/// A request that has not ended.
#[derive(Debug)]
struct Open {
    requests: Arc<Requests>,
    notes: Notes,
    method: Method,
    began: Instant,
    span: Span,
    trace: Trace,
    /// None until there is an answer.
    answer: Option<Answered>,
    is_over: bool,
}

/// What is known of an answer when its head is.
#[derive(Debug)]
struct Answered {
    status: u16,
    cause: Option<RefusedFor>,
    is_probe: bool,
    bytes_out: u64,
}

impl Open {
    fn new(
        requests: Arc<Requests>,
        request: &Request,
        notes: Notes,
        span: Span,
        trace: Trace,
    ) -> Open {
        Open {
            requests,
            notes,
            method: request.method().clone(),
            began: Instant::now(),
            span,
            trace,
            answer: None,
            is_over: false,
        }
    }

    /// Ends it before the client can see the answer, if the length of that is known; else when it
    /// has all of it.
    fn answered(mut self, response: Response) -> Response {
        let extensions = response.extensions();
        let length = response.body().size_hint().exact();
        self.answer = Some(Answered {
            status: response.status().as_u16(),
            cause: extensions.get::<RefusedFor>().copied(),
            is_probe: extensions.get::<Probed>().is_some(),
            bytes_out: length.unwrap_or_default(),
        });
        if length.is_some() {
            self.end(true);
            return response;
        }
        response.map(|body| Body::new(Leaving { body, open: self }))
    }

    fn end(&mut self, is_whole: bool) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let taken = self.began.elapsed();
        let answer = self.answer.as_ref();
        self.requests.ended(&End {
            route: self.notes.noted_route(),
            method: &self.method,
            caller: self.notes.noted_caller(),
            status: answer.map(|answer| answer.status),
            cause: answer
                .and_then(|answer| answer.cause)
                .map(|RefusedFor(word)| word),
            taken,
            bytes_in: self.notes.bytes_in(),
            bytes_out: answer.map_or(0, |answer| answer.bytes_out),
        });
        self.trace.end(&TraceEnd {
            route: self.notes.noted_route(),
            method: &self.method,
            status: answer.map(|answer| answer.status),
        });
        self.span.in_scope(|| self.log(taken, is_whole));
    }

    fn log(&self, taken: Duration, is_whole: bool) {
        let milliseconds = (taken.as_secs_f64() * 1e4).round() / 10.0;
        let client = self.notes.client().map(tracing::field::display);
        let caller = self.notes.noted_caller().map(tracing::field::display);
        let bytes_in = self.notes.bytes_in();
        let Some(answer) = &self.answer else {
            tracing::info!(
                milliseconds,
                bytes_in,
                client,
                caller,
                "left before its answer"
            );
            return;
        };
        let &Answered {
            status,
            bytes_out,
            is_probe,
            ..
        } = answer;
        // Probes come every few seconds and say nothing new.
        if is_probe {
            tracing::debug!(
                status,
                milliseconds,
                bytes_in,
                bytes_out,
                client,
                "answered"
            );
        } else if is_whole {
            tracing::info!(
                status,
                milliseconds,
                bytes_in,
                bytes_out,
                client,
                caller,
                "answered"
            );
        } else {
            let what = "answered in part";
            tracing::info!(
                status,
                milliseconds,
                bytes_in,
                bytes_out,
                client,
                caller,
                "{what}"
            );
        }
    }
}

impl Drop for Open {
    /// The client has left, or the service is over.
    fn drop(&mut self) {
        self.end(false);
    }
}

/// The body of a request, whose bytes are counted as they are read.
struct Arriving {
    body: Body,
    notes: Notes,
}

/// The body of an answer whose length is not known before.
struct Leaving {
    body: Body,
    open: Open,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.notes.read(frame.data_ref().map_or(0, Bytes::len));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if let Some(answer) = &mut self.open.answer {
                    answer.bytes_out += bytes as u64;
                }
            }
            // The client cannot have seen the end yet.
            Poll::Ready(None) => self.open.end(true),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_logged_short_and_steers_no_terminal() {
        assert_eq!(logged("/v1/status"), "/v1/status");
        let long = format!("/{}\u{e9}{}", "a".repeat(98), "S".repeat(65_000));
        assert_eq!(logged(&long), format!("/{}%C3", "a".repeat(98)));
        assert_eq!(
            logged("/\u{9b}1m\u{202e}\u{85}"),
            "/%C2%9B1m%E2%80%AE%C2%85"
        );
        assert_eq!(
            logged(&"\u{1f600}".repeat(1_000)).len(),
            3 * LOGGED_PATH_BYTES_MAX
        );
    }
}
