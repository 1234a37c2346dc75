//! One connection, from its first byte to its last.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::TcpStream;
use tokio::time::{self, Instant, Sleep};

use super::answering::Answering;
use super::head::HeadFault;
use super::life::Stage;
use super::options::ConnectionOptions;
use super::refusal::refusal;
use super::seats::TakenSeat;
use super::socket::Socket;
use super::transport::Transport;
use super::wire::{Left, Wire};

/// For how long bytes are thrown away that a client still sends when it has its last answer: closed
/// at once, its system would throw the answer away.
const LINGER_WAIT: Duration = Duration::from_secs(2);
/// How many of them: far more than bodies that are a little too long have. A proxy that has sent a part of one
/// when the connection is closed tells its client of a bad gateway.
const LINGER_BYTES_MAX: usize = 64 << 20;
/// How many at once: the time is short, and each call of the system takes some of it.
const LINGER_PIECE_BYTES: usize = 32 << 10;

/// How much of an answer the system holds for a client.
const SEND_BUFFER_BYTES: usize = 128 << 10;

/// A connection is not looked at more often than that for want of time.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Bytes that have arrived are found within this time.
const NOTICE_WAIT: Duration = Duration::from_millis(10);

type Http = http1::Connection<TokioIo<Wire>, Answering>;

/// Serves a connection until its end.
pub(super) async fn drive(
    stream: TcpStream,
    seat: TakenSeat,
    peer: IpAddr,
    router: Router,
    options: Arc<ConnectionOptions>,
) {
    // Small answers go out at once. Of large ones the system holds no more than a client takes in
    // good time: it says that there is room again when a third of this is.
    let _better = stream.set_nodelay(true);
    let _better = set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES);
    let Some(first) = first_byte(&stream, &seat, &options).await else {
        return;
    };
    let socket = Socket::new(stream, seat.seat().clone(), options.clone());
    let Some(transport) = Transport::open(socket, first, &seat, &options).await else {
        return;
    };
    let wire = Wire::new(transport, seat.seat().clone());
    let answering = Answering::new(router.clone(), &seat, peer);
    let mut http = http1::Builder::new()
        // Heads have their time here (`life`): hyper would count idle connections in.
        .header_read_timeout(None)
        // Whether a client that closes its side has left is found out in `wire`.
        .half_close(true)
        .serve_connection(TokioIo::new(wire), answering);
    let is_done = run(&mut http, &seat, &options).await;
    let left = http.into_parts().io.into_inner().into_left();
    end(left, is_done, &seat, peer, &router).await;
}

/// Says what is still to be said, and lets the client read it.
async fn end(mut left: Left, is_done: bool, seat: &TakenSeat, peer: IpAddr, router: &Router) {
    let fault = left.refused.or_else(|| late(seat).filter(|_| !is_done));
    if let Some(fault) = fault {
        let beginning = seat.life().framing().beginning().to_owned();
        let refusal = refusal(router, peer, fault, &beginning);
        left.stream.tell(&refusal).await;
    } else if !is_done {
        left.stream.tell(b"").await;
    }
    if is_done && left.has_more {
        linger(left.stream.socket().stream(), seat).await;
    }
}

/// What was wrong where a connection is ended: of most their clients are only told that it is.
fn late(seat: &TakenSeat) -> Option<HeadFault> {
    let is_late = seat.life().stage() == Stage::Head && !seat.is_unwanted();
    is_late.then(|| {
        seat.seats().counts().slow.one();
        HeadFault::Slow
    })
}

/// Waits for the first byte, which is left to be read: a connection without one takes next to no
/// memory. `None` if it does not come.
async fn first_byte(
    stream: &TcpStream,
    seat: &TakenSeat,
    options: &ConnectionOptions,
) -> Option<u8> {
    let mut first = [0];
    let late = time::sleep(options.header_wait);
    let mut late = pin!(late);
    loop {
        tokio::select! {
            biased;
            seen = stream.peek(&mut first) => return (seen.ok()? > 0).then_some(first[0]),
            () = seat.told() => {
                if seat.is_unwanted() || seat.seats().is_stopping() {
                    late.as_mut().reset(Instant::now() + NOTICE_WAIT);
                }
            }
            () = &mut late => return None,
        }
    }
}

/// Serves requests. Returns whether that came to its end, rather than being ended.
async fn run(http: &mut Http, seat: &TakenSeat, options: &ConnectionOptions) -> bool {
    let mut told = pin!(seat.told());
    let mut timer = pin!(time::sleep(options.header_wait));
    let mut is_closing = false;
    poll_fn(|context| {
        loop {
            // The outcome is in the answer, or there was none to give it to.
            if Pin::new(&mut *http).poll(context).is_ready() {
                return Poll::Ready(true);
            }
            if told.as_mut().poll(context).is_ready() {
                told.set(seat.told());
                continue;
            }
            if is_to_end(seat) || is_late(seat, options) {
                return Poll::Ready(false);
            }
            // A head that is on its way may become a request.
            let is_head = || seat.life().stage() == Stage::Head;
            if !is_closing && seat.seats().is_stopping() && !is_head() {
                is_closing = true;
                Pin::new(&mut *http).graceful_shutdown();
                continue;
            }
            if is_waiting(timer.as_mut(), seat, options, context) {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Whether the connection makes room for another one.
fn is_to_end(seat: &TakenSeat) -> bool {
    if !seat.is_unwanted() {
        return false;
    }
    let is_idle = seat.life().worth(Instant::now()).is_some();
    if !is_idle {
        seat.stay();
    }
    is_idle
}

fn is_late(seat: &TakenSeat, options: &ConnectionOptions) -> bool {
    let late_at = seat.life().late_at(options);
    late_at.is_some_and(|late_at| late_at <= Instant::now())
}

/// Waits for the moment at which the connection is to be looked at again. Tells whether there is
/// something to wait for.
fn is_waiting(
    mut timer: Pin<&mut Sleep>,
    seat: &TakenSeat,
    options: &ConnectionOptions,
    context: &mut Context<'_>,
) -> bool {
    let Some(due) = seat.life().due(options) else {
        return true;
    };
    // Later ones are found when the earlier one is reached: most never are.
    if due < timer.deadline() || timer.is_elapsed() {
        timer
            .as_mut()
            .reset(due.max(Instant::now() + LOOK_INTERVAL));
    }
    timer.poll(context).is_pending()
}

/// Reads and forgets what a client still sends, so that it has time to read its answer.
async fn linger(stream: &TcpStream, seat: &TakenSeat) {
    seat.life().linger(Instant::now());
    let reading = async {
        // Few connections end so, and each that does for a short time: it need not be a part of all.
        let (mut piece, mut left) = (vec![0; LINGER_PIECE_BYTES], LINGER_BYTES_MAX);
        while left > 0 && stream.readable().await.is_ok() {
            match stream.try_read(&mut piece) {
                Ok(0) => return,
                Ok(bytes) => left = left.saturating_sub(bytes),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    tokio::select! {
        _ended = time::timeout(LINGER_WAIT, reading) => {}
        () = seat.told() => {}
    }
}
