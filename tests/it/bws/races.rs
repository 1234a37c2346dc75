//! Many requests at once.

use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use axum::http::header;
use image::{Rgb, RgbImage};
use serde_json::json;
use vultus::types::Bcid;

use crate::harness::{Answer, Bws, Service, Who, pictures};

/// The answers to `count` requests that begin together.
fn at_once(count: usize, request: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    thread::scope(|scope| {
        let request = &request;
        let callers: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || request(number)))
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    })
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .count()
}

#[test]
fn of_64_uploads_of_one_token_as_many_are_kept_as_it_may_have() {
    let service = Service::new();
    let token = service.token("bcid=bws.1.1&task=enroll");
    let answers = at_once(64, |_| service.upload(&token, pictures::obama()));
    assert_eq!(count(&answers, 200), 32);
    assert_eq!(count(&answers, 429), 32);
    assert_eq!(service.state.samples().len(), 32);
    assert_eq!(service.task(&token, "enroll").body, r#"{"Success":true}"#);
    assert!(service.state.samples().is_empty());
}

#[test]
fn of_two_tasks_with_the_same_samples_one_gets_them() {
    let service = Service::new();
    service.enroll("bws.1.1", pictures::obama());
    for task in ["verify", "identify", "enroll", "livenessdetection"] {
        for _ in 0..6 {
            let token = service.ready(&format!("bcid=bws.1.1&task={task}"));
            let answers = at_once(2, |_| service.task(&token, task));
            assert_eq!(
                (count(&answers, 200), count(&answers, 400)),
                (1, 1),
                "{task}"
            );
        }
    }
    let bcid: Bcid = "bws.1.1".parse().unwrap();
    let partition = service.store.partition(&bcid.partition).unwrap().unwrap();
    let templates = partition.snapshot().templates();
    assert_eq!(templates, 1, "all are of the same picture");
}

#[test]
fn tries_are_never_exceeded_in_a_race() {
    let service = Service::new();
    service.enroll("bws.1.1", pictures::obama());
    for task in ["identify", "verify", "livenessdetection"] {
        let token = service.token(&format!("bcid=bws.1.1&task={task}&maxtries=3"));
        let answers = at_once(16, |_| {
            service.upload(&token, pictures::obama());
            service.task(&token, task)
        });
        // Whatever order they came in, all tries can be used and no more.
        let mut granted = count(&answers, 200);
        assert!(granted <= 3, "{task}: {granted}");
        for _ in 0..4 {
            service.accepted(&token, pictures::obama());
            granted += usize::from(service.task(&token, task).status == 200);
        }
        assert_eq!(granted, 3, "{task}");
    }
}

#[test]
fn people_enrolled_at_once_are_all_found() {
    let service = Service::new();
    at_once(16, |number| {
        let token = service.token(&format!("bcid=bws.1.{number}&task=enroll"));
        service.upload(&token, pictures::obama());
        let answer = service.task(&token, "enroll");
        answer.is(r#"{"Success":true}"#);
        answer
    });
    let token = service.ready("bcid=bws.1.0&task=identify");
    let found = service.task(&token, "identify").json();
    let classes: Vec<_> = found["Matches"].as_array().unwrap().iter().collect();
    assert_eq!(classes.len(), 16);
    // All are equally alike, so they come in the order of their numbers.
    for (number, found) in classes.iter().enumerate() {
        assert_eq!(found["ClassID"], number);
    }
}

#[test]
fn every_task_that_was_not_begun_says_so_and_is_no_try() {
    let service = Service::with(|settings| {
        settings.workers = 1;
        settings.queue_max = 0;
    });
    // Each needs the worker for its pictures, since the samples are to be live.
    let tasks = [
        ("enroll", "enrollment"),
        ("verify", "verification"),
        ("identify", "identification"),
        ("livenessdetection", "livenessdetection"),
    ];
    service.enroll("bws.1.7", pictures::obama());
    let mut tokens = Vec::new();
    for (task, _) in tasks {
        let query = format!("bcid=bws.1.7&task={task}&maxtries=1&livedetection=true");
        tokens.push(service.ready(&query));
    }
    thread::scope(|scope| {
        let held = hold(&service, scope);
        // What needs no worker is done all the same.
        assert_eq!(service.ask("GET", "isenrolled?bcid=bws.1.7").status, 200);
        service.token("bcid=bws.1.7&task=verify");
        for ((task, action), token) in tasks.into_iter().zip(&tokens) {
            let failed = r#"{"Success":false,"Error":"ExecutionOfJobTimedOut""#;
            service.task(token, task).is(&format!("{failed}}}"));
            let kept = format!(r#"{failed},"Action":"{action}","BCID":"bws/1/7"}}"#);
            service.result_of(token).is(&kept);
            // The sample is gone.
            service.task(token, task).refuses(400, "no samples");
        }
        assert!(!held.is_finished(), "it ended too early");
        assert_eq!(held.join().unwrap().status, 200);
    });
    for ((task, _), token) in tasks.into_iter().zip(&tokens) {
        service.accepted(token, pictures::obama());
        let answer = service.task(token, task);
        assert_eq!(answer.status, 200, "{task}: {}", answer.body);
        assert!(!answer.body.contains("TimedOut"), "{task}");
        service.accepted(token, pictures::obama());
        service.task(token, task).refuses(403, "attempts");
    }
}

/// Gives the only worker so much to do that it takes seconds, and waits until it has begun.
fn hold<'scope>(
    service: &'scope Service,
    scope: &'scope Scope<'scope, '_>,
) -> ScopedJoinHandle<'scope, Answer> {
    let wall = pictures::png(&RgbImage::from_pixel(5000, 5000, Rgb([128; 3])));
    let body = json!({"liveimage1": wall, "liveimage2": wall, "idphoto": wall}).to_string();
    let authorization = service.basic(Who::Main);
    for _ in 0..100 {
        let (authorization, body) = (authorization.clone(), body.clone());
        let held = scope.spawn(move || service.call("POST", "photoverify2", &authorization, body));
        // A text that is no picture needs the worker for a moment, in which the other is refused if
        // it comes then.
        let authorization = service.basic(Who::Main);
        while !held.is_finished() {
            let text = "data:,x".to_owned();
            let answer = service.call("POST", "qualitycheck", &authorization, text);
            if answer.status == 503 && !held.is_finished() {
                return held;
            }
            // Else the worker would hardly ever be free where processors are few.
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(held.join().unwrap().status, 503);
    }
    panic!("the worker was never taken by the call that was to take it");
}

#[test]
fn a_server_too_busy_says_so_in_the_words_of_each_call() {
    let service = Service::with(|settings| {
        settings.workers = 1;
        settings.queue_max = 0;
        settings.queue_wait = Duration::from_millis(1);
    });
    let token = service.ready("bcid=bws.1.1&task=identify&maxtries=1&livedetection=true");
    let answers = at_once(16, |_| service.upload(&token, pictures::obama()));
    let busy: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 503)
        .collect();
    assert!(
        !busy.is_empty(),
        "sixteen pictures at once did not fill one worker"
    );
    for answer in busy {
        answer.refuses(503, "busy");
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
    }

    let answers = at_once(12, |number| {
        if number < 8 {
            return service.upload(&token, pictures::obama());
        }
        service.task(&token, "identify")
    });
    let timed_out = r#"{"Success":false,"Error":"ExecutionOfJobTimedOut"}"#;
    assert!(answers.iter().any(|answer| answer.body == timed_out));
    // What was not begun was no try: the one that the token allows is still there, unless one of
    // the calls above got through.
    let tasks = answers[8..].iter();
    let got_through = tasks
        .filter(|answer| answer.status == 200)
        .any(|answer| answer.body != timed_out);
    service.accepted(&token, pictures::obama());
    let last = service.task(&token, "identify");
    assert_eq!(last.status, if got_through { 403 } else { 200 });
}
