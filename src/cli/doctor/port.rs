//! Who has a port: nobody, a Vultus, or somebody else.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

use super::facts::PortState;

/// A service on this machine answers sooner, whatever it has to do.
const WAIT: Duration = Duration::from_secs(2);
/// Whatever answers, no more is read.
const ANSWER_BYTES_MAX: u64 = 4_096;

/// What every Vultus answers to everybody, and by what its answer is known.
pub(super) struct Question {
    path: &'static str,
    /// One of these is in the answer.
    marks: &'static [&'static str],
}

/// For the service itself: also what it answers where TLS is spoken.
pub(super) const SERVICE: Question = Question {
    path: "/v1/problems",
    marks: &[
        "\"problems\":[",
        "expected TLS on this port, found plain HTTP",
    ],
};

/// For the address of its metrics.
pub(super) const METRICS: Question = Question {
    path: "/metrics",
    marks: &["\n# TYPE vultus_", "\n# HELP vultus_"],
};

pub(super) fn state(address: SocketAddr, question: &Question) -> PortState {
    if address.port() != 0
        && let Ok(stream) = TcpStream::connect_timeout(&reachable(address), WAIT)
    {
        return match is_vultus(stream, question) {
            true => PortState::Vultus,
            false => PortState::Taken,
        };
    }
    match can_take(address) {
        Ok(()) if address.port() == 0 => PortState::Any,
        Ok(()) => PortState::Free,
        Err(error) => PortState::Unusable(error.to_string()),
    }
}

/// Under which address whoever listens on all of them is reached.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn is_vultus(mut stream: TcpStream, question: &Question) -> bool {
    let Question { path, marks } = question;
    let ask = || -> io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(WAIT))?;
        stream.set_write_timeout(Some(WAIT))?;
        // In one piece: who does not speak HTTP reads once, and goes.
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer);
    marks.iter().any(|mark| answer.contains(mark))
}

/// Whether this user could listen there. It does not listen, so that a service that starts at the
/// same moment is not in its way.
fn can_take(address: SocketAddr) -> io::Result<()> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket(family, SocketType::STREAM, None)?;
    // As the service does: else a port that was used a minute ago would seem taken.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    Ok(bind(&socket, &address)?)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Listens and answers one connection with `text`.
    fn answering(text: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn who_has_a_port_is_seen_by_the_answer() {
        let ours = "HTTP/1.1 200 OK\r\n\r\n{\"problems\":[]}";
        let with_tls = "HTTP/1.1 400 Bad Request\r\n\r\n\
            expected TLS on this port, found plain HTTP: https://\n";
        for ours in [ours, with_tls] {
            assert!(
                matches!(state(answering(ours), &SERVICE), PortState::Vultus),
                "{ours}"
            );
        }
        let metrics = "HTTP/1.1 200 OK\r\n\r\n# HELP vultus_rows Rows.\n# TYPE vultus_rows gauge\n";
        let found = state(answering(metrics), &METRICS);
        assert!(matches!(found, PortState::Vultus), "{found:?}");
        for other in ["HTTP/1.1 200 OK\r\n\r\nhello", "SSH-2.0-x\r\n", ""] {
            assert!(
                matches!(state(answering(other), &SERVICE), PortState::Taken),
                "{other}"
            );
        }
    }

    #[test]
    fn a_port_that_nobody_has_is_free_also_for_two_who_look() {
        assert!(matches!(
            state("127.0.0.1:0".parse().unwrap(), &SERVICE),
            PortState::Any
        ));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(matches!(state(address, &SERVICE), PortState::Free));
        // An address of documentation, which no machine has.
        let foreign = state("192.0.2.1:0".parse().unwrap(), &SERVICE);
        assert!(matches!(foreign, PortState::Unusable(_)), "{foreign:?}");
    }
}
