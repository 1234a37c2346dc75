//! Section 1.8, `result`.

use serde_json::json;

use super::facts;
use crate::harness::{Bws, Call, Door, Format, Scene, Service, Who, basic, number, pictures};

facts! {
    Json s1_8_nothing_done_yet_is_204,
    Both s1_8_an_enrolment,
    Both s1_8_a_verification,
    Both s1_8_a_verification_that_did_not_recognise_has_no_error,
    Both s1_8_an_identification_has_matches_by_bcid,
    Both s1_8_a_failed_operation_has_its_error,
    Json s1_8_a_liveness_detection,
    Json s1_8_the_last_operation_counts,
    Json s1_8_a_refused_call_is_no_operation,
    Both s1_8_another_app_is_403,
    Both s1_8_what_is_no_token_is_400,
    Both s1_8_without_credentials_it_is_401,
    Json s1_8_the_token_itself_may_be_shown,
    Clock s1_8_a_result_outlives_its_token_by_an_hour,
}

fn path(token: &str) -> String {
    format!("result?access_token={token}")
}

fn slashes(scene: &Scene, class: i32) -> String {
    format!("bws/{}/{class}", scene.partition)
}

fn s1_8_nothing_done_yet_is_204(scene: &Scene) {
    let token = scene.ready("bcid={p}.1&task=enroll");
    scene.ask("GET", &path(&token)).is_empty(204);
}

fn s1_8_an_enrolment(scene: &Scene) {
    let token = scene.ready("bcid={p}.12345&task=enroll");
    scene
        .task(&token, "enroll")
        .gives(&json!({"Success": true}));
    scene.ask("GET", &path(&token)).gives(&json!({
        "Success": true,
        "Action": "enrollment",
        "BCID": slashes(scene, 12345),
    }));
    if scene.format == Format::Json {
        // The names come in this order.
        let bcid = slashes(scene, 12345);
        let body = format!(r#"{{"Success":true,"Action":"enrollment","BCID":"{bcid}"}}"#);
        scene.result_of(&token).is(&body);
    }
}

fn s1_8_a_verification(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    let token = scene.ready("bcid={p}.1");
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": true}));
    scene.ask("GET", &path(&token)).gives(&json!({
        "Success": true,
        "Action": "verification",
        "BCID": slashes(scene, 1),
    }));
}

fn s1_8_a_verification_that_did_not_recognise_has_no_error(scene: &Scene) {
    scene.enroll("{p}.1", pictures::biden());
    let token = scene.ready("bcid={p}.1");
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": false}));
    scene.ask("GET", &path(&token)).gives(&json!({
        "Success": false,
        "Action": "verification",
        "BCID": slashes(scene, 1),
    }));
}

fn s1_8_an_identification_has_matches_by_bcid(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    scene.enroll("{p}.2", pictures::biden());
    let token = scene.ready("bcid={p}.0&task=identify");
    let found = scene.task(&token, "identify").result();
    let answer = scene.ask("GET", &path(&token));
    let scores = [0, 1].map(|place| answer.result()["Matches"][place]["Score"].clone());
    assert!(number(&scores[0]) > number(&scores[1]), "{scores:?}");
    // The same as the device was told.
    for (place, score) in scores.iter().enumerate() {
        let told = number(&found["Matches"][place]["Score"]);
        assert_eq!(number(score).to_bits(), told.to_bits());
    }
    answer.gives(&json!({
        "Success": true,
        "Action": "identification",
        "BCID": slashes(scene, 0),
        "Matches": [
            {"BCID": slashes(scene, 1), "Score": scores[0]},
            {"BCID": slashes(scene, 2), "Score": scores[1]},
        ],
    }));
}

fn s1_8_a_failed_operation_has_its_error(scene: &Scene) {
    let token = scene.ready("bcid={p}.0&task=identify");
    scene.task(&token, "identify");
    scene.ask("GET", &path(&token)).gives(&json!({
        "Success": false,
        "Error": "NoTemplateAvailable",
        "Action": "identification",
        "BCID": slashes(scene, 0),
    }));
    let token = scene.ready("bcid={p}.7");
    scene.task(&token, "verify");
    scene.ask("GET", &path(&token)).gives(&json!({
        "Success": false,
        "Error": "NoTemplateAvailable",
        "Action": "verification",
        "BCID": slashes(scene, 7),
    }));
    let token = scene.ready("bcid={p}.7&task=enroll&livedetection=true");
    scene.task(&token, "enroll");
    scene.ask("GET", &path(&token)).gives(&json!({
        "Success": false,
        "Error": "LiveDetectionFailed",
        "Action": "enrollment",
        "BCID": slashes(scene, 7),
    }));
}

fn s1_8_a_liveness_detection(scene: &Scene) {
    let token = scene.ready("bcid={p}.0&task=livenessdetection");
    scene.task(&token, "livenessdetection");
    let result = scene.ask("GET", &path(&token)).result();
    assert_eq!(result["Action"], "livenessdetection");
    assert_eq!(result["Error"], "LiveDetectionFailed");
}

fn s1_8_the_last_operation_counts(scene: &Scene) {
    let token = scene.ready("bcid={p}.1");
    scene.task(&token, "verify");
    scene.enroll("{p}.1", pictures::obama());
    scene.accepted(&token, pictures::obama());
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": true}));
    let result = scene.ask("GET", &path(&token)).result();
    assert_eq!(
        (&result["Success"], result.get("Error")),
        (&json!(true), None)
    );
    scene.accepted(&token, pictures::biden());
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": false}));
    let result = scene.result_of(&token).result();
    assert_eq!(result["Success"], false);
}

fn s1_8_a_refused_call_is_no_operation(scene: &Scene) {
    let token = scene.ready("bcid={p}.1&task=enroll&maxtries=1");
    let without_samples = scene.token("bcid={p}.1&task=enroll");
    scene.task(&without_samples, "enroll").refuses(400, "");
    scene.result_of(&without_samples).is_empty(204);
    scene.task(&token, "verify").refuses(403, "enroll");
    scene
        .task(&token, "enroll?livedetection=maybe")
        .refuses(400, "");
    scene.ask("GET", &path(&token)).is_empty(204);
    scene
        .task(&token, "enroll")
        .gives(&json!({"Success": true}));
    scene.accepted(&token, pictures::obama());
    scene.task(&token, "enroll").refuses(403, "attempts");
    let result = scene.ask("GET", &path(&token)).result();
    assert_eq!(result["Success"], true);
}

fn s1_8_another_app_is_403(scene: &Scene) {
    let token = scene.ready("bcid={p}.1&task=enroll");
    scene.task(&token, "enroll");
    for who in [Who::Twin, Who::Narrow, Who::Stranger] {
        scene
            .ask_as(who, "GET", &path(&token))
            .refuses(403, "another app");
    }
}

fn s1_8_what_is_no_token_is_400(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let mut changed = token.clone();
    changed.replace_range(token.len() - 6..token.len() - 2, "AAAA");
    for (bad, words) in [
        ("", "missing"),
        ("x", "malformed"),
        ("a.b.c", "malformed"),
        (&token[..token.len() - 1], ""),
        (&changed, "signature"),
    ] {
        scene.result_of(bad).refuses(400, words);
    }
    scene.ask("GET", "result").refuses(400, "access_token");
    scene.ask("GET", "result").refuses(400, "missing");
}

fn s1_8_without_credentials_it_is_401(scene: &Scene) {
    let token = scene.token("bcid={p}.1");
    let answer = scene.send(Call::new("GET", path(&token)));
    answer.refuses(401, "");
    let wrong = basic(&scene.credentials(Who::Main).id, "wrong");
    scene
        .call("GET", &path(&token), &wrong, "")
        .refuses(401, "");
}

fn s1_8_the_token_itself_may_be_shown(scene: &Scene) {
    let token = scene.ready("bcid={p}.1&task=enroll");
    scene.task(&token, "enroll");
    let result = scene.task(&token, "result").result();
    assert_eq!(result["Action"], "enrollment");
}

fn s1_8_a_result_outlives_its_token_by_an_hour(scene: &Scene) {
    let token = scene.ready("bcid={p}.1&task=enroll");
    scene.task(&token, "enroll");
    scene.advance(600 + 3599);
    let result = scene.ask("GET", &path(&token)).result();
    assert_eq!(result["Success"], true);
    scene.advance(1);
    scene.result_of(&token).is_empty(204);
}

#[test]
fn s1_8_a_result_survives_a_restart() {
    let mut service = Service::new();
    service.enroll("bws.1.7", pictures::obama());
    let token = service.token("bcid=bws.1.7");
    for (picture, success) in [(pictures::obama(), true), (pictures::biden(), false)] {
        service.accepted(&token, picture);
        service.task(&token, "verify");
        service.restart();
        assert_eq!(service.result_of(&token).result()["Success"], success);
    }
}
