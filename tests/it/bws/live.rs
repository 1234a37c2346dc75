//! Liveness: what tokens demand of it, and the calls that bring their pictures with them.

use axum::body::Body;
use axum::http::{Method, Request, header};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use image::codecs::gif::GifEncoder;
use serde_json::{Value, json};

use super::app::{
    Answer, TestApp, basic, biden, data_url, file, nobody, obama, obama_again, portrait, two_people,
};

/// Between the portrait and this one the head turns to the left of the picture, by 20 degrees.
fn obama_left() -> String {
    portrait("obama-speech")
}

async fn post(app: &TestApp, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(format!("/extension/{path}"))
        .header(header::AUTHORIZATION, app.basic())
        .header(header::CONTENT_TYPE, kind)
        .body(body.into());
    app.send(request.unwrap()).await
}

async fn pair(app: &TestApp, query: &str, first: String, second: String) -> Answer {
    let body = json!({ "liveimage1": first, "liveimage2": second }).to_string();
    let path = format!("livedetection{query}");
    post(app, &path, "application/json", body).await
}

async fn upload(app: &TestApp, token: &str, query: &str, picture: &str) {
    let path = format!("/extension/upload?{query}");
    let bearer = format!("Bearer {token}");
    let answer = app
        .call(Method::POST, &path, &bearer, picture.to_owned())
        .await;
    assert_eq!(answer.json()["Accepted"], true, "{}", answer.body);
}

async fn outcome(app: &TestApp, query: &str, task: &str, pictures: &[String]) -> String {
    let token = app.token(query).await;
    for (index, picture) in pictures.iter().enumerate() {
        upload(app, &token, &format!("index={index}"), picture).await;
    }
    let answer = app.task(&token, task).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

const LIVE: &str = r#"{"Success":true}"#;
const NOT_LIVE: &str = r#"{"Success":false,"Error":"LiveDetectionFailed"}"#;

#[tokio::test]
async fn a_head_that_moves_is_live_and_nothing_else_is() {
    let app = TestApp::new();
    // Looks at every picture when it comes, and not only when somebody asks.
    let crowded = TestApp::with(|settings| settings.samples.unseen = 0);
    let query = "task=livenessdetection";
    let task = "livenessdetection";
    for (pictures, expected) in [
        (vec![obama(), obama_again()], LIVE),
        (vec![obama()], NOT_LIVE),
        (vec![obama(), obama()], NOT_LIVE),
        (vec![obama(), biden()], NOT_LIVE),
        (vec![obama(), obama_again(), biden()], NOT_LIVE),
    ] {
        for app in [&app, &crowded] {
            let found = outcome(app, query, task, &pictures).await;
            assert_eq!(found, expected, "{} pictures", pictures.len());
        }
    }
    let token = app.ready("bcid=bws.1.1&task=enroll").await;
    app.task(&token, task).await.says(403, "`enroll`");
    let token = app.token(query).await;
    app.task(&token, task).await.says(400, "no samples");
}

#[tokio::test]
async fn every_task_demands_liveness_that_its_token_or_its_call_demands() {
    let app = TestApp::new();
    let live = [obama(), obama_again()];
    let flat = [obama(), obama()];
    let query = "bcid=bws.1.7&task=enroll&livedetection=true";
    assert_eq!(outcome(&app, query, "enroll", &flat).await, NOT_LIVE);
    let path = "/extension/isenrolled?bcid=bws.1.7&trait=face";
    assert_eq!(app.ask(Method::GET, path).await.status, 404);
    assert_eq!(outcome(&app, query, "enroll", &live).await, LIVE);
    let query = "bcid=bws.1.7&livedetection=true";
    assert_eq!(outcome(&app, query, "verify", &flat).await, NOT_LIVE);
    assert_eq!(outcome(&app, query, "verify", &live).await, LIVE);
    let query = "bcid=bws.1.7";
    assert_eq!(outcome(&app, query, "verify", &flat).await, LIVE);
    let task = "verify?LiveDetection=True";
    assert_eq!(outcome(&app, query, task, &flat).await, NOT_LIVE);
    let query = "bcid=bws.1.0&task=identify&livedetection=true";
    assert_eq!(outcome(&app, query, "identify", &flat).await, NOT_LIVE);
    let found = outcome(&app, query, "identify", &live).await;
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

/// Whether the three pictures show a sequence, or begin with the opposite of it. There are others that they
/// may or may not show: a movement that is not straight meets two words.
fn shown(sequence: &[String]) -> Option<bool> {
    match sequence {
        [first, second] if first == "left" && second == "right" => Some(true),
        [first, ..] if first == "right" => Some(false),
        _ => None,
    }
}

/// A token for as many tries as there are words, each of whose sequences is, or is not, what the three
/// pictures show.
async fn challenged(app: &TestApp, wanted: &[bool]) -> String {
    let tries = wanted.len();
    let query = format!("task=livenessdetection&challenge=true&challenges=2&maxtries={tries}");
    loop {
        let token = app.token(&query).await;
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

#[tokio::test]
async fn a_challenge_demands_the_movements_of_the_tags_and_of_the_token() {
    let app = TestApp::new();
    let pictures = [obama(), obama_left(), obama_again()];
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
        let token = challenged(&app, &[wanted]).await;
        // They arrive in another order than they were taken.
        for number in [2, 0, 1] {
            let tag = tags[number].replace(' ', "%20");
            let query = format!("index={number}&tag={tag}");
            upload(&app, &token, &query, &pictures[number]).await;
        }
        let answer = app.task(&token, "livenessdetection").await;
        assert_eq!(answer.body, expected, "{wanted} {tags:?}");
    }
}

#[tokio::test]
async fn a_later_try_has_a_challenge_of_its_own_and_a_page_loaded_anew_begins_with_the_first() {
    let app = TestApp::new();
    let failed = r#"{"Success":false,"Error":"ChallengeResponseFailed"}"#;
    for (number, expected) in [
        (Some(0), LIVE),
        (Some(1), LIVE),
        (Some(2), LIVE),
        (None, failed),
    ] {
        let token = challenged(&app, &[0, 1, 2].map(|at| number == Some(at))).await;
        for picture in [obama(), obama_again()] {
            upload(&app, &token, "index=1&tag=any", &picture).await;
        }
        let first = app.task(&token, "livenessdetection").await;
        // Of two pictures with one index the newest counts, and one alone is nobody who moves.
        assert_eq!(first.body, failed);
        // The first tag of a later try is the last of the try before.
        let tags = ["right", "left", "right"];
        let pictures = [obama(), obama_left(), obama_again()];
        for (at, (tag, picture)) in tags.iter().zip(&pictures).enumerate() {
            let query = format!("index={}&tag={tag}", at + 1);
            upload(&app, &token, &query, picture).await;
        }
        let second = app.task(&token, "livenessdetection").await;
        assert_eq!(second.body, expected, "{number:?}");
    }
}

#[tokio::test]
async fn a_challenge_is_not_met_by_too_few_pictures() {
    let app = TestApp::new();
    let token = challenged(&app, &[true]).await;
    upload(&app, &token, "index=1&tag=any", &obama()).await;
    let one = app.task(&token, "livenessdetection").await;
    // Not `NotEnoughSamples`, with which a page gives up.
    assert_eq!(one.body, NOT_LIVE);
    let token = challenged(&app, &[true]).await;
    upload(&app, &token, "index=1&tag=any", &obama()).await;
    upload(&app, &token, "index=2&tag=left", &obama_left()).await;
    let two = app.task(&token, "livenessdetection").await;
    assert_eq!(
        two.body,
        r#"{"Success":false,"Error":"ChallengeResponseFailed"}"#
    );
}

#[tokio::test]
async fn two_pictures_are_answered_with_a_bare_word() {
    let app = TestApp::new();
    let live = pair(&app, "", obama(), obama_again()).await;
    assert_eq!((live.status.as_u16(), live.body.as_str()), (200, "true"));
    assert_eq!(pair(&app, "", obama(), obama()).await.body, "false");
    assert_eq!(pair(&app, "?state=", obama(), biden()).await.body, "false");
    let kind = live.headers[header::CONTENT_TYPE].to_str().unwrap();
    assert!(kind.starts_with("application/json"), "{kind}");
    // As a form, in which a `+` is sent as it is or escaped.
    for picture in [
        obama_again(),
        obama_again().replace('+', "%2B").replace(':', "%3a"),
    ] {
        let body = format!("liveimage1={}&LiveImage2={picture}", obama());
        let kind = "application/x-www-form-urlencoded";
        let answer = post(&app, "livedetection", kind, body).await;
        assert_eq!(answer.body, "true");
    }
}

#[tokio::test]
async fn with_a_state_the_answer_is_an_object_that_says_why() {
    let app = TestApp::new();
    let live = pair(&app, "?state=my%20state", obama(), obama_again()).await;
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

    let same = pair(&app, "?state=details", obama(), obama()).await.json();
    assert_eq!(same["Success"], false);
    assert_eq!(same["Errors"][0]["Code"], "LiveDetectionFailed");
    let reason = same["Errors"][0]["Message"].as_str().unwrap();
    assert!(reason.contains("are the same"), "{reason}");
    assert_eq!(same["Liveness"]["Reason"], *reason);
    assert!(same["Liveness"]["SimilarityMin"].is_number());

    let none = pair(&app, "?state=details", nobody(), two_people()).await;
    let none = none.json();
    assert_eq!(none["Success"], false);
    assert_eq!(none["Samples"][0]["Errors"][0]["Code"], "NoFaceFound");
    assert_eq!(none["Samples"][0]["EyeCenters"], Value::Null);
    assert_eq!(
        none["Samples"][1]["Errors"][0]["Code"],
        "MultipleFacesFound"
    );
}

#[tokio::test]
async fn what_is_no_pair_of_pictures_is_answered_with_a_code() {
    let app = TestApp::new();
    let text = data_url("text/plain", b"hello");
    let broken = data_url("image/jpeg", &file("obama-portrait")[..9000]);
    for (first, second, code) in [
        (obama(), String::new(), "MissingData"),
        ("data:,".to_owned(), obama(), "MissingData"),
        (obama(), broken, "InvalidSampleData"),
        (obama(), "hello".to_owned(), "InvalidSampleData"),
        (text, obama(), "SampleNotOfExpectedType"),
        (nobody(), obama(), "NoFaceFound"),
        (obama(), two_people(), "MultipleFacesFound"),
    ] {
        let answer = pair(&app, "", first, second).await;
        assert_eq!(answer.message(400), code);
    }
    for (kind, body) in [
        ("application/json", "{}".to_owned()),
        ("application/json", r#"{"liveimage1":null}"#.to_owned()),
        ("application/x-www-form-urlencoded", String::new()),
        ("text/plain", "x=y".to_owned()),
    ] {
        let answer = post(&app, "livedetection", kind, body).await;
        assert_eq!(answer.message(400), "MissingData");
    }
    for body in [
        "{",
        "[1]{",
        r#"{"liveimage1":5}"#,
        "{\"liveimage1\":\"\u{1}\"}",
    ] {
        let answer = post(&app, "livedetection", "application/json", body).await;
        answer.message(400);
    }
}

#[tokio::test]
async fn one_picture_is_judged_by_its_texture() {
    let app = TestApp::new();
    let live = post(&app, "passivelivedetection?state=x", "text/plain", obama()).await;
    let live = live.json();
    assert_eq!(
        (&live["Success"], &live["State"]),
        (&json!(true), &json!("x"))
    );
    let without = post(&app, "passivelivedetection", "", obama()).await.json();
    assert!(without["JobID"].is_string() && without.get("State").is_none());
    let none = post(&app, "passivelivedetection", "", nobody())
        .await
        .json();
    assert_eq!(none["Samples"][0]["Errors"][0]["Code"], "NoFaceFound");
    for (body, code) in [
        (String::new(), "MissingData"),
        ("hello".to_owned(), "InvalidSampleData"),
        (data_url("audio/wav", b"RIFF"), "SampleNotOfExpectedType"),
    ] {
        let answer = post(&app, "passivelivedetection", "text/plain", body).await;
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

#[tokio::test]
async fn a_video_is_a_sequence_of_pictures() {
    let app = TestApp::new();
    let jpegs = [file("obama-portrait"), file("obama-white-house")];
    let live = post(
        &app,
        "videolivedetection?state=x",
        FORM,
        form(&[&jpegs.concat()]),
    )
    .await;
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
    let nobody = post(&app, "videolivedetection", FORM, form(&[&wall])).await;
    let nobody = nobody.json();
    assert_eq!(nobody["Success"], false);
    assert_eq!(nobody["FailedToAcquire"], true);
    let still = post(&app, "videolivedetection", FORM, form(&[&jpegs[0]])).await;
    assert_eq!(still.json()["Success"], false);
}

#[tokio::test]
async fn a_video_that_is_none_is_refused() {
    let app = TestApp::new();
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
        let answer = post(&app, path, FORM, form(&[stream])).await;
        assert_eq!(answer.message(400), code);
    }
    let jpeg = file("obama-portrait");
    let two = post(&app, path, FORM, form(&[&jpeg, &jpeg])).await;
    two.says(400, "2 streams");
    post(&app, path, FORM, form(&[]))
        .await
        .says(400, "0 streams");
    post(&app, path, "image/gif", jpeg)
        .await
        .says(400, "multipart/form-data");
}

#[tokio::test]
async fn these_calls_are_for_apps_and_have_one_method() {
    let app = TestApp::new();
    let token = app.token("bcid=bws.1.1").await;
    for path in [
        "livedetection",
        "passivelivedetection",
        "videolivedetection",
        "photoverify",
        "photoverify2",
        "qualitycheck",
    ] {
        let path = format!("/extension/{path}");
        let wrong = basic(&app.id.to_string(), "wrong");
        for authorization in ["", &format!("Bearer {token}"), &wrong] {
            let answer = app.call(Method::POST, &path, authorization, obama()).await;
            answer.message(401);
        }
        let other = app.ask(Method::GET, &path).await;
        other.message(405);
        assert_eq!(other.headers[header::ALLOW], "POST");
    }
}
