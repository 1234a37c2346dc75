//! Is this picture good enough?

use axum::http::Method;
use image::{RgbImage, imageops};
use serde_json::Value;

use super::app::{TestApp, file, nobody, obama, png, portrait, two_people};

/// The portrait with a wall around it, as a document needs it.
fn with_room() -> String {
    let picture = image::load_from_memory(&file("obama-portrait"))
        .unwrap()
        .to_rgb8();
    let mut room = RgbImage::from_pixel(
        picture.width() + 400,
        picture.height() + 400,
        image::Rgb([150; 3]),
    );
    imageops::replace(&mut room, &picture, 200, 200);
    png(&room)
}

async fn check(app: &TestApp, query: &str, picture: String) -> Value {
    let path = format!("/extension/qualitycheck{query}");
    let answer = app.call(Method::POST, &path, &app.basic(), picture).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[tokio::test]
async fn a_picture_is_checked_as_an_upload_checks_it() {
    let app = TestApp::new();
    let good = check(&app, "?full=false", obama()).await;
    assert_eq!(good["Success"], true);
    assert_eq!(good["Errors"], Value::Array(Vec::new()));
    let portrait = good["ProcessedSample"].as_str().unwrap();
    assert!(portrait.starts_with("data:image/bmp;base64,Qk"));
    assert!(good["EyeCenters"]["LeftEyeY"].is_number());
    assert!(good.get("JobID").is_none() && good.get("State").is_none());
    let none = check(&app, "?full=False&state=%20s", nobody()).await;
    assert_eq!(none["Success"], false);
    assert_eq!(none["Errors"][0]["Code"], "NoFaceFound");
    assert!(none["Errors"][0]["Message"].is_string());
    assert!(none["Errors"][0]["Details"].is_string());
    assert_eq!(none["EyeCenters"], Value::Null);
    assert_eq!(none["State"], " s", "a state comes back as it is");
    assert!(none["JobID"].is_string());
    let two = check(&app, "", two_people()).await;
    assert_eq!(two["Errors"][0]["Code"], "MultipleFacesFound");
}

#[tokio::test]
async fn a_full_check_has_the_rules_of_an_issuer_and_gives_a_portrait() {
    let app = TestApp::new();
    for query in ["", "?full=True&issuer=ICAO", "?issuer=de", "?issuer=nobody"] {
        let good = check(&app, query, with_room()).await;
        assert_eq!(good["Success"], true, "{query} {}", good["Errors"]);
        let portrait = good["ProcessedSample"].as_str().unwrap();
        assert!(portrait.starts_with("data:image/bmp;base64,Qk"));
        // What comes out can go in again.
        let again = check(&app, "?full=false", portrait.to_owned()).await;
        assert_eq!(again["Success"], true);
    }
    let strict = check(&app, "?full=true&issuer=BioID", with_room()).await;
    // A success with a warning, as the original has it.
    assert_eq!(strict["Success"], true);
    assert_eq!(strict["Errors"][0]["Code"], "ImageTooSmall");
    let details = strict["Errors"][0]["Details"].as_str().unwrap();
    assert!(details.contains("240"), "{details}");
    assert!(strict["ProcessedSample"].as_str().unwrap().len() > 960 * 1280 * 4);
    // A picture without room around the face may be uploaded, and is no portrait.
    let close = check(&app, "?full=true", obama()).await;
    assert_eq!(close["Errors"][0]["Code"], "CannotCropImage");
    assert_eq!(
        (&close["Success"], &close["ProcessedSample"]),
        (&Value::Bool(false), &Value::from(""))
    );
    // Who looks aside may be uploaded, too, and is told what is wrong. There is a portrait if it is a success.
    for name in ["obama-white-house", "obama-speech"] {
        let aside = portrait(name);
        let upload = check(&app, "?full=false", aside.clone()).await;
        assert_eq!(upload["Success"], true, "{name}");
        let full = check(&app, "?full=true", aside).await;
        assert_ne!(full["Errors"], Value::Array(Vec::new()), "{name}");
        assert_eq!(
            full["Success"] == true,
            full["ProcessedSample"] != "",
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_is_no_picture_is_answered_with_a_code() {
    let app = TestApp::new();
    for (body, code) in [
        ("", "MissingData"),
        ("hello", "InvalidSampleData"),
        ("data:image/png;base64,AAAA", "InvalidSampleData"),
        ("data:audio/wav;base64,AAAA", "SampleNotOfExpectedType"),
    ] {
        let path = "/extension/qualitycheck";
        let answer = app.call(Method::POST, path, &app.basic(), body).await;
        assert_eq!(answer.message(400), code);
    }
    let path = "/extension/qualitycheck?full=maybe";
    let answer = app.call(Method::POST, path, &app.basic(), obama()).await;
    answer.says(400, "`full`");
}
