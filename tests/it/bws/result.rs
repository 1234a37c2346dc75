//! What came of a token, asked by the app that issued it.

use axum::body::Body;
use axum::http::Method;

use super::app::{Answer, TestApp, basic, biden, obama};

async fn result(app: &TestApp, token: &str) -> Answer {
    let path = format!("/extension/result?access_token={token}");
    app.ask(Method::GET, &path).await
}

#[tokio::test]
async fn each_task_leaves_its_outcome() {
    let app = TestApp::new();
    let enroll = app.ready("bcid=bws.1.7&task=enroll").await;
    app.task(&enroll, "enroll").await;
    assert_eq!(
        result(&app, &enroll).await.body,
        r#"{"Success":true,"Action":"enrollment","BCID":"bws/1/7"}"#
    );
    let verify = app.token("bcid=bws.1.7").await;
    app.upload(&verify, &biden()).await;
    app.task(&verify, "verify").await;
    // Not recognised is no error.
    assert_eq!(
        result(&app, &verify).await.body,
        r#"{"Success":false,"Action":"verification","BCID":"bws/1/7"}"#
    );
    let nobody = app.ready("bcid=bws.1.9").await;
    app.task(&nobody, "verify").await;
    assert_eq!(
        result(&app, &nobody).await.body,
        r#"{"Success":false,"Error":"NoTemplateAvailable","Action":"verification","BCID":"bws/1/9"}"#
    );
    let identify = app.ready("bcid=bws.1.0&task=identify").await;
    let answer = app.task(&identify, "identify").await.json();
    let kept = result(&app, &identify).await.json();
    assert_eq!(kept["Action"], "identification");
    assert_eq!(kept["BCID"], "bws/1/0");
    assert_eq!(kept["Matches"][0]["BCID"], "bws/1/7");
    assert_eq!(kept["Matches"][0]["Score"], answer["Matches"][0]["Score"]);
    assert_eq!(kept["Matches"][0].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn the_last_operation_counts_and_survives_a_restart() {
    let mut app = TestApp::new();
    app.enroll("bws.1.7", &obama()).await;
    let token = app.token("bcid=bws.1.7").await;
    assert_eq!(result(&app, &token).await.status, 204);
    // A call without samples is no operation.
    app.task(&token, "verify").await.message(400);
    let none = result(&app, &token).await;
    assert_eq!((none.status.as_u16(), none.body.as_str()), (204, ""));
    for (picture, success) in [(obama(), true), (biden(), false)] {
        app.upload(&token, &picture).await;
        app.task(&token, "verify").await;
        assert_eq!(result(&app, &token).await.json()["Success"], success);
        app.restarted();
        assert_eq!(result(&app, &token).await.json()["Success"], success);
    }
}

#[tokio::test]
async fn a_result_can_be_read_for_an_hour_after_its_token_expired() {
    let app = TestApp::new();
    let token = app.ready("bcid=bws.1.7&task=enroll").await;
    app.task(&token, "enroll").await;
    app.advance(600 + 3599);
    assert_eq!(result(&app, &token).await.json()["Success"], true);
    app.advance(1);
    assert_eq!(result(&app, &token).await.status, 204);
}

#[tokio::test]
async fn only_the_app_of_the_token_or_its_holder_may_read_the_result() {
    let app = TestApp::new();
    let token = app.ready("bcid=bws.1.7&task=enroll").await;
    app.task(&token, "enroll").await;
    let path = format!("/extension/result?access_token={token}");
    let (other, secret) = app
        .state
        .apps()
        .create(
            "Other",
            "bws".parse().unwrap(),
            None,
            app.clock.now(),
            &mut rand::rng(),
        )
        .unwrap();
    let theirs = basic(&other.id.to_string(), secret.expose());
    app.call(Method::GET, &path, &theirs, Body::empty())
        .await
        .says(403, "another app");
    app.call(Method::GET, &path, "", Body::empty())
        .await
        .message(401);
    let wrong = basic(&app.id.to_string(), "wrong");
    app.call(Method::GET, &path, &wrong, Body::empty())
        .await
        .message(401);
    // What a client of 2014 does.
    let bearer = format!("Bearer {token}");
    let held = app
        .call(Method::GET, "/extension/result", &bearer, Body::empty())
        .await;
    assert_eq!(held.json()["Action"], "enrollment");
    for (query, words) in [
        ("", "missing"),
        ("?access_token=", "missing"),
        ("?access_token=x", "malformed"),
        ("?access_token=a.b.c", "malformed"),
    ] {
        let path = format!("/extension/result{query}");
        app.ask(Method::GET, &path).await.says(400, words);
    }
    let mut changed = token.clone();
    changed.replace_range(token.len() - 6..token.len() - 2, "AAAA");
    result(&app, &changed).await.says(400, "signature");
}
