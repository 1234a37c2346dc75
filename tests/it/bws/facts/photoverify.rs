//! Section 1.15, `photoverify` and `photoverify2`.

use serde_json::{Value, json};

use super::facts;
use crate::harness::{Answer, Body, Bws, Call, Door, Scene, Who, number, pictures};

facts! {
    Json s1_15_the_right_photo_is_the_word_true,
    Json s1_15_another_photo_is_the_word_false,
    Json s1_15_a_form_says_the_same_as_json,
    Json s1_15_accuracy_goes_from_1_to_5,
    Json s1_15_accuracy_is_4_unless_given,
    Json s1_15_accuracy_in_braces_is_tolerated,
    Json s1_15_pictures_that_are_not_live_are_400,
    Json s1_15_what_is_missing_or_no_picture_is_a_code,
    Both s1_15_the_second_call_answers_with_an_object,
    Json s1_15_the_best_level_and_details_can_be_asked_for,
    Json s1_15_level_0_is_a_reject,
    Json s1_15_one_live_picture_may_be_missing,
    Json s1_15_without_credentials_it_is_401,
}

fn post(scene: &Scene, path: &str, body: &Value) -> Answer {
    let call = Call::new("POST", path).header("Authorization", scene.basic(Who::Main));
    let call = call.header("Content-Type", "application/json;charset=utf-8");
    scene.send(call.body(body.to_string()))
}

fn with_photo(photo: &str) -> Value {
    json!({
        "liveimage1": pictures::obama(),
        "liveimage2": pictures::obama_again(),
        "idphoto": photo,
    })
}

#[track_caller]
fn says(answer: &Answer, word: &str) {
    assert_eq!((answer.status, &answer.body[..]), (200, word));
}

fn s1_15_the_right_photo_is_the_word_true(scene: &Scene) {
    let body = with_photo(pictures::obama_left());
    says(&post(scene, "photoverify", &body), "true");
}

fn s1_15_another_photo_is_the_word_false(scene: &Scene) {
    let body = with_photo(pictures::biden());
    says(&post(scene, "photoverify?accuracy=1", &body), "false");
    says(&post(scene, "photoverify", &body), "false");
}

fn s1_15_a_form_says_the_same_as_json(scene: &Scene) {
    let [one, two, photo] = [
        pictures::obama(),
        pictures::obama_again(),
        pictures::obama_left(),
    ]
    .map(|picture| picture.replace('+', "%2B").replace('/', "%2F"));
    let escaped = format!("idphoto={photo}&liveimage1={one}&liveimage2={two}");
    // A `+` may be a `+`.
    let plain = escaped.replace("%2B", "+").replace("%2F", "/");
    assert!(plain.contains('+'), "these pictures would not notice");
    for body in [escaped, plain] {
        let call = Call::new("POST", "photoverify").by(scene.basic(Who::Main));
        let form = Body::new("application/x-www-form-urlencoded", body);
        says(&scene.send(call.with(form)), "true");
    }
}

fn s1_15_accuracy_goes_from_1_to_5(scene: &Scene) {
    let body = with_photo(pictures::obama_left());
    for level in 1..=5 {
        says(
            &post(scene, &format!("photoverify?accuracy={level}"), &body),
            "true",
        );
    }
    for level in ["0", "6", "-1", "best", "4.5", "{}", "{4"] {
        for name in ["photoverify", "photoverify2"] {
            let answer = post(scene, &format!("{name}?accuracy={level}"), &body);
            answer.refuses(400, "accuracy");
            answer.refuses(400, "from 1 to 5");
        }
    }
}

fn s1_15_accuracy_is_4_unless_given(scene: &Scene) {
    for (photo, level) in [(pictures::reaches_3(), 3), (pictures::reaches_4(), 4)] {
        let body = with_photo(photo);
        let found = post(scene, "photoverify2", &body).result();
        assert_eq!(found["AccuracyLevel"], level, "{found}");
        assert_eq!(found["Success"], level == 4, "{found}");
        let unless_given = if level == 4 { "true" } else { "false" };
        says(&post(scene, "photoverify", &body), unless_given);
        let asked = |level| post(scene, &format!("photoverify?accuracy={level}"), &body);
        says(&asked(level), "true");
        says(&asked(level + 1), "false");
    }
}

fn s1_15_accuracy_in_braces_is_tolerated(scene: &Scene) {
    let body = with_photo(pictures::obama_left());
    says(&post(scene, "photoverify?accuracy={4}", &body), "true");
    let found = post(scene, "photoverify2?accuracy=%7B4%7D", &body).result();
    assert_eq!(found["Success"], true);
}

fn s1_15_pictures_that_are_not_live_are_400(scene: &Scene) {
    let mut body = with_photo(pictures::obama_left());
    body["liveimage2"] = body["liveimage1"].clone();
    post(scene, "photoverify", &body).is_code("LiveDetectionFailed");
}

fn s1_15_what_is_missing_or_no_picture_is_a_code(scene: &Scene) {
    for (name, value, code) in [
        ("idphoto", "", "MissingData"),
        ("liveimage1", "data:,", "MissingData"),
        ("liveimage2", "data:,", "MissingData"),
        ("idphoto", "x", "InvalidSampleData"),
        ("idphoto", "data:image/png;base64,AAAA", "InvalidSampleData"),
        (
            "idphoto",
            "data:audio/wav;base64,UklGRg==",
            "SampleNotOfExpectedType",
        ),
        ("idphoto", pictures::nobody(), "NoFaceFound"),
        ("liveimage1", pictures::nobody(), "NoFaceFound"),
        ("idphoto", pictures::two_people(), "MultipleFacesFound"),
    ] {
        let mut body = with_photo(pictures::obama_left());
        body[name] = value.into();
        post(scene, "photoverify", &body).is_code(code);
    }
}

fn s1_15_the_second_call_answers_with_an_object(scene: &Scene) {
    let body = with_photo(pictures::obama_left());
    let answer = post(scene, "photoverify2?accuracy=4&state=s", &body);
    let found = answer.result();
    assert!(
        (4.0..=5.0).contains(&number(&found["AccuracyLevel"])),
        "{found}"
    );
    assert_eq!(found["Samples"].as_array().unwrap().len(), 3);
    answer.gives(&json!({
        "Success": true,
        "JobID": found["JobID"],
        "AccuracyLevel": found["AccuracyLevel"],
        "State": "s",
        "Samples": found["Samples"],
    }));
}

fn s1_15_the_best_level_and_details_can_be_asked_for(scene: &Scene) {
    let body = with_photo(pictures::obama_left());
    let found = post(scene, "photoverify2?accuracy=5&state=details", &body).result();
    let told = (&found["Success"], &found["AccuracyLevel"], &found["State"]);
    assert_eq!(told, (&json!(true), &json!(5), &json!("details")));
    assert!(found["Liveness"].is_object(), "{found}");
}

fn s1_15_level_0_is_a_reject(scene: &Scene) {
    let answer = post(scene, "photoverify2", &with_photo(pictures::biden()));
    let found = answer.result();
    // Without errors: the call was right, the person is another.
    answer.gives(&json!({
        "Success": false,
        "JobID": found["JobID"],
        "AccuracyLevel": 0,
        "Samples": found["Samples"],
    }));
    let mut body = with_photo(pictures::obama_left());
    body["liveimage2"] = body["liveimage1"].clone();
    let found = post(scene, "photoverify2", &body).result();
    assert_eq!(
        (&found["Success"], &found["AccuracyLevel"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(found["Errors"][0]["Code"], "LiveDetectionFailed");
    let found = post(scene, "photoverify2", &with_photo(pictures::nobody())).result();
    assert_eq!(found["Samples"][2]["Errors"][0]["Code"], "NoFaceFound");
    assert_eq!(
        (&found["Success"], &found["AccuracyLevel"]),
        (&json!(false), &json!(0))
    );
}

fn s1_15_one_live_picture_may_be_missing(scene: &Scene) {
    for missing in ["liveimage1", "liveimage2"] {
        let mut body = with_photo(pictures::obama_left());
        let mut levels = Vec::new();
        for none in [json!("data:,"), json!(""), Value::Null] {
            body[missing] = none;
            let found = post(scene, "photoverify2", &body).result();
            assert_eq!(found["Success"], true, "{found}");
            assert_eq!(found["Samples"].as_array().unwrap().len(), 2);
            levels.push(found["AccuracyLevel"].clone());
        }
        body.as_object_mut().unwrap().remove(missing);
        let left_out = post(scene, "photoverify2", &body).result();
        assert_eq!(left_out["Success"], true, "{left_out}");
        assert_eq!(levels, vec![left_out["AccuracyLevel"].clone(); 3]);
        post(scene, "photoverify", &body).is_code("MissingData");
    }
    for (name, picture) in [
        ("idphoto", pictures::obama_left()),
        ("liveimage1", pictures::obama()),
    ] {
        let body = json!({ name: picture });
        post(scene, "photoverify2", &body).is_code("MissingData");
    }
}

fn s1_15_without_credentials_it_is_401(scene: &Scene) {
    for name in ["photoverify", "photoverify2"] {
        let call = Call::new("POST", name).body(with_photo("").to_string());
        scene.send(call).refuses(401, "Basic");
    }
}
