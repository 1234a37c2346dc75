//! A service on a socket, and a client that sends and reads bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::net::TcpListener;
use vultus::web::{ServiceOptions, serve};

use crate::harness::Service;

/// A service that answers until this is dropped.
pub(super) struct Live {
    pub(super) service: Service,
    pub(super) address: SocketAddr,
}

/// A connection that stays open.
pub(super) struct Wire(BufReader<TcpStream>);

/// What was read of an answer.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status_line: String,
    /// In lower case.
    pub(super) headers: String,
    pub(super) body: String,
}

impl Live {
    pub(super) fn start() -> Live {
        Live::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut ServiceOptions)) -> Live {
        let service = Service::with(change);
        let listener = TcpListener::bind("127.0.0.1:0");
        let listener = service.runtime.block_on(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let state = service.state.clone();
        service
            .runtime
            .spawn(serve(listener, state, std::future::pending()));
        Live { service, address }
    }

    pub(super) fn connect(&self) -> Wire {
        let stream = TcpStream::connect(self.address).unwrap();
        // So that a server that never answers fails the test instead of holding it up.
        let patience = Some(Duration::from_secs(120));
        stream.set_read_timeout(patience).unwrap();
        Wire(BufReader::new(stream))
    }
}

impl Wire {
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Sends what the server may refuse to read. Returns whether it was taken.
    pub(super) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.get_mut().write_all(bytes).is_ok()
    }

    /// Sends a request and reads its answer.
    pub(super) fn ask(&mut self, request: &str) -> Seen {
        self.send(request.as_bytes());
        self.read()
    }

    /// Reads one answer, to the last byte that its head announces.
    pub(super) fn read(&mut self) -> Seen {
        let mut line = || {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            line.trim_end_matches("\r\n").to_owned()
        };
        let status_line = line();
        let mut headers = String::new();
        loop {
            let header = line();
            if header.is_empty() {
                break;
            }
            headers += &header.to_ascii_lowercase();
            headers.push('\n');
        }
        let length = headers
            .lines()
            .find_map(|header| header.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Seen {
            status_line,
            headers,
            body: String::from_utf8(body).unwrap(),
        }
    }
}

impl Seen {
    /// Fails unless it is this status line.
    #[track_caller]
    pub(super) fn is(&self, status_line: &str) -> &Seen {
        assert_eq!(self.status_line, status_line, "{}", self.body);
        self
    }

    pub(super) fn json(&self) -> serde_json::Value {
        assert!(
            self.headers.contains("content-type: application/json"),
            "{}",
            self.headers
        );
        serde_json::from_str(&self.body).unwrap()
    }
}
