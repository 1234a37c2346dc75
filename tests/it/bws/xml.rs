//! Answers in XML: the same as in JSON, for who prefers it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use axum::body::Body;
use axum::http::{Method, Request, header};

use super::app::{Answer, TestApp, nobody, obama, obama_again};

const ROOT: &str = "xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" \
                    xmlns=\"http://schemas.bioid.com/2011/12/bws\"";
const XML: &str = "application/xml, application/json;q=0.5";

async fn ask(
    app: &TestApp,
    method: Method,
    path: &str,
    authorization: &str,
    accept: &str,
    body: String,
) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/extension/{path}"))
        .header(header::AUTHORIZATION, authorization)
        .header(header::ACCEPT, accept)
        .body(Body::from(body));
    app.send(request.unwrap()).await
}

/// The body without its declaration, and whether it is said to be XML.
fn xml(answer: &Answer) -> &str {
    let kind = answer.headers[header::CONTENT_TYPE].to_str().unwrap();
    assert_eq!(kind, "application/xml; charset=utf-8");
    let body = answer.body.as_str();
    body.strip_prefix("<?xml version=\"1.0\" encoding=\"utf-8\"?>")
        .unwrap()
}

#[tokio::test]
async fn every_answer_comes_in_xml_too() {
    let app = TestApp::new();
    app.enroll("bws.1.7", &obama()).await;
    let token = app.ready("bcid=bws.1.7&task=identify").await;
    let bearer = format!("Bearer {token}");
    let get = |path: &'static str| ask(&app, Method::GET, path, &bearer, XML, String::new());
    let json = app.ready("bcid=bws.1.7&task=identify").await;
    let score = app.task(&json, "identify").await.json()["Matches"][0]["Score"].to_string();
    assert_eq!(
        xml(&get("identify").await),
        format!(
            "<IdentifyResult {ROOT}><Success>true</Success><Matches><ScoredClass>\
             <Score>{score}</Score><Storage>bws</Storage><Partition>1</Partition>\
             <ClassID>7</ClassID></ScoredClass></Matches></IdentifyResult>"
        )
    );
    let uploaded = ask(&app, Method::POST, "upload", &bearer, XML, nobody()).await;
    assert_eq!(
        xml(&uploaded),
        format!(
            "<UploadResult {ROOT}><Accepted>false</Accepted><Error>NoFaceFound</Error></UploadResult>"
        )
    );
    // An error, and what of it cannot be in XML.
    let error = ask(
        &app,
        Method::GET,
        "token?id=x",
        &app.basic(),
        XML,
        String::new(),
    )
    .await;
    assert_eq!(error.status, 403);
    assert_eq!(
        xml(&error),
        format!(
            "<Error {ROOT}><Message>the parameter `id` is not the App-ID of the caller</Message></Error>"
        )
    );
    let path = format!("token?id={}&bcid=%3C%26%01", app.id);
    let error = ask(&app, Method::GET, &path, &app.basic(), XML, String::new()).await;
    assert_eq!(error.status, 400);
    assert!(
        xml(&error).contains("`&lt;&amp;\u{fffd}`"),
        "{}",
        error.body
    );
    for path in ["nothing", "upload"] {
        let answer = get(path).await;
        assert!(xml(&answer).starts_with("<Error "), "{}", answer.body);
    }
}

#[tokio::test]
async fn json_is_given_to_all_who_do_not_prefer_xml() {
    let app = TestApp::new();
    for accept in [
        "*/*",
        "",
        "application/json, application/xml",
        "application/xml;q=0.5, */*",
    ] {
        let answer = ask(
            &app,
            Method::GET,
            "status",
            &app.basic(),
            accept,
            String::new(),
        )
        .await;
        assert!(answer.json()["Version"].is_string(), "{accept}");
    }
    let path = format!("token?id={}&bcid=bws.1.1", app.id);
    let plain = ask(&app, Method::GET, &path, &app.basic(), "*/*", String::new()).await;
    assert_eq!(
        plain.headers[header::CONTENT_TYPE],
        "text/plain; charset=utf-8"
    );
    let token = ask(
        &app,
        Method::GET,
        &path,
        &app.basic(),
        "text/xml",
        String::new(),
    )
    .await;
    assert_eq!(
        token.headers[header::CONTENT_TYPE],
        "text/xml; charset=utf-8"
    );
    assert!(token.body.contains("<string xmlns:i="), "{}", token.body);
}

/// `xmllint` is in Debian's libxml2-utils; where it is not installed, nothing is compared.
fn validate(document: &str) {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bws.xsd");
    let started = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema", schema, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut process) = started else {
        assert!(
            std::env::var_os("REQUIRE_XMLLINT").is_none(),
            "xmllint is required"
        );
        eprintln!("xmllint is not installed: not compared with the schema");
        return;
    };
    process
        .stdin
        .take()
        .unwrap()
        .write_all(document.as_bytes())
        .unwrap();
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{document}");
}

#[tokio::test]
async fn answers_are_as_the_schema_says() {
    let app = TestApp::new();
    app.enroll("bws.1.7", &obama()).await;
    let basic = app.basic();
    let own = format!("token?id={}&bcid=bws.1.1", app.id);
    let mut paths = vec![
        (Method::GET, "status".to_owned(), basic.clone()),
        (Method::GET, "nothing".to_owned(), basic.clone()),
        (Method::GET, "status".to_owned(), String::new()),
        (Method::GET, own, basic.clone()),
    ];
    for (query, path) in [
        ("bcid=bws.1.9&task=enroll", "enroll"),
        ("bcid=bws.1.7", "verify"),
        ("bcid=bws.1.8", "verify"),
        ("bcid=bws.1.0&task=identify", "identify"),
        ("bcid=bws.2.0&task=identify", "identify"),
        ("task=livenessdetection", "livenessdetection"),
    ] {
        let token = app.ready(query).await;
        paths.push((Method::GET, path.to_owned(), format!("Bearer {token}")));
        let result = format!("result?access_token={token}");
        paths.push((Method::GET, result, basic.clone()));
    }
    for (method, path, authorization) in paths {
        let answer = ask(&app, method, &path, &authorization, XML, String::new()).await;
        validate(&answer.body);
    }
    let token = app.token("bcid=bws.1.7").await;
    let bearer = format!("Bearer {token}");
    let pictures = |second: &str| {
        let (first, photo) = (obama(), obama());
        format!(r#"{{"liveimage1":"{first}","liveimage2":"{second}","idphoto":"{photo}"}}"#)
    };
    for (path, authorization, body) in [
        ("upload", &bearer, obama()),
        ("upload", &bearer, nobody()),
        ("upload", &bearer, "nonsense".to_owned()),
        ("qualitycheck?full=true&state=%1F%3C", &basic, obama()),
        ("qualitycheck", &basic, nobody()),
        ("passivelivedetection?state=details", &basic, obama()),
        ("livedetection", &basic, pictures(&obama_again())),
        (
            "livedetection?state=details",
            &basic,
            pictures(&obama_again()),
        ),
        ("livedetection?state=details", &basic, pictures(&obama())),
        ("livedetection?state=1", &basic, pictures(&nobody())),
        ("photoverify", &basic, pictures(&obama_again())),
        ("photoverify2?state=details", &basic, pictures(&obama())),
        ("photoverify2", &basic, pictures("data:,")),
        ("photoverify2", &basic, String::new()),
    ] {
        let answer = ask(&app, Method::POST, path, authorization, XML, body).await;
        validate(&answer.body);
        assert!(answer.body.starts_with("<?xml"), "{path}");
    }
}
