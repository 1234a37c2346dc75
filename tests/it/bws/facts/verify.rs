//! Section 1.4, `verify`.

use serde_json::{Value, json};
use vultus::intake::VerificationThresholds;

use super::facts;
use crate::harness::{Bws, Native, Scene, Service, pictures};

facts! {
    Both s1_4_the_enrolled_person_is_recognised,
    Both s1_4_somebody_else_is_not_and_there_is_no_error,
    Both s1_4_unknown_class_is_no_template_available,
    Json s1_4_only_the_class_of_the_token_counts,
    Json s1_4_the_most_similar_template_counts,
    Json s1_4_several_samples_are_one_verification,
    Json s1_4_a_deleted_class_is_no_template_available,
    Json s1_1_autoenroll_improves_the_template_after_a_success,
    Json s1_1_autoenroll_does_nothing_after_a_failure,
    Json s1_1_autoenroll_learns_from_the_person_alone,
}

fn s1_4_the_enrolled_person_is_recognised(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    let token = scene.token("bcid={p}.1&task=verify");
    scene.accepted(&token, pictures::obama_again());
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": true}));
}

fn s1_4_somebody_else_is_not_and_there_is_no_error(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    let token = scene.token("bcid={p}.1");
    scene.accepted(&token, pictures::biden());
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": false}));
}

fn s1_4_unknown_class_is_no_template_available(scene: &Scene) {
    for _somebody_else_is_there in [false, true] {
        let token = scene.ready("bcid={p}.404");
        let answer = scene.task(&token, "verify");
        answer.gives(&json!({"Success": false, "Error": "NoTemplateAvailable"}));
        scene.enroll("{p}.1", pictures::obama());
    }
}

fn s1_4_only_the_class_of_the_token_counts(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    scene.enroll("{p}.2", pictures::biden());
    let token = scene.ready("bcid={p}.2");
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": false}));
}

fn s1_4_the_most_similar_template_counts(scene: &Scene) {
    // The mean of these would recognise only the one who is there twice.
    for picture in [pictures::biden(), pictures::biden(), pictures::obama()] {
        scene.enroll("{p}.1", picture);
    }
    for picture in [pictures::obama_again(), pictures::biden()] {
        let token = scene.token("bcid={p}.1");
        scene.accepted(&token, picture);
        scene
            .task(&token, "verify")
            .gives(&json!({"Success": true}));
    }
}

fn s1_4_several_samples_are_one_verification(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
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
    scene.enroll("{p}.1", pictures::obama());
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
    scene.enroll("{p}.1", pictures::obama());
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
    scene.enroll("{p}.1", pictures::obama());
    let before = score(scene, pictures::biden());
    let token = scene.token("bcid={p}.1&autoenroll=true");
    scene.accepted(&token, pictures::biden());
    scene
        .task(&token, "verify")
        .gives(&json!({"Success": false}));
    assert_eq!(score(scene, pictures::biden()).to_bits(), before.to_bits());
}

/// How many templates a class of the partition has.
fn templates(scene: &Scene, class: i32) -> Value {
    let partition = scene.fill("{p}");
    let class = scene.get(&format!("partitions/{partition}/classes/{class}"));
    class.json()["templates"].clone()
}

fn s1_1_autoenroll_learns_from_the_person_alone(scene: &Scene) {
    scene.enroll("{p}.1", pictures::obama());
    for (query, samples, success, count) in [
        // Unasked.
        ("", &[pictures::obama_again()][..], true, 1),
        ("&autoenroll=true", &[pictures::biden()], false, 1),
        // What the class has already is not learnt again.
        (
            "&autoenroll=true",
            &[pictures::obama_again(), pictures::obama()],
            true,
            2,
        ),
        ("", &[pictures::biden()], false, 2),
    ] {
        let token = scene.token(&format!("bcid={{p}}.1{query}"));
        for sample in samples {
            scene.accepted(&token, sample);
        }
        let answer = scene.task(&token, "verify");
        answer.gives(&json!({ "Success": success }));
        assert_eq!(templates(scene, 1), count);
    }
    // With a stranger among them nothing is learnt of anybody.
    let token = scene.token("bcid={p}.1&autoenroll=true");
    for sample in [pictures::obama_left(), pictures::biden()] {
        scene.accepted(&token, sample);
    }
    let answer = scene.task(&token, "verify");
    answer.gives(&json!({"Success": false, "Error": "LiveDetectionFailed"}));
    assert_eq!(templates(scene, 1), 2);
}

#[test]
fn s1_4_thresholds_are_those_of_the_partition_or_else_of_the_service() {
    let service = Service::with(|settings| {
        let lax = "bws.1".parse().unwrap();
        settings.verification = VerificationThresholds {
            threshold: Some(0.999),
            partitions: [(lax, -1.0)].into(),
        };
    });
    for (bcid, picture, success) in [
        ("bws.1.7", pictures::biden(), true),
        ("bws.2.7", pictures::obama_again(), false),
        ("bws.2.7", pictures::obama(), true),
    ] {
        service.enroll(bcid, pictures::obama());
        let token = service.token(&format!("bcid={bcid}"));
        service.accepted(&token, picture);
        let answer = service.task(&token, "verify");
        answer.gives(&json!({ "Success": success }));
    }
}

/// Not of the old service.
#[test]
fn a_rate_may_be_asked_for() {
    let service = Service::new();
    service.enroll("bws.1.1", pictures::obama());
    let token = service.token("bcid=bws.1.1&maxtries=9");
    for (rate, success) in [("0.1", true), ("30", true), ("1e-3", true)] {
        service.accepted(&token, pictures::obama_again());
        let answer = service.task(&token, &format!("verify?targetFMR={rate}"));
        answer.gives(&json!({"Success": success}));
    }
    service.accepted(&token, pictures::obama_again());
    for bad in ["0", "1", "-3", "NaN", "often", "101"] {
        let answer = service.task(&token, &format!("verify?targetfmr={bad}"));
        answer.refuses(400, "targetFMR");
    }
}
