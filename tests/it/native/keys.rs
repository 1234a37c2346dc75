//! Who may call, and what for.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::json;
use vultus::access::{NewApiKey, Reach, Scope};

use super::app::{Answer, Service, axis};

/// Every call that needs a scope, with the scope.
const CALLS: [(Scope, &str, &str); 9] = [
    (Scope::Enroll, "POST", "partitions/bws.1/classes/1/enroll"),
    (Scope::Identify, "POST", "partitions/bws.1/identify"),
    (Scope::Verify, "POST", "partitions/bws.1/classes/1/verify"),
    (Scope::Read, "GET", "partitions"),
    (Scope::Read, "GET", "partitions/bws.1"),
    (Scope::Read, "GET", "partitions/bws.1/classes"),
    (Scope::Read, "GET", "partitions/bws.1/classes/1"),
    (Scope::Delete, "DELETE", "partitions/bws.1/classes/1"),
    (Scope::Snapshot, "GET", "snapshots"),
];

fn challenge(answer: &Answer) -> &str {
    answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap()
}

async fn call(service: &Service, key: &str, method: &str, path: &str) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut body = json!({ "embeddings": [axis(0)], "encoder": "test" });
    if path.ends_with("/verify") {
        body["threshold"] = json!(0.5);
    }
    service.call(key, method, path, body).await
}

#[tokio::test]
async fn without_a_key_nothing_is_told() {
    let service = Service::new();
    let (_, other) = Service::new().make_key(&Scope::ALL, Reach::Everything);
    let cut = &service.key[..service.key.len() - 1];
    for (_, method, path) in CALLS.into_iter().chain([(Scope::Read, "GET", "status")]) {
        for authorization in ["", "Basic abc", "Bearer", "Bearer ", "Token abc"] {
            let mut request = Request::builder().method(method).uri(format!("/v1/{path}"));
            if !authorization.is_empty() {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let answer = service.send(request.body(Body::empty()).unwrap()).await;
            answer.problem(401, "key_missing");
            assert_eq!(challenge(&answer), r#"Bearer realm="Vultus""#);
        }
        for key in ["vk_", "abc", cut, &other] {
            let answer = call(&service, key, method, path).await;
            answer.problem(401, "key_invalid");
            assert!(challenge(&answer).contains(r#"error="invalid_token""#));
            assert!(!answer.body.contains(key), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let service = Service::new();
    service.enroll("bws.1", 1, &axis(0)).await;
    for scope in Scope::ALL {
        let (_, key) = service.make_key(&[scope], Reach::Everything);
        for (needed, method, path) in CALLS {
            let answer = call(&service, &key, method, path).await;
            if needed == scope {
                answer.json();
            } else {
                answer.problem(403, "scope_missing");
                let words = format!(r#"error="insufficient_scope", scope="{needed}""#);
                assert!(
                    challenge(&answer).ends_with(&words),
                    "{}",
                    challenge(&answer)
                );
            }
        }
        // Any key may ask what it is.
        let status = call(&service, &key, "GET", "status").await.json();
        assert_eq!(status["key"]["scopes"], json!([scope.as_str()]));
        service.enroll("bws.1", 1, &axis(0)).await;
    }
}

#[tokio::test]
async fn a_key_reaches_its_storage_or_its_partition() {
    let service = Service::new();
    for partition in ["bws.1", "bws.2", "other.1"] {
        service.enroll(partition, 1, &axis(0)).await;
    }
    let all_but_snapshot = &Scope::ALL[..5];
    let storage = Reach::Storage("bws".parse().unwrap());
    let partition = Reach::Partition("bws.1".parse().unwrap());
    for (reach, inside) in [(storage, &["bws.1", "bws.2"][..]), (partition, &["bws.1"])] {
        let (_, key) = service.make_key(all_but_snapshot, reach);
        for partition in ["bws.1", "bws.2", "other.1", "none.1"] {
            for (_, method, path) in CALLS.iter().filter(|call| call.2.contains("bws.1")) {
                let path = path.replace("bws.1", partition);
                let answer = call(&service, &key, method, &path).await;
                if inside.contains(&partition) {
                    answer.json();
                } else {
                    // Whether it exists or not.
                    answer.problem(403, "partition_not_allowed");
                }
            }
        }
        let listed = call(&service, &key, "GET", "partitions").await.json();
        let listed = listed["partitions"].as_array().unwrap();
        let names: Vec<_> = listed.iter().map(|one| &one["partition"]).collect();
        assert_eq!(names, inside.iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_key_ends_at_its_time_and_when_it_is_revoked() {
    let service = Service::new();
    let new = NewApiKey {
        name: "Short".to_owned(),
        scopes: [Scope::Read].into_iter().collect(),
        reach: Reach::Everything,
        expires: Some(
            service
                .clock
                .now()
                .after(std::time::Duration::from_secs(60)),
        ),
    };
    let (_, short) = service.create_key(&new);
    let (id, key) = service.make_key(&[Scope::Read], Reach::Everything);
    service.clock.advance(std::time::Duration::from_secs(59));
    call(&service, &short, "GET", "partitions").await.json();
    service.clock.advance(std::time::Duration::from_secs(1));
    let answer = call(&service, &short, "GET", "partitions").await;
    answer.problem(401, "key_expired");
    assert!(challenge(&answer).contains(r#"error="invalid_token""#));

    call(&service, &key, "GET", "partitions").await.json();
    assert!(service.state.api_keys().revoke(id).unwrap());
    let answer = call(&service, &key, "GET", "partitions").await;
    answer.problem(401, "key_invalid");
}

#[tokio::test]
async fn a_key_is_no_token_and_a_token_is_no_key() {
    let service = Service::new();
    let authorization = format!("Bearer {}", service.key);
    let request = Request::builder()
        .uri("/extension/enroll")
        .header(header::AUTHORIZATION, authorization);
    let answer = service.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_problems_too() {
    let service = Service::new();
    service.get("").await.problem(404, "not_found");
    service.get("nothing").await.problem(404, "not_found");
    service
        .get("partitions/bws.1/classes/1/2")
        .await
        .problem(404, "not_found");
    service
        .delete("partitions")
        .await
        .problem(405, "method_not_allowed");
    service
        .get("partitions/bws.1/identify")
        .await
        .problem(405, "method_not_allowed");
    for wrong in [
        "bws",
        "bws.x",
        "bws.1.2",
        "b%20s.1",
        "bws.2147483648",
        "%FF",
    ] {
        let answer = service.get(&format!("partitions/{wrong}")).await;
        answer.problem(400, "invalid_parameter");
    }
}

#[tokio::test]
async fn every_code_is_explained_without_a_key() {
    let service = Service::new();
    let request = Request::builder().uri("/v1/problems").body(Body::empty());
    let problems = service.send(request.unwrap()).await.json();
    let problems = problems["problems"].as_array().unwrap();
    assert!(
        problems
            .iter()
            .any(|one| one["code"] == "partition_not_allowed")
    );
    for problem in problems {
        let code = problem["code"].as_str().unwrap();
        assert_eq!(problem["type"], format!("/v1/problems#{code}"));
    }
}
