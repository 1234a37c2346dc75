//! Requests of one connection, handed to the router one after the other.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{self, Instant};
use tower::Service as _;

use super::framing::Following;
use super::head::HeadFault;
use super::seats::{Seat, Seats, TakenSeat};

/// How much of a body that nobody wanted is read, so that the connection can be used again.
const DRAINED_BYTES_MAX: u64 = 64 << 10;
/// For how long it is waited for.
const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// The address that a request came from: that of the client or of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) struct Peer(pub(in crate::web) IpAddr);

/// Answers the requests of one connection.
#[derive(Debug)]
pub(super) struct Answering {
    router: Router,
    seats: Arc<Seats>,
    seat: Arc<Seat>,
    peer: Peer,
}

impl Answering {
    pub(super) fn new(router: Router, seat: &TakenSeat, peer: IpAddr) -> Answering {
        Answering {
            router,
            seats: seat.seats().clone(),
            seat: seat.seat().clone(),
            peer: Peer(peer.to_canonical()),
        }
    }

    /// Notes that a request has begun. Returns what is wrong with it.
    fn begin(&self, request: &Request<Incoming>) -> Option<HeadFault> {
        let version = request.version();
        let length = request.body().size_hint().exact();
        let following = length.map_or(Following::Chunks, Following::Bytes);
        let knows_interim = version >= Version::HTTP_11;
        let now = Instant::now();
        let has_two_lengths = self.seat.life().request(now, following, knows_interim);
        // A head that could not be followed may as well have two.
        let has_two_lengths = has_two_lengths.unwrap_or(true);
        HeadFault::of(version, request.headers(), has_two_lengths)
    }
}

impl hyper::service::Service<Request<Incoming>> for Answering {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let fault = self.begin(&request);
        let is_expecting = request.headers().contains_key(header::EXPECT);
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(self.peer);
        if let Some(fault) = fault {
            parts.extensions.insert(fault);
        }
        let lent = (!body.is_end_stream()).then(|| Lent::new(body));
        let body = lent.clone().map_or_else(Body::empty, Body::new);
        let answering = self.router.clone().call(Request::from_parts(parts, body));
        let (seat, seats) = (self.seat.clone(), self.seats.clone());
        Box::pin(async move {
            let Ok(mut response) = answering.await;
            // Nobody waits for a body that took too long, or whose end is in doubt.
            let is_given_up = response.status() == StatusCode::REQUEST_TIMEOUT
                || response.headers().contains_key(header::CONNECTION);
            let is_read = match lent {
                Some(lent) => lent.is_whole() || !is_given_up && lent.read_rest(is_expecting).await,
                None => true,
            };
            if !is_read || seats.is_stopping() {
                // Whoever sends more on this connection would lose it.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            seat.life().answer();
            Ok(response.map(|body| Answer { body, seat }))
        })
    }
}

/// A body that is lent to a handler, and looked at again when it has answered.
#[derive(Clone, Debug)]
struct Lent(Arc<Mutex<Arriving>>);

#[derive(Debug)]
struct Arriving {
    body: Incoming,
    is_begun: bool,
    is_ended: bool,
}

impl Lent {
    fn new(body: Incoming) -> Lent {
        Lent(Arc::new(Mutex::new(Arriving {
            body,
            is_begun: false,
            is_ended: false,
        })))
    }

    fn arriving(&self) -> MutexGuard<'_, Arriving> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all of the body was read.
    fn is_whole(&self) -> bool {
        self.is_end_stream()
    }

    /// Reads the rest of the body, where little is left of it. Returns whether that came to its
    /// end.
    async fn read_rest(mut self, is_expecting: bool) -> bool {
        // A client that waits for a word before it sends its body does not send it now.
        let comes_not = is_expecting && !self.arriving().is_begun;
        let is_long = self.size_hint().lower() > DRAINED_BYTES_MAX;
        if comes_not || is_long {
            return false;
        }
        let drained = time::timeout(DRAIN_WAIT, self.drain()).await;
        drained.unwrap_or_default()
    }

    /// Reads the rest unless it is long. Returns whether it was read.
    async fn drain(&mut self) -> bool {
        let mut left = DRAINED_BYTES_MAX;
        loop {
            let frame = std::future::poll_fn(|context| Pin::new(&mut *self).poll_frame(context));
            let bytes = match frame.await {
                None => return true,
                Some(Err(_broken)) => return false,
                Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
            };
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut arriving = self.arriving();
        arriving.is_begun = true;
        let frame = Pin::new(&mut arriving.body).poll_frame(context);
        if let Poll::Ready(None) = frame {
            arriving.is_ended = true;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        let arriving = self.arriving();
        arriving.is_ended || arriving.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.arriving().body.size_hint()
    }
}

/// The body of an answer, which notes when hyper has all of it.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    seat: Arc<Seat>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.seat.life().answered();
    }
}
