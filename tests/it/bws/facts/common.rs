//! Section 0, the ten rules, and section 1.0, what all calls have in common.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

use super::door::Who;
use super::{Call, Format, Scene, facts, pictures};

facts! {
    Json s0_1_each_name_has_one_method,
    Json s0_1_repeated_slashes_are_one,
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
    Json s1_0_json_is_what_nobody_asked_for,
    Json s1_0_text_json_is_json,
    Both s1_0_every_error_has_a_message,
    Json s1_0_calls_of_the_app_take_no_token,
    Json s1_0_calls_of_a_device_take_no_secret,
    Json s1_0_credentials_may_be_in_any_encoding,
    Json s1_0_a_wrong_secret_is_401_and_a_foreign_class_403,
}

/// Every call that there is: its method, and whether it wants a token.
const CALLS: [(&str, &str, bool); 16] = [
    ("GET", "token", false),
    ("POST", "upload", true),
    ("GET", "enroll", true),
    ("GET", "verify", true),
    ("GET", "identify", true),
    ("GET", "livenessdetection", true),
    ("GET", "result", false),
    ("GET", "isenrolled", false),
    ("DELETE", "deleteclass", false),
    ("GET", "status", false),
    ("POST", "qualitycheck", false),
    ("POST", "livedetection", false),
    ("POST", "passivelivedetection", false),
    ("POST", "videolivedetection", false),
    ("POST", "photoverify", false),
    ("POST", "photoverify2", false),
];

fn s0_1_each_name_has_one_method(scene: &Scene) {
    for (method, name, _) in CALLS {
        for other in ["GET", "POST", "DELETE", "PUT", "PATCH"] {
            let status = scene.send(Call::new(other, name)).status();
            assert_eq!(
                status,
                if other == method { 401 } else { 405 },
                "{other} {name}"
            );
        }
    }
    assert_eq!(scene.ask("GET", "classlist").status(), 404);
    assert_eq!(scene.ask("GET", "").status(), 404);
}

fn s0_1_repeated_slashes_are_one(scene: &Scene) {
    scene.ask("DELETE", "/deleteclass?bcid={p}.1").is_empty(200);
    assert_eq!(scene.ask("GET", "//status").status(), 200);
    assert_eq!(scene.ask("GET", "status/").status(), 200);
}

fn s0_1_names_of_parameters_have_no_letter_case(scene: &Scene) {
    for class in 1..=2 {
        scene.enroll(class, pictures::obama());
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
    for yes in ["True", "TRUE"] {
        let query = format!("bcid={{p}}.1&livedetection={yes}&challenge={yes}&autoenroll={yes}");
        let claims = super::claims::payload(&scene.token(&query));
        assert_eq!(claims["task"], 0x1303, "{yes}");
    }
}

fn s0_3_unknown_parameters_are_ignored(scene: &Scene) {
    scene.enroll(1, pictures::obama());
    let path = "isenrolled?bcid={p}.1&trait=face&livedetection=true&x=%ff&&=";
    scene.ask("GET", path).is_empty(200);
    assert_eq!(scene.ask("GET", "status?state=1").status(), 200);
    let token = scene.token("bcid={p}.1&task=enroll&theme=dark");
    scene.accepted(&token, pictures::obama());
    let answer = scene.task(&token, "enroll?index=1");
    answer.gives(&json!({"Success": true}));
}

fn s0_3_an_empty_trait_means_face(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=enroll&traits=");
    let answer = scene.upload_to(&token, "upload?trait=&tag=&index=", pictures::obama());
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
    assert_eq!(answer.reply.body, r#"{"Success":true}"#);
    let token = scene.ready("bcid={p}.0&task=identify");
    let answer = scene.task(&token, "identify");
    assert!(
        !answer.reply.body.contains("Error"),
        "{}",
        answer.reply.body
    );
}

fn s0_6_a_failed_identification_has_an_error(scene: &Scene) {
    let token = scene.ready("bcid={p}.0&task=identify");
    let answer = scene.task(&token, "identify");
    answer.gives(&json!({"Success": false, "Error": "NoTemplateAvailable"}));
}

fn s0_7_an_accepted_upload_has_a_list_of_warnings(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let answer = scene.upload(&token, pictures::obama());
    assert_eq!(answer.reply.body, r#"{"Accepted":true,"Warnings":[]}"#);
}

fn s0_9_preflights_need_no_credentials(scene: &Scene) {
    for (method, name, _) in CALLS {
        let path = format!("{name}?tag=any&index=1&trait=FACE");
        let answer = scene.send(
            Call::new("OPTIONS", path)
                .header("Origin", "https://www.example.org")
                .header("Access-Control-Request-Method", method)
                .header(
                    "Access-Control-Request-Headers",
                    "authorization,content-type",
                ),
        );
        assert!(
            (200..300).contains(&answer.status()),
            "{name}: {}",
            answer.status()
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
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
    }
}

fn s0_10_bearer_and_jwt_are_the_same(scene: &Scene) {
    let token = scene.token("bcid={p}.1&task=enroll");
    for scheme in ["Bearer", "JWT", "jwt"] {
        let call = Call::new("POST", "upload").header("Authorization", format!("{scheme} {token}"));
        let answer = scene.send(call.body(pictures::obama()));
        answer.gives(&json!({"Accepted": true, "Warnings": []}));
    }
    let call = Call::new("GET", "enroll").header("Authorization", format!("JWT {token}"));
    scene.send(call).gives(&json!({"Success": true}));
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
    for (method, name, by_token) in CALLS {
        // The result of a token may be read by its holder.
        if by_token || name == "result" {
            continue;
        }
        let path = format!("{name}?bcid={{p}}.1&trait=face");
        for scheme in ["Bearer", "JWT", "Basic"] {
            let call = Call::new(method, &path[..]);
            let call = call.header("Authorization", format!("{scheme} {token}"));
            let answer = scene.send(call);
            answer.refuses(401, "");
            let wanted = answer.header("www-authenticate");
            assert!(wanted.starts_with("Basic "), "{name}: {wanted}");
        }
    }
}

fn s1_0_calls_of_a_device_take_no_secret(scene: &Scene) {
    for (method, name, by_token) in CALLS {
        if !by_token {
            continue;
        }
        let answer = scene.ask(method, name);
        answer.refuses(401, "");
        let wanted = answer.header("www-authenticate");
        assert!(wanted.starts_with("Bearer "), "{name}: {wanted}");
    }
}

fn s1_0_credentials_may_be_in_any_encoding(scene: &Scene) {
    let app = scene.door.credentials(Who::Main);
    let status = |pair: &[u8]| {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(pair));
        scene.send(Call::new("GET", "status").header("Authorization", basic))
    };
    // Ids and secrets are ASCII, so that a right pair has the same bytes in all of them.
    let right = format!("{}:{}", app.id, app.secret);
    assert!(right.is_ascii());
    assert_eq!(status(right.as_bytes()).status(), 200);
    for wrong in ["\u{fc}".as_bytes(), b"\xfc", b"\xff\xfe", b"\0"] {
        status(&[right.as_bytes(), wrong].concat()).refuses(401, "");
        status(&[wrong, right.as_bytes()].concat()).refuses(401, "");
    }
}

fn s1_0_a_wrong_secret_is_401_and_a_foreign_class_403(scene: &Scene) {
    let app = scene.door.credentials(Who::Main);
    for (id, secret) in [
        (&app.id[..], "wrong"),
        ("nobody", &app.secret[..]),
        ("", ""),
    ] {
        let basic = super::super::app::basic(id, secret);
        scene
            .send(Call::new("GET", "status").header("Authorization", basic))
            .refuses(401, "");
    }
    for who in [Who::Narrow, Who::Stranger] {
        for (method, path) in [
            ("GET", "isenrolled?trait=face&bcid={p}.1"),
            ("DELETE", "deleteclass?bcid={p}.1"),
        ] {
            scene
                .ask_as(who, method, path)
                .refuses(403, &scene.fill("{p}.1"));
        }
    }
}
