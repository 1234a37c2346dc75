//! Is the live person the one on the identity photo?

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use super::app::{Answer, TestApp, biden, nobody, obama, obama_again, portrait};

async fn post(app: &TestApp, path: &str, body: &Value) -> Answer {
    let request = Request::post(format!("/extension/{path}"))
        .header(header::AUTHORIZATION, app.basic())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()));
    app.send(request.unwrap()).await
}

fn pictures(first: &str, second: &str, photo: &str) -> Value {
    json!({ "liveimage1": first, "liveimage2": second, "idphoto": photo })
}

fn obama_speaking() -> String {
    portrait("obama-speech")
}

#[tokio::test]
async fn the_right_photo_is_accepted_and_another_is_not() {
    let app = TestApp::new();
    let right = pictures(&obama(), &obama_again(), &obama_speaking());
    let wrong = pictures(&obama(), &obama_again(), &biden());
    for (path, body, expected) in [
        ("photoverify", &right, "true"),
        ("photoverify?accuracy=5", &right, "true"),
        ("photoverify?accuracy={4}", &right, "true"),
        ("photoverify?accuracy=1", &wrong, "false"),
    ] {
        let answer = post(&app, path, body).await;
        assert_eq!(answer.body, expected, "{path}");
        assert_eq!(answer.status, 200);
    }
    let body = format!(
        "liveimage1={}&liveimage2={}&idphoto={}",
        obama(),
        obama_again(),
        obama_speaking()
    );
    let request = Request::post("/extension/photoverify")
        .header(header::AUTHORIZATION, app.basic())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body));
    assert_eq!(app.send(request.unwrap()).await.body, "true");
}

#[tokio::test]
async fn what_cannot_be_compared_is_answered_with_a_code() {
    let app = TestApp::new();
    for (first, second, photo, code) in [
        (obama(), obama(), obama_speaking(), "LiveDetectionFailed"),
        (obama(), obama_again(), nobody(), "NoFaceFound"),
        (nobody(), obama_again(), obama(), "NoFaceFound"),
        (obama(), "data:,".to_owned(), obama(), "MissingData"),
        (obama(), obama_again(), "x".to_owned(), "InvalidSampleData"),
    ] {
        let answer = post(&app, "photoverify", &pictures(&first, &second, &photo)).await;
        assert_eq!(answer.message(400), code);
    }
    let good = pictures(&obama(), &obama_again(), &obama_speaking());
    for accuracy in ["0", "6", "x", "-1", "4.5", "{}", "{4"] {
        let path = format!("photoverify?accuracy={accuracy}");
        post(&app, &path, &good).await.says(400, "from 1 to 5");
    }
}

#[tokio::test]
async fn the_second_call_names_the_level_that_is_reached() {
    let app = TestApp::new();
    let right = pictures(&obama(), &obama_again(), &obama_speaking());
    let found = post(&app, "photoverify2?accuracy=5&state=details", &right).await;
    let found = found.json();
    assert_eq!(found["Success"], true);
    assert_eq!(found["AccuracyLevel"], 5);
    assert_eq!(found["State"], "details");
    assert_eq!(found["Samples"].as_array().unwrap().len(), 3);
    assert!(found["JobID"].is_string() && found["Liveness"].is_object());

    let wrong = pictures(&obama(), &obama_again(), &biden());
    let found = post(&app, "photoverify2", &wrong).await.json();
    assert_eq!(found["Success"], false);
    assert_eq!(found["AccuracyLevel"], 0);
    assert!(found.get("Errors").is_none() && found.get("State").is_none());

    let flat = pictures(&obama(), &obama(), &obama_speaking());
    let found = post(&app, "photoverify2", &flat).await.json();
    assert_eq!(
        (&found["Success"], &found["AccuracyLevel"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(found["Errors"][0]["Code"], "LiveDetectionFailed");

    let none = pictures(&obama(), &obama_again(), &nobody());
    let found = post(&app, "photoverify2", &none).await.json();
    assert_eq!(found["Samples"][2]["Errors"][0]["Code"], "NoFaceFound");
    assert_eq!(found["AccuracyLevel"], 0);
}

#[tokio::test]
async fn a_second_live_picture_may_be_missing() {
    let app = TestApp::new();
    let photo = obama_speaking();
    for second in [json!("data:,"), json!(""), Value::Null] {
        let body = json!({ "liveimage1": obama(), "liveimage2": second, "idphoto": photo });
        let found = post(&app, "photoverify2", &body).await.json();
        assert_eq!(found["Success"], true, "{found}");
        assert_eq!(found["Samples"].as_array().unwrap().len(), 2);
    }
    let body = json!({ "liveimage1": obama(), "idphoto": photo });
    let found = post(&app, "photoverify2", &body).await.json();
    assert_eq!(found["Success"], true, "{found}");
    for missing in [
        json!({ "liveimage1": obama() }),
        json!({ "idphoto": photo }),
    ] {
        let answer = post(&app, "photoverify2", &missing).await;
        assert_eq!(answer.message(400), "MissingData");
    }
}
