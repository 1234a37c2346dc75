//! When the fault is ours, and what the log says.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;
use vultus::partition::NewTemplate;
use vultus::types::{Embedding, EncoderId};

use crate::harness::{Bws, Door, Service, Who, pictures};

#[test]
fn what_broke_inside_is_not_told_outside() {
    let service = Service::new();
    let token = service.ready("bcid=bws.1.1&task=enroll");
    service
        .store
        .state_put("apps", &service.credentials(Who::Main).id, b"damaged")
        .unwrap();
    for answer in [
        service.ask("GET", "status"),
        service.task(&token, "enroll"),
        service.upload(&token, pictures::obama()),
    ] {
        assert_eq!(answer.message(500), "the server failed; its log says why");
    }
}

#[test]
fn a_gallery_of_another_encoder_is_named_to_the_operator() {
    let service = Service::new();
    let encoder = EncoderId::new("other", "7", 16).unwrap();
    let template = NewTemplate {
        embedding: Embedding::new(vec![1.0; 16]).unwrap(),
        quality: 1.0,
        portrait: None,
    };
    let bcid = "bws.1.1".parse().unwrap();
    service
        .state
        .engine()
        .enroll(&bcid, &encoder, &[template], service.clock.now())
        .unwrap();
    for task in ["enroll", "identify"] {
        let token = service.ready(&format!("bcid=bws.1.2&task={task}"));
        let answer = service.task(&token, task);
        answer.refuses(500, "other@7/16");
        answer.refuses(500, "sface@2021dec/128");
    }
    // What was there stays.
    let path = "isenrolled?bcid=bws.1.1&trait=face";
    assert_eq!(service.ask("GET", path).status, 200);
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

#[test]
fn the_log_has_a_line_for_each_request_and_no_secret() {
    // The place that logs must be known before anybody listens: another test that reaches it for
    // the first time at the same moment could otherwise settle that nobody does.
    let service = Service::new();
    service.ready("bcid=bws.1.1&task=identify&maxtries=1");
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone())
        .with_max_level(tracing::Level::TRACE)
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    tracing::callsite::rebuild_interest_cache();
    service.enroll("bws.1.4711", pictures::obama());
    let token = service.ready("bcid=bws.1.4711&task=identify&maxtries=1");
    service.task(&token, &format!("identify?access_token={token}"));
    service.task(&token, "identify").message(403);
    service.task("wrong.token.text", "identify").message(401);
    service
        .upload(&token, "data:image/png;base64,UNDECODABLE")
        .message(400);
    drop(guard);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // Two tokens, three uploads, one enrolment, three identifications.
    assert_eq!(log.matches("answered").count(), 9, "{log}");
    assert!(log.contains("/extension/identify"), "{log}");
    let lines = log.lines().filter(|line| line.contains("answered"));
    for line in lines {
        for part in ["id=", "method=", "path=", "status=", "milliseconds="] {
            assert!(line.contains(part), "no {part} in {line}");
        }
    }
    let signature = token.rsplit('.').next().unwrap();
    let picture = pictures::obama();
    for secret in [
        service.credentials(Who::Main).secret.as_str(),
        &service.basic(Who::Main)["Basic ".len()..],
        signature,
        "wrong.token.text",
        "UNDECODABLE",
        "access_token",
        "bcid=",
        &picture[100..200],
    ] {
        assert!(!log.contains(secret), "`{secret}` is in the log:\n{log}");
    }
}
