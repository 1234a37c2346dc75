//! Ten rules that decide whether an unmodified client works, one test for each.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::Value;

use super::app::{TestApp, data_url, file, nobody, obama};

#[tokio::test]
async fn rule_1_paths_methods_repeated_slashes_and_letter_case_of_parameters() {
    let app = TestApp::new();
    for (method, path) in [
        (Method::GET, "token"),
        (Method::POST, "upload"),
        (Method::GET, "enroll"),
        (Method::GET, "verify"),
        (Method::GET, "identify"),
        (Method::GET, "livenessdetection"),
        (Method::GET, "result"),
        (Method::GET, "isenrolled"),
        (Method::DELETE, "deleteclass"),
        (Method::GET, "status"),
        (Method::POST, "qualitycheck"),
        (Method::POST, "livedetection"),
        (Method::POST, "passivelivedetection"),
        (Method::POST, "videolivedetection"),
        (Method::POST, "photoverify"),
        (Method::POST, "photoverify2"),
    ] {
        for other in [Method::GET, Method::POST, Method::DELETE, Method::PUT] {
            let answer = app
                .call(other.clone(), &format!("/extension/{path}"), "", "")
                .await;
            // Without credentials the right method comes as far as the question who calls.
            let expected = if other == method { 401 } else { 405 };
            answer.message(expected);
        }
    }
    app.ask(Method::GET, "/extension/nothing")
        .await
        .message(404);
    app.ask(Method::GET, "/").await.message(404);

    app.enroll("bws.1.1", &obama()).await;
    let gone = app
        .ask(Method::DELETE, "//extension//deleteclass?bcid=bws.1.1")
        .await;
    assert_eq!((gone.status.as_u16(), gone.body.as_str()), (200, ""));

    app.enroll("bws.1.1", &obama()).await;
    let token = app.ready("BCID=bws.1.0&Task=identify").await;
    app.task(&token, "identify?maxresults=0")
        .await
        .says(400, "maxResults");
    let found = app.task(&token, "identify?MAXRESULTS=1").await;
    assert_eq!(found.json()["Success"], true);
}

#[tokio::test]
async fn rule_2_booleans_in_any_letter_case() {
    let app = TestApp::new();
    for no in ["false", "False", "FALSE"] {
        let token = app
            .token(&format!("bcid=bws.1.1&task=enroll&livedetection={no}"))
            .await;
        app.refill(&token).await;
        let enrolled = app
            .task(&token, &format!("enroll?livedetection={no}"))
            .await;
        assert_eq!(enrolled.body, r#"{"Success":true}"#);
    }
    for yes in ["true", "True", "TRUE"] {
        let token = app.ready("bcid=bws.1.1&task=enroll").await;
        let refused = app
            .task(&token, &format!("enroll?livedetection={yes}"))
            .await;
        assert_eq!(
            refused.body,
            r#"{"Success":false,"Error":"LiveDetectionFailed"}"#
        );
    }
    let token = app.ready("bcid=bws.1.1&task=enroll").await;
    app.task(&token, "enroll?livedetection=perhaps")
        .await
        .says(400, "livedetection");
    // A request that cannot be understood costs neither samples nor tries.
    assert_eq!(app.task(&token, "enroll").await.status, 200);
}

#[tokio::test]
async fn rule_3_unknown_and_empty_parameters_are_ignored() {
    let app = TestApp::new();
    app.enroll("bws.1.1", &obama()).await;
    let path = "/extension/isenrolled?bcid=bws.1.1&trait=face&livedetection=true&x=%ff&&=";
    assert_eq!(app.ask(Method::GET, path).await.status, 200);
    let token = app
        .token("bcid=bws.1.1&task=verify&unknown=1&traits=")
        .await;
    let path = "/extension/upload?trait=&tag=&index=&other=1";
    let authorization = format!("Bearer {token}");
    let uploaded = app.call(Method::POST, path, &authorization, obama()).await;
    assert_eq!(uploaded.json()["Accepted"], true);
    let status = app.ask(Method::GET, "/extension/status?full=true").await;
    assert_eq!(status.status, 200);
}

#[tokio::test]
async fn rule_4_a_token_is_bare_text_unless_json_is_wanted_more() {
    let app = TestApp::new();
    let path = format!("/extension/token?id={}&bcid=bws.1.1", app.id);
    let ask = async |accept: Option<&str>| {
        let mut request = Request::get(&path).header(header::AUTHORIZATION, app.basic());
        if let Some(accept) = accept {
            request = request.header(header::ACCEPT, accept);
        }
        app.send(request.body(Body::empty()).unwrap()).await
    };
    for accept in [
        None,
        Some("*/*"),
        Some("text/plain"),
        Some("application/json, text/plain, */*"),
    ] {
        let answer = ask(accept).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.headers[header::CONTENT_TYPE],
            "text/plain; charset=utf-8"
        );
        let parts: Vec<&str> = answer.body.split('.').collect();
        assert_eq!(parts.len(), 3, "{}", answer.body);
        assert!(parts.iter().all(|part| !part.is_empty()));
        assert!(!answer.body.contains(['"', '\n', ' ']));
        // And it is a working token as it stands.
        app.refill(&answer.body).await;
    }
    let json = ask(Some("application/json")).await.json();
    app.refill(json.as_str().unwrap()).await;
}

#[tokio::test]
async fn rule_5_names_are_pascal_case_and_json_says_so() {
    let app = TestApp::new();
    let token = app.ready("bcid=bws.1.7&task=enroll").await;
    let enrolled = app.task(&token, "enroll").await;
    enrolled.json();
    assert_eq!(enrolled.body, r#"{"Success":true}"#);

    let token = app.token("bcid=bws.1.0&task=identify").await;
    let uploaded = app.upload(&token, &obama()).await;
    uploaded.json();
    assert!(
        uploaded
            .body
            .starts_with(r#"{"Accepted":true,"Warnings":["#)
    );
    let found = app.task(&token, "identify").await;
    found.json();
    let (head, rest) = found.body.split_once(r#""Score":"#).unwrap();
    let (score, rest) = rest.split_once(',').unwrap();
    assert_eq!(head, r#"{"Success":true,"Matches":[{"#);
    assert!(
        (0.0..=1.0).contains(&score.parse::<f64>().unwrap()),
        "{score}"
    );
    assert_eq!(rest, r#""Storage":"bws","Partition":1,"ClassID":7}]}"#);

    let status = app.ask(Method::GET, "/extension/status").await;
    let json = status.json();
    let version = json["Version"].as_str().unwrap();
    assert!(version.parse::<f64>().is_ok(), "{version}");
    assert!(json["Label"].as_str().unwrap().starts_with("Vultus "));
    let expected = [
        ("QualityCheck", Value::Null),
        ("LiveDetection", Value::Null),
        ("Enrollment", "bws".into()),
        ("Verification", "bws".into()),
        ("Identification", "bws".into()),
        ("PhotoVerify", Value::Null),
    ];
    let features = json["Features"].as_array().unwrap();
    assert_eq!(features.len(), expected.len());
    for (feature, (name, storage)) in features.iter().zip(expected) {
        assert_eq!(feature["Name"], name);
        assert_eq!(feature["Traits"], "Face");
        assert_eq!(feature["Storage"], storage);
        assert!(feature["Partitions"].is_null());
    }
    app.ask(Method::GET, "/extension/token")
        .await
        .says(400, "`id`");
}

#[tokio::test]
async fn rule_6_error_is_absent_without_error_and_present_on_failure() {
    let app = TestApp::new();
    let token = app.ready("bcid=bws.5.0&task=identify").await;
    let nobody_there = app.task(&token, "identify").await;
    assert_eq!(nobody_there.status, 200);
    assert_eq!(
        nobody_there.body,
        r#"{"Success":false,"Error":"NoTemplateAvailable"}"#
    );
    let uploaded = app.upload(&token, &obama()).await;
    assert!(uploaded.json().get("Error").is_none());
    app.enroll("bws.5.1", &obama()).await;
    let found = app.task(&token, "identify").await;
    assert!(found.json().get("Error").is_none());
}

#[tokio::test]
async fn rule_7_warnings_are_always_there_on_an_accepted_upload() {
    let app = TestApp::new();
    let token = app.token("bcid=bws.1.1").await;
    let accepted = app.upload(&token, &obama()).await.json();
    assert_eq!(accepted["Accepted"], true);
    assert!(accepted["Warnings"].is_array());
    let refused = app.upload(&token, &nobody()).await;
    assert_eq!(refused.status, 200);
    assert_eq!(refused.body, r#"{"Accepted":false,"Error":"NoFaceFound"}"#);
}

#[tokio::test]
async fn rule_8_the_body_is_the_data_url_whatever_the_content_type() {
    let app = TestApp::new();
    let token = app.token("bcid=bws.1.1").await;
    let picture = obama();
    assert!(
        picture.contains('+'),
        "this picture would not notice a `+` turned into a blank"
    );
    let multipart = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n{picture}\r\n--xyz--\r\n"
    );
    let named = multipart.replace("name=\"\"", "name=\"image\"; filename=\"a.txt\"");
    let quoted = format!(" \"{picture}\"\r\n");
    for (kind, body) in [
        (
            Some("application/x-www-form-urlencoded; charset=UTF-8"),
            &picture,
        ),
        (Some("application/x-www-form-urlencoded"), &picture),
        (Some("text/plain; charset=utf-8"), &picture),
        (Some("text/plain"), &quoted),
        (Some("application/json"), &quoted),
        (Some("image/png"), &picture),
        (None, &picture),
        (Some("multipart/form-data; boundary=xyz"), &multipart),
        (Some("Multipart/Form-Data; boundary=\"xyz\""), &named),
        (Some("multipart/form-data; boundary=xyz"), &picture),
        (Some("multipart/form-data"), &picture),
    ] {
        let mut request = Request::post("/extension/upload")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let answer = app
            .send(request.body(Body::from(body.clone())).unwrap())
            .await;
        assert_eq!(answer.status, 200, "{kind:?}: {}", answer.body);
        assert_eq!(answer.json()["Accepted"], true, "{kind:?}");
    }
    // The same picture in the formats that clients send.
    let decoded = image::load_from_memory(&file("obama-portrait"))
        .unwrap()
        .thumbnail(360, 480);
    for (format, kind) in [
        (image::ImageFormat::Png, "image/png"),
        (image::ImageFormat::Bmp, "image/bmp"),
        (image::ImageFormat::Gif, "image/gif"),
        (image::ImageFormat::Tiff, "image/tiff"),
    ] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        // What a canvas gives has an alpha channel.
        decoded.to_rgba8().write_to(&mut bytes, format).unwrap();
        let answer = app.upload(&token, &data_url(kind, bytes.get_ref())).await;
        assert_eq!(answer.json()["Accepted"], true, "{kind}: {}", answer.body);
    }
}

#[tokio::test]
async fn rule_9_browsers_may_call() {
    let app = TestApp::new();
    for (path, method) in [
        ("/extension/upload?tag=any&index=1&trait=FACE", "POST"),
        ("/extension//identify", "GET"),
        ("/extension/deleteclass?bcid=x", "DELETE"),
    ] {
        let preflight = Request::options(path)
            .header(header::ORIGIN, "https://www.example.org")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, method)
            .header(
                header::ACCESS_CONTROL_REQUEST_HEADERS,
                "authorization,content-type",
            )
            .body(Body::empty());
        let answer = app.send(preflight.unwrap()).await;
        assert!(answer.status.is_success());
        assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let list = |name| answer.headers[name].to_str().unwrap().to_ascii_lowercase();
        assert!(list(header::ACCESS_CONTROL_ALLOW_HEADERS).contains("authorization"));
        assert!(list(header::ACCESS_CONTROL_ALLOW_METHODS).contains(&method.to_lowercase()));
    }
    // Errors must be readable too.
    let token = app.token("bcid=bws.1.1&task=identify").await;
    let bearer = format!("Bearer {token}");
    for (path, authorization, status) in [
        ("/extension/identify", "", 401),
        ("/extension/identify", bearer.as_str(), 400),
        ("/extension/enroll", bearer.as_str(), 403),
        ("/extension/other", "", 404),
        ("/extension/upload", "", 405),
    ] {
        let request = Request::get(path)
            .header(header::ORIGIN, "https://www.example.org")
            .header(header::AUTHORIZATION, authorization)
            .body(Body::empty());
        let answer = app.send(request.unwrap()).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(
            answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN],
            "*",
            "{path}"
        );
    }
}

#[tokio::test]
async fn rule_9_an_operator_may_name_the_origins() {
    let app = TestApp::with(|settings| {
        settings.origins = vultus::web::Origins::only(["https://www.example.org"]).unwrap();
    });
    for (origin, allowed) in [
        ("https://www.example.org", true),
        ("https://evil.example", false),
    ] {
        let request = Request::get("/extension/identify")
            .header(header::ORIGIN, origin)
            .body(Body::empty());
        let answer = app.send(request.unwrap()).await;
        let found = answer.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        assert_eq!(found.is_some_and(|found| found == origin), allowed);
    }
}

#[tokio::test]
async fn rule_10_bearer_and_jwt_are_the_same() {
    let app = TestApp::new();
    let token = app.token("bcid=bws.1.1").await;
    for scheme in ["Bearer", "JWT", "bearer", "jwt", "Jwt"] {
        let authorization = format!("{scheme} {token}");
        let answer = app
            .call(Method::POST, "/extension/upload", &authorization, obama())
            .await;
        assert_eq!(answer.json()["Accepted"], true, "{scheme}");
    }
    for other in [
        token.clone(),
        format!("Token {token}"),
        format!("Basic {token}"),
    ] {
        let answer = app
            .call(Method::POST, "/extension/upload", &other, obama())
            .await;
        answer.says(401, "Bearer");
        let wanted = answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(wanted.starts_with("Bearer"));
    }
}
