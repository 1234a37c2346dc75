//! Liveness: what tokens demand of it, and the calls that bring their pictures with them.

use axum::http::header;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use image::codecs::gif::GifEncoder;
use serde_json::{Value, json};

use crate::harness::{Answer, Body, Bws, Call, Door, Service, Who, basic, pictures};

fn post(service: &Service, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
    let call = Call::new("POST", path).by(service.basic(Who::Main));
    service.send(call.with(Body::new(kind, body)))
}

fn pair(service: &Service, query: &str, first: &str, second: &str) -> Answer {
    let body = json!({ "liveimage1": first, "liveimage2": second }).to_string();
    let path = format!("livedetection{query}");
    post(service, &path, "application/json", body)
}

fn outcome(service: &Service, query: &str, task: &str, pictures: &[&str]) -> String {
    let token = service.token(query);
    for (index, picture) in pictures.iter().enumerate() {
        service.accepted_at(&token, &format!("upload?index={index}"), picture);
    }
    let answer = service.task(&token, task);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

const LIVE: &str = r#"{"Success":true}"#;
const NOT_LIVE: &str = r#"{"Success":false,"Error":"LiveDetectionFailed"}"#;

#[test]
fn a_head_that_moves_is_live_and_nothing_else_is() {
    let service = Service::new();
    // Looks at every picture when it comes, and not only when somebody asks.
    let crowded = Service::with(|settings| settings.samples.unseen = 0);
    let query = "task=livenessdetection";
    let task = "livenessdetection";
    for (pictures, expected) in [
        (vec![pictures::obama(), pictures::obama_again()], LIVE),
        (vec![pictures::obama()], NOT_LIVE),
        (vec![pictures::obama(), pictures::obama()], NOT_LIVE),
        (vec![pictures::obama(), pictures::biden()], NOT_LIVE),
        (
            vec![
                pictures::obama(),
                pictures::obama_again(),
                pictures::biden(),
            ],
            NOT_LIVE,
        ),
    ] {
        for service in [&service, &crowded] {
            let found = outcome(service, query, task, &pictures);
            assert_eq!(found, expected, "{} pictures", pictures.len());
        }
    }
    let token = service.ready("bcid=bws.1.1&task=enroll");
    service.task(&token, task).refuses(403, "`enroll`");
    let token = service.token(query);
    service.task(&token, task).refuses(400, "no samples");
}

#[test]
fn every_task_demands_liveness_that_its_token_or_its_call_demands() {
    let service = Service::new();
    let live = [pictures::obama(), pictures::obama_again()];
    let flat = [pictures::obama(), pictures::obama()];
    let query = "bcid=bws.1.7&task=enroll&livedetection=true";
    assert_eq!(outcome(&service, query, "enroll", &flat), NOT_LIVE);
    let path = "isenrolled?bcid=bws.1.7&trait=face";
    assert_eq!(service.ask("GET", path).status, 404);
    assert_eq!(outcome(&service, query, "enroll", &live), LIVE);
    let query = "bcid=bws.1.7&livedetection=true";
    assert_eq!(outcome(&service, query, "verify", &flat), NOT_LIVE);
    assert_eq!(outcome(&service, query, "verify", &live), LIVE);
    let query = "bcid=bws.1.7";
    assert_eq!(outcome(&service, query, "verify", &flat), LIVE);
    let task = "verify?LiveDetection=True";
    assert_eq!(outcome(&service, query, task, &flat), NOT_LIVE);
    let query = "bcid=bws.1.0&task=identify&livedetection=true";
    assert_eq!(outcome(&service, query, "identify", &flat), NOT_LIVE);
    let found = outcome(&service, query, "identify", &live);
    assert!(
        found.starts_with(r#"{"Success":true,"Matches":["#),
        "{found}"
    );
}

/// The sequences of movements that a token demands.
fn sequences(token: &str) -> Vec<Vec<String>> {
    let part = token.split('.').nth(1).unwrap();
    let claims: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    serde_json::from_str(claims["challenge"].as_str().unwrap()).unwrap()
}

/// Whether the three pictures show a sequence, or begin with the opposite of it. There are others
/// that they may or may not show.
fn shown(sequence: &[String]) -> Option<bool> {
    match sequence {
        [first, second] if first == "left" && second == "right" => Some(true),
        [first, ..] if first == "right" => Some(false),
        _ => None,
    }
}

/// A token for as many tries as there are words, each of whose sequences is, or is not, what the
/// three pictures show.
fn challenged(service: &Service, wanted: &[bool]) -> String {
    let tries = wanted.len();
    let query = format!("task=livenessdetection&challenge=true&challenges=2&maxtries={tries}");
    loop {
        let token = service.token(&query);
        let found: Vec<_> = sequences(&token).iter().map(|one| shown(one)).collect();
        assert_eq!(found.len(), tries);
        if found
            .iter()
            .zip(wanted)
            .all(|(found, wanted)| *found == Some(*wanted))
        {
            return token;
        }
    }
}

#[test]
fn a_challenge_demands_the_movements_of_the_tags_and_of_the_token() {
    let service = Service::new();
    let pictures = [
        pictures::obama(),
        pictures::obama_left(),
        pictures::obama_again(),
    ];
    for (wanted, tags, expected) in [
        (true, ["any", "left", "right"], LIVE),
        // The tag of the first is one of an earlier try.
        (true, ["up", "left", "right"], LIVE),
        (true, ["any", "left up", "right"], LIVE),
        (true, ["any", "any", "any"], LIVE),
        (
            true,
            ["any", "right", "right"],
            r#"{"Success":false,"Error":"ChallengeResponseFailed"}"#,
        ),
        (
            false,
            ["any", "left", "right"],
            r#"{"Success":false,"Error":"ChallengeResponseFailed"}"#,
        ),
    ] {
        let token = challenged(&service, &[wanted]);
        // They arrive in another order than they were taken.
        for number in [2, 0, 1] {
            let tag = tags[number].replace(' ', "%20");
            let query = format!("upload?index={number}&tag={tag}");
            service.accepted_at(&token, &query, pictures[number]);
        }
        let answer = service.task(&token, "livenessdetection");
        assert_eq!(answer.body, expected, "{wanted} {tags:?}");
    }
}

#[test]
fn a_later_try_has_a_challenge_of_its_own_and_no_other_counts() {
    let service = Service::new();
    let failed = r#"{"Success":false,"Error":"ChallengeResponseFailed"}"#;
    for (number, expected) in [
        (Some(0), failed),
        (Some(1), LIVE),
        (Some(2), failed),
        (None, failed),
    ] {
        let token = challenged(&service, &[0, 1, 2].map(|at| number == Some(at)));
        for picture in [pictures::obama(), pictures::obama_again()] {
            service.accepted_at(&token, "upload?index=1&tag=any", picture);
        }
        let first = service.task(&token, "livenessdetection");
        // Of two pictures with one index the newest counts, and one alone is nobody who moves.
        assert_eq!(first.body, failed);
        // The first tag of a later try is the last of the try before.
        let tags = ["right", "left", "right"];
        let pictures = [
            pictures::obama(),
            pictures::obama_left(),
            pictures::obama_again(),
        ];
        for (at, (tag, picture)) in tags.iter().zip(&pictures).enumerate() {
            let query = format!("upload?index={}&tag={tag}", at + 1);
            service.accepted_at(&token, &query, picture);
        }
        let second = service.task(&token, "livenessdetection");
        assert_eq!(second.body, expected, "{number:?}");
    }
}

#[test]
fn a_token_says_whether_its_pictures_are_mirrored() {
    let failed = r#"{"Success":false,"Error":"ChallengeResponseFailed"}"#;
    let service = Service::new();
    let unmirrored = Service::with(|settings| settings.liveness.mirrored = false);
    for (service, mirrored, left, expected) in [
        (&service, "", "left", LIVE),
        (&service, "&mirrored=true", "left", LIVE),
        (&service, "&mirrored=false", "left", failed),
        (&service, "&mirrored=false", "right", LIVE),
        (&unmirrored, "", "left", failed),
        (&unmirrored, "", "right", LIVE),
        (&unmirrored, "&mirrored=true", "left", LIVE),
    ] {
        let query =
            format!("task=livenessdetection&challenge=true&challenges=2&maxtries=1{mirrored}");
        let right = if left == "left" { "right" } else { "left" };
        let token = loop {
            let token = service.token(&query);
            if sequences(&token) == [[left, right]] {
                break token;
            }
        };
        let pictures = [
            pictures::obama(),
            pictures::obama_left(),
            pictures::obama_again(),
        ];
        for (index, picture) in pictures.iter().enumerate() {
            service.accepted_at(&token, &format!("upload?index={index}&tag=any"), picture);
        }
        let answer = service.task(&token, "livenessdetection");
        assert_eq!(answer.body, expected, "{mirrored} {left}");
    }
    let answer = service.ask_token("task=livenessdetection&mirrored=perhaps");
    answer.refuses(400, "mirrored");
}

#[test]
fn two_pictures_are_answered_with_a_bare_word() {
    let service = Service::new();
    let live = pair(&service, "", pictures::obama(), pictures::obama_again());
    assert_eq!((live.status, live.body.as_str()), (200, "true"));
    assert_eq!(
        pair(&service, "", pictures::obama(), pictures::obama()).body,
        "false"
    );
    assert_eq!(
        pair(&service, "?state=", pictures::obama(), pictures::biden()).body,
        "false"
    );
    let kind = live.headers[header::CONTENT_TYPE].to_str().unwrap();
    assert!(kind.starts_with("application/json"), "{kind}");
    // As a form, in which a `+` is sent as it is or escaped.
    for picture in [
        pictures::obama_again(),
        &pictures::obama_again()
            .replace('+', "%2B")
            .replace(':', "%3a"),
    ] {
        let body = format!("liveimage1={}&LiveImage2={picture}", pictures::obama());
        let kind = "application/x-www-form-urlencoded";
        let answer = post(&service, "livedetection", kind, body);
        assert_eq!(answer.body, "true");
    }
}

/// The score of two pictures, as `livedetection` tells it.
fn score(service: &Service, first: &str, second: &str) -> f64 {
    let answer = pair(service, "?state=details", first, second).json();
    answer["Liveness"]["Score"].as_f64().unwrap()
}

#[test]
fn the_same_bytes_are_as_live_by_every_way() {
    let service = Service::new();
    let obama = [
        pictures::obama(),
        pictures::obama_again(),
        pictures::obama_left(),
    ];
    for (first, second) in [(0, 1), (2, 1)] {
        let (first, second) = (obama[first], obama[second]);
        let told = score(&service, first, second);
        // What is live with this score is not with hardly more, so that scores are equal, and with
        // them all that was seen: a face that is found a pixel elsewhere has another.
        for (least, live) in [(told - 1e-9, true), (told + 1e-9, false)] {
            let strict = Service::with(|settings| settings.liveness.active_score_min = least);
            let uploaded = outcome(
                &strict,
                "task=livenessdetection",
                "livenessdetection",
                &[first, second],
            );
            assert_eq!(uploaded == LIVE, live, "uploaded, {least}");
            let at_once = pair(&strict, "", first, second);
            assert_eq!(at_once.body == "true", live, "livedetection, {least}");
            let body = json!({ "liveimage1": first, "liveimage2": second, "idphoto": first });
            let verified = post(&strict, "photoverify", "application/json", body.to_string());
            assert_eq!(verified.status == 200, live, "photoverify, {least}");
        }
    }
}

#[test]
fn with_a_state_the_answer_is_an_object_that_says_why() {
    let service = Service::new();
    let live = pair(
        &service,
        "?state=my%20state",
        pictures::obama(),
        pictures::obama_again(),
    );
    let live = live.json();
    assert_eq!(live["Success"], true);
    assert_eq!(live["State"], "my state");
    assert_eq!(live["JobID"].as_str().unwrap().len(), 36);
    let samples = live["Samples"].as_array().unwrap();
    assert_eq!(samples.len(), 2);
    for sample in samples {
        assert!(sample["Errors"].is_array());
        let eyes = &sample["EyeCenters"];
        let [right, left] = ["RightEyeX", "LeftEyeX"].map(|name| eyes[name].as_f64().unwrap());
        assert!(right < left, "{eyes}");
    }
    assert!(live.get("Errors").is_none() && live.get("Liveness").is_none());

    let same = pair(
        &service,
        "?state=details",
        pictures::obama(),
        pictures::obama(),
    )
    .json();
    assert_eq!(same["Success"], false);
    assert_eq!(same["Errors"][0]["Code"], "LiveDetectionFailed");
    let reason = same["Errors"][0]["Message"].as_str().unwrap();
    assert!(reason.contains("are the same"), "{reason}");
    assert_eq!(same["Liveness"]["Reason"], *reason);
    assert!(same["Liveness"]["SimilarityMin"].is_number());

    let none = pair(
        &service,
        "?state=details",
        pictures::nobody(),
        pictures::two_people(),
    );
    let none = none.json();
    assert_eq!(none["Success"], false);
    assert_eq!(none["Samples"][0]["Errors"][0]["Code"], "NoFaceFound");
    assert_eq!(none["Samples"][0]["EyeCenters"], Value::Null);
    assert_eq!(
        none["Samples"][1]["Errors"][0]["Code"],
        "MultipleFacesFound"
    );
}

#[test]
fn what_is_no_pair_of_pictures_is_answered_with_a_code() {
    let service = Service::new();
    let text = pictures::data_url("text/plain", b"hello");
    let broken = pictures::data_url("image/jpeg", &pictures::file("obama-portrait")[..9000]);
    for (first, second, code) in [
        (pictures::obama(), "", "MissingData"),
        ("data:,", pictures::obama(), "MissingData"),
        (pictures::obama(), &broken, "InvalidSampleData"),
        (pictures::obama(), "hello", "InvalidSampleData"),
        (&text, pictures::obama(), "SampleNotOfExpectedType"),
        (pictures::nobody(), pictures::obama(), "NoFaceFound"),
        (
            pictures::obama(),
            pictures::two_people(),
            "MultipleFacesFound",
        ),
    ] {
        let answer = pair(&service, "", first, second);
        assert_eq!(answer.message(400), code);
    }
    for (kind, body) in [
        ("application/json", "{}".to_owned()),
        ("application/json", r#"{"liveimage1":null}"#.to_owned()),
        ("application/x-www-form-urlencoded", String::new()),
        ("text/plain", "x=y".to_owned()),
    ] {
        let answer = post(&service, "livedetection", kind, body);
        assert_eq!(answer.message(400), "MissingData");
    }
    for body in [
        "{",
        "[1]{",
        r#"{"liveimage1":5}"#,
        "{\"liveimage1\":\"\u{1}\"}",
    ] {
        let answer = post(&service, "livedetection", "application/json", body);
        answer.message(400);
    }
}

#[test]
fn one_picture_is_judged_by_its_texture() {
    let service = Service::new();
    let live = post(
        &service,
        "passivelivedetection?state=x",
        "text/plain",
        pictures::obama(),
    );
    let live = live.json();
    assert_eq!(
        (&live["Success"], &live["State"]),
        (&json!(true), &json!("x"))
    );
    let without = post(&service, "passivelivedetection", "", pictures::obama()).json();
    assert!(without["JobID"].is_string() && without.get("State").is_none());
    let none = post(&service, "passivelivedetection", "", pictures::nobody()).json();
    assert_eq!(none["Samples"][0]["Errors"][0]["Code"], "NoFaceFound");
    for (body, code) in [
        ("", "MissingData"),
        ("hello", "InvalidSampleData"),
        (
            &pictures::data_url("audio/wav", b"RIFF"),
            "SampleNotOfExpectedType",
        ),
    ] {
        let answer = post(&service, "passivelivedetection", "text/plain", body);
        assert_eq!(answer.message(400), code);
    }
}

/// A form with these streams.
fn form(streams: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for stream in streams {
        body.extend(b"--x\r\nContent-Disposition: form-data; name=\"v\"; filename=\"v\"\r\n\r\n");
        body.extend(*stream);
        body.extend(b"\r\n");
    }
    body.extend(b"--x--\r\n");
    body
}

const FORM: &str = "multipart/form-data; boundary=x";

#[test]
fn a_video_is_a_sequence_of_pictures() {
    let service = Service::new();
    let jpegs = [
        pictures::file("obama-portrait"),
        pictures::file("obama-white-house"),
    ];
    let live = post(
        &service,
        "videolivedetection?state=x",
        FORM,
        form(&[&jpegs.concat()]),
    );
    let live = live.json();
    assert_eq!(live["Success"], true, "{live}");
    assert_eq!(live["FailedToAcquire"], false);
    assert_eq!(live["State"], "x");
    assert_eq!(live["Samples"].as_array().unwrap().len(), 2);

    let mut wall = Vec::new();
    let mut encoder = GifEncoder::new(&mut wall);
    for level in [100, 150] {
        let picture = image::RgbaImage::from_pixel(64, 64, image::Rgba([level, level, level, 255]));
        encoder.encode_frame(image::Frame::new(picture)).unwrap();
    }
    drop(encoder);
    let nobody = post(&service, "videolivedetection", FORM, form(&[&wall]));
    let nobody = nobody.json();
    assert_eq!(nobody["Success"], false);
    assert_eq!(nobody["FailedToAcquire"], true);
    let still = post(&service, "videolivedetection", FORM, form(&[&jpegs[0]]));
    assert_eq!(still.json()["Success"], false);
}

#[test]
fn a_video_that_is_none_is_refused() {
    let service = Service::new();
    let path = "videolivedetection";
    let mp4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".as_slice();
    let webm = b"\x1A\x45\xDF\xA3\x01\0\0\0\0\0\0\x1F".as_slice();
    for (stream, code) in [
        (mp4, "SampleNotOfExpectedType"),
        (webm, "SampleNotOfExpectedType"),
        (b"hello", "SampleNotOfExpectedType"),
        (b"", "MissingData"),
        (b"GIF89a", "InvalidSampleData"),
    ] {
        let answer = post(&service, path, FORM, form(&[stream]));
        assert_eq!(answer.message(400), code);
    }
    let jpeg = pictures::file("obama-portrait");
    let two = post(&service, path, FORM, form(&[&jpeg, &jpeg]));
    two.refuses(400, "2 streams");
    post(&service, path, FORM, form(&[])).refuses(400, "0 streams");
    post(&service, path, "image/gif", jpeg).refuses(400, "multipart/form-data");
}

#[test]
fn these_calls_are_for_apps_and_have_one_method() {
    let service = Service::new();
    let token = service.token("bcid=bws.1.1");
    for path in [
        "livedetection",
        "passivelivedetection",
        "videolivedetection",
        "photoverify",
        "photoverify2",
        "qualitycheck",
    ] {
        let path = format!("/extension/{path}");
        let wrong = basic(&service.credentials(Who::Main).id, "wrong");
        for authorization in ["", &format!("Bearer {token}"), &wrong] {
            let answer = service.call("POST", &path, authorization, pictures::obama());
            answer.message(401);
        }
        let other = service.ask("GET", &path);
        other.message(405);
        assert_eq!(other.headers[header::ALLOW], "POST");
    }
}
