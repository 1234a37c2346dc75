//! What is no picture of one person is refused with its cause, and nothing is lost.

use axum::body::Body;
use axum::http::{Method, Request, header};

use super::app::{TestApp, data_url, file, nobody, obama, two_people};

#[tokio::test]
async fn each_bad_body_is_refused_with_its_cause_and_the_good_sample_stays() {
    let app = TestApp::new();
    let token = app.ready("bcid=bws.1.1&task=enroll&maxtries=1").await;
    let jpeg = file("obama-portrait");
    let truncated = data_url("image/jpeg", &jpeg[..jpeg.len() / 3]);
    let text = data_url("image/png", b"this is no picture at all, whatever it says");
    for (body, words) in [
        ("", "empty"),
        ("hello", "data-URL"),
        ("[]", "data-URL"),
        ("data:image/png,abc", "base64"),
        ("data:image/png;base64,", "no data"),
        ("data:image/png;base64,***", "not base64"),
        ("data:,", "base64"),
        ("data:;base64,AAAA", "no picture"),
        (&text, "no picture"),
        (&truncated, "truncated"),
    ] {
        app.upload(&token, body).await.says(400, words);
    }
    for (body, code) in [
        (nobody(), "NoFaceFound"),
        (two_people(), "MultipleFacesFound"),
        (data_url("audio/wav", b"RIFF"), "SampleNotOfExpectedType"),
        (data_url("text/plain", b"hello"), "SampleNotOfExpectedType"),
    ] {
        let answer = app.upload(&token, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            answer.body,
            format!(r#"{{"Accepted":false,"Error":"{code}"}}"#)
        );
    }
    assert_eq!(
        app.state.samples().len(),
        1,
        "a refused sample was kept, or the good one lost"
    );
    assert_eq!(app.task(&token, "enroll").await.body, r#"{"Success":true}"#);
}

#[tokio::test]
async fn bad_parameters_of_an_upload_are_named() {
    let app = TestApp::new();
    let token = app.token("bcid=bws.1.1").await;
    let bearer = format!("Bearer {token}");
    for (query, words) in [
        ("index=one", "index"),
        ("index=1.5", "index"),
        ("tag=backwards", "tag"),
        ("trait=iris", "trait"),
    ] {
        let path = format!("/extension/upload?{query}");
        let answer = app.call(Method::POST, &path, &bearer, obama()).await;
        answer.says(400, words);
    }
    for query in [
        "index=-3&tag=any&trait=FACE",
        "tag=left%20right",
        "tag=UP&trait=Face,%20Periocular",
        "trait=Periocular",
    ] {
        let path = format!("/extension/upload?{query}");
        let answer = app.call(Method::POST, &path, &bearer, obama()).await;
        assert_eq!(answer.json()["Accepted"], true, "{query}");
    }
    let answer = app
        .call(
            Method::POST,
            "/extension/upload?trait=voice",
            &bearer,
            obama(),
        )
        .await;
    assert_eq!(answer.json()["Error"], "SampleNotOfExpectedType");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_as_too_large() {
    let app = TestApp::with(|settings| settings.body_bytes_max = 200_000);
    let token = app.token("bcid=bws.1.1").await;
    let large = data_url("image/png", &vec![0; 200_000]);
    app.upload(&token, &large).await.says(413, "200000 bytes");
    let form = format!("--x\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n{large}\r\n--x--");
    let request = Request::post("/extension/upload")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x")
        .body(Body::from(form));
    app.send(request.unwrap()).await.message(413);
    assert_eq!(app.upload(&token, &obama()).await.status, 200);
}

#[tokio::test]
async fn a_body_for_which_there_is_no_room_is_to_come_again() {
    let app = TestApp::with(|settings| settings.body_bytes_total_max = 300_000);
    let token = app.token("bcid=bws.1.1").await;
    let large = data_url("image/png", &vec![0; 300_000]);
    let answer = app.upload(&token, &large).await;
    answer.says(503, "busy");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    // Room is given back, and calls without a body need none.
    for _ in 0..8 {
        assert_eq!(app.upload(&token, &obama()).await.status, 200);
    }
    assert_eq!(app.task(&token, "verify").await.status, 200);
    let request = Request::post("/v1/partitions/bws.1/identify").body(Body::from(large));
    let answer = app.send(request.unwrap()).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains(r#""code":"busy""#), "{}", answer.body);
}

#[tokio::test]
async fn twenty_mebibytes_are_allowed_by_default() {
    let app = TestApp::new();
    let token = app.token("bcid=bws.1.1").await;
    let large = format!("data:text/plain;base64,{}", "A".repeat(20 << 20));
    app.upload(&token, &large).await.message(413);
    let fits = &large[..20 << 20];
    let fits = &fits[..fits.len() - (fits.len() - "data:text/plain;base64,".len()) % 4];
    let answer = app.upload(&token, fits).await;
    assert_eq!(answer.json()["Error"], "SampleNotOfExpectedType");
}

#[tokio::test]
async fn a_form_without_a_data_url_is_refused() {
    let app = TestApp::new();
    let token = app.token("bcid=bws.1.1").await;
    for body in [
        "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhello\r\n--x--\r\n",
        "--x\r\n",
        "--x--\r\n",
        "",
        "rubbish",
    ] {
        for kind in ["multipart/form-data; boundary=x", "multipart/form-data"] {
            let request = Request::post("/extension/upload")
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .header(header::CONTENT_TYPE, kind)
                .body(Body::from(body));
            app.send(request.unwrap()).await.message(400);
        }
    }
}

#[tokio::test]
async fn results_are_asked_for_within_limits() {
    let app = TestApp::new();
    app.enroll("bws.1.1", &obama()).await;
    let token = app.ready("bcid=bws.1.1&task=identify&maxtries=1").await;
    for bad in ["0", "1001", "-1", "x", "1.5", "99999999999999999999"] {
        let answer = app
            .task(&token, &format!("identify?maxResults={bad}"))
            .await;
        answer.says(400, "from 1 to 1000");
    }
    let answer = app.task(&token, "identify?maxResults=1000").await;
    assert_eq!(answer.json()["Success"], true);
}

#[tokio::test]
async fn a_bcid_that_is_none_is_refused_by_all_calls_of_the_app() {
    let app = TestApp::new();
    for bcid in [
        "",
        "bws",
        "bws.1",
        "bws.1.x",
        "bws.1.2147483648",
        "bws.1.1.1",
        "%00.1.1",
    ] {
        for (method, path) in [
            (Method::GET, "isenrolled?trait=face&bcid="),
            (Method::DELETE, "deleteclass?bcid="),
        ] {
            let path = format!("/extension/{path}{bcid}");
            let answer = app.ask(method, &path).await;
            let message = answer.message(400);
            assert!(
                message.contains("BCID") || message.contains("bcid"),
                "{message}"
            );
        }
    }
    for bcid in [
        "bws/1/-2147483648",
        "bws:1:5",
        "urn:bcid:bws.1.5",
        "bws%2F1%2F5",
    ] {
        let path = format!("/extension/deleteclass?bcid={bcid}");
        assert_eq!(app.ask(Method::DELETE, &path).await.status, 200, "{bcid}");
    }
}

#[tokio::test]
async fn more_samples_than_a_token_may_have_are_refused_and_the_others_stay() {
    let app = TestApp::with(|settings| settings.samples.per_token = 2);
    let token = app.token("bcid=bws.1.1&task=enroll").await;
    app.refill(&token).await;
    app.refill(&token).await;
    app.upload(&token, &obama()).await.says(429, "2 samples");
    assert_eq!(app.task(&token, "enroll").await.status, 200);
    app.refill(&token).await;
}

#[tokio::test]
async fn a_full_service_says_when_to_try_again() {
    let app = TestApp::with(|settings| settings.samples.total = 1);
    let first = app.ready("bcid=bws.1.1&task=enroll").await;
    let second = app.token("bcid=bws.1.2&task=enroll").await;
    let answer = app.upload(&second, &obama()).await;
    answer.says(503, "1 samples");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    app.task(&first, "enroll").await.json();
    app.refill(&second).await;
}
