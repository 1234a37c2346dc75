//! What is no picture of one person is refused with its cause, and nothing is lost.

use std::time::Duration;

use axum::http::header;
use serde_json::json;

use crate::harness::{Body, Bws, Call, Door, Native, Service, Who, pictures};

#[test]
fn each_bad_body_is_refused_with_its_cause_and_the_good_sample_stays() {
    let service = Service::new();
    let token = service.ready("bcid=bws.1.1&task=enroll&maxtries=1");
    let jpeg = pictures::file("obama-portrait");
    let truncated = pictures::data_url("image/jpeg", &jpeg[..jpeg.len() / 3]);
    let text = pictures::data_url("image/png", b"this is no picture at all, whatever it says");
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
        service.upload(&token, body).refuses(400, words);
    }
    for (body, code) in [
        (pictures::nobody(), "NoFaceFound"),
        (pictures::two_people(), "MultipleFacesFound"),
        (
            &pictures::data_url("audio/wav", b"RIFF"),
            "SampleNotOfExpectedType",
        ),
        (
            &pictures::data_url("text/plain", b"hello"),
            "SampleNotOfExpectedType",
        ),
    ] {
        let answer = service.upload(&token, body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            answer.body,
            format!(r#"{{"Accepted":false,"Error":"{code}"}}"#)
        );
    }
    assert_eq!(
        service.state.samples().len(),
        1,
        "a refused sample was kept, or the good one lost"
    );
    assert_eq!(service.task(&token, "enroll").body, r#"{"Success":true}"#);
}

#[test]
fn bad_parameters_of_an_upload_are_named() {
    let service = Service::new();
    let token = service.token("bcid=bws.1.1");
    let bearer = format!("Bearer {token}");
    for (query, words) in [
        ("index=one", "index"),
        ("index=1.5", "index"),
        ("tag=backwards", "tag"),
        ("trait=iris", "trait"),
    ] {
        let path = format!("upload?{query}");
        let answer = service.call("POST", &path, &bearer, pictures::obama());
        answer.refuses(400, words);
    }
    for query in [
        "index=-3&tag=any&trait=FACE",
        "tag=left%20right",
        "tag=UP&trait=Face,%20Periocular",
        "trait=Periocular",
    ] {
        let path = format!("upload?{query}");
        let answer = service.call("POST", &path, &bearer, pictures::obama());
        assert_eq!(answer.json()["Accepted"], true, "{query}");
    }
    let answer = service.call("POST", "upload?trait=voice", &bearer, pictures::obama());
    assert_eq!(answer.json()["Error"], "SampleNotOfExpectedType");
}

#[test]
fn a_body_beyond_the_limit_is_refused_as_too_large() {
    let service = Service::with(|settings| settings.body_bytes_max = 200_000);
    let token = service.token("bcid=bws.1.1");
    let large = pictures::data_url("image/png", &vec![0; 200_000]);
    service.upload(&token, &large).refuses(413, "200000 bytes");
    let form = format!("--x\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n{large}\r\n--x--");
    let form = Body::new("multipart/form-data; boundary=x", form);
    let upload = Call::new("POST", "upload").by_bearer(&token).with(form);
    service.send(upload).refuses(413, "");
    assert_eq!(service.upload(&token, pictures::obama()).status, 200);
}

#[test]
fn a_body_for_which_there_is_no_room_is_to_come_again() {
    // One sender may have half of it.
    let service = Service::with(|settings| settings.body_bytes_total_max = 400_000);
    let token = service.token("bcid=bws.1.1");
    let large = pictures::data_url("image/png", &vec![0; 200_000]);
    let answer = service.upload(&token, &large);
    answer.refuses(503, "busy");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    // Room is given back, and calls without a body need none.
    for _ in 0..8 {
        assert_eq!(service.upload(&token, pictures::obama()).status, 200);
    }
    assert_eq!(service.task(&token, "verify").status, 200);
    let call = Call::new("POST", "/v1/partitions/bws.1/identify").by_bearer(&service.key());
    let call = call.with(Body::new("application/json", large));
    service.send(call).problem(503, "busy");
}

#[test]
fn twenty_mebibytes_are_allowed_by_default() {
    let service = Service::new();
    let token = service.token("bcid=bws.1.1");
    let large = format!("data:text/plain;base64,{}", "A".repeat(20 << 20));
    service.upload(&token, &large).message(413);
    let fits = &large[..20 << 20];
    let fits = &fits[..fits.len() - (fits.len() - "data:text/plain;base64,".len()) % 4];
    let answer = service.upload(&token, fits);
    assert_eq!(answer.json()["Error"], "SampleNotOfExpectedType");
}

#[test]
fn a_form_without_a_data_url_is_refused() {
    let service = Service::new();
    let token = service.token("bcid=bws.1.1");
    for body in [
        "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhello\r\n--x--\r\n",
        "--x\r\n",
        "--x--\r\n",
        "",
        "rubbish",
    ] {
        for kind in ["multipart/form-data; boundary=x", "multipart/form-data"] {
            let upload = Call::new("POST", "upload").by_bearer(&token);
            service
                .send(upload.with(Body::new(kind, body)))
                .refuses(400, "");
        }
    }
}

#[test]
fn a_bcid_that_is_none_is_refused_by_all_calls_of_the_app() {
    let service = Service::new();
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
            ("GET", "isenrolled?trait=face&bcid="),
            ("DELETE", "deleteclass?bcid="),
        ] {
            let path = format!("/extension/{path}{bcid}");
            let answer = service.ask(method, &path);
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
        let path = format!("deleteclass?bcid={bcid}");
        assert_eq!(service.ask("DELETE", &path).status, 200, "{bcid}");
    }
}

#[test]
fn more_samples_than_a_token_may_have_are_refused_and_the_others_stay() {
    let service = Service::with(|settings| settings.samples.per_token = 2);
    let token = service.token("bcid=bws.1.1&task=enroll");
    service.accepted(&token, pictures::obama());
    service.accepted(&token, pictures::obama());
    service
        .upload(&token, pictures::obama())
        .refuses(429, "2 samples");
    assert_eq!(service.task(&token, "enroll").status, 200);
    service.accepted(&token, pictures::obama());
}

#[test]
fn pictures_of_no_use_come_to_an_end_and_cost_good_ones_nothing_before() {
    let service = Service::with(|settings| settings.samples.per_token = 1);
    let token = service.token("bcid=bws.1.1&task=identify&maxtries=9");
    let empty = "data:image/png;base64,";
    let cut = &pictures::obama()[..300];
    let text = "data:text/plain;base64,aGVsbG8=";
    // Eight: of all kinds, and with a task between that takes what waits.
    for (at, useless) in [empty, cut, text, "no data-URL", empty, cut, text, empty]
        .into_iter()
        .enumerate()
    {
        let answer = service.upload(&token, useless);
        assert!([200, 400].contains(&answer.status), "{at}: {answer:?}");
        if at == 3 {
            service.accepted(&token, pictures::obama());
            assert_eq!(service.task(&token, "identify").status, 200);
        }
    }
    for next in [empty, pictures::obama()] {
        let answer = service.upload(&token, next);
        answer.refuses(429, "8 samples of this token were of no use");
    }
    // Another token, and the same when the time of the first is over, are not held to it.
    let other = service.token("bcid=bws.1.1&task=identify");
    service.accepted(&other, pictures::obama());
    service.advance(700);
    let later = service.token("bcid=bws.1.1&task=identify");
    service.accepted(&later, pictures::obama());
}

#[test]
fn looking_at_a_picture_comes_to_an_end_at_every_door() {
    let service = Service::with(|settings| settings.picture_time_max = Duration::ZERO);
    let slow = "looking at the picture took longer than 0 s";
    for task in ["enroll", "identify", "verify"] {
        let token = service.token(&format!("bcid=bws.1.1&task={task}"));
        service.upload(&token, pictures::obama()).refuses(400, slow);
    }
    let picture = pictures::obama();
    for path in ["qualitycheck", "videolivedetection"] {
        let answer = service.call("POST", path, &service.basic(Who::Main), picture);
        assert!([200, 400].contains(&answer.status), "{answer:?}");
    }
    let body = json!({ "pictures": [picture] });
    for path in ["identify", "classes/1/enroll", "classes/1/verify"] {
        let answer = service.post(&format!("partitions/bws.1/{path}"), body.clone());
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.body.contains(slow), "{answer:?}");
    }
    assert!(service.state.samples().is_empty());
}

#[test]
fn a_full_service_says_when_to_try_again() {
    let service = Service::with(|settings| settings.samples.total = 1);
    let first = service.ready("bcid=bws.1.1&task=enroll");
    let second = service.token("bcid=bws.1.2&task=enroll");
    let answer = service.upload(&second, pictures::obama());
    answer.refuses(503, "1 samples");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    service.task(&first, "enroll").json();
    service.accepted(&second, pictures::obama());
}

#[test]
fn an_app_that_fills_the_waiting_room_makes_room_for_another_one() {
    let service = Service::with(|settings| settings.samples.total = 3);
    let token_of = |who: Who| {
        let id = service.credentials(who).id;
        let query = format!("token?id={id}&bcid=bws.1.1&task=enroll&livedetection=false");
        let answer = service.ask_as(who, "GET", &query);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    };
    let flood: Vec<String> = (0..3).map(|_| token_of(Who::Main)).collect();
    for token in &flood {
        service.accepted(token, pictures::obama());
    }
    // The others are nobody's share as long as the app is alone.
    service
        .upload(&flood[0], pictures::obama())
        .refuses(503, "3 samples");
    let other = token_of(Who::Twin);
    service.accepted(&other, pictures::obama());
    let answer = service.upload(&flood[1], pictures::obama());
    answer.refuses(429, "as many of them as any");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(service.task(&other, "enroll").status, 200);
    // Who made room uploads again, as after a restart.
    service
        .task(&flood[0], "enroll")
        .refuses(400, "no samples have been uploaded");
    service.accepted(&flood[0], pictures::obama());
    for token in &flood {
        assert_eq!(service.task(token, "enroll").status, 200);
    }
}
