//! Against the real program, over a socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::super::super::service::{App, Server};
use super::door::{Credentials, NARROW_NAME, Who};
use super::{Call, Door, Fact, Format, Kind, Reply, Scene, all};

struct Socket {
    server: Server,
    apps: [App; 3],
}

impl Door for Socket {
    fn send(&self, call: &Call) -> Reply {
        let address = self.server.address();
        let mut stream = TcpStream::connect(address).unwrap();
        let mut request = format!(
            "{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n",
            call.method, call.path
        );
        for (name, value) in &call.headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n", call.body.len());
        stream.write_all(request.as_bytes()).unwrap();
        // Whoever refuses a body may close before all of it is there.
        let _refused = stream.write_all(&call.body);
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer);
        Reply::from_bytes(&answer)
    }

    fn credentials(&self, who: Who) -> Credentials {
        let [main, narrow, stranger] = &self.apps;
        let app = match who {
            Who::Main => main,
            Who::Narrow => narrow,
            Who::Stranger => stranger,
        };
        Credentials {
            id: app.id().to_owned(),
            secret: app.secret().to_owned(),
        }
    }

    fn public_url(&self) -> String {
        self.server.url().to_owned()
    }

    fn advance(&self, _seconds: u64) {
        panic!("the real program goes by the real clock");
    }
}

#[test]
fn all_facts_hold_for_the_real_program_on_a_socket() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let apps = [
        ("Main", "bws", None),
        (NARROW_NAME, "bws", Some(5)),
        ("Other", "other", None),
    ]
    .map(|(name, storage, partition)| App::create_for(&data, name, storage, partition));
    let door = Socket {
        server: Server::start(&data),
        apps,
    };
    let mut runs: Vec<(&Fact, Format)> = Vec::new();
    for fact in all() {
        match fact.kind {
            Kind::Both => runs.extend([(fact, Format::Json), (fact, Format::Xml)]),
            Kind::Json => runs.push((fact, Format::Json)),
            Kind::Xml => runs.push((fact, Format::Xml)),
            Kind::Clock => {}
        }
    }
    // Each in a partition of its own, two at a time: they do not see each other.
    let next = AtomicUsize::new(0);
    let failed = |run: usize| {
        let (fact, format) = runs[run];
        let partition = 1000 + i32::try_from(run).unwrap();
        let scene = Scene::new(&door, format, partition);
        let done = catch_unwind(AssertUnwindSafe(|| (fact.check)(&scene)));
        done.is_err().then(|| format!("{} ({format:?})", fact.name))
    };
    let failed: Vec<String> = thread::scope(|scope| {
        let workers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut names = Vec::new();
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= runs.len() {
                        return names;
                    }
                    names.extend(failed(run));
                }
            })
        });
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    println!("{} facts tried over a socket", runs.len());
    assert!(failed.is_empty(), "these do not hold: {failed:#?}");
}
