//! The service on a real socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use vultus::web::serve;

use super::app::{TestApp, obama};

/// A service on a socket, and what stops it.
async fn start(app: &TestApp) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let state = app.state.clone();
    let server = tokio::spawn(serve(listener, state, async move {
        let _told = stopped.await;
    }));
    (address, stop, server)
}

/// Sends `request` and reads until the server closes.
async fn exchange(address: SocketAddr, request: String, breaks_off: bool) -> String {
    let exchange = spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        if breaks_off {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let mut answer = Vec::new();
        // To a request that broke off the server may close without an answer.
        let _closed = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    });
    exchange.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_with_the_standard_phrase_and_stops_when_told() {
    let app = TestApp::new();
    let (address, stop, server) = start(&app).await;
    let request = "GET /extension//status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(address, request.to_owned(), false).await;
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

    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_no_sample_and_harms_nobody_else() {
    let app = TestApp::new();
    let token = app.token("bcid=bws.1.1").await;
    let (address, stop, server) = start(&app).await;
    let picture = obama();
    let head = format!(
        "POST /extension/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        picture.len()
    );
    for sent in [0, 1, picture.len() / 2, picture.len() - 1] {
        let request = format!("{head}{}", &picture[..sent]);
        let answer = exchange(address, request, true).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{sent}");
        assert!(app.state.samples().is_empty(), "{sent}");
    }
    let answer = exchange(address, format!("{head}{picture}"), false).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}
