//! The real service in a process of its own, over a socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::{Answer, Call, Credentials, Door, Who};
use crate::cli::{json_lines, success, text, vultus};

/// Who may call.
#[derive(Clone)]
pub(crate) struct Registered {
    apps: [Credentials; Who::ALL.len()],
    key: String,
}

impl Registered {
    /// Creates the apps and a key in a data directory, which nobody may be using.
    pub(crate) fn create(data: &Path) -> Registered {
        Registered::create_with(data, &[])
    }

    /// As [`Registered::create`], with more flags.
    pub(crate) fn create_with(data: &Path, flags: &[&str]) -> Registered {
        let key = ["key", "create", "--name", "all", "--everything", "--scopes"];
        let scopes = vultus::access::Scope::ALL
            .map(|scope| scope.as_str())
            .join(",");
        let made = made(&[&key[..], &[&scopes], flags].concat(), data);
        Registered {
            apps: Who::ALL.map(|who| create_app(who, data, flags)),
            key: made["key"].as_str().unwrap().to_owned(),
        }
    }

    pub(crate) fn key(&self) -> String {
        self.key.clone()
    }
}

fn create_app(who: Who, data: &Path, flags: &[&str]) -> Credentials {
    let storage = who.storage();
    let number = who
        .partition()
        .map(|number| format!("--partition={number}"));
    let verb = ["app", "create", "--name", who.name(), "--storage", storage];
    let verb = verb.into_iter().chain(number.as_deref());
    let verb: Vec<&str> = verb.chain(flags.iter().copied()).collect();
    let app = made(&verb, data);
    let found = (&app["storage"], &app["partition"]);
    assert_eq!(found, (&storage.into(), &who.partition().into()));
    let text = |name: &str| app[name].as_str().unwrap().to_owned();
    Credentials {
        id: text("id"),
        secret: text("secret"),
    }
}

/// What a command says that it has made.
fn made(verb: &[&str], data: &Path) -> Value {
    let all = [verb, &["--json", "--data-dir", text(data)]].concat();
    json_lines(&success(&vultus(&all))).remove(0)
}

/// A process that is killed when the test ends.
pub(crate) struct Program {
    child: Mutex<Child>,
    url: String,
    /// Where it tells its metrics, without the path; empty if it does not.
    metrics: String,
    registered: Registered,
}

impl Program {
    pub(crate) fn start(data: &Path, registered: &Registered) -> Program {
        Program::start_with(data, registered, &[], Stdio::null())
    }

    /// Starts it with this as its stderr, which is its log.
    pub(crate) fn start_with_stderr(
        data: &Path,
        registered: &Registered,
        stderr: impl Into<Stdio>,
    ) -> Program {
        Program::start_with(data, registered, &[], stderr)
    }

    /// Starts it with more flags, and this as its stderr.
    pub(crate) fn start_with(
        data: &Path,
        registered: &Registered,
        flags: &[&str],
        stderr: impl Into<Stdio>,
    ) -> Program {
        let command = Command::new(env!("CARGO_BIN_EXE_vultus"));
        Program::started(command, data, registered, flags, stderr)
    }

    /// Starts it so that it is told of a limit for the length of files, and not ended by it.
    pub(crate) fn start_with_limits(data: &Path, registered: &Registered) -> Program {
        let mut command = Command::new("sh");
        // What is ignored stays so in the program that takes its place.
        command.args(["-c", r#"trap '' XFSZ; exec "$0" "$@""#]);
        command.arg(env!("CARGO_BIN_EXE_vultus"));
        Program::started(command, data, registered, &[], Stdio::null())
    }

    /// Starts a program of nobody: whoever wants in brings what lets them.
    pub(crate) fn started_unregistered(
        command: Command,
        data: &Path,
        flags: &[&str],
        stderr: impl Into<Stdio>,
    ) -> Program {
        let nobody = || Credentials {
            id: String::new(),
            secret: String::new(),
        };
        let registered = Registered {
            apps: Who::ALL.map(|_| nobody()),
            key: String::new(),
        };
        Program::started(command, data, &registered, flags, stderr)
    }

    fn started(
        mut command: Command,
        data: &Path,
        registered: &Registered,
        flags: &[&str],
        stderr: impl Into<Stdio>,
    ) -> Program {
        let mut child = command
            .args(["serve", "--data-dir", text(data), "--listen", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Program {
            child: Mutex::new(child),
            url: ready["listening"].as_str().unwrap().to_owned(),
            metrics: ready["metrics"]
                .as_str()
                .map_or("", |url| url.trim_end_matches("/metrics"))
                .to_owned(),
            registered: registered.clone(),
        }
    }

    /// Where it is reached.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The number of the process.
    pub(crate) fn process(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Ends the process as a power cut would: it gets no chance to do anything.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Sends SIGTERM and waits until the process has ended; returns its exit code.
    ///
    /// # Panics
    ///
    /// If it is still there after 20 seconds.
    #[cfg(unix)]
    pub(crate) fn terminate(&self) -> Option<i32> {
        use rustix::process::{Pid, Signal, kill_process};
        let mut child = self.child.lock().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        for _ in 0..2_000 {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("SIGTERM did not end it");
    }

    /// Sends a request to a process that may be killed meanwhile.
    ///
    /// # Errors
    ///
    /// If no whole answer came.
    pub(crate) fn try_send(&self, call: &Call) -> io::Result<Answer> {
        send_to(&self.url, call)
    }

    /// Sends a request from another address of this machine, such as 127.0.0.2: who fails to log in
    /// again and again from one is answered later.
    #[cfg(target_os = "linux")]
    pub(crate) fn send_from(&self, from: std::net::Ipv4Addr, call: &Call) -> Answer {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let address = self.url.trim_start_matches("http://");
        let to: std::net::SocketAddrV4 = address.parse().unwrap();
        let stream = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&stream, &std::net::SocketAddrV4::new(from, 0)).unwrap();
        connect(&stream, &to).unwrap();
        send_by(stream.into(), address, call).unwrap()
    }

    /// Sends a request to where it tells its metrics.
    pub(crate) fn send_to_metrics(&self, call: &Call) -> Answer {
        send_to(&self.metrics, call).unwrap()
    }
}

impl Door for Program {
    fn send(&self, call: Call) -> Answer {
        self.try_send(&call).unwrap()
    }

    fn credentials(&self, who: Who) -> Credentials {
        self.registered.apps[who as usize].clone()
    }

    fn key(&self) -> String {
        self.registered.key.clone()
    }

    fn public_url(&self) -> String {
        self.url.clone()
    }

    fn advance(&self, _seconds: u64) {
        panic!("the real program goes by the real clock");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a request to a process that may be killed meanwhile.
fn send_to(url: &str, call: &Call) -> io::Result<Answer> {
    let address = url.trim_start_matches("http://");
    send_by(TcpStream::connect(address)?, address, call)
}

fn send_by(mut stream: TcpStream, address: &str, call: &Call) -> io::Result<Answer> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let (method, path, length) = (&call.method, &call.path, call.body.len());
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n").into_bytes();
    for (name, value) in &call.headers {
        head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    write!(
        head,
        "Connection: close\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(&head)?;
    // Whoever refuses a body may close before all of it is there.
    let _refused = stream.write_all(&call.body);
    let mut answer = Vec::new();
    let closed = stream.read_to_end(&mut answer);
    read(call, &answer).ok_or_else(|| {
        let broken = || io::Error::other(format!("{} bytes", answer.len()));
        closed.err().unwrap_or_else(broken)
    })
}

/// An answer from the bytes that came until the socket was closed, if they are all.
///
/// # Panics
///
/// If the phrase behind the status is not the standard one, which is all that pages show of an
/// error.
fn read(call: &Call, bytes: &[u8]) -> Option<Answer> {
    const END: &[u8] = b"\r\n\r\n";
    let head = bytes.windows(END.len()).position(|found| found == END)?;
    let (head, body) = (&bytes[..head], &bytes[head + END.len()..]);
    let mut lines = str::from_utf8(head).unwrap().split("\r\n");
    let status_line = lines.next().unwrap();
    let rest = status_line.strip_prefix("HTTP/1.1 ").unwrap();
    let (status, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = StatusCode::from_bytes(status.as_bytes()).unwrap();
    assert_eq!(status.canonical_reason(), Some(phrase));
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value.trim()).unwrap(),
        );
    }
    if headers.contains_key("transfer-encoding") {
        let body = unchunked(body)?;
        return Some(Answer::new(&call.path, status.as_u16(), headers, body));
    }
    let length = headers.get("content-length");
    let length = length.map_or(0, |length| length.to_str().unwrap().parse().unwrap());
    let whole = call.method == "HEAD" || body.len() == length;
    whole.then(|| Answer::new(&call.path, status.as_u16(), headers, body.to_vec()))
}

/// A body that came in pieces, if its end came, too.
fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|found| found == b"\r\n")?;
        let length = str::from_utf8(&bytes[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        bytes = &bytes[end + 2..];
        if length == 0 {
            return Some(body);
        }
        body.extend(bytes.get(..length)?);
        bytes = bytes.get(length + 2..)?;
    }
}
