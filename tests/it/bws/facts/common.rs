//! Section 0, the ten rules, and section 1.0, what all calls have in common.

use std::thread;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;
use vultus::web::Origins;

use super::facts;
use crate::harness::{
    Bws, Call, Door, Format, Operation, Scene, Service, Who, basic, operations, pictures,
};

facts! {
    Json s1_every_call_of_the_reference_is_described,
    Json s0_1_each_name_has_one_method,
    Json s0_1_repeated_slashes_are_one,
    Json s0_1_a_head_request_uses_nothing_up,
    Json s0_1_names_of_parameters_have_no_letter_case,
    Json s0_2_booleans_in_capitals_count,
    Json s0_3_unknown_parameters_are_ignored,
    Json s0_3_an_empty_trait_means_face,
    Both s0_5_names_are_pascal_case_and_the_type_is_said,
    Json s0_6_error_is_absent_when_there_is_none,
    Json s0_6_a_failed_identification_has_an_error,
    Json s0_7_an_accepted_upload_has_a_list_of_warnings,
    Json s0_9_preflights_need_no_credentials,
    Json s0_9_errors_can_be_read_by_a_page,
    Json s0_10_bearer_and_jwt_are_the_same,
    Json s0_10_no_other_scheme_is_taken,
    Json s1_0_json_is_what_nobody_asked_for,
    Json s1_0_text_json_is_json,
    Both s1_0_every_error_has_a_message,
    Json s1_0_calls_of_the_app_take_no_token,
    Json s1_0_calls_of_a_device_take_no_secret,
    Json s1_0_a_key_of_the_native_api_opens_nothing,
    Json s1_0_an_error_shows_no_token,
    Json s1_0_nothing_is_to_be_cached,
    Json s1_0_credentials_may_be_in_any_encoding,
    Json s1_0_wrong_credentials_are_told_how_to_prove_themselves,
    Json s1_0_a_foreign_class_is_403_and_stays,
}

/// The calls of the reference. There may be more: what holds for all of them is tried with those
/// that the service describes.
const KNOWN: [(&str, &str); 16] = [
    ("GET", "token"),
    ("POST", "upload"),
    ("GET", "enroll"),
    ("GET", "verify"),
    ("GET", "identify"),
    ("GET", "livenessdetection"),
    ("GET", "result"),
    ("GET", "isenrolled"),
    ("DELETE", "deleteclass"),
    ("GET", "status"),
    ("POST", "qualitycheck"),
    ("POST", "livedetection"),
    ("POST", "passivelivedetection"),
    ("POST", "videolivedetection"),
    ("POST", "photoverify"),
    ("POST", "photoverify2"),
];

/// All calls that there are.
fn calls(scene: &Scene) -> Vec<Operation> {
    operations(scene, "/extension/")
}

/// Tries all calls side by side: a service that listens has whoever shows a wrong secret wait, the longer
/// the more there were.
fn side_by_side(calls: &[Operation], check: impl Fn(&Operation) + Sync) {
    thread::scope(|scope| {
        for call in calls {
            scope.spawn(|| check(call));
        }
    });
}

/// Those that only an app may make.
fn calls_of_the_app(scene: &Scene) -> Vec<Operation> {
    let mut calls = calls(scene);
    calls.retain(|call| call.takes("app") && !call.takes("bws_token"));
    assert!(calls.len() >= 10);
    calls
}

/// Those that only the holder of a token may make.
fn calls_of_a_device(scene: &Scene) -> Vec<Operation> {
    let mut calls = calls(scene);
    calls.retain(|call| call.takes("bws_token") && !call.takes("app"));
    assert!(calls.len() >= 5);
    calls
}

fn s1_every_call_of_the_reference_is_described(scene: &Scene) {
    let calls = calls(scene);
    let described: Vec<_> = calls
        .iter()
        .map(|call| (&call.method[..], call.name()))
        .collect();
    for call in KNOWN {
        assert!(described.contains(&call), "{call:?}");
    }
}

fn s0_1_each_name_has_one_method(scene: &Scene) {
    for call in calls(scene) {
        for other in ["GET", "POST", "DELETE", "PUT", "PATCH"] {
            let answer = scene.send(Call::new(other, &call.path));
            if other == call.method {
                // Without credentials it comes as far as the question who calls.
                answer.refuses(401, "");
            } else {
                answer.refuses(405, "method");
                let mut allowed: Vec<&str> = answer.header("allow").split(',').collect();
                allowed.retain(|method| *method != "HEAD");
                assert_eq!(allowed, [&call.method[..]], "{other} {call:?}");
            }
        }
    }
    for path in ["classlist", "", "/classlist"] {
        scene.ask("GET", path).refuses(404, "");
    }
}

fn s0_1_repeated_slashes_are_one(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    scene
        .ask("DELETE", "//extension//deleteclass?bcid={p}.1")
        .is_empty(200);
    assert!(!scene.is_enrolled("{p}.1"));
    assert_eq!(scene.ask("GET", "/extension///status").status, 200);
    assert_eq!(scene.ask("GET", "status/").status, 200);
}

fn s0_1_a_head_request_uses_nothing_up(scene: &Scene) {
    for task in ["enroll", "verify", "identify", "livenessdetection"] {
        let token = scene.ready(&format!("bcid={{p}}.1&task={task}&maxtries=1"));
        let head = scene.send(Call::new("HEAD", task).by_bearer(&token));
        assert_eq!(head.status, 405, "{head:?}");
        assert_eq!(head.header("allow"), "GET");
        // The sample and the try are still there.
        assert_eq!(scene.task(&token, task).status, 200, "{task}");
    }
}

fn s0_1_names_of_parameters_have_no_letter_case(scene: &Scene) {
    for class in 1..=2 {
        scene.enroll(&format!("{{p}}.{class}"), pictures::obama());
    }
    let token = scene.ready("BCID={p}.0&TASK=identify&MaxTries=2&LiveDetection=false");
    let found = scene.task(&token, "identify?maxresults=1").result();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 1);
    scene.accepted(&token, pictures::obama());
    let found = scene.task(&token, "identify?MAXRESULTS=2").result();
    assert_eq!(found["Matches"].as_array().unwrap().len(), 2);
}

fn s0_2_booleans_in_capitals_count(scene: &Scene) {
    for no in ["false", "False", "FALSE"] {
        let token = scene.ready(&format!("bcid={{p}}.1&task=enroll&livedetection={no}"));
        let path = format!("enroll?livedetection={no}");
        scene.task(&token, &path).gives(&json!({"Success": true}));
    }
    for yes in ["true", "True", "TRUE"] {
        let token = scene.ready("bcid={p}.1&task=enroll");
        let answer = scene.task(&token, &format!("enroll?livedetection={yes}"));
        answer.gives(&json!({"Success": false, "Error": "LiveDetectionFailed"}));
        let query = format!("bcid={{p}}.1&livedetection={yes}&challenge={yes}&autoenroll={yes}");
        let claims = super::claims::payload(&scene.token(&query));
        assert_eq!(claims["task"], 0x1303, "{yes}");
    }
}

fn s0_3_unknown_parameters_are_ignored(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    let path = "isenrolled?bcid={p}.1&trait=face&livedetection=true&x=%ff&&=";
    scene.ask("GET", path).is_empty(200);
    assert_eq!(scene.ask("GET", "status?state=1").status, 200);
    let token = scene.token("bcid={p}.1&task=enroll&theme=dark");
    scene.accepted(&token, pictures::obama());
    let answer = scene.task(&token, "enroll?index=1");
    answer.gives(&json!({"Success": true}));
}

fn s0_3_an_empty_trait_means_face(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=enroll&traits=");
    let answer = scene.upload_to(
        &token,
        "upload?trait=&tag=&index=&other=1",
        pictures::obama(),
    );
    answer.gives(&json!({"Accepted": true, "Warnings": []}));
}

fn s0_5_names_are_pascal_case_and_the_type_is_said(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=enroll");
    let answer = scene.upload(&token, pictures::obama());
    answer.gives(&json!({"Accepted": true, "Warnings": []}));
    scene
        .task(&token, "enroll")
        .gives(&json!({"Success": true}));
    // A page takes the body for data only if its type says so.
    let expected = match scene.format {
        Format::Json => "application/json",
        Format::Xml => "application/xml",
    };
    assert!(answer.header("content-type").starts_with(expected));
}

fn s0_6_error_is_absent_when_there_is_none(scene: &Scene) {
    let token = scene.ready("bcid={p}.1&task=enroll");
    let answer = scene.task(&token, "enroll");
    assert_eq!(answer.body, r#"{"Success":true}"#);
    let token = scene.ready("bcid={p}.0&task=identify");
    let answer = scene.task(&token, "identify");
    assert!(!answer.body.contains("Error"), "{}", answer.body);
}

fn s0_6_a_failed_identification_has_an_error(scene: &Scene) {
    let token = scene.ready("bcid={p}.0&task=identify");
    let answer = scene.task(&token, "identify");
    answer.gives(&json!({"Success": false, "Error": "NoTemplateAvailable"}));
}

fn s0_7_an_accepted_upload_has_a_list_of_warnings(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let answer = scene.upload(&token, pictures::obama());
    assert_eq!(answer.body, r#"{"Accepted":true,"Warnings":[]}"#);
}

fn s0_9_preflights_need_no_credentials(scene: &Scene) {
    let calls = calls(scene);
    let slashes = ("GET", "/extension//identify");
    let paths = calls.iter().map(|call| (&call.method[..], &call.path[..]));
    for (method, path) in paths.chain([slashes]) {
        let answer = scene.send(
            Call::new("OPTIONS", format!("{path}?tag=any&index=1&trait=FACE"))
                .header("Origin", "https://www.example.org")
                .header("Access-Control-Request-Method", method)
                .header(
                    "Access-Control-Request-Headers",
                    "authorization,content-type",
                ),
        );
        let name = path;
        assert!(
            (200..300).contains(&answer.status),
            "{name}: {}",
            answer.status
        );
        let list = |header| answer.header(header).to_ascii_lowercase();
        assert_eq!(list("access-control-allow-origin"), "*");
        // By the Fetch standard `*` would not cover it.
        assert!(list("access-control-allow-headers").contains("authorization"));
        assert!(list("access-control-allow-headers").contains("content-type"));
        assert!(list("access-control-allow-headers").contains("cache-control"));
        assert!(list("access-control-allow-methods").contains(&method.to_ascii_lowercase()));
    }
}

fn s0_9_errors_can_be_read_by_a_page(scene: &Scene) {
    let token = scene.token("bcid={p}.0&task=identify");
    let bearer = format!("Bearer {token}");
    for (path, authorization, status) in [
        ("identify", "", 401),
        ("identify", &bearer[..], 400),
        ("enroll", &bearer[..], 403),
        ("nothing", "", 404),
        ("upload", "", 405),
    ] {
        let call = Call::new("GET", path).header("Authorization", authorization);
        let answer = scene.send(call.header("Origin", "https://www.example.org"));
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
    }
}

fn s0_10_bearer_and_jwt_are_the_same(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=enroll");
    for scheme in ["Bearer", "JWT", "bearer", "jwt", "Jwt"] {
        let call = Call::new("POST", "upload").header("Authorization", format!("{scheme} {token}"));
        let answer = scene.send(call.body(pictures::obama()));
        answer.gives(&json!({"Accepted": true, "Warnings": []}));
    }
    let call = Call::new("GET", "enroll").header("Authorization", format!("JWT {token}"));
    scene.send(call).gives(&json!({"Success": true}));
}

fn s0_10_no_other_scheme_is_taken(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    for other in [
        token.clone(),
        format!("Token {token}"),
        format!("Basic {token}"),
    ] {
        let answer = scene.call("POST", "upload", &other, pictures::obama());
        answer.refuses(401, "Bearer");
        let wanted = answer.header("www-authenticate");
        assert!(wanted.starts_with("Bearer"), "{wanted}");
    }
}

fn s1_0_json_is_what_nobody_asked_for(scene: &Scene) {
    for accept in [
        "*/*",
        "text/html",
        "image/png",
        "",
        "application/*",
        "nonsense",
    ] {
        let call = Call::new("GET", "status").header("Authorization", scene.basic(Who::Main));
        let answer = scene.send(call.header("Accept", accept));
        assert!(answer.result().is_object(), "{accept}");
    }
}

fn s1_0_text_json_is_json(scene: &Scene) {
    for accept in [
        "text/json",
        "application/json",
        "Application/Json; charset=utf-8",
    ] {
        let call = Call::new("GET", "status").header("Authorization", scene.basic(Who::Main));
        let answer = scene.send(call.header("Accept", accept));
        assert!(answer.result().is_object(), "{accept}");
    }
}

fn s1_0_every_error_has_a_message(scene: &Scene) {
    scene.send(Call::new("GET", "status")).refuses(401, "Basic");
    scene
        .send(Call::new("GET", "identify"))
        .refuses(401, "Bearer");
    scene
        .ask("GET", "isenrolled?bcid={p}.x&trait=face")
        .refuses(400, "BCID");
    scene
        .ask("GET", "isenrolled?bcid=foreign.1.1&trait=face")
        .refuses(403, "foreign.1.1");
    scene.ask("GET", "nothing").refuses(404, "");
    scene.ask("POST", "status").refuses(405, "method");
    let token = scene.token("bcid={p}.1&task=identify");
    scene.task(&token, "identify").refuses(400, "no samples");
    scene.task(&token, "enroll").refuses(403, "identify");
}

fn s1_0_calls_of_the_app_take_no_token(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    for call in calls_of_the_app(scene) {
        let path = format!("{}?bcid={{p}}.1&trait=face", call.path);
        for scheme in ["Bearer", "JWT", "Basic"] {
            let authorization = format!("{scheme} {token}");
            let answer = scene.call(&call.method, &path, &authorization, "");
            answer.refuses(401, "");
            let wanted = answer.header("www-authenticate");
            assert!(wanted.starts_with("Basic "), "{call:?}: {wanted}");
        }
    }
}

fn s1_0_calls_of_a_device_take_no_secret(scene: &Scene) {
    for call in calls_of_a_device(scene) {
        let answer = scene.ask(&call.method, &call.path);
        answer.refuses(401, "");
        let wanted = answer.header("www-authenticate");
        assert!(wanted.starts_with("Bearer "), "{call:?}: {wanted}");
    }
}

fn s1_0_a_key_of_the_native_api_opens_nothing(scene: &Scene) {
    let key = scene.key();
    let status = Call::new("GET", "/v1/status").by_bearer(&key);
    assert_eq!(
        scene.send(status).status,
        200,
        "this key opens nothing at all"
    );
    let app = scene.credentials(Who::Main);
    let bare = key.trim_start_matches("vk_");
    let (id, secret) = bare.split_once('_').unwrap();
    side_by_side(&calls(scene), |call| {
        let scheme = if call.takes("app") {
            "Basic "
        } else {
            "Bearer "
        };
        for authorization in [
            format!("Bearer {key}"),
            format!("JWT {key}"),
            format!("Bearer {bare}"),
            format!("Basic {key}"),
            basic(&key, ""),
            basic("", &key),
            basic(&key, &key),
            basic(id, secret),
            basic(id, &key),
            basic(&app.id, &key),
            basic(&key, &app.secret),
        ] {
            let answer = scene.call(&call.method, &call.path, &authorization, "");
            answer.refuses(401, "");
            assert!(!answer.body.contains(secret), "an error shows a key");
            // Who may come in with either is asked for that which he tried.
            if !(call.takes("app") && call.takes("bws_token")) {
                let wanted = answer.header("www-authenticate");
                assert!(wanted.starts_with(scheme), "{call:?}: {wanted}");
            }
        }
    });
}

fn s1_0_an_error_shows_no_token(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=identify");
    let changed = format!("{}x", &token[..token.len() - 1]);
    for call in calls_of_a_device(scene) {
        let answer = scene.call(&call.method, &call.path, &format!("Bearer {changed}"), "");
        answer.refuses(401, "");
        for part in token.split('.') {
            assert!(
                !answer.body.contains(&part[..part.len().min(20)]),
                "{call:?}"
            );
        }
    }
}

fn s1_0_nothing_is_to_be_cached(scene: &Scene) {
    for call in operations(scene, "/") {
        let answer = scene.send(call.call());
        assert_eq!(answer.header("cache-control"), "no-store", "{call:?}");
    }
    let token = format!("token?id={}&bcid={{p}}.1", scene.credentials(Who::Main).id);
    for path in ["status", &token, "/nothing"] {
        let answer = scene.ask("GET", path);
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

fn s1_0_credentials_may_be_in_any_encoding(scene: &Scene) {
    let app = scene.credentials(Who::Main);
    let status = |pair: &[u8]| {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(pair));
        scene.send(Call::new("GET", "status").header("Authorization", basic))
    };
    // Ids and secrets are ASCII, so that a right pair has the same bytes in all of them.
    let right = format!("{}:{}", app.id, app.secret);
    assert!(right.is_ascii());
    assert_eq!(status(right.as_bytes()).status, 200);
    for wrong in ["\u{fc}".as_bytes(), b"\xfc", b"\xff\xfe", b"\0"] {
        status(&[right.as_bytes(), wrong].concat()).refuses(401, "");
        status(&[wrong, right.as_bytes()].concat()).refuses(401, "");
    }
}

fn s1_0_wrong_credentials_are_told_how_to_prove_themselves(scene: &Scene) {
    let app = scene.credentials(Who::Main);
    side_by_side(&calls_of_the_app(scene), |call| {
        let path = format!("{}?bcid={{p}}.1&trait=face", call.path);
        for authorization in [
            String::new(),
            "Basic".to_owned(),
            "Basic !!!".to_owned(),
            basic(&app.id, "wrong"),
            basic(&app.id, ""),
            basic("", &app.secret),
            basic("someone", &app.secret),
            basic("", ""),
            format!("Bearer {}", app.secret),
        ] {
            let answer = scene.call(&call.method, &path, &authorization, "");
            answer.refuses(401, "");
            let wanted = answer.header("www-authenticate");
            assert!(wanted.starts_with("Basic realm="), "{call:?}: {wanted}");
        }
    });
    let lower = scene.basic(Who::Main).replacen("Basic", "basic", 1);
    assert_eq!(scene.call("GET", "status", &lower, "").status, 200);
}

fn s1_0_a_foreign_class_is_403_and_stays(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    for who in [Who::Narrow, Who::Stranger] {
        let id = scene.credentials(who).id;
        for (method, path) in [
            ("GET", format!("token?id={id}&bcid={{p}}.1")),
            ("GET", "isenrolled?trait=face&bcid={p}.1".to_owned()),
            ("DELETE", "deleteclass?bcid={p}.1".to_owned()),
        ] {
            scene
                .ask_as(who, method, &path)
                .refuses(403, &scene.fill("{p}.1"));
        }
    }
    assert!(scene.is_enrolled("{p}.1"));
}

#[test]
fn s0_9_an_operator_may_name_the_origins() {
    let service = Service::with(|settings| {
        settings.origins = Origins::only(["https://www.example.org"]).unwrap();
    });
    for (origin, allowed) in [
        ("https://www.example.org", true),
        ("https://evil.example", false),
    ] {
        let answer = service.send(Call::new("GET", "identify").header("Origin", origin));
        let found = answer.header("access-control-allow-origin");
        assert_eq!(found == origin, allowed, "{origin}: {found}");
    }
}
