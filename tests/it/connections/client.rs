//! A client that sends and reads bytes, and a service of this process for it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use vultus::web::{ServiceOptions, serve};

use crate::harness::Service;

pub(super) const STATUS: &str = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";

/// A service on a socket.
pub(super) struct Live {
    pub(super) service: Service,
    pub(super) address: SocketAddr,
}

impl Live {
    pub(super) fn with(change: impl FnOnce(&mut ServiceOptions)) -> Live {
        Live::on("127.0.0.1:0", change)
    }

    pub(super) fn on(listen: &str, change: impl FnOnce(&mut ServiceOptions)) -> Live {
        let service = Service::with(change);
        let listener = service.runtime.block_on(TcpListener::bind(listen)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = service.state.clone();
        service
            .runtime
            .spawn(serve(listener, state, std::future::pending()));
        Live { service, address }
    }

    pub(super) fn connect(&self) -> Client {
        Client::connect(self.address)
    }
}

/// A connection.
pub(super) struct Client(pub(super) TcpStream);

/// What was read of an answer.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: u16,
    /// In lower case.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        // So that a server that never answers fails the test instead of holding it up.
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what the server may not take any more. Returns whether it did.
    pub(super) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    pub(super) fn ask(&mut self, request: impl AsRef<[u8]>) -> Seen {
        self.send(request);
        self.read()
    }

    /// Reads one answer, to the last byte that its head announces.
    #[track_caller]
    pub(super) fn read(&mut self) -> Seen {
        self.try_read()
            .expect("the connection ended without an answer")
    }

    /// Reads one answer, or `None` if the connection ends before its first byte.
    #[track_caller]
    pub(super) fn try_read(&mut self) -> Option<Seen> {
        Seen::read(&mut self.0)
    }

    /// Closes the side of the client.
    pub(super) fn shut(&mut self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// Waits until the server closes, and returns how long that took and what came before.
    pub(super) fn until_closed(&mut self) -> (Duration, Vec<u8>) {
        let begin = Instant::now();
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error} after {:?}", begin.elapsed()),
        }
        (begin.elapsed(), bytes)
    }

    /// Whether the server has neither answered nor closed.
    pub(super) fn is_waiting(&mut self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let seen = self.0.peek(&mut [0]);
        self.0.set_nonblocking(false).unwrap();
        matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Whether the server has the connection open.
    pub(super) fn is_open(&mut self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let read = self.0.read(&mut [0]);
        self.0.set_nonblocking(false).unwrap();
        matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl Seen {
    /// Reads one answer, to the last byte that its head announces; `None` if `stream` ends before
    /// its first byte.
    #[track_caller]
    pub(super) fn read(stream: &mut impl Read) -> Option<Seen> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(0) if head.is_empty() => return None,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Ok(1) => head.push(byte[0]),
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let status = head[9..12].parse().unwrap();
        Some(Seen { status, head, body })
    }

    /// Fails unless it has this status.
    #[track_caller]
    pub(super) fn is(&self, status: u16) -> &Seen {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{}{body}", self.head);
        self
    }

    /// Whether the server says that it closes the connection.
    pub(super) fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

/// The head of a request with a body of so many bytes.
pub(super) fn post(path: &str, authorization: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Waits, for a minute at most, until something is so.
#[track_caller]
pub(super) fn until(mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never is");
        std::thread::sleep(Duration::from_millis(5));
    }
}
