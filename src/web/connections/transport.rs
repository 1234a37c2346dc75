//! What the bytes of requests and answers come and go through: plain TCP, or TLS on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{self, Instant};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::super::certificates::Certificates;
use super::options::ConnectionOptions;
use super::seats::TakenSeat;
use super::socket::Socket;

/// The first byte of a client that speaks TLS (RFC 8446, 5.1: a record of a handshake).
const HANDSHAKE: u8 = 22;

/// For a client that speaks plain HTTP where TLS is spoken.
const TLS_WANTED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
    content-type: text/plain\r\ncontent-length: 54\r\n\r\n\
    expected TLS on this port, found plain HTTP: https://\n";

/// How long a word to a client that is sent away may take.
const TELL_WAIT: Duration = Duration::from_millis(100);

/// How long a handshake may still take when its connection is no longer wanted.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// Plain TCP, or TLS on it.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Transport {
    /// Begins with what the client begins with, of which `first` is the first byte. `None` if no
    /// request can follow.
    pub(super) async fn open(
        socket: Socket,
        first: u8,
        seat: &TakenSeat,
        options: &ConnectionOptions,
    ) -> Option<Transport> {
        let is_tls = first == HANDSHAKE;
        match &options.certificates {
            None => {
                if is_tls {
                    seat.seats().say_seldom(
                        "a client speaks TLS, this service does not",
                        ": see `tls-cert`",
                    );
                }
                Some(Transport::Plain(socket))
            }
            Some(_) if !is_tls => {
                seat.seats()
                    .say_seldom("a client speaks plain HTTP, this service speaks TLS", "");
                Transport::Plain(socket).tell(TLS_WANTED).await;
                None
            }
            Some(certificates) => {
                let late_at = seat.life().late_at(options);
                let late_at = late_at.unwrap_or_else(Instant::now);
                let stream = shake_hands(socket, seat, certificates, late_at).await?;
                Some(Transport::Tls(Box::new(stream)))
            }
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Sends a last word, if the client takes it at once.
    pub(super) async fn tell(&mut self, words: &[u8]) {
        let telling = async {
            self.write_all(words).await?;
            self.shutdown().await
        };
        let _told = time::timeout(TELL_WAIT, telling).await;
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut (dyn Stream + '_)> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket),
            Transport::Tls(stream) => Pin::new(stream),
        }
    }
}

/// Agrees with a client upon keys, until `late_at` at the latest.
async fn shake_hands(
    socket: Socket,
    seat: &TakenSeat,
    certificates: &Certificates,
    late_at: Instant,
) -> Option<TlsStream<Socket>> {
    let accepting = TlsAcceptor::from(certificates.config()).accept(socket);
    let unwanted = async {
        loop {
            seat.told().await;
            if seat.is_unwanted() {
                return;
            }
            if seat.seats().is_stopping() {
                time::sleep(STOP_WAIT).await;
                return;
            }
        }
    };
    tokio::select! {
        accepted = accepting => accepted
            // Scanners and clients that do not trust the certificate: their fault, and many.
            .inspect_err(|error| tracing::debug!(%error, "no TLS with a client"))
            .ok(),
        () = unwanted => None,
        () = time::sleep_until(late_at) => None,
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner().poll_read(context, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Transport::Plain(socket) => socket.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(context)
    }
}
