//! The description of the API, and the page that shows it.

use axum::http::header;
use serde_json::Value;

use crate::harness::{Answer, Call, Door, Service};

fn get(service: &Service, path: &str) -> Answer {
    service.send(Call::new("GET", path))
}

/// What clients are made from changes only when somebody means it: `UPDATE_FIXTURES=1` writes the
/// file anew.
#[test]
fn the_description_is_the_one_that_was_reviewed() {
    let served = get(&Service::new(), "/openapi.json");
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
    path.replace("{partition}", "bws.1")
        .replace("{class}", "1")
        .replace("{id}", "1")
}

#[test]
fn every_path_has_the_methods_that_are_described_and_no_other() {
    let service = Service::new();
    let description = get(&service, "/openapi.json").json();
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 25);
    for (path, item) in paths {
        for method in ["get", "put", "post", "delete", "patch"] {
            let answer = service.send(Call::new(method.to_uppercase(), filled(path)));
            let described = item.get(method).is_some();
            assert_eq!(answer.status != 405, described, "{method} {path}");
            assert_ne!(answer.status, 404, "{method} {path}");
            if described {
                let statuses = item[method]["responses"].as_object().unwrap();
                let status = answer.status.to_string();
                assert!(statuses.contains_key(&status), "{method} {path}: {status}");
            }
        }
    }
}

#[test]
fn all_references_lead_somewhere() {
    let description = get(&Service::new(), "/openapi.json").json();
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

#[test]
fn the_page_is_whole_and_may_load_nothing_else() {
    let service = Service::new();
    for path in ["/docs/", "/docs/index.html"] {
        let page = get(&service, path);
        assert_eq!(page.status, 308, "{path}");
        assert_eq!(page.headers[header::LOCATION], "../docs");
    }
    for path in ["/docs", "//docs"] {
        let page = get(&service, path);
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
            let found = get(&service, &format!("/{file}"));
            assert_eq!(found.status, 200, "{file}");
            assert!(found.body.len() > 50, "{file}");
            // They are packed in the program, and not told to be so.
            assert!(!found.body.starts_with('\u{1f}'), "{file}");
        }
    }
    for path in [
        "/docs/index.html.map",
        "/docs/%2e%2e",
        "/docs/swagger-ui.js",
    ] {
        assert_eq!(get(&service, path).status, 404, "{path}");
    }
}
