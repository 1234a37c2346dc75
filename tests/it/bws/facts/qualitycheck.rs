//! Section 1.11, `qualitycheck`.

use serde_json::json;

use super::answers::number;
use super::door::Who;
use super::{Answer, Call, Scene, facts, pictures};

facts! {
    Both s1_11_a_good_picture_is_a_success,
    Both s1_11_what_is_wrong_has_code_message_and_details,
    Json s1_11_two_people_are_multiple_faces_found,
    Json s1_11_a_success_may_have_warnings,
    Both s1_11_with_a_state_there_are_job_and_state,
    Json s1_11_a_full_check_has_more_rules,
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
            .starts_with("data:image/bmp;base64,")
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

fn s1_11_an_unknown_issuer_is_a_default(scene: &Scene) {
    let expected = check(scene, "?full=true&issuer=ICAO", pictures::obama())
        .reply
        .body;
    for issuer in ["", "icao", "DE", "gb", "XX", "nobody"] {
        let query = format!("?full=true&issuer={issuer}");
        let found = check(scene, &query, pictures::obama()).reply.body;
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
    for body in ["", "hello", "data:image/png;base64,AAAA", "data:,"] {
        let answer = check(scene, "", body);
        assert_eq!(answer.status(), 400, "{body}: {:?}", answer.reply);
    }
}

fn s1_11_without_credentials_it_is_401(scene: &Scene) {
    let call = Call::new("POST", "qualitycheck").body(pictures::obama());
    scene.send(call).refuses(401, "Basic");
}
