//! Nothing that a call says is passed over, and every path under `/v1` answers as this API does.

use serde_json::{Map, Value, json};

use crate::harness::{Body, Call, Door, Native, Service, axis, bytes_of, pictures};

/// A call of the description, with its path filled in.
struct Described {
    method: String,
    path: String,
    operation: Value,
}

/// All calls of the native API that the service describes.
fn described(service: &Service) -> Vec<Described> {
    let description = service.send(Call::new("GET", "/openapi.json")).json();
    let mut calls = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        if !path.starts_with("/v1/") {
            continue;
        }
        for (method, operation) in item.as_object().unwrap() {
            let path = path
                .replace("{partition}", "bws.1")
                .replace("{class}", "1")
                .replace("{id}", "1");
            calls.push(Described {
                method: method.to_uppercase(),
                path: path.trim_start_matches("/v1/").to_owned(),
                operation: operation.clone(),
            });
        }
    }
    assert!(calls.len() > 11);
    calls
}

impl Described {
    fn parameters(&self, place: &str) -> Vec<String> {
        let all = self.operation["parameters"].as_array();
        let here = all.into_iter().flatten().filter(|one| one["in"] == place);
        here.map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The names of what its body may have.
    fn members(&self, service: &Service) -> Map<String, Value> {
        let content = &self.operation["requestBody"]["content"];
        let schema = &content["application/json"]["schema"]["$ref"];
        let Some(pointer) = schema.as_str() else {
            return Map::new();
        };
        let description = service.send(Call::new("GET", "/openapi.json")).json();
        let schema = description.pointer(&pointer[1..]).unwrap();
        schema["properties"].as_object().unwrap().clone()
    }
}

#[test]
fn every_call_refuses_a_query_that_it_does_not_take() {
    let service = Service::new();
    service.enroll_embedding("bws.1", 1, &axis(0));
    for call in described(&service) {
        let ask = |query: &str| {
            let path = format!("{}?{query}", call.path);
            let body = json!({ "embeddings": [axis(0)], "encoder": "test", "threshold": 0.5 });
            let body = match call.operation.get("requestBody") {
                Some(_) => Body::from(body),
                None => Body::from(()),
            };
            service.call_by(&service.key(), &call.method, &path, body)
        };
        let refused = |query: &str, words: &str| {
            let problem = ask(query).problem(400, "invalid_parameter");
            let detail = problem["detail"].as_str().unwrap();
            let place = format!("{} {}?{query}: {detail}", call.method, call.path);
            assert!(detail.contains(words), "{place}");
        };
        assert!(call.operation["responses"]["400"].is_object());
        for name in ["no_such", "_", "Limit", "format"] {
            refused(&format!("{name}=1"), &format!("`{name}`"));
        }
        refused("%ff=1", "`%ff`");
        refused("no_such", "`no_such`");
        refused("&=&", "``");
        refused("key=vk_1_secret", "the header");
        for name in call.parameters("path") {
            refused(&format!("{name}=1"), "belongs into the path");
        }
        for name in call.members(&service).keys() {
            refused(&format!("{name}=1"), "belongs into the body");
        }
        let known = call.parameters("query");
        for name in &known {
            refused("no_such=1", &format!("`{name}`"));
            // Several labels may be wanted.
            if name != "labels" {
                refused(&format!("{name}=1&{name}=1"), &format!("`{name}` is"));
            }
            refused(&format!("{name}=%zz"), &format!("`{name}` cannot"));
            refused(&format!("{name}=%ff"), &format!("`{name}` cannot"));
        }
        // An empty query says nothing.
        if call.method == "GET" {
            assert_ne!(ask("").status, 400, "{}", call.path);
            assert_ne!(ask("&&").status, 400, "{}", call.path);
        }
    }
    let class = service.get("partitions/bws.1/classes/1").json();
    assert_eq!(class["templates"], 1, "a refused call did something");
}

#[test]
fn a_head_request_is_as_strict_as_a_get() {
    let service = Service::new();
    for (query, status) in [("", 200), ("?no_such=1", 400), ("?limit=2", 200)] {
        let path = format!("partitions{query}");
        let answer = service.call_by(&service.key(), "HEAD", &path, ());
        assert_eq!(answer.status, status, "{query}");
    }
}

#[test]
fn null_is_as_good_as_nothing_for_every_member() {
    let service = Service::new();
    service.enroll_embedding("bws.1", 1, &axis(0));
    let mut tried = 0;
    for call in described(&service) {
        let members = call.members(&service);
        if members.is_empty() {
            continue;
        }
        let plain = json!({ "embeddings": [axis(0)], "encoder": "test", "threshold": 0.5 });
        let ask = |body: &Value| service.call_by(&service.key(), &call.method, &call.path, body);
        for name in members.keys() {
            let mut absent = plain.clone();
            if !call.members(&service).contains_key("threshold") {
                absent.as_object_mut().unwrap().remove("threshold");
            }
            absent.as_object_mut().unwrap().remove(name);
            let mut null = absent.clone();
            null[name] = Value::Null;
            let (absent, null) = (ask(&absent), ask(&null));
            assert_eq!(absent.status, null.status, "{}: {}", call.path, null.body);
            if absent.status != 200 {
                assert_eq!(absent.body, null.body, "{}", call.path);
            }
            let kinds = members[name]["type"].as_array();
            let nullable = members[name].to_string().contains("\"null\"");
            assert!(nullable, "{name}: {kinds:?}");
            tried += 1;
        }
    }
    assert!(tried >= 15, "{tried}");
    // What is needed and null is missing.
    let path = "partitions/bws.1/identify";
    for (body, words) in [
        ("null", "the body is missing"),
        (r#"{"pictures":[null]}"#, "`pictures[0]` is missing"),
        (
            r#"{"embeddings":[[1],null],"encoder":"e"}"#,
            "`embeddings[1]` is missing",
        ),
        (
            r#"{"embeddings":[[1,2,null]],"encoder":"e"}"#,
            "`embeddings[0][2]` is missing",
        ),
    ] {
        let answer = service.post(path, Body::new("application/json", body));
        let detail = &answer.problem(400, "malformed_body")["detail"];
        assert!(detail.as_str().unwrap().contains(words), "{detail}");
    }
    // A browser's form writes a value that is not there as a word.
    let values = bytes_of(&axis(0));
    let fields: &[(&str, &[u8])] = &[
        ("limit", b"null"),
        ("threshold", b" null "),
        ("encoder", b"test"),
        ("embedding", &values),
    ];
    let answer = service.post(path, Body::form(fields)).json();
    assert_eq!(answer["threshold"], Value::Null);
}

#[test]
fn a_wrong_member_is_named_and_not_shown() {
    let service = Service::new();
    let path = "partitions/bws.1/identify";
    for (body, words) in [
        (
            json!({ "embeddings": [[1, 2], [3, "secret"]] }),
            "`embeddings[1][1]` must be a number",
        ),
        (
            json!({ "embeddings": [[1, [2]]] }),
            "`embeddings[0][1]` must be a number, and is a list",
        ),
        (
            json!({ "embeddings": { "0": [1] } }),
            "`embeddings` must be a list, and is an object",
        ),
        (
            json!({ "pictures": "secret" }),
            "`pictures` must be a list, and is a text",
        ),
        (
            json!({ "pictures": ["a", 7] }),
            "`pictures[1]` must be a text, and is a whole number",
        ),
        (
            json!({ "threshold": "secret" }),
            "`threshold` must be a number, and is a text",
        ),
        (json!({ "limit": -1 }), "`limit` must be a whole number"),
        (json!({ "limit": 2.5 }), "`limit` must be a whole number"),
        (
            json!({ "liveness": "secret" }),
            "`liveness` must be `passive` or `active`",
        ),
        (
            json!({ "encoder": 7 }),
            "`encoder` must be a text, and is a whole number",
        ),
        (json!({ "replace": true }), "unknown field `replace`"),
        (json!([null, null]), "the body must be an object"),
    ] {
        let answer = service.post(path, &body);
        let detail = &answer.problem(400, "malformed_body")["detail"];
        assert!(detail.as_str().unwrap().contains(words), "{detail}");
        assert!(!answer.body.contains("secret"), "{detail}");
    }
    let picture: &[u8] = b"picture";
    for (fields, words) in [
        (
            &[("limit", &b"secret"[..])][..],
            "`limit` must be a whole number",
        ),
        (
            &[("threshold", b"")],
            "`threshold` must be a number, and is a text",
        ),
        (
            &[("limit", b"1"), ("limit", b"1")],
            "`limit` is there twice",
        ),
        (
            &[("pictures", picture)],
            "in a form it is a field `picture` for each",
        ),
        (&[("treshold", b"1")], "unknown field `treshold`"),
        (&[("encoder", b"\xff")], "`encoder` must be a short text"),
    ] {
        let answer = service.post(path, Body::form(fields));
        let detail = &answer.problem(400, "malformed_body")["detail"];
        assert!(detail.as_str().unwrap().contains(words), "{detail}");
        assert!(!answer.body.contains("secret"), "{detail}");
    }
}

#[test]
fn whatever_is_meant_for_this_api_is_answered_by_it() {
    let service = Service::new();
    let key = service.key();
    let ask = |method: &str, path: &str| service.send(Call::new(method, path).by_bearer(&key));
    for path in [
        "/v1",
        "/v1/",
        "/v1//",
        "/V1",
        "/V1/",
        "/V1/status",
        "/V1/partitions/bws.1/identify",
        "/v1/nothing",
        "/v1/Status",
        "/v1/partitions/bws.1/classes/1/remove",
        "/v1/partitions/bws.1/identify/more",
        "/v1?a=1",
        "/v1/nothing?a=1",
        "/v1/%ff",
        "/v1/extension/status",
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let problem = ask(method, path).problem(404, "not_found");
            let detail = problem["detail"].as_str().unwrap();
            let is_upper = path.starts_with("/V");
            assert_eq!(detail.contains("lower case"), is_upper, "{path}: {detail}");
        }
        let head = ask("HEAD", path);
        assert_eq!(
            (head.status, head.header("content-type")),
            (404, "application/problem+json")
        );
    }
    for (method, path, allowed) in [
        ("POST", "/v1/status", &["GET", "HEAD"][..]),
        ("DELETE", "/v1/partitions", &["GET", "HEAD"]),
        ("GET", "/v1/partitions/bws.1/identify", &["POST"]),
        (
            "POST",
            "/v1/partitions/bws.1/classes/1",
            &["GET", "HEAD", "PUT", "PATCH", "DELETE"],
        ),
        ("PATCH", "/v1/snapshots?a=1", &["GET", "HEAD", "POST"]),
        ("TRACE", "/v1/status/", &["GET", "HEAD"]),
    ] {
        let answer = ask(method, path);
        answer.problem(405, "method_not_allowed");
        let mut found: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        found.sort_unstable();
        let mut allowed = allowed.to_vec();
        allowed.sort_unstable();
        assert_eq!(found, allowed, "{method} {path}");
    }
    // The other door keeps its own form, and paths that only look alike are its own.
    for path in [
        "/page",
        "/v2/status",
        "/v1x",
        "/v1.0/status",
        "/extension/v1/status",
        "/nothing",
    ] {
        ask("GET", path).refuses(404, "nothing");
    }
}

#[test]
fn a_picture_is_base64_as_people_write_it() {
    let service = Service::new();
    let plain = pictures::base64(&pictures::file("obama-portrait"));
    let path = "partitions/bws.1/classes/1/enroll";
    let expected = service.post(path, json!({ "pictures": [plain] })).json()["samples"].clone();
    let lines = |end: &str| -> String {
        let lines = plain
            .as_bytes()
            .chunks(76)
            .map(|line| str::from_utf8(line).unwrap());
        lines.flat_map(|line| [line, end]).collect()
    };
    let web = plain.replace('+', "-").replace('/', "_");
    let texts = [
        lines("\n"),
        lines("\r\n"),
        lines(" "),
        format!("\n{plain}\n"),
        plain.trim_end_matches('=').to_owned(),
        web.clone(),
        web.trim_end_matches('=').to_owned(),
        format!("data:image/jpeg;base64,{}", lines("\r\n")),
        format!("data:;base64,{web}"),
        format!(
            "data:image/jpeg;base64,{}",
            plain.replace('+', "%2B").replace('/', "%2f")
        ),
    ];
    for text in &texts {
        let answer = service.post(path, json!({ "pictures": [text] }));
        assert_eq!(answer.json()["samples"], expected, "{}", &text[..40]);
        // The field of a form may be that text, too.
        let form = Body::form(&[("picture", text.as_bytes())]);
        let answer = service.post(path, form);
        assert_eq!(answer.json()["samples"], expected, "{}", &text[..40]);
    }
    for (text, code) in [
        ("AAA*", "invalid_base64"),
        ("AA=A", "invalid_base64"),
        ("data:image/jpeg;base64,%zz", "invalid_base64"),
        ("AAAA", "invalid_picture"),
    ] {
        let answer = service.post(path, json!({ "pictures": [text] }));
        answer.problem(422, code);
    }
}
