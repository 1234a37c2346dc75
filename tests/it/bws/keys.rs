//! Replacing the key for tokens while the service runs.

use axum::http::Method;
use vultus::access::{Retire, ServerKey};

use super::app::{TestApp, obama};

fn rotate(app: &TestApp, retire: Retire) {
    let directory = app.store.directory();
    ServerKey::rotate(directory, retire, app.clock.now(), &mut rand::rng()).unwrap();
    assert!(app.state.renew_key().unwrap());
}

#[tokio::test]
async fn tokens_and_apps_live_on_when_the_key_is_replaced() {
    let mut app = TestApp::new();
    let old = app.ready("bcid=bws.1.7&task=enroll").await;
    rotate(&app, Retire::Keep);
    let new = app.token("bcid=bws.1.7&task=identify").await;
    // Its sample, its tries and its result, under the key that is no longer used.
    assert_eq!(app.task(&old, "enroll").await.body, r#"{"Success":true}"#);
    app.refill(&new).await;
    assert_eq!(app.task(&new, "identify").await.status, 200);
    let result = format!("/extension/result?access_token={old}");
    assert_eq!(app.ask(Method::GET, &result).await.status, 200);
    // Also after a restart, which reads both keys from the file.
    app.key = ServerKey::open(app.store.directory()).unwrap().unwrap();
    app.restarted();
    for token in [&old, &new] {
        assert_eq!(app.upload(token, &obama()).await.status, 200);
    }
    app.advance(600);
    app.upload(&old, &obama()).await.says(401, "expired");
    assert_eq!(app.ask(Method::GET, &result).await.status, 200);
}

#[tokio::test]
async fn a_key_that_is_forgotten_takes_its_tokens_with_it_and_no_app() {
    let app = TestApp::new();
    let old = app.ready("bcid=bws.1.7&task=enroll").await;
    rotate(&app, Retire::Forget);
    app.task(&old, "enroll").await.says(401, "not ours");
    let new = app.ready("bcid=bws.1.7&task=enroll").await;
    assert_eq!(app.task(&new, "enroll").await.body, r#"{"Success":true}"#);
}

#[tokio::test]
async fn a_key_of_another_installation_or_a_damaged_one_is_not_taken() {
    let app = TestApp::new();
    let token = app.ready("bcid=bws.1.7&task=enroll").await;
    let path = app.store.directory().join(ServerKey::FILE_NAME);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..20]).unwrap();
    app.state.renew_key().unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(!app.state.renew_key().unwrap());
    ServerKey::open_or_create(app.store.directory(), &mut rand::rng()).unwrap();
    assert!(!app.state.renew_key().unwrap());
    assert_eq!(app.task(&token, "enroll").await.status, 200);
}
