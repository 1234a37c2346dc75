//! Who may call, and what for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;
use vultus::access::{NewApiKey, Reach, Scope};

use crate::harness::{Answer, Bws, Call, Door, Native, Service, Who, axis, basic, operations};

/// Every call that takes a key, with the scopes that it needs, as the service describes them.
fn calls(service: &Service) -> Vec<(Vec<Scope>, String, String)> {
    let mut operations = operations(service, "/v1/");
    operations.retain(|operation| operation.takes("api_key"));
    let calls: Vec<_> = operations
        .into_iter()
        .map(|operation| {
            let scopes = operation.scopes().into_iter();
            let scopes = scopes.map(|scope| scope.parse().unwrap());
            let scopes: Vec<Scope> = scopes.collect();
            let path = operation.path.trim_start_matches("/v1/").to_owned();
            (scopes, operation.method, path)
        })
        .collect();
    // Only what a key is may be asked without one.
    let free: Vec<_> = calls
        .iter()
        .filter(|(scopes, ..)| scopes.is_empty())
        .map(|(_, _, path)| &path[..])
        .collect();
    assert_eq!(free, ["status"]);
    assert!(calls.len() >= 11);
    calls
}

fn challenge(answer: &Answer) -> &str {
    answer.header("www-authenticate")
}

fn call(service: &Service, key: &str, method: &str, path: &str) -> Answer {
    let mut body = json!({ "embeddings": [axis(0)], "encoder": "test" });
    if path.ends_with("/verify") {
        body["threshold"] = json!(0.5);
    }
    service.call_by(key, method, path, body)
}

/// Calls that take pictures alone, or say who people are, are let in, and say then that the body is no
/// such thing.
fn is_done(answer: &Answer, path: &str) {
    let of_others = [
        "/identify-faces",
        "detect",
        "compare",
        "embed",
        "/merge",
        "/move",
        "/confirm",
    ];
    let is_record = answer.status == 400 && path.ends_with("/classes/1");
    if is_record || of_others.iter().any(|end| path.ends_with(end)) {
        answer.problem(400, "malformed_body");
    } else if path.starts_with("decisions/") {
        answer.problem(404, "decision_not_found");
    } else if path.ends_with("/portrait") {
        answer.problem(404, "portrait_not_found");
    } else if path.starts_with("receipts/") {
        answer.problem(404, "receipt_not_found");
    } else if path.starts_with("partitions/")
        && path.matches('/').count() == 1
        && answer.status == 400
    {
        // Nobody has confirmed that it is to go.
        answer.problem(400, "invalid_parameter");
    } else if path == "metrics" {
        assert_eq!(answer.status, 200, "{answer:?}");
    } else {
        answer.json();
    }
}

#[test]
fn without_a_key_nothing_is_told() {
    let service = Service::new();
    let (_, other) = Service::new().make_key(&Scope::ALL, Reach::Everything);
    let cut = &service.key()[..service.key().len() - 1];
    for (_, method, path) in calls(&service) {
        for authorization in ["", "Basic abc", "Bearer", "Bearer ", "Token abc"] {
            let mut call = Call::new(&method[..], format!("/v1/{path}"));
            if !authorization.is_empty() {
                call = call.by(authorization);
            }
            let answer = service.send(call);
            answer.problem(401, "key_missing");
            assert_eq!(challenge(&answer), r#"Bearer realm="Vultus""#);
        }
        for key in ["vk_", "abc", cut, &other] {
            let answer = call(&service, key, &method, &path);
            answer.problem(401, "key_invalid");
            assert!(challenge(&answer).contains(r#"error="invalid_token""#));
            assert!(!answer.body.contains(key), "{}", answer.body);
        }
    }
}

#[test]
fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let service = Service::new();
    service.enroll_embedding("bws.1", 1, &axis(0));
    for scope in Scope::ALL {
        let (_, key) = service.make_key(&[scope], Reach::Everything);
        for (needed, method, path) in calls(&service) {
            let answer = call(&service, &key, &method, &path);
            // Any key may ask what it is.
            let Some(needed) = needed.into_iter().find(|needed| *needed != scope) else {
                is_done(&answer, &path);
                continue;
            };
            answer.problem(403, "scope_missing");
            let words = format!(r#"error="insufficient_scope", scope="{needed}""#);
            assert!(
                challenge(&answer).ends_with(&words),
                "{}",
                challenge(&answer)
            );
        }
        let status = call(&service, &key, "GET", "status").json();
        assert_eq!(status["key"]["scopes"], json!([scope.as_str()]));
        service.enroll_embedding("bws.1", 1, &axis(0));
    }
}

#[test]
fn whoever_makes_one_class_of_two_may_delete_too() {
    let service = Service::new();
    for class in [1, 2] {
        service.enroll_embedding("bws.1", class, &axis(class as usize));
    }
    let merge = |scopes: &[Scope]| {
        let (_, key) = service.make_key(scopes, Reach::Everything);
        let path = "partitions/bws.1/classes/1/merge";
        service.call_by(&key, "POST", path, json!({ "from": "2" }))
    };
    let all = Scope::ALL.into_iter();
    let but = |left_out: Scope| -> Vec<Scope> {
        all.clone().filter(|scope| *scope != left_out).collect()
    };
    merge(&but(Scope::Delete)).problem(403, "scope_missing");
    merge(&but(Scope::Enroll)).problem(403, "scope_missing");
    service.get("partitions/bws.1/classes/2").json();
    assert_eq!(merge(&[Scope::Enroll, Scope::Delete]).json()["moved"], 1);
    service
        .get("partitions/bws.1/classes/2")
        .problem(404, "class_not_found");
}

#[test]
fn a_key_reaches_its_storage_or_its_partition() {
    let service = Service::new();
    for partition in ["bws.1", "bws.2", "other.1"] {
        service.enroll_embedding(partition, 1, &axis(0));
    }
    let reaching = Scope::ALL
        .into_iter()
        .filter(|scope| *scope != Scope::Snapshot);
    let all_but_snapshot: &Vec<Scope> = &reaching.collect();
    let calls = calls(&service);
    let storage = Reach::Storage("bws".parse().unwrap());
    let partition = Reach::Partition("bws.1".parse().unwrap());
    for (reach, inside) in [(storage, &["bws.1", "bws.2"][..]), (partition, &["bws.1"])] {
        let (_, key) = service.make_key(all_but_snapshot, reach);
        for partition in ["bws.1", "bws.2", "other.1", "none.1"] {
            for (_, method, path) in calls.iter().filter(|call| call.2.contains("bws.1")) {
                let path = path.replace("bws.1", partition);
                if inside.contains(&partition) {
                    // Another call may have deleted it.
                    service.enroll_embedding(partition, 1, &axis(0));
                }
                let answer = call(&service, &key, method, &path);
                if inside.contains(&partition) {
                    is_done(&answer, &path);
                } else {
                    // Whether it exists or not.
                    answer.problem(403, "partition_not_allowed");
                }
            }
        }
        let listed = call(&service, &key, "GET", "partitions").json();
        let listed = listed["partitions"].as_array().unwrap();
        let names: Vec<_> = listed.iter().map(|one| &one["partition"]).collect();
        assert_eq!(names, inside.iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_key_ends_at_its_time_and_when_it_is_revoked() {
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
    service.advance(59);
    call(&service, &short, "GET", "partitions").json();
    service.advance(1);
    let answer = call(&service, &short, "GET", "partitions");
    answer.problem(401, "key_expired");
    assert!(challenge(&answer).contains(r#"error="invalid_token""#));

    call(&service, &key, "GET", "partitions").json();
    assert!(service.state.api_keys().revoke(id).unwrap());
    let answer = call(&service, &key, "GET", "partitions");
    answer.problem(401, "key_invalid");
}

#[test]
fn a_token_is_no_key_and_an_app_has_none() {
    let service = Service::new();
    let app = service.credentials(Who::Main);
    let tasks = ["enroll", "verify", "identify", "livenessdetection"];
    let tokens = tasks.map(|task| service.ready(&format!("bcid=bws.1.1&task={task}&maxtries=1")));
    let operations = operations(&service, "/v1/");
    let taken: Vec<_> = operations
        .iter()
        .filter(|one| one.takes("api_key"))
        .collect();
    assert!(taken.len() >= 11);
    for operation in taken {
        for token in &tokens {
            let answer = service.send(operation.call().by_bearer(token));
            answer.problem(401, "key_invalid");
            assert!(challenge(&answer).contains(r#"error="invalid_token""#));
            assert!(!answer.body.contains(&token[..20]), "{}", answer.body);
        }
        for authorization in [
            format!("JWT {}", tokens[0]),
            format!("Basic {}", tokens[0]),
            basic(&app.id, &app.secret),
        ] {
            let answer = service.send(operation.call().by(authorization));
            answer.problem(401, "key_missing");
            assert_eq!(challenge(&answer), r#"Bearer realm="Vultus""#);
        }
        let answer = service.send(operation.call().by_bearer(&app.secret));
        answer.problem(401, "key_invalid");
    }
    // It cost the tokens neither samples nor tries.
    for (task, token) in tasks.into_iter().zip(&tokens) {
        assert_eq!(service.task(token, task).status, 200, "{task}");
    }
}

#[test]
fn paths_and_methods_that_do_not_exist_are_problems_too() {
    let service = Service::new();
    service.get("").problem(404, "not_found");
    service.get("nothing").problem(404, "not_found");
    service
        .get("partitions/bws.1/classes/1/2")
        .problem(404, "not_found");
    service
        .delete("partitions")
        .problem(405, "method_not_allowed");
    service
        .get("partitions/bws.1/identify")
        .problem(405, "method_not_allowed");
    for wrong in [
        "bws",
        "bws.x",
        "bws.1.2",
        "b%20s.1",
        "bws.2147483648",
        "%FF",
    ] {
        let answer = service.get(&format!("partitions/{wrong}"));
        answer.problem(400, "invalid_parameter");
    }
}

#[test]
fn every_code_is_explained_without_a_key() {
    let service = Service::new();
    let problems = service.send(Call::new("GET", "/v1/problems")).json();
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
    let told: BTreeSet<_> = problems
        .iter()
        .map(|it| {
            (
                it["status"].to_string(),
                it["code"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/native-api.md");
    let page = fs::read_to_string(page).unwrap();
    let table = page.split("| Status | Code | Meaning |").nth(1).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let documented = rows.map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let status = cells.next().unwrap().to_owned();
        (status, cells.next().unwrap().trim_matches('`').to_owned())
    });
    assert_eq!(told, documented.collect());
}
