//! Section 1.11, `qualitycheck`.

use serde_json::{Value, json};

use super::facts;
use crate::harness::{Answer, Bws, Call, Door, Scene, Who, number, pictures};

facts! {
    Both s1_11_a_good_picture_is_a_success,
    Both s1_11_what_is_wrong_has_code_message_and_details,
    Json s1_11_two_people_are_multiple_faces_found,
    Json s1_11_a_success_may_have_warnings,
    Both s1_11_with_a_state_there_are_job_and_state,
    Json s1_11_a_full_check_has_more_rules,
    Json s1_11_a_full_check_gives_a_portrait,
    Json s1_11_what_may_be_uploaded_may_be_no_portrait,
    Json s1_11_an_unknown_issuer_is_a_default,
    Json s1_11_every_code_is_a_known_one,
    Json s1_11_what_is_no_picture_is_400,
    Json s1_11_without_credentials_it_is_401,
}

fn check(scene: &Scene, query: &str, body: &str) -> Answer {
    let call = Call::new("POST", format!("qualitycheck{query}"));
    let call = call.header("Authorization", scene.basic(Who::Main));
    scene.send(call.header("Content-Type", "text/plain").body(body))
}

fn s1_11_a_good_picture_is_a_success(scene: &Scene) {
    let answer = check(scene, "?full=false", pictures::obama());
    let eyes = answer.result()["EyeCenters"].clone();
    let portrait = answer.result()["ProcessedSample"].clone();
    assert!(
        portrait
            .as_str()
            .unwrap()
            .starts_with("data:image/bmp;base64,Qk")
    );
    // Right and left are those of the person.
    assert!(
        number(&eyes["RightEyeX"]) < number(&eyes["LeftEyeX"]),
        "{eyes}"
    );
    answer.gives(&json!({
        "Success": true,
        "Errors": [],
        "EyeCenters": eyes,
        "ProcessedSample": portrait,
    }));
    assert_eq!(eyes.as_object().unwrap().len(), 4);
}

fn s1_11_what_is_wrong_has_code_message_and_details(scene: &Scene) {
    let answer = check(scene, "", pictures::nobody());
    let found = answer.result();
    let error = &found["Errors"][0];
    assert_eq!(error["Code"], "NoFaceFound");
    answer.gives(&json!({
        "Success": false,
        "Errors": [{
            "Code": "NoFaceFound",
            "Message": error["Message"],
            "Details": error["Details"],
        }],
        "EyeCenters": null,
        "ProcessedSample": "",
    }));
}

fn s1_11_two_people_are_multiple_faces_found(scene: &Scene) {
    let found = check(scene, "", pictures::two_people()).result();
    assert_eq!(found["Errors"][0]["Code"], "MultipleFacesFound");
    assert_eq!(found["Success"], false);
}

fn s1_11_a_success_may_have_warnings(scene: &Scene) {
    let found = check(scene, "?full=false", pictures::blurred()).result();
    assert_eq!(found["Success"], true);
    assert_eq!(found["Errors"][0]["Code"], "ImageTooBlurry");
}

fn s1_11_with_a_state_there_are_job_and_state(scene: &Scene) {
    let found = check(scene, "?state=a%20%3Cb%3E%26", pictures::obama()).result();
    assert_eq!(found["State"], "a <b>&");
    assert_eq!(found["JobID"].as_str().unwrap().len(), 36);
    // Whatever comes of it, and as it is.
    let found = check(scene, "?full=False&state=%20s", pictures::nobody()).result();
    assert_eq!(found["State"], " s");
    assert_eq!(found["JobID"].as_str().unwrap().len(), 36);
}

fn s1_11_a_full_check_has_more_rules(scene: &Scene) {
    // Good enough for an upload, and far too small for a document.
    let upload = check(scene, "?full=false", pictures::canvas()).result();
    assert_eq!(upload["Success"], true);
    assert!(!upload["Errors"].to_string().contains("ImageTooSmall"));
    // The vendor's page says that `full` is true unless it is given.
    for query in [
        "?issuer=BioID",
        "?full=true&issuer=BioID",
        "?full=True&issuer=BioID",
    ] {
        let found = check(scene, query, pictures::canvas());
        let codes = found.result()["Errors"].to_string();
        assert!(codes.contains("ImageTooSmall"), "{codes}");
    }
    check(scene, "?full=perhaps", pictures::obama()).refuses(400, "full");
}

fn s1_11_a_full_check_gives_a_portrait(scene: &Scene) {
    let portrait = |found: &Value| found["ProcessedSample"].as_str().unwrap().to_owned();
    for query in ["", "?full=True&issuer=ICAO", "?issuer=de", "?issuer=nobody"] {
        let good = check(scene, query, pictures::with_room()).result();
        assert_eq!(good["Success"], true, "{query} {}", good["Errors"]);
        assert!(portrait(&good).starts_with("data:image/bmp;base64,Qk"));
        // What comes out can go in again.
        let again = check(scene, "?full=false", &portrait(&good)).result();
        assert_eq!(again["Success"], true, "{query} {}", again["Errors"]);
    }
    let strict = check(scene, "?full=true&issuer=BioID", pictures::with_room()).result();
    // A success with a warning.
    assert_eq!(strict["Success"], true);
    assert_eq!(strict["Errors"][0]["Code"], "ImageTooSmall");
    let details = strict["Errors"][0]["Details"].as_str().unwrap();
    assert!(details.contains("240"), "{details}");
    assert!(portrait(&strict).len() > 960 * 1280 * 4);
}

fn s1_11_what_may_be_uploaded_may_be_no_portrait(scene: &Scene) {
    // There is no room around this face.
    let close = check(scene, "?full=true", pictures::obama()).result();
    assert_eq!(close["Errors"][0]["Code"], "CannotCropImage");
    let told = (&close["Success"], &close["ProcessedSample"]);
    assert_eq!(told, (&json!(false), &json!("")));
    // Who looks aside is told what is wrong, and there is a portrait if it is a success.
    for aside in [pictures::obama_again(), pictures::obama_left()] {
        let upload = check(scene, "?full=false", aside).result();
        assert_eq!(upload["Success"], true, "{}", upload["Errors"]);
        let full = check(scene, "?full=true", aside).result();
        assert_ne!(full["Errors"], json!([]));
        assert_eq!(full["Success"] == true, full["ProcessedSample"] != "");
    }
}

fn s1_11_an_unknown_issuer_is_a_default(scene: &Scene) {
    let expected = check(scene, "?full=true&issuer=ICAO", pictures::obama()).body;
    for issuer in ["", "icao", "DE", "gb", "XX", "nobody"] {
        let query = format!("?full=true&issuer={issuer}");
        let found = check(scene, &query, pictures::obama()).body;
        assert_eq!(found, expected, "{issuer}");
    }
}

fn s1_11_every_code_is_a_known_one(scene: &Scene) {
    let known = "NoFaceFound MultipleFacesFound IrisNotFound CannotCropImage ImageTooSmall \
        ImageWayTooSmall WrongViewingDirection HeadRotatedTooFar FaceAsymmetry ImageTooBlurry \
        BadFaceBrightness FaceTooDark FaceTooBright FaceContrastTooLow FaceContrastTooHigh \
        BadImageBrightness ImageTooDark ImageTooBright ImageContrastTooLow \
        ImageContrastTooHigh ImageOverExposure ImageUnderExposure BadGrayscaleDensity \
        ImageTooOld MissingTimeStamp";
    for picture in [
        pictures::obama(),
        pictures::biden(),
        pictures::blurred(),
        pictures::small(),
        pictures::nobody(),
        pictures::grey(),
    ] {
        let found = check(scene, "?full=true&issuer=BioID", picture).result();
        for error in found["Errors"].as_array().unwrap() {
            let code = error["Code"].as_str().unwrap();
            assert!(
                known.split_whitespace().any(|known| known == code),
                "{code}"
            );
            assert!(!error["Message"].as_str().unwrap().is_empty(), "{code}");
            assert!(error["Details"].is_string(), "{code}");
        }
    }
}

fn s1_11_what_is_no_picture_is_400(scene: &Scene) {
    for (body, code) in [
        ("", "MissingData"),
        ("data:,", "MissingData"),
        ("hello", "InvalidSampleData"),
        ("data:image/png;base64,AAAA", "InvalidSampleData"),
        ("data:audio/wav;base64,AAAA", "SampleNotOfExpectedType"),
    ] {
        check(scene, "", body).is_code(code);
    }
}

fn s1_11_without_credentials_it_is_401(scene: &Scene) {
    let call = Call::new("POST", "qualitycheck").body(pictures::obama());
    scene.send(call).refuses(401, "Basic");
}
