//! When the fault is ours, and what the log says.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::http::Method;
use tracing_subscriber::fmt::MakeWriter;
use vultus::partition::NewTemplate;
use vultus::types::{Embedding, EncoderId};

use super::app::{TestApp, obama};

#[tokio::test]
async fn what_broke_inside_is_not_told_outside() {
    let app = TestApp::new();
    let token = app.ready("bcid=bws.1.1&task=enroll").await;
    app.store
        .state_put("apps", &app.id.to_string(), b"damaged")
        .unwrap();
    for answer in [
        app.ask(Method::GET, "/extension/status").await,
        app.task(&token, "enroll").await,
        app.upload(&token, &obama()).await,
    ] {
        assert_eq!(answer.message(500), "the server failed; its log says why");
    }
}

#[tokio::test]
async fn a_gallery_of_another_encoder_is_named_to_the_operator() {
    let app = TestApp::new();
    let encoder = EncoderId::new("other", "7", 16).unwrap();
    let template = NewTemplate {
        embedding: Embedding::new(vec![1.0; 16]).unwrap(),
        quality: 1.0,
    };
    let bcid = "bws.1.1".parse().unwrap();
    app.state
        .engine()
        .enroll(&bcid, &encoder, &[template], app.clock.now())
        .unwrap();
    for task in ["enroll", "identify"] {
        let token = app.ready(&format!("bcid=bws.1.2&task={task}")).await;
        let answer = app.task(&token, task).await;
        answer.says(500, "other@7/16");
        answer.says(500, "sface@2021dec/128");
    }
    // What was there stays.
    let path = "/extension/isenrolled?bcid=bws.1.1&trait=face";
    assert_eq!(app.ask(Method::GET, path).await.status, 200);
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

#[tokio::test]
async fn the_log_has_a_line_for_each_request_and_no_secret() {
    // The place that logs must be known before anybody listens: another test that reaches it for the
    // first time at the same moment could otherwise settle that nobody does.
    let app = TestApp::new();
    app.ready("bcid=bws.1.1&task=identify&maxtries=1").await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone())
        .with_max_level(tracing::Level::TRACE)
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    tracing::callsite::rebuild_interest_cache();
    app.enroll("bws.1.4711", &obama()).await;
    let token = app.ready("bcid=bws.1.4711&task=identify&maxtries=1").await;
    app.task(&token, &format!("identify?access_token={token}"))
        .await;
    app.task(&token, "identify").await.message(403);
    app.task("wrong.token.text", "identify").await.message(401);
    app.upload(&token, "data:image/png;base64,UNDECODABLE")
        .await
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
    let picture = obama();
    for secret in [
        app.secret.as_str(),
        &app.basic()["Basic ".len()..],
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
