//! The real service speaks TLS, with certificates that are good, wrong, old and replaced.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use super::client::{Client, STATUS, Seen, post};
use super::process::Process;
use crate::cli::{text, vultus};

/// From when to when a certificate is valid, as years, month and day.
type Validity = [(i32, u8, u8); 2];
const NOW: Validity = [(2020, 1, 1), (2060, 1, 1)];

/// A certificate and its key as files, which can be written anew.
struct Files {
    directory: TempDir,
}

impl Files {
    fn new() -> (Files, CertificateDer<'static>) {
        let files = Files {
            directory: tempfile::tempdir().unwrap(),
        };
        let certificate = files.write("localhost", NOW);
        (files, certificate)
    }

    fn write(&self, name: &str, [from, until]: Validity) -> CertificateDer<'static> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(self.certificate(), certificate.pem()).unwrap();
        fs::write(self.key(), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    fn serve(&self, flags: &[&str]) -> Process {
        let (certificate, key) = (self.certificate(), self.key());
        let mut all = vec!["--tls-cert", text(&certificate), "--tls-key", text(&key)];
        all.extend(flags);
        Process::start(&all)
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection to who trusts `certificate`, if there can be one.
fn connect(address: SocketAddr, certificate: &CertificateDer<'static>) -> io::Result<Tls> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // As browsers do; the service chooses.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    Ok(StreamOwned::new(session, stream))
}

fn ask(stream: &mut Tls, request: &str) -> Seen {
    stream.write_all(request.as_bytes()).unwrap();
    Seen::read(stream).expect("the connection ended without an answer")
}

#[test]
fn requests_go_through_tls_one_after_the_other() {
    let (files, certificate) = Files::new();
    let mut process = files.serve(&["--metrics-listen", "127.0.0.1:0"]);
    let url = process.ready["listening"].as_str().unwrap();
    assert!(url.starts_with("https://"), "{url}");
    let mut stream = connect(process.address, &certificate).unwrap();
    assert!(
        ask(&mut stream, STATUS)
            .is(401)
            .head
            .starts_with("http/1.1 401 unauthorized\r\n")
    );
    // A body of many records, and its answer.
    let key = format!("Bearer {}", process.key);
    let body = format!(
        r#"{{"embeddings":[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]],"encoder":"a"{}}}"#,
        " ".repeat(3 << 20)
    );
    let request = post("/v1/partitions/bws.1/identify", &key, body.len()) + &body;
    ask(&mut stream, &request).is(404);
    let metrics = process.ready["metrics"].as_str().unwrap();
    let metrics = metrics.strip_prefix("http://").unwrap();
    let metrics = metrics.strip_suffix("/metrics").unwrap().parse().unwrap();
    let seen = Client::connect(metrics).ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let page = String::from_utf8_lossy(&seen.is(200).body).into_owned();
    // The start of 2060.
    let line = "\nvultus_tls_certificate_not_after_seconds 2840140800\n";
    assert!(page.contains(line), "{page}");
    // Two at once.
    ask(&mut stream, &STATUS.repeat(2)).is(401);
    Seen::read(&mut stream).unwrap().is(401);
    process.signal(Signal::TERM);
    // Told to go, not cut off.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    assert_eq!(process.ended().0.code(), Some(0));
}

#[test]
fn who_speaks_the_other_protocol_is_told() {
    let (files, certificate) = Files::new();
    let secure = files.serve(&[]);
    let mut plain = Client::connect(secure.address);
    let seen = plain.ask(STATUS);
    assert!(seen.is(400).closes());
    assert!(String::from_utf8_lossy(&seen.body).contains("expected TLS"));
    // Nobody is told twice in the log.
    for _ in 0..3 {
        Client::connect(secure.address).ask(STATUS).is(400);
    }
    secure.says("speaks plain HTTP");
    assert_eq!(secure.log().matches("speaks plain HTTP").count(), 1);
    ask(&mut connect(secure.address, &certificate).unwrap(), STATUS).is(401);

    let process = Process::start(&[]);
    let error = connect(process.address, &certificate).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    process.says("speaks TLS");
    process.connect().ask(STATUS).is(401);
}

#[test]
fn a_hangup_takes_up_a_new_certificate_and_none_that_is_wrong() {
    let (files, first) = Files::new();
    let process = files.serve(&[]);
    let mut kept = connect(process.address, &first).unwrap();
    ask(&mut kept, STATUS).is(401);

    let second = files.write("localhost", NOW);
    ask(&mut connect(process.address, &first).unwrap(), STATUS).is(401);
    process.signal(Signal::HUP);
    process.says("read the TLS certificate again");
    connect(process.address, &first).unwrap_err();
    ask(&mut connect(process.address, &second).unwrap(), STATUS).is(401);
    ask(&mut kept, STATUS).is(401);

    let (good, key) = (fs::read(files.certificate()), fs::read(files.key()));
    for (count, (at, wrong)) in [
        (files.certificate(), Some("")),
        (files.key(), Some("secret words")),
        (files.key(), None),
        (files.certificate(), None),
    ]
    .into_iter()
    .enumerate()
    {
        match wrong {
            Some(text) => fs::write(&at, text).unwrap(),
            None => fs::remove_file(&at).unwrap(),
        }
        process.signal(Signal::HUP);
        let says = "goes on with the TLS certificate that it has";
        super::client::until(|| process.log().matches(says).count() > count);
        ask(&mut connect(process.address, &second).unwrap(), STATUS).is(401);
        fs::write(files.certificate(), good.as_ref().unwrap()).unwrap();
        fs::write(files.key(), key.as_ref().unwrap()).unwrap();
    }
    assert!(!process.log().contains("secret words"));
    assert!(!process.log().contains("needs a restart"));
    ask(&mut kept, STATUS).is(401);
}

#[test]
fn a_certificate_that_clients_refuse_is_told_of_and_served() {
    let year = |year| (year, 1, 1);
    for (name, validity, says) in [
        ("localhost", [year(2020), year(2021)], "has ended"),
        ("localhost", [year(2090), year(2095)], "is not valid yet"),
        ("elsewhere.org", NOW, "serving"),
    ] {
        let (files, _) = Files::new();
        let certificate = files.write(name, validity);
        let process = files.serve(&[]);
        process.says(says);
        connect(process.address, &certificate).unwrap_err();
        // The next day.
        let good = files.write("localhost", NOW);
        process.signal(Signal::HUP);
        process.says("read the TLS certificate again");
        ask(&mut connect(process.address, &good).unwrap(), STATUS).is(401);
    }
}

#[test]
fn who_does_not_finish_a_handshake_is_sent_away() {
    let (files, certificate) = Files::new();
    let mut process = files.serve(&["--header-wait-seconds", "1"]);
    // The beginning of a hello, of 500 bytes, that does not come.
    let half: &[u8] = &[22, 3, 1, 1, 244, 1];
    for sent in [&half[..1], half] {
        let mut client = Client::connect(process.address);
        client.send(sent);
        let (waited, bytes) = client.until_closed();
        assert!(waited > Duration::from_millis(500) && bytes.is_empty());
    }
    // What is no hello is answered with an alert, and closed.
    let mut client = Client::connect(process.address);
    client.send([22, 3, 1, 0, 4, 1, 0, 0, 0]);
    let (_, bytes) = client.until_closed();
    assert_eq!(bytes[0], 21, "{bytes:?}");
    ask(&mut connect(process.address, &certificate).unwrap(), STATUS).is(401);
    // One that has only begun does not keep the service.
    let mut client = Client::connect(process.address);
    client.send(half);
    process.signal(Signal::TERM);
    assert_eq!(process.ended().0.code(), Some(0));
}

#[test]
fn times_hold_within_tls_too() {
    let (files, certificate) = Files::new();
    let process = files.serve(&[
        "--header-wait-seconds",
        "1",
        "--idle-wait-seconds",
        "2",
        "--write-wait-seconds",
        "1",
    ]);
    let open = || connect(process.address, &certificate).unwrap();
    // Half a head is answered; a silent connection is only closed.
    let mut slow = open();
    slow.write_all(&STATUS.as_bytes()[..9]).unwrap();
    Seen::read(&mut slow).unwrap().is(408);
    let mut silent = open();
    assert!(Seen::read(&mut silent).is_none());
    let mut idle = open();
    ask(&mut idle, STATUS).is(401);
    assert!(Seen::read(&mut idle).is_none());
    // Answers that nobody reads.
    let stuck = open();
    let (mut session, mut socket) = (stuck.conn, stuck.sock);
    let begin = Instant::now();
    socket
        .set_write_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let is_ended = (0..).any(|_| {
        let _buffered = session.writer().write_all(STATUS.repeat(50).as_bytes());
        begin.elapsed() > Duration::from_secs(40) || session.write_tls(&mut socket).is_err()
    });
    assert!(is_ended && begin.elapsed() < Duration::from_secs(40));
    // A client that closes its side has its answer.
    let mut half = open();
    half.write_all(STATUS.as_bytes()).unwrap();
    half.conn.send_close_notify();
    half.flush().unwrap();
    half.sock.shutdown(Shutdown::Write).unwrap();
    Seen::read(&mut half).unwrap().is(401);
}

#[test]
fn what_is_no_certificate_with_its_key_is_refused_by_name() {
    let (files, _) = Files::new();
    let (others, _) = Files::new();
    let directory = files.directory.path();
    let (certificate, key) = (files.certificate(), files.key());
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let data = directory.join("data");
    let serve = |flags: &[&str]| vultus(&[&["serve", "--data-dir", text(&data)], flags].concat());
    let pem = fs::read_to_string(&key).unwrap();
    let encrypted = pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let cut = fs::read_to_string(&certificate).unwrap();
    let cut = &cut[..cut.len() / 2];
    let no_x509 = "-----BEGIN CERTIFICATE-----\nMTIzNA==\n-----END CERTIFICATE-----\n";
    for (certificate, key, said) in [
        (
            certificate.clone(),
            others.key(),
            "is not that of the first certificate",
        ),
        (certificate.clone(), directory.join("none"), "No such file"),
        (directory.join("none"), key.clone(), "No such file"),
        (directory.to_owned(), key.clone(), "directory"),
        ("/dev/zero".into(), key.clone(), "no plain file"),
        (certificate.clone(), "/dev/zero".into(), "no plain file"),
        (file("empty", ""), key.clone(), "found none"),
        (certificate.clone(), file("empty", ""), "found none"),
        (key.clone(), certificate.clone(), "found none"),
        (file("cut", cut), key.clone(), "broken PEM"),
        (
            file("x509", no_x509),
            key.clone(),
            "no certificate of X.509",
        ),
        (
            certificate.clone(),
            file("locked", &encrypted),
            "encrypted with a password",
        ),
        (
            certificate.clone(),
            file("bad", &pem.replace("MIG", "MIH")),
            "found",
        ),
        (file("large", &"x".repeat(2 << 20)), key, "2097152 bytes"),
    ] {
        let output = serve(&["--tls-cert", text(&certificate), "--tls-key", text(&key)]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}: {error}");
        assert!(error.contains(said), "{said}: {error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        assert!(!error.contains(&pem[40..60]), "{error}");
    }
    for (flag, missing) in [("--tls-cert", "`tls-key`"), ("--tls-key", "`tls-cert`")] {
        let path = text(&certificate).to_owned();
        let output = serve(&[flag, &path]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(error.contains(missing), "{error}");
    }
    assert!(!data.exists(), "nothing is begun");
}
