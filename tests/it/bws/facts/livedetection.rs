//! Sections 1.13 and 1.14, the calls that bring the pictures of a live person with them.

use serde_json::{Value, json};

use super::facts;
use crate::harness::{Answer, Bws, Call, Door, Scene, Who, pictures};

facts! {
    Json s1_13_two_live_pictures_are_the_word_true,
    Json s1_13_a_still_picture_is_the_word_false,
    Json s1_13_a_form_says_the_same_as_json,
    Json s1_13_a_plus_in_a_form_may_be_a_plus,
    Both s1_13_with_a_state_it_is_an_object,
    Json s1_13_each_sample_has_a_list_of_errors,
    Json s1_13_a_failure_names_its_error,
    Json s1_13_missing_pictures_are_missing_data,
    Json s1_13_undecodable_pictures_are_invalid_sample_data,
    Json s1_13_a_voice_is_sample_not_of_expected_type,
    Json s1_13_a_wall_is_no_face_found,
    Json s1_13_two_people_are_multiple_faces_found,
    Json s1_13_without_credentials_it_is_401,
    Both s1_14_passive_judges_one_picture,
    Json s1_14_passive_with_a_state_repeats_it,
    Json s1_14_passive_without_a_picture_is_400,
    Json s1_14_a_video_is_one_stream_of_a_form,
    Json s1_14_no_stream_and_two_are_400,
    Json s1_14_a_video_without_a_face_is_a_failure_to_acquire,
    Json s1_14_an_unknown_container_is_sample_not_of_expected_type,
}

/// A call of the app with a body.
fn post(scene: &Scene, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
    let call = Call::new("POST", path).header("Authorization", scene.basic(Who::Main));
    scene.send(call.header("Content-Type", kind).body(body))
}

fn pair(scene: &Scene, query: &str, first: &str, second: &str) -> Answer {
    let body = json!({"liveimage1": first, "liveimage2": second}).to_string();
    let kind = "application/json; charset=utf-8";
    post(scene, &format!("livedetection{query}"), kind, body)
}

#[track_caller]
fn says(answer: &Answer, word: &str) {
    assert_eq!((answer.status, &answer.body[..]), (200, word));
    assert!(
        answer
            .header("content-type")
            .starts_with("application/json")
    );
}

fn s1_13_two_live_pictures_are_the_word_true(scene: &Scene) {
    let answer = pair(scene, "", pictures::obama(), pictures::obama_again());
    says(&answer, "true");
}

fn s1_13_a_still_picture_is_the_word_false(scene: &Scene) {
    says(
        &pair(scene, "", pictures::obama(), pictures::obama()),
        "false",
    );
    says(
        &pair(scene, "", pictures::obama(), pictures::biden()),
        "false",
    );
}

/// As a form does it: letters and digits stay, all else is escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

const FORM: &str = "application/x-www-form-urlencoded";

fn s1_13_a_form_says_the_same_as_json(scene: &Scene) {
    let (first, second) = (escaped(pictures::obama()), escaped(pictures::obama_again()));
    for body in [
        format!("liveimage1={first}&liveimage2={second}"),
        format!("liveimage2={first}&liveimage1={second}"),
    ] {
        says(&post(scene, "livedetection", FORM, body), "true");
    }
    let body = format!("liveimage1={first}&liveimage2={first}");
    says(&post(scene, "livedetection", FORM, body), "false");
}

fn s1_13_a_plus_in_a_form_may_be_a_plus(scene: &Scene) {
    let (first, second) = (pictures::obama(), pictures::obama_again());
    assert!(first.contains('+') && second.contains('+'));
    let body = format!("liveimage1={first}&liveimage2={second}");
    says(&post(scene, "livedetection", FORM, body), "true");
}

fn s1_13_with_a_state_it_is_an_object(scene: &Scene) {
    let answer = pair(
        scene,
        "?state=true",
        pictures::obama(),
        pictures::obama_again(),
    );
    let found = answer.result();
    assert_eq!(found["JobID"].as_str().unwrap().len(), 36);
    answer.gives(&json!({
        "Success": true,
        "JobID": found["JobID"],
        "State": "true",
        "Samples": found["Samples"],
    }));
}

fn s1_13_each_sample_has_a_list_of_errors(scene: &Scene) {
    for (first, second) in [
        (pictures::obama(), pictures::obama_again()),
        (pictures::obama(), pictures::obama()),
        (pictures::nobody(), pictures::two_people()),
    ] {
        let found = pair(scene, "?state=details", first, second).result();
        let samples = found["Samples"].as_array().unwrap();
        assert_eq!(samples.len(), 2);
        for sample in samples {
            for error in sample["Errors"].as_array().unwrap() {
                let texts = ["Code", "Message", "Details"].map(|name| error[name].is_string());
                assert_eq!(texts, [true; 3], "{error}");
            }
            assert!(sample.get("EyeCenters").is_some(), "{sample}");
        }
    }
    let found = pair(
        scene,
        "?state=details",
        pictures::nobody(),
        pictures::two_people(),
    );
    let codes = [0, 1].map(|place| found.result()["Samples"][place]["Errors"][0]["Code"].clone());
    assert_eq!(codes, ["NoFaceFound", "MultipleFacesFound"]);
}

fn s1_13_a_failure_names_its_error(scene: &Scene) {
    let found = pair(
        scene,
        "?state=details",
        pictures::obama(),
        pictures::obama(),
    )
    .result();
    assert_eq!(found["Success"], false);
    assert_eq!(found["Errors"][0]["Code"], "LiveDetectionFailed");
    assert!(!found["Errors"][0]["Message"].as_str().unwrap().is_empty());
}

fn s1_13_missing_pictures_are_missing_data(scene: &Scene) {
    for state in ["", "?state=details"] {
        for second in ["", "data:,"] {
            pair(scene, state, pictures::obama(), second).is_code("MissingData");
        }
        let path = format!("livedetection{state}");
        for (kind, body) in [
            ("application/json", "{}"),
            ("application/json", ""),
            (FORM, ""),
            (FORM, "liveimage1="),
        ] {
            post(scene, &path, kind, body).is_code("MissingData");
        }
    }
}

fn s1_13_undecodable_pictures_are_invalid_sample_data(scene: &Scene) {
    for second in [
        "a picture",
        "data:image/png;base64,AAAA",
        "data:image/png;base64,***",
    ] {
        pair(scene, "", pictures::obama(), second).is_code("InvalidSampleData");
    }
}

fn s1_13_a_voice_is_sample_not_of_expected_type(scene: &Scene) {
    let voice = "data:audio/wav;base64,UklGRiQAAABXQVZF";
    pair(scene, "", pictures::obama(), voice).is_code("SampleNotOfExpectedType");
}

fn s1_13_a_wall_is_no_face_found(scene: &Scene) {
    pair(scene, "", pictures::obama(), pictures::nobody()).is_code("NoFaceFound");
}

fn s1_13_two_people_are_multiple_faces_found(scene: &Scene) {
    let answer = pair(scene, "", pictures::two_people(), pictures::obama());
    answer.is_code("MultipleFacesFound");
}

fn s1_13_without_credentials_it_is_401(scene: &Scene) {
    for name in [
        "livedetection",
        "passivelivedetection",
        "videolivedetection",
    ] {
        let call = Call::new("POST", name).body(pictures::obama());
        scene.send(call).refuses(401, "Basic");
    }
}

fn s1_14_passive_judges_one_picture(scene: &Scene) {
    let answer = post(
        scene,
        "passivelivedetection",
        "text/plain",
        pictures::obama(),
    );
    let found = answer.result();
    answer.gives(&json!({
        "Success": true,
        "JobID": found["JobID"],
        "Samples": [{"Errors": [], "EyeCenters": found["Samples"][0]["EyeCenters"]}],
    }));
}

fn s1_14_passive_with_a_state_repeats_it(scene: &Scene) {
    let path = "passivelivedetection?state=42";
    let found = post(scene, path, "text/plain", pictures::nobody()).result();
    assert_eq!(
        (&found["Success"], &found["State"]),
        (&json!(false), &json!("42"))
    );
    assert_eq!(found["Samples"][0]["Errors"][0]["Code"], "NoFaceFound");
}

fn s1_14_passive_without_a_picture_is_400(scene: &Scene) {
    for (body, code) in [
        ("", "MissingData"),
        ("hello", "InvalidSampleData"),
        ("data:audio/wav;base64,UklGRg==", "SampleNotOfExpectedType"),
    ] {
        post(scene, "passivelivedetection", "text/plain", body).is_code(code);
    }
}

/// A form with these streams.
fn streams(streams: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for stream in streams {
        body.extend(b"--x\r\nContent-Disposition: form-data; name=\"video\"; filename=\"a\"\r\n");
        body.extend(b"Content-Type: application/octet-stream\r\n\r\n");
        body.extend(*stream);
        body.extend(b"\r\n");
    }
    body.extend(b"--x--\r\n");
    body
}

fn video(scene: &Scene, query: &str, body: Vec<u8>) -> Answer {
    let path = format!("videolivedetection{query}");
    post(scene, &path, "multipart/form-data; boundary=x", body)
}

/// Motion JPEG: one picture after the other.
fn moving() -> Vec<u8> {
    ["obama-portrait", "obama-white-house"]
        .map(pictures::file)
        .concat()
}

fn s1_14_a_video_is_one_stream_of_a_form(scene: &Scene) {
    let found = video(scene, "?state=s", streams(&[&moving()])).result();
    assert_eq!(found["Success"], true, "{found}");
    assert_eq!(
        (&found["FailedToAcquire"], &found["State"]),
        (&json!(false), &json!("s"))
    );
    assert!(found["JobID"].is_string());
}

fn s1_14_no_stream_and_two_are_400(scene: &Scene) {
    let moving = moving();
    for body in [streams(&[]), streams(&[&moving, &moving])] {
        video(scene, "", body).refuses(400, "stream");
    }
    post(scene, "videolivedetection", "video/x-motion-jpeg", moving).refuses(400, "stream");
}

fn s1_14_a_video_without_a_face_is_a_failure_to_acquire(scene: &Scene) {
    let wall = image::RgbImage::from_pixel(320, 240, image::Rgb([128; 3]));
    let mut jpeg = std::io::Cursor::new(Vec::new());
    wall.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    let jpeg = jpeg.into_inner();
    let found = video(scene, "", streams(&[&[&jpeg[..], &jpeg].concat()])).result();
    assert_eq!(
        (&found["Success"], &found["FailedToAcquire"]),
        (&json!(false), &Value::Bool(true))
    );
}

fn s1_14_an_unknown_container_is_sample_not_of_expected_type(scene: &Scene) {
    let mp4 = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41\0\0\0\x08free";
    video(scene, "", streams(&[mp4])).is_code("SampleNotOfExpectedType");
}
