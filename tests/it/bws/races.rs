//! Many requests at once.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, header};
use image::{Rgb, RgbImage};
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use vultus::types::Bcid;

use super::app::{Answer, TestApp, obama, png};

/// The answers to `count` requests that begin together.
async fn at_once<F>(count: usize, request: impl Fn(usize) -> F) -> Vec<Answer>
where
    F: Future<Output = Answer> + Send + 'static,
{
    let mut requests = JoinSet::new();
    for number in 0..count {
        requests.spawn(request(number));
    }
    requests.join_all().await
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_uploads_of_one_token_as_many_are_kept_as_it_may_have() {
    let app = Arc::new(TestApp::new());
    let token = app.token("bcid=bws.1.1&task=enroll").await;
    let picture = Arc::new(obama());
    let answers = at_once(64, |_| {
        let (app, token, picture) = (app.clone(), token.clone(), picture.clone());
        async move { app.upload(&token, &picture).await }
    })
    .await;
    assert_eq!(count(&answers, 200), 32);
    assert_eq!(count(&answers, 429), 32);
    assert_eq!(app.state.samples().len(), 32);
    assert_eq!(app.task(&token, "enroll").await.body, r#"{"Success":true}"#);
    assert!(app.state.samples().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tasks_with_the_same_samples_one_gets_them() {
    let app = Arc::new(TestApp::new());
    app.enroll("bws.1.1", &obama()).await;
    for task in ["verify", "identify", "enroll", "livenessdetection"] {
        for _ in 0..6 {
            let token = app.ready(&format!("bcid=bws.1.1&task={task}")).await;
            let answers = at_once(2, |_| {
                let (app, token) = (app.clone(), token.clone());
                async move { app.task(&token, task).await }
            })
            .await;
            assert_eq!(
                (count(&answers, 200), count(&answers, 400)),
                (1, 1),
                "{task}"
            );
        }
    }
    let bcid: Bcid = "bws.1.1".parse().unwrap();
    let partition = app.store.partition(&bcid.partition).unwrap().unwrap();
    let templates = partition.snapshot().templates();
    assert_eq!(
        templates, 7,
        "one of the first enrolment and six of the races"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_are_never_exceeded_in_a_race() {
    let app = Arc::new(TestApp::new());
    app.enroll("bws.1.1", &obama()).await;
    let picture = Arc::new(obama());
    for task in ["identify", "verify", "livenessdetection"] {
        let token = app
            .token(&format!("bcid=bws.1.1&task={task}&maxtries=3"))
            .await;
        let answers = at_once(16, |_| {
            let (app, token, picture) = (app.clone(), token.clone(), picture.clone());
            async move {
                app.upload(&token, &picture).await;
                app.task(&token, task).await
            }
        })
        .await;
        // Whatever order they came in, all tries can be used and no more.
        let mut granted = count(&answers, 200);
        assert!(granted <= 3, "{task}: {granted}");
        for _ in 0..4 {
            app.refill(&token).await;
            granted += usize::from(app.task(&token, task).await.status == 200);
        }
        assert_eq!(granted, 3, "{task}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_enrolled_at_once_are_all_found() {
    let app = Arc::new(TestApp::new());
    let picture = Arc::new(obama());
    at_once(16, |number| {
        let (app, picture) = (app.clone(), picture.clone());
        async move {
            let token = app.token(&format!("bcid=bws.1.{number}&task=enroll")).await;
            app.upload(&token, &picture).await;
            let answer = app.task(&token, "enroll").await;
            assert_eq!(answer.body, r#"{"Success":true}"#);
            answer
        }
    })
    .await;
    let token = app.ready("bcid=bws.1.0&task=identify").await;
    let found = app.task(&token, "identify").await.json();
    let classes: Vec<_> = found["Matches"].as_array().unwrap().iter().collect();
    assert_eq!(classes.len(), 16);
    // All are equally alike, so they come in the order of their numbers.
    for (number, found) in classes.iter().enumerate() {
        assert_eq!(found["ClassID"], number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_that_was_not_begun_says_so_and_is_no_try() {
    let app = Arc::new(TestApp::with(|settings| {
        settings.workers = 1;
        settings.queue_max = 0;
    }));
    let tasks = [
        ("enroll", "enrollment"),
        ("verify", "verification"),
        ("identify", "identification"),
        ("livenessdetection", "livenessdetection"),
    ];
    app.enroll("bws.1.7", &obama()).await;
    let mut tokens = Vec::new();
    for (task, _) in tasks {
        let query = format!("bcid=bws.1.7&task={task}&maxtries=1");
        tokens.push(app.ready(&query).await);
    }
    let held = hold(&app).await;
    for ((task, action), token) in tasks.into_iter().zip(&tokens) {
        let failed = r#"{"Success":false,"Error":"ExecutionOfJobTimedOut""#;
        assert_eq!(app.task(token, task).await.body, format!("{failed}}}"));
        let path = format!("/extension/result?access_token={token}");
        let kept = format!(r#"{failed},"Action":"{action}","BCID":"bws/1/7"}}"#);
        assert_eq!(app.ask(Method::GET, &path).await.body, kept);
        // The sample is gone.
        app.task(token, task).await.says(400, "no samples");
    }
    assert!(!held.is_finished(), "it ended too early");
    assert_eq!(held.await.unwrap().status, 200);
    for ((task, _), token) in tasks.into_iter().zip(&tokens) {
        app.refill(token).await;
        let answer = app.task(token, task).await;
        assert_eq!(answer.status, 200, "{task}: {}", answer.body);
        assert!(!answer.body.contains("TimedOut"), "{task}");
        app.refill(token).await;
        app.task(token, task).await.says(403, "attempts");
    }
}

/// Gives the only worker so much to do that it takes seconds, and waits until it has begun.
async fn hold(app: &Arc<TestApp>) -> JoinHandle<Answer> {
    let wall = png(&RgbImage::from_pixel(5000, 5000, Rgb([128; 3])));
    let body = json!({"liveimage1": wall, "liveimage2": wall, "idphoto": wall}).to_string();
    for _ in 0..100 {
        let (theirs, body) = (app.clone(), body.clone());
        let held = tokio::spawn(async move {
            let path = "/extension/photoverify2";
            theirs.call(Method::POST, path, &theirs.basic(), body).await
        });
        // This one needs the worker for a moment, in which the other is refused if it comes then.
        let path = "/extension/isenrolled?bcid=bws.1.7";
        while !held.is_finished() {
            if app.ask(Method::GET, path).await.status == 503 && !held.is_finished() {
                return held;
            }
        }
        assert_eq!(held.await.unwrap().status, 503);
    }
    panic!("the worker was never taken by the call that was to take it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_too_busy_says_so_in_the_words_of_each_call() {
    let app = Arc::new(TestApp::with(|settings| {
        settings.workers = 1;
        settings.queue_max = 0;
        settings.queue_wait = Duration::from_millis(1);
    }));
    let token = app.ready("bcid=bws.1.1&task=identify&maxtries=1").await;
    let answers = at_once(16, |_| {
        let (app, token) = (app.clone(), token.clone());
        async move { app.upload(&token, &obama()).await }
    })
    .await;
    let busy: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 503)
        .collect();
    assert!(
        !busy.is_empty(),
        "sixteen pictures at once did not fill one worker"
    );
    for answer in busy {
        answer.says(503, "busy");
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
    }

    let answers = at_once(12, |number| {
        let (app, token) = (app.clone(), token.clone());
        async move {
            if number < 8 {
                return app.upload(&token, &obama()).await;
            }
            app.task(&token, "identify").await
        }
    })
    .await;
    let timed_out = r#"{"Success":false,"Error":"ExecutionOfJobTimedOut"}"#;
    assert!(answers.iter().any(|answer| answer.body == timed_out));
    // What was not begun was no try: the one that the token allows is still there, unless one of
    // the calls above got through.
    let got_through = answers
        .iter()
        .any(|answer| answer.body.contains("NoTemplateAvailable"));
    app.refill(&token).await;
    let last = app.task(&token, "identify").await;
    assert_eq!(last.status, if got_through { 403 } else { 200 });
}
