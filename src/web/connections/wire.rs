//! The socket as hyper sees it: one request at a time.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::head::HeadFault;
use super::life::{Life, Look, Stage};
use super::seats::Seat;
use super::transport::Transport;

/// How much is received at once, and how much at most before hyper asks for it.
const PIECE_BYTES: usize = 8 << 10;

/// An answer that is none yet. Clients pass over it (RFC 9110, 15.2), whether or not they asked for
/// it.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A connection of which it is known how far each request is.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Transport,
    seat: Arc<Seat>,
    /// What was received and belongs to a later request.
    ahead: Vec<u8>,
    /// Whether the client has closed its side.
    is_ended: bool,
    /// Whether hyper waits for bytes: then it notices by itself when there are no more.
    is_awaited: bool,
    /// Why hyper has refused a head by itself. Its words are not sent: ours are.
    refused: Option<HeadFault>,
}

/// What is left of a connection when no more requests are read from it.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) stream: Transport,
    /// Whether something of the client was left unread.
    pub(super) has_more: bool,
    /// What the client is still to be told that was wrong.
    pub(super) refused: Option<HeadFault>,
}

impl Wire {
    pub(super) fn new(stream: Transport, seat: Arc<Seat>) -> Wire {
        Wire {
            stream,
            seat,
            ahead: Vec::new(),
            is_ended: false,
            is_awaited: false,
            refused: None,
        }
    }

    pub(super) fn into_left(self) -> Left {
        let is_clean = self.ahead.is_empty() && self.seat.life().framing().is_between();
        Left {
            stream: self.stream,
            has_more: !self.is_ended && !is_clean,
            refused: self.refused,
        }
    }

    /// Whether hyper refuses a head of which it has made no request, by itself: its words have no body
    /// and none of the headers that answers have here.
    fn is_refusing(&mut self, bytes: &[u8]) -> bool {
        let is_head = || matches!(self.seat.life().stage(), Stage::Silent | Stage::Head);
        if self.refused.is_none() && bytes.starts_with(b"HTTP/1.") && is_head() {
            let status = bytes.get(9..12).map(StatusCode::from_bytes);
            self.refused = status.and_then(Result::ok).map(HeadFault::of_status);
        }
        self.refused.is_some()
    }

    /// Gives what may be read now of what was received ahead.
    fn give_ahead(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let end = self.ahead.len().min(buffer.remaining());
        let passed = self.seat.life().pass(Instant::now(), &self.ahead[..end]);
        if passed == 0 && end > 0 {
            return Err(misread());
        }
        buffer.put_slice(&self.ahead[..passed]);
        self.ahead.drain(..passed);
        if self.ahead.is_empty() {
            // An idle connection keeps no memory for it.
            self.ahead = Vec::new();
        }
        Ok(())
    }

    /// Receives what comes next and gives what may be read of it now.
    fn receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.seat.life().framing().body_left() >= buffer.remaining() as u64 {
            return self.receive_body(context, buffer);
        }
        let mut piece = [0; PIECE_BYTES];
        let piece = ready!(self.receive_piece(context, &mut piece))?;
        let end = piece.len().min(buffer.remaining());
        let passed = self.seat.life().pass(Instant::now(), &piece[..end]);
        if passed == 0 && end > 0 {
            return Poll::Ready(Err(misread()));
        }
        buffer.put_slice(&piece[..passed]);
        self.ahead.extend_from_slice(&piece[passed..]);
        Poll::Ready(Ok(()))
    }

    /// Receives some of a body that has more than fits `buffer`.
    fn receive_body(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let bytes = buffer.filled().len() - before;
        self.heard(bytes).pass_body(bytes);
        Poll::Ready(Ok(()))
    }

    /// Receives bytes; none if the client has closed its side.
    fn receive_piece<'a>(
        &mut self,
        context: &mut Context<'_>,
        piece: &'a mut [u8],
    ) -> Poll<io::Result<&'a [u8]>> {
        let mut read = ReadBuf::new(piece);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        let bytes = read.filled().len();
        drop(self.heard(bytes));
        Poll::Ready(Ok(&piece[..bytes]))
    }

    /// So many bytes were received; none if the client has closed its side.
    fn heard(&mut self, bytes: usize) -> MutexGuard<'_, Life> {
        let now = Instant::now();
        let mut life = self.seat.life();
        if bytes == 0 {
            self.is_ended = true;
            life.closed_its_side(now);
        } else {
            life.heard(now);
        }
        life
    }

    /// While a request is worked on, hyper does not read. So it is looked here whether the client
    /// has broken off or closed its side.
    fn look_ahead(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.is_awaited && !self.is_ended && self.ahead.is_empty() {
            let mut piece = [0; PIECE_BYTES];
            match self.receive_piece(context, &mut piece) {
                Poll::Ready(piece) => {
                    let piece = piece?;
                    self.ahead.extend_from_slice(piece);
                }
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    /// Finds out whether a client that has closed its side still waits for its answer. If it has
    /// closed the connection, its system answers whatever is sent with a reset.
    fn look_after(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let now = Instant::now();
        let look = self.seat.life().look(now);
        if look == Look::Not {
            return Ok(());
        }
        if let Some(error) = self.stream.socket().stream().take_error()? {
            return Err(error);
        }
        let mut is_asked = false;
        if look == Look::Ask
            && let Poll::Ready(sent) = Pin::new(&mut self.stream).poll_write(context, INTERIM)
        {
            if sent? != INTERIM.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            is_asked = true;
        }
        self.seat.life().looked(now, is_asked);
        Ok(())
    }
}

/// hyper asks for more where no more belongs to the request: it reads the request differently from
/// us.
fn misread() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the bytes of a request could not be followed",
    )
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = if !self.ahead.is_empty() {
            Poll::Ready(self.give_ahead(buffer))
        } else if self.is_ended {
            Poll::Ready(Ok(()))
        } else {
            self.receive(context, buffer)
        };
        self.is_awaited = read.is_pending();
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_refusing(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_refusing(slices.first().map_or(&[][..], |slice| &slice[..])) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper asks for this whenever it has written everything, and each time that it looks whether
    /// there is something to do.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.seat.life().flushed(Instant::now());
        self.look_ahead(context)?;
        self.look_after(context)?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refused.is_some() {
            // The last word is still to be said.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
