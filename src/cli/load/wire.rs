//! Connections to the service, which are kept.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Context;
use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::{task, time};

use crate::cli::args::Url;

/// An answer shorter than this is kept whole: tokens and what errors say. Of longer ones only the
/// beginning is.
const KEPT_BYTES_MAX: usize = 4096;

type Sender = SendRequest<Full<Bytes>>;

/// A number of connections, opened when they are needed.
pub(super) struct Wire {
    address: SocketAddr,
    /// The one that was used last is used next, so that few are busy rather than many.
    idle: RefCell<Vec<Sender>>,
    turns: Semaphore,
    open: Rc<Open>,
}

/// How many connections there are, and how many there were at most.
#[derive(Default)]
struct Open {
    now: Cell<usize>,
    most: Cell<usize>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// No connection could be made.
    NotConnected,
    /// The connection was closed before the answer was whole.
    Closed,
    /// What came is no answer of HTTP.
    Malformed,
    /// It took too long.
    TimedOut,
}

impl Broken {
    /// In a word or two.
    pub(super) fn name(self) -> &'static str {
        match self {
            Broken::NotConnected => "not connected",
            Broken::Closed => "closed",
            Broken::Malformed => "malformed",
            Broken::TimedOut => "timed out",
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::NotConnected => "no connection could be made",
            Broken::Closed => "the connection was closed before the answer was whole",
            Broken::Malformed => "what came is no answer of HTTP",
            Broken::TimedOut => "it took too long",
        })
    }
}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Broken {
        match error.is_parse() {
            true => Broken::Malformed,
            false => Broken::Closed,
        }
    }
}

impl Wire {
    /// At most so many connections to a service; none yet.
    ///
    /// # Errors
    ///
    /// If its host is not known.
    pub(super) async fn to(url: &Url, connections: usize) -> anyhow::Result<Wire> {
        let found = lookup_host(&url.authority).await;
        let addresses = found.with_context(|| format!("looking up `{}`", url.authority))?;
        // As `serve` takes them: to most programs `localhost` is an address of IPv4.
        let address = addresses.min_by_key(SocketAddr::is_ipv6);
        Ok(Wire {
            address: address.with_context(|| format!("`{}` has no address", url.authority))?,
            idle: RefCell::default(),
            turns: Semaphore::new(connections),
            open: Rc::default(),
        })
    }

    /// Sends a request and reads the answer to its end.
    ///
    /// # Errors
    ///
    /// If no whole answer came until `deadline`.
    pub(super) async fn ask(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Answer, Broken> {
        let asked = time::timeout_at(deadline.into(), self.exchange(request)).await;
        asked.unwrap_or(Err(Broken::TimedOut))
    }

    /// How many connections there were at most since this was asked last.
    pub(super) fn take_most_open(&self) -> usize {
        self.open.most.replace(self.open.now.get())
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Broken> {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|_closed| Broken::NotConnected)?;
        let mut sender = self.connection().await?;
        let (parts, mut body) = sender.send_request(request).await?.into_parts();
        let mut kept = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                let room = KEPT_BYTES_MAX - kept.len();
                kept.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
        self.idle.borrow_mut().push(sender);
        Ok(Answer {
            status: parts.status,
            body: kept,
        })
    }

    /// One that is idle and still open, or a new one.
    async fn connection(&self) -> Result<Sender, Broken> {
        while let Some(mut sender) = self.pop() {
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.map_err(|_error| Broken::NotConnected)?;
        // It only makes calls slower if this fails.
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let open = self.open.clone();
        open.now.set(open.now.get() + 1);
        open.most.set(open.most.get().max(open.now.get()));
        task::spawn_local(async move {
            // Whoever waits for an answer is told.
            let _ = connection.await;
            open.now.set(open.now.get() - 1);
        });
        Ok(sender)
    }

    fn pop(&self) -> Option<Sender> {
        self.idle.borrow_mut().pop()
    }
}
