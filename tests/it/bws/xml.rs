//! Answers in XML: the same as in JSON, for who prefers it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use axum::http::header;

use crate::harness::{Answer, Bws, Call, Door, Service, Who, pictures};

const ROOT: &str = "xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" \
                    xmlns=\"http://schemas.bioid.com/2011/12/bws\"";
const XML: &str = "application/xml, application/json;q=0.5";

fn ask(
    service: &Service,
    method: &str,
    path: &str,
    authorization: &str,
    accept: &str,
    body: &str,
) -> Answer {
    let call = Call::new(method, path).by(authorization);
    service.send(call.header("Accept", accept).body(body))
}

/// The body without its declaration, and whether it is said to be XML.
fn xml(answer: &Answer) -> &str {
    let kind = answer.headers[header::CONTENT_TYPE].to_str().unwrap();
    assert_eq!(kind, "application/xml; charset=utf-8");
    let body = answer.body.as_str();
    body.strip_prefix("<?xml version=\"1.0\" encoding=\"utf-8\"?>")
        .unwrap()
}

#[test]
fn every_answer_comes_in_xml_too() {
    let service = Service::new();
    service.enroll("bws.1.7", pictures::obama());
    let token = service.ready("bcid=bws.1.7&task=identify");
    let bearer = format!("Bearer {token}");
    let get = |path: &'static str| ask(&service, "GET", path, &bearer, XML, "");
    let json = service.ready("bcid=bws.1.7&task=identify");
    let score = service.task(&json, "identify").json()["Matches"][0]["Score"].to_string();
    assert_eq!(
        xml(&get("identify")),
        format!(
            "<IdentifyResult {ROOT}><Success>true</Success><Matches><ScoredClass>\
             <Score>{score}</Score><Storage>bws</Storage><Partition>1</Partition>\
             <ClassID>7</ClassID></ScoredClass></Matches></IdentifyResult>"
        )
    );
    let uploaded = ask(&service, "POST", "upload", &bearer, XML, pictures::nobody());
    assert_eq!(
        xml(&uploaded),
        format!(
            "<UploadResult {ROOT}><Accepted>false</Accepted><Error>NoFaceFound</Error></UploadResult>"
        )
    );
    // An error, and what of it cannot be in XML.
    let error = ask(
        &service,
        "GET",
        "token?id=x",
        &service.basic(Who::Main),
        XML,
        "",
    );
    assert_eq!(error.status, 403);
    assert_eq!(
        xml(&error),
        format!(
            "<Error {ROOT}><Message>the parameter `id` is not the App-ID of the caller</Message></Error>"
        )
    );
    let path = format!(
        "token?id={}&bcid=%3C%26%01",
        service.credentials(Who::Main).id
    );
    let error = ask(&service, "GET", &path, &service.basic(Who::Main), XML, "");
    assert_eq!(error.status, 400);
    assert!(
        xml(&error).contains("`&lt;&amp;\u{fffd}`"),
        "{}",
        error.body
    );
    for path in ["nothing", "upload"] {
        let answer = get(path);
        assert!(xml(&answer).starts_with("<Error "), "{}", answer.body);
    }
}

#[test]
fn json_is_given_to_all_who_do_not_prefer_xml() {
    let service = Service::new();
    for accept in [
        "*/*",
        "",
        "application/json, application/xml",
        "application/xml;q=0.5, */*",
    ] {
        let answer = ask(
            &service,
            "GET",
            "status",
            &service.basic(Who::Main),
            accept,
            "",
        );
        assert!(answer.json()["Version"].is_string(), "{accept}");
    }
    let path = format!(
        "token?id={}&bcid=bws.1.1",
        service.credentials(Who::Main).id
    );
    let plain = ask(&service, "GET", &path, &service.basic(Who::Main), "*/*", "");
    assert_eq!(
        plain.headers[header::CONTENT_TYPE],
        "text/plain; charset=utf-8"
    );
    let token = ask(
        &service,
        "GET",
        &path,
        &service.basic(Who::Main),
        "text/xml",
        "",
    );
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

#[test]
fn answers_are_as_the_schema_says() {
    let service = Service::new();
    service.enroll("bws.1.7", pictures::obama());
    let basic = service.basic(Who::Main);
    let own = format!(
        "token?id={}&bcid=bws.1.1",
        service.credentials(Who::Main).id
    );
    let mut paths = vec![
        ("GET", "status".to_owned(), basic.clone()),
        ("GET", "nothing".to_owned(), basic.clone()),
        ("GET", "status".to_owned(), String::new()),
        ("GET", own, basic.clone()),
    ];
    for (query, path) in [
        ("bcid=bws.1.9&task=enroll", "enroll"),
        ("bcid=bws.1.7", "verify"),
        ("bcid=bws.1.8", "verify"),
        ("bcid=bws.1.0&task=identify", "identify"),
        ("bcid=bws.2.0&task=identify", "identify"),
        ("task=livenessdetection", "livenessdetection"),
    ] {
        let token = service.ready(query);
        paths.push(("GET", path.to_owned(), format!("Bearer {token}")));
        let result = format!("result?access_token={token}");
        paths.push(("GET", result, basic.clone()));
    }
    for (method, path, authorization) in paths {
        let answer = ask(&service, method, &path, &authorization, XML, "");
        validate(&answer.body);
    }
    let token = service.token("bcid=bws.1.7");
    let bearer = format!("Bearer {token}");
    let pictures = |second: &str| {
        let (first, photo) = (pictures::obama(), pictures::obama());
        format!(r#"{{"liveimage1":"{first}","liveimage2":"{second}","idphoto":"{photo}"}}"#)
    };
    for (path, authorization, body) in [
        ("upload", &bearer, pictures::obama()),
        ("upload", &bearer, pictures::nobody()),
        ("upload", &bearer, "nonsense"),
        (
            "qualitycheck?full=true&state=%1F%3C",
            &basic,
            pictures::obama(),
        ),
        ("qualitycheck", &basic, pictures::nobody()),
        (
            "passivelivedetection?state=details",
            &basic,
            pictures::obama(),
        ),
        ("livedetection", &basic, &pictures(pictures::obama_again())),
        (
            "livedetection?state=details",
            &basic,
            &pictures(pictures::obama_again()),
        ),
        (
            "livedetection?state=details",
            &basic,
            &pictures(pictures::obama()),
        ),
        (
            "livedetection?state=1",
            &basic,
            &pictures(pictures::nobody()),
        ),
        ("photoverify", &basic, &pictures(pictures::obama_again())),
        (
            "photoverify2?state=details",
            &basic,
            &pictures(pictures::obama()),
        ),
        ("photoverify2", &basic, &pictures("data:,")),
        ("photoverify2", &basic, ""),
    ] {
        let answer = ask(&service, "POST", path, authorization, XML, body);
        validate(&answer.body);
        assert!(answer.body.starts_with("<?xml"), "{path}");
    }
}
