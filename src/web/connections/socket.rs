//! The socket itself, below TLS where that is spoken: it notes how fast a client takes what is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::options::ConnectionOptions;
use super::seats::Seat;

/// A socket that counts what is written to it.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    seat: Arc<Seat>,
    options: Arc<ConnectionOptions>,
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        seat: Arc<Seat>,
        options: Arc<ConnectionOptions>,
    ) -> Socket {
        Socket {
            stream,
            seat,
            options,
        }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        match &written {
            Poll::Ready(Ok(bytes)) => self.seat.life().wrote(now, *bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.seat.life().blocked(now, &self.options),
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
