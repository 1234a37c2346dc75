//! The description of the API, and the page that shows it.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::Value;

use super::app::{Answer, Service};

async fn get(service: &Service, path: &str) -> Answer {
    let request = Request::builder().uri(path).body(Body::empty());
    service.send(request.unwrap()).await
}

/// What clients are made from changes only when somebody means it: `UPDATE_FIXTURES=1` writes the file
/// anew.
#[tokio::test]
async fn the_description_is_the_one_that_was_reviewed() {
    let served = get(&Service::new(), "/openapi.json").await;
    served.json();
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/tests/fixtures/openapi.json");
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, served.body + "\n").unwrap();
        return;
    }
    let reviewed = std::fs::read_to_string(&path).unwrap();
    let difference = reviewed
        .lines()
        .zip(served.body.lines())
        .find(|(reviewed, served)| reviewed != served);
    assert_eq!(difference, None, "see the comment of this test");
    assert_eq!(reviewed.trim_end(), served.body);
}

/// A path with its parameters filled in.
fn filled(path: &str) -> String {
    path.replace("{partition}", "bws.1").replace("{class}", "1")
}

#[tokio::test]
async fn every_path_has_the_methods_that_are_described_and_no_other() {
    let service = Service::new();
    let description = get(&service, "/openapi.json").await.json();
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 25);
    for (path, item) in paths {
        for method in ["get", "put", "post", "delete", "patch"] {
            let request = Request::builder()
                .method(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap())
                .uri(filled(path));
            let answer = service.send(request.body(Body::empty()).unwrap()).await;
            let described = item.get(method).is_some();
            assert_eq!(answer.status != 405, described, "{method} {path}");
            assert_ne!(answer.status, 404, "{method} {path}");
            if described {
                let statuses = item[method]["responses"].as_object().unwrap();
                let status = answer.status.as_u16().to_string();
                assert!(statuses.contains_key(&status), "{method} {path}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn all_references_lead_somewhere() {
    let description = get(&Service::new(), "/openapi.json").await.json();
    let mut open = vec![&description];
    let mut references = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => open.extend(fields.values()),
            Value::Array(entries) => open.extend(entries),
            _ => {}
        }
        if let Some(reference) = value.get("$ref") {
            references += 1;
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(description.pointer(pointer).is_some(), "{pointer}");
        }
    }
    assert!(references > 20);
}

#[tokio::test]
async fn the_page_is_whole_and_may_load_nothing_else() {
    let service = Service::new();
    for path in ["/docs/", "/docs/index.html"] {
        let page = get(&service, path).await;
        assert_eq!(page.status, 308, "{path}");
        assert_eq!(page.headers[header::LOCATION], "../docs");
    }
    for path in ["/docs", "//docs"] {
        let page = get(&service, path).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(
            page.headers[header::CONTENT_TYPE],
            "text/html; charset=utf-8"
        );
        let policy = page.headers[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(!page.body.contains("http"), "{}", page.body);
        // Addresses are relative to `/`, in which the page lies.
        for (_, rest) in page
            .body
            .match_indices("docs/")
            .map(|(at, _)| page.body.split_at(at))
        {
            let file = rest.split('"').next().unwrap();
            if file.ends_with(".png") {
                continue;
            }
            let found = get(&service, &format!("/{file}")).await;
            assert_eq!(found.status, 200, "{file}");
            assert!(found.body.len() > 50, "{file}");
        }
    }
    for path in [
        "/docs/index.html.map",
        "/docs/%2e%2e",
        "/docs/swagger-ui.js",
    ] {
        assert_eq!(get(&service, path).await.status, 404, "{path}");
    }
}
