//! Accepting connections until the service is told to stop, and ending them then.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use super::counts::ConnectionCounts;
use super::driving;
use super::head::HeadFault;
use super::options::ConnectionOptions;
use super::refusal::refusal;
use super::seats::Seats;

/// How long nothing is accepted when the system refused to, which it does at once again.
const REFUSED_WAIT: Duration = Duration::from_millis(100);

/// Answers on `listener` with `router` until `stop` completes. Then idle connections are closed,
/// requests at hand are answered, and what is still open after [`ConnectionOptions::stop_wait`] is
/// ended.
pub(in crate::web) async fn serve(
    listener: TcpListener,
    router: Router,
    options: &ConnectionOptions,
    counts: Arc<ConnectionCounts>,
    stop: impl Future<Output = ()>,
) {
    let mut serving = Serving::new(router, options, counts);
    serving.accept(&listener, stop).await;
    // Clients that the system has accepted, and that may have sent something.
    while let Poll::Ready(Ok((stream, peer))) = now(&listener).await {
        serving.seat(stream, peer.ip());
    }
    drop(listener);
    serving.stop().await;
}

struct Serving {
    router: Router,
    options: Arc<ConnectionOptions>,
    seats: Arc<Seats>,
    tasks: JoinSet<()>,
}

impl Serving {
    fn new(router: Router, options: &ConnectionOptions, counts: Arc<ConnectionCounts>) -> Serving {
        let seats = Seats::new(options, counts);
        tracing::info!(
            connections_max = seats.count_max(),
            per_address_max = seats.per_address_max(),
            "accepting connections"
        );
        Serving {
            router,
            options: Arc::new(options.clone()),
            seats: Arc::new(seats),
            tasks: JoinSet::new(),
        }
    }

    async fn accept(&mut self, listener: &TcpListener, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                Some(_ended) = self.tasks.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.seat(stream, peer.ip()),
                    Err(error) if is_of_one(&error) => {}
                    Err(error) => {
                        self.refused(&error);
                        tokio::select! {
                            () = &mut stop => return,
                            () = time::sleep(REFUSED_WAIT) => {}
                        }
                    }
                }
            }
        }
    }

    /// Serves a connection if there is room for it.
    fn seat(&mut self, stream: TcpStream, peer: IpAddr) {
        match self.seats.take(peer, Instant::now()) {
            Some(seat) => {
                let (router, options) = (self.router.clone(), self.options.clone());
                self.tasks
                    .spawn(driving::drive(stream, seat, peer, router, options));
            }
            None => {
                self.seats.say_seldom(
                    "as many requests are at hand as there may be connections",
                    "",
                );
                // Within TLS the words could not be understood.
                if self.options.certificates.is_none() {
                    refuse(stream, peer, &self.router);
                }
            }
        }
    }

    /// The system gives no connection. Where it has no room, idle ones make some.
    fn refused(&self, error: &io::Error) {
        let closed = if is_for_want_of_room(error) {
            self.seats.clear()
        } else {
            0
        };
        self.seats.say_seldom(
            "cannot accept connections",
            format_args!(": {error}; {closed} idle ones are closed"),
        );
    }

    async fn stop(&mut self) {
        self.seats.stop();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if time::timeout(self.options.stop_wait, ended).await.is_err() {
            let connections = self.tasks.len();
            tracing::warn!(
                connections,
                "ended connections whose requests were not done"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// A connection that has been made by now, if there is one.
async fn now(listener: &TcpListener) -> Poll<io::Result<(TcpStream, std::net::SocketAddr)>> {
    poll_fn(|context| Poll::Ready(listener.poll_accept(context))).await
}

/// Whether the failure is that of a single client, which has left already.
fn is_of_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Whether there are too many descriptors, or there is no memory.
fn is_for_want_of_room(error: &io::Error) -> bool {
    let full = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| full.contains(&errno))
}

/// Says that there is no room. What was received is read first: closed with it, the connection
/// would be reset, and the answer lost.
fn refuse(stream: TcpStream, peer: IpAddr, router: &Router) {
    // That of the runtime does not know yet what can be read and written. Neither of them waits.
    if let Ok(mut stream) = stream.into_std() {
        let mut piece = [0; 4 << 10];
        let read = stream.read(&mut piece).unwrap_or_default();
        let _told = stream.write(&refusal(router, peer, HeadFault::NoSeat, &piece[..read]));
    }
}
