//! Section 1.4, `verify`.

use serde_json::json;

use super::{Scene, facts, pictures};

facts! {
    Both s1_4_the_enrolled_person_is_recognised,
    Both s1_4_somebody_else_is_not_and_there_is_no_error,
    Both s1_4_unknown_class_is_no_template_available,
    Json s1_4_only_the_class_of_the_token_counts,
    Json s1_4_several_samples_are_one_verification,
    Json s1_4_a_deleted_class_is_no_template_available,
    Json s1_1_autoenroll_improves_the_template_after_a_success,
    Json s1_1_autoenroll_does_nothing_after_a_failure,
}

fn s1_4_the_enrolled_person_is_recognised(scene: &Scene) {
    scene.enroll(1, pictures::obama());
    let token = scene.token("bcid={p}.1&task=verify");
    scene.accepted(&token, pictures::obama_again());
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": true}));
}

fn s1_4_somebody_else_is_not_and_there_is_no_error(scene: &Scene) {
    scene.enroll(1, pictures::obama());
    let token = scene.token("bcid={p}.1");
    scene.accepted(&token, pictures::biden());
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": false}));
}

fn s1_4_unknown_class_is_no_template_available(scene: &Scene) {
    let token = scene.ready("bcid={p}.404");
    let answer = scene.task(&token, "verify");
    answer.gives(&json!({"Success": false, "Error": "NoTemplateAvailable"}));
}

fn s1_4_only_the_class_of_the_token_counts(scene: &Scene) {
    scene.enroll(1, pictures::obama());
    scene.enroll(2, pictures::biden());
    let token = scene.ready("bcid={p}.2");
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": false}));
}

fn s1_4_several_samples_are_one_verification(scene: &Scene) {
    scene.enroll(1, pictures::obama());
    let token = scene.token("bcid={p}.1&maxtries=1");
    scene.accepted(&token, pictures::obama_left());
    scene.accepted(&token, pictures::obama_again());
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": true}));
    scene.accepted(&token, pictures::obama());
    scene.task(&token, "verify").refuses(403, "attempts");
}

fn s1_4_a_deleted_class_is_no_template_available(scene: &Scene) {
    scene.enroll(1, pictures::obama());
    let token = scene.ready("bcid={p}.1");
    scene.ask("DELETE", "deleteclass?bcid={p}.1").is_empty(200);
    let answer = scene.task(&token, "verify");
    answer.gives(&json!({"Success": false, "Error": "NoTemplateAvailable"}));
}

/// The score of a picture against the only class.
fn score(scene: &Scene, picture: &str) -> f64 {
    let token = scene.token("bcid={p}.0&task=identify");
    scene.accepted(&token, picture);
    let found = scene.task(&token, "identify").result();
    found["Matches"][0]["Score"].as_f64().unwrap()
}

fn s1_1_autoenroll_improves_the_template_after_a_success(scene: &Scene) {
    scene.enroll(1, pictures::obama());
    let before = score(scene, pictures::obama_again());
    for (auto, improves) in [(false, false), (true, true)] {
        let token = scene.token(&format!("bcid={{p}}.1&autoenroll={auto}"));
        scene.accepted(&token, pictures::obama_again());
        scene
            .task(&token, "verify")
            .gives(&json!({"Success": true}));
        let after = score(scene, pictures::obama_again());
        assert_eq!(after > before, improves, "{before} became {after}");
    }
}

fn s1_1_autoenroll_does_nothing_after_a_failure(scene: &Scene) {
    scene.enroll(1, pictures::obama());
    let before = score(scene, pictures::biden());
    let token = scene.token("bcid={p}.1&autoenroll=true");
    scene.accepted(&token, pictures::biden());
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": false}));
    assert_eq!(score(scene, pictures::biden()).to_bits(), before.to_bits());
}
