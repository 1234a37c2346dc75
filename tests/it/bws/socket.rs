//! The service on a real socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vultus::web::serve;

use crate::harness::{Bws, Service, pictures};

/// A service on a socket, and what stops it.
struct Stoppable {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Stoppable {
    fn start(service: &Service) -> Stoppable {
        let listener = TcpListener::bind("127.0.0.1:0");
        let listener = service.runtime.block_on(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let told = async move {
            let _told = stopped.await;
        };
        let server = serve(listener, service.state.clone(), told);
        Stoppable {
            address,
            stop,
            server: service.runtime.spawn(server),
        }
    }

    /// Sends `request` and reads until the server closes.
    fn exchange(&self, request: &str, breaks_off: bool) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        if breaks_off {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let mut answer = Vec::new();
        // To a request that broke off the server may close without an answer.
        let _closed = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    fn stop(self, service: &Service) {
        self.stop.send(()).unwrap();
        service.runtime.block_on(self.server).unwrap().unwrap();
    }
}

#[test]
fn it_answers_with_the_standard_phrase_and_stops_when_told() {
    let service = Service::new();
    let server = Stoppable::start(&service);
    let request = "GET /extension//status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = server.exchange(request, false);
    // Browsers show this phrase, never the body.
    assert!(
        answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("\r\ncontent-type: application/json"),
        "{answer}"
    );
    assert!(answer.contains("{\"Message\":"), "{answer}");

    let address = server.address;
    server.stop(&service);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_body_that_breaks_off_is_no_sample_and_harms_nobody_else() {
    let service = Service::new();
    let token = service.token("bcid=bws.1.1");
    let server = Stoppable::start(&service);
    let picture = pictures::obama();
    let head = format!(
        "POST /extension/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        picture.len()
    );
    for sent in [0, 1, picture.len() / 2, picture.len() - 1] {
        let request = format!("{head}{}", &picture[..sent]);
        let answer = server.exchange(&request, true);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{sent}");
        assert!(service.state.samples().is_empty(), "{sent}");
    }
    let answer = server.exchange(&format!("{head}{picture}"), false);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    server.stop(&service);
}
